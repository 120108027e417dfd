/* The table in queue.h, cell by cell. */
#include "graph/queue.h"
#include "loom_test.h"

#include "core/packet.h"

static LoomPacket *numbered(gint64 index)
{
    LoomPacket *packet = loom_packet_new();

    loom_packet_set_index(packet, index);
    return packet;
}

static gint64 taken(LoomQueue *queue)
{
    g_autoptr(LoomPacket) packet = NULL;
    gint64 ticket = -1;

    g_assert_cmpint(loom_queue_take(queue, &packet, &ticket), ==, LOOM_TAKEN);
    g_assert_cmpint(ticket, ==, loom_packet_index(packet)); /* as these tests number them */
    return loom_packet_index(packet);
}

static void test_order(void)
{
    LoomQueue *queue = loom_queue_new(3);

    for (gint64 round = 0; round < 5; round++) { /* the ring wraps */
        for (gint64 i = 0; i < 2; i++)
            g_assert_true(loom_queue_push(queue, numbered(2 * round + i)));
        g_assert_cmpuint(loom_queue_level(queue), ==, 2);
        for (gint64 i = 0; i < 2; i++)
            g_assert_cmpint(taken(queue), ==, 2 * round + i);
    }
    loom_queue_free(queue);
}

static void test_end(void)
{
    LoomQueue *queue = loom_queue_new(2);
    LoomPacket *packet = NULL;

    loom_queue_push(queue, numbered(0));
    loom_queue_end(queue);
    g_assert_cmpint(taken(queue), ==, 0); /* what is left */
    g_assert_cmpint(loom_queue_take(queue, &packet, NULL), ==, LOOM_TAKE_ENDED);
    loom_queue_reset(queue);
    g_assert_true(loom_queue_push(queue, numbered(0)));
    g_assert_cmpint(taken(queue), ==, 0);
    loom_queue_free(queue);
}

static void test_stop(void)
{
    LoomQueue *queue = loom_queue_new(2);
    LoomPacket *packet = NULL;

    loom_queue_push(queue, numbered(0));
    loom_queue_stop(queue);
    g_assert_cmpuint(loom_queue_level(queue), ==, 0); /* leftovers are released */
    g_assert_cmpint(loom_queue_take(queue, &packet, NULL), ==, LOOM_TAKE_STOPPED);
    g_assert_false(loom_queue_push(queue, numbered(1)));
    loom_queue_free(queue);
}

static gpointer push_two(gpointer queue)
{
    const gboolean first = loom_queue_push(queue, numbered(0));

    return GINT_TO_POINTER((first ? 1 : 0) + (loom_queue_push(queue, numbered(1)) ? 2 : 0));
}

/* A push that waits for room is woken by room, and by a stop. */
static void test_waiting_push(void)
{
    LoomQueue *queue = loom_queue_new(1);
    GThread *thread = g_thread_new("push", push_two, queue);

    g_assert_cmpint(taken(queue), ==, 0);
    g_assert_cmpint(taken(queue), ==, 1);
    g_assert_cmpint(GPOINTER_TO_INT(g_thread_join(thread)), ==, 3);

    loom_queue_reset(queue);
    thread = g_thread_new("push", push_two, queue);
    while (loom_queue_level(queue) == 0)
        g_thread_yield();
    loom_queue_stop(queue);
    g_assert_cmpint(GPOINTER_TO_INT(g_thread_join(thread)), ==, 1); /* the second was refused */
    loom_queue_free(queue);
}

static gpointer take_one(gpointer queue)
{
    LoomPacket *packet = NULL;

    return GINT_TO_POINTER(loom_queue_take(queue, &packet, NULL));
}

/* A take that waits is woken by the end, and by a stop. */
static void test_waiting_take(void)
{
    LoomQueue *queue = loom_queue_new(1);
    GThread *thread = g_thread_new("take", take_one, queue);

    loom_queue_end(queue);
    g_assert_cmpint(GPOINTER_TO_INT(g_thread_join(thread)), ==, LOOM_TAKE_ENDED);
    loom_queue_reset(queue);
    thread = g_thread_new("take", take_one, queue);
    loom_queue_stop(queue);
    g_assert_cmpint(GPOINTER_TO_INT(g_thread_join(thread)), ==, LOOM_TAKE_STOPPED);
    loom_queue_free(queue);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/queue/order", test_order);
    g_test_add_func("/queue/end", test_end);
    g_test_add_func("/queue/stop", test_stop);
    g_test_add_func("/queue/waiting-push", test_waiting_push);
    g_test_add_func("/queue/waiting-take", test_waiting_take);
    return loom_test_run();
}
