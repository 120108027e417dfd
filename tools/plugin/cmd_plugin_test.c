/* cmd_plugin_test - segloom plugin test: what a module promises, one line a check. */
#include "cmd_plugin.h"

#include "command.h"
#include "plugin/check.h"
#include "plugin_open.h"
#include "trial.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SECONDS 120 /* a check that takes longer hangs */
#define THREADS 2   /* so that a result that depends on them shows */

static char *with_option;

static const GOptionEntry options[] = {
    {"with", 0, 0, G_OPTION_ARG_STRING, &with_option,
     "Parameters as in a config: 'gamma: 2, batch: true'", "KEYS"},
    G_OPTION_ENTRY_NULL,
};

static const CommandUsage usage = {
    .arguments = "FILE.so",
    .min = 1,
    .max = 1,
    .summary = "Tests a module, one line a check: its tables; of a loss the gradient against\n"
               "differences, hard probabilities, absent classes, speed; of a metric empty\n"
               "masks; of a stage that equal packets stay equal.  Exit code 1: one failed.",
    .example = "segloom plugin test build/loss_mine.so --with 'gamma: 2'",
    .options = options,
    .flags = COMMAND_MODULES,
};

/* One check of one plugin, as the child gets it. */
typedef struct {
    LoomRegistry *registry;
    const char *path;
    const LoomPlugin *plugin;
    const LoomCheck *check;
} Task;

typedef struct {
    guint done, failed;
} Score;

static gboolean try_and_print(const char *name, TrialFunc func, Task *task, Score *score)
{
    g_autoptr(GString) text = g_string_new(NULL);
    const gboolean passed = trial_run(func, task, SECONDS, text);

    g_print("  %-6s  %-17s %s\n", passed ? "ok" : "FAILED", name, text->str);
    score->done++;
    score->failed += passed ? 0 : 1;
    return passed;
}

/* ---- before anything is called ------------------------------------------------------ */

static gboolean same_file(const char *a, const char *b)
{
    g_autofree char *x = realpath(a, NULL), *y = realpath(b, NULL);

    return x && y && g_str_equal(x, y);
}

/* A module of the built-in folder is there already. */
static gboolean loaded_already(const LoomRegistry *registry, const char *path)
{
    for (guint kind = 1; kind <= LOOM_N_KINDS; kind++) {
        g_autofree const LoomPlugin **list = loom_registry_list(registry, (LoomKind)kind);

        for (guint i = 0; list[i]; i++)
            if (same_file(loom_registry_path(registry, list[i]), path))
                return TRUE;
    }
    return FALSE;
}

static gboolean load(gpointer data, GString *found, GError **error)
{
    const Task *task = data;

    if (!loaded_already(task->registry, task->path)
        && !loom_registry_load(task->registry, task->path, error))
        return FALSE;
    g_string_append(found, "ABI, names, tables, defaults");
    return TRUE;
}

/* One name in four places: file, module, plugin, YAML.  A file with several plugins is named
 * after one of them. */
static gboolean descriptor(gpointer data, GString *found, GError **error)
{
    const Task *task = data;
    const LoomPlugin *plugin = task->plugin;
    g_autofree char *file = g_path_get_basename(task->path);
    g_autofree char *wanted =
        g_strdup_printf("%s_%s.so", loom_kind_name(plugin->kind), plugin->name);
    g_autofree char *origin = loom_registry_origin(task->registry, plugin);
    guint rows = 0;

    for (const LoomParam *row = plugin->params; row && row->name; row++, rows++)
        if (g_str_has_suffix(row->help, "."))
            return loom_fail(error, LOOM_ERROR_PLUGIN,
                             "the help of key '%s' ends with a full stop, and stands in tables",
                             row->name);
    if (!g_str_equal(file, wanted))
        return loom_fail(error, LOOM_ERROR_PLUGIN, "the file is '%s', want '%s'", file, wanted);
    g_string_append_printf(found, "%s; %u keys with help and valid defaults", origin, rows);
    return TRUE;
}

/* ---- an instance -------------------------------------------------------------------- */

static LoomInstance *open_plugin(const Task *task, LoomKind kind, const char *name,
                                 const char *with, GError **error)
{
    g_autofree char *here = g_get_current_dir();
    g_autofree char *text =
        g_strdup_printf("{use: %s%s%s}", name, with ? ", " : "", with ? with : "");
    /* Node and pool are the child's until it ends. */
    LoomNode *node = loom_yaml_parse(text, strlen(text), "--with", here, error);

    return node ? plugin_open(task->registry, loom_pool_new(THREADS), kind, node, error) : NULL;
}

/* A stage may need data, a model or a graph, and says so: that is no fault. */
static gboolean opens(gpointer data, GString *found, GError **error)
{
    const Task *task = data;
    g_autoptr(LoomInstance) instance =
        open_plugin(task, task->plugin->kind, task->plugin->name, with_option, error);

    if (instance) {
        g_string_append(found, with_option ? with_option : "with its defaults");
        return TRUE;
    }
    if (!with_option)
        g_prefix_error(error, "without parameters (see --with): ");
    if (task->plugin->kind != LOOM_KIND_STAGE)
        return FALSE;
    g_string_append_printf(found, "not here, outside of a run: %s", (*error)->message);
    g_clear_error(error);
    return TRUE;
}

static gboolean checked(gpointer data, GString *found, GError **error)
{
    const Task *task = data;
    const LoomInstance closed = {task->plugin, NULL, task->plugin->name};

    if (task->check->tables)
        return task->check->run(&closed, found, error);
    g_autoptr(LoomInstance) instance =
        open_plugin(task, task->plugin->kind, task->plugin->name, with_option, error);
    if (instance || task->plugin->kind != LOOM_KIND_STAGE)
        return instance && task->check->run(instance, found, error);
    g_string_append(found, "not tried: the stage was not opened");
    g_clear_error(error);
    return TRUE;
}

static gboolean speed(gpointer data, GString *found, GError **error)
{
    const Task *task = data;
    g_autoptr(LoomInstance) loss =
        open_plugin(task, LOOM_KIND_LOSS, task->plugin->name, with_option, error);
    g_autoptr(LoomInstance) dice =
        loss ? open_plugin(task, LOOM_KIND_LOSS, "dice", NULL, error) : NULL;
    const LoomInstance *const both[2] = {loss, dice};
    double ms[2];

    if (!loss || !dice || !loom_loss_times(both, ms, error))
        return FALSE;
    g_string_append_printf(found, "%.2f ms for 2x3x40x56x40, %.1f times dice", ms[0],
                           ms[0] / ms[1]);
    return TRUE;
}

/* ---- a plugin, a module ------------------------------------------------------------- */

static const LoomCheck *checks_of(LoomKind kind)
{
    switch (kind) {
    case LOOM_KIND_LOSS:
        return loom_loss_checks();
    case LOOM_KIND_METRIC:
        return loom_metric_checks();
    case LOOM_KIND_STAGE:
        return loom_stage_checks();
    case LOOM_KIND_MODEL:
    case LOOM_KIND_BACKEND:
    case LOOM_KIND_TRANSPORT:
    case LOOM_KIND_COLLECTIVE:
        break;
    }
    return NULL;
}

static void plugin_test(Task *task, Score *score)
{
    const LoomPlugin *plugin = task->plugin;
    const LoomCheck *check = checks_of(plugin->kind);

    g_print("%s %s - %s\n", loom_kind_name(plugin->kind), plugin->name, plugin->summary);
    try_and_print("descriptor", descriptor, task, score);
    if (!check) {
        g_print("  a %s is more than a call: only its tables were looked at\n",
                loom_kind_name(plugin->kind));
        return;
    }
    if (!try_and_print("opens", opens, task, score))
        return;
    for (; check->name; check++) {
        task->check = check;
        try_and_print(check->name, checked, task, score);
    }
    if (plugin->kind == LOOM_KIND_LOSS)
        try_and_print("speed", speed, task, score);
}

static void module_test(Task *task, Score *score)
{
    for (guint kind = 1; kind <= LOOM_N_KINDS; kind++) {
        g_autofree const LoomPlugin **list = loom_registry_list(task->registry, (LoomKind)kind);

        for (guint i = 0; list[i]; i++)
            if (same_file(loom_registry_path(task->registry, list[i]), task->path)) {
                task->plugin = list[i];
                plugin_test(task, score);
            }
    }
}

int cmd_plugin_test(int argc, char **argv)
{
    g_auto(CommandLine) line = {0};
    g_autoptr(GString) found = g_string_new(NULL);
    g_autoptr(GError) error = NULL;
    Score score = {0};

    if (!command_parse(&line, &usage, argc, argv))
        return COMMAND_WRONG;
    if (!g_file_test(line.arguments[0], G_FILE_TEST_IS_REGULAR))
        return command_fail_text(COMMAND_WRONG, "'%s' is no file", line.arguments[0]);
    g_autoptr(LoomRegistry) registry = command_registry(&line);
    if (!registry)
        return COMMAND_WRONG;
    Task task = {registry, line.arguments[0], NULL, NULL};
    /* In a child first: what happens at load may crash as well. */
    if (try_and_print("loads", load, &task, &score) && load(&task, found, &error))
        module_test(&task, &score);
    if (score.failed) {
        g_print("%u of %u checks failed\n", score.failed, score.done);
        return COMMAND_FAILED;
    }
    g_print("%u checks, all passed\n", score.done);
    return COMMAND_DONE;
}
