/* processors - see processors.h. */
#define _GNU_SOURCE /* sched_getaffinity */
#include "processors.h"

#include <sched.h>
#include <string.h>

/* "200000 100000": microseconds of work in so many of time; "max 100000": no limit. */
static guint limit_read(const char *folder)
{
    g_autofree char *path = g_build_filename(folder, "cpu.max", NULL);
    g_autofree char *text = NULL;
    char *end;

    if (!g_file_get_contents(path, &text, NULL, NULL))
        return 0;
    const guint64 work = g_ascii_strtoull(text, &end, 10);
    const guint64 period = end == text ? 0 : g_ascii_strtoull(end, NULL, 10);
    if (period == 0)
        return 0;
    return (guint)CLAMP(work / period + (work % period > 0), 1, G_MAXINT);
}

guint loom_processors_limit(const char *membership, const char *mount)
{
    const char *line =
        g_str_has_prefix(membership, "0::/") ? membership : strstr(membership, "\n0::/");
    guint limit = 0;

    if (!line)
        return 0;
    line = strstr(line, "0::/") + strlen("0::");
    g_autofree char *group = g_strndup(line, strcspn(line, "\n"));
    /* up to the root of what is mounted here: a container may see itself as that root */
    for (char *slash = group + strlen(group); slash; slash = strrchr(group, '/')) {
        *slash = '\0';
        g_autofree char *folder = g_build_filename(mount, group, NULL);
        const guint one = limit_read(folder);

        limit = one && (!limit || one < limit) ? one : limit;
    }
    return limit;
}

guint loom_processors(void)
{
    g_autofree char *membership = NULL;
    guint n = g_get_num_processors(), limit = 0;
    cpu_set_t bound;

    if (sched_getaffinity(0, sizeof bound, &bound) == 0)
        n = MAX(1, (guint)CPU_COUNT(&bound));
    if (g_file_get_contents("/proc/self/cgroup", &membership, NULL, NULL))
        limit = loom_processors_limit(membership, "/sys/fs/cgroup");
    return limit ? MIN(n, limit) : n;
}
