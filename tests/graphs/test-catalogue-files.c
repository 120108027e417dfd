/* The bad-input catalogue, D1: files whose header, container or voxels are not what they claim,
 * rows 1 to 48.  catalogue.h says how a row is met.
 *
 * Rows that need more than a data set and a config stand elsewhere as well:
 *   3, 5, 6    every length, every bit: unit/volume_damage (truncated, flipped)
 *   25         Analyze read where it is allowed: unit/volume (analyze)
 *   27         every type in both byte orders: unit/volume (types)
 *   43         outputs hold no extension: unit/volume_write
 *   44         pairs: unit/volume_damage (pairs)
 *   48         2 GiB: unit/volume_scan (large)
 */
#include "catalogue.h"

#include <math.h>
#include <string.h>

/* ---- headers --------------------------------------------------------------------- */

BEND(four_d, f->dim[0] = 4)
BEND(series, f->dim[0] = 4; f->dim[4] = 2)
BEND(two_d, f->dim[0] = 2)
BEND(wide_integer, f->datatype = 1024; f->bitpix = 64)
BEND(big_endian, f->big_endian = TRUE; f->datatype = 4; f->bitpix = 16)
BEND(offset_360, f->vox_offset = 360)
BEND(no_sform, f->sform_code = 0)
BEND(pixdim_zero, f->pixdim[2] = 0)
BEND(pixdim_nan, f->pixdim[1] = NAN)
BEND(pixdim_negative, f->pixdim[3] = -1)
BEND(pixdim_large, f->pixdim[1] = 1200)
BEND(qfac, f->sform_code = 0; f->qform_code = 1; f->pixdim[0] = 3)
BEND(quaternion_sform, f->qform_code = 1; f->quatern[0] = f->quatern[1] = 0.9)
BEND(quaternion, f->sform_code = 0; f->qform_code = 1; f->quatern[0] = f->quatern[1] = 0.9)
BEND(forms, f->qform_code = 1; f->quatern[2] = sin(0.05); f->qoffset[0] = 3)
BEND(shear_note, f->srow[0][1] = 5e-4)
BEND(shear_warning, f->srow[0][1] = 5e-3)
BEND(shear_error, f->srow[0][1] = 0.05)
BEND(singular, f->srow[0][1] = 1; f->srow[1][1] = 0)
BEND(infinite_form, f->srow[1][3] = INFINITY)
BEND(pixdim_other, f->pixdim[1] = 1.5)
BEND(slope_zero, f->slope = 0)
BEND(slope_nan, f->slope = NAN)
BEND(slope_half, f->slope = 0.5)
BEND(slope_infinite, f->slope = INFINITY)
BEND(slope_large, f->slope = 1e30)
BEND(floats, f->datatype = 16; f->bitpix = 32)
BEND(no_unit, f->xyzt_units = 0)

static void scaled_by(NiftiFields *f, double factor)
{
    for (guint i = 0; i < 3; i++) {
        f->srow[i][i] *= factor;
        f->pixdim[i + 1] *= factor;
    }
}
BEND(metres, f->xyzt_units = 1; scaled_by(f, 1e-3))
BEND(tiny, scaled_by(f, 0.05))

#define FIELD(name, member, value)                                                             \
    static void name(GByteArray *bytes)                                                        \
    {                                                                                          \
        member;                                                                                \
        memcpy(bytes->data + at, &(const __typeof__(value)){value}, sizeof(value));            \
    }
/* Offsets of nifti1.h: what the header says other than what the file holds. */
FIELD(ndim_zero, const gsize at = 40, (gint16)0)
FIELD(ndim_eight, const gsize at = 40, (gint16)8)
FIELD(ndim_negative, const gsize at = 40, (gint16)-1)
FIELD(dim_zero, const gsize at = 42, (gint16)0)
FIELD(dim_negative, const gsize at = 42, (gint16)-5)
FIELD(rgb, const gsize at = 70, (gint16)128)
FIELD(complex_numbers, const gsize at = 70, (gint16)32)
FIELD(float128, const gsize at = 70, (gint16)1536)
FIELD(binary, const gsize at = 70, (gint16)1)
FIELD(bitpix, const gsize at = 72, (gint16)16)
FIELD(magic, const gsize at = 344, (gint32)0x01020304)
FIELD(analyze, const gsize at = 344, (gint32)0)
FIELD(header_size, const gsize at = 0, (gint32)1000)
FIELD(offset_negative, const gsize at = 108, -352.0f)
FIELD(offset_nan, const gsize at = 108, (float)NAN)
FIELD(offset_beyond, const gsize at = 108, 1e6f)

static void dims_huge(GByteArray *bytes) /* 32767^3 in 864 bytes */
{
    const gint16 dims[4] = {3, 32767, 32767, 32767};

    memcpy(bytes->data + 40, dims, sizeof dims);
}

static void dims_beyond(GByteArray *bytes) /* 32767^5: no 64 bits hold it */
{
    const gint16 dims[8] = {7, 32767, 32767, 32767, 32767, 32767, 1, 1};

    memcpy(bytes->data + 40, dims, sizeof dims);
}

static void pair_magic(GByteArray *bytes)
{
    memcpy(bytes->data + 344, "ni1", 4);
}

/* An extension of 2^31 - 16 bytes in the 8 bytes before the voxels, whose header says 360. */
static void extension_huge(GByteArray *bytes)
{
    const gint32 fields[2] = {0x7ffffff0, 6};

    bytes->data[348] = 1;
    memcpy(bytes->data + 352, fields, sizeof fields);
}

static void extension_negative(GByteArray *bytes)
{
    extension_huge(bytes);
    bytes->data[355] = 0xff;
}

/* ---- containers and voxels ------------------------------------------------------------------
 */

static void empty(GByteArray *bytes)
{
    g_byte_array_set_size(bytes, 0);
}

static void hundred(GByteArray *bytes)
{
    g_byte_array_set_size(bytes, 100);
}

static void half(GByteArray *bytes)
{
    g_byte_array_set_size(bytes, bytes->len / 2 + 200);
}

static void cut(GByteArray *bytes)
{
    g_byte_array_set_size(bytes, bytes->len - 30);
}

static void crc(GByteArray *bytes)
{
    bytes->data[bytes->len - 8] ^= 1;
}

static void bit(GByteArray *bytes)
{
    bytes->data[bytes->len / 2] ^= 4;
}

static void after(GByteArray *bytes)
{
    g_byte_array_append(bytes, (const guint8 *)"rubbish", 7);
}

static void members(GByteArray *bytes)
{
    const NiftiFields fields = catalogue_case(1);
    g_autoptr(GByteArray) whole = nifti_file(&fields, catalogue_image);
    g_autoptr(GByteArray) a = nifti_gzip(whole->data, 400);
    g_autoptr(GByteArray) b = nifti_gzip(whole->data + 400, whole->len - 400);

    g_byte_array_set_size(bytes, 0);
    g_byte_array_append(bytes, a->data, a->len);
    g_byte_array_append(bytes, b->data, b->len);
}

static void unpacked(GByteArray *bytes)
{
    const NiftiFields fields = catalogue_case(1);
    g_autoptr(GByteArray) whole = nifti_file(&fields, catalogue_image);

    g_byte_array_set_size(bytes, 0);
    g_byte_array_append(bytes, whole->data, whole->len);
}

static void packed(GByteArray *bytes)
{
    g_autoptr(GByteArray) gzip = nifti_gzip(bytes->data, bytes->len);

    g_byte_array_set_size(bytes, 0);
    g_byte_array_append(bytes, gzip->data, gzip->len);
}

static void bomb(GByteArray *bytes)
{
    const NiftiFields fields = catalogue_case(1);
    g_autoptr(GByteArray) whole = nifti_file(&fields, catalogue_image);
    g_autofree guint8 *zeros = g_malloc0((gsize)65 << 20);

    memcpy(zeros, whole->data, whole->len);
    g_autoptr(GByteArray) gzip = nifti_gzip(zeros, (gsize)65 << 20);
    g_byte_array_set_size(bytes, 0);
    g_byte_array_append(bytes, gzip->data, gzip->len);
}

static double beyond_2_53(gint64 v)
{
    return v == 5 ? 9007199254740994.0 : (double)v;
}

static double with_nan(gint64 v)
{
    return v == 9 ? (double)NAN : v == 20 ? (double)INFINITY : catalogue_image(v);
}

static double constant(G_GNUC_UNUSED gint64 v)
{
    return 42;
}

static void two_files(void)
{
    const NiftiFields fields = catalogue_case(1);
    g_autoptr(GByteArray) bytes = nifti_file(&fields, catalogue_image);
    g_autoptr(GByteArray) gzip = nifti_gzip(bytes->data, bytes->len);

    g_free(nifti_write(catalogue_folder, "imagesTr/a01_0000.nii.gz", gzip));
}

/* ---- the table ----------------------------------------------------------------------- */

static const CatalogueRow rows[] = {
    {1, "E-NII-SHORT", "0 of the 348 bytes", .damage = empty},
    {2, "E-NII-SHORT", "100 of the 348 bytes", .damage = hundred},
    {3, "E-NII-CUT", "512 bytes of voxels from byte 352 on are promised", .damage = half},
    {3, "E-NII-CUT", "bytes holds 280 there, no whole slice 4", .damage = half},
    {4, "E-GZ-CUT", "the gzip data end at byte", .damage = cut, .gzip = TRUE},
    {5, "E-GZ-CRC", "incorrect data check", .damage = crc, .gzip = TRUE},
    {6, "E-GZ-", "the gzip data are damaged near byte", .damage = bit, .gzip = TRUE},
    {7, "W-GZ-AFTER", "7 bytes after the gzip data", .damage = after, .gzip = TRUE},
    {7, "E-GZ-AFTER", "(strict)", .damage = after, .gzip = TRUE, .data = "strict: true"},
    {8, NULL, NULL, .damage = members, .gzip = TRUE},
    {9, "W-NII-LONG", "7 bytes after the voxels", .damage = after},
    {10, "N-GZ-NAME", "not compressed, though named .gz", .damage = unpacked, .gzip = TRUE},
    {11, "W-GZ-NAME", "rename it to .nii.gz", .damage = packed},
    {12, "E-GZ-BOMB", "more than 64 MiB", .damage = bomb, .gzip = TRUE},
    {13, "E-NII-CUT", "are promised, but a file of 864 bytes", .damage = dims_huge},
    {14, "E-NII-DIM", "overflows", .damage = dims_beyond},
    {15, "E-NII-DIM", "dim[0] is 0, want 1 to 7", .damage = ndim_zero},
    {15, "E-NII-DIM", "dim[0] is 8", .damage = ndim_eight},
    {15, "E-NII-DIM", "dim[0] is -1", .damage = ndim_negative},
    {16, "E-NII-DIM", "dim[1] is -5, want 1 to 32767 (larger ones need NIfTI-2)",
     .damage = dim_negative},
    {17, "E-NII-DIM", "dim[1] is 0", .damage = dim_zero},
    {18, "N-NII-4D", "4-D with one volume: taken as 3-D", .image = four_d},
    {19, "E-NII-4D", "4-D, 2 volumes in one file, want one file a channel", .image = series},
    {20, "E-NII-2D", "2-D, want 3 axes", .image = two_d},
    {21, "E-NII-TYPE", "RGB24", .damage = rgb},
    {22, "E-NII-TYPE", "COMPLEX64", .damage = complex_numbers},
    {22, "E-NII-TYPE", "FLOAT128", .damage = float128},
    {22, "E-NII-TYPE", "want an integer type up to 64 bits, float32 or float64",
     .damage = binary},
    {23, "E-NII-INEXACT", "i,j,k = 5,0,0 is beyond 2^53", .image = wide_integer,
     .value = beyond_2_53},
    {24, "E-NII-BITPIX", "bitpix is 16, want 8 for datatype uint8", .damage = bitpix},
    {25, "E-NII-MAGIC", "magic is 04 03 02 01, want n+1 or ni1", .damage = magic},
    {25, "E-NII-ANALYZE", "allow_analyze", .damage = analyze},
    {26, "E-NII-MAGIC", "want the header's size, 348 or 540", .damage = header_size},
    {27, NULL, NULL, .image = big_endian},
    {28, "E-NII-OFFSET", "vox_offset is -352", .damage = offset_negative},
    {28, "E-NII-OFFSET", "vox_offset is nan", .damage = offset_nan},
    {28, "E-NII-CUT", "from byte 1000000 on", .damage = offset_beyond},
    {28, "N-NII-OFFSET", "vox_offset is 360, no multiple of 16", .image = offset_360},
    {29, "E-NII-PIXDIM", "pixdim[2] is 0, want", .image = pixdim_zero},
    {29, "E-NII-PIXDIM", "pixdim[1] is nan, want", .image = pixdim_nan},
    {29, "E-NII-PIXDIM", "pixdim[3] is -1, want", .image = pixdim_negative},
    {29, "E-NII-PIXDIM", "pixdim[1] is 1200, want", .image = pixdim_large},
    {29, "W-NII-PIXDIM", "the sform is used", .image = pixdim_zero, .data = "prefer: sform"},
    {30, "N-NII-QFAC", "pixdim[0] is 3, want 1 or -1: taken as 1", .both = qfac},
    {31, "N-NII-QUATERNION", "(0.9, 0.9, 0) is longer than 1: the sform is used",
     .image = quaternion_sform},
    {31, "E-NII-QUATERNION", "(0.9, 0.9, 0) is longer than 1", .image = quaternion},
    {32, "E-NII-ORIENTATION", "assume_orientation", .both = no_sform},
    {32, "N-NII-ORIENTATION", "taken as RAS", .both = no_sform,
     .data = "assume_orientation: RAS"},
    {33, "E-NII-FORMS", "turned by 5.73 degrees, the first voxel shifted by 3 mm",
     .both = forms},
    {33, "N-NII-FORMS", "the sform is used", .both = forms, .data = "prefer: sform"},
    {33, "N-NII-FORMS", "the qform is used", .both = forms, .data = "prefer: qform"},
    {34, "N-NII-SHEAR", "the axes i and j are 89.97", .both = shear_note},
    {34, "W-NII-SHEAR", "the axes i and j are sheared: 89.71 degrees", .both = shear_warning},
    {34, "E-NII-SHEAR", "the axes i and j are sheared: 87.1", .both = shear_error},
    {34, "W-NII-SHEAR", "87.1", .both = shear_error, .data = "shear: 0.1"},
    {35, "E-NII-SINGULAR", "do not span space", .image = singular},
    {35, "E-NII-AFFINE", "the sform holds inf", .image = infinite_form},
    {36, "W-NII-PIXDIM", "pixdim[1] says 1.5 mm, the sform 1 mm", .image = pixdim_other},
    {37, "N-NII-SLOPE", "scl_slope is 0: the voxels are taken unscaled", .image = slope_zero},
    {37, "N-NII-SLOPE", "scl_slope is nan", .image = slope_nan},
    {38, "E-LABEL-FRACTION", "scales them by scl_slope", .label = slope_half},
    {39, "E-NII-SLOPE", "scl_slope is inf", .image = slope_infinite},
    {39, "E-NII-SLOPE", "want finite numbers below 1e+30", .image = slope_large},
    {40, "E-NII-NAN", "2 voxels are NaN or infinite, the first at i,j,k = 1,1,0",
     .image = floats, .value = with_nan},
    {40, "N-NII-NAN", "2 voxels are NaN", .image = floats, .value = with_nan,
     .data = "nan_policy: zero"},
    {40, "N-NII-NAN", "2 voxels are NaN", .image = floats, .value = with_nan,
     .data = "nan_policy: mask"},
    {41, "W-IMAGE-CONSTANT", "every voxel is 42", .value = constant},
    {42, "N-NII-EXTENSION", "2147483632 bytes where there is room for 8", .image = offset_360,
     .damage = extension_huge},
    {42, "N-NII-EXTENSION", "a header extension of -", .image = offset_360,
     .damage = extension_negative},
    {44, "E-NII-PAIR", "does not end with .hdr", .damage = pair_magic},
    {45, "E-DATA-TWO-FILES", "a01_0000.nii.gz': want only one of them", .arrange = two_files},
    {46, "W-NII-UNITS", "one unit is taken as 1000 mm", .both = metres},
    {46, "W-NII-UNITS", "no unit of length: mm is assumed", .image = no_unit},
    {47, NULL, NULL, .both = tiny},
};

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    catalogue_add(rows, G_N_ELEMENTS(rows));
    return loom_test_run();
}
