/* moves.h - how far a graph is, for people who wait. */
#pragma once

#include <glib.h>

typedef struct _LoomRun LoomRun;
typedef struct _LoomGraph LoomGraph;

typedef struct {
    const char *graph;  /* that moved */
    gboolean main;      /* the graph of the run, not one that another graph runs */
    gint64 done, all;   /* steps; without a stage that counts, packets.  all 0: not known */
    gint64 part, parts; /* of the packet in hand; parts 0: not said */
} LoomMove;

void loom_moves_begin(LoomRun *run, LoomGraph *graph);
/* Packet number @index came to the stage that shows it. */
void loom_moves_done(LoomRun *run, LoomGraph *graph, gint64 index);
/* The source will make so many packets; 0: it does not know. */
void loom_moves_expect(LoomRun *run, LoomGraph *graph, gint64 packets);
/* So much of the packet in hand is done. */
void loom_moves_part(LoomRun *run, LoomGraph *graph, gint64 part, gint64 parts);
