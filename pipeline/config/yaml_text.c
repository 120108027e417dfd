/* yaml_text - bytes, before any YAML is seen in them: how many, which encoding, which letters.
 *
 * libyaml refuses most of this as well, but without line and column; and it spends seconds on a
 * megabyte of %TAG directives, which it compares pair by pair. */
#include "config/yaml_text.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLANKS " \t\r\n"

gboolean loom_yaml_fail_at(const char *text, gsize offset, const char *file, const char *name,
                           GError **error, const char *format, ...)
{
    LoomNode place = {.file = file, .line = 1, .column = 1};
    g_autofree char *cause = NULL;
    va_list args;

    for (gsize i = 0; i < offset; i++) {
        if (text[i] == '\n' || (text[i] == '\r' && text[i + 1] != '\n')) {
            place.line++;
            place.column = 1;
        } else if (((guchar)text[i] & 0xc0) != 0x80) { /* not inside a letter */
            place.column++;
        }
    }
    va_start(args, format);
    cause = g_strdup_vprintf(format, args);
    va_end(args);
    return loom_node_fail_as(&place, name, error, "%s", cause);
}

gboolean loom_yaml_printable(gunichar letter)
{
    if (letter < 0x20)
        return letter == '\t' || letter == '\n' || letter == '\r';
    return (letter < 0x7f || letter > 0x9f) && letter != 0x2028 && letter != 0x2029
           && letter != 0xfeff && letter != 0xfffe && letter != 0xffff;
}

/* UTF-16 and UTF-32 betray themselves by their mark or by the zero bytes of the first letters.
 */
static gboolean text_wide(const char *text, gsize length)
{
    return length >= 2
           && (memcmp(text, "\xff\xfe", 2) == 0 || memcmp(text, "\xfe\xff", 2) == 0
               || !text[0] != !text[1]);
}

static gboolean text_check_letters(const char *text, gsize length, const char *file,
                                   GError **error)
{
    if (text_wide(text, length))
        return loom_yaml_fail_at(text, 0, file, "E-YAML-TEXT", error,
                                 "looks like UTF-16, want UTF-8");
    for (gsize i = 0; i < length;) {
        gunichar letter = g_utf8_get_char_validated(text + i, (gssize)(length - i));

        if (text[i] == '\0')
            return loom_yaml_fail_at(
                text, i, file, "E-YAML-TEXT", error,
                "zero byte at offset %" G_GSIZE_FORMAT ", want text in UTF-8", i);
        if (letter == (gunichar)-1 || letter == (gunichar)-2)
            return loom_yaml_fail_at(text, i, file, "E-YAML-TEXT", error,
                                     "byte 0x%02x at offset %" G_GSIZE_FORMAT " is not UTF-8",
                                     (guchar)text[i], i);
        if (!loom_yaml_printable(letter))
            return loom_yaml_fail_at(text, i, file, "E-YAML-TEXT", error,
                                     "letter U+%04X at offset %" G_GSIZE_FORMAT
                                     " is not printable, want it escaped in double quotes",
                                     letter, i);
        i += (gsize)g_utf8_skip[(guchar)text[i]];
    }
    return TRUE;
}

gboolean loom_yaml_check_text(const char *text, gsize length, const char *file, GError **error)
{
    if (!text_check_letters(text, length, file, error))
        return FALSE;
    /* Directives stand in front of the document, among empty lines and comments. */
    for (gsize i = strspn(text, BLANKS); text[i] == '#' || text[i] == '%';) {
        if (g_str_has_prefix(text + i, "%TAG"))
            return loom_yaml_fail_at(text, i, file, "E-YAML-TAG", error,
                                     "%%TAG is refused, want YAML without tags");
        i += strcspn(text + i, "\r\n");
        i += strspn(text + i, BLANKS);
    }
    return TRUE;
}

/* Up to LOOM_YAML_MAX_BYTES + 1 bytes, and a zero; NULL with errno. */
static char *text_read(int fd, gsize *length)
{
    const gsize most = LOOM_YAML_MAX_BYTES + 1;
    g_autofree char *text = g_malloc(most + 1);
    gssize n = 1;

    for (*length = 0; n != 0 && *length < most; *length += (gsize)MAX(n, 0)) {
        n = read(fd, text + *length, most - *length);
        if (n < 0 && errno != EINTR)
            return NULL;
    }
    text[*length] = '\0';
    return g_steal_pointer(&text);
}

static char *text_load(int fd, const char *path, gsize *length, GError **error)
{
    LoomNode place = {.file = path, .line = 1, .column = 1};
    g_autofree char *text = NULL;
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return loom_fail_as_null(error, "E-YAML-FILE", LOOM_ERROR_IO, "'%s': %s", path,
                                 g_strerror(errno));
    if (!S_ISREG(st.st_mode))
        return loom_fail_as_null(error, "E-YAML-FILE", LOOM_ERROR_CONFIG,
                                 "'%s' is %s, want a YAML file", path,
                                 S_ISDIR(st.st_mode) ? "a folder" : "no regular file");
    *length = (gsize)st.st_size;
    if (st.st_size <= LOOM_YAML_MAX_BYTES && !(text = text_read(fd, length)))
        return loom_fail_as_null(error, "E-YAML-FILE", LOOM_ERROR_IO, "'%s': %s", path,
                                 g_strerror(errno));
    if (*length > LOOM_YAML_MAX_BYTES) { /* also where the file grew meanwhile */
        loom_node_fail_as(&place, "E-YAML-SIZE", error,
                          "%" G_GSIZE_FORMAT " bytes, want at most %u", *length,
                          LOOM_YAML_MAX_BYTES);
        return NULL;
    }
    return g_steal_pointer(&text);
}

char *loom_yaml_load(const char *path, gsize *length, GError **error)
{
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC); /* a FIFO would block for ever */
    char *text = text_load(fd, path, length, error);

    if (fd >= 0)
        close(fd);
    return text;
}
