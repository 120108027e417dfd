/* cpu_kernels.h - what the inner loops of the backend `cpu` are told, and their table.
 *
 * An activation is a list of planes of 16 channels, each plane (D,H,W,16) in memory, so that
 * one vector holds 16 channels of one voxel.  The files cpu_kernel_*.c are built once for every
 * instruction set with their own name for each function; nothing of GLib is known to them. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define CPU_BLOCK 16 /* channels of a plane */
#define CPU_TAPS 27  /* at most, of a kernel */
#define CPU_CLASSES 8
#define CPU_CHUNK 4096 /* voxels whose sums are taken by one thread */

/* One plane of one sample after the other.  With `scale` it holds what a norm is still to be
 * applied to: y = leaky(scale v + shift), one number a sample and channel. */
typedef struct {
    void *data;   /* cpu_voxel.h knows how its numbers lie */
    int64_t step; /* numbers from one sample to the next */
    const float *scale, *shift;
    int64_t scale_step;
    float slope;   /* of leaky, below 0 */
    int64_t first; /* its first channel, as the kernel counts */
    int64_t lanes; /* channels in it: 1 .. 16, zeros behind */
    bool narrow;   /* no zeros behind */
    bool add;      /* written to: adds to what is there */
} CpuPlane;

/* A kernel (out, in, taps) or (in, out, taps) as it lies in the model's memory. */
typedef struct {
    const float *data;
    int64_t in_step, out_step, taps;
} CpuWeights;

/* ---- direct convolution --------------------------------------------------------------- */

typedef struct {
    int64_t offset[3]; /* input voxel = grid * in_step + offset */
    int64_t index;     /* in the kernel */
} CpuTap;

/* out[grid * out_step + offset] = sum over taps of w[tap] in[grid * in_step + tap] */
typedef struct {
    int64_t offset[3];
    int64_t n_taps;
    CpuTap tap[CPU_TAPS];
} CpuClass;

/* A whole convolution, transposed convolution or data gradient.  Work comes in boxes of the
 * grid; a box reads a slab of input, copied with its border of zeros, the norm applied, and
 * the voxels sorted by their place in the stride, so that all taps step by one voxel. */
typedef struct {
    int64_t n, in[3], out[3], grid[3], in_step[3], out_step[3];
    int64_t low[3], range[3]; /* smallest tap offset; largest - smallest */
    int64_t n_classes;
    CpuClass class[CPU_CLASSES];
    int64_t box[3], boxes[3];             /* grid voxels of a box; boxes along each axis */
    int64_t slab_d, slab_h, slab_w, rows; /* of one phase; grid positions of a box plane */
    int64_t plane_floats;                 /* slab of one input plane */
} CpuSweep;

typedef struct {
    const CpuSweep *sweep;
    const CpuPlane *in, *out;
    int64_t n_in, n_out;
    const float *packed; /* from direct_pack */
    const float *bias;   /* (n_out, 16); NULL: none */
} CpuDirect;

/* The weight gradient: parts (slots, n_in, taps, panels of 16 rows), each the sum over its
 * boxes. */
typedef struct {
    const CpuSweep *sweep;
    const CpuPlane *in, *out; /* x; dz */
    int64_t n_in, n_out, slots;
    float *parts;
} CpuDirectGradient;

/* ---- Winograd ------------------------------------------------------------------------- */

/* F(m^3, 3^3): tiles of m^3 voxels, `block` of them at a time in cache.  Flat: F(m^2, 3^2) for
 * kernels 1x3x3, tiles of 1 x m x m. */
typedef struct {
    int64_t n, size[3], m, tiles[3];
    bool flat;
    int64_t block, blocks; /* tiles of a block; blocks of a sample */
} CpuTiles;

typedef struct {
    const CpuTiles *tiles;
    const CpuPlane *in, *out;
    int64_t n_in, n_out;
    const float *u; /* from winograd_pack */
    const float *bias;
} CpuWinograd;

/* dU, (slots, points, n_in, panels of 16 rows), each the sum over its blocks. */
typedef struct {
    const CpuTiles *tiles;
    const CpuPlane *in, *out;
    int64_t n_in, n_out, slots;
    float *parts;
} CpuWinogradGradient;

/* The same by panels, for few tiles and many channels, whose transformed weights are far more
 * than all else: first all tiles of all samples are transformed, then one panel of output
 * channels at a time is made, from the weights of `depth` input planes at a time, which stay in
 * cache.  tiles->block: all tiles of all samples. */
typedef struct {
    const CpuTiles *tiles;
    const CpuPlane *in, *out;
    int64_t n_in, n_out;
    int64_t depth, parts; /* parts: of the tiles of a panel */
    const CpuWeights *weights;
    bool flipped;
    const float *bias;
    float *v, *w; /* transformed input; weight gradient: transformed dz */
} CpuPanels;

/* ---- normalisation -------------------------------------------------------------------- */

/* Of one plane and sample: what backward reads, writes and multiplies with. */
typedef struct {
    CpuPlane z, dy;
    int64_t sample;
    const float *scale, *shift;      /* as the forward pass had them; 16 each */
    const float *mean, *rstd;        /* 16 each */
    const float *factor, *sum, *dot; /* dz = factor (g - sum - h dot); sum, dot: means */
    float slope;
} CpuNorm;

/* ---- the table ------------------------------------------------------------------------ */

typedef struct {
    const char *name;
    int64_t panel; /* channels that one product makes */
    int64_t rows;  /* voxels or tiles of one product */
    /* floats of the packed weights; packs the part @item of direct_pack_items */
    int64_t (*direct_floats)(const CpuDirect *direct);
    int64_t (*direct_pack_items)(const CpuDirect *direct);
    void (*direct_pack)(const CpuDirect *direct, const CpuWeights *w, float *packed,
                        int64_t item);
    int64_t (*direct_scratch)(const CpuDirect *direct);
    void (*direct_box)(const CpuDirect *direct, int64_t item, float *scratch);
    int64_t (*gradient_scratch)(const CpuDirectGradient *gradient);
    void (*gradient_part)(const CpuDirectGradient *gradient, int64_t item, float *scratch);
    /* @item: input plane; @dw as @w lies */
    void (*gradient_sum)(const CpuDirectGradient *gradient, const CpuWeights *w, float *dw,
                         int64_t item);

    int64_t (*winograd_floats)(const CpuWinograd *winograd);
    int64_t (*winograd_pack_items)(const CpuWinograd *winograd);
    void (*winograd_pack)(const CpuWinograd *winograd, const CpuWeights *w, bool flipped,
                          float *u, int64_t item);
    int64_t (*winograd_scratch)(const CpuWinograd *winograd);
    void (*winograd_block)(const CpuWinograd *winograd, int64_t item, float *scratch);
    int64_t (*winograd_gradient_scratch)(const CpuWinogradGradient *gradient);
    void (*winograd_gradient_part)(const CpuWinogradGradient *gradient, int64_t slot,
                                   float *scratch);
    void (*winograd_gradient_sum)(const CpuWinogradGradient *gradient, const CpuWeights *w,
                                  float *dw, int64_t item);

    /* by panels: what is transformed first, an item a plane and sample; then the panels */
    void (*panels_input)(const CpuPanels *panels, int64_t item);
    void (*panels_output)(const CpuPanels *panels, int64_t item);
    int64_t (*panels_scratch)(const CpuPanels *panels);
    void (*panels_part)(const CpuPanels *panels, int64_t item, float *scratch);
    int64_t (*panels_gradient_items)(const CpuPanels *panels);
    int64_t (*panels_gradient_scratch)(const CpuPanels *panels);
    void (*panels_gradient)(const CpuPanels *panels, int64_t item, float *dw, float *scratch);

    /* Of @voxels from @first on.  Sums, 16 numbers each: of v - pivot and its square. */
    void (*sums)(const CpuPlane *plane, int64_t sample, int64_t first, int64_t voxels,
                 const float *pivot, double *sum, double *square);
    /* g = dy leaky'(u), sums of g and of g h; g is not kept */
    void (*norm_sums)(const CpuNorm *norm, int64_t first, int64_t voxels, double *sum,
                      double *dot);
    void (*norm_back)(const CpuNorm *norm, int64_t first, int64_t voxels);
    void (*leak_back)(const CpuNorm *norm, int64_t first, int64_t voxels);
    /* The numbers of the first voxel, 16. */
    void (*first_voxel)(const CpuPlane *plane, int64_t sample, float *to);
    /* Channels in plain memory, @step apart. */
    void (*to_plane)(const float *from, int64_t step, const CpuPlane *plane, int64_t sample,
                     int64_t first, int64_t voxels);
    void (*from_plane)(const CpuPlane *plane, int64_t sample, int64_t first, int64_t voxels,
                       float *to, int64_t step);
    void (*sgd)(const double *update, int64_t count, float *w, const float *dw, float *v);
    void (*adam)(const double *update, int64_t count, float *w, const float *dw, float *m,
                 float *s);
} CpuKernels;

/* For maps of f32, and for maps of bf16. */
extern const CpuKernels cpu_kernels_avx512, cpu_kernels_avx2, cpu_kernels_portable;
extern const CpuKernels cpu_kernels_avx512_bf16, cpu_kernels_avx2_bf16,
    cpu_kernels_portable_bf16;
