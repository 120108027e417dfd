/* cmd_evaluate - segloom evaluate: every metric of predicted label maps, per case and class. */
#include "command.h"
#include "evaluation.h"
#include "evaluation_pairs.h"
#include "image_files.h"
#include "plugin_open.h"
#include "terminal.h"

#include "data/dataset.h"

#include <string.h>

#define GRID_TOLERANCE 1e-2 /* of a voxel's smallest edge, as nifti_load */

static gboolean json_option, csv_option, common_option;
static char **metric_option;
static char *data_option, *config_option;

static const GOptionEntry options[] = {
    {"json", 0, 0, G_OPTION_ARG_NONE, &json_option, "As JSON, with the means", NULL},
    {"csv", 0, 0, G_OPTION_ARG_NONE, &csv_option, "As CSV, a line a case and class", NULL},
    {"metric", 0, 0, G_OPTION_ARG_STRING_ARRAY, &metric_option,
     "Only this one; may be repeated", "NAME"},
    {"data", 0, 0, G_OPTION_ARG_STRING, &data_option, "Keys of data:, as '{label_map: {4: 3}}'",
     "YAML"},
    {"config", 0, 0, G_OPTION_ARG_FILENAME, &config_option,
     "Labels as data: of this config, or run, has them", "CONFIG"},
    {"common", 0, 0, G_OPTION_ARG_NONE, &common_option, "Only the cases that both have", NULL},
    G_OPTION_ENTRY_NULL,
};

static const CommandUsage usage = {
    .arguments = "TRUTH PREDICTION",
    .min = 2,
    .max = 2,
    .summary = "Measures predicted label maps against the truth: two files, or two folders\n"
               "with files of the same names.  TRUTH may be a data set of any layout that\n"
               "a config may name.  Classes come from it, or from dataset.json near TRUTH.",
    .example = "segloom evaluate data/hippocampus/labelsTr out --common --csv > scores.csv",
    .options = options,
    .flags = COMMAND_MODULES,
};

/* ---- classes ------------------------------------------------------------------------ */

static gboolean label_highest(const char *path, guint *highest, GError **error)
{
    g_autoptr(LoomTensor) label = loom_volume_read_labels(path, 0, NULL, error);

    if (!label)
        return FALSE;
    const guint8 *t = loom_tensor_u8(label);
    for (gint64 v = 0; v < loom_tensor_count(label); v++)
        *highest = MAX(*highest, t[v]);
    return TRUE;
}

/* As many names as the largest label asks for: "0", "1", ...; (transfer full). */
static char **names_count(const GPtrArray *pairs)
{
    g_autoptr(GStrvBuilder) names = g_strv_builder_new();
    guint highest = 1;

    for (guint i = 0; i < pairs->len; i++) {
        const EvaluationPair *pair = pairs->pdata[i];
        g_autoptr(GError) later = NULL; /* said when the pair is measured */

        label_highest(pair->truth, &highest, &later);
        g_clear_error(&later);
        label_highest(pair->prediction, &highest, &later);
    }
    for (guint k = 0; k <= MIN(highest, LOOM_IGNORED - 1); k++) {
        g_autofree char *name = g_strdup_printf("%u", k);
        g_strv_builder_add(names, name);
    }
    return g_strv_builder_end(names);
}

/* What values mean, where TRUTH is no data set: from dataset.json near it, else from the values
 * themselves; --data goes before both. */
static LoomDataset *scheme_find(const GPtrArray *pairs, const LoomDataOptions *keys,
                                GError **error)
{
    g_autofree char *json = image_files_dataset(((EvaluationPair *)pairs->pdata[0])->truth);
    g_auto(GStrv) names = json || keys->label_names ? NULL : names_count(pairs);

    return loom_dataset_scheme(keys->label_names ? NULL : json, names, keys, error);
}

/* The keys of --data. */
static gboolean options_take(LoomDataOptions *keys, GError **error)
{
    const char *text = data_option ? data_option : "{}";
    g_autofree char *here = g_get_current_dir();
    g_autoptr(LoomNode) node = loom_yaml_parse(text, strlen(text), "--data", here, error);

    return node && loom_params_fill(loom_data_params, keys, node, NULL, "data", NULL, error);
}

/* What data: of a config says of labels; its cases are those of a run, not of TRUTH. */
static gboolean config_take(const char *path, LoomDataOptions *keys, GError **error)
{
    g_autofree char *below = g_build_filename(path, "config.yaml", NULL);
    g_autoptr(LoomNode) config =
        loom_yaml_read(g_file_test(path, G_FILE_TEST_IS_DIR) ? below : path, error);
    LoomNode *data = loom_node_get(config, "data");
    LoomDataOptions all = {0};

    if (!config)
        return FALSE;
    if (!data)
        return loom_node_fail(config, error, "--config: it has no 'data:'");
    if (!loom_params_fill(loom_data_params, &all, data, NULL, "data", NULL, error))
        return FALSE;
    keys->label_names = g_steal_pointer(&all.label_names);
    keys->label_map = g_steal_pointer(&all.label_map);
    keys->regions = g_steal_pointer(&all.regions);
    loom_params_clear(loom_data_params, &all);
    return TRUE;
}

/* TRUTH as a data set; NULL without an error: it is files. */
static LoomDataset *truth_open(const char *truth, LoomDataOptions *keys, GError **error)
{
    if (!keys->dataset) {
        const gboolean known =
            keys->images || keys->layout || g_str_has_suffix(truth, ".csv")
            || (g_file_test(truth, G_FILE_TEST_IS_DIR) && loom_dataset_known(truth));

        if (!known)
            return NULL;
        keys->dataset = g_canonicalize_filename(truth, NULL);
    }
    keys->folds = keys->folds ? keys->folds : 1; /* every case is measured */
    return loom_dataset_open(keys, error);
}

/* ---- metrics ------------------------------------------------------------------------ */

typedef struct {
    GPtrArray *nodes;   /* LoomNode *, which the instances look at */
    GPtrArray *metrics; /* LoomInstance *, ends with NULL */
} Metrics;

static void metrics_clear(Metrics *metrics)
{
    g_clear_pointer(&metrics->metrics, g_ptr_array_unref);
    g_clear_pointer(&metrics->nodes, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Metrics, metrics_clear)

static void metric_free(gpointer metric)
{
    loom_instance_free(metric);
}

static void node_free(gpointer node)
{
    loom_node_free(node);
}

static gboolean needs_probabilities(const LoomPlugin *plugin)
{
    return (((const LoomMetric *)plugin)->flags & LOOM_METRIC_PROBABILITIES) != 0;
}

/* @text: a name, or a mapping with `use:`. */
static gboolean metric_add(Metrics *metrics, const LoomRegistry *registry, LoomPool *pool,
                           const char *text, GError **error)
{
    g_autofree char *mapping =
        *text == '{' ? g_strdup(text) : g_strdup_printf("{use: %s}", text);
    LoomNode *node = loom_yaml_parse(mapping, strlen(mapping), "--metric", "/", error);

    if (!node)
        return FALSE;
    g_ptr_array_add(metrics->nodes, node);
    LoomInstance *metric = plugin_open(registry, pool, LOOM_KIND_METRIC, node, error);
    if (!metric)
        return FALSE;
    g_ptr_array_add(metrics->metrics, metric);
    return !needs_probabilities(metric->plugin)
           || loom_fail(error, LOOM_ERROR_CONFIG,
                        "metric '%s' needs probabilities, a label map has none: want it in the "
                        "metrics of a run",
                        metric->plugin->name);
}

/* All that labels will do for; overlap first, whose Dice people look for. */
static gboolean metrics_add_all(Metrics *metrics, const LoomRegistry *registry, LoomPool *pool,
                                GError **error)
{
    g_autofree const LoomPlugin **all = loom_registry_list(registry, LOOM_KIND_METRIC);

    for (guint round = 0; round < 2; round++)
        for (const LoomPlugin **plugin = all; *plugin; plugin++)
            if (g_str_equal((*plugin)->name, "overlap") == (round == 0)
                && !needs_probabilities(*plugin)
                && !metric_add(metrics, registry, pool, (*plugin)->name, error))
                return FALSE;
    return TRUE;
}

static gboolean metrics_open(Metrics *metrics, const LoomRegistry *registry, LoomPool *pool,
                             GError **error)
{
    metrics->nodes = g_ptr_array_new_with_free_func(node_free);
    metrics->metrics = g_ptr_array_new_with_free_func(metric_free);
    for (char **name = metric_option; name && *name; name++)
        if (!metric_add(metrics, registry, pool, *name, error))
            return FALSE;
    if (!metric_option && !metrics_add_all(metrics, registry, pool, error))
        return FALSE;
    g_ptr_array_set_size(metrics->metrics, (gint)metrics->metrics->len + 1);
    return TRUE;
}

/* ---- measuring ---------------------------------------------------------------------- */

/* Both files are read alike; a prediction that says "ignore" says nothing: background. */
static gboolean pair_measure(const EvaluationPair *pair, const LoomDataset *scheme,
                             Evaluation *evaluation, GError **error)
{
    LoomGeometry a, b;
    g_autoptr(LoomTensor) truth = loom_volume_read_labels(pair->truth, 0, &a, error);
    g_autoptr(LoomTensor) prediction =
        truth ? loom_volume_read_labels(pair->prediction, 0, &b, error) : NULL;

    if (!prediction
        || !loom_geometry_check(&a, pair->truth, &b, pair->prediction, GRID_TOLERANCE, error)
        || !loom_dataset_map_label(scheme, truth, pair->truth, error)
        || !loom_dataset_map_label(scheme, prediction, pair->prediction, error))
        return FALSE;
    guint8 *p = loom_tensor_u8_mut(prediction);
    for (gint64 v = 0; v < loom_tensor_count(prediction); v++)
        p[v] = p[v] == LOOM_IGNORED ? 0 : p[v];
    const double spacing[3] = {a.spacing_mm[2], a.spacing_mm[1], a.spacing_mm[0]};
    return evaluation_add(evaluation, pair->id, truth, prediction, spacing, error);
}

/* Returns how many pairs could not be measured; each is said. */
static guint pairs_measure(const GPtrArray *pairs, const LoomDataset *scheme,
                           Evaluation *evaluation)
{
    guint failed = 0;

    for (guint i = 0; i < pairs->len; i++) {
        const EvaluationPair *pair = pairs->pdata[i];
        g_autofree char *text =
            g_strdup_printf("case %u of %u, %s", i + 1, pairs->len, pair->id);
        g_autoptr(GError) error = NULL;

        terminal_live(text);
        if (!pair_measure(pair, scheme, evaluation, &error))
            failed += (guint)(command_fail(1, error) == 1);
    }
    terminal_live(NULL);
    return failed;
}

static void result_print(const Evaluation *evaluation)
{
    g_autofree char *text = json_option  ? evaluation_json(evaluation)
                            : csv_option ? evaluation_csv(evaluation)
                                         : evaluation_table(evaluation);

    g_print("%s", text);
}

int cmd_evaluate(int argc, char **argv)
{
    g_auto(CommandLine) line = {0};
    g_autoptr(GError) error = NULL;
    LoomDataOptions keys = {0};
    guint lonely = 0, failed;

    if (!command_parse(&line, &usage, argc, argv))
        return COMMAND_WRONG;
    if (json_option && csv_option)
        return command_fail_text(COMMAND_WRONG, "--json and --csv exclude each other");
    g_autoptr(LoomRegistry) registry = command_registry(&line);
    g_autoptr(LoomPool) pool = loom_pool_new(0);
    g_auto(Metrics) metrics = {0};
    if (!registry)
        return COMMAND_WRONG;
    if (!metrics_open(&metrics, registry, pool, &error))
        return command_fail(COMMAND_WRONG, error);
    if (config_option && data_option)
        return command_fail_text(COMMAND_WRONG, "--config and --data exclude each other");
    if (!(config_option ? config_take(config_option, &keys, &error)
                        : options_take(&keys, &error)))
        return command_fail(COMMAND_WRONG, error);
    g_autoptr(LoomDataset) dataset = truth_open(line.arguments[0], &keys, &error);
    g_autoptr(GPtrArray) pairs =
        error ? NULL
              : evaluation_pairs(line.arguments, dataset, common_option, &lonely, &error);
    g_autoptr(LoomDataset) files = pairs && !dataset ? scheme_find(pairs, &keys, &error) : NULL;
    const LoomDataset *scheme = dataset ? dataset : files;
    loom_params_clear(loom_data_params, &keys);
    if (error)
        return command_fail(COMMAND_WRONG, error);
    g_autoptr(Evaluation) evaluation =
        evaluation_new((LoomInstance **)metrics.metrics->pdata, scheme);
    failed = pairs_measure(pairs, scheme, evaluation);
    if (evaluation_cases(evaluation))
        result_print(evaluation);
    return lonely + failed ? COMMAND_WRONG : COMMAND_DONE;
}
