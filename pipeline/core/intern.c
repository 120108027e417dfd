/* intern - see intern.h. */
#include "intern.h"

#include "lock.h"

static LoomLock interning = PTHREAD_MUTEX_INITIALIZER;

const char *loom_intern(const char *text)
{
    LOOM_LOCKED(&interning);
    return g_intern_string(text);
}
