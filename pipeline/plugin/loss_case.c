/* loss_case - logits and labels to try a loss with: small, seeded. */
#include "loss_case.h"

#include <loom/context.h>

LoomTensor *loom_case_logits(LoomCaseShape shape, guint64 seed, double range)
{
    LoomTensor *logits = loom_tensor_new(LOOM_F32, "NCDHW", shape, NULL);
    LoomRng rng = loom_rng(seed, "check logits", 0);

    g_assert_nonnull(logits); /* a few kilobytes */
    for (gint64 i = 0; i < loom_tensor_count(logits); i++)
        loom_tensor_f32_mut(logits)[i] = (float)loom_rng_uniform(&rng, -range, range);
    return logits;
}

LoomTensor *loom_case_labels(LoomCaseShape shape, guint64 seed, gint64 without)
{
    const gint64 grid[4] = {shape[0], shape[2], shape[3], shape[4]};
    const gint64 n = shape[1] - (without < 0 ? 0 : 1);
    LoomTensor *labels = loom_tensor_new(LOOM_U8, "NDHW", grid, NULL);
    LoomRng rng = loom_rng(seed, "check labels", 0);

    g_assert_nonnull(labels);
    for (gint64 v = 0; v < loom_tensor_count(labels); v++) {
        const gint64 k = loom_rng_below(&rng, n);

        loom_tensor_u8_mut(labels)[v] = (guint8)(without >= 0 && k >= without ? k + 1 : k);
    }
    return labels;
}

void loom_case_believe(LoomTensor *logits, const LoomTensor *labels, gint64 shift, float height)
{
    const gint64 c = loom_tensor_size(logits, 'C');
    const gint64 voxels = loom_tensor_count_from(logits, 'D');

    for (gint64 v = 0; v < loom_tensor_count(labels); v++) {
        const gint64 k = (loom_tensor_u8(labels)[v] + shift) % c;

        loom_tensor_f32_mut(logits)[(v / voxels * c + k) * voxels + v % voxels] += height;
    }
}
