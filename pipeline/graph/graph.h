/* graph.h - stages, their edges and their lanes, as the YAML gives them.  Built and checked
 * once, then immutable; what changes while it runs is marked. */
#pragma once

#include "plugin/instance.h"
#include "moves.h"
#include "queue.h"
#include "times.h"

#include "core/lock.h"

typedef struct _LoomLane LoomLane;
typedef struct _LoomHop LoomHop;
typedef struct _LoomPlace LoomPlace; /* place.h */

/* Bytes that a stage takes, of the case that takes most. */
typedef struct {
    guint64 before; /* what the lane holds when a packet comes, the packet itself counted */
    guint64 work;   /* besides, while the call lasts */
    guint64 kept;   /* from one call to the next */
} LoomHopNeed;

/* A stage in its place. */
struct _LoomHop {
    LoomGraph *graph;
    const char *id;
    const LoomNode *node;
    const LoomStage *stage;
    LoomInstance **instances; /* one a worker of the lane */
    LoomHop *parent;          /* NULL: the source */
    LoomHop *keeper;          /* source: the stage below that keeps packets; NULL: none */
    char *kept_as;            /* keeper: what the stages from the source to it do */
    char *key;                /* source, runs: what the packet in work will be kept under */
    GPtrArray *children;      /* LoomHop *, in the order of the file */
    LoomLane *lane;           /* NULL: another process runs it */
    LoomHop *toward;    /* the child on the way to the stage that counts; NULL: none, or it */
    guint group;        /* of processes that run it: 0, or one of `place:` */
    const char *placed; /* name of that group; NULL: group 0 */
    gboolean here;      /* this process calls it */
    gboolean arrives;   /* it runs in the group before: its packets arrive here as a stream */
    gboolean leaves;    /* its packets go to the next group as a stream */
    gboolean counts;    /* the stage that counts the steps of the run */
    GArray *streams;    /* runs, arrives or leaves: guint, for each place of the other group */
    gint64 queue, workers;  /* as written; queue 0: in the lane of its parent */
    LoomPlan plan;          /* sizes of what leaves; bytes it holds */
    guint64 cache, largest; /* of the plan's bytes, those it can do without; of one case */
    GPtrArray *cases;    /* source: LoomPacket *, a sketch of each size; NULL: it says none */
    LoomHopNeed need;    /* of its largest case */
    guint64 room;        /* what a call may take; G_MAXUINT64: no ceiling */
    gboolean below_step; /* it, or a stage above it, counts the steps of the run */
    gint64 in, out;      /* ratio; 0: not predictable */
    gint64 first;        /* packets below this number do not leave: done before */
    gint64 last;         /* runs: number of the last packet it was given, -1: none */
    gboolean stopped;    /* runs: wants no more packets */
    LoomTimes *times;    /* runs: one a worker, of this lane or of the one above */
    guint n_times;
};

/* A thread, or `workers` of them, and the stages it calls. */
struct _LoomLane {
    LoomGraph *graph;
    LoomHop *head;
    GPtrArray *hops;  /* LoomHop *, each after its parent */
    LoomQueue *queue; /* NULL: its head is the source */
    guint workers;
    guint64 hand;      /* bytes that one of them has in hand at most */
    guint64 packet;    /* of the largest packet in the queue */
    guint64 held;      /* of results that wait for their turn, of one of several workers */
    LoomHop *heaviest; /* the stage in which `hand` is reached; NULL: nothing is known */
    LoomLock lock;     /* guards the rest, which changes while it runs */
    LoomSignal turned; /* turn or broken changed */
    gint64 turn;       /* ticket of the packet whose results leave next */
    guint working;     /* workers that have not ended */
    gboolean broken;   /* a worker failed: nobody waits for its turn */
    gboolean ended;    /* its data came to an end, it was not stopped */
};

struct _LoomGraph {
    const char *id;
    const LoomNode *node;
    GPtrArray *hops;  /* LoomHop *, owned, each after its parent */
    GPtrArray *lanes; /* LoomLane *, owned */
    gboolean broken;  /* its stages and edges do not fit; only where findings are collected */
    LoomHop *moves;   /* whose packets show people that it goes on; NULL: none runs here */
    /* What changes while it runs: */
    LoomSpent ran;   /* all its runs */
    gint64 began_ns; /* atomic: of the run in hand; 0: none */
    LoomMove move;   /* guarded by the run's `recording` */
};

/* Names -> stages, edges, lanes; no instance is made yet.  @place: which of its stages run in
 * other processes; NULL: none.  Refused: unknown stages, dangling
 * edges, cycles, not exactly one source, slots that nobody writes or that do not fit.  Where
 * the scope has findings, these go there and the graph is handed out as broken. */
LoomGraph *loom_graph_new(const char *id, const LoomNode *node, const LoomScope *scope,
                          const LoomPlace *place, GError **error);
void loom_graph_free(LoomGraph *graph);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LoomGraph, loom_graph_free)
/* Makes the instances: the parameters of every stage. */
gboolean loom_graph_fill(LoomGraph *graph, const LoomScope *scope, GError **error);
/* Before it runs: no queue holds more than @most packets; all stages in one lane. */
void loom_graph_shorten(LoomGraph *graph, gint64 most);
void loom_graph_join(LoomGraph *graph);
/* Every slot that a stage reads is written on the way to it, with that dtype and those axes. */
gboolean loom_graph_check_slots(const LoomGraph *graph, LoomFindings *findings, GError **error);
/* Stages that keep packets: all between the source and them gives the same each time. */
gboolean loom_graph_check_keepers(LoomGraph *graph, GError **error);
/* Stages that use one model lie in one lane, those of graphs that it runs included.
 * @graphs: id -> LoomGraph *. */
gboolean loom_graph_check_models(const LoomGraph *graph, GHashTable *graphs, GError **error);
/* Sizes along the graph; after open.  Fills in each hop's plan. */
gboolean loom_graph_plan(LoomGraph *graph, LoomFindings *findings, GError **error);
LoomHop *loom_graph_find(const LoomGraph *graph, const char *id);
/* The stage that counts the steps of a run; NULL: none. */
LoomHop *loom_graph_counter(const LoomGraph *graph);
/* Sets where every stage begins, so that packet @number is the first to reach the counter. */
gboolean loom_graph_begin_at(LoomGraph *graph, gint64 number, GError **error);
/* Instances of a stage: one a worker. */
guint loom_hop_copies(const LoomHop *hop);
/* Packets that can exist at once. */
guint64 loom_graph_packets(const LoomGraph *graph);

/* For people; (transfer full).  @text: what `segloom graph` prints. */
void loom_graph_describe(const LoomGraph *graph, GString *text);
void loom_graph_dot(const LoomGraph *graph, GString *text);
