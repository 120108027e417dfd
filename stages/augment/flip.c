/* flip - mirror image and label along axes, each with its own chance.
 * Default: nnU-Net's mirroring, every axis with chance 0.5. */
#include "mirror.h"

typedef struct {
    char *axes;
    double chance;
} Flip;

static const LoomParam flip_params[] = {
    LOOM_STRING(Flip, axes, "DHW", "axes that may be mirrored: letters of D, H, W"),
    LOOM_FLOAT(Flip, chance, "0.5", 0, 1, NULL, "of being mirrored, for each axis"),
    {0},
};

static const LoomSlot flip_slots[] = {
    {"image", LOOM_F32, "CDHW", 0, "image"},
    {"label", LOOM_U8, "DHW", LOOM_SLOT_OPTIONAL, "class of each voxel, mirrored alike"},
    {0},
};

static gboolean flip_open(gpointer self, G_GNUC_UNUSED LoomHost *host, GError **error)
{
    return mirror_check("axes", ((const Flip *)self)->axes, error);
}

static gboolean flip_map(gpointer self, LoomPacket *packet, LoomContext *ctx, GError **error)
{
    const Flip *flip = self;
    LoomRng rng = loom_context_rng(ctx);

    return mirror_apply(packet, flip->axes, flip->chance, &rng, error);
}

static const LoomStage flip = {
    .base = LOOM_STAGE(Flip, "flip", "Mirror image and label along axes, by chance",
                       .params = flip_params, .open = flip_open),
    .reads = flip_slots,
    .writes = flip_slots,
    .flags = LOOM_STAGE_PURE,
    .map = flip_map,
};
LOOM_MODULE("stage_flip", "0.1", &flip.base);
