/* components - the connected parts of a mask, and its border.
 *
 * Union-find in the volume of the result itself: a voxel holds 1 + the index of its parent, and
 * a parent always lies before its children in memory, so the root is a part's first voxel.
 * Planes are joined inside slabs by several threads, then the slabs to each other, then parts
 * are numbered in the order of memory: the result is the same for any number of slabs.
 * Source: Rosenfeld and Pfaltz 1966, Sequential operations in digital picture processing. */
#include <loom/morphology.h>

#define SLAB 16 /* planes that one thread takes at a time */

typedef struct {
    const guint8 *mask;
    const gint64 *shape;
    int neighbours;
    gint32 *parent;
} Parts;

static gint32 root_of(gint32 *parent, gint32 v)
{
    while (parent[v] != v + 1) {
        const gint32 up = parent[v] - 1;

        parent[v] = parent[up]; /* halves the path */
        v = up;
    }
    return v;
}

static void join(gint32 *parent, gint64 a, gint64 b)
{
    const gint32 root_a = root_of(parent, (gint32)a), root_b = root_of(parent, (gint32)b);

    parent[MAX(root_a, root_b)] = 1 + MIN(root_a, root_b);
}

/* Joins voxel (d, h, w) with those of the row (d + dd, h + dh), which lies before it. */
static void join_row(const Parts *parts, gint64 d, gint64 h, gint64 w, gint64 dd, gint64 dh)
{
    const gint64 *shape = parts->shape;
    const gint64 v = (d * shape[1] + h) * shape[2] + w;
    const gint64 reach = parts->neighbours == 26 ? 1 : 0;

    if (h + dh < 0 || h + dh >= shape[1])
        return;
    for (gint64 i = MAX(w - reach, 0); i <= MIN(w + reach, shape[2] - 1); i++) {
        const gint64 other = v - w + i + (dd * shape[1] + dh) * shape[2];

        if (parts->mask[other])
            join(parts->parent, v, other);
    }
}

static void join_above(const Parts *parts, gint64 d, gint64 h, gint64 w)
{
    const gint64 reach = parts->neighbours == 26 ? 1 : 0;

    for (gint64 dh = -reach; dh <= reach; dh++)
        join_row(parts, d, h, w, -1, dh);
}

static void slab_run(gint64 slab, G_GNUC_UNUSED guint worker, gpointer data)
{
    const Parts *parts = data;
    const gint64 *shape = parts->shape, begin = slab * SLAB;

    for (gint64 d = begin; d < MIN(begin + SLAB, shape[0]); d++)
        for (gint64 h = 0; h < shape[1]; h++)
            for (gint64 w = 0; w < shape[2]; w++) {
                const gint64 v = (d * shape[1] + h) * shape[2] + w;

                parts->parent[v] = parts->mask[v] ? (gint32)v + 1 : 0;
                if (!parts->mask[v])
                    continue;
                if (w > 0 && parts->mask[v - 1])
                    join(parts->parent, v, v - 1);
                join_row(parts, d, h, w, 0, -1);
                if (d > begin)
                    join_above(parts, d, h, w);
            }
}

gboolean loom_components(const guint8 *mask, const gint64 shape[3], int neighbours,
                         gint32 *component, gint64 *n, LoomPool *pool, GError **error)
{
    const gint64 voxels = shape[0] * shape[1] * shape[2];
    const gint64 slabs = (shape[0] + SLAB - 1) / SLAB;
    Parts parts = {mask, shape, neighbours, component};

    g_assert(neighbours == 6 || neighbours == 26);
    if (voxels >= G_MAXINT32)
        return loom_fail(error, LOOM_ERROR_LIMIT,
                         "%" G_GINT64_FORMAT " voxels, want fewer than 2^31 - 1 to find "
                         "connected components in",
                         voxels);
    loom_pool_run(pool, slabs, slab_run, &parts);
    for (gint64 d = SLAB; d < shape[0]; d += SLAB)
        for (gint64 h = 0; h < shape[1]; h++)
            for (gint64 w = 0; w < shape[2]; w++)
                if (mask[(d * shape[1] + h) * shape[2] + w])
                    join_above(&parts, d, h, w);
    *n = 0;
    for (gint64 v = 0; v < voxels; v++)
        if (component[v] == v + 1)
            component[v] = (gint32)++ * n;
        else if (component[v]) /* the parent lies before it and has its number already */
            component[v] = component[component[v] - 1];
    return TRUE;
}

gint64 loom_border(const guint8 *mask, const gint64 shape[3], guint8 *border)
{
    const gint64 stride[3] = {shape[1] * shape[2], shape[2], 1};
    gint64 n = 0, v = 0;

    for (gint64 d = 0; d < shape[0]; d++)
        for (gint64 h = 0; h < shape[1]; h++)
            for (gint64 w = 0; w < shape[2]; w++, v++) {
                const gboolean edge = d == 0 || h == 0 || w == 0 || d == shape[0] - 1
                                      || h == shape[1] - 1 || w == shape[2] - 1;

                border[v] = mask[v]
                            && (edge || !mask[v - 1] || !mask[v + 1] || !mask[v - stride[1]]
                                || !mask[v + stride[1]] || !mask[v - stride[0]]
                                || !mask[v + stride[0]]);
                n += border[v];
            }
    return n;
}
