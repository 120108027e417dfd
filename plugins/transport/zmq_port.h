/* zmq_port.h - what the files of this transport share: an instance, its ports, their links. */
#pragma once

#include "zmq_address.h"
#include "zmq_guard.h"

#include <loom/loom.h>

#define FRAME_LIMIT (LOOM_MESSAGE_MAX_BYTES + (64u << 10)) /* payload and its header */

typedef struct {
    char *secret, *allowed;
    gboolean insecure_network;
    gint64 io_threads;
    void *context;
    KeyPair keys;       /* "" where there are none */
    char *secret_local; /* of this user's processes; NULL: with keys, or no_local says why */
    GError *no_local;
    Guard *guard; /* NULL: all may come in */
    gint ports;   /* open; atomic */
    gint watches; /* numbers the monitors; atomic */
} Zmq;

typedef enum { LINK_NEW, LINK_UP, LINK_LOST } LinkState;

typedef struct {
    guint number;
    LinkState state; /* as it was told */
    Address address;
    char server_key[KEY_SIZE]; /* "": clear text */
    char *endpoint;            /* what it is connected to; NULL: the name is not known yet */
    Lookup *lookup;            /* under way */
    void *socket, *monitor;
    gint64 dial_at;   /* when it is connected anew, unless libzmq does; 0: not needed */
    gint64 warned_at; /* of a refusal; 0: never */
    gboolean full;
} Link;

/* Connections of strangers that ended before they said who they are. */
typedef enum {
    STRANGER_SILENT,
    STRANGER_CLEAR,
    STRANGER_KEY,
    STRANGER_FORM,
    N_STRANGERS
} Stranger;

struct _LoomPort {
    Zmq *zmq;
    char *address;
    gboolean password;
    void *socket, *monitor;
    int wake; /* eventfd */
    gint woken;
    GPtrArray *links; /* of Link, by number; NULL: free */
    guint next_link, calls;
    GArray *items; /* what `receive` waits for */
    struct {
        guint64 n;
        gint64 told_at; /* 0: never */
    } strangers[N_STRANGERS], oversized;
};

/* Options of all sockets that leave the process; FALSE with the error. */
gboolean zmq_socket_tune(void *socket, GError **error);
/* A PAIR that hears those events of @socket; NULL with the error. */
void *zmq_watch(Zmq *zmq, void *socket, int events, GError **error);
/* The next event: FALSE, none waits. */
gboolean zmq_watch_read(void *monitor, guint *event, guint *value);
/* Closes both; either may be NULL. */
void zmq_socket_hang_up(void *socket, void *monitor);
/* Clear text must not leave the machine unless allowed, and on it not be between strangers. */
gboolean zmq_clear_allowed(const Zmq *zmq, const Address *address, GError **error);
/* Is this a port of clear text for processes of one user, with a password? */
gboolean zmq_has_password(const Zmq *zmq, const Address *address);

gboolean zmq_link_open(gpointer self, LoomPort *port, const char *address, const char *key,
                       guint *link, GError **error);
void zmq_link_close(gpointer self, LoomPort *port, guint link);
void zmq_link_free(Link *link);
/* Dials what is due, and tells what is new of some link. */
gboolean zmq_links_look(LoomPort *port, LoomPortEvent *event);
/* When a link wants to be looked at, without an event of its sockets; G_MAXINT64: never. */
gint64 zmq_links_due(const LoomPort *port);

LoomFlow zmq_port_send(gpointer self, LoomPort *port, guint link, GBytes *const *frames,
                       guint n, GError **error);
gboolean zmq_port_receive(gpointer self, LoomPort *port, gint timeout_ms, LoomPortEvent *event,
                          GError **error);
