/* zscore - zero mean and unit deviation, for each image and channel:
 *   y = (x - mean) / max(sd, 1e-8),  sd of the population
 * With `mask: nonzero` over the voxels that are not 0, and the others stay 0.  (nnU-Net's mask,
 * of all channels and with what it encloses, is that of `normalise`.) Source: Isensee et al.
 * 2021 (nnU-Net), z-score normalisation. */
#include <loom/loom.h>

#include <math.h>

#define ZSCORE_SD_FLOOR 1e-8 /* nnU-Net's: a constant image becomes zeros */

typedef struct {
    int mask;
} Zscore;

enum { MASK_NONE, MASK_NONZERO };
static const char *const zscore_masks[] = {"none", "nonzero", NULL};

static const LoomParam zscore_params[] = {
    LOOM_ENUM(Zscore, mask, "none", zscore_masks,
              "nonzero: statistics over voxels that are not 0, the others stay 0"),
    {0},
};

static const LoomSlot zscore_image[] = {
    {"image", LOOM_F32, "CDHW", 0, "intensity in, mean 0 and deviation 1 out"},
    {0},
};

/* Two passes: the sum of squares minus the squared sum loses all digits of a small deviation.
 */
static gboolean zscore_channel(float *x, gint64 count, gboolean masked, GError **error)
{
    double sum = 0, squares = 0;
    gint64 n = 0;

    for (gint64 i = 0; i < count; i++)
        if (!masked || x[i] != 0.0f) {
            sum += (double)x[i];
            n++;
        }
    if (n == 0)
        return TRUE; /* zeros stay zeros */
    const double mean = sum / (double)n;
    for (gint64 i = 0; i < count; i++)
        if (!masked || x[i] != 0.0f)
            squares += ((double)x[i] - mean) * ((double)x[i] - mean);
    const double sd = sqrt(squares / (double)n), gain = 1.0 / MAX(sd, ZSCORE_SD_FLOOR);
    if (!isfinite(sd))
        return loom_fail(error, LOOM_ERROR_NUMERIC,
                         "'image' has voxels that are not finite, so no mean");
    for (gint64 i = 0; i < count; i++)
        if (!masked || x[i] != 0.0f)
            x[i] = (float)(((double)x[i] - mean) * gain);
    return TRUE;
}

static gboolean zscore_map(gpointer self, LoomPacket *packet, G_GNUC_UNUSED LoomContext *ctx,
                           GError **error)
{
    const Zscore *zscore = self;
    LoomTensor *image = loom_packet_edit(packet, "image", error);

    if (!image)
        return FALSE;
    const gint64 channels = loom_tensor_size(image, 'C');
    const gint64 voxels = loom_tensor_count_from(image, 'D');

    for (gint64 c = 0; c < channels; c++)
        if (!zscore_channel(loom_tensor_f32_mut(image) + c * voxels, voxels,
                            zscore->mask == MASK_NONZERO, error))
            return FALSE;
    return TRUE;
}

static const LoomStage zscore = {
    .base = LOOM_STAGE(Zscore, "zscore", "Zero mean, unit deviation for each image and channel",
                       .params = zscore_params),
    .reads = zscore_image,
    .writes = zscore_image,
    .flags = LOOM_STAGE_PURE | LOOM_STAGE_STEADY,
    .map = zscore_map,
    .need = loom_need_nothing,
};
LOOM_MODULE("stage_zscore", "0.1", &zscore.base);
