/* cmd_predict - segloom predict: masks of new images, on the grid of the input. */
#include "command.h"
#include "interrupt.h"
#include "predict_done.h"
#include "predict_images.h"
#include "predict_models.h"
#include "predictor.h"
#include "terminal.h"

#include "config/scalar.h"
#include "data/dataset.h"

#include <math.h>
#include <string.h>

#define SAID_AT_MOST 5
#define LONG_SECONDS 10 /* a case that takes longer is announced */

static char *folder_option, *backend_option, *memory_option, *mirror_option;
static char **model_option;
static gint64 threads_option;
static gboolean overwrite_option;

static const GOptionEntry options[] = {
    {"output", 'o', 0, G_OPTION_ARG_FILENAME, &folder_option,
     "Folder for the masks, OUT/NAME.nii.gz; required", "OUT"},
    {"model", 'm', 0, G_OPTION_ARG_FILENAME_ARRAY, &model_option,
     "Instead of MODEL; of several the mean", "MODEL"},
    {"memory", 0, 0, G_OPTION_ARG_STRING, &memory_option,
     "The process stays below; else it takes what it needs", "4GiB"},
    {"mirror", 0, 0, G_OPTION_ARG_STRING, &mirror_option,
     "Mean over mirrored windows too: DHW is 8 times the work", "AXES"},
    {"overwrite", 0, 0, G_OPTION_ARG_NONE, &overwrite_option, "Also what is done already",
     NULL},
    {"threads", 0, 0, G_OPTION_ARG_INT64, &threads_option, "0, the default: all cores", "N"},
    {"backend", 0, 0, G_OPTION_ARG_STRING, &backend_option,
     "cpu by default, whatever it was trained on", "NAME"},
    G_OPTION_ENTRY_NULL,
};

static const CommandUsage usage = {
    .arguments = "MODEL IN...",
    .min = 1,
    .summary =
        "MODEL: a run's folder, its model/ or model.json; a folder of fold_0, fold_1, ...\n"
        "is the mean of its folds.  Models of different configs for the same labels are\n"
        "averaged on the grid of the file.  IN: NIfTI files, folders; channels NAME_0000,\n"
        "... or along the fourth axis of one file, in the order of model.json; or folders\n"
        "as KiTS19 or BraTS20 lay them out.",
    .example = "segloom predict runs/hippocampus data/unseen -o masks",
    .options = options,
    .flags = COMMAND_MODULES,
};

/* ---- what was asked for ------------------------------------------------------------- */

static gboolean memory_read(guint64 *bytes, GError **error)
{
    g_autoptr(LoomNode) node = loom_node_new(LOOM_NODE_SCALAR, "--memory", "/", 1, 1);
    g_autoptr(GError) cause = NULL;

    if (!memory_option)
        return TRUE;
    g_free(node->text);
    node->text = g_strdup(memory_option);
    return loom_scalar_bytes(node, "--memory", bytes, &cause)
           || loom_fail(error, LOOM_ERROR_CONFIG,
                        "--memory: '%s' is no size, want one such as 4GiB or 800MB",
                        memory_option);
}

static gboolean options_read(PredictHow *how, const LoomRegistry *registry, GError **error)
{
    if (threads_option < 0 || threads_option > 1024)
        return loom_fail(error, LOOM_ERROR_CONFIG, "--threads: want 0 to 1024");
    if (mirror_option && strspn(mirror_option, "DHW") != strlen(mirror_option))
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "--mirror: '%s', want letters of D, H, W, or '' for none",
                         mirror_option);
    how->backend = backend_option ? backend_option : PREDICT_BACKEND;
    how->threads = threads_option;
    how->mirror = mirror_option;
    return loom_registry_need(registry, LOOM_KIND_BACKEND, how->backend, error)
           && memory_read(&how->memory, error);
}

/* ---- what is said ------------------------------------------------------------------- */

/* "about 3 min"; (transfer full). */
static char *time_text(double seconds)
{
    return seconds < 90 ? g_strdup_printf("about %.0f s", ceil(seconds))
                        : g_strdup_printf("about %.0f min", ceil(seconds / 60));
}

/* "84 windows, 8 passes each"; (transfer full). */
static char *cost_text(const PredictSweep *sweep)
{
    GString *text = g_string_new(NULL);

    g_string_printf(text, "%.0f window%s", sweep->windows, sweep->windows > 1 ? "s" : "");
    if (sweep->passes > 1)
        g_string_append_printf(text, ", %.0f passes each", sweep->passes);
    return g_string_free(text, FALSE);
}

/* What --memory made of it: "2 windows at once instead of 4, 6 tiles"; "" where it fits. */
static char *squeezed_text(const PredictSweep *sweep)
{
    GString *text = g_string_new(NULL);

    if (sweep->batch < sweep->asked)
        g_string_append_printf(text, ", %.0f window%s at once instead of %.0f", sweep->batch,
                               sweep->batch > 1 ? "s" : "", sweep->asked);
    if (sweep->tiles > 1)
        g_string_append_printf(text, ", in %.0f tiles", sweep->tiles);
    if (text->len)
        g_string_append(text, " to keep --memory");
    return g_string_free(text, FALSE);
}

typedef struct {
    guint number, all;
} Place;

/* Before the first case: of how many models, and which numbers will stand for what. */
static void model_say(const PredictModel *model)
{
    g_autofree char *values =
        loom_label_values_text(model->labels, model->values, model->n_labels);
    guint models = 0, recipes = 0;
    gboolean chosen = FALSE;

    for (const PredictModel *recipe = model; recipe; recipe = recipe->next) {
        models += recipe->weights->len;
        recipes++;
        chosen = chosen || predict_model_stage(recipe, "postprocess");
    }
    if (recipes > 1)
        terminal_print("the mean of %u models of %u recipes, each recipe counting the same",
                       models, recipes);
    else if (models > 1)
        terminal_print("the mean of %u models", models);
    if (recipes > 1 && chosen)
        terminal_print("what 'postprocess' chose for one recipe alone is left out");
    if (values)
        terminal_print("masks hold the data set's own values: %s", values);
}

/* The cost, before it is paid. */
static void begun_say(const ImageCase *one, const PredictSweep *sweep, gpointer data)
{
    const Place *place = data;
    g_autofree char *cost = cost_text(sweep);
    g_autofree char *time = time_text(sweep->seconds);
    g_autofree char *squeezed = squeezed_text(sweep);
    g_autofree char *text = g_strdup_printf("case %u of %u, %s: %s, %s", place->number,
                                            place->all, one->id, cost, time);

    terminal_live(text);
    if (*squeezed || (!terminal_is_live() && sweep->seconds >= LONG_SECONDS))
        terminal_print("%s: %s, %s%s", one->id, cost, time, squeezed);
}

/* Says how it went; the path of the mask is the result. */
static void case_said(const Predictor *predictor, const ImageCase *one,
                      const PredictResult *result)
{
    g_autofree char *path = predict_mask_path(predictor->how.folder, one->id);
    g_autofree char *peak = command_bytes(result->peak);
    const PredictSweep *sweep = &result->sweep;
    g_autofree char *expected = command_bytes(sweep->most ? sweep->most : (guint64)sweep->peak);

    if (!result->there && (predictor->how.memory || command_verbose()))
        terminal_print("%s: %.1f s, memory at most %s, %s expected", one->id, result->seconds,
                       peak, expected);
    else if (!result->there && !terminal_is_live())
        terminal_print("%s: %.1f s", one->id, result->seconds);
    terminal_live(NULL);
    g_print("%s\n", path);
}

/* "2 of 5 cases failed: a, b": after all messages, so that nobody overlooks it. */
static void failed_say(const GPtrArray *failed, guint all)
{
    g_autoptr(GString) names = g_string_new(NULL);

    for (guint i = 0; i < MIN(failed->len, SAID_AT_MOST); i++)
        g_string_append_printf(names, "%s%s", i ? ", " : "", (const char *)failed->pdata[i]);
    command_fail_text(0, "%u of %u case%s failed: %s%s", failed->len, all, all > 1 ? "s" : "",
                      names->str, failed->len > SAID_AT_MOST ? ", ..." : "");
}

/* ---- all cases ---------------------------------------------------------------------- */

static int cases_predict(Predictor *predictor, const GPtrArray *cases)
{
    g_autoptr(GPtrArray) failed = g_ptr_array_new();
    guint there = 0;
    Place place = {0, cases->len};

    predictor->begun = begun_say;
    predictor->data = &place;
    for (guint i = 0; i < cases->len && !interrupt_caught(); i++) {
        const ImageCase *one = cases->pdata[i];
        g_autofree char *text =
            g_strdup_printf("case %u of %u, %s", i + 1, cases->len, one->id);
        g_autoptr(GError) error = NULL;
        PredictResult result;

        terminal_live(text);
        place.number = i + 1;
        const LoomRunEnd end = predictor_case(predictor, one, &result, &error);
        if (end == LOOM_RUN_DONE)
            case_said(predictor, one, &result);
        there += result.there ? 1 : 0;
        if (end != LOOM_RUN_FAILED)
            continue;
        g_ptr_array_add(failed, one->id);
        command_fail_text(COMMAND_FAILED, "%s", predict_place_cut(error->message));
    }
    terminal_live(NULL);
    if (there)
        terminal_print("%u of %u masks were there already (--overwrite makes them anew)", there,
                       cases->len);
    if (interrupt_caught())
        return 128 + interrupt_caught();
    if (failed->len)
        failed_say(failed, cases->len);
    return failed->len ? COMMAND_FAILED : COMMAND_DONE;
}

/* MODEL is the first argument, unless --model names it. */
static int predict_with(const CommandLine *line, const LoomRegistry *registry)
{
    char *const first[] = {line->arguments[0], NULL};
    char **images = line->arguments + (model_option ? 0 : 1);
    g_autofree char *folder = g_canonicalize_filename(folder_option, NULL);
    g_auto(PredictModel) model = {0};
    g_auto(Predictor) predictor = {.registry = registry,
                                   .model = &model,
                                   .how.folder = folder,
                                   .overwrite = overwrite_option};
    g_autoptr(GError) error = NULL;

    if (!options_read(&predictor.how, registry, &error)
        || !predict_models_read(&model, model_option ? model_option : first, &error))
        return command_fail(COMMAND_WRONG, error);
    g_autoptr(GPtrArray) cases = predict_images(images, &model, &error);
    if (!cases || !predictor_open(&predictor, &error))
        return command_fail(COMMAND_WRONG, error);
    model_say(&model);
    return cases_predict(&predictor, cases);
}

int cmd_predict(int argc, char **argv)
{
    g_auto(CommandLine) line = {0};

    if (!command_parse(&line, &usage, argc, argv))
        return COMMAND_WRONG;
    if (!folder_option)
        return command_fail_text(COMMAND_WRONG, "predict wants -o OUT, a folder for the masks");
    if (!model_option && !line.arguments[1])
        return command_fail_text(COMMAND_WRONG,
                                 "predict wants IN, images besides the model '%s'",
                                 line.arguments[0]);
    interrupt_watch();
    g_autoptr(LoomRegistry) registry = command_registry(&line);
    return registry ? predict_with(&line, registry) : COMMAND_WRONG;
}
