/* cpu_kernel_panels - Winograd's convolutions where few tiles meet many channels, by panels of
 * output channels:
 *   V = B^T x B of all tiles;  for each panel, M += V U and y = A^T M A + bias
 *   V, W = A dz A^T of all tiles;  for some input planes and a panel, dU = V^T W, dw += G^T dU
 * U and dU, far more numbers than V, W and the weights themselves, never leave the cache.
 * Source: Lavin, Gray 2016; Gelashvili, Shavit, Zlateski 2019 (the fused steps). */
#include "cpu_winograd.h"

#define panels_input CPU_NAME(cpu_panels_input)
#define panels_output CPU_NAME(cpu_panels_output)
#define panels_scratch CPU_NAME(cpu_panels_scratch)
#define panels_part CPU_NAME(cpu_panels_part)
#define panels_gradient_items CPU_NAME(cpu_panels_gradient_items)
#define panels_gradient_scratch CPU_NAME(cpu_panels_gradient_scratch)
#define panels_gradient CPU_NAME(cpu_panels_gradient)
void panels_input(const CpuPanels *p, int64_t item);
void panels_output(const CpuPanels *p, int64_t item);
int64_t panels_scratch(const CpuPanels *p);
void panels_part(const CpuPanels *p, int64_t item, float *scratch);
int64_t panels_gradient_items(const CpuPanels *p);
int64_t panels_gradient_scratch(const CpuPanels *p);
void panels_gradient(const CpuPanels *p, int64_t item, float *dw, float *scratch);

#define GRADIENT_PLANES 2 /* input planes of one item: dU of them fits the second cache */

static int64_t sample_tiles(const CpuTiles *t)
{
    return t->tiles[0] * t->tiles[1] * t->tiles[2];
}

/* V of one plane and sample. */
void panels_input(const CpuPanels *p, int64_t item)
{
    const CpuTiles *t = p->tiles;
    const int64_t plane = item / t->n, sample = item % t->n, tiles = sample_tiles(t);
    float *v = p->v + (plane * t->block + sample * tiles) * CPU_BLOCK;

    for (int64_t i = 0; i < tiles; i++)
        tile_input(t, &p->in[plane], sample, i, v + i * CPU_BLOCK, point_step(t, p->n_in));
}

/* W of one plane and sample: (points, panels, tiles, channels of the panel). */
void panels_output(const CpuPanels *p, int64_t item)
{
    const CpuTiles *t = p->tiles;
    const int64_t plane = item / t->n, sample = item % t->n, tiles = sample_tiles(t);

    for (int64_t k = plane * PARTS; k < (plane + 1) * PARTS; k++) {
        const int64_t vectors = panel_vectors(p->n_out, k / 2);
        float *w = p->w + k / 2 * PANEL * t->block + (sample * tiles * vectors + k % 2) * LANES;

        for (int64_t i = 0; i < tiles; i++)
            tile_gradient(t, vector_plane(p->out, k), k % PARTS * LANES, sample, i,
                          w + i * vectors * LANES, point_step(t, p->n_out));
    }
}

/* ---- forward, data gradient ----------------------------------------------------------- */

/* Floats of U from one point to the next; of M. */
static int64_t chunk_step(const CpuPanels *p)
{
    return p->depth * CPU_BLOCK * PANEL + CPU_BLOCK;
}

static int64_t part_step(const CpuPanels *p)
{
    return (p->tiles->block + p->parts - 1) / p->parts * PANEL + CPU_BLOCK;
}

int64_t panels_scratch(const CpuPanels *p)
{
    return block_points(p->tiles) * (chunk_step(p) + part_step(p)) + 2 * CPU_BLOCK * CPU_BLOCK;
}

/* U of a panel and the input planes @first to @end; where their V lies. */
static void chunk_weights(const CpuPanels *p, int64_t panel, int64_t first, int64_t end,
                          float *u, int32_t *numbers)
{
    const int64_t vectors = panel_vectors(p->n_out, panel);

    for (int64_t i = first; i < end; i++) {
        const CpuPlane *in = &p->in[i];

        numbers[i - first] = (int32_t)(i * p->tiles->block * CPU_BLOCK);
        numbers[p->depth + i - first] = (int32_t)in->lanes;
        for (int64_t c = 0; c < in->lanes; c++)
            for (int64_t v = 0; v < vectors; v++, u += LANES)
                weights_to_points(p->tiles, p->out, p->weights, p->flipped, in->first + c,
                                  2 * panel + v, u, chunk_step(p));
    }
}

/* M [+]= V U over those planes, for @tiles tiles from @tile on. */
static void chunk_products(const CpuPanels *p, int64_t vectors, int64_t tile, int64_t tiles,
                           const Segments *segments, const float *u, float *m, bool add)
{
    const int64_t chunks = (tiles + ROWS - 1) / ROWS, rows = (tiles + chunks - 1) / chunks;
    const float *v = p->v + tile * CPU_BLOCK;

    for (int64_t point = 0; point < block_points(p->tiles); point++) {
        for (int64_t r = 0; r < tiles; r += rows)
            product(at_most(rows, tiles - r), vectors, segments, v + r * CPU_BLOCK, u,
                    m + r * vectors * LANES, add);
        v += point_step(p->tiles, p->n_in);
        u += chunk_step(p);
        m += part_step(p);
    }
}

void panels_part(const CpuPanels *p, int64_t item, float *scratch)
{
    const CpuTiles *t = p->tiles;
    const int64_t panel = item / p->parts, part = item % p->parts;
    const int64_t vectors = panel_vectors(p->n_out, panel);
    const int64_t first = part * t->block / p->parts;
    const int64_t end = (part + 1) * t->block / p->parts;
    float *u = scratch, *m = u + block_points(t) * chunk_step(p);
    int32_t *numbers = (int32_t *)(void *)(m + block_points(t) * part_step(p));

    for (int64_t i = 0; i < p->n_in; i += p->depth) {
        const int64_t last = at_most(i + p->depth, p->n_in);
        const Segments segments = {numbers, numbers + p->depth, last - i};

        chunk_weights(p, panel, i, last, u, numbers);
        chunk_products(p, vectors, first, end - first, &segments, u, m, i > 0);
    }
    for (int64_t v = 0; v < vectors; v++) {
        const int64_t k = 2 * panel + v;

        for (int64_t i = first; i < end; i++)
            tile_output(t, vector_plane(p->out, k), k % PARTS * LANES,
                        p->bias ? p->bias + k * LANES : NULL, i / sample_tiles(t),
                        i % sample_tiles(t), m + ((i - first) * vectors + v) * LANES,
                        part_step(p));
    }
}

/* ---- weight gradient ------------------------------------------------------------------ */

static int64_t gradient_step(void)
{
    return GRADIENT_PLANES * CPU_BLOCK * PANEL + CPU_BLOCK;
}

int64_t panels_gradient_items(const CpuPanels *p)
{
    return (p->n_in + GRADIENT_PLANES - 1) / GRADIENT_PLANES * panels_of(p->n_out);
}

int64_t panels_gradient_scratch(const CpuPanels *p)
{
    return block_points(p->tiles) * gradient_step();
}

void panels_gradient(const CpuPanels *p, int64_t item, float *dw, float *du)
{
    const CpuTiles *t = p->tiles;
    const int64_t panel = item % panels_of(p->n_out), vectors = panel_vectors(p->n_out, panel);
    const int64_t first = item / panels_of(p->n_out) * GRADIENT_PLANES;
    const int64_t end = at_most(first + GRADIENT_PLANES, p->n_in);

    for (int64_t point = 0; point < block_points(t); point++)
        for (int64_t i = first; i < end; i++) {
            const Runs runs = {
                .a = p->v + point * point_step(t, p->n_in) + i * t->block * CPU_BLOCK,
                .b = p->w + point * point_step(t, p->n_out) + panel * PANEL * t->block,
                .n = 1,
                .length = t->block,
                .begin = true};

            outer(p->in[i].lanes, vectors, &runs,
                  du + point * gradient_step() + (i - first) * CPU_BLOCK * PANEL);
        }
    for (int64_t i = first; i < end; i++)
        for (int64_t c = 0; c < p->in[i].lanes; c++)
            for (int64_t v = 0; v < vectors; v++)
                weights_from_points(t, p->out, p->weights, p->in[i].first + c, 2 * panel + v,
                                    du + (i - first) * CPU_BLOCK * PANEL
                                        + (c * vectors + v) * LANES,
                                    gradient_step(), 1, 0, dw);
}
