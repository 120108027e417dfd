/* transport_ways.h - every transport with every kind of address it has, and ports to test with.
 */
#pragma once

#include "loom_test.h"

#include <loom/network.h>

/* One transport and one kind of address. */
typedef struct {
    const char *name;    /* "zmq-tcp" */
    const char *yaml;    /* %s: a folder of the test's own */
    const char *address; /* %1$s: that folder, %2$u: a number of its own */
    gboolean spelling;   /* differs from the one before by its address alone: fewer tests */
} Way;
extern const Way transport_ways[]; /* ends with {0} */

typedef struct {
    const LoomTransport *transport;
    LoomInstance *instance;
    gpointer self;
    const Way *way;
    char *folder;
    guint n_ports;
} Net;

/* @way: borrowed. */
Net *net_new(const Way *way);
/* All ports are closed by then. */
void net_free(Net *net);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Net, net_free)

LoomPort *net_port(Net *net); /* at a free address */
LoomPort *net_port_at(Net *net, const char *address);
const char *net_address(Net *net, const LoomPort *port);
void net_close(Net *net, LoomPort *port);
guint net_link(Net *net, LoomPort *from, const char *address);
/* One message of one frame; it must be accepted. */
void net_send(Net *net, LoomPort *port, guint link, const char *text);
LoomFlow net_try(Net *net, LoomPort *port, guint link, GBytes *const *frames, guint n);
/* At most @timeout_ms; what is no message leaves `frames` NULL. */
LoomPortEvent net_receive(Net *net, LoomPort *port, gint timeout_ms);
/* The next event of @kind, others are passed over; fails the test after 30 s. */
LoomPortEvent net_await(Net *net, LoomPort *port, LoomPortEventKind kind);
/* Its next message has this one frame. */
void net_expect(Net *net, LoomPort *port, const char *text);
/* Neither a message nor anything else for so long. */
void net_expect_silence(Net *net, LoomPort *port, gint timeout_ms);

/* @size bytes that only this number has, in memory of their own; and the number of such. */
GBytes *net_number(guint32 number, gsize size);
guint32 net_number_of(GBytes *bytes, gsize size);

#define NET_PATIENCE_US (30 * G_USEC_PER_SEC)
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define NET_SLOW 10 /* sanitizers: fewer repetitions */
#else
#define NET_SLOW 1
#endif
