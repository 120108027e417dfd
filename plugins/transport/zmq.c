/* zmq - messages over tcp and ipc by ZeroMQ.
 *
 * A port is one bound PULL, a link one PUSH: nothing is ever answered on a connection, and a
 * PULL has no table of identities in which strangers could collide.  With a secret each port is
 * a CURVE server that asks the guard for every client, each link a CURVE client; without one,
 * clear text stays on this machine unless allowed.
 *
 * Who is let in can send a message of frames without end, and libzmq keeps it all.  So nobody
 * but processes of this user gets as far as that: on ipc by the folder, on tcp by a password
 * (PLAIN) that they share.  Where clear text may leave the machine (insecure_network) anybody
 * may come in: that is for networks where everybody is trusted. */
#include "zmq_port.h"

#include "zmq_pass.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <zmq.h>

#define FIRST_PORT 20000u /* below the kernel's ephemeral range, from which both ends of a */
#define PORTS 10000u      /* connection to itself would come (libzmq issue 4599) */
#define STRIDE 3331u      /* coprime to PORTS: visits all of them */
#define MOST_SOCKETS 16384
#define LOOKUP_MS 5000
#define KEPT_BYTES (16u << 20)
#define UNBIND_US (2 * G_USEC_PER_SEC)
#ifndef ZMQ_ZAP_ENFORCE_DOMAIN
#define ZMQ_ZAP_ENFORCE_DOMAIN 93 /* of zmq.h, which shows it with the drafts only */
#endif

static const LoomParam zmq_params[] = {
    LOOM_PATH(Zmq, secret, "",
              "keys of 'segloom keygen': all is encrypted, only keys are let in"),
    LOOM_PATH(Zmq, allowed, "",
              "public keys to let in, one a line; without it: only the own one.  A key taken "
              "out is refused from then on; connections that stand are not cut"),
    LOOM_BOOL(Zmq, insecure_network, "false", "clear text may leave this machine"),
    LOOM_INT(Zmq, io_threads, "1", 1, 16, NULL, "threads that move bytes"),
    {0},
};

/* libzmq allocates each message that comes.  glibc lets the system take that memory back and
 * give it anew, page by page, until it has seen a larger block freed (mallopt(3),
 * M_MMAP_THRESHOLD): a fifth of the time of a message. */
static void memory_keep(void)
{
    g_free(g_malloc(KEPT_BYTES));
}

/* ---- the instance ----------------------------------------------------------------------- */

static gboolean zmq_open(gpointer self, G_GNUC_UNUSED LoomHost *host, GError **error)
{
    Zmq *zmq = self;

    if (zmq->allowed && !zmq->secret)
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "'allowed' names keys, but without a 'secret' all is clear text");
    if (zmq->secret && !zmq_has("curve"))
        return loom_fail(error, LOOM_ERROR_CONFIG, "this libzmq was built without CURVE");
    if (zmq->secret && !zmq_keys_read(zmq->secret, &zmq->keys, error))
        return FALSE;
    memory_keep();
    zmq->context = zmq_ctx_new();
    zmq_ctx_set(zmq->context, ZMQ_IO_THREADS, (int)zmq->io_threads);
    zmq_ctx_set(zmq->context, ZMQ_MAX_SOCKETS, MOST_SOCKETS);
    if (!zmq->secret && zmq->insecure_network)
        return TRUE;
    if (!zmq->secret) /* where there is none, ipc can still be used */
        zmq->secret_local = zmq_pass_secret(&zmq->no_local);
    zmq->guard =
        zmq_guard_new(zmq->context, zmq->allowed, zmq->keys.public, zmq->secret_local, error);
    return zmq->guard != NULL;
}

static void zmq_shut(gpointer self)
{
    Zmq *zmq = self;

    g_assert(g_atomic_int_get(&zmq->ports) == 0); /* else zmq_ctx_term would wait for ever */
    zmq_guard_free(zmq->guard);
    if (zmq->context)
        while (zmq_ctx_term(zmq->context) != 0 && zmq_errno() == EINTR)
            continue;
    explicit_bzero(&zmq->keys, sizeof zmq->keys);
    g_free(zmq->secret_local);
    g_clear_error(&zmq->no_local);
}

static const char *zmq_key(gpointer self)
{
    const Zmq *zmq = self;

    return *zmq->keys.public ? zmq->keys.public : NULL;
}

gboolean zmq_has_password(const Zmq *zmq, const Address *address)
{
    return !*zmq->keys.public && !zmq->insecure_network && address->host
           && zmq_address_stays(address);
}

gboolean zmq_clear_allowed(const Zmq *zmq, const Address *address, GError **error)
{
    if (zmq_has_password(zmq, address) && !zmq->secret_local) {
        g_propagate_prefixed_error(error, g_error_copy(zmq->no_local),
                                   "'%s' would be open to every user of this machine (use ipc, "
                                   "or keys): ",
                                   address->text);
        return FALSE;
    }
    if (*zmq->keys.public || zmq->insecure_network || zmq_address_stays(address))
        return TRUE;
    return loom_fail(error, LOOM_ERROR_CONFIG,
                     "'%s' leaves this machine, and without a secret all is clear text: make "
                     "keys with 'segloom keygen' and name them as 'secret', or allow it with "
                     "--insecure-network",
                     address->text);
}

/* ---- sockets ---------------------------------------------------------------------------- */

gboolean zmq_socket_tune(void *socket, GError **error)
{
    const struct {
        int option, value;
    } options[] = {
        {ZMQ_IPV6, 1},
        {ZMQ_SNDHWM, 64}, /* messages: of 1 MiB each they are 64 MiB */
        {ZMQ_RCVHWM, 64},
        {ZMQ_LINGER, 2000},
        {ZMQ_BACKLOG, 1024},
        {ZMQ_HANDSHAKE_IVL, 5000},
        {ZMQ_CONNECT_TIMEOUT, 5000},
        {ZMQ_RECONNECT_IVL, 100},
        {ZMQ_RECONNECT_IVL_MAX, 1000}, /* who was restarted is found at once */
        {ZMQ_HEARTBEAT_IVL, 2000},     /* a host or a cable that is dead; for processes that */
        {ZMQ_HEARTBEAT_TIMEOUT, 6000}, /* hang the engine has a heartbeat of its own */
        {ZMQ_HEARTBEAT_TTL, 6000},
        {ZMQ_TCP_KEEPALIVE, 1},
        {ZMQ_TCP_KEEPALIVE_IDLE, 30},
        {ZMQ_TCP_KEEPALIVE_INTVL, 10},
        {ZMQ_TCP_KEEPALIVE_CNT, 3},
        {ZMQ_TCP_MAXRT, 30000},
    };
    const gint64 limit = FRAME_LIMIT;
    gboolean done = zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &limit, sizeof limit) == 0;

    for (guint i = 0; done && i < G_N_ELEMENTS(options); i++)
        done = zmq_setsockopt(socket, options[i].option, &options[i].value, sizeof(int)) == 0;
    return done
           || loom_fail(error, LOOM_ERROR_IO, "a socket cannot be set up: %s",
                        zmq_strerror(zmq_errno()));
}

void *zmq_watch(Zmq *zmq, void *socket, int events, GError **error)
{
    const int any_number = 0; /* of events, else libzmq's own thread would wait for us */
    g_autofree char *address =
        g_strdup_printf("inproc://watch-%d", g_atomic_int_add(&zmq->watches, 1));
    void *monitor = zmq_socket(zmq->context, ZMQ_PAIR);

    if (monitor && zmq_setsockopt(monitor, ZMQ_RCVHWM, &any_number, sizeof any_number) == 0
        && zmq_socket_monitor(socket, address, events) == 0
        && zmq_connect(monitor, address) == 0)
        return monitor;
    const int cause = zmq_errno();
    zmq_socket_hang_up(NULL, monitor);
    return loom_fail_null(error, LOOM_ERROR_IO, "a socket cannot be watched: %s",
                          zmq_strerror(cause));
}

gboolean zmq_watch_read(void *monitor, guint *event, guint *value)
{
    guint8 bytes[6]; /* event (16 bits), value (32), in this machine's order */
    guint16 number;
    guint32 word;
    char address[256];

    if (zmq_recv(monitor, bytes, sizeof bytes, ZMQ_DONTWAIT) != sizeof bytes)
        return FALSE;
    memcpy(&number, bytes, 2);
    memcpy(&word, bytes + 2, 4);
    *event = number;
    *value = word;
    zmq_recv(monitor, address, sizeof address, 0);
    return TRUE;
}

void zmq_socket_hang_up(void *socket, void *monitor)
{
    /* In this order: an event for a monitor that is gone would stop libzmq's own thread. */
    if (socket)
        zmq_socket_monitor(socket, NULL, 0);
    if (monitor)
        zmq_close(monitor);
    if (socket)
        zmq_close(socket);
}

/* ---- ports ------------------------------------------------------------------------------ */

static gboolean curve_serve(const Zmq *zmq, void *socket, GError **error)
{
    const int on = 1;

    if (!*zmq->keys.public)
        return TRUE;
    return (zmq_setsockopt(socket, ZMQ_CURVE_SERVER, &on, sizeof on) == 0
            && zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, zmq->keys.secret, KEY_SIZE) == 0
            && zmq_setsockopt(socket, ZMQ_ZAP_DOMAIN, GUARD_DOMAIN, strlen(GUARD_DOMAIN)) == 0
            && zmq_setsockopt(socket, ZMQ_ZAP_ENFORCE_DOMAIN, &on, sizeof on) == 0)
           || loom_fail(error, LOOM_ERROR_IO, "a socket takes no keys: %s",
                        zmq_strerror(zmq_errno()));
}

/* Who connects must have the password of that port. */
static gboolean password_ask(void *socket, guint port)
{
    g_autofree char *domain = g_strdup_printf("%u", port);
    const int on = 1;

    return zmq_setsockopt(socket, ZMQ_PLAIN_SERVER, &on, sizeof on) == 0
           && zmq_setsockopt(socket, ZMQ_ZAP_DOMAIN, domain, strlen(domain)) == 0
           && zmq_setsockopt(socket, ZMQ_ZAP_ENFORCE_DOMAIN, &on, sizeof on) == 0;
}

/* Binds; @chosen: (out): the number of tcp. */
static gboolean bind_somewhere(const LoomPort *port, const Address *address, const char *number,
                               guint *chosen, GError **error)
{
    const guint first = address->port ? 0 : g_random_int() % PORTS;
    const guint tries = address->host && !address->port ? PORTS : 1;

    for (guint i = 0; i < tries; i++) {
        *chosen = address->port ? address->port : FIRST_PORT + (first + i * STRIDE) % PORTS;
        g_autofree char *endpoint = zmq_address_endpoint(address, number, *chosen);

        if ((!port->password || password_ask(port->socket, *chosen))
            && zmq_bind(port->socket, endpoint) == 0)
            return TRUE;
        if (zmq_errno() != EADDRINUSE)
            break;
    }
    return loom_fail(error, LOOM_ERROR_IO, "'%s' cannot be listened on: %s", address->text,
                     zmq_strerror(zmq_errno()));
}

static gboolean port_bind(LoomPort *port, const Address *address, GError **error)
{
    g_autofree char *found = NULL;
    const char *number = NULL;
    guint chosen = 0;

    if (address->host && !(number = zmq_address_number(address))) {
        g_autoptr(GError) cause = NULL;
        Lookup *lookup = zmq_lookup_new(address->host);
        const gboolean over = zmq_lookup_end(lookup, LOOKUP_MS, &found, &cause);

        zmq_lookup_free(lookup);
        if (!(number = found))
            return loom_fail(error, LOOM_ERROR_IO, "'%s' cannot be listened on: %s",
                             address->text,
                             over ? cause->message : "its name is not resolved within 5 s");
    }
    if (!address->host && !zmq_address_ready(address, error))
        return FALSE;
    if (!bind_somewhere(port, address, number, &chosen, error))
        return FALSE;
    port->address = zmq_address_endpoint(address, address->host, chosen);
    return TRUE;
}

/* Stops listening, and waits until that is so: the address is free again, and nobody connects
 * to a port that is gone. */
static void port_unbind(LoomPort *port)
{
    zmq_pollitem_t item = {port->monitor, 0, ZMQ_POLLIN, 0};
    char endpoint[512];
    gsize size = sizeof endpoint;
    guint event = 0, value;

    if (zmq_getsockopt(port->socket, ZMQ_LAST_ENDPOINT, endpoint, &size) != 0
        || zmq_unbind(port->socket, endpoint) != 0)
        return;
    const gint64 until = g_get_monotonic_time() + UNBIND_US;
    while (event != ZMQ_EVENT_CLOSED && g_get_monotonic_time() < until) {
        zmq_poll(&item, 1, 100);
        while (event != ZMQ_EVENT_CLOSED && zmq_watch_read(port->monitor, &event, &value))
            continue;
    }
}

static void zmq_port_close(gpointer self, LoomPort *port)
{
    Zmq *zmq = self;

    if (port->address)
        port_unbind(port);

    for (guint i = 0; i < port->links->len; i++)
        if (port->links->pdata[i])
            zmq_link_free(port->links->pdata[i]);
    g_ptr_array_unref(port->links);
    g_array_unref(port->items);
    zmq_socket_hang_up(port->socket, port->monitor);
    if (port->wake >= 0)
        close(port->wake);
    g_free(port->address);
    g_free(port);
    g_atomic_int_add(&zmq->ports, -1);
}

static LoomPort *zmq_port_open(gpointer self, const char *text, GError **error)
{
    const int events = ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL
                       | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_CLOSED;
    Zmq *zmq = self;
    Address address;

    if (!zmq_address_parse(text, TRUE, &address, error))
        return NULL;
    LoomPort *port = g_new0(LoomPort, 1);

    g_atomic_int_inc(&zmq->ports);
    port->zmq = zmq;
    port->links = g_ptr_array_new();
    port->items = g_array_new(FALSE, TRUE, sizeof(zmq_pollitem_t));
    port->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    port->password = zmq_has_password(zmq, &address);
    gboolean opened = zmq_clear_allowed(zmq, &address, error);
    if (opened && port->wake >= 0)
        port->socket = zmq_socket(zmq->context, ZMQ_PULL);
    if (opened && !port->socket)
        opened = loom_fail(error, LOOM_ERROR_IO, "'%s': no socket: %s", text,
                           zmq_strerror(port->wake < 0 ? errno : zmq_errno()));
    opened = opened && zmq_socket_tune(port->socket, error)
             && curve_serve(zmq, port->socket, error)
             && (port->monitor = zmq_watch(zmq, port->socket, events, error))
             && port_bind(port, &address, error);
    zmq_address_clear(&address);
    if (opened)
        return port;
    zmq_port_close(zmq, port);
    return NULL;
}

static const char *zmq_port_address(G_GNUC_UNUSED gpointer self, const LoomPort *port)
{
    return port->address;
}

static void zmq_port_wake(G_GNUC_UNUSED gpointer self, LoomPort *port)
{
    g_atomic_int_set(&port->woken, TRUE);
    eventfd_write(port->wake, 1);
}

static const LoomTransport transport = {
    .base = LOOM_TRANSPORT(Zmq, "zmq", "ZeroMQ over tcp and ipc, encrypted off the machine",
                           .params = zmq_params, .open = zmq_open, .close = zmq_shut),
    .port_open = zmq_port_open,
    .port_address = zmq_port_address,
    .port_close = zmq_port_close,
    .port_wake = zmq_port_wake,
    .link_open = zmq_link_open,
    .link_close = zmq_link_close,
    .send = zmq_port_send,
    .receive = zmq_port_receive,
    .key = zmq_key,
    .key_write = zmq_keys_write,
};
LOOM_MODULE("transport_zmq", "0.1", &transport.base);
