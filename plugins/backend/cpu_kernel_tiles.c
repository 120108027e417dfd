/* cpu_kernel_tiles - tiles of voxels to Winograd's points and back, one plane at a time:
 *   V = B^T x B over (m + 2)^3 voxels, norm and leaky ReLU of x applied while reading
 *   y = A^T M A + bias over m^3 voxels,   W = A dz A^T over m^3 voxels
 * Flat tiles are left as they are along D.
 * Source: Lavin, Gray 2016; Jia et al. 2018 (in three dimensions). */
#include "cpu_voxel.h"
#include "cpu_winograd.h"

#define APART static __attribute__((noinline))

/* ---- voxels of a tile, zeros outside -------------------------------------------------- */

typedef struct {
    Voxels voxels;
    Vec scale, shift;
    float slope;
    bool pending;
} Reader;

INLINE Reader reader_of(const CpuPlane *plane, const bool narrow, int64_t sample, int64_t part)
{
    const int64_t at = sample * plane->scale_step + part;
    const Voxels voxels = voxels_as(plane, narrow, sample, part);

    if (!plane->scale)
        return (Reader){.voxels = voxels, .pending = false};
    return (Reader){voxels, load(plane->scale + at), load(plane->shift + at), plane->slope,
                    true};
}

INLINE Vec reader_load(const Reader *reader, int64_t i)
{
    const Vec v = voxel_load(&reader->voxels, i);

    return reader->pending ? normed(v, reader->scale, reader->shift, reader->slope) : v;
}

/* @edge voxels from the @w-th on of a row, whose first voxel is number @row, into @to. */
INLINE void read_row(const CpuTiles *t, const Reader *reader, const int64_t edge, int64_t row,
                     int64_t w, Vec *to)
{
    for (int64_t i = 0; i < t->m; i++) /* what the next tile adds */
        voxel_expect(&reader->voxels, row + w + edge + i);
    if (w >= 0 && w + edge <= t->size[2])
        for (int64_t i = 0; i < edge; i++)
            to[i] = reader_load(reader, row + w + i);
    else
        for (int64_t i = 0; i < edge; i++)
            to[i] =
                w + i >= 0 && w + i < t->size[2] ? reader_load(reader, row + w + i) : all(0.0f);
}

/* First voxel of row (d,h); -1 outside. */
INLINE int64_t row_of(const CpuTiles *t, int64_t d, int64_t h)
{
    if (d < 0 || d >= t->size[0] || h < 0 || h >= t->size[1])
        return -1;
    return (d * t->size[1] + h) * t->size[2];
}

/* ---- the three transforms ------------------------------------------------------------- */

INLINE void input_of(const int64_t m, const bool flat, const bool narrow, const CpuTiles *t,
                     const CpuPlane *plane, int64_t part, int64_t sample, int64_t tile,
                     float *to, int64_t step)
{
    const int64_t edge = m + 2, edge_d = flat ? 1 : edge, border = flat ? 0 : 1;
    const Reader reader = reader_of(plane, narrow, sample, part);
    Vec a[WINOGRAD_MOST], b[WINOGRAD_MOST], line[6];
    int64_t at[3];

    tile_origin(t, tile, at);
    for (int64_t i = 0; i < edge_d * edge; i++) {
        const int64_t row = row_of(t, at[0] - border + i / edge, at[1] - 1 + i % edge);

        if (row >= 0) {
            read_row(t, &reader, edge, row, at[2] - 1, line);
            input_line(m, line, 1, a + i * edge, 1);
        } else {
            for (int64_t e = 0; e < edge; e++)
                a[i * edge + e] = all(0.0f);
        }
    }
    cube_h(input_line, m, edge_d, edge, edge, edge, a, b);
    for (int64_t e = 0; e < edge * edge; e++) {
        if (flat) {
            store(to + e * step, b[e]);
            continue;
        }
        input_line(m, b + e, edge * edge, line, 1);
        for (int64_t i = 0; i < edge; i++)
            store(to + (i * edge * edge + e) * step, line[i]);
    }
}

INLINE void gradient_of(const int64_t m, const bool flat, const bool narrow, const CpuTiles *t,
                        const CpuPlane *plane, int64_t part, int64_t sample, int64_t tile,
                        float *to, int64_t step)
{
    const int64_t edge = m + 2, m_d = flat ? 1 : m;
    const Reader plain = {.voxels = voxels_as(plane, narrow, sample, part), .pending = false};
    Vec a[WINOGRAD_MOST], b[WINOGRAD_MOST], line[6];
    int64_t at[3];

    tile_origin(t, tile, at);
    for (int64_t i = 0; i < m_d * m; i++) {
        const int64_t row = row_of(t, at[0] + i / m, at[1] + i % m);

        for (int64_t e = 0; e < m; e++)
            line[e] = all(0.0f);
        if (row >= 0)
            read_row(t, &plain, m, row, at[2], line);
        gradient_line(m, line, 1, a + i * edge, 1);
    }
    cube_h(gradient_line, m, m_d, edge, m, edge, a, b);
    for (int64_t e = 0; e < edge * edge; e++) {
        if (flat) {
            store(to + e * step, b[e]);
            continue;
        }
        gradient_line(m, b + e, edge * edge, line, 1);
        for (int64_t i = 0; i < edge; i++)
            store(to + (i * edge * edge + e) * step, line[i]);
    }
}

INLINE void output_of(const int64_t m, const bool flat, const bool narrow, const CpuTiles *t,
                      const CpuPlane *plane, int64_t part, Vec bias, int64_t sample,
                      int64_t tile, const float *from, int64_t step)
{
    const int64_t edge = m + 2, m_d = flat ? 1 : m;
    const Voxels to = voxels_as(plane, narrow, sample, part);
    Vec a[WINOGRAD_MOST], b[WINOGRAD_MOST], line[6];
    int64_t at[3];

    tile_origin(t, tile, at);
    for (int64_t e = 0; e < edge * edge; e++) {
        if (flat) {
            a[e] = load(from + e * step);
            continue;
        }
        for (int64_t i = 0; i < edge; i++)
            line[i] = load(from + (i * edge * edge + e) * step);
        output_line(m, line, 1, a + e, edge * edge);
    }
    cube_h(output_line, m, m_d, edge, edge, m, a, b);
    for (int64_t i = 0; i < m_d * m && at[0] + i / m < t->size[0]; i++) {
        const int64_t d = at[0] + i / m, h = at[1] + i % m;
        const int64_t row = (d * t->size[1] + h) * t->size[2] + at[2];

        if (h >= t->size[1])
            continue;
        output_line(m, b + i * edge, 1, line, 1);
        for (int64_t e = 0; e < m && at[2] + e < t->size[2]; e++) {
            const Vec y = line[e] + bias;

            voxel_store(&to, row + e, plane->add ? y + voxel_load(&to, row + e) : y);
        }
    }
}

/* ---- by m, flat and narrow ------------------------------------------------------------ */

#define BY_TILES(t, narrow, call, ...)                                                         \
    do {                                                                                       \
        if ((t)->m == 4 && !(t)->flat)                                                         \
            call(4, false, narrow, t, __VA_ARGS__);                                            \
        else if (!(t)->flat)                                                                   \
            call(2, false, narrow, t, __VA_ARGS__);                                            \
        else if ((t)->m == 4)                                                                  \
            call(4, true, narrow, t, __VA_ARGS__);                                             \
        else                                                                                   \
            call(2, true, narrow, t, __VA_ARGS__);                                             \
    } while (false)

/* Narrow planes apart: their code would be in the way of the others. */
APART void narrow_input(const CpuTiles *t, const CpuPlane *plane, int64_t part, int64_t sample,
                        int64_t tile, float *to, int64_t step)
{
    BY_TILES(t, true, input_of, plane, part, sample, tile, to, step);
}

APART void narrow_gradient(const CpuTiles *t, const CpuPlane *plane, int64_t part,
                           int64_t sample, int64_t tile, float *to, int64_t step)
{
    BY_TILES(t, true, gradient_of, plane, part, sample, tile, to, step);
}

APART void narrow_output(const CpuTiles *t, const CpuPlane *plane, int64_t part,
                         const float *bias, int64_t sample, int64_t tile, const float *from,
                         int64_t step)
{
    const Vec b = bias ? load(bias) : all(0.0f);

    BY_TILES(t, true, output_of, plane, part, b, sample, tile, from, step);
}

void tile_input(const CpuTiles *t, const CpuPlane *plane, int64_t sample, int64_t tile,
                float *to, int64_t step)
{
    for (int64_t part = 0; part < CPU_BLOCK; part += LANES)
        if (plane->narrow)
            narrow_input(t, plane, part, sample, tile, to + part, step);
        else
            BY_TILES(t, false, input_of, plane, part, sample, tile, to + part, step);
}

void tile_gradient(const CpuTiles *t, const CpuPlane *plane, int64_t part, int64_t sample,
                   int64_t tile, float *to, int64_t step)
{
    if (plane->narrow)
        narrow_gradient(t, plane, part, sample, tile, to, step);
    else
        BY_TILES(t, false, gradient_of, plane, part, sample, tile, to, step);
}

void tile_output(const CpuTiles *t, const CpuPlane *plane, int64_t part, const float *bias,
                 int64_t sample, int64_t tile, const float *from, int64_t step)
{
    const Vec b = bias ? load(bias) : all(0.0f);

    if (plane->narrow)
        narrow_output(t, plane, part, bias, sample, tile, from, step);
    else
        BY_TILES(t, false, output_of, plane, part, b, sample, tile, from, step);
}
