/* layout_folders - challenges that give each case a folder of its own.
 *
 *   kits19    case_00000/imaging.nii.gz, segmentation.nii.gz
 *   brats20   CASE/NAME_flair.nii.gz, NAME_t1.nii.gz, NAME_t1ce.nii.gz, NAME_t2.nii.gz,
 *             NAME_seg.nii.gz, where label 4 comes after 2
 * Source: Heller et al. 2019, The KiTS19 Challenge Data, and its repository;
 * Menze et al. 2015, Bakas et al. 2018 and the BraTS 2020 data. */
#define G_LOG_DOMAIN "loom-data"
#include "found.h"

#include <string.h>

#define FOLDERS_CHANNELS 4
#define FOLDERS_LABELS 4

typedef struct {
    const char *prefix; /* of a case's folder */
    const char *channels[FOLDERS_CHANNELS + 1];
    const char *stems[FOLDERS_CHANNELS + 1]; /* how names end, before .nii or .nii.gz */
    const char *label, *label_also;          /* the same; another spelling in some case */
    gboolean whole;                          /* the stem is all of the name */
    const char *labels[FOLDERS_LABELS + 1];
    const char *const *label_map;
    gint64 n_labelled; /* cases from this number on have no label by design; 0: all have */
    const char *pattern;
} Folders;

static const Folders kits19 = {
    .prefix = "case_",
    .channels = {"CT"},
    .stems = {"imaging"},
    .label = "segmentation",
    .whole = TRUE,
    .labels = {"background", "kidney", "tumour"},
    .n_labelled = 210, /* the other 90 were the challenge's test */
    .pattern = "case_NNNNN/imaging.nii.gz, case_NNNNN/segmentation.nii.gz",
};

static const char *const brats_map[] = {"4", "3", NULL};
static const Folders brats20 = {
    .prefix = "",
    .channels = {"flair", "t1", "t1ce", "t2"},
    .stems = {"_flair", "_t1", "_t1ce", "_t2"},
    .label = "_seg",
    .label_also = "_Segm", /* the name in BraTS20_Training_355 */
    .labels = {"background", "necrosis", "oedema", "enhancing"},
    .label_map = brats_map,
    .pattern = "CASE/*_flair.nii.gz, *_t1.nii.gz, *_t1ce.nii.gz, *_t2.nii.gz, *_seg.nii.gz",
};

/* Is @name "imaging.nii" or "...imaging.nii.gz"? */
static gboolean name_fits(const char *name, const char *stem, gboolean whole)
{
    const gsize ending = loom_nifti_ending(name), length = strlen(stem);
    const gsize left = strlen(name) - ending;

    return ending && left >= length && (!whole || left == length)
           && strncmp(name + left - length, stem, length) == 0;
}

/* The file of a case whose name ends so.  Returns: (transfer full): "": there is none;
 * NULL: there are two. */
static char *file_find(const char *folder, char *const *names, const char *stem, gboolean whole,
                       GError **error)
{
    const char *found = NULL;

    for (; *names; names++) {
        if (!name_fits(*names, stem, whole))
            continue;
        if (found)
            return loom_fail_as_null(error, "E-DATA-TWO-FILES", LOOM_ERROR_FORMAT,
                                     "'%s' holds '%s' and '%s': want only one of them", folder,
                                     found, *names);
        found = *names;
    }
    return found ? g_build_filename(folder, found, NULL) : g_strdup("");
}

/* Cases of the test set have an image and no label. */
static gboolean for_testing(const Folders *folders, const char *id, const LoomCase *one)
{
    guint64 number;

    return folders->n_labelled && !*one->label
           && g_ascii_string_to_unsigned(id + strlen(folders->prefix), 10,
                                         (guint64)folders->n_labelled, G_MAXINT32, &number,
                                         NULL);
}

static gboolean case_read(LoomFound *found, const Folders *folders, const char *id,
                          char *const *names, GError **error)
{
    const guint n = g_strv_length((char **)(guintptr)folders->channels);
    g_autofree char *folder = g_build_filename(found->folder, id, NULL);
    LoomCase *one = &loom_found_add(found, id, n)->files;

    for (guint c = 0; c < n; c++)
        if (!(one->images[c] =
                  file_find(folder, names, folders->stems[c], folders->whole, error)))
            return FALSE;
    one->label = file_find(folder, names, folders->label, folders->whole, error);
    if (one->label && !*one->label && folders->label_also) {
        g_free(one->label);
        one->label = file_find(folder, names, folders->label_also, folders->whole, error);
    }
    if (!one->label)
        return FALSE;
    if (for_testing(folders, id, one))
        g_array_set_size(found->cases, found->cases->len - 1);
    return TRUE;
}

/* Does the folder of a case hold one of its files?  "_seg" alone says too little. */
static gboolean case_fits(const Folders *folders, char *const *names)
{
    for (; *names; names++) {
        if (folders->whole && name_fits(*names, folders->label, TRUE))
            return TRUE;
        for (guint c = 0; folders->stems[c]; c++)
            if (name_fits(*names, folders->stems[c], folders->whole))
                return TRUE;
    }
    return FALSE;
}

/* Reads the cases into @found; where that is NULL, stops at the first. */
static gboolean cases_visit(const Folders *folders, const char *folder, LoomFound *found,
                            gboolean *any, GError **error)
{
    g_auto(GStrv) ids = loom_folder_names(folder, error);

    if (!ids)
        return FALSE;
    for (char **id = ids; *id; id++) {
        g_autofree char *path = g_build_filename(folder, *id, NULL);
        g_auto(GStrv) names = NULL;

        if (!g_str_has_prefix(*id, folders->prefix) || !g_file_test(path, G_FILE_TEST_IS_DIR))
            continue;
        if (!(names = loom_folder_names(path, error)))
            return FALSE;
        if (!case_fits(folders, names))
            continue;
        *any = TRUE;
        if (!found)
            return TRUE;
        if (!case_read(found, folders, *id, names, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean folders_fit(const Folders *folders, const char *folder)
{
    gboolean any = FALSE;

    return cases_visit(folders, folder, NULL, &any, NULL) && any;
}

static gboolean folders_read(const Folders *folders, LoomFound *found, GError **error)
{
    gboolean any = FALSE;

    found->channel_names = g_strdupv((char **)(guintptr)folders->channels);
    found->label_names = g_strdupv((char **)(guintptr)folders->labels);
    found->label_map = folders->label_map;
    found->pattern = g_strdup(folders->pattern);
    return cases_visit(folders, found->folder, found, &any, error);
}

/* ---- images alone ------------------------------------------------------------------- */

/* Adds the case whose folder this is: if it has every image, where @every is wanted, else if it
 * has any. */
static gboolean images_add(const Folders *folders, const char *folder, gboolean every,
                           LoomFound *found, gboolean *any, GError **error)
{
    const guint n = g_strv_length((char **)(guintptr)folders->channels);
    g_autofree char *id = g_path_get_basename(folder);
    g_auto(GStrv) names = loom_folder_names(folder, error);
    g_auto(GStrv) images = g_new0(char *, n + 1);
    guint there = 0;

    if (!names)
        return FALSE;
    if (!g_str_has_prefix(id, folders->prefix))
        return TRUE;
    for (guint c = 0; c < n; c++) {
        images[c] =
            file_find(folder, names, folders->stems[c], folders->whole, every ? NULL : error);
        if (!images[c])
            return every; /* the images of several cases */
        there += *images[c] ? 1 : 0;
    }
    if (there < (every ? n : 1))
        return TRUE;
    *any = TRUE;
    LoomCase *one = &loom_found_add(found, id, n)->files;
    for (guint c = 0; c < n; c++)
        one->images[c] = g_steal_pointer(&images[c]);
    return TRUE;
}

static gboolean images_read(const Folders *folders, const char *folder, LoomFound *found,
                            gboolean *any, GError **error)
{
    g_auto(GStrv) inner = loom_folder_names(folder, error);

    if (!inner || !images_add(folders, folder, TRUE, found, any, error))
        return FALSE;
    for (char **name = inner; !*any && *name; name++)
        if (loom_nifti_ending(*name)) /* files that a person put here */
            return TRUE;
    const gboolean one = *any;
    for (char **name = inner; !one && *name; name++) {
        g_autofree char *path = g_build_filename(folder, *name, NULL);

        if (g_file_test(path, G_FILE_TEST_IS_DIR)
            && !images_add(folders, path, FALSE, found, any, error))
            return FALSE;
    }
    return TRUE;
}

gboolean loom_folders_images(const char *path, LoomFound *found, GError **error)
{
    static const Folders *const kinds[] = {&kits19, &brats20};
    g_autofree char *whole = g_canonicalize_filename(path, NULL);
    const gboolean folder = g_file_test(whole, G_FILE_TEST_IS_DIR);
    g_autofree char *name = g_path_get_basename(whole), *above = g_path_get_dirname(whole);
    gboolean any = FALSE;

    for (guint i = 0; !any && i < G_N_ELEMENTS(kinds); i++) {
        if (!folder && !(kinds[i]->whole && name_fits(name, kinds[i]->stems[0], TRUE)))
            continue;
        if (!images_read(kinds[i], folder ? whole : above, found, &any, error))
            return FALSE;
        if (any)
            found->channel_names = g_strdupv((char **)(guintptr)kinds[i]->channels);
    }
    return any;
}

static gboolean kits19_fits(const char *folder)
{
    return folders_fit(&kits19, folder);
}

static gboolean kits19_read(LoomFound *found, G_GNUC_UNUSED const LoomDataOptions *options,
                            GError **error)
{
    return folders_read(&kits19, found, error);
}

static gboolean brats20_fits(const char *folder)
{
    return folders_fit(&brats20, folder);
}

static gboolean brats20_read(LoomFound *found, G_GNUC_UNUSED const LoomDataOptions *options,
                             GError **error)
{
    return folders_read(&brats20, found, error);
}

const LoomLayoutKind loom_layout_kits19 = {
    "kits19", "case_NNNNN/imaging.nii.gz and segmentation.nii.gz", kits19_fits, kits19_read};
const LoomLayoutKind loom_layout_brats20 = {
    "brats20", "CASE/*_flair.nii.gz, *_t1.nii.gz, *_t1ce.nii.gz, *_t2.nii.gz and *_seg.nii.gz",
    brats20_fits, brats20_read};
