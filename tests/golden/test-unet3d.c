/* Training steps of small U-Nets against PyTorch's numbers: unet3d_step.py made them, in
 * float64. The stages run in a graph as they do for a user, on every backend. */
#include "loom_test.h"

#include <math.h>
#include <string.h>

static const char *const cases[] = {"plain", "anisotropic", "single"};

static LoomStore *recorded_store; /* of the case that is replayed */
static guint compared;            /* tensors */

static const LoomStoredTensor *recorded(const char *group, const char *name)
{
    g_autofree char *full = g_strconcat(group, "/", name, NULL);
    const LoomStoredTensor *tensor = loom_store_find(recorded_store, full);

    if (!tensor)
        g_error("nothing was recorded for %s", full);
    return tensor;
}

static double norm(const float *x, gint64 count)
{
    double sum = 0;

    for (gint64 i = 0; i < count; i++)
        sum += (double)x[i] * (double)x[i];
    return sqrt(sum);
}

/* |found - want| / @scale, at most @tolerance. */
static void compare(const char *what, const float *found, const LoomStoredTensor *want,
                    double scale, double tolerance)
{
    double sum = 0;

    for (gint64 i = 0; i < want->count; i++) {
        const double d = (double)found[i] - (double)want->data[i];

        sum += d * d;
    }
    g_test_message("%s: relative error %.2g", what, sqrt(sum) / scale);
    if (!(sqrt(sum) <= tolerance * scale)) /* false for NaN */
        g_error("%s: relative error %g, want at most %g", what, sqrt(sum) / scale, tolerance);
    compared++;
}

/* ---- the stages of the replay ------------------------------------------------------- */

typedef struct {
    LoomInstance *model;
    char *with; /* "logits", "loss", "gradient", "sgd", "adam" */
} Replay;

static float *read_array(const LoomInstance *backend, const LoomArray *array, gint64 count)
{
    float *x = g_new(float, (gsize)count);

    ((const LoomBackend *)backend->plugin)->array_read(backend->self, array, x);
    return x;
}

static gboolean source_start(gpointer self, G_GNUC_UNUSED LoomContext *ctx,
                             G_GNUC_UNUSED GError **error)
{
    const Replay *replay = self;
    const LoomModel *model = (const LoomModel *)replay->model->plugin;
    const LoomInstance *backend = model->backend(replay->model->self);
    guint n;
    LoomWeight *weights = model->weights(replay->model->self, &n);

    for (guint i = 0; i < n; i++) {
        const LoomStoredTensor *start = recorded("weight", weights[i].name);

        g_assert_cmpuint(weights[i].rank, ==, start->rank);
        g_assert_true(memcmp(weights[i].shape, start->shape, start->rank * sizeof(gint64))
                      == 0);
        ((const LoomBackend *)backend->plugin)
            ->array_write(backend->self, weights[i].value, start->data);
    }
    return TRUE;
}

static LoomFlow source_produce(G_GNUC_UNUSED gpointer self, LoomPacket **packet,
                               LoomContext *ctx, GError **error)
{
    const LoomStoredTensor *x = loom_store_find(recorded_store, "image");
    const LoomStoredTensor *t = loom_store_find(recorded_store, "label");
    g_autoptr(LoomTensor) image = NULL, label = NULL;

    if (loom_context_index(ctx) == 2)
        return LOOM_FLOW_STOP;
    if (!(image = loom_tensor_new(LOOM_F32, "NCDHW", x->shape, error))
        || !(label = loom_tensor_new(LOOM_U8, "NDHW", t->shape, error)))
        return LOOM_FLOW_FAIL;
    memcpy(loom_tensor_f32_mut(image), x->data, loom_tensor_bytes(image));
    for (gint64 i = 0; i < t->count; i++)
        loom_tensor_u8_mut(label)[i] = (guint8)t->data[i];
    *packet = loom_packet_new();
    loom_packet_set(*packet, "image", g_steal_pointer(&image));
    loom_packet_set(*packet, "label", g_steal_pointer(&label));
    return LOOM_FLOW_OK;
}

static void compare_logits(const LoomPacket *packet)
{
    static const char *const slots[] = {"logits", "logits_1", "logits_2"};

    for (guint k = 0; k < G_N_ELEMENTS(slots); k++) {
        g_autofree char *name = g_strdup_printf("logits/%u", k);
        const LoomStoredTensor *want = loom_store_find(recorded_store, name);
        const LoomTensor *logits = loom_packet_get(packet, slots[k]);

        g_assert_true((want == NULL) == (logits == NULL));
        if (!want)
            continue;
        g_assert_true(memcmp(loom_tensor_shape(logits), want->shape, 5 * sizeof(gint64)) == 0);
        /* float32 (6e-8) through at most 12 blocks, each with sums of some 100 products */
        compare(name, loom_tensor_f32(logits), want, norm(want->data, want->count), 1e-5);
    }
}

static void compare_gradients(const Replay *replay)
{
    const LoomModel *model = (const LoomModel *)replay->model->plugin;
    const LoomInstance *backend = model->backend(replay->model->self);
    guint n;
    const LoomWeight *weights = model->weights(replay->model->self, &n);

    for (guint i = 0; i < n; i++) {
        const char *name = weights[i].name;
        g_autofree float *found = read_array(backend, weights[i].grad, weights[i].count);
        const LoomStoredTensor *want = recorded("gradient", name);
        const char *dot = strrchr(name, '.');
        g_autofree char *layer = g_strndup(name, (gsize)(dot - name));
        g_autofree char *shift = g_strconcat("gradient/", layer, ".shift", NULL);
        const LoomStoredTensor *behind = loom_store_find(recorded_store, shift);
        double scale = norm(want->data, want->count);

        if (g_str_equal(dot, ".bias") && behind) {
            /* a normalisation takes off any bias: its gradient is 0 but for rounding, which
             * is small against that of the bias behind the normalisation */
            g_assert_cmpfloat(scale, <, 1e-12);
            scale = norm(behind->data, behind->count);
        }
        compare(name, found, want, scale, 1e-4); /* the project's promise */
    }
}

static void compare_weights(const Replay *replay)
{
    const LoomModel *model = (const LoomModel *)replay->model->plugin;
    const LoomInstance *backend = model->backend(replay->model->self);
    guint n;
    const LoomWeight *weights = model->weights(replay->model->self, &n);

    for (guint i = 0; i < n; i++) {
        g_autofree float *found = read_array(backend, weights[i].value, weights[i].count);
        const LoomStoredTensor *want = recorded(replay->with, weights[i].name);
        const LoomStoredTensor *start = recorded("weight", weights[i].name);
        g_autofree float *moved = g_new(float, (gsize)want->count);

        for (gint64 j = 0; j < want->count; j++)
            moved[j] = want->data[j] - start->data[j];
        /* Relative to the way the weights went.  Some move by weight decay only, by about 1e-4;
         * float32 keeps 1e-8 of weights around 0.2: 1e-4, and gradients add as much. */
        compare(weights[i].name, found, want, norm(moved, want->count), 1e-3);
    }
}

static gboolean check_map(gpointer self, LoomPacket *packet, LoomContext *ctx,
                          G_GNUC_UNUSED GError **error)
{
    const Replay *replay = self;
    const gint64 index = loom_context_index(ctx);
    const gboolean step = g_str_equal(replay->with, "sgd") || g_str_equal(replay->with, "adam");

    if (index != (step ? 1 : 0))
        return TRUE;
    if (g_str_equal(replay->with, "logits"))
        compare_logits(packet);
    else if (g_str_equal(replay->with, "gradient"))
        compare_gradients(replay);
    else if (step)
        compare_weights(replay);
    else /* a mean over some hundred voxels of numbers around 1, each to 1e-6 */
        loom_assert_near(loom_tensor_scalar(loom_packet_get(packet, "loss")),
                         (double)loom_store_find(recorded_store, "loss")->data[0], 3e-6);
    return TRUE;
}

static const LoomParam replay_params[] = {
    LOOM_MODEL_ID(Replay, model, "network under test"),
    LOOM_STRING(Replay, with, "", "what to compare with"),
    {0},
};

static const LoomSlot source_writes[] = {
    {"image", LOOM_F32, "NCDHW", 0, "recorded"},
    {"label", LOOM_U8, "NDHW", 0, "recorded"},
    {0},
};

static const LoomStage source = {
    .base = LOOM_STAGE(Replay, "golden_source", "Recorded weights, image and label",
                       .params = replay_params),
    .writes = source_writes,
    .start = source_start,
    .produce = source_produce,
};

static const LoomStage check = {
    .base = LOOM_STAGE(Replay, "golden_check", "Compares with what was recorded",
                       .params = replay_params),
    .map = check_map,
};

static const LoomModule module = {LOOM_ABI_MAJOR, LOOM_ABI_MINOR, "golden", "0",
                                  (const LoomPlugin *const[]){&source.base, &check.base, NULL}};

/* ---- the replay --------------------------------------------------------------------- */

static const char head[] =
    "segloom: 1\n"
    "backend: {use: %s}\n"
    "models: {net: {use: unet3d, %s}\n"
    "graphs:\n"
    "  train:\n"
    "    load:     {use: golden_source, model: net}\n"
    "    forward:  {use: forward, from: load, model: net}\n"
    "    logits:   {use: golden_check, from: forward, model: net, with: logits}\n"
    "    loss:     {use: loss, from: logits, loss: {use: sum, of: [{use: cross_entropy}, {use: "
    "dice}]}}\n"
    "    value:    {use: golden_check, from: loss, model: net, with: loss}\n"
    "    back:     {use: backward, from: value, model: net}\n"
    "    gradient: {use: golden_check, from: back, model: net, with: gradient}\n";

static void replay(const char *backend, const char *optimiser)
{
    const char *model = g_hash_table_lookup(recorded_store->metadata, "model");
    g_autoptr(GString) text = g_string_new(NULL);
    g_autoptr(LoomNode) config = NULL;
    g_autoptr(LoomRun) run = NULL;
    GError *error = NULL;

    g_string_printf(text, head, backend, model + 1); /* behind JSON's brace */
    if (optimiser) {
        const char *options = g_hash_table_lookup(recorded_store->metadata, optimiser);

        g_string_append_printf(
            text,
            "    step:     {use: %s_step, from: gradient, model: net, %s\n"
            "    weights:  {use: golden_check, from: step, model: net, with: %s}\n"
            "run: {graph: train, steps: 2}\n",
            optimiser, options + 1, optimiser);
    } else {
        g_string_append(text, "run: {graph: train}\n");
    }
    config = loom_yaml_parse(text->str, text->len, "golden.yaml", "/", &error);
    g_assert_no_error(error);
    run = loom_run_open(config, loom_test_registry(), &(LoomRunOptions){0}, &error);
    g_assert_no_error(error);
    compared = 0;
    g_assert_cmpint(loom_run_execute(run, &error), ==, LOOM_RUN_DONE);
    g_assert_no_error(error);
    g_assert_cmpuint(compared, >=, optimiser ? 60 : 15); /* nothing was left out */
}

typedef struct {
    const char *backend;
    const char *name, *optimiser; /* of the case; NULL: only the gradient */
} Replayed;

static void test_replay(gconstpointer data)
{
    const Replayed *test = data;
    g_autofree char *path = g_strdup_printf("tests/golden/unet3d_%s.safetensors", test->name);
    GError *error = NULL;

    recorded_store = loom_store_read(path, &error);
    g_assert_no_error(error);
    replay(test->backend, test->optimiser);
    g_clear_pointer(&recorded_store, loom_store_free);
}

static void add_test(const char *backend, const char *name, const char *optimiser)
{
    g_autofree char *path =
        g_strdup_printf("/unet3d/%s/%s/%s", backend, name, optimiser ? optimiser : "gradient");
    Replayed *test = g_new(Replayed, 1);

    *test = (Replayed){backend, name, optimiser};
    g_test_add_data_func_full(path, test, test_replay, g_free);
}

int main(int argc, char **argv)
{
    g_autofree const LoomPlugin **backends = NULL;

    g_test_init(&argc, &argv, NULL);
    g_assert_true(loom_registry_add(loom_test_registry(), &module, "test-unet3d", NULL));
    backends = loom_registry_list(loom_test_registry(), LOOM_KIND_BACKEND);
    for (guint b = 0; backends[b]; b++) {
        for (guint i = 0; i < G_N_ELEMENTS(cases); i++)
            add_test(backends[b]->name, cases[i], NULL);
        add_test(backends[b]->name, "plain", "sgd");
        add_test(backends[b]->name, "plain", "adam");
    }
    return loom_test_run();
}
