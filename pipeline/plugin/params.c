/* params - rows: a YAML mapping into the members of a struct, and back; what each value is,
 * param_value.c knows. */
#include "param_value.h"

#include <string.h>

gboolean loom_param_nests(const LoomParam *row)
{
    return row->type == LOOM_PARAM_PLUGIN || row->type == LOOM_PARAM_PLUGINS;
}

LoomInstance **loom_param_nested(const LoomParam *row, gpointer self, guint *n)
{
    gpointer member = (char *)self + row->offset;

    if (row->type == LOOM_PARAM_PLUGINS) {
        *n = ((LoomInstances *)member)->n;
        return ((LoomInstances *)member)->v;
    }
    *n = *(LoomInstance **)member ? 1 : 0;
    return member;
}

char *loom_words_join(const char *const *words)
{
    return g_strjoinv(", ", (char **)(guintptr)words);
}

char *loom_hint_among(const char *word, GHashTable *table)
{
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    GHashTableIter iter;
    gpointer key;

    if (table) {
        g_hash_table_iter_init(&iter, table);
        while (g_hash_table_iter_next(&iter, &key, NULL))
            g_strv_builder_add(builder, key);
    }
    g_auto(GStrv) keys = g_strv_builder_end(builder);
    return loom_did_you_mean(word, (const char *const *)keys);
}

/* ---- a mapping ---------------------------------------------------------------------- */

static LoomNode *default_node(const LoomParam *row, GError **error)
{
    const char *text = *row->def ? row->def : "\"\""; /* an empty document is none */

    return loom_yaml_parse(text, strlen(text), "default", "/", error);
}

gboolean loom_param_default_check(const LoomParam *row, GError **error)
{
    g_autoptr(LoomNode) node = NULL;
    union {
        gint64 i;
        double d;
        guint64 u;
        int e;
        gboolean b;
        char *s;
        LoomInts ints;
        LoomFloats floats;
        char **strings;
    } value = {0};

    if (!row->def || loom_param_nests(row) || row->type == LOOM_PARAM_MODEL
        || row->type == LOOM_PARAM_GRAPH)
        return TRUE;
    node = default_node(row, error);
    const gboolean good = node && loom_param_value(row, &value, node, row->name, NULL, error);
    LoomParam alone[] = {*row, {0}};
    alone[0].offset = 0;
    loom_params_clear(alone, &value);
    if (good)
        return TRUE;
    g_prefix_error(error, "its own row refuses the default: ");
    if (error && *error)
        (*error)->code = LOOM_ERROR_PLUGIN; /* the author's mistake, not the user's */
    return FALSE;
}

static gboolean key_check(const LoomNode *key, const char *const *known, const char *what,
                          GError **error)
{
    if (g_strv_contains(known, key->text))
        return TRUE;
    g_autofree char *hint = loom_did_you_mean(key->text, known);
    g_autofree char *all = *hint ? NULL : loom_words_join(known);
    return loom_node_fail_as(key, "E-KEY-UNKNOWN", error, "%s has no key '%s'%s%s%s%s", what,
                             key->text, hint, all ? " (its keys: " : "", all ? all : "",
                             all ? ")" : "");
}

static gboolean known_check(const LoomParam *rows, const LoomNode *node,
                            const char *const *reserved, const char *what,
                            LoomFindings *findings, GError **error)
{
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    gboolean good = TRUE;

    for (const LoomParam *row = rows; row && row->name; row++)
        g_strv_builder_add(builder, row->name);
    for (; reserved && *reserved; reserved++)
        g_strv_builder_add(builder, *reserved);
    g_auto(GStrv) keys = g_strv_builder_end(builder);
    for (guint i = 0; i < node->keys->len; i++) {
        g_autoptr(GError) cause = NULL;

        if (key_check(node->keys->pdata[i], (const char *const *)keys, what, &cause))
            continue;
        if (!loom_findings_keep(findings, &cause, error))
            return FALSE;
        good = FALSE;
    }
    return good || loom_findings_fail(error);
}

/* The value that is given, or the default. */
static gboolean row_fill(const LoomParam *row, gpointer self, const LoomNode *node,
                         const char *what, const LoomScope *scope, GError **error)
{
    const LoomNode *given = loom_node_get(node, row->name);
    g_autoptr(LoomNode) fallback = NULL;
    g_autofree char *subject = g_strdup_printf("%s: %s", what, row->name);

    if (!given && !row->def)
        return node
                   ? loom_node_fail_as(node, "E-KEY-MISSING", error,
                                       "%s needs the key '%s' (%s)", what, row->name, row->help)
                   : loom_fail_as(error, "E-KEY-MISSING", LOOM_ERROR_CONFIG,
                                  "%s needs the key '%s' (%s)", what, row->name, row->help);
    if (!given && !(given = fallback = default_node(row, error)))
        return FALSE;
    return loom_param_value(row, (char *)self + row->offset, given, subject, scope, error);
}

static gboolean rows_fill(const LoomParam *rows, gpointer self, const LoomNode *node,
                          const char *const *reserved, const char *what, const LoomScope *scope,
                          GError **error)
{
    LoomFindings *findings = scope ? scope->findings : NULL;
    g_autoptr(GError) unknown = NULL;
    gboolean good = TRUE;

    if (node && node->type != LOOM_NODE_MAPPING)
        return loom_node_fail_as(node, "E-VALUE-TYPE", error,
                                 "%s: want a mapping of keys and values", what);
    if (node && !known_check(rows, node, reserved, what, findings, &unknown)) {
        if (!loom_findings_keep(findings, &unknown, error))
            return FALSE;
        good = FALSE;
    }
    for (const LoomParam *row = rows; row && row->name; row++) {
        g_autoptr(GError) cause = NULL;

        if (row_fill(row, self, node, what, scope, &cause))
            continue;
        if (!loom_findings_keep(findings, &cause, error))
            return FALSE;
        good = FALSE;
    }
    return good || loom_findings_fail(error);
}

gboolean loom_params_fill(const LoomParam *rows, gpointer self, const LoomNode *node,
                          const char *const *reserved, const char *what, const LoomScope *scope,
                          GError **error)
{
    if (rows_fill(rows, self, node, reserved, what, scope, error))
        return TRUE;
    loom_params_clear(rows, self); /* what was filled before the row that failed */
    return FALSE;
}

void loom_params_clear(const LoomParam *rows, gpointer self)
{
    for (const LoomParam *row = rows; row && row->name; row++) {
        gpointer member = (char *)self + row->offset;

        if (loom_param_nests(row)) {
            guint n;
            LoomInstance **nested = loom_param_nested(row, self, &n);

            for (guint i = 0; i < n; i++)
                loom_instance_free(nested[i]);
            if (row->type == LOOM_PARAM_PLUGINS) {
                g_free(nested);
                *(LoomInstances *)member = (LoomInstances){NULL, 0};
            } else {
                *(LoomInstance **)member = NULL;
            }
        } else if (row->type == LOOM_PARAM_STRING || row->type == LOOM_PARAM_PATH
                   || row->type == LOOM_PARAM_GRAPH) {
            g_clear_pointer((char **)member, g_free);
        } else if (row->type == LOOM_PARAM_STRINGS || row->type == LOOM_PARAM_MAP) {
            g_clear_pointer((char ***)member, g_strfreev);
        } else if (row->type == LOOM_PARAM_INTS || row->type == LOOM_PARAM_CHOICES) {
            g_free(((LoomInts *)member)->v);
            *(LoomInts *)member = (LoomInts){NULL, 0};
        } else if (row->type == LOOM_PARAM_FLOATS) {
            g_free(((LoomFloats *)member)->v);
            *(LoomFloats *)member = (LoomFloats){NULL, 0};
        }
    }
}

static void default_add(LoomNode *mapping, const LoomParam *row)
{
    LoomNode *value = default_node(row, NULL);
    LoomNode *key =
        loom_node_new(LOOM_NODE_SCALAR, value->file, value->folder, value->line, value->column);

    g_free(key->text);
    key->text = g_strdup(row->name);
    loom_node_put(mapping, key, value);
}

LoomNode *loom_params_node(const LoomParam *rows, const LoomNode *node)
{
    LoomNode *full =
        node ? loom_node_copy(node) : loom_yaml_parse("{}", 2, "default", "/", NULL);

    for (const LoomParam *row = rows; row && row->name; row++)
        if (row->def && !loom_node_get(full, row->name))
            default_add(full, row);
    return full;
}
