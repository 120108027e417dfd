/* predictor - see predictor.h. */
#include "predictor.h"

#include "command.h"
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
    predictor->scratch = g_dir_make_tmp("segloom-XXXXXX", error);
    return predictor->scratch != NULL;
}

void predictor_close(Predictor *predictor)
{
    g_autoptr(GDir) dir = predictor->scratch ? g_dir_open(predictor->scratch, 0, NULL) : NULL;
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(predictor->scratch, name, NULL);

        g_unlink(path); /* the engine's log and timings */
    }
    if (predictor->scratch)
        g_rmdir(predictor->scratch);
    g_clear_pointer(&predictor->scratch, g_free);
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

static LoomRunEnd case_run(const Predictor *predictor, const ImageCase *one,
                           PredictSweep *sweep, GError **error)
{
    g_autoptr(LoomNode) config = predict_config(predictor->model, &predictor->how, error);
    Listener listener = {predictor, one, sweep};
    const PredictModel *model = predictor->model;
    const guint volumes = one->volumes ? MAX(one->volumes, model->n_channels) : 0;
    const guint *places = one->volumes == model->n_volumes ? model->volume_of : NULL;
    GError *cause = NULL;
    char *const ids[] = {one->id, NULL}; /* not every layout names its files by the case */
    LoomRunOptions how = {
        .folder = predictor->scratch, .record = record_take, .data = &listener};

    if (!config
        || !(how.dataset = loom_dataset_from_files(one->channels, ids, model->n_channels,
                                                   volumes, places, error)))
        return LOOM_RUN_FAILED;
    g_autoptr(LoomRun) run = loom_run_open(config, predictor->registry, &how, &cause);
    if (!run) {
        g_propagate_error(error, cause_of(one, cause));
        return LOOM_RUN_FAILED;
    }
    sweep->most = loom_run_memory(run) ? loom_run_memory_sum(loom_run_memory(run)) : 0;
    interrupt_stops(run);
    const LoomRunEnd end = loom_run_execute(run, error);
    interrupt_stops(NULL);
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
    const LoomRunEnd end = case_run(predictor, one, &result->sweep, error);
    result->seconds = (double)(g_get_monotonic_time() - started) / G_USEC_PER_SEC;
    result->peak = machine_memory_peak();
    if (end == LOOM_RUN_DONE
        && !predict_done_write(predictor->model, how, one->id, key, result->seconds,
                               result->peak, error))
        return LOOM_RUN_FAILED;
    return end;
}
