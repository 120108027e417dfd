/* block_case.h - one block of a network, forward and backward, on any backend, with all that
 * comes out of it as plain arrays.  What goes in depends on the case alone. */
#pragma once

#include "plugin/instance.h"

#include <loom/loom.h>

/* Words for the tables of cases: kernels, strides, flags. */
/* clang-format off */
#define ONE   {1, 1, 1}
#define DOWN  {2, 2, 2}
#define THREE {3, 3, 3}
#define FLAT  {1, 2, 2}
#define KNIFE {1, 3, 3}
/* clang-format on */
#define YES TRUE
#define NO FALSE

typedef struct {
    const char *what; /* for messages */
    gint64 n, c_in[2], c_out, in[3], kernel[3], stride[3];
    gboolean transposed, norm, activation;
    gboolean unwanted[2], add[2]; /* the gradients of the inputs */
} BlockCase;

typedef enum {
    PART_Y,
    PART_DX0,
    PART_DX1,
    PART_KERNEL,
    PART_BIAS,
    PART_SCALE,
    PART_SHIFT,
    N_PARTS
} BlockPart;
extern const char *const block_part_names[N_PARTS];

typedef struct {
    gint64 count[N_PARTS]; /* 0: this case has no such part */
    float *part[N_PARTS];
} BlockResult;

LoomBlockSpec block_case_spec(const BlockCase *c, gboolean training);
/* How many values a part has, whether the case asks for it or not. */
gint64 block_case_count(const BlockCase *c, BlockPart part);
/* Uniform in [-1, 1): "x0", "x1", "kernel", "bias", "scale", "shift", "dy"; what a part holds
 * before it is added to: "before Y" and so on.  (transfer full), g_free */
float *block_case_input(const BlockCase *c, const char *name, gint64 count);

/* The backend of that name with its defaults, on a pool of its own. */
typedef struct {
    LoomNode *node; /* the instance borrows it for its messages */
    LoomInstance *instance;
    const LoomBackend *backend;
    gpointer self;
    LoomPool *pool;
    gboolean shares; /* maps lie in one arena, gradients where y and x lay if they may */
    gboolean whole;  /* what goes in is rounded to -1, 0 and 1 */
} BlockDevice;
BlockDevice *block_device_new(const char *name, guint threads);
void block_device_free(BlockDevice *device);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BlockDevice, block_device_free)

/* @training FALSE: forward alone. */
BlockResult *block_case_run(const BlockCase *c, const BlockDevice *device, gboolean training);
void block_result_free(BlockResult *result);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BlockResult, block_result_free)
/* |a - b| / |b| in the Euclidean norm; 0 where both are 0. */
double block_error(const float *a, const float *b, gint64 count);
