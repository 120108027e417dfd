/* grid_map - from two affines: M = inverse(working) native, voxel to voxel, a signed
 * permutation with scales.
 *
 * Between the centres of the outermost voxels and their outer faces a native voxel takes the
 * value of the border, as nnU-Net's resampling does (mode 'edge'); beyond the faces it is
 * outside: cropped away. */
#include "grid_map.h"

#include <math.h>

#define MAP_TOLERANCE 1e-2 /* voxels; headers on one grid differ by 1e-6 of a coordinate */
#define MAP_SNAP 1e-3      /* voxels: so near to a whole number is meant to be that */

/* Inverse of the 3 x 3 part of an affine; FALSE: there is none. */
static gboolean inverse(const double a[3][4], double out[3][3])
{
    const double det = a[0][0] * (a[1][1] * a[2][2] - a[1][2] * a[2][1])
                       - a[0][1] * (a[1][0] * a[2][2] - a[1][2] * a[2][0])
                       + a[0][2] * (a[1][0] * a[2][1] - a[1][1] * a[2][0]);

    if (!(fabs(det) > 0) || !isfinite(det))
        return FALSE;
    for (guint i = 0; i < 3; i++)
        for (guint j = 0; j < 3; j++) {
            const guint r0 = (j + 1) % 3, r1 = (j + 2) % 3, c0 = (i + 1) % 3, c1 = (i + 2) % 3;

            out[i][j] = (a[r0][c0] * a[r1][c1] - a[r0][c1] * a[r1][c0]) / det;
        }
    return TRUE;
}

/* @matrix, @shift: native i, j, k -> working i, j, k. */
static gboolean between(const LoomGeometry *working, const LoomGeometry *native,
                        double matrix[3][3], double shift[3])
{
    double back[3][3];

    if (!inverse(working->affine, back))
        return FALSE;
    for (guint i = 0; i < 3; i++) {
        shift[i] = 0;
        for (guint j = 0; j < 3; j++) {
            matrix[i][j] = 0;
            for (guint k = 0; k < 3; k++)
                matrix[i][j] += back[i][k] * native->affine[k][j];
            shift[i] += back[i][j] * (native->affine[j][3] - working->affine[j][3]);
        }
    }
    return TRUE;
}

/* A crop, a flip or a change of axes moves by whole voxels; the headers' rounding is taken off.
 */
static void snap(GridMap *map, guint axis)
{
    const double far = (double)map->native[map->from[axis]],
                 unit = copysign(1, map->scale[axis]);

    if (fabs(map->scale[axis] - unit) * far > MAP_SNAP
        || fabs(map->offset[axis] - rint(map->offset[axis])) > MAP_SNAP)
        return;
    map->scale[axis] = unit;
    map->offset[axis] = rint(map->offset[axis]);
}

/* Row @i of the matrix, i, j, k, as working axis 2 - @i. */
static gboolean axis_find(GridMap *map, guint i, const double row[3], double shift,
                          gboolean taken[3])
{
    guint best = 0;
    double rest = 0;

    for (guint j = 1; j < 3; j++)
        if (fabs(row[j]) > fabs(row[best]))
            best = j;
    for (guint j = 0; j < 3; j++)
        rest += j == best ? 0 : fabs(row[j]) * (double)(map->native[2 - j] - 1);
    if (taken[best] || !(fabs(row[best]) > 0) || !(rest <= MAP_TOLERANCE))
        return FALSE;
    taken[best] = TRUE;
    map->from[2 - i] = 2 - best;
    map->scale[2 - i] = row[best];
    map->offset[2 - i] = shift;
    snap(map, 2 - i);
    return TRUE;
}

gboolean grid_map_find(GridMap *map, const LoomGeometry *working, const LoomGeometry *native,
                       GError **error)
{
    double matrix[3][3], shift[3];
    gboolean taken[3] = {FALSE};
    gboolean found = between(working, native, matrix, shift);

    for (guint a = 0; a < 3; a++) {
        map->working[a] = working->size[2 - a];
        map->native[a] = native->size[2 - a];
    }
    for (guint i = 0; found && i < 3; i++)
        found = axis_find(map, i, matrix[i], shift[i], taken);
    return found
           || loom_fail(error, LOOM_ERROR_SHAPE,
                        "the grid of the image (axes %s) is turned against that of its file "
                        "(axes %s): a prediction goes back along axes only, want stages that "
                        "crop, flip, exchange axes or resample",
                        working->axes, native->axes);
}

gboolean grid_map_same(const GridMap *map)
{
    for (guint a = 0; a < 3; a++)
        if (map->from[a] != a || map->working[a] != map->native[a]
            || fabs(map->scale[a] - 1) > 0 || fabs(map->offset[a]) > 0)
            return FALSE;
    return TRUE;
}

void grid_steps_make(GridSteps *steps, const GridMap *map, guint axis)
{
    const double last = (double)(map->working[axis] - 1);

    steps->n = map->native[map->from[axis]];
    steps->low = g_new(gint64, (gsize)steps->n);
    steps->high = g_new(gint64, (gsize)steps->n);
    steps->share = g_new0(double, (gsize)steps->n);
    for (gint64 n = 0; n < steps->n; n++) {
        const double at = map->scale[axis] * (double)n + map->offset[axis];
        const double inside = CLAMP(at, 0, last);

        steps->low[n] = steps->high[n] = (gint64)floor(inside);
        if (at < -0.5 - MAP_TOLERANCE || at > last + 0.5 + MAP_TOLERANCE) {
            steps->low[n] = steps->high[n] = -1;
            continue;
        }
        steps->share[n] = inside - floor(inside);
        if (steps->share[n] > 0)
            steps->high[n]++;
    }
}

void grid_steps_clear(GridSteps *steps)
{
    g_free(steps->low);
    g_free(steps->high);
    g_free(steps->share);
}
