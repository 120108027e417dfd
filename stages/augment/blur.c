/* blur - Gaussian smoothing, by chance; sigma drawn for each axis of each channel.
 * Formula in gaussian.c.  Source: nnU-Net v2's defaults: chance 0.2, each channel with 0.5,
 * sigma 0.5 to 1 voxels. */
#include "gaussian.h"
#include "outside.h"

typedef struct {
    double chance, channel_chance, low, high;
    LoomInts mask;
} Blur;

static const LoomParam blur_params[] = {
    LOOM_FLOAT(Blur, chance, "0.2", 0, 1, NULL, "of any blur at all"),
    LOOM_FLOAT(Blur, channel_chance, "0.5", 0, 1, NULL, "of each channel, then"),
    LOOM_FLOAT(Blur, low, "0.5", 0, 10, "voxels", "smallest sigma"),
    LOOM_FLOAT(Blur, high, "1", 0, 10, "voxels", "largest sigma"),
    OUTSIDE_ROW(Blur),
    {0},
};

static const LoomSlot blur_image[] = {
    {"image", LOOM_F32, "CDHW", 0, "image"},
    {0},
};

static gboolean blur_open(gpointer self, G_GNUC_UNUSED LoomHost *host, GError **error)
{
    const Blur *blur = self;

    return blur->low <= blur->high
           || loom_fail(error, LOOM_ERROR_CONFIG, "low (%g) must not be above high (%g)",
                        blur->low, blur->high);
}

static gboolean blur_map(gpointer self, LoomPacket *packet, LoomContext *ctx, GError **error)
{
    const Blur *blur = self;
    LoomRng rng = loom_context_rng(ctx);
    g_autoptr(LoomTensor) before = NULL;

    if (loom_rng_uniform(&rng, 0, 1) >= blur->chance)
        return TRUE;
    LoomTensor *image = loom_packet_edit(packet, "image", error);
    if (!image || !outside_keep(&blur->mask, image, &before, error)
        || !gaussian_apply(image, blur->low, blur->high, blur->channel_chance, &rng, error))
        return FALSE;
    outside_restore(&blur->mask, before, image);
    return TRUE;
}

static const LoomStage blur = {
    .base = LOOM_STAGE(Blur, "blur", "Gaussian smoothing, by chance", .params = blur_params,
                       .open = blur_open),
    .reads = blur_image,
    .writes = blur_image,
    .flags = LOOM_STAGE_PURE,
    .map = blur_map,
};
LOOM_MODULE("stage_blur", "0.1", &blur.base);
