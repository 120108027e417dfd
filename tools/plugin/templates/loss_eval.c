/* newname - mean distance between probabilities and truth: mean |p - t| */
#include <loom/loom.h>

typedef struct {
    double weight;
} Params;

/* A row is a key of the YAML, its check, its default and its documentation. */
static const LoomParam params[] = {
    LOOM_FLOAT(Params, weight, "1", 0, 1e6, NULL, "factor of the whole loss"),
    {0},
};

/* Value and gradient from the tensors.  Everything is in hand: ignored voxels, threads and
 * batches too, so prefer .region or .voxel of loom/loss_kit.h where they are enough. */
static gboolean newname_eval(gpointer self, const LoomTensor *p, const LoomTensor *target,
                             double *value, LoomTensor *grad, G_GNUC_UNUSED GError **error)
{
    const gint64 classes = loom_tensor_size(p, 'C'), voxels = loom_tensor_count_from(p, 'D');
    const guint8 *truth = loom_tensor_u8(target);
    gint64 counted = 0;

    *value = 0;
    for (gint64 v = 0; v < loom_tensor_count(target); v++)
        counted += truth[v] != LOOM_IGNORED;
    const double weight = ((const Params *)self)->weight;
    const double scale = weight / (double)(MAX(counted, 1) * classes);
    for (gint64 i = 0; i < loom_tensor_count(p); i++) {
        const gint64 v = i % voxels, k = i / voxels % classes, n = i / voxels / classes;
        const guint8 t = truth[n * voxels + v];
        const double x = (double)loom_tensor_f32(p)[i];

        if (t == LOOM_IGNORED)
            continue;
        *value += scale * (t == k ? 1 - x : x);
        if (grad) /* NULL: only the value is wanted */
            loom_tensor_f32_mut(grad)[i] = (float)(t == k ? -scale : scale);
    }
    return TRUE;
}

static const LoomLoss newname_loss = {
    .base = LOOM_LOSS(Params, "newname", "Mean absolute error", .params = params),
    .input = LOOM_LOSS_ON_PROBS, /* softmax and its Jacobian are the engine's */
    .eval = newname_eval,
};
LOOM_MODULE("loss_newname", "0.1", &newname_loss.base);
