/* nifti_load and nifti_save: which case comes when, what is in its packet, what is written. */
#include "loom_test.h"
#include "nifti_bytes.h"

#include <glib/gstdio.h>
#include <math.h>

#define N_CASES 5

static char
    *folder; /* a data set of N_CASES cases "c0" .. with two channels, 2 x 2 x 2 voxels */

static double channel_base; /* voxel v of the file that is being written is channel_base + v */

static double value_image(gint64 v)
{
    return channel_base + (double)v;
}

static double value_label(gint64 v)
{
    return v == 3;
}

static void image_put(guint i, guint c, const NiftiFields *fields)
{
    g_autofree char *name = g_strdup_printf("imagesTr/c%u_%04u.nii", i, c);

    channel_base = 10.0 * i + 100.0 * c;
    g_autoptr(GByteArray) bytes = nifti_file(fields, value_image);
    g_free(nifti_write(folder, name, bytes));
}

static void label_put(guint i, const NiftiFields *fields)
{
    g_autofree char *name = g_strdup_printf("labelsTr/c%u.nii", i);
    g_autoptr(GByteArray) bytes = nifti_file(fields, value_label);

    g_free(nifti_write(folder, name, bytes));
}

static void folder_make(void)
{
    const NiftiFields fields = nifti_fields(2, 2, 2);
    g_autofree char *images = NULL, *labels = NULL, *json = NULL;

    folder = g_dir_make_tmp("loom-stages-XXXXXX", NULL);
    images = g_build_filename(folder, "imagesTr", NULL);
    labels = g_build_filename(folder, "labelsTr", NULL);
    json = g_build_filename(folder, "dataset.json", NULL);
    g_assert_cmpint(g_mkdir(images, 0700) | g_mkdir(labels, 0700), ==, 0);
    g_assert_true(g_file_set_contents(
        json,
        "{\"channel_names\": {\"0\": \"PET\", \"1\": \"CT\"}, \"file_ending\": \".nii\","
        " \"labels\": {\"background\": 0, \"tumour\": 1}}",
        -1, NULL));
    for (guint i = 0; i < N_CASES; i++) {
        image_put(i, 0, &fields);
        image_put(i, 1, &fields);
        label_put(i, &fields);
    }
}

static void folder_remove(void)
{
    nifti_remove(folder);
    g_clear_pointer(&folder, g_free);
}

static LoomTestStage *load_open(const char *yaml, guint64 seed, GError **error)
{
    g_autofree char *sections =
        g_strdup_printf("data: {dataset: '%s', folds: 1}", folder ? folder : "");
    const LoomTestSetup setup = {.sections = sections, .seed = seed};

    return loom_test_stage(yaml, &setup, error);
}

/* The ids of packets @first to @first + @n - 1, "c0 c1 ..."; "." where the data end. */
static char *ids_of(LoomTestStage *stage, gint64 first, gint64 n)
{
    GString *ids = g_string_new(NULL);

    for (gint64 i = first; i < first + n; i++) {
        g_autoptr(LoomPacket) packet = loom_test_produce(stage, i, NULL);

        g_string_append_printf(ids, "%s%s", i > first ? " " : "",
                               packet ? loom_packet_id(packet) : ".");
    }
    return g_string_free(ids, FALSE);
}

static void ids_are(LoomTestStage *stage, gint64 first, gint64 n, const char *expected)
{
    g_autofree char *found = ids_of(stage, first, n);

    g_assert_cmpstr(found, ==, expected);
}

/* ---- nifti_load --------------------------------------------------------------------- */

static void test_packet(void)
{
    folder_make();
    g_autoptr(LoomTestStage) stage = load_open("{use: nifti_load}", 1, NULL);
    g_autoptr(LoomPacket) packet = loom_test_produce(stage, 3, NULL);
    const float *image = loom_tensor_f32(loom_packet_get(packet, "image"));
    const LoomTensor *label = loom_packet_get(packet, "label");

    g_assert_cmpstr(loom_packet_id(packet), ==, "c3");
    g_assert_cmpint(loom_tensor_size(loom_packet_get(packet, "image"), 'C'), ==, 2);
    for (guint v = 0; v < 8; v++) {
        g_assert_cmpfloat((double)image[v], ==, 30 + v);
        g_assert_cmpfloat((double)image[8 + v], ==, 130 + v);
        g_assert_cmpint(loom_tensor_u8(label)[v], ==, v == 3);
    }
    g_assert_cmpstr(loom_packet_geometry(packet)->axes, ==, "RAS");
    folder_remove();
}

static void test_order(void)
{
    folder_make();
    g_autoptr(LoomTestStage) once = load_open("{use: nifti_load}", 1, NULL);
    g_autoptr(LoomTestStage) twice = load_open("{use: nifti_load, epochs: 2}", 1, NULL);

    ids_are(once, 0, 7, "c0 c1 c2 c3 c4 . .");
    ids_are(twice, 3, 8, "c3 c4 c0 c1 c2 c3 c4 .");
    folder_remove();
}

/* The order is a function of seed and number, whatever was asked before. */
static void test_shuffle(void)
{
    const char *yaml = "{use: nifti_load, shuffle: true, epochs: 6}";

    folder_make();
    g_autoptr(LoomTestStage) stage = load_open(yaml, 7, NULL);
    g_autoptr(LoomTestStage) again = load_open(yaml, 7, NULL);
    g_autoptr(LoomTestStage) other = load_open(yaml, 8, NULL);
    g_autofree char *forwards = ids_of(stage, 0, 30);
    g_autofree char *different = ids_of(other, 0, 30);

    g_assert_cmpstr(forwards, !=, different);
    for (gint64 epoch = 5; epoch >= 0; epoch--) {
        g_autofree char *ids = ids_of(again, epoch * N_CASES, N_CASES);

        g_assert_true(strncmp(forwards + epoch * 3 * N_CASES, ids, 3 * N_CASES - 1) == 0);
        for (guint i = 0; i < N_CASES; i++) {
            const char id[] = {'c', (char)('0' + i), '\0'};

            g_assert_nonnull(strstr(ids, id)); /* a permutation */
        }
    }
    g_assert_false(strncmp(forwards, forwards + 3 * N_CASES, 3 * N_CASES - 1) == 0
                   && strncmp(forwards, forwards + 6 * N_CASES, 3 * N_CASES - 1) == 0);
    folder_remove();
}

/* A case is 2 * 8 floats and 8 bytes: 72 bytes. */
static void test_cache(void)
{
    g_autoptr(GError) error = NULL;

    folder_make();
    g_autoptr(LoomTestStage) all = load_open("{use: nifti_load, epochs: 2}", 1, NULL);
    g_autoptr(LoomTestStage) two =
        load_open("{use: nifti_load, epochs: 2, cache: 215}", 1, NULL);
    g_autoptr(LoomTestStage) none =
        load_open("{use: nifti_load, epochs: 2, cache: 0}", 1, NULL);
    g_free(ids_of(all, 0, N_CASES));
    g_free(ids_of(two, 0, N_CASES));
    g_free(ids_of(none, 0, N_CASES));
    g_autoptr(LoomPacket) first = loom_test_produce(all, 0, NULL);
    g_autoptr(LoomPacket) second = loom_test_produce(all, N_CASES, NULL);
    g_assert_true(loom_packet_get(first, "image") == loom_packet_get(second, "image"));

    g_autofree char *gone = g_build_filename(folder, "imagesTr", NULL);
    nifti_remove(gone);
    ids_are(all, N_CASES, N_CASES, "c0 c1 c2 c3 c4");
    ids_are(two, N_CASES, 2, "c0 c1");
    loom_assert_failed(loom_test_produce(two, N_CASES + 2, &error), error, LOOM_ERROR,
                       LOOM_ERROR_IO, "case 'c2': '");
    g_clear_error(&error);
    loom_assert_failed(loom_test_produce(none, N_CASES, &error), error, LOOM_ERROR,
                       LOOM_ERROR_IO, "imagesTr/c0_0000.nii': No such file");
    folder_remove();
}

/* Files that change after the check at the start are still refused, with case and file. */
static void test_broken(void)
{
    NiftiFields real = nifti_fields(2, 2, 2), moved = real, thick = real;
    g_autoptr(GError) error = NULL;

    real.datatype = 16;
    real.bitpix = 32;
    moved.srow[0][3] = 0.5;
    thick.dim[3] = 3;
    folder_make();
    g_autoptr(LoomTestStage) refuse = load_open("{use: nifti_load}", 1, NULL);
    g_autoptr(LoomTestStage) zero = load_open("{use: nifti_load, nan: zero}", 1, NULL);
    g_autoptr(GByteArray) bytes = nifti_header(&real);
    for (guint v = 0; v < 8; v++)
        nifti_append(bytes, &real, v == 5 ? (double)NAN : v);
    g_free(nifti_write(folder, "imagesTr/c0_0000.nii", bytes));
    loom_assert_failed(
        loom_test_produce(refuse, 0, &error), error, LOOM_ERROR, LOOM_ERROR_NUMERIC,
        "c0_0000.nii': 1 voxels are NaN or infinite, the first at i,j,k = 1,0,1");
    g_assert_true(g_str_has_prefix(error->message, "case 'c0': "));
    g_clear_error(&error);
    g_autoptr(LoomPacket) packet = loom_test_produce(zero, 0, NULL);
    g_assert_cmpfloat((double)loom_tensor_f32(loom_packet_get(packet, "image"))[5], ==, 0);

    image_put(1, 1, &moved);
    loom_assert_failed(loom_test_produce(refuse, 1, &error), error, LOOM_ERROR,
                       LOOM_ERROR_SHAPE, "lie up to 0.5 mm apart");
    g_assert_nonnull(strstr(error->message, "c1_0000.nii"));
    g_assert_nonnull(strstr(error->message, "c1_0001.nii"));
    g_clear_error(&error);
    label_put(2, &thick);
    loom_assert_failed(loom_test_produce(refuse, 2, &error), error, LOOM_ERROR,
                       LOOM_ERROR_SHAPE, "2 x 2 x 2 voxels but");
    g_assert_nonnull(strstr(error->message, "c2_0000.nii"));
    g_assert_nonnull(strstr(error->message, "labelsTr/c2.nii"));
    g_clear_error(&error);
    channel_base = 0;
    const NiftiFields right = nifti_fields(2, 2, 2);
    g_autoptr(GByteArray) labels = nifti_file(&right, value_image); /* 0 to 7 */
    g_free(nifti_write(folder, "labelsTr/c3.nii", labels));
    loom_assert_failed(loom_test_produce(refuse, 3, &error), error, LOOM_ERROR,
                       LOOM_ERROR_FORMAT,
                       "labelsTr/c3.nii': value 2 is none of the labels 0 to 1");
    folder_remove();
}

static void test_load_refused(void)
{
    g_autoptr(GError) error = NULL;

    loom_assert_failed(loom_test_stage("{use: nifti_load}", NULL, &error), error, LOOM_ERROR,
                       LOOM_ERROR_CONFIG, "the config has no 'data:'");
    g_clear_error(&error);
    folder_make();
    loom_assert_failed(load_open("{use: nifti_load, split: validate}", 1, &error), error,
                       LOOM_ERROR, LOOM_ERROR_CONFIG, "has no case (folds: 1 trains on all)");
    folder_remove();
}

/* ---- nifti_save --------------------------------------------------------------------- */

static LoomPacket *prediction(const char *id, gint64 depth)
{
    const gint64 size[3] = {2, 3, depth};
    const double edge[3] = {1, 2, 3};
    LoomPacket *packet = loom_packet_new();
    LoomGeometry geometry;

    loom_geometry_plain(&geometry, size, edge);
    loom_packet_set_id(packet, id);
    loom_packet_set_geometry(packet, &geometry);
    loom_packet_set(packet, "prediction",
                    loom_test_random_labels("DHW", SHAPE(depth, 3, 2), (guint64)depth, 3));
    return packet;
}

static LoomTestStage *save_open(const char *yaml, const char *run_folder)
{
    const LoomTestSetup setup = {.seed = 1, .folder = run_folder};

    return loom_test_stage(yaml, &setup, NULL);
}

static void test_save(void)
{
    g_autofree char *run_folder = g_dir_make_tmp("loom-save-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(run_folder, "predictions", "a.b.nii.gz", NULL);
    g_autoptr(GError) error = NULL;

    {
        g_autoptr(LoomTestStage) stage = save_open("{use: nifti_save}", run_folder);

        for (gint64 depth = 4; depth < 6; depth++) { /* the second replaces the first */
            g_autoptr(LoomTensor) wanted =
                loom_test_random_labels("DHW", SHAPE(depth, 3, 2), (guint64)depth, 3);
            LoomGeometry geometry;

            g_assert_cmpint(loom_test_push(stage, prediction("a.b", depth), depth - 4, NULL),
                            ==, LOOM_FLOW_OK);
            g_autoptr(LoomTensor) found = loom_volume_read_labels(path, 0, &geometry, &error);
            g_assert_no_error(error);
            g_assert_true(loom_test_equal(found, wanted));
            loom_assert_near(geometry.spacing_mm[2], 3, 0);
        }
    }
    nifti_remove(run_folder);
}

/* Classes 0, 1, 2 as `values` says. */
static void test_save_values(void)
{
    g_autofree char *run_folder = g_dir_make_tmp("loom-save-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(run_folder, "predictions", "a.nii.gz", NULL);
    static const guint8 values[] = {0, 4, 200};
    g_autoptr(GError) error = NULL;

    {
        g_autoptr(LoomTestStage) stage =
            save_open("{use: nifti_save, values: [0, 4, 200]}", run_folder);
        g_autoptr(LoomTensor) classes =
            loom_test_random_labels("DHW", SHAPE(4, 3, 2), (guint64)4, 3);

        g_assert_cmpint(loom_test_push(stage, prediction("a", 4), 0, NULL), ==, LOOM_FLOW_OK);
        g_autoptr(LoomTensor) found = loom_volume_read_labels(path, 0, NULL, &error);
        g_assert_no_error(error);
        for (gint64 v = 0; v < 24; v++)
            g_assert_cmpuint(loom_tensor_u8(found)[v], ==, values[loom_tensor_u8(classes)[v]]);
    }
    nifti_remove(run_folder);
}

static void push_refused(const char *yaml, LoomPacket *packet, LoomErrorCode code,
                         const char *text)
{
    g_autofree char *run_folder = g_dir_make_tmp("loom-save-XXXXXX", NULL);
    g_autoptr(GError) error = NULL;

    {
        g_autoptr(LoomTestStage) stage = save_open(yaml, run_folder);

        loom_assert_failed(loom_test_push(stage, packet, 0, &error), error, LOOM_ERROR, code,
                           text);
    }
    nifti_remove(run_folder);
}

static void test_save_refused(void)
{
    LoomPacket *bare = loom_packet_new();
    g_autoptr(GError) error = NULL;

    loom_packet_set(bare, "prediction", loom_test_random_labels("DHW", SHAPE(1, 1, 1), 1, 2));
    loom_packet_set_id(bare, "a+b");
    push_refused("{use: nifti_save}", bare, LOOM_ERROR_SHAPE, "case 'a+b' has no grid");
    push_refused("{use: nifti_save}", prediction("../a", 2), LOOM_ERROR_FORMAT,
                 "'../a' is no name for a file");
    push_refused("{use: nifti_save}", prediction("a/b", 2), LOOM_ERROR_FORMAT,
                 "no name for a file");
    push_refused("{use: nifti_save}", prediction(".a", 2), LOOM_ERROR_FORMAT,
                 "no name for a file");
    push_refused("{use: nifti_save, slot: logits}", prediction("a", 2), LOOM_ERROR_SHAPE,
                 "case 'a' has no 'logits'");
    push_refused("{use: nifti_save, values: [0, 4]}", prediction("a", 2), LOOM_ERROR_CONFIG,
                 "values has 2 numbers, none for class 2 of 'prediction'");
    loom_assert_failed(
        loom_test_stage("{use: nifti_save, slot: probabilities, values: [0, 4]}", NULL, &error),
        error, LOOM_ERROR, LOOM_ERROR_CONFIG,
        "values are of classes, 'probabilities' holds none");
    g_clear_error(&error);
    loom_assert_failed(loom_test_stage("{use: nifti_save, suffix: .png}", NULL, &error), error,
                       LOOM_ERROR, LOOM_ERROR_CONFIG, "suffix '.png' must end with .nii");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/nifti_load/packet", test_packet);
    g_test_add_func("/nifti_load/order", test_order);
    g_test_add_func("/nifti_load/shuffle", test_shuffle);
    g_test_add_func("/nifti_load/cache", test_cache);
    g_test_add_func("/nifti_load/broken", test_broken);
    g_test_add_func("/nifti_load/refused", test_load_refused);
    g_test_add_func("/nifti_save/replace", test_save);
    g_test_add_func("/nifti_save/values", test_save_values);
    g_test_add_func("/nifti_save/refused", test_save_refused);
    return loom_test_run();
}
