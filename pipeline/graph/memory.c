/* memory - what a run takes:
 *   sum = program + weights + what stages keep + lanes of the main graph
 *         + lanes of the largest graph that it runs + caches
 *   lane = workers * (hand + held) + queue * packet                          (need.c)
 * Every figure comes from shapes, so that it stands before anything is allocated, and the same
 * ceiling makes the same run. */
#include "memory.h"

#include "need.h"
#include "place.h"
#include "ranks.h"

#include <malloc.h>
#include <string.h>
#include <unistd.h>

/* What no shape tells: stacks, code that is touched later, buffers of files, the small blocks
 * that an allocator keeps for each thread. */
#define MEMORY_PROGRAM (12u << 20)
#define MEMORY_THREAD (1u << 20)
#define MEMORY_HUGE_STACK (2u << 20)
/* With a ceiling, blocks from here on go back to the system as soon as they are freed. */
#define MEMORY_RETURNED (1 << 20)

guint64 loom_memory_used(void)
{
    g_autofree char *text = NULL;

    if (!g_file_get_contents("/proc/self/statm", &text, NULL, NULL))
        return 0;
    const char *second = strchr(text, ' ');
    return second ? g_ascii_strtoull(second + 1, NULL, 10) * (guint64)sysconf(_SC_PAGESIZE) : 0;
}

guint64 loom_memory_begin(const LoomRun *run)
{
    if (run->memory) { /* else glibc keeps freed blocks of up to 32 MiB, mallopt(3) */
        mallopt(M_MMAP_THRESHOLD, MEMORY_RETURNED);
        mallopt(M_TRIM_THRESHOLD, MEMORY_RETURNED);
        malloc_trim(0);
    }
    return loom_memory_used();
}

/* ---- what stages say ---------------------------------------------------------------- */

static LoomHop *host_hop(const LoomHost *host)
{
    return host->graph ? loom_graph_find(host->graph, host->id) : NULL;
}

void loom_host_cache(LoomHost *host, guint64 bytes, guint64 largest)
{
    LoomHop *hop = host_hop(host);

    if (!hop)
        return;
    hop->cache = bytes;
    hop->largest = largest;
}

void loom_host_case(LoomHost *host, LoomPacket *sketch)
{
    LoomHop *hop = host_hop(host);

    if (!hop) {
        loom_packet_free(sketch);
        return;
    }
    if (!hop->cases)
        hop->cases = g_ptr_array_new_with_free_func((GDestroyNotify)loom_packet_free);
    g_ptr_array_add(hop->cases, sketch);
}

guint64 loom_context_cache(const LoomContext *ctx)
{
    return ctx->run->memory ? ctx->hop->cache : G_MAXUINT64;
}

guint64 loom_context_room(const LoomContext *ctx)
{
    return ctx->run->memory ? ctx->hop->room : G_MAXUINT64;
}

/* ---- the sum ------------------------------------------------------------------------ */

GPtrArray *loom_memory_graphs(const LoomRun *run)
{
    GPtrArray *reached = g_ptr_array_new();

    if (run->main)
        g_ptr_array_add(reached, run->main);
    for (guint g = 0; g < reached->len; g++) {
        const LoomGraph *graph = reached->pdata[g];

        for (guint i = 0; i < graph->hops->len; i++) {
            const LoomHop *hop = graph->hops->pdata[i];
            const LoomParam *row = hop->stage->base.params;

            for (; hop->here && row && row->name; row++) {
                LoomGraph *other = row->type == LOOM_PARAM_GRAPH ? g_hash_table_lookup(
                                       run->by_graph, *(char **)((char *)hop->instances[0]->self
                                                                 + row->offset))
                                                                 : NULL;

                if (other && !g_ptr_array_find(reached, other, NULL))
                    g_ptr_array_add(reached, other);
            }
        }
    }
    return reached;
}

/* Each once, and of several files all that are held beside the network's own. */
static guint64 weights_bytes(const LoomRun *run)
{
    static const gint64 unknown[5] = {0};
    guint64 sum = 0;

    for (guint i = 0; i < run->models->len; i++) {
        const LoomInstance *model = run->models->pdata[i];
        const GPtrArray *sets = g_hash_table_lookup(run->weight_sets, model);
        gint64 classes;
        guint64 bytes = 0;

        if (((const LoomModel *)model->plugin)
                ->fits(model->self, unknown, FALSE, &classes, &bytes, NULL))
            sum += bytes * (1 + (sets ? sets->len : 0));
    }
    return sum;
}

static guint64 lane_queued(const LoomLane *lane)
{
    return (guint64)lane->head->queue * lane->packet;
}

static guint64 lane_hand(const LoomLane *lane)
{
    return lane->workers * (lane->hand + lane->held);
}

static guint64 lanes_bytes(const LoomGraph *graph, guint64 (*bytes)(const LoomLane *lane))
{
    guint64 sum = 0;

    for (guint i = 0; i < graph->lanes->len; i++)
        sum += bytes(graph->lanes->pdata[i]);
    return sum;
}

static void graph_add(const LoomRun *run, const LoomGraph *graph, LoomRunMemory *sum)
{
    const guint64 queued = lanes_bytes(graph, lane_queued);
    const guint64 hand = lanes_bytes(graph, lane_hand);

    for (guint i = 0; i < graph->hops->len; i++) {
        const LoomHop *hop = graph->hops->pdata[i];

        if (!hop->here)
            continue;
        sum->kept += hop->need.kept * loom_hop_copies(hop);
        sum->cache += hop->cache;
    }
    if (graph == run->main) {
        sum->queues = queued;
        sum->hand = hand;
    } else if (queued + hand > sum->other) {
        sum->other = queued + hand;
        sum->graph = graph->id;
    }
}

/* Packets that may be under way on streams to and from other processes. */
static guint64 streams_bytes(const LoomRun *run)
{
    guint64 streams = 0;

    if (!run->ranks)
        return 0;
    for (guint i = 0; i < run->main->hops->len; i++) {
        const LoomHop *hop = run->main->hops->pdata[i];
        const GArray *groups = run->place->groups;

        if (hop->leaves && hop->here)
            streams += g_array_index(groups, LoomPlaceGroup, hop->toward->group).ranks;
        if (hop->arrives)
            streams += g_array_index(groups, LoomPlaceGroup, hop->group).ranks;
    }
    return streams * run->ranks->options.credit;
}

static guint threads_of(const LoomRun *run, const GPtrArray *graphs)
{
    guint n = loom_pool_threads(run->pool);

    for (guint g = 0; g < graphs->len; g++) {
        const LoomGraph *graph = graphs->pdata[g];

        for (guint i = 0; i < graph->lanes->len; i++)
            n += ((const LoomLane *)graph->lanes->pdata[i])->workers;
    }
    return n;
}

guint64 loom_run_memory_sum(const LoomRunMemory *sum)
{
    return sum->program + sum->weights + sum->kept + sum->queues + sum->hand + sum->other
           + sum->cache;
}

/* Where every mapping gets pages of 2 MiB, a stack takes one though little of it is touched. */
static guint64 thread_bytes(void)
{
    g_autofree char *pages = NULL;
    const gboolean known =
        g_file_get_contents("/sys/kernel/mm/transparent_hugepage/enabled", &pages, NULL, NULL);

    return MEMORY_THREAD + (known && strstr(pages, "[always]") ? MEMORY_HUGE_STACK : 0);
}

gboolean loom_memory_sum(LoomRun *run, const GPtrArray *graphs, GError **error)
{
    LoomRunMemory sum = {.ceiling = run->memory, .weights = weights_bytes(run)};

    sum.program =
        run->memory_before + MEMORY_PROGRAM + threads_of(run, graphs) * thread_bytes();
    for (guint g = 0; g < graphs->len; g++) {
        if (!loom_graph_need(run, graphs->pdata[g], error))
            return FALSE;
        graph_add(run, graphs->pdata[g], &sum);
    }
    sum.queues += streams_bytes(run);
    run->sum = sum;
    return TRUE;
}
