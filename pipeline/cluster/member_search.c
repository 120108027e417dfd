/* member_search - getting in, and letting in: JOIN, WAIT, REFUSE, REDIRECT, NOTICE. */
#include "machine.h"

#include <string.h>

static void target_free(gpointer data)
{
    Target *target = data;

    g_free(target->address);
    g_free(target->key);
    g_free(target);
}

void search_begin(LoomMachine *machine)
{
    machine->phase = PHASE_SEARCHING;
    machine->searching = machine->now;
    machine->answered = 0;
    machine->next_join = machine->now;
    machine->echo = 0;
    if (!machine->targets)
        machine->targets = g_ptr_array_new_with_free_func(target_free);
}

void search_target(LoomMachine *machine, const char *address, const char *key)
{
    Target *target;

    if (!*address || g_str_equal(address, machine->self->control))
        return;
    for (guint i = 0; i < machine->targets->len; i++) {
        target = machine->targets->pdata[i];
        if (g_str_equal(target->address, address)
            && g_strcmp0(target->key, key && *key ? key : NULL) == 0)
            return;
    }
    if (machine->targets->len == MACHINE_TARGETS_MAX)
        g_ptr_array_remove_index(machine->targets, 0);
    target = g_new0(Target, 1);
    target->address = g_strdup(address);
    target->key = key && *key ? g_strdup(key) : NULL;
    g_ptr_array_add(machine->targets, target);
    machine->next_join = MIN(machine->next_join, machine->now);
}

static GVariant *join_body(LoomMachine *machine)
{
    machine->self->step = machine->held;
    return g_variant_new("(@(utusssssx)utx)", loom_member_pack(machine->self),
                         (guint32)machine->options.size, machine->echo, machine->taken);
}

/* A process that wants the seat of @peer, was heard lately and hears this one. */
gboolean join_waits(const LoomMachine *machine, const Peer *peer)
{
    return peer->join && peer->echoed && machine->now >= peer->held_off
           && machine->now - peer->join_heard <= 4 * MACHINE_JOIN_MS;
}

/* "rank 2 did not" / "ranks 2 and 3 did not" */
static char *missing_text(LoomMachine *machine)
{
    GString *text = g_string_new(NULL);
    guint arrived = 1, missing = 0, written = 0;

    for (guint s = 0; s < machine->options.size; s++)
        if (s != machine->self->seat)
            arrived += join_waits(machine, &machine->peers[s]) ? 1 : 0;
    missing = machine->options.size - arrived;
    g_string_printf(text, "%u of %u ranks arrived in %" G_GINT64_FORMAT " s; %s ", arrived,
                    machine->options.size, machine->options.wait_ms / 1000,
                    missing == 1 ? "rank" : "ranks");
    for (guint s = 0; s < machine->options.size; s++)
        if (s != machine->self->seat && !join_waits(machine, &machine->peers[s])) {
            written++;
            g_string_append_printf(text, "%s%u",
                                   written == 1         ? ""
                                   : written == missing ? " and "
                                                        : ", ",
                                   s);
        }
    g_string_append(text, " did not; forgot srun?");
    return g_string_free(text, FALSE);
}

static void founder_tick(LoomMachine *machine)
{
    guint arrived = 1;

    for (guint s = 0; s < machine->options.size; s++)
        arrived += s != machine->self->seat && join_waits(machine, &machine->peers[s]) ? 1 : 0;
    if (arrived == machine->options.size) {
        lead_propose(machine);
    } else if (machine->now - MAX(machine->searching, machine->awake)
               >= machine->options.wait_ms) {
        g_autofree char *text = missing_text(machine);

        machine_end_all(machine, LOOM_END_MISSING, text);
    }
}

void search_tick(LoomMachine *machine)
{
    if (!machine->settled)
        return;
    if (machine->now >= machine->next_join) {
        machine->next_join = machine->now + MACHINE_JOIN_MS;
        if (!machine->founder)
            machine_send(machine, machine->meet, NULL, WORD_JOIN, join_body(machine));
        for (guint i = 0; i < machine->targets->len; i++) {
            const Target *target = machine->targets->pdata[i];

            machine_send(machine, target->address, target->key, WORD_JOIN, join_body(machine));
        }
    }
    if (machine->founder) {
        founder_tick(machine);
    } else if (machine->now - MAX(MAX(machine->searching, machine->answered), machine->awake)
               >= machine->options.wait_ms) {
        g_autofree char *text =
            machine->answered
                ? g_strdup_printf(
                    "rank %u was heard at '%s', then nothing for %" G_GINT64_FORMAT " s",
                    machine->self->seat, machine->meet, machine->options.wait_ms / 1000)
                : g_strdup_printf("nobody answered rank %u at '%s' in %" G_GINT64_FORMAT
                                  " s; is rank 0 running there?",
                                  machine->self->seat, machine->meet,
                                  machine->options.wait_ms / 1000);

        machine_end(machine, LOOM_END_MISSING, text);
    }
}

/* Why this JOIN can never succeed; NULL: it may.  (transfer full) */
static char *join_refused(LoomMachine *machine, const Word *word)
{
    if (word->version != MACHINE_VERSION)
        return g_strdup_printf(
            "rank %u speaks version %u of the protocol, this run version %d: "
            "start all ranks with one segloom",
            word->seat, word->version, MACHINE_VERSION);
    if (word->count != machine->options.size)
        return g_strdup_printf("rank %u was started as one of %u ranks, this run has %u",
                               word->seat, word->count, machine->options.size);
    if (word->seat >= machine->options.size)
        return g_strdup_printf("rank %u, want one below %u", word->seat, machine->options.size);
    if (word->member->group >= machine->options.n_groups)
        return g_strdup_printf("rank %u is in group %u, this run has %u groups", word->seat,
                               word->member->group, machine->options.n_groups);
    if (!g_str_equal(word->config, machine->config))
        return g_strdup_printf("rank %u has another config (%.12s) than this run (%.12s)",
                               word->seat, word->config, machine->config);
    if (word->seat == machine->self->seat)
        return g_strdup_printf("rank %u is taken by the process at '%s'", word->seat,
                               machine->self->control);
    return NULL;
}

/* Is it the process that lost this seat to another one? */
static gboolean is_fenced(const Peer *peer, const Word *word)
{
    return peer->fenced && peer->fenced == word->incarnation;
}

static void replace(LoomMachine *machine, Peer *peer, const Word *word)
{
    const char *text = "another process took its seat";

    if (peer->join && peer->join->incarnation != word->incarnation) {
        machine_send(machine, peer->join->control, peer->join->key, WORD_END,
                     g_variant_new("(us)", (guint32)LOOM_END_CUT_OFF, text));
        peer->fenced = peer->join->incarnation;
        g_clear_pointer(&peer->join, loom_member_free);
    }
    if (peer->member && peer->member->incarnation != word->incarnation
        && machine_in_view(machine, word->seat) && !peer->lost) {
        machine_send_peer(machine, peer, WORD_END,
                          g_variant_new("(us)", (guint32)LOOM_END_CUT_OFF, text));
        peer->fenced = peer->member->incarnation;
        peer_lose(machine, peer, "%s", text);
    }
}

static void join_note(LoomMachine *machine, const Word *word)
{
    Peer *peer = &machine->peers[word->seat];

    if (is_fenced(peer, word)) {
        machine_send(
            machine, word->control, word->key, WORD_END,
            g_variant_new("(us)", (guint32)LOOM_END_CUT_OFF, "another process took its seat"));
        return;
    }
    /* one stray JOIN displaces nobody: only who hears the answer does */
    if (word->number == machine->self->incarnation)
        replace(machine, peer, word);
    else if (peer->join && peer->join->incarnation != word->incarnation) {
        machine_send(machine, word->control, word->key, WORD_WAIT, g_variant_new("(b)", TRUE));
        return;
    }
    if (!peer->join || machine->now - peer->join_heard > 4 * MACHINE_JOIN_MS)
        peer->join_since = machine->now;
    loom_member_free(peer->join);
    peer->join = loom_member_copy(word->member);
    peer->join_heard = machine->now;
    peer->join_taken = word->taken;
    peer->echoed = word->number == machine->self->incarnation;
    machine_send(machine, word->control, word->key, WORD_WAIT, g_variant_new("(b)", TRUE));
}

/* A JOIN arrived here: at the founder, at the one that leads, or at somebody who knows it. */
void search_join(LoomMachine *machine, const Word *word)
{
    g_autofree char *refused = NULL;
    const LoomMember *leader;

    if (machine->phase == PHASE_ENDED
        && (machine->ending == LOOM_END_DONE || machine->ending == LOOM_END_FAILED))
        machine_send(machine, word->control, word->key, WORD_END,
                     g_variant_new("(us)", (guint32)machine->ending, machine->ended));
    if (machine->phase == PHASE_ENDED || (!machine->view && !machine->founder))
        return;
    refused = join_refused(machine, word);
    if (refused && word->incarnation != machine->self->incarnation) {
        machine_send(machine, word->control, word->key, WORD_REFUSE,
                     g_variant_new("(s)", refused));
        return;
    }
    if (refused || machine->phase == PHASE_SEARCHING) {
        if (!refused && machine->founder)
            join_note(machine, word);
        return;
    }
    if (!machine->view || machine_leads(machine)) {
        join_note(machine, word);
        return;
    }
    leader = loom_view_find(machine->view, machine_leader(machine));
    if (leader)
        machine_send(machine, word->control, word->key, WORD_REDIRECT,
                     g_variant_new("(ss)", leader->control, leader->key ? leader->key : ""));
}

/* Answers to JOIN. */
void search_word(LoomMachine *machine, const Word *word)
{
    if (machine->phase != PHASE_SEARCHING)
        return;
    switch (word->kind) {
    case WORD_WAIT:
        if (!machine->echo) /* the first answer: it is told at once that it was heard */
            machine->next_join = machine->now;
        machine->answered = machine->now;
        machine->echo = word->incarnation;
        break;
    case WORD_REFUSE:
        machine_end(machine, LOOM_END_FAILED, word->text);
        break;
    case WORD_REDIRECT:
        search_target(machine, word->text, word->text2);
        break;
    case WORD_NOTICE:
        machine->founder = FALSE;
        search_target(machine, word->control, word->key);
        break;
    default:
        break;
    }
}
