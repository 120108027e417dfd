/* report_scores - what the latest validation measured: a table for each class. */
#include "html.h"
#include "report.h"
#include "statistics.h"

#include <math.h>
#include <string.h>

#define FIRST_READING 4 /* columns before: step, case, class, label */

double report_scored_step(const RunRecord *record)
{
    const CsvTable *table = record->metrics_table;
    const gint column = csv_table_column(table, "step");
    double step = NAN;

    for (guint row = 0; column >= 0 && row < table->rows->len; row++)
        step = fmax(step, csv_table_number(table, row, column));
    return step;
}

static gboolean names_add(GPtrArray *names, const char *name)
{
    if (!name || g_ptr_array_find_with_equal_func(names, name, g_str_equal, NULL))
        return FALSE;
    g_ptr_array_add(names, g_strdup(name));
    return TRUE;
}

char **report_classes(const RunRecord *record)
{
    const CsvTable *table = record->metrics_table;
    const gint label = csv_table_column(table, "label");
    g_autoptr(GPtrArray) names = g_ptr_array_new();

    for (guint row = 0; label >= 0 && row < table->rows->len; row++)
        names_add(names, ((char **)table->rows->pdata[row])[label]);
    for (guint i = 0; i < record->records->len && label < 0; i++) {
        g_autoptr(GList) members = json_object_get_members(record->records->pdata[i]);

        for (const GList *at = members; at; at = at->next)
            if (g_str_has_prefix(at->data, "dice/"))
                names_add(names, (const char *)at->data + strlen("dice/"));
    }
    for (gint i = 0; names->len == 0 && record->steps_table && record->steps_table->names[i];
         i++)
        if (g_str_has_prefix(record->steps_table->names[i], "dice/"))
            names_add(names, record->steps_table->names[i] + strlen("dice/"));
    g_ptr_array_add(names, NULL);
    return (char **)g_ptr_array_free(g_steal_pointer(&names), FALSE);
}

double *report_scores_of(const RunRecord *record, const char *reading, const char *class_,
                         guint *n)
{
    const CsvTable *table = record->metrics_table;
    const gint column = csv_table_column(table, reading);
    const gint label = csv_table_column(table, "label"), at = csv_table_column(table, "step");
    const double step = report_scored_step(record);
    double *values = g_new(double, (table ? table->rows->len : 0) + 1);

    *n = 0;
    for (guint row = 0; column >= 0 && label >= 0 && row < table->rows->len; row++) {
        const char *name = ((char **)table->rows->pdata[row])[label];

        if (csv_table_number(table, row, at) == step && g_str_equal(name, class_))
            values[(*n)++] = csv_table_number(table, row, column);
    }
    return values;
}

/* ---- tables ------------------------------------------------------------------------- */

static void metric_number(GString *page, double value)
{
    html_number(page, value, fabs(value) >= 100 ? 1 : 3);
}

/* TRUE: a value is undefined in some cases. */
static gboolean class_table(GString *page, const RunRecord *record, const char *class_)
{
    char **names = record->metrics_table->names;
    gboolean undefined = FALSE;

    report_wide(page, class_);
    g_string_append(page, "<table><caption>");
    html_text(page, class_);
    g_string_append(page, "</caption><thead><tr><th scope=\"col\">metric</th>"
                          "<th scope=\"col\" class=\"n\">mean</th>"
                          "<th scope=\"col\" class=\"n\">median</th>"
                          "<th scope=\"col\" class=\"n\">min</th>"
                          "<th scope=\"col\" class=\"n\">max</th>"
                          "<th scope=\"col\" class=\"n\">cases</th></tr></thead><tbody>\n");
    for (guint i = 0; names[i]; i++) {
        guint n = 0;

        if (i < FIRST_READING)
            continue;
        g_autofree double *values = report_scores_of(record, names[i], class_, &n);
        const StatisticsSummary summary = statistics_summary(values, n);
        g_string_append(page, "<tr>");
        html_element(page, "th scope=\"row\"", names[i]);
        metric_number(page, summary.mean);
        metric_number(page, summary.median);
        metric_number(page, summary.least);
        metric_number(page, summary.greatest);
        g_string_append_printf(page, "<td class=\"n\">%u%s</td></tr>\n", summary.n,
                               summary.n < n ? "<sup>*</sup>" : "");
        undefined = undefined || summary.n < n;
    }
    g_string_append(page, "</tbody></table></div>\n");
    return undefined;
}

/* Every validation, by the means in the log. */
static void history(GString *page, const RunRecord *record, char **classes)
{
    report_wide(page, "every validation");
    g_string_append(page, "<table><caption>Mean Dice of every validation</caption><thead><tr>"
                          "<th scope=\"col\" class=\"n\">step</th>"
                          "<th scope=\"col\" class=\"n\">all classes</th>");
    for (guint k = 0; classes[k]; k++)
        html_element(page, "th scope=\"col\" class=\"n\"", classes[k]);
    g_string_append(page, "</tr></thead><tbody>\n");
    for (guint i = 0; i < record->records->len; i++) {
        JsonObject *line = record->records->pdata[i];

        if (g_strcmp0(json_text(line, "kind"), "metrics") != 0)
            continue;
        g_string_append_printf(page, "<tr><th scope=\"row\" class=\"n\">%.0f</th>",
                               json_value(line, "step"));
        metric_number(page, json_value(line, "dice"));
        for (guint k = 0; classes[k]; k++) {
            g_autofree char *name = g_strconcat("dice/", classes[k], NULL);

            metric_number(page, json_value(line, name));
        }
        g_string_append(page, "</tr>\n");
    }
    g_string_append(page, "</tbody></table></div>\n");
}

void report_scores(GString *page, const RunRecord *record)
{
    g_auto(GStrv) classes = report_classes(record);
    const double step = report_scored_step(record);
    gboolean undefined = FALSE;

    report_section(page, "scores", "Scores");
    if (isnan(step)) {
        report_absent(page, "No validation has come to its end yet.");
        g_string_append(page, "</section>\n");
        return;
    }
    g_string_append_printf(page, "<p>Of the cases that validate, after step %.0f.</p>\n", step);
    g_string_append(page, "<div class=\"tables\">\n");
    for (guint k = 0; classes[k]; k++)
        undefined |= class_table(page, record, classes[k]);
    g_string_append(page, "</div>\n");
    if (undefined)
        g_string_append(page,
                        "<p class=\"note\"><sup>*</sup> Undefined in the other cases: the "
                        "class is neither in the truth nor in the prediction, or nothing "
                        "was predicted.</p>\n");
    g_string_append(page, "<details><summary>Every validation</summary>\n");
    history(page, record, classes);
    g_string_append(page, "</details></section>\n");
}
