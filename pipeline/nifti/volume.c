/* volume - one NIfTI file as a tensor: header, then voxels chunk by chunk, then the end.
 *
 * Nothing is allocated before the header's claims were held against the size of the file: a
 * plain file must have all its bytes, a gzip file can hold 1032 times its own at most. */
#define G_LOG_DOMAIN "loom-nifti"
#include "header.h"

#include <loom/tensor.h>

#include <math.h>
#include <string.h>

#define VOLUME_CHUNK 32768 /* voxels: 256 KiB of the widest type, inside the L2 cache */
#define VOLUME_LIMIT ((guint64)8 << 30)
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
        return loom_fail_null(
            error, LOOM_ERROR_FORMAT,
            "magic says that the voxels are in a second file, but the name does "
            "not end with .hdr or .hdr.gz");
    other = path_with(same, ".img.gz", ".img");
    if (!other)
        other = g_strconcat(same, ".gz", NULL);
    if (!g_file_test(same, G_FILE_TEST_EXISTS) && !g_file_test(other, G_FILE_TEST_EXISTS))
        return loom_fail_null(
            error, LOOM_ERROR_IO,
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
    const guint64 most = loom_stream_most(stream);

    if (header->offset > most || bytes > most - header->offset)
        return loom_fail(error, LOOM_ERROR_FORMAT,
                         "%" G_GUINT64_FORMAT " bytes of voxels from byte %" G_GUINT64_FORMAT
                         " on are promised, but a %sfile of %" G_GUINT64_FORMAT
                         " bytes holds %s%" G_GUINT64_FORMAT " there",
                         bytes, header->offset, loom_stream_gzip(stream) ? "gzip " : "",
                         loom_stream_file_bytes(stream),
                         loom_stream_gzip(stream) ? "at most " : "",
                         most - MIN(most, header->offset));
    if (limit
        && (bytes > limit || header->offset > limit
            || (guint64)header->voxels > limit / sizeof(float)))
        return loom_fail(error, LOOM_ERROR_LIMIT,
                         "%" G_GINT64_FORMAT " voxels of %s need %" G_GUINT64_FORMAT
                         " MiB, the limit is %" G_GUINT64_FORMAT " MiB",
                         header->voxels, header->stored.dtype,
                         (MAX(bytes, (guint64)header->voxels * sizeof(float)) >> 20) + 1,
                         limit >> 20);
    return TRUE;
}

typedef struct {
    LoomNiftiHeader header;
    LoomStream *stream; /* behind the header; of a pair: the .img from its start */
    char *image;        /* name of the second file of a pair; NULL: a single file */
} Volume;

static void volume_clear(Volume *volume)
{
    loom_stream_free(volume->stream);
    g_free(volume->image);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Volume, volume_clear)

static gboolean pair_open(Volume *volume, const char *path, GError **error)
{
    guint64 rest, after;

    if (!loom_stream_finish(volume->stream, &rest, &after, error)) /* the CRC of a .hdr.gz */
        return FALSE;
    g_clear_pointer(&volume->stream, loom_stream_free);
    volume->stream = image_open(path, &volume->image, error);
    return volume->stream != NULL;
}

/* Opens and checks all but the voxels.  Messages do not name the path yet. */
static gboolean volume_open(Volume *volume, const char *path, guint64 limit, GError **error)
{
    g_autofree char *header_path =
        path_swap(path, ".img", ".hdr"); /* half of a pair: its other */

    if (!header_path)
        header_path = g_strdup(path);
    volume->stream = loom_stream_open(header_path, error);
    if (!volume->stream
        || !loom_nifti_header_read(volume->stream, header_path, &volume->header, error)
        || (volume->header.pair && !pair_open(volume, header_path, error)))
        return FALSE;
    return claims_check(volume->stream, &volume->header, limit, error);
}

/* ---- voxels ------------------------------------------------------------------------- */

/* Takes voxels @first to @first + @n - 1. */
typedef gboolean (*VoxelSink)(const LoomNiftiHeader *header, gint64 first, const float *values,
                              gint64 n, gpointer to, GError **error);

/* "i,j,k = 3,4,5", and the channel where there are several; (transfer full). */
static char *voxel_place(const LoomNiftiHeader *header, gint64 v)
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

static gboolean chunk_convert(const LoomNiftiHeader *header, gint64 first, gpointer raw,
                              gint64 n, float *values, GError **error)
{
    const LoomVoxelType *type = header->type;

    if (header->swapped)
        loom_voxel_swap(type, raw, n);
    if (type->inexact && type->inexact(raw, n) < n) {
        g_autofree char *place = voxel_place(header, first + type->inexact(raw, n));

        return loom_fail(error, LOOM_ERROR_NUMERIC, "the %s at %s is beyond 2^53", type->name,
                         place);
    }
    type->convert(raw, n, header->slope, header->intercept, values);
    return TRUE;
}

static gboolean voxels_each(Volume *volume, VoxelSink sink, gpointer to, GError **error)
{
    const LoomNiftiHeader *header = &volume->header;
    const gint64 slice = header->stored.geometry.size[0] * header->stored.geometry.size[1];
    g_autofree guint64 *raw = g_new(guint64, VOLUME_CHUNK); /* aligned for every type */
    g_autofree float *values = g_new(float, VOLUME_CHUNK);

    for (gint64 v = 0; v < header->voxels; v += VOLUME_CHUNK) {
        const gint64 n = MIN(VOLUME_CHUNK, header->voxels - v);
        const gsize bytes = (gsize)n * header->type->bytes;
        gsize got;

        if (!loom_stream_read(volume->stream, raw, bytes, &got, error))
            return FALSE;
        if (got < bytes) {
            const gint64 whole = v + (gint64)(got / header->type->bytes);

            return loom_fail(error, LOOM_ERROR_FORMAT,
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
static gboolean volume_finish(Volume *volume, const char *path, GError **error)
{
    guint64 rest, after;

    if (!loom_stream_finish(volume->stream, &rest, &after, error))
        return FALSE;
    if (rest)
        g_info("'%s': %" G_GUINT64_FORMAT " bytes after the voxels", path, rest);
    if (after)
        g_info("'%s': %" G_GUINT64_FORMAT " bytes after the gzip data", path, after);
    if (!loom_stream_gzip(volume->stream) && g_str_has_suffix(path, ".gz"))
        g_info("'%s': not compressed, though named .gz", path);
    return TRUE;
}

/* ---- images ------------------------------------------------------------------------- */

typedef struct {
    float *to;
    LoomNanPolicy nan;
    gint64 bad, first_bad; /* voxels that are NaN or infinite */
} ImageSink;

static gboolean image_take(G_GNUC_UNUSED const LoomNiftiHeader *header, gint64 first,
                           const float *values, gint64 n, gpointer to,
                           G_GNUC_UNUSED GError **error)
{
    ImageSink *sink = to;

    memcpy(sink->to + first, values, (gsize)n * sizeof *values);
    for (gint64 i = 0; sink->nan != LOOM_NAN_KEEP && i < n; i++) {
        if (isfinite(values[i]))
            continue;
        if (sink->bad++ == 0)
            sink->first_bad = first + i;
        sink->to[first + i] = 0; /* REFUSE: nobody will see it */
    }
    return TRUE;
}

static LoomTensor *image_read(Volume *volume, LoomNanPolicy nan, GError **error)
{
    const LoomNiftiHeader *header = &volume->header;
    const gint64 *size = header->stored.geometry.size;
    g_autoptr(LoomTensor) image = loom_tensor_new(
        LOOM_F32, "CDHW", (gint64[]){header->channels, size[2], size[1], size[0]}, error);
    ImageSink sink = {.nan = nan};

    if (!image)
        return NULL;
    sink.to = loom_tensor_f32_mut(image);
    if (!voxels_each(volume, image_take, &sink, error))
        return NULL;
    if (sink.bad && nan == LOOM_NAN_REFUSE) {
        g_autofree char *place = voxel_place(header, sink.first_bad);

        return loom_fail_null(error, LOOM_ERROR_NUMERIC,
                              "%" G_GINT64_FORMAT
                              " voxels are NaN or infinite, the first at %s",
                              sink.bad, place);
    }
    return g_steal_pointer(&image);
}

/* ---- labels ------------------------------------------------------------------------- */

static gboolean label_take(const LoomNiftiHeader *header, gint64 first, const float *values,
                           gint64 n, gpointer to, GError **error)
{
    guint8 *labels = to;

    for (gint64 i = 0; i < n; i++) {
        const gboolean inside = values[i] > -0.5f && values[i] < 255.5f; /* false for NaN */
        const guint nearest = inside ? (guint)(values[i] + 0.5f) : 0;

        if (!inside || fabsf(values[i] - (float)nearest) > LABEL_TOLERANCE) {
            g_autofree char *place = voxel_place(header, first + i);

            return loom_fail(error, LOOM_ERROR_FORMAT,
                             "the value %.9g at %s is no label, want whole numbers 0 to 255",
                             (double)values[i], place);
        }
        labels[first + i] = (guint8)nearest;
    }
    return TRUE;
}

static LoomTensor *labels_read(Volume *volume, GError **error)
{
    const gint64 *size = volume->header.stored.geometry.size;
    g_autoptr(LoomTensor) labels = NULL;

    if (volume->header.channels != 1)
        return loom_fail_null(error, LOOM_ERROR_SHAPE,
                              "%" G_GINT64_FORMAT " volumes, want one label map",
                              volume->header.channels);
    labels = loom_tensor_new(LOOM_U8, "DHW", (gint64[]){size[2], size[1], size[0]}, error);
    if (!labels || !voxels_each(volume, label_take, loom_tensor_u8_mut(labels), error))
        return NULL;
    return g_steal_pointer(&labels);
}

/* ---- the three ways in -------------------------------------------------------------- */

/* @what: which reader; adds the path to the message, of the .img too where that is at fault. */
static LoomTensor *volume_read(const char *path, gboolean labels, LoomNanPolicy nan,
                               guint64 limit, LoomGeometry *geometry, GError **error)
{
    g_auto(Volume) volume = {0};
    g_autoptr(LoomTensor) found = NULL;

    if (volume_open(&volume, path, limit ? limit : VOLUME_LIMIT, error)
        && loom_stream_skip_to(volume.stream, volume.header.offset, error)) {
        found = labels ? labels_read(&volume, error) : image_read(&volume, nan, error);
        if (found && !volume_finish(&volume, path, error))
            g_clear_pointer(&found, loom_tensor_unref);
        if (!found && volume.image)
            g_prefix_error(error, "'%s': ", volume.image);
    }
    if (!found) {
        g_prefix_error(error, "'%s': ", path);
        return NULL;
    }
    if (geometry)
        *geometry = volume.header.stored.geometry;
    return g_steal_pointer(&found);
}

LoomTensor *loom_volume_read(const char *path, LoomNanPolicy nan, guint64 limit,
                             LoomGeometry *geometry, GError **error)
{
    return volume_read(path, FALSE, nan, limit, geometry, error);
}

LoomTensor *loom_volume_read_labels(const char *path, guint64 limit, LoomGeometry *geometry,
                                    GError **error)
{
    return volume_read(path, TRUE, LOOM_NAN_REFUSE, limit, geometry, error);
}

gboolean loom_volume_read_header(const char *path, LoomVolumeHeader *header, GError **error)
{
    g_auto(Volume) volume = {0};

    if (!volume_open(&volume, path, 0, error)) {
        g_prefix_error(error, "'%s': ", path);
        return FALSE;
    }
    *header = volume.header.stored;
    return TRUE;
}
