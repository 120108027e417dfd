/* Real processes over zmq: ranks are killed at random moments, stopped, told to end, started
 * again, while the others go on.  LOOM_TEST_KILLS: how many runs of each kind, else one. */
#include "loom_test.h"
#include "phantom_set.h"
#include "typed.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define RANKS 4
#define STEPS 60
#define MORE_STEPS 300 /* for who comes back while the others go on */

static char *set_folder, *binary;

typedef struct {
    char *folder, *config, *meet;
    GPid ranks[RANKS];
    guint steps;
} World;

static const char config_text[] =
    "segloom: 1\nseed: 3\n"
    "data: {dataset: '%s', folds: 2, fold: 0}\n"
    "backend: {use: openblas, threads: 1}\n"
    "models:\n  seg: {use: unet3d, in_channels: 1, classes: 2, features: [4, 8]}\n"
    "graphs:\n"
    "  train:\n"
    "    load:    {use: nifti_load, split: train, shuffle: true}\n"
    "    scale:   {use: zscore, from: load, queue: 2}\n"
    "    patch:   {use: crop, from: scale, size: [16, 16, 16], foreground: 0.5}\n"
    "    batch:   {use: batch, from: patch, size: 1, queue: 2}\n"
    "    forward: {use: forward, from: batch, model: seg}\n"
    "    loss:    {use: loss, from: forward, loss: {use: cross_entropy}}\n"
    "    back:    {use: backward, from: loss, model: seg}\n"
    "    sync:    {use: allreduce, from: back, model: seg}\n"
    "    step:    {use: adam_step, from: sync, model: seg, rate: 1.0e-2}\n"
    "    log:     {use: log, from: step, every: 1}\n"
    "    check:   {use: run_graph, from: step, graph: validate, every: 20}\n"
    "    save:    {use: checkpoint, from: step, model: seg, every: 5}\n"
    "  validate:\n"
    "    load:    {use: nifti_load, split: validate}\n"
    "    scale:   {use: zscore, from: load}\n"
    "    predict: {use: sliding_window, from: scale, model: seg, size: [16, 16, 16]}\n"
    "    score:   {use: metrics, from: predict, metrics: [{use: overlap}]}\n"
    "run: {graph: train, steps: %d}\n"
    "cluster: {beat: 0.2, suspect: %g, wait: 60}\n";

/* A test that fails takes its ranks with it. */
static void child_setup(G_GNUC_UNUSED gpointer nothing)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static void rank_start(World *world, guint rank, gboolean again)
{
    g_autofree char *number = g_strdup_printf("%u", rank);
    g_autofree char *output = g_build_filename(world->folder, "run", NULL);
    g_autofree char *words = g_build_filename(world->folder, number, NULL);
    const char *typed[] = {
        binary, "run",    world->config,      "-o",     output,      "--rank",
        number, "--size", G_STRINGIFY(RANKS), "--meet", world->meet, again ? "--resume" : NULL,
        NULL};
    const int said = g_open(words, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    GError *error = NULL;

    g_assert_cmpint(said, >=, 0);
    g_spawn_async_with_fds(NULL, (char **)(guintptr)typed, NULL,
                           G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDOUT_TO_DEV_NULL, child_setup,
                           NULL, &world->ranks[rank], -1, -1, said, &error);
    g_assert_no_error(error);
    g_close(said, NULL);
}

static void rank_signal(const World *world, guint rank, int signal)
{
    g_assert_cmpint(kill(world->ranks[rank], signal), ==, 0);
}

static World world_start(double suspect, guint steps)
{
    World world = {.folder = loom_test_folder(), .steps = steps};
    g_autofree char *text = g_strdup_printf(config_text, set_folder, (int)steps, suspect);
    g_autofree char *meet = g_build_filename(world.folder, "meet", NULL);
    GError *error = NULL;

    world.config = g_build_filename(world.folder, "kills.yaml", NULL);
    world.meet = g_strconcat("ipc://", meet, NULL);
    g_file_set_contents(world.config, text, -1, &error);
    g_assert_no_error(error);
    for (guint r = 0; r < RANKS; r++)
        rank_start(&world, r, FALSE);
    return world;
}

static void world_end(World *world)
{
    loom_test_folder_remove(world->folder);
    g_free(world->folder);
    g_free(world->config);
    g_free(world->meet);
}

static char *file_of(const World *world, const char *name)
{
    g_autofree char *path = g_build_filename(world->folder, "run", name, NULL);
    char *text = NULL;

    return g_file_get_contents(path, &text, NULL, NULL) ? text : g_strdup("");
}

/* Lines of steps.csv after its header. */
static guint steps_of(const World *world)
{
    g_autofree char *text = file_of(world, "steps.csv");
    guint lines = 0;

    for (const char *at = text; (at = strchr(at, '\n')); at++)
        lines++;
    return MAX(lines, 1) - 1;
}

/* Until so many steps are done; a minute at most. */
static void wait_for(const World *world, guint steps)
{
    const gint64 late = g_get_monotonic_time() + 120 * G_USEC_PER_SEC;

    while (steps_of(world) < steps && g_get_monotonic_time() < late)
        g_usleep(5000);
    g_assert_cmpuint(steps_of(world), >=, steps);
}

/* Until so many generations have begun: numbers of proposals that came to nothing are left out.
 */
static void wait_for_generations(const World *world, guint wanted)
{
    const gint64 late = g_get_monotonic_time() + 120 * G_USEC_PER_SEC;
    guint found = 0;

    while (found < wanted) {
        g_autofree char *log = file_of(world, "log.jsonl");

        g_assert_cmpint(g_get_monotonic_time(), <, late);
        found = 0;
        for (const char *at = log; (at = strstr(at, "\"kind\":\"generation\"")); at++)
            found++;
        g_usleep(5000);
    }
}

/* Exit code; -1: a signal ended it. */
static int end_of(const World *world, guint rank)
{
    int status = 0;

    while (waitpid(world->ranks[rank], &status, 0) < 0)
        g_assert_cmpint(errno, ==, EINTR);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* What a rank said, where the code is not the wanted one. */
static void assert_end(const World *world, guint rank, int wanted)
{
    const int code = end_of(world, rank);

    for (guint r = 0; code != wanted && r < RANKS; r++) {
        g_autofree char *number = g_strdup_printf("%u", r);
        g_autofree char *path = g_build_filename(world->folder, number, NULL);
        g_autofree char *said = NULL;

        g_file_get_contents(path, &said, NULL, NULL);
        g_test_message("rank %u said: %s", r, said ? said : "nothing");
    }
    g_assert_cmpint(code, ==, wanted);
}

/* Every step is in the table once; a generation begins at most one step before where the last
 * one got to, and not behind it. */
static void assert_steps(const World *world, guint generations)
{
    g_autofree char *table = file_of(world, "steps.csv"), *log = file_of(world, "log.jsonl");
    g_auto(GStrv) rows = g_strsplit(table, "\n", -1), lines = g_strsplit(log, "\n", -1);
    guint found = 0;

    g_assert_cmpuint(g_strv_length(rows), ==, world->steps + 2);
    for (gint64 i = 1; i <= world->steps; i++)
        g_assert_cmpint(g_ascii_strtoll(rows[i], NULL, 10), ==, i);
    for (char **line = lines; *line; line++)
        found += strstr(*line, "\"kind\":\"generation\"") != NULL;
    g_assert_cmpuint(found, >=, generations);
}

static guint runs_of(void)
{
    const char *asked = g_getenv("LOOM_TEST_KILLS");

    return asked ? (guint)g_ascii_strtoull(asked, NULL, 10) : 1;
}

/* The longest that steps.csv stood still, in seconds, from now until all is done. */
static double longest_pause(const World *world)
{
    gint64 longest = 0, last = g_get_monotonic_time();
    guint seen = steps_of(world);

    while (seen < world->steps && g_get_monotonic_time() - last < 120 * G_USEC_PER_SEC) {
        const guint now = steps_of(world);

        if (now != seen) {
            longest = MAX(longest, g_get_monotonic_time() - last);
            last = g_get_monotonic_time();
            seen = now;
        }
        g_usleep(5000);
    }
    return (double)longest / G_USEC_PER_SEC;
}

static void kill_one(guint victim, guint at, gboolean again)
{
    World world = world_start(4, again ? MORE_STEPS : STEPS);

    wait_for(&world, at);
    rank_signal(&world, victim, SIGKILL);
    g_assert_cmpint(end_of(&world, victim), ==, -1);
    if (again) {
        wait_for(&world, at + 4); /* the others go on */
        rank_start(&world, victim, TRUE);
    }
    g_test_message("rank %u killed after step %u: longest pause %.1f s", victim, at,
                   longest_pause(&world));
    for (guint r = 0; r < RANKS; r++)
        if (r != victim || again)
            assert_end(&world, r, 0);
    assert_steps(&world, again ? 3 : 2);
    world_end(&world);
}

static void test_kill(void)
{
    for (guint i = 0; i < runs_of(); i++)
        kill_one((guint)g_test_rand_int_range(1, RANKS), (guint)g_test_rand_int_range(0, 45),
                 FALSE);
}

static void test_kill_coordinator(void)
{
    for (guint i = 0; i < runs_of(); i++)
        kill_one(0, (guint)g_test_rand_int_range(1, 45), FALSE);
}

static void test_join(void)
{
    for (guint i = 0; i < runs_of(); i++)
        kill_one((guint)g_test_rand_int_range(0, RANKS), (guint)g_test_rand_int_range(1, 20),
                 TRUE);
}

/* Generations in which steps are made may be as many as they like. */
static void test_often(void)
{
    World world = world_start(4, 1000000);

    for (guint i = 1; i <= 12; i++) {
        const guint victim = i % RANKS;

        wait_for_generations(&world, 2 * i - 1);
        wait_for(&world, steps_of(&world) + 1);
        rank_signal(&world, victim, SIGKILL);
        g_assert_cmpint(end_of(&world, victim), ==, -1);
        wait_for_generations(&world, 2 * i);
        rank_start(&world, victim, TRUE);
    }
    wait_for_generations(&world, 25);
    for (guint r = 0; r < RANKS; r++)
        rank_signal(&world, r, SIGTERM);
    for (guint r = 0; r < RANKS; r++)
        assert_end(&world, r, 75);
    world_end(&world);
}

/* A short stop is waited for; after a long one the rank was left out, and comes back. */
static void test_pause(void)
{
    for (guint i = 0; i < 2; i++) {
        World world = world_start(i ? 2 : 20, i ? MORE_STEPS : STEPS);

        wait_for(&world, 5);
        rank_signal(&world, 2, SIGSTOP);
        g_usleep((i ? 6 : 2) * G_USEC_PER_SEC);
        rank_signal(&world, 2, SIGCONT);
        for (guint r = 0; r < RANKS; r++)
            assert_end(&world, r, 0);
        assert_steps(&world, i ? 2 : 1);
        if (!i) {
            g_autofree char *log = file_of(&world, "log.jsonl");

            g_assert_null(strstr(log, "\"generation\":2"));
        }
        world_end(&world);
    }
}

/* SIGTERM to all: a checkpoint, code 75; then all again, to the end. */
static void test_suspend(void)
{
    World world = world_start(4, STEPS);

    wait_for(&world, 8);
    for (guint r = 0; r < RANKS; r++)
        rank_signal(&world, r, SIGTERM);
    for (guint r = 0; r < RANKS; r++)
        assert_end(&world, r, 75);
    const guint done = steps_of(&world);
    g_assert_cmpuint(done, <, STEPS);
    for (guint r = 0; r < RANKS; r++)
        rank_start(&world, r, TRUE);
    for (guint r = 0; r < RANKS; r++)
        assert_end(&world, r, 0);
    assert_steps(&world, 2);
    world_end(&world);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    set_folder = loom_test_folder();
    phantom_set_make(set_folder, 8);
    binary = typed_beside("segloom");
    g_test_add_func("/rank-kills/one", test_kill);
    g_test_add_func("/rank-kills/coordinator", test_kill_coordinator);
    g_test_add_func("/rank-kills/join", test_join);
    g_test_add_func("/rank-kills/often", test_often);
    g_test_add_func("/rank-kills/pause", test_pause);
    g_test_add_func("/rank-kills/suspend", test_suspend);
    const int result = loom_test_run();
    loom_test_folder_remove(set_folder);
    g_free(set_folder);
    g_free(binary);
    return result;
}
