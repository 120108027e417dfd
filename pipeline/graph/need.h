/* need.h - what each lane of a graph takes, from sizes alone. */
#pragma once

#include "state.h"

/* loom_graph_need - walks the cases of the source down the graph, as sketches
 * Fills in `need` of each hop and hand, packet, held of each lane; hop->room is what stages
 * that have a choice are told.  Where the source names no cases, a packet is as large as the
 * plan says, or as the largest that the source will keep. Errors: those of a stage's `need`,
 * with its place. */
gboolean loom_graph_need(LoomRun *run, LoomGraph *graph, GError **error);
