/* recipe - the part of a config that predicts with a model: what model.json keeps of it, so
 * that `segloom predict` needs neither the config nor the loss. */
#include "state.h"

#include "config/scalar.h"

#include <json-glib/json-glib.h>

/* The stage that turns an image into a prediction with @model: it reads the model and writes
 * the slot "prediction". */
static const LoomHop *predictor_find(const LoomRun *run, const LoomInstance *model)
{
    for (guint g = 0; g < run->graphs->len; g++) {
        const LoomGraph *graph = run->graphs->pdata[g];

        for (guint i = 0; i < graph->hops->len; i++) {
            const LoomHop *hop = graph->hops->pdata[i];
            gboolean writes = FALSE, uses = FALSE;

            for (const LoomSlot *slot = hop->stage->writes; slot && slot->name; slot++)
                writes = writes || g_str_equal(slot->name, "prediction");
            for (const LoomParam *row = hop->stage->base.params; row && row->name; row++)
                uses = uses
                       || (row->type == LOOM_PARAM_MODEL
                           && *(LoomInstance **)((char *)hop->instances[0]->self + row->offset)
                                  == model);
            if (writes && uses)
                return hop;
        }
    }
    return NULL;
}

/* The stage below @hop, if there is just one that changes the prediction. */
static const LoomHop *refiner_find(const LoomHop *hop)
{
    const LoomHop *found = NULL;

    for (guint i = 0; i < hop->children->len; i++) {
        const LoomHop *below = hop->children->pdata[i];

        for (const LoomSlot *slot = below->stage->writes; slot && slot->name; slot++)
            if (g_str_equal(slot->name, "prediction")) {
                if (found)
                    return NULL;
                found = below;
            }
    }
    return found;
}

/* "8GiB" would be a string in JSON, which is none of a size's spellings: numbers are the same
 * in both. */
static void sizes_plain(const LoomParam *rows, const LoomNode *mapping)
{
    for (const LoomParam *row = rows; row && row->name; row++) {
        LoomNode *node = loom_node_get(mapping, row->name);
        guint64 bytes;

        if (row->type != LOOM_PARAM_BYTES || !node
            || !loom_scalar_bytes(node, row->name, &bytes, NULL))
            continue;
        g_free(node->text);
        node->text = g_strdup_printf("%" G_GUINT64_FORMAT, bytes);
    }
}

static void member_add(JsonBuilder *builder, const char *name, const LoomParam *rows,
                       const LoomNode *node)
{
    g_autoptr(LoomNode) full = loom_params_node(rows, node);

    sizes_plain(rows, full);
    g_autofree char *text = loom_yaml_json(full);

    json_builder_set_member_name(builder, name);
    json_builder_add_value(builder, json_from_string(text, NULL));
}

static char *recipe_make(const LoomRun *run, const LoomInstance *model)
{
    const LoomHop *predictor = predictor_find(run, model);
    g_autoptr(GPtrArray) chain = g_ptr_array_new();
    g_autoptr(JsonBuilder) builder = json_builder_new();

    if (!predictor)
        return NULL;
    for (const LoomHop *hop = predictor; hop->parent; hop = hop->parent)
        if (!hop->stage->recall) /* what it kept of training is of no use there */
            g_ptr_array_insert(chain, 0, (gpointer)(guintptr)hop);
    for (const LoomHop *hop = refiner_find(predictor); hop; hop = refiner_find(hop))
        g_ptr_array_add(chain, (gpointer)(guintptr)hop);

    json_builder_begin_object(builder);
    json_builder_set_member_name(builder, "models");
    json_builder_begin_object(builder);
    member_add(builder, model->id, model->plugin->params, loom_instance_node(model));
    json_builder_end_object(builder);
    json_builder_set_member_name(builder, "stages");
    json_builder_begin_object(builder);
    for (guint i = 0; i < chain->len; i++) {
        const LoomHop *hop = chain->pdata[i];

        member_add(builder, hop->id, hop->stage->base.params, hop->node);
    }
    json_builder_end_object(builder);
    json_builder_end_object(builder);
    g_autoptr(JsonNode) root = json_builder_get_root(builder);
    return json_to_string(root, TRUE);
}

const char *loom_host_recipe(const LoomHost *host, const LoomInstance *model)
{
    LoomRun *run = host->run;
    char *recipe = g_hash_table_lookup(run->recipes, model->id);

    if (!recipe && (recipe = recipe_make(run, model)))
        g_hash_table_insert(run->recipes, g_strdup(model->id), recipe);
    return recipe;
}
