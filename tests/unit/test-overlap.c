/* The metric overlap against counts done by hand. */
#include "loom_test.h"

#include <math.h>
#include <string.h>

enum { DICE, IOU, PRECISION, RECALL, SPECIFICITY, VOLUME_ERROR, READINGS };

/* One row of voxels, four classes, a value for each class above 0 and reading. */
static void measure(const char *prediction, const char *truth, double values[3][READINGS])
{
    LoomInstance *overlap = loom_test_instance(LOOM_KIND_METRIC, "{use: overlap}", NULL, NULL);
    const gint64 shape[] = {1, 1, (gint64)strlen(truth)};
    g_autoptr(LoomTensor) p = loom_tensor_new(LOOM_U8, "DHW", shape, NULL);
    g_autoptr(LoomTensor) g = loom_tensor_new(LOOM_U8, "DHW", shape, NULL);
    const LoomMetricInput input = {p, g, 4, {1, 1, 1}, NULL};

    g_assert_cmpuint(strlen(prediction), ==, strlen(truth));
    for (gint64 v = 0; v < shape[2]; v++) {
        loom_tensor_u8_mut(p)[v] = (guint8)(prediction[v] - '0');
        loom_tensor_u8_mut(g)[v] = (guint8)(truth[v] - '0');
    }
    g_assert_true(
        ((const LoomMetric *)overlap->plugin)->measure(overlap->self, &input, values[0], NULL));
    loom_instance_free(overlap);
}

static void same(const double values[READINGS], const double expected[READINGS])
{
    for (guint r = 0; r < READINGS; r++) {
        if (isnan(expected[r]))
            g_assert_true(isnan(values[r]));
        else
            loom_assert_near(values[r], expected[r], 1e-15); /* quotients of small numbers */
    }
}

/* Class 1: |P| 3, |G| 4, both 2.  Class 2: |P| 2, |G| 1, both 1.  Class 3: neither. */
static void test_values(void)
{
    const double one[] = {4.0 / 7, 2.0 / 5, 2.0 / 3, 2.0 / 4, 5.0 / 6, -1.0 / 4};
    const double two[] = {2.0 / 3, 1.0 / 2, 1.0 / 2, 1.0, 8.0 / 9, 1.0};
    const double none[] = {NAN, NAN, NAN, NAN, 1, NAN};
    double values[3][READINGS];

    measure("1100122000", "1111020000", values);
    same(values[0], one);
    same(values[1], two);
    same(values[2], none);
}

/* Class 1 only predicted, class 2 missed, class 3 everywhere in both. */
static void test_absent(void)
{
    const double predicted[] = {0, 0, 0, NAN, 2.0 / 4, NAN};
    const double missed[] = {0, 0, NAN, 0, 1, -1};
    double values[3][READINGS];

    measure("0110", "0020", values);
    same(values[0], predicted);
    same(values[1], missed);

    const double everywhere[] = {1, 1, 1, 1, NAN, 0}; /* nothing is outside */
    measure("333", "333", values);
    same(values[2], everywhere);
}

static void test_sizes(void)
{
    LoomInstance *overlap = loom_test_instance(LOOM_KIND_METRIC, "{use: overlap}", NULL, NULL);
    g_autoptr(LoomTensor) p = loom_test_u8("DHW", SHAPE(1, 1, 2), U8(0, 1));
    g_autoptr(LoomTensor) g = loom_test_u8("DHW", SHAPE(1, 2, 1), U8(0, 1));
    const LoomMetricInput input = {p, g, 2, {1, 1, 1}, NULL};
    double values[READINGS];
    g_autoptr(GError) error = NULL;

    loom_assert_failed(
        ((const LoomMetric *)overlap->plugin)->measure(overlap->self, &input, values, &error),
        error, LOOM_ERROR, LOOM_ERROR_SHAPE, "D, H, W must agree");
    loom_instance_free(overlap);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/metric/overlap/values", test_values);
    g_test_add_func("/metric/overlap/absent", test_absent);
    g_test_add_func("/metric/overlap/sizes", test_sizes);
    return loom_test_run();
}
