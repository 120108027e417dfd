/* How many processors this process may use: what it is bound to, and the limits of the control
 * groups around it. */
#define _GNU_SOURCE /* sched_setaffinity */
#include "loom_test.h"

#include "core/processors.h"

#include <sched.h>

static void limit_write(const char *mount, const char *group, const char *text)
{
    g_autofree char *folder = g_build_filename(mount, group, NULL);
    g_autofree char *path = g_build_filename(folder, "cpu.max", NULL);

    g_assert_cmpint(g_mkdir_with_parents(folder, 0755), ==, 0);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void test_limit(void)
{
    g_autofree char *mount = loom_test_folder();

    g_assert_cmpuint(loom_processors_limit("0::/job/step\n", mount), ==, 0); /* nothing there */
    limit_write(mount, "job/step", "max 100000\n");
    g_assert_cmpuint(loom_processors_limit("0::/job/step\n", mount), ==, 0);
    limit_write(mount, "job/step", "250000 100000\n");
    g_assert_cmpuint(loom_processors_limit("0::/job/step\n", mount), ==, 3);
    g_assert_cmpuint(loom_processors_limit("9:cpu:/x\n0::/job/step\n", mount), ==, 3);
    g_assert_cmpuint(loom_processors_limit("9:cpu:/job/step\n", mount), ==, 0); /* version 1 */
    limit_write(mount, "job", "150000 100000\n"); /* the group around it has less */
    g_assert_cmpuint(loom_processors_limit("0::/job/step\n", mount), ==, 2);
    limit_write(mount, "", "5000 100000"); /* a container sees its own group as the root */
    g_assert_cmpuint(loom_processors_limit("0::/job/step\n", mount), ==, 1);
    g_assert_cmpuint(loom_processors_limit("0::/\n", mount), ==, 1);
    g_assert_cmpuint(loom_processors_limit("", mount), ==, 0);
    for (const char *const *wrong =
             (const char *const[]){"", "max", "12", "12 0", "-1 -1", "x y", NULL};
         *wrong; wrong++) {
        limit_write(mount, "odd", *wrong);
        limit_write(mount, "", "max 100000");
        g_assert_cmpuint(loom_processors_limit("0::/odd\n", mount), <=, 1);
    }
    loom_test_folder_remove(mount);
}

static void test_bound(void)
{
    cpu_set_t allowed, one;
    gsize last = 0;

    g_assert_cmpint(sched_getaffinity(0, sizeof allowed, &allowed), ==, 0);
    g_assert_cmpuint(loom_processors(), >=, 1);
    g_assert_cmpuint(loom_processors(), <=, (guint)CPU_COUNT(&allowed));
    for (gsize i = 0; i < CPU_SETSIZE; i++)
        last = CPU_ISSET(i, &allowed) ? i : last;
    CPU_ZERO(&one);
    CPU_SET(last, &one);
    g_assert_cmpint(sched_setaffinity(0, sizeof one, &one), ==, 0);
    g_assert_cmpuint(loom_processors(), ==, 1);
    g_assert_cmpint(sched_setaffinity(0, sizeof allowed, &allowed), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/processors/limit", test_limit);
    g_test_add_func("/processors/bound", test_bound);
    return loom_test_run();
}
