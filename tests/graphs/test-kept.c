/* A cache on disk in whole runs: the same bits with and without it, stages above it are passed
 * by, and it is another entry when files or parameters change. */
#include "loom_test.h"
#include "phantom_set.h"
#include "typed.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

#define N_CASES 3

/* nifti_load -> orient, resample, [cache] -> normalise -> nifti_save, of N_CASES cases. */
static char *config_text(const char *spacing, const char *cache, const char *out)
{
    g_autofree char *keep =
        g_strdup_printf("    keep: {use: cache, from: fit, queue: 2, %s}\n", cache);

    return g_strdup_printf(
        "segloom: 1\n"
        "data: {dataset: s, folds: 1}\n"
        "graphs:\n"
        "  prepare:\n"
        "    load: {use: nifti_load, truth: true, cache: 0}\n"
        "    turn: {use: orient, from: load, axes: LPS}\n"
        "    fit: {use: resample, from: turn, spacing: %s, queue: 2,"
        " workers: 2}\n"
        "%s"
        "    scale: {use: normalise, from: %s, queue: 2, schemes: [zscore]}\n"
        "    image: {use: nifti_save, from: scale, slot: image, folder: %s,"
        " suffix: _image.nii}\n"
        "    label: {use: nifti_save, from: image, slot: label, folder: %s,"
        " suffix: _label.nii}\n"
        "    truth: {use: nifti_save, from: label, slot: truth, folder: %s,"
        " suffix: _truth.nii}\n"
        "run: {graph: prepare}\n",
        spacing, *cache ? keep : "", *cache ? "keep" : "fit", out, out, out);
}

static Typed run_text(const char *folder, const char *text, const char *out)
{
    g_autofree char *path = g_build_filename(folder, "config.yaml", NULL);
    g_autofree char *line = g_strdup_printf("run config.yaml -o run-%s", out);

    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    return typed_run(folder, line, NULL);
}

/* Runs it into the folder @out; the run must succeed. */
static void run(const char *folder, const char *spacing, const char *cache, const char *out)
{
    g_autofree char *text = config_text(spacing, cache, out);
    g_auto(Typed) done = run_text(folder, text, out);

    g_assert_cmpint(done.code, ==, 0);
}

/* Do both runs leave the same bytes? */
static gboolean same(const char *folder, const char *a, const char *b)
{
    static const char *const slots[] = {"image", "label", "truth"};
    gboolean equal = TRUE;

    for (guint i = 0; i < N_CASES * G_N_ELEMENTS(slots); i++) {
        g_autofree char *name = g_strdup_printf("ball_%03u_%s.nii", i / 3, slots[i % 3]);
        g_autofree char *one = g_build_filename(folder, a, name, NULL);
        g_autofree char *other = g_build_filename(folder, b, name, NULL);
        g_autofree char *x = NULL, *y = NULL;
        gsize n, m;

        g_assert_true(g_file_get_contents(one, &x, &n, NULL));
        g_assert_true(g_file_get_contents(other, &y, &m, NULL));
        equal = equal && n == m && memcmp(x, y, n) == 0;
    }
    return equal;
}

static guint kept_count(const char *folder)
{
    g_autofree char *kept = g_build_filename(folder, "kept", NULL);

    return loom_test_folder_count(kept);
}

/* Other voxels in the first image, under the same size and time: only who reads it can tell. */
static void image_falsify(const char *folder, gboolean new_time)
{
    g_autofree char *path =
        g_build_filename(folder, "s", "imagesTr", "ball_000_0000.nii.gz", NULL);
    g_autofree char *other =
        g_build_filename(folder, "s", "imagesTr", "ball_001_0000.nii.gz", NULL);
    g_autofree char *bytes = NULL;
    struct stat before;
    gsize length;

    g_assert_cmpint(stat(path, &before), ==, 0);
    g_assert_true(g_file_get_contents(other, &bytes, &length, NULL));
    bytes = g_realloc(bytes, MAX(length, (gsize)before.st_size));
    if (length < (gsize)before.st_size) /* zeros behind gzip are padding */
        memset(bytes + length, 0, (gsize)before.st_size - length);
    g_assert_true(g_file_set_contents(path, bytes, (gssize)before.st_size, NULL));
    if (new_time)
        return;
    const struct timespec times[2] = {before.st_atim, before.st_mtim};
    g_assert_cmpint(utimensat(AT_FDCWD, path, times, 0), ==, 0);
}

static void test_bits(void)
{
    static const char *const cache = "folder: kept";
    g_autofree char *folder = loom_test_folder();
    g_autofree char *set = g_build_filename(folder, "s", NULL);

    phantom_set_make(set, N_CASES);
    run(folder, "[0.8, 1.3, 1]", "", "without");
    run(folder, "[0.8, 1.3, 1]", cache, "first");
    g_assert_cmpuint(kept_count(folder), ==, N_CASES);
    run(folder, "[0.8, 1.3, 1]", cache, "second");
    g_assert_true(same(folder, "without", "first"));
    g_assert_true(same(folder, "without", "second"));
    g_assert_cmpuint(kept_count(folder), ==, N_CASES);

    image_falsify(folder, FALSE); /* nobody looks at it */
    run(folder, "[0.8, 1.3, 1]", cache, "third");
    g_assert_true(same(folder, "without", "third"));
    image_falsify(folder, TRUE); /* its time says that it is another file */
    run(folder, "[0.8, 1.3, 1]", cache, "fourth");
    g_assert_false(same(folder, "without", "fourth"));
    g_assert_cmpuint(kept_count(folder), ==, N_CASES + 1);

    run(folder, "[0.8, 1.3, 1.1]", cache, "fifth"); /* other parameters, other entries */
    g_assert_cmpuint(kept_count(folder), ==, 2 * N_CASES + 1);
    loom_test_folder_remove(folder);
}

/* Files that were damaged are made anew, with a word about it. */
static void test_damaged(void)
{
    static const char *const cache = "folder: kept";
    g_autofree char *folder = loom_test_folder();
    g_autofree char *set = g_build_filename(folder, "s", NULL);
    g_autofree char *kept = g_build_filename(folder, "kept", NULL);
    const char *name;

    phantom_set_make(set, N_CASES);
    run(folder, "[1, 1, 1.5]", cache, "first");
    g_autoptr(GDir) dir = g_dir_open(kept, 0, NULL);
    while ((name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(kept, name, NULL), *bytes = NULL;
        gsize length;

        g_assert_true(g_file_get_contents(path, &bytes, &length, NULL));
        bytes[length / 2] = (char)(bytes[length / 2] ^ 1);
        g_assert_true(g_file_set_contents(path, bytes, (gssize)length, NULL));
    }
    g_autofree char *text = config_text("[1, 1, 1.5]", cache, "second");
    g_auto(Typed) done = run_text(folder, text, "second");
    g_assert_cmpint(done.code, ==, 0);
    typed_assert_in(done.err, "is not used and made anew: its tensors are damaged");
    g_assert_true(same(folder, "first", "second"));
    loom_test_folder_remove(folder);
}

/* ---- the whole way ------------------------------------------------------------------ */

#define PREPARE                                                                                \
    "    turn: {use: orient, from: load, axes: SPL, queue: 2}\n"                               \
    "    box: {use: crop_nonzero, from: turn}\n"                                               \
    "    fit: {use: resample, from: box, spacing: [1.3, 0.9, 1], limit: 1GiB}\n"               \
    "    scale: {use: normalise, from: fit, schemes: [zscore]}\n"                              \
    "    keep: {use: cache, from: scale, folder: kept}\n"

static const char whole_way[] =
    "segloom: 1\nseed: 3\ndata: {dataset: s, folds: 4}\n"
    "backend: {use: cpu, threads: 2, plan: fixed}\n"
    "models:\n  net: {use: unet3d, in_channels: 1, classes: 2, features: [4, 8]}\n"
    "graphs:\n  train:\n"
    "    load: {use: nifti_load, split: train, shuffle: true}\n" PREPARE
    "    patch: {use: crop, from: keep, size: [8, 8, 8], foreground: 0.67}\n"
    "    batch: {use: batch, from: patch, size: 2}\n"
    "    forward: {use: forward, from: batch, model: net}\n"
    "    loss: {use: loss, from: forward, loss: {use: dice}}\n"
    "    back: {use: backward, from: loss, model: net}\n"
    "    step: {use: adam_step, from: back, model: net, rate: 1.0e-3}\n"
    "    check: {use: run_graph, from: step, graph: validate, every: 3}\n"
    "    save: {use: checkpoint, from: step, model: net, every: 6}\n"
    "  validate:\n"
    "    load: {use: nifti_load, split: validate, truth: true}\n" PREPARE
    "    predict: {use: sliding_window, from: keep, model: net, size: [8, 8, 8]}\n"
    "    score: {use: metrics, from: predict, metrics: [{use: overlap}]}\n"
    "run: {graph: train, steps: 6}\n";

static char *file_text(const char *folder, const char *name)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    char *text = NULL;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return text;
}

/* Trained on another grid, measured against the file's own labels, predicted on its grid; the
 * second run finds all cases on disk and learns the same. */
static void test_whole_way(void)
{
    g_autofree char *folder = loom_test_folder();
    g_autofree char *set = g_build_filename(folder, "s", NULL);
    g_autofree char *image = g_build_filename(set, "imagesTr", "ball_002_0000.nii.gz", NULL);
    g_autofree char *mask = g_build_filename(folder, "masks", "ball_002.nii.gz", NULL);
    g_autoptr(GError) error = NULL;
    LoomVolumeHeader of_image, of_mask;

    phantom_set_make(set, 4);
    for (guint i = 0; i < 2; i++) {
        g_auto(Typed) done = run_text(folder, whole_way, i ? "again" : "once");

        g_assert_cmpint(done.code, ==, 0);
        typed_assert_in(done.err, "metrics after step 6");
        g_assert_cmpuint(kept_count(folder), ==, 4);
    }
    g_autofree char *once = file_text(folder, "run-once/metrics.csv");
    g_autofree char *again = file_text(folder, "run-again/metrics.csv");
    g_assert_cmpstr(once, ==, again);

    g_auto(Typed) predicted = typed_run(
        folder, "predict run-once/model s/imagesTr/ball_002_0000.nii.gz -o masks", NULL);
    g_assert_cmpint(predicted.code, ==, 0);
    g_assert_true(loom_volume_read_header(image, &of_image, &error));
    g_assert_true(loom_volume_read_header(mask, &of_mask, &error));
    g_assert_no_error(error);
    g_assert_cmpstr(of_mask.geometry.axes, ==, "RAS");
    loom_geometry_check(&of_image.geometry, "image", &of_mask.geometry, "mask", 1e-6, &error);
    g_assert_no_error(error);
    loom_test_folder_remove(folder);
}

/* What cannot work is refused before anything runs. */
static void test_refused(void)
{
    static const struct {
        const char *stages, *message;
    } wrong[] = {
        {"    dim: {use: noise, from: load}\n    keep: {use: cache, from: dim, folder: k}\n",
         "stage 'keep' (cache) cannot keep what comes of 'dim' (noise), which may give "
         "something "
         "else each time"},
        {"    one: {use: cache, from: load, folder: k}\n"
         "    two: {use: cache, from: one, folder: k}\n",
         "stage 'two' (cache) stands below 'one', which keeps packets already"},
        {"    keep: {use: cache, from: load, folder: k}\n"
         "    side: {use: zscore, from: load}\n",
         "stage 'keep' (cache) would keep packets from the other stages that read 'load'"},
        {"    keep: {use: cache, from: load, folder: \"\"}\n", "folder is empty"},
    };
    g_autofree char *folder = loom_test_folder();
    g_autofree char *set = g_build_filename(folder, "s", NULL);

    phantom_set_make(set, N_CASES);
    for (guint i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autofree char *text =
            g_strdup_printf("segloom: 1\ndata: {dataset: s, folds: 1}\ngraphs:\n  g:\n"
                            "    load: {use: nifti_load}\n%srun: {graph: g}\n",
                            wrong[i].stages);
        g_auto(Typed) done = run_text(folder, text, "wrong");

        g_assert_cmpint(done.code, ==, 2);
        typed_assert_in(done.err, wrong[i].message);
    }
    loom_test_folder_remove(folder);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/kept/bits", test_bits);
    g_test_add_func("/kept/damaged", test_damaged);
    g_test_add_func("/kept/whole-way", test_whole_way);
    g_test_add_func("/kept/refused", test_refused);
    return loom_test_run();
}
