/* cpu_winograd.h - the one-dimensional transforms of Winograd's F(m, 3), m = 2 or 4:
 *   y = A^T [(G w) (B^T x)],   dw = G^T [(A dy) (B^T x)]
 * Points 0, 1, -1 and infinity, for m = 4 also 2 and -2.  Each goes from @from, @step vectors
 * apart, to @to, @to_step apart.  Source: Lavin, Gray 2016. */
#pragma once

#include "cpu_vector.h"

#define WINOGRAD_MOST 216 /* points of F(4^3, 3^3) */

/* B^T: m + 2 -> m + 2 */
INLINE void input_line(const int64_t m, const Vec *from, int64_t step, Vec *to, int64_t to_step)
{
    const Vec x0 = from[0], x1 = from[step], x2 = from[2 * step], x3 = from[3 * step];

    if (m == 2) {
        to[0] = x0 - x2;
        to[to_step] = x1 + x2;
        to[2 * to_step] = x2 - x1;
        to[3 * to_step] = x1 - x3;
        return;
    }
    const Vec x4 = from[4 * step], x5 = from[5 * step];
    const Vec a = x4 - 4.0f * x2, b = x3 - 4.0f * x1, c = x4 - x2, d = 2.0f * (x3 - x1);

    to[0] = 4.0f * x0 - 5.0f * x2 + x4;
    to[to_step] = a + b;
    to[2 * to_step] = a - b;
    to[3 * to_step] = c + d;
    to[4 * to_step] = c - d;
    to[5 * to_step] = 4.0f * x1 - 5.0f * x3 + x5;
}

/* A^T: m + 2 -> m */
INLINE void output_line(const int64_t m, const Vec *from, int64_t step, Vec *to,
                        int64_t to_step)
{
    const Vec x0 = from[0], x1 = from[step], x2 = from[2 * step], x3 = from[3 * step];

    if (m == 2) {
        to[0] = x0 + x1 + x2;
        to[to_step] = x1 - x2 - x3;
        return;
    }
    const Vec x4 = from[4 * step], x5 = from[5 * step];
    const Vec a = x1 + x2, b = x1 - x2, c = x3 + x4, d = x3 - x4;

    to[0] = x0 + a + c;
    to[to_step] = b + 2.0f * d;
    to[2 * to_step] = a + 4.0f * c;
    to[3 * to_step] = b + 8.0f * d + x5;
}

/* A: m -> m + 2 */
INLINE void gradient_line(const int64_t m, const Vec *from, int64_t step, Vec *to,
                          int64_t to_step)
{
    const Vec x0 = from[0], x1 = from[step];

    if (m == 2) {
        to[0] = x0;
        to[to_step] = x0 + x1;
        to[2 * to_step] = x0 - x1;
        to[3 * to_step] = -x1;
        return;
    }
    const Vec x2 = from[2 * step], x3 = from[3 * step];
    const Vec a = x0 + x2, b = x1 + x3, c = x0 + 4.0f * x2, d = 2.0f * x1 + 8.0f * x3;

    to[0] = x0;
    to[to_step] = a + b;
    to[2 * to_step] = a - b;
    to[3 * to_step] = c + d;
    to[4 * to_step] = c - d;
    to[5 * to_step] = x3;
}

/* G: 3 -> m + 2 */
INLINE void weight_line(const int64_t m, const Vec *from, int64_t step, Vec *to,
                        int64_t to_step)
{
    const Vec x0 = from[0], x1 = from[step], x2 = from[2 * step];

    if (m == 2) {
        to[0] = x0;
        to[to_step] = 0.5f * (x0 + x1 + x2);
        to[2 * to_step] = 0.5f * (x0 - x1 + x2);
        to[3 * to_step] = x2;
        return;
    }
    const Vec a = (x0 + x2) * (-1.0f / 6.0f), b = x1 * (1.0f / 6.0f);
    const Vec c = x0 * (1.0f / 24.0f) + x2 * (1.0f / 6.0f), d = x1 * (1.0f / 12.0f);

    to[0] = 0.25f * x0;
    to[to_step] = a - b;
    to[2 * to_step] = a + b;
    to[3 * to_step] = c + d;
    to[4 * to_step] = c - d;
    to[5 * to_step] = x2;
}

/* G^T: m + 2 -> 3 */
INLINE void weight_gradient_line(const int64_t m, const Vec *from, int64_t step, Vec *to,
                                 int64_t to_step)
{
    const Vec x0 = from[0], x1 = from[step], x2 = from[2 * step], x3 = from[3 * step];

    if (m == 2) {
        to[0] = x0 + 0.5f * (x1 + x2);
        to[to_step] = 0.5f * (x1 - x2);
        to[2 * to_step] = 0.5f * (x1 + x2) + x3;
        return;
    }
    const Vec x4 = from[4 * step], x5 = from[5 * step];
    const Vec a = (x1 + x2) * (-1.0f / 6.0f), b = x3 + x4;

    to[0] = 0.25f * x0 + a + b * (1.0f / 24.0f);
    to[to_step] = (x2 - x1) * (1.0f / 6.0f) + (x3 - x4) * (1.0f / 12.0f);
    to[2 * to_step] = a + b * (1.0f / 6.0f) + x5;
}

/* A cube along all three axes, by one of the lines above: (from_edge^3) in @a to (to_edge^3) in
 * @to, @to_step apart; @b is scratch, @a as well. */
typedef void (*WinogradLine)(int64_t m, const Vec *from, int64_t step, Vec *to,
                             int64_t to_step);

/* W is the fastest axis: `size` (D,H,W) is what @from holds, W becomes `edge`. */
INLINE void cube_w(WinogradLine line, const int64_t m, const int64_t lines, const int64_t from,
                   const int64_t edge, const Vec *a, Vec *to)
{
    for (int64_t i = 0; i < lines; i++)
        line(m, a + i * from, 1, to + i * edge, 1);
}

INLINE void cube_h(WinogradLine line, const int64_t m, const int64_t planes, const int64_t w,
                   const int64_t from, const int64_t edge, const Vec *a, Vec *to)
{
    for (int64_t d = 0; d < planes; d++)
        for (int64_t e = 0; e < w; e++)
            line(m, a + d * from * w + e, w, to + d * edge * w + e, w);
}

INLINE void cube_d(WinogradLine line, const int64_t m, const int64_t hw, const Vec *a, Vec *to)
{
    for (int64_t e = 0; e < hw; e++)
        line(m, a + e, hw, to + e, hw);
}

/* Where the transformed tiles of a block lie: (points, planes, tiles, 16), and one more line a
 * point, so that points do not share the same few sets of the cache. */
INLINE int64_t block_points(const CpuTiles *t)
{
    return (t->m + 2) * (t->m + 2) * (t->flat ? 1 : t->m + 2);
}

INLINE int64_t point_step(const CpuTiles *t, int64_t planes)
{
    return planes * t->block * CPU_BLOCK + CPU_BLOCK;
}

/* Floats from one point of U or dU to the next: no power of two either. */
INLINE int64_t weight_step(int64_t rows, int64_t n_out)
{
    return rows * n_out * CPU_BLOCK + CPU_BLOCK;
}

/* First voxel of the output tile @tile of a sample. */
INLINE void tile_origin(const CpuTiles *t, int64_t tile, int64_t at[3])
{
    at[2] = tile % t->tiles[2] * t->m;
    at[1] = tile / t->tiles[2] % t->tiles[1] * t->m;
    at[0] = tile / t->tiles[2] / t->tiles[1] * (t->flat ? 1 : t->m);
}

INLINE int64_t block_tiles(const CpuTiles *t, int64_t first)
{
    return at_most(t->block, t->tiles[0] * t->tiles[1] * t->tiles[2] - first);
}

/* cpu_kernel_weights.c: the points, @step apart, of the weights between input channel @c and
 * the output channels of vector @v; and from gradients of those points, the sum over @slots of
 * them,
 * @slot_step apart, to @dw. */
#define weights_to_points CPU_NAME(cpu_weights_to_points)
void weights_to_points(const CpuTiles *t, const CpuPlane *out, const CpuWeights *w,
                       bool flipped, int64_t c, int64_t v, float *to, int64_t step);
#define weights_from_points CPU_NAME(cpu_weights_from_points)
void weights_from_points(const CpuTiles *t, const CpuPlane *out, const CpuWeights *w, int64_t c,
                         int64_t v, const float *from, int64_t step, int64_t slots,
                         int64_t slot_step, float *dw);

/* cpu_kernel_tiles.c: tile number @tile, the @index-th of its block, of one plane. */
#define tile_input CPU_NAME(cpu_tile_input)
void tile_input(const CpuTiles *t, const CpuPlane *plane, int64_t sample, int64_t tile,
                float *to, int64_t step);
/* @to: panel rows, vectors @to_step apart: see tile_gradient's caller */
#define tile_gradient CPU_NAME(cpu_tile_gradient)
void tile_gradient(const CpuTiles *t, const CpuPlane *plane, int64_t part, int64_t sample,
                   int64_t tile, float *to, int64_t step);
#define tile_output CPU_NAME(cpu_tile_output)
void tile_output(const CpuTiles *t, const CpuPlane *plane, int64_t part, const float *bias,
                 int64_t sample, int64_t tile, const float *from, int64_t step);
