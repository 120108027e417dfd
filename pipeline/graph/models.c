/* models - the networks of a run: made, opened, given weights from disk. */
#include "models.h"

#include <loom/store.h>

static const char *const model_keys[] = {"weights", NULL};

gboolean loom_models_make(LoomRun *run, const LoomScope *scope, GError **error)
{
    const LoomNode *section = loom_node_get(run->config, "models");
    gboolean good = TRUE;

    if (section && section->type != LOOM_NODE_MAPPING)
        return loom_node_fail_as(section, "E-VALUE-TYPE", error,
                                 "models: want a mapping: ID: {use: NAME, ...}");
    for (guint i = 0; section && i < section->items->len; i++) {
        const char *id = ((LoomNode *)section->keys->pdata[i])->text;
        g_autoptr(GError) cause = NULL;
        LoomInstance *model = loom_instance_new(LOOM_KIND_MODEL, id, section->items->pdata[i],
                                                model_keys, scope, &cause);

        if (!model && !loom_findings_keep(scope->findings, &cause, error))
            return FALSE;
        good = good && model;
        if (model)
            g_ptr_array_add(run->models, model);
        g_hash_table_insert(run->by_model, g_strdup(id), model); /* NULL: said already */
    }
    if (!good)
        return loom_findings_fail(error);
    if (run->models->len && !loom_node_get(run->config, "backend"))
        return loom_node_fail_as(
            run->config, "E-KEY-MISSING", error,
            "a model needs a backend to compute on: add 'backend: {use: NAME}' "
            "(segloom inspect backend lists them)");
    return TRUE;
}

/* ---- weights from disk -------------------------------------------------------------- */

static gboolean weight_fits(const LoomWeight *weight, const LoomStore *store, GError **error)
{
    const LoomStoredTensor *stored = loom_store_find(store, weight->name);
    gboolean fits = stored && stored->rank == weight->rank;

    for (guint i = 0; fits && i < weight->rank; i++)
        fits = stored->shape[i] == weight->shape[i];
    return fits
           || loom_fail(error, LOOM_ERROR_SHAPE, "weight '%s' %s", weight->name,
                        stored ? "has another shape there" : "is missing there");
}

static gboolean weights_fit(const LoomInstance *model, const LoomStore *store, const char *path,
                            GError **error)
{
    guint n = 0;
    const LoomWeight *weights = ((const LoomModel *)model->plugin)->weights(model->self, &n);

    for (guint i = 0; i < n; i++)
        if (!weight_fits(&weights[i], store, error)) {
            g_prefix_error(error, "'%s' does not fit model '%s': ", path, model->id);
            return FALSE;
        }
    return store->tensors->len == n
           || loom_fail(error, LOOM_ERROR_SHAPE,
                        "'%s' does not fit model '%s': it has %u weights, the model %u", path,
                        model->id, store->tensors->len, n);
}

/* @store: it fits. */
static void weights_put(const LoomRun *run, const LoomInstance *model, const LoomStore *store)
{
    const LoomBackend *backend = (const LoomBackend *)run->backend->plugin;
    guint n = 0;
    const LoomWeight *weights = ((const LoomModel *)model->plugin)->weights(model->self, &n);

    for (guint i = 0; i < n; i++)
        backend->array_write(run->backend->self, weights[i].value,
                             loom_store_find(store, weights[i].name)->data);
}

/* A file of `weights:`; (transfer full). */
static LoomStore *weights_read(const LoomInstance *model, const LoomNode *node, GError **error)
{
    g_autoptr(LoomStore) store = NULL;
    g_autofree char *path = NULL;

    if (node->type != LOOM_NODE_SCALAR) {
        loom_node_fail(node, error, "model '%s': weights: want a path, or a list of them",
                       model->id);
        return NULL;
    }
    path = g_canonicalize_filename(node->text, node->folder);
    if ((store = loom_store_read(path, error)) && weights_fit(model, store, path, error))
        return g_steal_pointer(&store);
    loom_instance_blame(model, error);
    return NULL;
}

/* The stage that steps this model; NULL: none. */
static const LoomHop *stepper_of(const LoomRun *run, const LoomInstance *model)
{
    for (guint g = 0; g < run->graphs->len; g++) {
        const LoomGraph *graph = run->graphs->pdata[g];

        for (guint i = 0; i < graph->hops->len; i++) {
            const LoomHop *hop = graph->hops->pdata[i];
            const LoomParam *row = hop->stage->base.params;

            for (; hop->stage->flags & LOOM_STAGE_STEP && row && row->name; row++)
                if (row->type == LOOM_PARAM_MODEL
                    && *(LoomInstance **)((char *)hop->instances[0]->self + row->offset)
                           == model)
                    return hop;
        }
    }
    return NULL;
}

/* `weights: FILE`, or a list of them, of which a prediction is the mean. */
static gboolean weights_open(LoomRun *run, const LoomInstance *model, GError **error)
{
    const LoomNode *node = loom_node_get(loom_instance_node(model), "weights");
    const gboolean many = node && node->type == LOOM_NODE_SEQUENCE;
    g_autoptr(GPtrArray) sets = g_ptr_array_new_with_free_func((GDestroyNotify)loom_store_free);

    if (!node)
        return TRUE;
    if (many && !node->items->len)
        return loom_node_fail(node, error, "model '%s': weights: the list is empty", model->id);
    if (many && node->items->len > 1 && stepper_of(run, model))
        return loom_node_fail(
            node, error, "model '%s': weights: %u files, but stage '%s' trains it: want one",
            model->id, node->items->len, stepper_of(run, model)->id);
    for (guint i = 0; i < (many ? node->items->len : 1); i++) {
        LoomStore *store = weights_read(model, many ? node->items->pdata[i] : node, error);

        if (!store)
            return FALSE;
        g_ptr_array_add(sets, store);
    }
    weights_put(run, model, sets->pdata[0]);
    if (sets->len > 1)
        g_hash_table_insert(run->weight_sets, (gpointer)(guintptr)model,
                            g_steal_pointer(&sets));
    return TRUE;
}

static guint sets_of(const LoomRun *run, const LoomInstance *model)
{
    const GPtrArray *sets = g_hash_table_lookup(run->weight_sets, model);

    return sets ? sets->len : 1;
}

guint loom_context_weight_sets(const LoomContext *ctx, const LoomInstance *model)
{
    return sets_of(ctx->run, model);
}

guint loom_host_weight_sets(const LoomHost *host, const LoomInstance *model)
{
    return sets_of(host->run, model);
}

void loom_context_weights_use(LoomContext *ctx, const LoomInstance *model, guint set)
{
    const GPtrArray *sets = g_hash_table_lookup(ctx->run->weight_sets, model);

    g_assert(set < loom_context_weight_sets(ctx, model));
    if (sets)
        weights_put(ctx->run, model, sets->pdata[set]);
}

gboolean loom_models_open(LoomRun *run, GError **error)
{
    for (guint i = 0; i < run->models->len; i++) {
        LoomInstance *model = run->models->pdata[i];
        LoomHost host = {run, model->id, NULL};

        if (!loom_instance_open(model, &host, error) || !weights_open(run, model, error))
            return FALSE;
    }
    return TRUE;
}
