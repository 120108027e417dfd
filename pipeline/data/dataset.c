/* dataset - a folder, a table or loose files as a list of cases, whose files are all there.
 *
 * How the files lie is one of the layouts of found.h, by name or by looking. */
#define G_LOG_DOMAIN "loom-data"
#include "dataset.h"

#include "found.h"
#include "label_scheme.h"
#include "layout.h"
#include "split.h"

#include <string.h>

enum { LAYOUT_AUTO, LAYOUT_MSD = 2, LAYOUT_PATTERN = 5, LAYOUT_CSV };
static const char *const layout_names[] = {"auto",    "nnunet",  "msd", "kits19",
                                           "brats20", "pattern", "csv", NULL};
static const LoomLayoutKind *const layouts[] = {
    NULL,
    &loom_layout_nnunet,
    &loom_layout_msd,
    &loom_layout_kits19,
    &loom_layout_brats20,
    &loom_layout_pattern,
    &loom_layout_csv,
};
G_STATIC_ASSERT(G_N_ELEMENTS(layouts) + 1 == G_N_ELEMENTS(layout_names));

static const char *const data_nan[] = {"error", "zero", "mask", NULL};
static const char *const data_prefer[] = {"neither", "sform", "qform", NULL};
static const char *const data_axes[] = {"none", "LAS", "RAS", "LPS", "RPS",
                                        "LAI",  "RAI", "LPI", "RPI", NULL};

const LoomParam loom_data_params[] = {
    LOOM_PATH(LoomDataOptions, dataset, "", "folder of the data set, or a table cases.csv"),
    LOOM_ENUM(LoomDataOptions, layout, "auto", layout_names, "how its files lie"),
    LOOM_STRING(LoomDataOptions, images, "",
                "pattern of image files: sub-{case}/sub-{case}_{channel}.nii.gz"),
    LOOM_STRING(LoomDataOptions, labels, "", "pattern of label maps, with {case}"),
    LOOM_STRINGS(LoomDataOptions, channels, "[]",
                 "channels by name, in this order; []: all that there are"),
    LOOM_STRINGS(LoomDataOptions, label_names, "[]",
                 "names of class 0, 1, ...; []: as the data set says"),
    LOOM_MAP(LoomDataOptions, label_map, "{}",
             "class of a value in the files, or ignore, as in {4: 3, 255: ignore}; in masks a "
             "class is its own value if the data set has that, else the first listed here"),
    LOOM_MAP(LoomDataOptions, regions, "{}",
             "unions of classes, as in {whole: [1, 2, 3], core: [1, 3]}"),
    LOOM_INT(LoomDataOptions, folds, "0", 0, 1000, NULL,
             "parts of the seeded split; 1: every case trains; 0: the data set's own split, "
             "without one 5"),
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
    g_free(dataset->label_of);
    g_free(dataset->value_of);
    loom_label_regions_free(dataset->regions, dataset->n_regions);
    g_free(dataset->volume_of);
    g_free(dataset->split);
    g_free(dataset);
}

/* ---- which layout ------------------------------------------------------------------- */

/* Names of the layouts that @folder fits, in one text; NULL: none.  @layout: the first. */
static char *layouts_fitting(const char *folder, int *layout, guint *n)
{
    GString *names = g_string_new(NULL);

    *n = 0;
    for (int i = 1; layout_names[i]; i++) {
        if (*n && i == LAYOUT_MSD + 1)
            break; /* its dataset.json said what it is, whatever files are called */
        if (!layouts[i]->fits || !layouts[i]->fits(folder))
            continue;
        if (!(*n)++)
            *layout = i;
        g_string_append_printf(names, "%s%s", *n > 1 ? ", " : "", layouts[i]->name);
    }
    return g_string_free(names, FALSE);
}

/* Nothing that is known: perhaps in a folder below? */
static gboolean fail_unknown(const char *folder, GError **error)
{
    g_auto(GStrv) names = loom_folder_names(folder, error);
    g_autoptr(GString) wanted = g_string_new(NULL);

    if (!names)
        return FALSE;
    for (char **name = names; *name; name++) {
        g_autofree char *below = g_build_filename(folder, *name, NULL);
        g_autofree char *fitting = NULL;
        int layout;
        guint n = 0;

        if (g_file_test(below, G_FILE_TEST_IS_DIR))
            fitting = layouts_fitting(below, &layout, &n);
        if (n)
            return loom_fail(error, LOOM_ERROR_CONFIG,
                             "'%s' is no data set, did you mean '%s' (%s)?", folder, below,
                             fitting);
    }
    for (int i = 1; layout_names[i]; i++)
        if (layouts[i]->fits)
            g_string_append_printf(wanted, "%s%s (%s)", i > 1 ? "; " : "",
                                   layouts[i]->looked_for, layouts[i]->name);
    return loom_fail(error, LOOM_ERROR_CONFIG,
                     "'%s' is no data set that is known, looked for %s; other folders want a "
                     "table cases.csv or data: {images: PATTERN, labels: PATTERN}",
                     folder, wanted->str);
}

static gboolean layout_find(const LoomDataOptions *options, int *layout, GError **error)
{
    g_autofree char *fitting = NULL;
    guint n;

    *layout = options->layout;
    if (options->layout != LAYOUT_AUTO)
        return TRUE;
    if (options->images) {
        *layout = LAYOUT_PATTERN;
        return TRUE;
    }
    if (g_str_has_suffix(options->dataset, ".csv")) {
        *layout = LAYOUT_CSV;
        return TRUE;
    }
    fitting = layouts_fitting(options->dataset, layout, &n);
    if (n == 0)
        return fail_unknown(options->dataset, error);
    return n == 1
           || loom_fail(
               error, LOOM_ERROR_CONFIG,
               "'%s' may be read in more than one way (%s), want data: {layout: %s} or "
               "another of them",
               options->dataset, fitting, layouts[*layout]->name);
}

/* Keys that only one layout reads: silence would hide a mistake. */
static gboolean options_check(const LoomDataOptions *options, int layout, GError **error)
{
    if (!options->dataset)
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "'dataset' is not set: want a folder with a data set, or a table "
                         "cases.csv");
    if (layout == LAYOUT_PATTERN || layout == LAYOUT_AUTO
        || (!options->images && !options->labels))
        return TRUE;
    return loom_fail(error, LOOM_ERROR_CONFIG, "'%s' goes with layout 'pattern' only, not '%s'",
                     options->images ? "images" : "labels", layouts[layout]->name);
}

/* ---- from what was found to a data set ---------------------------------------------- */

/* Cases move over; @said: (transfer full): what the data set says about the side of each. */
static void cases_take(LoomDataset *dataset, LoomFound *found, LoomSaid **said)
{
    const guint n = found->cases->len;

    dataset->cases = g_new0(LoomCase, n);
    dataset->in_train = g_new0(guint8, n);
    dataset->n_cases = n;
    *said = g_new0(LoomSaid, n);
    for (guint i = 0; i < n; i++) {
        LoomFoundCase *one = &g_array_index(found->cases, LoomFoundCase, i);

        (*said)[i] = (LoomSaid){one->part, one->fold};
        dataset->cases[i] = one->files;
        one->files = (LoomCase){0};
    }
}

static void channels_take(LoomDataset *dataset, LoomFound *found, guint n_volumes,
                          guint *volume_of)
{
    dataset->channel_names = g_steal_pointer(&found->channel_names);
    dataset->n_channels = g_strv_length(dataset->channel_names);
    dataset->n_volumes = found->whole ? n_volumes : 0;
    dataset->volume_of = volume_of;
}

static gboolean found_take(LoomDataset *dataset, LoomFound *found,
                           const LoomDataOptions *options, GError **error)
{
    const guint n_volumes = g_strv_length(found->channel_names);
    g_autofree guint *volume_of = NULL;
    g_autofree LoomSaid *said = NULL;
    const gboolean pattern =
        options->images != NULL; /* it took its channels from the options */

    if (!loom_found_choose(found, pattern ? NULL : options->channels, &volume_of, error)
        || !loom_found_check(found, error)
        || !loom_label_scheme_make(dataset, found, options, error))
        return FALSE;
    dataset->name =
        found->name ? g_steal_pointer(&found->name) : g_path_get_basename(options->dataset);
    channels_take(dataset, found, n_volumes, g_steal_pointer(&volume_of));
    cases_take(dataset, found, &said);
    if (loom_split_make(dataset, said, options, error))
        return TRUE;
    if (error)
        loom_error_call(*error, "E-SPLIT");
    return FALSE;
}

static gboolean folder_read(LoomDataset *dataset, const LoomDataOptions *options, int layout,
                            GError **error)
{
    g_auto(LoomFound) found = {.ignored = -1, .n_promised = -1};

    found.folder = g_strdup(dataset->folder);
    if (layouts[layout]->read(&found, options, error)
        && found_take(dataset, &found, options, error))
        return TRUE;
    if (error && *error && !strstr((*error)->message, options->dataset))
        g_prefix_error(error, "'%s': ", options->dataset);
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
    int layout;

    if (!options_check(options, options->layout, error) || !layout_find(options, &layout, error)
        || !options_check(options, layout, error))
        return NULL;
    dataset->policy = policy_of(options);
    dataset->layout = layouts[layout]->name;
    dataset->folder = layout == LAYOUT_CSV ? g_path_get_dirname(options->dataset)
                                           : g_strdup(options->dataset);
    if (!folder_read(dataset, options, layout, error))
        return NULL;
    return g_steal_pointer(&dataset);
}

gboolean loom_dataset_known(const char *folder)
{
    int layout;
    guint n = 0;

    g_free(layouts_fitting(folder, &layout, &n));
    return n > 0;
}

LoomDataset *loom_dataset_scheme(const char *json, char *const *names,
                                 const LoomDataOptions *options, GError **error)
{
    g_autoptr(LoomDataset) dataset = g_new0(LoomDataset, 1);
    g_auto(LoomLayout) layout = {.labels_passed = options->label_names != NULL};
    g_auto(LoomFound) found = {.ignored = -1};

    if (json && !loom_layout_read(json, &layout, error))
        return NULL;
    found.label_names =
        json ? g_steal_pointer(&layout.label_names) : g_strdupv((char **)(guintptr)names);
    memcpy(found.declared, layout.declared, sizeof found.declared);
    found.regions = g_steal_pointer(&layout.regions);
    found.n_regions = layout.n_regions;
    layout.n_regions = 0;
    found.ignored = json ? layout.ignored : -1;
    dataset->name = g_strdup("labels");
    return loom_label_scheme_make(dataset, &found, options, error) ? g_steal_pointer(&dataset)
                                                                   : NULL;
}

/* ---- loose files -------------------------------------------------------------------- */

/* "scan_01" of "/a/scan_01_0000.nii.gz". */
static char *id_of(const char *path)
{
    static const char *const endings[] = {".nii.gz", ".nii",    ".hdr.gz",
                                          ".hdr",    ".img.gz", ".img"};
    char *name = g_path_get_basename(path);

    for (guint i = 0; i < G_N_ELEMENTS(endings); i++)
        if (g_str_has_suffix(name, endings[i]) && strlen(name) > strlen(endings[i])) {
            name[strlen(name) - strlen(endings[i])] = '\0';
            break;
        }
    const gsize length = strlen(name);
    if (length > 5 && name[length - 5] == '_' && strspn(name + length - 4, "0123456789") == 4)
        name[length - 5] = '\0';
    return name;
}

static gboolean loose_fill(LoomDataset *dataset, char **paths, char *const *ids, GError **error)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);

    const guint files = loom_dataset_files(dataset);

    for (guint i = 0; paths[i]; i += files) {
        LoomCase *one = &dataset->cases[dataset->n_cases++];

        one->id = ids ? g_strdup(ids[i / files]) : id_of(paths[i]);
        one->images = g_new0(char *, files + 1);
        for (guint c = 0; c < files; c++)
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

LoomDataset *loom_dataset_from_files(char **paths, char *const *ids, guint n_channels,
                                     guint n_volumes, const guint *volume_of, GError **error)
{
    g_autoptr(LoomDataset) dataset = g_new0(LoomDataset, 1);
    const guint n = g_strv_length(paths), files = n_volumes ? 1 : n_channels;

    g_assert(n_channels && (!n_volumes || n_channels <= n_volumes));
    if (!n || n % files)
        return loom_fail_null(error, LOOM_ERROR_CONFIG,
                              "%u image files, want %u for each case, one a channel", n,
                              n_channels);
    dataset->name = g_strdup("files");
    dataset->policy = loom_volume_lenient;
    dataset->n_channels = n_channels;
    dataset->channel_names = g_new0(char *, n_channels + 1);
    for (guint c = 0; c < n_channels; c++)
        dataset->channel_names[c] = g_strdup_printf("%u", c);
    dataset->n_volumes = n_volumes;
    dataset->volume_of = n_volumes ? g_new(guint, n_channels) : NULL;
    for (guint c = 0; n_volumes && c < n_channels; c++)
        dataset->volume_of[c] = volume_of ? volume_of[c] : c;
    dataset->cases = g_new0(LoomCase, n / files);
    dataset->in_train = g_new(guint8, n / files);
    memset(dataset->in_train, 2, n / files); /* both */
    if (!loose_fill(dataset, paths, ids, error))
        return NULL;
    return g_steal_pointer(&dataset);
}
