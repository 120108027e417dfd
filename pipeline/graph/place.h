/* place.h - `place:` of a config: which stages of the graph belong to which processes.
 *
 *   place:
 *     loaders: {ranks: 2, stages: [load, scale, patch]}
 *
 * Stages that no group names belong to group 0, which trains, and has the first ranks; named
 * groups have the last ones, in the order of the file.  Along the way from the source to the
 * stage that counts, a group is one piece.  An edge between two groups becomes a stream. */
#pragma once

#include "graph.h"

typedef struct {
    const char *name; /* "loaders"; of group 0 "trainers", for messages */
    guint ranks;
    const LoomNode *stages; /* list of ids; NULL: group 0 */
} LoomPlaceGroup;

struct _LoomPlace {
    GArray *groups; /* LoomPlaceGroup, group 0 first */
    guint size;     /* processes */
    guint group;    /* of this one */
};

/* @section: `place:`, may be NULL: one group.  @rank: of this process of @size.
 * Refused: no list of stages, groups that leave no rank to train. */
LoomPlace *loom_place_new(const LoomNode *section, guint rank, guint size, GError **error);
void loom_place_free(LoomPlace *place);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LoomPlace, loom_place_free)
/* Gives each stage its group.  Refused: names that are no stages, groups in pieces, what must
 * not leave a process between two groups. */
gboolean loom_place_apply(const LoomPlace *place, LoomGraph *graph, GError **error);
