/* augment_nnunet: each part is what the stage of that name does, in nnU-Net's order, as often
 * as nnU-Net does it.  Frequencies are those of fixed seeds; bounds are five standard
 * deviations. */
#include "loom_test.h"

#include <math.h>
#include <string.h>

static const char *const chances[] = {
    "rotation_chance",   "scale_chance",    "noise_chance",          "blur_chance",
    "brightness_chance", "contrast_chance", "low_resolution_chance", "gamma_inverted_chance",
    "gamma_chance",      "mirror_chance",
};

/* All chances but those named in @keys are 0; (transfer full). */
static LoomTestStage *preset(const char *size, const char *keys)
{
    g_autoptr(GString) yaml = g_string_new(NULL);

    g_string_printf(yaml, "{use: augment_nnunet, size: %s, %s", size, keys);
    for (guint i = 0; i < G_N_ELEMENTS(chances); i++) {
        g_autofree char *key = g_strdup_printf("%s:", chances[i]);
        const char *at = strstr(keys, key);

        /* "gamma_chance" is no part of "gamma_inverted_chance" */
        if (!at || (at > keys && at[-1] != ' '))
            g_string_append_printf(yaml, ", %s 0", key);
    }
    g_string_append_c(yaml, '}');
    return loom_test_stage(yaml->str, NULL, NULL);
}

static const LoomPacket *through(LoomTestStage *stage, const LoomTensor *image,
                                 const LoomTensor *label, gint64 index)
{
    return loom_test_through(stage, loom_tensor_copy(image, NULL),
                             label ? loom_tensor_copy(label, NULL) : NULL, index);
}

/* ---- what it does ------------------------------------------------------------------- */

/* The preset with these keys equals those stages one after the other, bit for bit. */
static void equal_to(const char *keys, const char *const *stages)
{
    g_autoptr(LoomTestStage) all = preset("[5, 6, 7]", keys);
    g_autoptr(LoomTensor) image = loom_test_random("CDHW", SHAPE(2, 5, 6, 7), 1, -2, 1);
    g_autoptr(LoomTensor) label = loom_test_random_labels("DHW", SHAPE(5, 6, 7), 2, 3);
    g_autoptr(LoomTensor) step = loom_tensor_copy(image, NULL);
    g_autoptr(LoomTensor) step_label = loom_tensor_copy(label, NULL);

    for (guint i = 0; stages[i]; i++) {
        g_autoptr(LoomTestStage) one = loom_test_stage(stages[i], NULL, NULL);
        const LoomPacket *out = through(one, step, step_label, 0);

        loom_tensor_unref(step);
        loom_tensor_unref(step_label);
        step = loom_tensor_copy(loom_packet_get(out, "image"), NULL);
        step_label = loom_tensor_copy(loom_packet_get(out, "label"), NULL);
    }
    const LoomPacket *out = through(all, image, label, 0);
    g_assert_true(loom_test_equal(loom_packet_get(out, "image"), step));
    g_assert_true(loom_test_equal(loom_packet_get(out, "label"), step_label));
    g_assert_false(loom_test_equal(step, image));
}

static void test_order(void)
{
    static const char keys[] =
        "brightness_chance: 1, brightness_low: 1.2, brightness_high: 1.2, "
        "contrast_chance: 1, contrast_low: 1.1, contrast_high: 1.1, "
        "gamma_inverted_chance: 1, gamma_chance: 1, gamma_low: 0.8, gamma_high: 0.8, "
        "mirror_chance: 1, mirror_axes: DW";
    static const char *const stages[] = {
        "{use: scale_intensity, chance: 1, low: 1.2, high: 1.2}",
        "{use: contrast, chance: 1, low: 1.1, high: 1.1}",
        "{use: gamma, chance: 1, low: 0.8, high: 0.8, invert: true}",
        "{use: gamma, chance: 1, low: 0.8, high: 0.8}",
        "{use: flip, chance: 1, axes: DW}",
        NULL,
    };

    equal_to(keys, stages);
}

/* Each channel is blurred, or made coarse, or not: four results, all of them seen. */
static void channels_either(const char *keys, const char *stage)
{
    g_autoptr(LoomTestStage) all = preset("[5, 6, 7]", keys);
    g_autoptr(LoomTestStage) one = loom_test_stage(stage, NULL, NULL);
    g_autoptr(LoomTensor) image = loom_test_random("CDHW", SHAPE(2, 5, 6, 7), 1, -2, 1);
    g_autoptr(LoomTensor) changed =
        loom_tensor_copy(loom_packet_get(through(one, image, NULL, 0), "image"), NULL);
    guint seen[4] = {0};

    for (gint64 n = 0; n < 400; n++) {
        const float *y =
            loom_tensor_f32(loom_packet_get(through(all, image, NULL, n), "image"));
        guint which = 0;

        for (guint c = 0; c < 2; c++) {
            const gboolean is =
                memcmp(y + c * 210, loom_tensor_f32(changed) + c * 210, 210 * 4) == 0;

            g_assert_true(
                is || memcmp(y + c * 210, loom_tensor_f32(image) + c * 210, 210 * 4) == 0);
            which |= is ? 1u << c : 0;
        }
        seen[which]++;
    }
    for (guint i = 0; i < 4; i++) /* 100, deviation sqrt(400 * 3 / 16) = 8.7 */
        loom_assert_near(seen[i], 100, 44);
}

static void test_channels(void)
{
    channels_either("blur_chance: 1, blur_low: 0.8, blur_high: 0.8",
                    "{use: blur, chance: 1, channel_chance: 1, low: 0.8, high: 0.8}");
    channels_either(
        "low_resolution_chance: 1, low_resolution_low: 0.6, low_resolution_high: 0.6",
        "{use: low_resolution, chance: 1, channel_chance: 1, low: 0.6, high: 0.6}");
}

/* A larger patch with nothing to do: the middle of it, labels of 255 too. */
static void test_nothing(void)
{
    g_autoptr(LoomTestStage) stage = preset("[2, 2, 2]", "slices: auto");
    g_autoptr(LoomTensor) image = loom_test_random("CDHW", SHAPE(1, 4, 4, 4), 1, -2, 1);
    g_autoptr(LoomTensor) label =
        loom_tensor_new(LOOM_U8, "DHW", (const gint64[]){4, 4, 4}, NULL);

    loom_tensor_u8_mut(label)[1 * 16 + 1 * 4 + 2] = 255;
    const LoomPacket *out = through(stage, image, label, 0);
    for (gint64 v = 0; v < 8; v++) {
        const gint64 from = (v / 4 + 1) * 16 + (v / 2 % 2 + 1) * 4 + v % 2 + 1;

        g_assert_cmpfloat(loom_tensor_f32(loom_packet_get(out, "image"))[v], ==,
                          loom_tensor_f32(image)[from]);
        g_assert_cmpint(loom_tensor_u8(loom_packet_get(out, "label"))[v], ==, v == 1 ? 255 : 0);
    }
}

/* What was 0 stays 0, where it was; without the mask, noise and contrast change it. */
static void test_mask(void)
{
    static const char keys[] =
        "noise_chance: 1, blur_chance: 1, contrast_chance: 1, gamma_chance: 1, "
        "low_resolution_chance: 1, mask: ";
    g_autofree char *with = g_strconcat(keys, "nonzero", NULL);
    g_autofree char *without = g_strconcat(keys, "none", NULL);
    g_autoptr(LoomTestStage) masked = preset("[5, 6, 7]", with);
    g_autoptr(LoomTestStage) plain = preset("[5, 6, 7]", without);
    g_autoptr(LoomTensor) image = loom_test_random("CDHW", SHAPE(2, 5, 6, 7), 1, 1, 2);

    for (gint64 v = 0; v < 420; v += 3)
        loom_tensor_f32_mut(image)[v] = 0;
    for (gint64 n = 0; n < 10; n++) {
        const float *y =
            loom_tensor_f32(loom_packet_get(through(masked, image, NULL, n), "image"));
        const float *z =
            loom_tensor_f32(loom_packet_get(through(plain, image, NULL, n), "image"));

        for (gint64 v = 0; v < 420; v++)
            g_assert_cmpfloat(y[v], ==, v % 3 ? z[v] : 0); /* the same dice otherwise */
        g_assert_cmpfloat(z[0], !=, 0);
    }
}

/* All defaults: finite, of the final size, and one value stays finite as well. */
static void test_defaults(void)
{
    g_autoptr(LoomTestStage) stage =
        loom_test_stage("{use: augment_nnunet, size: [6, 8, 6]}", NULL, NULL);
    g_autoptr(LoomTensor) image = loom_test_random("CDHW", SHAPE(2, 11, 11, 10), 1, -2, 3);
    g_autoptr(LoomTensor) zeros = loom_tensor_new_like(image, NULL);

    for (gint64 n = 0; n < 400; n++) {
        const LoomPacket *out = through(stage, n % 2 ? image : zeros, NULL, n);
        const LoomTensor *y = loom_packet_get(out, "image");

        g_assert_cmpint(loom_tensor_count(y), ==, 2 * 6 * 8 * 6);
        for (gint64 v = 0; v < loom_tensor_count(y); v++)
            g_assert_true(loom_tensor_f32(y)[v] > -20 && loom_tensor_f32(y)[v] < 20);
    }
}

/* ---- how often ---------------------------------------------------------------------- */

/* Of 2000 packets of (1,1,1,64) the share in which a part changes something, by default. */
static void test_chances(void)
{
    static const struct {
        const char *key, *value;
        double share;
    } parts[] = {
        {"noise_chance", "0.1", 0.1},
        {"blur_chance", "0.2", 0.1}, /* half of the channels */
        {"brightness_chance", "0.15", 0.15},
        {"contrast_chance", "0.15", 0.15},
        {"low_resolution_chance", "0.25", 0.125 * 63 / 64}, /* not a zoom above 63.5 / 64 */
        {"gamma_inverted_chance", "0.1", 0.1},
        {"gamma_chance", "0.3", 0.3},
        {"mirror_chance", "0.5", 0.5}, /* D and H have one voxel */
        {"scale_chance", "0.2", 0.2},
        {"rotation_chance", "0.2", 0.2},
    };
    g_autoptr(LoomTensor) image = loom_test_random("CDHW", SHAPE(1, 1, 1, 64), 1, -2, 1);
    const LoomPlugin *plugin =
        loom_registry_find(loom_test_registry(), LOOM_KIND_STAGE, "augment_nnunet");

    for (guint i = 0; i < G_N_ELEMENTS(parts); i++) {
        g_autofree char *keys = g_strdup_printf("%s: %s", parts[i].key, parts[i].value);
        g_autoptr(LoomTestStage) stage = preset("[1, 1, 64]", keys);
        const LoomParam *row = plugin->params;
        double changed = 0;

        while (!g_str_equal(row->name, parts[i].key))
            row++;
        g_assert_cmpstr(row->def, ==, parts[i].value); /* the default is what is counted */
        for (gint64 n = 0; n < 2000; n++)
            changed += !loom_test_equal(
                loom_packet_get(through(stage, image, NULL, n), "image"), image);
        loom_assert_near(changed, 2000 * parts[i].share,
                         5 * sqrt(2000 * parts[i].share * (1 - parts[i].share)));
    }
}

/* ---- what is refused ---------------------------------------------------------------- */

static void test_errors(void)
{
    static const struct {
        const char *keys, *text;
    } wrong[] = {
        {"size: [4]", "size has 1 numbers, want 3: D, H, W"},
        {"size: [4, 4, 4], blur_low: 3", "blur_low (3) must not be above blur_high (1)"},
        {"size: [4, 4, 4], gamma_high: 0.5",
         "gamma_low (0.7) must not be above gamma_high (0.5)"},
        {"size: [4, 4, 4], mirror_axes: DX", "mirror_axes is 'DX', want letters of D, H, W"},
        {"size: [4, 4, 4], mirror_axes: \"\"", "mirror_axes is empty, want letters of D, H, W"},
        {"size: [4, 4, 4], noise_chanse: 0", "noise_chance"},
        {"rotation: 3", "size"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autofree char *yaml = g_strdup_printf("{use: augment_nnunet, %s}", wrong[i].keys);
        g_autoptr(GError) error = NULL;

        loom_assert_failed(loom_test_stage(yaml, NULL, &error), error, LOOM_ERROR,
                           LOOM_ERROR_CONFIG, wrong[i].text);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/stages/augment_nnunet/order", test_order);
    g_test_add_func("/stages/augment_nnunet/channels", test_channels);
    g_test_add_func("/stages/augment_nnunet/nothing", test_nothing);
    g_test_add_func("/stages/augment_nnunet/mask", test_mask);
    g_test_add_func("/stages/augment_nnunet/defaults", test_defaults);
    g_test_add_func("/stages/augment_nnunet/chances", test_chances);
    g_test_add_func("/stages/augment_nnunet/errors", test_errors);
    return loom_test_run();
}
