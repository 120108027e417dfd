/* Statistics of a study against scipy 1.17.1: tests/golden/statistics_scipy.py prints the
 * numbers. Tolerances: p-values are sums and erfc of doubles, a few ulp apart: 1e-12. */
#include "loom_test.h"

#include "statistics.h"

#include <math.h>

static const double a[] = {0.82, 0.75, 0.91, 0.66, 0.58, 0.87, 0.79, 0.93, 0.71, 0.64};
static const double b[] = {0.801, 0.77, 0.853, 0.559, 0.612, 0.744, 0.757, 0.81, 0.695, 0.487};

/* ---- Wilcoxon ----------------------------------------------------------------------- */

static void test_exact(void)
{
    const StatisticsWilcoxon test = statistics_wilcoxon(a, b, G_N_ELEMENTS(a));
    const StatisticsWilcoxon turned = statistics_wilcoxon(b, a, G_N_ELEMENTS(a));

    g_assert_true(test.exact);
    g_assert_cmpuint(test.n, ==, 10);
    loom_assert_near(test.smaller, 7, 0);
    loom_assert_near(test.larger, 48, 0);
    loom_assert_near(test.p, 0.037109375, 1e-12);
    loom_assert_near(turned.p, test.p, 0);
    loom_assert_near(turned.larger, 7, 0);
}

/* Five pairs that all point one way: p = 2 / 2^5, by counting. */
static void test_five(void)
{
    const double x[] = {1, 2, 3, 4, 5}, y[] = {0, 0.5, 1, 1.5, 2};

    loom_assert_near(statistics_wilcoxon(x, y, 5).p, 0.0625, 1e-15);
}

/* Whole numbers, so that differences of equal size are equal. */
static void test_ties(void)
{
    const double x[] = {8, 7, 9, 6, 5, 8, 7, 9, 7, 6, 4, 5};
    const double y[] = {7, 7, 8, 8, 4, 5, 7, 7, 6, 4, 6, 1};
    const StatisticsWilcoxon test = statistics_wilcoxon(x, y, G_N_ELEMENTS(x));

    g_assert_false(test.exact);
    g_assert_cmpuint(test.zeros, ==, 2);
    g_assert_cmpuint(test.n, ==, 10);
    loom_assert_near(MIN(test.larger, test.smaller), 13, 0);
    loom_assert_near(test.p, 0.148201385668542, 1e-12);
}

static void pairs_fill(double *x, double *y, int n)
{
    for (int i = 0; i < n; i++) {
        x[i] = (i * i * 7 + 3 * i) % 101 + i / 64.0 + 12;
        y[i] = (i * 13 + 5) % 89 + i / 128.0;
    }
}

static void test_many(void)
{
    double x[40], y[40];

    pairs_fill(x, y, 40);
    const StatisticsWilcoxon test = statistics_wilcoxon(x, y, 40);
    g_assert_false(test.exact);
    loom_assert_near(MIN(test.larger, test.smaller), 223, 0);
    loom_assert_near(test.p, 0.0121828952742409, 1e-12);
    const StatisticsWilcoxon limit = statistics_wilcoxon(x, y, 25);
    g_assert_true(limit.exact);
    loom_assert_near(MIN(limit.larger, limit.smaller), 95, 0);
    loom_assert_near(limit.p, 0.0709836483001709, 1e-12);
}

/* Pairs with a missing value are no pairs; without a difference there is no p. */
static void test_missing(void)
{
    const double x[] = {1, NAN, 3, 4, 5, 6, 7}, y[] = {0, 1, 1, NAN, 1.5, 2, 2};
    const double fewer_x[] = {1, 3, 5, 6, 7}, fewer_y[] = {0, 1, 1.5, 2, 2};

    loom_assert_near(statistics_wilcoxon(x, y, 7).p, statistics_wilcoxon(fewer_x, fewer_y, 5).p,
                     0);
    g_assert_true(isnan(statistics_wilcoxon(x, x, 7).p));
    g_assert_cmpuint(statistics_wilcoxon(x, x, 7).zeros, ==, 6);
    g_assert_true(isnan(statistics_wilcoxon(x, y, 0).p));
}

/* ---- Holm --------------------------------------------------------------------------- */

/* R: p.adjust(c(.01, .04, .03, .005), "holm") = .03 .06 .06 .02 */
static void test_holm(void)
{
    double p[] = {0.01, NAN, 0.04, 0.03, 0.005}, large[] = {0.6, 0.7};

    statistics_holm(p, 5);
    loom_assert_near(p[0], 0.03, 1e-15);
    g_assert_true(isnan(p[1]));
    loom_assert_near(p[2], 0.06, 1e-15);
    loom_assert_near(p[3], 0.06, 1e-15);
    loom_assert_near(p[4], 0.02, 1e-15);
    statistics_holm(large, 2);
    loom_assert_near(large[0], 1, 0);
    loom_assert_near(large[1], 1, 0);
}

/* ---- means -------------------------------------------------------------------------- */

static void test_mean(void)
{
    const double x[] = {1, NAN, 2, 6};
    guint used;

    loom_assert_near(statistics_mean(x, 4, &used), 3, 0);
    g_assert_cmpuint(used, ==, 3);
    g_assert_true(isnan(statistics_mean(x + 1, 1, &used)));
    g_assert_cmpuint(used, ==, 0);
}

/* scipy with 1,000,000 resamples: 0.696 to 0.835.  A percentile of 10,000 has the standard
 * error sqrt(0.025 * 0.975 / 10000) / density; the normal density there is 0.0584 / 0.0355 a
 * unit: 0.001; four of them. */
static void test_bootstrap(void)
{
    const StatisticsInterval interval = statistics_bootstrap(a, G_N_ELEMENTS(a), 1);
    const StatisticsInterval same = statistics_bootstrap(a, G_N_ELEMENTS(a), 1);
    const double constant[] = {0.5, NAN, 0.5}, lonely[] = {NAN, 0.5};

    loom_assert_near(interval.low, 0.696, 0.004);
    loom_assert_near(interval.high, 0.835, 0.004);
    loom_assert_near(same.low, interval.low, 0);
    loom_assert_near(same.high, interval.high, 0);
    loom_assert_near(statistics_bootstrap(constant, 3, 1).low, 0.5, 0);
    loom_assert_near(statistics_bootstrap(constant, 3, 1).high, 0.5, 0);
    g_assert_true(isnan(statistics_bootstrap(lonely, 2, 1).low));
}

/* Four values and a gap: the median lies between the two in the middle. */
static void test_summary(void)
{
    const double x[] = {4, NAN, 1, 10, 2}, nothing[] = {NAN, NAN};
    const StatisticsSummary summary = statistics_summary(x, G_N_ELEMENTS(x));
    const StatisticsSummary none = statistics_summary(nothing, 2),
                            odd = statistics_summary(x, 3);

    g_assert_cmpuint(summary.n, ==, 4);
    loom_assert_near(summary.mean, 17.0 / 4, 1e-15);
    loom_assert_near(summary.median, 3, 0);
    loom_assert_near(summary.least, 1, 0);
    loom_assert_near(summary.greatest, 10, 0);
    loom_assert_near(odd.median, 2.5, 0);
    g_assert_cmpuint(none.n, ==, 0);
    g_assert_true(isnan(none.mean) && isnan(none.median) && isnan(none.least));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/statistics/wilcoxon/exact", test_exact);
    g_test_add_func("/statistics/wilcoxon/five", test_five);
    g_test_add_func("/statistics/wilcoxon/ties", test_ties);
    g_test_add_func("/statistics/wilcoxon/many", test_many);
    g_test_add_func("/statistics/wilcoxon/missing", test_missing);
    g_test_add_func("/statistics/holm", test_holm);
    g_test_add_func("/statistics/mean", test_mean);
    g_test_add_func("/statistics/bootstrap", test_bootstrap);
    g_test_add_func("/statistics/summary", test_summary);
    return loom_test_run();
}
