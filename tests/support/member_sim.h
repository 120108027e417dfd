/* member_sim.h - many membership machines on a virtual clock and a virtual network, with a
 * model of training on top: a step is applied by who has the votes of all members of its view.
 */
#pragma once

#include "cluster/member.h"

#include <loom/context.h>

#define SIM_SEATS 8

typedef struct {
    guint8 run[16];
    guint64 generation;
    GString *members; /* "seat:incarnation ..." */
    gint64 step;      /* it begins with */
    gint64 applied;   /* in it, at most; -1: none */
} SimView;

typedef struct {
    LoomMachine *machine; /* NULL: no such process */
    LoomMember *self;
    gint64 paused;               /* until; 0: it runs */
    gint64 tick, stop, prepared; /* due; 0: not */
    guint64 ballot;              /* of the PREPARE */
    gboolean yields;             /* to a claim */
    gint64 gone;                 /* ended: the process exits then */
    /* training */
    LoomView *view;
    gboolean stopped; /* its STATE is said: it applies nothing */
    gboolean stalled;
    gint64 held, vote_at, voted[SIM_SEATS];
    guint64 weights;
    gboolean synced;
    gint64 deadline; /* computing until */
    gboolean said_done;
} SimProcess;

typedef struct {
    guint64 seed;
    LoomRng rng;
    LoomMemberOptions options;
    guint n;
    gint64 now, total; /* ms, steps */
    gboolean shared;
    guint64 lease, claim; /* generations that stand in the lease, and in the claim */
    guint64 claimant;     /* incarnation: a seat may have another process by now */
    double drop, twice;
    gint64 delay;                       /* at most, ms */
    gboolean cut[SIM_SEATS][SIM_SEATS]; /* from, to */
    gboolean restarts;                  /* a process that ended with 75 is started again */
    SimProcess process[SIM_SEATS];
    LoomEnding ending[SIM_SEATS];
    gboolean ended[SIM_SEATS];
    char *why[SIM_SEATS];
    guint64 final[SIM_SEATS];    /* its weights */
    gint64 reached[SIM_SEATS];   /* its steps */
    gint64 left[SIM_SEATS];      /* when a process with this seat is started again; 0: not */
    GSequence *wire;             /* of messages, by time */
    GPtrArray *views;            /* of SimView */
    GPtrArray *notes, *recorded; /* text; GBytes of the machines' messages */
    gint64 last_apply, longest_pause;
} Sim;

Sim *sim_new(guint64 seed, guint n, gint64 total);
void sim_free(Sim *sim);
void sim_start(Sim *sim, guint seat, gint64 step);
void sim_kill(Sim *sim, guint seat);
void sim_pause(Sim *sim, guint seat, gint64 ms);
void sim_cut(Sim *sim, guint from, guint to, gboolean cut);
void sim_leave(Sim *sim, guint seat);
/* Until @until, or all have ended. */
void sim_run(Sim *sim, gint64 until);
gboolean sim_over(const Sim *sim);
gint64 sim_below(Sim *sim, gint64 n);
/* Fails the test with the seed. */
void sim_broken(const Sim *sim, const char *format, ...) G_GNUC_PRINTF(2, 3) G_GNUC_NORETURN;
gboolean sim_noted(const Sim *sim, const char *text);

/* ---- between the two files ----------------------------------------------------------- */

typedef struct {
    gint64 at;
    guint64 order;
    guint from, to;                        /* seats */
    char *address;                         /* that it was sent to */
    GBytes *message;                       /* NULL: a vote */
    guint64 generation, incarnation, base; /* vote: of the sender; base: its weights */
    gint64 step;
    gboolean holds; /* base is that of the view's step */
} SimFlight;

void sim_fly(Sim *sim, SimFlight *flight); /* (transfer full) */
void sim_begin(Sim *sim, guint seat, const LoomView *view);
void sim_train(Sim *sim, guint seat);
void sim_take_vote(Sim *sim, guint seat, const SimFlight *flight);
