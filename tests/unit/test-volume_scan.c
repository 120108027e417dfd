/* What is in a file without keeping it: statistics, places, labels; policies; 2 GiB. */
#include "core/findings.h"
#include "loom_test.h"
#include "nifti/volume_scan.h"
#include "nifti_bytes.h"

#include <glib/gstdio.h>

#include <math.h>
#include <fcntl.h>
#include <unistd.h>

static char *folder; /* of all files here */

static const LoomVolumePolicy strict = {.shear = 0.01}; /* what `data:` has by default */

static LoomImageScan image_scan(const char *path, const LoomVolumePolicy *policy,
                                LoomFindings *findings)
{
    LoomImageScan scan = {0};
    LoomVolumeHeader header;

    loom_image_scan(path, policy, findings, &header, &scan);
    g_clear_pointer(&scan.nonzero, g_free);
    return scan;
}

/* 0 .. n-1: mean (n-1)/2, variance (n^2 - 1)/12; n above one chunk of the reader. */
static double value_index(gint64 v)
{
    return (double)v;
}

static void test_moments(void)
{
    NiftiFields fields = nifti_fields(50, 50, 40);
    g_autoptr(LoomFindings) findings = loom_findings_new();
    const double n = 100000;

    fields.datatype = 16;
    fields.bitpix = 32;
    g_autoptr(GByteArray) bytes = nifti_file(&fields, value_index);
    g_autofree char *path = nifti_write(folder, "moments.nii", bytes);
    const LoomImageScan scan = image_scan(path, &strict, findings);
    g_assert_cmpuint(loom_findings_count(findings), ==, 0);
    g_assert_cmpint(scan.finite, ==, 100000);
    g_assert_cmpfloat(scan.low, ==, 0);
    g_assert_cmpfloat(scan.high, ==, n - 1);
    /* sums of 1e5 doubles: 1e5 roundings of 1e-16, a random walk */
    loom_assert_near(scan.mean, (n - 1) / 2, 1e-12 * n);
    loom_assert_near(scan.sd, sqrt((n * n - 1) / 12), 1e-12 * n);
}

static void test_labels(void)
{
    NiftiFields fields = nifti_fields(3, 2, 2);
    const double values[12] = {0, 1, 1, 2.5, -3, 300, 1.0004, 2, 0, 0, -4, 0};
    const guint8 nonzero[2] = {0x06, 0}; /* voxels 1 and 2 */
    g_autoptr(LoomFindings) findings = loom_findings_new();
    LoomVolumeHeader header;
    LoomLabelScan scan;

    fields.datatype = 16;
    fields.bitpix = 32;
    g_autoptr(GByteArray) bytes = nifti_header(&fields);
    for (guint v = 0; v < 12; v++)
        nifti_append(bytes, &fields, values[v]);
    g_autofree char *path = nifti_write(folder, "labels.nii", bytes);
    g_assert_false(loom_label_scan(path, &strict, findings, &header, nonzero, 12, &scan));
    g_assert_cmpint(scan.of[0].n, ==, 4);
    g_assert_cmpint(scan.of[1].n, ==, 3);
    g_assert_cmpint(scan.of[1].first, ==, 1);
    g_assert_cmpint(scan.of[2].first, ==, 7);
    g_assert_cmpint(scan.on_image, ==, 2);
    static const char *const codes[] = {"N-LABEL-ROUNDED", "E-LABEL-FRACTION",
                                        "E-LABEL-NEGATIVE", "E-LABEL-VALUE"};
    g_assert_cmpuint(loom_findings_count(findings), ==, 4);
    for (guint i = 0; i < 4; i++)
        g_assert_cmpstr(loom_findings_at(findings, i)->code, ==, codes[i]);
    g_assert_nonnull(strstr(loom_findings_at(findings, 2)->text, "negative: 2 voxels"));
}

/* Analyze 7.5: no magic, its orientation unknown, its scale factor none of NIfTI's. */
static void test_analyze(void)
{
    NiftiFields fields = nifti_fields(3, 2, 2);
    LoomVolumePolicy policy = strict;
    LoomGeometry geometry;
    g_autoptr(GError) error = NULL;

    fields.pair = TRUE;
    fields.slope = 5;
    g_autoptr(GByteArray) header = nifti_header(&fields);
    memset(header->data + 344, 0, 4);
    g_autoptr(GByteArray) voxels = g_byte_array_new();
    for (guint8 v = 0; v < 12; v++)
        g_byte_array_append(voxels, &v, 1);
    g_autofree char *path = nifti_write(folder, "a.hdr", header);
    g_free(nifti_write(folder, "a.img", voxels));

    loom_assert_failed(loom_volume_read_by(path, &policy, &geometry, &error), error, LOOM_ERROR,
                       LOOM_ERROR_FORMAT, "allow_analyze");
    g_assert_cmpstr(loom_error_name(error), ==, "E-NII-ANALYZE");
    g_clear_error(&error);
    policy.analyze = TRUE;
    loom_assert_failed(loom_volume_read_by(path, &policy, &geometry, &error), error, LOOM_ERROR,
                       LOOM_ERROR_FORMAT, "assume_orientation");
    g_clear_error(&error);
    policy.orientation = 4; /* RPS */
    g_autoptr(LoomTensor) volume = loom_volume_read_by(path, &policy, &geometry, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(geometry.axes, ==, "RPS");
    for (guint v = 0; v < 12; v++)
        g_assert_cmpfloat((double)loom_tensor_f32(volume)[v], ==, v);
}

/* More than 2^31 bytes of voxels, big-endian: a sparse file, of which only the last is not 0.
 */
static void test_large(void)
{
    NiftiFields fields = nifti_fields(1024, 1024, 257);
    const gint64 n = (gint64)1024 * 1024 * 257;
    const guint8 one[8] = {0x3f, 0xf0};
    g_autoptr(LoomFindings) findings = loom_findings_new();

    fields.big_endian = TRUE;
    fields.datatype = 64;
    fields.bitpix = 64;
    g_autoptr(GByteArray) header = nifti_header(&fields);
    g_autofree char *path = nifti_write(folder, "large.nii", header);
    const int fd = g_open(path, O_WRONLY, 0);
    g_assert_cmpint(pwrite(fd, one, 8, 352 + (n - 1) * 8), ==, 8);
    g_assert_cmpint(close(fd), ==, 0);
    const LoomImageScan scan = image_scan(path, &strict, findings);
    g_assert_cmpuint(loom_findings_count(findings), ==, 0);
    g_assert_cmpint(scan.finite, ==, n);
    g_assert_cmpfloat(scan.low, ==, 0);
    g_assert_cmpfloat(scan.high, ==, 1);
    loom_assert_near(scan.mean, 1.0 / (double)n, 1e-20); /* of 3.7e-9: exact but for rounding */
    g_unlink(path);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    folder = g_dir_make_tmp("loom-scan-XXXXXX", NULL);
    g_test_add_func("/volume-scan/moments", test_moments);
    g_test_add_func("/volume-scan/labels", test_labels);
    g_test_add_func("/volume-scan/analyze", test_analyze);
    g_test_add_func("/volume-scan/large", test_large);
    const int result = loom_test_run();
    nifti_remove(folder);
    g_free(folder);
    return result;
}
