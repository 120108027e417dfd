/* Streams between ports of this process: what goes in comes out, once and in order, over a
 * transport that works and over one that does not; and every way in which it ends. */
#include "loom_test.h"

#include "core/tensor.h"
#include "wire/streams.h"

#include <pthread.h>
#include <string.h>

#define LOOPBACK "{use: loopback}"
#define SPOILT                                                                                 \
    "{use: faulty, over: {use: loopback}, drop: 10, double: 10, reorder: 5, seed: %u}"

/* Two processes, as it were; each with a port. */
typedef struct {
    LoomInstance *transport;
    LoomStreams *streams[2];
    guint stream[2];
    guint n;       /* packets that the thread pushes */
    GError *error; /* of the thread */
    LoomFlow flow; /* its last one */
} Pair;

static LoomStreamOptions options_of(guint64 credit)
{
    return (LoomStreamOptions){
        .credit = credit, .limit = 64 << 20, .timeout_ms = 60000, .resend_ms = 50};
}

static LoomStreamIdentity identity_of(guint rank, guint64 generation)
{
    LoomStreamIdentity identity = {.run = "one run",
                                   .generation = generation,
                                   .graph = "cafe",
                                   .rank = rank,
                                   .incarnation = 100 + rank};

    return identity;
}

static LoomStreamPeer peer_of(const Pair *pair, guint rank)
{
    return (LoomStreamPeer){rank, loom_streams_address(pair->streams[rank]), NULL};
}

static void pair_open(Pair *pair, const char *yaml, const LoomStreamOptions *options)
{
    g_autoptr(GError) error = NULL;

    pair->transport = loom_test_instance(LOOM_KIND_TRANSPORT, yaml, NULL, NULL);
    for (guint i = 0; i < 2; i++) {
        pair->streams[i] = loom_streams_new(pair->transport, "loopback://*", options, &error);
        g_assert_no_error(error);
    }
}

/* Rank 0 produces for rank 1. */
static void pair_connect(Pair *pair, guint64 generation)
{
    g_autoptr(GError) error = NULL;

    for (guint i = 0; i < 2; i++) {
        const LoomStreamIdentity identity = identity_of(i, generation);
        const LoomStreamPeer peer = peer_of(pair, 1 - i);

        loom_streams_begin(pair->streams[i], &identity);
        if (i == 0)
            loom_streams_to(pair->streams[i], "batch", &peer, &pair->stream[i], &error);
        else
            loom_streams_from(pair->streams[i], "batch", &peer, 0, &pair->stream[i], &error);
        g_assert_no_error(error);
    }
}

static void pair_clear(Pair *pair)
{
    for (guint i = 2; i-- > 0;)
        loom_streams_free(pair->streams[i]);
    loom_instance_free(pair->transport);
    g_clear_error(&pair->error);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Pair, pair_clear)

/* The packet of that number: an f32 of 4 to 44 KiB, now and then one of 1.5 MiB. */
static LoomPacket *packet_of(guint number)
{
    const gint64 voxels = number % 50 == 49 ? 393216 : 1024 + 1024 * (number % 11);
    LoomPacket *packet = loom_packet_new();
    g_autofree char *id = g_strdup_printf("case_%u", number);

    loom_packet_set_id(packet, id);
    loom_packet_set(packet, "image", loom_test_random("W", SHAPE(voxels), number + 1, 0, 1));
    return packet;
}

static void assert_packet(const LoomPacket *packet, guint number)
{
    g_autoptr(LoomPacket) want = packet_of(number);

    g_assert_cmpstr(loom_packet_id(packet), ==, loom_packet_id(want));
    g_assert_true(
        loom_test_equal(loom_packet_get(packet, "image"), loom_packet_get(want, "image")));
}

static void *produce(gpointer data)
{
    Pair *pair = data;

    pair->flow = LOOM_FLOW_OK;
    for (guint i = 0; i < pair->n && pair->flow == LOOM_FLOW_OK; i++)
        pair->flow =
            loom_streams_push(pair->streams[0], pair->stream[0], packet_of(i), &pair->error);
    if (pair->flow == LOOM_FLOW_OK) {
        loom_streams_end(pair->streams[0], pair->stream[0]);
        if (!loom_streams_drain(pair->streams[0], pair->stream[0], 60000, &pair->error))
            pair->flow = LOOM_FLOW_FAIL;
    }
    return NULL;
}

static pthread_t pair_produce(Pair *pair, guint n)
{
    pthread_t thread;

    pair->n = n;
    g_assert_cmpint(pthread_create(&thread, NULL, produce, pair), ==, 0);
    return thread;
}

static LoomFlow take(Pair *pair, LoomPacket **packet, GError **error)
{
    return loom_streams_take(pair->streams[1], pair->stream[1], packet, error);
}

/* All packets come, then the end; and that is known to the producer. */
static void assert_all(Pair *pair, guint n)
{
    const pthread_t thread = pair_produce(pair, n);
    g_autoptr(GError) error = NULL;
    LoomPacket *packet;
    guint taken = 0;

    while (take(pair, &packet, &error) == LOOM_FLOW_OK) {
        assert_packet(packet, taken++);
        loom_packet_free(packet);
    }
    g_assert_no_error(error);
    g_assert_cmpuint(taken, ==, n);
    pthread_join(thread, NULL);
    g_assert_no_error(pair->error);
    g_assert_cmpint(pair->flow, ==, LOOM_FLOW_OK);
}

static void test_through(void)
{
    const LoomStreamOptions options = options_of(256 << 10);
    g_auto(Pair) pair = {0};

    pair_open(&pair, LOOPBACK, &options);
    pair_connect(&pair, 1);
    assert_all(&pair, 200);
    const LoomStreamCounts out = loom_streams_counts(pair.streams[0]);
    const LoomStreamCounts in = loom_streams_counts(pair.streams[1]);
    g_assert_cmpuint(out.packets, ==, 200);
    g_assert_cmpuint(in.bytes, ==, out.bytes);
    g_assert_cmpuint(out.window, ==, 0);
}

static void test_empty(void)
{
    const LoomStreamOptions options = options_of(1 << 20);
    g_auto(Pair) pair = {0};

    pair_open(&pair, LOOPBACK, &options);
    pair_connect(&pair, 1);
    assert_all(&pair, 0);
}

static void test_spoilt(void)
{
    const LoomStreamOptions options = options_of(256 << 10);
    guint64 repeated = 0, doubled = 0;

    for (guint seed = 1; seed <= 3; seed++) {
        g_autofree char *yaml = g_strdup_printf(SPOILT, seed);
        g_auto(Pair) pair = {0};

        pair_open(&pair, yaml, &options);
        pair_connect(&pair, 1);
        assert_all(&pair, 100);
        repeated += loom_streams_counts(pair.streams[0]).repeated;
        doubled += loom_streams_counts(pair.streams[1]).doubled;
    }
    g_assert_cmpuint(repeated, >, 0); /* it was spoilt indeed */
    g_assert_cmpuint(doubled, >, 0);
}

/* Both ends of this transport are in one process, so the very tensor arrives. */
static void test_no_copies(void)
{
    const LoomStreamOptions options = options_of(1 << 20);
    g_auto(Pair) pair = {0};
    g_autoptr(LoomPacket) sent = packet_of(0), fork = loom_packet_fork(sent), came = NULL;
    g_autoptr(GError) error = NULL;

    pair_open(&pair, LOOPBACK, &options);
    pair_connect(&pair, 1);
    loom_streams_push(pair.streams[0], pair.stream[0], g_steal_pointer(&fork), &error);
    g_assert_no_error(error);
    g_assert_cmpint(take(&pair, &came, &error), ==, LOOM_FLOW_OK);
    g_assert_true(loom_tensor_memory(loom_packet_get(came, "image"))
                  == loom_tensor_memory(loom_packet_get(sent, "image")));
    loom_streams_refuse(pair.streams[1], pair.stream[1]);
}

/* A consumer that takes its time: the producer waits, and keeps no more than the credit. */
static void test_slow_consumer(void)
{
    const LoomStreamOptions options = options_of(200 << 10);
    g_auto(Pair) pair = {0};
    g_autoptr(GError) error = NULL;
    guint64 most = 0;
    LoomPacket *packet;
    pthread_t thread;

    pair_open(&pair, LOOPBACK, &options);
    pair_connect(&pair, 1);
    thread = pair_produce(&pair, 45); /* none of 1.5 MiB */
    for (guint i = 0; take(&pair, &packet, &error) == LOOM_FLOW_OK; i++) {
        assert_packet(packet, i);
        loom_packet_free(packet);
        g_usleep(2000);
        const LoomStreamCounts out = loom_streams_counts(pair.streams[0]);
        g_assert_cmpuint(out.window, <=, options.credit);
        g_assert_cmpuint(loom_streams_counts(pair.streams[1]).window, <=, options.credit);
        most = MAX(most, out.window);
    }
    g_assert_no_error(error);
    g_assert_cmpuint(most, >, options.credit / 2); /* but it makes use of it */
    pthread_join(thread, NULL);
    g_assert_no_error(pair.error);
}

static void test_refused_by_consumer(void)
{
    const LoomStreamOptions options = options_of(64 << 10);
    g_auto(Pair) pair = {0};
    g_autoptr(GError) error = NULL;
    LoomPacket *packet = NULL;
    pthread_t thread;

    pair_open(&pair, LOOPBACK, &options);
    pair_connect(&pair, 1);
    thread = pair_produce(&pair, 1000);
    g_assert_cmpint(take(&pair, &packet, &error), ==, LOOM_FLOW_OK);
    loom_packet_free(packet);
    loom_streams_refuse(pair.streams[1], pair.stream[1]);
    g_assert_cmpint(take(&pair, &packet, &error), ==, LOOM_FLOW_STOP);
    pthread_join(thread, NULL);
    g_assert_no_error(pair.error);
    g_assert_cmpint(pair.flow, ==, LOOM_FLOW_STOP);
}

static void *stop_both(gpointer data)
{
    Pair *pair = data;

    g_usleep(50000);
    loom_streams_stop(pair->streams[0]);
    loom_streams_stop(pair->streams[1]);
    return NULL;
}

/* A generation is over while one waits to push and the other to take; the next one works. */
static void test_stop_and_begin(void)
{
    const LoomStreamOptions options = options_of(64 << 10);
    g_auto(Pair) pair = {0};
    g_autoptr(GError) error = NULL;
    LoomPacket *packet = NULL;
    pthread_t thread, stopper;
    LoomFlow flow;

    pair_open(&pair, LOOPBACK, &options);
    pair_connect(&pair, 1);
    thread = pair_produce(&pair, 20);
    g_assert_cmpint(pthread_create(&stopper, NULL, stop_both, &pair), ==, 0);
    for (guint i = 0; i < 10 && (flow = take(&pair, &packet, &error)) == LOOM_FLOW_OK; i++)
        loom_packet_free(packet);
    pthread_join(thread, NULL); /* its push of number 10 and something waited for credit */
    pthread_join(stopper, NULL);
    g_assert_cmpint(pair.flow, ==, LOOM_FLOW_STOP);
    g_assert_cmpint(take(&pair, &packet, &error), ==, LOOM_FLOW_STOP);
    g_assert_no_error(error);
    pair_connect(&pair, 2);
    assert_all(&pair, 20);
}

/* ---- errors ------------------------------------------------------------------------- */

static void test_silence(void)
{
    LoomStreamOptions options = options_of(1 << 20);
    const LoomStreamPeer nobody = {7, "loopback://nobody", NULL};
    const LoomStreamIdentity identity = identity_of(1, 1);
    g_auto(Pair) pair = {0};
    g_autoptr(GError) error = NULL;
    LoomPacket *packet = NULL;
    guint in, out;

    options.timeout_ms = 150;
    pair_open(&pair, LOOPBACK, &options);
    loom_streams_begin(pair.streams[1], &identity);
    loom_streams_from(pair.streams[1], "batch", &nobody, 0, &in, &error);
    loom_streams_to(pair.streams[1], "loss", &nobody, &out, &error);
    g_assert_no_error(error);
    loom_assert_failed(loom_streams_take(pair.streams[1], in, &packet, &error), error,
                       LOOM_ERROR, LOOM_ERROR_IO,
                       "edge 'batch' from rank 7 at loopback://nobody: does not answer for 0.");
    g_clear_error(&error);
    g_assert_null(packet);
    LoomFlow flow = LOOM_FLOW_OK;
    for (guint i = 0; i < 3 && flow == LOOM_FLOW_OK; i++)
        flow = loom_streams_push(pair.streams[1], out, packet_of(i), &error);
    loom_assert_failed(flow, error, LOOM_ERROR, LOOM_ERROR_IO,
                       "edge 'loss' to rank 7 at loopback://nobody: has not said hello for 0.");
}

static void test_drain_in_vain(void)
{
    const LoomStreamOptions options = options_of(1 << 20);
    g_auto(Pair) pair = {0};
    g_autoptr(GError) error = NULL;

    pair_open(&pair, LOOPBACK, &options);
    pair_connect(&pair, 1);
    loom_streams_push(pair.streams[0], pair.stream[0], packet_of(0), &error);
    loom_streams_end(pair.streams[0], pair.stream[0]);
    loom_assert_failed(loom_streams_drain(pair.streams[0], pair.stream[0], 30, &error), error,
                       LOOM_ERROR, LOOM_ERROR_IO, "not all was acknowledged in time");
    g_assert_nonnull(strstr(error->message, "edge 'batch' to rank 1 at loopback://"));
}

/* Both ends are up, and do not belong together. */
static void assert_refused(const LoomStreamIdentity *producer,
                           const LoomStreamIdentity *consumer, const char *edge,
                           LoomErrorCode code, const char *text)
{
    LoomStreamOptions options = options_of(1 << 20);
    g_auto(Pair) pair = {0};
    g_autoptr(GError) error = NULL;
    LoomPacket *packet = NULL;

    options.timeout_ms = code == LOOM_ERROR_CONFIG ? 60000 : 300;
    pair_open(&pair, LOOPBACK, &options);
    const LoomStreamPeer peers[2] = {peer_of(&pair, 0), peer_of(&pair, 1)};
    loom_streams_begin(pair.streams[0], producer);
    loom_streams_begin(pair.streams[1], consumer);
    loom_streams_to(pair.streams[0], "batch", &peers[1], &pair.stream[0], &error);
    loom_streams_from(pair.streams[1], edge, &peers[0], 0, &pair.stream[1], &error);
    g_assert_no_error(error);
    loom_assert_failed(take(&pair, &packet, &error), error, LOOM_ERROR, code, text);
    g_assert_nonnull(strstr(error->message, " from rank 0 at loopback://"));
    g_assert_cmpuint(loom_streams_counts(pair.streams[0]).refused, >, 0);
}

static void test_refusals(void)
{
    const LoomStreamIdentity producer = identity_of(0, 3);
    LoomStreamIdentity consumer = identity_of(1, 3);

    assert_refused(&producer, &consumer, "other", LOOM_ERROR_IO,
                   "refuses this process: no edge of this name leads there, for too long");
    g_strlcpy(consumer.graph, "beef", sizeof consumer.graph);
    assert_refused(
        &producer, &consumer, "batch", LOOM_ERROR_CONFIG,
        "refuses this process: it works on another graph: the configurations differ");
    consumer = identity_of(1, 3);
    consumer.run[0]++;
    assert_refused(&producer, &consumer, "batch", LOOM_ERROR_IO,
                   "refuses this process: it belongs to another run, for too long");
    consumer = identity_of(1, 2);
    assert_refused(&producer, &consumer, "batch", LOOM_ERROR_IO,
                   "its generation is over there");
}

/* The consumer is a generation ahead: it waits until the producer is there, too. */
static void test_begins_later(void)
{
    const LoomStreamOptions options = options_of(1 << 20);
    const LoomStreamIdentity ahead = identity_of(1, 2);
    g_auto(Pair) pair = {0};
    g_autoptr(GError) error = NULL;

    pair_open(&pair, LOOPBACK, &options);
    pair_connect(&pair, 1);
    const LoomStreamPeer peers[2] = {peer_of(&pair, 0), peer_of(&pair, 1)};
    loom_streams_begin(pair.streams[1], &ahead);
    loom_streams_from(pair.streams[1], "batch", &peers[0], 0, &pair.stream[1], &error);
    while (loom_streams_counts(pair.streams[1]).refused == 0)
        g_usleep(1000);
    const LoomStreamIdentity too = identity_of(0, 2);
    loom_streams_begin(pair.streams[0], &too);
    loom_streams_to(pair.streams[0], "batch", &peers[1], &pair.stream[0], &error);
    g_assert_no_error(error);
    assert_all(&pair, 5);
}

static void test_too_large(void)
{
    LoomStreamOptions options = options_of(1 << 20);
    g_auto(Pair) pair = {0};
    g_autoptr(GError) error = NULL;

    options.limit = 4095;
    pair_open(&pair, LOOPBACK, &options);
    pair_connect(&pair, 1);
    loom_assert_failed(loom_streams_push(pair.streams[0], pair.stream[0], packet_of(0), &error),
                       error, LOOM_ERROR, LOOM_ERROR_LIMIT,
                       "a packet of 4096 bytes, at most 4095 can travel");
}

static void test_wrong_address(void)
{
    const LoomStreamOptions options = options_of(1 << 20);
    const LoomStreamPeer peer = {1, "carrier-pigeon://7", NULL};
    const LoomStreamIdentity identity = identity_of(0, 1);
    g_auto(Pair) pair = {0};
    g_autoptr(GError) error = NULL;
    guint stream;

    pair_open(&pair, LOOPBACK, &options);
    loom_streams_begin(pair.streams[0], &identity);
    loom_assert_failed(loom_streams_to(pair.streams[0], "batch", &peer, &stream, &error), error,
                       LOOM_ERROR, LOOM_ERROR_CONFIG, "edge 'batch', rank 1: 'carrier-pigeon");
}

/* Somebody who knows the address and nothing else. */
static void test_strangers(void)
{
    const LoomStreamOptions options = options_of(256 << 10);
    g_auto(Pair) pair = {0};
    g_autoptr(GError) error = NULL;
    g_autoptr(GRand) dice = g_rand_new_with_seed(3);
    guint links[2];

    pair_open(&pair, LOOPBACK, &options);
    pair_connect(&pair, 1);
    const LoomTransport *loopback = (const LoomTransport *)pair.transport->plugin;
    LoomPort *port = loopback->port_open(pair.transport->self, "loopback://stranger", &error);
    for (guint i = 0; i < 2; i++)
        loopback->link_open(pair.transport->self, port, peer_of(&pair, i).address, NULL,
                            &links[i], &error);
    g_assert_no_error(error);
    const pthread_t thread = pair_produce(&pair, 100);
    for (guint i = 0; i < 100; i++) {
        LoomPacket *packet = NULL;

        for (guint k = 0; k < 2; k++) {
            guint8 noise[200];

            for (guint j = 0; j < sizeof noise; j++)
                noise[j] = (guint8)g_rand_int(dice);
            g_autoptr(GBytes) frame = g_bytes_new(noise, i * 2);
            GBytes *frames[3] = {frame, frame, frame};
            loopback->send(pair.transport->self, port, links[k], frames, 1 + i % 3, NULL);
        }
        g_assert_cmpint(take(&pair, &packet, &error), ==, LOOM_FLOW_OK);
        assert_packet(packet, i);
        loom_packet_free(packet);
    }
    LoomPacket *none = NULL;
    g_assert_cmpint(take(&pair, &none, &error), ==, LOOM_FLOW_STOP);
    pthread_join(thread, NULL);
    g_assert_no_error(pair.error);
    g_assert_cmpuint(loom_streams_counts(pair.streams[0]).refused, >, 0);
    loopback->port_close(pair.transport->self, port);
}

int main(int argc, char **argv)
{
    g_setenv("LOOM_MODULE_PATH", TEST_MODULES, TRUE);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/streams/through", test_through);
    g_test_add_func("/streams/empty", test_empty);
    g_test_add_func("/streams/spoilt", test_spoilt);
    g_test_add_func("/streams/no-copies", test_no_copies);
    g_test_add_func("/streams/slow-consumer", test_slow_consumer);
    g_test_add_func("/streams/refused-by-consumer", test_refused_by_consumer);
    g_test_add_func("/streams/stop-and-begin", test_stop_and_begin);
    g_test_add_func("/streams/silence", test_silence);
    g_test_add_func("/streams/drain-in-vain", test_drain_in_vain);
    g_test_add_func("/streams/refusals", test_refusals);
    g_test_add_func("/streams/begins-later", test_begins_later);
    g_test_add_func("/streams/too-large", test_too_large);
    g_test_add_func("/streams/wrong-address", test_wrong_address);
    g_test_add_func("/streams/strangers", test_strangers);
    return loom_test_run();
}
