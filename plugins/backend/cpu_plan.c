/* cpu_plan - how forward, data gradient and weight gradient of a block are done. */
#include "cpu.h"

#define SLAB_FLOATS (96 * 1024)   /* of a box: well inside a core's second cache */
#define BLOCK_FLOATS (160 * 1024) /* of a block of tiles */
#define PARTS_FLOATS (8 * 1024 * 1024)
#define WEIGHTS_FLOATS (2 * 1024 * 1024) /* transformed weights that leave the cache */
#define SUMS_FLOATS (192 * 1024)         /* of all tiles and a panel that do not */
#define CHUNK_FLOATS (256 * 1024)        /* of weights that are transformed at a time */
#define SMALL 1e6                        /* nanoseconds: not worth anything but direct */

gboolean plan_winograd(const LoomBlockSpec *s)
{
    for (guint a = 0; a < 3; a++)
        if ((s->kernel[a] != 3 && a > 0) || s->stride[a] != 1)
            return FALSE;
    return !s->transposed; /* along D: 1 or 3 */
}

static gint64 planes_in(const LoomBlock *block)
{
    return block->n_in[0] + block->n_in[1];
}

/* ---- sizes ---------------------------------------------------------------------------- */

/* Points of a tile. */
static gint64 points_of(const LoomBlockSpec *spec, gint64 m)
{
    return (m + 2) * (m + 2) * (spec->kernel[0] == 1 ? 1 : m + 2);
}

static gint64 tiles_all(const CpuTiles *tiles)
{
    return tiles->tiles[0] * tiles->tiles[1] * tiles->tiles[2];
}

/* Tiles, without their blocks. */
static void tiles_cut(const LoomBlockSpec *s, gint64 m, CpuTiles *tiles)
{
    *tiles = (CpuTiles){.n = s->n, .m = m, .flat = s->kernel[0] == 1};
    for (guint a = 0; a < 3; a++) {
        const gint64 edge = a == 0 && tiles->flat ? 1 : m;

        tiles->size[a] = s->out[a];
        tiles->tiles[a] = (s->out[a] + edge - 1) / edge;
    }
}

/* Blocks of tiles, of @least where their number allows it. */
static void tiles_block(const Cpu *cpu, const LoomBlock *block, CpuTiles *tiles, gint64 least)
{
    const gint64 points = points_of(&block->spec, tiles->m), all = tiles_all(tiles);
    gint64 most = BLOCK_FLOATS / (points * (planes_in(block) + block->n_out) * CPU_BLOCK);

    most = MAX(MAX(most, least) / cpu->kernels->rows, 1) * cpu->kernels->rows;
    tiles->blocks = (all + most - 1) / most;
    tiles->block = (all + tiles->blocks - 1) / tiles->blocks;
    if (tiles->blocks > 1) /* full rows of the product, the rest in the last block */
        tiles->block = MIN(most, (tiles->block + cpu->kernels->rows - 1) / cpu->kernels->rows
                                     * cpu->kernels->rows);
    tiles->blocks = (all + tiles->block - 1) / tiles->block;
}

/* By panels: one block of all tiles of all samples. */
static void panels_set(const Cpu *cpu, const LoomBlock *block, CpuWay *way, gint64 from)
{
    const gint64 points = points_of(&block->spec, way->m);
    const gint64 plane = points * CPU_BLOCK * cpu->kernels->panel; /* weights of one */

    way->panels = TRUE;
    way->tiles.block = way->tiles.n * tiles_all(&way->tiles);
    way->tiles.blocks = 1;
    /* sums that leave the cache are worth more weights at a time */
    way->depth = MAX(CHUNK_FLOATS, points * way->tiles.block * cpu->kernels->panel / 2) / plane;
    way->depth = CLAMP(way->depth, 1, from);
}

static void forward_set(const Cpu *cpu, LoomBlock *block, CpuWay *way, gboolean back)
{
    const gint64 from = back ? block->n_out : planes_in(block);
    const gint64 to = back ? planes_in(block) : block->n_out;

    if (way->m) {
        const gint64 weights =
            points_of(&block->spec, way->m) * from * to * CPU_BLOCK * CPU_BLOCK;

        tiles_cut(&block->spec, way->m, &way->tiles);
        const gint64 sums = points_of(&block->spec, way->m) * way->tiles.n
                            * tiles_all(&way->tiles) * cpu->kernels->panel;

        if (weights > WEIGHTS_FLOATS && sums <= SUMS_FLOATS)
            panels_set(cpu, block, way, from);
        else /* weights that leave the cache are worth more tiles at a time */
            tiles_block(cpu, block, &way->tiles, weights > WEIGHTS_FLOATS ? 28 : 14);
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
    const gint64 n_in = planes_in(block), n_out = block->n_out;

    if (way->m) {
        const gint64 floats =
            points_of(&block->spec, way->m) * n_in * n_out * CPU_BLOCK * CPU_BLOCK;

        tiles_cut(&block->spec, way->m, &way->tiles);
        if (way->tiles.n * tiles_all(&way->tiles) * (n_in + n_out)
            <= 2 * n_in * n_out * CPU_BLOCK) {
            panels_set(cpu, block, way, n_in);
            return;
        }
        tiles_block(cpu, block, &way->tiles, 28);
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

    return (double)(s->kernel[0] * s->kernel[1] * s->kernel[2]) * pairs
           * ((double)(s->n * block->voxels) * border / 110.0 + 3.0);
}

static double winograd_cost(const LoomBlock *block, const CpuWay *way, gboolean gradient)
{
    const CpuTiles *t = &way->tiles;
    const double points = (double)points_of(&block->spec, way->m);
    const double tiles = (double)(t->n * tiles_all(t));
    const double planes = (double)(planes_in(block) + block->n_out);
    const double pairs =
        (double)(planes_in(block) * block->n_out) * (double)(CPU_BLOCK * CPU_BLOCK);
    const double vector = way->m == 4 ? 3.6 : 2.1;
    const double weight = way->panels ? 0.15
                          : gradient  ? 1.5 + 0.17 * (double)(t->n * t->blocks)
                                      : 1.0;

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
    const gboolean fits = plan_winograd(&block->spec);
    const gint64 forced = cpu->plan == CPU_PLAN_F2 ? 2 : cpu->plan == CPU_PLAN_F4 ? 4 : 0;

    for (CpuDirection d = CPU_FORWARD; d < CPU_WAYS; d++)
        m[d] = fits ? forced : 0;
    if (!fits || direct_cost(block) < SMALL)
        return;
    if (cpu->plan == CPU_PLAN_MEASURE && !cpu->several && record_find(cpu, &block->spec, m))
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
