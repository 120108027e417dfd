/* meeting - where the ranks meet: the address at which rank 0 listens, found by each rank for
 * itself, and by all of them alike.
 *
 * Given by the user or the launcher where it is; else worked out from the list of hosts, with a
 * port that follows from the job's number. */
#include "launchers.h"

#include <loom/plugin.h>

#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define DEFAULT_PORT 29500
#define FIRST_PORT 20000 /* derived ports, below those that systems give out by themselves */
#define N_PORTS 10000
#define MAX_HOST_BYTES 253

/* ---- addresses ---------------------------------------------------------------------- */

static gboolean host_sound(const char *host)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789-._:%";
    const gsize length = strlen(host);

    return length > 0 && length <= MAX_HOST_BYTES && strspn(host, letters) == length
           && !g_str_equal(host, "0.0.0.0") && !g_str_equal(host, "::");
}

/* "tcp://host:port", in brackets where the host is an address of IPv6. */
static char *address(const char *name, const char *host, guint port, GError **error)
{
    const gsize length = strlen(host);
    g_autofree char *bare = length > 2 && host[0] == '[' && host[length - 1] == ']'
                                ? g_strndup(host + 1, length - 2)
                                : g_strdup(host);

    if (!host_sound(bare)) {
        g_autofree char *shown = loom_search_printable(host);

        return loom_fail_null(error, LOOM_ERROR_CONFIG,
                              "%s='%s', want the name or the address of rank 0's host", name,
                              shown);
    }
    return g_strdup_printf(strchr(bare, ':') ? "tcp://[%s]:%u" : "tcp://%s:%u", bare, port);
}

static gboolean has_control(const char *text)
{
    while (*text && !g_ascii_iscntrl(*text))
        text++;
    return *text != '\0';
}

/* What --meet says: tcp://HOST:PORT, HOST:PORT or ipc:///PATH. */
static char *given(const char *meet, GError **error)
{
    const char *text = g_str_has_prefix(meet, "tcp://") ? meet + strlen("tcp://") : meet;
    const char *colon = strrchr(text, ':');
    guint port;

    if (g_str_has_prefix(meet, "ipc://")) {
        const char *path = meet + strlen("ipc://");

        if (*path == '/' && strlen(path) < sizeof((struct sockaddr_un *)NULL)->sun_path
            && !has_control(path))
            return g_strdup(meet);
        return loom_fail_null(error, LOOM_ERROR_CONFIG,
                              "--meet %s: want ipc:// and an absolute path of at most %d bytes",
                              meet, (int)sizeof((struct sockaddr_un *)NULL)->sun_path - 1);
    }
    if (strstr(text, "://") || !colon || colon == text)
        return loom_fail_null(error, LOOM_ERROR_CONFIG,
                              "--meet %s: want tcp://HOST:PORT or ipc:///PATH", meet);
    g_autofree char *host = g_strndup(text, (gsize)(colon - text));
    if (strchr(host, ':') && *host != '[')
        return loom_fail_null(error, LOOM_ERROR_CONFIG,
                              "--meet %s: an address of IPv6 stands in brackets, as "
                              "tcp://[fd00::1]:29500",
                              meet);
    if (!loom_search_number("--meet's port", colon + 1, 1, G_MAXUINT16, &port, error))
        return NULL;
    return address("--meet", host, port, error);
}

/* MASTER_ADDR and MASTER_PORT, or their likes; *meet stays NULL where they are not set. */
static gboolean master(const LoomSearch *search, const char *host_name, const char *port_name,
                       char **meet, GError **error)
{
    const char *host = loom_search_get(search, host_name);
    const char *text = host ? loom_search_get(search, port_name) : NULL;
    const char *taken = g_environ_getenv(search->environment, "TORCHELASTIC_USE_AGENT_STORE");
    guint port = DEFAULT_PORT;

    if (!host)
        return TRUE;
    if (text && !loom_search_number(port_name, text, 1, G_MAXUINT16, &port, error))
        return FALSE;
    if (taken && g_ascii_strcasecmp(taken, "true") == 0) {
        port = port < G_MAXUINT16 ? port + 1 : port - 1;
        loom_search_note(search, "port %u: at %s torchrun itself listens", port, port_name);
    }
    *meet = address(host_name, host, port, error);
    return *meet != NULL;
}

/* ---- Slurm -------------------------------------------------------------------------- */

static guint64 number_of(const char *text)
{
    guint64 number;

    return text && g_ascii_string_to_unsigned(text, 10, 0, G_MAXUINT64, &number, NULL) ? number
                                                                                       : 0;
}

/* Of the ports that srun --resv-ports keeps free, or one that no other step near has. */
static gboolean slurm_port(const LoomSearch *search, guint *port, GError **error)
{
    const char *reserved = loom_search_get(search, "SLURM_STEP_RESV_PORTS");
    const guint64 job = number_of(loom_search_get(search, "SLURM_JOB_ID"));
    const guint64 step = number_of(g_environ_getenv(search->environment, "SLURM_STEP_ID"));

    if (reserved) {
        g_autofree char *first = g_strndup(reserved, strcspn(reserved, "-,"));

        return loom_search_number("SLURM_STEP_RESV_PORTS", first, 1, G_MAXUINT16, port, error);
    }
    /* 1009: a prime, so that the steps of one job do not meet those of the next. */
    *port = (guint)(FIRST_PORT + (job % N_PORTS + step % N_PORTS * 1009) % N_PORTS);
    return TRUE;
}

/* Of a compressed list; *host stays NULL where there is none. */
static gboolean first_host(const LoomSearch *search, const char *name, char **host,
                           GError **error)
{
    const char *list = loom_search_get(search, name);

    if (!list)
        return TRUE;
    g_auto(GStrv) hosts = loom_hosts_expand(list, error);
    if (!hosts) {
        g_prefix_error(error, "%s: ", name);
        return FALSE;
    }
    *host = g_strdup(hosts[0]);
    return TRUE;
}

static gboolean resolves(const char *host)
{
    const struct addrinfo wanted = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;

    if (getaddrinfo(host, NULL, &wanted, &found) != 0)
        return FALSE;
    freeaddrinfo(found);
    return TRUE;
}

/* Rank 0 is on the first host of the step.  Slurm knows the address of the host where srun was
 * called: the same one inside of a batch script, the login host otherwise.  So the name goes
 * first there, unless it does not resolve. */
static gboolean slurm_meet(const LoomSearch *search, char **meet, GError **error)
{
    const char *local = loom_search_get(search, "SLURM_STEP_NUM_NODES");
    const char *launched = loom_search_get(search, "SLURM_LAUNCH_NODE_IPADDR");
    const char *batch = g_environ_getenv(search->environment, "ENVIRONMENT");
    g_autofree char *first = NULL, *job_first = NULL;
    guint port;

    if (!slurm_port(search, &port, error))
        return FALSE;
    if (local && g_str_equal(local, "1")) {
        loom_search_note(search, "all ranks are on one host");
        *meet = address("SLURM_STEP_NUM_NODES", "127.0.0.1", port, error);
        return *meet != NULL;
    }
    if (!first_host(search, "SLURM_STEP_NODELIST", &first, error)
        || !first_host(search, "SLURM_JOB_NODELIST", &job_first, error))
        return FALSE;
    if (!first)
        first = g_strdup(job_first);
    const gboolean reachable = launched && !g_str_has_prefix(launched, "127.");
    if (reachable && g_strcmp0(batch, "BATCH") == 0 && g_strcmp0(first, job_first) == 0) {
        loom_search_note(search, "srun was called in the batch script, on the first host");
        *meet = address("SLURM_LAUNCH_NODE_IPADDR", launched, port, error);
    } else if (first && (!launched || resolves(first))) {
        loom_search_note(search, "rank 0 is on the first host of the step");
        *meet = address("SLURM_STEP_NODELIST", first, port, error);
    } else if (launched) {
        if (first)
            loom_search_note(search, "the name '%s' of the first host does not resolve", first);
        *meet = address("SLURM_LAUNCH_NODE_IPADDR", launched, port, error);
    } else {
        return TRUE;
    }
    return *meet != NULL;
}

/* ---- Open MPI ----------------------------------------------------------------------- */

/* The first address that leads to another host, of "4711.0;tcp://127.0.0.1,10.0.0.5:1024;..."
 */
static char *first_address(const char *uri)
{
    g_auto(GStrv) parts = g_strsplit(uri, ";", -1);

    for (char **part = parts; *part; part++) {
        const char *colon = strrchr(*part, ':');

        if (!g_str_has_prefix(*part, "tcp://") || colon - *part <= (gssize)strlen("tcp://"))
            continue;
        g_autofree char *text =
            g_strndup(*part + strlen("tcp://"), (gsize)(colon - *part) - strlen("tcp://"));
        g_auto(GStrv) hosts = g_strsplit(text, ",", -1);
        for (char **host = hosts; *host; host++)
            if (**host && !g_str_has_prefix(*host, "127."))
                return g_strdup(*host);
    }
    return NULL;
}

/* On one host: in mpirun's private folder.  On several: at the host of mpirun, where rank 0 is
 * by default; a rank 0 that has another daemon than mpirun itself is not there, and says so. */
static gboolean mpi_meet(const LoomSearch *search, const LoomClaim *claim, char **meet,
                         GError **error)
{
    const char *here = loom_search_get(search, "OMPI_COMM_WORLD_LOCAL_SIZE");
    const char *folder = loom_search_get(search, "PMIX_SERVER_TMPDIR");
    const char *uri = loom_search_get(search, "OMPI_MCA_orte_hnp_uri");
    const char *daemon = loom_search_get(search, "OMPI_MCA_orte_local_daemon_uri");
    g_autofree char *host = uri ? first_address(uri) : NULL;

    if (here && number_of(here) == claim->size && folder && *folder == '/') {
        g_autofree char *path = g_build_filename(folder, "segloom", NULL);
        g_autofree char *local = g_strconcat("ipc://", path, NULL);

        if ((*meet = given(local, NULL))) {
            loom_search_note(search, "all ranks are on one host");
            return TRUE;
        }
    }
    if (!host)
        return TRUE;
    if (claim->rank == 0 && daemon && strcspn(daemon, ";") > 0
        && (strcspn(daemon, ";") != strcspn(uri, ";")
            || strncmp(daemon, uri, strcspn(uri, ";")) != 0))
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "rank 0 is not on the host of mpirun (%s), where the other ranks look "
                         "for it: give --meet tcp://HOST:PORT with the host of rank 0",
                         host);
    loom_search_note(search, "rank 0 is on the host of mpirun");
    const guint port = FIRST_PORT + g_str_hash(claim->job ? claim->job : "") % N_PORTS;
    *meet = address("OMPI_MCA_orte_hnp_uri", host, port, error);
    return *meet != NULL;
}

/* ---- all of it ---------------------------------------------------------------------- */

static gboolean unknown(const LoomSearch *search, LoomLauncher launcher, GError **error)
{
    const char *index = g_environ_getenv(search->environment, "JOB_COMPLETION_INDEX");
    const char *host = g_environ_getenv(search->environment, "HOSTNAME");
    g_autofree char *ending = g_strconcat("-", index, NULL);

    if (launcher == LOOM_BY_KUBERNETES && host && g_str_has_suffix(host, ending)
        && strlen(host) <= MAX_HOST_BYTES)
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "nothing says where the ranks meet: give --meet "
                         "tcp://%.*s-0.SERVICE:%d, SERVICE being the headless service of the "
                         "job's subdomain",
                         (int)(strlen(host) - strlen(ending)), host, DEFAULT_PORT);
    g_autofree char *silent =
        launcher == LOOM_BY_OPTIONS
            ? g_strdup("")
            : g_strdup_printf(" (%s says none)", loom_launcher_name(launcher));
    return loom_fail(error, LOOM_ERROR_CONFIG,
                     "nothing says where the ranks meet: give --meet tcp://HOST:PORT, HOST "
                     "being that of rank 0, or MASTER_ADDR and MASTER_PORT%s",
                     silent);
}

char *loom_meeting_find(const LoomSearch *search, LoomLauncher launcher, const LoomClaim *claim,
                        GError **error)
{
    g_autofree char *meet = NULL;
    gboolean sound = TRUE;

    if (search->options->meet) {
        loom_search_note(search, "--meet says it");
        return given(search->options->meet, error);
    }
    sound = master(search, "MASTER_ADDR", "MASTER_PORT", &meet, error)
            && (meet || master(search, "PET_MASTER_ADDR", "PET_MASTER_PORT", &meet, error));
    if (sound && !meet && launcher == LOOM_BY_OPEN_MPI)
        sound = mpi_meet(search, claim, &meet, error);
    if (sound && !meet && (launcher == LOOM_BY_SLURM || launcher == LOOM_BY_PMI)
        && loom_launcher_in_step(search))
        sound = slurm_meet(search, &meet, error);
    if (!sound || (!meet && !unknown(search, launcher, error)))
        return NULL;
    return g_steal_pointer(&meet);
}
