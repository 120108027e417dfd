/* The U-Net as a model: its weights and their start, what it refuses, what it keeps between
 * calls. Whether its numbers are right is golden/test-unet3d.c's question. */
#include "loom_test.h"

#include <math.h>
#include <string.h>

typedef struct {
    LoomInstance *backend, *instance;
    const LoomModel *model;
    gpointer self;
} Network;

static Network *network_on(const char *backend, const char *parameters)
{
    g_autofree char *yaml = g_strdup_printf("{use: unet3d, %s}", parameters);
    g_autofree char *use = g_strdup_printf("{use: %s}", backend);
    Network *net = g_new0(Network, 1);

    net->backend = loom_test_instance(LOOM_KIND_BACKEND, use, NULL, NULL);
    net->instance = loom_test_instance(LOOM_KIND_MODEL, yaml, net->backend, NULL);
    net->model = (const LoomModel *)net->instance->plugin;
    net->self = net->instance->self;
    return net;
}

static Network *network(const char *parameters)
{
    return network_on("reference", parameters);
}

static void network_free(Network *net)
{
    loom_instance_free(net->instance);
    loom_instance_free(net->backend);
    g_free(net);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Network, network_free)

static const LoomBackend *device(const Network *net)
{
    return (const LoomBackend *)net->backend->plugin;
}

static const LoomWeight *find_weight(const Network *net, const char *name)
{
    guint n;
    const LoomWeight *weights = net->model->weights(net->self, &n);

    for (guint i = 0; i < n; i++)
        if (g_str_equal(weights[i].name, name))
            return &weights[i];
    return NULL;
}

static float *read_array(const Network *net, const LoomArray *array, gint64 count)
{
    float *x = g_new(float, (gsize)count);

    device(net)->array_read(net->backend->self, array, x);
    return x;
}

/* ---- weights ------------------------------------------------------------------------ */

static gint64 count_weights(const char *parameters)
{
    g_autoptr(Network) net = network(parameters);
    guint n;
    const LoomWeight *weights = net->model->weights(net->self, &n);
    gint64 sum = 0;

    for (guint i = 0; i < n; i++)
        sum += weights[i].count;
    return sum;
}

/* Numbers of parameters that PyTorch counts for the same networks of nnU-Net's kind. */
static void test_count(void)
{
    g_assert_cmpint(count_weights("classes: 3, features: [16, 32, 64]"), ==, 340022);
    g_assert_cmpint(count_weights("classes: 3"), ==, 16548076);
    g_assert_cmpint(count_weights("in_channels: 4, classes: 4, features: [8, 12]"), ==, 15236);
}

static void test_names(void)
{
    static const char *const names[] = {
        "encoder.0.0.kernel", "encoder.0.0.bias", "encoder.0.0.scale", "encoder.0.0.shift",
        "encoder.2.1.kernel", "up.0.kernel",      "up.1.bias",         "decoder.1.1.shift",
        "head.0.kernel",      "head.1.bias"};
    g_autoptr(Network) deep = network("classes: 2, features: [4, 6, 8]");
    g_autoptr(Network) single =
        network("classes: 2, features: [4, 6, 8], deep_supervision: false");

    for (guint i = 0; i < G_N_ELEMENTS(names); i++)
        g_assert_nonnull(find_weight(deep, names[i]));
    g_assert_null(find_weight(deep, "up.0.scale"));
    g_assert_cmpuint(deep->model->outputs(deep->self), ==, 2);
    g_assert_null(find_weight(single, "head.1.kernel"));
    g_assert_cmpuint(single->model->outputs(single->self), ==, 1);
    /* (in, out, kd, kh, kw): PyTorch's order for transposed convolutions */
    const LoomWeight *up = find_weight(deep, "up.1.kernel");
    static const gint64 shape[5] = {8, 6, 2, 2, 2};
    g_assert_true(memcmp(up->shape, shape, sizeof shape) == 0);
}

/* Deviation sqrt(2 / (1 + 0.01^2) / fan_in); of n numbers it scatters by 1 / sqrt(2 n) of
 * itself, their mean by deviation / sqrt(n): five of those are allowed. */
static void check_start(const Network *net, const char *name, double fan_in)
{
    const LoomWeight *weight = find_weight(net, name);
    g_autofree float *x = read_array(net, weight->value, weight->count);
    const double n = (double)weight->count, want = sqrt(2 / 1.0001 / fan_in);
    double sum = 0, squares = 0;

    for (gint64 i = 0; i < weight->count; i++) {
        sum += (double)x[i];
        squares += (double)x[i] * (double)x[i];
    }
    loom_assert_near(sum / n, 0, 5 * want / sqrt(n));
    loom_assert_near(sqrt(squares / n), want, 5 * want / sqrt(2 * n));
}

static void check_constant(const Network *net, const char *name, float want)
{
    const LoomWeight *weight = find_weight(net, name);
    g_autofree float *x = read_array(net, weight->value, weight->count);

    for (gint64 i = 0; i < weight->count; i++)
        g_assert_cmpfloat(x[i], ==, want);
}

static void test_start(void)
{
    g_autoptr(Network) net = network("in_channels: 2, classes: 5, features: [16, 32]");

    check_start(net, "encoder.0.0.kernel", 2 * 27);
    check_start(net, "encoder.1.1.kernel", 32 * 27);
    check_start(net, "decoder.0.0.kernel", 32 * 27);
    check_start(net, "up.0.kernel", 16 * 8); /* PyTorch's fan_in: the second axis */
    check_start(net, "head.0.kernel", 16);
    check_constant(net, "encoder.0.0.bias", 0);
    check_constant(net, "encoder.0.0.scale", 1);
    check_constant(net, "encoder.0.0.shift", 0);
    check_constant(net, "up.0.bias", 0);
}

/* A weight starts from its name, not from what was drawn before it. */
static void test_start_order(void)
{
    g_autoptr(Network) two = network("classes: 2, features: [4, 6]");
    g_autoptr(Network) three = network("classes: 2, features: [4, 6, 8]");
    const LoomWeight *a = find_weight(two, "decoder.0.0.kernel");
    const LoomWeight *b = find_weight(three, "decoder.0.0.kernel");
    const LoomWeight *c = find_weight(three, "decoder.0.1.kernel");
    g_autofree float *x = read_array(two, a->value, a->count);
    g_autofree float *y = read_array(three, b->value, b->count);
    g_autofree float *z = read_array(three, c->value, c->count);

    g_assert_true(memcmp(x, y, (gsize)a->count * sizeof *x) == 0);
    g_assert_true(memcmp(x, z, (gsize)c->count * sizeof *x) != 0);
}

/* ---- refusals ----------------------------------------------------------------------- */

static void check_config(const char *parameters, const char *text)
{
    g_autofree char *yaml = g_strdup_printf("{use: unet3d, classes: 2, %s}", parameters);
    g_autoptr(LoomInstance) backend =
        loom_test_instance(LOOM_KIND_BACKEND, "{use: reference}", NULL, NULL);
    g_autoptr(GError) error = NULL;

    loom_assert_failed(loom_test_instance(LOOM_KIND_MODEL, yaml, backend, &error), error,
                       LOOM_ERROR, LOOM_ERROR_CONFIG, text);
}

static void test_parameters_refused(void)
{
    check_config("features: [8]", "'features' has 1 levels, want 2 to 9");
    check_config("features: [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]", "'features' has 10 levels");
    check_config(
        "features: [4, 4, 4], strides: [2]",
        "'strides' has 1 numbers, want none, 2 (one for each level below the first) or "
        "6 (D, H, W for each)");
    check_config("features: [4, 4, 4], kernels: [3, 3]",
                 "'kernels' has 2 numbers, want none, 3");
    check_config("features: [4, 4], kernels: [3, 2]", "kernel size 2 found, want 1 or 3");
}

static void check_shape(const Network *net, const gint64 *ncdhw, gsize rank, LoomErrorCode code,
                        const char *text)
{
    g_autoptr(GError) error = NULL;
    gint64 classes;
    guint64 bytes;

    g_assert_cmpuint(rank, ==, 5);
    loom_assert_failed(net->model->fits(net->self, ncdhw, TRUE, &classes, &bytes, &error),
                       error, LOOM_ERROR, code, text);
}

static void test_shapes_refused(void)
{
    g_autoptr(Network) net =
        network("in_channels: 2, classes: 3, features: [2, 2, 2], strides: [1, 2, 2, 2, 2, 2]");
    g_autoptr(LoomTensor) odd = loom_test_random("NCDHW", SHAPE(1, 2, 4, 8, 6), 1, 0, 1);
    g_autoptr(GError) error = NULL;
    LoomTensor *logits;

    check_shape(net, SHAPE(1, 2, 4, 41, 8), LOOM_ERROR_SHAPE,
                "patch H 41 is not divisible by 4, nearest: 40, 44");
    check_shape(net, SHAPE(0, 0, 1, 0, 0), LOOM_ERROR_SHAPE,
                "patch D 1 is not divisible by 2, nearest: 2");
    check_shape(net, SHAPE(1, 1, 4, 8, 8), LOOM_ERROR_SHAPE,
                "the image has 1 channels, the network's in_channels is 2");
    check_shape(net, SHAPE(1, 2, 2, 4, 4), LOOM_ERROR_SHAPE, "only one voxel is left");
    check_shape(net, SHAPE(1, 2, 65536, 65536, 65536), LOOM_ERROR_LIMIT, "too large");
    loom_assert_failed(net->model->forward(net->self, odd, &logits, 1, NULL, &error), error,
                       LOOM_ERROR, LOOM_ERROR_SHAPE, "patch W 6 is not divisible by 4");
    g_assert_null(logits);
}

/* ---- memory ------------------------------------------------------------------------- */

static guint64 bytes_of(const Network *net, const gint64 ncdhw[5], gboolean training)
{
    gint64 classes = 0;
    guint64 bytes = 0;

    g_assert_true(net->model->fits(net->self, ncdhw, training, &classes, &bytes, NULL));
    g_assert_cmpint(classes, ==, 3);
    return bytes;
}

static void test_bytes(void)
{
    g_autoptr(Network) net = network("classes: 3, features: [4, 8, 8]");
    const gint64 unknown[5] = {0}, one[5] = {1, 1, 16, 16, 16}, two[5] = {2, 1, 16, 16, 16};
    const guint64 weights = bytes_of(net, unknown, TRUE);

    guint n;
    const LoomWeight *list = net->model->weights(net->self, &n);
    guint64 count = 0;
    for (guint i = 0; i < n; i++)
        count += (guint64)list[i].count;
    g_assert_cmpuint(weights, ==, 2 * 4 * count); /* values and gradients */
    g_assert_cmpuint(bytes_of(net, one, FALSE), <, bytes_of(net, one, TRUE));
    g_assert_cmpuint(bytes_of(net, one, TRUE), <, bytes_of(net, two, TRUE));
}

/* ---- passes ------------------------------------------------------------------------- */

static LoomTensor *infer(const Network *net, const LoomTensor *image)
{
    GError *error = NULL;
    LoomTensor *logits = NULL;

    net->model->forward(net->self, image, &logits, 1, NULL, &error);
    g_assert_no_error(error);
    return logits;
}

static LoomTape *train(const Network *net, const LoomTensor *image, LoomTensor **logits)
{
    GError *error = NULL;
    LoomTape *tape = NULL;

    net->model->forward(net->self, image, logits, net->model->outputs(net->self), &tape,
                        &error);
    g_assert_no_error(error);
    return tape;
}

static void unref_all(LoomTensor **tensors, guint n)
{
    for (guint i = 0; i < n; i++)
        loom_tensor_unref(tensors[i]);
}

/* More shapes than plans are kept: what comes back later is the same. */
static void test_shapes_in_turn(void)
{
    g_autoptr(Network) net = network("classes: 2, features: [3, 4, 5]");
    LoomTensor *image[7], *first[7];

    for (gint64 i = 0; i < 7; i++) {
        image[i] = loom_test_random("NCDHW", SHAPE(1 + i % 2, 1, 4 + 4 * (i / 2), 8, 4),
                                    (guint64)i, -1, 1);
        first[i] = infer(net, image[i]);
    }
    for (gint64 i = 7; i-- > 0;) {
        g_autoptr(LoomTensor) again = infer(net, image[i]);
        LoomTensor *logits[2];
        LoomTape *tape = train(net, image[i], logits);

        g_assert_true(loom_test_equal(first[i], again));
        g_assert_true(loom_test_equal(first[i], logits[0])); /* training sees the same */
        g_assert_cmpint(loom_tensor_size(logits[1], 'H'), ==, 4);
        net->model->tape_free(net->self, tape);
        unref_all(logits, 2);
    }
    unref_all(image, 7);
    unref_all(first, 7);
}

static void step(const Network *net, const LoomTensor *image)
{
    const guint n = net->model->outputs(net->self);
    LoomTensor *logits[LOOM_MODEL_MAX_OUTPUTS];
    LoomTape *tape = train(net, image, logits);
    GError *error = NULL;

    /* any direction will do: the logits' own */
    net->model->backward(net->self, tape, (const LoomTensor *const *)logits, n, &error);
    g_assert_no_error(error);
    unref_all(logits, n);
}

/* Gradients are added to: twice the same is exactly twice as much. */
static void test_gradients_add(void)
{
    g_autoptr(Network) net = network("classes: 2, features: [3, 4, 5]");
    g_autoptr(LoomTensor) image = loom_test_random("NCDHW", SHAPE(2, 1, 8, 4, 8), 1, -1, 1);
    const LoomWeight *weight = find_weight(net, "encoder.0.0.kernel");

    step(net, image);
    g_autofree float *once = read_array(net, weight->grad, weight->count);
    step(net, image);
    g_autofree float *twice = read_array(net, weight->grad, weight->count);
    for (gint64 i = 0; i < weight->count; i++)
        /* the second sum begins at the first: other roundings, of at most 1e-6 of it all */
        loom_assert_near((double)twice[i], 2 * (double)once[i],
                         1e-5 * fabs((double)once[i]) + 1e-6);
    g_assert_cmpfloat(once[0], !=, 0);
}

/* Inference has no gradients; a forward pass with a tape makes them. */
static void test_gradients_late(void)
{
    g_autoptr(Network) net = network("classes: 2, features: [3, 4, 5]");
    g_autoptr(LoomTensor) image = loom_test_random("NCDHW", SHAPE(1, 1, 8, 4, 8), 1, -1, 1);

    loom_tensor_unref(infer(net, image));
    g_assert_null(find_weight(net, "encoder.0.0.kernel")->grad);
    step(net, image);
    g_assert_nonnull(find_weight(net, "encoder.0.0.kernel")->grad);
    g_assert_nonnull(find_weight(net, "head.1.bias")->grad);
}

/* What is computed twice is computed from the same numbers in the same order: the same bits. */
static void checkpoint_on(const char *backend)
{
    static const char *const parameters =
        "classes: 2, features: [3, 4, 5, 6], kernels: [1, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3], ";
    g_autofree char *none = g_strconcat(parameters, "checkpointing: none", NULL);
    g_autofree char *levels = g_strconcat(parameters, "checkpointing: levels", NULL);
    g_autoptr(Network) keeps = network_on(backend, none), drops = network_on(backend, levels);
    g_autoptr(LoomTensor) image = loom_test_random("NCDHW", SHAPE(2, 1, 16, 8, 24), 1, -1, 1);
    guint64 kept, dropped, still[2];
    gint64 classes;
    guint n;

    step(keeps, image);
    step(drops, image);
    const LoomWeight *a = keeps->model->weights(keeps->self, &n);
    const LoomWeight *b = drops->model->weights(drops->self, &n);
    for (guint i = 0; i < n; i++) {
        g_autofree float *want = read_array(keeps, a[i].grad, a[i].count);
        g_autofree float *found = read_array(drops, b[i].grad, b[i].count);

        g_test_message("%s", a[i].name);
        g_assert_cmpint(memcmp(want, found, (gsize)a[i].count * sizeof *want), ==, 0);
    }
    g_assert_true(
        keeps->model->fits(keeps->self, loom_tensor_shape(image), TRUE, &classes, &kept, NULL));
    g_assert_true(drops->model->fits(drops->self, loom_tensor_shape(image), TRUE, &classes,
                                     &dropped, NULL));
    g_assert_cmpuint(dropped, <, kept);
    keeps->model->fits(keeps->self, loom_tensor_shape(image), FALSE, &classes, &still[0], NULL);
    drops->model->fits(drops->self, loom_tensor_shape(image), FALSE, &classes, &still[1], NULL);
    g_assert_cmpuint(still[0], ==, still[1]); /* inference keeps nothing anyway */
}

static void test_checkpointing(void)
{
    g_autofree const LoomPlugin **all =
        loom_registry_list(loom_test_registry(), LOOM_KIND_BACKEND);

    for (guint i = 0; all[i]; i++) {
        g_test_message("backend %s", all[i]->name);
        checkpoint_on(all[i]->name);
    }
}

static void test_stale_tape(void)
{
    g_autoptr(Network) net = network("classes: 2, features: [3, 4]");
    g_autoptr(LoomTensor) image = loom_test_random("NCDHW", SHAPE(1, 1, 4, 4, 4), 1, -1, 1);
    g_autoptr(GError) stale = NULL, shape = NULL, number = NULL;
    LoomTensor *logits[1];
    LoomTape *tape = train(net, image, logits);

    loom_tensor_unref(infer(net, image)); /* in between */
    loom_assert_failed(
        net->model->backward(net->self, tape, (const LoomTensor *const *)logits, 1, &stale),
        stale, LOOM_ERROR, LOOM_ERROR_PLUGIN,
        "another forward pass ran between forward and backward");
    unref_all(logits, 1);

    tape = train(net, image, logits);
    loom_assert_failed(
        net->model->backward(net->self, tape, (const LoomTensor *const[]){image}, 1, &shape),
        shape, LOOM_ERROR, LOOM_ERROR_SHAPE, "its logits have another shape");
    unref_all(logits, 1);

    tape = train(net, image, logits);
    loom_assert_failed(net->model->backward(net->self, tape, NULL, 0, &number), number,
                       LOOM_ERROR, LOOM_ERROR_SHAPE, "0 gradients for 1 logits");
    unref_all(logits, 1);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/network/count", test_count);
    g_test_add_func("/network/names", test_names);
    g_test_add_func("/network/start", test_start);
    g_test_add_func("/network/start-order", test_start_order);
    g_test_add_func("/network/parameters-refused", test_parameters_refused);
    g_test_add_func("/network/shapes-refused", test_shapes_refused);
    g_test_add_func("/network/bytes", test_bytes);
    g_test_add_func("/network/shapes-in-turn", test_shapes_in_turn);
    g_test_add_func("/network/gradients-add", test_gradients_add);
    g_test_add_func("/network/gradients-late", test_gradients_late);
    g_test_add_func("/network/checkpointing", test_checkpointing);
    g_test_add_func("/network/stale-tape", test_stale_tape);
    return loom_test_run();
}
