/* loom/context.h - what a plugin may ask the engine: at open (LoomHost), in a call
 * (LoomContext). All of it is borrowed for the call. */
#pragma once

#include <loom/data.h>
#include <loom/plugin.h>

G_BEGIN_DECLS

/* ---- random numbers: a value, not a generator that somebody else may move ----------- */

typedef struct {
    guint64 key, counter;
} LoomRng;

/* A stream that depends on nothing but these: two names and a number. */
LOOM_EXPORT LoomRng loom_rng(guint64 seed, const char *name, guint64 number);
LOOM_EXPORT guint64 loom_rng_u64(LoomRng *rng);
LOOM_EXPORT double loom_rng_uniform(LoomRng *rng, double low, double high); /* [low, high) */
LOOM_EXPORT gint64 loom_rng_below(LoomRng *rng, gint64 n);                  /* 0 .. n-1 */
LOOM_EXPORT double loom_rng_normal(LoomRng *rng);                           /* mean 0, sd 1 */
LOOM_EXPORT void loom_rng_shuffle(LoomRng *rng, gint64 *values, gint64 n);

/* ---- threads ------------------------------------------------------------------------ */

/* Calls func(i, data) for i = 0 .. n-1 on the threads of the run, the caller's included, and
 * returns when all are done.  Which thread takes which i is not fixed: results must not depend
 * on it.  @worker: 0 .. loom_pool_threads()-1, for scratch memory.  Without a pool (NULL) the
 * caller does all of it, as one thread. */
typedef void (*LoomParallelFunc)(gint64 i, guint worker, gpointer data);
typedef struct _LoomPool LoomPool;
LOOM_EXPORT LoomPool *loom_pool_new(guint threads);
LOOM_EXPORT void loom_pool_free(LoomPool *pool);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LoomPool, loom_pool_free)
LOOM_EXPORT guint loom_pool_threads(const LoomPool *pool);
LOOM_EXPORT void loom_pool_run(LoomPool *pool, gint64 n, LoomParallelFunc func, gpointer data);

/* ---- at open ------------------------------------------------------------------------ */

LOOM_EXPORT guint64 loom_host_seed(const LoomHost *host);
/* The id this instance has in the YAML: a stage's or a model's name. */
LOOM_EXPORT const char *loom_host_id(const LoomHost *host);
/* NULL without `data:`. */
LOOM_EXPORT const LoomDataset *loom_host_dataset(const LoomHost *host);
/* The backend of the run; never NULL for a model, NULL where no backend was asked for. */
LOOM_EXPORT const LoomInstance *loom_host_backend(const LoomHost *host);
LOOM_EXPORT LoomPool *loom_host_pool(const LoomHost *host);
/* Where the run leaves what it makes, absolute; NULL while only checking: make no file then. */
LOOM_EXPORT const char *loom_host_folder(const LoomHost *host);
/* Steps of the run, 0: as many as the data gives; TRUE when this stage stands in the graph that
 * counts them and there is a number, so that a source goes on for ever. */
LOOM_EXPORT gint64 loom_host_steps(const LoomHost *host);
LOOM_EXPORT gboolean loom_host_endless(const LoomHost *host);
/* --resume: a stage that finds its state of step n on disk loads it and says so.  Two stages
 * that say different numbers are refused. */
LOOM_EXPORT gboolean loom_host_resuming(const LoomHost *host);
LOOM_EXPORT gboolean loom_host_resumed_at(LoomHost *host, gint64 step, GError **error);
/* Beside it: rank-steps done then, loom_context_taken; a run of one rank has one a step. */
LOOM_EXPORT gboolean loom_host_resumed_taken(LoomHost *host, gint64 taken, GError **error);
/* The part of the config that predicts with this model, as JSON for model.json: the model's
 * own keys and the stages between the loader and the metrics; NULL where no graph does. */
LOOM_EXPORT const char *loom_host_recipe(const LoomHost *host, const LoomInstance *model);

/* A stage would keep so many bytes of cases that it could read anew: those of its plan that
 * `run: {memory: ...}` may cut.  @largest: of one case, as a packet. */
LOOM_EXPORT void loom_host_cache(LoomHost *host, guint64 bytes, guint64 largest);
/* A source will make a packet such as @sketch (transfer full), of tensors without data: said
 * once for each size. */
LOOM_EXPORT void loom_host_case(LoomHost *host, LoomPacket *sketch);

/* ---- other processes ---------------------------------------------------------------- */

/* Ranks that the run was begun with; 1: it is alone. */
LOOM_EXPORT guint loom_host_ranks(const LoomHost *host);
/* What ranks sum and gather with; NULL where the run has one rank. */
LOOM_EXPORT const LoomInstance *loom_host_collective(const LoomHost *host);
/* Ranks that take part in this step, and which of them this process is; 1 and 0 without others.
 * Both are fixed from one `start` to the next. */
LOOM_EXPORT guint loom_context_ranks(const LoomContext *ctx);
LOOM_EXPORT guint loom_context_rank(const LoomContext *ctx);
/* TRUE on the one rank that leaves in the run folder what all of them made. */
LOOM_EXPORT gboolean loom_context_writes(const LoomContext *ctx);
/* Grows each time that the ranks form anew; 1 at first, and without others. */
LOOM_EXPORT guint64 loom_context_generation(const LoomContext *ctx);
/* Batches that all ranks together have used once `loom_context_step` steps are done. */
LOOM_EXPORT gint64 loom_context_taken(const LoomContext *ctx);
/* Appends the bytes of every rank, in their order, to @all, an array of GBytes; all ranks call
 * it at the same place.  STOP: a rank was lost, return it: the ranks form anew. */
LOOM_EXPORT LoomFlow loom_context_gather(LoomContext *ctx, GBytes *mine, GPtrArray *all,
                                         GError **error);
/* Does this rank want the ranks to form anew after the step in hand: it was told to stop, or
 * another one waits to join?  `halt`, said on all ranks in the same step: they will. */
LOOM_EXPORT gboolean loom_context_wants_halt(const LoomContext *ctx);
LOOM_EXPORT void loom_context_halt(LoomContext *ctx);
/* Around a call of a collective that waits for other ranks: who waits does not stall. */
LOOM_EXPORT void loom_context_wait(LoomContext *ctx, gboolean begins);
/* A collective failed, with @cause (transfer full).  Return what it returns.  STOP: most often
 * a rank was lost, the ranks form anew; FAIL: this collective survives no loss. */
LOOM_EXPORT LoomFlow loom_context_lost(LoomContext *ctx, GError *cause, GError **error);

/* ---- in a call ---------------------------------------------------------------------- */

/* Of this stage, for this packet: the same whatever the queues and workers. */
LOOM_EXPORT LoomRng loom_context_rng(const LoomContext *ctx);
/* `produce`: number of the packet to make.  Else: of the packet in hand.  Numbers are those
 * that one process would give: a rank of several sees only those of its share. */
LOOM_EXPORT gint64 loom_context_index(const LoomContext *ctx);
/* `produce`, before it makes the packet: does a stage below keep what comes of it?  FALSE: no.
 * TRUE: @packet is it, (transfer full), to be returned as it is; or NULL: it must be made, and
 * will be kept.  @inputs: all that the packet depends on, such as files with their times. */
LOOM_EXPORT gboolean loom_context_recall(LoomContext *ctx, const char *inputs,
                                         LoomPacket **packet);
/* Hands @packet (transfer full) to the stages below.  Return what it returns, unless OK. */
LOOM_EXPORT LoomFlow loom_context_push(LoomContext *ctx, LoomPacket *packet, GError **error);
/* The run was asked to end: long work may return LOOM_FLOW_STOP. */
LOOM_EXPORT gboolean loom_context_stopping(const LoomContext *ctx);
LOOM_EXPORT LoomPool *loom_context_pool(const LoomContext *ctx);
/* Runs another graph of the file from its first packet to its last, in this call. */
LOOM_EXPORT LoomFlow loom_context_run_graph(LoomContext *ctx, const char *graph,
                                            GError **error);

/* How many of the bytes that loom_host_cache asked for this stage may keep; without a ceiling
 * there is no limit. */
LOOM_EXPORT guint64 loom_context_cache(const LoomContext *ctx);
/* Bytes that a call of this stage may take, `room` of its LoomNeed; without a ceiling there is
 * no limit.  The same for all calls of a run. */
LOOM_EXPORT guint64 loom_context_room(const LoomContext *ctx);
/* LoomStage.need of a stage that changes what it was given where it lies, and takes nothing. */
LOOM_EXPORT gboolean loom_need_nothing(gpointer self, LoomPacket *sketch, LoomNeed *need,
                                       GError **error);
/* What this process holds in memory now; 0 where the system does not say. */
LOOM_EXPORT guint64 loom_memory_used(void);
/* `weights: [FILE, FILE, ...]` of a model: how many there are (1 without), and which of them it
 * computes with from here on, counted from 0: for the stage that holds the model. */
LOOM_EXPORT guint loom_context_weight_sets(const LoomContext *ctx, const LoomInstance *model);
LOOM_EXPORT guint loom_host_weight_sets(const LoomHost *host, const LoomInstance *model);
LOOM_EXPORT void loom_context_weights_use(LoomContext *ctx, const LoomInstance *model,
                                          guint set);

/* Numbers for people: a line in log.jsonl and on the terminal.  @kind: "step", "metrics". */
typedef struct {
    const char *name;
    double value;     /* NaN becomes null */
    const char *text; /* instead of a number; NULL: a number */
} LoomField;
LOOM_EXPORT void loom_context_record(LoomContext *ctx, const char *kind,
                                     const LoomField *fields, guint n_fields);
/* For people who wait.  `start` of a source: how many packets it will make, 0: not known.  In a
 * call: so much of the packet in hand is done. */
LOOM_EXPORT void loom_context_expect(LoomContext *ctx, gint64 packets);
LOOM_EXPORT void loom_context_part(LoomContext *ctx, gint64 part, gint64 parts);
/* The latest record of a kind, as a JSON object; NULL: none yet.  (transfer full) */
LOOM_EXPORT char *loom_context_latest(const LoomContext *ctx, const char *kind);
/* Steps done so far, those of a run it resumes included.  In a stage below the one that steps,
 * the step of the packet in hand is counted: after the first packet it is 1.  In `finish`: the
 * step of the last packet. */
LOOM_EXPORT gint64 loom_context_step(const LoomContext *ctx);
/* In `map`: packets that went through this stage, the one in hand counted; below the stage that
 * steps that is loom_context_step. */
LOOM_EXPORT gint64 loom_context_count(const LoomContext *ctx);
/* Fill level of each queue of the run, "scale 3/4, batch 4/4"; (transfer full). */
LOOM_EXPORT char *loom_context_queues(const LoomContext *ctx);

/* ---- losses inside losses and stages ------------------------------------------------ */

/* loom_loss_eval - value and gradient of any loss, from logits
 * @logits: f32 (N,C,D,H,W); @target: u8 (N,D,H,W), every value < C or LOOM_IGNORED
 * @dlogits: d value / d logits, overwritten; NULL: not wanted.
 * Applies softmax and its Jacobian, dL/dz = p (g - sum_k p_k g_k), for losses on probabilities.
 */
LOOM_EXPORT gboolean loom_loss_eval(const LoomInstance *loss, const LoomTensor *logits,
                                    const LoomTensor *target, double *value,
                                    LoomTensor *dlogits, GError **error);
/* Voxels of a target, (N,D,H,W), that are not LOOM_IGNORED: what a mean divides by. */
LOOM_EXPORT gint64 loom_target_counted(const LoomTensor *target);
/* Softmax over C.  @probs: same shape, overwritten; may be @logits. */
LOOM_EXPORT void loom_softmax(const LoomTensor *logits, LoomTensor *probs);

G_END_DECLS
