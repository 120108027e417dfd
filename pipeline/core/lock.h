/* lock.h - mutex and condition of pthreads, with a guard that unlocks at the end of the scope.
 * Not GMutex: ThreadSanitizer does not see the futexes of an uninstrumented GLib and reports
 * races that are none; a detector that cries wolf is switched off. */
#pragma once

#include <glib.h>
#include <pthread.h>

typedef pthread_mutex_t LoomLock;
typedef pthread_cond_t LoomSignal;

static inline LoomLock *loom_lock_enter(LoomLock *lock)
{
    pthread_mutex_lock(lock);
    return lock;
}

static inline void loom_lock_leave(LoomLock **lock)
{
    pthread_mutex_unlock(*lock);
}

/* Holds @lock until the end of the enclosing block. */
#define LOOM_LOCKED(lock)                                                                      \
    __attribute__((cleanup(loom_lock_leave), unused)) LoomLock *G_PASTE(locked_, __LINE__) =   \
        loom_lock_enter(lock)
