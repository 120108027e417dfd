/* edges - edges of the graph that lead from one group of processes to the next. */
#include "ranks.h"

/* Places of the group at the other end, for a hop that leaves or arrives. */
static guint places_of(const LoomRun *run, guint group)
{
    return loom_view_group_size(run->ranks->view, group);
}

LoomFlow loom_ranks_send(LoomRun *run, LoomHop *hop, const LoomPacket *packet, GError **error)
{
    const guint group = hop->toward->group, n = places_of(run, group);
    LoomFlow flow = LOOM_FLOW_STOP;

    for (guint r = 0; r < n; r++) {
        LoomFlow one;

        if (!loom_share_wants(&run->share, hop, loom_packet_index(packet), group, r, n))
            continue;
        one = loom_streams_push(run->ranks->streams, g_array_index(hop->streams, guint, r),
                                loom_packet_fork(packet), error);
        if (one == LOOM_FLOW_FAIL)
            return one;
        flow = one == LOOM_FLOW_OK ? one : flow;
    }
    return flow;
}

LoomFlow loom_ranks_receive(LoomRun *run, LoomHop *hop, gint64 index, LoomPacket **packet,
                            GError **error)
{
    const guint maker = loom_share_maker(hop, index, places_of(run, hop->group));
    LoomRanks *ranks = run->ranks;

    loom_cluster_waiting(ranks->cluster, TRUE);
    const LoomFlow flow = loom_streams_take(
        ranks->streams, g_array_index(hop->streams, guint, maker), packet, error);
    loom_cluster_waiting(ranks->cluster, FALSE);
    if (flow != LOOM_FLOW_OK || loom_packet_index(*packet) == index)
        return flow;
    const gint64 came = loom_packet_index(*packet);
    g_clear_pointer(packet, loom_packet_free);
    loom_fail(error, LOOM_ERROR_FORMAT,
              "packet %" G_GINT64_FORMAT " arrived from '%s' where %" G_GINT64_FORMAT
              " was due: do all ranks run the same version?",
              came, hop->id, index);
    return LOOM_FLOW_FAIL;
}

void loom_ranks_end(LoomRun *run, const LoomLane *lane)
{
    for (guint i = 0; run->ranks && lane->graph == run->main && i < lane->hops->len; i++) {
        const LoomHop *hop = lane->hops->pdata[i];

        for (guint r = 0;
             hop->leaves && lane->ended && !loom_run_ending(run) && r < hop->streams->len; r++)
            loom_streams_end(run->ranks->streams, g_array_index(hop->streams, guint, r));
    }
}
