/* segloom plan: does what it writes pass `check`, and train?  Are mistakes named? */
#include "loom_test.h"
#include "phantom_set.h"
#include "typed.h"

#include <glib/gstdio.h>
#include <string.h>

#define BALLS 6

/* A folder that holds the set 's', and a cache of its own. */
typedef struct {
    char *folder;
    char **environment;
} Desk;

static void desk_clear(Desk *desk)
{
    loom_test_folder_remove(desk->folder);
    g_free(desk->folder);
    g_strfreev(desk->environment);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Desk, desk_clear)

static Desk desk_new(guint cases)
{
    Desk desk = {.folder = loom_test_folder()};
    g_autofree char *set = g_build_filename(desk.folder, "s", NULL);
    g_autofree char *cache = g_build_filename(desk.folder, "home", NULL);

    phantom_set_make(set, cases);
    desk.environment = g_environ_setenv(g_get_environ(), "XDG_CACHE_HOME", cache, TRUE);
    return desk;
}

static char *desk_read(const Desk *desk, const char *name)
{
    g_autofree char *path = g_build_filename(desk->folder, name, NULL);
    char *text = NULL;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return text;
}

static void assert_done(const Desk *desk, const char *line)
{
    g_auto(Typed) said = typed_run(desk->folder, line, desk->environment);

    if (said.code != 0)
        g_error("'%s' ended with %d: %s", line, said.code, said.err);
}

static void assert_refused(const Desk *desk, const char *line, const char *why)
{
    g_auto(Typed) said = typed_run(desk->folder, line, desk->environment);

    g_assert_cmpint(said.code, ==, 2);
    typed_assert_in(said.err, why);
    g_assert_cmpstr(said.out, ==, "");
}

/* ---- from data to a step ------------------------------------------------------------ */

static void test_trains(gconstpointer preset)
{
    g_auto(Desk) desk = desk_new(BALLS);
    g_autofree char *plan = g_strdup_printf(
        "plan s -o c.yaml --steps 2 --patch 16,16,16 --preset %s", (const char *)preset);

    assert_done(&desk, plan);
    assert_done(&desk, "check c.yaml");
    assert_done(&desk, "run c.yaml -o r");
    g_autofree char *log = desk_read(&desk, "r/log.jsonl");
    typed_assert_in(log, "\"step\":2");
    typed_assert_in(log, "dice");
    g_autofree char *kept = g_build_filename(desk.folder, "cache", NULL);
    g_assert_cmpuint(loom_test_folder_count(kept), >, 0); /* prepared cases */
    g_autofree char *drawn = desk_read(&desk, "r/overlays/overlays.json");
    typed_assert_in(drawn, "\"file\"");
    g_autofree char *model = desk_read(&desk, "r/model/model.json");
    typed_assert_in(model, "\"best\"");
}

/* The rules without any wish: the patch is the median case, padded to what can be halved. */
static void test_rules(void)
{
    g_auto(Desk) desk = desk_new(BALLS);

    assert_done(&desk, "plan s -o c.yaml");
    assert_done(&desk, "check c.yaml");
    g_autofree char *yaml = desk_read(&desk, "c.yaml");
    typed_assert_in(yaml, "size: [20, 24, 24]"); /* 20 x 24 x 22, each halved twice */
    typed_assert_in(yaml, "fold: 0");
    typed_assert_in(yaml, "classes: 2");
    typed_assert_in(yaml, "background, ball");
    typed_assert_in(yaml, "schemes: [zscore]");
}

/* Same data, same bytes, whether it was looked at or remembered, with -o or without. */
static void test_repeats(void)
{
    g_auto(Desk) desk = desk_new(BALLS);
    g_auto(Typed) first = typed_run(desk.folder, "plan s --threads 2", desk.environment);
    g_auto(Typed) second = typed_run(desk.folder, "plan s --threads 2", desk.environment);
    g_auto(Typed) third =
        typed_run(desk.folder, "plan s --threads 2 --cache elsewhere", desk.environment);

    g_assert_cmpint(first.code, ==, 0);
    g_assert_cmpstr(first.err, ==, "");
    g_assert_cmpstr(first.out, ==, second.out);
    g_assert_cmpstr(first.out, ==, third.out);
}

/* A patch that shows less than a quarter of a case: a second config, which trains as well. */
static void test_coarse(void)
{
    g_auto(Desk) desk = desk_new(BALLS);
    g_autofree char *fine = NULL, *coarse = NULL;

    assert_done(&desk, "phantom t --kind spheres --cases 5 --size 64,64,64");
    assert_done(&desk, "plan t -o c.yaml --steps 2 --threads 1 --seconds-per-step 0.03");
    fine = desk_read(&desk, "c.yaml");
    coarse = desk_read(&desk, "c-lowres.yaml");
    typed_assert_in(coarse, "at low resolution");
    g_assert_null(strstr(fine, "at low resolution"));
    assert_done(&desk, "check c.yaml");
    assert_done(&desk, "check c-lowres.yaml");
    assert_refused(&desk, "plan t -o c.yaml", "'c.yaml' is there already: --force replaces it");
}

static void test_explain(void)
{
    g_auto(Desk) desk = desk_new(BALLS);
    g_auto(Typed) said =
        typed_run(desk.folder, "plan s -o c.yaml --explain --preset nnunet", desk.environment);
    g_auto(GStrv) lines = g_strsplit(said.out, "\n", -1);

    g_assert_cmpint(said.code, ==, 0);
    for (char **line = lines; *line; line++)
        g_assert_cmpuint(strlen(*line), <=, 80);
    typed_assert_in(said.out, "6, 1 channel; 6 read now, 0 known from before");
    typed_assert_in(said.out, "5.6e+08 allowed");
    typed_assert_in(said.out, "5 % of the data set's voxels");
}

/* ---- mistakes ----------------------------------------------------------------------- */

static void test_wrong_wishes(void)
{
    g_auto(Desk) desk = desk_new(2);

    assert_refused(&desk, "plan s --preset nunet",
                   "there is no preset 'nunet', did you mean 'nnunet'? (there are: nnunet, "
                   "cpu-small, paper)");
    assert_refused(&desk, "plan s --loss dise",
                   "there is no loss 'dise', did you mean 'dice'?");
    assert_refused(&desk, "plan s --patch 16,16", "--patch '16,16': want D,H,W, three numbers");
    assert_refused(&desk, "plan s --patch 16,16,2", "'2' is no number from 8 to 1024");
    assert_refused(&desk, "plan s --spacing 1,1,x", "'x' is no number from 0.01 to 100");
    assert_refused(&desk, "plan s --memory 4", "want 64MiB at least");
    assert_refused(&desk, "plan s --memory 4Gib", "4Gib");
    assert_refused(&desk, "plan s --steps 0", "--steps 0: want 1 to");
    assert_refused(&desk, "plan s --folds 3", "3 folds of 2 cases");
    assert_refused(&desk, "plan s --set seed=2", "only keys of 'data' can be set");
    assert_refused(&desk, "plan s --set data.layuot=msd", "did you mean 'layout'?");
    assert_refused(&desk, "plan s --seconds-per-step nan", "want 0.01 to 3600");
    assert_refused(&desk, "plan", "wants DATASET");
    assert_refused(&desk, "plan nowhere", "there is no folder");
    assert_refused(&desk, "plan s --explane", "did you mean '--explain'?");
}

static void test_one_case(void)
{
    g_auto(Desk) desk = desk_new(1);

    assert_done(&desk, "plan s -o c.yaml --steps 2");
    assert_done(&desk, "check c.yaml");
    g_autofree char *yaml = desk_read(&desk, "c.yaml");
    typed_assert_in(yaml, "folds: 1");
    g_assert_null(strstr(yaml, "run_graph"));
}

/* @json: instead of the set's dataset.json. */
static void set_rename(const Desk *desk, const char *json)
{
    g_autofree char *path = g_build_filename(desk->folder, "s", "dataset.json", NULL);

    g_assert_true(g_file_set_contents(path, json, -1, NULL));
}

static void test_wrong_data(void)
{
    g_auto(Desk) desk = desk_new(2);
    g_autofree char *image =
        g_build_filename(desk.folder, "s", "imagesTr", "ball_001_0000.nii.gz", NULL);

    set_rename(&desk, "{\"channel_names\": {\"0\": \"MR\"}, \"labels\": {\"background\": 0, "
                      "\"ball\": 1, \"cube\": 2}, \"file_ending\": \".nii.gz\"}");
    assert_refused(&desk, "plan s", "no case of 's' has a voxel of label 2 ('cube')");
    set_rename(&desk, "{\"channel_names\": {\"0\": \"MR\", \"1\": \"CT\"}, \"labels\": "
                      "{\"background\": 0, \"ball\": 1}, \"file_ending\": \".nii.gz\"}");
    assert_refused(&desk, "plan s", "2 files are missing: CT of all 2 cases");
    set_rename(&desk, "{\"channel_names\": {\"0\": \"MR\"}, \"labels\": {\"background\": 0, "
                      "\"ball\": 1}, \"file_ending\": \".nii.gz\"}");
    g_assert_true(g_file_set_contents(image, "no volume", -1, NULL));
    assert_refused(&desk, "plan s", "case 'ball_001': ");
    assert_refused(&desk, "plan s --spacing 9,9,9", "case 'ball_001': ");
}

/* 20 x 24 x 22 mm in voxels of 9 mm: nothing is left to halve. */
static void test_too_small(void)
{
    g_auto(Desk) desk = desk_new(2);

    assert_refused(&desk, "plan s --spacing 9,9,9", "the cases are too small for a U-Net");
}

/* ---- real data ---------------------------------------------------------------------- */

/* Every set of the shared folder: the config passes `check`; with LOOM_TEST_PLAN_STEPS=10 it
 * trains so long as well. */
static void test_real(gconstpointer data)
{
    const char *name = data, *steps = g_getenv("LOOM_TEST_PLAN_STEPS");
    g_autofree char *folder = g_build_filename("..", "shared", "data", name, NULL);
    g_autofree char *absolute = g_canonicalize_filename(folder, NULL);
    g_autofree char *plan =
        g_strdup_printf("plan '%s' -o c.yaml --steps %s", absolute, steps ? steps : "10");
    g_auto(Desk) desk = {.folder = loom_test_folder(), .environment = g_get_environ()};

    if (!g_file_test(absolute, G_FILE_TEST_IS_DIR)) {
        g_test_skip("no ../shared/data");
        return;
    }
    assert_done(&desk, plan);
    assert_done(&desk, "check c.yaml");
    if (steps)
        assert_done(&desk, "run c.yaml -o r");
}

int main(int argc, char **argv)
{
    static const char *const sets[] = {"hippocampus", "sts-petct", "sts-t1",
                                       "brats15",     "ms-flair",  "cord"};

    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/plan/command/trains/cpu-small", "cpu-small", test_trains);
    g_test_add_data_func("/plan/command/trains/nnunet", "nnunet", test_trains);
    g_test_add_data_func("/plan/command/trains/paper", "paper", test_trains);
    g_test_add_func("/plan/command/rules", test_rules);
    g_test_add_func("/plan/command/repeats", test_repeats);
    g_test_add_func("/plan/command/coarse", test_coarse);
    g_test_add_func("/plan/command/explain", test_explain);
    g_test_add_func("/plan/command/wrong-wishes", test_wrong_wishes);
    g_test_add_func("/plan/command/one-case", test_one_case);
    g_test_add_func("/plan/command/wrong-data", test_wrong_data);
    g_test_add_func("/plan/command/too-small", test_too_small);
    for (guint i = 0; i < G_N_ELEMENTS(sets); i++) {
        g_autofree char *path = g_strconcat("/plan/command/real/", sets[i], NULL);

        g_test_add_data_func(path, sets[i], test_real);
    }
    return loom_test_run();
}
