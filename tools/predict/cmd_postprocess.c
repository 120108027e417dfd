/* cmd_postprocess - segloom postprocess: does it help to remove small components?  Found out on
 * the cases that each fold's model has never seen, and written into the models. */
#include "command.h"
#include "interrupt.h"
#include "postprocess_choice.h"
#include "predict_done.h"
#include "predict_models.h"
#include "predictor.h"
#include "terminal.h"

#include "data/dataset.h"
#include "plugin/instance.h"

#include <loom/store.h>

#include <json-glib/json-glib.h>
#include <math.h>
#include <string.h>

#define FOLDS_MOST 1000
#define STAGE "postprocess"

static char *backend_option;
static gint64 threads_option;
static gboolean dry_option;

static const GOptionEntry options[] = {
    {"dry-run", 'n', 0, G_OPTION_ARG_NONE, &dry_option, "Only say what would be kept", NULL},
    {"threads", 0, 0, G_OPTION_ARG_INT64, &threads_option, "0, the default: all cores", "N"},
    {"backend", 0, 0, G_OPTION_ARG_STRING, &backend_option, "cpu by default", "NAME"},
    G_OPTION_ENTRY_NULL,
};

static const CommandUsage usage = {
    .arguments = "RUN",
    .min = 1,
    .max = 1,
    .summary = "Tries on the validation cases of RUN, or of its fold_0, fold_1, ..., if Dice\n"
               "gains without small components.  What helps becomes part of the models.",
    .example = "segloom postprocess runs/hippocampus",
    .options = options,
    .flags = COMMAND_MODULES | COMMAND_CONFIG,
};

typedef struct {
    const LoomRegistry *registry;
    char **set;
    GPtrArray *models;   /* char *: paths of model.json */
    GPtrArray *datasets; /* LoomDataset *: of each fold, which the cases point into */
    GPtrArray *cases;    /* PostprocessCase * */
    char **labels;
    guint n_labels;
} Search;

static void case_free(gpointer data)
{
    PostprocessCase *one = data;

    g_free(one->id);
    g_free(one->truth);
    g_free(one->prediction);
    g_free(one);
}

static void search_clear(Search *search)
{
    g_clear_pointer(&search->models, g_ptr_array_unref);
    g_clear_pointer(&search->cases, g_ptr_array_unref);
    g_clear_pointer(&search->datasets, g_ptr_array_unref);
    g_clear_pointer(&search->labels, g_strfreev);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Search, search_clear)

/* ---- the cases of a fold ------------------------------------------------------------ */

/* The data set as the run saw it, which split included. */
static LoomDataset *dataset_open(const Search *search, const char *run, GError **error)
{
    g_autofree char *path = g_build_filename(run, "config.yaml", NULL);
    g_autoptr(LoomNode) config = command_set(loom_yaml_read(path, error), search->set, error);
    LoomDataOptions data = {0};

    if (!config
        || !loom_params_fill(loom_data_params, &data, loom_node_get(config, "data"), NULL,
                             "data", NULL, error))
        return NULL;
    LoomDataset *dataset = loom_dataset_open(&data, error);
    loom_params_clear(loom_data_params, &data);
    return dataset;
}

/* Predicts a case that validates and remembers it; FALSE: it failed, or was interrupted. */
static gboolean case_add(Search *search, const Predictor *predictor, const LoomDataset *dataset,
                         const LoomCase *one, GError **error)
{
    const ImageCase image = {one->id, one->images, dataset->n_volumes};
    PostprocessCase *pair = g_new0(PostprocessCase, 1);
    PredictResult result;

    pair->id = g_strdup(one->id);
    pair->truth = g_strdup(one->label);
    pair->dataset = dataset;
    pair->one = one;
    pair->prediction = predict_mask_path(predictor->how.folder, one->id);
    g_ptr_array_add(search->cases, pair);
    g_autofree char *text = g_strdup_printf("predicting %s", one->id);
    terminal_live(text);
    const LoomRunEnd end = predictor_case(predictor, &image, &result, error);
    if (end == LOOM_RUN_STOPPED)
        loom_fail(error, LOOM_ERROR_IO, "stopped; the same command goes on");
    else if (end == LOOM_RUN_DONE && !result.there && !terminal_is_live())
        terminal_print("%s: %.1f s", one->id, result.seconds);
    return end == LOOM_RUN_DONE;
}

static gboolean cases_add(Search *search, const Predictor *predictor,
                          const LoomDataset *dataset, GError **error)
{
    guint n = 0;
    g_autofree guint *chosen = loom_dataset_split(dataset, LOOM_SPLIT_VALIDATE, &n);

    if (!search->labels) {
        search->labels = g_strdupv(dataset->label_names);
        search->n_labels = dataset->n_labels;
    }
    if (!n || dataset->n_labels < 2 || dataset->n_labels != search->n_labels)
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "data set '%s' has no case that validates, or no labels",
                         dataset->name);
    for (guint i = 0; i < n; i++)
        if (dataset->cases[chosen[i]].label
            && !case_add(search, predictor, dataset, &dataset->cases[chosen[i]], error))
            return FALSE;
    return TRUE;
}

/* Images and masks of the validation are those of the data set, whatever the model says. */
static void dataset_take(PredictModel *model, const LoomDataset *dataset)
{
    g_free(model->volume_of);
    model->n_volumes = dataset->n_volumes;
    model->volume_of =
        g_memdup2(dataset->volume_of, dataset->n_channels * sizeof *dataset->volume_of);
    g_strfreev(model->labels);
    g_free(model->values);
    model->labels = g_strdupv(dataset->label_names);
    model->n_labels = dataset->n_labels;
    model->values = g_new(guint8, model->n_labels);
    for (guint k = 0; k < model->n_labels; k++)
        model->values[k] = dataset->value_of ? dataset->value_of[k] : (guint8)k;
}

/* What the fold's model makes of the cases that it never saw, in FOLD/validation. */
static gboolean fold_add(Search *search, const char *run, GError **error)
{
    char *const paths[] = {(char *)(guintptr)run, NULL};
    g_autofree char *below = g_build_filename(run, "validation", NULL);
    g_autofree char *folder = g_canonicalize_filename(below, NULL);
    g_auto(PredictModel) model = {0};
    g_auto(Predictor)
        predictor = {.registry = search->registry,
                     .model = &model,
                     .how = {.backend = backend_option ? backend_option : PREDICT_BACKEND,
                             .threads = threads_option,
                             .folder = folder,
                             .raw = TRUE}};
    LoomDataset *dataset = dataset_open(search, run, error);

    if (dataset)
        g_ptr_array_add(search->datasets, dataset);
    if (!dataset || !predict_models_read(&model, paths, error)
        || !predictor_open(&predictor, error))
        return FALSE;
    dataset_take(&model, dataset);
    g_ptr_array_add(search->models, g_strdup(model.path));
    return cases_add(search, &predictor, dataset, error);
}

/* RUN itself, or all its folds. */
static gboolean folds_add(Search *search, const char *run, GError **error)
{
    g_autofree char *own = predict_model_json(run);

    if (own && g_file_test(run, G_FILE_TEST_IS_DIR)) /* its config.yaml is wanted too */
        return fold_add(search, run, error);
    for (guint fold = 0; fold < FOLDS_MOST; fold++) {
        g_autofree char *name = g_strdup_printf("fold_%u", fold);
        g_autofree char *below = g_build_filename(run, name, NULL);
        g_autofree char *model = predict_model_json(below);

        if (model && !fold_add(search, below, error))
            return FALSE;
    }
    return search->models->len > 0
           || loom_fail(error, LOOM_ERROR_IO,
                        "'%s' holds no model: want a run's folder, or one of fold_0, fold_1, "
                        "...",
                        run);
}

/* ---- into the models ---------------------------------------------------------------- */

static JsonObject *stage_object(const PostprocessChoice *choice)
{
    JsonObject *stage = json_object_new();
    JsonArray *largest = json_array_new();

    for (guint k = 1; k < 256; k++)
        if (choice->largest[k])
            json_array_add_int_element(largest, k);
    json_object_set_string_member(stage, "use", STAGE);
    json_object_set_boolean_member(stage, "keep_largest_foreground", choice->foreground);
    json_object_set_array_member(stage, "keep_largest", largest);
    json_object_set_double_member(stage, "remove_small", choice->small_mm3);
    json_object_set_int_member(stage, "neighbours", POSTPROCESS_NEIGHBOURS);
    return stage;
}

/* Takes every stage that postprocesses out of a recipe. */
static void stages_strip(JsonObject *stages)
{
    g_autoptr(GList) names = json_object_get_members(stages);

    for (GList *name = names; name; name = name->next) {
        JsonObject *stage = json_object_get_object_member(stages, name->data);

        if (stage && json_object_has_member(stage, "use")
            && g_str_equal(json_object_get_string_member(stage, "use"), STAGE))
            json_object_remove_member(stages, name->data);
    }
}

static gboolean chosen_any(const PostprocessChoice *choice)
{
    gboolean any = choice->foreground || choice->small_mm3 > 0;

    for (guint k = 1; k < 256; k++)
        any = any || choice->largest[k];
    return any;
}

/* The choice becomes the last stage of the recipe in model.json, instead of an earlier one. */
static gboolean model_write(const char *path, const PostprocessChoice *choice, GError **error)
{
    g_autoptr(JsonParser) parser = json_parser_new();

    if (!json_parser_load_from_file(parser, path, error))
        return FALSE;
    JsonObject *root = json_node_get_object(json_parser_get_root(parser));
    JsonObject *stages = json_object_get_object_member(
        json_object_get_object_member(root, "recipe"), "stages"); /* predicting has read them */
    stages_strip(stages);
    if (chosen_any(choice))
        json_object_set_object_member(
            stages, json_object_has_member(stages, STAGE) ? "postprocess_chosen" : STAGE,
            stage_object(choice));
    g_autofree char *text = json_to_string(json_parser_get_root(parser), TRUE);
    g_autofree char *lines = g_strconcat(text, "\n", NULL);
    return loom_file_replace(path, lines, strlen(lines), error);
}

/* ---- the command -------------------------------------------------------------------- */

static void case_said(const char *id)
{
    g_autofree char *text = g_strdup_printf("trying on %s", id);

    terminal_live(text);
}

static void trials_print(const GPtrArray *trials)
{
    g_print("%-40s  dice before   after\n", "candidate");
    for (guint i = 0; i < trials->len; i++) {
        const PostprocessTrial *trial = trials->pdata[i];

        g_print("%-40s  %11.4f  %6.4f  %s\n", trial->name, trial->before, trial->after,
                trial->kept ? "kept" : "not kept");
    }
}

static int search_run(Search *search, const char *run)
{
    g_autoptr(LoomPool) pool = loom_pool_new((guint)threads_option);
    g_autoptr(GError) error = NULL;
    PostprocessChoice choice;

    if (!folds_add(search, run, &error)) {
        const int code = interrupt_caught() ? 128 + interrupt_caught() : command_code(error);
        return command_fail_text(code, "%s", predict_place_cut(error->message));
    }
    g_autoptr(GPtrArray) trials = postprocess_choose(
        search->cases, search->labels, search->n_labels, pool, &choice, case_said, &error);
    terminal_live(NULL);
    if (!trials)
        return command_fail(COMMAND_WRONG, error);
    trials_print(trials);
    for (guint i = 0; !dry_option && i < search->models->len; i++)
        if (!model_write(search->models->pdata[i], &choice, &error))
            return command_fail(COMMAND_FAILED, error);
    g_print("%u cases, %u model%s: %s\n", search->cases->len, search->models->len,
            search->models->len > 1 ? "s" : "",
            dry_option            ? "nothing changed, as asked for"
            : chosen_any(&choice) ? "postprocessed so from now on"
                                  : "nothing changed, for nothing helps");
    return COMMAND_DONE;
}

int cmd_postprocess(int argc, char **argv)
{
    g_auto(CommandLine) line = {0};
    g_auto(Search) search = {0};

    if (!command_parse(&line, &usage, argc, argv))
        return COMMAND_WRONG;
    if (threads_option < 0 || threads_option > 1024)
        return command_fail_text(COMMAND_WRONG, "--threads: want 0 to 1024");
    interrupt_watch();
    g_autoptr(LoomRegistry) registry = command_registry(&line);
    if (!registry)
        return COMMAND_WRONG;
    search.registry = registry;
    search.set = line.set;
    search.models = g_ptr_array_new_with_free_func(g_free);
    search.datasets = g_ptr_array_new_with_free_func((GDestroyNotify)loom_dataset_free);
    search.cases = g_ptr_array_new_with_free_func(case_free);
    return search_run(&search, line.arguments[0]);
}
