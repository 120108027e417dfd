/* bench_execute.h - the run that a bench measures. */
#pragma once

#include "command.h"

/* Opens and runs @config; memory counts from here on, Ctrl-C ends it.  @folder: where it leaves
 * what it makes; NULL: nothing.  Returns: COMMAND_DONE, or the code to end with, why was
 * printed. */
int bench_execute(LoomNode *config, const LoomRegistry *registry, const char *folder);
