/* windows - where windows lie along an axis, and how much each of their voxels counts. */
#include "windows.h"

#include <math.h>

gint64 *windows_starts(gint64 volume, gint64 size, double overlap, guint *n)
{
    const double way = (double)(volume - size), step = (double)size * (1.0 - overlap);
    gint64 *starts;

    /* 1e-9: 10 * (1 - 0.9) is a little below 1, and must not cost one more window */
    *n = (guint)ceil(way / step - 1e-9) + 1;
    starts = g_new0(gint64, *n);
    for (guint i = 1; i < *n; i++)
        starts[i] = (gint64)rint(way * i / (*n - 1)); /* half to even, as numpy rounds */
    return starts;
}

float *windows_weights(gint64 size)
{
    const double sigma = (double)size / 8.0;
    float *weights = g_new(float, (gsize)size);

    for (gint64 i = 0; i < size; i++) {
        const double x = (double)(i - size / 2) / sigma;

        weights[i] = (float)exp(-0.5 * x * x); /* |x| <= 4: never 0, even times three */
    }
    return weights;
}

float *windows_totals(gint64 volume, gint64 size, const gint64 *starts, guint n,
                      const float *weights)
{
    float *totals = g_new0(float, (gsize)volume);

    for (guint i = 0; i < n; i++)
        for (gint64 k = 0; k < size; k++)
            totals[starts[i] + k] += weights[k];
    return totals;
}
