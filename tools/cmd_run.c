/* cmd_run - segloom run: a config from its text to its end, in a folder that keeps everything.
 */
#include "command.h"
#include "interrupt.h"
#include "manifest.h"
#include "progress.h"
#include "run_folder.h"
#include "terminal.h"

#include "graph/run.h"

#include <glib/gstdio.h>
#include <string.h>

static char *folder_option;
static gboolean resume_option, force_option;

static const GOptionEntry options[] = {
    {"output", 'o', 0, G_OPTION_ARG_FILENAME, &folder_option,
     "Folder of the run; runs/<config> by default", "DIR"},
    {"resume", 0, 0, G_OPTION_ARG_NONE, &resume_option, "Go on with the run in that folder",
     NULL},
    {"force", 0, 0, G_OPTION_ARG_NONE, &force_option, "Replace the run in that folder", NULL},
    G_OPTION_ENTRY_NULL,
};

static const CommandUsage usage = {
    .arguments = "CONFIG",
    .min = 1,
    .max = 1,
    .summary = "Runs a config.  Ctrl-C ends in order and saves; --resume goes on.",
    .example = "segloom run configs/hippocampus.yaml --set data.dataset=DIR",
    .options = options,
    .flags = COMMAND_CONFIG | COMMAND_MODULES,
};

/* Quoted where a shell needs it. */
static void word_append(GString *line, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "0123456789_-+=./,:@%";
    g_autofree char *quoted = g_shell_quote(word);
    const gboolean bare = *word && strspn(word, plain) == strlen(word);

    g_string_append_printf(line, " %s", bare ? word : quoted);
}

/* The command that goes on with this run. */
static char *resume_line(const CommandLine *line)
{
    GString *text = g_string_new("segloom run");

    word_append(text, line->arguments[0]);
    if (folder_option) {
        g_string_append(text, " -o");
        word_append(text, folder_option);
    }
    for (char **set = line->set; set && *set; set++) {
        g_string_append(text, " --set");
        word_append(text, *set);
    }
    for (char **modules = line->modules; modules && *modules; modules++) {
        g_string_append(text, " --modules");
        word_append(text, *modules);
    }
    g_string_append(text, " --resume");
    return g_string_free(text, FALSE);
}

static gint names_compare(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Names and sizes of what lies in the folder now; results, so to stdout. */
static void made_print(const char *folder, const char *below, guint depth)
{
    g_autofree char *path = g_build_filename(folder, below, NULL);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    const char *name;

    while (dir && (name = g_dir_read_name(dir)))
        g_ptr_array_add(names, g_strdup(name));
    g_ptr_array_sort(names, names_compare);
    for (guint i = 0; i < names->len; i++) {
        g_autofree char *inner = g_build_filename(below, names->pdata[i], NULL);
        g_autofree char *file = g_build_filename(folder, inner, NULL);
        GStatBuf status;

        if (g_stat(file, &status) != 0)
            continue;
        if (S_ISDIR(status.st_mode)) {
            if (depth > 0)
                made_print(folder, inner, depth - 1);
            continue;
        }
        g_autofree char *size = command_bytes((guint64)status.st_size);
        g_print("  %-40s %10s\n", inner, size);
    }
}

static int run_execute(const CommandLine *line, LoomRun *run, const char *folder)
{
    g_autoptr(GError) error = NULL;

    interrupt_stops(run);
    const LoomRunEnd end = loom_run_execute(run, &error);
    interrupt_stops(NULL);
    terminal_live(NULL);
    if (end == LOOM_RUN_FAILED)
        return command_fail(COMMAND_FAILED, error);
    if (end == LOOM_RUN_STOPPED) {
        g_autofree char *again = resume_line(line);

        terminal_print("stopped after step %d; go on with:\n  %s", (int)loom_run_step(run),
                       again);
        return interrupt_code();
    }
    g_print("done: %d steps, in %s\n", (int)loom_run_step(run), folder);
    made_print(folder, "", 1);
    return COMMAND_DONE;
}

/* --force: a mistake in the config must not cost the old run, so it is looked for first. */
static gboolean config_sound(LoomNode *config, const LoomRegistry *registry, GError **error)
{
    const LoomRunOptions check = {.folder = NULL};
    g_autoptr(LoomRun) run = loom_run_open(config, registry, &check, error);

    return run != NULL;
}

static int run_in(const CommandLine *line, const char *folder, const LoomRegistry *registry)
{
    g_autoptr(Progress) progress = progress_new();
    g_autoptr(LoomNode) config = command_config(line);
    g_autoptr(GError) error = NULL;
    gboolean made = FALSE;

    if (!config)
        return COMMAND_WRONG;
    if (force_option && run_folder_used(folder) && !config_sound(config, registry, &error))
        return command_fail(COMMAND_WRONG, error);
    if (!run_folder_prepare(folder, resume_option, force_option, &made, &error))
        return command_fail(COMMAND_WRONG, error);
    terminal_live("checking the config and the data");
    const LoomRunOptions how = {
        .folder = folder, .resume = resume_option, .record = progress_record, .data = progress};
    g_autoptr(LoomRun) run = loom_run_open(config, registry, &how, &error);
    if (!run) {
        if (made)
            g_rmdir(folder); /* only if nothing is in it */
        return command_fail(COMMAND_WRONG, error);
    }
    if (!manifest_write(run, registry, folder, resume_option, &error))
        return command_fail(COMMAND_FAILED, error);
    progress_set_steps(progress, loom_run_steps(run));
    return run_execute(line, run, folder);
}

int cmd_run(int argc, char **argv)
{
    g_auto(CommandLine) line = {0};

    if (!command_parse(&line, &usage, argc, argv))
        return COMMAND_WRONG;
    if (resume_option && force_option)
        return command_fail_text(COMMAND_WRONG, "--resume and --force exclude each other");
    interrupt_watch();
    g_autoptr(LoomRegistry) registry = command_registry(&line);
    g_autofree char *folder = run_folder_path(folder_option, line.arguments[0]);
    return registry ? run_in(&line, folder, registry) : COMMAND_WRONG;
}
