/* csv.h - a table that grows while a run goes on.  Its first column is the step; a resumed run
 * drops the rows that it will make again.  Of several ranks one writes; the others keep the
 * rows of the last step, so that who takes over from a rank that died adds what that one could
 * not. */
#pragma once

#include <loom/loom.h>

typedef struct {
    char *path;   /* NULL: nowhere to write */
    char *header; /* with its line end */
    gboolean resuming;
    guint64 begun; /* generation in which rows to be made again were dropped; 0: none */
    char *kept;    /* on a rank that does not write: rows of step `kept_step` */
    gint64 kept_step;
} Csv;

/* @resuming: a file that is there goes on.  @folder NULL: everything below does nothing. */
void csv_open(Csv *csv, const char *folder, const char *name, const char *header,
              gboolean resuming);
void csv_close(Csv *csv);
/* Appends whole lines of step @step, on the rank that writes.  The first time the file is made
 * with its header; in one that goes on rows of this and later steps are dropped, and other
 * columns are refused.  On the others the lines are kept for a step. */
gboolean csv_append(Csv *csv, const LoomContext *ctx, gint64 step, const char *lines,
                    GError **error);
/* A cell: text, in quotes where it needs them; a number of 9 digits, empty for NaN. */
void csv_text(GString *line, const char *text);
void csv_number(GString *line, double value);
