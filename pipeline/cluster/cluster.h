/* cluster.h - this process among the others: the machine of member.h with a thread, a port and
 * a clock.  The thread that trains calls; the cluster's own thread listens. */
#pragma once

#include "rendezvous.h"
#include "view.h"

#include "plugin/instance.h"

#include <loom/network.h>

/* `cluster:` of a config; rows for loom_params_fill. */
typedef struct {
    LoomInstance *transport, *collective;
    char *address; /* interface to listen on: "tcp://10.0.0.5"; NULL: the one that leads to
                      the meeting point */
    double wait, beat, suspect, stall; /* seconds */
    gint64 min_ranks;
    guint64 credit;
} LoomClusterOptions;
extern const LoomParam loom_cluster_params[];
/* What the rows alone cannot tell; @size 1: how many ranks there will be is not known. */
gboolean loom_cluster_options_check(const LoomClusterOptions *options, guint size,
                                    GError **error);

typedef struct _LoomCluster LoomCluster;

/* Opens the control port.  @transport: opened.  @member: seat, group, addresses of the other
 * ports, key, host; `control` and `incarnation` are filled in here.  @config: hash of what all
 * ranks must have alike.  @folder: of the run, for the lease and the address of a run that goes
 * on; NULL: none.  @halted: called in the cluster's thread when a generation is over, to wake
 * what waits for others. */
LoomCluster *loom_cluster_new(const LoomClusterOptions *options,
                              const LoomRendezvous *rendezvous, const LoomInstance *transport,
                              LoomMember *member, guint n_groups, const char *config,
                              const char *folder, void (*halted)(gpointer data), gpointer data,
                              GError **error);
void loom_cluster_free(LoomCluster *cluster);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LoomCluster, loom_cluster_free)
/* "tcp://10.0.0.5:*": where this process's other ports are to listen; (transfer full). */
char *loom_cluster_listen_address(const LoomClusterOptions *options,
                                  const LoomRendezvous *rendezvous, const char *what,
                                  GError **error);

/* Waits for the next view, with what this process holds: @step steps (-1: nothing), @taken
 * rank-steps.  Called at the start and each time a generation is over.
 * OK: *view (transfer full) is proposed: open what it needs, then loom_cluster_begin.
 * STOP: this process is out of it, in order: *ending says how (LoomEnding), and
 *   loom_cluster_reason why.  FAIL: the error. */
LoomFlow loom_cluster_enter(LoomCluster *cluster, gint64 step, gint64 taken, LoomView **view,
                            int *ending, GError **error);
/* Ready, or not.  OK: every rank is, the view holds.  STOP: it does not, enter again. */
LoomFlow loom_cluster_begin(LoomCluster *cluster, const LoomView *view, gboolean ready,
                            GError **error);
/* Do all ranks of the generation that began see one run folder?  Known from then on; a proposal
 * does not say. */
gboolean loom_cluster_shared(LoomCluster *cluster);
const char *loom_cluster_reason(const LoomCluster *cluster);
/* From any thread. */
gboolean loom_cluster_halted(LoomCluster *cluster);
gboolean loom_cluster_wants_halt(LoomCluster *cluster);
void loom_cluster_progress(LoomCluster *cluster, gint64 step, guint64 progress);
/* Around what waits for other ranks: who waits is not the one that stalls. */
void loom_cluster_waiting(LoomCluster *cluster, gboolean waiting);
/* The ranks are to form anew: a collective or a stream failed. */
void loom_cluster_report(LoomCluster *cluster, const char *text);
void loom_cluster_leave(LoomCluster *cluster);
/* All steps are done: waits until every rank says so, or has left. */
LoomFlow loom_cluster_finish(LoomCluster *cluster, GError **error);
/* This process failed.  Waits, for a second at most, until the others know. */
void loom_cluster_failed(LoomCluster *cluster, const GError *error);
/* Is a run alive whose lease lies in this folder?  Asks its coordinator, for two seconds. */
gboolean loom_cluster_alive(const LoomClusterOptions *options, const LoomInstance *transport,
                            const char *folder);
