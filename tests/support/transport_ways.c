/* transport_ways - see transport_ways.h. */
#include "transport_ways.h"

#include <string.h>

const Way transport_ways[] = {
    {"zmq-tcp", "{use: zmq}", "tcp://127.0.0.1:*", FALSE},
    {"zmq-tcp6", "{use: zmq}", "tcp://[::1]:*", TRUE},
    {"zmq-name", "{use: zmq}", "tcp://localhost:*", TRUE},
    {"zmq-ipc", "{use: zmq}", "ipc://%1$s/sockets/%2$u", FALSE},
    {"zmq-curve", "{use: zmq, secret: %s/key, io_threads: 2}", "tcp://127.0.0.1:*", FALSE},
    {"loopback", "{use: loopback}", "loopback://*", FALSE},
    {"faulty", "{use: faulty, over: {use: zmq}}", "tcp://127.0.0.1:*",
     FALSE}, /* with no fault */
    {0},
};

/* "%s" and "%1$s", "%2$u" by hand: formats are no constants here. */
static char *way_text(const char *format, const char *folder, guint number)
{
    g_autofree char *digits = g_strdup_printf("%u", number);
    GString *text = g_string_new(format);

    g_string_replace(text, "%1$s", folder, 0);
    g_string_replace(text, "%s", folder, 0);
    g_string_replace(text, "%2$u", digits, 0);
    return g_string_free(text, FALSE);
}

Net *net_new(const Way *way)
{
    g_autoptr(GError) error = NULL;
    Net *net = g_new0(Net, 1);

    net->way = way;
    net->folder = loom_test_folder();
    g_autofree char *yaml = way_text(way->yaml, net->folder, 0);
    if (strstr(yaml, "secret:")) {
        const LoomTransport *zmq = (const LoomTransport *)loom_registry_find(
            loom_test_registry(), LOOM_KIND_TRANSPORT, "zmq");
        g_autofree char *path = g_build_filename(net->folder, "key", NULL);
        g_autofree char *key = zmq->key_write(path, &error);

        g_assert_no_error(error);
        g_assert_nonnull(key);
    }
    net->instance = loom_test_instance(LOOM_KIND_TRANSPORT, yaml, NULL, NULL);
    net->transport = (const LoomTransport *)net->instance->plugin;
    net->self = net->instance->self;
    return net;
}

void net_free(Net *net)
{
    loom_instance_free(net->instance);
    loom_test_folder_remove(net->folder);
    g_free(net->folder);
    g_free(net);
}

LoomPort *net_port_at(Net *net, const char *address)
{
    g_autoptr(GError) error = NULL;
    LoomPort *port = net->transport->port_open(net->self, address, &error);

    g_assert_no_error(error);
    g_assert_nonnull(port);
    return port;
}

LoomPort *net_port(Net *net)
{
    g_autofree char *address = way_text(net->way->address, net->folder, net->n_ports++);

    return net_port_at(net, address);
}

const char *net_address(Net *net, const LoomPort *port)
{
    return net->transport->port_address(net->self, port);
}

void net_close(Net *net, LoomPort *port)
{
    net->transport->port_close(net->self, port);
}

guint net_link(Net *net, LoomPort *from, const char *address)
{
    g_autoptr(GError) error = NULL;
    guint link = G_MAXUINT;

    net->transport->link_open(net->self, from, address, net->transport->key(net->self), &link,
                              &error);
    g_assert_no_error(error);
    g_assert_cmpuint(link, <, 1000);
    return link;
}

LoomFlow net_try(Net *net, LoomPort *port, guint link, GBytes *const *frames, guint n)
{
    g_autoptr(GError) error = NULL;
    const LoomFlow flow = net->transport->send(net->self, port, link, frames, n, &error);

    g_assert_no_error(error);
    return flow;
}

void net_send(Net *net, LoomPort *port, guint link, const char *text)
{
    g_autoptr(GBytes) bytes = g_bytes_new(text, strlen(text));

    g_assert_cmpint(net_try(net, port, link, &bytes, 1), ==, LOOM_FLOW_OK);
}

LoomPortEvent net_receive(Net *net, LoomPort *port, gint timeout_ms)
{
    g_autoptr(GError) error = NULL;
    LoomPortEvent event = {LOOM_PORT_NOTHING, 0, NULL};

    net->transport->receive(net->self, port, timeout_ms, &event, &error);
    g_assert_no_error(error);
    g_assert_true((event.kind == LOOM_PORT_MESSAGE) == (event.frames != NULL));
    return event;
}

LoomPortEvent net_await(Net *net, LoomPort *port, LoomPortEventKind kind)
{
    const gint64 until = g_get_monotonic_time() + NET_PATIENCE_US;

    while (g_get_monotonic_time() < until) {
        LoomPortEvent event = net_receive(net, port, 1000);

        if (event.kind == kind)
            return event;
        g_assert_null(event.frames); /* a message that nobody expected */
    }
    g_error("%s: no event %d within 30 s", net->way->name, (int)kind);
}

void net_expect(Net *net, LoomPort *port, const char *text)
{
    LoomPortEvent event = net_await(net, port, LOOM_PORT_MESSAGE);

    g_assert_cmpuint(event.frames->len, ==, 1);
    g_autoptr(GBytes) wanted = g_bytes_new(text, strlen(text));
    g_assert_true(g_bytes_equal(event.frames->pdata[0], wanted));
    g_ptr_array_unref(event.frames);
}

void net_expect_silence(Net *net, LoomPort *port, gint timeout_ms)
{
    const LoomPortEvent event = net_receive(net, port, timeout_ms);

    g_assert_cmpint(event.kind, ==, LOOM_PORT_NOTHING);
}

GBytes *net_number(guint32 number, gsize size)
{
    guint8 *bytes = g_malloc(size);

    g_assert_cmpuint(size, >=, sizeof number);
    memset(bytes, (int)(number % 251), size);
    memcpy(bytes, &number, sizeof number);
    return g_bytes_new_take(bytes, size);
}

guint32 net_number_of(GBytes *bytes, gsize size)
{
    const guint8 *at = g_bytes_get_data(bytes, NULL);
    guint32 number;

    g_assert_cmpuint(g_bytes_get_size(bytes), ==, size);
    memcpy(&number, at, sizeof number);
    for (gsize i = sizeof number; i < size; i++)
        g_assert_cmpuint(at[i], ==, number % 251);
    return number;
}
