/* labels - what the values of a label map mean: classes, voxels that count nowhere, regions. */
#include <loom/data.h>
#include <loom/tensor.h>

#include <string.h>

#define LABELS_NAMED 8 /* values that a message names */

/* ---- values ------------------------------------------------------------------------- */

gint loom_dataset_label_of(const LoomDataset *dataset, guint value)
{
    if (dataset->label_of)
        return dataset->label_of[value];
    return !dataset->n_labels || value < dataset->n_labels ? (gint)value : -1;
}

/* @counts: voxels of each value; @first: a voxel of the lowest one that means nothing. */
static gboolean fail_value(const LoomDataset *dataset, const LoomTensor *label,
                           const gint64 counts[256], guint bad, gint64 first, const char *path,
                           GError **error)
{
    const gint64 *shape = loom_tensor_shape(label); /* D, H, W */
    g_autoptr(GString) more = g_string_new(NULL);
    guint others = 0;

    for (guint value = bad + 1; value < 256; value++)
        if (counts[value] && loom_dataset_label_of(dataset, value) < 0
            && others++ < LABELS_NAMED)
            g_string_append_printf(more, "%s%u (%" G_GINT64_FORMAT ")",
                                   others > 1 ? ", " : "; nor are ", value, counts[value]);
    if (others > LABELS_NAMED)
        g_string_append_printf(more, " and %u more", others - LABELS_NAMED);
    const guint last = dataset->n_labels ? dataset->n_labels - 1 : 255;
    g_autofree char *what =
        bad > last ? g_strdup_printf("is none of the labels 0 to %u", last)
                   : g_strdup_printf("is no label here: another value is written for %u", bad);
    return loom_fail_as(error, "E-LABEL-UNKNOWN", LOOM_ERROR_FORMAT,
                        "'%s': value %u %s: %" G_GINT64_FORMAT
                        " voxel%s, the first at i,j,k = %" G_GINT64_FORMAT ",%" G_GINT64_FORMAT
                        ",%" G_GINT64_FORMAT "%s (data: {label_map: {%u: LABEL}} gives it one)",
                        path, bad, what, counts[bad], counts[bad] == 1 ? "" : "s",
                        first % shape[2], first / shape[2] % shape[1],
                        first / shape[2] / shape[1], more->str, bad);
}

gboolean loom_dataset_map_label(const LoomDataset *dataset, LoomTensor *label, const char *path,
                                GError **error)
{
    const gint64 n = loom_tensor_count(label);
    guint8 *x = loom_tensor_u8_mut(label), becomes[256];
    gint64 counts[256] = {0};

    for (gint64 v = 0; v < n; v++)
        counts[x[v]]++;
    for (guint value = 0; value < 256; value++) {
        const gint to = loom_dataset_label_of(dataset, value);

        becomes[value] = (guint8)to;
        if (to < 0 && counts[value])
            return fail_value(dataset, label, counts, value,
                              (const guint8 *)memchr(x, (int)value, (gsize)n) - x, path, error);
    }
    for (gint64 v = 0; v < n; v++)
        x[v] = becomes[x[v]];
    return TRUE;
}

LoomTensor *loom_dataset_read_label(const LoomDataset *dataset, const LoomCase *one,
                                    const LoomVolumePolicy *policy, LoomGeometry *geometry,
                                    GError **error)
{
    g_autoptr(LoomTensor) label =
        loom_volume_labels_by(one->label, policy ? policy : &dataset->policy, geometry, error);

    if (!label || !loom_dataset_map_label(dataset, label, one->label, error))
        return NULL;
    return g_steal_pointer(&label);
}

/* ---- regions and ignored voxels ----------------------------------------------------- */

LoomTensor *loom_region_mask(const LoomLabelRegion *region, const LoomTensor *label,
                             GError **error)
{
    const guint8 *x = loom_tensor_u8(label);
    LoomTensor *mask = loom_tensor_new_like(label, error);

    if (!mask)
        return NULL;
    guint8 *y = loom_tensor_u8_mut(mask);
    for (gint64 v = 0, n = loom_tensor_count(label); v < n; v++)
        y[v] = x[v] == LOOM_IGNORED ? LOOM_IGNORED : region->holds[x[v]];
    return mask;
}

void loom_labels_leave_out(LoomTensor *truth, LoomTensor *prediction)
{
    guint8 *t = loom_tensor_u8_mut(truth), *p = loom_tensor_u8_mut(prediction);

    g_assert(loom_tensor_count(truth) == loom_tensor_count(prediction));
    for (gint64 v = 0, n = loom_tensor_count(truth); v < n; v++)
        if (t[v] == LOOM_IGNORED)
            t[v] = p[v] = 0;
}
