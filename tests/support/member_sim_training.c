/* member_sim_training - a model of training: votes, steps, weights.  What is checked at every
 * step: one generation has one view; a step that is applied in a view after a later view took
 * steps is at most the one that the later view took first (its votes were on the way): so
 * nothing is trained on two sides; no process goes back by more than a step. */
#include "member_sim.h"

#include <string.h>

#define COMPUTE_MS 150
#define VOTE_MS 300

static void vote(Sim *sim, guint seat)
{
    SimProcess *process = &sim->process[seat];

    for (guint i = 0; i < process->view->members->len; i++) {
        const LoomMember *to = process->view->members->pdata[i];
        SimFlight *flight;

        if (to->seat == seat)
            continue;
        flight = g_new0(SimFlight, 1);
        flight->from = seat;
        flight->to = to->seat;
        flight->address = g_strdup(to->control);
        flight->generation = process->view->generation;
        flight->incarnation = process->self->incarnation;
        flight->base = process->weights;
        flight->step = process->voted[seat];
        flight->holds = process->held == process->view->step && process->synced;
        sim_fly(sim, flight);
    }
    process->vote_at = sim->now + VOTE_MS;
}

/* A second run may be founded only when nobody is left of the first. */
static void new_run(Sim *sim, const LoomView *view)
{
    for (guint s = 0; s < sim->n; s++) {
        const SimProcess *process = &sim->process[s];

        if (process->machine && !sim->ended[s] && process->view && !process->stopped
            && memcmp(process->view->run, view->run, sizeof view->run) != 0)
            sim_broken(sim, "a second run was founded, rank %u is in the first", s);
    }
    g_ptr_array_set_size(sim->views, 0);
}

static SimView *find_view(Sim *sim, const LoomView *view)
{
    g_autoptr(GString) members = g_string_new(NULL);
    SimView *known;

    for (guint i = 0; i < view->members->len; i++) {
        const LoomMember *member = view->members->pdata[i];

        g_string_append_printf(members, "%u:%" G_GUINT64_FORMAT " ", member->seat,
                               member->incarnation);
    }
    for (guint i = 0; i < sim->views->len; i++) {
        known = sim->views->pdata[i];
        if (memcmp(known->run, view->run, sizeof known->run) != 0) {
            new_run(sim, view);
            break;
        }
        if (known->generation != view->generation)
            continue;
        if (!g_string_equal(known->members, members) || known->step != view->step)
            sim_broken(sim, "generation %" G_GUINT64_FORMAT " is '%s' and '%s'",
                       view->generation, known->members->str, members->str);
        return known;
    }
    known = g_new0(SimView, 1);
    memcpy(known->run, view->run, sizeof known->run);
    known->generation = view->generation;
    known->members = g_steal_pointer(&members);
    known->step = view->step;
    known->applied = -1;
    g_ptr_array_add(sim->views, known);
    return known;
}

void sim_begin(Sim *sim, guint seat, const LoomView *view)
{
    SimProcess *process = &sim->process[seat];
    const LoomMember *me = loom_view_find(view, seat);

    find_view(sim, view);
    if (!me || me->incarnation != process->self->incarnation)
        sim_broken(sim, "rank %u begins a view without it", seat);
    if (view->step < process->held - 1)
        sim_broken(sim, "rank %u goes back from step %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT,
                   seat, process->held, view->step);
    loom_view_free(process->view);
    process->view = loom_view_copy(view);
    process->stopped = process->said_done = FALSE;
    process->synced = view->source == seat || (view->step == 0 && view->generation == 1);
    if (process->synced && MAX(process->held, 0) != view->step)
        sim_broken(
            sim, "the source holds step %" G_GINT64_FORMAT ", the view says %" G_GINT64_FORMAT,
            process->held, view->step);
    process->held = view->step;
    for (guint s = 0; s < sim->n; s++)
        process->voted[s] = view->step;
    process->deadline = sim->now + COMPUTE_MS;
    process->vote_at = sim->now;
}

/* Splits of the mind show here. */
static void check_apply(Sim *sim, guint seat)
{
    const SimProcess *process = &sim->process[seat];
    SimView *mine = find_view(sim, process->view);

    for (guint i = 0; i < sim->views->len; i++) {
        const SimView *other = sim->views->pdata[i];

        if (other->generation > mine->generation && other->applied >= 0
            && process->held > other->step + 1)
            sim_broken(sim,
                       "rank %u applies step %" G_GINT64_FORMAT
                       " in generation %" G_GUINT64_FORMAT ", but generation %" G_GUINT64_FORMAT
                       " began with step %" G_GINT64_FORMAT,
                       seat, process->held, mine->generation, other->generation, other->step);
        if (other->generation < mine->generation && other->applied > mine->step + 1)
            sim_broken(sim,
                       "generation %" G_GUINT64_FORMAT " began with step %" G_GINT64_FORMAT
                       ", one before it applied step %" G_GINT64_FORMAT,
                       mine->generation, mine->step, other->applied);
    }
    mine->applied = MAX(mine->applied, process->held);
    if (sim->last_apply)
        sim->longest_pause = MAX(sim->longest_pause, sim->now - sim->last_apply);
    sim->last_apply = sim->now;
}

void sim_train(Sim *sim, guint seat)
{
    SimProcess *process = &sim->process[seat];
    gboolean all = TRUE;

    if (!process->view || process->stopped || !process->synced || process->stalled)
        return;
    if (process->held >= sim->total) {
        if (!process->said_done)
            loom_machine_done(process->machine, sim->now);
        process->said_done = TRUE;
    } else if (process->voted[seat] == process->held && sim->now >= process->deadline) {
        process->voted[seat]++;
        vote(sim, seat);
    }
    for (guint i = 0; i < process->view->members->len; i++)
        all &= process->voted[((const LoomMember *)process->view->members->pdata[i])->seat]
               > process->held;
    if (all && process->voted[seat] > process->held) {
        process->held++;
        process->weights = process->weights * G_GUINT64_CONSTANT(6364136223846793005)
                           + (guint64)process->held * 977 + process->view->members->len;
        process->deadline = sim->now + COMPUTE_MS;
        check_apply(sim, seat);
    }
    if (sim->now >= process->vote_at)
        vote(sim, seat);
}

void sim_take_vote(Sim *sim, guint seat, const SimFlight *flight)
{
    SimProcess *process = &sim->process[seat];
    const LoomMember *from;

    if (!process->view || process->stopped || process->view->generation != flight->generation)
        return;
    from = loom_view_find(process->view, flight->from);
    if (!from || from->incarnation != flight->incarnation)
        return;
    process->voted[flight->from] = MAX(process->voted[flight->from], flight->step);
    if (process->held == process->view->step && flight->holds
        && flight->from == process->view->source) {
        if (!process->synced)
            process->weights = flight->base;
        process->synced = TRUE;
    }
}
