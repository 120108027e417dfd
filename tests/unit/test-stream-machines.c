/* The two ends of a stream, message by message: what is asked for and when, who is refused and
 * with which words, how it ends. */
#include "loom_test.h"
#include "stream_end.h"

#include <string.h>

/* Says all that both have to say, without loss or delay. */
static void talk(LoomStreamOut *out, LoomStreamIn *in, gint64 now)
{
    LoomWireMessage message;
    gboolean spoke = TRUE;

    while (spoke) {
        spoke = FALSE;
        while (loom_stream_out_next(out, now, &message)) {
            loom_stream_in_receive(in, &message, now);
            loom_wire_clear(&message);
            spoke = TRUE;
        }
        while (loom_stream_in_next(in, now, &message)) {
            loom_stream_out_receive(out, &message, now);
            loom_wire_clear(&message);
            spoke = TRUE;
        }
    }
}

/* A packet of @n chunks. */
static void push(LoomStreamOut *out, guint n, gint64 now)
{
    GPtrArray *chunks = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);

    for (guint i = 0; i < n; i++)
        g_ptr_array_add(chunks, g_bytes_new_static("0123456789", 10));
    loom_stream_out_push(out, g_bytes_new_static("header", 6), chunks, g_new0(guint32, n), now);
}

static gboolean take(LoomStreamIn *in)
{
    g_autoptr(GBytes) header = NULL;
    g_autoptr(GPtrArray) chunks = NULL;

    loom_stream_in_used(in);
    return loom_stream_in_take(in, &header, &chunks) == LOOM_FLOW_OK;
}

/* One chunk of eight is lost: it alone is sent again, and soon. */
static void test_one_lost(void)
{
    const LoomStreamEnd ends[2] = {end_of(0, 10), end_of(1, 11)};
    g_autoptr(LoomStreamOut) out = loom_stream_out_new(&ends[0], 0);
    g_autoptr(LoomStreamIn) in = loom_stream_in_new(&ends[1], 0, 0);
    LoomStreamCounts counts = {0};
    LoomWireMessage message;

    talk(out, in, 0);
    push(out, 8, 0);
    while (loom_stream_out_next(out, 0, &message)) {
        if (message.kind != LOOM_WIRE_DATA || message.chunk != 5)
            loom_stream_in_receive(in, &message, 0);
        loom_wire_clear(&message);
    }
    g_assert_false(take(in));
    talk(out, in, 0);
    g_assert_false(take(in)); /* it may have been overtaken only */
    talk(out, in, 10);
    g_assert_true(take(in));
    loom_stream_out_count(out, &counts);
    g_assert_cmpuint(counts.repeated, ==, 1);
}

/* The last message before silence is lost: the producer asks after resend_ms. */
static void test_last_lost(void)
{
    const LoomStreamEnd ends[2] = {end_of(0, 10), end_of(1, 11)};
    g_autoptr(LoomStreamOut) out = loom_stream_out_new(&ends[0], 0);
    g_autoptr(LoomStreamIn) in = loom_stream_in_new(&ends[1], 0, 0);
    LoomWireMessage message;

    talk(out, in, 0);
    push(out, 1, 0);
    g_assert_true(loom_stream_out_next(out, 0, &message));
    g_assert_cmpint(message.kind, ==, LOOM_WIRE_DATA);
    loom_wire_clear(&message); /* lost */
    talk(out, in, 49);
    g_assert_false(take(in));
    g_assert_cmpint(loom_stream_out_due(out, 49), ==, 50);
    talk(out, in, 50);
    talk(out, in, 55);
    g_assert_true(take(in));
}

/* The credit holds the producer back, and what is used frees it. */
static void test_credit(void)
{
    LoomStreamEnd ends[2] = {end_of(0, 10), end_of(1, 11)};
    const guint64 weight = loom_stream_weight(6, 10, 1);

    ends[1].options.credit = 3 * weight;
    g_autoptr(LoomStreamOut) out = loom_stream_out_new(&ends[0], 0);
    g_autoptr(LoomStreamIn) in = loom_stream_in_new(&ends[1], 0, 0);

    g_assert_true(loom_stream_out_room(out, weight)); /* one may always be under way */
    push(out, 1, 0);
    g_assert_false(loom_stream_out_room(out, weight)); /* nothing is granted yet */
    talk(out, in, 0);
    for (guint i = 1; i < 3; i++) {
        g_assert_true(loom_stream_out_room(out, weight));
        push(out, 1, 0);
    }
    talk(out, in, 0);
    g_assert_false(loom_stream_out_room(out, weight));
    g_assert_true(take(in));
    talk(out, in, 0);
    g_assert_false(loom_stream_out_room(out, weight)); /* taken is not used */
    g_assert_true(take(in));
    talk(out, in, 0);
    g_assert_true(loom_stream_out_room(out, weight));
}

static void assert_refusal(LoomStreamOut *out, const LoomStreamEnd *end, guint64 done,
                           LoomErrorCode code, const char *text)
{
    g_autoptr(LoomStreamIn) in = loom_stream_in_new(end, done, 0);
    g_autoptr(GError) error = NULL;

    talk(out, in, 0);
    if (loom_stream_in_check(in, 0, &error)) { /* it may pass: tries until the time is over */
        g_assert_true(loom_stream_in_check(in, end->options.timeout_ms - 1, &error));
        loom_stream_in_check(in, end->options.timeout_ms, &error);
        g_assert_nonnull(strstr(error->message, "for too long"));
    }
    g_assert_error(error, LOOM_ERROR, (gint)code);
    g_assert_nonnull(strstr(error->message, "edge 'batch' from rank 0 at loopback://other"));
    g_assert_nonnull(strstr(error->message, text));
}

static void test_refusals(void)
{
    const LoomStreamEnd producer = end_of(0, 10);
    g_autoptr(LoomStreamOut) out = loom_stream_out_new(&producer, 0);
    LoomStreamEnd end = end_of(1, 11);

    g_strlcpy(end.self.graph, "beef", sizeof end.self.graph);
    assert_refusal(out, &end, 0, LOOM_ERROR_CONFIG, "works on another graph");
    end = end_of(1, 11);
    end.self.run[0]++;
    assert_refusal(out, &end, 0, LOOM_ERROR_IO, "belongs to another run");
    end = end_of(1, 11);
    end.self.generation--;
    assert_refusal(out, &end, 0, LOOM_ERROR_IO, "its generation is over there");
    end.self.generation += 2;
    assert_refusal(out, &end, 0, LOOM_ERROR_IO, "its generation has not begun there yet");
}

static void test_other_version(void)
{
    const LoomStreamEnd ends[2] = {end_of(0, 10), end_of(1, 11)};
    g_autoptr(LoomStreamOut) out = loom_stream_out_new(&ends[0], 0);
    g_autoptr(LoomStreamIn) in = loom_stream_in_new(&ends[1], 0, 0);
    g_autoptr(GError) error = NULL;
    LoomWireMessage message = {
        .version = LOOM_WIRE_VERSION + 1, .edge = "batch", .kind = LOOM_WIRE_FOREIGN};

    g_assert_cmpint(loom_stream_out_receive(out, &message, 0), ==, LOOM_WIRE_VERSION_DIFFERS);
    loom_stream_in_receive(in, &message, 0);
    loom_assert_failed(loom_stream_in_check(in, 0, &error), error, LOOM_ERROR,
                       LOOM_ERROR_CONFIG,
                       "speaks version 3 of the stream format, this process version 2");
}

/* The process of before still lives when another takes its place. */
static void test_fenced(void)
{
    const LoomStreamEnd ends[3] = {end_of(0, 10), end_of(1, 11), end_of(1, 12)};
    g_autoptr(LoomStreamOut) out = loom_stream_out_new(&ends[0], 0);
    g_autoptr(LoomStreamIn) old = loom_stream_in_new(&ends[1], 0, 0);
    g_autoptr(LoomStreamIn) fresh = loom_stream_in_new(&ends[2], 0, 0);
    g_autoptr(GError) error = NULL;

    talk(out, old, 0);
    push(out, 1, 0);
    talk(out, old, 0);
    g_assert_true(take(old));
    talk(out, fresh, 1);
    g_assert_true(take(fresh)); /* the same packet: nobody said that it was used */
    g_assert_false(take(old));
    talk(out, old, 2000);
    loom_assert_failed(loom_stream_in_check(old, 2000, &error), error, LOOM_ERROR,
                       LOOM_ERROR_IO, "another process has taken its place");
    talk(out, fresh, 2000);
    g_assert_true(loom_stream_in_check(fresh, 2000, NULL));
    g_clear_error(&error);

    /* Nor does a late word of the first take the place of the second. */
    LoomWireMessage late;
    loom_stream_address(&ends[1], &late, LOOM_WIRE_HELLO);
    g_strlcpy(late.graph, "cafe", sizeof late.graph);
    g_assert_cmpint(loom_stream_out_receive(out, &late, 2001), ==, LOOM_WIRE_FENCED);
}

static void test_gone(void)
{
    const LoomStreamEnd ends[3] = {end_of(0, 10), end_of(1, 11), end_of(1, 12)};
    g_autoptr(LoomStreamOut) out = loom_stream_out_new(&ends[0], 0);
    g_autoptr(LoomStreamIn) in = loom_stream_in_new(&ends[1], 0, 0);

    talk(out, in, 0);
    push(out, 1, 0);
    talk(out, in, 0);
    g_assert_true(take(in));
    g_assert_false(take(in));
    talk(out, in, 0); /* used; so a next life that has used nothing cannot have it again */
    assert_refusal(out, &ends[2], 0, LOOM_ERROR_IO, "were used before and are gone");
}

static void test_silence(void)
{
    const LoomStreamEnd ends[2] = {end_of(0, 10), end_of(1, 11)};
    g_autoptr(LoomStreamOut) out = loom_stream_out_new(&ends[0], 0);
    g_autoptr(LoomStreamIn) in = loom_stream_in_new(&ends[1], 0, 0);
    g_autoptr(GError) error = NULL;

    g_assert_true(loom_stream_out_check(out, 599999, &error));
    loom_assert_failed(
        loom_stream_out_check(out, 600000, &error), error, LOOM_ERROR, LOOM_ERROR_IO,
        "edge 'batch' to rank 1 at loopback://other: has not said hello for 600.0 s");
    g_clear_error(&error);
    loom_assert_failed(
        loom_stream_in_check(in, 600000, &error), error, LOOM_ERROR, LOOM_ERROR_IO,
        "edge 'batch' from rank 0 at loopback://other: does not answer for 600.0 s");
    g_clear_error(&error);

    /* An hour without a packet is no silence: there are beats. */
    for (gint64 now = 0; now < 3600 * 1000; now += 500)
        talk(out, in, now);
    g_assert_true(loom_stream_out_check(out, 3600 * 1000, NULL));
    g_assert_true(loom_stream_in_check(in, 3600 * 1000, NULL));
    loom_assert_failed(loom_stream_in_check(in, 4300 * 1000, &error), error, LOOM_ERROR,
                       LOOM_ERROR_IO, "from rank 0 at loopback://other: silent for 701.0 s");
}

static void test_stop(void)
{
    const LoomStreamEnd ends[2] = {end_of(0, 10), end_of(1, 11)};
    g_autoptr(LoomStreamOut) out = loom_stream_out_new(&ends[0], 0);
    g_autoptr(LoomStreamIn) in = loom_stream_in_new(&ends[1], 0, 0);
    LoomStreamCounts counts = {0};

    push(out, 1, 0);
    talk(out, in, 0);
    loom_stream_in_refuse(in);
    g_assert_true(loom_stream_in_lingers(in));
    talk(out, in, 0);
    g_assert_true(loom_stream_out_stopped(out));
    g_assert_true(loom_stream_out_drained(out));
    g_assert_false(loom_stream_in_lingers(in));
    loom_stream_out_count(out, &counts);
    g_assert_cmpuint(counts.window, ==, 0);
}

/* Numbers that cannot be true take no memory. */
static void test_implausible(void)
{
    const LoomStreamEnd ends[2] = {end_of(0, 10), end_of(1, 11)};
    g_autoptr(LoomStreamOut) out = loom_stream_out_new(&ends[0], 0);
    g_autoptr(LoomStreamIn) in = loom_stream_in_new(&ends[1], 0, 0);
    LoomStreamCounts counts = {0};
    LoomWireMessage message, said;

    talk(out, in, 0);
    push(out, 1, 0);
    g_assert_true(loom_stream_out_next(out, 0, &message));
    const LoomWireMessage honest = message;
    message.chunks = G_MAXUINT32;
    loom_stream_in_receive(in, &message, 0);
    message = honest;
    message.chunk = 1;
    loom_stream_in_receive(in, &message, 0);
    message = honest;
    message.sequence = 0;
    loom_stream_in_receive(in, &message, 0);
    loom_stream_in_count(in, &counts);
    g_assert_cmpuint(counts.window, ==, 0);

    /* Far ahead: no more than the credit is kept, no more than 64 are asked for at a time. */
    message = honest;
    for (guint64 i = 0; i < 10000; i++) {
        message.sequence = G_MAXUINT64 - i * i;
        loom_stream_in_receive(in, &message, 0);
    }
    memset(&counts, 0, sizeof counts);
    loom_stream_in_count(in, &counts);
    g_assert_cmpuint(counts.window, <=, EDGE_CREDIT);
    guint asked = 0;
    while (loom_stream_in_next(in, 10, &said))
        asked += said.kind == LOOM_WIRE_NACK;
    g_assert_cmpuint(asked, ==, 64);
    message = honest;
    loom_wire_clear(&message);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/stream-machines/one-lost", test_one_lost);
    g_test_add_func("/stream-machines/last-lost", test_last_lost);
    g_test_add_func("/stream-machines/credit", test_credit);
    g_test_add_func("/stream-machines/refusals", test_refusals);
    g_test_add_func("/stream-machines/other-version", test_other_version);
    g_test_add_func("/stream-machines/fenced", test_fenced);
    g_test_add_func("/stream-machines/gone", test_gone);
    g_test_add_func("/stream-machines/silence", test_silence);
    g_test_add_func("/stream-machines/stop", test_stop);
    g_test_add_func("/stream-machines/implausible", test_implausible);
    return loom_test_run();
}
