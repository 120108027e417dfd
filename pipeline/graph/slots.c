/* slots - does what flows fit?  One walk down the graph: names, dtypes, axes; then sizes. */
#include "graph.h"

/* What a packet holds behind a stage: name -> the LoomSlot that wrote it. */
static GHashTable *slots_behind(const LoomHop *hop, GHashTable *above)
{
    GHashTable *behind = g_hash_table_new(g_str_hash, g_str_equal);
    GHashTableIter iter;
    gpointer name, slot;

    if (above) {
        g_hash_table_iter_init(&iter, above);
        while (g_hash_table_iter_next(&iter, &name, &slot))
            g_hash_table_insert(behind, name, slot);
    }
    for (const LoomSlot *write = hop->stage->writes; write && write->name; write++)
        g_hash_table_insert(behind, (gpointer)(guintptr)write->name, (gpointer)(guintptr)write);
    return behind;
}

static const char *dtype_text(LoomDtype dtype)
{
    static const char *const names[] = {"any", "f32", "u8", "f64"};

    return names[dtype];
}

/* "'load', t.yaml:5:12", the stage above @hop that wrote the slot last; (transfer full). */
static char *writer_place(const LoomHop *hop, const char *slot)
{
    while ((hop = hop->parent))
        for (const LoomSlot *write = hop->stage->writes; write && write->name; write++)
            if (g_str_equal(write->name, slot)) {
                g_autofree char *place = loom_node_place(hop->node);

                return g_strdup_printf("'%s', %s", hop->id, place);
            }
    return g_strdup("nowhere");
}

static gboolean slot_check(const LoomHop *hop, const LoomSlot *read, const LoomSlot *written,
                           GError **error)
{
    if (!written)
        return (read->flags & LOOM_SLOT_OPTIONAL)
               || loom_node_fail_as(hop->node, "E-GRAPH-SLOT", error,
                                    "stage '%s' (%s) reads '%s' (%s), which no stage before it "
                                    "writes",
                                    hop->id, hop->stage->base.name, read->name, read->help);
    const gboolean typed =
        read->dtype == LOOM_ANY || written->dtype == LOOM_ANY || read->dtype == written->dtype;
    if (typed && (!read->axes || !written->axes || g_str_equal(read->axes, written->axes)))
        return TRUE;
    g_autofree char *place = writer_place(hop, read->name);
    return loom_node_fail_as(hop->node, "E-GRAPH-SHAPE", error,
                             "stage '%s' (%s) reads '%s' as %s %s, but it arrives as %s %s "
                             "(from %s): is a stage missing before it (batch?)",
                             hop->id, hop->stage->base.name, read->name,
                             dtype_text(read->dtype), read->axes, dtype_text(written->dtype),
                             written->axes, place);
}

gboolean loom_graph_check_slots(const LoomGraph *graph, LoomFindings *findings, GError **error)
{
    gboolean good = TRUE;
    g_autoptr(GHashTable) behind = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL,
                                                         (GDestroyNotify)g_hash_table_unref);

    for (guint i = 0; i < graph->hops->len; i++) {
        LoomHop *hop = graph->hops->pdata[i];
        GHashTable *above = hop->parent ? g_hash_table_lookup(behind, hop->parent) : NULL;

        for (const LoomSlot *read = hop->stage->reads; read && read->name; read++) {
            g_autoptr(GError) cause = NULL;

            if (slot_check(hop, read, above ? g_hash_table_lookup(above, read->name) : NULL,
                           &cause))
                continue;
            if (!loom_findings_keep(findings, &cause, error))
                return FALSE;
            good = FALSE;
        }
        g_hash_table_insert(behind, hop, slots_behind(hop, above));
    }
    return good || loom_findings_fail(error);
}

/* ---- models and lanes --------------------------------------------------------------- */

/* id of the model -> lane in which it is used first; graphs that a stage runs count as used by
 * that stage. */
static gboolean models_gather(const LoomGraph *graph, const LoomLane *lane, GHashTable *graphs,
                              GHashTable *used, guint depth, GError **error);

static gboolean models_of_hop(const LoomHop *hop, const LoomLane *lane, GHashTable *graphs,
                              GHashTable *used, guint depth, GError **error)
{
    for (const LoomParam *row = hop->stage->base.params; row && row->name; row++) {
        gpointer member = (char *)hop->instances[0]->self + row->offset;

        if (row->type == LOOM_PARAM_GRAPH
            && !models_gather(g_hash_table_lookup(graphs, *(char **)member), lane, graphs, used,
                              depth + 1, error))
            return FALSE;
        if (row->type != LOOM_PARAM_MODEL)
            continue;
        const LoomInstance *model = *(LoomInstance **)member;
        const LoomLane *first = g_hash_table_lookup(used, model->id);
        if (first && first != lane)
            return loom_node_fail_as(
                hop->node, "E-GRAPH", error,
                "stages '%s' and '%s' use the model '%s' in two lanes, want "
                "one: remove a 'queue:' between them",
                first->head->id, hop->id, model->id);
        g_hash_table_insert(used, (gpointer)(guintptr)model->id, (gpointer)(guintptr)lane);
    }
    return TRUE;
}

static gboolean models_gather(const LoomGraph *graph, const LoomLane *lane, GHashTable *graphs,
                              GHashTable *used, guint depth, GError **error)
{
    if (depth > g_hash_table_size(graphs))
        return loom_node_fail_as(graph->node, "E-GRAPH", error, "graph '%s' runs itself",
                                 graph->id);
    for (guint i = 0; i < graph->hops->len; i++) {
        const LoomHop *hop = graph->hops->pdata[i];

        if (!lane && !hop->lane) /* another process runs it */
            continue;
        if (!models_of_hop(hop, lane ? lane : hop->lane, graphs, used, depth, error))
            return FALSE;
    }
    return TRUE;
}

gboolean loom_graph_check_models(const LoomGraph *graph, GHashTable *graphs, GError **error)
{
    g_autoptr(GHashTable) used = g_hash_table_new(g_str_hash, g_str_equal);

    return models_gather(graph, NULL, graphs, used, 0, error);
}

/* ---- sizes -------------------------------------------------------------------------- */

static gboolean hop_plan(LoomHop *hop, GError **error)
{
    g_autoptr(GError) cause = NULL;

    hop->plan = hop->parent ? hop->parent->plan : (LoomPlan){0};
    hop->plan.bytes = 0;
    if (!hop->stage->plan)
        return TRUE;
    const gboolean fits = hop->stage->plan(hop->instances[0]->self, &hop->plan, &cause);
    if (loom_instance_honest(hop->instances[0], !fits, "plan", &cause) && fits)
        return TRUE;
    loom_error_call(cause, "E-GRAPH-SIZE");
    loom_instance_blame(hop->instances[0], &cause);
    g_propagate_error(error, g_steal_pointer(&cause));
    return FALSE;
}

gboolean loom_graph_plan(LoomGraph *graph, LoomFindings *findings, GError **error)
{
    g_autoptr(GHashTable) failed = g_hash_table_new(NULL, NULL); /* and what is below them */

    for (guint i = 0; i < graph->hops->len; i++) {
        LoomHop *hop = graph->hops->pdata[i];
        g_autoptr(GError) cause = NULL;

        if (g_hash_table_contains(failed, hop->parent)) {
            g_hash_table_add(failed, hop);
            continue;
        }
        if (hop_plan(hop, &cause))
            continue;
        if (!loom_findings_keep(findings, &cause, error))
            return FALSE;
        g_hash_table_add(failed, hop);
    }
    return !g_hash_table_size(failed) || loom_findings_fail(error);
}
