/* distance - exact Euclidean distance transforms of masks, axis by axis:
 *   d2(q) = min over p of f(p) + |q - p|^2 s^2
 * is the lower envelope of one parabola a voxel; done along W, then H, then D.
 * Source: Felzenszwalb and Huttenlocher 2012, Distance transforms of sampled functions. */
#include <loom/morphology.h>

#include <math.h>

/* One thread's room for one line of voxels. */
typedef struct {
    double *height;   /* f of each voxel of the line */
    gint64 *index;    /* nearest voxel known so far, of each */
    gint64 *parabola; /* of the envelope: the voxel it comes from */
    double *begin;    /* of the envelope: where that parabola becomes the lowest */
} Line;

typedef struct {
    const guint8 *mask;
    double spacing; /* along the axis in work */
    gint64 stride;  /* between voxels of a line */
    gint64 length;  /* voxels of a line */
    gint64 lines;   /* that one call does; they begin at neighbouring voxels */
    gint64 jump;    /* from the first line of one call to that of the next */
    double *squared;
    gint64 *nearest; /* or NULL */
    Line *scratch;   /* one a thread */
} Transform;

/* Along W a mask needs no envelope: the nearest set voxel is the last or the next one. */
static void row_run(gint64 i, G_GNUC_UNUSED guint worker, gpointer data)
{
    const Transform *t = data;
    const gint64 n = t->length, at = i * n;
    const guint8 *mask = t->mask + at;
    double *squared = t->squared + at;
    gint64 last = -1;

    for (gint64 w = 0; w < n; w++) {
        const double far = (double)(w - last) * t->spacing;

        last = mask[w] ? w : last;
        squared[w] = mask[w] ? 0 : last < 0 ? INFINITY : far * far;
        if (t->nearest)
            t->nearest[at + w] = last < 0 ? -1 : at + last;
    }
    last = -1;
    for (gint64 w = n - 1; w >= 0; w--) {
        const double far = (double)(last - w) * t->spacing;

        last = mask[w] ? w : last;
        if (last < 0 || far * far >= squared[w])
            continue;
        squared[w] = far * far;
        if (t->nearest)
            t->nearest[at + w] = at + last;
    }
}

/* Fills the envelope of @line; returns how many parabolas it has. */
static gint64 envelope(const Line *line, gint64 n, double spacing)
{
    gint64 count = 0;

    for (gint64 q = 0; q < n; q++) {
        double meet = -INFINITY;

        if (isinf(line->height[q]))
            continue;
        while (count) {
            const gint64 p = line->parabola[count - 1];
            const double apart = (double)(q - p) * spacing;

            meet = 0.5 * (double)(q + p) * spacing
                   + (line->height[q] - line->height[p]) / (2 * apart);
            if (meet > line->begin[count - 1])
                break;
            count--;
            meet = -INFINITY;
        }
        line->parabola[count] = q;
        line->begin[count++] = meet;
    }
    return count;
}

static void line_run(const Transform *t, const Line *line, gint64 first)
{
    const gint64 n = t->length, stride = t->stride;
    gint64 k = 0;

    for (gint64 q = 0; q < n; q++)
        line->height[q] = t->squared[first + q * stride];
    if (t->nearest)
        for (gint64 q = 0; q < n; q++)
            line->index[q] = t->nearest[first + q * stride];

    const gint64 count = envelope(line, n, t->spacing);
    for (gint64 q = 0; count && q < n; q++) {
        while (k + 1 < count && line->begin[k + 1] < (double)q * t->spacing)
            k++;
        const gint64 p = line->parabola[k];
        const double apart = (double)(q - p) * t->spacing;

        t->squared[first + q * stride] = line->height[p] + apart * apart;
        if (t->nearest)
            t->nearest[first + q * stride] = line->index[p];
    }
}

static void lines_run(gint64 i, guint worker, gpointer data)
{
    const Transform *t = data;

    for (gint64 k = 0; k < t->lines; k++)
        line_run(t, &t->scratch[worker], i * t->jump + k);
}

static Line *scratch_new(guint threads, gint64 length)
{
    Line *scratch = g_new(Line, threads);

    for (guint i = 0; i < threads; i++)
        scratch[i] = (Line){g_new(double, (gsize)length), g_new(gint64, (gsize)length),
                            g_new(gint64, (gsize)length), g_new(double, (gsize)length)};
    return scratch;
}

static void scratch_free(Line *scratch, guint threads)
{
    for (guint i = 0; i < threads; i++) {
        g_free(scratch[i].height);
        g_free(scratch[i].index);
        g_free(scratch[i].parabola);
        g_free(scratch[i].begin);
    }
    g_free(scratch);
}

void loom_distance_squared(const guint8 *mask, const gint64 shape[3], const double spacing[3],
                           double *squared, gint64 *nearest, LoomPool *pool)
{
    const guint threads = loom_pool_threads(pool);
    Transform t = {.mask = mask, .squared = squared, .nearest = nearest};

    t.scratch = scratch_new(threads, MAX(shape[0], shape[1]));
    t.length = shape[2];
    t.spacing = spacing[2];
    loom_pool_run(pool, shape[0] * shape[1], row_run, &t);

    t.length = shape[1]; /* the lines of a plane along H */
    t.spacing = spacing[1];
    t.stride = t.lines = shape[2];
    t.jump = shape[1] * shape[2];
    loom_pool_run(pool, shape[0], lines_run, &t);

    t.length = shape[0]; /* the lines along D that begin in one row */
    t.spacing = spacing[0];
    t.stride = shape[1] * shape[2];
    t.jump = shape[2];
    loom_pool_run(pool, shape[1], lines_run, &t);
    scratch_free(t.scratch, threads);
}

gboolean loom_distance_signed(const guint8 *mask, const gint64 shape[3],
                              const double spacing[3], double *distance, LoomPool *pool,
                              GError **error)
{
    const gint64 voxels = shape[0] * shape[1] * shape[2];
    g_autofree double *inside = g_try_new(double, (gsize)voxels);
    g_autofree guint8 *unset = g_try_new(guint8, (gsize)voxels);

    if (!inside || !unset)
        return loom_fail(error, LOOM_ERROR_LIMIT,
                         "no memory for the distances of %" G_GINT64_FORMAT " voxels", voxels);
    for (gint64 v = 0; v < voxels; v++)
        unset[v] = !mask[v];
    loom_distance_squared(mask, shape, spacing, distance, NULL, pool);
    loom_distance_squared(unset, shape, spacing, inside, NULL, pool);
    for (gint64 v = 0; v < voxels; v++)
        if (isinf(distance[v]) || isinf(inside[v]))
            distance[v] = 0; /* empty or full: then all of them are */
        else
            distance[v] = mask[v] ? -sqrt(inside[v]) : sqrt(distance[v]);
    return TRUE;
}
