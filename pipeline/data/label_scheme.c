/* label_scheme - from the words of a data set and of `data:` to classes, a map and regions. */
#include "label_scheme.h"

#include "layout.h"

#include <string.h>

#define SCHEME_LABELS 255 /* label maps are u8, and one value is LOOM_IGNORED */

/* A whole number below @n; -1: it is none. */
static gint number_of(const char *text, guint n)
{
    guint64 number;

    return n && g_ascii_string_to_unsigned(text, 10, 0, n - 1, &number, NULL) ? (gint)number
                                                                              : -1;
}

/* ---- values ------------------------------------------------------------------------- */

static gboolean map_put(LoomDataset *dataset, const char *value, const char *label,
                        GError **error)
{
    const gint from = number_of(value, 256);
    const gboolean ignored = g_str_equal(label, "ignore");
    const gint to = ignored ? LOOM_IGNORED : number_of(label, dataset->n_labels);

    if (from < 0)
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "label_map: '%s' is no value of a label map, want 0 to 255", value);
    if (to < 0)
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "label_map: value %d becomes '%s', want a class from 0 to %u, or "
                         "ignore",
                         from, label, dataset->n_labels - 1);
    dataset->label_of[from] = (gint16)to;
    dataset->ignores = dataset->ignores || ignored;
    return TRUE;
}

/* @map: value, label, ...; ends with NULL. */
static gboolean map_apply(LoomDataset *dataset, const char *const *map, GError **error)
{
    for (; map && *map; map += 2)
        if (!map_put(dataset, map[0], map[1], error))
            return FALSE;
    return TRUE;
}

/* A layout that writes 4 for its label 3 (BraTS20) has no 3 in its files: one that is there
 * means something else, and is not to be taken for it. */
static gboolean own_map_apply(LoomDataset *dataset, const char *const *map, GError **error)
{
    if (!map_apply(dataset, map, error))
        return FALSE;
    for (; map && *map; map += 2) {
        const gint to = number_of(map[1], dataset->n_labels);

        if (to >= 0 && number_of(map[0], 256) != to && dataset->label_of[to] == to)
            dataset->label_of[to] = -1;
    }
    return TRUE;
}

/* The layout's own map holds for its own classes only: @options may name others. */
static gboolean map_make(LoomDataset *dataset, const LoomFound *found,
                         const LoomDataOptions *options, GError **error)
{
    dataset->label_of = g_new(gint16, 256);
    for (guint value = 0; value < 256; value++)
        dataset->label_of[value] = (gint16)(value < dataset->n_labels ? (gint)value : -1);
    if (found->ignored >= 0) {
        dataset->label_of[found->ignored] = LOOM_IGNORED;
        dataset->ignores = TRUE;
    }
    /* voxels that a policy masks become ignored ones as they are read */
    dataset->ignores = dataset->ignores || dataset->policy.nan == LOOM_NAN_MASK;
    return (options->label_names || own_map_apply(dataset, found->label_map, error))
           && map_apply(dataset, (const char *const *)options->label_map, error);
}

/* ---- regions ------------------------------------------------------------------------ */

static gboolean region_fill(LoomLabelRegion *region, const char *name, const char *labels,
                            guint n_labels, GError **error)
{
    g_auto(GStrv) numbers = g_strsplit(labels, ",", -1);

    region->name = g_strdup(name);
    for (char **number = numbers; *number; number++) {
        const gint label = number_of(g_strstrip(*number), n_labels);

        if (label < 1)
            return loom_fail(error, LOOM_ERROR_CONFIG,
                             "regions: '%s' holds '%s', want classes from 1 to %u", name,
                             *number, n_labels - 1);
        region->holds[label] = 1;
    }
    return *numbers || loom_fail(error, LOOM_ERROR_CONFIG, "regions: '%s' is empty", name);
}

/* What is written for a region: the first of its labels that is in no later one, since later
 * ones are written over it. */
static gboolean regions_order(LoomDataset *dataset, GError **error)
{
    for (guint r = 0; r < dataset->n_regions; r++) {
        LoomLabelRegion *region = &dataset->regions[r];

        for (guint k = 255; k > 0; k--) {
            gboolean later = FALSE;

            for (guint other = r + 1; other < dataset->n_regions; other++)
                later = later || dataset->regions[other].holds[k];
            if (region->holds[k] && !later)
                region->written = (guint8)k;
        }
        if (!region->written)
            return loom_fail(error, LOOM_ERROR_CONFIG,
                             "regions: every class of '%s' belongs to a later region too, so "
                             "nothing could be written for it: want larger regions first",
                             region->name);
    }
    return TRUE;
}

static gboolean regions_make(LoomDataset *dataset, LoomFound *found,
                             const LoomDataOptions *options, GError **error)
{
    const guint n = options->regions ? g_strv_length(options->regions) / 2 : 0;

    if (!n) {
        if (options->label_names) /* the classes that regions were made of are others now */
            return TRUE;
        dataset->regions = g_steal_pointer(&found->regions);
        dataset->n_regions = found->n_regions;
        found->n_regions = 0;
        return TRUE;
    }
    dataset->regions = g_new0(LoomLabelRegion, n);
    for (; dataset->n_regions < n; dataset->n_regions++)
        if (!region_fill(
                &dataset->regions[dataset->n_regions], options->regions[2 * dataset->n_regions],
                options->regions[2 * dataset->n_regions + 1], dataset->n_labels, error)) {
            dataset->n_regions++; /* its name is there already */
            return FALSE;
        }
    return regions_order(dataset, error);
}

/* ---- classes ------------------------------------------------------------------------ */

static gboolean names_check(char *const *names, GError **error)
{
    const guint n = g_strv_length((char **)(guintptr)names);

    if (n < 2 || n > SCHEME_LABELS)
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "label_names: %u names, want 2 to %d: the background and the classes",
                         n, SCHEME_LABELS);
    for (guint k = 0; k < n; k++)
        for (guint earlier = 0; earlier < k; earlier++)
            if (g_str_equal(names[k], names[earlier]))
                return loom_fail(error, LOOM_ERROR_CONFIG, "label_names: '%s' comes twice",
                                 names[k]);
    return TRUE;
}

gboolean loom_label_scheme_make(LoomDataset *dataset, LoomFound *found,
                                const LoomDataOptions *options, GError **error)
{
    if (options->label_names && !names_check(options->label_names, error))
        return FALSE;
    if (!options->label_names && !found->label_names) {
        if (!found->unlabelled)
            return loom_fail(error, LOOM_ERROR_CONFIG,
                             "nothing names the labels, want data: {label_names: [background, "
                             "...]}");
        return (!options->label_map && !options->regions)
               || loom_fail(error, LOOM_ERROR_CONFIG, "'%s' is set, but there are no labels",
                            options->label_map ? "label_map" : "regions");
    }
    dataset->label_names =
        g_strdupv(options->label_names ? options->label_names : found->label_names);
    dataset->n_labels = g_strv_length(dataset->label_names);
    if (!map_make(dataset, found, options, error))
        return FALSE;
    loom_label_values_make(dataset, found, options);
    return regions_make(dataset, found, options, error);
}
