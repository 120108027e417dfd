/* report_imbalance - how rare each class is, and how much of the gradient it has. */
#include "html.h"
#include "report.h"

#include <math.h>

/* Share of the voxels of the cases that validated. */
static double voxel_share(const RunRecord *record, const char *class_)
{
    JsonArray *names = json_list(record->overlays, "classes");
    JsonArray *cases = json_list(record->overlays, "cases");
    double own = 0, all = 0;

    for (guint k = 0; k < json_length(names); k++)
        for (guint i = 0;
             g_strcmp0(json_node_get_string(json_array_get_element(names, k)), class_) == 0
             && i < json_length(cases);
             i++) {
            JsonArray *counts = json_list(json_item(cases, i), "counts");

            if (k < json_length(counts)) {
                own += json_array_get_double_element(counts, k);
                all += json_value(json_item(cases, i), "voxels");
            }
        }
    return all > 0 ? own / all : NAN;
}

/* Mean of a member over the records of training; @last: only the latest that has it. */
static double record_mean(const RunRecord *record, const char *what, const char *class_,
                          gboolean last)
{
    g_autofree char *name = g_strconcat(what, "/", class_, NULL);
    double sum = 0, latest = NAN;
    guint n = 0;

    for (guint i = 0; i < record->records->len; i++) {
        const double value = json_value(record->records->pdata[i], name);

        if (g_strcmp0(json_text(record->records->pdata[i], "kind"), "step") != 0
            || !isfinite(value))
            continue;
        sum += value;
        latest = value;
        n++;
    }
    return last ? latest : n ? sum / n : NAN;
}

/* A number with a bar as long as it is large. */
static void share_cell(GString *page, double share, guint colour)
{
    g_autofree char *text = html_percent(share);

    g_string_append(page, "<td class=\"n bar\">");
    if (isfinite(share))
        g_string_append_printf(
            page,
            "<svg viewBox=\"0 0 100 8\" preserveAspectRatio=\"none\" aria-hidden=\"true\">"
            "<rect class=\"f%u\" width=\"%.2f\" height=\"8\"/></svg>",
            colour % 8, CLAMP(100 * share, 0, 100));
    html_text(page, text);
    g_string_append(page, "</td>");
}

void report_imbalance(GString *page, const RunRecord *record)
{
    g_auto(GStrv) classes = report_classes(record);

    report_section(page, "imbalance", "How rare each class is");
    if (!classes[0]) {
        report_absent(page, "No class has been recorded yet.");
        g_string_append(page, "</section>\n");
        return;
    }
    report_wide(page, "how rare each class is");
    g_string_append(page, "<table><caption>Seen, and pulling</caption><thead><tr>"
                          "<th scope=\"col\">class</th>"
                          "<th scope=\"col\" class=\"n\">voxels, validation cases</th>"
                          "<th scope=\"col\" class=\"n\">voxels, training patches</th>"
                          "<th scope=\"col\" class=\"n\">patches that hold it</th>"
                          "<th scope=\"col\" class=\"n\">gradient, all steps</th>"
                          "<th scope=\"col\" class=\"n\">gradient, latest</th>"
                          "<th scope=\"col\" class=\"n\">recall, latest patches</th>"
                          "</tr></thead><tbody>\n");
    for (guint k = 0; classes[k]; k++) {
        g_string_append(page, "<tr>");
        html_element(page, "th scope=\"row\"", classes[k]);
        share_cell(page, voxel_share(record, classes[k]), k + 1);
        share_cell(page, record_mean(record, "voxels", classes[k], FALSE), k + 1);
        share_cell(page, record_mean(record, "patches", classes[k], FALSE), k + 1);
        share_cell(page, record_mean(record, "gradient", classes[k], FALSE), k + 1);
        share_cell(page, record_mean(record, "gradient", classes[k], TRUE), k + 1);
        share_cell(page, record_mean(record, "recall", classes[k], TRUE), k + 1);
        g_string_append(page, "</tr>\n");
    }
    g_string_append(
        page, "</tbody></table></div>\n<p class=\"note\">Gradient: the share of a class's "
              "voxels in the squared norm of d loss / d logits; what is missing to 100 % "
              "is the background's.</p></section>\n");
}
