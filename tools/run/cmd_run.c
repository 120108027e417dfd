/* cmd_run - segloom run: a config from its text to its end, in a folder that keeps everything.
 */
#include "command.h"
#include "cross_validation.h"
#include "interrupt.h"
#include "manifest.h"
#include "progress.h"
#include "resume_config.h"
#include "run_folder.h"
#include "terminal.h"

#include "graph/run.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>

static char *folder_option, *folds_option, *rank_option, *size_option, *meet_option;
static gboolean resume_option, force_option, force_config_option, insecure_option;

static const GOptionEntry options[] = {
    {"output", 'o', 0, G_OPTION_ARG_FILENAME, &folder_option,
     "Folder of the run; runs/<config> by default", "DIR"},
    {"folds", 0, 0, G_OPTION_ARG_STRING, &folds_option, "Cross-validation, in DIR/fold_K",
     "all|0,2"},
    {"resume", 0, 0, G_OPTION_ARG_NONE, &resume_option, "Go on with the run in that folder",
     NULL},
    {"force-config", 0, 0, G_OPTION_ARG_NONE, &force_config_option,
     "With --resume: take a config that changed meanwhile", NULL},
    {"force", 0, 0, G_OPTION_ARG_NONE, &force_option, "Replace the run in that folder", NULL},
    {"rank", 0, 0, G_OPTION_ARG_STRING, &rank_option,
     "Which of several processes this is, from 0", "R"},
    {"size", 0, 0, G_OPTION_ARG_STRING, &size_option, "How many processes there are", "N"},
    {"meet", 0, 0, G_OPTION_ARG_STRING, &meet_option, "Where they meet: rank 0 listens there",
     "tcp://HOST:PORT"},
    {"insecure-network", 0, 0, G_OPTION_ARG_NONE, &insecure_option,
     "Allow clear text between hosts", NULL},
    G_OPTION_ENTRY_NULL,
};

static const CommandUsage usage = {
    .arguments = "CONFIG",
    .min = 1,
    .max = 1,
    .summary =
        "Runs a config.  Ctrl-C ends in order and saves; --resume goes on.  Under Slurm,\n"
        "MPI, torchrun or Kubernetes every process is a rank (segloom doctor --env).",
    .example = "segloom run configs/hippocampus.yaml --set data.dataset=DIR",
    .options = options,
    .flags = COMMAND_CONFIG | COMMAND_MODULES,
};

/* The command that goes on with this run. */
static char *resume_line(const CommandLine *line)
{
    GString *text = g_string_new("segloom run");

    command_word(text, line->arguments[0]);
    if (folder_option) {
        g_string_append(text, " -o");
        command_word(text, folder_option);
    }
    if (folds_option) {
        g_string_append(text, " --folds");
        command_word(text, folds_option);
    }
    for (char **set = line->set; set && *set; set++) {
        g_string_append(text, " --set");
        command_word(text, *set);
    }
    for (char **modules = line->modules; modules && *modules; modules++) {
        g_string_append(text, " --modules");
        command_word(text, *modules);
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

/* What started several ranks knows the command that does so again. */
static int stopped(const CommandLine *line, const LoomRun *run, guint ranks)
{
    g_autofree char *again = resume_line(line);

    if (loom_run_writes(run) && ranks > 1)
        terminal_print("stopped after step %" G_GINT64_FORMAT "; --resume goes on",
                       loom_run_step(run));
    else if (loom_run_writes(run))
        terminal_print("stopped after step %" G_GINT64_FORMAT "; go on with:\n  %s",
                       loom_run_step(run), again);
    return interrupt_code();
}

/* @opened: (transfer full). */
static int run_execute(const CommandLine *line, LoomRun *opened, const char *folder,
                       guint ranks)
{
    g_autoptr(LoomRun) run = opened;
    g_autoptr(GError) error = NULL;

    interrupt_stops(run);
    const LoomRunEnd end = loom_run_execute(run, &error);
    interrupt_stops(NULL);
    terminal_live(NULL);
    manifest_end(run, folder, end, error);
    if (end == LOOM_RUN_FAILED)
        return command_fail(COMMAND_FAILED, error);
    if (end == LOOM_RUN_STOPPED)
        return stopped(line, run, ranks);
    if (end == LOOM_RUN_CUT_OFF)
        return command_fail_text(COMMAND_SUSPENDED, "%s", loom_run_reason(run));
    if (!loom_run_writes(run))
        return COMMAND_DONE;
    const gint64 steps = loom_run_step(run);
    g_clear_pointer(&run, loom_run_free); /* with it goes what lies there for other ranks */
    g_print("done: %" G_GINT64_FORMAT " steps, in %s\n", steps, folder);
    if (folds_option) /* of all of them together later */
        return COMMAND_DONE;
    made_print(folder, "", 1);
    g_autoptr(GString) look = g_string_new("segloom report");
    command_word(look, folder_option ? folder_option : folder);
    g_print("as a page: %s\n", look->str);
    return COMMAND_DONE;
}

/* --insecure-network is a parameter of the transport, which a config need not name. */
static gboolean insecure_allow(LoomNode *config, GError **error)
{
    const LoomNode *cluster = loom_node_get(config, "cluster");
    const char *assignment = !cluster
                                 ? "cluster={transport: {use: zmq, insecure_network: true}}"
                             : !loom_node_get(cluster, "transport")
                                 ? "cluster.transport={use: zmq, insecure_network: true}"
                                 : "cluster.transport.insecure_network=true";

    return !insecure_option || loom_yaml_set(config, assignment, "/", error);
}

/* Rank 0 answers for the folder; the others may find the run in it already. */
static gboolean folder_take(const char *folder, gboolean resume, const LoomRendezvous *where,
                            LoomNode *config, const LoomRegistry *registry, gboolean *made,
                            GError **error)
{
    if (where->rank > 0)
        return g_mkdir_with_parents(folder, 0777) == 0
               || loom_fail(error, LOOM_ERROR_IO, "'%s' cannot be made: %s", folder,
                            g_strerror(errno));
    /* --force: a mistake in the config must not cost the old run, so it is looked for first */
    if (force_option && run_folder_used(folder)
        && !command_config_sound(config, registry, error))
        return FALSE;
    return run_folder_prepare(folder, resume, force_option, made, error);
}

/* Of several ranks one may be too early: a name, a port or a file is refused that another try
 * will find. */
static int open_code(const GError *error, guint ranks)
{
    return ranks > 1 && g_error_matches(error, LOOM_ERROR, LOOM_ERROR_IO) ? COMMAND_FAILED
                                                                          : COMMAND_WRONG;
}

typedef struct {
    const CommandLine *line;
    const LoomRegistry *registry;
} Runner;

static int run_in(LoomNode *config, const char *folder, gboolean resume, gpointer runner)
{
    const CommandLine *line = ((const Runner *)runner)->line;
    const LoomRegistry *registry = ((const Runner *)runner)->registry;
    const LoomRendezvousOptions said = {rank_option, size_option, meet_option};
    g_auto(GStrv) environment = g_get_environ();
    g_auto(LoomRendezvous) where = {0};
    g_autoptr(Progress) progress = progress_new();
    g_autoptr(GError) error = NULL;
    gboolean made = FALSE;

    if (!loom_rendezvous_find(&where, &said, environment, NULL, &error)
        || !insecure_allow(config, &error)
        || !folder_take(folder, resume, &where, config, registry, &made, &error)
        || (resume
            && !resume_config_check(config, registry, folder, force_config_option, &error)))
        return command_fail(COMMAND_WRONG, error);
    terminal_live("checking the config and the data");
    const LoomRunOptions how = {.folder = folder,
                                .resume = resume,
                                .rendezvous = &where,
                                .record = progress_record,
                                .moves = progress_move,
                                .data = progress};
    g_autoptr(LoomRun) run = loom_run_open(config, registry, &how, &error);
    if (!run) {
        if (made)
            g_rmdir(folder); /* only if nothing is in it */
        return command_fail(open_code(error, where.size), error);
    }
    if (where.rank == 0 && !manifest_write(run, registry, folder, resume, &error))
        return command_fail(COMMAND_FAILED, error);
    progress_set_steps(progress, loom_run_steps(run));
    return run_execute(line, g_steal_pointer(&run), folder, where.size);
}

/* Folds follow one another in one process: who has several processes gives each a fold. */
static int folds_in(LoomNode *config, const char *folder, Runner *runner)
{
    const LoomRendezvousOptions said = {rank_option, size_option, meet_option};
    const CrossValidation all = {.config = config,
                                 .registry = runner->registry,
                                 .folds = folds_option,
                                 .folder = folder,
                                 .resume = resume_option,
                                 .force = force_option,
                                 .run = run_in,
                                 .data = runner};
    g_auto(GStrv) environment = g_get_environ();
    g_auto(LoomRendezvous) where = {0};
    g_autoptr(GError) error = NULL;

    if (!loom_rendezvous_find(&where, &said, environment, NULL, &error))
        return command_fail(COMMAND_WRONG, error);
    if (where.size > 1)
        return command_fail_text(COMMAND_WRONG,
                                 "--folds runs in one process, this is one of %u: start a run "
                                 "for each fold, with --set data.fold=K -o DIR/fold_K",
                                 where.size);
    return cross_validation(&all);
}

int cmd_run(int argc, char **argv)
{
    g_auto(CommandLine) line = {0};

    if (!command_parse(&line, &usage, argc, argv))
        return COMMAND_WRONG;
    if (resume_option && force_option)
        return command_fail_text(COMMAND_WRONG, "--resume and --force exclude each other");
    if (force_config_option && !resume_option)
        return command_fail_text(COMMAND_WRONG, "--force-config is for --resume");
    interrupt_watch();
    g_autoptr(LoomRegistry) registry = command_registry(&line);
    g_autofree char *folder = run_folder_path(folder_option, line.arguments[0]);
    g_autoptr(LoomNode) config = registry ? command_config(&line) : NULL;
    Runner runner = {&line, registry};
    if (!config)
        return COMMAND_WRONG;
    return folds_option ? folds_in(config, folder, &runner)
                        : run_in(config, folder, resume_option, &runner);
}
