/* mirror - image and label along axes, each with its own chance.
 * Source: nnU-Net's mirroring, every axis with chance 0.5. */
#include "mirror.h"

#include <string.h>

gboolean mirror_check(const char *key, const char *axes, GError **error)
{
    for (const char *axis = axes ? axes : ""; *axis; axis++)
        if (!strchr("DHW", *axis) || strchr(axis + 1, *axis))
            return loom_fail(error, LOOM_ERROR_CONFIG,
                             "%s is '%s', want letters of D, H, W, each at most once", key,
                             axes);
    return axes
           || loom_fail(error, LOOM_ERROR_CONFIG, "%s is empty, want letters of D, H, W", key);
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
static void mirror_middle(guint8 *x, gint64 outer, gint64 size, gsize bytes)
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

static void mirror_tensor(LoomTensor *tensor, char axis)
{
    const gboolean floats = loom_tensor_dtype(tensor) == LOOM_F32;
    const gint64 size = loom_tensor_size(tensor, axis);
    const gint64 outer = loom_tensor_count(tensor) / loom_tensor_count_from(tensor, axis);
    const gint64 inner = loom_tensor_count_from(tensor, axis) / size;

    if (inner > 1) {
        guint8 *x = floats ? (guint8 *)loom_tensor_f32_mut(tensor) : loom_tensor_u8_mut(tensor);

        mirror_middle(x, outer, size, (gsize)inner * (floats ? sizeof(float) : 1));
        return;
    }
    for (gint64 i = 0; i < outer; i++) {
        if (floats)
            mirror_row_f32(loom_tensor_f32_mut(tensor) + i * size, size);
        else
            mirror_row_u8(loom_tensor_u8_mut(tensor) + i * size, size);
    }
}

static gboolean mirror_slot(LoomPacket *packet, const char *slot, char axis, GError **error)
{
    LoomTensor *tensor = loom_packet_edit(packet, slot, error);

    if (tensor)
        mirror_tensor(tensor, axis);
    return tensor != NULL;
}

gboolean mirror_apply(LoomPacket *packet, const char *axes, double chance, LoomRng *rng,
                      GError **error)
{
    for (const char *axis = axes; *axis; axis++) {
        if (loom_rng_uniform(rng, 0, 1) >= chance)
            continue;
        if (!mirror_slot(packet, "image", *axis, error))
            return FALSE;
        if (loom_packet_get(packet, "label") && !mirror_slot(packet, "label", *axis, error))
            return FALSE;
    }
    return TRUE;
}
