/* run_graph - runs another graph of the file, in this lane, every so many packets: validation
 * between two steps of training, with the weights as they are and without a lock. */
#include <loom/loom.h>

typedef struct {
    char *graph;
    gint64 every;
} RunGraph;

static const LoomParam run_graph_params[] = {
    LOOM_GRAPH_ID(RunGraph, graph, "graph to run, from its first packet to its last"),
    LOOM_INT(RunGraph, every, "100", 1, 1e12, "packets", "after every so many packets"),
    {0},
};

static gboolean run_graph_map(gpointer self, G_GNUC_UNUSED LoomPacket *packet, LoomContext *ctx,
                              GError **error)
{
    const RunGraph *run_graph = self;

    if ((loom_context_index(ctx) + 1) % run_graph->every)
        return TRUE;
    /* STOP means that the whole run was asked to end: the lane sees that itself */
    return loom_context_run_graph(ctx, run_graph->graph, error) != LOOM_FLOW_FAIL;
}

static const LoomStage run_graph = {
    .base = LOOM_STAGE(RunGraph, "run_graph", "Run another graph every so many packets",
                       .params = run_graph_params),
    .map = run_graph_map,
};
LOOM_MODULE("stage_run_graph", "0.1", &run_graph.base);
