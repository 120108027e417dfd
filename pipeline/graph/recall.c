/* recall - a stage that keeps packets spares those above it their work: the source asks for a
 * packet before it makes it, and one that is there goes past the stages in between.  It still
 * travels through their lanes, so that packets keep their order.
 *
 * The key is a hash of all that the packet depends on: the program, the stages from the source
 * to the one that keeps, their parameters, and what the source says of its inputs. */
#include "state.h"

#include "core/packet.h"

static const LoomHop *source_of(const LoomHop *hop)
{
    while (hop->parent)
        hop = hop->parent;
    return hop;
}

static gboolean above_check(const LoomHop *keeper, const LoomHop *above, GError **error)
{
    const char *name = above->stage->base.name;

    if (above->group != keeper->group)
        return loom_node_fail(
            keeper->node, error,
            "stage '%s' (%s) must run in the same process as '%s' above it: place "
            "them together",
            keeper->id, keeper->stage->base.name, above->id);
    if (above->children->len > 1)
        return loom_node_fail(keeper->node, error,
                              "stage '%s' (%s) would keep packets from the other stages that "
                              "read '%s': put them below it",
                              keeper->id, keeper->stage->base.name, above->id);
    if (above->stage->recall)
        return loom_node_fail(keeper->node, error,
                              "stage '%s' (%s) stands below '%s', which keeps packets already: "
                              "want one of them",
                              keeper->id, keeper->stage->base.name, above->id);
    return !above->parent || (above->stage->map && (above->stage->flags & LOOM_STAGE_STEADY))
           || loom_node_fail(keeper->node, error,
                             "stage '%s' (%s) cannot keep what comes of '%s' (%s), which may "
                             "give something else each time: put it before that stage",
                             keeper->id, keeper->stage->base.name, above->id, name);
}

/* What is done to a packet on its way, as text. */
static char *way_text(const LoomHop *keeper)
{
    GString *text = g_string_new("segloom " LOOM_VERSION "\n");

    for (const LoomHop *hop = keeper; hop->parent->parent; hop = hop->parent) {
        const LoomStage *stage = hop->parent->stage;
        g_autoptr(LoomNode) node = loom_params_node(stage->base.params, hop->parent->node);
        g_autoptr(GString) one = g_string_new(stage->base.name);

        for (const LoomParam *row = stage->base.params; row && row->name; row++) {
            const LoomNode *given = loom_node_get(node, row->name);
            g_autofree char *value = given ? loom_yaml_json(given) : NULL;

            g_string_append_printf(one, " %s=%s", row->name, value ? value : "");
        }
        g_string_append_c(one, '\n');
        g_string_insert_len(text, -1, one->str, (gssize)one->len);
    }
    return g_string_free(text, FALSE);
}

gboolean loom_graph_check_keepers(LoomGraph *graph, GError **error)
{
    for (guint i = 0; i < graph->hops->len; i++) {
        LoomHop *hop = graph->hops->pdata[i];

        if (!hop->stage->recall)
            continue;
        for (const LoomHop *above = hop->parent; above; above = above->parent)
            if (!above_check(hop, above, error))
                return FALSE;
        hop->kept_as = way_text(hop);
        loom_graph_find(graph, source_of(hop)->id)->keeper = hop;
    }
    return TRUE;
}

gboolean loom_context_recall(LoomContext *ctx, const char *inputs, LoomPacket **packet)
{
    LoomHop *source = ctx->hop, *keeper = source->keeper;
    g_autofree char *all = NULL;

    *packet = NULL;
    if (!keeper || !keeper->here)
        return FALSE;
    all = g_strconcat(keeper->kept_as, inputs, NULL);
    g_free(source->key);
    source->key = g_compute_checksum_for_string(G_CHECKSUM_SHA256, all, -1);
    *packet = keeper->stage->recall(loom_hop_instance(NULL, keeper)->self, source->key);
    if (*packet)
        loom_packet_set_past(*packet, keeper);
    return TRUE;
}
