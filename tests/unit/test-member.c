/* Membership through every disaster, on a virtual clock: member_sim.h checks each step, these
 * say what must come of it.  LOOM_TEST_SEEDS sets the number of random seeds; a seed that fails
 * prints itself, LOOM_TEST_SEED runs it alone. */
#include "loom_test.h"
#include "member_sim.h"

#include <string.h>

#define STEPS 150

static Sim *started(guint64 seed, guint n)
{
    Sim *sim = sim_new(seed, n, STEPS);

    for (guint s = 0; s < n; s++)
        sim_start(sim, s, -1);
    return sim;
}

/* These ended so, and hold the same weights. */
static void all_end(const Sim *sim, guint except, LoomEnding ending)
{
    guint64 weights = 0;
    gboolean first = TRUE;

    for (guint s = 0; s < sim->n; s++) {
        if (s == except)
            continue;
        /* it was on its way back when the others were done, and the word of it was lost */
        if (sim->restarts && sim->ending[s] == LOOM_END_MISSING && sim->reached[s] < sim->total)
            continue;
        if (!sim->ended[s] || sim->ending[s] != ending)
            sim_broken(sim, "rank %u %s, want ending %d", s,
                       sim->ended[s] ? "ended otherwise" : "has not ended", (int)ending);
        if (sim->reached[s] != sim->total) /* it waited to join when the others were done */
            continue;
        if (!first && sim->final[s] != weights)
            sim_broken(sim, "rank %u ends with other weights", s);
        weights = sim->final[s];
        first = FALSE;
    }
    if (first && ending == LOOM_END_DONE)
        sim_broken(sim, "nobody reached the last step");
}

#define NOBODY SIM_SEATS

static void test_calm(void)
{
    for (guint n = 1; n <= 5; n++) {
        Sim *sim = started(n, n);

        sim_run(sim, 120000);
        all_end(sim, NOBODY, LOOM_END_DONE);
        g_assert_cmpuint(sim->views->len, ==, 1);
        sim_free(sim);
    }
}

static void test_killed(void)
{
    for (guint seat = 0; seat < 4; seat++) {
        Sim *sim = started(seat, 4);

        sim_run(sim, 12000);
        sim_kill(sim, seat);
        sim_run(sim, 120000);
        all_end(sim, seat, LOOM_END_DONE);
        g_assert_cmpuint(sim->views->len, ==, 2);
        g_assert_true(sim_noted(sim, "going on with 3 ranks from step"));
        g_assert_cmpint(sim->longest_pause, <, sim->options.suspect_ms + 3000);
        sim_free(sim);
    }
}

/* It comes back, before the others noticed or after. */
static void test_returns(void)
{
    for (guint seat = 0; seat < 4; seat++)
        for (gint64 after = 500; after < 10000; after += 3000) {
            Sim *sim = started(seat, 4);

            sim_run(sim, 12000);
            sim_kill(sim, seat);
            sim_run(sim, 12000 + after);
            sim_start(sim, seat, -1);
            sim_run(sim, 180000);
            all_end(sim, NOBODY, LOOM_END_DONE);
            g_assert_true(sim_noted(sim, "is back: 4 ranks"));
            sim_free(sim);
        }
}

/* A process that is heard but hears nobody is not let in, and disturbs nobody. */
static void test_half_arrives(void)
{
    Sim *sim = started(5, 3);

    sim_run(sim, 8000);
    sim_kill(sim, 2);
    sim_cut(sim, 0, 2, TRUE);
    sim_cut(sim, 1, 2, TRUE);
    sim_run(sim, 9000);
    sim_start(sim, 2, -1);
    sim_run(sim, 120000);
    g_assert_cmpuint(sim->views->len, ==, 2);
    g_assert_cmpint(sim->ending[0], ==, LOOM_END_DONE);
    g_assert_cmpint(sim->ending[1], ==, LOOM_END_DONE);
    g_assert_cmpint(sim->ending[2], ==, LOOM_END_MISSING);
    sim_free(sim);
}

static void test_stopped(void)
{
    Sim *sim = started(7, 4);

    sim_run(sim, 12000);
    sim_pause(sim, 2, 2500); /* shorter than the suspicion: nothing changes */
    sim_run(sim, 18000);
    g_assert_cmpuint(sim->views->len, ==, 1);
    sim_pause(sim, 0, 12000); /* the coordinator: it is left out, and returns */
    sim_run(sim, 180000);
    all_end(sim, NOBODY, LOOM_END_DONE);
    g_assert_true(sim_noted(sim, "rank 0 was lost (no heartbeat"));
    g_assert_true(sim_noted(sim, "rank 0 is back"));
    sim_free(sim);
}

static void test_stalled(void)
{
    for (guint seat = 0; seat < 3; seat += 2) {
        Sim *sim = started(3, 3);

        sim_run(sim, 10000);
        sim->process[seat].stalled = TRUE;
        sim_run(sim, 180000);
        for (guint s = 0; s < 3; s++)
            g_assert_true(s == seat || (sim->ended[s] && sim->ending[s] == LOOM_END_DONE));
        g_assert_true(sim_noted(sim, "no progress for 2"));
        sim_free(sim);
    }
}

static void test_partition(void)
{
    Sim *sim = started(11, 5);

    sim_run(sim, 12000);
    for (guint a = 0; a < 2; a++)
        for (guint b = 2; b < 5; b++) {
            sim_cut(sim, a, b, TRUE);
            sim_cut(sim, b, a, TRUE);
        }
    sim_run(sim, 240000);
    for (guint s = 0; s < 5; s++) {
        g_assert_true(sim->ended[s]);
        g_assert_cmpint(sim->ending[s], ==, s < 2 ? LOOM_END_CUT_OFF : LOOM_END_DONE);
    }
    g_assert_nonnull(strstr(sim->why[0], "cannot reach 3 of 5 ranks (2, 3 and 4)"));
    sim_free(sim);
}

/* Two of two: the half with the lowest seat goes on, the other one only with the lease. */
static void test_halves(void)
{
    for (guint seat = 0; seat < 2; seat++)
        for (gint shared = 0; shared < 2; shared++) {
            Sim *sim = started(13, 2);

            sim->shared = shared;
            sim_run(sim, 12000);
            sim_kill(sim, seat);
            sim_run(sim, 180000);
            g_assert_true(sim->ended[1 - seat]);
            g_assert_cmpint(sim->ending[1 - seat], ==,
                            seat == 1 || shared ? LOOM_END_DONE : LOOM_END_CUT_OFF);
            sim_free(sim);
        }
}

static void test_leaves(void)
{
    for (guint seat = 0; seat < 3; seat++) {
        Sim *sim = started(17, 3);

        sim_run(sim, 12000);
        sim_leave(sim, seat);
        sim_run(sim, 12000 + 3000);
        g_assert_true(sim->ended[seat]); /* all can be reached: it need not wait to be missed */
        sim_run(sim, 120000);
        all_end(sim, seat, LOOM_END_DONE);
        g_assert_cmpint(sim->ending[seat], ==, LOOM_END_LEFT);
        g_assert_true(sim_noted(sim, "left: going on with 2 ranks"));
        sim_free(sim);
    }
    Sim *sim = started(18, 3);

    sim_run(sim, 12000);
    for (guint s = 0; s < 3; s++)
        sim_leave(sim, s);
    sim_run(sim, 120000);
    all_end(sim, NOBODY, LOOM_END_LEFT);
    g_assert_cmpint(sim->now, <, 12000 + 2000);
    sim_free(sim);
}

static void test_fails(void)
{
    for (gint recurs = 0; recurs < 2; recurs++) {
        Sim *sim = started(19, 3);

        sim_run(sim, 12000);
        loom_machine_failed(sim->process[1].machine, "no space", recurs, sim->now);
        sim_run(sim, 120000);
        g_assert_cmpint(sim->ending[1], ==, LOOM_END_FAILED);
        for (guint s = 0; s < 3; s += 2)
            g_assert_cmpint(sim->ending[s], ==, recurs ? LOOM_END_FAILED : LOOM_END_DONE);
        g_assert_true(sim_noted(sim, recurs ? "rank 1 failed: no space"
                                            : "rank 1 failed: no space; going on without it"));
        sim_free(sim);
    }
}

/* An error as long as a list of files, with the bytes of their names: the others hear of it. */
static void test_fails_at_length(void)
{
    g_autofree char *text = g_strnfill(5000, 'x');
    Sim *sim = started(20, 3);

    memcpy(text, "no \xe9", 4);
    sim_run(sim, 12000);
    loom_machine_failed(sim->process[1].machine, text, TRUE, sim->now);
    sim_run(sim, 120000);
    for (guint s = 0; s < 3; s++) {
        g_assert_cmpint(sim->ending[s], ==, LOOM_END_FAILED);
        g_assert_true(g_str_has_prefix(sim->why[s], "rank 1 failed: no "));
        g_assert_true(s == 1 || g_str_has_suffix(sim->why[s], "xxx..."));
    }
    sim_free(sim);
}

static void test_missing(void)
{
    Sim *sim = sim_new(23, 4, STEPS);

    for (guint s = 0; s < 4; s++)
        if (s != 2)
            sim_start(sim, s, -1);
    sim_run(sim, 120000);
    all_end(sim, 2, LOOM_END_MISSING);
    g_assert_nonnull(strstr(sim->why[3], "3 of 4 ranks arrived in 40 s; rank 2 did not"));
    sim_free(sim);

    sim = sim_new(24, 2, STEPS);
    sim_start(sim, 1, -1);
    sim_run(sim, 120000);
    g_assert_cmpint(sim->ending[1], ==, LOOM_END_MISSING);
    g_assert_nonnull(strstr(sim->why[1], "nobody answered rank 1 at 'meet' in 40 s"));
    sim_free(sim);
}

/* Fewer than min_ranks: the others wait for one to return, but not for ever. */
static void test_too_few(void)
{
    for (gint returns = 0; returns < 2; returns++) {
        Sim *sim = sim_new(27, 3, STEPS);

        sim->options.min_ranks = 3;
        for (guint s = 0; s < 3; s++)
            sim_start(sim, s, -1);
        sim_run(sim, 12000);
        sim_kill(sim, 2);
        if (returns)
            sim->left[2] = 30000;
        sim_run(sim, 30000);
        g_assert_false(sim->ended[0] || sim->ended[1]);
        g_assert_cmpuint(sim->views->len, ==, 1);
        sim_run(sim, 150000);
        all_end(sim, returns ? NOBODY : 2, returns ? LOOM_END_DONE : LOOM_END_MISSING);
        if (!returns)
            g_assert_nonnull(strstr(sim->why[0], "2 ranks are left to train, want at least 3"));
        sim_free(sim);
    }
}

/* Another config, another size: refused with the reason; the run waits on. */
static void test_refused(void)
{
    Sim *sim = sim_new(29, 3, STEPS);

    sim_start(sim, 0, -1);
    sim_start(sim, 1, -1);
    sim->options.size = 2; /* as rank 1 of 2 it would be */
    sim_start(sim, 1, -1);
    sim->options.size = 3;
    sim_run(sim, 5000);
    g_assert_cmpint(sim->ending[1], ==, LOOM_END_FAILED);
    g_assert_nonnull(strstr(sim->why[1], "started as one of 2 ranks, this run has 3"));
    sim_free(sim);
}

/* Damaged bytes are dropped; bytes damaged with care are read without harm. */
static void test_hostile(void)
{
    Sim *sim = started(31, 3);
    LoomRng rng = loom_rng(1, "damage", 0);

    sim_run(sim, 6000);
    sim_leave(sim, 1);
    sim_run(sim, 9000);
    g_assert_cmpuint(sim->recorded->len, >, 50);
    for (guint i = 0; i < 20000; i++) {
        GBytes *whole = sim->recorded->pdata[loom_rng_below(&rng, sim->recorded->len)];
        gsize n;
        const guint8 *from = g_bytes_get_data(whole, &n);
        g_autofree guint8 *bytes = g_memdup2(from, n);
        const gsize kept = loom_rng_below(&rng, 4) ? n : (gsize)loom_rng_below(&rng, (gint64)n);
        const guint64 before = loom_machine_dropped(sim->process[0].machine);

        for (gint64 k = loom_rng_below(&rng, 8); k >= 0; k--)
            bytes[loom_rng_below(&rng, (gint64)n)] ^= (guint8)(1 + loom_rng_below(&rng, 255));
        g_autoptr(GBytes) plain = g_bytes_new(bytes, kept);
        if (!g_bytes_equal(plain, whole)) {
            loom_machine_receive(sim->process[0].machine, plain, sim->now);
            g_assert_cmpuint(loom_machine_dropped(sim->process[0].machine), ==, before + 1);
            g_assert_null(loom_machine_next(sim->process[0].machine));
        }
    }
    sim_run(sim, 120000);
    g_assert_cmpint(sim->ending[0], ==, LOOM_END_DONE);
    g_assert_cmpint(sim->ending[2], ==, LOOM_END_DONE);
    sim_free(sim);
}

/* The same with a right digest: a machine of its own may believe it, but not break. */
static void test_forged(void)
{
    Sim *sim = started(37, 3);
    LoomRng rng = loom_rng(2, "damage", 0);
    guint forged = 0;

    sim_run(sim, 8000);
    for (guint i = 0; i < 30000; i++) {
        GBytes *whole = sim->recorded->pdata[loom_rng_below(&rng, sim->recorded->len)];
        gsize n, size = 32;
        const guint8 *from = g_bytes_get_data(whole, &n);
        g_autofree guint8 *bytes = g_malloc(n + 16);
        g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);

        memcpy(bytes, from, n);
        n -= 16;
        for (gint64 k = loom_rng_below(&rng, 4); k >= 0; k--)
            bytes[loom_rng_below(&rng, (gint64)n)] ^= (guint8)(1 + loom_rng_below(&rng, 255));
        g_checksum_update(sum, bytes, (gssize)n);
        g_checksum_get_digest(sum, bytes + n, &size);
        g_autoptr(GBytes) message = g_bytes_new(bytes, n + 16);
        loom_machine_receive(sim->process[i % 3].machine, message, sim->now + i);
        loom_machine_tick(sim->process[i % 3].machine, sim->now + i);
        for (LoomAct *act; (act = loom_machine_next(sim->process[i % 3].machine));) {
            forged += act->kind == LOOM_ACT_SEND ? 1 : 0;
            loom_act_free(act);
        }
    }
    g_assert_cmpuint(forged, >, 0);
    sim_free(sim);
}

/* ---- random disasters --------------------------------------------------------------- */

static void heal(Sim *sim)
{
    memset(sim->cut, 0, sizeof sim->cut);
    sim->drop = MIN(sim->drop, 0.05);
}

/* One disaster that leaves a majority; then all must finish. */
static void one_disaster(Sim *sim, guint kind, guint seat)
{
    const gint64 at = sim->now;

    switch (kind) {
    case 0:
        sim_pause(sim, seat, 500 + sim_below(sim, 20000));
        break;
    case 1:
        sim_kill(sim, seat);
        sim->left[seat] = at + 200 + sim_below(sim, 15000);
        break;
    case 2: /* one side, both ways */
    case 3: /* one side, one way */
        for (guint s = 0; s < sim->n; s++) {
            if (s == seat)
                continue;
            if (kind == 2 || seat % 2)
                sim_cut(sim, s, seat, TRUE);
            if (kind == 2 || seat % 2 == 0)
                sim_cut(sim, seat, s, TRUE);
        }
        break;
    case 4: { /* one pair, one way or both */
        const guint other = (seat + 1 + (guint)sim_below(sim, sim->n - 1)) % sim->n;

        sim_cut(sim, seat, other, TRUE);
        sim_cut(sim, other, seat, sim_below(sim, 2) != 0);
        break;
    }
    default: /* the network at its worst */
        sim->drop = 0.3;
        sim->twice = 0.3;
        sim->delay = 800;
        break;
    }
    sim_run(sim, at + 1000 + sim_below(sim, 25000));
    heal(sim);
    sim->delay = MIN(sim->delay, 200);
}

static void random_seed(guint64 seed)
{
    const guint n = 3 + (guint)(seed % 3);
    Sim *sim = started(seed, n);
    const gboolean chaos = seed % 4 == 3;

    sim->drop = 0.02 * (double)sim_below(sim, 4);
    sim->twice = 0.1 * (double)sim_below(sim, 3);
    sim->delay = 5 + sim_below(sim, 100);
    sim->restarts = TRUE;
    sim->shared = seed % 5 < 2;
    sim->total = chaos ? 300 : 200;
    sim_run(sim, 4000 + sim_below(sim, 15000));
    for (gint64 d = chaos ? 6 : 1; d > 0; d--) {
        const guint seat = (guint)sim_below(sim, n);

        if (sim->process[seat].machine && !sim->ended[seat])
            one_disaster(sim, (guint)sim_below(sim, 6), seat);
        if (chaos && sim_below(sim, 2)) /* the next one meets the change of this one */
            sim_run(sim, sim->now + sim_below(sim, 8000));
    }
    heal(sim);
    sim_run(sim, sim->now + 900000);
    if (!chaos)
        all_end(sim, NOBODY, LOOM_END_DONE);
    else if (!sim_over(sim))
        sim_broken(sim, "it never ends");
    sim_free(sim);
}

static void test_random(void)
{
    const char *one = g_getenv("LOOM_TEST_SEED"), *many = g_getenv("LOOM_TEST_SEEDS");
    const guint64 n = many ? g_ascii_strtoull(many, NULL, 10) : 200;

    if (one) {
        random_seed(g_ascii_strtoull(one, NULL, 10));
        return;
    }
    for (guint64 seed = 1; seed <= n; seed++)
        random_seed(seed);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/member/calm", test_calm);
    g_test_add_func("/member/killed", test_killed);
    g_test_add_func("/member/returns", test_returns);
    g_test_add_func("/member/half-arrives", test_half_arrives);
    g_test_add_func("/member/stopped", test_stopped);
    g_test_add_func("/member/stalled", test_stalled);
    g_test_add_func("/member/partition", test_partition);
    g_test_add_func("/member/halves", test_halves);
    g_test_add_func("/member/leaves", test_leaves);
    g_test_add_func("/member/fails", test_fails);
    g_test_add_func("/member/fails-at-length", test_fails_at_length);
    g_test_add_func("/member/missing", test_missing);
    g_test_add_func("/member/too-few", test_too_few);
    g_test_add_func("/member/refused", test_refused);
    g_test_add_func("/member/hostile", test_hostile);
    g_test_add_func("/member/forged", test_forged);
    g_test_add_func("/member/random", test_random);
    return loom_test_run();
}
