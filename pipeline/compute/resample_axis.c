/* resample_axis - what the outputs of one axis are made of; the coefficients of cubic splines.
 *
 * A cubic B-spline goes through samples s when its coefficients are c = 6 s * (1, 4, 1)^-1: a
 * recursion forwards and one backwards with the pole z = sqrt(3) - 2,
 *   f[k] = s[k] + z f[k-1],   c[k] = 6 z (c[k+1] - f[k])
 * Lines that go on with their last value for ever begin with f[-1] = s[0] / (1 - z), and end
 * with the sum of what is still to come, which is geometric:
 *   c[k] = -6 z (e / (1 - z) + (f[k] - e) / (1 - z^2)),   e = s[n-1] / (1 - z)
 * scipy pads by 12 samples instead, which is the same to |z|^12 = 1.4e-7.
 * Source: Unser, Aldroubi, Eden 1993, B-spline signal processing, part II. */
#include <loom/resample.h>

#include <math.h>
#include <string.h>

static const double spline_pole = -0.26794919243112270647; /* sqrt(3) - 2 */

/* Weights of the four coefficients around a place @t behind the second of them. */
static void cubic_weights(double t, float *weights)
{
    const double u = 1 - t;

    weights[0] = (float)(u * u * u / 6);
    weights[1] = (float)((4 - 6 * t * t + 3 * t * t * t) / 6);
    weights[2] = (float)((4 - 6 * u * u + 3 * u * u * u) / 6);
    weights[3] = (float)(t * t * t / 6);
}

static void output_place(LoomResampleAxis *axis, gint64 o)
{
    const double step = (double)axis->in / (double)axis->out;
    const double place = ((double)o + 0.5) * step - 0.5; /* -0.5 .. in - 0.5 */
    const gint64 last = axis->in - 1;
    float *weights = axis->weights + o * axis->taps;

    if (axis->order == 0) {
        axis->first[o] = axis->in == axis->out ? o : CLAMP((gint64)floor(place + 0.5), 0, last);
        weights[0] = 1;
    } else if (axis->order == 1) {
        const double inside = CLAMP(place, 0, (double)last);

        axis->first[o] = MIN((gint64)inside, last - 1);
        weights[1] = (float)(inside - (double)axis->first[o]);
        weights[0] = (float)(1 - (inside - (double)axis->first[o]));
    } else {
        const double below = floor(place);

        axis->first[o] = (gint64)below - 1 + LOOM_SPLINE_PAD;
        cubic_weights(place - below, weights);
    }
}

LoomResampleAxis *loom_resample_axis_new(gint64 in, gint64 out, guint order)
{
    LoomResampleAxis *axis = g_new0(LoomResampleAxis, 1);

    g_assert(in > 0 && out > 0 && (order <= 1 || order == 3));
    axis->in = in;
    axis->out = out;
    axis->order = in == out || in == 1 ? 0 : order;
    axis->taps = axis->order + 1;
    axis->first = g_new(gint64, (gsize)out);
    axis->weights = g_new(float, (gsize)out * axis->taps);
    for (gint64 o = 0; o < out; o++)
        output_place(axis, o);
    return axis;
}

void loom_resample_axis_free(LoomResampleAxis *axis)
{
    if (!axis)
        return;
    g_free(axis->first);
    g_free(axis->weights);
    g_free(axis);
}

void loom_spline_coefficients(float *x, gint64 n, gint64 width)
{
    const float z = (float)spline_pole, past = (float)(1 / (1 - spline_pole));
    const float rest = (float)(1 / (1 - spline_pole * spline_pole));
    const gint64 rows = n + 2 * LOOM_SPLINE_PAD, end = rows - 1;
    const gint64 first = LOOM_SPLINE_PAD, last = first + n - 1;

    for (gint64 k = 0; k < first; k++) /* the recursion's own fixed point */
        for (gint64 i = 0; i < width; i++)
            x[k * width + i] = x[first * width + i] * past;
    for (gint64 k = last + 1; k < rows; k++)
        memcpy(x + k * width, x + last * width, (gsize)width * sizeof *x);
    /* before the last sample is overwritten: e is needed behind the forward recursion */
    for (gint64 k = first; k < end; k++)
        for (gint64 i = 0; i < width; i++)
            x[k * width + i] += z * x[(k - 1) * width + i];
    for (gint64 i = 0; i < width; i++) {
        const float e = x[end * width + i] * past;
        const float f = x[end * width + i] + z * x[(end - 1) * width + i];

        x[end * width + i] = -6 * z * past * e - 6 * z * rest * (f - e);
    }
    for (gint64 k = end - 1; k >= 0; k--)
        for (gint64 i = 0; i < width; i++)
            x[k * width + i] = z * (x[(k + 1) * width + i] - 6 * x[k * width + i]);
}

gint64 loom_resample_size(gint64 size, double from_mm, double to_mm)
{
    const double wanted = rint((double)size * (from_mm / to_mm));

    if (!(wanted < 9e18))
        return G_MAXINT64;
    return MAX((gint64)wanted, 1);
}
