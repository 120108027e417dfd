/* nifti_save - a slot of each packet as FOLDER/ID.nii.gz: what was predicted on the grid of the
 * file, all else on that of the image. */
#include <loom/loom.h>

#include <errno.h>
#include <string.h>

typedef struct {
    char *slot, *folder, *suffix;

    char *made; /* the folder that is written to; NULL: only checking */
} NiftiSave;

static const LoomParam nifti_save_params[] = {
    LOOM_STRING(NiftiSave, slot, "prediction",
                "what to write: u8 or f32 (D,H,W), f32 (C,D,H,W)"),
    LOOM_PATH(NiftiSave, folder, "", "where to; without it: predictions in the run's folder"),
    LOOM_STRING(NiftiSave, suffix, ".nii.gz",
                "what follows the case's id; ends with .nii or .nii.gz"),
    {0},
};

static const LoomSlot nifti_save_reads[] = {
    {"prediction", LOOM_U8, "DHW", LOOM_SLOT_OPTIONAL | LOOM_SLOT_NATIVE,
     "class of each voxel; or what `slot` names"},
    {0},
};

/* Those with LOOM_SLOT_NATIVE. */
static const char *const native_slots[] = {"prediction", "probabilities", "truth", NULL};

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

static gboolean nifti_save_map(gpointer self, LoomPacket *packet,
                               G_GNUC_UNUSED LoomContext *ctx, GError **error)
{
    const NiftiSave *save = self;
    const char *id = loom_packet_id(packet);
    const gboolean native = g_strv_contains(native_slots, save->slot);
    const LoomGeometry *geometry =
        native ? loom_packet_native(packet) : loom_packet_geometry(packet);
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
    return loom_volume_write(path, volume, geometry, error);
}

static const LoomStage nifti_save = {
    .base = LOOM_STAGE(NiftiSave, "nifti_save", "Write a slot of each case as a NIfTI file",
                       .params = nifti_save_params, .open = nifti_save_open,
                       .close = nifti_save_close),
    .reads = nifti_save_reads,
    .map = nifti_save_map,
};
LOOM_MODULE("stage_nifti_save", "0.1", &nifti_save.base);
