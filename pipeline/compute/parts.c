/* parts - label maps without the parts that are too small to be meant. */
#include <loom/morphology.h>

/* Voxels of each part, by its number from 1; (transfer full). */
static gint64 *parts_count(const gint32 *component, gint64 voxels, gint64 n)
{
    gint64 *counts = g_new0(gint64, (gsize)n + 1);

    for (gint64 v = 0; v < voxels; v++)
        counts[component[v]]++;
    return counts;
}

static gint64 largest_of(const gint64 *counts, gint64 n)
{
    gint64 best = 1;

    for (gint64 i = 2; i <= n; i++)
        if (counts[i] > counts[best])
            best = i;
    return best;
}

static gint64 parts_remove(guint8 *label, const gint32 *component, gint64 voxels, gint64 n,
                           gboolean largest, gint64 least)
{
    g_autofree gint64 *counts = parts_count(component, voxels, n);
    const gint64 best = largest_of(counts, n);
    gint64 removed = 0;

    for (gint64 v = 0; v < voxels; v++) {
        const gint32 part = component[v];

        if (part && ((largest && part != best) || counts[part] < least)) {
            label[v] = 0;
            removed++;
        }
    }
    return removed;
}

gint64 loom_parts_clean(guint8 *label, const gint64 shape[3], const gboolean of[256],
                        gboolean largest, gint64 least, int neighbours, LoomPool *pool,
                        GError **error)
{
    const gint64 voxels = shape[0] * shape[1] * shape[2];
    g_autofree guint8 *mask = g_try_malloc((gsize)voxels);
    g_autofree gint32 *component = g_try_new(gint32, (gsize)voxels);
    gint64 n = 0;

    if (!mask || !component) {
        loom_fail(error, LOOM_ERROR_LIMIT,
                  "no memory for the connected components of %" G_GINT64_FORMAT " voxels",
                  voxels);
        return -1;
    }
    for (gint64 v = 0; v < voxels; v++)
        mask[v] = label[v] && of[label[v]] ? 1 : 0;
    if (!loom_components(mask, shape, neighbours, component, &n, pool, error))
        return -1;
    return n ? parts_remove(label, component, voxels, n, largest, least) : 0;
}
