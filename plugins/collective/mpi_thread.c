/* mpi_thread - calls go to one thread, which begins them in their order and polls until MPI is
 * done: sums go on while the caller computes, a caller can be released although MPI cannot, and
 * an MPI that is no better than MPI_THREAD_FUNNELED is enough. */
#include "mpi_thread.h"

#include <pthread.h>
#include <time.h>

#define DRAIN_SECONDS 2 /* for what an abort left under way */
#define FINALIZE_SECONDS 60

typedef enum { COMMAND_NONE, COMMAND_JOIN, COMMAND_CLOSE } Command;

struct _MpiThread {
    pthread_t thread;
    MpiWorld *world;      /* the thread's alone, until it ended */
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t work, done;
    Command command;
    guint rank, size;  /* of the command to join */
    GQueue calls;      /* of MpiCall: under way, in order */
    guint64 number;    /* of the last of this generation */
    gint aborts;       /* how many there were; read without the lock as well */
    gint joined_after; /* how many before the last join */
    gboolean broken;   /* as the world's */
    gboolean closed;
    GError *error; /* for every caller, until the next join */
};

/* ---- in the thread ------------------------------------------------------------------ */

/* With the lock held, but not while MPI works: one round over all calls. */
static void mpi_thread_round(MpiThread *thread)
{
    gboolean turn = TRUE;

    for (GList *link = thread->calls.head; link && !thread->broken;) {
        MpiCall *call = link->data;
        g_autoptr(GError) error = NULL;
        LoomFlow flow;

        pthread_mutex_unlock(&thread->lock);
        flow = mpi_world_advance(thread->world, call, &turn, &error);
        pthread_mutex_lock(&thread->lock);
        link = link->next; /* only now: callers append */
        if (flow == LOOM_FLOW_OK)
            continue;
        if (flow == LOOM_FLOW_FAIL) {
            mpi_world_break(thread->world);
            thread->broken = TRUE;
            thread->error = g_steal_pointer(&error);
        } else {
            g_queue_remove(&thread->calls, call);
            mpi_call_unref(call);
        }
        pthread_cond_broadcast(&thread->done);
    }
    pthread_mutex_unlock(&thread->lock);
    mpi_world_pause(thread->world);
    pthread_mutex_lock(&thread->lock);
}

/* With the lock held, but not while MPI works. */
static void mpi_thread_obey(MpiThread *thread)
{
    const Command command = thread->command;
    const gint before = thread->joined_after;
    GError *error = NULL;

    pthread_mutex_unlock(&thread->lock);
    if (command == COMMAND_JOIN)
        mpi_world_join(thread->world, thread->rank, thread->size, before, &thread->aborts,
                       &error);
    else
        mpi_world_end(thread->world);
    pthread_mutex_lock(&thread->lock);
    if (error)
        mpi_world_break(thread->world);
    thread->error = error;
    thread->broken = mpi_world_broken(thread->world);
    thread->closed = command == COMMAND_CLOSE;
    thread->command = COMMAND_NONE;
    pthread_cond_broadcast(&thread->done);
}

static void *mpi_thread_run(void *data)
{
    MpiThread *thread = data;

    pthread_mutex_lock(&thread->lock);
    while (!thread->closed) {
        const gboolean busy = thread->calls.length > 0 && !thread->broken;

        if (thread->command)
            mpi_thread_obey(thread);
        else if (busy)
            mpi_thread_round(thread);
        else
            pthread_cond_wait(&thread->work, &thread->lock);
    }
    pthread_mutex_unlock(&thread->lock);
    return NULL;
}

/* ---- for its callers ---------------------------------------------------------------- */

/* With the lock held. */
static gboolean mpi_thread_aborted(const MpiThread *thread)
{
    return thread->aborts != thread->joined_after;
}

MpiThread *mpi_thread_new(GError **error)
{
    MpiThread *thread = g_new0(MpiThread, 1);
    pthread_condattr_t attributes;
    int code;

    thread->world = mpi_world_new();
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&thread->lock, NULL);
    pthread_cond_init(&thread->work, NULL);
    pthread_cond_init(&thread->done, &attributes);
    pthread_condattr_destroy(&attributes);
    code = pthread_create(&thread->thread, NULL, mpi_thread_run, thread);
    if (code == 0)
        return thread;
    mpi_world_free(thread->world);
    g_free(thread);
    return loom_fail_null(error, LOOM_ERROR_LIMIT, "no thread for MPI: %s", g_strerror(code));
}

/* With the lock held: until no command is under way nor, while MPI is sound, a call; @seconds
 * at most.  Returns: FALSE: a command is. */
static gboolean mpi_thread_settle(MpiThread *thread, guint seconds)
{
    struct timespec deadline;

    clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_sec += seconds;
    while (thread->command != COMMAND_NONE || (thread->calls.length > 0 && !thread->broken))
        if (pthread_cond_timedwait(&thread->done, &thread->lock, &deadline) != 0)
            break;
    return thread->command == COMMAND_NONE;
}

/* With the lock held, settled: what is still under way is given up. */
static void mpi_thread_command(MpiThread *thread, Command command)
{
    thread->command = command;
    pthread_cond_signal(&thread->work);
}

void mpi_thread_close(MpiThread *thread)
{
    gboolean ended = FALSE;

    pthread_mutex_lock(&thread->lock);
    if (mpi_thread_settle(thread, DRAIN_SECONDS)) {
        if (thread->calls.length > 0)
            mpi_world_break(thread->world);
        mpi_thread_command(thread, COMMAND_CLOSE);
        ended = mpi_thread_settle(thread, FINALIZE_SECONDS);
    }
    pthread_mutex_unlock(&thread->lock);
    if (!ended) {
        g_warning("MPI does not end: not all ranks do");
        pthread_detach(thread->thread); /* and leave it what it has */
        return;
    }
    pthread_join(thread->thread, NULL);
    if (thread->broken)
        return; /* MPI may still write to what the calls hold */
    g_clear_error(&thread->error);
    pthread_cond_destroy(&thread->work);
    pthread_cond_destroy(&thread->done);
    pthread_mutex_destroy(&thread->lock);
    mpi_world_free(thread->world);
    g_free(thread);
}

gboolean mpi_thread_join(MpiThread *thread, guint rank, guint size, GError **error)
{
    gboolean joins = FALSE;

    pthread_mutex_lock(&thread->lock);
    if (!mpi_thread_settle(thread, DRAIN_SECONDS))
        loom_fail(error, LOOM_ERROR_IO, "not all ranks came to begin MPI: " NO_SURVIVAL);
    else if (thread->calls.length > 0)
        loom_fail(error, LOOM_ERROR_IO,
                  "MPI is still at calls that not all ranks made: " NO_SURVIVAL);
    else
        joins = mpi_world_fits(thread->world, rank, size, error);
    if (joins) {
        g_clear_error(&thread->error);
        thread->joined_after = thread->aborts;
        thread->rank = rank;
        thread->size = size;
        thread->number = 0;
        mpi_thread_command(thread, COMMAND_JOIN);
    }
    pthread_mutex_unlock(&thread->lock);
    return joins;
}

void mpi_thread_abort(MpiThread *thread)
{
    pthread_mutex_lock(&thread->lock);
    g_atomic_int_inc(&thread->aborts);
    pthread_cond_broadcast(&thread->done);
    pthread_mutex_unlock(&thread->lock);
}

void mpi_thread_start(MpiThread *thread, MpiCall *call)
{
    pthread_mutex_lock(&thread->lock);
    if (!mpi_thread_aborted(thread)
        && !thread->error) { /* else the wait that follows says so */
        call->ticket.number = ++thread->number;
        g_queue_push_tail(&thread->calls, mpi_call_ref(call));
        pthread_cond_signal(&thread->work);
    }
    pthread_mutex_unlock(&thread->lock);
}

LoomFlow mpi_thread_wait(MpiThread *thread, const MpiCall *call, GError **error)
{
    LoomFlow flow = LOOM_FLOW_OK;

    pthread_mutex_lock(&thread->lock);
    while (!mpi_thread_aborted(thread) && !thread->error
           && (call ? g_queue_find(&thread->calls, call) != NULL : thread->calls.length > 0))
        pthread_cond_wait(&thread->done, &thread->lock);
    if (mpi_thread_aborted(thread)) {
        flow = LOOM_FLOW_STOP;
    } else if (thread->error) {
        g_propagate_error(error, g_error_copy(thread->error));
        flow = LOOM_FLOW_FAIL;
    }
    pthread_mutex_unlock(&thread->lock);
    return flow;
}

gboolean mpi_thread_holds(MpiThread *thread, const float *values)
{
    gboolean holds = FALSE;

    pthread_mutex_lock(&thread->lock);
    for (const GList *link = thread->calls.head; link; link = link->next)
        holds = holds || ((const MpiCall *)link->data)->values == values;
    pthread_mutex_unlock(&thread->lock);
    return holds;
}

char *mpi_thread_waiting(MpiThread *thread)
{
    g_autofree char *what = NULL;

    pthread_mutex_lock(&thread->lock);
    if (thread->calls.length > 0)
        what = mpi_call_text(thread->calls.head->data);
    else if (thread->command == COMMAND_JOIN)
        what = g_strdup("begin of MPI");
    pthread_mutex_unlock(&thread->lock);
    return what ? g_strdup_printf("%s waits for other ranks; MPI does not say which", what)
                : NULL;
}
