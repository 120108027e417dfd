/* Pictures of predictions: which slice, which way up, which cases, which files. */
#include "loom_test.h"

#include "../stages/report/overlay_cases.h"
#include "../stages/report/overlay_draw.h"
#include "../stages/report/overlay_image.h"

#include <cairo.h>
#include <glib/gstdio.h>
#include <json-glib/json-glib.h>
#include <math.h>
#include <string.h>

#define PANEL_LEFT 338 /* of the second panel of a row, pixels */
#define PANEL_TOP 44   /* of the first row */
#define PANEL 320

static OverlayPlane plane_of(const char *axes, double i, double j, double k)
{
    const gint64 size[3] = {4, 5, 6};
    const double mm[3] = {i, j, k};
    LoomGeometry geometry;
    OverlayPlane plane;

    loom_geometry_plain(&geometry, size, mm);
    memcpy(geometry.axes, axes, 4);
    overlay_plane_find(&plane, &geometry);
    return plane;
}

static void assert_ends(const OverlayPlane *plane, const char *name, const char *ends)
{
    const char found[] = {plane->left_end, plane->right_end, plane->top_end, plane->bottom_end,
                          0};

    g_assert_cmpstr(plane->name, ==, name);
    g_assert_cmpstr(found, ==, ends);
}

/* ---- planes ------------------------------------------------------------------------- */

static void test_turned(void)
{
    OverlayPlane ras = plane_of("RAS", 1, 1, 1), lps = plane_of("LPS", 1, 1, 1);

    assert_ends(&ras, "axial", "RLAP");
    assert_ends(&lps, "axial", "RLAP");
    g_assert_true(ras.turn_right && ras.turn_down); /* i grows to R, which is on the left */
    g_assert_false(lps.turn_right || lps.turn_down);
    g_assert_cmpint(ras.n, ==, 6);
    /* the screen's upper left corner is the patient's front right: i = 3, j = 4 of k = 2 */
    ras.index = lps.index = 2;
    g_assert_cmpint(overlay_plane_at(&ras, 0, 0), ==, (2 * 5 + 4) * 4 + 3);
    g_assert_cmpint(overlay_plane_at(&lps, 0, 0), ==, (2 * 5 + 0) * 4 + 0);
    g_assert_cmpint(overlay_plane_at(&ras, 1, 0), ==, (2 * 5 + 4) * 4 + 2);
}

/* Across the largest voxel edge, whichever axis of the file it is. */
static void test_finest(void)
{
    const OverlayPlane coronal = plane_of("RAS", 1, 4, 1), sagittal = plane_of("RAS", 3, 1, 1);
    const OverlayPlane swapped = plane_of("SRA", 1, 1, 1); /* i is the long way up */

    assert_ends(&coronal, "coronal", "RLSI");
    g_assert_cmpint(coronal.n, ==, 5);
    g_assert_cmpfloat(coronal.mm_right, ==, 1);
    assert_ends(&sagittal, "sagittal", "APSI");
    g_assert_cmpint(sagittal.n, ==, 4);
    assert_ends(&swapped, "axial", "RLAP");
    g_assert_cmpint(swapped.n, ==, 4);
}

static void test_unknown(void)
{
    LoomGeometry geometry;
    OverlayPlane plane;

    loom_geometry_plain(&geometry, (const gint64[]){4, 5, 6}, (const double[]){1, 1, 1});
    geometry.qform_code = geometry.sform_code = 0; /* nobody said where the patient lies */
    overlay_plane_find(&plane, &geometry);
    assert_ends(&plane, "", "");
    g_assert_cmpint(plane.n, ==, 6);
    g_assert_cmpint(overlay_plane_at(&plane, 1, 0), ==, 1);
}

/* Class 1 fills slice 1 and lies in slice 3 as well; class 2 is one voxel of slice 4. */
static void test_choose(void)
{
    guint8 truth[4 * 5 * 6] = {0}, prediction[4 * 5 * 6] = {0};
    OverlayPlane plane = plane_of("LPS", 1, 1, 1);

    memset(truth + 20, 1, 20);
    memset(truth + 60, 1, 15);
    overlay_plane_choose(&plane, truth, prediction, FALSE);
    g_assert_cmpint(plane.index, ==, 1);
    truth[80] = 2; /* all of a class is more than 20 / 35 of another */
    overlay_plane_choose(&plane, truth, prediction, FALSE);
    g_assert_cmpint(plane.index, ==, 4);
    memset(prediction + 20, 1, 20);
    overlay_plane_choose(&plane, truth, prediction, TRUE); /* 15 of slice 3 are missed */
    g_assert_cmpint(plane.index, ==, 3);
    overlay_plane_choose(&plane, prediction, prediction, TRUE); /* no error: foreground */
    g_assert_cmpint(plane.index, ==, 1);
    memset(truth, 0, sizeof truth);
    overlay_plane_choose(&plane, truth, prediction, FALSE); /* none in the truth */
    g_assert_cmpint(plane.index, ==, 1);
    overlay_plane_choose(&plane, truth, truth, FALSE);
    g_assert_cmpint(plane.index, ==, 3); /* nothing at all: the middle */
}

static void test_region(void)
{
    static guint8 truth[100 * 80], nothing[100 * 80];
    OverlayPlane plane = {.normal = 0,
                          .right = 2,
                          .down = 1,
                          .n = 1,
                          .n_right = 100,
                          .n_down = 80,
                          .mm_right = 1,
                          .mm_down = 2,
                          .name = ""};
    OverlayRegion region;

    overlay_plane_region(&plane, nothing, nothing, &region);
    g_assert_cmpint(region.width, ==, 100);
    g_assert_cmpint(region.height, ==, 80);
    for (guint y = 40; y < 50; y++)
        memset(truth + y * 100 + 30, 1, 10); /* 10 mm by 20 mm, around (35, 45) */
    overlay_plane_region(&plane, truth, nothing, &region);
    g_assert_cmpint(region.width, ==, 32); /* 20 mm and 30 % on each side: 32 mm */
    g_assert_cmpint(region.height, ==, 16);
    g_assert_cmpint(region.x, ==, 35 - 16);
    g_assert_cmpint(region.y, ==, 45 - 8);
    truth[0] = truth[79 * 100 + 99] = 1; /* corner to corner */
    overlay_plane_region(&plane, nothing, truth, &region);
    g_assert_cmpint(region.width, ==, 100);
    g_assert_cmpint(region.height, ==, 80);
}

/* ---- cases of several ranks --------------------------------------------------------- */

/* A case that was drawn, as a rank keeps it. */
static void case_keep(OverlayCases *cases, gint64 number, double dice, const char *png)
{
    OverlayShown *shown = g_new0(OverlayShown, 1);

    shown->number = number;
    shown->id = g_strdup_printf("case %d", (int)number);
    shown->dice = dice;
    shown->counts[2] = 10 * number;
    g_assert_true(overlay_cases_add(cases, shown));
    shown->plane = g_strdup("axial");
    shown->slice = 7;
    shown->png = g_bytes_new(png, strlen(png));
}

static const OverlayShown *case_at(const OverlayCases *cases, guint i)
{
    return cases->all->pdata[i];
}

/* Two ranks, two cases each: the worst and the best of all four, in the data set's order. */
static void test_ranks(void)
{
    OverlayCases a, b;
    g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    g_autoptr(GError) error = NULL;
    const char damaged[] = "not what a rank packs";

    overlay_cases_init(&a, 2);
    overlay_cases_init(&b, 2);
    case_keep(&a, 1, 0.5, "of 1");
    case_keep(&a, 3, 0.9, "of 3");
    case_keep(&b, 0, 0.1, "of 0");
    case_keep(&b, 2, 1.0, "of 2");
    g_ptr_array_add(all, overlay_cases_pack(&a));
    g_ptr_array_add(all, overlay_cases_pack(&b));
    g_assert_true(overlay_cases_unite(&a, all, &error));
    g_assert_cmpuint(a.all->len, ==, 4);
    for (guint i = 0; i < 4; i++) {
        const OverlayShown *shown = case_at(&a, i);

        g_assert_cmpint(shown->number, ==, i);
        g_assert_cmpint(shown->counts[2], ==, 10 * i);
        g_assert_cmpint(shown->slice, ==, 7);
        g_assert_true((shown->png != NULL) == (i % 2 == 0));
    }
    g_assert_true(memcmp(g_bytes_get_data(case_at(&a, 2)->png, NULL), "of 2", 4) == 0);
    g_assert_true(a.drawn->pdata[0] == case_at(&a, 0) && a.drawn->pdata[1] == case_at(&a, 2));

    /* bytes that are none of ours: no case, or refused, never a crash */
    g_ptr_array_set_size(all, 0);
    g_ptr_array_add(all, g_bytes_new_static(damaged, sizeof damaged));
    if (!overlay_cases_unite(&a, all, &error))
        g_assert_error(error, LOOM_ERROR, LOOM_ERROR_FORMAT);
    overlay_cases_clear(&a);
    overlay_cases_clear(&b);
}

/* ---- the stage ---------------------------------------------------------------------- */

static LoomDataset *dataset_new(void)
{
    LoomDataset *dataset = g_new0(LoomDataset, 1);

    dataset->name = g_strdup("test");
    dataset->label_names = g_strsplit("background|Tumour", "|", -1);
    dataset->n_labels = 2;
    return dataset;
}

/* 8 x 8 x 2 voxels, (i, j, k), of 1 x 2 x 2 mm; of 4 true ones in a row @right are found, and
 * @extra others are predicted. */
static LoomPacket *case_new(const char *id, guint right, guint extra)
{
    const gint64 shape[4] = {1, 2, 8, 8};
    LoomPacket *packet = loom_packet_new();
    LoomTensor *image = loom_tensor_new(LOOM_F32, "CDHW", shape, NULL);
    LoomTensor *truth = loom_tensor_new(LOOM_U8, "DHW", shape + 1, NULL);
    LoomTensor *prediction = loom_tensor_new(LOOM_U8, "DHW", shape + 1, NULL);
    LoomGeometry geometry;

    loom_geometry_plain(&geometry, (const gint64[]){8, 8, 2}, (const double[]){1, 2, 2});
    for (guint v = 0; v < 128; v++)
        loom_tensor_f32_mut(image)[v] = v % 8 < 4 ? 0 : 1;
    memset(loom_tensor_u8_mut(truth) + 64, 1, 4);
    memset(loom_tensor_u8_mut(prediction) + 64, 1, right);
    memset(loom_tensor_u8_mut(prediction) + 80, 1, extra);
    loom_packet_set_id(packet, id);
    loom_packet_set_geometry(packet, &geometry);
    loom_packet_set(packet, "image", image);
    loom_packet_set(packet, "label", truth);
    loom_packet_set(packet, "prediction", prediction);
    return packet;
}

static LoomTestStage *stage_new(const char *folder, const char *yaml)
{
    const LoomTestSetup setup = {.folder = folder, .dataset = dataset_new()};

    return loom_test_stage(yaml, &setup, NULL);
}

static JsonArray *cases_of(const char *folder, JsonParser *parser)
{
    g_autofree char *path = g_build_filename(folder, "overlays", "overlays.json", NULL);
    g_autoptr(GError) error = NULL;

    json_parser_load_from_file(parser, path, &error);
    g_assert_no_error(error);
    return json_object_get_array_member(json_node_get_object(json_parser_get_root(parser)),
                                        "cases");
}

static gboolean drawn(const char *folder, const char *name)
{
    g_autofree char *path = g_build_filename(folder, "overlays", name, NULL);

    return g_file_test(path, G_FILE_TEST_IS_REGULAR);
}

/* Dice 1/2, 1, 0, 6/7: of five cases the two worst and the best are drawn. */
static void test_files(void)
{
    g_autofree char *folder = loom_test_folder();
    g_autoptr(LoomTestStage) stage = stage_new(folder, "{use: overlay, cases: 3}");
    g_autoptr(JsonParser) parser = json_parser_new();
    g_autofree char *pictures = g_build_filename(folder, "overlays", NULL);
    g_autofree char *own = g_build_filename(pictures, "mine.png", NULL);

    loom_test_start(stage, NULL);
    loom_test_push(stage, case_new("half", 2, 2), 0, NULL);
    loom_test_push(stage, case_new("a/b", 4, 0), 1, NULL);
    loom_test_push(stage, case_new("none", 0, 3), 2, NULL);
    loom_test_push(stage, case_new("most", 3, 0), 3, NULL);
    loom_test_push(stage, case_new("more", 3, 1), 4, NULL);
    loom_test_flush(stage, NULL);
    g_assert_true(drawn(folder, "half.png") && drawn(folder, "a_b.png")
                  && drawn(folder, "none.png"));
    g_assert_cmpuint(loom_test_folder_count(pictures), ==, 3 + 1);
    JsonArray *cases = cases_of(folder, parser);
    g_assert_cmpuint(json_array_get_length(cases), ==, 5);
    JsonObject *half = json_array_get_object_element(cases, 0);
    g_assert_cmpstr(json_object_get_string_member(half, "file"), ==, "half.png");
    loom_assert_near(json_object_get_double_member(half, "dice"), 0.5, 1e-12);
    g_assert_cmpint(json_object_get_int_member(half, "voxels"), ==, 128);
    g_assert_cmpint(json_array_get_int_element(json_object_get_array_member(half, "counts"), 1),
                    ==, 4);
    g_assert_cmpint(json_object_get_int_member(half, "slice"), ==, 2);
    g_assert_false(json_object_has_member(json_array_get_object_element(cases, 3), "file"));

    g_assert_true(g_file_set_contents(own, "", 0, NULL)); /* is nobody's to remove */
    loom_test_start(stage, NULL);
    loom_test_push(stage, case_new("most", 3, 0), 0, NULL);
    loom_test_flush(stage, NULL);
    g_assert_true(drawn(folder, "most.png") && drawn(folder, "mine.png"));
    g_assert_cmpuint(loom_test_folder_count(pictures), ==, 2 + 1);
    loom_test_folder_remove(folder);
}

static guint32 pixel(cairo_surface_t *surface, int x, int y)
{
    const guint8 *row =
        cairo_image_surface_get_data(surface) + y * cairo_image_surface_get_stride(surface);

    return ((const guint32 *)(const void *)row)[x] & 0xffffff;
}

/* 8 mm by 16 mm: the picture is half as wide as its panel, the rest is black. */
static void test_aspect(void)
{
    g_autofree char *folder = loom_test_folder();
    g_autoptr(LoomTestStage) stage = stage_new(folder, "{use: overlay}");
    g_autofree char *path = g_build_filename(folder, "overlays", "one.png", NULL);

    loom_test_start(stage, NULL);
    loom_test_push(stage, case_new("one", 4, 0), 0, NULL);
    loom_test_flush(stage, NULL);
    cairo_surface_t *surface = cairo_image_surface_create_from_png(path);
    g_assert_cmpint(cairo_surface_status(surface), ==, CAIRO_STATUS_SUCCESS);
    const int middle = PANEL_TOP + PANEL / 2 + 40;
    /* R is on the left, and i grows to R: the bright half lies left */
    g_assert_cmphex(pixel(surface, PANEL_LEFT + PANEL / 4 - 20, middle), ==, 0);
    g_assert_cmphex(pixel(surface, PANEL_LEFT + PANEL / 4 + 20, middle), ==, 0xffffff);
    g_assert_cmphex(pixel(surface, PANEL_LEFT + 3 * PANEL / 4 - 20, middle), ==, 0);
    /* j = 0 is at the back, so at the bottom; the true voxels are the dark half: i = 0 .. 3 */
    const guint32 colour = pixel(surface, PANEL_LEFT + PANEL / 2 + 40, PANEL_TOP + PANEL - 30);
    g_assert_cmpuint(colour >> 16, >, 60); /* orange on black: red above green above blue */
    g_assert_cmpuint(colour >> 16, >, (colour >> 8) & 255);
    g_assert_cmpuint((colour >> 8) & 255, >, colour & 255);
    cairo_surface_destroy(surface);
    loom_test_folder_remove(folder);
}

/* ---- moved cases -------------------------------------------------------------------- */

/* 3 mm + 2 i + 5 j + 7 k, of a native grid of (i, j, k) 8 x 8 x 2, on one of 5 x 16 x 4 whose
 * first axis runs the other way, of 3 x 1 x 1 mm; it holds i from 0 to 6, j from -0.25. */
static void moved_grids(LoomGeometry *working, LoomGeometry *native)
{
    loom_geometry_plain(native, (const gint64[]){8, 8, 2}, (const double[]){1, 2, 2});
    loom_geometry_plain(working, (const gint64[]){3, 16, 4}, (const double[]){3, 1, 1});
    working->affine[0][0] = -3; /* i of the file is 6 - 3 of the working grid */
    working->affine[0][3] = native->affine[0][3] + 6;
    working->affine[1][3] = native->affine[1][3] - 0.5;
    working->affine[2][3] = native->affine[2][3] - 0.5;
    memcpy(working->axes, "LAS", 4);
}

/* A linear image on the working grid: interpolation gives it back exactly, in f32. */
static LoomTensor *moved_image(void)
{
    const gint64 shape[4] = {1, 4, 16, 3};
    LoomTensor *image = loom_tensor_new(LOOM_F32, "CDHW", shape, NULL);

    for (gint64 k = 0; k < 4; k++)
        for (gint64 j = 0; j < 16; j++)
            for (gint64 i = 0; i < 3; i++)
                loom_tensor_f32_mut(image)[(k * 16 + j) * 3 + i] = (float)(2 * (6 - 3 * i))
                                                                   + 5 * ((float)j / 2 - 0.25f)
                                                                   + 7 * ((float)k / 2 - 0.25f);
    return image;
}

static LoomPacket *moved_new(const char *id, gboolean truth)
{
    LoomPacket *packet = case_new(id, 4, 0);
    LoomGeometry working, native;

    moved_grids(&working, &native);
    loom_packet_regrid(packet, &working);
    loom_packet_set(packet, "image", moved_image());
    if (truth)
        loom_packet_set(packet, "truth",
                        loom_tensor_copy(loom_packet_get(packet, "label"), NULL));
    loom_packet_set(packet, "label", NULL);
    return packet;
}

/* Screen: i grows to R, on the left; j to the front, on top.  i = 7 lies 1/3 of a working voxel
 * beyond the outermost centre, so it has the border's value; 8 and more would be outside. */
static void test_moved_image(void)
{
    g_autoptr(LoomTensor) image = moved_image();
    LoomGeometry working, native;
    OverlayPlane plane;
    float out[8 * 8];
    g_autoptr(GError) error = NULL;

    moved_grids(&working, &native);
    overlay_plane_find(&plane, &native);
    g_assert_cmpint(plane.n_right, ==, 8);
    g_assert_cmpint(plane.n, ==, 2);
    plane.index = 1;
    g_assert_true(
        overlay_image_cut(&plane, loom_tensor_f32(image), &working, &native, out, &error));
    for (gint64 y = 0; y < 8; y++)
        for (gint64 x = 0; x < 8; x++) {
            const double i = (double)MIN(7 - x, 6), j = (double)(7 - y);

            /* values below 64, eight products: 8 * 64 * 6e-8 = 3e-5 */
            loom_assert_near((double)out[y * 8 + x], 2 * i + 5 * j + 7, 4e-5);
        }

    working.affine[0][3] += 2; /* i = 0 lies 2/3 of a working voxel beyond: cut away */
    g_assert_true(
        overlay_image_cut(&plane, loom_tensor_f32(image), &working, &native, out, &error));
    g_assert_true(isnan(out[7]) && isfinite(out[6]) && isfinite(out[0]));

    working.affine[0][1] = 0.5; /* sheared */
    loom_assert_failed(
        overlay_image_cut(&plane, loom_tensor_f32(image), &working, &native, out, &error),
        error, LOOM_ERROR, LOOM_ERROR_SHAPE, "turned against");
}

/* The slice is the file's; and what the truth ignores is no error. */
static void test_moved_stage(void)
{
    g_autofree char *folder = loom_test_folder();
    const LoomTestSetup setup = {.folder = folder, .dataset = dataset_new()};
    g_autoptr(LoomTestStage) stage =
        loom_test_stage("{use: overlay, most: errors}", &setup, NULL);
    g_autoptr(JsonParser) parser = json_parser_new();
    LoomPacket *packet = moved_new("moved", TRUE);
    LoomTensor *truth = loom_tensor_copy(loom_packet_get(packet, "truth"), NULL);

    setup.dataset->ignores = TRUE;
    loom_tensor_u8_mut(truth)[64] = LOOM_IGNORED; /* one of four that are predicted */
    loom_packet_set(packet, "truth", truth);
    loom_test_start(stage, NULL);
    loom_test_push(stage, packet, 0, NULL);
    loom_test_flush(stage, NULL);
    g_assert_true(drawn(folder, "moved.png"));
    JsonObject *one = json_array_get_object_element(cases_of(folder, parser), 0);
    loom_assert_near(json_object_get_double_member(one, "dice"), 1, 1e-12);
    g_assert_cmpint(json_object_get_int_member(one, "slice"), ==, 2);
    g_assert_cmpint(json_array_get_int_element(json_object_get_array_member(one, "counts"), 1),
                    ==, 3);
    JsonObject *root = json_node_get_object(json_parser_get_root(parser));
    g_assert_cmpstr(json_object_get_string_member(root, "most"), ==, "errors");
    loom_test_folder_remove(folder);
}

static void test_errors(void)
{
    g_autofree char *folder = loom_test_folder();
    g_autoptr(LoomTestStage) stage = stage_new(folder, "{use: overlay}");
    LoomPacket *packet = case_new("one", 4, 0), *other = case_new("two", 4, 0);
    g_autoptr(GError) error = NULL;
    LoomGeometry geometry = *loom_packet_geometry(packet);

    geometry.size[0] = 9;
    loom_packet_set_geometry(packet, &geometry);
    loom_test_start(stage, NULL);
    loom_assert_failed(loom_test_push(stage, packet, 0, &error), error, LOOM_ERROR,
                       LOOM_ERROR_SHAPE, "'label' has 2x8x8 voxels but its grid has 2x8x9");
    g_clear_error(&error);
    LoomPacket *moved = moved_new("moved", FALSE);
    loom_assert_failed(loom_test_push(stage, moved, 1, &error), error, LOOM_ERROR,
                       LOOM_ERROR_SHAPE, "want truth: true in nifti_load");
    g_clear_error(&error);
    loom_assert_failed(loom_test_stage("{use: overlay, most: slices}", NULL, &error), error,
                       LOOM_ERROR, LOOM_ERROR_CONFIG, "foreground");

    g_autoptr(LoomTestStage) checking = loom_test_stage("{use: overlay}", NULL, NULL);
    loom_test_start(checking, NULL);
    loom_test_push(checking, other, 0, NULL);
    loom_test_flush(checking, NULL); /* without a folder there is nothing to write */
    g_assert_false(g_file_test("overlays", G_FILE_TEST_EXISTS));
    loom_test_folder_remove(folder);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/stages/overlay/turned", test_turned);
    g_test_add_func("/stages/overlay/finest", test_finest);
    g_test_add_func("/stages/overlay/unknown", test_unknown);
    g_test_add_func("/stages/overlay/choose", test_choose);
    g_test_add_func("/stages/overlay/region", test_region);
    g_test_add_func("/stages/overlay/ranks", test_ranks);
    g_test_add_func("/stages/overlay/files", test_files);
    g_test_add_func("/stages/overlay/aspect", test_aspect);
    g_test_add_func("/stages/overlay/moved/image", test_moved_image);
    g_test_add_func("/stages/overlay/moved/stage", test_moved_stage);
    g_test_add_func("/stages/overlay/errors", test_errors);
    return loom_test_run();
}
