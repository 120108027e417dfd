/* csv.h - a table that grows while a run goes on.  Its first column is the step; a resumed run
 * drops the rows that it will make again. */
#pragma once

#include <loom/loom.h>

typedef struct {
    char *path;   /* NULL: nowhere to write */
    char *header; /* with its line end */
    gboolean resuming, begun;
} Csv;

/* Makes the file with its header; with @resuming one that is there stays.
 * @folder NULL: everything below does nothing. */
gboolean csv_open(Csv *csv, const char *folder, const char *name, const char *header,
                  gboolean resuming, GError **error);
void csv_close(Csv *csv);
/* Appends whole lines of step @step.  The first time rows of this and later steps are dropped,
 * and a table with other columns is refused. */
gboolean csv_append(Csv *csv, gint64 step, const char *lines, GError **error);
/* A cell: text, in quotes where it needs them; a number of 9 digits, empty for NaN. */
void csv_text(GString *line, const char *text);
void csv_number(GString *line, double value);
