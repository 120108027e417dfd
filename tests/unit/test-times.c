/* Where the time goes: a clock that is turned by hand; calls, packets and waits of a run whose
 * numbers are known. */
#include "graph/state.h"
#include "loom_test.h"
#include "toy_stages.h"

#include <json-glib/json-glib.h>
#include <string.h>

/* A stage that calls another one: 3 before the call, 5 in it, 2 after it. */
static void test_clock(void)
{
    LoomSpent outer = {0}, inner = {0};
    LoomClock clock = {0};

    g_assert_null(loom_clock_turn_at(&clock, &outer, 100));
    loom_spent_count(&outer);
    g_assert_true(loom_clock_turn_at(&clock, &inner, 103) == &outer);
    loom_spent_count(&inner);
    g_assert_true(loom_clock_turn_at(&clock, &outer, 108) == &inner);
    g_assert_true(loom_clock_turn_at(&clock, NULL, 110) == &outer);
    g_assert_null(loom_clock_turn_at(&clock, NULL, 999)); /* charged to nobody */
    g_assert_cmpint(outer.ns, ==, 3 + 2);
    g_assert_cmpint(inner.ns, ==, 5);
    g_assert_cmpint(outer.n, ==, 1);
    g_assert_cmpint(inner.n, ==, 1);
}

/* ---- a run -------------------------------------------------------------------------- */

/* The graph "g" of a run that was executed; (transfer full). */
static JsonObject *times_of(const char *graphs, const LoomRunOptions *options)
{
    g_autofree char *text =
        g_strdup_printf("segloom: 1\nseed: 5\ngraphs:\n%srun: {graph: g}\n", graphs);
    g_autoptr(LoomRegistry) registry = toy_registry();
    g_autoptr(LoomNode) config = loom_yaml_parse(text, strlen(text), "toy.yaml", "/", NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(LoomRun) run = loom_run_open(config, registry, options, &error);

    g_assert_no_error(error);
    g_assert_cmpint(loom_run_execute(run, &error), ==, LOOM_RUN_DONE);
    g_autofree char *json = loom_times_json(run);
    g_autoptr(JsonNode) root = json_from_string(json, NULL);
    JsonArray *all = json_object_get_array_member(json_node_get_object(root), "graphs");
    JsonObject *graph = json_array_get_object_element(all, 0);

    g_assert_cmpstr(json_object_get_string_member(graph, "graph"), ==, "g");
    g_assert_cmpint(json_object_get_int_member(graph, "runs"), ==, 1);
    return json_object_ref(graph);
}

static JsonObject *lane_of(JsonObject *graph, guint lane)
{
    return json_array_get_object_element(json_object_get_array_member(graph, "lanes"), lane);
}

static JsonObject *stage_of(JsonObject *graph, guint lane, guint stage)
{
    return json_array_get_object_element(
        json_object_get_array_member(lane_of(graph, lane), "stages"), stage);
}

static void calls(JsonObject *graph, guint lane, guint stage, const char *id, gint64 expected)
{
    JsonObject *it = stage_of(graph, lane, stage);

    g_assert_cmpstr(json_object_get_string_member(it, "stage"), ==, id);
    g_assert_cmpint(json_object_get_int_member(it, "calls"), ==, expected);
}

/* All that the threads of a lane are charged lies inside the run of the graph. */
static void inside(JsonObject *graph, guint lane)
{
    JsonObject *it = lane_of(graph, lane);
    JsonArray *stages = json_object_get_array_member(it, "stages");
    double sum = json_object_get_double_member(it, "waited_for_packet");

    if (json_object_has_member(it, "waited_for_turn"))
        sum += json_object_get_double_member(it, "waited_for_turn");
    for (guint i = 0; i < json_array_get_length(stages); i++)
        sum +=
            json_object_get_double_member(json_array_get_object_element(stages, i), "seconds");
    g_assert_cmpfloat(sum, >, 0);
    g_assert_cmpfloat(sum, <=,
                      json_object_get_double_member(graph, "seconds")
                          * (double)json_object_get_int_member(it, "workers"));
}

/* 10 packets, each split in 2, joined by 3: the last join is made at the end of the data. */
static void test_lanes(void)
{
    g_autoptr(JsonObject) graph =
        times_of("  g:\n"
                 "    a: {use: toy_count, n: 10}\n"
                 "    b: {use: toy_split, from: a, queue: 2}\n"
                 "    c: {use: toy_join, from: b, parts: 3, queue: 3}\n"
                 "    d: {use: toy_tally, from: c}\n",
                 &(LoomRunOptions){0});

    calls(graph, 0, 0, "a", 10 + 1); /* the last one says that it is the end */
    calls(graph, 1, 0, "b", 10);
    calls(graph, 2, 0, "c", 20);
    calls(graph, 2, 1, "d", 7);
    for (guint lane = 0; lane < 3; lane++) {
        JsonObject *queue =
            lane ? json_object_get_object_member(lane_of(graph, lane), "queue") : NULL;

        inside(graph, lane);
        if (queue)
            g_assert_cmpint(json_object_get_int_member(queue, "packets"), ==, 10 * lane);
    }
    g_assert_false(json_object_has_member(lane_of(graph, 0), "queue")); /* a source */
}

static void test_workers(void)
{
    g_autoptr(JsonObject) graph =
        times_of("  g:\n"
                 "    a: {use: toy_count, n: 40}\n"
                 "    b: {use: toy_jitter, from: a, queue: 4, workers: 3}\n"
                 "    c: {use: toy_tally, from: b, queue: 1}\n",
                 &(LoomRunOptions){0});

    calls(graph, 1, 0, "b", 40); /* of all three together */
    calls(graph, 2, 0, "c", 40);
    for (guint lane = 0; lane < 3; lane++)
        inside(graph, lane);
}

/* ---- how far it is ------------------------------------------------------------------ */

typedef struct {
    GString *said;
} Listener;

static void moves(const LoomMove *move, gpointer data)
{
    Listener *listener = data;

    g_string_append_printf(listener->said, "%s%s %d/%d ", move->graph, move->main ? "" : "*",
                           (int)move->done, (int)move->all);
}

static void test_moves(void)
{
    Listener listener = {g_string_new(NULL)};
    g_autoptr(JsonObject) graph =
        times_of("  g:\n"
                 "    a: {use: toy_count, n: 2}\n"
                 "    b: {use: toy_tally, from: a}\n"
                 "    c: {use: run_graph, from: b, graph: h, every: 2}\n"
                 "  h:\n"
                 "    a: {use: toy_count, n: 3}\n"
                 "    b: {use: toy_jitter, from: a}\n",
                 &(LoomRunOptions){.moves = moves, .data = &listener});

    calls(graph, 0, 1, "b", 2);
    g_assert_cmpstr(listener.said->str, ==, "g 0/0 g 1/0 g 2/0 h* 0/0 h* 1/0 h* 2/0 h* 3/0 ");
    g_string_free(listener.said, TRUE);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/graph/times/clock", test_clock);
    g_test_add_func("/graph/times/lanes", test_lanes);
    g_test_add_func("/graph/times/workers", test_workers);
    g_test_add_func("/graph/times/moves", test_moves);
    return loom_test_run();
}
