/* nifti_bytes.h - NIfTI files written by hand, byte by byte: what the reader is held against.
 */
#pragma once

#include <glib.h>
#include <string.h>

typedef struct {
    gboolean big_endian;
    gint32 version; /* 0 is 1 */
    gboolean pair;  /* a .hdr: no voxels behind it */
    gint32 datatype, bitpix;
    gint64 dim[8];
    double pixdim[8];
    double vox_offset; /* 0: 352 or 544, or 0 of a pair */
    double slope, intercept;
    gint32 qform_code, sform_code, xyzt_units, intent_code;
    double quatern[3], qoffset[3], srow[3][4];
} NiftiFields;

/* A plain 3-D uint8 header of that size: sform RAS, 1 mm. */
NiftiFields nifti_fields(gint64 i, gint64 j, gint64 k);
/* Header and, unless it is a pair, zeros up to vox_offset; NIfTI-1 or -2. */
GByteArray *nifti_header(const NiftiFields *fields);
/* Appends one number of the header's type and byte order. */
void nifti_append(GByteArray *bytes, const NiftiFields *fields, double value);
/* The whole file: header, then value(v) of each of the product of dim voxels. */
GByteArray *nifti_file(const NiftiFields *fields, double (*value)(gint64 v));
/* One gzip member. */
GByteArray *nifti_gzip(gconstpointer bytes, gsize length);
/* Writes FOLDER/NAME; (transfer full): the path. */
char *nifti_write(const char *folder, const char *name, const GByteArray *bytes);
/* Removes a folder that g_dir_make_tmp made, and the files and folders in it. */
void nifti_remove(const char *folder);
/* The message begins with the path in quotes, and is one line. */
void nifti_assert_named(const GError *error, const char *path);
#define nifti_assert_same(a, b, bytes) g_assert_true(memcmp((a), (b), (bytes)) == 0)
