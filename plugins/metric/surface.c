/* surface - distances between the borders of prediction P and truth G of a class, in mm.
 *
 * A border is the voxels of a mask that are not in its erosion by the 6-neighbourhood; outside
 * of the image nothing is set.  With d(a) = distance of the centre of border voxel a of one
 * mask to the nearest centre of a border voxel of the other, and |P|, |G| the numbers of such:
 *   hd   = max d
 *   hd95 = the larger of the two 95th percentiles of d, of P and of G
 *   assd = (sum of d over P and over G) / (|P| + |G|)
 *   nsd  = share of these |P| + |G| voxels with d <= tolerance
 * Percentiles interpolate between order statistics, as numpy does.  Exact: a distance transform
 * of each border with the voxel's spacing, in the box that holds both masks.
 *
 * In neither: all NaN.  In one alone: the worst value there is, as Metrics Reloaded wants it:
 * nsd 0, and for the distances the diagonal of the image, as BraTS counts a missed tumour.
 * Source: Maier-Hein et al. 2024, Metrics reloaded; borders and directed distances as MedPy and
 * MONAI take them.  MedPy's own hd95 and assd put the two directions together differently. */
#include <loom/loom.h>
#include <loom/morphology.h>

#include <math.h>
#include <string.h>

typedef struct {
    double tolerance;
    LoomPool *pool;
} Surface;

static const LoomParam surface_params[] = {
    LOOM_FLOAT(Surface, tolerance, "1.0", 0, 1e6, "mm", "how far apart nsd lets borders be"),
    {0},
};

#define SURFACE_EMPTY                                                                          \
    "undefined where the class is in neither, the image's diagonal where it is in one alone"
static const LoomReading surface_readings[] = {
    {"hd", "mm", "largest distance between the borders (voxel borders); " SURFACE_EMPTY},
    {"hd95", "mm", "larger of the two directed 95th percentiles; " SURFACE_EMPTY},
    {"assd", "mm", "mean over the voxels of both borders; " SURFACE_EMPTY},
    {"nsd", NULL,
     "share of both borders within the tolerance of the other; undefined where the class is in "
     "neither, 0 where it is in one alone"},
    {0},
};
enum { HD, HD95, ASSD, NSD, READINGS };

/* The smallest box that holds a class in both maps; empty: low > high. */
typedef struct {
    gint64 low[3], high[3]; /* inclusive */
    gboolean predicted, real;
} Box;

static void box_grow(Box *box, gint64 d, gint64 h, gint64 w)
{
    const gint64 at[3] = {d, h, w};

    for (guint i = 0; i < 3; i++) {
        box->low[i] = MIN(box->low[i], at[i]);
        box->high[i] = MAX(box->high[i], at[i]);
    }
}

/* Boxes of all classes but 0, in one pass. */
static void boxes_find(const LoomMetricInput *input, Box boxes[256])
{
    const gint64 *shape = loom_tensor_shape(input->truth);
    const guint8 *p = loom_tensor_u8(input->prediction), *g = loom_tensor_u8(input->truth);

    for (guint k = 0; k < 256; k++)
        boxes[k] = (Box){{G_MAXINT64, G_MAXINT64, G_MAXINT64}, {-1, -1, -1}, FALSE, FALSE};
    for (gint64 d = 0; d < shape[0]; d++)
        for (gint64 h = 0; h < shape[1]; h++)
            for (gint64 w = 0; w < shape[2]; w++, p++, g++) {
                if (*p) {
                    box_grow(&boxes[*p], d, h, w);
                    boxes[*p].predicted = TRUE;
                }
                if (*g) {
                    box_grow(&boxes[*g], d, h, w);
                    boxes[*g].real = TRUE;
                }
            }
}

/* What one class needs, of the size of its box. */
typedef struct {
    gint64 shape[3], voxels;
    guint8 *mask, *border[2]; /* of the prediction, of the truth */
    double *squared;          /* distances to the one border ... */
    double *found;            /* ... at the voxels of the other */
    gint64 count[2];
} Work;

static void work_clear(Work *work)
{
    g_free(work->mask);
    g_free(work->border[0]);
    g_free(work->border[1]);
    g_free(work->squared);
    g_free(work->found);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Work, work_clear)

static gboolean work_begin(Work *work, const Box *box, GError **error)
{
    work->voxels = 1;
    for (guint i = 0; i < 3; i++)
        work->voxels *= work->shape[i] = box->high[i] - box->low[i] + 1;
    work->mask = g_try_new(guint8, (gsize)work->voxels);
    work->border[0] = g_try_new(guint8, (gsize)work->voxels);
    work->border[1] = g_try_new(guint8, (gsize)work->voxels);
    work->squared = g_try_new(double, (gsize)work->voxels);
    return (work->mask && work->border[0] && work->border[1] && work->squared)
           || loom_fail(error, LOOM_ERROR_LIMIT,
                        "no memory for the distances of %" G_GINT64_FORMAT " voxels",
                        work->voxels);
}

/* Nothing outside of the box is set, so its faces count as the end of the image does. */
static void border_take(Work *work, const LoomTensor *labels, gint64 k, const Box *box, guint i)
{
    const gint64 *whole = loom_tensor_shape(labels);
    guint8 *mask = work->mask;

    for (gint64 d = box->low[0]; d <= box->high[0]; d++)
        for (gint64 h = box->low[1]; h <= box->high[1]; h++) {
            const guint8 *row =
                loom_tensor_u8(labels) + (d * whole[1] + h) * whole[2] + box->low[2];

            for (gint64 w = 0; w < work->shape[2]; w++)
                *mask++ = row[w] == k;
        }
    work->count[i] = loom_border(work->mask, work->shape, work->border[i]);
}

/* Brings the value of rank @rank to its place, smaller ones before it, larger ones behind. */
static double select_rank(double *x, gint64 n, gint64 rank)
{
    gint64 low = 0, high = n - 1;

    while (low < high) {
        const double pivot = x[low + (high - low) / 2];
        gint64 i = low, j = high;

        while (i <= j) {
            while (x[i] < pivot)
                i++;
            while (x[j] > pivot)
                j--;
            if (i <= j) {
                const double swap = x[i];

                x[i++] = x[j];
                x[j--] = swap;
            }
        }
        if (rank <= j)
            high = j;
        else if (rank >= i)
            low = i;
        else
            break;
    }
    return x[rank];
}

/* Between the two values around 0.95 (n - 1), in order. */
static double percentile_95(double *x, gint64 n)
{
    const double place = 0.95 * (double)(n - 1);
    const gint64 rank = (gint64)place;
    const double below = select_rank(x, n, rank);
    double above = INFINITY;

    if (rank + 1 >= n)
        return below;
    for (gint64 i = rank + 1; i < n; i++)
        above = MIN(above, x[i]);
    return below + (above - below) * (place - (double)rank);
}

/* Adds border @i's distances to the other one to @values, where sums and counts stand so far.
 */
static void direction_add(const Surface *surface, Work *work, const double spacing[3], guint i,
                          double values[READINGS])
{
    const double tolerance = surface->tolerance * (1 + 1e-12); /* sums of squares are rounded */
    gint64 n = 0;

    loom_distance_squared(work->border[!i], work->shape, spacing, work->squared, NULL,
                          surface->pool);
    for (gint64 v = 0; v < work->voxels; v++)
        if (work->border[i][v])
            work->found[n++] = sqrt(work->squared[v]);
    for (gint64 v = 0; v < n; v++) {
        values[HD] = MAX(values[HD], work->found[v]);
        values[ASSD] += work->found[v];
        values[NSD] += work->found[v] <= tolerance;
    }
    values[HD95] = MAX(values[HD95], percentile_95(work->found, n));
}

static gboolean class_measure(const Surface *surface, const LoomMetricInput *input, gint64 k,
                              const Box *box, double values[READINGS], GError **error)
{
    g_auto(Work) work = {0};

    if (!work_begin(&work, box, error))
        return FALSE;
    border_take(&work, input->prediction, k, box, 0);
    border_take(&work, input->truth, k, box, 1);
    if (!(work.found = g_try_new(double, (gsize)MAX(work.count[0], work.count[1]))))
        return loom_fail(error, LOOM_ERROR_LIMIT,
                         "no memory for %" G_GINT64_FORMAT " distances",
                         MAX(work.count[0], work.count[1]));
    memset(values, 0, READINGS * sizeof *values);
    direction_add(surface, &work, input->spacing_mm, 0, values);
    direction_add(surface, &work, input->spacing_mm, 1, values);
    values[ASSD] /= (double)(work.count[0] + work.count[1]);
    values[NSD] /= (double)(work.count[0] + work.count[1]);
    return TRUE;
}

/* From the outer corner of the first voxel to that of the last. */
static double diagonal(const LoomMetricInput *input)
{
    const gint64 *shape = loom_tensor_shape(input->truth);
    double sum = 0;

    for (guint i = 0; i < 3; i++)
        sum += pow((double)shape[i] * input->spacing_mm[i], 2);
    return sqrt(sum);
}

static gboolean surface_measure(gpointer self, const LoomMetricInput *input, double *values,
                                GError **error)
{
    Box boxes[256];

    if (!loom_tensor_check_grid(input->prediction, "prediction", input->truth, "truth", error))
        return FALSE;
    boxes_find(input, boxes);
    for (gint64 k = 1; k < input->classes; k++, values += READINGS) {
        const Box *box = &boxes[k];

        if (box->predicted && box->real) {
            if (!class_measure(self, input, k, box, values, error))
                return FALSE;
            continue;
        }
        values[HD] = values[HD95] = values[ASSD] =
            box->predicted || box->real ? diagonal(input) : NAN;
        values[NSD] = box->predicted || box->real ? 0 : NAN;
    }
    return TRUE;
}

static gboolean surface_open(gpointer self, LoomHost *host, G_GNUC_UNUSED GError **error)
{
    ((Surface *)self)->pool = loom_host_pool(host);
    return TRUE;
}

static const LoomMetric surface = {
    .base = LOOM_METRIC(Surface, "surface", "Distances between borders, for each class, in mm",
                        .params = surface_params, .open = surface_open),
    .readings = surface_readings,
    .measure = surface_measure,
    .voxel_bytes = 2 * sizeof(double) + 3 + sizeof(double),
};
LOOM_MODULE("metric_surface", "0.1", &surface.base);
