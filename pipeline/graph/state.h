/* state.h - what one run holds, and what hosts and contexts point into. */
#pragma once

#include "graph.h"
#include "journal.h"
#include "run.h"
#include "share.h"

#include "core/lock.h"

typedef struct _LoomRanks LoomRanks; /* ranks.h */

struct _LoomRun {
    const LoomRegistry *registry;
    LoomNode *config; /* borrowed */
    LoomRunOptions options;
    char *folder; /* absolute; NULL: only checking */
    guint64 seed;
    char *graph;           /* name of the graph to run */
    gint64 steps;          /* 0: as many as the data gives */
    guint64 memory;        /* ceiling of the process; 0: none */
    guint64 memory_before; /* what it held before the run was opened */
    LoomRunMemory sum;     /* with a ceiling, or while only looking */
    LoomPool *pool;
    LoomDataset *dataset;
    LoomSurvey *survey; /* NULL: nobody looked at its files */
    gboolean planned;   /* all stages are open */
    LoomInstance *backend;
    GPtrArray *models;       /* LoomInstance *, owned, in the order of the file */
    GHashTable *by_model;    /* id -> LoomInstance * */
    GHashTable *weight_sets; /* LoomInstance * -> GPtrArray of LoomStore *, several of them */
    GPtrArray *graphs;       /* LoomGraph *, owned, in the order of the file */
    GHashTable *by_graph;    /* id -> LoomGraph * */
    LoomGraph *main;
    GHashTable *recipes;   /* model id -> JSON */
    LoomJournal *journal;  /* NULL: only checking */
    gint64 resumed_at;     /* -1: from the start */
    GArray *starts;        /* LoomStart, those before this one */
    gint64 times_at;       /* ns, when timing.json was last written between steps; 0: never */
    LoomPlace *place;      /* NULL: only a plugin is open, no run */
    LoomRanks *ranks;      /* NULL: alone */
    LoomShare share;       /* of this process, from one start of the graph to the next */
    gint last_step;        /* atomic: halt once the step in hand is done */
    gint halted;           /* atomic: the generation is over, the ranks form anew */
    gint stopping, failed; /* atomic */
    gint64 step;           /* atomic: steps done */
    guint64 packets;       /* atomic: that went through any stage, to see that it moves */
    LoomLock recording;    /* one record callback at a time */
    LoomLock lock;         /* guards the error */
    GError *error;         /* the first one */
};

/* All that the config names, checked and acquired. */
gboolean loom_run_acquire(LoomRun *run, GError **error);
/* The same, past every problem: each becomes a finding. */
void loom_run_look_over(LoomRun *run);
/* Everything about the data of a run that is looked at; needs run->dataset and run->pool. */
void loom_run_look_at_data(LoomRun *run, const LoomNode *section);
/* Cases that the patches of the training graph do not fit into; after the stages are open. */
void loom_run_look_at_patches(LoomRun *run);

struct _LoomHost {
    LoomRun *run;
    const char *id;
    const LoomGraph *graph; /* NULL: a backend or a model */
};

typedef struct {
    LoomRun *run;
    LoomLane *lane;
    guint number;
    GPtrArray
        *held; /* results that wait for their turn: LoomHop *, LoomPacket *, ...; or NULL */
} LoomWorker;

struct _LoomContext {
    LoomRun *run;
    LoomWorker *worker; /* NULL: nothing may be pushed */
    LoomHop *hop;
    gint64 index;          /* number of the packet in hand, or to make */
    gint64 pushed;         /* packets pushed in this call */
    gboolean below_failed; /* the error came up from a stage below, its place is in it */
};

/* Keeps the first error, stops every queue, wakes every worker. (transfer full) */
void loom_run_fail(LoomRun *run, GError *error);
gboolean loom_run_stopping(LoomRun *run);
gboolean loom_run_failed(LoomRun *run);
/* From any thread: every queue stops and every worker wakes, without an error. */
void loom_run_halt(LoomRun *run);
gboolean loom_run_halted(LoomRun *run);
/* Stopping, failed or halted: nothing new is begun. */
gboolean loom_run_ending(LoomRun *run);
/* A record, unless another process writes them. */
void loom_run_record(LoomRun *run, const char *kind, gint64 step, const LoomField *fields,
                     guint n_fields);
/* Runs a graph from its first packet to its end, in this thread or in threads of its lanes. */
LoomFlow loom_graph_execute(LoomRun *run, LoomGraph *graph);
/* Calls one stage with a packet (transfer full), and those below it. */
LoomFlow loom_hop_run(LoomWorker *worker, LoomHop *hop, LoomPacket *packet, GError **error);
/* Hands a packet (transfer full) to the stages below @hop, here and in other processes. */
LoomFlow loom_hop_deliver(LoomWorker *worker, LoomHop *hop, LoomPacket *packet, GError **error);
/* Does this process, or one that gets packets from it, need packet @index as it leaves @hop? */
gboolean loom_hop_wants(const LoomRun *run, const LoomHop *hop, gint64 index);
/* What the thread of a worker is doing. */
LoomClock *loom_worker_clock(const LoomWorker *worker);
/* Hands a packet (transfer full) to the queue that @child begins. */
LoomFlow loom_worker_push(LoomWorker *worker, LoomHop *child, LoomPacket *packet);
/* Hands a packet to the processes that run the stages below @hop. */
LoomFlow loom_worker_send(LoomWorker *worker, LoomHop *hop, const LoomPacket *packet,
                          GError **error);
/* Calls `finish` of every stage that runs here. */
gboolean loom_graph_finish(LoomRun *run, LoomGraph *graph, GError **error);

/* The instance of a stage that this worker calls; NULL: the first. */
LoomInstance *loom_hop_instance(const LoomWorker *worker, const LoomHop *hop);
/* Adds the place, and the case unless the message names it, and returns FAIL. */
LoomFlow loom_hop_blame(const LoomInstance *instance, const char *packet_id, GError *cause,
                        GError **error);
/* What a call that may push came to. */
LoomFlow loom_flow_check(const LoomContext *ctx, LoomInstance *instance, LoomFlow flow,
                         const char *call, const char *packet_id, GError *cause,
                         GError **error);
/* Does the packet hold what these slots promise? */
gboolean loom_slots_check(const LoomSlot *slots, const LoomPacket *packet, GError **error);
