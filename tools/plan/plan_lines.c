/* plan_lines - see plan_lines.h.  Comments stand in one column, or above what they are for. */
#include "plan_lines.h"

#include <string.h>

#define COMMENT_COLUMN 46 /* of a comment behind its key; a longer line has it above */
#define LARGEST_COLUMN 96

/* "# comment" on lines of its own, as wide as @indent allows. */
static void comment_above(GString *text, guint indent, const char *comment)
{
    g_auto(GStrv) words = g_strsplit(comment, " ", -1);
    guint column = 0;

    for (char **word = words; *word; word++) {
        if (word == words || column + 1 + strlen(*word) > LARGEST_COLUMN) {
            g_string_append_printf(text, "%s%*s#", word == words ? "" : "\n", (int)indent, "");
            column = indent + 1;
        }
        g_string_append_printf(text, " %s", *word);
        column += 1 + (guint)strlen(*word);
    }
    g_string_append_c(text, '\n');
}

void line_add(GString *text, guint indent, const char *comment, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *yaml = g_strdup_vprintf(format, args);
    va_end(args);
    const gsize end = indent + strlen(yaml);

    if (!comment || !*comment) {
        g_string_append_printf(text, "%*s%s\n", (int)indent, "", yaml);
    } else if (end < COMMENT_COLUMN && COMMENT_COLUMN + 2 + strlen(comment) <= LARGEST_COLUMN) {
        g_string_append_printf(text, "%*s%-*s# %s\n", (int)indent, "",
                               (int)(COMMENT_COLUMN - indent), yaml, comment);
    } else {
        comment_above(text, indent, comment);
        g_string_append_printf(text, "%*s%s\n", (int)indent, "", yaml);
    }
}

char *line_plain(const char *words)
{
    char *line = g_utf8_make_valid(words, -1);

    for (char *at = line; *at; at++)
        if ((guchar)*at < ' ' || *at == 127)
            *at = ' ';
    return line;
}

char *line_sizes(const gint64 v[3])
{
    return g_strdup_printf("[%d, %d, %d]", (int)v[0], (int)v[1], (int)v[2]);
}

void line_number(GString *text, double value)
{
    char digits[G_ASCII_DTOSTR_BUF_SIZE];

    g_string_append(text, g_ascii_formatd(digits, sizeof digits, "%.6g", value));
}

char *line_numbers(const double *v, guint n)
{
    GString *text = g_string_new("[");

    for (guint i = 0; i < n; i++) {
        g_string_append(text, i ? ", " : "");
        line_number(text, v[i]);
    }
    g_string_append_c(text, ']');
    return g_string_free(text, FALSE);
}
