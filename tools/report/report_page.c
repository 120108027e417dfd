/* report_page - report.html as a whole: what, when, how it ended, and the sections.  One file
 * that asks nothing of a network and runs no script. */
#include "html.h"
#include "report.h"
#include "report_style.h"

#include <math.h>
#include <string.h>

static const struct {
    const char *id, *title;
    void (*append)(GString *page, const RunRecord *record);
} sections[] = {
    {"curves", "Curves", report_curves},
    {"scores", "Scores", report_scores},
    {"cases", "Cases", report_cases},
    {"balance", "Precision and recall", report_balance},
    {"imbalance", "Imbalance", report_imbalance},
    {"times", "Time", report_times},
    {"graphs", "Graphs", report_graphs},
    {"made", "Made with", report_made},
};

void report_section(GString *page, const char *id, const char *title)
{
    g_string_append_printf(page, "<section id=\"%s\"><h2>", id);
    html_text(page, title);
    g_string_append(page, "</h2>\n");
}

void report_absent(GString *page, const char *text)
{
    g_string_append(page, "<p class=\"absent\">");
    html_text(page, text);
    g_string_append(page, "</p>\n");
}

void report_wide(GString *page, const char *what)
{
    g_string_append(page, "<div class=\"wide\" role=\"region\" tabindex=\"0\" aria-label=\"");
    html_text(page, what);
    g_string_append(page, "\">");
}

/* ---- the head ----------------------------------------------------------------------- */

static const struct {
    const char *style, *text;
} outcomes[] = {
    [RUN_GOING] = {"going", "is running"},
    [RUN_DONE] = {"done", "finished"},
    [RUN_STOPPED] = {"halted", "was stopped"},
    [RUN_FAILED] = {"failed", "failed"},
    [RUN_CUT_OFF] = {"halted", "was cut off from the other ranks"},
    [RUN_SILENT] = {"failed", "ended without a word: killed, or its machine went down"},
};

static void outcome_append(GString *page, const RunRecord *record)
{
    g_string_append_printf(page, "<p class=\"outcome %s\"><strong>It %s</strong> ",
                           outcomes[record->outcome].style, outcomes[record->outcome].text);
    if (record->steps > 0)
        g_string_append_printf(page, "after step %" G_GINT64_FORMAT " of %" G_GINT64_FORMAT,
                               record->step, record->steps);
    else
        g_string_append_printf(page, "after step %" G_GINT64_FORMAT, record->step);
    if (record->reason) {
        g_string_append(page, "<br>");
        html_text(page, record->reason);
    }
    g_string_append(page, "</p>\n");
}

static void key(GString *page, const char *name, const char *value)
{
    g_string_append(page, "<div>");
    html_element(page, "dt", name);
    html_element(page, "dd", value);
    g_string_append(page, "</div>\n");
}

/* Seconds between two times as the manifest writes them; NaN: one is missing. */
static double seconds_between(const char *from, const char *to)
{
    g_autoptr(GDateTime) a = from ? g_date_time_new_from_iso8601(from, NULL) : NULL;
    g_autoptr(GDateTime) b = to ? g_date_time_new_from_iso8601(to, NULL) : NULL;

    return a && b ? (double)g_date_time_difference(b, a) * 1e-6 : NAN;
}

/* Of all starts that came to an end; of the one that goes on, until now. */
static double seconds_taken(const RunRecord *record)
{
    JsonArray *starts = json_list(record->manifest, "starts");
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();
    g_autofree char *now_text = g_date_time_format_iso8601(now);
    double sum = NAN;

    for (guint i = 0; i < json_length(starts); i++) {
        JsonObject *start = json_item(starts, i);
        const gboolean going = record->outcome == RUN_GOING && i + 1 == json_length(starts);
        const double seconds =
            seconds_between(json_text(start, "time"),
                            going ? now_text : json_text(json_child(start, "end"), "time"));

        if (isfinite(seconds))
            sum = (isfinite(sum) ? sum : 0) + seconds;
    }
    return sum;
}

/* "2026-11-28 03:38 UTC" */
static char *time_text(const char *iso)
{
    g_autoptr(GDateTime) time = iso ? g_date_time_new_from_iso8601(iso, NULL) : NULL;
    g_autoptr(GDateTime) utc = time ? g_date_time_to_utc(time) : NULL;

    return utc ? g_date_time_format(utc, "%Y-%m-%d %H:%M UTC") : NULL;
}

/* The best and the latest mean Dice of a validation, with their steps. */
static void dice_keys(GString *page, const RunRecord *record)
{
    double best = NAN, latest = NAN, best_step = 0, latest_step = 0;

    for (guint i = 0; i < record->records->len; i++) {
        JsonObject *line = record->records->pdata[i];
        const double dice = json_value(line, "dice"), step = json_value(line, "step");

        if (g_strcmp0(json_text(line, "kind"), "metrics") != 0 || !isfinite(dice))
            continue;
        latest = dice;
        latest_step = step;
        if (!(dice <= best)) {
            best = dice;
            best_step = step;
        }
    }
    if (!isfinite(latest))
        return;
    g_autofree char *text = g_strdup_printf("%.3f", latest);
    g_autofree char *best_text = g_strdup_printf("%.3f at step %.0f", best, best_step);
    key(page, "Dice of the latest validation", text);
    if (best_step != latest_step)
        key(page, "best Dice", best_text);
}

static void keys_append(GString *page, const RunRecord *record)
{
    JsonArray *starts = json_list(record->manifest, "starts");
    JsonObject *first = json_length(starts) ? json_item(starts, 0) : NULL;
    JsonObject *machine = json_child(json_last_item(starts), "machine");
    g_autofree char *time = time_text(json_text(first, "time"));
    const double taken = seconds_taken(record);
    g_autofree char *took = html_seconds(taken);
    const char *dataset = json_text(json_child(record->manifest, "dataset"), "name");

    g_string_append(page, "<dl class=\"keys\">\n");
    dice_keys(page, record);
    if (dataset)
        key(page, "data set", dataset);
    if (time)
        key(page, "began", time);
    if (isfinite(taken))
        key(page, record->outcome == RUN_GOING ? "takes so far" : "took", took);
    if (json_length(starts) > 1) {
        g_autofree char *n = g_strdup_printf("%u", json_length(starts));
        key(page, "starts", n);
    }
    if (json_text(machine, "host"))
        key(page, "machine", json_text(machine, "host"));
    g_string_append(page, "</dl>\n");
}

static void missing_append(GString *page, const RunRecord *record)
{
    if (!record->missing->len)
        return;
    g_string_append(page,
                    "<details class=\"missing\" open><summary>What is not here</summary><ul>");
    for (guint i = 0; i < record->missing->len; i++)
        html_element(page, "li", record->missing->pdata[i]);
    g_string_append(page, "</ul></details>\n");
}

char *report_page(const RunRecord *record, guint reload)
{
    GString *page = g_string_new("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n"
                                 "<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
                                 "content=\"width=device-width, initial-scale=1\">\n");
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();
    g_autofree char *written = g_date_time_format(now, "%Y-%m-%d %H:%M:%S UTC");

    if (reload && record->outcome == RUN_GOING)
        g_string_append_printf(page, "<meta http-equiv=\"refresh\" content=\"%u\">\n", reload);
    html_element(page, "title", record->name);
    g_string_append(page, "\n<style>\n");
    for (const char *const *line = report_style; *line; line++)
        g_string_append(page, *line);
    g_string_append(page, "</style>\n</head>\n<body>\n"
                          "<a class=\"skip\" href=\"#curves\">Skip to the curves</a>\n<header>"
                          "<p class=\"kind\">segloom run</p>");
    html_element(page, "h1", record->name);
    g_string_append_c(page, '\n');
    outcome_append(page, record);
    keys_append(page, record);
    missing_append(page, record);
    g_string_append(page, "<nav aria-label=\"Sections\"><ul>");
    for (guint i = 0; i < G_N_ELEMENTS(sections); i++)
        g_string_append_printf(page, "<li><a href=\"#%s\">%s</a></li>", sections[i].id,
                               sections[i].title);
    g_string_append(page, "</ul></nav></header>\n<main>\n");
    for (guint i = 0; i < G_N_ELEMENTS(sections); i++)
        sections[i].append(page, record);
    g_string_append_printf(page,
                           "</main>\n<footer><p>Written by segloom %s on %s.</p></footer>\n"
                           "</body>\n</html>\n",
                           LOOM_VERSION, written);
    return g_string_free(page, FALSE);
}
