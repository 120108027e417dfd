/* terminal - stderr: one live line at the bottom of a terminal, messages above it.
 * Each redraw is one write, so that nothing flickers and no two threads mix their letters. */
#include "terminal.h"

#include "core/lock.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define CLEAR_TO_END "\x1b[K"

static LoomLock lock = PTHREAD_MUTEX_INITIALIZER; /* guards live and the order of writes */
static char *live;

gboolean terminal_is_live(void)
{
    const char *term = g_getenv("TERM");

    return isatty(STDERR_FILENO) && term && !g_str_equal(term, "dumb");
}

guint terminal_width(void)
{
    struct winsize size;

    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

static void write_all(const char *bytes, gsize length)
{
    while (length > 0) {
        const gssize n = write(STDERR_FILENO, bytes, length);

        if (n <= 0) /* nobody reads stderr any more: the run goes on */
            return;
        bytes += n;
        length -= (gsize)n;
    }
}

/* The live line, cut one column short of the width: a full line would wrap on some terminals.
 */
static void append_live(GString *out)
{
    const glong room = (glong)terminal_width() - 1;

    if (!live)
        return;
    if (g_utf8_strlen(live, -1) <= room)
        g_string_append(out, live);
    else
        g_string_append_len(out, live, g_utf8_offset_to_pointer(live, room) - live);
}

void terminal_live(const char *text)
{
    LOOM_LOCKED(&lock);
    g_autoptr(GString) out = g_string_new("\r");

    if (!terminal_is_live() || (!text && !live))
        return;
    g_free(live);
    live = text ? g_utf8_make_valid(text, -1) : NULL;
    append_live(out);
    g_string_append(out, CLEAR_TO_END);
    write_all(out->str, out->len);
}

void terminal_print(const char *format, ...)
{
    LOOM_LOCKED(&lock);
    g_autoptr(GString) out = g_string_new(live ? "\r" CLEAR_TO_END : NULL);
    va_list args;

    va_start(args, format);
    g_string_append_vprintf(out, format, args);
    va_end(args);
    g_string_append_c(out, '\n');
    append_live(out);
    write_all(out->str, out->len);
}
