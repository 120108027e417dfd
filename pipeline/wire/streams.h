/* streams.h - packets from this process to others, and from others to this one: none lost, none
 * doubled, in order, whatever the transport drops, doubles, reorders or delays.
 *
 * A stream is one edge of the graph between one producer and one consumer.  Packets on it are
 * numbered 1, 2, 3, ... (its sequence).  The producer keeps every packet until the consumer has
 * acknowledged it, and sends no more than the consumer's credit, in bytes; the consumer takes
 * the next number only.  A thread of its own moves the messages. */
#pragma once

#include "plugin/instance.h"

#include <loom/network.h>
#include <loom/packet.h>

typedef struct _LoomStreams LoomStreams;

/* The other end. */
typedef struct {
    guint rank;          /* of the run: its seat */
    const char *address; /* of its streams' port */
    const char *key;     /* NULL: clear text */
} LoomStreamPeer;

/* What both ends must agree on, else the connection is refused with the reason. */
typedef struct {
    guint8 run[16]; /* this run, and no other */
    guint64 generation;
    char graph[65]; /* sha256 of the graph, hexadecimal */
    guint rank;     /* of this process */
    guint64 incarnation;
} LoomStreamIdentity;

typedef struct {
    guint64 credit;    /* bytes under way on one stream, at most */
    guint64 limit;     /* bytes of one packet, at most */
    gint64 timeout_ms; /* without a word of a peer: the stream fails, naming edge and peer */
    gint64 resend_ms;  /* unacknowledged for so long: sent again */
} LoomStreamOptions;

/* Opens the port on @address (as LoomTransport's port_open).  @transport: opened, borrowed. */
LoomStreams *loom_streams_new(const LoomInstance *transport, const char *address,
                              const LoomStreamOptions *options, GError **error);
/* What a producer did not drain is lost.  A consumer waits until its last word was heard, for a
 * second at most. */
void loom_streams_free(LoomStreams *streams);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LoomStreams, loom_streams_free)
const char *loom_streams_address(const LoomStreams *streams);

/* Begins anew: all streams of before are gone, what arrives of them is dropped and answered
 * with the reason.  Call while nobody is in push or take. */
void loom_streams_begin(LoomStreams *streams, const LoomStreamIdentity *identity);
/* A stream to, or from, a peer on the edge that ends at stage @edge.  The number is for the
 * calls below.  @done: packets that the consumer has used before (in another life of this
 * process): the producer begins behind them. */
gboolean loom_streams_to(LoomStreams *streams, const char *edge, const LoomStreamPeer *peer,
                         guint *stream, GError **error);
gboolean loom_streams_from(LoomStreams *streams, const char *edge, const LoomStreamPeer *peer,
                           guint64 done, guint *stream, GError **error);

/* From one thread a stream.  @packet: (transfer full), whatever it returns; waits while the
 * credit is used up.  STOP: the consumer wants no more, or loom_streams_stop. */
LoomFlow loom_streams_push(LoomStreams *streams, guint stream, LoomPacket *packet,
                           GError **error);
/* End of data: the consumer's take says STOP once it has taken all. */
void loom_streams_end(LoomStreams *streams, guint stream);
/* Waits until all that was pushed, and the end, is acknowledged, for @timeout_ms at most. */
gboolean loom_streams_drain(LoomStreams *streams, guint stream, gint64 timeout_ms,
                            GError **error);
/* The next packet.  Whoever takes it has used the one before: that is what is acknowledged.
 * STOP: the end of the data, or loom_streams_stop. */
LoomFlow loom_streams_take(LoomStreams *streams, guint stream, LoomPacket **packet,
                           GError **error);
/* The consumer wants no more of this stream: the producer's push says STOP. */
void loom_streams_refuse(LoomStreams *streams, guint stream);
/* From any thread: push and take return STOP at once, until the next begin. */
void loom_streams_stop(LoomStreams *streams);

/* For people and tests. */
typedef struct {
    guint64 packets, bytes; /* that went through, or came */
    guint64 repeated, doubled,
        refused;    /* messages: sent again; dropped as known; of strangers */
    guint64 window; /* bytes kept for a repetition now */
} LoomStreamCounts;
LoomStreamCounts loom_streams_counts(LoomStreams *streams);
