/* command - what every command shares: its command line, its config, its plugins, its end. */
#include "command.h"

#include "graph/run.h"
#include "terminal.h"

#include <loom/plugin.h>

#include <stdlib.h>
#include <string.h>

static gboolean verbose;

void command_line_clear(CommandLine *line)
{
    g_clear_pointer(&line->arguments, g_strfreev);
    g_clear_pointer(&line->modules, g_strfreev);
    g_clear_pointer(&line->set, g_strfreev);
}

/* ---- options ------------------------------------------------------------------------ */

static void add_names(GStrvBuilder *names, const GOptionEntry *entry)
{
    for (; entry->long_name; entry++)
        if (*entry->long_name) {
            g_autofree char *name = g_strconcat("--", entry->long_name, NULL);
            g_strv_builder_add(names, name);
        }
}

/* GLib's message begins with a capital and knows no near names.
 * @known: the tables of options, as many as there are; NULL ends them. */
static void option_mistake(const GError *error, const GOptionEntry *const *known)
{
    g_autofree char *text = g_strdup(error->message);
    g_autofree char *hint = g_strdup("");
    const char *word = strstr(text, "--");

    *text = g_ascii_tolower(*text);
    if (error->code == G_OPTION_ERROR_UNKNOWN_OPTION && word) {
        g_autoptr(GStrvBuilder) builder = g_strv_builder_new();

        for (; *known; known++)
            add_names(builder, *known);
        g_auto(GStrv) names = g_strv_builder_end(builder);
        g_free(hint);
        hint = loom_did_you_mean(word, (const char *const *)names);
    }
    terminal_print("segloom: %s%s (see '%s --help')", text, hint, g_get_prgname());
}

static gboolean arguments_check(const CommandLine *line, const CommandUsage *usage)
{
    const guint n = g_strv_length(line->arguments);
    const char *wanted = usage->arguments ? usage->arguments : "no arguments";

    if (n < usage->min)
        command_fail_text(0, "'%s' wants %s (see '%s --help')", g_get_prgname(), wanted,
                          g_get_prgname());
    else if (usage->max && n > usage->max)
        command_fail_text(0, "'%s' wants %s, found '%s' as well (see '%s --help')",
                          g_get_prgname(), wanted, line->arguments[usage->max],
                          g_get_prgname());
    else if (!usage->arguments && n > 0)
        command_fail_text(0, "'%s' wants no arguments, found '%s'", g_get_prgname(),
                          line->arguments[0]);
    else
        return TRUE;
    return FALSE;
}

gboolean command_parse(CommandLine *line, const CommandUsage *usage, int argc, char **argv)
{
    const GOptionEntry everywhere[] = {
        {"verbose", 'v', 0, G_OPTION_ARG_NONE, &verbose, "Say more on stderr", NULL},
        {G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &line->arguments, NULL,
         usage->arguments ? usage->arguments : ""},
        G_OPTION_ENTRY_NULL,
    };
    const GOptionEntry modules[] = {
        {"modules", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &line->modules,
         "Load the plugins of DIR as well; may be repeated", "DIR"},
        G_OPTION_ENTRY_NULL,
    };
    const GOptionEntry set[] = {
        {"set", 0, 0, G_OPTION_ARG_STRING_ARRAY, &line->set,
         "Replace a value of the config; may be repeated", "a.b=VALUE"},
        G_OPTION_ENTRY_NULL,
    };
    const GOptionEntry *known[5] = {NULL};
    guint n = 0;
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_autofree char *description = g_strdup_printf("Example:\n  %s\n", usage->example);
    g_autoptr(GError) error = NULL;

    if (usage->options)
        known[n++] = usage->options;
    if (usage->flags & COMMAND_CONFIG)
        known[n++] = set;
    if (usage->flags & COMMAND_MODULES)
        known[n++] = modules;
    known[n++] = everywhere;
    g_option_context_set_summary(context, usage->summary);
    g_option_context_set_description(context, description);
    for (guint i = 0; i < n; i++)
        g_option_context_add_main_entries(context, known[i], NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error)) {
        option_mistake(error, known);
        return FALSE;
    }
    if (!line->arguments)
        line->arguments = g_new0(char *, 1);
    return arguments_check(line, usage);
}

/* ---- config and plugins ------------------------------------------------------------- */

LoomRegistry *command_registry(const CommandLine *line)
{
    g_autoptr(LoomRegistry) registry = loom_registry_new();
    g_autoptr(GError) error = NULL;

    if (loom_registry_load_all(registry, (const char *const *)line->modules, &error))
        return g_steal_pointer(&registry);
    command_fail(0, error);
    return NULL;
}

LoomNode *command_set(LoomNode *config, char **set, GError **error)
{
    g_autoptr(LoomNode) taken = config;
    g_autofree char *here = g_get_current_dir();

    for (; taken && set && *set; set++)
        if (!loom_yaml_set(taken, *set, here, error))
            return NULL;
    return g_steal_pointer(&taken);
}

LoomNode *command_config_read(const CommandLine *line, GError **error)
{
    return command_set(loom_yaml_read(line->arguments[0], error), line->set, error);
}

LoomNode *command_config(const CommandLine *line)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(LoomNode) config = command_config_read(line, &error);

    if (!config)
        command_fail(0, error);
    return g_steal_pointer(&config);
}

gboolean command_config_sound(LoomNode *config, const LoomRegistry *registry, GError **error)
{
    const LoomRunOptions look = {.folder = NULL};
    g_autoptr(LoomRun) run = loom_run_open(config, registry, &look, error);

    return run != NULL;
}

/* ---- messages ----------------------------------------------------------------------- */

int command_fail(int code, const GError *error)
{
    terminal_live(NULL);
    terminal_print("segloom: %s", error->message);
    return code;
}

int command_fail_text(int code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    terminal_live(NULL);
    terminal_print("segloom: %s", text);
    return code;
}

int command_code(const GError *error)
{
    const gboolean failed =
        error->domain == LOOM_ERROR
        && (error->code == LOOM_ERROR_NUMERIC || error->code == LOOM_ERROR_LIMIT);

    return failed ? COMMAND_FAILED : COMMAND_WRONG;
}

static void log_print(G_GNUC_UNUSED const char *domain, GLogLevelFlags level, const char *text,
                      G_GNUC_UNUSED gpointer data)
{
    const gboolean broken = level & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL);

    if (broken || level & G_LOG_LEVEL_WARNING)
        terminal_print("segloom: %s: %s", broken ? "internal error" : "warning", text);
    else if (verbose)
        terminal_print("segloom: %s", text);
}

gboolean command_verbose(void)
{
    return verbose;
}

void command_log_init(void)
{
    g_log_set_default_handler(log_print, NULL);
}

void command_word(GString *line, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "0123456789_-+=./,:@%";
    g_autofree char *quoted = g_shell_quote(word);
    const gboolean bare = *word && strspn(word, plain) == strlen(word);

    g_string_append_printf(line, " %s", bare ? word : quoted);
}

char *command_bytes(guint64 bytes)
{
    g_autofree char *text = g_format_size_full(bytes, G_FORMAT_SIZE_IEC_UNITS);
    g_auto(GStrv) parts = g_strsplit(text, "\302\240", -1); /* a space that does not break */

    return g_strjoinv(" ", parts);
}
