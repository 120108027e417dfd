/* cpu.h - what the files of the backend `cpu` share.
 *
 * An activation is (N, C/16, D, H, W, 16), C rounded up and the lanes behind it zero, in f32 or
 * in bf16; of 8 channels or fewer, as images and logits have, it is (N, D, H, W, C) in f32: no
 * more memory than bf16 takes, and nothing is rounded.  All sums are f32 or f64.  A block
 * leaves the bare sums of its convolution in its output map, and with the map the scale, shift
 * and slope that norm and activation come to: whoever reads the map next applies them, and
 * backward has the sums, which it needs.  Work is cut into portions by shape alone, so that any
 * number of threads gives the same bits. */
#pragma once

#define LOOM_HOST_OWN
#include <loom/host.h>
#include <loom/loom.h>

#include "cpu_kernels.h"

#include <pthread.h>

struct _LoomMap {
    guint8 *data;
    gint64 ncdhw[5], planes, voxels; /* planes of 16 channels a sample; voxels of one */
    gint64 width, bytes;             /* numbers of a voxel; bytes of a number */
    gboolean shared;                 /* the memory belongs to an arena */
    gboolean pending;                /* scale, shift and slope are still to be applied */
    float *scale, *shift;            /* (n, 16 planes) */
    float slope;
};

struct _LoomArray {
    float *data;
    gint64 count;
    guint64 version; /* changes whenever the numbers do */
};

typedef enum {
    CPU_PLAN_MEASURE,
    CPU_PLAN_FIXED,
    CPU_PLAN_DIRECT,
    CPU_PLAN_F2,
    CPU_PLAN_F4,
} CpuPlan;

typedef enum { CPU_F32, CPU_BF16, CPU_PRECISIONS } CpuPrecision;

typedef struct {
    gint64 threads; /* the run makes the pool of this size */
    int plan;       /* CpuPlan */
    int precision;  /* CpuPrecision: of the maps */

    LoomPool *pool;
    const CpuKernels *kernels;
    gboolean opened;
    gboolean several;     /* ranks: each has to choose the same */
    pthread_mutex_t lock; /* guards all below: two lanes may compute at once */
    float *workspace;
    gint64 workspace_floats;
    guint64 version;  /* the last one given */
    GHashTable *ways; /* shape -> the ways that were chosen for it, cpu_record.c */
    char *cache, *machine, *recorded;
} Cpu;

/* How one of forward, data gradient, weight gradient is done. */
typedef struct {
    gint64 m;        /* of F(m^3, 3^3) or F(m^2, 3^2); 0: direct */
    gboolean panels; /* Winograd: all tiles first, then panel by panel */
    CpuSweep sweep;  /* direct */
    CpuTiles tiles;  /* Winograd */
    gint64 slots;    /* weight gradient: partial sums */
    gint64 depth;    /* panels: input planes whose weights are transformed at a time */
} CpuWay;

typedef enum { CPU_FORWARD, CPU_BACK, CPU_GRADIENT, CPU_WAYS } CpuDirection;

struct _LoomBlock {
    LoomBlockSpec spec;
    gint64 n_in[2], n_out; /* planes of the maps */
    gint64 voxels;         /* of the output */
    CpuWay way[CPU_WAYS];
    CpuPlane *in, *out; /* as many as the maps have; filled in for each call */
    float *bias;        /* (16 n_out) */
    float *numbers;     /* mean, rstd, factor, sum, dot: (n, 16 n_out) each */
    double *sums;       /* (n, n_out, chunks, 2, 16) */
    gint64 chunks;      /* of a plane */
    float *packed;      /* inference: the weights as the kernels want them */
    guint64 packed_version;
};

/* cpu_isa.c: sets of instructions, and those of this processor. */
enum { CPU_HAS_AVX2 = 1, CPU_HAS_AVX512 = 2 };
guint isa_processor(void);
/* The widest kernels that this processor runs, or those that SEGLOOM_ISA names. */
const CpuKernels *isa_choose(CpuPrecision precision, GError **error);
/* The same for a processor that @has some sets; @wanted NULL: the widest. */
const CpuKernels *isa_pick(guint has, const char *wanted, CpuPrecision precision,
                           GError **error);

/* cpu_memory.c: zeroed, 64-byte aligned, for free(); LOOM_ERROR_LIMIT names @what. */
float *memory_new(gint64 floats, const char *what, GError **error);
/* The same, but not touched yet: until it is written to, it is an address and no memory. */
float *memory_take(gint64 floats, const char *what, GError **error);
/* What either asks for: whole cache lines. */
guint64 memory_bytes(gint64 floats);

/* cpu_map.c */
LoomMap *map_new(gpointer self, const gint64 ncdhw[5], GError **error);
void map_free(gpointer self, LoomMap *map);
guint64 map_bytes(gpointer self, const gint64 ncdhw[5]);
LoomArena *arena_new(gpointer self, guint64 bytes, GError **error);
void arena_free(gpointer self, LoomArena *arena);
LoomMap *arena_map(gpointer self, LoomArena *arena, guint64 offset, const gint64 ncdhw[5],
                   GError **error);
void map_import(gpointer self, const LoomTensor *from, LoomMap *to);
void map_export(gpointer self, const LoomMap *from, LoomTensor *to);
/* Planes of 16 channels that @channels need. */
gint64 map_planes(gint64 channels);
CpuPlane map_plane(const LoomMap *map, gint64 plane);
/* The planes of @map, whose first channel is @first of the block's. */
void map_to_planes(const LoomMap *map, gint64 first, gboolean add, CpuPlane *planes);

/* cpu_array.c */
LoomArray *array_new(gpointer self, gint64 count, GError **error);
void array_free(gpointer self, LoomArray *array);
void array_write(gpointer self, LoomArray *array, const float *from);
void array_read(gpointer self, const LoomArray *array, float *to);
void array_zero(gpointer self, LoomArray *array);
double array_norm2(gpointer self, const LoomArray *array);
void array_sgd(gpointer self, const LoomSgdUpdate *update, LoomArray *value,
               const LoomArray *grad, LoomArray *velocity);
void array_adam(gpointer self, const LoomAdamUpdate *update, LoomArray *value,
                const LoomArray *grad, LoomArray *mean, LoomArray *square);

/* cpu_sweep.c */
void sweep_forward(CpuSweep *sweep, const LoomBlockSpec *spec);
void sweep_back(CpuSweep *sweep, const LoomBlockSpec *spec);
/* The box: as large as fits @floats where a voxel of the slab takes @slab and one of the grid
 * @grid floats, but at least @items of them where there are so many rows. */
void sweep_box(CpuSweep *sweep, gint64 slab, gint64 grid, gint64 floats, gint64 items);
gint64 sweep_items(const CpuSweep *sweep);
gint64 sweep_taps(const CpuSweep *sweep);

/* cpu_block.c */
LoomBlock *block_new(gpointer self, const LoomBlockSpec *spec, GError **error);
void block_free(gpointer self, LoomBlock *block);
guint64 block_bytes(gpointer self, const LoomBlockSpec *spec);
guint64 block_workspace(gpointer self, const LoomBlockSpec *spec);

/* cpu_plan.c: how each direction of a block is done. */
void plan_block(Cpu *cpu, LoomBlock *block);

/* Has it 3x3x3 or 1x3x3 taps and no stride? */
gboolean plan_winograd(const LoomBlockSpec *spec);

/* cpu_measure.c: m of the fastest way for each direction of a convolution that fits Winograd;
 * FALSE: there was not the memory to find out. */
gboolean measure_ways(const Cpu *owner, const LoomBlockSpec *spec, gint64 m[CPU_WAYS]);

/* cpu_record.c: the same from where it was written down, measured only where it is not. */
void record_open(Cpu *cpu, LoomHost *host);
void record_close(Cpu *cpu);
gboolean record_find(Cpu *cpu, const LoomBlockSpec *spec, gint64 m[CPU_WAYS]);
/* Name and revision of the first processor in the text of /proc/cpuinfo; (transfer full). */
char *record_processor(const char *cpuinfo);

/* cpu_convolve.c; convolve_floats: of the workspace, what one of these needs at most;
 * convolve_kept_floats: of packed weights that inference keeps. */
gint64 convolve_floats(const Cpu *cpu, const LoomBlock *block);
gint64 convolve_kept_floats(const Cpu *cpu, const LoomBlock *block);
void convolve_forward(Cpu *cpu, LoomBlock *block, const LoomMap *const x[2],
                      const LoomBlockWeights *w, LoomMap *y);
void convolve_back(Cpu *cpu, LoomBlock *block, const LoomBlockWeights *w, const LoomMap *dz,
                   const LoomBlockGradient dx[2]);
void convolve_gradient(Cpu *cpu, LoomBlock *block, const LoomMap *const x[2], const LoomMap *dz,
                       const LoomBlockWeights *w, LoomArray *dw);

/* cpu_norm.c: what is pending on the sums in @y; dy -> dz in place, with the gradients of bias,
 * scale and shift. */
void norm_forward(Cpu *cpu, LoomBlock *block, const LoomBlockWeights *w, LoomMap *y);
void norm_backward(Cpu *cpu, LoomBlock *block, const LoomBlockWeights *w, const LoomMap *y,
                   LoomMap *dy, const LoomBlockWeights *dw);
