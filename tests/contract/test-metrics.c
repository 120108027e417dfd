/* What every metric promises: readings that say what they are, no crash on any pair of label
 * maps, the same numbers each time, and nothing that depends on a class's number. */
#include "loom_test.h"

#include <math.h>
#include <string.h>

#define CLASSES 4
#define ROOM 64 /* readings of one metric at most */

typedef struct {
    const LoomMetric *metric;
    LoomInstance *instance;
    guint n; /* readings */
} Subject;

static Subject subject_of(const LoomPlugin *plugin)
{
    g_autofree char *yaml = g_strdup_printf("{use: %s}", plugin->name);
    Subject it = {(const LoomMetric *)plugin,
                  loom_test_instance(LOOM_KIND_METRIC, yaml, NULL, NULL), 0};

    while (it.metric->readings[it.n].name)
        it.n++;
    g_assert_cmpuint(it.n, >=, 1);
    g_assert_cmpuint(it.n, <=, ROOM);
    return it;
}

/* 0.7 for the class of the prediction, 0.1 for each other. */
static LoomTensor *probabilities_of(const LoomTensor *prediction)
{
    const gint64 *grid = loom_tensor_shape(prediction);
    const gint64 shape[] = {CLASSES, grid[0], grid[1], grid[2]};
    const gint64 voxels = loom_tensor_count(prediction);
    LoomTensor *probabilities = loom_tensor_new(LOOM_F32, "CDHW", shape, NULL);

    for (gint64 i = 0; i < CLASSES * voxels; i++)
        loom_tensor_f32_mut(probabilities)[i] =
            loom_tensor_u8(prediction)[i % voxels] == i / voxels ? 0.7f : 0.1f;
    return probabilities;
}

/* The room behind the last value is not written. */
static gboolean measure(const Subject *it, const LoomTensor *p, const LoomTensor *g,
                        double values[CLASSES * ROOM], GError **error)
{
    g_autoptr(LoomTensor) probabilities = probabilities_of(p);
    const LoomMetricInput input = {p, g, CLASSES, {1.5, 1, 0.75}, probabilities};
    const guint n = (CLASSES - 1) * it->n;
    gboolean done;

    for (guint i = 0; i <= n; i++)
        values[i] = -12345.678;
    done = it->metric->measure(it->instance->self, &input, values, error);
    for (guint i = 0; done && i < n; i++) /* all of them */
        g_assert_true(values[i] != -12345.678);
    g_assert_true(values[n] == -12345.678);
    return done;
}

static gboolean same(double a, double b)
{
    return (isnan(a) && isnan(b)) || a == b;
}

static void test_readings(gconstpointer plugin)
{
    const Subject it = subject_of(plugin);

    for (guint i = 0; i < it.n; i++) {
        const LoomReading *reading = &it.metric->readings[i];

        g_assert_true(reading->name[0]
                      && strspn(reading->name, "abcdefghijklmnopqrstuvwxyz_0123456789")
                             == strlen(reading->name));
        g_assert_true(reading->help && reading->help[0]);
        for (guint k = 0; k < i; k++)
            g_assert_cmpstr(reading->name, !=, it.metric->readings[k].name);
    }
    loom_instance_free(it.instance);
}

/* Readings of a part of the lesions, by size: that part may not be there. */
static gboolean is_of_a_part(const LoomReading *reading)
{
    return g_str_equal(reading->name, "lesion_recall_small")
           || g_str_equal(reading->name, "lesion_recall_large");
}

/* A perfect prediction has a number for every class that is there. */
static void test_perfect(gconstpointer plugin)
{
    const Subject it = subject_of(plugin);
    g_autoptr(LoomTensor) g = loom_test_random_labels("DHW", SHAPE(5, 6, 7), 3, CLASSES);
    double values[CLASSES * ROOM];

    g_assert_true(measure(&it, g, g, values, NULL));
    for (guint i = 0; i < (CLASSES - 1) * it.n; i++)
        g_assert_true(isfinite(values[i]) || is_of_a_part(&it.metric->readings[i % it.n]));
    loom_instance_free(it.instance);
}

/* Nothing predicted, nothing there, neither, everything: undefined or a number, never a crash,
 * never an infinity. */
static void test_empty(gconstpointer plugin)
{
    const Subject it = subject_of(plugin);
    g_autoptr(LoomTensor) some = loom_test_random_labels("DHW", SHAPE(3, 4, 5), 3, CLASSES);
    g_autoptr(LoomTensor) none = loom_tensor_new_like(some, NULL);
    g_autoptr(LoomTensor) full = loom_tensor_new_like(some, NULL);
    const LoomTensor *const maps[] = {some, none, full};
    double values[CLASSES * ROOM];

    memset(loom_tensor_u8_mut(full), 2, 60);
    for (guint i = 0; i < 9; i++) {
        g_assert_true(measure(&it, maps[i / 3], maps[i % 3], values, NULL));
        for (guint k = 0; k < (CLASSES - 1) * it.n; k++)
            g_assert_false(isinf(values[k]));
    }
    loom_instance_free(it.instance);
}

/* One voxel, one row: sizes of 1 are sizes. */
static void test_thin(gconstpointer plugin)
{
    const Subject it = subject_of(plugin);
    g_autoptr(LoomTensor) one = loom_test_u8("DHW", SHAPE(1, 1, 1), U8(1));
    g_autoptr(LoomTensor) row = loom_test_u8("DHW", SHAPE(1, 1, 4), U8(0, 1, 2, 3));
    double values[CLASSES * ROOM];

    g_assert_true(measure(&it, one, one, values, NULL));
    g_assert_true(measure(&it, row, row, values, NULL));
    loom_instance_free(it.instance);
}

/* Classes 1 and 3 change their numbers: their values change places, bit for bit, and the same
 * call gives the same bits. */
static void test_classes(gconstpointer plugin)
{
    const Subject it = subject_of(plugin);
    g_autoptr(LoomTensor) p = loom_test_random_labels("DHW", SHAPE(5, 6, 7), 4, CLASSES);
    g_autoptr(LoomTensor) g = loom_test_random_labels("DHW", SHAPE(5, 6, 7), 5, CLASSES);
    g_autoptr(LoomTensor) p_kept = loom_tensor_copy(p, NULL),
                          g_kept = loom_tensor_copy(g, NULL);
    LoomTensor *both[] = {p, g};
    double before[CLASSES * ROOM], again[CLASSES * ROOM], after[CLASSES * ROOM];

    g_assert_true(measure(&it, p, g, before, NULL));
    g_assert_true(measure(&it, p, g, again, NULL));
    g_assert_true(loom_test_equal(p, p_kept) && loom_test_equal(g, g_kept));
    for (guint i = 0; i < 2; i++)
        for (gint64 v = 0; v < loom_tensor_count(p); v++) {
            guint8 *x = loom_tensor_u8_mut(both[i]) + v;

            *x = *x == 1 ? 3 : *x == 3 ? 1 : *x;
        }
    g_assert_true(measure(&it, p, g, after, NULL));
    for (guint r = 0; r < it.n; r++)
        for (guint k = 0; k < 3; k++) {
            g_assert_true(same(before[k * it.n + r], again[k * it.n + r]));
            g_assert_true(same(before[k * it.n + r], after[(2 - k) * it.n + r]));
        }
    loom_instance_free(it.instance);
}

static void test_sizes(gconstpointer plugin)
{
    const Subject it = subject_of(plugin);
    g_autoptr(LoomTensor) p = loom_test_u8("DHW", SHAPE(1, 2, 3), U8(0, 1, 2, 3, 0, 1));
    g_autoptr(LoomTensor) g = loom_test_u8("DHW", SHAPE(3, 2, 1), U8(0, 1, 2, 3, 0, 1));
    double values[CLASSES * ROOM];
    g_autoptr(GError) error = NULL;

    loom_assert_failed(measure(&it, p, g, values, &error), error, LOOM_ERROR, LOOM_ERROR_SHAPE,
                       "(1,2,3)");
    loom_instance_free(it.instance);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        GTestDataFunc test;
    } tests[] = {
        {"readings", test_readings}, {"perfect", test_perfect}, {"empty", test_empty},
        {"thin", test_thin},         {"classes", test_classes}, {"sizes", test_sizes},
    };

    g_test_init(&argc, &argv, NULL);
    g_autofree const LoomPlugin **metrics =
        loom_registry_list(loom_test_registry(), LOOM_KIND_METRIC);
    g_assert_nonnull(metrics[0]);
    for (guint i = 0; metrics[i]; i++)
        for (guint k = 0; k < G_N_ELEMENTS(tests); k++) {
            g_autofree char *path =
                g_strdup_printf("/metric/%s/%s", metrics[i]->name, tests[k].name);

            g_test_add_data_func(path, metrics[i], tests[k].test);
        }
    return loom_test_run();
}
