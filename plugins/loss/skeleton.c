/* skeleton - soft skeleton by iterated erosion and opening:
 *   E_0 = image   E_{j+1} = erode(E_j)   O_j = dilate(E_{j+1})   F_j = relu(E_j - O_j)
 *   S_0 = F_0     S_j = S_{j-1} + relu(F_j - S_{j-1} F_j),   j = 1 .. iterations
 * erode: least of a voxel and its 6 neighbours; dilate: largest of the 27 around it; neighbours
 * outside of the volume are not looked at.
 * The way back goes through the same voxel that was the least or the largest (the first in
 * memory of equal ones) and through a relu only where it is above 0.
 * Source: Shit et al. 2021, clDice, algorithm 1 and the authors' soft_skeleton.py. */
#include "skeleton.h"

#include <loom/loom.h>

#include <string.h>

struct _Skeleton {
    gint64 shape[3], voxels, iterations;
    float **eroded;   /* E_0 .. E_{iterations + 1} */
    float **skeleton; /* S_0 .. S_iterations */
    float *opened;    /* O_j, of the j in work */
    gint32 *from;     /* where each voxel of an erosion or dilation comes from */
    float *deroded[2], *dskeleton;
};

static float *volume(gint64 voxels)
{
    return g_try_new(float, (gsize)voxels);
}

Skeleton *skeleton_new(const gint64 shape[3], gint64 iterations, GError **error)
{
    g_autoptr(Skeleton) it = g_new0(Skeleton, 1);
    gboolean all = TRUE;

    memcpy(it->shape, shape, sizeof it->shape);
    it->voxels = shape[0] * shape[1] * shape[2];
    it->iterations = iterations;
    it->eroded = g_new0(float *, (gsize)iterations + 2);
    it->skeleton = g_new0(float *, (gsize)iterations + 1);
    if (it->voxels >= G_MAXINT32)
        return loom_fail_null(error, LOOM_ERROR_LIMIT,
                              "%" G_GINT64_FORMAT " voxels, want fewer than 2^31 - 1",
                              it->voxels);
    for (gint64 j = 0; j <= iterations + 1; j++)
        all = (it->eroded[j] = volume(it->voxels)) && all;
    for (gint64 j = 0; j <= iterations; j++)
        all = (it->skeleton[j] = volume(it->voxels)) && all;
    it->opened = volume(it->voxels);
    it->from = g_try_new(gint32, (gsize)it->voxels);
    it->deroded[0] = volume(it->voxels);
    it->deroded[1] = volume(it->voxels);
    it->dskeleton = volume(it->voxels);
    if (!all || !it->opened || !it->from || !it->deroded[0] || !it->deroded[1]
        || !it->dskeleton)
        return loom_fail_null(error, LOOM_ERROR_LIMIT,
                              "no memory for the skeleton of %" G_GINT64_FORMAT " voxels",
                              it->voxels);
    return g_steal_pointer(&it);
}

void skeleton_free(Skeleton *skeleton)
{
    if (!skeleton)
        return;
    for (gint64 j = 0; j <= skeleton->iterations + 1; j++)
        g_free(skeleton->eroded[j]);
    for (gint64 j = 0; j <= skeleton->iterations; j++)
        g_free(skeleton->skeleton[j]);
    g_free(skeleton->eroded);
    g_free(skeleton->skeleton);
    g_free(skeleton->opened);
    g_free(skeleton->from);
    g_free(skeleton->deroded[0]);
    g_free(skeleton->deroded[1]);
    g_free(skeleton->dskeleton);
    g_free(skeleton);
}

/* Index of the least of voxel (d, h, w) and its 6 neighbours. */
static gint64 least_around(const Skeleton *it, const float *x, gint64 d, gint64 h, gint64 w)
{
    const gint64 row = it->shape[2], plane = it->shape[1] * row;
    const gint64 v = d * plane + h * row + w;
    const gint64 around[7] = {d > 0 ? v - plane : v,
                              h > 0 ? v - row : v,
                              w > 0 ? v - 1 : v,
                              v,
                              w + 1 < row ? v + 1 : v,
                              h + 1 < it->shape[1] ? v + row : v,
                              d + 1 < it->shape[0] ? v + plane : v};
    gint64 best = around[0];

    for (guint i = 1; i < 7; i++)
        best = x[around[i]] < x[best] ? around[i] : best;
    return best;
}

/* y = erode(x); @from: where each voxel comes from, NULL: not wanted. */
static void erode(const Skeleton *it, const float *x, float *y, gint32 *from)
{
    gint64 v = 0;

    for (gint64 d = 0; d < it->shape[0]; d++)
        for (gint64 h = 0; h < it->shape[1]; h++)
            for (gint64 w = 0; w < it->shape[2]; w++, v++) {
                const gint64 best = least_around(it, x, d, h, w);

                if (y)
                    y[v] = x[best];
                if (from)
                    from[v] = (gint32)best;
            }
}

/* @from: the largest of each voxel's line of three along one axis, of what @from is already. */
static void largest_along(const Skeleton *it, const float *x, guint axis, gint32 *from,
                          gint32 *line)
{
    const gint64 n = it->shape[axis];
    const gint64 stride = axis == 2   ? 1
                          : axis == 1 ? it->shape[2]
                                      : it->shape[1] * it->shape[2];

    for (gint64 i = 0; i < it->voxels / n; i++) {
        gint32 *to = from + i / stride * stride * n + i % stride;

        for (gint64 q = 0; q < n; q++)
            line[q] = to[q * stride];
        for (gint64 q = 0; q < n; q++) {
            gint32 best = line[MAX(q - 1, 0)];

            best = x[line[q]] > x[best] ? line[q] : best;
            if (q + 1 < n)
                best = x[line[q + 1]] > x[best] ? line[q + 1] : best;
            to[q * stride] = best;
        }
    }
}

/* @from of dilate(x): a cube is three lines, one after the other. */
static void dilate(const Skeleton *it, const float *x, gint32 *from)
{
    const gint64 longest = MAX(MAX(it->shape[0], it->shape[1]), it->shape[2]);
    g_autofree gint32 *line = g_new(gint32, (gsize)longest);

    for (gint64 v = 0; v < it->voxels; v++)
        from[v] = (gint32)v;
    for (guint axis = 3; axis-- > 0;)
        largest_along(it, x, axis, from, line);
}

/* F_j of voxel @v. */
static float rest(const Skeleton *it, gint64 j, gint64 v)
{
    return MAX(it->eroded[j][v] - it->opened[v], 0.0f);
}

static void open_at(Skeleton *it, gint64 j)
{
    dilate(it, it->eroded[j + 1], it->from);
    for (gint64 v = 0; v < it->voxels; v++)
        it->opened[v] = it->eroded[j + 1][it->from[v]];
}

const float *skeleton_forward(Skeleton *it, const float *image)
{
    memcpy(it->eroded[0], image, (gsize)it->voxels * sizeof *image);
    for (gint64 j = 0; j <= it->iterations; j++) {
        erode(it, it->eroded[j], it->eroded[j + 1], NULL);
        open_at(it, j);
        for (gint64 v = 0; v < it->voxels; v++) {
            const float found = rest(it, j, v), so_far = j ? it->skeleton[j - 1][v] : 0;

            it->skeleton[j][v] = so_far + MAX(found - so_far * found, 0.0f);
        }
    }
    return it->skeleton[it->iterations];
}

/* Takes S_j's gradient apart: @dskeleton becomes S_{j-1}'s, @deroded += E_j's, and through the
 * opening, whose @from stands, E_{j+1}'s in @dnext. */
static void rest_backward(Skeleton *it, gint64 j, float *deroded, float *dnext)
{
    for (gint64 v = 0; v < it->voxels; v++) {
        const float found = rest(it, j, v), so_far = j ? it->skeleton[j - 1][v] : 0;
        const float ds = it->dskeleton[v];
        const float through = found - so_far * found > 0 ? ds : 0; /* so found > 0 as well */
        const float dfound = through * (1 - so_far);

        it->dskeleton[v] = ds - through * found;
        deroded[v] += dfound;
        dnext[it->from[v]] -= dfound;
    }
}

void skeleton_backward(Skeleton *it, const float *dskeleton, float *dimage)
{
    const gsize bytes = (gsize)it->voxels * sizeof *dimage;

    memcpy(it->dskeleton, dskeleton, bytes);
    memset(it->deroded[0], 0, bytes); /* E_{j+1}'s, of later j */
    for (gint64 j = it->iterations; j >= 0; j--) {
        float *dnext = it->deroded[0], *deroded = it->deroded[1];

        memset(deroded, 0, bytes);
        open_at(it, j);
        rest_backward(it, j, deroded, dnext);
        erode(it, it->eroded[j], NULL, it->from);
        for (gint64 v = 0; v < it->voxels; v++)
            deroded[it->from[v]] += dnext[v];
        it->deroded[0] = deroded;
        it->deroded[1] = dnext;
    }
    for (gint64 v = 0; v < it->voxels; v++)
        dimage[v] += it->deroded[0][v];
}
