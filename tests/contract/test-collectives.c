/* Every collective that can have its ranks in one process: sums to the bit in the order that it
 * documents, for awkward sizes; several at once; gather and broadcast; what goes wrong has
 * names; generations do not mix.  mpi, whose ranks must be processes, has a test of its own in
 * tests/cluster. */
#include "collective_world.h"

#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#define LOOPBACK "{use: loopback}"
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SLOW TRUE /* fewer sizes */
#else
#define SLOW FALSE
#endif

/* Small chunks: many of them without many bytes. */
static const struct {
    const char *name, *options;
} variants[] = {{"sockets", "chunk: 4096, shared_memory: false"},
                {"shared", "chunk: 4096, shared_memory: true"}};

/* ---- sums --------------------------------------------------------------------------- */

static void sum_counts(WorldRank *rank)
{
    const gint64 n = rank->size;
    const gint64 counts[] = {0,  1,     n - 1, n,      n + 1,      15 * n,
                             97, 16411, 1024,  100003, 262144 + 1, 0};

    for (guint i = 0; i < G_N_ELEMENTS(counts); i++) {
        if (SLOW && counts[i] > 20000)
            continue;
        float *buffer = rank_buffer(rank, counts[i]);

        rank_fill(rank, buffer, i, counts[i]);
        rank_sum(rank, buffer, counts[i]);
        rank_check(rank, buffer, i, counts[i]);
        rank_buffer_free(rank, buffer);
    }
}

static void test_sums(gconstpointer yaml)
{
    for (guint n = 1; n <= WORLD_MOST; n += n < 3 ? 1 : SLOW ? 5 : n < 5 ? 1 : 2) {
        g_autoptr(World) world = world_new(yaml, LOOPBACK, n, n);

        world_join(world, 1, n);
        world_run(world, n, sum_counts, NULL);
    }
}

/* Two hosts and a rest: part of the bytes is read where it lies, part is sent. */
static void test_hosts(gconstpointer yaml)
{
    g_autoptr(World) world = world_new(yaml, LOOPBACK, 5, 2);

    world_join(world, 1, 5);
    world_run(world, 5, sum_counts, NULL);
}

#define AT_ONCE 5
#define ROUNDS (SLOW ? 5 : 20)

/* Buckets of a step: all under way at once, and filled again as soon as they are back. */
static void sum_many(WorldRank *rank)
{
    static const gint64 counts[AT_ONCE] = {30011, 0, 5, 8192, 12289};
    const guint sleepy = GPOINTER_TO_UINT(rank->data);
    float *buffers[AT_ONCE];
    GError *error = NULL;

    for (guint k = 0; k < AT_ONCE; k++)
        buffers[k] = rank_buffer(rank, counts[k]);
    for (guint round = 0; round < ROUNDS; round++) {
        LoomRng rng = loom_rng(round, "delay", rank->rank);

        for (guint k = 0; k < AT_ONCE; k++) {
            rank_fill(rank, buffers[k], round * AT_ONCE + k, counts[k]);
            if (sleepy)
                g_usleep((gulong)loom_rng_below(&rng, sleepy));
            rank->plugin->sum_start(rank->self, buffers[k], counts[k], &error);
            g_assert_no_error(error);
        }
        g_assert_cmpint(rank->plugin->sum_wait(rank->self, &error), ==, LOOM_FLOW_OK);
        for (guint k = 0; k < AT_ONCE; k++)
            rank_check(rank, buffers[k], round * AT_ONCE + k, counts[k]);
        /* The trap: memory that somebody may still send from, or read. */
        for (guint k = 0; k < AT_ONCE; k++)
            memset(buffers[k], 0xff, (gsize)counts[k] * sizeof(float));
    }
    for (guint k = 0; k < AT_ONCE; k++)
        rank_buffer_free(rank, buffers[k]);
}

static void test_many(gconstpointer yaml)
{
    g_autoptr(World) world = world_new(yaml, LOOPBACK, 4, 4);

    world_join(world, 1, 4);
    world_run(world, 4, sum_many, NULL);
}

static void test_delays(gconstpointer yaml)
{
    g_autoptr(World) world =
        world_new(yaml, "{use: faulty, over: {use: loopback}, delay_ms: 1}", 3, 3);

    world_join(world, 1, 3);
    world_run(world, 3, sum_many, GUINT_TO_POINTER(2000));
}

static void sum_odd_numbers(WorldRank *rank)
{
    const float odd[] = {NAN, INFINITY, -INFINITY, 1e-42f, -0.0f, 3e38f};
    float *buffer = rank_buffer(rank, G_N_ELEMENTS(odd));

    for (guint i = 0; i < G_N_ELEMENTS(odd); i++)
        buffer[i] = rank->rank == 1 || i >= 3 ? odd[i] : 1;
    rank_sum(rank, buffer, G_N_ELEMENTS(odd));
    g_assert_true(isnan(buffer[0]));
    g_assert_true(buffer[1] == INFINITY && buffer[2] == -INFINITY);
    loom_assert_near((double)buffer[3], 3 * (double)1e-42f, 0); /* denormals are not flushed */
    g_assert_true(buffer[4] == 0 && signbit(buffer[4]));
    g_assert_true(buffer[5] == INFINITY);
    rank_buffer_free(rank, buffer);
}

static void test_odd_numbers(gconstpointer yaml)
{
    g_autoptr(World) world = world_new(yaml, LOOPBACK, 3, 3);

    world_join(world, 1, 3);
    world_run(world, 3, sum_odd_numbers, NULL);
}

static void sum_given(WorldRank *rank)
{
    float *buffer = ((float *const *)rank->data)[rank->rank];

    rank_fill(rank, buffer, 1, 100000);
    rank_sum(rank, buffer, 100000);
    rank_check(rank, buffer, 1, 100000);
}

/* Where there is not so much shared memory, a warning names the size, and sockets do it. */
static void test_no_shared_memory(void)
{
    g_autoptr(World) world = world_new("{use: direct}", LOOPBACK, 2, 2);
    struct rlimit before, little;
    float *buffers[2];

    world_join(world, 1, 2);
    g_assert_cmpint(getrlimit(RLIMIT_FSIZE, &before), ==, 0);
    signal(SIGXFSZ, SIG_IGN);
    little = before;
    little.rlim_cur = 100000; /* also of memory without a name */
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &little), ==, 0);
    for (guint i = 0; i < 2; i++) {
        g_test_expect_message(NULL, G_LOG_LEVEL_WARNING,
                              "404096 bytes of shared memory: *: its sums go over sockets");
        buffers[i] = rank_buffer(&world->ranks[i], 100000);
        g_test_assert_expected_messages();
    }
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &before), ==, 0);
    world_run(world, 2, sum_given, buffers);
    for (guint i = 0; i < 2; i++)
        rank_buffer_free(&world->ranks[i], buffers[i]);
}

/* ---- gather and broadcast ----------------------------------------------------------- */

static gsize length_of(guint rank, guint round)
{
    const gsize lengths[] = {0, 1, 5000, 3, 0, 70001, 4096};

    return lengths[(rank + round) % G_N_ELEMENTS(lengths)];
}

static void gather_all(WorldRank *rank)
{
    for (guint round = 0; round < 8; round++) {
        const gsize own = length_of(rank->rank, round);
        g_autofree char *text = g_malloc(own + 1);

        memset(text, (int)('a' + rank->rank), own);
        g_autoptr(GPtrArray) all = rank_gather(rank, text, own);
        for (guint i = 0; i < rank->size; i++) {
            gsize size;
            const char *bytes = g_bytes_get_data(all->pdata[i], &size);

            g_assert_cmpuint(size, ==, length_of(i, round));
            for (gsize k = 0; k < size; k++)
                g_assert_cmpint(bytes[k], ==, 'a' + (int)i);
        }
    }
}

static void broadcast_all(WorldRank *rank)
{
    static const gint64 counts[] = {0, 1, 1024, 30011};

    for (guint root = 0; root < rank->size; root++)
        for (guint k = 0; k < G_N_ELEMENTS(counts); k++) {
            g_autofree float *data = g_new0(float, (gsize)counts[k] + 1);
            GError *error = NULL;

            for (gint64 i = 0; rank->rank == root && i < counts[k]; i++)
                data[i] = world_value(root, k, i);
            data[counts[k]] = 77; /* nothing is written behind the end */
            g_assert_cmpint(rank->plugin->broadcast(rank->self, data, counts[k], root, &error),
                            ==, LOOM_FLOW_OK);
            for (gint64 i = 0; i < counts[k]; i++)
                g_assert_true(data[i] == world_value(root, k, i));
            g_assert_true(data[counts[k]] == 77);
        }
}

static void test_small(gconstpointer yaml)
{
    for (guint n = 1; n <= 7; n += 2) {
        g_autoptr(World) world = world_new(yaml, LOOPBACK, n, n);

        world_join(world, 1, n);
        world_run(world, n, gather_all, NULL);
        world_run(world, n, broadcast_all, NULL);
    }
}

/* ---- what goes wrong ---------------------------------------------------------------- */

static void desync_kind(WorldRank *rank)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    g_autoptr(GBytes) mine = g_bytes_new("mine", 4);
    g_autoptr(GError) error = NULL, again = NULL;
    float *buffer = rank_buffer(rank, 65536);

    if (rank->rank == 2) {
        loom_assert_failed(rank->plugin->gather(rank->self, mine, all, &error), error,
                           LOOM_ERROR, LOOM_ERROR_PLUGIN, "is at sum 1 of 65536 floats");
        g_assert_nonnull(strstr(error->message, "rank 2 at gather 1"));
    } else {
        rank->plugin->sum_start(rank->self, buffer, 65536, NULL);
        loom_assert_failed(rank->plugin->sum_wait(rank->self, &error), error, LOOM_ERROR,
                           LOOM_ERROR_PLUGIN, "desync: rank 2 is at gather 1, rank ");
        g_assert_nonnull(strstr(error->message, " at sum 1 of 65536 floats"));
    }
    /* The generation is broken until the next join. */
    g_assert_false(rank->plugin->gather(rank->self, mine, all, &again));
    g_assert_cmpstr(again->message, ==, error->message);
    rank_buffer_free(rank, buffer);
}

static void desync_count(WorldRank *rank)
{
    g_autoptr(GError) error = NULL;
    float *buffer = rank_buffer(rank, 100);

    rank->plugin->sum_start(rank->self, buffer, rank->rank == 0 ? 99 : 100, NULL);
    loom_assert_failed(rank->plugin->sum_wait(rank->self, &error), error, LOOM_ERROR,
                       LOOM_ERROR_PLUGIN, "desync: rank ");
    g_assert_nonnull(strstr(error->message, "sum 1 of 99 floats"));
    g_assert_nonnull(strstr(error->message, "sum 1 of 100 floats"));
    rank_buffer_free(rank, buffer);
}

static void test_desync(gconstpointer yaml)
{
    g_autoptr(World) world = world_new(yaml, LOOPBACK, 3, 3);

    world_join(world, 1, 3);
    world_run(world, 3, desync_kind, NULL);
    world_join(world, 2, 2);
    world_run(world, 2, desync_count, NULL);
    world_join(world, 3, 3);
    world_run(world, 3, sum_counts, NULL);
}

static void sum_stopped(WorldRank *rank)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new();
    g_autoptr(GBytes) mine = g_bytes_new("mine", 4);
    GError *error = NULL;
    float *buffer = rank_buffer(rank, 20000);

    rank->plugin->sum_start(rank->self, buffer, 20000, &error);
    g_assert_cmpint(rank->plugin->sum_wait(rank->self, &error), ==, LOOM_FLOW_STOP);
    rank_buffer_free(rank, buffer); /* at once: nobody may touch it any more */
    g_assert_cmpint(rank->plugin->gather(rank->self, mine, all, &error), ==, LOOM_FLOW_STOP);
    g_assert_cmpint(rank->plugin->sum_wait(rank->self, &error), ==, LOOM_FLOW_STOP);
    g_assert_no_error(error);
}

/* Aborts each rank once it says for whom it waits. */
static void *abort_all(void *data)
{
    World *world = data;

    for (guint i = 0; i < world->size - 1; i++) {
        WorldRank *rank = &world->ranks[i];
        const gint64 end = g_get_monotonic_time() + 60 * G_USEC_PER_SEC;
        char *text = NULL;

        while (!text || !strstr(text, " waits for rank 2")) {
            g_assert_cmpint(g_get_monotonic_time(), <, end);
            g_usleep(1000);
            g_free(text);
            text = rank->plugin->waiting(rank->self);
        }
        g_assert_cmpstr(text, ==, "sum 1 of 20000 floats waits for rank 2");
        g_free(text);
    }
    for (guint i = 0; i < world->size - 1; i++)
        world->ranks[i].plugin->abort(world->ranks[i].self);
    return NULL;
}

static void test_abort(gconstpointer yaml)
{
    g_autoptr(World) world = world_new(yaml, LOOPBACK, 3, 3);
    WorldRank *lost = &world->ranks[2];
    GThread *thread;
    GError *error = NULL;

    world_join(world, 7, 3);
    thread = g_thread_new("abort", abort_all, world);
    world_run(world, 2, sum_stopped, NULL);
    g_thread_join(thread);
    g_assert_null(world->ranks[0].plugin->waiting(world->ranks[0].self));

    /* Two go on; the third, which knows nothing of it, sends into the generation before. */
    world_join(world, 8, 2);
    float *buffer = rank_buffer(lost, 20000);
    lost->plugin->sum_start(lost->self, buffer, 20000, &error);
    world_run(world, 2, sum_counts, NULL);
    lost->plugin->abort(lost->self);
    g_assert_cmpint(lost->plugin->sum_wait(lost->self, &error), ==, LOOM_FLOW_STOP);
    rank_buffer_free(lost, buffer);

    world_join(world, 9, 3); /* and it comes back */
    world_run(world, 3, sum_counts, NULL);
}

/* One rank is in the next generation, and in a call, before the other one joins. */
static void sum_after(WorldRank *rank)
{
    if (rank->rank == 0)
        g_usleep(50000);
    world_join_one(rank->world, rank->rank, 2, 2);
    sum_counts(rank);
}

static void test_late_join(gconstpointer yaml)
{
    g_autoptr(World) world = world_new(yaml, LOOPBACK, 2, 2);

    world_join(world, 1, 2);
    world_run(world, 2, sum_counts, NULL);
    world_run(world, 2, sum_after, NULL);
}

/* ---- all of them -------------------------------------------------------------------- */

static const struct {
    const char *name;
    void (*run)(gconstpointer yaml);
} tests[] = {
    {"sums", test_sums},
    {"hosts", test_hosts},
    {"many", test_many},
    {"delays", test_delays},
    {"odd-numbers", test_odd_numbers},
    {"gather-broadcast", test_small},
    {"desync", test_desync},
    {"abort", test_abort},
    {"late-join", test_late_join},
};

int main(int argc, char **argv)
{
    g_setenv("LOOM_MODULE_PATH", TEST_MODULES, TRUE);
    g_test_init(&argc, &argv, NULL);
    g_autofree const LoomPlugin **list =
        loom_registry_list(loom_test_registry(), LOOM_KIND_COLLECTIVE);
    g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);

    for (const LoomPlugin **plugin = list; *plugin; plugin++)
        for (guint v = 0; v < G_N_ELEMENTS(variants); v++) {
            if (!(((const LoomCollective *)*plugin)->flags & LOOM_COLLECTIVE_SURVIVES))
                continue;
            g_ptr_array_add(
                texts, g_strdup_printf("{use: %s, %s}", (*plugin)->name, variants[v].options));
            for (guint i = 0; i < G_N_ELEMENTS(tests); i++) {
                g_autofree char *path = g_strdup_printf("/collective/%s/%s/%s", (*plugin)->name,
                                                        variants[v].name, tests[i].name);

                g_test_add_data_func(path, texts->pdata[texts->len - 1], tests[i].run);
            }
        }
    g_assert_cmpuint(texts->len, >=, 4); /* direct and ring are there */
    g_test_add_func("/collective/direct/no-shared-memory", test_no_shared_memory);
    return loom_test_run();
}
