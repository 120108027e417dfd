/* address.h - where the ports of a process listen, so that the processes it meets can reach
 * them. */
#pragma once

#include <loom/plugin.h>

/* loom_address_beside - an address from which those at @meet can be reached, and where they
 * reach this process: the interface that leads to @meet for tcp, a path in the same folder for
 * ipc
 * @interface: "tcp://10.0.0.5" or "10.0.0.5": this one; NULL: found out
 * @name: "rank-2-control": tells the ports of a host apart
 * Returns: (transfer full): NULL with LOOM_ERROR_IO: the name does not resolve within five
 *   seconds, or nothing leads there; LOOM_ERROR_CONFIG: an address that is none. */
char *loom_address_beside(const char *meet, const char *interface, const char *name,
                          GError **error);
/* Waits until the name in @meet resolves: under Kubernetes it does so only once its pod is
 * placed.  At most @seconds; LOOM_ERROR_IO: it did not. */
gboolean loom_address_await(const char *meet, double seconds, GError **error);
/* What rank 0 is to listen on so that others find it at @meet: names resolved to an address of
 * this host; errors as above, and LOOM_ERROR_IO when it is another host's. */
char *loom_address_of_founder(const char *meet, const char *interface, GError **error);
