/* graph - names of the YAML -> stages, edges and lanes. */
#include "graph.h"

#include "place.h"

#include "config/scalar.h"

#include <string.h>

static const char *const stage_keys[] = {"from", "queue", "workers", NULL};

#define GRAPH_MAX_QUEUE 100000
#define GRAPH_MAX_WORKERS 256

static void hop_free(gpointer data)
{
    LoomHop *hop = data;

    for (guint i = 0; hop->instances && hop->instances[i]; i++)
        loom_instance_free(hop->instances[i]);
    g_free(hop->instances);
    if (hop->cases)
        g_ptr_array_unref(hop->cases);
    g_free(hop->kept_as);
    g_free(hop->key);
    g_free(hop->times);
    g_ptr_array_unref(hop->children);
    if (hop->streams)
        g_array_unref(hop->streams);
    g_free(hop);
}

static void lane_free(gpointer data)
{
    LoomLane *lane = data;

    loom_queue_free(lane->queue);
    pthread_cond_destroy(&lane->turned);
    pthread_mutex_destroy(&lane->lock);
    g_ptr_array_unref(lane->hops);
    g_free(lane);
}

void loom_graph_free(LoomGraph *graph)
{
    if (!graph)
        return;
    for (guint i = graph->hops->len; i > 0; i--) /* close in reverse order */
        hop_free(graph->hops->pdata[i - 1]);
    g_ptr_array_unref(graph->hops);
    g_ptr_array_unref(graph->lanes);
    g_free(graph);
}

LoomHop *loom_graph_find(const LoomGraph *graph, const char *id)
{
    for (guint i = 0; i < graph->hops->len; i++) {
        LoomHop *hop = graph->hops->pdata[i];

        if (g_str_equal(hop->id, id))
            return hop;
    }
    return NULL;
}

guint loom_hop_copies(const LoomHop *hop)
{
    return hop->lane ? hop->lane->workers : 1;
}

LoomHop *loom_graph_counter(const LoomGraph *graph)
{
    for (guint i = 0; i < graph->hops->len; i++) {
        LoomHop *hop = graph->hops->pdata[i];

        if (hop->stage->flags & LOOM_STAGE_STEP)
            return hop;
    }
    return NULL;
}

/* ---- stages and edges --------------------------------------------------------------- */

static gboolean count_read(const LoomNode *node, const char *id, const char *key, gint64 most,
                           gint64 *value, GError **error)
{
    const LoomNode *given = loom_node_get(node, key);
    g_autofree char *what = g_strdup_printf("stage '%s': %s", id, key);

    if (!given)
        return TRUE;
    if (!loom_scalar_int(given, what, value, error))
        return FALSE;
    return (*value >= 1 && *value <= most)
           || loom_node_fail_as(given, "E-VALUE-RANGE", error,
                                "%s: %s is out of range, want 1 to %" G_GINT64_FORMAT, what,
                                given->text, most);
}

static LoomHop *hop_new(LoomGraph *graph, const char *id, const LoomNode *node,
                        const LoomScope *scope, GError **error)
{
    const LoomPlugin *plugin = loom_instance_plugin(LOOM_KIND_STAGE, node, scope, error);
    LoomHop *hop;

    if (!plugin)
        return NULL;
    hop = g_new0(LoomHop, 1);
    hop->graph = graph;
    hop->id = id;
    hop->node = node;
    hop->stage = (const LoomStage *)plugin;
    hop->children = g_ptr_array_new();
    hop->workers = 1;
    hop->last = -1;
    hop->here = TRUE;
    g_ptr_array_add(graph->hops, hop);
    if (!count_read(node, id, "queue", GRAPH_MAX_QUEUE, &hop->queue, error)
        || !count_read(node, id, "workers", GRAPH_MAX_WORKERS, &hop->workers, error))
        return NULL;
    return hop;
}

static gboolean edge_connect(LoomGraph *graph, LoomHop *hop, GError **error)
{
    const LoomNode *from = loom_node_get(hop->node, "from");
    const gboolean source = hop->stage->produce != NULL;

    if (source && from)
        return loom_node_fail_as(from, "E-GRAPH-EDGE", error,
                                 "stage '%s' (%s) is a source: it takes no 'from'", hop->id,
                                 hop->stage->base.name);
    if (source)
        return TRUE;
    if (!from)
        return loom_node_fail_as(hop->node, "E-GRAPH-EDGE", error,
                                 "stage '%s' (%s) needs 'from: STAGE'", hop->id,
                                 hop->stage->base.name);
    if (from->type != LOOM_NODE_SCALAR)
        return loom_node_fail_as(from, "E-GRAPH-EDGE", error,
                                 "stage '%s': from: want the name of one stage", hop->id);
    hop->parent = loom_graph_find(graph, from->text);
    if (hop->parent) {
        g_ptr_array_add(hop->parent->children, hop);
        return TRUE;
    }
    if (loom_node_get(graph->node, from->text)) /* it could not be made: said already */
        return loom_findings_fail(error);
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    for (guint i = 0; i < graph->hops->len; i++)
        g_strv_builder_add(builder, ((LoomHop *)graph->hops->pdata[i])->id);
    g_auto(GStrv) ids = g_strv_builder_end(builder);
    g_autofree char *hint = loom_did_you_mean(from->text, (const char *const *)ids);
    return loom_node_fail_as(from, "E-GRAPH-EDGE", error,
                             "stage '%s': there is no stage '%s' in graph '%s'%s", hop->id,
                             from->text, graph->id, hint);
}

/* Follows 'from' upwards; more hops than stages is a cycle. */
static gboolean cycle_check(const LoomGraph *graph, const LoomHop *hop, GError **error)
{
    const LoomHop *above = hop->parent;
    guint n = 0;

    while (above && above != hop && ++n <= graph->hops->len)
        above = above->parent;
    if (above != hop)
        return TRUE; /* a source, or a cycle that is reported at one of its own stages */

    g_autoptr(GString) path = g_string_new(hop->id);
    for (above = hop->parent; above != hop; above = above->parent) {
        g_string_prepend(path, " -> ");
        g_string_prepend(path, above->id);
    }
    g_string_prepend(path, " -> ");
    g_string_prepend(path, hop->id);
    return loom_node_fail_as(loom_node_get(hop->node, "from"), "E-GRAPH-CYCLE", error,
                             "the stages form a cycle: %s", path->str);
}

static gboolean source_check(const LoomGraph *graph, GError **error)
{
    const LoomHop *source = NULL;

    for (guint i = 0; i < graph->hops->len; i++) {
        const LoomHop *hop = graph->hops->pdata[i];

        if (!cycle_check(graph, hop, error))
            return FALSE;
        if (hop->parent)
            continue;
        if (source)
            return loom_node_fail_as(hop->node, "E-GRAPH-SOURCE", error,
                                     "graph '%s' has two sources, '%s' and '%s', want one",
                                     graph->id, source->id, hop->id);
        source = hop;
    }
    return source
           || loom_node_fail_as(graph->node, "E-GRAPH-SOURCE", error,
                                "graph '%s' has no source, such as nifti_load", graph->id);
}

/* ---- lanes -------------------------------------------------------------------------- */

static LoomLane *lane_new(LoomGraph *graph, LoomHop *head)
{
    LoomLane *lane = g_new0(LoomLane, 1);

    lane->graph = graph;
    lane->head = head;
    lane->hops = g_ptr_array_new();
    lane->queue = head->queue ? loom_queue_new((guint)head->queue) : NULL;
    lane->workers = (guint)head->workers;
    pthread_mutex_init(&lane->lock, NULL);
    pthread_cond_init(&lane->turned, NULL);
    g_ptr_array_add(graph->lanes, lane);
    return lane;
}

static gboolean lane_join(LoomGraph *graph, LoomHop *hop, GError **error)
{
    const LoomNode *workers = loom_node_get(hop->node, "workers");

    const gboolean source = !hop->parent || hop->arrives;

    if (hop->arrives) /* its queue and workers are those of the process that runs it */
        hop->queue = 0, hop->workers = 1;
    if (!hop->parent && hop->queue)
        return loom_node_fail_as(loom_node_get(hop->node, "queue"), "E-GRAPH-EDGE", error,
                                 "stage '%s' is a source: there is nothing to queue before it",
                                 hop->id);
    if (workers && !hop->queue && !hop->arrives)
        return loom_node_fail_as(workers, "E-GRAPH", error,
                                 "stage '%s': workers need a lane of their own, add 'queue: 4'",
                                 hop->id);
    hop->lane = !source && !hop->queue ? hop->parent->lane : lane_new(graph, hop);
    g_ptr_array_add(hop->lane->hops, hop);
    if (hop->lane->workers > 1 && !(hop->stage->flags & LOOM_STAGE_PURE))
        return loom_node_fail_as(
            hop->node, "E-GRAPH", error,
            "stage '%s' (%s) depends on the order of packets and may not have "
            "workers: begin a new lane before it with 'queue: 4'",
            hop->id, hop->stage->base.name);
    return TRUE;
}

/* Each stage after its parent, so that one walk down the array is a walk down the graph. */
static void hops_sort(LoomGraph *graph)
{
    g_autoptr(GPtrArray) sorted = g_ptr_array_new();

    for (guint i = 0; i < graph->hops->len; i++)
        if (!((LoomHop *)graph->hops->pdata[i])->parent)
            g_ptr_array_add(sorted, graph->hops->pdata[i]);
    for (guint i = 0; i < sorted->len; i++) {
        const LoomHop *hop = sorted->pdata[i];

        for (guint k = 0; k < hop->children->len; k++)
            g_ptr_array_add(sorted, hop->children->pdata[k]);
    }
    g_assert(sorted->len == graph->hops->len);
    memcpy(graph->hops->pdata, sorted->pdata, sorted->len * sizeof *sorted->pdata);
}

/* The stage that counts; without one, the last that a packet comes to. */
static void moves_mark(LoomGraph *graph)
{
    for (guint i = 0; i < graph->hops->len; i++) {
        LoomHop *hop = graph->hops->pdata[i];
        const gboolean counts = hop->stage->flags & LOOM_STAGE_STEP;

        if (hop->here && (counts || !hop->children->len))
            graph->moves = hop;
        if (hop->here && counts)
            return;
    }
}

/* The way from the source to the stage that counts. */
static void way_mark(LoomGraph *graph)
{
    LoomHop *hop = loom_graph_counter(graph);

    if (hop)
        hop->counts = TRUE;
    for (; hop && hop->parent; hop = hop->parent)
        hop->parent->toward = hop;
}

/* All stages, then all edges. */
static gboolean hops_connect(LoomGraph *graph, const LoomScope *scope, GError **error)
{
    gboolean good = TRUE;

    for (guint i = 0; i < graph->node->items->len; i++) {
        g_autoptr(GError) cause = NULL;

        if (hop_new(graph, ((LoomNode *)graph->node->keys->pdata[i])->text,
                    graph->node->items->pdata[i], scope, &cause))
            continue;
        if (!loom_findings_keep(scope->findings, &cause, error))
            return FALSE;
        good = FALSE;
    }
    for (guint i = 0; i < graph->hops->len; i++) {
        g_autoptr(GError) cause = NULL;

        if (edge_connect(graph, graph->hops->pdata[i], &cause))
            continue;
        if (!loom_findings_keep(scope->findings, &cause, error))
            return FALSE;
        good = FALSE;
    }
    return good || loom_findings_fail(error);
}

static gboolean graph_build(LoomGraph *graph, const LoomScope *scope, const LoomPlace *place,
                            GError **error)
{
    if (graph->node->type != LOOM_NODE_MAPPING || !graph->node->items->len)
        return loom_node_fail_as(graph->node, "E-GRAPH", error,
                                 "graph '%s': want a mapping of stages", graph->id);
    if (!hops_connect(graph, scope, error) || !source_check(graph, error))
        return FALSE;
    hops_sort(graph);
    way_mark(graph);
    if (place && !loom_place_apply(place, graph, error))
        return FALSE;
    for (guint i = 0; i < graph->hops->len; i++) {
        LoomHop *hop = graph->hops->pdata[i];

        hop->below_step =
            (hop->stage->flags & LOOM_STAGE_STEP) || (hop->parent && hop->parent->below_step);
        if ((hop->here || hop->arrives) && !lane_join(graph, hop, error))
            return FALSE;
    }
    moves_mark(graph);
    return TRUE;
}

LoomGraph *loom_graph_new(const char *id, const LoomNode *node, const LoomScope *scope,
                          const LoomPlace *place, GError **error)
{
    g_autoptr(LoomGraph) graph = g_new0(LoomGraph, 1);

    graph->id = id;
    graph->node = node;
    graph->hops = g_ptr_array_new();
    graph->lanes = g_ptr_array_new_with_free_func(lane_free);
    g_autoptr(GError) cause = NULL;
    if (graph_build(graph, scope, place, &cause))
        return g_steal_pointer(&graph);
    if (!loom_findings_keep(scope->findings, &cause, error))
        return NULL;
    graph->broken = TRUE;
    return g_steal_pointer(&graph);
}

static gboolean hop_fill(LoomHop *hop, const LoomScope *scope, GError **error)
{
    hop->instances = g_new0(LoomInstance *, loom_hop_copies(hop) + 1);
    hop->n_times = MAX(loom_hop_copies(hop), hop->parent ? loom_hop_copies(hop->parent) : 0);
    hop->times = g_new0(LoomTimes, hop->n_times);
    for (guint w = 0; w < loom_hop_copies(hop); w++) {
        hop->instances[w] =
            loom_instance_new(LOOM_KIND_STAGE, hop->id, hop->node, stage_keys, scope, error);
        if (!hop->instances[w])
            return FALSE;
    }
    hop->in = hop->out = 1;
    if (hop->stage->process && !hop->stage->ratio)
        hop->in = hop->out = 0;
    else if (hop->stage->ratio)
        hop->stage->ratio(hop->instances[0]->self, &hop->in, &hop->out);
    return TRUE;
}

gboolean loom_graph_fill(LoomGraph *graph, const LoomScope *scope, GError **error)
{
    gboolean good = TRUE;

    for (guint i = 0; i < graph->hops->len; i++) {
        g_autoptr(GError) cause = NULL;

        if (hop_fill(graph->hops->pdata[i], scope, &cause))
            continue;
        if (!loom_findings_keep(scope->findings, &cause, error))
            return FALSE;
        good = FALSE;
    }
    return good || loom_findings_fail(error);
}

/* ---- less at a time ----------------------------------------------------------------- */

void loom_graph_shorten(LoomGraph *graph, gint64 most)
{
    for (guint i = 0; i < graph->lanes->len; i++) {
        LoomLane *lane = graph->lanes->pdata[i];

        if (lane->head->queue <= most)
            continue;
        lane->head->queue = most;
        loom_queue_free(lane->queue);
        lane->queue = loom_queue_new((guint)most);
    }
}

void loom_graph_join(LoomGraph *graph)
{
    LoomLane *lane;

    for (guint i = 0; i < graph->hops->len; i++) {
        LoomHop *hop = graph->hops->pdata[i];

        hop->queue = 0;
        hop->workers = 1;
    }
    g_ptr_array_set_size(graph->lanes, 0);
    lane = lane_new(graph, graph->hops->pdata[0]);
    for (guint i = 0; i < graph->hops->len; i++) {
        LoomHop *hop = graph->hops->pdata[i];

        hop->lane = lane;
        g_ptr_array_add(lane->hops, hop);
    }
}

/* ---- going on from a step ----------------------------------------------------------- */

gboolean loom_graph_begin_at(LoomGraph *graph, gint64 number, GError **error)
{
    LoomHop *hop = loom_graph_counter(graph);

    for (guint i = 0; hop && i < graph->hops->len; i++) {
        LoomHop *below = graph->hops->pdata[i];

        if (below->below_step)
            below->first = number;
    }
    for (; hop; hop = hop->parent) {
        hop->first = number;
        if (!hop->in)
            return loom_fail(error, LOOM_ERROR_CONFIG,
                             "stage '%s' does not tell how many packets it makes of one: a run "
                             "with it cannot be resumed",
                             hop->id);
        number = number / hop->out * hop->in;
    }
    return TRUE;
}

guint64 loom_graph_packets(const LoomGraph *graph)
{
    guint64 packets = 0;

    for (guint i = 0; i < graph->lanes->len; i++) {
        const LoomLane *lane = graph->lanes->pdata[i];

        packets += (guint64)lane->head->queue + lane->workers;
    }
    return packets;
}
