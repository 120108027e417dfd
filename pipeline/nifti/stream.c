/* stream - a plain or gzip file as bounded bytes.
 *
 * Gzip is inflated here and not by zlib's gzread: that takes a cut file for a whole one, checks
 * no CRC it does not reach, and hands out what is not gzip as it is.
 * Source: RFC 1952 (gzip: members one after the other, CRC-32 and size behind each). */
#include "stream.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define STREAM_BUFFER 65536
#define STREAM_REST (64u << 20) /* behind the voxels, inside gzip: nobody needs more */

struct _LoomStream {
    int fd;
    gboolean gzip, ready; /* ready: `z` was made */
    gboolean between;     /* gzip: no member begun, or the last one is complete */
    gboolean ended;       /* gzip: no further member */
    guint64 file_bytes;
    guint64 taken; /* bytes read from the file */
    guint64 given; /* bytes handed out */
    guint64 after; /* bytes behind the last member */
    z_stream z;
    guint8 buffer[STREAM_BUFFER]; /* gzip: compressed bytes; skipping: what is thrown away */
    guint8 thrown[STREAM_BUFFER];
};

static const char *kind_name(mode_t mode)
{
    return S_ISDIR(mode)                    ? "a folder"
           : S_ISFIFO(mode)                 ? "a FIFO"
           : S_ISSOCK(mode)                 ? "a socket"
           : S_ISCHR(mode) || S_ISBLK(mode) ? "a device"
                                            : "something else";
}

static gboolean stream_look(LoomStream *stream, GError **error)
{
    struct stat found;
    guint8 first[2] = {0};

    if (fstat(stream->fd, &found) != 0)
        return loom_fail(error, LOOM_ERROR_IO, "%s", g_strerror(errno));
    if (!S_ISREG(found.st_mode))
        return loom_fail_as(error, "E-FILE-KIND", LOOM_ERROR_IO, "is %s, want a regular file",
                            kind_name(found.st_mode));
    stream->file_bytes = (guint64)found.st_size;
    if (pread(stream->fd, first, 2, 0) < 0)
        return loom_fail(error, LOOM_ERROR_IO, "%s", g_strerror(errno));
    stream->gzip = stream->between = first[0] == 0x1f && first[1] == 0x8b;
    if (!stream->gzip)
        return TRUE;
    stream->ready = inflateInit2(&stream->z, 15 + 16) == Z_OK; /* largest window; gzip only */
    return stream->ready || loom_fail(error, LOOM_ERROR_LIMIT, "no memory to inflate");
}

LoomStream *loom_stream_open(const char *path, GError **error)
{
    g_autoptr(LoomStream) stream = g_new0(LoomStream, 1);

    /* O_NONBLOCK: opening a FIFO that nobody writes must not hang; regular files ignore it */
    stream->fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (stream->fd < 0)
        return loom_fail_as_null(error, "E-FILE", LOOM_ERROR_IO, "%s", g_strerror(errno));
    if (!stream_look(stream, error))
        return NULL;
    return g_steal_pointer(&stream);
}

void loom_stream_free(LoomStream *stream)
{
    if (!stream)
        return;
    if (stream->ready)
        inflateEnd(&stream->z);
    if (stream->fd >= 0)
        close(stream->fd);
    g_free(stream);
}

gboolean loom_stream_gzip(const LoomStream *stream)
{
    return stream->gzip;
}

guint64 loom_stream_file_bytes(const LoomStream *stream)
{
    return stream->file_bytes;
}

guint64 loom_stream_most(const LoomStream *stream)
{
    return stream->gzip ? stream->file_bytes * LOOM_GZIP_MOST : stream->file_bytes;
}

/* Up to @n bytes from the file itself; 0 at its end. */
static gboolean file_read(LoomStream *stream, gpointer to, gsize n, gsize *got, GError **error)
{
    gssize count;

    do
        count = read(stream->fd, to, n);
    while (count < 0 && errno == EINTR);
    if (count < 0)
        return loom_fail(error, LOOM_ERROR_IO, "%s", g_strerror(errno));
    *got = (gsize)count;
    stream->taken += *got;
    return TRUE;
}

/* Makes at least @n compressed bytes available, fewer only at the end of the file. */
static gboolean gzip_fill(LoomStream *stream, guint n, GError **error)
{
    z_stream *z = &stream->z;
    gsize got = 1;

    if (z->avail_in >= n)
        return TRUE;
    if (z->avail_in)
        memmove(stream->buffer, z->next_in, z->avail_in);
    z->next_in = stream->buffer;
    while (z->avail_in < n && got) {
        if (!file_read(stream, stream->buffer + z->avail_in, STREAM_BUFFER - z->avail_in, &got,
                       error))
            return FALSE;
        z->avail_in += (guint)got;
    }
    return TRUE;
}

/* Between members: begins the next one, or finds that there is none. */
static gboolean gzip_begin(LoomStream *stream, GError **error)
{
    z_stream *z = &stream->z;

    if (!gzip_fill(stream, 2, error))
        return FALSE;
    if (z->avail_in >= 2 && z->next_in[0] == 0x1f && z->next_in[1] == 0x8b) {
        stream->between = FALSE;
        return inflateReset(z) == Z_OK || loom_fail(error, LOOM_ERROR_FORMAT, "zlib refuses");
    }
    stream->ended = TRUE;
    stream->after = stream->file_bytes + z->avail_in - MIN(stream->taken, stream->file_bytes);
    return TRUE;
}

/* What follows a member, CRC and size, does not fit its data; or the data are none. */
static const char *gzip_name(const z_stream *z)
{
    return z->msg && g_str_has_prefix(z->msg, "incorrect data check") ? "E-GZ-CRC"
                                                                      : "E-GZ-DATA";
}

static gboolean gzip_read(LoomStream *stream, gpointer to, gsize n, gsize *got, GError **error)
{
    z_stream *z = &stream->z;
    const guint want = (guint)MIN(n, 1u << 30); /* zlib counts in 32 bits; callers loop */

    z->next_out = to;
    z->avail_out = want;
    while (z->avail_out && !stream->ended) {
        if (stream->between) {
            if (!gzip_begin(stream, error))
                return FALSE;
            continue;
        }
        if (!gzip_fill(stream, 1, error))
            return FALSE;
        if (!z->avail_in)
            return loom_fail_as(error, "E-GZ-CUT", LOOM_ERROR_FORMAT,
                                "the gzip data end at byte %" G_GUINT64_FORMAT
                                ", before they are complete",
                                stream->taken);
        const int result = inflate(z, Z_NO_FLUSH);
        if (result == Z_STREAM_END)
            stream->between = TRUE;
        else if (result != Z_OK)
            return loom_fail_as(error, gzip_name(z), LOOM_ERROR_FORMAT,
                                "the gzip data are damaged near byte %" G_GUINT64_FORMAT
                                " (%s)",
                                stream->taken - z->avail_in, z->msg ? z->msg : zError(result));
    }
    *got = want - z->avail_out;
    return TRUE;
}

gboolean loom_stream_read(LoomStream *stream, gpointer to, gsize n, gsize *got, GError **error)
{
    gsize count = 1;

    for (*got = 0; *got < n && count; *got += count) {
        guint8 *next = (guint8 *)to + *got;

        if (!(stream->gzip ? gzip_read : file_read)(stream, next, n - *got, &count, error))
            return FALSE;
        stream->given += count;
    }
    return TRUE;
}

gboolean loom_stream_skip_to(LoomStream *stream, guint64 offset, GError **error)
{
    gsize got = 1;

    g_assert(offset >= stream->given);
    if (!stream->gzip) {
        if (lseek(stream->fd, (off_t)offset, SEEK_SET) < 0)
            return loom_fail(error, LOOM_ERROR_IO, "%s", g_strerror(errno));
        stream->taken = stream->given = offset;
        return TRUE;
    }
    while (stream->given < offset && got)
        if (!loom_stream_read(stream, stream->thrown,
                              (gsize)MIN(offset - stream->given, STREAM_BUFFER), &got, error))
            return FALSE;
    return TRUE;
}

gboolean loom_stream_finish(LoomStream *stream, guint64 *rest, guint64 *after, GError **error)
{
    gsize got = 1;

    *rest = *after = 0;
    if (!stream->gzip) {
        *rest = stream->file_bytes - MIN(stream->taken, stream->file_bytes);
        return TRUE;
    }
    while (got) {
        if (!loom_stream_read(stream, stream->thrown, STREAM_BUFFER, &got, error))
            return FALSE;
        *rest += got;
        if (*rest > STREAM_REST)
            return loom_fail_as(error, "E-GZ-BOMB", LOOM_ERROR_LIMIT,
                                "more than %u MiB follow the voxels inside the gzip data",
                                STREAM_REST >> 20);
    }
    *after = stream->after;
    return TRUE;
}
