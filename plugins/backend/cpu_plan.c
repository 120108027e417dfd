/* cpu_plan - how forward, data gradient and weight gradient of a block are done. */
#include "cpu.h"

#define SLAB_FLOATS (96 * 1024)   /* of a box: well inside a core's second cache */
#define BLOCK_FLOATS (160 * 1024) /* of a block of tiles */
#define PARTS_FLOATS (8 * 1024 * 1024)
#define SMALL 1e6 /* nanoseconds: not worth anything but direct */

static gboolean winograd_fits(const LoomBlockSpec *s)
{
    for (guint a = 0; a < 3; a++)
        if (s->kernel[a] != 3 || s->stride[a] != 1)
            return FALSE;
    return !s->transposed;
}

static gint64 planes_in(const LoomBlock *block)
{
    return block->n_in[0] + block->n_in[1];
}

/* ---- sizes ---------------------------------------------------------------------------- */

static void tiles_set(const Cpu *cpu, const LoomBlock *block, CpuWay *way, gint64 least)
{
    const LoomBlockSpec *s = &block->spec;
    CpuTiles *tiles = &way->tiles;
    const gint64 edge = way->m + 2, points = edge * edge * edge;
    gint64 all = 1, most;

    *tiles = (CpuTiles){.n = s->n, .m = way->m};
    for (guint a = 0; a < 3; a++) {
        tiles->size[a] = s->out[a];
        tiles->tiles[a] = (s->out[a] + way->m - 1) / way->m;
        all *= tiles->tiles[a];
    }
    most = BLOCK_FLOATS / (points * (planes_in(block) + block->n_out) * CPU_BLOCK);
    most = MAX(MAX(most, least) / cpu->kernels->rows, 1) * cpu->kernels->rows;
    tiles->blocks = (all + most - 1) / most;
    tiles->block = (all + tiles->blocks - 1) / tiles->blocks;
    if (tiles->blocks > 1) /* full rows of the product, the rest in the last block */
        tiles->block = MIN(most, (tiles->block + cpu->kernels->rows - 1) / cpu->kernels->rows
                                     * cpu->kernels->rows);
    tiles->blocks = (all + tiles->block - 1) / tiles->block;
}

static void forward_set(const Cpu *cpu, LoomBlock *block, CpuWay *way, gboolean back)
{
    const gint64 from = back ? block->n_out : planes_in(block);

    if (way->m) {
        const gint64 edge = way->m + 2;
        const gint64 weights = edge * edge * edge * from * CPU_BLOCK * CPU_BLOCK
                               * (back ? planes_in(block) : block->n_out);

        /* weights that leave the cache are worth more tiles at a time */
        tiles_set(cpu, block, way, weights > 2 << 20 ? 84 : 14);
        return;
    }
    if (back)
        sweep_back(&way->sweep, &block->spec);
    else
        sweep_forward(&way->sweep, &block->spec);
    sweep_box(&way->sweep, from * CPU_BLOCK, 0, SLAB_FLOATS, 8);
}

static void gradient_set(const Cpu *cpu, LoomBlock *block, CpuWay *way)
{
    const gint64 n_in = planes_in(block);

    if (way->m) {
        const gint64 edge = way->m + 2;
        const gint64 floats = edge * edge * edge * n_in * block->n_out * CPU_BLOCK * CPU_BLOCK;

        tiles_set(cpu, block, way, 28);
        way->slots = CLAMP(PARTS_FLOATS / floats, 2, 8);
        way->slots = MIN(way->slots, way->tiles.n * way->tiles.blocks);
        return;
    }
    sweep_forward(&way->sweep, &block->spec);
    sweep_box(&way->sweep, CPU_BLOCK, block->n_out * CPU_BLOCK, SLAB_FLOATS, 1);
    way->slots = MIN(MAX(CPU_BLOCK / n_in, 1), sweep_items(&way->sweep));
}

/* Sizes for the choice in @way. */
static void way_set(const Cpu *cpu, LoomBlock *block, CpuWay *way, CpuDirection direction)
{
    if (direction == CPU_GRADIENT)
        gradient_set(cpu, block, way);
    else
        forward_set(cpu, block, way, direction == CPU_BACK);
}

/* ---- choice --------------------------------------------------------------------------- */

/* Nanoseconds of one thread, from fits to what an AVX-512 machine of 2024 takes: 110 products a
 * nanosecond, a few for each vector that is transformed, one for each weight that is made. */
static double direct_cost(const LoomBlock *block)
{
    const LoomBlockSpec *s = &block->spec;
    const double pairs = (double)((s->c_in[0] + s->c_in[1]) * s->c_out);
    const double border = (double)(s->out[2] + 2) / (double)s->out[2];

    return 27.0 * pairs * ((double)(s->n * block->voxels) * border / 110.0 + 3.0);
}

static double winograd_cost(const LoomBlock *block, const CpuWay *way, gboolean gradient)
{
    const CpuTiles *t = &way->tiles;
    const double edge = (double)(way->m + 2), points = edge * edge * edge;
    const double tiles = (double)(t->n * t->tiles[0] * t->tiles[1] * t->tiles[2]);
    const double planes = (double)(planes_in(block) + block->n_out);
    const double pairs =
        (double)(planes_in(block) * block->n_out) * (double)(CPU_BLOCK * CPU_BLOCK);
    const double vector = way->m == 4 ? 3.6 : 2.1;
    const double weight = gradient ? 1.5 + 0.17 * (double)(t->n * t->blocks) : 1.0;

    return points
           * (tiles * pairs / (gradient ? 77.0 : 100.0) + tiles * planes * vector
              + pairs * weight);
}

/* The cheapest by these estimates: the same on every machine. */
static gint64 fixed_choice(const Cpu *cpu, LoomBlock *block, CpuDirection direction)
{
    const LoomBlockSpec *s = &block->spec;
    double least = direct_cost(block);
    gint64 best = 0;

    if (MIN(s->c_in[0] + s->c_in[1], s->c_out) < 8)
        return 0;
    for (gint64 m = 2; m <= 4; m += 2) {
        CpuWay way = {.m = m};

        way_set(cpu, block, &way, direction);
        const double cost = winograd_cost(block, &way, direction == CPU_GRADIENT);

        if (cost < least) {
            least = cost;
            best = m;
        }
    }
    return best;
}

/* m of each direction. */
static void choose(Cpu *cpu, LoomBlock *block, gint64 m[CPU_WAYS])
{
    const gboolean fits = winograd_fits(&block->spec);
    const gint64 forced = cpu->plan == CPU_PLAN_F2 ? 2 : cpu->plan == CPU_PLAN_F4 ? 4 : 0;

    for (CpuDirection d = CPU_FORWARD; d < CPU_WAYS; d++)
        m[d] = fits ? forced : 0;
    if (!fits || direct_cost(block) < SMALL)
        return;
    if (cpu->plan == CPU_PLAN_MEASURE && record_find(cpu, &block->spec, m))
        return;
    if (cpu->plan == CPU_PLAN_MEASURE || cpu->plan == CPU_PLAN_FIXED)
        for (CpuDirection d = CPU_FORWARD; d < CPU_WAYS; d++)
            m[d] = fixed_choice(cpu, block, d);
}

void plan_block(Cpu *cpu, LoomBlock *block)
{
    gint64 m[CPU_WAYS];

    choose(cpu, block, m);
    for (CpuDirection d = CPU_FORWARD; d < CPU_WAYS; d++) {
        block->way[d].m = m[d];
        way_set(cpu, block, &block->way[d], d);
    }
}
