/* report_made - with what the run was made: machine, versions, data, modules, config, and the
 * commands that make it again. */
#include "command.h"
#include "html.h"
#include "report.h"

#include <math.h>

static void fact(GString *page, const char *name, const char *value)
{
    if (!value)
        return;
    g_string_append(page, "<tr>");
    html_element(page, "th scope=\"row\"", name);
    html_element(page, "td", value);
    g_string_append(page, "</tr>\n");
}

static void number_fact(GString *page, const char *name, double value)
{
    g_autofree char *text = g_strdup_printf("%.0f", value);

    if (isfinite(value))
        fact(page, name, text);
}

/* All texts of an object, as rows. */
static void texts(GString *page, JsonObject *object)
{
    g_autoptr(GList) members = object ? json_object_get_members(object) : NULL;

    for (const GList *at = members; at; at = at->next)
        fact(page, at->data, json_text(object, at->data));
}

static void table_begin(GString *page, const char *title)
{
    report_wide(page, title);
    g_string_append(page, "<table class=\"facts\"><caption>");
    html_text(page, title);
    g_string_append(page, "</caption><tbody>\n");
}

static void table_end(GString *page)
{
    g_string_append(page, "</tbody></table></div>\n");
}

static void run_facts(GString *page, const RunRecord *record)
{
    JsonObject *dataset = json_child(record->manifest, "dataset");

    table_begin(page, "Run");
    fact(page, "folder", record->folder);
    number_fact(page, "seed", json_value(record->manifest, "seed"));
    number_fact(page, "threads of the backend", json_value(record->manifest, "threads"));
    fact(page, "SHA-256 of the config", json_text(record->manifest, "config_sha256"));
    fact(page, "data set", json_text(dataset, "name"));
    fact(page, "its folder", json_text(dataset, "folder"));
    number_fact(page, "its cases", json_value(dataset, "cases"));
    fact(page, "SHA-256 of its ids, names, sizes",
         json_text(dataset, "sha256_of_ids_names_sizes"));
    table_end(page);
}

static void start_row(GString *page, JsonObject *start, gboolean going)
{
    JsonObject *machine = json_child(start, "machine"), *end = json_child(start, "end");

    g_string_append(page, "<tr>");
    html_element(page, "td", json_text(start, "time"));
    html_number(page, json_value(start, "step"), 0);
    html_element(page, "td", json_text(machine, "host"));
    html_element(page, "td", json_text(machine, "cpu"));
    html_number(page, json_value(machine, "processors"), 0);
    html_element(page, "td",
                 end     ? json_text(end, "outcome")
                 : going ? "goes on"
                         : "no end was noted");
    html_element(page, "td", json_text(end, "time"));
    html_number(page, json_value(end, "step"), 0);
    g_string_append(page, "</tr>\n");
}

static void starts(GString *page, const RunRecord *record)
{
    JsonArray *list = json_list(record->manifest, "starts");

    if (!json_length(list))
        return;
    report_wide(page, "starts");
    g_string_append(page,
                    "<table><caption>Starts</caption><thead><tr><th scope=\"col\">time</th>"
                    "<th scope=\"col\" class=\"n\">from step</th><th scope=\"col\">host</th>"
                    "<th scope=\"col\">processor</th>"
                    "<th scope=\"col\" class=\"n\">cores</th><th scope=\"col\">end</th>"
                    "<th scope=\"col\">at</th><th scope=\"col\" class=\"n\">step</th>"
                    "</tr></thead><tbody>\n");
    for (guint i = 0; i < json_length(list); i++)
        if (json_item(list, i))
            start_row(page, json_item(list, i),
                      record->outcome == RUN_GOING && i + 1 == json_length(list));
    g_string_append(page, "</tbody></table></div>\n");
}

static void commands(GString *page, const RunRecord *record)
{
    g_autofree char *config = g_build_filename(record->folder, "config.yaml", NULL);
    g_autoptr(GString) again = g_string_new("segloom run"), line = g_string_new("segloom run");
    g_autoptr(GString) report = g_string_new("segloom report");
    g_autofree char *new_folder = g_strconcat(record->folder, "-again", NULL);

    command_word(again, config);
    g_string_append(again, " -o");
    command_word(again, new_folder);
    command_word(line, config);
    g_string_append(line, " -o");
    command_word(line, record->folder);
    g_string_append(line, " --resume");
    command_word(report, record->folder);
    g_string_append(page, "<h3>To make it again</h3>\n<pre><code># the same run, in another "
                          "folder: the same bits with the same modules and data\n");
    html_text(page, again->str);
    if (record->outcome != RUN_DONE) {
        g_string_append(page, "\n# go on with this one\n");
        html_text(page, line->str);
    }
    g_string_append(page, "\n# this page\n");
    html_text(page, report->str);
    g_string_append(page, "</code></pre>\n");
}

void report_made(GString *page, const RunRecord *record)
{
    JsonObject *modules = json_child(record->manifest, "modules");

    report_section(page, "made", "With what it was made");
    run_facts(page, record);
    table_begin(page, "Versions");
    texts(page, json_child(record->manifest, "versions"));
    table_end(page);
    starts(page, record);
    commands(page, record);
    if (modules) {
        g_string_append(page, "<details><summary>Modules and their SHA-256</summary>\n");
        table_begin(page, "Modules");
        texts(page, modules);
        table_end(page);
        g_string_append(page, "</details>\n");
    }
    if (record->config_text) {
        g_string_append(page, "<details><summary>The config as it took effect</summary>\n"
                              "<pre><code>");
        html_text(page, record->config_text);
        g_string_append(page, "</code></pre></details>\n");
    }
    g_string_append(page, "</section>\n");
}
