/* overlap - how far prediction P and truth G of a class cover each other, by counts of voxels:
 *   dice = 2 |P G| / (|P| + |G|)   iou = |P G| / |P or G|
 *   precision = |P G| / |P|        recall = |P G| / |G|
 *   specificity = 1 - |P without G| / |not G|
 *   volume_error = (|P| - |G|) / |G|
 * A quotient by 0 is NaN, undefined.  So a class that is absent from both has specificity 1 and
 * nothing else; one that is only predicted has dice, iou and precision 0, but no recall and no
 * volume_error; one that was missed has no precision.
 * Source: Taha and Hanbury 2015, Metrics for evaluating 3D medical image segmentation. */
#include <loom/loom.h>

#include <math.h>

typedef struct {
    char none; /* it has no parameters */
} Overlap;

static const LoomReading overlap_readings[] = {
    {"dice", NULL, "2 |P G| / (|P| + |G|); undefined where the class is in neither"},
    {"iou", NULL, "|P G| / |P or G|; undefined where the class is in neither"},
    {"precision", NULL, "|P G| / |P|; undefined where nothing was predicted"},
    {"recall", NULL, "|P G| / |G|; undefined where the truth has none"},
    {"specificity", NULL, "share of voxels outside G that are outside P"},
    {"volume_error", NULL, "(|P| - |G|) / |G|; undefined where the truth has none"},
    {0},
};

static double quotient(gint64 a, gint64 b)
{
    return b ? (double)a / (double)b : NAN;
}

static gboolean overlap_measure(G_GNUC_UNUSED gpointer self, const LoomMetricInput *input,
                                double *values, GError **error)
{
    gint64 predicted[256] = {0}, true_[256] = {0}, both[256] = {0};

    if (!loom_tensor_check_grid(input->prediction, "prediction", input->truth, "truth", error))
        return FALSE;
    const guint8 *p = loom_tensor_u8(input->prediction), *g = loom_tensor_u8(input->truth);
    gint64 voxels = 0; /* that count */

    for (gint64 v = 0; v < loom_tensor_count(input->truth); v++) {
        if (g[v] == LOOM_IGNORED)
            continue;
        voxels++;
        predicted[p[v]]++;
        true_[g[v]]++;
        both[p[v]] += p[v] == g[v];
    }
    for (gint64 k = 1; k < input->classes; k++, values += 6) {
        const gint64 any = predicted[k] + true_[k] - both[k];

        values[0] = quotient(2 * both[k], predicted[k] + true_[k]);
        values[1] = quotient(both[k], any);
        values[2] = quotient(both[k], predicted[k]);
        values[3] = quotient(both[k], true_[k]);
        values[4] = quotient(voxels - any, voxels - true_[k]);
        values[5] = quotient(predicted[k] - true_[k], true_[k]);
    }
    return TRUE;
}

static const LoomMetric overlap = {
    .base = LOOM_METRIC(Overlap, "overlap", "Overlap of prediction and truth, for each class",
                        .params = NULL),
    .readings = overlap_readings,
    .measure = overlap_measure,
    .flags = LOOM_METRIC_IGNORES,
};
LOOM_MODULE("metric_overlap", "0.1", &overlap.base);
