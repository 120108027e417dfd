/* report_cases - the cases that went worst and best, with their pictures, and a table of all.
 */
#include "html.h"
#include "report.h"

#include <math.h>
#include <string.h>

#define PICTURE_BYTES (16u << 20) /* no picture of the stage 'overlay' comes near it */
#define MOST_ROWS 3000

/* Of one case and class at the latest step; NaN: undefined, or not there. */
static double case_dice(const RunRecord *record, const char *id, const char *class_)
{
    const CsvTable *table = record->metrics_table;
    const gint one = csv_table_column(table, "case"), label = csv_table_column(table, "label");
    const gint at = csv_table_column(table, "step"), dice = csv_table_column(table, "dice");
    const double step = report_scored_step(record);

    for (guint row = 0; one >= 0 && label >= 0 && dice >= 0 && row < table->rows->len; row++) {
        char **cells = table->rows->pdata[row];

        if (csv_table_number(table, row, at) == step && g_str_equal(cells[one], id)
            && g_str_equal(cells[label], class_))
            return csv_table_number(table, row, dice);
    }
    return NAN;
}

/* ---- pictures ----------------------------------------------------------------------- */

typedef struct {
    const char *id, *file;
    double dice; /* as the stage 'overlay' ranked it */
} Shown;

static gint shown_compare(gconstpointer a, gconstpointer b)
{
    const Shown *x = a, *y = b;

    return (x->dice > y->dice) - (x->dice < y->dice);
}

static GArray *shown_find(const RunRecord *record)
{
    JsonArray *cases = json_list(record->overlays, "cases");
    GArray *found = g_array_new(FALSE, FALSE, sizeof(Shown));

    for (guint i = 0; i < json_length(cases); i++) {
        JsonObject *one = json_item(cases, i);
        const Shown shown = {json_text(one, "case"), json_text(one, "file"),
                             json_value(one, "dice")};

        /* a name, never a path out of the folder */
        if (shown.id && shown.file && !strchr(shown.file, '/') && isfinite(shown.dice))
            g_array_append_val(found, shown);
    }
    g_array_sort(found, shown_compare);
    return found;
}

/* FALSE: it is not there, or is no picture. */
static gboolean picture(GString *page, const RunRecord *record, const Shown *shown)
{
    g_autofree char *path = g_build_filename(record->folder, "overlays", shown->file, NULL);
    g_autofree char *bytes = NULL;
    gsize length = 0;

    if (!g_file_get_contents(path, &bytes, &length, NULL) || length > PICTURE_BYTES
        || length < 8 || memcmp(bytes, "\x89PNG\r\n\x1a\n", 8) != 0)
        return FALSE;
    g_string_append(page,
                    "<img loading=\"lazy\" alt=\"Image, truth, prediction and errors of ");
    html_text(page, shown->id);
    g_string_append(page, "\" src=\"");
    html_png(page, bytes, length);
    g_string_append(page, "\">");
    return TRUE;
}

static void card(GString *page, const RunRecord *record, const Shown *shown, char **classes)
{
    g_string_append(page, "<figure class=\"case\">");
    if (!picture(page, record, shown)) {
        g_string_append(page, "<p class=\"absent\">Its picture, overlays/");
        html_text(page, shown->file);
        g_string_append(page, ", is not there.</p>");
    }
    g_string_append(page, "<figcaption>");
    html_element(page, "b", shown->id);
    for (guint k = 0; classes[k]; k++) {
        const double dice = case_dice(record, shown->id, classes[k]);

        g_string_append(page, " <span>");
        html_text(page, classes[k]);
        if (isfinite(dice))
            g_string_append_printf(page, " %.3f</span>", dice);
        else
            g_string_append(page, " –</span>");
    }
    g_string_append(page, "</figcaption></figure>\n");
}

static void cards(GString *page, const RunRecord *record, const GArray *shown, char **classes,
                  guint end, const char *title)
{
    html_element(page, "h3", title);
    g_string_append(page, "<div class=\"cases\">\n");
    for (guint i = 0; i < end; i++)
        card(page, record, &g_array_index(shown, Shown, i), classes);
    g_string_append(page, "</div>\n");
}

static void pictures(GString *page, const RunRecord *record, char **classes)
{
    const guint all = json_length(json_list(record->overlays, "cases"));
    g_autoptr(GArray) shown = shown_find(record);
    const guint half = (shown->len + 1) / 2;

    if (!shown->len) {
        report_absent(page, "No picture has been drawn: the stage 'overlay' after the "
                            "predictions of a validation draws them.");
        return;
    }
    g_string_append_printf(
        page,
        "<p>After step %.0f. %s In the pictures of errors colour and hatching "
        "say the same.</p>\n",
        json_value(record->overlays, "step"),
        g_strcmp0(json_text(record->overlays, "most"), "errors") == 0
            ? "The slice with most voxels that are wrong; without any, that "
              "with most foreground."
            : "The slice with most foreground, each class counted as the "
              "share of its own voxels.");
    if (shown->len == all) {
        cards(page, record, shown, classes, shown->len, "All, the worst first");
        return;
    }
    cards(page, record, shown, classes, half, "Worst");
    if (half < shown->len) { /* the best first */
        g_autoptr(GArray) best = g_array_new(FALSE, FALSE, sizeof(Shown));

        for (guint i = shown->len; i > half; i--)
            g_array_append_val(best, g_array_index(shown, Shown, i - 1));
        cards(page, record, best, classes, best->len, "Best");
    }
}

/* ---- a row for each case and class -------------------------------------------------- */

static void row(GString *page, const CsvTable *table, guint number)
{
    char **cells = table->rows->pdata[number];

    g_string_append(page, "<tr>");
    for (guint i = 0; cells[i]; i++) {
        const double value = csv_table_number(table, number, (gint)i);

        if (i == 0 || g_str_equal(table->names[i], "class"))
            continue;
        if (i == 1)
            html_element(page, "th scope=\"row\"", cells[i]);
        else if (i < 4)
            html_element(page, "td", cells[i]);
        else
            html_number(page, value, fabs(value) >= 100 ? 1 : 3);
    }
    g_string_append(page, "</tr>\n");
}

static void rows(GString *page, const RunRecord *record)
{
    const CsvTable *table = record->metrics_table;
    const gint at = csv_table_column(table, "step");
    const double step = report_scored_step(record);
    guint left = MOST_ROWS;

    if (at < 0 || isnan(step) || !table->names[1])
        return;
    g_string_append(page, "<details><summary>Every case</summary>\n");
    report_wide(page, "every case");
    g_string_append_printf(page,
                           "<table><caption>Every case and class, after step %.0f</caption>"
                           "<thead><tr>",
                           step);
    for (guint i = 1; table->names[i]; i++)
        if (!g_str_equal(table->names[i], "class"))
            html_element(page, i < 4 ? "th scope=\"col\"" : "th scope=\"col\" class=\"n\"",
                         g_str_equal(table->names[i], "label") ? "class" : table->names[i]);
    g_string_append(page, "</tr></thead><tbody>\n");
    for (guint i = 0; i < table->rows->len && left > 0; i++)
        if (csv_table_number(table, i, at) == step) {
            row(page, table, i);
            left--;
        }
    g_string_append(page, "</tbody></table></div>\n");
    if (!left)
        g_string_append_printf(
            page, "<p class=\"note\">The first %d; metrics.csv has all.</p>\n", MOST_ROWS);
    g_string_append(page, "</details>\n");
}

void report_cases(GString *page, const RunRecord *record)
{
    g_auto(GStrv) classes = report_classes(record);

    report_section(page, "cases", "Worst and best cases");
    pictures(page, record, classes);
    rows(page, record);
    g_string_append(page, "</section>\n");
}
