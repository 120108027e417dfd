/* models.h - the networks of a run. */
#pragma once

#include "state.h"

/* Makes an instance for each entry under `models:`, parameters filled in. */
gboolean loom_models_make(LoomRun *run, const LoomScope *scope, GError **error);
/* Opens them and loads the files that `weights:` names. */
gboolean loom_models_open(LoomRun *run, GError **error);
