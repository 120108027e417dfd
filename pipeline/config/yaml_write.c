/* yaml_write - the tree as YAML for people: block style, short lists and mappings on a line.
 *
 * A mapping whose values are all mappings ("models:", "graphs:") is written key by key; any
 * other collection goes on one line where it fits in.  Plain scalars stay plain where that is
 * safe both in a block and in brackets; the rest goes into double quotes. Source: YAML 1.2, 5.7
 * (escapes), 7.3.3 (plain scalars); stricter, as libyaml 0.2.5 is. */
#include "config/yaml.h"
#include "config/yaml_text.h"

#include <string.h>

#define WIDTH 90
#define LONG_KEY 1000 /* libyaml gives up a key whose ':' is 1024 letters away */
#define INDENT 2

/* ---- scalars ------------------------------------------------------------------------ */

static gboolean plain_is_safe(const char *text)
{
    if (strchr("?:#&*!|>'\"%@`, \t", text[0]) || !g_utf8_validate(text, -1, NULL))
        return FALSE; /* the empty text as well: strchr finds its end */
    if (text[0] == '-' && strchr(" ", text[1]))
        return FALSE; /* an item of a list */
    if (g_str_has_prefix(text, "---") || g_str_has_prefix(text, "..."))
        return FALSE; /* begin or end a document */
    if (strpbrk(text, ",[]{}?\t\r\n") || strstr(text, ": ") || strstr(text, " #")
        || strchr(" :", text[strlen(text) - 1]))
        return FALSE;
    for (const char *p = text; *p; p += g_utf8_skip[(guchar)*p])
        if (!loom_yaml_printable(g_utf8_get_char(p)))
            return FALSE;
    return TRUE;
}

static void append_quoted(GString *out, const char *text)
{
    g_autofree char *valid = g_utf8_make_valid(text, -1);

    g_string_append_c(out, '"');
    for (const char *p = valid; *p; p += g_utf8_skip[(guchar)*p]) {
        gunichar letter = g_utf8_get_char(p);

        if (letter == '"' || letter == '\\')
            g_string_append_printf(out, "\\%c", (char)letter);
        else if (letter == '\n')
            g_string_append(out, "\\n");
        else if (letter == '\t')
            g_string_append(out, "\\t");
        else if (letter == '\r' || !loom_yaml_printable(letter))
            g_string_append_printf(out, "\\u%04X", letter);
        else
            g_string_append_unichar(out, letter);
    }
    g_string_append_c(out, '"');
}

static void append_scalar(GString *out, const LoomNode *node)
{
    if (!node->quoted && plain_is_safe(node->text))
        g_string_append(out, node->text);
    else
        append_quoted(out, node->text);
}

static void append_key(GString *out, const LoomNode *key)
{
    if (g_str_equal(key->text, "<<")) /* plain it would be a merge key */
        append_quoted(out, key->text);
    else
        append_scalar(out, key);
}

/* Null written as nothing at all: only possible behind "key:" or "-". */
static gboolean is_nothing(const LoomNode *node)
{
    return node->type == LOOM_NODE_SCALAR && !node->quoted && !*node->text;
}

/* ---- on one line -------------------------------------------------------------------- */

/* FALSE, and something half written, when @out would grow beyond @limit bytes. */
static gboolean append_flow(GString *out, const LoomNode *node, gsize limit)
{
    gboolean mapping = node->type == LOOM_NODE_MAPPING;

    if (node->type == LOOM_NODE_SCALAR) {
        if (is_nothing(node))
            return FALSE;
        append_scalar(out, node);
        return out->len <= limit;
    }
    g_string_append_c(out, mapping ? '{' : '[');
    for (guint i = 0; i < node->items->len; i++) {
        if (i)
            g_string_append(out, ", ");
        if (mapping) {
            append_key(out, node->keys->pdata[i]);
            g_string_append(out, ": ");
        }
        if (!append_flow(out, node->items->pdata[i], limit))
            return FALSE;
    }
    g_string_append_c(out, mapping ? '}' : ']');
    return out->len <= limit || node->items->len == 0; /* brackets are all there is for empty */
}

static gboolean only_mappings(const LoomNode *node)
{
    if (node->type != LOOM_NODE_MAPPING || node->items->len == 0)
        return FALSE;
    for (guint i = 0; i < node->items->len; i++)
        if (((const LoomNode *)node->items->pdata[i])->type != LOOM_NODE_MAPPING)
            return FALSE;
    return TRUE;
}

/* ---- key by key, item by item ------------------------------------------------------- */

static void append_block(GString *out, const LoomNode *node, guint indent,
                         gboolean inline_first);

/* What stands behind "key:" or "-", up to and with the end of the line. */
static void append_value(GString *out, const LoomNode *node, guint indent, gboolean item)
{
    gsize line = out->len, before = out->len;

    while (line > 0 && out->str[line - 1] != '\n')
        line--;
    if (is_nothing(node)) {
        g_string_append_c(out, '\n');
        return;
    }
    g_string_append_c(out, ' ');
    if (node->type == LOOM_NODE_SCALAR) {
        append_scalar(out, node);
        g_string_append_c(out, '\n');
        return;
    }
    if (!only_mappings(node) && append_flow(out, node, line + WIDTH)) {
        g_string_append_c(out, '\n');
        return;
    }
    g_string_truncate(out, before);
    g_string_append_c(out, item ? ' ' : '\n');
    append_block(out, node, indent, item);
}

/* @inline_first: the first line is indented already, by "- ". */
static void append_block(GString *out, const LoomNode *node, guint indent,
                         gboolean inline_first)
{
    for (guint i = 0; i < node->items->len; i++) {
        gsize before;

        if (i > 0 || !inline_first)
            g_string_append_printf(out, "%*s", (int)indent, "");
        before = out->len;
        if (node->type == LOOM_NODE_SEQUENCE) {
            g_string_append_c(out, '-');
        } else {
            append_key(out, node->keys->pdata[i]);
            if (out->len - before > LONG_KEY) {
                g_string_insert(out, (gssize)before, "? ");
                g_string_append_printf(out, "\n%*s", (int)indent, "");
            }
            g_string_append_c(out, ':');
        }
        append_value(out, node->items->pdata[i], indent + INDENT,
                     node->type == LOOM_NODE_SEQUENCE);
    }
}

char *loom_yaml_write(const LoomNode *root)
{
    GString *out = g_string_new(NULL);

    if (root->type == LOOM_NODE_SCALAR) {
        append_scalar(out, root);
        g_string_append_c(out, '\n');
    } else if (root->items->len == 0) {
        append_flow(out, root, 0);
        g_string_append_c(out, '\n');
    } else {
        append_block(out, root, 0, FALSE);
    }
    return g_string_free(out, FALSE);
}
