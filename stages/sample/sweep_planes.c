/* sweep_planes - from sums of logits to classes, on the grid that the prediction lies on.
 *
 * On the grid of the image a voxel's class is that of its largest sum.  On another one the mean
 * logits are interpolated linearly along each axis, in the same pass:
 *   value[k] = sum over the 8 voxels around it of share * sums[k] / total
 * A native voxel is decided with the plane behind it, so two planes are enough for any class.
 * Source: Isensee et al. 2021 (nnU-Net), which resamples whole volumes of logits, order 1. */
#include "sweep.h"

#include <math.h>

/* Softmax, or for regions the logistic function, of the means of one voxel.
 * @values: of channel 0, @stride between channels; mean = value / @total. */
static void voxel_probabilities(const Sweep *sweep, const float *values, gint64 stride,
                                double total, gint64 best, gint64 at)
{
    const gint64 channels = sweep->rules->channels;
    const gint64 voxels = sweep->out[0] * sweep->out[1] * sweep->out[2];
    float *to = loom_tensor_f32_mut(sweep->probabilities) + at;
    double norm = 0;

    for (gint64 k = 0; k < channels; k++)
        norm += exp(((double)values[k * stride] - (double)values[best * stride]) / total);
    for (gint64 k = 0; k < channels; k++)
        to[k * voxels] =
            (float)(sweep->rules->regions
                        ? 1 / (1 + exp(-(double)values[k * stride] / total))
                        : exp(((double)values[k * stride] - (double)values[best * stride])
                              / total)
                              / norm);
}

/* @values: of channel 0 in one voxel.  @best: the channel with the largest value, of equal ones
 * the first. */
static guint8 voxel_class(const SweepRules *rules, const float *values, gint64 stride,
                          gint64 *best)
{
    guint8 label = 0;

    *best = 0;
    for (gint64 k = 0; k < rules->channels; k++) {
        if (values[k * stride] > values[*best * stride])
            *best = k;
        if (rules->regions && values[k * stride] > 0)
            label = (guint8)rules->regions[k];
    }
    return rules->regions ? label : (guint8)*best;
}

/* @total: what the values have to be divided by. */
static void voxel_decide(Sweep *sweep, const float *values, gint64 stride, double total,
                         gint64 at)
{
    gint64 best;
    float all = 0;

    for (gint64 k = 0; k < sweep->rules->channels; k++)
        all += values[k * stride];
    if (!isfinite(all)) {
        g_atomic_int_set(&sweep->infinite, TRUE);
        return;
    }
    loom_tensor_u8_mut(sweep->prediction)[at] =
        voxel_class(sweep->rules, values, stride, &best);
    if (sweep->probabilities)
        voxel_probabilities(sweep, values, stride, total, best, at);
}

typedef struct {
    Sweep *sweep;
    gint64 d; /* the plane that is complete, of the padded case */
    gint64 n; /* where it has been moved: native voxel along working D */
} Plane;

/* The part of the tile that is no padding, in voxels of the case. */
static void tile_inside(const Sweep *sweep, guint axis, gint64 *first, gint64 *end)
{
    const gint64 pad = sweep->pad[1 + axis];

    *first = MAX(sweep->tile.first[axis] - pad, 0);
    *end = MIN(sweep->tile.end[axis] - pad, sweep->volume[1 + axis]);
}

/* Sums of channel 0 at the padded case's (d, h), from its first voxel in the tile. */
static const float *sums_row(const Sweep *sweep, gint64 d, gint64 h)
{
    const gint64 height = loom_tensor_size(sweep->sums, 'H'),
                 width = loom_tensor_size(sweep->sums, 'W');

    return loom_tensor_f32(sweep->sums)
           + (d % sweep->depth * height + h - sweep->tile.first[0]) * width;
}

/* ---- on the grid of the image ------------------------------------------------------- */

static void row_decide(gint64 i, G_GNUC_UNUSED guint worker, gpointer data)
{
    const Plane *plane = data;
    Sweep *sweep = plane->sweep;
    const gint64 *volume = sweep->volume, *pad = sweep->pad;
    const gint64 stride = loom_tensor_count_from(sweep->sums, 'D');
    gint64 h, w, end;

    tile_inside(sweep, 0, &h, &end);
    h += i;
    tile_inside(sweep, 1, &w, &end);
    const float *sums = sums_row(sweep, plane->d, h + pad[1]) + pad[2] - sweep->tile.first[1];
    const double total =
        (double)sweep->totals[0][plane->d] * (double)sweep->totals[1][h + pad[1]];
    const gint64 at = ((plane->d - pad[0]) * volume[1] + h) * volume[2];

    for (; w < end; w++)
        voxel_decide(sweep, sums + w, stride, total * (double)sweep->totals[2][pad[2] + w],
                     at + w);
}

/* ---- on another grid ---------------------------------------------------------------- */

/* Adds share * row / total, for @n voxels. */
static void row_add(float *line, const float *row, double share, double total, gint64 n)
{
    const float factor = (float)(share / total);

    for (gint64 w = 0; share > 0 && w < n; w++)
        line[w] += factor * row[w];
}

/* One channel's line of mean logits at native (n, m) along working D and H; not yet divided
 * along W.  @line: voxels @first to @end of working W. */
static void line_blend(const Sweep *sweep, const Plane *plane, gint64 m, gint64 k, gint64 first,
                       gint64 end, float *line)
{
    const GridSteps *d = &sweep->steps[0], *h = &sweep->steps[1];
    const gint64 planes[2] = {d->low[plane->n], d->high[plane->n]};
    const gint64 rows[2] = {h->low[m], h->high[m]};
    const double d_share[2] = {1 - d->share[plane->n], d->share[plane->n]};
    const double h_share[2] = {1 - h->share[m], h->share[m]};
    const gint64 stride = loom_tensor_count_from(sweep->sums, 'D');

    for (gint64 w = first; w < end; w++)
        line[w] = 0;
    for (guint i = 0; i < 2; i++)
        for (guint j = 0; j < 2; j++) {
            const gint64 dd = planes[i] + sweep->pad[0], hh = rows[j] + sweep->pad[1];
            const double share = d_share[i] * h_share[j];

            if (share > 0)
                row_add(line + first,
                        sums_row(sweep, dd, hh) + k * stride + first + sweep->pad[2]
                            - sweep->tile.first[1],
                        share, (double)sweep->totals[0][dd] * (double)sweep->totals[1][hh],
                        end - first);
        }
}

/* Native voxels whose row along working H is @m. */
static void native_row_decide(gint64 m, guint worker, gpointer data)
{
    const Plane *plane = data;
    Sweep *sweep = plane->sweep;
    const GridSteps *w = &sweep->steps[2];
    const guint *from = sweep->map.from;
    const gint64 strides[3] = {sweep->out[1] * sweep->out[2], sweep->out[2], 1};
    const float *totals = sweep->totals[2] + sweep->pad[2];
    float *values = sweep->rows + (gint64)worker * sweep->row_floats;
    float *line = values + sweep->rules->channels * w->n;
    gint64 h_first, h_end, first, end;

    tile_inside(sweep, 0, &h_first, &h_end);
    tile_inside(sweep, 1, &first, &end);
    if (sweep->steps[1].low[m] < h_first || sweep->steps[1].low[m] >= h_end)
        return;
    const gint64 line_end = MIN(sweep->tile.stored_end[1] - sweep->pad[2], sweep->volume[2]);
    for (gint64 k = 0; k < sweep->rules->channels; k++) {
        line_blend(sweep, plane, m, k, first, line_end, line);
        for (gint64 i = 0; i < w->n; i++)
            if (w->low[i] >= first && w->low[i] < end)
                values[k * w->n + i] =
                    (float)(1 - w->share[i]) * line[w->low[i]] / totals[w->low[i]]
                    + (float)w->share[i] * line[w->high[i]] / totals[w->high[i]];
    }
    const gint64 at = plane->n * strides[from[0]] + m * strides[from[1]];
    for (gint64 i = 0; i < w->n; i++)
        if (w->low[i] >= first && w->low[i] < end)
            voxel_decide(sweep, values + i, w->n, 1, at + i * strides[from[2]]);
}

void sweep_plane_decide(Sweep *sweep, gint64 d)
{
    Plane plane = {sweep, d, 0};
    gint64 first, end;

    tile_inside(sweep, 0, &first, &end);
    if (!sweep->moved && end > first)
        loom_pool_run(sweep->pool, end - first, row_decide, &plane);
    for (; sweep->moved && plane.n < sweep->steps[0].n; plane.n++)
        if (sweep->steps[0].low[plane.n] >= 0
            && sweep->steps[0].high[plane.n] == d - sweep->pad[0])
            loom_pool_run(sweep->pool, sweep->steps[1].n, native_row_decide, &plane);
}
