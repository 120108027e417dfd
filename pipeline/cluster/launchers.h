/* launchers.h - what each launcher leaves in the environment, read one after the other. */
#pragma once

#include "rendezvous.h"

#define LOOM_MAX_RANKS 4096

/* In the order in which they are asked. */
typedef enum {
    LOOM_BY_OPTIONS,
    LOOM_BY_TORCHRUN,
    LOOM_BY_KUBEFLOW,
    LOOM_BY_OPEN_MPI,
    LOOM_BY_PMI,
    LOOM_BY_SLURM,
    LOOM_BY_KUBERNETES,
    LOOM_N_LAUNCHERS,
} LoomLauncher;

typedef struct {
    const LoomRendezvousOptions *options;
    char **environment;
    GString *trace; /* may be NULL */
} LoomSearch;

/* What one launcher says of this process. */
typedef struct {
    gboolean counts; /* it started this process, and says all */
    guint rank, size, local_rank, restarts;
    const char *job; /* borrowed from the environment; NULL: none */
    char *said;      /* "RANK=3 of WORLD_SIZE=4" */
} LoomClaim;
void loom_claim_clear(LoomClaim *claim);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(LoomClaim, loom_claim_clear)

/* A variable that is set and not empty, with its line in the trace; NULL: it is not. */
const char *loom_search_get(const LoomSearch *search, const char *name);
/* A line of the trace that says what follows from the ones before. */
void loom_search_note(const LoomSearch *search, const char *format, ...) G_GNUC_PRINTF(2, 3);
void loom_search_head(const LoomSearch *search, guint number, const char *text);
/* Text of anybody, cut, as valid UTF-8 without control characters; (transfer full). */
char *loom_search_printable(const char *text);
/* A whole number from @min to @max, else LOOM_ERROR_CONFIG "NAME='text', want ...". */
gboolean loom_search_number(const char *name, const char *text, guint min, guint max,
                            guint *value, GError **error);

/* "torchrun". */
const char *loom_launcher_name(LoomLauncher launcher);
/* @claim: starts as {0}; counts is FALSE where the launcher says nothing of this process. */
gboolean loom_launcher_claim(const LoomSearch *search, LoomLauncher launcher, LoomClaim *claim,
                             GError **error);
/* Why @outer's variables, if any, are those of the process that started @inner's; NULL: they
 * are not. */
const char *loom_launcher_inherits(const LoomSearch *search, LoomLauncher inner,
                                   LoomLauncher outer);
/* Started in a job of several tasks, but not as one of them: what to do; NULL: it was not. */
char *loom_launcher_forgotten(const LoomSearch *search);
/* Is this process in a step of srun, not in the script that calls it? */
gboolean loom_launcher_in_step(const LoomSearch *search);

/* Where the ranks meet: "tcp://HOST:PORT" or "ipc://PATH", (transfer full). */
char *loom_meeting_find(const LoomSearch *search, LoomLauncher launcher, const LoomClaim *claim,
                        GError **error);
