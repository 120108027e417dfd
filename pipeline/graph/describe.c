/* describe - a run for people: lanes, queues and what flows; the config as it took effect. */
#include "state.h"

#include "data/dataset.h"

#include <string.h>

static void sizes_append(const LoomPlan *plan, GString *text)
{
    const gint64 sizes[] = {plan->n, plan->c, plan->d, plan->h, plan->w};
    gboolean known = FALSE;

    for (guint i = 0; i < G_N_ELEMENTS(sizes); i++)
        known = known || sizes[i];
    for (guint i = plan->n ? 0 : 1; known && i < G_N_ELEMENTS(sizes); i++)
        if (sizes[i])
            g_string_append_printf(text, "%s%" G_GINT64_FORMAT,
                                   i == (plan->n ? 0 : 1) ? "" : "x", sizes[i]);
        else
            g_string_append(text, i == (plan->n ? 0 : 1) ? "?" : "x?");
}

static void writes_append(const LoomStage *stage, GString *text)
{
    gboolean first = TRUE;

    for (const LoomSlot *slot = stage->writes; slot && slot->name; slot++) {
        if (slot->flags & LOOM_SLOT_OPTIONAL && !g_str_equal(slot->name, "label"))
            continue; /* logits_1 .. logits_7 and the like would fill the screen */
        g_string_append_printf(text, "%s%s", first ? "" : " ", slot->name);
        first = FALSE;
    }
}

void loom_graph_describe(const LoomGraph *graph, GString *text)
{
    g_string_append_printf(text, "graph %s\n", graph->id);
    for (guint i = 0; i < graph->lanes->len; i++) {
        const LoomLane *lane = graph->lanes->pdata[i];

        g_string_append_printf(text, "  lane %s", lane->head->id);
        if (lane->queue)
            g_string_append_printf(text, ", queue of %" G_GINT64_FORMAT, lane->head->queue);
        if (lane->workers > 1)
            g_string_append_printf(text, ", %u workers", lane->workers);
        g_string_append_c(text, '\n');
        for (guint k = 0; k < lane->hops->len; k++) {
            const LoomHop *hop = lane->hops->pdata[k];
            g_autoptr(GString) sizes = g_string_new(NULL), writes = g_string_new(NULL);
            g_autofree char *bytes =
                hop->plan.bytes ? g_format_size_full(hop->plan.bytes, G_FORMAT_SIZE_IEC_UNITS)
                                : NULL;

            sizes_append(&hop->plan, sizes);
            writes_append(hop->stage, writes);
            g_string_append_printf(text, "    %-10s %-15s %-14s %s%s%s%s%s\n", hop->id,
                                   hop->stage->base.name, sizes->str, writes->str,
                                   bytes ? "  memory " : "", bytes ? bytes : "",
                                   hop->placed ? "  on " : "", hop->placed ? hop->placed : "");
        }
    }
}

void loom_graph_dot(const LoomGraph *graph, GString *text)
{
    for (guint i = 0; i < graph->lanes->len; i++) {
        const LoomLane *lane = graph->lanes->pdata[i];

        g_string_append_printf(text,
                               "  subgraph \"cluster_%s_%s\" {\n    label=\"%s: lane %s%s\";\n"
                               "    style=rounded; color=gray;\n",
                               graph->id, lane->head->id, graph->id, lane->head->id,
                               lane->workers > 1 ? ", several workers" : "");
        for (guint k = 0; k < lane->hops->len; k++) {
            const LoomHop *hop = lane->hops->pdata[k];

            g_string_append_printf(text, "    \"%s/%s\" [label=\"%s\\n%s\"];\n", graph->id,
                                   hop->id, hop->id, hop->stage->base.name);
        }
        g_string_append(text, "  }\n");
    }
    for (guint i = 0; i < graph->hops->len; i++) {
        const LoomHop *hop = graph->hops->pdata[i];
        g_autoptr(GString) sizes = g_string_new(NULL);

        if (!hop->parent)
            continue;
        sizes_append(&hop->parent->plan, sizes);
        g_string_append_printf(text, "  \"%s/%s\" -> \"%s/%s\" [label=\"%s", graph->id,
                               hop->parent->id, graph->id, hop->id, sizes->str);
        if (hop->queue)
            g_string_append_printf(text, "%squeue %" G_GINT64_FORMAT, sizes->len ? "\\n" : "",
                                   hop->queue);
        if (hop->group != hop->parent->group)
            g_string_append_printf(text, "%sstream", sizes->len || hop->queue ? "\\n" : "");
        g_string_append(text, "\"];\n");
    }
}

char *loom_run_describe(const LoomRun *run)
{
    GString *text = g_string_new(NULL);

    for (guint g = 0; g < run->graphs->len; g++)
        loom_graph_describe(run->graphs->pdata[g], text);
    return g_string_free(text, FALSE);
}

char *loom_run_dot(const LoomRun *run)
{
    GString *text = g_string_new("digraph segloom {\n  node [shape=box, style=rounded];\n");

    for (guint g = 0; g < run->graphs->len; g++)
        loom_graph_dot(run->graphs->pdata[g], text);
    g_string_append(text, "}\n");
    return g_string_free(text, FALSE);
}

char *loom_run_queues(const LoomRun *run)
{
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < run->main->lanes->len; i++) {
        const LoomLane *lane = run->main->lanes->pdata[i];

        if (lane->queue)
            g_string_append_printf(text, "%s%s %u/%" G_GINT64_FORMAT, text->len ? ", " : "",
                                   lane->head->id, loom_queue_level(lane->queue),
                                   lane->head->queue);
    }
    return g_string_free(text, FALSE);
}

guint64 loom_run_model_bytes(const LoomRun *run)
{
    guint64 bytes = 0;

    for (guint g = 0; g < run->graphs->len; g++) {
        const LoomGraph *graph = run->graphs->pdata[g];

        for (guint i = 0; i < graph->hops->len; i++)
            bytes += ((const LoomHop *)graph->hops->pdata[i])->plan.bytes;
    }
    return bytes;
}

const LoomRunMemory *loom_run_memory(const LoomRun *run)
{
    return run->sum.program ? &run->sum : NULL;
}

guint64 loom_run_packets(const LoomRun *run)
{
    return loom_graph_packets(run->main);
}

/* ---- the config as it took effect --------------------------------------------------- */

/* Paths become absolute, so that the copy in the run's folder means the same. */
static void paths_resolve(const LoomParam *rows, LoomNode *mapping)
{
    for (const LoomParam *row = rows; row && row->name; row++) {
        LoomNode *value = loom_node_get(mapping, row->name);

        if (!value || row->type != LOOM_PARAM_PATH || value->type != LOOM_NODE_SCALAR
            || !*value->text)
            continue;
        char *absolute = g_canonicalize_filename(value->text, value->folder);
        g_free(value->text);
        value->text = absolute;
    }
}

/* Replaces the value of @key in @mapping by one with all its defaults. */
static void section_complete(LoomNode *mapping, guint at, const LoomParam *rows)
{
    LoomNode *full = loom_params_node(rows, mapping->items->pdata[at]);

    paths_resolve(rows, full);
    loom_node_free(mapping->items->pdata[at]);
    mapping->items->pdata[at] = full;
}

/* The rows of the plugin that a mapping uses; NULL: it names none that there is. */
static const LoomParam *rows_of(const LoomRegistry *registry, const LoomNode *node,
                                LoomKind kind)
{
    const LoomNode *use = loom_node_get(node, "use");
    const LoomPlugin *plugin = use && use->type == LOOM_NODE_SCALAR
                                   ? loom_registry_find(registry, kind, use->text)
                                   : NULL;

    return plugin ? plugin->params : NULL;
}

static void plugins_complete(const LoomRegistry *registry, LoomNode *mapping, LoomKind kind)
{
    for (guint i = 0; mapping && mapping->keys && i < mapping->items->len; i++) {
        const LoomParam *rows = rows_of(registry, mapping->items->pdata[i], kind);

        if (rows)
            section_complete(mapping, i, rows);
    }
}

static void named_complete(LoomNode *config, const char *key, const LoomParam *rows)
{
    for (guint i = 0; rows && i < config->keys->len; i++)
        if (g_str_equal(((LoomNode *)config->keys->pdata[i])->text, key))
            section_complete(config, i, rows);
}

LoomNode *loom_config_effective(const LoomNode *given, const LoomRegistry *registry)
{
    g_autoptr(LoomNode) config = loom_node_copy(given);
    LoomNode *graphs = loom_node_get(config, "graphs");
    const LoomNode *data = loom_node_get(config, "data");

    if (config->type != LOOM_NODE_MAPPING)
        return g_steal_pointer(&config);
    if (data && data->type == LOOM_NODE_MAPPING)
        named_complete(config, "data", loom_data_params);
    named_complete(config, "backend",
                   rows_of(registry, loom_node_get(config, "backend"), LOOM_KIND_BACKEND));
    plugins_complete(registry, loom_node_get(config, "models"), LOOM_KIND_MODEL);
    for (guint i = 0; graphs && graphs->keys && i < graphs->items->len; i++)
        plugins_complete(registry, graphs->items->pdata[i], LOOM_KIND_STAGE);
    return g_steal_pointer(&config);
}

char *loom_run_config(const LoomRun *run)
{
    g_autoptr(LoomNode) config = loom_config_effective(run->config, run->registry);

    return loom_yaml_write(config);
}
