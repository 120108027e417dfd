/* segloom bench: does each bench measure what it was asked for, and say all that it promises?
 * No clock is trusted here: numbers have to be possible, not fast. */
#include "loom_test.h"
#include "phantom_set.h"
#include "typed.h"

#include <json-glib/json-glib.h>
#include <string.h>

/* segloom bench @line --json in @folder: its lines as objects, JsonObject *. */
static GPtrArray *bench(const char *folder, const char *line)
{
    GPtrArray *objects = g_ptr_array_new_with_free_func((GDestroyNotify)json_object_unref);
    g_autofree char *whole = g_strdup_printf("bench %s --json", line);
    g_auto(Typed) said = typed_run(folder, whole, NULL);
    g_auto(GStrv) lines = g_strsplit(g_strchomp(said.out), "\n", -1);

    g_assert_cmpint(said.code, ==, 0);
    g_assert_cmpstr(said.err, ==, "");
    for (char **text = lines; *text; text++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(JsonNode) node = json_from_string(*text, &error);

        g_assert_no_error(error);
        g_assert_true(JSON_NODE_HOLDS_OBJECT(node));
        g_ptr_array_add(objects, json_object_ref(json_node_get_object(node)));
    }
    return objects;
}

static double number(JsonObject *object, const char *name)
{
    JsonNode *node = json_object_get_member(object, name);

    if (!node || !JSON_NODE_HOLDS_VALUE(node))
        g_error("'%s' is no number", name);
    return json_node_get_double(node);
}

static void assert_text(JsonObject *object, const char *name, const char *want)
{
    g_assert_true(json_object_has_member(object, name));
    g_assert_cmpstr(json_object_get_string_member(object, name), ==, want);
}

static void assert_sizes(JsonObject *object, const char *name, const gint64 *want, gsize n)
{
    JsonArray *sizes = json_object_get_array_member(object, name);

    g_assert_cmpuint(json_array_get_length(sizes), ==, n);
    for (guint i = 0; i < n; i++)
        g_assert_cmpint(json_array_get_int_element(sizes, i), ==, want[i]);
}

/* Above 0, in order, and this process's memory is some MiB. */
static void assert_measured(JsonObject *object, const char *name)
{
    assert_text(object, "bench", name);
    g_assert_cmpfloat(number(object, "seconds_min"), >, 0);
    g_assert_cmpfloat(number(object, "seconds"), >=, number(object, "seconds_min"));
    g_assert_cmpfloat(number(object, "peak_mib"), >, 1);
}

static void test_conv(void)
{
    static const char *const kernels[] = {"forward", "weight_gradient", "backward",
                                          "data_gradient"};
    g_autoptr(GPtrArray) lines =
        bench(NULL, "conv --channels 24,16 --size 10,12,14 --batch 1 --threads 2 --repeat 3");

    g_assert_cmpuint(lines->len, ==, G_N_ELEMENTS(kernels));
    for (guint i = 0; i < lines->len; i++) {
        JsonObject *line = lines->pdata[i];
        /* twice 27 products a pair of channels and voxel; both gradients: twice that */
        const double work = 2.0 * 27 * 24 * 16 * (10 * 12 * 14) * (i == 2 ? 2 : 1);

        assert_text(line, "kernel", kernels[i]);
        assert_text(line, "backend", "cpu");
        assert_sizes(line, "channels", SHAPE(24, 16));
        assert_sizes(line, "size", SHAPE(10, 12, 14));
        g_assert_cmpint(json_object_get_int_member(line, "threads"), ==, 2);
        g_assert_cmpfloat(number(line, "peak_gflops"), >, 0.01);
        if (i == 3 && JSON_NODE_HOLDS_NULL(json_object_get_member(line, "seconds")))
            continue; /* a difference of two times: lost in the noise of a busy machine */
        if (i < 3)
            assert_measured(line, "conv");
        loom_assert_near(number(line, "gflops") * number(line, "seconds") * 1e9 / work, 1,
                         1e-9);
        loom_assert_near(number(line, "peak_share") * number(line, "peak_gflops"),
                         number(line, "gflops"), 1e-6 * number(line, "gflops"));
    }
}

/* The backend that is asked for is the one that runs, and --set reaches it. */
static void test_conv_backend(void)
{
    g_autoptr(GPtrArray) lines =
        bench(NULL, "conv --channels 2,3 --size 5 --batch 1 --stride 2 "
                    "--backend reference --threads 1 --repeat 1");
    g_auto(Typed) set = typed_run(NULL, "bench conv --size 4 --set backend.plann=f2", NULL);
    g_auto(Typed) none = typed_run(NULL, "bench conv --backend cpv", NULL);
    g_auto(Typed) sizes = typed_run(NULL, "bench conv --channels 3", NULL);

    assert_text(lines->pdata[0], "backend", "reference");
    /* 3 of 5 voxels along each axis */
    loom_assert_near(number(lines->pdata[0], "gflops") * number(lines->pdata[0], "seconds")
                         * 1e9,
                     2.0 * 27 * 2 * 3 * 27, 1e-3);
    g_assert_cmpint(set.code, ==, 2);
    typed_assert_in(set.err, "did you mean 'plan'?");
    g_assert_cmpint(none.code, ==, 2);
    typed_assert_in(none.err, "no backend 'cpv'");
    g_assert_cmpint(sizes.code, ==, 2);
    typed_assert_in(sizes.err, "--channels: '3' has 1 numbers, want 2");
}

static void test_resample(void)
{
    g_autoptr(GPtrArray) lines =
        bench(NULL, "resample --size 6,7,8 --to 9,8,5 --classes 3 --threads 2 --repeat 2");
    g_auto(Typed) order = typed_run(NULL, "bench resample --order 2", NULL);

    g_assert_cmpuint(lines->len, ==, 2);
    for (guint i = 0; i < 2; i++) {
        assert_measured(lines->pdata[i], "resample");
        assert_text(lines->pdata[i], "what", i ? "label" : "image");
        assert_sizes(lines->pdata[i], "size", SHAPE(6, 7, 8));
        assert_sizes(lines->pdata[i], "to", SHAPE(9, 8, 5));
        g_assert_cmpint(json_object_get_int_member(lines->pdata[i], "order"), ==, i ? 1 : 3);
        g_assert_cmpint(json_object_get_int_member(lines->pdata[i], "threads"), ==, 2);
    }
    g_assert_cmpint(order.code, ==, 2);
    typed_assert_in(order.err, "--order: 2, want 1 or 3");
}

/* Weights of features 4, 8 with 2 channels in and 3 classes, as in README of the network: two
 * convolutions with bias, scale and shift each way, the upward one, the head. */
static gint64 parameters_of_4_8(void)
{
    const gint64 encoder = (2 * 4 + 4 * 4 + 4 * 8 + 8 * 8) * 27 + 3 * (4 + 4 + 8 + 8);
    const gint64 up = 8 * 4 * 8 + 4, decoder = (8 * 4 + 4 * 4) * 27 + 3 * (4 + 4);

    return encoder + up + decoder + (4 * 3 + 3);
}

static void test_network(gconstpointer name)
{
    g_autofree char *line = g_strdup_printf("%s --patch 8,12,16 --batch 2 --in 2 --classes 3 "
                                            "--features 4,8 --threads 2 --repeat 2",
                                            (const char *)name);
    g_autoptr(GPtrArray) lines = bench(NULL, line);
    JsonObject *result = lines->pdata[0];
    g_autofree char *odd =
        g_strdup_printf("bench %s --patch 9,8,8 --features 4,8", (const char *)name);
    g_auto(Typed) refused = typed_run(NULL, odd, NULL);

    g_assert_cmpuint(lines->len, ==, 1);
    assert_measured(result, name);
    assert_sizes(result, "patch", SHAPE(8, 12, 16));
    assert_sizes(result, "features", SHAPE(4, 8));
    g_assert_cmpint(json_object_get_int_member(result, "batch"), ==, 2);
    g_assert_cmpint(json_object_get_int_member(result, "in"), ==, 2);
    g_assert_cmpint(json_object_get_int_member(result, "classes"), ==, 3);
    g_assert_cmpint(json_object_get_int_member(result, "threads"), ==, 2);
    g_assert_cmpint(json_object_get_int_member(result, "parameters"), ==, parameters_of_4_8());
    assert_text(result, "backend", "cpu");
    g_assert_cmpint(refused.code, ==, 2);
    typed_assert_in(refused.err, "patch D 9 is not divisible by 2");
}

/* A batch of eight keeps more than one of one: the peak is that of the run. */
static void test_peak(void)
{
    g_autoptr(GPtrArray) small = bench(NULL, "train_step --patch 32,32,32 --batch 1 --repeat 1 "
                                             "--features 8,8 --threads 1");
    g_autoptr(GPtrArray) large = bench(NULL, "train_step --patch 32,32,32 --batch 8 --repeat 1 "
                                             "--features 8,8 --threads 1");

    /* of each sample at least the images of 8 channels of the first level, 1 MiB, twice */
    g_assert_cmpfloat(number(large->pdata[0], "peak_mib"), >,
                      number(small->pdata[0], "peak_mib") + 7 * 2);
}

/* A run with a queue in front of the network's stage, in front of the lane, and with none. */
static void test_epoch(void)
{
    static const char *const ways[] = {
        "", "--set graphs.train.forward.queue=2",
        "--set 'graphs.train.batch={use: batch, from: flip, size: 2}'"};
    g_autofree char *folder = loom_test_folder();
    g_autofree char *data = g_build_filename(folder, "s", NULL);

    phantom_set_make(data, 5);
    typed_config(folder, "small.yaml", NULL, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(ways); i++) {
        g_autofree char *line =
            g_strdup_printf("epoch --config small.yaml --steps 4 %s", ways[i]);
        g_autoptr(GPtrArray) lines = bench(folder, line);
        JsonObject *result = lines->pdata[0];

        g_assert_cmpuint(lines->len, ==, 1);
        assert_measured(result, "epoch");
        assert_text(result, "config", "small.yaml");
        g_assert_cmpint(json_object_get_int_member(result, "steps"), ==, 4);
        g_assert_cmpfloat(number(result, "waited"), >, 0);
        g_assert_cmpfloat(number(result, "waited"), <, 1);
    }
    g_auto(Typed) short_run =
        typed_run(folder, "bench epoch --config small.yaml --set run.steps=1", NULL);
    g_auto(Typed) other =
        typed_run(folder, "bench epoch --config small.yaml --set run.graph=validate", NULL);
    g_assert_cmpint(short_run.code, ==, 2);
    typed_assert_in(short_run.err, "ended before its second step");
    g_assert_cmpint(other.code, ==, 2);
    typed_assert_in(other.err, "nothing to time");
    /* nothing was left where it was called */
    g_autofree char *runs = g_build_filename(folder, "runs", NULL);
    g_assert_false(g_file_test(runs, G_FILE_TEST_EXISTS));
    loom_test_folder_remove(folder);
}

static void test_augment(void)
{
    g_autoptr(GPtrArray) lines = bench(NULL, "augment --patch 6,9,7 --in 2 --classes 4 "
                                             "--set graphs.bench.augment.mirror_chance=1 "
                                             "--repeat 20");
    JsonObject *result = lines->pdata[0];
    g_auto(Typed) refused =
        typed_run(NULL, "bench augment --set graphs.bench.augment.size=[99,9,9]", NULL);
    g_auto(Typed) count = typed_run(NULL, "bench augment --patch 4,4", NULL);

    g_assert_cmpuint(lines->len, ==, 1);
    assert_measured(result, "augment");
    assert_sizes(result, "patch", SHAPE(6, 9, 7));
    g_assert_cmpint(json_object_get_int_member(result, "in"), ==, 2);
    g_assert_cmpint(json_object_get_int_member(result, "classes"), ==, 4);
    g_assert_cmpint(json_object_get_int_member(result, "repeat"), ==, 20);
    g_assert_cmpfloat(number(result, "seconds_max"), >=, number(result, "seconds"));
    g_assert_cmpfloat(number(result, "seconds_median"), >=, number(result, "seconds_min"));
    g_assert_cmpint(refused.code, ==, 2);
    typed_assert_in(refused.err,
                    "patches of 73 x 80 x 64 arrive, want at least size, [99, 9, 9]");
    g_assert_cmpint(count.code, ==, 2);
    typed_assert_in(count.err, "--patch");
}

static void test_help(void)
{
    static const char *const names[] = {"conv", "train_step", "inference", "epoch", "augment"};

    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *line = g_strdup_printf("bench %s --help", names[i]);
        g_autofree char *example = g_strdup_printf("Example:\n  segloom bench %s ", names[i]);
        g_auto(Typed) said = typed_run(NULL, line, NULL);
        g_auto(GStrv) lines = g_strsplit(said.out, "\n", -1);

        g_assert_cmpint(said.code, ==, 0);
        typed_assert_in(said.out, example);
        for (char **text = lines; *text; text++)
            if (g_utf8_strlen(*text, -1) > 80)
                g_error("wider than 80 columns: %s", *text);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/bench/conv", test_conv);
    g_test_add_func("/bench/conv-backend", test_conv_backend);
    g_test_add_func("/bench/resample", test_resample);
    g_test_add_data_func("/bench/train-step", "train_step", test_network);
    g_test_add_data_func("/bench/inference", "inference", test_network);
    g_test_add_func("/bench/peak", test_peak);
    g_test_add_func("/bench/epoch", test_epoch);
    g_test_add_func("/bench/augment", test_augment);
    g_test_add_func("/bench/help", test_help);
    return loom_test_run();
}
