/* rank_processors - see rank_processors.h. */
#define _GNU_SOURCE /* sched_setaffinity */
#include "rank_processors.h"

#include <hwloc.h>
#include <hwloc/glibc-sched.h>
#include <limits.h>

static cpu_set_t *sets_dealt(hwloc_topology_t topology, guint ranks)
{
    hwloc_obj_t machine = hwloc_get_root_obj(topology);
    g_autofree hwloc_cpuset_t *shares = g_new0(hwloc_cpuset_t, ranks);
    cpu_set_t *sets;

    if (hwloc_bitmap_weight(machine->cpuset) < (int)ranks
        || hwloc_bitmap_last(machine->cpuset) >= CPU_SETSIZE
        || hwloc_distrib(topology, &machine, 1, shares, ranks, INT_MAX, 0) != 0)
        return NULL;
    sets = g_new0(cpu_set_t, ranks);
    for (guint i = 0; i < ranks; i++) {
        hwloc_cpuset_to_glibc_sched_affinity(topology, shares[i], &sets[i], sizeof sets[i]);
        hwloc_bitmap_free(shares[i]);
    }
    return sets;
}

cpu_set_t *rank_processors_deal(guint ranks)
{
    hwloc_topology_t topology;
    cpu_set_t *sets = NULL;

    if (hwloc_topology_init(&topology) != 0)
        return NULL;
    /* those of a container, of Slurm, of taskset: not of the machine */
    hwloc_topology_set_flags(topology, HWLOC_TOPOLOGY_FLAG_IS_THISSYSTEM
                                           | HWLOC_TOPOLOGY_FLAG_RESTRICT_TO_CPUBINDING);
    if (hwloc_topology_load(topology) == 0)
        sets = sets_dealt(topology, ranks);
    hwloc_topology_destroy(topology);
    return sets;
}

void rank_processors_bind(const cpu_set_t *share)
{
    if (share)
        sched_setaffinity(0, sizeof *share, share);
}
