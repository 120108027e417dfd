/* scale_intensity - multiply the image by a random factor, by chance:
 *   y = f x,  f below 1 as often as above, for each channel its own or one for all
 * Source: nnU-Net v2's multiplicative brightness: chance 0.15, 0.75 to 1.25, per channel. */
#include "intensity.h"

typedef struct {
    double low, high, chance;
    gboolean per_channel;
} ScaleIntensity;

static const LoomParam scale_intensity_params[] = {
    LOOM_FLOAT(ScaleIntensity, low, "0.75", 0, 1e6, NULL, "smallest factor"),
    LOOM_FLOAT(ScaleIntensity, high, "1.25", 0, 1e6, NULL, "largest factor"),
    LOOM_FLOAT(ScaleIntensity, chance, "0.15", 0, 1, NULL, "of any change at all"),
    LOOM_BOOL(ScaleIntensity, per_channel, "true", "a factor of its own for each channel"),
    {0},
};

static const LoomSlot scale_intensity_image[] = {
    {"image", LOOM_F32, "CDHW", 0, "image"},
    {0},
};

static gboolean scale_intensity_open(gpointer self, G_GNUC_UNUSED LoomHost *host,
                                     GError **error)
{
    const ScaleIntensity *scale = self;

    if (scale->low > scale->high)
        return loom_fail(error, LOOM_ERROR_CONFIG, "low (%g) must not be above high (%g)",
                         scale->low, scale->high);
    return TRUE;
}

static gboolean scale_intensity_map(gpointer self, LoomPacket *packet, LoomContext *ctx,
                                    GError **error)
{
    const ScaleIntensity *scale = self;
    LoomRng rng = loom_context_rng(ctx);

    if (loom_rng_uniform(&rng, 0, 1) >= scale->chance)
        return TRUE;
    LoomTensor *image = loom_packet_edit(packet, "image", error);
    if (!image)
        return FALSE;
    intensity_scale(image, scale->low, scale->high, scale->per_channel, &rng);
    return TRUE;
}

static const LoomStage scale_intensity = {
    .base = LOOM_STAGE(ScaleIntensity, "scale_intensity",
                       "Multiply the image by a random factor, by chance",
                       .params = scale_intensity_params, .open = scale_intensity_open),
    .reads = scale_intensity_image,
    .writes = scale_intensity_image,
    .flags = LOOM_STAGE_PURE,
    .map = scale_intensity_map,
};
LOOM_MODULE("stage_scale_intensity", "0.1", &scale_intensity.base);
