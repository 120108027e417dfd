/* A wrong config: each refusal with its place, its cause and its hint, before anything runs. */
#include "loom_test.h"
#include "toy_stages.h"

#include <string.h>

#define HEAD "segloom: 1\n"

static void refused(const char *text, const char *message)
{
    const LoomRunOptions options = {0};
    g_autoptr(LoomRegistry) registry = toy_registry();
    g_autoptr(GError) error = NULL;
    g_autoptr(LoomNode) config = loom_yaml_parse(text, strlen(text), "a.yaml", "/", &error);

    g_assert_no_error(error);
    g_autoptr(LoomRun) run = loom_run_open(config, registry, &options, &error);
    g_assert_null(run);
    g_assert_nonnull(error);
    g_assert_cmpstr(error->message, ==, message);
}

static void test_top(void)
{
    refused("seed: 1\n", "a.yaml:1:1: config needs the key 'segloom' (version of the config's "
                         "language: 1)");
    refused("segloom: 2\n", "a.yaml:1:10: config: segloom: 2 is out of range, want 1 to 1");
    refused("segloom: 1\nsede: 3\n", "a.yaml:2:1: config has no key 'sede', did you mean "
                                     "'seed'?");
    refused(HEAD, "a.yaml:1:1: config needs the key 'run' (run: {graph: NAME, steps: N})");
    refused(HEAD "run: {graph: g}\n",
            "a.yaml:1:1: config needs 'graphs:', a mapping of names to "
            "graphs");
    refused(
        HEAD "graphs: {train: {a: {use: toy_count}}}\nrun: {graph: trian}\n",
        "a.yaml:3:14: run: graph: there is no 'trian' under 'graphs:', did you mean 'train'?");
    refused(
        HEAD "graphs: {g: {a: {use: toy_count}}}\nrun: {graph: g, steps: 5}\n",
        "a.yaml:3:24: run: steps: graph 'g' has no stage that counts steps, such as sgd_step");
    refused(HEAD "graphs: {g: {a: {use: toy_count}}}\nrun: {graph: g, steps: -5}\n",
            "a.yaml:3:24: run: steps: -5 is out of range, want 0 to 1000000000000 steps");
    refused(HEAD "models: {m: {use: unet3d, classes: 2}}\ngraphs: {g: {a: {use: toy_count}}}\n"
                 "run: {graph: g}\n",
            "a.yaml:1:1: a model needs a backend to compute on: add 'backend: {use: NAME}' "
            "(segloom inspect backend lists them)");
}

static void graph_refused(const char *stages, const char *message)
{
    g_autofree char *text = g_strdup_printf(HEAD "run: {graph: g}\ngraphs:\n  g:\n%s", stages);

    refused(text, message);
}

static void test_names(void)
{
    graph_refused("    a: {use: toy_cuont}\n",
                  "a.yaml:5:14: there is no stage 'toy_cuont', did you mean 'toy_count'?");
    graph_refused("    a: {n: 3}\n", "a.yaml:5:9: want a stage: {use: NAME, ...}");
    graph_refused("    a: {use: toy_count, fial_at: 3}\n",
                  "a.yaml:5:25: stage 'a' (toy_count) has no key 'fial_at', did you mean "
                  "'fail_at'?");
    graph_refused(
        "    a: {use: toy_count, m: 3}\n",
        "a.yaml:5:25: stage 'a' (toy_count) has no key 'm' (its keys: n, fail_at, lie, "
        "use, from, queue, workers)");
    graph_refused("    a: {use: toy_count, n: three}\n",
                  "a.yaml:5:28: stage 'a' (toy_count): n: found 'three', want a whole number "
                  "in decimal digits");
    graph_refused("    a: {use: toy_count, n: -1}\n",
                  "a.yaml:5:28: stage 'a' (toy_count): n: -1 is out of range, want 0 to "
                  "1000000000 packets");
    graph_refused("    a: {use: toy_count, n: [1]}\n",
                  "a.yaml:5:28: stage 'a' (toy_count): n: found a list, want a whole number in "
                  "decimal digits");
}

static void test_edges(void)
{
    graph_refused("    a: {use: toy_count}\n    b: {use: toy_jitter}\n",
                  "a.yaml:6:9: stage 'b' (toy_jitter) needs 'from: STAGE'");
    graph_refused("    load: {use: toy_count}\n    b: {use: toy_jitter, from: laod}\n",
                  "a.yaml:6:32: stage 'b': there is no stage 'laod' in graph 'g', did you mean "
                  "'load'?");
    graph_refused("    a: {use: toy_count, from: b}\n    b: {use: toy_jitter, from: a}\n",
                  "a.yaml:5:31: stage 'a' (toy_count) is a source: it takes no 'from'");
    graph_refused("    a: {use: toy_count}\n    b: {use: toy_jitter, from: d}\n"
                  "    c: {use: toy_jitter, from: b}\n    d: {use: toy_jitter, from: c}\n",
                  "a.yaml:6:32: the stages form a cycle: b -> c -> d -> b");
    graph_refused("    b: {use: toy_jitter, from: b}\n",
                  "a.yaml:5:32: the stages form a cycle: b -> b");
    graph_refused("    a: {use: toy_count}\n    b: {use: toy_count}\n",
                  "a.yaml:6:9: graph 'g' has two sources, 'a' and 'b', want one");
    graph_refused("    a: {use: toy_count, queue: 3}\n",
                  "a.yaml:5:32: stage 'a' is a source: there is nothing to queue before it");
    graph_refused("    a: {use: toy_count}\n    b: {use: toy_jitter, from: a, queue: 0}\n",
                  "a.yaml:6:42: stage 'b': queue: 0 is out of range, want 1 to 100000");
    graph_refused("    a: {use: toy_count}\n    b: {use: toy_jitter, from: a, workers: 2}\n",
                  "a.yaml:6:44: stage 'b': workers need a lane of their own, add 'queue: 4'");
    graph_refused(
        "    a: {use: toy_count}\n"
        "    b: {use: toy_jitter, from: a, queue: 2, workers: 2}\n"
        "    c: {use: toy_tally, from: b}\n",
        "a.yaml:7:9: stage 'c' (toy_tally) depends on the order of packets and may not "
        "have workers: begin a new lane before it with 'queue: 4'");
}

static void test_slots(void)
{
    graph_refused(
        "    a: {use: toy_count}\n    b: {use: zscore, from: a}\n",
        "a.yaml:6:9: stage 'b' (zscore) reads 'image' (intensity in, mean 0 and deviation 1 "
        "out), which no stage before it writes");
}

static void test_run_graph(void)
{
    graph_refused("    a: {use: toy_count}\n    b: {use: run_graph, from: a, graph: x}\n",
                  "a.yaml:6:41: stage 'b' (run_graph): graph: there is no 'x' under "
                  "'graphs:'");
    graph_refused("    a: {use: toy_count}\n    b: {use: run_graph, from: a, graph: g}\n",
                  "a.yaml:5:5: graph 'g' runs itself");
}

static void test_describe(void)
{
    const char *text = HEAD "graphs:\n"
                            "  g:\n"
                            "    a: {use: toy_count, n: 2}\n"
                            "    b: {use: toy_jitter, from: a, queue: 4, workers: 2}\n"
                            "    c: {use: toy_tally, from: b, queue: 3}\n"
                            "run: {graph: g}\n";
    const LoomRunOptions options = {0};
    g_autoptr(LoomRegistry) registry = toy_registry();
    g_autoptr(GError) error = NULL;
    g_autoptr(LoomNode) config = loom_yaml_parse(text, strlen(text), "a.yaml", "/", &error);
    g_autoptr(LoomRun) run = loom_run_open(config, registry, &options, &error);

    g_assert_no_error(error);
    g_autofree char *table = loom_run_describe(run), *dot = loom_run_dot(run),
                    *full = loom_run_config(run);
    g_assert_nonnull(strstr(table, "lane b, queue of 4, 2 workers"));
    g_assert_nonnull(strstr(dot, "\"g/a\" -> \"g/b\""));
    g_assert_cmpuint(loom_run_packets(run), ==,
                     4 + 3 + 1 + 2 + 1); /* queues, and one a thread */

    /* the config as it took effect reads back, defaults included */
    g_autoptr(LoomNode) again = loom_yaml_parse(full, strlen(full), "full.yaml", "/", &error);
    g_assert_no_error(error);
    const LoomNode *stage =
        loom_node_get(loom_node_get(loom_node_get(again, "graphs"), "g"), "a");
    g_assert_cmpstr(loom_node_get(stage, "fail_at")->text, ==, "-1");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/graph/top", test_top);
    g_test_add_func("/graph/names", test_names);
    g_test_add_func("/graph/edges", test_edges);
    g_test_add_func("/graph/slots", test_slots);
    g_test_add_func("/graph/run-graph", test_run_graph);
    g_test_add_func("/graph/describe", test_describe);
    return loom_test_run();
}
