/* cmd_check - segloom check: every problem of config, data and plugins before any work. */
#include "command.h"
#include "terminal.h"

#include "graph/run.h"

#include <json-glib/json-glib.h>

static gboolean json_option;

static const GOptionEntry options[] = {
    {"json", 0, 0, G_OPTION_ARG_NONE, &json_option, "One JSON object instead of text", NULL},
    G_OPTION_ENTRY_NULL,
};

static const CommandUsage usage = {
    .arguments = "CONFIG",
    .min = 1,
    .max = 1,
    .summary = "Checks config, data and plugins as a run would, and changes nothing.\n"
               "Shows the threads, what flows, the data set and the memory ahead.",
    .example = "segloom check configs/hippocampus.yaml --set data.dataset=DIR",
    .options = options,
    .flags = COMMAND_CONFIG | COMMAND_MODULES,
};

static guint split_size(const LoomDataset *dataset, LoomSplit split)
{
    guint n = 0;

    g_free(loom_dataset_split(dataset, split, &n));
    return n;
}

static void text_print(const LoomRun *run)
{
    g_autofree char *table = loom_run_describe(run);
    const LoomDataset *dataset = loom_run_dataset(run);
    g_autofree char *bytes = command_bytes(loom_run_model_bytes(run));

    g_print("%s%s", table, g_str_has_suffix(table, "\n") ? "\n" : "\n\n");
    if (dataset) {
        g_autofree char *channels = g_strjoinv(", ", dataset->channel_names);

        g_print("data      %s: %u cases, %u train, %u validate\n", dataset->name,
                dataset->n_cases, split_size(dataset, LOOM_SPLIT_TRAIN),
                split_size(dataset, LOOM_SPLIT_VALIDATE));
        g_print("channels  %s\n", channels);
        if (dataset->label_names) {
            g_autofree char *labels = g_strjoinv(", ", dataset->label_names);
            g_print("labels    %s\n", labels);
        }
    }
    g_print("steps     %d\n", (int)loom_run_steps(run));
    if (loom_run_processes(run) > 1)
        g_print("ranks     at least %u, or one that does it all\n", loom_run_processes(run));
    g_print("memory    at most %s for kept cases, models and workspaces\n", bytes);
    if (loom_run_packets(run) > 0)
        g_print("packets   at most %u in flight\n", (guint)loom_run_packets(run));
    g_print("no problem found\n");
}

static void words_add(JsonBuilder *builder, const char *name, char **words)
{
    json_builder_set_member_name(builder, name);
    json_builder_begin_array(builder);
    for (; words && *words; words++)
        json_builder_add_string_value(builder, *words);
    json_builder_end_array(builder);
}

static void number_add(JsonBuilder *builder, const char *name, guint64 value)
{
    json_builder_set_member_name(builder, name);
    json_builder_add_int_value(builder, (gint64)value);
}

static void dataset_add(JsonBuilder *builder, const LoomDataset *dataset)
{
    json_builder_set_member_name(builder, "dataset");
    json_builder_begin_object(builder);
    json_builder_set_member_name(builder, "name");
    json_builder_add_string_value(builder, dataset->name);
    number_add(builder, "cases", dataset->n_cases);
    number_add(builder, "train", split_size(dataset, LOOM_SPLIT_TRAIN));
    number_add(builder, "validate", split_size(dataset, LOOM_SPLIT_VALIDATE));
    words_add(builder, "channels", dataset->channel_names);
    words_add(builder, "labels", dataset->label_names);
    json_builder_end_object(builder);
}

/* @error: NULL where there is no problem; then @run is not. */
static void json_print(const LoomRun *run, const GError *error)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();
    const char *problems[] = {error ? error->message : NULL, NULL};

    json_builder_begin_object(builder);
    words_add(builder, "problems", (char **)(gpointer)problems);
    if (run) {
        if (loom_run_dataset(run))
            dataset_add(builder, loom_run_dataset(run));
        number_add(builder, "steps", (guint64)loom_run_steps(run));
        number_add(builder, "ranks", loom_run_processes(run));
        number_add(builder, "model_bytes", loom_run_model_bytes(run));
        number_add(builder, "packets_in_flight", loom_run_packets(run));
    }
    json_builder_end_object(builder);
    g_autoptr(JsonNode) root = json_builder_get_root(builder);
    g_autofree char *text = json_to_string(root, FALSE);
    g_print("%s\n", text);
}

int cmd_check(int argc, char **argv)
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
    if (json_option)
        json_print(run, error);
    if (!run)
        return command_fail(COMMAND_WRONG, error);
    if (!json_option)
        text_print(run);
    return COMMAND_DONE;
}
