/* pool - the threads that share one loop at a time.
 *
 * One job is in work at once.  A caller that finds the pool busy (another lane computes) does
 * its loop alone: it would only have waited for the same processors. */
#include <loom/context.h>

#include "lock.h"
#include "processors.h"

struct _LoomPool {
    LoomLock turn; /* held by the caller whose job is in work */
    LoomLock lock; /* guards all below but `next` */
    LoomSignal posted, finished;
    guint64 job; /* number of the job in work, so that a thread never takes one twice */
    guint busy;  /* threads that still work on it */
    gboolean closing;
    gint64 n;
    LoomParallelFunc func;
    gpointer data;
    gint64 next; /* atomic: the first i that nobody has taken */
    guint n_threads;
    GThread **threads; /* n_threads - 1: the caller is the first */
};

typedef struct {
    LoomPool *pool;
    guint worker;
} PoolThread;

static void pool_work(LoomPool *pool, guint worker)
{
    for (;;) {
        const gint64 i = __atomic_fetch_add(&pool->next, 1, __ATOMIC_RELAXED);

        if (i >= pool->n)
            return;
        pool->func(i, worker, pool->data);
    }
}

static gpointer pool_thread(gpointer data)
{
    g_autofree PoolThread *self = data;
    LoomPool *pool = self->pool;
    guint64 done = 0;

    for (;;) {
        pthread_mutex_lock(&pool->lock);
        while (pool->job == done && !pool->closing)
            pthread_cond_wait(&pool->posted, &pool->lock);
        done = pool->job;
        const gboolean closing = pool->closing;
        pthread_mutex_unlock(&pool->lock);
        if (closing)
            return NULL;

        pool_work(pool, self->worker);
        LOOM_LOCKED(&pool->lock);
        if (--pool->busy == 0)
            pthread_cond_signal(&pool->finished);
    }
}

LoomPool *loom_pool_new(guint threads)
{
    LoomPool *pool = g_new0(LoomPool, 1);

    pool->n_threads = threads ? threads : loom_processors();
    pthread_mutex_init(&pool->turn, NULL);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->posted, NULL);
    pthread_cond_init(&pool->finished, NULL);
    pool->threads = g_new0(GThread *, pool->n_threads);
    for (guint i = 1; i < pool->n_threads; i++) {
        PoolThread *self = g_new(PoolThread, 1);

        *self = (PoolThread){pool, i};
        pool->threads[i] = g_thread_new("pool", pool_thread, self);
    }
    return pool;
}

void loom_pool_free(LoomPool *pool)
{
    if (!pool)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->closing = TRUE;
    pthread_cond_broadcast(&pool->posted);
    pthread_mutex_unlock(&pool->lock);
    for (guint i = 1; i < pool->n_threads; i++)
        g_thread_join(pool->threads[i]);
    pthread_cond_destroy(&pool->finished);
    pthread_cond_destroy(&pool->posted);
    pthread_mutex_destroy(&pool->lock);
    pthread_mutex_destroy(&pool->turn);
    g_free(pool->threads);
    g_free(pool);
}

guint loom_pool_threads(const LoomPool *pool)
{
    return pool ? pool->n_threads : 1;
}

void loom_pool_run(LoomPool *pool, gint64 n, LoomParallelFunc func, gpointer data)
{
    if (n < 2 || loom_pool_threads(pool) < 2 || pthread_mutex_trylock(&pool->turn) != 0) {
        for (gint64 i = 0; i < n; i++)
            func(i, 0, data);
        return;
    }

    pthread_mutex_lock(&pool->lock);
    pool->n = n;
    pool->func = func;
    pool->data = data;
    __atomic_store_n(&pool->next, 0, __ATOMIC_RELAXED);
    pool->busy = pool->n_threads - 1;
    pool->job++;
    pthread_cond_broadcast(&pool->posted);
    pthread_mutex_unlock(&pool->lock);

    pool_work(pool, 0);
    pthread_mutex_lock(&pool->lock);
    while (pool->busy)
        pthread_cond_wait(&pool->finished, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
    pthread_mutex_unlock(&pool->turn);
}
