/* launchers - what each launcher leaves in the environment, read one after the other.
 *
 * torchrun: docs.pytorch.org/docs/stable/elastic/run.html; Open MPI 4.1: mpirun(1); Slurm:
 * srun(1), OUTPUT ENVIRONMENT VARIABLES; Kubernetes: Indexed Job. */
#include "launchers.h"

#include <loom/plugin.h>

#include <string.h>

/* Steps of slurm.h that are no step of srun: the batch script, the external one, the shell of
 * an interactive salloc. */
#define SLURM_FIRST_SPECIAL_STEP 4294967290u

static const struct {
    const char *name, *rank, *size, *local_rank, *job, *restarts;
} launchers[LOOM_N_LAUNCHERS] = {
    [LOOM_BY_OPTIONS] = {"options", "--rank", "--size", NULL, NULL, NULL},
    [LOOM_BY_TORCHRUN] = {"torchrun", "RANK", "WORLD_SIZE", "LOCAL_RANK", "TORCHELASTIC_RUN_ID",
                          "TORCHELASTIC_RESTART_COUNT"},
    [LOOM_BY_KUBEFLOW] = {"Kubeflow (PET)", "PET_NODE_RANK", "PET_NNODES", "LOCAL_RANK", NULL,
                          NULL},
    [LOOM_BY_OPEN_MPI] = {"Open MPI", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE",
                          "OMPI_COMM_WORLD_LOCAL_RANK", "PMIX_NAMESPACE", NULL},
    [LOOM_BY_PMI] = {"PMI", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "PMI_JOBID", NULL},
    [LOOM_BY_SLURM] = {"Slurm", "SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID", "SLURM_JOB_ID",
                       "SLURM_RESTART_COUNT"},
    [LOOM_BY_KUBERNETES] = {"Kubernetes", "JOB_COMPLETION_INDEX", "SEGLOOM_SIZE", NULL, NULL,
                            NULL},
};

const char *loom_launcher_name(LoomLauncher launcher)
{
    return launchers[launcher].name;
}

void loom_claim_clear(LoomClaim *claim)
{
    g_clear_pointer(&claim->said, g_free);
}

/* ---- one claim ---------------------------------------------------------------------- */

static gboolean counts(LoomClaim *claim, const char *rank_name, const char *size_name,
                       GError **error)
{
    claim->said =
        g_strdup_printf("%s=%u of %s=%u", rank_name, claim->rank, size_name, claim->size);
    if (claim->rank >= claim->size)
        return loom_fail(error, LOOM_ERROR_CONFIG, "%s: ranks count from 0 to %u", claim->said,
                         claim->size - 1);
    claim->counts = TRUE;
    return TRUE;
}

/* Rank and size as they were found, one of them NULL where there is none. */
static gboolean pair_read(LoomClaim *claim, const char *rank_name, const char *rank,
                          const char *size_name, const char *size, GError **error)
{
    g_autofree char *given = loom_search_printable(rank ? rank : size);

    if (!rank || !size)
        return loom_fail(error, LOOM_ERROR_CONFIG, "%s=%s was given without %s: %s",
                         rank ? rank_name : size_name, given, rank ? size_name : rank_name,
                         rank ? "of how many ranks is not known"
                              : "which of them is not known");
    return loom_search_number(rank_name, rank, 0, LOOM_MAX_RANKS - 1, &claim->rank, error)
           && loom_search_number(size_name, size, 1, LOOM_MAX_RANKS, &claim->size, error)
           && counts(claim, rank_name, size_name, error);
}

static gboolean options_claim(const LoomSearch *search, LoomClaim *claim, GError **error)
{
    const LoomRendezvousOptions *options = search->options;

    if (options->rank)
        return pair_read(claim, "--rank", options->rank, "--size", options->size, error);
    loom_search_note(search, "%s",
                     options->size ? "--size alone: which rank this is, a launcher says"
                                   : "does not count: neither --rank nor --size is given");
    return TRUE;
}

/* torchrun reads the PET_ variables itself; here they count where it was not used. */
static gboolean kubeflow_claim(const LoomSearch *search, LoomClaim *claim, GError **error)
{
    const char *node = loom_search_get(search, "PET_NODE_RANK");
    const char *nodes = loom_search_get(search, "PET_NNODES");
    const char *each = loom_search_get(search, "PET_NPROC_PER_NODE");
    guint node_rank, n_nodes, per_node = 1, local = 0;

    if (!node) {
        loom_search_note(search, "does not count");
        return TRUE;
    }
    if (!nodes)
        return pair_read(claim, "PET_NODE_RANK", node, "PET_NNODES", NULL, error);
    if (!loom_search_number("PET_NODE_RANK", node, 0, LOOM_MAX_RANKS - 1, &node_rank, error)
        || !loom_search_number("PET_NNODES", nodes, 1, LOOM_MAX_RANKS, &n_nodes, error)
        || (each
            && !loom_search_number("PET_NPROC_PER_NODE", each, 1, LOOM_MAX_RANKS, &per_node,
                                   error)))
        return FALSE;
    if (per_node > 1) {
        const char *text = loom_search_get(search, "LOCAL_RANK");

        if (!text)
            return loom_fail(
                error, LOOM_ERROR_CONFIG,
                "PET_NPROC_PER_NODE=%u was given without LOCAL_RANK: which of them "
                "is not known; one process a node is numProcPerNode: 1",
                per_node);
        if (!loom_search_number("LOCAL_RANK", text, 0, per_node - 1, &local, error))
            return FALSE;
    }
    if ((guint64)n_nodes * per_node > LOOM_MAX_RANKS)
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "PET_NNODES=%u times PET_NPROC_PER_NODE=%u is more than %d ranks",
                         n_nodes, per_node, LOOM_MAX_RANKS);
    claim->local_rank = local;
    claim->size = n_nodes * per_node;
    claim->rank = node_rank * per_node + local;
    if (per_node > 1)
        return counts(claim, "PET_NODE_RANK x PET_NPROC_PER_NODE + LOCAL_RANK",
                      "PET_NNODES x PET_NPROC_PER_NODE", error);
    return counts(claim, "PET_NODE_RANK", "PET_NNODES", error);
}

/* WORLD_SIZE belongs to RANK where there is one; JobSet has ranks that are no index. */
static gboolean kubernetes_claim(const LoomSearch *search, LoomClaim *claim, GError **error)
{
    const char *rank = loom_search_get(search, "JOB_COMPLETION_INDEX");
    const char *name = "--size", *size = search->options->size;
    guint first, second;

    if (!rank) {
        loom_search_note(search, "does not count");
        return TRUE;
    }
    if (!size && (size = loom_search_get(search, "SEGLOOM_SIZE")))
        name = "SEGLOOM_SIZE";
    if (!g_environ_getenv(search->environment, "RANK")) {
        const char *world = loom_search_get(search, "WORLD_SIZE");

        if (world && size
            && (!loom_search_number(name, size, 1, LOOM_MAX_RANKS, &first, error)
                || !loom_search_number("WORLD_SIZE", world, 1, LOOM_MAX_RANKS, &second, error)))
            return FALSE;
        if (world && size && first != second)
            return loom_fail(error, LOOM_ERROR_CONFIG, "%s=%s contradicts WORLD_SIZE=%s", name,
                             size, world);
        if (world && !size) {
            name = "WORLD_SIZE";
            size = world;
        }
    }
    if (!size) {
        loom_search_note(search, "does not count: of how many pods is not said; give --size "
                                 "or SEGLOOM_SIZE, the job's completions");
        return TRUE;
    }
    return pair_read(claim, "JOB_COMPLETION_INDEX", rank, name, size, error);
}

/* ---- Slurm -------------------------------------------------------------------------- */

gboolean loom_launcher_in_step(const LoomSearch *search)
{
    const char *step = g_environ_getenv(search->environment, "SLURM_STEP_ID");
    guint64 number;

    return step && g_ascii_string_to_unsigned(step, 10, 0, G_MAXUINT64, &number, NULL)
           && number < SLURM_FIRST_SPECIAL_STEP;
}

char *loom_launcher_forgotten(const LoomSearch *search)
{
    const char *job = g_environ_getenv(search->environment, "SLURM_JOB_ID");
    const char *tasks = g_environ_getenv(search->environment, "SLURM_NTASKS");
    guint n;

    if (!job || !tasks || loom_launcher_in_step(search)
        || !loom_search_number("SLURM_NTASKS", tasks, 2, LOOM_MAX_RANKS, &n, NULL))
        return NULL;
    g_autofree char *shown = loom_search_printable(job);
    return g_strdup_printf("Slurm job %s has %u tasks, but this process is alone: it was not "
                           "started with srun; forgot 'srun segloom run ...'?",
                           shown, n);
}

/* The batch script has SLURM_PROCID=0 and SLURM_NTASKS as well, and is one process. */
static gboolean slurm_starts(const LoomSearch *search)
{
    const gboolean in_step =
        loom_search_get(search, "SLURM_STEP_ID") && loom_launcher_in_step(search);
    const char *tasks = g_environ_getenv(search->environment, "SLURM_NTASKS");
    g_autofree char *forgotten = loom_launcher_forgotten(search);

    if (in_step && tasks && !g_str_equal(tasks, "1"))
        return TRUE; /* and the rest is looked at with the rank */
    loom_search_get(search, "SLURM_NTASKS");
    if (forgotten)
        loom_search_note(search, "does not count: %s", forgotten);
    else
        loom_search_note(search, "does not count%s",
                         in_step ? ": a step of one task" : ": not in a step of srun");
    return FALSE;
}

/* ---- all of them -------------------------------------------------------------------- */

static gboolean pair_claim(const LoomSearch *search, LoomLauncher launcher, LoomClaim *claim,
                           GError **error)
{
    const char *rank = loom_search_get(search, launchers[launcher].rank);
    const char *size = loom_search_get(search, launchers[launcher].size);

    /* WORLD_SIZE alone is a size that may go with an index; rendezvous.c checks it. */
    if (!rank && (!size || launcher == LOOM_BY_TORCHRUN)) {
        loom_search_note(search, "does not count");
        return TRUE;
    }
    return pair_read(claim, launchers[launcher].rank, rank, launchers[launcher].size, size,
                     error);
}

/* What is good to know besides: a mistake in it is none. */
static void claim_complete(const LoomSearch *search, LoomLauncher launcher, LoomClaim *claim)
{
    char **environment = search->environment;
    const char *local = launchers[launcher].local_rank;
    const char *restarts = launchers[launcher].restarts;
    const char *text;

    if (local && (text = g_environ_getenv(environment, local)))
        loom_search_number(local, text, 0, LOOM_MAX_RANKS - 1, &claim->local_rank, NULL);
    if (restarts && (text = g_environ_getenv(environment, restarts)))
        loom_search_number(restarts, text, 0, G_MAXINT, &claim->restarts, NULL);
    if (launchers[launcher].job)
        claim->job = g_environ_getenv(environment, launchers[launcher].job);
}

gboolean loom_launcher_claim(const LoomSearch *search, LoomLauncher launcher, LoomClaim *claim,
                             GError **error)
{
    gboolean sound;

    if (launcher == LOOM_BY_OPTIONS)
        return options_claim(search, claim, error);
    if (launcher == LOOM_BY_KUBEFLOW)
        sound = kubeflow_claim(search, claim, error);
    else if (launcher == LOOM_BY_KUBERNETES)
        sound = kubernetes_claim(search, claim, error);
    else
        sound = (launcher == LOOM_BY_SLURM && !slurm_starts(search))
                || pair_claim(search, launcher, claim, error);
    if (sound && claim->counts)
        claim_complete(search, launcher, claim);
    return sound;
}

const char *loom_launcher_inherits(const LoomSearch *search, LoomLauncher inner,
                                   LoomLauncher outer)
{
    switch (inner) {
    case LOOM_BY_OPTIONS:
        return "the options overrule it";
    case LOOM_BY_TORCHRUN: /* else somebody's script set RANK, and has to agree */
        return g_environ_getenv(search->environment, "TORCHELASTIC_RUN_ID")
                   ? "inherited from what started torchrun"
                   : NULL;
    case LOOM_BY_OPEN_MPI:
        return "inherited from what started mpirun";
    case LOOM_BY_PMI: /* srun --mpi=pmi2 sets both, and both alike */
        return "inherited from what started the process manager";
    case LOOM_BY_SLURM:
        return outer == LOOM_BY_KUBERNETES ? "inherited from the pod that Slurm runs in" : NULL;
    default:
        return NULL;
    }
}
