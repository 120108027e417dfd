/* surface against MedPy on 200 pairs of random masks of several spacings, to 1e-6 mm;
 * surface_distances.py made the numbers, from masks that are made here in the same way. */
#include "loom_test.h"

#include <math.h>

enum { SHAPE_AT = 0, SPACING_AT = 3, VALUES_AT = 6, CELLS = 10, READINGS = 4 };

/* splitmix64 (Steele, Lea and Flood 2014) */
static gint64 below(guint64 *state, gint64 n)
{
    guint64 z = *state += 0x9E3779B97F4A7C15u;

    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return (gint64)((z ^ (z >> 31)) % (guint64)n);
}

/* Puts a shape in, or takes it out; as in the script. */
static void stamp(guint8 *mask, const gint64 shape[3], gint64 kind, const gint64 at[3],
                  gint64 size)
{
    const gint64 radius2 = kind == 0 ? size * size : (kind - 2) * 4;

    for (gint64 v = 0; v < shape[0] * shape[1] * shape[2]; v++) {
        const gint64 d = v / (shape[1] * shape[2]) - at[0];
        const gint64 h = v / shape[2] % shape[1] - at[1], w = v % shape[2] - at[2];
        const gboolean box = d >= 0 && h >= 0 && w >= 0 && d < size && h < size && w < 2 * size;

        if (kind == 1 ? box : d * d + h * h + w * w <= radius2)
            mask[v] = kind != 3;
    }
}

static LoomTensor *random_mask(guint64 *state, const gint64 shape[3])
{
    LoomTensor *tensor = loom_tensor_new(LOOM_U8, "DHW", shape, NULL);
    guint8 *mask = loom_tensor_u8_mut(tensor);
    gint64 set = 0;

    for (gint64 n = 1 + below(state, 4); n > 0; n--) {
        const gint64 kind = below(state, 4);
        gint64 at[3];

        for (guint i = 0; i < 3; i++)
            at[i] = below(state, shape[i]);
        stamp(mask, shape, kind, at, 1 + below(state, 6));
    }
    for (gint64 v = 0; v < loom_tensor_count(tensor); v++)
        set += mask[v];
    if (set == 0)
        mask[(shape[0] / 2 * shape[1] + shape[1] / 2) * shape[2] + shape[2] / 2] = 1;
    return tensor;
}

static void pair_check(const LoomInstance *surface, guint64 seed, const double cells[CELLS])
{
    static const double edges[] = {1.0, 0.5, 0.7, 0.78125, 1.5, 2.0, 3.0, 0.9375};
    guint64 state = seed;
    gint64 shape[3];
    double spacing[3], values[READINGS];

    for (guint i = 0; i < 3; i++)
        shape[i] = 4 + below(&state, 21);
    for (guint i = 0; i < 3; i++)
        spacing[i] = edges[below(&state, G_N_ELEMENTS(edges))];
    for (guint i = 0; i < 3; i++) { /* the same masks as in the script */
        g_assert_cmpint(shape[i], ==, (gint64)cells[SHAPE_AT + i]);
        g_assert_cmpfloat(spacing[i], ==, cells[SPACING_AT + i]);
    }
    g_autoptr(LoomTensor) a = random_mask(&state, shape);
    g_autoptr(LoomTensor) b = random_mask(&state, shape);
    const LoomMetricInput input = {
        .prediction = a,
        .truth = b,
        .classes = 2,
        .spacing_mm = {spacing[0], spacing[1], spacing[2]},
    };
    g_assert_true(
        ((const LoomMetric *)surface->plugin)->measure(surface->self, &input, values, NULL));
    g_test_message("pair %" G_GUINT64_FORMAT, seed);
    for (guint i = 0; i < READINGS; i++)
        loom_assert_near(values[i], cells[VALUES_AT + i], 1e-6);
}

static void test_medpy(void)
{
    g_autoptr(LoomInstance) surface =
        loom_test_instance(LOOM_KIND_METRIC, "{use: surface}", NULL, NULL);
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;

    g_assert_true(g_file_get_contents("tests/golden/surface_distances.csv", &text, NULL, NULL));
    lines = g_strsplit(g_strstrip(text), "\n", -1);
    g_assert_cmpuint(g_strv_length(lines), ==, 200);
    for (guint seed = 0; lines[seed]; seed++) {
        g_auto(GStrv) words = g_strsplit(lines[seed], ",", -1);
        double cells[CELLS];

        g_assert_cmpuint(g_strv_length(words), ==, CELLS);
        for (guint i = 0; i < CELLS; i++)
            cells[i] = g_ascii_strtod(words[i], NULL);
        pair_check(surface, seed, cells);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/metric/surface/medpy", test_medpy);
    return loom_test_run();
}
