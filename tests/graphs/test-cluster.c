/* Ranks in one process find each other, lose each other and go on: the cluster's thread, port
 * and lease around the machine of member.h, over the transport `loopback`. */
#include "cluster_rank.h"
#include "loom_test.h"

#include "cluster/lease.h"

#include <string.h>

#define RANKS 3

/* A run folder, a meeting point that nobody else has, and ranks. */
typedef struct {
    char *folder, *meet;
    LoomInstance *transport;
    TestRank *ranks[RANKS];
} Run;

static void run_set_up(Run *run, G_GNUC_UNUSED gconstpointer data)
{
    g_autofree char *name = NULL;

    run->folder = loom_test_folder();
    name = g_path_get_basename(run->folder);
    run->meet = g_strdup_printf("loopback://%s", name);
    run->transport = loom_test_instance(LOOM_KIND_TRANSPORT, "{use: loopback}", NULL, NULL);
}

static void run_tear_down(Run *run, G_GNUC_UNUSED gconstpointer data)
{
    for (guint i = 0; i < RANKS; i++)
        g_assert_null(run->ranks[i]);
    loom_instance_free(run->transport);
    loom_test_folder_remove(run->folder);
    g_free(run->folder);
    g_free(run->meet);
}

static TestRankSetup rank_setup(const Run *run, guint rank)
{
    return (TestRankSetup){.rank = rank,
                           .size = RANKS,
                           .meet = run->meet,
                           .folder = run->folder,
                           .transport = run->transport};
}

static void rank_start(Run *run, guint rank)
{
    const TestRankSetup setup = rank_setup(run, rank);

    run->ranks[rank] = test_rank_start(&setup);
}

/* All ranks there are, in one view of @size after @before; its generation. */
static guint64 run_wait_view(const Run *run, guint size, guint64 before)
{
    guint64 generation = before;

    for (guint i = 0; i < RANKS; i++)
        if (run->ranks[i])
            generation = MAX(generation, test_rank_wait_view(run->ranks[i], size, before));
    return generation;
}

/* All ranks, in one view of all; its generation. */
static guint64 run_start(Run *run)
{
    for (guint i = 0; i < RANKS; i++)
        rank_start(run, i);
    return run_wait_view(run, RANKS, 0);
}

static void rank_kill(Run *run, guint rank)
{
    test_rank_kill(run->ranks[rank]);
    run->ranks[rank] = NULL;
}

/* It comes to an end by itself, in this way. */
static void rank_ends(Run *run, guint rank, LoomEnding ending, const char *text)
{
    TestRank *over = run->ranks[rank];

    test_rank_wait_end(over);
    g_assert_no_error(over->error);
    g_assert_cmpint(over->flow, ==, LOOM_FLOW_STOP);
    g_assert_cmpint(over->ending, ==, ending);
    if (!strstr(loom_cluster_reason(over->cluster), text))
        g_error("rank %u ended with '%s', want '%s' in it", rank,
                loom_cluster_reason(over->cluster), text);
    test_rank_free(over);
    run->ranks[rank] = NULL;
}

/* All ranks there are do a few steps more, and say that they are done. */
static void run_finish(Run *run)
{
    gint64 step = 0;

    for (guint i = 0; i < RANKS; i++)
        if (run->ranks[i])
            step = MAX(step, test_rank_wait_step(run->ranks[i], -1));
    for (guint i = 0; i < RANKS; i++)
        if (run->ranks[i])
            test_rank_finish_at(run->ranks[i], step + 20);
    for (guint i = 0; i < RANKS; i++)
        if (run->ranks[i]) {
            test_rank_wait_end(run->ranks[i]);
            g_assert_no_error(run->ranks[i]->error);
            g_assert_cmpint(run->ranks[i]->flow, ==, LOOM_FLOW_OK);
        }
    for (guint i = 0; i < RANKS; i++)
        g_clear_pointer(&run->ranks[i], test_rank_free);
}

/* ---- together ----------------------------------------------------------------------- */

static void test_forms(Run *run, G_GNUC_UNUSED gconstpointer data)
{
    run_start(run);
    g_autoptr(LoomLease) lease = loom_lease_read(run->folder, NULL);
    g_assert_nonnull(lease);
    g_assert_cmpuint(lease->coordinator, ==, 0);
    g_assert_cmpstr(lease->address, ==, run->meet);
    g_assert_true(memcmp(lease->run, run->ranks[2]->view->run, sizeof lease->run) == 0);
    g_assert_true(
        loom_cluster_shared(run->ranks[1]->cluster)); /* all of them see this folder */
    run_finish(run);
    g_assert_cmpuint(loom_test_folder_count(run->folder), ==, 0); /* an orderly end */
}

static void test_not_ready(Run *run, G_GNUC_UNUSED gconstpointer data)
{
    TestRankSetup setup = rank_setup(run, 1);

    setup.refuse = 1;
    run->ranks[1] = test_rank_start(&setup);
    rank_start(run, 0);
    rank_start(run, 2);
    run_wait_view(run, RANKS, 0);
    run_finish(run);
}

/* A collective failed on one rank: all form anew, and nobody is left out for it. */
static void test_report(Run *run, G_GNUC_UNUSED gconstpointer data)
{
    const guint64 generation = run_start(run);

    loom_cluster_report(run->ranks[1]->cluster, "sum 3 failed");
    run_wait_view(run, RANKS, generation);
    run_finish(run);
}

/* ---- lost --------------------------------------------------------------------------- */

static void test_lost_and_back(Run *run, G_GNUC_UNUSED gconstpointer data)
{
    guint64 generation = run_start(run);
    const gint64 step = test_rank_wait_step(run->ranks[0], 5);

    rank_kill(run, 2);
    generation = run_wait_view(run, 2, generation);
    rank_start(run, 2);
    run_wait_view(run, RANKS, generation);
    g_assert_cmpint(run->ranks[2]->view->step, >=, step); /* not from the beginning */
    run_finish(run);
}

static void test_coordinator_lost_and_back(Run *run, G_GNUC_UNUSED gconstpointer data)
{
    guint64 generation = run_start(run);
    const gint64 step = test_rank_wait_step(run->ranks[1], 5);
    guint8 name[16];

    memcpy(name, run->ranks[1]->view->run, sizeof name);
    rank_kill(run, 0);
    generation = run_wait_view(run, 2, generation);
    rank_start(run, 0); /* must not found a second run */
    run_wait_view(run, RANKS, generation);
    g_assert_true(memcmp(run->ranks[0]->view->run, name, sizeof name) == 0);
    g_assert_cmpint(run->ranks[0]->view->step, >=, step);
    run_finish(run);
}

/* All ranks, which lose one that does not move for a second; their generation. */
static guint64 run_start_impatient(Run *run)
{
    for (guint i = 0; i < RANKS; i++) {
        TestRankSetup setup = rank_setup(run, i);

        setup.stall = 1;
        run->ranks[i] = test_rank_start(&setup);
    }
    return run_wait_view(run, RANKS, 0);
}

/* It lives, and does nothing, while the others wait for it. */
static void test_stalled(Run *run, G_GNUC_UNUSED gconstpointer data)
{
    guint64 generation = run_start_impatient(run);

    test_rank_do(run->ranks[0], RANK_WAITS);
    test_rank_do(run->ranks[1], RANK_WAITS);
    test_rank_do(run->ranks[2], RANK_STUCK);
    test_rank_wait_view(run->ranks[0], 2, generation);
    generation = test_rank_wait_view(run->ranks[1], 2, generation);
    for (guint i = 0; i < RANKS; i++)
        test_rank_do(run->ranks[i], RANK_STEPS);
    run_wait_view(run, RANKS, generation); /* it moves again: back it comes */
    run_finish(run);
}

/* Who waits is not stalled, and nor is one that works while nobody waits. */
static void test_slow(Run *run, G_GNUC_UNUSED gconstpointer data)
{
    const guint64 generation = run_start_impatient(run);

    for (guint i = 0; i < RANKS; i++)
        test_rank_do(run->ranks[i], RANK_WAITS);
    g_usleep(3 * G_USEC_PER_SEC / 2);
    for (guint i = 0; i < RANKS; i++)
        test_rank_do(run->ranks[i], RANK_STUCK);
    g_usleep(3 * G_USEC_PER_SEC / 2);
    for (guint i = 0; i < RANKS; i++)
        g_assert_cmpuint(test_rank_wait_view(run->ranks[i], RANKS, 0), ==, generation);
    for (guint i = 0; i < RANKS; i++)
        test_rank_do(run->ranks[i], RANK_STEPS);
    run_finish(run);
}

/* One is no majority of three: the lease says that nobody else goes on. */
static void test_last_one(Run *run, G_GNUC_UNUSED gconstpointer data)
{
    guint64 generation = run_start(run);

    rank_kill(run, 0);
    generation = test_rank_wait_view(run->ranks[2], 2, generation);
    rank_kill(run, 1); /* of two, the lower one */
    test_rank_wait_view(run->ranks[2], 1, generation);
    run_finish(run);
    g_assert_cmpuint(loom_test_folder_count(run->folder), ==, 0); /* no claim is left either */
}

/* The same without a folder: somebody else may go on. */
static void test_cut_off(Run *run, G_GNUC_UNUSED gconstpointer data)
{
    guint64 generation;

    for (guint i = 0; i < RANKS; i++) {
        TestRankSetup setup = rank_setup(run, i);

        setup.folder = NULL;
        run->ranks[i] = test_rank_start(&setup);
    }
    generation = run_wait_view(run, RANKS, 0);
    g_assert_false(loom_cluster_shared(run->ranks[2]->cluster));
    rank_kill(run, 0);
    test_rank_wait_view(run->ranks[2], 2, generation);
    rank_kill(run, 1);
    rank_ends(run, 2, LOOM_END_CUT_OFF, "cannot reach");
}

/* Somebody who is in no view has taken the run over: one after the other sees it. */
static void test_taken_over(Run *run, G_GNUC_UNUSED gconstpointer data)
{
    const guint64 generation = run_start(run);
    const LoomMember stranger = {.seat = 7, .incarnation = 7};

    g_assert_true(
        loom_lease_claim(run->folder, generation + 1, generation, generation, &stranger, NULL));
    loom_cluster_report(run->ranks[1]->cluster, "the network is broken");
    rank_ends(run, 0, LOOM_END_CUT_OFF,
              "rank 7 could not be reached and has taken the run over");
    rank_ends(run, 1, LOOM_END_CUT_OFF, "again to join");
    rank_ends(run, 2, LOOM_END_CUT_OFF, "again to join");
    g_autoptr(LoomLease) lease = loom_lease_read(run->folder, NULL);
    g_assert_nonnull(lease); /* the run goes on, elsewhere */
}

/* ---- orderly and not ---------------------------------------------------------------- */

static void test_leave(Run *run, G_GNUC_UNUSED gconstpointer data)
{
    guint64 generation = run_start(run);

    loom_cluster_leave(run->ranks[1]->cluster);
    rank_ends(run, 1, LOOM_END_LEFT, "");
    generation = run_wait_view(run, 2, generation);
    loom_cluster_leave(run->ranks[0]->cluster); /* the coordinator, then nobody is left */
    rank_ends(run, 0, LOOM_END_LEFT, "");
    test_rank_wait_view(run->ranks[2], 1, generation);
    loom_cluster_leave(run->ranks[2]->cluster);
    rank_ends(run, 2, LOOM_END_LEFT, "");
    g_autoptr(LoomLease) lease = loom_lease_read(run->folder, NULL);
    g_assert_nonnull(lease); /* to be resumed */
}

/* Told to stop before it met anybody. */
static void test_leave_alone(Run *run, G_GNUC_UNUSED gconstpointer data)
{
    const TestRankSetup setup = rank_setup(run, 0);

    run->ranks[0] = test_rank_new(&setup, NULL);
    loom_cluster_leave(run->ranks[0]->cluster);
    test_rank_run(run->ranks[0]);
    rank_ends(run, 0, LOOM_END_LEFT, "");
}

static void test_failed_everywhere(Run *run, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    run_start(run);
    loom_fail(&error, LOOM_ERROR_NUMERIC, "the loss is not finite");
    loom_cluster_failed(run->ranks[1]->cluster, error);
    rank_ends(run, 0, LOOM_END_FAILED, "rank 1 failed: the loss is not finite");
    rank_ends(run, 2, LOOM_END_FAILED, "rank 1 failed: the loss is not finite");
    rank_ends(run, 1, LOOM_END_FAILED, "the loss is not finite");
}

static void test_failed_here(Run *run, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    const guint64 generation = run_start(run);

    loom_fail(&error, LOOM_ERROR_IO, "'/data' is not mounted");
    loom_cluster_failed(run->ranks[2]->cluster, error);
    test_rank_wait_view(run->ranks[0], 2, generation);
    test_rank_wait_view(run->ranks[1], 2, generation);
    rank_kill(run, 2);
    run_finish(run);
}

static void test_missing(Run *run, G_GNUC_UNUSED gconstpointer data)
{
    for (guint i = 0; i < 2; i++) {
        TestRankSetup setup = rank_setup(run, i);

        setup.wait = 2;
        run->ranks[i] = test_rank_start(&setup);
    }
    rank_ends(run, 0, LOOM_END_MISSING, "2 of 3 ranks arrived in 2 s; rank 2 did not");
    rank_ends(run, 1, LOOM_END_MISSING, "2 of 3 ranks arrived in 2 s; rank 2 did not");
}

static void test_nobody_there(Run *run, G_GNUC_UNUSED gconstpointer data)
{
    TestRankSetup setup = rank_setup(run, 1);

    setup.wait = 1;
    run->ranks[1] = test_rank_start(&setup);
    rank_ends(run, 1, LOOM_END_MISSING, run->meet);
}

static void test_other_config(Run *run, G_GNUC_UNUSED gconstpointer data)
{
    TestRankSetup setup = rank_setup(run, 2);

    setup.config = "another";
    rank_start(run, 0);
    rank_start(run, 1);
    run->ranks[2] = test_rank_start(&setup);
    rank_ends(run, 2, LOOM_END_FAILED, "another config");
    rank_start(run, 2); /* it was none of them, they wait on */
    run_wait_view(run, RANKS, 0);
    run_finish(run);
}

/* ---- from outside ------------------------------------------------------------------- */

static void test_alive(Run *run, G_GNUC_UNUSED gconstpointer data)
{
    const LoomClusterOptions options = {.suspect = 1};
    g_autofree char *left = NULL;
    g_autofree char *lease = g_build_filename(run->folder, "cluster.json", NULL);

    g_assert_false(loom_cluster_alive(&options, run->transport, run->folder)); /* no lease */
    const guint64 generation = run_start(run);
    g_assert_true(loom_cluster_alive(&options, run->transport, run->folder));
    test_rank_wait_step(run->ranks[0], 10);
    g_assert_cmpuint(test_rank_wait_view(run->ranks[0], RANKS, 0), ==, generation);
    g_assert_true(g_file_get_contents(lease, &left, NULL, NULL));
    /* another run at the address of one that is over */
    g_autoptr(LoomView) other = loom_view_copy(run->ranks[0]->view);
    other->run[0] ^= 1;
    g_assert_true(loom_lease_write(run->folder, other, NULL));
    g_assert_false(loom_cluster_alive(&options, run->transport, run->folder));
    g_assert_true(g_file_set_contents(lease, left, -1, NULL));
    run_finish(run);
    /* what a run leaves that was killed */
    g_assert_true(g_file_set_contents(lease, left, -1, NULL));
    g_assert_false(loom_cluster_alive(&options, run->transport, run->folder));
}

/* Garbage at the control port changes nothing. */
static void test_garbage(Run *run, G_GNUC_UNUSED gconstpointer data)
{
    const LoomTransport *transport = (const LoomTransport *)run->transport->plugin;
    gpointer self = run->transport->self;
    g_autoptr(GRand) random = g_rand_new_with_seed(4);
    g_autofree char *name = g_strconcat(run->meet, "-stranger", NULL);
    const guint64 generation = run_start(run);
    LoomPort *port = transport->port_open(self, name, NULL);
    guint link = 0;

    g_assert_true(transport->link_open(self, port, run->meet, NULL, &link, NULL));
    for (guint i = 0; i < 200; i++) {
        guint8 noise[300];

        for (gsize j = 0; j < sizeof noise; j++)
            noise[j] = (guint8)g_rand_int(random);
        g_autoptr(GBytes) bytes = g_bytes_new(noise, i);
        GBytes *const frames[] = {bytes, bytes};
        g_assert_cmpint(transport->send(self, port, link, frames, 1 + i % 2, NULL), !=,
                        LOOM_FLOW_FAIL);
        g_usleep(500);
    }
    transport->port_close(self, port);
    test_rank_wait_step(run->ranks[0], test_rank_wait_step(run->ranks[0], 0) + 10);
    g_assert_cmpuint(test_rank_wait_view(run->ranks[0], RANKS, 0), ==, generation);
    run_finish(run);
}

static void test_options(Run *run, G_GNUC_UNUSED gconstpointer data)
{
    TestRankSetup setup = rank_setup(run, 0);
    g_autoptr(GError) error = NULL;

    setup.beat = 1;
    setup.suspect = 2.5;
    loom_assert_failed(test_rank_new(&setup, &error), error, LOOM_ERROR, LOOM_ERROR_CONFIG,
                       "suspect (2.5 s) must be at least three beats (of 1 s)");
}

/* `cluster:` without a word in it. */
static void test_defaults(G_GNUC_UNUSED Run *run, G_GNUC_UNUSED gconstpointer data)
{
    const LoomScope scope = {.registry = loom_test_registry()};
    g_autoptr(GError) error = NULL;
    LoomClusterOptions options = {0};

    g_assert_true(
        loom_params_fill(loom_cluster_params, &options, NULL, NULL, "cluster", &scope, &error));
    g_assert_cmpstr(options.transport->plugin->name, ==, "zmq");
    g_assert_cmpstr(options.collective->plugin->name, ==, "direct");
    g_assert_null(options.address);
    g_assert_cmpfloat(options.wait, ==, 60);
    g_assert_cmpfloat(options.beat, ==, 1);
    g_assert_cmpfloat(options.suspect, ==, 8);
    g_assert_cmpfloat(options.stall, ==, 300);
    g_assert_cmpint(options.min_ranks, ==, 1);
    g_assert_cmpuint(options.credit, ==, 64 << 20);
    loom_params_clear(loom_cluster_params, &options);
}

static void add(const char *name, void (*test)(Run *run, gconstpointer data))
{
    g_test_add(name, Run, NULL, run_set_up, test, run_tear_down);
}

/* Losing ranks is what happens here: the notes about it are for people. */
static void log_quietly(G_GNUC_UNUSED const char *domain, GLogLevelFlags level,
                        const char *text, G_GNUC_UNUSED gpointer data)
{
    if (level & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL))
        g_printerr("%s\n", text);
    else
        g_test_message("%s", text);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_log_set_always_fatal(G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL);
    g_log_set_default_handler(log_quietly, NULL);
    add("/cluster/forms", test_forms);
    add("/cluster/not-ready", test_not_ready);
    add("/cluster/report", test_report);
    add("/cluster/lost-and-back", test_lost_and_back);
    add("/cluster/coordinator-lost-and-back", test_coordinator_lost_and_back);
    add("/cluster/stalled", test_stalled);
    add("/cluster/slow", test_slow);
    add("/cluster/last-one", test_last_one);
    add("/cluster/cut-off", test_cut_off);
    add("/cluster/taken-over", test_taken_over);
    add("/cluster/leave", test_leave);
    add("/cluster/leave-alone", test_leave_alone);
    add("/cluster/failed-everywhere", test_failed_everywhere);
    add("/cluster/failed-here", test_failed_here);
    add("/cluster/missing", test_missing);
    add("/cluster/nobody-there", test_nobody_there);
    add("/cluster/other-config", test_other_config);
    add("/cluster/alive", test_alive);
    add("/cluster/garbage", test_garbage);
    add("/cluster/options", test_options);
    add("/cluster/defaults", test_defaults);
    return loom_test_run();
}
