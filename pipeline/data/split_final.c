/* split_final - splits_final.json of nnU-Net: [{"train": [ids], "val": [ids]}, ...], a fold
 * each. Source: nnU-Net, documentation/manual_data_splits.md. */
#include "json.h"
#include "split.h"

/* The ids of "train" or "val" of a fold: each case of them gets @side. */
static gboolean side_read(LoomDataset *dataset, JsonObject *fold, const char *key, guint8 side,
                          const char *place, GError **error)
{
    JsonNode *node = json_object_get_member(fold, key);
    JsonArray *ids = node && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;

    if (!ids)
        return loom_fail(error, LOOM_ERROR_FORMAT, "%s has no list '%s'", place, key);
    for (guint i = 0; i < json_array_get_length(ids); i++) {
        const char *id = loom_json_text(json_array_get_element(ids, i));
        g_autofree char *entry = g_strdup_printf("%s: %s", place, key);
        const gint64 at = id ? loom_case_find(dataset, id) : -1;

        if (!id)
            return loom_fail(error, LOOM_ERROR_FORMAT, "%s: entry %u is no text", entry, i);
        if (at < 0)
            return loom_case_unknown(dataset, entry, id, error);
        if (dataset->in_train[at] != LOOM_SIDE_NEITHER)
            return loom_fail(error, LOOM_ERROR_FORMAT, "%s: case '%s' is there twice", entry,
                             id);
        dataset->in_train[at] = side;
    }
    return TRUE;
}

gboolean loom_split_read_final(LoomDataset *dataset, const char *path, gint64 fold,
                               GError **error)
{
    g_autoptr(JsonParser) parser = loom_json_read(path, error);
    JsonNode *root = parser ? json_parser_get_root(parser) : NULL;
    JsonArray *folds = root && JSON_NODE_HOLDS_ARRAY(root) ? json_node_get_array(root) : NULL;
    g_autofree char *place = g_strdup_printf("'%s': fold %" G_GINT64_FORMAT, path, fold);

    if (!parser)
        return FALSE;
    if (!folds || !json_array_get_length(folds))
        return loom_fail(error, LOOM_ERROR_FORMAT,
                         "'%s': is no list of folds {\"train\": [...], \"val\": [...]}", path);
    if (fold >= json_array_get_length(folds))
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "'%s': has %u folds, there is no fold %" G_GINT64_FORMAT, path,
                         json_array_get_length(folds), fold);
    JsonNode *node = json_array_get_element(folds, (guint)fold);
    if (!JSON_NODE_HOLDS_OBJECT(node))
        return loom_fail(error, LOOM_ERROR_FORMAT, "%s is no JSON object", place);
    for (guint i = 0; i < dataset->n_cases; i++)
        dataset->in_train[i] = LOOM_SIDE_NEITHER;
    dataset->split = g_strdup_printf("fold %" G_GINT64_FORMAT " of splits_final.json", fold);
    return side_read(dataset, json_node_get_object(node), "train", LOOM_SIDE_TRAINS, place,
                     error)
           && side_read(dataset, json_node_get_object(node), "val", LOOM_SIDE_VALIDATES, place,
                        error);
}
