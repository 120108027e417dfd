/* loss_top - the mean of the highest losses, by a radix search for the K-th: no sort. */
#include "loss_kit.h"

#include <string.h>

/* The bits of a number as float, in an order that follows the numbers: -INFINITY < ... <
 * INFINITY < NaN. */
static guint32 key_of(double value)
{
    const float x = (float)value;
    guint32 bits;

    memcpy(&bits, &x, sizeof bits);
    if (x != x) /* NaN of either sign is the highest: it must be seen */
        return G_MAXUINT32;
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

/* The key of the @k-th highest of @n losses: its upper 16 bits, then its lower. */
static guint32 key_search(const double *losses, gint64 n, gint64 k)
{
    g_autofree gint64 *bins = g_new0(gint64, 65536);
    guint32 upper = 65535, lower = 65535;

    for (gint64 v = 0; v < n; v++)
        bins[key_of(losses[v]) >> 16]++;
    for (; bins[upper] < k; upper--)
        k -= bins[upper];
    memset(bins, 0, 65536 * sizeof *bins);
    for (gint64 v = 0; v < n; v++)
        if (key_of(losses[v]) >> 16 == upper)
            bins[key_of(losses[v]) & 65535]++;
    for (; bins[lower] < k; lower--)
        k -= bins[lower];
    return upper << 16 | lower;
}

double loom_top_mean(const double *losses, float *pull, gint64 n, gint64 counted,
                     double percent, gint64 *k)
{
    const gint64 wanted = MAX(1, (gint64)((double)counted * percent / 100));
    gint64 above = 0, tied = 0;
    double sum = 0, tied_sum = 0;

    *k = counted ? wanted : 0;
    if (!counted)
        return 0;
    const guint32 limit = key_search(losses, n, wanted);
    for (gint64 v = 0; v < n; v++) {
        const guint32 key = key_of(losses[v]);

        above += key > limit;
        tied += key == limit;
        sum += key > limit ? losses[v] : 0;
        tied_sum += key == limit ? losses[v] : 0;
    }
    const double part = (double)(wanted - above) / (double)tied;
    for (gint64 v = 0; pull && v < n; v++) {
        const guint32 key = key_of(losses[v]);

        pull[v] *= key > limit ? 1 : key == limit ? (float)part : 0;
    }
    return (sum + part * tied_sum) / (double)wanted;
}
