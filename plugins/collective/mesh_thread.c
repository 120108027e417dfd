/* mesh_thread - the mesh's own thread: does what the caller ordered, and takes what came.  It
 * alone uses the port. */
#define _GNU_SOURCE /* pthread_setname_np */
#include "mesh.h"

const LoomTransport *mesh_transport(const Mesh *mesh)
{
    return (const LoomTransport *)mesh->transport->plugin;
}

void mesh_fail(Mesh *mesh, GError *error)
{
    if (mesh->failed)
        g_error_free(error);
    else
        mesh->failed = error;
}

/* ---- letting go ----------------------------------------------------------------------- */

/* What came for it goes first: within one process that is memory of another rank's call, which
 * may hold what this one sent, and neither would ever be freed. */
static void call_drop(gpointer data)
{
    Call *call = data;

    if (call->method->end)
        call->method->end(call);
    call_unref(call);
}

/* Lets go of all calls.  @words: what was to be said is said all the same: it was broken by one
 * rank, and the others are to find out as well. */
static void calls_drop(Mesh *mesh, gboolean words)
{
    GQueue dropped = G_QUEUE_INIT;
    Call *call;

    for (guint i = 0; i < mesh->size; i++) {
        mesh_send_clear(&mesh->peers[i], words ? URGENCY_RESULT : URGENCY_CONTROL);
        g_queue_clear_full(&mesh->peers[i].ahead, g_free);
    }
    pthread_mutex_lock(&mesh->lock);
    while ((call = g_queue_pop_head(&mesh->calls)) || (call = g_queue_pop_head(&mesh->fresh)))
        g_queue_push_tail(&dropped, call);
    mesh->unfinished = 0;
    mesh->quiet = TRUE;
    pthread_cond_broadcast(&mesh->signal);
    pthread_mutex_unlock(&mesh->lock);
    g_queue_clear_full(&dropped, call_drop); /* takes the lock by itself */
}

static void event_take(Mesh *mesh, const LoomPortEvent *event)
{
    const guint peer = event->kind == LOOM_PORT_MESSAGE || event->kind == LOOM_PORT_NOTHING
                           ? G_MAXUINT
                           : mesh_peer_of_link(mesh, event->link);

    if (event->kind == LOOM_PORT_MESSAGE) {
        mesh_message_take(mesh, event->frames);
        mesh_bytes_were_read();
        g_ptr_array_unref(event->frames);
    } else if (peer != G_MAXUINT) {
        if (event->kind == LOOM_PORT_LINK_READY)
            mesh->peers[peer].full = FALSE;
        else
            mask_set(&mesh->down, peer, event->kind == LOOM_PORT_LINK_LOST);
    }
}

/* ---- orders ------------------------------------------------------------------------- */

/* What came before we joined; the rest belongs to generations that never were. */
static void early_take(Mesh *mesh)
{
    g_autoptr(GPtrArray) early = g_steal_pointer(&mesh->early);

    mesh->early = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    for (guint i = 0; i < early->len && !mesh->failed; i++) {
        g_autoptr(GPtrArray) one = g_ptr_array_new();

        g_ptr_array_add(one, early->pdata[i]);
        mesh_message_take(mesh, one);
    }
}

static void group_join(Mesh *mesh, const LoomGroup *group)
{
    GError *error = NULL;

    calls_drop(mesh, FALSE);
    g_clear_error(&mesh->failed);
    __atomic_store_n(&mesh->down, 0, __ATOMIC_RELAXED);
    const gboolean good = mesh_group_begin(mesh, group, &error);
    pthread_mutex_lock(&mesh->lock);
    mesh->quiet = !good;
    mesh->join_error = error;
    mesh->joining = NULL;
    pthread_cond_broadcast(&mesh->signal);
    pthread_mutex_unlock(&mesh->lock);
    if (good)
        early_take(mesh);
}

static void failure_tell(Mesh *mesh)
{
    gboolean fresh;

    pthread_mutex_lock(&mesh->lock);
    fresh = !mesh->error;
    if (fresh)
        mesh->error = g_error_copy(mesh->failed);
    pthread_mutex_unlock(&mesh->lock);
    if (fresh)
        calls_drop(mesh, TRUE);
}

/* Moves calls from fresh to begun, and lets go of those that are over. */
static void calls_turn(Mesh *mesh)
{
    Call *call;

    do {
        GQueue over = G_QUEUE_INIT;

        pthread_mutex_lock(&mesh->lock);
        while ((call = g_queue_peek_head(&mesh->calls)) && call->over)
            g_queue_push_tail(&over, g_queue_pop_head(&mesh->calls));
        if ((call = g_queue_pop_head(&mesh->fresh)))
            g_queue_push_tail(&mesh->calls, call);
        pthread_mutex_unlock(&mesh->lock);
        g_queue_clear_full(&over, (GDestroyNotify)call_unref);
        if (call)
            mesh_call_begin(mesh, call);
    } while (call && !mesh->failed);
}

/* FALSE: it is time to end. */
static gboolean orders_take(Mesh *mesh)
{
    const LoomGroup *joining;
    gboolean aborted, quits;

    if (!g_atomic_int_compare_and_exchange(&mesh->orders, 1, 0))
        return TRUE;
    pthread_mutex_lock(&mesh->lock);
    joining = mesh->joining;
    quits = mesh->quits;
    pthread_mutex_unlock(&mesh->lock);
    if (joining)
        group_join(mesh, joining);
    pthread_mutex_lock(&mesh->lock);
    aborted = mesh->aborted && !mesh->quiet;
    pthread_mutex_unlock(&mesh->lock);
    if (aborted)
        calls_drop(mesh, FALSE);
    else if (!mesh->failed)
        calls_turn(mesh);
    return !quits;
}

/* Others may still wait for our word, though all of our own calls are over. */
static void farewell(Mesh *mesh)
{
    const LoomTransport *transport = mesh_transport(mesh);
    const gint64 end = g_get_monotonic_time() + 2 * G_USEC_PER_SEC;
    gboolean waits = TRUE;

    while (waits && g_get_monotonic_time() < end) {
        LoomPortEvent event = {0};

        mesh_send(mesh);
        waits = FALSE;
        for (guint i = 0; i < mesh->size; i++)
            waits |= mesh->peers[i].out[URGENCY_CONTROL].length > 0;
        if (waits && transport->receive(mesh->transport->self, mesh->port, 100, &event, NULL))
            event_take(mesh, &event);
    }
    calls_drop(mesh, FALSE);
}

void *mesh_run(void *data)
{
    Mesh *mesh = data;
    const LoomTransport *transport = mesh_transport(mesh);

    pthread_setname_np(pthread_self(), "collective");
    while (orders_take(mesh)) {
        LoomPortEvent event = {0};
        GError *error = NULL;

        mesh_send(mesh);
        if (mesh->failed)
            failure_tell(mesh);
        if (transport->receive(mesh->transport->self, mesh->port, -1, &event, &error)) {
            event_take(mesh, &event);
            continue;
        }
        mesh_fail(mesh, error);
        break;
    }
    if (mesh->failed)
        failure_tell(mesh);
    farewell(mesh);
    pthread_mutex_lock(&mesh->lock);
    mesh->ended = TRUE;
    pthread_cond_broadcast(&mesh->signal);
    pthread_mutex_unlock(&mesh->lock);
    return NULL;
}
