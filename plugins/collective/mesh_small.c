/* mesh_small - gather and broadcast: everybody, or the root, gives its bytes to all others. */
#include "mesh.h"

#include <string.h>

static void to_all(Mesh *mesh, Call *call, guint64 bytes)
{
    for (guint i = 1; i < mesh->size; i++)
        mesh_give(mesh, call, (mesh->rank + i) % mesh->size, 0, 0, bytes, URGENCY_DATA);
}

/* ---- gather ------------------------------------------------------------------------- */

/* How much another rank has is known when it is in the call: until then it owes. */
static void gather_begin(Mesh *mesh, Call *call)
{
    __atomic_store_n(&call->owing, mesh_others(mesh), __ATOMIC_RELAXED);
    to_all(mesh, call, call->count);
}

static gboolean gather_piece(G_GNUC_UNUSED Mesh *mesh, Call *call, const Piece *piece,
                             GError **error)
{
    const guint from = piece->from;
    guint64 *next = &call->next[0][from];

    if (!call_piece_due(call, piece, next, call->length[from], error))
        return FALSE;
    memcpy(call->parts[from] + piece->offset, piece->bytes, piece->length);
    if (*next == call->length[from])
        mask_set(&call->owing, from, FALSE);
    return TRUE;
}

const Method mesh_gather = {gather_begin, gather_piece, NULL};

/* ---- broadcast ---------------------------------------------------------------------- */

static void broadcast_begin(Mesh *mesh, Call *call)
{
    const guint64 bytes = call->count * sizeof(float);

    if (mesh->rank == call->root)
        to_all(mesh, call, bytes);
    else
        mask_set(&call->owing, call->root, bytes > 0);
}

static gboolean broadcast_piece(G_GNUC_UNUSED Mesh *mesh, Call *call, const Piece *piece,
                                GError **error)
{
    const guint64 bytes = piece->from == call->root ? call->count * sizeof(float) : 0;
    guint64 *next = &call->next[0][0];

    if (!call_piece_due(call, piece, next, bytes, error))
        return FALSE;
    memcpy((guint8 *)call->data + piece->offset, piece->bytes, piece->length);
    if (*next == bytes)
        mask_set(&call->owing, call->root, FALSE);
    return TRUE;
}

const Method mesh_broadcast = {broadcast_begin, broadcast_piece, NULL};
