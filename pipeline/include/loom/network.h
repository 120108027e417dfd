/* loom/network.h - other processes: a transport moves messages, a collective sums and gathers.
 *
 * Both are plugins.  A transport knows addresses and bytes, nothing of tensors or ranks; a
 * collective knows ranks and floats, and is given a transport to reach them. */
#pragma once

#include <loom/plugin.h>

G_BEGIN_DECLS

/* ---- transport: how bytes travel ---------------------------------------------------- */

/* A port is an address at which messages of others arrive, together with the links on which
 * this end sends.  Links go one way: who wants an answer says in its message at which address
 * it listens.  So no end ever answers to a connection that may be gone.  A port, with all of
 * its links, belongs to one thread at a time; only `port_wake` is for any thread. */
typedef struct _LoomPort LoomPort;

typedef enum {
    LOOM_PORT_NOTHING,    /* the time is over, or it was woken */
    LOOM_PORT_MESSAGE,    /* `frames` arrived */
    LOOM_PORT_LINK_READY, /* `link` refused a message before and takes one now */
    LOOM_PORT_LINK_UP,    /* `link` reached its other end */
    LOOM_PORT_LINK_LOST,  /* `link` lost it, or was refused there; it tries again by itself */
} LoomPortEventKind;

typedef struct {
    LoomPortEventKind kind;
    guint link;
    GPtrArray *frames; /* of GBytes, (transfer full); NULL unless a message */
} LoomPortEvent;

#define LOOM_MESSAGE_MAX_FRAMES 8
#define LOOM_MESSAGE_MAX_BYTES (1u << 20) /* of one frame's payload; headers come on top */

typedef struct {
    LoomPlugin base;
    /* @address: "tcp://127.0.0.1:*" (any free port), "tcp://10.0.0.1:29500", "ipc:///path",
     * "loopback://name".  Fails with LOOM_ERROR_IO and the address: in use, not local, does not
     * resolve; LOOM_ERROR_CONFIG: needs keys or permission that were not given. */
    LoomPort *(*port_open)(gpointer self, const char *address, GError **error);
    /* What others connect to: @address with the port that was found. */
    const char *(*port_address)(gpointer self, const LoomPort *port);
    /* What was accepted by `send` is still tried for two seconds at most. */
    void (*port_close)(gpointer self, LoomPort *port);
    /* From any thread: a `receive` that waits, or else the next one, returns NOTHING. */
    void (*port_wake)(gpointer self, LoomPort *port);
    /* Begins to connect and returns at once; messages may be sent before it is up.
     * @key: public key of the other end, see `key`; NULL: clear text.
     * @link: (out): its number in this port; numbers of closed links are used again. */
    gboolean (*link_open)(gpointer self, LoomPort *port, const char *address, const char *key,
                          guint *link, GError **error);
    void (*link_close)(gpointer self, LoomPort *port, guint link);
    /* @frames: 1 to LOOM_MESSAGE_MAX_FRAMES, not copied: the transport takes a reference on
     * each, and gives it up, in any thread, when the bytes are no longer needed.
     * Returns: OK: accepted, which does not mean delivered; STOP: the link is full, nothing was
     * taken, LINK_READY will follow; FAIL with error. */
    LoomFlow (*send)(gpointer self, LoomPort *port, guint link, GBytes *const *frames, guint n,
                     GError **error);
    /* The next event, at most @timeout_ms from now (-1: whenever it comes). */
    gboolean (*receive)(gpointer self, LoomPort *port, gint timeout_ms, LoomPortEvent *event,
                        GError **error);
    /* This end's public key, 40 characters of Z85; NULL: it speaks clear text. */
    const char *(*key)(gpointer self);
    /* Makes a new pair of keys and writes it to @path: a new file, which only its owner may
     * read, of the form that the transport's own parameters take.  Needs no instance.
     * Returns: the public key (transfer full).  Member NULL: it has no keys. */
    char *(*key_write)(const char *path, GError **error);
} LoomTransport;

/* ---- collective: what ranks do together --------------------------------------------- */

/* The ranks of one generation.  When one is lost or joins, a new generation begins, and
 * nothing of the one before can reach it. */
typedef struct {
    guint64 generation;
    guint rank, size;             /* of this process: rank < size */
    const char *const *addresses; /* size of them: `address` of each rank */
    const char *const *keys;      /* size of them, an item NULL: clear text */
    const char *const *hosts;     /* size of them: ranks with equal names share memory */
} LoomGroup;

/* Bytes in the order of ranks: what `gather` gives. */
/* A lost rank ends the generation, not the process. */
#define LOOM_COLLECTIVE_SURVIVES (1u << 0)

/* Calls come from one thread, in the same order on all ranks; `abort` from any.  All that waits
 * is bounded by `abort`: after it, and until the next `join`, calls return STOP.  A message
 * that belongs to another call than the one expected is an error that names both ranks. */
typedef struct {
    LoomPlugin base;
    guint32 flags;
    /* Opens a port on @address (as LoomTransport's port_open); NULL member: needs none. */
    gboolean (*listen)(gpointer self, const LoomInstance *transport, const char *address,
                       GError **error);
    const char *(*address)(gpointer self); /* of that port; "" where there is none */
    /* Begins a generation; (transfer none): copies what it needs. */
    gboolean (*join)(gpointer self, const LoomGroup *group, GError **error);
    void (*abort)(gpointer self);
    /* Memory for sums; it may lie where other processes of this host see it.  Zeroed, 64-byte
     * aligned; (transfer full).  Outlives generations. */
    float *(*buffer_new)(gpointer self, gint64 count, GError **error);
    void (*buffer_free)(gpointer self, float *buffer);
    /* sum_start: replaces @buffer, one of buffer_new, by the sum over all ranks of their
     * buffers, added in the order of ranks: 0 + 1 + 2 ..., or in another order that depends on
     * nothing but size and count.  Returns at once; several may be under way, and the caller
     * leaves their buffers alone until sum_wait, which waits for all of them. */
    gboolean (*sum_start)(gpointer self, float *buffer, gint64 count, GError **error);
    LoomFlow (*sum_wait)(gpointer self, GError **error);
    /* Appends the bytes of every rank, in their order, to @all, an array of GBytes.  Small
     * things: at most 64 MiB each. */
    LoomFlow (*gather)(gpointer self, GBytes *mine, GPtrArray *all, GError **error);
    /* @data of rank @root on all ranks; any memory. */
    LoomFlow (*broadcast)(gpointer self, float *data, gint64 count, guint root, GError **error);
    /* For messages: "sum 3 of step 17 waits for ranks 2 and 3"; NULL: nothing waits.
     * From any thread; (transfer full). */
    char *(*waiting)(gpointer self);
} LoomCollective;

G_END_DECLS
