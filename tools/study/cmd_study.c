/* cmd_study - segloom study: the same training with several losses, folds and seeds, and what
 * the difference between the losses is.  Each run is an ordinary one in a folder of its own; a
 * study that was stopped goes on with the same command. */
#include "command.h"
#include "interrupt.h"
#include "manifest.h"
#include "progress.h"
#include "run_folder.h"
#include "study_balance.h"
#include "study_plan.h"
#include "study_report.h"
#include "terminal.h"

#include "graph/run.h"

#include <loom/store.h>

#include <errno.h>
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

static char *folder_option;

static const GOptionEntry options[] = {
    {"output", 'o', 0, G_OPTION_ARG_FILENAME, &folder_option,
     "Folder of the study; runs/<config> by default", "DIR"},
    G_OPTION_ENTRY_NULL,
};

static const CommandUsage usage = {
    .arguments = "CONFIG",
    .min = 1,
    .max = 1,
    .summary = "Trains with every loss, fold and seed of the section 'study:', and compares.\n"
               "The same command goes on where it was stopped, and prints what is done.",
    .example = "segloom study configs/study-kits.yaml -o runs/kits",
    .options = options,
    .flags = COMMAND_CONFIG | COMMAND_MODULES,
};

typedef struct {
    const LoomRegistry *registry;
    const StudyPlan *plan;
    const char *folder;
    guint done, failed;
    gint64 began;   /* g_get_monotonic_time */
    guint executed; /* runs that took time */
    gint64 steps;   /* of each run */
} Study;

static char *run_folder(const Study *study, const StudyRun *run)
{
    return g_build_filename(study->folder, run->name, NULL);
}

/* ---- before any work ---------------------------------------------------------------- */

/* A run that is there already must be of the same config. */
static gboolean folder_check(const char *folder, const LoomRun *run, GError **error)
{
    g_autofree char *path = g_build_filename(folder, "config.yaml", NULL);
    g_autofree char *before = NULL;
    g_autofree char *now = loom_run_config(run);

    if (!g_file_get_contents(path, &before, NULL, NULL) || g_str_equal(before, now))
        return TRUE;
    return loom_fail(error, LOOM_ERROR_CONFIG,
                     "'%s' holds a run of another config: remove it, or name another folder "
                     "with -o",
                     folder);
}

/* Opens every run without a folder: all mistakes of all losses are found before the first step.
 */
static gboolean study_check(Study *study, GError **error)
{
    const LoomRunOptions check = {.folder = NULL};

    for (guint i = 0; i < study->plan->runs->len; i++) {
        const StudyRun *planned = study->plan->runs->pdata[i];
        g_autofree char *text = g_strdup_printf("checking run %u of %u, %s", i + 1,
                                                study->plan->runs->len, planned->name);
        g_autofree char *folder = run_folder(study, planned);

        terminal_live(text);
        g_autoptr(LoomRun) run = loom_run_open(planned->config, study->registry, &check, error);
        if (!run || !folder_check(folder, run, error))
            return FALSE;
        study->steps = loom_run_steps(run);
    }
    terminal_live(NULL);
    return TRUE;
}

/* ---- one run ------------------------------------------------------------------------ */

/* What is left, by the mean of the runs so far. */
static void run_say(const Study *study, guint number, const StudyRun *run)
{
    const guint all = study->plan->runs->len;
    g_autofree char *left = g_strdup("");

    if (study->executed) {
        const double seconds = (double)(g_get_monotonic_time() - study->began) * 1e-6;

        g_free(left);
        left = g_strdup_printf(", about %.0f min left",
                               ceil(seconds / study->executed * (all - number + 1) / 60));
    }
    terminal_print("run %u of %u: %s%s", number, all, run->name, left);
}

static LoomRun *run_open(const Study *study, const StudyRun *planned, const char *folder,
                         gboolean resume, Progress *progress, GError **error)
{
    const LoomRunOptions how = {.folder = folder,
                                .resume = resume,
                                .record = progress_record,
                                .moves = progress_move,
                                .data = progress};
    gboolean made;

    if (!run_folder_prepare(folder, resume, FALSE, &made, error))
        return NULL;
    LoomRun *run = loom_run_open(planned->config, study->registry, &how, error);
    if (!run && made)
        g_rmdir(folder); /* only if nothing is in it */
    return run;
}

/* A run that was stopped in its last validation has all its steps, but no scores: it is made
 * anew, for nothing else would validate it. */
static LoomRun *run_begin(const Study *study, const StudyRun *planned, const char *folder,
                          gboolean *resume, Progress *progress, GError **error)
{
    gboolean made;

    *resume = run_folder_used(folder);
    LoomRun *run = run_open(study, planned, folder, *resume, progress, error);
    if (!run || loom_run_step(run) < loom_run_steps(run))
        return run;
    loom_run_free(run);
    terminal_print("%s was stopped in its last validation: it begins anew", planned->name);
    *resume = FALSE;
    return run_folder_prepare(folder, FALSE, TRUE, &made, error)
               ? run_open(study, planned, folder, FALSE, progress, error)
               : NULL;
}

/* LOOM_RUN_FAILED: @error is set. */
static LoomRunEnd run_make(const Study *study, const StudyRun *planned, const char *folder,
                           GError **error)
{
    g_autoptr(Progress) progress = progress_new();
    gboolean resume = FALSE;
    g_autoptr(LoomRun) run = run_begin(study, planned, folder, &resume, progress, error);

    if (!run || !manifest_write(run, study->registry, folder, resume, error))
        return LOOM_RUN_FAILED;
    progress_set_steps(progress, loom_run_steps(run));
    interrupt_stops(run);
    const LoomRunEnd end = loom_run_execute(run, error);
    interrupt_stops(NULL);
    terminal_live(NULL);
    manifest_end(run, folder, end, error && *error ? *error : NULL);
    if (end == LOOM_RUN_DONE && !study_scores_there(folder, study->steps)) {
        loom_fail(error, LOOM_ERROR_CONFIG,
                  "'%s' has no metrics.csv with rows of the last step: the graph that "
                  "validates needs a stage 'metrics'",
                  folder);
        return LOOM_RUN_FAILED;
    }
    return end;
}

/* TRUE: go on with the next run.  A loss that fails does not keep the others from being
 * compared. */
static gboolean run_next(Study *study, guint number)
{
    const StudyRun *planned = study->plan->runs->pdata[number - 1];
    g_autofree char *folder = run_folder(study, planned);
    g_autoptr(GError) error = NULL;

    if (study_scores_there(folder, study->steps)) {
        study->done++;
        return TRUE;
    }
    run_say(study, number, planned);
    const LoomRunEnd end = run_make(study, planned, folder, &error);
    study->executed++;
    if (end == LOOM_RUN_STOPPED)
        return FALSE;
    if (end == LOOM_RUN_FAILED) {
        g_prefix_error(&error, "%s: ", planned->name);
        command_fail(COMMAND_FAILED, error);
        study->failed++;
    } else
        study->done++;
    return TRUE;
}

/* ---- the end ------------------------------------------------------------------------ */

static gboolean text_write(const Study *study, const char *name, const char *text,
                           GError **error)
{
    g_autofree char *path = g_build_filename(study->folder, name, NULL);

    return loom_file_replace(path, text, strlen(text), error);
}

static gboolean scores_gather(const Study *study, StudyScores *scores, GError **error)
{
    for (guint i = 0; i < study->plan->runs->len; i++) {
        const StudyRun *run = study->plan->runs->pdata[i];
        g_autofree char *folder = run_folder(study, run);

        if (study_scores_there(folder, study->steps)
            && !study_scores_add(scores, run, folder, study->steps, error))
            return FALSE;
    }
    study_scores_finish(scores, (guint64)((StudyRun *)study->plan->runs->pdata[0])->seed);
    return TRUE;
}

static int study_report(const Study *study)
{
    g_autoptr(StudyScores) scores = study_scores_new(study->plan);
    g_autoptr(GError) error = NULL;
    gboolean drawn = FALSE;

    if (!study->done)
        return COMMAND_FAILED;
    if (!scores_gather(study, scores, &error))
        return command_fail(COMMAND_FAILED, error);
    g_autofree char *table = study_report_table(scores);
    g_autofree char *csv = study_report_csv(scores);
    g_autofree char *json = study_report_json(scores);
    if (!text_write(study, "study.csv", csv, &error)
        || !text_write(study, "study.json", json, &error)
        || !study_balance_write(scores, study->folder, &drawn, &error))
        return command_fail(COMMAND_FAILED, error);
    g_print("%s%u of %u runs, in %s: study.csv, study.json%s\n", table, study->done,
            study->plan->runs->len, study->folder, drawn ? ", balance.svg, balance.png" : "");
    return study->failed ? COMMAND_FAILED : COMMAND_DONE;
}

static int study_in(Study *study, const LoomNode *config)
{
    g_autofree char *text = loom_yaml_write(config);
    g_autoptr(GError) error = NULL;

    if (!study_check(study, &error))
        return command_fail(COMMAND_WRONG, error);
    if (g_mkdir_with_parents(study->folder, 0777) != 0)
        return command_fail_text(COMMAND_WRONG, "'%s' cannot be made: %s", study->folder,
                                 g_strerror(errno));
    if (!text_write(study, "study.yaml", text, &error))
        return command_fail(COMMAND_FAILED, error);
    study->began = g_get_monotonic_time();
    for (guint i = 1; i <= study->plan->runs->len; i++)
        if (!run_next(study, i)) {
            terminal_print("stopped: %u of %u runs are done; the same command goes on",
                           study->done, study->plan->runs->len);
            return interrupt_code();
        }
    return study_report(study);
}

int cmd_study(int argc, char **argv)
{
    g_auto(CommandLine) line = {0};
    g_autoptr(GError) error = NULL;

    if (!command_parse(&line, &usage, argc, argv))
        return COMMAND_WRONG;
    interrupt_watch();
    g_autoptr(LoomRegistry) registry = command_registry(&line);
    g_autoptr(LoomNode) config = registry ? command_config(&line) : NULL;
    if (!config)
        return COMMAND_WRONG;
    g_autoptr(StudyPlan) plan = study_plan_new(config, &error);
    if (!plan)
        return command_fail(COMMAND_WRONG, error);
    g_autofree char *folder = run_folder_path(folder_option, line.arguments[0]);
    Study study = {.registry = registry, .plan = plan, .folder = folder};
    return study_in(&study, config);
}
