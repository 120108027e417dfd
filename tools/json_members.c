/* json_members - see json_members.h. */
#include "json_members.h"

#include <math.h>

static JsonNode *member_of(JsonObject *object, const char *name)
{
    return object ? json_object_get_member(object, name) : NULL;
}

JsonObject *json_child(JsonObject *object, const char *name)
{
    JsonNode *node = member_of(object, name);

    return node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
}

JsonArray *json_list(JsonObject *object, const char *name)
{
    JsonNode *node = member_of(object, name);

    return node && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
}

const char *json_text(JsonObject *object, const char *name)
{
    JsonNode *node = member_of(object, name);

    return node && JSON_NODE_HOLDS_VALUE(node) ? json_node_get_string(node) : NULL;
}

double json_value(JsonObject *object, const char *name)
{
    JsonNode *node = member_of(object, name);
    const GType type =
        node && JSON_NODE_HOLDS_VALUE(node) ? json_node_get_value_type(node) : G_TYPE_INVALID;

    return type == G_TYPE_INT64 || type == G_TYPE_DOUBLE ? json_node_get_double(node) : NAN;
}

JsonObject *json_item(JsonArray *list, guint i)
{
    JsonNode *node = json_array_get_element(list, i);

    return node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
}

JsonObject *json_last_item(JsonArray *list)
{
    return json_length(list) ? json_item(list, json_length(list) - 1) : NULL;
}

guint json_length(JsonArray *list)
{
    return list ? json_array_get_length(list) : 0;
}

JsonObject *json_object_parse(const char *text)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    JsonNode *root;

    /* an empty text parses, but has no root */
    if (!json_parser_load_from_data(parser, text, -1, NULL)
        || !(root = json_parser_get_root(parser)) || !JSON_NODE_HOLDS_OBJECT(root))
        return NULL;
    return json_object_ref(json_node_get_object(root));
}

JsonObject *json_object_read(const char *path)
{
    g_autofree char *text = NULL;

    return g_file_get_contents(path, &text, NULL, NULL) ? json_object_parse(text) : NULL;
}
