/* control.h - the machine of member.h with its control port: messages reach it, and what it
 * sends goes out.  Everything in one thread. */
#pragma once

#include "member.h"

#include <loom/network.h>

typedef struct _LoomControl LoomControl;

/* Opens the port.  @transport: opened, borrowed. */
LoomControl *loom_control_new(const LoomInstance *transport, const char *address,
                              GError **error);
void loom_control_free(LoomControl *control);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LoomControl, loom_control_free)
/* What others send to. */
const char *loom_control_address(const LoomControl *control);
/* Before the first `step`.  @machine: (transfer full). */
void loom_control_begin(LoomControl *control, LoomMachine *machine);
/* (transfer none); its acts are taken by loom_control_next only. */
LoomMachine *loom_control_machine(LoomControl *control);
/* Waits for what arrives, until the machine's next tick is due, or loom_control_wake, at most
 * @timeout_ms; then ticks.  FALSE: the port is broken. */
gboolean loom_control_step(LoomControl *control, gint64 timeout_ms, GError **error);
/* Sends what is to be sent.  Returns: (transfer full): the next act that is no SEND, or NULL.
 */
LoomAct *loom_control_next(LoomControl *control);
/* From any thread. */
void loom_control_wake(LoomControl *control);
/* Milliseconds of a clock that never goes back. */
gint64 loom_control_now(void);
