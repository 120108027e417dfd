/* cpu_voxel.h - the numbers of a map as they lie in memory; kernels compute in f32.
 *
 * A wide plane has 16 numbers a voxel: f32, or bf16 where the kernels are built for that.  bf16
 * is the upper half of an f32, stored as the nearest there is, the even one of two.  A narrow
 * plane has as many numbers a voxel as channels, f32 always. */
#pragma once

#include "cpu_vector.h"

/* ---- wide planes ---------------------------------------------------------------------- */

#ifdef CPU_MAPS_BF16

typedef uint16_t Number;
typedef uint16_t Numbers __attribute__((vector_size(2 * LANES)));
typedef uint32_t Bits __attribute__((vector_size(4 * LANES)));

INLINE float number(Number from)
{
    const uint32_t bits = (uint32_t)from << 16;
    float to;

    memcpy(&to, &bits, sizeof to);
    return to;
}

INLINE Vec numbers_load(const Number *from)
{
    Numbers halves;

    memcpy(&halves, from, sizeof halves);
    return (Vec)(__builtin_convertvector(halves, Bits) << 16);
}

INLINE void numbers_store(Number *to, Vec v)
{
    const Bits bits = (Bits)v;
    const Bits nearest = bits + 0x7fff + ((bits >> 16) & 1);
    /* a carry must not make a number of what is none */
    const Bits kept = (Bits)where_number(v, (Vec)nearest, (Vec)(bits | 0x400000));
    const Numbers halves = __builtin_convertvector(kept >> 16, Numbers);

    memcpy(to, &halves, sizeof halves);
}

#else

typedef float Number;

INLINE float number(Number from)
{
    return from;
}

INLINE Vec numbers_load(const Number *from)
{
    return load(from);
}

INLINE void numbers_store(Number *to, Vec v)
{
    store(to, v);
}

#endif

/* ---- narrow planes: some lanes of a vector -------------------------------------------- */

#if defined(__AVX512F__)
typedef __mmask16 Some;

INLINE Some some_of(int64_t lanes)
{
    return (Some)((1u << lanes) - 1);
}

INLINE Vec some_load(const float *from, Some some)
{
    return _mm512_maskz_loadu_ps(some, from);
}

INLINE void some_store(float *to, Some some, Vec v)
{
    _mm512_mask_storeu_ps(to, some, v);
}
#elif defined(__AVX2__)
typedef __m256i Some;

INLINE Some some_of(int64_t lanes)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int32_t)lanes),
                              _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

INLINE Vec some_load(const float *from, Some some)
{
    return _mm256_maskload_ps(from, some);
}

INLINE void some_store(float *to, Some some, Vec v)
{
    _mm256_maskstore_ps(to, some, v);
}
#else
typedef int64_t Some;

INLINE Some some_of(int64_t lanes)
{
    return lanes;
}

INLINE Vec some_load(const float *from, Some some)
{
    float lanes[LANES] __attribute__((aligned(64))) = {0};

    for (int64_t l = 0; l < some; l++)
        lanes[l] = from[l];
    return load(lanes);
}

INLINE void some_store(float *to, Some some, Vec v)
{
    float lanes[LANES] __attribute__((aligned(64)));

    store(lanes, v);
    for (int64_t l = 0; l < some; l++)
        to[l] = lanes[l];
}
#endif

/* ---- either --------------------------------------------------------------------------- */

/* One vector of each voxel of a sample. */
typedef struct {
    Number *wide;
    float *narrow; /* NULL: it is wide */
    int64_t width; /* of a narrow voxel */
    Some some;     /* of its lanes */
} Voxels;

/* @narrow: plane->narrow, where it is known before. */
INLINE Voxels voxels_as(const CpuPlane *plane, const bool narrow, int64_t sample, int64_t part)
{
    const int64_t lanes = plane->lanes > part ? at_most(plane->lanes - part, LANES) : 0;

    if (!narrow)
        return (Voxels){.wide = (Number *)plane->data + sample * plane->step + part};
    return (Voxels){.narrow = (float *)plane->data + sample * plane->step + (lanes ? part : 0),
                    .width = plane->lanes,
                    .some = some_of(lanes)};
}

INLINE Voxels voxels_of(const CpuPlane *plane, int64_t sample, int64_t part)
{
    return voxels_as(plane, plane->narrow, sample, part);
}

INLINE Vec voxel_load(const Voxels *v, int64_t i)
{
    return v->narrow ? some_load(v->narrow + i * v->width, v->some)
                     : numbers_load(v->wide + i * CPU_BLOCK);
}

INLINE void voxel_store(const Voxels *v, int64_t i, Vec numbers)
{
    if (v->narrow)
        some_store(v->narrow + i * v->width, v->some, numbers);
    else
        numbers_store(v->wide + i * CPU_BLOCK, numbers);
}

INLINE float voxel_lane(const Voxels *v, int64_t i, int64_t lane)
{
    return v->narrow ? v->narrow[i * v->width + lane] : number(v->wide[i * CPU_BLOCK + lane]);
}

/* Voxel @i will be read soon; it may lie outside. */
INLINE void voxel_expect(const Voxels *v, int64_t i)
{
    __builtin_prefetch(v->narrow ? (const void *)(v->narrow + i * v->width)
                                 : (const void *)(v->wide + i * CPU_BLOCK));
}
