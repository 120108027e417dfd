/* mesh_group - the other ranks of a generation: links, and whose memory can be read.  A link
 * stays from one generation to the next where address and key do. */
#include "mesh.h"

#include <string.h>
#include <unistd.h>

#define VIEWS 64 /* mappings of one rank's memory that are kept for later calls */

static void peer_clear(Peer *peer)
{
    mesh_send_clear(peer, URGENCY_CONTROL);
    g_queue_clear_full(&peer->ahead, g_free);
    g_clear_pointer(&peer->probe, shared_view_unref);
    g_clear_pointer(&peer->views, g_ptr_array_unref);
    g_clear_pointer(&peer->address, g_free);
    g_clear_pointer(&peer->key, g_free);
}

static void peers_free(Mesh *mesh, Peer *peers, guint n)
{
    const LoomTransport *transport = mesh_transport(mesh);

    for (guint i = 0; i < n; i++) {
        if (peers[i].linked)
            transport->link_close(mesh->transport->self, mesh->port, peers[i].link);
        peer_clear(&peers[i]);
    }
    g_free(peers);
}

void mesh_group_clear(Mesh *mesh)
{
    for (guint i = 0; mesh->peers && i < mesh->size; i++)
        mesh->peers[i].linked = FALSE; /* they were closed with the port */
    if (mesh->peers)
        peers_free(mesh, g_steal_pointer(&mesh->peers), mesh->size);
}

static Peer peer_made(const LoomGroup *group, guint rank)
{
    Peer peer = {.address = g_strdup(group->addresses[rank]),
                 .key = g_strdup(group->keys ? group->keys[rank] : NULL)};

    peer.same_host = group->hosts && g_strcmp0(group->hosts[rank], "") != 0
                     && g_strcmp0(group->hosts[rank], group->hosts[group->rank]) == 0;
    for (guint i = 0; i < N_URGENCIES; i++)
        g_queue_init(&peer.out[i]);
    g_queue_init(&peer.ahead);
    peer.views = g_ptr_array_new_with_free_func((GDestroyNotify)shared_view_unref);
    return peer;
}

/* Takes the link over from the generation before, if there is one to the same end. */
static void link_take(Peer *peer, Peer *before, guint n)
{
    for (guint i = 0; i < n && !peer->linked; i++) {
        if (!before[i].linked || g_strcmp0(before[i].address, peer->address) != 0
            || g_strcmp0(before[i].key, peer->key) != 0)
            continue;
        peer->linked = TRUE;
        peer->link = before[i].link;
        peer->full = before[i].full;
        before[i].linked = FALSE;
    }
}

/* Messages of yesterday's run on the same ports, or of another run, have another stamp. */
static guint64 stamp_of(const LoomGroup *group)
{
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    guint8 digest[32];
    gsize size = sizeof digest;
    guint64 stamp;

    for (guint i = 0; i < group->size; i++) {
        g_checksum_update(sum, (const guchar *)group->addresses[i],
                          (gssize)strlen(group->addresses[i]) + 1);
        if (group->hosts)
            g_checksum_update(sum, (const guchar *)group->hosts[i],
                              (gssize)strlen(group->hosts[i]) + 1);
    }
    g_checksum_get_digest(sum, digest, &size);
    memcpy(&stamp, digest, sizeof stamp);
    return stamp;
}

static void hello_say(Mesh *mesh, guint peer)
{
    MeshHeader header = {.pid = (guint32)getpid(), .fd = (guint32)mesh->probe->fd};

    memcpy(header.token, mesh->token, MESH_TOKEN);
    mesh_say(mesh, peer, MESH_HELLO, &header);
}

gboolean mesh_group_begin(Mesh *mesh, const LoomGroup *group, GError **error)
{
    const LoomTransport *transport = mesh_transport(mesh);
    const guint n_before = mesh->size;
    Peer *before = mesh->peers;
    gboolean good = TRUE;

    pthread_mutex_lock(&mesh->lock);
    mesh->rank = group->rank;
    mesh->size = group->size;
    pthread_mutex_unlock(&mesh->lock);
    mesh->generation = group->generation;
    mesh->stamp = stamp_of(group);
    mesh->peers = g_new0(Peer, group->size);
    for (guint i = 0; i < group->size; i++) {
        Peer *peer = &mesh->peers[i];

        *peer = peer_made(group, i);
        if (i == group->rank || !good)
            continue;
        link_take(peer, before, n_before);
        if (!peer->linked) {
            good = transport->link_open(mesh->transport->self, mesh->port, peer->address,
                                        peer->key, &peer->link, error);
            peer->linked = good;
        }
        if (good && peer->same_host && mesh->probe)
            hello_say(mesh, i);
    }
    peers_free(mesh, before, n_before);
    return good;
}

guint mesh_peer_of_link(const Mesh *mesh, guint link)
{
    for (guint i = 0; i < mesh->size; i++)
        if (mesh->peers[i].linked && mesh->peers[i].link == link)
            return i;
    return G_MAXUINT;
}

/* ---- memory of others --------------------------------------------------------------- */

void mesh_peer_hello(Mesh *mesh, const MeshHeader *header)
{
    Peer *peer = &mesh->peers[header->from];
    g_autoptr(GError) cause = NULL;

    if (!peer->same_host || !mesh->probe || peer->probe)
        return;
    memcpy(peer->token, header->token, MESH_TOKEN);
    peer->pid = header->pid;
    peer->probe = shared_view_new(header->pid, header->fd, header->token, 0, 0, &cause);
    if (!peer->probe)
        g_warning("memory of rank %u, which is on this host as well, cannot be read: %s: its "
                  "sums come over sockets",
                  header->from, cause->message);
}

SharedView *mesh_peer_view(Mesh *mesh, guint from, const Memory *memory, GError **error)
{
    Peer *peer = &mesh->peers[from];
    SharedView *view;

    if (!peer->probe || memory->serial == 0)
        return loom_fail_null(error, LOOM_ERROR_PLUGIN,
                              "rank %u gives memory that it did not offer", from);
    for (guint i = 0; i < peer->views->len; i++) {
        view = peer->views->pdata[i];
        if (view->serial == memory->serial && view->bytes == memory->bytes)
            return shared_view_ref(view);
    }
    view = shared_view_new(peer->pid, memory->fd, peer->token, memory->serial, memory->bytes,
                           error);
    if (!view) {
        g_prefix_error(error, "memory of rank %u: ", from);
        return NULL;
    }
    if (peer->views->len == VIEWS)
        g_ptr_array_remove_index(peer->views, 0);
    g_ptr_array_add(peer->views, shared_view_ref(view));
    return view;
}
