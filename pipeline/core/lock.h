/* lock.h - mutex and condition of pthreads, with a guard that unlocks at the end of the scope.
 * Not GMutex: ThreadSanitizer does not see the futexes of an uninstrumented GLib and reports
 * races that are none; a detector that cries wolf is switched off. */
#pragma once

#include <glib.h>
#include <pthread.h>
#include <time.h>

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

/* A signal that can be waited for by g_get_monotonic_time. */
static inline void loom_signal_init(LoomSignal *signal)
{
    pthread_condattr_t attributes;

    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(signal, &attributes);
    pthread_condattr_destroy(&attributes);
}

/* FALSE: it is @until, in microseconds, and nobody signalled. */
static inline gboolean loom_signal_wait_until(LoomSignal *signal, LoomLock *lock, gint64 until)
{
    const struct timespec time = {.tv_sec = (time_t)(until / G_USEC_PER_SEC),
                                  .tv_nsec = (long)(until % G_USEC_PER_SEC) * 1000};

    return pthread_cond_timedwait(signal, lock, &time) == 0;
}

/* Holds @lock until the end of the enclosing block. */
#define LOOM_LOCKED(lock)                                                                      \
    __attribute__((cleanup(loom_lock_leave), unused)) LoomLock *G_PASTE(locked_, __LINE__) =   \
        loom_lock_enter(lock)
