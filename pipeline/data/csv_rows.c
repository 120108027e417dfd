/* csv_rows - a table in a text file, commas between cells. Source: RFC 4180. */
#include "csv_rows.h"

#include "text.h"

#include <string.h>

#define CSV_CELLS 1000 /* in one row: more is no table of cases */

typedef struct {
    const char *path, *at;
    guint line;
} Csv;

static void row_clear(gpointer data)
{
    g_strfreev(((LoomCsvRow *)data)->cells);
}

/* "text ""quoted"" text", from the first quote on; (transfer full). */
static char *quoted_take(Csv *csv, GError **error)
{
    g_autoptr(GString) cell = g_string_new(NULL);
    const guint line = csv->line;

    for (csv->at++; *csv->at; csv->at++) {
        if (csv->at[0] == '"' && csv->at[1] == '"')
            csv->at++;
        else if (*csv->at == '"') {
            csv->at++;
            return g_strdup(cell->str);
        }
        csv->line += *csv->at == '\n';
        g_string_append_c(cell, *csv->at);
    }
    return loom_fail_null(error, LOOM_ERROR_FORMAT, "%s:%u: a quote is not closed", csv->path,
                          line);
}

/* One cell, up to the comma or the end of the line; (transfer full). */
static char *cell_take(Csv *csv, GError **error)
{
    g_autofree char *cell = NULL;

    csv->at += strspn(csv->at, " \t");
    if (*csv->at != '"') {
        const gsize length = strcspn(csv->at, ",\n");

        cell = g_strstrip(g_strndup(csv->at, length));
        csv->at += length;
        return g_steal_pointer(&cell);
    }
    if (!(cell = quoted_take(csv, error)))
        return NULL;
    csv->at += strspn(csv->at, " \t\r");
    if (*csv->at && !strchr(",\n", *csv->at))
        return loom_fail_null(error, LOOM_ERROR_FORMAT, "%s:%u: text after a closing quote",
                              csv->path, csv->line);
    return g_steal_pointer(&cell);
}

/* One row; the text stands behind its line's end then. */
static char **cells_take(Csv *csv, GError **error)
{
    g_autoptr(GPtrArray) cells = g_ptr_array_new_with_free_func(g_free);

    for (;;) {
        char *cell = cell_take(csv, error);

        if (!cell)
            return NULL;
        g_ptr_array_add(cells, cell);
        if (cells->len > CSV_CELLS)
            return loom_fail_null(error, LOOM_ERROR_LIMIT, "%s:%u: more than %d columns",
                                  csv->path, csv->line, CSV_CELLS);
        if (*csv->at != ',')
            break;
        csv->at++;
    }
    if (*csv->at == '\n') {
        csv->at++;
        csv->line++;
    }
    g_ptr_array_add(cells, NULL);
    g_ptr_array_set_free_func(cells, NULL);
    return (char **)g_ptr_array_free(g_steal_pointer(&cells), FALSE);
}

static gboolean rows_take(Csv *csv, GArray *rows, GError **error)
{
    while (*csv->at) {
        LoomCsvRow row = {.line = csv->line};
        guint n, wanted;

        if (!(row.cells = cells_take(csv, error)))
            return FALSE;
        n = g_strv_length(row.cells);
        wanted = rows->len ? g_strv_length(g_array_index(rows, LoomCsvRow, 0).cells) : n;
        if (n == 1 && !**row.cells) { /* a blank line */
            g_strfreev(row.cells);
            continue;
        }
        g_array_append_val(rows, row);
        if (n != wanted)
            return loom_fail(error, LOOM_ERROR_FORMAT,
                             "%s:%u: %u cells, the first line has %u columns", csv->path,
                             row.line, n, wanted);
    }
    return rows->len
           || loom_fail(error, LOOM_ERROR_FORMAT, "'%s': has no first line with the columns",
                        csv->path);
}

GArray *loom_csv_read(const char *path, GError **error)
{
    g_autofree char *text = loom_text_read(path, error);
    g_autoptr(GArray) rows = g_array_new(FALSE, FALSE, sizeof(LoomCsvRow));
    Csv csv = {path, text, 1};

    g_array_set_clear_func(rows, row_clear);
    if (!text || !rows_take(&csv, rows, error))
        return NULL;
    return g_steal_pointer(&rows);
}
