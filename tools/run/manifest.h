/* manifest.h - manifest.json: with what a run was made, so that it can be made again. */
#pragma once

#include "graph/run.h"

/* Writes DIR/config.yaml and DIR/manifest.json: the config as it took effect, hashes of it, of
 * every module that was loaded and of the data set, versions, seed, machine, time.
 * @resume: keeps what the first start wrote and adds the time of this one; warns when the
 *   config, a module or the data changed in between. */
gboolean manifest_write(const LoomRun *run, const LoomRegistry *registry, const char *folder,
                        gboolean resume, GError **error);
/* On the rank that writes: adds to the latest start how it ended, as "done", "stopped",
 * "failed" with the message of @error (else NULL), "cut off".  A manifest that cannot be
 * written is a warning: the run itself has ended. */
void manifest_end(const LoomRun *run, const char *folder, LoomRunEnd end, const GError *error);
