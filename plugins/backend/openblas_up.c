/* openblas_up - transposed convolution whose kernel is its stride: each input voxel becomes a
 * small box of output voxels, and no two boxes meet.
 *   z (K, taps; voxels) = w (C; K, taps)^T x (C; voxels), then every row goes to its place */
#include "openblas.h"

#define UP_FLOATS (128 << 10) /* of a tile: 512 KiB */
#define UP_COLUMNS 1024

typedef struct {
    const Openblas *self;
    const LoomBlock *block;
    const Joined *x, *dx;
    const float *kernel, *bias;
    float *z;        /* forward */
    const float *dz; /* backward */
    const gboolean *add;
    float *partial, *dw;
    gint64 depth; /* K taps */
    gint64 tiles; /* a sample */
} UpJob;

/* Voxels of a tile: whole rows of the input. */
gint64 up_columns(const LoomBlock *block)
{
    const gint64 *in = block->spec.in;
    const gint64 columns = MIN(UP_COLUMNS, UP_FLOATS / (block->spec.c_out * block->taps));

    return CLAMP(columns / in[2], 1, in[0] * in[1]) * in[2];
}

gint64 up_tile_floats(const LoomBlock *block)
{
    return block->spec.c_out * block->taps * block->columns;
}

static UpJob up_job(const Openblas *self, const LoomBlock *block, const Joined *x)
{
    return (UpJob){.self = self,
                   .block = block,
                   .x = x,
                   .depth = block->spec.c_out * block->taps,
                   .tiles = (block->inner + block->columns - 1) / block->columns};
}

/* First voxel and number of voxels of tile @i. */
static gint64 up_tile(const UpJob *job, gint64 i, gint64 *n, gint64 *columns)
{
    const gint64 first = i % job->tiles * job->block->columns;

    *n = i / job->tiles;
    *columns = MIN(job->block->columns, job->block->inner - first);
    return first;
}

/* Where the output of input row @row through tap @t begins, in the output (N,K,D,H,W). */
static gint64 up_place(const LoomBlock *block, gint64 plane, gint64 t, gint64 row)
{
    const LoomBlockSpec *s = &block->spec;
    const gint64 kd = t / (s->kernel[1] * s->kernel[2]), kh = t / s->kernel[2] % s->kernel[1];
    const gint64 d = row / s->in[1] * s->stride[0] + kd, h = row % s->in[1] * s->stride[1] + kh;

    return plane * block->outer + (d * s->out[1] + h) * s->out[2] + t % s->kernel[2];
}

OPENBLAS_WIDE
static void up_spread(const float *restrict from, gint64 count, gint64 stride, float bias,
                      float *restrict to)
{
    for (gint64 w = 0; w < count; w++)
        to[w * stride] = from[w] + bias;
}

OPENBLAS_WIDE
static void up_collect(const float *restrict from, gint64 count, gint64 stride,
                       float *restrict to)
{
    for (gint64 w = 0; w < count; w++)
        to[w] = from[w * stride];
}

static void up_forward_tile(gint64 i, guint worker, gpointer data)
{
    const UpJob *job = data;
    const LoomBlock *block = job->block;
    const LoomBlockSpec *s = &block->spec;
    float *tile = job->self->workspace + worker * job->self->tile_floats;
    gint64 n, columns;
    const gint64 first = up_tile(job, i, &n, &columns);

    for (guint side = 0; side < 2 && job->x->data[side]; side++)
        gemm(GEMM_LEFT_TURNED, (const gint64[]){job->depth, columns, s->c_in[side]},
             job->kernel + (side ? s->c_in[0] * job->depth : 0), job->depth,
             joined_plane(job->x, n, side ? s->c_in[0] : 0) + first, block->inner,
             side ? 1.0f : 0.0f, tile, columns);
    for (gint64 r = 0; r < job->depth; r++)
        for (gint64 w = 0; w < columns; w += s->in[2])
            up_spread(tile + r * columns + w, s->in[2], s->stride[2],
                      job->bias[r / block->taps],
                      job->z
                          + up_place(block, n * s->c_out + r / block->taps, r % block->taps,
                                     (first + w) / s->in[2]));
}

void up_forward(Openblas *self, const LoomBlock *block, const Joined *x,
                const LoomBlockWeights *w, float *z)
{
    UpJob job = up_job(self, block, x);

    job.kernel = w->kernel->data;
    job.bias = w->bias->data;
    job.z = z;
    loom_pool_run(self->pool, block->spec.n * job.tiles, up_forward_tile, &job);
}

/* ---- backward ----------------------------------------------------------------------- */

/* dx (C; voxels) [+]= w (C; K, taps) dz,  partial (C; K, taps) [+]= x (C; voxels) dz^T */
static void up_backward_tile(const UpJob *job, gint64 i, float *tile, float *sum, gboolean add)
{
    const LoomBlock *block = job->block;
    const LoomBlockSpec *s = &block->spec;
    gint64 n, columns;
    const gint64 first = up_tile(job, i, &n, &columns);

    for (gint64 r = 0; r < job->depth; r++)
        for (gint64 w = 0; w < columns; w += s->in[2])
            up_collect(job->dz
                           + up_place(block, n * s->c_out + r / block->taps, r % block->taps,
                                      (first + w) / s->in[2]),
                       s->in[2], s->stride[2], tile + r * columns + w);
    for (guint side = 0; side < 2 && job->x->data[side]; side++) {
        const gint64 c = side ? s->c_in[0] : 0;
        float *dx = joined_plane(job->dx, n, c);

        gemm(GEMM_RIGHT_TURNED, (const gint64[]){s->c_in[side], job->depth, columns},
             joined_plane(job->x, n, c) + first, block->inner, tile, columns, add ? 1.0f : 0.0f,
             sum + c * job->depth, job->depth);
        if (dx)
            gemm(GEMM_PLAIN, (const gint64[]){s->c_in[side], columns, job->depth},
                 job->kernel + c * job->depth, job->depth, tile, columns,
                 job->add[side] ? 1.0f : 0.0f, dx + first, block->inner);
    }
}

static void up_backward_slot(gint64 slot, guint worker, gpointer data)
{
    const UpJob *job = data;
    const LoomBlock *block = job->block;
    const gint64 all = block->spec.n * job->tiles;
    const gint64 first = slot * all / block->slots, end = (slot + 1) * all / block->slots;

    for (gint64 i = first; i < end; i++)
        up_backward_tile(job, i, job->self->workspace + worker * job->self->tile_floats,
                         job->partial + slot * block->c_in * job->depth, i > first);
}

static void up_join(gint64 c, G_GNUC_UNUSED guint worker, gpointer data)
{
    const UpJob *job = data;

    for (gint64 i = c * job->depth; i < (c + 1) * job->depth; i++) {
        float sum = 0.0f;

        for (gint64 slot = 0; slot < job->block->slots; slot++)
            sum += job->partial[slot * job->block->c_in * job->depth + i];
        job->dw[i] += sum;
    }
}

void up_backward(Openblas *self, const LoomBlock *block, const Joined *x, const float *kernel,
                 const float *dz, const Joined *dx, const gboolean add[2], float *dw)
{
    UpJob job = up_job(self, block, x);

    job.dx = dx;
    job.kernel = kernel;
    job.dz = dz;
    job.add = add;
    job.partial = self->workspace + loom_pool_threads(self->pool) * self->tile_floats;
    job.dw = dw;
    loom_pool_run(self->pool, block->slots, up_backward_slot, &job);
    loom_pool_run(self->pool, block->c_in, up_join, &job);
}
