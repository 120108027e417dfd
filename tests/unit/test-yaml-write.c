/* YAML and JSON out of the tree: how it looks, that it reads back, and that no bytes at all
 * make the reader stumble. */
#include "config/yaml.h"

#include <loom/plugin.h>

#include <json-glib/json-glib.h>
#include <string.h>

#define TREES 2000
#define MUTATIONS 6000

static LoomNode *parse(const char *text)
{
    g_autoptr(GError) error = NULL;
    LoomNode *root = loom_yaml_parse(text, strlen(text), "f", "/work", &error);

    g_assert_no_error(error);
    return root;
}

/* YAML 1.2, 10.3.2, as the specification prints it: what plain text is null, a truth value or a
 * number in the core schema. */
static gboolean is_core(const char *text)
{
    return g_regex_match_simple("^(null|Null|NULL|~|)$"
                                "|^(true|True|TRUE|false|False|FALSE)$"
                                "|^[-+]?[0-9]+$|^0o[0-7]+$|^0x[0-9a-fA-F]+$"
                                "|^[-+]?(\\.[0-9]+|[0-9]+(\\.[0-9]*)?)([eE][-+]?[0-9]+)?$"
                                "|^[-+]?\\.(inf|Inf|INF)$|^\\.(nan|NaN|NAN)$",
                                text, G_REGEX_DOLLAR_ENDONLY, 0);
}

/* Equal texts; and what was plain and has a meaning beyond text has it still. */
static void assert_equal(const LoomNode *a, const LoomNode *b)
{
    g_assert_cmpint(a->type, ==, b->type);
    if (a->type == LOOM_NODE_SCALAR) {
        g_assert_cmpstr(a->text, ==, b->text);
        if (is_core(a->text))
            g_assert_cmpint(a->quoted, ==, b->quoted);
        return;
    }
    g_assert_cmpuint(a->items->len, ==, b->items->len);
    for (guint i = 0; i < a->items->len; i++) {
        assert_equal(a->items->pdata[i], b->items->pdata[i]);
        if (a->keys)
            g_assert_cmpstr(((const LoomNode *)a->keys->pdata[i])->text, ==,
                            ((const LoomNode *)b->keys->pdata[i])->text);
    }
}

static void assert_reads_back(const LoomNode *root)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *yaml = loom_yaml_write(root);
    g_autoptr(LoomNode) again = loom_yaml_parse(yaml, strlen(yaml), "again", "/", &error);
    g_autofree char *twice = NULL;

    if (error)
        g_test_message("%s", yaml);
    g_assert_no_error(error);
    assert_equal(root, again);
    twice = loom_yaml_write(again);
    g_assert_cmpstr(twice, ==, yaml); /* nothing left to change */
}

/* ---- how it looks ------------------------------------------------------------------- */

static void test_style(void)
{
    static const char want[] =
        "segloom: 1\n"
        "data: {dataset: ../data/hippocampus, folds: 5, fold: 0}\n"
        "models:\n"
        "  seg: {use: unet3d, in_channels: 1, classes: 3, features: [16, 32, 64]}\n"
        "graphs:\n"
        "  train:\n"
        "    load: {use: nifti_load, split: train, shuffle: true}\n"
        "    loss: {use: loss, from: forward, loss: {use: unified_focal, delta: 0.6}}\n"
        "    score: {use: metrics, metrics: [{use: overlap}, {use: surface}]}\n"
        "    long:\n"
        "      use: nifti_load\n"
        "      text: \"300\"\n"
        "      path: \"/a/very/long/path/that/leaves/no/room/for/all/of/this/on/one, line\"\n"
        "      cases: [la_001, la_003, la_004]\n"
        "      deep:\n"
        "        - use: this_is_a_name_that_is_long_enough_to_fill_a_line_together\n"
        "          with: another_name_that_is_long_enough_to_fill_a_line\n"
        "        - - this_is_a_name_that_is_long_enough_to_fill_a_line_together\n"
        "          - another_name_that_is_long_enough_to_fill_a_line\n"
        "        -\n"
        "nothing:\n"
        "empty: [{}, [], \"\"]\n"
        "run: {graph: train, steps: 300}\n";
    g_autoptr(LoomNode) root = parse(want);
    g_autofree char *yaml = loom_yaml_write(root);

    g_assert_cmpstr(yaml, ==, want);
}

static void test_width(void)
{
    /* "key: [" and "]" leave 83 of 90 columns: one item of 83 letters fits, of 84 does not */
    g_autofree char *fits = g_strnfill(83, 'x');
    g_autofree char *over = g_strnfill(84, 'x');
    g_autofree char *one_line = g_strdup_printf("key: [%s]\n", fits);
    g_autofree char *two_lines = g_strdup_printf("key:\n  - %s\n", over);
    g_autofree char *too_long = g_strdup_printf("key: [%s]\n", over);
    g_autoptr(LoomNode) short_node = parse(one_line);
    g_autoptr(LoomNode) long_node = parse(too_long);
    g_autofree char *short_yaml = loom_yaml_write(short_node);
    g_autofree char *long_yaml = loom_yaml_write(long_node);

    g_assert_cmpstr(short_yaml, ==, one_line);
    g_assert_cmpstr(long_yaml, ==, two_lines);
}

/* Texts that would turn into something else without quotes; and roots that are no mappings. */
static void test_quotes(void)
{
    static const char *const texts[] = {
        "",
        " ",
        "-",
        "- a",
        "---",
        "--- a",
        "...",
        "a: b",
        "a:",
        ":a",
        "?a",
        "a #b",
        "#a",
        "&a",
        "*a",
        "!a",
        "|",
        ">",
        "'",
        "\"",
        "%a",
        "@a",
        "`a",
        "a,b",
        "[a]",
        "{a}",
        "a\nb",
        "a\n",
        "\ta",
        "a\t#b",
        "é",
        "\xf0\x9f\xa7\xa0",
        "\x1b",
        "\x7f",
        "\xc2\x85",
        "\xe2\x80\xa8",
        "\r",
        "\xef\xbb\xbf",
        "\xef\xbf\xbf",
        "\\",
        "a\\n",
        "null",
        "~",
        "true",
        "300",
        "0x1f",
        "1e3",
        ".inf",
        "<<",
        "a ",
        "a?b",
        "a:b",
        "=",
        "yes",
        "\xff",
    };

    for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
        for (guint quoted = 0; quoted < 2; quoted++) {
            g_autoptr(LoomNode) root = parse("{k: [v], list: [[v]], deep: [{k: v}]}");
            g_autoptr(LoomNode) alone = parse("x");
            LoomNode *slot = loom_node_get(root, "k")->items->pdata[0];
            gboolean utf8 = g_utf8_validate(texts[i], -1, NULL);

            for (guint j = 0; j < 3; j++) { /* value, key, root */
                LoomNode *node = j == 0 ? slot : j == 1 ? root->keys->pdata[1] : alone;

                if (j > 0 && !*texts[i])
                    break; /* no key, no document */
                g_free(node->text);
                node->text = utf8 ? g_strdup(texts[i]) : g_utf8_make_valid(texts[i], -1);
                node->quoted = (gboolean)quoted;
                assert_reads_back(j == 2 ? alone : root);
            }
        }
    }
}

/* libyaml looks for the ':' of a key no further than 1024 letters. */
static void test_long_key(void)
{
    g_autofree char *key = g_strnfill(3000, 'k');
    g_autofree char *text = g_strdup_printf("? %s\n: {? '%s' : 1, b: 2}\n", key, key);
    g_autoptr(LoomNode) root = parse(text);

    g_assert_nonnull(loom_node_get(loom_node_get(root, key), key));
    assert_reads_back(root);
}

/* ---- JSON --------------------------------------------------------------------------- */

static void test_json(void)
{
    static const struct {
        const char *yaml, *json;
    } cases[] = {
        {"[null, Null, NULL, ~]", "[null,null,null,null]"},
        {"a:", "{\"a\":null}"},
        {"[true, True, TRUE, false]", "[true,true,true,false]"},
        {"[0, 7, -7, +7, 010, 000, -0]", "[0,7,-7,7,10,0,-0]"},
        {"[0x1F, 0o17, 0xg, 0o8]", "[31,15,\"0xg\",\"0o8\"]"},
        {"[0.1, .5, 5., -.5, 1e3, 1.E-3, +00.50e+2]", "[0.1,0.5,5,-0.5,1e3,1E-3,0.50e+2]"},
        {"[12345678901234567890123, 2.0e-3]", "[12345678901234567890123,2.0e-3]"},
        {"[.inf, -.INF, .nan, nan]", "[\".inf\",\"-.INF\",\".nan\",\"nan\"]"},
        {"['7', \"true\", 'null', '']", "[\"7\",\"true\",\"null\",\"\"]"},
        {"[yes, 1_0, 1e, 1e+, ., '-', +, 1.2.3, 4GiB]",
         "[\"yes\",\"1_0\",\"1e\",\"1e+\",\".\",\"-\",\"+\",\"1.2.3\",\"4GiB\"]"},
        {"{a b: {}, 1: []}", "{\"a b\":{},\"1\":[]}"},
        {"[\"a\\\"\\\\\\n\\x01é\"]", "[\"a\\\"\\\\\\n\\u0001é\"]"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(LoomNode) root = parse(cases[i].yaml);
        g_autofree char *json = loom_yaml_json(root);

        g_assert_cmpstr(json, ==, cases[i].json);
    }
}

/* Another reader of JSON finds the same texts. */
static void assert_json_equal(const LoomNode *node, JsonNode *json)
{
    if (node->type == LOOM_NODE_SEQUENCE) {
        JsonArray *array = json_node_get_array(json);

        g_assert_cmpuint(json_array_get_length(array), ==, node->items->len);
        for (guint i = 0; i < node->items->len; i++)
            assert_json_equal(node->items->pdata[i], json_array_get_element(array, i));
    } else if (node->type == LOOM_NODE_MAPPING) {
        JsonObject *object = json_node_get_object(json);

        g_assert_cmpuint(json_object_get_size(object), ==, node->items->len);
        for (guint i = 0; i < node->items->len; i++)
            assert_json_equal(
                node->items->pdata[i],
                json_object_get_member(object, ((const LoomNode *)node->keys->pdata[i])->text));
    } else if (node->quoted || !is_core(node->text) || strpbrk(node->text, "fN")) {
        if (json_node_get_value_type(json) == G_TYPE_STRING) /* else null, NULL, false */
            g_assert_cmpstr(json_node_get_string(json), ==, node->text);
        else
            g_assert_true(!node->quoted && is_core(node->text));
    } else {
        g_assert_true(json_node_get_value_type(json) != G_TYPE_STRING);
    }
}

/* ---- random trees ------------------------------------------------------------------- */

static char *random_text(GRand *rand)
{
    static const char *const pieces[] = {
        "a",
        "use",
        " ",
        "-",
        ":",
        ": ",
        "#",
        " #",
        ",",
        "[",
        "]",
        "{",
        "}",
        "'",
        "\"",
        "\\",
        "\n",
        "\t",
        "?",
        "!",
        "&",
        "*",
        "|",
        ">",
        "%",
        "@",
        "0",
        "7",
        ".",
        "e",
        "+",
        "~",
        "é",
        "<<",
        "\r",
        "...",
        "---",
        "true",
        "null",
        "0x",
        "inf",
        "=",
        "`",
        "\xe2\x80\xa9",
        "\x01",
        "\xc2\xa0",
        "\xf0\x9f\xa7\xa0",
    };
    GString *text = g_string_new(NULL);

    for (gint n = g_rand_int_range(rand, 0, 6); n > 0; n--)
        g_string_append(text, pieces[g_rand_int_range(rand, 0, G_N_ELEMENTS(pieces))]);
    if (g_rand_int_range(rand, 0, 50) == 0)
        for (gint n = g_rand_int_range(rand, 0, 1500); n > 0; n--)
            g_string_append_c(text, 'x');
    return g_string_free(text, FALSE);
}

static LoomNode *random_tree(GRand *rand, guint levels)
{
    LoomNodeType type = levels ? (LoomNodeType)g_rand_int_range(rand, 0, 3) : LOOM_NODE_SCALAR;
    LoomNode *node = loom_node_new(type, "random", "/", 1, 1);

    if (type == LOOM_NODE_SCALAR) {
        g_free(node->text);
        node->text = random_text(rand);
        node->quoted = g_rand_boolean(rand);
        return node;
    }
    for (gint n = g_rand_int_range(rand, 0, 5); n > 0; n--) {
        g_autoptr(LoomNode) key = random_tree(rand, 0);

        if (type == LOOM_NODE_SEQUENCE)
            g_ptr_array_add(node->items, random_tree(rand, levels - 1));
        else if (*key->text && !loom_node_get(node, key->text))
            loom_node_put(node, g_steal_pointer(&key), random_tree(rand, levels - 1));
    }
    return node;
}

static void test_random_trees(void)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(20240607);

    for (guint i = 0; i < TREES; i++) {
        g_autoptr(LoomNode) root = random_tree(rand, 5);
        g_autoptr(GError) error = NULL;
        g_autoptr(JsonNode) json = NULL;
        g_autofree char *text = loom_yaml_json(root);

        if (root->type == LOOM_NODE_SCALAR)
            continue;
        assert_reads_back(root);
        json = json_from_string(text, &error);
        g_assert_no_error(error);
        assert_json_equal(root, json);
    }
}

/* ---- any bytes at all --------------------------------------------------------------- */

static const char VALID[] = "# a config\r\n"
                            "segloom: 1\n"
                            "data: &d {dataset: \"../data é\", folds: 5, 'fold': 0}\n"
                            "models:\n"
                            "  seg: {use: unet3d, features: [16, 32, 64]}\n"
                            "  again: *d\n"
                            "graphs:\n"
                            "  train:\n"
                            "  - load: |\n"
                            "      text\n"
                            "\n"
                            "    fold: >-\n"
                            "      more\n"
                            "      text\n"
                            "  - ? long\n"
                            "    : 2.0e-3 # reason\n"
                            "  - \n"
                            "run: {graph: train, steps: 300}\n";

/* Either a tree that reads back, or an error that says where: never both, never neither. */
static gboolean feed(const char *text, gsize length)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *exact = g_memdup2(text, length); /* ASan sees each byte too far */
    g_autoptr(LoomNode) root = loom_yaml_parse(exact, length, "fuzz", "/", &error);

    if (root) {
        g_assert_no_error(error);
        assert_reads_back(root);
    } else {
        g_assert_error(error, LOOM_ERROR, LOOM_ERROR_CONFIG);
        g_assert_true(g_regex_match_simple("^fuzz:[1-9][0-9]*:[1-9][0-9]*: .", error->message,
                                           G_REGEX_RAW, 0));
    }
    return root != NULL;
}

static void test_truncated(void)
{
    for (gsize length = 0; length < strlen(VALID); length++)
        feed(VALID, length);
    g_assert_true(feed(VALID, strlen(VALID)));
}

static void test_mutated(void)
{
    static const char letters[] = "\n\n\n  \t-:?,[]{}#&*!|>'\"%@`\\\r\0\xff\xc3\xa9~0a.<";
    g_autoptr(GRand) rand = g_rand_new_with_seed(20240608);
    guint read = 0;

    for (guint i = 0; i < MUTATIONS; i++) {
        g_autoptr(GString) text = g_string_new(VALID);

        for (gint n = g_rand_int_range(rand, 1, 5); n > 0 && text->len > 0; n--) {
            gsize at = (gsize)g_rand_int_range(rand, 0, (gint32)text->len);
            gsize wish = (gsize)g_rand_int_range(rand, 1, 40);
            gsize more = MIN(wish, text->len - at);
            char letter = letters[g_rand_int_range(rand, 0, sizeof letters - 1)];

            switch (g_rand_int_range(rand, 0, 5)) {
            case 0:
                text->str[at] = (char)(text->str[at] ^ (1 << g_rand_int_range(rand, 0, 8)));
                break;
            case 1:
                text->str[at] = letter;
                break;
            case 2:
                g_string_insert_c(text, (gssize)at, letter);
                break;
            case 3:
                g_string_erase(text, (gssize)at, (gssize)more);
                break;
            default: {
                g_autofree char *again = g_memdup2(text->str + at, more);

                g_string_insert_len(text, g_rand_int_range(rand, 0, (gint32)text->len), again,
                                    (gssize)more);
            }
            }
        }
        read += feed(text->str, text->len) ? 1 : 0;
    }
    g_assert_cmpuint(read, >, MUTATIONS / 50); /* both outcomes were seen, often */
    g_assert_cmpuint(MUTATIONS - read, >, MUTATIONS / 50);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/config/write/style", test_style);
    g_test_add_func("/config/write/width", test_width);
    g_test_add_func("/config/write/quotes", test_quotes);
    g_test_add_func("/config/write/long-key", test_long_key);
    g_test_add_func("/config/write/json", test_json);
    g_test_add_func("/config/write/random-trees", test_random_trees);
    g_test_add_func("/config/read/truncated", test_truncated);
    g_test_add_func("/config/read/mutated", test_mutated);
    return g_test_run();
}
