/* Where a process listens so that those it meets reach it: the interface that leads to them,
 * the folder that they share, a name that is not known yet. */
#include "cluster/address.h"
#include "loom_test.h"

#include <unistd.h>

static void assert_beside(const char *meet, const char *interface, const char *expected)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *address = loom_address_beside(meet, interface, "rank-2-stream", &error);

    g_assert_no_error(error);
    g_assert_cmpstr(address, ==, expected);
}

static void assert_no_address(const char *meet, const char *interface, int code,
                              const char *text)
{
    g_autoptr(GError) error = NULL;

    loom_assert_failed(loom_address_beside(meet, interface, "rank-2-stream", &error), error,
                       LOOM_ERROR, code, text);
}

static void test_addresses(void)
{
    g_autofree char *ipc = g_strdup_printf("ipc:///run/x/rank-2-stream-%d", (int)getpid());

    assert_beside("ipc:///run/x/meet", NULL, ipc);
    assert_beside("loopback://meet", NULL, "loopback://meet-rank-2-stream");
    assert_beside("tcp://127.0.0.1:29500", NULL, "tcp://127.0.0.1:*");
    assert_beside("tcp://nowhere:29500", "tcp://10.0.0.5", "tcp://10.0.0.5:*");
    assert_beside("tcp://nowhere:29500", "[fe80::1]", "tcp://[fe80::1]:*");
    assert_no_address("tcp://127.0.0.1", NULL, LOOM_ERROR_CONFIG, "want tcp://HOST:PORT");
    assert_no_address("tcp://127.0.0.1:0", NULL, LOOM_ERROR_CONFIG, "want tcp://HOST:PORT");
    assert_no_address("tcp://::1:29500", NULL, LOOM_ERROR_CONFIG, "brackets around IPv6");
    assert_no_address("udp://127.0.0.1:1", NULL, LOOM_ERROR_CONFIG, "is no address");
    assert_no_address("ipc:///run/x", "10.0.0.5", LOOM_ERROR_CONFIG, "one for tcp");
    assert_no_address("tcp://h:1", "10.0.0.5:77", LOOM_ERROR_CONFIG, "without a port");
    assert_no_address("tcp://h:1", "tcp://0.0.0.0", LOOM_ERROR_CONFIG, "every interface");
    assert_no_address("tcp://no-such-host.invalid:1", NULL, LOOM_ERROR_IO,
                      "'no-such-host.invalid' does not resolve");
}

static void test_address_of_founder(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *local = loom_address_of_founder("tcp://localhost:29500", NULL, &error);
    g_autofree char *path = loom_address_of_founder("ipc:///run/x/meet", NULL, NULL);
    g_autofree char *chosen = loom_address_of_founder("tcp://a:29500", "10.0.0.5", NULL);

    g_assert_no_error(error);
    g_assert_true(g_str_equal(local, "tcp://127.0.0.1:29500")
                  || g_str_equal(local, "tcp://[::1]:29500"));
    g_assert_cmpstr(path, ==, "ipc:///run/x/meet");
    g_assert_cmpstr(chosen, ==, "tcp://10.0.0.5:29500");
    /* TEST-NET-1 of RFC 5737: nobody's */
    loom_assert_failed(loom_address_of_founder("tcp://192.0.2.1:29500", NULL, &error), error,
                       LOOM_ERROR, LOOM_ERROR_IO, "is no address of this host");
}

/* RFC 6761: no name below .invalid ever resolves. */
static void test_await(void)
{
    static const char *const known[] = {"tcp://127.0.0.1:1", "tcp://localhost:1",
                                        "ipc:///run/x/meet", "loopback://meet"};
    g_autoptr(GError) error = NULL;

    for (guint i = 0; i < G_N_ELEMENTS(known); i++) {
        g_assert_true(loom_address_await(known[i], 0, &error));
        g_assert_no_error(error);
    }
    loom_assert_failed(loom_address_await("tcp://127.0.0.1", 60, &error), error, LOOM_ERROR,
                       LOOM_ERROR_CONFIG, "want tcp://HOST:PORT");
    g_clear_error(&error);
    g_test_expect_message(NULL, G_LOG_LEVEL_WARNING,
                          "'no-such-host.invalid' does not resolve*again for 0.7 s");
    loom_assert_failed(
        loom_address_await("tcp://no-such-host.invalid:1", 0.7, &error), error, LOOM_ERROR,
        LOOM_ERROR_IO,
        "'tcp://no-such-host.invalid:1', where the ranks meet, was looked up for "
        "0.7 s: 'no-such-host.invalid' does not resolve");
    g_test_assert_expected_messages();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/address/beside", test_addresses);
    g_test_add_func("/address/founder", test_address_of_founder);
    g_test_add_func("/address/await", test_await);
    return loom_test_run();
}
