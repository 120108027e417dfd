/* openblas.h - what the files of the openblas backend share.
 *
 * A convolution is a sweep of tiles over the output.  For each tile the input voxels under the
 * kernel are gathered into a matrix small enough for the cache, and one GEMM does the work.
 * Tiles, and the order in which their sums are joined, depend on nothing but the shapes: any
 * number of threads gives the same bits. */
#pragma once

#include <loom/host.h>
#include <loom/loom.h>

#include <pthread.h>

/* Loops worth building for wider vectors.  Sanitizers cannot run the resolvers this needs. */
#if defined(__has_feature)
#define OPENBLAS_FEATURE(name) __has_feature(name)
#else
#define OPENBLAS_FEATURE(name) 0
#endif
#if defined(__x86_64__) && defined(__linux__) && !defined(__SANITIZE_ADDRESS__)                \
    && !defined(__SANITIZE_THREAD__) && !OPENBLAS_FEATURE(address_sanitizer)                   \
    && !OPENBLAS_FEATURE(thread_sanitizer) && !OPENBLAS_FEATURE(memory_sanitizer)
#define OPENBLAS_WIDE __attribute__((target_clones("default", "avx2", "avx512f")))
#else
#define OPENBLAS_WIDE
#endif

typedef struct {
    gint64 threads; /* the run makes the pool of this size */
    LoomPool *pool;
    gboolean opened;
    pthread_mutex_t lock; /* guards all below: two lanes may compute at once */
    float *workspace;     /* tile_floats a worker, then partial_floats */
    gint64 tile_floats, partial_floats;
} Openblas;

/* One convolution over all tiles: which voxels meet, and in what portions.
 *
 * Where the kernel has 3 taps along W and stride 1, these are folded into the rows of the
 * product instead of being gathered: Z[f] = W[.., f] X, y[w] = Z[0][w-1] + Z[1][w] + Z[2][w+1].
 * Gathering is then three times less, and a plain copy of whole rows. */
typedef struct {
    gint64 n, c_in, c_out;
    gint64 in[3], out[3], kernel[3], stride[3]; /* D, H, W */
    gint64 inner, outer;                        /* voxels of one channel */
    gint64 fold;                                /* 3 or 1 */
    gint64 taps;                                /* gathered for each channel: kernel / fold */
    gint64 rows;                                /* of out (D,H), in one tile */
    gint64 columns;                             /* rows * W */
    gint64 tiles;                               /* a sample */
    gint64 c_portion;                           /* input channels gathered at once */
} Sweep;

/* Up to two maps as if joined along C; data NULL: not there. */
typedef struct {
    float *data[2];
    gint64 channels[2];
    gint64 voxels;
} Joined;

struct _LoomBlock {
    LoomBlockSpec spec;
    gint64 c_in;         /* both inputs */
    gint64 inner, outer; /* voxels of one channel */
    gint64 taps;         /* kernel voxels */
    Sweep there;         /* x -> z; unless transposed */
    Sweep back;          /* dz -> dx; unless transposed or strided */
    gint64 columns;      /* transposed, or strided and back: voxels of a tile */
    gint64 slots;        /* partial sums of the weight gradient */
    float *matrix;       /* kernel in the order of `there`, then of the way back */
    float *z;            /* (N,K,out) before the norm; NULL unless training with norm */
    double *mean, *rstd; /* (N,K); NULL unless norm */
    double *sums;        /* (N,K,2), norm_backward's; NULL unless training */
};

static inline float *joined_plane(const Joined *maps, gint64 n, gint64 c)
{
    const guint side = c >= maps->channels[0];

    if (!maps->data[side])
        return NULL;
    return maps->data[side]
           + (n * maps->channels[side] + (side ? c - maps->channels[0] : c)) * maps->voxels;
}

/* openblas_block.c: the members of LoomBackend; the bytes include the block's share of the
 * workspace, which all blocks use in turn: a sum over blocks is an upper bound. */
LoomBlock *block_new(gpointer self, const LoomBlockSpec *spec, GError **error);
void block_free(gpointer self, LoomBlock *block);
guint64 block_bytes(gpointer self, const LoomBlockSpec *spec);
/* Is the gradient with respect to the input a convolution as well?  Without strides it is. */
gboolean block_turns(const LoomBlockSpec *spec);

/* openblas_gemm.c: C (m,n) = op(A) (m,k) op(B) (k,n) + beta C, all row-major, on one thread. */
typedef enum { GEMM_PLAIN, GEMM_LEFT_TURNED, GEMM_RIGHT_TURNED } GemmTurn;
gboolean gemm_open(GError **error);
void gemm(GemmTurn turn, const gint64 mnk[3], const float *a, gint64 lda, const float *b,
          gint64 ldb, float beta, float *c, gint64 ldc);

/* openblas_tile.c */
void sweep_init(Sweep *sweep, const LoomBlockSpec *spec, gboolean back);
gint64 sweep_tile_floats(const Sweep *sweep);
/* Rows of tile @tile: the first, and how many. */
gint64 sweep_rows(const Sweep *sweep, gint64 tile, gint64 *rows);
/* @to: (taps, rows * W) of one channel @plane (in). */
void tile_gather(const Sweep *sweep, const float *plane, gint64 row, gint64 rows, float *to);
/* @y: rows of one channel, @bias + the sum of the folds of @z, which is changed; @step: from
 * one fold to the next. */
void tile_unfold(const Sweep *sweep, float *z, gint64 step, gint64 columns, float bias,
                 gboolean add, float *y);
/* The transpose of tile_unfold: @to (fold, .., columns), @step apart, from one channel's rows.
 */
void tile_refold(const Sweep *sweep, const float *y, gint64 columns, gint64 step, float *to);

/* openblas_conv.c: @y = [@y +] @bias + convolution of @x; @bias may be NULL. */
void conv_matrix(Openblas *self, const LoomBlock *block, const float *kernel, gboolean back);
void conv_run(Openblas *self, const Sweep *sweep, const float *matrix, const Joined *x,
              const float *bias, const Joined *y, const gboolean add[2]);

/* openblas_gradient.c: @dw += , and @dx for blocks with strides. */
gint64 gradient_slots(const LoomBlock *block);
void gradient_kernel(Openblas *self, const LoomBlock *block, const Joined *x, const float *dz,
                     float *dw);
gint64 gradient_strided_floats(const LoomBlock *block);
void gradient_strided(Openblas *self, const LoomBlock *block, const float *kernel,
                      const float *dz, const Joined *dx, const gboolean add[2]);

/* openblas_up.c: the transposed convolution. */
gint64 up_columns(const LoomBlock *block);
gint64 up_tile_floats(const LoomBlock *block);
void up_forward(Openblas *self, const LoomBlock *block, const Joined *x,
                const LoomBlockWeights *w, float *z);
void up_backward(Openblas *self, const LoomBlock *block, const Joined *x, const float *kernel,
                 const float *dz, const Joined *dx, const gboolean add[2], float *dw);

/* openblas_norm.c: z -> y (may be the same memory); dy -> dz in place, with the gradients of
 * bias, scale and shift. */
void norm_forward(Openblas *self, LoomBlock *block, const LoomBlockWeights *w, const float *z,
                  float *y);
void norm_backward(Openblas *self, LoomBlock *block, const LoomBlockWeights *w, const float *y,
                   float *dy, const LoomBlockWeights *dw);
