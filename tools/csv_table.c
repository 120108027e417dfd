/* csv_table - a table that a run wrote, read back: see csv_table.h. */
#include "csv_table.h"

#include <loom/plugin.h>

#include <math.h>
#include <string.h>

char **csv_line_split(const char *line, gsize length)
{
    g_autoptr(GStrvBuilder) cells = g_strv_builder_new();
    g_autoptr(GString) cell = g_string_new(NULL);
    gboolean quoted = FALSE;

    for (gsize i = 0; i < length; i++) {
        if (line[i] == '"' && quoted && i + 1 < length && line[i + 1] == '"')
            g_string_append_c(cell, line[i++]);
        else if (line[i] == '"')
            quoted = !quoted;
        else if (line[i] == ',' && !quoted) {
            g_strv_builder_add(cells, cell->str);
            g_string_truncate(cell, 0);
        } else
            g_string_append_c(cell, line[i]);
    }
    g_strv_builder_add(cells, cell->str);
    return g_strv_builder_end(cells);
}

void csv_text_append(GString *line, const char *text)
{
    if (!strpbrk(text, ",\"\r\n")) {
        g_string_append(line, text);
        return;
    }
    g_auto(GStrv) parts = g_strsplit(text, "\"", -1);
    g_autofree char *doubled = g_strjoinv("\"\"", parts);
    g_string_append_printf(line, "\"%s\"", doubled);
}

CsvTable *csv_table_read(const char *path, GError **error)
{
    g_autofree char *text = NULL;
    g_autoptr(GError) cause = NULL;
    CsvTable *table;

    if (!g_file_get_contents(path, &text, NULL, &cause))
        return loom_fail_null(error, LOOM_ERROR_IO, "%s", cause->message);
    const char *line = text, *end = strchr(line, '\n');
    if (!end)
        return loom_fail_null(error, LOOM_ERROR_FORMAT, "'%s' has no header", path);
    table = g_new0(CsvTable, 1);
    table->names = csv_line_split(line, (gsize)(end - line));
    table->rows = g_ptr_array_new_with_free_func((GDestroyNotify)g_strfreev);
    for (line = end + 1; (end = strchr(line, '\n')); line = end + 1) {
        char **cells = csv_line_split(line, (gsize)(end - line));

        if (g_strv_length(cells) == g_strv_length(table->names)) {
            g_ptr_array_add(table->rows, cells);
            continue;
        }
        g_strfreev(cells);
        table->cut++;
    }
    return table;
}

void csv_table_free(CsvTable *table)
{
    if (!table)
        return;
    g_strfreev(table->names);
    g_ptr_array_unref(table->rows);
    g_free(table);
}

gint csv_table_column(const CsvTable *table, const char *name)
{
    for (gint i = 0; table && table->names[i]; i++)
        if (g_str_equal(table->names[i], name))
            return i;
    return -1;
}

double csv_table_number(const CsvTable *table, guint row, gint column)
{
    const char *text = column < 0 ? "" : ((char **)table->rows->pdata[row])[column];
    char *end;
    const double value = g_ascii_strtod(text, &end);

    return *text && !*end ? value : NAN;
}
