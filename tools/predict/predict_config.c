/* predict_config - a trained model, as the config that predicts with it: nifti_load in front of
 * the stages that model.json kept, nifti_save behind them. */
#include "predict_config.h"

#include <loom/plugin.h>

#include <json-glib/json-glib.h>
#include <string.h>

#define FORMAT_VERSION "1"
#define VOLUMES_MOST 1024       /* in one file */
#define CONFIG_NAME "(predict)" /* the config's name in messages */

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
    members_append(out, predict_model_network(model), none);
    g_string_append(out, "}}");
}

/* Keys that recipes of earlier models have not: they were trained without what it does. */
static void earlier_append(GString *out, const LoomNode *stage)
{
    static const struct {
        const char *plugin, *key;
    } later[] = {{"resample", "clip"}, {"normalise", "fill"}};

    for (guint i = 0; i < G_N_ELEMENTS(later); i++)
        if (predict_stage_uses(stage, later[i].plugin) && !loom_node_get(stage, later[i].key))
            g_string_append_printf(out, ", \"%s\": false", later[i].key);
}

/* What the command line says of a stage, besides what the recipe does. */
static void stage_append(GString *out, const LoomNode *stage, const PredictHow *how)
{
    const char *own[5] = {NULL};
    guint n = 0;

    if (predict_stage_uses(stage, "sliding_window")) {
        own[n++] = "announce";
        own[n++] = "memory"; /* `run:` has it, for all stages */
        g_string_append(out, ", \"announce\": true");
        if (how->mirror) {
            own[n++] = "mirror";
            g_string_append(out, ", \"mirror\": ");
            text_append(out, how->mirror);
        }
        if (how->probabilities) {
            own[n++] = "keep_probabilities";
            g_string_append(out, ", \"keep_probabilities\": true");
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

        if ((how->raw || how->probabilities)
            && predict_stage_uses(stages->items->pdata[i], "postprocess"))
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
    if (how->probabilities)
        g_string_append(
            out, ", \"slot\": \"probabilities\", \"suffix\": \"" PREDICT_PROBABILITIES "\"");
    else
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
