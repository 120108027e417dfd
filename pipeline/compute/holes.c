/* holes - what a mask encloses.
 *
 * Background is open where faces lead from it to the end of the volume; all else belongs to the
 * mask.  Parts of the background are numbered, those at a face of the volume are open.
 * Source: scipy.ndimage.binary_fill_holes with its own structure. */
#include <loom/morphology.h>

/* Marks the parts that reach the end of the volume: @open, by their number. */
static void open_find(const gint32 *part, const gint64 shape[3], guint8 *open)
{
    gint64 v = 0;

    for (gint64 d = 0; d < shape[0]; d++)
        for (gint64 h = 0; h < shape[1]; h++) {
            const gboolean side = d == 0 || h == 0 || d == shape[0] - 1 || h == shape[1] - 1;
            const gint64 step = side || shape[2] == 1 ? 1 : shape[2] - 1; /* or both ends */

            for (gint64 w = 0; w < shape[2]; w += step)
                open[part[v + w]] = 1;
            v += shape[2];
        }
}

gboolean loom_holes_fill(guint8 *mask, const gint64 shape[3], LoomPool *pool, GError **error)
{
    const gint64 voxels = shape[0] * shape[1] * shape[2];
    g_autofree guint8 *background = g_try_malloc((gsize)voxels);
    g_autofree gint32 *part = g_try_new(gint32, (gsize)voxels);
    g_autofree guint8 *open = NULL;
    gint64 n = 0;

    if (!background || !part)
        return loom_fail(error, LOOM_ERROR_LIMIT,
                         "no memory to fill the holes of a mask of %" G_GINT64_FORMAT " voxels",
                         voxels);
    for (gint64 v = 0; v < voxels; v++)
        background[v] = mask[v] ? 0 : 1;
    if (!loom_components(background, shape, 6, part, &n, pool, error))
        return FALSE;
    open = g_malloc0((gsize)n + 1);
    open[0] = 1; /* the mask itself stays as it is */
    open_find(part, shape, open);
    for (gint64 v = 0; v < voxels; v++)
        if (!open[part[v]])
            mask[v] = 1;
    return TRUE;
}
