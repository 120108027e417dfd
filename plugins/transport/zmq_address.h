/* zmq_address.h - addresses as people write them, and what stands behind a name. */
#pragma once

#include <glib.h>

typedef struct {
    char *text;       /* as it was written */
    char *host;       /* NULL: ipc; without the brackets of IPv6 */
    guint port;       /* 0: any that is free */
    const char *path; /* of ipc, within `text` */
} Address;

/* "tcp://HOST:PORT", "tcp://[::1]:PORT", "ipc:///PATH".  @listening: PORT may be '*'. */
gboolean zmq_address_parse(const char *text, gboolean listening, Address *address,
                           GError **error);
void zmq_address_clear(Address *address);
/* Does what is said there stay on this machine: ipc, 127.0.0.0/8, ::1, localhost? */
gboolean zmq_address_stays(const Address *address);
/* What the address has instead of a name, if it has none: "10.0.0.1"; else NULL. */
const char *zmq_address_number(const Address *address);
/* "tcp://10.0.0.1:29500"; (transfer full).  @number: what the host's name stands for. */
char *zmq_address_endpoint(const Address *address, const char *number, guint port);
/* A socket of ipc can be made there: its folder is ours alone, or is made; no other process
 * listens there. */
gboolean zmq_address_ready(const Address *address, GError **error);

/* A name on its way to a number, in a thread of its own: the resolver has no time limit. */
typedef struct _Lookup Lookup;
Lookup *zmq_lookup_new(const char *host);
void zmq_lookup_free(Lookup *lookup); /* its thread may still run */
/* TRUE: it is over; @number: (transfer full), NULL with @error where there is none.  Waits for
 * @timeout_ms at most. */
gboolean zmq_lookup_end(Lookup *lookup, gint timeout_ms, char **number, GError **error);
