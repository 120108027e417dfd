/* A whole training on phantom spheres: it learns, it repeats bit for bit whatever the queues
 * and workers, a run that was stopped and resumed ends with the weights of one that was not,
 * and a checkpoint loads whenever the process is killed. */
#include "loom_test.h"
#include "phantom_set.h"

#include <glib/gstdio.h>
#include <json-glib/json-glib.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *set_folder; /* the data set, made once */

/* Workers and queues are the two %s. */
static char *config_text(const char *load_lane, const char *step_lane)
{
    return g_strdup_printf(
        "segloom: 1\nseed: 3\n"
        "data: {dataset: '%s', folds: 4, fold: 0}\n"
        "backend: {use: openblas, threads: 2}\n"
        "models:\n  seg: {use: unet3d, in_channels: 1, classes: 2, features: [4, 8]}\n"
        "graphs:\n"
        "  train:\n"
        "    load:    {use: nifti_load, split: train, shuffle: true}\n"
        "    scale:   {use: zscore, from: load, %s}\n"
        "    patch:   {use: crop, from: scale, size: [16, 16, 16], foreground: 0.5, "
        "per_volume: 3}\n"
        "    flip:    {use: flip, from: patch, axes: DHW}\n"
        "    noise:   {use: noise, from: flip, chance: 0.5}\n"
        "    batch:   {use: batch, from: noise, size: 2, %s}\n"
        "    forward: {use: forward, from: batch, model: seg}\n"
        "    loss:    {use: loss, from: forward, loss: {use: sum, of: [{use: cross_entropy}, "
        "{use: "
        "dice}]}}\n"
        "    back:    {use: backward, from: loss, model: seg}\n"
        "    step:    {use: adam_step, from: back, model: seg, rate: 2.0e-2, decay: poly}\n"
        "    check:   {use: run_graph, from: step, graph: validate, every: 10}\n"
        "    save:    {use: checkpoint, from: check, model: seg, every: 4}\n"
        "    log:     {use: log, from: save, every: 1}\n"
        "  validate:\n"
        "    load:    {use: nifti_load, split: validate}\n"
        "    scale:   {use: zscore, from: load}\n"
        "    predict: {use: sliding_window, from: scale, model: seg, size: [16, 16, 16], "
        "keep_probabilities: true}\n"
        "    score:   {use: metrics, from: predict, metrics: [{use: overlap}, {use: surface}, "
        "{use: lesion}, {use: calibration}]}\n"
        "run: {graph: train, steps: 60}\n",
        set_folder, load_lane, step_lane);
}

typedef struct {
    LoomRun *run;
    gint64 stop_at;               /* asks for the end after this step; 0: never */
    double first, last;           /* losses */
    double dice, nsd, found, ece; /* of the last validation */
} Watch;

static void watch_record(const char *kind, gint64 step, const LoomField *fields, guint n_fields,
                         gpointer data)
{
    Watch *watch = data;

    for (guint i = 0; i < n_fields; i++) {
        if (g_str_equal(kind, "step") && g_str_equal(fields[i].name, "loss")) {
            watch->first = step == 1 ? fields[i].value : watch->first;
            watch->last = fields[i].value;
        }
        if (g_str_equal(kind, "metrics") && g_str_equal(fields[i].name, "dice"))
            watch->dice = fields[i].value;
        if (g_str_equal(kind, "metrics") && g_str_equal(fields[i].name, "nsd"))
            watch->nsd = fields[i].value;
        if (g_str_equal(kind, "metrics") && g_str_equal(fields[i].name, "lesion_recall"))
            watch->found = fields[i].value;
        if (g_str_equal(kind, "metrics") && g_str_equal(fields[i].name, "ece"))
            watch->ece = fields[i].value;
    }
    if (g_str_equal(kind, "step") && step == watch->stop_at)
        loom_run_stop(watch->run);
}

static LoomRunEnd train(const char *text, const char *folder, gboolean resume, Watch *watch)
{
    const LoomRunOptions options = {
        .folder = folder, .resume = resume, .record = watch_record, .data = watch};
    g_autoptr(GError) error = NULL;
    g_autoptr(LoomNode) config = loom_yaml_parse(text, strlen(text), "train.yaml", "/", &error);

    g_assert_no_error(error);
    watch->run = loom_run_open(config, loom_test_registry(), &options, &error);
    g_assert_no_error(error);
    const LoomRunEnd end = loom_run_execute(watch->run, &error);
    g_assert_no_error(error);
    loom_run_free(g_steal_pointer(&watch->run));
    return end;
}

/* SHA-256 of the checkpoint: weights, moments and step. */
static char *checkpoint_hash(const char *folder)
{
    g_autofree char *path = g_build_filename(folder, "checkpoint", "seg.safetensors", NULL);
    g_autofree char *bytes = NULL;
    g_autoptr(GError) error = NULL;
    gsize length = 0;

    g_file_get_contents(path, &bytes, &length, &error);
    g_assert_no_error(error);
    return g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *)bytes, length);
}

static char *log_of_losses(const char *folder)
{
    g_autofree char *path = g_build_filename(folder, "steps.csv", NULL);
    g_autoptr(GError) error = NULL;
    char *text = NULL;

    g_file_get_contents(path, &text, NULL, &error);
    g_assert_no_error(error);
    return text;
}

static void test_learns_and_repeats(void)
{
    g_autofree char *plain = config_text("queue: 1", "queue: 1");
    g_autofree char *wide = config_text("queue: 7, workers: 3", "queue: 3");
    g_autofree char *one = loom_test_folder(), *three = loom_test_folder();
    Watch a = {0}, b = {0};

    g_assert_cmpint(train(plain, one, FALSE, &a), ==, LOOM_RUN_DONE);
    g_assert_cmpint(train(wide, three, FALSE, &b), ==, LOOM_RUN_DONE);
    g_test_message("loss %g to %g, Dice %g", a.first, a.last, a.dice);
    g_assert_cmpfloat(a.last, <, 0.6 * a.first); /* spheres are easy: it falls by half */
    g_test_message("nsd %g, lesion recall %g, ece %g", a.nsd, a.found, a.ece);
    g_assert_cmpfloat(a.dice, ==, b.dice);
    g_assert_true(a.nsd > 0 && a.nsd <= 1 && a.nsd == b.nsd);
    g_assert_true(a.found > 0 && a.found <= 1 && a.found == b.found);
    g_assert_true(a.ece > 0 && a.ece < 0.5 && a.ece == b.ece);
    g_autofree char *hash_one = checkpoint_hash(one), *hash_three = checkpoint_hash(three);
    g_assert_cmpstr(hash_one, ==, hash_three);
    g_autofree char *log_one = log_of_losses(one), *log_three = log_of_losses(three);
    g_assert_cmpstr(log_one, ==, log_three);
    loom_test_folder_remove(one);
    loom_test_folder_remove(three);
}

static JsonNode *timing_read(const char *folder)
{
    g_autofree char *path = g_build_filename(folder, "timing.json", NULL);
    g_autofree char *text = NULL;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return json_from_string(text, NULL);
}

/* Calls of the stage @id, seconds of the main graph. */
static gint64 calls_of(JsonNode *timing, const char *id, double *seconds)
{
    JsonArray *graphs = json_object_get_array_member(json_node_get_object(timing), "graphs");
    JsonObject *graph = json_array_get_object_element(graphs, 0);
    JsonArray *lanes = json_object_get_array_member(graph, "lanes");

    *seconds = json_object_get_double_member(graph, "seconds");
    for (guint l = 0; l < json_array_get_length(lanes); l++) {
        JsonArray *stages =
            json_object_get_array_member(json_array_get_object_element(lanes, l), "stages");

        for (guint i = 0; i < json_array_get_length(stages); i++) {
            JsonObject *stage = json_array_get_object_element(stages, i);

            if (g_str_equal(json_object_get_string_member(stage, "stage"), id))
                return json_object_get_int_member(stage, "calls");
        }
    }
    return -1;
}

/* Three starts add up to one: every step was done once, whatever the start. */
static void times_check(const char *whole, const char *parts)
{
    g_autoptr(JsonNode) one = timing_read(whole), three = timing_read(parts);
    JsonArray *starts = json_object_get_array_member(json_node_get_object(three), "starts");
    const gint64 steps[4] = {0, 7, 17, 60};
    double one_seconds, three_seconds, sum = 0;

    g_assert_cmpint(calls_of(one, "step", &one_seconds), ==, 60);
    g_assert_cmpint(calls_of(three, "step", &three_seconds), ==, 60);
    g_assert_cmpuint(json_array_get_length(starts), ==, 3);
    for (guint i = 0; i < 3; i++) {
        JsonObject *start = json_array_get_object_element(starts, i);

        g_assert_cmpint(json_object_get_int_member(start, "from_step"), ==, steps[i]);
        g_assert_cmpint(json_object_get_int_member(start, "step"), ==, steps[i + 1]);
        sum += json_object_get_double_member(start, "seconds");
    }
    loom_assert_near(sum, three_seconds, 1e-6); /* printed to nanoseconds, or 15 digits */
}

/* Stopped after a step between two checkpoints, and after one in the middle of a volume. */
static void test_resume(void)
{
    g_autofree char *text = config_text("queue: 4, workers: 2", "queue: 2");
    g_autofree char *whole = loom_test_folder(), *parts = loom_test_folder();
    Watch watch = {0};

    g_assert_cmpint(train(text, whole, FALSE, &watch), ==, LOOM_RUN_DONE);
    watch.stop_at = 7;
    g_assert_cmpint(train(text, parts, FALSE, &watch), ==, LOOM_RUN_STOPPED);
    watch.stop_at = 17;
    g_assert_cmpint(train(text, parts, TRUE, &watch), ==, LOOM_RUN_STOPPED);
    watch.stop_at = 0;
    g_assert_cmpint(train(text, parts, TRUE, &watch), ==, LOOM_RUN_DONE);
    g_autofree char *hash_whole = checkpoint_hash(whole), *hash_parts = checkpoint_hash(parts);
    g_assert_cmpstr(hash_whole, ==, hash_parts);
    g_autofree char *log_whole = log_of_losses(whole), *log_parts = log_of_losses(parts);
    g_assert_cmpstr(log_whole, ==, log_parts);

    times_check(whole, parts);
    /* a run that has all its steps has nothing left to do; times are no reason to refuse it */
    g_autofree char *timing = g_build_filename(parts, "timing.json", NULL);
    g_assert_true(g_file_set_contents(timing, "{\"starts\": [", -1, NULL));
    g_test_expect_message("loom-times", G_LOG_LEVEL_WARNING,
                          "the times of earlier starts are lost: *");
    g_assert_cmpint(train(text, parts, TRUE, &watch), ==, LOOM_RUN_DONE);
    g_test_assert_expected_messages();
    loom_test_folder_remove(whole);
    loom_test_folder_remove(parts);
}

/* A child trains for ever; the parent kills it at a random moment and looks at what it left. */
static void kill_once(const char *config, const char *folder, gulong after_us, gboolean resume)
{
    g_autofree char *checkpoint =
        g_build_filename(folder, "checkpoint", "seg.safetensors", NULL);
    g_autofree char *times = g_build_filename(folder, "timing.json", NULL);
    g_autofree char *build = g_path_get_dirname(g_getenv("LOOM_TEST_BINARY"));
    g_autofree char *segloom = g_build_filename(build, "segloom", NULL);
    const char *argv[] = {segloom, "run", config, "-o", folder, resume ? "--resume" : NULL,
                          NULL};
    g_autoptr(GError) error = NULL;
    GPid pid;

    g_spawn_async(NULL, (char **)(gpointer)argv, NULL,
                  G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDERR_TO_DEV_NULL
                      | G_SPAWN_STDOUT_TO_DEV_NULL,
                  NULL, NULL, &pid, &error);
    g_assert_no_error(error);
    /* The first kill waits for the first checkpoint, and the times that are written with the
     * step's record behind it; from then on both must always be there. */
    while (!resume && !g_file_test(times, G_FILE_TEST_EXISTS)) {
        g_assert_cmpint(waitpid(pid, NULL, WNOHANG), ==, 0);
        g_usleep(5000);
    }
    g_usleep(after_us);
    g_assert_cmpint(waitpid(pid, NULL, WNOHANG), ==, 0); /* it resumed, and is at work */
    kill(pid, SIGKILL);
    g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
    g_autoptr(LoomStore) store = loom_store_read(checkpoint, &error);
    g_assert_no_error(error);
    g_assert_nonnull(store);
    g_autoptr(JsonNode) timing = timing_read(folder); /* replaced as a whole, as checkpoints */
    g_assert_nonnull(timing);
}

static void test_killed(void)
{
    g_autofree char *text = config_text("queue: 4, workers: 2", "queue: 2");
    g_autofree char *folder = loom_test_folder(), *run = g_build_filename(folder, "run", NULL);
    g_autofree char *path = g_build_filename(folder, "train.yaml", NULL);
    LoomRng rng = loom_rng((guint64)g_test_rand_int(), "kill", 0);
    const char *asked = g_getenv("LOOM_TEST_KILLS"); /* 50 for the long version */
    const gint64 kills = asked ? g_ascii_strtoll(asked, NULL, 10) : 6;
    g_autoptr(GString) endless = g_string_new(text);

    g_string_replace(endless, "steps: 60", "steps: 1000000000", 0);
    g_string_replace(endless, "every: 4", "every: 1", 0); /* writes most of the time */
    g_string_replace(endless, "every: 10", "every: 1000000", 0);
    g_assert_true(g_file_set_contents(path, endless->str, -1, NULL));
    kill_once(path, run, 1000, FALSE);
    for (gint64 i = 0; i < kills; i++)
        kill_once(path, run, (gulong)loom_rng_below(&rng, 900000), TRUE);
    loom_test_folder_remove(folder);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_autofree char *folder = loom_test_folder();
    phantom_set_make(folder, 8);
    set_folder = folder;
    g_test_add_func("/train/learns-and-repeats", test_learns_and_repeats);
    g_test_add_func("/train/resume", test_resume);
    g_test_add_func("/train/killed", test_killed);
    const int result = loom_test_run();
    loom_test_folder_remove(folder);
    return result;
}
