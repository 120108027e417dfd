/* image_files - NIfTI files that a person named: files, folders, channels of a case. */
#include "image_files.h"

#include <loom/data.h>

#include <string.h>

static const char *const endings[] = {".nii.gz", ".nii", ".hdr", NULL};

/* Bytes of the ending of a NIfTI file's name; 0: it has none. */
static gsize ending_length(const char *path)
{
    for (guint i = 0; endings[i]; i++)
        if (g_str_has_suffix(path, endings[i]))
            return strlen(endings[i]);
    return 0;
}

gboolean image_file_is(const char *path)
{
    return ending_length(path) > 0;
}

char *image_file_stem(const char *path)
{
    char *name = g_path_get_basename(path);

    name[strlen(name) - ending_length(name)] = '\0';
    return name;
}

static gint paths_compare(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Case "a" is one of a.nii and a.nii.gz, not both. */
static gboolean stems_check(const GPtrArray *paths, GError **error)
{
    g_autoptr(GHashTable) known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (guint i = 0; i < paths->len; i++) {
        char *stem = image_file_stem(paths->pdata[i]);
        const char *other = g_hash_table_lookup(known, stem);

        g_hash_table_insert(known, stem, paths->pdata[i]);
        if (other)
            return loom_fail(error, LOOM_ERROR_IO,
                             "'%s' and '%s' have one name, want one of them", other,
                             (char *)paths->pdata[i]);
    }
    return TRUE;
}

static gboolean folder_collect(const char *folder, GPtrArray *paths, GError **error)
{
    g_autoptr(GError) cause = NULL;
    g_autoptr(GDir) dir = g_dir_open(folder, 0, &cause);
    g_autofree char *inner = g_build_filename(folder, "imagesTr", NULL);
    g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(g_free);
    const char *name;

    if (!dir)
        return loom_fail(error, LOOM_ERROR_IO, "%s", cause->message);
    while ((name = g_dir_read_name(dir)))
        if (*name != '.' && image_file_is(name))
            g_ptr_array_add(found, g_build_filename(folder, name, NULL));
    if (!found->len)
        return loom_fail(error, LOOM_ERROR_IO, "'%s' holds no NIfTI file%s", folder,
                         g_file_test(inner, G_FILE_TEST_IS_DIR)
                             ? ", but 'imagesTr': name one of its folders"
                             : "");
    g_ptr_array_sort(found, paths_compare);
    if (!stems_check(found, error))
        return FALSE;
    g_ptr_array_extend_and_steal(paths, g_steal_pointer(&found));
    return TRUE;
}

gboolean image_files_collect(const char *path, GPtrArray *paths, GError **error)
{
    if (g_file_test(path, G_FILE_TEST_IS_DIR))
        return folder_collect(path, paths, error);
    if (!g_file_test(path, G_FILE_TEST_EXISTS))
        return loom_fail(error, LOOM_ERROR_IO, "'%s' is not there", path);
    if (!image_file_is(path))
        return loom_fail(error, LOOM_ERROR_IO,
                         "'%s' is no NIfTI file by its name (.nii, .nii.gz, .hdr)", path);
    g_ptr_array_add(paths, g_strdup(path));
    return TRUE;
}

char *image_files_dataset(const char *path)
{
    g_autofree char *whole = g_canonicalize_filename(path, NULL);
    const gboolean folder = g_file_test(whole, G_FILE_TEST_IS_DIR);
    g_autofree char *inside = folder ? g_strdup(whole) : g_path_get_dirname(whole);
    g_autofree char *above = g_path_get_dirname(inside);
    const char *const folders[] = {inside, above};

    for (guint i = 0; i < G_N_ELEMENTS(folders); i++) {
        g_autofree char *json = g_build_filename(folders[i], "dataset.json", NULL);

        if (g_file_test(json, G_FILE_TEST_EXISTS))
            return g_steal_pointer(&json);
    }
    return NULL;
}

/* ---- channels ----------------------------------------------------------------------- */

void image_case_free(ImageCase *one)
{
    if (!one)
        return;
    g_strfreev(one->channels);
    g_free(one->id);
    g_free(one);
}

/* Cuts "_0001" off and returns 1; -1: there is no such number. */
static gint channel_cut(char *stem)
{
    const gsize length = strlen(stem);
    char *number = length > 5 ? stem + length - 5 : NULL;

    if (!number || *number != '_' || strspn(number + 1, "0123456789") != 4)
        return -1;
    *number = '\0';
    return (gint)g_ascii_strtoll(number + 1, NULL, 10);
}

static ImageCase *case_named(GPtrArray *cases, const char *id, guint n_channels)
{
    for (guint i = 0; i < cases->len; i++) {
        ImageCase *one = cases->pdata[i];

        if (g_str_equal(one->id, id))
            return one;
    }
    ImageCase *one = g_new0(ImageCase, 1);
    one->id = g_strdup(id);
    one->channels = g_new0(char *, n_channels + 1);
    g_ptr_array_add(cases, one);
    return one;
}

/* Along the fourth axis and those behind it; 0: the header says nothing. */
static guint volumes_of(const char *path)
{
    LoomVolumeHeader header;
    guint64 volumes = 1;

    if (!loom_volume_read_header(path, &header, NULL))
        return 0;
    for (guint i = 3; i < header.n_dims; i++)
        volumes *= (guint64)header.shape[i];
    return (guint)MIN(volumes, G_MAXUINT); /* the header was checked: it is no more than that */
}

static gboolean file_add(GPtrArray *cases, const char *path, guint n_channels, GError **error)
{
    const guint volumes = volumes_of(path);
    g_autofree char *id = image_file_stem(path);
    gint channel = volumes > 1 ? -1 : channel_cut(id);

    if (channel < 0 && n_channels > 1 && volumes == 1)
        return loom_fail(
            error, LOOM_ERROR_CONFIG,
            "'%s' holds 1 channel, the model takes %u: want files named NAME_0000, "
            "NAME_0001, ..., or one with the channels along its fourth axis",
            path, n_channels);
    if (channel >= (gint)n_channels)
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "'%s' is channel %d, the model takes %u (counted from 0)", path,
                         channel, n_channels);
    ImageCase *one = case_named(cases, id, n_channels);
    const gboolean whole = volumes > 1 || (channel < 0 && n_channels > 1);
    char **slot = &one->channels[MAX(channel, 0)];
    for (guint c = 0; c < n_channels; c++)
        if (one->channels[c] && (whole || one->volumes || &one->channels[c] == slot))
            return loom_fail(error, LOOM_ERROR_CONFIG,
                             "'%s' and '%s' are the same channel of '%s'", one->channels[c],
                             path, id);
    *slot = g_strdup(path);
    one->volumes = whole ? MAX(volumes, 1) : 0;
    return TRUE;
}

GPtrArray *image_cases_group(const GPtrArray *paths, guint n_channels, GError **error)
{
    g_autoptr(GPtrArray) cases =
        g_ptr_array_new_with_free_func((GDestroyNotify)image_case_free);

    for (guint i = 0; i < paths->len; i++)
        if (!file_add(cases, paths->pdata[i], n_channels, error))
            return NULL;
    for (guint i = 0; i < cases->len; i++) {
        const ImageCase *one = cases->pdata[i];

        for (guint c = 0; c < n_channels && !one->volumes; c++)
            if (!one->channels[c])
                return loom_fail_null(error, LOOM_ERROR_CONFIG,
                                      "case '%s': channel %u is missing (%s_%04u.nii.gz)",
                                      one->id, c, one->id, c);
    }
    return g_steal_pointer(&cases);
}
