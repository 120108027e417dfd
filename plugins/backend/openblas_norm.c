/* openblas_norm - instance normalisation and leaky ReLU, one channel of one sample at a time:
 *   y = leaky(scale (z - mean) / sqrt(variance + 1e-5) + shift)
 * Source: Ulyanov et al. 2016, biased variance; the backward formula is reference.c's. */
#include "openblas.h"

#include <math.h>

#define NORM_EPSILON 1e-5
#define LEAK 0.01f
#define LANES 16 /* sums kept side by side, so that the loop can be vectorised */

typedef struct {
    LoomBlock *block;
    const LoomBlockWeights *w;
    const float *z;
    float *y;
} NormJob;

/* Sum over i of (z[i] - mean)^power. */
OPENBLAS_WIDE
static double norm_sum(const float *restrict z, gint64 count, float mean, gboolean squared)
{
    double lane[LANES] = {0}, sum = 0.0;
    gint64 i = 0;

    if (squared)
        for (; i + LANES <= count; i += LANES)
            for (gint64 l = 0; l < LANES; l++)
                lane[l] += (double)(z[i + l] - mean) * (double)(z[i + l] - mean);
    else
        for (; i + LANES <= count; i += LANES)
            for (gint64 l = 0; l < LANES; l++)
                lane[l] += (double)(z[i + l] - mean);
    for (; i < count; i++)
        sum += squared ? (double)(z[i] - mean) * (double)(z[i] - mean) : (double)(z[i] - mean);
    for (gint64 l = 0; l < LANES; l++)
        sum += lane[l];
    return sum;
}

/* Around the mean, not z gain + offset: where the mean is large that would cancel. */
OPENBLAS_WIDE
static void norm_apply(const float *z, gint64 count, float mean, float gain, float shift,
                       float leak, float *y)
{
    for (gint64 i = 0; i < count; i++) {
        const float v = gain * (z[i] - mean) + shift;

        y[i] = v > 0.0f ? v : leak * v;
    }
}

static void norm_plane(gint64 i, G_GNUC_UNUSED guint worker, gpointer data)
{
    const NormJob *job = data;
    LoomBlock *block = job->block;
    const gint64 count = block->outer, k = i % block->spec.c_out;
    const float *z = job->z + i * count, leak = block->spec.activation ? LEAK : 1.0f;
    float gain = 1.0f, shift = 0.0f, around = 0.0f;

    if (block->spec.norm) {
        const double mean = norm_sum(z, count, 0.0f, FALSE) / (double)count;
        const double rest = mean - (double)(float)mean; /* the square is taken around a float */
        const double variance =
            norm_sum(z, count, (float)mean, TRUE) / (double)count - rest * rest;
        const double rstd = 1.0 / sqrt(MAX(variance, 0.0) + NORM_EPSILON);

        block->mean[i] = mean;
        block->rstd[i] = rstd;
        around = (float)mean;
        gain = (float)(rstd * (double)job->w->scale->data[k]);
        shift = job->w->shift->data[k];
    }
    norm_apply(z, count, around, gain, shift, leak, job->y + i * count);
}

void norm_forward(Openblas *self, LoomBlock *block, const LoomBlockWeights *w, const float *z,
                  float *y)
{
    NormJob job = {block, w, z, y};

    loom_pool_run(self->pool, block->spec.n * block->spec.c_out, norm_plane, &job);
}

/* ---- backward ----------------------------------------------------------------------- */

typedef struct {
    LoomBlock *block;
    const LoomBlockWeights *w;
    const float *y;
    float *dy;
} BackJob;

/* dy *= leaky'(y), in place; the sum of the result. */
OPENBLAS_WIDE
static double back_leak(const float *restrict y, float *restrict dy, gint64 count, float leak)
{
    double lane[LANES] = {0}, sum = 0.0;
    gint64 i = 0;

    for (; i + LANES <= count; i += LANES)
        for (gint64 l = 0; l < LANES; l++) {
            dy[i + l] *= y[i + l] > 0.0f ? 1.0f : leak;
            lane[l] += (double)dy[i + l];
        }
    for (; i < count; i++) {
        dy[i] *= y[i] > 0.0f ? 1.0f : leak;
        sum += (double)dy[i];
    }
    for (gint64 l = 0; l < LANES; l++)
        sum += lane[l];
    return sum;
}

/* Sum of g (z - mean). */
OPENBLAS_WIDE
static double back_dot(const float *restrict g, const float *restrict z, gint64 count,
                       float mean)
{
    double lane[LANES] = {0}, sum = 0.0;
    gint64 i = 0;

    for (; i + LANES <= count; i += LANES)
        for (gint64 l = 0; l < LANES; l++)
            lane[l] += (double)(g[i + l] * (z[i + l] - mean));
    for (; i < count; i++)
        sum += (double)(g[i] * (z[i] - mean));
    for (gint64 l = 0; l < LANES; l++)
        sum += lane[l];
    return sum;
}

/* g = gain (g - mean_g - (z - mean) slope) */
OPENBLAS_WIDE
static void back_norm(float *restrict g, const float *restrict z, gint64 count, float gain,
                      float mean_g, float mean, float slope)
{
    for (gint64 i = 0; i < count; i++)
        g[i] = gain * (g[i] - mean_g - (z[i] - mean) * slope);
}

static void back_plane(gint64 i, G_GNUC_UNUSED guint worker, gpointer data)
{
    const BackJob *job = data;
    LoomBlock *block = job->block;
    const gint64 count = block->outer, k = i % block->spec.c_out;
    float *g = job->dy + i * count;
    double *sums = block->sums + 2 * i;

    sums[0] = back_leak(job->y + i * count, g, count, block->spec.activation ? LEAK : 1.0f);
    if (!block->spec.norm)
        return;
    const float *z = block->z + i * count, mean = (float)block->mean[i];
    const double rstd = block->rstd[i], mean_g = sums[0] / (double)count;

    sums[1] = back_dot(g, z, count, mean) * rstd;
    back_norm(g, z, count, (float)((double)job->w->scale->data[k] * rstd), (float)mean_g, mean,
              (float)(rstd * sums[1] / (double)count));
}

void norm_backward(Openblas *self, LoomBlock *block, const LoomBlockWeights *w, const float *y,
                   float *dy, const LoomBlockWeights *dw)
{
    const gint64 c_out = block->spec.c_out;
    BackJob job = {block, w, y, dy};

    loom_pool_run(self->pool, block->spec.n * c_out, back_plane, &job);
    for (gint64 k = 0; k < c_out; k++) {
        double sum = 0.0, dot = 0.0;

        for (gint64 n = 0; n < block->spec.n; n++) {
            sum += block->sums[2 * (n * c_out + k)];
            dot += block->sums[2 * (n * c_out + k) + 1];
        }
        if (block->spec.norm) { /* the mean takes the bias away again: its gradient is 0 */
            dw->shift->data[k] += (float)sum;
            dw->scale->data[k] += (float)dot;
        } else {
            dw->bias->data[k] += (float)sum;
        }
    }
}
