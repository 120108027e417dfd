/* class_gradient - how hard the voxels of each class pull:
 *   g_k = sqrt(sum over voxels v with label k, channels c of (d loss / d logits[c,v])^2)
 * A class whose voxels pull at nothing is not learnt, whatever the loss says. */
#include "class_gradient.h"

#include <math.h>

#define MOST_CLASSES 256 /* labels are u8 */

LoomTensor *class_gradient(const LoomTensor *dlogits, const LoomTensor *label, gint64 classes,
                           GError **error)
{
    const gint64 samples = loom_tensor_size(dlogits, 'N');
    const gint64 channels = loom_tensor_size(dlogits, 'C');
    const gint64 voxels = loom_tensor_count_from(dlogits, 'D');
    const float *g = loom_tensor_f32(dlogits);
    double squares[MOST_CLASSES] = {0};
    LoomTensor *norms = loom_tensor_new(LOOM_F32, "K", (const gint64[]){classes}, error);

    if (!norms)
        return NULL;
    for (gint64 n = 0; n < samples; n++)
        for (gint64 c = 0; c < channels; c++, g += voxels) {
            const guint8 *t = loom_tensor_u8(label) + n * voxels;

            for (gint64 v = 0; v < voxels; v++)
                squares[t[v]] += (double)g[v] * (double)g[v];
        }
    for (gint64 k = 0; k < classes; k++)
        loom_tensor_f32_mut(norms)[k] = (float)sqrt(squares[k]);
    return norms;
}
