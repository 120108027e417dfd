/* cpu_memory - memory in pages of 2 MiB where it is large: rows of an activation lie a small
 * page apart, so that tiles of it would need more addresses at hand than a processor keeps. */
#include "cpu.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define LARGE_PAGE ((gsize)2 << 20)

guint64 memory_bytes(gint64 floats)
{
    return ((guint64)floats * sizeof(float) / 64 + 1) * 64;
}

float *memory_take(gint64 floats, const char *what, GError **error)
{
    const gboolean large = memory_bytes(floats) >= 2 * LARGE_PAGE;
    void *memory = NULL;

    g_assert(floats >= 0);
    if (floats >= G_MAXINT64 / 16
        || posix_memalign(&memory, large ? LARGE_PAGE : 64, memory_bytes(floats)) != 0)
        return loom_fail_null(error, LOOM_ERROR_LIMIT,
                              "no memory for %s of %" G_GINT64_FORMAT " values", what, floats);
#ifdef MADV_HUGEPAGE
    if (large)
        (void)madvise(memory, memory_bytes(floats), MADV_HUGEPAGE); /* a wish: it may fail */
#endif
    return memory;
}

float *memory_new(gint64 floats, const char *what, GError **error)
{
    float *memory = memory_take(floats, what, error);

    return memory ? memset(memory, 0, memory_bytes(floats)) : NULL;
}
