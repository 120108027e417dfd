/* test-transport-faults - the transport `faulty` of the tests does what its parameters say. */
#include "transport_ways.h"

#include <glib/gstdio.h>

/* Sends 100 messages through @yaml's faults; the numbers that came, in their order. */
static GArray *spoil(const char *yaml)
{
    const Way way = {"faulty", yaml, "loopback://*", FALSE};
    g_autoptr(Net) net = net_new(&way);
    LoomPort *a = net_port(net), *b = net_port(net);
    const guint link = net_link(net, a, net_address(net, b));
    GArray *came = g_array_new(FALSE, FALSE, sizeof(guint32));
    guint quiet = 0;

    for (guint32 sent = 0; quiet < 40;) {
        g_autoptr(GBytes) bytes = net_number(sent, 100);

        if (sent < 100 && net_try(net, a, link, &bytes, 1) == LOOM_FLOW_OK)
            sent++;
        net_receive(net, a, 2); /* what is late goes out */
        LoomPortEvent event = net_receive(net, b, sent < 100 ? 0 : 3);
        quiet = event.frames || sent < 100 ? 0 : quiet + 1;
        if (event.frames) {
            const guint32 number = net_number_of(event.frames->pdata[0], 100);

            g_array_append_val(came, number);
            g_ptr_array_unref(event.frames);
        }
    }
    net_close(net, a);
    net_close(net, b);
    return came;
}

static void test_faults(void)
{
    g_autoptr(GArray) none = spoil("{use: faulty, over: {use: loopback}, drop: 100}");
    g_autoptr(GArray) some = spoil("{use: faulty, over: {use: loopback}, drop: 30}");
    g_autoptr(GArray) again = spoil("{use: faulty, over: {use: loopback}, drop: 30}");
    g_autoptr(GArray) twice = spoil("{use: faulty, over: {use: loopback}, double: 100}");
    g_autoptr(GArray) turned = spoil("{use: faulty, over: {use: loopback}, reorder: 20}");
    g_autoptr(GArray) late = spoil("{use: faulty, over: {use: loopback}, delay_ms: 30}");
    guint seen[100] = {0}, before = 0;

    g_assert_cmpuint(none->len, ==, 0);
    g_assert_cmpuint(some->len, >, 45); /* 70 +- 5 standard deviations of 4.6 */
    g_assert_cmpuint(some->len, <, 95);
    g_assert_cmpuint(some->len, ==, again->len);
    g_assert_true(memcmp(some->data, again->data, some->len * sizeof(guint32)) == 0);
    g_assert_cmpuint(twice->len, ==, 200);
    for (guint i = 0; i < 200; i++)
        seen[g_array_index(twice, guint32, i)]++;
    for (guint i = 0; i < 100; i++)
        g_assert_cmpuint(seen[i], ==, 2);
    g_assert_cmpuint(turned->len, ==, 100);
    for (guint i = 1; i < 100; i++)
        before += g_array_index(turned, guint32, i) < g_array_index(turned, guint32, i - 1);
    g_assert_cmpuint(before, >, 0);
    g_assert_cmpuint(late->len, ==, 100);
    for (guint32 i = 0; i < 100; i++)
        g_assert_cmpuint(g_array_index(late, guint32, i), ==, i);
}

static void test_cut(void)
{
    const Way way = {"faulty", "{use: faulty, over: {use: loopback}, cut: %s/cut}",
                     "loopback://*", FALSE};
    g_autoptr(Net) net = net_new(&way);
    LoomPort *a = net_port(net), *b = net_port(net);
    const guint link = net_link(net, a, net_address(net, b));
    g_autofree char *cut = g_build_filename(net->folder, "cut", NULL);

    net_send(net, a, link, "before");
    net_expect(net, b, "before");
    net_send(net, a, link, "under way");
    g_assert_true(g_file_set_contents(cut, "", 0, NULL));
    net_send(net, a, link, "during");
    net_expect_silence(net, b, 50);
    g_assert_cmpint(g_remove(cut), ==, 0);
    net_send(net, a, link, "after");
    net_expect(net, b, "after");
    net_close(net, a);
    net_close(net, b);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_setenv("LOOM_MODULE_PATH", TEST_MODULES, TRUE);
    g_test_add_func("/transport-faults/messages", test_faults);
    g_test_add_func("/transport-faults/cut", test_cut);
    return loom_test_run();
}
