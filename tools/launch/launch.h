/* launch.h - N processes of one run on this machine: started, listened to, told to stop,
 * started again, waited for. */
#pragma once

#include <glib.h>
#include <sched.h>

typedef struct {
    guint n;                 /* ranks: 1 to LAUNCH_MAX_RANKS */
    guint restarts;          /* how often each of them is started again */
    const cpu_set_t *shares; /* the processors of each rank; NULL: all may use all */
    /* The command of a rank, its program's absolute path first; (transfer full).  @again: it
     * died before. */
    char **(*command)(guint rank, gboolean again, gpointer data);
    gpointer data;
} LaunchPlan;

#define LAUNCH_MAX_RANKS 256

/* Runs until no process is left.  Takes over SIGINT, SIGTERM, SIGHUP and SIGCHLD, and starts
 * all processes from the calling thread, which must be the main one: its end is theirs.
 * Rank 0 writes where this process does; of the others each line gets a "[2] " in front.
 * Returns: 0 if all ranks ended so; else the code of the first that failed (128 + signal); else
 * 130 or 75 if that is how some ended. */
int launch_run(const LaunchPlan *plan);
