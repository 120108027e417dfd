/* sliding_window: what goes through the network (mirrored, with several models' weights, or not
 * at all), and what is made of it where channels are regions. */
#include "loom_test.h"

#include "graph/state.h"
#include "toy_model.h"

#include <loom/store.h>

#include <math.h>
#include <string.h>

#define TOLERANCE 1e-5 /* probabilities in f32 of logits below 16: 16 * 6e-8 * a few terms */

static LoomTestStage *stage_with(const char *model, const char *keys, GError **error)
{
    g_autofree char *sections =
        g_strdup_printf("backend: {use: reference}\nmodels: {m: %s}", model);
    const LoomTestSetup setup = {.sections = sections, .seed = 1};
    g_autofree char *yaml =
        g_strdup_printf("{use: sliding_window, model: m, keep_probabilities: true, %s}", keys);

    return loom_test_stage(yaml, &setup, error);
}

static const LoomPacket *push(LoomTestStage *stage, LoomTensor *image)
{
    LoomPacket *packet = loom_packet_new();

    loom_packet_set(packet, "image", loom_tensor_ref(image));
    g_assert_cmpint(loom_test_push(stage, packet, 0, NULL), ==, LOOM_FLOW_OK);
    return loom_test_out(stage)->pdata[loom_test_out(stage)->len - 1];
}

static LoomInstance *model_of(LoomTestStage *stage)
{
    return g_hash_table_lookup(loom_test_stage_run(stage)->by_model, "m");
}

/* ---- mirrored ----------------------------------------------------------------------- */

/* In a window of its own size the toy's logits are slope * x + tilt * (d + 2 h + 3 w); turned
 * back, position d of a window mirrored along D is D - 1 - d: the mean has (D - 1) / 2. */
static void mirror_check(const char *axes, guint calls)
{
    static const double slope[3] = {0.3, -1, 2}, tilt[3] = {0, 0.25, -0.125};
    const gint64 size[3] = {4, 5, 6};
    g_autofree char *keys = g_strdup_printf("size: [4, 5, 6], mirror: %s", axes);
    g_autoptr(LoomTestStage) stage =
        stage_with("{use: toy, slope: [0.3, -1, 2], tilt: [0, 0.25, -0.125]}", keys, NULL);
    g_autoptr(LoomTensor) image = loom_test_random("CDHW", SHAPE(1, 4, 5, 6), 4, -3, 3);
    const LoomPacket *out = push(stage, image);
    const float *p = loom_tensor_f32(loom_packet_get(out, "probabilities"));

    for (gint64 v = 0; v < 120; v++) {
        const gint64 at[3] = {v / 30, v / 6 % 5, v % 6};
        double position = 0, norm = 0, logits[3];

        for (guint a = 0; a < 3; a++)
            position +=
                (a + 1) * (strchr(axes, "DHW"[a]) ? (double)(size[a] - 1) / 2 : (double)at[a]);
        for (guint k = 0; k < 3; k++) {
            logits[k] = slope[k] * (double)loom_tensor_f32(image)[v] + tilt[k] * position;
            norm += exp(logits[k]);
        }
        for (guint k = 0; k < 3; k++)
            loom_assert_near((double)p[k * 120 + v], exp(logits[k]) / norm, TOLERANCE);
    }
    g_assert_cmpint(((ToyModel *)model_of(stage)->self)->calls, ==, calls);
}

static void test_mirror(void)
{
    g_autoptr(GError) error = NULL;

    mirror_check("D", 2);
    mirror_check("W", 2);
    mirror_check("WH", 4);
    mirror_check("DHW", 8);
    loom_assert_failed(stage_with("{use: toy}", "size: [4, 4, 4], mirror: DD", &error), error,
                       LOOM_ERROR, LOOM_ERROR_CONFIG,
                       "mirror is 'DD', want letters of D, H, W, each at most once");
}

/* Padding lies on one side of a window: mirrored, it must come back to its own. */
static void test_mirror_padded(void)
{
    g_autoptr(LoomTestStage) stage =
        stage_with("{use: toy, slope: [0.3, -1, 2], tilt: [0, 0, 0]}",
                   "size: [4, 4, 4], mirror: DHW, batch: 3", NULL);
    g_autoptr(LoomTestStage) plain =
        stage_with("{use: toy, slope: [0.3, -1, 2], tilt: [0, 0, 0]}", "size: [4, 4, 4]", NULL);
    g_autoptr(LoomTensor) image = loom_test_random("CDHW", SHAPE(1, 3, 9, 1), 4, -3, 3);
    const LoomTensor *a = loom_packet_get(push(stage, image), "probabilities");
    const LoomTensor *b = loom_packet_get(push(plain, image), "probabilities");

    for (gint64 v = 0; v < loom_tensor_count(a); v++)
        loom_assert_near((double)loom_tensor_f32(a)[v], (double)loom_tensor_f32(b)[v],
                         TOLERANCE);
}

/* ---- several models ----------------------------------------------------------------- */

#define UNET "{use: unet3d, classes: 3, features: [4, 8]"

/* The weights that seed @seed starts with. */
static void weights_write(const char *path, guint64 seed)
{
    const LoomTestSetup setup = {
        .sections = "backend: {use: reference}\nmodels: {m: " UNET "}}", .seed = seed};
    g_autoptr(LoomTestStage) stage =
        loom_test_stage("{use: sliding_window, model: m, size: [4, 4, 4]}", &setup, NULL);
    const LoomInstance *model = model_of(stage);
    const LoomInstance *device = ((const LoomModel *)model->plugin)->backend(model->self);
    g_autoptr(LoomStore) store = loom_store_new();
    g_autoptr(GError) error = NULL;
    guint n;
    const LoomWeight *weights = ((const LoomModel *)model->plugin)->weights(model->self, &n);

    for (guint i = 0; i < n; i++) {
        float *x = g_new(float, (gsize)weights[i].count);

        ((const LoomBackend *)device->plugin)->array_read(device->self, weights[i].value, x);
        loom_store_add(store, weights[i].name, weights[i].rank, weights[i].shape, x);
    }
    loom_store_write(store, path, NULL, &error);
    g_assert_no_error(error);
}

/* (log p_k - log p_0) is the difference of logits: their mean gives the ensemble's. */
static void test_ensemble(void)
{
    static const char *const files[3] = {"a", "b", "c"};
    static const char *const lists[4] = {"[%s/a]", "%s/b", "[%s/c]", NULL};
    g_autofree char *folder = loom_test_folder();
    g_autofree char *all =
        g_strdup_printf("%s, weights: [%s/a, %s/b, %s/c]}", UNET, folder, folder, folder);
    g_autoptr(LoomTensor) image = loom_test_random("CDHW", SHAPE(1, 8, 8, 8), 4, -3, 3);
    g_autofree double *mean = g_new0(double, 3 * 512);
    double differ = 0;

    for (guint i = 0; i < 3; i++) {
        g_autofree char *path = g_build_filename(folder, files[i], NULL);
        weights_write(path, i + 1);
    }
    for (guint i = 0; lists[i]; i++) {
        g_auto(GStrv) halves = g_strsplit(lists[i], "%s", 2);
        g_autofree char *model =
            g_strdup_printf("%s, weights: %s%s%s}", UNET, halves[0], folder, halves[1]);
        g_autoptr(LoomTestStage) stage = stage_with(model, "size: [8, 8, 8]", NULL);
        const float *p = loom_tensor_f32(loom_packet_get(push(stage, image), "probabilities"));

        for (gint64 v = 0; v < 3 * 512; v++) {
            mean[v] += (log((double)p[v]) - log((double)p[v % 512])) / 3;
            differ += i ? fabs(mean[v] - (log((double)p[v]) - log((double)p[v % 512]))) : 0;
        }
    }
    g_assert_cmpfloat(differ, >, 1); /* the models are not one */
    g_autoptr(LoomTestStage) stage = stage_with(all, "size: [8, 8, 8]", NULL);
    const float *p = loom_tensor_f32(loom_packet_get(push(stage, image), "probabilities"));
    for (gint64 v = 0; v < 3 * 512; v++) {
        const double difference = log((double)p[v]) - log((double)p[v % 512]);

        loom_assert_near(difference, mean[v], 1e-4); /* logs of f32 above 1e-3: 6e-8 / 1e-3 */
    }
    loom_test_folder_remove(folder);
}

static void test_ensemble_refused(void)
{
    g_autofree char *folder = loom_test_folder();
    g_autofree char *path = g_build_filename(folder, "a", NULL);
    g_autofree char *other =
        g_strdup_printf("{use: unet3d, classes: 4, features: [4, 8], weights: [%s]}", path);
    g_autofree char *nested = g_strdup_printf("%s, weights: [{a: b}]}", UNET);
    g_autoptr(GError) error = NULL;

    weights_write(path, 1);
    loom_assert_failed(stage_with(other, "size: [8, 8, 8]", &error), error, LOOM_ERROR,
                       LOOM_ERROR_SHAPE, "does not fit model 'm': weight");
    g_clear_error(&error);
    loom_assert_failed(stage_with(UNET ", weights: []}", "size: [8, 8, 8]", &error), error,
                       LOOM_ERROR, LOOM_ERROR_CONFIG, "weights: the list is empty");
    g_clear_error(&error);
    loom_assert_failed(stage_with(nested, "size: [8, 8, 8]", &error), error, LOOM_ERROR,
                       LOOM_ERROR_CONFIG, "weights: want a path, or a list of them");
    loom_test_folder_remove(folder);
}

/* ---- regions ------------------------------------------------------------------------ */

/* Two regions with the same logits, x: label 1 is painted over label 3. */
static void test_regions(void)
{
    g_autoptr(LoomTestStage) stage = stage_with("{use: toy, slope: [1, 1], tilt: [0, 0]}",
                                                "size: [4, 4, 4], regions: [3, 1]", NULL);
    g_autoptr(LoomTensor) image = loom_test_random("CDHW", SHAPE(1, 7, 4, 5), 4, -3, 3);
    const LoomPacket *out = push(stage, image);
    const float *p = loom_tensor_f32(loom_packet_get(out, "probabilities"));

    for (gint64 v = 0; v < 140; v++) {
        const float x = loom_tensor_f32(image)[v];

        g_assert_cmpuint(loom_tensor_u8(loom_packet_get(out, "prediction"))[v], ==,
                         x > 0 ? 1u : 0u); /* both channels have x: the later one wins */
        for (guint k = 0; k < 2; k++)
            loom_assert_near((double)p[k * 140 + v], 1 / (1 + exp(-(double)x)), TOLERANCE);
    }
}

static void test_regions_order(void)
{
    g_autoptr(LoomTestStage) stage =
        stage_with("{use: toy, slope: [1, -1, 0], tilt: [0, 0, 0]}",
                   "size: [4, 4, 4], regions: [3, 1, 7]", NULL);
    const LoomStage *plugin = (const LoomStage *)loom_registry_find(
        loom_test_registry(), LOOM_KIND_STAGE, "sliding_window");
    LoomPlan plan = {.c = 1};
    g_autoptr(LoomTensor) image = loom_test_random("CDHW", SHAPE(1, 7, 4, 5), 4, -3, 3);
    const LoomPacket *out = push(stage, image);
    g_autoptr(GError) error = NULL;

    for (gint64 v = 0; v < 140; v++) /* 7 never: a mean logit of 0 is not inside */
        g_assert_cmpuint(loom_tensor_u8(loom_packet_get(out, "prediction"))[v], ==,
                         loom_tensor_f32(image)[v] > 0 ? 3u : 1u);
    g_assert_true(plugin->plan(loom_test_self(stage), &plan, NULL));
    g_assert_cmpint(plan.classes, ==, 8); /* labels 0 to 7 */
    g_assert_false(plan.probabilities);   /* they are none of classes */
    loom_assert_failed(stage_with("{use: toy}", "size: [4, 4, 4], regions: [1, 2, 3]", &error),
                       error, LOOM_ERROR, LOOM_ERROR_CONFIG,
                       "regions has 3 labels, the model 'm' 2 channels");
}

/* ---- windows left out --------------------------------------------------------------- */

/* A body in one corner; class 1 wins everywhere where it is computed. */
static void test_skip_empty(void)
{
    g_autoptr(LoomTensor) image =
        loom_tensor_new(LOOM_F32, "CDHW", (gint64[]){1, 4, 4, 20}, NULL);
    float *x = loom_tensor_f32_mut(image);

    for (gint64 v = 0; v < 320; v++)
        x[v] = v % 20 < 5 ? 2 + (float)(v % 3) : -1.5f; /* the background is not 0 */
    g_autoptr(LoomTestStage) stage =
        stage_with("{use: toy, slope: [0, -1], tilt: [0, 0.5]}",
                   "size: [4, 4, 4], skip_empty: true, batch: 2", NULL);
    g_autoptr(LoomTestStage) all = stage_with("{use: toy, slope: [0, -1], tilt: [0, 0.5]}",
                                              "size: [4, 4, 4], batch: 2", NULL);
    const LoomPacket *out = push(stage, image), *whole = push(all, image);
    const guint8 *label = loom_tensor_u8(loom_packet_get(out, "prediction"));
    const guint8 *without = loom_tensor_u8(loom_packet_get(whole, "prediction"));
    const float *p = loom_tensor_f32(loom_packet_get(out, "probabilities"));
    guint differ = 0;

    /* starts 0, 2, 4 hold body (voxels 0 to 4); 6, 8, ... 16 do not */
    g_assert_cmpint(((ToyModel *)model_of(stage)->self)->calls, ==, 2);
    g_assert_cmpint(((ToyModel *)model_of(all)->self)->calls, ==, 5);
    for (gint64 v = 0; v < 320; v++) {
        if (v % 20 < 6) /* seen by the same windows as without */
            g_assert_cmpuint(label[v], ==, without[v]);
        if (v % 20 >= 8) { /* by empty ones alone: logits 10 and -10 */
            g_assert_cmpuint(label[v], ==, 0);
            loom_assert_near((double)p[v], 1 / (1 + exp(-20)), TOLERANCE);
            differ += without[v] != 0;
        }
    }
    g_assert_cmpuint(differ, >, 0);
}

static void test_skip_empty_nan(void)
{
    g_autoptr(LoomTestStage) stage =
        stage_with("{use: toy}", "size: [4, 4, 4], skip_empty: true", NULL);
    g_autoptr(GError) error = NULL;
    LoomPacket *packet = loom_packet_new();
    LoomTensor *image = loom_test_random("CDHW", SHAPE(1, 4, 4, 4), 1, -1, 1);

    for (gint64 v = 0; v < 64; v++)
        loom_tensor_f32_mut(image)[v] = NAN;
    loom_packet_set(packet, "image", image);
    loom_assert_failed(loom_test_push(stage, packet, 0, &error), error, LOOM_ERROR,
                       LOOM_ERROR_NUMERIC, "the logits of the model 'm' are not finite");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_setenv("LOOM_MODULE_PATH", TOY_MODULES, TRUE);
    g_test_add_func("/stages/sliding_window/mirror", test_mirror);
    g_test_add_func("/stages/sliding_window/mirror/padded", test_mirror_padded);
    g_test_add_func("/stages/sliding_window/ensemble", test_ensemble);
    g_test_add_func("/stages/sliding_window/ensemble/refused", test_ensemble_refused);
    g_test_add_func("/stages/sliding_window/regions", test_regions);
    g_test_add_func("/stages/sliding_window/regions/order", test_regions_order);
    g_test_add_func("/stages/sliding_window/skip_empty", test_skip_empty);
    g_test_add_func("/stages/sliding_window/skip_empty/nan", test_skip_empty_nan);
    return loom_test_run();
}
