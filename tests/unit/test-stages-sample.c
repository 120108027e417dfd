/* crop and batch: where patches lie, how often on foreground, what is stacked. */
#include "loom_test.h"

#include <math.h>
#include <string.h>

/* A case whose voxel i holds i + 1, so that 0 is padding; two channels, the second negative. */
static LoomPacket *counted_case(gint64 d, gint64 h, gint64 w)
{
    const gint64 shape[] = {2, d, h, w}, voxels = d * h * w;
    LoomPacket *packet = loom_packet_new();
    LoomTensor *image = loom_tensor_new(LOOM_F32, "CDHW", shape, NULL);

    for (gint64 v = 0; v < voxels; v++) {
        loom_tensor_f32_mut(image)[v] = (float)(v + 1);
        loom_tensor_f32_mut(image)[voxels + v] = -(float)(v + 1);
    }
    loom_packet_set(packet, "image", image);
    loom_packet_set(packet, "label", loom_tensor_new(LOOM_U8, "DHW", shape + 1, NULL));
    loom_packet_set_id(packet, "case");
    return packet;
}

static guint8 *label_of(LoomPacket *packet)
{
    return loom_tensor_u8_mut(loom_packet_edit(packet, "label", NULL));
}

static const float *image_at(const GPtrArray *out, guint i)
{
    return loom_tensor_f32(loom_packet_get(out->pdata[i], "image"));
}

static const guint8 *label_at(const GPtrArray *out, guint i)
{
    return loom_tensor_u8(loom_packet_get(out->pdata[i], "label"));
}

/* ---- crop --------------------------------------------------------------------------- */

/* The only foreground is the corner: patches inside have it at their own corner at most, so one
 * with it in its middle was forced.  Of 300 exactly 99 are, and exactly those of the formula.
 */
static void forced_share(const char *yaml, gint64 per_volume)
{
    g_autoptr(LoomTestStage) stage = loom_test_stage(yaml, NULL, NULL);
    GPtrArray *out = loom_test_out(stage);
    guint n = 0;

    for (gint64 i = 0; i < 300 / per_volume; i++) {
        LoomPacket *packet = counted_case(6, 6, 6);

        label_of(packet)[0] = 2;
        g_assert_cmpint(loom_test_push(stage, packet, i, NULL), ==, LOOM_FLOW_OK);
    }
    g_assert_cmpuint(out->len, ==, 300);
    for (guint i = 0; i < 300; i++) {
        const guint8 *label = label_at(out, i);
        const float *image = image_at(out, i);
        const gboolean forced = label[13] == 2; /* (1,1,1) of (3,3,3) */

        g_assert_cmpint(forced, ==, (i + 1) * 33 / 100 > i * 33 / 100);
        n += forced ? 1 : 0;
        for (gint64 v = 0; v < 27; v++) {
            const gboolean outside = v / 9 == 0 || v / 3 % 3 == 0 || v % 3 == 0;

            if (forced)
                g_assert_cmpint(image[v] == -5.0f, ==, outside);
            else
                g_assert_cmpfloat(image[v], >=, 1);
            g_assert_cmpint(label[v] == 2, ==, image[v] == 1.0f);
        }
    }
    g_assert_cmpuint(n, ==, 99);
}

static void test_crop_share(void)
{
    forced_share("{use: crop, size: [3, 3, 3], pad_value: -5}", 1);
    forced_share("{use: crop, size: [3, 3, 3], pad_value: -5, per_volume: 4}", 4);
}

/* Class 1 has 200 voxels, class 3 has one: each is the middle of about half of the patches, and
 * every voxel of class 1 comes up. */
static void test_crop_classes(void)
{
    g_autoptr(LoomTestStage) stage =
        loom_test_stage("{use: crop, size: [1, 1, 1], foreground: 1}", NULL, NULL);
    GPtrArray *out = loom_test_out(stage);
    guint of_voxel[216] = {0}, rare = 0;

    for (gint64 i = 0; i < 8000; i++) {
        LoomPacket *packet = counted_case(6, 6, 6);

        memset(label_of(packet), 1, 200);
        label_of(packet)[210] = 3;
        g_ptr_array_set_size(out, 0);
        g_assert_cmpint(loom_test_push(stage, packet, i, NULL), ==, LOOM_FLOW_OK);
        g_assert_cmpuint(label_at(out, 0)[0], !=, 0);
        rare += label_at(out, 0)[0] == 3;
        of_voxel[(int)image_at(out, 0)[0] - 1]++;
    }
    loom_assert_near(rare, 4000, 5 * sqrt(8000 * 0.25));
    for (guint v = 0; v < 200; v++) /* about 20 each: 6 deviations of sqrt(20) at most */
        loom_assert_near(of_voxel[v], 20, 27);
    for (guint v = 0; v < 200; v++)
        g_assert_cmpuint(of_voxel[v], >, 0);
}

static void test_crop_uniform(void)
{
    g_autoptr(LoomTestStage) stage =
        loom_test_stage("{use: crop, size: [3, 1, 2], foreground: 0}", NULL, NULL);
    GPtrArray *out = loom_test_out(stage);
    guint seen[6][1][3] = {0};

    for (gint64 i = 0; i < 9000; i++) {
        LoomPacket *packet = counted_case(8, 1, 4);

        loom_packet_drop(packet, "label"); /* not needed */
        g_ptr_array_set_size(out, 0);
        g_assert_cmpint(loom_test_push(stage, packet, i, NULL), ==, LOOM_FLOW_OK);
        g_assert_null(loom_packet_get(out->pdata[0], "label"));
        const gint64 first = (gint64)image_at(out, 0)[0] - 1;
        for (gint64 v = 0; v < 6; v++) { /* whole, in order, both channels */
            g_assert_cmpfloat(image_at(out, 0)[v], ==, (float)(first + v / 2 * 4 + v % 2 + 1));
            g_assert_cmpfloat(image_at(out, 0)[6 + v], ==, -image_at(out, 0)[v]);
        }
        seen[first / 4][0][first % 4]++;
    }
    for (guint d = 0; d < 6; d++)
        for (guint w = 0; w < 3; w++) /* 500, deviation sqrt(9000 / 18 * 17 / 18) = 21.7 */
            loom_assert_near(seen[d][0][w], 500, 109);
}

/* (2,3,4) into (5,4,4): D has one plane before and two behind, H one row behind.  The same for
 * a forced patch: a case that fits is never cut. */
static void small_case(const char *yaml)
{
    g_autoptr(LoomTestStage) stage = loom_test_stage(yaml, NULL, NULL);
    GPtrArray *out = loom_test_out(stage);
    LoomPacket *packet = counted_case(2, 3, 4);

    memset(label_of(packet), 1, 24);
    g_assert_cmpint(loom_test_push(stage, packet, 0, NULL), ==, LOOM_FLOW_OK);
    for (gint64 v = 0; v < 80; v++) {
        const gint64 d = v / 16 - 1, h = v / 4 % 4, w = v % 4;
        const gboolean inside = d >= 0 && d < 2 && h < 3;

        g_assert_cmpfloat(image_at(out, 0)[v], ==,
                          inside ? (float)((d * 3 + h) * 4 + w + 1) : 0.5f);
        g_assert_cmpint(label_at(out, 0)[v], ==, inside);
    }
    g_assert_cmpstr(loom_packet_id(out->pdata[0]), ==, "case");
    g_assert_null(loom_packet_geometry(out->pdata[0]));
}

static void test_crop_small(void)
{
    small_case("{use: crop, size: [5, 4, 4], pad_value: 0.5, foreground: 0}");
    small_case("{use: crop, size: [5, 4, 4], pad_value: 0.5, foreground: 1}");
}

/* Along the axis that is longer the middle is the voxel, at both ends half a patch outside. */
static void test_crop_border(void)
{
    for (gint64 at = 0; at < 9; at += 8) {
        g_autoptr(LoomTestStage) stage =
            loom_test_stage("{use: crop, size: [1, 1, 4], foreground: 1}", NULL, NULL);
        GPtrArray *out = loom_test_out(stage);
        LoomPacket *packet = counted_case(1, 1, 9);
        static const float left[] = {0, 0, 1, 2}, right[] = {7, 8, 9, 0};

        label_of(packet)[at] = 1;
        g_assert_cmpint(loom_test_push(stage, packet, 0, NULL), ==, LOOM_FLOW_OK);
        g_assert_true(memcmp(image_at(out, 0), at ? right : left, sizeof left) == 0);
    }
}

/* No foreground in the case: a forced patch lies anywhere. */
static void test_crop_background(void)
{
    g_autoptr(LoomTestStage) stage =
        loom_test_stage("{use: crop, size: [1, 1, 4], foreground: 1}", NULL, NULL);

    g_assert_cmpint(loom_test_push(stage, counted_case(1, 1, 9), 0, NULL), ==, LOOM_FLOW_OK);
    g_assert_cmpfloat(image_at(loom_test_out(stage), 0)[0], >=, 1);
}

/* With a margin the same patch lies in the middle of a larger one: its voxel size / 2 at
 * load / 2. */
static void margin_case(const char *foreground)
{
    g_autofree char *keys = g_strdup_printf(
        "{use: crop, size: [3, 5, 4], pad_value: 0.5, foreground: %s", foreground);
    g_autofree char *yaml = g_strconcat(keys, "}", NULL);
    g_autofree char *wider = g_strconcat(keys, ", margin: nnunet}", NULL);
    g_autoptr(LoomTestStage) plain = loom_test_stage(yaml, NULL, NULL);
    g_autoptr(LoomTestStage) loaded = loom_test_stage(wider, NULL, NULL);
    gint64 load[3];

    loom_patch_to_load((const gint64[]){3, 5, 4}, load);
    for (gint64 n = 0; n < 50; n++) {
        LoomPacket *packet = counted_case(9, 4, 7);

        for (gint64 v = 0; v < 252; v++)
            label_of(packet)[v] = v % 5 == 0;
        g_assert_cmpint(loom_test_push(plain, loom_packet_fork(packet), n, NULL), ==,
                        LOOM_FLOW_OK);
        g_assert_cmpint(loom_test_push(loaded, packet, n, NULL), ==, LOOM_FLOW_OK);
        const guint last = loom_test_out(plain)->len - 1;
        const LoomPacket *out = loom_test_out(loaded)->pdata[last];
        for (int i = 0; i < 3; i++)
            g_assert_cmpint(loom_tensor_shape(loom_packet_get(out, "label"))[i], ==, load[i]);
        for (gint64 v = 0; v < 60; v++) {
            const gint64 d = v / 20 + load[0] / 2 - 1, h = v / 4 % 5 + load[1] / 2 - 2;
            const gint64 at = (d * load[1] + h) * load[2] + v % 4 + load[2] / 2 - 2;

            g_assert_cmpfloat(image_at(loom_test_out(loaded), last)[at], ==,
                              image_at(loom_test_out(plain), last)[v]);
            g_assert_cmpint(label_at(loom_test_out(loaded), last)[at], ==,
                            label_at(loom_test_out(plain), last)[v]);
        }
    }
}

static void test_crop_margin(void)
{
    g_autoptr(LoomTestStage) stage =
        loom_test_stage("{use: crop, size: [40, 56, 40], margin: nnunet}", NULL, NULL);
    const LoomStage *crop =
        (const LoomStage *)loom_registry_find(loom_test_registry(), LOOM_KIND_STAGE, "crop");
    LoomPlan plan = {0};

    g_assert_true(crop->plan(loom_test_self(stage), &plan, NULL));
    g_assert_true(plan.d == 73 && plan.h == 80 && plan.w == 64);
    margin_case("0");
    margin_case("1");
}

/* Voxels of class K in plane D, as the stage `cache` counts them. */
static LoomTensor *counts_of(const LoomTensor *label, gint64 classes)
{
    const gint64 plane = loom_tensor_count_from(label, 'H');
    LoomTensor *counts = loom_tensor_new(
        LOOM_F32, "DK", ((const gint64[]){loom_tensor_size(label, 'D'), classes}), NULL);

    for (gint64 v = 0; v < loom_tensor_count(label); v++)
        loom_tensor_f32_mut(counts)[v / plane * classes + loom_tensor_u8(label)[v]] += 1;
    return counts;
}

/* Counted before or not: the same patches. */
static void test_crop_counts(void)
{
    static const char *const yaml = "{use: crop, size: [2, 3, 1], foreground: 0.8}";
    g_autoptr(LoomTestStage) scans = loom_test_stage(yaml, NULL, NULL);
    g_autoptr(LoomTestStage) knows = loom_test_stage(yaml, NULL, NULL);
    GPtrArray *a = loom_test_out(scans), *b = loom_test_out(knows);

    for (gint64 i = 0; i < 200; i++) {
        LoomPacket *plain = counted_case(4, 5, 6), *counted;
        LoomTensor *label =
            loom_test_random_labels("DHW", SHAPE(4, 5, 6), (guint64)i, 1 + i % 5);

        if (i % 3 == 0)
            memset(loom_tensor_u8_mut(label) + 17, LOOM_IGNORED, 50);
        loom_packet_set(plain, "label", label);
        counted = loom_packet_fork(plain);
        loom_packet_set(counted, "label.counts", counts_of(label, i % 3 ? 1 + i % 5 : 256));
        loom_test_push(scans, plain, i, NULL);
        loom_test_push(knows, counted, i, NULL);
        g_assert_true(loom_test_equal(loom_packet_get(a->pdata[i], "image"),
                                      loom_packet_get(b->pdata[i], "image")));
        g_assert_true(loom_test_equal(loom_packet_get(a->pdata[i], "label"),
                                      loom_packet_get(b->pdata[i], "label")));
        g_assert_null(loom_packet_get(b->pdata[i], "label.counts"));
    }
}

/* Counts of another label that add up are refused; those that do not are not looked at. */
static void test_crop_counts_wrong(void)
{
    g_autoptr(LoomTestStage) stage =
        loom_test_stage("{use: crop, size: [1, 1, 1], foreground: 1}", NULL, NULL);
    g_autoptr(GError) error = NULL;

    for (guint i = 0; i < 2; i++) {
        LoomPacket *packet = counted_case(2, 1, 3);

        label_of(packet)[1] = 1;
        loom_packet_set(packet, "label.counts",
                        i ? loom_test_f32("DK", SHAPE(2, 3), F32(0, 0, 3, 0, 0, 3))
                          : loom_test_f32("DK", SHAPE(2, 2), F32(NAN, 0, 1e30f, -5)));
        if (i)
            loom_assert_failed(loom_test_push(stage, packet, 1, &error), error, LOOM_ERROR,
                               LOOM_ERROR_FORMAT, "'label.counts' does not count this 'label'");
        else
            loom_test_push(stage, packet, 0, NULL);
    }
    g_assert_cmpfloat(image_at(loom_test_out(stage), 0)[0], ==, 2);
}

static void test_crop_errors(void)
{
    g_autoptr(LoomTestStage) stage =
        loom_test_stage("{use: crop, size: [1, 1, 1]}", NULL, NULL);
    LoomPacket *packet = counted_case(2, 2, 2);
    g_autoptr(GError) error = NULL;

    loom_packet_drop(packet, "label");
    loom_assert_failed(loom_test_push(stage, packet, 0, &error), error, LOOM_ERROR,
                       LOOM_ERROR_SHAPE, "case 'case': no 'label' to find foreground in");
    g_clear_error(&error);
    loom_assert_failed(loom_test_stage("{use: crop, size: [4, 4]}", NULL, &error), error,
                       LOOM_ERROR, LOOM_ERROR_CONFIG, "size has 2 numbers, want 3: D, H, W");
}

/* ---- batch -------------------------------------------------------------------------- */

static LoomPacket *numbered(const char *id, float value)
{
    LoomPacket *packet = loom_packet_new();

    loom_packet_set_id(packet, id);
    loom_packet_set(packet, "image",
                    loom_test_f32("CDHW", SHAPE(1, 1, 1, 2), F32(value, value + 0.5f)));
    loom_packet_set(packet, "label", loom_test_u8("DHW", SHAPE(1, 1, 2), U8((guint8)value, 9)));
    return packet;
}

static void test_batch(void)
{
    g_autoptr(LoomTestStage) stage = loom_test_stage("{use: batch, size: 2}", NULL, NULL);
    g_autoptr(LoomTensor) image =
        loom_test_f32("NCDHW", SHAPE(2, 1, 1, 1, 2), F32(1, 1.5, 2, 2.5));
    g_autoptr(LoomTensor) label = loom_test_u8("NDHW", SHAPE(2, 1, 1, 2), U8(1, 9, 2, 9));
    g_autoptr(LoomTensor) rest = loom_test_f32("NCDHW", SHAPE(1, 1, 1, 1, 2), F32(3, 3.5));
    GPtrArray *out = loom_test_out(stage);

    loom_test_start(stage, NULL);
    loom_test_push(stage, numbered("a", 1), 0, NULL);
    g_assert_cmpuint(out->len, ==, 0);
    loom_test_push(stage, numbered("b", 2), 1, NULL);
    loom_test_push(stage, numbered("c", 3), 2, NULL);
    g_assert_cmpuint(out->len, ==, 1);
    g_assert_true(loom_test_equal(loom_packet_get(out->pdata[0], "image"), image));
    g_assert_true(loom_test_equal(loom_packet_get(out->pdata[0], "label"), label));
    g_assert_cmpstr(loom_packet_id(out->pdata[0]), ==, "a+b");
    g_assert_cmpint(loom_packet_index(out->pdata[0]), ==, 0);

    loom_test_flush(stage, NULL); /* end of data: the rest leaves as it is */
    g_assert_cmpuint(out->len, ==, 2);
    g_assert_true(loom_test_equal(loom_packet_get(out->pdata[1], "image"), rest));
    g_assert_cmpstr(loom_packet_id(out->pdata[1]), ==, "c");
    g_assert_cmpint(loom_packet_index(out->pdata[1]), ==, 1);
    loom_test_flush(stage, NULL);
    g_assert_cmpuint(out->len, ==, 2);
}

/* What a stopped run left does not leak into the next one. */
static void test_batch_start(void)
{
    g_autoptr(LoomTestStage) stage = loom_test_stage("{use: batch, size: 2}", NULL, NULL);

    loom_test_push(stage, numbered("old", 1), 0, NULL);
    loom_test_start(stage, NULL);
    loom_test_push(stage, numbered("a", 2), 0, NULL);
    loom_test_push(stage, numbered("b", 3), 1, NULL);
    g_assert_cmpstr(loom_packet_id(loom_test_out(stage)->pdata[0]), ==, "a+b");
}

static void test_batch_unequal(void)
{
    g_autoptr(LoomTestStage) stage = loom_test_stage("{use: batch, size: 3}", NULL, NULL);
    LoomPacket *other = loom_packet_new();
    g_autoptr(GError) error = NULL;

    loom_packet_set_id(other, "b");
    loom_packet_set(other, "image", loom_test_f32("CDHW", SHAPE(1, 1, 1, 1), F32(0)));
    loom_test_push(stage, numbered("a", 1), 0, NULL);
    loom_assert_failed(loom_test_push(stage, other, 1, &error), error, LOOM_ERROR,
                       LOOM_ERROR_SHAPE,
                       "'image' of case 'a' is f32 (C,D,H,W) = (1,1,1,2), of case 'b' f32 "
                       "(C,D,H,W) = (1,1,1,1)");
    g_clear_error(&error);

    g_autoptr(LoomTestStage) second = loom_test_stage("{use: batch, size: 3}", NULL, NULL);
    other = numbered("b", 1);
    loom_packet_drop(other, "label");
    loom_test_push(second, numbered("a", 1), 0, NULL);
    loom_assert_failed(loom_test_push(second, other, 1, &error), error, LOOM_ERROR,
                       LOOM_ERROR_SHAPE, "of case 'b' missing");
}

static void test_ratios(void)
{
    g_autoptr(LoomTestStage) crop =
        loom_test_stage("{use: crop, size: [3, 4, 5], per_volume: 6}", NULL, NULL);
    g_autoptr(LoomTestStage) batch = loom_test_stage("{use: batch, size: 7}", NULL, NULL);
    const LoomRegistry *registry = loom_test_registry();
    const LoomStage *a =
        (const LoomStage *)loom_registry_find(registry, LOOM_KIND_STAGE, "crop");
    const LoomStage *b =
        (const LoomStage *)loom_registry_find(registry, LOOM_KIND_STAGE, "batch");
    LoomPlan plan = {.c = 2, .d = 100};
    gint64 in, out;

    a->ratio(loom_test_self(crop), &in, &out);
    g_assert_true(in == 1 && out == 6);
    b->ratio(loom_test_self(batch), &in, &out);
    g_assert_true(in == 7 && out == 1);
    g_assert_true(a->plan(loom_test_self(crop), &plan, NULL));
    g_assert_true(b->plan(loom_test_self(batch), &plan, NULL));
    g_assert_true(plan.n == 7 && plan.c == 2 && plan.d == 3 && plan.h == 4 && plan.w == 5);
}

/* Half of the case is ignored, and the ignored label is no foreground to look for: every patch
 * has a voxel in its middle that counts. */
static void test_crop_ignored(void)
{
    g_autoptr(LoomTestStage) stage = loom_test_stage(
        "{use: crop, size: [3, 3, 3], foreground: 0.5, per_volume: 4}", NULL, NULL);
    const GPtrArray *out = loom_test_out(stage);

    for (gint64 i = 0; i < 25; i++) {
        LoomPacket *packet = counted_case(6, 6, 6);

        memset(label_of(packet), LOOM_IGNORED, 108); /* planes D 0 to 2 */
        label_of(packet)[200] = i % 2 ? 1 : 0;       /* without foreground as well */
        g_assert_cmpint(loom_test_push(stage, packet, i, NULL), ==, LOOM_FLOW_OK);
    }
    g_assert_cmpuint(out->len, ==, 100);
    for (guint i = 0; i < 100; i++) {
        const float middle = image_at(out, i)[13]; /* voxel v holds v + 1 */

        g_assert_cmpfloat((double)middle, >, 108);
        if (i / 4 % 2 && i % 2) /* every second is forced, where there is foreground */
            g_assert_cmpfloat((double)middle, ==, 201);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/stages/crop/share", test_crop_share);
    g_test_add_func("/stages/crop/classes", test_crop_classes);
    g_test_add_func("/stages/crop/uniform", test_crop_uniform);
    g_test_add_func("/stages/crop/small", test_crop_small);
    g_test_add_func("/stages/crop/border", test_crop_border);
    g_test_add_func("/stages/crop/background", test_crop_background);
    g_test_add_func("/stages/crop/margin", test_crop_margin);
    g_test_add_func("/stages/crop/counts", test_crop_counts);
    g_test_add_func("/stages/crop/counts-wrong", test_crop_counts_wrong);
    g_test_add_func("/stages/crop/errors", test_crop_errors);
    g_test_add_func("/stages/batch/stack", test_batch);
    g_test_add_func("/stages/batch/start", test_batch_start);
    g_test_add_func("/stages/batch/unequal", test_batch_unequal);
    g_test_add_func("/stages/sample/ratios", test_ratios);
    g_test_add_func("/crop/ignored", test_crop_ignored);
    return loom_test_run();
}
