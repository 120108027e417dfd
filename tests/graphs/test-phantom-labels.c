/* segloom phantom --from-labels: images around label maps, on the maps' own grid. */
#include "loom_test.h"
#include "phantom_set.h"

#include <glib/gstdio.h>
#include <string.h>
#include <math.h>
#include <sys/wait.h>

typedef struct {
    char *folder;
} Place;

/* segloom @line in the folder; returns the exit code. */
static int type(const Place *place, const char *line, char **err)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *folder = g_path_get_dirname(self);
    g_autofree char *command = g_strdup_printf("'%s/segloom' %s", folder, line);
    g_auto(GStrv) argv = NULL;
    g_autofree char *out = NULL, *said = NULL;
    g_autoptr(GError) error = NULL;
    int status;

    g_assert_true(g_shell_parse_argv(command, NULL, &argv, &error));
    g_spawn_sync(place->folder, argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, &out, &said, &status,
                 &error);
    g_assert_no_error(error);
    g_test_message("segloom %s: %d\n%s%s", line, status, out, said);
    if (err)
        *err = g_steal_pointer(&said);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static LoomTensor *label_read(const Place *place, const char *name, LoomGeometry *geometry)
{
    g_autofree char *path = g_build_filename(place->folder, name, NULL);
    g_autoptr(GError) error = NULL;
    LoomTensor *label = loom_volume_read_labels(path, 0, geometry, &error);

    g_assert_no_error(error);
    return label;
}

static LoomTensor *image_read(const Place *place, const char *name, LoomGeometry *geometry)
{
    g_autofree char *path = g_build_filename(place->folder, name, NULL);
    g_autoptr(GError) error = NULL;
    LoomTensor *image = loom_volume_read(path, LOOM_NAN_REFUSE, 0, geometry, &error);

    g_assert_no_error(error);
    return image;
}

/* Two kidneys as boxes 130 mm apart, a tumour on one: 3 mm, axes I, P, L as KiTS19 has them.
 * Voxel (i,j,k) lies at x = 150 - 3 k, y = 40 - 3 j, z = 60 - 3 i. */
#define NI 40
#define NJ 36
#define NK 100

static guint8 label_at(gint64 i, gint64 j, gint64 k)
{
    const gboolean kidney =
        i >= 8 && i < 32 && j >= 12 && j < 24 && ((k >= 22 && k < 36) || (k >= 64 && k < 78));

    if (i >= 14 && i < 21 && j >= 8 && j < 15 && k >= 70 && k < 77)
        return 2;
    return kidney ? 1 : 0;
}

static void maps_make(const char *folder)
{
    static const double rows[3][4] = {{0, 0, -3, 150}, {0, -3, 0, 40}, {-3, 0, 0, 60}};
    const gint64 size[3] = {NI, NJ, NK};
    g_autofree char *maps = g_build_filename(folder, "maps", NULL);
    g_autofree char *labels = g_build_filename(maps, "labels", NULL);
    g_autofree char *path = g_build_filename(labels, "case_7.nii.gz", NULL);
    g_autofree char *json = g_build_filename(maps, "dataset.json", NULL);
    g_autoptr(LoomTensor) label = loom_tensor_new(LOOM_U8, "DHW", (gint64[]){NK, NJ, NI}, NULL);
    g_autoptr(GError) error = NULL;
    LoomGeometry geometry;
    guint8 *t = loom_tensor_u8_mut(label);

    loom_geometry_plain(&geometry, size, (const double[]){3, 3, 3});
    memcpy(geometry.srow, rows, sizeof rows);
    memcpy(geometry.affine, rows, sizeof rows);
    geometry.qform_code = 0;
    for (gint64 k = 0; k < NK; k++)
        for (gint64 j = 0; j < NJ; j++)
            for (gint64 i = 0; i < NI; i++)
                *t++ = label_at(i, j, k);
    g_assert_cmpint(g_mkdir_with_parents(labels, 0755), ==, 0);
    g_assert_true(g_file_set_contents(
        json,
        "{\"channel_names\": {\"0\": \"CT\"}, \"file_ending\": \".nii.gz\","
        " \"labels\": {\"background\": 0, \"kidney\": 1, \"tumour\": 2}, \"numTraining\": 1}",
        -1, NULL));
    g_assert_true(loom_volume_write(path, label, &geometry, &error));
    g_assert_no_error(error);
}

static void place_open(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    place->folder = loom_test_folder();
    maps_make(place->folder);
}

static void place_close(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    loom_test_folder_remove(place->folder);
    g_free(place->folder);
}

/* Mean of the image where the label is @k. */
static double mean_where(const LoomTensor *image, const LoomTensor *label, guint8 k)
{
    double sum = 0;
    gint64 n = 0;

    for (gint64 v = 0; v < loom_tensor_count(label); v++)
        if (loom_tensor_u8(label)[v] == k) {
            sum += (double)loom_tensor_f32(image)[v];
            n++;
        }
    return sum / (double)n;
}

/* ---- what is painted ---------------------------------------------------------------- */

static void test_painted(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    LoomGeometry from, of_label, of_image;
    g_autoptr(GError) error = NULL;
    gint64 alike = 0, hollow = 0;

    g_assert_cmpint(type(place, "phantom set --from-labels maps/labels", NULL), ==, 0);
    g_autoptr(LoomTensor) map = label_read(place, "maps/labels/case_7.nii.gz", &from);
    g_autoptr(LoomTensor) label = label_read(place, "set/labelsTr/case_7.nii.gz", &of_label);
    g_autoptr(LoomTensor) image =
        image_read(place, "set/imagesTr/case_7_0000.nii.gz", &of_image);
    g_assert_true(loom_test_equal(map, label));
    g_assert_true(loom_geometry_check(&from, "map", &of_label, "label", 1e-9, &error));
    g_assert_true(loom_geometry_check(&from, "map", &of_image, "image", 1e-9, &error));
    g_assert_cmpstr(of_image.axes, ==, "IPL");
    /* 35 HU without contrast agent to 180 with it, and 8 HU between cases */
    const double kidney = mean_where(image, label, 1), tumour = mean_where(image, label, 2);
    g_assert_cmpfloat(kidney, >, 35);
    g_assert_cmpfloat(kidney, <, 190);
    g_assert_cmpfloat(tumour, >, 20);
    g_assert_cmpfloat(tumour, <, kidney);
    for (gint64 v = 0; v < loom_tensor_count(label); v++) {
        const double x = (double)loom_tensor_f32(image)[v];

        alike += !loom_tensor_u8(label)[v] && ABS(x - tumour) < 15;
        hollow += x < -900;
    }
    g_assert_cmpint(alike, >,
                    343);          /* more unlabelled voxels look like the tumour than it has */
    g_assert_cmpint(hollow, >, 0); /* air around the body */
    g_assert_cmpint(type(place, "info set/imagesTr/case_7_0000.nii.gz", NULL), ==, 0);
}

static void test_seeded(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    g_assert_cmpint(type(place, "phantom a --from-labels maps/labels --seed 5", NULL), ==, 0);
    g_assert_cmpint(type(place, "phantom b --from-labels maps/labels --seed 5", NULL), ==, 0);
    g_assert_cmpint(type(place, "phantom c --from-labels maps/labels --seed 6", NULL), ==, 0);
    g_autoptr(LoomTensor) a = image_read(place, "a/imagesTr/case_7_0000.nii.gz", NULL);
    g_autoptr(LoomTensor) b = image_read(place, "b/imagesTr/case_7_0000.nii.gz", NULL);
    g_autoptr(LoomTensor) c = image_read(place, "c/imagesTr/case_7_0000.nii.gz", NULL);
    g_assert_true(loom_test_equal(a, b));
    g_assert_false(loom_test_equal(a, c));
}

/* As KiTS19 was given out: the same voxels under its names, read as that layout. */
static void test_kits19(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    g_autofree char *err = NULL;

    g_assert_cmpint(type(place, "phantom a --from-labels maps/labels", NULL), ==, 0);
    g_assert_cmpint(type(place, "phantom b --from-labels maps/labels --layout kits19", NULL),
                    ==, 0);
    g_autoptr(LoomTensor) a = image_read(place, "a/imagesTr/case_7_0000.nii.gz", NULL);
    g_autoptr(LoomTensor) b = image_read(place, "b/case_00000/imaging.nii.gz", NULL);
    g_autoptr(LoomTensor) map = label_read(place, "maps/labels/case_7.nii.gz", NULL);
    g_autoptr(LoomTensor) label = label_read(place, "b/case_00000/segmentation.nii.gz", NULL);
    g_assert_true(loom_test_equal(a, b));
    g_assert_true(loom_test_equal(map, label));
    g_assert_cmpint(type(place, "phantom b --from-labels maps/labels --layout kits19", &err),
                    ==, 2);
    g_assert_nonnull(strstr(err, "holds a data set already"));
}

/* One class, the same image. */
static void test_merged(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    g_assert_cmpint(type(place, "phantom a --from-labels maps/labels", NULL), ==, 0);
    g_assert_cmpint(type(place, "phantom b --from-labels maps/labels --merge 1,2", NULL), ==,
                    0);
    g_assert_cmpint(type(place, "phantom c --from-labels maps/labels --merge 2", NULL), ==, 0);
    g_autoptr(LoomTensor) a = image_read(place, "a/imagesTr/case_7_0000.nii.gz", NULL);
    g_autoptr(LoomTensor) b = image_read(place, "b/imagesTr/case_7_0000.nii.gz", NULL);
    g_autoptr(LoomTensor) three = label_read(place, "a/labelsTr/case_7.nii.gz", NULL);
    g_autoptr(LoomTensor) both = label_read(place, "b/labelsTr/case_7.nii.gz", NULL);
    g_autoptr(LoomTensor) tumour = label_read(place, "c/labelsTr/case_7.nii.gz", NULL);
    g_autofree char *json = g_build_filename(place->folder, "b", "dataset.json", NULL);
    g_autofree char *text = NULL;

    g_assert_true(loom_test_equal(a, b));
    for (gint64 v = 0; v < loom_tensor_count(three); v++) {
        const guint8 k = loom_tensor_u8(three)[v];

        g_assert_cmpuint(loom_tensor_u8(both)[v], ==, k > 0);
        g_assert_cmpuint(loom_tensor_u8(tumour)[v], ==, k == 2);
    }
    g_assert_true(g_file_get_contents(json, &text, NULL, NULL));
    g_assert_nonnull(strstr(text, "\"kidney+tumour\" : 1"));
}

/* The labels span i 8..31, j 8..23, k 22..77; 10 mm are 4 voxels of 3 mm: 32 x 24 x 64 from
 * (4, 4, 18), which lies at x = 96, y = 28, z = 48. */
static void test_margin(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    LoomGeometry geometry;

    g_assert_cmpint(type(place, "phantom a --from-labels maps/labels --margin 10", NULL), ==,
                    0);
    g_autoptr(LoomTensor) label = label_read(place, "a/labelsTr/case_7.nii.gz", &geometry);
    const guint8 *t = loom_tensor_u8(label);
    g_assert_cmpint(geometry.size[0], ==, 32);
    g_assert_cmpint(geometry.size[1], ==, 24);
    g_assert_cmpint(geometry.size[2], ==, 64);
    loom_assert_near(geometry.affine[0][3], 96, 1e-4);
    loom_assert_near(geometry.affine[1][3], 28, 1e-4);
    loom_assert_near(geometry.affine[2][3], 48, 1e-4);
    for (gint64 k = 0; k < 64; k++)
        for (gint64 j = 0; j < 24; j++)
            for (gint64 i = 0; i < 32; i++)
                g_assert_cmpuint(*t++, ==, label_at(i + 4, j + 4, k + 18));
}

/* The same cut where the header places voxels by its quaternion: 90 degrees about x, so that j
 * goes up and k goes to the back. */
static void test_margin_quaternion(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    g_autofree char *path =
        g_build_filename(place->folder, "maps", "labels", "case_7.nii.gz", NULL);
    LoomGeometry geometry;
    g_autoptr(LoomTensor) map = label_read(place, "maps/labels/case_7.nii.gz", &geometry);
    static const double rows[3][4] = {{3, 0, 0, 10}, {0, 0, -3, 20}, {0, 3, 0, 30}};

    memcpy(geometry.affine, rows, sizeof rows);
    geometry.sform_code = 0;
    geometry.qform_code = 1;
    geometry.quatern[0] = sqrt(0.5);
    for (int axis = 0; axis < 3; axis++)
        geometry.qoffset[axis] = rows[axis][3];
    g_assert_true(loom_volume_write(path, map, &geometry, NULL));
    g_assert_cmpint(type(place, "phantom a --from-labels maps/labels --margin 10", NULL), ==,
                    0);
    g_autoptr(LoomTensor) label = label_read(place, "a/labelsTr/case_7.nii.gz", &geometry);
    g_assert_cmpstr(geometry.axes, ==, "RSP");
    loom_assert_near(geometry.affine[0][3], 10 + 3 * 4, 1e-4);
    loom_assert_near(geometry.affine[1][3], 20 - 3 * 18, 1e-4);
    loom_assert_near(geometry.affine[2][3], 30 + 3 * 4, 1e-4);
}

static void test_mistakes(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    static const struct {
        const char *line, *text;
    } cases[] = {
        {"phantom a --from-labels nowhere", "'nowhere' is not there"},
        {"phantom a --from-labels maps", "holds no NIfTI file"},
        {"phantom a --from-labels maps/labels --merge 3", "none of the labels 1 to 2"},
        {"phantom a --from-labels maps/labels --merge x", "none of the labels 1 to 2"},
        {"phantom a --from-labels maps/labels --kind kits", "exclude each other"},
        {"phantom a --from-labels maps/labels --cases 3", "exclude each other"},
        {"phantom a --from-labels maps/labels --layout brats20", "wants four sequences"},
        {"phantom a --from-labels maps/labels --layout kit19", "did you mean 'kits19'"},
        {"phantom a --from-labels maps/labels --layout kits19 --merge 2", "maps have 0 to 1"},
        {"phantom a --margin 3", "goes with --from-labels"},
        {"phantom a --from-labels maps/labels --margin -1", "--margin -1: want 0 to 10000 mm"},
        {"phantom a --from-labels maps/labels --margin 1e300", "want 0 to 10000 mm"},
        {"phantom a --merge 1", "goes with --from-labels"},
        {"phantom a --cases 0", "want 1 to 9999"},
        {"phantom maps --from-labels maps/labels", "holds a data set already"},
    };
    g_autofree char *taken = g_build_filename(place->folder, "maps", "imagesTr", NULL);

    g_assert_cmpint(g_mkdir(taken, 0755), ==, 0);
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *err = NULL;

        g_assert_cmpint(type(place, cases[i].line, &err), ==, 2);
        if (!strstr(err, cases[i].text))
            g_error("'%s' is not in: %s", cases[i].text, err);
    }
    g_autofree char *json = g_build_filename(place->folder, "maps", "dataset.json", NULL);
    g_autofree char *err = NULL;
    g_remove(json);
    g_assert_cmpint(type(place, "phantom a --from-labels maps/labels", &err), ==, 2);
    g_assert_nonnull(strstr(err, "no dataset.json"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/phantom-labels/painted", Place, NULL, place_open, test_painted, place_close);
    g_test_add("/phantom-labels/seeded", Place, NULL, place_open, test_seeded, place_close);
    g_test_add("/phantom-labels/kits19", Place, NULL, place_open, test_kits19, place_close);
    g_test_add("/phantom-labels/merged", Place, NULL, place_open, test_merged, place_close);
    g_test_add("/phantom-labels/margin", Place, NULL, place_open, test_margin, place_close);
    g_test_add("/phantom-labels/margin-quaternion", Place, NULL, place_open,
               test_margin_quaternion, place_close);
    g_test_add("/phantom-labels/mistakes", Place, NULL, place_open, test_mistakes, place_close);
    return loom_test_run();
}
