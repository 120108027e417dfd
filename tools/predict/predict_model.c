/* predict_model - what model.json says of a trained model: see checkpoint_model.h for its
 * words. */
#include "predict_model.h"

#include <loom/plugin.h>

#include "data/text.h"

#include <string.h>

#define FORMAT_VERSION "1"
#define VOLUMES_MOST 1024 /* in one file */

void predict_model_clear(PredictModel *model)
{
    g_clear_pointer(&model->path, g_free);
    g_clear_pointer(&model->weights, g_ptr_array_unref);
    g_clear_pointer(&model->recipe, loom_node_free);
    g_clear_pointer(&model->channels, g_strfreev);
    g_clear_pointer(&model->volume_of, g_free);
    g_clear_pointer(&model->labels, g_strfreev);
    g_clear_pointer(&model->values, g_free);
    if (model->next)
        predict_model_clear(model->next);
    g_clear_pointer(&model->next, g_free);
}

/* ---- model.json --------------------------------------------------------------------- */

char *predict_model_json(const char *path)
{
    static const char *const below[] = {"model.json", "model/model.json"};

    for (guint i = 0; i < G_N_ELEMENTS(below); i++) {
        g_autofree char *inner = g_build_filename(path, below[i], NULL);

        if (g_file_test(inner, G_FILE_TEST_IS_REGULAR))
            return g_steal_pointer(&inner);
    }
    return g_file_test(path, G_FILE_TEST_IS_REGULAR) ? g_strdup(path) : NULL;
}

LoomNode *predict_model_network(const PredictModel *model)
{
    const LoomNode *models = loom_node_get(model->recipe, "models");

    if (!models || models->type != LOOM_NODE_MAPPING || models->items->len != 1)
        return NULL;
    LoomNode *network = models->items->pdata[0];
    return network->type == LOOM_NODE_MAPPING ? network : NULL;
}

/* NULL: there are none, or others than @n. */
static char **names_read(const LoomNode *root, const char *key, guint n)
{
    const LoomNode *names = loom_node_get(root, key);
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();

    if (!names || names->type != LOOM_NODE_SEQUENCE || !n || names->items->len != n)
        return NULL;
    for (guint i = 0; i < names->items->len; i++) {
        const LoomNode *name = names->items->pdata[i];

        if (name->type != LOOM_NODE_SCALAR)
            return NULL;
        g_strv_builder_add(builder, name->text);
    }
    return g_strv_builder_end(builder);
}

static gboolean channels_read(PredictModel *model, const LoomNode *root, GError **error)
{
    const LoomNode *channels = loom_node_get(predict_model_network(model), "in_channels");
    gint64 n = 0;

    if (!channels || channels->type != LOOM_NODE_SCALAR
        || !g_ascii_string_to_signed(channels->text, 10, 1, 1024, &n, NULL))
        return loom_fail(error, LOOM_ERROR_FORMAT,
                         "'%s': does not say how many channels the network takes", model->path);
    model->n_channels = (guint)n;
    model->channels = names_read(root, "channels", model->n_channels);
    return TRUE;
}

/* A whole number below @end. */
static gboolean number_read(const LoomNode *node, guint end, guint *number)
{
    guint64 found = 0;

    if (!node || node->type != LOOM_NODE_SCALAR
        || !g_ascii_string_to_unsigned(node->text, 10, 0, end - 1, &found, NULL))
        return FALSE;
    *number = (guint)found;
    return TRUE;
}

static gboolean volumes_read(PredictModel *model, const LoomNode *root, GError **error)
{
    const LoomNode *volumes = loom_node_get(root, "volumes");
    const LoomNode *places = loom_node_get(volumes, "of_channels");
    gboolean read;

    if (!volumes || volumes->type != LOOM_NODE_MAPPING)
        return TRUE;
    read = number_read(loom_node_get(volumes, "count"), VOLUMES_MOST, &model->n_volumes)
           && model->n_volumes >= model->n_channels && places
           && places->type == LOOM_NODE_SEQUENCE && places->items->len == model->n_channels;
    model->volume_of = g_new0(guint, model->n_channels);
    for (guint c = 0; read && c < model->n_channels; c++)
        read = number_read(places->items->pdata[c], model->n_volumes, &model->volume_of[c]);
    return read
           || loom_fail(error, LOOM_ERROR_FORMAT,
                        "'%s': volumes does not say where each of %u channels lies",
                        model->path, model->n_channels);
}

/* Models that say nothing of it write the numbers of their classes. */
static gboolean labels_read(PredictModel *model, const LoomNode *root, GError **error)
{
    const LoomNode *values = loom_node_get(root, "label_values");
    const guint n = values && values->type == LOOM_NODE_SEQUENCE ? values->items->len : 0;

    if (n > 256)
        return loom_fail(error, LOOM_ERROR_FORMAT, "'%s': label_values of %u classes",
                         model->path, n);
    model->labels = names_read(root, "labels", n);
    if (!n || !model->labels)
        return TRUE;
    model->n_labels = n;
    model->values = g_new(guint8, n);
    for (guint k = 0; k < n; k++) {
        guint number;

        if (!number_read(values->items->pdata[k], 256, &number))
            return loom_fail(error, LOOM_ERROR_FORMAT,
                             "'%s': label_values holds what is no number from 0 to 255",
                             model->path);
        model->values[k] = (guint8)number;
    }
    return TRUE;
}

/* The weights lie beside model.json: a name, no path to anywhere else. */
static gboolean weights_find(PredictModel *model, const LoomNode *root, const char *folder,
                             GError **error)
{
    const LoomNode *weights = loom_node_get(root, "weights");

    if (!weights || weights->type != LOOM_NODE_SCALAR || !*weights->text
        || strchr(weights->text, '/'))
        return loom_fail(error, LOOM_ERROR_FORMAT, "'%s': does not name its weights",
                         model->path);
    model->weights = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(model->weights, g_build_filename(folder, weights->text, NULL));
    return TRUE;
}

static gboolean version_check(const PredictModel *model, const LoomNode *root, GError **error)
{
    const LoomNode *version = loom_node_get(root, "segloom");

    if (!version || version->type != LOOM_NODE_SCALAR)
        return loom_fail(error, LOOM_ERROR_FORMAT, "'%s' is no model of segloom", model->path);
    return g_str_equal(version->text, FORMAT_VERSION)
           || loom_fail(error, LOOM_ERROR_FORMAT,
                        "'%s' has format %s, this segloom reads " FORMAT_VERSION, model->path,
                        version->text);
}

gboolean predict_model_read(PredictModel *model, const char *path, GError **error)
{
    g_autofree char *text = NULL;
    g_autoptr(LoomNode) root = NULL;

    model->path = g_strdup(path);
    g_autofree char *folder = g_path_get_dirname(model->path);
    g_autofree char *absolute = g_canonicalize_filename(folder, NULL);
    if (!(text = loom_text_read(model->path, error))
        || !(root = loom_yaml_parse(text, strlen(text), model->path, absolute, error))
        || !version_check(model, root, error) || !weights_find(model, root, absolute, error))
        return FALSE;
    const LoomNode *recipe = loom_node_get(root, "recipe");
    const LoomNode *stages = loom_node_get(recipe, "stages");
    if (!stages || stages->type != LOOM_NODE_MAPPING)
        return loom_fail(
            error, LOOM_ERROR_FORMAT,
            "'%s': has no recipe to predict with: the run that made it had no graph "
            "that predicts",
            model->path);
    model->recipe = loom_node_copy(recipe);
    return channels_read(model, root, error) && volumes_read(model, root, error)
           && labels_read(model, root, error);
}

/* ---- stages ------------------------------------------------------------------------- */

gboolean predict_stage_uses(const LoomNode *stage, const char *plugin)
{
    const LoomNode *use = loom_node_get(stage, "use");

    return use && use->type == LOOM_NODE_SCALAR && g_str_equal(use->text, plugin);
}

const LoomNode *predict_model_stage(const PredictModel *model, const char *plugin)
{
    const LoomNode *stages = loom_node_get(model->recipe, "stages");

    for (guint i = 0; i < stages->items->len; i++)
        if (predict_stage_uses(stages->items->pdata[i], plugin))
            return stages->items->pdata[i];
    return NULL;
}
