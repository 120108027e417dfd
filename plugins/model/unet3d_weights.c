/* unet3d_weights - names, shapes and start of the weights: kernels from N(0, std^2),
 *   std = sqrt(2 / (1 + 0.01^2)) / sqrt(fan_in)
 * Source: He et al. 2015 with leaky ReLU's slope, as nnU-Net's InitWeights_He; fan_in is
 * PyTorch's: second axis of the kernel times its voxels, for transposed convolutions too. */
#include "unet3d_weights.h"

#include <math.h>
#include <string.h>

#define SLOPE 0.01

static const LoomBackend *backend_of(const LoomInstance *backend)
{
    return (const LoomBackend *)backend->plugin;
}

static LoomWeight *add(UnetWeights *weights, const char *layer, const char *part, guint rank,
                       const gint64 *shape)
{
    LoomWeight *weight = &weights->v[weights->n++];
    g_autofree char *name = g_strconcat(layer, ".", part, NULL);

    *weight = (LoomWeight){.name = g_string_chunk_insert(weights->names, name),
                           .rank = rank,
                           .count = 1,
                           .decayed = TRUE}; /* all of them, PyTorch's default */
    for (guint i = 0; i < rank; i++) {
        weight->shape[i] = shape[i];
        weight->count *= shape[i];
    }
    return weight;
}

/* Room for the weight's numbers on the host; (transfer full), g_free. */
static float *room_for(const LoomWeight *weight, GError **error)
{
    float *x = g_try_new(float, (gsize)weight->count);

    if (!x)
        loom_fail(error, LOOM_ERROR_LIMIT,
                  "no memory for the %" G_GINT64_FORMAT " numbers of '%s'", weight->count,
                  weight->name);
    return x;
}

static gboolean start(LoomWeight *weight, const LoomInstance *backend, double constant,
                      GError **error)
{
    const LoomBackend *device = backend_of(backend);

    if (!(weight->value = device->array_new(backend->self, weight->count, error)))
        return FALSE;
    if (constant != 0) {
        g_autofree float *x = room_for(weight, error);

        if (!x)
            return FALSE;
        for (gint64 i = 0; i < weight->count; i++)
            x[i] = (float)constant;
        device->array_write(backend->self, weight->value, x);
    }
    return TRUE;
}

static gboolean start_kernel(LoomWeight *weight, const LoomInstance *backend, guint64 seed,
                             const char *id, GError **error)
{
    const double fan_in = (double)weight->count / (double)weight->shape[0];
    const double deviation = sqrt(2 / (1 + SLOPE * SLOPE)) / sqrt(fan_in);
    g_autofree char *stream = g_strconcat(id, "/", weight->name, NULL);
    LoomRng rng = loom_rng(seed, stream, 0);
    g_autofree float *x = NULL;

    if (!start(weight, backend, 0, error) || !(x = room_for(weight, error)))
        return FALSE;
    for (gint64 i = 0; i < weight->count; i++)
        x[i] = (float)(deviation * loom_rng_normal(&rng));
    backend_of(backend)->array_write(backend->self, weight->value, x);
    return TRUE;
}

gboolean unet_weights_make(UnetWeights *weights, const UnetLayers *layers,
                           const LoomInstance *backend, guint64 seed, const char *id,
                           GError **error)
{
    weights->v = g_new0(LoomWeight, 4 * layers->n);
    weights->names = g_string_chunk_new(1024);
    for (guint i = 0; i < layers->n; i++) {
        const UnetLayer *layer = &layers->v[i];
        const gint64 in = layer->c_in[0] + layer->c_in[1], out = layer->c_out;
        const gint64 *k = layer->kernel;
        const gint64 shape[5] = {layer->transposed ? in : out, layer->transposed ? out : in,
                                 k[0], k[1], k[2]};
        LoomBlockWeights *value = &weights->value[i];
        LoomWeight *kernel = add(weights, layer->name, "kernel", 5, shape);
        LoomWeight *bias = add(weights, layer->name, "bias", 1, &out);

        if (!start_kernel(kernel, backend, seed, id, error) || !start(bias, backend, 0, error))
            return FALSE;
        *value = (LoomBlockWeights){.kernel = kernel->value, .bias = bias->value};
        if (!layer->norm)
            continue;

        LoomWeight *scale = add(weights, layer->name, "scale", 1, &out);
        LoomWeight *shift = add(weights, layer->name, "shift", 1, &out);

        if (!start(scale, backend, 1, error) || !start(shift, backend, 0, error))
            return FALSE;
        value->scale = scale->value;
        value->shift = shift->value;
    }
    return TRUE;
}

gboolean unet_weights_train(UnetWeights *weights, const UnetLayers *layers,
                            const LoomInstance *backend, GError **error)
{
    const LoomWeight *next = weights->v;

    for (guint i = 0; i < weights->n; i++) {
        LoomWeight *weight = &weights->v[i];

        if (!weight->grad
            && !(weight->grad =
                     backend_of(backend)->array_new(backend->self, weight->count, error)))
            return FALSE;
    }
    for (guint i = 0; i < layers->n; i++) {
        LoomBlockWeights *grad = &weights->grad[i];

        grad->kernel = next++->grad;
        grad->bias = next++->grad;
        if (!layers->v[i].norm)
            continue;
        grad->scale = next++->grad;
        grad->shift = next++->grad;
    }
    return TRUE;
}

void unet_weights_clear(UnetWeights *weights, const LoomInstance *backend)
{
    for (guint i = 0; i < weights->n; i++) {
        const LoomWeight *weight = &weights->v[i];
        LoomArray *arrays[] = {weight->value, weight->grad, weight->moment[0],
                               weight->moment[1]};

        for (guint k = 0; k < G_N_ELEMENTS(arrays); k++)
            if (arrays[k])
                backend_of(backend)->array_free(backend->self, arrays[k]);
    }
    g_clear_pointer(&weights->v, g_free);
    g_clear_pointer(&weights->names, g_string_chunk_free);
    weights->n = 0;
}

guint64 unet_weights_bytes(const UnetWeights *weights, gboolean training)
{
    guint64 bytes = 0;

    for (guint i = 0; i < weights->n; i++)
        bytes += (training ? 2 : 1) * sizeof(float) * (guint64)weights->v[i].count;
    return bytes;
}
