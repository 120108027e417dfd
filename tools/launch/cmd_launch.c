/* cmd_launch - segloom launch: one run as several processes on this machine. */
#include "command.h"
#include "launch.h"
#include "launch_folder.h"
#include "rank_processors.h"
#include "run_folder.h"
#include "terminal.h"

#include "core/processors.h"
#include "graph/run.h"

#include <glib/gstdio.h>
#include <string.h>

#define MAX_RESTARTS 1000

static int ranks_option = -1, restart_option;
static char *folder_option;
static gboolean resume_option, force_option, insecure_option, no_bind_option;

static const GOptionEntry options[] = {
    {"ranks", 'n', 0, G_OPTION_ARG_INT, &ranks_option, "How many processes", "N"},
    {"restart", 0, 0, G_OPTION_ARG_INT, &restart_option,
     "Start a rank that died again, each up to K times", "K"},
    {"output", 'o', 0, G_OPTION_ARG_FILENAME, &folder_option,
     "Folder of the run; runs/<config> by default", "DIR"},
    {"resume", 0, 0, G_OPTION_ARG_NONE, &resume_option, "Go on with the run in that folder",
     NULL},
    {"force", 0, 0, G_OPTION_ARG_NONE, &force_option, "Replace the run in that folder", NULL},
    {"no-bind", 0, 0, G_OPTION_ARG_NONE, &no_bind_option, "Let all ranks run on all processors",
     NULL},
    {"insecure-network", 0, 0, G_OPTION_ARG_NONE, &insecure_option,
     "Clear text, should the config go beyond this machine", NULL},
    G_OPTION_ENTRY_NULL,
};

static const CommandUsage usage = {
    .arguments = "CONFIG",
    .min = 1,
    .max = 1,
    .summary = "Runs a config as N processes, the ranks 0 to N-1, on this machine.",
    .example =
        "segloom launch -n 4 configs/hippocampus.yaml --set data.dataset=DIR\n\n"
        "What rank 0 writes is shown as it is; of the other ranks, each line has the\n"
        "rank in front: \"[2] ...\".  Unless 'backend: threads:' is given, each takes as\n"
        "many as its share of the processors, and is bound to that share.\n\n"
        "Ctrl-C or SIGTERM asks all ranks to save and end; once more kills them.  When a\n"
        "rank dies, the others go on; with --restart it comes back.  The exit code is\n"
        "0 if all ranks end so, else that of the first one that failed.\n\n"
        "For several machines: srun segloom run ..., mpirun segloom run ..., a Kubernetes\n"
        "job; see configs/cluster/README.md",
    .options = options,
    .flags = COMMAND_CONFIG | COMMAND_MODULES,
};

typedef struct {
    const CommandLine *line;
    char *program, *meet, *threads; /* threads: "backend.threads=2"; NULL: as the config says */
    cpu_set_t *shares;              /* the processors of each; NULL: all may use all */
    char *manifest;                 /* path of what a run leaves first */
    guint64 old_manifest;           /* which one --force replaces; 0: none */
} Ranks;

static void ranks_clear(Ranks *ranks)
{
    g_clear_pointer(&ranks->program, g_free);
    g_clear_pointer(&ranks->meet, g_free);
    g_clear_pointer(&ranks->threads, g_free);
    g_clear_pointer(&ranks->shares, g_free);
    g_clear_pointer(&ranks->manifest, g_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Ranks, ranks_clear)

/* ---- the command of a rank ---------------------------------------------------------- */

/* A number that tells a file from the one that was there before; 0: there is none.  Not the
 * inode alone, which is given out again. */
static guint64 file_identity(const char *path)
{
    GStatBuf status;

    if (g_stat(path, &status) != 0)
        return 0;
    return (guint64)status.st_ino ^ (guint64)status.st_ctim.tv_sec * G_USEC_PER_SEC * 1000
           ^ (guint64)status.st_ctim.tv_nsec;
}

static void pairs_add(GPtrArray *words, const char *option, char **values)
{
    for (; values && *values; values++) {
        g_ptr_array_add(words, g_strdup(option));
        g_ptr_array_add(words, g_strdup(*values));
    }
}

static void pair_add(GPtrArray *words, const char *option, const char *value)
{
    g_ptr_array_add(words, g_strdup(option));
    g_ptr_array_add(words, g_strdup(value));
}

/* What a person would type after "run" and "launch" alike. */
static void same_add(GPtrArray *words, const CommandLine *line, gboolean resume)
{
    g_ptr_array_add(words, g_strdup(line->arguments[0]));
    if (folder_option)
        pair_add(words, "-o", folder_option);
    pairs_add(words, "--set", line->set);
    pairs_add(words, "--modules", line->modules);
    if (command_verbose())
        g_ptr_array_add(words, g_strdup("-v"));
    if (insecure_option)
        g_ptr_array_add(words, g_strdup("--insecure-network"));
    if (resume || force_option)
        g_ptr_array_add(words, g_strdup(resume ? "--resume" : "--force"));
}

/* @again: with --resume, once the run of this launch has begun to leave something there. */
static char **rank_command(guint rank, gboolean again, gpointer data)
{
    const Ranks *ranks = data;
    const guint64 manifest = again ? file_identity(ranks->manifest) : 0;
    const gboolean begun = manifest != 0 && manifest != ranks->old_manifest;
    GPtrArray *words = g_ptr_array_new();
    g_autofree char *number = g_strdup_printf("%u", rank);
    g_autofree char *size = g_strdup_printf("%d", ranks_option);

    pair_add(words, ranks->program, "run");
    same_add(words, ranks->line, resume_option || begun);
    if (ranks->threads)
        pair_add(words, "--set", ranks->threads);
    pair_add(words, "--rank", number);
    pair_add(words, "--size", size);
    if (ranks->meet)
        pair_add(words, "--meet", ranks->meet);
    g_ptr_array_add(words, NULL);
    return (char **)g_ptr_array_free(words, FALSE);
}

/* How to go on, as one line for a shell. */
static void again_print(const CommandLine *line)
{
    g_autoptr(GPtrArray) words = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GString) text = g_string_new(NULL);

    same_add(words, line, TRUE);
    g_string_printf(text, "segloom launch -n %d", ranks_option);
    if (restart_option)
        g_string_append_printf(text, " --restart %d", restart_option);
    if (no_bind_option)
        g_string_append(text, " --no-bind");
    for (guint i = 0; i < words->len; i++)
        command_word(text, words->pdata[i]);
    terminal_print("stopped; go on with:\n  %s", text->str);
}

/* ---- before the start --------------------------------------------------------------- */

static gboolean numbers_check(void)
{
    if (ranks_option == -1)
        command_fail_text(0, "'segloom launch' wants -n N, how many processes (see 'segloom "
                             "launch --help')");
    else if (ranks_option < 1 || ranks_option > LAUNCH_MAX_RANKS)
        command_fail_text(0, "-n %d: want 1 to %d processes", ranks_option, LAUNCH_MAX_RANKS);
    else if (restart_option < 0 || restart_option > MAX_RESTARTS)
        command_fail_text(0, "--restart %d: want 0 to %d", restart_option, MAX_RESTARTS);
    else if (resume_option && force_option)
        command_fail_text(0, "--resume and --force exclude each other");
    else
        return TRUE;
    return FALSE;
}

/* "backend.threads=2"; NULL: the config or --set has a number, or this backend takes none. */
static char *threads_share(const LoomNode *config, const LoomRegistry *registry, char **set)
{
    const LoomNode *backend = loom_node_get(config, "backend");
    const LoomNode *threads = loom_node_get(backend, "threads");
    const LoomNode *use = loom_node_get(backend, "use");
    const LoomPlugin *plugin =
        use && use->text ? loom_registry_find(registry, LOOM_KIND_BACKEND, use->text) : NULL;
    const LoomParam *param = plugin ? plugin->params : NULL;

    for (; set && *set; set++)
        if (g_str_has_prefix(*set, "backend.threads="))
            return NULL;
    if (threads && g_strcmp0(threads->text, "0") != 0)
        return NULL;
    while (param && param->name && !g_str_equal(param->name, "threads"))
        param++;
    if (!param || !param->name)
        return NULL;
    return g_strdup_printf("backend.threads=%d", MAX(1, (int)loom_processors() / ranks_option));
}

static gboolean ranks_prepare(Ranks *ranks, const CommandLine *line)
{
    g_autoptr(LoomRegistry) registry = command_registry(line);
    g_autoptr(LoomNode) config = registry ? command_config(line) : NULL;
    g_autofree char *folder = run_folder_path(folder_option, line->arguments[0]);
    g_autoptr(GError) error = NULL;

    if (!config)
        return FALSE;
    ranks->line = line;
    ranks->threads = threads_share(config, registry, line->set);
    if (ranks->threads && !no_bind_option)
        ranks->shares = rank_processors_deal((guint)ranks_option);
    terminal_live("checking the config and the data");
    /* a mistake is said once, not by each rank */
    const gboolean sound = command_config_sound(config, registry, &error);
    terminal_live(NULL);
    if (!sound) {
        command_fail(0, error);
        return FALSE;
    }
    ranks->manifest = g_build_filename(folder, "manifest.json", NULL);
    ranks->old_manifest = file_identity(ranks->manifest);
    if ((ranks->program = g_file_read_link("/proc/self/exe", &error)))
        return TRUE;
    command_fail(0, error);
    return FALSE;
}

int cmd_launch(int argc, char **argv)
{
    g_auto(CommandLine) line = {0};
    g_auto(Ranks) ranks = {0};
    g_autoptr(GError) error = NULL;
    g_autofree char *folder = NULL;

    if (!command_parse(&line, &usage, argc, argv) || !numbers_check()
        || !ranks_prepare(&ranks, &line))
        return COMMAND_WRONG;
    if (ranks_option > 1) {
        if (!(folder = launch_folder_make(&error)))
            return command_fail(COMMAND_FAILED, error);
        ranks.meet = g_strdup_printf("ipc://%s/meet", folder);
    }
    const LaunchPlan plan = {
        .n = (guint)ranks_option,
        .restarts = (guint)restart_option,
        .shares = ranks.shares,
        .command = rank_command,
        .data = &ranks,
    };
    const int code = launch_run(&plan);
    if (folder)
        launch_folder_remove(folder);
    if ((code == COMMAND_SUSPENDED || code == COMMAND_INTERRUPTED)
        && file_identity(ranks.manifest))
        again_print(&line);
    return code;
}
