/* ranks - a run among other processes, generation by generation.
 *
 *   enter    wait for a view: who takes part, from which step on
 *   open     the collective and the streams of that generation; begin once all are ready
 *   equal    compare the hash of the weights; who differs gets those of the view's source
 *   execute  the graph, from that step, on this process's share, until it is done or the
 *            generation is over: then enter again
 *
 * A step is applied by a rank only after all voted for it (stages/train/allreduce.c), and
 * packets are made again from their numbers, so the last step of a generation may be done twice
 * and no other, and no sample is lost. */
#include "ranks.h"

#include "cluster/lease.h"
#include "cluster/member.h"

#include <loom/network.h>

#include <string.h>
#include <sys/stat.h>

#define RANKS_MAX_FRUITLESS 10 /* generations in a row without a step before it gives up */

static const LoomCollective *collective_of(const LoomRanks *ranks)
{
    return (const LoomCollective *)ranks->options.collective->plugin;
}

/* ---- who this process is ------------------------------------------------------------ */

/* Processes with the same name see the same processes and the same shared memory. */
static char *host_name(void)
{
    static const char *const places[] = {"/proc/self/ns/ipc", "/proc/self/ns/pid",
                                         "/proc/self/ns/mnt"};
    g_autofree char *boot = NULL;
    GString *name = g_string_new(NULL);

    if (g_file_get_contents("/proc/sys/kernel/random/boot_id", &boot, NULL, NULL))
        g_string_append(name, g_strstrip(boot));
    for (guint i = 0; i < G_N_ELEMENTS(places); i++) {
        struct stat status;

        if (stat(places[i], &status) == 0)
            g_string_append_printf(name, ":%lu", (gulong)status.st_ino);
    }
    return g_string_free(name, FALSE);
}

static LoomMember *self_describe(const LoomRun *run)
{
    const LoomRanks *ranks = run->ranks;
    const LoomInstance *transport = ranks->options.transport;
    const LoomCollective *collective = collective_of(ranks);
    LoomMember *member = loom_member_new();

    member->seat = run->options.rendezvous->rank;
    member->group = run->place->group;
    member->collective = g_strdup(
        collective->address ? collective->address(ranks->options.collective->self) : "");
    member->stream = g_strdup(ranks->streams ? loom_streams_address(ranks->streams) : "");
    member->key = g_strdup(((const LoomTransport *)transport->plugin)->key(transport->self));
    member->host = host_name();
    return member;
}

static void cluster_halted(gpointer data)
{
    LoomRun *run = data;
    const LoomRanks *ranks = run->ranks;
    g_autofree char *waiting = collective_of(ranks)->waiting(ranks->options.collective->self);

    if (waiting)
        g_message("this generation is over: %s", waiting);
    loom_run_halt(run);
    collective_of(ranks)->abort(ranks->options.collective->self);
    if (ranks->streams)
        loom_streams_stop(ranks->streams);
}

static gboolean cluster_make(LoomRun *run, GError **error)
{
    LoomRanks *ranks = run->ranks;
    g_autoptr(LoomMember) self = self_describe(run);
    LoomCluster *cluster = loom_cluster_new(
        &ranks->options, run->options.rendezvous, ranks->options.transport, self,
        run->place->groups->len, ranks->config, run->folder, cluster_halted, run, error);

    __atomic_store_n(&ranks->cluster, cluster,
                     __ATOMIC_RELEASE); /* loom_ranks_leave reads it */
    return cluster != NULL;
}

/* ---- a generation ------------------------------------------------------------------- */

static gboolean collective_join(LoomRun *run, const LoomView *view, GError **error)
{
    const LoomRanks *ranks = run->ranks;
    const gint rank = loom_view_group_rank(view, 0, run->options.rendezvous->rank);
    g_autoptr(GPtrArray) addresses = g_ptr_array_new(), keys = g_ptr_array_new(),
                         hosts = g_ptr_array_new();

    for (guint i = 0; i < view->members->len; i++) {
        const LoomMember *member = view->members->pdata[i];

        if (member->group)
            continue;
        g_ptr_array_add(addresses, member->collective);
        g_ptr_array_add(keys, member->key);
        g_ptr_array_add(hosts, member->host);
    }
    const LoomGroup group = {.generation = view->generation,
                             .rank = (guint)MAX(rank, 0),
                             .size = addresses->len,
                             .addresses = (const char *const *)(gpointer)addresses->pdata,
                             .keys = (const char *const *)(gpointer)keys->pdata,
                             .hosts = (const char *const *)(gpointer)hosts->pdata};
    return rank < 0 /* makes packets for those that train */
           || collective_of(ranks)->join(ranks->options.collective->self, &group, error);
}

static LoomStreamPeer peer_of(const LoomMember *member)
{
    return (LoomStreamPeer){
        .rank = member->seat, .address = member->stream, .key = member->key};
}

/* A stream to, or from, every member of the group at the other end of @hop's edge. */
static gboolean edge_open(LoomRun *run, const LoomView *view, LoomHop *hop, GError **error)
{
    const guint other = hop->leaves && hop->here ? hop->toward->group : hop->group;
    LoomStreams *streams = run->ranks->streams;

    if (hop->streams)
        g_array_set_size(hop->streams, 0);
    else
        hop->streams = g_array_new(FALSE, FALSE, sizeof(guint));
    for (guint i = 0; i < view->members->len; i++) {
        const LoomMember *member = view->members->pdata[i];
        const LoomStreamPeer peer = peer_of(member);
        guint stream = 0;

        if (member->group != other)
            continue;
        if (hop->here ? !loom_streams_to(streams, hop->id, &peer, &stream, error)
                      : !loom_streams_from(streams, hop->id, &peer, 0, &stream, error))
            return FALSE;
        g_array_append_val(hop->streams, stream);
    }
    return TRUE;
}

static gboolean streams_open(LoomRun *run, const LoomView *view, GError **error)
{
    const LoomMember *self = loom_view_find(view, run->options.rendezvous->rank);
    LoomStreamIdentity identity = {
        .generation = view->generation, .rank = self->seat, .incarnation = self->incarnation};

    if (!run->ranks->streams)
        return TRUE;
    memcpy(identity.run, view->run, sizeof identity.run);
    g_strlcpy(identity.graph, run->ranks->config, sizeof identity.graph);
    loom_streams_begin(run->ranks->streams, &identity);
    for (guint i = 0; i < run->main->hops->len; i++) {
        LoomHop *hop = run->main->hops->pdata[i];

        if ((hop->arrives || (hop->leaves && hop->here)) && !edge_open(run, view, hop, error))
            return FALSE;
    }
    return TRUE;
}

static void share_take(LoomRun *run, const LoomView *view)
{
    const guint group = run->place->group, seat = run->options.rendezvous->rank;

    run->share = (LoomShare){.rank = (guint)loom_view_group_rank(view, group, seat),
                             .size = loom_view_group_size(view, group),
                             .step = view->step,
                             .taken = view->taken};
    /* The source of the view has made every step that was made, so no row of a table is lost.
     */
    g_atomic_int_set(&run->ranks->writes, group == 0 && view->source == seat);
}

/* The journal belongs to whoever writes; one that took over goes on with the lines of before.
 */
static gboolean journal_take(LoomRun *run, const LoomView *view, GError **error)
{
    const gboolean fresh = view->generation == 1 && !run->options.resume;

    if (!run->folder)
        return TRUE;
    loom_journal_shut(run->journal);
    return !loom_run_writes(run)
           || loom_journal_open(run->journal, fresh ? -1 : view->step, error);
}

/* Are the weights of those that train alike?  @hash: (transfer full): of those of @root. */
static LoomFlow hashes_compare(LoomRun *run, guint root, char **hash, gboolean *same,
                               GError **error)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    g_autofree char *own = loom_state_hash(run);
    g_autoptr(GBytes) mine = g_bytes_new(own, strlen(own));
    const LoomFlow flow = loom_ranks_gather(run, mine, all, error);

    *same = TRUE;
    for (guint r = 0; flow == LOOM_FLOW_OK && r < all->len; r++)
        *same = *same && g_bytes_equal(all->pdata[r], all->pdata[root]);
    *hash = g_steal_pointer(&own);
    return flow;
}

/* Who has other weights than the source of the view takes the source's. */
static LoomFlow weights_equal(LoomRun *run, const LoomView *view, GError **error)
{
    const guint root = (guint)MAX(0, loom_view_group_rank(view, 0, view->source));
    g_autofree char *before = NULL, *hash = NULL;
    gboolean same;
    LoomFlow flow = hashes_compare(run, root, &before, &same, error);

    if (flow == LOOM_FLOW_OK && !same) {
        flow = loom_state_broadcast(run, root, error);
        if (flow == LOOM_FLOW_OK)
            flow = hashes_compare(run, root, &hash, &same, error);
        if (flow == LOOM_FLOW_OK && !same)
            return (LoomFlow)loom_fail(error, LOOM_ERROR_IO,
                                       "the weights of rank %u arrived changed on another rank",
                                       root);
    }
    if (flow != LOOM_FLOW_OK)
        return flow;
    const LoomField fields[] = {{"generation", (double)view->generation, NULL},
                                {"ranks", (double)view->members->len, NULL},
                                {"rank_steps", (double)view->taken, NULL},
                                {"weights_sha256", 0, hash ? hash : before}};
    loom_run_record(run, "generation", view->step, fields, G_N_ELEMENTS(fields));
    return flow;
}

/* Everything of this generation, after the view holds. */
static LoomFlow generation_begin(LoomRun *run, const LoomView *view, GError **error)
{
    LoomRanks *ranks = run->ranks;

    share_take(run, view);
    if (!journal_take(run, view, error))
        return LOOM_FLOW_FAIL;
    __atomic_store_n(&run->step, view->step, __ATOMIC_RELEASE);
    ranks->fruitless = ranks->began == view->step ? ranks->fruitless + 1 : 0;
    ranks->began = view->step;
    if (ranks->fruitless > RANKS_MAX_FRUITLESS)
        return (LoomFlow)loom_fail(error, LOOM_ERROR_IO,
                                   "%u generations without a step: see the warnings above",
                                   ranks->fruitless);
    if (!loom_graph_begin_at(run->main, view->taken, error))
        return LOOM_FLOW_FAIL;
    return run->place->group ? LOOM_FLOW_OK : weights_equal(run, view, error);
}

/* OK: the view holds and everything of it is open. */
static LoomFlow generation_enter(LoomRun *run, GError **error)
{
    LoomRanks *ranks = run->ranks;
    g_autoptr(LoomView) view = NULL;
    g_autoptr(GError) cause = NULL;
    const gint64 step = run->place->group ? -1 : loom_run_step(run);
    const gint64 taken = run->place->group ? 0 : loom_share_taken(&run->share, step);
    LoomFlow flow =
        loom_cluster_enter(ranks->cluster, step, taken, &view, &ranks->ending, error);

    if (flow != LOOM_FLOW_OK)
        return flow;
    g_atomic_int_set(&run->halted, FALSE);
    g_atomic_int_set(&run->last_step, FALSE);
    const gboolean ready =
        collective_join(run, view, &cause) && streams_open(run, view, &cause);
    flow = loom_cluster_begin(ranks->cluster, view, ready, error);
    g_assert(ready || flow != LOOM_FLOW_OK); /* no view holds of which a rank is not ready */
    if (!ready)
        g_warning("generation %" G_GUINT64_FORMAT ": %s", view->generation, cause->message);
    if (flow != LOOM_FLOW_OK)
        return flow;
    loom_view_free(ranks->view);
    ranks->view = g_steal_pointer(&view);
    return flow;
}

/* ---- the whole run ------------------------------------------------------------------ */

/* What `finish` leaves, by the one that writes, unless it was left already. */
static gboolean finish_once(LoomRun *run, GError **error)
{
    if (run->ranks->finished || !run->ranks->view || !loom_run_writes(run))
        return TRUE;
    run->ranks->finished = TRUE;
    return loom_graph_finish(run, run->main, error);
}

static LoomFlow fail(LoomRun *run, GError *error)
{
    loom_run_fail(run, error);
    return LOOM_FLOW_FAIL;
}

/* One generation.  OK: the run is done; STOP: it is over here; FAIL: the error is the run's.
 * *again: there is another generation. */
static LoomFlow generation_run(LoomRun *run, gboolean *again)
{
    LoomRanks *ranks = run->ranks;
    GError *error = NULL;
    LoomFlow flow = generation_enter(run, &error);

    *again = FALSE;
    if (flow == LOOM_FLOW_OK) {
        *again = TRUE;
        flow = generation_begin(run, ranks->view, &error);
    } else if (flow == LOOM_FLOW_STOP && ranks->ending < 0) {
        *again = TRUE; /* the proposal came to nothing */
        return flow;
    }
    if (flow == LOOM_FLOW_FAIL)
        return fail(run, error);
    if (flow == LOOM_FLOW_STOP)
        return flow;
    ranks->finished = FALSE;
    if (!loom_run_enough(run)) {
        flow = loom_graph_execute(run, run->main);
        ranks->finished = flow == LOOM_FLOW_OK;
    }
    if (flow == LOOM_FLOW_OK && run->place->group == 0) {
        if (!finish_once(run, &error))
            return fail(run, error);
        flow = loom_cluster_finish(ranks->cluster, &error);
        *again = flow == LOOM_FLOW_STOP;
        return flow == LOOM_FLOW_FAIL ? fail(run, error) : flow;
    }
    return flow == LOOM_FLOW_OK ? LOOM_FLOW_STOP : flow;
}

/* How it ended for this process, once it takes no further part. */
static LoomFlow ending_take(LoomRun *run)
{
    const LoomRanks *ranks = run->ranks;
    GError *error = NULL;

    switch ((LoomEnding)ranks->ending) {
    case LOOM_END_DONE:
        return LOOM_FLOW_OK;
    case LOOM_END_CUT_OFF:
    case LOOM_END_LEFT:
        return LOOM_FLOW_STOP;
    case LOOM_END_FAILED:
    case LOOM_END_MISSING:
        break;
    }
    loom_fail(&error, LOOM_ERROR_IO, "%s", loom_cluster_reason(ranks->cluster));
    return fail(run, error);
}

/* All was done before, and the others are gone: who ended the run took its lease away. */
static gboolean done_before(const LoomRun *run)
{
    g_autoptr(LoomLease) lease = run->folder ? loom_lease_read(run->folder, NULL) : NULL;

    return run->options.resume && run->place->group == 0 && loom_run_enough(run) && !lease;
}

LoomFlow loom_ranks_execute(LoomRun *run)
{
    LoomRanks *ranks = run->ranks;
    GError *error = NULL;
    LoomFlow flow = LOOM_FLOW_STOP;
    gboolean again = TRUE;

    ranks->ending = -1;
    ranks->began = -1;
    if (done_before(run))
        return LOOM_FLOW_OK;
    if (!cluster_make(run, &error))
        return fail(run, error);
    if (loom_run_stopping(run))
        loom_cluster_leave(ranks->cluster);
    while (again) {
        flow = generation_run(run, &again);
        if (flow == LOOM_FLOW_FAIL)
            break;
        if (flow == LOOM_FLOW_STOP && loom_run_stopping(run) && !finish_once(run, &error))
            return fail(run, error);
    }
    if (flow == LOOM_FLOW_FAIL && ranks->ending < 0) {
        pthread_mutex_lock(&run->lock);
        error = g_error_copy(run->error);
        pthread_mutex_unlock(&run->lock);
        loom_cluster_failed(ranks->cluster, error);
        g_clear_error(&error);
    }
    return flow == LOOM_FLOW_STOP ? ending_take(run) : flow;
}

gboolean loom_ranks_cut_off(const LoomRun *run)
{
    return run->ranks && run->ranks->ending == LOOM_END_CUT_OFF;
}

const char *loom_run_reason(const LoomRun *run)
{
    return loom_ranks_cut_off(run) ? loom_cluster_reason(run->ranks->cluster) : NULL;
}

void loom_ranks_leave(LoomRun *run)
{
    LoomCluster *cluster = __atomic_load_n(&run->ranks->cluster, __ATOMIC_ACQUIRE);

    if (cluster)
        loom_cluster_leave(cluster);
}

void loom_ranks_progress(LoomRun *run)
{
    const guint64 packets = __atomic_add_fetch(&run->packets, 1, __ATOMIC_RELAXED);

    if (run->ranks)
        loom_cluster_progress(run->ranks->cluster, loom_run_step(run), packets);
}

gboolean loom_run_writes(const LoomRun *run)
{
    return !run->ranks || g_atomic_int_get(&run->ranks->writes);
}

/* ---- what ranks do together --------------------------------------------------------- */

LoomFlow loom_ranks_lost(LoomRun *run, GError *cause, GError **error)
{
    LoomRanks *ranks = run->ranks;
    g_autoptr(GError) mine = cause;

    if (!(collective_of(ranks)->flags & LOOM_COLLECTIVE_SURVIVES)) {
        g_propagate_error(error, g_steal_pointer(&mine));
        return LOOM_FLOW_FAIL;
    }
    g_warning("%s", mine->message);
    loom_cluster_report(ranks->cluster, mine->message);
    loom_run_halt(run);
    return LOOM_FLOW_STOP;
}

LoomFlow loom_ranks_gather(LoomRun *run, GBytes *mine, GPtrArray *all, GError **error)
{
    LoomRanks *ranks = run->ranks;
    GError *cause = NULL;

    if (!ranks || run->share.size <= 1) {
        g_ptr_array_add(all, g_bytes_ref(mine));
        return LOOM_FLOW_OK;
    }
    loom_cluster_waiting(ranks->cluster, TRUE);
    const LoomFlow flow =
        collective_of(ranks)->gather(ranks->options.collective->self, mine, all, &cause);
    loom_cluster_waiting(ranks->cluster, FALSE);
    return flow == LOOM_FLOW_FAIL ? loom_ranks_lost(run, cause, error) : flow;
}
