/* window, zscore and normalise against cases worked out by hand. */
#include "loom_test.h"

#include <math.h>
#include <string.h>

/* Sends one image (transfer full) through a stage; the packet that came out belongs to @stage.
 */
static const float *through(LoomTestStage *stage, LoomTensor *image)
{
    LoomPacket *packet = loom_packet_new();
    GPtrArray *out = loom_test_out(stage);

    loom_packet_set(packet, "image", image);
    g_assert_cmpint(loom_test_push(stage, packet, out->len, NULL), ==, LOOM_FLOW_OK);
    return loom_tensor_f32(loom_packet_get(out->pdata[out->len - 1], "image"));
}

static void assert_all(const float *x, const double *expected, guint n, double tolerance)
{
    for (guint i = 0; i < n; i++)
        loom_assert_near((double)x[i], expected[i], tolerance);
}

static void test_window(void)
{
    g_autoptr(LoomTestStage) stage =
        loom_test_stage("{use: window, low: -100, high: 300}", NULL, NULL);
    const double expected[] = {0, 0, 0.25, 1, 1, 0};
    const float *y = through(
        stage, loom_test_f32("CDHW", SHAPE(1, 1, 2, 3), F32(-500, -100, 0, 300, 1e9f, NAN)));

    assert_all(y, expected, 6,
               1e-7); /* one rounding of f32 each for the gain and the product */
}

static void test_window_limits(void)
{
    g_autoptr(GError) error = NULL;

    loom_assert_failed(loom_test_stage("{use: window, low: 5, high: -3}", NULL, &error), error,
                       LOOM_ERROR, LOOM_ERROR_CONFIG, "low (5) must be below high (-3)");
}

/* 1 2 3 4: mean 2.5, deviation sqrt(1.25); the second channel is ten times that plus 7. */
static void test_zscore(void)
{
    g_autoptr(LoomTestStage) stage = loom_test_stage("{use: zscore}", NULL, NULL);
    const double expected[] = {-1.3416407865, -0.4472135955, 0.4472135955, 1.3416407865};
    const float *y = through(
        stage, loom_test_f32("CDHW", SHAPE(2, 1, 2, 2), F32(1, 2, 3, 4, 17, 27, 37, 47)));

    assert_all(y, expected, 4, 1e-7);
    assert_all(y + 4, expected, 4, 1e-7);
}

/* Values near 2^24 with a deviation of 1: sums in f32, or sums of squares, would lose it. */
static void test_zscore_far_from_zero(void)
{
    g_autoptr(LoomTestStage) stage = loom_test_stage("{use: zscore}", NULL, NULL);
    const double expected[] = {-1, 1, -1, 1};
    const float *y = through(stage, loom_test_f32("CDHW", SHAPE(1, 1, 1, 4),
                                                  F32(16777212, 16777214, 16777212, 16777214)));

    assert_all(y, expected, 4, 1e-7);
}

static void test_zscore_constant(void)
{
    g_autoptr(LoomTestStage) stage = loom_test_stage("{use: zscore}", NULL, NULL);
    const double zeros[3] = {0};

    /* 0.1 is no binary fraction: its sum is rounded */
    assert_all(through(stage, loom_test_f32("CDHW", SHAPE(1, 1, 1, 3), F32(0.1f, 0.1f, 0.1f))),
               zeros, 3, 0);
}

/* Without the zeros 1 3: mean 2, deviation 1. */
static void test_zscore_masked(void)
{
    g_autoptr(LoomTestStage) stage =
        loom_test_stage("{use: zscore, mask: nonzero}", NULL, NULL);
    const double expected[] = {0, -1, 1, 0, 0, 0, 0, 0};

    assert_all(
        through(stage, loom_test_f32("CDHW", SHAPE(2, 1, 1, 4), F32(0, 1, 3, 0, 0, 0, 0, 0))),
        expected, 8, 1e-7);
}

static void test_zscore_not_finite(void)
{
    static const float bad[] = {NAN, INFINITY};

    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(LoomTestStage) stage = loom_test_stage("{use: zscore}", NULL, NULL);
        LoomPacket *packet = loom_packet_new();
        g_autoptr(GError) error = NULL;

        loom_packet_set(packet, "image",
                        loom_test_f32("CDHW", SHAPE(1, 1, 1, 3), F32(1, bad[i], 2)));
        loom_packet_set_id(packet, "case_07");
        loom_assert_failed(loom_test_push(stage, packet, 0, &error), error, LOOM_ERROR,
                           LOOM_ERROR_NUMERIC,
                           "case 'case_07': 'image' has voxels that are not");
    }
}

/* ---- normalise ---------------------------------------------------------------------- */

/* Three schemes beside each other: -79..304 clipped, mean 101, deviation 76.9 (the numbers of
 * KiTS); 1 2 3 6 has mean 3 and deviation sqrt(3.5); 10..30 to 0..1; the last is left alone. */
static void test_normalise(void)
{
    g_autoptr(LoomTestStage) stage =
        loom_test_stage("{use: normalise, schemes: [ct, zscore, rescale, none],"
                        " clip: [[-79, 304], [0, 0], [0, 0], [0, 0]], mean: [101, 0, 0, 0],"
                        " std: [76.9, 0, 0, 0]}",
                        NULL, NULL);
    const double expected[] = {-180 / 76.9,
                               0,
                               203 / 76.9,
                               -101 / 76.9,
                               -1.0690449676,
                               -0.5345224838,
                               0,
                               1.6035674514,
                               0,
                               0.5,
                               1,
                               0.25,
                               5,
                               -6,
                               7,
                               0};
    const float *y = through(stage, loom_test_f32("CDHW", SHAPE(4, 1, 1, 4),
                                                  F32(-1000, 101, 3000, 0, 1, 2, 3, 6, 10, 20,
                                                      30, 15, 5, -6, 7, 0)));

    assert_all(y, expected, 16, 1e-6);
}

/* One scheme for all channels; inside: where any channel is not 0, so that the second channel
 * has 0 2 4 (mean 2, deviation sqrt(8/3)) and the first 3 3 3. */
static void test_normalise_masked(void)
{
    g_autoptr(LoomTestStage) stage =
        loom_test_stage("{use: normalise, schemes: zscore, mask: true}", NULL, NULL);
    const double expected[] = {0, 0, 0, 0, -1.2247448714, 0, 1.2247448714, 0};

    assert_all(
        through(stage, loom_test_f32("CDHW", SHAPE(2, 1, 1, 4), F32(3, 3, 3, 0, 0, 2, 4, 0))),
        expected, 8, 1e-6);
}

/* A shell of 26 voxels of a around one 0, beside a plane of nothing.  nnU-Net's mask holds the
 * 0 as well: mean 26 a / 27, deviation a sqrt(26) / 27, so the shell becomes 1 / sqrt(26) and
 * the 0 becomes -sqrt(26).  With fill: false only the shell is measured, which is constant. */
static void test_normalise_filled(void)
{
    static const char *const yaml[] = {
        "{use: normalise, schemes: zscore, mask: true}",
        "{use: normalise, schemes: zscore, mask: true, fill: false}"};

    for (guint i = 0; i < 2; i++) {
        g_autoptr(LoomTestStage) stage = loom_test_stage(yaml[i], NULL, NULL);
        LoomTensor *image =
            loom_tensor_new(LOOM_F32, "CDHW", (const gint64[]){1, 3, 3, 4}, NULL);

        for (gint64 v = 0; v < 36; v++)
            loom_tensor_f32_mut(image)[v] = v % 4 == 3 || v == 17 ? 0 : 7;
        const float *y = through(stage, image);
        for (gint64 v = 0; v < 36; v++)
            loom_assert_near((double)y[v],
                             i || v % 4 == 3 ? 0
                             : v == 17       ? -sqrt(26)
                                             : 1 / sqrt(26),
                             1e-6);
    }
}

static void test_normalise_constant(void)
{
    static const char *const schemes[] = {"zscore", "rescale"};
    const double zeros[3] = {0};

    for (guint i = 0; i < 2; i++) {
        g_autofree char *yaml =
            g_strdup_printf("{use: normalise, schemes: [%s], mask: true}", schemes[i]);
        g_autoptr(LoomTestStage) stage = loom_test_stage(yaml, NULL, NULL);

        assert_all(
            through(stage, loom_test_f32("CDHW", SHAPE(1, 1, 1, 3), F32(0.1f, 0.1f, 0.1f))),
            zeros, 3, 0);
        assert_all(through(stage, loom_test_f32("CDHW", SHAPE(1, 1, 1, 3), F32(0, 0, 0))),
                   zeros, 3, 0);
    }
}

static void test_normalise_refused(void)
{
    static const struct {
        const char *yaml, *message;
    } wrong[] = {
        {"{use: normalise}", "needs the key 'schemes'"},
        {"{use: normalise, schemes: []}", "schemes is empty"},
        {"{use: normalise, schemes: [ct, zcsore]}", "unknown choice 'zcsore', did you mean"},
        {"{use: normalise, schemes: {ct: 1}}", "found a mapping, want"},
        {"{use: normalise, schemes: [ct]}", "clip has 0 numbers, want 2: a pair for each"},
        {"{use: normalise, schemes: [ct, none], clip: [[0, 1], [0, 1]], mean: [1], std: [1, "
         "1]}",
         "mean has 1 numbers, want 2: one for each"},
        {"{use: normalise, schemes: [ct], clip: [5, 5], mean: [1], std: [1]}",
         "clip: low (5) must be below high (5)"},
    };
    g_autoptr(LoomTestStage) stage =
        loom_test_stage("{use: normalise, schemes: [zscore, none]}", NULL, NULL);
    g_autoptr(GError) error = NULL;
    LoomPacket *packet = loom_packet_new();

    for (guint i = 0; i < G_N_ELEMENTS(wrong); i++) {
        loom_assert_failed(loom_test_stage(wrong[i].yaml, NULL, &error), error, LOOM_ERROR,
                           LOOM_ERROR_CONFIG, wrong[i].message);
        g_clear_error(&error);
    }
    loom_packet_set(packet, "image", loom_test_f32("CDHW", SHAPE(1, 1, 1, 1), F32(1)));
    loom_assert_failed(loom_test_push(stage, packet, 0, &error), error, LOOM_ERROR,
                       LOOM_ERROR_SHAPE, "2 schemes for 1 channels");
    g_clear_error(&error);
    packet = loom_packet_new();
    loom_packet_set(packet, "image",
                    loom_test_f32("CDHW", SHAPE(2, 1, 1, 2), F32(1, 2, 3, INFINITY)));
    loom_assert_failed(loom_test_push(stage, packet, 1, &error), error, LOOM_ERROR,
                       LOOM_ERROR_NUMERIC, "channel 1 of 'image' has voxels that are not");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/stages/window/values", test_window);
    g_test_add_func("/stages/window/limits", test_window_limits);
    g_test_add_func("/stages/zscore/values", test_zscore);
    g_test_add_func("/stages/zscore/far-from-zero", test_zscore_far_from_zero);
    g_test_add_func("/stages/zscore/constant", test_zscore_constant);
    g_test_add_func("/stages/zscore/masked", test_zscore_masked);
    g_test_add_func("/stages/zscore/not-finite", test_zscore_not_finite);
    g_test_add_func("/stages/normalise/values", test_normalise);
    g_test_add_func("/stages/normalise/masked", test_normalise_masked);
    g_test_add_func("/stages/normalise/filled", test_normalise_filled);
    g_test_add_func("/stages/normalise/constant", test_normalise_constant);
    g_test_add_func("/stages/normalise/refused", test_normalise_refused);
    return loom_test_run();
}
