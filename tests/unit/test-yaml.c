/* YAML: where each node stands, what is refused and in which words, and the limits. */
#include "config/yaml.h"

#include <loom/plugin.h>

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static LoomNode *parse(const char *text)
{
    g_autoptr(GError) error = NULL;
    LoomNode *root = loom_yaml_parse(text, strlen(text), "f", "/work", &error);

    g_assert_no_error(error);
    g_assert_nonnull(root);
    return root;
}

static void assert_refused(const char *text, gsize length, const char *message)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(LoomNode) root = loom_yaml_parse(text, length, "f", "/work", &error);

    g_assert_null(root);
    g_assert_error(error, LOOM_ERROR, LOOM_ERROR_CONFIG);
    g_assert_cmpstr(error->message, ==, message);
}

/* "type text@line:column" */
static void assert_node(const LoomNode *node, const char *want)
{
    static const char *const types[] = {"scalar", "sequence", "mapping"};
    g_autofree char *found = NULL;

    g_assert_nonnull(node);
    found = g_strdup_printf("%s %s@%u:%u", types[node->type],
                            node->type == LOOM_NODE_SCALAR ? node->text : "", node->line,
                            node->column);
    g_assert_cmpstr(found, ==, want);
    g_assert_cmpstr(node->file, ==, "f");
    g_assert_cmpstr(node->folder, ==, "/work");
}

/* ---- what is read ------------------------------------------------------------------- */

static void test_positions(void)
{
    g_autoptr(LoomNode) root = parse("# comment\n"
                                     "seed: 7\n"
                                     "data: {\n"
                                     "  folds: 5}\n"
                                     "graphs:\n"
                                     "  train: # here\n"
                                     "    load:   {use: nifti, size: [40, 56]}\n"
                                     "  list:\n"
                                     "  - é: a\n"
                                     "  - x\n"
                                     "nothing:\n");
    const LoomNode *graphs = loom_node_get(root, "graphs");
    const LoomNode *train = loom_node_get(graphs, "train");
    const LoomNode *load = loom_node_get(train, "load");
    const LoomNode *list = loom_node_get(graphs, "list");
    g_autofree char *place = loom_node_place(load);

    assert_node(root, "mapping @2:1");
    assert_node(loom_node_get(root, "seed"), "scalar 7@2:7");
    assert_node(loom_node_key(root, "seed"), "scalar seed@2:1");
    assert_node(loom_node_get(root, "data"), "mapping @4:3"); /* of its first key */
    assert_node(graphs, "mapping @6:3");
    assert_node(train, "mapping @7:5");
    assert_node(load, "mapping @7:14");
    assert_node(loom_node_key(train, "load"), "scalar load@7:5");
    assert_node(loom_node_get(load, "size"), "sequence @7:32");
    assert_node(loom_node_get(load, "size")->items->pdata[1], "scalar 56@7:37");
    assert_node(list, "sequence @9:3");
    assert_node(loom_node_get(list->items->pdata[0], "é"), "scalar a@9:8");
    assert_node(list->items->pdata[1], "scalar x@10:5");
    assert_node(loom_node_get(root, "nothing"), "scalar @11:9");
    g_assert_cmpstr(place, ==, "f:7:14");
}

static void test_lookup(void)
{
    g_autoptr(LoomNode) root = parse("{a: 1}");

    g_assert_null(loom_node_get(root, "b"));
    g_assert_null(loom_node_get(NULL, "a"));
    g_assert_null(loom_node_get(loom_node_get(root, "a"), "a"));
    g_assert_null(loom_node_key(root, "b"));
    g_assert_null(loom_node_key(NULL, "a"));
}

static void test_quoted(void)
{
    g_autoptr(LoomNode) root = parse("[300, '300', \"300\", a b, ~]\n");
    g_autoptr(LoomNode) block = parse("a: |\n  1\nb: >\n  2\nc: 3\n  4\n");
    const gboolean want[] = {FALSE, TRUE, TRUE, FALSE, FALSE};

    for (guint i = 0; i < G_N_ELEMENTS(want); i++)
        g_assert_cmpint(((const LoomNode *)root->items->pdata[i])->quoted, ==, want[i]);
    g_assert_true(loom_node_get(block, "a")->quoted);
    g_assert_cmpstr(loom_node_get(block, "a")->text, ==, "1\n");
    g_assert_true(loom_node_get(block, "b")->quoted);
    g_assert_false(loom_node_get(block, "c")->quoted);
    g_assert_cmpstr(loom_node_get(block, "c")->text, ==, "3 4");
}

static void test_spellings(void)
{
    g_autoptr(LoomNode) mark = parse("\xef\xbb\xbf"
                                     "a: 1\r\nb: \"\\u00e9\\t\"\r\n");
    g_autoptr(LoomNode) ends = parse("%YAML 1.2\n---\n[1]\n...\n\n# bye\n...\n");
    g_autoptr(LoomNode) text = parse("'one scalar'");

    assert_node(loom_node_get(mark, "a"), "scalar 1@1:4");
    assert_node(loom_node_get(mark, "b"), "scalar é\t@2:4");
    assert_node(ends, "sequence @3:1");
    assert_node(text, "scalar one scalar@1:1");
}

static void test_aliases(void)
{
    g_autoptr(LoomNode) root = parse("a: &it {x: [1, &two 2]}\nb: *it\nc: *two\nd: &it 3\n"
                                     "e: *it\n");
    LoomNode *a = loom_node_get(root, "a"), *b = loom_node_get(root, "b");

    g_assert_true(a != b); /* a copy: changing one leaves the other */
    assert_node(b, "mapping @1:9");
    assert_node(loom_node_get(b, "x")->items->pdata[1], "scalar 2@1:16");
    assert_node(loom_node_get(root, "c"), "scalar 2@1:16");
    assert_node(loom_node_get(root, "e"), "scalar 3@4:4"); /* the latest meaning */
    g_assert_cmpuint(loom_node_height(root), ==, 3);
}

static void test_copy(void)
{
    g_autoptr(LoomNode) root = parse("{a: '1', b: [2, {c: 3}]}");
    g_autoptr(LoomNode) copy = loom_node_copy(root);
    g_autofree char *before = loom_yaml_write(root);
    g_autofree char *after = NULL;

    g_clear_pointer(&root, loom_node_free);
    after = loom_yaml_write(copy);
    g_assert_cmpstr(after, ==, before);
    assert_node(loom_node_get(copy, "b"), "sequence @1:13");
}

/* ---- what is refused ---------------------------------------------------------------- */

static const struct {
    const char *text, *message;
} REFUSED[] = {
    /* no content */
    {"", "f:1:1: empty document, want a value"},
    {"\n# only\n", "f:1:1: empty document, want a value"},
    {"---\n...\n", "f:1:1: empty document, want a value"},
    /* tabs */
    {"a:\n\tb: 1", "f:2:1: a tab cannot stand here, want spaces"},
    {"a: 1\n\tb: 2", "f:2:1: a tab cannot stand here, want spaces"},
    {"a: 1\n  \tb: 2", "f:2:3: a tab cannot stand here, want spaces"},
    /* indentation, colons, dashes */
    {"a:\n  b: 1\n c: 2", "f:3:2: want a key here: wrong indentation, or text behind a value"},
    {"a: 'x' y", "f:1:8: want a key here: wrong indentation, or text behind a value"},
    {"a: 1\n b: 2", "f:2:3: a ':' cannot stand here: wrong indentation, or text with ': ' that "
                    "needs quotes"},
    {"é: b: c", "f:1:5: a ':' cannot stand here: wrong indentation, or text with ': ' that "
                "needs quotes"},
    {"a: 1\nb\nc: 2", "f:2:1: want ': ' behind this key"},
    {"a: 1\nb", "f:2:1: want ': ' behind this key"},
    {"- a\nb: 1", "f:2:1: want '- ' here: wrong indentation, or text behind an item"},
    {"a: - 1", "f:1:4: a list cannot begin here, want its first '- ' on a new line"},
    /* brackets and quotes */
    {"a: [1,\n 2", "f:2:3: want ',' or ']' here; the bracket opens at line 1"},
    {"a: {x: 1 y: 2}", "f:1:11: want ',' or '}' here; the bracket opens at line 1"},
    {"a: ]", "f:1:4: want a value here"},
    {"a: 1\nb: \"x\nc: 2\n", "f:2:4: this quoted text does not end"},
    {"a: \"C:\\data\"",
     "f:1:7: no such escape in double quotes: write \\\\ for a backslash, or "
     "use single quotes"},
    {"a: @x", "f:1:4: text cannot begin with '@', want it in quotes"},
    {"a: \"x\\0y\"", "f:1:4: text holds a zero byte"},
    /* keys */
    {"a: 1\nb: 2\na: 3", "f:3:1: key 'a' stands at line 1 already"},
    {"x: {a: 1, \"a\": 3}", "f:1:11: key 'a' stands at line 1 already"},
    {"<<: {a: 1}", "f:1:1: merge key '<<' is refused, want the keys written out, or an alias "
                   "for the whole mapping"},
    {"? {a: 1}\n: 2", "f:1:3: a key must be text, not a mapping"},
    {"? [a]\n: 2", "f:1:3: a key must be text, not a list"},
    {"a: &k x\n*k : 1", "f:2:1: a key must be text, not an alias"},
    {"'': 1", "f:1:1: a key is missing here"},
    /* anchors and tags */
    {"a: *b", "f:1:4: alias '*b' has no anchor '&b' above it"},
    {"a: &b [1, *b]", "f:1:11: alias '*b' stands inside its own anchor"},
    {"&b {x: {y: *b}}", "f:1:12: alias '*b' stands inside its own anchor"},
    {"a: !!python/object:os.system 3",
     "f:1:4: tag '!!python/object:os.system' is refused, want YAML without tags"},
    {"a: !mine [3]", "f:1:4: tag '!mine' is refused, want YAML without tags"},
    {"a: ! 3", "f:1:4: tag '!' is refused, want YAML without tags"},
    {"a: !!map {}", "f:1:4: tag '!!map' is refused, want YAML without tags"},
    {"# x\n%YAML 1.2\n%TAG ! x\n---\na: 1", "f:3:1: %TAG is refused, want YAML without tags"},
    {"%YAML 2.0\n---\na: 1", "f:1:1: found incompatible YAML document"},
    /* several documents */
    {"a: 1\n---\nb: 2", "f:2:1: a second document begins here, want one document"},
    {"a: 1\n...\n# x\n%YAML 1.2\n---\nb: 2",
     "f:4:1: a second document begins here, want one document"},
    {"a: 1\n...\nb: 2", "f:3:1: text behind the end of the document"},
    {"--- {a: 1} b", "f:1:12: text behind the end of the document"},
    /* letters */
    {"a: \xe9t\xe9", "f:1:4: byte 0xe9 at offset 3 is not UTF-8"},
    {"a: 1\nb: é\xff", "f:2:5: byte 0xff at offset 10 is not UTF-8"},
    {"a: \xed\xa0\x80", "f:1:4: byte 0xed at offset 3 is not UTF-8"}, /* a surrogate */
    {"a: \x1b[1m", "f:1:4: letter U+001B at offset 3 is not printable, want it escaped in "
                   "double quotes"},
    {"a: \xe2\x80\xa8", "f:1:4: letter U+2028 at offset 3 is not printable, want it escaped in "
                        "double quotes"},
    {"\xff\xfe"
     "a",
     "f:1:1: looks like UTF-16, want UTF-8"},
};

static void test_refused(void)
{
    for (guint i = 0; i < G_N_ELEMENTS(REFUSED); i++)
        assert_refused(REFUSED[i].text, strlen(REFUSED[i].text), REFUSED[i].message);
}

static void test_zero_bytes(void)
{
    assert_refused("a: 1\nb: \0x", 10, "f:2:4: zero byte at offset 8, want text in UTF-8");
    assert_refused("a\0:\0 \0001\0", 8, "f:1:1: looks like UTF-16, want UTF-8");
    assert_refused("\0a\0:\0 \0001", 8, "f:1:1: looks like UTF-16, want UTF-8");
    assert_refused("\0", 1, "f:1:1: zero byte at offset 0, want text in UTF-8");
}

/* The text may end without a zero byte, and ends where @length says. */
static void test_length(void)
{
    const char letters[] = {'a', ':', ' ', '1', '2', 'X'};
    g_autoptr(GError) error = NULL;
    g_autoptr(LoomNode) root = loom_yaml_parse(letters, 5, "f", "/work", &error);

    g_assert_no_error(error);
    assert_node(loom_node_get(root, "a"), "scalar 12@1:4");
}

/* ---- limits ------------------------------------------------------------------------- */

/* @n times @unit, between @head and @tail. */
static char *repeat(const char *head, const char *unit, guint n, const char *tail)
{
    GString *text = g_string_new(head);

    while (n-- > 0)
        g_string_append(text, unit);
    g_string_append(text, tail);
    return g_string_free(text, FALSE);
}

static void assert_repeat_refused(const char *head, const char *unit, guint n, const char *tail,
                                  const char *message)
{
    g_autofree char *text = repeat(head, unit, n, tail);

    assert_refused(text, strlen(text), message);
}

static void test_levels(void)
{
    g_autofree char *head = repeat("", "[", 64, "");
    g_autofree char *text = repeat(head, "]", 64, "");
    g_autoptr(LoomNode) root = parse(text);

    g_assert_cmpuint(loom_node_height(root), ==, 64);
    assert_repeat_refused("", "[", 65, "", "f:1:65: more than 64 levels of lists and mappings");
    /* Quadratic in libyaml 0.2.5 (18 s for 100 kB) unless it is stopped at the 65th. */
    assert_repeat_refused("", "[", LOOM_YAML_MAX_BYTES, "",
                          "f:1:65: more than 64 levels of lists and mappings");
    assert_repeat_refused("", "{a: ", 100000, "",
                          "f:1:257: more than 64 levels of lists and mappings");
    assert_repeat_refused("", "- ", 100000, "",
                          "f:1:129: more than 64 levels of lists and mappings");
    /* Seconds as well: libyaml compares all tag directives pair by pair. */
    assert_repeat_refused("", "%TAG !a! x\n", 90000, "",
                          "f:1:1: %TAG is refused, want YAML without tags");
}

static void test_sizes(void)
{
    g_autofree char *full = repeat("[1] #", "x", LOOM_YAML_MAX_BYTES - 5, "");
    g_autoptr(LoomNode) root = parse(full);

    g_assert_cmpuint(root->items->len, ==, 1);
    assert_repeat_refused("[1] #", "x", LOOM_YAML_MAX_BYTES - 4, "",
                          "f:1:1: 1048577 bytes, want at most 1048576");
}

/* Stream, document and list begin: 3 events; then one a scalar, from column 2 in steps of 2. */
static void test_events(void)
{
    g_autofree char *most = repeat("[", "a,", 49994, "a]"); /* + list, document end */
    g_autoptr(LoomNode) root = parse(most);

    g_assert_cmpuint(root->items->len, ==, 49995);
    assert_repeat_refused("[", "a,", 50000, "]",
                          "f:1:99996: too long: more than 50000 YAML events up to here");
}

static void test_anchors(void)
{
    g_autofree char *most = repeat("[", "&a 1,", 64, "]");
    g_autoptr(LoomNode) root = parse(most);

    g_assert_cmpuint(root->items->len, ==, 64);
    assert_repeat_refused("[", "&a 1,", 65, "]", "f:1:322: more than 64 anchors up to here");
}

/* Nine tens of tens: 10^9 nodes from 480 bytes, where aliases are expanded without counting. */
static void test_alias_bomb(void)
{
    g_autoptr(GString) bomb = g_string_new("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    g_autofree char *list = repeat("l: &l [", "x,", 99, "]\nm: ["); /* 100 nodes */
    g_autofree char *most = repeat(list, "*l,", 100, "]");
    g_autoptr(LoomNode) root = parse(most);

    g_assert_cmpuint(loom_node_get(root, "m")->items->len, ==, 100);
    assert_repeat_refused(list, "*l,", 101, "]",
                          "f:2:305: aliases up to here stand for more than 10000 nodes");
    for (guint i = 1; i < 10; i++) {
        g_string_append_printf(bomb, "a%u: &a%u [", i, i);
        for (guint j = 0; j < 10; j++)
            g_string_append_printf(bomb, "*a%u,", i - 1);
        g_string_append(bomb, "]\n");
    }
    /* 10 x 11 + 10 x 111 + 8 x 1111 > 10000: in the line of a3, at its eighth alias */
    assert_refused(bomb->str, bomb->len,
                   "f:4:38: aliases up to here stand for more than 10000 nodes");
}

/* Each alias adds the levels of what it stands for. */
static void test_alias_levels(void)
{
    g_autofree char *open = repeat("a: &a ", "[", 40, "");
    g_autofree char *deep = repeat(open, "]", 40, "\nb: ");
    g_autofree char *fits = repeat(deep, "[", 23, "*a");
    g_autofree char *over = repeat(deep, "[", 24, "*a");
    g_autofree char *closed = repeat(fits, "]", 23, "\n");
    g_autoptr(LoomNode) root = parse(closed);

    g_assert_cmpuint(loom_node_height(root), ==, 64);
    assert_refused(over, strlen(over), "f:2:28: alias '*a' makes more than 64 levels");
}

/* ---- files -------------------------------------------------------------------------- */

typedef struct {
    char *folder, *path;
} Place;

static void place_open(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    g_autofree char *made = g_dir_make_tmp("test-yaml-XXXXXX", NULL);

    g_assert_nonnull(made);
    place->folder = g_canonicalize_filename(made, NULL);
    place->path = g_build_filename(place->folder, "a.yaml", NULL);
}

static void place_close(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    g_remove(place->path);
    g_assert_cmpint(g_rmdir(place->folder), ==, 0);
    g_free(place->folder);
    g_free(place->path);
}

static void assert_unread(const char *path, LoomErrorCode code, const char *format, ...)
    G_GNUC_PRINTF(3, 4);
static void assert_unread(const char *path, LoomErrorCode code, const char *format, ...)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(LoomNode) root = loom_yaml_read(path, &error);
    g_autofree char *message = NULL;
    va_list args;

    va_start(args, format);
    message = g_strdup_vprintf(format, args);
    va_end(args);
    g_assert_null(root);
    g_assert_error(error, LOOM_ERROR, (gint)code);
    g_assert_cmpstr(error->message, ==, message);
}

static void test_read(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(LoomNode) root = NULL;
    g_autofree char *before = g_get_current_dir();

    g_assert_true(g_file_set_contents(place->path, "a: 1\nb: [\n", -1, NULL));
    assert_unread(place->path, LOOM_ERROR_CONFIG, "%s:3:1: want a value here", place->path);
    g_assert_true(g_file_set_contents(place->path, "a: 1\n", -1, NULL));
    g_assert_cmpint(g_chdir(place->folder), ==, 0);
    root = loom_yaml_read("./a.yaml", &error); /* named as the user named it */
    g_assert_cmpint(g_chdir(before), ==, 0);
    g_assert_no_error(error);
    g_assert_cmpstr(root->file, ==, "./a.yaml");
    g_assert_cmpstr(root->folder, ==, place->folder);
}

static void test_unreadable(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    assert_unread(place->path, LOOM_ERROR_IO, "'%s': No such file or directory", place->path);
    assert_unread(place->folder, LOOM_ERROR_CONFIG, "'%s' is a folder, want a YAML file",
                  place->folder);
    assert_unread("/dev/zero", LOOM_ERROR_CONFIG,
                  "'/dev/zero' is no regular file, want a YAML file");
    g_assert_cmpint(mkfifo(place->path, 0600), ==, 0); /* a reader would wait for a writer */
    assert_unread(place->path, LOOM_ERROR_CONFIG, "'%s' is no regular file, want a YAML file",
                  place->path);
}

static void test_large_file(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    g_assert_true(g_file_set_contents(place->path, "a: 1\n", -1, NULL));
    g_assert_cmpint(truncate(place->path, 50000000), ==, 0);
    assert_unread(place->path, LOOM_ERROR_CONFIG,
                  "%s:1:1: 50000000 bytes, want at most 1048576", place->path);
}

#define ADD_PLACE(path, test) g_test_add(path, Place, NULL, place_open, test, place_close)

int main(int argc, char **argv)
{
    g_setenv("LC_ALL", "C", TRUE); /* texts of errno */
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/config/yaml/positions", test_positions);
    g_test_add_func("/config/yaml/lookup", test_lookup);
    g_test_add_func("/config/yaml/quoted", test_quoted);
    g_test_add_func("/config/yaml/spellings", test_spellings);
    g_test_add_func("/config/yaml/aliases", test_aliases);
    g_test_add_func("/config/yaml/copy", test_copy);
    g_test_add_func("/config/yaml/refused", test_refused);
    g_test_add_func("/config/yaml/zero-bytes", test_zero_bytes);
    g_test_add_func("/config/yaml/length", test_length);
    g_test_add_func("/config/yaml/levels", test_levels);
    g_test_add_func("/config/yaml/sizes", test_sizes);
    g_test_add_func("/config/yaml/events", test_events);
    g_test_add_func("/config/yaml/anchors", test_anchors);
    g_test_add_func("/config/yaml/alias-bomb", test_alias_bomb);
    g_test_add_func("/config/yaml/alias-levels", test_alias_levels);
    ADD_PLACE("/config/yaml/read", test_read);
    ADD_PLACE("/config/yaml/unreadable", test_unreadable);
    ADD_PLACE("/config/yaml/large-file", test_large_file);
    return g_test_run();
}
