/* images - the channels of a case, from a file each, or from the fourth axis of one. */
#include <loom/data.h>
#include <loom/tensor.h>

#include <string.h>

guint loom_dataset_files(const LoomDataset *dataset)
{
    return dataset->n_volumes ? 1 : dataset->n_channels;
}

/* One channel: a volume with one value a voxel. */
static LoomTensor *channel_read(const char *path, const LoomVolumePolicy *policy,
                                LoomGeometry *geometry, GError **error)
{
    g_autoptr(LoomTensor) volume = loom_volume_read_by(path, policy, geometry, error);

    if (volume && loom_tensor_size(volume, 'C') != 1)
        return loom_fail_as_null(error, "E-NII-4D", LOOM_ERROR_SHAPE,
                                 "'%s': %" G_GINT64_FORMAT
                                 " volumes in one file, want one file a "
                                 "channel",
                                 path, loom_tensor_size(volume, 'C'));
    return g_steal_pointer(&volume);
}

/* Returns: (transfer full): f32 (channels,D,H,W) on the grid of @like, (C,D,H,W). */
static LoomTensor *stack_new(const LoomTensor *like, gint64 channels, GError **error)
{
    const gint64 *shape = loom_tensor_shape(like);

    return loom_tensor_new(LOOM_F32, "CDHW",
                           (const gint64[]){channels, shape[1], shape[2], shape[3]}, error);
}

/* Volume @volume of @from becomes channel @channel of @to. */
static void channel_copy(LoomTensor *to, gint64 channel, const LoomTensor *from, gint64 volume)
{
    const gint64 voxels = loom_tensor_count_from(to, 'D');

    memcpy(loom_tensor_f32_mut(to) + channel * voxels, loom_tensor_f32(from) + volume * voxels,
           (gsize)voxels * sizeof(float));
}

/* The wanted ones of the volumes in one file. */
static LoomTensor *volumes_read(const LoomDataset *dataset, const char *path,
                                const LoomVolumePolicy *policy, LoomGeometry *geometry,
                                GError **error)
{
    g_autoptr(LoomTensor) all = loom_volume_read_by(path, policy, geometry, error);
    g_autoptr(LoomTensor) image = NULL;
    gboolean in_order = dataset->n_channels == dataset->n_volumes;

    if (!all)
        return NULL;
    if (loom_tensor_size(all, 'C') != dataset->n_volumes)
        return loom_fail_as_null(error, "E-NII-4D", LOOM_ERROR_SHAPE,
                                 "'%s': %" G_GINT64_FORMAT
                                 " volumes along the fourth axis, the "
                                 "data set has %u channels",
                                 path, loom_tensor_size(all, 'C'), dataset->n_volumes);
    for (guint c = 0; c < dataset->n_channels; c++)
        in_order = in_order && dataset->volume_of[c] == c;
    if (in_order)
        return g_steal_pointer(&all);
    if (!(image = stack_new(all, dataset->n_channels, error)))
        return NULL;
    for (guint c = 0; c < dataset->n_channels; c++)
        channel_copy(image, c, all, dataset->volume_of[c]);
    return g_steal_pointer(&image);
}

LoomTensor *loom_dataset_read_image(const LoomDataset *dataset, const LoomCase *one,
                                    const LoomVolumePolicy *policy, LoomGeometry *geometry,
                                    GError **error)
{
    g_autoptr(LoomTensor) first = NULL, image = NULL;

    if (!policy)
        policy = &dataset->policy;
    if (dataset->n_volumes)
        return volumes_read(dataset, one->images[0], policy, geometry, error);
    first = channel_read(one->images[0], policy, geometry, error);
    if (!first || dataset->n_channels == 1)
        return g_steal_pointer(&first);
    if (!(image = stack_new(first, dataset->n_channels, error)))
        return NULL;
    channel_copy(image, 0, first, 0);
    for (guint c = 1; c < dataset->n_channels; c++) {
        LoomGeometry other;
        g_autoptr(LoomTensor) next = channel_read(one->images[c], policy, &other, error);

        if (!next
            || !loom_geometry_check(geometry, one->images[0], &other, one->images[c],
                                    LOOM_GRID_TOLERANCE, error))
            return NULL;
        channel_copy(image, c, next, 0);
    }
    return g_steal_pointer(&image);
}
