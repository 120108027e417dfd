/* checkpoint_model - the folder that `segloom predict` reads. */
#include "checkpoint_model.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

gboolean checkpoint_model_open(CheckpointModel *predictor, const LoomInstance *model,
                               const LoomHost *host, GError **error)
{
    g_autofree char *folder = g_build_filename(loom_host_folder(host), "model", NULL);
    g_autofree char *name = g_strconcat(model->id, ".safetensors", NULL);
    const char *recipe = loom_host_recipe(host, model);

    if (g_mkdir_with_parents(folder, 0777) != 0)
        return loom_fail(error, LOOM_ERROR_IO, "'%s': cannot make it: %s", folder,
                         g_strerror(errno));
    predictor->model = model;
    predictor->dataset = loom_host_dataset(host);
    predictor->weights = g_build_filename(folder, name, NULL);
    predictor->json = g_build_filename(folder, "model.json", NULL);
    predictor->recipe = recipe ? json_from_string(recipe, NULL) : NULL;
    g_assert(predictor->recipe || !recipe); /* the engine wrote it */
    return TRUE;
}

void checkpoint_model_close(CheckpointModel *predictor)
{
    g_free(predictor->weights);
    g_free(predictor->json);
    g_clear_pointer(&predictor->recipe, json_node_unref);
}

static void add_text(JsonBuilder *builder, const char *member, const char *text)
{
    json_builder_set_member_name(builder, member);
    json_builder_add_string_value(builder, text);
}

/* @node: (transfer full); NULL becomes null. */
static void add_node(JsonBuilder *builder, const char *member, JsonNode *node)
{
    json_builder_set_member_name(builder, member);
    json_builder_add_value(builder, node ? node : json_node_new(JSON_NODE_NULL));
}

static void add_names(JsonBuilder *builder, const char *member, char *const *names, guint n)
{
    json_builder_set_member_name(builder, member);
    json_builder_begin_array(builder);
    for (guint i = 0; names && i < n; i++)
        json_builder_add_string_value(builder, names[i]);
    json_builder_end_array(builder);
}

static void add_score(JsonBuilder *builder, const CheckpointBest *best)
{
    add_text(builder, "keep", best ? "best" : "last");
    json_builder_set_member_name(builder, "score");
    if (!best || isnan(best->score)) {
        json_builder_add_null_value(builder);
        return;
    }
    json_builder_begin_object(builder);
    add_text(builder, "reading", best->reading);
    json_builder_set_member_name(builder, "value");
    json_builder_add_double_value(builder, best->score);
    json_builder_set_member_name(builder, "smooth");
    json_builder_add_double_value(builder, best->smooth);
    json_builder_end_object(builder);
}

/* [{"name": "whole", "labels": [1, 2, 3], "written": 2}, ...] in the order of the channels. */
static void add_regions(JsonBuilder *builder, const LoomDataset *dataset)
{
    json_builder_set_member_name(builder, "regions");
    json_builder_begin_array(builder);
    for (guint r = 0; dataset && r < dataset->n_regions; r++) {
        const LoomLabelRegion *region = &dataset->regions[r];

        json_builder_begin_object(builder);
        add_text(builder, "name", region->name);
        json_builder_set_member_name(builder, "labels");
        json_builder_begin_array(builder);
        for (guint k = 0; k < 256; k++)
            if (region->holds[k])
                json_builder_add_int_value(builder, k);
        json_builder_end_array(builder);
        json_builder_set_member_name(builder, "written");
        json_builder_add_int_value(builder, region->written);
        json_builder_end_object(builder);
    }
    json_builder_end_array(builder);
}

/* [0, 1, 2, 4]: what is written for class 0, 1, ... */
static void add_values(JsonBuilder *builder, const LoomDataset *dataset)
{
    json_builder_set_member_name(builder, "label_values");
    json_builder_begin_array(builder);
    for (guint k = 0; dataset && k < dataset->n_labels; k++)
        json_builder_add_int_value(builder, dataset->value_of ? dataset->value_of[k] : k);
    json_builder_end_array(builder);
}

/* {"count": 4, "of_channels": [2]}: in files that hold all channels; null: there are none. */
static void add_volumes(JsonBuilder *builder, const LoomDataset *dataset)
{
    json_builder_set_member_name(builder, "volumes");
    if (!dataset || !dataset->n_volumes) {
        json_builder_add_null_value(builder);
        return;
    }
    json_builder_begin_object(builder);
    json_builder_set_member_name(builder, "count");
    json_builder_add_int_value(builder, dataset->n_volumes);
    json_builder_set_member_name(builder, "of_channels");
    json_builder_begin_array(builder);
    for (guint c = 0; c < dataset->n_channels; c++)
        json_builder_add_int_value(builder, dataset->volume_of[c]);
    json_builder_end_array(builder);
    json_builder_end_object(builder);
}

static char *describe(const CheckpointModel *predictor, const LoomContext *ctx, gint64 step,
                      const CheckpointBest *best)
{
    const LoomDataset *dataset = predictor->dataset;
    g_autoptr(JsonBuilder) builder = json_builder_new();
    g_autofree char *weights = g_path_get_basename(predictor->weights);
    g_autofree char *latest = loom_context_latest(ctx, "metrics");

    json_builder_begin_object(builder);
    json_builder_set_member_name(builder, "segloom");
    json_builder_add_int_value(builder, 1); /* of this format */
    add_text(builder, "model", predictor->model->id);
    add_text(builder, "weights", weights);
    json_builder_set_member_name(builder, "step");
    json_builder_add_int_value(builder, step);
    add_score(builder, best);
    add_names(builder, "labels", dataset ? dataset->label_names : NULL,
              dataset ? dataset->n_labels : 0);
    add_values(builder, dataset);
    add_names(builder, "channels", dataset ? dataset->channel_names : NULL,
              dataset ? dataset->n_channels : 0);
    add_volumes(builder, dataset);
    add_regions(builder, dataset);
    add_node(builder, "recipe", predictor->recipe ? json_node_copy(predictor->recipe) : NULL);
    add_node(builder, "metrics", latest ? json_from_string(latest, NULL) : NULL);
    json_builder_end_object(builder);
    g_autoptr(JsonNode) root = json_builder_get_root(builder);
    g_autofree char *text = json_to_string(root, TRUE);
    return g_strconcat(text, "\n", NULL);
}

gboolean checkpoint_model_write(const CheckpointModel *predictor, const LoomStore *checkpoint,
                                const LoomContext *ctx, gint64 step, const CheckpointBest *best,
                                GError **error)
{
    g_autoptr(LoomStore) store = loom_store_new();
    g_autofree char *json = describe(predictor, ctx, step, best);

    for (guint i = 0; i < checkpoint->tensors->len; i++) {
        const LoomStoredTensor *tensor = checkpoint->tensors->pdata[i];

        if (g_str_has_prefix(tensor->name, "value/"))
            loom_store_add(store, tensor->name + strlen("value/"), tensor->rank, tensor->shape,
                           g_memdup2(tensor->data, (gsize)tensor->count * sizeof(float)));
    }
    g_hash_table_insert(store->metadata, g_strdup("step"),
                        g_strdup_printf("%" G_GINT64_FORMAT, step));
    g_hash_table_insert(store->metadata, g_strdup("model"), g_strdup(predictor->model->id));
    return loom_store_write(store, predictor->weights, NULL, error)
           && loom_file_replace(predictor->json, json, strlen(json), error);
}
