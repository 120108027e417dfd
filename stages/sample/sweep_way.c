/* sweep_way - see sweep_way.h: memory = arena(batch) + windows(batch) + sums(tiles) + result.
 * Fewer windows at once cost hardly any time, tiles do: the windows on a seam go twice. */
#include "sweep_way.h"

#define WINDOWS_SHARE 4 /* of the room, for the network and the windows in it */

gboolean sweep_arena_bytes(const SweepNetwork *net, gint64 batch, gint64 channels,
                           guint64 *bytes, GError **error)
{
    const LoomModel *model = (const LoomModel *)net->model->plugin;
    const gint64 shape[5] = {batch, channels, net->size[0], net->size[1], net->size[2]};
    const gint64 none[5] = {0, channels, net->size[0], net->size[1], net->size[2]};
    gint64 classes;
    guint64 all, weights;

    if (!model->fits(net->model->self, shape, FALSE, &classes, &all, error)
        || !model->fits(net->model->self, none, FALSE, &classes, &weights, error))
        return FALSE;
    *bytes = all - MIN(weights, all);
    return TRUE;
}

/* The windows themselves, and their logits. */
static guint64 windows_bytes(const SweepNetwork *net, gint64 batch, gint64 channels,
                             gint64 classes)
{
    const gint64 *size = net->size;

    return sizeof(float) * (guint64)(batch * size[0] * size[1] * size[2])
           * (guint64)(channels + net->logits * classes);
}

gboolean sweep_way_find(const SweepNetwork *net, Sweep *sweep, guint64 room, guint threads,
                        SweepWay *way, GError **error)
{
    const gint64 channels = loom_tensor_size(sweep->image, 'C');
    gint64 batch = net->batch;

    for (guint64 bytes = G_MAXUINT64; batch > 1; batch /= 2) {
        if (!sweep_arena_bytes(net, batch, channels, &bytes, error))
            return FALSE;
        bytes += windows_bytes(net, batch, channels, sweep->rules->channels);
        if (bytes <= room / WINDOWS_SHARE)
            break;
    }
    way->batch = batch;
    if (!sweep_arena_bytes(net, batch, channels, &way->arena, error))
        return FALSE;
    do
        way->rest = windows_bytes(net, batch, channels, sweep->rules->channels)
                    + sweep_bytes(sweep, sweep->tiles, threads);
    while (way->arena + way->rest > room && sweep_tiles_more(sweep, sweep->tiles));
    return TRUE;
}
