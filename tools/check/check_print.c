/* check_print - findings for people: one entry a problem, one for the same problem in many
 * cases, at 80 columns. */
#include "check_print.h"

#include "config/yaml_text.h"

#include <string.h>

#define PRINT_INDENT 2
#define PRINT_WHERE 29 /* column behind severity and code */
#define PRINT_NAMED 3  /* cases of a group */

/* What would move the cursor or begin a line is written out. */
static char *printable(const char *text)
{
    GString *out = g_string_new(NULL);
    g_autofree char *valid = g_utf8_make_valid(text, -1);

    for (const char *at = valid; *at; at = g_utf8_next_char(at)) {
        const gunichar letter = g_utf8_get_char(at);

        if (g_unichar_iscntrl(letter))
            g_string_append_printf(out, letter < 256 ? "\\x%02x" : "\\u%04x", letter);
        else
            g_string_append_unichar(out, letter);
    }
    return g_string_free(out, FALSE);
}

/* Prints @text, the first line from column @first, others from @indent on, broken at blanks
 * before @width; a word that is longer than a line stays whole. */
static void wrapped(const char *text, guint first, guint indent, guint width)
{
    gboolean begun = FALSE;
    g_autofree char *clean = printable(text);
    g_auto(GStrv) words = g_strsplit(clean, " ", -1);
    glong column = 0;

    for (char **word = words; *word; word++) {
        const glong length = g_utf8_strlen(*word, -1);

        if (column && column + 1 + length > (glong)width) {
            g_print("\n");
            column = 0;
        }
        const guint blanks = column ? 1 : begun ? indent : first;
        g_print("%*s%s", (int)blanks, "", *word);
        column += length + (glong)blanks;
        begun = TRUE;
    }
    g_print("\n");
}

/* ---- one line of a config, with a caret ---------------------------------------------- */

/* Line @number of a config; (transfer full), NULL: there is none. */
static char *line_read(const char *path, guint number)
{
    gsize length;
    g_autofree char *text = loom_yaml_load(path, &length, NULL);
    const char *at = text;

    while (at && --number > 0 && (at = strchr(at, '\n')))
        at++;
    return at ? g_strndup(at, strcspn(at, "\r\n")) : NULL;
}

/* The part of the line around the column that fits, and a caret below it. */
static void caret_print(const LoomFinding *finding, guint width)
{
    g_autofree char *line = finding->line ? line_read(finding->place, finding->line) : NULL;
    const glong room = (glong)width - 2 * PRINT_INDENT;
    glong at = (glong)finding->column - 1, from = 0;

    if (!line || !line[strspn(line, " \t")] || at < 0 || !g_utf8_validate(line, -1, NULL)
        || at > g_utf8_strlen(line, -1))
        return;
    for (char *tab = line; *tab; tab++)
        *tab = *tab == '\t' ? ' ' : *tab;
    if (at > room - 10)
        from = at - room / 2;
    g_autofree char *part =
        g_utf8_substring(line, from, MIN(g_utf8_strlen(line, -1), from + room));
    g_autofree char *clean = printable(part);
    g_print("%*s%s\n%*s^\n", 2 * PRINT_INDENT, "", clean, 2 * PRINT_INDENT + (int)(at - from),
            "");
}

/* ---- entries ------------------------------------------------------------------------- */

static const char *severity_name(LoomSeverity severity)
{
    static const char *const names[] = {"note", "warning", "error"};

    return names[severity];
}

/* "case a, b, c and 34 more"; empty where it is about no case. */
static char *cases_name(GPtrArray *group)
{
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < group->len && i < PRINT_NAMED; i++) {
        const LoomFinding *one = group->pdata[i];

        if (one->id)
            g_string_append_printf(text, "%s%s", text->len ? ", " : "case ", one->id);
    }
    if (group->len > PRINT_NAMED)
        g_string_append_printf(text, " and %u more", group->len - PRINT_NAMED);
    return g_string_free(text, FALSE);
}

static void group_print(GPtrArray *group, const char *folder, guint width)
{
    const LoomFinding *first = group->pdata[0];
    const char *place = first->place;
    g_autofree char *cases = cases_name(group);

    if (place && folder && g_str_has_prefix(place, folder) && place[strlen(folder)] == '/')
        place += strlen(folder) + 1;
    g_autofree char *where =
        first->line ? g_strdup_printf("%s:%u:%u", place, first->line, first->column)
        : *cases    ? g_strdup(cases)
                    : g_strdup(place ? place : "");
    g_autofree char *head =
        g_strdup_printf("%-7s  %-19s %s", severity_name(first->severity), first->code, where);
    g_autofree char *text = *cases && place && !first->line
                                ? g_strdup_printf("%s: %s", place, first->text)
                                : g_strdup(first->text);
    wrapped(g_strchomp(head), 0, PRINT_WHERE, width);
    wrapped(text, PRINT_INDENT, PRINT_INDENT, width);
    caret_print(first, width);
}

/* All that say the same of other cases; a config's mistakes stand each for itself. */
static GPtrArray *group_of(const LoomFindings *findings, guint at)
{
    const LoomFinding *first = loom_findings_at(findings, at);
    g_autoptr(GHashTable) ids = g_hash_table_new(g_str_hash, g_str_equal);
    GPtrArray *group = g_ptr_array_new();

    g_ptr_array_add(group, (gpointer)(guintptr)first);
    if (!first->id)
        return group;
    g_hash_table_add(ids, first->id);
    for (guint i = at + 1; i < loom_findings_count(findings); i++) {
        const LoomFinding *one = loom_findings_at(findings, i);

        if (one->id && g_str_equal(one->code, first->code) && g_hash_table_add(ids, one->id))
            g_ptr_array_add(group, (gpointer)(guintptr)one);
    }
    return group;
}

void check_findings_print(const LoomFindings *findings, const char *folder, guint width)
{
    g_autoptr(GHashTable) told = g_hash_table_new(g_str_hash, g_str_equal);

    for (guint i = 0; i < loom_findings_count(findings); i++) {
        const LoomFinding *first = loom_findings_at(findings, i);

        if (first->id && !g_hash_table_add(told, (gpointer)(guintptr)first->code))
            continue;
        g_autoptr(GPtrArray) group = group_of(findings, i);
        group_print(group, folder, width);
    }
}

/* ---- classes ------------------------------------------------------------------------- */

void check_classes_print(const LoomSurvey *survey)
{
    const LoomDataset *dataset = survey->dataset;

    g_print("%-28s %7s %13s %7s %13s\n", "classes", "train", "voxels", "valid.", "voxels");
    for (guint k = 0; k < dataset->n_labels; k++) {
        gint64 train_voxels, validate_voxels;
        const guint train = loom_survey_class(survey, LOOM_SPLIT_TRAIN, k, &train_voxels);
        const guint validate =
            loom_survey_class(survey, LOOM_SPLIT_VALIDATE, k, &validate_voxels);

        g_print("  %3u %-22.22s %7u %13" G_GINT64_FORMAT " %7u %13" G_GINT64_FORMAT "\n", k,
                dataset->label_names[k], train, train_voxels, validate, validate_voxels);
    }
}

/* ---- a copy -------------------------------------------------------------------------- */

void check_fixed_print(const GPtrArray *fixed, const char *folder, guint width)
{
    guint written = 0;

    g_print("\n");
    for (guint i = 0; i < fixed->len; i++) {
        const LoomFixed *one = fixed->pdata[i];
        g_autofree char *text =
            g_strdup_printf("%s: %s%s%s", one->file, one->done ? one->done : "not fixed",
                            one->left ? "; left: " : "", one->left ? one->left : "");

        written += one->done != NULL;
        wrapped(text, 0, PRINT_INDENT, width);
    }
    g_print("%u file%s written in %s, the others are links\n", written, written == 1 ? "" : "s",
            folder);
}
