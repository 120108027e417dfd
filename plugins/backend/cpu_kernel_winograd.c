/* cpu_kernel_winograd - 3x3x3 convolutions of stride 1 by F(m^3, 3^3), some tiles at a time:
 *   V = B^T x B;  M[p] = V[p] U[p] for each of the (m + 2)^3 points p;  y = A^T M A + bias
 * and their weight gradient:  dU[p] += V[p]^T (A dz A^T)[p],  dw = G^T dU G.
 * All steps of a block of tiles stay in cache.
 * Source: Lavin, Gray 2016; Jia et al. 2018; Gelashvili, Shavit, Zlateski 2019 (the fused
 * steps). */
#include "cpu_winograd.h"

#define winograd_floats CPU_NAME(cpu_winograd_floats)
#define winograd_scratch CPU_NAME(cpu_winograd_scratch)
#define winograd_block CPU_NAME(cpu_winograd_block)
#define winograd_gradient_scratch CPU_NAME(cpu_winograd_gradient_scratch)
#define winograd_gradient_part CPU_NAME(cpu_winograd_gradient_part)
int64_t winograd_floats(const CpuWinograd *w);
int64_t winograd_scratch(const CpuWinograd *w);
void winograd_block(const CpuWinograd *w, int64_t item, float *scratch);
int64_t winograd_gradient_scratch(const CpuWinogradGradient *g);
void winograd_gradient_part(const CpuWinogradGradient *g, int64_t slot, float *scratch);

int64_t winograd_floats(const CpuWinograd *w)
{
    return block_points(w->tiles) * weight_step(channels_of(w->in, w->n_in), w->n_out);
}

int64_t winograd_scratch(const CpuWinograd *w)
{
    return block_points(w->tiles)
               * (point_step(w->tiles, w->n_in) + point_step(w->tiles, w->n_out))
           + 2 * (w->n_in + CPU_BLOCK);
}

/* ---- forward, data gradient ----------------------------------------------------------- */

static void block_products(const CpuWinograd *w, int64_t tiles, const float *v, float *m,
                           int32_t *numbers)
{
    const CpuTiles *t = w->tiles;
    const int64_t channels = channels_of(w->in, w->n_in);
    const int64_t chunks = (tiles + ROWS - 1) / ROWS, rows = (tiles + chunks - 1) / chunks;
    const Segments segments = {numbers, numbers + w->n_in, w->n_in};
    for (int64_t p = 0; p < w->n_in; p++) {
        numbers[p] = (int32_t)(p * t->block * CPU_BLOCK);
        numbers[w->n_in + p] = (int32_t)w->in[p].lanes;
    }
    for (int64_t point = 0; point < block_points(t); point++) {
        const float *u = w->u + point * weight_step(channels, w->n_out);

        for (int64_t panel = 0; panel < panels_of(w->n_out); panel++) {
            const int64_t vectors = panel_vectors(w->n_out, panel);

            for (int64_t r = 0; r < tiles; r += rows)
                product(at_most(rows, tiles - r), vectors, &segments, v + r * CPU_BLOCK, u,
                        m + panel * PANEL * t->block + r * vectors * LANES, false);
            u += channels * vectors * LANES;
        }
        v += point_step(t, w->n_in);
        m += point_step(t, w->n_out);
    }
}

void winograd_block(const CpuWinograd *w, int64_t item, float *scratch)
{
    const CpuTiles *t = w->tiles;
    const int64_t sample = item / t->blocks, first = item % t->blocks * t->block;
    const int64_t tiles = block_tiles(t, first);
    const int64_t in_step = point_step(t, w->n_in), out_step = point_step(t, w->n_out);
    float *v = scratch, *m = v + block_points(t) * in_step;

    for (int64_t p = 0; p < w->n_in; p++)
        for (int64_t i = 0; i < tiles; i++)
            tile_input(t, &w->in[p], sample, first + i, v + (p * t->block + i) * CPU_BLOCK,
                       in_step);
    block_products(w, tiles, v, m, (int32_t *)(void *)(m + block_points(t) * out_step));
    for (int64_t k = 0; k < w->n_out * PARTS; k++) {
        const int64_t vectors = panel_vectors(w->n_out, k / 2);

        for (int64_t i = 0; i < tiles; i++)
            tile_output(t, vector_plane(w->out, k), k % PARTS * LANES,
                        w->bias ? w->bias + k * LANES : NULL, sample, first + i,
                        m + k / 2 * PANEL * t->block + (i * vectors + k % 2) * LANES, out_step);
    }
}

/* ---- weight gradient ------------------------------------------------------------------ */

int64_t winograd_gradient_scratch(const CpuWinogradGradient *g)
{
    return block_points(g->tiles)
           * (point_step(g->tiles, g->n_in) + point_step(g->tiles, g->n_out));
}

static void block_gradient(const CpuWinogradGradient *g, int64_t item, float *v, float *du)
{
    const CpuTiles *t = g->tiles;
    const int64_t sample = item / t->blocks, first = item % t->blocks * t->block;
    const int64_t tiles = block_tiles(t, first), points = block_points(t);
    const int64_t in_step = point_step(t, g->n_in), out_step = point_step(t, g->n_out);
    const int64_t step = weight_step(g->n_in * CPU_BLOCK, g->n_out);
    float *w = v + points * in_step;

    for (int64_t p = 0; p < g->n_in; p++)
        for (int64_t i = 0; i < tiles; i++)
            tile_input(t, &g->in[p], sample, first + i, v + (p * t->block + i) * CPU_BLOCK,
                       in_step);
    for (int64_t k = 0; k < g->n_out * PARTS; k++) {
        const int64_t vectors = panel_vectors(g->n_out, k / 2);

        for (int64_t i = 0; i < tiles; i++)
            tile_gradient(t, vector_plane(g->out, k), k % PARTS * LANES, sample, first + i,
                          w + k / 2 * PANEL * t->block + (i * vectors + k % 2) * LANES,
                          out_step);
    }
    for (int64_t point = 0; point < points; point++)
        for (int64_t p = 0; p < g->n_in; p++)
            for (int64_t panel = 0; panel < panels_of(g->n_out); panel++) {
                const Runs runs = {v + point * in_step + p * t->block * CPU_BLOCK,
                                   w + point * out_step + panel * PANEL * t->block,
                                   0,
                                   0,
                                   1,
                                   tiles,
                                   false};

                outer(g->in[p].lanes, panel_vectors(g->n_out, panel), &runs,
                      du + point * step
                          + (p * g->n_out * CPU_BLOCK + panel * PANEL) * CPU_BLOCK);
            }
}

void winograd_gradient_part(const CpuWinogradGradient *g, int64_t slot, float *scratch)
{
    const int64_t blocks = g->tiles->n * g->tiles->blocks;
    const int64_t floats = block_points(g->tiles) * weight_step(g->n_in * CPU_BLOCK, g->n_out);
    float *du = g->parts + slot * floats;

    memset(du, 0, (size_t)floats * sizeof *du);
    for (int64_t b = slot * blocks / g->slots; b < (slot + 1) * blocks / g->slots; b++)
        block_gradient(g, b, scratch, du);
}
