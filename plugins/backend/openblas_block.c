/* openblas_block - one operation of the network: its portions, and the memory it holds. */
#include "openblas.h"

#include <stdlib.h>

gboolean block_turns(const LoomBlockSpec *s)
{
    return !s->transposed && s->stride[0] == 1 && s->stride[1] == 1 && s->stride[2] == 1;
}

static void block_layout(LoomBlock *block, const LoomBlockSpec *spec)
{
    *block = (LoomBlock){.spec = *spec, .c_in = spec->c_in[0] + spec->c_in[1]};
    block->inner = spec->in[0] * spec->in[1] * spec->in[2];
    block->outer = spec->out[0] * spec->out[1] * spec->out[2];
    block->taps = spec->kernel[0] * spec->kernel[1] * spec->kernel[2];
    if (spec->transposed)
        block->columns = up_columns(block);
    else
        sweep_init(&block->there, spec, FALSE);
    if (block_turns(spec))
        sweep_init(&block->back, spec, TRUE);
    if (spec->training)
        block->slots = gradient_slots(block);
}

/* Floats and doubles that a block keeps for itself. */
static gint64 block_matrix_floats(const LoomBlock *block)
{
    return block->spec.transposed ? 0 : block->c_in * block->spec.c_out * block->taps;
}

static gint64 block_z_floats(const LoomBlock *block)
{
    const LoomBlockSpec *spec = &block->spec;

    return spec->training && spec->norm ? spec->n * spec->c_out * block->outer : 0;
}

static gint64 block_tile_floats(const LoomBlock *block)
{
    const LoomBlockSpec *spec = &block->spec;
    gint64 floats = spec->transposed ? up_tile_floats(block) : sweep_tile_floats(&block->there);

    if (spec->training && block_turns(spec))
        floats = MAX(floats, sweep_tile_floats(&block->back));
    else if (spec->training && !spec->transposed)
        floats = MAX(floats, gradient_strided_floats(block));
    return (floats + 15) / 16 * 16; /* the next worker begins on a cache line */
}

static gint64 block_partial_floats(const LoomBlock *block)
{
    return block->slots * block->c_in * block->spec.c_out * block->taps;
}

guint64 block_bytes(gpointer self, const LoomBlockSpec *spec)
{
    const Openblas *openblas = self;
    const gint64 planes = spec->n * spec->c_out, workers = loom_pool_threads(openblas->pool);
    LoomBlock block;
    gint64 floats;

    if (!loom_host_block_check(spec, NULL))
        return G_MAXUINT64;
    block_layout(&block, spec);
    floats = block_matrix_floats(&block) + block_z_floats(&block)
             + workers * block_tile_floats(&block) + block_partial_floats(&block);
    return sizeof block + sizeof(float) * (guint64)floats
           + sizeof(double) * (guint64)planes * 4;
}

/* Indices go through the 32-bit integers of BLAS. */
static gboolean block_check(const LoomBlock *block, GError **error)
{
    const LoomBlockSpec *s = &block->spec;
    const gint64 longest = MAX(MAX(block->inner, block->outer), block->c_in * block->taps);

    for (guint a = 0; a < 3; a++) {
        g_assert(s->transposed ? s->kernel[a] == s->stride[a]
                               : s->kernel[a] == 1 || s->kernel[a] == 3);
        g_assert(s->stride[a] == 1 || s->stride[a] == 2);
        g_assert(
            s->out[a]
            == (s->transposed ? s->in[a] * s->stride[a] : (s->in[a] - 1) / s->stride[a] + 1));
    }
    if (MAX(longest, s->c_out * block->taps) > G_MAXINT32 / 4)
        return loom_fail(error, LOOM_ERROR_LIMIT,
                         "%" G_GINT64_FORMAT " voxels of %" G_GINT64_FORMAT
                         " and %" G_GINT64_FORMAT " channels are more than BLAS can count",
                         MAX(block->inner, block->outer), block->c_in, s->c_out);
    return TRUE;
}

/* Makes the workspace that all blocks share large enough for one more. */
static gboolean block_reserve(Openblas *openblas, const LoomBlock *block, GError **error)
{
    const gint64 tile = MAX(openblas->tile_floats, block_tile_floats(block));
    const gint64 partial = MAX(openblas->partial_floats, block_partial_floats(block));
    const gint64 workers = loom_pool_threads(openblas->pool);
    float *workspace;

    if (tile == openblas->tile_floats && partial == openblas->partial_floats)
        return TRUE;
    if (!(workspace = loom_host_floats(workers * tile + partial, "a workspace", error)))
        return FALSE;
    free(openblas->workspace);
    openblas->workspace = workspace;
    openblas->tile_floats = tile;
    openblas->partial_floats = partial;
    return TRUE;
}

void block_free(G_GNUC_UNUSED gpointer self, LoomBlock *block)
{
    if (!block)
        return;
    free(block->matrix);
    free(block->z);
    g_free(block->mean);
    g_free(block->rstd);
    g_free(block->sums);
    g_free(block);
}

LoomBlock *block_new(gpointer self, const LoomBlockSpec *spec, GError **error)
{
    Openblas *openblas = self;
    const gsize planes = (gsize)(spec->n * spec->c_out);
    LoomBlock *block;

    if (!loom_host_block_check(spec, error))
        return NULL;
    block = g_new(LoomBlock, 1);
    block_layout(block, spec);
    block->mean = g_new0(double, planes);
    block->rstd = g_new0(double, planes);
    block->sums = g_new0(double, 2 * planes);
    pthread_mutex_lock(&openblas->lock);
    const gboolean made =
        block_check(block, error)
        && (block->matrix = loom_host_floats(block_matrix_floats(block), "a kernel", error))
        && (block->z = loom_host_floats(block_z_floats(block), "an activation", error))
        && block_reserve(openblas, block, error);
    pthread_mutex_unlock(&openblas->lock);
    if (made)
        return block;
    block_free(self, block);
    return NULL;
}
