/* blur, contrast, low_resolution, gamma: closed forms, what stays as it is, how often.
 * Frequencies are those of fixed seeds; bounds are five standard deviations of the statistic.
 */
#include "loom_test.h"

#include <math.h>
#include <string.h>

/* Image (transfer full) through a stage, as packet @index; the result belongs to @stage. */
static const float *through(LoomTestStage *stage, LoomTensor *image, gint64 index)
{
    return loom_tensor_f32(
        loom_packet_get(loom_test_through(stage, image, NULL, index), "image"));
}

static LoomTensor *constant(const gint64 shape[4], float value)
{
    LoomTensor *image = loom_tensor_new(LOOM_F32, "CDHW", shape, NULL);

    for (gint64 i = 0; i < loom_tensor_count(image); i++)
        loom_tensor_f32_mut(image)[i] = value;
    return image;
}

/* Of @packets of one random image: how many leave with another tensor that differs. */
static guint count_changed(const char *yaml, const gint64 shape[4], guint packets)
{
    g_autoptr(LoomTestStage) stage = loom_test_stage(yaml, NULL, NULL);
    g_autoptr(LoomTensor) image = loom_test_random("CDHW", shape, 4, 1, -1, 1);
    g_autoptr(LoomTensor) copy = loom_tensor_copy(image, NULL);
    guint changed = 0;

    for (guint i = 0; i < packets; i++)
        changed += memcmp(through(stage, loom_tensor_ref(image), i), loom_tensor_f32(image),
                          loom_tensor_bytes(image))
                   != 0;
    g_assert_true(loom_test_equal(image, copy));
    return changed;
}

/* An image of one value stays so, to some units in the last place, and finite. */
static void constant_stays(const char *yaml, double tolerance)
{
    static const float values[] = {0, 1, -2.5f, 1e-30f};
    g_autoptr(LoomTestStage) stage = loom_test_stage(yaml, NULL, NULL);

    for (guint i = 0; i < G_N_ELEMENTS(values); i++) {
        const float *y = through(stage, constant((const gint64[]){2, 1, 5, 9}, values[i]), i);

        for (gint64 v = 0; v < 90; v++)
            loom_assert_near((double)y[v], (double)values[i], tolerance);
    }
}

static void low_above_high(const char *use, const char *low, const char *high)
{
    g_autofree char *yaml = g_strdup_printf("{use: %s, low: %s, high: %s}", use, low, high);
    g_autofree char *text = g_strdup_printf("low (%s) must not be above high (%s)", low, high);
    g_autoptr(GError) error = NULL;

    loom_assert_failed(loom_test_stage(yaml, NULL, &error), error, LOOM_ERROR,
                       LOOM_ERROR_CONFIG, text);
}

/* ---- blur --------------------------------------------------------------------------- */

/* One voxel of 1 becomes the product of three sampled Gaussians of sum 1, 4 sigma wide. */
static void test_blur_delta(void)
{
    g_autoptr(LoomTestStage) stage = loom_test_stage(
        "{use: blur, chance: 1, channel_chance: 1, low: 0.9, high: 0.9}", NULL, NULL);
    LoomTensor *image = constant((const gint64[]){1, 11, 11, 11}, 0);
    double sum = 0;

    loom_tensor_f32_mut(image)[5 * 121 + 5 * 11 + 5] = 1;
    for (int t = -4; t <= 4; t++)
        sum += exp(-t * t / (2 * 0.9 * 0.9));
    const float *y = through(stage, image, 0);
    for (gint64 v = 0; v < 1331; v++) {
        const gint64 d = v / 121 - 5, h = v / 11 % 11 - 5, w = v % 11 - 5;
        const gboolean near = MAX(ABS(d), MAX(ABS(h), ABS(w))) <= 4;
        const double want =
            near ? exp(-(double)(d * d + h * h + w * w) / (2 * 0.9 * 0.9)) / (sum * sum * sum)
                 : 0;

        loom_assert_near((double)y[v], want, 2e-8); /* largest: 0.087, times some f32 ulps */
    }
}

static void test_blur_none(void)
{
    g_assert_cmpuint(
        count_changed("{use: blur, chance: 1, channel_chance: 1, low: 0, high: 0.1}",
                      (const gint64[]){1, 3, 4, 5}, 20),
        ==, 0); /* 4 sigma are less than half a voxel */
    constant_stays("{use: blur, chance: 1, channel_chance: 1, low: 10, high: 10}", 1e-6);
}

static void test_blur_chance(void)
{
    /* 0.2 of 2000, one channel of which has 0.5: 200, deviation sqrt(2000 * 0.09) = 13.4 */
    loom_assert_near(count_changed("{use: blur}", (const gint64[]){1, 1, 2, 9}, 2000), 200, 67);
    low_above_high("blur", "2", "1");
}

/* ---- contrast ----------------------------------------------------------------------- */

/* Below 1 nothing is clipped: the mean stays, distances from it become f times as large. */
static void test_contrast_squeezed(void)
{
    g_autoptr(LoomTestStage) stage =
        loom_test_stage("{use: contrast, chance: 1, low: 0.5, high: 0.5}", NULL, NULL);
    const float *y =
        through(stage, loom_test_f32("CDHW", SHAPE(2, 1, 1, 3), F32(1, 2, 6, -1, 0, 1)), 0);
    static const double want[] = {2, 2.5, 4.5, -0.5, 0, 0.5}; /* means 3 and 0 */

    for (int i = 0; i < 6; i++)
        loom_assert_near((double)y[i], want[i], 1e-6);
}

/* Above 1 the range stays: 1 2 6 would become -1 1 9. */
static void test_contrast_clipped(void)
{
    g_autoptr(LoomTestStage) stage =
        loom_test_stage("{use: contrast, chance: 1, low: 2, high: 2}", NULL, NULL);
    const float *y = through(stage, loom_test_f32("CDHW", SHAPE(1, 1, 1, 3), F32(1, 2, 6)), 0);

    for (int i = 0; i < 3; i++)
        loom_assert_near((double)y[i], i < 2 ? 1 : 6, 1e-6);
}

/* A factor of 1, more voxels than lanes of the sums; then half of the factors below 1. */
static void test_contrast_factor(void)
{
    g_autoptr(LoomTestStage) none =
        loom_test_stage("{use: contrast, chance: 1, low: 1, high: 1}", NULL, NULL);
    g_autoptr(LoomTestStage) stage =
        loom_test_stage("{use: contrast, chance: 1, low: 0.5, high: 9}", NULL, NULL);
    g_autoptr(LoomTensor) image = loom_test_random("CDHW", SHAPE(1, 3, 5, 7), 1, -1, 1);
    const float *y = through(none, loom_tensor_copy(image, NULL), 0);
    guint below = 0;

    for (gint64 v = 0; v < 105; v++)
        loom_assert_near((double)y[v], (double)loom_tensor_f32(image)[v], 3e-7);
    for (gint64 i = 0; i < 1000; i++) {
        const float *z =
            through(stage, loom_test_f32("CDHW", SHAPE(1, 1, 1, 3), F32(-4, 1, 3)), i);

        below += z[0] > -4;
        g_assert_cmpfloat(z[0], >=, -4);
        g_assert_cmpfloat(z[0], <=, -2);
    }
    loom_assert_near(below, 500, 79); /* deviation sqrt(250) = 15.8 */
}

static void test_contrast_chance(void)
{
    const gint64 shape[] = {1, 1, 2, 9};

    /* 0.15 of 2000, deviation sqrt(2000 * 0.1275) = 16 */
    loom_assert_near(count_changed("{use: contrast}", shape, 2000), 300, 80);
    g_assert_cmpuint(count_changed("{use: contrast, chance: 0}", shape, 100), ==, 0);
    constant_stays("{use: contrast, chance: 1}", 1e-6);
    low_above_high("contrast", "3", "2.5");
}

/* ---- low_resolution ----------------------------------------------------------------- */

static void test_low_resolution_same(void)
{
    g_assert_cmpuint(
        count_changed("{use: low_resolution, chance: 1, channel_chance: 1, low: 1, high: 1}",
                      (const gint64[]){2, 3, 4, 5}, 20),
        ==, 0);
    constant_stays("{use: low_resolution, chance: 1, channel_chance: 1, low: 0.01}", 0);
}

/* x_i = i with half as many voxels: s_j = 2 j + 1, and on the way back i + 1/2, but for the
 * ends, where it stays s_0 = 1 and s_4 = 9.  The slices keep theirs. */
static void test_low_resolution_ramp(void)
{
    g_autoptr(LoomTestStage) stage =
        loom_test_stage("{use: low_resolution, chance: 1, channel_chance: 1, low: 0.5, high: "
                        "0.5, slices: D}",
                        NULL, NULL);
    LoomTensor *image = constant((const gint64[]){1, 4, 1, 10}, 0);

    for (gint64 v = 0; v < 40; v++)
        loom_tensor_f32_mut(image)[v] = (float)(v % 10 + 100 * (v / 10));
    const float *y = through(stage, image, 0);
    for (gint64 v = 0; v < 40; v++) {
        const gint64 i = v % 10;
        const double want = i == 0 ? 1 : i == 9 ? 9 : (double)i + 0.5;

        loom_assert_near((double)y[v], want + 100 * (double)(v / 10), 1e-4); /* f32 of 309 */
    }
}

static void test_low_resolution_chance(void)
{
    /* 0.25 of 2000, one channel of which has 0.5, but a zoom above 63.5 / 64 changes nothing:
     * 250 * 63 / 64 = 246, deviation sqrt(2000 * 0.123 * 0.877) = 14.7 */
    loom_assert_near(
        count_changed("{use: low_resolution}", (const gint64[]){1, 1, 1, 64}, 2000), 246, 74);
    low_above_high("low_resolution", "0.9", "0.5");
}

/* ---- gamma -------------------------------------------------------------------------- */

static void moments(const float *x, gint64 n, double *mean, double *deviation)
{
    double sum = 0, squares = 0;

    for (gint64 i = 0; i < n; i++)
        sum += (double)x[i];
    *mean = sum / (double)n;
    for (gint64 i = 0; i < n; i++)
        squares += ((double)x[i] - *mean) * ((double)x[i] - *mean);
    *deviation = sqrt(squares / (double)n);
}

/* 0, 1, 4 with f = 1/2: 4 sqrt(x / 4) = 0, 2, 4, of mean 2 and variance 8/3; that of x is 5/3
 * and 26/9, so y = 5/3 + sqrt(26/24) {-2, 0, 2}. */
static void test_gamma_values(void)
{
    g_autoptr(LoomTestStage) stage =
        loom_test_stage("{use: gamma, chance: 1, low: 0.5, high: 0.5}", NULL, NULL);
    const float *y = through(stage, loom_test_f32("CDHW", SHAPE(1, 1, 1, 3), F32(0, 1, 4)), 0);

    for (int i = 0; i < 3; i++)
        loom_assert_near((double)y[i], 5.0 / 3 + (i - 1) * 2 * sqrt(26.0 / 24), 1e-6);
}

static void test_gamma_moments(void)
{
    g_autoptr(LoomTestStage) plain = loom_test_stage("{use: gamma, chance: 1}", NULL, NULL);
    g_autoptr(LoomTestStage) inverted =
        loom_test_stage("{use: gamma, chance: 1, invert: true}", NULL, NULL);

    for (gint64 n = 0; n < 20; n++) {
        g_autoptr(LoomTensor) image = loom_test_random("CDHW", SHAPE(2, 3, 5, 7), 1, -1, 3);

        for (int way = 0; way < 2; way++) {
            const float *x = loom_tensor_f32(image);
            const float *y = through(way ? inverted : plain, loom_tensor_copy(image, NULL), n);

            for (int c = 0; c < 2; c++, x += 105, y += 105) {
                double mean, deviation, mean_now, deviation_now;

                moments(x, 105, &mean, &deviation);
                moments(y, 105, &mean_now, &deviation_now);
                loom_assert_near(mean_now, mean, 1e-6);
                loom_assert_near(deviation_now, deviation, 1e-6);
                for (gint64 v = 1; v < 105; v++) /* what was darker stays darker */
                    g_assert_true(x[v] == x[0] || (y[v] > y[0]) == (x[v] > x[0]));
            }
        }
    }
}

/* Of -x, the inverted one is minus the plain one of x. */
static void test_gamma_inverted(void)
{
    g_autoptr(LoomTestStage) plain =
        loom_test_stage("{use: gamma, chance: 1, low: 1.3, high: 1.3}", NULL, NULL);
    g_autoptr(LoomTestStage) inverted = loom_test_stage(
        "{use: gamma, chance: 1, low: 1.3, high: 1.3, invert: true}", NULL, NULL);
    g_autoptr(LoomTensor) image = loom_test_random("CDHW", SHAPE(1, 3, 5, 7), 1, -1, 3);
    LoomTensor *negated = loom_tensor_copy(image, NULL);

    for (gint64 v = 0; v < 105; v++)
        loom_tensor_f32_mut(negated)[v] *= -1;
    const float *y = through(plain, loom_tensor_copy(image, NULL), 0);
    const float *z = through(inverted, negated, 0);
    for (gint64 v = 0; v < 105; v++)
        g_assert_cmpfloat(y[v], ==, -z[v]);
}

static void test_gamma_chance(void)
{
    const gint64 shape[] = {1, 1, 2, 9};

    /* 0.3 of 2000, deviation sqrt(2000 * 0.21) = 20.5 */
    loom_assert_near(count_changed("{use: gamma}", shape, 2000), 600, 102);
    constant_stays("{use: gamma, chance: 1}", 1e-6);
    constant_stays("{use: gamma, chance: 1, invert: true}", 1e-6);
    low_above_high("gamma", "1.5", "0.7");
}

static void test_gamma_same(void)
{
    g_autoptr(LoomTestStage) stage =
        loom_test_stage("{use: gamma, chance: 1, low: 1, high: 1}", NULL, NULL);
    g_autoptr(LoomTensor) image = loom_test_random("CDHW", SHAPE(1, 3, 5, 7), 1, -1, 1);
    const float *y = through(stage, loom_tensor_copy(image, NULL), 0);

    for (gint64 v = 0; v < 105; v++) /* some roundings of values up to 2 */
        loom_assert_near((double)y[v], (double)loom_tensor_f32(image)[v], 1e-6);
}

/* ---- mask --------------------------------------------------------------------------- */

/* With a mask of the second channel its zeros stay, and all else is as without a mask. */
static void zeros_stay(const char *use)
{
    g_autofree char *keys = g_strdup_printf("{use: %s, chance: 1", use);
    g_autofree char *yaml = g_strconcat(keys, "}", NULL);
    g_autofree char *second = g_strconcat(keys, ", mask: [none, nonzero]}", NULL);
    g_autoptr(LoomTestStage) plain = loom_test_stage(yaml, NULL, NULL);
    g_autoptr(LoomTestStage) masked = loom_test_stage(second, NULL, NULL);
    g_autoptr(LoomTensor) image = loom_test_random("CDHW", SHAPE(2, 3, 5, 7), 1, 1, 2);
    gboolean moved = FALSE;

    for (gint64 v = 0; v < 210; v += 3)
        loom_tensor_f32_mut(image)[v] = 0;
    const float *y = through(plain, loom_tensor_copy(image, NULL), 0);
    const float *z = through(masked, loom_tensor_copy(image, NULL), 0);
    for (gint64 v = 0; v < 210; v++)
        g_assert_cmpfloat(z[v], ==, v >= 105 && v % 3 == 0 ? 0 : y[v]);
    for (gint64 v = 105; v < 210; v += 3)
        moved = moved || y[v] != 0;
    g_assert_true(moved);
}

static void test_mask(void)
{
    zeros_stay("noise");
    zeros_stay("contrast, high: 0.9");
    zeros_stay("gamma");
    zeros_stay("gamma, invert: true");
    zeros_stay("blur, channel_chance: 1");
    zeros_stay("low_resolution, channel_chance: 1, high: 0.8");
}

static void test_mask_channels(void)
{
    g_autoptr(LoomTestStage) stage =
        loom_test_stage("{use: noise, chance: 1, mask: [none, nonzero]}", NULL, NULL);
    LoomPacket *packet = loom_packet_new();
    g_autoptr(GError) error = NULL;
    g_autoptr(GError) other = NULL;

    loom_packet_set(packet, "image", constant((const gint64[]){3, 1, 1, 2}, 0));
    loom_assert_failed(loom_test_push(stage, packet, 0, &error), error, LOOM_ERROR,
                       LOOM_ERROR_SHAPE,
                       "mask has 2 entries, 'image' has 3 channels; want one for each, or one "
                       "for all");
    loom_assert_failed(loom_test_stage("{use: blur, mask: zero}", NULL, &other), other,
                       LOOM_ERROR, LOOM_ERROR_CONFIG, "none, nonzero");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/stages/blur/delta", test_blur_delta);
    g_test_add_func("/stages/blur/none", test_blur_none);
    g_test_add_func("/stages/blur/chance", test_blur_chance);
    g_test_add_func("/stages/contrast/squeezed", test_contrast_squeezed);
    g_test_add_func("/stages/contrast/clipped", test_contrast_clipped);
    g_test_add_func("/stages/contrast/factor", test_contrast_factor);
    g_test_add_func("/stages/contrast/chance", test_contrast_chance);
    g_test_add_func("/stages/low_resolution/same", test_low_resolution_same);
    g_test_add_func("/stages/low_resolution/ramp", test_low_resolution_ramp);
    g_test_add_func("/stages/low_resolution/chance", test_low_resolution_chance);
    g_test_add_func("/stages/gamma/values", test_gamma_values);
    g_test_add_func("/stages/gamma/moments", test_gamma_moments);
    g_test_add_func("/stages/gamma/inverted", test_gamma_inverted);
    g_test_add_func("/stages/gamma/same", test_gamma_same);
    g_test_add_func("/stages/gamma/chance", test_gamma_chance);
    g_test_add_func("/stages/augment/mask", test_mask);
    g_test_add_func("/stages/augment/mask-channels", test_mask_channels);
    return loom_test_run();
}
