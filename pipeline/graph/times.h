/* times.h - where the time of a run goes: what each stage took itself, and what its threads
 * waited for.  Every counter has one writer, a worker of a lane, and any number of readers, so
 * that counting needs no lock. */
#pragma once

#include <glib.h>

typedef struct _LoomRun LoomRun;
typedef struct _LoomGraph LoomGraph;

typedef struct {
    gint64 ns, n; /* atomic: nanoseconds, and how often */
} LoomSpent;

/* What the time of one thread is charged to, from one moment on. */
typedef struct {
    LoomSpent *now; /* NULL: to nothing */
    gint64 since;   /* ns of the monotonic clock */
} LoomClock;

/* Of one stage and one worker. */
typedef struct {
    LoomSpent own;   /* in the stage, those that it calls left out */
    LoomSpent sent;  /* handing packets to other processes */
    LoomSpent room;  /* the worker above waited for room in the queue that this stage begins */
    LoomSpent take;  /* at the head of a lane: waited for a packet */
    LoomSpent turn;  /* at the head of a lane: waited for earlier packets of other workers */
    LoomClock clock; /* at the head of a lane: of its worker */
} LoomTimes;

/* Charges what has passed until @now, and from then on charges @to, which may be NULL.  Returns
 * what was charged before. */
LoomSpent *loom_clock_turn_at(LoomClock *clock, LoomSpent *to, gint64 now);
/* The same, now. */
LoomSpent *loom_clock_turn(LoomClock *clock, LoomSpent *to);
/* One more of what is counted. */
void loom_spent_count(LoomSpent *spent);

/* One start of a run that was stopped and resumed. */
typedef struct {
    gint64 from, step; /* steps done when it began, and at the end */
    gint64 ns;         /* of the main graph */
} LoomStart;

/* --resume: all counters go on from those in timing.json, and run->starts are its starts; once,
 * before anything runs. */
void loom_times_resume(LoomRun *run);

/* A graph begins, or has ended, in the calling thread. */
void loom_times_begin(LoomGraph *graph);
void loom_times_end(LoomGraph *graph);
/* All graphs of a run as JSON; (transfer full). */
char *loom_times_json(LoomRun *run);
/* timing.json in the folder of the run, unless another process writes there. */
void loom_times_write(LoomRun *run);
/* The same at the first call, then once a minute: what a run that is killed has spent.  One
 * thread. */
void loom_times_write_now_and_then(LoomRun *run);
