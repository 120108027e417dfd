/* Loading, rows, ranges, nested plugins, open and close. */
#include "loom_test.h"

#include <string.h>

/* ---- modules that must be refused --------------------------------------------------- */

static void module_refused(int way, const char *text)
{
    g_autoptr(LoomRegistry) registry = loom_registry_new();
    g_autofree char *folder = g_path_get_dirname(g_getenv("LOOM_TEST_BINARY"));
    g_autofree char *path = g_strdup_printf("%s/refused/refused_%d.so", folder, way);
    g_autoptr(GError) error = NULL;

    loom_assert_failed(loom_registry_load(registry, path, &error), error, LOOM_ERROR,
                       LOOM_ERROR_PLUGIN, text);
    g_assert_nonnull(strstr(error->message, "refused_")); /* names the file */
    g_assert_null(loom_registry_find(registry, LOOM_KIND_STAGE, "refused"));
}

static void test_refused(void)
{
    g_autoptr(LoomRegistry) registry = loom_registry_new();
    g_autoptr(GError) missing = NULL, text = NULL;

    module_refused(1, "it has no symbol 'loom_module'");
    module_refused(2, "was built for plugin ABI 1.7, this segloom has 1.6");
    module_refused(
        3, "stage 'refused': its own row refuses the default: default:1:1: n: 12 is out "
           "of range, want 0 to 10");
    module_refused(4, "a stage has exactly one of map, process and produce");
    loom_assert_failed(loom_registry_load(registry, "/nowhere/x.so", &missing), missing,
                       LOOM_ERROR, LOOM_ERROR_PLUGIN, "'/nowhere/x.so' cannot be loaded");
    loom_assert_failed(loom_registry_load(registry, "README.md", &text), text, LOOM_ERROR,
                       LOOM_ERROR_PLUGIN, "'README.md' cannot be loaded");
}

/* One name in four places: module file = kind_name.so = descriptor's name. */
static void test_names_agree(void)
{
    for (guint kind = 1; kind <= LOOM_N_KINDS; kind++) {
        g_autofree const LoomPlugin **list =
            loom_registry_list(loom_test_registry(), (LoomKind)kind);

        for (guint i = 0; list[i]; i++) {
            g_autofree char *origin = loom_registry_origin(loom_test_registry(), list[i]);
            g_autofree char *file =
                g_strdup_printf("%s_%s.so ", loom_kind_name((LoomKind)kind), list[i]->name);

            g_assert_true(g_str_has_prefix(origin, file));
        }
    }
}

/* ---- rows --------------------------------------------------------------------------- */

typedef struct {
    gboolean flag;
    gint64 number;
    guint64 bytes;
    double real;
    char *text, *path;
    int choice;
    LoomInts ints;
    LoomFloats floats;
    char **names, **map;
} Rows;

static const char *const choices[] = {"red", "green", NULL};
static const LoomParam rows[] = {
    LOOM_BOOL(Rows, flag, "true", "a flag"),
    LOOM_INT(Rows, number, NULL, -5, 5, "voxels", "a number"),
    LOOM_BYTES(Rows, bytes, "1KiB", 0, 1e9, "a size"),
    LOOM_FLOAT(Rows, real, "0.5", 0, 1, NULL, "a real"),
    LOOM_STRING(Rows, text, "", "a text"),
    LOOM_PATH(Rows, path, "", "a path"),
    LOOM_ENUM(Rows, choice, "green", choices, "a colour"),
    LOOM_INTS(Rows, ints, "[]", 0, 9, NULL, "numbers"),
    LOOM_FLOATS(Rows, floats, "[1, 2.5]", 0, 9, NULL, "reals"),
    LOOM_STRINGS(Rows, names, "[]", "texts"),
    LOOM_MAP(Rows, map, "{}", "texts by texts"),
    {0},
};

static gboolean fill(const char *yaml, Rows *self, GError **error)
{
    g_autoptr(LoomNode) node = loom_yaml_parse(yaml, strlen(yaml), "a.yaml", "/data", error);

    memset(self, 0, sizeof *self);
    return node && loom_params_fill(rows, self, node, NULL, "thing", NULL, error);
}

static void test_defaults(void)
{
    g_autoptr(GError) error = NULL;
    Rows self;

    g_assert_true(fill("number: -3", &self, &error));
    g_assert_true(self.flag);
    g_assert_cmpint(self.number, ==, -3);
    g_assert_cmpuint(self.bytes, ==, 1024);
    g_assert_cmpfloat(self.real, ==, 0.5);
    g_assert_null(self.text);
    g_assert_null(self.path);
    g_assert_cmpint(self.choice, ==, 1);
    g_assert_cmpuint(self.ints.n, ==, 0);
    g_assert_cmpuint(self.floats.n, ==, 2);
    g_assert_cmpfloat(self.floats.v[1], ==, 2.5);
    g_assert_null(self.names);
    g_assert_null(self.map);
    loom_params_clear(rows, &self);
}

static void test_values(void)
{
    g_autoptr(GError) error = NULL;
    Rows self;

    g_assert_true(fill("{flag: false, number: 5, bytes: 2MB, real: 1e-3, text: 'a b', "
                       "path: x/../y.nii, choice: red, ints: [[1, 2], [3]], floats: 4, "
                       "names: [a, 1], map: {4: 3, whole: [1, 2]}}",
                       &self, &error));
    g_assert_no_error(error);
    g_assert_false(self.flag);
    g_assert_cmpuint(self.bytes, ==, 2000000);
    g_assert_cmpstr(self.text, ==, "a b");
    g_assert_cmpstr(self.path, ==, "/data/y.nii");
    g_assert_cmpint(self.choice, ==, 0);
    g_assert_cmpuint(self.ints.n, ==, 3);
    g_assert_cmpint(self.ints.v[2], ==, 3);
    g_assert_cmpuint(self.floats.n, ==, 1);
    g_autofree char *names = g_strjoinv("|", self.names);
    g_autofree char *map = g_strjoinv("|", self.map);
    g_assert_cmpstr(names, ==, "a|1");
    g_assert_cmpstr(map, ==, "4|3|whole|1,2");
    loom_params_clear(rows, &self);
    g_assert_true(fill("{number: 5, names: one}", &self, &error)); /* counts as a list of one */
    g_assert_cmpstr(self.names[0], ==, "one");
    g_assert_null(self.names[1]);
    loom_params_clear(rows, &self);
}

static void refused(const char *yaml, const char *message)
{
    g_autoptr(GError) error = NULL;
    Rows self;

    g_assert_false(fill(yaml, &self, &error));
    g_assert_cmpstr(error->message, ==, message);
    loom_params_clear(rows, &self); /* half filled */
}

static void test_rows_refused(void)
{
    refused("flag: true", "a.yaml:1:1: thing needs the key 'number' (a number)");
    refused("number: 6", "a.yaml:1:9: thing: number: 6 is out of range, want -5 to 5 voxels");
    refused(
        "{number: 1, choice: gren}",
        "a.yaml:1:21: thing: choice: unknown choice 'gren', did you mean 'green'? (there are: "
        "red, green)");
    refused("{number: 1, ints: [1, 10]}",
            "a.yaml:1:23: thing: ints: 10 is out of range, want 0 to 9");
    refused("{number: 1, ints: {a: 1}}",
            "a.yaml:1:20: thing: ints: found a mapping, want a list of numbers");
    refused("{number: 1, text: [a]}", "a.yaml:1:19: thing: text: found a list, want text");
    refused(
        "{number: 1, colour: red}",
        "a.yaml:1:13: thing has no key 'colour' (its keys: flag, number, bytes, real, text, "
        "path, choice, ints, floats, names, map)");
    refused("{number: 1, names: {a: 1}}",
            "a.yaml:1:21: thing: names: found a mapping, want a list of texts");
    refused("{number: 1, names: [[a]]}", "a.yaml:1:21: thing: names: found a list, want text");
    refused("{number: 1, map: [a]}",
            "a.yaml:1:18: thing: map: want a mapping: {KEY: VALUE, ...}");
    refused("{number: 1, map: {a: {b: c}}}",
            "a.yaml:1:23: thing: map: found a mapping, want text or a list");
    refused("[1]", "a.yaml:1:1: thing: want a mapping of keys and values");
}

/* ---- nested plugins ----------------------------------------------------------------- */

static void test_nested(void)
{
    g_autoptr(LoomInstance) sum = loom_test_instance(
        LOOM_KIND_LOSS, "{use: sum, of: [{use: dice, smooth: 2}, {use: cross_entropy}]}", NULL,
        NULL);
    g_autoptr(GError) unknown = NULL, key = NULL;

    g_assert_cmpstr(sum->plugin->name, ==, "sum");
    loom_assert_failed(
        loom_test_instance(LOOM_KIND_LOSS, "{use: sum, of: [{use: dise}]}", NULL, &unknown),
        unknown, LOOM_ERROR, LOOM_ERROR_CONFIG,
        "test:1:23: there is no loss 'dise', did you mean 'dice'?");
    loom_assert_failed(loom_test_instance(LOOM_KIND_LOSS,
                                          "{use: sum, of: [{use: dice, smoth: 1}]}", NULL,
                                          &key),
                       key, LOOM_ERROR, LOOM_ERROR_CONFIG,
                       "test:1:29: loss 'dice' has no key 'smoth', did you mean 'smooth'?");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/plugin/refused", test_refused);
    g_test_add_func("/plugin/names-agree", test_names_agree);
    g_test_add_func("/plugin/defaults", test_defaults);
    g_test_add_func("/plugin/values", test_values);
    g_test_add_func("/plugin/rows-refused", test_rows_refused);
    g_test_add_func("/plugin/nested", test_nested);
    return loom_test_run();
}
