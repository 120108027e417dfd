/* stream.h - the bytes of a plain or gzip file, front to back, each checked and none invented.
 */
#pragma once

#include <loom/plugin.h>

/* A byte of deflate gives at most this many: 258 for two bits (RFC 1951, length code 285). */
#define LOOM_GZIP_MOST 1032

typedef struct _LoomStream LoomStream;

/* Opens a regular file; anything else (folder, FIFO, device) is refused at once.  The first two
 * bytes decide whether it is gzip, not the name.  Messages do not hold @path: the caller's do.
 */
LoomStream *loom_stream_open(const char *path, GError **error);
void loom_stream_free(LoomStream *stream);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LoomStream, loom_stream_free)

gboolean loom_stream_gzip(const LoomStream *stream);
guint64 loom_stream_file_bytes(const LoomStream *stream);
/* More than this it cannot hold: the size of the file, or LOOM_GZIP_MOST times as much. */
guint64 loom_stream_most(const LoomStream *stream);

/* The next @n bytes; @got is less than @n only at the end.  LOOM_ERROR_FORMAT where the gzip
 * data are damaged or cut, with the offset in the file. */
gboolean loom_stream_read(LoomStream *stream, gpointer to, gsize n, gsize *got, GError **error);
/* Goes forward to byte @offset; going beyond the end shows at the next read. */
gboolean loom_stream_skip_to(LoomStream *stream, guint64 offset, GError **error);
/* Reads on to the end, so that the last CRC is checked too.  @rest: bytes that were still to
 * come, @after: bytes of the file after the last gzip member.  Gzip that holds more than 64 MiB
 * more is LOOM_ERROR_LIMIT. */
gboolean loom_stream_finish(LoomStream *stream, guint64 *rest, guint64 *after, GError **error);
