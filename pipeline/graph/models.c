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

static gboolean weight_load(const LoomBackend *backend, gpointer device,
                            const LoomWeight *weight, const LoomStore *store, GError **error)
{
    const LoomStoredTensor *stored = loom_store_find(store, weight->name);
    gboolean fits = stored && stored->rank == weight->rank;

    for (guint i = 0; fits && i < weight->rank; i++)
        fits = stored->shape[i] == weight->shape[i];
    if (!fits)
        return loom_fail(error, LOOM_ERROR_SHAPE, "weight '%s' %s", weight->name,
                         stored ? "has another shape there" : "is missing there");
    backend->array_write(device, weight->value, stored->data);
    return TRUE;
}

/* Knows the file and the model, not the place in the config. */
static gboolean weights_load(LoomRun *run, const LoomInstance *model, const char *path,
                             GError **error)
{
    g_autoptr(LoomStore) store = loom_store_read(path, error);
    guint n = 0;

    if (!store)
        return FALSE;
    const LoomWeight *weights = ((const LoomModel *)model->plugin)->weights(model->self, &n);
    for (guint i = 0; i < n; i++)
        if (!weight_load((const LoomBackend *)run->backend->plugin, run->backend->self,
                         &weights[i], store, error)) {
            g_prefix_error(error, "'%s' does not fit model '%s': ", path, model->id);
            return FALSE;
        }
    if (store->tensors->len != n)
        return loom_fail(error, LOOM_ERROR_SHAPE,
                         "'%s' does not fit model '%s': it has %u weights, the model %u", path,
                         model->id, store->tensors->len, n);
    return TRUE;
}

/* `weights: FILE` of a model. */
static gboolean weights_open(LoomRun *run, const LoomInstance *model, GError **error)
{
    const LoomNode *node = loom_node_get(loom_instance_node(model), "weights");
    g_autofree char *path = NULL;

    if (!node)
        return TRUE;
    if (node->type != LOOM_NODE_SCALAR)
        return loom_node_fail(node, error, "model '%s': weights: want a path", model->id);
    path = g_canonicalize_filename(node->text, node->folder);
    if (weights_load(run, model, path, error))
        return TRUE;
    loom_instance_blame(model, error);
    return FALSE;
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
