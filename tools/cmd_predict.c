/* cmd_predict - segloom predict: masks of new images, on the grid of the input. */
#include "command.h"
#include "image_files.h"
#include "interrupt.h"
#include "predict_config.h"
#include "terminal.h"

#include "data/dataset.h"
#include "graph/run.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <signal.h>

static char *folder_option, *backend_option;
static gint64 threads_option;

static const GOptionEntry options[] = {
    {"output", 'o', 0, G_OPTION_ARG_FILENAME, &folder_option,
     "Folder for the masks, OUT/NAME.nii.gz; required", "OUT"},
    {"threads", 0, 0, G_OPTION_ARG_INT64, &threads_option, "0, the default: all cores", "N"},
    {"backend", 0, 0, G_OPTION_ARG_STRING, &backend_option, "openblas by default", "NAME"},
    G_OPTION_ENTRY_NULL,
};

static const CommandUsage usage = {
    .arguments = "MODEL IN...",
    .min = 2,
    .summary = "Predicts with a trained MODEL: a run's folder, its model/ or model.json.\n"
               "IN: NIfTI files or folders of them; of several channels NAME_0000, NAME_0001.",
    .example = "segloom predict runs/hippocampus data/unseen -o masks",
    .options = options,
    .flags = COMMAND_MODULES,
};

typedef struct {
    PredictModel model;
    const LoomRegistry *registry;
    char *folder;  /* absolute: where the masks go */
    char *scratch; /* of the engine's log */
} Predict;

static void predict_clear(Predict *predict)
{
    if (predict->scratch) {
        g_autofree char *log = g_build_filename(predict->scratch, "log.jsonl", NULL);

        g_unlink(log);
        g_rmdir(predict->scratch);
    }
    g_clear_pointer(&predict->scratch, g_free);
    g_clear_pointer(&predict->folder, g_free);
    predict_model_clear(&predict->model);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Predict, predict_clear)

static gboolean predict_prepare(Predict *predict, GError **error)
{
    if (threads_option < 0 || threads_option > 1024)
        return loom_fail(error, LOOM_ERROR_CONFIG, "--threads: want 0 to 1024");
    predict->folder = g_canonicalize_filename(folder_option, NULL);
    if (g_mkdir_with_parents(predict->folder, 0777) != 0)
        return loom_fail(error, LOOM_ERROR_IO, "'%s' cannot be made: %s", predict->folder,
                         g_strerror(errno));
    predict->scratch = g_dir_make_tmp("segloom-XXXXXX", error);
    return predict->scratch != NULL;
}

static GPtrArray *cases_find(char **arguments, guint n_channels, GError **error)
{
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);

    for (; *arguments; arguments++)
        if (!image_files_collect(*arguments, paths, error))
            return NULL;
    return image_cases_group(paths, n_channels, error);
}

/* A run of its own for each case, so that a damaged file costs that case and no other. */
static LoomRunEnd case_predict(const Predict *predict, const ImageCase *one, GError **error)
{
    g_autoptr(LoomNode) config =
        predict_config(&predict->model, backend_option ? backend_option : "openblas",
                       threads_option, predict->folder, error);
    LoomRunOptions how = {.folder = predict->scratch};

    if (!config
        || !(how.dataset =
                 loom_dataset_from_files(one->channels, predict->model.n_channels, error)))
        return LOOM_RUN_FAILED;
    g_autoptr(LoomRun) run = loom_run_open(config, predict->registry, &how, error);
    if (!run)
        return LOOM_RUN_FAILED;
    interrupt_stops(run);
    const LoomRunEnd end = loom_run_execute(run, error);
    interrupt_stops(NULL);
    return end;
}

/* Says how it went; the path of the mask is the result. */
static void case_done(const Predict *predict, const ImageCase *one, gint64 started)
{
    g_autofree char *name = g_strconcat(one->id, ".nii.gz", NULL);
    g_autofree char *path = g_build_filename(predict->folder, name, NULL);

    if (!terminal_is_live())
        terminal_print("%s: %.1f s", one->id,
                       (double)(g_get_monotonic_time() - started) / G_USEC_PER_SEC);
    terminal_live(NULL);
    g_print("%s\n", path);
}

static int cases_predict(const Predict *predict, const GPtrArray *cases)
{
    guint failed = 0;

    for (guint i = 0; i < cases->len && !interrupt_caught(); i++) {
        const ImageCase *one = cases->pdata[i];
        const gint64 started = g_get_monotonic_time();
        g_autofree char *text =
            g_strdup_printf("case %u of %u, %s", i + 1, cases->len, one->id);
        g_autoptr(GError) error = NULL;

        terminal_live(text);
        const LoomRunEnd end = case_predict(predict, one, &error);
        if (end == LOOM_RUN_DONE)
            case_done(predict, one, started);
        if (end != LOOM_RUN_FAILED)
            continue;
        failed++;
        command_fail_text(COMMAND_WRONG, "%s", predict_place_cut(error->message));
    }
    terminal_live(NULL);
    if (interrupt_caught())
        return interrupt_caught() == SIGTERM ? 128 + SIGTERM : COMMAND_INTERRUPTED;
    return failed ? COMMAND_WRONG : COMMAND_DONE;
}

int cmd_predict(int argc, char **argv)
{
    g_auto(CommandLine) line = {0};
    g_auto(Predict) predict = {0};
    g_autoptr(GError) error = NULL;

    if (!command_parse(&line, &usage, argc, argv))
        return COMMAND_WRONG;
    if (!folder_option)
        return command_fail_text(COMMAND_WRONG, "predict wants -o OUT, a folder for the masks");
    interrupt_watch();
    g_autoptr(LoomRegistry) registry = command_registry(&line);
    if (!registry)
        return COMMAND_WRONG;
    predict.registry = registry;
    if (!predict_model_read(&predict.model, line.arguments[0], &error))
        return command_fail(COMMAND_WRONG, error);
    g_autoptr(GPtrArray) cases =
        cases_find(line.arguments + 1, predict.model.n_channels, &error);
    if (!cases || !predict_prepare(&predict, &error))
        return command_fail(COMMAND_WRONG, error);
    return cases_predict(&predict, cases);
}
