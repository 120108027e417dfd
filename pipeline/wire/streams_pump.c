/* streams_pump - the thread that owns the port: what arrives goes to the machines, what they
 * say goes to the links. */
#include "streams_state.h"

#include <string.h>

#define TURN 16       /* messages a stream may say before others are heard */
#define FULL_MS 200   /* a stream whose link is full: how often its time is looked at */
#define NOTE_MS 60000 /* between two notes on refusals */

/* ---- links -------------------------------------------------------------------------- */

static void links_tend(LoomStreams *streams)
{
    for (guint i = 0; i < streams->links->len; i++) {
        StreamLink *link = streams->links->pdata[i];

        if (link->unused) {
            if (link->open)
                streams->transport->link_close(streams->self, streams->port, link->number);
            g_ptr_array_remove_index(streams->links, i--);
        } else if (!link->open && !link->error) {
            link->open =
                streams->transport->link_open(streams->self, streams->port, link->address,
                                              link->key, &link->number, &link->error);
            pthread_cond_broadcast(&streams->changed);
        }
    }
}

static StreamLink *link_find(LoomStreams *streams, guint number)
{
    for (guint i = 0; i < streams->links->len; i++) {
        StreamLink *link = streams->links->pdata[i];

        if (link->open && link->number == number)
            return link;
    }
    return NULL; /* closed in the meantime */
}

/* ---- out ---------------------------------------------------------------------------- */

/* Sends what the stream holds.  FALSE: the link is full, or the stream failed. */
static gboolean stream_send(LoomStreams *streams, Stream *stream)
{
    const LoomFlow flow =
        streams->transport->send(streams->self, streams->port, stream->link->number,
                                 stream->held, stream->n_held, &stream->failed);

    if (flow == LOOM_FLOW_STOP) {
        stream->link->full = TRUE;
        return FALSE;
    }
    while (stream->n_held)
        g_bytes_unref(stream->held[--stream->n_held]);
    return flow == LOOM_FLOW_OK;
}

static gboolean stream_next(Stream *stream, gint64 now, LoomWireMessage *message)
{
    return stream->out ? loom_stream_out_next(stream->out, now, message)
                       : loom_stream_in_next(stream->in, now, message);
}

/* Returns: when to come back. */
static gint64 stream_speak(LoomStreams *streams, Stream *stream, gint64 now)
{
    for (guint i = 0; i < TURN; i++) {
        g_auto(LoomWireMessage) message = {0};

        if (stream->link->full)
            return now + FULL_MS;
        if (!stream->n_held) {
            if (!stream_next(stream, now, &message))
                return stream->out ? loom_stream_out_due(stream->out, now)
                                   : loom_stream_in_due(stream->in, now);
            stream->n_held = loom_wire_pack(&message, stream->held);
        }
        if (!stream_send(streams, stream))
            return now + FULL_MS;
    }
    return now;
}

/* Returns: milliseconds until the next turn; -1: nothing is due. */
static gint streams_speak(LoomStreams *streams)
{
    const gint64 now = loom_streams_now();
    gint64 due = G_MAXINT64;

    for (guint i = 0; i < streams->streams->len; i++) {
        Stream *stream = streams->streams->pdata[i];
        gboolean works = !stream->failed;

        if (works)
            works = stream->out ? loom_stream_out_check(stream->out, now, &stream->failed)
                                : loom_stream_in_check(stream->in, now, &stream->failed);
        if (works)
            due = MIN(due, stream_speak(streams, stream, now));
        if (!works || stream->failed)
            pthread_cond_broadcast(&streams->changed);
    }
    return due == G_MAXINT64 ? -1 : (gint)CLAMP(due - now, 0, G_MAXINT);
}

/* ---- in ----------------------------------------------------------------------------- */

/* For people, once a minute. */
static gboolean is_news(gint64 *noted)
{
    const gint64 now = loom_streams_now();

    if (*noted && now - *noted < NOTE_MS)
        return FALSE;
    *noted = now;
    return TRUE;
}

/* Is it of a kind that this end is told? */
static gboolean stream_wants(const Stream *stream, const LoomWireMessage *message)
{
    if (stream->end.peer != message->from || !g_str_equal(stream->end.edge, message->edge))
        return FALSE;
    return message->kind == LOOM_WIRE_FOREIGN
           || loom_wire_upstream(message->kind) == !!stream->out;
}

/* It belongs to every start: nobody needs to know. */
static gboolean passes_by_itself(LoomWireReason reason)
{
    return reason == LOOM_WIRE_UNMET || reason == LOOM_WIRE_NOT_BEGUN;
}

static void stream_receive(LoomStreams *streams, Stream *stream, const LoomWireMessage *message)
{
    const gint64 now = loom_streams_now();
    LoomWireReason reason = LOOM_WIRE_FITS;

    if (stream->in)
        loom_stream_in_receive(stream->in, message, now);
    else
        reason = loom_stream_out_receive(stream->out, message, now);
    if (reason != LOOM_WIRE_FITS && !passes_by_itself(reason) && is_news(&stream->noted))
        g_message("edge '%s': rank %u is refused: %s", stream->end.edge, stream->end.peer,
                  loom_wire_reason_text(reason));
    pthread_cond_broadcast(&streams->changed);
}

/* A HELLO on an edge that is not here, of a rank that is known: it is told. */
static void stranger_answer(LoomStreams *streams, const LoomWireMessage *hello)
{
    for (guint i = 0; i < streams->streams->len; i++) {
        const Stream *stream = streams->streams->pdata[i];
        LoomWireMessage answer;
        GBytes *frames[2];

        if (stream->end.peer != hello->from || stream->link->full)
            continue;
        loom_stream_address(&stream->end, &answer, LOOM_WIRE_REFUSED);
        memcpy(answer.edge, hello->edge, sizeof answer.edge);
        answer.receiver = hello->sender;
        answer.hello = hello->hello;
        answer.reason = loom_wire_judge(&streams->identity, hello);
        if (answer.reason == LOOM_WIRE_FITS)
            answer.reason = LOOM_WIRE_NO_EDGE;
        loom_wire_pack(&answer, frames);
        streams->transport->send(streams->self, streams->port, stream->link->number, frames, 1,
                                 NULL);
        g_bytes_unref(frames[0]);
        return;
    }
}

static void streams_receive(LoomStreams *streams, GPtrArray *frames)
{
    g_auto(LoomWireMessage) message = {0};
    g_autoptr(GError) error = NULL;
    gboolean known = FALSE;

    if (loom_wire_unpack(frames, &message, &error) && streams->begun
        && message.to == streams->identity.rank)
        for (guint i = 0; i < streams->streams->len; i++)
            if (stream_wants(streams->streams->pdata[i], &message)) {
                stream_receive(streams, streams->streams->pdata[i], &message);
                known = TRUE;
            }
    if (known)
        return;
    streams->strangers++;
    if (message.kind == LOOM_WIRE_HELLO && message.to == streams->identity.rank)
        stranger_answer(streams, &message);
    if (error && is_news(&streams->noted))
        g_message("streams at %s: a message was dropped: %s", streams->address, error->message);
}

static void streams_hear(LoomStreams *streams, LoomPortEvent *event)
{
    StreamLink *link;

    if (event->kind == LOOM_PORT_NOTHING)
        return;
    if (event->kind == LOOM_PORT_MESSAGE) {
        g_autoptr(GPtrArray) frames = g_steal_pointer(&event->frames);

        streams_receive(streams, frames);
        return;
    }
    if (!(link = link_find(streams, event->link)))
        return;
    if (event->kind == LOOM_PORT_LINK_READY)
        link->full = FALSE;
    else
        for (guint i = 0; i < streams->streams->len; i++) {
            Stream *stream = streams->streams->pdata[i];

            if (stream->in && stream->link == link)
                loom_stream_in_lost(stream->in, loom_streams_now());
        }
}

/* ---- the thread --------------------------------------------------------------------- */

void *loom_streams_pump(gpointer data)
{
    LoomStreams *streams = data;

    for (;;) {
        LoomPortEvent event = {0};
        g_autoptr(GError) error = NULL;
        gint timeout_ms;

        {
            LOOM_LOCKED(&streams->lock);
            if (streams->quit)
                return NULL;
            links_tend(streams);
            timeout_ms = streams_speak(streams);
        }
        const gboolean heard = streams->transport->receive(streams->self, streams->port,
                                                           timeout_ms, &event, &error);
        LOOM_LOCKED(&streams->lock);
        if (!heard) {
            streams->broken = g_steal_pointer(&error);
            pthread_cond_broadcast(&streams->changed);
            return NULL;
        }
        streams_hear(streams, &event);
    }
}
