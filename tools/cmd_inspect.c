/* cmd_inspect - segloom inspect: which plugins are loaded, and every parameter they have. */
#include "command.h"
#include "inspect.h"
#include "terminal.h"

#include <unistd.h>

static gboolean markdown_option, yaml_option;

static const GOptionEntry options[] = {
    {"markdown", 0, 0, G_OPTION_ARG_NONE, &markdown_option, "As Markdown, everything asked for",
     NULL},
    {"yaml", 0, 0, G_OPTION_ARG_NONE, &yaml_option, "As a mapping to paste into a config",
     NULL},
    G_OPTION_ENTRY_NULL,
};

static const CommandUsage usage = {
    .arguments = "[KIND [NAME]]",
    .min = 0,
    .max = 2,
    .summary = "Lists the plugins: of all kinds, of one KIND, or one with its parameters:\n"
               "key, default, values, meaning and unit.",
    .example = "segloom inspect stage crop",
    .options = options,
    .flags = COMMAND_MODULES,
};

static char **kind_names(void)
{
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();

    for (guint kind = 1; kind <= LOOM_N_KINDS; kind++)
        g_strv_builder_add(builder, loom_kind_name((LoomKind)kind));
    return g_strv_builder_end(builder);
}

static void kind_append(const LoomRegistry *registry, LoomKind kind, GString *out)
{
    g_autofree const LoomPlugin **list = loom_registry_list(registry, kind);

    g_string_append_printf(out, "%s\n", loom_kind_name(kind));
    for (const LoomPlugin **plugin = list; *plugin; plugin++)
        g_string_append_printf(out, "  %-16s %s\n", (*plugin)->name, (*plugin)->summary);
}

static void plugin_append(const LoomRegistry *registry, const LoomPlugin *plugin, GString *out)
{
    const guint width = isatty(STDOUT_FILENO) ? MAX(terminal_width(), 60) : 80;

    if (markdown_option)
        inspect_markdown(registry, plugin, out);
    else if (yaml_option)
        inspect_yaml(plugin, out);
    else
        inspect_text(registry, plugin, width, out);
}

static int kind_unknown(const LoomRegistry *registry, const char *name)
{
    for (guint kind = 1; kind <= LOOM_N_KINDS; kind++)
        if (loom_registry_find(registry, (LoomKind)kind, name))
            return command_fail_text(
                COMMAND_WRONG, "there is no kind '%s', but a %s: segloom inspect %s %s", name,
                loom_kind_name((LoomKind)kind), loom_kind_name((LoomKind)kind), name);
    g_auto(GStrv) names = kind_names();
    g_autofree char *hint = loom_did_you_mean(name, (const char *const *)names);
    g_autofree char *all = g_strjoinv(", ", names);

    return command_fail_text(COMMAND_WRONG, "there is no kind '%s'%s (there are: %s)", name,
                             hint, all);
}

/* A list, or with --markdown and --yaml every plugin of @kind in full; 0: of all kinds. */
static void kinds_append(const LoomRegistry *registry, LoomKind only, GString *out)
{
    for (guint kind = 1; kind <= LOOM_N_KINDS; kind++) {
        g_autofree const LoomPlugin **list = loom_registry_list(registry, (LoomKind)kind);

        if (only && kind != only)
            continue;
        if (!markdown_option && !yaml_option)
            kind_append(registry, (LoomKind)kind, out);
        for (const LoomPlugin **plugin = list; *plugin && (markdown_option || yaml_option);
             plugin++)
            plugin_append(registry, *plugin, out);
    }
}

int cmd_inspect(int argc, char **argv)
{
    g_auto(CommandLine) line = {0};
    g_autoptr(GString) out = g_string_new(NULL);
    g_autoptr(GError) error = NULL;
    LoomKind kind = (LoomKind)0;

    if (!command_parse(&line, &usage, argc, argv))
        return COMMAND_WRONG;
    if (markdown_option && yaml_option)
        return command_fail_text(COMMAND_WRONG, "--markdown and --yaml exclude each other");
    g_autoptr(LoomRegistry) registry = command_registry(&line);
    if (!registry)
        return COMMAND_WRONG;
    if (line.arguments[0] && !(kind = loom_kind_from(line.arguments[0])))
        return kind_unknown(registry, line.arguments[0]);
    if (kind && line.arguments[1]) {
        const LoomPlugin *plugin =
            loom_registry_need(registry, kind, line.arguments[1], &error);

        if (!plugin)
            return command_fail(COMMAND_WRONG, error);
        plugin_append(registry, plugin, out);
    } else {
        kinds_append(registry, kind, out);
    }
    g_print("%s", out->str);
    return COMMAND_DONE;
}
