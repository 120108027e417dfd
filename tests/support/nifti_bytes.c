/* nifti_bytes - NIfTI files byte by byte from the tables of nifti1.h and nifti2.h: offsets as
 * numbers, no struct and no library, so that it shares no mistake with the reader. */
#include "nifti_bytes.h"

#include <glib/gstdio.h>
#include <stdio.h>
#include <zlib.h>

NiftiFields nifti_fields(gint64 i, gint64 j, gint64 k)
{
    return (NiftiFields){.version = 1,
                         .datatype = 2,
                         .bitpix = 8,
                         .dim = {3, i, j, k, 1, 1, 1, 1},
                         .pixdim = {1, 1, 1, 1, 1, 1, 1, 1},
                         .slope = 1,
                         .sform_code = 1,
                         .xyzt_units = 2,
                         .srow = {{1, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 1, 0}}};
}

/* The low @n bytes of @bits at @at, or at the end (@at < 0). */
static void put(GByteArray *to, gint64 at, guint64 bits, guint n, gboolean big_endian)
{
    guint8 bytes[8];

    for (guint i = 0; i < n; i++)
        bytes[i] = (guint8)(bits >> 8 * (big_endian ? n - 1 - i : i));
    if (at < 0)
        g_byte_array_append(to, bytes, n);
    else
        memcpy(to->data + at, bytes, n);
}

static void put_f32(GByteArray *to, gint64 at, double value, gboolean big_endian)
{
    const float narrow = (float)value;
    guint32 bits;

    memcpy(&bits, &narrow, sizeof bits);
    put(to, at, bits, 4, big_endian);
}

static void put_f64(GByteArray *to, gint64 at, double value, gboolean big_endian)
{
    guint64 bits;

    memcpy(&bits, &value, sizeof bits);
    put(to, at, bits, 8, big_endian);
}

static void header_one(const NiftiFields *f, GByteArray *to)
{
    const gboolean big = f->big_endian;
    const double offset = f->vox_offset != 0 || f->pair ? f->vox_offset : 352;

    put(to, 0, 348, 4, big);
    for (gint64 i = 0; i < 8; i++) {
        put(to, 40 + 2 * i, (guint64)f->dim[i], 2, big);
        put_f32(to, 76 + 4 * i, f->pixdim[i], big);
    }
    put(to, 68, (guint64)f->intent_code, 2, big);
    put(to, 70, (guint64)f->datatype, 2, big);
    put(to, 72, (guint64)f->bitpix, 2, big);
    put_f32(to, 108, offset, big);
    put_f32(to, 112, f->slope, big);
    put_f32(to, 116, f->intercept, big);
    put(to, 123, (guint64)f->xyzt_units, 1, big);
    put(to, 252, (guint64)f->qform_code, 2, big);
    put(to, 254, (guint64)f->sform_code, 2, big);
    for (gint64 i = 0; i < 3; i++) {
        put_f32(to, 256 + 4 * i, f->quatern[i], big);
        put_f32(to, 268 + 4 * i, f->qoffset[i], big);
        for (gint64 j = 0; j < 4; j++)
            put_f32(to, 280 + 16 * i + 4 * j, f->srow[i][j], big);
    }
    memcpy(to->data + 344, f->pair ? "ni1" : "n+1", 4);
}

static void header_two(const NiftiFields *f, GByteArray *to)
{
    const gboolean big = f->big_endian;
    const double offset = f->vox_offset != 0 || f->pair ? f->vox_offset : 544;

    put(to, 0, 540, 4, big);
    memcpy(to->data + 4, f->pair ? "ni2\0\r\n\032\n" : "n+2\0\r\n\032\n", 8);
    put(to, 12, (guint64)f->datatype, 2, big);
    put(to, 14, (guint64)f->bitpix, 2, big);
    for (gint64 i = 0; i < 8; i++) {
        put(to, 16 + 8 * i, (guint64)f->dim[i], 8, big);
        put_f64(to, 104 + 8 * i, f->pixdim[i], big);
    }
    put(to, 168, (guint64)(gint64)offset, 8, big);
    put_f64(to, 176, f->slope, big);
    put_f64(to, 184, f->intercept, big);
    put(to, 344, (guint64)f->qform_code, 4, big);
    put(to, 348, (guint64)f->sform_code, 4, big);
    for (gint64 i = 0; i < 3; i++) {
        put_f64(to, 352 + 8 * i, f->quatern[i], big);
        put_f64(to, 376 + 8 * i, f->qoffset[i], big);
        for (gint64 j = 0; j < 4; j++)
            put_f64(to, 400 + 32 * i + 8 * j, f->srow[i][j], big);
    }
    put(to, 500, (guint64)f->xyzt_units, 4, big);
    put(to, 504, (guint64)f->intent_code, 4, big);
}

GByteArray *nifti_header(const NiftiFields *fields)
{
    const gboolean two = fields->version == 2;
    const gsize length = (two ? 540u : 348u) + (fields->pair ? 0 : 4);
    const gboolean further = fields->vox_offset > (double)length && fields->vox_offset < 1e5;
    GByteArray *to = g_byte_array_new();

    g_byte_array_set_size(
        to, (guint)(further && !fields->pair ? fields->vox_offset : (double)length));
    memset(to->data, 0, to->len);
    (two ? header_two : header_one)(fields, to);
    return to;
}

void nifti_append(GByteArray *bytes, const NiftiFields *fields, double value)
{
    const gboolean big = fields->big_endian;

    switch (fields->datatype) {
    case 16:
        put_f32(bytes, -1, value, big);
        break;
    case 64:
        put_f64(bytes, -1, value, big);
        break;
    case 1280: /* a double above 2^63 does not go through gint64 */
        put(bytes, -1, (guint64)value, 8, big);
        break;
    default:
        put(bytes, -1, (guint64)(gint64)value, (guint)fields->bitpix / 8, big);
    }
}

GByteArray *nifti_file(const NiftiFields *fields, double (*value)(gint64 v))
{
    GByteArray *bytes = nifti_header(fields);
    gint64 n = 1;

    for (gint64 i = 1; i <= fields->dim[0]; i++)
        n *= fields->dim[i];
    for (gint64 v = 0; v < n; v++)
        nifti_append(bytes, fields, value(v));
    return bytes;
}

GByteArray *nifti_gzip(gconstpointer bytes, gsize length)
{
    z_stream z = {0};
    g_autofree Bytef *from = g_memdup2(bytes, length);
    GByteArray *to = g_byte_array_new();

    g_assert_cmpint(deflateInit2(&z, 9, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), ==, Z_OK);
    g_byte_array_set_size(to, (guint)deflateBound(&z, length) + 64);
    z.next_in = from;
    z.avail_in = (uInt)length;
    z.next_out = to->data;
    z.avail_out = to->len;
    g_assert_cmpint(deflate(&z, Z_FINISH), ==, Z_STREAM_END);
    g_byte_array_set_size(to, (guint)z.total_out);
    deflateEnd(&z);
    return to;
}

char *nifti_write(const char *folder, const char *name, const GByteArray *bytes)
{
    char *path = g_build_filename(folder, name, NULL);
    FILE *file;

    g_unlink(path); /* writing over it would make ext4 sync; so would g_file_set_contents */
    file = g_fopen(path, "wb");
    g_assert_nonnull(file);
    g_assert_cmpuint(fwrite(bytes->data, 1, bytes->len, file), ==, bytes->len);
    g_assert_cmpint(fclose(file), ==, 0);
    return path;
}

void nifti_remove(const char *folder)
{
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(folder, name, NULL);

        if (g_file_test(path, G_FILE_TEST_IS_DIR) && !g_file_test(path, G_FILE_TEST_IS_SYMLINK))
            nifti_remove(path);
        else
            g_unlink(path);
    }
    g_rmdir(folder);
}

void nifti_assert_named(const GError *error, const char *path)
{
    g_autofree char *start = g_strdup_printf("'%s': ", path);

    g_assert_nonnull(error);
    if (!g_str_has_prefix(error->message, start) || strchr(error->message, '\n'))
        g_error("'%s' does not begin with %s", error->message, start);
}
