/* reference - every operation of a network as plain loops that sum in double: the oracle.
 *
 *   z[k,o] = bias[k] + sum over c,t of w[k,c,t] x[c, stride o + t - padding]     convolution
 *   z[k, stride i + t] = bias[k] + sum over c of w[c,k,t] x[c,i]                 transposed
 *   y = leaky(scale[k] (z - mean) / sqrt(variance + 1e-5) + shift[k])            of each (n,k)
 *
 * Source: Ulyanov et al. 2016 (instance normalisation, biased variance); PyTorch's Conv3d and
 * ConvTranspose3d for the order of the weights. */
#include <loom/host.h>
#include <loom/loom.h>

#include <math.h>
#include <stdlib.h>

#define NORM_EPSILON 1e-5
#define LEAK 0.01

typedef struct {
    gint64 threads;
} Reference;

static const LoomParam reference_params[] = {
    LOOM_INT(Reference, threads, "0", 0, 1024, "threads",
             "accepted as for every backend; the loops here use one"),
    {0},
};

struct _LoomBlock {
    LoomBlockSpec spec;
    gint64 taps;         /* kernel voxels */
    gint64 *source;      /* (out, taps): the input voxel that is seen there; -1: none */
    gint64 inner, outer; /* voxels of one channel, in and out */
    double *z;           /* (N,K,out) before the norm */
    double *dz;          /* same shape; NULL unless training */
    double *sums;        /* (in): one channel of an input's gradient; NULL unless training */
    double *mean, *rstd; /* (N,K) */
};

static gint64 reference_product(const gint64 size[3])
{
    return size[0] * size[1] * size[2];
}

/* The input voxel that output voxel @o sees through tap @t; -1: none. */
static gint64 reference_source(const LoomBlockSpec *s, gint64 o, gint64 t)
{
    const gint64 out[3] = {o / (s->out[1] * s->out[2]), o / s->out[2] % s->out[1],
                           o % s->out[2]};
    const gint64 tap[3] = {t / (s->kernel[1] * s->kernel[2]), t / s->kernel[2] % s->kernel[1],
                           t % s->kernel[2]};
    gint64 at = 0;

    for (guint a = 0; a < 3; a++) {
        gint64 in = out[a] * s->stride[a] + tap[a] - (s->kernel[a] - 1) / 2;

        if (s->transposed) { /* out = in * stride + tap */
            if (out[a] % s->stride[a] != tap[a])
                return -1;
            in = out[a] / s->stride[a];
        }
        if (in < 0 || in >= s->in[a])
            return -1;
        at = at * s->in[a] + in;
    }
    return at;
}

static guint64 reference_block_bytes(G_GNUC_UNUSED gpointer self, const LoomBlockSpec *spec)
{
    guint64 planes, outer, doubles;

    if (!loom_host_block_check(spec, NULL))
        return G_MAXUINT64;
    planes = (guint64)(spec->n * spec->c_out);
    outer = (guint64)reference_product(spec->out);
    doubles = planes * outer + 2 * planes;
    if (spec->training)
        doubles += planes * outer + (guint64)reference_product(spec->in);
    return sizeof(LoomBlock) + sizeof(double) * doubles
           + sizeof(gint64) * outer * (guint64)reference_product(spec->kernel);
}

static void reference_block_free(G_GNUC_UNUSED gpointer self, LoomBlock *block)
{
    if (!block)
        return;
    g_free(block->source);
    free(block->z);
    free(block->dz);
    free(block->sums);
    free(block->mean);
    free(block->rstd);
    g_free(block);
}

static LoomBlock *reference_block_new(gpointer self, const LoomBlockSpec *spec, GError **error)
{
    const gsize planes = (gsize)(spec->n * spec->c_out);
    LoomBlock *block;

    if (!loom_host_block_check(spec, error))
        return NULL;
    block = g_new0(LoomBlock, 1);
    block->spec = *spec;
    block->taps = reference_product(spec->kernel);
    block->inner = reference_product(spec->in);
    block->outer = reference_product(spec->out);
    block->source = g_try_new(gint64, (gsize)(block->outer * block->taps));
    block->z = calloc(planes * (gsize)block->outer, sizeof(double));
    if (spec->training) {
        block->dz = calloc(planes * (gsize)block->outer, sizeof(double));
        block->sums = calloc((gsize)block->inner, sizeof(double));
    }
    block->mean = calloc(planes, sizeof(double));
    block->rstd = calloc(planes, sizeof(double));
    for (gint64 i = 0; block->source && i < block->outer * block->taps; i++)
        block->source[i] = reference_source(spec, i / block->taps, i % block->taps);
    if (block->source && block->z && block->mean && block->rstd
        && (!spec->training || (block->dz && block->sums)))
        return block;
    reference_block_free(self, block);
    return loom_fail_null(error, LOOM_ERROR_LIMIT,
                          "no memory for a block of %" G_GUINT64_FORMAT " bytes",
                          reference_block_bytes(self, spec));
}

/* ---- where things are --------------------------------------------------------------- */

/* Channel c of sample n in the two maps as if joined along C; NULL where there is no map. */
static float *reference_plane(const LoomBlock *block, const LoomMap *const x[2], gint64 n,
                              gint64 c)
{
    const gint64 first = block->spec.c_in[0];
    const guint side = c < first ? 0 : 1;

    if (!x[side])
        return NULL;
    return x[side]->data + (n * block->spec.c_in[side] + (side ? c - first : c)) * block->inner;
}

/* Index of the first weight between input channel c and output channel k. */
static gint64 reference_weight(const LoomBlock *block, gint64 k, gint64 c)
{
    const gint64 channels = block->spec.c_in[0] + block->spec.c_in[1];

    return (block->spec.transposed ? c * block->spec.c_out + k : k * channels + c)
           * block->taps;
}

/* ---- forward ------------------------------------------------------------------------ */

static void reference_convolve(LoomBlock *block, const LoomMap *const x[2], const float *w,
                               const float *bias)
{
    const LoomBlockSpec *s = &block->spec;

    for (gint64 i = 0; i < s->n * s->c_out; i++) {
        double *z = block->z + i * block->outer;

        for (gint64 o = 0; o < block->outer; o++)
            z[o] = (double)bias[i % s->c_out];
        for (gint64 c = 0; c < s->c_in[0] + s->c_in[1]; c++) {
            const float *from = reference_plane(block, x, i / s->c_out, c);
            const float *kernel = w + reference_weight(block, i % s->c_out, c);

            for (gint64 v = 0; v < block->outer * block->taps; v++)
                if (block->source[v] >= 0)
                    z[v / block->taps] +=
                        (double)kernel[v % block->taps] * (double)from[block->source[v]];
        }
    }
}

static void reference_statistics(LoomBlock *block)
{
    for (gint64 i = 0; i < block->spec.n * block->spec.c_out; i++) {
        const double *z = block->z + i * block->outer;
        double sum = 0.0, square = 0.0;

        for (gint64 o = 0; o < block->outer; o++)
            sum += z[o];
        block->mean[i] = sum / (double)block->outer;
        for (gint64 o = 0; o < block->outer; o++)
            square += (z[o] - block->mean[i]) * (z[o] - block->mean[i]);
        block->rstd[i] = 1.0 / sqrt(square / (double)block->outer + NORM_EPSILON);
    }
}

static void reference_forward(G_GNUC_UNUSED gpointer self, LoomBlock *block,
                              const LoomMap *const x[2], const LoomBlockWeights *w, LoomMap *y)
{
    const LoomBlockSpec *s = &block->spec;

    reference_convolve(block, x, w->kernel->data, w->bias->data);
    if (s->norm)
        reference_statistics(block);
    for (gint64 i = 0; i < s->n * s->c_out * block->outer; i++) {
        const gint64 plane = i / block->outer, k = plane % s->c_out;
        double v = block->z[i];

        if (s->norm)
            v = (v - block->mean[plane]) * block->rstd[plane] * (double)w->scale->data[k]
                + (double)w->shift->data[k];
        y->data[i] = (float)(s->activation && v < 0.0 ? v * LEAK : v);
    }
}

/* ---- backward ----------------------------------------------------------------------- */

/* dy -> gradient before the activation, into dz. */
static void reference_unleak(LoomBlock *block, const LoomMap *y, const LoomMap *dy)
{
    const LoomBlockSpec *s = &block->spec;

    for (gint64 i = 0; i < s->n * s->c_out * block->outer; i++)
        block->dz[i] = (double)dy->data[i] * (s->activation && y->data[i] <= 0.0f ? LEAK : 1.0);
}

/* In place, with h = (z - mean) rstd and g = dz:
 *   dz = scale rstd (g - mean(g) - h mean(g h)),  dshift += sum g,  dscale += sum g h */
static void reference_unnorm(LoomBlock *block, const LoomBlockWeights *w,
                             const LoomBlockWeights *dw)
{
    const LoomBlockSpec *s = &block->spec;
    const double count = (double)block->outer;

    for (gint64 i = 0; i < s->n * s->c_out; i++) {
        const double *z = block->z + i * block->outer;
        double *g = block->dz + i * block->outer;
        const double mean = block->mean[i], rstd = block->rstd[i];
        const gint64 k = i % s->c_out;
        double sum = 0.0, dot = 0.0;

        for (gint64 o = 0; o < block->outer; o++) {
            sum += g[o];
            dot += g[o] * (z[o] - mean) * rstd;
        }
        dw->shift->data[k] += (float)sum;
        dw->scale->data[k] += (float)dot;
        for (gint64 o = 0; o < block->outer; o++)
            g[o] = (double)w->scale->data[k] * rstd
                   * (g[o] - sum / count - (z[o] - mean) * rstd * dot / count);
    }
}

static void reference_bias_gradient(const LoomBlock *block, float *db)
{
    const LoomBlockSpec *s = &block->spec;

    for (gint64 i = 0; i < s->n * s->c_out; i++) {
        double sum = 0.0;

        for (gint64 o = 0; o < block->outer; o++)
            sum += block->dz[i * block->outer + o];
        db[i % s->c_out] += (float)sum;
    }
}

/* dw[k,c,t] += sum over samples and o of dz[k,o] x[c, source(o,t)] */
static void reference_kernel_gradient(const LoomBlock *block, const LoomMap *const x[2],
                                      gint64 k, gint64 c, float *dw)
{
    const LoomBlockSpec *s = &block->spec;

    for (gint64 t = 0; t < block->taps; t++) {
        double sum = 0.0;

        for (gint64 n = 0; n < s->n; n++) {
            const double *dz = block->dz + (n * s->c_out + k) * block->outer;
            const float *from = reference_plane(block, x, n, c);

            for (gint64 o = 0; o < block->outer; o++) {
                const gint64 in = block->source[o * block->taps + t];

                sum += in >= 0 ? dz[o] * (double)from[in] : 0.0;
            }
        }
        dw[t] += (float)sum;
    }
}

/* dx[c, source(o,t)] [+]= sum over k of w[k,c,t] dz[k,o], for one sample and channel. */
static void reference_input_gradient(const LoomBlock *block, const float *w, gint64 n, gint64 c,
                                     float *dx, gboolean add)
{
    const LoomBlockSpec *s = &block->spec;

    for (gint64 i = 0; i < block->inner; i++)
        block->sums[i] = add ? (double)dx[i] : 0.0;
    for (gint64 k = 0; k < s->c_out; k++) {
        const double *dz = block->dz + (n * s->c_out + k) * block->outer;
        const float *kernel = w + reference_weight(block, k, c);

        for (gint64 v = 0; v < block->outer * block->taps; v++)
            if (block->source[v] >= 0)
                block->sums[block->source[v]] +=
                    (double)kernel[v % block->taps] * dz[v / block->taps];
    }
    for (gint64 i = 0; i < block->inner; i++)
        dx[i] = (float)block->sums[i];
}

static void reference_backward(G_GNUC_UNUSED gpointer self, LoomBlock *block,
                               const LoomMap *const x[2], const LoomBlockWeights *w,
                               const LoomMap *y, LoomMap *dy, const LoomBlockGradient dx[2],
                               const LoomBlockWeights *dw)
{
    const LoomBlockSpec *s = &block->spec;
    const gint64 channels = s->c_in[0] + s->c_in[1];
    const LoomMap *const into[2] = {dx[0].map, dx[1].map};

    reference_unleak(block, y, dy);
    if (s->norm)
        reference_unnorm(block, w, dw);
    reference_bias_gradient(block, dw->bias->data);
    for (gint64 i = 0; i < s->c_out * channels; i++)
        reference_kernel_gradient(block, x, i / channels, i % channels,
                                  dw->kernel->data
                                      + reference_weight(block, i / channels, i % channels));
    for (gint64 i = 0; i < s->n * channels; i++) {
        float *to = reference_plane(block, into, i / channels, i % channels);

        if (to)
            reference_input_gradient(block, w->kernel->data, i / channels, i % channels, to,
                                     dx[i % channels >= s->c_in[0]].add);
    }
}

static const LoomBackend reference = {
    .base = LOOM_BACKEND(Reference, "reference", "Plain loops in double: slow, the oracle",
                         .params = reference_params),
    .flags = LOOM_BACKEND_REFERENCE,
    LOOM_HOST_MEMORY,
    .block_new = reference_block_new,
    .block_free = reference_block_free,
    .block_bytes = reference_block_bytes,
    .forward = reference_forward,
    .backward = reference_backward,
};
LOOM_MODULE("backend_reference", "0.1", &reference.base);
