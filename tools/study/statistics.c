/* statistics - means with intervals, a paired test, and a correction for many tests. */
#include "statistics.h"

#include <loom/context.h>

#include <math.h>
#include <stdlib.h>

#define RESAMPLES 10000
#define EXACT_PAIRS 25

double statistics_mean(const double *x, guint n, guint *used)
{
    double sum = 0;
    guint count = 0;

    for (guint i = 0; i < n; i++)
        if (!isnan(x[i])) {
            sum += x[i];
            count++;
        }
    if (used)
        *used = count;
    return count ? sum / count : NAN;
}

/* ---- bootstrap ---------------------------------------------------------------------- */

static int doubles_compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Of @n sorted values, between the two nearest: @share of the way from the first to the last.
 */
static double percentile(const double *sorted, guint n, double share)
{
    const double place = share * (n - 1);
    const guint below = (guint)floor(place), above = MIN(below + 1, n - 1);

    return sorted[below] + (place - below) * (sorted[above] - sorted[below]);
}

StatisticsSummary statistics_summary(const double *x, guint n)
{
    g_autofree double *known = g_new(double, MAX(n, 1));
    guint count = 0;

    for (guint i = 0; i < n; i++)
        if (!isnan(x[i]))
            known[count++] = x[i];
    if (!count)
        return (StatisticsSummary){0, NAN, NAN, NAN, NAN};
    qsort(known, count, sizeof *known, doubles_compare);
    return (StatisticsSummary){count, statistics_mean(known, count, NULL),
                               percentile(known, count, 0.5), known[0], known[count - 1]};
}

StatisticsInterval statistics_bootstrap(const double *x, guint n, guint64 seed)
{
    g_autofree double *known = g_new(double, MAX(n, 1));
    g_autofree double *means = g_new(double, RESAMPLES);
    LoomRng rng = loom_rng(seed, "bootstrap", 0);
    guint count = 0;

    for (guint i = 0; i < n; i++)
        if (!isnan(x[i]))
            known[count++] = x[i];
    if (count < 2)
        return (StatisticsInterval){NAN, NAN};
    for (guint r = 0; r < RESAMPLES; r++) {
        means[r] = 0;
        for (guint i = 0; i < count; i++)
            means[r] += known[loom_rng_below(&rng, count)];
        means[r] /= count;
    }
    qsort(means, RESAMPLES, sizeof *means, doubles_compare);
    return (StatisticsInterval){percentile(means, RESAMPLES, 0.025),
                                percentile(means, RESAMPLES, 0.975)};
}

/* ---- Wilcoxon ----------------------------------------------------------------------- */

static int magnitudes_compare(const void *a, const void *b)
{
    const double x = fabs(*(const double *)a), y = fabs(*(const double *)b);

    return (x > y) - (x < y);
}

/* Fills larger and smaller from differences sorted by magnitude, equal ones with their mean
 * rank. Returns the sum of t^3 - t over groups of t equal ones. */
static double ranks_sum(const double *d, guint n, StatisticsWilcoxon *test)
{
    double ties = 0;

    for (guint i = 0, next; i < n; i = next) {
        for (next = i + 1; next < n && fabs(d[next]) <= fabs(d[i]); next++)
            ;
        const double t = next - i, rank = 0.5 * (i + 1 + next);

        ties += t * t * t - t;
        for (guint k = i; k < next; k++)
            *(d[k] > 0 ? &test->larger : &test->smaller) += rank;
    }
    return ties;
}

/* P(T <= t), doubled: of the 2^n equally likely signs, count those whose positive ranks sum to
 * at most t.  ways[s] is the number of subsets of 1 .. n with sum s. */
static double exact_p(guint n, double t)
{
    const guint most = n * (n + 1) / 2;
    g_autofree double *ways = g_new0(double, most + 1);
    double count = 0;

    ways[0] = 1;
    for (guint rank = 1; rank <= n; rank++)
        for (guint s = most; s >= rank; s--)
            ways[s] += ways[s - rank];
    for (guint s = 0; s <= (guint)t; s++)
        count += ways[s];
    return MIN(1, 2 * count * pow(0.5, n));
}

static double normal_p(guint n, double larger, double ties)
{
    const double m = n, mean = m * (m + 1) / 4;
    const double variance = m * (m + 1) * (2 * m + 1) / 24 - ties / 48;
    const double apart = MAX(0, fabs(larger - mean) - 0.5);

    return erfc(apart / sqrt(2 * variance));
}

StatisticsWilcoxon statistics_wilcoxon(const double *x, const double *y, guint n)
{
    g_autofree double *d = g_new(double, MAX(n, 1));
    StatisticsWilcoxon test = {.p = NAN};

    for (guint i = 0; i < n; i++) {
        const double difference = x[i] - y[i];

        if (isnan(difference))
            continue;
        if (difference < 0 || difference > 0)
            d[test.n++] = difference;
        else
            test.zeros++;
    }
    if (!test.n)
        return test;
    qsort(d, test.n, sizeof *d, magnitudes_compare);
    const double ties = ranks_sum(d, test.n, &test);
    test.exact = test.n <= EXACT_PAIRS && !test.zeros && ties <= 0;
    test.p = test.exact ? exact_p(test.n, MIN(test.larger, test.smaller))
                        : normal_p(test.n, test.larger, ties);
    return test;
}

/* ---- Holm --------------------------------------------------------------------------- */

static int pointers_compare(const void *a, const void *b)
{
    return doubles_compare(*(double *const *)a, *(double *const *)b);
}

void statistics_holm(double *p, guint n)
{
    g_autofree double **order = g_new(double *, MAX(n, 1));
    double before = 0;
    guint m = 0;

    for (guint i = 0; i < n; i++)
        if (!isnan(p[i]))
            order[m++] = &p[i];
    qsort(order, m, sizeof *order, pointers_compare);
    for (guint k = 0; k < m; k++)
        before = *order[k] = MIN(1, MAX(before, *order[k] * (m - k)));
}
