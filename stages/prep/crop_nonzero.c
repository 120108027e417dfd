/* crop_nonzero - the smallest box that holds every voxel in which any channel is not 0: what
 * was taken out around a head, or lies outside a scanner's field, is not worth computing.
 * A case of zeros stays as it is.
 * Source: Isensee et al. 2021 (nnU-Net), cropping to the non-zero region. */
#include <loom/loom.h>

#include <string.h>

static const LoomSlot crop_nonzero_slots[] = {
    {"image", LOOM_F32, "CDHW", 0, "a case in, its box out"},
    {"label", LOOM_U8, "DHW", LOOM_SLOT_OPTIONAL, "cut alike"},
    {0},
};

/* Voxels first .. end - 1 along D, H, W; nothing where end is 0. */
typedef struct {
    gint64 first[3], end[3];
} Box;

typedef struct {
    const float *image;
    const gint64 *shape; /* C, D, H, W */
    Box *planes;         /* one for each plane of each channel */
} Search;

static void box_add(Box *box, const Box *other)
{
    for (guint i = 0; i < 3 && other->end[0]; i++) {
        box->first[i] = box->end[0] ? MIN(box->first[i], other->first[i]) : other->first[i];
    }
    for (guint i = 0; i < 3; i++)
        box->end[i] = MAX(box->end[i], other->end[i]);
}

/* Plane @i of all channels, counted on. */
static void plane_search(gint64 i, G_GNUC_UNUSED guint worker, gpointer data)
{
    const Search *search = data;
    const gint64 height = search->shape[2], width = search->shape[3];
    const gint64 d = i % search->shape[1];

    for (gint64 h = 0; h < height; h++) {
        const float *row = search->image + (i * height + h) * width;
        gint64 first = 0, end = width;

        while (first < width && row[first] == 0)
            first++;
        while (end > first && row[end - 1] == 0)
            end--;
        const Box found = {{d, h, first}, {d + 1, h + 1, end}};
        if (first < end)
            box_add(&search->planes[i], &found);
    }
}

static Box box_find(const LoomTensor *image, LoomPool *pool)
{
    const gint64 *shape = loom_tensor_shape(image), n = shape[0] * shape[1];
    g_autofree Box *planes = g_new0(Box, (gsize)n);
    Search search = {loom_tensor_f32(image), shape, planes};
    Box box = {0};

    loom_pool_run(pool, n, plane_search, &search);
    for (gint64 i = 0; i < n; i++)
        box_add(&box, &planes[i]);
    return box;
}

static gboolean slot_cut(LoomPacket *packet, const char *slot, const Box *box, GError **error)
{
    const LoomTensor *from = loom_packet_get(packet, slot);
    const gboolean floats = loom_tensor_dtype(from) == LOOM_F32;
    const gsize bytes = floats ? sizeof(float) : 1;
    const gint64 channels = loom_tensor_size(from, 'C');
    const gint64 *volume = loom_tensor_shape(from) + (floats ? 1 : 0), *first = box->first;
    const gint64 size[4] = {channels, box->end[0] - first[0], box->end[1] - first[1],
                            box->end[2] - first[2]};
    LoomTensor *to = loom_tensor_new(floats ? LOOM_F32 : LOOM_U8, floats ? "CDHW" : "DHW",
                                     floats ? size : size + 1, error);

    if (!to)
        return FALSE;
    const char *x =
        floats ? (const char *)loom_tensor_f32(from) : (const char *)loom_tensor_u8(from);
    char *y = floats ? (char *)loom_tensor_f32_mut(to) : (char *)loom_tensor_u8_mut(to);
    const gsize row = (gsize)size[3] * bytes;
    for (gint64 c = 0; c < channels; c++)
        for (gint64 d = 0; d < size[1]; d++)
            for (gint64 h = 0; h < size[2]; h++, y += row) {
                const gint64 at =
                    ((c * volume[0] + first[0] + d) * volume[1] + first[1] + h) * volume[2]
                    + first[2];

                memcpy(y, x + (gsize)at * bytes, row);
            }
    loom_packet_set(packet, slot, to);
    return TRUE;
}

static void geometry_cut(LoomPacket *packet, const Box *box)
{
    const LoomGeometry *geometry = loom_packet_geometry(packet);
    static const guint axis[3] = {0, 1, 2};
    static const double step[3] = {1, 1, 1};
    double start[3];
    gint64 size[3];

    if (!geometry) /* it lies nowhere, before as after */
        return;
    for (guint i = 0; i < 3; i++) {
        size[i] = box->end[2 - i] - box->first[2 - i];
        start[i] = (double)box->first[2 - i];
    }
    LoomGeometry moved = *geometry;
    loom_geometry_regrid(&moved, size, axis, step, start);
    loom_packet_regrid(packet, &moved);
}

static gboolean crop_nonzero_map(G_GNUC_UNUSED gpointer self, LoomPacket *packet,
                                 LoomContext *ctx, GError **error)
{
    const LoomTensor *image = loom_packet_get(packet, "image");
    const Box box = box_find(image, loom_context_pool(ctx));
    const gint64 *volume = loom_tensor_shape(image) + 1;
    gint64 kept = 1;

    for (guint i = 0; i < 3; i++)
        kept *= box.end[i] - box.first[i];
    if (!box.end[0] || kept == volume[0] * volume[1] * volume[2])
        return TRUE;
    if (!slot_cut(packet, "image", &box, error)
        || (loom_packet_get(packet, "label") && !slot_cut(packet, "label", &box, error)))
        return FALSE;
    geometry_cut(packet, &box);
    return TRUE;
}

static gboolean crop_nonzero_plan(G_GNUC_UNUSED gpointer self, LoomPlan *plan,
                                  G_GNUC_UNUSED GError **error)
{
    plan->d = plan->h = plan->w = 0; /* each case its own */
    return TRUE;
}

/* How much is cut off is in the voxels: at worst hardly anything. */
static gboolean crop_nonzero_need(G_GNUC_UNUSED gpointer self, LoomPacket *sketch,
                                  LoomNeed *need, G_GNUC_UNUSED GError **error)
{
    need->work = loom_tensor_bytes(loom_packet_get(sketch, "image"));
    return TRUE;
}

static const LoomStage crop_nonzero = {
    .base = {.size = sizeof(LoomStage),
             .kind = LOOM_KIND_STAGE,
             .name = "crop_nonzero",
             .summary = "Cut a case to the box in which any channel is not 0"},
    .reads = crop_nonzero_slots,
    .writes = crop_nonzero_slots,
    .flags = LOOM_STAGE_PURE | LOOM_STAGE_STEADY,
    .map = crop_nonzero_map,
    .plan = crop_nonzero_plan,
    .need = crop_nonzero_need,
};
LOOM_MODULE("stage_crop_nonzero", "0.1", &crop_nonzero.base);
