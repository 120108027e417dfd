/* cluster_thread - the thread that listens: it hands to the machine what the training asks,
 * what arrives and what time it is, and carries out what the machine wants done.
 *
 * It never waits for a disk: while it does not listen, others think that it is lost.  The one
 * exception is a claim, a file that is made while nobody listens to this process anyway. */
#include "cluster_thread.h"

#include "lease.h"

#include <signal.h>

#define STEP_MS 1000

Ask *ask_new(AskKind kind)
{
    Ask *ask = g_new0(Ask, 1);

    ask->kind = kind;
    return ask;
}

void ask_free(Ask *ask)
{
    g_free(ask->address);
    g_free(ask->key);
    g_free(ask->text);
    g_free(ask);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Ask, ask_free)

void cluster_ask(LoomCluster *cluster, Ask *ask)
{
    {
        LOOM_LOCKED(&cluster->lock);
        g_queue_push_tail(&cluster->asks, ask);
    }
    loom_control_wake(cluster->control);
}

void cluster_end(LoomCluster *cluster, LoomEnding ending, const char *reason)
{
    cluster->halted = TRUE;
    if (cluster->ended)
        return;
    cluster->ended = TRUE;
    cluster->ending = ending;
    cluster->reason = g_strdup(reason ? reason : "");
}

/* ---- to the machine ----------------------------------------------------------------- */

static void ask_tell(LoomMachine *machine, const Ask *ask)
{
    const gint64 now = loom_control_now();

    switch (ask->kind) {
    case ASK_STATE:
        loom_machine_state(machine, ask->step, ask->taken, now);
        break;
    case ASK_READY:
        loom_machine_ready(machine, ask->generation, ask->ready, ask->sees, now);
        break;
    case ASK_TRY:
        loom_machine_try(machine, ask->address, ask->key, now);
        break;
    case ASK_REPORT:
        loom_machine_report(machine, ask->text, now);
        break;
    case ASK_LEAVE:
        loom_machine_leave(machine, now);
        break;
    case ASK_DONE:
        loom_machine_done(machine, now);
        break;
    case ASK_FAILED:
        loom_machine_failed(machine, ask->text, ask->recurs, now);
        break;
    }
}

static Ask *ask_take(LoomCluster *cluster)
{
    LOOM_LOCKED(&cluster->lock);
    return g_queue_pop_head(&cluster->asks);
}

static void progress_tell(LoomCluster *cluster, LoomMachine *machine)
{
    gint64 step;
    guint64 progress;
    gboolean waiting;
    {
        LOOM_LOCKED(&cluster->lock);
        step = cluster->step;
        progress = cluster->progress;
        waiting = cluster->waiting > 0;
    }
    loom_machine_progress(machine, step, progress, waiting);
}

/* ---- from the machine --------------------------------------------------------------- */

/* The generation is over, or this process takes no further part. */
static void act_halt(LoomCluster *cluster, const LoomAct *act)
{
    {
        LOOM_LOCKED(&cluster->lock);
        g_clear_pointer(&cluster->proposed, loom_view_free);
        if (act->kind == LOOM_ACT_END) {
            cluster_end(cluster, act->ending, act->text);
        } else {
            cluster->halted = cluster->state_due = TRUE;
        }
        pthread_cond_broadcast(&cluster->changed);
    }
    if (cluster->halted_call)
        cluster->halted_call(cluster->halted_data);
}

static void act_prepare(LoomCluster *cluster, LoomAct *act)
{
    LOOM_LOCKED(&cluster->lock);
    g_clear_pointer(&cluster->proposed, loom_view_free);
    cluster->proposed = g_steal_pointer(&act->view);
    cluster->proposal = cluster->proposed->generation;
    pthread_cond_broadcast(&cluster->changed);
}

static void act_begin(LoomCluster *cluster, const LoomAct *act)
{
    LOOM_LOCKED(&cluster->lock);
    cluster->begun = act->view->generation;
    cluster->shared = act->view->shared;
    cluster->halted = FALSE;
    pthread_cond_broadcast(&cluster->changed);
}

static void act_claim(LoomCluster *cluster, guint64 generation)
{
    g_autoptr(GError) error = NULL;
    guint64 begun, known;
    {
        LOOM_LOCKED(&cluster->lock);
        begun = cluster->begun;
        known = MAX(cluster->proposal, begun);
    }
    const gboolean granted =
        cluster->folder
            ? loom_lease_claim(cluster->folder, generation, begun, known, cluster->self, &error)
            : loom_fail(&error, LOOM_ERROR_IO, "there is no run folder to claim it in");

    if (!granted)
        g_message("this rank may not go on without a majority: %s", error->message);
    loom_machine_claimed(loom_control_machine(cluster->control), generation, granted,
                         loom_control_now());
}

static void acts_carry_out(LoomCluster *cluster)
{
    for (;;) {
        g_autoptr(LoomAct) act = loom_control_next(cluster->control);

        if (!act)
            return;
        switch (act->kind) {
        case LOOM_ACT_SEND: /* done by control */
            break;
        case LOOM_ACT_HALT:
        case LOOM_ACT_END:
            act_halt(cluster, act);
            break;
        case LOOM_ACT_PREPARE:
            act_prepare(cluster, act);
            break;
        case LOOM_ACT_BEGIN:
            act_begin(cluster, act);
            break;
        case LOOM_ACT_CLAIM:
            act_claim(cluster, act->generation);
            break;
        case LOOM_ACT_NOTE:
            g_warning("%s", act->text);
            break;
        }
    }
}

/* ---- the thread --------------------------------------------------------------------- */

/* FALSE: nobody asks for more. */
static gboolean cluster_turn(LoomCluster *cluster)
{
    LoomMachine *machine = loom_control_machine(cluster->control);
    const gboolean wants_halt = loom_machine_wants_halt(machine);

    LOOM_LOCKED(&cluster->lock);
    cluster->wants_halt = wants_halt;
    return !cluster->closing || cluster->asks.length > 0;
}

/* Nobody can be heard any more: as if all others were gone, but it is this end that broke. */
static void cluster_break(LoomCluster *cluster, GError *error)
{
    {
        LOOM_LOCKED(&cluster->lock);
        cluster->error = error;
        cluster->halted = TRUE;
        pthread_cond_broadcast(&cluster->changed);
    }
    if (cluster->halted_call)
        cluster->halted_call(cluster->halted_data);
}

static void *cluster_thread(void *data)
{
    LoomCluster *cluster = data;
    LoomMachine *machine = loom_control_machine(cluster->control);
    GError *error = NULL;
    Ask *ask;

    do {
        while ((ask = ask_take(cluster))) {
            ask_tell(machine, ask);
            ask_free(ask);
            acts_carry_out(cluster);
        }
        progress_tell(cluster, machine);
        if (!loom_control_step(cluster->control, STEP_MS, &error))
            break;
        acts_carry_out(cluster);
    } while (cluster_turn(cluster));
    if (error)
        cluster_break(cluster, error);
    return NULL;
}

gboolean cluster_listen(LoomCluster *cluster, gint64 step, GError **error)
{
    g_autoptr(LoomMember) self = loom_member_copy(cluster->self);
    sigset_t all, before;

    self->step = step;
    loom_control_begin(cluster->control,
                       loom_machine_new(&cluster->options, self, cluster->config, cluster->meet,
                                        self->incarnation));
    sigfillset(&all); /* signals are for the thread that waits for them */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    cluster->listening = pthread_create(&cluster->thread, NULL, cluster_thread, cluster) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return cluster->listening
           || loom_fail(error, LOOM_ERROR_LIMIT, "no thread to listen to other ranks");
}

void cluster_deafen(LoomCluster *cluster)
{
    if (!cluster->listening)
        return;
    {
        LOOM_LOCKED(&cluster->lock);
        cluster->closing = TRUE;
    }
    loom_control_wake(cluster->control);
    pthread_join(cluster->thread, NULL);
    cluster->listening = FALSE;
}
