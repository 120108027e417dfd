/* launch_lines.h - the output of another process, line by line, each with its rank in front. */
#pragma once

#include <glib.h>

typedef struct {
    int from, to;  /* file descriptors; from is -1 once it is closed */
    char *prefix;  /* "[2] " */
    GString *rest; /* a line that has not ended yet */
} LaunchLines;

/* Takes @from over. */
void launch_lines_open(LaunchLines *lines, guint rank, int from, int to);
/* Reads what is there, at most once, and writes what is complete.  FALSE: nothing will come any
 * more; the descriptor is closed and what was left is written. */
gboolean launch_lines_pass(LaunchLines *lines);
void launch_lines_close(LaunchLines *lines);
