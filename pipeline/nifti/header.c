/* header - NIfTI-1 and -2 headers, every field checked before it is believed.
 *
 * A NIfTI-1 header is widened to NIfTI-2 first (exact: its numbers are shorter), so that each
 * check is written once.  niftilib swaps bytes and does the geometry (place.c); its conversion
 * to nifti_image is not used, since that repairs bad sizes and spacings without a word.
 * Source: nifti1.h and nifti2.h, nifti.nimh.nih.gov. */
#define G_LOG_DOMAIN "loom-nifti"
#include "header.h"

#include "core/findings.h"
#include "core/intern.h"

#include <math.h>
#include <string.h>

#include <nifti2_io.h> /* after GLib: it redefines names that <dirent.h> declares */

#define HEADER_MOST_SIZE ((gint64)1 << 31)
#define HEADER_MOST_SCALE 1e30 /* no scanner scales like that; a damaged header does */
#define HEADER_TYPES "an integer type up to 64 bits, float32 or float64"
#define HEADER_CIFTI_FIRST 3000 /* NIFTI_INTENT_CONNECTIVITY_*: matrices, not images */
#define HEADER_CIFTI_LAST 3099

/* A NIfTI-1 header in NIfTI-2's clothes.  @offset: vox_offset, a float there: any number. */
static void header_widen(const nifti_1_header *from, nifti_2_header *to, double *offset)
{
    *to = (nifti_2_header){.sizeof_hdr = from->sizeof_hdr,
                           .datatype = from->datatype,
                           .bitpix = from->bitpix,
                           .scl_slope = from->scl_slope,
                           .scl_inter = from->scl_inter,
                           .qform_code = from->qform_code,
                           .sform_code = from->sform_code,
                           .quatern_b = from->quatern_b,
                           .quatern_c = from->quatern_c,
                           .quatern_d = from->quatern_d,
                           .qoffset_x = from->qoffset_x,
                           .qoffset_y = from->qoffset_y,
                           .qoffset_z = from->qoffset_z,
                           .xyzt_units = from->xyzt_units,
                           .intent_code = from->intent_code};
    memcpy(to->magic, from->magic, sizeof from->magic);
    for (guint i = 0; i < 8; i++) {
        to->dim[i] = from->dim[i];
        to->pixdim[i] = (double)from->pixdim[i];
    }
    for (guint i = 0; i < 4; i++) {
        to->srow_x[i] = (double)from->srow_x[i];
        to->srow_y[i] = (double)from->srow_y[i];
        to->srow_z[i] = (double)from->srow_z[i];
    }
    *offset = (double)from->vox_offset;
}

/* The header in this machine's byte order.  @version: 1 or 2. */
static gboolean header_bytes(LoomStream *stream, nifti_2_header *to, double *offset,
                             gint32 *version, gboolean *swapped, GError **error)
{
    nifti_1_header one;
    gint32 claimed;
    gsize got;

    if (!loom_stream_read(stream, &one, sizeof one, &got, error))
        return FALSE;
    if (got < sizeof one)
        return loom_fail_as(error, "E-NII-SHORT", LOOM_ERROR_FORMAT,
                            "%" G_GSIZE_FORMAT " of the %" G_GSIZE_FORMAT
                            " bytes of a NIfTI header",
                            got, sizeof one);
    memcpy(&claimed, &one, sizeof claimed);
    *swapped = claimed != 348 && claimed != 540;
    if (*swapped)
        claimed = (gint32)GUINT32_SWAP_LE_BE((guint32)claimed);
    if (claimed != 348 && claimed != 540)
        return loom_fail_as(error, "E-NII-MAGIC", LOOM_ERROR_FORMAT,
                            "not NIfTI: the first four bytes are %02x %02x %02x %02x, want the "
                            "header's size, 348 or 540",
                            ((guint8 *)&one)[0], ((guint8 *)&one)[1], ((guint8 *)&one)[2],
                            ((guint8 *)&one)[3]);
    *version = claimed == 348 ? 1 : 2;
    if (*version == 1) {
        if (*swapped)
            nifti_swap_as_nifti1(&one);
        header_widen(&one, to, offset);
        return TRUE;
    }
    memcpy(to, &one, sizeof one);
    if (!loom_stream_read(stream, (guint8 *)to + sizeof one, sizeof *to - sizeof one, &got,
                          error))
        return FALSE;
    if (got < sizeof *to - sizeof one)
        return loom_fail_as(error, "E-NII-SHORT", LOOM_ERROR_FORMAT,
                            "%" G_GSIZE_FORMAT " of the %" G_GSIZE_FORMAT
                            " bytes of a NIfTI-2 header",
                            got + sizeof one, sizeof *to);
    if (*swapped)
        nifti_swap_as_nifti2(to);
    *offset = (double)to->vox_offset; /* beyond 2^53 the offset check refuses it */
    return TRUE;
}

/* Analyze 7.5 has other fields where NIfTI says how the voxels lie and how they are scaled. */
static void header_from_analyze(nifti_2_header *raw)
{
    raw->qform_code = raw->sform_code = raw->intent_code = 0;
    raw->scl_slope = 1;
    raw->scl_inter = 0;
    raw->xyzt_units = NIFTI_UNITS_MM;
    raw->pixdim[0] = 1;
}

static gboolean header_magic(nifti_2_header *raw, gint32 version, const LoomNiftiLook *look,
                             LoomNiftiHeader *header, GError **error)
{
    gboolean *pair = &header->pair;
    static const char *const known[2][2] = {{"n+1\0", "ni1\0"},
                                            {"n+2\0\r\n\032\n", "ni2\0\r\n\032\n"}};
    const gsize length = version == 1 ? 4 : 8;
    g_autofree char *found = NULL;

    *pair = memcmp(raw->magic, known[version - 1][1], length) == 0;
    if (*pair || memcmp(raw->magic, known[version - 1][0], length) == 0)
        return TRUE;
    const gboolean none = version == 1 && memcmp(raw->magic, "\0\0\0\0", 4) == 0;
    if (none && look->policy->analyze) {
        header_from_analyze(raw);
        loom_finding_add(look->findings, "N-NII-ANALYZE", look->path, NULL,
                         "Analyze 7.5: its voxels are not scaled, and it does not say how they "
                         "lie");
        return header->analyze = *pair = TRUE;
    }
    if (none)
        return loom_fail_as(
            error, "E-NII-ANALYZE", LOOM_ERROR_FORMAT,
            "no magic: Analyze 7.5, which does not say left from right; convert it (or set "
            "allow_analyze)");
    for (gsize i = 0; i < length; i++) {
        g_autofree char *so_far = g_steal_pointer(&found);

        found = g_strdup_printf("%s%s%02x", so_far ? so_far : "", i ? " " : "",
                                (guint8)raw->magic[i]);
    }
    return loom_fail_as(error, "E-NII-MAGIC", LOOM_ERROR_FORMAT,
                        "magic is %s, want n+%d or ni%d", found, version, version);
}

/* Sizes of all axes, and what becomes of them: three of space, one of channels. */
static gboolean header_sizes(const nifti_2_header *raw, LoomNiftiHeader *header, GError **error)
{
    LoomVolumeHeader *stored = &header->stored;
    guint64 bytes = header->type->bytes;

    if (raw->dim[0] < 1 || raw->dim[0] > 7)
        return loom_fail_as(error, "E-NII-DIM", LOOM_ERROR_FORMAT,
                            "dim[0] is %" G_GINT64_FORMAT ", want 1 to 7 axes", raw->dim[0]);
    stored->n_dims = (guint)raw->dim[0];
    for (guint i = 0; i < 7; i++) {
        const gint64 size = i < stored->n_dims ? raw->dim[i + 1] : 1;

        if (size < 1 || size > HEADER_MOST_SIZE)
            return loom_fail_as(
                error, "E-NII-DIM", LOOM_ERROR_FORMAT,
                "dim[%u] is %" G_GINT64_FORMAT ", want 1 to %" G_GINT64_FORMAT "%s", i + 1,
                size, stored->geometry.version == 1 ? 32767 : HEADER_MOST_SIZE,
                size < 0 && stored->geometry.version == 1 ? " (larger ones need NIfTI-2)" : "");
        if (!g_uint64_checked_mul(&bytes, bytes, (guint64)size) || bytes > G_MAXINT64 / 8)
            return loom_fail_as(error, "E-NII-DIM", LOOM_ERROR_FORMAT,
                                "the product of dim[1] to dim[%u] overflows", i + 1);
        stored->shape[i] = size;
        if (i < 3)
            stored->geometry.size[i] = size;
    }
    header->voxels = (gint64)(bytes / header->type->bytes);
    header->channels = stored->shape[3] * stored->shape[4];
    if (stored->shape[5] > 1 || stored->shape[6] > 1
        || (stored->shape[3] > 1 && stored->shape[4] > 1))
        return loom_fail_as(
            error, "E-NII-DIM", LOOM_ERROR_SHAPE,
            "sizes %" G_GINT64_FORMAT ", %" G_GINT64_FORMAT ", %" G_GINT64_FORMAT
            ", %" G_GINT64_FORMAT " along the axes 4 to 7, want at most one above 1",
            stored->shape[3], stored->shape[4], stored->shape[5], stored->shape[6]);
    return TRUE;
}

static gboolean header_type(const nifti_2_header *raw, LoomNiftiHeader *header, GError **error)
{
    const char *name = nifti_datatype_string(raw->datatype);

    if (raw->intent_code >= HEADER_CIFTI_FIRST && raw->intent_code <= HEADER_CIFTI_LAST)
        return loom_fail_as(error, "E-NII-TYPE", LOOM_ERROR_FORMAT,
                            "intent %d: a CIFTI matrix, not an image", raw->intent_code);
    header->type = loom_voxel_type(raw->datatype);
    if (!header->type && nifti_is_valid_datatype(raw->datatype) && raw->datatype != 0)
        return loom_fail_as(
            error, "E-NII-TYPE", LOOM_ERROR_FORMAT,
            "datatype %s has no single intensity that f32 can hold, want " HEADER_TYPES, name);
    if (!header->type)
        return loom_fail_as(error, "E-NII-TYPE", LOOM_ERROR_FORMAT,
                            "datatype %d is none of NIfTI's numbers, want " HEADER_TYPES,
                            raw->datatype);
    if (raw->bitpix != (gint)header->type->bytes * 8)
        return loom_fail_as(error, "E-NII-BITPIX", LOOM_ERROR_FORMAT,
                            "bitpix is %d, want %u for datatype %s", raw->bitpix,
                            header->type->bytes * 8, header->type->name);
    header->stored.dtype = header->swapped == (G_BYTE_ORDER == G_LITTLE_ENDIAN)
                               ? header->type->big_endian
                               : header->type->name;
    return TRUE;
}

static gboolean header_offset(const LoomNiftiLook *look, double offset, LoomNiftiHeader *header,
                              GError **error)
{
    const double least = header->pair ? 0 : header->stored.geometry.version == 1 ? 352 : 544;

    if (offset == 0 && !header->pair) { /* some writers; the header cannot be voxels */
        loom_finding_add(look->findings, "N-NII-OFFSET", look->path, NULL,
                         "vox_offset is 0 in a single file: read at %g", least);
        offset = least;
    }
    if (!(offset >= least) || offset != floor(offset) || offset > 0x1p53)
        return loom_fail_as(error, "E-NII-OFFSET", LOOM_ERROR_FORMAT,
                            "vox_offset is %g, want a whole number from %g", offset, least);
    header->offset = (guint64)offset;
    if (header->offset % 16)
        loom_finding_add(look->findings, "N-NII-OFFSET", look->path, NULL,
                         "vox_offset is %g, no multiple of 16", offset);
    return TRUE;
}

static gboolean header_scale(const nifti_2_header *raw, const LoomNiftiLook *look,
                             LoomNiftiHeader *header, GError **error)
{
    const double slope = raw->scl_slope, intercept = raw->scl_inter;

    header->stored.slope = slope;
    header->stored.intercept = intercept;
    header->slope = 1;
    header->intercept = 0;
    if (isnan(slope) || slope == 0) { /* the standard's "not scaled"; NaN: habit of others */
        loom_finding_add(look->findings, "N-NII-SLOPE", look->path, NULL,
                         "scl_slope is %g: the voxels are taken unscaled", slope);
        return TRUE;
    }
    if (!(fabs(slope) < HEADER_MOST_SCALE) || !(fabs(intercept) < HEADER_MOST_SCALE))
        return loom_fail_as(error, "E-NII-SLOPE", LOOM_ERROR_FORMAT,
                            "scl_slope is %g and scl_inter %g, want finite numbers below %g",
                            slope, intercept, HEADER_MOST_SCALE);
    header->slope = slope;
    header->intercept = intercept;
    return TRUE;
}

/* The fields that are written back bit for bit. */
static void header_geometry(const nifti_2_header *raw, LoomGeometry *geometry)
{
    geometry->qform_code = raw->qform_code;
    geometry->sform_code = raw->sform_code;
    geometry->xyzt_units = raw->xyzt_units;
    memcpy(geometry->pixdim, raw->pixdim, sizeof geometry->pixdim);
    memcpy(geometry->quatern, &raw->quatern_b, sizeof geometry->quatern);
    memcpy(geometry->qoffset, &raw->qoffset_x, sizeof geometry->qoffset);
    memcpy(geometry->srow[0], raw->srow_x, sizeof raw->srow_x);
    memcpy(geometry->srow[1], raw->srow_y, sizeof raw->srow_y);
    memcpy(geometry->srow[2], raw->srow_z, sizeof raw->srow_z);
}

/* Axes that the rest of the engine does not have: refused, or worth a note. */
static gboolean header_axes(const LoomNiftiLook *look, const LoomNiftiHeader *header,
                            GError **error)
{
    const guint n = header->stored.n_dims;

    if (n < 3 && !look->policy->flat)
        return loom_fail_as(error, "E-NII-2D", LOOM_ERROR_SHAPE,
                            "%u-D, want 3 axes (allow_2d takes it as one slice)", n);
    if (n > 3 && header->channels == 1)
        loom_finding_add(look->findings, "N-NII-4D", look->path, NULL,
                         "%u-D with one volume: taken as 3-D", n);
    return TRUE;
}

gboolean loom_nifti_warn(const LoomNiftiLook *look, const char *code, GError **error,
                         const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    if (look->policy->strict) {
        g_autofree char *refused = g_strconcat("E", code + 1, NULL);

        return loom_fail_as(error, loom_intern(refused), LOOM_ERROR_FORMAT, "%s (strict)",
                            text);
    }
    loom_finding_add(look->findings, code, look->path, NULL, "%s", text);
    return TRUE;
}

gboolean loom_nifti_header_read(LoomStream *stream, const LoomNiftiLook *look,
                                LoomNiftiHeader *header, GError **error)
{
    nifti_2_header raw;
    double offset = NAN;

    *header = (LoomNiftiHeader){0};
    if (!header_bytes(stream, &raw, &offset, &header->stored.geometry.version, &header->swapped,
                      error))
        return FALSE;
    if (!header_magic(&raw, header->stored.geometry.version, look, header, error)
        || !header_type(&raw, header, error) || !header_sizes(&raw, header, error)
        || !header_axes(look, header, error) || !header_offset(look, offset, header, error)
        || !header_scale(&raw, look, header, error))
        return FALSE;
    header_geometry(&raw, &header->stored.geometry);
    return loom_nifti_place(&header->stored.geometry, look, header->stored.n_dims, error);
}

/* ---- extensions --------------------------------------------------------------------- */

#define EXTENSION_LEAST 8 /* its size and its code */

gboolean loom_nifti_extensions_skip(LoomStream *stream, const LoomNiftiLook *look,
                                    const LoomNiftiHeader *header, GError **error)
{
    guint64 at = header->stored.geometry.version == 1 ? 348 : 540;
    guint8 flag[4] = {0};
    gint32 fields[2]; /* size, code */
    guint64 bytes = 0;
    gsize got;

    if (!loom_stream_read(stream, flag, sizeof flag, &got, error))
        return FALSE;
    for (at += sizeof flag; flag[0] && at + EXTENSION_LEAST <= header->offset;) {
        if (!loom_stream_read(stream, fields, sizeof fields, &got, error))
            return FALSE;
        if (got < sizeof fields)
            return TRUE; /* the file ends here: said when the voxels are looked for */
        const gint64 size =
            header->swapped ? (gint32)GUINT32_SWAP_LE_BE((guint32)fields[0]) : fields[0];
        if (size < EXTENSION_LEAST || (guint64)size > header->offset - at) {
            loom_finding_add(look->findings, "N-NII-EXTENSION", look->path, NULL,
                             "a header extension of %" G_GINT64_FORMAT
                             " bytes where there is room for %" G_GUINT64_FORMAT ": skipped",
                             size, header->offset - at);
            return TRUE;
        }
        at += (guint64)size;
        bytes += (guint64)size;
        if (!loom_stream_skip_to(stream, at, error))
            return FALSE;
    }
    if (flag[0])
        loom_finding_add(look->findings, "N-NII-EXTENSION", look->path, NULL,
                         "%" G_GUINT64_FORMAT
                         " bytes of header extensions: skipped, and in no output",
                         bytes);
    return TRUE;
}
