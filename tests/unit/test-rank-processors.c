/* How the processors are dealt out among ranks: all of those that this process may use, none
 * twice, nobody without, and none of those that it may not use. */
#define _GNU_SOURCE /* CPU_COUNT, sched_getaffinity */
#include "loom_test.h"

#include "rank_processors.h"

static void test_dealt(void)
{
    cpu_set_t allowed;

    g_assert_cmpint(sched_getaffinity(0, sizeof allowed, &allowed), ==, 0);
    const int n = CPU_COUNT(&allowed);
    for (int ranks = 1; ranks <= MIN(n, 9); ranks++) {
        g_autofree cpu_set_t *shares = rank_processors_deal((guint)ranks);
        cpu_set_t seen;

        g_assert_nonnull(shares);
        CPU_ZERO(&seen);
        for (int i = 0; i < ranks; i++) {
            cpu_set_t twice;

            CPU_AND(&twice, &seen, &shares[i]);
            g_assert_cmpint(CPU_COUNT(&twice), ==, 0);
            g_assert_cmpint(CPU_COUNT(&shares[i]), >=, n / ranks);
            CPU_OR(&seen, &seen, &shares[i]);
        }
        g_assert_true(CPU_EQUAL(&seen, &allowed));
    }
    g_assert_null(rank_processors_deal((guint)n + 1));
}

/* As under taskset, Slurm or in a container. */
static void test_restricted(void)
{
    cpu_set_t allowed, one;
    gsize last = 0;

    g_assert_cmpint(sched_getaffinity(0, sizeof allowed, &allowed), ==, 0);
    for (gsize i = 0; i < CPU_SETSIZE; i++)
        last = CPU_ISSET(i, &allowed) ? i : last;
    CPU_ZERO(&one);
    CPU_SET(last, &one);
    g_assert_cmpint(sched_setaffinity(0, sizeof one, &one), ==, 0);
    g_autofree cpu_set_t *shares = rank_processors_deal(1);
    g_assert_nonnull(shares);
    g_assert_true(CPU_EQUAL(&shares[0], &one));
    g_assert_null(rank_processors_deal(2));
    g_assert_cmpint(sched_setaffinity(0, sizeof allowed, &allowed), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/rank-processors/dealt", test_dealt);
    g_test_add_func("/rank-processors/restricted", test_restricted);
    return loom_test_run();
}
