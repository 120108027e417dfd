/* test-transport-hostile - bytes of strangers cost a connection, never memory or the real
 * peers. LOOM_TEST_CLIENTS=50000 asks for more of them. */
#include "transport_ways.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static gint refusals; /* warnings; atomic */

static void log_count(G_GNUC_UNUSED const char *domain, GLogLevelFlags level, const char *text,
                      G_GNUC_UNUSED gpointer unused)
{
    if (level & G_LOG_LEVEL_WARNING)
        g_atomic_int_inc(&refusals);
    else if (level & (G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_ERROR))
        g_printerr("%s\n", text);
}

/* ZMTP 3.0, RFC 23: the greeting; READY of a PUSH; then what must not be. */
static const guint8 greeting[64] = {
    [0] = 0xff, [8] = 1, [9] = 0x7f, [10] = 3, [12] = 'N', [13] = 'U', [14] = 'L', [15] = 'L'};
static const guint8 ready[] = "\x04\x1a\x05READY\x0bSocket-Type\x00\x00\x00\x04PUSH";
static const guint8 endless[] = {0x02, 0x40, 0, 0, 0, 0, 0, 0, 0, 'x'}; /* 2^62 bytes follow */
static const guint8 two_mib[] = {0x02, 0, 0, 0, 0, 0, 0x20, 0, 0, 'x'};
static const guint8 crowd[] = {1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 0, 0}; /* 9 */

static gsize hostile_bytes(GRand *random, guint kind, guint8 bytes[1024])
{
    static const char http[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    const struct {
        const void *bytes;
        gsize size;
    } tails[] = {{endless, sizeof endless}, {two_mib, sizeof two_mib}, {crowd, sizeof crowd}};
    gsize size = 64 + sizeof ready - 1;

    switch (kind % 8) {
    case 0: /* noise */
        for (guint i = 0; i < 512; i++)
            bytes[i] = (guint8)g_rand_int(random);
        return 512;
    case 1:
        memcpy(bytes, http, sizeof http);
        return sizeof http - 1;
    case 2: /* half a greeting */
        memcpy(bytes, greeting, 64);
        return (gsize)g_rand_int_range(random, 1, 64);
    case 3: /* a greeting, then noise */
        memcpy(bytes, greeting, 64);
        for (guint i = 64; i < 300; i++)
            bytes[i] = (guint8)g_rand_int(random);
        return 300;
    case 4: /* nothing at all */
        return 0;
    default: /* all right, and then one of the tails */
        memcpy(bytes, greeting, 64);
        memcpy(bytes + 64, ready, sizeof ready - 1);
        memcpy(bytes + size, tails[kind % 8 - 5].bytes, tails[kind % 8 - 5].size);
        return size + tails[kind % 8 - 5].size;
    }
}

/* Connects from one of many addresses: one alone would run out of ports. */
static void hostile_client(GRand *random, guint number, guint16 port)
{
    struct sockaddr_in from = {.sin_family = AF_INET}, to = from;
    guint8 bytes[1024], answer[512];
    const gsize size = hostile_bytes(random, number, bytes);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_assert_cmpint(fd, >=, 0);
    from.sin_addr.s_addr = htonl(0x7f000002u + number % 250);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons(port);
    g_assert_cmpint(bind(fd, (const struct sockaddr *)&from, sizeof from), ==, 0);
    g_assert_cmpint(connect(fd, (const struct sockaddr *)&to, sizeof to), ==, 0);
    send(fd, bytes, size, MSG_NOSIGNAL);
    if (number % 3 == 0) /* some wait for the greeting of the other end */
        recv(fd, answer, sizeof answer, 0);
    close(fd);
}

static gint64 resident_kib(void)
{
    g_autofree char *text = NULL;

    g_assert_true(g_file_get_contents("/proc/self/statm", &text, NULL, NULL));
    return g_ascii_strtoll(strchr(text, ' '), NULL, 10) * sysconf(_SC_PAGESIZE) / 1024;
}

/* How many others came before it. */
static guint expect_among(Net *net, LoomPort *port, const char *text)
{
    g_autoptr(GBytes) wanted = g_bytes_new(text, strlen(text));

    for (guint strange = 0; TRUE; strange++) {
        g_autoptr(GPtrArray) frames = net_await(net, port, LOOM_PORT_MESSAGE).frames;

        g_assert_cmpuint(frames->len, <=, LOOM_MESSAGE_MAX_FRAMES);
        if (g_bytes_equal(frames->pdata[0], wanted))
            return strange;
    }
}

static void test_hostile(gconstpointer way)
{
    const char *asked = g_getenv("LOOM_TEST_CLIENTS");
    const guint clients = asked ? (guint)g_ascii_strtoull(asked, NULL, 10) : 2000 / NET_SLOW;
    g_autoptr(GRand) random = g_rand_new_with_seed(7);
    g_autoptr(Net) net = net_new(way);
    LoomPort *a = net_port(net), *b = net_port(net);
    const guint link = net_link(net, a, net_address(net, b));
    const guint16 port =
        (guint16)g_ascii_strtoull(strrchr(net_address(net, b), ':') + 1, NULL, 10);
    gint64 before = 0;
    guint exchanged = 0, strange = 0;

    g_atomic_int_set(&refusals, 0);
    for (guint i = 0; i < clients; i++) {
        hostile_client(random, i, port);
        if (i == clients / 10)
            before = resident_kib();
        if (i % 20 == 0) {
            net_send(net, a, link, "still here");
            strange += expect_among(net, b, "still here");
            exchanged++;
        }
    }
    const gint64 after = resident_kib();
    const guint files = loom_test_folder_count("/proc/self/fd");
    g_test_message("%u clients, %u messages of a real peer, %" G_GINT64_FORMAT
                   " KiB resident after a tenth of them, %" G_GINT64_FORMAT
                   " KiB at the end, %u descriptors",
                   clients, exchanged, before, after, files);
    g_assert_cmpint(after - before, <, 16 * 1024);
    g_assert_cmpuint(files, <, 200);
    g_assert_cmpuint(strange, ==, 0);
    g_assert_cmpint(g_atomic_int_get(&refusals), >, 0); /* and not one a client */
    g_assert_cmpint(g_atomic_int_get(&refusals), <, 10);
    net_close(net, a);
    net_close(net, b);
}

/* ---- a message without end ---------------------------------------------------------- */

#define ENDLESS_FRAME (64 << 10)
#define ENDLESS_FRAMES 1024 /* 64 MiB */

/* As a client of PLAIN with a password that is none. */
static const guint8 hello[] =
    "\x04\x4f\x05HELLO\x07segloom\x40"
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
static const guint8 initiate[] = "\x04\x20\x08INITIATE\x0bSocket-Type\x00\x00\x00\x04PUSH";

static int client_connect(guint16 port)
{
    const struct sockaddr_in to = {.sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                   .sin_port = htons(port)};
    const struct timeval patience = {.tv_usec = 500000};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(connect(fd, (const struct sockaddr *)&to, sizeof to), ==, 0);
    g_assert_cmpint(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), ==, 0);
    return fd;
}

/* Says that, and hears out @size bytes of the answer, unless there is none. */
static void converse(int fd, const guint8 *bytes, gsize n, gsize size)
{
    guint8 answer[64];

    send(fd, bytes, n, MSG_NOSIGNAL);
    recv(fd, answer, size, MSG_WAITALL);
}

/* Frames, each of which says that more follow, until the other end has enough.  Their bytes. */
static gsize endless_send(int fd)
{
    g_autofree guint8 *frame = g_malloc0(9 + ENDLESS_FRAME);
    gsize sent = 0;

    frame[0] = 0x03; /* long, more */
    frame[6] = ENDLESS_FRAME >> 16;
    frame[7] = (ENDLESS_FRAME >> 8) & 0xff;
    for (guint i = 0; i < ENDLESS_FRAMES; i++) {
        const gssize n = send(fd, frame, 9 + ENDLESS_FRAME, MSG_NOSIGNAL);

        if (n <= 0)
            break;
        sent += (gsize)n;
    }
    return sent;
}

/* libzmq would keep all of it, so who sends it must not get as far as that. */
static void test_endless(gconstpointer way)
{
    g_autoptr(Net) net = net_new(way);
    LoomPort *a = net_port(net), *b = net_port(net);
    const guint link = net_link(net, a, net_address(net, b));
    const guint16 port =
        (guint16)g_ascii_strtoull(strrchr(net_address(net, b), ':') + 1, NULL, 10);
    const gint64 before = resident_kib();
    guint8 plain[64];

    memcpy(plain, greeting, sizeof plain);
    memcpy(plain + 12, "PLAIN", 5);
    for (guint kind = 0; kind < 2; kind++) {
        const int fd = client_connect(port);

        converse(fd, kind ? plain : greeting, 64, 64);
        if (kind) {
            converse(fd, hello, sizeof hello - 1, 1);
            converse(fd, initiate, sizeof initiate - 1, 1);
        } else {
            converse(fd, ready, sizeof ready - 1, 1);
        }
        const gsize sent = endless_send(fd);
        g_test_message("%" G_GSIZE_FORMAT " bytes until it was cut off", sent);
        g_assert_cmpuint(sent, <, ENDLESS_FRAMES * ENDLESS_FRAME / 2);
        close(fd);
    }
    net_send(net, a, link, "still here");
    g_assert_cmpuint(expect_among(net, b, "still here"), ==, 0);
    g_assert_cmpint(resident_kib() - before, <, 16 * 1024);
    net_close(net, a);
    net_close(net, b);
}

int main(int argc, char **argv)
{
    static const Way clear = {"clear", "{use: zmq}", "tcp://127.0.0.1:*", FALSE};
    static const Way curve = {"curve", "{use: zmq, secret: %s/key}", "tcp://127.0.0.1:*",
                              FALSE};

    g_test_init(&argc, &argv, NULL);
    g_log_set_default_handler(log_count, NULL);
    g_log_set_always_fatal(G_LOG_FATAL_MASK | G_LOG_LEVEL_CRITICAL); /* warnings are wanted */
    g_test_add_data_func("/transport-hostile/clear", &clear, test_hostile);
    g_test_add_data_func("/transport-hostile/curve", &curve, test_hostile);
    g_test_add_data_func("/transport-hostile/clear-endless", &clear, test_endless);
    g_test_add_data_func("/transport-hostile/curve-endless", &curve, test_endless);
    return loom_test_run();
}
