/* member_lead - the one that proposes: the lowest seat that is not lost.  It gathers STATEs,
 * proposes the next view, and commits it once every participant is ready. */
#include "machine.h"

#include <string.h>

/* Members of the next view besides this process: those that answered and stay. */
static gboolean stays(const Peer *peer)
{
    return peer->member && peer->answered && !peer->lost && !peer->leaving;
}

static void send_halts(LoomMachine *machine)
{
    const gboolean quorum = machine->settled && quorum_holds(machine, NULL);

    for (guint s = 0; s < machine->options.size; s++)
        if (machine_in_view(machine, s) && s != machine->self->seat)
            machine_send_peer(machine, &machine->peers[s], WORD_HALT,
                              g_variant_new("(bt)", quorum, machine->promised));
}

/* All that are not lost have answered; who does not stop although it is alive is lost, too. */
static gboolean all_answered(LoomMachine *machine)
{
    const gint64 patience = MAX(machine->options.stall_ms, machine->options.suspect_ms);
    gboolean all = TRUE;

    for (guint s = 0; s < machine->options.size; s++) {
        Peer *peer = &machine->peers[s];

        if (s == machine->self->seat || !machine_in_view(machine, s) || peer->lost
            || peer->answered)
            continue;
        if (machine->now - machine->halted >= patience)
            peer_lose(machine, peer, "it did not stop in %" G_GINT64_FORMAT " s",
                      patience / 1000);
        else
            all = FALSE;
    }
    return all;
}

/* Waits a moment for others that were told to stop as well.  TRUE: go on. */
static gboolean leavers_known(LoomMachine *machine)
{
    gboolean any = machine->leaving, all = any;

    for (guint s = 0; s < machine->options.size; s++) {
        const Peer *peer = &machine->peers[s];
        const gboolean leaves = peer->answered && peer->leaving;

        any |= leaves;
        all &= leaves || s == machine->self->seat || !machine_in_view(machine, s);
    }
    if (any && !machine->leavers)
        machine->leavers = machine->now;
    return !any || all || machine->now - machine->leavers >= MACHINE_LEAVERS_MS;
}

/* Without a quorum: the lease, if all saw it; else it is over after a while. */
static gboolean may_go_on(LoomMachine *machine)
{
    const gint64 patience =
        machine->options.grace_ms + (machine->view->shared ? 0 : machine->options.suspect_ms);
    g_autofree char *who = NULL, *text = NULL;

    if (machine->granted || quorum_holds(machine, NULL)) {
        machine->poor = 0;
        return TRUE;
    }
    if (!machine->poor)
        machine->poor = machine->now;
    if (machine->now - machine->poor < patience || machine->claiming)
        return FALSE;
    if (machine->leaving) {
        machine_end(machine, LOOM_END_LEFT, "it was told to stop");
    } else if (machine->view->shared) {
        machine->claiming = TRUE;
        machine_act(machine, LOOM_ACT_CLAIM)->generation = machine->view->generation + 1;
    } else {
        who = quorum_text(machine);
        text = g_strdup_printf("%s: the others go on without this one, or the network is down; "
                               "start it again to join",
                               who);
        machine_end_all(machine, LOOM_END_CUT_OFF, text);
    }
    return FALSE;
}

static gboolean joins(const LoomMachine *machine, guint seat)
{
    const Peer *peer = &machine->peers[seat];

    return seat != machine->self->seat && join_waits(machine, peer) && !stays(peer)
           && !(peer->member && peer->answered && !peer->lost);
}

static void add_members(LoomMachine *machine, LoomView *next)
{
    for (guint s = 0; s < machine->options.size; s++) {
        const Peer *peer = &machine->peers[s];
        LoomMember *member;

        if (s == machine->self->seat) {
            if (machine->leaving)
                continue;
            member = loom_member_copy(machine->self);
            member->step = machine->held;
        } else if (stays(peer)) {
            member = loom_member_copy(peer->member);
            member->step = peer->held;
        } else if (joins(machine, s)) {
            member = loom_member_copy(peer->join);
        } else {
            continue;
        }
        g_ptr_array_add(next->members, member);
    }
}

/* Does it hold what the others must catch up with?  Members before joiners. */
static gboolean is_survivor(const LoomMachine *machine, const LoomMember *member)
{
    return machine->view
           && (machine_is_self(machine, member) || stays(&machine->peers[member->seat]));
}

static gint64 taken_of(const LoomMachine *machine, guint seat)
{
    const Peer *peer = &machine->peers[seat];

    if (seat == machine->self->seat)
        return machine->taken;
    return stays(peer) ? peer->taken : peer->join_taken;
}

/* step, source, taken, behind: from the members that train and survive, else from joiners. */
static void choose_state(LoomMachine *machine, LoomView *next)
{
    gboolean survivors = FALSE;
    const LoomMember *source = NULL;

    for (guint i = 0; i < next->members->len; i++) {
        const LoomMember *member = next->members->pdata[i];

        survivors |= member->group == 0 && is_survivor(machine, member);
    }
    for (guint i = 0; i < next->members->len; i++) {
        const LoomMember *member = next->members->pdata[i];

        if (member->group == 0 && (!survivors || is_survivor(machine, member))
            && (!source || member->step > source->step))
            source = member;
    }
    g_assert(source);
    next->source = source->seat;
    next->step = MAX(source->step, 0);
    next->taken = MAX(taken_of(machine, source->seat), 0);
    for (guint i = 0; i < next->members->len; i++) {
        const LoomMember *member = next->members->pdata[i];

        next->behind |= member->group == 0 && member->step != source->step;
    }
}

/* NULL: each group has its members; else what is missing.  (transfer full) */
static char *too_few(const LoomMachine *machine, const LoomView *next)
{
    const guint trainers = loom_view_group_size(next, 0);

    if (trainers < MAX(machine->options.min_ranks, 1))
        return g_strdup_printf("%u ranks are left to train, want at least %u", trainers,
                               MAX(machine->options.min_ranks, 1));
    for (guint g = 1; g < machine->options.n_groups; g++)
        if (!loom_view_group_size(next, g))
            return g_strdup_printf("no rank is left of group %u of place:", g);
    return NULL;
}

static void new_run(LoomMachine *machine)
{
    for (guint i = 0; i < 16; i++)
        machine->run[i] = (guint8)loom_rng_u64(&machine->rng);
    machine->highest = 0;
}

static void ask(LoomMachine *machine)
{
    for (guint i = 0; i < machine->voters->len; i++) {
        const Voter *voter = &g_array_index(machine->voters, Voter, i);
        const Peer *peer = &machine->peers[voter->seat];
        const LoomMember *member = loom_view_find(machine->next, voter->seat);
        GVariantBuilder voters;

        if (voter->seat == machine->self->seat || peer->ready)
            continue;
        if (!member)
            member = peer->member;
        g_variant_builder_init(&voters, G_VARIANT_TYPE("a(utt)"));
        for (guint v = 0; v < machine->voters->len; v++) {
            const Voter *one = &g_array_index(machine->voters, Voter, v);

            g_variant_builder_add(&voters, "(utt)", (guint32)one->seat, one->incarnation,
                                  one->stamp);
        }
        machine_send(machine, member->control, member->key, WORD_PREPARE,
                     g_variant_new("(@*@*a(utt))", loom_view_pack(machine->next),
                                   open_pack(machine->next_open), &voters));
    }
}

static void choose_voters(LoomMachine *machine)
{
    g_array_set_size(machine->voters, 0);
    for (guint s = 0; s < machine->options.size; s++) {
        Peer *peer = &machine->peers[s];
        const LoomMember *member = loom_view_find(machine->next, s);
        Voter voter = {.seat = s};

        peer->ready = peer->sees = FALSE;
        if (s == machine->self->seat)
            voter.incarnation = machine->self->incarnation;
        else if (peer->member && peer->answered && !peer->lost) {
            voter.incarnation = peer->member->incarnation;
            voter.stamp = peer->stamp;
        } else if (member)
            voter.incarnation = member->incarnation;
        else
            continue;
        peer->asked = machine->now;
        g_array_append_val(machine->voters, voter);
    }
}

void lead_propose(LoomMachine *machine)
{
    g_autoptr(LoomView) next = loom_view_new();
    g_autofree char *few = NULL;

    add_members(machine, next);
    if (!next->members->len) {
        machine_end_all(machine, LOOM_END_LEFT, "all ranks were told to stop");
        return;
    }
    few = too_few(machine, next);
    if (few) {
        if (machine->now - MAX(machine->halted, machine->searching) >= machine->options.wait_ms)
            machine_end_all(machine, LOOM_END_MISSING, few);
        return;
    }
    if (!machine->view)
        new_run(machine);
    choose_state(machine, next);
    memcpy(next->run, machine->run, sizeof next->run);
    next->generation = MAX(machine->highest, machine->promised) + 1;
    next->coordinator = ((const LoomMember *)next->members->pdata[0])->seat;
    g_clear_pointer(&machine->next_open, g_ptr_array_unref);
    quorum_holds(machine, &machine->next_open);
    loom_view_free(machine->next);
    machine->next = g_steal_pointer(&next);
    machine->highest = machine->promised = machine->next->generation;
    machine->proposer = machine->self->seat;
    machine->proposing = TRUE;
    machine->self_ready = machine->leaving;
    machine->phase = PHASE_PREPARED;
    choose_voters(machine);
    if (machine->leaving)
        ask(machine);
    else
        machine_act(machine, LOOM_ACT_PREPARE)->view = loom_view_copy(machine->next);
}

/* This proposal is dropped: what was said in answer to it is asked anew. */
void lead_abandon(LoomMachine *machine)
{
    machine->proposing = machine->self_ready = FALSE;
    g_clear_pointer(&machine->next, loom_view_free);
    for (guint s = 0; s < machine->options.size; s++)
        peer_forget_state(&machine->peers[s]);
    if (machine->view) {
        machine->phase = PHASE_HALTED;
        machine->halted = machine->now;
        machine->next_beat = machine->now;
    } else {
        memset(machine->run, 0, sizeof machine->run);
        machine->phase = PHASE_SEARCHING;
    }
}

/* What became of those of the view before that are not in this one. */
static void note_losses(LoomMachine *machine)
{
    const guint n = machine->next->members->len;

    for (guint s = 0; machine->view && s < machine->options.size; s++) {
        const Peer *peer = &machine->peers[s];
        const LoomMember *now = loom_view_find(machine->next, s);
        const LoomMember *before = loom_view_find(machine->view, s);

        if (before && !now && peer->failed)
            machine_note(machine, "rank %u failed: %s; going on without it", s, peer->failed);
        else if (before && !now && (peer->leaving || s == machine->self->seat))
            machine_note(machine,
                         "rank %u left: going on with %u ranks from step %" G_GINT64_FORMAT, s,
                         n, machine->next->step);
        else if (before && !now)
            machine_note(
                machine,
                "rank %u was lost (%s): going on with %u ranks from step %" G_GINT64_FORMAT, s,
                peer->lost ? peer->lost : "no answer", n, machine->next->step);
        else if (now && (!before || before->incarnation != now->incarnation))
            machine_note(machine, "rank %u is back: %u ranks from step %" G_GINT64_FORMAT, s, n,
                         machine->next->step);
    }
}

static void commit(LoomMachine *machine)
{
    gboolean shared = machine->leaving || machine->self_sees;

    for (guint i = 0; i < machine->voters->len; i++) {
        const Voter *voter = &g_array_index(machine->voters, Voter, i);
        const Peer *peer = &machine->peers[voter->seat];

        if (voter->seat == machine->self->seat)
            continue;
        if (!peer->ready)
            return;
        shared &= peer->sees || !loom_view_find(machine->next, voter->seat);
    }
    machine->proposing = FALSE;
    machine->next->shared = shared;
    for (guint i = 0; i < machine->voters->len; i++) {
        const Voter *voter = &g_array_index(machine->voters, Voter, i);
        const LoomMember *member = loom_view_find(machine->next, voter->seat);

        if (voter->seat == machine->self->seat)
            continue;
        if (!member)
            member = machine->peers[voter->seat].member;
        machine_send(machine, member->control, member->key, WORD_COMMIT,
                     g_variant_new("(tb)", machine->next->generation, shared));
    }
    note_losses(machine);
    if (machine->leaving)
        machine->departing = machine->next_beat = machine->now; /* asks at once who began */
    else
        follow_begin(machine, shared);
}

void lead_ready(LoomMachine *machine, guint seat, guint64 ballot, gboolean ready, gboolean sees)
{
    Peer *peer = &machine->peers[seat];

    if (machine->phase != PHASE_PREPARED || !machine->proposing
        || machine->next->generation != ballot)
        return;
    if (seat == machine->self->seat) {
        if (!ready) {
            if (!machine->unready)
                machine->unready = machine->now;
            lead_abandon(machine);
            if (machine->now - machine->unready >= machine->options.wait_ms)
                machine_end(machine, LOOM_END_CUT_OFF,
                            "this process cannot prepare the next generation");
            machine->next_beat = machine->now + machine->options.beat_ms;
            return;
        }
        machine->self_ready = TRUE;
        machine->self_sees = sees;
        ask(machine);
    } else if (ready) {
        peer->ready = TRUE;
        peer->sees = sees;
    } else {
        g_clear_pointer(&peer->join, loom_member_free);
        peer_lose(machine, peer, "it could not prepare");
        peer->gone = TRUE;
        lead_abandon(machine);
        return;
    }
    if (machine->self_ready)
        commit(machine);
}

/* A participant that does not get ready is left out of the next proposal. */
static void prepared_tick(LoomMachine *machine, gboolean beat)
{
    for (guint i = 0; i < machine->voters->len; i++) {
        const Voter *voter = &g_array_index(machine->voters, Voter, i);
        Peer *peer = &machine->peers[voter->seat];
        const gboolean member = voter->stamp != 0; /* it said STATE; else it joins */
        const gboolean late =
            machine->now - MAX(peer->asked, machine->awake) >= machine->options.suspect_ms
            && machine->self_ready;

        if (voter->seat == machine->self->seat || peer->ready)
            continue;
        if (!late && !(peer->lost && member))
            continue;
        if (late && member)
            peer_lose(machine, peer, "it was not ready in %" G_GINT64_FORMAT " s",
                      machine->options.suspect_ms / 1000);
        if (peer->join && !member) {
            /* longer each time: a rank that only half arrives must not stop all */
            peer->held_ms = CLAMP(2 * peer->held_ms, 2 * machine->options.suspect_ms, 600000);
            peer->held_off = machine->view ? machine->now + peer->held_ms : 0;
            g_clear_pointer(&peer->join, loom_member_free);
        }
        lead_abandon(machine);
        return;
    }
    if (beat && machine->self_ready)
        ask(machine);
}

/* This process left; it says so until all of the view without it know. */
static void departing_tick(LoomMachine *machine, gboolean beat)
{
    gboolean known = TRUE;

    for (guint i = 0; i < machine->next->members->len; i++) {
        const LoomMember *member = machine->next->members->pdata[i];
        const gboolean began =
            machine->peers[member->seat].generation >= machine->next->generation;

        known &= began;
        if (beat && !began)
            machine_send(
                machine, member->control, member->key, WORD_COMMIT,
                g_variant_new("(tb)", machine->next->generation, machine->next->shared));
    }
    if (known || machine->now - machine->departing >= machine->options.suspect_ms)
        machine_end(machine, machine->failing ? LOOM_END_FAILED : LOOM_END_LEFT,
                    machine->failing ? machine->failing : "it was told to stop");
}

/* @beat is due: machine->next_beat has not been moved on yet. */
void lead_tick(LoomMachine *machine)
{
    const gboolean beat = machine->now >= machine->next_beat;

    if (machine->departing) {
        departing_tick(machine, beat);
    } else if (machine->phase == PHASE_PREPARED) {
        prepared_tick(machine, beat);
    } else {
        const gboolean answered = all_answered(machine);

        if (beat)
            send_halts(machine);
        if (machine->settled && answered && leavers_known(machine) && may_go_on(machine))
            lead_propose(machine);
    }
}
