/* volume_file - one NIfTI file from its header to its end, in chunks.
 *
 * Nothing is allocated before the header's claims were held against the size of the file: a
 * plain file must have all its bytes, a gzip file can hold 1032 times its own at most. */
#include "volume_file.h"

#include "core/findings.h"

#include <math.h>
#include <string.h>

#define VOLUME_CHUNK 32768 /* voxels: 256 KiB of the widest type, inside the L2 cache */
#define LABEL_TOLERANCE 1e-3f

/* ---- which files -------------------------------------------------------------------- */

/* If @path ends with @old: the same with @new_end instead; else NULL. */
static char *path_with(const char *path, const char *old, const char *new_end)
{
    const gsize length = strlen(path), tail = strlen(old);

    if (length <= tail || g_ascii_strcasecmp(path + length - tail, old) != 0)
        return NULL;
    return g_strdup_printf("%.*s%s", (int)(length - tail), path, new_end);
}

static char *path_swap(const char *path, const char *from, const char *to)
{
    g_autofree char *from_gz = g_strconcat(from, ".gz", NULL);
    g_autofree char *to_gz = g_strconcat(to, ".gz", NULL);
    char *found = path_with(path, from, to);

    return found ? found : path_with(path, from_gz, to_gz);
}

/* The .img of a .hdr, or the .img.gz; both are looked for, the content decides. */
static LoomStream *image_open(const char *path, char **image, GError **error)
{
    g_autofree char *same = path_swap(path, ".hdr", ".img");
    g_autofree char *other = NULL;

    if (!same)
        return loom_fail_as_null(
            error, "E-NII-PAIR", LOOM_ERROR_FORMAT,
            "magic says that the voxels are in a second file, but the name does "
            "not end with .hdr or .hdr.gz");
    other = path_with(same, ".img.gz", ".img");
    if (!other)
        other = g_strconcat(same, ".gz", NULL);
    if (!g_file_test(same, G_FILE_TEST_EXISTS) && !g_file_test(other, G_FILE_TEST_EXISTS))
        return loom_fail_as_null(
            error, "E-NII-PAIR", LOOM_ERROR_IO,
            "the file with the voxels is missing, neither '%s' nor '%s' exists", same, other);
    *image = g_strdup(g_file_test(same, G_FILE_TEST_EXISTS) ? same : other);
    LoomStream *stream = loom_stream_open(*image, error);
    if (!stream)
        g_prefix_error(error, "'%s': ", *image);
    return stream;
}

/* ---- opening ------------------------------------------------------------------------ */

/* Can the file hold what the header promises, and may we? */
static gboolean claims_check(const LoomStream *stream, const LoomNiftiHeader *header,
                             guint64 limit, GError **error)
{
    const guint64 bytes = (guint64)header->voxels * header->type->bytes;
    const guint64 most = loom_stream_most(stream), there = most - MIN(most, header->offset);
    const gint64 *size = header->stored.geometry.size;
    const guint64 slice_bytes = (guint64)(size[0] * size[1]) * header->type->bytes;

    if (header->offset > most || bytes > most - header->offset)
        return loom_fail_as(
            error, "E-NII-CUT", LOOM_ERROR_FORMAT,
            "%" G_GUINT64_FORMAT " bytes of voxels from byte %" G_GUINT64_FORMAT
            " on are promised, but a %sfile of %" G_GUINT64_FORMAT
            " bytes holds %s%" G_GUINT64_FORMAT " there, no whole slice %" G_GUINT64_FORMAT,
            bytes, header->offset, loom_stream_gzip(stream) ? "gzip " : "",
            loom_stream_file_bytes(stream), loom_stream_gzip(stream) ? "at most " : "", there,
            there / slice_bytes);
    if (limit
        && (bytes > limit || header->offset > limit
            || (guint64)header->voxels > limit / sizeof(float)))
        return loom_fail_as(error, "E-NII-LIMIT", LOOM_ERROR_LIMIT,
                            "%" G_GINT64_FORMAT " voxels of %s need %" G_GUINT64_FORMAT
                            " MiB, the limit is %" G_GUINT64_FORMAT " MiB",
                            header->voxels, header->stored.dtype,
                            (MAX(bytes, (guint64)header->voxels * sizeof(float)) >> 20) + 1,
                            limit >> 20);
    return TRUE;
}

void loom_volume_file_clear(LoomVolumeFile *file)
{
    loom_stream_free(file->stream);
    g_free(file->image);
    *file = (LoomVolumeFile){0};
}

static gboolean pair_open(LoomVolumeFile *file, const char *path, GError **error)
{
    guint64 rest, after;

    if (!loom_stream_finish(file->stream, &rest, &after, error)) /* the CRC of a .hdr.gz */
        return FALSE;
    g_clear_pointer(&file->stream, loom_stream_free);
    file->stream = image_open(path, &file->image, error);
    return file->stream != NULL;
}

gboolean loom_volume_file_open(LoomVolumeFile *file, const char *path,
                               const LoomVolumePolicy *policy, LoomFindings *findings,
                               guint64 limit, GError **error)
{
    g_autofree char *header_path =
        path_swap(path, ".img", ".hdr"); /* half of a pair: its other */

    if (!header_path)
        header_path = g_strdup(path);
    file->look = (LoomNiftiLook){path, policy, findings};
    file->stream = loom_stream_open(header_path, error);
    if (!file->stream
        || !loom_nifti_header_read(file->stream, &file->look, &file->header, error))
        return FALSE;
    if (file->header.pair
            ? !pair_open(file, header_path, error)
            : !loom_nifti_extensions_skip(file->stream, &file->look, &file->header, error))
        return FALSE;
    return claims_check(file->stream, &file->header, limit, error);
}

void loom_volume_file_blame(const LoomVolumeFile *file, GError **error)
{
    if (file->image)
        g_prefix_error(error, "'%s': ", file->image);
    g_prefix_error(error, "'%s': ", file->look.path);
}

/* ---- voxels ------------------------------------------------------------------------- */

char *loom_voxel_place(const LoomNiftiHeader *header, gint64 v)
{
    const gint64 *size = header->stored.geometry.size;
    const gint64 i = v % size[0], j = v / size[0] % size[1],
                 k = v / size[0] / size[1] % size[2];
    g_autofree char *channel = NULL;

    if (header->channels > 1)
        channel =
            g_strdup_printf(", channel %" G_GINT64_FORMAT, v / size[0] / size[1] / size[2]);
    return g_strdup_printf("i,j,k = %" G_GINT64_FORMAT ",%" G_GINT64_FORMAT ",%" G_GINT64_FORMAT
                           "%s",
                           i, j, k, channel ? channel : "");
}

gboolean loom_voxel_label(float value, guint8 *label)
{
    const gboolean inside = value > -0.5f && value < 255.5f; /* false for NaN */

    *label = inside ? (guint8)MIN(value + 0.5f, 255.0f) : 0;
    return inside && fabsf(value - (float)*label) <= LABEL_TOLERANCE;
}

static gboolean chunk_convert(const LoomNiftiHeader *header, gint64 first, gpointer raw,
                              gint64 n, float *values, GError **error)
{
    const LoomVoxelType *type = header->type;

    if (header->swapped)
        loom_voxel_swap(type, raw, n);
    if (type->inexact && type->inexact(raw, n) < n) {
        g_autofree char *place = loom_voxel_place(header, first + type->inexact(raw, n));

        return loom_fail_as(error, "E-NII-INEXACT", LOOM_ERROR_NUMERIC,
                            "the %s at %s is beyond 2^53", type->name, place);
    }
    type->convert(raw, n, header->slope, header->intercept, values);
    return TRUE;
}

static gboolean voxels_each(LoomVolumeFile *file, LoomVoxelSink sink, gpointer to,
                            GError **error)
{
    const LoomNiftiHeader *header = &file->header;
    const gint64 slice = header->stored.geometry.size[0] * header->stored.geometry.size[1];
    g_autofree guint64 *raw = g_new(guint64, VOLUME_CHUNK); /* aligned for every type */
    g_autofree float *values = g_new(float, VOLUME_CHUNK);

    for (gint64 v = 0; v < header->voxels; v += VOLUME_CHUNK) {
        const gint64 n = MIN(VOLUME_CHUNK, header->voxels - v);
        const gsize bytes = (gsize)n * header->type->bytes;
        gsize got;

        if (!loom_stream_read(file->stream, raw, bytes, &got, error))
            return FALSE;
        if (got < bytes) {
            const gint64 whole = v + (gint64)(got / header->type->bytes);

            return loom_fail_as(error, "E-NII-CUT", LOOM_ERROR_FORMAT,
                                "the voxels end after %" G_GINT64_FORMAT " of %" G_GINT64_FORMAT
                                ", in slice %" G_GINT64_FORMAT,
                                whole, header->voxels, whole / slice);
        }
        if (!chunk_convert(header, v, raw, n, values, error)
            || !sink(header, v, values, n, to, error))
            return FALSE;
    }
    return TRUE;
}

/* To the end of the file: the last CRC, and what is there too much. */
static gboolean file_finish(LoomVolumeFile *file, GError **error)
{
    const char *path = file->look.path;
    const gboolean gzip = loom_stream_gzip(file->stream);
    guint64 rest, after;

    if (!loom_stream_finish(file->stream, &rest, &after, error)
        || (rest
            && !loom_nifti_warn(&file->look, "W-NII-LONG", error,
                                "%" G_GUINT64_FORMAT " bytes after the voxels", rest))
        || (after
            && !loom_nifti_warn(&file->look, "W-GZ-AFTER", error,
                                "%" G_GUINT64_FORMAT " bytes after the gzip data", after)))
        return FALSE;
    if (!gzip && g_str_has_suffix(path, ".gz"))
        loom_finding_add(file->look.findings, "N-GZ-NAME", path, NULL,
                         "not compressed, though named .gz: the content decides");
    return !gzip || !g_str_has_suffix(path, ".nii")
           || loom_nifti_warn(&file->look, "W-GZ-NAME", error,
                              "is gzip-compressed, though named .nii: other programs will not "
                              "read it, rename it to .nii.gz");
}

gboolean loom_volume_file_each(LoomVolumeFile *file, LoomVoxelSink sink, gpointer to,
                               GError **error)
{
    return loom_stream_skip_to(file->stream, file->header.offset, error)
           && voxels_each(file, sink, to, error) && file_finish(file, error);
}
