/* yaml_json - the tree as JSON, on one line.
 *
 * Digits are copied, not converted: 0.1 stays 0.1, and a whole number of any length stays
 * exact. Source: YAML 1.2, 10.3.2 (core schema: which plain scalars are numbers); RFC 8259. */
#include "config/yaml.h"

#include <json-glib/json-glib.h>
#include <string.h>

static void append_string(GString *out, const char *text)
{
    g_autoptr(JsonNode) node = json_node_new(JSON_NODE_VALUE);
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    g_autofree char *json = NULL;

    json_node_set_string(node, valid);
    json = json_to_string(node, FALSE);
    g_string_append(out, json);
}

/* 0o17, 0xff; FALSE when it is neither, or has more than 64 bits. */
static gboolean append_octal_or_hex(GString *out, const char *text)
{
    guint base = g_str_has_prefix(text, "0x") ? 16 : g_str_has_prefix(text, "0o") ? 8 : 0;
    guint64 value;

    if (!base || !g_ascii_string_to_unsigned(text + 2, base, 0, G_MAXUINT64, &value, NULL))
        return FALSE;
    g_string_append_printf(out, "%" G_GUINT64_FORMAT, value);
    return TRUE;
}

/* [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )? in JSON's spelling: no '+'
 * in front, no zeros in front, digits on both sides of the point.  FALSE: it is something else.
 */
static gboolean append_number(GString *out, const char *text)
{
    const char *whole = text + (*text == '-' || *text == '+');
    gsize n_whole = strspn(whole, "0123456789");
    gboolean point = whole[n_whole] == '.';
    const char *fraction = whole + n_whole + point;
    gsize n_fraction = point ? strspn(fraction, "0123456789") : 0;
    const char *exponent = fraction + n_fraction;
    gsize n_zeros = strspn(whole, "0");

    if (n_whole + n_fraction == 0)
        return FALSE;
    if (*exponent) {
        const char *digits = exponent + 1;

        digits += *digits == '-' || *digits == '+';
        if ((*exponent != 'e' && *exponent != 'E') || !*digits
            || digits[strspn(digits, "0123456789")])
            return FALSE;
    }
    if (n_zeros >= n_whole)
        n_zeros = n_whole ? n_whole - 1 : 0; /* 000 is 0 */
    if (*text == '-')
        g_string_append_c(out, '-');
    g_string_append_len(out, n_whole ? whole + n_zeros : "0",
                        n_whole ? (gssize)(n_whole - n_zeros) : 1);
    if (n_fraction) {
        g_string_append_c(out, '.');
        g_string_append_len(out, fraction, (gssize)n_fraction);
    }
    g_string_append(out, exponent);
    return TRUE;
}

static void append_scalar(GString *out, const LoomNode *node)
{
    static const char *const words[][4] = {{"null", "Null", "NULL", "~"},
                                           {"true", "True", "TRUE", "true"},
                                           {"false", "False", "FALSE", "false"}};

    if (node->quoted) {
        append_string(out, node->text);
        return;
    }
    for (guint i = 0; i < G_N_ELEMENTS(words); i++)
        for (guint j = 0; j < G_N_ELEMENTS(words[i]); j++)
            if (g_str_equal(node->text, words[i][j])) {
                g_string_append(out, words[i][0]);
                return;
            }
    if (!*node->text)
        g_string_append(out, "null");
    else if (!append_octal_or_hex(out, node->text) && !append_number(out, node->text))
        append_string(out, node->text);
}

static void append_node(GString *out, const LoomNode *node)
{
    gboolean mapping = node->type == LOOM_NODE_MAPPING;

    if (node->type == LOOM_NODE_SCALAR) {
        append_scalar(out, node);
        return;
    }
    g_string_append_c(out, mapping ? '{' : '[');
    for (guint i = 0; i < node->items->len; i++) {
        if (i)
            g_string_append_c(out, ',');
        if (mapping) {
            append_string(out, ((const LoomNode *)node->keys->pdata[i])->text);
            g_string_append_c(out, ':');
        }
        append_node(out, node->items->pdata[i]);
    }
    g_string_append_c(out, mapping ? '}' : ']');
}

char *loom_yaml_json(const LoomNode *root)
{
    GString *out = g_string_new(NULL);

    append_node(out, root);
    return g_string_free(out, FALSE);
}
