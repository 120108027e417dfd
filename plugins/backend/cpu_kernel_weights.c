/* cpu_kernel_weights - 3x3x3 and 1x3x3 kernels to Winograd's points and their gradients back:
 *   U = G w along all three axes, or H and W;  dw += G^T dU
 * A vector holds output channels.  Source: Lavin, Gray 2016. */
#include "cpu_winograd.h"

#define winograd_pack_items CPU_NAME(cpu_winograd_pack_items)
#define winograd_pack CPU_NAME(cpu_winograd_pack)
#define winograd_gradient_sum CPU_NAME(cpu_winograd_gradient_sum)
int64_t winograd_pack_items(const CpuWinograd *w);
void winograd_pack(const CpuWinograd *winograd, const CpuWeights *w, bool flipped, float *u,
                   int64_t item);
void winograd_gradient_sum(const CpuWinogradGradient *g, const CpuWeights *w, float *dw,
                           int64_t item);

/* ---- U -------------------------------------------------------------------------------- */

/* Of vector @v of output channels; @n: taps of the kernel. */
INLINE void taps_of(const int64_t n, const CpuPlane *planes, const CpuWeights *w, bool flipped,
                    int64_t c, int64_t v, Vec taps[CPU_TAPS])
{
    const CpuPlane *out = vector_plane(planes, v);
    float lanes[CPU_TAPS][LANES] __attribute__((aligned(64))) = {{0}};

    for (int64_t l = 0; l < LANES && v % PARTS * LANES + l < out->lanes; l++) {
        const int64_t k = out->first + v % PARTS * LANES + l;
        const float *from = w->data + c * w->in_step + k * w->out_step;

        for (int64_t t = 0; t < n; t++)
            lanes[t][l] = from[flipped ? n - 1 - t : t];
    }
    for (int64_t t = 0; t < n; t++)
        taps[t] = load(lanes[t]);
}

INLINE void points_of(const int64_t m, const bool flat, const CpuPlane *out,
                      const CpuWeights *w, bool flipped, int64_t c, int64_t v, float *to,
                      int64_t step)
{
    const int64_t edge = m + 2, edge_d = flat ? 1 : edge;
    Vec taps[CPU_TAPS], a[WINOGRAD_MOST], b[WINOGRAD_MOST];

    taps_of(flat ? 9 : 27, out, w, flipped, c, v, taps);
    cube_w(weight_line, m, flat ? 3 : 9, 3, edge, taps, a);
    cube_h(weight_line, m, flat ? 1 : 3, edge, 3, edge, a, b);
    if (!flat)
        cube_d(weight_line, m, edge * edge, b, a);
    for (int64_t p = 0; p < edge_d * edge * edge; p++)
        store(to + p * step, flat ? b[p] : a[p]);
}

void weights_to_points(const CpuTiles *t, const CpuPlane *out, const CpuWeights *w,
                       bool flipped, int64_t c, int64_t v, float *to, int64_t step)
{
    if (t->m == 4 && !t->flat)
        points_of(4, false, out, w, flipped, c, v, to, step);
    else if (!t->flat)
        points_of(2, false, out, w, flipped, c, v, to, step);
    else if (t->m == 4)
        points_of(4, true, out, w, flipped, c, v, to, step);
    else
        points_of(2, true, out, w, flipped, c, v, to, step);
}

int64_t winograd_pack_items(const CpuWinograd *w)
{
    return panels_of(w->n_out) * w->n_in;
}

/* U is (point, panel, input channel, channel of the panel). */
void winograd_pack(const CpuWinograd *winograd, const CpuWeights *w, bool flipped, float *u,
                   int64_t item)
{
    const int64_t panels = panels_of(winograd->n_out), panel = item % panels;
    const int64_t vectors = panel_vectors(winograd->n_out, panel);
    const int64_t channels = channels_of(winograd->in, winograd->n_in);
    const CpuPlane *in = &winograd->in[item / panels];
    const int64_t row = channels_of(winograd->in, item / panels); /* of its first channel */
    const int64_t step = weight_step(channels, winograd->n_out);

    for (int64_t c = 0; c < in->lanes; c++)
        for (int64_t v = 0; v < vectors; v++)
            weights_to_points(
                winograd->tiles, winograd->out, w, flipped, in->first + c, 2 * panel + v,
                u + panel * PANEL * channels + ((row + c) * vectors + v) * LANES, step);
}

/* ---- dw ------------------------------------------------------------------------------- */

INLINE void taps_from(const int64_t m, const bool flat, Vec *a, float lanes[CPU_TAPS][LANES])
{
    const int64_t edge = m + 2;
    Vec b[WINOGRAD_MOST];

    if (!flat)
        cube_d(weight_gradient_line, m, edge * edge, a, b);
    cube_h(weight_gradient_line, m, flat ? 1 : 3, edge, edge, 3, flat ? a : b, flat ? b : a);
    cube_w(weight_gradient_line, m, flat ? 3 : 9, edge, 3, flat ? b : a, flat ? a : b);
    for (int64_t t = 0; t < (flat ? 9 : 27); t++)
        store(lanes[t], flat ? a[t] : b[t]);
}

void weights_from_points(const CpuTiles *t, const CpuPlane *planes, const CpuWeights *w,
                         int64_t c, int64_t v, const float *from, int64_t step, int64_t slots,
                         int64_t slot_step, float *dw)
{
    const CpuPlane *out = vector_plane(planes, v);
    const int64_t part = v % PARTS * LANES;
    float lanes[CPU_TAPS][LANES] __attribute__((aligned(64)));
    Vec a[WINOGRAD_MOST];

    for (int64_t p = 0; p < block_points(t); p++) {
        a[p] = load(from + p * step);
        for (int64_t slot = 1; slot < slots; slot++)
            a[p] += load(from + slot * slot_step + p * step);
    }
    if (t->m == 4 && !t->flat)
        taps_from(4, false, a, lanes);
    else if (!t->flat)
        taps_from(2, false, a, lanes);
    else if (t->m == 4)
        taps_from(4, true, a, lanes);
    else
        taps_from(2, true, a, lanes);
    for (int64_t l = 0; l < LANES && part + l < out->lanes; l++) {
        float *to = dw + c * w->in_step + (out->first + part + l) * w->out_step;

        for (int64_t i = 0; i < w->taps; i++)
            to[i] += lanes[i][l];
    }
}

void winograd_gradient_sum(const CpuWinogradGradient *g, const CpuWeights *w, float *dw,
                           int64_t item)
{
    const int64_t step = weight_step(g->n_in * CPU_BLOCK, g->n_out);
    const float *from = g->parts + item * g->n_out * CPU_BLOCK * CPU_BLOCK;

    for (int64_t c = 0; c < g->in[item].lanes; c++)
        for (int64_t v = 0; v < g->n_out * PARTS; v++)
            weights_from_points(g->tiles, g->out, w, g->in[item].first + c, v,
                                from + outer_place(g->n_out, c, v), step, g->slots,
                                block_points(g->tiles) * step, dw);
}
