/* cpu_kernel_direct - convolutions of any kernel and stride, a box of the grid at a time:
 *   out[grid out_step + offset] = bias + sum over taps of w[tap] in[grid in_step + tap]
 * Rows of a box are multiplied as they lie in the slab, its border included; what the border
 * makes is thrown away.  Source: Georganas et al. 2018 (direct convolution, blocked layout). */
#include "cpu_voxel.h"

#define direct_floats CPU_NAME(cpu_direct_floats)
#define direct_pack_items CPU_NAME(cpu_direct_pack_items)
#define direct_pack CPU_NAME(cpu_direct_pack)
#define direct_scratch CPU_NAME(cpu_direct_scratch)
#define direct_box CPU_NAME(cpu_direct_box)
int64_t direct_floats(const CpuDirect *d);
int64_t direct_pack_items(const CpuDirect *d);
void direct_pack(const CpuDirect *d, const CpuWeights *w, float *packed, int64_t item);
int64_t direct_scratch(const CpuDirect *d);
void direct_box(const CpuDirect *d, int64_t item, float *scratch);

/* ---- weights: (class, panel, tap, input channel, channel of the panel) ---------------- */

/* Floats of the weights of one class. */
static int64_t class_floats(const CpuDirect *d, int64_t class)
{
    return d->sweep->class[class].n_taps * channels_of(d->in, d->n_in) * d->n_out * CPU_BLOCK;
}

static int64_t class_start(const CpuDirect *d, int64_t class)
{
    int64_t sum = 0;

    for (int64_t i = 0; i < class; i++)
        sum += class_floats(d, i);
    return sum;
}

int64_t direct_floats(const CpuDirect *d)
{
    return class_start(d, d->sweep->n_classes);
}

int64_t direct_pack_items(const CpuDirect *d)
{
    return d->sweep->n_classes * panels_of(d->n_out);
}

void direct_pack(const CpuDirect *d, const CpuWeights *w, float *packed, int64_t item)
{
    const int64_t panels = panels_of(d->n_out), panel = item % panels;
    const CpuClass *class = &d->sweep->class[item / panels];
    const int64_t channels = channels_of(d->in, d->n_in);
    const int64_t width = panel_vectors(d->n_out, panel) * LANES;
    float *to =
        packed + class_start(d, item / panels) + panel * PANEL * channels * class->n_taps;
    int64_t row = 0; /* channel of the inputs taken together */

    for (int64_t p = 0; p < d->n_in; p++)
        for (int64_t c = d->in[p].first; c < d->in[p].first + d->in[p].lanes; c++, row++)
            for (int64_t l = 0; l < width; l++) {
                const int64_t k = panel * PANEL + l, lane = k % CPU_BLOCK;
                const CpuPlane *out = &d->out[k / CPU_BLOCK];
                const float *from =
                    w->data + c * w->in_step + (out->first + lane) * w->out_step;

                for (int64_t t = 0; t < class->n_taps; t++)
                    to[(t * channels + row) * width + l] =
                        lane < out->lanes ? from[class->tap[t].index] : 0.0f;
            }
}

/* ---- one box -------------------------------------------------------------------------- */

int64_t direct_scratch(const CpuDirect *d)
{
    const int64_t segments = CPU_TAPS * d->n_in;

    return d->n_in * d->sweep->plane_floats + ROWS * PANEL + 2 * (segments + CPU_BLOCK);
}

/* The grid position of a box, and how much of the box lies in the grid. */
typedef struct {
    int64_t sample, origin[3], size[3];
} Box;

static Box box_of(const CpuSweep *s, int64_t item)
{
    Box box;

    for (int64_t a = 2; a >= 0; a--) {
        box.origin[a] = item % s->boxes[a] * s->box[a];
        box.size[a] = at_most(s->box[a], s->grid[a] - box.origin[a]);
        item /= s->boxes[a];
    }
    box.sample = item;
    return box;
}

/* Puts @rows of @tile, from row @first of grid plane @d on, where they belong. */
static void box_store(const CpuDirect *direct, const CpuClass *class, const Box *box, int64_t d,
                      int64_t first, int64_t rows, int64_t vector, int64_t vectors,
                      const float *tile)
{
    const CpuSweep *s = direct->sweep;
    const int64_t od = (box->origin[0] + d) * s->out_step[0] + class->offset[0];

    if (od >= s->out[0])
        return;
    for (int64_t r = first; r < first + rows; r++, tile += vectors * LANES) {
        const int64_t h = r / s->slab_w, w = r % s->slab_w;
        const int64_t oh = (box->origin[1] + h) * s->out_step[1] + class->offset[1];
        const int64_t ow = (box->origin[2] + w) * s->out_step[2] + class->offset[2];

        if (w >= box->size[2] || h >= box->size[1] || oh >= s->out[1] || ow >= s->out[2])
            continue;
        for (int64_t v = 0; v < vectors; v++) {
            const CpuPlane *out = vector_plane(direct->out, vector + v);
            const int64_t part = (vector + v) % PARTS * LANES;
            const Voxels to = voxels_of(out, box->sample, part);
            const int64_t at = (od * s->out[1] + oh) * s->out[2] + ow;
            Vec sum = load(tile + v * LANES);

            if (direct->bias)
                sum += load(direct->bias + (vector + v) * LANES);
            voxel_store(&to, at, out->add ? sum + voxel_load(&to, at) : sum);
        }
    }
}

/* Where each tap of each input plane begins in the slab. */
static Segments box_segments(const CpuDirect *d, const CpuClass *class, int32_t *numbers)
{
    int32_t *offset = numbers, *depth = numbers + class->n_taps * d->n_in;

    for (int64_t t = 0; t < class->n_taps; t++)
        for (int64_t p = 0; p < d->n_in; p++) {
            offset[t * d->n_in + p] = (int32_t)(slab_offset(d->sweep, class->tap[t].offset)
                                                + p * d->sweep->plane_floats);
            depth[t * d->n_in + p] = (int32_t)d->in[p].lanes;
        }
    return (Segments){offset, depth, class->n_taps * d->n_in};
}

static void box_class(const CpuDirect *direct, const Box *box, int64_t c, const float *slab,
                      float *tile, int32_t *numbers)
{
    const CpuSweep *s = direct->sweep;
    const CpuClass *class = &s->class[c];
    const Segments segments = box_segments(direct, class, numbers);
    const int64_t depth = class->n_taps * channels_of(direct->in, direct->n_in);
    const int64_t length = (box->size[1] - 1) * s->slab_w + box->size[2];
    const int64_t chunks = (length + ROWS - 1) / ROWS, rows = (length + chunks - 1) / chunks;
    const int64_t plane =
        s->in_step[0] * s->in_step[1] * s->in_step[2] * s->slab_h * s->slab_w * CPU_BLOCK;
    const float *b = direct->packed + class_start(direct, c);

    for (int64_t panel = 0; panel < panels_of(direct->n_out); panel++, b += depth * PANEL) {
        const int64_t vectors = panel_vectors(direct->n_out, panel);

        for (int64_t d = 0; d < box->size[0]; d++)
            for (int64_t r = 0; r < length; r += rows) {
                const int64_t now = at_most(rows, length - r);

                product(now, vectors, &segments, slab + d * plane + r * CPU_BLOCK, b, tile,
                        false);
                box_store(direct, class, box, d, r, now, 2 * panel, vectors, tile);
            }
    }
}

void direct_box(const CpuDirect *d, int64_t item, float *scratch)
{
    const Box box = box_of(d->sweep, item);
    float *tile = scratch + d->n_in * d->sweep->plane_floats;
    int32_t *numbers = (int32_t *)(void *)(tile + ROWS * PANEL);

    for (int64_t p = 0; p < d->n_in; p++)
        slab_fill(d->sweep, &d->in[p], box.sample, box.origin,
                  scratch + p * d->sweep->plane_floats);
    for (int64_t c = 0; c < d->sweep->n_classes; c++)
        box_class(d, &box, c, scratch, tile, numbers);
}
