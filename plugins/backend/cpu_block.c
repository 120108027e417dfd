/* cpu_block - one operation of the network: how it is done, and the memory it holds. */
#include "cpu.h"

#include <stdlib.h>
#include <string.h>

/* All but the memory. */
static void block_layout(Cpu *cpu, LoomBlock *block, const LoomBlockSpec *spec)
{
    *block = (LoomBlock){.spec = *spec,
                         .n_in = {map_planes(spec->c_in[0]), map_planes(spec->c_in[1])},
                         .n_out = map_planes(spec->c_out),
                         .voxels = spec->out[0] * spec->out[1] * spec->out[2]};
    block->chunks = (block->voxels + CPU_CHUNK - 1) / CPU_CHUNK;
    plan_block(cpu, block);
}

/* The same for who does not hold the lock: it may have to measure. */
static void block_size(Cpu *cpu, LoomBlock *block, const LoomBlockSpec *spec)
{
    pthread_mutex_lock(&cpu->lock);
    block_layout(cpu, block, spec);
    pthread_mutex_unlock(&cpu->lock);
}

static gint64 block_floats(const LoomBlock *block)
{
    return block->n_out * CPU_BLOCK * (1 + 5 * block->spec.n);
}

static gint64 block_doubles(const LoomBlock *block)
{
    return block->spec.n * block->n_out * block->chunks * 2 * CPU_BLOCK;
}

guint64 block_bytes(gpointer self, const LoomBlockSpec *spec)
{
    g_autofree LoomBlock *block = g_new(LoomBlock, 1);

    if (!loom_host_block_check(spec, NULL))
        return G_MAXUINT64;
    block_size(self, block, spec);
    return sizeof *block
           + sizeof(CpuPlane) * (guint64)(block->n_in[0] + block->n_in[1] + block->n_out)
           + memory_bytes(block_floats(block)) + memory_bytes(convolve_kept_floats(self, block))
           + sizeof(double) * (guint64)block_doubles(block);
}

guint64 block_workspace(gpointer self, const LoomBlockSpec *spec)
{
    g_autofree LoomBlock *block = g_new(LoomBlock, 1);

    if (!loom_host_block_check(spec, NULL))
        return G_MAXUINT64;
    block_size(self, block, spec);
    return memory_bytes(convolve_floats(self, block));
}

static void block_check(const LoomBlockSpec *s)
{
    for (guint a = 0; a < 3; a++) {
        g_assert(s->transposed ? s->kernel[a] == s->stride[a]
                               : s->kernel[a] == 1 || s->kernel[a] == 3);
        g_assert(s->stride[a] == 1 || s->stride[a] == 2);
        g_assert(
            s->out[a]
            == (s->transposed ? s->in[a] * s->stride[a] : (s->in[a] - 1) / s->stride[a] + 1));
    }
}

/* Makes the workspace that all blocks share large enough for one more: the old one goes before
 * the new one is touched. */
static gboolean block_reserve(Cpu *cpu, const LoomBlock *block, GError **error)
{
    const gint64 floats = convolve_floats(cpu, block);
    float *workspace;

    if (floats <= cpu->workspace_floats)
        return TRUE;
    if (!(workspace = memory_take(floats, "a workspace", error)))
        return FALSE;
    free(cpu->workspace);
    cpu->workspace = memset(workspace, 0, memory_bytes(floats));
    cpu->workspace_floats = floats;
    return TRUE;
}

void block_free(G_GNUC_UNUSED gpointer self, LoomBlock *block)
{
    if (!block)
        return;
    g_free(block->in);
    g_free(block->out);
    free(block->bias);
    g_free(block->sums);
    free(block->packed);
    g_free(block);
}

LoomBlock *block_new(gpointer self, const LoomBlockSpec *spec, GError **error)
{
    Cpu *cpu = self;
    LoomBlock *block;
    gboolean made;

    if (!loom_host_block_check(spec, error))
        return NULL;
    block_check(spec);
    block = g_new(LoomBlock, 1);
    pthread_mutex_lock(&cpu->lock);
    block_layout(cpu, block, spec);
    block->in = g_new0(CpuPlane, (gsize)(block->n_in[0] + block->n_in[1]));
    block->out = g_new0(CpuPlane, (gsize)block->n_out);
    block->sums = g_new0(double, (gsize)block_doubles(block));
    made = (block->bias = memory_new(block_floats(block), "a bias", error))
           && (block->packed =
                   memory_new(convolve_kept_floats(cpu, block), "packed weights", error))
           && block_reserve(cpu, block, error);
    pthread_mutex_unlock(&cpu->lock);
    if (made) {
        block->numbers = block->bias + block->n_out * CPU_BLOCK;
        return block;
    }
    block_free(self, block);
    return NULL;
}
