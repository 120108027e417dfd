/* cpu_norm - instance normalisation and leaky ReLU: what is pending on a block's output, and
 * the way back through it:
 *   scale = gamma rstd,  shift = beta - mean scale,  y = leaky(scale z + shift)
 * Source: Ulyanov et al. 2016; biased variance, as PyTorch has it. */
#include "cpu.h"

#include <math.h>

#define NORM_EPSILON 1e-5
#define LEAK 0.01f

/* Rows of block->numbers, (n, 16 n_out) each. */
enum { MEAN, RSTD, FACTOR, SUM, DOT, PIVOT = SUM }; /* the pivot: forward alone */

static float *numbers(const LoomBlock *block, gint64 row)
{
    return block->numbers + row * block->spec.n * block->n_out * CPU_BLOCK;
}

/* ---- sums over the voxels of each plane, chunk by chunk ------------------------------- */

typedef struct {
    const CpuKernels *kernels;
    const LoomBlock *block;
    const LoomMap *y, *dy;
    gboolean plain; /* no norm, no activation: dy is what is summed */
} Pass;

/* Chunk @i: number of the plane, all samples counted; its sample; its first voxel, how many. */
typedef struct {
    gint64 plane, sample, first, voxels;
    double *sum, *other;
} Chunk;

static Chunk chunk_of(const LoomBlock *block, gint64 i)
{
    Chunk c = {.plane = i / block->chunks, .first = i % block->chunks * CPU_CHUNK};

    c.sample = c.plane / block->n_out;
    c.voxels = MIN(CPU_CHUNK, block->voxels - c.first);
    c.sum = block->sums + i * 2 * CPU_BLOCK;
    c.other = c.sum + CPU_BLOCK;
    for (guint l = 0; l < CPU_BLOCK; l++)
        c.sum[l] = c.other[l] = 0.0;
    return c;
}

/* Adds up the chunks of plane @plane, always in the same order. */
static void chunks_add(const LoomBlock *block, gint64 plane, double sum[2][CPU_BLOCK])
{
    for (guint l = 0; l < CPU_BLOCK; l++)
        sum[0][l] = sum[1][l] = 0.0;
    for (gint64 c = plane * block->chunks; c < (plane + 1) * block->chunks; c++)
        for (guint l = 0; l < CPU_BLOCK; l++) {
            sum[0][l] += block->sums[c * 2 * CPU_BLOCK + l];
            sum[1][l] += block->sums[c * 2 * CPU_BLOCK + CPU_BLOCK + l];
        }
}

static void pass_run(const Cpu *cpu, Pass *pass, LoomParallelFunc func)
{
    pass->kernels = cpu->kernels;
    loom_pool_run(cpu->pool, pass->block->spec.n * pass->block->n_out * pass->block->chunks,
                  func, pass);
}

/* ---- forward -------------------------------------------------------------------------- */

static void statistics_chunk(gint64 i, G_GNUC_UNUSED guint worker, gpointer data)
{
    const Pass *pass = data;
    const Chunk c = chunk_of(pass->block, i);
    const CpuPlane plane = map_plane(pass->y, c.plane % pass->block->n_out);

    pass->kernels->sums(&plane, c.sample, c.first, c.voxels,
                        numbers(pass->block, PIVOT) + c.plane * CPU_BLOCK, c.sum, c.other);
}

/* Mean, rstd and what is pending, of one plane's channels. */
static void statistics_end(const LoomBlock *block, const LoomBlockWeights *w, gint64 plane,
                           LoomMap *y)
{
    const float *pivot = numbers(block, PIVOT) + plane * CPU_BLOCK;
    const double count = (double)block->voxels;
    double sum[2][CPU_BLOCK];

    chunks_add(block, plane, sum);
    for (gint64 l = 0; l < CPU_BLOCK; l++) {
        const gint64 k = plane % block->n_out * CPU_BLOCK + l, at = plane * CPU_BLOCK + l;
        const double off = sum[0][l] / count, mean = off + (double)pivot[l];
        const double rstd = 1.0 / sqrt(MAX(sum[1][l] / count - off * off, 0.0) + NORM_EPSILON);

        if (k >= block->spec.c_out)
            break;
        numbers(block, MEAN)[at] = (float)mean;
        numbers(block, RSTD)[at] = (float)rstd;
        y->scale[at] = (float)((double)w->scale->data[k] * rstd);
        y->shift[at] =
            (float)((double)w->shift->data[k] - mean * rstd * (double)w->scale->data[k]);
    }
}

void norm_forward(Cpu *cpu, LoomBlock *block, const LoomBlockWeights *w, LoomMap *y)
{
    const gint64 planes = block->spec.n * block->n_out;
    Pass pass = {.block = block, .y = y};

    y->pending = block->spec.norm || block->spec.activation;
    y->slope = block->spec.activation ? LEAK : 1.0f;
    if (!y->pending)
        return;
    for (gint64 i = 0; i < planes * CPU_BLOCK; i++) {
        y->scale[i] = 1.0f;
        y->shift[i] = 0.0f;
    }
    if (!block->spec.norm)
        return;
    for (gint64 i = 0; i < planes; i++) {
        const CpuPlane plane = map_plane(y, i % block->n_out);

        cpu->kernels->first_voxel(&plane, i / block->n_out,
                                  numbers(block, PIVOT) + i * CPU_BLOCK);
    }
    pass_run(cpu, &pass, statistics_chunk);
    for (gint64 i = 0; i < planes; i++)
        statistics_end(block, w, i, y);
}

/* ---- backward ------------------------------------------------------------------------- */

static CpuNorm norm_of(const Pass *pass, gint64 plane)
{
    const LoomBlock *block = pass->block;
    const gint64 at = plane * CPU_BLOCK;

    return (CpuNorm){.z = map_plane(pass->y, plane % block->n_out),
                     .dy = map_plane(pass->dy, plane % block->n_out),
                     .sample = plane / block->n_out,
                     .scale = pass->y->scale + at,
                     .shift = pass->y->shift + at,
                     .mean = numbers(block, MEAN) + at,
                     .rstd = numbers(block, RSTD) + at,
                     .factor = numbers(block, FACTOR) + at,
                     .sum = numbers(block, SUM) + at,
                     .dot = numbers(block, DOT) + at,
                     .slope = pass->y->slope};
}

static void back_sums(gint64 i, G_GNUC_UNUSED guint worker, gpointer data)
{
    const Pass *pass = data;
    const Chunk c = chunk_of(pass->block, i);
    static const float zeros[CPU_BLOCK] __attribute__((aligned(64)));

    if (pass->plain) {
        const CpuPlane dy = map_plane(pass->dy, c.plane % pass->block->n_out);

        pass->kernels->sums(&dy, c.sample, c.first, c.voxels, zeros, c.sum, c.other);
    } else {
        const CpuNorm norm = norm_of(pass, c.plane);

        pass->kernels->norm_sums(&norm, c.first, c.voxels, c.sum, c.other);
    }
}

static void back_apply(gint64 i, G_GNUC_UNUSED guint worker, gpointer data)
{
    const Pass *pass = data;
    const gint64 first = i % pass->block->chunks * CPU_CHUNK;
    const gint64 voxels = MIN(CPU_CHUNK, pass->block->voxels - first);
    const CpuNorm norm = norm_of(pass, i / pass->block->chunks);

    if (pass->block->spec.norm)
        pass->kernels->norm_back(&norm, first, voxels);
    else
        pass->kernels->leak_back(&norm, first, voxels);
}

/* The sums of one plane: gradients of scale and shift (with norm; that of the bias is then 0)
 * or of the bias, and what the second pass needs. */
static void back_middle(const LoomBlock *block, const LoomBlockWeights *w, gint64 plane,
                        const LoomBlockWeights *dw)
{
    const double count = (double)block->voxels;
    double sum[2][CPU_BLOCK];

    chunks_add(block, plane, sum);
    for (gint64 l = 0; l < CPU_BLOCK; l++) {
        const gint64 k = plane % block->n_out * CPU_BLOCK + l, at = plane * CPU_BLOCK + l;

        if (k >= block->spec.c_out)
            break;
        if (!block->spec.norm) {
            dw->bias->data[k] += (float)sum[0][l];
            continue;
        }
        dw->shift->data[k] += (float)sum[0][l];
        dw->scale->data[k] += (float)sum[1][l];
        numbers(block, FACTOR)[at] = w->scale->data[k] * numbers(block, RSTD)[at];
        numbers(block, SUM)[at] = (float)(sum[0][l] / count);
        numbers(block, DOT)[at] = (float)(sum[1][l] / count);
    }
}

void norm_backward(Cpu *cpu, LoomBlock *block, const LoomBlockWeights *w, const LoomMap *y,
                   LoomMap *dy, const LoomBlockWeights *dw)
{
    const gboolean plain = !block->spec.norm && !block->spec.activation;
    Pass pass = {.block = block, .y = y, .dy = dy, .plain = plain};

    pass_run(cpu, &pass, back_sums);
    for (gint64 i = 0; i < block->spec.n * block->n_out; i++)
        back_middle(block, w, i, dw);
    if (!plain)
        pass_run(cpu, &pass, back_apply);
}
