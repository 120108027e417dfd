/* times_before - a run that goes on counts on: timing.json of its starts before this one, read
 * back into the counters.  The file is of use to people alone: where it is damaged the run
 * counts from 0. */
#define G_LOG_DOMAIN "loom-times"
#include "times.h"

#include "state.h"

#include "data/text.h"

#include <math.h>
#include <string.h>

#define STARTS_MOST 1000 /* of a run that is stopped every hour, 40 days */

/* A number that is not negative; 0 where there is none. */
static double number_of(const LoomNode *mapping, const char *key)
{
    const LoomNode *node = loom_node_get(mapping, key);
    const double value =
        node && node->type == LOOM_NODE_SCALAR ? g_ascii_strtod(node->text, NULL) : 0;

    return isfinite(value) && value > 0 ? MIN(value, 1e9) : 0;
}

static gint64 ns_of(const LoomNode *mapping, const char *key)
{
    return (gint64)(number_of(mapping, key) * 1e9);
}

/* The item of a list whose member @key is @name; NULL: none. */
static const LoomNode *item_named(const LoomNode *list, const char *key, const char *name)
{
    for (guint i = 0; list && list->type == LOOM_NODE_SEQUENCE && i < list->items->len; i++) {
        const LoomNode *value = loom_node_get(list->items->pdata[i], key);

        if (value && value->type == LOOM_NODE_SCALAR && g_str_equal(value->text, name))
            return list->items->pdata[i];
    }
    return NULL;
}

static void lane_count(const LoomLane *lane, const LoomNode *node)
{
    const LoomNode *queue = loom_node_get(node, "queue");
    LoomTimes *head = &lane->head->times[0];

    head->take.ns += ns_of(node, "waited_for_packet");
    head->turn.ns += ns_of(node, "waited_for_turn");
    head->room.ns += ns_of(queue, "waited_for_room");
    head->room.n += (gint64)number_of(queue, "packets");
    for (guint i = 0; i < lane->hops->len; i++) {
        const LoomHop *hop = lane->hops->pdata[i];
        const LoomNode *stage = item_named(loom_node_get(node, "stages"), "stage", hop->id);

        hop->times[0].own.ns += ns_of(stage, "seconds");
        hop->times[0].own.n += (gint64)number_of(stage, "calls");
        hop->times[0].sent.ns += ns_of(stage, "sending");
    }
}

static void graph_count(LoomGraph *graph, const LoomNode *node)
{
    graph->ran.ns += ns_of(node, "seconds");
    graph->ran.n += (gint64)number_of(node, "runs");
    for (guint i = 0; i < graph->lanes->len; i++) {
        const LoomLane *lane = graph->lanes->pdata[i];

        lane_count(lane, item_named(loom_node_get(node, "lanes"), "lane", lane->head->id));
    }
}

static void starts_count(LoomRun *run, const LoomNode *list)
{
    const guint n = list && list->type == LOOM_NODE_SEQUENCE ? list->items->len : 0;

    for (guint i = n - MIN(n, STARTS_MOST); i < n; i++) {
        const LoomNode *one = list->items->pdata[i];
        const LoomStart start = {(gint64)number_of(one, "from_step"),
                                 (gint64)number_of(one, "step"), ns_of(one, "seconds")};

        g_array_append_val(run->starts, start);
    }
}

void loom_times_resume(LoomRun *run)
{
    g_autofree char *path = g_build_filename(run->folder, "timing.json", NULL);
    g_autofree char *text = NULL;
    g_autoptr(LoomNode) root = NULL;
    g_autoptr(GError) error = NULL;

    if (!g_file_test(path, G_FILE_TEST_EXISTS)) /* it ended before its first validation */
        return;
    if (!(text = loom_text_read(path, &error))
        || !(root = loom_yaml_parse(text, strlen(text), path, run->folder, &error))) {
        g_warning("the times of earlier starts are lost: %s", error->message);
        return;
    }
    for (guint g = 0; g < run->graphs->len; g++) {
        LoomGraph *graph = run->graphs->pdata[g];

        graph_count(graph, item_named(loom_node_get(root, "graphs"), "graph", graph->id));
    }
    starts_count(run, loom_node_get(root, "starts"));
    if (!run->starts->len) { /* of a version that knew one */
        const LoomStart start = {(gint64)number_of(root, "from_step"),
                                 (gint64)number_of(root, "step"), run->main->ran.ns};

        g_array_append_val(run->starts, start);
    }
}
