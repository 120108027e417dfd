/* member_quorum - may those who answered go on without the others?
 *
 * A step needs all members of a view, so a view that a member has not begun, and has promised
 * never to begin, takes no step.  The views in which steps may have been taken are those that
 * some participant has begun: from the last one that is known to have been begun by all (the
 * first of `open`) on.  Of each of them the participants must be
 *   more than half, or exactly half with its lowest seat.
 * Two such sets share a process of every view they both come from, and that process promises
 * itself to the one with the higher generation only. */
#include "machine.h"

/* A participant: it said its STATE, and its promise will be asked. */
static gboolean takes_part(const LoomMachine *machine, const OpenSeat *seat)
{
    const Peer *peer;

    if (seat->seat >= machine->options.size)
        return FALSE;
    if (seat->seat == machine->self->seat)
        return seat->incarnation == machine->self->incarnation && machine->settled;
    peer = &machine->peers[seat->seat];
    return peer->member && peer->answered && !peer->lost
           && peer->member->incarnation == seat->incarnation;
}

static gboolean is_quorum(const LoomMachine *machine, const OpenView *view)
{
    guint n = 0;
    gboolean lowest = FALSE;

    for (guint i = 0; i < view->seats->len; i++) {
        const gboolean with = takes_part(machine, &g_array_index(view->seats, OpenSeat, i));

        n += with ? 1 : 0;
        lowest |= with && i == 0;
    }
    return 2 * n > view->seats->len || (2 * n == view->seats->len && lowest);
}

static gint by_generation(gconstpointer a, gconstpointer b)
{
    const OpenView *const *first = a, *const *second = b;

    return ((*first)->generation > (*second)->generation)
           - ((*first)->generation < (*second)->generation);
}

/* Adds to @all what is in @open and not yet there; the floor rises to the first of @open. */
static void merge(GPtrArray *all, GPtrArray *open, guint64 *floor)
{
    g_autoptr(GPtrArray) copy = open_copy(open);

    if (!open->len)
        return;
    *floor = MAX(*floor, ((const OpenView *)open->pdata[0])->generation);
    while (copy->len) {
        const OpenView *view = copy->pdata[0];
        gboolean known = FALSE;

        for (guint i = 0; i < all->len && !known; i++)
            known = ((const OpenView *)all->pdata[i])->generation == view->generation;
        if (known)
            g_ptr_array_remove_index(copy, 0);
        else
            g_ptr_array_add(all, g_ptr_array_steal_index(copy, 0));
    }
}

gboolean quorum_holds(const LoomMachine *machine, GPtrArray **open)
{
    g_autoptr(GPtrArray) all = open_new();
    guint64 floor = 0;
    gboolean holds = TRUE;

    if (machine->open)
        merge(all, machine->open, &floor);
    for (guint s = 0; s < machine->options.size; s++) {
        const Peer *peer = &machine->peers[s];

        if (peer->member && peer->answered && !peer->lost && peer->open)
            merge(all, peer->open, &floor);
    }
    for (guint i = all->len; i-- > 0;)
        if (((const OpenView *)all->pdata[i])->generation < floor)
            g_ptr_array_remove_index(all, i);
    g_ptr_array_sort(all, by_generation);
    for (guint i = 0; i < all->len; i++)
        holds &= is_quorum(machine, all->pdata[i]);
    holds &= all->len < MACHINE_OPEN_MAX;
    if (open)
        *open = g_steal_pointer(&all);
    return holds;
}

/* "cannot reach 3 of 4 ranks (1, 2 and 3)" */
char *quorum_text(const LoomMachine *machine)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_autoptr(GString) seats = g_string_new(NULL);
    const GPtrArray *members = machine->view->members;
    guint n = 0, written = 0;

    for (guint pass = 0; pass < 2; pass++)
        for (guint i = 0; i < members->len; i++) {
            const LoomMember *member = members->pdata[i];
            const Peer *peer = &machine->peers[member->seat];

            if (machine_is_self(machine, member) || (peer->answered && !peer->lost))
                continue;
            if (pass == 0) {
                n++;
                continue;
            }
            written++;
            g_string_append_printf(seats, "%s%u",
                                   written == 1   ? ""
                                   : written == n ? " and "
                                                  : ", ",
                                   member->seat);
        }
    g_string_printf(text, "cannot reach %u of %u ranks (%s)", n, members->len, seats->str);
    return g_string_free(g_steal_pointer(&text), FALSE);
}
