/* cpu_kernel_weights - 3x3x3 kernels to Winograd's points and their gradients back:
 *   U = G w along all three axes;  dw += G^T dU
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

/* ---- U: (point, panel, input channel, channel of the panel) --------------------------- */

int64_t winograd_pack_items(const CpuWinograd *w)
{
    return panels_of(w->n_out) * w->n_in;
}

/* The taps between input channel @c and the output channels of vector @v. */
static void taps_of(const CpuWinograd *winograd, const CpuWeights *w, bool flipped, int64_t c,
                    int64_t v, Vec taps[CPU_TAPS])
{
    const CpuPlane *out = vector_plane(winograd->out, v);
    float lanes[CPU_TAPS][LANES] __attribute__((aligned(64))) = {{0}};

    for (int64_t l = 0; l < LANES && v % PARTS * LANES + l < out->lanes; l++) {
        const int64_t k = out->first + v % PARTS * LANES + l;
        const float *from = w->data + c * w->in_step + k * w->out_step;

        for (int64_t t = 0; t < CPU_TAPS; t++)
            lanes[t][l] = from[flipped ? CPU_TAPS - 1 - t : t];
    }
    for (int64_t t = 0; t < CPU_TAPS; t++)
        taps[t] = load(lanes[t]);
}

INLINE void points_of(const int64_t m, const Vec taps[CPU_TAPS], float *to, int64_t step)
{
    const int64_t edge = m + 2;
    Vec a[WINOGRAD_MOST], b[WINOGRAD_MOST];

    cube_w(weight_line, m, 9, 3, edge, taps, a);
    cube_h(weight_line, m, 3, edge, 3, edge, a, b);
    cube_d(weight_line, m, edge * edge, b, a);
    for (int64_t p = 0; p < edge * edge * edge; p++)
        store(to + p * step, a[p]);
}

void winograd_pack(const CpuWinograd *winograd, const CpuWeights *w, bool flipped, float *u,
                   int64_t item)
{
    const int64_t panels = panels_of(winograd->n_out), panel = item % panels;
    const int64_t vectors = panel_vectors(winograd->n_out, panel);
    const int64_t channels = channels_of(winograd->in, winograd->n_in);
    const CpuPlane *in = &winograd->in[item / panels];
    const int64_t row = channels_of(winograd->in, item / panels); /* of its first channel */
    const int64_t step = weight_step(channels, winograd->n_out);
    Vec taps[CPU_TAPS];

    for (int64_t c = 0; c < in->lanes; c++)
        for (int64_t v = 0; v < vectors; v++) {
            float *to = u + panel * PANEL * channels + ((row + c) * vectors + v) * LANES;

            taps_of(winograd, w, flipped, in->first + c, 2 * panel + v, taps);
            if (winograd->tiles->m == 4)
                points_of(4, taps, to, step);
            else
                points_of(2, taps, to, step);
        }
}

/* ---- dw ------------------------------------------------------------------------------- */

INLINE void taps_from(const int64_t m, Vec *a, float lanes[CPU_TAPS][LANES])
{
    const int64_t edge = m + 2;
    Vec b[WINOGRAD_MOST];

    cube_d(weight_gradient_line, m, edge * edge, a, b);
    cube_h(weight_gradient_line, m, 3, edge, edge, 3, b, a);
    cube_w(weight_gradient_line, m, 9, edge, 3, a, b);
    for (int64_t t = 0; t < CPU_TAPS; t++)
        store(lanes[t], b[t]);
}

static void gradient_vector(const CpuWinogradGradient *g, const CpuWeights *w, int64_t item,
                            int64_t c, int64_t v, float *dw)
{
    const CpuPlane *in = &g->in[item], *out = vector_plane(g->out, v);
    const int64_t points = block_points(g->tiles), part = v % PARTS * LANES;
    const int64_t step = weight_step(g->n_in * CPU_BLOCK, g->n_out);
    const float *from =
        g->parts + item * g->n_out * CPU_BLOCK * CPU_BLOCK + outer_place(g->n_out, c, v);
    float lanes[CPU_TAPS][LANES] __attribute__((aligned(64)));
    Vec a[WINOGRAD_MOST];

    for (int64_t p = 0; p < points; p++) {
        a[p] = load(from + p * step);
        for (int64_t slot = 1; slot < g->slots; slot++)
            a[p] += load(from + (slot * points + p) * step);
    }
    if (g->tiles->m == 4)
        taps_from(4, a, lanes);
    else
        taps_from(2, a, lanes);
    for (int64_t l = 0; l < LANES && part + l < out->lanes; l++) {
        float *to = dw + (in->first + c) * w->in_step + (out->first + part + l) * w->out_step;

        for (int64_t t = 0; t < CPU_TAPS; t++)
            to[t] += lanes[t][l];
    }
}

void winograd_gradient_sum(const CpuWinogradGradient *g, const CpuWeights *w, float *dw,
                           int64_t item)
{
    for (int64_t c = 0; c < g->in[item].lanes; c++)
        for (int64_t v = 0; v < g->n_out * PARTS; v++)
            gradient_vector(g, w, item, c, v, dw);
}
