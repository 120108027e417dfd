/* ring - all-reduce around a ring.  The floats are cut into as many parts as there are ranks
 * (call_bound).  Part s starts at rank s and goes from each rank to the next one, which adds
 * its own to what came:  ((x[s] + x[s+1]) + x[s+2]) + ... + x[s+n-1], ranks modulo n.  Where it
 * is complete, at rank s - 1, it sets out once more, as the result.  Chunks follow one another,
 * so that all ranks work at once.
 *
 * Each rank sends to one other only, 2 (n - 1) / n of the bytes, with 2 (n - 1) latencies.
 * Source: Patarasuk and Yuan 2009, bandwidth optimal all-reduce. */
#include "mesh.h"

#include <string.h>

enum { PARTIAL, RESULT };

static guint next_of(const Mesh *mesh)
{
    return (mesh->rank + 1) % mesh->size;
}

/* Of the parts that come: PARTIAL all but the own, RESULT all but the one completed here. */
static guint absent_part(const Mesh *mesh, guint leg)
{
    return leg == PARTIAL ? mesh->rank : next_of(mesh);
}

static void owing_check(const Mesh *mesh, Call *call)
{
    const guint previous = (mesh->rank + mesh->size - 1) % mesh->size;
    gboolean owing = FALSE;

    for (guint leg = PARTIAL; leg <= RESULT; leg++)
        for (guint part = 0; part < mesh->size; part++)
            owing |= part != absent_part(mesh, leg)
                     && call->next[leg][part] < call_bound(call, part + 1);
    mask_set(&call->owing, previous, owing);
}

static void ring_begin(Mesh *mesh, Call *call)
{
    const guint64 start = call_bound(call, mesh->rank);

    for (guint part = 0; part < mesh->size; part++)
        call->next[PARTIAL][part] = call->next[RESULT][part] = call_bound(call, part);
    owing_check(mesh, call);
    mesh_give(mesh, call, next_of(mesh), PARTIAL, start,
              call_bound(call, mesh->rank + 1) - start, URGENCY_DATA);
}

/* Which part lies there: empty ones do not. */
static guint part_at(const Call *call, guint64 offset)
{
    guint part = 0;

    while (call_bound(call, part + 1) <= offset)
        part++;
    return part;
}

static gboolean ring_piece(Mesh *mesh, Call *call, const Piece *piece, GError **error)
{
    const guint part = part_at(call, piece->offset);
    const guint leg = piece->part == PARTIAL ? PARTIAL : RESULT;
    float *own = call->data + piece->offset / sizeof(float);

    if (piece->from != (mesh->rank + mesh->size - 1) % mesh->size
        || part == absent_part(mesh, leg))
        return loom_fail(error, LOOM_ERROR_FORMAT,
                         "rank %u sent part %u of a ring to rank %u, which is not its turn",
                         piece->from, part, mesh->rank);
    if (!call_piece_due(call, piece, &call->next[leg][part], call_bound(call, part + 1), error))
        return FALSE;
    if (leg == PARTIAL)
        mesh_add_two(own, piece->bytes, piece->length / sizeof(float));
    else
        memcpy(own, piece->bytes, piece->length);
    /* PARTIAL is complete at the rank before the one where it started, and becomes RESULT,
     * which is known to all when it has come to the one before that. */
    const gboolean complete = part == next_of(mesh);
    const gboolean last = leg == RESULT && part == (mesh->rank + 2) % mesh->size;
    if (!last)
        mesh_give(mesh, call, next_of(mesh), leg == RESULT || complete ? RESULT : PARTIAL,
                  piece->offset, piece->length, URGENCY_RESULT);
    owing_check(mesh, call);
    return TRUE;
}

static const Method ring = {ring_begin, ring_piece, NULL};

static gboolean ring_open(gpointer self, G_GNUC_UNUSED LoomHost *host, GError **error)
{
    return mesh_open(self, &ring, error);
}

static const LoomCollective ring_plugin = {
    MESH_COLLECTIVE("ring", "All-reduce around a ring: each rank sends to the next one only",
                    ring_open),
    MESH_MEMBERS,
};

LOOM_MODULE("collective_ring", "0.1", &ring_plugin.base);
