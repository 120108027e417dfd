/* cpu_kernel_gradient - the weight gradient of a convolution of any kernel and stride:
 *   dw[tap, c, k] += sum over the grid g of x[c, g in_step + tap] dz[k, g out_step + offset]
 * One part of the work is one input plane and a fixed share of the boxes: sums have the same
 * order on any number of threads.
 * Source: Georganas et al. 2018 (weight update). */
#include "cpu_voxel.h"

#define gradient_scratch CPU_NAME(cpu_gradient_scratch)
#define gradient_part CPU_NAME(cpu_gradient_part)
#define gradient_sum CPU_NAME(cpu_gradient_sum)
int64_t gradient_scratch(const CpuDirectGradient *g);
void gradient_part(const CpuDirectGradient *g, int64_t item, float *scratch);
void gradient_sum(const CpuDirectGradient *g, const CpuWeights *w, float *dw, int64_t item);

static int64_t boxes_of(const CpuSweep *s)
{
    return s->n * s->boxes[0] * s->boxes[1] * s->boxes[2];
}

static int64_t kernel_taps(const CpuSweep *s)
{
    int64_t taps = 0;

    for (int64_t c = 0; c < s->n_classes; c++)
        taps += s->class[c].n_taps;
    return taps;
}

/* Floats of one part's result. */
static int64_t part_floats(const CpuDirectGradient *g)
{
    return kernel_taps(g->sweep) * CPU_BLOCK * CPU_BLOCK * g->n_out;
}

int64_t gradient_scratch(const CpuDirectGradient *g)
{
    return g->sweep->plane_floats
           + g->n_out * CPU_BLOCK * g->sweep->box[0] * g->sweep->box[1] * g->sweep->slab_w;
}

/* Of one row of the grid, dz of one vector, @step voxels apart; zeros behind what lies inside.
 */
INLINE void fill_row(const Voxels *dz, int64_t first, int64_t step, int64_t inside,
                     int64_t width, float *to, int64_t to_step)
{
    for (int64_t w = 0; w < inside; w++)
        store(to + w * to_step, voxel_load(dz, first + w * step));
    for (int64_t w = inside; w < width; w++)
        store(to + w * to_step, all(0.0f));
}

/* How many of @count positions from @first on lie in the grid and in the output. */
static int64_t inside_of(const CpuSweep *s, const CpuClass *class, int64_t axis, int64_t first,
                         int64_t count)
{
    const int64_t last = (s->out[axis] - 1 - class->offset[axis]) / s->out_step[axis];
    const int64_t inside =
        s->out[axis] > class->offset[axis] ? at_most(s->grid[axis], last + 1) - first : 0;

    return inside < 0 ? 0 : at_most(inside, count);
}

/* dz of one class and vector at the positions of the slab's rows, zeros at the border. */
static void fill_vector(const CpuSweep *s, const CpuClass *class, const CpuPlane *plane,
                        int64_t part, int64_t sample, const int64_t origin[3], float *to,
                        int64_t to_step)
{
    const Voxels dz = voxels_of(plane, sample, part);
    int64_t inside[3], at[3];

    for (int64_t a = 0; a < 3; a++) {
        inside[a] = inside_of(s, class, a, origin[a], s->box[a]);
        at[a] = origin[a] * s->out_step[a] + class->offset[a];
    }
    for (int64_t d = 0; d < s->box[0]; d++)
        for (int64_t h = 0; h < s->box[1]; h++) {
            const int64_t width = h + 1 < s->box[1] ? s->slab_w : s->box[2];
            const int64_t od = at[0] + d * s->out_step[0], oh = at[1] + h * s->out_step[1];

            fill_row(&dz, (od * s->out[1] + oh) * s->out[2] + at[2], s->out_step[2],
                     d < inside[0] && h < inside[1] ? inside[2] : 0, width, to, to_step);
            to += width * to_step;
        }
}

static int64_t box_length(const CpuSweep *s)
{
    return (s->box[1] - 1) * s->slab_w + s->box[2];
}

/* dz of one class: (panel, grid D, row, vectors). */
static void fill_class(const CpuDirectGradient *g, const CpuClass *class, int64_t sample,
                       const int64_t origin[3], float *to)
{
    const CpuSweep *s = g->sweep;
    const int64_t length = box_length(s), vectors = g->n_out * PARTS;

    for (int64_t v = 0; v < vectors; v++) {
        const int64_t width = panel_vectors(g->n_out, v / 2);

        fill_vector(s, class, vector_plane(g->out, v), v % PARTS * LANES, sample, origin,
                    to + v / 2 * PANEL * s->box[0] * length + v % 2 * LANES, width * LANES);
    }
}

static void box_gradient(const CpuDirectGradient *g, const CpuPlane *plane, int64_t item,
                         float *slab, float *dw)
{
    const CpuSweep *s = g->sweep;
    const int64_t length = box_length(s);
    const int64_t slab_step =
        s->in_step[0] * s->in_step[1] * s->in_step[2] * s->slab_h * s->slab_w * CPU_BLOCK;
    float *dz = slab + s->plane_floats;
    int64_t origin[3];

    for (int64_t a = 2; a >= 0; a--) {
        origin[a] = item % s->boxes[a] * s->box[a];
        item /= s->boxes[a];
    }
    slab_fill(s, plane, item, origin, slab);
    for (const CpuClass *class = s->class; class < s->class + s->n_classes; class ++) {
        fill_class(g, class, item, origin, dz);
        for (const CpuTap *tap = class->tap; tap < class->tap + class->n_taps; tap++)
            for (int64_t panel = 0; panel < panels_of(g->n_out); panel++) {
                const int64_t vectors = panel_vectors(g->n_out, panel);
                const Runs runs = {slab + slab_offset(s, tap->offset),
                                   dz + panel * PANEL * s->box[0] * length,
                                   slab_step,
                                   length * vectors * LANES,
                                   at_most(s->box[0], s->grid[0] - origin[0]),
                                   length,
                                   false};

                outer(plane->lanes, vectors, &runs,
                      dw + (tap->index * CPU_BLOCK * g->n_out + panel * PANEL) * CPU_BLOCK);
            }
    }
}

void gradient_part(const CpuDirectGradient *g, int64_t item, float *scratch)
{
    const int64_t slot = item / g->n_in, boxes = boxes_of(g->sweep);
    float *dw = g->parts + item * part_floats(g);

    memset(dw, 0, (size_t)part_floats(g) * sizeof *dw);
    for (int64_t box = slot * boxes / g->slots; box < (slot + 1) * boxes / g->slots; box++)
        box_gradient(g, &g->in[item % g->n_in], box, scratch, dw);
}

/* Adds one vector of output channels, all taps, from all slots. */
static void sum_vector(const CpuDirectGradient *g, const CpuWeights *w, int64_t item, int64_t c,
                       int64_t v, float *dw)
{
    const CpuPlane *in = &g->in[item], *out = vector_plane(g->out, v);
    const int64_t part = v % PARTS * LANES;
    float sums[CPU_TAPS][LANES] __attribute__((aligned(64)));

    for (int64_t t = 0; t < w->taps; t++) {
        Vec sum = all(0.0f);

        for (int64_t slot = 0; slot < g->slots; slot++)
            sum += load(g->parts + (slot * g->n_in + item) * part_floats(g)
                        + t * CPU_BLOCK * CPU_BLOCK * g->n_out + outer_place(g->n_out, c, v));
        store(sums[t], sum);
    }
    for (int64_t l = 0; l < LANES && part + l < out->lanes; l++) {
        float *to = dw + (in->first + c) * w->in_step + (out->first + part + l) * w->out_step;

        for (int64_t t = 0; t < w->taps; t++)
            to[t] += sums[t][l];
    }
}

void gradient_sum(const CpuDirectGradient *g, const CpuWeights *w, float *dw, int64_t item)
{
    for (int64_t c = 0; c < g->in[item].lanes; c++)
        for (int64_t v = 0; v < g->n_out * PARTS; v++)
            sum_vector(g, w, item, c, v, dw);
}
