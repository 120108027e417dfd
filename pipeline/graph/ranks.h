/* ranks.h - a run among other processes: it joins them, makes its share, and when one is lost
 * or comes it does so again from the last step that was applied.  All of these do nothing, or
 * what one process alone needs, where run->ranks is NULL. */
#pragma once

#include "place.h"
#include "state.h"

#include "cluster/cluster.h"
#include "wire/streams.h"

struct _LoomRanks {
    LoomClusterOptions options;
    gboolean filled; /* the options are */
    LoomCluster *cluster;
    LoomStreams *streams; /* NULL: no edge of this process's leaves or arrives */
    LoomView *view;       /* of this generation; NULL: none yet */
    char *config;         /* sha256 of what all ranks must have alike */
    gint writes;       /* atomic: this process leaves what all made: the source of the view */
    gint64 began;      /* step at which the generation before began; -1: there was none */
    guint fruitless;   /* generations in a row without a step */
    int ending;        /* LoomEnding */
    gboolean finished; /* `finish` was called for the steps that are done */
};

/* Reads `cluster:`, opens transport and collective where there is more than one rank. */
gboolean loom_ranks_open(LoomRun *run, const LoomScope *scope, GError **error);
/* No thread of the cluster calls into the run any more. */
void loom_ranks_stop(LoomRanks *ranks);
void loom_ranks_free(LoomRanks *ranks);
/* The main graph, generation by generation, to its end. */
LoomFlow loom_ranks_execute(LoomRun *run);
gboolean loom_ranks_cut_off(const LoomRun *run);
/* From any thread: this process was told to stop. */
void loom_ranks_leave(LoomRun *run);
void loom_ranks_progress(LoomRun *run);

/* An edge to the next group: @packet (transfer none) to each process that needs it. */
LoomFlow loom_ranks_send(LoomRun *run, LoomHop *hop, const LoomPacket *packet, GError **error);
/* One from the group before: packet @index, from the process that makes it. */
LoomFlow loom_ranks_receive(LoomRun *run, LoomHop *hop, gint64 index, LoomPacket **packet,
                            GError **error);
/* The lane came to its end: so do the streams that leave it. */
void loom_ranks_end(LoomRun *run, const LoomLane *lane);

/* A collective failed, with @cause (transfer full).  STOP: most often a rank is gone; the
 * others hear of it and all form anew.  FAIL: this collective survives no loss. */
LoomFlow loom_ranks_lost(LoomRun *run, GError *cause, GError **error);
/* Everyone's bytes; see loom_context_gather. */
LoomFlow loom_ranks_gather(LoomRun *run, GBytes *mine, GPtrArray *all, GError **error);

/* sha256 of the weights and moments of all models, hexadecimal; (transfer full). */
char *loom_state_hash(const LoomRun *run);
/* Weights and moments of rank @root in all ranks. */
LoomFlow loom_state_broadcast(LoomRun *run, guint root, GError **error);
