/* launch_rank.h - one of the processes that `segloom launch` starts: its start and its end. */
#pragma once

#include "launch_lines.h"

#include <sched.h>
#include <signal.h>
#include <sys/types.h>

typedef struct {
    guint rank, starts;
    pid_t pid;       /* 0: it does not run */
    int status;      /* of its last end, as waitpid gives it */
    guint end;       /* how many ends of all ranks there had been then */
    gint64 again_us; /* when it is to be started again; 0: it is not */
    LaunchLines out, err;
} LaunchRank;

/* @mask: of signals, for the new process.  @share: its processors; NULL: all of this process's.
 * Rank 0 gets this process's stdout and stderr. */
gboolean launch_rank_start(LaunchRank *rank, char **command, const sigset_t *mask,
                           const cpu_set_t *share, GError **error);
/* To its process and all that it started. */
void launch_rank_signal(const LaunchRank *rank, int signal_number);
/* TRUE once, when it has ended: its status is set and all it wrote is passed on. */
gboolean launch_rank_ended(LaunchRank *rank);
/* 0 to 255, 128 + signal. */
int launch_rank_code(const LaunchRank *rank);
/* "rank 2 was killed by signal 9 (...)"; (transfer full). */
char *launch_rank_end(const LaunchRank *rank);
void launch_rank_clear(LaunchRank *rank);
