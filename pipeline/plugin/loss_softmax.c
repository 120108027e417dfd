/* loss_softmax - softmax over the classes and its Jacobian, block by block, on many threads:
 *   p_k = exp(z_k - max z) / sum_j exp(z_j - max z),   dL/dz_k = p_k (g_k - sum_j p_j g_j) */
#include "loss_kit.h"

#include <string.h>

#define LOSS_LOWEST -87.0f /* exp of it is 1.6e-38, above the smallest normal number */

/* exp(x) for LOSS_LOWEST <= x <= 0 without a branch or a call, so that the loops below become
 * vector code: x = n ln 2 + r, |r| <= ln 2 / 2, and a polynomial of degree 6 for exp(r);
 * relative error below 1e-7, exp(0) = 1 exactly, NaN stays NaN. Source: Cody and Waite's
 * reduction; coefficients of Cephes expf. */
static inline float exp_bounded(float x)
{
    const union {
        float value;
        guint32 bits;
    } shifted = {x * 1.44269504f + 12582912.0f}; /* 1.5 * 2^23: n is in the low bits */
    const float n = shifted.value - 12582912.0f;
    const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    const union {
        guint32 bits;
        float value;
    } power = {(shifted.bits + 127u) << 23}; /* 2^n: the exponent field takes 8 bits of n */
    float y = 1.9875691500e-4f;

    y = y * r + 1.3981999507e-3f;
    y = y * r + 8.3334519073e-3f;
    y = y * r + 4.1665795894e-2f;
    y = y * r + 1.6666665459e-1f;
    y = y * r + 5.0000001201e-1f;
    y = y * r * r + r + 1.0f;
    return y * power.value;
}

/* p = exp(z - highest), of one class; its own loop for the bound keeps the compiler from
 * splitting the polynomial's loop in two by a branch. */
static void exp_plane(const float *z, const float *highest, float *p, float *sum, gint64 n)
{
    float x[LOSS_BLOCK];

    for (gint64 v = 0; v < n; v++) {
        const float below = z[v] - highest[v];

        x[v] = below < LOSS_LOWEST ? LOSS_LOWEST : below;
    }
    for (gint64 v = 0; v < n; v++) {
        p[v] = exp_bounded(x[v]);
        sum[v] += p[v];
    }
}

void loom_softmax_block(const float *z, float *p, gint64 classes, gint64 stride, gint64 n)
{
    float highest[LOSS_BLOCK], sum[LOSS_BLOCK] = {0};

    memcpy(highest, z, (gsize)n * sizeof *z);
    for (gint64 k = 1; k < classes; k++)
        for (gint64 v = 0; v < n; v++)
            highest[v] = z[k * stride + v] > highest[v] ? z[k * stride + v] : highest[v];
    for (gint64 k = 0; k < classes; k++)
        exp_plane(z + k * stride, highest, p + k * stride, sum, n);
    for (gint64 v = 0; v < n; v++)
        sum[v] = 1.0f / sum[v];
    for (gint64 k = 0; k < classes; k++)
        for (gint64 v = 0; v < n; v++)
            p[k * stride + v] *= sum[v];
}

/* g becomes p (g - sum_j p_j g_j). */
static void jacobian_block(const float *p, float *g, gint64 classes, gint64 stride, gint64 n)
{
    float sum[LOSS_BLOCK] = {0};

    for (gint64 k = 0; k < classes; k++)
        for (gint64 v = 0; v < n; v++)
            sum[v] += p[k * stride + v] * g[k * stride + v];
    for (gint64 k = 0; k < classes; k++)
        for (gint64 v = 0; v < n; v++)
            g[k * stride + v] = p[k * stride + v] * (g[k * stride + v] - sum[v]);
}

/* ---- over whole tensors ------------------------------------------------------------- */

typedef struct {
    const float *from;
    float *to;
    gint64 classes, voxels, chunks;
    void (*block)(const float *from, float *to, gint64 classes, gint64 stride, gint64 n);
} Planes;

static void planes_chunk(gint64 i, G_GNUC_UNUSED guint worker, gpointer data)
{
    const Planes *planes = data;
    const gint64 first = i % planes->chunks * LOSS_CHUNK;
    const gint64 end = MIN(first + LOSS_CHUNK, planes->voxels);

    for (gint64 v = first; v < end; v += LOSS_BLOCK) {
        const gint64 at = i / planes->chunks * planes->classes * planes->voxels + v;

        planes->block(planes->from + at, planes->to + at, planes->classes, planes->voxels,
                      MIN(end - v, LOSS_BLOCK));
    }
}

static void planes_run(LoomPool *pool, const LoomTensor *from, LoomTensor *to,
                       void (*block)(const float *, float *, gint64, gint64, gint64))
{
    const gint64 samples = loom_tensor_size(from, 'N'), classes = loom_tensor_size(from, 'C');
    const gint64 voxels = loom_tensor_count(from) / (samples * classes);
    const gint64 chunks = (voxels + LOSS_CHUNK - 1) / LOSS_CHUNK;
    Planes planes = {
        loom_tensor_f32(from), loom_tensor_f32_mut(to), classes, voxels, chunks, block};

    g_assert(loom_tensor_count(from) == loom_tensor_count(to));
    loom_pool_run(pool, samples * chunks, planes_chunk, &planes);
}

void loom_softmax_on(LoomPool *pool, const LoomTensor *logits, LoomTensor *probs)
{
    planes_run(pool, logits, probs, loom_softmax_block);
}

void loom_softmax(const LoomTensor *logits, LoomTensor *probs)
{
    planes_run(NULL, logits, probs, loom_softmax_block);
}

void loom_softmax_jacobian(LoomPool *pool, const LoomTensor *probs, LoomTensor *grad)
{
    planes_run(pool, probs, grad, jacobian_block);
}
