/* How files lie: each layout recognised by itself, forced, broken; tables; splits that data
 * sets bring along. */
#include "data_folder.h"
#include "loom_test.h"
#include "nifti_bytes.h"

#include <string.h>

#define NAMES "label_names: [background, a, b, c]"

/* ---- nnU-Net and MSD ---------------------------------------------------------------- */

#define MSD(files)                                                                             \
    "{\"modality\": {\"0\": \"FLAIR\", \"1\": \"T1w\"}, \"labels\": {\"0\": \"background\","   \
    " \"1\": \"a\", \"2\": \"b\", \"3\": \"c\"}, \"numTraining\": 2, \"training\": [" files    \
    "]}"
#define MSD_ENTRY(name)                                                                        \
    "{\"image\": \"./imagesTr/" name ".nii.gz\", \"label\": \"./labelsTr/" name ".nii.gz\"}"

static void msd_make(void)
{
    data_folder_begin();
    text_put("dataset.json", MSD(MSD_ENTRY("BRATS_002") ", " MSD_ENTRY("BRATS_001")));
    for (guint i = 1; i <= 2; i++) {
        g_autofree char *image = g_strdup_printf("imagesTr/BRATS_00%u.nii.gz", i);
        g_autofree char *label = g_strdup_printf("labelsTr/BRATS_00%u.nii.gz", i);

        volume_put(image, 2);
        volume_put(label, 1);
    }
}

/* One file holds both channels; the list's order is not that of the cases. */
static void test_msd(void)
{
    g_autoptr(GError) error = NULL;
    LoomGeometry geometry;

    msd_make();
    data_is("", "folds: 1", "msd", "BRATS_001+ BRATS_002+");
    g_autoptr(LoomDataset) dataset = data_open("", "folds: 1", &error);
    g_assert_cmpuint(dataset->n_channels, ==, 2);
    g_assert_cmpuint(dataset->n_volumes, ==, 2);
    g_assert_null(dataset->cases[0].images[1]);
    g_autoptr(LoomPool) pool = loom_pool_new(1);
    g_assert_true(loom_dataset_check(dataset, pool, &error));
    g_autoptr(LoomTensor) image =
        loom_dataset_read_image(dataset, &dataset->cases[0], NULL, &geometry, &error);
    g_assert_no_error(error);
    g_assert_cmpint(loom_tensor_size(image, 'C'), ==, 2);

    /* one of the two, and both the other way round */
    g_autoptr(LoomDataset) second = data_open("", "folds: 1, channels: [T1w, FLAIR]", &error);
    g_autoptr(LoomTensor) turned =
        loom_dataset_read_image(second, &second->cases[0], NULL, &geometry, &error);
    g_assert_no_error(error);
    nifti_assert_same(loom_tensor_f32(turned), loom_tensor_f32(image) + 12, 12 * sizeof(float));
    nifti_assert_same(loom_tensor_f32(turned) + 12, loom_tensor_f32(image), 12 * sizeof(float));
    g_autoptr(LoomDataset) alone = data_open("", "folds: 1, channels: [T1w]", &error);
    g_autoptr(LoomTensor) one =
        loom_dataset_read_image(alone, &alone->cases[0], NULL, &geometry, &error);
    g_assert_no_error(error);
    g_assert_cmpint(loom_tensor_size(one, 'C'), ==, 1);

    volume_put("imagesTr/BRATS_001.nii.gz", 3);
    loom_assert_failed(
        loom_dataset_read_image(dataset, &dataset->cases[0], NULL, &geometry, &error), error,
        LOOM_ERROR, LOOM_ERROR_SHAPE,
        "3 volumes along the fourth axis, the data set has 2 channels");
    g_clear_error(&error);
    loom_assert_failed(loom_dataset_check(dataset, pool, &error), error, LOOM_ERROR,
                       LOOM_ERROR_SHAPE, "3 volumes along the fourth axis");
    data_folder_end();
}

static void test_msd_refused(void)
{
    msd_make();
    data_refused("", "channels: [T1, FLAIR]",
                 "channels: there is no channel 'T1', did you mean 'T1w'? (there are: FLAIR, "
                 "T1w)");
    data_refused("", "channels: [T1w, T1w]", "channels: 'T1w' comes twice");
    data_refused("", "images: x.nii, layout: msd", "'images' goes with layout 'pattern' only");
    data_refused("", "layout: mds", "unknown choice 'mds', did you mean 'msd'?");
    file_remove("labelsTr/BRATS_002.nii.gz");
    data_refused("", "",
                 "1 file is missing: label of BRATS_002 (looked for the files that "
                 "dataset.json lists under 'training')");
    volume_put("labelsTr/BRATS_002.nii", 1);
    volume_put("labelsTr/BRATS_002.nii.gz", 1);
    data_refused("", "", "case 'BRATS_002' has ");
    data_refused("", "", "labelsTr/BRATS_002.nii.gz': want only one of them");
    file_remove("labelsTr/BRATS_002.nii");
    text_put("dataset.json", MSD(MSD_ENTRY("BRATS_001") ", " MSD_ENTRY("BRATS_001")));
    data_refused("", "", "case 'BRATS_001' is there twice");
    text_put("dataset.json", MSD(MSD_ENTRY("BRATS_001")));
    data_refused("", "", "numTraining 2, but there are 1 cases, 1 too few");
    text_put("dataset.json", MSD("{\"image\": 7}"));
    data_refused("", "", "entry 0 of 'training' is no {\"image\": FILE, \"label\": FILE}");
    text_put("dataset.json", MSD(""));
    data_refused("", "", "'training' lists no case");
    data_folder_end();
}

/* Version 1 of nnU-Net lists names without numbers; files of both kinds are two data sets. */
static void test_listed_names(void)
{
    static const char *const files[] = {"imagesTr/a_0000.nii.gz",
                                        "imagesTr/a_0001.nii.gz",
                                        "imagesTr/b_0000.nii.gz",
                                        "imagesTr/b_0001.nii.gz",
                                        "labelsTr/a.nii.gz",
                                        "labelsTr/b.nii.gz",
                                        NULL};

    data_folder_begin();
    text_put("dataset.json", MSD(MSD_ENTRY("a") ", " MSD_ENTRY("b")));
    volumes_put(files);
    data_is("", "folds: 1", "nnunet", "a+ b+");
    volume_put("imagesTr/a.nii.gz", 2);
    volume_put("imagesTr/b.nii.gz", 2);
    data_refused("", "",
                 "may be read in more than one way (nnunet, msd), want data: {layout: nnunet}");
    data_is("", "folds: 1, layout: msd", "msd", "a+ b+");
    data_folder_end();
}

/* A case may be called as BraTS calls its files: dataset.json says what the folder is. */
static void test_names_of_others(void)
{
    data_folder_begin();
    text_put("dataset.json",
             "{\"channel_names\": {\"0\": \"MR\"}, \"labels\": {\"background\": 0, "
             "\"a\": 1, \"b\": 2, \"c\": 3}, \"file_ending\": \".nii.gz\"}");
    volume_put("imagesTr/cord_t2_0000.nii.gz", 1);
    volume_put("labelsTr/cord_t2.nii.gz", 1);
    data_is("", "folds: 1", "nnunet", "cord_t2+");
    data_folder_end();
}

/* nnU-Net's own list gives each channel a file anywhere. */
static void test_nnunet_list(void)
{
    static const char *const files[] = {"x/one.nii.gz", "x/two.nii.gz", "y/seg.nii.gz", NULL};

    data_folder_begin();
    volumes_put(files);
    text_put("dataset.json",
             "{\"channel_names\": {\"0\": \"A\", \"1\": \"B\"}, \"file_ending\": \".nii.gz\","
             " \"labels\": {\"background\": 0, \"x\": 1}, \"dataset\": {\"p1\": {\"images\":"
             " [\"x/one.nii.gz\", \"./x/two.nii.gz\"], \"label\": \"y/seg.nii.gz\"}}}");
    data_is("", "folds: 1", "nnunet", "p1+");
    file_remove("x/two.nii.gz");
    data_refused("", "",
                 "1 file is missing: B of p1 (looked for the files that dataset.json "
                 "lists under 'dataset')");
    text_put("dataset.json",
             "{\"channel_names\": {\"0\": \"A\", \"1\": \"B\"}, \"labels\": {\"background\": 0,"
             " \"x\": 1}, \"dataset\": {\"p1\": {\"images\": [\"x\"], \"label\": \"y\"}}}");
    data_refused("", "",
                 "case 'p1' in 'dataset' is no {\"images\": [2 files], \"label\": FILE}");
    data_folder_end();
}

/* ---- challenges --------------------------------------------------------------------- */

static void test_kits19(void)
{
    static const char *const files[] = {
        "case_00000/imaging.nii.gz", "case_00000/segmentation.nii.gz",
        "case_00007/imaging.nii",    "case_00007/segmentation.nii.gz",
        "case_00210/imaging.nii.gz", /* of the test: no label, no complaint */
        "other/readme.nii.gz",       NULL};
    g_autoptr(GError) error = NULL;

    data_folder_begin();
    volumes_put(files);
    text_put("kits.json", "[]");
    data_is("", "folds: 1", "kits19", "case_00000+ case_00007+");
    g_autoptr(LoomDataset) dataset = data_open("", "folds: 1", &error);
    g_assert_cmpstr(dataset->channel_names[0], ==, "CT");
    g_assert_cmpuint(dataset->n_labels, ==, 3);
    g_assert_cmpstr(dataset->label_names[2], ==, "tumour");

    volume_put("case_00007/segmentation.nii", 1);
    data_refused("", "", "'segmentation.nii' and 'segmentation.nii.gz': want only one of them");
    file_remove("case_00007/segmentation.nii");
    file_remove("case_00007/segmentation.nii.gz");
    file_remove("case_00000/imaging.nii.gz");
    data_refused("", "",
                 "2 files are missing: CT of case_00000; label of case_00007 (looked for "
                 "case_NNNNN/imaging.nii.gz, case_NNNNN/segmentation.nii.gz)");
    data_folder_end();
}

static void brats_make(void)
{
    static const char *const ends[] = {"flair.nii.gz", "t1.nii.gz", "t1ce.nii.gz", "t2.nii.gz"};

    data_folder_begin();
    for (guint i = 1; i <= 3; i++) {
        for (guint c = 0; c < 4; c++) {
            g_autofree char *name = g_strdup_printf("B_%u/B_%u_%s", i, i, ends[c]);

            volume_put(name, 1);
        }
        if (i < 3) {
            g_autofree char *name = g_strdup_printf("B_%u/B_%u_seg.nii.gz", i, i);

            volume_put(name, 1);
        }
    }
    volume_put("B_3/W39_Segm.nii", 1); /* as one case of the release is called */
    text_put("name_mapping.csv", "a,b\n");
}

static double value_brats(gint64 v)
{
    static const double values[] = {0, 1, 2, 4};

    return values[v % 4];
}

static double value_brats15(gint64 v)
{
    return (double)(v % 5);
}

/* BraTS20 has no 3; BraTS15 has, and means something else by it than by 4. */
static void test_brats15(void)
{
    const int became[] = {0, 1, 2, 1, 3};
    const NiftiFields fields = nifti_fields(5, 2, 1);
    g_autoptr(GByteArray) bytes = nifti_file(&fields, value_brats15);
    g_autoptr(GError) error = NULL;
    LoomGeometry geometry;

    brats_make();
    g_free(nifti_write(data_folder, "B_3/W39_Segm.nii", bytes));
    g_autoptr(LoomDataset) strict = data_open("", "folds: 1, channels: [t1ce]", &error);
    g_assert_no_error(error);
    loom_assert_failed(
        loom_dataset_read_label(strict, &strict->cases[2], NULL, &geometry, &error), error,
        LOOM_ERROR, LOOM_ERROR_FORMAT,
        "value 3 is no label here: another value is written for 3: 2 voxels, the first at "
        "i,j,k = 3,0,0 (data: {label_map: {3: LABEL}} gives it one)");
    g_clear_error(&error);
    g_autoptr(LoomDataset) told =
        data_open("", "folds: 1, channels: [t1ce], label_map: {3: 1}", &error);
    g_assert_no_error(error);
    g_autoptr(LoomTensor) label =
        loom_dataset_read_label(told, &told->cases[2], NULL, &geometry, &error);
    g_assert_no_error(error);
    for (gint64 v = 0; v < 10; v++)
        g_assert_cmpint(loom_tensor_u8(label)[v], ==, became[v % 5]);
    g_assert_cmpuint(told->value_of[1], ==, 1); /* BraTS20 has a 1: 3 is only read as it */
    g_assert_cmpuint(told->value_of[3], ==, 4);
    data_folder_end();
}

static void test_brats20(void)
{
    const NiftiFields fields = nifti_fields(3, 2, 2);
    g_autoptr(GByteArray) bytes = nifti_file(&fields, value_brats);
    g_autoptr(GError) error = NULL;
    LoomGeometry geometry;

    brats_make();
    g_free(nifti_write(data_folder, "B_3/W39_Segm.nii", bytes));
    data_is("", "folds: 1", "brats20", "B_1+ B_2+ B_3+");
    g_autoptr(LoomDataset) dataset = data_open("", "folds: 1, channels: [t1ce]", &error);
    g_assert_no_error(error);
    g_assert_cmpuint(dataset->n_channels, ==, 1);
    g_assert_true(g_str_has_suffix(dataset->cases[1].images[0], "B_2/B_2_t1ce.nii.gz"));
    g_assert_null(dataset->cases[1].images[1]);
    g_autoptr(LoomTensor) label =
        loom_dataset_read_label(dataset, &dataset->cases[2], NULL, &geometry, &error);
    g_assert_no_error(error);
    for (gint64 v = 0; v < 12; v++) /* 4 became 3 */
        g_assert_cmpint(loom_tensor_u8(label)[v], ==, v % 4);
    for (guint k = 0; k < 4; k++) /* and is written as 4 */
        g_assert_cmpuint(dataset->value_of[k], ==, k == 3 ? 4 : k);

    file_remove("B_1/B_1_t2.nii.gz");
    file_remove("B_2/B_2_t2.nii.gz");
    file_remove("B_2/B_2_flair.nii.gz");
    data_refused("", "", "3 files are missing: flair of B_2; t2 of B_1, B_2 (looked for");
    data_folder_end();
}

/* Two kinds in one folder; a folder too high; nothing. */
static void test_recognition(void)
{
    brats_make();
    volume_put("case_00000/imaging.nii.gz", 1);
    volume_put("case_00000/segmentation.nii.gz", 1);
    data_refused("", "", "more than one way (kits19, brats20), want data: {layout: kits19}");
    data_is("", "folds: 1, layout: kits19", "kits19", "case_00000+");
    data_folder_end();

    data_folder_begin();
    volume_put("data/case_00000/imaging.nii.gz", 1);
    data_refused("", "", "/data' (kits19)?");
    data_folder_end();

    data_folder_begin();
    data_refused("", "",
                 "looked for dataset.json, imagesTr/NAME_0000.nii.gz and "
                 "labelsTr/NAME.nii.gz (nnunet); dataset.json with a list 'training' "
                 "(msd); case_NNNNN/imaging.nii.gz and segmentation.nii.gz (kits19); "
                 "CASE/*_flair.nii.gz");
    data_refused("", "", "data: {images: PATTERN, labels: PATTERN}");
    data_refused("", "layout: brats20", "there is no case (looked for CASE/*_flair.nii.gz");
    data_refused("", "layout: msd", "dataset.json");
    data_refused("", "layout: pattern", "layout 'pattern' wants images:");
    data_folder_end();
}

/* ---- patterns ----------------------------------------------------------------------- */

#define BIDS                                                                                   \
    "images: 'sub-{case}/anat/sub-{case}_{channel}.nii.gz', labels: "                          \
    "'derivatives/sub-{case}_seg.nii.gz', channels: [T1w, FLAIR], label_names: [background, "  \
    "a, "                                                                                      \
    "b, c]"

static void test_pattern(void)
{
    static const char *const files[] = {
        "sub-01/anat/sub-01_T1w.nii.gz",     "sub-01/anat/sub-01_FLAIR.nii.gz",
        "sub-b c%/anat/sub-b c%_T1w.nii.gz", "sub-b c%/anat/sub-b c%_FLAIR.nii.gz",
        "sub-02/anat/sub-03_T1w.nii.gz", /* not of one case */
        "derivatives/sub-01_seg.nii.gz",     "derivatives/sub-b c%_seg.nii.gz",
        "sub-01/func/sub-01_bold.nii.gz",    NULL};
    g_autoptr(GError) error = NULL;

    data_folder_begin();
    volumes_put(files);
    data_is("", "folds: 1, " BIDS, "pattern", "01+ b c%+");
    g_autoptr(LoomDataset) dataset = data_open("", "folds: 1, " BIDS, &error);
    g_assert_cmpuint(dataset->n_channels, ==, 2);
    g_assert_true(
        g_str_has_suffix(dataset->cases[0].images[1], "sub-01/anat/sub-01_FLAIR.nii.gz"));
    g_assert_cmpstr(dataset->label_names[3], ==, "c");
    g_autoptr(LoomPool) pool = loom_pool_new(1);
    g_assert_true(loom_dataset_check(dataset, pool, &error));

    volume_put("sub-03/anat/sub-03_FLAIR.nii.gz", 1);
    data_refused("", BIDS,
                 "2 files are missing: T1w of 03; label of 03 (looked for "
                 "sub-{case}/anat/sub-{case}_{channel}.nii.gz, "
                 "derivatives/sub-{case}_seg.nii.gz in '");
    data_refused("", "images: 'a_{channel}.nii', channels: [x], label_names: [a, b]",
                 "want {case}, and no braces but {case} and {channel}");
    data_refused("", "images: 'a_{case}_{ses}.nii'", "want {case}, and no braces but");
    data_refused("", "images: '/a_{case}.nii'", "want the path of a file that starts from");
    data_refused("", "images: 'a_{case}_{channel}.nii'", "so want channels: [NAME, ...]");
    data_refused("", "images: 'a_{case}.nii', labels: 'b_{case}_{channel}.nii'",
                 "a label map has no {channel}");
    data_refused("", "images: 'a_{case}.nii', labels: 'b_{case}.nii'",
                 "there is no case (looked for a_{case}.nii, b_{case}.nii in '");
    data_folder_end();
}

/* Without {channel} one file holds all channels; without labels there are none. */
static void test_pattern_whole(void)
{
    g_autoptr(GError) error = NULL;

    data_folder_begin();
    volume_put("i/a.nii", 2);
    volume_put("i/b.nii", 2);
    g_autoptr(LoomDataset) dataset =
        data_open("", "images: 'i/{case}.nii', channels: [x, y], folds: 1", &error);
    g_assert_no_error(error);
    g_assert_cmpuint(dataset->n_cases, ==, 2);
    g_assert_cmpuint(dataset->n_volumes, ==, 2);
    g_assert_null(dataset->cases[0].label);
    g_assert_cmpuint(dataset->n_labels, ==, 0);
    data_refused("", "images: 'i/{case}.nii', label_map: {1: 0}, folds: 1",
                 "'label_map' is set, but there are no labels");
    data_refused("", "images: 'i/{case}.nii', labels: 'i/{case}.nii', folds: 1",
                 "i/a.nii' belongs to case 'a' and to case 'a', or to one twice");
    volume_put("l/a.nii", 1);
    volume_put("l/b.nii", 1);
    data_refused("", "images: 'i/{case}.nii', labels: 'l/{case}.nii', folds: 1",
                 "nothing names the labels, want data: {label_names: [background, ...]}");
    data_folder_end();
}

/* ---- tables ------------------------------------------------------------------------- */

static void csv_put(const char *text)
{
    text_put("cases.csv", text);
}

static void test_csv(void)
{
    static const char *const files[] = {
        "i/1.nii", "i/2.nii", "i/3, \"x\".nii", "l/1.nii", "l/2.nii", "l/3.nii", NULL};

    data_folder_begin();
    volumes_put(files);
    csv_put("\xef\xbb\xbf"
            "case, CT ,label\r\n\r\np2,i/2.nii,l/2.nii\r\n p1 ,i/1.nii\t,l/1.nii\r\n"
            "p3,\"i/3, \"\"x\"\".nii\" , l/3.nii\r\n");
    data_is("/cases.csv", "folds: 1, " NAMES, "csv", "p1+ p2+ p3+");
    csv_put("case,CT,label,fold\np1,i/1.nii,l/1.nii,0\np2,i/2.nii,l/2.nii,1\n");
    data_is("/cases.csv", NAMES, "csv", "p1- p2+");
    data_is("/cases.csv", "fold: 1, " NAMES, "csv", "p1+ p2-");
    data_is("/cases.csv", "folds: 1, " NAMES, "csv", "p1+ p2+"); /* asked for: goes before */
    data_refused("/cases.csv", "fold: 2, " NAMES,
                 "no case is in fold 2 by the column 'fold', "
                 "whose highest is 1");
    csv_put("case,CT,label,split\np1,i/1.nii,l/1.nii,val\np2,i/2.nii,l/2.nii,train\n"
            "p3,i/1.nii,l/3.nii,test\n");
    data_refused("/cases.csv", NAMES, "i/1.nii' belongs to case 'p1' and to case 'p3'");
    csv_put("case,CT,label,split\np1,i/1.nii,l/1.nii,val\np2,i/2.nii,l/2.nii,train\n");
    data_is("/cases.csv", NAMES, "csv", "p1- p2+");
    data_refused("/cases.csv", "fold: 1, " NAMES, "the column 'split' has no folds");
    csv_put("case,CT,label,split,note\np1,i/1.nii,l/1.nii,test,\np2,i/2.nii,l/2.nii,train,x\n");
    data_is("/cases.csv", "channels: [CT], " NAMES, "csv", "p2+");
    data_refused("/cases.csv", NAMES,
                 "2 files are missing: note of all 2 cases (looked for the "
                 "files that '");
    data_folder_end();
}

static void test_csv_refused(void)
{
    data_folder_begin();
    volume_put("1.nii", 1);
    volume_put("2.nii", 1);
    csv_put("");
    data_refused("/cases.csv", NAMES, "has no first line with the columns");
    csv_put("case,label\n");
    data_refused("/cases.csv", NAMES, "cases.csv:1: want the columns case, one a channel, and");
    csv_put("case,CT,CT\n");
    data_refused("/cases.csv", NAMES, "cases.csv:1: column 'CT' comes twice");
    csv_put("case,CT,label\n");
    data_refused("/cases.csv", NAMES, "there is no case (looked for the files that '");
    csv_put("case,CT,label\n\np1,1.nii\n");
    data_refused("/cases.csv", NAMES, "cases.csv:3: 2 cells, the first line has 3 columns");
    csv_put("case,CT,label\np1,\"1.nii,2.nii\n");
    data_refused("/cases.csv", NAMES, "cases.csv:2: a quote is not closed");
    csv_put("case,CT,label\np1,\"1\".nii,2.nii\n");
    data_refused("/cases.csv", NAMES, "cases.csv:2: text after a closing quote");
    csv_put("case,CT,label\n../p1,1.nii,2.nii\n");
    data_refused("/cases.csv", NAMES, "cases.csv:2: case '../p1': want a name without '/'");
    csv_put("case,CT,label\np1,1.nii,\n");
    data_refused("/cases.csv", NAMES, "1 file is missing: label of p1");
    csv_put("case,CT,label,fold\np1,1.nii,2.nii,x\n");
    data_refused("/cases.csv", NAMES, "cases.csv:2: fold 'x' of case 'p1' is no number");
    csv_put("case,CT,label,split\np1,1.nii,2.nii,trian\n");
    data_refused("/cases.csv", NAMES,
                 "split 'trian' of case 'p1', did you mean 'train'? (there");
    csv_put("case,CT,label,split,fold\n");
    data_refused("/cases.csv", NAMES, "has 'fold' and 'split', want one of them");
    csv_put("case,CT,label\np1,1.nii,2.nii\n");
    data_refused("/cases.csv", "", "nothing names the labels");
    data_refused("/nothing.csv", NAMES, "nothing.csv");
    data_folder_end();
}

/* Six cases of three patients: folds keep them together, a table that parts them is refused. */
static void test_patients(void)
{
    g_autoptr(GString) text = g_string_new("case,CT,label,patient\n");
    guint validated[6] = {0};

    data_folder_begin();
    for (guint i = 0; i < 6; i++) {
        g_autofree char *image = g_strdup_printf("i%u.nii", i);
        g_autofree char *label = g_strdup_printf("l%u.nii", i);

        volume_put(image, 1);
        volume_put(label, 1);
        g_string_append_printf(text, "c%u,%s,%s,%c\n", i, image, label, 'A' + (int)i % 3);
    }
    csv_put(text->str);
    for (guint fold = 0; fold < 3; fold++) {
        g_autofree char *keys = g_strdup_printf("folds: 3, fold: %u, " NAMES, fold);
        g_autoptr(LoomDataset) dataset = data_open("/cases.csv", keys, NULL);

        for (guint i = 0; i < 3; i++)
            g_assert_cmpint(dataset->in_train[i], ==, dataset->in_train[i + 3]);
        for (guint i = 0; i < 6; i++)
            validated[i] += !dataset->in_train[i];
    }
    for (guint i = 0; i < 6; i++)
        g_assert_cmpuint(validated[i], ==, 1);
    data_refused("/cases.csv", "folds: 4, " NAMES, "4 folds of 3 patients");
    csv_put("case,CT,label,patient,fold\nc0,i0.nii,l0.nii,A,0\nc1,i1.nii,l1.nii,A,1\n");
    data_refused("/cases.csv", NAMES,
                 "patient 'A' is on both sides of the split: case 'c1' "
                 "trains, case 'c0' validates");
    data_folder_end();
}

/* ---- splits_final.json -------------------------------------------------------------- */

#define FINAL "splits_final.json"

static void test_splits_final(void)
{
    static const char *const files[] = {"case_00000/imaging.nii.gz",
                                        "case_00000/segmentation.nii.gz",
                                        "case_00001/imaging.nii.gz",
                                        "case_00001/segmentation.nii.gz",
                                        "case_00002/imaging.nii.gz",
                                        "case_00002/segmentation.nii.gz",
                                        NULL};

    data_folder_begin();
    volumes_put(files);
    text_put(FINAL,
             "[{\"train\": [\"case_00000\"], \"val\": [\"case_00002\"]},"
             " {\"train\": [\"case_00002\", \"case_00001\"], \"val\": [\"case_00000\"]}]");
    data_is("", "", "kits19", "case_00000+ case_00002-");
    data_is("", "fold: 1", "kits19", "case_00000- case_00001+ case_00002+");
    data_is("", "folds: 1", "kits19", "case_00000+ case_00001+ case_00002+"); /* asked for */
    data_refused("", "fold: 2", "has 2 folds, there is no fold 2");
    text_put(FINAL, "[{\"train\": [\"case_00003\"], \"val\": []}]");
    data_refused("", "", FINAL "': fold 0: train: there is no case 'case_00003', did you mean");
    text_put(FINAL, "[{\"train\": [\"case_00001\"], \"val\": [\"case_00001\"]}]");
    data_refused("", "", FINAL "': fold 0: val: case 'case_00001' is there twice");
    text_put(FINAL, "[{\"train\": [7], \"val\": []}]");
    data_refused("", "", "fold 0: train: entry 0 is no text");
    text_put(FINAL, "[{\"train\": []}]");
    data_refused("", "", "fold 0 has no list 'val'");
    text_put(FINAL, "[7]");
    data_refused("", "", "fold 0 is no JSON object");
    text_put(FINAL, "{}");
    data_refused("", "", "is no list of folds");
    data_folder_end();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/layouts/msd/read", test_msd);
    g_test_add_func("/layouts/msd/refused", test_msd_refused);
    g_test_add_func("/layouts/listed-names", test_listed_names);
    g_test_add_func("/layouts/names-of-others", test_names_of_others);
    g_test_add_func("/layouts/nnunet-list", test_nnunet_list);
    g_test_add_func("/layouts/kits19", test_kits19);
    g_test_add_func("/layouts/brats20", test_brats20);
    g_test_add_func("/layouts/brats15", test_brats15);
    g_test_add_func("/layouts/recognition", test_recognition);
    g_test_add_func("/layouts/pattern/bids", test_pattern);
    g_test_add_func("/layouts/pattern/whole", test_pattern_whole);
    g_test_add_func("/layouts/csv/read", test_csv);
    g_test_add_func("/layouts/csv/refused", test_csv_refused);
    g_test_add_func("/layouts/patients", test_patients);
    g_test_add_func("/layouts/splits-final", test_splits_final);
    return loom_test_run();
}
