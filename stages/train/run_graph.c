/* run_graph - runs another graph of the file, in this lane, every so many packets: validation
 * between two steps of training, with the weights as they are and without a lock.  Below the
 * stage that steps, a packet is a step.  Of several ranks each takes its share; a run of the
 * graph that was cut short because the ranks formed anew is made up when they have. */
#include <loom/loom.h>

typedef struct {
    char *graph;
    gint64 every;
    gint64 ran; /* steps done when it last ran to its end; -1: never */
} RunGraph;

static const LoomParam run_graph_params[] = {
    LOOM_GRAPH_ID(RunGraph, graph, "graph to run, from its first packet to its last"),
    LOOM_INT(RunGraph, every, "100", 1, 1e12, "packets", "after every so many packets (steps)"),
    {0},
};

static gboolean run(RunGraph *run_graph, LoomContext *ctx, GError **error)
{
    /* STOP means that the whole run was asked to end: the lane sees that itself */
    const LoomFlow flow = loom_context_run_graph(ctx, run_graph->graph, error);

    if (flow == LOOM_FLOW_OK)
        run_graph->ran = loom_context_step(ctx);
    return flow != LOOM_FLOW_FAIL;
}

static gboolean run_graph_map(gpointer self, G_GNUC_UNUSED LoomPacket *packet, LoomContext *ctx,
                              GError **error)
{
    RunGraph *run_graph = self;

    return loom_context_count(ctx) % run_graph->every || run(run_graph, ctx, error);
}

/* After the ranks formed anew: did any of them see the end of the validation that was due? */
static gboolean run_graph_start(gpointer self, LoomContext *ctx, GError **error)
{
    RunGraph *run_graph = self;
    const gint64 step = loom_context_step(ctx);
    g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    g_autoptr(GBytes) mine = g_bytes_new(run_graph->ran == step ? "y" : "n", 1);
    gboolean ran = FALSE;

    if (loom_context_generation(ctx) == 1 || step == 0 || step % run_graph->every)
        return TRUE;
    const LoomFlow flow = loom_context_gather(ctx, mine, all, error);
    for (guint r = 0; r < all->len; r++)
        ran = ran || *(const char *)g_bytes_get_data(all->pdata[r], NULL) == 'y';
    if (flow != LOOM_FLOW_OK || ran)
        return flow != LOOM_FLOW_FAIL;
    return run(run_graph, ctx, error);
}

static gboolean run_graph_open(gpointer self, G_GNUC_UNUSED LoomHost *host,
                               G_GNUC_UNUSED GError **error)
{
    RunGraph *run_graph = self;

    run_graph->ran = -1;
    return TRUE;
}

static const LoomStage run_graph = {
    .base = LOOM_STAGE(RunGraph, "run_graph", "Run another graph every so many packets",
                       .params = run_graph_params, .open = run_graph_open),
    .map = run_graph_map,
    .start = run_graph_start,
};
LOOM_MODULE("stage_run_graph", "0.1", &run_graph.base);
