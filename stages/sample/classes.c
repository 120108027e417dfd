/* classes - where the classes of a case are, and a voxel of one of them: number r in the order
 * of memory, whether planes before it are walked through or skipped by their counts. */
#include "classes.h"

#define CLASSES_ANY (-1) /* any that is not ignored */

/* Does each plane have as many voxels as were counted in it?  What another process sent may not
 * be what it says. */
static gboolean counts_fit(const float *counts, gint64 width, gint64 depth, gint64 plane)
{
    for (gint64 d = 0; d < depth; d++) {
        double sum = 0;

        for (gint64 k = 0; k < width; k++) {
            if (!(counts[d * width + k] >= 0))
                return FALSE;
            sum += (double)counts[d * width + k];
        }
        if (sum != (double)plane)
            return FALSE;
    }
    return TRUE;
}

void classes_find(Classes *classes, const LoomTensor *label, const LoomTensor *counts)
{
    const gint64 width = counts ? loom_tensor_size(counts, 'K') : 0;

    *classes = (Classes){.label = label};
    if (!label)
        return;
    if (counts && width <= 256
        && counts_fit(loom_tensor_f32(counts), width, loom_tensor_size(label, 'D'),
                      loom_tensor_count_from(label, 'H'))) {
        classes->counts = loom_tensor_f32(counts);
        classes->width = width;
        for (gint64 i = 0; i < loom_tensor_count(counts); i++)
            classes->histogram[i % width] += (gint64)classes->counts[i];
        return;
    }
    const guint8 *x = loom_tensor_u8(label);
    for (gint64 v = 0; v < loom_tensor_count(label); v++)
        classes->histogram[x[v]]++;
}

/* How many of class @k plane @d has, as it was counted. */
static gint64 counted(const Classes *classes, gint64 d, int k, gint64 plane)
{
    const float *row = classes->counts + d * classes->width;

    if (k != CLASSES_ANY)
        return (gint64)row[k];
    return plane - (classes->width > LOOM_IGNORED ? (gint64)row[LOOM_IGNORED] : 0);
}

/* Voxel number @left, from 0, of class @k. */
static void voxel_find(const Classes *classes, int k, gint64 left, gint64 voxel[3])
{
    const guint8 *x = loom_tensor_u8(classes->label);
    const gint64 *shape = loom_tensor_shape(classes->label), plane = shape[1] * shape[2];
    gint64 d = 0, here, at;

    for (; classes->counts && d < shape[0] - 1; d++, left -= here) {
        here = counted(classes, d, k, plane);
        if (left < here)
            break;
    }
    for (at = d * plane; at < shape[0] * plane; at++)
        if ((k == CLASSES_ANY ? x[at] != LOOM_IGNORED : x[at] == k) && left-- == 0)
            break;
    voxel[0] = at < shape[0] * plane ? at / plane : -1;
    voxel[1] = at / shape[2] % shape[1];
    voxel[2] = at % shape[2];
}

gboolean classes_pick_foreground(const Classes *classes, LoomRng *rng, gint64 voxel[3])
{
    const gint64 *histogram = classes->histogram;
    gint64 n = 0;
    int k = 0;

    for (int i = 1; i < LOOM_IGNORED; i++)
        n += histogram[i] > 0;
    if (n == 0)
        return FALSE;
    for (gint64 left = loom_rng_below(rng, n) + 1; left > 0;)
        left -= histogram[++k] > 0;
    voxel_find(classes, k, loom_rng_below(rng, histogram[k]), voxel);
    return TRUE;
}

gboolean classes_pick_counted(const Classes *classes, LoomRng *rng, gint64 voxel[3])
{
    const gint64 ignored = classes->histogram[LOOM_IGNORED];
    const gint64 all = classes->label ? loom_tensor_count(classes->label) : 0;

    if (ignored == 0 || ignored == all)
        return FALSE;
    voxel_find(classes, CLASSES_ANY, loom_rng_below(rng, all - ignored), voxel);
    return TRUE;
}
