/* newname - which share of a class was found: found = |P G| / |G|, P predicted, G true */
#include <loom/loom.h>

#include <math.h>

typedef struct {
    gint64 least;
} Params;

/* A row is a key of the YAML, its check, its default and its documentation. */
static const LoomParam params[] = {
    LOOM_INT(Params, least, "1", 1, 1e9, "voxels", "a class with fewer is left out"),
    {0},
};

/* What one case gives for each class, in the order of @values below. */
static const LoomReading newname_readings[] = {
    {"found", NULL, "|P G| / |G|; undefined where the truth has fewer voxels than `least`"},
    {0},
};

/* NaN is undefined: it is left out of every mean. */
static gboolean newname_measure(gpointer self, const LoomMetricInput *input, double *values,
                                GError **error)
{
    gint64 there[256] = {0}, found[256] = {0};

    if (!loom_tensor_check_grid(input->prediction, "prediction", input->truth, "truth", error))
        return FALSE;
    const guint8 *p = loom_tensor_u8(input->prediction), *g = loom_tensor_u8(input->truth);
    for (gint64 v = 0; v < loom_tensor_count(input->truth); v++) {
        there[g[v]]++;
        found[g[v]] += p[v] == g[v];
    }
    for (gint64 k = 1; k < input->classes; k++) /* class 0 is the background */
        values[k - 1] = there[k] >= ((const Params *)self)->least
                            ? (double)found[k] / (double)there[k]
                            : NAN;
    return TRUE;
}

static const LoomMetric newname_metric = {
    .base = LOOM_METRIC(Params, "newname", "Share of a class that was found", .params = params),
    .readings = newname_readings,
    .measure = newname_measure,
};
LOOM_MODULE("metric_newname", "0.1", &newname_metric.base);
