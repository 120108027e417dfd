/* crop - random patches of a case, a fixed share of them centred on a foreground class.
 *
 * Patch i of the run is forced to show foreground when floor((i+1) share) > floor(i share), so
 * exactly that share is, spread evenly.  A forced patch picks a class uniformly among those
 * present, then one of its voxels uniformly, and has it in its middle; it may reach past the
 * border.  Any other patch lies uniformly inside; where some voxels of the case are ignored it
 * has one in its middle that is not, so that no patch is without a target.  Where the case is
 * smaller than the patch it is padded on both sides, the rest at the end.  A margin is loaded
 * around the patch for augment_nnunet or rotate_scale to turn it in, and changes nothing of
 * where it lies.
 * Source: Isensee et al. 2021 (nnU-Net), foreground oversampling; its ignore_label.md. */
#include "classes.h"
#include "patch.h"

#include <loom/loom.h>

#include <math.h>
#include <string.h>

typedef struct {
    LoomInts size;
    gint64 per_volume;
    double foreground, pad_value;
    int margin;
    gint64 load[3]; /* size with its margin: what leaves */
} Crop;

enum { MARGIN_NONE, MARGIN_NNUNET };
static const char *const crop_margins[] = {"none", "nnunet", NULL};

static const LoomParam crop_params[] = {
    LOOM_INTS(Crop, size, NULL, 1, 4096, "voxels", "of a patch: D, H, W"),
    LOOM_INT(Crop, per_volume, "1", 1, 10000, NULL, "patches of each case that arrives"),
    LOOM_FLOAT(Crop, foreground, "0.33", 0, 1, NULL, "share of patches centred on foreground"),
    LOOM_FLOAT(Crop, pad_value, "0", -1e6, 1e6, NULL, "of the image outside the case"),
    LOOM_ENUM(
        Crop, margin, "none", crop_margins,
        "nnunet: load as much more as augment_nnunet needs, 40 x 56 x 40 as 73 x 80 x 64"),
    {0},
};

static const LoomSlot crop_reads[] = {
    {"image", LOOM_F32, "CDHW", 0, "a case"},
    {"label", LOOM_U8, "DHW", LOOM_SLOT_OPTIONAL, "class of each voxel"},
    {"label.counts", LOOM_F32, "DK", LOOM_SLOT_OPTIONAL,
     "voxels of class K in plane D, as 'cache' counts them: only spares time"},
    {0},
};

static const LoomSlot crop_writes[] = {
    {"image", LOOM_F32, "CDHW", 0, "patches"},
    {"label", LOOM_U8, "DHW", LOOM_SLOT_OPTIONAL, "class of each voxel; 0 outside the case"},
    {0},
};

static gboolean crop_open(gpointer self, G_GNUC_UNUSED LoomHost *host, GError **error)
{
    Crop *crop = self;

    if (crop->size.n != 3)
        return loom_fail(error, LOOM_ERROR_CONFIG, "size has %u numbers, want 3: D, H, W",
                         crop->size.n);
    memcpy(crop->load, crop->size.v, sizeof crop->load);
    if (crop->margin == MARGIN_NNUNET)
        loom_patch_to_load(crop->size.v, crop->load);
    return TRUE;
}

/* @centre NULL: anywhere inside. */
static void pick_origin(const gint64 volume[3], const gint64 *size, const gint64 *centre,
                        LoomRng *rng, gint64 origin[3])
{
    for (guint i = 0; i < 3; i++) {
        if (volume[i] <= size[i])
            origin[i] = patch_centre(volume[i], size[i]);
        else if (centre)
            origin[i] = centre[i] - size[i] / 2;
        else
            origin[i] = loom_rng_below(rng, volume[i] - size[i] + 1);
    }
}

/* From where the patch begins to where its margin does: the middle of both is one voxel. */
static void widen_origin(const Crop *crop, gint64 origin[3])
{
    for (guint i = 0; i < 3; i++)
        origin[i] -= crop->load[i] / 2 - crop->size.v[i] / 2;
}

/* Returns: (transfer full): a patch of one slot. */
static LoomTensor *cut(const LoomTensor *from, const gint64 origin[3], const gint64 *size,
                       double fill, GError **error)
{
    const gboolean image = loom_tensor_dtype(from) == LOOM_F32;
    const gint64 channels = loom_tensor_size(from, 'C');
    const gint64 shape[4] = {channels, size[0], size[1], size[2]};
    const gint64 *volume = loom_tensor_shape(from) + (image ? 1 : 0);
    LoomTensor *patch = loom_tensor_new(image ? LOOM_F32 : LOOM_U8, image ? "CDHW" : "DHW",
                                        image ? shape : size, error);

    if (!patch)
        return NULL;
    if (!image) {
        patch_cut(loom_tensor_u8(from), 1, 1, volume, origin, size, loom_tensor_u8_mut(patch));
        return patch;
    }
    float *x = loom_tensor_f32_mut(patch);
    if (fill != 0 && !patch_inside(volume, origin, size)) /* it arrives zeroed */
        for (gint64 i = 0; i < loom_tensor_count(patch); i++)
            x[i] = (float)fill;
    patch_cut(loom_tensor_f32(from), sizeof(float), channels, volume, origin, size, x);
    return patch;
}

static LoomPacket *crop_patch(const Crop *crop, const LoomPacket *packet,
                              const gint64 origin[3], GError **error)
{
    const LoomTensor *label = loom_packet_get(packet, "label");
    g_autoptr(LoomPacket) patch = loom_packet_new();
    LoomTensor *part =
        cut(loom_packet_get(packet, "image"), origin, crop->load, crop->pad_value, error);

    if (!part)
        return NULL;
    loom_packet_set(patch, "image", part);
    if (label) {
        if (!(part = cut(label, origin, crop->load, 0, error)))
            return NULL;
        loom_packet_set(patch, "label", part);
    }
    loom_packet_set_id(patch, loom_packet_id(packet)); /* its grid is not the case's any more */
    return g_steal_pointer(&patch);
}

static gboolean forced(double share, gint64 index)
{
    return floor((double)(index + 1) * share) > floor((double)index * share);
}

static LoomFlow crop_process(gpointer self, LoomPacket *packet, LoomContext *ctx,
                             GError **error)
{
    const Crop *crop = self;
    g_autoptr(LoomPacket) mine = packet;
    const LoomTensor *image = loom_packet_get(mine, "image");
    const LoomTensor *label = loom_packet_get(mine, "label");
    const gint64 first = loom_context_index(ctx) * crop->per_volume;
    LoomRng rng = loom_context_rng(ctx);
    Classes classes;

    if (crop->foreground > 0 && !label) {
        loom_fail(error, LOOM_ERROR_SHAPE,
                  "no 'label' to find foreground in; without labels want foreground: 0");
        return LOOM_FLOW_FAIL;
    }
    classes_find(&classes, label, loom_packet_get(mine, "label.counts"));
    for (gint64 k = 0; k < crop->per_volume; k++) {
        gint64 centre[3], origin[3];
        const gboolean centred = (forced(crop->foreground, first + k)
                                  && classes_pick_foreground(&classes, &rng, centre))
                                 || classes_pick_counted(&classes, &rng, centre);
        LoomPacket *patch;
        LoomFlow flow;

        if (centred && centre[0] < 0) {
            loom_fail(error, LOOM_ERROR_FORMAT, "'label.counts' does not count this 'label'");
            return LOOM_FLOW_FAIL;
        }
        pick_origin(loom_tensor_shape(image) + 1, crop->size.v, centred ? centre : NULL, &rng,
                    origin);
        widen_origin(crop, origin);
        if (!(patch = crop_patch(crop, mine, origin, error)))
            return LOOM_FLOW_FAIL;
        flow = loom_context_push(ctx, patch, error);
        if (flow != LOOM_FLOW_OK)
            return flow;
    }
    return LOOM_FLOW_OK;
}

static void crop_ratio(gpointer self, gint64 *in, gint64 *out)
{
    *in = 1;
    *out = ((const Crop *)self)->per_volume;
}

static gboolean crop_plan(gpointer self, LoomPlan *plan, G_GNUC_UNUSED GError **error)
{
    const Crop *crop = self;

    plan->d = crop->load[0];
    plan->h = crop->load[1];
    plan->w = crop->load[2];
    return TRUE;
}

static const LoomStage crop = {
    .base = LOOM_STAGE(Crop, "crop", "Random patches, a share of them on foreground",
                       .params = crop_params, .open = crop_open),
    .reads = crop_reads,
    .writes = crop_writes,
    .flags = LOOM_STAGE_PURE,
    .process = crop_process,
    .ratio = crop_ratio,
    .plan = crop_plan,
};
LOOM_MODULE("stage_crop", "0.1", &crop.base);
