/* rotate_scale - rotate and scale image and label by one matrix, by chance, and cut the middle
 * out of a larger patch.  See spatial.c for formula and source.  A loaded patch of
 * loom_patch_to_load (crop's `margin: nnunet`) keeps the corners from being empty. */
#include "spatial.h"

static const LoomParam rotate_scale_params[] = {SPATIAL_ROWS, {0}};

static const LoomSlot rotate_scale_slots[] = {
    {"image", LOOM_F32, "CDHW", 0, "patch, linear; 0 where nothing was loaded"},
    {"label", LOOM_U8, "DHW", LOOM_SLOT_OPTIONAL, "class of each voxel; 0 likewise"},
    {0},
};

static gboolean rotate_scale_open(gpointer self, G_GNUC_UNUSED LoomHost *host, GError **error)
{
    return spatial_check(self, error);
}

static gboolean rotate_scale_plan(gpointer self, LoomPlan *plan, GError **error)
{
    return spatial_plan(self, plan, error);
}

static gboolean rotate_scale_map(gpointer self, LoomPacket *packet, LoomContext *ctx,
                                 GError **error)
{
    LoomRng rng = loom_context_rng(ctx);

    return spatial_apply(self, packet, &rng, error);
}

static const LoomStage rotate_scale = {
    .base =
        LOOM_STAGE(Spatial, "rotate_scale", "Rotate and scale image and label alike, by chance",
                   .params = rotate_scale_params, .open = rotate_scale_open),
    .reads = rotate_scale_slots,
    .writes = rotate_scale_slots,
    .flags = LOOM_STAGE_PURE,
    .map = rotate_scale_map,
    .plan = rotate_scale_plan,
};
LOOM_MODULE("stage_rotate_scale", "0.1", &rotate_scale.base);
