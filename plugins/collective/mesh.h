/* mesh.h - what the collectives `direct` and `ring` share: a port, a link to every other rank,
 * and a thread of its own that sends, receives and adds while the caller computes.
 *
 *   mesh.c          the caller's side: the members of LoomCollective
 *   mesh_call.c     one sum, gather or broadcast under way; memory that others may read
 *   mesh_thread.c   the loop: what the caller ordered, and in what order things are done
 *   mesh_receive.c  what came, and what it means for the calls
 *   mesh_group.c    the other ranks of a generation, and their links
 *   mesh_send.c     what waits to be sent, and in which order
 *   mesh_small.c    gather and broadcast, which are the same for both
 *   direct.c ring.c the sum, as a Method */
#pragma once

#include "mesh_message.h"
#include "shared_memory.h"

#include <loom/network.h>

#include <pthread.h>

typedef struct _Mesh Mesh;
typedef struct _Call Call;

typedef enum { CALL_SUM = 1, CALL_GATHER, CALL_BROADCAST } CallKind;

#define MESH_GATHER_LIMIT (64u << 20) /* bytes of one rank */
#define MESH_UNDER_WAY 1024           /* calls begun and not over, at most */

/* Bytes of a call that came from another rank; valid during the call of `piece`, but longer
 * where it takes a reference on `message`, or where that is NULL: memory of another process,
 * which stays until this rank is through with the call. */
typedef struct {
    guint from, part;
    guint64 offset, length; /* bytes */
    const guint8 *bytes;    /* may be aligned to nothing */
    GBytes *message;
} Piece;

/* How a call is done.  Both run in the mesh's thread.  A rank is through with a call when all
 * others are in it and `owing` is empty; it is over when besides nobody needs its memory. */
typedef struct {
    /* Gives what can be given at once, and sets `owing`. */
    void (*begin)(Mesh *mesh, Call *call);
    /* @piece lies inside the data of the call and is no longer than a chunk; all else the
     * method checks. */
    gboolean (*piece)(Mesh *mesh, Call *call, const Piece *piece, GError **error);
    void (*end)(Call *call); /* frees `state`; NULL: there is none */
} Method;

/* ---- memory for sums ---------------------------------------------------------------- */

typedef struct {
    gint references; /* the caller's, and those of sends under way */
    gint64 count;
    float *data;
    SharedMemory *shared; /* NULL: its own */
} Buffer;

Buffer *buffer_new(Mesh *mesh, gint64 count, GError **error);
void buffer_unref(Buffer *buffer);

/* ---- a call ------------------------------------------------------------------------- */

/* Where another rank says that its floats lie. */
typedef struct {
    guint32 fd;
    guint64 serial, bytes;
} Memory;

struct _Call {
    gint references; /* any thread */
    Mesh *mesh;
    CallKind kind;
    guint64 sequence, count; /* count: floats; of a gather the bytes of this rank */
    guint root;
    const Method *method;
    float *data;    /* sum, broadcast */
    Buffer *buffer; /* sum */
    GBytes *mine;   /* gather; broadcast at its root */
    /* What must still end before the call is over: this rank's own part, each send that holds
     * its memory, each rank that reads it.  Any thread. */
    gint open;
    gboolean over; /* under the mesh's lock */
    /* Of the mesh's thread; masks have a bit for each rank, and `waiting` looks at the first
     * two. */
    guint64 here, owing;
    gboolean through;
    guint64 reads;                    /* can read our memory */
    guint64 given;                    /* read it now */
    guint64 read_from;                /* we read theirs */
    Memory memory[MESH_MAX_RANKS];    /* theirs */
    SharedView *view[MESH_MAX_RANKS]; /* theirs, once they gave some */
    guint64 length[MESH_MAX_RANKS];   /* gather: bytes of each rank */
    guint64 next[2][MESH_MAX_RANKS];  /* where the next piece begins; the method says of what */
    gpointer state;                   /* the method's */
    guint8 *parts[MESH_MAX_RANKS];    /* gather: what came */
};

Call *call_new(Mesh *mesh, CallKind kind, const Method *method, guint64 count);
Call *call_ref(Call *call);
void call_unref(Call *call);
/* One thing less is open. */
void call_close(Call *call);
/* "sum 17 of 65536 floats"; (transfer full). */
char *call_text(CallKind kind, guint64 sequence, guint64 count, guint root);
/* A frame of the call's own memory: the call is open until the transport lets it go. */
GBytes *call_slice(Call *call, guint64 offset, guint64 length);
/* Before a reference on the bytes of a message is given up. */
void mesh_bytes_were_read(void);
/* Is this the piece that is due in @next, which runs to @end?  A chunk, or the rest. */
gboolean call_piece_due(const Call *call, const Piece *piece, guint64 *next, guint64 end,
                        GError **error);
guint64 mask_get(const guint64 *mask);
void mask_set(guint64 *mask, guint rank, gboolean on);

/* Bytes of part @i of a sum cut into @size: its bounds are multiples of 16 floats. */
guint64 call_bound(const Call *call, guint i);

extern const Method mesh_gather, mesh_broadcast;

/* ---- the mesh ----------------------------------------------------------------------- */

/* In this order they are sent.  Results go before what is new, while they are in the cache. */
typedef enum { URGENCY_CONTROL, URGENCY_RESULT, URGENCY_DATA, N_URGENCIES } Urgency;

typedef struct {
    char *address, *key;
    gboolean same_host, linked, full;
    guint link;
    guint64 heard;           /* sequence of its last HERE */
    GQueue ahead;            /* MeshHeader: HEREs of calls that did not begin here yet */
    GQueue out[N_URGENCIES]; /* Outgoing */
    SharedView *probe;       /* not NULL: we can read its memory */
    guint32 pid;
    guint8 token[MESH_TOKEN];
    GPtrArray *views; /* SharedView */
} Peer;

struct _Mesh {
    gint references;
    const Method *sum;
    gsize chunk;
    guint8 token[MESH_TOKEN];
    guint64 serials;
    SharedMemory *probe; /* NULL: nothing is shared */
    const LoomInstance *transport;
    LoomPort *port;
    pthread_t thread;
    gboolean runs;

    pthread_mutex_t lock; /* over what follows, up to the next comment */
    pthread_cond_t signal;
    GQueue fresh, calls;      /* Call: not begun; begun, which only the thread changes */
    guint unfinished;         /* calls that are not over */
    gboolean joined, aborted; /* since the last join */
    gboolean quiet;           /* the thread has let go of all calls */
    gboolean quits, ended;    /* the thread: is to end, has ended */
    GError *error, *join_error;
    const LoomGroup *joining; /* the caller's, who waits until it is NULL */
    gint orders;              /* atomic: something of the above changed */
    guint64 started;          /* calls of this generation */
    guint rank, size;         /* change in join only, so the caller reads them without */

    /* Of the thread. */
    guint64 down; /* atomic: mask of ranks whose link is down */
    guint64 generation, stamp;
    Peer *peers;      /* size of them */
    GPtrArray *early; /* GBytes: headers of newer generations */
    guint64 strangers;
    GError *failed; /* before it is told to the caller */
};

Mesh *mesh_ref(Mesh *mesh);
void mesh_unref(Mesh *mesh);
void *mesh_run(void *data); /* the thread; data: Mesh */

/* The call is the next one: says so to all. */
void mesh_call_begin(Mesh *mesh, Call *call);
/* Bytes of anybody; (transfer none). */
void mesh_message_take(Mesh *mesh, GPtrArray *frames);
/* The generation is broken: takes @error, unless there was one before. */
void mesh_fail(Mesh *mesh, GError *error);
/* @length bytes at @offset of the call's data, for @peer, once it is in the call; cut into
 * chunks. */
void mesh_give(Mesh *mesh, Call *call, guint peer, guint part, guint64 offset, guint64 length,
               Urgency urgency);
/* A header alone: sequence, and what belongs to @kind, are the caller's. */
void mesh_say(Mesh *mesh, guint peer, MeshKind kind, MeshHeader *header);
/* Sends what the links take. */
void mesh_send(Mesh *mesh);
/* Drops what waits, of this urgency and those behind it. */
void mesh_send_clear(Peer *peer, Urgency from);
const LoomTransport *mesh_transport(const Mesh *mesh);
static inline guint64 mesh_others(const Mesh *mesh)
{
    return (mesh->size == 64 ? G_MAXUINT64 : (G_GUINT64_CONSTANT(1) << mesh->size) - 1)
           & ~(G_GUINT64_CONSTANT(1) << mesh->rank);
}

/* out[i] = in[0][i] + in[1][i] + ... + in[n-1][i], added in this order; @out may be one of
 * them. */
void mesh_add(float *out, const void *const *in, guint n, gsize count);
/* own[i] = other[i] + own[i] */
void mesh_add_two(float *own, const void *other, gsize count);

/* ---- generations: mesh_group.c ------------------------------------------------------ */

gboolean mesh_group_begin(Mesh *mesh, const LoomGroup *group, GError **error);
void mesh_group_clear(Mesh *mesh);
/* A HELLO: can its memory be read? */
void mesh_peer_hello(Mesh *mesh, const MeshHeader *header);
/* The memory of rank @from, mapped; NULL with the reason. */
SharedView *mesh_peer_view(Mesh *mesh, guint from, const Memory *memory, GError **error);
/* G_MAXUINT: a link of nobody. */
guint mesh_peer_of_link(const Mesh *mesh, guint link);

/* ---- the plugin --------------------------------------------------------------------- */

typedef struct {
    guint64 chunk;
    gboolean shared_memory;
    Mesh *mesh;
    GHashTable *buffers; /* float * -> Buffer */
} MeshPlugin;

extern const LoomParam mesh_params[];
gboolean mesh_open(MeshPlugin *self, const Method *sum, GError **error);
void mesh_close(gpointer self);
gboolean mesh_listen(gpointer self, const LoomInstance *transport, const char *address,
                     GError **error);
const char *mesh_address(gpointer self);
gboolean mesh_join(gpointer self, const LoomGroup *group, GError **error);
void mesh_abort(gpointer self);
float *mesh_buffer_new(gpointer self, gint64 count, GError **error);
void mesh_buffer_free(gpointer self, float *buffer);
gboolean mesh_sum_start(gpointer self, float *buffer, gint64 count, GError **error);
LoomFlow mesh_sum_wait(gpointer self, GError **error);
LoomFlow mesh_gather_all(gpointer self, GBytes *mine, GPtrArray *all, GError **error);
LoomFlow mesh_broadcast_from(gpointer self, float *data, gint64 count, guint root,
                             GError **error);
char *mesh_waiting(gpointer self);

#define MESH_COLLECTIVE(Name, Summary, Open)                                                   \
    LOOM_COLLECTIVE(MeshPlugin, Name, Summary, .params = mesh_params, .open = Open,            \
                    .close = mesh_close)
#define MESH_MEMBERS                                                                           \
    .flags = LOOM_COLLECTIVE_SURVIVES, .listen = mesh_listen, .address = mesh_address,         \
    .join = mesh_join, .abort = mesh_abort, .buffer_new = mesh_buffer_new,                     \
    .buffer_free = mesh_buffer_free, .sum_start = mesh_sum_start, .sum_wait = mesh_sum_wait,   \
    .gather = mesh_gather_all, .broadcast = mesh_broadcast_from, .waiting = mesh_waiting
