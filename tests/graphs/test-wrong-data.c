/* Data that does not fit: named with file, line and column before any training starts. */
#include "loom_test.h"
#include "phantom_set.h"

#include <glib/gstdio.h>
#include <string.h>

/* Opens a run on @folder; (transfer full): the message, NULL when it opened. */
static char *opened(const char *folder, int classes, int depth)
{
    const LoomRunOptions options = {0};
    g_autoptr(GError) error = NULL;
    g_autofree char *text =
        g_strdup_printf("segloom: 1\n"
                        "data: {dataset: '%s', folds: 2}\n"
                        "backend: {use: reference}\n"
                        "models:\n"
                        "  seg: {use: unet3d, in_channels: 1, classes: %d, features: [2, 4]}\n"
                        "graphs:\n"
                        "  train:\n"
                        "    load:    {use: nifti_load}\n"
                        "    patch:   {use: crop, from: load, size: [%d, 16, 16]}\n"
                        "    batch:   {use: batch, from: patch, size: 2}\n"
                        "    forward: {use: forward, from: batch, model: seg}\n"
                        "    loss:    {use: loss, from: forward, loss: {use: dice}}\n"
                        "    back:    {use: backward, from: loss, model: seg}\n"
                        "    step:    {use: sgd_step, from: back, model: seg, rate: 0.01}\n"
                        "run: {graph: train, steps: 2}\n",
                        folder, classes, depth);
    g_autoptr(LoomNode) config = loom_yaml_parse(text, strlen(text), "t.yaml", "/", &error);

    g_assert_no_error(error);
    g_autoptr(LoomRun) run = loom_run_open(config, loom_test_registry(), &options, &error);
    g_assert_true((run == NULL) == (error != NULL));
    return error ? g_strdup(error->message) : NULL;
}

static void assert_message(const char *message, const char *place, const char *cause)
{
    g_assert_nonnull(message);
    g_test_message("%s", message);
    g_assert_true(g_str_has_prefix(message, place));
    g_assert_nonnull(strstr(message, cause));
}

static void test_sizes(void)
{
    g_autofree char *folder = loom_test_folder();

    phantom_set_make(folder, 4);
    g_autofree char *good = opened(folder, 2, 16);
    g_assert_null(good);
    g_autofree char *classes = opened(folder, 3, 16);
    assert_message(classes, "t.yaml:12:15: stage 'loss': ",
                   "the network has 3 classes, the data set has 2 labels (background, ball)");
    g_autofree char *patch = opened(folder, 2, 17);
    assert_message(patch, "t.yaml:11:15: stage 'forward': ", "17 is not divisible by 2");
    loom_test_folder_remove(folder);
}

static void test_label_value(void)
{
    const double spacing[3] = {1, 1, 1};
    const gint64 size[3] = {22, 24, 20};
    g_autofree char *folder = loom_test_folder();
    g_autofree char *path = g_build_filename(folder, "labelsTr", "ball_002.nii.gz", NULL);
    g_autoptr(GError) error = NULL;
    LoomGeometry geometry;

    phantom_set_make(folder, 4);
    g_autoptr(LoomTensor) label = loom_volume_read_labels(path, 0, NULL, &error);
    g_assert_no_error(error);
    loom_tensor_u8_mut(label)[3 + 22 * (5 + 24 * 7)] = 2;
    loom_geometry_plain(&geometry, size, spacing);
    g_assert_true(loom_volume_write(path, label, &geometry, &error));
    g_autofree char *message = opened(folder, 2, 16);
    assert_message(message, "t.yaml:2:17: data: ", "ball_002.nii.gz");
    assert_message(message, "t.yaml:2:17: data: ", "value 2 at i,j,k = 3,5,7");
    loom_test_folder_remove(folder);
}

static void test_files(void)
{
    g_autofree char *folder = loom_test_folder();
    g_autofree char *image = g_build_filename(folder, "imagesTr", "ball_001_0000.nii.gz", NULL);
    g_autofree char *label = g_build_filename(folder, "labelsTr", "ball_003.nii.gz", NULL);
    g_autofree char *json = g_build_filename(folder, "dataset.json", NULL);

    phantom_set_make(folder, 4);
    g_remove(image);
    g_autofree char *no_image = opened(folder, 2, 16);
    assert_message(no_image, "t.yaml:2:17: data: ", "ball_001");
    phantom_set_make(folder, 4);
    g_remove(label);
    g_autofree char *no_label = opened(folder, 2, 16);
    assert_message(no_label, "t.yaml:2:17: data: ", "ball_003");
    phantom_set_make(folder, 4);
    g_assert_true(g_file_set_contents(label, "not a NIfTI file", -1, NULL));
    g_autofree char *damaged = opened(folder, 2, 16);
    assert_message(damaged, "t.yaml:2:17: data: ", "ball_003.nii.gz");
    g_remove(json);
    g_autofree char *no_json = opened(folder, 2, 16);
    assert_message(no_json, "t.yaml:2:17: data: ", "dataset.json");
    loom_test_folder_remove(folder);
    g_autofree char *no_folder = opened(folder, 2, 16);
    assert_message(no_folder, "t.yaml:2:17: data: ", folder);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/wrong-data/sizes", test_sizes);
    g_test_add_func("/wrong-data/label-value", test_label_value);
    g_test_add_func("/wrong-data/files", test_files);
    return loom_test_run();
}
