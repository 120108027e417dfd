/* Ranks that are processes of their own, over ZeroMQ and ipc: killed, stopped, started again.
 *
 * This program runs itself as the ranks: `test-cluster-processes --rank FOLDER MEET RANK
 * SUSPECT`.
 */
#include "cluster_rank.h"
#include "loom_test.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define RANKS 3

static const char *program;

/* ---- a rank ------------------------------------------------------------------------- */

static int be_rank(const char *folder, const char *meet, const char *number,
                   const char *suspect)
{
    g_autofree char *run = g_build_filename(folder, "run", NULL);
    g_autofree char *name = g_strdup_printf("%s/rank-%s.log", folder, number);
    LoomInstance *transport = loom_test_instance(LOOM_KIND_TRANSPORT, "{use: zmq}", NULL, NULL);
    const TestRankSetup setup = {.rank = (guint)atoi(number),
                                 .size = RANKS,
                                 .meet = meet,
                                 .folder = run,
                                 .transport = transport,
                                 .beat = 0.1,
                                 .suspect = g_ascii_strtod(suspect, NULL),
                                 .log = fopen(name, "a")};

    prctl(PR_SET_PDEATHSIG, SIGKILL); /* never outlive the test */
    g_log_set_always_fatal(G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL);
    TestRank *rank = test_rank_new(&setup, NULL);
    test_rank_run(rank);
    test_rank_free(rank);
    fclose(setup.log);
    loom_instance_free(transport);
    return 0;
}

/* ---- the test's side ---------------------------------------------------------------- */

typedef struct {
    char *folder, *meet, *suspect;
    pid_t pids[RANKS]; /* 0: none */
} Run;

static void rank_start(Run *run, guint rank)
{
    g_autofree char *number = g_strdup_printf("%u", rank);

    run->pids[rank] = fork();
    if (run->pids[rank] == 0) {
        execl(program, program, "--rank", run->folder, run->meet, number, run->suspect, NULL);
        _exit(127);
    }
    g_assert_cmpint(run->pids[rank], >, 0);
}

static void rank_kill(Run *run, guint rank)
{
    int status;

    g_assert_cmpint(kill(run->pids[rank], SIGKILL), ==, 0);
    g_assert_cmpint(waitpid(run->pids[rank], &status, 0), ==, run->pids[rank]);
    g_assert_true(WIFSIGNALED(status)); /* it had not come to an end of its own */
    g_assert_cmpint(WTERMSIG(status), ==, SIGKILL);
    run->pids[rank] = 0;
}

/* The last view in what the rank wrote: its generation if it has @size ranks; 0: none. */
static guint64 view_read(const Run *run, guint rank, guint size)
{
    g_autofree char *name = g_strdup_printf("%s/rank-%u.log", run->folder, rank);
    g_autofree char *text = NULL;
    guint64 generation = 0;
    guint ranks = 0;

    if (!g_file_get_contents(name, &text, NULL, NULL))
        return 0;
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    const guint n = g_strv_length(lines);
    if (n < 2)
        return 0;
    if (g_str_has_prefix(lines[n - 2], "end"))
        g_error("rank %u: %s", rank, lines[n - 2]);
    return sscanf(lines[n - 2], "view %" G_GUINT64_FORMAT " %u", &generation, &ranks) == 2
                   && ranks == size
               ? generation
               : 0;
}

/* Waits for a view of @size ranks after @generation. */
static guint64 rank_wait_view(const Run *run, guint rank, guint size, guint64 generation)
{
    const gint64 until = g_get_monotonic_time() + RANK_PATIENCE_S * G_USEC_PER_SEC;
    guint64 found;

    while ((found = view_read(run, rank, size)) <= generation) {
        if (g_get_monotonic_time() > until)
            g_error("rank %u has no view of %u ranks after %d s", rank, size, RANK_PATIENCE_S);
        g_usleep(10000);
    }
    return found;
}

/* The same on all ranks but one; @but RANKS: on all. */
static guint64 run_wait_view(const Run *run, guint but, guint64 before)
{
    const guint size = but < RANKS ? RANKS - 1 : RANKS;
    guint64 generation = before;

    for (guint i = 0; i < RANKS; i++)
        if (i != but)
            generation = MAX(generation, rank_wait_view(run, i, size, before));
    return generation;
}

/* A port that was free a moment ago. */
static guint free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    const int fd = socket(AF_INET, SOCK_STREAM, 0);

    g_assert_cmpint(bind(fd, (struct sockaddr *)&address, length), ==, 0);
    g_assert_cmpint(getsockname(fd, (struct sockaddr *)&address, &length), ==, 0);
    close(fd);
    return ntohs(address.sin_port);
}

static guint64 run_begin(Run *run, gboolean tcp, const char *suspect)
{
    g_autofree char *folder = NULL;

    run->folder = loom_test_folder();
    run->meet = tcp ? g_strdup_printf("tcp://localhost:%u", free_port())
                    : g_strdup_printf("ipc://%s/meet", run->folder);
    run->suspect = g_strdup(suspect);
    folder = g_build_filename(run->folder, "run", NULL);
    g_assert_cmpint(g_mkdir(folder, 0700), ==, 0);
    for (guint i = 0; i < RANKS; i++)
        rank_start(run, i);
    return run_wait_view(run, RANKS, 0);
}

static void run_end(Run *run)
{
    for (guint i = 0; i < RANKS; i++)
        rank_kill(run, i);
    loom_test_folder_remove(run->folder);
    g_free(run->folder);
    g_free(run->meet);
    g_free(run->suspect);
}

/* ---- tests -------------------------------------------------------------------------- */

static void test_killed(gconstpointer tcp)
{
    Run run = {0};
    guint64 generation = run_begin(&run, GPOINTER_TO_INT(tcp), "2");

    for (guint killed = RANKS; killed-- > 0;) { /* the coordinator last */
        rank_kill(&run, killed);
        generation = run_wait_view(&run, killed, generation);
        rank_start(&run, killed);
        generation = run_wait_view(&run, RANKS, generation);
    }
    run_end(&run);
}

/* Stopped for less than it takes to be suspected: nobody notices. */
static void test_stopped_shortly(void)
{
    Run run = {0};
    const guint64 generation = run_begin(&run, FALSE, "20");

    for (guint stopped = 0; stopped < 2; stopped++) {
        g_assert_cmpint(kill(run.pids[stopped], SIGSTOP), ==, 0);
        g_usleep(G_USEC_PER_SEC);
        g_assert_cmpint(kill(run.pids[stopped], SIGCONT), ==, 0);
        g_usleep(G_USEC_PER_SEC / 2);
    }
    for (guint i = 0; i < RANKS; i++)
        g_assert_cmpuint(view_read(&run, i, RANKS), ==, generation);
    run_end(&run);
}

/* Stopped for long: left out, and taken back when it wakes. */
static void test_stopped_for_long(void)
{
    Run run = {0};
    guint64 generation = run_begin(&run, FALSE, "1.5");

    for (guint stopped = 0; stopped < 2; stopped++) { /* the coordinator as well */
        g_assert_cmpint(kill(run.pids[stopped], SIGSTOP), ==, 0);
        generation = run_wait_view(&run, stopped, generation);
        g_assert_cmpint(kill(run.pids[stopped], SIGCONT), ==, 0);
        generation = run_wait_view(&run, RANKS, generation);
    }
    run_end(&run);
}

int main(int argc, char **argv)
{
    if (argc == 6 && g_str_equal(argv[1], "--rank"))
        return be_rank(argv[2], argv[3], argv[4], argv[5]);
    program = argv[0];
    g_setenv("TSAN_OPTIONS", "halt_on_error=1", FALSE); /* a race in a rank ends it */
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/cluster/processes/killed/ipc", GINT_TO_POINTER(FALSE), test_killed);
    g_test_add_data_func("/cluster/processes/killed/tcp", GINT_TO_POINTER(TRUE), test_killed);
    g_test_add_func("/cluster/processes/stopped-shortly", test_stopped_shortly);
    g_test_add_func("/cluster/processes/stopped-for-long", test_stopped_for_long);
    return loom_test_run();
}
