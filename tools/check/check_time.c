/* check_time - how long a step and a case take here: the first steps of the config itself,
 * without its validation, in no folder.
 *
 * What opening and the first step cost once is left out: (t(1 + N) - t(1)) / N. */
#include "check_print.h"

#include "interrupt.h"

#include <loom/tensor.h>

#define TIME_STEPS 4

/* Validation within those steps would be counted as steps. */
static void validation_remove(LoomNode *config)
{
    const LoomNode *name = loom_node_get(loom_node_get(config, "run"), "graph");
    LoomNode *graph = loom_node_get(loom_node_get(config, "graphs"), name->text);

    for (guint i = graph->items->len; i > 0; i--) {
        const LoomNode *use = loom_node_get(graph->items->pdata[i - 1], "use");
        const char *id = ((const LoomNode *)graph->keys->pdata[i - 1])->text;
        gboolean needed = FALSE;

        for (guint k = 0; k < graph->items->len; k++) {
            const LoomNode *from = loom_node_get(graph->items->pdata[k], "from");

            needed = needed || (from && g_strcmp0(from->text, id) == 0);
        }
        if (needed || !use || g_strcmp0(use->text, "run_graph") != 0)
            continue;
        g_ptr_array_remove_index(graph->items, i - 1);
        g_ptr_array_remove_index(graph->keys, i - 1);
    }
}

/* Seconds that @steps steps take once everything is open; below 0: they failed. */
static double steps_time(const LoomNode *given, const LoomRegistry *registry, guint steps,
                         GError **error)
{
    g_autoptr(LoomNode) config = loom_node_copy(given);
    g_autofree char *assignment = g_strdup_printf("run.steps=%u", steps);
    const LoomRunOptions how = {.folder = NULL};

    validation_remove(config);
    if (!loom_yaml_set(config, assignment, "/", error))
        return -1;
    g_autoptr(LoomRun) run = loom_run_open(config, registry, &how, error);
    if (!run)
        return -1;
    const gint64 begin = g_get_monotonic_time();
    interrupt_stops(run);
    const LoomRunEnd end = loom_run_execute(run, error);
    interrupt_stops(NULL);
    if (end == LOOM_RUN_STOPPED)
        loom_fail_as(error, "W-TIME", LOOM_ERROR_CONFIG, "stopped: not measured");
    return end == LOOM_RUN_DONE ? (double)(g_get_monotonic_time() - begin) / 1e6 : -1;
}

/* The first case of the data set, as the loader reads it. */
static double load_time(const LoomDataset *dataset)
{
    const LoomCase *one = &dataset->cases[0];
    const gint64 begin = g_get_monotonic_time();

    for (guint c = 0; c < loom_dataset_files(dataset); c++) {
        g_autoptr(LoomTensor) image =
            loom_volume_read_by(one->images[c], &dataset->policy, NULL, NULL);
    }
    if (one->label) {
        g_autoptr(LoomTensor) label =
            loom_volume_labels_by(one->label, &dataset->policy, NULL, NULL);
    }
    return (double)MAX(g_get_monotonic_time() - begin, 1) / 1e6;
}

void check_time(const LoomNode *config, const LoomRegistry *registry, const LoomRun *run,
                LoomFindings *findings, CheckTime *time)
{
    GError *error = NULL;
    double first, all = -1;

    if (loom_run_dataset(run) && loom_run_dataset(run)->n_cases)
        time->load = load_time(loom_run_dataset(run));
    if (!loom_run_steps(run)) /* it trains nothing */
        return;
    first = steps_time(config, registry, 1, &error);
    if (first >= 0)
        all = steps_time(config, registry, 1 + TIME_STEPS, &error);
    if (all < 0)
        loom_findings_take(findings, error);
    else
        time->step = MAX(all - first, 1e-6) / TIME_STEPS;
}
