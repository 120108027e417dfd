/* launch_lines - the output of another process, line by line, each with its rank in front. */
#include "launch_lines.h"

#include "terminal.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define MAX_LINE 16384 /* longer ones are broken: nobody's memory grows with another's line */
#define CLEAR_LINE "\r\x1b[K"

void launch_lines_open(LaunchLines *lines, guint rank, int from, int to)
{
    *lines = (LaunchLines){
        .from = from,
        .to = to,
        .prefix = g_strdup_printf("[%u] ", rank),
        .rest = g_string_new(NULL),
    };
}

static void write_all(int to, const char *bytes, gsize length)
{
    while (length > 0) {
        const gssize n = write(to, bytes, length);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) /* nobody reads any more: the run goes on */
            return;
        bytes += n;
        length -= (gsize)n;
    }
}

/* Complete lines of the rest; @all: the last one without its end as well. */
static void lines_write(LaunchLines *lines, gboolean all)
{
    g_autoptr(GString) out = g_string_new(NULL);
    const char *at = lines->rest->str, *end = at + lines->rest->len;

    /* Rank 0 may have a live line there; it draws it again with its next step. */
    const char *clear = lines->to == STDERR_FILENO && terminal_is_live() ? CLEAR_LINE : "";

    while (at < end) {
        const char *newline = memchr(at, '\n', (gsize)(end - at));
        const gsize length = MIN((gsize)((newline ? newline : end) - at), MAX_LINE);

        if (!newline && !all && length < MAX_LINE)
            break;
        g_string_append_printf(out, "%s%s", clear, lines->prefix);
        g_string_append_len(out, at, (gssize)length);
        g_string_append_c(out, '\n');
        at += length + (newline == at + length);
    }
    g_string_erase(lines->rest, 0, at - lines->rest->str);
    write_all(lines->to, out->str, out->len); /* one write, so that lines stay whole */
}

gboolean launch_lines_pass(LaunchLines *lines)
{
    char bytes[MAX_LINE];
    const gssize n = read(lines->from, bytes, sizeof bytes);

    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return TRUE;
    if (n > 0)
        g_string_append_len(lines->rest, bytes, n);
    lines_write(lines, n <= 0);
    if (n > 0)
        return TRUE;
    close(lines->from);
    lines->from = -1;
    return FALSE;
}

void launch_lines_close(LaunchLines *lines)
{
    if (lines->prefix && lines->from >= 0)
        close(lines->from);
    lines->from = -1;
    g_clear_pointer(&lines->prefix, g_free);
    if (lines->rest)
        g_string_free(g_steal_pointer(&lines->rest), TRUE);
}
