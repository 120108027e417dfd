/* phantom_files - a painted data set on disk: as nnU-Net wants it, or as two challenges had it.
 * Source: nnU-Net, documentation/dataset_format.md; Heller et al. 2019, The KiTS19 Challenge
 * Data; the BraTS 2020 data. */
#include "phantom_files.h"

#include "data/dataset.h"

#include <errno.h>
#include <json-glib/json-glib.h>
#include <math.h>
#include <string.h>

static gboolean folder_make(const char *folder, const char *name, GError **error)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);

    if (g_mkdir_with_parents(path, 0777) == 0)
        return TRUE;
    return loom_fail(error, LOOM_ERROR_IO, "'%s' cannot be made: %s", path, g_strerror(errno));
}

gboolean phantom_files_begin(const PhantomFiles *files, GError **error)
{
    g_autofree char *images = g_build_filename(files->folder, "imagesTr", NULL);

    if (g_file_test(images, G_FILE_TEST_EXISTS) || loom_dataset_known(files->folder))
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "'%s' holds a data set already: name another folder or remove it",
                         files->folder);
    return files->layout != PHANTOM_NNUNET
           || (folder_make(files->folder, "imagesTr", error)
               && folder_make(files->folder, "labelsTr", error));
}

/* "imagesTr/ID_0000.nii.gz", or as the layout calls it; @channel -1: the label map. */
static char *name_of(const PhantomFiles *files, const char *id, gint64 number, gint channel)
{
    const char *part = channel < 0 ? "seg" : files->channels[channel];

    if (files->layout == PHANTOM_KITS19)
        return g_strdup_printf("case_%05d/%s.nii.gz", (int)number - 1,
                               channel < 0 ? "segmentation" : "imaging");
    if (files->layout == PHANTOM_BRATS20)
        return g_strdup_printf("%s/%s_%s.nii.gz", id, id, part);
    return channel < 0 ? g_strdup_printf("labelsTr/%s.nii.gz", id)
                       : g_strdup_printf("imagesTr/%s_%04d.nii.gz", id, channel);
}

/* One channel of (C,D,H,W) as (D,H,W) in a file of its own. */
static gboolean channel_write(const char *path, const LoomTensor *image, gint64 channel,
                              const LoomGeometry *geometry, GError **error)
{
    const gint64 voxels = loom_tensor_count_from(image, 'D');
    g_autoptr(LoomTensor) volume =
        loom_tensor_new(LOOM_F32, "DHW", loom_tensor_shape(image) + 1, error);

    if (!volume)
        return FALSE;
    float *to = loom_tensor_f32_mut(volume);
    const float *from = loom_tensor_f32(image) + channel * voxels;
    for (gint64 v = 0; v < voxels; v++) /* whole numbers, as scanners store: half the file */
        to[v] = roundf(from[v]);
    return loom_volume_write(path, volume, geometry, error);
}

/* BraTS leaves 3 out. */
static gboolean label_write(const PhantomFiles *files, const char *path,
                            const LoomTensor *label, const LoomGeometry *geometry,
                            GError **error)
{
    g_autoptr(LoomTensor) values = NULL;

    if (files->layout != PHANTOM_BRATS20)
        return loom_volume_write(path, label, geometry, error);
    if (!(values = loom_tensor_copy(label, error)))
        return FALSE;
    guint8 *x = loom_tensor_u8_mut(values);
    for (gint64 v = 0; v < loom_tensor_count(values); v++)
        x[v] = x[v] == 3 ? 4 : x[v];
    return loom_volume_write(path, values, geometry, error);
}

gboolean phantom_files_add(const PhantomFiles *files, const char *id, gint64 number,
                           const LoomTensor *image, const LoomTensor *label,
                           const LoomGeometry *geometry, GError **error)
{
    for (gint c = -1; c < (gint)loom_tensor_size(image, 'C'); c++) {
        g_autofree char *name = name_of(files, id, number, c);
        g_autofree char *path = g_build_filename(files->folder, name, NULL);
        g_autofree char *folder = g_path_get_dirname(name);

        if (!folder_make(files->folder, folder, error)
            || !(c < 0 ? label_write(files, path, label, geometry, error)
                       : channel_write(path, image, c, geometry, error)))
            return FALSE;
    }
    return TRUE;
}

static void number_set(JsonBuilder *builder, const char *name, gint64 number)
{
    json_builder_set_member_name(builder, name);
    json_builder_add_int_value(builder, number);
}

static void text_set(JsonBuilder *builder, const char *name, const char *text)
{
    json_builder_set_member_name(builder, name);
    json_builder_add_string_value(builder, text);
}

gboolean phantom_files_end(const PhantomFiles *files, gint64 cases, GError **error)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();
    g_autofree char *path = g_build_filename(files->folder, "dataset.json", NULL);

    if (files->layout != PHANTOM_NNUNET)
        return TRUE;
    json_builder_begin_object(builder);
    text_set(builder, "name", files->name);
    text_set(builder, "description", files->description);
    json_builder_set_member_name(builder, "channel_names");
    json_builder_begin_object(builder);
    for (gint64 c = 0; files->channels[c]; c++) {
        g_autofree char *number = g_strdup_printf("%d", (int)c);

        text_set(builder, number, files->channels[c]);
    }
    json_builder_end_object(builder);
    json_builder_set_member_name(builder, "labels");
    json_builder_begin_object(builder);
    number_set(builder, "background", 0);
    for (gint64 k = 0; files->labels[k]; k++)
        number_set(builder, files->labels[k], k + 1);
    json_builder_end_object(builder);
    number_set(builder, "numTraining", cases);
    text_set(builder, "file_ending", ".nii.gz");
    json_builder_end_object(builder);
    g_autoptr(JsonNode) root = json_builder_get_root(builder);
    g_autofree char *text = json_to_string(root, TRUE);
    g_autofree char *lines = g_strconcat(text, "\n", NULL);
    return loom_file_replace(path, lines, strlen(lines), error);
}
