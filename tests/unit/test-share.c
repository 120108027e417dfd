/* Which process makes which packet: compared with a walk over all packets of a chain of stages,
 * for every number of ranks, of patches a volume and of samples a batch. */
#include "loom_test.h"

#include "graph/share.h"

#include <string.h>

#define CHAIN 4 /* source, cut, batch, step */
#define SOURCES 60

typedef struct {
    LoomHop hops[CHAIN];
} Chain;

/* cut: 1 packet becomes @patches; batch: @size become 1; the first @placed are of group 1. */
static void chain_make(Chain *chain, gint64 patches, gint64 size, guint placed, gint64 taken)
{
    memset(chain, 0, sizeof *chain);
    for (guint i = 0; i < CHAIN; i++) {
        LoomHop *hop = &chain->hops[i];

        hop->in = hop->out = 1;
        hop->parent = i ? hop - 1 : NULL;
        hop->toward = i + 1 < CHAIN ? hop + 1 : NULL;
        hop->counts = i + 1 == CHAIN;
        hop->group = i < placed;
    }
    chain->hops[1].out = patches;
    chain->hops[2].in = size;
    gint64 number = taken; /* as loom_graph_begin_at does */
    for (guint i = CHAIN; i-- > 0;) {
        chain->hops[i].first = number;
        number = number / chain->hops[i].out * chain->hops[i].in;
    }
}

/* The rank-steps that packet @index of hop @at becomes part of, by following each packet. */
static void steps_of(const Chain *chain, guint at, gint64 index, gboolean *steps, gint64 n)
{
    if (at + 1 == CHAIN) {
        if (index < n)
            steps[index] = TRUE;
        return;
    }
    const LoomHop *next = &chain->hops[at + 1];
    for (gint64 k = 0; k < next->out; k++)
        steps_of(chain, at + 1, index / next->in * next->out + k, steps, n);
}

static void check_trainers(gint64 patches, gint64 size, guint ranks, gint64 taken)
{
    const gint64 n = SOURCES * patches;
    Chain chain;

    chain_make(&chain, patches, size, 0, taken);
    for (guint rank = 0; rank < ranks; rank++) {
        const LoomShare share = {rank, ranks, taken / ranks, taken};

        for (guint at = 0; at + 1 < CHAIN; at++)
            for (gint64 index = 0; index < SOURCES / 2; index++) {
                g_autofree gboolean *steps = g_new0(gboolean, (gsize)n);
                gboolean wanted = FALSE;

                steps_of(&chain, at, index, steps, n);
                for (gint64 k = taken; k < n; k++)
                    wanted = wanted || (steps[k] && (k - taken) % ranks == rank);
                g_assert_cmpint(
                    loom_share_wants(&share, &chain.hops[at], index, 0, rank, ranks), ==,
                    wanted);
            }
    }
}

static void test_trainers(void)
{
    for (gint64 patches = 1; patches <= 4; patches++)
        for (gint64 size = 1; size <= 4; size++)
            for (guint ranks = 1; ranks <= 5; ranks++)
                for (gint64 taken = 0; taken <= 10; taken += 5)
                    check_trainers(patches, size, ranks, taken);
}

/* Every packet on the edge that a trainer wants is made by exactly one loader, which itself
 * wants all that it is made of. */
static void test_loaders(void)
{
    for (gint64 patches = 1; patches <= 3; patches++)
        for (guint loaders = 1; loaders <= 4; loaders++) {
            const LoomShare share = {0, 2, 0, 0};
            Chain chain;

            chain_make(&chain, patches, 2, 2, 0);
            const LoomHop *edge = &chain.hops[1];
            for (gint64 index = 0; index < SOURCES; index++) {
                const guint maker = loom_share_maker(edge, index, loaders);

                g_assert_cmpuint(maker, <, loaders);
                g_assert_cmpint(loom_share_maker(edge, index / patches * patches, loaders), ==,
                                maker); /* the patches of a volume stay together */
                for (guint l = 0; l < loaders; l++)
                    g_assert_cmpint(loom_share_wants(&share, edge, index, 1, l, loaders), ==,
                                    l == maker);
                g_assert_true(loom_share_wants(&share, &chain.hops[0], index / patches, 1,
                                               maker, loaders));
            }
        }
}

static void test_steps(void)
{
    const LoomShare share = {1, 4, 10, 25}; /* 10 steps of which some were with fewer ranks */

    g_assert_cmpint(loom_share_step(&share, 24), ==, 9);
    g_assert_cmpint(loom_share_step(&share, 25), ==, 10);
    g_assert_cmpint(loom_share_step(&share, 28), ==, 10);
    g_assert_cmpint(loom_share_step(&share, 29), ==, 11);
    g_assert_cmpint(loom_share_taken(&share, 10), ==, 25);
    g_assert_cmpint(loom_share_taken(&share, 12), ==, 33);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/share/trainers", test_trainers);
    g_test_add_func("/share/loaders", test_loaders);
    g_test_add_func("/share/steps", test_steps);
    return loom_test_run();
}
