/* window and zscore against cases worked out by hand. */
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
    return loom_test_run();
}
