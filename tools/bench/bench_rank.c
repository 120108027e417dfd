/* bench_rank - one process of `segloom bench allreduce`: sums, measures, checks the sum. */
#include "bench_rank.h"

#include "plugin_open.h"

#include <loom/network.h>

#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <signal.h>
#include <unistd.h>

#define WARM_UPS 3
#define LONGEST_LINE 512

/* Whole numbers whose sums over ranks are exact in f32. */
#define PERIOD 1000

typedef struct {
    LoomPool *pool;
    LoomNode *nodes[2];
    LoomInstance *transport, *collective;
    char *folder, *socket; /* of ipc; NULL: none */
    char *addresses[64], *hosts[64];
} Rank;

static const LoomCollective *plugin_of(const Rank *rank)
{
    return (const LoomCollective *)rank->collective->plugin;
}

static LoomInstance *instance_open(const LoomRegistry *registry, Rank *rank, LoomKind kind,
                                   guint which, const char *text, GError **error)
{
    rank->nodes[which] = loom_yaml_parse(text, strlen(text), "bench", "/", error);
    if (!rank->nodes[which])
        return NULL;
    return plugin_open(registry, rank->pool, kind, rank->nodes[which], error);
}

static gboolean plugins_open(const LoomRegistry *registry, const BenchOrder *order, Rank *rank,
                             GError **error)
{
    g_autofree char *transport = g_strdup_printf("{use: %s}", order->transport);
    g_autoptr(GString) collective = g_string_new(NULL);
    const LoomPlugin *plugin =
        loom_registry_find(registry, LOOM_KIND_COLLECTIVE, order->collective);
    gboolean shares = FALSE;

    for (const LoomParam *row = plugin ? plugin->params : NULL; row && row->name; row++)
        shares |= g_str_equal(row->name, "shared_memory");
    g_string_printf(collective, "{use: %s", order->collective);
    if (shares)
        g_string_append_printf(collective, ", shared_memory: %s",
                               g_str_equal(order->over, "shm") ? "true" : "false");
    if (order->chunk)
        g_string_append_printf(collective, ", chunk: %" G_GINT64_FORMAT, order->chunk);
    g_string_append_c(collective, '}');
    rank->pool = loom_pool_new(1);
    rank->transport = instance_open(registry, rank, LOOM_KIND_TRANSPORT, 0, transport, error);
    if (!rank->transport)
        return FALSE;
    rank->collective =
        instance_open(registry, rank, LOOM_KIND_COLLECTIVE, 1, collective->str, error);
    return rank->collective != NULL;
}

static void rank_close(Rank *rank)
{
    loom_instance_free(rank->collective);
    loom_instance_free(rank->transport);
    for (guint i = 0; i < G_N_ELEMENTS(rank->addresses); i++) {
        g_free(rank->addresses[i]);
        g_free(rank->hosts[i]);
    }
    for (guint i = 0; i < G_N_ELEMENTS(rank->nodes); i++)
        loom_node_free(rank->nodes[i]);
    if (rank->pool)
        loom_pool_free(rank->pool);
    if (rank->socket)
        unlink(rank->socket);
    if (rank->folder)
        rmdir(rank->folder);
    g_free(rank->socket);
    g_free(rank->folder);
}

/* ---- meeting ------------------------------------------------------------------------ */

static gboolean addresses_read(const BenchOrder *order, Rank *rank, GError **error)
{
    char line[LONGEST_LINE];

    for (gint i = 0; i < order->ranks; i++) {
        if (!fgets(line, sizeof line, stdin) || !strchr(line, '\n'))
            return loom_fail(error, LOOM_ERROR_IO, "no address of rank %d came", i);
        rank->addresses[i] = g_strdup(g_strchomp(line));
    }
    return TRUE;
}

static gboolean rank_meet(const BenchOrder *order, Rank *rank, GError **error)
{
    const LoomCollective *plugin = plugin_of(rank);
    g_autofree char *address = NULL;

    for (gint i = 0; i < order->ranks; i++)
        rank->hosts[i] = g_strdup("here");
    if (!plugin->listen) {
        for (gint i = 0; i < order->ranks; i++)
            rank->addresses[i] = g_strdup("");
        return TRUE;
    }
    if (g_str_equal(order->over, "ipc")) {
        rank->folder = g_dir_make_tmp("segloom-bench-XXXXXX", error);
        if (!rank->folder)
            return FALSE;
        rank->socket = g_strdup_printf("%s/%d", rank->folder, order->rank);
        address = g_strdup_printf("ipc://%s", rank->socket);
    } else {
        address = g_strdup("tcp://127.0.0.1:*");
    }
    if (!plugin->listen(rank->collective->self, rank->transport, address, error))
        return FALSE;
    printf("%s\n", plugin->address(rank->collective->self));
    fflush(stdout);
    return addresses_read(order, rank, error);
}

/* ---- measuring ---------------------------------------------------------------------- */

/* KiB of memory at the most. */
static guint64 peak_kib(void)
{
    g_autofree char *status = NULL;

    if (!g_file_get_contents("/proc/self/status", &status, NULL, NULL))
        return 0;
    const char *line = strstr(status, "VmHWM:");
    return line ? g_ascii_strtoull(line + strlen("VmHWM:"), NULL, 10) : 0;
}

static gboolean flow_check(LoomFlow flow, GError **error)
{
    return flow == LOOM_FLOW_OK || (error && *error)
           || loom_fail(error, LOOM_ERROR_IO, "the sum was stopped");
}

static gboolean gather(const Rank *rank, gconstpointer bytes, gsize size, GPtrArray *all,
                       GError **error)
{
    g_autoptr(GBytes) mine = g_bytes_new(bytes, size);
    const LoomFlow flow = plugin_of(rank)->gather(rank->collective->self, mine, all, error);

    return flow_check(flow, error) && flow == LOOM_FLOW_OK;
}

static gboolean sum_check(const float *buffer, gint64 count, gint ranks, GError **error)
{
    for (gint64 i = 0; i < count; i++) {
        const float wanted = (float)(ranks * (ranks + 1) / 2 * (i % PERIOD + 1));

        if (buffer[i] != wanted)
            return loom_fail(error, LOOM_ERROR_NUMERIC,
                             "float %" G_GINT64_FORMAT " of the sum is %g, want %g", i,
                             (double)buffer[i], (double)wanted);
    }
    return TRUE;
}

/* Once: fills, waits until all have, sums, checks. */
static gboolean once(const BenchOrder *order, const Rank *rank, float *buffer, gint64 count,
                     double *seconds, GError **error)
{
    const LoomCollective *plugin = plugin_of(rank);
    g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);

    for (gint64 i = 0; i < count; i++)
        buffer[i] = (float)((order->rank + 1) * (i % PERIOD + 1));
    if (!gather(rank, "", 0, all, error))
        return FALSE;
    const gint64 start = g_get_monotonic_time();
    if (!plugin->sum_start(rank->collective->self, buffer, count, error))
        return FALSE;
    const LoomFlow flow = plugin->sum_wait(rank->collective->self, error);
    *seconds = (double)(g_get_monotonic_time() - start) / G_USEC_PER_SEC;
    return flow_check(flow, error) && flow == LOOM_FLOW_OK
           && sum_check(buffer, count, order->ranks, error);
}

static gboolean result_print(const BenchOrder *order, const Rank *rank, const double *seconds,
                             GError **error)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    const guint64 own = peak_kib();
    guint64 peak = 0;

    if (!gather(rank, &own, sizeof own, all, error))
        return FALSE;
    for (guint i = 0; i < all->len; i++) {
        guint64 one = 0;

        memcpy(&one, g_bytes_get_data(all->pdata[i], NULL),
               MIN(sizeof one, g_bytes_get_size(all->pdata[i])));
        peak = MAX(peak, one);
    }
    if (order->rank != 0)
        return TRUE;
    printf("%" G_GUINT64_FORMAT, peak);
    for (gint i = 0; i < order->repeat; i++)
        printf(" %.6f", seconds[i]);
    printf("\n");
    fflush(stdout);
    return TRUE;
}

static gboolean size_run(const BenchOrder *order, const Rank *rank, double mib, GError **error)
{
    const LoomCollective *plugin = plugin_of(rank);
    const gint64 count = (gint64)(mib * 1048576 / sizeof(float));
    g_autofree double *seconds = g_new0(double, (gsize)(order->repeat + WARM_UPS));
    float *buffer = plugin->buffer_new(rank->collective->self, count, error);
    gboolean good = buffer != NULL;

    for (gint i = 0; good && i < order->repeat + WARM_UPS; i++)
        good = once(order, rank, buffer, count, &seconds[i], error);
    good = good && result_print(order, rank, seconds + WARM_UPS, error);
    if (buffer)
        plugin->buffer_free(rank->collective->self, buffer);
    return good;
}

gboolean bench_rank_run(const LoomRegistry *registry, const BenchOrder *order, GError **error)
{
    Rank rank = {0};
    LoomGroup group = {.generation = 1,
                       .rank = (guint)order->rank,
                       .size = (guint)order->ranks,
                       .addresses = (const char *const *)rank.addresses,
                       .hosts = (const char *const *)rank.hosts};
    g_autofree const char **keys = g_new0(const char *, (gsize)order->ranks);

    group.keys = keys;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* no rank outlives who asked for it */
    gboolean good = plugins_open(registry, order, &rank, error)
                    && rank_meet(order, &rank, error)
                    && plugin_of(&rank)->join(rank.collective->self, &group, error);
    for (guint i = 0; good && i < order->n_mib; i++)
        good = size_run(order, &rank, order->mib[i], error);
    rank_close(&rank);
    return good;
}
