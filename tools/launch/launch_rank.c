/* launch_rank - one of the processes that `segloom launch` starts: its start and its end. */
#include "launch_rank.h"

#include "rank_processors.h"

#include <poll.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct {
    pid_t parent;
    const sigset_t *mask;
    const cpu_set_t *share;
} Birth;

/* Between fork and exec: nothing here may allocate or lock. */
static void child_prepare(gpointer data)
{
    const Birth *birth = data;

    /* Ctrl-C in a terminal reaches the launcher alone, which passes it on once. */
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM); /* no launcher any more: save, and end in order */
    signal(SIGPIPE, SIG_DFL);
    signal(SIGINT, SIG_DFL);  /* a shell ignores it for what it starts behind its back */
    signal(SIGTTOU, SIG_IGN); /* rank 0 may draw where the launcher is in the foreground */
    sigprocmask(SIG_SETMASK, birth->mask, NULL);
    rank_processors_bind(birth->share);
    if (getppid() != birth->parent) /* it died before the line above */
        _exit(128 + SIGTERM);
}

gboolean launch_rank_start(LaunchRank *rank, char **command, const sigset_t *mask,
                           const cpu_set_t *share, GError **error)
{
    Birth birth = {getpid(), mask, share};
    const gboolean first = rank->rank == 0;
    int out = -1, err = -1;

    launch_rank_clear(rank);
    rank->again_us = 0;
    if (!g_spawn_async_with_pipes(NULL, command, NULL,
                                  G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_CLOEXEC_PIPES,
                                  child_prepare, &birth, &rank->pid, NULL, first ? NULL : &out,
                                  first ? NULL : &err, error))
        return FALSE;
    rank->starts++;
    if (!first) {
        launch_lines_open(&rank->out, rank->rank, out, STDOUT_FILENO);
        launch_lines_open(&rank->err, rank->rank, err, STDERR_FILENO);
    }
    return TRUE;
}

void launch_rank_signal(const LaunchRank *rank, int signal_number)
{
    if (rank->pid > 0)
        kill(-rank->pid, signal_number);
}

/* What came before the end, and no more: a process that it left behind may hold the pipe. */
static void rest_pass(LaunchLines *lines)
{
    struct pollfd wanted = {.fd = lines->from, .events = POLLIN};

    while (lines->prefix && lines->from >= 0 && poll(&wanted, 1, 0) > 0)
        launch_lines_pass(lines);
}

gboolean launch_rank_ended(LaunchRank *rank)
{
    siginfo_t end = {0};

    if (rank->pid <= 0 || waitid(P_PID, (id_t)rank->pid, &end, WEXITED | WNOHANG | WNOWAIT) != 0
        || end.si_pid == 0)
        return FALSE;
    launch_rank_signal(rank, SIGKILL); /* what it left behind; its number is not free yet */
    waitpid(rank->pid, &rank->status, 0);
    rank->pid = 0;
    rest_pass(&rank->out);
    rest_pass(&rank->err);
    launch_rank_clear(rank);
    return TRUE;
}

int launch_rank_code(const LaunchRank *rank)
{
    return WIFSIGNALED(rank->status) ? 128 + WTERMSIG(rank->status) : WEXITSTATUS(rank->status);
}

static const char *signal_cause(int signal_number)
{
    switch (signal_number) {
    case SIGKILL:
        return "by somebody, or by the system for want of memory: see 'dmesg'";
    case SIGSEGV:
    case SIGBUS:
    case SIGILL:
    case SIGFPE:
    case SIGABRT:
        return "a fault of segloom or of a plugin";
    case SIGXCPU:
        return "its limit of processor time, see 'ulimit -t'";
    default:
        return strsignal(signal_number);
    }
}

char *launch_rank_end(const LaunchRank *rank)
{
    if (WIFSIGNALED(rank->status))
        return g_strdup_printf("rank %u was killed by signal %d (%s)", rank->rank,
                               WTERMSIG(rank->status), signal_cause(WTERMSIG(rank->status)));
    return g_strdup_printf("rank %u ended with exit code %d", rank->rank,
                           WEXITSTATUS(rank->status));
}

void launch_rank_clear(LaunchRank *rank)
{
    launch_lines_close(&rank->out);
    launch_lines_close(&rank->err);
}
