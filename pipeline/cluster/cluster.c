/* cluster - what the thread that trains says to the others, and waits for. */
#include "cluster.h"

#include "address.h"
#include "cluster_thread.h"
#include "lease.h"

#include <string.h>

#define SEEN_MS 1000   /* until a lease that was written must be seen */
#define LOOK_MS 1000   /* between two looks at the lease of a run to join */
#define FAILED_MS 1000 /* for the others to hear why this process failed */
#define LINK_BEATS 2   /* heartbeats, until a rank whose connection broke is lost */

/* ---- begin and end ------------------------------------------------------------------ */

char *loom_cluster_listen_address(const LoomClusterOptions *options,
                                  const LoomRendezvous *rendezvous, const char *what,
                                  GError **error)
{
    g_autofree char *name = g_strdup_printf("rank-%u-%s", rendezvous->rank, what);

    if (!options->address && !loom_address_await(rendezvous->meet, options->wait, error))
        return NULL;
    return loom_address_beside(rendezvous->meet, options->address, name, error);
}

static gint64 milliseconds(double seconds)
{
    return MAX(1, (gint64)(seconds * 1000 + 0.5));
}

gboolean loom_cluster_options_check(const LoomClusterOptions *options, guint size,
                                    GError **error)
{
    if (options->suspect < 3 * options->beat)
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "suspect (%g s) must be at least three beats (of %g s)",
                         options->suspect, options->beat);
    if (size > 1 && options->min_ranks > size)
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "min_ranks (%" G_GINT64_FORMAT ") is more than the %u ranks there are",
                         options->min_ranks, size);
    return TRUE;
}

static LoomMemberOptions member_options(const LoomClusterOptions *options,
                                        const LoomRendezvous *rendezvous, guint n_groups)
{
    return (LoomMemberOptions){
        .size = rendezvous->size,
        .founder = rendezvous->rank == 0,
        .n_groups = n_groups,
        .min_ranks = (guint)options->min_ranks,
        .wait_ms = milliseconds(options->wait),
        .beat_ms = milliseconds(options->beat),
        .suspect_ms = milliseconds(options->suspect),
        .lost_ms = milliseconds(LINK_BEATS * options->beat),
        .stall_ms = milliseconds(options->stall),
        .grace_ms = milliseconds(options->suspect),
    };
}

static guint64 random_incarnation(void)
{
    guint64 value = 0;

    while (value == 0) /* 0: nobody */
        value = (guint64)g_random_int() << 32 | g_random_int();
    return value;
}

/* The founder listens where all meet, the others where they can be reached from there. */
static LoomControl *control_open(const LoomClusterOptions *options,
                                 const LoomRendezvous *rendezvous,
                                 const LoomInstance *transport, GError **error)
{
    g_autofree char *address =
        rendezvous->rank == 0
            ? loom_address_of_founder(rendezvous->meet, options->address, error)
            : loom_cluster_listen_address(options, rendezvous, "control", error);
    LoomControl *control = address ? loom_control_new(transport, address, error) : NULL;

    if (!control)
        g_prefix_error(error, "rank %u cannot listen to the other ranks: ", rendezvous->rank);
    return control;
}

LoomCluster *loom_cluster_new(const LoomClusterOptions *options,
                              const LoomRendezvous *rendezvous, const LoomInstance *transport,
                              LoomMember *member, guint n_groups, const char *config,
                              const char *folder, void (*halted)(gpointer data), gpointer data,
                              GError **error)
{
    g_assert(rendezvous->meet && rendezvous->rank < rendezvous->size);
    if (!loom_cluster_options_check(options, rendezvous->size, error))
        return NULL;
    LoomControl *control = control_open(options, rendezvous, transport, error);
    if (!control)
        return NULL;
    LoomCluster *cluster = g_new0(LoomCluster, 1);
    pthread_mutex_init(&cluster->lock, NULL);
    loom_signal_init(&cluster->changed);
    g_queue_init(&cluster->asks);
    cluster->control = control;
    g_free(member->control);
    member->control = g_strdup(loom_control_address(control));
    member->incarnation = random_incarnation();
    cluster->options = member_options(options, rendezvous, n_groups);
    cluster->self = loom_member_copy(member);
    cluster->config = g_strdup(config);
    cluster->meet = g_strdup(rendezvous->rank == 0 ? member->control : rendezvous->meet);
    cluster->folder = g_strdup(folder);
    cluster->halted_call = halted;
    cluster->halted_data = data;
    cluster->halted = cluster->state_due = TRUE;
    return cluster;
}

void loom_cluster_free(LoomCluster *cluster)
{
    if (!cluster)
        return;
    cluster_deafen(cluster);
    loom_control_free(cluster->control);
    if (cluster->folder && cluster->ended && cluster->ending != LOOM_END_LEFT
        && cluster->ending != LOOM_END_CUT_OFF)
        loom_lease_remove(cluster->folder, cluster->self->control);
    g_queue_clear_full(&cluster->asks, (GDestroyNotify)ask_free);
    loom_view_free(cluster->proposed);
    loom_member_free(cluster->self);
    g_clear_error(&cluster->error);
    pthread_cond_destroy(&cluster->changed);
    pthread_mutex_destroy(&cluster->lock);
    g_free(cluster->config);
    g_free(cluster->meet);
    g_free(cluster->folder);
    g_free(cluster->reason);
    g_free(cluster);
}

/* ---- enter -------------------------------------------------------------------------- */

/* With the lock held: does waiting end, whatever is waited for? */
static LoomFlow waiting_ends(const LoomCluster *cluster, GError **error)
{
    if (cluster->error) {
        g_propagate_error(error, g_error_copy(cluster->error));
        return LOOM_FLOW_FAIL;
    }
    return cluster->ended ? LOOM_FLOW_STOP : LOOM_FLOW_OK;
}

/* A run that goes on without this process says in its folder where.  @tried: the address that
 * was looked at last. */
static void look_for_run(LoomCluster *cluster, char **tried)
{
    g_autoptr(LoomLease) lease =
        cluster->folder ? loom_lease_read(cluster->folder, NULL) : NULL;

    if (!lease || g_str_equal(lease->address, cluster->self->control)
        || g_strcmp0(lease->address, *tried) == 0)
        return;
    Ask *ask = ask_new(ASK_TRY);
    ask->address = g_strdup(lease->address);
    ask->key = g_strdup(lease->key);
    cluster_ask(cluster, ask);
    g_free(*tried);
    *tried = g_strdup(lease->address);
}

static void say_state(LoomCluster *cluster, gint64 step, gint64 taken)
{
    Ask *ask = ask_new(ASK_STATE);

    ask->step = step;
    ask->taken = taken;
    cluster_ask(cluster, ask);
}

/* Waits until @until for a view, or for the machine's wish to know what this process holds.
 * OK with *view NULL: neither, or @state_due. */
static LoomFlow wait_for_view(LoomCluster *cluster, gint64 until, LoomView **view,
                              gboolean *state_due, GError **error)
{
    LOOM_LOCKED(&cluster->lock);
    for (;;) {
        const LoomFlow flow = waiting_ends(cluster, error);

        if (flow != LOOM_FLOW_OK)
            return flow;
        /* a generation that nobody ended is ended by who comes here */
        *state_due = cluster->state_due || !cluster->halted;
        *view = *state_due ? NULL : g_steal_pointer(&cluster->proposed);
        cluster->halted = TRUE;
        cluster->state_due = FALSE;
        if (*state_due || *view || g_get_monotonic_time() >= until)
            return LOOM_FLOW_OK;
        loom_signal_wait_until(&cluster->changed, &cluster->lock, until);
    }
}

static guint64 generation_begun(LoomCluster *cluster)
{
    LOOM_LOCKED(&cluster->lock);
    return cluster->begun;
}

/* Another side of a broken network goes on: this one does not. */
static void give_way(LoomCluster *cluster, guint rival)
{
    g_autofree char *name =
        rival == G_MAXUINT ? g_strdup("another rank") : g_strdup_printf("rank %u", rival);
    g_autofree char *reason = g_strdup_printf(
        "%s could not be reached and has taken the run over; start this one again to join",
        name);
    {
        LOOM_LOCKED(&cluster->lock);
        cluster_end(cluster, LOOM_END_CUT_OFF, reason);
    }
    cluster_ask(cluster, ask_new(ASK_LEAVE));
}

/* The coordinator leaves word where it is.  @begun: the generation of before.  FALSE: another
 * one has taken the run over. */
static gboolean lease_renew(LoomCluster *cluster, const LoomView *view, guint64 begun)
{
    g_autoptr(GError) error = NULL;
    guint rival;

    if (!cluster->folder || view->coordinator != cluster->self->seat)
        return TRUE;
    if (view->generation == 1) /* claims of a run that is over */
        loom_lease_settle(cluster->folder, G_MAXUINT64);
    if (!loom_lease_write(cluster->folder, view, &error))
        g_warning("%s: a rank that comes back may not find this one", error->message);
    if (!loom_lease_rival(cluster->folder, view, begun, &rival))
        return TRUE;
    give_way(cluster, rival);
    return FALSE;
}

LoomFlow loom_cluster_enter(LoomCluster *cluster, gint64 step, gint64 taken, LoomView **view,
                            int *ending, GError **error)
{
    g_autofree char *tried = NULL;
    g_autoptr(LoomView) found = NULL;
    LoomFlow flow = LOOM_FLOW_OK;

    if (!cluster->listening && !cluster_listen(cluster, step, error))
        return LOOM_FLOW_FAIL;
    while (flow == LOOM_FLOW_OK && !found) {
        const gint64 until = g_get_monotonic_time() + LOOK_MS * 1000;
        gboolean state_due = FALSE;

        look_for_run(cluster, &tried);
        flow = wait_for_view(cluster, until, &found, &state_due, error);
        if (state_due)
            say_state(cluster, step, taken);
    }
    if (flow == LOOM_FLOW_OK && !lease_renew(cluster, found, generation_begun(cluster)))
        flow = LOOM_FLOW_STOP;
    if (flow == LOOM_FLOW_OK) {
        *view = g_steal_pointer(&found);
    } else if (flow == LOOM_FLOW_STOP) {
        LOOM_LOCKED(&cluster->lock);
        *ending = (int)cluster->ending;
    }
    return flow;
}

/* ---- begin -------------------------------------------------------------------------- */

/* Does this process see what the coordinator left in the run folder? */
static gboolean lease_seen(const LoomCluster *cluster, const LoomView *view)
{
    return cluster->folder && loom_lease_seen(cluster->folder, view->run, SEEN_MS);
}

static LoomFlow wait_for_begin(LoomCluster *cluster, guint64 generation, GError **error)
{
    LOOM_LOCKED(&cluster->lock);
    for (;;) {
        const LoomFlow flow = waiting_ends(cluster, error);

        if (flow != LOOM_FLOW_OK)
            return flow;
        if (cluster->state_due || cluster->proposal != generation)
            return LOOM_FLOW_STOP;
        if (cluster->begun == generation)
            return LOOM_FLOW_OK;
        pthread_cond_wait(&cluster->changed, &cluster->lock);
    }
}

LoomFlow loom_cluster_begin(LoomCluster *cluster, const LoomView *view, gboolean ready,
                            GError **error)
{
    const guint64 before = generation_begun(cluster);
    Ask *ask = ask_new(ASK_READY);

    ask->generation = view->generation;
    ask->ready = ready;
    ask->sees = ready && lease_seen(cluster, view);
    cluster_ask(cluster, ask);
    if (!ready)
        return LOOM_FLOW_STOP;
    const LoomFlow flow = wait_for_begin(cluster, view->generation, error);
    if (flow == LOOM_FLOW_OK && !lease_renew(cluster, view, before))
        return LOOM_FLOW_STOP;
    if (flow == LOOM_FLOW_OK && cluster->folder && view->coordinator == cluster->self->seat)
        loom_lease_settle(cluster->folder, before);
    return flow;
}

/* ---- while it runs ------------------------------------------------------------------ */

const char *loom_cluster_reason(const LoomCluster *cluster)
{
    return cluster->reason ? cluster->reason : "";
}

gboolean loom_cluster_shared(LoomCluster *cluster)
{
    LOOM_LOCKED(&cluster->lock);
    return cluster->shared;
}

gboolean loom_cluster_halted(LoomCluster *cluster)
{
    LOOM_LOCKED(&cluster->lock);
    return cluster->halted;
}

gboolean loom_cluster_wants_halt(LoomCluster *cluster)
{
    LOOM_LOCKED(&cluster->lock);
    return cluster->wants_halt || cluster->leaving;
}

void loom_cluster_progress(LoomCluster *cluster, gint64 step, guint64 progress)
{
    LOOM_LOCKED(&cluster->lock);
    cluster->step = step;
    cluster->progress = progress;
}

void loom_cluster_waiting(LoomCluster *cluster, gboolean waiting)
{
    LOOM_LOCKED(&cluster->lock);
    g_assert(waiting || cluster->waiting > 0);
    cluster->waiting += waiting ? 1 : G_MAXUINT; /* up or down */
}

void loom_cluster_report(LoomCluster *cluster, const char *text)
{
    Ask *ask = ask_new(ASK_REPORT);

    ask->text = g_strdup(text);
    cluster_ask(cluster, ask);
}

void loom_cluster_leave(LoomCluster *cluster)
{
    {
        LOOM_LOCKED(&cluster->lock);
        cluster->leaving = TRUE;
    }
    cluster_ask(cluster, ask_new(ASK_LEAVE));
}

/* ---- the end ------------------------------------------------------------------------ */

static LoomFlow wait_for_end(LoomCluster *cluster, GError **error)
{
    LOOM_LOCKED(&cluster->lock);
    for (;;) {
        const LoomFlow flow = waiting_ends(cluster, error);

        if (flow == LOOM_FLOW_STOP && cluster->ending == LOOM_END_DONE)
            return LOOM_FLOW_OK;
        if (flow != LOOM_FLOW_OK || cluster->halted)
            return flow == LOOM_FLOW_OK ? LOOM_FLOW_STOP : flow;
        pthread_cond_wait(&cluster->changed, &cluster->lock);
    }
}

LoomFlow loom_cluster_finish(LoomCluster *cluster, GError **error)
{
    loom_cluster_waiting(cluster, TRUE);
    cluster_ask(cluster, ask_new(ASK_DONE));
    const LoomFlow flow = wait_for_end(cluster, error);
    loom_cluster_waiting(cluster, FALSE);
    return flow;
}

/* Would the same happen to every other rank?  A disk, a socket and memory are this host's own.
 */
static gboolean recurs(const GError *error)
{
    return error->domain == LOOM_ERROR && error->code != LOOM_ERROR_IO
           && error->code != LOOM_ERROR_LIMIT;
}

void loom_cluster_failed(LoomCluster *cluster, const GError *error)
{
    const gint64 until = g_get_monotonic_time() + FAILED_MS * 1000;
    Ask *ask;

    if (!cluster->listening)
        return; /* nobody has heard of this process */
    ask = ask_new(ASK_FAILED);
    ask->text = g_strdup(error->message);
    ask->recurs = recurs(error);
    cluster_ask(cluster, ask);
    LOOM_LOCKED(&cluster->lock);
    while (!cluster->ended && !cluster->error && g_get_monotonic_time() < until)
        loom_signal_wait_until(&cluster->changed, &cluster->lock, until);
}
