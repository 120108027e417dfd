/* json - a JSON file, bounded and checked. */
#include "json.h"

#include "text.h"

#include <string.h>

#define JSON_DEPTH 32 /* dataset.json needs 5; json-glib recurses */

/* How deep brackets nest, outside strings. */
static guint json_depth(const char *text)
{
    guint depth = 0, deepest = 0;
    gboolean quoted = FALSE;

    for (; *text; text++) {
        if (quoted && *text == '\\' && text[1])
            text++;
        else if (*text == '"')
            quoted = !quoted;
        else if (!quoted && strchr("[{", *text))
            deepest = MAX(deepest, ++depth);
        else if (!quoted && strchr("]}", *text) && depth)
            depth--;
    }
    return deepest;
}

JsonParser *loom_json_read(const char *path, GError **error)
{
    g_autofree char *text = loom_text_read(path, error);
    g_autoptr(JsonParser) parser = json_parser_new_immutable();
    g_autoptr(GError) cause = NULL;

    if (!text)
        return NULL;
    if (json_depth(text) > JSON_DEPTH)
        return loom_fail_null(error, LOOM_ERROR_LIMIT, "'%s': brackets nest more than %d deep",
                              path, JSON_DEPTH);
    if (!json_parser_load_from_data(parser, text, -1, &cause))
        return loom_fail_null(error, LOOM_ERROR_FORMAT, "'%s': %s", path, cause->message);
    if (!json_parser_get_root(parser))
        return loom_fail_null(error, LOOM_ERROR_FORMAT, "'%s': is no JSON object", path);
    return g_steal_pointer(&parser);
}

const char *loom_json_text(JsonNode *node)
{
    if (!node || !JSON_NODE_HOLDS_VALUE(node)
        || json_node_get_value_type(node) != G_TYPE_STRING)
        return NULL;
    return json_node_get_string(node);
}
