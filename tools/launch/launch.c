/* launch - N processes of one run on this machine: started, listened to, told to stop, started
 * again, waited for.
 *
 * One thread and one poll: signals are read from a descriptor, so nothing here runs inside of a
 * signal handler. */
#include "launch.h"

#include "command.h"
#include "interrupt.h"
#include "launch_rank.h"
#include "terminal.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define PAUSE_US G_USEC_PER_SEC /* before a rank is started again */

typedef struct {
    const LaunchPlan *plan;
    LaunchRank *ranks;
    sigset_t mask; /* of signals, as it was before */
    int signals;   /* what arrives while they are blocked */
    int asked;     /* signal that a person sent, and that all ranks were sent; 0: none */
    gint64 asked_us;
    gboolean ending, killed;
    guint ends;
} Launch;

/* ---- stopping ----------------------------------------------------------------------- */

static void signal_all(Launch *launch, int signal_number)
{
    launch->ending = TRUE;
    for (guint i = 0; i < launch->plan->n; i++) {
        launch_rank_signal(&launch->ranks[i], signal_number);
        launch->ranks[i].again_us = 0;
    }
}

/* The first one asks, the second one kills. */
static void stop(Launch *launch, int signal_number)
{
    const gint64 now = g_get_monotonic_time();

    if (launch->asked && now - launch->asked_us < INTERRUPT_TOGETHER_US)
        return;
    if (launch->asked) {
        terminal_print("segloom: %s again: killing every rank",
                       signal_number == SIGINT ? "Ctrl-C" : "SIGTERM");
        launch->killed = TRUE;
        signal_all(launch, SIGKILL);
        return;
    }
    launch->asked_us = now;
    launch->asked = signal_number == SIGINT ? SIGINT : SIGTERM; /* SIGHUP: no terminal more */
    signal_all(launch, launch->asked);
}

/* ---- beginnings and ends ------------------------------------------------------------ */

static guint running(const Launch *launch)
{
    guint n = 0;

    for (guint i = 0; i < launch->plan->n; i++)
        n += launch->ranks[i].pid > 0 || launch->ranks[i].again_us > 0;
    return n;
}

static void rank_start(Launch *launch, LaunchRank *rank)
{
    const LaunchPlan *plan = launch->plan;
    g_auto(GStrv) command = plan->command(rank->rank, rank->starts > 0, plan->data);
    const cpu_set_t *share = plan->shares ? &plan->shares[rank->rank] : NULL;
    g_autoptr(GError) error = NULL;

    if (launch_rank_start(rank, command, &launch->mask, share, &error))
        return;
    terminal_print("segloom: rank %u cannot be started: %s", rank->rank, error->message);
    rank->status = COMMAND_FAILED << 8; /* as waitpid gives exit code 1 */
    rank->end = ++launch->ends;
    signal_all(launch, SIGTERM);
}

static void rank_ended(Launch *launch, LaunchRank *rank)
{
    const int code = launch_rank_code(rank);
    const gboolean died = code != COMMAND_DONE && code != COMMAND_WRONG
                          && code != COMMAND_SUSPENDED && code != COMMAND_INTERRUPTED;
    g_autofree char *end = launch_rank_end(rank);

    rank->end = ++launch->ends;
    if (launch->ending) {
        if (died && !launch->killed && code != 128 + SIGINT && code != 128 + SIGTERM)
            terminal_print("segloom: %s", end);
        return;
    }
    if (code == COMMAND_WRONG && running(launch) > 0) {
        /* It would recur, and the others would wait for this one. */
        terminal_print("segloom: rank %u refused (exit code 2): ending the others", rank->rank);
        signal_all(launch, SIGTERM);
    } else if (died && rank->starts <= launch->plan->restarts) {
        terminal_print("segloom: %s; starting it again (%u of %u)", end, rank->starts,
                       launch->plan->restarts);
        rank->again_us = g_get_monotonic_time() + PAUSE_US;
    } else if (died) {
        terminal_print("segloom: %s%s", end,
                       running(launch) > 0 ? "; the others go on without it" : "");
    }
}

/* ---- the loop ----------------------------------------------------------------------- */

static void signals_take(Launch *launch)
{
    struct signalfd_siginfo arrived;

    if (read(launch->signals, &arrived, sizeof arrived) != (gssize)sizeof arrived)
        return;
    if (arrived.ssi_signo != SIGCHLD)
        stop(launch, (int)arrived.ssi_signo);
    for (guint i = 0; i < launch->plan->n; i++)
        if (launch_rank_ended(&launch->ranks[i]))
            rank_ended(launch, &launch->ranks[i]);
}

/* Milliseconds until a rank is to be started again; -1: none is. */
static int pause_left(const Launch *launch)
{
    const gint64 now = g_get_monotonic_time();
    gint64 left = -1;

    for (guint i = 0; i < launch->plan->n; i++) {
        const gint64 due = launch->ranks[i].again_us;

        if (due > 0 && (left < 0 || due - now < left))
            left = MAX(due - now, 0);
    }
    return left < 0 ? -1 : (int)(left / 1000 + 1);
}

static void lines_listen(GArray *polled, GPtrArray *listened, LaunchLines *lines)
{
    const struct pollfd wanted = {.fd = lines->from, .events = POLLIN};

    if (!lines->prefix || lines->from < 0)
        return;
    g_array_append_val(polled, wanted);
    g_ptr_array_add(listened, lines);
}

static void turn(Launch *launch)
{
    g_autoptr(GArray) polled = g_array_new(FALSE, FALSE, sizeof(struct pollfd));
    g_autoptr(GPtrArray) listened = g_ptr_array_new();
    const struct pollfd signals = {.fd = launch->signals, .events = POLLIN};

    for (guint i = 0; i < launch->plan->n; i++) {
        lines_listen(polled, listened, &launch->ranks[i].out);
        lines_listen(polled, listened, &launch->ranks[i].err);
    }
    g_array_append_val(polled, signals);
    struct pollfd *all = (struct pollfd *)(gpointer)polled->data;
    poll(all, polled->len, pause_left(launch));
    for (guint i = 0; i < listened->len; i++)
        if (all[i].revents)
            launch_lines_pass(listened->pdata[i]);
    if (all[listened->len].revents)
        signals_take(launch);
    for (guint i = 0; i < launch->plan->n; i++) {
        LaunchRank *rank = &launch->ranks[i];

        if (rank->again_us > 0 && rank->again_us <= g_get_monotonic_time())
            rank_start(launch, rank);
    }
}

/* ---- the answer --------------------------------------------------------------------- */

/* Of two ends: failures before orderly stops before ends that were asked for; among failures
 * the first is the cause. */
static int code_of(const Launch *launch)
{
    int failed = 0, stopped = 0;
    guint first = G_MAXUINT;

    if (launch->killed)
        return 128 + launch->asked;
    for (guint i = 0; i < launch->plan->n; i++) {
        const LaunchRank *rank = &launch->ranks[i];
        const int code = launch_rank_code(rank);

        if (code == COMMAND_DONE)
            continue;
        if (code == COMMAND_SUSPENDED || code == COMMAND_INTERRUPTED
            || (launch->asked && code == 128 + launch->asked)) {
            if (stopped == 0 || code == COMMAND_INTERRUPTED
                || (code == COMMAND_SUSPENDED && stopped != COMMAND_INTERRUPTED))
                stopped = code;
        } else if (rank->end < first) {
            first = rank->end;
            failed = code;
        }
    }
    return failed ? failed : stopped;
}

static void signals_block(Launch *launch)
{
    static const int taken[] = {SIGINT, SIGTERM, SIGCHLD};
    sigset_t signals;

    sigemptyset(&signals);
    for (guint i = 0; i < G_N_ELEMENTS(taken); i++)
        sigaddset(&signals, taken[i]);
    if (interrupt_by_hangup())
        sigaddset(&signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals, &launch->mask);
    launch->signals = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_DFL); /* who ignores it never hears of an end */
}

int launch_run(const LaunchPlan *plan)
{
    Launch launch = {.plan = plan, .ranks = g_new0(LaunchRank, plan->n)};
    int code;

    g_assert(plan->n >= 1 && plan->n <= LAUNCH_MAX_RANKS);
    signals_block(&launch);
    terminal_live(""); /* what is printed from here clears rank 0's live line first */
    if (launch.signals < 0) {
        command_fail_text(0, "no descriptor is free for signals: see 'ulimit -n'");
        code = COMMAND_FAILED;
    } else {
        for (guint i = 0; i < plan->n; i++)
            launch.ranks[i].rank = i;
        for (guint i = 0; i < plan->n && !launch.ending; i++)
            rank_start(&launch, &launch.ranks[i]);
        while (running(&launch) > 0)
            turn(&launch);
        close(launch.signals);
        code = code_of(&launch);
    }
    for (guint i = 0; i < plan->n; i++)
        launch_rank_clear(&launch.ranks[i]);
    g_free(launch.ranks);
    terminal_live(NULL);
    pthread_sigmask(SIG_SETMASK, &launch.mask, NULL);
    return code;
}
