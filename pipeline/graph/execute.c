/* execute - a graph from its first packet to its end: a thread for each lane and worker.  With
 * workers, results leave in the order in which packets came. */
#include "ranks.h"
#include "state.h"

#include "core/lock.h"
#include "core/packet.h"

/* ---- the loops of a thread ---------------------------------------------------------- */

static LoomFlow source_loop(LoomWorker *worker, gboolean *ended, GError **error)
{
    LoomHop *hop = worker->lane->head;
    LoomInstance *instance = loom_hop_instance(worker, hop);

    loom_clock_turn(loom_worker_clock(worker), &hop->times[worker->number].own);
    for (gint64 index = hop->first;; index++) {
        LoomContext ctx = {worker->run, NULL, hop, index, 0, FALSE};
        g_autoptr(LoomPacket) packet = NULL;
        GError *cause = NULL;

        if (loom_run_ending(worker->run))
            return LOOM_FLOW_STOP;
        if (!loom_hop_wants(worker->run, hop, index))
            continue;
        loom_spent_count(&hop->times[worker->number].own);
        g_clear_pointer(&hop->key, g_free);
        LoomFlow flow = hop->stage->produce(instance->self, &packet, &ctx, &cause);
        flow = loom_flow_check(&ctx, instance, flow, "produce", NULL, cause, error);
        *ended = flow == LOOM_FLOW_STOP;
        if (flow != LOOM_FLOW_OK)
            return flow;
        if (!loom_slots_check(hop->stage->writes, packet, &cause))
            return loom_hop_blame(instance, loom_packet_id(packet), cause, error);
        loom_packet_set_index(packet, index);
        loom_packet_set_key(packet, hop->key);
        hop->last = index;
        flow = loom_hop_deliver(worker, hop, g_steal_pointer(&packet), error);
        if (flow != LOOM_FLOW_OK)
            return flow;
    }
}

/* The packets that this process needs, in the order of their numbers, from those that make
 * them. */
static LoomFlow arrival_loop(LoomWorker *worker, gboolean *ended, GError **error)
{
    LoomHop *hop = worker->lane->head;
    LoomTimes *times = &hop->times[worker->number];

    loom_clock_turn(&times->clock, &times->take);
    for (gint64 index = hop->first;; index++) {
        LoomPacket *packet = NULL;

        if (loom_run_ending(worker->run))
            return LOOM_FLOW_STOP;
        if (!loom_hop_wants(worker->run, hop, index))
            continue;
        LoomFlow flow = loom_ranks_receive(worker->run, hop, index, &packet, error);
        *ended = flow == LOOM_FLOW_STOP && !loom_run_ending(worker->run);
        if (flow != LOOM_FLOW_OK)
            return flow;
        loom_spent_count(&times->take);
        loom_packet_set_index(packet, index);
        hop->last = index;
        flow = loom_hop_deliver(worker, hop, packet, error);
        if (flow != LOOM_FLOW_OK)
            return flow;
    }
}

/* One result, (transfer full): into the queue of the lane that @hop begins, or, of a stage of
 * this lane, to other processes. */
static LoomFlow held_push(LoomWorker *worker, LoomHop *hop, LoomPacket *packet, GError **error)
{
    g_autoptr(LoomPacket) mine = packet;

    if (hop->lane == worker->lane)
        return loom_worker_send(worker, hop, mine, error);
    return loom_worker_push(worker, hop, g_steal_pointer(&mine));
}

/* Waits until all results of earlier packets have left, then hands over those of this one. */
static LoomFlow turn_push(LoomWorker *worker, gint64 ticket, GError **error)
{
    LoomLane *lane = worker->lane;
    LoomTimes *times = &lane->head->times[worker->number];
    LoomSpent *before = loom_clock_turn(&times->clock, &times->turn);
    LoomFlow flow = LOOM_FLOW_OK;

    pthread_mutex_lock(&lane->lock);
    while (lane->turn != ticket && !lane->broken)
        pthread_cond_wait(&lane->turned, &lane->lock);
    const gboolean broken = lane->broken;
    pthread_mutex_unlock(&lane->lock);
    loom_clock_turn(&times->clock, before);

    for (guint i = 0; i < worker->held->len; i += 2) {
        if (broken || flow != LOOM_FLOW_OK)
            loom_packet_free(worker->held->pdata[i + 1]);
        else
            flow = held_push(worker, worker->held->pdata[i], worker->held->pdata[i + 1], error);
    }
    g_ptr_array_set_size(worker->held, 0);

    LOOM_LOCKED(&lane->lock);
    lane->turn++;
    pthread_cond_broadcast(&lane->turned);
    return broken ? LOOM_FLOW_STOP : flow;
}

static LoomFlow queue_loop(LoomWorker *worker, gboolean *ended, GError **error)
{
    LoomLane *lane = worker->lane;
    LoomTimes *times = &lane->head->times[worker->number];

    loom_clock_turn(&times->clock, &times->take);
    for (;;) {
        LoomPacket *packet = NULL;
        gint64 ticket = 0;
        const LoomTake take = loom_queue_take(lane->queue, &packet, &ticket);

        *ended = take == LOOM_TAKE_ENDED;
        if (take != LOOM_TAKEN)
            return LOOM_FLOW_STOP;
        LoomFlow flow = loom_hop_run(worker, lane->head, packet, error);
        if (worker->held && flow != LOOM_FLOW_FAIL)
            flow = turn_push(worker, ticket, error);
        if (flow != LOOM_FLOW_OK)
            return flow;
    }
}

/* ---- the end of a lane -------------------------------------------------------------- */

static gboolean lane_flush(LoomWorker *worker, GError **error)
{
    LoomLane *lane = worker->lane;

    for (guint i = 0; i < lane->hops->len; i++) {
        LoomHop *hop = lane->hops->pdata[i];
        LoomContext ctx = {worker->run, worker, hop, MAX(hop->last, hop->first), 0, FALSE};
        GError *cause = NULL;

        if (!hop->stage->flush || hop->stopped || !hop->here)
            continue;
        loom_clock_turn(loom_worker_clock(worker), &hop->times[worker->number].own);
        const LoomFlow flow =
            hop->stage->flush(loom_hop_instance(worker, hop)->self, &ctx, &cause);
        if (loom_flow_check(&ctx, loom_hop_instance(worker, hop), flow, "flush", NULL, cause,
                            error)
            == LOOM_FLOW_FAIL)
            return FALSE;
    }
    return TRUE;
}

static gboolean hops_finish(LoomRun *run, const GPtrArray *hops, GError **error)
{
    for (guint i = 0; i < hops->len; i++) {
        LoomHop *hop = hops->pdata[i];
        LoomInstance *instance = hop->instances[0];
        LoomContext ctx = {run, NULL, hop, hop->last, 0, FALSE};
        GError *cause = NULL;

        if (!hop->stage->finish || !hop->here)
            continue;
        gboolean done = hop->stage->finish(instance->self, &ctx, &cause);
        done = loom_instance_honest(instance, !done, "finish", &cause) && done;
        if (!done) {
            loom_hop_blame(instance, NULL, cause, error);
            return FALSE;
        }
    }
    return TRUE;
}

gboolean loom_graph_finish(LoomRun *run, LoomGraph *graph, GError **error)
{
    return hops_finish(run, graph->hops, error);
}

/* The last worker of a lane closes it: flush, finish, the end of what it feeds. */
static void lane_close(LoomWorker *worker)
{
    LoomLane *lane = worker->lane;
    LoomRun *run = worker->run;
    GError *error = NULL;

    if (lane->ended && !loom_run_ending(run) && !lane_flush(worker, &error))
        loom_run_fail(run, error);
    if (!loom_run_failed(run) && !loom_run_halted(run) && !hops_finish(run, lane->hops, &error))
        loom_run_fail(run, error);
    loom_ranks_end(run, lane);
    for (guint i = 0; i < lane->hops->len; i++) {
        const LoomHop *hop = lane->hops->pdata[i];

        for (guint k = 0; k < hop->children->len; k++) {
            const LoomHop *child = hop->children->pdata[k];

            if (child->queue && child->here)
                loom_queue_end(child->lane->queue);
        }
    }
}

static gpointer lane_thread(gpointer data)
{
    LoomWorker *worker = data;
    LoomLane *lane = worker->lane;
    GError *error = NULL;
    gboolean ended = FALSE;
    const LoomFlow flow = lane->queue           ? queue_loop(worker, &ended, &error)
                          : lane->head->arrives ? arrival_loop(worker, &ended, &error)
                                                : source_loop(worker, &ended, &error);

    loom_clock_turn(loom_worker_clock(worker), NULL);
    if (flow == LOOM_FLOW_FAIL)
        loom_run_fail(worker->run, error);
    if (lane->queue && !ended)
        loom_queue_stop(lane->queue); /* its producer learns it at the next push */
    pthread_mutex_lock(&lane->lock);
    lane->ended = lane->ended || ended;
    const gboolean last = --lane->working == 0;
    pthread_mutex_unlock(&lane->lock);
    if (last) {
        /* flush may push: the turn is over, so straight into the queues */
        g_clear_pointer(&worker->held, g_ptr_array_unref);
        lane_close(worker);
    }
    g_clear_pointer(&worker->held, g_ptr_array_unref);
    loom_clock_turn(loom_worker_clock(worker), NULL);
    return NULL;
}

/* ---- a whole graph ------------------------------------------------------------------ */

static gboolean hops_start(LoomRun *run, LoomGraph *graph, GError **error)
{
    for (guint i = 0; i < graph->hops->len; i++) {
        LoomHop *hop = graph->hops->pdata[i];

        hop->stopped = FALSE;
        hop->last = hop->first - 1;
        for (guint w = 0; hop->stage->start && hop->here && w < loom_hop_copies(hop); w++) {
            LoomContext ctx = {run, NULL, hop, hop->last, 0, FALSE};
            GError *cause = NULL;
            gboolean done = hop->stage->start(hop->instances[w]->self, &ctx, &cause);

            done = loom_instance_honest(hop->instances[w], !done, "start", &cause) && done;
            if (!done) {
                loom_hop_blame(hop->instances[w], NULL, cause, error);
                return FALSE;
            }
        }
    }
    return TRUE;
}

/* Who halts the run says so first and wakes the lanes then, maybe just now: its word is looked
 * at after this. */
static void lanes_reset(LoomGraph *graph)
{
    for (guint i = 0; i < graph->lanes->len; i++) {
        LoomLane *lane = graph->lanes->pdata[i];

        if (lane->queue)
            loom_queue_reset(lane->queue);
        LOOM_LOCKED(&lane->lock);
        lane->turn = 0;
        lane->working = lane->workers;
        lane->broken = lane->ended = FALSE;
    }
}

static void lanes_run(LoomRun *run, LoomGraph *graph)
{
    g_autoptr(GPtrArray) threads = g_ptr_array_new();
    g_autoptr(GPtrArray) workers = g_ptr_array_new_with_free_func(g_free);

    for (guint i = 0; i < graph->lanes->len; i++) {
        LoomLane *lane = graph->lanes->pdata[i];

        for (guint w = 0; w < lane->workers; w++) {
            LoomWorker *worker = g_new(LoomWorker, 1);

            *worker = (LoomWorker){run, lane, w, lane->workers > 1 ? g_ptr_array_new() : NULL};
            g_ptr_array_add(workers, worker);
        }
    }
    for (guint i = 1; i < workers->len; i++) {
        const LoomWorker *worker = workers->pdata[i];

        g_ptr_array_add(threads,
                        g_thread_new(worker->lane->head->id, lane_thread, workers->pdata[i]));
    }
    lane_thread(workers->pdata[0]); /* the caller's thread is the first lane */
    for (guint i = 0; i < threads->len; i++)
        g_thread_join(threads->pdata[i]);
}

LoomFlow loom_graph_execute(LoomRun *run, LoomGraph *graph)
{
    GError *error = NULL;

    lanes_reset(graph);
    if (loom_run_stopping(run) || loom_run_halted(run))
        return LOOM_FLOW_STOP;
    loom_times_begin(graph);
    if (!hops_start(run, graph, &error))
        loom_run_fail(run, error);
    else {
        loom_moves_begin(run, graph);
        lanes_run(run, graph);
    }
    loom_times_end(graph);
    loom_times_write(run);
    return loom_run_failed(run)                             ? LOOM_FLOW_FAIL
           : loom_run_stopping(run) || loom_run_halted(run) ? LOOM_FLOW_STOP
                                                            : LOOM_FLOW_OK;
}
