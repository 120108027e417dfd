/* memory.h - `run: {memory: SIZE}`: a ceiling that the whole run keeps. */
#pragma once

#include "state.h"

/* With a ceiling freed memory goes back to the system early from here on.
 * Returns: what the process holds now. */
guint64 loom_memory_begin(const LoomRun *run);
/* loom_memory_fit - before the first packet: finds what the run will take, and makes it take
 * less where it must: caches keep fewer cases, queues become shorter, stages of graphs that
 * others run take what room there is, and those graphs one case at a time.  No bit of any
 * result depends on it.
 * @before: what the process held before the run was opened
 * Errors: LOOM_ERROR_LIMIT, where nothing of that is enough: the sum, and what takes most. */
gboolean loom_memory_fit(LoomRun *run, guint64 before, GError **error);

/* The main graph, and those that it runs; (transfer full). */
GPtrArray *loom_memory_graphs(const LoomRun *run);
/* Walks them anew, and fills in run->sum. */
gboolean loom_memory_sum(LoomRun *run, const GPtrArray *graphs, GError **error);
