/* nifti_save - a slot of each packet as FOLDER/ID.nii.gz: what was predicted on the grid of the
 * file, all else on that of the image.  Classes are written as the values that the files of the
 * data set have for them, so that a mask may lie beside its truth. */
#include <loom/loom.h>

#include <errno.h>
#include <string.h>

typedef struct {
    char *slot, *folder, *suffix;
    LoomInts values;

    char *made;           /* the folder that is written to; NULL: only checking */
    gint16 value_of[256]; /* -1: `values` has none */
    gboolean same;        /* every class is its own value */
} NiftiSave;

static const LoomParam nifti_save_params[] = {
    LOOM_STRING(NiftiSave, slot, "prediction",
                "what to write: u8 or f32 (D,H,W), f32 (C,D,H,W)"),
    LOOM_PATH(NiftiSave, folder, "", "where to; without it: predictions in the run's folder"),
    LOOM_STRING(NiftiSave, suffix, ".nii.gz",
                "what follows the case's id; ends with .nii or .nii.gz"),
    LOOM_INTS(NiftiSave, values, "[]", 0, 255, NULL,
              "of a label map: what is written for class 0, 1, ...; []: as label_map of data: "
              "reads them"),
    {0},
};

#define NATIVE (LOOM_SLOT_OPTIONAL | LOOM_SLOT_NATIVE)
static const LoomSlot nifti_save_reads[] = {
    {"prediction", LOOM_U8, "DHW", NATIVE, "class of each voxel; or what `slot` names"},
    {"probabilities", LOOM_F32, "CDHW", NATIVE, "where `slot` names them"},
    {"truth", LOOM_U8, "DHW", NATIVE, "the same"},
    {0},
};

/* Slots that hold classes. */
static const char *const class_slots[] = {"prediction", "label", "truth", NULL};

static gboolean values_find(NiftiSave *save, const LoomDataset *dataset, GError **error)
{
    const LoomInts *values = &save->values;

    if (values->n && !g_strv_contains(class_slots, save->slot))
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "values are of classes, '%s' holds none: want slot: prediction, label "
                         "or truth",
                         save->slot);
    save->same = !values->n && !(dataset && dataset->value_of);
    for (guint k = 0; !save->same && k < 256; k++)
        save->value_of[k] = (gint16)(!values->n          ? dataset->value_of[k]
                                     : k < values->n     ? values->v[k]
                                     : k == LOOM_IGNORED ? LOOM_IGNORED
                                                         : -1);
    return TRUE;
}

static gboolean nifti_save_open(gpointer self, LoomHost *host, GError **error)
{
    NiftiSave *save = self;

    if (!save->slot)
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "slot is empty, want a name such as 'prediction'");
    if (!save->suffix || strchr(save->suffix, '/')
        || !(g_str_has_suffix(save->suffix, ".nii")
             || g_str_has_suffix(save->suffix, ".nii.gz")))
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "suffix '%s' must end with .nii or .nii.gz and hold no '/'",
                         save->suffix ? save->suffix : "");
    if (!values_find(save, loom_host_dataset(host), error))
        return FALSE;
    if (!loom_host_folder(host))
        return TRUE;
    save->made = save->folder ? g_strdup(save->folder)
                              : g_build_filename(loom_host_folder(host), "predictions", NULL);
    if (g_mkdir_with_parents(save->made, 0777) == 0)
        return TRUE;
    return loom_fail(error, LOOM_ERROR_IO, "cannot make the folder '%s': %s", save->made,
                     g_strerror(errno));
}

static void nifti_save_close(gpointer self)
{
    NiftiSave *save = self;

    g_free(save->made);
}

/* Does the slot lie on the grid of the file?  All else lies on that of the image. */
static gboolean is_native(const char *name)
{
    for (const LoomSlot *slot = nifti_save_reads; slot->name; slot++)
        if (g_str_equal(slot->name, name))
            return TRUE;
    return FALSE;
}

/* A copy with the values of the files; (transfer full). */
static LoomTensor *values_put(const NiftiSave *save, const LoomTensor *classes, GError **error)
{
    g_autoptr(LoomTensor) values = loom_tensor_new_like(classes, error);

    if (!values)
        return NULL;
    const guint8 *x = loom_tensor_u8(classes);
    guint8 *y = loom_tensor_u8_mut(values);
    for (gint64 v = 0, n = loom_tensor_count(classes); v < n; v++) {
        if (save->value_of[x[v]] < 0)
            return loom_fail_null(error, LOOM_ERROR_CONFIG,
                                  "values has %u numbers, none for class %u of '%s'",
                                  save->values.n, x[v], save->slot);
        y[v] = (guint8)save->value_of[x[v]];
    }
    return g_steal_pointer(&values);
}

static gboolean nifti_save_map(gpointer self, LoomPacket *packet,
                               G_GNUC_UNUSED LoomContext *ctx, GError **error)
{
    const NiftiSave *save = self;
    const char *id = loom_packet_id(packet);
    const LoomGeometry *geometry =
        is_native(save->slot) ? loom_packet_native(packet) : loom_packet_geometry(packet);
    const LoomTensor *volume = loom_packet_need(packet, save->slot, error);

    if (!volume)
        return FALSE;
    if (!*id || *id == '.' || strchr(id, '/') || strstr(id, ".."))
        return loom_fail(error, LOOM_ERROR_FORMAT, "'%s' is no name for a file", id);
    if (!geometry)
        return loom_fail(error, LOOM_ERROR_SHAPE,
                         "case '%s' has no grid to be written on (a batch has none)", id);
    g_autofree char *name = g_strconcat(id, save->suffix, NULL);
    g_autofree char *path = g_build_filename(save->made, name, NULL);
    if (save->same || !g_strv_contains(class_slots, save->slot))
        return loom_volume_write(path, volume, geometry, error);
    g_autoptr(LoomTensor) values = values_put(save, volume, error);
    return values && loom_volume_write(path, values, geometry, error);
}

/* The copy of values_put. */
static gboolean nifti_save_need(gpointer self, LoomPacket *sketch, LoomNeed *need,
                                G_GNUC_UNUSED GError **error)
{
    const NiftiSave *save = self;
    const LoomTensor *volume = loom_packet_get(sketch, save->slot);

    if (volume && !save->same && g_strv_contains(class_slots, save->slot))
        need->work = loom_tensor_bytes(volume);
    return TRUE;
}

static const LoomStage nifti_save = {
    .base = LOOM_STAGE(NiftiSave, "nifti_save", "Write a slot of each case as a NIfTI file",
                       .params = nifti_save_params, .open = nifti_save_open,
                       .close = nifti_save_close),
    .reads = nifti_save_reads,
    .map = nifti_save_map,
    .need = nifti_save_need,
};
LOOM_MODULE("stage_nifti_save", "0.1", &nifti_save.base);
