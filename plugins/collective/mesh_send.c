/* mesh_send - what waits to be sent.  A piece waits until its receiver is in the call; the
 * bytes stay where they are, and no frame is made before the link can take it. */
#include "mesh.h"

typedef struct {
    MeshHeader header;
    Call *call; /* NULL: the header is all; open as long as this waits */
    GBytes *frames[2];
    guint n;
} Outgoing;

static void outgoing_free(Outgoing *it)
{
    for (guint i = 0; i < it->n; i++)
        g_bytes_unref(it->frames[i]);
    if (it->call) {
        call_close(it->call);
        call_unref(it->call);
    }
    g_free(it);
}

void mesh_send_clear(Peer *peer, Urgency from)
{
    Outgoing *it;

    for (guint i = from; i < N_URGENCIES; i++)
        while ((it = g_queue_pop_head(&peer->out[i])))
            outgoing_free(it);
}

static Outgoing *outgoing_new(const Mesh *mesh, guint peer, MeshKind kind,
                              const MeshHeader *header)
{
    Outgoing *it = g_new0(Outgoing, 1);

    it->header = *header;
    it->header.kind = (guint16)kind;
    it->header.from = mesh->rank;
    it->header.to = peer;
    it->header.generation = mesh->generation;
    it->header.stamp = mesh->stamp;
    return it;
}

void mesh_say(Mesh *mesh, guint peer, MeshKind kind, MeshHeader *header)
{
    g_queue_push_tail(&mesh->peers[peer].out[URGENCY_CONTROL],
                      outgoing_new(mesh, peer, kind, header));
}

void mesh_give(Mesh *mesh, Call *call, guint peer, guint part, guint64 offset, guint64 length,
               Urgency urgency)
{
    const guint64 end = offset + length;

    for (guint64 at = offset; at < end; at += mesh->chunk) {
        const MeshHeader header = {.sequence = call->sequence,
                                   .part = part,
                                   .offset = at,
                                   .length = MIN(end - at, mesh->chunk)};
        Outgoing *it = outgoing_new(mesh, peer, MESH_PIECE, &header);

        it->call = call_ref(call);
        g_atomic_int_inc(&call->open);
        g_queue_push_tail(&mesh->peers[peer].out[urgency], it);
    }
}

/* ---- sending ------------------------------------------------------------------------ */

static gboolean outgoing_may_go(const Outgoing *it, guint peer)
{
    return !it->call || (mask_get(&it->call->here) >> peer & 1);
}

/* The first that may go; where many wait it is the very first. */
static GList *outgoing_next(Peer *peer, guint rank, GQueue **queue)
{
    for (guint i = 0; i < N_URGENCIES; i++)
        for (GList *link = peer->out[i].head; link; link = link->next)
            if (outgoing_may_go(link->data, rank)) {
                *queue = &peer->out[i];
                return link;
            }
    return NULL;
}

static void frames_make(Outgoing *it, guint rank)
{
    Call *call = it->call;

    if (it->n)
        return;
    if (call && call->buffer && call->buffer->shared && (call->reads >> rank & 1)) {
        it->header.flags = MESH_SHARED;
        if (!(call->given >> rank & 1)) {
            mask_set(&call->given, rank, TRUE);
            g_atomic_int_inc(&call->open); /* until it says FINISHED */
        }
    } else if (call) {
        it->frames[1] = call_slice(call, it->header.offset, it->header.length);
    }
    it->frames[0] = mesh_header_frame(&it->header);
    it->n = it->frames[1] ? 2 : 1;
}

/* FALSE: nothing went. */
static gboolean peer_send(Mesh *mesh, guint rank)
{
    const LoomTransport *transport = mesh_transport(mesh);
    Peer *peer = &mesh->peers[rank];
    GQueue *queue;
    GList *link = peer->full ? NULL : outgoing_next(peer, rank, &queue);
    GError *error = NULL;

    if (!link)
        return FALSE;
    Outgoing *it = link->data;
    frames_make(it, rank);
    switch (transport->send(mesh->transport->self, mesh->port, peer->link, it->frames, it->n,
                            &error)) {
    case LOOM_FLOW_STOP:
        peer->full = TRUE;
        return FALSE;
    case LOOM_FLOW_FAIL:
        g_prefix_error(&error, "to rank %u: ", rank);
        mesh_fail(mesh, error);
        return FALSE;
    case LOOM_FLOW_OK:
        break;
    }
    g_queue_delete_link(queue, link);
    outgoing_free(it);
    return TRUE;
}

void mesh_send(Mesh *mesh)
{
    gboolean some = TRUE;

    /* One to each in turn, so that all of them have work early; the nearest rank above first,
     * so that not all begin with the same. */
    while (some) {
        some = FALSE;
        for (guint i = 1; i < mesh->size; i++)
            some |= peer_send(mesh, (mesh->rank + i) % mesh->size);
    }
}
