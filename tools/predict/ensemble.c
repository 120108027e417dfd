/* ensemble - models that see a case through different stages, or have different networks, meet
 * where its file lies:
 *   p[k,v] = mean over the recipes of p_r[k,v],   class[v] = argmax_k p[k,v]
 * and for regions the label of the last one with p > 1/2.
 * Source: Isensee et al. 2021 (nnU-Net), ensembling of configurations. */
#include "ensemble.h"

#include <loom/data.h>
#include <loom/tensor.h>

#define MIB 1048576.0

/* Reads one file more: into @sum (NULL: it becomes the sum). */
static gboolean probabilities_add(const char *path, LoomTensor **sum, LoomGeometry *geometry,
                                  GError **error)
{
    LoomGeometry own;
    g_autoptr(LoomTensor) more = loom_volume_read(path, LOOM_NAN_REFUSE, 0, &own, error);

    if (!more)
        return FALSE;
    if (!*sum) {
        *geometry = own;
        *sum = g_steal_pointer(&more);
        return TRUE;
    }
    if (loom_tensor_size(more, 'C') != loom_tensor_size(*sum, 'C'))
        return loom_fail(error, LOOM_ERROR_SHAPE,
                         "one model tells %" G_GINT64_FORMAT " classes apart, another "
                         "%" G_GINT64_FORMAT ": want models of the same labels",
                         loom_tensor_size(*sum, 'C'), loom_tensor_size(more, 'C'));
    if (!loom_geometry_check(geometry, "one model", &own, "another", LOOM_GRID_TOLERANCE,
                             error))
        return FALSE;
    float *to = loom_tensor_f32_mut(*sum);
    const float *from = loom_tensor_f32(more);
    for (gint64 v = 0, n = loom_tensor_count(more); v < n; v++)
        to[v] += from[v];
    return TRUE;
}

/* @p: of channel 0 in one voxel, sums of @n recipes. */
static guint voxel_class(const EnsembleLabels *labels, const float *p, gint64 channels,
                         gint64 stride, guint n)
{
    gint64 best = 0;
    guint label = 0;

    for (gint64 k = 0; k < channels; k++) {
        if (p[k * stride] > p[best * stride])
            best = k;
        if (labels->regions && p[k * stride] > 0.5f * (float)n)
            label = labels->regions[k];
    }
    return labels->regions ? label : (guint)best;
}

static LoomTensor *mask_make(const EnsembleLabels *labels, const LoomTensor *sum, guint n,
                             GError **error)
{
    const gint64 channels = loom_tensor_size(sum, 'C');
    const gint64 voxels = loom_tensor_count_from(sum, 'D');
    LoomTensor *mask = loom_tensor_new(LOOM_U8, "DHW", loom_tensor_shape(sum) + 1, error);

    for (gint64 v = 0; mask && v < voxels; v++) {
        const guint k = voxel_class(labels, loom_tensor_f32(sum) + v, channels, voxels, n);

        loom_tensor_u8_mut(mask)[v] =
            labels->values && k < labels->n_values ? labels->values[k] : (guint8)k;
    }
    return mask;
}

/* The sum and one file more are in memory at once. */
static gboolean memory_check(const char *path, guint64 limit, guint64 used, GError **error)
{
    LoomVolumeHeader header;
    guint64 needed = 2 * sizeof(float);

    if (!limit)
        return TRUE;
    if (!loom_volume_read_header(path, &header, error))
        return FALSE;
    for (guint i = 0; i < header.n_dims; i++)
        needed *= (guint64)header.shape[i];
    needed += used;
    return needed <= limit
           || loom_fail(error, LOOM_ERROR_LIMIT,
                        "the mean of models with different stages takes %.1f MiB, memory is "
                        "%.1f MiB: want more, or models of one recipe, whose mean is taken "
                        "window by window",
                        (double)needed / MIB, (double)limit / MIB);
}

gboolean ensemble_write(char *const *paths, const EnsembleLabels *labels, const char *mask,
                        guint64 limit, guint64 used, GError **error)
{
    g_autoptr(LoomTensor) sum = NULL;
    LoomGeometry geometry;
    guint n = 0;

    if (!memory_check(paths[0], limit, used, error))
        return FALSE;
    for (; paths[n]; n++)
        if (!probabilities_add(paths[n], &sum, &geometry, error))
            return FALSE;
    if (labels->regions && labels->n_regions != loom_tensor_size(sum, 'C'))
        return loom_fail(error, LOOM_ERROR_SHAPE,
                         "%u regions, the models have %" G_GINT64_FORMAT " channels",
                         labels->n_regions, loom_tensor_size(sum, 'C'));
    g_autoptr(LoomTensor) label = mask_make(labels, sum, n, error);
    return label && loom_volume_write(mask, label, &geometry, error);
}
