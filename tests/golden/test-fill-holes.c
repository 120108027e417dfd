/* loom_holes_fill against SciPy's binary_fill_holes on 12 random masks; fill_holes_scipy.py
 * made the numbers, from masks that are made here in the same way. */
#include "loom_test.h"

#include <loom/morphology.h>

#include <string.h>

enum { SEED_AT = 0, PERCENT_AT, SIZE_AT, FILLED_AT = 5, VALUES_AT };

/* splitmix64 (Steele, Lea and Flood 2014) */
static gint64 below(guint64 *state, gint64 n)
{
    guint64 z = *state += 0x9E3779B97F4A7C15u;

    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return (gint64)((z ^ (z >> 31)) % (guint64)n);
}

static void row_check(const char *line)
{
    g_auto(GStrv) words = g_strsplit(line, ",", -1);
    gint64 numbers[VALUES_AT], filled = 0;

    for (guint i = 0; i < VALUES_AT; i++)
        numbers[i] = g_ascii_strtoll(words[i], NULL, 10);
    const gint64 *shape = numbers + SIZE_AT, voxels = shape[0] * shape[1] * shape[2];
    g_autofree guint8 *mask = g_new(guint8, (gsize)voxels);
    guint64 state = (guint64)numbers[SEED_AT];

    g_test_message("row %s", words[SEED_AT]);
    g_assert_cmpint((gint64)strlen(words[VALUES_AT]), ==, voxels);
    for (gint64 v = 0; v < voxels; v++) {
        mask[v] = below(&state, 100) < numbers[PERCENT_AT] ? 1 : 0;
        filled -= mask[v];
    }
    g_assert_true(loom_holes_fill(mask, shape, NULL));
    for (gint64 v = 0; v < voxels; v++) {
        g_assert_cmpint(mask[v], ==, words[VALUES_AT][v] - '0');
        filled += mask[v];
    }
    g_assert_cmpint(filled, ==, numbers[FILLED_AT]);
}

static void test_scipy(void)
{
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;

    g_assert_true(g_file_get_contents("tests/golden/fill_holes_scipy.csv", &text, NULL, NULL));
    lines = g_strsplit(g_strstrip(text), "\n", -1);
    g_assert_cmpuint(g_strv_length(lines), ==, 12);
    for (char **line = lines; *line; line++)
        row_check(*line);
}

/* The same by another way, in larger volumes with winding ways: parts of the background that no
 * voxel at a face of the volume belongs to. */
static void test_parts(void)
{
    const gint64 shape[3] = {21, 23, 25}, voxels = 21 * 23 * 25;
    g_autofree guint8 *mask = g_new(guint8, (gsize)voxels);
    g_autofree guint8 *background = g_new(guint8, (gsize)voxels);
    g_autofree gint32 *part = g_new(gint32, (gsize)voxels);

    for (guint64 seed = 0; seed < 20; seed++) {
        g_autofree guint8 *open = g_new0(guint8, (gsize)voxels + 1);
        guint64 state = seed;
        gint64 n, filled = 0;

        for (gint64 v = 0; v < voxels; v++) {
            mask[v] = below(&state, 100) < 62 + (gint64)seed ? 1 : 0;
            background[v] = !mask[v];
        }
        g_assert_true(loom_components(background, shape, 6, part, &n, NULL, NULL));
        for (gint64 v = 0; v < voxels; v++) {
            const gint64 d = v / (23 * 25), h = v / 25 % 23, w = v % 25;

            if (d == 0 || h == 0 || w == 0 || d == 20 || h == 22 || w == 24)
                open[part[v]] = 1;
        }
        g_assert_true(loom_holes_fill(mask, shape, NULL));
        for (gint64 v = 0; v < voxels; v++) {
            g_assert_cmpint(mask[v], ==, !background[v] || !open[part[v]]);
            filled += background[v] && mask[v];
        }
        g_assert_cmpint(filled, >, 0);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fill-holes/scipy", test_scipy);
    g_test_add_func("/fill-holes/parts", test_parts);
    return loom_test_run();
}
