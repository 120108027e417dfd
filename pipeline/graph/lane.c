/* lane - one thread: take a packet, call the stages of the lane one inside the other, hand the
 * results to the next lanes.  With workers, results leave in the order in which packets came.
 */
#include "state.h"

#include "core/packet.h"

#include <loom/tensor.h>

#include <string.h>

static LoomInstance *hop_instance(const LoomWorker *worker, const LoomHop *hop)
{
    return hop->instances[worker ? worker->number : 0];
}

/* Adds the place, and the case unless the message names it, and returns FAIL. */
static LoomFlow hop_blame(const LoomInstance *instance, const char *packet_id, GError *cause,
                          GError **error)
{
    if (packet_id && !strstr(cause->message, packet_id))
        g_prefix_error(&cause, "case '%s': ", packet_id);
    loom_instance_blame(instance, &cause);
    g_propagate_error(error, cause);
    return LOOM_FLOW_FAIL;
}

/* ---- does the packet hold what the stage reads? ------------------------------------- */

typedef struct {
    gint64 size;
    const char *slot; /* that bound it */
} Axis;

static gboolean axes_bind(const LoomTensor *tensor, const char *slot, Axis *axes,
                          GError **error)
{
    const char *letters = loom_tensor_axes(tensor);

    for (guint i = 0; letters[i]; i++) {
        Axis *axis = &axes[letters[i] - 'A'];
        const gint64 size = loom_tensor_shape(tensor)[i];

        if (axis->slot && axis->size != size)
            return loom_fail(error, LOOM_ERROR_SHAPE,
                             "'%s' has %" G_GINT64_FORMAT
                             " along %c but '%s' has %" G_GINT64_FORMAT,
                             axis->slot, axis->size, letters[i], slot, size);
        *axis = (Axis){size, slot};
    }
    return TRUE;
}

static gboolean packet_check(const LoomSlot *slots, const LoomPacket *packet, GError **error)
{
    Axis axes['Z' - 'A' + 1] = {0};

    for (const LoomSlot *slot = slots; slot && slot->name; slot++) {
        const LoomTensor *tensor = loom_packet_get(packet, slot->name);

        if (!slot->axes || (!tensor && (slot->flags & LOOM_SLOT_OPTIONAL)))
            continue;
        if (!loom_packet_need(packet, slot->name, error)
            || !loom_tensor_check(tensor, slot->dtype, slot->axes, slot->name, error)
            || !axes_bind(tensor, slot->name, axes, error))
            return FALSE;
    }
    return TRUE;
}

/* ---- one packet down the lane ------------------------------------------------------- */

static LoomFlow hand_over(LoomWorker *worker, LoomHop *child, LoomPacket *packet)
{
    if (!worker->held)
        return loom_queue_push(child->lane->queue, packet) ? LOOM_FLOW_OK : LOOM_FLOW_STOP;
    g_ptr_array_add(worker->held, child);
    g_ptr_array_add(worker->held, packet);
    return LOOM_FLOW_OK;
}

LoomFlow loom_hop_deliver(LoomWorker *worker, LoomHop *hop, LoomPacket *packet, GError **error)
{
    g_autoptr(LoomPacket) mine = packet;
    const guint n = hop->children->len;
    gboolean wanted = n == 0;

    if (loom_packet_index(packet) < hop->first)
        return LOOM_FLOW_OK;
    for (guint i = 0; i < n; i++) {
        LoomHop *child = hop->children->pdata[i];
        LoomPacket *given;
        LoomFlow flow;

        if (child->stopped)
            continue;
        given = i + 1 < n ? loom_packet_fork(mine) : g_steal_pointer(&mine);
        flow = child->queue ? hand_over(worker, child, given)
                            : loom_hop_run(worker, child, given, error);
        if (flow == LOOM_FLOW_FAIL)
            return flow;
        wanted = wanted || flow == LOOM_FLOW_OK;
        if (flow == LOOM_FLOW_STOP && worker->lane->workers == 1)
            child->stopped = TRUE;
    }
    return wanted ? LOOM_FLOW_OK : LOOM_FLOW_STOP;
}

/* The step that this packet completes is the last one that was asked for. */
static gboolean steps_reached(LoomRun *run, const LoomHop *hop, gint64 index)
{
    return (hop->stage->flags & LOOM_STAGE_STEP) && hop->graph == run->main && run->steps
           && index + 1 >= run->steps;
}

static LoomFlow hop_map(LoomWorker *worker, LoomHop *hop, LoomPacket *packet, GError **error)
{
    LoomRun *run = worker->run;
    LoomInstance *instance = hop_instance(worker, hop);
    const gint64 index = loom_packet_index(packet);
    LoomContext ctx = {run, NULL, hop, index, 0, FALSE};
    g_autoptr(LoomPacket) mine = packet;
    GError *cause = NULL;
    gboolean done = packet_check(hop->stage->reads, packet, &cause);

    if (done) {
        done = hop->stage->map(instance->self, packet, &ctx, &cause);
        done = loom_instance_honest(instance, !done, "map", &cause) && done;
    }
    if (done)
        done = packet_check(hop->stage->writes, packet, &cause);
    if (!done && ctx.below_failed) { /* a graph that it ran: the place is in the message */
        g_propagate_error(error, cause);
        return LOOM_FLOW_FAIL;
    }
    if (!done)
        return hop_blame(instance, loom_packet_id(packet), cause, error);
    if ((hop->stage->flags & LOOM_STAGE_STEP) && hop->graph == run->main)
        __atomic_store_n(&run->step, index + 1, __ATOMIC_RELEASE);

    const LoomFlow flow = loom_hop_deliver(worker, hop, g_steal_pointer(&mine), error);
    return flow == LOOM_FLOW_OK && steps_reached(run, hop, index) ? LOOM_FLOW_STOP : flow;
}

/* What a call that may push came to. */
static LoomFlow flow_check(const LoomContext *ctx, LoomInstance *instance, LoomFlow flow,
                           const char *call, const char *packet_id, GError *cause,
                           GError **error)
{
    if (!loom_instance_honest(instance, flow == LOOM_FLOW_FAIL, call, &cause))
        flow = LOOM_FLOW_FAIL;
    if (flow != LOOM_FLOW_FAIL)
        return flow;
    if (!ctx->below_failed)
        return hop_blame(instance, packet_id, cause, error);
    g_propagate_error(error, cause);
    return flow;
}

static LoomFlow hop_process(LoomWorker *worker, LoomHop *hop, LoomPacket *packet,
                            GError **error)
{
    LoomInstance *instance = hop_instance(worker, hop);
    LoomContext ctx = {worker->run, worker, hop, loom_packet_index(packet), 0, FALSE};
    g_autofree char *id = g_strdup(loom_packet_id(packet)); /* the call frees the packet */
    GError *cause = NULL;

    if (!packet_check(hop->stage->reads, packet, &cause)) {
        loom_packet_free(packet);
        return hop_blame(instance, id, cause, error);
    }
    const LoomFlow flow = hop->stage->process(instance->self, packet, &ctx, &cause);
    return flow_check(&ctx, instance, flow, "process", id, cause, error);
}

LoomFlow loom_hop_run(LoomWorker *worker, LoomHop *hop, LoomPacket *packet, GError **error)
{
    if (worker->lane->workers == 1) /* workers keep no state, so they have no last packet */
        hop->last = loom_packet_index(packet);
    return hop->stage->map ? hop_map(worker, hop, packet, error)
                           : hop_process(worker, hop, packet, error);
}

LoomFlow loom_context_push(LoomContext *ctx, LoomPacket *packet, GError **error)
{
    const LoomHop *hop = ctx->hop;
    g_autoptr(LoomPacket) mine = packet;

    g_assert(ctx->worker); /* map, start and finish have nothing to push */
    loom_packet_set_index(packet,
                          hop->in ? ctx->index / hop->in * hop->out + ctx->pushed : ctx->index);
    ctx->pushed++;
    if (!packet_check(hop->stage->writes, packet, error))
        return LOOM_FLOW_FAIL;
    const LoomFlow flow =
        loom_hop_deliver(ctx->worker, ctx->hop, g_steal_pointer(&mine), error);
    ctx->below_failed = flow == LOOM_FLOW_FAIL;
    return flow;
}

/* ---- the loops of a thread ---------------------------------------------------------- */

static LoomFlow source_loop(LoomWorker *worker, gboolean *ended, GError **error)
{
    LoomHop *hop = worker->lane->head;
    LoomInstance *instance = hop_instance(worker, hop);

    for (gint64 index = hop->first;; index++) {
        LoomContext ctx = {worker->run, NULL, hop, index, 0, FALSE};
        g_autoptr(LoomPacket) packet = NULL;
        GError *cause = NULL;

        if (loom_run_stopping(worker->run) || loom_run_failed(worker->run))
            return LOOM_FLOW_STOP;
        LoomFlow flow = hop->stage->produce(instance->self, &packet, &ctx, &cause);
        flow = flow_check(&ctx, instance, flow, "produce", NULL, cause, error);
        *ended = flow == LOOM_FLOW_STOP;
        if (flow != LOOM_FLOW_OK)
            return flow;
        if (!packet_check(hop->stage->writes, packet, &cause))
            return hop_blame(instance, loom_packet_id(packet), cause, error);
        loom_packet_set_index(packet, index);
        hop->last = index;
        flow = loom_hop_deliver(worker, hop, g_steal_pointer(&packet), error);
        if (flow != LOOM_FLOW_OK)
            return flow;
    }
}

/* Waits until all results of earlier packets have left, then hands over those of this one. */
static LoomFlow turn_push(LoomWorker *worker, gint64 ticket)
{
    LoomLane *lane = worker->lane;
    LoomFlow flow = LOOM_FLOW_OK;

    pthread_mutex_lock(&lane->lock);
    while (lane->turn != ticket && !lane->broken)
        pthread_cond_wait(&lane->turned, &lane->lock);
    const gboolean broken = lane->broken;
    pthread_mutex_unlock(&lane->lock);

    for (guint i = 0; i < worker->held->len; i += 2) {
        const LoomHop *child = worker->held->pdata[i];
        LoomPacket *packet = worker->held->pdata[i + 1];

        if (broken || flow == LOOM_FLOW_STOP)
            loom_packet_free(packet);
        else if (!loom_queue_push(child->lane->queue, packet))
            flow = LOOM_FLOW_STOP;
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

    for (;;) {
        LoomPacket *packet = NULL;
        gint64 ticket = 0;
        const LoomTake take = loom_queue_take(lane->queue, &packet, &ticket);

        *ended = take == LOOM_TAKE_ENDED;
        if (take != LOOM_TAKEN)
            return LOOM_FLOW_STOP;
        LoomFlow flow = loom_hop_run(worker, lane->head, packet, error);
        if (worker->held && flow != LOOM_FLOW_FAIL)
            flow = turn_push(worker, ticket);
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

        if (!hop->stage->flush || hop->stopped)
            continue;
        const LoomFlow flow = hop->stage->flush(hop_instance(worker, hop)->self, &ctx, &cause);
        if (flow_check(&ctx, hop_instance(worker, hop), flow, "flush", NULL, cause, error)
            == LOOM_FLOW_FAIL)
            return FALSE;
    }
    return TRUE;
}

static gboolean lane_finish(LoomWorker *worker, GError **error)
{
    LoomLane *lane = worker->lane;

    for (guint i = 0; i < lane->hops->len; i++) {
        LoomHop *hop = lane->hops->pdata[i];
        LoomInstance *instance = hop_instance(worker, hop);
        LoomContext ctx = {worker->run, NULL, hop, hop->last, 0, FALSE};
        GError *cause = NULL;

        if (!hop->stage->finish)
            continue;
        gboolean done = hop->stage->finish(instance->self, &ctx, &cause);
        done = loom_instance_honest(instance, !done, "finish", &cause) && done;
        if (!done) {
            hop_blame(instance, NULL, cause, error);
            return FALSE;
        }
    }
    return TRUE;
}

/* The last worker of a lane closes it: flush, finish, the end of what it feeds. */
static void lane_close(LoomWorker *worker)
{
    LoomLane *lane = worker->lane;
    LoomRun *run = worker->run;
    GError *error = NULL;

    if (lane->ended && !loom_run_stopping(run) && !loom_run_failed(run)
        && !lane_flush(worker, &error))
        loom_run_fail(run, error);
    if (!loom_run_failed(run) && !lane_finish(worker, &error))
        loom_run_fail(run, error);
    for (guint i = 0; i < lane->hops->len; i++) {
        const LoomHop *hop = lane->hops->pdata[i];

        for (guint k = 0; k < hop->children->len; k++) {
            const LoomHop *child = hop->children->pdata[k];

            if (child->queue)
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
    const LoomFlow flow =
        lane->queue ? queue_loop(worker, &ended, &error) : source_loop(worker, &ended, &error);

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
    return NULL;
}

/* ---- a whole graph ------------------------------------------------------------------ */

static gboolean hops_start(LoomRun *run, LoomGraph *graph, GError **error)
{
    for (guint i = 0; i < graph->hops->len; i++) {
        LoomHop *hop = graph->hops->pdata[i];

        hop->stopped = FALSE;
        hop->last = hop->first - 1;
        for (guint w = 0; hop->stage->start && w < hop->lane->workers; w++) {
            LoomContext ctx = {run, NULL, hop, hop->first, 0, FALSE};
            GError *cause = NULL;
            gboolean done = hop->stage->start(hop->instances[w]->self, &ctx, &cause);

            done = loom_instance_honest(hop->instances[w], !done, "start", &cause) && done;
            if (!done) {
                hop_blame(hop->instances[w], NULL, cause, error);
                return FALSE;
            }
        }
    }
    return TRUE;
}

static void lanes_reset(LoomGraph *graph)
{
    for (guint i = 0; i < graph->lanes->len; i++) {
        LoomLane *lane = graph->lanes->pdata[i];

        if (lane->queue)
            loom_queue_reset(lane->queue);
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
    if (loom_run_stopping(run))
        return LOOM_FLOW_STOP;
    if (!hops_start(run, graph, &error))
        loom_run_fail(run, error);
    else
        lanes_run(run, graph);
    return loom_run_failed(run)     ? LOOM_FLOW_FAIL
           : loom_run_stopping(run) ? LOOM_FLOW_STOP
                                    : LOOM_FLOW_OK;
}
