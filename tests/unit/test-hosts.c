/* Compressed lists of hosts: what Slurm writes, what it does not, and what anybody might. */
#include "loom_test.h"
#include "mutated.h"

#include "cluster/rendezvous.h"

#include <string.h>

static void test_hosts(void)
{
    static const struct {
        const char *list, *hosts;
    } good[] = {
        {"n1", "n1"},
        {"n[1-4,7],gpu01", "n1 n2 n3 n4 n7 gpu01"},
        {"n[001-003]", "n001 n002 n003"},
        {"n[8-11]", "n8 n9 n10 n11"},
        {"n[08-11]", "n08 n09 n10 n11"},
        {"rack[0-1]n[1-2]-ib", "rack0n1-ib rack0n2-ib rack1n1-ib rack1n2-ib"},
        {"a,b.example.org,[1-2]", "a b.example.org 1 2"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(good); i++) {
        g_autoptr(GError) error = NULL;
        g_auto(GStrv) hosts = loom_hosts_expand(good[i].list, &error);

        g_assert_no_error(error);
        g_autofree char *text = g_strjoinv(" ", hosts);
        g_assert_cmpstr(text, ==, good[i].hosts);
    }
    g_auto(GStrv) most = loom_hosts_expand("n[0-4095]", NULL);
    g_assert_cmpuint(g_strv_length(most), ==, 4096);
}

static void test_hosts_wrong(void)
{
    static const struct {
        const char *list, *message;
    } rows[] = {
        {"", "a host without a name"},
        {"a,", "a host without a name"},
        {",a", "a host without a name"},
        {"n[1-3", "'[1-3': want letters, digits and up to 4 times [1-3,7]"},
        {"n1]", "']': want letters"},
        {"n[]", "']': want a number of 1 to 9 digits"},
        {"n[3-1]", "'3-1]': want a range from low to high"},
        {"n[1-]", "'1-]': want a range"},
        {"n[1,]", "']': want a number"},
        {"n[a-b]", "'a-b]': want a number"},
        {"n[1-3x]", "'x]': want ',' or ']'"},
        {"n[[1]]", "'[1]]': want a number"},
        {"n[1-9999999999]", "want a range"},
        {"n[0-4096]", "more than 4096 hosts"},
        {"n[0-999999999]", "more than 4096 hosts"},
        {"n[0-99]m[0-99]k[0-99]", "more than 4096 hosts"},
        {"a[1]b[1]c[1]d[1]e[1]", "up to 4 times"},
        {"n 1", "' 1': want letters"},
        {"n\n1", "byte 0x0a is in no list of hosts"},
        {"n\xff", "byte 0xff is in no list of hosts"},
    };
    g_autofree char *long_name = g_strnfill(300, 'x');
    g_autofree char *long_list = g_strnfill(70000, ',');
    g_autoptr(GError) error = NULL, other = NULL;

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) refused = NULL;

        loom_assert_failed(loom_hosts_expand(rows[i].list, &refused), refused, LOOM_ERROR,
                           LOOM_ERROR_CONFIG, rows[i].message);
    }
    loom_assert_failed(loom_hosts_expand(long_name, &error), error, LOOM_ERROR,
                       LOOM_ERROR_CONFIG, "a host name of more than 253 letters");
    loom_assert_failed(loom_hosts_expand(long_list, &other), other, LOOM_ERROR,
                       LOOM_ERROR_CONFIG, "more than 65536 bytes");
}

/* Either hosts, in bounds and with names, or an error that says why. */
static void test_hosts_fuzzed(void)
{
    static const char *const seeds[] = {"n[1-4,7],gpu01,rack[0-1]n[001-020]-ib.example.org",
                                        "n[0-4095]", "[0-9][0-9][0-9]", "a,b,c,d,e,f,g,h,i,j"};
    g_autoptr(GRand) random = g_rand_new_with_seed(11);
    guint accepted = 0;

    for (guint i = 0; i < 4000; i++) {
        g_autofree char *list = mutated(random, seeds[i % G_N_ELEMENTS(seeds)]);
        g_autoptr(GError) error = NULL;
        g_auto(GStrv) hosts = loom_hosts_expand(list, &error);

        if (!hosts) {
            g_assert_error(error, LOOM_ERROR, (gint)LOOM_ERROR_CONFIG);
            continue;
        }
        g_assert_no_error(error);
        g_assert_cmpuint(g_strv_length(hosts), <=, 4096);
        for (char **host = hosts; *host; host++)
            g_assert_true(**host && strlen(*host) <= 253 && !strpbrk(*host, ",[] "));
        accepted++;
    }
    g_assert_cmpuint(accepted, >, 200);
    g_assert_cmpuint(accepted, <, 3800);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/hosts/expand", test_hosts);
    g_test_add_func("/hosts/wrong", test_hosts_wrong);
    g_test_add_func("/hosts/fuzzed", test_hosts_fuzzed);
    return loom_test_run();
}
