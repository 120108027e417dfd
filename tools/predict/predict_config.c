/* predict_config - a trained model, as the config that predicts with it: nifti_load in front of
 * the stages that model.json kept, nifti_save behind them. */
#include "predict_config.h"

#include <loom/plugin.h>

#include "data/text.h"

#include <json-glib/json-glib.h>
#include <string.h>

#define FORMAT_VERSION "1"
#define VOLUMES_MOST 1024       /* in one file */
#define CONFIG_NAME "(predict)" /* the config's name in messages */

void predict_model_clear(PredictModel *model)
{
    g_clear_pointer(&model->path, g_free);
    g_clear_pointer(&model->weights, g_ptr_array_unref);
    g_clear_pointer(&model->recipe, loom_node_free);
    g_clear_pointer(&model->channels, g_strfreev);
    g_clear_pointer(&model->volume_of, g_free);
    g_clear_pointer(&model->labels, g_strfreev);
    g_clear_pointer(&model->values, g_free);
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

/* The keys of the one network in the recipe. */
static LoomNode *network_of(const PredictModel *model)
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
    const LoomNode *channels = loom_node_get(network_of(model), "in_channels");
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

/* ---- the config --------------------------------------------------------------------- */

/* Keys that place a stage in a graph, or weights on a disk; this config has its own. */
static const char *const placing[] = {"from", "queue", "workers", "weights", NULL};

static void text_append(GString *out, const char *text)
{
    g_autoptr(JsonNode) node = json_node_init_string(json_node_alloc(), text);
    g_autofree char *quoted = json_to_string(node, FALSE);

    g_string_append(out, quoted);
}

/* The members of @mapping without those that place it and those of @own (ends with NULL), each
 * behind a comma. */
static void members_append(GString *out, const LoomNode *mapping, const char *const *own)
{
    for (guint i = 0; i < mapping->items->len; i++) {
        const LoomNode *key = mapping->keys->pdata[i];
        g_autofree char *value = loom_yaml_json(mapping->items->pdata[i]);

        if (g_strv_contains(placing, key->text) || g_strv_contains(own, key->text))
            continue;
        g_string_append(out, ", ");
        text_append(out, key->text);
        g_string_append_printf(out, ": %s", value);
    }
}

/* A name that no stage of the recipe has. */
static char *free_name(const LoomNode *stages, const char *wish)
{
    g_autoptr(GString) name = g_string_new(wish);

    while (loom_node_get(stages, name->str))
        g_string_append_c(name, '_');
    return g_strdup(name->str);
}

static void models_append(GString *out, const PredictModel *model, gboolean weights)
{
    static const char *const none[] = {NULL};
    const LoomNode *models = loom_node_get(model->recipe, "models");

    g_string_append(out, "{");
    text_append(out, ((const LoomNode *)models->keys->pdata[0])->text);
    g_string_append(out, ": {\"weights\": [");
    for (guint i = 0; weights && i < model->weights->len; i++) {
        g_string_append(out, i ? ", " : "");
        text_append(out, model->weights->pdata[i]);
    }
    g_string_append(out, "]");
    members_append(out, network_of(model), none);
    g_string_append(out, "}}");
}

/* Does the stage, as the recipe has it, use this plugin? */
static gboolean uses(const LoomNode *stage, const char *plugin)
{
    const LoomNode *use = loom_node_get(stage, "use");

    return use && use->type == LOOM_NODE_SCALAR && g_str_equal(use->text, plugin);
}

/* Keys that recipes of earlier models have not: they were trained without what it does. */
static void earlier_append(GString *out, const LoomNode *stage)
{
    static const struct {
        const char *plugin, *key;
    } later[] = {{"resample", "clip"}, {"normalise", "fill"}};

    for (guint i = 0; i < G_N_ELEMENTS(later); i++)
        if (uses(stage, later[i].plugin) && !loom_node_get(stage, later[i].key))
            g_string_append_printf(out, ", \"%s\": false", later[i].key);
}

/* What the command line says of a stage, besides what the recipe does. */
static void stage_append(GString *out, const LoomNode *stage, const PredictHow *how)
{
    const char *own[4] = {NULL};

    if (uses(stage, "sliding_window")) {
        own[0] = "announce";
        own[1] = "memory"; /* `run:` has it, for all stages */
        own[2] = how->mirror ? "mirror" : NULL;
        g_string_append(out, ", \"announce\": true");
        if (how->mirror) {
            g_string_append(out, ", \"mirror\": ");
            text_append(out, how->mirror);
        }
    }
    earlier_append(out, stage);
    members_append(out, stage, own);
}

/* Only where it differs from what is written without it: masks made before stay as they are. */
static void values_append(GString *out, const PredictModel *model)
{
    gboolean same = TRUE;

    for (guint k = 0; k < model->n_labels; k++)
        same = same && model->values[k] == k;
    for (guint k = 0; !same && k < model->n_labels; k++)
        g_string_append_printf(out, "%s%u", k ? ", " : ", \"values\": [", model->values[k]);
    if (!same)
        g_string_append_c(out, ']');
}

static void stages_append(GString *out, const PredictModel *model, const PredictHow *how)
{
    const LoomNode *stages = loom_node_get(model->recipe, "stages");
    g_autofree char *load = free_name(stages, "load");
    g_autofree char *save = free_name(stages, "save");
    const char *above = load;

    g_string_append(out, "{");
    text_append(out, load);
    g_string_append(out, ": {\"use\": \"nifti_load\", \"split\": \"all\", \"cache\": 0}");
    for (guint i = 0; i < stages->items->len; i++) {
        const LoomNode *key = stages->keys->pdata[i];

        if (how->raw && uses(stages->items->pdata[i], "postprocess"))
            continue;
        g_string_append(out, ",\n  ");
        text_append(out, key->text);
        g_string_append(out, ": {\"from\": ");
        text_append(out, above);
        stage_append(out, stages->items->pdata[i], how);
        g_string_append(out, "}");
        above = key->text;
    }
    g_string_append(out, ",\n  ");
    text_append(out, save);
    g_string_append(out, ": {\"use\": \"nifti_save\", \"from\": ");
    text_append(out, above);
    g_string_append(out, ", \"folder\": ");
    text_append(out, how->folder);
    values_append(out, model);
    g_string_append(out, "}}");
}

char *predict_model_text(const PredictModel *model, gboolean raw)
{
    const PredictHow plain = {.backend = "", .folder = "", .raw = raw};
    GString *text = g_string_new(NULL);

    models_append(text, model, FALSE);
    stages_append(text, model, &plain);
    return g_string_free(text, FALSE);
}

LoomNode *predict_config(const PredictModel *model, const PredictHow *how, GError **error)
{
    g_autoptr(GString) text = g_string_new("{\"segloom\": 1,\n\"backend\": {\"use\": ");
    g_autofree char *here = g_path_get_dirname(model->path);
    g_autofree char *base = g_canonicalize_filename(here, NULL);

    text_append(text, how->backend);
    if (g_str_equal(how->backend, PREDICT_BACKEND)) /* the same mask whatever else runs */
        g_string_append(text, ", \"plan\": \"fixed\"");
    g_string_append_printf(text,
                           ", \"threads\": %" G_GINT64_FORMAT "},\n\"models\": ", how->threads);
    models_append(text, model, TRUE);
    g_string_append(text, ",\n\"graphs\": {\"predict\": ");
    stages_append(text, model, how);
    g_string_append_printf(
        text, "},\n\"run\": {\"graph\": \"predict\", \"memory\": %" G_GUINT64_FORMAT "}}\n",
        how->memory);
    return loom_yaml_parse(text->str, text->len, CONFIG_NAME, base, error);
}

const char *predict_place_cut(const char *message)
{
    const char *end = g_str_has_prefix(message, CONFIG_NAME ":") ? strstr(message, ": ") : NULL;

    return end ? end + 2 : message;
}
