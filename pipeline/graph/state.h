/* state.h - what one run holds, and what hosts and contexts point into. */
#pragma once

#include "graph.h"
#include "journal.h"
#include "run.h"

#include "core/lock.h"

struct _LoomRun {
    const LoomRegistry *registry;
    LoomNode *config; /* borrowed */
    LoomRunOptions options;
    char *folder; /* absolute; NULL: only checking */
    guint64 seed;
    char *graph;  /* name of the graph to run */
    gint64 steps; /* 0: as many as the data gives */
    LoomPool *pool;
    LoomDataset *dataset;
    LoomInstance *backend;
    GPtrArray *models;    /* LoomInstance *, owned, in the order of the file */
    GHashTable *by_model; /* id -> LoomInstance * */
    GPtrArray *graphs;    /* LoomGraph *, owned, in the order of the file */
    GHashTable *by_graph; /* id -> LoomGraph * */
    LoomGraph *main;
    GHashTable *recipes;   /* model id -> JSON */
    LoomJournal *journal;  /* NULL: only checking */
    gint64 resumed_at;     /* -1: from the start */
    gint stopping, failed; /* atomic */
    gint64 step;           /* atomic: steps done */
    LoomLock recording;    /* one record callback at a time */
    LoomLock lock;         /* guards the error */
    GError *error;         /* the first one */
};

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
/* Runs a graph from its first packet to its end, in this thread or in threads of its lanes. */
LoomFlow loom_graph_execute(LoomRun *run, LoomGraph *graph);
/* Calls one stage with a packet (transfer full), and those below it. */
LoomFlow loom_hop_run(LoomWorker *worker, LoomHop *hop, LoomPacket *packet, GError **error);
/* Hands a packet (transfer full) to the stages below @hop. */
LoomFlow loom_hop_deliver(LoomWorker *worker, LoomHop *hop, LoomPacket *packet, GError **error);
