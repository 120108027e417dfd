/* outside - what was 0 before an image changed is 0 again afterwards, channel by channel.
 * Source: nnU-Net v2's MaskImageTransform, which has the mask of the normalisation at hand;
 * here it is known by its exact zeros. */
#include "outside.h"

enum { MASK_NONE, MASK_NONZERO };
const char *const outside_masks[] = {"none", "nonzero", NULL};

static gboolean masked(const LoomInts *mask, gint64 channel)
{
    return mask->v[mask->n == 1 ? 0 : channel] == MASK_NONZERO;
}

gboolean outside_keep(const LoomInts *mask, const LoomTensor *image, LoomTensor **before,
                      GError **error)
{
    const gint64 channels = loom_tensor_size(image, 'C');
    gboolean any = FALSE;

    *before = NULL;
    if (mask->n != 1 && (gint64)mask->n != channels)
        return loom_fail(error, LOOM_ERROR_SHAPE,
                         "mask has %u entries, 'image' has %" G_GINT64_FORMAT
                         " channels; want one for each, or one for all",
                         mask->n, channels);
    for (gint64 c = 0; c < channels; c++)
        any = any || masked(mask, c);
    return !any || (*before = loom_tensor_copy(image, error)) != NULL;
}

void outside_restore(const LoomInts *mask, const LoomTensor *before, LoomTensor *image)
{
    const gint64 channels = loom_tensor_size(image, 'C');
    const gint64 voxels = loom_tensor_count_from(image, 'D');

    for (gint64 c = 0; before && c < channels; c++) {
        const float *was = loom_tensor_f32(before) + c * voxels;
        float *x = loom_tensor_f32_mut(image) + c * voxels;

        for (gint64 v = 0; masked(mask, c) && v < voxels; v++)
            x[v] = was[v] == 0 ? 0 : x[v];
    }
}
