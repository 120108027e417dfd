/* Scalars as numbers, truth values and sizes: what is accepted, and each refusal's exact text.
 */
#include "config/scalar.h"

#include <loom/plugin.h>

#include <float.h>
#include <locale.h>
#include <string.h>

static LoomNode *parse(const char *text)
{
    g_autoptr(GError) error = NULL;
    LoomNode *node = loom_yaml_parse(text, strlen(text), "f", "/", &error);

    g_assert_no_error(error);
    return node;
}

static void assert_message(const GError *error, const char *text)
{
    g_autofree char *message = g_strdup_printf("f:1:1: rate: %s", text);

    g_assert_error(error, LOOM_ERROR, LOOM_ERROR_CONFIG);
    g_assert_cmpstr(error->message, ==, message);
}

/* ---- truth -------------------------------------------------------------------------- */

static void test_bool(void)
{
    static const struct {
        const char *text, *message;
    } refused[] = {
        {"yes", "found 'yes', want true or false: write true"},
        {"On", "found 'On', want true or false: write true"},
        {"TRUE", "found 'TRUE', want true or false: write true"},
        {"1", "found '1', want true or false: write true"},
        {"no", "found 'no', want true or false: write false"},
        {"off", "found 'off', want true or false: write false"},
        {"False", "found 'False', want true or false: write false"},
        {"0", "found '0', want true or false: write false"},
        {"maybe", "found 'maybe', want true or false"},
        {"null", "found 'null', want true or false"},
        {"'true'", "'true' in quotes is text, want true or false"},
        {"'yes'", "'yes' in quotes is text, want true or false"},
        {"[true]", "found a list, want true or false"},
    };
    g_autoptr(LoomNode) yes = parse("true");
    g_autoptr(LoomNode) no = parse("false");
    gboolean value = FALSE;

    g_assert_true(loom_scalar_bool(yes, "rate", &value, NULL));
    g_assert_cmpint(value, ==, TRUE);
    g_assert_true(loom_scalar_bool(no, "rate", &value, NULL));
    g_assert_cmpint(value, ==, FALSE);
    for (guint i = 0; i < G_N_ELEMENTS(refused); i++) {
        g_autoptr(LoomNode) node = parse(refused[i].text);
        g_autoptr(GError) error = NULL;

        value = 7;
        g_assert_false(loom_scalar_bool(node, "rate", &value, &error));
        assert_message(error, refused[i].message);
        g_assert_cmpint(value, ==, 7); /* untouched */
    }
}

/* ---- whole numbers ------------------------------------------------------------------ */

static void test_int(void)
{
    static const struct {
        const char *text;
        gint64 value;
    } accepted[] = {
        {"0", 0},
        {"-0", 0},
        {"+5", 5},
        {"-12", -12},
        {"300", 300},
        {"9223372036854775807", G_MAXINT64},
        {"-9223372036854775808", G_MININT64},
    };

    for (guint i = 0; i < G_N_ELEMENTS(accepted); i++) {
        g_autoptr(LoomNode) node = parse(accepted[i].text);
        g_autoptr(GError) error = NULL;
        gint64 value = 77;

        g_assert_true(loom_scalar_int(node, "rate", &value, &error));
        g_assert_no_error(error);
        g_assert_cmpint(value, ==, accepted[i].value);
    }
}

static void test_int_refused(void)
{
    static const char *const digits[] = {"0x10", "0o17", "1e3", "1_000", "3.0", "3.", "1,5",
                                         "5 6",  "abc",  "-",   "+-3",   ".5",  "~",  "5x"};
    static const struct {
        const char *text, *message;
    } refused[] = {
        {"010", "found '010', want a whole number without zeros in front"},
        {"-007", "found '-007', want a whole number without zeros in front"},
        {"9223372036854775808",
         "found '9223372036854775808', want a whole number that fits in 64 bits"},
        {"-9223372036854775809",
         "found '-9223372036854775809', want a whole number that fits in 64 bits"},
        {"99999999999999999999999",
         "found '99999999999999999999999', want a whole number that fits in 64 bits"},
        {"'300'", "'300' in quotes is text, want a whole number in decimal digits"},
        {"[1, 2]", "found a list, want a whole number in decimal digits"},
        {"''", "'' in quotes is text, want a whole number in decimal digits"},
    };
    gint64 value = 77;

    for (guint i = 0; i < G_N_ELEMENTS(digits); i++) {
        g_autofree char *quoted = g_strdup_printf("'%s'", digits[i]);
        g_autoptr(LoomNode) node = parse(quoted);
        g_autoptr(GError) error = NULL;
        g_autofree char *message =
            g_strdup_printf("found '%s', want a whole number in decimal digits", digits[i]);

        node->quoted = FALSE; /* some are no plain scalars to YAML */
        g_assert_false(loom_scalar_int(node, "rate", &value, &error));
        assert_message(error, message);
    }
    for (guint i = 0; i < G_N_ELEMENTS(refused); i++) {
        g_autoptr(LoomNode) node = parse(refused[i].text);
        g_autoptr(GError) error = NULL;

        g_assert_false(loom_scalar_int(node, "rate", &value, &error));
        assert_message(error, refused[i].message);
    }
    g_assert_cmpint(value, ==, 77);
}

/* A key without a value, and a mapping: the place is the value's. */
static void test_places(void)
{
    g_autoptr(LoomNode) root = parse("a:\nb:   {x: 1}\n");
    g_autoptr(GError) nothing = NULL;
    g_autoptr(GError) mapping = NULL;
    gint64 value;

    g_assert_false(loom_scalar_int(loom_node_get(root, "a"), "a", &value, &nothing));
    g_assert_cmpstr(nothing->message, ==,
                    "f:1:3: a: found nothing, want a whole number in decimal digits");
    g_assert_false(loom_scalar_int(loom_node_get(root, "b"), "b", &value, &mapping));
    g_assert_cmpstr(mapping->message, ==,
                    "f:2:7: b: found a mapping, want a whole number in decimal digits");
}

/* ---- real numbers ------------------------------------------------------------------- */

static void test_float(void)
{
    static const struct {
        const char *text;
        double value;
    } accepted[] = {
        {"3", 3.0},
        {".5", 0.5},
        {"3.", 3.0},
        {"1e-3", 0.001},
        {"2.0e-3", 0.002},
        {"-1.5E+2", -150.0},
        {"+0.25", 0.25},
        {"0", 0.0},
        {"0.000", 0.0},
        {"0e-999", 0.0},
        {"1.7976931348623157e308", DBL_MAX},
        {"1e-310", 1e-310}, /* denormal, but not 0 */
    };

    for (guint i = 0; i < G_N_ELEMENTS(accepted); i++) {
        g_autoptr(LoomNode) node = parse(accepted[i].text);
        g_autoptr(GError) error = NULL;
        double value = 77;

        g_assert_true(loom_scalar_float(node, "rate", &value, &error));
        g_assert_no_error(error);
        g_assert_cmpfloat(value, ==, accepted[i].value);
    }
}

static void test_float_refused(void)
{
    static const struct {
        const char *text, *message;
    } refused[] = {
        {"abc", "found 'abc', want a number such as 3, 0.5 or 1e-3"},
        {"1e", "found '1e', want a number such as 3, 0.5 or 1e-3"},
        {"1e+", "found '1e+', want a number such as 3, 0.5 or 1e-3"},
        {".", "found '.', want a number such as 3, 0.5 or 1e-3"},
        {"0x1p3", "found '0x1p3', want a number such as 3, 0.5 or 1e-3"},
        {"1_000.5", "found '1_000.5', want a number such as 3, 0.5 or 1e-3"},
        {"1,5", "found '1,5', want a number such as 3, 0.5 or 1e-3"},
        {"3 mm", "found '3 mm', want a number such as 3, 0.5 or 1e-3"},
        {"1.2.3", "found '1.2.3', want a number such as 3, 0.5 or 1e-3"},
        {"1e3.5", "found '1e3.5', want a number such as 3, 0.5 or 1e-3"},
        {"nan", "found 'nan', want a finite number"},
        {".NaN", "found '.NaN', want a finite number"},
        {"-.inf", "found '-.inf', want a finite number"},
        {"Infinity", "found 'Infinity', want a finite number"},
        {"1e999", "found '1e999', want a number between 1e-307 and 1e308 in size, or 0"},
        {"-1e999", "found '-1e999', want a number between 1e-307 and 1e308 in size, or 0"},
        {"1e-999", "found '1e-999', want a number between 1e-307 and 1e308 in size, or 0"},
        {"010.5", "found '010.5', want a number without zeros in front"},
        {"'0.5'", "'0.5' in quotes is text, want a number such as 3, 0.5 or 1e-3"},
        {"'nan'", "'nan' in quotes is text, want a number such as 3, 0.5 or 1e-3"},
        {"{}", "found a mapping, want a number such as 3, 0.5 or 1e-3"},
    };
    double value = 77;

    for (guint i = 0; i < G_N_ELEMENTS(refused); i++) {
        g_autoptr(LoomNode) node = parse(refused[i].text);
        g_autoptr(GError) error = NULL;

        g_assert_false(loom_scalar_float(node, "rate", &value, &error));
        assert_message(error, refused[i].message);
    }
    g_assert_cmpfloat(value, ==, 77);
}

/* Where a comma separates decimals, 0.5 is still a half. */
static void test_locale(void)
{
    static const char *const locales[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "tr_TR.UTF-8"};
    g_autoptr(LoomNode) half = parse("0.5");
    g_autoptr(LoomNode) size = parse("1.5KiB");
    gboolean found = FALSE;

    for (guint i = 0; i < G_N_ELEMENTS(locales); i++) {
        double value = 0;
        guint64 bytes = 0;

        if (!setlocale(LC_ALL, locales[i]))
            continue;
        found = TRUE;
        g_assert_true(loom_scalar_float(half, "rate", &value, NULL));
        g_assert_cmpfloat(value, ==, 0.5);
        g_assert_true(loom_scalar_bytes(size, "rate", &bytes, NULL));
        g_assert_cmpuint(bytes, ==, 1536);
    }
    setlocale(LC_ALL, "C");
    if (!found)
        g_test_skip("none of de_DE, fr_FR, tr_TR is installed");
}

/* ---- sizes -------------------------------------------------------------------------- */

static void test_bytes(void)
{
    static const struct {
        const char *text;
        guint64 value;
    } accepted[] = {
        {"0", 0},
        {"4096", 4096},
        {"512B", 512},
        {"64kB", 64000},
        {"100MB", 100000000},
        {"2GB", 2000000000},
        {"3TB", 3000000000000},
        {"1KiB", 1024},
        {"512MiB", 536870912},
        {"4GiB", 4294967296},
        {"1TiB", 1099511627776},
        {"1.5GiB", 1610612736},
        {".5 MiB", 524288},
        {"0.1kB", 100},
        {"'4GiB'", G_GUINT64_CONSTANT(4) << 30},  /* as JSON has to say it */
        {"0.0001KiB", 0},                         /* 0.1 bytes, rounded down */
        {"1.3GiB", 1395864371},                   /* 1395864371.2 */
        {"18446744073709551615", G_MAXUINT64},    /* 2^64 - 1 */
        {"16777215TiB", 18446742974197923840u},   /* 2^64 - 2^40 */
        {"16777215.5TiB", 18446743523953737728u}, /* 2^64 - 2^39 */
    };

    for (guint i = 0; i < G_N_ELEMENTS(accepted); i++) {
        g_autoptr(LoomNode) node = parse(accepted[i].text);
        g_autoptr(GError) error = NULL;
        guint64 value = 77;

        g_assert_true(loom_scalar_bytes(node, "rate", &value, &error));
        g_assert_no_error(error);
        g_assert_cmpuint(value, ==, accepted[i].value);
    }
}

static void test_bytes_refused(void)
{
    static const char wanted[] = "a size such as 4GiB, 512MiB, 100MB or a number of bytes";
    static const char *const found[] = {"4G",     "-1",    "+1",   "GiB",     "1e3",
                                        "4  GiB", "4GiBs", "0x10", "4 GiB x", "lots"};
    static const struct {
        const char *text, *message;
    } refused[] = {
        {"4gib", "found '4gib', want the unit written GiB"},
        {"64KB", "found '64KB', want the unit written kB"},
        {"64 mb", "found '64 mb', want the unit written MB"},
        {"512b", "found '512b', want the unit written B"},
        {"'1024'", "'1024' in quotes is text, want a size such as 4GiB, 512MiB, 100MB or a "
                   "number of bytes"},
        {"1.5", "found '1.5', want a whole number of bytes"},
        {"1.5B", "found '1.5B', want a whole number of bytes"},
        {"010MiB", "found '010MiB', want a size without zeros in front"},
        {"18446744073709551616",
         "found '18446744073709551616', want a size below 16777216TiB (2^64 bytes)"},
        {"16777216TiB", "found '16777216TiB', want a size below 16777216TiB (2^64 bytes)"},
        {"99999999999999999999999kB",
         "found '99999999999999999999999kB', want a size below 16777216TiB (2^64 bytes)"},
    };
    guint64 value = 77;

    for (guint i = 0; i < G_N_ELEMENTS(found); i++) {
        g_autoptr(LoomNode) node = parse(found[i]);
        g_autoptr(GError) error = NULL;
        g_autofree char *message = g_strdup_printf("found '%s', want %s", found[i], wanted);

        g_assert_false(loom_scalar_bytes(node, "rate", &value, &error));
        assert_message(error, message);
    }
    for (guint i = 0; i < G_N_ELEMENTS(refused); i++) {
        g_autoptr(LoomNode) node = parse(refused[i].text);
        g_autoptr(GError) error = NULL;

        g_assert_false(loom_scalar_bytes(node, "rate", &value, &error));
        assert_message(error, refused[i].message);
    }
    g_assert_cmpuint(value, ==, 77);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/config/scalar/bool", test_bool);
    g_test_add_func("/config/scalar/int", test_int);
    g_test_add_func("/config/scalar/int-refused", test_int_refused);
    g_test_add_func("/config/scalar/places", test_places);
    g_test_add_func("/config/scalar/float", test_float);
    g_test_add_func("/config/scalar/float-refused", test_float_refused);
    g_test_add_func("/config/scalar/locale", test_locale);
    g_test_add_func("/config/scalar/bytes", test_bytes);
    g_test_add_func("/config/scalar/bytes-refused", test_bytes_refused);
    return g_test_run();
}
