/* histogram.h - all intensities of a channel in bounded memory: percentiles without sampling.
 */
#pragma once

#include <glib.h>

#define HISTOGRAM_BINS (1u << 20)

/* How many values fell into a bin; a bin is the first 20 bits of a float. */
typedef struct {
    guint32 bin; /* in the order of the values */
    guint64 count;
} HistogramBin;

/* What is known of a channel's intensities. */
typedef struct {
    gint64 n;
    double mean, m2;    /* m2: sum of squared differences from the mean */
    double least, most; /* NaN where n is 0 */
    gboolean exact;     /* no bin holds two different values */
    GArray *bins;       /* HistogramBin, ascending, none empty */
} Histogram;

void histogram_clear(Histogram *histogram);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Histogram, histogram_clear)

/* Values on their way into a histogram: 8 MiB. */
typedef struct _HistogramCounts HistogramCounts;
HistogramCounts *histogram_counts_new(void);
void histogram_counts_free(HistogramCounts *counts);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HistogramCounts, histogram_counts_free)
void histogram_count(HistogramCounts *counts, float value);
/* @histogram: (out), of all values since the last call; the counts are 0 again. */
void histogram_take(HistogramCounts *counts, Histogram *histogram);

/* histogram_merge - all values of @n histograms; bits depend on their order and nothing else
 * @all: (out) */
void histogram_merge(const Histogram *const *parts, guint n, Histogram *all);
double histogram_sd(const Histogram *histogram); /* of the population */
/* Linear between the neighbours in rank, as numpy.percentile; exact where the bins are, else
 * within 1 part in 4096 of the value.  NaN without values. */
double histogram_percentile(const Histogram *histogram, double p);
