/* How a run ends: at the end of data, from below, by a request, by a failure; and that it
 * repeats, whatever the queues and the workers. */
#include "loom_test.h"
#include "toy_stages.h"

#include <glib/gstdio.h>
#include <string.h>

typedef struct {
    LoomRunEnd end;
    GError *error; /* owned */
    gint64 step;
} Outcome;

static LoomRun *run_open(const char *graphs, const char *run, LoomRegistry *registry,
                         LoomNode **config, const LoomRunOptions *options)
{
    g_autofree char *text =
        g_strdup_printf("segloom: 1\nseed: 5\ngraphs:\n%srun: %s\n", graphs, run);
    g_autoptr(GError) error = NULL;

    *config = loom_yaml_parse(text, strlen(text), "toy.yaml", "/", &error);
    g_assert_no_error(error);
    LoomRun *opened = loom_run_open(*config, registry, options, &error);
    g_assert_no_error(error);
    return opened;
}

static Outcome run_whole(const char *graphs, const char *run)
{
    const LoomRunOptions options = {0};
    g_autoptr(LoomRegistry) registry = toy_registry();
    g_autoptr(LoomNode) config = NULL;
    g_autoptr(LoomRun) opened = run_open(graphs, run, registry, &config, &options);
    Outcome outcome = {0};

    outcome.end = loom_run_execute(opened, &outcome.error);
    outcome.step = loom_run_step(opened);
    g_assert_true((outcome.end == LOOM_RUN_FAILED) == (outcome.error != NULL));
    return outcome;
}

static const ToySeen *seen(guint i)
{
    return &g_array_index(toy_seen, ToySeen, i);
}

/* 10 packets, each split in 2, joined by 3: six joins of 3 and, at the end of data, one of 2.
 */
static void test_end(void)
{
    const Outcome outcome = run_whole("  g:\n"
                                      "    a: {use: toy_count, n: 10}\n"
                                      "    b: {use: toy_split, from: a, queue: 2}\n"
                                      "    c: {use: toy_join, from: b, parts: 3, queue: 3}\n"
                                      "    d: {use: toy_tally, from: c}\n",
                                      "{graph: g}");

    g_assert_cmpint(outcome.end, ==, LOOM_RUN_DONE);
    g_assert_cmpuint(toy_seen->len, ==, 7);
    for (guint i = 0; i < 7; i++)
        g_assert_cmpint(seen(i)->index, ==, i);
    loom_assert_near(seen(0)->value, 0 + 0.001 + 1, 1e-6); /* parts 0.0, 0.1 and 1.0 */
    loom_assert_near(seen(6)->value, 9 + 9.001, 1e-5);
    g_assert_cmpint(outcome.step, ==, 7);
    g_assert_cmpint(toy_started, ==, 1);
    g_assert_cmpint(toy_flushed, ==, 1);
    g_assert_cmpint(toy_finished, ==, 1);
}

static GArray *values_of(const char *queues)
{
    g_autofree char *graphs = g_strdup_printf("  g:\n"
                                              "    a: {use: toy_count, n: 60}\n"
                                              "    b: {use: toy_jitter, from: a, %s}\n"
                                              "    s: {use: toy_split, from: b}\n"
                                              "    c: {use: toy_join, from: s, queue: 1}\n"
                                              "    d: {use: toy_tally, from: c}\n",
                                              queues);
    const Outcome outcome = run_whole(graphs, "{graph: g}");

    g_assert_cmpint(outcome.end, ==, LOOM_RUN_DONE);
    return g_array_ref(toy_seen);
}

/* Same seed, same bits, in the same order. */
static void test_workers_repeat(void)
{
    g_autoptr(GArray) one = values_of("queue: 1, workers: 1");
    g_autoptr(GArray) three = values_of("queue: 4, workers: 3");
    g_autoptr(GArray) seven = values_of("queue: 100, workers: 7");

    g_assert_cmpuint(one->len, ==, 60);
    for (guint i = 0; i < one->len; i++) {
        const double value = g_array_index(one, ToySeen, i).value;

        g_assert_cmpfloat(value, ==, g_array_index(three, ToySeen, i).value);
        g_assert_cmpfloat(value, ==, g_array_index(seven, ToySeen, i).value);
        g_assert_cmpint(g_array_index(three, ToySeen, i).index, ==, i);
    }
}

static void test_single_thread(void)
{
    const Outcome outcome = run_whole("  g:\n"
                                      "    a: {use: toy_count, n: 4}\n"
                                      "    d: {use: toy_tally, from: a}\n",
                                      "{graph: g}");

    g_assert_cmpint(outcome.end, ==, LOOM_RUN_DONE);
    g_assert_cmpuint(toy_seen->len, ==, 4);
    g_assert_cmpstr(seen(3)->id, ==, "case_3");
}

/* An endless source ends when the steps are done, through two queues. */
static void test_steps(void)
{
    const Outcome outcome =
        run_whole("  g:\n"
                  "    a: {use: toy_count}\n"
                  "    b: {use: toy_jitter, from: a, queue: 2, workers: 2}\n"
                  "    d: {use: toy_tally, from: b, queue: 4}\n",
                  "{graph: g, steps: 25}");

    g_assert_cmpint(outcome.end, ==, LOOM_RUN_DONE);
    g_assert_cmpint(outcome.step, ==, 25);
    g_assert_cmpuint(toy_seen->len, ==, 25);
    g_assert_cmpint(toy_flushed, ==, 0); /* its data did not end */
    g_assert_cmpint(toy_finished, ==, 1);
}

/* A stage that has enough stops everything above it; packets in flight are bounded. */
static void test_stop_from_below(void)
{
    const Outcome outcome =
        run_whole("  g:\n"
                  "    a: {use: toy_count, n: 100000}\n"
                  "    b: {use: toy_jitter, from: a, queue: 4}\n"
                  "    d: {use: toy_sated, from: b, queue: 2, enough: 10}\n",
                  "{graph: g}");

    g_assert_cmpint(outcome.end, ==, LOOM_RUN_DONE);
    g_assert_cmpuint(toy_seen->len, ==, 10);
    g_assert_cmpint(toy_finished, ==, 1);
}

/* One branch has enough, the other goes on. */
static void test_fan_out(void)
{
    const Outcome outcome = run_whole("  g:\n"
                                      "    a: {use: toy_count, n: 12}\n"
                                      "    b: {use: toy_sated, from: a, enough: 5}\n"
                                      "    c: {use: toy_sated, from: a}\n",
                                      "{graph: g}");

    g_assert_cmpint(outcome.end, ==, LOOM_RUN_DONE);
    g_assert_cmpuint(toy_seen->len, ==, 5 + 12);
}

static void failure(const char *a, const char *b, const char *d, const char *message)
{
    g_autofree char *graphs =
        g_strdup_printf("  g:\n"
                        "    a: {use: toy_count, %s}\n"
                        "    b: {use: toy_jitter, from: a, queue: 2, %s}\n"
                        "    d: {use: toy_tally, from: b, queue: 3, %s}\n",
                        a, b, d);
    const Outcome outcome = run_whole(graphs, "{graph: g}");
    g_autoptr(GError) error = outcome.error;

    g_assert_cmpint(outcome.end, ==, LOOM_RUN_FAILED);
    g_assert_cmpstr(error->message, ==, message);
    g_assert_cmpint(toy_finished, ==, 0); /* nothing is saved after a failure */
}

/* The first error, with its place and its case, whichever lane it is in. */
static void test_failure(void)
{
    failure("fail_at: 20", "fail_at: -1", "fail_at: -1",
            "toy.yaml:5:9: stage 'a' (toy_count): the source is dry");
    failure("n: 0", "fail_at: 20", "fail_at: -1",
            "toy.yaml:6:9: stage 'b' (toy_jitter): case 'case_20': a number too many");
    failure("n: 0", "fail_at: 20, workers: 3", "fail_at: -1",
            "toy.yaml:6:9: stage 'b' (toy_jitter): case 'case_20': a number too many");
    failure("n: 0", "fail_at: -1", "fail_at: 20",
            "toy.yaml:7:9: stage 'd' (toy_tally): case 'case_20': a number too many");
}

static void test_liars(void)
{
    failure(
        "fail_at: 3, lie: true", "fail_at: -1", "fail_at: -1",
        "toy.yaml:5:9: stage 'a' (toy_count): stage 'a' (toy_count) failed in produce without "
        "saying why");
    failure("n: 9", "fail_at: -1", "lie: true",
            "toy.yaml:7:9: stage 'd' (toy_tally): case 'case_0': stage 'd' (toy_tally) set an "
            "error "
            "in map but did not fail: not meant");
}

static gpointer stop_soon(gpointer run)
{
    while (loom_run_step(run) < 3)
        g_usleep(1000);
    loom_run_stop(run);
    return NULL;
}

/* A request to stop ends an endless run in order: what was seen has no gap, finish was called.
 */
static void test_request(void)
{
    const LoomRunOptions options = {0};
    g_autoptr(LoomRegistry) registry = toy_registry();
    g_autoptr(LoomNode) config = NULL;
    g_autoptr(LoomRun) run =
        run_open("  g:\n"
                 "    a: {use: toy_count}\n"
                 "    b: {use: toy_jitter, from: a, queue: 2, workers: 2}\n"
                 "    d: {use: toy_tally, from: b, queue: 4}\n"
                 "    e: {use: toy_sated, from: d, queue: 8}\n",
                 "{graph: g, steps: 1000000}", registry, &config, &options);
    GThread *thread = g_thread_new("stop", stop_soon, run);

    g_assert_cmpint(loom_run_execute(run, NULL), ==, LOOM_RUN_STOPPED);
    g_thread_join(thread);
    g_assert_cmpint(loom_run_step(run), >=, 3);
    g_assert_cmpint(toy_finished, ==, 2);
}

static void test_request_before(void)
{
    const LoomRunOptions options = {0};
    g_autoptr(LoomRegistry) registry = toy_registry();
    g_autoptr(LoomNode) config = NULL;
    g_autoptr(LoomRun) run =
        run_open("  g:\n"
                 "    a: {use: toy_count}\n"
                 "    d: {use: toy_tally, from: a, queue: 4}\n",
                 "{graph: g, steps: 1000000}", registry, &config, &options);

    loom_run_stop(run);
    g_assert_cmpint(loom_run_execute(run, NULL), ==, LOOM_RUN_STOPPED);
    g_assert_cmpint(loom_run_step(run), ==, 0);
}

/* A run that begins at step 7 sees what the whole run saw from step 7 on: split by 3, joined by
 * 4, so that step 7 begins in the middle of a volume. */
static void test_resume(void)
{
    const char *graphs = "  g:\n"
                         "    a: {use: toy_count}\n"
                         "    b: {use: toy_jitter, from: a, queue: 2, workers: 2}\n"
                         "    s: {use: toy_split, from: b, parts: 3}\n"
                         "    t: {use: toy_jitter, from: s}\n"
                         "    c: {use: toy_join, from: t, parts: 4, queue: 3}\n"
                         "    d: {use: toy_tally, from: c%s}\n";
    g_autofree char *whole = g_strdup_printf(graphs, "");
    g_autofree char *rest = g_strdup_printf(graphs, ", resume_at: 7");
    g_autofree char *folder = g_dir_make_tmp("loom-XXXXXX", NULL);
    g_autofree char *log = g_build_filename(folder, "log.jsonl", NULL);
    const LoomRunOptions options = {.folder = folder, .resume = TRUE};

    g_assert_cmpint(run_whole(whole, "{graph: g, steps: 12}").end, ==, LOOM_RUN_DONE);
    g_autoptr(GArray) all = g_array_ref(toy_seen);
    {
        g_autoptr(LoomRegistry) registry = toy_registry();
        g_autoptr(LoomNode) config = NULL;
        g_autoptr(LoomRun) run =
            run_open(rest, "{graph: g, steps: 12}", registry, &config, &options);

        g_assert_cmpint(loom_run_step(run), ==, 7);
        g_assert_cmpint(loom_run_execute(run, NULL), ==, LOOM_RUN_DONE);
        g_assert_cmpint(loom_run_step(run), ==, 12);
    }
    g_assert_cmpuint(all->len, ==, 12);
    g_assert_cmpuint(toy_seen->len, ==, 5);
    for (guint i = 0; i < 5; i++) {
        g_assert_cmpint(seen(i)->index, ==, 7 + i);
        g_assert_cmpfloat(seen(i)->value, ==, g_array_index(all, ToySeen, 7 + i).value);
    }
    g_remove(log);
    g_rmdir(folder);
}

/* Another graph every 3 packets, each time from its beginning. */
static void test_run_graph(void)
{
    const Outcome outcome =
        run_whole("  g:\n"
                  "    a: {use: toy_count, n: 7}\n"
                  "    r: {use: run_graph, from: a, graph: v, every: 3}\n"
                  "  v:\n"
                  "    a: {use: toy_count, n: 5}\n"
                  "    b: {use: toy_jitter, from: a, queue: 2, workers: 2}\n"
                  "    d: {use: toy_sated, from: b, queue: 1}\n",
                  "{graph: g}");

    g_assert_cmpint(outcome.end, ==, LOOM_RUN_DONE);
    g_assert_cmpuint(toy_seen->len, ==, 2 * 5); /* after packets 3 and 6 */
    for (guint i = 0; i < 5; i++)
        g_assert_cmpfloat(seen(i)->value, ==, seen(5 + i)->value);
    g_assert_cmpint(toy_flushed, ==, 2);
}

/* A failure in there names the place in there, once. */
static void test_run_graph_failure(void)
{
    const Outcome outcome = run_whole("  g:\n"
                                      "    a: {use: toy_count, n: 7}\n"
                                      "    r: {use: run_graph, from: a, graph: v, every: 3}\n"
                                      "  v:\n"
                                      "    a: {use: toy_count, n: 5, fail_at: 2}\n"
                                      "    d: {use: toy_sated, from: a, queue: 1}\n",
                                      "{graph: g}");
    g_autoptr(GError) error = outcome.error;

    g_assert_cmpint(outcome.end, ==, LOOM_RUN_FAILED);
    g_assert_cmpstr(error->message, ==,
                    "toy.yaml:8:9: stage 'a' (toy_count): the source is dry");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/engine/end", test_end);
    g_test_add_func("/engine/workers-repeat", test_workers_repeat);
    g_test_add_func("/engine/single-thread", test_single_thread);
    g_test_add_func("/engine/steps", test_steps);
    g_test_add_func("/engine/stop-from-below", test_stop_from_below);
    g_test_add_func("/engine/fan-out", test_fan_out);
    g_test_add_func("/engine/failure", test_failure);
    g_test_add_func("/engine/liars", test_liars);
    g_test_add_func("/engine/request", test_request);
    g_test_add_func("/engine/request-before", test_request_before);
    g_test_add_func("/engine/resume", test_resume);
    g_test_add_func("/engine/run-graph", test_run_graph);
    g_test_add_func("/engine/run-graph-failure", test_run_graph_failure);
    return loom_test_run();
}
