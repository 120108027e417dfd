/* need - what each lane of a graph takes, from sizes alone: a packet of tensors without data, a
 * sketch, goes down the graph as a real one would.
 *   hand = max over its stages of (what it holds when the packet comes + what the call takes)
 * A tensor that several packets hold counts once, as it does in memory. */
#include "need.h"

#include "core/packet.h"

#include <loom/tensor.h>

#include <string.h>

typedef struct {
    LoomRun *run;
    GPtrArray *alive; /* LoomPacket *, borrowed: held by the calls above in this lane */
} Walk;

gboolean loom_need_nothing(G_GNUC_UNUSED gpointer self, G_GNUC_UNUSED LoomPacket *sketch,
                           G_GNUC_UNUSED LoomNeed *need, G_GNUC_UNUSED GError **error)
{
    return TRUE;
}

/* ---- bytes -------------------------------------------------------------------------- */

static guint64 packet_bytes(const LoomPacket *packet, GHashTable *seen)
{
    const LoomTensor *tensor;
    guint64 bytes = 0;

    for (guint i = 0; loom_packet_slot(packet, i, &tensor); i++)
        if (tensor && (!seen || g_hash_table_add(seen, (gpointer)(guintptr)tensor)))
            bytes += loom_tensor_bytes(tensor);
    return bytes;
}

/* Of this packet and those of the calls above. */
static guint64 alive_bytes(const Walk *walk, const LoomPacket *packet)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
    guint64 bytes = packet_bytes(packet, seen);

    for (guint i = 0; i < walk->alive->len; i++)
        bytes += packet_bytes(walk->alive->pdata[i], seen);
    return bytes;
}

static gboolean alive_holds(const Walk *walk, const LoomTensor *tensor)
{
    const LoomTensor *other;

    for (guint i = 0; i < walk->alive->len; i++)
        for (guint k = 0; loom_packet_slot(walk->alive->pdata[i], k, &other); k++)
            if (other == tensor)
                return TRUE;
    return FALSE;
}

/* ---- a stage ------------------------------------------------------------------------ */

/* The size along @axis of what a stage without `need` writes; 0: not known. */
static gint64 size_of(const LoomHop *hop, const LoomSlot *slot, const LoomPacket *packet,
                      char axis)
{
    const LoomTensor *image = loom_packet_get(packet, "image");
    const LoomPlan *plan = &hop->plan;
    const gboolean logits = strstr(slot->name, "logits") != NULL;
    gint64 planned = 0;

    switch (axis) {
    case 'N':
        return MAX(plan->n, 1);
    case 'C':
        planned = logits ? plan->classes : plan->c;
        break;
    case 'D':
        planned = plan->d;
        break;
    case 'H':
        planned = plan->h;
        break;
    case 'W':
        planned = plan->w;
        break;
    default:
        return 0;
    }
    return planned ? planned : image && !logits ? loom_tensor_size(image, axis) : 0;
}

/* One slot of a stage that does not tell: made anew. */
static gboolean slot_guess(const LoomHop *hop, const LoomSlot *slot, LoomPacket *sketch,
                           LoomNeed *need, GError **error)
{
    const LoomTensor *there = loom_packet_get(sketch, slot->name);
    gint64 shape[LOOM_MAX_RANK];

    if ((!there && (slot->flags & LOOM_SLOT_OPTIONAL)) || !slot->axes || !slot->axes[0]
        || slot->dtype == LOOM_ANY)
        return TRUE;
    for (guint i = 0; slot->axes[i]; i++)
        if (!(shape[i] = size_of(hop, slot, sketch, slot->axes[i])))
            return TRUE;
    LoomTensor *made = loom_tensor_sketch(slot->dtype, slot->axes, shape, error);
    if (!made)
        return FALSE;
    need->work += loom_tensor_bytes(made);
    loom_packet_set(sketch, slot->name, made);
    return TRUE;
}

static gboolean stage_guess(const LoomHop *hop, LoomPacket *sketch, LoomNeed *need,
                            GError **error)
{
    need->kept = hop->plan.bytes - MIN(hop->plan.bytes, hop->cache);
    for (const LoomSlot *slot = hop->parent ? hop->stage->writes : NULL; slot && slot->name;
         slot++)
        if (!slot_guess(hop, slot, sketch, need, error))
            return FALSE;
    return TRUE;
}

/* What is written and held by somebody else too is copied first. */
static gboolean shared_copy(const Walk *walk, const LoomHop *hop, LoomPacket *sketch,
                            LoomNeed *need, GError **error)
{
    for (const LoomSlot *slot = hop->stage->writes; slot && slot->name; slot++) {
        const LoomTensor *there = loom_packet_get(sketch, slot->name);

        if (!there || !alive_holds(walk, there))
            continue;
        LoomTensor *copy = loom_tensor_sketch(loom_tensor_dtype(there), loom_tensor_axes(there),
                                              loom_tensor_shape(there), error);
        if (!copy)
            return FALSE;
        need->work += loom_tensor_bytes(there);
        loom_packet_set(sketch, slot->name, copy);
    }
    return TRUE;
}

static gboolean stage_need(const Walk *walk, const LoomHop *hop, LoomPacket *sketch,
                           LoomNeed *need, GError **error)
{
    LoomInstance *instance = hop->instances[0];
    GError *cause = NULL;
    gboolean good = hop->stage->need ? hop->stage->need(instance->self, sketch, need, &cause)
                                     : stage_guess(hop, sketch, need, &cause);

    good = loom_instance_honest(instance, !good, "need", &cause) && good;
    if (good && hop->parent)
        good = shared_copy(walk, hop, sketch, need, &cause);
    return good || loom_hop_blame(instance, loom_packet_id(sketch), cause, error);
}

static void need_keep(LoomHop *hop, guint64 before, const LoomNeed *need)
{
    LoomHopNeed *most = &hop->need;
    LoomLane *lane = hop->lane;

    most->kept = MAX(most->kept, need->kept);
    if (before + need->work >= most->before + most->work) {
        most->before = before;
        most->work = need->work;
    }
    if (lane->heaviest && before + need->work <= lane->hand)
        return;
    lane->hand = before + need->work;
    lane->heaviest = hop;
}

/* ---- down the graph ----------------------------------------------------------------- */

static gboolean hop_walk(Walk *walk, LoomHop *hop, LoomPacket *sketch, GError **error);

static gboolean child_walk(Walk *walk, LoomHop *child, LoomPacket *sketch, GError **error)
{
    LoomLane *lane = child->lane;
    g_autoptr(GPtrArray) none = g_ptr_array_new();
    Walk other = {walk->run, none};

    if (!child->queue || !lane)
        return hop_walk(walk, child, sketch, error);
    LoomLane *maker = child->parent->lane;
    const guint64 bytes = packet_bytes(sketch, NULL);
    lane->packet = MAX(lane->packet, bytes);
    if (maker && maker->workers > 1)
        maker->held = MAX(maker->held, bytes * (guint64)MAX(child->parent->out, 1));
    return hop_walk(&other, child, sketch, error);
}

static gboolean children_walk(Walk *walk, const LoomHop *hop, LoomPacket *sketch,
                              GError **error)
{
    const guint n = hop->children->len;
    gboolean good = TRUE;

    for (guint i = 0; good && i < n; i++) {
        LoomHop *child = hop->children->pdata[i];
        g_autoptr(LoomPacket) given = loom_packet_fork(sketch);
        if (i + 1 < n)
            g_ptr_array_add(walk->alive, sketch);
        good = child_walk(walk, child, given, error);
        if (i + 1 < n)
            g_ptr_array_set_size(walk->alive, (gint)walk->alive->len - 1);
    }
    return good;
}

static gboolean hop_walk(Walk *walk, LoomHop *hop, LoomPacket *sketch, GError **error)
{
    LoomNeed need = {.room = hop->room, .threads = loom_pool_threads(walk->run->pool)};
    const guint64 arrived = alive_bytes(walk, sketch);
    g_autoptr(LoomPacket) came = loom_packet_fork(sketch);

    if (!stage_need(walk, hop, sketch, &need, error))
        return FALSE;
    if (hop->here && hop->lane)
        need_keep(hop, arrived, &need);
    if (hop->arrives)
        hop->lane->hand = MAX(hop->lane->hand, packet_bytes(sketch, NULL));
    if (hop->stage->process) /* it may hold what came until all it made is worked on */
        g_ptr_array_add(walk->alive, came);
    const gboolean good = children_walk(walk, hop, sketch, error);
    if (hop->stage->process)
        g_ptr_array_set_size(walk->alive, (gint)walk->alive->len - 1);
    return good;
}

/* ---- the cases ---------------------------------------------------------------------- */

/* Of a source that names no cases; NULL: its plan does not tell the sizes. */
static LoomPacket *plan_sketch(const LoomHop *source)
{
    const LoomPlan *plan = &source->plan;
    const gint64 shape[4] = {plan->c, plan->d, plan->h, plan->w};
    g_autoptr(LoomPacket) sketch = loom_packet_new();

    for (guint i = 0; i < 2; i++) {
        LoomTensor *tensor = loom_tensor_sketch(i ? LOOM_U8 : LOOM_F32, i ? "DHW" : "CDHW",
                                                i ? shape + 1 : shape, NULL);

        if (!tensor)
            return NULL;
        loom_packet_set(sketch, i ? "label" : "image", tensor);
    }
    return g_steal_pointer(&sketch);
}

static gboolean case_walk(LoomRun *run, LoomHop *source, const LoomPacket *one, GError **error)
{
    g_autoptr(GPtrArray) alive = g_ptr_array_new();
    g_autoptr(LoomPacket) sketch = loom_packet_fork(one);
    Walk walk = {run, alive};

    return hop_walk(&walk, source, sketch, error);
}

/* Nothing is known but the size of the largest case: each lane has one in hand. */
static void lanes_guess(LoomGraph *graph, guint64 largest)
{
    for (guint i = 0; i < graph->hops->len; i++) {
        LoomHop *hop = graph->hops->pdata[i];

        hop->need =
            (LoomHopNeed){largest, 0, hop->plan.bytes - MIN(hop->plan.bytes, hop->cache)};
    }
    for (guint i = 0; i < graph->lanes->len; i++) {
        LoomLane *lane = graph->lanes->pdata[i];

        lane->hand = lane->packet = largest;
        lane->heaviest = lane->head;
    }
}

gboolean loom_graph_need(LoomRun *run, LoomGraph *graph, GError **error)
{
    LoomHop *source = graph->hops->pdata[0];

    for (guint i = 0; i < graph->hops->len; i++)
        ((LoomHop *)graph->hops->pdata[i])->need = (LoomHopNeed){0};
    for (guint i = 0; i < graph->lanes->len; i++) {
        LoomLane *lane = graph->lanes->pdata[i];

        lane->hand = lane->packet = lane->held = 0;
        lane->heaviest = NULL;
    }
    for (guint i = 0; source->cases && i < source->cases->len; i++)
        if (!case_walk(run, source, source->cases->pdata[i], error))
            return FALSE;
    if (source->cases)
        return TRUE;
    g_autoptr(LoomPacket) sketch = plan_sketch(source);
    if (sketch)
        return case_walk(run, source, sketch, error);
    lanes_guess(graph, source->largest);
    return TRUE;
}
