/* dataset_check - looks at every header and every label map before a run relies on them. */
#define G_LOG_DOMAIN "loom-data"
#include "dataset.h"

#include <loom/tensor.h>

#include <string.h>

#define CHECK_TOLERANCE 1e-2 /* of a voxel's smallest edge: image and label on one grid */

typedef struct {
    GError *error;
    guint8 has[256]; /* 1: some voxel has this label */
} Finding;

typedef struct {
    const LoomDataset *dataset;
    Finding *findings; /* one a case */
} Check;

/* One image file a channel: no series, no vectors. */
static gboolean image_check(const char *path, LoomVolumeHeader *header, GError **error)
{
    gint64 volumes = 1;

    if (!loom_volume_read_header(path, header, error))
        return FALSE;
    for (guint i = 3; i < header->n_dims; i++)
        volumes *= header->shape[i];
    return volumes == 1
           || loom_fail(error, LOOM_ERROR_SHAPE,
                        "'%s': %" G_GINT64_FORMAT
                        " volumes in one file, want one file a channel",
                        path, volumes);
}

static gboolean label_check(const LoomDataset *dataset, const LoomCase *one,
                            const LoomGeometry *image, guint8 has[256], GError **error)
{
    LoomGeometry grid;
    g_autoptr(LoomTensor) label = loom_volume_read_labels(one->label, 0, &grid, error);
    gint64 first = -1, bad = 0;

    if (!label
        || !loom_geometry_check(image, one->images[0], &grid, one->label, CHECK_TOLERANCE,
                                error))
        return FALSE;
    const guint8 *x = loom_tensor_u8(label);
    const gint64 n = loom_tensor_count(label);
    for (gint64 v = 0; v < n; v++) {
        has[x[v]] = 1;
        if (x[v] < dataset->n_labels)
            continue;
        bad++;
        first = first < 0 ? v : first;
    }
    if (!bad || !dataset->n_labels)
        return TRUE;
    return loom_fail(
        error, LOOM_ERROR_FORMAT,
        "'%s': value %u at i,j,k = %" G_GINT64_FORMAT ",%" G_GINT64_FORMAT ",%" G_GINT64_FORMAT
        " is none of the labels 0 to %u; %" G_GINT64_FORMAT " voxel%s",
        one->label, x[first], first % grid.size[0], first / grid.size[0] % grid.size[1],
        first / grid.size[0] / grid.size[1], dataset->n_labels - 1, bad,
        bad == 1 ? " is like that" : "s are like that");
}

static gboolean case_check(const LoomDataset *dataset, const LoomCase *one, guint8 has[256],
                           GError **error)
{
    LoomVolumeHeader first = {0}, other;

    if (!image_check(one->images[0], &first, error))
        return FALSE;
    for (guint c = 1; c < dataset->n_channels; c++)
        if (!image_check(one->images[c], &other, error)
            || !loom_geometry_check(&first.geometry, one->images[0], &other.geometry,
                                    one->images[c], CHECK_TOLERANCE, error))
            return FALSE;
    return !one->label || label_check(dataset, one, &first.geometry, has, error);
}

static void check_one(gint64 i, G_GNUC_UNUSED guint worker, gpointer data)
{
    const Check *check = data;
    Finding *finding = &check->findings[i];
    const LoomCase *one = &check->dataset->cases[i];

    if (!case_check(check->dataset, one, finding->has, &finding->error))
        g_prefix_error(&finding->error, "case '%s': ", one->id);
}

/* The first error of all, and how many more there are. */
static gboolean errors_report(const Check *check, GError **error)
{
    const GError *first = NULL;
    guint more = 0;

    for (guint i = 0; i < check->dataset->n_cases; i++) {
        const GError *found = check->findings[i].error;

        more += first && found;
        first = first ? first : found;
    }
    if (!first)
        return TRUE;
    if (!more)
        return loom_fail(error, (LoomErrorCode)first->code, "%s", first->message);
    return loom_fail(error, (LoomErrorCode)first->code, "%s (and problems in %u more case%s)",
                     first->message, more, more == 1 ? "" : "s");
}

/* A class that no training case has cannot be learnt, and its Dice would be NaN. */
static gboolean classes_check(const Check *check, GError **error)
{
    const LoomDataset *dataset = check->dataset;
    guint n = 0, empty = 0;
    g_autofree guint *train = loom_dataset_split(dataset, LOOM_SPLIT_TRAIN, &n);
    const char *first_empty = NULL;

    for (guint k = 0; k < dataset->n_labels && n; k++) {
        gboolean found = FALSE;

        for (guint i = 0; i < n; i++)
            found =
                found || check->findings[train[i]].has[k] || !dataset->cases[train[i]].label;
        if (!found)
            return loom_fail(error, LOOM_ERROR_FORMAT,
                             "none of the %u training cases has a voxel of label %u ('%s')", n,
                             k, dataset->label_names[k]);
    }
    for (guint i = 0; i < dataset->n_cases; i++) {
        const LoomCase *one = &dataset->cases[i];

        if (!one->label || memchr(check->findings[i].has + 1, 1, 255))
            continue;
        empty++;
        first_empty = first_empty ? first_empty : one->label;
    }
    if (empty)
        g_warning("'%s' has no foreground%s", first_empty,
                  empty > 1 ? ", and so have other label maps" : "");
    return TRUE;
}

gboolean loom_dataset_check(const LoomDataset *dataset, LoomPool *pool, GError **error)
{
    Check check = {dataset, g_new0(Finding, MAX(dataset->n_cases, 1))};
    gboolean good;

    loom_pool_run(pool, dataset->n_cases, check_one, &check);
    good = errors_report(&check, error) && classes_check(&check, error);
    for (guint i = 0; i < dataset->n_cases; i++)
        g_clear_error(&check.findings[i].error);
    g_free(check.findings);
    return good;
}
