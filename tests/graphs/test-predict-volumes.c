/* segloom predict for a model that was trained on files with their channels along the fourth
 * axis, as the Medical Segmentation Decathlon has them: such files, and a file a channel. */
#include "loom_test.h"
#include "typed.h"

#include <glib/gstdio.h>
#include <string.h>

#define CASES 5
#define CHANNELS 2 /* of a sphere's image: as it is, and turned to its negative */

static char *folder;

static Typed type(int code, const char *line)
{
    const Typed said = typed_run(folder, line, NULL);

    g_assert_cmpint(said.code, ==, code);
    return said;
}

static void done(const char *line)
{
    g_auto(Typed) said = type(0, line);
}

/* ---- a data set with two channels in a file ------------------------------------------ */

static void write(const char *path, const LoomTensor *volume, const LoomGeometry *geometry)
{
    g_autofree char *parent = g_path_get_dirname(path);
    g_autoptr(GError) error = NULL;

    g_assert_cmpint(g_mkdir_with_parents(parent, 0700), ==, 0);
    loom_volume_write(path, volume, geometry, &error);
    g_assert_no_error(error);
}

/* Volume @i of @order is @x where order[i] is 0, -x where it is 1. */
static void volumes_write(const char *name, const LoomTensor *image,
                          const LoomGeometry *geometry, const guint *order, gint64 n)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    const gint64 *shape = loom_tensor_shape(image), voxels = loom_tensor_count(image);
    g_autoptr(LoomTensor) all = loom_tensor_new(
        LOOM_F32, "CDHW", (const gint64[]){n, shape[1], shape[2], shape[3]}, NULL);

    for (gint64 c = 0; c < n; c++)
        for (gint64 v = 0; v < voxels; v++)
            loom_tensor_f32_mut(all)[c * voxels + v] =
                loom_tensor_f32(image)[v] * (order[c] ? -1 : 1);
    write(path, all, geometry);
}

/* The spheres in s as m/imagesTr/NAME.nii.gz with both channels, in apart/ with a file each,
 * in odd/ with three volumes, in second/ the second channel alone. */
static void case_write(guint i)
{
    static const guint order[] = {0, 1, 1};
    g_autofree char *id = g_strdup_printf("spheres_%03u", i + 1);
    g_autofree char *from = g_strdup_printf("%s/s/imagesTr/%s_0000.nii.gz", folder, id);
    g_autofree char *whole = g_strdup_printf("m/imagesTr/%s.nii.gz", id);
    g_autofree char *odd = g_strdup_printf("odd/%s.nii.gz", id);
    g_autofree char *second = g_strdup_printf("second/%s.nii.gz", id);
    g_autoptr(GError) error = NULL;
    LoomGeometry geometry;
    g_autoptr(LoomTensor) image = loom_volume_read(from, LOOM_NAN_REFUSE, 0, &geometry, &error);

    g_assert_no_error(error);
    volumes_write(whole, image, &geometry, order, CHANNELS);
    volumes_write(odd, image, &geometry, order, 3);
    volumes_write(second, image, &geometry, order + 1, 1);
    for (guint c = 0; c < CHANNELS; c++) {
        g_autofree char *apart = g_strdup_printf("apart/%s_%04u.nii.gz", id, c);

        volumes_write(apart, image, &geometry, order + c, 1);
    }
}

static void data_make(void)
{
    g_autoptr(GString) json =
        g_string_new("{\"name\": \"m\", \"modality\": {\"0\": \"plain\", \"1\": \"negative\"}, "
                     "\"labels\": {\"0\": \"background\", \"1\": \"sphere\"}, \"training\": [");
    g_autofree char *path = g_build_filename(folder, "m", "dataset.json", NULL);
    g_autofree char *from = g_build_filename(folder, "s", "labelsTr", NULL);
    g_autofree char *to = g_build_filename(folder, "m", "labelsTr", NULL);

    done("phantom s --kind spheres --cases 5 --size 16,16,20");
    for (guint i = 0; i < CASES; i++) {
        case_write(i);
        g_string_append_printf(json,
                               "%s{\"image\": \"./imagesTr/spheres_%03u.nii.gz\", "
                               "\"label\": \"./labelsTr/spheres_%03u.nii.gz\"}",
                               i ? ", " : "", i + 1, i + 1);
    }
    g_string_append(json, "]}");
    g_assert_true(g_file_set_contents(path, json->str, -1, NULL));
    g_assert_cmpint(g_rename(from, to), ==, 0);
    typed_config(folder, "c.yaml", "dataset: s", "dataset: m");
}

static void same_masks(const char *a, const char *b)
{
    for (guint i = 0; i < CASES; i++) {
        g_autofree char *first = g_strdup_printf("%s/%s/spheres_%03u.nii.gz", folder, a, i + 1);
        g_autofree char *second =
            g_strdup_printf("%s/%s/spheres_%03u.nii.gz", folder, b, i + 1);
        g_autoptr(LoomTensor) x = loom_volume_read_labels(first, 0, NULL, NULL);
        g_autoptr(LoomTensor) y = loom_volume_read_labels(second, 0, NULL, NULL);

        g_assert_true(loom_test_equal(x, y));
    }
}

/* ---- tests --------------------------------------------------------------------------- */

/* One file with both, or a file each: the same masks; of folds, too. */
static void test_both_forms(void)
{
    done("run c.yaml -o runs/cv --folds 0,2 --set models.seg.in_channels=2");
    done("predict runs/cv/fold_0 m/imagesTr -o whole");
    done("predict runs/cv/fold_0 apart -o apart_masks");
    same_masks("whole", "apart_masks");
    g_auto(Typed) folds = type(0, "predict runs/cv m/imagesTr -o folds");
    typed_assert_in(folds.err, "the mean of 2 models");
    done("predict runs/cv apart -o folds_apart --memory 2GiB");
    same_masks("folds", "folds_apart");
    g_auto(Typed) tried = type(0, "postprocess runs/cv --dry-run");
    typed_assert_in(tried.out, "2 cases, 2 models");
}

static void test_refused(void)
{
    done("run c.yaml -o runs/m --set models.seg.in_channels=2");
    g_auto(Typed) odd = type(2, "predict runs/m odd -o out");
    typed_assert_in(odd.err, "odd/spheres_001.nii.gz' has 3 volumes along its fourth axis, the "
                             "model takes 2 channels (plain, negative): want one volume each, "
                             "in this order");
    g_auto(Typed) few = type(2, "predict runs/m second -o out");
    typed_assert_in(few.err, "second/spheres_001.nii.gz' holds 1 channel, the model takes 2: "
                             "want files named NAME_0000, NAME_0001, ..., or one with the "
                             "channels along its fourth axis");
    g_auto(Typed) twice = type(2, "predict runs/m apart m/imagesTr/spheres_001.nii.gz -o out");
    typed_assert_in(twice.err, "are the same channel of 'spheres_001'");

    /* a damaged file costs its own case */
    g_autofree char *path = g_build_filename(folder, "m/imagesTr/spheres_002.nii.gz", NULL);
    g_assert_true(g_file_set_contents(path, "no image", -1, NULL));
    g_auto(Typed) damaged = type(1, "predict runs/m m/imagesTr -o out");
    typed_assert_in(damaged.err, "1 of 5 cases failed: spheres_002");
}

/* Trained on the second of two: it is taken out of files with both; one alone is that one. */
static void test_chosen(void)
{
    done("run c.yaml -o runs/n --set data.channels=[negative]");
    done("predict runs/n m/imagesTr -o from_both");
    done("predict runs/n second -o from_one");
    same_masks("from_both", "from_one");
    g_auto(Typed) odd = type(2, "predict runs/n odd -o out");
    typed_assert_in(odd.err, "has 3 volumes along its fourth axis, the model takes 1 channel "
                             "(negative)");
}

typedef struct {
    const char *name;
    void (*test)(void);
} Test;

static void in_folder(gconstpointer data)
{
    folder = loom_test_folder();
    data_make();
    ((const Test *)data)->test();
    loom_test_folder_remove(folder);
    g_clear_pointer(&folder, g_free);
}

int main(int argc, char **argv)
{
    static const Test tests[] = {{"/predict-volumes/both-forms", test_both_forms},
                                 {"/predict-volumes/refused", test_refused},
                                 {"/predict-volumes/chosen", test_chosen}};

    g_test_init(&argc, &argv, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add_data_func(tests[i].name, &tests[i], in_folder);
    return loom_test_run();
}
