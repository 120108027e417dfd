/* loom_resample_volume and loom_resample_labels against SciPy on 20 random volumes, and with
 * loom_resample_clip against scikit-image on 9; resample_scipy.py and resample_skimage.py made
 * the numbers, from volumes that are made here in the same way.
 *
 * Images within 1e-5 of the range of the input: f32 with about 10 roundings of 6e-8 along each
 * of three axes, on intermediate coefficients up to 3 times as large; SciPy's own padding of 12
 * samples is off by 1.4e-7. */
#include "loom_test.h"

#include <loom/resample.h>

#include <math.h>
#include <string.h>

enum { SEED_AT = 0, WHAT_AT, ORDER_AT, IN_AT = 5, OUT_AT = 8, VALUES_AT = 11 };

#define RANGE 2000.0

/* splitmix64 (Steele, Lea and Flood 2014) */
static gint64 below(guint64 *state, gint64 n)
{
    guint64 z = *state += 0x9E3779B97F4A7C15u;

    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return (gint64)((z ^ (z >> 31)) % (guint64)n);
}

static gint64 number(char **words, guint at)
{
    return g_ascii_strtoll(words[at], NULL, 10);
}

/* Slab by slab, down to a row: the same bits. */
static void slabs_check(LoomResampleAxis *const axes[3], const float *from, const float *whole,
                        gint64 out, LoomPool *pool)
{
    g_autofree float *to = g_new(float, (gsize)out);
    const guint threads = loom_pool_threads(pool);
    guint64 before = G_MAXUINT64;

    g_assert_cmpint(loom_resample_rows(axes, threads, G_MAXUINT64), ==, axes[1]->out);
    g_assert_cmpint(8 * loom_resample_rows(axes, threads, 0), >=, axes[1]->out);
    for (gint64 rows = axes[1]->out; rows > 0; rows /= 2) {
        const guint64 bytes = loom_resample_bytes(axes, threads, rows);

        g_assert_cmpuint(bytes, <=, before);
        before = bytes;
        g_assert_true(loom_resample_slabs(axes, rows, from, to, pool, NULL));
        g_assert_cmpint(memcmp(to, whole, (gsize)out * sizeof *to), ==, 0);
    }
}

static void image_check(LoomResampleAxis *const axes[3], guint64 seed, gint64 in, gint64 out,
                        char **values, LoomPool *pool)
{
    g_autofree float *from = g_new(float, (gsize)in), *to = g_new(float, (gsize)out);

    for (gint64 v = 0; v < in; v++)
        from[v] = (float)(below(&seed, 2001) - 1000);
    g_assert_true(loom_resample_volume(axes, from, to, pool, NULL));
    for (gint64 v = 0; v < out; v++)
        loom_assert_near((double)to[v], g_ascii_strtod(values[v], NULL), 1e-5 * RANGE);
    slabs_check(axes, from, to, out, pool);
}

static void label_check(LoomResampleAxis *const axes[3], guint64 seed, gint64 in, gint64 out,
                        char **values, LoomPool *pool)
{
    g_autofree guint8 *from = g_new(guint8, (gsize)in), *to = g_new(guint8, (gsize)out);
    gint64 decided = 0;

    for (gint64 v = 0; v < in; v++)
        from[v] = (guint8)below(&seed, 4);
    loom_resample_labels(axes, from, to, pool);
    for (gint64 v = 0; v < out; v++)
        if (!g_str_equal(values[v], "255")) {
            g_assert_cmpint(to[v], ==, g_ascii_strtoll(values[v], NULL, 10));
            decided++;
        }
    g_assert_cmpint(10 * decided, >, 9 * out);
}

static void test_scipy(void)
{
    g_autoptr(LoomPool) pool = loom_pool_new(3);
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;

    g_assert_true(g_file_get_contents("tests/golden/resample_scipy.csv", &text, NULL, NULL));
    lines = g_strsplit(g_strstrip(text), "\n", -1);
    g_assert_cmpuint(g_strv_length(lines), ==, 20);
    for (char **line = lines; *line; line++) {
        g_auto(GStrv) words = g_strsplit(*line, ",", -1);
        LoomResampleAxis *axes[3];
        gint64 in = 1, out = 1;

        g_test_message("row %s: %s", words[SEED_AT], words[WHAT_AT]);
        for (guint i = 0; i < 3; i++) {
            axes[i] =
                loom_resample_axis_new(number(words, IN_AT + i), number(words, OUT_AT + i),
                                       (guint)number(words, ORDER_AT + i));
            in *= axes[i]->in;
            out *= axes[i]->out;
        }
        g_assert_cmpint(g_strv_length(words), ==, VALUES_AT + out);
        (g_str_equal(words[WHAT_AT], "image") ? image_check : label_check)(
            axes, (guint64)number(words, SEED_AT), in, out, words + VALUES_AT, pool);
        for (guint i = 0; i < 3; i++)
            loom_resample_axis_free(axes[i]);
    }
}

/* ---- clipped ------------------------------------------------------------------------ */

enum { SLICES_AT = 1, CLIP_IN_AT, CLIP_OUT_AT = 5, CLIPPED_AT = 8, CLIP_VALUES_AT };

/* As nnU-Net calls it: what swings beyond the channel, or the slice, ends there.  @clipped: how
 * many voxels did by more than the tolerance. */
static void clip_check(LoomResampleAxis *const axes[3], char **words, gint64 in, gint64 out,
                       LoomPool *pool)
{
    g_autofree float *from = g_new(float, (gsize)in), *to = g_new(float, (gsize)out);
    g_autofree float *before = g_new(float, (gsize)out);
    guint64 seed = (guint64)number(words, SEED_AT);
    gint64 clipped = 0;

    for (gint64 v = 0; v < in; v++)
        from[v] = (float)(below(&seed, 2001) - 1000);
    g_assert_true(loom_resample_volume(axes, from, before, pool, NULL));
    memcpy(to, before, (gsize)out * sizeof *to);
    g_assert_true(
        loom_resample_clip(axes, (guint)number(words, SLICES_AT), from, to, pool, NULL));
    for (gint64 v = 0; v < out; v++) {
        loom_assert_near((double)to[v], g_ascii_strtod(words[CLIP_VALUES_AT + v], NULL),
                         1e-5 * RANGE);
        clipped += fabsf(to[v] - before[v]) > 1 ? 1 : 0;
    }
    g_assert_cmpint(clipped, ==, number(words, CLIPPED_AT));
}

static void test_skimage(void)
{
    g_autoptr(LoomPool) pool = loom_pool_new(3);
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;

    g_assert_true(g_file_get_contents("tests/golden/resample_skimage.csv", &text, NULL, NULL));
    lines = g_strsplit(g_strstrip(text), "\n", -1);
    g_assert_cmpuint(g_strv_length(lines), ==, 9);
    for (char **line = lines; *line; line++) {
        g_auto(GStrv) words = g_strsplit(*line, ",", -1);
        LoomResampleAxis *axes[3];
        gint64 in = 1, out = 1;

        g_test_message("row %s", words[SEED_AT]);
        for (guint i = 0; i < 3; i++) {
            const guint order = number(words, SLICES_AT) == (gint64)i ? 0 : 3;

            axes[i] = loom_resample_axis_new(number(words, CLIP_IN_AT + i),
                                             number(words, CLIP_OUT_AT + i), order);
            in *= axes[i]->in;
            out *= axes[i]->out;
        }
        g_assert_cmpint(g_strv_length(words), ==, CLIP_VALUES_AT + out);
        clip_check(axes, words, in, out, pool);
        clip_check(axes, words, in, out, NULL);
        for (guint i = 0; i < 3; i++)
            loom_resample_axis_free(axes[i]);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/resample/scipy", test_scipy);
    g_test_add_func("/resample/skimage", test_skimage);
    return loom_test_run();
}
