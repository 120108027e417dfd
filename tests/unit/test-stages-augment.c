/* flip, noise, scale_intensity: what they do, how often, and what they leave alone.
 * Frequencies are those of fixed seeds; bounds are five standard deviations of the statistic.
 */
#include "loom_test.h"

#include <math.h>
#include <string.h>

static const float *image_of(const LoomPacket *packet)
{
    return loom_tensor_f32(loom_packet_get(packet, "image"));
}

/* ---- flip --------------------------------------------------------------------------- */

/* Voxel (c,d,h,w) of a (2,3,4,5) image holds its own index; of the label, without c. */
static const LoomPacket *flip_counted(const char *yaml, LoomTestStage **stage)
{
    LoomTensor *image = loom_tensor_new(LOOM_F32, "CDHW", (const gint64[]){2, 3, 4, 5}, NULL);
    LoomTensor *label = loom_tensor_new(LOOM_U8, "DHW", (const gint64[]){3, 4, 5}, NULL);

    for (gint64 i = 0; i < 120; i++)
        loom_tensor_f32_mut(image)[i] = (float)i;
    for (gint64 i = 0; i < 60; i++)
        loom_tensor_u8_mut(label)[i] = (guint8)i;
    *stage = loom_test_stage(yaml, NULL, NULL);
    return loom_test_through(*stage, image, label, 0);
}

static void test_flip_values(void)
{
    static const struct {
        const char *axes;
        gboolean d, h, w;
    } cases[] = {
        {"D", 1, 0, 0}, {"H", 0, 1, 0}, {"W", 0, 0, 1}, {"WD", 1, 0, 1}, {"DHW", 1, 1, 1}};

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *yaml =
            g_strdup_printf("{use: flip, axes: %s, chance: 1}", cases[i].axes);
        LoomTestStage *stage = NULL;
        const LoomPacket *out = flip_counted(yaml, &stage);
        const guint8 *label = loom_tensor_u8(loom_packet_get(out, "label"));

        for (gint64 v = 0; v < 120; v++) {
            const gint64 c = v / 60, d = v / 20 % 3, h = v / 5 % 4, w = v % 5;
            const gint64 from =
                (((c * 3 + (cases[i].d ? 2 - d : d)) * 4) + (cases[i].h ? 3 - h : h)) * 5
                + (cases[i].w ? 4 - w : w);

            g_assert_cmpfloat(image_of(out)[v], ==, (float)from);
            g_assert_cmpint(label[v % 60], ==, from % 60);
        }
        loom_test_stage_free(stage);
    }
}

/* A row longer than the buffer of the swap, which holds 4096 bytes. */
static void test_flip_long(void)
{
    g_autoptr(LoomTestStage) stage =
        loom_test_stage("{use: flip, axes: D, chance: 1}", NULL, NULL);
    LoomTensor *image = loom_test_random("CDHW", SHAPE(1, 3, 37, 41), 5, 0, 1);
    g_autoptr(LoomTensor) copy = loom_tensor_copy(image, NULL);
    const float *y = image_of(loom_test_through(stage, image, NULL, 0)),
                *x = loom_tensor_f32(copy);

    for (gint64 d = 0; d < 3; d++)
        g_assert_true(memcmp(y + d * 37 * 41, x + (2 - d) * 37 * 41, 37 * 41 * 4) == 0);
}

static void test_flip_chance(void)
{
    g_autoptr(LoomTestStage) stage = loom_test_stage("{use: flip, axes: DW}", NULL, NULL);
    guint seen[4] = {0};

    for (gint64 i = 0; i < 2000; i++) {
        LoomTensor *image = loom_test_f32("CDHW", SHAPE(1, 2, 1, 2), F32(0, 1, 2, 3));

        seen[(int)image_of(loom_test_through(stage, image, NULL, i))[0]]++;
    }
    for (guint k = 0; k < 4; k++) /* 500, deviation sqrt(2000 / 4 * 3 / 4) = 19.4 */
        loom_assert_near(seen[k], 500, 97);
}

static void test_flip_axes(void)
{
    static const char *const wrong[] = {"X", "DD", "dhw", "D H", "N"};

    for (guint i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autofree char *yaml = g_strdup_printf("{use: flip, axes: %s}", wrong[i]);
        g_autofree char *text = g_strdup_printf("axes is '%s', want letters", wrong[i]);
        g_autoptr(GError) error = NULL;

        loom_assert_failed(loom_test_stage(yaml, NULL, &error), error, LOOM_ERROR,
                           LOOM_ERROR_CONFIG, text);
    }
    g_autoptr(GError) error = NULL;
    loom_assert_failed(loom_test_stage("{use: flip, axes: \"\"}", NULL, &error), error,
                       LOOM_ERROR, LOOM_ERROR_CONFIG, "axes is empty");
}

/* ---- noise -------------------------------------------------------------------------- */

/* Moments of what was added to zeros: n = 20000 normal numbers of one deviation s. */
static void test_noise_moments(void)
{
    g_autoptr(LoomTestStage) stage =
        loom_test_stage("{use: noise, chance: 1, max: 2}", NULL, NULL);
    const gint64 shape[] = {2, 10, 10, 100};
    const double n = 20000;
    double mean_s = 0;

    for (gint64 i = 0; i < 200; i++) {
        const float *x = image_of(
            loom_test_through(stage, loom_tensor_new(LOOM_F32, "CDHW", shape, NULL), NULL, i));
        double sum = 0, squares = 0, fourth = 0, first = 0;

        for (gint64 v = 0; v < 20000; v++) {
            const double square = (double)x[v] * (double)x[v];

            sum += (double)x[v];
            squares += square;
            fourth += square * square;
            first += v < 10000 ? square : 0;
        }
        const double s = sqrt(squares / n);
        mean_s += s / 200;
        g_assert_cmpfloat(s, <=, 2.04); /* deviation of s: s / sqrt(2 n) = 0.01 */
        loom_assert_near(sum / n, 0, 5 * s / sqrt(n));
        /* kurtosis of a normal sample: 3, deviation sqrt(24 / n) = 0.035 */
        loom_assert_near(fourth / n / (s * s * s * s), 3, 0.175);
        /* both channels have the same s: share of the first, deviation 1 / sqrt(2 n) = 0.005 */
        loom_assert_near(first / squares, 0.5, 0.025);
    }
    /* s ~ U(0, 2): mean 1, deviation 2 / sqrt(12 * 200) = 0.041 */
    loom_assert_near(mean_s, 1, 0.205);
}

/* The same tensor comes out when nothing happens: not even a copy was made. */
static guint count_changed(const char *yaml, guint packets)
{
    g_autoptr(LoomTestStage) stage = loom_test_stage(yaml, NULL, NULL);
    g_autoptr(LoomTensor) image = loom_test_f32("CDHW", SHAPE(1, 1, 1, 2), F32(1, 2));
    guint changed = 0;

    for (guint i = 0; i < packets; i++) {
        const LoomPacket *out = loom_test_through(stage, loom_tensor_ref(image), NULL, i);

        changed += loom_packet_get(out, "image") != image;
    }
    loom_assert_near((double)loom_tensor_f32(image)[1], 2, 0);
    return changed;
}

static void test_noise_chance(void)
{
    g_assert_cmpuint(count_changed("{use: noise, chance: 0, max: 2}", 100), ==, 0);
    g_assert_cmpuint(count_changed("{use: noise, chance: 1, max: 2}", 100), ==, 100);
    /* the default, 0.1: 200 of 2000, deviation sqrt(2000 * 0.09) = 13.4 */
    loom_assert_near(count_changed("{use: noise}", 2000), 200, 67);
}

/* ---- scale_intensity ---------------------------------------------------------------- */

static void test_scale_range(void)
{
    g_autoptr(LoomTestStage) stage =
        loom_test_stage("{use: scale_intensity, low: 0.5, high: 2, chance: 1}", NULL, NULL);
    double sum = 0, low = 9, high = 0;
    guint equal = 0;

    for (gint64 i = 0; i < 1000; i++) {
        LoomTensor *image = loom_test_f32("CDHW", SHAPE(2, 1, 1, 2), F32(1, -3, 1, 0));
        const float *y = image_of(loom_test_through(stage, image, NULL, i));

        loom_assert_near((double)(y[1] / y[0]), -3, 1e-6); /* two roundings of f32 */
        g_assert_cmpfloat(y[3], ==, 0);
        sum += (double)y[0];
        low = MIN(low, (double)y[0]);
        high = MAX(high, (double)y[0]);
        equal += fabsf(y[0] - y[2]) < 1e-6f;
    }
    g_assert_cmpuint(equal, <, 5); /* each channel has its own factor */
    g_assert_cmpfloat(low, >=, 0.5);
    g_assert_cmpfloat(high, <=, 2);
    /* half in 0.5 .. 1, half in 1 .. 2: mean 1.125, variance 0.25 / 24 + 1 / 24 + 0.375^2 */
    loom_assert_near(sum / 1000, 1.125, 5 * sqrt((0.0521 + 0.1407) / 1000));
    g_assert_cmpfloat(high - low, >, 1.45); /* of 1000 uniform numbers in a range of 1.5 */
}

static void test_scale_together(void)
{
    g_autoptr(LoomTestStage) stage =
        loom_test_stage("{use: scale_intensity, chance: 1, per_channel: false}", NULL, NULL);
    LoomTensor *image = loom_test_f32("CDHW", SHAPE(3, 1, 1, 1), F32(1, 1, 1));
    const float *y = image_of(loom_test_through(stage, image, NULL, 0));

    g_assert_cmpfloat(y[0], ==, y[1]);
    g_assert_cmpfloat(y[0], ==, y[2]);
    g_assert_cmpfloat(y[0], !=, 1);
}

static void test_scale_chance(void)
{
    /* the default, 0.15: 300 of 2000, deviation sqrt(2000 * 0.1275) = 16 */
    loom_assert_near(count_changed("{use: scale_intensity}", 2000), 300, 80);
    g_assert_cmpuint(count_changed("{use: scale_intensity, chance: 0}", 100), ==, 0);
}

static void test_scale_limits(void)
{
    g_autoptr(GError) error = NULL;

    loom_assert_failed(loom_test_stage("{use: scale_intensity, low: 2, high: 1}", NULL, &error),
                       error, LOOM_ERROR, LOOM_ERROR_CONFIG,
                       "low (2) must not be above high (1)");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/stages/flip/values", test_flip_values);
    g_test_add_func("/stages/flip/long", test_flip_long);
    g_test_add_func("/stages/flip/chance", test_flip_chance);
    g_test_add_func("/stages/flip/axes", test_flip_axes);
    g_test_add_func("/stages/noise/moments", test_noise_moments);
    g_test_add_func("/stages/noise/chance", test_noise_chance);
    g_test_add_func("/stages/scale_intensity/range", test_scale_range);
    g_test_add_func("/stages/scale_intensity/together", test_scale_together);
    g_test_add_func("/stages/scale_intensity/chance", test_scale_chance);
    g_test_add_func("/stages/scale_intensity/limits", test_scale_limits);
    return loom_test_run();
}
