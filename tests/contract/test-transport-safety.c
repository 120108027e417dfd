/* test-transport-safety - who may not come in, does not: keys and clear text. */
#include "logged.h"
#include "transport_ways.h"

#include <arpa/inet.h>
#include <glib/gstdio.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- what was logged -------------------------------------------------------------------- */

/* Until @text was logged; both ports live on meanwhile, and nothing may arrive. */
static void await_log(Net *server, LoomPort *b, Net *client, LoomPort *a, const char *text)
{
    const gint64 until = g_get_monotonic_time() + NET_PATIENCE_US;

    while (!logged_has(text)) {
        if (g_get_monotonic_time() > until) {
            g_autofree char *all = logged_text();

            g_error("'%s' was not logged, but:\n%s", text, all);
        }
        if (a)
            g_assert_cmpint(net_receive(client, a, 20).kind, !=, LOOM_PORT_LINK_UP);
        g_assert_null(net_receive(server, b, 20).frames);
    }
}

/* ---- transports with files -------------------------------------------------------------- */

static const LoomTransport *zmq(void)
{
    return (const LoomTransport *)loom_registry_find(loom_test_registry(), LOOM_KIND_TRANSPORT,
                                                     "zmq");
}

static char *key_new(const char *folder, const char *name)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    g_autoptr(GError) error = NULL;
    char *key = zmq()->key_write(path, &error);

    g_assert_no_error(error);
    g_assert_cmpuint(strlen(key), ==, 40);
    return key;
}

static void file_write(const char *folder, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);

    g_assert_true(
        g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0600, NULL));
}

/* A net on tcp with these rows; the keys lie in @folder. */
static Net *net_with(const char *folder, const char *rows)
{
    static GPtrArray *texts; /* ways are borrowed */
    GString *yaml = g_string_new(rows);

    if (!texts)
        texts = g_ptr_array_new();
    g_string_replace(yaml, "DIR", folder, 0);
    g_string_prepend(yaml, "{use: zmq");
    g_string_append_c(yaml, '}');
    Net *net = g_new0(Net, 1);
    Way *way = g_new0(Way, 1);
    *way = (Way){"zmq-safe", g_string_free(yaml, FALSE), "tcp://127.0.0.1:*", FALSE};
    g_ptr_array_add(texts, way);
    net->way = way;
    net->folder = loom_test_folder();
    net->instance = loom_test_instance(LOOM_KIND_TRANSPORT, way->yaml, NULL, NULL);
    net->transport = (const LoomTransport *)net->instance->plugin;
    net->self = net->instance->self;
    return net;
}

static guint link_with(Net *net, LoomPort *port, const char *address, const char *key)
{
    g_autoptr(GError) error = NULL;
    guint link = 0;

    net->transport->link_open(net->self, port, address, key, &link, &error);
    g_assert_no_error(error);
    return link;
}

/* ---- connections ------------------------------------------------------------------------ */

static void test_right_key(void)
{
    g_autofree char *folder = loom_test_folder();
    g_autofree char *key = key_new(folder, "key");
    g_autoptr(Net) server = net_with(folder, ", secret: DIR/key");
    g_autoptr(Net) client = net_with(folder, ", secret: DIR/key");
    LoomPort *b = net_port(server), *a = net_port(client);

    g_assert_cmpstr(server->transport->key(server->self), ==, key);
    const guint given = link_with(client, a, net_address(server, b), key);
    const guint own = link_with(client, a, net_address(server, b), NULL);
    net_send(client, a, given, "secret");
    net_expect(server, b, "secret");
    net_send(client, a, own, "too");
    net_expect(server, b, "too");
    net_close(server, b);
    net_close(client, a);
    loom_test_folder_remove(folder);
}

static void test_no_key(void)
{
    g_autofree char *folder = loom_test_folder();
    g_free(key_new(folder, "key"));
    g_autoptr(Net) server = net_with(folder, ", secret: DIR/key");
    g_autoptr(Net) client = net_with(folder, "");
    LoomPort *b = net_port(server), *a = net_port(client);
    g_autofree char *where =
        g_strdup_printf("a connection to '%s' was refused: clear text", net_address(server, b));

    logged_clear();
    net_send(client, a, link_with(client, a, net_address(server, b), NULL), "let me in");
    await_log(server, b, client, a, where);
    await_log(server, b, client, a, "refused this end: one of both has a secret");
    net_expect_silence(server, b, 300);
    net_close(server, b);
    net_close(client, a);
    loom_test_folder_remove(folder);
}

/* One of the list, one that is not, and the wrong key of the other end. */
static void test_wrong_key(void)
{
    g_autofree char *folder = loom_test_folder();
    g_autofree char *key = key_new(folder, "key");
    g_autofree char *stranger = key_new(folder, "stranger");
    g_autoptr(Net) server = net_with(folder, ", secret: DIR/key");
    g_autoptr(Net) client = net_with(folder, ", secret: DIR/stranger");
    LoomPort *b = net_port(server), *a = net_port(client);
    g_autofree char *who =
        g_strdup_printf("refused '127.0.0.1' with the public key '%s'", stranger);

    logged_clear();
    net_send(client, a, link_with(client, a, net_address(server, b), key), "let me in");
    await_log(server, b, client, a, who);
    await_log(server, b, client, a, "not on its list of allowed keys");
    link_with(client, a, net_address(server, b), stranger);
    await_log(server, b, client, a, "encrypted for another key");
    net_expect_silence(server, b, 100);
    net_close(server, b);
    net_close(client, a);
    loom_test_folder_remove(folder);
}

/* A list that changes while the run goes on: new connections feel it, those that stand not. */
static void test_revoked(void)
{
    g_autofree char *folder = loom_test_folder();
    g_autofree char *key = key_new(folder, "key");
    g_autofree char *other = key_new(folder, "other");
    g_autofree char *both = g_strdup_printf("# the run\n%s # rank 0\n\n%s\n", key, other);
    g_autofree char *who =
        g_strdup_printf("refused '127.0.0.1' with the public key '%s'", other);

    file_write(folder, "allowed", both);
    g_autoptr(Net) server = net_with(folder, ", secret: DIR/key, allowed: DIR/allowed");
    g_autoptr(Net) client = net_with(folder, ", secret: DIR/other");
    LoomPort *b = net_port(server), *a = net_port(client);
    const guint link = link_with(client, a, net_address(server, b), key);
    net_send(client, a, link, "first");
    net_expect(server, b, "first");
    logged_clear();
    file_write(folder, "allowed", key);
    net_send(client, a, link, "stands");
    net_expect(server, b, "stands");
    while (net_receive(client, a, 0).kind != LOOM_PORT_NOTHING)
        continue;
    const guint again = link_with(client, a, net_address(server, b), key);
    net_send(client, a, again, "second");
    await_log(server, b, client, a, who);
    /* A list that is wrong lets in nobody, and says so; a right one lets in who waits. */
    file_write(folder, "allowed", "no key\n");
    await_log(server, b, client, a, "nobody is let in until the list of allowed keys is right");
    g_assert_true(logged_has("allowed:1: 'no key' is no public key"));
    file_write(folder, "allowed", both);
    g_assert_cmpuint(net_await(client, a, LOOM_PORT_LINK_UP).link, ==, again);
    net_send(client, a, again, "third");
    net_expect(server, b, "third");
    net_close(server, b);
    net_close(client, a);
    loom_test_folder_remove(folder);
}

/* ---- files ------------------------------------------------------------------------------ */

static void assert_refused(const char *folder, const char *rows, const char *text)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *yaml = g_strdup_printf("{use: zmq%s}", rows);
    GString *filled = g_string_new(yaml);

    g_string_replace(filled, "DIR", folder, 0);
    LoomInstance *instance = loom_test_instance(LOOM_KIND_TRANSPORT, filled->str, NULL, &error);
    loom_assert_failed(instance, error, LOOM_ERROR, LOOM_ERROR_CONFIG, text);
    g_string_free(filled, TRUE);
}

static void test_secret_file(void)
{
    /* zmq_curve(7): "the server shall use this long-term key pair" */
    static const char manual[] = "public: rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7\n"
                                 "secret: JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6\n";
    g_autofree char *folder = loom_test_folder();
    g_autofree char *other = key_new(folder, "other");
    g_autofree char *path = g_build_filename(folder, "key", NULL);
    g_autofree char *link = g_build_filename(folder, "link", NULL);
    g_autofree char *text = NULL;
    struct stat made;

    g_free(key_new(folder, "key"));
    g_assert_cmpint(stat(path, &made), ==, 0);
    g_assert_cmpuint(made.st_mode & 07777, ==, 0600);
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    assert_refused(folder, ", secret: DIR/none", "No such file");
    assert_refused(folder, ", secret: DIR", "is no regular file");
    g_assert_cmpint(symlink(path, link), ==, 0);
    assert_refused(folder, ", secret: DIR/link", "is a link");
    const int modes[] = {0644, 0640, 0602, 0601};
    for (guint i = 0; i < G_N_ELEMENTS(modes); i++) {
        g_autofree char *mode = g_strdup_printf("has mode %04o", (guint)modes[i]);

        g_assert_cmpint(chmod(path, (mode_t)modes[i]), ==, 0);
        assert_refused(folder, ", secret: DIR/key", mode);
    }
    file_write(folder, "manual", manual);
    assert_refused(folder, ", secret: DIR/manual", "test keys of the ZeroMQ manual");
    file_write(folder, "half", "public: rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7\n");
    assert_refused(folder, ", secret: DIR/half", "has no line 'secret: '");
    g_autofree char *mixed = g_strdup_printf("public: %s\n%s", other, strchr(text, '\n') + 1);
    file_write(folder, "mixed", mixed);
    assert_refused(folder, ", secret: DIR/mixed", "is not that of the secret one");
    assert_refused(folder, ", allowed: DIR/mixed", "without a 'secret'");
    loom_test_folder_remove(folder);
}

static void test_secret_kept(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *folder = loom_test_folder();
    g_autofree char *before = NULL, *after = NULL;
    g_autofree char *path = g_build_filename(folder, "key", NULL);

    g_free(key_new(folder, "key"));
    g_assert_true(g_file_get_contents(path, &before, NULL, NULL));
    loom_assert_failed(zmq()->key_write(path, &error), error, LOOM_ERROR, LOOM_ERROR_IO,
                       "exists");
    g_assert_true(g_file_get_contents(path, &after, NULL, NULL));
    g_assert_cmpstr(before, ==, after);
    loom_test_folder_remove(folder);
}

static void test_allowed_file(void)
{
    g_autofree char *folder = loom_test_folder();
    g_autofree char *key = key_new(folder, "key");
    g_autofree char *path = g_build_filename(folder, "allowed", NULL);

    file_write(folder, "allowed", "# fine\n\nshort\n");
    assert_refused(folder, ", secret: DIR/key, allowed: DIR/allowed",
                   "allowed:3: 'short' is no public key");
    file_write(folder, "allowed", "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID\n");
    assert_refused(folder, ", secret: DIR/key, allowed: DIR/allowed", "allowed:1: ");
    file_write(folder, "allowed", key);
    g_assert_cmpint(chmod(path, 0664), ==, 0);
    assert_refused(folder, ", secret: DIR/key, allowed: DIR/allowed", "has mode 0664");
    assert_refused(folder, ", secret: DIR/key, allowed: DIR/none", "No such file");
    loom_test_folder_remove(folder);
}

/* ---- clear text ------------------------------------------------------------------------- */

/* An IPv4 address of this machine that is not loopback; NULL: it has none. */
static char *own_address(void)
{
    struct ifaddrs *all = NULL;
    char text[INET_ADDRSTRLEN] = "";

    g_assert_cmpint(getifaddrs(&all), ==, 0);
    for (struct ifaddrs *one = all; one && !*text; one = one->ifa_next) {
        struct sockaddr_in in;

        if (!one->ifa_addr || one->ifa_addr->sa_family != AF_INET
            || one->ifa_flags & IFF_LOOPBACK)
            continue;
        memcpy(&in, one->ifa_addr, sizeof in);
        inet_ntop(AF_INET, &in.sin_addr, text, sizeof text);
    }
    freeifaddrs(all);
    return *text ? g_strdup(text) : NULL;
}

static void assert_clear_refused(Net *net, LoomPort *port, const char *host)
{
    g_autofree char *any = g_strdup_printf("tcp://%s:*", host);
    g_autofree char *one = g_strdup_printf("tcp://%s:29999", host);
    g_autoptr(GError) opened = NULL, linked = NULL;
    guint link;

    loom_assert_failed(net->transport->port_open(net->self, any, &opened), opened, LOOM_ERROR,
                       LOOM_ERROR_CONFIG, "--insecure-network");
    g_assert_nonnull(strstr(opened->message, "segloom keygen"));
    g_assert_nonnull(strstr(opened->message, any));
    loom_assert_failed(net->transport->link_open(net->self, port, one, NULL, &link, &linked),
                       linked, LOOM_ERROR, LOOM_ERROR_CONFIG, "--insecure-network");
}

static void test_clear_text(void)
{
    static const char *const beyond[] = {"0.0.0.0",   "[::]",      "192.0.2.77",
                                         "128.0.0.1", "[fd00::9]", "example.invalid"};
    g_autoptr(Net) net = net_with("", "");
    LoomPort *a = net_port(net);

    for (guint i = 0; i < G_N_ELEMENTS(beyond); i++)
        assert_clear_refused(net, a, beyond[i]);
    g_autofree char *own = own_address();
    if (own)
        assert_clear_refused(net, a, own);
    net_close(net, a);
}

static void test_off_machine(void)
{
    g_autofree char *folder = loom_test_folder(), *own = own_address();
    const char *rows[] = {", insecure_network: true", ", secret: DIR/key"};

    if (!own) {
        g_test_skip("this machine has no address but loopback");
        loom_test_folder_remove(folder);
        return;
    }
    g_free(key_new(folder, "key"));
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(Net) net = net_with(folder, rows[i]);
        g_autofree char *address = g_strdup_printf("tcp://%s:*", own);
        LoomPort *a = net_port(net), *b = net_port_at(net, address);

        net_send(net, a, net_link(net, a, net_address(net, b)), "hello");
        net_expect(net, b, "hello");
        net_close(net, a);
        net_close(net, b);
    }
    loom_test_folder_remove(folder);
}

static void test_names(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Net) net = net_with("", ", insecure_network: true");
    LoomPort *a = net_port(net);
    const gint64 began = g_get_monotonic_time();

    loom_assert_failed(
        net->transport->port_open(net->self, "tcp://no-such-host.invalid:*", &error), error,
        LOOM_ERROR, LOOM_ERROR_IO, "no-such-host.invalid");
    g_assert_cmpint(g_get_monotonic_time() - began, <, NET_PATIENCE_US);
    logged_clear();
    const guint link = link_with(net, a, "tcp://no-such-host.invalid:5", NULL);
    g_assert_cmpuint(net_await(net, a, LOOM_PORT_LINK_LOST).link, ==, link);
    net_close(net, a);
}

static void test_ipc_folder(void)
{
    g_autoptr(GError) open_to_all = NULL, no_socket = NULL;
    g_autofree char *folder = loom_test_folder();
    g_autofree char *inside = g_build_filename(folder, "wide", NULL);
    g_autofree char *address = g_strdup_printf("ipc://%s/s", inside);
    g_autofree char *file = g_build_filename(inside, "s", NULL);
    g_autoptr(Net) net = net_with("", "");
    struct stat made;

    LoomPort *a = net_port_at(net, address); /* makes the folder */
    g_assert_cmpint(stat(inside, &made), ==, 0);
    g_assert_cmpuint(made.st_mode & 07777, ==, 0700);
    net_close(net, a);
    g_assert_cmpint(chmod(inside, 0755), ==, 0);
    loom_assert_failed(net->transport->port_open(net->self, address, &open_to_all), open_to_all,
                       LOOM_ERROR, LOOM_ERROR_CONFIG, "mode 0755");
    g_assert_cmpint(chmod(inside, 0700), ==, 0);
    g_assert_true(g_file_set_contents(file, "precious", -1, NULL));
    loom_assert_failed(net->transport->port_open(net->self, address, &no_socket), no_socket,
                       LOOM_ERROR, LOOM_ERROR_IO, "is no socket");
    g_assert_true(g_file_test(file, G_FILE_TEST_IS_REGULAR));
    loom_test_folder_remove(folder);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    logged_begin();
    g_log_set_always_fatal(G_LOG_FATAL_MASK | G_LOG_LEVEL_CRITICAL); /* warnings are wanted */
    g_test_add_func("/transport-safety/right-key", test_right_key);
    g_test_add_func("/transport-safety/no-key", test_no_key);
    g_test_add_func("/transport-safety/wrong-key", test_wrong_key);
    g_test_add_func("/transport-safety/revoked", test_revoked);
    g_test_add_func("/transport-safety/secret-file", test_secret_file);
    g_test_add_func("/transport-safety/secret-kept", test_secret_kept);
    g_test_add_func("/transport-safety/allowed-file", test_allowed_file);
    g_test_add_func("/transport-safety/clear-text", test_clear_text);
    g_test_add_func("/transport-safety/off-machine", test_off_machine);
    g_test_add_func("/transport-safety/names", test_names);
    g_test_add_func("/transport-safety/ipc-folder", test_ipc_folder);
    return loom_test_run();
}
