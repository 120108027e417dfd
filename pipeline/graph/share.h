/* share.h - which packets of the numbered sequence are made by which process.
 *
 * Packets of an edge are numbered as one process would number them.  The stage that counts
 * steps sees numbers k = 0, 1, 2, ...: one batch each, a rank-step.  Ranks that train take them
 * in turn, rank r the k with (k - taken) mod size == r, and `size` of them are one step of the
 * run. Every stage above makes what those need, and nothing else, so N ranks with batches of
 * B/N see in each step what one rank sees with a batch of B.  Random numbers are keyed by the
 * number, so it does not matter who makes a packet, or how often. */
#pragma once

#include "graph.h"

typedef struct {
    guint rank, size; /* among the ranks of this process's group; size 0: as 1 */
    gint64 step;      /* steps done when this generation began */
    gint64 taken;     /* rank-steps done then, by all ranks that ever were */
} LoomShare;

/* Steps done before rank-step @k; for k = taken - 1, the one before the first, step - 1. */
gint64 loom_share_step(const LoomShare *share, gint64 k);
/* Rank-steps done when @step steps are done. */
gint64 loom_share_taken(const LoomShare *share, gint64 step);
/* Does place @rank of group @group, which has @size places, need packet @index as it leaves
 * @hop? A group with a name makes packets for the edge at its end (LoomGroupGoal), the one
 * without trains. */
gboolean loom_share_wants(const LoomShare *share, const LoomHop *hop, gint64 index, guint group,
                          guint rank, guint size);
/* Who of a group with @size places makes packet @index on the edge that leaves it at @goal. */
guint loom_share_maker(const LoomHop *goal, gint64 index, guint size);
