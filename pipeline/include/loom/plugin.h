/* loom/plugin.h - the ABI: what a plugin says about itself, and what the engine calls.
 *
 * A module is one shared object that exports one symbol, `loom_module`.  It lists plugins; each
 * is a const descriptor whose first member is a LoomPlugin.  The engine allocates an instance,
 * fills its parameters from the YAML by the rows in `params`, and calls `open`. */
#pragma once

#include <glib.h>
#include <stddef.h>

G_BEGIN_DECLS

#define LOOM_ABI_MAJOR 1 /* a struct below changed its layout or its meaning */
#define LOOM_ABI_MINOR 6 /* something was added at the END of a descriptor */
#define LOOM_EXPORT __attribute__((visibility("default")))

typedef struct _LoomTensor LoomTensor;   /* refcounted, contiguous, rank <= 5 */
typedef struct _LoomPacket LoomPacket;   /* one sample: named tensors, and where it came from */
typedef struct _LoomContext LoomContext; /* lent for one call: random numbers, push, stopping */
typedef struct _LoomHost LoomHost;       /* services at open: backend, data, folder, threads */
typedef struct _LoomTape LoomTape;       /* what a model's forward keeps for its backward */

/* ---- errors and flow ---------------------------------------------------------------- */

#define LOOM_ERROR (loom_error_quark())
typedef enum {
    LOOM_ERROR_CONFIG,  /* the YAML, or the command line, asks for what cannot be */
    LOOM_ERROR_PLUGIN,  /* a module is missing, too new, or broke its contract */
    LOOM_ERROR_IO,      /* the outside world: file, socket */
    LOOM_ERROR_FORMAT,  /* bytes that are not what they claim to be */
    LOOM_ERROR_SHAPE,   /* dtype, rank or size does not fit */
    LOOM_ERROR_NUMERIC, /* NaN, Inf, a mean over nothing */
    LOOM_ERROR_LIMIT,   /* more memory or more items than allowed */
} LoomErrorCode;

typedef enum {
    LOOM_FLOW_FAIL = FALSE, /* *error is set: then, and only then */
    LOOM_FLOW_OK,           /* go on */
    LOOM_FLOW_STOP,         /* orderly: data used up, downstream has enough, Ctrl-C */
} LoomFlow;

LOOM_EXPORT GQuark loom_error_quark(void);

/* Sets @error and returns FALSE, which is LOOM_FLOW_FAIL as well. */
LOOM_EXPORT gboolean loom_fail(GError **error, LoomErrorCode code, const char *format, ...)
    G_GNUC_PRINTF(3, 4);
#define loom_fail_null(...) (loom_fail(__VA_ARGS__), NULL)
/* The same with the name by which lists of problems call it: "E-NII-SHORT", static. */
LOOM_EXPORT gboolean loom_fail_as(GError **error, const char *name, LoomErrorCode code,
                                  const char *format, ...) G_GNUC_PRINTF(4, 5);
#define loom_fail_as_null(...) (loom_fail_as(__VA_ARGS__), NULL)
/* That name; "E-FORMAT", "E-IO" ... where it has none. */
LOOM_EXPORT const char *loom_error_name(const GError *error);
/* Gives a name to an error that has none yet; @error may be NULL. */
LOOM_EXPORT void loom_error_call(GError *error, const char *name);

/* ---- parameters: one row is YAML key, check, default and documentation -------------- */

typedef enum {
    LOOM_PARAM_BOOL = 1, /* gboolean */
    LOOM_PARAM_INT,      /* gint64 */
    LOOM_PARAM_BYTES,    /* guint64; "4GiB", "512MiB", "100kB" or a plain number */
    LOOM_PARAM_FLOAT,    /* double */
    LOOM_PARAM_STRING,   /* char *, the engine's; NULL where the default is "" */
    LOOM_PARAM_PATH,     /* char *, absolute; relative to the file that holds the key */
    LOOM_PARAM_ENUM,     /* int, index into choices */
    LOOM_PARAM_INTS,     /* LoomInts; a sequence in a sequence is flattened */
    LOOM_PARAM_FLOATS,   /* LoomFloats */
    LOOM_PARAM_PLUGIN,   /* LoomInstance *, a nested {use: name, ...} of one kind */
    LOOM_PARAM_PLUGINS,  /* LoomInstances, a sequence of such */
    LOOM_PARAM_MODEL,    /* LoomInstance *, an id under "models:" */
    LOOM_PARAM_GRAPH,    /* char *, an id under "graphs:" */
    LOOM_PARAM_CHOICES,  /* LoomInts, indices into choices: a list of what an ENUM may be */
    LOOM_PARAM_STRINGS,  /* char **, ends with NULL; NULL where the sequence is empty */
    LOOM_PARAM_MAP,      /* char **: key, value, key, value ...; a sequence as "1,2,3" */
} LoomParamType;

typedef struct _LoomPlugin LoomPlugin;

/* A plugin with its parameters filled in and opened; what nested parameters point to. */
typedef struct {
    const LoomPlugin *plugin;
    gpointer self;
    const char *id; /* the name it has in the YAML: a stage, a model; else the plugin's name */
} LoomInstance;

typedef struct {
    gint64 *v;
    guint n;
} LoomInts;

typedef struct {
    double *v;
    guint n;
} LoomFloats;

typedef struct {
    LoomInstance **v;
    guint n;
} LoomInstances;

typedef struct {
    const char *name;           /* YAML key = C member; written once, by the macro */
    LoomParamType type;         /* of the member */
    gsize offset;               /* of the member */
    const char *def;            /* default in YAML spelling; NULL means required */
    double min, max;            /* numbers, each item of a sequence: both ends allowed */
    const char *const *choices; /* enum: the spellings; plugins: the kind's name */
    const char *unit;           /* "HU", "mm", "voxels"; NULL is a pure number */
    const char *help;           /* one line */
} LoomParam;

/* Compiles only when the member has the C type that the row promises. */
#define LOOM_MEMBER(T, m, ctype) _Generic(((T *)0)->m, ctype : offsetof(T, m))
#define LOOM_BOOL(T, m, def, help)                                                             \
    {                                                                                          \
#m, LOOM_PARAM_BOOL, LOOM_MEMBER(T, m, gboolean), def, 0, 1, NULL, NULL, help          \
    }
#define LOOM_INT(T, m, def, min, max, unit, help)                                              \
    {                                                                                          \
#m, LOOM_PARAM_INT, LOOM_MEMBER(T, m, gint64), def, min, max, NULL, unit, help         \
    }
#define LOOM_BYTES(T, m, def, min, max, help)                                                  \
    {                                                                                          \
#m, LOOM_PARAM_BYTES, LOOM_MEMBER(T, m, guint64), def, min, max, NULL, "bytes", help   \
    }
#define LOOM_FLOAT(T, m, def, min, max, unit, help)                                            \
    {                                                                                          \
#m, LOOM_PARAM_FLOAT, LOOM_MEMBER(T, m, double), def, min, max, NULL, unit, help       \
    }
#define LOOM_STRING(T, m, def, help)                                                           \
    {                                                                                          \
#m, LOOM_PARAM_STRING, LOOM_MEMBER(T, m, char *), def, 0, 0, NULL, NULL, help          \
    }
#define LOOM_PATH(T, m, def, help)                                                             \
    {                                                                                          \
#m, LOOM_PARAM_PATH, LOOM_MEMBER(T, m, char *), def, 0, 0, NULL, NULL, help            \
    }
#define LOOM_ENUM(T, m, def, choices, help)                                                    \
    {                                                                                          \
#m, LOOM_PARAM_ENUM, LOOM_MEMBER(T, m, int), def, 0, 0, choices, NULL, help            \
    }
#define LOOM_CHOICES(T, m, def, choices, help)                                                 \
    {                                                                                          \
#m, LOOM_PARAM_CHOICES, LOOM_MEMBER(T, m, LoomInts), def, 0, 0, choices, NULL, help    \
    }
#define LOOM_INTS(T, m, def, min, max, unit, help)                                             \
    {                                                                                          \
#m, LOOM_PARAM_INTS, LOOM_MEMBER(T, m, LoomInts), def, min, max, NULL, unit, help      \
    }
#define LOOM_FLOATS(T, m, def, min, max, unit, help)                                           \
    {                                                                                          \
#m, LOOM_PARAM_FLOATS, LOOM_MEMBER(T, m, LoomFloats), def, min, max, NULL, unit, help  \
    }
/* kind: "loss", "metric", ...  def is NULL (required) or "{use: name}". */
#define LOOM_USE(T, m, def, kind, help)                                                        \
    {                                                                                          \
#m, LOOM_PARAM_PLUGIN, LOOM_MEMBER(T, m, LoomInstance *), def, 0, 0,                   \
            (const char *const[]){kind, NULL }, NULL, help                                     \
    }
#define LOOM_USES(T, m, def, kind, help)                                                       \
    {                                                                                          \
#m, LOOM_PARAM_PLUGINS, LOOM_MEMBER(T, m, LoomInstances), def, 0, 0,                   \
            (const char *const[]){kind, NULL }, NULL, help                                     \
    }
#define LOOM_MODEL_ID(T, m, help)                                                              \
    {                                                                                          \
#m, LOOM_PARAM_MODEL, LOOM_MEMBER(T, m, LoomInstance *), NULL, 0, 0, NULL, NULL, help  \
    }
#define LOOM_GRAPH_ID(T, m, help)                                                              \
    {                                                                                          \
#m, LOOM_PARAM_GRAPH, LOOM_MEMBER(T, m, char *), NULL, 0, 0, NULL, NULL, help          \
    }
#define LOOM_STRINGS(T, m, def, help)                                                          \
    {                                                                                          \
#m, LOOM_PARAM_STRINGS, LOOM_MEMBER(T, m, char **), def, 0, 0, NULL, NULL, help        \
    }
#define LOOM_MAP(T, m, def, help)                                                              \
    {                                                                                          \
#m, LOOM_PARAM_MAP, LOOM_MEMBER(T, m, char **), def, 0, 0, NULL, NULL, help            \
    }

/* ---- what every plugin has ---------------------------------------------------------- */

typedef enum {
    LOOM_KIND_STAGE = 1,
    LOOM_KIND_LOSS,
    LOOM_KIND_METRIC,
    LOOM_KIND_MODEL,
    LOOM_KIND_BACKEND,
    LOOM_KIND_TRANSPORT,
    LOOM_KIND_COLLECTIVE,
} LoomKind;

struct _LoomPlugin {
    guint32 size;            /* of the whole descriptor; filled in by the macros */
    LoomKind kind;           /* */
    const char *name;        /* YAML spelling, [a-z][a-z0-9_]* */
    const char *summary;     /* one line */
    gsize instance_size;     /* the engine allocates it zeroed and fills the parameters */
    const LoomParam *params; /* ends with {0}; NULL: none */
    /* open: what a table cannot check, what must be acquired; may be NULL.
     * close: once for every instance, also after a failed open; may be NULL. */
    gboolean (*open)(gpointer self, LoomHost *host, GError **error);
    void (*close)(gpointer self);
};

#define LOOM_PLUGIN(Descriptor, Kind, Self, Name, Summary, ...)                                \
    {                                                                                          \
        .size = sizeof(Descriptor), .kind = Kind, .name = Name, .summary = Summary,            \
        .instance_size = sizeof(Self), __VA_ARGS__                                             \
    }
#define LOOM_STAGE(...) LOOM_PLUGIN(LoomStage, LOOM_KIND_STAGE, __VA_ARGS__)
#define LOOM_LOSS(...) LOOM_PLUGIN(LoomLoss, LOOM_KIND_LOSS, __VA_ARGS__)
#define LOOM_METRIC(...) LOOM_PLUGIN(LoomMetric, LOOM_KIND_METRIC, __VA_ARGS__)
#define LOOM_MODEL(...) LOOM_PLUGIN(LoomModel, LOOM_KIND_MODEL, __VA_ARGS__)
#define LOOM_BACKEND(...) LOOM_PLUGIN(LoomBackend, LOOM_KIND_BACKEND, __VA_ARGS__)
#define LOOM_TRANSPORT(...) LOOM_PLUGIN(LoomTransport, LOOM_KIND_TRANSPORT, __VA_ARGS__)
#define LOOM_COLLECTIVE(...) LOOM_PLUGIN(LoomCollective, LOOM_KIND_COLLECTIVE, __VA_ARGS__)

/* ---- stage: what happens to a packet ------------------------------------------------ */

typedef enum { LOOM_ANY, LOOM_F32, LOOM_U8, LOOM_F64 } LoomDtype; /* f64: scalars only */

#define LOOM_SLOT_OPTIONAL (1u << 0) /* may be absent: a case without a label */
#define LOOM_SLOT_LOCAL (1u << 1)    /* never leaves the process: a tape */
#define LOOM_SLOT_NATIVE (1u << 2)   /* on the grid of the file, D, H, W of its own */
typedef struct {
    const char *name; /* key in the packet: "image", "label", "logits" */
    LoomDtype dtype;
    const char *axes; /* "CDHW": a letter is one size in one packet; "": scalar; NULL: opaque */
    guint32 flags;
    const char *help; /* meaning and unit */
} LoomSlot;

/* Sizes along the graph before anything runs, and the memory a stage will hold. */
typedef struct {
    gint64 n, c, d, h, w;   /* 0: not known before the data is read */
    gint64 classes;         /* channels of the logits; 0: none yet */
    guint64 bytes;          /* arrives 0: what this stage and its model will allocate */
    gboolean probabilities; /* the packets will have them beside the prediction */
    gboolean regions;       /* a channel of the logits is a region of the data set, no class */
} LoomPlan;

/* What one call takes, besides the packet that comes. */
typedef struct {
    guint64 room;  /* bytes that `work` and `kept` shall stay within, if there is a choice */
    guint threads; /* of the run's pool: each may have memory of its own */
    guint64 work;  /* arrives 0: bytes at the highest, those of new tensors counted */
    guint64 kept;  /* arrives 0: bytes that stay from one call to the next */
} LoomNeed;

#define LOOM_STAGE_PURE (1u << 0)   /* result = f(packet, params, rng): may have workers */
#define LOOM_STAGE_STEP (1u << 1)   /* one packet through it is one step of the run */
#define LOOM_STAGE_SYNC (1u << 2)   /* gives the gradients of a model to all ranks alike */
#define LOOM_STAGE_STEADY (1u << 3) /* f(packet, params), never random: may be kept on disk */

typedef struct {
    LoomPlugin base;
    const LoomSlot *reads, *writes; /* end with {0}; NULL: none */
    guint32 flags;
    /* Exactly one of these three.  The packet handed in is private to the call; `process` takes
     * it over (transfer full) and hands on what it likes with loom_context_push. */
    gboolean (*map)(gpointer self, LoomPacket *packet, LoomContext *ctx, GError **error);
    LoomFlow (*process)(gpointer self, LoomPacket *packet, LoomContext *ctx, GError **error);
    LoomFlow (*produce)(gpointer self, LoomPacket **packet, LoomContext *ctx, GError **error);
    /* start: before the first packet of each run of the graph.  flush: once at the end of data,
     * not when the run was stopped before; may push.  finish: after flush, and when the run was
     * stopped, not when it failed: write what must not be lost; may not push.  Each may be
     * NULL. */
    gboolean (*start)(gpointer self, LoomContext *ctx, GError **error);
    LoomFlow (*flush)(gpointer self, LoomContext *ctx, GError **error);
    gboolean (*finish)(gpointer self, LoomContext *ctx, GError **error);
    /* How a `process` stage counts: @in packets that arrive become @out that leave, and always
     * in that order (crop: 1 becomes per_volume; batch: size become 1).  NULL: not predictable;
     * a run with such a stage cannot be resumed. */
    void (*ratio)(gpointer self, gint64 *in, gint64 *out);
    /* Refuses sizes that cannot work, sets those it makes; NULL: they pass through. */
    gboolean (*plan)(gpointer self, LoomPlan *plan, GError **error);
    /* Of a stage that keeps what reaches it: the packet that it kept under @key, (transfer
     * full); NULL: none, or none that is whole.  The engine asks before a source makes a packet
     * (loom_context_recall); one that is there goes past the stages in between, which are
     * `map` and STEADY.  Called while `map` runs in another thread. */
    LoomPacket *(*recall)(gpointer self, const char *key);
    /* What a call takes, from sizes alone: `run: {memory: ...}` rests on it.  @sketch: a packet
     * as it comes, of tensors without data (loom_tensor_sketch): leave it as the call leaves
     * the packet.  Of a source: as it goes.  A call may use what is set for it as `room`, see
     * loom_context_room.  NULL: what is written is made anew, of the sizes in `plan`. */
    gboolean (*need)(gpointer self, LoomPacket *sketch, LoomNeed *need, GError **error);
} LoomStage;

/* ---- loss: one number and where it points ------------------------------------------- */

/* Label of a voxel that counts nowhere, in the targets that losses are given.  The `loss` stage
 * puts it where the data has the label that its `ignore` names. */
#define LOOM_IGNORED 255

/* Soft counts of one class, p its probability: TP = sum of p where it is the true class,
 * FN = sum of 1 - p there, FP = sum of p elsewhere.  Also: derivatives by them. */
typedef struct {
    double tp, fp, fn;
} LoomCounts;

/* What a loss over several classes at once is given: groups x classes rows, the class fastest.
 */
typedef struct {
    gint64 groups, classes;   /* samples, or 1 for the pooled batch; classes that count */
    const LoomCounts *counts; /* of each row */
    const double *share;      /* of each row in the mean: they sum to 1; 1 each in a sum */
} LoomRegions;

typedef enum { LOOM_LOSS_ON_LOGITS, LOOM_LOSS_ON_PROBS } LoomLossInput;

/* Either `eval`, or `voxel`, or `region` or `regions`, or `voxel` and one of these two: the sum
 * of both.  For all but `eval` see loom/loss_kit.h: the host does softmax, threads, class
 * weights, pooling, ignored voxels, and all but the formula's own derivative. */
typedef struct {
    LoomPlugin base;
    LoomLossInput input; /* of eval: the host applies softmax over C, and its Jacobian after */
    /* @p, @grad: f32 (N,C,D,H,W); @target: u8 (N,D,H,W), every value < C or LOOM_IGNORED.
     * @value: the mean loss.  @grad: d value / d p, arrives zeroed; NULL: not wanted. */
    gboolean (*eval)(gpointer self, const LoomTensor *p, const LoomTensor *target,
                     double *value, LoomTensor *grad, GError **error);
    /* Loss of one voxel of class @k whose probability is @p, and its derivative d / dp.
     * 0 < @p < 1 always; @log_p is exact where @p would long have been rounded to 0.
     * Called by several threads at once. */
    double (*voxel)(gconstpointer self, gint64 k, double p, double log_p, double *slope);
    /* Loss of class @k from its soft counts, and its three partial derivatives. */
    double (*region)(gconstpointer self, gint64 k, LoomCounts n, LoomCounts *slope);
    /* The same of all classes at once, for what is no mean over classes. */
    double (*regions)(gconstpointer self, const LoomRegions *all, LoomCounts *slope);
    /* Bytes that `eval` takes besides what it is given, for logits of these sizes; NULL: none
     * that count. */
    guint64 (*need)(gconstpointer self, const gint64 ncdhw[5]);
} LoomLoss;

/* ---- metric: numbers of one case ---------------------------------------------------- */

typedef struct {
    const char *name, *unit, *help; /* unit NULL: a pure number */
} LoomReading;

typedef struct {
    /* u8 (D,H,W), every value < classes; of a metric with LOOM_METRIC_IGNORES the truth may
     * also be LOOM_IGNORED.  Others are given background there, in both. */
    const LoomTensor *prediction, *truth;
    gint64 classes;       /* background included */
    double spacing_mm[3]; /* D, H, W */
    /* f32 (C,D,H,W), C == classes; NULL: not known.  Never NULL for a metric that needs them.
     */
    const LoomTensor *probabilities;
} LoomMetricInput;

#define LOOM_METRIC_PROBABILITIES (1u << 0) /* labels alone do not do */
#define LOOM_METRIC_IGNORES (1u << 1) /* leaves the voxels out whose truth is LOOM_IGNORED */

typedef struct {
    LoomPlugin base;
    const LoomReading *readings; /* ends with {0} */
    /* @values: for class 1, 2, ... one number a reading, in that order: (classes-1, readings).
     * NaN: undefined, and left out of every mean. */
    gboolean (*measure)(gpointer self, const LoomMetricInput *input, double *values,
                        GError **error);
    guint32 flags;
    gsize voxel_bytes; /* that `measure` takes for each voxel; 0: none that count */
} LoomMetric;

/* ---- compute backend: a device; it owns weights and activations --------------------- */

typedef struct _LoomMap LoomMap; /* an activation (N,C,D,H,W), in the backend's own layout */
typedef struct _LoomArray
    LoomArray; /* flat f32 on the device: a weight, a gradient, a moment */
typedef struct _LoomArena LoomArena; /* memory that maps share */
typedef struct _LoomBlock LoomBlock; /* one prepared operation: shapes, algorithm, workspace */

typedef struct {
    gint64 n;                  /* samples */
    gint64 c_in[2], c_out;     /* c_in[1] == 0: one input; else two, as if joined along C */
    gint64 in[3], out[3];      /* D, H, W */
    gint64 kernel[3];          /* 1 or 3 where not transposed; padding is (kernel - 1) / 2 */
    gint64 stride[3];          /* 1 or 2; transposed: kernel == stride */
    gboolean transposed;       /* out = in * stride, no padding */
    gboolean norm, activation; /* instance norm (eps 1e-5, affine), then leaky ReLU (0.01) */
    gboolean training;         /* backward will be called */
} LoomBlockSpec;

/* A block's weights, or their gradients.  kernel: (out, in, kd, kh, kw), in = c_in[0] +
 * c_in[1]; transposed: (in, out, kd, kh, kw), as PyTorch has them.  scale, shift: (out), NULL
 * where the block has no norm. */
typedef struct {
    LoomArray *kernel, *bias, *scale, *shift;
} LoomBlockWeights;

/* Where a gradient with respect to an input goes: `map` NULL is not wanted; `add` adds to what
 * is there (an activation with several readers), else it is overwritten. */
typedef struct {
    LoomMap *map;
    gboolean add;
} LoomBlockGradient;

typedef struct {
    double rate, momentum, decay; /* decay: coupled L2, as in SGD of PyTorch */
    double scale;                 /* gradients are multiplied by it first (clipping) */
    gboolean nesterov;
} LoomSgdUpdate;

typedef struct {
    double rate, beta1, beta2, epsilon, decay; /* decay: decoupled, AdamW */
    double scale;                              /* as above */
    gint64 step;                               /* 1 at the first update */
} LoomAdamUpdate;

#define LOOM_BACKEND_REFERENCE (1u << 0) /* complete, plain C, the oracle; only one has it */
typedef struct {
    LoomPlugin base;
    guint32 flags;
    /* activations */
    LoomMap *(*map_new)(gpointer self, const gint64 ncdhw[5], GError **error); /* zeroed */
    void (*map_free)(gpointer self, LoomMap *map);
    guint64 (*map_bytes)(gpointer self, const gint64 ncdhw[5]);
    void (*map_import)(gpointer self, const LoomTensor *from, LoomMap *to);
    void (*map_export)(gpointer self, const LoomMap *from, LoomTensor *to);
    /* weights */
    LoomArray *(*array_new)(gpointer self, gint64 count, GError **error); /* zeroed */
    void (*array_free)(gpointer self, LoomArray *array);
    void (*array_write)(gpointer self, LoomArray *array, const float *from);
    void (*array_read)(gpointer self, const LoomArray *array, float *to);
    void (*array_zero)(gpointer self, LoomArray *array);
    double (*array_norm2)(gpointer self, const LoomArray *array); /* sum of squares */
    void (*sgd)(gpointer self, const LoomSgdUpdate *update, LoomArray *value,
                const LoomArray *grad, LoomArray *velocity);
    void (*adam)(gpointer self, const LoomAdamUpdate *update, LoomArray *value,
                 const LoomArray *grad, LoomArray *mean, LoomArray *square);
    /* one operation of the network.  block_new allocates all that forward and backward need;
     * forward and backward allocate nothing.  backward follows the forward of the same block,
     * adds into dw, and may overwrite dy.  It has read y (which it does not at all where the
     * block has neither norm nor activation) before it writes to dx, and so it has x where the
     * block is not transposed: a dx without `add` may lie in their memory. */
    LoomBlock *(*block_new)(gpointer self, const LoomBlockSpec *spec, GError **error);
    void (*block_free)(gpointer self, LoomBlock *block);
    guint64 (*block_bytes)(gpointer self, const LoomBlockSpec *spec);
    void (*forward)(gpointer self, LoomBlock *block, const LoomMap *const x[2],
                    const LoomBlockWeights *w, LoomMap *y);
    void (*backward)(gpointer self, LoomBlock *block, const LoomMap *const x[2],
                     const LoomBlockWeights *w, const LoomMap *y, LoomMap *dy,
                     const LoomBlockGradient dx[2], const LoomBlockWeights *dw);
    /* Memory that all blocks use in turn: a run needs what its largest asks for, besides their
     * block_bytes.  NULL: none. */
    guint64 (*block_workspace)(gpointer self, const LoomBlockSpec *spec);
    /* Maps in common memory, for those that are not needed at the same time: a map takes the
     * map_bytes from byte @offset, a multiple of 64, of an arena, and holds anything before it
     * is written to.  map_free leaves the arena as it is; the arena goes last.  All NULL: none.
     */
    LoomArena *(*arena_new)(gpointer self, guint64 bytes, GError **error);
    void (*arena_free)(gpointer self, LoomArena *arena);
    LoomMap *(*arena_map)(gpointer self, LoomArena *arena, guint64 offset,
                          const gint64 ncdhw[5], GError **error);
} LoomBackend;

/* ---- model: weights, their gradients, and the way through --------------------------- */

/* One named weight.  All belong to the model; the moments are made by the stage that steps. */
typedef struct {
    const char *name;        /* "encoder.0.0.kernel" */
    gint64 shape[5];         /* of the kernel, see LoomBlockWeights; (n) for the rest */
    guint rank;              /* 1 or 5 */
    gint64 count;            /* product of shape */
    gboolean decayed;        /* weight decay applies */
    LoomArray *value, *grad; /* grad: NULL until forward gives a tape */
    LoomArray *moment[2];    /* NULL until an optimiser needs them */
} LoomWeight;

/* The gradient of weight @weight (its place in `weights`) will not change any more. */
typedef void (*LoomGradientFunc)(guint weight, gpointer data);

#define LOOM_MODEL_MAX_OUTPUTS 8
typedef struct {
    LoomPlugin base;
    /* Logits at how many resolutions training gives (deep supervision); 1 without. */
    guint (*outputs)(gpointer self);
    /* @logits: (transfer full) n_logits tensors f32 (N,C,D,H,W), finest first; inference asks
     * for 1.  @tape: NULL is inference; else what backward needs, valid until the next forward.
     */
    gboolean (*forward)(gpointer self, const LoomTensor *image, LoomTensor **logits,
                        guint n_logits, LoomTape **tape, GError **error);
    /* Adds into the gradients of all weights; @dlogits as forward's logits; consumes the tape.
     */
    gboolean (*backward)(gpointer self, LoomTape *tape, const LoomTensor *const *dlogits,
                         guint n_logits, GError **error);
    void (*tape_free)(gpointer self, LoomTape *tape);
    LoomWeight *(*weights)(gpointer self, guint *n); /* (transfer none), fixed order */
    const LoomInstance *(*backend)(gpointer self);
    /* May an input (N,C,D,H,W) go through?  Unknown sizes are 0.  @classes: channels of the
     * logits; @bytes: memory for weights, activations, workspaces of that shape. */
    gboolean (*fits)(gpointer self, const gint64 ncdhw[5], gboolean training, gint64 *classes,
                     guint64 *bytes, GError **error);
    /* Calls @func from within each backward, in its thread, once for every weight: as soon as
     * its gradient is complete.  @func NULL: no longer.  Member NULL: the model cannot tell. */
    void (*watch)(gpointer self, LoomGradientFunc func, gpointer data);
} LoomModel;

/* ---- the one exported symbol -------------------------------------------------------- */

typedef struct {
    guint16 abi_major, abi_minor; /* must stay first, for ever */
    const char *name, *version;
    const LoomPlugin *const *plugins; /* ends with NULL */
} LoomModule;

#define LOOM_MODULE(Name, Version, ...)                                                        \
    LOOM_EXPORT extern const LoomModule loom_module;                                           \
    const LoomModule loom_module = {LOOM_ABI_MAJOR, LOOM_ABI_MINOR, Name, Version,             \
                                    (const LoomPlugin *const[]){__VA_ARGS__, NULL}}

G_END_DECLS
