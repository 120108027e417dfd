/* resample - a case onto voxels of a given size: the image by cubic B-splines or linearly, the
 * label class by class linearly, the likeliest one taken.  n voxels of s mm become
 * round(n s / target) that fill the same space.
 *
 * Where an axis is thick, voxels more than three times as long as the shortest edge, before or
 * else after, splines would invent what lies between its slices: along it the nearest slice is
 * taken, and each plane is resampled on its own.  Splines swing beyond the intensities at
 * edges: `clip` ends them at those of the channel, or of the plane.
 * Source: Isensee et al. 2021 (nnU-Net), resampling of anisotropic cases. */
#include <loom/loom.h>
#include <loom/resample.h>

#define RESAMPLE_THICK 3.0
#define RESAMPLE_MOST 100000 /* voxels along an axis: more is a wrong unit */

typedef struct {
    LoomFloats spacing;
    int order;
    gboolean clip;
    guint64 limit;
} Resample;

static const char *const resample_orders[] = {"3", "1", NULL};

static const LoomParam resample_params[] = {
    LOOM_FLOATS(Resample, spacing, NULL, 1e-3, 1e3, "mm", "of a voxel: D, H, W"),
    LOOM_ENUM(Resample, order, "3", resample_orders,
              "of the image: 3 cubic splines, 1 linear; labels are always linear"),
    LOOM_BOOL(Resample, clip, "true",
              "splines end at the least and the greatest intensity of the channel, or slice"),
    LOOM_BYTES(Resample, limit, "8GiB", 1, 1e15, "voxels of one case, refused above"),
    {0},
};

static const LoomSlot resample_slots[] = {
    {"image", LOOM_F32, "CDHW", 0, "voxels of the scanner in, of `spacing` out"},
    {"label", LOOM_U8, "DHW", LOOM_SLOT_OPTIONAL, "on the grid of the image"},
    {0},
};

static gboolean resample_open(gpointer self, G_GNUC_UNUSED LoomHost *host, GError **error)
{
    const Resample *resample = self;

    return resample->spacing.n == 3
           || loom_fail(error, LOOM_ERROR_CONFIG, "spacing has %u numbers, want 3: D, H, W",
                        resample->spacing.n);
}

/* The one axis whose voxels are longer than three times the shortest edge; 3: none, also where
 * two of them are the longest. */
static guint thick_axis(const double mm[3])
{
    const double longest = MAX(MAX(mm[0], mm[1]), mm[2]);
    guint thick = 3, n = 0;

    if (longest <= RESAMPLE_THICK * MIN(MIN(mm[0], mm[1]), mm[2]))
        return 3;
    for (guint i = 0; i < 3; i++)
        if (mm[i] == longest) {
            thick = i;
            n++;
        }
    return n == 1 ? thick : 3;
}

typedef struct {
    LoomResampleAxis *image[3], *label[3]; /* D, H, W */
    guint thick;                           /* of them; 3: none */
    gboolean clip;
} Axes;

static void axes_clear(Axes *axes)
{
    for (guint i = 0; i < 3; i++) {
        loom_resample_axis_free(axes->image[i]);
        loom_resample_axis_free(axes->label[i]);
    }
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Axes, axes_clear)

/* @rows: see loom_resample_slabs. */
static gboolean channel_resample(const Axes *axes, gint64 rows, const float *from, float *to,
                                 LoomPool *pool, GError **error)
{
    return loom_resample_slabs(axes->image, rows, from, to, pool, error)
           && (!axes->clip
               || loom_resample_clip(axes->image, axes->thick, from, to, pool, error));
}

/* @room: bytes that it may take, see loom_resample_rows. */
static gboolean slot_resample(LoomPacket *packet, const Axes *axes, guint64 room,
                              LoomPool *pool, GError **error)
{
    const LoomTensor *image = loom_packet_get(packet, "image");
    const LoomTensor *label = loom_packet_get(packet, "label");
    const gint64 channels = loom_tensor_size(image, 'C');
    const gint64 shape[4] = {channels, axes->image[0]->out, axes->image[1]->out,
                             axes->image[2]->out};
    g_autoptr(LoomTensor) images = loom_tensor_new(LOOM_F32, "CDHW", shape, error);
    g_autoptr(LoomTensor) labels = NULL;

    if (!images || (label && !(labels = loom_tensor_new(LOOM_U8, "DHW", shape + 1, error))))
        return FALSE;
    const gint64 in = loom_tensor_count_from(image, 'D');
    const gint64 out = loom_tensor_count_from(images, 'D');
    const gint64 rows = loom_resample_rows(axes->image, loom_pool_threads(pool), room);
    for (gint64 c = 0; c < channels; c++)
        if (!channel_resample(axes, rows, loom_tensor_f32(image) + c * in,
                              loom_tensor_f32_mut(images) + c * out, pool, error))
            return FALSE;
    if (label) {
        loom_resample_labels(axes->label, loom_tensor_u8(label), loom_tensor_u8_mut(labels),
                             pool);
        loom_packet_set(packet, "label", g_steal_pointer(&labels));
    }
    loom_packet_set(packet, "image", g_steal_pointer(&images));
    return TRUE;
}

/* Sizes of the result, D, H, W; FALSE: more than anybody can want. */
static gboolean sizes_find(const Resample *resample, const LoomTensor *image,
                           const double mm[3], gint64 size[3], GError **error)
{
    const gint64 *volume = loom_tensor_shape(image) + 1;
    double bytes = sizeof(float) * (double)loom_tensor_size(image, 'C');

    for (guint i = 0; i < 3; i++) {
        size[i] = loom_resample_size(volume[i], mm[i], resample->spacing.v[i]);
        if (size[i] > RESAMPLE_MOST)
            return loom_fail(error, LOOM_ERROR_LIMIT,
                             "%" G_GINT64_FORMAT " voxels of %g mm along %c would become more "
                             "than %d of %g mm: want a larger spacing",
                             volume[i], mm[i], "DHW"[i], RESAMPLE_MOST,
                             resample -> spacing.v[i]);
        bytes *= (double)size[i];
    }
    return bytes <= (double)resample->limit
           || loom_fail(error, LOOM_ERROR_LIMIT,
                        "%" G_GINT64_FORMAT " x %" G_GINT64_FORMAT " x %" G_GINT64_FORMAT
                        " voxels are %.0f MiB, above the limit of %" G_GUINT64_FORMAT
                        " MiB: want a larger spacing or limit",
                        size[0], size[1], size[2], bytes / 1048576, resample->limit >> 20);
}

static void geometry_resample(LoomPacket *packet, const gint64 size[3])
{
    const LoomGeometry *geometry = loom_packet_geometry(packet);
    static const guint axis[3] = {0, 1, 2};
    LoomGeometry moved = *geometry;
    gint64 file_size[3];
    double step[3], start[3];

    for (guint i = 0; i < 3; i++) {
        file_size[i] = size[2 - i];
        step[i] = (double)geometry->size[i] / (double)file_size[i];
        start[i] = 0.5 * step[i] - 0.5;
    }
    loom_geometry_regrid(&moved, file_size, axis, step, start);
    loom_packet_regrid(packet, &moved);
}

/* What becomes of each axis.  @moves: whether anything does. */
static gboolean axes_make(const Resample *resample, const LoomPacket *packet, Axes *axes,
                          gint64 size[3], gboolean *moves, GError **error)
{
    const LoomGeometry *geometry = loom_packet_geometry(packet);
    const LoomTensor *image = loom_packet_get(packet, "image");
    const gint64 *volume = loom_tensor_shape(image) + 1;
    const guint order = resample->order == 0 ? 3 : 1;

    if (!geometry)
        return loom_fail(error, LOOM_ERROR_SHAPE,
                         "case '%s' has no geometry, so no spacing: put 'resample' before "
                         "patches are cut",
                         loom_packet_id(packet));
    const double mm[3] = {geometry->spacing_mm[2], geometry->spacing_mm[1],
                          geometry->spacing_mm[0]};
    if (!sizes_find(resample, image, mm, size, error))
        return FALSE;
    axes->thick = thick_axis(mm);
    if (axes->thick == 3)
        axes->thick = thick_axis(resample->spacing.v);
    axes->clip = resample->clip && order == 3;
    *moves = FALSE;
    for (guint i = 0; i < 3; i++) {
        const gboolean thick = i == axes->thick;

        *moves = *moves || size[i] != volume[i];
        axes->image[i] = loom_resample_axis_new(volume[i], size[i], thick ? 0 : order);
        axes->label[i] = loom_resample_axis_new(volume[i], size[i], thick ? 0 : 1);
    }
    return TRUE;
}

/* Of the image and label that are made. */
static guint64 made_bytes(const LoomPacket *packet, const gint64 size[3])
{
    const gint64 channels = loom_tensor_size(loom_packet_get(packet, "image"), 'C');

    return (guint64)(size[0] * size[1] * size[2])
           * (sizeof(float) * (guint64)channels + (loom_packet_get(packet, "label") ? 1 : 0));
}

static gboolean resample_map(gpointer self, LoomPacket *packet, LoomContext *ctx,
                             GError **error)
{
    g_auto(Axes) axes = {0};
    gboolean moves;
    gint64 size[3];

    if (!axes_make(self, packet, &axes, size, &moves, error))
        return FALSE;
    if (!moves)
        return TRUE;
    const guint64 made = made_bytes(packet, size), room = loom_context_room(ctx);
    if (!slot_resample(packet, &axes, room - MIN(room, made), loom_context_pool(ctx), error))
        return FALSE;
    geometry_resample(packet, size);
    return TRUE;
}

static gboolean slot_sketch(LoomPacket *sketch, const char *slot, const gint64 size[3],
                            GError **error)
{
    const LoomTensor *from = loom_packet_get(sketch, slot);
    const gboolean floats = from && loom_tensor_dtype(from) == LOOM_F32;
    const gint64 shape[4] = {from ? loom_tensor_size(from, 'C') : 0, size[0], size[1], size[2]};
    LoomTensor *to;

    if (!from)
        return TRUE;
    if (!(to = loom_tensor_sketch(floats ? LOOM_F32 : LOOM_U8, floats ? "CDHW" : "DHW",
                                  floats ? shape : shape + 1, error)))
        return FALSE;
    loom_packet_set(sketch, slot, to);
    return TRUE;
}

static gboolean resample_need(gpointer self, LoomPacket *sketch, LoomNeed *need, GError **error)
{
    g_auto(Axes) axes = {0};
    gboolean moves;
    gint64 size[3];

    if (!loom_packet_geometry(sketch))
        return TRUE;
    if (!axes_make(self, sketch, &axes, size, &moves, error))
        return FALSE;
    if (!moves)
        return TRUE;
    const guint64 made = made_bytes(sketch, size);
    const gint64 rows =
        loom_resample_rows(axes.image, need->threads, need->room - MIN(need->room, made));
    need->work = made + loom_resample_bytes(axes.image, need->threads, rows);
    if (!slot_sketch(sketch, "image", size, error)
        || !slot_sketch(sketch, "label", size, error))
        return FALSE;
    geometry_resample(sketch, size);
    return TRUE;
}

static gboolean resample_plan(G_GNUC_UNUSED gpointer self, LoomPlan *plan,
                              G_GNUC_UNUSED GError **error)
{
    plan->d = plan->h = plan->w = 0; /* each case its own */
    return TRUE;
}

static const LoomStage resample = {
    .base = LOOM_STAGE(Resample, "resample", "Voxels of a given size, by splines or linearly",
                       .params = resample_params, .open = resample_open),
    .reads = resample_slots,
    .writes = resample_slots,
    .flags = LOOM_STAGE_PURE | LOOM_STAGE_STEADY,
    .map = resample_map,
    .plan = resample_plan,
    .need = resample_need,
};
LOOM_MODULE("stage_resample", "0.1", &resample.base);
