/* inspect - a plugin's descriptor as text: no instance is made, none of its code runs. */
#include "inspect.h"

#include "command.h"

#include <string.h>

#define YAML_WIDTH 80
#define NO_LIMIT 9e15 /* beyond the whole numbers of a double: the row means no limit */

/* ---- one row ------------------------------------------------------------------------ */

static char *number_range(const LoomParam *row)
{
    g_autoptr(GString) text = g_string_new(NULL);

    if (row->min > -NO_LIMIT)
        g_string_append_printf(text, "%.6g", row->min);
    g_string_append(text, "..");
    if (row->max < NO_LIMIT)
        g_string_append_printf(text, "%.6g", row->max);
    return text->len == 2 ? g_strdup("any") : g_strdup(text->str);
}

static char *bytes_range(const LoomParam *row)
{
    g_autofree char *low = command_bytes((guint64)MAX(row->min, 0));

    return row->min > 0 ? g_strdup_printf("bytes, from %s", low) : g_strdup("bytes");
}

static char *choices_join(const char *const *choices)
{
    GString *text = g_string_new(NULL);

    for (; *choices; choices++)
        g_string_append_printf(text, "%s%s", text->len ? "|" : "", *choices);
    return g_string_free(text, FALSE);
}

/* What a value may be: "0..1", "poly|constant", "a loss"; (transfer full). */
static char *row_range(const LoomParam *row)
{
    g_autofree char *range = number_range(row);
    const char *kind = row->choices ? row->choices[0] : "";

    switch (row->type) {
    case LOOM_PARAM_BOOL:
        return g_strdup("true|false");
    case LOOM_PARAM_INT:
    case LOOM_PARAM_FLOAT:
        return g_steal_pointer(&range);
    case LOOM_PARAM_BYTES:
        return bytes_range(row);
    case LOOM_PARAM_STRING:
        return g_strdup("text");
    case LOOM_PARAM_PATH:
        return g_strdup("path");
    case LOOM_PARAM_ENUM:
        return choices_join(row->choices);
    case LOOM_PARAM_CHOICES: {
        g_autofree char *each = choices_join(row->choices);

        return g_strdup_printf("list, %s", each);
    }
    case LOOM_PARAM_INTS:
    case LOOM_PARAM_FLOATS:
        return g_strdup_printf("list, %s", range);
    case LOOM_PARAM_PLUGIN:
        return g_strdup_printf("{use: %s}", kind);
    case LOOM_PARAM_PLUGINS:
        return g_strdup_printf("[{use: %s}]", kind);
    case LOOM_PARAM_MODEL:
        return g_strdup("id of a model");
    case LOOM_PARAM_GRAPH:
        return g_strdup("id of a graph");
    case LOOM_PARAM_STRINGS:
        return g_strdup("list of texts");
    case LOOM_PARAM_MAP:
        return g_strdup("{KEY: VALUE}");
    }
    return g_strdup("");
}

/* NULL: none, or its range says it. */
static const char *row_unit(const LoomParam *row)
{
    return row->type == LOOM_PARAM_BYTES ? NULL : row->unit;
}

static const char *row_default(const LoomParam *row)
{
    return !row->def ? "required" : *row->def ? row->def : "none";
}

/* ---- text for a terminal ------------------------------------------------------------ */

/* Appends words, broken so that no line is longer than @width; later lines begin at @indent. */
static void wrap(GString *out, const char *text, guint at, guint indent, guint width)
{
    g_auto(GStrv) words = g_strsplit(text, " ", -1);

    for (char **word = words; *word; word++) {
        const guint length = (guint)g_utf8_strlen(*word, -1);

        if (word != words && at + 1 + length > width) {
            g_string_append_printf(out, "\n%*s", (int)indent, "");
            at = indent;
        } else if (word != words) {
            g_string_append_c(out, ' ');
            at++;
        }
        g_string_append(out, *word);
        at += length;
    }
    g_string_append_c(out, '\n');
}

static void rows_text(const LoomPlugin *plugin, guint width, GString *out)
{
    guint name_width = 4, default_width = 4, range_width = 4;

    for (const LoomParam *row = plugin->params; row && row->name; row++) {
        g_autofree char *range = row_range(row);

        name_width = MAX(name_width, (guint)strlen(row->name));
        default_width = MAX(default_width, MIN((guint)strlen(row_default(row)), 16));
        range_width = MAX(range_width, MIN((guint)strlen(range), 18));
    }
    const guint indent = 2 + name_width + 2 + default_width + 2 + range_width + 2;
    for (const LoomParam *row = plugin->params; row && row->name; row++) {
        g_autofree char *range = row_range(row);
        const char *unit = row_unit(row);
        g_autofree char *help =
            unit ? g_strdup_printf("%s (%s)", row->help, unit) : g_strdup(row->help);
        const gsize start = out->len;

        g_string_append_printf(out, "  %-*s  %-*s  %-*s  ", (int)name_width, row->name,
                               (int)default_width, row_default(row), (int)range_width, range);
        guint at = (guint)(out->len - start);
        if (at > indent) { /* a long default or a long list: the help goes below */
            g_string_truncate(out, out->len - 2);
            g_string_append_printf(out, "\n%*s", (int)indent, "");
            at = indent;
        }
        wrap(out, help, at, indent, width);
    }
}

static const char *dtype_name(LoomDtype dtype)
{
    static const char *const names[] = {"any", "f32", "u8", "f64"};

    return names[dtype];
}

/* "f32 (C,D,H,W)". */
static char *slot_type(const LoomSlot *slot)
{
    g_autoptr(GString) text = g_string_new(NULL);

    if (!slot->axes)
        return g_strdup("opaque");
    g_string_append(text, dtype_name(slot->dtype));
    for (const char *axis = slot->axes; *axis; axis++)
        g_string_append_printf(text, "%s%c", axis == slot->axes ? " (" : ",", *axis);
    g_string_append(text, *slot->axes ? ")" : " scalar");
    return g_strdup(text->str);
}

/* Columns for the names of a stage's slots. */
static guint slots_width(const LoomStage *stage)
{
    const LoomSlot *const lists[] = {stage->reads, stage->writes};
    guint width = 0;

    for (guint i = 0; i < G_N_ELEMENTS(lists); i++)
        for (const LoomSlot *slot = lists[i]; slot && slot->name; slot++)
            width = MAX(width, (guint)strlen(slot->name));
    return width;
}

static void slots_text(const char *verb, const LoomSlot *slots, guint name_width, guint width,
                       GString *out)
{
    for (const LoomSlot *slot = slots; slot && slot->name; slot++) {
        g_autofree char *type = slot_type(slot);
        g_autofree char *help = g_strdup_printf(
            "%s%s", slot->help, slot->flags & LOOM_SLOT_OPTIONAL ? " (may be absent)" : "");
        const gsize start = out->len;

        g_string_append_printf(out, "  %-6s  %-*s  %-15s  ", verb, (int)name_width, slot->name,
                               type);
        wrap(out, help, (guint)(out->len - start), 29 + name_width, width);
    }
}

/* What its formula is of. */
static const char *loss_input(const LoomLoss *loss)
{
    const gboolean regions = loss->region || loss->regions;

    if (loss->eval)
        return loss->input == LOOM_LOSS_ON_PROBS ? "probabilities, f32 (N,C,D,H,W)"
                                                 : "logits, f32 (N,C,D,H,W)";
    if (loss->voxel && regions)
        return "the true class's probability at each voxel; TP, FP, FN of each class";
    return loss->voxel ? "the true class's probability at each voxel"
                       : "TP, FP, FN of each class, soft";
}

/* What is peculiar to the kind, a line each. */
static void kind_text(const LoomPlugin *plugin, guint width, GString *out)
{
    if (plugin->kind == LOOM_KIND_STAGE) {
        const LoomStage *stage = (const LoomStage *)plugin;

        slots_text("reads", stage->reads, slots_width(stage), width, out);
        slots_text("writes", stage->writes, slots_width(stage), width, out);
        if (stage->flags & LOOM_STAGE_PURE)
            g_string_append(out, "  may have workers\n");
        if (stage->flags & LOOM_STAGE_STEADY)
            g_string_append(out, "  may stand above a cache\n");
    }
    if (plugin->kind == LOOM_KIND_LOSS)
        g_string_append_printf(out, "  input   %s\n", loss_input((const LoomLoss *)plugin));
    if (plugin->kind == LOOM_KIND_METRIC)
        for (const LoomReading *reading = ((const LoomMetric *)plugin)->readings;
             reading && reading->name; reading++) {
            g_string_append_printf(out, "  gives   %-14s  ", reading->name);
            g_autofree char *help =
                reading->unit ? g_strdup_printf("%s (%s)", reading->help, reading->unit)
                              : g_strdup(reading->help);
            wrap(out, help, 26, 26, width);
        }
}

void inspect_text(const LoomRegistry *registry, const LoomPlugin *plugin, guint width,
                  GString *out)
{
    g_autofree char *origin = loom_registry_origin(registry, plugin);
    g_autofree char *title = g_strdup_printf("%s %s - %s", loom_kind_name(plugin->kind),
                                             plugin->name, plugin->summary);

    wrap(out, title, 0, 2, width);
    g_string_append_printf(out, "  from    %s\n", origin);
    kind_text(plugin, width, out);
    if (plugin->params && plugin->params->name)
        g_string_append(out, "keys\n");
    rows_text(plugin, width, out);
}

/* ---- Markdown ----------------------------------------------------------------------- */

/* A bar would end the cell. */
static char *cell(const char *text)
{
    g_auto(GStrv) parts = g_strsplit(text, "|", -1);

    return g_strjoinv("\\|", parts);
}

void inspect_markdown(const LoomRegistry *registry, const LoomPlugin *plugin, GString *out)
{
    g_autofree char *origin = loom_registry_origin(registry, plugin);
    g_autoptr(GString) kind = g_string_new(NULL);

    g_string_append_printf(out, "### %s `%s`\n\n%s. (%s)\n\n", loom_kind_name(plugin->kind),
                           plugin->name, plugin->summary, origin);
    kind_text(plugin, 1000, kind);
    if (kind->len)
        g_string_append_printf(out, "```\n%s```\n\n", kind->str);
    if (!plugin->params || !plugin->params->name)
        return;
    g_string_append(out,
                    "| key | default | values | unit | meaning |\n|---|---|---|---|---|\n");
    for (const LoomParam *row = plugin->params; row->name; row++) {
        g_autofree char *range = row_range(row);
        g_autofree char *values = cell(range);
        g_autofree char *help = cell(row->help);
        const char *unit = row_unit(row);

        g_string_append_printf(out, "| `%s` | `%s` | %s | %s | %s |\n", row->name,
                               row_default(row), values, unit ? unit : "", help);
    }
    g_string_append_c(out, '\n');
}

/* ---- a skeleton to paste ------------------------------------------------------------ */

/* The comment stands behind the text, or above it where it is long. */
static void line_yaml(GString *out, const char *text, const char *comment)
{
    g_autofree char *line = g_strdup_printf("  %-28s # %s", text, comment);
    g_autoptr(GString) above = g_string_new(NULL);

    if (g_utf8_strlen(line, -1) <= YAML_WIDTH) {
        g_string_append_printf(out, "%s\n", line);
        return;
    }
    wrap(above, comment, 0, 0, YAML_WIDTH - (guint)strlen("  # "));
    g_string_truncate(above, above->len - 1); /* its last line break */
    g_string_replace(above, "\n", "\n  # ", 0);
    g_string_append_printf(out, "  # %s\n  %s\n", above->str, text);
}

void inspect_yaml(const LoomPlugin *plugin, GString *out)
{
    g_autofree char *use = g_strdup_printf("use: %s", plugin->name);

    g_string_append_printf(out, "%s:\n", plugin->name);
    line_yaml(out, use, plugin->summary);
    if (plugin->kind == LOOM_KIND_STAGE && !((const LoomStage *)plugin)->produce)
        line_yaml(out, "from: ", "required: the stage above");
    for (const LoomParam *row = plugin->params; row && row->name; row++) {
        g_autofree char *range = row_range(row);
        g_autofree char *text = g_strdup_printf("%s: %s", row->name,
                                                !row->def   ? ""
                                                : *row->def ? row->def
                                                            : "\"\"");
        const char *unit = row_unit(row);
        g_autofree char *comment =
            g_strdup_printf("%s%s%s%s: %s", row->def ? "" : "required, ", range,
                            unit ? " " : "", unit ? unit : "", row->help);

        line_yaml(out, text, comment);
    }
}
