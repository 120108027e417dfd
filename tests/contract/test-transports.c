/* test-transports - every transport keeps the promises of loom/network.h. */
#include "transport_ways.h"

#include <string.h>

/* Takes one message if there is one: it must be number *@next, which then moves on. */
static gboolean number_take(Net *net, LoomPort *port, guint32 *next, gsize size, gint wait_ms)
{
    LoomPortEvent event = net_receive(net, port, wait_ms);

    if (event.kind != LOOM_PORT_MESSAGE)
        return FALSE;
    g_assert_cmpuint(event.frames->len, ==, 1);
    g_assert_cmpuint(net_number_of(event.frames->pdata[0], size), ==, *next);
    ++*next;
    g_ptr_array_unref(event.frames);
    return TRUE;
}

/* ---- messages --------------------------------------------------------------------------- */

/* All of them, in order, whole: also where the link was full in between. */
static void test_order(gconstpointer way)
{
    enum { N = 2000 / NET_SLOW, SIZE = 9000 };
    g_autoptr(Net) net = net_new(way);
    LoomPort *a = net_port(net), *b = net_port(net);
    const guint link = net_link(net, a, net_address(net, b));
    const gint64 until = g_get_monotonic_time() + NET_PATIENCE_US;

    for (guint32 sent = 0, came = 0; came < N;) {
        g_assert_cmpint(g_get_monotonic_time(), <, until);
        if (sent < N) {
            g_autoptr(GBytes) bytes = net_number(sent, SIZE);

            if (net_try(net, a, link, &bytes, 1) == LOOM_FLOW_OK) {
                sent++;
                continue;
            }
        }
        while (number_take(net, b, &came, SIZE, 5))
            continue;
        net_receive(net, a, 0);
    }
    net_expect_silence(net, b, 20);
    net_close(net, a);
    net_close(net, b);
}

static void frames_check(Net *net, LoomPort *a, guint link, LoomPort *b, const gsize *sizes,
                         guint n)
{
    GBytes *frames[LOOM_MESSAGE_MAX_FRAMES];
    g_autoptr(GRand) random = g_rand_new_with_seed(n);

    for (guint i = 0; i < n; i++) {
        guint8 *bytes = g_malloc(sizes[i] + 1);

        for (gsize k = 0; k < sizes[i]; k++)
            bytes[k] = (guint8)g_rand_int(random);
        frames[i] = g_bytes_new_take(bytes, sizes[i]);
    }
    g_assert_cmpint(net_try(net, a, link, frames, n), ==, LOOM_FLOW_OK);
    LoomPortEvent event = net_await(net, b, LOOM_PORT_MESSAGE);
    g_assert_cmpuint(event.frames->len, ==, n);
    for (guint i = 0; i < n; i++) {
        g_assert_true(g_bytes_equal(event.frames->pdata[i], frames[i]));
        g_bytes_unref(frames[i]);
    }
    g_ptr_array_unref(event.frames);
}

static void test_frames(gconstpointer way)
{
    const gsize mib = LOOM_MESSAGE_MAX_BYTES;
    const gsize all[] = {0, 1, mib, 1023, 1024, 8193, 33, mib + 4096};
    g_autoptr(Net) net = net_new(way);
    LoomPort *a = net_port(net), *b = net_port(net);
    const guint link = net_link(net, a, net_address(net, b));

    for (guint i = 0; i < G_N_ELEMENTS(all); i++)
        frames_check(net, a, link, b, &all[i], 1);
    for (guint n = 2; n <= LOOM_MESSAGE_MAX_FRAMES; n++)
        frames_check(net, a, link, b, all, n);
    net_close(net, a);
    net_close(net, b);
}

static gint released;

/* Whoever reads it from now on sees that it is gone. */
static void poison(gpointer bytes)
{
    memset(bytes, 0xee, 64 << 10);
    g_free(bytes);
    g_atomic_int_inc(&released);
}

static void test_release(gconstpointer way)
{
    enum { N = 40, SIZE = 64 << 10 };
    Net *net = net_new(way);
    LoomPort *a = net_port(net), *b = net_port(net);
    const guint link = net_link(net, a, net_address(net, b));

    g_atomic_int_set(&released, 0);
    for (guint32 i = 0, came = 0; i < N; came++, i++) {
        guint8 *memory = g_malloc(SIZE);

        memset(memory, (int)(i % 251), SIZE);
        memcpy(memory, &i, sizeof i);
        GBytes *bytes = g_bytes_new_with_free_func(memory, SIZE, poison, memory);
        g_assert_cmpint(net_try(net, a, link, &bytes, 1), ==, LOOM_FLOW_OK);
        g_bytes_unref(bytes); /* from here on the transport alone holds it */
        LoomPortEvent event = net_await(net, b, LOOM_PORT_MESSAGE);
        g_assert_cmpuint(net_number_of(event.frames->pdata[0], SIZE), ==, came);
        g_ptr_array_unref(event.frames);
    }
    net_close(net, a);
    net_close(net, b);
    net_free(net);
    g_assert_cmpint(g_atomic_int_get(&released), ==, N);
}

/* A message that never arrives is let go as well. */
static void test_release_undelivered(gconstpointer way)
{
    enum { SIZE = 64 << 10 };
    Net *net = net_new(way);
    LoomPort *a = net_port(net), *b = net_port(net);
    const guint link = net_link(net, a, net_address(net, b));

    net_close(net, b);
    g_atomic_int_set(&released, 0);
    guint8 *memory = g_malloc0(SIZE);
    GBytes *bytes = g_bytes_new_with_free_func(memory, SIZE, poison, memory);
    g_assert_cmpint(net_try(net, a, link, &bytes, 1), ==, LOOM_FLOW_OK);
    g_bytes_unref(bytes);
    net_close(net, a);
    net_free(net);
    g_assert_cmpint(g_atomic_int_get(&released), ==, 1);
}

/* Nobody receives: the link gets full before memory does; then nothing of it is lost. */
static void test_full(gconstpointer way)
{
    enum { MOST = 4096, SIZE = 64 << 10 };
    g_autoptr(Net) net = net_new(way);
    LoomPort *a = net_port(net), *b = net_port(net);
    const guint link = net_link(net, a, net_address(net, b));
    guint32 sent = 0, came = 0;
    gboolean ready = FALSE;

    net_send(net, a, link, "begin");
    net_expect(net, b, "begin");
    for (LoomFlow flow = LOOM_FLOW_OK; flow == LOOM_FLOW_OK;) {
        g_autoptr(GBytes) bytes = net_number(sent, SIZE);

        flow = net_try(net, a, link, &bytes, 1);
        sent += flow == LOOM_FLOW_OK;
        g_assert_cmpuint(sent, <, MOST);
    }
    g_assert_cmpuint(sent, >, 0);
    const gint64 until = g_get_monotonic_time() + NET_PATIENCE_US;
    while (!ready || came < sent) {
        g_assert_cmpint(g_get_monotonic_time(), <, until);
        number_take(net, b, &came, SIZE, 5);
        const LoomPortEvent event = net_receive(net, a, 0);
        if (event.kind == LOOM_PORT_LINK_READY) {
            g_assert_cmpuint(event.link, ==, link);
            ready = TRUE;
        }
    }
    net_send(net, a, link, "end"); /* and it takes messages again */
    net_expect(net, b, "end");
    net_close(net, a);
    net_close(net, b);
}

/* ---- wake ------------------------------------------------------------------------------- */

typedef struct {
    Net *net;
    LoomPort *port;
} Waker;

static gpointer wake_later(gpointer argument)
{
    const Waker *waker = argument;

    g_usleep(50 * 1000);
    waker->net->transport->port_wake(waker->net->self, waker->port);
    return NULL;
}

static void test_wake(gconstpointer way)
{
    g_autoptr(Net) net = net_new(way);
    Waker waker = {net, net_port(net)};
    const gint64 until = g_get_monotonic_time() + NET_PATIENCE_US;
    GThread *thread = g_thread_new("wake", wake_later, &waker);

    net_expect_silence(net, waker.port, -1); /* or for ever */
    g_thread_join(thread);
    net->transport->port_wake(net->self, waker.port); /* nobody waits: the next one returns */
    net_expect_silence(net, waker.port, 600 * 1000);
    g_assert_cmpint(g_get_monotonic_time(), <, until);
    const gint64 before = g_get_monotonic_time();
    net_expect_silence(net, waker.port, 30); /* a wake does it once */
    g_assert_cmpint(g_get_monotonic_time() - before, >=, 29 * 1000);
    net_close(net, waker.port);
}

/* ---- links ------------------------------------------------------------------------------ */

static void test_early(gconstpointer way)
{
    g_autoptr(Net) net = net_new(way);
    LoomPort *a = net_port(net), *b = net_port(net);
    g_autofree char *address = g_strdup(net_address(net, b));

    net_close(net, b);
    const guint link = net_link(net, a, address);
    net_send(net, a, link, "early");
    g_assert_cmpuint(net_await(net, a, LOOM_PORT_LINK_LOST).link, ==, link);
    b = net_port_at(net, address);
    g_assert_cmpstr(net_address(net, b), ==, address);
    g_assert_cmpuint(net_await(net, a, LOOM_PORT_LINK_UP).link, ==, link);
    net_expect(net, b, "early");
    net_close(net, a);
    net_close(net, b);
}

static void test_lost(gconstpointer way)
{
    g_autoptr(Net) net = net_new(way);
    LoomPort *a = net_port(net), *b = net_port(net), *other = net_port(net);
    g_autofree char *address = g_strdup(net_address(net, b));
    const guint stays = net_link(net, a, net_address(net, other));
    const guint link = net_link(net, a, address);

    for (guint i = 0; i < 3; i++) {
        LoomPortEvent event = net_await(net, a, LOOM_PORT_LINK_UP);

        if (event.link == stays)
            event = net_await(net, a, LOOM_PORT_LINK_UP);
        g_assert_cmpuint(event.link, ==, link);
        net_send(net, a, link, "now");
        net_expect(net, b, "now");
        net_close(net, b);
        g_assert_cmpuint(net_await(net, a, LOOM_PORT_LINK_LOST).link, ==, link);
        b = net_port_at(net, address);
    }
    net_close(net, a);
    net_close(net, b);
    net_close(net, other);
}

/* What was accepted before the link was closed still arrives; its number is used again. */
static void test_close(gconstpointer way)
{
    g_autoptr(Net) net = net_new(way);
    LoomPort *a = net_port(net), *b = net_port(net);

    for (guint i = 0; i < 3; i++) {
        const guint link = net_link(net, a, net_address(net, b));

        g_assert_cmpuint(link, ==, 0);
        net_send(net, a, link, "last words");
        net->transport->link_close(net->self, a, link);
        net_expect(net, b, "last words");
    }
    net_send(net, a, net_link(net, a, net_address(net, b)), "of a port");
    net_close(net, a);
    net_expect(net, b, "of a port");
    net_close(net, b);
}

static void test_mesh(gconstpointer way)
{
    enum { PORTS = 4, EACH = 30 };
    g_autoptr(Net) net = net_new(way);
    LoomPort *ports[PORTS];
    guint links[PORTS][PORTS];

    for (guint i = 0; i < PORTS; i++)
        ports[i] = net_port(net);
    for (guint i = 0; i < PORTS; i++)
        for (guint k = 0; k < PORTS; k++) /* to itself, too */
            links[i][k] = net_link(net, ports[i], net_address(net, ports[k]));
    for (guint32 n = 0; n < EACH; n++)
        for (guint i = 0; i < PORTS; i++)
            for (guint k = 0; k < PORTS; k++) {
                g_autoptr(GBytes) bytes = net_number(i * EACH + n, 5000);

                g_assert_cmpint(net_try(net, ports[i], links[i][k], &bytes, 1), ==,
                                LOOM_FLOW_OK);
            }
    for (guint k = 0; k < PORTS; k++) {
        guint32 next[PORTS] = {0};

        for (guint all = 0; all < PORTS * EACH; all++) {
            LoomPortEvent event = net_await(net, ports[k], LOOM_PORT_MESSAGE);
            const guint32 number = net_number_of(event.frames->pdata[0], 5000);

            g_assert_cmpuint(number / EACH, <, PORTS);
            g_assert_cmpuint(number % EACH, ==, next[number / EACH]++); /* in order a sender */
            g_ptr_array_unref(event.frames);
        }
    }
    for (guint k = 0; k < PORTS; k++)
        net_close(net, ports[k]);
}

/* Nothing stays behind: neither descriptors nor the memory of messages. */
static void test_cycles(gconstpointer way)
{
    const guint cycles = 1000 / NET_SLOW, warm = cycles / 10;
    g_autoptr(Net) net = net_new(way);
    LoomPort *a = net_port(net), *b = net_port(net);
    const gint64 until = g_get_monotonic_time() + 4 * NET_PATIENCE_US;
    guint before = 0;

    for (guint i = 0; i < cycles; i++) {
        const guint link = net_link(net, a, net_address(net, b));

        if (i == warm)
            before = loom_test_folder_count("/proc/self/fd");
        net_send(net, a, link, "hello");
        net_expect(net, b, "hello");
        net->transport->link_close(net->self, a, link);
        g_assert_cmpint(g_get_monotonic_time(), <, until);
    }
    /* libzmq closes in a thread of its own; the last ones may still be open */
    while (loom_test_folder_count("/proc/self/fd") > before) {
        g_assert_cmpint(g_get_monotonic_time(), <, until);
        g_usleep(10 * 1000);
    }
    net_close(net, a);
    net_close(net, b);
}

/* ---- addresses -------------------------------------------------------------------------- */

static void test_in_use(gconstpointer way)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Net) net = net_new(way);
    LoomPort *a = net_port(net);

    loom_assert_failed(net->transport->port_open(net->self, net_address(net, a), &error), error,
                       LOOM_ERROR, LOOM_ERROR_IO, "in use");
    g_assert_nonnull(strstr(error->message, net_address(net, a)));
    net_close(net, a);
}

static void assert_wrong(Net *net, LoomPort *port, const char *address)
{
    g_autoptr(GError) opened = NULL, linked = NULL;
    guint link;

    loom_assert_failed(net->transport->port_open(net->self, address, &opened), opened,
                       LOOM_ERROR, LOOM_ERROR_CONFIG, address);
    loom_assert_failed(
        net->transport->link_open(net->self, port, address, NULL, &link, &linked), linked,
        LOOM_ERROR, LOOM_ERROR_CONFIG, address);
}

static void test_addresses(gconstpointer way)
{
    static const char *const wrong[] = {"",           "127.0.0.1:5", "tcp://127.0.0.1",
                                        "tcp://:5",   "tcp://h:0",   "tcp://h:65536",
                                        "tcp://h:5x", "tcp://::1:5", "ipc://relative",
                                        "ipc://@all", "loopback://", "udp://127.0.0.1:5"};
    g_autoptr(Net) net = net_new(way);
    LoomPort *a = net_port(net);

    for (guint i = 0; i < G_N_ELEMENTS(wrong); i++)
        assert_wrong(net, a, wrong[i]);
    net_close(net, a);
}

/* ---- every one of them ------------------------------------------------------------------ */

static void test_all_have_ways(void)
{
    g_autofree const LoomPlugin **list =
        loom_registry_list(loom_test_registry(), LOOM_KIND_TRANSPORT);

    g_assert_nonnull(list[0]);
    for (const LoomPlugin **plugin = list; *plugin; plugin++) {
        gboolean found = FALSE;

        for (const Way *way = transport_ways; way->name; way++) {
            const char *use = way->yaml + strlen("{use: ");
            const gsize length = strcspn(use, ",}");

            found = found
                    || (length == strlen((*plugin)->name)
                        && strncmp(use, (*plugin)->name, length) == 0);
        }
        if (!found)
            g_error("transport '%s' has no line in transport_ways", (*plugin)->name);
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*test)(gconstpointer way);
        gboolean spellings; /* of all spellings of an address */
    } promises[] = {
        {"order", test_order, FALSE},
        {"frames", test_frames, TRUE},
        {"release", test_release, FALSE},
        {"release-undelivered", test_release_undelivered, FALSE},
        {"full", test_full, FALSE},
        {"wake", test_wake, FALSE},
        {"early", test_early, TRUE},
        {"lost", test_lost, FALSE},
        {"close", test_close, FALSE},
        {"mesh", test_mesh, FALSE},
        {"cycles", test_cycles, FALSE},
        {"in-use", test_in_use, TRUE},
        {"addresses", test_addresses, FALSE},
    };

    g_test_init(&argc, &argv, NULL);
    g_setenv("LOOM_MODULE_PATH", TEST_MODULES, TRUE);
    for (const Way *way = transport_ways; way->name; way++)
        for (guint i = 0; i < G_N_ELEMENTS(promises); i++) {
            g_autofree char *path =
                g_strdup_printf("/transport/%s/%s", way->name, promises[i].name);

            if (promises[i].spellings || !way->spelling)
                g_test_add_data_func(path, way, promises[i].test);
        }
    g_test_add_func("/transport/all-have-ways", test_all_have_ways);
    return loom_test_run();
}
