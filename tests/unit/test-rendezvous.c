/* Rank, size and meeting point: what each launcher sets (as seen under Slurm 22.05, Open MPI
 * 4.1.4, and documented for the others), each trap, each contradiction, each refusal. */
#include "loom_test.h"
#include "mutated.h"

#include "cluster/rendezvous.h"

#include <string.h>

static const LoomRendezvousOptions no_options;

/* "A=1 B=2" as an environment; a '+' in a value is a space. */
static char **environment(const char *text)
{
    char **list = g_strsplit(text, " ", -1);

    for (char **each = list; *each; each++)
        g_strdelimit(*each, "+", ' ');
    return list;
}

static LoomRendezvous find(const char *text, const LoomRendezvousOptions *options)
{
    g_auto(GStrv) variables = environment(text);
    g_autoptr(GString) trace = g_string_new(NULL);
    g_autoptr(GError) error = NULL;
    LoomRendezvous found;
    const gboolean sound = loom_rendezvous_find(&found, options, variables, trace, &error);

    if (!sound)
        g_test_message("'%s':\n%s", text, trace->str);
    g_assert_no_error(error);
    g_assert_true(sound);
    return found;
}

static void assert_refused(const char *text, const LoomRendezvousOptions *options,
                           const char *message)
{
    g_auto(GStrv) variables = environment(text);
    g_auto(LoomRendezvous) found = {0};
    g_autoptr(GError) error = NULL;

    loom_assert_failed(loom_rendezvous_find(&found, options, variables, NULL, &error), error,
                       LOOM_ERROR, LOOM_ERROR_CONFIG, message);
}

/* ---- each launcher ------------------------------------------------------------------ */

#define SLURM                                                                                  \
    "SLURM_JOB_ID=1234 SLURM_STEP_ID=0 SLURM_PROCID=2 SLURM_NTASKS=4 SLURM_NPROCS=4 "          \
    "SLURM_STEP_NUM_TASKS=4 SLURM_LOCALID=1 SLURM_NODEID=1 SLURMD_NODENAME=n2"
#define SLURM_HOSTS                                                                            \
    " SLURM_LAUNCH_NODE_IPADDR=10.0.0.1 SLURM_JOB_NODELIST=n[1-2] SLURM_STEP_NODELIST=n[1-2] " \
    "SLURM_STEP_NUM_NODES=2 ENVIRONMENT=BATCH"
#define MPI                                                                                    \
    "OMPI_COMM_WORLD_RANK=3 PMIX_RANK=3 OMPI_COMM_WORLD_SIZE=4 OMPI_UNIVERSE_SIZE=4 "          \
    "OMPI_COMM_WORLD_LOCAL_RANK=1 OMPI_COMM_WORLD_NODE_RANK=1 PMIX_NAMESPACE=901185537"
#define MPI_URI                                                                                \
    "OMPI_MCA_orte_hnp_uri=901185536.0;tcp://127.0.0.1,192.0.2.2:37925;tcp6://[fd00::2]:56179"

static const struct {
    const char *variables;
    guint rank, size, local_rank;
    const char *meet, *engine, *job;
    guint restarts;
} launchers[] = {
    {"HOME=/root", 0, 1, 0, NULL, "nobody", NULL, 0},
    {"RANK=3 WORLD_SIZE=4 LOCAL_RANK=1 MASTER_ADDR=10.0.0.7 MASTER_PORT=4711 "
     "TORCHELASTIC_RUN_ID=r TORCHELASTIC_RESTART_COUNT=2",
     3, 4, 1, "tcp://10.0.0.7:4711", "torchrun", "r", 2},
    {"RANK=0 WORLD_SIZE=2 MASTER_ADDR=host-0.svc", 0, 2, 0, "tcp://host-0.svc:29500",
     "torchrun", NULL, 0},
    {"RANK=0 WORLD_SIZE=2 MASTER_ADDR=fd00::1", 0, 2, 0, "tcp://[fd00::1]:29500", "torchrun",
     NULL, 0},
    {"RANK=0 WORLD_SIZE=2 MASTER_ADDR=a MASTER_PORT=29500 TORCHELASTIC_RUN_ID=r "
     "TORCHELASTIC_USE_AGENT_STORE=True",
     0, 2, 0, "tcp://a:29501", "torchrun", "r", 0},
    {"PET_NODE_RANK=1 PET_NNODES=2 PET_NPROC_PER_NODE=1 PET_MASTER_ADDR=j-node-0-0.j "
     "PET_MASTER_PORT=29400",
     1, 2, 0, "tcp://j-node-0-0.j:29400", "Kubeflow (PET)", NULL, 0},
    {"PET_NODE_RANK=1 PET_NNODES=2 PET_NPROC_PER_NODE=3 LOCAL_RANK=2 PET_MASTER_ADDR=j", 5, 6,
     2, "tcp://j:29500", "Kubeflow (PET)", NULL, 0},
    {MPI " OMPI_COMM_WORLD_LOCAL_SIZE=4 PMIX_SERVER_TMPDIR=/tmp/ompi.h.0/pid.7 " MPI_URI, 3, 4,
     1, "ipc:///tmp/ompi.h.0/pid.7/segloom", "Open MPI", "901185537", 0},
    {MPI " MASTER_ADDR=a MASTER_PORT=1", 3, 4, 1, "tcp://a:1", "Open MPI", "901185537", 0},
    {"OMPI_COMM_WORLD_RANK=0 OMPI_COMM_WORLD_SIZE=1", 0, 1, 0, NULL, "Open MPI", NULL, 0},
    {"PMI_RANK=1 PMI_SIZE=2 MPI_LOCALRANKID=1 MASTER_ADDR=a", 1, 2, 1, "tcp://a:29500", "PMI",
     NULL, 0},
    {"PMI_RANK=2 PMI_SIZE=4 PMI_JOBID=1234.0 " SLURM SLURM_HOSTS, 2, 4, 0,
     "tcp://10.0.0.1:21234", "PMI", "1234.0", 0},
    {SLURM SLURM_HOSTS " SLURM_RESTART_COUNT=1", 2, 4, 1, "tcp://10.0.0.1:21234", "Slurm",
     "1234", 1},
    {SLURM SLURM_HOSTS " SLURM_STEP_RESV_PORTS=23001-23002", 2, 4, 1, "tcp://10.0.0.1:23001",
     "Slurm", "1234", 0},
    {SLURM " SLURM_STEP_NUM_NODES=1", 2, 4, 1, "tcp://127.0.0.1:21234", "Slurm", "1234", 0},
    /* srun called on the login host: rank 0 is on the first host of the step, if that has an
     * address ("localhost" does, RFC 6761: names under "invalid" never do). */
    {SLURM " SLURM_LAUNCH_NODE_IPADDR=10.0.0.1 SLURM_STEP_NODELIST=localhost", 2, 4, 1,
     "tcp://localhost:21234", "Slurm", "1234", 0},
    {SLURM " SLURM_LAUNCH_NODE_IPADDR=10.0.0.1 SLURM_STEP_NODELIST=n1.invalid", 2, 4, 1,
     "tcp://10.0.0.1:21234", "Slurm", "1234", 0},
    {SLURM " SLURM_STEP_NODELIST=n[3,5-7].invalid", 2, 4, 1, "tcp://n3.invalid:21234", "Slurm",
     "1234", 0},
    /* A step on hosts that do not begin with that of the batch script. */
    {SLURM " SLURM_LAUNCH_NODE_IPADDR=10.0.0.1 SLURM_JOB_NODELIST=a,localhost "
           "SLURM_STEP_NODELIST=localhost ENVIRONMENT=BATCH",
     2, 4, 1, "tcp://localhost:21234", "Slurm", "1234", 0},
    {"JOB_COMPLETION_INDEX=2 SEGLOOM_SIZE=3 MASTER_ADDR=job-0.svc", 2, 3, 0,
     "tcp://job-0.svc:29500", "Kubernetes", NULL, 0},
    {"JOB_COMPLETION_INDEX=2 WORLD_SIZE=3 MASTER_ADDR=job-0.svc", 2, 3, 0,
     "tcp://job-0.svc:29500", "Kubernetes", NULL, 0},
};

static void test_launchers(void)
{
    for (guint i = 0; i < G_N_ELEMENTS(launchers); i++) {
        g_auto(LoomRendezvous) found = find(launchers[i].variables, &no_options);

        g_test_message("%s", launchers[i].variables);
        g_assert_cmpuint(found.rank, ==, launchers[i].rank);
        g_assert_cmpuint(found.size, ==, launchers[i].size);
        g_assert_cmpuint(found.local_rank, ==, launchers[i].local_rank);
        g_assert_cmpstr(found.meet, ==, launchers[i].meet);
        g_assert_cmpstr(found.engine, ==, launchers[i].engine);
        g_assert_cmpstr(found.job, ==, launchers[i].job);
        g_assert_cmpuint(found.restarts, ==, launchers[i].restarts);
    }
}

/* Two jobs at a time, and two steps of one job, meet at ports of their own. */
static void test_ports(void)
{
    static const char *const jobs[] = {
        "SLURM_JOB_ID=77 SLURM_STEP_ID=0", "SLURM_JOB_ID=78 SLURM_STEP_ID=0",
        "SLURM_JOB_ID=77 SLURM_STEP_ID=1", "SLURM_JOB_ID=4294967293 SLURM_STEP_ID=4294967289"};
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (guint i = 0; i < G_N_ELEMENTS(jobs); i++) {
        g_autofree char *text = g_strdup_printf(
            "%s SLURM_PROCID=0 SLURM_NTASKS=2 SLURM_LAUNCH_NODE_IPADDR=10.0.0.1", jobs[i]);
        g_auto(LoomRendezvous) found = find(text, &no_options);
        g_auto(GStrv) parts = g_strsplit(found.meet, ":", -1);
        const guint64 port = g_ascii_strtoull(parts[2], NULL, 10);

        g_assert_cmpuint(port, >=, 20000);
        g_assert_cmpuint(port, <, 30000);
        g_assert_true(g_hash_table_add(seen, g_strdup(found.meet)));
    }
}

/* Several hosts: the first address of mpirun's that leads anywhere, one port for all ranks. */
static void test_mpi_hosts(void)
{
    const char *others = MPI " OMPI_COMM_WORLD_LOCAL_SIZE=2 PMIX_SERVER_TMPDIR=/t " MPI_URI
                             " OMPI_MCA_orte_local_daemon_uri=901185536.1;tcp://192.0.2.3:1";
    const char *first =
        "OMPI_COMM_WORLD_RANK=0 OMPI_COMM_WORLD_SIZE=4 "
        "PMIX_NAMESPACE=901185537 OMPI_COMM_WORLD_LOCAL_SIZE=2 "
        "OMPI_MCA_orte_local_daemon_uri=901185536.%d;tcp://192.0.2.2:1 " MPI_URI;
    g_autofree char *there = g_strdup_printf(first, 0);
    g_autofree char *elsewhere = g_strdup_printf(first, 1);
    g_auto(LoomRendezvous) a = find(others, &no_options);
    g_auto(LoomRendezvous) b = find(there, &no_options);

    g_assert_true(g_str_has_prefix(a.meet, "tcp://192.0.2.2:2"));
    g_assert_cmpstr(a.meet, ==, b.meet);
    assert_refused(
        elsewhere, &no_options,
        "rank 0 is not on the host of mpirun (192.0.2.2), where the other ranks look "
        "for it: give --meet tcp://HOST:PORT with the host of rank 0");
}

/* ---- traps -------------------------------------------------------------------------- */

static void assert_rank(const char *text, const char *engine, guint rank, guint size)
{
    g_auto(LoomRendezvous) found = find(text, &no_options);

    g_test_message("%s", text);
    g_assert_cmpstr(found.engine, ==, engine);
    g_assert_cmpuint(found.rank, ==, rank);
    g_assert_cmpuint(found.size, ==, size);
}

static void test_inherited(void)
{
    /* mpirun inside of Slurm: SLURM_PROCID is that of the daemon, even if it is no number. */
    assert_rank("SLURM_STEP_ID=1 SLURM_PROCID=0 SLURM_NTASKS=2 MASTER_ADDR=a " MPI, "Open MPI",
                3, 4);
    assert_rank("SLURM_STEP_ID=1 SLURM_PROCID=x SLURM_NTASKS=2 MASTER_ADDR=a " MPI, "Open MPI",
                3, 4);
    assert_rank("SLURM_STEP_ID=1 SLURM_PROCID=0 SLURM_NTASKS=2 MASTER_ADDR=a PMI_RANK=5 "
                "PMI_SIZE=8",
                "PMI", 5, 8);
    /* srun torchrun: one task a node, several workers each. */
    assert_rank("RANK=5 WORLD_SIZE=8 MASTER_ADDR=a TORCHELASTIC_RUN_ID=r " SLURM, "torchrun", 5,
                8);
    /* ... and its own arguments by PET_, where node ranks are handed out anew. */
    assert_rank("RANK=5 WORLD_SIZE=8 MASTER_ADDR=a TORCHELASTIC_RUN_ID=r PET_NODE_RANK=0 "
                "PET_NNODES=1:4 PET_NPROC_PER_NODE=auto",
                "torchrun", 5, 8);
    /* JobSet: RANK is the index over all its jobs. */
    assert_rank("RANK=5 WORLD_SIZE=8 MASTER_ADDR=a JOB_COMPLETION_INDEX=1", "torchrun", 5, 8);
    assert_rank("JOB_COMPLETION_INDEX=0 SEGLOOM_SIZE=2 MASTER_ADDR=a " SLURM, "Slurm", 2, 4);
    /* Two that agree are none. */
    assert_rank("RANK=2 WORLD_SIZE=4 MASTER_ADDR=a " SLURM, "torchrun", 2, 4);
}

static void test_alone(void)
{
    static const char *const texts[] = {
        "SLURM_STEP_ID=0 SLURM_PROCID=0 SLURM_NTASKS=1", /* a step of one */
        "RANK= WORLD_SIZE=",                             /* empty is not set */
        "JOB_COMPLETION_INDEX=2",                        /* pods that have nothing in common */
        "MASTER_ADDR=a MASTER_PORT=29500",               /* an image's default */
        "WORLD_SIZE=1",
        "PET_NNODES=2 PET_NPROC_PER_NODE=auto",
        "SLURM_NTASKS=4 SLURM_PROCID=0", /* no job at all */
    };

    for (guint i = 0; i < G_N_ELEMENTS(texts); i++)
        assert_rank(texts[i], "nobody", 0, 1);
}

/* In the batch script, or the shell of salloc, there is one process, whatever SLURM_NTASKS. */
static void test_srun_forgotten(void)
{
    static const char *const steps[] = {"", "SLURM_STEP_ID=4294967291 ",
                                        "SLURM_STEP_ID=4294967290 ", "SLURM_STEP_ID=batch "};

    for (guint i = 0; i < G_N_ELEMENTS(steps); i++) {
        g_autofree char *text =
            g_strconcat(steps[i], "SLURM_JOB_ID=7 SLURM_PROCID=0 SLURM_NTASKS=8", NULL);
        g_auto(GStrv) variables = environment(text);
        g_autoptr(GString) trace = g_string_new(NULL);
        g_auto(LoomRendezvous) found = {0}, traced = {0};

        g_test_expect_message(NULL, G_LOG_LEVEL_WARNING,
                              "Slurm job 7 has 8 tasks, but this process is alone: it was not "
                              "started with srun; forgot 'srun segloom run ...'?");
        g_assert_true(loom_rendezvous_find(&found, &no_options, variables, NULL, NULL));
        g_test_assert_expected_messages();
        g_assert_cmpuint(found.size, ==, 1);
        g_assert_null(found.meet);
        g_assert_true(loom_rendezvous_find(&traced, &no_options, variables, trace, NULL));
        g_assert_nonnull(strstr(trace->str, "forgot"));
    }
}

/* ---- contradictions and mistakes ---------------------------------------------------- */

static void test_contradictions(void)
{
    static const struct {
        const char *variables, *message;
    } rows[] = {
        {"RANK=3 WORLD_SIZE=4 MASTER_ADDR=a SLURM_STEP_ID=0 SLURM_PROCID=1 SLURM_NTASKS=4",
         "RANK=3 of WORLD_SIZE=4 contradicts SLURM_PROCID=1 of SLURM_NTASKS=4: both torchrun "
         "and "
         "Slurm say which rank this is"},
        {"RANK=0 WORLD_SIZE=4 MASTER_ADDR=a " MPI,
         "RANK=0 of WORLD_SIZE=4 contradicts OMPI_COMM_WORLD_RANK=3 of OMPI_COMM_WORLD_SIZE=4"},
        {"RANK=0 WORLD_SIZE=4 MASTER_ADDR=a PET_NODE_RANK=0 PET_NNODES=2",
         "RANK=0 of WORLD_SIZE=4 contradicts PET_NODE_RANK=0 of PET_NNODES=2"},
        {"RANK=0 WORLD_SIZE=4 MASTER_ADDR=a PMI_RANK=0 PMI_SIZE=2", "contradicts PMI_RANK=0"},
        {"PET_NODE_RANK=0 PET_NNODES=2 PET_MASTER_ADDR=a " SLURM, "contradicts SLURM_PROCID=2"},
        {"RANK=0 WORLD_SIZE=2 MASTER_ADDR=a JOB_COMPLETION_INDEX=1 SEGLOOM_SIZE=2",
         "contradicts JOB_COMPLETION_INDEX=1 of SEGLOOM_SIZE=2"},
        {"JOB_COMPLETION_INDEX=1 SEGLOOM_SIZE=2 WORLD_SIZE=3 MASTER_ADDR=a",
         "SEGLOOM_SIZE=2 contradicts WORLD_SIZE=3"},
        {"WORLD_SIZE=8 " SLURM SLURM_HOSTS, "WORLD_SIZE=8 contradicts SLURM_PROCID=2 of "
                                            "SLURM_NTASKS=4, which Slurm says"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++)
        assert_refused(rows[i].variables, &no_options, rows[i].message);
}

static void test_mistakes(void)
{
    static const struct {
        const char *variables, *message;
    } rows[] = {
        {"RANK=1 MASTER_ADDR=a", "RANK=1 was given without WORLD_SIZE"},
        {"WORLD_SIZE=2", "WORLD_SIZE=2, but nothing says which of the 2 ranks this process is"},
        {"RANK=x WORLD_SIZE=2", "RANK='x', want a whole number from 0 to 4095"},
        {"RANK=-1 WORLD_SIZE=2", "RANK='-1', want a whole number"},
        {"RANK=1.0 WORLD_SIZE=2", "RANK='1.0', want a whole number"},
        {"RANK=+1 WORLD_SIZE=2", "RANK=' 1', want a whole number"},
        {"RANK=0 WORLD_SIZE=0", "WORLD_SIZE='0', want a whole number from 1 to 4096"},
        {"RANK=0 WORLD_SIZE=4097", "WORLD_SIZE='4097'"},
        {"RANK=0 WORLD_SIZE=99999999999999999999", "WORLD_SIZE='99999999999999999999'"},
        {"RANK=2 WORLD_SIZE=2", "RANK=2 of WORLD_SIZE=2: ranks count from 0 to 1"},
        {"RANK=0 WORLD_SIZE=2",
         "nothing says where the ranks meet: give --meet tcp://HOST:PORT"},
        {"RANK=0 WORLD_SIZE=2 MASTER_ADDR=a MASTER_PORT=0", "MASTER_PORT='0'"},
        {"RANK=0 WORLD_SIZE=2 MASTER_ADDR=a MASTER_PORT=65536", "MASTER_PORT='65536'"},
        {"RANK=0 WORLD_SIZE=2 MASTER_ADDR=a+b",
         "MASTER_ADDR='a b', want the name or the address"},
        {"RANK=0 WORLD_SIZE=2 MASTER_ADDR=0.0.0.0", "MASTER_ADDR='0.0.0.0'"},
        {"PET_NODE_RANK=0", "PET_NODE_RANK=0 was given without PET_NNODES"},
        {"PET_NODE_RANK=0 PET_NNODES=2 PET_NPROC_PER_NODE=2",
         "PET_NPROC_PER_NODE=2 was given without LOCAL_RANK"},
        {"PET_NODE_RANK=0 PET_NNODES=2 PET_NPROC_PER_NODE=auto", "PET_NPROC_PER_NODE='auto'"},
        {"PET_NODE_RANK=0 PET_NNODES=1:4", "PET_NNODES='1:4'"},
        {"PET_NODE_RANK=0 PET_NNODES=2 PET_NPROC_PER_NODE=2 LOCAL_RANK=2", "LOCAL_RANK='2'"},
        {"PET_NODE_RANK=0 PET_NNODES=4096 PET_NPROC_PER_NODE=4096 LOCAL_RANK=0",
         "is more than 4096 ranks"},
        {"OMPI_COMM_WORLD_RANK=0",
         "OMPI_COMM_WORLD_RANK=0 was given without OMPI_COMM_WORLD_SIZE"},
        {"PMI_SIZE=2", "PMI_SIZE=2 was given without PMI_RANK"},
        {"SLURM_STEP_ID=0 SLURM_NTASKS=2", "SLURM_NTASKS=2 was given without SLURM_PROCID"},
        {"SLURM_STEP_ID=0 SLURM_NTASKS=two SLURM_PROCID=0", "SLURM_NTASKS='two'"},
        {SLURM " SLURM_STEP_NODELIST=n[3-1]", "SLURM_STEP_NODELIST: list of hosts 'n[3-1]': "},
        {SLURM " SLURM_STEP_NODELIST=n1 SLURM_STEP_RESV_PORTS=none",
         "SLURM_STEP_RESV_PORTS='none'"},
        {SLURM, "(Slurm says none)"},
        {"PMI_RANK=0 PMI_SIZE=2", "(PMI says none)"},
        {MPI, "(Open MPI says none)"},
        {"JOB_COMPLETION_INDEX=1 SEGLOOM_SIZE=2 HOSTNAME=train-1",
         "give --meet tcp://train-0.SERVICE:29500"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++)
        assert_refused(rows[i].variables, &no_options, rows[i].message);
}

/* ---- options ------------------------------------------------------------------------ */

static void test_options(void)
{
    static const struct {
        const char *given, *meet;
    } good[] = {
        {"tcp://10.0.0.5:29500", "tcp://10.0.0.5:29500"},
        {"node1:29500", "tcp://node1:29500"},
        {"[fd00::1]:1", "tcp://[fd00::1]:1"},
        {"ipc:///run/x/meet", "ipc:///run/x/meet"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(good); i++) {
        const LoomRendezvousOptions options = {"1", "2", good[i].given};
        /* They overrule whatever stands in the environment. */
        g_auto(LoomRendezvous) found = find("RANK=x MASTER_ADDR=b " MPI, &options);

        g_assert_cmpuint(found.rank, ==, 1);
        g_assert_cmpuint(found.size, ==, 2);
        g_assert_cmpstr(found.engine, ==, "options");
        g_assert_cmpstr(found.meet, ==, good[i].meet);
    }
    const LoomRendezvousOptions size = {NULL, "3", NULL};
    g_auto(LoomRendezvous) pod = find("JOB_COMPLETION_INDEX=2 MASTER_ADDR=a", &size);
    g_assert_cmpuint(pod.rank, ==, 2);
    g_assert_cmpuint(pod.size, ==, 3);
    const LoomRendezvousOptions meet = {NULL, NULL, "a:1"};
    g_auto(LoomRendezvous) task = find(SLURM SLURM_HOSTS, &meet);
    g_assert_cmpstr(task.meet, ==, "tcp://a:1");
    const LoomRendezvousOptions one = {"0", "1", "a:1"};
    g_auto(LoomRendezvous) single = find("HOME=/", &one);
    g_assert_null(single.meet);
}

static void test_options_wrong(void)
{
    g_autofree char *long_path = g_strnfill(200, 'x');
    g_autofree char *long_meet = g_strconcat("ipc:///", long_path, NULL);
    const struct {
        LoomRendezvousOptions options;
        const char *variables, *message;
    } rows[] = {
        {{"1", NULL, NULL}, "A=1", "--rank=1 was given without --size"},
        {{"1", NULL, NULL}, SLURM, "--rank=1 was given without --size"},
        {{NULL, "4", NULL}, "A=1", "--size=4, but nothing says which of the 4 ranks"},
        {{NULL, "8", NULL}, SLURM SLURM_HOSTS, "--size=8 contradicts SLURM_PROCID=2"},
        {{NULL, NULL, "a:1"},
         "A=1",
         "--meet a:1 says where ranks meet, but nothing says which"},
        {{"4", "4", "a:1"}, "A=1", "--rank=4 of --size=4: ranks count from 0 to 3"},
        {{"one", "4", "a:1"}, "A=1", "--rank='one', want a whole number"},
        {{"0", "4", NULL}, "A=1", "nothing says where the ranks meet"},
        {{"0", "4", "a"}, "A=1", "--meet a: want tcp://HOST:PORT or ipc:///PATH"},
        {{"0", "4", "a:"}, "A=1", "--meet's port=''"},
        {{"0", "4", "a:*"}, "A=1", "--meet's port='*'"},
        {{"0", "4", ":1"}, "A=1", "--meet :1: want"},
        {{"0", "4", "udp://a:1"}, "A=1", "--meet udp://a:1: want"},
        {{"0", "4", "*:1"}, "A=1", "--meet='*', want the name or the address of rank 0's host"},
        {{"0", "4", "fd00::1:29500"}, "A=1", "an address of IPv6 stands in brackets"},
        {{"0", "4", "ipc://meet"}, "A=1", "want ipc:// and an absolute path"},
        {{"0", "4", long_meet}, "A=1", "of at most 107 bytes"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++)
        assert_refused(rows[i].variables, &rows[i].options, rows[i].message);
}

/* For people: what was looked at, in which order, and the verdict; 80 columns. */
static void test_trace(void)
{
    static const char *const order[] = {"1. options",
                                        "2. torchrun",
                                        "RANK",
                                        "not set",
                                        "3. Kubeflow",
                                        "4. Open MPI",
                                        "5. PMI",
                                        "6. Slurm",
                                        "SLURM_PROCID",
                                        "rank 2 of 4",
                                        "counts",
                                        "7. Kubernetes",
                                        "inherited",
                                        "8. where",
                                        "10.0.0.1",
                                        "tcp://10.0.0.1:21234",
                                        NULL};
    g_auto(GStrv) variables =
        environment(SLURM SLURM_HOSTS " PMI_JOBID=\033[2J RANK= JOB_COMPLETION_INDEX=1");
    g_autoptr(GString) trace = g_string_new(NULL);
    g_auto(LoomRendezvous) found = {0};
    const char *at;

    g_assert_true(loom_rendezvous_find(&found, &no_options, variables, trace, NULL));
    g_test_message("%s", trace->str);
    at = trace->str;
    for (const char *const *part = order; *part; part++) {
        at = strstr(at, *part);
        if (!at)
            g_error("'%s' is not there in its place:\n%s", *part, trace->str);
    }
    g_auto(GStrv) lines = g_strsplit(trace->str, "\n", -1);
    for (char **line = lines; *line; line++) {
        g_assert_cmpint(g_utf8_strlen(*line, -1), <=, 80);
        g_assert_null(strchr(*line, '\033'));
    }
}

/* ---- bytes of anybody --------------------------------------------------------------- */

/* Either a rank in range with a place to meet, or an error. */
static void test_environment_fuzzed(void)
{
    g_autoptr(GRand) random = g_rand_new_with_seed(12);
    guint accepted = 0, refused = 0;

    for (guint i = 0; i < 20000; i++) {
        const char *seed = launchers[i % G_N_ELEMENTS(launchers)].variables;

        if (strstr(seed, "LAUNCH_NODE")) /* would ask the name server for each host */
            continue;
        g_autofree char *text = mutated(random, seed);
        g_auto(GStrv) variables = g_strsplit(text, " ", -1);
        g_autoptr(GString) trace = g_string_new(NULL);
        g_autoptr(GError) error = NULL;
        g_auto(LoomRendezvous) found = {0};

        if (!loom_rendezvous_find(&found, &no_options, variables, trace, &error)) {
            g_assert_error(error, LOOM_ERROR, (gint)LOOM_ERROR_CONFIG);
            g_assert_true(g_utf8_validate(error->message, -1, NULL));
            refused++;
            continue;
        }
        g_assert_no_error(error);
        g_assert_cmpuint(found.rank, <, found.size);
        g_assert_cmpuint(found.size, <=, 4096);
        g_assert_true((found.size == 1) == (found.meet == NULL));
        g_assert_true(!found.meet || g_str_has_prefix(found.meet, "tcp://")
                      || g_str_has_prefix(found.meet, "ipc:///"));
        g_assert_true(g_utf8_validate(trace->str, -1, NULL));
        accepted++;
    }
    g_assert_cmpuint(accepted, >, 1000);
    g_assert_cmpuint(refused, >, 1000);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/rendezvous/launchers", test_launchers);
    g_test_add_func("/rendezvous/ports", test_ports);
    g_test_add_func("/rendezvous/mpi-hosts", test_mpi_hosts);
    g_test_add_func("/rendezvous/inherited", test_inherited);
    g_test_add_func("/rendezvous/alone", test_alone);
    g_test_add_func("/rendezvous/srun-forgotten", test_srun_forgotten);
    g_test_add_func("/rendezvous/contradictions", test_contradictions);
    g_test_add_func("/rendezvous/mistakes", test_mistakes);
    g_test_add_func("/rendezvous/options", test_options);
    g_test_add_func("/rendezvous/options/wrong", test_options_wrong);
    g_test_add_func("/rendezvous/trace", test_trace);
    g_test_add_func("/rendezvous/environment/fuzzed", test_environment_fuzzed);
    return loom_test_run();
}
