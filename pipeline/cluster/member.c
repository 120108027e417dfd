/* member - membership of a run: who takes part in a generation, agreed by all of its members.
 *
 *   SEARCHING --JOIN, PREPARE--> PREPARED --COMMIT--> RUNNING --loss, HALT--> HALTED
 *       ^                           |  ^                                        | |
 *       |<----proposer lost---------|  |------PREPARE (STATE said before)-------| |
 *       |<-----------------------OUTDATED-----------------------------------------|
 *
 * All members send BEAT to all.  The lowest seat that is not lost leads: it sends HALT, gathers
 * STATE, sends PREPARE, gathers READY, sends COMMIT.  README.md says why that is safe. */
#include "machine.h"

#include <string.h>

LoomMachine *loom_machine_new(const LoomMemberOptions *options, const LoomMember *self,
                              const char *config, const char *meet, guint64 seed)
{
    LoomMachine *machine = g_new0(LoomMachine, 1);

    g_assert(self->seat < options->size && self->control);
    machine->options = *options;
    machine->options.n_groups = MAX(options->n_groups, 1);
    machine->self = loom_member_copy(self);
    machine->config = g_strdup(config);
    machine->meet = g_strdup(meet);
    machine->rng = loom_rng(seed, "membership", self->incarnation);
    machine->peers = g_new0(Peer, options->size);
    machine->voters = g_array_new(FALSE, TRUE, sizeof(Voter));
    machine->founder = options->founder;
    machine->held = self->step;
    machine->settled = TRUE;
    machine->stamp = 1;
    g_queue_init(&machine->acts);
    search_begin(machine);
    return machine;
}

void peer_clear(Peer *peer)
{
    loom_member_free(peer->member);
    loom_member_free(peer->join);
    g_free(peer->lost);
    g_free(peer->failed);
    g_clear_pointer(&peer->open, g_ptr_array_unref);
    memset(peer, 0, sizeof *peer);
}

void loom_machine_free(LoomMachine *machine)
{
    if (!machine)
        return;
    g_queue_clear_full(&machine->acts, (GDestroyNotify)loom_act_free);
    for (guint s = 0; s < machine->options.size; s++)
        peer_clear(&machine->peers[s]);
    g_free(machine->peers);
    loom_member_free(machine->self);
    loom_view_free(machine->view);
    loom_view_free(machine->next);
    g_clear_pointer(&machine->open, g_ptr_array_unref);
    g_clear_pointer(&machine->next_open, g_ptr_array_unref);
    g_array_unref(machine->voters);
    g_ptr_array_unref(machine->targets);
    g_free(machine->config);
    g_free(machine->meet);
    g_free(machine->failing);
    g_free(machine->ended);
    g_free(machine);
}

/* ---- the clock ---------------------------------------------------------------------- */

/* A process that was stopped, or starved, blames nobody for what it did not hear. */
static void machine_clock(LoomMachine *machine, gint64 now)
{
    if (!machine->now) {
        machine->searching = machine->awake = now;
        machine->next_join = machine->next_beat = machine->next_notice = now;
    } else if (now - machine->now >= machine->options.suspect_ms / 2) {
        machine->awake = now;
        machine->halted += machine->halted ? now - machine->now : 0;
        machine->poor += machine->poor ? now - machine->now : 0;
    }
    machine->now = MAX(machine->now, now);
}

static void send_beats(LoomMachine *machine)
{
    for (guint s = 0; s < machine->options.size; s++) {
        const Peer *peer = &machine->peers[s];
        const LoomMember *next = machine->next ? loom_view_find(machine->next, s) : NULL;
        GVariantBuilder deaf;

        if (s == machine->self->seat || (!peer->member && !next))
            continue;
        g_variant_builder_init(&deaf, G_VARIANT_TYPE("au"));
        for (guint d = 0; d < machine->options.size; d++)
            if (machine_in_view(machine, d) && machine->peers[d].lost
                && !machine->peers[d].gone)
                g_variant_builder_add(&deaf, "u", (guint32)d);
        if (!next)
            next = peer->member;
        machine_send(machine, next->control, next->key, WORD_BEAT,
                     g_variant_new("(xtbbbau)", machine->step, machine->progress,
                                   machine->waiting, machine->done, machine->whole, &deaf));
    }
}

static void send_notice(LoomMachine *machine)
{
    if (machine->now < machine->next_notice || !machine_leads(machine)
        || g_str_equal(machine->meet, machine->self->control))
        return;
    machine->next_notice = machine->now + MACHINE_NOTICE_MS;
    machine_send(machine, machine->meet, NULL, WORD_NOTICE, g_variant_new("(b)", TRUE));
}

/* All steps are done: nobody is left who trains and is not.  Who makes packets for those that
 * train is never done by itself. */
static gboolean all_done(const LoomMachine *machine)
{
    const guint self = machine->self->seat;

    for (guint s = 0; s < machine->options.size; s++)
        if (s != self && machine_in_view(machine, s)
            && loom_view_find(machine->view, s)->group == 0 && !machine->peers[s].done
            && !machine->peers[s].lost)
            return FALSE;
    return machine->done || machine->self->group != 0;
}

/* Why the generation cannot go on; NULL: it can.  (transfer full) */
static char *trouble(const LoomMachine *machine)
{
    const gboolean leads = machine_leads(machine);

    if (machine->leaving)
        return g_strdup_printf("rank %u leaves", machine->self->seat);
    for (guint s = 0; s < machine->options.size; s++) {
        const Peer *peer = &machine->peers[s];

        if (s == machine->self->seat || !machine_in_view(machine, s))
            continue;
        if (peer->lost && (leads || peer->failed))
            return g_strdup_printf("rank %u is lost (%s)", s, peer->lost);
        if (leads && peer->generation < machine->view->generation
            && machine->now - MAX(machine->committed, machine->awake)
                   >= machine->options.suspect_ms)
            return g_strdup_printf("rank %u did not begin it", s);
        if (leads && join_waits(machine, peer)
            && machine->now - peer->join_since >= MACHINE_JOINER_MS)
            return g_strdup_printf("rank %u waits to join", s);
    }
    return NULL;
}

static void running_tick(LoomMachine *machine)
{
    g_autofree char *reason = NULL;

    if (all_done(machine)) {
        machine_end_all(machine, LOOM_END_DONE, "all steps are done");
        return;
    }
    reason = trouble(machine);
    if (reason)
        follow_halt(machine, reason);
}

void loom_machine_tick(LoomMachine *machine, gint64 now)
{
    machine_clock(machine, now);
    if (machine->phase == PHASE_ENDED)
        return;
    machine_watch(machine);
    if (machine->phase == PHASE_RUNNING)
        running_tick(machine);
    if (machine->phase == PHASE_SEARCHING)
        search_tick(machine);
    else if (machine->phase == PHASE_PREPARED && (machine->proposing || machine->departing))
        lead_tick(machine);
    else if (machine->phase == PHASE_PREPARED)
        follow_tick(machine);
    else if (machine->phase == PHASE_HALTED) {
        if (machine_leads(machine))
            lead_tick(machine);
        else
            follow_tick(machine);
    }
    if (machine->phase == PHASE_ENDED)
        return;
    if (machine->view)
        send_notice(machine);
    if (machine->now >= machine->next_beat) {
        machine->next_beat = machine->now + machine->options.beat_ms;
        send_beats(machine);
    }
}

gint64 loom_machine_due(const LoomMachine *machine, gint64 now)
{
    gint64 due = machine->next_beat;

    if (machine->phase == PHASE_ENDED)
        return machine->options.beat_ms;
    if (machine->phase == PHASE_SEARCHING)
        due = MIN(due, machine->next_join);
    if (machine->phase != PHASE_RUNNING) /* leavers, grace: they end between two beats */
        due = MIN(due, now + 100);
    return CLAMP(due - now, 1, machine->options.beat_ms);
}

/* ---- events of this process ---------------------------------------------------------- */

void loom_machine_lost(LoomMachine *machine, const char *address, gint64 now)
{
    machine_clock(machine, now);
    for (guint s = 0; s < machine->options.size; s++) {
        Peer *peer = &machine->peers[s];

        if (peer->member && !peer->broke && g_str_equal(peer->member->control, address))
            peer->broke = machine->now;
    }
}

void loom_machine_try(LoomMachine *machine, const char *address, const char *key, gint64 now)
{
    machine_clock(machine, now);
    search_target(machine, address, key);
}

void loom_machine_progress(LoomMachine *machine, gint64 step, guint64 progress,
                           gboolean waiting)
{
    machine->step = step;
    machine->progress = progress;
    machine->waiting = waiting;
}

void loom_machine_state(LoomMachine *machine, gint64 step, gint64 taken, gint64 now)
{
    machine_clock(machine, now);
    if (machine->phase == PHASE_RUNNING)
        follow_halt(machine, NULL);
    machine->held = step;
    machine->taken = taken;
    machine->settled = TRUE;
    machine->stamp++;
    if (machine->phase == PHASE_HALTED)
        machine->next_beat = machine->now;
}

void loom_machine_ready(LoomMachine *machine, guint64 generation, gboolean ready,
                        gboolean sees_lease, gint64 now)
{
    machine_clock(machine, now);
    if (machine->phase != PHASE_PREPARED || machine->next->generation != generation
        || machine->departing)
        return;
    if (machine->proposing) {
        lead_ready(machine, machine->self->seat, generation, ready, sees_lease);
        return;
    }
    machine->self_ready = ready;
    machine->self_sees = sees_lease;
    follow_ready(machine);
}

void loom_machine_claimed(LoomMachine *machine, guint64 generation, gboolean granted,
                          gint64 now)
{
    machine_clock(machine, now);
    if (!machine->claiming || !machine->view || generation != machine->view->generation + 1)
        return;
    machine->claiming = FALSE;
    machine->granted = granted;
    if (!granted && machine->phase == PHASE_HALTED)
        machine_end_all(machine, LOOM_END_CUT_OFF,
                        "the others hold the lease of this run: they go on without this one; "
                        "start it again to join");
}

void loom_machine_report(LoomMachine *machine, const char *text, gint64 now)
{
    machine_clock(machine, now);
    if (machine->phase == PHASE_RUNNING)
        follow_halt(machine, text);
}

void loom_machine_leave(LoomMachine *machine, gint64 now)
{
    machine_clock(machine, now);
    if (machine->leaving || machine->phase == PHASE_ENDED)
        return;
    machine->leaving = TRUE;
    if (!machine->view)
        machine_end(machine, LOOM_END_LEFT, "it was told to stop");
    else if (machine->phase == PHASE_RUNNING)
        follow_halt(machine, NULL);
    machine->stamp++; /* a STATE said before did not say that it leaves */
}

void loom_machine_done(LoomMachine *machine, gint64 now)
{
    machine_clock(machine, now);
    if (machine->phase != PHASE_RUNNING || machine->done)
        return;
    machine->done = TRUE;
    machine->next_beat = machine->now;
}

void loom_machine_failed(LoomMachine *machine, const char *text, gboolean recurs, gint64 now)
{
    g_autofree char *said = word_text(text);
    g_autofree char *all = g_strdup_printf("rank %u failed: %s", machine->self->seat, text);

    machine_clock(machine, now);
    if (machine->phase == PHASE_ENDED)
        return;
    for (guint s = 0; s < machine->options.size; s++)
        if (machine_in_view(machine, s) && s != machine->self->seat)
            machine_send_peer(machine, &machine->peers[s], WORD_FAILED,
                              g_variant_new("(bs)", recurs, said));
    if (recurs || !machine->view) {
        machine_end_all(machine, LOOM_END_FAILED, all);
        return;
    }
    machine->failing = g_steal_pointer(&all);
    loom_machine_leave(machine, now);
    machine->settled = TRUE; /* there is nothing of it to go on from */
}

LoomAct *loom_machine_next(LoomMachine *machine)
{
    return g_queue_pop_head(&machine->acts);
}

gboolean loom_machine_wants_halt(const LoomMachine *machine)
{
    if (machine->phase != PHASE_RUNNING || !machine_leads(machine))
        return FALSE;
    for (guint s = 0; s < machine->options.size; s++)
        if (join_waits(machine, &machine->peers[s]))
            return TRUE;
    return FALSE;
}
