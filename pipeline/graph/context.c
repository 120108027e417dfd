/* context - what a plugin may ask the engine: the answers to loom/context.h. */
#include "ranks.h"
#include "state.h"

#include <loom/network.h>

/* ---- at open ------------------------------------------------------------------------ */

guint64 loom_host_seed(const LoomHost *host)
{
    return host->run->seed;
}

const char *loom_host_id(const LoomHost *host)
{
    return host->id;
}

const LoomDataset *loom_host_dataset(const LoomHost *host)
{
    return host->run->dataset;
}

const LoomInstance *loom_host_backend(const LoomHost *host)
{
    return host->run->backend;
}

LoomPool *loom_host_pool(const LoomHost *host)
{
    return host->run->pool;
}

const char *loom_host_folder(const LoomHost *host)
{
    return host->run->folder;
}

gint64 loom_host_steps(const LoomHost *host)
{
    return host->run->steps;
}

gboolean loom_host_endless(const LoomHost *host)
{
    return host->run->steps > 0 && host->graph == host->run->main
           && loom_graph_counter(host->graph);
}

gboolean loom_host_resuming(const LoomHost *host)
{
    return host->run->folder && host->run->options.resume;
}

gboolean loom_host_resumed_at(LoomHost *host, gint64 step, GError **error)
{
    LoomRun *run = host->run;

    if (run->resumed_at >= 0 && run->resumed_at != step)
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "its checkpoint is of step %" G_GINT64_FORMAT
                         ", that of another stage of step %" G_GINT64_FORMAT,
                         step, run->resumed_at);
    if (run->resumed_at < 0)
        run->share.taken = step;
    run->resumed_at = step;
    return TRUE;
}

gboolean loom_host_resumed_taken(LoomHost *host, gint64 taken, GError **error)
{
    host->run->share.taken = taken;
    return taken >= 0
           || loom_fail(error, LOOM_ERROR_FORMAT, "rank-steps are %" G_GINT64_FORMAT, taken);
}

/* ---- other processes ---------------------------------------------------------------- */

guint loom_host_ranks(const LoomHost *host)
{
    return host->run->place ? host->run->place->size : 1;
}

const LoomInstance *loom_host_collective(const LoomHost *host)
{
    return host->run->ranks ? host->run->ranks->options.collective : NULL;
}

guint loom_context_ranks(const LoomContext *ctx)
{
    return MAX(ctx->run->share.size, 1);
}

guint loom_context_rank(const LoomContext *ctx)
{
    return ctx->run->share.rank;
}

gboolean loom_context_writes(const LoomContext *ctx)
{
    return loom_run_writes(ctx->run);
}

guint64 loom_context_generation(const LoomContext *ctx)
{
    return ctx->run->ranks && ctx->run->ranks->view ? ctx->run->ranks->view->generation : 1;
}

gint64 loom_context_taken(const LoomContext *ctx)
{
    return loom_share_taken(&ctx->run->share, loom_context_step(ctx));
}

LoomFlow loom_context_gather(LoomContext *ctx, GBytes *mine, GPtrArray *all, GError **error)
{
    return loom_ranks_gather(ctx->run, mine, all, error);
}

gboolean loom_context_wants_halt(const LoomContext *ctx)
{
    const LoomRun *run = ctx->run;

    return run->ranks && loom_cluster_wants_halt(run->ranks->cluster);
}

void loom_context_halt(LoomContext *ctx)
{
    g_atomic_int_set(&ctx->run->last_step, TRUE);
}

void loom_context_wait(LoomContext *ctx, gboolean begins)
{
    if (ctx->run->ranks)
        loom_cluster_waiting(ctx->run->ranks->cluster, begins);
}

LoomFlow loom_context_lost(LoomContext *ctx, GError *cause, GError **error)
{
    return loom_ranks_lost(ctx->run, cause, error);
}

/* ---- in a call ---------------------------------------------------------------------- */

LoomRng loom_context_rng(const LoomContext *ctx)
{
    g_autofree char *name = g_strconcat(ctx->hop->graph->id, "/", ctx->hop->id, NULL);

    return loom_rng(ctx->run->seed, name, (guint64)ctx->index);
}

gint64 loom_context_index(const LoomContext *ctx)
{
    return ctx->index;
}

gboolean loom_context_stopping(const LoomContext *ctx)
{
    return loom_run_stopping(ctx->run);
}

LoomPool *loom_context_pool(const LoomContext *ctx)
{
    return ctx->run->pool;
}

LoomFlow loom_context_run_graph(LoomContext *ctx, const char *graph, GError **error)
{
    LoomRun *run = ctx->run;
    LoomClock *clock = &ctx->hop->lane->head->times[0].clock; /* what calls it has no workers */

    const LoomFlow flow = loom_graph_execute(run, g_hash_table_lookup(run->by_graph, graph));
    loom_clock_turn(clock, clock->now);

    if (flow != LOOM_FLOW_FAIL)
        return flow;
    LOOM_LOCKED(&run->lock);
    g_propagate_error(error, g_error_copy(run->error));
    ctx->below_failed = TRUE;
    return flow;
}

gint64 loom_context_step(const LoomContext *ctx)
{
    const LoomHop *hop = ctx->hop;
    const gboolean counts = hop->stage->flags & LOOM_STAGE_STEP;

    if (hop->graph != ctx->run->main || !hop->below_step)
        return loom_run_step(ctx->run);
    if (ctx->index < hop->first) /* before the first packet */
        return ctx->run->share.step;
    return loom_share_step(&ctx->run->share, ctx->index) + (counts ? 0 : 1);
}

gint64 loom_context_count(const LoomContext *ctx)
{
    const LoomHop *hop = ctx->hop;

    return hop->graph == ctx->run->main && hop->below_step ? loom_context_step(ctx)
                                                           : ctx->index + 1;
}

void loom_context_expect(LoomContext *ctx, gint64 packets)
{
    loom_moves_expect(ctx->run, ctx->hop->graph, packets);
}

void loom_context_part(LoomContext *ctx, gint64 part, gint64 parts)
{
    loom_moves_part(ctx->run, ctx->hop->graph, part, parts);
}

void loom_context_record(LoomContext *ctx, const char *kind, const LoomField *fields,
                         guint n_fields)
{
    loom_run_record(ctx->run, kind, loom_context_step(ctx), fields, n_fields);
}

void loom_run_record(LoomRun *run, const char *kind, gint64 step, const LoomField *fields,
                     guint n_fields)
{
    GError *error = NULL;

    if (run->journal && !loom_journal_write(run->journal, kind, step, fields, n_fields, &error))
        loom_run_fail(run, error);
    if (g_str_equal(kind, "step"))
        loom_times_write_now_and_then(run);
    LOOM_LOCKED(&run->recording);
    if (run->options.record && loom_run_writes(run))
        run->options.record(kind, step, fields, n_fields, run->options.data);
}

char *loom_context_latest(const LoomContext *ctx, const char *kind)
{
    return ctx->run->journal ? loom_journal_latest(ctx->run->journal, kind) : NULL;
}

char *loom_context_queues(const LoomContext *ctx)
{
    return loom_run_queues(ctx->run);
}
