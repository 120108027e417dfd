/* cluster_options - the rows of `cluster:` in a config. */
#include "cluster.h"

const LoomParam loom_cluster_params[] = {
    LOOM_USE(LoomClusterOptions, transport, "{use: zmq}", "transport",
             "how messages travel between the processes"),
    LOOM_USE(LoomClusterOptions, collective, "{use: direct}", "collective",
             "how ranks sum their gradients"),
    LOOM_STRING(LoomClusterOptions, address, "",
                "interface to listen on, tcp://10.0.0.5; by default the one that leads to the "
                "meeting point"),
    LOOM_FLOAT(LoomClusterOptions, wait, "60", 1, 86400, "s",
               "for all ranks to arrive, and for a rank that a group cannot do without"),
    LOOM_FLOAT(LoomClusterOptions, beat, "1", 0.02, 60, "s", "between two heartbeats"),
    LOOM_FLOAT(LoomClusterOptions, suspect, "8", 0.1, 3600, "s",
               "without a heartbeat: the rank is lost, at least three beats"),
    LOOM_FLOAT(LoomClusterOptions, stall, "300", 1, 86400, "s",
               "heartbeats that carry no progress while others wait: the rank is lost"),
    LOOM_INT(LoomClusterOptions, min_ranks, "1", 1, 4096, NULL,
             "ranks that train; with fewer the run ends"),
    LOOM_BYTES(LoomClusterOptions, credit, "64MiB", 1 << 20, 1ll << 36,
               "under way on one stream, at most"),
    {0},
};
