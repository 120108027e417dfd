/* run: {memory: ...} of a training, as a person types it: what it needs at least, found by
 * asking for too little, is enough, changes no bit, and is not exceeded. */
#include "loom_test.h"
#include "typed.h"

#include <math.h>
#include <string.h>
#include <sys/resource.h>

/* Queues and threads in both graphs, cases of 64 voxels along an edge and a distance metric. */
static const char config_text[] =
    "segloom: 1\n"
    "seed: 3\n"
    "data: {dataset: s, folds: 3, fold: 0}\n"
    "backend: {use: cpu, plan: fixed, threads: 2}\n"
    "models: {seg: {use: unet3d, in_channels: 1, classes: 2, features: [4, 8]}}\n"
    "graphs:\n"
    "  train:\n"
    "    load: {use: nifti_load, split: train, shuffle: true}\n"
    "    fine: {use: resample, from: load, queue: 4, workers: 2, spacing: [1.1, 0.8, 0.9]}\n"
    "    patch: {use: crop, from: fine, size: [16, 16, 16], per_volume: 2}\n"
    "    batch: {use: batch, from: patch, queue: 8, size: 2}\n"
    "    forward: {use: forward, from: batch, model: seg}\n"
    "    loss: {use: loss, from: forward, loss: {use: cross_entropy}}\n"
    "    back: {use: backward, from: loss, model: seg}\n"
    "    step: {use: adam_step, from: back, model: seg, rate: 1.0e-3}\n"
    "    check: {use: run_graph, from: step, graph: validate, every: 3}\n"
    "    save: {use: checkpoint, from: step, model: seg, every: 3}\n"
    "  validate:\n"
    "    load: {use: nifti_load, split: validate, truth: true}\n"
    "    fine: {use: resample, from: load, spacing: [1.1, 0.8, 0.9]}\n"
    "    predict: {use: sliding_window, from: fine, queue: 2, model: seg, size: [32, 32, 32],\n"
    "              batch: 2}\n"
    "    score: {use: metrics, from: predict, metrics: [{use: overlap}, {use: surface}]}\n"
    "run: {graph: train, steps: 3}\n";

static char *folder_make(void)
{
    char *folder = loom_test_folder();
    g_autofree char *path = g_build_filename(folder, "c.yaml", NULL);
    g_auto(Typed) made =
        typed_run(folder, "phantom s --kind spheres --cases 6 --size 64,64,64", NULL);

    g_assert_cmpint(made.code, ==, 0);
    g_assert_true(g_file_set_contents(path, config_text, -1, NULL));
    return folder;
}

static double least_mib(const char *folder)
{
    g_auto(Typed) refused = typed_run(folder, "run c.yaml -o r --set run.memory=1MiB", NULL);
    const char *at = strstr(refused.err, " at least ");

    g_assert_cmpint(refused.code, ==, 2);
    typed_assert_in(refused.err, "memory is 1.0 MiB, at least ");
    typed_assert_in(refused.err, " for those of graph validate; want ");
    return g_ascii_strtod(at + strlen(" at least "), NULL);
}

static void assert_same_file(const char *folder, const char *a, const char *b)
{
    g_autofree char *a_path = g_build_filename(folder, a, NULL);
    g_autofree char *b_path = g_build_filename(folder, b, NULL);
    g_autofree char *x = NULL, *y = NULL;
    gsize m, n;

    g_assert_true(g_file_get_contents(a_path, &x, &m, NULL));
    g_assert_true(g_file_get_contents(b_path, &y, &n, NULL));
    g_assert_cmpuint(m, ==, n);
    g_assert_cmpint(memcmp(x, y, n), ==, 0);
}

/* The most that any process begun so far held. */
static double children_peak_mib(void)
{
    struct rusage usage;

    g_assert_cmpint(getrusage(RUSAGE_CHILDREN, &usage), ==, 0);
    return (double)usage.ru_maxrss / 1024;
}

static void test_train(void)
{
    g_autofree char *folder = folder_make();
    const double ceiling = ceil(least_mib(folder)) + 1;
    g_autofree char *line =
        g_strdup_printf("run c.yaml -o r -v --set run.memory=%.0fMiB", ceiling);
    g_auto(Typed) kept = typed_run(folder, line, NULL);
    const double peak = children_peak_mib();
    g_auto(Typed) plain = typed_run(folder, "run c.yaml -o p", NULL);

    g_assert_cmpint(kept.code, ==, 0);
    typed_assert_in(kept.err, "queues hold 1 packet at most");
    typed_assert_in(kept.err, "graph 'validate' goes one case at a time");
    typed_assert_in(kept.err, "stages that have a choice take less");
    typed_assert_in(kept.err, " are kept, others are read anew each time");
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* these take far more */
    g_assert_cmpfloat(peak, <=, ceiling);
#endif
    g_assert_cmpfloat(peak, >, 0);
    g_assert_cmpint(plain.code, ==, 0);
    assert_same_file(folder, "r/model/seg.safetensors", "p/model/seg.safetensors");
    assert_same_file(folder, "r/metrics.csv", "p/metrics.csv");
    loom_test_folder_remove(folder);
}

/* The sum and its parts; what would be given up; what cannot be. */
static void test_check(void)
{
    g_autofree char *folder = folder_make();
    const double least = least_mib(folder);
    g_autofree char *line =
        g_strdup_printf("check c.yaml --set run.memory=%.0fMiB", ceil(least) + 1);
    g_auto(Typed) plain = typed_run(folder, "check c.yaml", NULL);
    g_auto(Typed) kept = typed_run(folder, line, NULL);
    g_auto(Typed) refused = typed_run(folder, "check c.yaml --set run.memory=8MiB", NULL);

    g_assert_cmpint(plain.code, ==, 0);
    typed_assert_in(plain.out, "memory    at most ");
    typed_assert_in(plain.out, "  packets in queues\n");
    typed_assert_in(plain.out, "  packets of graph validate\n");
    g_assert_null(strstr(plain.out, "N-MEMORY"));
    g_assert_cmpint(kept.code, ==, 0);
    typed_assert_in(kept.out, " MiB, the ceiling is ");
    typed_assert_in(kept.out, "N-MEMORY");
    g_assert_cmpint(refused.code, ==, 2);
    typed_assert_in(refused.out, "E-MEMORY");
    loom_test_folder_remove(folder);
}

/* Of a config with `place:` each process sees to its own part: who starts them refuses nothing
 * for all of them together. */
static void test_placed(void)
{
    g_autofree char *folder = folder_make();
    g_autofree char *path = g_build_filename(folder, "p.yaml", NULL);
    g_autoptr(GString) placed = g_string_new(config_text);

    g_assert_cmpuint(g_string_replace(placed, "step: {use: adam_step, from: back,",
                                      "sync: {use: allreduce, from: back, model: seg}\n"
                                      "    step: {use: adam_step, from: sync,",
                                      1),
                     ==, 1);
    g_string_append(placed, "place: {loaders: {ranks: 1, stages: [load, fine, patch]}}\n");
    g_assert_true(g_file_set_contents(path, placed->str, -1, NULL));
    g_auto(Typed) refused =
        typed_run(folder, "launch -n 2 p.yaml -o r --set run.memory=1MiB", NULL);
    g_assert_cmpint(refused.code, ==, 2);
    typed_assert_in(refused.err, "memory is 1.0 MiB, at least ");
    typed_assert_in(refused.err, " refused (exit code 2): ending the others");
    loom_test_folder_remove(folder);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ceiling/train", test_train);
    g_test_add_func("/ceiling/check", test_check);
    g_test_add_func("/ceiling/placed", test_placed);
    return loom_test_run();
}
