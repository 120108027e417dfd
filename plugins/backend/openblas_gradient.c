/* openblas_gradient - the gradient of a convolution with respect to its kernel, and, where it
 * has strides, to its input.
 *
 * Tiles are dealt to a fixed number of slots, each with a sum of its own; the slots are joined
 * in their order.  So the result does not depend on who computed what. */
#include "openblas.h"

#include <string.h>

#define SLOT_FLOATS (2 << 20) /* all slots together: 8 MiB */
#define MOST_SLOTS 32
#define STRIDED_FLOATS (128 << 10) /* scattered at once: 512 KiB */
#define STRIDED_COLUMNS 512

/* ---- kernel ------------------------------------------------------------------------- */

gint64 gradient_slots(const LoomBlock *block)
{
    const LoomBlockSpec *spec = &block->spec;
    const gint64 tiles = spec->transposed ? (block->inner + block->columns - 1) / block->columns
                                          : block->there.tiles;
    const gint64 room = SLOT_FLOATS / (block->c_in * spec->c_out * block->taps);

    return MIN(CLAMP(room, 2, MOST_SLOTS), tiles * spec->n);
}

typedef struct {
    const Openblas *self;
    const LoomBlock *block;
    const Joined *x;
    const float *dz;
    float *partial, *dw;
} KernelJob;

/* partial (fold, K; C, taps) [+]= dz (fold, K; columns) x gathered (C, taps; columns)^T */
static void kernel_tile(const KernelJob *job, gint64 i, float *gathered, float *sum,
                        gboolean add)
{
    const Sweep *s = &job->block->there;
    const gint64 n = i / s->tiles, depth = s->c_in * s->taps;
    float *turned = gathered + s->c_portion * s->taps * s->columns;
    gint64 rows;
    const gint64 row = sweep_rows(s, i % s->tiles, &rows), columns = rows * s->out[2];

    for (gint64 k = 0; k < s->c_out; k++)
        tile_refold(s, job->dz + (n * s->c_out + k) * s->outer + row * s->out[2], columns,
                    s->c_out * columns, turned + k * columns);
    for (gint64 first = 0; first < s->c_in; first += s->c_portion) {
        const gint64 portion = MIN(s->c_portion, s->c_in - first);
        const gint64 mnk[3] = {s->fold * s->c_out, portion * s->taps, columns};

        for (gint64 c = 0; c < portion; c++)
            tile_gather(s, joined_plane(job->x, n, first + c), row, rows,
                        gathered + c * s->taps * columns);
        gemm(GEMM_RIGHT_TURNED, mnk, turned, columns, gathered, columns, add ? 1.0f : 0.0f,
             sum + first * s->taps, depth);
    }
}

static void kernel_slot(gint64 slot, guint worker, gpointer data)
{
    const KernelJob *job = data;
    const LoomBlock *block = job->block;
    const gint64 all = block->there.n * block->there.tiles;
    const gint64 first = slot * all / block->slots, end = (slot + 1) * all / block->slots;

    for (gint64 i = first; i < end; i++)
        kernel_tile(job, i, job->self->workspace + worker * job->self->tile_floats,
                    job->partial + slot * block->c_in * block->spec.c_out * block->taps,
                    i > first);
}

/* dw (K, C, taps, fold) += the slots (fold, K, C, taps), for one output channel. */
static void kernel_join(gint64 k, G_GNUC_UNUSED guint worker, gpointer data)
{
    const KernelJob *job = data;
    const Sweep *s = &job->block->there;
    const gint64 depth = s->c_in * s->taps, size = s->fold * s->c_out * depth;

    for (gint64 i = 0; i < depth; i++)
        for (gint64 f = 0; f < s->fold; f++) {
            const float *from = job->partial + (f * s->c_out + k) * depth + i;
            float sum = 0.0f;

            for (gint64 slot = 0; slot < job->block->slots; slot++)
                sum += from[slot * size];
            job->dw[(k * depth + i) * s->fold + f] += sum;
        }
}

void gradient_kernel(Openblas *self, const LoomBlock *block, const Joined *x, const float *dz,
                     float *dw)
{
    const gint64 workers = loom_pool_threads(self->pool);
    KernelJob job = {self, block, x, dz, self->workspace + workers * self->tile_floats, dw};

    loom_pool_run(self->pool, block->slots, kernel_slot, &job);
    loom_pool_run(self->pool, block->spec.c_out, kernel_join, &job);
}

/* ---- input of a convolution with strides -------------------------------------------- */

typedef struct {
    const Openblas *self;
    const LoomBlock *block;
    const float *kernel, *dz;
    const Joined *dx;
    const gboolean *add;
} StridedJob;

static gint64 strided_rows(const LoomBlock *block)
{
    const LoomBlockSpec *s = &block->spec;
    const gint64 depth = block->c_in * s->kernel[1] * s->kernel[2];
    const gint64 columns = MIN(STRIDED_COLUMNS, STRIDED_FLOATS / depth);

    return CLAMP(columns / s->out[2], 1, s->out[1]);
}

gint64 gradient_strided_floats(const LoomBlock *block)
{
    const LoomBlockSpec *s = &block->spec;

    return block->c_in * s->kernel[1] * s->kernel[2] * strided_rows(block) * s->out[2];
}

/* The kernel as (kd; C, kh, kw; K): the transposed matrix of each kd in one piece. */
static void strided_matrix(gint64 c, G_GNUC_UNUSED guint worker, gpointer data)
{
    const StridedJob *job = data;
    const LoomBlock *block = job->block;
    const gint64 plane = block->spec.kernel[1] * block->spec.kernel[2];
    const gint64 c_out = block->spec.c_out;

    for (gint64 t = 0; t < block->taps; t++) {
        const gint64 row = (t / plane * block->c_in + c) * plane + t % plane;

        for (gint64 k = 0; k < c_out; k++)
            block->matrix[row * c_out + k] =
                job->kernel[(k * block->c_in + c) * block->taps + t];
    }
}

/* Adds @rows rows of one channel and tap (kh, kw), from output row @h on, into an input plane.
 */
static void strided_scatter(const LoomBlockSpec *s, const float *from, gint64 h, gint64 rows,
                            const gint64 tap[2], float *plane)
{
    const gint64 left = tap[1] - (s->kernel[2] - 1) / 2, stride = s->stride[2];
    const gint64 first = left < 0 ? 1 : 0;
    const gint64 end = MIN(s->out[2], (s->in[2] - 1 - left) / stride + 1);

    for (gint64 r = 0; r < rows; r++, from += s->out[2]) {
        const gint64 at = (h + r) * s->stride[1] + tap[0] - (s->kernel[1] - 1) / 2;
        float *to = plane + at * s->in[2] + left;

        for (gint64 w = first; at >= 0 && at < s->in[1] && w < end; w++)
            to[w * stride] += from[w];
    }
}

/* All that one output plane @out gives to input plane @in of sample @n, through tap @kd. */
static void strided_plane(const StridedJob *job, gint64 n, gint64 in, gint64 out, gint64 kd,
                          float *z)
{
    const LoomBlock *block = job->block;
    const LoomBlockSpec *s = &block->spec;
    const gint64 plane = s->kernel[1] * s->kernel[2], depth = block->c_in * plane;
    const gint64 most = strided_rows(block);

    for (gint64 h = 0; h < s->out[1]; h += most) {
        const gint64 rows = MIN(most, s->out[1] - h), columns = rows * s->out[2];
        const float *dz =
            job->dz + n * s->c_out * block->outer + (out * s->out[1] + h) * s->out[2];

        gemm(GEMM_PLAIN, (const gint64[]){depth, columns, s->c_out},
             block->matrix + kd * depth * s->c_out, s->c_out, dz, block->outer, 0.0f, z,
             columns);
        for (gint64 i = 0; i < depth; i++) {
            const gint64 tap[2] = {i % plane / s->kernel[2], i % s->kernel[2]};
            float *to = joined_plane(job->dx, n, i / plane);

            if (to)
                strided_scatter(s, z + i * columns, h, rows, tap,
                                to + in * s->in[1] * s->in[2]);
        }
    }
}

/* Input plane i: whoever computes it is the only one to write it. */
static void strided_gather(gint64 i, guint worker, gpointer data)
{
    const StridedJob *job = data;
    const LoomBlock *block = job->block;
    const LoomBlockSpec *s = &block->spec;
    const gint64 n = i / s->in[0], in = i % s->in[0], area = s->in[1] * s->in[2];
    float *z = job->self->workspace + worker * job->self->tile_floats;

    for (gint64 c = 0; c < block->c_in; c++) {
        float *to = joined_plane(job->dx, n, c);

        if (to && !job->add[c >= job->dx->channels[0]])
            memset(to + in * area, 0, (gsize)area * sizeof *to);
    }
    for (gint64 kd = 0; kd < s->kernel[0]; kd++) {
        const gint64 at = in + (s->kernel[0] - 1) / 2 - kd;

        if (at >= 0 && at % s->stride[0] == 0 && at / s->stride[0] < s->out[0])
            strided_plane(job, n, in, at / s->stride[0], kd, z);
    }
}

void gradient_strided(Openblas *self, const LoomBlock *block, const float *kernel,
                      const float *dz, const Joined *dx, const gboolean add[2])
{
    StridedJob job = {self, block, kernel, dz, dx, add};

    loom_pool_run(self->pool, block->c_in, strided_matrix, &job);
    loom_pool_run(self->pool, block->spec.n * block->spec.in[0], strided_gather, &job);
}
