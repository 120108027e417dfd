/* member_sim - the clock, the network and the processes; see member_sim.h. */
#include "member_sim.h"

#include <stdarg.h>
#include <string.h>

void sim_broken(const Sim *sim, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    for (guint i = 0; i < sim->notes->len; i++)
        g_printerr("# %s\n", (const char *)sim->notes->pdata[i]);
    g_error("seed %" G_GUINT64_FORMAT ", %u ranks, at %" G_GINT64_FORMAT " ms: %s", sim->seed,
            sim->n, sim->now, text);
}

gint64 sim_below(Sim *sim, gint64 n)
{
    return loom_rng_below(&sim->rng, n);
}

static void note(Sim *sim, guint seat, const char *text)
{
    g_ptr_array_add(sim->notes, g_strdup_printf("%7" G_GINT64_FORMAT " ms, rank %u: %s",
                                                sim->now, seat, text));
}

gboolean sim_noted(const Sim *sim, const char *text)
{
    for (guint i = 0; i < sim->notes->len; i++)
        if (strstr(sim->notes->pdata[i], text))
            return TRUE;
    return FALSE;
}

static void flight_free(gpointer data)
{
    SimFlight *flight = data;

    g_free(flight->address);
    g_clear_pointer(&flight->message, g_bytes_unref);
    g_free(flight);
}

static void view_free(gpointer data)
{
    SimView *view = data;

    g_string_free(view->members, TRUE);
    g_free(view);
}

Sim *sim_new(guint64 seed, guint n, gint64 total)
{
    Sim *sim = g_new0(Sim, 1);

    sim->seed = seed;
    sim->rng = loom_rng(seed, "simulation", 0);
    sim->n = n;
    sim->total = total;
    sim->now = 1000;
    sim->delay = 20;
    sim->options = (LoomMemberOptions){.size = n,
                                       .n_groups = 1,
                                       .min_ranks = 1,
                                       .wait_ms = 40000,
                                       .beat_ms = 1000,
                                       .suspect_ms = 4000,
                                       .lost_ms = 2000,
                                       .stall_ms = 20000,
                                       .grace_ms = 4000};
    sim->wire = g_sequence_new(flight_free);
    sim->views = g_ptr_array_new_with_free_func(view_free);
    sim->notes = g_ptr_array_new_with_free_func(g_free);
    sim->recorded = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    return sim;
}

static void process_clear(SimProcess *process)
{
    g_clear_pointer(&process->machine, loom_machine_free);
    g_clear_pointer(&process->self, loom_member_free);
    g_clear_pointer(&process->view, loom_view_free);
    memset(process, 0, sizeof *process);
}

void sim_free(Sim *sim)
{
    for (guint s = 0; s < sim->n; s++) {
        process_clear(&sim->process[s]);
        g_free(sim->why[s]);
    }
    g_sequence_free(sim->wire);
    g_ptr_array_unref(sim->views);
    g_ptr_array_unref(sim->notes);
    g_ptr_array_unref(sim->recorded);
    g_free(sim);
}

void sim_start(Sim *sim, guint seat, gint64 step)
{
    SimProcess *process = &sim->process[seat];
    LoomMemberOptions options = sim->options;

    process_clear(process);
    g_clear_pointer(&sim->why[seat], g_free);
    sim->ended[seat] = FALSE;
    sim->left[seat] = 0;
    process->self = loom_member_new();
    process->self->seat = seat;
    process->self->incarnation = loom_rng_u64(&sim->rng) | 1;
    process->self->control = seat == 0 ? g_strdup("meet")
                                       : g_strdup_printf("at-%u-%" G_GUINT64_FORMAT, seat,
                                                         process->self->incarnation);
    process->self->collective = g_strdup("c");
    process->self->stream = g_strdup("s");
    process->self->step = process->held = step;
    options.founder = seat == 0;
    process->machine =
        loom_machine_new(&options, process->self, "config", "meet", loom_rng_u64(&sim->rng));
    process->tick = sim->now;
    process->stopped = TRUE;
    note(sim, seat, "starts");
}

void sim_kill(Sim *sim, guint seat)
{
    note(sim, seat, "is killed");
    process_clear(&sim->process[seat]);
}

void sim_pause(Sim *sim, guint seat, gint64 ms)
{
    note(sim, seat, "is paused");
    sim->process[seat].paused = sim->now + ms;
}

void sim_cut(Sim *sim, guint from, guint to, gboolean cut)
{
    sim->cut[from][to] = cut;
}

/* ---- network ------------------------------------------------------------------------ */

static gint by_time(gconstpointer a, gconstpointer b, gpointer unused)
{
    const SimFlight *first = a, *second = b;

    (void)unused;
    if (first->at != second->at)
        return first->at < second->at ? -1 : 1;
    return (first->order > second->order) - (first->order < second->order);
}

void sim_fly(Sim *sim, SimFlight *flight)
{
    static guint64 order;

    flight->at = sim->now + 1 + sim_below(sim, sim->delay);
    flight->order = order++;
    if (sim->cut[flight->from][flight->to] || loom_rng_uniform(&sim->rng, 0, 1) < sim->drop) {
        flight_free(flight);
        return;
    }
    if (loom_rng_uniform(&sim->rng, 0, 1) < sim->twice) {
        SimFlight *copy = g_memdup2(flight, sizeof *flight);

        copy->address = g_strdup(flight->address);
        copy->message = flight->message ? g_bytes_ref(flight->message) : NULL;
        copy->at += sim_below(sim, 10 * sim->delay);
        copy->order = order++;
        g_sequence_insert_sorted(sim->wire, copy, by_time, NULL);
    }
    g_sequence_insert_sorted(sim->wire, flight, by_time, NULL);
}

/* The seat that an address belongs to: "meet" or "at-SEAT-..." */
static guint seat_of(const char *address)
{
    return g_str_equal(address, "meet") ? 0 : (guint)(address[3] - '0');
}

/* ---- processes ---------------------------------------------------------------------- */

static void finish(Sim *sim, guint seat, const LoomAct *act)
{
    SimProcess *process = &sim->process[seat];
    g_autofree char *text = g_strdup_printf("ends (%d): %s", (int)act->ending, act->text);

    note(sim, seat, text);
    sim->ended[seat] = TRUE;
    sim->ending[seat] = act->ending;
    g_free(sim->why[seat]);
    sim->why[seat] = g_strdup(act->text);
    sim->final[seat] = process->weights;
    sim->reached[seat] = process->held;
    if (act->ending == LOOM_END_DONE && !sim->restarts && !process->stopped
        && process->held != sim->total)
        sim_broken(sim, "rank %u is done at step %" G_GINT64_FORMAT, seat, process->held);
    process->stopped = TRUE;
    process->gone = sim->now + 1000;
    if (sim->restarts && (act->ending == LOOM_END_CUT_OFF || act->ending == LOOM_END_MISSING))
        sim->left[seat] = sim->now + 2000;
}

/* The lease, as lease.c keeps it: who proposes writes it, then looks for a claim; who claims
 * makes the claim, then looks for what was written. */
static gboolean claim(Sim *sim, guint seat, guint64 generation)
{
    const guint64 begun = sim->process[seat].view->generation;
    const guint64 mine = sim->process[seat].self->incarnation;

    if (sim->lease > begun || (sim->claim > begun && sim->claimant != mine))
        return FALSE;
    sim->claim = generation;
    sim->claimant = mine;
    return TRUE;
}

/* Must the coordinator of @view give way to a claim? */
static gboolean prepare_lease(Sim *sim, guint seat, const LoomView *view)
{
    const LoomView *begun = sim->process[seat].view;

    if (view->coordinator != seat)
        return FALSE;
    if (view->generation == 1)
        sim->lease = sim->claim = 0;
    sim->lease = MAX(sim->lease, view->generation);
    if (!begun || sim->claim <= begun->generation)
        return FALSE;
    for (guint i = 0; i < view->members->len; i++)
        if (((const LoomMember *)view->members->pdata[i])->incarnation == sim->claimant)
            return FALSE;
    return TRUE;
}

static void act_on(Sim *sim, guint seat, const LoomAct *act)
{
    SimProcess *process = &sim->process[seat];
    SimFlight *flight;

    switch (act->kind) {
    case LOOM_ACT_SEND:
        if (sim->recorded->len < 512)
            g_ptr_array_add(sim->recorded, g_bytes_ref(act->message));
        flight = g_new0(SimFlight, 1);
        flight->from = seat;
        flight->to = seat_of(act->address);
        flight->address = g_strdup(act->address);
        flight->message = g_bytes_ref(act->message);
        sim_fly(sim, flight);
        break;
    case LOOM_ACT_HALT:
        process->stop = sim->now + 1 + sim_below(sim, 200);
        break;
    case LOOM_ACT_PREPARE:
        process->ballot = act->view->generation;
        process->yields = sim->shared && prepare_lease(sim, seat, act->view);
        process->prepared = sim->now + 1 + sim_below(sim, 200);
        break;
    case LOOM_ACT_BEGIN:
        sim_begin(sim, seat, act->view);
        break;
    case LOOM_ACT_CLAIM:
        loom_machine_claimed(process->machine, act->generation,
                             claim(sim, seat, act->generation), sim->now);
        break;
    case LOOM_ACT_NOTE:
        note(sim, seat, act->text);
        break;
    case LOOM_ACT_END:
        finish(sim, seat, act);
        break;
    }
}

static void drain(Sim *sim, guint seat)
{
    SimProcess *process = &sim->process[seat];
    LoomAct *act;

    while (process->machine && (act = loom_machine_next(process->machine))) {
        act_on(sim, seat, act);
        loom_act_free(act);
    }
}

void sim_leave(Sim *sim, guint seat)
{
    note(sim, seat, "is told to stop");
    loom_machine_leave(sim->process[seat].machine, sim->now);
    drain(sim, seat);
}

static void deliver(Sim *sim, SimFlight *flight)
{
    SimProcess *process = &sim->process[flight->to];

    if (process->machine && process->paused > sim->now) {
        SimFlight *later = g_memdup2(flight, sizeof *flight);

        later->address = g_strdup(flight->address);
        later->message = flight->message ? g_bytes_ref(flight->message) : NULL;
        later->at = process->paused + 1;
        g_sequence_insert_sorted(sim->wire, later, by_time, NULL);
        return;
    }
    if (!process->machine || !g_str_equal(process->self->control, flight->address)) {
        SimProcess *from = &sim->process[flight->from];

        if (from->machine && from->paused <= sim->now && flight->message)
            loom_machine_lost(from->machine, flight->address, sim->now);
        return;
    }
    if (flight->message)
        loom_machine_receive(process->machine, flight->message, sim->now);
    else
        sim_take_vote(sim, flight->to, flight);
    drain(sim, flight->to);
}

static void step_process(Sim *sim, guint seat)
{
    SimProcess *process = &sim->process[seat];

    if (sim->left[seat] && sim->now >= sim->left[seat]) {
        sim->left[seat] = 0; /* a launcher stops when a rank is done */
        for (guint s = 0; s < sim->n; s++)
            if (sim->ended[s] && sim->ending[s] == LOOM_END_DONE)
                return;
        sim_start(sim, seat, -1);
    }
    if (!process->machine)
        return;
    if (process->gone && sim->now >= process->gone) {
        process_clear(process);
        return;
    }
    if (process->paused > sim->now)
        return;
    process->paused = 0;
    if (process->stop && sim->now >= process->stop && !process->stalled) {
        process->stop = 0;
        process->stopped = TRUE;
        loom_machine_state(process->machine, process->held, process->held, sim->now);
        drain(sim, seat);
    }
    if (process->prepared && sim->now >= process->prepared) {
        process->prepared = 0;
        if (process->yields) { /* as exit code 75 */
            sim_kill(sim, seat);
            sim->left[seat] = sim->now + 2000;
            return;
        }
        loom_machine_ready(process->machine, process->ballot, TRUE, sim->shared, sim->now);
        drain(sim, seat);
    }
    sim_train(sim, seat);
    if (process->view && !process->stopped) {
        loom_machine_progress(process->machine, process->held, (guint64)process->held,
                              !process->stalled && process->voted[seat] > process->held);
        if (loom_machine_wants_halt(process->machine))
            process->stop = process->stop ? process->stop : sim->now + 50;
    }
    drain(sim, seat);
    if (sim->now >= process->tick) {
        loom_machine_tick(process->machine, sim->now);
        drain(sim, seat);
        process->tick = sim->now + loom_machine_due(process->machine, sim->now);
    }
}

gboolean sim_over(const Sim *sim)
{
    for (guint s = 0; s < sim->n; s++)
        if ((sim->process[s].machine && !sim->ended[s]) || sim->left[s])
            return FALSE;
    return TRUE;
}

void sim_run(Sim *sim, gint64 until)
{
    while (sim->now < until && !sim_over(sim)) {
        sim->now += 10;
        while (g_sequence_get_length(sim->wire)) {
            GSequenceIter *first = g_sequence_get_begin_iter(sim->wire);
            SimFlight *flight = g_sequence_get(first);

            if (flight->at > sim->now)
                break;
            deliver(sim, flight);
            g_sequence_remove(first);
        }
        for (guint s = 0; s < sim->n; s++)
            step_process(sim, s);
    }
}
