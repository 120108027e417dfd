/* report_times - where the time of all starts of a run went: each lane's stages and waits. */
#include "html.h"
#include "report.h"

#include <math.h>
#include <string.h>

#define STARTS_SHOWN 8 /* the latest */

typedef struct {
    JsonObject *object;
    const char *id;
    double workers, own, take, turn, room, sent; /* seconds of all workers together */
} Lane;

static double seconds_of(JsonObject *object, const char *name)
{
    const double value = json_value(object, name);

    return isfinite(value) ? MAX(value, 0) : 0;
}

/* The stage that @stage of @graph takes its packets from; NULL: a source, or not known. */
static const char *above(const RunRecord *record, const char *graph, const char *stage)
{
    const LoomNode *graphs = loom_node_get(record->config, "graphs");
    const LoomNode *from =
        loom_node_get(loom_node_get(loom_node_get(graphs, graph), stage), "from");

    return from && from->type == LOOM_NODE_SCALAR ? from->text : NULL;
}

static gboolean lane_holds(JsonObject *lane, const char *stage)
{
    JsonArray *stages = json_list(lane, "stages");

    for (guint i = 0; i < json_length(stages); i++)
        if (g_strcmp0(json_text(json_item(stages, i), "stage"), stage) == 0)
            return TRUE;
    return FALSE;
}

/* What the lanes below made it wait for room. */
static double room_of(const RunRecord *record, JsonObject *graph, JsonObject *lane)
{
    JsonArray *lanes = json_list(graph, "lanes");
    double seconds = 0;

    for (guint i = 0; i < json_length(lanes); i++) {
        JsonObject *other = json_item(lanes, i);
        const char *id = json_text(other, "lane"), *graph_id = json_text(graph, "graph");
        const char *from = id && graph_id ? above(record, graph_id, id) : NULL;

        if (from && lane_holds(lane, from))
            seconds += seconds_of(json_child(other, "queue"), "waited_for_room");
    }
    return seconds;
}

static Lane lane_read(const RunRecord *record, JsonObject *graph, JsonObject *object)
{
    JsonArray *stages = json_list(object, "stages");
    Lane lane = {.object = object,
                 .id = json_text(object, "lane"),
                 .workers = MAX(seconds_of(object, "workers"), 1),
                 .take = seconds_of(object, "waited_for_packet"),
                 .turn = seconds_of(object, "waited_for_turn"),
                 .room = room_of(record, graph, object)};

    for (guint i = 0; i < json_length(stages); i++) {
        lane.own += seconds_of(json_item(stages, i), "seconds");
        lane.sent += seconds_of(json_item(stages, i), "sending");
    }
    return lane;
}

/* ---- bars --------------------------------------------------------------------------- */

typedef struct {
    GString *page;
    double all, at; /* seconds */
} Bar;

static void bar_part(Bar *bar, double seconds, const char *style, const char *title)
{
    const double x = 1000 * bar->at / bar->all, width = 1000 * seconds / bar->all;
    g_autofree char *time = html_seconds(seconds);

    bar->at += seconds;
    if (width < 0.3)
        return;
    g_string_append_printf(bar->page,
                           "<rect class=\"%s\" x=\"%.1f\" width=\"%.1f\" "
                           "height=\"24\"><title>",
                           style, x, width);
    html_text(bar->page, title);
    g_string_append_printf(bar->page, ": %s</title></rect>", time);
}

static void lane_bar(GString *page, const Lane *lane, double seconds)
{
    JsonArray *stages = json_list(lane->object, "stages");
    const double sum = lane->own + lane->take + lane->turn + lane->room + lane->sent;
    Bar bar = {page, MAX(MAX(seconds * lane->workers, sum), 1e-9), 0};

    g_string_append(page,
                    "<svg class=\"lanebar\" viewBox=\"0 0 1000 24\" "
                    "preserveAspectRatio=\"none\" role=\"img\" aria-label=\"Time of lane ");
    html_text(page, lane->id);
    g_string_append(page, "\"><rect class=\"idle\" width=\"1000\" height=\"24\"/>");
    for (guint i = 0; i < json_length(stages); i++) {
        JsonObject *stage = json_item(stages, i);
        g_autofree char *style = g_strdup_printf("f%u edge", 1 + i % 7);

        bar_part(&bar, seconds_of(stage, "seconds"), style, json_text(stage, "stage"));
    }
    bar_part(&bar, lane->sent, "wait", "sending to other processes");
    bar_part(&bar, lane->take, "wait take", "waited for a packet");
    bar_part(&bar, lane->room, "wait room", "waited for room in the next queue");
    bar_part(&bar, lane->turn, "wait", "waited for its turn");
    g_string_append(page, "</svg>\n");
}

static void time_cell(GString *page, double seconds, double all)
{
    g_autofree char *time = html_seconds(seconds);
    g_autofree char *share = html_percent(all > 0 ? seconds / all : NAN);

    html_element(page, "td class=\"n\"", time);
    html_element(page, "td class=\"n\"", share);
}

static void wait_row(GString *page, const char *what, double seconds, double all)
{
    if (seconds <= 0)
        return;
    g_string_append(page, "<tr class=\"quiet\"><td></td><th scope=\"row\" colspan=\"3\">");
    html_text(page, what);
    g_string_append(page, "</th>");
    time_cell(page, seconds, all);
    g_string_append(page, "<td></td></tr>\n");
}

static void stage_row(GString *page, JsonObject *stage, guint number, double all)
{
    const double seconds = seconds_of(stage, "seconds"), calls = seconds_of(stage, "calls");
    g_autofree char *count = html_count((gint64)MIN(calls, 1e15));

    g_string_append_printf(
        page,
        "<tr><td><svg class=\"swatch\" viewBox=\"0 0 10 10\" "
        "aria-hidden=\"true\"><rect class=\"f%u\" width=\"10\" height=\"10\" "
        "rx=\"2\"/></svg></td>",
        1 + number % 7);
    html_element(page, "th scope=\"row\"", json_text(stage, "stage"));
    html_element(page, "td", json_text(stage, "use"));
    g_string_append_printf(page, "<td class=\"n\">%s</td>", count);
    time_cell(page, seconds, all);
    g_autofree char *each = html_seconds(calls > 0 ? seconds / calls : NAN);
    g_string_append_printf(page, "<td class=\"n\">%s</td></tr>\n", each);
}

static void lane_append(GString *page, const Lane *lane, double seconds)
{
    JsonArray *stages = json_list(lane->object, "stages");
    const double all = seconds * lane->workers;
    const double size = json_value(json_child(lane->object, "queue"), "size");

    g_string_append(page, "<div class=\"lane\"><h4>lane ");
    html_text(page, lane->id);
    g_string_append(page, "</h4><p class=\"note\">");
    if (isfinite(size))
        g_string_append_printf(page, "takes from a queue of %.0f", size);
    else
        g_string_append(page, "begins with a source");
    if (lane->workers > 1)
        g_string_append_printf(page, ", %.0f workers: times are those of all together",
                               lane->workers);
    g_string_append(page, "</p>\n");
    lane_bar(page, lane, seconds);
    report_wide(page, "times of a lane");
    g_string_append(page,
                    "<table class=\"times\"><thead><tr><td></td><th scope=\"col\">stage</th>"
                    "<th scope=\"col\">use</th><th scope=\"col\" class=\"n\">calls</th>"
                    "<th scope=\"col\" class=\"n\">time</th>"
                    "<th scope=\"col\" class=\"n\">share</th>"
                    "<th scope=\"col\" class=\"n\">a call</th></tr></thead><tbody>\n");
    for (guint i = 0; i < json_length(stages); i++)
        stage_row(page, json_item(stages, i), i, all);
    wait_row(page, "sending to other processes", lane->sent, all);
    wait_row(page, "waited for a packet", lane->take, all);
    wait_row(page, "waited for room in the next queue", lane->room, all);
    wait_row(page, "waited for earlier packets of other workers", lane->turn, all);
    g_string_append(page, "</tbody></table></div></div>\n");
}

/* ---- the bottleneck ----------------------------------------------------------------- */

static JsonObject *slowest_stage(const Lane *lane)
{
    JsonArray *stages = json_list(lane->object, "stages");
    JsonObject *slowest = NULL;

    for (guint i = 0; i < json_length(stages); i++)
        if (!slowest
            || seconds_of(json_item(stages, i), "seconds") > seconds_of(slowest, "seconds"))
            slowest = json_item(stages, i);
    return slowest;
}

/* The lane that waits least sets the pace; in it, the stage that takes most. */
static void bottleneck(GString *page, const GArray *lanes, double seconds)
{
    const Lane *busiest = NULL;

    for (guint i = 0; i < lanes->len; i++) {
        const Lane *lane = &g_array_index(lanes, Lane, i);

        if (!busiest || lane->own / lane->workers > busiest->own / busiest->workers)
            busiest = lane;
    }
    JsonObject *stage = busiest ? slowest_stage(busiest) : NULL;
    if (!stage || busiest->own <= 0 || seconds <= 0)
        return;
    const double busy = busiest->own / (seconds * busiest->workers);
    g_autofree char *share = html_percent(busy);
    g_autofree char *of_it = html_percent(seconds_of(stage, "seconds") / busiest->own);
    g_autofree char *waited = html_percent(busiest->take / (seconds * busiest->workers));
    g_string_append(page, "<p class=\"bottleneck\">The bottleneck is lane <b>");
    html_text(page, busiest->id);
    g_string_append(page, "</b>: it worked ");
    html_text(page, share);
    g_string_append(page, " of the time, longest, ");
    html_text(page, of_it);
    g_string_append(page, " of that, in the stage <b>");
    html_text(page, json_text(stage, "stage"));
    g_string_append(page, "</b> (");
    html_text(page, json_text(stage, "use"));
    g_string_append(page, "). It waited ");
    html_text(page, waited);
    g_string_append(page, " of the time for packets.</p>\n");
}

static void graph_append(GString *page, const RunRecord *record, JsonObject *graph)
{
    JsonArray *list = json_list(graph, "lanes");
    const double seconds = seconds_of(graph, "seconds"), runs = seconds_of(graph, "runs");
    JsonNode *main = json_object_get_member(graph, "main");
    g_autoptr(GArray) lanes = g_array_new(FALSE, FALSE, sizeof(Lane));
    g_autofree char *time = html_seconds(seconds);

    if (runs <= 0)
        return;
    g_string_append(page, "<h3>graph ");
    html_text(page, json_text(graph, "graph"));
    g_string_append_printf(page, " <small>%s%s</small></h3>\n", time,
                           runs > 1 ? " in all its runs" : "");
    for (guint i = 0; i < json_length(list); i++)
        if (json_item(list, i) && json_text(json_item(list, i), "lane")) {
            const Lane lane = lane_read(record, graph, json_item(list, i));
            g_array_append_val(lanes, lane);
        }
    if (main && JSON_NODE_HOLDS_VALUE(main) && json_node_get_boolean(main))
        bottleneck(page, lanes, seconds);
    for (guint i = 0; i < lanes->len; i++)
        lane_append(page, &g_array_index(lanes, Lane, i), seconds);
}

/* "Of 2 starts, from step 0 to step 40: to step 20 in 3.1 s, to step 40 in 2.9 s." */
static void starts_append(GString *page, JsonObject *timing)
{
    JsonArray *starts = json_list(timing, "starts");
    const guint n = json_length(starts);

    if (n > 1)
        g_string_append_printf(page, "Of %u starts, from", n);
    else
        g_string_append(page, "From");
    g_string_append_printf(page, " step %.0f to step %.0f", seconds_of(timing, "from_step"),
                           seconds_of(timing, "step"));
    for (guint i = n > STARTS_SHOWN ? n - STARTS_SHOWN : 0; n > 1 && i < n; i++) {
        JsonObject *start = json_item(starts, i);
        g_autofree char *time = html_seconds(seconds_of(start, "seconds"));

        g_string_append_printf(page, "%s step %.0f to %.0f in ",
                               i == 0                  ? ":"
                               : i == n - STARTS_SHOWN ? ": ...,"
                                                       : ",",
                               seconds_of(start, "from_step"), seconds_of(start, "step"));
        html_text(page, time);
    }
    g_string_append(page, ". ");
}

void report_times(GString *page, const RunRecord *record)
{
    JsonArray *graphs = json_list(record->timing, "graphs");
    gboolean any = FALSE;

    report_section(page, "times", "Where the time went");
    for (guint i = 0; i < json_length(graphs); i++)
        any = any || seconds_of(json_item(graphs, i), "runs") > 0;
    if (any) {
        g_string_append(page, "<p>");
        starts_append(page, record->timing);
        g_string_append(
            page, "A lane is a thread; of each stage it is the time in it alone, and grey is "
                  "what the lane waited. A graph that a stage runs is counted in that stage "
                  "as well.</p>\n");
    } else
        report_absent(
            page,
            "timing.json is written with the first steps, then every minute and at the end "
            "of a validation.");
    for (guint i = 0; i < json_length(graphs); i++)
        if (json_item(graphs, i))
            graph_append(page, record, json_item(graphs, i));
    g_string_append(page, "</section>\n");
}
