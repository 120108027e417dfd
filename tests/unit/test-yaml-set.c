/* --set a.b.c=value: what it changes, what it refuses in which words; and "did you mean". */
#include "config/yaml.h"

#include <loom/plugin.h>

#include <string.h>

static const char CONFIG[] = "seed: 7\n"
                             "data: {dataset: d, folds: 5}\n"
                             "models:\n"
                             "  seg: {use: unet3d, features: [16, 32, 64]}\n"
                             "empty: {}\n"
                             "none: []\n";

static LoomNode *parse(const char *text)
{
    g_autoptr(GError) error = NULL;
    LoomNode *root = loom_yaml_parse(text, strlen(text), "f", "/work", &error);

    g_assert_no_error(error);
    return root;
}

/* ---- what it changes ---------------------------------------------------------------- */

static void test_values(void)
{
    static const struct {
        const char *assignment, *want; /* in JSON, of the whole config */
    } cases[] = {
        {"seed=8", "{\"seed\":8,\"a\":{\"b\":[1,2]}}"},
        {"seed='8'", "{\"seed\":\"8\",\"a\":{\"b\":[1,2]}}"},
        {"seed=null", "{\"seed\":null,\"a\":{\"b\":[1,2]}}"},
        {"seed=''", "{\"seed\":\"\",\"a\":{\"b\":[1,2]}}"},
        {"new=x=y", "{\"seed\":7,\"a\":{\"b\":[1,2]},\"new\":\"x=y\"}"},
        {"a.b=3", "{\"seed\":7,\"a\":{\"b\":3}}"},
        {"a.b.0=[4, {c: 5}]", "{\"seed\":7,\"a\":{\"b\":[[4,{\"c\":5}],2]}}"},
        {"a.b.1={use: dice}", "{\"seed\":7,\"a\":{\"b\":[1,{\"use\":\"dice\"}]}}"},
        {"a.c= ../data set ", "{\"seed\":7,\"a\":{\"b\":[1,2],\"c\":\"../data set\"}}"},
        {"a.é=é", "{\"seed\":7,\"a\":{\"b\":[1,2],\"é\":\"é\"}}"},
        {"a=k: 1", "{\"seed\":7,\"a\":{\"k\":1}}"},
        {"a=[&x 1, *x]", "{\"seed\":7,\"a\":[1,1]}"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(LoomNode) root = parse("{seed: 7, a: {b: [1, 2]}}");
        g_autoptr(GError) error = NULL;
        g_autofree char *json = NULL;

        g_assert_true(loom_yaml_set(root, cases[i].assignment, "/cwd", &error));
        g_assert_no_error(error);
        json = loom_yaml_json(root);
        g_assert_cmpstr(json, ==, cases[i].want);
    }
}

/* Places count letters of the assignment; relative paths start where the command was typed. */
static void test_places(void)
{
    g_autoptr(LoomNode) root = parse("{é: {x: 1}}");
    const LoomNode *value;

    g_assert_true(loom_yaml_set(root, "é.list=[1, {a: b}]", "/cwd", NULL));
    value = loom_node_get(loom_node_get(root, "é"), "list");
    g_assert_cmpstr(value->file, ==, "--set");
    g_assert_cmpstr(value->folder, ==, "/cwd");
    g_assert_cmpuint(value->line, ==, 1);
    g_assert_cmpuint(value->column, ==, 8);
    g_assert_cmpuint(((const LoomNode *)value->items->pdata[1])->column, ==, 13);
    value = loom_node_key(loom_node_get(root, "é"), "list");
    g_assert_cmpstr(value->file, ==, "--set");
    g_assert_cmpuint(value->column, ==, 3);
}

/* ---- what it refuses ---------------------------------------------------------------- */

static const struct {
    const char *assignment, *message;
} REFUSED[] = {
    {"seed", "--set:1:1: 'seed' has no '=', want KEY.KEY=VALUE"},
    {"=3", "--set:1:1: an empty key, want KEY.KEY=VALUE"},
    {"data..x=3", "--set:1:6: an empty key, want KEY.KEY=VALUE"},
    {"data.=3", "--set:1:6: an empty key, want KEY.KEY=VALUE"},
    {"seed =3", "--set:1:1: key 'seed ' begins or ends with a blank"},
    {"seed=", "--set:1:5: no value behind '=', want one; '' is empty text"},
    {"seed=  ", "--set:1:5: no value behind '=', want one; '' is empty text"},
    {"seed=#3", "--set:1:1: empty document, want a value"},
    {"seed=1\ndata=2", "--set:1:7: a line break, want the assignment on one line"},
    {"dat.folds=3", "--set:1:1: the config has no key 'dat', did you mean 'data'? it has seed, "
                    "data, models, empty, none"},
    {"models.sgg.use=x",
     "--set:1:8: 'models' has no key 'sgg', did you mean 'seg'? it has seg"},
    {"models.other.use=x",
     "--set:1:8: 'models' has no key 'other', it has seg; 'models.other={...}' adds it"},
    {"empty.a.b=x", "--set:1:7: 'empty' has no key 'a', it has none; 'empty.a={...}' adds it"},
    {"seed.a=x", "--set:1:6: 'seed' is '7': it has no keys, no 'a'"},
    {"models.seg.features.3=x",
     "--set:1:21: 'models.seg.features' is a list of 3, counted from 0: it has no '3'"},
    {"models.seg.features.-1=x",
     "--set:1:21: 'models.seg.features' is a list of 3, counted from 0: it has no '-1'"},
    {"none.0=x", "--set:1:6: 'none' is a list of 0, counted from 0: it has no '0'"},
    {"data.folds=[1", "--set:1:14: want ',' or ']' here; the bracket opens at line 1"},
    {"data.folds='1", "--set:1:12: this quoted text does not end"},
    {"data.folds=*x", "--set:1:12: alias '*x' has no anchor '&x' above it"},
    {"data.folds=!!int 3", "--set:1:12: tag '!!int' is refused, want YAML without tags"},
    {"data.x={a: 1, a: 2}", "--set:1:15: key 'a' stands at line 1 already"},
    {"seed=\xff", "--set:1:6: byte 0xff at offset 5 is not UTF-8"},
};

static void test_refused(void)
{
    g_autoptr(LoomNode) root = parse(CONFIG);
    g_autofree char *before = loom_yaml_json(root);
    g_autofree char *after = NULL;

    for (guint i = 0; i < G_N_ELEMENTS(REFUSED); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_false(loom_yaml_set(root, REFUSED[i].assignment, "/cwd", &error));
        g_assert_error(error, LOOM_ERROR, LOOM_ERROR_CONFIG);
        g_assert_cmpstr(error->message, ==, REFUSED[i].message);
    }
    after = loom_yaml_json(root);
    g_assert_cmpstr(after, ==, before); /* a refused assignment changes nothing */
}

static void test_many_keys(void)
{
    g_autoptr(LoomNode) root = parse("{a1: 0, a2: 0, a3: 0, a4: 0, a5: 0, a6: 0, a7: 0, a8: 0, "
                                     "a9: 0, b1: 0, b2: 0, b3: 0, b4: 0}");
    g_autoptr(GError) error = NULL;

    g_assert_false(loom_yaml_set(root, "xyz.a=1", "/", &error));
    g_assert_cmpstr(
        error->message, ==,
        "--set:1:1: the config has no key 'xyz', it has a1, a2, a3, a4, a5, a6, a7, "
        "a8, a9, b1, b2, b3, ...; 'xyz={...}' adds it");
}

/* Not even many assignments in a row make a tree too deep to write and read again. */
static void test_levels(void)
{
    g_autoptr(LoomNode) root = parse("{a: 0}");
    g_autoptr(GError) error = NULL;
    g_autoptr(GString) path = g_string_new("a");

    for (guint i = 0; i < 63; i++) {
        g_autofree char *assignment = g_strdup_printf("%s=[0]", path->str);

        g_assert_true(loom_yaml_set(root, assignment, "/", &error));
        g_assert_no_error(error);
        g_string_append(path, ".0");
    }
    g_assert_cmpuint(loom_node_height(root), ==, 64);
    g_string_append(path, "=[0]");
    g_assert_false(loom_yaml_set(root, path->str, "/", &error));
    g_assert_cmpstr(error->message, ==, "--set:1:1: more than 64 levels of lists and mappings");
}

/* ---- did you mean ------------------------------------------------------------------- */

static void test_did_you_mean(void)
{
    static const char *const known[] = {"queue", "from", "workers", "foreground", "lr", NULL};
    static const struct {
        const char *word, *want;
    } cases[] = {
        {"quee", ", did you mean 'queue'?"},      /* one letter left out */
        {"queeu", ", did you mean 'queue'?"},     /* two swapped: distance 1 */
        {"fron", ", did you mean 'from'?"},       /* one changed */
        {"FROM", ", did you mean 'from'?"},       /* case does not count */
        {"worker_", ", did you mean 'workers'?"}, /* one changed */
        {"forground", ", did you mean 'foreground'?"},
        {"fregrnd", ""}, /* 3 off, 7 letters allow 2 */
        {"form", ", did you mean 'from'?"},
        {"frm", ", did you mean 'from'?"}, /* 1 at least */
        {"rate", ""},
        {"l", ""}, /* all of it would change, or as much be added */
        {"x", ""},
        {"", ""},
    };
    static const char *const none[] = {NULL};
    g_autofree char *alone = loom_did_you_mean("queue", none);
    g_autofree char *missing = loom_did_you_mean("queue", NULL);
    g_autofree char *long_word = g_strnfill(5000, 'q');
    g_autofree char *nothing = loom_did_you_mean(long_word, known);

    g_assert_cmpstr(alone, ==, "");
    g_assert_cmpstr(missing, ==, "");
    g_assert_cmpstr(nothing, ==, "");
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *guess = loom_did_you_mean(cases[i].word, known);

        g_assert_cmpstr(guess, ==, cases[i].want);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/config/set/values", test_values);
    g_test_add_func("/config/set/places", test_places);
    g_test_add_func("/config/set/refused", test_refused);
    g_test_add_func("/config/set/many-keys", test_many_keys);
    g_test_add_func("/config/set/levels", test_levels);
    g_test_add_func("/config/did-you-mean", test_did_you_mean);
    return g_test_run();
}
