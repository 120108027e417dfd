/* csv_table.h - a table that a run wrote (RFC 4180, a line a row), read back; and one cell of a
 * table to write. */
#pragma once

#include <glib.h>

typedef struct {
    char **names;    /* of the columns */
    GPtrArray *rows; /* char **, as many cells as there are columns */
    guint cut;       /* rows with another number of cells, which are left out */
} CsvTable;

/* Whole lines only: what a run is writing just now is not there yet.  NULL with
 * LOOM_ERROR_IO, or _FORMAT where there is no header. */
CsvTable *csv_table_read(const char *path, GError **error);
void csv_table_free(CsvTable *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CsvTable, csv_table_free)
/* -1: there is none. */
gint csv_table_column(const CsvTable *table, const char *name);
/* NaN: empty, or no such column. */
double csv_table_number(const CsvTable *table, guint row, gint column);
/* The cells of one line, without its end; (transfer full). */
char **csv_line_split(const char *line, gsize length);
/* Appends @text, in quotes where it needs them. */
void csv_text_append(GString *line, const char *text);
