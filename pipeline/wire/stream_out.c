/* stream_out - the producer's end: keeps a packet until it was used, sends what may be sent.
 *
 * The window holds the packets above the acknowledged number.  A chunk in it is due, or was
 * sent; NACK makes it due again.  Silence is answered with a question: WELCOME says how far
 * everything was sent, and the consumer asks for what it misses. */
#include "stream.h"

#include <string.h>

#define MAX_FORMER 64u /* incarnations that lost their place; older ones are only unmet */

enum { DUE = 1, SENT = 2 };

/* A packet in the window. */
typedef struct {
    GBytes *header;
    GPtrArray *chunks; /* GBytes */
    guint32 *crcs;
    guint8 *state; /* DUE, SENT; one a chunk, at least one */
    guint n, n_due;
    guint64 weight;
} Pending;

/* The consumer, as far as it is known. */
typedef struct {
    guint64 incarnation, epoch, hello;
} Consumer;

struct _LoomStreamOut {
    LoomStreamEnd end;
    GPtrArray *window; /* Pending: the last of them has number `pushed` */
    guint64 pushed, acked, received, sent, credit, weight;
    guint64 cursor; /* no chunk of a packet below is due */
    Consumer consumer, candidate;
    guint64 epochs;
    GArray *former; /* guint64: incarnations */
    gboolean ending, end_known, end_due, stopped;
    gboolean welcome_due, candidate_due, bye_due;
    LoomWireMessage refusal; /* kind 0: none */
    gint64 heard, said, progress, patience;
    LoomStreamCounts counts;
};

static void pending_free(gpointer freed)
{
    Pending *pending = freed;

    g_bytes_unref(pending->header);
    g_ptr_array_unref(pending->chunks);
    g_free(pending->crcs);
    g_free(pending->state);
    g_free(pending);
}

LoomStreamOut *loom_stream_out_new(const LoomStreamEnd *end, gint64 now)
{
    LoomStreamOut *out = g_new0(LoomStreamOut, 1);

    out->end = *end;
    out->window = g_ptr_array_new_with_free_func(pending_free);
    out->former = g_array_new(FALSE, FALSE, sizeof(guint64));
    out->heard = out->said = out->progress = now;
    out->patience = end->options.resend_ms;
    out->cursor = 1;
    return out;
}

void loom_stream_out_free(LoomStreamOut *out)
{
    if (!out)
        return;
    g_ptr_array_unref(out->window);
    g_array_unref(out->former);
    g_free(out);
}

/* ---- the window --------------------------------------------------------------------- */

static guint64 window_first(const LoomStreamOut *out)
{
    return out->pushed - out->window->len + 1;
}

/* NULL: not in the window. */
static Pending *window_find(const LoomStreamOut *out, guint64 sequence)
{
    const guint64 first = window_first(out);

    return sequence >= first && sequence <= out->pushed ? out->window->pdata[sequence - first]
                                                        : NULL;
}

static void window_retire(LoomStreamOut *out, guint64 done)
{
    const guint64 first = window_first(out);
    guint n = 0;

    out->acked = MAX(out->acked, done);
    while (n < out->window->len && first + n <= out->acked)
        out->weight -= ((Pending *)out->window->pdata[n++])->weight;
    if (n)
        g_ptr_array_remove_range(out->window, 0, n);
    out->received = MAX(out->received, out->acked);
    out->sent = MAX(out->sent, out->acked);
    out->cursor = MAX(out->cursor, window_first(out));
}

static void pending_mark(Pending *pending, guint from, guint n)
{
    for (guint i = from; i < pending->n && n; i++, n--)
        if (!(pending->state[i] & DUE)) {
            pending->state[i] |= DUE;
            pending->n_due++;
        }
}

gboolean loom_stream_out_room(const LoomStreamOut *out, guint64 weight)
{
    return out->stopped || out->pushed < out->acked || out->window->len == 0
           || (weight <= out->credit && out->weight <= out->credit - weight);
}

void loom_stream_out_push(LoomStreamOut *out, GBytes *header, GPtrArray *chunks, guint32 *crcs,
                          gint64 now)
{
    Pending *pending = g_new0(Pending, 1);
    guint64 body = 0;

    for (guint i = 0; i < chunks->len; i++)
        body += g_bytes_get_size(chunks->pdata[i]);
    pending->header = header;
    pending->chunks = chunks;
    pending->crcs = crcs;
    pending->n = MAX(chunks->len, 1); /* a packet without tensors travels in an empty chunk */
    pending->state = g_new0(guint8, pending->n);
    pending->weight = loom_stream_weight(g_bytes_get_size(header), body, pending->n);
    out->counts.packets++;
    out->counts.bytes += body;
    if (out->stopped || out->pushed < out->acked) { /* used in another life, or unwanted */
        out->pushed++;
        out->cursor = out->pushed + 1;
        pending_free(pending);
        return;
    }
    pending_mark(pending, 0, pending->n);
    if (out->sent == out->pushed) {
        out->progress = now; /* nothing was under way: patience begins here */
        out->patience = out->end.options.resend_ms;
    }
    g_ptr_array_add(out->window, pending);
    out->pushed++;
    out->weight += pending->weight;
}

void loom_stream_out_end(LoomStreamOut *out)
{
    out->ending = out->end_due = TRUE;
}

/* ---- what the consumer says --------------------------------------------------------- */

static gboolean was_fenced(const LoomStreamOut *out, guint64 incarnation)
{
    for (guint i = 0; i < out->former->len; i++)
        if (g_array_index(out->former, guint64, i) == incarnation)
            return TRUE;
    return FALSE;
}

/* A first or new life of the consumer: it has what it says to have used, and nothing else. */
static void out_adopt(LoomStreamOut *out, gint64 now)
{
    if (out->consumer.incarnation) {
        if (out->former->len == MAX_FORMER)
            g_array_remove_index(out->former, 0);
        g_array_append_val(out->former, out->consumer.incarnation);
    }
    out->consumer = out->candidate;
    memset(&out->candidate, 0, sizeof out->candidate);
    for (guint i = 0; i < out->window->len; i++)
        pending_mark(out->window->pdata[i], 0, G_MAXUINT);
    out->cursor = window_first(out);
    out->received = out->sent = out->acked;
    out->end_known = FALSE;
    out->end_due = out->ending;
    out->bye_due = out->stopped;
    out->progress = now;
    out->patience = out->end.options.resend_ms;
}

static LoomWireReason out_hello(LoomStreamOut *out, const LoomWireMessage *message, gint64 now)
{
    if (was_fenced(out, message->sender))
        return LOOM_WIRE_FENCED;
    if (message->sender == out->consumer.incarnation) {
        out->heard = now;
        out->consumer.hello = MAX(out->consumer.hello, message->hello);
        out->welcome_due = TRUE;
        out->bye_due = loom_stream_out_drained(out);
        return LOOM_WIRE_FITS;
    }
    if (message->done < out->acked && !out->stopped)
        return LOOM_WIRE_GONE;
    out->heard = now;
    if (message->sender != out->candidate.incarnation) {
        out->candidate.incarnation = message->sender;
        out->candidate.epoch = ++out->epochs;
        out->candidate.hello = 0;
    }
    out->candidate.hello = MAX(out->candidate.hello, message->hello);
    out->candidate_due = TRUE;
    return LOOM_WIRE_FITS;
}

static void out_ack(LoomStreamOut *out, const LoomWireMessage *message, gint64 now)
{
    const guint64 received = MIN(message->received, out->sent);

    out->credit = MIN(message->credit, out->end.options.credit); /* memory is of this end */
    if (received > out->received || message->done > out->acked) {
        out->received = MAX(out->received, received);
        out->progress = now;
        out->patience = out->end.options.resend_ms;
    }
    window_retire(out, message->done);
    if (message->ended && out->ending)
        out->end_known = TRUE;
    if (loom_stream_out_drained(out))
        out->bye_due = TRUE;
}

static void out_nack(LoomStreamOut *out, const LoomWireMessage *message, gint64 now)
{
    Pending *pending = window_find(out, message->sequence);

    if (!pending)
        return; /* used already */
    pending_mark(pending, message->chunk, message->chunks ? message->chunks : G_MAXUINT);
    out->cursor = MIN(out->cursor, message->sequence);
    out->progress = now;
}

static void out_stop(LoomStreamOut *out)
{
    out->stopped = out->bye_due = TRUE;
    g_ptr_array_set_size(out->window, 0);
    out->weight = 0;
    out->cursor = out->pushed + 1;
}

static gboolean speaks_as(const LoomStreamOut *out, const LoomWireMessage *message,
                          const Consumer *consumer)
{
    return consumer->incarnation && message->sender == consumer->incarnation
           && message->epoch == consumer->epoch
           && message->receiver == out->end.self.incarnation;
}

static LoomWireReason out_spoken(LoomStreamOut *out, const LoomWireMessage *message, gint64 now)
{
    if (speaks_as(out, message, &out->candidate))
        out_adopt(out, now);
    if (!speaks_as(out, message, &out->consumer))
        return was_fenced(out, message->sender) ? LOOM_WIRE_FENCED : LOOM_WIRE_UNMET;
    out->heard = now;
    if (message->kind == LOOM_WIRE_ACK)
        out_ack(out, message, now);
    else if (message->kind == LOOM_WIRE_NACK)
        out_nack(out, message, now);
    else
        out_stop(out);
    return LOOM_WIRE_FITS;
}

LoomWireReason loom_stream_out_receive(LoomStreamOut *out, const LoomWireMessage *message,
                                       gint64 now)
{
    LoomWireReason reason = loom_wire_judge(&out->end.self, message);

    if (reason == LOOM_WIRE_FITS && message->kind == LOOM_WIRE_HELLO)
        reason = out_hello(out, message, now);
    else if (reason == LOOM_WIRE_FITS)
        reason = out_spoken(out, message, now);
    if (reason == LOOM_WIRE_FITS)
        return reason;
    loom_stream_address(&out->end, &out->refusal, LOOM_WIRE_REFUSED);
    out->refusal.receiver = message->sender;
    out->refusal.hello = message->hello;
    out->refusal.reason = reason;
    out->counts.refused++;
    return reason;
}

/* ---- what the producer says --------------------------------------------------------- */

static void out_say(LoomStreamOut *out, const Consumer *consumer, LoomWireKind kind, gint64 now,
                    LoomWireMessage *message)
{
    loom_stream_address(&out->end, message, kind);
    message->receiver = consumer->incarnation;
    message->epoch = consumer->epoch;
    message->hello = consumer->hello;
    message->sequence = out->sent;
    out->said = now;
}

/* Moves the cursor to the first packet with a due chunk that the credit allows; NULL: none. */
static Pending *out_seek(LoomStreamOut *out)
{
    Pending *pending;
    guint64 before = 0;

    while ((pending = window_find(out, out->cursor)) && !pending->n_due)
        out->cursor++;
    if (!pending || out->weight <= out->credit || out->cursor <= out->sent
        || out->cursor == window_first(out))
        return pending;
    /* A consumer in a new life may grant less than the one before. */
    for (guint64 i = window_first(out); i <= out->cursor; i++)
        before += window_find(out, i)->weight;
    return before <= out->credit ? pending : NULL;
}

static gboolean out_data(LoomStreamOut *out, gint64 now, LoomWireMessage *message)
{
    Pending *pending = out->consumer.incarnation ? out_seek(out) : NULL;
    guint i = 0;

    if (!pending)
        return FALSE;
    while (!(pending->state[i] & DUE))
        i++;
    out_say(out, &out->consumer, LOOM_WIRE_DATA, now, message);
    message->sequence = out->cursor;
    message->chunk = i;
    message->chunks = pending->n;
    message->header = i == 0 ? g_bytes_ref(pending->header) : NULL;
    if (pending->chunks->len) {
        message->payload = g_bytes_ref(pending->chunks->pdata[i]);
        message->crc = pending->crcs[i];
    }
    out->counts.repeated += pending->state[i] & SENT ? 1 : 0;
    pending->state[i] = SENT;
    if (--pending->n_due == 0) {
        out->sent = MAX(out->sent, out->cursor);
        out->cursor++;
    }
    return TRUE;
}

/* Is there anything that was sent, and of which the consumer did not say that it came? */
static gboolean out_waits(const LoomStreamOut *out)
{
    return out->sent > out->received
           || (out->ending && !out->end_known && out->sent >= out->pushed);
}

static void out_ask_again(LoomStreamOut *out, gint64 now)
{
    out->progress = now;
    out->patience = MIN(2 * out->patience, LOOM_STREAM_PATIENCE_MS);
    if (out->ending && out->sent >= out->pushed)
        out->end_due = TRUE;
    else
        out->welcome_due = TRUE;
}

/* TRUE once: @due is over. */
static gboolean is_due(gboolean *due)
{
    const gboolean was = *due;

    *due = FALSE;
    return was;
}

gboolean loom_stream_out_next(LoomStreamOut *out, gint64 now, LoomWireMessage *message)
{
    const Consumer *consumer = &out->consumer;

    if (out->refusal.kind) {
        *message = out->refusal;
        memset(&out->refusal, 0, sizeof out->refusal);
        return TRUE;
    }
    if (is_due(&out->candidate_due) && out->candidate.incarnation) {
        out_say(out, &out->candidate, LOOM_WIRE_WELCOME, now, message);
        message->sequence = 0;
        return TRUE;
    }
    if (!consumer->incarnation)
        return FALSE;
    if (is_due(&out->bye_due)) {
        out_say(out, consumer, LOOM_WIRE_BYE, now, message);
        return TRUE;
    }
    if (out->stopped)
        return FALSE;
    if (out_waits(out) && now - out->progress >= out->patience)
        out_ask_again(out, now);
    if (is_due(&out->welcome_due)) {
        out_say(out, consumer, LOOM_WIRE_WELCOME, now, message);
        return TRUE;
    }
    if (out_data(out, now, message))
        return TRUE;
    if (out->sent >= out->pushed && is_due(&out->end_due)) {
        out_say(out, consumer, LOOM_WIRE_END, now, message);
        message->sequence = out->pushed;
        return TRUE;
    }
    if (now - out->said < LOOM_STREAM_BEAT_MS || loom_stream_out_drained(out))
        return FALSE;
    out_say(out, consumer, LOOM_WIRE_WELCOME, now, message);
    return TRUE;
}

gint64 loom_stream_out_due(const LoomStreamOut *out, gint64 now)
{
    gint64 due = out->heard + out->end.options.timeout_ms;

    if (out->stopped || loom_stream_out_drained(out))
        return G_MAXINT64;
    if (out->consumer.incarnation) {
        due = MIN(due, out->said + LOOM_STREAM_BEAT_MS);
        if (out_waits(out))
            due = MIN(due, out->progress + out->patience);
    }
    return MAX(due, now + 1);
}

/* ---- what is asked of it ------------------------------------------------------------ */

gboolean loom_stream_out_stopped(const LoomStreamOut *out)
{
    return out->stopped;
}

gboolean loom_stream_out_drained(const LoomStreamOut *out)
{
    return out->stopped || (out->end_known && out->window->len == 0);
}

gboolean loom_stream_out_check(LoomStreamOut *out, gint64 now, GError **error)
{
    const gint64 silent = now - out->heard;
    g_autofree char *title = NULL;

    if (silent < out->end.options.timeout_ms || loom_stream_out_drained(out))
        return TRUE;
    title = loom_stream_title(&out->end, TRUE);
    return loom_fail(error, LOOM_ERROR_IO, "%s: %s for %.1f s", title,
                     out->consumer.incarnation ? "silent" : "has not said hello",
                     (double)silent / 1e3);
}

void loom_stream_out_count(const LoomStreamOut *out, LoomStreamCounts *counts)
{
    counts->packets += out->counts.packets;
    counts->bytes += out->counts.bytes;
    counts->repeated += out->counts.repeated;
    counts->refused += out->counts.refused;
    counts->window += out->weight;
}
