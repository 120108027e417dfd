/* histogram - counts of floats by their first 20 bits: sign, exponent, 11 bits of the fraction.
 *
 * Whole numbers up to 4095, so Hounsfield units, have a bin of their own; a bin of larger or
 * finer values is 1/2048 of its value wide, and its middle stands for it.  Mean and deviation
 * come from sums over the values themselves, pairwise:
 *   mean = mean_a + d n_b / n,  m2 = m2_a + m2_b + d^2 n_a n_b / n,  d = mean_b - mean_a
 * Source: Chan, Golub, LeVeque 1983. */
#include "histogram.h"

#include <math.h>
#include <string.h>

#define DROPPED 12 /* bits of a float that the bin does not hold */

struct _HistogramCounts {
    guint64 counts[HISTOGRAM_BINS];
    gint64 n;
    double sum, squares; /* of value - first */
    double first, least, most;
    gboolean exact;
};

/* ---- a float's place in the order of all floats ------------------------------------- */

static guint32 rank_of(float value)
{
    const float positive_zero = value + 0.0f; /* -0 is 0 */
    guint32 bits;

    memcpy(&bits, &positive_zero, sizeof bits);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

static float float_of(guint32 rank)
{
    const guint32 bits = rank & 0x80000000u ? rank & 0x7fffffffu : ~rank;
    float value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

/* The value of a bin that is nearest to 0: that of a bin with one value, unless it is long. */
static guint32 inner_rank(guint32 bin)
{
    const guint32 low = bin << DROPPED;

    return low & 0x80000000u ? low : low | ((1u << DROPPED) - 1);
}

static double bin_value(const Histogram *histogram, guint32 bin)
{
    const double inner = (double)float_of(inner_rank(bin));
    const guint32 low = bin << DROPPED;

    if (histogram->exact)
        return inner;
    return CLAMP((double)float_of(low | (1u << (DROPPED - 1))), histogram->least,
                 histogram->most);
}

/* ---- counting ----------------------------------------------------------------------- */

void histogram_clear(Histogram *histogram)
{
    g_clear_pointer(&histogram->bins, g_array_unref);
}

static void counts_reset(HistogramCounts *counts)
{
    memset(counts, 0, sizeof *counts);
    counts->least = INFINITY;
    counts->most = -INFINITY;
    counts->exact = TRUE;
}

HistogramCounts *histogram_counts_new(void)
{
    HistogramCounts *counts = g_new(HistogramCounts, 1);

    counts_reset(counts);
    return counts;
}

void histogram_counts_free(HistogramCounts *counts)
{
    g_free(counts);
}

void histogram_count(HistogramCounts *counts, float value)
{
    const guint32 rank = rank_of(value), bin = rank >> DROPPED;
    const double x = (double)value;

    if (counts->n++ == 0)
        counts->first = x; /* sums of differences keep the digits of a small deviation */
    counts->counts[bin]++;
    counts->sum += x - counts->first;
    counts->squares += (x - counts->first) * (x - counts->first);
    counts->least = MIN(counts->least, x);
    counts->most = MAX(counts->most, x);
    counts->exact = counts->exact && rank == inner_rank(bin);
}

void histogram_take(HistogramCounts *counts, Histogram *histogram)
{
    const double n = (double)counts->n;
    const double mean = counts->n ? counts->sum / n : 0;

    *histogram = (Histogram){.n = counts->n,
                             .mean = counts->n ? counts->first + mean : NAN,
                             .m2 = MAX(counts->squares - n * mean * mean, 0),
                             .least = counts->n ? counts->least : NAN,
                             .most = counts->n ? counts->most : NAN,
                             .exact = counts->exact,
                             .bins = g_array_new(FALSE, FALSE, sizeof(HistogramBin))};
    for (guint32 bin = 0; bin < HISTOGRAM_BINS; bin++)
        if (counts->counts[bin]) {
            const HistogramBin item = {bin, counts->counts[bin]};

            g_array_append_val(histogram->bins, item);
        }
    counts_reset(counts);
}

/* ---- together ----------------------------------------------------------------------- */

static void moments_add(Histogram *all, const Histogram *part)
{
    const double n_a = (double)all->n, n_b = (double)part->n, n = n_a + n_b;
    const double d = all->n ? part->mean - all->mean : 0;

    all->mean = all->n ? all->mean + d * n_b / n : part->mean;
    all->m2 += part->m2 + d * d * n_a * n_b / n;
    all->least = all->n ? MIN(all->least, part->least) : part->least;
    all->most = all->n ? MAX(all->most, part->most) : part->most;
    all->exact = all->exact && part->exact;
    all->n += part->n;
}

void histogram_merge(const Histogram *const *parts, guint n, Histogram *all)
{
    g_autoptr(HistogramCounts) counts = histogram_counts_new();
    Histogram bins;

    *all = (Histogram){.mean = NAN, .least = NAN, .most = NAN, .exact = TRUE};
    for (guint i = 0; i < n; i++) {
        if (!parts[i]->n)
            continue;
        moments_add(all, parts[i]);
        for (guint b = 0; b < parts[i]->bins->len; b++) {
            const HistogramBin *bin = &g_array_index(parts[i]->bins, HistogramBin, b);

            counts->counts[bin->bin] += bin->count;
        }
    }
    histogram_take(counts, &bins);
    all->bins = bins.bins;
}

double histogram_sd(const Histogram *histogram)
{
    return histogram->n ? sqrt(histogram->m2 / (double)histogram->n) : NAN;
}

/* The value of rank @rank, from 0. */
static double ranked(const Histogram *histogram, guint64 rank)
{
    guint64 before = 0;

    if (rank == 0) /* the ends are known exactly */
        return histogram->least;
    if (rank + 1 >= (guint64)histogram->n)
        return histogram->most;
    for (guint b = 0; b < histogram->bins->len; b++) {
        const HistogramBin *bin = &g_array_index(histogram->bins, HistogramBin, b);

        if (rank < (before += bin->count))
            return bin_value(histogram, bin->bin);
    }
    return histogram->most;
}

double histogram_percentile(const Histogram *histogram, double p)
{
    const double rank = (double)(histogram->n - 1) * p / 100;
    double below;

    if (!histogram->n)
        return NAN;
    below = ranked(histogram, (guint64)rank);
    return below + (rank - floor(rank)) * (ranked(histogram, (guint64)rank + 1) - below);
}
