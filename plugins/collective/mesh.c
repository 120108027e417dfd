/* mesh - the caller's side of `direct` and `ring`: what LoomCollective promises.  Calls are put
 * into a queue for the mesh's thread (mesh_thread.c), and waited for. */
#include "mesh.h"

#include <string.h>

const LoomParam mesh_params[] = {
    LOOM_BYTES(MeshPlugin, chunk, "512KiB", 4096, LOOM_MESSAGE_MAX_BYTES,
               "floats travel in messages of so many bytes; alike on all ranks"),
    LOOM_BOOL(MeshPlugin, shared_memory, "true",
              "ranks of one host read each other's sums where they lie"),
    {0},
};

/* ---- life --------------------------------------------------------------------------- */

Mesh *mesh_ref(Mesh *mesh)
{
    g_atomic_int_inc(&mesh->references);
    return mesh;
}

void mesh_unref(Mesh *mesh)
{
    if (!g_atomic_int_dec_and_test(&mesh->references))
        return;
    shared_memory_free(mesh->probe);
    g_ptr_array_unref(mesh->early);
    g_clear_error(&mesh->error);
    g_clear_error(&mesh->failed);
    pthread_mutex_destroy(&mesh->lock);
    pthread_cond_destroy(&mesh->signal);
    g_free(mesh);
}

/* What tells our memory from that of a process with the same number elsewhere. */
static void token_make(guint8 token[MESH_TOKEN])
{
    for (guint i = 0; i < MESH_TOKEN; i += 4) {
        const guint32 random = g_random_int();

        memcpy(token + i, &random, 4);
    }
}

gboolean mesh_open(MeshPlugin *self, const Method *sum, GError **error)
{
    g_autoptr(GError) cause = NULL;
    Mesh *mesh;

    if (self->chunk % 64 != 0)
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "chunk: %" G_GUINT64_FORMAT " bytes, want a multiple of 64",
                         self->chunk);
    mesh = g_new0(Mesh, 1);
    *mesh = (Mesh){.references = 1, .sum = sum, .chunk = self->chunk, .quiet = TRUE};
    pthread_mutex_init(&mesh->lock, NULL);
    pthread_cond_init(&mesh->signal, NULL);
    mesh->early = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    token_make(mesh->token);
    if (self->shared_memory)
        mesh->probe = shared_memory_new(mesh->token, 0, 0, &cause);
    if (cause)
        g_warning("%s: sums go over sockets", cause->message);
    self->mesh = mesh;
    self->buffers = g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify)buffer_unref);
    return TRUE;
}

/* Not with the lock held: a transport may let go of a call's memory while it holds its own. */
static void order(Mesh *mesh)
{
    g_atomic_int_set(&mesh->orders, 1);
    if (mesh->runs)
        mesh_transport(mesh)->port_wake(mesh->transport->self, mesh->port);
}

void mesh_close(gpointer data)
{
    MeshPlugin *self = data;
    Mesh *mesh = self->mesh;

    if (!mesh)
        return;
    if (mesh->runs) {
        pthread_mutex_lock(&mesh->lock);
        mesh->quits = TRUE;
        pthread_mutex_unlock(&mesh->lock);
        order(mesh);
        pthread_join(mesh->thread, NULL);
        mesh->runs = FALSE;
    }
    if (mesh->port)
        mesh_transport(mesh)->port_close(mesh->transport->self, mesh->port);
    mesh_group_clear(mesh);
    g_hash_table_unref(self->buffers);
    mesh_unref(mesh);
    self->mesh = NULL;
}

gboolean mesh_listen(gpointer data, const LoomInstance *transport, const char *address,
                     GError **error)
{
    Mesh *mesh = ((MeshPlugin *)data)->mesh;
    int refused;

    g_assert(!mesh->port);
    mesh->transport = transport;
    mesh->port = mesh_transport(mesh)->port_open(transport->self, address, error);
    if (!mesh->port)
        return FALSE;
    refused = pthread_create(&mesh->thread, NULL, mesh_run, mesh);
    if (refused)
        return loom_fail(error, LOOM_ERROR_LIMIT, "no thread for the collective: %s",
                         g_strerror(refused));
    mesh->runs = TRUE;
    return TRUE;
}

const char *mesh_address(gpointer data)
{
    const Mesh *mesh = ((MeshPlugin *)data)->mesh;

    return mesh->port ? mesh_transport(mesh)->port_address(mesh->transport->self, mesh->port)
                      : "";
}

/* ---- generations -------------------------------------------------------------------- */

static gboolean group_check(const Mesh *mesh, const LoomGroup *group, GError **error)
{
    g_assert(group->rank < group->size);
    if (group->size > MESH_MAX_RANKS)
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "%u ranks, want at most %d: use mpi for more", group->size,
                         MESH_MAX_RANKS);
    if (group->size > 1 && !mesh->runs)
        return loom_fail(error, LOOM_ERROR_PLUGIN, "join of %u ranks before listen",
                         group->size);
    return TRUE;
}

gboolean mesh_join(gpointer data, const LoomGroup *group, GError **error)
{
    Mesh *mesh = ((MeshPlugin *)data)->mesh;
    GError *cause = NULL;

    if (!group_check(mesh, group, error))
        return FALSE;
    pthread_mutex_lock(&mesh->lock);
    mesh->started = 0;
    mesh->aborted = FALSE;
    g_clear_error(&mesh->error);
    if (mesh->runs && !mesh->ended) {
        mesh->joining = group;
        pthread_mutex_unlock(&mesh->lock);
        order(mesh);
        pthread_mutex_lock(&mesh->lock);
        while (mesh->joining && !mesh->ended)
            pthread_cond_wait(&mesh->signal, &mesh->lock);
    }
    cause = g_steal_pointer(&mesh->join_error);
    if (mesh->ended && !cause)
        loom_fail(&cause, LOOM_ERROR_IO, "the collective's port is broken");
    if (!mesh->runs) {
        mesh->rank = 0;
        mesh->size = 1;
    }
    mesh->joined = !cause;
    pthread_mutex_unlock(&mesh->lock);
    if (!cause)
        return TRUE;
    g_propagate_error(error, cause);
    return FALSE;
}

void mesh_abort(gpointer data)
{
    Mesh *mesh = ((MeshPlugin *)data)->mesh;

    pthread_mutex_lock(&mesh->lock);
    mesh->aborted = TRUE;
    pthread_cond_broadcast(&mesh->signal);
    pthread_mutex_unlock(&mesh->lock);
    order(mesh);
}

/* ---- memory ------------------------------------------------------------------------- */

float *mesh_buffer_new(gpointer data, gint64 count, GError **error)
{
    MeshPlugin *self = data;
    Buffer *buffer;

    if (count < 0 || count > G_MAXSSIZE / 8)
        return loom_fail_null(error, LOOM_ERROR_LIMIT,
                              "a buffer of %" G_GINT64_FORMAT " floats", count);
    buffer = buffer_new(self->mesh, count, error);
    if (!buffer)
        return NULL;
    g_hash_table_insert(self->buffers, buffer->data, buffer);
    return buffer->data;
}

void mesh_buffer_free(gpointer data, float *buffer)
{
    MeshPlugin *self = data;

    if (!buffer)
        return;
    g_hash_table_remove(self->buffers,
                        buffer); /* sends under way may hold it a little longer */
    order(self->mesh);           /* calls that are over hold it as well */
}

/* ---- calls -------------------------------------------------------------------------- */

/* What holds before a call and after it: OK, or the state that ends it. */
static LoomFlow state_locked(Mesh *mesh, GError **error)
{
    if (mesh->aborted) {
        /* The caller may free the memory once we return: nobody may write to it any more. */
        while (mesh->runs && !mesh->ended && !mesh->quiet)
            pthread_cond_wait(&mesh->signal, &mesh->lock);
        return LOOM_FLOW_STOP;
    }
    if (!mesh->joined)
        return (LoomFlow)loom_fail(error, LOOM_ERROR_PLUGIN, "a call before join");
    if (mesh->error) {
        while (!mesh->ended && !mesh->quiet)
            pthread_cond_wait(&mesh->signal, &mesh->lock);
        if (error)
            *error = g_error_copy(mesh->error);
        return LOOM_FLOW_FAIL;
    }
    return LOOM_FLOW_OK;
}

/* (transfer none) @call goes to the thread.  Not OK: it did not. */
static LoomFlow call_start(Call *call, GError **error)
{
    Mesh *mesh = call->mesh;
    LoomFlow flow;

    pthread_mutex_lock(&mesh->lock);
    flow = state_locked(mesh, error);
    if (flow == LOOM_FLOW_OK && mesh->unfinished == MESH_UNDER_WAY)
        flow = (LoomFlow)loom_fail(error, LOOM_ERROR_LIMIT, "more than %d sums under way",
                                   MESH_UNDER_WAY);
    if (flow == LOOM_FLOW_OK) {
        call->sequence = ++mesh->started;
        mesh->unfinished++;
        g_queue_push_tail(&mesh->fresh, call_ref(call));
    }
    pthread_mutex_unlock(&mesh->lock);
    if (flow == LOOM_FLOW_OK)
        order(mesh);
    return flow;
}

static LoomFlow call_wait(Call *call, GError **error)
{
    Mesh *mesh = call->mesh;
    LoomFlow flow = LOOM_FLOW_OK;

    pthread_mutex_lock(&mesh->lock);
    while (!call->over && !mesh->aborted && !mesh->error)
        pthread_cond_wait(&mesh->signal, &mesh->lock);
    if (!call->over)
        flow = state_locked(mesh, error);
    pthread_mutex_unlock(&mesh->lock);
    return flow;
}

gboolean mesh_sum_start(gpointer data, float *buffer, gint64 count, GError **error)
{
    MeshPlugin *self = data;
    Buffer *memory = g_hash_table_lookup(self->buffers, buffer);
    LoomFlow flow;

    g_assert(memory && count >= 0 && count <= memory->count);
    if (self->mesh->size == 1)
        return TRUE;
    Call *call = call_new(self->mesh, CALL_SUM, self->mesh->sum, (guint64)count);
    g_atomic_int_inc(&memory->references);
    call->buffer = memory;
    call->data = memory->data;
    flow = call_start(call, error);
    call_unref(call);
    return flow != LOOM_FLOW_FAIL; /* STOP is for sum_wait to say */
}

LoomFlow mesh_sum_wait(gpointer data, GError **error)
{
    Mesh *mesh = ((MeshPlugin *)data)->mesh;
    LoomFlow flow;

    pthread_mutex_lock(&mesh->lock);
    while (mesh->unfinished && !mesh->aborted && !mesh->error)
        pthread_cond_wait(&mesh->signal, &mesh->lock);
    flow = state_locked(mesh, error);
    pthread_mutex_unlock(&mesh->lock);
    return flow;
}

static void gathered_append(Call *call, GPtrArray *all)
{
    const Mesh *mesh = call->mesh;

    for (guint i = 0; i < mesh->size; i++)
        g_ptr_array_add(
            all, i == mesh->rank
                     ? g_bytes_ref(call->mine)
                     : g_bytes_new_take(g_steal_pointer(&call->parts[i]), call->length[i]));
}

LoomFlow mesh_gather_all(gpointer data, GBytes *mine, GPtrArray *all, GError **error)
{
    Mesh *mesh = ((MeshPlugin *)data)->mesh;
    LoomFlow flow;

    if (g_bytes_get_size(mine) > MESH_GATHER_LIMIT)
        return (LoomFlow)loom_fail(error, LOOM_ERROR_LIMIT,
                                   "gather of %" G_GSIZE_FORMAT " bytes, want at most %u",
                                   g_bytes_get_size(mine), MESH_GATHER_LIMIT);
    Call *call = call_new(mesh, CALL_GATHER, &mesh_gather, g_bytes_get_size(mine));
    call->mine = g_bytes_ref(mine);
    flow = mesh->size == 1 ? LOOM_FLOW_OK : call_start(call, error);
    if (flow == LOOM_FLOW_OK && mesh->size > 1)
        flow = call_wait(call, error);
    if (flow == LOOM_FLOW_OK)
        gathered_append(call, all);
    call_unref(call);
    return flow;
}

LoomFlow mesh_broadcast_from(gpointer data, float *floats, gint64 count, guint root,
                             GError **error)
{
    Mesh *mesh = ((MeshPlugin *)data)->mesh;
    LoomFlow flow;

    g_assert(root < mesh->size && count >= 0);
    if (mesh->size == 1)
        return LOOM_FLOW_OK;
    Call *call = call_new(mesh, CALL_BROADCAST, &mesh_broadcast, (guint64)count);
    call->root = root;
    call->data = floats;
    /* A copy: the transport may hold its bytes for longer than an aborted call lasts. */
    if (root == mesh->rank)
        call->mine = g_bytes_new(floats, (gsize)count * sizeof(float));
    flow = call_start(call, error);
    if (flow == LOOM_FLOW_OK)
        flow = call_wait(call, error);
    call_unref(call);
    return flow;
}

/* ---- for people --------------------------------------------------------------------- */

static char *ranks_text(guint64 ranks)
{
    g_autoptr(GString) text = g_string_new(NULL);
    const guint n = (guint)__builtin_popcountll(ranks);
    guint seen = 0;

    for (guint i = 0; i < MESH_MAX_RANKS; i++)
        if (ranks >> i & 1) {
            const char *before = seen == 0 ? "" : seen + 1 == n ? " and " : ", ";

            g_string_append_printf(text, "%s%u", before, i);
            seen++;
        }
    return g_strdup_printf("rank%s %s", n == 1 ? "" : "s", text->str);
}

char *mesh_waiting(gpointer data)
{
    Mesh *mesh = ((MeshPlugin *)data)->mesh;
    char *text = NULL;

    pthread_mutex_lock(&mesh->lock);
    for (GList *link = mesh->calls.head; link && !text; link = link->next) {
        const Call *call = link->data;
        const guint64 absent = mesh_others(mesh) & ~mask_get(&call->here);
        const guint64 missing = absent ? absent : mask_get(&call->owing);

        if (call->over || !missing)
            continue;
        g_autofree char *what = call_text(call->kind, call->sequence, call->count, call->root);
        g_autofree char *who = ranks_text(missing);
        text = g_strdup_printf("%s waits for %s%s%s", what, absent ? "" : "data of ", who,
                               missing & mask_get(&mesh->down) ? ", whose link is down" : "");
    }
    pthread_mutex_unlock(&mesh->lock);
    return text;
}
