/* segloom launch: output, exit codes, signals, ranks that die, and no process left behind.
 *
 * Called with a script, this program is a launcher of shells instead of segloom; the tests call
 * it so, and the real command for what a person types wrong. */
#include "loom_test.h"
#include "typed.h"

#include "launch.h"
#include "rank_processors.h"

#include "core/processors.h"

#include <errno.h>
#include <json-glib/json-glib.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* ---- the launcher of shells --------------------------------------------------------- */

/* $0: "again" or "first"; $1: the rank. */
static char **shell(guint rank, gboolean again, gpointer data)
{
    char number[] = {(char)('0' + rank), '\0'};
    const char *words[] = {"/bin/sh", "-c", data, again ? "again" : "first", number, NULL};

    return g_strdupv((char **)(gpointer)words);
}

static int launcher(char **argv)
{
    g_autofree cpu_set_t *shares =
        rank_processors_deal((guint)g_ascii_strtoull(argv[1], NULL, 10));
    const LaunchPlan plan = {
        .shares = shares,
        .n = (guint)g_ascii_strtoull(argv[1], NULL, 10),
        .restarts = (guint)g_ascii_strtoull(argv[2], NULL, 10),
        .command = shell,
        .data = argv[3],
    };

    return launch_run(&plan);
}

typedef struct {
    const char *folder; /* where the shells work; NULL: here */
    guint n, restarts;
    const char *script;
} Case;

/* This program again, as `segloom launch`; (transfer full). */
static char **case_words(const Case *what)
{
    g_autofree char *self = typed_beside("test-launch");
    g_autofree char *n = g_strdup_printf("%u", what->n);
    g_autofree char *restarts = g_strdup_printf("%u", what->restarts);
    g_autoptr(GStrvBuilder) words = g_strv_builder_new();

    g_strv_builder_add_many(words, self, "--launch", n, restarts, what->script, NULL);
    return g_strv_builder_end(words);
}

static GPid case_start(const Case *what, GSpawnFlags flags)
{
    g_auto(GStrv) argv = case_words(what);
    g_autoptr(GError) error = NULL;
    GPid pid;

    g_spawn_async(what->folder, argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD | flags, NULL, NULL, &pid,
                  &error);
    g_assert_no_error(error);
    return pid;
}

/* 0 to 255; -1: a signal. */
static int case_end(GPid pid)
{
    int status;

    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static Typed case_run(const Case *what)
{
    g_auto(GStrv) argv = case_words(what);
    g_autoptr(GError) error = NULL;
    Typed typed = {0};
    int status;

    g_spawn_sync(what->folder, argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, &typed.out, &typed.err,
                 &status, &error);
    g_assert_no_error(error);
    typed.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    g_test_message("%s: %d\n%s%s", what->script, typed.code, typed.out, typed.err);
    return typed;
}

/* ---- output ------------------------------------------------------------------------- */

static gint lines_compare(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Ranks write when they like: the lines in the order of their letters. */
static char *sorted(const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    qsort(lines, g_strv_length(lines), sizeof *lines, lines_compare);
    return g_strjoinv("\n", lines);
}

static void test_output(void)
{
    const Case what = {NULL, 3, 0, "echo out $1; echo err $1 >&2; test $1 = 0 || printf end"};
    g_auto(Typed) said = case_run(&what);
    g_autofree char *out = sorted(said.out);
    g_autofree char *err = sorted(said.err);

    g_assert_cmpint(said.code, ==, 0);
    g_assert_cmpstr(out, ==, "\n[1] end\n[1] out 1\n[2] end\n[2] out 2\nout 0");
    g_assert_true(strstr(said.out, "[2] out") < strstr(said.out, "[2] end"));
    g_assert_cmpstr(err, ==, "\n[1] err 1\n[2] err 2\nerr 0");
}

/* What is longer than any buffer arrives whole, in lines that each have their rank. */
static void test_output_long(void)
{
    const Case what = {NULL, 2, 0,
                       "test $1 = 0 || head -c 100000 /dev/zero | tr '\\0' x; "
                       "test $1 = 0 || { echo; seq 20000; }"};
    g_auto(Typed) said = case_run(&what);
    g_auto(GStrv) lines = g_strsplit(said.out, "\n", -1);
    gsize letters = 0;
    guint next = 1;

    g_assert_cmpint(said.code, ==, 0);
    for (char **line = lines; line[1]; line++) {
        g_assert_true(g_str_has_prefix(*line, "[1] "));
        if (line[0][4] == 'x') {
            letters += strlen(*line + 4);
            g_assert_cmpuint(strspn(*line + 4, "x"), ==, strlen(*line + 4));
        } else {
            g_assert_cmpuint(g_ascii_strtoull(*line + 4, NULL, 10), ==, next);
            next++;
        }
    }
    g_assert_cmpuint(letters, ==, 100000);
    g_assert_cmpuint(next, ==, 20001);
}

/* ---- ends --------------------------------------------------------------------------- */

static void test_codes(void)
{
    static const struct {
        const char *script;
        int code;
        const char *err;
    } rows[] = {
        {"exit 0", 0, ""},
        {"test $1 != 1 || exit 1", 1, "segloom: rank 1 ended with exit code 1"},
        {"test $1 != 2 || kill -9 $$", 137,
         "segloom: rank 2 was killed by signal 9 (by somebody, or by the system for want of "
         "memory: see 'dmesg')"},
        {"test $1 != 0 || kill -SEGV $$", 139,
         "segloom: rank 0 was killed by signal 11 (a fault"},
        {"exit 75", 75, ""},
        {"test $1 != 1 || exit 75", 75, ""},
        {"exit 130", 130, ""},
        {"exit $((1 - ($1 > 0) + ($1 > 0) * 75))", 1, "rank 0 ended with exit code 1"},
        {"exit 2", 2, " refused (exit code 2): ending the others\n"},
        /* The first that fails is the cause: rank 0 does so because it misses rank 2. */
        {"test $1 = 2 && exit 7; test $1 = 1 && exit; sleep 0.5; exit 1", 7,
         "segloom: rank 2 ended with exit code 7; the others go on without it"},
        /* One that refuses its config would be waited for. */
        {"test $1 = 1 && exit 2; exec sleep 60", 2,
         "segloom: rank 1 refused (exit code 2): ending the others"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        const Case what = {NULL, 3, 0, rows[i].script};
        g_auto(Typed) said = case_run(&what);

        g_assert_cmpint(said.code, ==, rows[i].code);
        typed_assert_in(said.err, rows[i].err);
        if (!*rows[i].err)
            g_assert_null(strstr(said.err, "the others"));
    }
}

static void test_restart(void)
{
    g_autofree char *folder = loom_test_folder();
    const Case heals = {folder, 2, 2,
                        "echo $0 >>said$1; test $1 = 0 || test $(wc -l <said1) = 3 || "
                        "kill -9 $$"};
    g_auto(Typed) said = case_run(&heals);
    g_autofree char *first = g_build_filename(folder, "said0", NULL);
    g_autofree char *second = g_build_filename(folder, "said1", NULL);
    g_autofree char *once = NULL, *thrice = NULL;

    g_assert_cmpint(said.code, ==, 0);
    typed_assert_in(said.err, "; starting it again (1 of 2)\n");
    typed_assert_in(said.err, "; starting it again (2 of 2)\n");
    g_assert_true(g_file_get_contents(first, &once, NULL, NULL));
    g_assert_true(g_file_get_contents(second, &thrice, NULL, NULL));
    g_assert_cmpstr(once, ==, "first\n");
    g_assert_cmpstr(thrice, ==, "first\nagain\nagain\n");

    const Case dies = {folder, 2, 1, "echo $0 >>dead$1; test $1 = 0 || exit 1"};
    g_auto(Typed) gone = case_run(&dies);
    g_autofree char *dead = g_build_filename(folder, "dead1", NULL);
    g_autofree char *twice = NULL;
    g_assert_cmpint(gone.code, ==, 1);
    g_assert_true(g_file_get_contents(dead, &twice, NULL, NULL));
    g_assert_cmpstr(twice, ==, "first\nagain\n");

    /* A mistake, and an end in order, are not worth another try. */
    const Case ends = {folder, 2, 5, "test $1 = 0 && exit 130; exit 75"};
    g_auto(Typed) stopped = case_run(&ends);
    g_assert_cmpint(stopped.code, ==, 130);
    g_assert_null(strstr(stopped.err, "again"));
    loom_test_folder_remove(folder);
}

/* ---- signals ------------------------------------------------------------------------ */

/* The number that a shell writes there, once it is there as a whole line. */
static pid_t pid_in(const char *folder, const char *name)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);

    for (;;) {
        g_autofree char *text = NULL;

        if (g_file_get_contents(path, &text, NULL, NULL) && g_str_has_suffix(text, "\n"))
            return (pid_t)g_ascii_strtoll(text, NULL, 10);
        g_usleep(2000);
    }
}

/* This process adopts what the launcher leaves behind (see main), so it hears of its end. */
static void assert_gone(pid_t pid)
{
    g_assert_cmpint(pid, >, 1);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    g_assert_cmpint(kill(pid, 0), ==, -1);
    g_assert_cmpint(errno, ==, ESRCH);
}

/* Each rank hears of it once, and its end in order is the end of all. */
static void assert_forwards(int sent, const char *heard, int code)
{
    g_autofree char *folder = loom_test_folder();
    g_autofree char *script = g_strdup_printf(
        "trap 'echo INT >>heard$1; exit 130' INT; "
        "trap 'echo TERM >>heard$1; exit 75' TERM; sleep 60 & echo $$ >up$1; wait");
    const Case what = {folder, 3, 3, script};
    const GPid pid = case_start(&what, G_SPAWN_DEFAULT);

    pid_in(folder, "up0");
    pid_in(folder, "up1");
    pid_in(folder, "up2");
    kill(pid, sent);
    g_assert_cmpint(case_end(pid), ==, code);
    for (guint i = 0; i < 3; i++) {
        g_autofree char *name = g_strdup_printf("heard%u", i);
        g_autofree char *path = g_build_filename(folder, name, NULL);
        g_autofree char *text = NULL;

        g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
        g_assert_cmpstr(text, ==, heard);
    }
    loom_test_folder_remove(folder);
}

static void test_signals(void)
{
    assert_forwards(SIGINT, "INT\n", 130);
    assert_forwards(SIGTERM, "TERM\n", 75);
    signal(SIGHUP, SIG_DFL); /* children inherit it; the tests may run under nohup */
    assert_forwards(SIGHUP, "TERM\n", 75); /* the terminal is gone */
}

/* Deaf ranks, with children of their own: the second signal ends them all. */
static void test_signal_twice(void)
{
    g_autofree char *folder = loom_test_folder();
    const Case what = {folder, 2, 3,
                       "trap '' INT TERM; sleep 60 & echo $! >child$1; echo $$ >up$1; wait"};
    const GPid pid = case_start(&what, G_SPAWN_STDERR_TO_DEV_NULL);

    pid_in(folder, "up0");
    pid_in(folder, "up1");
    const pid_t child = pid_in(folder, "child1");
    kill(pid, SIGINT);
    g_usleep(50000);
    kill(pid, SIGINT); /* together: as timeout(1) does it */
    g_usleep(500000);
    g_assert_cmpint(waitpid(pid, NULL, WNOHANG), ==, 0); /* it waits for them */
    kill(pid, SIGINT);
    g_assert_cmpint(case_end(pid), ==, 130);
    assert_gone(child);
    loom_test_folder_remove(folder);
}

/* kill -9 of the launcher: its ranks are told to end. */
static void test_launcher_killed(void)
{
    g_autofree char *folder = loom_test_folder();
    const Case what = {folder, 2, 0, "echo $$ >up$1; exec sleep 60"};
    const GPid pid = case_start(&what, G_SPAWN_DEFAULT);

    const pid_t first = pid_in(folder, "up0"), second = pid_in(folder, "up1");
    kill(pid, SIGKILL);
    g_assert_cmpint(case_end(pid), ==, -1);
    assert_gone(first);
    assert_gone(second);
    loom_test_folder_remove(folder);
}

/* A rank that ends and leaves a process with its pipes: nobody waits for that one. */
static void test_left_behind(void)
{
    g_autofree char *folder = loom_test_folder();
    const Case what = {folder, 2, 0, "sleep 600 & echo $! >child$1; echo last words"};
    g_auto(Typed) said = case_run(&what);

    g_assert_cmpint(said.code, ==, 0);
    typed_assert_in(said.out, "[1] last words\n");
    assert_gone(pid_in(folder, "child0"));
    assert_gone(pid_in(folder, "child1"));
    loom_test_folder_remove(folder);
}

/* ---- what a person types ------------------------------------------------------------ */

static void assert_wrong(const char *folder, const char *line, const char *text)
{
    g_auto(Typed) said = typed_run(folder, line, NULL);

    g_assert_cmpint(said.code, ==, 2);
    typed_assert_in(said.err, text);
    g_assert_cmpstr(said.out, ==, "");
    g_assert_null(strstr(said.err, "\n[")); /* said once, before any rank began */
    g_assert_cmpuint(strlen(strstr(said.err, "segloom: ")), ==, strlen(said.err));
}

static void test_mistakes(void)
{
    g_autofree char *folder = loom_test_folder();
    g_autofree char *config = g_build_filename(folder, "c.yaml", NULL);

    g_assert_true(
        g_file_set_contents(config, "segloom: 1\nrun: {graph: x, stebs: 1}\n", -1, NULL));
    assert_wrong(folder, "launch c.yaml", "'segloom launch' wants -n N, how many processes");
    assert_wrong(folder, "launch -n 0 c.yaml", "-n 0: want 1 to 256 processes");
    assert_wrong(folder, "launch -n 257 c.yaml", "-n 257: want 1 to 256");
    assert_wrong(folder, "launch -n two c.yaml", "two");
    assert_wrong(folder, "launch -n 2", "'segloom launch' wants CONFIG");
    assert_wrong(folder, "launch -n 2 c.yaml --restart -1", "--restart -1: want 0 to 1000");
    assert_wrong(folder, "launch -n 2 c.yaml --resume --force", "exclude each other");
    assert_wrong(folder, "launch -n 2 c.yaml --restrat 1", "did you mean '--restart'?");
    assert_wrong(folder, "launch -n 2 nowhere.yaml", "nowhere.yaml");
    assert_wrong(folder, "launch -n 3 c.yaml", "c.yaml:2:");
    assert_wrong(folder, "launch -n 2 c.yaml --set run", "--set");
    g_assert_cmpuint(loom_test_folder_count(folder), ==, 1); /* nothing but c.yaml */
    loom_test_folder_remove(folder);
}

/* ---- segloom itself ------------------------------------------------------------------ */

/* A smaller smoke.yaml, for ranks, on data of its own. */
static char *small_run(void)
{
    char *folder = loom_test_folder();
    g_auto(Typed) made =
        typed_run(folder, "phantom s --kind spheres --cases 5 --size 16,16,16", NULL);

    g_assert_cmpint(made.code, ==, 0);
    typed_config(folder, "c.yaml", NULL, NULL);
    return folder;
}

static void test_run(void)
{
    g_autofree char *folder = small_run();
    g_auto(GStrv) environment = g_get_environ();

    environment = g_environ_setenv(environment, "TMPDIR", folder, TRUE);
    environment = g_environ_setenv(environment, "XDG_RUNTIME_DIR", folder, TRUE);
    environment = g_environ_setenv(environment, "SLURM_PROCID", "7", TRUE); /* overruled */
    g_auto(Typed) said = typed_run(folder, "launch -n 2 c.yaml", environment);
    g_assert_cmpint(said.code, ==, 0);
    typed_assert_in(said.out, "done: 8 steps");
    typed_assert_in(said.err, "generation 1: 2 ranks, from step 0 on");
    g_assert_null(strstr(said.out, "[1] done"));             /* said once */
    g_assert_null(strstr(said.out, "cluster.json"));         /* is not left */
    g_assert_cmpuint(loom_test_folder_count(folder), ==, 3); /* c.yaml, s, runs: no sockets */
    g_auto(Typed) again = typed_run(folder, "launch -n 2 c.yaml", environment);
    g_assert_cmpint(again.code, ==, 2);
    typed_assert_in(again.err, "holds a run already");
    g_auto(Typed) more =
        typed_run(folder, "launch -n 2 c.yaml --resume --set run.steps=12", environment);
    g_assert_cmpint(more.code, ==, 0);
    typed_assert_in(more.out, "done: 12 steps");
    loom_test_folder_remove(folder);
}

/* What the run in @folder says of the machine: so many processors could its rank 0 use. */
static gint64 run_processors(const char *folder)
{
    g_autofree char *path = g_build_filename(folder, "r", "manifest.json", NULL);
    g_autoptr(JsonParser) parser = json_parser_new();
    g_autoptr(GError) error = NULL;

    json_parser_load_from_file(parser, path, &error);
    g_assert_no_error(error);
    JsonObject *manifest = json_node_get_object(json_parser_get_root(parser));
    JsonObject *start =
        json_array_get_object_element(json_object_get_array_member(manifest, "starts"), 0);
    return json_object_get_int_member(json_object_get_object_member(start, "machine"),
                                      "processors");
}

/* Each rank is bound to its share, unless somebody says how many threads, or --no-bind. */
static void test_bind(void)
{
    const gint64 all = loom_processors();
    g_autofree char *folder = small_run();
    const struct {
        const char *line;
        gint64 processors;
    } rows[] = {
        {"launch -n 2 free.yaml -o r", all == 1 ? 1 : (all + 1) / 2},
        {"launch -n 2 free.yaml -o r --force --no-bind", all},
        {"launch -n 2 c.yaml -o r --force", all},
    };

    typed_config(folder, "free.yaml", "threads: 1", "threads: 0");
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_auto(Typed) said = typed_run(folder, rows[i].line, NULL);

        g_assert_cmpint(said.code, ==, 0);
        g_assert_cmpint(run_processors(folder), <=, rows[i].processors);
        g_assert_cmpint(run_processors(folder), >=, MIN(rows[i].processors, all / 2));
    }
    loom_test_folder_remove(folder);
}

/* Rank 0's name is not known yet: that may change, so the code is not the one of a mistake. */
static void test_too_early(void)
{
    g_autofree char *folder = small_run();
    g_auto(Typed) said = typed_run(folder,
                                   "run c.yaml --rank 1 --size 2 --insecure-network "
                                   "--meet tcp://no-such-host.invalid:1 "
                                   "--set 'cluster={wait: 1}'",
                                   NULL);

    g_assert_cmpint(said.code, ==, 1);
    typed_assert_in(said.err, "where the ranks meet, was looked up for 1 s");
    loom_test_folder_remove(folder);
}

static void test_doctor(void)
{
    const char *good[] = {"RANK=1", "WORLD_SIZE=2", "MASTER_ADDR=a", NULL};
    const char *bad[] = {"RANK=1", "WORLD_SIZE=x", NULL};
    g_auto(Typed) found = typed_run(NULL, "doctor --env", (char **)(gpointer)good);
    g_auto(Typed) refused = typed_run(NULL, "doctor --env", (char **)(gpointer)bad);

    g_assert_cmpint(found.code, ==, 0);
    typed_assert_in(found.out, "  rank       1 of 2, local rank 0\n");
    typed_assert_in(found.out, "  meet       tcp://a:29500\n");
    typed_assert_in(found.out, "  said by    torchrun\n");
    g_assert_cmpint(refused.code, ==, 2);
    typed_assert_in(refused.out, "WORLD_SIZE                     x\n");
    typed_assert_in(refused.err, "segloom: WORLD_SIZE='x', want a whole number");
}

int main(int argc, char **argv)
{
    if (argc == 5 && g_str_equal(argv[1], "--launch"))
        return launcher(argv + 1);
    g_test_init(&argc, &argv, NULL);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    g_test_add_func("/launch/output", test_output);
    g_test_add_func("/launch/output/long", test_output_long);
    g_test_add_func("/launch/codes", test_codes);
    g_test_add_func("/launch/restart", test_restart);
    g_test_add_func("/launch/signals", test_signals);
    g_test_add_func("/launch/signals/twice", test_signal_twice);
    g_test_add_func("/launch/killed", test_launcher_killed);
    g_test_add_func("/launch/left-behind", test_left_behind);
    g_test_add_func("/launch/mistakes", test_mistakes);
    g_test_add_func("/launch/run", test_run);
    g_test_add_func("/launch/bind", test_bind);
    g_test_add_func("/launch/too-early", test_too_early);
    g_test_add_func("/launch/doctor", test_doctor);
    return loom_test_run();
}
