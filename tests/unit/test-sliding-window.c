/* sliding_window against its definition, computed in double over all windows at every voxel. */
#include "loom_test.h"

#include "graph/state.h"
#include "toy_model.h"

#include <math.h>
#include <string.h>

typedef struct {
    gint64 volume[3], size[3];
    double overlap;
    gint64 batch;
} Case;

static const char *const sloped = "slope: [0.3, -1, 2], tilt: [0, 0.25, -0.125]";

static LoomTestStage *stage_for(const Case *it, const char *toy, gboolean keep)
{
    g_autofree char *sections =
        g_strdup_printf("backend: {use: reference}\nmodels: {m: {use: toy, %s}}", toy);
    const LoomTestSetup setup = {.sections = sections, .seed = 1};
    char overlap[G_ASCII_DTOSTR_BUF_SIZE];
    g_autofree char *yaml = g_strdup_printf(
        "{use: sliding_window, model: m, size: [%d, %d, %d], overlap: %s, batch: %d, "
        "keep_probabilities: %s}",
        (int)it->size[0], (int)it->size[1], (int)it->size[2],
        g_ascii_dtostr(overlap, sizeof overlap, it->overlap), (int)it->batch,
        keep ? "true" : "false");

    return loom_test_stage(yaml, &setup, NULL);
}

static const ToyModel *toy_of(LoomTestStage *stage)
{
    LoomInstance *model = g_hash_table_lookup(loom_test_stage_run(stage)->by_model, "m");

    return model->self;
}

/* nnU-Net v2, compute_steps_for_sliding_window, written from its description. */
static guint starts_of(gint64 volume, gint64 size, double overlap, gint64 starts[64])
{
    const double target = (double)size * (1 - overlap);
    const guint n = (guint)ceil((double)(volume - size) / target - 1e-9) + 1;

    g_assert_cmpuint(n, <=, 64);
    for (guint i = 0; i < n; i++)
        starts[i] = n == 1 ? 0 : (gint64)rint((double)(volume - size) / (n - 1) * i);
    return n;
}

/* Mean logits at one voxel of the padded case by the formula; @weight: sum of the weights. */
static void mean_logits(const Case *it, const ToyModel *toy, const gint64 at[3], double x,
                        double *mean)
{
    gint64 starts[3][64];
    guint n[3];
    double total = 0;

    for (guint a = 0; a < 3; a++)
        n[a] = starts_of(MAX(it->volume[a], it->size[a]), it->size[a], it->overlap, starts[a]);
    memset(mean, 0, toy->slope.n * sizeof *mean);
    for (guint i = 0; i < n[0] * n[1] * n[2]; i++) {
        const gint64 start[3] = {starts[0][i / (n[1] * n[2])], starts[1][i / n[2] % n[1]],
                                 starts[2][i % n[2]]};
        double exponent = 0, tilt = 0;
        gboolean inside = TRUE;

        for (guint a = 0; a < 3; a++) {
            const gint64 p = at[a] - start[a];
            const double z = (double)(p - it->size[a] / 2) / ((double)it->size[a] / 8);

            inside = inside && p >= 0 && p < it->size[a];
            exponent -= z * z / 2;
            tilt += (double)(p * (a + 1));
        }
        if (!inside)
            continue;
        total += exp(exponent);
        for (guint k = 0; k < toy->slope.n; k++)
            mean[k] += exp(exponent) * (toy->slope.v[k] * x + toy->tilt.v[k] * tilt);
    }
    g_assert_cmpfloat(total, >, 0); /* every voxel is covered */
    for (guint k = 0; k < toy->slope.n; k++)
        mean[k] /= total;
}

/* Prediction and probabilities of one voxel. */
static void check_voxel(const double *mean, guint classes, guint8 predicted, const float *p,
                        gint64 stride)
{
    double norm = 0, most = -INFINITY;

    for (guint k = 0; k < classes; k++) {
        norm += exp(mean[k] - mean[predicted]);
        most = MAX(most, mean[k]);
    }
    /* Weighted sums of at most 8^3 logits below 20 in f32: below 20 * 512 * 6e-8 = 6e-4. */
    loom_assert_near(mean[predicted], most, 6e-4);
    for (guint k = 0; k < classes; k++)
        loom_assert_near((double)p[k * stride], exp(mean[k] - mean[predicted]) / norm, 6e-4);
}

static void compare(const Case *it)
{
    g_autoptr(LoomTestStage) stage = stage_for(it, sloped, TRUE);
    const ToyModel *toy = toy_of(stage);
    const gint64 shape[4] = {1, it->volume[0], it->volume[1], it->volume[2]};
    LoomPacket *packet = loom_packet_new();
    LoomTensor *image = loom_test_random("CDHW", shape, 4, 3, -2, 2);
    g_autoptr(LoomTensor) kept = loom_tensor_ref(image);
    gint64 windows = 1, unused[64];
    double mean[3];

    loom_packet_set(packet, "image", image);
    g_assert_cmpint(loom_test_push(stage, packet, 0, NULL), ==, LOOM_FLOW_OK);
    const LoomPacket *out = loom_test_out(stage)->pdata[0];
    const LoomTensor *prediction = loom_packet_get(out, "prediction");
    const LoomTensor *probabilities = loom_packet_get(out, "probabilities");

    g_assert_true(loom_tensor_check_grid(prediction, "p", kept, "x", NULL));
    for (gint64 v = 0; v < loom_tensor_count(prediction); v++) {
        const gint64 at[3] = {v / (shape[2] * shape[3]), v / shape[3] % shape[2], v % shape[3]};
        gint64 padded[3];

        for (guint a = 0; a < 3; a++)
            padded[a] = at[a] + MAX(0, it->size[a] - it->volume[a]) / 2;
        mean_logits(it, toy, padded, (double)loom_tensor_f32(kept)[v], mean);
        check_voxel(mean, 3, loom_tensor_u8(prediction)[v], loom_tensor_f32(probabilities) + v,
                    loom_tensor_count(prediction));
    }
    for (guint a = 0; a < 3; a++)
        windows *= starts_of(MAX(it->volume[a], it->size[a]), it->size[a], it->overlap, unused);
    g_assert_cmpint(toy->calls, ==, (windows + it->batch - 1) / it->batch);
    g_assert_cmpint(toy->shape[0], ==, it->batch);
}

static void test_definition(void)
{
    static const Case cases[] = {
        {{8, 8, 8}, {8, 8, 8}, 0.5, 1},     /* one window */
        {{13, 11, 17}, {8, 8, 8}, 0.5, 1},  /* several along each axis */
        {{13, 11, 17}, {8, 8, 8}, 0.5, 4},  /* 2 * 2 * 4 = 16 windows: whole batches */
        {{13, 11, 17}, {8, 8, 8}, 0.5, 5},  /* the last batch is short, and spans two starts */
        {{13, 11, 17}, {8, 8, 8}, 0.5, 64}, /* one batch for all */
        {{5, 3, 2}, {8, 8, 8}, 0.5, 1},     /* smaller than a window */
        {{5, 20, 8}, {8, 6, 8}, 0.25, 2},   /* smaller along one axis only */
        {{1, 9, 9}, {1, 4, 4}, 0.5, 3},     /* a slice */
        {{20, 8, 8}, {10, 8, 8}, 0.9, 1},   /* steps of one voxel */
        {{17, 9, 10}, {8, 8, 10}, 0, 1},    /* no overlap asked for, some is needed */
        {{30, 4, 4}, {7, 4, 4}, 0.5, 2},    /* the sums' room is used again and again */
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++)
        compare(&cases[i]);
}

/* 110 voxels, window 64, overlap 0.5: 0, 23, 46, as nnU-Net's documentation of it says.  With a
 * tilt the windows' positions are in the result; here their number is enough. */
static void test_number(void)
{
    const Case it = {{1, 1, 110}, {1, 1, 64}, 0.5, 1};

    compare(&it);
    g_autoptr(LoomTestStage) stage = stage_for(&it, sloped, FALSE);
    LoomPacket *packet = loom_packet_new();

    loom_packet_set(packet, "image", loom_test_random("CDHW", SHAPE(1, 1, 1, 110), 1, 0, 1));
    g_assert_cmpint(loom_test_push(stage, packet, 0, NULL), ==, LOOM_FLOW_OK);
    g_assert_cmpint(toy_of(stage)->calls, ==, 3);
    g_assert_null(loom_packet_get(loom_test_out(stage)->pdata[0], "probabilities"));
}

static void test_ties(void)
{
    const Case it = {{9, 5, 6}, {4, 4, 4}, 0.5, 1};
    g_autoptr(LoomTestStage) stage =
        stage_for(&it, "slope: [-1, 1, 1], tilt: [0, 0, 0]", FALSE);
    LoomPacket *packet = loom_packet_new();
    LoomTensor *image = loom_test_random("CDHW", SHAPE(1, 9, 5, 6), 1, -1, 1);
    g_autoptr(LoomTensor) kept = loom_tensor_ref(image);

    loom_packet_set(packet, "image", image);
    g_assert_cmpint(loom_test_push(stage, packet, 0, NULL), ==, LOOM_FLOW_OK);
    const LoomTensor *out = loom_packet_get(loom_test_out(stage)->pdata[0], "prediction");
    for (gint64 v = 0; v < 270; v++) /* classes 1 and 2 are equal: 2 never wins */
        g_assert_cmpuint(loom_tensor_u8(out)[v], ==, loom_tensor_f32(kept)[v] > 0 ? 1u : 0u);
}

static void test_not_finite(void)
{
    const Case it = {{9, 5, 6}, {4, 4, 4}, 0.5, 1};
    g_autoptr(LoomTestStage) stage = stage_for(&it, sloped, FALSE);
    LoomPacket *packet = loom_packet_new();
    LoomTensor *image = loom_test_random("CDHW", SHAPE(1, 9, 5, 6), 1, -1, 1);
    g_autoptr(GError) error = NULL;

    loom_tensor_f32_mut(image)[269] = NAN;
    loom_packet_set(packet, "image", image);
    loom_packet_set_id(packet, "liver_3");
    loom_assert_failed(loom_test_push(stage, packet, 0, &error), error, LOOM_ERROR,
                       LOOM_ERROR_NUMERIC,
                       "case 'liver_3': the logits of the model 'm' are not finite");
}

static void test_stop(void)
{
    const Case it = {{9, 5, 6}, {4, 4, 4}, 0.5, 1};
    g_autoptr(LoomTestStage) stage = stage_for(&it, sloped, FALSE);
    LoomPacket *packet = loom_packet_new();

    loom_packet_set(packet, "image", loom_test_random("CDHW", SHAPE(1, 9, 5, 6), 1, 0, 1));
    loom_run_stop(loom_test_stage_run(stage));
    g_assert_cmpint(loom_test_push(stage, packet, 0, NULL), ==, LOOM_FLOW_STOP);
    g_assert_cmpint(toy_of(stage)->calls, ==, 0);
    g_assert_cmpuint(loom_test_out(stage)->len, ==, 0);
}

static void test_plan(void)
{
    const LoomTestSetup setup = {.sections =
                                     "backend: {use: reference}\nmodels: {m: {use: toy}}"};
    const Case it = {{9, 5, 6}, {4, 4, 4}, 0.5, 2};
    g_autoptr(LoomTestStage) stage = stage_for(&it, sloped, FALSE);
    const LoomStage *plugin = (const LoomStage *)loom_registry_find(
        loom_test_registry(), LOOM_KIND_STAGE, "sliding_window");
    LoomPlan plan = {.c = 1, .d = 9, .h = 5, .w = 6};
    g_autoptr(GError) error = NULL;

    g_assert_true(plugin->plan(loom_test_self(stage), &plan, NULL));
    g_assert_cmpint(plan.classes, ==, 3);
    g_assert_cmpint(plan.d, ==, 9);
    g_assert_cmpuint(plan.bytes, ==, 1000 + 3 * 4 * 5 * 6 * sizeof(float)); /* toy and sums */

    loom_assert_failed(
        loom_test_stage("{use: sliding_window, model: m, size: [4, 4, 5]}", &setup, &error),
        error, LOOM_ERROR, LOOM_ERROR_SHAPE, "W is odd");
    g_clear_error(&error);
    loom_assert_failed(
        loom_test_stage("{use: sliding_window, model: m, size: [4]}", &setup, &error), error,
        LOOM_ERROR, LOOM_ERROR_CONFIG, "size has 1 numbers, want 3");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_setenv("LOOM_MODULE_PATH", TOY_MODULES, TRUE);
    g_test_add_func("/stages/sliding_window/definition", test_definition);
    g_test_add_func("/stages/sliding_window/number", test_number);
    g_test_add_func("/stages/sliding_window/ties", test_ties);
    g_test_add_func("/stages/sliding_window/not-finite", test_not_finite);
    g_test_add_func("/stages/sliding_window/stop", test_stop);
    g_test_add_func("/stages/sliding_window/plan", test_plan);
    return loom_test_run();
}
