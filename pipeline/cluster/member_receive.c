/* member_receive - what the others say: from bytes to what each word does here. */
#include "machine.h"

#include <string.h>

/* @word says that its sender does not hear others, which this process does. */
static void note_deaf(LoomMachine *machine, const Word *word)
{
    for (guint i = 0; i < word->deaf->len; i++) {
        const guint other = g_array_index(word->deaf, guint32, i);
        Peer *victim;

        /* that it does not hear this process, it says itself */
        if (other != machine->self->seat
            && (other >= machine->options.size || other == word->seat
                || !machine_in_view(machine, other)
                || machine->now - machine->peers[other].heard > 2 * machine->options.beat_ms))
            continue;
        victim =
            &machine->peers[other == machine->self->seat ? word->seat : MAX(other, word->seat)];
        if (!victim->deaf_since
            || machine->now - victim->deaf_last > 3 * machine->options.beat_ms)
            victim->deaf_since = machine->now;
        victim->deaf_last = machine->now;
        if (machine->now - victim->deaf_since < 3 * machine->options.beat_ms)
            continue;
        peer_lose(machine, victim, "it and rank %u do not hear each other",
                  MIN(other, word->seat));
        victim->gone = TRUE;
        victim->held_ms = CLAMP(2 * victim->held_ms, 2 * machine->options.suspect_ms, 600000);
        victim->held_off = machine->now + victim->held_ms;
    }
}

/* All members began the view: those before it cannot hold any more. */
static void note_whole(LoomMachine *machine, gboolean said)
{
    gboolean whole = TRUE;

    for (guint s = 0; s < machine->options.size; s++)
        whole &= s == machine->self->seat || !machine_in_view(machine, s)
                 || machine->peers[s].generation >= machine->view->generation;
    if (!machine->whole && (whole || said)) {
        machine->whole = TRUE;
        g_ptr_array_remove_range(machine->open, 0, machine->open->len - 1);
    }
}

static void take_beat(LoomMachine *machine, const Word *word)
{
    Peer *peer = &machine->peers[word->seat];

    if (peer->progress != word->number || word->flag[0])
        peer->moved = machine->now;
    peer->progress = word->number;
    peer->waiting = word->flag[0];
    if (!machine->view || word->generation != machine->view->generation
        || !machine_in_view(machine, word->seat))
        return;
    peer->done |= word->flag[1];
    if (machine->phase == PHASE_RUNNING)
        note_whole(machine, word->flag[2]);
    if (machine_leads(machine) && machine->phase != PHASE_PREPARED)
        note_deaf(machine, word);
}

/* Does it come from a process of the view that is proposed? */
static gboolean is_new(const LoomMachine *machine, const Word *word)
{
    const LoomMember *next = machine->next ? loom_view_find(machine->next, word->seat) : NULL;

    return next && next->incarnation == word->incarnation;
}

/* Its generation is over; it is told, and where to go. */
static void tell_outdated(LoomMachine *machine, const Word *word)
{
    const guint leader = machine_leader(machine);
    const LoomMember *at =
        leader == machine->self->seat ? machine->self : machine->peers[leader].member;

    machine_send(machine, word->control, word->key, WORD_OUTDATED,
                 g_variant_new("(ss)", at->control, at->key ? at->key : ""));
}

/* The others went on without this process: it begins anew, as one that joins. */
static void be_outdated(LoomMachine *machine, const Word *word)
{
    if (!machine->view || word->generation <= machine->view->generation)
        return;
    if (machine->departing) { /* as this process proposed: so they have begun */
        if (is_new(machine, word))
            machine->peers[word->seat].generation = word->generation;
        return;
    }
    if (machine->leaving) {
        machine_end(machine, machine->failing ? LOOM_END_FAILED : LOOM_END_LEFT,
                    machine->failing ? machine->failing : "it was told to stop");
        return;
    }
    if (machine->phase == PHASE_RUNNING)
        follow_halt(machine, NULL);
    machine_note(machine, "the others went on without rank %u: it joins them anew",
                 machine->self->seat);
    g_clear_pointer(&machine->view, loom_view_free);
    g_clear_pointer(&machine->next, loom_view_free);
    g_clear_pointer(&machine->open, g_ptr_array_unref);
    machine->proposing = machine->self_ready = machine->founder = FALSE;
    for (guint s = 0; s < machine->options.size; s++)
        peer_clear(&machine->peers[s]);
    memset(machine->run, 0, sizeof machine->run);
    search_begin(machine);
    search_target(machine, word->text, word->text2);
    search_target(machine, word->control, word->key);
}

static void take_failed(LoomMachine *machine, const Word *word)
{
    Peer *peer = &machine->peers[word->seat];
    g_autofree char *text = g_strdup_printf("rank %u failed: %s", word->seat, word->text);

    if (word->flag[0] && (!machine->view || word->generation < machine->view->generation))
        return;
    if (word->flag[0]) {
        machine_end_all(machine, LOOM_END_FAILED, text);
        return;
    }
    g_free(peer->failed);
    peer->failed = g_strdup(word->text);
    if (machine->phase == PHASE_RUNNING)
        follow_halt(machine, text);
}

/* Who is behind, or does not lead, has nothing to end here. */
static void take_end(LoomMachine *machine, const Word *word)
{
    const LoomEnding ending = (LoomEnding)word->count;
    const gboolean leads = word->seat == machine_leader(machine);

    if (!machine->view || word->generation < machine->view->generation)
        return;
    if (ending == LOOM_END_DONE || ending == LOOM_END_FAILED
        || (leads && (ending != LOOM_END_LEFT || machine->leaving)))
        machine_end(machine, ending, word->text);
}

/* @word comes from a process of the view that is proposed, not yet from one of the view. */
static void take_new(LoomMachine *machine, const Word *word)
{
    Peer *peer = &machine->peers[word->seat];

    if (!peer->member)
        peer->heard = machine->now;
    peer->generation = MAX(peer->generation, word->generation);
    if (word->kind == WORD_READY)
        lead_ready(machine, word->seat, word->number, word->flag[0], word->flag[1]);
    else if (word->kind == WORD_COMMIT)
        follow_commit(machine, word);
}

/* @word comes from a process that this one knows, by seat and incarnation. */
static void take_known(LoomMachine *machine, const Word *word)
{
    Peer *peer = &machine->peers[word->seat];
    const gboolean in_view = machine_in_view(machine, word->seat);

    peer->heard = machine->now;
    peer->broke = 0;
    peer->generation = MAX(peer->generation, word->generation);
    machine->highest = MAX(machine->highest, word->generation);
    if (peer->lost && !peer->gone && machine->phase != PHASE_PREPARED)
        g_clear_pointer(&peer->lost, g_free); /* silent for a while, and heard again */
    if (machine->phase == PHASE_RUNNING && in_view
        && word->generation < machine->view->generation && word->kind != WORD_END)
        machine_send_peer(
            machine, peer, WORD_COMMIT,
            g_variant_new("(tb)", machine->view->generation, machine->view->shared));
    switch (word->kind) {
    case WORD_BEAT:
        take_beat(machine, word);
        break;
    case WORD_HALT:
        follow_halt_word(machine, word);
        break;
    case WORD_STATE:
        follow_state_word(machine, word);
        break;
    case WORD_READY:
        lead_ready(machine, word->seat, word->number, word->flag[0], word->flag[1]);
        break;
    case WORD_COMMIT:
        follow_commit(machine, word);
        break;
    case WORD_FAILED:
        take_failed(machine, word);
        break;
    case WORD_END:
        take_end(machine, word);
        break;
    default:
        break;
    }
}

static gboolean is_known(const LoomMachine *machine, const Word *word)
{
    const LoomMember *member = machine->peers[word->seat].member;

    return member && member->incarnation == word->incarnation;
}

/* @word is of this run. */
static void take_of_run(LoomMachine *machine, const Word *word)
{
    if (word->kind == WORD_OUTDATED) {
        be_outdated(machine, word);
        return;
    }
    if (machine->phase == PHASE_RUNNING && word->kind != WORD_END
        && word->generation < machine->view->generation) {
        const LoomMember *member = loom_view_find(machine->view, word->seat);

        if (!member || member->incarnation != word->incarnation) {
            tell_outdated(machine, word);
            return;
        }
    }
    if (is_known(machine, word))
        take_known(machine, word);
    else if (is_new(machine, word))
        take_new(machine, word);
    else if (word->kind == WORD_STATE)
        follow_state_word(machine, word);
    else if (word->kind == WORD_END && word->count == LOOM_END_CUT_OFF && machine->view
             && word->generation > machine->view->generation)
        machine_end(machine, LOOM_END_CUT_OFF, word->text);
}

static void dispatch(LoomMachine *machine, const Word *word)
{
    static const guint8 none[16];
    const gboolean same = memcmp(word->run, machine->run, sizeof word->run) == 0
                          && memcmp(word->run, none, sizeof none) != 0;

    switch (word->kind) {
    case WORD_JOIN:
        search_join(machine, word);
        return;
    case WORD_PING:
        if (machine->view && machine->phase != PHASE_ENDED)
            machine_send(machine, word->control, word->key, WORD_NOTICE,
                         g_variant_new("(b)", TRUE));
        return;
    case WORD_WAIT:
    case WORD_REFUSE:
    case WORD_REDIRECT:
    case WORD_NOTICE:
        search_word(machine, word);
        return;
    case WORD_PREPARE:
        if (!machine->view || same)
            follow_prepare(machine, word);
        return;
    default:
        break;
    }
    if (machine->phase == PHASE_SEARCHING && word->kind == WORD_END && machine->echo
        && machine->echo == word->incarnation)
        machine_end(machine, (LoomEnding)word->count, word->text);
    else if (same && machine->phase == PHASE_ENDED) {
        if (word->kind != WORD_END && word->kind != WORD_FAILED
            && (machine->ending == LOOM_END_DONE || machine->ending == LOOM_END_FAILED)
            && is_known(machine, word))
            machine_send(machine, word->control, word->key, WORD_END,
                         g_variant_new("(us)", (guint32)machine->ending, machine->ended));
    } else if (same)
        take_of_run(machine, word);
    else
        machine->dropped++;
}

void loom_machine_receive(LoomMachine *machine, GBytes *message, gint64 now)
{
    g_autoptr(Word) word = word_unpack(message);

    if (!machine->now || now - machine->now >= machine->options.suspect_ms / 2)
        loom_machine_tick(machine, now);
    machine->now = MAX(machine->now, now);
    if (!word
        || (word->seat >= machine->options.size && word->kind != WORD_JOIN
            && word->kind != WORD_PING)) {
        machine->dropped++;
        return;
    }
    if (word->incarnation == machine->self->incarnation && word->seat == machine->self->seat)
        return; /* of this process itself */
    dispatch(machine, word);
}

guint64 loom_machine_dropped(const LoomMachine *machine)
{
    return machine->dropped;
}

GBytes *loom_machine_ping(const char *control, const char *key)
{
    LoomMember self = {.seat = 0,
                       .control = (char *)(guintptr)control,
                       .key = (char *)(guintptr)key,
                       .step = -1};
    LoomMachine asker = {.self = &self, .config = (char *)(guintptr) ""};

    return word_pack(&asker, WORD_PING, g_variant_new("(b)", TRUE));
}

gboolean loom_machine_is_notice(GBytes *message, const guint8 run[16])
{
    g_autoptr(Word) word = word_unpack(message);

    return word && word->kind == WORD_NOTICE && memcmp(word->run, run, sizeof word->run) == 0;
}
