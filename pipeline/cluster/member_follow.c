/* member_follow - what every process does when its generation ends: halt, STATE, READY, begin.
 *
 * The promise: after READY to generation g, no other proposal of g or below is accepted; and a
 * proposal is accepted only if it was made from the STATE that still holds (its stamp). */
#include "machine.h"

#include <string.h>

void peer_forget_state(Peer *peer)
{
    peer->answered = peer->leaving = peer->idle = peer->ready = FALSE;
    g_clear_pointer(&peer->open, g_ptr_array_unref);
}

static void drop_next(LoomMachine *machine)
{
    g_clear_pointer(&machine->next, loom_view_free);
    machine->proposing = machine->self_ready = FALSE;
}

/* The generation is over here.  From PREPARED: the proposal is dropped, for ever. */
void follow_halt(LoomMachine *machine, const char *reason)
{
    const gboolean running = machine->phase == PHASE_RUNNING;

    g_assert(machine->view);
    drop_next(machine);
    for (guint s = 0; s < machine->options.size; s++)
        peer_forget_state(&machine->peers[s]);
    machine->phase = PHASE_HALTED;
    machine->halted = machine->next_beat = machine->now;
    if (!running)
        return;
    machine->settled = machine->granted = FALSE;
    machine->leavers = machine->poor = 0;
    if (reason)
        machine_note(machine, "generation %" G_GUINT64_FORMAT " is over: %s",
                     machine->view->generation, reason);
    machine_act(machine, LOOM_ACT_HALT);
}

void follow_state(LoomMachine *machine, const LoomMember *to)
{
    if (!machine->settled || !machine->view || machine_is_self(machine, to))
        return;
    machine->self->step = machine->held;
    machine_send(machine, to->control, to->key, WORD_STATE,
                 g_variant_new("(@(utusssssx)ttxxb@*)", loom_member_pack(machine->self),
                               machine->stamp, machine->promised, machine->held, machine->taken,
                               machine->leaving, open_pack(machine->open)));
}

/* HALT: the sender's generation is over. */
void follow_halt_word(LoomMachine *machine, const Word *word)
{
    Peer *peer = &machine->peers[word->seat];

    if (!machine->view || word->generation < machine->view->generation)
        return;
    if (machine->phase == PHASE_RUNNING)
        follow_halt(machine, NULL);
    /* one that is older than what was promised since changes nothing */
    else if (machine->phase == PHASE_PREPARED && !machine->departing
             && word->promised >= machine->promised && word->seat != machine->self->seat
             && word->seat <= machine->proposer)
        follow_halt(machine, NULL);
    if (machine->phase != PHASE_HALTED)
        return;
    peer->idle = !word->flag[0];
    follow_state(machine, peer->member);
}

/* STATE: the sender's generation is over, and it counts on this process to lead. */
void follow_state_word(LoomMachine *machine, const Word *word)
{
    Peer *peer;

    if (!machine->view)
        return;
    if (machine->phase == PHASE_RUNNING) {
        /* of this generation, or of an older one that it will never leave for this one */
        if (word->generation < machine->view->generation
            && word->promised < machine->view->generation)
            return;
        follow_halt(machine, NULL);
    }
    if (machine->phase == PHASE_PREPARED && machine->proposing) {
        peer = &machine->peers[word->seat];
        if (peer->answered && peer->stamp == word->number)
            return;
        lead_abandon(machine); /* what the proposal was made from has changed */
    }
    if (machine->phase != PHASE_HALTED)
        return;
    machine_adopt(machine, word->member);
    peer = &machine->peers[word->seat];
    if (peer->gone)
        return;
    if (peer->answered && peer->stamp > word->number)
        return; /* it was overtaken */
    peer->answered = TRUE;
    peer->stamp = word->number;
    peer->held = word->step;
    peer->taken = word->taken;
    peer->leaving = word->flag[0];
    g_clear_pointer(&peer->open, g_ptr_array_unref);
    peer->open = open_copy(word->open);
    machine->highest = MAX(machine->highest, word->promised);
}

/* Seats below the proposer's come first, unless they are lost, agree, or cannot. */
static gboolean may_follow(const LoomMachine *machine, const Word *word)
{
    for (guint s = 0; s < word->seat && s < machine->options.size; s++) {
        const Peer *peer = &machine->peers[s];
        gboolean agrees = FALSE;

        if (!machine_in_view(machine, s) || peer->lost || peer->idle)
            continue;
        if (s == machine->self->seat)
            continue; /* it is asked itself */
        for (guint v = 0; v < word->voters->len && !agrees; v++)
            agrees = g_array_index(word->voters, Voter, v).seat == s;
        if (!agrees)
            return FALSE;
    }
    return TRUE;
}

/* Is this process asked, and by what it said last? */
static gboolean is_asked(const LoomMachine *machine, const Word *word)
{
    const LoomMember *me = loom_view_find(word->view, machine->self->seat);
    const guint64 mine = machine->self->incarnation;

    if (me && me->incarnation != mine)
        return FALSE;
    for (guint i = 0; i < word->view->members->len; i++) {
        const LoomMember *member = word->view->members->pdata[i];

        if (member->seat >= machine->options.size || member->group >= machine->options.n_groups)
            return FALSE;
    }
    for (guint v = 0; v < word->voters->len; v++) {
        const Voter *voter = &g_array_index(word->voters, Voter, v);

        if (voter->seat != machine->self->seat || voter->incarnation != mine)
            continue;
        if (!machine->view) /* it joins: with what its JOIN said */
            return me && me->step == machine->held;
        return voter->stamp == machine->stamp && (me || machine->leaving);
    }
    return FALSE;
}

static void answer(LoomMachine *machine, gboolean ready, gboolean sees)
{
    const Peer *proposer = &machine->peers[machine->proposer];

    machine_send_peer(machine, proposer, WORD_READY,
                      g_variant_new("(tbb)", machine->promised, ready, sees));
}

/* This process leaves: it is no member of the view, but its word counted for it, so it must not
 * count for another one that does not know of it. */
static void be_witness(LoomMachine *machine)
{
    if (machine->open->len < MACHINE_OPEN_MAX)
        g_ptr_array_add(machine->open, open_of_view(machine->next));
    machine->stamp++;
    machine->self_ready = TRUE;
    answer(machine, TRUE, FALSE);
}

void follow_prepare(LoomMachine *machine, const Word *word)
{
    LoomMember from = {.seat = word->seat,
                       .incarnation = word->incarnation,
                       .control = word->control,
                       .key = *word->key ? word->key : NULL,
                       .step = -1};
    const LoomMember *known = loom_view_find(word->view, word->seat);

    if (memcmp(word->view->run, word->run, sizeof word->run) != 0
        || !g_str_equal(word->config, machine->config) || machine->departing)
        return;
    if (machine->phase == PHASE_PREPARED && machine->promised == word->view->generation
        && machine->proposer == word->seat && machine->next) {
        if (machine->self_ready)
            answer(machine, TRUE, machine->self_sees);
        return;
    }
    if (machine->phase == PHASE_RUNNING || machine->phase == PHASE_ENDED || !machine->settled
        || word->view->generation <= machine->promised)
        return;
    if (!is_asked(machine, word)) {
        if (machine->phase == PHASE_HALTED)
            follow_state(machine, &from);
        return;
    }
    if (machine->view && !may_follow(machine, word))
        return;
    if (!machine->view)
        memcpy(machine->run, word->run, sizeof machine->run);
    machine_adopt(machine, known ? known : &from);
    machine->peers[word->seat].heard = machine->now;
    drop_next(machine);
    machine->next = loom_view_copy(word->view);
    g_clear_pointer(&machine->next_open, g_ptr_array_unref);
    machine->next_open = open_copy(word->open);
    machine->proposer = word->seat;
    machine->promised = word->view->generation;
    machine->highest = MAX(machine->highest, machine->promised);
    machine->phase = PHASE_PREPARED;
    if (!loom_view_find(machine->next, machine->self->seat))
        be_witness(machine);
    else
        machine_act(machine, LOOM_ACT_PREPARE)->view = loom_view_copy(machine->next);
}

/* This process said ready, or not. */
void follow_ready(LoomMachine *machine)
{
    answer(machine, machine->self_ready, machine->self_sees);
    if (machine->self_ready)
        return;
    if (machine->view)
        follow_halt(machine, NULL);
    else
        search_begin(machine);
}

void follow_commit(LoomMachine *machine, const Word *word)
{
    if (machine->phase != PHASE_PREPARED || machine->proposing || machine->departing
        || !machine->self_ready || machine->promised != word->number
        || machine->next->generation != word->number)
        return;
    if (loom_view_find(machine->next, machine->self->seat))
        follow_begin(machine, word->flag[0]);
    else
        machine_end(machine, machine->failing ? LOOM_END_FAILED : LOOM_END_LEFT,
                    machine->failing ? machine->failing : "it was told to stop");
}

static void begin_peer(LoomMachine *machine, guint seat)
{
    Peer *peer = &machine->peers[seat];
    const LoomMember *member = loom_view_find(machine->view, seat);

    peer_forget_state(peer);
    g_clear_pointer(&peer->lost, g_free);
    g_clear_pointer(&peer->failed, g_free);
    peer->gone = peer->done = peer->waiting = FALSE;
    peer->deaf_since = peer->broke = 0;
    if (!member) {
        g_clear_pointer(&peer->member, loom_member_free);
        return;
    }
    machine_adopt(machine, member);
    peer->heard = peer->moved = machine->now;
    if (peer->join && peer->join->incarnation == member->incarnation)
        g_clear_pointer(&peer->join, loom_member_free);
}

void follow_begin(LoomMachine *machine, gboolean shared)
{
    loom_view_free(machine->view);
    machine->view = g_steal_pointer(&machine->next);
    machine->view->shared = shared;
    g_clear_pointer(&machine->open, g_ptr_array_unref);
    machine->open = g_steal_pointer(&machine->next_open);
    g_ptr_array_add(machine->open, open_of_view(machine->view));
    machine->phase = PHASE_RUNNING;
    machine->proposing = machine->self_ready = machine->whole = FALSE;
    machine->unready = 0;
    machine->claiming = machine->granted = machine->done = machine->waiting = FALSE;
    machine->founder = FALSE;
    machine->stamp++;
    machine->step = machine->view->step;
    machine->committed = machine->next_beat = machine->now;
    for (guint s = 0; s < machine->options.size; s++)
        begin_peer(machine, s);
    machine_act(machine, LOOM_ACT_BEGIN)->view = loom_view_copy(machine->view);
    if (machine->leaving)
        follow_halt(machine, NULL);
}

/* Halted, and another one leads: it is told what this one holds. */
void follow_tick(LoomMachine *machine)
{
    const guint leader = machine_leader(machine);

    if (machine->phase == PHASE_PREPARED) {
        const Peer *proposer = &machine->peers[machine->proposer];

        if (machine->now - MAX(proposer->heard, machine->awake) < machine->options.suspect_ms)
            return;
        if (machine->view) {
            follow_halt(machine, NULL);
        } else {
            drop_next(machine);
            memset(machine->run, 0, sizeof machine->run);
            search_begin(machine);
        }
        return;
    }
    if (machine->now >= machine->next_beat && leader != machine->self->seat)
        follow_state(machine, machine->peers[leader].member);
    if (machine->leaving
        && machine->now - machine->halted
               >= 2 * machine->options.suspect_ms + machine->options.grace_ms)
        machine_end(machine, machine->failing ? LOOM_END_FAILED : LOOM_END_LEFT,
                    machine->failing ? machine->failing : "it was told to stop");
}
