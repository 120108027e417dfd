/* cpu_kernel_product - the two products that all convolutions come down to:
 *   rows of voxels or tiles times a panel of weights,     to[r] = sum over c of a[r, c] b[c]
 *   sums of outer products for weight gradients,          to[c] += sum over t of a[t, c] b[t]
 * The sums stay in registers.  Source: Goto, van de Geijn 2008; Georganas et al. 2018 (direct
 * convolutions as batched small products). */
#include "cpu_vector.h"

/* ---- rows times panel ----------------------------------------------------------------- */

INLINE void product_of(const int64_t rows, const int64_t vectors, const Segments *s,
                       const float *a, const float *b, float *to, const bool add)
{
    Vec sum[ROWS][2];

    for (int64_t r = 0; r < rows; r++)
        sum[r][0] = sum[r][1] = all(0.0f);
    for (int64_t r = 0; add && r < rows; r++)
        for (int64_t v = 0; v < vectors; v++)
            sum[r][v] = load(to + (r * vectors + v) * LANES);
    for (int64_t i = 0; i < s->n; i++) {
        const float *from = a + s->offset[i];

        for (int32_t c = 0; c < s->depth[i]; c++, b += vectors * LANES) {
            const Vec b0 = load(b), b1 = vectors == 2 ? load(b + LANES) : b0;

#pragma GCC unroll 16
            for (int64_t r = 0; r < rows; r++) {
                sum[r][0] += from[r * CPU_BLOCK + c] * b0;
                if (vectors == 2)
                    sum[r][1] += from[r * CPU_BLOCK + c] * b1;
            }
        }
    }
    for (int64_t r = 0; r < rows; r++)
        for (int64_t v = 0; v < vectors; v++)
            store(to + (r * vectors + v) * LANES, sum[r][v]);
}

#define PRODUCT(r)                                                                             \
    case r:                                                                                    \
        if (vectors == 2 && !add)                                                              \
            product_of(r, 2, segments, a, b, to, false);                                       \
        else if (!add)                                                                         \
            product_of(r, 1, segments, a, b, to, false);                                       \
        else if (vectors == 2)                                                                 \
            product_of(r, 2, segments, a, b, to, true);                                        \
        else                                                                                   \
            product_of(r, 1, segments, a, b, to, true);                                        \
        break

void product(int64_t rows, int64_t vectors, const Segments *segments, const float *a,
             const float *b, float *to, bool add)
{
    switch (rows) {
        PRODUCT(1);
        PRODUCT(2);
        PRODUCT(3);
        PRODUCT(4);
        PRODUCT(5);
        PRODUCT(6);
#if ROWS > 6
        PRODUCT(7);
        PRODUCT(8);
        PRODUCT(9);
        PRODUCT(10);
        PRODUCT(11);
        PRODUCT(12);
        PRODUCT(13);
        PRODUCT(14);
#endif
    default:
        __builtin_unreachable();
    }
}

/* ---- sums of outer products ----------------------------------------------------------- */

INLINE void outer_of(const int64_t depth, const int64_t vectors, const Runs *runs,
                     int64_t first, float *to, const bool begin)
{
    Vec sum[OUTER][2];

    for (int64_t c = 0; c < depth; c++)
        for (int64_t v = 0; v < vectors; v++)
            sum[c][v] = begin ? all(0.0f) : load(to + (c * vectors + v) * LANES);
    for (int64_t i = 0; i < runs->n; i++) {
        const float *a = runs->a + i * runs->a_step + first, *b = runs->b + i * runs->b_step;

        for (int64_t t = 0; t < runs->length; t++, a += CPU_BLOCK, b += vectors * LANES) {
            const Vec b0 = load(b), b1 = vectors == 2 ? load(b + LANES) : b0;

#pragma GCC unroll 8
            for (int64_t c = 0; c < depth; c++) {
                sum[c][0] += a[c] * b0;
                if (vectors == 2)
                    sum[c][1] += a[c] * b1;
            }
        }
    }
    for (int64_t c = 0; c < depth; c++)
        for (int64_t v = 0; v < vectors; v++)
            store(to + (c * vectors + v) * LANES, sum[c][v]);
}

INLINE void outer_rows(int64_t depth, const int64_t vectors, const Runs *runs, float *to,
                       const bool begin)
{
    int64_t c = 0;

    for (; c + OUTER <= depth; c += OUTER)
        outer_of(OUTER, vectors, runs, c, to + c * vectors * LANES, begin);
#if CPU_BLOCK % OUTER
    for (; c + CPU_BLOCK % OUTER <= depth; c += CPU_BLOCK % OUTER)
        outer_of(CPU_BLOCK % OUTER, vectors, runs, c, to + c * vectors * LANES, begin);
#endif
    for (; c < depth; c++)
        outer_of(1, vectors, runs, c, to + c * vectors * LANES, begin);
}

void outer(int64_t depth, int64_t vectors, const Runs *runs, float *to)
{
    if (vectors == 2 && !runs->begin)
        outer_rows(depth, 2, runs, to, false);
    else if (!runs->begin)
        outer_rows(depth, 1, runs, to, false);
    else if (vectors == 2)
        outer_rows(depth, 2, runs, to, true);
    else
        outer_rows(depth, 1, runs, to, true);
}
