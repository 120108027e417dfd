/* node - the tree that a YAML file becomes: made, copied, searched, and blamed by its place. */
#include "config/yaml.h"

#include "core/intern.h"

LoomNode *loom_node_new(LoomNodeType type, const char *file, const char *folder, guint line,
                        guint column)
{
    LoomNode *node = g_new0(LoomNode, 1);

    node->type = type;
    node->file = loom_intern(file);
    node->folder = loom_intern(folder);
    node->line = line;
    node->column = column;
    if (type == LOOM_NODE_SCALAR)
        node->text = g_strdup("");
    else
        node->items = g_ptr_array_new_with_free_func((GDestroyNotify)loom_node_free);
    if (type == LOOM_NODE_MAPPING)
        node->keys = g_ptr_array_new_with_free_func((GDestroyNotify)loom_node_free);
    return node;
}

void loom_node_free(LoomNode *node)
{
    if (!node)
        return;
    g_free(node->text);
    g_clear_pointer(&node->items, g_ptr_array_unref);
    g_clear_pointer(&node->keys, g_ptr_array_unref);
    g_free(node);
}

LoomNode *loom_node_copy(const LoomNode *node)
{
    LoomNode *copy =
        loom_node_new(node->type, node->file, node->folder, node->line, node->column);

    if (node->type == LOOM_NODE_SCALAR) {
        g_free(copy->text);
        copy->text = g_strdup(node->text);
        copy->quoted = node->quoted;
        return copy;
    }
    for (guint i = 0; i < node->items->len; i++)
        g_ptr_array_add(copy->items, loom_node_copy(node->items->pdata[i]));
    for (guint i = 0; node->keys && i < node->keys->len; i++)
        g_ptr_array_add(copy->keys, loom_node_copy(node->keys->pdata[i]));
    return copy;
}

void loom_node_put(LoomNode *mapping, LoomNode *key, LoomNode *value)
{
    g_assert(mapping->type == LOOM_NODE_MAPPING && key->type == LOOM_NODE_SCALAR);
    g_ptr_array_add(mapping->keys, key);
    g_ptr_array_add(mapping->items, value);
}

guint loom_node_height(const LoomNode *node)
{
    guint height = 0;

    if (node->type == LOOM_NODE_SCALAR)
        return 0;
    for (guint i = 0; i < node->items->len; i++) {
        guint below = loom_node_height(node->items->pdata[i]); /* MAX would ask twice */

        height = MAX(height, below);
    }
    return height + 1;
}

/* Index of @key, or -1. */
static gint node_index(const LoomNode *mapping, const char *key)
{
    if (!mapping || mapping->type != LOOM_NODE_MAPPING)
        return -1;
    for (guint i = 0; i < mapping->keys->len; i++)
        if (g_str_equal(((const LoomNode *)mapping->keys->pdata[i])->text, key))
            return (gint)i;
    return -1;
}

LoomNode *loom_node_get(const LoomNode *mapping, const char *key)
{
    gint i = node_index(mapping, key);

    return i < 0 ? NULL : mapping->items->pdata[i];
}

LoomNode *loom_node_key(const LoomNode *mapping, const char *key)
{
    gint i = node_index(mapping, key);

    return i < 0 ? NULL : mapping->keys->pdata[i];
}

char *loom_node_place(const LoomNode *node)
{
    return g_strdup_printf("%s:%u:%u", node->file, node->line, node->column);
}

gboolean loom_node_fail(const LoomNode *node, GError **error, const char *format, ...)
{
    g_autofree char *place = loom_node_place(node);
    g_autofree char *cause = NULL;
    va_list args;

    va_start(args, format);
    cause = g_strdup_vprintf(format, args);
    va_end(args);
    return loom_fail(error, LOOM_ERROR_CONFIG, "%s: %s", place, cause);
}

gboolean loom_node_fail_as(const LoomNode *node, const char *name, GError **error,
                           const char *format, ...)
{
    g_autofree char *place = loom_node_place(node);
    g_autofree char *cause = NULL;
    va_list args;

    va_start(args, format);
    cause = g_strdup_vprintf(format, args);
    va_end(args);
    return loom_fail_as(error, name, LOOM_ERROR_CONFIG, "%s: %s", place, cause);
}
