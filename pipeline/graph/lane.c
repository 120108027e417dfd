/* lane - one packet down a lane: the stages are called one inside the other, the results go to
 * the next lanes, and to other processes. */
#include "ranks.h"
#include "state.h"

#include "core/packet.h"

#include <loom/tensor.h>

#include <string.h>

LoomInstance *loom_hop_instance(const LoomWorker *worker, const LoomHop *hop)
{
    return hop->instances[worker ? worker->number : 0];
}

LoomFlow loom_hop_blame(const LoomInstance *instance, const char *packet_id, GError *cause,
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

/* @axes: of the alphabet twice; D, H, W of the native grid bind in the second. */
static gboolean axes_bind(const LoomTensor *tensor, const LoomSlot *read, Axis *axes,
                          GError **error)
{
    const char *letters = loom_tensor_axes(tensor), *slot = read->name;
    const gboolean native = (read->flags & LOOM_SLOT_NATIVE) != 0;

    for (guint i = 0; letters[i]; i++) {
        Axis *axis = &axes[letters[i] - 'A' + (native && strchr("DHW", letters[i]) ? 26 : 0)];
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

gboolean loom_slots_check(const LoomSlot *slots, const LoomPacket *packet, GError **error)
{
    Axis axes[2 * 26] = {0};

    for (const LoomSlot *slot = slots; slot && slot->name; slot++) {
        const LoomTensor *tensor = loom_packet_get(packet, slot->name);

        if (!slot->axes || (!tensor && (slot->flags & LOOM_SLOT_OPTIONAL)))
            continue;
        if (!loom_packet_need(packet, slot->name, error)
            || !loom_tensor_check(tensor, slot->dtype, slot->axes, slot->name, error)
            || !axes_bind(tensor, slot, axes, error))
            return FALSE;
    }
    return TRUE;
}

/* ---- one packet down the lane ------------------------------------------------------- */

LoomClock *loom_worker_clock(const LoomWorker *worker)
{
    return &worker->lane->head->times[worker->number].clock;
}

LoomFlow loom_worker_push(LoomWorker *worker, LoomHop *child, LoomPacket *packet)
{
    LoomSpent *room = &child->times[worker->number].room;
    LoomSpent *before = loom_clock_turn(loom_worker_clock(worker), room);
    const gboolean pushed = loom_queue_push(child->lane->queue, packet);

    loom_clock_turn(loom_worker_clock(worker), before);
    loom_spent_count(room);
    return pushed ? LOOM_FLOW_OK : LOOM_FLOW_STOP;
}

LoomFlow loom_worker_send(LoomWorker *worker, LoomHop *hop, const LoomPacket *packet,
                          GError **error)
{
    LoomSpent *sent = &hop->times[worker->number].sent;
    LoomSpent *before = loom_clock_turn(loom_worker_clock(worker), sent);
    const LoomFlow flow = loom_ranks_send(worker->run, hop, packet, error);

    loom_clock_turn(loom_worker_clock(worker), before);
    loom_spent_count(sent);
    return flow;
}

static LoomFlow hand_over(LoomWorker *worker, LoomHop *child, LoomPacket *packet)
{
    if (!worker->held)
        return loom_worker_push(worker, child, packet);
    g_ptr_array_add(worker->held, child);
    g_ptr_array_add(worker->held, packet);
    return LOOM_FLOW_OK;
}

/* To other processes; of a worker, when it is its turn. */
static LoomFlow send_away(LoomWorker *worker, LoomHop *hop, const LoomPacket *packet,
                          GError **error)
{
    if (!worker->held)
        return loom_worker_send(worker, hop, packet, error);
    g_ptr_array_add(worker->held, hop);
    g_ptr_array_add(worker->held, loom_packet_fork(packet));
    return LOOM_FLOW_OK;
}

gboolean loom_hop_wants(const LoomRun *run, const LoomHop *hop, gint64 index)
{
    const LoomShare other = {run->share.rank, run->share.size, 0, 0};
    const gboolean main = hop->graph == run->main;

    if (index < hop->first)
        return FALSE;
    if (run->share.size <= 1 && !hop->arrives)
        return TRUE;
    return loom_share_wants(main ? &run->share : &other, hop, index,
                            main && run->place ? run->place->group : 0, run->share.rank,
                            run->share.size);
}

LoomFlow loom_hop_deliver(LoomWorker *worker, LoomHop *hop, LoomPacket *packet, GError **error)
{
    g_autoptr(LoomPacket) mine = packet;
    const guint n = hop->children->len;
    gboolean wanted = n == 0;

    if (!loom_hop_wants(worker->run, hop, loom_packet_index(packet)))
        return LOOM_FLOW_OK;
    if (hop->leaves && hop->here) {
        const LoomFlow flow = send_away(worker, hop, packet, error);

        if (flow == LOOM_FLOW_FAIL)
            return flow;
        wanted = flow == LOOM_FLOW_OK;
    }
    for (guint i = 0; i < n; i++) {
        LoomHop *child = hop->children->pdata[i];
        LoomPacket *given;
        LoomFlow flow;

        if (child->stopped || !child->here)
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
    return hop->graph == run->main && run->steps
           && loom_share_step(&run->share, index) + 1 >= run->steps;
}

static LoomFlow hop_map(LoomWorker *worker, LoomHop *hop, LoomPacket *packet, GError **error)
{
    LoomRun *run = worker->run;
    LoomInstance *instance = loom_hop_instance(worker, hop);
    const gint64 index = loom_packet_index(packet);
    LoomContext ctx = {run, NULL, hop, index, 0, FALSE};
    g_autoptr(LoomPacket) mine = packet;
    GError *cause = NULL;
    const gboolean past = loom_packet_past(packet) != NULL; /* it was here before */
    gboolean done = past || loom_slots_check(hop->stage->reads, packet, &cause);

    if (loom_packet_past(packet) == hop)
        loom_packet_set_past(packet, NULL);
    if (done && !past) {
        done = hop->stage->map(instance->self, packet, &ctx, &cause);
        done = loom_instance_honest(instance, !done, "map", &cause) && done;
    }
    if (done && !loom_packet_past(packet))
        done = loom_slots_check(hop->stage->writes, packet, &cause);
    if (!done && ctx.below_failed) { /* a graph that it ran: the place is in the message */
        g_propagate_error(error, cause);
        return LOOM_FLOW_FAIL;
    }
    if (!done)
        return loom_hop_blame(instance, loom_packet_id(packet), cause, error);
    if ((hop->stage->flags & LOOM_STAGE_STEP) && hop->graph == run->main)
        __atomic_store_n(&run->step, loom_share_step(&run->share, index) + 1, __ATOMIC_RELEASE);
    if (hop == hop->graph->moves)
        loom_moves_done(run, hop->graph, index);

    const LoomFlow flow = loom_hop_deliver(worker, hop, g_steal_pointer(&mine), error);
    if (flow != LOOM_FLOW_OK || !(hop->stage->flags & LOOM_STAGE_STEP))
        return flow;
    if (steps_reached(run, hop, index))
        return LOOM_FLOW_STOP;
    if (!g_atomic_int_get(&run->last_step))
        return flow;
    loom_run_halt(run); /* all ranks do, after the same step */
    return LOOM_FLOW_STOP;
}

LoomFlow loom_flow_check(const LoomContext *ctx, LoomInstance *instance, LoomFlow flow,
                         const char *call, const char *packet_id, GError *cause, GError **error)
{
    if (!loom_instance_honest(instance, flow == LOOM_FLOW_FAIL, call, &cause))
        flow = LOOM_FLOW_FAIL;
    if (flow != LOOM_FLOW_FAIL)
        return flow;
    if (!ctx->below_failed)
        return loom_hop_blame(instance, packet_id, cause, error);
    g_propagate_error(error, cause);
    return flow;
}

static LoomFlow hop_process(LoomWorker *worker, LoomHop *hop, LoomPacket *packet,
                            GError **error)
{
    LoomInstance *instance = loom_hop_instance(worker, hop);
    LoomContext ctx = {worker->run, worker, hop, loom_packet_index(packet), 0, FALSE};
    g_autofree char *id = g_strdup(loom_packet_id(packet)); /* the call frees the packet */
    GError *cause = NULL;

    if (!loom_slots_check(hop->stage->reads, packet, &cause)) {
        loom_packet_free(packet);
        return loom_hop_blame(instance, id, cause, error);
    }
    const LoomFlow flow = hop->stage->process(instance->self, packet, &ctx, &cause);
    return loom_flow_check(&ctx, instance, flow, "process", id, cause, error);
}

LoomFlow loom_hop_run(LoomWorker *worker, LoomHop *hop, LoomPacket *packet, GError **error)
{
    LoomSpent *own = &hop->times[worker->number].own;
    LoomSpent *before = loom_clock_turn(loom_worker_clock(worker), own);

    loom_ranks_progress(worker->run);
    if (worker->lane->workers == 1) /* workers keep no state, so they have no last packet */
        hop->last = loom_packet_index(packet);
    loom_spent_count(own);
    const LoomFlow flow = hop->stage->map ? hop_map(worker, hop, packet, error)
                                          : hop_process(worker, hop, packet, error);
    loom_clock_turn(loom_worker_clock(worker), before);
    return flow;
}

LoomFlow loom_context_push(LoomContext *ctx, LoomPacket *packet, GError **error)
{
    const LoomHop *hop = ctx->hop;
    g_autoptr(LoomPacket) mine = packet;

    g_assert(ctx->worker); /* map, start and finish have nothing to push */
    loom_packet_set_index(packet,
                          hop->in ? ctx->index / hop->in * hop->out + ctx->pushed : ctx->index);
    ctx->pushed++;
    if (!loom_slots_check(hop->stage->writes, packet, error))
        return LOOM_FLOW_FAIL;
    const LoomFlow flow =
        loom_hop_deliver(ctx->worker, ctx->hop, g_steal_pointer(&mine), error);
    ctx->below_failed = flow == LOOM_FLOW_FAIL;
    return flow;
}
