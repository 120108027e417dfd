/* mesh_message.h - what the ranks of `direct` and `ring` say to each other: one header of fixed
 * size, followed, in a second frame, by the floats of a piece.
 *
 *   HELLO     to a rank of the same host: pid, fd and token of memory that it may try to read
 *   HERE      to all: this rank is in call `sequence`: its kind, root and count; of a sum also
 *             where its memory lies; READS: this rank can read the memory of the receiver
 *   PIECE     only to a rank that is HERE: `length` bytes at `offset` of the call's data; with
 *             SHARED there is no second frame: the receiver reads them where they lie
 *   FINISHED  this rank reads nothing more of the receiver's memory in call `sequence`
 *
 * Since a piece is sent to those alone who wait for it, nobody stores what came too early, and
 * ranks that are in different calls find out by the first message. */
#pragma once

#include <glib.h>

#if G_BYTE_ORDER != G_LITTLE_ENDIAN
#error "headers and floats travel as they are, little-endian"
#endif

#define MESH_MAGIC 0x43474c53u /* "SLGC" */
#define MESH_VERSION 1
#define MESH_MAX_RANKS 64
#define MESH_TOKEN 16

typedef enum { MESH_HELLO = 1, MESH_HERE, MESH_PIECE, MESH_FINISHED } MeshKind;

#define MESH_READS (1u << 0)  /* of HERE */
#define MESH_SHARED (1u << 0) /* of PIECE */

/* All little-endian, without holes. */
typedef struct {
    guint32 magic;
    guint16 version, kind;
    guint32 from, to;          /* ranks */
    guint64 generation, stamp; /* stamp: of addresses and hosts, see mesh_stamp */
    guint64 sequence;          /* of the call: 1, 2, ... in each generation */
    guint32 call, root;        /* HERE: CallKind; of a broadcast its root */
    guint32 part, flags;       /* PIECE: which leg of the algorithm */
    guint64 count;             /* HERE: floats; of a gather the bytes of this rank */
    guint64 offset, length;    /* PIECE: bytes */
    guint32 pid, fd;           /* HELLO, HERE: of a sum in shared memory */
    guint64 serial, bytes;     /* the same: which memory, and how much; 0: none */
    guint8 token[MESH_TOKEN];  /* HELLO */
} MeshHeader;
G_STATIC_ASSERT(sizeof(MeshHeader) == 120);

/* Bytes of anybody -> header.  Returns NULL, or what is wrong with them. */
const char *mesh_header_read(MeshHeader *header, GBytes *frame);
/* (transfer full); fills in magic and version. */
GBytes *mesh_header_frame(const MeshHeader *header);
