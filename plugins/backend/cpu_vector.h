/* cpu_vector.h - the vector of the instruction set that a kernel file is built for. */
#pragma once

#include "cpu_kernels.h"

#include <string.h>

#if defined(__AVX512F__)
#include <immintrin.h>
#define CPU_ISA avx512
#define LANES 16
#define ROWS 14 /* of a product: ROWS x 2 sums, 2 weights and 1 factor fill the registers */
#define OUTER 8 /* rows of an outer product */
#elif defined(__AVX2__)
#include <immintrin.h>
#define CPU_ISA avx2
#define LANES 8
#define ROWS 6
#define OUTER 6
#else
#define CPU_ISA portable
#define LANES 4
#define ROWS 6
#define OUTER 4
#endif
#define PANEL (2 * LANES)
#define PARTS (CPU_BLOCK / LANES) /* vectors of a plane's voxel */

#ifdef CPU_MAPS_BF16
#define CPU_NAME_2(name, isa) name##_##isa##_bf16
#else
#define CPU_NAME_2(name, isa) name##_##isa
#endif
#define CPU_NAME_1(name, isa) CPU_NAME_2(name, isa)
#define CPU_NAME(name) CPU_NAME_1(name, CPU_ISA)

#define INLINE static inline __attribute__((always_inline))

typedef float Vec
    __attribute__((vector_size(4 * LANES), aligned(64 < 4 * LANES ? 64 : 4 * LANES)));
typedef int32_t VecInt __attribute__((vector_size(4 * LANES)));

INLINE Vec load(const float *from)
{
    return *(const Vec *)__builtin_assume_aligned(from, sizeof(Vec));
}

INLINE void store(float *to, Vec v)
{
    *(Vec *)__builtin_assume_aligned(to, sizeof(Vec)) = v;
}

INLINE Vec all(float x)
{
    return (Vec){0} + x;
}

/* u > 0 ? a : b, lane by lane. */
INLINE Vec where_positive(Vec u, Vec a, Vec b)
{
#if defined(__AVX512F__)
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(u, _mm512_setzero_ps(), _CMP_GT_OQ), b, a);
#elif defined(__AVX2__)
    return _mm256_blendv_ps(b, a, _mm256_cmp_ps(u, _mm256_setzero_ps(), _CMP_GT_OQ));
#else
    const VecInt mask = u > 0;

    return (Vec)(((VecInt)a & mask) | ((VecInt)b & ~mask));
#endif
}

/* u is a number ? a : b, lane by lane. */
INLINE Vec where_number(Vec u, Vec a, Vec b)
{
#if defined(__AVX512F__)
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(u, u, _CMP_ORD_Q), b, a);
#elif defined(__AVX2__)
    return _mm256_blendv_ps(b, a, _mm256_cmp_ps(u, u, _CMP_ORD_Q));
#else
    const VecInt mask = u == u;

    return (Vec)(((VecInt)a & mask) | ((VecInt)b & ~mask));
#endif
}

INLINE Vec leaky(Vec u, float slope)
{
    return where_positive(u, u, u * slope);
}

/* A voxel of a plane as its reader sees it. */
INLINE Vec normed(Vec v, Vec scale, Vec shift, float slope)
{
    return leaky(v * scale + shift, slope);
}

INLINE int64_t at_most(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Vectors of a panel: the last one may be half. */
INLINE int64_t panel_vectors(int64_t n_out, int64_t panel)
{
    return at_most(2, n_out * PARTS - 2 * panel);
}

INLINE int64_t panels_of(int64_t n_out)
{
    return (n_out * PARTS + 1) / 2;
}

/* The channel of @planes that lane 0 of vector @v has. */
INLINE const CpuPlane *vector_plane(const CpuPlane *planes, int64_t v)
{
    return &planes[v / PARTS];
}

INLINE int64_t channels_of(const CpuPlane *planes, int64_t n)
{
    int64_t sum = 0;

    for (int64_t i = 0; i < n; i++)
        sum += planes[i].lanes;
    return sum;
}

/* cpu_kernel_product.c */

/* @to (rows, 16 lanes times vectors): to[r] [+]= sum over segments and their depth of
 *   a[offset + 16 r + c] b[c], b (sum of depths, vectors) */
typedef struct {
    const int32_t *offset, *depth;
    int64_t n;
} Segments;
#define product CPU_NAME(cpu_product)
void product(int64_t rows, int64_t vectors, const Segments *segments, const float *a,
             const float *b, float *to, bool add);

/* to[c] [+]= sum over runs and t < length of a[16 t + c] b[t], @depth rows of @vectors, all
 * without gaps. */
typedef struct {
    const float *a, *b;
    int64_t a_step, b_step, n, length;
    bool begin; /* with nothing: what is there does not count */
} Runs;
#define outer CPU_NAME(cpu_outer)
void outer(int64_t depth, int64_t vectors, const Runs *runs, float *to);
/* Sums of outer products lie as (panel, 16 rows, channels of the panel): where row @c of vector
 * @v is. */
INLINE int64_t outer_place(int64_t n_out, int64_t c, int64_t v)
{
    return v / 2 * PANEL * CPU_BLOCK + (c * panel_vectors(n_out, v / 2) + v % 2) * LANES;
}

/* cpu_kernel_slab.c */
#define slab_fill CPU_NAME(cpu_slab_fill)
void slab_fill(const CpuSweep *sweep, const CpuPlane *plane, int64_t sample,
               const int64_t origin[3], float *slab);
/* Of a tap in the slab of its plane. */
#define slab_offset CPU_NAME(cpu_slab_offset)
int64_t slab_offset(const CpuSweep *sweep, const int64_t tap[3]);
