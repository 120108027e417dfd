/* interrupt.h - Ctrl-C, SIGTERM and SIGHUP (the terminal closed), taken by a thread that waits
 * for them, so that no handler ever runs in the middle of anything. */
#pragma once

#include "graph/run.h"

/* Signals that come together are one: timeout(1), systemd and Slurm tell a process, and its
 * group or its parent besides. */
#define INTERRUPT_TOGETHER_US (G_USEC_PER_SEC / 4)

/* Call before any other thread exists, module folders included: threads inherit the mask.
 * From here on the first signal ends the run in order and the second one ends the process;
 * while there is no run, the first does.  SIGPIPE is ignored: writes fail and say so. */
void interrupt_watch(void);
/* Does SIGHUP count?  Not under nohup(1), which ignores it; a signal that is waited for arrives
 * even so. */
gboolean interrupt_by_hangup(void);
/* The run to stop; NULL before it is freed. */
void interrupt_stops(LoomRun *run);
/* SIGINT, SIGTERM, or 0: the first that came; SIGHUP counts as SIGTERM.  128 more is the exit
 * code of what does not resume. */
int interrupt_caught(void);
/* The exit code of a run that a signal stopped, and that can be resumed. */
int interrupt_code(void);
