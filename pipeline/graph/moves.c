/* moves - how far a graph is, for people who wait: see moves.h. */
#include "moves.h"

#include "state.h"

/* With the lock held that also orders the records. */
static void tell(LoomRun *run, const LoomGraph *graph)
{
    if (run->options.moves && loom_run_writes(run))
        run->options.moves(&graph->move, run->options.data);
}

void loom_moves_begin(LoomRun *run, LoomGraph *graph)
{
    const gboolean main = graph == run->main;
    const gboolean counts = main && loom_graph_counter(graph);

    LOOM_LOCKED(&run->recording);
    graph->move = (LoomMove){.graph = graph->id,
                             .main = main,
                             .done = counts ? loom_run_step(run) : 0,
                             .all = counts ? run->steps : graph->move.all};
    tell(run, graph);
}

void loom_moves_done(LoomRun *run, LoomGraph *graph, gint64 index)
{
    const gboolean counts = graph == run->main && loom_graph_counter(graph);
    const gint64 done = counts ? loom_run_step(run) : index + 1;

    LOOM_LOCKED(&run->recording);
    graph->move.done = MAX(graph->move.done, done); /* workers come in any order */
    graph->move.part = graph->move.parts = 0;
    tell(run, graph);
}

void loom_moves_expect(LoomRun *run, LoomGraph *graph, gint64 packets)
{
    if (graph == run->main && loom_graph_counter(graph))
        return; /* its steps are counted */
    LOOM_LOCKED(&run->recording);
    graph->move.all = packets;
}

void loom_moves_part(LoomRun *run, LoomGraph *graph, gint64 part, gint64 parts)
{
    LOOM_LOCKED(&run->recording);
    graph->move.part = part;
    graph->move.parts = parts;
    tell(run, graph);
}
