/* cross_entropy - weighted mean over voxels of -log p_t, t the voxel's class:
 *   L = sum_v w_t (-log p_t) / sum_v w_t,   dL/dz_k = w_t (p_k - [k = t]) / sum_v w_t
 *   -log p_t = (max z - z_t) - log(max p), where max p is 1 / classes to 1: nothing underflows
 * Source: torch.nn.functional.cross_entropy, with its `weight`. */
#include <loom/loom.h>

#include <math.h>

typedef struct {
    LoomFloats weights;
} CrossEntropy;

static const LoomParam cross_entropy_params[] = {
    LOOM_FLOATS(CrossEntropy, weights, "[]", 0, 1e6, NULL, "one number a class; empty: all 1"),
    {0},
};

static double weight_of(const CrossEntropy *self, gint64 k)
{
    return self->weights.n ? self->weights.v[k] : 1;
}

static gboolean total_weight(const CrossEntropy *self, const LoomTensor *target, double *total,
                             GError **error)
{
    const guint8 *t = loom_tensor_u8(target);
    gint64 voxels[256] = {0};

    for (gint64 v = 0; v < loom_tensor_count(target); v++)
        voxels[t[v]]++;
    *total = 0;
    for (gint64 k = 0; k < 256; k++)
        *total += voxels[k] ? (double)voxels[k] * weight_of(self, k) : 0;
    if (*total > 0)
        return TRUE;
    return loom_fail(error, LOOM_ERROR_NUMERIC,
                     "the weight of every class that occurs in the label is 0: "
                     "there is nothing to take the mean of");
}

/* -log p_t of a voxel; @z, @p: of class 0, planes @stride apart. */
static double surprise(const float *z, const float *p, gint64 classes, gint64 stride, gint64 t)
{
    gint64 best = 0;

    for (gint64 k = 1; k < classes; k++)
        best = z[k * stride] > z[best * stride] ? k : best;
    return (double)z[best * stride] - (double)z[t * stride] - log((double)p[best * stride]);
}

static gboolean cross_entropy_eval(gpointer self, const LoomTensor *logits,
                                   const LoomTensor *target, double *value, LoomTensor *grad,
                                   GError **error)
{
    const CrossEntropy *entropy = self;
    const gint64 samples = loom_tensor_size(logits, 'N'), c = loom_tensor_size(logits, 'C');
    const gint64 voxels = loom_tensor_count_from(logits, 'D');
    g_autoptr(LoomTensor) scratch = NULL;
    LoomTensor *probs = grad;
    double total, sum = 0;

    if (entropy->weights.n && entropy->weights.n != c)
        return loom_fail(error, LOOM_ERROR_SHAPE,
                         "'weights' has %u numbers, the logits have %" G_GINT64_FORMAT
                         " classes",
                         entropy->weights.n, c);
    if (!total_weight(entropy, target, &total, error))
        return FALSE;
    if (!grad && !(probs = scratch = loom_tensor_new_like(logits, error)))
        return FALSE;
    loom_softmax(logits, probs);

    for (gint64 i = 0; i < samples; i++) {
        const float *z = loom_tensor_f32(logits) + i * c * voxels;
        const guint8 *t = loom_tensor_u8(target) + i * voxels;
        float *p = loom_tensor_f32_mut(probs) + i * c * voxels;

        for (gint64 v = 0; v < voxels; v++) {
            const double share = weight_of(entropy, t[v]) / total;

            sum += share * surprise(z + v, p + v, c, voxels, t[v]);
            for (gint64 k = 0; grad && k < c; k++)
                p[k * voxels + v] = (float)share * (p[k * voxels + v] - (k == t[v] ? 1 : 0));
        }
    }
    *value = sum;
    return TRUE;
}

static const LoomLoss cross_entropy = {
    .base = LOOM_LOSS(CrossEntropy, "cross_entropy", "Cross entropy, with class weights",
                      .params = cross_entropy_params),
    .input = LOOM_LOSS_ON_LOGITS,
    .eval = cross_entropy_eval,
};
LOOM_MODULE("loss_cross_entropy", "0.1", &cross_entropy.base);
