/* postprocess - predictions without the connected components that are too small to be meant:
 * all but the largest of the whole foreground, then of single classes, then those below a
 * volume.
 *
 * What is removed becomes background.  `segloom postprocess RUN` finds out on the validation
 * cases whether that helps.  Source: Isensee et al. 2021 (nnU-Net), largest component. */
#include <loom/loom.h>
#include <loom/morphology.h>

#include <math.h>
#include <string.h>

typedef struct {
    gboolean keep_largest_foreground;
    LoomInts keep_largest;
    double remove_small;
    gint64 neighbours;
} Postprocess;

static const LoomParam postprocess_params[] = {
    LOOM_BOOL(Postprocess, keep_largest_foreground, "false",
              "of all classes together only the largest component stays"),
    LOOM_INTS(Postprocess, keep_largest, "[]", 1, 255, NULL,
              "labels of which only the largest component stays, each by itself"),
    LOOM_FLOAT(Postprocess, remove_small, "0", 0, 1e12, "mm3",
               "components of a class below this volume go"),
    LOOM_INT(Postprocess, neighbours, "26", 6, 26, NULL,
             "voxels that touch: 6 by faces, 26 by edges and corners too"),
    {0},
};

static const LoomSlot postprocess_slots[] = {
    {"prediction", LOOM_U8, "DHW", LOOM_SLOT_NATIVE, "class of each voxel"},
    {0},
};

static gboolean postprocess_open(gpointer self, G_GNUC_UNUSED LoomHost *host, GError **error)
{
    const Postprocess *post = self;

    return post->neighbours == 6 || post->neighbours == 26
           || loom_fail(error, LOOM_ERROR_CONFIG,
                        "neighbours is %" G_GINT64_FORMAT ", want 6 or 26", post->neighbours);
}

/* The labels that occur, but 0. */
static void labels_find(const LoomTensor *prediction, gboolean found[256])
{
    const guint8 *label = loom_tensor_u8(prediction);
    const gint64 voxels = loom_tensor_count(prediction);

    memset(found, 0, 256 * sizeof *found);
    for (gint64 v = 0; v < voxels; v++)
        found[label[v]] = TRUE;
    found[0] = FALSE;
}

/* Voxels that are at least @mm3. */
static gboolean voxels_least(const LoomPacket *packet, double mm3, gint64 *least,
                             GError **error)
{
    const LoomGeometry *grid = loom_packet_native(packet);

    if (!grid)
        return loom_fail(error, LOOM_ERROR_SHAPE,
                         "remove_small wants voxel sizes: a case from a file");
    const double voxel = grid->spacing_mm[0] * grid->spacing_mm[1] * grid->spacing_mm[2];
    *least = (gint64)ceil(MIN(mm3 / voxel * (1 - 1e-9), 4e18)); /* 8 mm3 of 2 mm3 are 4 */
    return TRUE;
}

static gboolean class_clean(const Postprocess *post, LoomTensor *prediction, guint label,
                            gboolean largest, gint64 least, LoomPool *pool, GError **error)
{
    gboolean of[256] = {FALSE};

    of[label] = TRUE;
    return loom_parts_clean(loom_tensor_u8_mut(prediction), loom_tensor_shape(prediction), of,
                            largest, least, (int)post->neighbours, pool, error)
           >= 0;
}

static gboolean postprocess_map(gpointer self, LoomPacket *packet, LoomContext *ctx,
                                GError **error)
{
    const Postprocess *post = self;
    LoomPool *pool = loom_context_pool(ctx);
    LoomTensor *prediction = loom_packet_edit(packet, "prediction", error);
    gboolean found[256];
    gint64 least = 0;

    if (!prediction
        || (post->remove_small > 0 && !voxels_least(packet, post->remove_small, &least, error)))
        return FALSE;
    labels_find(prediction, found);
    if (post->keep_largest_foreground
        && loom_parts_clean(loom_tensor_u8_mut(prediction), loom_tensor_shape(prediction),
                            found, TRUE, 0, (int)post->neighbours, pool, error)
               < 0)
        return FALSE;
    for (guint i = 0; i < post->keep_largest.n; i++)
        if (!class_clean(post, prediction, (guint)post->keep_largest.v[i], TRUE, 0, pool,
                         error))
            return FALSE;
    for (guint k = 1; least > 0 && k < 256; k++)
        if (found[k] && !class_clean(post, prediction, k, FALSE, least, pool, error))
            return FALSE;
    return TRUE;
}

/* Of one call of loom_parts_clean: a mask, and the number of each voxel's component. */
static gboolean postprocess_need(G_GNUC_UNUSED gpointer self, LoomPacket *sketch,
                                 LoomNeed *need, G_GNUC_UNUSED GError **error)
{
    need->work = (guint64)loom_tensor_count(loom_packet_get(sketch, "prediction"))
                 * (sizeof(guint8) + sizeof(gint32));
    return TRUE;
}

static const LoomStage postprocess = {
    .base = LOOM_STAGE(Postprocess, "postprocess",
                       "Remove components of a prediction that are too small",
                       .params = postprocess_params, .open = postprocess_open),
    .reads = postprocess_slots,
    .writes = postprocess_slots,
    .flags = LOOM_STAGE_PURE,
    .map = postprocess_map,
    .need = postprocess_need,
};
LOOM_MODULE("stage_postprocess", "0.1", &postprocess.base);
