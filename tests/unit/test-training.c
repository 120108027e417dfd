/* The stages of a training step, one at a time: deep supervision, schedules, refusals.  Whether
 * a whole step is right is golden/test-unet3d.c's question. */
#include "loom_test.h"

#include "graph/state.h"

#include <math.h>
#include <string.h>

static const char network[] = "backend: {use: reference}\n"
                              "models: {net: {use: unet3d, classes: 2, features: [2, 2]}}\n";

/* ---- loss --------------------------------------------------------------------------- */

static LoomPacket *packet_of(LoomTensor *logits, LoomTensor *label)
{
    LoomPacket *packet = loom_packet_new();

    loom_packet_set_id(packet, "case_007");
    loom_packet_set(packet, "logits", logits);
    loom_packet_set(packet, "label", label);
    return packet;
}

/* Three levels with strides 2,2,2 and 1,2,2; every second voxel's label, then every fourth's
 * along H and W.  @shares: of the levels, weights that sum to 1. */
static void supervised(const char *yaml, const double shares[3])
{
    g_autoptr(LoomTestStage) stage = loom_test_stage(yaml, NULL, NULL);
    g_autoptr(LoomInstance) entropy =
        loom_test_instance(LOOM_KIND_LOSS, "{use: cross_entropy}", NULL, NULL);
    static const gint64 edges[3][3] = {{4, 8, 8}, {2, 4, 4}, {2, 2, 2}};
    static const char *const in[] = {"logits", "logits_1", "logits_2"};
    static const char *const out[] = {"dlogits", "dlogits_1", "dlogits_2"};
    LoomTensor *label = loom_test_random_labels("NDHW", SHAPE(2, 4, 8, 8), 1, 3);
    LoomPacket *packet = packet_of(loom_test_random("NCDHW", SHAPE(2, 3, 4, 8, 8), 2, -1, 1),
                                   loom_tensor_ref(label));
    double want = 0;
    LoomTensor *gradients[3];

    for (guint k = 0; k < 3; k++) {
        const gint64 *e = edges[k];
        const gint64 s[3] = {4 / e[0], 8 / e[1], 8 / e[2]};
        g_autoptr(LoomTensor) strided =
            loom_tensor_new(LOOM_U8, "NDHW", (const gint64[]){2, e[0], e[1], e[2]}, NULL);
        double one;

        if (k > 0)
            loom_packet_set(packet, in[k],
                            loom_test_random("NCDHW", SHAPE(2, 3, e[0], e[1], e[2]), k, -1, 1));
        for (gint64 i = 0; i < loom_tensor_count(strided); i++) {
            const gint64 w = i % e[2], h = i / e[2] % e[1], d = i / e[2] / e[1] % e[0];
            const gint64 n = i / e[2] / e[1] / e[0];

            loom_tensor_u8_mut(strided)[i] =
                loom_tensor_u8(label)[((n * 4 + d * s[0]) * 8 + h * s[1]) * 8 + w * s[2]];
        }
        gradients[k] = loom_tensor_new_like(loom_packet_get(packet, in[k]), NULL);
        g_assert_true(loom_loss_eval(entropy, loom_packet_get(packet, in[k]), strided, &one,
                                     gradients[k], NULL));
        want += one * shares[k];
    }
    loom_tensor_unref(label);
    g_assert_cmpint(loom_test_push(stage, packet, 0, NULL), ==, LOOM_FLOW_OK);
    const LoomPacket *result = loom_test_out(stage)->pdata[0];
    loom_assert_near(loom_tensor_scalar(loom_packet_get(result, "loss")), want, 1e-12);
    for (guint k = 0; k < 3; k++) {
        const LoomTensor *found = loom_packet_get(result, out[k]);

        for (gint64 i = 0; i < loom_tensor_count(found); i++) /* one rounding of float32 */
            loom_assert_near((double)loom_tensor_f32(found)[i],
                             shares[k] * (double)loom_tensor_f32(gradients[k])[i], 1e-8);
        loom_tensor_unref(gradients[k]);
    }
}

static void test_deep_supervision(void)
{
    static const double all[] = {4 / 7.0, 2 / 7.0, 1 / 7.0};
    static const double nnunet[] = {2 / 3.0, 1 / 3.0, 0}; /* the coarsest does not count */

    supervised("{use: loss, loss: {use: cross_entropy}}", all);
    supervised("{use: loss, loss: {use: cross_entropy}, coarsest: false}", nnunet);
}

/* nnU-Net's five heads: 8/15, 4/15, 2/15, 1/15 and 0.  With one label and equal logits each
 * voxel of each level has the same gradient but for the level's weight and its voxels. */
static void test_nnunet_weights(void)
{
    static const char *const in[] = {"logits", "logits_1", "logits_2", "logits_3", "logits_4"};
    static const char *const out[] = {"dlogits", "dlogits_1", "dlogits_2", "dlogits_3",
                                      "dlogits_4"};
    static const double weights[] = {8 / 15.0, 4 / 15.0, 2 / 15.0, 1 / 15.0, 0};
    g_autoptr(LoomTestStage) stage =
        loom_test_stage("{use: loss, loss: {use: cross_entropy}, coarsest: false}", NULL, NULL);
    LoomPacket *packet =
        packet_of(loom_tensor_new(LOOM_F32, "NCDHW", (const gint64[]){1, 2, 16, 16, 16}, NULL),
                  loom_tensor_new(LOOM_U8, "NDHW", (const gint64[]){1, 16, 16, 16}, NULL));

    for (guint k = 1; k < 5; k++) {
        const gint64 e = 16 >> k, shape[5] = {1, 2, e, e, e};

        loom_packet_set(packet, in[k], loom_tensor_new(LOOM_F32, "NCDHW", shape, NULL));
    }
    g_assert_cmpint(loom_test_push(stage, packet, 0, NULL), ==, LOOM_FLOW_OK);
    packet = loom_test_out(stage)->pdata[0];
    for (guint k = 0; k < 5; k++) {
        const LoomTensor *found = loom_packet_get(packet, out[k]);
        const double voxels = (double)loom_tensor_count_from(found, 'D');

        /* softmax of equal logits is 1/2: d/dz of the true class is -1/2 over all voxels;
         * float32 has 24 bits */
        loom_assert_near((double)loom_tensor_f32(found)[0] * voxels, -weights[k] / 2, 1e-7);
    }
}

static void test_loss_refusals(void)
{
    g_autoptr(LoomTestStage) stage =
        loom_test_stage("{use: loss, loss: {use: cross_entropy}}", NULL, NULL);
    g_autoptr(GError) nan = NULL, grid = NULL;
    LoomPacket *packet =
        packet_of(loom_test_f32("NCDHW", SHAPE(1, 2, 1, 1, 2), F32(0, 0, NAN, 0)),
                  loom_test_u8("NDHW", SHAPE(1, 1, 1, 2), U8(0, 1)));

    loom_assert_failed(loom_test_push(stage, packet, 0, &nan), nan, LOOM_ERROR,
                       LOOM_ERROR_NUMERIC, "the loss of 'case_007' is nan");
    packet = packet_of(loom_test_random("NCDHW", SHAPE(1, 2, 4, 4, 4), 1, 0, 1),
                       loom_test_random_labels("NDHW", SHAPE(1, 4, 4, 4), 1, 2));
    loom_packet_set(packet, "logits_1",
                    loom_test_random("NCDHW", SHAPE(1, 2, 3, 2, 2), 1, 0, 1));
    loom_assert_failed(loom_test_push(stage, packet, 1, &grid), grid, LOOM_ERROR,
                       LOOM_ERROR_SHAPE, "no whole fraction of the label's");
}

/* Half of the voxels are ignored, by two labels for it, also at the coarser level, whose grid
 * holds every second voxel: the loss, a nested one, is that of the other half alone. */
static void test_ignored(void)
{
    static const guint8 marks[] = {7, 255};
    static const char loss[] = "{use: sum, of: [{use: cross_entropy}, {use: dice}]}";
    g_autofree char *plain_yaml = g_strdup_printf("{use: loss, loss: %s}", loss);
    g_autoptr(LoomTestStage) plain = loom_test_stage(plain_yaml, NULL, NULL);
    g_autoptr(LoomTensor) z = loom_test_random("NCDHW", SHAPE(1, 2, 4, 4, 4), 1, -1, 1);
    g_autoptr(LoomTensor) coarse = loom_test_random("NCDHW", SHAPE(1, 2, 2, 2, 2), 2, -1, 1);
    g_autoptr(LoomTensor) t = loom_test_random_labels("NDHW", SHAPE(1, 4, 4, 4), 3, 2);
    g_autoptr(LoomTensor) z_half =
        loom_tensor_new(LOOM_F32, "NCDHW", (const gint64[]){1, 2, 2, 4, 4}, NULL);
    g_autoptr(LoomTensor) coarse_half =
        loom_tensor_new(LOOM_F32, "NCDHW", (const gint64[]){1, 2, 1, 2, 2}, NULL);
    g_autoptr(LoomTensor) t_half =
        loom_tensor_new(LOOM_U8, "NDHW", (const gint64[]){1, 2, 4, 4}, NULL);

    memcpy(loom_tensor_u8_mut(t_half), loom_tensor_u8(t), 32);
    for (gint64 k = 0; k < 2; k++) {
        memcpy(loom_tensor_f32_mut(z_half) + 32 * k, loom_tensor_f32(z) + 64 * k,
               32 * sizeof(float));
        memcpy(loom_tensor_f32_mut(coarse_half) + 4 * k, loom_tensor_f32(coarse) + 8 * k,
               4 * sizeof(float));
    }
    LoomPacket *half = packet_of(loom_tensor_ref(z_half), loom_tensor_ref(t_half));
    loom_packet_set(half, "logits_1", loom_tensor_ref(coarse_half));
    g_assert_cmpint(loom_test_push(plain, half, 0, NULL), ==, LOOM_FLOW_OK);
    const double want =
        loom_tensor_scalar(loom_packet_get(loom_test_out(plain)->pdata[0], "loss"));

    for (guint i = 0; i < G_N_ELEMENTS(marks); i++) {
        g_autofree char *yaml =
            g_strdup_printf("{use: loss, ignore: %u, loss: %s}", marks[i], loss);
        g_autoptr(LoomTestStage) stage = loom_test_stage(yaml, NULL, NULL);
        LoomTensor *marked = loom_tensor_copy(t, NULL);

        memset(loom_tensor_u8_mut(marked) + 32, marks[i], 32);
        LoomPacket *packet = packet_of(loom_tensor_ref(z), marked);
        loom_packet_set(packet, "logits_1", loom_tensor_ref(coarse));
        g_assert_cmpint(loom_test_push(stage, packet, 0, NULL), ==, LOOM_FLOW_OK);
        const LoomPacket *result = loom_test_out(stage)->pdata[0];
        loom_assert_near(loom_tensor_scalar(loom_packet_get(result, "loss")), want, 1e-12);
        const float *g = loom_tensor_f32(loom_packet_get(result, "dlogits"));
        for (gint64 v = 0; v < 128; v++)
            g_assert_true((v % 64 >= 32) == (g[v] == 0.0f));
    }
}

/* The number is a mistake in the data unless it was named. */
static void test_ignored_unnamed(void)
{
    static const char *const yaml[] = {"{use: loss, loss: {use: dice}}",
                                       "{use: loss, ignore: 7, loss: {use: dice}}"};

    for (guint i = 0; i < G_N_ELEMENTS(yaml); i++) {
        g_autoptr(LoomTestStage) stage = loom_test_stage(yaml[i], NULL, NULL);
        g_autoptr(GError) error = NULL;
        LoomPacket *packet =
            packet_of(loom_test_f32("NCDHW", SHAPE(1, 2, 1, 1, 2), F32(0, 0, 1, 0)),
                      loom_test_u8("NDHW", SHAPE(1, 1, 1, 2), U8(0, 255)));

        loom_assert_failed(
            loom_test_push(stage, packet, 0, &error), error, LOOM_ERROR, LOOM_ERROR_SHAPE,
            "'label' has a voxel of class 255, which is none: set 'ignore: 255'");
    }
}

/* ---- backward ----------------------------------------------------------------------- */

static void test_no_tape(void)
{
    const LoomTestSetup setup = {.sections = network};
    g_autoptr(LoomTestStage) stage =
        loom_test_stage("{use: backward, model: net}", &setup, NULL);
    g_autoptr(GError) error = NULL;
    LoomPacket *packet = loom_packet_new();

    loom_packet_set(packet, "dlogits",
                    loom_test_random("NCDHW", SHAPE(1, 2, 4, 4, 4), 1, 0, 1));
    loom_assert_failed(loom_test_push(stage, packet, 0, &error), error, LOOM_ERROR,
                       LOOM_ERROR_SHAPE, "the packet has no tape");
}

/* ---- steps -------------------------------------------------------------------------- */

static double pushed_rate(LoomTestStage *stage, gint64 index)
{
    GPtrArray *out = loom_test_out(stage);

    loom_test_push(stage, loom_packet_new(), index, NULL);
    return loom_tensor_scalar(loom_packet_get(out->pdata[out->len - 1], "rate"));
}

/* As the first forward pass of a training would. */
static void gradients_make(LoomTestStage *stage)
{
    const LoomInstance *instance = loom_test_stage_run(stage)->models->pdata[0];
    const LoomModel *model = (const LoomModel *)instance->plugin;
    const LoomInstance *backend = model->backend(instance->self);
    guint n;
    LoomWeight *weights = model->weights(instance->self, &n);

    for (guint i = 0; i < n; i++)
        weights[i].grad = ((const LoomBackend *)backend->plugin)
                              ->array_new(backend->self, weights[i].count, NULL);
}

/* rate (1 - step / steps)^power, by hand; a resumed run begins at any number. */
static void test_schedule(void)
{
    const LoomTestSetup setup = {.sections = network, .run = "steps: 10"};
    g_autoptr(LoomTestStage) poly =
        loom_test_stage("{use: sgd_step, model: net, rate: 0.01, decay: poly}", &setup, NULL);
    g_autoptr(LoomTestStage) square = loom_test_stage(
        "{use: adam_step, model: net, rate: 0.5, decay: poly, power: 2}", &setup, NULL);
    g_autoptr(LoomTestStage) constant =
        loom_test_stage("{use: sgd_step, model: net, rate: 0.25}", &setup, NULL);

    gradients_make(poly);
    gradients_make(square);
    gradients_make(constant);
    loom_assert_near(pushed_rate(poly, 0), 0.01, 1e-15);
    loom_assert_near(pushed_rate(poly, 5), 0.0053588673126814657, 1e-15); /* 0.01 * 0.5^0.9 */
    loom_assert_near(pushed_rate(poly, 9), 0.0012589254117941673, 1e-15); /* 0.01 * 0.1^0.9 */
    loom_assert_near(pushed_rate(square, 5), 0.125, 1e-15);
    loom_assert_near(pushed_rate(constant, 9), 0.25, 0);
}

static void test_poly_without_end(void)
{
    const LoomTestSetup setup = {.sections = network};
    g_autoptr(GError) error = NULL;

    loom_assert_failed(
        loom_test_stage("{use: adam_step, model: net, decay: poly}", &setup, &error), error,
        LOOM_ERROR, LOOM_ERROR_CONFIG, "decay 'poly' falls to 0 at the last step");
}

/* A gradient that is not finite fails the step, and no weight moves. */
static void check_not_finite(const char *yaml)
{
    const LoomTestSetup setup = {.sections = network, .run = "steps: 10"};
    g_autoptr(LoomTestStage) stage = loom_test_stage(yaml, &setup, NULL);
    const LoomInstance *instance = loom_test_stage_run(stage)->models->pdata[0];
    const LoomModel *model = (const LoomModel *)instance->plugin;
    const LoomInstance *backend = model->backend(instance->self);
    const LoomBackend *device = (const LoomBackend *)backend->plugin;
    g_autoptr(GError) none = NULL, error = NULL;
    LoomPacket *packet = loom_packet_new();
    guint n;
    const LoomWeight *weight = &model->weights(instance->self, &n)[n - 1];
    g_autofree float *gradient = g_new0(float, (gsize)weight->count);
    g_autofree float *before = g_new0(float, (gsize)weight->count);
    g_autofree float *after = g_new0(float, (gsize)weight->count);

    /* no backward pass has run */
    loom_assert_failed(loom_test_push(stage, packet, 0, &none), none, LOOM_ERROR,
                       LOOM_ERROR_CONFIG, "'encoder.0.0.kernel' has no gradient yet");
    gradients_make(stage);
    packet = loom_packet_new();
    gradient[weight->count - 1] = INFINITY;
    device->array_write(backend->self, weight->grad, gradient);
    device->array_read(backend->self, weight->value, before);
    loom_packet_set_id(packet, "case_001+case_002");
    loom_assert_failed(loom_test_push(stage, packet, 0, &error), error, LOOM_ERROR,
                       LOOM_ERROR_NUMERIC, "the gradient of 'case_001+case_002' has norm inf");
    device->array_read(backend->self, weight->value, after);
    g_assert_true(memcmp(before, after, (gsize)weight->count * sizeof *before) == 0);
}

static void test_not_finite(void)
{
    check_not_finite("{use: sgd_step, model: net}");
    check_not_finite("{use: adam_step, model: net}");
}

/* ---- in a graph --------------------------------------------------------------------- */

/* These graphs are opened, never run. */
static LoomFlow source_produce(G_GNUC_UNUSED gpointer self, G_GNUC_UNUSED LoomPacket **packet,
                               G_GNUC_UNUSED LoomContext *ctx, G_GNUC_UNUSED GError **error)
{
    return LOOM_FLOW_STOP;
}

typedef struct {
    gint64 edge;
} Source;

static gboolean source_plan(gpointer self, LoomPlan *plan, G_GNUC_UNUSED GError **error)
{
    const Source *source = self;

    plan->n = plan->c = 1;
    plan->d = plan->h = plan->w = source->edge;
    return TRUE;
}

static const LoomParam source_params[] = {
    LOOM_INT(Source, edge, "4", 1, 100, "voxels", "edge of a patch"),
    {0},
};
static const LoomSlot source_writes[] = {
    {"image", LOOM_F32, "NCDHW", 0, "nothing"},
    {"label", LOOM_U8, "NDHW", 0, "nothing"},
    {0},
};
static const LoomStage source = {
    .base = LOOM_STAGE(Source, "training_source", "Promises patches", .params = source_params),
    .writes = source_writes,
    .produce = source_produce,
    .plan = source_plan,
};
static const LoomModule module = {LOOM_ABI_MAJOR, LOOM_ABI_MINOR, "training", "0",
                                  (const LoomPlugin *const[]){&source.base, NULL}};

static void check_graph(const char *load, const char *loss, const char *last,
                        LoomDataset *dataset, LoomErrorCode code, const char *want)
{
    g_autofree char *text =
        g_strdup_printf("segloom: 1\n%sgraphs:\n  train:\n"
                        "    load: {use: training_source%s}\n"
                        "    forward: {use: forward, from: load, model: net}\n"
                        "    loss: {use: loss, from: forward, loss: {use: dice}%s}\n"
                        "    back: {use: backward, from: loss, model: net}\n"
                        "    step: {use: sgd_step, from: back, model: net}\n"
                        "%srun: {graph: train, steps: 1}\n",
                        network, load, loss, last);
    g_autoptr(LoomNode) config = loom_yaml_parse(text, strlen(text), "test", "/", NULL);
    const LoomRunOptions options = {.dataset = dataset};
    g_autoptr(LoomRun) run = NULL;
    g_autoptr(GError) error = NULL;

    if (want) {
        loom_assert_failed(run = loom_run_open(config, loom_test_registry(), &options, &error),
                           error, LOOM_ERROR, code, want);
        return;
    }
    run = loom_run_open(config, loom_test_registry(), &options, &error);
    g_assert_no_error(error);
}

static LoomDataset *dataset_of(const char *const *labels)
{
    LoomDataset *dataset = g_new0(LoomDataset, 1);

    dataset->name = g_strdup("hand-made");
    dataset->label_names = g_strdupv((char **)(guintptr)labels);
    dataset->n_labels = g_strv_length(dataset->label_names);
    return dataset;
}

static void test_graph(void)
{
    static const char *const three[] = {"background", "Anterior", "Posterior", NULL};
    static const char *const two[] = {"background", "organ", NULL};

    check_graph("", "", "", dataset_of(three), LOOM_ERROR_SHAPE,
                "the network has 2 classes, the data set has 3 labels (background, Anterior, "
                "Posterior)");
    check_graph("", "", "", dataset_of(two), 0, NULL);
    /* the last label may be the one that counts nowhere; so may one that no class has */
    check_graph("", ", ignore: 2", "", dataset_of(three), 0, NULL);
    check_graph("", ", ignore: 255", "", dataset_of(two), 0, NULL);
    check_graph("", ", ignore: 1", "", dataset_of(three), LOOM_ERROR_CONFIG,
                "'ignore' is 1 (Anterior), a class between others");
    check_graph("", ", ignore: 1", "", dataset_of(two), LOOM_ERROR_SHAPE,
                "the network has 2 classes, the data set has 2 labels (background, organ), the "
                "last of them ignored");
    check_graph("", "", "", NULL, 0, NULL);
    check_graph(", edge: 7", "", "", NULL, LOOM_ERROR_SHAPE,
                "patch D 7 is not divisible by 2, nearest: 6, 8");
    check_graph("", "", "    again: {use: adam_step, from: step, model: net}\n", NULL,
                LOOM_ERROR_CONFIG, "another stage steps the model 'net' already");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_assert_true(loom_registry_add(loom_test_registry(), &module, "test-training", NULL));
    g_test_add_func("/training/deep-supervision", test_deep_supervision);
    g_test_add_func("/training/nnunet-weights", test_nnunet_weights);
    g_test_add_func("/training/loss-refusals", test_loss_refusals);
    g_test_add_func("/training/ignored", test_ignored);
    g_test_add_func("/training/ignored-unnamed", test_ignored_unnamed);
    g_test_add_func("/training/no-tape", test_no_tape);
    g_test_add_func("/training/schedule", test_schedule);
    g_test_add_func("/training/poly-without-end", test_poly_without_end);
    g_test_add_func("/training/not-finite", test_not_finite);
    g_test_add_func("/training/graph", test_graph);
    return loom_test_run();
}
