/* cluster_thread.h - what the thread that trains and the thread that listens share. */
#pragma once

#include "cluster.h"
#include "control.h"
#include "member.h"

#include "core/lock.h"

/* What the training says to the machine. */
typedef enum {
    ASK_STATE,
    ASK_READY,
    ASK_TRY,
    ASK_REPORT,
    ASK_LEAVE,
    ASK_DONE,
    ASK_FAILED,
} AskKind;

typedef struct {
    AskKind kind;
    gint64 step, taken;   /* STATE */
    guint64 generation;   /* READY */
    gboolean ready, sees; /* READY */
    char *address, *key;  /* TRY */
    char *text;           /* REPORT, FAILED */
    gboolean recurs;      /* FAILED */
} Ask;

struct _LoomCluster {
    /* does not change */
    LoomMemberOptions options;
    LoomMember *self;
    char *config, *meet, *folder; /* folder NULL: none */
    void (*halted_call)(gpointer data);
    gpointer halted_data;

    LoomControl *control; /* the listening thread's, once there is one */
    pthread_t thread;
    gboolean listening; /* there is one */

    LoomLock lock; /* guards all below */
    LoomSignal changed;
    GQueue asks; /* of Ask */
    gboolean closing;

    gint64 step; /* of the training */
    guint64 progress;
    guint waiting; /* how many threads wait for other ranks */

    gboolean halted;    /* no generation holds */
    gboolean state_due; /* the machine wants to know what this process holds */
    gboolean wants_halt, leaving;
    gboolean shared;         /* see loom_cluster_shared */
    LoomView *proposed;      /* not yet given to the training; NULL: none */
    guint64 proposal, begun; /* generations: proposed and begun last */
    gboolean ended;
    LoomEnding ending;
    char *reason;  /* set once, by the end */
    GError *error; /* the port broke */
};

/* Begins to listen, as one that holds @step.  */
gboolean cluster_listen(LoomCluster *cluster, gint64 step, GError **error);
/* Waits for the thread's end; what was asked before is done. */
void cluster_deafen(LoomCluster *cluster);
/* @ask: (transfer full). */
void cluster_ask(LoomCluster *cluster, Ask *ask);
Ask *ask_new(AskKind kind);
void ask_free(Ask *ask);
/* With the lock held: this process takes no further part.  The first end holds. */
void cluster_end(LoomCluster *cluster, LoomEnding ending, const char *reason);
