/* Writing volumes: what was read comes back bit for bit, and a refusal leaves no file. */
#include "loom_test.h"
#include "nifti_bytes.h"

#include <math.h>
#include <string.h>

static char *folder; /* of all files here */

static double value_index(gint64 v)
{
    return (double)v;
}

static LoomTensor *read_all(const char *path, GError **error)
{
    return loom_volume_read(path, LOOM_NAN_REFUSE, 0, NULL, error);
}

/* ---- writing ------------------------------------------------------------------------ */

static void assert_same_place(const LoomGeometry *a, const LoomGeometry *b)
{
    g_assert_cmpint(a->version, ==, b->version);
    g_assert_cmpint(a->qform_code, ==, b->qform_code);
    g_assert_cmpint(a->sform_code, ==, b->sform_code);
    g_assert_cmpint(a->xyzt_units, ==, b->xyzt_units);
    nifti_assert_same(a->pixdim, b->pixdim, sizeof a->pixdim);
    nifti_assert_same(a->quatern, b->quatern, sizeof a->quatern);
    nifti_assert_same(a->qoffset, b->qoffset, sizeof a->qoffset);
    nifti_assert_same(a->srow, b->srow, sizeof a->srow);
    nifti_assert_same(a->size, b->size, sizeof a->size);
}

/* Fields with no round number in them, one unused (the qform) and out of range. */
static NiftiFields odd_fields(gint32 version)
{
    NiftiFields fields = nifti_fields(5, 4, 3);

    fields.version = version;
    fields.qform_code = 4;
    fields.sform_code = 2;
    fields.xyzt_units = 10;
    fields.pixdim[0] = -1;
    for (guint i = 0; i < 3; i++) {
        fields.pixdim[i + 1] = 0.7 + 0.1 * i;
        fields.quatern[i] = 1.0 / 3 + i;
        fields.qoffset[i] = -1e-7 - i;
        for (guint j = 0; j < 4; j++)
            fields.srow[i][j] = (i == j ? 0.7 + 0.1 * i : 0.01 / 3) - (j == 3 ? 100.0 / 3 : 0);
    }
    return fields;
}

static void test_write(void)
{
    g_autoptr(GError) error = NULL;

    for (gint32 version = 1; version <= 2; version++)
        for (guint kind = 0; kind < 4; kind++) {
            const NiftiFields fields = odd_fields(version);
            g_autoptr(GByteArray) bytes = nifti_file(&fields, value_index);
            g_autofree char *from = nifti_write(folder, "from.nii", bytes);
            g_autofree char *to =
                g_build_filename(folder, kind & 1 ? "to.nii.gz" : "to.nii", NULL);
            LoomGeometry first, again;
            g_autoptr(LoomTensor) volume =
                kind & 2 ? loom_volume_read(from, LOOM_NAN_REFUSE, 0, &first, &error)
                         : loom_volume_read_labels(from, 0, &first, &error);
            g_assert_no_error(error);
            g_assert_true(loom_volume_write(to, volume, &first, &error));
            g_assert_no_error(error);
            g_autoptr(LoomTensor) back =
                kind & 2 ? loom_volume_read(to, LOOM_NAN_REFUSE, 0, &again, &error)
                         : loom_volume_read_labels(to, 0, &again, &error);
            g_assert_no_error(error);
            g_assert_true(loom_test_equal(volume, back));
            assert_same_place(&first, &again);
            nifti_assert_same(first.affine, again.affine, sizeof first.affine);
        }
}

/* The written header against the bytes of the one that was read: offsets of nifti1.h. */
static void test_write_bits(void)
{
    const NiftiFields fields = odd_fields(1);
    g_autoptr(GByteArray) bytes = nifti_file(&fields, value_index);
    g_autofree char *from = nifti_write(folder, "bits-from.nii", bytes);
    g_autofree char *to = g_build_filename(folder, "bits-to.nii", NULL);
    g_autofree char *written = NULL;
    LoomGeometry geometry;
    gsize length;
    g_autoptr(LoomTensor) volume = loom_volume_read_labels(from, 0, &geometry, NULL);

    g_assert_true(loom_volume_write(to, volume, &geometry, NULL));
    g_assert_true(g_file_get_contents(to, &written, &length, NULL));
    g_assert_cmpuint(length, ==, bytes->len);                /* no extension */
    nifti_assert_same(written + 40, bytes->data + 40, 36);   /* dim, intent, datatype */
    nifti_assert_same(written + 76, bytes->data + 76, 16);   /* pixdim[0..3] */
    nifti_assert_same(written + 123, bytes->data + 123, 1);  /* xyzt_units */
    nifti_assert_same(written + 252, bytes->data + 252, 76); /* codes to srow_z */
    nifti_assert_same(written + 344, bytes->data + 344, length - 344);
}

static void test_write_channels(void)
{
    const gint64 size[3] = {4, 3, 2};
    const double edge[3] = {1, 1, 1};
    g_autofree char *path = g_build_filename(folder, "channels.nii.gz", NULL);
    g_autoptr(LoomTensor) volume = loom_test_random("CDHW", SHAPE(3, 2, 3, 4), 1, -1, 1);
    LoomGeometry geometry;
    LoomVolumeHeader header;
    g_autoptr(GError) error = NULL;

    loom_geometry_plain(&geometry, size, edge);
    g_assert_true(loom_volume_write(path, volume, &geometry, &error));
    g_autoptr(LoomTensor) back = read_all(path, &error);
    g_assert_no_error(error);
    g_assert_true(loom_test_equal(volume, back));
    g_assert_true(loom_volume_read_header(path, &header, &error));
    g_assert_cmpuint(header.n_dims, ==, 4);
    assert_same_place(&geometry, &header.geometry);
    g_assert_cmpstr(header.geometry.axes, ==, "RAS");
}

static void test_write_refused(void)
{
    const gint64 size[3] = {4, 3, 2}, wide[3] = {40000, 1, 1};
    const double edge[3] = {1, 1, 1};
    g_autofree char *path = g_build_filename(folder, "x.nii", NULL);
    g_autofree char *nowhere = g_build_filename(folder, "no", "x.nii", NULL);
    g_autofree char *other = g_build_filename(folder, "x.mha", NULL);
    g_autoptr(LoomTensor) turned = loom_test_random_labels("DHW", SHAPE(4, 3, 2), 1, 3);
    g_autoptr(LoomTensor) right = loom_test_random_labels("DHW", SHAPE(2, 3, 4), 1, 3);
    g_autoptr(LoomTensor) line = loom_test_random_labels("DHW", SHAPE(1, 1, 40000), 1, 3);
    LoomGeometry geometry;
    LoomVolumeHeader header;
    g_autoptr(GError) error = NULL;

    loom_geometry_plain(&geometry, size, edge);
    loom_assert_failed(loom_volume_write(path, turned, &geometry, &error), error, LOOM_ERROR,
                       LOOM_ERROR_SHAPE, "on a grid of 4 x 3 x 2 voxels");
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
    g_clear_error(&error);
    loom_assert_failed(loom_volume_write(nowhere, right, &geometry, &error), error, LOOM_ERROR,
                       LOOM_ERROR_IO, nowhere);
    g_clear_error(&error);
    loom_assert_failed(loom_volume_write(other, right, &geometry, &error), error, LOOM_ERROR,
                       LOOM_ERROR_CONFIG, "want a name that ends with .nii or .nii.gz");
    g_clear_error(&error);
    loom_geometry_plain(&geometry, wide, edge); /* more than 16 bits: NIfTI-2 by itself */
    g_assert_true(loom_volume_write(path, line, &geometry, &error));
    g_assert_true(loom_volume_read_header(path, &header, &error));
    g_assert_cmpint(header.geometry.version, ==, 2);
    g_assert_cmpint(header.shape[0], ==, 40000);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    folder = g_dir_make_tmp("loom-volume-XXXXXX", NULL);
    g_test_add_func("/volume/write/round-trip", test_write);
    g_test_add_func("/volume/write/bits", test_write_bits);
    g_test_add_func("/volume/write/channels", test_write_channels);
    g_test_add_func("/volume/write/refused", test_write_refused);
    const int result = loom_test_run();
    nifti_remove(folder);
    g_free(folder);
    return result;
}
