/* cmd_plan - segloom plan: looks at a data set and writes a config for it. */
#include "command.h"
#include "interrupt.h"
#include "machine.h"
#include "plan.h"
#include "terminal.h"

#include "config/scalar.h"
#include "core/processors.h"
#include "data/dataset.h"
#include "plugin/instance.h"

#include <loom/store.h>

#include <string.h>

#define FREE_SHARE 2 /* of the free memory one part in so many is used to look at cases */
#define MEMORY_UNKNOWN (G_GUINT64_CONSTANT(4) << 30)
#define UNSET (-1000000)
#define FOLDS 5 /* of a data set that does not say how it is split */

static char *output_option, *preset_option, *memory_option, *spacing_option, *patch_option;
static char *loss_option, *cache_option, **set_option;
static double seconds_option = UNSET;
static gint64 steps_option = UNSET, folds_option = UNSET, threads_option = UNSET;
static gboolean explain_option, force_option;

static const GOptionEntry options[] = {
    {"output", 'o', 0, G_OPTION_ARG_FILENAME, &output_option,
     "Write there; without it to stdout", "CONFIG"},
    {"force", 0, 0, G_OPTION_ARG_NONE, &force_option, "Replace CONFIG if it is there", NULL},
    {"preset", 0, 0, G_OPTION_ARG_STRING, &preset_option,
     "nnunet, cpu-small (default) or paper", "NAME"},
    {"explain", 0, 0, G_OPTION_ARG_NONE, &explain_option,
     "Say for each value which rule gave it", NULL},
    {"memory", 0, 0, G_OPTION_ARG_STRING, &memory_option,
     "Of a step, as 4GiB; nnunet: as on such a GPU", "BYTES"},
    {"seconds-per-step", 0, 0, G_OPTION_ARG_DOUBLE, &seconds_option,
     "How long a step may take, 1 for cpu-small", "S"},
    {"threads", 0, 0, G_OPTION_ARG_INT64, &threads_option,
     "Processors to plan for; all of this machine", "N"},
    {"steps", 0, 0, G_OPTION_ARG_INT64, &steps_option, "Steps of training", "N"},
    {"folds", 0, 0, G_OPTION_ARG_INT64, &folds_option,
     "Parts of the cases, one of them validates; 5", "N"},
    {"spacing", 0, 0, G_OPTION_ARG_STRING, &spacing_option, "Voxel edges in mm, as 2.5,1,1",
     "D,H,W"},
    {"patch", 0, 0, G_OPTION_ARG_STRING, &patch_option, "Voxels, as 40,56,40", "D,H,W"},
    {"loss", 0, 0, G_OPTION_ARG_STRING, &loss_option, "See 'segloom inspect loss'", "NAME"},
    {"set", 0, 0, G_OPTION_ARG_STRING_ARRAY, &set_option,
     "A key of the data set, as data.layout=msd", "data.a=VALUE"},
    {"cache", 0, 0, G_OPTION_ARG_FILENAME, &cache_option,
     "Keep what was measured there; ~/.cache/segloom", "DIR"},
    G_OPTION_ENTRY_NULL,
};

static const CommandUsage usage = {
    .arguments = "DATASET",
    .min = 1,
    .max = 1,
    .summary = "Looks at the data set in a folder and writes a config for it by nnU-Net's\n"
               "rules, each key with a comment.  Interrupted, it goes on where it was.",
    .example = "segloom plan data/hippocampus -o hippocampus.yaml --explain",
    .options = options,
    .flags = COMMAND_MODULES,
};

/* ---- what was asked for ------------------------------------------------------------- */

static gboolean memory_parse(guint64 *bytes, GError **error)
{
    g_autoptr(LoomNode) node = loom_node_new(LOOM_NODE_SCALAR, "--memory", "/", 1, 1);

    g_free(node->text);
    node->text = g_strdup(memory_option);
    if (!loom_scalar_bytes(node, "memory", bytes, error))
        return FALSE;
    return *bytes >= (64 << 20)
           || loom_fail(error, LOOM_ERROR_CONFIG,
                        "--memory %s: want 64MiB at least, room for a small network",
                        memory_option);
}

static gboolean range_check(const char *option, gint64 value, gint64 least, gint64 most,
                            GError **error)
{
    return (value >= least && value <= most)
           || loom_fail(error, LOOM_ERROR_CONFIG,
                        "%s %" G_GINT64_FORMAT ": want %" G_GINT64_FORMAT
                        " to %" G_GINT64_FORMAT,
                        option, value, least, most);
}

/* "D,H,W": three numbers from @least to @most. */
static gboolean triple_parse(const char *option, const char *text, double least, double most,
                             double v[3], GError **error)
{
    g_auto(GStrv) parts = g_strsplit(text, ",", -1);

    for (guint i = 0; i < 3 && g_strv_length(parts) == 3; i++) {
        char *end = NULL;

        v[i] = g_ascii_strtod(parts[i], &end);
        if (!*parts[i] || *end || !(v[i] >= least && v[i] <= most))
            return loom_fail(error, LOOM_ERROR_CONFIG,
                             "%s '%s': '%s' is no number from %g to %g", option, text, parts[i],
                             least, most);
    }
    return g_strv_length(parts) == 3
           || loom_fail(error, LOOM_ERROR_CONFIG, "%s '%s': want D,H,W, three numbers", option,
                        text);
}

static gboolean numbers_take(PlanWishes *wishes, GError **error)
{
    double patch[3] = {0};

    if (memory_option && !memory_parse(&wishes->memory, error))
        return FALSE;
    if (seconds_option != UNSET && !(seconds_option >= 0.01 && seconds_option <= 3600))
        return loom_fail(error, LOOM_ERROR_CONFIG, "--seconds-per-step %g: want 0.01 to 3600",
                         seconds_option);
    wishes->seconds = seconds_option != UNSET ? seconds_option : 0;
    if ((steps_option != UNSET && !range_check("--steps", steps_option, 1, 100000000, error))
        || (folds_option != UNSET && !range_check("--folds", folds_option, 1, 1000, error))
        || (threads_option != UNSET
            && !range_check("--threads", threads_option, 1, 1024, error)))
        return FALSE;
    wishes->steps = steps_option != UNSET ? steps_option : 0;
    wishes->threads = threads_option != UNSET ? (guint)threads_option : loom_processors();
    if (spacing_option
        && !triple_parse("--spacing", spacing_option, 0.01, 100, wishes->spacing, error))
        return FALSE;
    if (patch_option && !triple_parse("--patch", patch_option, 8, 1024, patch, error))
        return FALSE;
    for (guint a = 0; a < 3; a++) {
        wishes->patch[a] = (gint64)patch[a];
        if (patch[a] != (double)wishes->patch[a])
            return loom_fail(error, LOOM_ERROR_CONFIG,
                             "--patch '%s': %g is no whole number of voxels", patch_option,
                             patch[a]);
    }
    return TRUE;
}

/* "{use: NAME}" of a loss that there is; (transfer full). */
static char *loss_yaml(const LoomRegistry *registry, GError **error)
{
    return loom_registry_need(registry, LOOM_KIND_LOSS, loss_option, error)
               ? g_strdup_printf("{use: %s}", loss_option)
               : NULL;
}

static gboolean output_check(const char *path, GError **error)
{
    return !path || force_option || !g_file_test(path, G_FILE_TEST_EXISTS)
           || loom_fail(error, LOOM_ERROR_CONFIG, "'%s' is there already: --force replaces it",
                        path);
}

/* "a/b-lowres.yaml" of "a/b.yaml". */
static char *coarse_path(const char *path)
{
    const char *name = strrchr(path, '/');
    const char *dot = strrchr(name ? name : path, '.');
    const gsize stem = dot && dot != path ? (gsize)(dot - path) : strlen(path);
    g_autofree char *front = g_strndup(path, stem);

    return g_strconcat(front, "-lowres", path + stem, NULL);
}

/* ---- the data set ------------------------------------------------------------------- */

/* A config with nothing but `data:`: the folder, and what --set and --folds say. */
static LoomNode *data_config(const char *path, GError **error)
{
    static const char empty[] = "data: {dataset: x}";
    g_autofree char *here = g_get_current_dir();
    g_autoptr(LoomNode) config =
        loom_yaml_parse(empty, strlen(empty), "segloom plan", here, error);
    LoomNode *dataset = config ? loom_node_get(loom_node_get(config, "data"), "dataset") : NULL;

    if (!dataset)
        return NULL;
    g_free(dataset->text);
    dataset->text = g_canonicalize_filename(path, here);
    dataset->quoted = TRUE;
    for (char **set = set_option; set && *set; set++) {
        if (!g_str_has_prefix(*set, "data."))
            return loom_fail_null(error, LOOM_ERROR_CONFIG,
                                  "--set %s: only keys of 'data' can be set before there is a "
                                  "config",
                                  *set);
        if (!loom_yaml_set(config, *set, here, error))
            return NULL;
    }
    if (folds_option != UNSET) {
        g_autofree char *folds = g_strdup_printf("data.folds=%" G_GINT64_FORMAT, folds_option);

        if (!loom_yaml_set(config, folds, here, error))
            return NULL;
    }
    return g_steal_pointer(&config);
}

/* @folds: instead of what the config says; 0: that. */
static LoomDataset *dataset_open_folds(const LoomNode *data, gint64 folds, GError **error)
{
    LoomDataOptions keys = {0};

    if (!loom_params_fill(loom_data_params, &keys, data, NULL, "data", NULL, error))
        return NULL;
    keys.folds = folds ? folds : keys.folds;
    LoomDataset *dataset = loom_dataset_open(&keys, error);
    loom_params_clear(loom_data_params, &keys);
    return dataset;
}

static gboolean key_set(LoomNode *config, const char *key, gint64 value, GError **error)
{
    g_autofree char *text = g_strdup_printf("data.%s=%" G_GINT64_FORMAT, key, value);

    return loom_node_get(loom_node_get(config, "data"), key)
           || loom_yaml_set(config, text, "/", error);
}

/* Where nobody says how to split, the data set does; where it has fewer cases than folds, there
 * is one for each.  The keys are written down, so that they can be changed. */
static LoomDataset *dataset_open(LoomNode *config, GError **error)
{
    const LoomNode *data = loom_node_get(config, "data");
    const gboolean lists = loom_node_get(data, "train") || loom_node_get(data, "validate");
    g_autoptr(LoomDataset) all = lists ? NULL : dataset_open_folds(data, 1, error);
    g_autoptr(LoomDataset) dataset = NULL;

    if (!lists
        && (!all || !key_set(config, "folds", all->n_cases < FOLDS ? all->n_cases : 0, error)))
        return NULL;
    dataset = dataset_open_folds(data, 0, error);
    if (dataset && dataset->split && g_str_has_prefix(dataset->split, "fold")
        && !key_set(config, "fold", 0, error))
        return NULL;
    return g_steal_pointer(&dataset);
}

static void progress_show(guint done, guint all, gpointer data)
{
    g_autofree char *text =
        g_strdup_printf("looking at %s  %u of %u cases", (const char *)data, done, all);

    terminal_live(text);
}

static Fingerprint *look(const LoomDataset *dataset, GError **error)
{
    const guint64 memory = machine_memory_available();
    g_autofree char *cache =
        cache_option ? g_strdup(cache_option)
                     : g_build_filename(g_get_user_cache_dir(), "segloom", "cases", NULL);
    g_autofree char *name = g_strdup(dataset->name);
    const FingerprintOptions how = {.cache = cache,
                                    .threads = loom_processors(),
                                    .memory = (memory ? memory : MEMORY_UNKNOWN) / FREE_SHARE,
                                    .progress = progress_show,
                                    .data = name};
    Fingerprint *print = fingerprint_make(dataset, &how, error);

    terminal_live(NULL);
    return print;
}

/* ---- the result --------------------------------------------------------------------- */

static gboolean config_write(const Plan *plan, const PlanVariant *variant, const char *path,
                             GError **error)
{
    g_autofree char *yaml = plan_write(plan, variant, path);

    if (!path) {
        g_print("%s", yaml);
        return TRUE;
    }
    return loom_file_replace(path, yaml, strlen(yaml), error);
}

static gboolean configs_write(const Plan *plan, GError **error)
{
    g_autofree char *coarse = output_option ? coarse_path(output_option) : NULL;

    if (plan->has_coarse && !output_check(coarse, error))
        return FALSE;
    if (!config_write(plan, &plan->fine, output_option, error))
        return FALSE;
    if (!plan->has_coarse)
        return TRUE;
    if (!coarse)
        terminal_print("segloom: a patch shows less than a quarter of a case: with -o a second "
                       "config, at low resolution, is written as well");
    return !coarse || config_write(plan, &plan->coarse, coarse, error);
}

static gboolean plan_do(const LoomRegistry *registry, const char *path, GError **error)
{
    PlanWishes wishes = {.lanes = plan_speed_lanes()};
    g_autofree char *loss = NULL;

    wishes.preset = plan_preset_named(preset_option ? preset_option : "cpu-small", error);
    if (!wishes.preset || !numbers_take(&wishes, error) || !output_check(output_option, error))
        return FALSE;
    if (loss_option && !(loss = loss_yaml(registry, error)))
        return FALSE;
    wishes.loss = loss;
    g_autoptr(LoomNode) config = data_config(path, error);
    g_autoptr(LoomDataset) dataset = config ? dataset_open(config, error) : NULL;
    g_autoptr(Fingerprint) print = dataset ? look(dataset, error) : NULL;
    wishes.data = loom_node_get(config, "data");
    g_autoptr(Plan) plan = print ? plan_make(dataset, print, &wishes, error) : NULL;
    if (!plan)
        return FALSE;
    if (explain_option) {
        g_autofree char *text = plan_explain(plan);

        if (output_option)
            g_print("%s", text);
        else /* stdout holds the config */
            terminal_print("%s", text);
    }
    return configs_write(plan, error);
}

int cmd_plan(int argc, char **argv)
{
    g_auto(CommandLine) line = {0};
    g_autoptr(GError) error = NULL;

    if (!command_parse(&line, &usage, argc, argv))
        return COMMAND_WRONG;
    interrupt_watch();
    g_autoptr(LoomRegistry) registry = command_registry(&line);
    if (!registry)
        return COMMAND_WRONG;
    if (plan_do(registry, line.arguments[0], &error))
        return COMMAND_DONE;
    return command_fail(command_code(error), error);
}
