/* share - which packets of the numbered sequence are made by which process. */
#include "share.h"

static gint64 divide_down(gint64 a, gint64 b)
{
    return a >= 0 ? a / b : -((-a + b - 1) / b);
}

static gint64 size_of(const LoomShare *share)
{
    return MAX(share->size, 1);
}

gint64 loom_share_step(const LoomShare *share, gint64 k)
{
    return share->step + divide_down(k - share->taken, size_of(share));
}

gint64 loom_share_taken(const LoomShare *share, gint64 step)
{
    return share->taken + (step - share->step) * size_of(share);
}

/* Packets that one of the source, or of the group before, becomes on its way through the group
 * that ends at @goal: they stay together, so that one volume is read by one process. */
static gint64 block_of(const LoomHop *goal)
{
    gint64 in = 1, out = 1;

    for (const LoomHop *hop = goal; hop && hop->group == goal->group; hop = hop->parent) {
        in *= hop->in;
        out *= hop->out;
    }
    return MAX(1, out / MAX(1, in));
}

guint loom_share_maker(const LoomHop *goal, gint64 index, guint size)
{
    return (guint)(index / block_of(goal) % size);
}

/* Is there a k in low..high, none below @from, with (k - from) mod size == rank? */
static gboolean residue_between(gint64 low, gint64 high, gint64 from, guint rank, guint size)
{
    const gint64 first = MAX(low, from);
    const gint64 ahead = ((gint64)rank - (first - from) % size + size) % size;

    return first + ahead <= high;
}

gboolean loom_share_wants(const LoomShare *share, const LoomHop *hop, gint64 index, guint group,
                          guint rank, guint size)
{
    gint64 low = index, high = index;

    if (!hop->toward) /* below the goal, beside the way to it, or a graph without one */
        return hop->parent || hop->counts || residue_between(low, high, 0, rank, size);
    while (hop->toward && !(group && hop->group == group && hop->toward->group != group)) {
        hop = hop->toward;
        low = low / hop->in * hop->out;
        high = high / hop->in * hop->out + hop->out - 1;
    }
    if (!group)
        return residue_between(low, high, share->taken, rank, size);
    const gint64 block = block_of(hop);
    return residue_between(MAX(low, hop->first) / block, high / block, 0, rank, size);
}
