/* Where volumes lie: sform, qform or neither, units, and whether two grids agree. */
#include "loom_test.h"
#include "nifti_bytes.h"

#include <math.h>
#include <string.h>

static char *folder; /* of all files here */

static double value_index(gint64 v)
{
    return (double)v;
}

/* ---- geometry ----------------------------------------------------------------------- */

static void test_qform(void)
{
    /* 90 degrees about z: quaternion (cos 45, 0, 0, sin 45); i goes to +y, j to -x.
     * nifti1.h: R = [0 -1 0; 1 0 0; 0 0 1], qfac -1 turns k over. */
    NiftiFields fields = nifti_fields(4, 5, 6);
    LoomVolumeHeader header;
    g_autoptr(GError) error = NULL;

    fields.sform_code = 0;
    fields.qform_code = 1;
    fields.quatern[2] = sqrt(0.5);
    fields.qoffset[0] = 7;
    fields.pixdim[0] = -1;
    fields.pixdim[1] = 2;
    fields.pixdim[2] = 3;
    fields.pixdim[3] = 4;
    g_autoptr(GByteArray) bytes = nifti_file(&fields, value_index);
    g_autofree char *path = nifti_write(folder, "qform.nii", bytes);
    g_assert_true(loom_volume_read_header(path, &header, &error));
    const double expected[3][4] = {{0, -3, 0, 7}, {2, 0, 0, 0}, {0, 0, -4, 0}};
    for (guint i = 0; i < 12; i++) /* the quaternion is stored in 24 bits: 4 mm * 6e-8 * 4 */
    {
        const double found = header.geometry.affine[i / 4][i % 4];
        loom_assert_near(found, expected[i / 4][i % 4], 1e-6);
    }
    g_assert_cmpstr(header.geometry.axes, ==, "ALI");
    loom_assert_near(header.geometry.spacing_mm[0], 2, 1e-6);
    loom_assert_near(header.geometry.spacing_mm[2], 4, 1e-6);
}

/* Two forms that differ: the sform counts, and somebody is told. */
static void test_two_forms(void)
{
    NiftiFields fields = nifti_fields(5, 3, 1);
    LoomVolumeHeader header;

    fields.qform_code = 1;
    fields.qoffset[1] = 0.5;
    g_autoptr(GByteArray) bytes = nifti_file(&fields, value_index);
    g_autofree char *path = nifti_write(folder, "two-forms.nii", bytes);
    g_test_expect_message("loom-findings", G_LOG_LEVEL_INFO,
                          "*two-forms.nii': the sform is used*");
    g_assert_true(loom_volume_read_header(path, &header, NULL));
    g_test_assert_expected_messages();
    g_assert_cmpfloat(header.geometry.affine[1][3], ==, 0);
}

static void test_no_form(void)
{
    NiftiFields fields = nifti_fields(5, 3, 1);
    LoomVolumeHeader header;

    fields.sform_code = 0;
    fields.pixdim[1] = 2;
    g_autoptr(GByteArray) bytes = nifti_file(&fields, value_index);
    g_autofree char *path = nifti_write(folder, "no-form.nii", bytes);
    g_assert_true(loom_volume_read_header(path, &header, NULL));
    g_assert_cmpstr(header.geometry.axes, ==, "LAS");
    g_assert_cmpfloat(header.geometry.affine[0][0], ==, -2);
    g_assert_cmpfloat(header.geometry.affine[0][3], ==, 4); /* (5 - 1) / 2 * 2 mm */
    g_assert_cmpfloat(header.geometry.affine[1][3], ==, -1);
}

static void test_units(void)
{
    NiftiFields fields = nifti_fields(2, 2, 2);
    LoomVolumeHeader header;

    fields.xyzt_units = 3; /* microns */
    for (guint i = 0; i < 3; i++)
        fields.srow[i][i] = fields.pixdim[i + 1] = 500;
    g_autoptr(GByteArray) bytes = nifti_file(&fields, value_index);
    g_autofree char *path = nifti_write(folder, "micron.nii", bytes);
    g_assert_true(loom_volume_read_header(path, &header, NULL));
    loom_assert_near(header.geometry.spacing_mm[0], 0.5, 1e-12);
    g_assert_cmpfloat(header.geometry.pixdim[1], ==, 500); /* as stored */
}

static void test_check(void)
{
    LoomGeometry a, b;
    g_autoptr(GError) error = NULL;
    const gint64 size[3] = {10, 20, 30}, other[3] = {10, 20, 29};
    const double edge[3] = {1, 2, 3};

    loom_geometry_plain(&a, size, edge);
    b = a;
    b.affine[0][3] += 0.009; /* of a smallest edge of 1 mm */
    g_assert_true(loom_geometry_check(&a, "a", &b, "b", 1e-2, &error));
    b.affine[0][3] += 0.002;
    loom_assert_failed(loom_geometry_check(&a, "a", &b, "b", 1e-2, &error), error, LOOM_ERROR,
                       LOOM_ERROR_SHAPE, "lie up to 0.011 mm apart, want at most 0.01");
    g_clear_error(&error);
    b = a;
    b.affine[2][2] = 3.001; /* 29 slices further it is 0.029 mm */
    loom_assert_failed(loom_geometry_check(&a, "a", &b, "b", 1e-2, &error), error, LOOM_ERROR,
                       LOOM_ERROR_SHAPE, "0.029 mm apart");
    g_clear_error(&error);
    loom_geometry_plain(&b, other, edge);
    loom_assert_failed(loom_geometry_check(&a, "a", &b, "b", 1e-2, &error), error, LOOM_ERROR,
                       LOOM_ERROR_SHAPE,
                       "'a' has 10 x 20 x 30 voxels but 'b' has 10 x 20 x 29");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    folder = g_dir_make_tmp("loom-geometry-XXXXXX", NULL);
    g_test_add_func("/geometry/qform", test_qform);
    g_test_add_func("/geometry/two-forms", test_two_forms);
    g_test_add_func("/geometry/no-form", test_no_form);
    g_test_add_func("/geometry/units", test_units);
    g_test_add_func("/geometry/check", test_check);
    const int result = loom_test_run();
    nifti_remove(folder);
    g_free(folder);
    return result;
}
