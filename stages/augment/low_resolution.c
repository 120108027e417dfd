/* low_resolution - the image as if it had larger voxels, by chance: zoomed out by nearest
 * neighbour and back linearly.  Formula in coarse.c.  Source: nnU-Net v2's defaults: chance
 * 0.25, each channel with 0.5, zoom 0.5 to 1. */
#include "coarse.h"
#include "outside.h"

typedef struct {
    double chance, channel_chance, low, high;
    int slices;
    LoomInts mask;
} LowResolution;

static const char *const low_resolution_slices[] = {"none", "D", "H", "W", NULL};

static const LoomParam low_resolution_params[] = {
    LOOM_FLOAT(LowResolution, chance, "0.25", 0, 1, NULL, "of any change at all"),
    LOOM_FLOAT(LowResolution, channel_chance, "0.5", 0, 1, NULL, "of each channel, then"),
    LOOM_FLOAT(LowResolution, low, "0.5", 0.01, 1, NULL,
               "smallest zoom: 0.5 leaves half of the voxels along each axis"),
    LOOM_FLOAT(LowResolution, high, "1", 0.01, 1, NULL, "largest zoom"),
    LOOM_ENUM(LowResolution, slices, "none", low_resolution_slices,
              "axis across thick slices, which keeps its voxels"),
    OUTSIDE_ROW(LowResolution),
    {0},
};

static const LoomSlot low_resolution_image[] = {
    {"image", LOOM_F32, "CDHW", 0, "image"},
    {0},
};

static gboolean low_resolution_open(gpointer self, G_GNUC_UNUSED LoomHost *host, GError **error)
{
    const LowResolution *coarse = self;

    return coarse->low <= coarse->high
           || loom_fail(error, LOOM_ERROR_CONFIG, "low (%g) must not be above high (%g)",
                        coarse->low, coarse->high);
}

static gboolean low_resolution_map(gpointer self, LoomPacket *packet, LoomContext *ctx,
                                   GError **error)
{
    const LowResolution *coarse = self;
    LoomRng rng = loom_context_rng(ctx);
    g_autoptr(LoomTensor) before = NULL;

    if (loom_rng_uniform(&rng, 0, 1) >= coarse->chance)
        return TRUE;
    LoomTensor *image = loom_packet_edit(packet, "image", error);
    if (!image || !outside_keep(&coarse->mask, image, &before, error)
        || !coarse_apply(image, coarse->low, coarse->high, coarse->channel_chance,
                         coarse->slices - 1, &rng, error))
        return FALSE;
    outside_restore(&coarse->mask, before, image);
    return TRUE;
}

static const LoomStage low_resolution = {
    .base = LOOM_STAGE(LowResolution, "low_resolution",
                       "Make the image coarser and fine again, by chance",
                       .params = low_resolution_params, .open = low_resolution_open),
    .reads = low_resolution_image,
    .writes = low_resolution_image,
    .flags = LOOM_STAGE_PURE,
    .map = low_resolution_map,
};
LOOM_MODULE("stage_low_resolution", "0.1", &low_resolution.base);
