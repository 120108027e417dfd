/* The two ends of a stream in a simulated world: messages are dropped, doubled, late and out of
 * order, either end dies and comes back; every packet is used once, in order, and the memory of
 * both ends stays within the credit. */
#include "loom_test.h"
#include "stream_end.h"

#include <string.h>

#define PACKETS_MAX 200

/* ---- a world ------------------------------------------------------------------------ */

typedef struct {
    gint64 at; /* when it arrives */
    gboolean up;
    LoomWireMessage message;
} Letter;

typedef struct {
    GRand *dice;
    gint drop, twice, late_ms, kills; /* percent, percent, at most, how many */
    gint odds;                        /* one in so many steps is somebody's last */
    gint64 now;
    GPtrArray *letters;
    LoomStreamOut *out;
    LoomStreamIn *in;
    guint64 n, pushed; /* packets in all; of the producer's life */
    guint64 used;      /* what the consumer wrote down, so that it outlives it */
    guint64 in_hand;   /* taken, not used; 0: none */
    guint64 incarnations;
    guint64 largest;   /* weight of a packet */
    gboolean finished; /* take said STOP */
} World;

static void letter_free(gpointer freed)
{
    Letter *letter = freed;

    loom_wire_clear(&letter->message);
    g_free(letter);
}

static gint percent(World *world)
{
    return g_rand_int_range(world->dice, 0, 100);
}

static void letter_post(World *world, const LoomWireMessage *message, gboolean up)
{
    Letter *letter = g_new0(Letter, 1);

    letter->at = world->now + 1
                 + (world->late_ms ? g_rand_int_range(world->dice, 0, world->late_ms) : 0);
    letter->up = up;
    letter->message = *message;
    if (message->header)
        g_bytes_ref(message->header);
    if (message->payload)
        g_bytes_ref(message->payload);
    g_ptr_array_add(world->letters, letter);
}

static void message_send(World *world, LoomWireMessage *message, gboolean up)
{
    g_assert_cmpint(loom_wire_upstream(message->kind), ==, up);
    if (percent(world) >= world->drop)
        letter_post(world, message, up);
    if (percent(world) < world->twice)
        letter_post(world, message, up);
    loom_wire_clear(message);
}

/* Sizes and bytes of packet @number are the same in every life: the graph is repeatable. */
static guint chunks_of(guint64 number)
{
    return (guint)(number % 5); /* 0: a packet without tensors */
}

static guint8 byte_of(guint64 number, guint chunk)
{
    return (guint8)(number * 31 + chunk * 7);
}

static void packet_push(World *world)
{
    const guint64 number = world->pushed + 1;
    const guint n = chunks_of(number);
    const gsize length = number % 17 == 0 ? 9000 : 300; /* now and then above the credit */
    GPtrArray *chunks = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    const guint64 weight = loom_stream_weight(sizeof number, n * length, MAX(n, 1));

    world->largest = MAX(world->largest, weight);
    if (!loom_stream_out_room(world->out, weight)) {
        g_ptr_array_unref(chunks);
        return;
    }
    for (guint i = 0; i < n; i++) {
        guint8 *bytes = g_malloc(length);

        memset(bytes, byte_of(number, i), length);
        g_ptr_array_add(chunks, g_bytes_new_take(bytes, length));
    }
    loom_stream_out_push(world->out, g_bytes_new(&number, sizeof number), chunks,
                         g_new0(guint32, MAX(n, 1)), world->now);
    if (++world->pushed == world->n)
        loom_stream_out_end(world->out);
}

static void packet_take(World *world)
{
    g_autoptr(GBytes) header = NULL;
    g_autoptr(GPtrArray) chunks = NULL;
    guint64 number;
    LoomFlow flow;

    if (world->in_hand) { /* used, written down, and then acknowledged: in this order */
        g_assert_cmpuint(world->in_hand, ==, world->used + 1);
        world->used = world->in_hand;
        world->in_hand = 0;
        if (percent(world) < 20)
            return; /* it may die in between */
    }
    loom_stream_in_used(world->in);
    flow = loom_stream_in_take(world->in, &header, &chunks);
    world->finished = flow == LOOM_FLOW_STOP;
    if (flow != LOOM_FLOW_OK)
        return;
    memcpy(&number, g_bytes_get_data(header, NULL), sizeof number);
    g_assert_cmpuint(number, ==, world->used + 1);
    g_assert_cmpuint(chunks->len, ==, chunks_of(number));
    for (guint i = 0; i < chunks->len; i++) {
        gsize length;
        const guint8 *bytes = g_bytes_get_data(chunks->pdata[i], &length);

        g_assert_cmpuint(bytes[0], ==, byte_of(number, i));
        g_assert_cmpuint(bytes[length - 1], ==, byte_of(number, i));
    }
    world->in_hand = number;
}

static void producer_begin(World *world)
{
    const LoomStreamEnd end = end_of(0, ++world->incarnations);

    loom_stream_out_free(world->out);
    world->out = loom_stream_out_new(&end, world->now);
    world->pushed = 0;
}

static void consumer_begin(World *world)
{
    const LoomStreamEnd end = end_of(1, ++world->incarnations);

    loom_stream_in_free(world->in);
    world->in = loom_stream_in_new(&end, world->used, world->now);
    world->in_hand = 0;
    world->finished = FALSE;
}

/* What was said by the dead is still under way. */
static void somebody_dies(World *world)
{
    if (world->kills <= 0 || g_rand_int_range(world->dice, 0, world->odds) > 0)
        return;
    world->kills--;
    if (percent(world) < 50)
        producer_begin(world);
    else
        consumer_begin(world);
}

static void letters_deliver(World *world)
{
    for (guint i = 0; i < world->letters->len;) {
        Letter *letter = world->letters->pdata[i];

        if (letter->at > world->now) {
            i++;
            continue;
        }
        if (letter->up)
            loom_stream_out_receive(world->out, &letter->message, world->now);
        else
            loom_stream_in_receive(world->in, &letter->message, world->now);
        g_ptr_array_remove_index_fast(world->letters, i);
    }
}

static void both_speak(World *world)
{
    LoomWireMessage message;

    while (loom_stream_out_next(world->out, world->now, &message))
        message_send(world, &message, FALSE);
    while (loom_stream_in_next(world->in, world->now, &message))
        message_send(world, &message, TRUE);
}

static void assert_bounds(World *world)
{
    LoomStreamCounts out = {0}, in = {0};
    g_autoptr(GError) error = NULL;

    loom_stream_out_count(world->out, &out);
    loom_stream_in_count(world->in, &in);
    g_assert_cmpuint(out.window, <=, MAX(EDGE_CREDIT, world->largest));
    g_assert_cmpuint(in.window, <=, EDGE_CREDIT + world->largest);
    loom_stream_out_check(world->out, world->now, &error);
    g_assert_no_error(error);
    loom_stream_in_check(world->in, world->now, &error);
    g_assert_no_error(error);
}

static void world_step(World *world)
{
    gint64 due;

    if (world->pushed < world->n && percent(world) < 60)
        packet_push(world);
    if (percent(world) < 40)
        packet_take(world);
    somebody_dies(world);
    both_speak(world);
    assert_bounds(world);
    due = MIN(loom_stream_out_due(world->out, world->now),
              loom_stream_in_due(world->in, world->now));
    g_assert_cmpint(due, >, world->now);
    for (guint i = 0; i < world->letters->len; i++)
        due = MIN(due, ((Letter *)world->letters->pdata[i])->at);
    world->now = MIN(due, world->now + 5); /* push and take try again by then */
    letters_deliver(world);
}

static void world_live(guint32 seed)
{
    g_autoptr(GRand) dice = g_rand_new_with_seed(seed);
    World world = {.dice = dice, .letters = g_ptr_array_new_with_free_func(letter_free)};
    LoomStreamCounts counts = {0};

    world.drop = seed % 3 ? g_rand_int_range(dice, 0, 30) : 0;
    world.twice = seed % 4 ? g_rand_int_range(dice, 0, 30) : 0;
    world.late_ms = seed % 5 ? g_rand_int_range(dice, 0, 40) : 0;
    world.kills = seed % 2 ? g_rand_int_range(dice, 0, 6) : 0;
    world.odds = 400;
    if (seed % 7 == 3) { /* short lives, and letters that outlive them */
        world.late_ms = 300;
        world.kills = 20;
        world.odds = 30;
    }
    world.n = (guint64)g_rand_int_range(dice, 0, PACKETS_MAX);
    producer_begin(&world);
    consumer_begin(&world);
    if (world.n == 0)
        loom_stream_out_end(world.out);
    while (!world.finished || world.pushed < world.n || !loom_stream_out_drained(world.out)) {
        world_step(&world);
        if (world.pushed == 0 && world.n == 0)
            loom_stream_out_end(world.out); /* also in its next life */
        g_assert_cmpint(world.now, <, 10 * 60 * 1000);
    }
    g_assert_cmpuint(world.used, ==, world.n);
    loom_stream_out_count(world.out, &counts);
    if (!world.drop && !world.late_ms && seed % 2 == 0)
        g_assert_cmpuint(counts.repeated, ==, 0); /* nothing is sent again without need */
    loom_stream_out_free(world.out);
    loom_stream_in_free(world.in);
    g_ptr_array_unref(world.letters);
}

static void test_disasters(void)
{
    for (guint32 seed = 1; seed <= 1500; seed++)
        world_live(seed);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/stream-disasters/1500-worlds", test_disasters);
    return loom_test_run();
}
