/* stream_in - the consumer's end: puts packets together from chunks in any order, gives them
 * away in the order of their numbers, and asks for what does not come.
 *
 * Of the packets above `taken`, those up to `received` are whole; of those up to `told` every
 * chunk was sent.  What lies between and is missing is asked for: soon after the gap was
 * noticed, then again and again with growing patience. */
#include "stream.h"

#include "codec.h"

#include <string.h>

#define GAP_MS 5         /* what was only overtaken arrives within that */
#define MAX_QUESTIONS 64 /* NACKs at a time */

/* A packet that arrives, or has. */
typedef struct {
    guint64 sequence;
    GBytes *header;    /* NULL: chunk 0 is missing */
    GPtrArray *chunks; /* GBytes; NULL where missing */
    guint n, n_missing;
    guint64 weight;
} Arrival;

typedef struct {
    guint64 sequence;
    guint32 chunk, chunks;
} Question;

struct _LoomStreamIn {
    LoomStreamEnd end;
    GHashTable *arrivals; /* &sequence -> Arrival */
    GBytes *nothing;      /* an empty chunk */
    GArray *questions;    /* Question, the next one last */
    guint64 done, taken, received, told, last, held;
    guint64 producer, epoch, hello;
    gboolean welcomed, ended, refusing, over;
    gboolean hello_due, ack_due, stop_due;
    gint64 ack_at; /* what came is acknowledged by then, unless it was used before */
    LoomWireReason refused;
    guint peer_version;
    gint64 heard, said, hello_at, ask_at, patience;
    LoomStreamCounts counts;
};

static void chunk_free(gpointer chunk)
{
    if (chunk)
        g_bytes_unref(chunk);
}

static void arrival_free(gpointer freed)
{
    Arrival *arrival = freed;

    g_clear_pointer(&arrival->header, g_bytes_unref);
    g_ptr_array_unref(arrival->chunks);
    g_free(arrival);
}

LoomStreamIn *loom_stream_in_new(const LoomStreamEnd *end, guint64 done, gint64 now)
{
    LoomStreamIn *in = g_new0(LoomStreamIn, 1);

    in->end = *end;
    in->arrivals = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, arrival_free);
    in->nothing = g_bytes_new_static("", 0);
    in->questions = g_array_new(FALSE, FALSE, sizeof(Question));
    in->done = in->taken = in->received = in->told = done;
    in->heard = in->said = now;
    in->hello_due = TRUE;
    in->ask_at = in->ack_at = G_MAXINT64;
    in->patience = end->options.resend_ms;
    return in;
}

void loom_stream_in_free(LoomStreamIn *in)
{
    if (!in)
        return;
    g_hash_table_unref(in->arrivals);
    g_bytes_unref(in->nothing);
    g_array_unref(in->questions);
    g_free(in);
}

static Arrival *arrival_find(const LoomStreamIn *in, guint64 sequence)
{
    return g_hash_table_lookup(in->arrivals, &sequence);
}

/* ---- taking ------------------------------------------------------------------------- */

void loom_stream_in_used(LoomStreamIn *in)
{
    if (in->done == in->taken)
        return;
    in->done = in->taken;
    in->ack_due = TRUE;
}

static gboolean all_taken(const LoomStreamIn *in)
{
    return in->over || in->refusing || (in->ended && in->taken >= in->last);
}

LoomFlow loom_stream_in_take(LoomStreamIn *in, GBytes **header, GPtrArray **chunks)
{
    if (all_taken(in))
        return LOOM_FLOW_STOP;
    if (in->taken == in->received)
        return LOOM_FLOW_FAIL;
    Arrival *arrival = arrival_find(in, in->taken + 1);

    *header = g_bytes_ref(arrival->header);
    *chunks = g_ptr_array_ref(arrival->chunks);
    if (g_bytes_get_size((*chunks)->pdata[0]) == 0)
        g_ptr_array_set_size(*chunks, 0);
    in->counts.packets++;
    for (guint i = 0; i < (*chunks)->len; i++)
        in->counts.bytes += g_bytes_get_size((*chunks)->pdata[i]);
    in->held -= arrival->weight;
    in->taken++;
    g_hash_table_remove(in->arrivals, &in->taken);
    return LOOM_FLOW_OK;
}

void loom_stream_in_refuse(LoomStreamIn *in)
{
    in->refusing = in->stop_due = TRUE;
    in->held = 0;
    in->received = in->told = in->taken;
    in->ask_at = G_MAXINT64;
    g_hash_table_remove_all(in->arrivals);
    g_array_set_size(in->questions, 0);
}

gboolean loom_stream_in_lingers(const LoomStreamIn *in)
{
    return in->welcomed && !in->over && (in->refusing || (in->ended && in->done >= in->last));
}

/* ---- what the producer says --------------------------------------------------------- */

/* Every chunk up to packet @told was sent: what is missing is asked for soon, unless it comes
 * by itself.  @gap: something is missing in the packet behind, too. */
static void in_expect(LoomStreamIn *in, guint64 told, gboolean gap, gint64 now)
{
    in->told = MAX(in->told, told);
    if (in->ask_at == G_MAXINT64 && (in->told > in->received || gap) && !in->refusing)
        in->ask_at = now + GAP_MS;
}

/* What is whole now; then what was asked for has come.  Each use is acknowledged at once; that
 * something came can wait for one of these, as long as the producer is patient. */
static void in_advance(LoomStreamIn *in, gint64 now)
{
    const guint64 before = in->received;
    const Arrival *next;

    while ((next = arrival_find(in, in->received + 1)) && !next->n_missing)
        in->received++;
    if (in->received == before)
        return;
    in->ack_at = MIN(in->ack_at, now + in->end.options.resend_ms / 4);
    in->patience = in->end.options.resend_ms;
}

/* Begins a packet, if there is room for it: always for the next one, whose size its own limit
 * bounds, for others within the credit. */
static Arrival *arrival_begin(LoomStreamIn *in, const LoomWireMessage *message)
{
    const guint64 weight = loom_stream_weight(0, 0, message->chunks);
    Arrival *arrival;

    if (message->sequence != in->received + 1
        && (in->held > in->end.options.credit || weight > in->end.options.credit - in->held))
        return NULL;
    arrival = g_new0(Arrival, 1);
    arrival->sequence = message->sequence;
    arrival->n = arrival->n_missing = message->chunks;
    arrival->chunks = g_ptr_array_new_full(message->chunks, chunk_free);
    g_ptr_array_set_size(arrival->chunks, (gint)message->chunks);
    arrival->weight = weight;
    in->held += weight;
    g_hash_table_insert(in->arrivals, &arrival->sequence, arrival);
    return arrival;
}

/* Can the numbers in it be true? */
static gboolean data_plausible(const LoomStreamIn *in, const LoomWireMessage *message)
{
    const guint64 most =
        in->end.options.limit / LOOM_MESSAGE_MAX_BYTES + LOOM_CODEC_MAX_TENSORS;

    return message->sequence > 0 && message->chunks > 0 && message->chunks <= most
           && message->chunk < message->chunks && (message->chunk == 0) == !!message->header;
}

static gboolean arrival_has_room(const LoomStreamIn *in, const Arrival *arrival, guint64 weight)
{
    const guint64 most =
        arrival->sequence == in->received + 1
            ? loom_stream_weight(LOOM_CODEC_MAX_HEADER, in->end.options.limit, arrival->n)
            : in->end.options.credit;
    const guint64 has = arrival->sequence == in->received + 1 ? arrival->weight : in->held;

    return has <= most && weight <= most - has;
}

static void in_data(LoomStreamIn *in, const LoomWireMessage *message, gint64 now)
{
    Arrival *arrival = arrival_find(in, message->sequence);
    guint64 weight;

    if (!data_plausible(in, message) || in->refusing) {
        in->stop_due = in->refusing;
        return;
    }
    if (message->sequence <= in->received
        || (arrival && message->chunk < arrival->n && arrival->chunks->pdata[message->chunk])) {
        in->counts.doubled++;
        in->ack_due = TRUE;
        return;
    }
    if (!arrival && !(arrival = arrival_begin(in, message)))
        return;
    weight = (message->payload ? g_bytes_get_size(message->payload) : 0)
             + (message->header ? g_bytes_get_size(message->header) : 0);
    if (message->chunks != arrival->n || !arrival_has_room(in, arrival, weight))
        return;
    if (message->header)
        arrival->header = g_bytes_ref(message->header);
    arrival->chunks->pdata[message->chunk] =
        g_bytes_ref(message->payload ? message->payload : in->nothing);
    arrival->n_missing--;
    arrival->weight += weight;
    in->held += weight;
    in_advance(in, now);
    if (message->sequence > in->received) /* else it is whole, and may be gone */
        in_expect(in, message->sequence - 1,
                  message->chunk > 0 && !arrival->chunks->pdata[message->chunk - 1], now);
}

/* The producer, of this life or a new one, takes this consumer. */
static void in_welcome(LoomStreamIn *in, const LoomWireMessage *message, gint64 now)
{
    if (in->producer != message->sender || in->epoch != message->epoch) {
        GHashTableIter iter;
        gpointer value;

        in->producer = message->sender;
        in->epoch = message->epoch;
        in->told = in->received;
        in->ask_at = G_MAXINT64;
        in->questions->len = 0;
        g_hash_table_iter_init(&iter, in->arrivals);
        while (g_hash_table_iter_next(&iter, NULL, &value)) {
            const Arrival *arrival = value;

            if (arrival->sequence <= in->received)
                continue;
            in->held -= arrival->weight;
            g_hash_table_iter_remove(&iter);
        }
    }
    in->welcomed = TRUE;
    in->hello_due = FALSE;
    in->refused = LOOM_WIRE_FITS;
    in->ack_due = TRUE;
    in->stop_due = in->refusing;
    in_expect(in, message->sequence, FALSE, now);
}

static void in_refused(LoomStreamIn *in, const LoomWireMessage *message)
{
    if (message->receiver != in->end.self.incarnation || message->hello != in->hello)
        return; /* to somebody else, or to an earlier word */
    in->refused = message->reason;
    in->welcomed = FALSE;
    in->counts.refused++;
}

static void in_spoken(LoomStreamIn *in, const LoomWireMessage *message, gint64 now)
{
    in->heard = now;
    if (message->kind == LOOM_WIRE_DATA) {
        in_data(in, message, now);
    } else if (message->kind == LOOM_WIRE_END) {
        in->ended = in->ack_due = TRUE;
        in->last = message->sequence;
        in_expect(in, message->sequence, FALSE, now);
    } else if (message->kind == LOOM_WIRE_BYE) {
        in->over = TRUE;
    }
}

void loom_stream_in_receive(LoomStreamIn *in, const LoomWireMessage *message, gint64 now)
{
    const gboolean known =
        in->producer && message->sender == in->producer && message->epoch == in->epoch;

    if (message->kind == LOOM_WIRE_FOREIGN) {
        if (in->producer)
            return; /* of nobody that counts: the producer speaks this version */
        in->refused = LOOM_WIRE_VERSION_DIFFERS;
        in->peer_version = message->version;
    } else if (message->kind == LOOM_WIRE_REFUSED) {
        in_refused(in, message);
    } else if (loom_wire_judge(&in->end.self, message) != LOOM_WIRE_FITS
               || message->receiver != in->end.self.incarnation) {
        in->counts.refused++;
    } else if (message->kind == LOOM_WIRE_WELCOME && (known || message->hello == in->hello)) {
        in->heard = now;
        in_welcome(in, message, now);
    } else if (known) {
        in_spoken(in, message, now);
    } else {
        in->counts.refused++;
    }
}

void loom_stream_in_lost(LoomStreamIn *in, gint64 now)
{
    in->hello_due = !in->over;
    in->hello_at = now;
}

/* ---- what the consumer says --------------------------------------------------------- */

static void in_say(LoomStreamIn *in, LoomWireKind kind, gint64 now, LoomWireMessage *message)
{
    loom_stream_address(&in->end, message, kind);
    message->receiver = in->producer;
    message->epoch = in->epoch;
    message->hello = in->hello;
    message->done = in->done;
    message->received = in->received;
    message->credit = in->end.options.credit;
    message->ended = in->ended;
    in->said = now;
}

static void in_ask(LoomStreamIn *in, guint64 sequence, guint32 chunk, guint32 chunks)
{
    const Question question = {sequence, chunk, chunks};

    if (in->questions->len < MAX_QUESTIONS)
        g_array_append_val(in->questions, question);
}

/* The runs of missing chunks below @n. */
static void in_ask_chunks(LoomStreamIn *in, const Arrival *arrival, guint n)
{
    for (guint i = 0; i < n; i++) {
        const guint first = i;

        while (i < n && !arrival->chunks->pdata[i])
            i++;
        if (i > first)
            in_ask(in, arrival->sequence, first, i - first);
    }
}

/* Writes down what is missing. */
static void in_ask_all(LoomStreamIn *in, gint64 now)
{
    const Arrival *arrival;
    guint n;

    g_array_set_size(in->questions, 0);
    for (guint64 s = in->received + 1; s <= in->told && in->questions->len < MAX_QUESTIONS; s++)
        if ((arrival = arrival_find(in, s)))
            in_ask_chunks(in, arrival, arrival->n);
        else
            in_ask(in, s, 0, 0);
    if ((arrival = arrival_find(in, in->told + 1))) { /* its last chunks are on their way */
        for (n = arrival->n; n && !arrival->chunks->pdata[n - 1];)
            n--;
        in_ask_chunks(in, arrival, n);
    }
    in->ask_at = in->questions->len ? now + in->patience : G_MAXINT64;
    in->patience = MIN(2 * in->patience, LOOM_STREAM_PATIENCE_MS);
}

static gboolean in_hello(LoomStreamIn *in, gint64 now, LoomWireMessage *message)
{
    if (!(in->hello_due || !in->welcomed) || now < in->hello_at)
        return FALSE;
    in->hello++;
    in->hello_at = now + in->end.options.resend_ms;
    in_say(in, LOOM_WIRE_HELLO, now, message);
    g_strlcpy(message->graph, in->end.self.graph, sizeof message->graph);
    return TRUE;
}

static gboolean in_question(LoomStreamIn *in, gint64 now, LoomWireMessage *message)
{
    const Question *question;

    if (now >= in->ask_at)
        in_ask_all(in, now);
    if (!in->questions->len)
        return FALSE;
    question = &g_array_index(in->questions, Question, in->questions->len - 1);
    in_say(in, LOOM_WIRE_NACK, now, message);
    message->sequence = question->sequence;
    message->chunk = question->chunk;
    message->chunks = question->chunks;
    g_array_set_size(in->questions, in->questions->len - 1);
    return TRUE;
}

/* Between two words: what is final is repeated sooner than a beat. */
static gint64 in_silence(const LoomStreamIn *in)
{
    return loom_stream_in_lingers(in) ? MIN(in->end.options.resend_ms, LOOM_STREAM_BEAT_MS)
                                      : LOOM_STREAM_BEAT_MS;
}

gboolean loom_stream_in_next(LoomStreamIn *in, gint64 now, LoomWireMessage *message)
{
    const gint64 silence = in_silence(in);

    if (in->over || loom_wire_reason_final(in->refused))
        return FALSE;
    if (in_hello(in, now, message))
        return TRUE;
    if (!in->welcomed)
        return FALSE;
    if (in->refusing) {
        if (!in->stop_due && now - in->said < silence)
            return FALSE;
        in->stop_due = FALSE;
        in_say(in, LOOM_WIRE_STOP, now, message);
        return TRUE;
    }
    if (in_question(in, now, message))
        return TRUE;
    if (!in->ack_due && now < in->ack_at && now - in->said < silence)
        return FALSE;
    in->ack_due = FALSE;
    in->ack_at = G_MAXINT64;
    in_say(in, LOOM_WIRE_ACK, now, message);
    return TRUE;
}

gint64 loom_stream_in_due(const LoomStreamIn *in, gint64 now)
{
    gint64 due = all_taken(in) ? G_MAXINT64 : in->heard + in->end.options.timeout_ms;

    if (in->over || loom_wire_reason_final(in->refused))
        return G_MAXINT64;
    if (in->welcomed)
        due = MIN(MIN(due, in->said + in_silence(in)), MIN(in->ask_at, in->ack_at));
    if (in->hello_due || !in->welcomed)
        due = MIN(due, in->hello_at);
    return MAX(due, now + 1);
}

/* ---- what is asked of it ------------------------------------------------------------ */

gboolean loom_stream_in_check(LoomStreamIn *in, gint64 now, GError **error)
{
    const gint64 silent = now - in->heard;
    g_autofree char *title = NULL;

    if (all_taken(in))
        return TRUE;
    if (!loom_wire_reason_final(in->refused) && silent < in->end.options.timeout_ms)
        return TRUE;
    title = loom_stream_title(&in->end, FALSE);
    if (in->refused == LOOM_WIRE_VERSION_DIFFERS)
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "%s refuses this process: it speaks version %u of the stream format, "
                         "this process version %u",
                         title, in->peer_version, LOOM_WIRE_VERSION);
    if (in->refused)
        return loom_fail(
            error, in->refused == LOOM_WIRE_GRAPH_DIFFERS ? LOOM_ERROR_CONFIG : LOOM_ERROR_IO,
            "%s refuses this process: %s%s", title, loom_wire_reason_text(in->refused),
            loom_wire_reason_final(in->refused) ? "" : ", for too long");
    return loom_fail(error, LOOM_ERROR_IO, "%s: %s for %.1f s", title,
                     in->producer ? "silent" : "does not answer", (double)silent / 1e3);
}

void loom_stream_in_count(const LoomStreamIn *in, LoomStreamCounts *counts)
{
    counts->packets += in->counts.packets;
    counts->bytes += in->counts.bytes;
    counts->doubled += in->counts.doubled;
    counts->refused += in->counts.refused;
    counts->window += in->held;
}
