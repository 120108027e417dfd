/* memory.h - `run: {memory: SIZE}`: a ceiling that the caches of a run are cut to fit. */
#pragma once

#include "state.h"

/* After all stages were opened and planned.  @before: what the process held before the run was
 * opened.  Fails with LOOM_ERROR_CONFIG and the figures where the run does not fit even without
 * caches. */
gboolean loom_memory_share(LoomRun *run, guint64 before, GError **error);
