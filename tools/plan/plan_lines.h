/* plan_lines.h - lines of YAML with a comment each, for configs that are written for people. */
#pragma once

#include <glib.h>

/* Appends a line, @indent blanks before it.  @comment: NULL or "": none. */
void line_add(GString *text, guint indent, const char *comment, const char *format, ...)
    G_GNUC_PRINTF(4, 5);
/* Text of others, fit for a comment: valid UTF-8 on one line; (transfer full). */
char *line_plain(const char *words);
/* "[40, 56, 40]"; (transfer full). */
char *line_sizes(const gint64 v[3]);
/* Numbers to 6 digits, in any locale: one appended; "[1, 0.625]", (transfer full). */
void line_number(GString *text, double value);
char *line_numbers(const double *v, guint n);
