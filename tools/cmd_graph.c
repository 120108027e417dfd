/* cmd_graph - segloom graph: the graph with its threads, its queues and what flows. */
#include "command.h"

#include "graph/run.h"

static gboolean dot_option;

static const GOptionEntry options[] = {
    {"dot", 0, 0, G_OPTION_ARG_NONE, &dot_option, "As Graphviz", NULL},
    G_OPTION_ENTRY_NULL,
};

static const CommandUsage usage = {
    .arguments = "CONFIG",
    .min = 1,
    .max = 1,
    .summary = "Shows which stage runs in which thread, the queues between, and what flows.",
    .example = "segloom graph configs/hippocampus.yaml --dot | dot -Tsvg > graph.svg",
    .options = options,
    .flags = COMMAND_CONFIG | COMMAND_MODULES,
};

int cmd_graph(int argc, char **argv)
{
    g_auto(CommandLine) line = {0};
    g_autoptr(GError) error = NULL;

    if (!command_parse(&line, &usage, argc, argv))
        return COMMAND_WRONG;
    g_autoptr(LoomRegistry) registry = command_registry(&line);
    g_autoptr(LoomNode) config = registry ? command_config(&line) : NULL;
    if (!config)
        return COMMAND_WRONG;
    const LoomRunOptions look = {.folder = NULL};
    g_autoptr(LoomRun) run = loom_run_open(config, registry, &look, &error);
    if (!run)
        return command_fail(COMMAND_WRONG, error);
    g_autofree char *text = dot_option ? loom_run_dot(run) : loom_run_describe(run);
    g_print("%s%s", text, g_str_has_suffix(text, "\n") ? "" : "\n");
    return COMMAND_DONE;
}
