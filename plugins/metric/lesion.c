/* lesion - prediction P and truth G of a class, counted by connected components:
 *   found   components of G of which more than `overlap` lies in P
 *   missed  the other components of G
 *   false   components of P of which not more than `overlap` lies in G
 *   precision = found / (found + false)   recall = found / (found + missed)
 *   f1 = 2 found / (2 found + false + missed)
 * recall_small and recall_large are those of the components of G below and from `small` on.
 *
 * Counts are 0 where there is nothing to count; a quotient by 0 is NaN, undefined.  So a class
 * that is in neither has counts only; one that is only predicted has precision and f1 0 and no
 * recall; one that was missed has recall and f1 0 and no precision.
 * Source: Commowick et al. 2018 (lesion-wise F1 of the MSSEG challenge), with one threshold of
 * covered volume both ways. */
#include <loom/loom.h>
#include <loom/morphology.h>

#include <math.h>

typedef struct {
    double overlap, small;
    int neighbours;
    LoomPool *pool;
} Lesion;

static const char *const neighbour_choices[] = {"26", "6", NULL};

static const LoomParam lesion_params[] = {
    LOOM_FLOAT(Lesion, overlap, "0", 0, 0.999, NULL,
               "share of a component that must be covered, and exceeded; 0: one voxel does"),
    LOOM_FLOAT(Lesion, small, "1000", 0, 1e9, "mm3", "components below this volume are small"),
    LOOM_ENUM(Lesion, neighbours, "26", neighbour_choices, "voxels that touch each other"),
    {0},
};

static const LoomReading lesion_readings[] = {
    {"lesion_found", NULL, "components of the truth that the prediction covers; 0 for none"},
    {"lesion_missed", NULL, "components of the truth that it does not; 0 for none"},
    {"lesion_false", NULL, "predicted components that the truth does not cover; 0 for none"},
    {"lesion_precision", NULL, "found / (found + false); undefined where neither counts any"},
    {"lesion_recall", NULL, "found / (found + missed); undefined where the truth has none"},
    {"lesion_f1", NULL,
     "2 found / (2 found + false + missed); undefined where the class is in neither"},
    {"lesion_recall_small", NULL,
     "recall of small ones; undefined where the truth has none of them"},
    {"lesion_recall_large", NULL,
     "recall of the others; undefined where the truth has none of them"},
    {0},
};
enum { FOUND, MISSED, FALSE_, PRECISION, RECALL, F1, RECALL_SMALL, RECALL_LARGE, READINGS };

typedef struct {
    gint64 voxels, covered;
} Part;

static double quotient(gint64 a, gint64 b)
{
    return b ? (double)a / (double)b : NAN;
}

/* Components of class @k in @labels, and how much of each lies in class @k of @other.
 * @mask, @component: room for the volume.  Returns Part, from number 1 on; (transfer full). */
static Part *parts_find(const Lesion *self, const LoomTensor *labels, const LoomTensor *other,
                        gint64 k, guint8 *mask, gint32 *component, gint64 *n, GError **error)
{
    const gint64 voxels = loom_tensor_count(labels);
    const guint8 *x = loom_tensor_u8(labels), *y = loom_tensor_u8(other);
    Part *parts;

    for (gint64 v = 0; v < voxels; v++)
        mask[v] = x[v] == k;
    if (!loom_components(mask, loom_tensor_shape(labels), self->neighbours == 0 ? 26 : 6,
                         component, n, self->pool, error))
        return NULL;
    if (!(parts = g_try_new0(Part, (gsize)*n + 1)))
        return loom_fail_null(error, LOOM_ERROR_LIMIT,
                              "no memory for %" G_GINT64_FORMAT " components", *n);
    for (gint64 v = 0; v < voxels; v++)
        if (component[v]) {
            parts[component[v]].voxels++;
            parts[component[v]].covered += y[v] == k;
        }
    return parts;
}

static gboolean is_covered(const Lesion *self, const Part *part)
{
    return (double)part->covered > self->overlap * (double)part->voxels;
}

static void readings_fill(const Lesion *self, const Part *real, gint64 n_real,
                          const Part *predicted, gint64 n_predicted, double voxel_mm3,
                          double *values)
{
    gint64 n[2] = {0, 0}, found[2] = {0, 0}, wrong = 0; /* of large, of small ones */

    for (gint64 i = 1; i <= n_real; i++) {
        const gboolean small = (double)real[i].voxels * voxel_mm3 < self->small;

        n[small]++;
        found[small] += is_covered(self, &real[i]);
    }
    for (gint64 i = 1; i <= n_predicted; i++)
        wrong += !is_covered(self, &predicted[i]);
    const gint64 all = found[0] + found[1];
    values[FOUND] = (double)all;
    values[MISSED] = (double)(n_real - all);
    values[FALSE_] = (double)wrong;
    values[PRECISION] = quotient(all, all + wrong);
    values[RECALL] = quotient(all, n_real);
    values[F1] = quotient(2 * all, all + wrong + n_real);
    values[RECALL_SMALL] = quotient(found[1], n[1]);
    values[RECALL_LARGE] = quotient(found[0], n[0]);
}

static gboolean lesion_measure(gpointer self, const LoomMetricInput *input, double *values,
                               GError **error)
{
    const Lesion *lesion = self;
    const double *mm = input->spacing_mm;

    if (!loom_tensor_check_grid(input->prediction, "prediction", input->truth, "truth", error))
        return FALSE;
    const gsize voxels = (gsize)loom_tensor_count(input->truth);
    g_autofree guint8 *mask = g_try_new(guint8, voxels);
    g_autofree gint32 *component = g_try_new(gint32, voxels);
    if (!mask || !component)
        return loom_fail(error, LOOM_ERROR_LIMIT,
                         "no memory for the components of %" G_GSIZE_FORMAT " voxels", voxels);
    for (gint64 k = 1; k < input->classes; k++, values += READINGS) {
        gint64 n_real = 0, n_predicted = 0;
        g_autofree Part *real = parts_find(lesion, input->truth, input->prediction, k, mask,
                                           component, &n_real, error);
        g_autofree Part *predicted = real ? parts_find(lesion, input->prediction, input->truth,
                                                       k, mask, component, &n_predicted, error)
                                          : NULL;

        if (!predicted)
            return FALSE;
        readings_fill(lesion, real, n_real, predicted, n_predicted, mm[0] * mm[1] * mm[2],
                      values);
    }
    return TRUE;
}

static gboolean lesion_open(gpointer self, LoomHost *host, G_GNUC_UNUSED GError **error)
{
    ((Lesion *)self)->pool = loom_host_pool(host);
    return TRUE;
}

static const LoomMetric lesion = {
    .base = LOOM_METRIC(Lesion, "lesion", "Lesions found, missed and invented, for each class",
                        .params = lesion_params, .open = lesion_open),
    .readings = lesion_readings,
    .measure = lesion_measure,
    .voxel_bytes = sizeof(guint8) + sizeof(gint32),
};
LOOM_MODULE("metric_lesion", "0.1", &lesion.base);
