/* rotate_scale and what it is made of: cuts, turns, scales, labels, what lies outside; the
 * angles and scales that it draws, read off from an image of coordinates. */
#include "../../stages/augment/resample.h"
#include "loom_test.h"

#include <math.h>
#include <string.h>

static const double unit[3][3] = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}};

/* A cube about its own middle. */
static Resample cube(gint64 edge, const double matrix[3][3])
{
    Resample resample = {.from = {edge, edge, edge}, .to = {edge, edge, edge}};

    memcpy(resample.matrix, matrix, sizeof resample.matrix);
    for (int i = 0; i < 3; i++)
        resample.centre_from[i] = resample.centre_to[i] = (double)(edge - 1) / 2;
    return resample;
}

/* ---- resample ----------------------------------------------------------------------- */

static void test_identity(void)
{
    g_autoptr(LoomTensor) image = loom_test_random("DHW", SHAPE(6, 6, 6), 3, -2, 2);
    g_autoptr(LoomTensor) label = loom_test_random_labels("DHW", SHAPE(6, 6, 6), 4, 200);
    const Resample same = cube(6, unit);
    float y[216];
    guint8 k[216];

    resample_linear(&same, loom_tensor_f32(image), y);
    resample_labels(&same, loom_tensor_u8(label), k);
    g_assert_true(memcmp(y, loom_tensor_f32(image), sizeof y) == 0);
    g_assert_true(memcmp(k, loom_tensor_u8(label), sizeof k) == 0);
}

/* A quarter turn about one axis moves voxel (a, b) of the other two to (n-1-b, a): exact but
 * for cos 90 degrees, 6e-17, and so is a weight of 1e-15 at the voxel beside. */
static void quarter_turn(int axis, gint64 n)
{
    const int a = (axis + 1) % 3, b = (axis + 2) % 3;
    const gint64 stride[3] = {n * n, n, 1};
    g_autoptr(LoomTensor) image = loom_test_random("DHW", SHAPE(n, n, n), 3, 0, 1);
    g_autoptr(LoomTensor) label = loom_test_random_labels("DHW", SHAPE(n, n, n), 4, 5);
    float y[343];
    guint8 k[343];
    double m[3][3] = {{0}};

    m[axis][axis] = 1;
    m[a][a] = m[b][b] = cos(G_PI / 2);
    m[a][b] = -sin(G_PI / 2);
    m[b][a] = sin(G_PI / 2);
    const Resample turn = cube(n, (const double(*)[3])m);
    resample_linear(&turn, loom_tensor_f32(image), y);
    resample_labels(&turn, loom_tensor_u8(label), k);
    for (gint64 v = 0; v < n * n * n; v++) {
        const gint64 p[3] = {v / stride[0], v / n % n, v % n};
        const gint64 from =
            p[axis] * stride[axis] + (n - 1 - p[b]) * stride[a] + p[a] * stride[b];

        loom_assert_near((double)y[v], (double)loom_tensor_f32(image)[from], 1e-7);
        g_assert_cmpint(k[v], ==, loom_tensor_u8(label)[from]);
    }
}

static void test_quarter_turn(void)
{
    for (int axis = 0; axis < 3; axis++) {
        quarter_turn(axis, 6);
        quarter_turn(axis, 7);
    }
}

/* Half a voxel over the border: half of the weight lies outside, where there is 0. */
static void test_outside(void)
{
    const float x[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    Resample shifted = cube(2, unit);
    float y[8];

    for (int i = 0; i < 3; i++) {
        shifted = cube(2, unit);
        shifted.centre_from[i] += 1.5; /* voxel 0 is taken at 1.5, voxel 1 at 2.5 */
        resample_linear(&shifted, x, y);
        for (int v = 0; v < 8; v++)
            g_assert_cmpfloat(y[v], ==, v >> (2 - i) & 1 ? 0.0f : 0.5f);
        shifted.centre_from[i] = 1e15; /* far away is no crash */
        resample_linear(&shifted, x, y);
        for (int v = 0; v < 8; v++)
            g_assert_cmpfloat(y[v], ==, 0);
    }
}

/* Two voxels of a row, and one taken between them. */
static guint8 label_between(guint8 left, guint8 right, double at)
{
    const guint8 x[2] = {left, right};
    Resample one = {.from = {1, 1, 2}, .to = {1, 1, 1}, .centre_from = {0, 0, at}};
    guint8 y = 99;

    memcpy(one.matrix, unit, sizeof unit);
    resample_labels(&one, x, &y);
    return y;
}

static void test_labels(void)
{
    g_assert_cmpint(label_between(0, 2, 0.49), ==, 0);
    g_assert_cmpint(label_between(0, 2, 0.5), ==, 2); /* one half: the higher class */
    g_assert_cmpint(label_between(2, 0, 0.5), ==, 2);
    g_assert_cmpint(label_between(1, 255, 0.51), ==, 255); /* 255 may mean: ignore */
    g_assert_cmpint(label_between(3, 3, 0.5), ==, 3);
    g_assert_cmpint(label_between(0, 3, 1.4), ==, 3); /* over the border, most of it inside */
    g_assert_cmpint(label_between(0, 3, 1.6), ==, 0);
}

/* ---- the stage ---------------------------------------------------------------------- */

/* Channel i of the image holds the voxel's coordinate along axis i. */
static LoomTensor *coordinates(const gint64 size[3])
{
    const gint64 shape[4] = {3, size[0], size[1], size[2]},
                 voxels = size[0] * size[1] * size[2];
    LoomTensor *image = loom_tensor_new(LOOM_F32, "CDHW", shape, NULL);

    for (gint64 v = 0; v < voxels; v++) {
        loom_tensor_f32_mut(image)[v] = (float)(v / (size[1] * size[2]));
        loom_tensor_f32_mut(image)[voxels + v] = (float)(v / size[2] % size[1]);
        loom_tensor_f32_mut(image)[2 * voxels + v] = (float)(v % size[2]);
    }
    return image;
}

static void test_cut(void)
{
    g_autoptr(LoomTestStage) stage = loom_test_stage(
        "{use: rotate_scale, size: [3, 4, 2], rotation_chance: 0, scale_chance: 0}", NULL,
        NULL);
    g_autoptr(LoomTensor) label = loom_test_random_labels("DHW", SHAPE(6, 4, 7), 2, 9);
    const LoomPacket *out = loom_test_through(stage, coordinates((const gint64[]){6, 4, 7}),
                                              loom_tensor_copy(label, NULL), 0);
    const float *x = loom_tensor_f32(loom_packet_get(out, "image"));
    const guint8 *k = loom_tensor_u8(loom_packet_get(out, "label"));

    for (gint64 v = 0; v < 24; v++) { /* the middles, 6/2 4/2 7/2, become 3/2 4/2 2/2 */
        const gint64 d = v / 8 + 2, h = v / 2 % 4, w = v % 2 + 2;

        g_assert_cmpfloat(x[v], ==, (float)d);
        g_assert_cmpfloat(x[24 + v], ==, (float)h);
        g_assert_cmpfloat(x[48 + v], ==, (float)w);
        g_assert_cmpint(k[v], ==, loom_tensor_u8(label)[(d * 4 + h) * 7 + w]);
    }
}

/* Nothing to do: not even a copy is made. */
static void test_same(void)
{
    g_autoptr(LoomTestStage) stage = loom_test_stage(
        "{use: rotate_scale, size: [3, 4, 2], rotation_chance: 0, scale_chance: 0}", NULL,
        NULL);
    g_autoptr(LoomTensor) image = coordinates((const gint64[]){3, 4, 2});

    g_assert_true(
        loom_packet_get(loom_test_through(stage, loom_tensor_ref(image), NULL, 0), "image")
        == image);
}

/* The matrix of a packet, from differences of coordinates; f32 of values below 64: 1e-5. */
static void matrix_of(LoomTestStage *stage, const gint64 load[3], gint64 index, double m[3][3])
{
    const LoomPacket *out = loom_test_through(stage, coordinates(load), NULL, index);
    const LoomTensor *image = loom_packet_get(out, "image");
    const gint64 *size = loom_tensor_shape(image) + 1;
    const gint64 voxels = loom_tensor_count_from(image, 'D');
    const gint64 stride[3] = {size[1] * size[2], size[2], 1};

    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 3; k++) {
            const float *x = loom_tensor_f32(image) + i * voxels;

            m[i][k] = (double)(x[stride[k]] - x[0]);
        }
}

/* M = R0 R1 R2 with angles up to 30 degrees: M^T M = 1; the angles come back as
 *   sin a1 = M[0][2],  tan a0 = -M[1][2] / M[2][2],  tan a2 = -M[0][1] / M[0][0]. */
static void test_rotation(void)
{
    g_autoptr(LoomTestStage) stage = loom_test_stage(
        "{use: rotate_scale, size: [2, 2, 2], rotation_chance: 1, scale_chance: 0}", NULL,
        NULL);
    double sum[3] = {0}, squares[3] = {0};

    for (gint64 n = 0; n < 1000; n++) {
        double m[3][3];

        matrix_of(stage, (const gint64[]){8, 8, 8}, n, m);
        for (int i = 0; i < 3; i++)
            for (int k = 0; k < 3; k++)
                loom_assert_near(m[0][i] * m[0][k] + m[1][i] * m[1][k] + m[2][i] * m[2][k],
                                 i == k, 1e-5);
        const double angle[3] = {atan2(-m[1][2], m[2][2]), asin(m[0][2]),
                                 atan2(-m[0][1], m[0][0])};
        for (int i = 0; i < 3; i++) {
            const double degrees = angle[i] * 180 / G_PI;

            g_assert_cmpfloat(fabs(degrees), <=, 30.001);
            sum[i] += degrees / 1000;
            squares[i] += degrees * degrees / 1000;
        }
    }
    for (int i = 0; i < 3; i++) { /* U(-30, 30): variance 300, its sample's deviation 8.5 */
        loom_assert_near(sum[i], 0, 5 * sqrt(300.0 / 1000));
        loom_assert_near(squares[i], 300, 43);
    }
}

/* 2 x 8 x 8 is slices: D stays as it is, H and W turn by any angle and scale alike. */
static void test_slices(void)
{
    g_autoptr(LoomTestStage) stage = loom_test_stage(
        "{use: rotate_scale, size: [2, 8, 8], rotation_chance: 1, scale_chance: 1}", NULL,
        NULL);
    guint quadrant[4] = {0};

    for (gint64 n = 0; n < 400; n++) {
        double m[3][3];

        matrix_of(stage, (const gint64[]){2, 64, 64}, n, m);
        loom_assert_near(m[0][0], 1, 1e-5);
        for (int i = 1; i < 3; i++) {
            loom_assert_near(m[0][i], 0, 1e-5);
            loom_assert_near(m[i][0], 0, 1e-5);
        }
        loom_assert_near(m[1][1], m[2][2], 2e-5);
        loom_assert_near(m[1][2], -m[2][1], 2e-5);
        const double scale = hypot(m[1][1], m[2][1]);
        g_assert_true(scale > 0.7 - 1e-5 && scale < 1.4 + 1e-5);
        quadrant[(m[1][1] > 0) + 2 * (m[2][1] > 0)]++;
    }
    for (int i = 0; i < 4; i++) /* 100, deviation sqrt(400 * 3 / 16) = 8.7 */
        loom_assert_near(quadrant[i], 100, 44);
}

/* What `slices` and `rotation` say goes before the rule. */
static void test_overridden(void)
{
    g_autoptr(LoomTestStage) stage =
        loom_test_stage("{use: rotate_scale, size: [2, 8, 8], slices: W, rotation: 5, "
                        "rotation_chance: 1, scale_chance: 0}",
                        NULL, NULL);

    for (gint64 n = 0; n < 50; n++) {
        double m[3][3];

        matrix_of(stage, (const gint64[]){8, 16, 16}, n, m);
        loom_assert_near(m[2][2], 1, 1e-5);
        g_assert_cmpfloat(m[0][0], >=, cos(5 * G_PI / 180) - 1e-5);
        g_assert_cmpfloat(fabs(m[0][1]), >, 0);
    }
}

static void test_scale(void)
{
    g_autoptr(LoomTestStage) stage = loom_test_stage(
        "{use: rotate_scale, size: [2, 2, 2], rotation_chance: 0, scale_chance: 1}", NULL,
        NULL);
    double sum = 0;

    for (gint64 n = 0; n < 1000; n++) {
        double m[3][3];

        matrix_of(stage, (const gint64[]){8, 8, 8}, n, m);
        for (int i = 0; i < 3; i++)
            for (int k = 0; k < 3; k++)
                loom_assert_near(m[i][k], i == k ? m[0][0] : 0, 1e-5);
        g_assert_true(m[0][0] > 0.7 - 1e-5 && m[0][0] < 1.4 + 1e-5);
        sum += m[0][0] / 1000;
    }
    loom_assert_near(sum, 1.05, 5 * 0.7 / sqrt(12.0 * 1000));
}

static void test_chance(void)
{
    g_autoptr(LoomTestStage) stage =
        loom_test_stage("{use: rotate_scale, size: [2, 2, 2]}", NULL, NULL);
    int turned = 0, scaled = 0, both = 0;

    for (gint64 n = 0; n < 2000; n++) {
        double m[3][3];

        matrix_of(stage, (const gint64[]){8, 8, 8}, n, m);
        const gboolean turn = fabs(m[0][1]) > 1e-5;
        const gboolean scale = fabs(hypot(hypot(m[0][0], m[1][0]), m[2][0]) - 1) > 1e-5;
        turned += turn;
        scaled += scale;
        both += turn && scale;
    }
    loom_assert_near(turned, 400, 90); /* deviation sqrt(2000 * 0.16) = 17.9 */
    loom_assert_near(scaled, 400, 90);
    loom_assert_near(both, 80, 44); /* sqrt(2000 * 0.04 * 0.96) = 8.8 */
}

/* The label goes where the image goes: a cube of class 1, and an image that is 1 in it. */
static void test_together(void)
{
    g_autoptr(LoomTestStage) stage = loom_test_stage(
        "{use: rotate_scale, size: [9, 9, 9], rotation_chance: 1, scale_chance: 1}", NULL,
        NULL);

    for (gint64 n = 0; n < 30; n++) {
        LoomTensor *image =
            loom_tensor_new(LOOM_F32, "CDHW", (const gint64[]){1, 13, 13, 13}, NULL);
        LoomTensor *label = loom_tensor_new(LOOM_U8, "DHW", (const gint64[]){13, 13, 13}, NULL);

        for (gint64 v = 0; v < 13 * 13 * 13; v++)
            if (v / 169 >= 5 && v / 169 < 9 && v / 13 % 13 >= 4 && v / 13 % 13 < 8
                && v % 13 >= 5) {
                loom_tensor_f32_mut(image)[v] = 1;
                loom_tensor_u8_mut(label)[v] = 1;
            }
        const LoomPacket *out = loom_test_through(stage, image, label, n);
        const float *x = loom_tensor_f32(loom_packet_get(out, "image"));
        for (gint64 v = 0; v < 729; v++)
            if (fabsf(x[v] - 0.5f) > 1e-5f)
                g_assert_cmpint(loom_tensor_u8(loom_packet_get(out, "label"))[v], ==,
                                x[v] > 0.5f);
    }
}

static void test_errors(void)
{
    static const struct {
        const char *keys, *text;
    } wrong[] = {
        {"size: [4, 4]", "size has 2 numbers, want 3: D, H, W"},
        {"size: [4, 4, 4], rotation: [1, 2, 3]",
         "rotation has 3 numbers, want one angle for all axes, or none"},
        {"size: [4, 4, 4], scale_low: 2", "scale_low (2) must not be above scale_high (1.4)"},
        {"size: [4, 4, 4], slices: C", "auto, none, D, H, W"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autofree char *yaml = g_strdup_printf("{use: rotate_scale, %s}", wrong[i].keys);
        g_autoptr(GError) error = NULL;

        loom_assert_failed(loom_test_stage(yaml, NULL, &error), error, LOOM_ERROR,
                           LOOM_ERROR_CONFIG, wrong[i].text);
    }
}

static void test_small(void)
{
    g_autoptr(LoomTestStage) stage =
        loom_test_stage("{use: rotate_scale, size: [40, 56, 40]}", NULL, NULL);
    const LoomStage *descriptor = (const LoomStage *)loom_registry_find(
        loom_test_registry(), LOOM_KIND_STAGE, "rotate_scale");
    static const char text[] =
        "patches of 40 x 55 x 40 arrive, want at least size, [40, 56, 40]; a crop of that size "
        "with margin: nnunet makes 73 x 80 x 64";
    LoomPlan small = {.d = 40, .h = 55, .w = 40}, plan = {.d = 73, .h = 80, .w = 64};
    LoomPacket *packet = loom_packet_new();
    g_autoptr(GError) planned = NULL;
    g_autoptr(GError) error = NULL;

    loom_assert_failed(descriptor->plan(loom_test_self(stage), &small, &planned), planned,
                       LOOM_ERROR, LOOM_ERROR_SHAPE, text);
    g_assert_true(descriptor->plan(loom_test_self(stage), &plan, NULL));
    g_assert_cmpint(plan.d * 10000 + plan.h * 100 + plan.w, ==, 405640);
    loom_packet_set(packet, "image", coordinates((const gint64[]){40, 55, 40}));
    loom_assert_failed(loom_test_push(stage, packet, 0, &error), error, LOOM_ERROR,
                       LOOM_ERROR_SHAPE, text);
}

/* ---- loom/rotation.h ---------------------------------------------------------------- */

static void test_rules(void)
{
    static const struct {
        gint64 size[3];
        int slices;
        double degrees;
    } rules[] = {
        {{128, 128, 128}, -1, 30}, {{40, 120, 40}, -1, 30}, {{40, 121, 40}, 0, 180},
        {{320, 256, 20}, 2, 180},  {{1, 64, 96}, 0, 180},   {{1, 64, 97}, 0, 15},
        {{1, 1, 1}, -1, 30},
    };

    for (guint i = 0; i < G_N_ELEMENTS(rules); i++) {
        const int slices = loom_patch_slices(rules[i].size);

        g_assert_cmpint(slices, ==, rules[i].slices);
        loom_assert_near(loom_patch_rotation(rules[i].size, slices), rules[i].degrees, 0);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/augment/resample/identity", test_identity);
    g_test_add_func("/augment/resample/quarter-turn", test_quarter_turn);
    g_test_add_func("/augment/resample/outside", test_outside);
    g_test_add_func("/augment/resample/labels", test_labels);
    g_test_add_func("/stages/rotate_scale/cut", test_cut);
    g_test_add_func("/stages/rotate_scale/same", test_same);
    g_test_add_func("/stages/rotate_scale/rotation", test_rotation);
    g_test_add_func("/stages/rotate_scale/slices", test_slices);
    g_test_add_func("/stages/rotate_scale/overridden", test_overridden);
    g_test_add_func("/stages/rotate_scale/scale", test_scale);
    g_test_add_func("/stages/rotate_scale/chance", test_chance);
    g_test_add_func("/stages/rotate_scale/together", test_together);
    g_test_add_func("/stages/rotate_scale/errors", test_errors);
    g_test_add_func("/stages/rotate_scale/small", test_small);
    g_test_add_func("/augment/rotation/rules", test_rules);
    return loom_test_run();
}
