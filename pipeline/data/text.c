/* text - a small text file, bounded and checked. */
#include "text.h"

#include "nifti/stream.h"

#include <string.h>

#define TEXT_MOST ((gsize)16 << 20)

static char *text_take(LoomStream *stream, GError **error)
{
    const gsize most = (gsize)MIN(loom_stream_most(stream), TEXT_MOST);
    g_autofree char *text = g_malloc(most + 1);
    gsize got;

    if (loom_stream_most(stream) > TEXT_MOST)
        return loom_fail_null(error, LOOM_ERROR_LIMIT, "more than %" G_GSIZE_FORMAT " MiB",
                              TEXT_MOST >> 20);
    if (!loom_stream_read(stream, text, most, &got, error))
        return NULL;
    text[got] = '\0';
    if (!g_utf8_validate_len(text, got, NULL))
        return loom_fail_null(error, LOOM_ERROR_FORMAT, "is not UTF-8 text");
    if (g_str_has_prefix(text, "\xef\xbb\xbf")) /* what editors of Windows put in front */
        memmove(text, text + 3, got - 2);
    return g_steal_pointer(&text);
}

char *loom_text_read(const char *path, GError **error)
{
    g_autoptr(LoomStream) stream = loom_stream_open(path, error);
    char *text = stream ? text_take(stream, error) : NULL;

    if (!text)
        g_prefix_error(error, "'%s': ", path);
    return text;
}
