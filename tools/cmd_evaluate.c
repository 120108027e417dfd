/* cmd_evaluate - segloom evaluate: every metric of predicted label maps, per case and class. */
#include "command.h"
#include "evaluation.h"
#include "image_files.h"
#include "plugin_open.h"
#include "terminal.h"

#include "data/layout.h"

#include <string.h>

#define GRID_TOLERANCE 1e-2 /* of a voxel's smallest edge, as nifti_load */
#define NAMED_AT_MOST 5

static gboolean json_option, csv_option, common_option;
static char **metric_option;

static const GOptionEntry options[] = {
    {"json", 0, 0, G_OPTION_ARG_NONE, &json_option, "As JSON, with the means", NULL},
    {"csv", 0, 0, G_OPTION_ARG_NONE, &csv_option, "As CSV, a line a case and class", NULL},
    {"metric", 0, 0, G_OPTION_ARG_STRING_ARRAY, &metric_option,
     "Only this one; may be repeated", "NAME"},
    {"common", 0, 0, G_OPTION_ARG_NONE, &common_option, "Only the cases that both have", NULL},
    G_OPTION_ENTRY_NULL,
};

static const CommandUsage usage = {
    .arguments = "TRUTH PREDICTION",
    .min = 2,
    .max = 2,
    .summary = "Measures predicted label maps against the truth: two files, or two folders\n"
               "with files of the same names.  Classes come from dataset.json near TRUTH.",
    .example = "segloom evaluate data/hippocampus/labelsTr out --common --csv > scores.csv",
    .options = options,
    .flags = COMMAND_MODULES,
};

typedef struct {
    char *id, *truth, *prediction;
} Pair;

static void pair_free(gpointer data)
{
    Pair *pair = data;

    g_free(pair->id);
    g_free(pair->truth);
    g_free(pair->prediction);
    g_free(pair);
}

/* ---- which file belongs to which ---------------------------------------------------- */

static GHashTable *by_stem(const GPtrArray *paths)
{
    GHashTable *table = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (guint i = 0; i < paths->len; i++)
        g_hash_table_insert(table, image_file_stem(paths->pdata[i]), paths->pdata[i]);
    return table;
}

/* Says which files of @paths have no partner; returns how many. */
static guint lonely_print(const GPtrArray *paths, GHashTable *partners, const char *lacks)
{
    guint n = 0;

    for (guint i = 0; i < paths->len; i++) {
        g_autofree char *stem = image_file_stem(paths->pdata[i]);

        if (g_hash_table_contains(partners, stem))
            continue;
        if (n++ < NAMED_AT_MOST)
            terminal_print("segloom: '%s' has no %s", (char *)paths->pdata[i], lacks);
    }
    if (n > NAMED_AT_MOST)
        terminal_print("segloom: ... and %u more (--common leaves them out)",
                       n - NAMED_AT_MOST);
    return n;
}

static void pair_add(GPtrArray *pairs, const char *truth, const char *prediction)
{
    Pair *pair = g_new0(Pair, 1);

    pair->id = image_file_stem(truth);
    pair->truth = g_strdup(truth);
    pair->prediction = g_strdup(prediction);
    g_ptr_array_add(pairs, pair);
}

/* @lonely: files without a partner that were asked for. */
static GPtrArray *pairs_find(char **arguments, guint *lonely, GError **error)
{
    g_autoptr(GPtrArray) truths = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) predictions = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) pairs = g_ptr_array_new_with_free_func(pair_free);

    if (!image_files_collect(arguments[0], truths, error)
        || !image_files_collect(arguments[1], predictions, error))
        return NULL;
    if (!g_file_test(arguments[0], G_FILE_TEST_IS_DIR)
        && !g_file_test(arguments[1], G_FILE_TEST_IS_DIR)) { /* two files may have any names */
        pair_add(pairs, truths->pdata[0], predictions->pdata[0]);
        return g_steal_pointer(&pairs);
    }
    g_autoptr(GHashTable) known = by_stem(truths);
    g_autoptr(GHashTable) made = by_stem(predictions);
    const gboolean one = !g_file_test(arguments[0], G_FILE_TEST_IS_DIR);
    if (!common_option)
        *lonely = lonely_print(truths, made, "prediction")
                  + (one ? 0 : lonely_print(predictions, known, "truth"));
    for (guint i = 0; i < truths->len; i++) {
        g_autofree char *stem = image_file_stem(truths->pdata[i]);
        const char *prediction = g_hash_table_lookup(made, stem);

        if (prediction)
            pair_add(pairs, truths->pdata[i], prediction);
    }
    if (!pairs->len)
        return loom_fail_null(error, LOOM_ERROR_IO, "'%s' and '%s' have no file in common",
                              arguments[0], arguments[1]);
    return g_steal_pointer(&pairs);
}

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

/* Names of class 0, 1, ...: from dataset.json, else as many as the largest label asks for. */
static char **classes_find(const GPtrArray *pairs, GError **error)
{
    g_autofree char *path = image_files_dataset(((Pair *)pairs->pdata[0])->truth);
    g_auto(LoomLayout) layout = {0};
    g_autoptr(GStrvBuilder) names = g_strv_builder_new();
    guint highest = 1;

    if (path)
        return loom_layout_read(path, &layout, error) ? g_strdupv(layout.label_names) : NULL;
    for (guint i = 0; i < pairs->len; i++) {
        const Pair *pair = pairs->pdata[i];
        g_autoptr(GError) later = NULL; /* said when the pair is measured */

        label_highest(pair->truth, &highest, &later);
        g_clear_error(&later);
        label_highest(pair->prediction, &highest, &later);
    }
    for (guint k = 0; k <= highest; k++) {
        g_autofree char *name = g_strdup_printf("%u", k);
        g_strv_builder_add(names, name);
    }
    return g_strv_builder_end(names);
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

static gboolean labels_check(const LoomTensor *label, const char *path, guint n_classes,
                             GError **error)
{
    const guint8 *t = loom_tensor_u8(label);

    for (gint64 v = 0; v < loom_tensor_count(label); v++)
        if (t[v] >= n_classes)
            return loom_fail(error, LOOM_ERROR_FORMAT,
                             "'%s': value %u is none of the labels 0 to %u", path, t[v],
                             n_classes - 1);
    return TRUE;
}

static gboolean pair_measure(const Pair *pair, guint n_classes, Evaluation *evaluation,
                             GError **error)
{
    LoomGeometry a, b;
    g_autoptr(LoomTensor) truth = loom_volume_read_labels(pair->truth, 0, &a, error);
    g_autoptr(LoomTensor) prediction =
        truth ? loom_volume_read_labels(pair->prediction, 0, &b, error) : NULL;

    if (!prediction
        || !loom_geometry_check(&a, pair->truth, &b, pair->prediction, GRID_TOLERANCE, error)
        || !labels_check(truth, pair->truth, n_classes, error)
        || !labels_check(prediction, pair->prediction, n_classes, error))
        return FALSE;
    const double spacing[3] = {a.spacing_mm[2], a.spacing_mm[1], a.spacing_mm[0]};
    return evaluation_add(evaluation, pair->id, truth, prediction, spacing, error);
}

/* Returns how many pairs could not be measured; each is said. */
static guint pairs_measure(const GPtrArray *pairs, guint n_classes, Evaluation *evaluation)
{
    guint failed = 0;

    for (guint i = 0; i < pairs->len; i++) {
        const Pair *pair = pairs->pdata[i];
        g_autofree char *text =
            g_strdup_printf("case %u of %u, %s", i + 1, pairs->len, pair->id);
        g_autoptr(GError) error = NULL;

        terminal_live(text);
        if (!pair_measure(pair, n_classes, evaluation, &error))
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
    g_autoptr(GPtrArray) pairs = pairs_find(line.arguments, &lonely, &error);
    if (!pairs)
        return command_fail(COMMAND_WRONG, error);
    g_auto(GStrv) classes = classes_find(pairs, &error);
    if (!classes)
        return command_fail(COMMAND_WRONG, error);
    g_autoptr(Evaluation) evaluation =
        evaluation_new((LoomInstance **)metrics.metrics->pdata, classes);
    failed = pairs_measure(pairs, g_strv_length(classes), evaluation);
    if (evaluation_cases(evaluation))
        result_print(evaluation);
    return lonely + failed ? COMMAND_WRONG : COMMAND_DONE;
}
