/* memory_fit - a run that keeps a ceiling: what is given up, in this order
 *   cases that loaders keep; the length of queues; the room of stages that have a choice;
 *   threads of graphs that others run.
 * Else it is refused.  The same ceiling makes the same run, as every figure comes from shapes.
 */
#include "memory.h"

#include "place.h"

#include <math.h>

#define MIB 1048576.0
#define ROOM_TRIES 4

/* What is given up: a note where somebody looks, else a message. */
static void G_GNUC_PRINTF(2, 3) say(const LoomRun *run, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list list;

    va_start(list, format);
    text = g_strdup_vprintf(format, list);
    va_end(list);
    if (run->options.findings)
        loom_finding_add(run->options.findings, "N-MEMORY", NULL, NULL,
                         "run: memory is %.1f MiB: %s", (double)run->memory / MIB, text);
    else
        g_message("run: memory is %.1f MiB: %s", (double)run->memory / MIB, text);
}

/* How much too much it is, caches left out; 0: it fits. */
static guint64 over(const LoomRun *run)
{
    const guint64 sum = loom_run_memory_sum(&run->sum) - run->sum.cache;

    return sum - MIN(sum, run->memory);
}

/* Of all graphs; (transfer container). */
static GPtrArray *hops_of(const GPtrArray *graphs)
{
    GPtrArray *hops = g_ptr_array_new();

    for (guint g = 0; g < graphs->len; g++)
        g_ptr_array_extend(hops, ((const LoomGraph *)graphs->pdata[g])->hops, NULL, NULL);
    return hops;
}

/* ---- shorter queues ----------------------------------------------------------------- */

static gint64 longest_queue(const GPtrArray *graphs)
{
    gint64 longest = 0;

    for (guint g = 0; g < graphs->len; g++) {
        const LoomGraph *graph = graphs->pdata[g];

        for (guint i = 0; i < graph->lanes->len; i++)
            longest = MAX(longest, ((const LoomLane *)graph->lanes->pdata[i])->head->queue);
    }
    return longest;
}

static gboolean queues_shorten(LoomRun *run, const GPtrArray *graphs, GError **error)
{
    gint64 longest = longest_queue(graphs);

    if (!over(run) || longest <= 1)
        return TRUE;
    while (over(run) && longest > 1) {
        longest /= 2;
        for (guint g = 0; g < graphs->len; g++)
            loom_graph_shorten(graphs->pdata[g], longest);
        if (!loom_memory_sum(run, graphs, error))
            return FALSE;
    }
    say(run, "queues hold %" G_GINT64_FORMAT " packet%s at most", longest,
        longest == 1 ? "" : "s");
    return TRUE;
}

/* ---- less room ---------------------------------------------------------------------- */

static void rooms_set(const GPtrArray *hops, guint64 room)
{
    for (guint i = 0; i < hops->len; i++)
        ((LoomHop *)hops->pdata[i])->room = room;
}

/* The graphs that others run without threads of their own: one case at a time. */
static gboolean others_join(LoomRun *run, const GPtrArray *graphs, GError **error)
{
    gboolean joined = FALSE;

    for (guint g = 0; g < graphs->len; g++) {
        LoomGraph *graph = graphs->pdata[g];

        if (graph == run->main || graph->lanes->len == 1)
            continue;
        loom_graph_join(graph);
        say(run, "graph '%s' goes one case at a time", graph->id);
        joined = TRUE;
    }
    return !joined || loom_memory_sum(run, graphs, error);
}

static guint64 hop_own(const LoomHop *hop)
{
    return hop->need.work + hop->need.kept;
}

/* Between what stages would like and the least they can do with: an equal part of the rest for
 * each that has a choice.
 * @wishes: guint64, hop_own of each of @hops, without a ceiling */
static void rooms_share(const LoomRun *run, const GPtrArray *hops, const GArray *wishes)
{
    const guint64 least = loom_run_memory_sum(&run->sum) - run->sum.cache;
    guint n = 0;

    for (guint i = 0; i < hops->len; i++)
        if (g_array_index(wishes, guint64, i) > hop_own(hops->pdata[i]))
            n += loom_hop_copies(hops->pdata[i]);
    const guint64 share = (run->memory - least) / MAX(n, 1);
    for (guint i = 0; i < hops->len; i++) {
        LoomHop *hop = hops->pdata[i];
        const guint64 hand = hop->lane ? hop->lane->hand : 0; /* it may fill that up */
        const guint64 idle = hand - MIN(hand, hop->need.before + hop->need.work);

        hop->room = hop_own(hop) + idle + share;
    }
}

/* A stage may have kept what it was to give back after the call. */
static void rooms_cut(const GPtrArray *hops, guint64 bytes)
{
    for (guint i = 0; i < hops->len; i++) {
        LoomHop *hop = hops->pdata[i];

        if (hop->need.kept)
            hop->room -= MIN(hop->room, bytes);
    }
}

static GArray *wishes_of(const GPtrArray *hops)
{
    GArray *wishes = g_array_new(FALSE, FALSE, sizeof(guint64));

    for (guint i = 0; i < hops->len; i++) {
        const guint64 own = hop_own(hops->pdata[i]);

        g_array_append_val(wishes, own);
    }
    return wishes;
}

/* ---- not even so -------------------------------------------------------------------- */

/* What a stage takes of the sum. */
static guint64 hop_part(const LoomHop *hop, gboolean *keeps)
{
    const guint64 hand =
        hop->lane && hop->lane->heaviest == hop ? hop->lane->workers * hop->lane->hand : 0;

    *keeps = hop->need.kept > hand;
    return hop->need.kept + hand;
}

static const LoomHop *heaviest_hop(const GPtrArray *hops, guint64 *bytes, gboolean *keeps)
{
    const LoomHop *heaviest = NULL;

    *bytes = 0;
    for (guint i = 0; i < hops->len; i++) {
        const LoomHop *hop = hops->pdata[i];
        gboolean kept;
        const guint64 part = hop_part(hop, &kept);

        if (!hop->here || (heaviest && part <= *bytes))
            continue;
        heaviest = hop;
        *bytes = part;
        *keeps = kept;
    }
    return heaviest;
}

static void part_append(GString *text, guint64 bytes, const char *what, const char *name)
{
    if (bytes)
        g_string_append_printf(text, "%s%.1f %s%s", text->len ? ", " : "", (double)bytes / MIB,
                               what, name);
}

/* "28.0 for the program, 0.1 for weights, ..."; (transfer full). */
static char *parts_text(const LoomRunMemory *sum)
{
    GString *text = g_string_new(NULL);

    part_append(text, sum->program, "for the program", "");
    part_append(text, sum->weights, "for weights", "");
    part_append(text, sum->kept, "kept by stages", "");
    part_append(text, sum->queues, "in queues", "");
    part_append(text, sum->hand, "for packets in work", "");
    part_append(text, sum->other, "for those of graph ", sum->graph ? sum->graph : "");
    return g_string_free(text, FALSE);
}

static gboolean refuse(const LoomRun *run, const GPtrArray *hops, GError **error)
{
    const LoomNode *node = loom_node_get(loom_node_get(run->config, "run"), "memory");
    const guint64 least = loom_run_memory_sum(&run->sum) - run->sum.cache;
    g_autofree char *parts = parts_text(&run->sum);
    GError *cause = NULL;
    gboolean keeps = FALSE;
    guint64 part;
    const LoomHop *hop = heaviest_hop(hops, &part, &keeps);

    loom_node_fail_as(node, "E-MEMORY", &cause,
                      "memory is %.1f MiB, at least %.1f MiB are needed, %.1f of them by stage "
                      "'%s' (%s): %s; want %.0fMiB, or %s",
                      (double)run->memory / MIB, (double)least / MIB, (double)part / MIB,
                      hop->id, hop->stage->base.name, parts, ceil((double)least / MIB) + 1,
                      !loom_graph_counter(run->main) ? "smaller cases"
                      : keeps ? "smaller patches or batches, a smaller network or its "
                                "checkpointing: levels"
                              : "smaller cases, a larger spacing, fewer workers");
    cause->code = LOOM_ERROR_LIMIT;
    g_propagate_error(error, cause);
    return FALSE;
}

/* ---- what is left is for caches ----------------------------------------------------- */

static void caches_cut(LoomRun *run, const GPtrArray *hops)
{
    const guint64 wanted = run->sum.cache;
    const guint64 left = run->memory - (loom_run_memory_sum(&run->sum) - wanted);

    if (wanted <= left)
        return;
    say(run, "of the cases' %.1f MiB, %.1f are kept, others are read anew each time",
        (double)wanted / MIB, (double)left / MIB);
    for (guint i = 0; i < hops->len; i++) {
        LoomHop *hop = hops->pdata[i];
        const guint64 kept = (guint64)((double)hop->cache * ((double)left / (double)wanted));

        hop->plan.bytes -= MIN(hop->plan.bytes, hop->cache - kept);
        hop->cache = kept;
    }
    run->sum.cache = left;
}

/* Takes the least first, to see whether it is little enough. */
static gboolean rooms_fit(LoomRun *run, const GPtrArray *graphs, const GPtrArray *hops,
                          GError **error)
{
    g_autoptr(GArray) wishes = wishes_of(hops);

    rooms_set(hops, 0);
    if (!loom_memory_sum(run, graphs, error) || (over(run) && !others_join(run, graphs, error)))
        return FALSE;
    if (over(run))
        return refuse(run, hops, error);
    rooms_share(run, hops, wishes);
    say(run, "stages that have a choice take less: windows at once, tiles, slabs");
    for (guint tries = 0; tries < ROOM_TRIES; tries++) {
        if (!loom_memory_sum(run, graphs, error))
            return FALSE;
        if (!over(run))
            return TRUE;
        rooms_cut(hops, over(run));
    }
    rooms_set(hops, 0);
    return loom_memory_sum(run, graphs, error);
}

/* A config of several processes is only checked here: each of them will see to its own. */
static gboolean stands_for_others(const LoomRun *run)
{
    return !run->folder && !run->options.findings && run->place->size == 1
           && run->place->groups->len > 1;
}

gboolean loom_memory_fit(LoomRun *run, guint64 before, GError **error)
{
    g_autoptr(GPtrArray) graphs = loom_memory_graphs(run);

    if ((!run->memory && !run->options.findings) || stands_for_others(run))
        return TRUE;
    g_autoptr(GPtrArray) hops = hops_of(graphs);

    run->memory_before = before;
    rooms_set(hops, G_MAXUINT64);
    if (!loom_memory_sum(run, graphs, error))
        return FALSE;
    if (!run->memory)
        return TRUE;
    if (!queues_shorten(run, graphs, error)
        || (over(run) && !rooms_fit(run, graphs, hops, error)))
        return FALSE;
    caches_cut(run, hops);
    return TRUE;
}
