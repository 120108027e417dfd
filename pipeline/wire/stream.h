/* stream.h - the two ends of a stream as machines without thread, socket or clock: messages and
 * the time in, messages out.  So a test can run a thousand of them through every disaster.
 *
 * Times are milliseconds of a clock that never goes back.  After whatever is called, ask `next`
 * for messages until it gives none, and come back at `due`. */
#pragma once

#include "wire.h"

/* Of one stream, at either end. */
typedef struct {
    LoomStreamIdentity self;
    char edge[LOOM_WIRE_MAX_EDGE + 1];
    guint peer;          /* rank */
    const char *address; /* of the peer, for messages; must live as long as the stream */
    LoomStreamOptions options;
} LoomStreamEnd;

#define LOOM_STREAM_BEAT_MS 1000     /* between two words on a stream that has nothing to say */
#define LOOM_STREAM_PATIENCE_MS 2000 /* resend_ms is doubled up to here */

/* What a packet counts for, in bytes: against the credit and in the memory of either end. */
guint64 loom_stream_weight(gsize header, guint64 body, guint32 chunks);
/* Fills in what every message of this end has alike. */
void loom_stream_address(const LoomStreamEnd *end, LoomWireMessage *message, LoomWireKind kind);
/* "edge 'batch' to rank 1 at tcp://...". */
char *loom_stream_title(const LoomStreamEnd *end, gboolean out);

/* ---- producer ----------------------------------------------------------------------- */

typedef struct _LoomStreamOut LoomStreamOut;

LoomStreamOut *loom_stream_out_new(const LoomStreamEnd *end, gint64 now);
void loom_stream_out_free(LoomStreamOut *out);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LoomStreamOut, loom_stream_out_free)
/* May a packet of this weight be pushed? */
gboolean loom_stream_out_room(const LoomStreamOut *out, guint64 weight);
/* @header: (transfer full); @chunks: (transfer full): of GBytes; @crcs: (transfer full): one a
 * chunk.  The packet's number is one more than the last one's. */
void loom_stream_out_push(LoomStreamOut *out, GBytes *header, GPtrArray *chunks, guint32 *crcs,
                          gint64 now);
void loom_stream_out_end(LoomStreamOut *out);
/* Returns: why it was not accepted; the consumer will be told. */
LoomWireReason loom_stream_out_receive(LoomStreamOut *out, const LoomWireMessage *message,
                                       gint64 now);
/* Returns: FALSE: nothing to say.  *message is to be cleared. */
gboolean loom_stream_out_next(LoomStreamOut *out, gint64 now, LoomWireMessage *message);
gint64 loom_stream_out_due(const LoomStreamOut *out, gint64 now);
/* The consumer wants no more. */
gboolean loom_stream_out_stopped(const LoomStreamOut *out);
/* All that was pushed, and the end, is acknowledged; or the consumer wants no more. */
gboolean loom_stream_out_drained(const LoomStreamOut *out);
/* Fails with LOOM_ERROR_IO, naming edge, peer and seconds, once the peer was silent too long.
 */
gboolean loom_stream_out_check(LoomStreamOut *out, gint64 now, GError **error);
void loom_stream_out_count(const LoomStreamOut *out, LoomStreamCounts *counts);

/* ---- consumer ----------------------------------------------------------------------- */

typedef struct _LoomStreamIn LoomStreamIn;

LoomStreamIn *loom_stream_in_new(const LoomStreamEnd *end, guint64 done, gint64 now);
void loom_stream_in_free(LoomStreamIn *in);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LoomStreamIn, loom_stream_in_free)
/* The packet taken before is used. */
void loom_stream_in_used(LoomStreamIn *in);
/* OK: the next packet, as (transfer full) header and chunks.  STOP: there is none, and there
 * will be none.  FAIL, without an error: not yet. */
LoomFlow loom_stream_in_take(LoomStreamIn *in, GBytes **header, GPtrArray **chunks);
/* Wants no more. */
void loom_stream_in_refuse(LoomStreamIn *in);
void loom_stream_in_receive(LoomStreamIn *in, const LoomWireMessage *message, gint64 now);
/* The connection broke: says HELLO again. */
void loom_stream_in_lost(LoomStreamIn *in, gint64 now);
gboolean loom_stream_in_next(LoomStreamIn *in, gint64 now, LoomWireMessage *message);
gint64 loom_stream_in_due(const LoomStreamIn *in, gint64 now);
/* Has this end said something final that the other may not have heard? */
gboolean loom_stream_in_lingers(const LoomStreamIn *in);
/* As loom_stream_out_check; also LOOM_ERROR_CONFIG and LOOM_ERROR_IO with a refusal that is
 * final. */
gboolean loom_stream_in_check(LoomStreamIn *in, gint64 now, GError **error);
void loom_stream_in_count(const LoomStreamIn *in, LoomStreamCounts *counts);
