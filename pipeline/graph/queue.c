/* queue - one lock, two conditions, a ring of pointers, two flags: see queue.h for the table.
 */
#include "queue.h"

#include "core/lock.h"

struct _LoomQueue {
    LoomLock lock; /* guards all below */
    LoomSignal room, item;
    LoomPacket **ring;
    guint capacity, first, level;
    gint64 taken;
    gboolean ended, stopped;
};

LoomQueue *loom_queue_new(guint capacity)
{
    LoomQueue *queue = g_new0(LoomQueue, 1);

    g_assert(capacity > 0);
    pthread_mutex_init(&queue->lock, NULL);
    pthread_cond_init(&queue->room, NULL);
    pthread_cond_init(&queue->item, NULL);
    queue->ring = g_new0(LoomPacket *, capacity);
    queue->capacity = capacity;
    return queue;
}

/* Takes the leftovers out under the lock; the caller frees them without it. */
static GPtrArray *queue_drain(LoomQueue *queue)
{
    GPtrArray *left = g_ptr_array_new_with_free_func((GDestroyNotify)loom_packet_free);

    for (; queue->level; queue->level--) {
        g_ptr_array_add(left, queue->ring[queue->first]);
        queue->first = (queue->first + 1) % queue->capacity;
    }
    return left;
}

void loom_queue_free(LoomQueue *queue)
{
    if (!queue)
        return;
    g_ptr_array_unref(queue_drain(queue));
    pthread_cond_destroy(&queue->item);
    pthread_cond_destroy(&queue->room);
    pthread_mutex_destroy(&queue->lock);
    g_free(queue->ring);
    g_free(queue);
}

void loom_queue_reset(LoomQueue *queue)
{
    g_autoptr(GPtrArray) left = NULL;

    LOOM_LOCKED(&queue->lock);
    left = queue_drain(queue);
    queue->ended = queue->stopped = FALSE;
    queue->taken = 0;
}

gboolean loom_queue_push(LoomQueue *queue, LoomPacket *packet)
{
    g_autoptr(LoomPacket) refused = packet;

    LOOM_LOCKED(&queue->lock);
    g_assert(!queue->ended);
    while (queue->level == queue->capacity && !queue->stopped)
        pthread_cond_wait(&queue->room, &queue->lock);
    if (queue->stopped)
        return FALSE;
    queue->ring[(queue->first + queue->level++) % queue->capacity] = g_steal_pointer(&refused);
    pthread_cond_signal(&queue->item);
    return TRUE;
}

LoomTake loom_queue_take(LoomQueue *queue, LoomPacket **packet, gint64 *ticket)
{
    LOOM_LOCKED(&queue->lock);
    while (!queue->level && !queue->ended && !queue->stopped)
        pthread_cond_wait(&queue->item, &queue->lock);
    if (queue->stopped)
        return LOOM_TAKE_STOPPED;
    if (!queue->level)
        return LOOM_TAKE_ENDED;
    *packet = queue->ring[queue->first];
    queue->first = (queue->first + 1) % queue->capacity;
    queue->level--;
    if (ticket)
        *ticket = queue->taken;
    queue->taken++;
    pthread_cond_signal(&queue->room);
    return LOOM_TAKEN;
}

void loom_queue_end(LoomQueue *queue)
{
    LOOM_LOCKED(&queue->lock);
    queue->ended = TRUE;
    pthread_cond_broadcast(&queue->item);
}

void loom_queue_stop(LoomQueue *queue)
{
    g_autoptr(GPtrArray) left = NULL;

    LOOM_LOCKED(&queue->lock);
    queue->stopped = TRUE;
    left = queue_drain(queue);
    pthread_cond_broadcast(&queue->item);
    pthread_cond_broadcast(&queue->room);
}

guint loom_queue_level(LoomQueue *queue)
{
    LOOM_LOCKED(&queue->lock);
    return queue->level;
}
