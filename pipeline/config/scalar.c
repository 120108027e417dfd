/* scalar - the text of a YAML scalar as a number, a truth value or a size in memory.
 *
 * Stricter than YAML: what one reader takes for 8 and another for 10 (010), what is text in one
 * version and a truth value in another (yes), is refused.  Nobody trains for hours on a misread
 * number.  Source: YAML 1.2, 10.3.2 (core schema), of which this accepts a part. */
#include "config/scalar.h"

#include <math.h>
#include <string.h>

#define DIGITS "0123456789"

/* Fails with what was found, and "want @wanted". */
static gboolean want_fail(const LoomNode *node, const char *what, const char *wanted,
                          GError **error)
{
    switch (node->type) {
    case LOOM_NODE_SEQUENCE:
        return loom_node_fail_as(node, "E-VALUE-TYPE", error, "%s: found a list, want %s", what,
                                 wanted);
    case LOOM_NODE_MAPPING:
        return loom_node_fail_as(node, "E-VALUE-TYPE", error, "%s: found a mapping, want %s",
                                 what, wanted);
    case LOOM_NODE_SCALAR:
        break;
    }
    if (node->quoted)
        return loom_node_fail_as(node, "E-VALUE-TYPE", error,
                                 "%s: '%s' in quotes is text, want %s", what, node->text,
                                 wanted);
    if (!*node->text)
        return loom_node_fail_as(node, "E-VALUE-TYPE", error, "%s: found nothing, want %s",
                                 what, wanted);
    return loom_node_fail_as(node, "E-VALUE-TYPE", error, "%s: found '%s', want %s", what,
                             node->text, wanted);
}

static gboolean is_plain(const LoomNode *node)
{
    return node->type == LOOM_NODE_SCALAR && !node->quoted;
}

/* ---- truth -------------------------------------------------------------------------- */

gboolean loom_scalar_bool(const LoomNode *node, const char *what, gboolean *value,
                          GError **error)
{
    static const char *const spellings[][5] = {{"false", "no", "off", "n", "0"},
                                               {"true", "yes", "on", "y", "1"}};

    if (is_plain(node) && g_str_equal(node->text, "true"))
        return *value = TRUE;
    if (is_plain(node) && g_str_equal(node->text, "false")) {
        *value = FALSE;
        return TRUE;
    }
    for (guint i = 0; is_plain(node) && i < G_N_ELEMENTS(spellings); i++)
        for (guint j = 0; j < G_N_ELEMENTS(spellings[i]); j++)
            if (g_ascii_strcasecmp(node->text, spellings[i][j]) == 0)
                return loom_node_fail_as(node, "E-VALUE-TYPE", error,
                                         "%s: found '%s', want true or false: write %s", what,
                                         node->text, spellings[i][0]);
    return want_fail(node, what, "true or false", error);
}

/* ---- numbers ------------------------------------------------------------------------ */

/* The parts of [-+]? digits ( . digits )? ( [eE] [-+]? digits )?; any digits may be missing. */
typedef struct {
    const char *whole, *fraction, *exponent;
    gsize n_whole, n_fraction, n_exponent;
    gboolean point;
    const char *rest; /* the first letter that does not fit */
} Decimal;

static Decimal decimal_split(const char *text)
{
    Decimal d = {0};

    d.whole = text + (*text == '-' || *text == '+');
    d.n_whole = strspn(d.whole, DIGITS);
    d.rest = d.whole + d.n_whole;
    d.point = *d.rest == '.';
    d.fraction = d.rest + d.point;
    d.n_fraction = d.point ? strspn(d.fraction, DIGITS) : 0;
    d.rest = d.fraction + d.n_fraction;
    if (d.n_whole + d.n_fraction > 0 && (*d.rest == 'e' || *d.rest == 'E')) {
        d.exponent = d.rest + 1;
        d.exponent += *d.exponent == '-' || *d.exponent == '+';
        d.n_exponent = strspn(d.exponent, DIGITS);
        d.rest = d.n_exponent ? d.exponent + d.n_exponent : d.rest;
    }
    return d;
}

/* 010 is 8 for some readers, 10 for others. */
static gboolean leading_zero(const Decimal *d)
{
    return d->n_whole > 1 && d->whole[0] == '0';
}

gboolean loom_scalar_int(const LoomNode *node, const char *what, gint64 *value, GError **error)
{
    Decimal d = {0};
    const char *digits = NULL;

    if (is_plain(node))
        d = decimal_split(node->text);
    if (d.n_whole == 0 || d.point || d.n_exponent || *d.rest)
        return want_fail(node, what, "a whole number in decimal digits", error);
    if (leading_zero(&d))
        return want_fail(node, what, "a whole number without zeros in front", error);
    digits = *node->text == '+' ? d.whole : node->text; /* the callee takes no '+' */
    if (!g_ascii_string_to_signed(digits, 10, G_MININT64, G_MAXINT64, value, NULL))
        return want_fail(node, what, "a whole number that fits in 64 bits", error);
    return TRUE;
}

/* .inf, -nan, Infinity: spellings of any language. */
static gboolean names_no_number(const char *text)
{
    text += *text == '-' || *text == '+';
    text += *text == '.';
    return g_ascii_strcasecmp(text, "inf") == 0 || g_ascii_strcasecmp(text, "infinity") == 0
           || g_ascii_strcasecmp(text, "nan") == 0;
}

gboolean loom_scalar_float(const LoomNode *node, const char *what, double *value,
                           GError **error)
{
    Decimal d = {0};
    double number;
    gboolean zero;

    if (is_plain(node))
        d = decimal_split(node->text);
    if (is_plain(node) && names_no_number(node->text))
        return want_fail(node, what, "a finite number", error);
    if (d.n_whole + d.n_fraction == 0 || *d.rest)
        return want_fail(node, what, "a number such as 3, 0.5 or 1e-3", error);
    if (leading_zero(&d))
        return want_fail(node, what, "a number without zeros in front", error);
    number = g_ascii_strtod(node->text, NULL);
    zero = strspn(d.whole, "0") == d.n_whole && strspn(d.fraction, "0") >= d.n_fraction;
    if (!isfinite(number) || (number == 0 && !zero))
        return want_fail(node, what, "a number between 1e-307 and 1e308 in size, or 0", error);
    *value = number;
    return TRUE;
}

/* ---- memory ------------------------------------------------------------------------- */

static const struct {
    const char *name;
    guint64 bytes;
} UNITS[] = {
    {"", 1},
    {"B", 1},
    {"kB", 1000},
    {"MB", 1000 * 1000},
    {"GB", 1000 * 1000 * 1000},
    {"TB", G_GUINT64_CONSTANT(1000) * 1000 * 1000 * 1000},
    {"KiB", 1u << 10},
    {"MiB", 1u << 20},
    {"GiB", 1u << 30},
    {"TiB", G_GUINT64_CONSTANT(1) << 40},
};

/* (whole + fraction) * unit, rounded down to a byte; FALSE when that is beyond 64 bits. */
static gboolean multiply(const Decimal *d, guint64 unit, guint64 *value)
{
    g_autofree char *whole = g_strndup(d->whole, d->n_whole);
    g_autofree char *fraction = g_strdup_printf("0.%.*s", (int)d->n_fraction, d->fraction);
    guint64 part = (guint64)(g_ascii_strtod(fraction, NULL) * (double)unit); /* below 2^41 */
    guint64 n = 0;

    return (d->n_whole == 0 || g_ascii_string_to_unsigned(whole, 10, 0, G_MAXUINT64, &n, NULL))
           && g_uint64_checked_mul(&n, n, unit) && g_uint64_checked_add(value, n, part);
}

gboolean loom_scalar_bytes(const LoomNode *node, const char *what, guint64 *value,
                           GError **error)
{
    static const char wanted[] = "a size such as 4GiB, 512MiB, 100MB or a number of bytes";
    Decimal d = {0};
    const char *unit;
    guint64 bytes;

    /* with its unit it is no number: JSON, as in model.json, has no way but quotes to say it */
    if (node->type == LOOM_NODE_SCALAR)
        d = decimal_split(node->text);
    if (d.n_whole + d.n_fraction == 0 || d.n_exponent || d.whole != node->text
        || (node->quoted && !*d.rest))
        return want_fail(node, what, wanted, error);
    if (leading_zero(&d))
        return want_fail(node, what, "a size without zeros in front", error);
    unit = d.rest + (*d.rest == ' ');
    for (guint i = 0; i < G_N_ELEMENTS(UNITS); i++) {
        if (g_ascii_strcasecmp(unit, UNITS[i].name) != 0)
            continue;
        if (!g_str_equal(unit, UNITS[i].name))
            return loom_node_fail_as(node, "E-VALUE-TYPE", error,
                                     "%s: found '%s', want the unit written %s", what,
                                     node->text, UNITS[i].name);
        if (d.point && UNITS[i].bytes == 1)
            return want_fail(node, what, "a whole number of bytes", error);
        if (!multiply(&d, UNITS[i].bytes, &bytes))
            return want_fail(node, what, "a size below 16777216TiB (2^64 bytes)", error);
        *value = bytes;
        return TRUE;
    }
    return want_fail(node, what, wanted, error);
}
