/* loss - softmax and its Jacobian around any loss plugin, so that a loss is a formula:
 *   p_k = exp(z_k - max z) / sum_j exp(z_j - max z),   dL/dz_k = p_k (g_k - sum_j p_j g_j) */
#include <loom/context.h>
#include <loom/tensor.h>

#include <string.h>

#define LOSS_BLOCK 512 /* voxels at a time: what is kept of them stays in the first cache */

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

/* One block of voxels of one sample; planes are @stride apart; z may be p. */
static void softmax_block(const float *z, float *p, gint64 classes, gint64 stride, gint64 n)
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

void loom_softmax(const LoomTensor *logits, LoomTensor *probs)
{
    const gint64 samples = loom_tensor_size(logits, 'N');
    const gint64 classes = loom_tensor_size(logits, 'C');
    const gint64 voxels = loom_tensor_count(logits) / (samples * classes);
    float *p = loom_tensor_f32_mut(probs);
    const float *z = loom_tensor_f32(logits);

    g_assert(loom_tensor_count(probs) == loom_tensor_count(logits));
    for (gint64 i = 0; i < samples; i++)
        for (gint64 v = 0; v < voxels; v += LOSS_BLOCK) {
            const gint64 at = i * classes * voxels + v;

            softmax_block(z + at, p + at, classes, voxels, MIN(voxels - v, LOSS_BLOCK));
        }
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

static void softmax_jacobian(const LoomTensor *probs, LoomTensor *grad)
{
    const gint64 samples = loom_tensor_size(probs, 'N');
    const gint64 classes = loom_tensor_size(probs, 'C');
    const gint64 voxels = loom_tensor_count(probs) / (samples * classes);
    const float *p = loom_tensor_f32(probs);
    float *g = loom_tensor_f32_mut(grad);

    for (gint64 i = 0; i < samples; i++)
        for (gint64 v = 0; v < voxels; v += LOSS_BLOCK) {
            const gint64 at = i * classes * voxels + v;

            jacobian_block(p + at, g + at, classes, voxels, MIN(voxels - v, LOSS_BLOCK));
        }
}

static gboolean check_target(const LoomTensor *logits, const LoomTensor *target, GError **error)
{
    const gint64 classes = loom_tensor_size(logits, 'C');
    const guint8 *t;
    guint8 highest = 0;

    if (!loom_tensor_check(logits, LOOM_F32, "NCDHW", "logits", error)
        || !loom_tensor_check(target, LOOM_U8, "NDHW", "label", error)
        || !loom_tensor_check_grid(logits, "logits", target, "label", error))
        return FALSE;
    if (loom_tensor_size(logits, 'N') != loom_tensor_size(target, 'N'))
        return loom_fail(error, LOOM_ERROR_SHAPE,
                         "'logits' has %" G_GINT64_FORMAT
                         " samples, 'label' has %" G_GINT64_FORMAT,
                         loom_tensor_size(logits, 'N'), loom_tensor_size(target, 'N'));
    t = loom_tensor_u8(target);
    for (gint64 v = 0; v < loom_tensor_count(target); v++)
        highest = t[v] > highest ? t[v] : highest;
    if (highest >= classes)
        return loom_fail(error, LOOM_ERROR_SHAPE,
                         "'label' has a voxel of class %u, the logits have %" G_GINT64_FORMAT
                         " classes (0 to %" G_GINT64_FORMAT ")",
                         highest, classes, classes - 1);
    return TRUE;
}

gboolean loom_loss_eval(const LoomInstance *loss, const LoomTensor *logits,
                        const LoomTensor *target, double *value, LoomTensor *dlogits,
                        GError **error)
{
    const LoomLoss *plugin = (const LoomLoss *)loss->plugin;
    g_autoptr(LoomTensor) probs = NULL;

    if (!check_target(logits, target, error))
        return FALSE;
    if (dlogits) {
        g_assert(loom_tensor_count(dlogits) == loom_tensor_count(logits));
        memset(loom_tensor_f32_mut(dlogits), 0, loom_tensor_bytes(dlogits));
    }
    if (plugin->input == LOOM_LOSS_ON_LOGITS)
        return plugin->eval(loss->self, logits, target, value, dlogits, error);
    if (!(probs = loom_tensor_new_like(logits, error)))
        return FALSE;
    loom_softmax(logits, probs);
    if (!plugin->eval(loss->self, probs, target, value, dlogits, error))
        return FALSE;
    if (dlogits)
        softmax_jacobian(probs, dlogits);
    return TRUE;
}
