/* checkpoint - the weights of a model on disk, and back from there.
 *
 * Every so many steps, and when a run ends or is stopped in order, it leaves in the run folder
 *   checkpoint/MODEL.safetensors   value/NAME, moment0/NAME, moment1/NAME; step, taken, seed,
 *       model (taken: batches that all ranks together have used)
 *   checkpoint/MODEL.previous.safetensors   the one before
 *   model/MODEL.safetensors, model/model.json   what predicting needs, see checkpoint_model.h;
 *       with `keep: best` of the weights that scored best in validation so far
 * each replaced as a whole, by the one rank that writes.  With --resume it loads the first, or,
 * if that is damaged, the one before.  A run that failed saves nothing, and weights that are
 * not finite are never saved. */
#define G_LOG_DOMAIN "loom-checkpoint"
#include "checkpoint_best.h"
#include "checkpoint_model.h"

#include <loom/loom.h>

#include <errno.h>
#include <glib/gstdio.h>
#include <math.h>

#define MOMENTS 2 /* of LoomWeight */

typedef struct {
    LoomInstance *model;
    gint64 every;
    int keep;
    char *score;
    double smooth;
    char *path, *previous; /* NULL: only checking */
    CheckpointModel predictor;
    CheckpointBest best;
    guint64 seed;
    gint64 saved; /* step of the newest checkpoint; 0: none */
} Checkpoint;

typedef enum { KEEP_LAST, KEEP_BEST } Keep;
static const char *const checkpoint_keeps[] = {"last", "best", NULL};

static const LoomParam checkpoint_params[] = {
    LOOM_MODEL_ID(Checkpoint, model, "whose weights to keep"),
    LOOM_INT(Checkpoint, every, "100", 1, 1000000000, "steps", "between two checkpoints"),
    LOOM_ENUM(Checkpoint, keep, "last", checkpoint_keeps,
              "which weights model/ holds, for predicting: the last, or those that scored best "
              "in validation"),
    LOOM_STRING(Checkpoint, score, "dice",
                "reading of the metrics that tells the best, the higher the better"),
    LOOM_FLOAT(
        Checkpoint, smooth, "0", 0, 0.999, NULL,
        "share of the moving mean that stays when a score comes; 0: each score by itself; "
        "nnU-Net has 0.9"),
    {0},
};

static const LoomModel *model_of(const Checkpoint *checkpoint)
{
    return (const LoomModel *)checkpoint->model->plugin;
}

static const LoomInstance *device_of(const Checkpoint *checkpoint, const LoomBackend **device)
{
    const LoomInstance *backend = model_of(checkpoint)->backend(checkpoint->model->self);

    *device = (const LoomBackend *)backend->plugin;
    return backend;
}

/* The arrays of a weight that a checkpoint holds, by their prefixes; NULL: it has none. */
static LoomArray *array_of(const LoomWeight *weight, guint which, const char **prefix)
{
    static const char *const prefixes[] = {"value", "moment0", "moment1"};
    G_STATIC_ASSERT(G_N_ELEMENTS(prefixes) == MOMENTS + 1);

    *prefix = prefixes[which];
    return which ? weight->moment[which - 1] : weight->value;
}

/* ---- to disk ------------------------------------------------------------------------ */

static gboolean array_add(const Checkpoint *checkpoint, LoomStore *store, const char *name,
                          const LoomWeight *weight, const LoomArray *array, GError **error)
{
    const LoomBackend *device;
    const LoomInstance *backend = device_of(checkpoint, &device);
    float *x = g_new(float, (gsize)weight->count);
    gboolean finite = TRUE;

    device->array_read(backend->self, array, x);
    for (gint64 i = 0; i < weight->count; i++)
        finite = finite && isfinite(x[i]);
    loom_store_add(store, name, weight->rank, weight->shape, x);
    return finite
           || loom_fail(error, LOOM_ERROR_NUMERIC,
                        "'%s' of model '%s' is not finite: nothing was saved", name,
                        checkpoint->model->id);
}

/* Returns: (transfer full): everything that goes on from here. */
static LoomStore *gather(const Checkpoint *checkpoint, const LoomContext *ctx, gint64 step,
                         GError **error)
{
    g_autoptr(LoomStore) store = loom_store_new();
    guint n;
    const LoomWeight *weights = model_of(checkpoint)->weights(checkpoint->model->self, &n);

    for (guint i = 0; i < n; i++)
        for (guint which = 0; which <= MOMENTS; which++) {
            const char *prefix;
            const LoomArray *array = array_of(&weights[i], which, &prefix);
            g_autofree char *name = g_strdup_printf("%s/%s", prefix, weights[i].name);

            if (array && !array_add(checkpoint, store, name, &weights[i], array, error))
                return NULL;
        }
    g_hash_table_insert(store->metadata, g_strdup("step"),
                        g_strdup_printf("%" G_GINT64_FORMAT, step));
    g_hash_table_insert(store->metadata, g_strdup("taken"),
                        g_strdup_printf("%" G_GINT64_FORMAT, loom_context_taken(ctx)));
    g_hash_table_insert(store->metadata, g_strdup("seed"),
                        g_strdup_printf("%" G_GUINT64_FORMAT, checkpoint->seed));
    g_hash_table_insert(store->metadata, g_strdup("model"), g_strdup(checkpoint->model->id));
    checkpoint_best_store(&checkpoint->best, store);
    return g_steal_pointer(&store);
}

/* Is it the last weights that model/ holds?  Also where no validation has scored any. */
static gboolean keeps_last(const Checkpoint *checkpoint)
{
    return checkpoint->keep == KEEP_LAST;
}

static gboolean model_write(const Checkpoint *checkpoint, const LoomStore *store,
                            const LoomContext *ctx, gint64 step, GError **error)
{
    return checkpoint_model_write(&checkpoint->predictor, store, ctx, step,
                                  keeps_last(checkpoint) ? NULL : &checkpoint->best, error);
}

static gboolean save(Checkpoint *checkpoint, const LoomContext *ctx, gint64 step,
                     GError **error)
{
    g_autoptr(LoomStore) store = gather(checkpoint, ctx, step, error);

    if (!store || !loom_store_write(store, checkpoint->path, checkpoint->previous, error)
        || (keeps_last(checkpoint) && !model_write(checkpoint, store, ctx, step, error)))
        return FALSE;
    checkpoint->saved = step;
    return TRUE;
}

/* Keeps the weights for predicting, if they are the best so far.  Every rank looks, so that any
 * of them may come to write. */
static gboolean best_keep(Checkpoint *checkpoint, const LoomContext *ctx, GError **error)
{
    const gint64 step = loom_context_step(ctx);
    gboolean found = FALSE;

    if (keeps_last(checkpoint))
        return TRUE;
    if (!checkpoint_best_look(&checkpoint->best, ctx, &found, error))
        return FALSE;
    if (!found || !loom_context_writes(ctx))
        return TRUE;
    g_autoptr(LoomStore) store = gather(checkpoint, ctx, step, error);
    return store && model_write(checkpoint, store, ctx, step, error);
}

static gboolean checkpoint_map(gpointer self, G_GNUC_UNUSED LoomPacket *packet,
                               LoomContext *ctx, GError **error)
{
    Checkpoint *checkpoint = self;
    const gint64 step = loom_context_step(ctx);

    if (!checkpoint->path)
        return TRUE;
    if (!best_keep(checkpoint, ctx, error))
        return FALSE;
    if (step % checkpoint->every != 0 || step == checkpoint->saved || !loom_context_writes(ctx))
        return TRUE;
    return save(checkpoint, ctx, step, error);
}

/* A run without any validation: its last weights are better than none. */
static gboolean last_keep(const Checkpoint *checkpoint, const LoomContext *ctx, gint64 step,
                          GError **error)
{
    if (keeps_last(checkpoint) || !isnan(checkpoint->best.score))
        return TRUE;
    g_autoptr(LoomStore) store = gather(checkpoint, ctx, step, error);
    if (!store)
        return FALSE;
    g_warning("keep: best, but no validation gave a '%s': model/ holds the last weights",
              checkpoint->score);
    return model_write(checkpoint, store, ctx, step, error);
}

static gboolean checkpoint_finish(gpointer self, LoomContext *ctx, GError **error)
{
    Checkpoint *checkpoint = self;
    const gint64 step = loom_context_step(ctx);

    if (!checkpoint->path)
        return TRUE;
    if (!best_keep(checkpoint, ctx, error))
        return FALSE;
    return !loom_context_writes(ctx)
           || (last_keep(checkpoint, ctx, step, error)
               && (step == checkpoint->saved || save(checkpoint, ctx, step, error)));
}

/* ---- from disk ---------------------------------------------------------------------- */

static char *shape_text(guint rank, const gint64 *shape)
{
    GString *text = g_string_new("(");

    for (guint i = 0; i < rank; i++)
        g_string_append_printf(text, "%s%" G_GINT64_FORMAT, i ? "," : "", shape[i]);
    g_string_append_c(text, ')');
    return g_string_free(text, FALSE);
}

/* The tensor for an array of a weight; NULL: it is missing, or has another shape. */
static const LoomStoredTensor *tensor_for(const LoomStore *store, const LoomWeight *weight,
                                          const char *prefix, GError **error)
{
    g_autofree char *name = g_strdup_printf("%s/%s", prefix, weight->name);
    const LoomStoredTensor *tensor = loom_store_find(store, name);
    gboolean same = tensor && tensor->rank == weight->rank;

    if (!tensor)
        return loom_fail_null(error, LOOM_ERROR_SHAPE,
                              "no '%s': it was saved by another network or optimiser", name);
    for (guint i = 0; same && i < weight->rank; i++)
        same = tensor->shape[i] == weight->shape[i];
    if (same)
        return tensor;
    g_autofree char *found = shape_text(tensor->rank, tensor->shape);
    g_autofree char *wanted = shape_text(weight->rank, weight->shape);
    return loom_fail_null(error, LOOM_ERROR_SHAPE, "'%s' is %s, the network wants %s", name,
                          found, wanted);
}

static gboolean weights_load(const Checkpoint *checkpoint, const LoomStore *store,
                             GError **error)
{
    const LoomBackend *device;
    const LoomInstance *backend = device_of(checkpoint, &device);
    guint n, found = 0;
    LoomWeight *weights = model_of(checkpoint)->weights(checkpoint->model->self, &n);

    for (guint i = 0; i < n; i++)
        for (guint which = 0; which <= MOMENTS; which++) {
            const char *prefix;
            LoomArray *array = array_of(&weights[i], which, &prefix);
            const LoomStoredTensor *tensor;

            if (!array)
                continue;
            if (!(tensor = tensor_for(store, &weights[i], prefix, error)))
                return FALSE;
            device->array_write(backend->self, array, tensor->data);
            found++;
        }
    if (found == store->tensors->len)
        return TRUE;
    return loom_fail(error, LOOM_ERROR_SHAPE,
                     "%u tensors, the network and its optimiser want %u: was it saved with "
                     "another optimiser?",
                     store->tensors->len, found);
}

/* A whole number of the metadata; FALSE: missing, or none. */
static gboolean metadata_number(const LoomStore *store, const char *key, guint64 *value,
                                GError **error)
{
    const char *text = g_hash_table_lookup(store->metadata, key);

    if (text && g_ascii_string_to_unsigned(text, 10, 0, G_MAXUINT64, value, NULL))
        return TRUE;
    return loom_fail(error, LOOM_ERROR_FORMAT, "no checkpoint: '%s' is %s", key,
                     text ? text : "missing");
}

/* Puts a store that has proved to be whole into the model. */
static gboolean restore(Checkpoint *checkpoint, const LoomStore *store, LoomHost *host,
                        GError **error)
{
    guint64 step, seed, taken;

    if (!metadata_number(store, "step", &step, error)
        || !metadata_number(store, "seed", &seed, error)
        || !metadata_number(store, "taken", &taken, error))
        return FALSE;
    if (step > G_MAXINT64 || taken > G_MAXINT64)
        return loom_fail(error, LOOM_ERROR_FORMAT,
                         "step is %" G_GUINT64_FORMAT ", taken %" G_GUINT64_FORMAT, step,
                         taken);
    if (seed != checkpoint->seed)
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "saved by a run with seed %" G_GUINT64_FORMAT
                         ", this one has %" G_GUINT64_FORMAT,
                         seed, checkpoint->seed);
    if (!weights_load(checkpoint, store, error))
        return FALSE;
    checkpoint->saved = (gint64)step;
    checkpoint_best_restore(&checkpoint->best, store);
    return loom_host_resumed_at(host, checkpoint->saved, error)
           && loom_host_resumed_taken(host, (gint64)taken, error);
}

static gboolean resume(Checkpoint *checkpoint, LoomHost *host, GError **error)
{
    const char *path = checkpoint->path;
    g_autoptr(GError) damage = NULL;
    g_autoptr(LoomStore) store = NULL;

    if (!g_file_test(path, G_FILE_TEST_EXISTS)
        && !g_file_test(checkpoint->previous, G_FILE_TEST_EXISTS)) {
        g_message("no checkpoint of model '%s' yet: it starts from the first step",
                  checkpoint->model->id);
        return loom_host_resumed_at(host, 0, error);
    }
    if (!(store = loom_store_read(path, &damage))) {
        path = checkpoint->previous;
        if (!(store = loom_store_read(path, error))) {
            g_prefix_error(error, "%s; ", damage->message);
            return FALSE;
        }
        g_warning("%s; going on from the checkpoint before it", damage->message);
    }
    if (restore(checkpoint, store, host, error))
        return TRUE;
    g_prefix_error(error, "'%s': ", path);
    return FALSE;
}

static gboolean checkpoint_open(gpointer self, LoomHost *host, GError **error)
{
    Checkpoint *checkpoint = self;
    const char *folder = loom_host_folder(host), *id = checkpoint->model->id;
    g_autofree char *place = NULL, *name = NULL, *previous = NULL;

    checkpoint_best_init(&checkpoint->best, checkpoint->score, checkpoint->smooth);
    if (!checkpoint->score)
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "score is empty, want a reading of the metrics such as 'dice'");
    if (!folder)
        return TRUE;
    place = g_build_filename(folder, "checkpoint", NULL);
    name = g_strconcat(id, ".safetensors", NULL);
    previous = g_strconcat(id, ".previous.safetensors", NULL);
    if (g_mkdir_with_parents(place, 0777) != 0)
        return loom_fail(error, LOOM_ERROR_IO, "'%s': cannot make it: %s", place,
                         g_strerror(errno));
    checkpoint->path = g_build_filename(place, name, NULL);
    checkpoint->previous = g_build_filename(place, previous, NULL);
    checkpoint->seed = loom_host_seed(host);
    return checkpoint_model_open(&checkpoint->predictor, checkpoint->model, host, error)
           && (!loom_host_resuming(host) || resume(checkpoint, host, error));
}

static void checkpoint_close(gpointer self)
{
    Checkpoint *checkpoint = self;

    g_free(checkpoint->path);
    g_free(checkpoint->previous);
    checkpoint_model_close(&checkpoint->predictor);
}

/* A copy of all that is saved, and of the weights once more for model/. */
static gboolean checkpoint_need(gpointer self, G_GNUC_UNUSED LoomPacket *sketch, LoomNeed *need,
                                G_GNUC_UNUSED GError **error)
{
    const Checkpoint *checkpoint = self;
    guint n;
    const LoomWeight *weights = model_of(checkpoint)->weights(checkpoint->model->self, &n);

    for (guint i = 0; i < n; i++)
        need->work += (MOMENTS + 2) * sizeof(float) * (guint64)weights[i].count;
    return TRUE;
}

static const LoomStage checkpoint = {
    .base = LOOM_STAGE(Checkpoint, "checkpoint", "Keep the weights of a model on disk",
                       .params = checkpoint_params, .open = checkpoint_open,
                       .close = checkpoint_close),
    .map = checkpoint_map,
    .need = checkpoint_need,
    .finish = checkpoint_finish,
};
LOOM_MODULE("stage_checkpoint", "0.1", &checkpoint.base);
