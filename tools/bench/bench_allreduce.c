/* bench_allreduce - segloom bench allreduce: how long do the sums of a training step take?  The
 * ranks are processes of this machine: this program, started once more for each, and bound to
 * its share of the processors, as `segloom launch` and mpirun do. */
#include "bench_rank.h"
#include "cmd_bench.h"
#include "command.h"
#include "rank_processors.h"

#include <loom/network.h>

#include <json-glib/json-glib.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST_RANKS 64
#define LONGEST_LINE (1 << 16)

static gint ranks_option = 2, repeat_option = 20, rank_option = -1;
static gint64 chunk_option;
static char *mib_option, *collective_option, *transport_option, *over_option;
static gboolean json_option;

static const GOptionEntry options[] = {
    {"ranks", 'n', 0, G_OPTION_ARG_INT, &ranks_option, "Processes, 2 by default", "N"},
    {"mib", 0, 0, G_OPTION_ARG_STRING, &mib_option, "Sizes, 8,32,63 by default", "M,..."},
    {"collective", 0, 0, G_OPTION_ARG_STRING, &collective_option,
     "direct (default), ring or mpi (through mpirun)", "NAME"},
    {"transport", 0, 0, G_OPTION_ARG_STRING, &transport_option, "zmq by default", "NAME"},
    {"over", 0, 0, G_OPTION_ARG_STRING, &over_option,
     "tcp (default, 127.0.0.1), ipc or shm (shared memory)", "WAY"},
    {"repeat", 0, 0, G_OPTION_ARG_INT, &repeat_option, "Sums of each size, 20 by default", "N"},
    {"chunk", 0, 0, G_OPTION_ARG_INT64, &chunk_option, "Bytes of a message", "BYTES"},
    {"json", 0, 0, G_OPTION_ARG_NONE, &json_option, "One object a line", NULL},
    {"as-rank", 0, G_OPTION_FLAG_HIDDEN, G_OPTION_ARG_INT, &rank_option, "One of them", "R"},
    G_OPTION_ENTRY_NULL,
};

static const CommandUsage usage = {
    .summary =
        "Sums floats over processes of this machine, checks the sums, tells the median.\n"
        "Bus bandwidth is 2 (n - 1) / n times size over time: what a link carries.",
    .example = "segloom bench allreduce --ranks 2 --mib 63 --json\n"
               "  segloom bench allreduce --ranks 4 --over shm",
    .options = options,
    .flags = COMMAND_MODULES,
};

/* ---- what was asked for ------------------------------------------------------------- */

static gboolean sizes_parse(GArray *mib, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(mib_option ? mib_option : "8,32,63", ",", -1);

    for (char **part = parts; *part; part++) {
        char *end = NULL;
        const double size = g_ascii_strtod(*part, &end);

        if (end == *part || *end || !(size > 0 && size <= 65536))
            return loom_fail(error, LOOM_ERROR_CONFIG,
                             "--mib: '%s' is no size in MiB above 0 and up to 65536", *part);
        g_array_append_val(mib, size);
    }
    return TRUE;
}

static gboolean order_check(const LoomRegistry *registry, const BenchOrder *order,
                            GError **error)
{
    static const char *const ways[] = {"tcp", "ipc", "shm", NULL};

    if (order->ranks < 2 || order->ranks > MOST_RANKS)
        return loom_fail(error, LOOM_ERROR_CONFIG, "--ranks: %d, want 2 to %d", order->ranks,
                         MOST_RANKS);
    if (order->repeat < 1 || order->repeat > 5000)
        return loom_fail(error, LOOM_ERROR_CONFIG, "--repeat: %d, want 1 to 5000",
                         order->repeat);
    if (!g_strv_contains(ways, order->over))
        return loom_fail(error, LOOM_ERROR_CONFIG, "--over: '%s', want tcp, ipc or shm",
                         order->over);
    return loom_registry_need(registry, LOOM_KIND_COLLECTIVE, order->collective, error) != NULL;
}

/* ---- processes ---------------------------------------------------------------------- */

typedef struct {
    GPid pid;
    FILE *to, *from;
} Process;

static void arguments_add(GPtrArray *argv, const BenchOrder *order, char **modules)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);

    g_ptr_array_add(argv, g_strdup(self ? self : "/proc/self/exe"));
    for (const char *const *word = (const char *const[]){"bench", "allreduce", NULL}; *word;
         word++)
        g_ptr_array_add(argv, g_strdup(*word));
    g_ptr_array_add(argv, g_strdup_printf("--ranks=%d", order->ranks));
    g_ptr_array_add(argv, g_strdup_printf("--repeat=%d", order->repeat));
    g_ptr_array_add(argv, g_strdup_printf("--chunk=%" G_GINT64_FORMAT, order->chunk));
    g_ptr_array_add(argv, g_strdup_printf("--collective=%s", order->collective));
    g_ptr_array_add(argv, g_strdup_printf("--transport=%s", order->transport));
    g_ptr_array_add(argv, g_strdup_printf("--over=%s", order->over));
    g_ptr_array_add(argv, g_strdup_printf("--mib=%s", mib_option ? mib_option : "8,32,63"));
    for (; modules && *modules; modules++)
        g_ptr_array_add(argv, g_strdup_printf("--modules=%s", *modules));
}

/* Between fork and exec: nothing here may allocate or lock. */
static void process_bind(gpointer share)
{
    rank_processors_bind(share);
}

/* @share: its processors; NULL: all. */
static gboolean process_start(Process *process, GPtrArray *argv, cpu_set_t *share,
                              GError **error)
{
    gint to, from;

    g_ptr_array_add(argv, NULL);
    if (!g_spawn_async_with_pipes(NULL, (char **)argv->pdata, NULL,
                                  G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD, process_bind,
                                  share, &process->pid, &to, &from, NULL, error))
        return FALSE;
    process->to = fdopen(to, "w");
    process->from = fdopen(from, "r");
    return TRUE;
}

/* The ranks; with a collective that is started by mpirun, mpirun. */
static gboolean processes_start(GArray *processes, const BenchOrder *order, gboolean mpi,
                                char **modules, GError **error)
{
    g_autofree cpu_set_t *shares = mpi ? NULL : rank_processors_deal((guint)order->ranks);

    for (gint i = 0; i < (mpi ? 1 : order->ranks); i++) {
        g_autoptr(GPtrArray) argv = g_ptr_array_new_with_free_func(g_free);
        Process process = {0};

        if (mpi) {
            g_autofree char *line = g_strdup_printf(
                "mpirun --allow-run-as-root --oversubscribe --mca pml ob1 --mca btl self,%s "
                "-n %d",
                g_str_equal(order->over, "shm") ? "vader" : "tcp", order->ranks);
            g_auto(GStrv) words = g_strsplit(line, " ", -1);

            for (char **word = words; *word; word++)
                g_ptr_array_add(argv, g_strdup(*word));
        }
        arguments_add(argv, order, modules);
        g_ptr_array_add(argv, g_strdup_printf("--as-rank=%d", mpi ? MOST_RANKS : i));
        if (!process_start(&process, argv, shares ? &shares[i] : NULL, error))
            return FALSE;
        g_array_append_val(processes, process);
    }
    return TRUE;
}

/* FALSE: one of them did not end well. */
static gboolean processes_end(GArray *processes, gboolean stop)
{
    gboolean good = TRUE;

    for (guint i = 0; i < processes->len; i++) {
        const Process *process = &g_array_index(processes, Process, i);
        int status = 0;

        if (stop)
            kill(process->pid, SIGTERM);
        fclose(process->to);
        good &= waitpid(process->pid, &status, 0) == process->pid && status == 0;
        fclose(process->from);
        g_spawn_close_pid(process->pid);
    }
    return good;
}

static gboolean addresses_share(const GArray *processes, GError **error)
{
    g_autoptr(GString) all = g_string_new(NULL);

    for (guint i = 0; i < processes->len; i++) {
        char line[512];

        if (!fgets(line, sizeof line, g_array_index(processes, Process, i).from))
            return loom_fail(error, LOOM_ERROR_IO, "rank %u did not start", i);
        g_string_append(all, line);
    }
    for (guint i = 0; i < processes->len; i++) {
        FILE *to = g_array_index(processes, Process, i).to;

        if (fputs(all->str, to) < 0 || fflush(to) != 0)
            return loom_fail(error, LOOM_ERROR_IO, "rank %u ended too early", i);
    }
    return TRUE;
}

/* ---- results ------------------------------------------------------------------------ */

static int doubles_compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void result_json(const BenchOrder *order, double mib, const char *over, double median,
                        double least, double busbw, double peak)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();

    json_builder_begin_object(builder);
#define MEMBER(Name, Type, Value)                                                              \
    json_builder_set_member_name(builder, Name), json_builder_add_##Type##_value(builder, Value)
    MEMBER("bench", string, "allreduce");
    MEMBER("ranks", int, order->ranks);
    MEMBER("mib", double, mib);
    MEMBER("collective", string, order->collective);
    MEMBER("transport", string, order->transport);
    MEMBER("over", string, over);
    MEMBER("seconds", double, median);
    MEMBER("seconds_min", double, least);
    MEMBER("busbw_gib", double, busbw);
    MEMBER("peak_mib", double, peak);
#undef MEMBER
    json_builder_end_object(builder);
    g_autoptr(JsonNode) root = json_builder_get_root(builder);
    g_autofree char *text = json_to_string(root, FALSE);
    g_print("%s\n", text);
}

static gboolean result_read(const BenchOrder *order, double mib, FILE *from, GError **error)
{
    g_autofree char *line = g_malloc(LONGEST_LINE);
    g_autofree double *seconds = g_new0(double, (gsize)order->repeat);
    const char *over = g_str_equal(order->over, "shm") ? "shared memory" : order->over;

    if (!fgets(line, LONGEST_LINE, from))
        return loom_fail(error, LOOM_ERROR_IO, "the ranks ended without a result");
    g_auto(GStrv) words = g_strsplit(g_strchomp(line), " ", -1);
    if ((gint)g_strv_length(words) != order->repeat + 1)
        return loom_fail(error, LOOM_ERROR_IO, "rank 0 says '%s'", line);
    for (gint i = 0; i < order->repeat; i++)
        seconds[i] = g_ascii_strtod(words[i + 1], NULL);
    qsort(seconds, (gsize)order->repeat, sizeof *seconds, doubles_compare);
    const gint half = order->repeat / 2;
    const double median =
        order->repeat % 2 ? seconds[half] : (seconds[half - 1] + seconds[half]) / 2;
    const double busbw = 2.0 * (order->ranks - 1) / order->ranks * mib / 1024 / median;
    const double peak = g_ascii_strtod(words[0], NULL) / 1024;
    if (json_option)
        result_json(order, mib, over, median, seconds[0], busbw, peak);
    else
        g_print("%d ranks, %7.3f MiB, %s over %s: %9.3f ms (least %9.3f), bus %6.2f GiB/s, "
                "peak %.0f MiB\n",
                order->ranks, mib, order->collective, over, median * 1e3, seconds[0] * 1e3,
                busbw, peak);
    return TRUE;
}

static gboolean ranks_run(const BenchOrder *order, gboolean mpi, char **modules, GError **error)
{
    g_autoptr(GArray) processes = g_array_new(FALSE, TRUE, sizeof(Process));

    signal(SIGPIPE, SIG_IGN); /* a rank that is gone is an error with words */
    gboolean good = processes_start(processes, order, mpi, modules, error)
                    && (mpi || addresses_share(processes, error));
    for (guint i = 0; good && i < order->n_mib; i++)
        good =
            result_read(order, order->mib[i], g_array_index(processes, Process, 0).from, error);
    const gboolean ended = processes_end(processes, !good);
    return good && (ended || loom_fail(error, LOOM_ERROR_IO, "a rank failed at its end"));
}

static gint mpi_rank(void)
{
    const char *text = g_getenv("OMPI_COMM_WORLD_RANK");

    return text ? (gint)g_ascii_strtoll(text, NULL, 10) : 0;
}

int bench_allreduce(int argc, char **argv)
{
    g_auto(CommandLine) line = {0};
    g_autoptr(GArray) mib = g_array_new(FALSE, FALSE, sizeof(double));
    g_autoptr(GError) error = NULL;

    if (!command_parse(&line, &usage, argc, argv))
        return COMMAND_WRONG;
    g_autoptr(LoomRegistry) registry = command_registry(&line);
    if (!registry)
        return COMMAND_WRONG;
    if (!sizes_parse(mib, &error))
        return command_fail(COMMAND_WRONG, error);
    BenchOrder order = {.ranks = ranks_option,
                        .rank = rank_option,
                        .repeat = repeat_option,
                        .chunk = chunk_option,
                        .collective = collective_option ? collective_option : "direct",
                        .transport = transport_option ? transport_option : "zmq",
                        .over = over_option ? over_option : "tcp",
                        .mib = (const double *)(gpointer)mib->data,
                        .n_mib = mib->len};
    if (!order_check(registry, &order, &error))
        return command_fail(COMMAND_WRONG, error);
    if (order.rank == MOST_RANKS) /* mpirun says which */
        order.rank = mpi_rank();
    const LoomCollective *collective = (const LoomCollective *)loom_registry_find(
        registry, LOOM_KIND_COLLECTIVE, order.collective);
    if (rank_option >= 0 ? bench_rank_run(registry, &order, &error)
                         : ranks_run(&order, !collective->listen, line.modules, &error))
        return COMMAND_DONE;
    return command_fail(command_code(error), error);
}
