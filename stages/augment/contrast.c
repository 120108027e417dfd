/* contrast - stretch or squeeze each channel about its mean, by chance:
 *   y = mean + f (x - mean), clipped to the range of x;  f below 1 as often as above
 * Source: nnU-Net v2's defaults: chance 0.15, 0.75 to 1.25, per channel. */
#include "intensity.h"
#include "outside.h"

typedef struct {
    double chance, low, high;
    LoomInts mask;
} Contrast;

static const LoomParam contrast_params[] = {
    LOOM_FLOAT(Contrast, chance, "0.15", 0, 1, NULL, "of any change at all"),
    LOOM_FLOAT(Contrast, low, "0.75", 0, 1e6, NULL, "smallest factor"),
    LOOM_FLOAT(Contrast, high, "1.25", 0, 1e6, NULL, "largest factor"),
    OUTSIDE_ROW(Contrast),
    {0},
};

static const LoomSlot contrast_image[] = {
    {"image", LOOM_F32, "CDHW", 0, "image"},
    {0},
};

static gboolean contrast_open(gpointer self, G_GNUC_UNUSED LoomHost *host, GError **error)
{
    const Contrast *contrast = self;

    return contrast->low <= contrast->high
           || loom_fail(error, LOOM_ERROR_CONFIG, "low (%g) must not be above high (%g)",
                        contrast->low, contrast->high);
}

static gboolean contrast_map(gpointer self, LoomPacket *packet, LoomContext *ctx,
                             GError **error)
{
    const Contrast *contrast = self;
    LoomRng rng = loom_context_rng(ctx);
    g_autoptr(LoomTensor) before = NULL;

    if (loom_rng_uniform(&rng, 0, 1) >= contrast->chance)
        return TRUE;
    LoomTensor *image = loom_packet_edit(packet, "image", error);
    if (!image || !outside_keep(&contrast->mask, image, &before, error))
        return FALSE;
    intensity_contrast(image, contrast->low, contrast->high, &rng);
    outside_restore(&contrast->mask, before, image);
    return TRUE;
}

static const LoomStage contrast = {
    .base = LOOM_STAGE(Contrast, "contrast",
                       "Stretch or squeeze intensities about their mean, by chance",
                       .params = contrast_params, .open = contrast_open),
    .reads = contrast_image,
    .writes = contrast_image,
    .flags = LOOM_STAGE_PURE,
    .map = contrast_map,
};
LOOM_MODULE("stage_contrast", "0.1", &contrast.base);
