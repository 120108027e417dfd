/* wire.h - what the processes of a stream say to each other: version 1 of the format.
 *
 * A message is one frame, or two.  Frame 0 is a GVariant in normal form, little-endian, of at
 * most LOOM_WIRE_MAX_HEADER bytes:
 *
 *   (u magic, u version, s edge, u from, u to, u crc32, ay words)      the same in all versions
 *
 * `edge` is the stage at which the stream ends, `from` and `to` are ranks (seats), the crc32 is
 * that of words, edge and ranks.  `words` is a GVariant again, in version 1 of type
 *
 *   (y kind, ay run, t generation, t sender, t receiver, t epoch, t hello, s graph,
 *    t sequence, t done, t received, t credit, u chunk, u chunks, b ended, u reason,
 *    u crc32 of frame 1, ay packet header)
 *
 * where `sender` and `receiver` are incarnations (0: not known yet).  Frame 1, of DATA only, is
 * a slice of a packet's body (codec.h) of at most LOOM_MESSAGE_MAX_BYTES.  No address travels:
 * a message is answered at the address that this process was given for the rank.
 *
 *   kind     from      means
 *   HELLO    consumer  here I am, I have used `done` packets; repeated until WELCOME.  `hello`
 *                      counts them, and is repeated in all that either says afterwards
 *   WELCOME  producer  that HELLO is accepted, under `epoch`; and its beat: every chunk up to
 *                      packet `sequence` was sent once, what did not arrive is to be asked for
 *   REFUSED  producer  not accepted: `reason`
 *   DATA     producer  chunk `chunk` of `chunks` of packet `sequence`; with chunk 0 its header
 *   ACK      consumer  packets up to `done` are used, up to `received` are here, `credit` bytes
 *                      above `done` may be under way; `ended`: END is known.  Its beat
 *   NACK     consumer  packet `sequence`: `chunks` chunks from `chunk` on are missing, 0: all
 *   END      producer  packet `sequence` is the last
 *   STOP     consumer  wants no more; repeated until BYE
 *   BYE      producer  all is acknowledged, or the consumer stopped it: the stream is over
 *
 * A consumer is adopted by its first word under the epoch of the WELCOME that it got, not by
 * its HELLO: a late HELLO of a process that is gone takes nobody's place. */
#pragma once

#include "streams.h"

#define LOOM_WIRE_MAGIC 0x4d4f4f4cu /* "LOOM" */
#define LOOM_WIRE_VERSION 2u
#define LOOM_WIRE_MAX_HEADER (64u << 10)
#define LOOM_WIRE_MAX_EDGE 255u

typedef enum {
    LOOM_WIRE_FOREIGN, /* of another version: nothing but the edge and the ranks is known */
    LOOM_WIRE_HELLO,
    LOOM_WIRE_WELCOME,
    LOOM_WIRE_REFUSED,
    LOOM_WIRE_DATA,
    LOOM_WIRE_ACK,
    LOOM_WIRE_NACK,
    LOOM_WIRE_END,
    LOOM_WIRE_STOP,
    LOOM_WIRE_BYE,
} LoomWireKind;

typedef enum {
    LOOM_WIRE_FITS,
    LOOM_WIRE_VERSION_DIFFERS, /* final */
    LOOM_WIRE_RUN_DIFFERS,
    LOOM_WIRE_GRAPH_DIFFERS, /* final */
    LOOM_WIRE_OLDER,         /* generation than the producer's */
    LOOM_WIRE_NOT_BEGUN,     /* this generation, there */
    LOOM_WIRE_NO_EDGE,
    LOOM_WIRE_FENCED, /* final: another process took the consumer's place */
    LOOM_WIRE_GONE,   /* final: packets that it has not used were used before, and let go */
    LOOM_WIRE_UNMET,  /* say HELLO first */
    LOOM_WIRE_REASONS
} LoomWireReason;

typedef struct {
    guint32 version;
    char edge[LOOM_WIRE_MAX_EDGE + 1];
    guint from, to;
    LoomWireKind kind;
    guint8 run[16];
    guint64 generation, sender, receiver, epoch, hello;
    char graph[65];
    guint64 sequence, done, received, credit;
    guint32 chunk, chunks;
    gboolean ended;
    LoomWireReason reason;
    guint32 crc;     /* of the payload */
    GBytes *header;  /* of the packet; NULL: none */
    GBytes *payload; /* NULL: none */
} LoomWireMessage;

/* Gives up header and payload; the rest becomes zeros. */
void loom_wire_clear(LoomWireMessage *message);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(LoomWireMessage, loom_wire_clear)
guint32 loom_wire_crc(GBytes *payload);
/* Frames to send, (transfer full), 1 or 2 of them. */
guint loom_wire_pack(const LoomWireMessage *message, GBytes *frames[2]);
/* @frames: of GBytes, from anybody.  Fails with LOOM_ERROR_FORMAT or _LIMIT; *message is to be
 * cleared either way. */
gboolean loom_wire_unpack(GPtrArray *frames, LoomWireMessage *message, GError **error);
/* Is it from the consumer to the producer? */
gboolean loom_wire_upstream(LoomWireKind kind);
/* May a consumer with these words meet a producer that is @self? */
LoomWireReason loom_wire_judge(const LoomStreamIdentity *self, const LoomWireMessage *message);
/* "it works on another graph"; static. */
const char *loom_wire_reason_text(LoomWireReason reason);
gboolean loom_wire_reason_final(LoomWireReason reason);
