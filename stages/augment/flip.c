/* flip - mirror image and label along axes, each with its own chance.
 * Default: nnU-Net's mirroring, every axis with chance 0.5. */
#include <loom/loom.h>

#include <string.h>

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
    const char *axes = ((const Flip *)self)->axes ? ((const Flip *)self)->axes : "";

    for (const char *axis = axes; *axis; axis++)
        if (!strchr("DHW", *axis) || strchr(axis + 1, *axis))
            return loom_fail(error, LOOM_ERROR_CONFIG,
                             "axes is '%s', want letters of D, H, W, each at most once", axes);
    return *axes
           || loom_fail(error, LOOM_ERROR_CONFIG, "axes is empty, want letters of D, H, W");
}

static void swap_bytes(guint8 *a, guint8 *b, gsize length)
{
    guint8 between[4096];

    for (gsize at = 0; at < length; at += sizeof between) {
        const gsize part = MIN(length - at, sizeof between);

        memcpy(between, a + at, part);
        memcpy(a + at, b + at, part);
        memcpy(b + at, between, part);
    }
}

/* Mirrors the middle one of three axes; an element of the last one has @bytes. */
static void mirror(guint8 *x, gint64 outer, gint64 size, gsize bytes)
{
    for (gint64 i = 0; i < outer; i++, x += (gsize)size * bytes)
        for (gint64 low = 0, high = size - 1; low < high; low++, high--)
            swap_bytes(x + (gsize)low * bytes, x + (gsize)high * bytes, bytes);
}

static void mirror_row_f32(float *x, gint64 size)
{
    for (gint64 low = 0, high = size - 1; low < high; low++, high--) {
        const float kept = x[low];

        x[low] = x[high];
        x[high] = kept;
    }
}

static void mirror_row_u8(guint8 *x, gint64 size)
{
    for (gint64 low = 0, high = size - 1; low < high; low++, high--) {
        const guint8 kept = x[low];

        x[low] = x[high];
        x[high] = kept;
    }
}

static void flip_tensor(LoomTensor *tensor, char axis)
{
    const gboolean floats = loom_tensor_dtype(tensor) == LOOM_F32;
    const gint64 size = loom_tensor_size(tensor, axis);
    const gint64 outer = loom_tensor_count(tensor) / loom_tensor_count_from(tensor, axis);
    const gint64 inner = loom_tensor_count_from(tensor, axis) / size;

    if (inner > 1) {
        guint8 *x = floats ? (guint8 *)loom_tensor_f32_mut(tensor) : loom_tensor_u8_mut(tensor);

        mirror(x, outer, size, (gsize)inner * (floats ? sizeof(float) : 1));
        return;
    }
    for (gint64 i = 0; i < outer; i++) {
        if (floats)
            mirror_row_f32(loom_tensor_f32_mut(tensor) + i * size, size);
        else
            mirror_row_u8(loom_tensor_u8_mut(tensor) + i * size, size);
    }
}

static gboolean flip_slot(LoomPacket *packet, const char *slot, char axis, GError **error)
{
    LoomTensor *tensor = loom_packet_edit(packet, slot, error);

    if (tensor)
        flip_tensor(tensor, axis);
    return tensor != NULL;
}

static gboolean flip_map(gpointer self, LoomPacket *packet, LoomContext *ctx, GError **error)
{
    const Flip *flip = self;
    LoomRng rng = loom_context_rng(ctx);

    for (const char *axis = flip->axes; *axis; axis++) {
        if (loom_rng_uniform(&rng, 0, 1) >= flip->chance)
            continue;
        if (!flip_slot(packet, "image", *axis, error))
            return FALSE;
        if (loom_packet_get(packet, "label") && !flip_slot(packet, "label", *axis, error))
            return FALSE;
    }
    return TRUE;
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
