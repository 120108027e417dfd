/* ensemble_write: the mean of probabilities, voxel by voxel, in cases worked out by hand. */
#include "ensemble.h"

#include "loom_test.h"

static char *folder;

/* Two or three channels of a row of voxels as NAME; (transfer full): its path. */
static char *row_write(const char *name, const float *p, gint64 channels, gint64 voxels,
                       double mm)
{
    const gint64 size[3] = {voxels, 1, 1};
    const double edge[3] = {mm, 1, 1};
    g_autoptr(LoomTensor) volume =
        loom_tensor_new(LOOM_F32, "CDHW", (const gint64[]){channels, 1, 1, voxels}, NULL);
    g_autoptr(GError) error = NULL;
    char *path = g_build_filename(folder, name, NULL);
    LoomGeometry geometry;

    for (gint64 i = 0; i < channels * voxels; i++)
        loom_tensor_f32_mut(volume)[i] = p[i];
    loom_geometry_plain(&geometry, size, edge);
    loom_volume_write(path, volume, &geometry, &error);
    g_assert_no_error(error);
    return path;
}

static void mask_is(char *const *paths, const EnsembleLabels *labels, const guint8 *expected,
                    gint64 n)
{
    g_autofree char *mask = g_build_filename(folder, "mask.nii.gz", NULL);
    g_autoptr(GError) error = NULL;

    ensemble_write(paths, labels, mask, 0, 0, &error);
    g_assert_no_error(error);
    g_autoptr(LoomTensor) found = loom_volume_read_labels(mask, 0, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpint(loom_tensor_count(found), ==, n);
    for (gint64 v = 0; v < n; v++)
        g_assert_cmpuint(loom_tensor_u8(found)[v], ==, expected[v]);
}

/* Three classes, four voxels: agreement; one is surer; neither's choice has the largest mean;
 * equal ones, of which the first counts. */
static void test_classes(void)
{
    static const float a[] = {0.1f, 0.9f, 0.5f, 0.5f,  /* class 0 */
                              0.8f, 0.1f, 0.1f, 0.25f, /* 1 */
                              0.1f, 0.0f, 0.4f, 0.25f};
    static const float b[] = {0.2f, 0.3f, 0.1f, 0.25f, /* */
                              0.7f, 0.6f, 0.5f, 0.5f,  /* */
                              0.1f, 0.1f, 0.4f, 0.25f};
    static const guint8 plain[] = {1, 0, 2, 0}, values[] = {0, 10, 40}, own[] = {10, 0, 40, 0};
    g_autofree char *one = row_write("a.nii", a, 3, 4, 1),
                    *two = row_write("b.nii", b, 3, 4, 1);
    char *const paths[] = {one, two, NULL};

    mask_is(paths, &(EnsembleLabels){0}, plain, 4);
    mask_is(paths, &(EnsembleLabels){.values = values, .n_values = 3}, own, 4);
}

/* Two regions, the second written over the first where its mean is above 1/2. */
static void test_regions(void)
{
    static const float a[] = {0.9f, 0.9f, 0.6f, 0.2f, 0.1f, 0.9f, 0.1f, 0.9f};
    static const float b[] = {0.9f, 0.7f, 0.3f, 0.2f, 0.2f, 0.2f, 0.1f, 0.3f};
    static const guint8 regions[] = {2, 1}, expected[] = {2, 1, 0, 1};
    g_autofree char *one = row_write("a.nii", a, 2, 4, 1),
                    *two = row_write("b.nii", b, 2, 4, 1);
    char *const paths[] = {one, two, NULL};

    mask_is(paths, &(EnsembleLabels){.regions = regions, .n_regions = 2}, expected, 4);
}

static void test_refused(void)
{
    static const float p[8] = {0};
    g_autofree char *one = row_write("a.nii", p, 2, 4, 1),
                    *two = row_write("b.nii", p, 4, 2, 1);
    g_autofree char *apart = row_write("c.nii", p, 2, 4, 1.5);
    g_autofree char *mask = g_build_filename(folder, "none.nii.gz", NULL);
    char *const classes[] = {one, two, NULL}, *const grids[] = {one, apart, NULL};
    const EnsembleLabels labels = {0};
    g_autoptr(GError) error = NULL;

    loom_assert_failed(ensemble_write(classes, &labels, mask, 0, 0, &error), error, LOOM_ERROR,
                       LOOM_ERROR_SHAPE, "one model tells 2 classes apart, another 4");
    g_clear_error(&error);
    loom_assert_failed(ensemble_write(grids, &labels, mask, 0, 0, &error), error, LOOM_ERROR,
                       LOOM_ERROR_SHAPE, "one model");
    g_clear_error(&error);
    /* 2 volumes of 2 x 4 floats: 64 bytes */
    loom_assert_failed(ensemble_write(classes, &labels, mask, 1063, 1000, &error), error,
                       LOOM_ERROR, LOOM_ERROR_LIMIT,
                       "the mean of models with different stages takes");
    g_assert_false(g_file_test(mask, G_FILE_TEST_EXISTS));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    folder = loom_test_folder();
    g_test_add_func("/ensemble/classes", test_classes);
    g_test_add_func("/ensemble/regions", test_regions);
    g_test_add_func("/ensemble/refused", test_refused);
    const int result = loom_test_run();
    loom_test_folder_remove(folder);
    g_free(folder);
    return result;
}
