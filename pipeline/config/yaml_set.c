/* yaml_set - "a.b.c=value" from the command line, put into the tree of a config. */
#include "config/yaml.h"
#include "config/yaml_text.h"

#include <string.h>

#define OPTION "--set"
#define MAX_LISTED 12 /* keys that a message names */

/* One step of the way through the tree. */
typedef struct {
    const char *assignment;
    gsize offset;       /* of the key in it */
    const char *key;    /* "c" */
    const char *parent; /* "'a.b'", or "the config" */
} Step;

/* "'a' has no key 'lod', did you mean 'load'? it has load, scale" */
static gboolean key_fail(const LoomNode *mapping, const Step *step, GError **error)
{
    g_autoptr(GPtrArray) known = g_ptr_array_new();
    g_autofree char *guess = NULL, *list = NULL, *added = NULL;

    for (guint i = 0; i < mapping->keys->len; i++)
        g_ptr_array_add(known, ((LoomNode *)mapping->keys->pdata[i])->text);
    g_ptr_array_add(known, NULL);
    guess = loom_did_you_mean(step->key, (const char *const *)known->pdata);
    if (known->len > MAX_LISTED + 1) {
        static char more[] = "...";

        known->pdata[MAX_LISTED] = more;
        known->pdata[MAX_LISTED + 1] = NULL;
    }
    list = g_strjoinv(", ", (char **)known->pdata);
    if (!*guess)
        added = g_strdup_printf("; '%.*s={...}' adds it",
                                (int)(step->offset + strlen(step->key)), step->assignment);
    return loom_yaml_fail_at(step->assignment, step->offset, OPTION, "E-SET", error,
                             "%s has no key '%s'%s%s it has %s%s", step->parent, step->key,
                             guess, *guess ? "" : ",", *list ? list : "none",
                             added ? added : "");
}

/* The place in a sequence or mapping that the step's key means; NULL: there is none. */
static LoomNode **step_into(const LoomNode *node, const Step *step, GError **error)
{
    guint64 index = 0;

    switch (node->type) {
    case LOOM_NODE_MAPPING:
        for (guint i = 0; i < node->keys->len; i++)
            if (g_str_equal(((const LoomNode *)node->keys->pdata[i])->text, step->key))
                return (LoomNode **)&node->items->pdata[i];
        key_fail(node, step, error);
        return NULL;
    case LOOM_NODE_SEQUENCE:
        if (g_ascii_string_to_unsigned(step->key, 10, 0, G_MAXUINT, &index, NULL)
            && index < node->items->len)
            return (LoomNode **)&node->items->pdata[index];
        loom_yaml_fail_at(step->assignment, step->offset, OPTION, "E-SET", error,
                          "%s is a list of %u, counted from 0: it has no '%s'", step->parent,
                          node->items->len, step->key);
        return NULL;
    default:
        loom_yaml_fail_at(step->assignment, step->offset, OPTION, "E-SET", error,
                          "%s is '%s': it has no keys, no '%s'", step->parent, node->text,
                          step->key);
        return NULL;
    }
}

/* The value, its places counted from the assignment's first letter. */
static LoomNode *parse_value(const char *assignment, gsize path_bytes, const char *folder,
                             GError **error)
{
    g_autoptr(GString) text = g_string_new(NULL);
    const char *value = assignment + path_bytes + 1;

    if (value[strspn(value, " \t")] == '\0') {
        loom_yaml_fail_at(assignment, path_bytes, OPTION, "E-SET", error,
                          "no value behind '=', want one; '' is empty text");
        return NULL;
    }
    for (glong i = g_utf8_strlen(assignment, (gssize)path_bytes + 1); i > 0; i--)
        g_string_append_c(text, ' '); /* blanks instead of the path: libyaml counts for us */
    g_string_append(text, value);
    return loom_yaml_parse(text->str, text->len, OPTION, folder, error);
}

static gboolean check_path(const char *assignment, char *const *keys, GError **error)
{
    gsize offset = 0;

    for (; *keys; offset += strlen(*keys) + 1, keys++) {
        if (!**keys)
            return loom_yaml_fail_at(assignment, offset, OPTION, "E-SET", error,
                                     "an empty key, want KEY.KEY=VALUE");
        if (g_ascii_isspace(**keys) || g_ascii_isspace((*keys)[strlen(*keys) - 1]))
            return loom_yaml_fail_at(assignment, offset, OPTION, "E-SET", error,
                                     "key '%s' begins or ends with a blank", *keys);
    }
    return TRUE;
}

/* Puts @value in its place; takes it over on success. */
static gboolean put_value(LoomNode *root, const char *assignment, char *const *keys,
                          const char *folder, LoomNode *value, GError **error)
{
    LoomNode *node = root;
    gsize offset = 0;

    for (;; offset += strlen(*keys) + 1, keys++) {
        g_autofree char *parent = offset
                                      ? g_strdup_printf("'%.*s'", (int)offset - 1, assignment)
                                      : g_strdup("the config");
        Step step = {assignment, offset, *keys, parent};
        LoomNode **slot;

        if (!keys[1] && node->type == LOOM_NODE_MAPPING && !loom_node_get(node, *keys)) {
            guint column = (guint)g_utf8_strlen(assignment, (gssize)offset) + 1;
            LoomNode *key = loom_node_new(LOOM_NODE_SCALAR, OPTION, folder, 1, column);

            g_free(key->text);
            key->text = g_strdup(*keys);
            loom_node_put(node, key, value);
            return TRUE;
        }
        if (!(slot = step_into(node, &step, error)))
            return FALSE;
        if (!keys[1]) {
            loom_node_free(*slot);
            *slot = value;
            return TRUE;
        }
        node = *slot;
    }
}

gboolean loom_yaml_set(LoomNode *root, const char *assignment, const char *folder,
                       GError **error)
{
    const char *equals = strchr(assignment, '=');
    g_autofree char *path = NULL;
    g_auto(GStrv) keys = NULL;
    g_autoptr(LoomNode) value = NULL;

    if (!loom_yaml_check_text(assignment, strlen(assignment), OPTION, error))
        return FALSE;
    if (!equals)
        return loom_yaml_fail_at(assignment, 0, OPTION, "E-SET", error,
                                 "'%s' has no '=', want KEY.KEY=VALUE", assignment);
    if (strpbrk(assignment, "\r\n"))
        return loom_yaml_fail_at(assignment, strcspn(assignment, "\r\n"), OPTION, "E-SET",
                                 error, "a line break, want the assignment on one line");
    path = g_strndup(assignment, (gsize)(equals - assignment));
    keys = g_strsplit(*path ? path : ".", ".", -1);
    if (!check_path(assignment, keys, error)
        || !(value = parse_value(assignment, strlen(path), folder, error)))
        return FALSE;
    if (g_strv_length(keys) + loom_node_height(value) > LOOM_YAML_MAX_LEVELS)
        return loom_yaml_fail_at(assignment, 0, OPTION, "E-SET", error,
                                 "more than %d levels of lists and mappings",
                                 LOOM_YAML_MAX_LEVELS);
    if (!put_value(root, assignment, keys, folder, value, error))
        return FALSE;
    g_steal_pointer(&value);
    return TRUE;
}
