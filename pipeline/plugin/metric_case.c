/* metric_case - a metric on one case, with what it need not know of: ignored voxels, regions.
 */
#include <loom/data.h>
#include <loom/tensor.h>

#include <string.h>

/* Calls @metric; the voxels that the truth ignores are background to one that does not leave
 * them out by itself. */
static gboolean classes_measure(const LoomInstance *metric, const LoomMetricInput *input,
                                double *values, GError **error)
{
    const LoomMetric *plugin = (const LoomMetric *)metric->plugin;
    const gsize n = (gsize)loom_tensor_count(input->truth);
    g_autoptr(LoomTensor) truth = NULL, prediction = NULL;
    LoomMetricInput plain = *input;

    if ((plugin->flags & LOOM_METRIC_IGNORES)
        || !memchr(loom_tensor_u8(input->truth), LOOM_IGNORED, n))
        return plugin->measure(metric->self, input, values, error);
    if (!loom_tensor_check_grid(input->prediction, "prediction", input->truth, "truth", error)
        || !(truth = loom_tensor_copy(input->truth, error))
        || !(prediction = loom_tensor_copy(input->prediction, error)))
        return FALSE;
    loom_labels_leave_out(truth, prediction);
    plain.truth = truth;
    plain.prediction = prediction;
    return plugin->measure(metric->self, &plain, values, error);
}

/* A region as the one class of two. */
static gboolean region_measure(const LoomInstance *metric, const LoomMetricInput *input,
                               const LoomLabelRegion *region, double *values, GError **error)
{
    g_autoptr(LoomTensor) truth = loom_region_mask(region, input->truth, error);
    g_autoptr(LoomTensor) prediction =
        truth ? loom_region_mask(region, input->prediction, error) : NULL;
    LoomMetricInput one = *input;

    if (!prediction)
        return FALSE;
    one.truth = truth;
    one.prediction = prediction;
    one.classes = 2;
    one.probabilities = NULL;
    if (classes_measure(metric, &one, values, error))
        return TRUE;
    g_prefix_error(error, "region '%s': ", region->name);
    return FALSE;
}

gboolean loom_metric_measure(const LoomInstance *metric, const LoomMetricInput *input,
                             const LoomLabelRegion *regions, guint n_regions, double *values,
                             GError **error)
{
    const LoomMetric *plugin = (const LoomMetric *)metric->plugin;
    guint n = 0;

    while (plugin->readings[n].name)
        n++;
    if (n_regions && (plugin->flags & LOOM_METRIC_PROBABILITIES))
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "it needs probabilities of classes, not of regions");
    for (guint r = 0; r < n_regions; r++)
        if (!region_measure(metric, input, &regions[r], values + (gsize)r * n, error))
            return FALSE;
    return n_regions > 0 || classes_measure(metric, input, values, error);
}
