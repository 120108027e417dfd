/* The command line as a person types it: what it prints, where, and how it ends. */
#include "loom_test.h"
#include "phantom_set.h"
#include "typed.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>
#include <sys/wait.h>

/* segloom @line, in @folder (NULL: here). */
static Typed type(const char *folder, const char *line)
{
    return typed_run(folder, line, NULL);
}

/* The command fails with @code and this on stderr, and its first words are the program's name.
 */
static void assert_refused(const char *folder, const char *line, int code, const char *part)
{
    g_auto(Typed) said = type(folder, line);

    g_assert_cmpint(said.code, ==, code);
    g_assert_true(g_str_has_prefix(said.err, "segloom: "));
    typed_assert_in(said.err, part);
}

/* The command does what it says and exits with 0. */
static void assert_done(const char *folder, const char *line)
{
    g_auto(Typed) said = type(folder, line);

    g_assert_cmpint(said.code, ==, 0);
}

/* ---- help --------------------------------------------------------------------------- */

static void assert_narrow(const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    for (char **line = lines; *line; line++)
        if (g_utf8_strlen(*line, -1) > 80)
            g_error("wider than 80 columns: %s", *line);
}

/* The help of `segloom @words`, and of all commands that it lists.  Returns: how many. */
static guint help_assert(const char *words)
{
    g_autofree char *line = g_strdup_printf("%s --help", words);
    g_autofree char *example = g_strdup_printf("Example:\n  segloom%s", words);
    g_auto(Typed) said = type(NULL, line);
    g_auto(GStrv) lines = g_strsplit(said.out, "\n", -1);
    char **at = lines;
    guint listed = 0;

    g_assert_cmpint(said.code, ==, 0);
    assert_narrow(said.out);
    if (*words)
        typed_assert_in(said.out, example);
    while (*at && !g_str_equal(*at, "Commands:"))
        at++;
    while (*at && g_str_has_prefix(at[1], "  ")) {
        g_auto(GStrv) columns = g_strsplit(*++at + 2, " ", 2);
        g_autofree char *command = g_strdup_printf("%s %s", words, columns[0]);

        listed += 1 + help_assert(command);
    }
    return listed;
}

static void test_help(void)
{
    g_auto(Typed) word = type(NULL, "help");
    g_auto(Typed) option = type(NULL, "-h");

    g_assert_cmpint(help_assert(""), >=, 26); /* 17, of them plugin with 2 and bench with 7 */
    g_assert_cmpint(word.code, ==, 0);
    g_assert_cmpstr(word.out, ==, option.out);
}

static void test_usage(void)
{
    assert_refused(NULL, "rum", 2, "there is no command 'rum', did you mean 'run'?");
    assert_refused(NULL, "run", 2, "wants CONFIG");
    assert_refused(NULL, "run a b", 2, "found 'b' as well");
    assert_refused(NULL, "run --sett a=b c", 2, "did you mean '--set'?");
    assert_refused(NULL, "run /nowhere.yaml", 2, "/nowhere.yaml");
    assert_refused(NULL, "run --resume --force x", 2, "exclude each other");
    assert_refused(NULL, "predict model image", 2, "-o OUT");
    assert_refused(NULL, "predict model -o out", 2, "wants IN, images besides the model");
    assert_refused(NULL, "predict model image -o out --memory 4Gb", 2, "'4Gb' is no size");
    assert_refused(NULL, "predict model image -o out --mirror DX", 2, "'DX', want letters");
    assert_refused(NULL, "run --moduls a b", 2, "did you mean '--modules'?");
    assert_refused(NULL, "predict model image -o out --backend cup", 2, "did you mean 'cpu'?");
    assert_refused(NULL, "inspect stag", 2, "did you mean 'stage'?");
    assert_refused(NULL, "inspect crop", 2,
                   "no kind 'crop', but a stage: segloom inspect stage");
    assert_refused(NULL, "inspect stage crob", 2, "did you mean 'crop'?");
    assert_refused(NULL, "phantom x --kind kit", 2, "did you mean 'kits'?");
    assert_refused(NULL, "phantom x --size 9,9", 2, "want D,H,W");
    assert_refused(NULL, "doctor x", 2, "wants no arguments");
}

/* A disk that is full is said; a reader that has seen enough is none of our business: here it
 * is gone before anything is printed, and nobody is killed by SIGPIPE. */
static void test_stdout(void)
{
    g_autofree char *folder = loom_test_folder();
    g_autofree char *program = typed_beside("segloom");
    g_autofree char *full = g_strdup_printf("'%s' inspect stage >/dev/full", program);
    g_autofree char *gone = g_strdup_printf("mkfifo f; : <f & exec 3>f; wait; trap '' PIPE; "
                                            "'%s' inspect stage >&3",
                                            program);
    const struct {
        const char *script, *said;
        int code;
    } cases[] = {
        {full, "segloom: not all results could be written to stdout: is its disk full?\n", 1},
        {gone, "", 0}};

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        const char *argv[] = {"sh", "-c", cases[i].script, NULL};
        g_autofree char *said = NULL;
        g_autoptr(GError) error = NULL;
        int status;

        g_spawn_sync(folder, (char **)(gpointer)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL,
                     NULL, &said, &status, &error);
        g_assert_no_error(error);
        g_assert_cmpstr(said, ==, cases[i].said);
        g_assert_cmpint(WEXITSTATUS(status), ==, cases[i].code);
    }
    loom_test_folder_remove(folder);
}

/* ---- inspect, doctor ---------------------------------------------------------------- */

static void test_inspect(void)
{
    g_auto(Typed) kinds = type(NULL, "inspect");
    g_auto(Typed) crop = type(NULL, "inspect stage crop");
    g_auto(Typed) yaml = type(NULL, "inspect stage window --yaml");
    g_auto(Typed) markdown = type(NULL, "inspect loss dice --markdown");
    g_auto(Typed) all = type(NULL, "inspect --yaml");

    typed_assert_in(kinds.out, "\nbackend\n");
    typed_assert_in(kinds.out, "  unet3d ");
    typed_assert_in(crop.out, "stage_crop.so");
    typed_assert_in(crop.out, "reads   image");
    typed_assert_in(crop.out, "required");
    assert_narrow(crop.out);
    assert_narrow(all.out);
    typed_assert_in(all.out,
                    "  # list, 1..4096 channels: one number a level, the finest first\n"
                    "  features: [32, 64, 128, 256, 320]\n");
    typed_assert_in(markdown.out, "| `smooth` |");
    /* the skeleton is YAML, and its defaults are the plugin's */
    g_autoptr(GError) error = NULL;
    g_autoptr(LoomNode) node = loom_yaml_parse(yaml.out, strlen(yaml.out), "x", "/", &error);
    g_assert_no_error(error);
    const LoomNode *window = loom_node_get(node, "window");
    g_assert_cmpstr(loom_node_get(window, "use")->text, ==, "window");
    g_assert_cmpstr(loom_node_get(window, "low")->text, ==, "-1000");
}

static void test_doctor(void)
{
    g_auto(Typed) said = type(NULL, "doctor");

    g_assert_cmpint(said.code, ==, 0);
    typed_assert_in(said.out, "processors");
    typed_assert_in(said.out, "0 refused");
    typed_assert_in(said.out, "nothing is wrong");
}

/* A file that is no module is named, and the rest is still looked at. */
static void test_doctor_refused(void)
{
    g_autofree char *folder = loom_test_folder();
    g_autofree char *path = g_build_filename(folder, "loss_broken.so", NULL);
    g_autofree char *line = g_strdup_printf("doctor --modules %s", folder);

    g_assert_true(g_file_set_contents(path, "no ELF", -1, NULL));
    g_auto(Typed) said = type(NULL, line);
    g_assert_cmpint(said.code, ==, 1);
    typed_assert_in(said.out, "loss_broken.so");
    typed_assert_in(said.out, "1 refused");
    loom_test_folder_remove(folder);
}

/* ---- keygen ------------------------------------------------------------------------- */

static void test_keygen(void)
{
    g_autofree char *folder = loom_test_folder();
    g_autofree char *path = g_build_filename(folder, "segloom.key", NULL);
    g_autofree char *secrets = NULL, *again = NULL;
    g_auto(Typed) said = type(folder, "keygen");
    GStatBuf made;

    g_assert_cmpint(said.code, ==, 0);
    g_assert_cmpint(g_stat(path, &made), ==, 0);
    g_assert_cmpuint(made.st_mode & 07777, ==, 0600);
    g_assert_true(g_file_get_contents(path, &secrets, NULL, NULL));
    g_auto(GStrv) lines = g_strsplit(secrets, "\n", -1);
    g_assert_cmpuint(g_strv_length(lines), ==, 3);
    g_assert_true(g_str_has_prefix(lines[0], "public: "));
    g_assert_true(g_str_has_prefix(lines[1], "secret: "));
    g_assert_true(g_str_has_prefix(said.out, lines[0] + strlen("public: ")));
    g_assert_null(strstr(said.out, lines[1] + strlen("secret: ")));
    assert_refused(folder, "keygen", 1, "'segloom.key' exists");
    g_assert_true(g_file_get_contents(path, &again, NULL, NULL));
    g_assert_cmpstr(again, ==, secrets);
    assert_done(folder, "keygen -o other.key");
    loom_test_folder_remove(folder);
}

/* ---- phantom, info, evaluate -------------------------------------------------------- */

/* The tumour of every case is there, and below 1 % of the volume; both kidneys are below 5 %.
 */
static void test_phantom_kits(void)
{
    g_autofree char *folder = loom_test_folder();
    g_auto(Typed) said = type(folder, "phantom k --cases 4 --size 32,48,60 --seed 11");

    g_assert_cmpint(said.code, ==, 0);
    typed_assert_in(said.out, "4 cases of 32x48x60");
    for (int i = 1; i <= 4; i++) {
        g_autofree char *path = g_strdup_printf("%s/k/labelsTr/kits_%03d.nii.gz", folder, i);
        g_autoptr(GError) error = NULL;
        g_autoptr(LoomTensor) label = loom_volume_read_labels(path, 0, NULL, &error);
        gint64 counts[256] = {0};

        g_assert_no_error(error);
        const gint64 voxels = loom_tensor_count(label);
        for (gint64 v = 0; v < voxels; v++)
            counts[loom_tensor_u8(label)[v]]++;
        g_assert_cmpint(counts[2], >, 0);
        g_assert_cmpint(100 * counts[2], <, voxels);
        g_assert_cmpint(counts[1], >, counts[2]);
        g_assert_cmpint(20 * counts[1], <, voxels);
        g_assert_cmpint(counts[0] + counts[1] + counts[2], ==, voxels);
    }
    assert_refused(folder, "phantom k", 2, "holds a data set already");
    loom_test_folder_remove(folder);
}

/* Same seed, same bytes; another seed, others. */
static void test_phantom_seed(void)
{
    g_autofree char *folder = loom_test_folder();
    char *texts[3] = {NULL};
    gsize lengths[3];

    assert_done(folder, "phantom a --kind spheres --cases 1 --seed 5");
    assert_done(folder, "phantom b --kind spheres --cases 1 --seed 5");
    assert_done(folder, "phantom c --kind spheres --cases 1 --seed 6");
    for (int i = 0; i < 3; i++) {
        g_autofree char *path =
            g_strdup_printf("%s/%c/imagesTr/spheres_001_0000.nii.gz", folder, 'a' + i);
        g_assert_true(g_file_get_contents(path, &texts[i], &lengths[i], NULL));
    }
    g_assert_true(lengths[0] == lengths[1] && !memcmp(texts[0], texts[1], lengths[0]));
    g_assert_true(lengths[0] != lengths[2] || memcmp(texts[0], texts[2], lengths[0]));
    for (int i = 0; i < 3; i++)
        g_free(texts[i]);
    loom_test_folder_remove(folder);
}

static void test_phantom_brats(void)
{
    g_autofree char *folder = loom_test_folder();
    g_auto(Typed) made = type(folder, "phantom b --kind brats --cases 1 --size 45,54,45");
    g_auto(Typed) info = type(folder, "info b/imagesTr/brats_001_0000.nii.gz "
                                      "b/imagesTr/brats_001_0001.nii.gz --json");
    g_auto(GStrv) lines = g_strsplit(info.out, "\n", -1);

    g_assert_cmpint(made.code, ==, 0);
    g_assert_cmpint(info.code, ==, 0);
    g_assert_cmpuint(g_strv_length(lines), ==, 3); /* one object a line, and the end */
    typed_assert_in(lines[0], "\"spacing_mm\"");
    g_assert_cmpstr(lines[0], !=, lines[1]);
    assert_refused(folder, "info b/dataset.json", 2, "dataset.json");
    loom_test_folder_remove(folder);
}

/* Truth against itself: every Dice is 1, every volume error 0. */
static void test_evaluate_itself(void)
{
    g_autofree char *folder = loom_test_folder();

    assert_done(folder, "phantom s --kind spheres --cases 3 --size 16,16,16");
    g_auto(Typed) csv = type(folder, "evaluate s/labelsTr s/labelsTr --metric overlap --csv");
    g_auto(Typed) table = type(folder, "evaluate s/labelsTr s/labelsTr");

    g_assert_cmpint(csv.code, ==, 0);
    g_assert_cmpstr(csv.out, ==,
                    "case,label,class,dice,iou,precision,recall,specificity,volume_error\n"
                    "spheres_001,1,sphere,1,1,1,1,1,0\nspheres_002,1,sphere,1,1,1,1,1,0\n"
                    "spheres_003,1,sphere,1,1,1,1,1,0\n");
    g_assert_cmpint(table.code, ==, 0);
    typed_assert_in(table.out, "mean        sphere   1.0000");
    typed_assert_in(table.out, "hd95"); /* every metric that labels alone will do for */
    typed_assert_in(table.out, "lesion_f1");
    assert_refused(folder, "evaluate s/labelsTr s/labelsTr --metric calibration", 2,
                   "metric 'calibration' needs probabilities");
    g_assert_cmpstr(table.err, ==, "");
    loom_test_folder_remove(folder);
}

static void test_evaluate_pairs(void)
{
    g_autofree char *folder = loom_test_folder();

    assert_done(folder, "phantom a --kind spheres --cases 2 --size 16,16,16");
    assert_done(folder, "phantom b --kind spheres --cases 1 --size 16,16,16");
    assert_done(folder, "phantom c --kind spheres --cases 1 --size 16,16,20");
    assert_refused(folder, "evaluate a/labelsTr b/labelsTr", 2,
                   "'a/labelsTr/spheres_002.nii.gz' has no prediction");
    g_auto(Typed) common = type(folder, "evaluate a/labelsTr b/labelsTr --common --json");
    g_assert_cmpint(common.code, ==, 0);
    typed_assert_in(common.out, "\"spheres_001\"");
    assert_refused(folder, "evaluate b/labelsTr c/labelsTr", 2,
                   "c/labelsTr/spheres_001.nii.gz");
    assert_refused(folder, "evaluate a/labelsTr b", 2, "holds no NIfTI file");
    assert_refused(folder, "evaluate a b --metric overlaq", 2, "did you mean 'overlap'?");
    g_autofree char *packed =
        g_build_filename(folder, "b", "labelsTr", "spheres_001.nii.gz", NULL);
    g_autofree char *bare = g_build_filename(folder, "b", "labelsTr", "spheres_001.nii", NULL);
    g_assert_cmpint(link(packed, bare), ==, 0);
    assert_refused(folder, "evaluate a/labelsTr b/labelsTr --common", 2,
                   "have one name, want one of them");
    loom_test_folder_remove(folder);
}

/* ---- run, predict ------------------------------------------------------------------- */

static char *small_set(void)
{
    char *folder = loom_test_folder();

    assert_done(folder, "phantom s --kind spheres --cases 5 --size 16,16,16");
    typed_config(folder, "c.yaml", NULL, NULL);
    return folder;
}

static void assert_made(const char *folder, const char *name)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);

    if (!g_file_test(path, G_FILE_TEST_IS_REGULAR))
        g_error("'%s' was not made", path);
}

/* `check` finds it: on stdout, with exit code 2. */
static void assert_found(const char *folder, const char *line, const char *part)
{
    g_auto(Typed) typed = type(folder, line);

    g_assert_cmpint(typed.code, ==, 2);
    typed_assert_in(typed.out, part);
}

static void test_check(void)
{
    g_autofree char *folder = small_set();
    g_auto(Typed) good = type(folder, "check c.yaml");
    g_auto(Typed) json = type(folder, "check c.yaml --json");
    g_auto(Typed) dot = type(folder, "graph c.yaml --dot");

    g_assert_cmpint(good.code, ==, 0);
    typed_assert_in(good.out, "5 cases, 4 train, 1 validate");
    typed_assert_in(good.out, "no problem found");
    typed_assert_in(json.out, "\"problems\":[]");
    typed_assert_in(dot.out, "digraph");
    typed_config(folder, "typo.yaml", "foreground:", "foregrund:");
    assert_found(folder, "check typo.yaml", "E-KEY-UNKNOWN       typo.yaml:16:56\n");
    assert_refused(folder, "run typo.yaml", 2, "did you mean 'foreground'?");
    assert_found(folder, "check c.yaml --set data.dataset=nowhere", "nowhere");
    assert_found(folder, "check c.yaml --set run.stebs=3", "E-KEY-UNKNOWN       --set:1:5");
    g_autofree char *runs = g_build_filename(folder, "runs", "typo", NULL);
    g_assert_false(g_file_test(runs, G_FILE_TEST_EXISTS)); /* nothing is left of it */
    loom_test_folder_remove(folder);
}

static void test_run_predict(void)
{
    static const char *const left[] = {"config.yaml", "manifest.json",    "log.jsonl",
                                       "metrics.csv", "model/model.json", NULL};
    g_autofree char *folder = small_set();
    g_autofree char *run = g_build_filename(folder, "runs", "c", NULL);
    g_auto(Typed) ran = type(folder, "run c.yaml");

    g_assert_cmpint(ran.code, ==, 0);
    typed_assert_in(ran.out, "done: 8 steps");
    typed_assert_in(ran.err, "step 8/8  loss ");
    typed_assert_in(ran.err, "metrics after step 8: ");
    for (const char *const *name = left; *name; name++)
        assert_made(run, *name);
    assert_refused(folder, "run c.yaml", 2, "--resume");
    assert_refused(folder, "plan c.yaml", 2, "/c.yaml' is no folder\n");
    assert_refused(folder, "postprocess c.yaml", 2, "'c.yaml' holds no model: want a run's");
    g_auto(Typed) again =
        type(folder, "run runs/c/config.yaml -o again"); /* what took effect */
    g_assert_cmpint(again.code, ==, 0);

    g_auto(Typed) predicted = type(folder, "predict runs/c s/imagesTr -o out --threads 1");
    g_assert_cmpint(predicted.code, ==, 0);
    typed_assert_in(predicted.out, "/out/spheres_005.nii.gz\n");
    g_auto(Typed) scored = type(folder, "evaluate s/labelsTr out");
    g_assert_cmpint(scored.code, ==, 0);
    loom_test_folder_remove(folder);
}

/* A damaged file costs its own case; the message names it. */
static void test_predict_damaged(void)
{
    g_autofree char *folder = small_set();
    g_autofree char *path =
        g_build_filename(folder, "s", "imagesTr", "spheres_002_0000.nii.gz", NULL);
    g_autofree char *bytes = NULL;
    gsize length;
    g_auto(Typed) ran = type(folder, "run c.yaml --set run.steps=2");

    g_assert_cmpint(ran.code, ==, 0);
    g_assert_true(g_file_get_contents(path, &bytes, &length, NULL));
    g_assert_true(g_file_set_contents(path, bytes, (gssize)length / 2, NULL));
    g_auto(Typed) said = type(folder, "predict runs/c/model s/imagesTr -o out");
    g_assert_cmpint(said.code, ==, 1);
    typed_assert_in(said.err, "segloom: 1 of 5 cases failed: spheres_002\n");
    typed_assert_in(said.err, "\nsegloom: stage 'load' (nifti_load): case 'spheres_002': "
                              "'s/imagesTr/spheres_002_0000.nii.gz': ");
    typed_assert_in(said.out, "/out/spheres_001.nii.gz\n");
    typed_assert_in(said.out, "/out/spheres_003.nii.gz\n");
    g_assert_null(strstr(said.out, "spheres_002"));
    assert_refused(folder, "predict runs/c s -o out", 2, "name one of its folders");
    assert_refused(folder, "predict s s/imagesTr -o out", 2, "holds no model");
    loom_test_folder_remove(folder);
}

/* ---- signals ------------------------------------------------------------------------ */

/* Starts a run that would never end by itself, waits for its first checkpoint, sends @signal.
 * @nohup: starts it by nohup(1), and sends SIGHUP before. */
static void assert_stops(gboolean nohup, int signal_number, int code)
{
    g_autofree char *folder = small_set();
    g_autofree char *program = typed_beside("segloom");
    g_autofree char *saved = g_build_filename(folder, "runs", "c", "model", "model.json", NULL);
    const char *argv[] = {"nohup", program, "run", "c.yaml", "--set", "run.steps=1000000",
                          NULL};
    g_autoptr(GError) error = NULL;
    GPid pid;
    int status;

    g_spawn_async(folder, (char **)(gpointer)(argv + (nohup ? 0 : 1)), NULL,
                  G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDOUT_TO_DEV_NULL
                      | G_SPAWN_STDERR_TO_DEV_NULL,
                  NULL, NULL, &pid, &error);
    g_assert_no_error(error);
    while (!g_file_test(saved, G_FILE_TEST_EXISTS)) {
        g_assert_cmpint(waitpid(pid, &status, WNOHANG), ==, 0);
        g_usleep(5000);
    }
    if (nohup)
        kill(pid, SIGHUP);
    kill(pid, signal_number);
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, code);
    g_auto(Typed) on = type(folder, "run c.yaml --set run.steps=1000000 --resume "
                                    "--set graphs.train.save.every=0");
    g_assert_cmpint(on.code, ==, 2); /* a mistake in what resumes is one as well */
    g_auto(Typed) seen = type(folder, "predict runs/c s/imagesTr -o out");
    g_assert_cmpint(seen.code, ==, 0);
    loom_test_folder_remove(folder);
}

static void test_interrupt(void)
{
    assert_stops(FALSE, SIGINT, 130);
}

static void test_terminate(void)
{
    assert_stops(FALSE, SIGTERM, 75);
}

/* A terminal that closes is no reason to lose what was learnt; under nohup it is none to stop:
 * there Ctrl-C, sent next, is the first that counts. */
static void test_hangup(void)
{
    signal(SIGHUP, SIG_DFL); /* children inherit it; the tests may run under nohup themselves */
    assert_stops(FALSE, SIGHUP, 75);
    assert_stops(TRUE, SIGINT, 130);
}

/* A config that changed since the checkpoint: told, and refused where it would be another run.
 */
static void test_resume_config(void)
{
    g_autofree char *folder = small_set();

    assert_done(folder, "run c.yaml -o r --set run.steps=4");
    g_auto(Typed) longer = type(folder, "run c.yaml -o r --resume");
    g_assert_cmpint(longer.code, ==, 0);
    typed_assert_in(longer.err, "run.steps changed since this run began: 4 -> 8\n");
    typed_assert_in(longer.out, "done: 8 steps");
    g_auto(Typed) same = type(folder, "run c.yaml -o r --resume");
    g_assert_null(strstr(same.err, "changed since"));
    /* a manifest that a full disk emptied is no more than forgotten */
    g_autofree char *manifest = g_build_filename(folder, "r", "manifest.json", NULL);
    g_assert_true(g_file_set_contents(manifest, "", 0, NULL));
    g_auto(Typed) forgotten = type(folder, "run c.yaml -o r --resume");
    g_assert_cmpint(forgotten.code, ==, 0);
    g_assert_null(strstr(forgotten.err, "internal error"));
    assert_refused(folder, "run c.yaml -o r --resume --set graphs.train.step.rate=0.5", 2,
                   "graphs.train.step.rate changed since this run began: ");
    assert_refused(folder, "run c.yaml -o r --resume --set graphs.train.step.rate=0.5", 2,
                   "graphs.train.step.rate differs from");
    g_auto(Typed) forced = type(folder, "run c.yaml -o r --resume --force-config --set "
                                        "graphs.train.step.rate=0.5 --set run.steps=10");
    g_assert_cmpint(forced.code, ==, 0);
    typed_assert_in(forced.out, "done: 10 steps");
    assert_refused(folder, "run c.yaml --force-config", 2, "--force-config is for --resume");
    assert_done(folder, "run c.yaml -o p --set run.steps=4 --set backend.use=cpu");
    assert_refused(folder,
                   "run c.yaml -o p --resume --set backend.use=cpu "
                   "--set backend.precision=bf16",
                   2, "backend.precision differs from");
    loom_test_folder_remove(folder);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cli/help", test_help);
    g_test_add_func("/cli/usage", test_usage);
    g_test_add_func("/cli/stdout", test_stdout);
    g_test_add_func("/cli/inspect", test_inspect);
    g_test_add_func("/cli/doctor", test_doctor);
    g_test_add_func("/cli/doctor/refused", test_doctor_refused);
    g_test_add_func("/cli/keygen", test_keygen);
    g_test_add_func("/cli/phantom/kits", test_phantom_kits);
    g_test_add_func("/cli/phantom/seed", test_phantom_seed);
    g_test_add_func("/cli/phantom/brats", test_phantom_brats);
    g_test_add_func("/cli/evaluate/itself", test_evaluate_itself);
    g_test_add_func("/cli/evaluate/pairs", test_evaluate_pairs);
    g_test_add_func("/cli/check", test_check);
    g_test_add_func("/cli/resume-config", test_resume_config);
    g_test_add_func("/cli/run-predict", test_run_predict);
    g_test_add_func("/cli/predict/damaged", test_predict_damaged);
    g_test_add_func("/cli/interrupt", test_interrupt);
    g_test_add_func("/cli/terminate", test_terminate);
    g_test_add_func("/cli/hangup", test_hangup);
    return loom_test_run();
}
