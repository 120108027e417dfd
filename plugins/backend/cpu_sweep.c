/* cpu_sweep - which voxels meet through which taps, and in what boxes the work is done.
 *
 * Along one axis, with stride s and padding p:
 *   convolution          out[o] = sum over t of w[t] in[s o + t - p]
 *   its data gradient    dx[s g + q] = sum of w[t] dz[g + (q + p - t) / s], s | q + p - t
 *   transposed           out[s g + t] = w[t] in[g]
 *   its data gradient    dx[o] = sum over t of w[t] dz[s o + t]
 * What stands left of the equals sign is a class: its own taps for its own voxels of the
 * output. */
#include "cpu.h"

#include <string.h>

/* One axis of all classes: where the outputs lie and which taps they see. */
typedef struct {
    gint64 grid, in_step, out_step, classes;
    struct {
        gint64 offset, n_taps, tap[3], index[3];
    } class[3];
} Axis;

static void axis_add(Axis *axis, gint64 class, gint64 tap, gint64 index)
{
    axis->class[class].tap[axis->class[class].n_taps] = tap;
    axis->class[class].index[axis->class[class].n_taps++] = index;
}

/* Taps that all outputs see. */
static Axis axis_gathering(gint64 grid, gint64 kernel, gint64 stride, gint64 padding)
{
    Axis axis = {.grid = grid, .in_step = stride, .out_step = 1, .classes = 1};

    for (gint64 t = 0; t < kernel; t++)
        axis_add(&axis, 0, t - padding, t);
    return axis;
}

static Axis axis_scattering(gint64 grid, gint64 kernel, gint64 stride, gint64 padding)
{
    Axis axis = {.grid = grid, .in_step = 1, .out_step = stride, .classes = stride};

    for (gint64 q = 0; q < stride; q++) {
        axis.class[q].offset = q;
        for (gint64 t = 0; t < kernel; t++)
            if ((q + padding - t + kernel * stride) % stride == 0)
                axis_add(&axis, q, (q + padding - t) / stride, t);
    }
    return axis;
}

/* All taps of one class: the product of those along D, H and W. */
static void class_make(CpuClass *class, const Axis axis[3], const gint64 kernel[3],
                       gint64 number)
{
    gint64 of[3];

    for (gint64 a = 2; a >= 0; a--) {
        of[a] = number % axis[a].classes;
        number /= axis[a].classes;
        class->offset[a] = axis[a].class[of[a]].offset;
    }
    for (gint64 d = 0; d < axis[0].class[of[0]].n_taps; d++)
        for (gint64 h = 0; h < axis[1].class[of[1]].n_taps; h++)
            for (gint64 w = 0; w < axis[2].class[of[2]].n_taps; w++)
                class->tap[class->n_taps++] = (CpuTap){
                    .offset = {axis[0].class[of[0]].tap[d], axis[1].class[of[1]].tap[h],
                               axis[2].class[of[2]].tap[w]},
                    .index = (axis[0].class[of[0]].index[d] * kernel[1]
                              + axis[1].class[of[1]].index[h])
                                 * kernel[2]
                             + axis[2].class[of[2]].index[w]};
}

static void sweep_make(CpuSweep *sweep, const LoomBlockSpec *spec, const Axis axis[3],
                       const gint64 in[3], const gint64 out[3])
{
    *sweep = (CpuSweep){.n = spec->n, .n_classes = 1};
    for (guint a = 0; a < 3; a++) {
        gint64 high = G_MININT64;

        sweep->in[a] = in[a];
        sweep->out[a] = out[a];
        sweep->grid[a] = axis[a].grid;
        sweep->in_step[a] = axis[a].in_step;
        sweep->out_step[a] = axis[a].out_step;
        sweep->n_classes *= axis[a].classes;
        sweep->low[a] = G_MAXINT64;
        for (gint64 c = 0; c < axis[a].classes; c++)
            for (gint64 t = 0; t < axis[a].class[c].n_taps; t++) {
                sweep->low[a] = MIN(sweep->low[a], axis[a].class[c].tap[t]);
                high = MAX(high, axis[a].class[c].tap[t]);
            }
        sweep->range[a] = high - sweep->low[a];
    }
    for (gint64 c = 0; c < sweep->n_classes; c++)
        class_make(&sweep->class[c], axis, spec -> kernel, c);
}

void sweep_forward(CpuSweep *sweep, const LoomBlockSpec *s)
{
    Axis axis[3];

    for (guint a = 0; a < 3; a++)
        axis[a] = s->transposed ? axis_scattering(s->in[a], s->kernel[a], s->stride[a], 0)
                                : axis_gathering(s->out[a], s->kernel[a], s->stride[a],
                                                 (s->kernel[a] - 1) / 2);
    sweep_make(sweep, s, axis, s->in, s->out);
}

void sweep_back(CpuSweep *sweep, const LoomBlockSpec *s)
{
    Axis axis[3];

    for (guint a = 0; a < 3; a++)
        axis[a] = s->transposed
                      ? axis_gathering(s->in[a], s->kernel[a], s->stride[a], 0)
                      : axis_scattering((s->in[a] + s->stride[a] - 1) / s->stride[a],
                                        s->kernel[a], s->stride[a], (s->kernel[a] - 1) / 2);
    sweep_make(sweep, s, axis, s->out, s->in);
}

/* ---- boxes ---------------------------------------------------------------------------- */

static void slab_sizes(CpuSweep *s)
{
    s->slab_d = s->in_step[0] * (s->box[0] - 1) + s->range[0] + 1;
    s->slab_h = s->box[1] + s->range[1] / s->in_step[1];
    s->slab_w = s->box[2] + s->range[2] / s->in_step[2];
    s->plane_floats =
        s->slab_d * s->in_step[1] * s->in_step[2] * s->slab_h * s->slab_w * CPU_BLOCK;
    for (guint a = 0; a < 3; a++)
        s->boxes[a] = (s->grid[a] + s->box[a] - 1) / s->box[a];
}

/* Does a box of this size fit, and leave enough of them? */
static gboolean box_fits(const CpuSweep *sweep, const gint64 box[3], gint64 slab, gint64 grid,
                         gint64 floats, gint64 items)
{
    CpuSweep s = *sweep;

    memcpy(s.box, box, sizeof s.box);
    slab_sizes(&s);
    return sweep_items(&s) >= items
           && s.plane_floats / CPU_BLOCK * slab + s.box[0] * s.box[1] * s.slab_w * grid
                  <= floats;
}

void sweep_box(CpuSweep *sweep, gint64 slab, gint64 grid, gint64 floats, gint64 items)
{
    gint64 box[3] = {1, 1, sweep->grid[2]};

    while (box[2] > 16 && !box_fits(sweep, box, slab, grid, floats, 0))
        box[2] = (box[2] + 1) / 2;
    for (gint64 a = 1; a >= 0; a--) {
        while (box[a] < sweep->grid[a]) {
            box[a]++;
            if (box_fits(sweep, box, slab, grid, floats, items))
                continue;
            box[a]--;
            break;
        }
        const gint64 boxes = (sweep->grid[a] + box[a] - 1) / box[a];

        box[a] = (sweep->grid[a] + boxes - 1) / boxes; /* equal shares */
    }
    memcpy(sweep->box, box, sizeof sweep->box);
    slab_sizes(sweep);
}

gint64 sweep_items(const CpuSweep *s)
{
    return s->n * s->boxes[0] * s->boxes[1] * s->boxes[2];
}

gint64 sweep_taps(const CpuSweep *s)
{
    gint64 taps = 0;

    for (gint64 c = 0; c < s->n_classes; c++)
        taps += s->class[c].n_taps;
    return taps;
}
