/* memory_used - the resident set, as Linux tells it: second number of /proc/self/statm. */
#include "memory_used.h"

#include <string.h>
#include <unistd.h>

guint64 memory_used(void)
{
    g_autofree char *text = NULL;

    if (!g_file_get_contents("/proc/self/statm", &text, NULL, NULL))
        return 0;
    const char *second = strchr(text, ' ');
    return second ? g_ascii_strtoull(second + 1, NULL, 10) * (guint64)sysconf(_SC_PAGESIZE) : 0;
}
