/* predictor - see predictor.h. */
#include "predictor.h"

#include "command.h"
#include "ensemble.h"
#include "interrupt.h"
#include "machine.h"
#include "predict_done.h"

#include "data/dataset.h"

#include <errno.h>
#include <glib/gstdio.h>

gboolean predictor_open(Predictor *predictor, GError **error)
{
    if (g_mkdir_with_parents(predictor->how.folder, 0777) != 0)
        return loom_fail(error, LOOM_ERROR_IO, "'%s' cannot be made: %s", predictor->how.folder,
                         g_strerror(errno));
    if (predictor->model->next) {
        predictor->parts = g_build_filename(predictor->how.folder, ".parts-XXXXXX", NULL);
        if (!g_mkdtemp(predictor->parts)) {
            loom_fail(error, LOOM_ERROR_IO, "'%s' cannot be written to: %s",
                      predictor->how.folder, g_strerror(errno));
            g_clear_pointer(&predictor->parts, g_free);
            return FALSE;
        }
    }
    predictor->scratch = g_dir_make_tmp("segloom-XXXXXX", error);
    return predictor->scratch != NULL;
}

/* A folder of files alone. */
static void folder_remove(char *folder)
{
    g_autoptr(GDir) dir = folder ? g_dir_open(folder, 0, NULL) : NULL;
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(folder, name, NULL);

        g_unlink(path);
    }
    if (folder)
        g_rmdir(folder);
    g_free(folder);
}

void predictor_close(Predictor *predictor)
{
    folder_remove(g_steal_pointer(&predictor->scratch)); /* the engine's log and timings */
    folder_remove(g_steal_pointer(&predictor->parts));
}

/* ---- a case ------------------------------------------------------------------------- */

typedef struct {
    const Predictor *predictor;
    const ImageCase *one;
    PredictSweep *sweep;
} Listener;

static void record_take(const char *kind, G_GNUC_UNUSED gint64 step, const LoomField *fields,
                        guint n_fields, gpointer data)
{
    const Listener *listener = data;
    PredictSweep *sweep = listener->sweep;
    const struct {
        const char *name;
        double *value;
    } known[] = {{"windows", &sweep->windows}, {"passes", &sweep->passes},
                 {"batch", &sweep->batch},     {"asked", &sweep->asked},
                 {"tiles", &sweep->tiles},     {"peak", &sweep->peak},
                 {"seconds", &sweep->seconds}};

    if (!g_str_equal(kind, "sweep"))
        return;
    for (guint i = 0; i < n_fields; i++)
        for (guint k = 0; k < G_N_ELEMENTS(known); k++)
            if (g_str_equal(fields[i].name, known[k].name))
                *known[k].value = fields[i].value;
    if (listener->predictor->begun)
        listener->predictor->begun(listener->one, sweep, listener->predictor->data);
}

/* The case in front of what is wrong with it, @cause (transfer full). */
static GError *cause_of(const ImageCase *one, GError *cause)
{
    GError *error = g_error_new(cause->domain, cause->code, "case '%s': %s", one->id,
                                predict_place_cut(cause->message));

    g_error_free(cause);
    return error;
}

/* One recipe. */
static LoomRunEnd recipe_run(const Predictor *predictor, const PredictModel *model,
                             const PredictHow *how, const ImageCase *one, PredictSweep *sweep,
                             GError **error)
{
    g_autoptr(LoomNode) config = predict_config(model, how, error);
    Listener listener = {predictor, one, sweep};
    const guint volumes = one->volumes ? MAX(one->volumes, model->n_channels) : 0;
    const guint *places = one->volumes == model->n_volumes ? model->volume_of : NULL;
    GError *cause = NULL;
    char *const ids[] = {one->id, NULL}; /* not every layout names its files by the case */
    LoomRunOptions options = {
        .folder = predictor->scratch, .record = record_take, .data = &listener};

    if (!config
        || !(options.dataset = loom_dataset_from_files(one->channels, ids, model->n_channels,
                                                       volumes, places, error)))
        return LOOM_RUN_FAILED;
    g_autoptr(LoomRun) run = loom_run_open(config, predictor->registry, &options, &cause);
    if (!run) {
        g_propagate_error(error, cause_of(one, cause));
        return LOOM_RUN_FAILED;
    }
    if (loom_run_memory(run))
        sweep->most = MAX(sweep->most, loom_run_memory_sum(loom_run_memory(run)));
    interrupt_stops(run);
    const LoomRunEnd end = loom_run_execute(run, error);
    interrupt_stops(NULL);
    return end;
}

/* ---- several recipes ---------------------------------------------------------------- */

/* (transfer full), NULL: classes are told apart. */
static guint8 *regions_of(const PredictModel *model, guint *n)
{
    const LoomNode *window = predict_model_stage(model, "sliding_window");
    const LoomNode *regions = loom_node_get(window, "regions");

    *n = regions && regions->type == LOOM_NODE_SEQUENCE ? regions->items->len : 0;
    guint8 *labels = *n ? g_new(guint8, *n) : NULL;
    for (guint r = 0; r < *n; r++) /* the stage has checked them */
        labels[r] =
            (guint8)g_ascii_strtoull(((LoomNode *)regions->items->pdata[r])->text, NULL, 10);
    return labels;
}

/* The probabilities of each as a file, which goes when the mask is there. */
static LoomRunEnd recipes_run(const Predictor *predictor, const ImageCase *one,
                              PredictSweep *sweep, GError **error)
{
    const PredictModel *first = predictor->model;
    const PredictHow *how = &predictor->how;
    g_autoptr(GPtrArray) parts = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *mask = predict_mask_path(how->folder, one->id);
    g_autofree char *saved =
        g_strdup_printf("%s/%s" PREDICT_PROBABILITIES, predictor->parts, one->id);
    EnsembleLabels labels = {.values = first->values, .n_values = first->n_labels};
    g_autofree guint8 *regions = regions_of(first, &labels.n_regions);
    PredictHow part = *how;
    LoomRunEnd end = LOOM_RUN_DONE;

    part.folder = predictor->parts;
    part.probabilities = TRUE;
    for (const PredictModel *model = first; model && end == LOOM_RUN_DONE;
         model = model->next) {
        end = recipe_run(predictor, model, &part, one, sweep, error);
        char *path = g_strdup_printf("%s/%u.nii", predictor->parts, parts->len);
        g_ptr_array_add(parts, path);
        if (end == LOOM_RUN_DONE && g_rename(saved, path) != 0) {
            loom_fail(error, LOOM_ERROR_IO, "'%s' cannot be renamed: %s", saved,
                      g_strerror(errno));
            end = LOOM_RUN_FAILED;
        }
    }
    g_ptr_array_add(parts, NULL);
    labels.regions = regions;
    if (end == LOOM_RUN_DONE
        && !ensemble_write((char **)parts->pdata, &labels, mask, how->memory,
                           machine_memory_used(), error))
        end = LOOM_RUN_FAILED;
    for (guint i = 0; i + 1 < parts->len; i++)
        g_unlink(parts->pdata[i]);
    return end;
}

LoomRunEnd predictor_case(const Predictor *predictor, const ImageCase *one,
                          PredictResult *result, GError **error)
{
    const PredictHow *how = &predictor->how;
    const gint64 started = g_get_monotonic_time();
    g_autofree char *key = predict_done_key(predictor->model, how, one, error);

    *result = (PredictResult){0};
    if (!key)
        return LOOM_RUN_FAILED;
    result->there = !predictor->overwrite && predict_done_there(how->folder, one->id, key);
    if (result->there)
        return LOOM_RUN_DONE;
    machine_memory_peak_reset();
    const LoomRunEnd end =
        predictor->model->next
            ? recipes_run(predictor, one, &result->sweep, error)
            : recipe_run(predictor, predictor->model, how, one, &result->sweep, error);
    result->seconds = (double)(g_get_monotonic_time() - started) / G_USEC_PER_SEC;
    result->peak = machine_memory_peak();
    if (end == LOOM_RUN_DONE
        && !predict_done_write(predictor->model, how, one->id, key, result->seconds,
                               result->peak, error))
        return LOOM_RUN_FAILED;
    return end;
}
