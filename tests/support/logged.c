/* logged - see logged.h. */
#include "logged.h"

#include "core/lock.h"

#include <string.h>

static LoomLock lock = PTHREAD_MUTEX_INITIALIZER;
static GString *logged; /* under the lock: transports have threads of their own */

static void log_keep(G_GNUC_UNUSED const char *domain, GLogLevelFlags level, const char *text,
                     G_GNUC_UNUSED gpointer unused)
{
    LOOM_LOCKED(&lock);
    if (level & G_LOG_LEVEL_WARNING)
        g_string_append_printf(logged, "%s\n", text);
    else if (level & (G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_ERROR))
        g_printerr("%s\n", text);
}

void logged_begin(void)
{
    logged = g_string_new(NULL);
    g_log_set_default_handler(log_keep, NULL);
}

gboolean logged_has(const char *text)
{
    LOOM_LOCKED(&lock);
    return strstr(logged->str, text) != NULL;
}

void logged_clear(void)
{
    LOOM_LOCKED(&lock);
    g_string_truncate(logged, 0);
}

char *logged_text(void)
{
    LOOM_LOCKED(&lock);
    return g_strdup(logged->str);
}
