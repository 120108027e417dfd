/* openblas - convolutions as matrix products of tiles: correct anywhere, fast enough.
 * Source: Chellapilla et al. 2006 (convolution by GEMM); Goto, van de Geijn 2008 (GEMM). */
#include "openblas.h"

#include <stdlib.h>

static const LoomParam openblas_params[] = {
    LOOM_INT(Openblas, threads, "0", 0, 1024, "threads", "of the run; 0: one a processor"),
    {0},
};

static gboolean openblas_open(gpointer self, LoomHost *host, GError **error)
{
    Openblas *openblas = self;

    openblas->pool = loom_host_pool(host);
    pthread_mutex_init(&openblas->lock, NULL);
    openblas->opened = TRUE;
    return gemm_open(error);
}

static void openblas_close(gpointer self)
{
    Openblas *openblas = self;

    if (openblas->opened)
        pthread_mutex_destroy(&openblas->lock);
    g_clear_pointer(&openblas->workspace, free);
}

static Joined openblas_inputs(const LoomBlock *block, const LoomMap *first,
                              const LoomMap *second)
{
    return (Joined){.data = {first ? first->data : NULL, second ? second->data : NULL},
                    .channels = {block->spec.c_in[0], block->spec.c_in[1]},
                    .voxels = block->inner};
}

static Joined openblas_output(const LoomBlock *block, float *z)
{
    return (Joined){
        .data = {z, NULL}, .channels = {block->spec.c_out, 0}, .voxels = block->outer};
}

static void openblas_forward(gpointer self, LoomBlock *block, const LoomMap *const x[2],
                             const LoomBlockWeights *w, LoomMap *y)
{
    Openblas *openblas = self;
    const LoomBlockSpec *spec = &block->spec;
    const Joined in = openblas_inputs(block, x[0], spec->c_in[1] ? x[1] : NULL);
    float *z = spec->training && spec->norm ? block->z : y->data; /* backward needs z */
    const Joined out = openblas_output(block, z);

    pthread_mutex_lock(&openblas->lock);
    if (spec->transposed) {
        up_forward(openblas, block, &in, w, z);
    } else {
        conv_matrix(openblas, block, w->kernel->data, FALSE);
        conv_run(openblas, &block->there, block->matrix, &in, w->bias->data, &out,
                 (const gboolean[]){FALSE, FALSE});
    }
    if (spec->norm || spec->activation)
        norm_forward(openblas, block, w, z, y->data);
    pthread_mutex_unlock(&openblas->lock);
}

static void openblas_input_gradient(Openblas *openblas, LoomBlock *block, const float *kernel,
                                    float *dz, const Joined *dx, const gboolean add[2])
{
    const Joined from = openblas_output(block, dz);

    if (block_turns(&block->spec)) {
        conv_matrix(openblas, block, kernel, TRUE);
        conv_run(openblas, &block->back, block->matrix, &from, NULL, dx, add);
    } else {
        gradient_strided(openblas, block, kernel, dz, dx, add);
    }
}

static void openblas_backward(gpointer self, LoomBlock *block, const LoomMap *const x[2],
                              const LoomBlockWeights *w, const LoomMap *y, LoomMap *dy,
                              const LoomBlockGradient dx[2], const LoomBlockWeights *dw)
{
    Openblas *openblas = self;
    const LoomBlockSpec *spec = &block->spec;
    const gboolean two = spec->c_in[1] > 0, add[2] = {dx[0].add, two && dx[1].add};
    const Joined in = openblas_inputs(block, x[0], two ? x[1] : NULL);
    const Joined back = openblas_inputs(block, dx[0].map, two ? dx[1].map : NULL);
    const float *kernel = w->kernel->data;

    pthread_mutex_lock(&openblas->lock);
    norm_backward(openblas, block, w, y->data, dy->data, dw); /* dy becomes dz */
    if (spec->transposed) {
        up_backward(openblas, block, &in, kernel, dy->data, &back, add, dw->kernel->data);
    } else {
        gradient_kernel(openblas, block, &in, dy->data, dw->kernel->data);
        if (back.data[0] || back.data[1])
            openblas_input_gradient(openblas, block, kernel, dy->data, &back, add);
    }
    pthread_mutex_unlock(&openblas->lock);
}

static const LoomBackend openblas = {
    .base =
        LOOM_BACKEND(Openblas, "openblas", "Matrix products of tiles by OpenBLAS",
                     .params = openblas_params, .open = openblas_open, .close = openblas_close),
    LOOM_HOST_MEMORY,
    .block_new = block_new,
    .block_free = block_free,
    .block_bytes = block_bytes,
    .forward = openblas_forward,
    .backward = openblas_backward,
};
LOOM_MODULE("backend_openblas", "0.1", &openblas.base);
