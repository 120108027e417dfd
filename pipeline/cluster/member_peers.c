/* member_peers - what this process knows of the others: who is lost, and who leads. */
#include "machine.h"

#include <string.h>

void loom_act_free(LoomAct *act)
{
    if (!act)
        return;
    g_free(act->address);
    g_free(act->key);
    g_clear_pointer(&act->message, g_bytes_unref);
    loom_view_free(act->view);
    g_free(act->text);
    g_free(act);
}

LoomAct *machine_act(LoomMachine *machine, LoomActKind kind)
{
    LoomAct *act = g_new0(LoomAct, 1);

    act->kind = kind;
    g_queue_push_tail(&machine->acts, act);
    return act;
}

void machine_send(LoomMachine *machine, const char *address, const char *key, WordKind kind,
                  GVariant *body)
{
    LoomAct *act = machine_act(machine, LOOM_ACT_SEND);

    act->address = g_strdup(address);
    act->key = key && *key ? g_strdup(key) : NULL;
    act->message = word_pack(machine, kind, body);
}

void machine_send_peer(LoomMachine *machine, const Peer *peer, WordKind kind, GVariant *body)
{
    g_assert(peer->member);
    machine_send(machine, peer->member->control, peer->member->key, kind, body);
}

void machine_note(LoomMachine *machine, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    machine_act(machine, LOOM_ACT_NOTE)->text = g_strdup_vprintf(format, args);
    va_end(args);
}

void machine_end(LoomMachine *machine, LoomEnding ending, const char *text)
{
    LoomAct *act;

    if (machine->phase == PHASE_ENDED)
        return;
    machine->phase = PHASE_ENDED;
    machine->ending = ending;
    machine->ended = word_text(text);
    act = machine_act(machine, LOOM_ACT_END);
    act->ending = ending;
    act->text = g_strdup(text);
}

/* Here, and at all whom this process can tell. */
void machine_end_all(LoomMachine *machine, LoomEnding ending, const char *text)
{
    g_autofree char *said = word_text(text);

    for (guint s = 0; s < machine->options.size; s++) {
        const Peer *peer = &machine->peers[s];
        const LoomMember *to = machine_in_view(machine, s) ? peer->member : peer->join;

        /* between two views only for those that count on this process */
        if (to == peer->member && machine->phase != PHASE_RUNNING && !peer->answered
            && ending != LOOM_END_FAILED)
            continue;
        if (to && s != machine->self->seat)
            machine_send(machine, to->control, to->key, WORD_END,
                         g_variant_new("(us)", (guint32)ending, said));
    }
    machine_end(machine, ending, text);
}

gboolean machine_in_view(const LoomMachine *machine, guint seat)
{
    return machine->view && machine->peers[seat].member && loom_view_find(machine->view, seat);
}

gboolean machine_is_self(const LoomMachine *machine, const LoomMember *member)
{
    return member->seat == machine->self->seat
           && member->incarnation == machine->self->incarnation;
}

void machine_adopt(LoomMachine *machine, const LoomMember *member)
{
    Peer *peer = &machine->peers[member->seat];

    if (member->seat == machine->self->seat || member->seat >= machine->options.size)
        return;
    if (!peer->member || peer->member->incarnation != member->incarnation) {
        peer->heard = machine->now;
        peer->generation = 0;
        peer->gone = FALSE;
        g_clear_pointer(&peer->lost, g_free);
    }
    LoomMember *copy = loom_member_copy(member);
    loom_member_free(peer->member);
    peer->member = copy;
}

void peer_lose(LoomMachine *machine, Peer *peer, const char *format, ...)
{
    va_list args;

    if (peer->lost)
        return;
    va_start(args, format);
    peer->lost = g_strdup_vprintf(format, args);
    va_end(args);
    peer_forget_state(peer);
    machine->next_beat = MIN(machine->next_beat, machine->now);
}

/* The lowest seat of the view that is not lost. */
guint machine_leader(const LoomMachine *machine)
{
    if (machine->view)
        for (guint s = 0; s < machine->self->seat; s++)
            if (machine_in_view(machine, s) && !machine->peers[s].lost)
                return s;
    return machine->self->seat;
}

gboolean machine_leads(const LoomMachine *machine)
{
    return machine->view && machine_leader(machine) == machine->self->seat;
}

/* Stalled: alive, without progress, and others wait for it. */
static gboolean is_stalled(const LoomMachine *machine, guint seat)
{
    const Peer *peer = &machine->peers[seat];
    gboolean awaited = machine->waiting;

    if (machine->phase != PHASE_RUNNING || peer->waiting || peer->done
        || machine->now - MAX(peer->moved, machine->awake) < machine->options.stall_ms)
        return FALSE;
    for (guint s = 0; s < machine->options.size; s++)
        awaited |= s != seat && machine_in_view(machine, s) && machine->peers[s].waiting;
    return awaited;
}

/* Who is lost by now. */
void machine_watch(LoomMachine *machine)
{
    const gboolean leads = machine_leads(machine);
    const guint leader = machine_leader(machine);

    for (guint s = 0; machine->view && s < machine->options.size; s++) {
        Peer *peer = &machine->peers[s];
        const gint64 silent = machine->now - MAX(peer->heard, machine->awake);

        if (s == machine->self->seat || !machine_in_view(machine, s) || peer->lost
            || (peer->done && machine->phase == PHASE_RUNNING))
            continue;
        if (silent >= machine->options.suspect_ms)
            peer_lose(machine, peer, "no heartbeat for %" G_GINT64_FORMAT " s", silent / 1000);
        else if (peer->broke && machine->now - peer->broke >= machine->options.lost_ms
                 && silent >= machine->options.lost_ms)
            peer_lose(machine, peer, "its connection broke");
        else if ((leads || s == leader) && is_stalled(machine, s)) {
            peer_lose(machine, peer, "no progress for %" G_GINT64_FORMAT " s",
                      (machine->now - peer->moved) / 1000);
            peer->gone = TRUE;
        }
    }
}
