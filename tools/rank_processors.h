/* rank_processors.h - which processors of this machine each rank gets, where several share it.
 */
#pragma once

#include <glib.h>
#include <sched.h>

/* rank_processors_deal - the processors that this process may use, dealt out among ranks
 * Ranks get cores that lie together, and as few share a core, a cache or a memory as can be.
 * Bound to them, the threads of a rank stay where its data is, and those that talk to another
 * rank do not push its threads aside: `mpirun` does the same.
 * Returns: (transfer full): a set for each of @ranks; NULL: there are fewer processors than
 *   ranks, or this system does not tell.
 * Source: hwloc_distrib, Broquedis et al. 2010, hwloc. */
cpu_set_t *rank_processors_deal(guint ranks);

/* Binds this process to @share; NULL: leaves it as it is.  A processor that went since it was
 * dealt out is no reason not to run: nothing is said.  Allocates and locks nothing, and may so
 * stand between fork and exec. */
void rank_processors_bind(const cpu_set_t *share);
