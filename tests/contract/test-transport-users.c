/* test-transport-users - on tcp of this machine, without keys, only processes of one user reach
 * each other.  Another user is played by a process with another folder for the user's data. */
#include "logged.h"
#include "transport_ways.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const Way clear = {"clear", "{use: zmq}", "tcp://127.0.0.1:*", FALSE};

/* ---- a process: test-transport-users --client ADDRESS -------------------------------- */

/* Says what became of it: "up", "lost" and the warnings, or why it has no port. */
static int client_main(const char *address)
{
    g_autoptr(Net) net = net_new(&clear);
    g_autoptr(GError) error = NULL;
    LoomPort *port = net->transport->port_open(net->self, "tcp://127.0.0.1:*", &error);
    LoomPortEvent event = {0};

    if (!port) {
        g_autofree char *path = g_strdup_printf("ipc://%s/port", net->folder);

        g_print("%s", error->message);
        g_clear_error(&error);
        net_close(net, net_port_at(net, path)); /* needs no password */
        return 0;
    }
    net_send(net, port, net_link(net, port, address), "hello");
    while (event.kind != LOOM_PORT_LINK_UP && event.kind != LOOM_PORT_LINK_LOST)
        event = net_receive(net, port, 30000);
    g_autofree char *said = logged_text();
    g_print("%s: %s", event.kind == LOOM_PORT_LINK_UP ? "up" : "lost", said);
    net_close(net, port);
    return 0;
}

/* What such a process says whose data lie in @home; NULL: this user's own. */
static char *client_run(const char *address, const char *home)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    char *argv[] = {self, (char[]){"--client"}, g_strdup(address), NULL};
    g_auto(GStrv) environment = g_get_environ();
    g_autoptr(GError) error = NULL;
    char *said = NULL;
    gint status;

    if (home)
        environment = g_environ_setenv(environment, "XDG_DATA_HOME", home, TRUE);
    g_spawn_sync(NULL, argv, environment, G_SPAWN_DEFAULT, NULL, NULL, &said, NULL, &status,
                 &error);
    g_free(argv[2]);
    g_assert_no_error(error);
    g_assert_cmpint(status, ==, 0);
    return said;
}

static void assert_has(const char *text, const char *wanted)
{
    if (!strstr(text, wanted))
        g_error("want '%s', but: %s", wanted, text);
}

/* ---- tests ------------------------------------------------------------------------------ */

static void test_same_user(void)
{
    g_autoptr(Net) net = net_new(&clear);
    LoomPort *port = net_port(net);
    g_autofree char *said = client_run(net_address(net, port), NULL);

    g_assert_cmpstr(said, ==, "up: ");
    net_expect(net, port, "hello");
    net_close(net, port);
}

static void test_other_user(void)
{
    g_autofree char *home = loom_test_folder();
    g_autofree char *path = g_build_filename(home, "segloom", "local-secret", NULL);
    g_autoptr(Net) net = net_new(&clear);
    LoomPort *port = net_port(net);
    g_autofree char *first = client_run(net_address(net, port), home);
    g_autofree char *text = NULL, *again = NULL;
    struct stat file;

    assert_has(first, "lost: ");
    assert_has(first, "refused this end: another user started it");
    g_assert_true(logged_has("refused '127.0.0.1': it does not have the password"));
    net_expect_silence(net, port, 100);
    net_close(net, port);

    /* what it made is for its owner alone, and stays */
    g_assert_cmpint(stat(path, &file), ==, 0);
    g_assert_cmpuint(file.st_mode & 07777, ==, 0600);
    g_assert_cmpint(file.st_size, ==, 64);
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_free(client_run("tcp://127.0.0.1:1", home));
    g_assert_true(g_file_get_contents(path, &again, NULL, NULL));
    g_assert_cmpstr(text, ==, again);
    loom_test_folder_remove(home);
}

/* No port is opened with a secret that is none; ipc goes without. */
static void test_secret_wrong(void)
{
    g_autofree char *home = loom_test_folder();
    g_autofree char *folder = g_build_filename(home, "segloom", NULL);
    g_autofree char *path = g_build_filename(folder, "local-secret", NULL);
    g_autofree char *digits = g_strnfill(64, 'a');

    g_assert_cmpint(g_mkdir(folder, 0700), ==, 0);
    g_assert_true(
        g_file_set_contents_full(path, digits, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0644, NULL));
    g_assert_cmpint(g_chmod(path, 0644), ==, 0);
    g_autofree char *readable = client_run("tcp://127.0.0.1:1", home);
    assert_has(readable, "would be open to every user of this machine");
    assert_has(readable, "has mode 0644, which lets others in");
    g_assert_cmpint(g_chmod(path, 0600), ==, 0);
    g_assert_true(
        g_file_set_contents_full(path, "abc", -1, G_FILE_SET_CONTENTS_CONSISTENT, 0600, NULL));
    g_autofree char *shortened = client_run("tcp://127.0.0.1:1", home);
    assert_has(shortened, "is damaged, want 64 hexadecimal digits");
    g_unlink(path);
    g_assert_cmpint(symlink("/etc/hostname", path), ==, 0);
    g_autofree char *linked = client_run("tcp://127.0.0.1:1", home);
    assert_has(linked, "is a link");
    loom_test_folder_remove(home);
}

int main(int argc, char **argv)
{
    const gboolean client = argc == 3 && g_str_equal(argv[1], "--client");

    if (!client)
        g_test_init(&argc, &argv, NULL);
    logged_begin();
    if (client)
        return client_main(argv[2]);
    g_log_set_always_fatal(G_LOG_FATAL_MASK | G_LOG_LEVEL_CRITICAL); /* warnings are wanted */
    g_test_add_func("/transport-users/same-user", test_same_user);
    g_test_add_func("/transport-users/other-user", test_other_user);
    g_test_add_func("/transport-users/secret-wrong", test_secret_wrong);
    return loom_test_run();
}
