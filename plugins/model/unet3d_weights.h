/* unet3d_weights.h - every weight of the network, on the backend; with gradients when trained.
 */
#pragma once

#include "unet3d_layers.h"

typedef struct {
    LoomWeight *v;
    guint n;
    GStringChunk *names;
    LoomBlockWeights value[UNET_MAX_LAYERS], grad[UNET_MAX_LAYERS]; /* the same, by layer */
} UnetWeights;

/* Makes and starts them: kernels Kaiming-normal, biases 0, scales 1, shifts 0.  The numbers are
 * a function of (@seed, @id, name of the weight).  On failure unet_weights_clear frees the
 * rest. */
gboolean unet_weights_make(UnetWeights *weights, const UnetLayers *layers,
                           const LoomInstance *backend, guint64 seed, const char *id,
                           GError **error);
/* Makes the gradients, zeroed, where there are none yet: inference has none. */
gboolean unet_weights_train(UnetWeights *weights, const UnetLayers *layers,
                            const LoomInstance *backend, GError **error);
void unet_weights_clear(UnetWeights *weights, const LoomInstance *backend);
/* Of the values; when training, of the gradients too. */
guint64 unet_weights_bytes(const UnetWeights *weights, gboolean training);
