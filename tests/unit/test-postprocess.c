/* postprocess on label maps that can be drawn: one plane, or a few voxels that touch. */
#include "loom_test.h"

#include <string.h>

/* @rows: digits and dots, one string a row of one plane; voxels of 2 mm3. */
static LoomPacket *plane(const char *const *rows, guint n)
{
    const gint64 width = (gint64)strlen(rows[0]), size[3] = {width, n, 1};
    const double spacing[3] = {1, 2, 1};
    LoomPacket *packet = loom_packet_new();
    LoomTensor *label = loom_tensor_new(LOOM_U8, "DHW", (gint64[]){1, n, width}, NULL);
    LoomGeometry geometry;

    for (guint h = 0; h < n; h++)
        for (gint64 w = 0; w < width; w++)
            loom_tensor_u8_mut(label)[h * width + w] =
                rows[h][w] == '.' ? 0 : (guint8)(rows[h][w] - '0');
    loom_geometry_plain(&geometry, size, spacing);
    loom_packet_set_geometry(packet, &geometry);
    loom_packet_set(packet, "prediction", label);
    return packet;
}

static void check(const char *keys, const char *const *rows, const char *const *expected,
                  guint n)
{
    g_autofree char *yaml = g_strdup_printf("{use: postprocess%s}", keys);
    g_autoptr(LoomTestStage) stage = loom_test_stage(yaml, NULL, NULL);
    g_autoptr(LoomPacket) wanted = plane(expected, n);

    g_assert_cmpint(loom_test_push(stage, plane(rows, n), 0, NULL), ==, LOOM_FLOW_OK);
    g_assert_true(loom_test_equal(loom_packet_get(loom_test_out(stage)->pdata[0], "prediction"),
                                  loom_packet_get(wanted, "prediction")));
}

static const char *const parts[] = {"11..2.2.", /* */
                                    "1..22...", /* */
                                    "......11", /* */
                                    "3.......", /* */
                                    "3.....33"};

static void test_nothing(void)
{
    check("", parts, parts, 5);
}

static void test_largest(void)
{
    static const char *const one[] = {"11..2.2.", "1..22...", "........", "3.......",
                                      "3.....33"};
    /* by faces the four 2s are three and one; of equal parts of 3 the first stays */
    static const char *const faces[] = {"11..2...", "1..22...", "........", "3.......",
                                        "3......."};

    check(", keep_largest: [1]", parts, one, 5);
    check(", keep_largest: [3, 1, 2], neighbours: 6", parts, faces, 5);
}

/* 1 and 2 touch nowhere; the 2s and 1s at the right do, by a corner: no. */
static void test_foreground(void)
{
    static const char *const rows[] = {"112....", "..2....", ".......", "3333..1"};
    static const char *const whole[] = {"112....", "..2....", ".......", "......."};
    static const char *const three[] = {".......", ".......", ".......", "3333..."};

    check(", keep_largest_foreground: true", rows, whole, 4); /* 4 voxels, as many as the 3s */
    check(", keep_largest_foreground: true, keep_largest: [2]", rows, whole, 4);
    static const char *const apart[] = {"11.....", "....2..", ".......", "3333..1"};
    check(", keep_largest_foreground: true", apart, three, 4);
}

/* Voxels of 2 mm3: 6 mm3 are three of them. */
static void test_small(void)
{
    static const char *const kept[] = {"11..2...", "1..22...", "........", "........",
                                       "........"};
    static const char *const none[] = {"........", "........", "........", "........",
                                       "........"};
    g_autoptr(LoomTestStage) stage =
        loom_test_stage("{use: postprocess, remove_small: 1}", NULL, NULL);
    g_autoptr(GError) error = NULL;
    LoomPacket *nowhere = loom_packet_new();

    check(", remove_small: 6, neighbours: 6", parts, kept, 5);
    check(", remove_small: 6.1, neighbours: 6", parts, none, 5);
    check(", remove_small: 1e12", parts, none, 5);
    loom_packet_set(nowhere, "prediction", loom_test_u8("DHW", SHAPE(1, 1, 2), U8(0, 1)));
    loom_assert_failed(loom_test_push(stage, nowhere, 0, &error), error, LOOM_ERROR,
                       LOOM_ERROR_SHAPE, "remove_small wants voxel sizes");
}

static void test_wrong(void)
{
    g_autoptr(GError) error = NULL;

    loom_assert_failed(loom_test_stage("{use: postprocess, neighbours: 18}", NULL, &error),
                       error, LOOM_ERROR, LOOM_ERROR_CONFIG, "neighbours is 18, want 6 or 26");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/stages/postprocess/nothing", test_nothing);
    g_test_add_func("/stages/postprocess/largest", test_largest);
    g_test_add_func("/stages/postprocess/foreground", test_foreground);
    g_test_add_func("/stages/postprocess/small", test_small);
    g_test_add_func("/stages/postprocess/wrong", test_wrong);
    return loom_test_run();
}
