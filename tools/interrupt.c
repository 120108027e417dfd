/* interrupt - Ctrl-C, SIGTERM and SIGHUP, taken by a thread that waits for them. */
#include "interrupt.h"

#include "command.h"
#include "core/lock.h"
#include "terminal.h"

#include <signal.h>
#include <unistd.h>

static LoomLock lock = PTHREAD_MUTEX_INITIALIZER; /* guards the three below */
static LoomRun *running;
static int caught;
static gint64 caught_us;

static void signal_take(int signal_number)
{
    LOOM_LOCKED(&lock);

    if (running && !caught) {
        terminal_print("segloom: %s: ending in order, once more ends at once",
                       signal_number == SIGINT   ? "Ctrl-C"
                       : signal_number == SIGHUP ? "the terminal is gone"
                                                 : "SIGTERM");
        caught = signal_number == SIGINT ? SIGINT : SIGTERM;
        caught_us = g_get_monotonic_time();
        loom_run_stop(running);
        return;
    }
    if (caught && g_get_monotonic_time() - caught_us < INTERRUPT_TOGETHER_US)
        return;
    terminal_live(NULL);
    _exit(128 + signal_number); /* 130 for Ctrl-C */
}

static void *signals_wait(void *data)
{
    int signal_number = 0;

    for (;;)
        if (sigwait(data, &signal_number) == 0)
            signal_take(signal_number);
    return NULL;
}

gboolean interrupt_by_hangup(void)
{
    struct sigaction how;

    return sigaction(SIGHUP, NULL, &how) != 0 || how.sa_handler != SIG_IGN;
}

void interrupt_watch(void)
{
    static sigset_t signals;
    pthread_t thread;

    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    if (interrupt_by_hangup())
        sigaddset(&signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    if (pthread_create(&thread, NULL, signals_wait, &signals) == 0)
        pthread_detach(thread);
    else /* no thread to be had: the default, which ends the process, is what is left */
        pthread_sigmask(SIG_UNBLOCK, &signals, NULL);
}

void interrupt_stops(LoomRun *run)
{
    LOOM_LOCKED(&lock);

    running = run;
}

int interrupt_caught(void)
{
    LOOM_LOCKED(&lock);

    return caught;
}

int interrupt_code(void)
{
    return interrupt_caught() == SIGTERM ? COMMAND_SUSPENDED : COMMAND_INTERRUPTED;
}
