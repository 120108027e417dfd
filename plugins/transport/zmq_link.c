/* zmq_link - one way to one address: dialled, lost, dialled anew.
 *
 * libzmq connects again by itself after a connection broke, but gives up for ever where the
 * other end refused the handshake; then, and where a name may stand for another host by now,
 * the link takes a new socket. */
#include "zmq_port.h"

#include "zmq_pass.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include <zmq.h>

#define AGAIN_US (1 * G_USEC_PER_SEC)      /* after a refusal */
#define NAME_AGAIN_US (5 * G_USEC_PER_SEC) /* until a name whose host is gone is asked for */
#define LOOKUP_LOOK_US (20 * 1000)         /* a name that is being looked up */
#define QUIET_US (60 * G_USEC_PER_SEC)

/* ---- sockets ---------------------------------------------------------------------------- */

static gboolean curve_call(const Zmq *zmq, const Link *link, void *socket)
{
    const KeyPair *own = &zmq->keys;

    return !*link->server_key
           || (zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, link->server_key, KEY_SIZE) == 0
               && zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, own->public, KEY_SIZE) == 0
               && zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, own->secret, KEY_SIZE) == 0);
}

static gboolean password_say(const Zmq *zmq, const Link *link, void *socket)
{
    if (*link->server_key || !zmq_has_password(zmq, &link->address))
        return TRUE;
    g_autofree char *word = zmq_pass_word(zmq->secret_local, link->address.port);
    return zmq_setsockopt(socket, ZMQ_PLAIN_USERNAME, "segloom", strlen("segloom")) == 0
           && zmq_setsockopt(socket, ZMQ_PLAIN_PASSWORD, word, strlen(word)) == 0;
}

/* A new socket instead of the one it has, connected if the endpoint is known. */
static gboolean link_dial(Zmq *zmq, Link *link, GError **error)
{
    const int events = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL
                       | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH
                       | ZMQ_EVENT_CONNECTED | ZMQ_EVENT_DISCONNECTED
                       | ZMQ_EVENT_CONNECT_RETRIED;

    zmq_socket_hang_up(link->socket, link->monitor);
    link->monitor = NULL;
    link->socket = zmq_socket(zmq->context, ZMQ_PUSH);
    if (!link->socket)
        return loom_fail(error, LOOM_ERROR_IO, "'%s': no socket: %s", link->address.text,
                         zmq_strerror(zmq_errno()));
    if (!zmq_socket_tune(link->socket, error)
        || !(link->monitor = zmq_watch(zmq, link->socket, events, error)))
        return FALSE;
    if (!curve_call(zmq, link, link->socket) || !password_say(zmq, link, link->socket)
        || (link->endpoint && zmq_connect(link->socket, link->endpoint) != 0))
        return loom_fail(error, LOOM_ERROR_IO, "'%s' cannot be connected to: %s",
                         link->address.text, zmq_strerror(zmq_errno()));
    return TRUE;
}

static gboolean key_choose(const Zmq *zmq, const char *key, Link *link, GError **error)
{
    const char *chosen = key ? key : zmq->keys.public;
    guint8 bytes[32];

    if (key && !*zmq->keys.public)
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "'%s' has a public key, but this end has no secret (segloom keygen)",
                         link->address.text);
    if (*chosen && (strlen(chosen) != KEY_SIZE - 1 || !zmq_z85_decode(bytes, chosen)))
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "'%s': '%s' is no public key, want %d characters of Z85",
                         link->address.text, chosen, KEY_SIZE - 1);
    g_strlcpy(link->server_key, chosen, KEY_SIZE);
    return TRUE;
}

gboolean zmq_link_open(gpointer self, LoomPort *port, const char *text, const char *key,
                       guint *number, GError **error)
{
    Zmq *zmq = self;
    Link *link = g_new0(Link, 1);
    const char *known = NULL;

    gboolean opened = zmq_address_parse(text, FALSE, &link->address, error)
                      && key_choose(zmq, key, link, error)
                      && zmq_clear_allowed(zmq, &link->address, error);
    if (opened && link->address.host && !(known = zmq_address_number(&link->address)))
        link->lookup = zmq_lookup_new(link->address.host);
    else if (opened)
        link->endpoint = zmq_address_endpoint(&link->address, known, link->address.port);
    opened = opened && link_dial(zmq, link, error);
    if (!opened) {
        zmq_link_free(link);
        return FALSE;
    }
    if (!g_ptr_array_find(port->links, NULL, number)) {
        *number = port->links->len;
        g_ptr_array_add(port->links, NULL);
    }
    link->number = *number;
    port->links->pdata[*number] = link;
    return TRUE;
}

void zmq_link_free(Link *link)
{
    zmq_socket_hang_up(link->socket, link->monitor);
    zmq_lookup_free(link->lookup);
    zmq_address_clear(&link->address);
    g_free(link->endpoint);
    g_free(link);
}

void zmq_link_close(G_GNUC_UNUSED gpointer self, LoomPort *port, guint number)
{
    g_assert(number < port->links->len && port->links->pdata[number]);
    zmq_link_free(port->links->pdata[number]);
    port->links->pdata[number] = NULL;
}

/* ---- what became of it ------------------------------------------------------------------ */

static gboolean link_tell(Link *link, LinkState state, LoomPortEvent *event)
{
    if (link->state == state)
        return FALSE;
    link->state = state;
    event->kind = state == LINK_UP ? LOOM_PORT_LINK_UP : LOOM_PORT_LINK_LOST;
    event->link = link->number;
    return TRUE;
}

static void link_warn(Link *link, const char *what, const char *why)
{
    const gint64 now = g_get_monotonic_time();

    if (link->warned_at && now - link->warned_at < QUIET_US)
        return;
    link->warned_at = now;
    g_warning("'%s' %s: %s", link->address.text, what, why);
}

/* Where the system paces what it sends (BBR), a connection to this machine itself is paced as
 * well, and half as fast: there is no network to be spared.  libzmq gives the descriptor for
 * what it was a moment ago, hence the look at both ends. */
static void connection_unpace(int fd)
{
    struct sockaddr_in6 here = {0}, there = {0}; /* or sockaddr_in: same place of the port */
    socklen_t here_size = sizeof here, there_size = sizeof there;

    if (getsockname(fd, (struct sockaddr *)&here, &here_size) != 0
        || getpeername(fd, (struct sockaddr *)&there, &there_size) != 0
        || (here.sin6_family != AF_INET && here.sin6_family != AF_INET6))
        return;
    here.sin6_port = there.sin6_port = 0;
    if (memcmp(&here, &there, sizeof here) == 0)
        setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", strlen("reno"));
}

/* One event of libzmq. */
static gboolean event_take(Link *link, guint kind, guint value, LoomPortEvent *event)
{
    const gint64 now = g_get_monotonic_time();

    switch (kind) {
    case ZMQ_EVENT_CONNECTED:
        connection_unpace((int)value);
        return FALSE;
    case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
        link->dial_at = 0;
        return link_tell(link, LINK_UP, event);
    case ZMQ_EVENT_CONNECT_RETRIED: /* libzmq goes on; a name may have moved */
        if (!link->address.host || zmq_address_number(&link->address))
            link->dial_at = 0;
        else if (!link->dial_at || link->dial_at < now + AGAIN_US)
            link->dial_at = now + NAME_AGAIN_US;
        return link_tell(link, LINK_LOST, event);
    case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
        link_warn(link, "refused this end",
                  *link->server_key ? "the key of this end is not on its list of allowed keys"
                                    : "another user started it");
        break;
    case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
        link_warn(link, "refused this end",
                  value == ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH
                      ? "one of both has a secret, or --insecure-network, and the other has not"
                      : "it does not speak as this end does");
        break;
    default: /* the connection broke */
        break;
    }
    link->dial_at = now + AGAIN_US;
    return link_tell(link, LINK_LOST, event);
}

/* A name became a number, or did not. */
static gboolean lookup_take(Zmq *zmq, Link *link, LoomPortEvent *event)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *number = NULL;

    if (!zmq_lookup_end(link->lookup, 0, &number, &error))
        return FALSE;
    g_clear_pointer(&link->lookup, zmq_lookup_free);
    if (!number) {
        link->dial_at = g_get_monotonic_time() + AGAIN_US;
        link_warn(link, "cannot be reached", error->message);
        return link_tell(link, LINK_LOST, event);
    }
    char *endpoint = zmq_address_endpoint(&link->address, number, link->address.port);
    if (link->endpoint && g_str_equal(endpoint, link->endpoint)) {
        g_free(endpoint); /* where libzmq still tries */
        return FALSE;
    }
    g_free(link->endpoint);
    link->endpoint = endpoint;
    if (!link_dial(zmq, link, &error)) {
        link->dial_at = g_get_monotonic_time() + AGAIN_US;
        g_warning("%s", error->message);
    }
    return FALSE;
}

static gboolean due_take(Zmq *zmq, Link *link)
{
    g_autoptr(GError) error = NULL;

    if (!link->dial_at || g_get_monotonic_time() < link->dial_at)
        return TRUE;
    link->dial_at = 0;
    if (link->address.host && !zmq_address_number(&link->address)) {
        link->lookup = zmq_lookup_new(link->address.host);
        g_clear_pointer(&link->endpoint, g_free);
        return TRUE;
    }
    if (link_dial(zmq, link, &error))
        return TRUE;
    link->dial_at = g_get_monotonic_time() + AGAIN_US;
    g_warning("%s", error->message);
    return FALSE;
}

static gboolean link_look(Zmq *zmq, Link *link, LoomPortEvent *event)
{
    gsize size = sizeof(int);
    guint kind, value;
    int ready = 0;

    if (link->lookup && lookup_take(zmq, link, event))
        return TRUE;
    if (!due_take(zmq, link) || !link->monitor)
        return FALSE;
    while (zmq_watch_read(link->monitor, &kind, &value))
        if (event_take(link, kind, value, event))
            return TRUE;
    if (link->full && zmq_getsockopt(link->socket, ZMQ_EVENTS, &ready, &size) == 0
        && ready & ZMQ_POLLOUT) {
        link->full = FALSE;
        event->kind = LOOM_PORT_LINK_READY;
        event->link = link->number;
        return TRUE;
    }
    return FALSE;
}

gboolean zmq_links_look(LoomPort *port, LoomPortEvent *event)
{
    for (guint i = 0; i < port->links->len; i++) {
        Link *link = port->links->pdata[(port->next_link + i) % port->links->len];

        if (link && link_look(port->zmq, link, event)) {
            port->next_link = link->number + 1; /* in turn: none is forgotten */
            return TRUE;
        }
    }
    return FALSE;
}

gint64 zmq_links_due(const LoomPort *port)
{
    gint64 due = G_MAXINT64;

    for (guint i = 0; i < port->links->len; i++) {
        const Link *link = port->links->pdata[i];

        if (link && link->dial_at)
            due = MIN(due, link->dial_at);
        if (link && link->lookup)
            due = MIN(due, g_get_monotonic_time() + LOOKUP_LOOK_US);
    }
    return due;
}
