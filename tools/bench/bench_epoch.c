/* bench_epoch - segloom bench epoch: the first steps of somebody's own config, with the loading
 * of its data, in a folder that is thrown away.
 *
 * A gate is put in front of the first stage that has the trained network: from the moment at
 * which the stages below it are done to the arrival of the next batch the network waits. */
#define _XOPEN_SOURCE 700 /* nftw */

#include "bench_execute.h"
#include "bench_line.h"
#include "bench_stages.h"
#include "cmd_bench.h"
#include "command.h"
#include "interrupt.h"

#include <ftw.h>
#include <glib/gstdio.h>
#include <string.h>

#define GATE "bench_gate"

static gint steps_option = 20;
static char *config_option;
static char **set_option;
static gboolean json_option;

static const GOptionEntry options[] = {
    {"config", 0, 0, G_OPTION_ARG_FILENAME, &config_option, "The run; required", "FILE"},
    {"set", 0, 0, G_OPTION_ARG_STRING_ARRAY, &set_option,
     "Replace a value of the config; may be repeated", "a.b=VALUE"},
    {"steps", 0, 0, G_OPTION_ARG_INT, &steps_option,
     "How many, 20 by default; a first one is left out", "N"},
    {"json", 0, 0, G_OPTION_ARG_NONE, &json_option, "One object on one line", NULL},
    G_OPTION_ENTRY_NULL,
};

static const CommandUsage usage = {
    .summary = "Times the first steps of a config, with its data loading, and the share\n"
               "of the time in which the network waits for data.  Leaves nothing behind.",
    .example = "segloom bench epoch --config configs/hippocampus.yaml --steps 40",
    .options = options,
    .flags = COMMAND_MODULES,
};

/* ---- the gate ----------------------------------------------------------------------- */

static gboolean steps_count(const LoomRegistry *registry, const LoomNode *stage)
{
    const LoomNode *use = loom_node_get(stage, "use");
    const LoomPlugin *plugin =
        use && use->text ? loom_registry_find(registry, LOOM_KIND_STAGE, use->text) : NULL;

    return plugin && (((const LoomStage *)plugin)->flags & LOOM_STAGE_STEP);
}

/* Upwards from the stage that steps: the highest stage that has a model.  NULL: none.  @id:
 * its name. */
static LoomNode *first_with_model(const LoomRegistry *registry, const LoomNode *graph,
                                  const char **id)
{
    LoomNode *found = NULL, *stage = NULL;
    const char *name = NULL;

    for (guint i = 0; i < graph->items->len && !stage; i++)
        if (steps_count(registry, graph->items->pdata[i])) {
            stage = graph->items->pdata[i];
            name = ((const LoomNode *)graph->keys->pdata[i])->text;
        }
    for (guint n = 0; stage && n <= graph->items->len; n++) { /* a cycle ends as well */
        const LoomNode *from = loom_node_get(stage, "from");

        if (loom_node_get(stage, "model")) {
            found = stage;
            *id = name;
        }
        name = from ? from->text : NULL;
        stage = name ? loom_node_get(graph, name) : NULL;
    }
    return found;
}

/* PATH=VALUE on the config. */
static gboolean put(LoomNode *config, GError **error, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

static gboolean put(LoomNode *config, GError **error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *assignment = g_strdup_vprintf(format, args);
    va_end(args);
    return loom_yaml_set(config, assignment, "/", error);
}

/* The queue in front of the network, if there is one, is the gate's now: the lane begins with
 * it. */
static gboolean gate_insert(LoomNode *config, const LoomRegistry *registry, GError **error)
{
    const LoomNode *graph_name = loom_node_get(loom_node_get(config, "run"), "graph");
    const LoomNode *graph =
        graph_name && graph_name->text
            ? loom_node_get(loom_node_get(config, "graphs"), graph_name->text)
            : NULL;
    const char *id = NULL;
    LoomNode *stage = graph && graph->type == LOOM_NODE_MAPPING
                          ? first_with_model(registry, graph, &id)
                          : NULL;
    const LoomNode *from = loom_node_get(stage, "from"), *queue = loom_node_get(stage, "queue");

    if (!from || from->type != LOOM_NODE_SCALAR || (queue && queue->type != LOOM_NODE_SCALAR))
        return loom_node_fail(config, error,
                              "no graph that 'run:' names trains a network: nothing to time");
    g_autofree char *key = g_strdup_printf("graphs.%s.", graph_name->text);
    g_autofree char *queued = queue ? g_strdup_printf(", queue: %s", queue->text) : NULL;
    if (!put(config, error, "%s" GATE "={use: " GATE ", from: %s, steps: %d%s}", key,
             from->text, steps_option, queue ? queued : "")
        || !put(config, error, "%s%s.from=" GATE, key, id))
        return FALSE;
    for (guint i = 0; queue && i < stage->keys->len; i++)
        if (g_str_equal(((const LoomNode *)stage->keys->pdata[i])->text, "queue")) {
            g_ptr_array_remove_index(stage->items, i);
            g_ptr_array_remove_index(stage->keys, i);
            break;
        }
    return TRUE;
}

/* ---- the run ------------------------------------------------------------------------ */

static int entry_remove(const char *path, G_GNUC_UNUSED const struct stat *status,
                        G_GNUC_UNUSED int type, G_GNUC_UNUSED struct FTW *where)
{
    return g_remove(path);
}

static int result_print(const BenchMeasured *measured)
{
    const guint n = measured->seconds->len;
    const double waited = measured->idle / (measured->idle + measured->busy);

    if (n == 0)
        return command_fail_text(COMMAND_WRONG,
                                 "the run ended before its second step: nothing to time");
    const double median = bench_median(measured->seconds);
    const double least = bench_least(measured->seconds);
    if (!json_option) {
        g_print("epoch: %u steps, %.4f s each (least %.4f), waited for data %.1f %% of the "
                "time, memory at most %.0f MiB\n",
                n, median, least, 100 * waited, bench_peak_mib());
        return COMMAND_DONE;
    }
    JsonBuilder *line = bench_line_new("epoch");
    bench_line_text(line, "config", config_option);
    bench_line_texts(line, "set", set_option);
    bench_line_integer(line, "steps", n);
    bench_line_number(line, "waited", waited);
    bench_line_end(line, median, least);
    return COMMAND_DONE;
}

static int run_in(const char *folder, LoomNode *config, const LoomRegistry *registry)
{
    const BenchMeasured *measured = bench_measured_begin();
    const int code = bench_execute(config, registry, folder);

    return code == COMMAND_DONE ? result_print(measured) : code;
}

int bench_epoch(int argc, char **argv)
{
    g_auto(CommandLine) line = {0};
    g_autoptr(GError) error = NULL;
    g_autoptr(LoomNode) config = NULL;

    if (!command_parse(&line, &usage, argc, argv))
        return COMMAND_WRONG;
    if (!config_option)
        return command_fail_text(COMMAND_WRONG, "'%s' wants --config FILE (see '%s --help')",
                                 g_get_prgname(), g_get_prgname());
    interrupt_watch();
    g_autoptr(LoomRegistry) registry = command_registry(&line);
    if (!registry)
        return COMMAND_WRONG;
    if (!bench_count("--steps", steps_option, 1000000, &error)
        || !loom_registry_add(registry, &bench_stages, "segloom bench", &error)
        || !(config = command_set(loom_yaml_read(config_option, &error), set_option, &error))
        || !gate_insert(config, registry, &error))
        return command_fail(COMMAND_WRONG, error);
    g_autofree char *folder = g_dir_make_tmp("segloom-bench-XXXXXX", &error);
    if (!folder)
        return command_fail(COMMAND_FAILED, error);
    const int code = run_in(folder, config, registry);
    nftw(folder, entry_remove, 16, FTW_DEPTH | FTW_PHYS);
    return code;
}
