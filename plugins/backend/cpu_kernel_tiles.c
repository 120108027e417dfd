/* cpu_kernel_tiles - tiles of voxels to Winograd's points and back, one plane at a time:
 *   V = B^T x B over (m + 2)^3 voxels, norm and leaky ReLU of x applied while reading
 *   y = A^T M A + bias over m^3 voxels,   W = A dz A^T over m^3 voxels
 * Flat tiles are left as they are along D.
 * Source: Lavin, Gray 2016; Jia et al. 2018 (in three dimensions). */
#include "cpu_winograd.h"

/* ---- voxels of a tile, zeros outside -------------------------------------------------- */

typedef struct {
    Vec scale, shift;
    float slope;
    bool pending;
} Reader;

static Reader reader_of(const CpuPlane *plane, int64_t sample, int64_t part)
{
    const int64_t at = sample * plane->scale_step + part;

    if (!plane->scale)
        return (Reader){.pending = false};
    return (Reader){load(plane->scale + at), load(plane->shift + at), plane->slope, true};
}

INLINE Vec reader_load(const Reader *reader, const float *from)
{
    const Vec v = load(from);

    return reader->pending ? normed(v, reader->scale, reader->shift, reader->slope) : v;
}

/* @edge voxels of a row from @w on, into @to. */
INLINE void read_row(const CpuTiles *t, const Reader *reader, const int64_t edge,
                     const float *row, int64_t w, Vec *to)
{
    for (int64_t i = 0; i < t->m; i++) /* what the next tile adds */
        __builtin_prefetch(row + (w + edge + i) * CPU_BLOCK);
    if (w >= 0 && w + edge <= t->size[2])
        for (int64_t i = 0; i < edge; i++)
            to[i] = reader_load(reader, row + (w + i) * CPU_BLOCK);
    else
        for (int64_t i = 0; i < edge; i++)
            to[i] = w + i >= 0 && w + i < t->size[2]
                        ? reader_load(reader, row + (w + i) * CPU_BLOCK)
                        : all(0.0f);
}

/* Row (d,h) of a plane's sample; NULL outside. */
INLINE const float *row_of(const CpuTiles *t, const CpuPlane *plane, int64_t sample, int64_t d,
                           int64_t h)
{
    if (d < 0 || d >= t->size[0] || h < 0 || h >= t->size[1])
        return NULL;
    return plane->data + sample * plane->step + (d * t->size[1] + h) * t->size[2] * CPU_BLOCK;
}

/* ---- the three transforms ------------------------------------------------------------- */

INLINE void input_of(const int64_t m, const bool flat, const CpuTiles *t, const CpuPlane *plane,
                     int64_t part, int64_t sample, int64_t tile, float *to, int64_t step)
{
    const int64_t edge = m + 2, edge_d = flat ? 1 : edge, border = flat ? 0 : 1;
    const Reader reader = reader_of(plane, sample, part);
    Vec a[WINOGRAD_MOST], b[WINOGRAD_MOST], line[6];
    int64_t at[3];

    tile_origin(t, tile, at);
    for (int64_t i = 0; i < edge_d * edge; i++) {
        const float *row =
            row_of(t, plane, sample, at[0] - border + i / edge, at[1] - 1 + i % edge);

        if (row) {
            read_row(t, &reader, edge, row + part, at[2] - 1, line);
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

INLINE void gradient_of(const int64_t m, const bool flat, const CpuTiles *t,
                        const CpuPlane *plane, int64_t part, int64_t sample, int64_t tile,
                        float *to, int64_t step)
{
    const int64_t edge = m + 2, m_d = flat ? 1 : m;
    const Reader plain = {.pending = false};
    Vec a[WINOGRAD_MOST], b[WINOGRAD_MOST], line[6];
    int64_t at[3];

    tile_origin(t, tile, at);
    for (int64_t i = 0; i < m_d * m; i++) {
        const float *row = row_of(t, plane, sample, at[0] + i / m, at[1] + i % m);

        for (int64_t e = 0; e < m; e++)
            line[e] = all(0.0f);
        if (row)
            read_row(t, &plain, m, row + part, at[2], line);
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

INLINE void output_of(const int64_t m, const bool flat, const CpuTiles *t,
                      const CpuPlane *plane, int64_t part, Vec bias, int64_t sample,
                      int64_t tile, const float *from, int64_t step)
{
    const int64_t edge = m + 2, m_d = flat ? 1 : m;
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
        float *row;

        if (h >= t->size[1])
            continue;
        row = plane->data + sample * plane->step
              + ((d * t->size[1] + h) * t->size[2] + at[2]) * CPU_BLOCK + part;
        output_line(m, b + i * edge, 1, line, 1);
        for (int64_t e = 0; e < m && at[2] + e < t->size[2]; e++) {
            const Vec y = line[e] + bias;

            store(row + e * CPU_BLOCK, plane->add ? y + load(row + e * CPU_BLOCK) : y);
        }
    }
}

/* ---- by m and flat -------------------------------------------------------------------- */

#define BY_TILES(t, call, ...)                                                                 \
    do {                                                                                       \
        if ((t)->m == 4 && !(t)->flat)                                                         \
            call(4, false, t, __VA_ARGS__);                                                    \
        else if (!(t)->flat)                                                                   \
            call(2, false, t, __VA_ARGS__);                                                    \
        else if ((t)->m == 4)                                                                  \
            call(4, true, t, __VA_ARGS__);                                                     \
        else                                                                                   \
            call(2, true, t, __VA_ARGS__);                                                     \
    } while (false)

void tile_input(const CpuTiles *t, const CpuPlane *plane, int64_t sample, int64_t tile,
                float *to, int64_t step)
{
    for (int64_t part = 0; part < CPU_BLOCK; part += LANES)
        BY_TILES(t, input_of, plane, part, sample, tile, to + part, step);
}

void tile_gradient(const CpuTiles *t, const CpuPlane *plane, int64_t part, int64_t sample,
                   int64_t tile, float *to, int64_t step)
{
    BY_TILES(t, gradient_of, plane, part, sample, tile, to, step);
}

void tile_output(const CpuTiles *t, const CpuPlane *plane, int64_t part, const float *bias,
                 int64_t sample, int64_t tile, const float *from, int64_t step)
{
    const Vec b = bias ? load(bias) : all(0.0f);

    BY_TILES(t, output_of, plane, part, b, sample, tile, from, step);
}
