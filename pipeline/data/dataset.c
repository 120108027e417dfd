/* dataset - a folder in nnU-Net's layout, or loose files, as a list of cases.
 *
 *   dataset.json   imagesTr/NAME_0000.nii.gz, NAME_0001.nii.gz ...   labelsTr/NAME.nii.gz
 * Source: nnU-Net, documentation/dataset_format.md. */
#define G_LOG_DOMAIN "loom-data"
#include "dataset.h"

#include "layout.h"
#include "split.h"

#include <errno.h>
#include <string.h>

#define DATASET_NAMED 10 /* missing files that a message names */
#define DATASET_HINT "want dataset.json, imagesTr/NAME_0000.nii.gz and labelsTr/NAME.nii.gz"

static const char *const data_nan[] = {"error", "zero", "mask", NULL};
static const char *const data_prefer[] = {"neither", "sform", "qform", NULL};
static const char *const data_axes[] = {"none", "LAS", "RAS", "LPS", "RPS",
                                        "LAI",  "RAI", "LPI", "RPI", NULL};

const LoomParam loom_data_params[] = {
    LOOM_PATH(LoomDataOptions, dataset, "", "folder with dataset.json, imagesTr and labelsTr"),
    LOOM_INT(LoomDataOptions, folds, "5", 1, 1000, NULL,
             "parts of the seeded split; 1: every case trains"),
    LOOM_INT(LoomDataOptions, fold, "0", 0, 999, NULL, "the part that validates"),
    LOOM_INT(LoomDataOptions, split_seed, "12345", 0, 1e15, NULL,
             "seed of the split, so that the run's seed moves no case"),
    LOOM_PATH(LoomDataOptions, train, "", "list of case ids, one a line, instead of folds"),
    LOOM_PATH(LoomDataOptions, validate, "", "the same for validation; without it: the others"),
    LOOM_STRING(LoomDataOptions, patient_key, "",
                "regular expression: its group in a case id is the patient"),
    LOOM_ENUM(LoomDataOptions, nan_policy, "error", data_nan,
              "voxels that are NaN or infinite; mask: 0, and counted in no loss"),
    LOOM_ENUM(LoomDataOptions, prefer, "neither", data_prefer,
              "what counts where sform and qform disagree; neither: refused"),
    LOOM_ENUM(LoomDataOptions, assume_orientation, "none", data_axes,
              "axes of files with neither sform nor qform; none: refused"),
    LOOM_FLOAT(LoomDataOptions, shear, "0.01", 0, 1, NULL,
               "largest cosine between two axes of a volume"),
    LOOM_BOOL(LoomDataOptions, allow_analyze, "false", "read Analyze 7.5 as well"),
    LOOM_BOOL(LoomDataOptions, allow_2d, "false", "take 2-D images as one slice"),
    LOOM_BOOL(LoomDataOptions, strict, "false", "warnings about a file are refusals"),
    {0},
};

/* ---- memory ------------------------------------------------------------------------- */

void loom_case_clear(LoomCase *one)
{
    g_free(one->id);
    g_strfreev(one->images);
    g_free(one->label);
    *one = (LoomCase){0};
}

void loom_dataset_free(LoomDataset *dataset)
{
    if (!dataset)
        return;
    for (guint i = 0; i < dataset->n_cases; i++)
        loom_case_clear(&dataset->cases[i]);
    g_free(dataset->cases);
    g_free(dataset->folder);
    g_free(dataset->name);
    g_free(dataset->in_train);
    g_strfreev(dataset->channel_names);
    g_strfreev(dataset->label_names);
    g_free(dataset);
}

/* ---- names -------------------------------------------------------------------------- */

static int name_compare(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Names of the files in a folder that end with @ending, as a set; those of hidden ones not. */
static GHashTable *folder_names(const char *folder, const char *ending, GError **error)
{
    g_autoptr(GError) cause = NULL;
    g_autoptr(GDir) dir = g_dir_open(folder, 0, &cause);
    GHashTable *names;
    const char *name;

    if (!dir)
        return loom_fail_null(error, LOOM_ERROR_IO, "there is no folder '%s': " DATASET_HINT,
                              folder);
    names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    while ((name = g_dir_read_name(dir)))
        if (*name != '.' && g_str_has_suffix(name, ending))
            g_hash_table_add(names, g_strdup(name));
    return names;
}

/* The names of a set, sorted, so that no message depends on hashes. */
static GPtrArray *names_sorted(GHashTable *names)
{
    GPtrArray *sorted = g_ptr_array_new();
    GHashTableIter iter;
    gpointer name;

    g_hash_table_iter_init(&iter, names);
    while (g_hash_table_iter_next(&iter, &name, NULL))
        g_ptr_array_add(sorted, name);
    g_ptr_array_sort(sorted, name_compare);
    return sorted;
}

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

/* The ids in imagesTr, sorted; every name must fit. */
static GPtrArray *ids_find(GHashTable *images, const LoomLayout *layout, GError **error)
{
    g_autoptr(GHashTable) ids = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GPtrArray) names = names_sorted(images);
    const guint n_channels = g_strv_length(layout->channel_names);
    g_autoptr(GPtrArray) sorted = g_ptr_array_new_with_free_func(g_free);

    for (guint i = 0; i < names->len; i++) {
        const char *name = names->pdata[i];
        guint channel;
        g_autofree char *id = name_split(name, layout->ending, &channel);

        if (!id)
            return loom_fail_null(
                error, LOOM_ERROR_FORMAT,
                "'imagesTr/%s' has no channel number, want NAME_0000%s (files "
                "of the Medical Segmentation Decathlon must be renamed)",
                name, layout->ending);
        if (channel >= n_channels)
            return loom_fail_null(error, LOOM_ERROR_FORMAT,
                                  "'imagesTr/%s' is channel %u, but dataset.json names %u",
                                  name, channel, n_channels);
        if (g_hash_table_add(ids, g_strdup(id)))
            g_ptr_array_add(sorted, g_steal_pointer(&id));
    }
    if (!sorted->len)
        return loom_fail_null(error, LOOM_ERROR_FORMAT, "imagesTr holds no NAME_0000%s",
                              layout->ending);
    g_ptr_array_sort(sorted, name_compare);
    return g_steal_pointer(&sorted);
}

/* ---- cases -------------------------------------------------------------------------- */

typedef struct {
    GString *names;
    guint n;
} Missing;

static void missing_check(Missing *missing, GHashTable *names, const char *folder,
                          const char *name)
{
    if (g_hash_table_contains(names, name))
        return;
    if (missing->n++ < DATASET_NAMED)
        g_string_append_printf(missing->names, "%s%s/%s", missing->n > 1 ? ", " : "", folder,
                               name);
}

static void case_fill(LoomDataset *dataset, const char *id, const LoomLayout *layout,
                      GHashTable *images, GHashTable *labels, Missing *missing)
{
    LoomCase *one = &dataset->cases[dataset->n_cases++];
    g_autofree char *label = g_strconcat(id, layout->ending, NULL);

    one->id = g_strdup(id);
    one->images = g_new0(char *, dataset->n_channels + 1);
    for (guint c = 0; c < dataset->n_channels; c++) {
        g_autofree char *name = g_strdup_printf("%s_%04u%s", id, c, layout->ending);

        missing_check(missing, images, "imagesTr", name);
        one->images[c] = g_build_filename(dataset->folder, "imagesTr", name, NULL);
    }
    missing_check(missing, labels, "labelsTr", label);
    one->label = g_build_filename(dataset->folder, "labelsTr", label, NULL);
}

/* Labels that belong to no image, in the order of their names; (transfer full). */
static GPtrArray *labels_left_over(GHashTable *labels, const LoomDataset *dataset,
                                   const char *ending)
{
    g_autoptr(GHashTable) known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GPtrArray) names = names_sorted(labels);
    GPtrArray *left = g_ptr_array_new_with_free_func(g_free);

    for (guint i = 0; i < dataset->n_cases; i++)
        g_hash_table_add(known, g_strconcat(dataset->cases[i].id, ending, NULL));
    for (guint i = 0; i < names->len; i++)
        if (!g_hash_table_contains(known, names->pdata[i]))
            g_ptr_array_add(left, g_strdup(names->pdata[i]));
    return left;
}

/* A label without an image is worth a word; with a promise of more cases it is the reason. */
static gboolean number_check(const LoomDataset *dataset, const LoomLayout *layout,
                             GHashTable *labels, GError **error)
{
    g_autoptr(GPtrArray) left = labels_left_over(labels, dataset, layout->ending);
    const gint64 wanted = layout->n_training, found = dataset->n_cases;
    const gboolean named = wanted > found && left->len > 0;

    if (wanted >= 0 && wanted != found)
        return loom_fail(
            error, LOOM_ERROR_FORMAT,
            "dataset.json says numTraining %" G_GINT64_FORMAT
            ", but imagesTr holds %" G_GINT64_FORMAT " cases, %" G_GINT64_FORMAT " %s%s%s%s",
            wanted, found, ABS(wanted - found), wanted > found ? "too few" : "too many",
            named ? ": 'labelsTr/" : "", named ? (const char *)left->pdata[0] : "",
            named ? "' has no image" : "");
    for (guint i = 0; i < left->len; i++)
        g_warning("'labelsTr/%s' has no image in imagesTr", (const char *)left->pdata[i]);
    return TRUE;
}

static gboolean cases_find(LoomDataset *dataset, const LoomLayout *layout, GError **error)
{
    g_autofree char *images_folder = g_build_filename(dataset->folder, "imagesTr", NULL);
    g_autofree char *labels_folder = g_build_filename(dataset->folder, "labelsTr", NULL);
    g_autoptr(GHashTable) images = folder_names(images_folder, layout->ending, error);
    g_autoptr(GHashTable) labels =
        images ? folder_names(labels_folder, layout->ending, error) : NULL;
    g_autoptr(GPtrArray) ids = labels ? ids_find(images, layout, error) : NULL;
    g_autoptr(GString) names = g_string_new(NULL);
    Missing missing = {.names = names};

    if (!ids)
        return FALSE;
    dataset->cases = g_new0(LoomCase, ids->len);
    dataset->in_train = g_new0(guint8, ids->len);
    for (guint i = 0; i < ids->len; i++)
        case_fill(dataset, ids->pdata[i], layout, images, labels, &missing);
    if (missing.n > DATASET_NAMED)
        g_string_append_printf(names, " and %u more", missing.n - DATASET_NAMED);
    if (missing.n)
        return loom_fail(error, LOOM_ERROR_IO, "%u file%s missing: %s", missing.n,
                         missing.n == 1 ? " is" : "s are", names->str);
    return number_check(dataset, layout, labels, error);
}

/* ---- a folder ----------------------------------------------------------------------- */

/* There is no dataset.json: perhaps in a folder below? */
static gboolean fail_no_json(const char *folder, GError **error)
{
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    g_autofree char *nearest = NULL; /* the first by name, whatever the file system's order */
    const char *name;

    if (!dir)
        return loom_fail(error, LOOM_ERROR_CONFIG, "there is no folder '%s'", folder);
    while ((name = g_dir_read_name(dir))) {
        g_autofree char *below = g_build_filename(folder, name, NULL);
        g_autofree char *json = g_build_filename(below, "dataset.json", NULL);

        if (!g_file_test(json, G_FILE_TEST_EXISTS) || (nearest && strcmp(nearest, below) < 0))
            continue;
        g_free(nearest);
        nearest = g_steal_pointer(&below);
    }
    if (nearest)
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "'%s' holds no dataset.json, did you mean '%s'?", folder, nearest);
    return loom_fail(error, LOOM_ERROR_CONFIG, "'%s' holds no dataset.json: " DATASET_HINT,
                     folder);
}

static gboolean folder_read(LoomDataset *dataset, GError **error)
{
    g_autofree char *path = g_build_filename(dataset->folder, "dataset.json", NULL);
    g_auto(LoomLayout) layout = {0};

    if (!g_file_test(path, G_FILE_TEST_EXISTS))
        return fail_no_json(dataset->folder, error);
    if (!loom_layout_read(path, &layout, error))
        return FALSE;
    dataset->name =
        layout.name ? g_steal_pointer(&layout.name) : g_path_get_basename(dataset->folder);
    dataset->channel_names = g_steal_pointer(&layout.channel_names);
    dataset->n_channels = g_strv_length(dataset->channel_names);
    dataset->label_names = g_steal_pointer(&layout.label_names);
    dataset->n_labels = g_strv_length(dataset->label_names);
    layout.channel_names = g_strdupv(dataset->channel_names);
    if (cases_find(dataset, &layout, error))
        return TRUE;
    g_prefix_error(error, "'%s': ", dataset->folder);
    return FALSE;
}

static LoomVolumePolicy policy_of(const LoomDataOptions *options)
{
    static const int nan[] = {LOOM_NAN_REFUSE, LOOM_NAN_ZERO, LOOM_NAN_MASK};

    return (LoomVolumePolicy){.nan = nan[options->nan_policy],
                              .prefer = options->prefer,
                              .orientation = options->assume_orientation,
                              .shear = options->shear,
                              .analyze = options->allow_analyze,
                              .flat = options->allow_2d,
                              .strict = options->strict};
}

LoomDataset *loom_dataset_open(const LoomDataOptions *options, GError **error)
{
    g_autoptr(LoomDataset) dataset = g_new0(LoomDataset, 1);

    if (!options->dataset)
        return loom_fail_null(error, LOOM_ERROR_CONFIG,
                              "'dataset' is not set: want a folder with dataset.json, imagesTr "
                              "and labelsTr");
    dataset->policy = policy_of(options);
    dataset->folder = g_strdup(options->dataset);
    if (!folder_read(dataset, error) || !loom_split_make(dataset, options, error))
        return NULL;
    return g_steal_pointer(&dataset);
}

/* ---- loose files -------------------------------------------------------------------- */

/* "scan_01" of "/a/scan_01_0000.nii.gz". */
static char *id_of(const char *path)
{
    static const char *const endings[] = {".nii.gz", ".nii",    ".hdr.gz",
                                          ".hdr",    ".img.gz", ".img"};
    char *name = g_path_get_basename(path);
    guint channel;

    for (guint i = 0; i < G_N_ELEMENTS(endings); i++)
        if (g_str_has_suffix(name, endings[i]) && strlen(name) > strlen(endings[i])) {
            name[strlen(name) - strlen(endings[i])] = '\0';
            break;
        }
    g_autofree char *plain = name_split(name, "", &channel);
    if (!plain)
        return name;
    g_free(name);
    return g_steal_pointer(&plain);
}

static gboolean loose_fill(LoomDataset *dataset, char **paths, GError **error)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);

    for (guint i = 0; paths[i]; i += dataset->n_channels) {
        LoomCase *one = &dataset->cases[dataset->n_cases++];

        one->id = id_of(paths[i]);
        one->images = g_new0(char *, dataset->n_channels + 1);
        for (guint c = 0; c < dataset->n_channels; c++)
            one->images[c] = g_strdup(paths[i + c]);
        if (g_hash_table_contains(seen, one->id))
            return loom_fail(error, LOOM_ERROR_CONFIG,
                             "'%s' and '%s' are both case '%s': one would replace the other",
                             (const char *)g_hash_table_lookup(seen, one->id), paths[i],
                             one->id);
        g_hash_table_insert(seen, one->id, paths[i]);
    }
    return TRUE;
}

LoomDataset *loom_dataset_from_files(char **paths, guint n_channels, GError **error)
{
    g_autoptr(LoomDataset) dataset = g_new0(LoomDataset, 1);
    const guint n = g_strv_length(paths);

    g_assert(n_channels);
    if (!n || n % n_channels)
        return loom_fail_null(error, LOOM_ERROR_CONFIG,
                              "%u image files, want %u for each case, one a channel", n,
                              n_channels);
    dataset->name = g_strdup("files");
    dataset->policy = loom_volume_lenient;
    dataset->n_channels = n_channels;
    dataset->channel_names = g_new0(char *, n_channels + 1);
    for (guint c = 0; c < n_channels; c++)
        dataset->channel_names[c] = g_strdup_printf("%u", c);
    dataset->cases = g_new0(LoomCase, n / n_channels);
    dataset->in_train = g_new(guint8, n / n_channels);
    memset(dataset->in_train, 2, n / n_channels); /* both */
    if (!loose_fill(dataset, paths, error))
        return NULL;
    return g_steal_pointer(&dataset);
}
