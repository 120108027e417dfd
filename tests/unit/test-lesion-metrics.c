/* The metrics surface, lesion and calibration on cases worked out by hand; where a class is
 * absent, each does what the help of its readings says. */
#include "loom_test.h"

#include <math.h>
#include <string.h>

#define CLASSES 3
#define ROOM 16

static LoomTensor *row(const char *labels)
{
    const gint64 shape[] = {1, 1, (gint64)strlen(labels)};
    LoomTensor *tensor = loom_tensor_new(LOOM_U8, "DHW", shape, NULL);

    for (gint64 v = 0; v < shape[2]; v++)
        loom_tensor_u8_mut(tensor)[v] = (guint8)(labels[v] - '0');
    return tensor;
}

/* One row of voxels of 2 x 3 x 0.5 mm. */
static void measure(const char *yaml, const char *prediction, const char *truth,
                    const LoomTensor *probabilities, double values[CLASSES - 1][ROOM])
{
    g_autoptr(LoomInstance) metric = loom_test_instance(LOOM_KIND_METRIC, yaml, NULL, NULL);
    const LoomMetric *plugin = (const LoomMetric *)metric->plugin;
    g_autoptr(LoomTensor) p = row(prediction), g = row(truth);
    const LoomMetricInput input = {p, g, CLASSES, {2, 3, 0.5}, probabilities};
    double all[(CLASSES - 1) * ROOM];
    guint n = 0;

    while (plugin->readings[n].name)
        n++;
    g_assert_true(plugin->measure(metric->self, &input, all, NULL));
    for (guint k = 0; k < CLASSES - 1; k++)
        memcpy(values[k], all + k * n, n * sizeof *all);
}

static void same(const double *values, const double *wanted, guint n)
{
    for (guint i = 0; i < n; i++) {
        if (isnan(wanted[i]))
            g_assert_true(isnan(values[i]));
        else
            loom_assert_near(values[i], wanted[i], 1e-14);
    }
}

/* ---- surface ------------------------------------------------------------------------ */

/* In one row every voxel is a border.  P = 2..5, G = 4..9, 0.5 mm each: from P 1, 0.5, 0, 0 mm,
 * from G 0, 0, 0.5, 1, 1.5, 2 mm.  95 % of P: at 2.85 of 0, 0, 0.5, 1, that is 0.925; of G: at
 * 4.75 of 0 .. 2, 1.875.  Sum 6.5 over 10 voxels; 8 of them within 1 mm, 6 within 0.7. */
static void test_surface(void)
{
    const double wanted[] = {2, 1.875, 0.65, 0.8}, tight[] = {2, 1.875, 0.65, 0.6};
    const double same_voxels[] = {0, 0, 0, 1};
    double values[CLASSES - 1][ROOM];

    measure("{use: surface}", "001111000022", "000011111122", NULL, values);
    same(values[0], wanted, 4);
    same(values[1], same_voxels, 4);
    measure("{use: surface, tolerance: 0.7}", "001111000022", "000011111122", NULL, values);
    same(values[0], tight, 4);
    measure("{use: surface, tolerance: 0}", "001111000022", "000011111122", NULL, values);
    g_assert_cmpfloat(values[0][3], ==, 0.4);
    g_assert_cmpfloat(values[1][3], ==, 1);
}

/* Neither: undefined.  One alone: the image's diagonal, of 2 x 3 x 12 * 0.5 mm: 7; nsd 0. */
static void test_surface_absent(void)
{
    const double neither[] = {NAN, NAN, NAN, NAN}, alone[] = {7, 7, 7, 0};
    double values[CLASSES - 1][ROOM];

    measure("{use: surface}", "001111000000", "000000000000", NULL, values);
    same(values[0], alone, 4);
    same(values[1], neither, 4);
    measure("{use: surface}", "000000000000", "001111000000", NULL, values);
    same(values[0], alone, 4);
}

/* ---- lesion ------------------------------------------------------------------------- */

/* Truth: parts of 4, 2 and 1 voxels of 3 mm3.  Prediction: 1 of 2 voxels in the first, all of
 * the second, none of the third, one of 3 nowhere. */
static void test_lesion(void)
{
    const char *const truth = "0111100110010000", *const prediction = "1100000110000111";
    const double any[] = {2, 1, 1, 2.0 / 3, 2.0 / 3, 4.0 / 6, 2.0 / 3, NAN};
    /* the first covered by 1/4 only, and the part that covers it by 1/2 only */
    const double half[] = {1, 2, 2, 1.0 / 3, 1.0 / 3, 2.0 / 6, 1.0 / 3, NAN};
    const double sizes[] = {2, 1, 1, 2.0 / 3, 2.0 / 3, 4.0 / 6, 0, 1}; /* below 6 mm3: one */
    double values[CLASSES - 1][ROOM];

    measure("{use: lesion}", prediction, truth, NULL, values);
    same(values[0], any, 8);
    measure("{use: lesion, overlap: 0.5}", prediction, truth, NULL, values);
    same(values[0], half, 8);
    measure("{use: lesion, small: 6}", prediction, truth, NULL, values);
    same(values[0], sizes, 8);
}

static void test_lesion_absent(void)
{
    const double invented[] = {0, 0, 1, 0, NAN, 0, NAN, NAN};
    const double missed[] = {0, 1, 0, NAN, 0, 0, 0, NAN};
    const double neither[] = {0, 0, 0, NAN, NAN, NAN, NAN, NAN};
    double values[CLASSES - 1][ROOM];

    measure("{use: lesion}", "0110", "0002", NULL, values);
    same(values[0], invented, 8);
    same(values[1], missed, 8);
    measure("{use: lesion}", "0110", "0110", NULL, values);
    same(values[1], neither, 8);
}

/* Two voxels across a corner are one part of 26 neighbours, two of 6. */
static void test_neighbours(void)
{
    g_autoptr(LoomTensor) corner =
        loom_test_u8("DHW", SHAPE(2, 2, 2), U8(1, 0, 0, 0, 0, 0, 0, 1));
    const LoomMetricInput input = {corner, corner, 2, {1, 1, 1}, NULL};
    static const char *const yaml[] = {"{use: lesion}", "{use: lesion, neighbours: 6}"};

    for (guint i = 0; i < 2; i++) {
        g_autoptr(LoomInstance) it = loom_test_instance(LOOM_KIND_METRIC, yaml[i], NULL, NULL);
        double values[8];

        g_assert_true(
            ((const LoomMetric *)it->plugin)->measure(it->self, &input, values, NULL));
        g_assert_cmpfloat(values[0], ==, i + 1);
    }
}

/* ---- calibration -------------------------------------------------------------------- */

/* Class 1: p 0, 0.25, 0.75, 1, y 0, 1, 1, 1.  Two bins: (0, 0.25), sums of p and y 0.25 and 1;
 * (0.75, 1), 1.75 and 2: ece (0.75 + 0.25) / 4.  Four bins: each for itself but the first,
 * which holds 0 and 0.25: (0.75 + 0.25 + 0) / 4.  Brier (0.5625 + 0.0625) / 4. Class 2: p 0,
 * 0.5, 0.25, 0, never true: ece 0.75 / 4, Brier (0.25 + 0.0625) / 4. */
static void test_calibration(void)
{
    g_autoptr(LoomTensor) p = loom_test_f32(
        "CDHW", SHAPE(3, 1, 1, 4), F32(1, 0.25f, 0, 0, 0, 0.25f, 0.75f, 1, 0, 0.5f, 0.25f, 0));
    const double one[] = {0.25, 0.15625}, two[] = {0.1875, 0.078125},
                 single[] = {0.25, 0.15625};
    double values[CLASSES - 1][ROOM];

    measure("{use: calibration, bins: 2}", "0211", "0111", p, values);
    same(values[0], one, 2);
    same(values[1], two, 2);
    measure("{use: calibration, bins: 4}", "0211", "0111", p, values);
    same(values[0], single, 2);
    /* over- and underconfident voxels of one bin cancel: p 0.5 of which half is true */
    g_autoptr(LoomTensor) even =
        loom_test_f32("CDHW", SHAPE(3, 1, 1, 2), F32(0.5f, 0.5f, 0.5f, 0.5f, 0, 0));
    const double calibrated[] = {0, 0.25};
    measure("{use: calibration}", "00", "01", even, values);
    same(values[0], calibrated, 2);
}

static void test_calibration_refused(void)
{
    g_autoptr(LoomInstance) it =
        loom_test_instance(LOOM_KIND_METRIC, "{use: calibration}", NULL, NULL);
    const LoomMetric *plugin = (const LoomMetric *)it->plugin;
    g_autoptr(LoomTensor) g = row("01");
    g_autoptr(LoomTensor) wrong = loom_test_f32("CDHW", SHAPE(2, 1, 1, 2), F32(0, 1, 1, 2));
    LoomMetricInput input = {g, g, 2, {1, 1, 1}, NULL};
    g_autoptr(GError) none = NULL, above = NULL, classes = NULL;
    double values[4];

    g_assert_true(plugin->flags & LOOM_METRIC_PROBABILITIES);
    loom_assert_failed(plugin->measure(it->self, &input, values, &none), none, LOOM_ERROR,
                       LOOM_ERROR_CONFIG, "needs probabilities");
    input.probabilities = wrong;
    loom_assert_failed(plugin->measure(it->self, &input, values, &above), above, LOOM_ERROR,
                       LOOM_ERROR_NUMERIC, "'probabilities' has 2 for class 1, want 0 to 1");
    input.classes = 3;
    loom_assert_failed(plugin->measure(it->self, &input, values, &classes), classes, LOOM_ERROR,
                       LOOM_ERROR_SHAPE, "'probabilities' has 2 classes, want 3");
}

/* ---- the stage ---------------------------------------------------------------------- */

/* A packet without probabilities does not reach a metric that needs them. */
static void test_stage(void)
{
    g_autoptr(GError) error = NULL;

    loom_assert_failed(
        loom_test_stage("{use: metrics, metrics: [{use: calibration}]}", NULL, &error), error,
        LOOM_ERROR, LOOM_ERROR_CONFIG,
        "metric 'calibration' needs 'probabilities', want keep_probabilities");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/metric/surface/values", test_surface);
    g_test_add_func("/metric/surface/absent", test_surface_absent);
    g_test_add_func("/metric/lesion/values", test_lesion);
    g_test_add_func("/metric/lesion/absent", test_lesion_absent);
    g_test_add_func("/metric/lesion/neighbours", test_neighbours);
    g_test_add_func("/metric/calibration/values", test_calibration);
    g_test_add_func("/metric/calibration/refused", test_calibration_refused);
    g_test_add_func("/metric/calibration/stage", test_stage);
    return loom_test_run();
}
