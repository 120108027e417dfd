/* streams - what the threads of the graph call: they share the streams' machines with the pump,
 * under one lock, and wait for one signal. */
#include "streams_state.h"

#include "codec.h"

#include <string.h>

#define LINGER_MS 1000 /* for the other ends to hear what is final */

gint64 loom_streams_now(void)
{
    return g_get_monotonic_time() / 1000;
}

static void link_free(gpointer freed)
{
    StreamLink *link = freed;

    g_free(link->address);
    g_free(link->key);
    g_clear_error(&link->error);
    g_free(link);
}

static void stream_free(gpointer freed)
{
    Stream *stream = freed;

    loom_stream_out_free(stream->out);
    loom_stream_in_free(stream->in);
    for (guint i = 0; i < stream->n_held; i++)
        g_bytes_unref(stream->held[i]);
    g_clear_error(&stream->failed);
    g_free(stream);
}

static void streams_wake(LoomStreams *streams)
{
    streams->transport->port_wake(streams->self, streams->port);
}

/* FALSE: @deadline is over. */
static gboolean streams_wait(LoomStreams *streams, gint64 deadline)
{
    const struct timespec until = {.tv_sec = deadline / 1000,
                                   .tv_nsec = deadline % 1000 * 1000000};

    return pthread_cond_timedwait(&streams->changed, &streams->lock, &until) == 0;
}

/* ---- open and close ----------------------------------------------------------------- */

LoomStreams *loom_streams_new(const LoomInstance *transport, const char *address,
                              const LoomStreamOptions *options, GError **error)
{
    LoomStreams *streams = g_new0(LoomStreams, 1);
    pthread_condattr_t monotonic;

    g_assert(options->resend_ms > 0 && options->timeout_ms > 0);
    streams->transport = (const LoomTransport *)transport->plugin;
    streams->self = transport->self;
    streams->options = *options;
    streams->port = streams->transport->port_open(streams->self, address, error);
    if (!streams->port) {
        g_free(streams);
        return NULL;
    }
    streams->address = g_strdup(streams->transport->port_address(streams->self, streams->port));
    streams->streams = g_ptr_array_new_with_free_func(stream_free);
    streams->links = g_ptr_array_new_with_free_func(link_free);
    pthread_mutex_init(&streams->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&streams->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (pthread_create(&streams->pump, NULL, loom_streams_pump, streams) != 0)
        g_error("no thread to be had"); /* as g_thread_new does */
    return streams;
}

static gboolean streams_linger(LoomStreams *streams)
{
    for (guint i = 0; i < streams->streams->len; i++) {
        const Stream *stream = streams->streams->pdata[i];

        if (stream->in && !stream->failed && loom_stream_in_lingers(stream->in))
            return TRUE;
    }
    return FALSE;
}

static void streams_quit(LoomStreams *streams)
{
    const gint64 deadline = loom_streams_now() + LINGER_MS;

    LOOM_LOCKED(&streams->lock);
    while (!streams->stopped && !streams->broken && streams_linger(streams)
           && streams_wait(streams, deadline))
        ;
    streams->quit = TRUE;
}

void loom_streams_free(LoomStreams *streams)
{
    if (!streams)
        return;
    streams_quit(streams);
    streams_wake(streams);
    pthread_join(streams->pump, NULL);
    streams->transport->port_close(streams->self, streams->port);
    g_ptr_array_unref(streams->streams);
    g_ptr_array_unref(streams->links);
    g_clear_error(&streams->broken);
    pthread_cond_destroy(&streams->changed);
    pthread_mutex_destroy(&streams->lock);
    g_free(streams->address);
    g_free(streams);
}

const char *loom_streams_address(const LoomStreams *streams)
{
    return streams->address;
}

void loom_streams_begin(LoomStreams *streams, const LoomStreamIdentity *identity)
{
    {
        LOOM_LOCKED(&streams->lock);
        g_ptr_array_set_size(streams->streams, 0);
        for (guint i = 0; i < streams->links->len; i++)
            ((StreamLink *)streams->links->pdata[i])->unused = TRUE;
        streams->identity = *identity;
        streams->begun = TRUE;
        streams->stopped = FALSE;
    }
    streams_wake(streams);
}

void loom_streams_stop(LoomStreams *streams)
{
    LOOM_LOCKED(&streams->lock);
    streams->stopped = TRUE;
    pthread_cond_broadcast(&streams->changed);
}

/* ---- streams ------------------------------------------------------------------------ */

static Stream *stream_find(LoomStreams *streams, guint number)
{
    g_assert(number < streams->streams->len);
    return streams->streams->pdata[number];
}

/* The link to a peer, made if need be; the pump opens it. */
static StreamLink *link_to(LoomStreams *streams, const LoomStreamPeer *peer)
{
    StreamLink *link;

    for (guint i = 0; i < streams->links->len; i++) {
        link = streams->links->pdata[i];
        if (g_str_equal(link->address, peer->address) && g_strcmp0(link->key, peer->key) == 0) {
            link->unused = FALSE;
            return link;
        }
    }
    link = g_new0(StreamLink, 1);
    link->address = g_strdup(peer->address);
    link->key = g_strdup(peer->key);
    g_ptr_array_add(streams->links, link);
    return link;
}

static gboolean stream_open(LoomStreams *streams, const char *edge, const LoomStreamPeer *peer,
                            gboolean out, guint64 done, guint *number, GError **error)
{
    const gint64 now = loom_streams_now();
    StreamLink *link;
    Stream *stream;

    if (strlen(edge) > LOOM_WIRE_MAX_EDGE)
        return loom_fail(error, LOOM_ERROR_LIMIT, "stage '%s': want a name of at most %u bytes",
                         edge, LOOM_WIRE_MAX_EDGE);
    LOOM_LOCKED(&streams->lock);
    g_assert(streams->begun);
    link = link_to(streams, peer);
    while (!link->open && !link->error && !streams->broken) {
        streams_wake(streams);
        pthread_cond_wait(&streams->changed, &streams->lock);
    }
    if (!link->open) {
        if (error && !*error)
            *error = g_error_copy(link->error ? link->error : streams->broken);
        g_prefix_error(error, "edge '%s', rank %u: ", edge, peer->rank);
        g_clear_error(&link->error); /* the next one may try again */
        return FALSE;
    }
    stream = g_new0(Stream, 1);
    stream->link = link;
    stream->end = (LoomStreamEnd){.self = streams->identity,
                                  .peer = peer->rank,
                                  .address = link->address,
                                  .options = streams->options};
    g_strlcpy(stream->end.edge, edge, sizeof stream->end.edge);
    if (out)
        stream->out = loom_stream_out_new(&stream->end, now);
    else
        stream->in = loom_stream_in_new(&stream->end, done, now);
    g_ptr_array_add(streams->streams, stream);
    *number = streams->streams->len - 1;
    streams_wake(streams);
    return TRUE;
}

gboolean loom_streams_to(LoomStreams *streams, const char *edge, const LoomStreamPeer *peer,
                         guint *stream, GError **error)
{
    return stream_open(streams, edge, peer, TRUE, 0, stream, error);
}

gboolean loom_streams_from(LoomStreams *streams, const char *edge, const LoomStreamPeer *peer,
                           guint64 done, guint *stream, GError **error)
{
    return stream_open(streams, edge, peer, FALSE, done, stream, error);
}

/* OK: the stream works. */
static LoomFlow stream_check(const LoomStreams *streams, const Stream *stream, GError **error)
{
    const GError *failed = stream->failed ? stream->failed : streams->broken;

    if (streams->stopped)
        return LOOM_FLOW_STOP;
    if (!failed)
        return LOOM_FLOW_OK;
    if (error && !*error)
        *error = g_error_copy(failed);
    return LOOM_FLOW_FAIL;
}

/* ---- push --------------------------------------------------------------------------- */

/* A packet on its way to the machine. */
typedef struct {
    GBytes *header;
    GPtrArray *chunks;
    guint32 *crcs;
    guint64 weight;
} Parcel;

static void parcel_clear(Parcel *parcel)
{
    g_clear_pointer(&parcel->header, g_bytes_unref);
    g_clear_pointer(&parcel->chunks, g_ptr_array_unref);
    g_clear_pointer(&parcel->crcs, g_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Parcel, parcel_clear)

static gboolean parcel_pack(Parcel *parcel, LoomPacket *packet, guint64 limit, GError **error)
{
    g_autoptr(LoomPacket) owned = packet;
    guint64 bytes;

    if (!loom_packet_encode_check(packet, error))
        return FALSE;
    parcel->chunks = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    bytes = loom_packet_encode(g_steal_pointer(&owned), &parcel->header, parcel->chunks);
    if (bytes > limit)
        return loom_fail(error, LOOM_ERROR_LIMIT,
                         "a packet of %" G_GUINT64_FORMAT " bytes, at most %" G_GUINT64_FORMAT
                         " can travel",
                         bytes, limit);
    parcel->crcs = g_new(guint32, MAX(parcel->chunks->len, 1));
    for (guint i = 0; i < parcel->chunks->len; i++)
        parcel->crcs[i] = loom_wire_crc(parcel->chunks->pdata[i]);
    parcel->weight = loom_stream_weight(g_bytes_get_size(parcel->header), bytes,
                                        MAX(parcel->chunks->len, 1));
    return TRUE;
}

LoomFlow loom_streams_push(LoomStreams *streams, guint number, LoomPacket *packet,
                           GError **error)
{
    g_auto(Parcel) parcel = {0};
    LoomFlow flow;
    Stream *stream;

    if (!parcel_pack(&parcel, packet, streams->options.limit, error))
        return LOOM_FLOW_FAIL;
    LOOM_LOCKED(&streams->lock);
    stream = stream_find(streams, number);
    while ((flow = stream_check(streams, stream, error)) == LOOM_FLOW_OK
           && !loom_stream_out_room(stream->out, parcel.weight))
        pthread_cond_wait(&streams->changed, &streams->lock);
    if (flow != LOOM_FLOW_OK)
        return flow;
    if (loom_stream_out_stopped(stream->out))
        return LOOM_FLOW_STOP;
    loom_stream_out_push(stream->out, g_steal_pointer(&parcel.header),
                         g_steal_pointer(&parcel.chunks), g_steal_pointer(&parcel.crcs),
                         loom_streams_now());
    streams_wake(streams);
    return LOOM_FLOW_OK;
}

void loom_streams_end(LoomStreams *streams, guint number)
{
    LOOM_LOCKED(&streams->lock);
    loom_stream_out_end(stream_find(streams, number)->out);
    streams_wake(streams);
}

static gboolean stream_settled(const Stream *stream)
{
    return stream->out ? loom_stream_out_drained(stream->out)
                       : !loom_stream_in_lingers(stream->in);
}

gboolean loom_streams_drain(LoomStreams *streams, guint number, gint64 timeout_ms,
                            GError **error)
{
    const gint64 deadline = loom_streams_now() + timeout_ms;
    g_autofree char *title = NULL;
    Stream *stream;
    LoomFlow flow;

    LOOM_LOCKED(&streams->lock);
    stream = stream_find(streams, number);
    while ((flow = stream_check(streams, stream, error)) == LOOM_FLOW_OK
           && !stream_settled(stream))
        if (!streams_wait(streams, deadline))
            break;
    if (flow == LOOM_FLOW_FAIL || stream_settled(stream))
        return flow != LOOM_FLOW_FAIL;
    title = loom_stream_title(&stream->end, !!stream->out);
    return loom_fail(error, LOOM_ERROR_IO, "%s: not all was acknowledged %s", title,
                     flow == LOOM_FLOW_STOP ? "when the streams were stopped" : "in time");
}

/* ---- take --------------------------------------------------------------------------- */

LoomFlow loom_streams_take(LoomStreams *streams, guint number, LoomPacket **packet,
                           GError **error)
{
    g_autoptr(GBytes) header = NULL;
    g_autoptr(GPtrArray) chunks = NULL;
    g_autofree char *title = NULL;

    {
        LOOM_LOCKED(&streams->lock);
        Stream *stream = stream_find(streams, number);
        LoomFlow flow = LOOM_FLOW_FAIL;

        loom_stream_in_used(stream->in);
        streams_wake(streams);
        for (;;) {
            if ((flow = stream_check(streams, stream, error)) != LOOM_FLOW_OK)
                return flow;
            if ((flow = loom_stream_in_take(stream->in, &header, &chunks)) != LOOM_FLOW_FAIL)
                break;
            pthread_cond_wait(&streams->changed, &streams->lock);
        }
        if (flow == LOOM_FLOW_STOP)
            return flow;
        title = loom_stream_title(&stream->end, FALSE);
    }
    *packet = loom_packet_decode(header, chunks, streams->options.limit, error);
    if (*packet)
        return LOOM_FLOW_OK;
    g_prefix_error(error, "%s: ", title);
    return LOOM_FLOW_FAIL;
}

void loom_streams_refuse(LoomStreams *streams, guint number)
{
    LOOM_LOCKED(&streams->lock);
    loom_stream_in_refuse(stream_find(streams, number)->in);
    streams_wake(streams);
    pthread_cond_broadcast(&streams->changed);
}

LoomStreamCounts loom_streams_counts(LoomStreams *streams)
{
    LoomStreamCounts counts = {0};

    LOOM_LOCKED(&streams->lock);
    for (guint i = 0; i < streams->streams->len; i++) {
        const Stream *stream = streams->streams->pdata[i];

        if (stream->out)
            loom_stream_out_count(stream->out, &counts);
        else
            loom_stream_in_count(stream->in, &counts);
    }
    counts.refused += streams->strangers;
    return counts;
}
