/* test-mpi-collective - one rank of a check of the collective `mpi`; mpi-collective.sh starts
 * them with mpirun, and reads what they say.
 *   test-mpi-collective good | desync | abort | alone */
#include "loom_test.h"

#include <loom/network.h>

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static LoomInstance *instance;
static const LoomCollective *mpi;
static gpointer self;
static guint rank, size;

#define MAX_RANKS 9
static const char *const no_keys[MAX_RANKS] = {NULL};
static const char *const one_host[MAX_RANKS] = {"h", "h", "h", "h", "h", "h", "h", "h", "h"};
static const char *const no_address[MAX_RANKS] = {"", "", "", "", "", "", "", "", ""};

static LoomGroup group(guint64 generation)
{
    return (LoomGroup){generation, rank, size, no_address, no_keys, one_host};
}

/* Only rank 0 speaks: what it says is what all of them did, as each waits for the others. */
static void passed(const char *what)
{
    if (rank == 0)
        g_print("ok - %s, %u ranks\n", what, size);
}

static guint from_environment(const char *name, guint otherwise)
{
    const char *text = g_getenv(name);

    return text ? (guint)g_ascii_strtoull(text, NULL, 10) : otherwise;
}

/* Value @i of rank @r: of both signs and many sizes, and no two sums of them in different
 * orders are likely to be the same. */
static float value_of(guint r, gint64 i)
{
    const guint32 x = ((guint32)i * 2654435761u) ^ ((r + 1) * 40503u * 65537u);

    return ((float)(gint32)(x * 2246822519u) / 65536.0f) * (i % 3 == 0 ? 1e-3f : 1.0f);
}

static GBytes *digest(const float *values, gint64 count)
{
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    const char *hex;

    g_checksum_update(sum, (const guchar *)values, (gssize)((gsize)count * sizeof *values));
    hex = g_checksum_get_string(sum);
    return g_bytes_new(hex, strlen(hex));
}

static GPtrArray *gather(GBytes *mine)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    g_autoptr(GError) error = NULL;
    const LoomFlow flow = mpi->gather(self, mine, all, &error);

    g_assert_no_error(error);
    g_assert_cmpint((int)flow, ==, LOOM_FLOW_OK);
    g_assert_cmpuint(all->len, ==, size);
    return g_steal_pointer(&all);
}

static void sum_wait(void)
{
    g_autoptr(GError) error = NULL;
    const LoomFlow flow = mpi->sum_wait(self, &error);

    g_assert_no_error(error);
    g_assert_cmpint((int)flow, ==, LOOM_FLOW_OK);
}

static void sum_start(float *buffer, gint64 count)
{
    g_autoptr(GError) error = NULL;

    mpi->sum_start(self, buffer, count, &error);
    g_assert_no_error(error);
}

/* Against a sum in double: each of size - 1 additions is off by at most half an ulp of what was
 * added up by then. */
static void check_sum(const float *buffer, gint64 count)
{
    for (gint64 i = 0; i < count; i++) {
        double sum = 0, sizes = 0;

        for (guint r = 0; r < size; r++) {
            sum += (double)value_of(r, i);
            sizes += fabs((double)value_of(r, i));
        }
        if (fabs((double)buffer[i] - sum) > size * (double)FLT_EPSILON * sizes)
            g_error("value %" G_GINT64_FORMAT " of %" G_GINT64_FORMAT " is %g, want %g", i,
                    count, (double)buffer[i], sum);
    }
}

/* ---- good --------------------------------------------------------------------------- */

static void check_sums(void)
{
    const gint64 counts[] = {0, 1, size - 1, size, 8191, 1000003};

    for (guint c = 0; c < G_N_ELEMENTS(counts); c++) {
        const gint64 count = counts[c];
        float *buffer = mpi->buffer_new(self, count, NULL);
        g_autoptr(GBytes) first = NULL;

        g_assert_nonnull(buffer);
        g_assert_cmpuint((guintptr)buffer % 64, ==, 0);
        for (guint round = 0; round < 3; round++) {
            g_autoptr(GBytes) mine = NULL;
            g_autoptr(GPtrArray) all = NULL;

            for (gint64 i = 0; i < count; i++)
                buffer[i] = value_of(rank, i);
            g_usleep(2000
                     * ((rank * 7 + round * 3) % size)); /* another one is late each time */
            sum_start(buffer, count);
            sum_wait();
            check_sum(buffer, count);
            mine = digest(buffer, count);
            all = gather(mine);
            if (!first)
                first = g_bytes_ref(mine);
            g_assert_true(g_bytes_equal(mine, first)); /* whoever came late */
            for (guint r = 0; r < size; r++)
                g_assert_true(g_bytes_equal(mine, all->pdata[r])); /* and on all ranks */
        }
        mpi->buffer_free(self, buffer);
    }
    passed("sums are right, and the same bits on all ranks whoever comes late");
}

/* More than one of MPI's calls can count, cut down to what fits into a test: see CHUNK. */
static void check_long(void)
{
    const gint64 count = (1 << 24) + 3;
    float *buffer = mpi->buffer_new(self, count, NULL);

    for (gint64 i = 0; i < count; i++)
        buffer[i] = value_of(rank, i);
    sum_start(buffer, count);
    sum_wait();
    check_sum(buffer, count);
    mpi->buffer_free(self, buffer);
    passed("a sum of more than one chunk");
}

static void check_many(void)
{
    float *buffers[17];
    const float special[] = {NAN, INFINITY, FLT_TRUE_MIN, -0.0f};

    for (guint b = 0; b < G_N_ELEMENTS(buffers); b++) {
        buffers[b] = mpi->buffer_new(self, 5000 + b, NULL);
        for (gint64 i = 0; i < 5000 + b; i++)
            buffers[b][i] = value_of(rank, i + b);
        if (b == 0)
            memcpy(buffers[b], special, sizeof special);
        sum_start(buffers[b], 5000 + b);
    }
    sum_wait();
    g_assert_true(isnan(buffers[0][0]));
    g_assert_true(isinf(buffers[0][1]));
    g_assert_true(buffers[0][2] == (float)size * FLT_TRUE_MIN);
    for (guint b = 1; b < G_N_ELEMENTS(buffers); b++)
        for (gint64 i = 0; i < 5000 + b; i++) {
            double sum = 0, sizes = 0;

            for (guint r = 0; r < size; r++) {
                sum += (double)value_of(r, i + b);
                sizes += fabs((double)value_of(r, i + b));
            }
            g_assert_true(fabs((double)buffers[b][i] - sum)
                          <= size * (double)FLT_EPSILON * sizes);
        }
    for (guint b = 0; b < G_N_ELEMENTS(buffers); b++)
        mpi->buffer_free(self, buffers[b]);
    passed("17 sums under way at once, with NaN, infinity and a denormal");
}

static void check_bytes(void)
{
    float data[1000];

    for (guint round = 0; round < 3; round++) { /* lengths 0, 100 and 70 kB, in any order */
        const gsize length = (rank + round) % 3 * ((rank + round) % 3 == 1 ? 100 : 35000);
        g_autofree guint8 *bytes = g_malloc0(length + 1);
        g_autoptr(GBytes) mine = NULL;
        g_autoptr(GPtrArray) all = NULL;

        memset(bytes, (int)(rank + 1), length);
        mine = g_bytes_new(bytes, length);
        all = gather(mine);
        for (guint r = 0; r < size; r++) {
            gsize got;
            const guint8 *of = g_bytes_get_data(all->pdata[r], &got);

            g_assert_cmpuint(got, ==, (r + round) % 3 * ((r + round) % 3 == 1 ? 100 : 35000));
            for (gsize i = 0; i < got; i++)
                g_assert_cmpuint(of[i], ==, r + 1);
        }
    }
    for (guint root = 0; root < size; root++) {
        g_autoptr(GError) error = NULL;

        for (gint64 i = 0; i < 1000; i++)
            data[i] = rank == root ? value_of(root, i) : -1.0f;
        g_assert_cmpint((int)mpi->broadcast(self, data, 1000, root, &error), ==, LOOM_FLOW_OK);
        g_assert_no_error(error);
        for (gint64 i = 0; i < 1000; i++)
            g_assert_true(data[i] == value_of(root, i));
    }
    g_assert_null(mpi->waiting(self));
    passed("gathers of all lengths, broadcasts from all roots");
}

/* Some other program's bytes: a gather larger than a gather may be. */
static void check_limit(void)
{
    g_autofree guint8 *bytes = g_malloc0((1u << 26) + 1);
    g_autoptr(GBytes) mine = g_bytes_new_static(bytes, (1u << 26) + 1);
    g_autoptr(GPtrArray) all = g_ptr_array_new();
    g_autoptr(GError) error = NULL;

    loom_assert_failed(mpi->gather(self, mine, all, &error), error, LOOM_ERROR,
                       LOOM_ERROR_LIMIT, "too many to gather");
}

static void check_generations(void)
{
    g_autoptr(GError) error = NULL;
    LoomGroup next = group(2), keyed = group(3), smaller = group(4);
    const char *hosts[MAX_RANKS], *keys[MAX_RANKS];

    mpi->abort(self); /* between calls: as when all ranks were told to stop */
    g_assert_cmpint((int)mpi->sum_wait(self, &error), ==, LOOM_FLOW_STOP);
    g_assert_no_error(error);
    g_assert_true(mpi->join(self, &next, &error));
    g_assert_no_error(error);
    check_bytes();

    for (guint r = 0; r < size; r++) {
        hosts[r] = r == rank ? "here" : "there";
        keys[r] = "0123456789012345678901234567890123456789";
    }
    keyed.hosts = hosts;
    keyed.keys = keys;
    if (size > 1)
        loom_assert_failed(mpi->join(self, &keyed, &error), error, LOOM_ERROR,
                           LOOM_ERROR_CONFIG, "clear_text: true");
    g_clear_error(&error);
    smaller.size = size + 1;
    loom_assert_failed(mpi->join(self, &smaller, &error), error, LOOM_ERROR, LOOM_ERROR_IO,
                       "MPI can neither lose nor take in a rank");
    passed("the same ranks form a second generation; other ones, and keys, are refused");
}

/* ---- bad ---------------------------------------------------------------------------- */

/* The last rank sums one value more: each rank names one that differs from it. */
static void check_desync(void)
{
    g_autoptr(GError) error = NULL;
    LoomGroup next = group(2);
    float *buffer = mpi->buffer_new(self, 100, NULL);

    mpi->sum_start(self, buffer, rank + 1 == size ? 11 : 10, &error);
    g_assert_no_error(error);
    loom_assert_failed(mpi->sum_wait(self, &error), error, LOOM_ERROR, LOOM_ERROR_PLUGIN,
                       "all ranks have to call the same in the same order");
    g_assert_nonnull(strstr(error->message, "sum of 11 values as call 1"));
    g_assert_nonnull(strstr(error->message, "sum of 10 values as call 1"));
    g_clear_error(&error);
    loom_assert_failed(mpi->join(self, &next, &error), error, LOOM_ERROR, LOOM_ERROR_IO,
                       "calls that not all ranks made");
    mpi->buffer_free(self, buffer);
    passed("a rank that sums something else is named");
}

static gpointer abort_later(G_GNUC_UNUSED gpointer nothing)
{
    g_autofree char *waiting = NULL;

    g_usleep(300000);
    waiting = mpi->waiting(self);
    g_assert_nonnull(strstr(waiting, "sum of 10 values as call 1 waits"));
    mpi->abort(self);
    return NULL;
}

/* The last rank sleeps; the others are released, and MPI is not finalised. */
static void check_abort(void)
{
    g_autoptr(GError) error = NULL;
    const gint64 began = g_get_monotonic_time();
    LoomGroup next = group(2);
    float *buffer = mpi->buffer_new(self, 10, NULL);
    GThread *thread;

    if (rank + 1 == size) {
        g_usleep(60 * G_USEC_PER_SEC); /* mpirun ends it long before */
        return;
    }
    mpi->sum_start(self, buffer, 10, &error);
    thread = g_thread_new("abort", abort_later, NULL);
    g_assert_cmpint((int)mpi->sum_wait(self, &error), ==, LOOM_FLOW_STOP);
    g_thread_join(thread);
    mpi->buffer_free(self, buffer);
    loom_assert_failed(mpi->join(self, &next, &error), error, LOOM_ERROR, LOOM_ERROR_IO,
                       "MPI can neither lose nor take in a rank");
    g_assert_cmpint(g_get_monotonic_time() - began, <, 20 * G_USEC_PER_SEC);
    passed("an abort releases who waits for a rank that does not come");
}

/* Without mpirun: who joins cannot know yet, who waits is told. */
static void check_alone(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) mine = g_bytes_new_static("me", 2);
    g_autoptr(GPtrArray) all = g_ptr_array_new();
    LoomGroup four = {1, 2, 4, no_address, no_keys, one_host};

    g_assert_true(mpi->join(self, &four, &error));
    loom_assert_failed(mpi->gather(self, mine, all, &error), error, LOOM_ERROR,
                       LOOM_ERROR_CONFIG, "'mpirun -n 4 segloom ...'");
    rank = 0;
    size = 1;
    passed("started without mpirun, it says so");
}

/* As the engine does it: rank 0 hears that another rank joined only after it did so itself. */
static void check_late(void)
{
    g_autoptr(GError) error = NULL;
    const gint64 began = g_get_monotonic_time();
    LoomGroup first = group(1);

    g_usleep(rank > 0 ? 1500000 : 0);
    g_assert_true(mpi->join(self, &first, &error));
    g_assert_no_error(error);
    if (rank == 0)
        g_assert_cmpint(g_get_monotonic_time() - began, <, 1400000);
    passed("who joins does not wait for those that join later");
}

int main(int argc, char *argv[])
{
    const char *what = argc == 2 ? argv[1] : "";

    rank = from_environment("OMPI_COMM_WORLD_RANK", 0);
    size = from_environment("OMPI_COMM_WORLD_SIZE", 1);
    g_assert_cmpuint(size, <=, MAX_RANKS);
    instance = loom_test_instance(LOOM_KIND_COLLECTIVE, "{use: mpi}", NULL, NULL);
    mpi = (const LoomCollective *)(gconstpointer)instance->plugin;
    self = instance->self;
    g_assert_cmpuint(mpi->flags & LOOM_COLLECTIVE_SURVIVES, ==, 0);
    if (strcmp(what, "alone") == 0) {
        check_alone();
        loom_instance_free(instance);
        return 0;
    }
    check_late();
    if (strcmp(what, "good") == 0) {
        check_sums();
        check_long();
        check_many();
        check_bytes();
        check_limit();
        check_generations();
    } else if (strcmp(what, "desync") == 0) {
        check_desync();
    } else if (strcmp(what, "abort") == 0) {
        check_abort();
    } else {
        g_error("want good, desync, abort or alone, not '%s'", what);
    }
    loom_instance_free(instance);
    return 0;
}
