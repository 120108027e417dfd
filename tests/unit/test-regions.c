/* Losses, metrics and the log on regions, and voxels that count nowhere. */
#include "loom_test.h"

#include "graph/state.h"

#include <json-glib/json-glib.h>
#include <math.h>
#include <string.h>

#define N_REGIONS 3

/* Classes background, 1, 2, 3; regions whole {1,2,3}, core {1,3}, enhancing {3}. */
static LoomDataset *dataset_new(void)
{
    static const struct {
        const char *name;
        guint8 holds[3], written;
    } all[N_REGIONS] = {{"whole", {1, 2, 3}, 2}, {"core", {1, 3, 3}, 1}, {"rim", {3, 3, 3}, 3}};
    LoomDataset *dataset = g_new0(LoomDataset, 1);

    dataset->name = g_strdup("test");
    dataset->label_names = g_strsplit("background|necrosis|oedema|enhancing", "|", -1);
    dataset->n_labels = 4;
    dataset->ignores = TRUE;
    dataset->regions = g_new0(LoomLabelRegion, N_REGIONS);
    dataset->n_regions = N_REGIONS;
    for (guint r = 0; r < N_REGIONS; r++) {
        dataset->regions[r].name = g_strdup(all[r].name);
        dataset->regions[r].written = all[r].written;
        for (guint i = 0; i < 3; i++)
            dataset->regions[r].holds[all[r].holds[i]] = 1;
    }
    return dataset;
}

static LoomTestStage *stage_new(const char *yaml, LoomDataset *dataset, GError **error)
{
    const LoomTestSetup setup = {.dataset = dataset};

    return loom_test_stage(yaml, &setup, error);
}

static LoomPacket *packet_of(LoomTensor *logits, LoomTensor *label)
{
    LoomPacket *packet = loom_packet_new();

    loom_packet_set_id(packet, "case_007");
    loom_packet_set(packet, "logits", logits);
    loom_packet_set(packet, "label", label);
    return packet;
}

/* Labels of which some are ignored. */
static LoomTensor *labels_new(void)
{
    LoomTensor *label = loom_test_random_labels("NDHW", SHAPE(1, 4, 4, 4), 9, 5);
    guint8 *t = loom_tensor_u8_mut(label);

    for (gint64 v = 0; v < loom_tensor_count(label); v++)
        t[v] = t[v] == 4 ? LOOM_IGNORED : t[v];
    return label;
}

static double value_of(LoomTestStage *stage, const LoomTensor *logits, const LoomTensor *coarse,
                       const LoomTensor *label, gint64 index)
{
    GPtrArray *out = loom_test_out(stage);
    LoomPacket *packet =
        packet_of(loom_tensor_copy(logits, NULL), loom_tensor_copy(label, NULL));

    if (coarse)
        loom_packet_set(packet, "logits_1", loom_tensor_copy(coarse, NULL));
    g_assert_cmpint(loom_test_push(stage, packet, index, NULL), ==, LOOM_FLOW_OK);
    return loom_tensor_scalar(loom_packet_get(out->pdata[out->len - 1], "loss"));
}

/* ---- loss --------------------------------------------------------------------------- */

/* One region that is class 1 of two: the loss of the plugin itself on the logits (0, z). */
static void test_one_region(gconstpointer data)
{
    const char *loss = data;
    g_autofree char *yaml = g_strdup_printf("{use: loss, regions: true, loss: %s}", loss);
    g_autofree char *plain_yaml = g_strdup_printf("{use: loss, loss: %s}", loss);
    LoomDataset *dataset = dataset_new();
    dataset->n_regions = 1;
    g_free(dataset->regions[1].name);
    g_free(dataset->regions[2].name);
    memset(dataset->regions[0].holds, 0, 256);
    dataset->regions[0].holds[1] = 1;
    g_autoptr(LoomTestStage) stage = stage_new(yaml, dataset, NULL);
    g_autoptr(LoomTestStage) plain = loom_test_stage(plain_yaml, NULL, NULL);
    g_autoptr(LoomTensor) z = loom_test_random("NCDHW", SHAPE(2, 1, 4, 4, 4), 1, -2, 2);
    g_autoptr(LoomTensor) pair =
        loom_tensor_new(LOOM_F32, "NCDHW", (const gint64[]){2, 2, 4, 4, 4}, NULL);
    g_autoptr(LoomTensor) label = loom_test_random_labels("NDHW", SHAPE(2, 4, 4, 4), 2, 2);

    for (gint64 n = 0; n < 2; n++)
        memcpy(loom_tensor_f32_mut(pair) + (2 * n + 1) * 64, loom_tensor_f32(z) + n * 64,
               64 * sizeof(float));
    const double found = value_of(stage, z, NULL, label, 0);
    loom_assert_near(found, value_of(plain, pair, NULL, label, 0), 0);
    const float *g =
        loom_tensor_f32(loom_packet_get(loom_test_out(stage)->pdata[0], "dlogits"));
    const float *want =
        loom_tensor_f32(loom_packet_get(loom_test_out(plain)->pdata[0], "dlogits"));
    for (gint64 v = 0; v < 128; v++)
        g_assert_cmpfloat((double)g[v], ==, (double)want[v + 64 + v / 64 * 64]);
}

/* Binary cross entropy of two regions by hand: z = 0 is p = 1/2; log(1 + e) of z = 1 outside,
 * log(1 + 1/e) inside.  Voxels: label 1 (in whole and core), 2 (whole only); one is ignored. */
static void test_by_hand(void)
{
    LoomDataset *dataset = dataset_new();
    dataset->n_regions = 2;
    g_free(dataset->regions[2].name);
    g_autoptr(LoomTestStage) stage =
        stage_new("{use: loss, regions: true, loss: {use: cross_entropy}}", dataset, NULL);
    g_autoptr(LoomTensor) z =
        loom_test_f32("NCDHW", SHAPE(1, 2, 1, 1, 3), F32(0, 1, 7, 1, 1, 7));
    g_autoptr(LoomTensor) label = loom_test_u8("NDHW", SHAPE(1, 1, 1, 3), U8(1, 2, 255));
    const double inside = log1p(exp(-1)), outside = log1p(exp(1));

    loom_assert_near(value_of(stage, z, NULL, label, 0),
                     0.5 * ((log(2) + inside) / 2 + (inside + outside) / 2), 1e-7); /* f32 */
    const float *g =
        loom_tensor_f32(loom_packet_get(loom_test_out(stage)->pdata[0], "dlogits"));
    /* (sigmoid(z) - y) / (2 voxels 2 regions) */
    loom_assert_near((double)g[0], -0.5 / 4, 1e-7);
    loom_assert_near((double)g[4], 1 / (1 + exp(-1)) / 4, 1e-7);
    g_assert_cmpfloat((double)g[2], ==, 0);
    g_assert_cmpfloat((double)g[5], ==, 0);
}

/* Central differences at two resolutions, with ignored voxels.  Values are sums in double of
 * probabilities in f32: an error of about 1e-7 of the value, over 2 h = 2e-2: 1e-5; the
 * truncation is of order h^2 times third derivatives, which are below 1 of logits of order 1,
 * divided by the number of voxels. */
static void test_gradient(gconstpointer data)
{
    const double h = 1e-2;
    g_autofree char *yaml =
        g_strdup_printf("{use: loss, regions: true, loss: %s}", (const char *)data);
    g_autoptr(LoomTestStage) stage = stage_new(yaml, dataset_new(), NULL);
    g_autoptr(LoomTensor) z = loom_test_random("NCDHW", SHAPE(1, N_REGIONS, 4, 4, 4), 3, -1, 1);
    g_autoptr(LoomTensor) coarse =
        loom_test_random("NCDHW", SHAPE(1, N_REGIONS, 2, 2, 2), 4, -1, 1);
    g_autoptr(LoomTensor) label = labels_new();
    LoomTensor *const both[] = {z, coarse};
    static const char *const slots[] = {"dlogits", "dlogits_1"};
    gint64 index = 1;

    value_of(stage, z, coarse, label, 0);
    for (guint k = 0; k < 2; k++) {
        g_autoptr(LoomTensor) gradient =
            loom_tensor_copy(loom_packet_get(loom_test_out(stage)->pdata[0], slots[k]), NULL);
        float *x = loom_tensor_f32_mut(both[k]);

        for (gint64 i = 0; i < loom_tensor_count(both[k]); i += 5) {
            const float kept = x[i];

            x[i] = (float)((double)kept + h);
            const double above = value_of(stage, z, coarse, label, index++);
            x[i] = (float)((double)kept - h);
            const double below = value_of(stage, z, coarse, label, index++);
            x[i] = kept;
            loom_assert_near((double)loom_tensor_f32(gradient)[i], (above - below) / (2 * h),
                             2e-5);
        }
    }
}

static void test_loss_refused(void)
{
    g_autoptr(GError) none = NULL, channels = NULL;
    LoomDataset *plain = dataset_new();

    for (guint r = 0; r < N_REGIONS; r++)
        g_free(plain->regions[r].name);
    plain->n_regions = 0;
    loom_assert_failed(stage_new("{use: loss, regions: true, loss: {use: dice}}", plain, &none),
                       none, LOOM_ERROR, LOOM_ERROR_CONFIG,
                       "regions: the data set has none, want data: {regions: {NAME:");
    g_autoptr(LoomTestStage) stage =
        stage_new("{use: loss, regions: true, loss: {use: dice}}", dataset_new(), NULL);
    LoomPacket *packet = packet_of(loom_test_random("NCDHW", SHAPE(1, 4, 2, 2, 2), 1, 0, 1),
                                   loom_test_random_labels("NDHW", SHAPE(1, 2, 2, 2), 1, 4));
    loom_assert_failed(loom_test_push(stage, packet, 0, &channels), channels, LOOM_ERROR,
                       LOOM_ERROR_SHAPE, "'logits' has 4 channels, the data set has 3 regions");
}

/* ---- metrics ------------------------------------------------------------------------ */

static LoomTensor *row_of(const char *digits)
{
    const gint64 n = (gint64)strlen(digits), shape[] = {1, 1, n};
    LoomTensor *tensor = loom_tensor_new(LOOM_U8, "DHW", shape, NULL);

    for (gint64 v = 0; v < n; v++)
        loom_tensor_u8_mut(tensor)[v] =
            digits[v] == '-' ? LOOM_IGNORED : (guint8)(digits[v] - '0');
    return tensor;
}

static JsonObject *measured(const char *yaml, const char *prediction, const char *truth)
{
    g_autofree char *folder = loom_test_folder();
    const LoomTestSetup setup = {.folder = folder, .dataset = dataset_new()};
    LoomTestStage *stage = loom_test_stage(yaml, &setup, NULL);
    const gint64 n = (gint64)strlen(truth);
    LoomPacket *packet = loom_packet_new();
    LoomGeometry geometry;

    loom_geometry_plain(&geometry, (const gint64[]){n, 1, 1}, (const double[]){1, 1, 1});
    loom_packet_set_id(packet, "one");
    loom_packet_set_geometry(packet, &geometry);
    loom_packet_set(packet, "prediction", row_of(prediction));
    loom_packet_set(packet, "label", row_of(truth));
    loom_test_start(stage, NULL);
    loom_test_push(stage, packet, 0, NULL);
    loom_test_flush(stage, NULL);
    g_autofree char *text = loom_journal_latest(loom_test_stage_run(stage)->journal, "metrics");
    g_assert_nonnull(text);
    g_autoptr(JsonNode) node = json_from_string(text, NULL);
    loom_test_stage_free(stage);
    loom_test_folder_remove(folder);
    return json_node_dup_object(node);
}

static void near(JsonObject *record, const char *name, double expected)
{
    g_assert_true(json_object_has_member(record, name));
    loom_assert_near(json_object_get_double_member(record, name), expected, 1e-12);
}

/* Counted on paper.  The last voxel is ignored: it is wrong, and costs nothing. */
static void test_metrics(void)
{
    JsonObject *record = measured("{use: metrics}", "0123013", "013201-");

    near(record, "dice/whole", 2.0 * 4 / (4 + 4)); /* voxels 1, 2, 3, 5 in both */
    near(record, "dice/core", 2.0 * 2 / (3 + 3));  /* P 1 3 5, T 1 2 5 */
    near(record, "dice/rim", 0);                   /* P 3, T 2 */
    near(record, "dice", (1 + 2.0 / 3 + 0) / 3);
    near(record, "specificity/rim", 4.0 / 5); /* of the 5 counted voxels outside */
    g_assert_false(json_object_has_member(record, "dice/oedema"));
    json_object_unref(record);

    record = measured("{use: metrics, regions: false}", "0123013", "013201-");
    near(record, "dice/necrosis", 1);
    near(record, "dice/oedema", 0);
    g_assert_false(json_object_has_member(record, "dice/whole"));
    json_object_unref(record);
}

/* Metrics that know nothing of ignored voxels see background there, in both. */
static void test_surface_ignored(void)
{
    static const char yaml[] = "{use: metrics, regions: false, metrics: [{use: surface}]}";
    JsonObject *far = measured(yaml, "0100000003", "010000000-");
    JsonObject *same = measured(yaml, "0100000000", "0100000000");
    g_autoptr(GError) error = NULL;

    near(far, "hd95/necrosis", json_object_get_double_member(same, "hd95/necrosis"));
    json_object_unref(far);
    json_object_unref(same);
    loom_assert_failed(
        stage_new("{use: metrics, metrics: [{use: calibration}]}", dataset_new(), &error),
        error, LOOM_ERROR, LOOM_ERROR_CONFIG,
        "not of the data set's regions: want regions: false");
}

int main(int argc, char **argv)
{
    static const char *const losses[] = {"{use: cross_entropy}", "{use: dice}",
                                         "{use: unified_focal, form: asymmetric}",
                                         "{use: sum, of: [{use: tversky}, {use: focal}]}"};

    g_test_init(&argc, &argv, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(losses); i++) {
        g_autofree char *one = g_strdup_printf("/regions/loss/one/%u", i);
        g_autofree char *gradient = g_strdup_printf("/regions/loss/gradient/%u", i);

        g_test_add_data_func(one, losses[i], test_one_region);
        g_test_add_data_func(gradient, losses[i], test_gradient);
    }
    g_test_add_func("/regions/loss/by-hand", test_by_hand);
    g_test_add_func("/regions/loss/refused", test_loss_refused);
    g_test_add_func("/regions/metrics", test_metrics);
    g_test_add_func("/regions/surface-ignored", test_surface_ignored);
    return loom_test_run();
}
