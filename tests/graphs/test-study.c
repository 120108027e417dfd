/* segloom study as a person types it: every loss sees the same patches, a study that was
 * stopped ends with the same numbers, and what it leaves can be read. */
#include "loom_test.h"
#include "phantom_set.h"

#include <glib/gstdio.h>
#include <json-glib/json-glib.h>
#include <string.h>
#include <sys/wait.h>

static const char config_text[] =
    "segloom: 1\n"
    "seed: 1\n"
    "data: {dataset: data, folds: 2, fold: 0}\n"
    "backend: {use: openblas, threads: 1}\n"
    "models:\n"
    "  seg: {use: unet3d, in_channels: 1, classes: 2, features: [4, 8]}\n"
    "graphs:\n"
    "  train:\n"
    "    load:    {use: nifti_load, split: train, shuffle: true}\n"
    "    scale:   {use: zscore, from: load}\n"
    "    patch:   {use: crop, from: scale, size: [16, 16, 16], foreground: 0.5}\n"
    "    flip:    {use: flip, from: patch}\n"
    "    noise:   {use: noise, from: flip}\n"
    "    batch:   {use: batch, from: noise, queue: 2, size: 2}\n"
    "    hash:    {use: hash_batch, from: batch}\n"
    "    forward: {use: forward, from: hash, model: seg}\n"
    "    loss:    {use: loss, from: forward, loss: {use: sum, of: [{use: dice}]}}\n"
    "    back:    {use: backward, from: loss, model: seg}\n"
    "    step:    {use: adam_step, from: back, model: seg, rate: 5.0e-3}\n"
    "    check:   {use: run_graph, from: step, graph: validate, every: 8}\n"
    "    save:    {use: checkpoint, from: step, model: seg, every: 3}\n"
    "  validate:\n"
    "    load:    {use: nifti_load, split: validate}\n"
    "    scale:   {use: zscore, from: load}\n"
    "    predict: {use: sliding_window, from: scale, model: seg, size: [16, 16, 16]}\n"
    "    score:   {use: metrics, from: predict}\n"
    "run: {graph: train, steps: 8}\n"
    "study:\n"
    "  losses:\n"
    "    dice: {use: dice}\n"
    "    cross_entropy: {use: cross_entropy}\n"
    "  folds: [0, 1]\n";

#define CASES 6
#define RUNS 4

typedef struct {
    char *folder;
} Place;

static void place_open(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    place->folder = loom_test_folder();
    g_autofree char *set = g_build_filename(place->folder, "data", NULL);
    g_autofree char *config = g_build_filename(place->folder, "study.yaml", NULL);

    phantom_set_make(set, CASES);
    g_assert_true(g_file_set_contents(config, config_text, -1, NULL));
}

static void place_close(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    loom_test_folder_remove(place->folder);
    g_free(place->folder);
}

/* segloom study study.yaml --modules ... @more, with "NAME=VALUE" in its environment (NULL:
 * nothing more).  Returns the exit code. */
static int study(const Place *place, const char *more, const char *environment, char **out,
                 char **err)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *folder = g_path_get_dirname(self);
    g_autofree char *line = g_strdup_printf("'%s/segloom' study study.yaml --modules '%s' %s",
                                            folder, TEST_MODULES, more);
    g_auto(GStrv) argv = NULL, envp = g_get_environ();
    g_autofree char *said_out = NULL, *said_err = NULL;
    g_autoptr(GError) error = NULL;
    int status;

    if (environment) {
        g_auto(GStrv) pair = g_strsplit(environment, "=", 2);
        envp = g_environ_setenv(envp, pair[0], pair[1], TRUE);
    }
    g_assert_true(g_shell_parse_argv(line, NULL, &argv, &error));
    g_spawn_sync(place->folder, argv, envp, G_SPAWN_DEFAULT, NULL, NULL, &said_out, &said_err,
                 &status, &error);
    g_assert_no_error(error);
    g_test_message("study %s: %d\n%s%s", more, status, said_out, said_err);
    if (out)
        *out = g_steal_pointer(&said_out);
    if (err)
        *err = g_steal_pointer(&said_err);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static char *text_of(const Place *place, const char *name)
{
    g_autofree char *path = g_build_filename(place->folder, name, NULL);
    g_autoptr(GError) error = NULL;
    char *text = NULL;

    g_file_get_contents(path, &text, NULL, &error);
    g_assert_no_error(error);
    return text;
}

/* ---- the same patches --------------------------------------------------------------- */

static void test_same_patches(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    g_assert_cmpint(study(place, "-o a --set study.seeds='[1, 2]'", NULL, NULL, NULL), ==, 0);
    for (int fold = 0; fold < 2; fold++)
        for (int seed = 1; seed <= 2; seed++) {
            g_autofree char *a =
                g_strdup_printf("a/dice-fold%d-seed%d/batches.txt", fold, seed);
            g_autofree char *b =
                g_strdup_printf("a/cross_entropy-fold%d-seed%d/batches.txt", fold, seed);
            g_autofree char *dice = text_of(place, a), *entropy = text_of(place, b);
            g_auto(GStrv) lines = g_strsplit(dice, "\n", -1);

            g_assert_cmpstr(dice, ==, entropy);
            g_assert_cmpuint(g_strv_length(lines), >=, 8 + 1); /* 8 steps, an empty last line */
        }
    g_autofree char *first = text_of(place, "a/dice-fold0-seed1/batches.txt");
    g_autofree char *seed = text_of(place, "a/dice-fold0-seed2/batches.txt");
    g_autofree char *fold = text_of(place, "a/dice-fold1-seed1/batches.txt");
    g_autofree char *metrics_a = text_of(place, "a/dice-fold0-seed1/metrics.csv");
    g_autofree char *metrics_b = text_of(place, "a/cross_entropy-fold0-seed1/metrics.csv");
    g_assert_cmpstr(first, !=, seed);
    g_assert_cmpstr(first, !=, fold);
    g_assert_cmpstr(metrics_a, !=, metrics_b); /* the losses are not the same */
}

/* ---- what it leaves ----------------------------------------------------------------- */

/* Mean Dice of a loss from the metrics.csv of its runs, by hand. */
static double dice_of(const Place *place, const char *loss)
{
    double sum = 0;
    int n = 0;

    for (int fold = 0; fold < 2; fold++) {
        g_autofree char *name = g_strdup_printf("a/%s-fold%d-seed1/metrics.csv", loss, fold);
        g_autofree char *text = text_of(place, name);
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

        for (char **line = lines + 1; **line; line++) {
            g_auto(GStrv) cells = g_strsplit(*line, ",", -1);

            g_assert_cmpstr(cells[0], ==, "8");
            sum += g_ascii_strtod(cells[4], NULL);
            n++;
        }
    }
    g_assert_cmpint(n, ==, CASES); /* each case validates once */
    return sum / n;
}

static void csv_check(const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    g_auto(GStrv) names = g_strsplit(lines[0], ",", -1);

    g_assert_cmpstr(names[0], ==, "loss");
    g_assert_cmpuint(g_strv_length(lines), ==,
                     1 + 2 * 6 + 1); /* losses x readings of overlap */
    for (char **line = lines; **line; line++) {
        g_auto(GStrv) cells = g_strsplit(*line, ",", -1);

        g_assert_cmpuint(g_strv_length(cells), ==, g_strv_length(names));
    }
}

static void json_check(const Place *place, const char *text)
{
    g_autoptr(JsonParser) parser = json_parser_new();

    g_assert_true(json_parser_load_from_data(parser, text, -1, NULL));
    JsonObject *root = json_node_get_object(json_parser_get_root(parser));
    JsonObject *losses = json_object_get_object_member(root, "losses");
    static const char *const names[] = {"dice", "cross_entropy"};

    g_assert_cmpstr(json_object_get_string_member(root, "baseline"), ==, "dice");
    g_assert_cmpuint(json_array_get_length(json_object_get_array_member(root, "cases")), ==,
                     CASES);
    for (guint i = 0; i < 2; i++) {
        JsonObject *ball = json_object_get_object_member(
            json_object_get_object_member(losses, names[i]), "ball");
        JsonObject *dice = json_object_get_object_member(ball, "dice");

        /* metrics.csv has 9 digits */
        loom_assert_near(json_object_get_double_member(dice, "mean"), dice_of(place, names[i]),
                         1e-9);
        g_assert_cmpfloat(json_object_get_double_member(dice, "low"), <=,
                          json_object_get_double_member(dice, "mean"));
        g_assert_true(json_object_get_null_member(dice, "p") == (i == 0));
    }
}

static void test_left(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    g_autofree char *out = NULL, *again = NULL, *err = NULL;

    g_assert_cmpint(study(place, "-o a", NULL, &out, NULL), ==, 0);
    g_assert_nonnull(strstr(out, "ball, 6 cases"));
    g_assert_nonnull(strstr(out, "against dice"));
    g_autofree char *csv = text_of(place, "a/study.csv"),
                    *json = text_of(place, "a/study.json");
    g_autofree char *svg = text_of(place, "a/balance.svg"),
                    *png = text_of(place, "a/balance.png");
    csv_check(csv);
    json_check(place, json);
    g_assert_true(g_str_has_prefix(svg, "<?xml"));
    g_assert_nonnull(strstr(svg, "</svg>"));
    g_assert_true(g_str_has_prefix(png, "\x89PNG"));
    /* done is done: no run is made again */
    g_assert_cmpint(study(place, "-o a", NULL, &again, &err), ==, 0);
    g_assert_cmpstr(again, ==, out);
    g_assert_null(strstr(err, "run 1 of"));
    /* a table that was damaged since is said, whatever is left of its header */
    g_autofree char *table =
        g_build_filename(place->folder, "a", "dice-fold0-seed1", "metrics.csv", NULL);
    g_autofree char *short_header = NULL, *short_row = NULL;
    g_assert_true(g_file_set_contents(table, "step,case\n8,x\n", -1, NULL));
    g_assert_cmpint(study(place, "-o a", NULL, NULL, &short_header), !=, 0);
    g_assert_nonnull(strstr(short_header, "want the columns step, case, class, label and"));
    g_assert_true(
        g_file_set_contents(table, "step,case,class,label\n8,x\n8,x,1,ball\n", -1, NULL));
    g_assert_cmpint(study(place, "-o a", NULL, NULL, &short_row), !=, 0);
    g_assert_nonnull(strstr(short_row, "1 rows have more or fewer cells than its header"));
}

/* ---- stopped, failed ---------------------------------------------------------------- */

/* Each run is stopped once, at its sixth packet. */
static void test_stopped(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    g_autofree char *whole = NULL, *parts = NULL;

    g_assert_cmpint(study(place, "-o a", NULL, &whole, NULL), ==, 0);
    for (int i = 0; i < RUNS; i++) {
        g_autofree char *err = NULL;
        g_autofree char *said = g_strdup_printf("stopped: %d of 4 runs are done", i);

        g_assert_cmpint(study(place, "-o b", "LOOM_TEST_INTERRUPT=5", NULL, &err), ==, 130);
        g_assert_nonnull(strstr(err, said));
    }
    g_assert_cmpint(study(place, "-o b", "LOOM_TEST_INTERRUPT=5", &parts, NULL), ==, 0);
    g_autofree char *csv_a = text_of(place, "a/study.csv"),
                    *csv_b = text_of(place, "b/study.csv");
    g_autofree char *json_a = text_of(place, "a/study.json"),
                    *json_b = text_of(place, "b/study.json");
    g_assert_cmpstr(csv_a, ==, csv_b);
    g_assert_cmpstr(json_a, ==, json_b);
}

/* The others are compared, the exit code says that something is missing; the same command makes
 * it up. */
static void test_failed(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    g_autofree char *out = NULL, *err = NULL, *all = NULL;

    g_assert_cmpint(study(place, "-o a", "LOOM_TEST_FAIL=dice-fold1", &out, &err), ==, 1);
    g_assert_nonnull(strstr(err, "dice-fold1-seed1: "));
    g_assert_nonnull(strstr(err, "failed as asked"));
    g_assert_nonnull(strstr(out, "3 of 4 runs"));
    g_assert_cmpint(study(place, "-o a", NULL, &all, NULL), ==, 0);
    g_assert_nonnull(strstr(all, "4 of 4 runs"));
    g_assert_cmpint(study(place, "-o b", NULL, NULL, NULL), ==, 0);
    g_autofree char *csv_a = text_of(place, "a/study.csv"),
                    *csv_b = text_of(place, "b/study.csv");
    g_assert_cmpstr(csv_a, ==, csv_b);
}

/* ---- mistakes ----------------------------------------------------------------------- */

static void test_mistakes(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    static const struct {
        const char *set, *text;
    } cases[] = {
        {"--set study.fold=1", "did you mean 'folds'"},
        {"--set study.losses=dice", "study needs 'losses:'"},
        {"--set study.losses='{a/b: {use: dice}}'", "names a folder"},
        {"--set study.losses.cross_entropy.use=dicee", "did you mean 'dice'"},
        {"--set study.losses.dice.smoth=1", "did you mean 'smooth'"},
        {"--set study.folds='[0, 0]'", "0 is there twice"},
        {"--set study.folds='[2]'", "must be below folds"},
        {"--set study.stage=back", "no stage of the trained graph"},
        {"--set run.steps=9", "'every' must divide 'run: steps'"},
        {"--set run.steps=0", "want 'run: {steps: N}'"},
        {"--set study=1", "needs the section 'study:'"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *err = NULL;

        g_assert_cmpint(study(place, cases[i].set, NULL, NULL, &err), ==, 2);
        if (!strstr(err, cases[i].text))
            g_error("'%s' is not in: %s", cases[i].text, err);
    }
    g_autofree char *err = NULL, *other = NULL;
    g_assert_cmpint(study(place, "--set graphs.train.check.every=3", NULL, NULL, &err), ==, 2);
    g_assert_nonnull(strstr(err, "--set:1:"));
    g_autofree char *runs = g_build_filename(place->folder, "runs", NULL);
    g_assert_false(g_file_test(runs, G_FILE_TEST_EXISTS)); /* nothing was begun */
    g_assert_cmpint(study(place, "-o a", NULL, NULL, NULL), ==, 0);
    g_assert_cmpint(study(place, "-o a --set graphs.train.step.rate=0.1", NULL, NULL, &other),
                    ==, 2);
    g_assert_nonnull(strstr(other, "a run of another config"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/study/same-patches", Place, NULL, place_open, test_same_patches, place_close);
    g_test_add("/study/left", Place, NULL, place_open, test_left, place_close);
    g_test_add("/study/stopped", Place, NULL, place_open, test_stopped, place_close);
    g_test_add("/study/failed", Place, NULL, place_open, test_failed, place_close);
    g_test_add("/study/mistakes", Place, NULL, place_open, test_mistakes, place_close);
    return loom_test_run();
}
