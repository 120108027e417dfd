/* Data sets: tiny folders in nnU-Net's layout, whole ones and broken ones; splits; list files.
 */
#include "data/dataset.h"
#include "loom_test.h"
#include "nifti_bytes.h"

#include <glib/gstdio.h>

static char *folder; /* of the data set at hand */

#define TWO_CHANNELS                                                                           \
    "{\"name\": \"tiny\", \"channel_names\": {\"0\": \"PET\", \"1\": \"CT\"},"                 \
    " \"labels\": {\"background\": 0, \"tumour\": 1}, \"file_ending\": \".nii\"}"
#define ONE_CHANNEL                                                                            \
    "{\"channel_names\": {\"0\": \"CT\"}, \"labels\": {\"background\": 0, \"tumour\": 1},"     \
    " \"file_ending\": \".nii\", \"numTraining\": %d}"

/* ---- making them -------------------------------------------------------------------- */

static void text_write(const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);

    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static double value_one(gint64 v)
{
    return v == 0;
}

static void volume_put(const char *name)
{
    const NiftiFields fields = nifti_fields(3, 2, 2);
    g_autoptr(GByteArray) bytes = nifti_file(&fields, value_one);

    g_free(nifti_write(folder, name, bytes));
}

static void volume_remove(const char *name)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);

    g_assert_cmpint(g_unlink(path), ==, 0);
}

/* @n cases "a00", "a01" ... of one or two channels. */
static void folder_make(const char *json, guint n, guint n_channels)
{
    g_autofree char *images = NULL, *labels = NULL;

    g_clear_pointer(&folder, g_free);
    folder = g_dir_make_tmp("loom-dataset-XXXXXX", NULL);
    images = g_build_filename(folder, "imagesTr", NULL);
    labels = g_build_filename(folder, "labelsTr", NULL);
    g_assert_cmpint(g_mkdir(images, 0700) | g_mkdir(labels, 0700), ==, 0);
    if (json)
        text_write("dataset.json", json);
    for (guint i = 0; i < n; i++) {
        g_autofree char *label = g_strdup_printf("labelsTr/a%02u.nii", i);

        volume_put(label);
        for (guint c = 0; c < n_channels; c++) {
            g_autofree char *image = g_strdup_printf("imagesTr/a%02u_%04u.nii", i, c);

            volume_put(image);
        }
    }
}

static void folder_remove(void)
{
    nifti_remove(folder);
}

static LoomDataset *folder_open(gint64 folds, gint64 fold, gint64 seed, GError **error)
{
    const LoomDataOptions options = {
        .dataset = folder, .folds = folds, .fold = fold, .split_seed = seed};

    return loom_dataset_open(&options, error);
}

/* Opening must fail with this in the message. */
static void open_refused(LoomErrorCode code, const char *text)
{
    g_autoptr(GError) error = NULL;

    loom_assert_failed(folder_open(1, 0, 1, &error), error, LOOM_ERROR, code, text);
    g_assert_null(strchr(error->message, '\n'));
}

/* ---- whole ones --------------------------------------------------------------------- */

static void test_open(void)
{
    g_autoptr(GError) error = NULL;

    folder_make(TWO_CHANNELS, 3, 2);
    text_write("imagesTr/._a00_0000.nii", "what a Mac leaves"); /* hidden: passed over */
    g_autoptr(LoomDataset) dataset = folder_open(1, 0, 1, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(dataset->name, ==, "tiny");
    g_assert_cmpuint(dataset->n_cases, ==, 3);
    g_assert_cmpuint(dataset->n_channels, ==, 2);
    g_assert_cmpstr(dataset->channel_names[1], ==, "CT");
    g_assert_cmpuint(dataset->n_labels, ==, 2);
    g_assert_cmpstr(dataset->label_names[1], ==, "tumour");
    g_assert_null(dataset->label_names[2]);
    g_assert_cmpstr(dataset->cases[2].id, ==, "a02");
    g_assert_true(g_str_has_suffix(dataset->cases[2].images[1], "imagesTr/a02_0001.nii"));
    g_assert_null(dataset->cases[2].images[2]);
    g_assert_true(g_str_has_suffix(dataset->cases[2].label, "labelsTr/a02.nii"));
    g_autoptr(LoomPool) pool = loom_pool_new(2);
    g_assert_true(loom_dataset_check(dataset, pool, &error));
    folder_remove();
}

static void test_version_1(void)
{
    g_autoptr(GError) error = NULL;

    folder_make("{\"modality\": {\"0\": \"MRI\"}, \"labels\": {\"1\": \"liver\","
                " \"0\": \"background\"}, \"file_ending\": \".nii\"}",
                2, 1);
    g_autoptr(LoomDataset) dataset = folder_open(1, 0, 1, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(dataset->channel_names[0], ==, "MRI");
    g_assert_cmpstr(dataset->label_names[1], ==, "liver");
    folder_remove();
}

/* ---- broken ones -------------------------------------------------------------------- */

static void test_missing(void)
{
    folder_make(TWO_CHANNELS, 3, 2);
    volume_remove("imagesTr/a00_0001.nii");
    volume_remove("labelsTr/a02.nii");
    open_refused(LOOM_ERROR_IO, "2 files are missing: CT of a00; label of a02 (looked for "
                                "imagesTr/NAME_0000.nii, labelsTr/NAME.nii)");
    folder_remove();

    folder_make(TWO_CHANNELS, 14, 1);
    open_refused(LOOM_ERROR_IO, "14 files are missing: CT of all 14 cases (looked");
    folder_remove();

    folder_make(TWO_CHANNELS, 44, 2);
    for (guint i = 0; i < 42; i++) {
        g_autofree char *name = g_strdup_printf("labelsTr/a%02u.nii", i);

        volume_remove(name);
    }
    open_refused(LOOM_ERROR_IO, "42 files are missing: label of a00, a01, ");
    open_refused(LOOM_ERROR_IO, ", a39 and 2 more (looked");
    folder_remove();

    folder_make(NULL, 1, 1);
    open_refused(LOOM_ERROR_CONFIG,
                 "is no data set that is known, looked for dataset.json, imagesTr/NAME_0000");
    folder_remove();
    open_refused(LOOM_ERROR_IO, "there is no folder");

    folder_make(NULL, 0, 0); /* one level too high */
    text_write("imagesTr/dataset.json", "{}");
    open_refused(LOOM_ERROR_CONFIG, "/imagesTr' (nnunet)?");
    folder_remove();
}

static void test_names(void)
{
    folder_make(TWO_CHANNELS, 1, 2);
    volume_put("imagesTr/b.nii");
    open_refused(LOOM_ERROR_FORMAT,
                 "'imagesTr/b.nii' has no channel number, want NAME_0000.nii");
    volume_remove("imagesTr/b.nii");
    volume_put("imagesTr/a00_0002.nii");
    open_refused(LOOM_ERROR_FORMAT,
                 "'imagesTr/a00_0002.nii' is channel 2, but dataset.json names 2");
    volume_remove("imagesTr/a00_0002.nii");
    volume_remove("imagesTr/a00_0001.nii");
    volume_remove("imagesTr/a00_0000.nii");
    open_refused(LOOM_ERROR_FORMAT, "imagesTr holds no NAME_0000.nii");
    folder_remove();
}

static void json_refused(const char *json, LoomErrorCode code, const char *text)
{
    text_write("dataset.json", json);
    open_refused(code, text);
}

#define JSON(channels, labels, more)                                                           \
    "{\"channel_names\": " channels ", \"labels\": " labels more "}"
#define LABELS "{\"background\": 0, \"tumour\": 1}"

static void test_json(void)
{
    g_autofree char *deep = g_strnfill(100, '[');

    folder_make(TWO_CHANNELS, 1, 1);
    json_refused("", LOOM_ERROR_FORMAT, "dataset.json'");
    json_refused("[]", LOOM_ERROR_FORMAT, "is no JSON object");
    json_refused("{\"labels\": ", LOOM_ERROR_FORMAT, "dataset.json'");
    json_refused(deep, LOOM_ERROR_LIMIT, "nest more than 32 deep");
    json_refused("\xff{}", LOOM_ERROR_FORMAT, "is not UTF-8");
    json_refused("{}", LOOM_ERROR_FORMAT, "'channel_names' is missing");
    json_refused(JSON("3", LABELS, ""), LOOM_ERROR_FORMAT, "'channel_names' is no object");
    json_refused(JSON("{}", LABELS, ""), LOOM_ERROR_FORMAT, "0 channels");
    json_refused(JSON("{\"1\": \"CT\"}", LABELS, ""), LOOM_ERROR_FORMAT,
                 "channel 'CT' is number 1, want 0 to 0 without a gap");
    json_refused(JSON("{\"0\": 7}", LABELS, ""), LOOM_ERROR_FORMAT, "'0' in 'channel_names'");
    json_refused(JSON("{\"0\": \"CT\"}", "{\"background\": 0}", ""), LOOM_ERROR_FORMAT,
                 "1 labels");
    json_refused(JSON("{\"0\": \"CT\"}", "{\"background\": 0, \"tumour\": 2}", ""),
                 LOOM_ERROR_FORMAT, "label 'tumour' is number 2, want 0 to 1 without a gap");
    json_refused(JSON("{\"0\": \"CT\"}", "{\"background\": 0, \"a\": 1, \"b\": 1}", ""),
                 LOOM_ERROR_FORMAT, "have both the number 1");
    json_refused(JSON("{\"0\": \"CT\"}", "{\"background\": 0, \"ignore\": 1}", ""),
                 LOOM_ERROR_FORMAT, "1 labels");
    json_refused(JSON("{\"0\": \"CT\"}", "{\"background\": 0, \"a\": 2, \"ignore\": 1}", ""),
                 LOOM_ERROR_FORMAT, "label 'a' is number 2, want 0 to 1 without a gap");
    json_refused(JSON("{\"0\": \"CT\"}", "{\"background\": 0, \"a\": 1, \"ignore\": 3}", ""),
                 LOOM_ERROR_FORMAT, "'ignore' must have the highest value, want \"ignore\": 2");
    json_refused(JSON("{\"0\": \"CT\"}", "{\"background\": 0, \"whole\": [1, 2]}", ""),
                 LOOM_ERROR_FORMAT, "so want 'regions_class_order' with 1 label, one to write");
    json_refused(JSON("{\"0\": \"CT\"}", "{\"background\": 0, \"whole\": [1, 2]}",
                      ", \"regions_class_order\": [3]"),
                 LOOM_ERROR_FORMAT, "written for region 'whole' is none of its labels");
    json_refused(JSON("{\"0\": \"CT\"}", "{\"background\": 0, \"whole\": [1, 3]}",
                      ", \"regions_class_order\": [3]"),
                 LOOM_ERROR_FORMAT, "the regions hold label 3 but not 2");
    json_refused(JSON("{\"0\": \"CT\"}", "{\"background\": 0, \"whole\": [1, \"x\"]}",
                      ", \"regions_class_order\": [1]"),
                 LOOM_ERROR_FORMAT, "region 'whole' holds what is no label");
    json_refused(JSON("{\"0\": \"CT\"}", "{\"background\": 0, \"whole\": []}",
                      ", \"regions_class_order\": [1]"),
                 LOOM_ERROR_FORMAT, "region 'whole' is empty");
    json_refused(JSON("{\"0\": \"CT\"}", "{\"background\": 0, \"a\": 1.5}", ""),
                 LOOM_ERROR_FORMAT, "label 'a' has no whole number");
    json_refused(JSON("{\"0\": \"CT\"}", LABELS, ", \"file_ending\": \".png\""),
                 LOOM_ERROR_FORMAT, "'file_ending' is '.png'");
    json_refused(
        JSON("{\"0\": \"CT\"}", LABELS, ", \"file_ending\": \".nii\", \"numTraining\": 3"),
        LOOM_ERROR_FORMAT, "numTraining 3, but there are 1 cases, 2 too few");
    folder_remove();
}

/* ---- splits ------------------------------------------------------------------------- */

static void test_folds(void)
{
    g_autofree char *json = g_strdup_printf(ONE_CHANNEL, 13);
    guint validated[13] = {0};
    g_autoptr(GError) error = NULL;

    folder_make(json, 13, 1);
    for (gint64 fold = 0; fold < 5; fold++) {
        guint n_train, n_validate, n_all;
        g_autoptr(LoomDataset) dataset = folder_open(5, fold, 12345, &error);
        g_autoptr(LoomDataset) again = folder_open(5, fold, 12345, &error);
        g_autofree guint *train = loom_dataset_split(dataset, LOOM_SPLIT_TRAIN, &n_train);
        g_autofree guint *validate =
            loom_dataset_split(dataset, LOOM_SPLIT_VALIDATE, &n_validate);

        g_free(loom_dataset_split(dataset, LOOM_SPLIT_ALL, &n_all));
        g_assert_cmpuint(n_all, ==, 13);
        g_assert_cmpuint(n_train + n_validate, ==, 13);
        g_assert_true(n_validate == 2 || n_validate == 3); /* 13 / 5 */
        for (guint i = 0; i < n_validate; i++)
            validated[validate[i]]++;
        for (guint i = 1; i < n_train; i++)
            g_assert_cmpuint(train[i - 1], <, train[i]);
        g_assert_true(memcmp(dataset->in_train, again->in_train, 13) == 0);
    }
    for (guint i = 0; i < 13; i++)
        g_assert_cmpuint(validated[i], ==, 1);

    g_autoptr(LoomDataset) other = folder_open(5, 0, 12346, &error);
    g_autoptr(LoomDataset) first = folder_open(5, 0, 12345, &error);
    g_assert_false(memcmp(other->in_train, first->in_train, 13) == 0);

    guint n;
    g_autoptr(LoomDataset) everything = folder_open(1, 0, 1, &error);
    g_free(loom_dataset_split(everything, LOOM_SPLIT_VALIDATE, &n));
    g_assert_cmpuint(n, ==, 0);
    loom_assert_failed(folder_open(5, 5, 1, &error), error, LOOM_ERROR, LOOM_ERROR_CONFIG,
                       "fold (5) must be below folds (5)");
    g_clear_error(&error);
    loom_assert_failed(folder_open(14, 0, 1, &error), error, LOOM_ERROR, LOOM_ERROR_CONFIG,
                       "14 folds of 13 cases");
    folder_remove();
}

static LoomDataset *lists_open(const char *train, const char *validate, GError **error)
{
    g_autofree char *train_path = g_build_filename(folder, "train.txt", NULL);
    g_autofree char *validate_path = g_build_filename(folder, "val.txt", NULL);
    const LoomDataOptions options = {.dataset = folder,
                                     .folds = 5,
                                     .train = train ? train_path : NULL,
                                     .validate = validate ? validate_path : NULL};

    if (train)
        text_write("train.txt", train);
    if (validate)
        text_write("val.txt", validate);
    return loom_dataset_open(&options, error);
}

/* "a00+ a01- a03-": ids with + (trains) or - (validates). */
static void lists_give(const char *train, const char *validate, const char *expected)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(LoomDataset) dataset = lists_open(train, validate, &error);
    g_autoptr(GString) found = g_string_new(NULL);

    g_assert_no_error(error);
    for (guint i = 0; i < dataset->n_cases; i++)
        g_string_append_printf(found, "%s%s%c", i ? " " : "", dataset->cases[i].id,
                               dataset->in_train[i] ? '+' : '-');
    g_assert_cmpstr(found->str, ==, expected);
}

static void lists_refused(const char *train, const char *validate, LoomErrorCode code,
                          const char *text)
{
    g_autoptr(GError) error = NULL;

    loom_assert_failed(lists_open(train, validate, &error), error, LOOM_ERROR, code, text);
}

static void test_lists(void)
{
    g_autofree char *json = g_strdup_printf(ONE_CHANNEL, 4);

    folder_make(json, 4, 1);
    lists_give("a02\na00\n", NULL, "a00+ a01- a02+ a03-");
    lists_give(NULL, "a02", "a00+ a01+ a02- a03+");
    lists_give("a02\n", "a01\n", "a01- a02+");
    lists_give("\xef\xbb\xbf# of Monday\r\n\r\n  a01 \t\r\n", NULL, "a00- a01+ a02- a03-");
    lists_refused("a00\n\nb01\n", NULL, LOOM_ERROR_CONFIG,
                  "train.txt:3: there is no case 'b01', did you mean 'a01'?");
    lists_refused("a00\na01\na00\n", NULL, LOOM_ERROR_CONFIG,
                  "train.txt:3: case 'a00' is in line 1 already");
    lists_refused("a00\n", "a01\na00\n", LOOM_ERROR_CONFIG,
                  "val.txt:2: case 'a00' trains as well");
    lists_refused("# nobody\n", NULL, LOOM_ERROR_CONFIG, "names no case");
    lists_refused("a\xff\n", NULL, LOOM_ERROR_FORMAT, "is not UTF-8");
    folder_remove();
}

/* ---- the look at everything --------------------------------------------------------- */

static void check_refused(LoomErrorCode code, const char *text)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(LoomDataset) dataset = folder_open(1, 0, 1, &error);
    g_autoptr(LoomPool) pool = loom_pool_new(3);

    g_assert_no_error(error);
    loom_assert_failed(loom_dataset_check(dataset, pool, &error), error, LOOM_ERROR, code,
                       text);
    g_assert_null(strchr(error->message, '\n'));
}

static double value_background(G_GNUC_UNUSED gint64 v)
{
    return 0;
}

static double value_seven(gint64 v)
{
    return v == 4 || v == 11 ? 7 : v == 0;
}

static void volume_replace(const char *name, const NiftiFields *fields, double (*value)(gint64))
{
    g_autoptr(GByteArray) bytes = nifti_file(fields, value);

    g_free(nifti_write(folder, name, bytes));
}

static void test_check(void)
{
    const NiftiFields right = nifti_fields(3, 2, 2);
    const NiftiFields small = nifti_fields(3, 2, 1);
    NiftiFields moved = right, series = right;

    moved.srow[0][3] = 0.02;
    series.dim[0] = 4;
    series.dim[4] = 2;
    folder_make(TWO_CHANNELS, 4, 2);
    volume_replace("labelsTr/a01.nii", &right, value_seven); /* voxel 4 is i,j,k = 1,1,0 */
    check_refused(LOOM_ERROR_FORMAT,
                  "labelsTr/a01.nii': value 7 at i,j,k = 1,1,0 is none of the labels 0 to 1; 2 "
                  "voxels are like that (data: {label_map: {7: LABEL}} gives it one)");
    volume_replace("labelsTr/a03.nii", &small, value_one);
    volume_replace("labelsTr/a02.nii", &moved, value_one);
    check_refused(LOOM_ERROR_FORMAT, "(and problems in 2 more cases)");
    volume_put("labelsTr/a01.nii");
    check_refused(LOOM_ERROR_SHAPE, "case 'a02': ");
    volume_put("labelsTr/a02.nii");
    check_refused(LOOM_ERROR_SHAPE, "3 x 2 x 2 voxels but");
    volume_put("labelsTr/a03.nii");
    volume_replace("imagesTr/a00_0001.nii", &moved, value_one);
    check_refused(LOOM_ERROR_SHAPE, "imagesTr/a00_0001.nii");
    volume_replace("imagesTr/a00_0001.nii", &series, value_one);
    check_refused(LOOM_ERROR_SHAPE, "2 volumes in one file, want one file a channel");
    text_write("imagesTr/a00_0001.nii", "damaged");
    check_refused(LOOM_ERROR_FORMAT, "7 of the 348 bytes");
    volume_put("imagesTr/a00_0001.nii");
    folder_remove();
}

static void test_absent_class(void)
{
    const NiftiFields right = nifti_fields(3, 2, 2);
    g_autoptr(GError) error = NULL;
    g_autoptr(LoomPool) pool = loom_pool_new(1);

    folder_make(TWO_CHANNELS, 2, 2);
    volume_replace("labelsTr/a00.nii", &right, value_background);
    g_test_expect_message("loom-data", G_LOG_LEVEL_WARNING, "*a00.nii': no foreground*");
    g_autoptr(LoomDataset) dataset = folder_open(1, 0, 1, &error);
    g_assert_true(loom_dataset_check(dataset, pool, &error));
    g_test_assert_expected_messages();
    volume_replace("labelsTr/a01.nii", &right, value_background);
    check_refused(LOOM_ERROR_FORMAT,
                  "none of the 2 training cases has a voxel of label 1 ('tumour')");
    folder_remove();
}

/* ---- loose files -------------------------------------------------------------------- */

static void test_loose(void)
{
    char *paths[] = {(char[]){"x/b_0000.nii.gz"}, (char[]){"x/b_0001.nii.gz"},
                     (char[]){"y/a.b.nii"}, (char[]){"y/other.nii"}, NULL};
    char *same[] = {(char[]){"x/a.nii.gz"}, (char[]){"y/a_0000.nii"}, NULL};
    g_autoptr(GError) error = NULL;
    guint n;

    g_autoptr(LoomDataset) dataset = loom_dataset_from_files(paths, NULL, 2, 0, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(dataset->n_cases, ==, 2);
    g_assert_cmpstr(dataset->cases[0].id, ==, "b");
    g_assert_cmpstr(dataset->cases[1].id, ==, "a.b");
    g_assert_cmpstr(dataset->cases[0].images[1], ==, "x/b_0001.nii.gz");
    g_assert_null(dataset->cases[0].label);
    g_free(loom_dataset_split(dataset, LOOM_SPLIT_TRAIN, &n));
    g_assert_cmpuint(n, ==, 2);
    g_free(loom_dataset_split(dataset, LOOM_SPLIT_VALIDATE, &n));
    g_assert_cmpuint(n, ==, 2);

    char *const ids[] = {(char[]){"one"}, (char[]){"two"}, NULL};
    g_autoptr(LoomDataset) named = loom_dataset_from_files(paths, ids, 2, 0, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(named->cases[0].id, ==, "one");
    g_assert_cmpstr(named->cases[1].id, ==, "two");

    const guint places[] = {3, 1};
    g_autoptr(LoomDataset) whole = loom_dataset_from_files(paths, NULL, 2, 4, places, &error);
    loom_assert_failed(whole, error, LOOM_ERROR, LOOM_ERROR_CONFIG, "are both case 'b'");
    g_clear_error(&error);
    g_autoptr(LoomDataset) chosen =
        loom_dataset_from_files(paths + 1, NULL, 2, 4, places, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(chosen->n_cases, ==, 3); /* a file each */
    g_assert_cmpuint(chosen->volume_of[0], ==, 3);
    g_assert_cmpuint(loom_dataset_files(chosen), ==, 1);

    loom_assert_failed(loom_dataset_from_files(paths, NULL, 3, 0, NULL, &error), error,
                       LOOM_ERROR, LOOM_ERROR_CONFIG, "4 image files, want 3 for each case");
    g_clear_error(&error);
    loom_assert_failed(loom_dataset_from_files(same, NULL, 1, 0, NULL, &error), error,
                       LOOM_ERROR, LOOM_ERROR_CONFIG,
                       "'x/a.nii.gz' and 'y/a_0000.nii' are both case 'a'");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/dataset/open", test_open);
    g_test_add_func("/dataset/version-1", test_version_1);
    g_test_add_func("/dataset/missing", test_missing);
    g_test_add_func("/dataset/names", test_names);
    g_test_add_func("/dataset/json", test_json);
    g_test_add_func("/dataset/folds", test_folds);
    g_test_add_func("/dataset/lists", test_lists);
    g_test_add_func("/dataset/check", test_check);
    g_test_add_func("/dataset/absent-class", test_absent_class);
    g_test_add_func("/dataset/loose", test_loose);
    const int result = loom_test_run();
    g_free(folder);
    return result;
}
