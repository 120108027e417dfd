/* metric_check - what every metric promises: numbers for what is there, NaN for what is not,
 * nothing else, and the same ones each time. */
#include "check.h"

#include <loom/tensor.h>

#include <math.h>
#include <string.h>

#define CLASSES 4
#define ROOM 64          /* readings of one metric at most */
#define UNSET -12345.678 /* no metric says this */

typedef double Values[CLASSES * ROOM];

static guint readings(const LoomInstance *instance)
{
    const LoomReading *reading = ((const LoomMetric *)instance->plugin)->readings;
    guint n = 0;

    while (reading && reading[n].name)
        n++;
    return n;
}

/* Probabilities that lead to @prediction: 0.7 for its class, 0.1 for each other. */
static LoomTensor *probabilities_of(const LoomTensor *prediction)
{
    const gint64 *grid = loom_tensor_shape(prediction), voxels = loom_tensor_count(prediction);
    const gint64 shape[4] = {CLASSES, grid[0], grid[1], grid[2]};
    LoomTensor *p = loom_tensor_new(LOOM_F32, "CDHW", shape, NULL);

    g_assert_nonnull(p);
    for (gint64 i = 0; i < loom_tensor_count(p); i++)
        loom_tensor_f32_mut(p)[i] =
            loom_tensor_u8(prediction)[i % voxels] == i / voxels ? 0.7f : 0.1f;
    return p;
}

static gboolean measure(const LoomInstance *instance, const LoomTensor *prediction,
                        const LoomTensor *truth, Values values, GError **error)
{
    const LoomMetric *metric = (const LoomMetric *)instance->plugin;
    g_autoptr(LoomTensor) probabilities = probabilities_of(prediction);
    const LoomMetricInput input = {.prediction = prediction,
                                   .truth = truth,
                                   .classes = CLASSES,
                                   .spacing_mm = {1.5, 1, 0.75},
                                   .probabilities = probabilities};
    const guint n = readings(instance), last = (CLASSES - 1) * n;
    g_autoptr(GError) cause = NULL;

    for (guint i = 0; i <= last; i++)
        values[i] = UNSET;
    const gboolean done = metric->measure(instance->self, &input, values, &cause);
    if (!loom_instance_honest(instance, !done, "measure", &cause) || !done) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return FALSE;
    }
    if (values[last] != UNSET)
        return loom_fail(error, LOOM_ERROR_PLUGIN, "it writes behind its last value");
    for (guint i = 0; i < last; i++)
        if (values[i] == UNSET || isinf(values[i]))
            return loom_fail(
                error, LOOM_ERROR_PLUGIN, "class %u, '%s': %s, want a number or NaN", i / n + 1,
                metric->readings[i % n].name, isinf(values[i]) ? "infinite" : "not set");
    return TRUE;
}

/* (D,H,W) = (5,6,7); classes 0 .. CLASSES-1. */
static LoomTensor *random_map(guint64 seed)
{
    static const gint64 shape[] = {5, 6, 7};
    LoomTensor *map = loom_tensor_new(LOOM_U8, "DHW", shape, NULL);
    LoomRng rng = loom_rng(seed, "check map", 0);

    g_assert_nonnull(map);
    for (gint64 v = 0; v < loom_tensor_count(map); v++)
        loom_tensor_u8_mut(map)[v] = (guint8)loom_rng_below(&rng, CLASSES);
    return map;
}

/* "dice 1, iou 1" of class 1; (transfer full). */
static char *first_class(const LoomInstance *instance, const Values values)
{
    const LoomReading *reading = ((const LoomMetric *)instance->plugin)->readings;
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < readings(instance) && i < 4; i++)
        g_string_append_printf(text, "%s%s %.4g", i ? ", " : "", reading[i].name, values[i]);
    if (readings(instance) > 4)
        g_string_append(text, ", ...");
    return g_string_free(text, FALSE);
}

static gboolean check_readings(const LoomInstance *instance, GString *found, GError **error)
{
    const LoomReading *reading = ((const LoomMetric *)instance->plugin)->readings;
    const guint n = readings(instance);

    if (n < 1 || n > ROOM)
        return loom_fail(error, LOOM_ERROR_PLUGIN, "%u readings, want 1 to %d", n, ROOM);
    for (guint i = 0; i < n; i++) {
        const gsize good = strspn(reading[i].name, "abcdefghijklmnopqrstuvwxyz_0123456789");

        if (!*reading[i].name || good != strlen(reading[i].name))
            return loom_fail(error, LOOM_ERROR_PLUGIN,
                             "reading '%s' is not of the form [a-z0-9_]+", reading[i].name);
        if (!reading[i].help || !*reading[i].help)
            return loom_fail(error, LOOM_ERROR_PLUGIN, "reading '%s' has no help text",
                             reading[i].name);
        for (guint k = 0; k < i; k++)
            if (g_str_equal(reading[k].name, reading[i].name))
                return loom_fail(error, LOOM_ERROR_PLUGIN, "two readings are called '%s'",
                                 reading[i].name);
    }
    g_string_append_printf(found, "%u, all with help", n);
    return TRUE;
}

/* The first one is of the whole class; others may be of a part of it that is not there. */
static gboolean may_be_undefined(const LoomInstance *instance, guint reading)
{
    const LoomReading *readings_of = ((const LoomMetric *)instance->plugin)->readings;

    return reading > 0
           && strstr(readings_of[reading].help, "undefined where the truth has none of them");
}

static gboolean check_perfect(const LoomInstance *instance, GString *found, GError **error)
{
    g_autoptr(LoomTensor) map = random_map(3);
    const guint n = readings(instance);
    Values values;

    if (!measure(instance, map, map, values, error))
        return FALSE;
    for (guint i = 0; i < (CLASSES - 1) * n; i++)
        if (isnan(values[i]) && !may_be_undefined(instance, i % n))
            return loom_fail(error, LOOM_ERROR_PLUGIN,
                             "class %u, '%s': undefined, though the class is there and the "
                             "prediction perfect",
                             i / n + 1,
                             ((const LoomMetric *)instance->plugin)->readings[i % n].name);
    g_autofree char *text = first_class(instance, values);
    g_string_append(found, text);
    return TRUE;
}

static gboolean empty_case(const LoomInstance *instance, gboolean prediction, gboolean truth,
                           GString *found, GError **error)
{
    g_autoptr(LoomTensor) some = random_map(4);
    g_autoptr(LoomTensor) none = loom_tensor_new_like(some, NULL);
    Values values;

    if (!measure(instance, prediction ? some : none, truth ? some : none, values, error))
        return FALSE;
    g_autofree char *text = first_class(instance, values);
    g_string_append(found, text);
    return TRUE;
}

static gboolean check_nothing_found(const LoomInstance *instance, GString *found,
                                    GError **error)
{
    return empty_case(instance, FALSE, TRUE, found, error);
}

static gboolean check_nothing_there(const LoomInstance *instance, GString *found,
                                    GError **error)
{
    return empty_case(instance, TRUE, FALSE, found, error);
}

static gboolean check_neither(const LoomInstance *instance, GString *found, GError **error)
{
    return empty_case(instance, FALSE, FALSE, found, error);
}

static gboolean same(double a, double b)
{
    return (isnan(a) && isnan(b)) || a == b;
}

/* Classes 1 and 3 change their numbers: their values change places, bit for bit. */
static gboolean check_classes(const LoomInstance *instance, GString *found, GError **error)
{
    g_autoptr(LoomTensor) p = random_map(5), g = random_map(6);
    LoomTensor *const both[] = {p, g};
    const guint n = readings(instance);
    Values before, again, after;

    if (!measure(instance, p, g, before, error) || !measure(instance, p, g, again, error))
        return FALSE;
    for (guint i = 0; i < 2; i++)
        for (gint64 v = 0; v < loom_tensor_count(p); v++) {
            guint8 *x = loom_tensor_u8_mut(both[i]) + v;

            *x = *x == 1 ? 3 : *x == 3 ? 1 : *x;
        }
    if (!measure(instance, p, g, after, error))
        return FALSE;
    for (guint i = 0; i < (CLASSES - 1) * n; i++) {
        const guint k = i / n;
        const char *name = ((const LoomMetric *)instance->plugin)->readings[i % n].name;

        if (!same(before[i], again[i]))
            return loom_fail(error, LOOM_ERROR_PLUGIN,
                             "class %u, '%s': %.17g the first time, %.17g the second", k + 1,
                             name, before[i], again[i]);
        if (!same(before[i], after[(2 - k) * n + i % n]))
            return loom_fail(error, LOOM_ERROR_PLUGIN,
                             "class %u, '%s': %.17g, but %.17g where the class has the number "
                             "%u",
                             k + 1, name, before[i], after[(2 - k) * n + i % n], 3 - k);
    }
    g_string_append(found, "same bits each time, whatever number a class has");
    return TRUE;
}

const LoomCheck *loom_metric_checks(void)
{
    static const LoomCheck checks[] = {
        {"readings", check_readings, TRUE},
        {"perfect", check_perfect, FALSE},
        {"nothing predicted", check_nothing_found, FALSE},
        {"nothing there", check_nothing_there, FALSE},
        {"neither", check_neither, FALSE},
        {"classes", check_classes, FALSE},
        {0},
    };

    return checks;
}
