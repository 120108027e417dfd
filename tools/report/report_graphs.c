/* report_graphs - the graphs of the config as a drawing: a box is a lane, which is a thread,
 * with its stages in their order; between lanes stands a queue. */
#include "html.h"
#include "report.h"

#include <string.h>

static const char *scalar_of(const LoomNode *node, const char *key)
{
    const LoomNode *value = loom_node_get(node, key);

    return value && value->type == LOOM_NODE_SCALAR ? value->text : NULL;
}

static const char *id_of(const LoomNode *graph, guint i)
{
    return ((const LoomNode *)graph->keys->pdata[i])->text;
}

static gint index_of(const LoomNode *graph, const char *id)
{
    for (guint i = 0; id && i < graph->items->len; i++)
        if (g_str_equal(id_of(graph, i), id))
            return (gint)i;
    return -1;
}

/* The stage that begins the lane of stage @i. */
static guint head_of(const LoomNode *graph, guint i)
{
    for (guint n = 0; n < graph->items->len; n++) { /* a cycle, which no run has, ends too */
        const gint from = index_of(graph, scalar_of(graph->items->pdata[i], "from"));

        if (from < 0 || scalar_of(graph->items->pdata[i], "queue"))
            break;
        i = (guint)from;
    }
    return i;
}

/* "sum(dice, cross_entropy)": what is nested under keys that hold plugins. */
static void nested(GString *page, const LoomNode *node)
{
    const char *use = scalar_of(node, "use");
    gboolean first = TRUE;

    if (use)
        html_text(page, use);
    for (guint k = 0; node->type == LOOM_NODE_MAPPING && k < node->items->len; k++) {
        const LoomNode *inner = node->items->pdata[k];
        const guint n = inner->type == LOOM_NODE_SEQUENCE ? inner->items->len : 1;

        for (guint i = 0; i < n; i++) {
            const LoomNode *one =
                inner->type == LOOM_NODE_SEQUENCE ? inner->items->pdata[i] : inner;

            if (one->type != LOOM_NODE_MAPPING || !scalar_of(one, "use"))
                continue;
            g_string_append(page, first ? "(" : ", ");
            first = FALSE;
            nested(page, one);
        }
    }
    if (!first)
        g_string_append_c(page, ')');
}

static void stage_append(GString *page, const LoomNode *graph, guint i, gint before)
{
    const LoomNode *stage = graph->items->pdata[i];
    const char *from = scalar_of(stage, "from");

    const gboolean branch =
        from && before >= 0 && !g_str_equal(from, id_of(graph, (guint)before));

    g_string_append(page, branch ? "<li class=\"branch\">" : "<li>");
    if (branch) {
        g_string_append(page, "<i>from ");
        html_text(page, from);
        g_string_append(page, "</i>");
    }
    html_element(page, "b", id_of(graph, i));
    g_string_append(page, "<span>");
    nested(page, stage);
    for (guint k = 0; stage->type == LOOM_NODE_MAPPING && k < stage->items->len; k++) {
        const char *key = id_of(stage, k);

        if (g_str_equal(key, "graph") || g_str_equal(key, "model")) {
            g_string_append(page, " <em>");
            html_text(page, scalar_of(stage, key));
            g_string_append(page, "</em>");
        }
    }
    g_string_append(page, "</span></li>\n");
}

static void lane_append(GString *page, const LoomNode *graph, guint head)
{
    const LoomNode *stage = graph->items->pdata[head];
    const char *queue = scalar_of(stage, "queue"), *workers = scalar_of(stage, "workers");
    gint before = -1;

    if (queue) {
        g_string_append(page, "<p class=\"queue\">queue of ");
        html_text(page, queue);
        g_string_append(page, ", from ");
        html_text(page, scalar_of(stage, "from"));
        g_string_append(page, "</p>\n");
    }
    g_string_append(page, "<div class=\"box\"><p class=\"note\">");
    if (workers && !g_str_equal(workers, "1")) {
        html_text(page, workers);
        g_string_append(page, " threads");
    } else
        g_string_append(page, "thread");
    g_string_append(page, " “");
    html_text(page, id_of(graph, head));
    g_string_append(page, "”</p><ol class=\"stages\">\n");
    for (guint i = 0; i < graph->items->len; i++)
        if (head_of(graph, i) == head) {
            stage_append(page, graph, i, before);
            before = (gint)i;
        }
    g_string_append(page, "</ol></div>\n");
}

void report_graphs(GString *page, const RunRecord *record)
{
    const LoomNode *graphs = loom_node_get(record->config, "graphs");

    report_section(page, "graphs", "Graphs");
    if (!graphs || graphs->type != LOOM_NODE_MAPPING)
        report_absent(page, "The config cannot be read, so its graphs cannot be drawn.");
    for (guint g = 0; graphs && graphs->type == LOOM_NODE_MAPPING && g < graphs->items->len;
         g++) {
        const LoomNode *graph = graphs->items->pdata[g];

        g_string_append(page, "<div class=\"graph\"><h3>");
        html_text(page, id_of(graphs, g));
        g_string_append(page, "</h3>\n");
        for (guint i = 0; graph->type == LOOM_NODE_MAPPING && i < graph->items->len; i++)
            if (head_of(graph, i) == i)
                lane_append(page, graph, i);
        g_string_append(page, "</div>\n");
    }
    g_string_append(page, "</section>\n");
}
