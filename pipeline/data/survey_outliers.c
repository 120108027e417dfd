/* survey_outliers - a case beside the others: what differs by a factor that no patient differs
 * by is a mixture of scans, units or files.  Medians, so that the outliers do not hide
 * themselves. */
#include "survey.h"

#include <math.h>
#include <string.h>
#include <glib/gstdio.h>

#define OUTLIER_LEAST 5         /* cases, for a median that means something */
#define OUTLIER_EDGE 3.0        /* a voxel edge, or a size in mm, beside the median */
#define OUTLIER_ANISOTROPY 10.0 /* longest edge beside the shortest */
#define OUTLIER_DEVIATION 8.0   /* standard deviation of intensities beside the median */
#define OUTLIER_HU -200.0       /* where most cases go below it, they hold Hounsfield units */

static int double_compare(gconstpointer a, gconstpointer b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Of value(survey, i) over the cases that have one (not NaN).  NaN: too few. */
static double median_of(const LoomSurvey *survey, guint which,
                        double (*value)(const LoomSurvey *survey, guint i, guint which))
{
    g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(double));

    for (guint i = 0; i < survey->dataset->n_cases; i++) {
        const double x = value(survey, i, which);

        if (!isnan(x))
            g_array_append_val(all, x);
    }
    if (all->len < OUTLIER_LEAST)
        return NAN;
    g_array_sort(all, double_compare);
    return g_array_index(all, double, all->len / 2);
}

/* ---- grids -------------------------------------------------------------------------- */

static double edge_of(const LoomSurvey *survey, guint i, guint axis)
{
    const LoomGeometry *geometry = &survey->cases[i].geometry;

    return geometry->size[0] ? geometry->spacing_mm[axis] : NAN;
}

static double extent_of(const LoomSurvey *survey, guint i, guint axis)
{
    return edge_of(survey, i, axis) * (double)survey->cases[i].geometry.size[axis];
}

static gboolean far_off(double x, double median, double factor)
{
    return x > factor * median || x < median / factor; /* false for NaN */
}

static void grids_compare(const LoomSurvey *survey)
{
    for (guint axis = 0; axis < 3; axis++) {
        const double edge = median_of(survey, axis, edge_of);
        const double extent = median_of(survey, axis, extent_of);

        for (guint i = 0; i < survey->dataset->n_cases; i++) {
            const LoomCase *one = &survey->dataset->cases[i];
            const double mine = edge_of(survey, i, axis), long_is = extent_of(survey, i, axis);

            if (far_off(mine, edge, OUTLIER_EDGE))
                loom_finding_add(survey->findings, "W-GRID-OUTLIER", one->images[0], one->id,
                                 "voxel edge along %c is %g mm, in most cases %g mm",
                                 "ijk"[axis], mine, edge);
            if (far_off(long_is, extent, OUTLIER_EDGE))
                loom_finding_add(survey->findings, "W-SIZE-OUTLIER", one->images[0], one->id,
                                 "%g mm along %c, in most cases %g mm", long_is, "ijk"[axis],
                                 extent);
        }
    }
    for (guint i = 0; i < survey->dataset->n_cases; i++) {
        const double *edge = survey->cases[i].geometry.spacing_mm;
        const double most = MAX(MAX(edge[0], edge[1]), edge[2]);
        const double least = MIN(MIN(edge[0], edge[1]), edge[2]);

        if (least > 0 && most > OUTLIER_ANISOTROPY * least)
            loom_finding_add(survey->findings, "W-GRID-ANISOTROPIC",
                             survey->dataset->cases[i].images[0], survey->dataset->cases[i].id,
                             "voxels of %g x %g x %g mm: %.3g times as long as wide", edge[0],
                             edge[1], edge[2], most / least);
    }
}

static void axes_compare(const LoomSurvey *survey, gboolean oriented)
{
    g_autoptr(GHashTable) n_of = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GString) text = g_string_new(NULL);
    const char *first[8] = {NULL}; /* axes in the order in which they come, at most so many */
    guint n = 0;

    for (guint i = 0; i < survey->dataset->n_cases; i++) {
        const LoomGeometry *geometry = &survey->cases[i].geometry;
        const guint before = GPOINTER_TO_UINT(g_hash_table_lookup(n_of, geometry->axes));

        if (!geometry->size[0])
            continue;
        if (!before && n < G_N_ELEMENTS(first))
            first[n++] = geometry->axes;
        g_hash_table_replace(n_of, g_strdup(geometry->axes), GUINT_TO_POINTER(before + 1));
    }
    if (n < 2)
        return;
    for (guint k = 0; k < n; k++)
        g_string_append_printf(text, "%s%s in %u", k ? ", " : "", first[k],
                               GPOINTER_TO_UINT(g_hash_table_lookup(n_of, first[k])));
    loom_finding_add(survey->findings, oriented ? "N-GRID-MIXED-AXES" : "W-GRID-MIXED-AXES",
                     NULL, NULL, "the axes of the cases differ (%s): %s", text->str,
                     oriented ? "a stage brings them into one frame"
                              : "left and right, or up and down, are mixed; want a stage "
                                "'orient'");
}

/* ---- intensities -------------------------------------------------------------------- */

static double deviation_of(const LoomSurvey *survey, guint i, guint channel)
{
    const LoomImageScan *images = survey->cases[i].images;

    return images && images[channel].finite ? images[channel].sd : NAN;
}

static double low_of(const LoomSurvey *survey, guint i, guint channel)
{
    const LoomImageScan *images = survey->cases[i].images;

    return images && images[channel].finite ? images[channel].low : NAN;
}

static void intensities_compare(const LoomSurvey *survey)
{
    const LoomDataset *dataset = survey->dataset;

    for (guint c = 0; c < loom_dataset_files(dataset); c++) {
        const double sd = median_of(survey, c, deviation_of);
        const double low = median_of(survey, c, low_of);

        for (guint i = 0; i < dataset->n_cases; i++) {
            const LoomCase *one = &dataset->cases[i];
            const LoomImageScan *scan =
                survey->cases[i].images ? &survey->cases[i].images[c] : NULL;

            if (!scan || !scan->finite || scan->low == scan->high) /* said already */
                continue;
            if (low < OUTLIER_HU && scan->low >= 0)
                loom_finding_add(survey->findings, "W-IMAGE-OUTLIER", one->images[c], one->id,
                                 "intensities %g to %g, those of most cases begin at %g: are "
                                 "these Hounsfield units?",
                                 scan->low, scan->high, low);
            else if (far_off(scan->sd, sd, OUTLIER_DEVIATION))
                loom_finding_add(survey->findings, "W-IMAGE-OUTLIER", one->images[c], one->id,
                                 "intensities %g to %g deviate by %.4g, in most cases by "
                                 "%.4g: another unit or modality?",
                                 scan->low, scan->high, scan->sd, sd);
        }
    }
}

/* ---- twice -------------------------------------------------------------------------- */

/* What two files share only if they are one file, or hold the same voxels. */
static char *file_key(const LoomCase *one)
{
    GStatBuf status;

    return g_stat(one->images[0], &status) == 0
               ? g_strdup_printf("%llu/%llu", (unsigned long long)status.st_dev,
                                 (unsigned long long)status.st_ino)
               : NULL;
}

static char *voxel_key(const LoomCaseSurvey *of)
{
    const LoomImageScan *scan = of->images;
    const gint64 *size = of->geometry.size;

    if (!scan || !scan->finite || scan->low == scan->high)
        return NULL;
    return g_strdup_printf(
        "%" G_GINT64_FORMAT " %" G_GINT64_FORMAT " %" G_GINT64_FORMAT " %a %a %a %a", size[0],
        size[1], size[2], scan->mean, scan->sd, scan->low, scan->high);
}

static void twins_find(const LoomSurvey *survey)
{
    const LoomDataset *dataset = survey->dataset;
    g_autoptr(GHashTable) files = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GHashTable) voxels = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (guint i = 0; i < dataset->n_cases; i++) {
        const LoomCase *one = &dataset->cases[i];
        char *file = file_key(one), *content = voxel_key(&survey->cases[i]);
        const char *same_file = file ? g_hash_table_lookup(files, file) : NULL;
        const char *same = content ? g_hash_table_lookup(voxels, content) : NULL;

        if (same_file)
            loom_finding_add(survey->findings, "E-DATA-TWICE", one->images[0], one->id,
                             "is the file of case '%s' as well: a link?", same_file);
        else if (same)
            loom_finding_add(survey->findings, "W-DATA-SAME-VOXELS", one->images[0], one->id,
                             "has the voxels of case '%s': the same scan under two ids?", same);
        if (file)
            g_hash_table_replace(files, file, one->id);
        if (content)
            g_hash_table_replace(voxels, content, one->id);
    }
}

void loom_survey_outliers(const LoomSurvey *survey, gboolean oriented)
{
    grids_compare(survey);
    axes_compare(survey, oriented);
    intensities_compare(survey);
    twins_find(survey);
}
