/* Collectives between real processes, over zmq: the same bits as in one process, with sockets
 * and with shared memory; one that is killed in the middle harms the others no more than that
 * they wait until they are told to stop; nothing is left behind. */
#include "collective_world.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define RANKS 3
#define COUNT 300007
#define ROUNDS 5

/* ---- one rank: test-collective-processes --rank R COLLECTIVE ------------------------- */

static char *line_read(FILE *from)
{
    char line[512];

    if (!fgets(line, sizeof line, from))
        return NULL;
    return g_strdup(g_strchomp(line));
}

/* When its caller says so, what this rank waits for is stopped. */
static void *abort_when_told(void *data)
{
    WorldRank *rank = data;
    g_autofree char *word = line_read(stdin);

    g_assert_cmpstr(word, ==, "abort");
    rank->plugin->abort(rank->self);
    return NULL;
}

static void rank_sums(const WorldRank *rank)
{
    float *buffer = rank_buffer(rank, COUNT);

    for (guint round = 0; round < ROUNDS; round++) {
        rank_fill(rank, buffer, round, COUNT);
        rank_sum(rank, buffer, COUNT);
        rank_check(rank, buffer, round, COUNT);
    }
    rank_buffer_free(rank, buffer);
}

/* Sums until it is stopped. */
static void rank_sums_on(const WorldRank *rank)
{
    float *buffer = rank_buffer(rank, COUNT);
    LoomFlow flow = LOOM_FLOW_OK;
    GError *error = NULL;

    while (flow == LOOM_FLOW_OK) {
        rank->plugin->sum_start(rank->self, buffer, COUNT, &error);
        g_assert_no_error(error);
        flow = rank->plugin->sum_wait(rank->self, &error);
        g_assert_no_error(error);
    }
    rank_buffer_free(rank, buffer);
}

static int rank_main(guint number, const char *collective)
{
    WorldRank rank = {.rank = number, .size = RANKS};
    char *addresses[RANKS];
    const char *const keys[RANKS] = {NULL}, *const hosts[RANKS] = {"here", "here", "here"};
    LoomGroup group = {1, number, RANKS, (const char *const *)addresses, keys, hosts};
    GError *error = NULL;
    GThread *thread;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    rank.transport = loom_test_instance(LOOM_KIND_TRANSPORT, "{use: zmq}", NULL, NULL);
    rank.instance = loom_test_instance(LOOM_KIND_COLLECTIVE, collective, NULL, NULL);
    rank.plugin = (const LoomCollective *)rank.instance->plugin;
    rank.self = rank.instance->self;
    rank.plugin->listen(rank.self, rank.transport, "tcp://127.0.0.1:*", &error);
    g_assert_no_error(error);
    printf("%s\n", rank.plugin->address(rank.self));
    fflush(stdout);
    for (guint i = 0; i < RANKS; i++)
        g_assert_nonnull(addresses[i] = line_read(stdin));
    rank.plugin->join(rank.self, &group, &error);
    g_assert_no_error(error);
    rank_sums(&rank);
    printf("summed\n");
    fflush(stdout);
    thread = g_thread_new("abort", abort_when_told, &rank);
    rank_sums_on(&rank);
    g_thread_join(thread);

    /* The ranks that are left go on without the last. */
    group.generation = 2;
    rank.size = group.size = RANKS - 1;
    rank.plugin->join(rank.self, &group, &error);
    g_assert_no_error(error);
    rank_sums(&rank);
    printf("done\n");
    fflush(stdout);
    loom_instance_free(rank.instance);
    loom_instance_free(rank.transport);
    for (guint i = 0; i < RANKS; i++)
        g_free(addresses[i]);
    return 0;
}

/* ---- the caller --------------------------------------------------------------------- */

typedef struct {
    GPid pid;
    FILE *to, *from;
} Process;

static Process process_start(guint rank, const char *collective)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *number = g_strdup_printf("%u", rank);
    char *argv[] = {self, (char[]){"--rank"}, number, g_strdup(collective), NULL};
    Process process;
    GError *error = NULL;
    gint to, from;

    g_spawn_async_with_pipes(NULL, argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL,
                             &process.pid, &to, &from, NULL, &error);
    g_assert_no_error(error);
    g_free(argv[3]);
    process.to = fdopen(to, "w");
    process.from = fdopen(from, "r");
    return process;
}

static void say(const Process *process, const char *text)
{
    g_assert_cmpint(fprintf(process->to, "%s\n", text), >, 0);
    g_assert_cmpint(fflush(process->to), ==, 0);
}

static void expect(const Process *process, const char *text)
{
    g_autofree char *line = line_read(process->from);

    g_assert_cmpstr(line, ==, text);
}

/* Memory of ours would be in that folder, if it had a name. */
static void nothing_is_left(void)
{
    g_autoptr(GDir) folder = g_dir_open("/dev/shm", 0, NULL);
    const char *name;

    while (folder && (name = g_dir_read_name(folder)))
        g_assert_null(strstr(name, "segloom"));
}

static void test_killed(gconstpointer collective)
{
    Process processes[RANKS];

    for (guint i = 0; i < RANKS; i++)
        processes[i] = process_start(i, collective);
    for (guint i = 0; i < RANKS; i++) {
        g_autofree char *address = line_read(processes[i].from);

        g_assert_nonnull(address);
        for (guint k = 0; k < RANKS; k++)
            say(&processes[k], address);
    }
    for (guint i = 0; i < RANKS; i++)
        expect(&processes[i], "summed");
    g_usleep(100000); /* it sums without end: this is somewhere in the middle */
    g_assert_cmpint(kill(processes[RANKS - 1].pid, SIGKILL), ==, 0);
    for (guint i = 0; i + 1 < RANKS; i++)
        say(&processes[i], "abort");
    for (guint i = 0; i + 1 < RANKS; i++)
        expect(&processes[i], "done");
    for (guint i = 0; i < RANKS; i++) {
        int status;

        fclose(processes[i].to);
        g_assert_cmpint(waitpid(processes[i].pid, &status, 0), ==, processes[i].pid);
        fclose(processes[i].from);
        if (i + 1 < RANKS)
            g_assert_cmpint(status, ==, 0);
        else
            g_assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    }
    nothing_is_left();
}

int main(int argc, char **argv)
{
    if (argc == 4 && g_str_equal(argv[1], "--rank"))
        return rank_main((guint)g_ascii_strtoull(argv[2], NULL, 10), argv[3]);
    signal(SIGPIPE, SIG_IGN);
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/collective/processes/direct", "{use: direct, shared_memory: false}",
                         test_killed);
    g_test_add_data_func("/collective/processes/ring", "{use: ring, shared_memory: false}",
                         test_killed);
    g_test_add_data_func("/collective/processes/direct-shared",
                         "{use: direct, shared_memory: true}", test_killed);
    g_test_add_data_func("/collective/processes/ring-shared",
                         "{use: ring, shared_memory: true}", test_killed);
    return loom_test_run();
}
