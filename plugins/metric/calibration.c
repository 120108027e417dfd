/* calibration - do probabilities mean what they say?  For each class, over all voxels, with p
 * its probability and y = 1 where the truth is that class, else 0:
 *   ece   = sum over bins b of |b| / voxels * | mean of p in b - mean of y in b |
 *   brier = mean of (p - y)^2
 * Bins are equally wide: bin i holds i / bins < p <= (i + 1) / bins, bin 0 also p = 0.
 *
 * A class that is in neither is defined: its y is 0 everywhere, and so should be p.
 * Source: Guo et al. 2017, On calibration of modern neural networks, taken class by class as
 * Kull et al. 2019 (classwise-ECE); Brier 1950. */
#include <loom/loom.h>

#include <math.h>

typedef struct {
    gint64 bins;
} Calibration;

static const LoomParam calibration_params[] = {
    LOOM_INT(Calibration, bins, "15", 1, 1000, NULL, "of equal width between 0 and 1"),
    {0},
};

static const LoomReading calibration_readings[] = {
    {"ece", NULL,
     "expected calibration error, the class against the rest over all voxels; defined for an "
     "absent class: its share is 0"},
    {"brier", NULL,
     "mean squared error of the probability over all voxels; defined for an absent class"},
    {0},
};

typedef struct {
    double p, y; /* sums */
} Bin;

static gint64 bin_of(double p, gint64 bins)
{
    return CLAMP((gint64)ceil(p * (double)bins) - 1, 0, bins - 1);
}

static gboolean probability_fail(float p, gint64 k, GError **error)
{
    return loom_fail(error, LOOM_ERROR_NUMERIC,
                     "'probabilities' has %g for class %" G_GINT64_FORMAT ", want 0 to 1",
                     (double)p, k);
}

static gboolean class_measure(const Calibration *self, const LoomMetricInput *input, gint64 k,
                              double values[2], GError **error)
{
    const gint64 voxels = loom_tensor_count(input->truth);
    const float *p = loom_tensor_f32(input->probabilities) + k * voxels;
    const guint8 *t = loom_tensor_u8(input->truth);
    g_autofree Bin *bins = g_new0(Bin, (gsize)self->bins);
    gint64 counted = 0;

    values[0] = values[1] = 0;
    for (gint64 v = 0; v < voxels; v++) {
        const double y = t[v] == k ? 1 : 0;

        if (!(p[v] >= 0 && p[v] <= 1 + 1e-5f)) /* a softmax in f32 may end a little above */
            return probability_fail(p[v], k, error);
        if (t[v] == LOOM_IGNORED)
            continue;
        counted++;
        Bin *bin = &bins[bin_of((double)p[v], self->bins)];
        bin->p += (double)p[v];
        bin->y += y;
        values[1] += ((double)p[v] - y) * ((double)p[v] - y);
    }
    for (gint64 i = 0; i < self->bins; i++) /* |b| cancels: means of a bin times its size */
        values[0] += fabs(bins[i].p - bins[i].y);
    values[0] /= (double)counted; /* NaN where no voxel counts */
    values[1] /= (double)counted;
    return TRUE;
}

static gboolean calibration_measure(gpointer self, const LoomMetricInput *input, double *values,
                                    GError **error)
{
    const LoomTensor *p = input->probabilities;

    if (!p)
        return loom_fail(error, LOOM_ERROR_CONFIG, "calibration needs probabilities");
    if (!loom_tensor_check_grid(input->prediction, "prediction", input->truth, "truth", error)
        || !loom_tensor_check(p, LOOM_F32, "CDHW", "probabilities", error)
        || !loom_tensor_check_grid(p, "probabilities", input->truth, "truth", error))
        return FALSE;
    if (loom_tensor_size(p, 'C') != input->classes)
        return loom_fail(error, LOOM_ERROR_SHAPE,
                         "'probabilities' has %" G_GINT64_FORMAT
                         " classes, want %" G_GINT64_FORMAT,
                         loom_tensor_size(p, 'C'), input->classes);
    for (gint64 k = 1; k < input->classes; k++, values += 2)
        if (!class_measure(self, input, k, values, error))
            return FALSE;
    return TRUE;
}

static const LoomMetric calibration = {
    .base = LOOM_METRIC(Calibration, "calibration",
                        "Calibration error and Brier score of the probabilities",
                        .params = calibration_params),
    .readings = calibration_readings,
    .measure = calibration_measure,
    .flags = LOOM_METRIC_PROBABILITIES | LOOM_METRIC_IGNORES,
};
LOOM_MODULE("metric_calibration", "0.1", &calibration.base);
