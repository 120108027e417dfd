/* run_open - a config becomes a run: everything that it names is checked and acquired, in one
 * order, up to the first problem; or, for `segloom check`, past every problem. */
#include "memory.h"
#include "models.h"
#include "ranks.h"
#include "state.h"

#include "config/scalar.h"
#include "data/dataset.h"

#define RUN_MAX_THREADS 1024

/* ---- the top of the file ------------------------------------------------------------ */

typedef struct {
    gint64 segloom, seed;
} Top;

static const LoomParam top_params[] = {
    LOOM_INT(Top, segloom, NULL, 1, 1, NULL, "version of the config's language: 1"),
    LOOM_INT(Top, seed, "0", 0, 9007199254740992.0, NULL, "of all random numbers of the run"),
    {0},
};
static const char *const top_sections[] = {"data", "backend", "models",  "graphs",
                                           "run",  "place",   "cluster", NULL};

typedef struct {
    char *graph;
    gint64 steps;
    guint64 memory;
} RunKeys;

static const LoomParam run_params[] = {
    LOOM_STRING(RunKeys, graph, NULL, "name of the graph to run"),
    LOOM_INT(RunKeys, steps, "0", 0, 1e12, "steps", "0: as many as the data gives"),
    LOOM_BYTES(RunKeys, memory, "0", 0, 1e15,
               "the process stays below: caches, queues, tiles are cut to fit, or the run is "
               "refused; 0: no ceiling"),
    {0},
};

static gboolean top_read(LoomRun *run, const LoomScope *scope, GError **error)
{
    Top top = {0};

    if (!loom_params_fill(top_params, &top, run->config, top_sections, "config", scope, error))
        return FALSE;
    run->seed = (guint64)top.seed;
    return TRUE;
}

static gboolean run_read(LoomRun *run, const LoomScope *scope, GError **error)
{
    RunKeys keys = {0};
    const LoomNode *section = loom_node_get(run->config, "run");

    if (!section)
        return loom_node_fail_as(run->config, "E-KEY-MISSING", error,
                                 "config needs the key 'run' (run: {graph: NAME, steps: N})");
    if (!loom_params_fill(run_params, &keys, section, NULL, "run", scope, error))
        return FALSE;
    run->graph = keys.graph;
    run->steps = keys.steps;
    run->memory = keys.memory;
    return TRUE;
}

/* The pool has as many threads as the backend's `threads` says, 0: all cores. */
static gboolean pool_make(LoomRun *run, GError **error)
{
    const LoomNode *node = loom_node_get(loom_node_get(run->config, "backend"), "threads");
    gint64 threads = 0;

    if (node && !loom_scalar_int(node, "backend: threads", &threads, error))
        return FALSE;
    if (threads < 0 || threads > RUN_MAX_THREADS)
        return loom_node_fail(node, error, "backend: threads: %s is out of range, want 0 to %d",
                              node->text, RUN_MAX_THREADS);
    run->pool = loom_pool_new((guint)threads);
    return TRUE;
}

/* ---- parts -------------------------------------------------------------------------- */

static gboolean graphs_build(LoomRun *run, const LoomScope *scope, GError **error)
{
    const LoomNode *section = loom_node_get(run->config, "graphs");
    gboolean good = TRUE;

    if (!section || section->type != LOOM_NODE_MAPPING || !section->items->len)
        return loom_node_fail_as(section ? section : run->config, "E-KEY-MISSING", error,
                                 "config needs 'graphs:', a mapping of names to graphs");
    for (guint i = 0; i < section->items->len; i++) {
        const char *id = ((LoomNode *)section->keys->pdata[i])->text;
        const gboolean runs = g_strcmp0(id, run->graph) == 0;
        LoomGraph *graph = loom_graph_new(id, section->items->pdata[i], scope,
                                          runs ? run->place : NULL, error);

        if (!graph)
            return FALSE;
        good = good && !graph->broken;
        g_ptr_array_add(run->graphs, graph);
        g_hash_table_insert(run->by_graph, g_strdup(id), graph);
    }
    run->main = run->graph ? g_hash_table_lookup(run->by_graph, run->graph) : NULL;
    if (run->main || (!run->graph && scope->findings))
        return good || loom_findings_fail(error);

    const LoomNode *name = loom_node_get(loom_node_get(run->config, "run"), "graph");
    g_autofree char *hint = loom_hint_among(name->text, run->by_graph);
    return loom_node_fail_as(name, "E-NAME-UNKNOWN", error,
                             "run: graph: there is no '%s' under 'graphs:'%s", name->text,
                             hint);
}

/* The parameters of all stages, then what flows between those that fit. */
static gboolean graphs_fill(LoomRun *run, const LoomScope *scope, GError **error)
{
    gboolean good = TRUE;

    for (guint i = 0; i < run->graphs->len; i++) {
        LoomGraph *graph = run->graphs->pdata[i];
        g_autoptr(GError) cause = NULL;

        if (loom_graph_fill(graph, scope, &cause)
            && (graph->broken
                || (loom_graph_check_slots(graph, scope->findings, &cause)
                    && loom_graph_check_keepers(graph, &cause))))
            continue;
        if (!loom_findings_keep(scope->findings, &cause, error))
            return FALSE;
        good = FALSE;
    }
    return good || loom_findings_fail(error);
}

static gboolean graphs_check(LoomRun *run, GError **error)
{
    for (guint i = 0; i < run->graphs->len; i++)
        if (!loom_graph_check_models(run->graphs->pdata[i], run->by_graph, error))
            return FALSE;
    if (run->steps && !loom_graph_counter(run->main))
        return loom_node_fail_as(loom_node_get(loom_node_get(run->config, "run"), "steps"),
                                 "E-GRAPH", error,
                                 "run: steps: graph '%s' has no stage that counts steps, such "
                                 "as sgd_step",
                                 run->graph);
    return TRUE;
}

static gboolean data_blame(const LoomNode *node, GError **error)
{
    g_autofree char *place = loom_node_place(node);

    if (error)
        loom_error_call(*error, "E-DATA");
    g_prefix_error(error, "%s: data: ", place);
    return FALSE;
}

static gboolean data_open(LoomRun *run, const LoomScope *scope, GError **error)
{
    const LoomNode *section = loom_node_get(run->config, "data");
    const LoomNode *folder = loom_node_get(section, "dataset");
    LoomDataOptions options = {0};

    if (run->dataset || !section)
        return TRUE;
    if (!loom_params_fill(loom_data_params, &options, section, NULL, "data", scope, error))
        return FALSE;
    run->dataset = loom_dataset_open(&options, error);
    loom_params_clear(loom_data_params, &options);
    return run->dataset || data_blame(folder ? folder : section, error);
}

static gboolean data_check(LoomRun *run, GError **error)
{
    const LoomNode *section = loom_node_get(run->config, "data");
    const LoomNode *folder = loom_node_get(section, "dataset");

    if (!section || run->options.dataset)
        return TRUE;
    return loom_dataset_check(run->dataset, run->pool, error)
           || data_blame(folder ? folder : section, error);
}

static gboolean backend_open(LoomRun *run, const LoomScope *scope, GError **error)
{
    const LoomNode *node = loom_node_get(run->config, "backend");
    LoomHost host = {run, "backend", NULL};

    if (!node)
        return TRUE;
    run->backend = loom_instance_new(LOOM_KIND_BACKEND, NULL, node, NULL, scope, error);
    return run->backend && loom_instance_open(run->backend, &host, error);
}

static gboolean hop_open(LoomRun *run, LoomGraph *graph, LoomHop *hop, GError **error)
{
    LoomHost host = {run, hop->id, graph};

    for (guint w = 0; w < loom_hop_copies(hop); w++)
        if (!loom_instance_open(hop->instances[w], &host, error))
            return FALSE;
    return TRUE;
}

static gboolean stages_open(LoomRun *run, GError **error)
{
    LoomFindings *findings = run->options.findings;
    gboolean good = TRUE;

    for (guint g = 0; g < run->graphs->len; g++) {
        LoomGraph *graph = run->graphs->pdata[g];

        for (guint i = 0; i < graph->hops->len; i++) {
            g_autoptr(GError) cause = NULL;

            if (hop_open(run, graph, graph->hops->pdata[i], &cause))
                continue;
            if (!loom_findings_keep(findings, &cause, error))
                return FALSE;
            good = FALSE;
        }
        if (!good)
            continue;
        g_autoptr(GError) cause = NULL;
        if (loom_graph_plan(graph, findings, &cause))
            continue;
        if (!loom_findings_keep(findings, &cause, error))
            return FALSE;
        good = FALSE;
    }
    return good || loom_findings_fail(error);
}

static gboolean resume(LoomRun *run, GError **error)
{
    if (!run->options.resume || !run->folder)
        return TRUE;
    if (run->resumed_at < 0)
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "nothing in '%s' can be resumed: graph '%s' has no checkpoint stage",
                         run->folder, run->graph);
    __atomic_store_n(&run->step, run->resumed_at, __ATOMIC_RELEASE);
    run->share.step = run->resumed_at;
    loom_times_resume(run);
    return loom_graph_begin_at(run->main, run->share.taken, error);
}

static gboolean place_read(LoomRun *run, GError **error)
{
    const LoomRendezvous *where = run->options.rendezvous;

    run->place = loom_place_new(loom_node_get(run->config, "place"), where ? where->rank : 0,
                                where ? where->size : 1, error);
    return run->place != NULL;
}

/* Of several ranks it is not known yet which one writes. */
static gboolean journal_make(LoomRun *run, GError **error)
{
    if (!run->folder)
        return TRUE;
    run->journal = loom_journal_new(run->folder);
    return run->ranks || loom_journal_open(run->journal, run->resumed_at, error);
}

gboolean loom_run_acquire(LoomRun *run, GError **error)
{
    const LoomScope scope = {
        .registry = run->registry, .models = run->by_model, .graphs = run->by_graph};
    guint64 before = 0;

    return top_read(run, &scope, error) && run_read(run, &scope, error)
           && (before = loom_memory_begin(run), TRUE) && place_read(run, error)
           && graphs_build(run, &scope, error) && loom_models_make(run, &scope, error)
           && graphs_fill(run, &scope, error) && graphs_check(run, error)
           && pool_make(run, error) && data_open(run, &scope, error)
           && backend_open(run, &scope, error) && loom_models_open(run, error)
           && loom_ranks_open(run, &scope, error) && stages_open(run, error)
           && loom_memory_fit(run, before, error) && resume(run, error)
           && data_check(run, error) && journal_make(run, error);
}

/* ---- looking for every problem ------------------------------------------------------ */

/* Keeps the error of a step that failed, so that the look goes on. */
static gboolean kept(LoomRun *run, gboolean good, GError **cause)
{
    if (!good)
        loom_findings_keep(run->options.findings, cause, NULL);
    g_clear_error(cause);
    return good;
}

/* The same steps; each that does not rest on one that failed is taken. */
void loom_run_look_over(LoomRun *run)
{
    const LoomScope scope = {run->registry, run->by_model, run->by_graph,
                             run->options.findings};
    GError *cause = NULL;
    gboolean good = kept(run, top_read(run, &scope, &cause), &cause);

    if (run->config->type != LOOM_NODE_MAPPING)
        return; /* it has no sections to look at */
    good = kept(run, run_read(run, &scope, &cause), &cause) && good;
    const guint64 before = loom_memory_begin(run);
    good = kept(run, place_read(run, &cause), &cause) && good;
    good = kept(run, graphs_build(run, &scope, &cause), &cause) && good;
    good = kept(run, loom_models_make(run, &scope, &cause), &cause) && good;
    good = kept(run, graphs_fill(run, &scope, &cause), &cause) && good;
    good = good && kept(run, graphs_check(run, &cause), &cause);
    good = kept(run, pool_make(run, &cause), &cause) && good;
    if (!run->pool)
        run->pool = loom_pool_new(0);
    const gboolean data = kept(run, data_open(run, &scope, &cause), &cause);
    if (data && run->dataset)
        loom_run_look_at_data(run, loom_node_get(run->config, "data"));
    good = good && kept(run, backend_open(run, &scope, &cause), &cause);
    good = good && kept(run, loom_models_open(run, &cause), &cause);
    good = good && kept(run, loom_ranks_open(run, &scope, &cause), &cause);
    good = good && data && kept(run, stages_open(run, &cause), &cause);
    good = good && kept(run, loom_memory_fit(run, before, &cause), &cause);
    run->planned = good;
    if (good && run->survey)
        loom_run_look_at_patches(run);
}
