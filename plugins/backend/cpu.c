/* cpu - the fast backend: channels in blocks of 16, direct convolutions and Winograd's F(2^3)
 * and F(4^3), norms applied where they are next read, kernels for AVX-512, AVX2 and any CPU.
 * Source: Lavin, Gray 2016; Jia, Zlateski, Durand, Li 2018; Georganas et al. 2018. */
#include "cpu.h"

#include <stdlib.h>

static const char *const plans[] = {"measure", "fixed", "direct", "f2", "f4", NULL};

static const char *const precisions[] = {"f32", "bf16", NULL}; /* CpuPrecision */

static const LoomParam cpu_params[] = {
    LOOM_INT(Cpu, threads, "0", 0, 1024, "threads", "of the run; 0: one a processor"),
    LOOM_ENUM(
        Cpu, plan, "measure", plans,
        "convolutions: the fastest here (of several ranks: fixed), or the same everywhere: by "
        "shape, or one of three"),
    LOOM_ENUM(
        Cpu, precision, "f32", precisions,
        "of activations and their gradients in memory; bf16: half of it, 8 bits; weights, "
        "sums and what is computed are f32 in any case"),
    {0},
};

static gboolean cpu_open(gpointer self, LoomHost *host, GError **error)
{
    Cpu *cpu = self;

    if (!(cpu->kernels = isa_choose(cpu->precision, error)))
        return FALSE;
    cpu->pool = loom_host_pool(host);
    cpu->several = loom_host_ranks(host) > 1;
    pthread_mutex_init(&cpu->lock, NULL);
    cpu->opened = TRUE;
    record_open(cpu, host);
    return TRUE;
}

static void cpu_close(gpointer self)
{
    Cpu *cpu = self;

    if (cpu->opened)
        pthread_mutex_destroy(&cpu->lock);
    record_close(cpu);
    g_clear_pointer(&cpu->workspace, free);
}

static void cpu_forward(gpointer self, LoomBlock *block, const LoomMap *const x[2],
                        const LoomBlockWeights *w, LoomMap *y)
{
    Cpu *cpu = self;

    pthread_mutex_lock(&cpu->lock);
    convolve_forward(cpu, block, x, w, y);
    norm_forward(cpu, block, w, y);
    pthread_mutex_unlock(&cpu->lock);
}

static void cpu_backward(gpointer self, LoomBlock *block, const LoomMap *const x[2],
                         const LoomBlockWeights *w, const LoomMap *y, LoomMap *dy,
                         const LoomBlockGradient dx[2], const LoomBlockWeights *dw)
{
    Cpu *cpu = self;

    pthread_mutex_lock(&cpu->lock);
    norm_backward(cpu, block, w, y, dy, dw);
    convolve_gradient(cpu, block, x, dy, w, dw->kernel);
    convolve_back(cpu, block, w, dy, dx);
    pthread_mutex_unlock(&cpu->lock);
}

static const LoomBackend cpu = {
    .base = LOOM_BACKEND(Cpu, "cpu", "Winograd and direct kernels for AVX-512, AVX2, any CPU",
                         .params = cpu_params, .open = cpu_open, .close = cpu_close),
    .map_new = map_new,
    .map_free = map_free,
    .map_bytes = map_bytes,
    .map_import = map_import,
    .map_export = map_export,
    .array_new = array_new,
    .array_free = array_free,
    .array_write = array_write,
    .array_read = array_read,
    .array_zero = array_zero,
    .array_norm2 = array_norm2,
    .sgd = array_sgd,
    .adam = array_adam,
    .block_new = block_new,
    .block_free = block_free,
    .block_bytes = block_bytes,
    .block_workspace = block_workspace,
    .forward = cpu_forward,
    .backward = cpu_backward,
    .arena_new = arena_new,
    .arena_free = arena_free,
    .arena_map = arena_map,
};
LOOM_MODULE("backend_cpu", "0.1", &cpu.base);
