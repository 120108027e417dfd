/* fingerprint_case - one case: the box around what is not 0 in every channel, classes, and
 * foreground intensities in it.
 *
 * nnU-Net fills the holes of the mask that is not 0 before it takes the box; holes lie inside,
 * so the box is the same.  Voxels that count nowhere are no foreground.
 * Source: Isensee et al. 2021, nnU-Net's crop_to_nonzero and DatasetFingerprintExtractor. */
#include "fingerprint.h"

#include <loom/loom.h>

#include <math.h>
#include <string.h>

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
    if (!loom_volume_header_by(one->images[0], &dataset->policy, &header, error)
        || !loom_volume_header_by(one->label, &dataset->policy, &other, error)
        || !loom_geometry_check(&header.geometry, one->images[0], &other.geometry, one->label,
                                LOOM_GRID_TOLERANCE, error))
        return FALSE;
    grid_of(&header.geometry, grid);
    return TRUE;
}

/* ---- the box ----------------------------------------------------------------------- */

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
            box->high[0] = MAX(box->high[0], k);
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

typedef void (*RowFunc)(gint64 first, gint64 n, gpointer data);

/* Calls func for each row of the box: its first voxel, and how many. */
static void box_rows(const Box *box, RowFunc func, gpointer data)
{
    for (gint64 k = box->low[0]; k <= box->high[0]; k++)
        for (gint64 j = box->low[1]; j <= box->high[1]; j++)
            func((k * box->shape[1] + j) * box->shape[2] + box->low[2],
                 box->high[2] - box->low[2] + 1, data);
}

typedef struct {
    const guint8 *label;
    const float *image; /* a channel */
    gint64 *labels;
    HistogramCounts *counts;
} Row;

static void labels_row(gint64 first, gint64 n, gpointer data)
{
    const Row *row = data;

    for (gint64 v = first; v < first + n; v++)
        row->labels[row->label[v]]++;
}

static void foreground_row(gint64 first, gint64 n, gpointer data)
{
    const Row *row = data;

    for (gint64 v = first; v < first + n; v++)
        if (row->label[v] && row->label[v] != LOOM_IGNORED)
            histogram_count(row->counts, row->image[v]);
}

/* Where the data set keeps voxels that are not finite they become 0 and count nowhere, as a
 * loader makes them. */
static void unknown_mask(LoomTensor *image, LoomTensor *label)
{
    float *x = loom_tensor_f32_mut(image);
    guint8 *class = loom_tensor_u8_mut(label);
    const gint64 voxels = loom_tensor_count(label);

    for (gint64 i = 0; i < loom_tensor_count(image); i++)
        if (!isfinite(x[i])) {
            x[i] = 0;
            class[i % voxels] = LOOM_IGNORED;
        }
}

/* ---- a case ------------------------------------------------------------------------- */

static void box_measure(const Box *box, const LoomTensor *image, const LoomTensor *label,
                        HistogramCounts *counts, FingerprintCase *measured)
{
    Row row = {.label = loom_tensor_u8(label), .labels = measured->labels, .counts = counts};

    box_rows(box, labels_row, &row);
    for (guint c = 0; c < measured->n_channels; c++) {
        row.image = loom_tensor_f32(image) + c * loom_tensor_count(label);
        box_rows(box, foreground_row, &row);
        histogram_take(counts, &measured->foreground[c]);
    }
}

gboolean fingerprint_case_measure(const LoomDataset *dataset, const LoomCase *one,
                                  FingerprintScratch *scratch, FingerprintCase *measured,
                                  GError **error)
{
    LoomGeometry geometry, other;
    g_autoptr(LoomTensor) image = NULL, label = NULL;
    guint axis[3] = {2, 1, 0};
    Box box;

    *measured = (FingerprintCase){.n_channels = dataset->n_channels};
    measured->foreground = g_new0(Histogram, dataset->n_channels);
    if (!(image = loom_dataset_read_image(dataset, one, NULL, &geometry, error))
        || !(label = loom_dataset_read_label(dataset, one, NULL, &other, error))
        || !loom_geometry_check(&geometry, one->images[0], &other, one->label,
                                LOOM_GRID_TOLERANCE, error))
        return FALSE;
    grid_of(&geometry, &measured->whole);
    if (dataset->policy.nan == LOOM_NAN_KEEP || dataset->policy.nan == LOOM_NAN_MASK)
        unknown_mask(image, label);
    box_begin(&box, label);
    for (guint c = 0; c < dataset->n_channels; c++)
        box_grow(&box, loom_tensor_f32(image) + c * loom_tensor_count(label));
    box_end(&box);
    box_measure(&box, image, label, scratch->counts, measured);
    file_axes(&geometry, axis);
    for (guint a = 0; a < 3; a++) /* the box is k, j, i */
        measured->cropped[a] = box.high[2 - axis[a]] - box.low[2 - axis[a]] + 1;
    return TRUE;
}
