/* The bad-input catalogue, D3: configs that cannot be meant, rows 75 to 90.  catalogue.h says
 * how a row is met.  Elsewhere:
 *   79, 82     what a network wants of a patch: graphs/wrong-data (sizes)
 *   90         a config that changed before --resume: graphs/cli (resume-config)
 */
#include "catalogue.h"

#include <unistd.h>

/* ---- YAML ------------------------------------------------------------------------ */

static void brackets(void)
{
    g_autofree char *text = g_strnfill(100000, '[');

    g_free(catalogue_text("c.yaml", text, -1));
}

static void fifty_megabytes(void)
{
    g_autofree char *path = catalogue_text("c.yaml", "segloom: 1\n", -1);

    g_assert_cmpint(truncate(path, 50 << 20), ==, 0);
}

static void not_utf8(void)
{
    g_free(catalogue_text("c.yaml", "segloom: 1 # \xff\n", -1));
}

static void zero_byte(void)
{
    g_free(catalogue_text("c.yaml", "segloom: 1 # \0\n", 15));
}

static void utf16(void)
{
    g_free(catalogue_text("c.yaml", "\xff\xfes\0e\0", 6));
}

static void laughs(void)
{
    g_autoptr(GString) text = g_string_new("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");

    for (guint i = 1; i < 10; i++) {
        g_string_append_printf(text, "a%u: &a%u [", i, i);
        for (guint k = 0; k < 10; k++)
            g_string_append_printf(text, "%s*a%u", k ? ", " : "", i - 1);
        g_string_append(text, "]\n");
    }
    g_free(catalogue_text("c.yaml", text->str, -1));
}

#define STAGE(line) "segloom: 1\n" DATA GRAPHS "    " line "\n" RUN

/* ---- the table ----------------------------------------------------------------------- */

static const CatalogueRow rows[] = {
    {75, "E-YAML-SYNTAX", "a tab cannot stand here", .yaml = "segloom: 1\ndata:\n\tfolds: 2\n"},
    {76, "E-KEY-UNKNOWN", "did you mean 'foreground'?",
     .yaml = CROP("size: [4,4,4], foregrond: 1")},
    {77, "E-YAML-KEY-TWICE", "key 'seed' stands at line 2 already",
     .yaml = "segloom: 1\nseed: 1\nseed: 2\n"},
    {78, "E-VALUE-TYPE", "config: want a mapping of keys and values", .yaml = "[1, 2]\n",
     .alone = TRUE},
    {78, "E-VALUE-TYPE", "found 'two', want a whole number",
     .yaml = CROP("size: [4, 4, 4], per_volume: two")},
    {78, "E-VALUE-TYPE", "without zeros in front",
     .yaml = CROP("size: [4, 4, 4], per_volume: 010")},
    {78, "E-VALUE-TYPE", "in quotes is text",
     .yaml = CROP("size: [4, 4, 4], foreground: '1e-3'")},
    {78, "E-VALUE-TYPE", "want true or false", .data = "strict: yes"},
    {79, "E-VALUE-RANGE", "per_volume: 0 is out of range, want 1 to 10000",
     .yaml = CROP("size: [4, 4, 4], per_volume: 0")},
    {80, "E-KEY-MISSING", "needs the key 'size' (of a patch: D, H, W)",
     .yaml = CROP("foreground: 0.5")},
    {80, "E-KEY-MISSING", "config needs the key 'segloom'", .yaml = DATA GRAPHS RUN},
    {81, "E-GRAPH-EDGE", "there is no stage 'pach' in graph 'train', did you mean 'patch'?",
     .yaml = STAGE("flip: {use: flip, from: pach}")},
    {81, "E-GRAPH-CYCLE", "the stages form a cycle: a -> b -> a",
     .yaml = STAGE("a: {use: flip, from: b}\n    b: {use: flip, from: a}")},
    {81, "E-GRAPH-SOURCE", "has two sources, 'load' and 'again'",
     .yaml = STAGE("again: {use: nifti_load}")},
    {81, "E-GRAPH-EDGE", "needs 'from: STAGE'", .yaml = STAGE("flip: {use: flip}")},
    {82, "E-GRAPH-SHAPE",
     "reads 'image' as f32 CDHW, but it arrives as f32 NCDHW (from 'batch', ",
     .yaml = STAGE("batch: {use: batch, from: patch, size: 2}\n"
                   "    flip: {use: flip, from: batch}")},
    {82, "E-GRAPH-SLOT", "which no stage before it writes",
     .yaml = STAGE("score: {use: metrics, from: patch, metrics: [{use: overlap}]}")},
    {83, "E-YAML-ALIAS", "stand for more than 10000 nodes", .arrange = laughs,
     .yaml = "x: 1\n"},
    {84, "E-YAML-ALIAS", "stands inside its own anchor", .yaml = "data: &a {dataset: *a}\n"},
    {85, "E-YAML-DEPTH", "more than 64 levels", .arrange = brackets, .yaml = "x: 1\n"},
    {86, "E-YAML-SIZE", "52428800 bytes, want at most 1048576", .arrange = fifty_megabytes,
     .yaml = "x: 1\n"},
    {87, "E-YAML-TEXT", "byte 0xff at offset 13 is not UTF-8", .arrange = not_utf8,
     .yaml = "x: 1\n"},
    {87, "E-YAML-TEXT", "zero byte at offset 13", .arrange = zero_byte, .yaml = "x: 1\n"},
    {87, "E-YAML-TEXT", "looks like UTF-16", .arrange = utf16, .yaml = "x: 1\n"},
    {88, "E-YAML-DOCUMENTS", "a second document begins here",
     .yaml = "segloom: 1\n---\na: 2\n"},
    {88, "E-YAML-TAG", "!!python/object", .yaml = "segloom: !!python/object 1\n"},
    /* nothing is substituted: the name stands for itself */
    {89, "E-DATA", "${HOME}", .yaml = "segloom: 1\ndata: {dataset: '${HOME}'}\n" GRAPHS RUN},
};

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    catalogue_add(rows, G_N_ELEMENTS(rows));
    return loom_test_run();
}
