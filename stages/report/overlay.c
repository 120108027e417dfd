/* overlay - pictures of predictions over their images: of each validation the cases that went
 * worst and best, as overlays/CASE.png in the folder of the run, and overlays.json beside them:
 *   {"step", "most", "classes": [name],
 *    "cases": [{"case", "dice", "voxels", "counts": [a class], "file", "plane", "slice"}]}
 * with every case in the order of the data set, and a file for those that were drawn.  Slices
 * are those of the file, where truth and prediction lie; an image that stages moved to another
 * grid is sampled there.  A case counts by the mean Dice of its classes, without voxels that
 * the truth ignores; one without any class is as good as a perfect one. Pictures of the
 * validation before are removed.  Of several ranks each draws its own share, and the one that
 * writes keeps the worst and best of all. */
#include "overlay_cases.h"
#include "overlay_draw.h"
#include "overlay_image.h"
#include "truth.h"

#include <string.h>

#define MOST_CASES 64
#define DRAWN_BYTES 64 /* a voxel: each is drawn larger than a pixel */

typedef enum { MOST_FOREGROUND, MOST_ERRORS } Most;

typedef struct {
    gint64 cases;
    int most;
    const LoomDataset *dataset; /* NULL: none */
    char *folder;               /* of the pictures; NULL: only checking */
    gint64 classes;             /* 0: not known */
    OverlayCases shown;
    gboolean entered; /* it may draw */
} Overlay;

static const char *const overlay_most[] = {"foreground", "errors", NULL};

static const LoomParam overlay_params[] = {
    LOOM_INT(Overlay, cases, "8", 1, MOST_CASES, NULL,
             "pictures to keep: the worst half and the best half"),
    LOOM_ENUM(Overlay, most, "foreground", overlay_most, "what the slice shown has most of"),
    {0},
};

static const LoomSlot overlay_reads[] = {
    {"image", LOOM_F32, "CDHW", 0, "its first channel is the background"},
    {"prediction", LOOM_U8, "DHW", LOOM_SLOT_NATIVE, "predicted class of each voxel"},
    {"truth", LOOM_U8, "DHW", LOOM_SLOT_NATIVE | LOOM_SLOT_OPTIONAL,
     "true class of each voxel of the file, 255: counts nowhere; without it 'label'"},
    {"label", LOOM_U8, "DHW", LOOM_SLOT_OPTIONAL, "true class, on the grid of the image"},
    {0},
};

static gboolean overlay_open(gpointer self, LoomHost *host, G_GNUC_UNUSED GError **error)
{
    Overlay *overlay = self;

    overlay->dataset = loom_host_dataset(host);
    overlay->classes = overlay->dataset ? overlay->dataset->n_labels : 0;
    if (loom_host_folder(host)) {
        overlay->folder = g_build_filename(loom_host_folder(host), "overlays", NULL);
        overlay->entered = TRUE;
        overlay_draw_enter();
    }
    overlay_cases_init(&overlay->shown, (guint)overlay->cases);
    overlay->shown.slices = overlay_most[overlay->most];
    return TRUE;
}

static void overlay_close(gpointer self)
{
    Overlay *overlay = self;

    overlay_cases_clear(&overlay->shown);
    if (overlay->entered)
        overlay_draw_leave();
    g_free(overlay->folder);
}

static gboolean overlay_plan(gpointer self, LoomPlan *plan, G_GNUC_UNUSED GError **error)
{
    Overlay *overlay = self;

    overlay->classes = MAX(overlay->classes, plan->classes);
    return TRUE;
}

static gboolean overlay_start(gpointer self, G_GNUC_UNUSED LoomContext *ctx,
                              G_GNUC_UNUSED GError **error)
{
    Overlay *overlay = self;

    overlay_cases_reset(&overlay->shown);
    return TRUE;
}

/* ---- one case ----------------------------------------------------------------------- */

/* Fills in the counts and the mean Dice of the classes that are there. */
static void shown_measure(OverlayShown *shown, const LoomTensor *truth,
                          const LoomTensor *prediction)
{
    g_autoptr(GString) score = g_string_new("Dice");
    const guint8 *t = loom_tensor_u8(truth), *p = loom_tensor_u8(prediction);
    gint64 predicted[256] = {0}, both[256] = {0};
    double sum = 0;
    guint n = 0;

    for (gint64 v = 0; v < loom_tensor_count(truth); v++) {
        shown->counts[t[v]]++;
        predicted[p[v]]++;
        both[t[v]] += t[v] == p[v];
    }
    for (guint k = 1; k < 256; k++)
        if (shown->counts[k] + predicted[k]) {
            const double dice =
                2.0 * (double)both[k] / (double)(shown->counts[k] + predicted[k]);

            sum += dice;
            n++;
            if (n <= 8)
                g_string_append_printf(score, " %.3f", dice);
        }
    shown->dice = n ? sum / n : 1;
    if (!n)
        g_string_assign(score, "no class in truth or prediction");
    shown->score = g_strdup(score->str);
}

/* What a picture will need of the case, which does not stay. */
static gboolean shown_cut(const Overlay *overlay, OverlayShown *shown, const LoomPacket *packet,
                          const LoomTensor *truth, const LoomTensor *prediction, GError **error)
{
    const guint8 *t = loom_tensor_u8(truth), *p = loom_tensor_u8(prediction);
    OverlayPlane plane;

    overlay_plane_find(&plane, loom_packet_native(packet));
    overlay_plane_choose(&plane, t, p, overlay->most == MOST_ERRORS);
    shown->plane = g_strdup(plane.name);
    shown->slice = plane.index + 1;
    shown->cut = overlay_slice_cut(&plane, t, p);
    return overlay_image_cut(&plane, loom_tensor_f32(loom_packet_get(packet, "image")),
                             loom_packet_geometry(packet), loom_packet_native(packet),
                             shown->cut->image, error);
}

/* Does the slot lie on @geometry? */
static gboolean grid_check(const LoomTensor *tensor, const char *slot,
                           const LoomGeometry *geometry, GError **error)
{
    const gint64 *shape = loom_tensor_shape(tensor) + loom_tensor_rank(tensor) - 3;

    for (guint i = 0; i < 3; i++)
        if (shape[i] != geometry->size[2 - i])
            return loom_fail(error, LOOM_ERROR_SHAPE,
                             "'%s' has %" G_GINT64_FORMAT "x%" G_GINT64_FORMAT
                             "x%" G_GINT64_FORMAT " voxels but its grid has %" G_GINT64_FORMAT
                             "x%" G_GINT64_FORMAT "x%" G_GINT64_FORMAT
                             " voxels, want whole cases",
                             slot, shape[0], shape[1], shape[2], geometry->size[2],
                             geometry->size[1], geometry->size[0]);
    return TRUE;
}

/* @slot: of @truth. */
static gboolean grids_check(const LoomPacket *packet, const LoomTensor *truth, const char *slot,
                            GError **error)
{
    const LoomGeometry *native = loom_packet_native(packet);

    if (!native)
        return loom_fail(error, LOOM_ERROR_SHAPE, "no voxel sizes, want a case from a file");
    return grid_check(truth, slot, native, error)
           && grid_check(loom_packet_get(packet, "prediction"), "prediction", native, error)
           && grid_check(loom_packet_get(packet, "image"), "image",
                         loom_packet_geometry(packet), error);
}

/* Copies in which voxels that the truth ignores are background, so that they show nowhere; NULL
 * where it ignores none. */
static gboolean ignored_drop(const Overlay *overlay, const LoomTensor *truth,
                             const LoomTensor *prediction, LoomTensor **t, LoomTensor **p,
                             GError **error)
{
    if (!overlay->dataset || !overlay->dataset->ignores
        || !memchr(loom_tensor_u8(truth), LOOM_IGNORED, (gsize)loom_tensor_count(truth)))
        return TRUE;
    if (!(*t = loom_tensor_copy(truth, error)) || !(*p = loom_tensor_copy(prediction, error)))
        return FALSE;
    loom_labels_leave_out(*t, *p);
    return TRUE;
}

static gboolean overlay_map(gpointer self, LoomPacket *packet, G_GNUC_UNUSED LoomContext *ctx,
                            GError **error)
{
    Overlay *overlay = self;
    g_autoptr(LoomTensor) t = NULL;
    g_autoptr(LoomTensor) p = NULL;

    if (!overlay->folder)
        return TRUE;
    const char *slot;
    const LoomTensor *truth = truth_of(packet, &slot, error);
    const LoomTensor *prediction = loom_packet_get(packet, "prediction");
    if (!truth || !grids_check(packet, truth, slot, error)
        || !ignored_drop(overlay, truth, prediction, &t, &p, error))
        return FALSE;
    truth = t ? t : truth;
    prediction = p ? p : prediction;
    OverlayShown *shown = g_new0(OverlayShown, 1);
    shown->number = loom_packet_index(packet);
    shown->id = g_strdup(loom_packet_id(packet) ? loom_packet_id(packet) : "");
    shown_measure(shown, truth, prediction);
    return !overlay_cases_add(&overlay->shown, shown)
           || shown_cut(overlay, shown, packet, truth, prediction, error);
}

/* ---- all cases together ------------------------------------------------------------- */

/* As the data set calls the classes, else their numbers; (transfer full). */
static char **class_names(const Overlay *overlay)
{
    const LoomDataset *dataset = overlay->dataset;
    char **names = g_new0(char *, (gsize)overlay->classes + 1);

    for (gint64 k = 0; k < overlay->classes; k++)
        names[k] = dataset && k < dataset->n_labels ? g_strdup(dataset->label_names[k])
                                                    : g_strdup_printf("%" G_GINT64_FORMAT, k);
    return names;
}

/* Only now: of the cases that were among the worst or best for a while most are not any more.
 */
static gboolean pictures_draw(Overlay *overlay, char **names, GError **error)
{
    for (guint i = 0; i < overlay->shown.drawn->len; i++) {
        OverlayShown *shown = overlay->shown.drawn->pdata[i];
        const OverlayCase it = {.id = shown->id,
                                .score = shown->score,
                                .slice = shown->cut,
                                .classes = overlay->classes,
                                .names = (const char *const *)names};

        shown->png = overlay_draw(&it, error);
        if (!shown->png)
            return FALSE;
        g_clear_pointer(&shown->cut, overlay_slice_free);
    }
    return TRUE;
}

static LoomFlow overlay_flush(gpointer self, LoomContext *ctx, GError **error)
{
    Overlay *overlay = self;
    g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);

    if (!overlay->folder)
        return LOOM_FLOW_OK;
    g_auto(GStrv) names = class_names(overlay);
    if (!pictures_draw(overlay, names, error))
        return LOOM_FLOW_FAIL;
    g_autoptr(GBytes) mine = overlay_cases_pack(&overlay->shown);
    const LoomFlow flow = loom_context_gather(ctx, mine, all, error);
    if (flow != LOOM_FLOW_OK)
        return flow;
    if (!overlay_cases_unite(&overlay->shown, all, error))
        return LOOM_FLOW_FAIL;
    if (!loom_context_writes(ctx))
        return LOOM_FLOW_OK;
    return overlay_cases_write(&overlay->shown, overlay->folder, loom_context_step(ctx),
                               (const char *const *)names, error)
               ? LOOM_FLOW_OK
               : LOOM_FLOW_FAIL;
}

/* Both label maps without what the truth ignores; of cases that may be drawn a slice each, of
 * the largest plane: an image and two label maps, and a few pictures of it while it is drawn.
 */
static gboolean overlay_need(gpointer self, LoomPacket *sketch, LoomNeed *need,
                             G_GNUC_UNUSED GError **error)
{
    const Overlay *overlay = self;
    const LoomTensor *prediction = loom_packet_get(sketch, "prediction");
    const gint64 *size = loom_tensor_shape(prediction);
    const gint64 least = MIN(MIN(size[0], size[1]), size[2]);
    const guint64 plane = (guint64)(loom_tensor_count(prediction) / least);

    need->kept =
        plane * (sizeof(float) + 2) * ((guint64)overlay->cases + 1) + plane * DRAWN_BYTES;
    if (overlay->dataset && overlay->dataset->ignores)
        need->work = 2 * loom_tensor_bytes(prediction);
    return TRUE;
}

static const LoomStage overlay = {
    .base = LOOM_STAGE(Overlay, "overlay", "Draw predictions and their errors over the images",
                       .params = overlay_params, .open = overlay_open, .close = overlay_close),
    .reads = overlay_reads,
    .map = overlay_map,
    .start = overlay_start,
    .flush = overlay_flush,
    .plan = overlay_plan,
    .need = overlay_need,
};
LOOM_MODULE("stage_overlay", "0.1", &overlay.base);
