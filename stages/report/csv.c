/* csv - a table that grows while a run goes on (RFC 4180, lines end in \n). */
#include "csv.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

void csv_open(Csv *csv, const char *folder, const char *name, const char *header,
              gboolean resuming)
{
    if (!folder)
        return;
    csv->path = g_build_filename(folder, name, NULL);
    csv->header = g_strdup(header);
    csv->resuming = resuming;
}

void csv_close(Csv *csv)
{
    g_clear_pointer(&csv->path, g_free);
    g_clear_pointer(&csv->header, g_free);
    g_clear_pointer(&csv->kept, g_free);
}

/* Keeps whole rows of steps before @step, and adds those that the rank before did not come to
 * write.  A row that was cut short is of a later one. */
static gboolean csv_trim(const Csv *csv, const char *text, gint64 step, GError **error)
{
    g_autoptr(GString) kept = g_string_new(csv->header);
    const char *line = text + strlen(csv->header), *end;
    gint64 last = -1;

    for (; (end = strchr(line, '\n')); line = end + 1)
        if (g_ascii_strtoll(line, NULL, 10) < step) {
            last = g_ascii_strtoll(line, NULL, 10);
            g_string_append_len(kept, line, end + 1 - line);
        }
    if (csv->kept && csv->kept_step > last && csv->kept_step < step)
        g_string_append(kept, csv->kept);
    return loom_file_replace(csv->path, kept->str, kept->len, error);
}

/* Once in each generation: another rank may have written in the one before. */
static gboolean csv_begin(Csv *csv, const LoomContext *ctx, gint64 step, GError **error)
{
    const guint64 generation = loom_context_generation(ctx);
    const gboolean goes_on = csv->resuming || generation > 1;
    g_autofree char *text = NULL;
    g_autoptr(GError) cause = NULL;

    if (csv->begun == generation)
        return TRUE;
    csv->begun = generation;
    if (!goes_on || !g_file_test(csv->path, G_FILE_TEST_EXISTS))
        return loom_file_replace(csv->path, csv->header, strlen(csv->header), error);
    if (!g_file_get_contents(csv->path, &text, NULL, &cause))
        return loom_fail(error, LOOM_ERROR_IO, "%s", cause->message);
    if (!g_str_has_prefix(text, csv->header))
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "'%s' has other columns: of an older config, or of another stage that "
                         "writes the same file; 'csv: false' keeps this one out of it",
                         csv->path);
    return csv_trim(csv, text, step, error);
}

gboolean csv_append(Csv *csv, const LoomContext *ctx, gint64 step, const char *lines,
                    GError **error)
{
    gsize left = strlen(lines);

    if (!csv->path || !left)
        return TRUE;
    if (!loom_context_writes(ctx)) {
        g_free(csv->kept);
        csv->kept = g_strdup(lines);
        csv->kept_step = step;
        return TRUE;
    }
    if (!csv_begin(csv, ctx, step, error))
        return FALSE;
    const int fd = open(csv->path, O_WRONLY | O_APPEND | O_CLOEXEC);
    gssize written = fd < 0 ? -1 : 0;

    while (written >= 0 && left > 0) {
        written = write(fd, lines, left);
        if (written < 0 && errno == EINTR)
            written = 0;
        lines += MAX(written, 0);
        left -= (gsize)MAX(written, 0);
    }
    const int cause = errno;
    const gboolean closed = fd < 0 || close(fd) == 0;
    if (left > 0 || !closed)
        return loom_fail(error, LOOM_ERROR_IO, "'%s': cannot write: %s", csv->path,
                         g_strerror(left > 0 ? cause : errno));
    return TRUE;
}

void csv_text(GString *line, const char *text)
{
    if (line->len && line->str[line->len - 1] != '\n')
        g_string_append_c(line, ',');
    if (!strpbrk(text, ",\"\r\n")) {
        g_string_append(line, text);
        return;
    }
    g_string_append_c(line, '"');
    for (; *text; text++)
        g_string_append_printf(line, *text == '"' ? "\"%c" : "%c", *text);
    g_string_append_c(line, '"');
}

void csv_number(GString *line, double value)
{
    char text[G_ASCII_DTOSTR_BUF_SIZE] = "";

    if (isfinite(value)) /* the decimal point of no locale */
        g_ascii_formatd(text, sizeof text, "%.9g", value);
    csv_text(line, text);
}
