/* The bad-input catalogue, rows 1 to 90 of D1 to D3 (distributed-reliability.md): `segloom
 * check` meets each input as a person's file, names it by its code, and ends with 2 for an
 * error and with 0 for the rest; nothing is accepted in silence, nothing crashes.
 *
 * Rows that need more than a data set and a config stand elsewhere as well:
 *   3, 5, 6    every length, every bit: unit/volume_damage (truncated, flipped)
 *   25         Analyze read where it is allowed: unit/volume (analyze)
 *   27         every type in both byte orders: unit/volume (types)
 *   43         outputs hold no extension: unit/volume_write
 *   44         pairs: unit/volume_damage (pairs)
 *   48         2 GiB: unit/volume_scan (large)
 *   62         image and label on one grid after resampling: the stage's own tests
 *   79, 82     what a network wants of a patch: graphs/wrong-data (sizes)
 *   90         a config that changed before --resume: graphs/cli (resume-config)
 */
#include "loom_test.h"
#include "nifti_bytes.h"
#include "typed.h"

#include <glib/gstdio.h>
#include <json-glib/json-glib.h>

#include <math.h>
#include <string.h>
#include <unistd.h>

static char *folder; /* of the row at hand: c.yaml and its data set */

typedef void (*Bend)(NiftiFields *fields); /* of the image, or of image and label, of a01 */
typedef void (*Damage)(GByteArray *bytes); /* of the image's file */
typedef void (*Arrange)(void);             /* whatever else is in the folder */

typedef struct {
    guint row;
    const char *code; /* its beginning; NULL: nothing may be found */
    const char *text; /* in the same problem */
    Bend image, both, label;
    double (*value)(gint64 v), (*label_value)(gint64 v);
    Damage damage;
    Arrange arrange;
    const char *data; /* further keys of `data:` */
    const char *yaml; /* the whole config instead */
    gboolean fails;   /* there is an error besides */
    gboolean gzip;    /* the data set's files end with .nii.gz, and are gzip */
} Row;

/* ---- a data set that has nothing wrong ----------------------------------------------- */

#define CASES 4

static double image_value(gint64 v)
{
    return (double)(v * 7 % 251) + 1;
}

static double label_value(gint64 v)
{
    return v % 7 == 3;
}

static char *text_write(const char *name, const char *text, gssize length)
{
    char *path = g_build_filename(folder, name, NULL);

    g_assert_true(g_file_set_contents(path, text, length, NULL));
    return path;
}

static void json_write(const char *labels, const char *channels, guint n, gboolean gzip)
{
    g_autofree char *json = g_strdup_printf(
        "{\"channel_names\": {%s}, \"labels\": {%s}, \"numTraining\": %u, \"file_ending\": "
        "\"%s\"}",
        channels, labels, n, gzip ? ".nii.gz" : ".nii");
    g_free(text_write("dataset.json", json, -1));
}

/* Case @i; no two have the same grid. */
static NiftiFields case_fields(guint i)
{
    NiftiFields fields = nifti_fields(8, 8, 8);

    fields.pixdim[3] = fields.srow[2][2] = 1 + i / 8.0;
    return fields;
}

static NiftiFields plain(void)
{
    return case_fields(1);
}

static void file_write(const char *kind, guint i, const NiftiFields *fields,
                       double (*value)(gint64), const Row *row, Damage damage)
{
    g_autofree char *name =
        g_strdup_printf("%s/a%02u%s%s", kind, i, *kind == 'i' ? "_0000" : "",
                        row && row->gzip ? ".nii.gz" : ".nii");
    g_autoptr(GByteArray) bytes = nifti_file(fields, value);
    g_autoptr(GByteArray) packed =
        row && row->gzip ? nifti_gzip(bytes->data, bytes->len) : g_byte_array_ref(bytes);

    if (damage)
        damage(packed);
    g_free(nifti_write(folder, name, packed));
}

/* Cases a00 to a03; a01 is the one that @row bends. */
static void data_make(const Row *row)
{
    g_autofree char *images = g_build_filename(folder, "imagesTr", NULL);
    g_autofree char *labels = g_build_filename(folder, "labelsTr", NULL);

    g_assert_cmpint(g_mkdir(images, 0700) | g_mkdir(labels, 0700), ==, 0);
    json_write("\"background\": 0, \"ball\": 1", "\"0\": \"CT\"", CASES, row->gzip);
    for (guint i = 0; i < CASES; i++) {
        NiftiFields image = case_fields(i), label = case_fields(i);

        image.intercept = (double)i - 1; /* no two have the same voxels */
        if (i != 1) {
            file_write("imagesTr", i, &image, image_value, row, NULL);
            file_write("labelsTr", i, &label, label_value, row, NULL);
            continue;
        }
        if (row->image)
            row->image(&image);
        if (row->label)
            row->label(&label);
        if (row->both) {
            row->both(&image);
            row->both(&label);
        }
        file_write("imagesTr", i, &image, row->value ? row->value : image_value, row,
                   row->damage);
        file_write("labelsTr", i, &label, row->label_value ? row->label_value : label_value,
                   row, NULL);
    }
    if (row->arrange)
        row->arrange();
}

#define GRAPHS                                                                                 \
    "graphs:\n"                                                                                \
    "  train:\n"                                                                               \
    "    load:  {use: nifti_load}\n"                                                           \
    "    patch: {use: crop, from: load, size: [4, 4, 4]}\n"
#define DATA "data: {dataset: '.', folds: 2}\n"
#define RUN "run: {graph: train}\n"

static void config_make(const Row *row)
{
    g_autofree char *text =
        row->yaml
            ? g_strdup(row->yaml)
            : g_strdup_printf("segloom: 1\ndata: {dataset: '.', folds: 2%s%s}\n" GRAPHS RUN,
                              row->data ? ", " : "", row->data ? row->data : "");
    g_free(text_write("c.yaml", text, -1));
}

/* ---- D1: headers --------------------------------------------------------------------- */

#define BEND(name, ...)                                                                        \
    static void name(NiftiFields *f)                                                           \
    {                                                                                          \
        __VA_ARGS__;                                                                           \
    }
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
BEND(integers, f->datatype = 4; f->bitpix = 16)
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

/* ---- D1: containers ------------------------------------------------------------------ */

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
    const NiftiFields fields = plain();
    g_autoptr(GByteArray) whole = nifti_file(&fields, image_value);
    g_autoptr(GByteArray) a = nifti_gzip(whole->data, 400);
    g_autoptr(GByteArray) b = nifti_gzip(whole->data + 400, whole->len - 400);

    g_byte_array_set_size(bytes, 0);
    g_byte_array_append(bytes, a->data, a->len);
    g_byte_array_append(bytes, b->data, b->len);
}

static void unpacked(GByteArray *bytes)
{
    const NiftiFields fields = plain();
    g_autoptr(GByteArray) whole = nifti_file(&fields, image_value);

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
    const NiftiFields fields = plain();
    g_autoptr(GByteArray) whole = nifti_file(&fields, image_value);
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
    return v == 9 ? (double)NAN : v == 20 ? (double)INFINITY : image_value(v);
}

static double constant(G_GNUC_UNUSED gint64 v)
{
    return 42;
}

static void two_files(void)
{
    const NiftiFields fields = plain();
    g_autoptr(GByteArray) bytes = nifti_file(&fields, image_value);
    g_autoptr(GByteArray) gzip = nifti_gzip(bytes->data, bytes->len);

    g_free(nifti_write(folder, "imagesTr/a01_0000.nii.gz", gzip));
}

/* ---- D2: labels and cases ------------------------------------------------------------ */

BEND(label_smaller, f->dim[3] = 7)
BEND(label_spacing, f->srow[0][0] = f->pixdim[1] = 2)
BEND(label_moved, f->srow[0][3] = 0.5)
BEND(label_noise, f->srow[0][3] = 1e-4)
BEND(label_float, f->datatype = 16; f->bitpix = 32)
BEND(label_turned, f->srow[0][0] = -1)
BEND(larger, f->srow[0][0] = f->pixdim[1] = 20)

static double label_seven(gint64 v)
{
    return v == 10 ? 7 : v == 30 ? 9 : label_value(v);
}

static double label_fraction(gint64 v)
{
    return v == 10 ? 2.0235 : label_value(v);
}

static double label_negative(gint64 v)
{
    return v == 10 ? -1 : label_value(v);
}

static double background(G_GNUC_UNUSED gint64 v)
{
    return 0;
}

static double image_elsewhere(gint64 v) /* 0 wherever there is a label */
{
    return label_value(v) > 0 ? 0 : image_value(v);
}

static void labels_gap(void)
{
    json_write("\"background\": 0, \"ball\": 2", "\"0\": \"CT\"", CASES, FALSE);
}

static void class_nowhere(void)
{
    json_write("\"background\": 0, \"ball\": 1, \"cube\": 2", "\"0\": \"CT\"", CASES, FALSE);
}

/* Only a03, which the list lets validate, has class 2. */
static double label_two(gint64 v)
{
    return v == 10 ? 2 : label_value(v);
}

static void class_validates(void)
{
    const NiftiFields fields = case_fields(3);

    class_nowhere();
    g_free(text_write("val.txt", "a03\n", -1));
    file_write("labelsTr", 3, &fields, label_two, NULL, NULL);
}

static void file_remove(const char *name)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);

    g_assert_cmpint(g_unlink(path), ==, 0);
}

static void label_missing(void)
{
    file_remove("labelsTr/a02.nii");
}

static void label_left_over(void)
{
    const NiftiFields fields = plain();

    file_write("labelsTr", 9, &fields, label_value, NULL, NULL);
}

static void channel_missing(void)
{
    json_write("\"background\": 0, \"ball\": 1", "\"0\": \"CT\", \"1\": \"PET\"", CASES, FALSE);
}

static void number_wrong(void)
{
    json_write("\"background\": 0, \"ball\": 1", "\"0\": \"CT\"", CASES + 2, FALSE);
}

static void linked(void)
{
    g_autofree char *from = g_build_filename(folder, "imagesTr", "a02_0000.nii", NULL);
    g_autofree char *to = g_build_filename(folder, "imagesTr", "a03_0000.nii", NULL);

    g_unlink(to);
    g_assert_cmpint(symlink(from, to), ==, 0);
}

static void copied(void)
{
    g_autofree char *from = g_build_filename(folder, "imagesTr", "a02_0000.nii", NULL);
    g_autofree char *to = g_build_filename(folder, "imagesTr", "a03_0000.nii", NULL);
    g_autofree char *bytes = NULL;
    gsize length;

    g_assert_true(g_file_get_contents(from, &bytes, &length, NULL));
    g_assert_true(g_file_set_contents(to, bytes, (gssize)length, NULL));
}

static void file_rename(const char *kind, const char *from, const char *to, const char *end)
{
    g_autofree char *a = g_strconcat(folder, kind, from, end, NULL);
    g_autofree char *b = g_strconcat(folder, kind, to, end, NULL);

    g_assert_cmpint(g_rename(a, b), ==, 0);
}

static void case_rename(const char *from, const char *to)
{
    file_rename("/imagesTr/", from, to, "_0000.nii");
    file_rename("/labelsTr/", from, to, ".nii");
}

/* One visit trains, the other validates. */
static void visits(void)
{
    case_rename("a00", "p7_visit1");
    case_rename("a01", "p7_visit2");
    g_free(text_write("val.txt", "p7_visit2\n", -1));
}

static void odd_names(void)
{
    case_rename("a00", "caf\xc3\xa9 100% \xe2\x80\x93 x");
    case_rename("a02", "line\nbreak");
}

static void hounsfield(void)
{
    for (guint i = 0; i < 8; i++) {
        NiftiFields fields = case_fields(i);

        integers(&fields);
        fields.intercept = i == 5 ? 0 : -1000.0 - i;
        file_write("imagesTr", i, &fields, image_value, NULL, NULL);
        fields = case_fields(i);
        file_write("labelsTr", i, &fields, label_value, NULL, NULL);
    }
    json_write("\"background\": 0, \"ball\": 1", "\"0\": \"CT\"", 8, FALSE);
}

static void outlier(void)
{
    for (guint i = 0; i < 6; i++) {
        NiftiFields fields = case_fields(i);

        fields.srow[1][1] = fields.pixdim[2] = i == 4 ? 5 : 1;
        file_write("imagesTr", i, &fields, image_value, NULL, NULL);
        file_write("labelsTr", i, &fields, label_value, NULL, NULL);
    }
    json_write("\"background\": 0, \"ball\": 1", "\"0\": \"CT\"", 6, FALSE);
}

static void list_of_windows(void)
{
    g_free(text_write("val.txt",
                      "\xef\xbb\xbf"
                      "a01 \r\n",
                      -1));
}

static void list_unknown(void)
{
    g_free(text_write("val.txt", "a01\na77\n", -1));
}

/* ---- D3: YAML ------------------------------------------------------------------------ */

static void brackets(void)
{
    g_autofree char *text = g_strnfill(100000, '[');

    g_free(text_write("c.yaml", text, -1));
}

static void fifty_megabytes(void)
{
    g_autofree char *path = text_write("c.yaml", "segloom: 1\n", -1);

    g_assert_cmpint(truncate(path, 50 << 20), ==, 0);
}

static void not_utf8(void)
{
    g_free(text_write("c.yaml", "segloom: 1 # \xff\n", -1));
}

static void zero_byte(void)
{
    g_free(text_write("c.yaml", "segloom: 1 # \0\n", 15));
}

static void utf16(void)
{
    g_free(text_write("c.yaml", "\xff\xfes\0e\0", 6));
}

static void laughs(void)
{
    g_autoptr(GString) text = g_string_new("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");

    for (guint i = 1; i < 10; i++) {
        g_string_append_printf(text, "a%u: &a%u [", i, i);
        for (guint k = 0; k < 10; k++)
            g_string_append_printf(text, "%s*a%u", k ? ", " : "", i - 1);
        g_string_append(text, "]\n");
    }
    g_free(text_write("c.yaml", text->str, -1));
}

#define STAGE(line) "segloom: 1\n" DATA GRAPHS "    " line "\n" RUN
#define CROP(more)                                                                             \
    "segloom: 1\n" DATA "graphs:\n  train:\n    load:  {use: nifti_load}\n"                    \
    "    patch: {use: crop, from: load, " more "}\n" RUN

/* ---- the table ----------------------------------------------------------------------- */

static const Row rows[] = {
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
    {49, "E-GRID-SIZE", "8 x 8 x 8 voxels but", .label = label_smaller},
    {50, "E-GRID-SPACING", "2 x 1 x 1.125 mm", .label = label_spacing},
    {51, "E-GRID-PLACE", "lie up to 0.5 mm apart, want at most 0.001", .label = label_moved},
    {51, "N-GRID-NOISE", "within the tolerance", .label = label_noise},
    {52, "W-LABEL-OFF-IMAGE", "only 0 of 73 foreground voxels", .value = image_elsewhere},
    {53, "E-LABEL-UNKNOWN",
     "value 7 at i,j,k = 2,1,0 is none of the labels 0 to 1; 2 voxels are like that: 7 (1), 9 "
     "(1)",
     .label_value = label_seven},
    {54, "E-DATA", "without a gap", .arrange = labels_gap},
    {55, "E-LABEL-FRACTION", "0.0235 from the nearest whole number", .label = label_float,
     .label_value = label_fraction},
    {56, "E-LABEL-NEGATIVE", "the value -1 at i,j,k = 2,1,0 is no label", .label = integers,
     .label_value = label_negative},
    {57, "W-LABEL-EMPTY", "no foreground", .label_value = background},
    {58, "E-CLASS-ABSENT", "has a voxel of label 2 ('cube')", .arrange = class_nowhere},
    {59, "W-CLASS-VALIDATES", "label 2 ('cube') is in 1 case that validates, and in none",
     .arrange = class_validates, .data = "validate: val.txt", .fails = TRUE}, /* and row 58 */
    {60, "W-CLASS-TINY", "has 73 voxels, after resampling to 4 x 4 x 4 mm about 1.1",
     .yaml = "segloom: 1\n" DATA "graphs:\n  train:\n    load: {use: nifti_load}\n"
             "    fine: {use: resample, from: load, spacing: [4, 4, 4]}\n" RUN},
    {61, "N-IMAGE-SMALL",
     "8 x 8 x 8 voxels (D, H, W), the patch of stage 'patch' has 16 x 4 x 4",
     .yaml = CROP("size: [16, 4, 4]")},
    {63, "E-DATA-MISSING", "1 file is missing: label of a02 (looked for imagesTr/NAME_0000.nii",
     .arrange = label_missing},
    {64, "W-DATA", "labelsTr/a09.nii' has no image", .arrange = label_left_over},
    {65, "E-DATA-MISSING", "4 files are missing: PET of all 4 cases",
     .arrange = channel_missing},
    {66, "E-DATA-NUMBER", "numTraining 6, but there are 4 cases, 2 too few",
     .arrange = number_wrong},
    {67, "E-DATA-TWICE", "is the file of case 'a02' as well", .arrange = linked},
    {67, "W-DATA-SAME-VOXELS", "has the voxels of case 'a02'", .arrange = copied,
     .fails = TRUE},
    {68, "W-SPLIT-PATIENT", "patient 'p7' trains and validates", .arrange = visits,
     .data = "validate: val.txt"},
    {68, "E-SPLIT-PATIENT", "patient 'p7' trains and validates", .arrange = visits,
     .data = "validate: val.txt, patient_key: '^(p[0-9]+)_'"},
    {68, "E-DATA-PATIENT-KEY", "is no regular expression", .data = "patient_key: '('"},
    {69, "W-IMAGE-OUTLIER", "are these Hounsfield units?", .arrange = hounsfield},
    {70, "W-GRID-MIXED-AXES", "(RAS in 3, LAS in 1)", .both = label_turned},
    {71, "W-GRID-ANISOTROPIC", "times as long as wide", .both = larger},
    {71, "W-GRID-OUTLIER", "voxel edge along j is 5 mm, in most cases 1 mm",
     .arrange = outlier},
    {72, "N-LIST-TRIMMED", "byte order mark, carriage returns, trailing blanks",
     .arrange = list_of_windows, .data = "validate: val.txt"},
    {73, NULL, NULL, .arrange = odd_names},
    {74, "E-SPLIT", "val.txt:2: there is no case 'a77'", .arrange = list_unknown,
     .data = "validate: val.txt"},
    {75, "E-YAML-SYNTAX", "a tab cannot stand here", .yaml = "segloom: 1\ndata:\n\tfolds: 2\n"},
    {76, "E-KEY-UNKNOWN", "did you mean 'foreground'?",
     .yaml = CROP("size: [4,4,4], foregrond: 1")},
    {77, "E-YAML-KEY-TWICE", "key 'seed' stands at line 2 already",
     .yaml = "segloom: 1\nseed: 1\nseed: 2\n"},
    {78, "E-VALUE-TYPE", "found 'two', want a whole number",
     .yaml = CROP("size: [4, 4, 4], per_volume: two")},
    {78, "E-VALUE-TYPE", "without zeros in front",
     .yaml = CROP("size: [4, 4, 4], per_volume: 010")},
    {78, "E-VALUE-TYPE", "in quotes is text",
     .yaml = CROP("size: [4, 4, 4], foreground: '1e-3'")},
    {78, "E-VALUE-TYPE", "want true or false", .data = "strict: yes"},
    {79, "E-VALUE-RANGE", "per_volume: 0 is out of range, want 1 to 10000",
     .yaml = CROP("size: [4, 4, 4], per_volume: 0")},
    {80, "E-KEY-MISSING", "needs the key 'size' (of a patch: D, H, W)",
     .yaml = CROP("foreground: 0.5")},
    {80, "E-KEY-MISSING", "config needs the key 'segloom'", .yaml = DATA GRAPHS RUN},
    {81, "E-GRAPH-EDGE", "there is no stage 'pach' in graph 'train', did you mean 'patch'?",
     .yaml = STAGE("flip: {use: flip, from: pach}")},
    {81, "E-GRAPH-CYCLE", "the stages form a cycle: a -> b -> a",
     .yaml = STAGE("a: {use: flip, from: b}\n    b: {use: flip, from: a}")},
    {81, "E-GRAPH-SOURCE", "has two sources, 'load' and 'again'",
     .yaml = STAGE("again: {use: nifti_load}")},
    {81, "E-GRAPH-EDGE", "needs 'from: STAGE'", .yaml = STAGE("flip: {use: flip}")},
    {82, "E-GRAPH-SHAPE",
     "reads 'image' as f32 CDHW, but it arrives as f32 NCDHW (from 'batch', ",
     .yaml = STAGE("batch: {use: batch, from: patch, size: 2}\n"
                   "    flip: {use: flip, from: batch}")},
    {82, "E-GRAPH-SLOT", "which no stage before it writes",
     .yaml = STAGE("score: {use: metrics, from: patch, metrics: [{use: overlap}]}")},
    {83, "E-YAML-ALIAS", "stand for more than 10000 nodes", .arrange = laughs,
     .yaml = "x: 1\n"},
    {84, "E-YAML-ALIAS", "stands inside its own anchor", .yaml = "data: &a {dataset: *a}\n"},
    {85, "E-YAML-DEPTH", "more than 64 levels", .arrange = brackets, .yaml = "x: 1\n"},
    {86, "E-YAML-SIZE", "52428800 bytes, want at most 1048576", .arrange = fifty_megabytes,
     .yaml = "x: 1\n"},
    {87, "E-YAML-TEXT", "byte 0xff at offset 13 is not UTF-8", .arrange = not_utf8,
     .yaml = "x: 1\n"},
    {87, "E-YAML-TEXT", "zero byte at offset 13", .arrange = zero_byte, .yaml = "x: 1\n"},
    {87, "E-YAML-TEXT", "looks like UTF-16", .arrange = utf16, .yaml = "x: 1\n"},
    {88, "E-YAML-DOCUMENTS", "a second document begins here",
     .yaml = "segloom: 1\n---\na: 2\n"},
    {88, "E-YAML-TAG", "!!python/object", .yaml = "segloom: !!python/object 1\n"},
    /* nothing is substituted: the name stands for itself */
    {89, "E-DATA", "${HOME}", .yaml = "segloom: 1\ndata: {dataset: '${HOME}'}\n" GRAPHS RUN},
};

/* ---- running them -------------------------------------------------------------------- */

static const char *member(JsonObject *problem, const char *name)
{
    return json_object_get_null_member(problem, name)
               ? ""
               : json_object_get_string_member(problem, name);
}

/* Is the row's problem among them? */
static gboolean row_found(const Row *row, JsonArray *problems)
{
    for (guint i = 0; i < json_array_get_length(problems); i++) {
        JsonObject *problem = json_array_get_object_element(problems, i);

        if (g_str_has_prefix(member(problem, "code"), row->code)
            && strstr(member(problem, "text"), row->text))
            return TRUE;
    }
    return FALSE;
}

/* @again: as text too. */
static void row_check(const Row *row, gboolean again)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    g_autoptr(GError) error = NULL;

    folder = loom_test_folder();
    config_make(row);
    data_make(row);
    g_auto(Typed) json = typed_run(folder, "check c.yaml --json", NULL);
    g_auto(Typed) text = {0};
    if (again)
        text = typed_run(folder, "check c.yaml", NULL);
    json_parser_load_from_data(parser, json.out, -1, &error);
    g_assert_no_error(error);
    JsonObject *root = json_node_get_object(json_parser_get_root(parser));
    JsonArray *problems = json_object_get_array_member(root, "problems");
    const gint64 errors = json_object_get_int_member(root, "errors");

    if (row->code ? !row_found(row, problems)
                  : errors || json_object_get_int_member(root, "warnings"))
        g_error("row %u, %s: %s", row->row, row->code ? row->code : "nothing", json.out);
    const gint wanted = row->fails || (row->code && *row->code == 'E') ? 2 : 0;
    if (json.code != wanted || (again && text.code != wanted) || (errors > 0) != (wanted == 2))
        g_error("row %u, %s ends with %d and %d, want %d: %s", row->row,
                row->code ? row->code : "nothing", json.code, text.code, wanted, json.out);
    if (row->code && again)
        typed_assert_in(text.out, row->code);
    loom_test_folder_remove(folder);
    g_clear_pointer(&folder, g_free);
}

static void test_rows(gconstpointer data)
{
    const guint from = GPOINTER_TO_UINT(data);
    guint n = 0;

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++)
        if (rows[i].row >= from && rows[i].row < from + 10) {
            row_check(&rows[i], i == 0 || rows[i - 1].row != rows[i].row);
            n++;
        }
    g_assert_cmpuint(n, >, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (guint from = 0; from < 90; from += 10) {
        g_autofree char *path = g_strdup_printf("/catalogue/rows-%02u", from);

        g_test_add_data_func(path, GUINT_TO_POINTER(from), test_rows);
    }
    return loom_test_run();
}
