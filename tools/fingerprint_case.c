/* fingerprint_case - one case: the box around what is not 0 in every channel, classes, and
 * foreground intensities in it.
 *
 * nnU-Net fills the holes of the mask that is not 0 before it takes the box; holes lie inside,
 * so the box is the same.  Channels are read one after the other: what the box leaves out is 0
 * in all of them, so those voxels are taken out of each histogram at the end.
 * Source: Isensee et al. 2021, nnU-Net's crop_to_nonzero and DatasetFingerprintExtractor. */
#include "fingerprint.h"

#include <loom/loom.h>

#include <string.h>

#define TOLERANCE 1e-2 /* of a voxel's smallest edge: all files of a case on one grid */

struct _FingerprintScratch {
    HistogramCounts *counts;
};

FingerprintScratch *fingerprint_scratch_new(void)
{
    FingerprintScratch *scratch = g_new0(FingerprintScratch, 1);

    scratch->counts = histogram_counts_new();
    return scratch;
}

void fingerprint_scratch_free(FingerprintScratch *scratch)
{
    histogram_counts_free(scratch->counts);
    g_free(scratch);
}

void fingerprint_case_clear(FingerprintCase *one)
{
    for (guint c = 0; one->foreground && c < one->n_channels; c++)
        histogram_clear(&one->foreground[c]);
    g_clear_pointer(&one->foreground, g_free);
}

/* ---- axes --------------------------------------------------------------------------- */

/* The file's axis i, j or k that runs along D, H or W of an image turned to RAS+. */
static void file_axes(const LoomGeometry *geometry, guint axis[3])
{
    static const char *const along[3] = {"SI", "AP", "RL"};

    for (guint a = 0; a < 3; a++)
        for (guint i = 0; i < 3; i++)
            if (strchr(along[a], geometry->axes[i]))
                axis[a] = i;
}

static void grid_of(const LoomGeometry *geometry, PlanGrid *grid)
{
    guint axis[3] = {2, 1, 0};

    file_axes(geometry, axis);
    for (guint a = 0; a < 3; a++) {
        grid->shape[a] = geometry->size[axis[a]];
        grid->spacing[a] = geometry->spacing_mm[axis[a]];
    }
}

gboolean fingerprint_case_grid(const LoomDataset *dataset, const LoomCase *one, PlanGrid *grid,
                               GError **error)
{
    LoomVolumeHeader header, other;

    if (!one->label)
        return loom_fail(error, LOOM_ERROR_FORMAT, "it has no label map to learn from");
    if (!loom_volume_read_header(one->images[0], &header, error))
        return FALSE;
    for (guint c = 1; c < loom_dataset_files(dataset); c++)
        if (!loom_volume_read_header(one->images[c], &other, error)
            || !loom_geometry_check(&header.geometry, one->images[0], &other.geometry,
                                    one->images[c], TOLERANCE, error))
            return FALSE;
    if (!loom_volume_read_header(one->label, &other, error)
        || !loom_geometry_check(&header.geometry, one->images[0], &other.geometry, one->label,
                                TOLERANCE, error))
        return FALSE;
    grid_of(&header.geometry, grid);
    return TRUE;
}

/* ---- channels ----------------------------------------------------------------------- */

typedef struct {
    gint64 shape[3];        /* k, j, i: as the tensors lie */
    gint64 low[3], high[3]; /* the box, high included; low > high: nothing is not 0 */
} Box;

static void box_begin(Box *box, const LoomTensor *label)
{
    for (guint a = 0; a < 3; a++) {
        box->shape[a] = loom_tensor_shape(label)[a];
        box->low[a] = box->shape[a];
        box->high[a] = -1;
    }
}

static void box_grow(Box *box, const float *image)
{
    for (gint64 k = 0; k < box->shape[0]; k++)
        for (gint64 j = 0; j < box->shape[1]; j++, image += box->shape[2]) {
            gint64 first = 0, last = box->shape[2] - 1;

            while (first <= last && image[first] == 0)
                first++;
            while (last > first && image[last] == 0)
                last--;
            if (first > last)
                continue;
            box->low[0] = MIN(box->low[0], k);
            box->high[0] = k; /* they come in order */
            box->low[1] = MIN(box->low[1], j);
            box->high[1] = MAX(box->high[1], j);
            box->low[2] = MIN(box->low[2], first);
            box->high[2] = MAX(box->high[2], last);
        }
}

/* An image that is 0 everywhere keeps its size. */
static void box_end(Box *box)
{
    for (guint a = 0; a < 3 && box->low[0] > box->high[0]; a++) {
        box->low[a] = 0;
        box->high[a] = box->shape[a] - 1;
    }
}

/* Classes in the box.  Returns: foreground voxels outside. */
static gint64 labels_count(const Box *box, const guint8 *label, gint64 counts[256])
{
    gint64 outside = 0;

    for (gint64 k = 0; k < box->shape[0]; k++)
        for (gint64 j = 0; j < box->shape[1]; j++)
            for (gint64 i = 0; i < box->shape[2]; i++) {
                const guint8 class = *label++;

                if (k >= box->low[0] && k <= box->high[0] && j >= box->low[1]
                    && j <= box->high[1] && i >= box->low[2] && i <= box->high[2])
                    counts[class]++;
                else
                    outside += class > 0 && class != LOOM_IGNORED ? 1 : 0;
            }
    return outside;
}

static LoomTensor *channel_read(const char *path, GError **error)
{
    g_autoptr(LoomTensor) image = loom_volume_read(path, LOOM_NAN_REFUSE, 0, NULL, error);

    if (image && loom_tensor_size(image, 'C') != 1)
        return loom_fail_null(error, LOOM_ERROR_SHAPE,
                              "'%s': %" G_GINT64_FORMAT
                              " volumes in one file, want one file a channel",
                              path, loom_tensor_size(image, 'C'));
    return g_steal_pointer(&image);
}

/* Every channel: its histogram, zeros outside the box included, and its part in the box. */
static gboolean channels_measure(const LoomDataset *dataset, const LoomCase *one,
                                 const LoomTensor *label, Box *box, HistogramCounts *counts,
                                 FingerprintCase *measured, GError **error)
{
    const guint8 *class = loom_tensor_u8(label);
    const gint64 voxels = loom_tensor_count(label);
    g_autoptr(LoomTensor) image = NULL;
    LoomGeometry geometry;

    for (guint c = 0; c < measured->n_channels; c++) {
        if (!dataset->n_volumes) { /* one at a time */
            g_clear_pointer(&image, loom_tensor_unref);
            image = channel_read(one->images[c], error);
        } else if (c == 0) {
            image = loom_dataset_read_image(dataset, one, NULL, &geometry, error);
        }
        if (!image)
            return FALSE;
        if (loom_tensor_count_from(image, 'D') != voxels)
            return loom_fail(error, LOOM_ERROR_SHAPE, "'%s' and '%s' have different sizes",
                             one->images[dataset->n_volumes ? 0 : c], one->label);
        const float *x = loom_tensor_f32(image) + (dataset->n_volumes ? c * voxels : 0);
        box_grow(box, x);
        for (gint64 v = 0; v < voxels; v++)
            if (class[v] && class[v] != LOOM_IGNORED)
                histogram_count(counts, x[v]);
        histogram_take(counts, &measured->foreground[c]);
    }
    return TRUE;
}

gboolean fingerprint_case_measure(const LoomDataset *dataset, const LoomCase *one,
                                  FingerprintScratch *scratch, FingerprintCase *measured,
                                  GError **error)
{
    LoomGeometry geometry;
    g_autoptr(LoomTensor) label = NULL;
    Box box;
    gint64 outside;
    guint axis[3] = {2, 1, 0};

    *measured = (FingerprintCase){.n_channels = dataset->n_channels};
    measured->foreground = g_new0(Histogram, dataset->n_channels);
    if (!fingerprint_case_grid(dataset, one, &measured->whole, error)
        || !(label = loom_dataset_read_label(dataset, one, NULL, &geometry, error)))
        return FALSE;
    box_begin(&box, label);
    if (!channels_measure(dataset, one, label, &box, scratch->counts, measured, error))
        return FALSE;
    box_end(&box);
    outside = labels_count(&box, loom_tensor_u8(label), measured->labels);
    for (guint c = 0; c < dataset->n_channels; c++)
        histogram_drop_zeros(&measured->foreground[c], outside);
    file_axes(&geometry, axis);
    for (guint a = 0; a < 3; a++) /* k, j, i */
        measured->cropped[a] = box.high[2 - axis[a]] - box.low[2 - axis[a]] + 1;
    return TRUE;
}
