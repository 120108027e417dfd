/* cmd_check - segloom check: every problem of config, data and plugins before any work. */
#include "check_print.h"
#include "command.h"
#include "interrupt.h"
#include "study_plan.h"
#include "terminal.h"

#include "core/lock.h"

#include <math.h>

static gboolean json_option, strict_option, time_option;
static char *fix_option;

static const GOptionEntry options[] = {
    {"json", 0, 0, G_OPTION_ARG_NONE, &json_option, "One JSON object instead of text", NULL},
    {"fix", 0, 0, G_OPTION_ARG_FILENAME, &fix_option,
     "Copy the data set, put right without guessing", "DIR"},
    {"time", 0, 0, G_OPTION_ARG_NONE, &time_option, "Run a few steps to see how long they take",
     NULL},
    {"strict", 0, 0, G_OPTION_ARG_NONE, &strict_option, "Warnings count as errors", NULL},
    G_OPTION_ENTRY_NULL,
};

static const CommandUsage usage = {
    .arguments = "CONFIG",
    .min = 1,
    .max = 1,
    .summary =
        "Finds every problem of config, data and plugins in one pass and changes\n"
        "nothing: reads all keys, headers, labels and voxels.  Shows the threads, what\n"
        "flows, the classes, memory and disk ahead.  Ends with 2 where there is an error.\n"
        "Of a study (study: {...}) it looks at the first run and at every loss.\n"
        "\n"
        "Each problem has a code: E-... an error, W-... a warning, N-... a note.\n"
        "With --json, what could not be looked at being left out:\n"
        "  {config, errors, warnings, notes, problems: [{severity, code, file, line,\n"
        "  column, case, text}], dataset: {name, folder, cases, train, validate,\n"
        "  channels, labels}, classes: [{label, value, name, train: {cases, voxels},\n"
        "  validate: {...}}], steps, ranks, model_bytes, packets_in_flight, memory:\n"
        "  {bytes, ceiling, program, weights, kept, queues, work, graph, cache}, disk:\n"
        "  {checkpoint_bytes, prediction_bytes}, time: {step_seconds, load_seconds},\n"
        "  fixed: [{file, case, done, left}]}\n"
        "\n"
        "--fix DIR copies the data set: files that are odd but clear (bytes behind the\n"
        "end, slope 0, forms that prefer: settles, grids that differ by rounding, float\n"
        "labels) are written anew, all others are links; what is left is listed.",
    .example = "segloom check configs/hippocampus.yaml --set data.dataset=DIR",
    .options = options,
    .flags = COMMAND_CONFIG | COMMAND_MODULES,
};

/* ---- warnings of engine and plugins -------------------------------------------------- */

static LoomLock heard_lock = PTHREAD_MUTEX_INITIALIZER; /* guards heard */
static LoomFindings *heard;

static void log_hear(const char *domain, GLogLevelFlags level, const char *text,
                     G_GNUC_UNUSED gpointer data)
{
    if (level & G_LOG_LEVEL_WARNING) {
        LOOM_LOCKED(&heard_lock);
        loom_finding_add(heard, g_strcmp0(domain, "loom-data") == 0 ? "W-DATA" : "W-LOG", NULL,
                         NULL, "%s", text);
    } else if (level & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL)) {
        terminal_print("segloom: internal error: %s", text);
    } else if (command_verbose()) {
        terminal_print("segloom: %s", text);
    }
}

/* ---- text ---------------------------------------------------------------------------- */

static guint split_size(const LoomDataset *dataset, LoomSplit split)
{
    guint n = 0;

    g_free(loom_dataset_split(dataset, split, &n));
    return n;
}

static void dataset_print(const LoomDataset *dataset)
{
    g_autofree char *channels = g_strjoinv(", ", dataset->channel_names);

    g_print("data      %s: %u cases, %u train, %u validate\n", dataset->name, dataset->n_cases,
            split_size(dataset, LOOM_SPLIT_TRAIN), split_size(dataset, LOOM_SPLIT_VALIDATE));
    g_print("channels  %s\n", channels);
    if (dataset->label_names) {
        g_autofree char *labels = g_strjoinv(", ", dataset->label_names);
        g_autofree char *values = loom_dataset_values_text(dataset);
        g_print("labels    %s\n", labels);
        if (values)
            g_print("masks     hold %s\n", values);
    }
}

/* "2 h 5 min", "40 s"; (transfer full). */
static char *duration_text(double seconds)
{
    if (seconds < 120)
        return g_strdup_printf("%.3g s", seconds);
    const double minutes = round(seconds / 60);
    if (minutes < 120)
        return g_strdup_printf("%.0f min", minutes);
    return g_strdup_printf("%.0f h %.0f min", floor(minutes / 60), fmod(minutes, 60));
}

static void time_print(const LoomRun *run, const CheckTime *time)
{
    const double steps = (double)loom_run_steps(run) * time->step;
    g_autofree char *all = duration_text(steps);

    if (time->load <= 0) {
        g_print("time      not measured (--time runs a few steps)\n");
        return;
    }
    g_print("time      a case loads in %.3g s", time->load);
    if (time->step > 0)
        g_print(", a step takes %.3g s\n          %s in all, without validation", time->step,
                all);
    g_print("\n");
}

static void bytes_append(GString *text, const char *what, const char *name, guint64 bytes)
{
    g_autofree char *size = command_bytes(bytes);

    if (bytes)
        g_string_append_printf(text, "          %10s  %s%s\n", size, what, name);
}

static void memory_print(const LoomRunMemory *sum)
{
    g_autofree char *all = command_bytes(loom_run_memory_sum(sum));
    g_autofree char *ceiling = command_bytes(sum->ceiling);
    g_autoptr(GString) parts = g_string_new(NULL);

    bytes_append(parts, "program, libraries, threads", "", sum->program);
    bytes_append(parts, "weights", "", sum->weights);
    bytes_append(parts, "gradients, activations, moments and other that stays", "", sum->kept);
    bytes_append(parts, "packets in queues", "", sum->queues);
    bytes_append(parts, "packets in work", "", sum->hand);
    bytes_append(parts, "packets of graph ", sum->graph ? sum->graph : "", sum->other);
    bytes_append(parts, "kept cases", "", sum->cache);
    g_print("memory    at most %s%s%s\n%s", all, sum->ceiling ? ", the ceiling is " : "",
            sum->ceiling ? ceiling : "", parts->str);
}

static void needs_print(const LoomRun *run, const CheckTime *time)
{
    guint64 checkpoints, predictions;

    loom_run_disk(run, &checkpoints, &predictions);
    g_autofree char *kept = command_bytes(checkpoints);
    g_autofree char *masks = command_bytes(predictions);
    g_print("steps     %" G_GINT64_FORMAT "\n", loom_run_steps(run));
    if (loom_run_processes(run) > 1)
        g_print("ranks     at least %u, or one that does it all\n", loom_run_processes(run));
    if (loom_run_memory(run))
        memory_print(loom_run_memory(run));
    if (loom_run_packets(run) > 0)
        g_print("packets   at most %u in flight\n", (guint)loom_run_packets(run));
    g_print("disk      %s for checkpoints and model%s%s%s\n", kept, predictions ? ", " : "",
            predictions ? masks : "", predictions ? " for masks before compression" : "");
    time_print(run, time);
}

static guint width(void)
{
    return CLAMP(terminal_width(), 60, 100);
}

static void count_append(GString *text, guint n, const char *what)
{
    if (n)
        g_string_append_printf(text, "%s%u %s%s", text->len ? ", " : "", n, what,
                               n == 1 ? "" : "s");
}

static void text_print(const LoomRun *run, const LoomFindings *findings, const CheckTime *time)
{
    const LoomDataset *dataset = run ? loom_run_dataset(run) : NULL;
    g_autoptr(GString) sum = g_string_new(NULL);

    if (run && loom_run_planned(run)) {
        g_autofree char *table = loom_run_describe(run);

        g_print("%s%s", table, g_str_has_suffix(table, "\n") ? "\n" : "\n\n");
    }
    if (dataset)
        dataset_print(dataset);
    if (run && loom_run_planned(run))
        needs_print(run, time);
    if (run && loom_run_survey(run) && dataset->n_labels) {
        g_print("\n");
        check_classes_print(loom_run_survey(run));
    }
    if (loom_findings_count(findings) && dataset)
        g_print("\n");
    check_findings_print(findings, dataset ? dataset->folder : NULL, width());
    count_append(sum, loom_findings_of(findings, LOOM_SEVERITY_ERROR), "error");
    count_append(sum, loom_findings_of(findings, LOOM_SEVERITY_WARNING), "warning");
    count_append(sum, loom_findings_of(findings, LOOM_SEVERITY_NOTE), "note");
    if (loom_findings_of(findings, LOOM_SEVERITY_ERROR)
        || loom_findings_of(findings, LOOM_SEVERITY_WARNING))
        g_print("%s\n", sum->str);
    else
        g_print("no problem found%s%s\n", sum->len ? ", " : "", sum->str);
}

/* ---- the command --------------------------------------------------------------------- */

/* From here on what engine and plugins warn of is kept, until hearing_end. */
static void hearing_begin(void)
{
    heard = loom_findings_new();
    g_log_set_default_handler(log_hear, NULL);
}

/* @to: takes what was heard; NULL: it was heard before. */
static void hearing_end(LoomFindings *to)
{
    command_log_init();
    if (to)
        loom_findings_move(to, heard, NULL);
    g_clear_pointer(&heard, loom_findings_free);
}

/* Opens without doing; what engine and plugins warn of meanwhile is a finding too. */
static LoomRun *run_look(LoomNode *config, const LoomRegistry *registry, LoomFindings *findings)
{
    const LoomRunOptions look = {.findings = findings};

    hearing_begin();
    terminal_live("checking the config and all voxels of the data");
    LoomRun *run = loom_run_open(config, registry, &look, NULL);
    terminal_live(NULL);
    hearing_end(findings);
    loom_findings_sort(findings);
    return run;
}

/* --time, of a config without errors. */
static void measure(const LoomNode *config, const LoomRegistry *registry, const LoomRun *run,
                    LoomFindings *findings, CheckTime *time)
{
    if (!time_option || !run || !loom_run_planned(run)
        || loom_findings_of(findings, LOOM_SEVERITY_ERROR))
        return;
    hearing_begin();
    terminal_live("running a few steps");
    check_time(config, registry, run, findings, time);
    terminal_live(NULL);
    hearing_end(NULL);
}

/* --fix DIR.  NULL: it was not asked for, or failed with a finding. */
static GPtrArray *fix(const LoomRun *run, LoomFindings *findings)
{
    GError *error = NULL;
    GPtrArray *fixed = NULL;

    if (!fix_option)
        return NULL;
    if (!run || !loom_run_survey(run))
        loom_fail_as(&error, "E-FIX", LOOM_ERROR_CONFIG,
                     "--fix: there is no data set that could be opened");
    else
        fixed = loom_fix(loom_run_survey(run), findings, fix_option, &error);
    if (!fixed) {
        loom_error_call(error, "E-FIX");
        loom_findings_take(findings, error);
    }
    return fixed;
}

static void print(const CommandLine *line, const LoomRun *run, const LoomFindings *findings,
                  const CheckTime *time, const GPtrArray *fixed)
{
    if (json_option) {
        g_autofree char *text = check_json(line->arguments[0], run, findings, time, fixed);

        g_print("%s\n", text);
        return;
    }
    text_print(run, findings, time);
    if (fixed)
        check_fixed_print(fixed, fix_option, width());
}

/* ---- a study ------------------------------------------------------------------------- */

/* A config with the section 'study:', which no run knows: @plan is what it makes of it, and the
 * first of its runs is looked at. */
static LoomNode *config_choose(LoomNode *config, StudyPlan **plan, GError **error)
{
    if (!config || !loom_node_get(config, "study"))
        return config;
    *plan = study_plan_new(config, error);
    return *plan ? ((const StudyRun *)(*plan)->runs->pdata[0])->config : NULL;
}

/* Where the first run is sound: those of the other losses, on the same fold. */
static void losses_look(const StudyPlan *plan, const LoomRegistry *registry,
                        LoomFindings *findings)
{
    const LoomRunOptions look = {.folder = NULL};
    const guint n = plan ? g_strv_length(plan->losses) : 0;

    if (loom_findings_of(findings, LOOM_SEVERITY_ERROR))
        return;
    hearing_begin();
    for (guint i = 1; i < n; i++) {
        const StudyRun *planned = plan->runs->pdata[i];
        g_autofree char *text = g_strdup_printf("checking %s", planned->name);
        GError *error = NULL;

        terminal_live(text);
        g_autoptr(LoomRun) run = loom_run_open(planned->config, registry, &look, &error);
        if (!run)
            loom_findings_take(findings, error);
    }
    terminal_live(NULL);
    hearing_end(NULL);
    loom_findings_sort(findings);
}

int cmd_check(int argc, char **argv)
{
    g_auto(CommandLine) line = {0};
    GError *error = NULL;
    CheckTime time = {0};

    if (!command_parse(&line, &usage, argc, argv))
        return COMMAND_WRONG;
    interrupt_watch();
    g_autoptr(LoomRegistry) registry = command_registry(&line);
    if (!registry)
        return COMMAND_WRONG;
    g_autoptr(LoomFindings) findings = loom_findings_new();
    g_autoptr(LoomNode) config = command_config_read(&line, &error);
    g_autoptr(StudyPlan) study = NULL;
    LoomNode *looked = config_choose(config, &study, &error);
    g_autoptr(LoomRun) run = NULL; /* freed before what it borrows */
    if (looked)
        run = run_look(looked, registry, findings);
    else
        loom_findings_take(findings, error);
    losses_look(study, registry, findings);
    g_autoptr(GPtrArray) fixed = fix(run, findings);
    measure(looked, registry, run, findings, &time);
    print(&line, run, findings, &time, fixed);
    if (interrupt_caught())
        return 128 + interrupt_caught();
    const guint errors = loom_findings_of(findings, LOOM_SEVERITY_ERROR);
    const guint warnings = loom_findings_of(findings, LOOM_SEVERITY_WARNING);
    return errors || (strict_option && warnings) ? COMMAND_WRONG : COMMAND_DONE;
}
