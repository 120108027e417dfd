/* cluster_rank - the loop that the engine runs around its graph, without a graph. */
#include "cluster_rank.h"

#include "loom_test.h"

#define STEP_US 5000

static gpointer rank_thread(gpointer data)
{
    test_rank_run(data);
    return NULL;
}

TestRank *test_rank_new(const TestRankSetup *setup, GError **error)
{
    g_autoptr(LoomMember) member = loom_member_new();
    g_autoptr(GError) local = NULL;
    TestRank *rank = g_new0(TestRank, 1);
    const LoomRendezvous rendezvous = {
        .rank = setup->rank, .size = setup->size, .meet = (char *)(guintptr)setup->meet};

    rank->setup = *setup;
    rank->steps = setup->steps;
    pthread_mutex_init(&rank->lock, NULL);
    loom_signal_init(&rank->changed);
    rank->options = (LoomClusterOptions){.beat = setup->beat > 0 ? setup->beat : 0.05,
                                         .suspect = setup->suspect > 0 ? setup->suspect : 1,
                                         .wait = setup->wait > 0 ? setup->wait : 60,
                                         .stall = setup->stall > 0 ? setup->stall : 60,
                                         .min_ranks = 1,
                                         .credit = 1 << 20};
    member->seat = setup->rank;
    member->collective = g_strdup("");
    member->stream = g_strdup("");
    member->host = g_strdup("here");
    rank->cluster = loom_cluster_new(&rank->options, &rendezvous, setup->transport, member, 1,
                                     setup->config ? setup->config : "config", setup->folder,
                                     NULL, NULL, error ? error : &local);
    g_assert_no_error(local);
    if (!rank->cluster)
        g_clear_pointer(&rank, test_rank_free);
    return rank;
}

TestRank *test_rank_start(const TestRankSetup *setup)
{
    TestRank *rank = test_rank_new(setup, NULL);

    rank->threaded = pthread_create(&rank->thread, NULL, rank_thread, rank) == 0;
    g_assert_true(rank->threaded);
    return rank;
}

/* ---- the loop ----------------------------------------------------------------------- */

static void view_note(TestRank *rank, const LoomView *view)
{
    LOOM_LOCKED(&rank->lock);
    loom_view_free(rank->view);
    rank->view = loom_view_copy(view);
    rank->step = view->step;
    pthread_cond_broadcast(&rank->changed);
    if (rank->setup.log) {
        fprintf(rank->setup.log, "view %" G_GUINT64_FORMAT " %u %u\n", view->generation,
                view->members->len, view->coordinator);
        fflush(rank->setup.log);
    }
}

static TestRankMode rank_mode(TestRank *rank)
{
    LOOM_LOCKED(&rank->lock);
    return rank->mode;
}

/* One step; FALSE: no further one now. */
static gboolean step_do(TestRank *rank)
{
    const TestRankMode mode = rank_mode(rank);

    if (loom_cluster_halted(rank->cluster) || loom_cluster_wants_halt(rank->cluster))
        return FALSE;
    if (mode == RANK_WAITS)
        loom_cluster_waiting(rank->cluster, TRUE);
    g_usleep(STEP_US);
    if (mode == RANK_WAITS)
        loom_cluster_waiting(rank->cluster, FALSE);
    LOOM_LOCKED(&rank->lock);
    if (mode != RANK_STEPS)
        return !rank->killed;
    if (rank->killed || (rank->steps > 0 && rank->step >= rank->steps))
        return FALSE;
    rank->step++;
    loom_cluster_progress(rank->cluster, rank->step, (guint64)rank->step);
    pthread_cond_broadcast(&rank->changed);
    return TRUE;
}

static gboolean rank_is(TestRank *rank, gint64 *step, gboolean *killed)
{
    LOOM_LOCKED(&rank->lock);
    *step = rank->step;
    *killed = rank->killed;
    return rank->steps > 0 && rank->step >= rank->steps;
}

/* One generation.  OK: it is done; STOP: the next one, unless *ended. */
static LoomFlow generation_run(TestRank *rank, gboolean *ended, GError **error)
{
    g_autoptr(LoomView) view = NULL;
    gint64 step;

    rank_is(rank, &step, ended);
    LoomFlow flow = loom_cluster_enter(rank->cluster, step, 0, &view, &rank->ending, error);
    if (flow != LOOM_FLOW_OK) {
        *ended = TRUE;
        return flow;
    }
    const gboolean ready = rank->setup.refuse == 0;
    rank->setup.refuse -= !ready;
    flow = loom_cluster_begin(rank->cluster, view, ready, error);
    if (flow != LOOM_FLOW_OK)
        return flow;
    view_note(rank, view);
    while (step_do(rank))
        ;
    const gboolean done = rank_is(rank, &step, ended);
    return done && !*ended ? loom_cluster_finish(rank->cluster, error) : LOOM_FLOW_STOP;
}

void test_rank_run(TestRank *rank)
{
    GError *error = NULL;
    gboolean ended = FALSE;
    LoomFlow flow = LOOM_FLOW_STOP;

    while (flow == LOOM_FLOW_STOP && !ended)
        flow = generation_run(rank, &ended, &error);
    if (rank->setup.log) {
        fprintf(rank->setup.log, "end %d %d %s\n", (int)flow, rank->ending,
                error ? error->message : loom_cluster_reason(rank->cluster));
        fflush(rank->setup.log);
    }
    LOOM_LOCKED(&rank->lock);
    rank->flow = flow;
    rank->error = error;
    rank->over = TRUE;
    pthread_cond_broadcast(&rank->changed);
}

/* ---- the hand that holds it --------------------------------------------------------- */

/* With the lock held. */
static void patience(TestRank *rank, gint64 until, const char *what)
{
    loom_signal_wait_until(&rank->changed, &rank->lock, until);
    if (g_get_monotonic_time() >= until)
        g_error("rank %u: no %s after %d s, %s", rank->setup.rank, what, RANK_PATIENCE_S,
                rank->over ? loom_cluster_reason(rank->cluster) : "and it still tries");
}

static gint64 patience_begin(void)
{
    return g_get_monotonic_time() + RANK_PATIENCE_S * G_USEC_PER_SEC;
}

guint64 test_rank_wait_view(TestRank *rank, guint size, guint64 generation)
{
    const gint64 until = patience_begin();

    LOOM_LOCKED(&rank->lock);
    while (!rank->view || rank->view->members->len != size
           || rank->view->generation <= generation) {
        if (rank->over)
            g_error("rank %u ended: %s", rank->setup.rank,
                    rank->error ? rank->error->message : loom_cluster_reason(rank->cluster));
        patience(rank, until, "such view");
    }
    return rank->view->generation;
}

gint64 test_rank_wait_step(TestRank *rank, gint64 step)
{
    const gint64 until = patience_begin();

    LOOM_LOCKED(&rank->lock);
    while (rank->step <= step)
        patience(rank, until, "such step");
    return rank->step;
}

void test_rank_do(TestRank *rank, TestRankMode mode)
{
    LOOM_LOCKED(&rank->lock);
    rank->mode = mode;
}

void test_rank_finish_at(TestRank *rank, gint64 steps)
{
    LOOM_LOCKED(&rank->lock);
    rank->steps = steps;
}

void test_rank_wait_end(TestRank *rank)
{
    const gint64 until = patience_begin();

    LOOM_LOCKED(&rank->lock);
    while (!rank->over)
        patience(rank, until, "end");
}

void test_rank_kill(TestRank *rank)
{
    {
        LOOM_LOCKED(&rank->lock);
        rank->killed = TRUE;
    }
    test_rank_wait_end(rank);
    test_rank_free(rank);
}

void test_rank_free(TestRank *rank)
{
    if (!rank)
        return;
    if (rank->threaded)
        pthread_join(rank->thread, NULL);
    loom_cluster_free(rank->cluster);
    loom_view_free(rank->view);
    g_clear_error(&rank->error);
    pthread_cond_destroy(&rank->changed);
    pthread_mutex_destroy(&rank->lock);
    g_free(rank);
}
