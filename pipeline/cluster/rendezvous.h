/* rendezvous.h - which rank this process is, of how many, and where the ranks meet: from
 * options, or from what a launcher left in the environment. */
#pragma once

#include <glib.h>

typedef struct {
    guint rank, size; /* rank < size; 0 of 1: alone */
    guint local_rank; /* among those of this host; 0 where the launcher does not say */
    char *meet;       /* "tcp://HOST:PORT" or "ipc://PATH"; NULL: alone */
    char *engine;     /* who said it: "options", "torchrun", "Kubeflow (PET)", "Open MPI",
                         "PMI", "Slurm", "Kubernetes", "nobody" */
    char *job;        /* id of the job, for names and messages; NULL: none */
    guint restarts;   /* how often the launcher started this job before */
} LoomRendezvous;

/* What the command line says; 0 and NULL where it does not. */
typedef struct {
    const char *rank, *size, *meet;
} LoomRendezvousOptions;

/* loom_rendezvous_find - by the precedence of options, torchrun, PET_*, OMPI_*, PMI_*, Slurm (a
 * step of more than one task), Kubernetes index
 * @environment: as g_get_environ() gives it
 * @trace: appended to: a line a variable that was looked at, found and why it did or did not
 *   count, for `doctor --env`; may be NULL
 * Fails with LOOM_ERROR_CONFIG, naming both variables, where two sources contradict, where one
 * is incomplete, or a value is no number in range. */
gboolean loom_rendezvous_find(LoomRendezvous *found, const LoomRendezvousOptions *options,
                              char **environment, GString *trace, GError **error);
void loom_rendezvous_clear(LoomRendezvous *rendezvous);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(LoomRendezvous, loom_rendezvous_clear)
/* "n[1-3,7],gpu01" -> "n1", "n2", ...; NULL with LOOM_ERROR_CONFIG; (transfer full). */
char **loom_hosts_expand(const char *list, GError **error);
