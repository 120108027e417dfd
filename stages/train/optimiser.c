/* optimiser - moments of the weights, and clipping by the global norm of the gradients:
 *   scale = min(1, clip / (norm + 1e-6)).  Source: torch.nn.utils.clip_grad_norm_. */
#include "optimiser.h"

#include <math.h>

static LoomWeight *weights_of(const LoomInstance *model, guint *n)
{
    return ((const LoomModel *)model->plugin)->weights(model->self, n);
}

gboolean optimiser_moments(const LoomInstance *model, guint n, GError **error)
{
    const LoomInstance *backend = ((const LoomModel *)model->plugin)->backend(model->self);
    const LoomBackend *device = (const LoomBackend *)backend->plugin;
    guint n_weights;
    LoomWeight *weights = weights_of(model, &n_weights);

    for (guint i = 0; i < n_weights; i++)
        for (guint k = 0; k < n; k++) {
            if (weights[i].moment[k])
                return loom_fail(error, LOOM_ERROR_CONFIG,
                                 "another stage steps the model '%s' already", model->id);
            weights[i].moment[k] = device->array_new(backend->self, weights[i].count, error);
            if (!weights[i].moment[k])
                return FALSE;
        }
    return TRUE;
}

guint64 optimiser_bytes(const LoomInstance *model, guint n)
{
    guint n_weights;
    const LoomWeight *weights = weights_of(model, &n_weights);
    guint64 bytes = 0;

    for (guint i = 0; i < n_weights; i++)
        bytes += n * sizeof(float) * (guint64)weights[i].count;
    return bytes;
}

gboolean optimiser_clip(const LoomInstance *model, double clip, const LoomPacket *packet,
                        double *norm, double *scale, GError **error)
{
    const LoomInstance *backend = ((const LoomModel *)model->plugin)->backend(model->self);
    const LoomBackend *device = (const LoomBackend *)backend->plugin;
    guint n;
    const LoomWeight *weights = weights_of(model, &n);
    double sum = 0;

    for (guint i = 0; i < n; i++) {
        if (!weights[i].grad)
            return loom_fail(error, LOOM_ERROR_CONFIG,
                             "'%s' has no gradient yet: the stage 'backward' of this model has "
                             "to come before",
                             weights[i].name);
        sum += device->array_norm2(backend->self, weights[i].grad);
    }
    *norm = sqrt(sum);
    if (!isfinite(*norm))
        return loom_fail(error, LOOM_ERROR_NUMERIC,
                         "the gradient of '%s' has norm %g: is the rate too high?",
                         loom_packet_id(packet), *norm);
    *scale = clip > 0 ? MIN(1, clip / (*norm + 1e-6)) : 1;
    return TRUE;
}
