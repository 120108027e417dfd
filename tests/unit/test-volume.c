/* Reading volumes: files made byte by byte go in, numbers worked out by hand come out; headers
 * that lie are refused. */
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

/* ---- types, byte orders, versions --------------------------------------------------- */

static const struct {
    gint32 code, bits;
    double low, high; /* values that the type holds and a float too */
    const char *name, *big;
} types[] = {
    {2, 8, 0, 255, "uint8", "uint8"},
    {4, 16, -32768, 32767, "int16", ">i2"},
    {8, 32, -2147483648.0, 16777216, "int32", ">i4"},
    {16, 32, -1.5e30, 3.25, "float32", ">f4"},
    {64, 64, -1.5e30, 0.0078125, "float64", ">f8"},
    {256, 8, -128, 127, "int8", "int8"},
    {512, 16, 0, 65535, "uint16", ">u2"},
    {768, 32, 0, 4294967040.0, "uint32", ">u4"},
    {1024, 64, -9007199254740992.0, 9007199254740992.0, "int64", ">i8"},
    {1280, 64, 0, 9007199254740992.0, "uint64", ">u8"},
};

/* 2 x 3 x 2 voxels: the type's extremes, then 2, 3, 4 ...; slope 1: exact. */
static void type_check(guint t, gboolean big_endian, gint32 version)
{
    NiftiFields fields = nifti_fields(2, 3, 2);
    LoomVolumeHeader header;
    g_autoptr(GError) error = NULL;

    fields.big_endian = big_endian;
    fields.version = version;
    fields.datatype = types[t].code;
    fields.bitpix = types[t].bits;
    g_autoptr(GByteArray) bytes = nifti_header(&fields);
    for (guint v = 0; v < 12; v++)
        nifti_append(bytes, &fields, v == 0 ? types[t].low : v == 1 ? types[t].high : v);
    g_autofree char *path = nifti_write(folder, "type.nii", bytes);
    g_autoptr(LoomTensor) volume = read_all(path, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(loom_tensor_axes(volume), ==, "CDHW");
    g_assert_cmpint(loom_tensor_size(volume, 'W'), ==, 2);
    g_assert_cmpint(loom_tensor_size(volume, 'H'), ==, 3);
    g_assert_cmpint(loom_tensor_size(volume, 'D'), ==, 2);
    const float *x = loom_tensor_f32(volume);
    for (guint v = 0; v < 12; v++)
        g_assert_cmpfloat((double)x[v], ==,
                          (double)(float)(v == 0   ? types[t].low
                                          : v == 1 ? types[t].high
                                                   : v));
    g_assert_true(loom_volume_read_header(path, &header, &error));
    g_assert_cmpstr(header.dtype, ==, big_endian ? types[t].big : types[t].name);
    g_assert_cmpint(header.geometry.version, ==, version);
}

static void test_types(void)
{
    for (guint t = 0; t < G_N_ELEMENTS(types); t++)
        for (gint32 version = 1; version <= 2; version++) {
            type_check(t, FALSE, version);
            type_check(t, TRUE, version);
        }
}

/* 2^53 + 2 is the first even number that an exact double follows a gap before: refused. */
static void test_inexact(void)
{
    NiftiFields fields = nifti_fields(2, 1, 1);
    g_autoptr(GError) error = NULL;

    fields.datatype = 1024;
    fields.bitpix = 64;
    g_autoptr(GByteArray) bytes = nifti_header(&fields);
    nifti_append(bytes, &fields, 1);
    nifti_append(bytes, &fields, 9007199254740994.0);
    g_autofree char *path = nifti_write(folder, "wide.nii", bytes);
    loom_assert_failed(read_all(path, &error), error, LOOM_ERROR, LOOM_ERROR_NUMERIC,
                       "the int64 at i,j,k = 1,0,0 is beyond 2^53");
}

/* ---- scaling and NaN ---------------------------------------------------------------- */

static void scaled(double slope, double intercept, double expected)
{
    NiftiFields fields = nifti_fields(1, 1, 1);
    g_autoptr(GError) error = NULL;

    fields.slope = slope;
    fields.intercept = intercept;
    g_autoptr(GByteArray) bytes = nifti_header(&fields);
    nifti_append(bytes, &fields, 10);
    g_autofree char *path = nifti_write(folder, "scaled.nii", bytes);
    g_autoptr(LoomTensor) volume = read_all(path, &error);
    g_assert_no_error(error);
    g_assert_cmpfloat((double)loom_tensor_f32(volume)[0], ==, expected);
}

static void scale_refused(double slope, double intercept)
{
    NiftiFields fields = nifti_fields(1, 1, 1);
    g_autoptr(GError) error = NULL;

    fields.slope = slope;
    fields.intercept = intercept;
    g_autoptr(GByteArray) bytes = nifti_file(&fields, value_index);
    g_autofree char *path = nifti_write(folder, "scaled.nii", bytes);
    loom_assert_failed(read_all(path, &error), error, LOOM_ERROR, LOOM_ERROR_FORMAT,
                       "scl_slope");
    nifti_assert_named(error, path);
}

static void test_scaling(void)
{
    scaled(1, 0, 10);
    scaled(2, -100, -80);
    scaled(0.5, 0.25, 5.25);
    scaled(0, 7, 10); /* slope 0: not scaled, and the intercept is nothing either */
    scaled(NAN, 7, 10);
    scaled(NAN, NAN, 10);
    scale_refused(INFINITY, 0);
    scale_refused(1e30, 0);
    scale_refused(1, NAN);
    scale_refused(1, -INFINITY);
}

static void test_nan(void)
{
    NiftiFields fields = nifti_fields(2, 2, 2);
    const float values[8] = {1, 2, 3, NAN, 5, INFINITY, -INFINITY, 8};
    g_autoptr(GError) error = NULL;

    fields.datatype = 16;
    fields.bitpix = 32;
    g_autoptr(GByteArray) bytes = nifti_header(&fields);
    for (guint v = 0; v < 8; v++)
        nifti_append(bytes, &fields, (double)values[v]);
    g_autofree char *path = nifti_write(folder, "nan.nii", bytes);

    loom_assert_failed(read_all(path, &error), error, LOOM_ERROR, LOOM_ERROR_NUMERIC,
                       "3 voxels are NaN or infinite, the first at i,j,k = 1,1,0");
    nifti_assert_named(error, path);
    g_clear_error(&error);
    g_autoptr(LoomTensor) zeroed = loom_volume_read(path, LOOM_NAN_ZERO, 0, NULL, &error);
    g_autoptr(LoomTensor) kept = loom_volume_read(path, LOOM_NAN_KEEP, 0, NULL, &error);
    g_assert_no_error(error);
    nifti_assert_same(loom_tensor_f32(kept), values, sizeof values);
    for (guint v = 0; v < 8; v++)
        g_assert_cmpfloat((double)loom_tensor_f32(zeroed)[v], ==,
                          isfinite(values[v]) ? (double)values[v] : 0);
}

/* A float64 that no float holds becomes infinite: counted like any other. */
static void test_overflow(void)
{
    NiftiFields fields = nifti_fields(1, 1, 1);
    g_autoptr(GError) error = NULL;

    fields.datatype = 64;
    fields.bitpix = 64;
    g_autoptr(GByteArray) bytes = nifti_header(&fields);
    nifti_append(bytes, &fields, 1e300);
    g_autofree char *path = nifti_write(folder, "large.nii", bytes);
    loom_assert_failed(read_all(path, &error), error, LOOM_ERROR, LOOM_ERROR_NUMERIC,
                       "1 voxels are NaN or infinite");
}

/* ---- axes --------------------------------------------------------------------------- */

static void test_channels(void)
{
    NiftiFields fields = nifti_fields(2, 3, 1);
    g_autoptr(GError) error = NULL;

    fields.dim[0] = 5; /* the fifth axis of a vector image; the fourth is 1 */
    fields.dim[5] = 4;
    g_autoptr(GByteArray) vectors = nifti_file(&fields, value_index);
    g_autofree char *path = nifti_write(folder, "5d.nii", vectors);
    g_autoptr(LoomTensor) volume = read_all(path, &error);
    g_assert_no_error(error);
    g_assert_cmpint(loom_tensor_size(volume, 'C'), ==, 4);
    for (guint v = 0; v < 24; v++)
        g_assert_cmpfloat((double)loom_tensor_f32(volume)[v], ==, v);

    loom_assert_failed(loom_volume_read_labels(path, 0, NULL, &error), error, LOOM_ERROR,
                       LOOM_ERROR_SHAPE, "4 volumes, want one label map");
    g_clear_error(&error);
    fields.dim[4] = 2;
    g_autoptr(GByteArray) both = nifti_file(&fields, value_index);
    g_autofree char *other = nifti_write(folder, "5d-both.nii", both);
    loom_assert_failed(read_all(other, &error), error, LOOM_ERROR, LOOM_ERROR_SHAPE,
                       "want at most one above 1");
}

/* ---- labels ------------------------------------------------------------------------- */

static void label_try(double value, gint expected)
{
    NiftiFields fields = nifti_fields(1, 2, 1);
    g_autoptr(GError) error = NULL;

    fields.datatype = 16;
    fields.bitpix = 32;
    g_autoptr(GByteArray) bytes = nifti_header(&fields);
    nifti_append(bytes, &fields, 0);
    nifti_append(bytes, &fields, value);
    g_autofree char *path = nifti_write(folder, "label.nii", bytes);
    g_autoptr(LoomTensor) labels = loom_volume_read_labels(path, 0, NULL, &error);
    if (expected >= 0) {
        g_assert_no_error(error);
        g_assert_cmpint(loom_tensor_u8(labels)[1], ==, expected);
        return;
    }
    loom_assert_failed(labels, error, LOOM_ERROR, LOOM_ERROR_FORMAT,
                       "at i,j,k = 0,1,0 is no label, want whole numbers 0 to 255");
    nifti_assert_named(error, path);
}

static void test_labels(void)
{
    label_try(0, 0);
    label_try(255, 255);
    label_try(1.0009, 1);
    label_try(1.9992, 2);
    label_try(-0.0005, 0);
    label_try(1.5, -1);
    label_try(1.002, -1);
    label_try(-1, -1);
    label_try(256, -1);
    label_try(NAN, -1);
    label_try(INFINITY, -1);
}

/* ---- headers that must be refused --------------------------------------------------- */

static void refused(const NiftiFields *fields, const char *text)
{
    g_autoptr(GByteArray) bytes = nifti_header(fields);
    g_autoptr(GError) error = NULL;

    g_byte_array_set_size(bytes, bytes->len + 64); /* voxels of all these files */
    memset(bytes->data + bytes->len - 64, 1, 64);
    g_autofree char *path = nifti_write(folder, "refused.nii", bytes);
    g_assert_null(read_all(path, &error));
    nifti_assert_named(error, path);
    if (!strstr(error->message, text))
        g_error("'%s' lacks '%s'", error->message, text);
}

#define REFUSED(member, value, text)                                                           \
    G_STMT_START                                                                               \
    {                                                                                          \
        NiftiFields fields = nifti_fields(4, 4, 4);                                            \
        fields.member = value;                                                                 \
        refused(&fields, text);                                                                \
    }                                                                                          \
    G_STMT_END

static void test_refused(void)
{
    REFUSED(dim[0], 0, "dim[0] is 0");
    REFUSED(dim[0], 8, "dim[0] is 8");
    REFUSED(dim[0], -1, "dim[0] is -1");
    REFUSED(dim[2], 0, "dim[2] is 0");
    REFUSED(dim[3], -5, "dim[3] is -5, want 1 to 32767 (larger ones need NIfTI-2)");
    REFUSED(datatype, 1, "datatype"); /* bits */
    REFUSED(datatype, 0, "datatype 0");
    REFUSED(datatype, 32, "COMPLEX64");
    REFUSED(datatype, 128, "RGB24");
    REFUSED(datatype, 1536, "FLOAT128");
    REFUSED(datatype, 2304, "RGBA32");
    REFUSED(datatype, 999, "datatype 999 is none of NIfTI");
    REFUSED(bitpix, 16, "bitpix is 16, want 8 for datatype uint8");
    REFUSED(vox_offset, 351, "vox_offset is 351");
    REFUSED(vox_offset, -352, "vox_offset is -352");
    REFUSED(vox_offset, NAN, "vox_offset is nan");
    REFUSED(vox_offset, INFINITY, "vox_offset is inf");
    REFUSED(vox_offset, 352.5, "vox_offset is 352.5");
    REFUSED(vox_offset, 3e9, "bytes holds 0 there");
    REFUSED(intent_code, 3001, "CIFTI");
    REFUSED(srow[1][3], NAN, "the sform holds nan");
    REFUSED(srow[2][2], 0, "the voxel edge along k is 0 mm");
    REFUSED(srow[0][0], 1001, "the voxel edge along i is 1001 mm");
    REFUSED(dim[1], 5,
            "80 bytes of voxels from byte 352 on are promised, but a file of 416 "
            "bytes holds 64 there");
}

static void test_refused_forms(void)
{
    NiftiFields fields = nifti_fields(4, 4, 4);

    fields.srow[0][1] = 1; /* i and j go the same way */
    fields.srow[1][1] = 0;
    refused(&fields, "do not span space");
    fields.sform_code = 0;
    fields.pixdim[2] = 0;
    refused(&fields, "pixdim[2] is 0");
    fields.pixdim[2] = NAN;
    refused(&fields, "pixdim[2] is nan");
    fields.pixdim[2] = -1;
    refused(&fields, "pixdim[2] is -1");
    fields.pixdim[2] = 1;
    fields.qform_code = 1;
    fields.quatern[0] = fields.quatern[1] = 0.9;
    refused(&fields, "longer than 1");
    fields.quatern[0] = NAN;
    refused(&fields, "longer than 1");
    fields.quatern[0] = fields.quatern[1] = 0;
    fields.qoffset[1] = INFINITY;
    refused(&fields, "the qform holds inf");
}

/* Products of 2^64 and more: no wrap, no allocation. */
static void test_products(void)
{
    NiftiFields fields = nifti_fields(1, 1, 1);

    fields.version = 2;
    fields.dim[0] = 7;
    for (guint i = 1; i < 8; i++)
        fields.dim[i] = (gint64)1 << 31;
    refused(&fields, "overflows");
    fields.dim[0] = 3;
    fields.dim[1] = fields.dim[2] = 1;
    fields.dim[3] = ((gint64)1 << 31) + 1;
    refused(&fields, "dim[3] is 2147483649");
    fields.version = 1; /* 16384^4 * 64 * 8 bytes is 2^65 */
    fields.datatype = 64;
    fields.bitpix = 64;
    fields.dim[0] = 5;
    for (guint i = 1; i < 5; i++)
        fields.dim[i] = 16384;
    fields.dim[5] = 64;
    refused(&fields, "overflows");
}

static void test_limit(void)
{
    NiftiFields fields = nifti_fields(16, 16, 16);
    g_autoptr(GError) error = NULL;

    g_autoptr(GByteArray) bytes = nifti_file(&fields, value_index);
    g_autofree char *path = nifti_write(folder, "limit.nii", bytes);
    /* 4096 voxels are 16 KiB as f32 */
    g_autoptr(LoomTensor) fits = loom_volume_read(path, LOOM_NAN_REFUSE, 16384, NULL, &error);
    g_assert_no_error(error);
    g_assert_nonnull(fits);
    loom_assert_failed(loom_volume_read(path, LOOM_NAN_REFUSE, 16383, NULL, &error), error,
                       LOOM_ERROR, LOOM_ERROR_LIMIT, "4096 voxels of uint8 need");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    folder = g_dir_make_tmp("loom-volume-XXXXXX", NULL);
    g_test_add_func("/volume/types", test_types);
    g_test_add_func("/volume/inexact", test_inexact);
    g_test_add_func("/volume/scaling", test_scaling);
    g_test_add_func("/volume/nan", test_nan);
    g_test_add_func("/volume/overflow", test_overflow);
    g_test_add_func("/volume/channels", test_channels);
    g_test_add_func("/volume/labels", test_labels);
    g_test_add_func("/volume/refused", test_refused);
    g_test_add_func("/volume/refused-forms", test_refused_forms);
    g_test_add_func("/volume/products", test_products);
    g_test_add_func("/volume/limit", test_limit);
    const int result = loom_test_run();
    nifti_remove(folder);
    g_free(folder);
    return result;
}
