/* mesh_call - one sum, gather or broadcast under way, and the memory that sums live in. */
#include "mesh.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- memory ------------------------------------------------------------------------- */

static gboolean buffer_allocate(Buffer *buffer, GError **error)
{
    const gsize bytes = ((gsize)buffer->count * sizeof(float) + 63) / 64 * 64 + 64;

    buffer->data = aligned_alloc(64, bytes);
    if (!buffer->data)
        return loom_fail(error, LOOM_ERROR_LIMIT,
                         "no memory for a buffer of %" G_GINT64_FORMAT " floats",
                         buffer->count);
    memset(buffer->data, 0, bytes);
    return TRUE;
}

Buffer *buffer_new(Mesh *mesh, gint64 count, GError **error)
{
    g_autoptr(GError) cause = NULL;
    Buffer *buffer = g_new0(Buffer, 1);

    *buffer = (Buffer){.references = 1, .count = count};
    if (mesh->probe) {
        buffer->shared = shared_memory_new(mesh->token, ++mesh->serials,
                                           (gsize)count * sizeof(float), &cause);
        if (buffer->shared) {
            buffer->data = buffer->shared->data;
            return buffer;
        }
        g_warning("%s: its sums go over sockets", cause->message);
    }
    if (buffer_allocate(buffer, error))
        return buffer;
    buffer_unref(buffer);
    return NULL;
}

void buffer_unref(Buffer *buffer)
{
    if (!buffer || !g_atomic_int_dec_and_test(&buffer->references))
        return;
    if (buffer->shared)
        shared_memory_free(buffer->shared);
    else
        free(buffer->data);
    g_free(buffer);
}

/* ---- calls -------------------------------------------------------------------------- */

guint64 mask_get(const guint64 *mask)
{
    return __atomic_load_n(mask, __ATOMIC_RELAXED);
}

void mask_set(guint64 *mask, guint rank, gboolean on)
{
    const guint64 bit = G_GUINT64_CONSTANT(1) << rank;

    __atomic_store_n(mask, on ? *mask | bit : *mask & ~bit, __ATOMIC_RELAXED);
}

Call *call_new(Mesh *mesh, CallKind kind, const Method *method, guint64 count)
{
    Call *call = g_new0(Call, 1);

    *call = (Call){.references = 1,
                   .mesh = mesh_ref(mesh),
                   .kind = kind,
                   .count = count,
                   .method = method,
                   .open = 1};
    return call;
}

Call *call_ref(Call *call)
{
    g_atomic_int_inc(&call->references);
    return call;
}

void call_unref(Call *call)
{
    if (!call || !g_atomic_int_dec_and_test(&call->references))
        return;
    if (call->method->end)
        call->method->end(call);
    for (guint i = 0; i < MESH_MAX_RANKS; i++) {
        shared_view_unref(call->view[i]);
        g_free(call->parts[i]);
    }
    buffer_unref(call->buffer);
    g_clear_pointer(&call->mine, g_bytes_unref);
    mesh_unref(call->mesh);
    g_free(call);
}

void call_close(Call *call)
{
    Mesh *mesh = call->mesh;

    if (!g_atomic_int_dec_and_test(&call->open))
        return;
    pthread_mutex_lock(&mesh->lock);
    /* Of a generation that is gone: nobody counts it any more. */
    if (g_queue_find(&mesh->calls, call)) {
        call->over = TRUE;
        if (--mesh->unfinished == 0 || call->kind != CALL_SUM)
            pthread_cond_broadcast(&mesh->signal);
    }
    pthread_mutex_unlock(&mesh->lock);
}

char *call_text(CallKind kind, guint64 sequence, guint64 count, guint root)
{
    switch (kind) {
    case CALL_SUM:
        return g_strdup_printf("sum %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " floats",
                               sequence, count);
    case CALL_GATHER:
        return g_strdup_printf("gather %" G_GUINT64_FORMAT, sequence);
    case CALL_BROADCAST:
        return g_strdup_printf("broadcast %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT
                               " floats from rank %u",
                               sequence, count, root);
    }
    return g_strdup_printf("a call of unknown kind %u", (guint)kind);
}

/* Who read a slice read it before its owner is told.  GLib's counters order it so as well, but
 * with instructions that ThreadSanitizer does not see. */
static gint fence;

void mesh_bytes_were_read(void)
{
    g_atomic_int_inc(&fence);
}

static void slice_release(gpointer data)
{
    Call *call = data;

    g_atomic_int_inc(&fence);
    call_close(call);
    call_unref(call);
}

GBytes *call_slice(Call *call, guint64 offset, guint64 length)
{
    if (call->mine)
        return g_bytes_new_from_bytes(call->mine, offset, length);
    g_atomic_int_inc(&call->open);
    return g_bytes_new_with_free_func((const guint8 *)call->data + offset, length,
                                      slice_release, call_ref(call));
}

gboolean call_piece_due(const Call *call, const Piece *piece, guint64 *next, guint64 end,
                        GError **error)
{
    const guint64 length = MIN(end - *next, call->mesh->chunk);

    if (piece->offset != *next || piece->length != length || length == 0) {
        g_autofree char *text = call_text(call->kind, call->sequence, call->count, call->root);

        return loom_fail(error, LOOM_ERROR_FORMAT,
                         "%s: rank %u sent %" G_GUINT64_FORMAT " bytes at %" G_GUINT64_FORMAT
                         ", want %" G_GUINT64_FORMAT " at %" G_GUINT64_FORMAT
                         ": messages were lost, or its 'chunk' differs",
                         text, piece->from, piece->length, piece->offset, length, *next);
    }
    *next += length;
    return TRUE;
}

guint64 call_bound(const Call *call, guint i)
{
    const guint64 size = call->mesh->size;

    if (i == size)
        return call->count * sizeof(float);
    /* No overflow: a count has at most 60 bits, see mesh_buffer_new. */
    return (call->count / size * i + call->count % size * i / size) / 16 * 16 * sizeof(float);
}
