/* run - the life of a run: opened, run to its end, stopped on the way, released. */
#include "ranks.h"
#include "state.h"

#include "data/dataset.h"

LoomRun *loom_run_open(LoomNode *config, const LoomRegistry *registry,
                       const LoomRunOptions *options, GError **error)
{
    g_autoptr(LoomRun) run = g_new0(LoomRun, 1);

    run->registry = registry;
    run->config = config;
    run->options = *options;
    run->folder = options->folder ? g_canonicalize_filename(options->folder, NULL) : NULL;
    run->dataset = options->dataset;
    run->models = g_ptr_array_new();
    run->graphs = g_ptr_array_new();
    run->by_model = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    run->by_graph = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    run->recipes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    run->weight_sets =
        g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify)g_ptr_array_unref);
    run->resumed_at = -1;
    run->starts = g_array_new(FALSE, FALSE, sizeof(LoomStart));
    pthread_mutex_init(&run->lock, NULL);
    pthread_mutex_init(&run->recording, NULL);
    if (options->findings) {
        loom_run_look_over(run);
        return g_steal_pointer(&run);
    }
    run->planned = loom_run_acquire(run, error);
    return run->planned ? g_steal_pointer(&run) : NULL;
}

LoomRunEnd loom_run_execute(LoomRun *run, GError **error)
{
    const LoomFlow flow = run->ranks             ? loom_ranks_execute(run)
                          : loom_run_enough(run) ? LOOM_FLOW_OK
                                                 : loom_graph_execute(run, run->main);

    if (run->ranks && flow == LOOM_FLOW_STOP && loom_ranks_cut_off(run))
        return LOOM_RUN_CUT_OFF;
    if (flow == LOOM_FLOW_OK)
        return LOOM_RUN_DONE;
    if (flow == LOOM_FLOW_STOP)
        return LOOM_RUN_STOPPED;
    LOOM_LOCKED(&run->lock);
    g_propagate_error(error, g_steal_pointer(&run->error));
    return LOOM_RUN_FAILED;
}

gboolean loom_run_stopping(LoomRun *run)
{
    return g_atomic_int_get(&run->stopping);
}

gboolean loom_run_failed(LoomRun *run)
{
    return g_atomic_int_get(&run->failed);
}

gboolean loom_run_halted(LoomRun *run)
{
    return g_atomic_int_get(&run->halted);
}

gboolean loom_run_ending(LoomRun *run)
{
    return loom_run_stopping(run) || loom_run_failed(run) || loom_run_halted(run);
}

gboolean loom_run_enough(const LoomRun *run)
{
    return run->steps && loom_run_step(run) >= run->steps;
}

void loom_run_stop(LoomRun *run)
{
    g_atomic_int_set(&run->stopping, TRUE);
    if (run->ranks) { /* the others are told first: none of them may wait for this one */
        loom_ranks_leave(run);
        return;
    }
    /* The lane that trains finishes its packet; what is queued for it is dropped, and a resumed
     * run makes it again.  What it has handed down already is still written. */
    for (LoomHop *hop = loom_graph_counter(run->main); hop; hop = hop->parent)
        if (hop->queue)
            loom_queue_stop(hop->lane->queue);
}

/* Nobody waits for a packet, for room or for its turn any more. */
static void lanes_wake(LoomRun *run)
{
    for (guint g = 0; g < run->graphs->len; g++) {
        const LoomGraph *graph = run->graphs->pdata[g];

        for (guint i = 0; i < graph->lanes->len; i++) {
            LoomLane *lane = graph->lanes->pdata[i];

            if (lane->queue)
                loom_queue_stop(lane->queue);
            LOOM_LOCKED(&lane->lock);
            lane->broken = TRUE;
            pthread_cond_broadcast(&lane->turned);
        }
    }
}

void loom_run_fail(LoomRun *run, GError *error)
{
    pthread_mutex_lock(&run->lock);
    const gboolean first = !run->error && !loom_run_failed(run);
    if (first)
        run->error = error;
    g_atomic_int_set(&run->failed, TRUE);
    pthread_mutex_unlock(&run->lock);
    if (!first)
        g_error_free(error);
    lanes_wake(run);
}

void loom_run_halt(LoomRun *run)
{
    g_atomic_int_set(&run->halted, TRUE);
    lanes_wake(run);
}

void loom_run_free(LoomRun *run)
{
    if (!run)
        return;
    loom_ranks_stop(run->ranks);
    /* In reverse order of opening: stages, ranks, models, backend. */
    for (guint i = run->graphs->len; i > 0; i--)
        loom_graph_free(run->graphs->pdata[i - 1]);
    loom_ranks_free(run->ranks);
    for (guint i = run->models->len; i > 0; i--)
        loom_instance_free(run->models->pdata[i - 1]);
    loom_instance_free(run->backend);
    loom_survey_free(run->survey);
    loom_dataset_free(run->dataset);
    loom_pool_free(run->pool);
    loom_journal_close(run->journal);
    g_ptr_array_unref(run->graphs);
    g_ptr_array_unref(run->models);
    g_hash_table_unref(run->by_graph);
    g_hash_table_unref(run->by_model);
    g_hash_table_unref(run->recipes);
    g_hash_table_unref(run->weight_sets);
    g_array_unref(run->starts);
    pthread_mutex_destroy(&run->recording);
    pthread_mutex_destroy(&run->lock);
    g_clear_error(&run->error);
    loom_place_free(run->place);
    g_free(run->graph);
    g_free(run->folder);
    g_free(run);
}

guint loom_run_processes(const LoomRun *run)
{
    guint processes = 1;

    for (guint g = 1; g < run->place->groups->len; g++)
        processes += g_array_index(run->place->groups, LoomPlaceGroup, g).ranks;
    return processes;
}

gint64 loom_run_steps(const LoomRun *run)
{
    return run->steps;
}

gint64 loom_run_step(const LoomRun *run)
{
    return __atomic_load_n(&run->step, __ATOMIC_ACQUIRE);
}

const LoomDataset *loom_run_dataset(const LoomRun *run)
{
    return run->dataset;
}

const LoomSurvey *loom_run_survey(const LoomRun *run)
{
    return run->survey;
}

gboolean loom_run_planned(const LoomRun *run)
{
    return run->planned;
}
