/* direct - all-reduce by direct exchange.  The floats are cut into as many parts as there are
 * ranks (call_bound); part j belongs to rank j, to which all others send their share of it.
 * The owner adds them in the order of ranks, 0 + 1 + 2 + ..., a chunk as soon as all of its
 * shares are there, and sends the sum to all.
 *
 * On each link 2 (n - 1) / n of the bytes and two latencies; the order of the additions is that
 * of a loop over ranks, so the result depends on nothing but the numbers.
 * Source: reduce-scatter and all-gather by direct exchange, as parameter servers do it
 * (Jiang et al. 2020, BytePS). */
#include "mesh.h"

#include <string.h>

enum { SHARE, RESULT };

typedef struct {
    guint present; /* shares of this chunk that came */
    const guint8 *bytes[MESH_MAX_RANKS];
    GBytes *message[MESH_MAX_RANKS];
} Chunk;

typedef struct {
    guint64 n;
    Chunk chunks[]; /* of the part that is ours */
} Shares;

static guint64 part_bytes(const Call *call, guint owner)
{
    return call_bound(call, owner + 1) - call_bound(call, owner);
}

static Shares *shares_new(const Mesh *mesh, guint64 bytes)
{
    const guint64 n = (bytes + mesh->chunk - 1) / mesh->chunk;
    Shares *shares = g_malloc0(sizeof *shares + n * sizeof(Chunk));

    shares->n = n;
    return shares;
}

static void direct_begin(Mesh *mesh, Call *call)
{
    const guint64 ours = part_bytes(call, mesh->rank);

    call->state = shares_new(mesh, ours);
    for (guint i = 1; i < mesh->size; i++) {
        const guint peer = (mesh->rank + i) % mesh->size;
        const guint64 theirs = part_bytes(call, peer);

        call->next[SHARE][peer] = call_bound(call, mesh->rank);
        call->next[RESULT][peer] = call_bound(call, peer);
        mask_set(&call->owing, peer, ours > 0 || theirs > 0);
        mesh_give(mesh, call, peer, SHARE, call_bound(call, peer), theirs, URGENCY_DATA);
    }
}

static void peer_check(const Mesh *mesh, Call *call, guint peer)
{
    if (call->next[SHARE][peer] == call_bound(call, mesh->rank + 1)
        && call->next[RESULT][peer] == call_bound(call, peer + 1))
        mask_set(&call->owing, peer, FALSE);
}

static void chunk_add(const Mesh *mesh, Call *call, Chunk *chunk, const Piece *piece)
{
    float *own = call->data + piece->offset / sizeof(float);
    const gsize count = piece->length / sizeof(float);
    const guint first = mesh->rank == 0 ? 1 : 0; /* of two */

    chunk->bytes[mesh->rank] = (const guint8 *)own;
    if (mesh->size == 2)
        mesh_add_two(own, chunk->bytes[first], count); /* 0 + 1 = 1 + 0, bit for bit */
    else
        mesh_add(own, (const void *const *)chunk->bytes, mesh->size, count);
    mesh_bytes_were_read();
    for (guint i = 0; i < mesh->size; i++)
        g_clear_pointer(&chunk->message[i], g_bytes_unref);
}

static gboolean share_take(Mesh *mesh, Call *call, const Piece *piece, GError **error)
{
    const guint64 start = call_bound(call, mesh->rank);

    if (!call_piece_due(call, piece, &call->next[SHARE][piece->from],
                        call_bound(call, mesh->rank + 1), error))
        return FALSE;
    Shares *shares = call->state;
    Chunk *chunk = &shares->chunks[(piece->offset - start) / mesh->chunk];
    chunk->bytes[piece->from] = piece->bytes;
    chunk->message[piece->from] = piece->message ? g_bytes_ref(piece->message) : NULL;
    if (++chunk->present < mesh->size - 1)
        return TRUE;
    chunk_add(mesh, call, chunk, piece);
    for (guint i = 1; i < mesh->size; i++)
        mesh_give(mesh, call, (mesh->rank + i) % mesh->size, RESULT, piece->offset,
                  piece->length, URGENCY_RESULT);
    return TRUE;
}

static gboolean direct_piece(Mesh *mesh, Call *call, const Piece *piece, GError **error)
{
    const guint from = piece->from;

    if (piece->part == SHARE) {
        if (!share_take(mesh, call, piece, error))
            return FALSE;
    } else {
        if (!call_piece_due(call, piece, &call->next[RESULT][from], call_bound(call, from + 1),
                            error))
            return FALSE;
        memcpy((guint8 *)call->data + piece->offset, piece->bytes, piece->length);
    }
    peer_check(mesh, call, from);
    return TRUE;
}

static void direct_end(Call *call)
{
    Shares *shares = call->state;

    for (guint64 i = 0; shares && i < shares->n; i++)
        for (guint k = 0; k < MESH_MAX_RANKS; k++)
            g_clear_pointer(&shares->chunks[i].message[k], g_bytes_unref);
    g_free(shares);
    call->state = NULL;
}

static const Method direct = {direct_begin, direct_piece, direct_end};

static gboolean direct_open(gpointer self, G_GNUC_UNUSED LoomHost *host, GError **error)
{
    return mesh_open(self, &direct, error);
}

static const LoomCollective direct_plugin = {
    MESH_COLLECTIVE("direct", "All-reduce by direct exchange, added in the order of ranks",
                    direct_open),
    MESH_MEMBERS,
};

LOOM_MODULE("collective_direct", "0.1", &direct_plugin.base);
