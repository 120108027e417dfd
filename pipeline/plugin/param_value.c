/* param_value - the text of one value into the member that its row describes: types, ranges,
 * choices, lists, and names of what stands elsewhere. */
#include "param_value.h"

#include "config/scalar.h"

/* ---- a value by itself -------------------------------------------------------------- */

static gboolean range_check(const LoomParam *row, double value, const LoomNode *node,
                            const char *what, GError **error)
{
    if (value >= row->min && value <= row->max)
        return TRUE;
    return loom_node_fail_as(
        node, "E-VALUE-RANGE", error, "%s: %s is out of range, want %.17g to %.17g%s%s", what,
        node->text, row->min, row->max, row->unit ? " " : "", row->unit ? row->unit : "");
}

static gboolean text_of(const LoomNode *node, const char *what, const char *wanted,
                        GError **error)
{
    return node->type == LOOM_NODE_SCALAR
           || loom_node_fail_as(node, "E-VALUE-TYPE", error, "%s: found a %s, want %s", what,
                                node->type == LOOM_NODE_SEQUENCE ? "list" : "mapping", wanted);
}

static gboolean choice_fill(const LoomParam *row, int *member, const LoomNode *node,
                            const char *what, GError **error)
{
    g_autofree char *all = loom_words_join(row->choices);

    if (!text_of(node, what, all, error))
        return FALSE;
    for (int i = 0; row->choices[i]; i++)
        if (g_str_equal(row->choices[i], node->text)) {
            *member = i;
            return TRUE;
        }
    g_autofree char *hint = loom_did_you_mean(node->text, row->choices);
    return loom_node_fail_as(node, "E-VALUE-CHOICE", error,
                             "%s: unknown choice '%s'%s (there are: %s)", what, node->text,
                             hint, all);
}

/* A scalar counts as a list of one. */
static gboolean choices_fill(const LoomParam *row, LoomInts *member, const LoomNode *node,
                             const char *what, GError **error)
{
    const gboolean list = node->type == LOOM_NODE_SEQUENCE;
    const guint n = list ? node->items->len : 1;

    member->v = g_new0(gint64, n + 1);
    for (guint i = 0; i < n; i++) {
        int choice = 0;

        if (!choice_fill(row, &choice, list ? node->items->pdata[i] : node, what, error))
            return FALSE;
        member->v[i] = choice;
    }
    member->n = n;
    return TRUE;
}

/* A scalar counts as a sequence of one; a sequence in a sequence is flattened. */
static gboolean numbers_fill(const LoomParam *row, GArray *numbers, const LoomNode *node,
                             const char *what, GError **error)
{
    if (node->type == LOOM_NODE_MAPPING)
        return loom_node_fail_as(node, "E-VALUE-TYPE", error,
                                 "%s: found a mapping, want a list of numbers", what);
    for (guint i = 0; node->type == LOOM_NODE_SEQUENCE && i < node->items->len; i++)
        if (!numbers_fill(row, numbers, node->items->pdata[i], what, error))
            return FALSE;
    if (node->type == LOOM_NODE_SEQUENCE)
        return TRUE;

    const gboolean whole = row->type == LOOM_PARAM_INTS;
    gint64 integer = 0;
    double real = 0;
    if (!(whole ? loom_scalar_int(node, what, &integer, error)
                : loom_scalar_float(node, what, &real, error))
        || !range_check(row, whole ? (double)integer : real, node, what, error))
        return FALSE;
    if (whole)
        g_array_append_val(numbers, integer);
    else
        g_array_append_val(numbers, real);
    return TRUE;
}

static gboolean sequence_fill(const LoomParam *row, gpointer member, const LoomNode *node,
                              const char *what, GError **error)
{
    g_autoptr(GArray) numbers = g_array_new(FALSE, FALSE, 8);

    G_STATIC_ASSERT(sizeof(gint64) == 8 && sizeof(double) == 8);
    if (!numbers_fill(row, numbers, node, what, error))
        return FALSE;
    const guint n = numbers->len;
    gpointer values = g_array_free(g_steal_pointer(&numbers), FALSE);
    if (row->type == LOOM_PARAM_INTS)
        *(LoomInts *)member = (LoomInts){values, n};
    else
        *(LoomFloats *)member = (LoomFloats){values, n};
    return TRUE;
}

static gboolean path_fill(char **member, const LoomNode *node, const char *what, GError **error)
{
    if (!text_of(node, what, "a path", error))
        return FALSE;
    *member = *node->text ? g_canonicalize_filename(node->text, node->folder) : NULL;
    return TRUE;
}

/* One scalar; in a mapping also a list of them, joined by commas.  (transfer full). */
static char *string_of(const LoomNode *node, gboolean list, const char *what, GError **error)
{
    g_autoptr(GString) text = g_string_new(NULL);

    if (!list || node->type != LOOM_NODE_SEQUENCE)
        return text_of(node, what, list ? "text or a list" : "text", error)
                   ? g_strdup(node->text)
                   : NULL;
    for (guint i = 0; i < node->items->len; i++) {
        const LoomNode *item = node->items->pdata[i];

        if (!text_of(item, what, "text", error))
            return NULL;
        g_string_append_printf(text, "%s%s", i ? "," : "", item->text);
    }
    return g_strdup(text->str);
}

/* A scalar counts as a sequence of one. */
static gboolean strings_fill(char ***member, const LoomNode *node, const char *what,
                             GError **error)
{
    g_autoptr(GStrvBuilder) strings = g_strv_builder_new();
    const guint n = node->type == LOOM_NODE_SEQUENCE ? node->items->len : 1;

    if (node->type == LOOM_NODE_MAPPING)
        return loom_node_fail(node, error, "%s: found a mapping, want a list of texts", what);
    for (guint i = 0; i < n; i++) {
        const LoomNode *item = node->type == LOOM_NODE_SEQUENCE ? node->items->pdata[i] : node;
        g_autofree char *text = string_of(item, FALSE, what, error);

        if (!text)
            return FALSE;
        g_strv_builder_add(strings, text);
    }
    *member = n ? g_strv_builder_end(strings) : NULL;
    return TRUE;
}

static gboolean map_fill(char ***member, const LoomNode *node, const char *what, GError **error)
{
    g_autoptr(GStrvBuilder) strings = g_strv_builder_new();

    if (node->type != LOOM_NODE_MAPPING)
        return loom_node_fail(node, error, "%s: want a mapping: {KEY: VALUE, ...}", what);
    for (guint i = 0; i < node->items->len; i++) {
        g_autofree char *text = string_of(node->items->pdata[i], TRUE, what, error);

        if (!text)
            return FALSE;
        g_strv_builder_add(strings, ((const LoomNode *)node->keys->pdata[i])->text);
        g_strv_builder_add(strings, text);
    }
    *member = node->items->len ? g_strv_builder_end(strings) : NULL;
    return TRUE;
}

/* ---- values that refer to something else -------------------------------------------- */

static gboolean plugins_fill(const LoomParam *row, LoomInstances *member, const LoomNode *node,
                             const char *what, const LoomScope *scope, GError **error)
{
    const LoomKind kind = loom_kind_from(row->choices[0]);

    if (node->type != LOOM_NODE_SEQUENCE)
        return loom_node_fail_as(node, "E-VALUE-TYPE", error,
                                 "%s: want a list: [{use: NAME, ...}, ...]", what);
    member->v = g_new0(LoomInstance *, node->items->len + 1);
    for (guint i = 0; i < node->items->len; i++) {
        g_autoptr(GError) cause = NULL;

        member->v[member->n] =
            loom_instance_new(kind, NULL, node->items->pdata[i], NULL, scope, &cause);
        if (member->v[member->n])
            member->n++;
        else if (!loom_findings_keep(scope ? scope->findings : NULL, &cause, error))
            return FALSE;
    }
    return member->n == node->items->len || loom_findings_fail(error);
}

/* The id must be a key of @table. */
static gboolean id_check(GHashTable *table, const LoomNode *node, const char *what,
                         const char *section, GError **error)
{
    if (!text_of(node, what, "a name", error))
        return FALSE;
    if (table && g_hash_table_contains(table, node->text))
        return TRUE;
    g_autofree char *hint = loom_hint_among(node->text, table);
    return loom_node_fail_as(node, "E-NAME-UNKNOWN", error,
                             "%s: there is no '%s' under '%s:'%s", what, node->text, section,
                             hint);
}

gboolean loom_param_value(const LoomParam *row, gpointer member, const LoomNode *node,
                          const char *what, const LoomScope *scope, GError **error)
{
    switch (row->type) {
    case LOOM_PARAM_BOOL:
        return loom_scalar_bool(node, what, member, error);
    case LOOM_PARAM_INT:
        return loom_scalar_int(node, what, member, error)
               && range_check(row, (double)*(gint64 *)member, node, what, error);
    case LOOM_PARAM_BYTES:
        return loom_scalar_bytes(node, what, member, error)
               && range_check(row, (double)*(guint64 *)member, node, what, error);
    case LOOM_PARAM_FLOAT:
        return loom_scalar_float(node, what, member, error)
               && range_check(row, *(double *)member, node, what, error);
    case LOOM_PARAM_STRING:
        if (!text_of(node, what, "text", error))
            return FALSE;
        *(char **)member = *node->text ? g_strdup(node->text) : NULL;
        return TRUE;
    case LOOM_PARAM_PATH:
        return path_fill(member, node, what, error);
    case LOOM_PARAM_ENUM:
        return choice_fill(row, member, node, what, error);
    case LOOM_PARAM_CHOICES:
        return choices_fill(row, member, node, what, error);
    case LOOM_PARAM_INTS:
    case LOOM_PARAM_FLOATS:
        return sequence_fill(row, member, node, what, error);
    case LOOM_PARAM_PLUGIN:
        *(LoomInstance **)member =
            loom_instance_new(loom_kind_from(row->choices[0]), NULL, node, NULL, scope, error);
        return *(LoomInstance **)member != NULL;
    case LOOM_PARAM_PLUGINS:
        return plugins_fill(row, member, node, what, scope, error);
    case LOOM_PARAM_MODEL:
        if (!id_check(scope ? scope->models : NULL, node, what, "models", error))
            return FALSE;
        *(LoomInstance **)member = g_hash_table_lookup(scope->models, node->text);
        return TRUE;
    case LOOM_PARAM_GRAPH:
        if (!id_check(scope ? scope->graphs : NULL, node, what, "graphs", error))
            return FALSE;
        *(char **)member = g_strdup(node->text);
        return TRUE;
    case LOOM_PARAM_STRINGS:
        return strings_fill(member, node, what, error);
    case LOOM_PARAM_MAP:
        return map_fill(member, node, what, error);
    }
    g_assert_not_reached();
}
