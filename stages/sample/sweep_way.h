/* sweep_way.h - how many windows go through the network at once, and how many tiles a case is
 * swept in: as memory allows. */
#pragma once

#include "sweep.h"

typedef struct {
    const LoomInstance *model;
    const gint64 *size; /* of a window, D, H, W */
    gint64 batch;       /* windows at once that were asked for */
    gint64 logits;      /* of a window at a time: 2 where a mean of passes is taken */
} SweepNetwork;

typedef struct {
    gint64 batch;
    guint64 arena; /* activations of the network, which stay */
    guint64 rest;  /* windows, sums, what comes out */
} SweepWay;

/* The activations of the network for @batch windows. */
gboolean sweep_arena_bytes(const SweepNetwork *net, gint64 batch, gint64 channels,
                           guint64 *bytes, GError **error);
/* sweep_way_find - the way of a case that was begun within @room bytes, or the nearest to it
 * Sets sweep->tiles.  How many windows go at once depends on no case, as the network allocates
 * for each number: they get a quarter of the room, unless a single one needs more. */
gboolean sweep_way_find(const SweepNetwork *net, Sweep *sweep, guint64 room, guint threads,
                        SweepWay *way, GError **error);
