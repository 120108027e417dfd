/* statistics.h - means with intervals, a paired test, and a correction for many tests. */
#pragma once

#include <glib.h>

/* NaN marks what is missing; means and tests leave it out. */
double statistics_mean(const double *x, guint n, guint *used);

typedef struct {
    guint n;                              /* values that are there */
    double mean, median, least, greatest; /* NaN: there is none */
} StatisticsSummary;

StatisticsSummary statistics_summary(const double *x, guint n);

typedef struct {
    double low, high; /* NaN: fewer than two values */
} StatisticsInterval;

/* 95 % of the bootstrap distribution of the mean: the 2.5th and 97.5th percentile of the means
 * of 10,000 samples of the same size, drawn with replacement; seeded. */
StatisticsInterval statistics_bootstrap(const double *x, guint n, guint64 seed);

typedef struct {
    guint n;        /* pairs that differ: zeros and pairs with a missing value are left out */
    guint zeros;    /* pairs without a difference */
    double larger;  /* sum of the ranks of the positive differences x - y */
    double smaller; /* of the negative ones */
    gboolean exact; /* p is of the exact distribution, else of the normal approximation */
    double p;       /* two-sided; NaN: no pair differs */
} StatisticsWilcoxon;

/* Wilcoxon's signed-rank test of n pairs, two-sided.  Zeros are dropped (Wilcoxon's way, not
 * Pratt's).  Exact where at most 25 pairs are left and there are neither zeros nor ties; else
 * the normal approximation with the corrections for ties and for continuity. Source: Wilcoxon
 * 1945; Hollander, Wolfe, Chicken 2014, chapter 3. */
StatisticsWilcoxon statistics_wilcoxon(const double *x, const double *y, guint n);

/* Holm's step-down correction, in place: the k-th smallest of m values is multiplied by m - k +
 * 1, never falls below the one before, and stays at most 1.  NaN is no test: it stays, and does
 * not count.  Source: Holm 1979. */
void statistics_holm(double *p, guint n);
