/* mesh_receive - what came, and what it means for the calls under way.  Bytes of strangers are
 * dropped; a rank that says what cannot be ends the generation, with words. */
#include "mesh.h"

#include <string.h>

#define EARLY 65536 /* headers of newer generations that are kept, at most */

/* ---- calls -------------------------------------------------------------------------- */

/* This rank's own part ends when all are in the call and nobody owes anything. */
static void call_check(Mesh *mesh, Call *call)
{
    if (call->through || call->owing || call->here != mesh_others(mesh))
        return;
    call->through = TRUE;
    for (guint i = 0; i < mesh->size; i++)
        if (call->read_from >> i & 1) {
            MeshHeader header = {.sequence = call->sequence};

            mesh_say(mesh, i, MESH_FINISHED, &header);
        }
    call_close(call);
}

static gboolean call_agrees(const Mesh *mesh, const Call *call, const MeshHeader *theirs,
                            GError **error)
{
    const gboolean sized = call->kind != CALL_GATHER;

    if (theirs->call == call->kind && (!sized || theirs->count == call->count)
        && theirs->root == call->root) {
        if (sized || theirs->count <= MESH_GATHER_LIMIT)
            return TRUE;
        return loom_fail(error, LOOM_ERROR_LIMIT,
                         "rank %u gathers %" G_GUINT64_FORMAT " bytes, want at most %u",
                         theirs->from, theirs->count, MESH_GATHER_LIMIT);
    }
    g_autofree char *other =
        call_text((CallKind)theirs->call, theirs->sequence, theirs->count, theirs->root);
    g_autofree char *own = call_text(call->kind, call->sequence, call->count, call->root);
    return loom_fail(error, LOOM_ERROR_PLUGIN, "desync: rank %u is at %s, rank %u at %s",
                     theirs->from, other, mesh->rank, own);
}

/* Rank @theirs->from is in the call as well. */
static gboolean call_meet(Mesh *mesh, Call *call, const MeshHeader *theirs, GError **error)
{
    const guint from = theirs->from;

    if (!call_agrees(mesh, call, theirs, error))
        return FALSE;
    if (call->kind == CALL_GATHER) {
        call->length[from] = theirs->count;
        call->parts[from] = g_try_malloc(MAX(theirs->count, 1));
        if (!call->parts[from])
            return loom_fail(error, LOOM_ERROR_LIMIT,
                             "no memory for %" G_GUINT64_FORMAT " bytes of rank %u",
                             theirs->count, from);
        mask_set(&call->owing, from, theirs->count > 0);
    }
    if (call->kind == CALL_SUM)
        call->memory[from] = (Memory){theirs->fd, theirs->serial, theirs->bytes};
    if (theirs->flags & MESH_READS)
        mask_set(&call->reads, from, TRUE);
    mask_set(&call->here, from, TRUE);
    call_check(mesh, call);
    return TRUE;
}

static void here_say(Mesh *mesh, const Call *call)
{
    const Buffer *buffer = call->buffer;

    for (guint i = 1; i < mesh->size; i++) {
        const guint peer = (mesh->rank + i) % mesh->size;
        MeshHeader header = {.sequence = call->sequence,
                             .call = call->kind,
                             .root = call->root,
                             .count = call->count,
                             .flags = mesh->peers[peer].probe ? MESH_READS : 0};

        if (buffer && buffer->shared) {
            header.fd = (guint32)buffer->shared->fd;
            header.serial = buffer->shared->serial;
            header.bytes = buffer->shared->bytes;
        }
        mesh_say(mesh, peer, MESH_HERE, &header);
    }
}

void mesh_call_begin(Mesh *mesh, Call *call)
{
    GError *error = NULL;

    here_say(mesh, call);
    call->method->begin(mesh, call);
    for (guint i = 0; i < mesh->size && !mesh->failed; i++) {
        g_autofree MeshHeader *theirs = g_queue_pop_head(&mesh->peers[i].ahead);

        if (theirs && !call_meet(mesh, call, theirs, &error))
            mesh_fail(mesh, error);
    }
    call_check(mesh, call);
}

/* A call that has begun here; NULL: none of this number. */
static Call *call_find(Mesh *mesh, guint64 sequence)
{
    const Call *first = g_queue_peek_head(&mesh->calls);

    if (!first || sequence < first->sequence
        || sequence - first->sequence >= mesh->calls.length)
        return NULL;
    return g_queue_peek_nth(&mesh->calls, (guint)(sequence - first->sequence));
}

/* ---- messages ----------------------------------------------------------------------- */

static gboolean here_take(Mesh *mesh, const MeshHeader *header, GError **error)
{
    Peer *peer = &mesh->peers[header->from];

    if (header->sequence != peer->heard + 1)
        return loom_fail(error, LOOM_ERROR_IO,
                         "messages of rank %u were lost: its call %" G_GUINT64_FORMAT
                         " follows its call %" G_GUINT64_FORMAT,
                         header->from, header->sequence, peer->heard);
    peer->heard++;
    Call *call = call_find(mesh, header->sequence);
    if (call)
        return call_meet(mesh, call, header, error);
    if (peer->ahead.length == MESH_UNDER_WAY)
        return loom_fail(error, LOOM_ERROR_LIMIT, "rank %u is more than %d calls ahead",
                         header->from, MESH_UNDER_WAY);
    g_queue_push_tail(&peer->ahead, g_memdup2(header, sizeof *header));
    return TRUE;
}

/* Not before a piece is there: a rank that gave nothing may be through, and its memory gone.
 * One that gave some lets go of it early only where it broke off or died.  Of that we learn the
 * cause elsewhere, from the rank that is in another call or from who watches over the ranks;
 * that its memory is gone would hide it.  Then there is no view, and no error. */
static gboolean view_take(Mesh *mesh, Call *call, guint from, guint64 bytes, GError **error)
{
    GError *cause = NULL;

    if (!call->view[from])
        call->view[from] = mesh_peer_view(mesh, from, &call->memory[from], &cause);
    if (!call->view[from] && g_error_matches(cause, LOOM_ERROR, LOOM_ERROR_FORMAT)) {
        g_debug("%s", cause->message);
        g_error_free(cause);
        return TRUE;
    }
    if (!call->view[from]) {
        g_propagate_error(error, cause);
        return FALSE;
    }
    if (call->view[from]->bytes < bytes)
        return loom_fail(error, LOOM_ERROR_FORMAT,
                         "memory of rank %u has %" G_GSIZE_FORMAT
                         " bytes, want %" G_GUINT64_FORMAT,
                         from, call->view[from]->bytes, bytes);
    mask_set(&call->read_from, from, TRUE);
    return TRUE;
}

/* Where the bytes of a piece are, once it lies inside of what was agreed on; NULL: gone. */
static gboolean piece_locate(Mesh *mesh, Call *call, const MeshHeader *header, GBytes *payload,
                             Piece *piece, GError **error)
{
    const guint from = header->from;
    const guint64 bytes =
        call->kind == CALL_GATHER ? call->length[from] : call->count * sizeof(float);
    const gsize there = payload ? g_bytes_get_size(payload) : 0;

    *piece = (Piece){.from = from,
                     .part = header->part,
                     .offset = header->offset,
                     .length = header->length,
                     .message = payload};
    if (header->offset > bytes || header->length > bytes - header->offset || header->length == 0
        || header->part > 1)
        return loom_fail(error, LOOM_ERROR_FORMAT,
                         "rank %u sent %" G_GUINT64_FORMAT " bytes at %" G_GUINT64_FORMAT
                         " of %" G_GUINT64_FORMAT,
                         from, header->length, header->offset, bytes);
    if (header->flags & MESH_SHARED) {
        if (!view_take(mesh, call, from, bytes, error))
            return FALSE;
        if (call->view[from])
            piece->bytes = call->view[from]->data + header->offset;
        return TRUE;
    }
    piece->bytes = payload ? g_bytes_get_data(payload, NULL) : NULL;
    return there == header->length
           || loom_fail(error, LOOM_ERROR_FORMAT,
                        "rank %u sent %" G_GSIZE_FORMAT " bytes, want %" G_GUINT64_FORMAT, from,
                        there, header->length);
}

static gboolean piece_take(Mesh *mesh, const MeshHeader *header, GBytes *payload,
                           GError **error)
{
    Call *call = call_find(mesh, header->sequence);
    Piece piece;

    if (!call || call->through || !(call->here >> header->from & 1))
        return loom_fail(error, LOOM_ERROR_FORMAT,
                         "rank %u sent bytes of call %" G_GUINT64_FORMAT
                         ", in which rank %u is not",
                         header->from, header->sequence, mesh->rank);
    if (!piece_locate(mesh, call, header, payload, &piece, error))
        return FALSE;
    if (!piece.bytes) /* still owing */
        return TRUE;
    if (!call->method->piece(mesh, call, &piece, error))
        return FALSE;
    call_check(mesh, call);
    return TRUE;
}

static gboolean finished_take(Mesh *mesh, const MeshHeader *header, GError **error)
{
    Call *call = call_find(mesh, header->sequence);

    if (!call || !(call->given >> header->from & 1))
        return loom_fail(error, LOOM_ERROR_FORMAT,
                         "rank %u is through with call %" G_GUINT64_FORMAT
                         ", of which it was given nothing",
                         header->from, header->sequence);
    mask_set(&call->given, header->from, FALSE);
    call_close(call);
    return TRUE;
}

static void header_take(Mesh *mesh, const MeshHeader *header, GBytes *payload)
{
    GError *error = NULL;
    gboolean good = TRUE;

    switch ((MeshKind)header->kind) {
    case MESH_HELLO:
        mesh_peer_hello(mesh, header);
        break;
    case MESH_HERE:
        good = here_take(mesh, header, &error);
        break;
    case MESH_PIECE:
        good = piece_take(mesh, header, payload, &error);
        break;
    case MESH_FINISHED:
        good = finished_take(mesh, header, &error);
        break;
    }
    if (!good)
        mesh_fail(mesh, error);
}

/* Strangers cost their message and no more. */
static void stranger_note(Mesh *mesh, const char *what)
{
    if (mesh->strangers++ == 0)
        g_warning("collective: a message was dropped: its %s is not ours; further ones are "
                  "dropped without a word",
                  what);
}

static gboolean header_is_ours(Mesh *mesh, const MeshHeader *header)
{
    return header->stamp == mesh->stamp && header->from < mesh->size
           && header->from != mesh->rank && header->to == mesh->rank;
}

void mesh_message_take(Mesh *mesh, GPtrArray *frames)
{
    MeshHeader header;
    const char *wrong = frames->len < 1 || frames->len > 2
                            ? "number of frames"
                            : mesh_header_read(&header, frames->pdata[0]);

    if (wrong) {
        stranger_note(mesh, wrong);
        return;
    }
    if (header.generation > mesh->generation || mesh->size == 0) {
        /* We are late.  Only what says that somebody is there can come so early. */
        if (mesh->early->len < EARLY && frames->len == 1)
            g_ptr_array_add(mesh->early, g_bytes_ref(frames->pdata[0]));
        return;
    }
    if (header.generation < mesh->generation || mesh->failed || mesh->quiet)
        return;
    if (!header_is_ours(mesh, &header))
        stranger_note(mesh, "stamp");
    else
        header_take(mesh, &header, frames->len == 2 ? frames->pdata[1] : NULL);
}
