/* gamma - raise intensities to a power, by chance, each channel by itself:
 *   y = ((x - min) / (max - min))^f (max - min) + min, then mean and deviation of x restored
 * f below 1 as often as above; `invert`: of -x, and negated again.
 * Source: nnU-Net v2's defaults: 0.7 to 1.5; chance 0.3, and of the inverted image 0.1. */
#include "intensity.h"
#include "outside.h"

typedef struct {
    double chance, low, high;
    gboolean invert;
    LoomInts mask;
} Gamma;

static const LoomParam gamma_params[] = {
    LOOM_FLOAT(Gamma, chance, "0.3", 0, 1, NULL, "of any change at all"),
    LOOM_FLOAT(Gamma, low, "0.7", 0.01, 100, NULL, "smallest power"),
    LOOM_FLOAT(Gamma, high, "1.5", 0.01, 100, NULL, "largest power"),
    LOOM_BOOL(Gamma, invert, "false", "of the inverted image: what is bright changes most"),
    OUTSIDE_ROW(Gamma),
    {0},
};

static const LoomSlot gamma_image[] = {
    {"image", LOOM_F32, "CDHW", 0, "image"},
    {0},
};

static gboolean gamma_open(gpointer self, G_GNUC_UNUSED LoomHost *host, GError **error)
{
    const Gamma *power = self;

    return power->low <= power->high
           || loom_fail(error, LOOM_ERROR_CONFIG, "low (%g) must not be above high (%g)",
                        power->low, power->high);
}

static gboolean gamma_map(gpointer self, LoomPacket *packet, LoomContext *ctx, GError **error)
{
    const Gamma *power = self;
    LoomRng rng = loom_context_rng(ctx);
    g_autoptr(LoomTensor) before = NULL;

    if (loom_rng_uniform(&rng, 0, 1) >= power->chance)
        return TRUE;
    LoomTensor *image = loom_packet_edit(packet, "image", error);
    if (!image || !outside_keep(&power->mask, image, &before, error))
        return FALSE;
    intensity_gamma(image, power->low, power->high, power->invert, &rng);
    outside_restore(&power->mask, before, image);
    return TRUE;
}

static const LoomStage gamma_stage = {
    .base = LOOM_STAGE(Gamma, "gamma",
                       "Raise intensities to a power, mean and deviation kept, by chance",
                       .params = gamma_params, .open = gamma_open),
    .reads = gamma_image,
    .writes = gamma_image,
    .flags = LOOM_STAGE_PURE,
    .map = gamma_map,
};
LOOM_MODULE("stage_gamma", "0.1", &gamma_stage.base);
