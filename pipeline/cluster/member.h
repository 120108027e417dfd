/* member.h - the rules of membership, as a machine without clock, socket or thread: events in,
 * messages and decisions out.  So a test can run a thousand of them through every disaster.
 *
 * The protocol stands in member.c and is explained in pipeline/cluster/README.md. */
#pragma once

#include "view.h"

typedef struct {
    guint size;        /* seats of the run */
    gboolean founder;  /* seat 0: begins generation 1 once all have arrived */
    guint n_groups;    /* named groups + 1 */
    guint min_ranks;   /* fewer in the group that trains: the run ends */
    gint64 wait_ms;    /* for all to arrive, and for a seat that a group needs */
    gint64 beat_ms;    /* between two heartbeats */
    gint64 suspect_ms; /* without a heartbeat: lost */
    gint64 lost_ms;    /* the same, once its connection broke */
    gint64 stall_ms;   /* heartbeats that carry no progress, while others wait: lost */
    gint64 grace_ms;   /* a side that is no majority waits so much longer for the lease */
} LoomMemberOptions;

typedef struct _LoomMachine LoomMachine;

/* What the machine wants done.  In the order in which they are returned. */
typedef enum {
    LOOM_ACT_SEND,    /* `message` to the control port at `address` (with `key`) */
    LOOM_ACT_HALT,    /* the generation is over: stop what waits for others, then say
                         loom_machine_state */
    LOOM_ACT_PREPARE, /* `view` is proposed: open what it needs, then say loom_machine_ready */
    LOOM_ACT_BEGIN,   /* `view` holds: go */
    LOOM_ACT_CLAIM,   /* try to take the lease for `generation`, then loom_machine_claimed */
    LOOM_ACT_NOTE,    /* `text` for people */
    LOOM_ACT_END,     /* this process takes no further part: `ending`, `text` says why */
} LoomActKind;

typedef enum {
    LOOM_END_DONE,    /* every rank is done */
    LOOM_END_FAILED,  /* a rank failed in a way that would recur everywhere */
    LOOM_END_CUT_OFF, /* the others go on, or cannot be reached: exit code 75 */
    LOOM_END_LEFT,    /* it asked to leave */
    LOOM_END_MISSING, /* ranks did not arrive in time, or too few are left */
} LoomEnding;

typedef struct {
    LoomActKind kind;
    char *address, *key; /* SEND */
    GBytes *message;     /* SEND */
    LoomView *view;      /* PREPARE, BEGIN */
    guint64 generation;  /* CLAIM */
    LoomEnding ending;   /* END */
    char *text;          /* NOTE, END */
} LoomAct;
void loom_act_free(LoomAct *act);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LoomAct, loom_act_free)

/* @self: (transfer none): seat, incarnation, group, addresses, key, host, step.
 * @config: sha256 of what all ranks must have alike; another one is refused with the reason.
 * @meet: where the founder listens. */
LoomMachine *loom_machine_new(const LoomMemberOptions *options, const LoomMember *self,
                              const char *config, const char *meet, guint64 seed);
void loom_machine_free(LoomMachine *machine);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LoomMachine, loom_machine_free)

/* Events.  @now: milliseconds of a clock that never goes back.  After each: what
 * loom_machine_next gives, until NULL. */
void loom_machine_tick(LoomMachine *machine, gint64 now);
/* Bytes of anybody; what does not fit is dropped and counted. */
void loom_machine_receive(LoomMachine *machine, GBytes *message, gint64 now);
/* The connection to the control port at @address broke, or was refused. */
void loom_machine_lost(LoomMachine *machine, const char *address, gint64 now);
/* An address at which a run may be going on: the lease said so. */
void loom_machine_try(LoomMachine *machine, const char *address, const char *key, gint64 now);
/* How far this process is: steps done, a number that grows with every packet, and whether its
 * training waits for other ranks now. */
void loom_machine_progress(LoomMachine *machine, gint64 step, guint64 progress,
                           gboolean waiting);
/* Answers to HALT, PREPARE and CLAIM; `state` also unasked: its generation is over here.
 * @sees_lease: this process reads in its run folder what the coordinator wrote there. */
void loom_machine_state(LoomMachine *machine, gint64 step, gint64 taken, gint64 now);
void loom_machine_ready(LoomMachine *machine, guint64 generation, gboolean ready,
                        gboolean sees_lease, gint64 now);
void loom_machine_claimed(LoomMachine *machine, guint64 generation, gboolean granted,
                          gint64 now);
/* This process: a collective or a stream failed; wants to leave (told to stop); is done with
 * all steps; failed, @recurs: every rank would. */
void loom_machine_report(LoomMachine *machine, const char *text, gint64 now);
void loom_machine_leave(LoomMachine *machine, gint64 now);
void loom_machine_done(LoomMachine *machine, gint64 now);
void loom_machine_failed(LoomMachine *machine, const char *text, gboolean recurs, gint64 now);
/* (transfer full); NULL: nothing more. */
LoomAct *loom_machine_next(LoomMachine *machine);
/* Milliseconds until the next tick is due. */
gint64 loom_machine_due(const LoomMachine *machine, gint64 now);
/* Does the coordinator, this process, hold a seat that waits to join?  Then the step in hand is
 * to be the last of the generation. */
gboolean loom_machine_wants_halt(const LoomMachine *machine);

/* Messages that were dropped so far: of strangers, damaged, of another run. */
guint64 loom_machine_dropped(const LoomMachine *machine);
/* Is a run alive at an address?  A message for it (transfer full), which asks for an answer to
 * @control; and: is this the answer, and of @run? */
GBytes *loom_machine_ping(const char *control, const char *key);
gboolean loom_machine_is_notice(GBytes *message, const guint8 run[16]);
