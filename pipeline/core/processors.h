/* processors.h - how many processors this process may use. */
#pragma once

#include <glib.h>

/* At least 1: those that the process is bound to (taskset, Slurm, mpirun, cpusets), and not
 * more than its control group may keep busy at a time (docker --cpus, a CPU limit of
 * Kubernetes). g_get_num_processors() counts those of the machine. */
guint loom_processors(void);

/* The least limit of a control group and those around it, rounded up; 0: there is none.
 * @membership: what /proc/self/cgroup says.  @mount: /sys/fs/cgroup, of version 2.
 * Source: Linux, Documentation/admin-guide/cgroup-v2.rst, cpu.max. */
guint loom_processors_limit(const char *membership, const char *mount);
