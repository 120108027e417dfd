/* layout_json - folders with a dataset.json: nnU-Net raw, Medical Segmentation Decathlon.
 *
 *   nnunet   imagesTr/NAME_0000.nii.gz, NAME_0001.nii.gz ...   labelsTr/NAME.nii.gz
 *   msd      the files that dataset.json lists under "training"; channels along the fourth axis
 * nnU-Net's "dataset" lists files too, one a channel.
 * Source: nnU-Net, documentation/dataset_format.md; Antonelli et al. 2022. */
#include "found.h"
#include "layout.h"

#include <string.h>

static char *json_path(const char *folder)
{
    return g_build_filename(folder, "dataset.json", NULL);
}

/* "a" of "./imagesTr/a.nii.gz". */
static char *id_of(const char *path)
{
    char *name = g_path_get_basename(path);

    name[strlen(name) - loom_nifti_ending(name)] = '\0';
    return name;
}

/* ---- nnU-Net's folders -------------------------------------------------------------- */

/* Splits "NAME_0001" off "NAME_0001.nii.gz".  Returns: (transfer full): NAME; NULL: no such. */
static char *name_split(const char *name, const char *ending, guint *channel)
{
    const gsize length = strlen(name) - strlen(ending);
    const char *digits = name + length - 4;

    if (length < 6 || digits[-1] != '_')
        return NULL;
    *channel = 0;
    for (guint i = 0; i < 4; i++) {
        if (!g_ascii_isdigit(digits[i]))
            return NULL;
        *channel = *channel * 10 + (guint)(digits[i] - '0');
    }
    return g_strndup(name, length - 5);
}

/* The ids in imagesTr; every name must fit.  (transfer full). */
static GHashTable *ids_find(char **images, const char *ending, guint n_channels, GError **error)
{
    g_autoptr(GHashTable) ids = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (; *images; images++) {
        guint channel;
        g_autofree char *id = NULL;

        if (!g_str_has_suffix(*images, ending))
            continue;
        id = name_split(*images, ending, &channel);
        if (!id)
            return loom_fail_null(
                error, LOOM_ERROR_FORMAT,
                "'imagesTr/%s' has no channel number, want NAME_0000%s (files that "
                "dataset.json lists under 'training' may have any name: layout: msd)",
                *images, ending);
        if (channel >= n_channels)
            return loom_fail_null(error, LOOM_ERROR_FORMAT,
                                  "'imagesTr/%s' is channel %u, but dataset.json names %u",
                                  *images, channel, n_channels);
        g_hash_table_add(ids, g_steal_pointer(&id));
    }
    if (!g_hash_table_size(ids))
        return loom_fail_null(error, LOOM_ERROR_FORMAT, "imagesTr holds no NAME_0000%s",
                              ending);
    return g_steal_pointer(&ids);
}

static void case_fill(LoomFound *found, const char *id, const char *ending)
{
    const guint n_channels = g_strv_length(found->channel_names);
    LoomCase *one = &loom_found_add(found, id, n_channels)->files;
    g_autofree char *label = g_strconcat(id, ending, NULL);

    for (guint c = 0; c < n_channels; c++) {
        g_autofree char *name = g_strdup_printf("%s_%04u%s", id, c, ending);

        one->images[c] = g_build_filename(found->folder, "imagesTr", name, NULL);
    }
    one->label = g_build_filename(found->folder, "labelsTr", label, NULL);
}

/* Labels that belong to no image, in the order of their names; (transfer full). */
static char **labels_left_over(char **labels, GHashTable *ids, const char *ending)
{
    g_autoptr(GStrvBuilder) left = g_strv_builder_new();

    for (; *labels; labels++) {
        g_autofree char *id = g_str_has_suffix(*labels, ending)
                                  ? g_strndup(*labels, strlen(*labels) - strlen(ending))
                                  : NULL;
        g_autofree char *path = g_strconcat("labelsTr/", *labels, NULL);

        if (id && !g_hash_table_contains(ids, id))
            g_strv_builder_add(left, path);
    }
    return g_strv_builder_end(left);
}

static gboolean folders_read(LoomFound *found, const LoomLayout *layout, GError **error)
{
    g_autofree char *images_folder = g_build_filename(found->folder, "imagesTr", NULL);
    g_autofree char *labels_folder = g_build_filename(found->folder, "labelsTr", NULL);
    g_auto(GStrv) images = loom_folder_names(images_folder, error);
    g_auto(GStrv) labels = images ? loom_folder_names(labels_folder, error) : NULL;
    g_autoptr(GHashTable) ids =
        labels ? ids_find(images, layout->ending, g_strv_length(found->channel_names), error)
               : NULL;
    GHashTableIter iter;
    gpointer id;

    if (!ids)
        return FALSE;
    g_hash_table_iter_init(&iter, ids);
    while (g_hash_table_iter_next(&iter, &id, NULL))
        case_fill(found, id, layout->ending);
    found->unpaired = labels_left_over(labels, ids, layout->ending);
    found->pattern = g_strdup_printf("imagesTr/NAME_0000%s, labelsTr/NAME%s", layout->ending,
                                     layout->ending);
    return TRUE;
}

/* ---- lists of files ----------------------------------------------------------------- */

static void listed_fill(LoomFound *found, const LoomLayout *layout)
{
    for (guint i = 0; i < layout->n_listed; i++) {
        const LoomCase *listed = &layout->listed[i];
        const guint n = g_strv_length(listed->images);
        g_autofree char *id = listed->id ? g_strdup(listed->id) : id_of(listed->images[0]);
        LoomCase *one = &loom_found_add(found, id, n)->files;

        for (guint c = 0; c < n; c++)
            one->images[c] = g_canonicalize_filename(listed->images[c], found->folder);
        one->label = g_canonicalize_filename(listed->label, found->folder);
    }
    found->pattern = g_strdup_printf("the files that dataset.json lists under '%s'",
                                     layout->by_channel ? "dataset" : "training");
}

/* What dataset.json says, besides files, moves into @found. */
static void layout_take(LoomFound *found, LoomLayout *layout)
{
    found->name = g_steal_pointer(&layout->name);
    found->channel_names = g_strdupv(layout->channel_names);
    found->label_names = g_steal_pointer(&layout->label_names);
    memcpy(found->declared, layout->declared, sizeof found->declared);
    found->ignored = layout->ignored;
    found->regions = g_steal_pointer(&layout->regions);
    found->n_regions = layout->n_regions;
    layout->n_regions = 0;
    found->n_promised = layout->n_training;
}

static gboolean json_read(LoomFound *found, const LoomDataOptions *options, LoomLayout *layout,
                          GError **error)
{
    g_autofree char *path = json_path(found->folder);

    layout->labels_passed = options->label_names != NULL;
    if (!loom_layout_read(path, layout, error))
        return FALSE;
    layout_take(found, layout);
    return TRUE;
}

static gboolean nnunet_read(LoomFound *found, const LoomDataOptions *options, GError **error)
{
    g_auto(LoomLayout) layout = {0};

    if (!json_read(found, options, &layout, error))
        return FALSE;
    if (!layout.by_channel)
        return folders_read(found, &layout, error);
    listed_fill(found, &layout);
    return TRUE;
}

static gboolean msd_read(LoomFound *found, const LoomDataOptions *options, GError **error)
{
    g_auto(LoomLayout) layout = {0};

    if (!json_read(found, options, &layout, error))
        return FALSE;
    if (!layout.n_listed || layout.by_channel)
        return loom_fail(error, LOOM_ERROR_FORMAT, "dataset.json has no list 'training'");
    found->whole = g_strv_length(found->channel_names) > 1;
    listed_fill(found, &layout);
    return TRUE;
}

/* ---- which of the two --------------------------------------------------------------- */

/* Does @folder hold the first listed image, as it is called, and with a channel's number?
 * Version 1 of nnU-Net lists files as they were called before they were numbered. */
static void listed_look(const char *folder, const LoomCase *listed, gboolean *there,
                        gboolean *numbered)
{
    g_autofree char *path = g_canonicalize_filename(listed->images[0], folder);
    const gsize ending = loom_nifti_ending(path);
    g_autofree char *stem = g_strndup(path, strlen(path) - ending);
    g_autofree char *channel = g_strconcat(stem, "_0000", path + strlen(stem), NULL);

    *there = g_file_test(path, G_FILE_TEST_EXISTS);
    *numbered = g_file_test(channel, G_FILE_TEST_EXISTS);
}

/* A file that cannot be read counts as nnU-Net's, whose reader says what is wrong with it. */
static gboolean json_fits(const char *folder, gboolean msd)
{
    g_autofree char *path = json_path(folder);
    g_auto(LoomLayout) layout = {.labels_passed = TRUE};
    gboolean there = FALSE, numbered = FALSE;

    if (!g_file_test(path, G_FILE_TEST_EXISTS))
        return FALSE;
    if (!loom_layout_read(path, &layout, NULL) || !layout.n_listed || layout.by_channel)
        return !msd;
    listed_look(folder, &layout.listed[0], &there, &numbered);
    return msd ? there || !numbered : numbered;
}

static gboolean nnunet_fits(const char *folder)
{
    return json_fits(folder, FALSE);
}

static gboolean msd_fits(const char *folder)
{
    return json_fits(folder, TRUE);
}

const LoomLayoutKind loom_layout_nnunet = {
    "nnunet", "dataset.json, imagesTr/NAME_0000.nii.gz and labelsTr/NAME.nii.gz", nnunet_fits,
    nnunet_read};
const LoomLayoutKind loom_layout_msd = {"msd", "dataset.json with a list 'training'", msd_fits,
                                        msd_read};
