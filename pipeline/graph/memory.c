/* memory - what a run needs at least, and what is left for caches:
 *   need = what the process held before + models and workspaces + packets in flight
 * Where the sizes of packets are not known before the data is read, a packet is as large as the
 * largest case.  Caches share the rest in the proportion of what they asked for. */
#include "memory.h"

#include <string.h>
#include <unistd.h>

guint64 loom_memory_used(void)
{
    g_autofree char *text = NULL;

    if (!g_file_get_contents("/proc/self/statm", &text, NULL, NULL))
        return 0;
    const char *second = strchr(text, ' ');
    return second ? g_ascii_strtoull(second + 1, NULL, 10) * (guint64)sysconf(_SC_PAGESIZE) : 0;
}

void loom_host_cache(LoomHost *host, guint64 bytes, guint64 largest)
{
    for (guint i = 0; host->graph && i < host->graph->hops->len; i++) {
        LoomHop *hop = host->graph->hops->pdata[i];

        if (!g_str_equal(hop->id, host->id))
            continue;
        hop->cache = bytes;
        hop->largest = largest;
    }
}

guint64 loom_context_cache(const LoomContext *ctx)
{
    return ctx->run->memory ? ctx->hop->cache : G_MAXUINT64;
}

/* ---- what is needed ----------------------------------------------------------------- */

/* The network that a stage names; NULL: none. */
static const LoomInstance *model_of(const LoomHop *hop)
{
    for (const LoomParam *row = hop->stage->base.params; row && row->name; row++)
        if (row->type == LOOM_PARAM_MODEL)
            return *(LoomInstance **)((char *)hop->instances[0]->self + row->offset);
    return NULL;
}

/* Bytes of its weights, which every stage that names it has planned for. */
static guint64 weights_bytes(const LoomInstance *model)
{
    static const gint64 unknown[5] = {0};
    gint64 classes;
    guint64 bytes = 0;

    return ((const LoomModel *)model->plugin)
                   ->fits(model->self, unknown, FALSE, &classes, &bytes, NULL)
               ? bytes
               : 0;
}

/* Models and workspaces, without caches; each model's weights count once. */
static guint64 stages_bytes(const LoomRun *run)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
    guint64 bytes = 0;

    for (guint g = 0; g < run->graphs->len; g++) {
        const LoomGraph *graph = run->graphs->pdata[g];

        for (guint i = 0; i < graph->hops->len; i++) {
            const LoomHop *hop = graph->hops->pdata[i];
            const LoomInstance *model = hop->here ? model_of(hop) : NULL;
            const guint64 own = hop->plan.bytes - MIN(hop->cache, hop->plan.bytes);
            const guint64 weights = model ? weights_bytes(model) : 0;

            if (!hop->here)
                continue;
            bytes += own;
            if (model && own >= weights && !g_hash_table_add(seen, (gpointer)(guintptr)model))
                bytes -= weights;
        }
    }
    return bytes;
}

/* Image and label of a packet as it leaves @hop. */
static guint64 packet_bytes(const LoomHop *hop, guint64 largest)
{
    const LoomPlan *plan = &hop->plan;

    if (!plan->c || !plan->d || !plan->h || !plan->w)
        return largest;
    return (guint64)(MAX(plan->n, 1) * plan->d * plan->h * plan->w)
           * (sizeof(float) * (guint64)plan->c + 1);
}

/* What may wait in queues, and what each worker has in hand: what came in, and what goes out.
 */
static guint64 graph_packets_bytes(const LoomGraph *graph)
{
    guint64 largest = 0, bytes = 0;

    for (guint i = 0; i < graph->hops->len; i++)
        largest = MAX(largest, ((const LoomHop *)graph->hops->pdata[i])->largest);
    for (guint i = 0; i < graph->lanes->len; i++) {
        const LoomLane *lane = graph->lanes->pdata[i];
        const LoomHop *above = lane->head->parent;
        guint64 most = 0;

        for (guint k = 0; k < lane->hops->len; k++)
            most = MAX(most, packet_bytes(lane->hops->pdata[k], largest));
        bytes += lane->workers * most;
        if (above)
            bytes +=
                ((guint64)lane->head->queue + lane->workers) * packet_bytes(above, largest);
    }
    return bytes;
}

static guint64 packets_bytes(const LoomRun *run)
{
    guint64 bytes = 0;

    for (guint g = 0; g < run->graphs->len; g++)
        bytes += graph_packets_bytes(run->graphs->pdata[g]);
    return bytes;
}

/* ---- what is left ------------------------------------------------------------------- */

static double mib(guint64 bytes)
{
    return (double)bytes / 1048576;
}

static guint64 caches_bytes(const LoomRun *run)
{
    guint64 bytes = 0;

    for (guint g = 0; g < run->graphs->len; g++) {
        const LoomGraph *graph = run->graphs->pdata[g];

        for (guint i = 0; i < graph->hops->len; i++)
            bytes += ((const LoomHop *)graph->hops->pdata[i])->cache;
    }
    return bytes;
}

static void caches_cut(LoomRun *run, double share)
{
    for (guint g = 0; g < run->graphs->len; g++) {
        const LoomGraph *graph = run->graphs->pdata[g];

        for (guint i = 0; i < graph->hops->len; i++) {
            LoomHop *hop = graph->hops->pdata[i];
            const guint64 kept = (guint64)((double)hop->cache * share);

            hop->plan.bytes -= MIN(hop->plan.bytes, hop->cache - kept);
            hop->cache = kept;
        }
    }
}

gboolean loom_memory_share(LoomRun *run, guint64 before, GError **error)
{
    const LoomNode *node = loom_node_get(loom_node_get(run->config, "run"), "memory");

    if (!run->memory)
        return TRUE;
    const guint64 stages = stages_bytes(run), packets = packets_bytes(run);
    const guint64 need = before + stages + packets, wanted = caches_bytes(run);
    if (need > run->memory)
        return loom_node_fail(
            node, error,
            "run: memory is %.1f MiB, but the run needs %.1f MiB: %.1f in use "
            "before, %.1f for models and workspaces, %.1f for packets in "
            "flight; want more, smaller patches, batches or queues",
            mib(run->memory), mib(need), mib(before), mib(stages), mib(packets));
    if (wanted <= run->memory - need)
        return TRUE;
    g_message("run: memory is %.1f MiB: of the cases' %.1f MiB, %.1f are kept, others are read "
              "anew each time",
              mib(run->memory), mib(wanted), mib(run->memory - need));
    caches_cut(run, (double)(run->memory - need) / (double)wanted);
    return TRUE;
}
