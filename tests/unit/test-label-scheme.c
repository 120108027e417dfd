/* What the values of label maps mean: names, maps, ignored voxels, regions. */
#include "data_folder.h"
#include "loom_test.h"
#include "nifti_bytes.h"

#include <string.h>

#define NAMES "label_names: [background, a, b, c]"

/* ---- labels ------------------------------------------------------------------------- */

static void labels_are(const char *keys, const guint8 *expected, gboolean ignores)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(LoomDataset) dataset = data_open("", keys, &error);
    LoomGeometry geometry;

    g_assert_no_error(error);
    g_autoptr(LoomTensor) label =
        loom_dataset_read_label(dataset, &dataset->cases[0], NULL, &geometry, &error);
    g_assert_no_error(error);
    for (gint64 v = 0; v < 12; v++)
        g_assert_cmpint(loom_tensor_u8(label)[v], ==, expected[v % 4]);
    g_assert_cmpint(dataset->ignores, ==, ignores);
}

/* Values 0 to 3 of a file, in the words of `data:`. */
static void test_label_map(void)
{
    static const char files[] =
        "layout: pattern, images: '{case}_i.nii', labels: '{case}_l.nii', "
        "folds: 1, ";
    g_autofree char *same = g_strconcat(files, NAMES, NULL);
    g_autofree char *swapped = g_strconcat(
        files, "label_names: [background, a, b], label_map: {1: 2, 2: 1, 3: ignore}", NULL);
    g_autofree char *one =
        g_strconcat(files, "label_names: [background, a], label_map: {2: 0, 3: 1}", NULL);
    g_autofree char *lacking =
        g_strconcat(files, "label_names: [background, a], label_map: {3: 1}", NULL);
    g_autofree char *wrong = g_strconcat(files, NAMES ", label_map: {3: 4}", NULL);
    g_autofree char *beyond = g_strconcat(files, NAMES ", label_map: {256: 1}", NULL);
    g_autofree char *twice = g_strconcat(files, "label_names: [a, a]", NULL);
    g_autofree char *few = g_strconcat(files, "label_names: [a]", NULL);
    g_autoptr(GError) error = NULL;
    LoomGeometry geometry;

    data_folder_begin();
    volume_put("x_i.nii", 1);
    volume_put("x_l.nii", 1);
    labels_are(same, (const guint8[]){0, 1, 2, 3}, FALSE);
    labels_are(swapped, (const guint8[]){0, 2, 1, LOOM_IGNORED}, TRUE);
    labels_are(one, (const guint8[]){0, 1, 0, 1}, FALSE);
    g_autoptr(LoomDataset) dataset = data_open("", lacking, &error);
    loom_assert_failed(
        loom_dataset_read_label(dataset, &dataset->cases[0], NULL, &geometry, &error), error,
        LOOM_ERROR, LOOM_ERROR_FORMAT,
        "x_l.nii': value 2 is none of the labels 0 to 1: 3 voxels, the first at i,j,k = 2,0,0 "
        "(data: {label_map: {2: LABEL}} gives it one)");
    data_refused("", wrong,
                 "label_map: value 3 becomes '4', want a class from 0 to 3, or ignore");
    data_refused("", beyond, "label_map: '256' is no value of a label map");
    data_refused("", twice, "label_names: 'a' comes twice");
    data_refused("", few, "label_names: 1 names, want 2 to 255");
    data_folder_end();
}

/* ---- what is written ---------------------------------------------------------------- */

#define FILES "layout: pattern, images: '{case}_i.nii', labels: '{case}_l.nii', folds: 1, "

/* @values: of the classes, one behind the other, as in "0 4"; @text: for people, NULL: none. */
static void values_are(const char *keys, const char *values, const char *text)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(LoomDataset) dataset = data_open("", keys, &error);
    g_autoptr(GString) found = g_string_new(NULL);

    g_assert_no_error(error);
    for (guint k = 0; k < dataset->n_labels; k++)
        g_string_append_printf(found, "%s%u", k ? " " : "",
                               dataset->value_of ? dataset->value_of[k] : k);
    g_assert_cmpstr(found->str, ==, values);
    g_autofree char *said = loom_dataset_values_text(dataset);
    g_assert_cmpstr(said, ==, text);
}

/* Only words: the files hold nothing of it. */
static void test_values(void)
{
    data_folder_begin();
    volume_put("x_i.nii", 1);
    volume_put("x_l.nii", 1);
    values_are(FILES NAMES, "0 1 2 3", NULL);
    values_are(FILES NAMES ", label_map: {4: 3}", "0 1 2 4",
               "4 for 'c' (3 is read as it, too)");
    values_are(FILES NAMES ", label_map: {10: 1, 11: 1, 20: 2}", "0 10 20 3",
               "10 for 'a' (1, 11 are read as it, too), 20 for 'b' (2 is read as it, too)");
    values_are(FILES NAMES ", label_map: {1: 1, 10: 1}", "0 1 2 3",
               "1 for 'a' (10 is read as it, too)");
    values_are(FILES NAMES ", label_map: {1: 2, 2: 1}", "0 2 1 3", "2 for 'a', 1 for 'b'");
    values_are(FILES "label_names: [background, a], label_map: {1: 0, 2: 0, 4: 1}", "0 4",
               "4 for 'a'");
    values_are(FILES "label_names: [background, a], label_map: {0: 1, 1: 0}", "1 0",
               "1 for 'background', 0 for 'a'");
    /* class 2 has no value: 2 and 3 are taken by others */
    values_are(FILES NAMES ", label_map: {2: 3, 3: 1}", "0 3 4 2", /* 4 is free */
               "3 for 'a' (1 is read as it, too), 4 for 'b', 2 for 'c'");
    g_autoptr(LoomDataset) ignoring =
        data_open("", FILES "label_names: [background, a], label_map: {9: ignore}", NULL);
    g_assert_cmpuint(ignoring->value_of[LOOM_IGNORED], ==, 9);
    data_folder_end();
}

/* ---- ignored voxels and regions of nnU-Net ------------------------------------------ */

#define REGIONS(labels, order)                                                                 \
    "{\"channel_names\": {\"0\": \"T1\"}, \"file_ending\": \".nii\", \"labels\": " labels      \
        order "}"

static void nnunet_make(const char *json)
{
    data_folder_begin();
    volume_put("imagesTr/a_0000.nii", 1);
    volume_put("labelsTr/a.nii", 1);
    text_put("dataset.json", json);
}

static void test_ignore(void)
{
    nnunet_make(REGIONS("{\"background\": 0, \"x\": 1, \"y\": 2, \"ignore\": 3}", ""));
    labels_are("folds: 1", (const guint8[]){0, 1, 2, LOOM_IGNORED}, TRUE);
    g_autoptr(LoomDataset) dataset = data_open("", "folds: 1", NULL);
    g_assert_cmpuint(dataset->n_labels, ==, 3); /* it is no class */
    g_assert_null(dataset->label_names[3]);
    data_folder_end();
}

/* dataset.json says that 1 is 'x' in the files: it stays so when 2 is counted to it. */
static void test_values_declared(void)
{
    nnunet_make(REGIONS("{\"background\": 0, \"x\": 1, \"y\": 2, \"z\": 3}", ""));
    values_are("folds: 1", "0 1 2 3", NULL);
    values_are("folds: 1, label_names: [background, x], label_map: {2: 1, 3: 0}", "0 1",
               "1 for 'x' (2 is read as it, too)");
    values_are("folds: 1, label_names: [background, x], label_map: {1: 0, 2: 0, 3: 1}", "0 3",
               "3 for 'x'");
    data_folder_end();
}

static void region_is(const LoomLabelRegion *region, const char *name, const char *labels,
                      guint8 written)
{
    g_autoptr(GString) found = g_string_new(NULL);

    for (guint k = 0; k < 256; k++)
        if (region->holds[k])
            g_string_append_printf(found, "%u", k);
    g_assert_cmpstr(region->name, ==, name);
    g_assert_cmpstr(found->str, ==, labels);
    g_assert_cmpuint(region->written, ==, written);
}

static void test_regions(void)
{
    nnunet_make(REGIONS("{\"background\": 0, \"whole\": [1, 2, 3], \"core\": [1, 3],"
                        " \"enhancing\": 3, \"ignore\": 4}",
                        ", \"regions_class_order\": [2, 1, 3]"));
    g_autoptr(LoomDataset) dataset = data_open("", "folds: 1", NULL);
    g_assert_cmpuint(dataset->n_regions, ==, 3);
    region_is(&dataset->regions[0], "whole", "123", 2);
    region_is(&dataset->regions[1], "core", "13", 1);
    region_is(&dataset->regions[2], "enhancing", "3", 3);
    g_assert_cmpuint(dataset->n_labels, ==, 4);
    g_assert_cmpstr(dataset->label_names[1], ==, "1");
    g_assert_cmpstr(dataset->label_names[3], ==, "enhancing");
    g_assert_true(dataset->ignores);

    const guint8 labels[] = {0, 1, 2, 3, LOOM_IGNORED};
    g_autoptr(LoomTensor) map = loom_test_u8("DHW", SHAPE(1, 1, 5), U8(0, 1, 2, 3, 255));
    g_autoptr(LoomTensor) core = loom_region_mask(&dataset->regions[1], map, NULL);
    static const guint8 inside[] = {0, 1, 0, 1, LOOM_IGNORED};
    nifti_assert_same(loom_tensor_u8(core), inside, 5);
    nifti_assert_same(loom_tensor_u8(map), labels, 5);

    /* the words of `data:` go before; what is written is what no later region holds */
    g_autoptr(LoomDataset) mine =
        data_open("", "folds: 1, regions: {all: [1, 2, 3], 'one two': [2, 1], two: 2}", NULL);
    g_assert_cmpuint(mine->n_regions, ==, 3);
    region_is(&mine->regions[0], "all", "123", 3);
    region_is(&mine->regions[1], "one two", "12", 1);
    region_is(&mine->regions[2], "two", "2", 2);
    data_refused("", "regions: {one: [1], all: [1, 2]}",
                 "every class of 'one' belongs to a later region too");
    data_refused("", "regions: {one: [1, 4]}",
                 "regions: 'one' holds '4', want classes from 1 to 3");
    data_refused("", "regions: {one: []}", "regions: 'one' is empty");
    data_refused("", "regions: [1, 2]", "regions: want a mapping: {KEY: VALUE, ...}");
    data_folder_end();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/label-scheme/map", test_label_map);
    g_test_add_func("/label-scheme/values", test_values);
    g_test_add_func("/label-scheme/values/declared", test_values_declared);
    g_test_add_func("/label-scheme/ignore", test_ignore);
    g_test_add_func("/label-scheme/regions", test_regions);
    return loom_test_run();
}
