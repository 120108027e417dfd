/* rank_threads.h - the ranks of one run as threads of this process, over the transport
 * loopback: a whole distributed training under one sanitizer. */
#pragma once

#include "loom_test.h"

#define RANKS_MOST 8

typedef struct {
    const char *config;
    guint size;
    const char *folder; /* shared by all */
    gboolean resume;
    guint leaver;       /* this rank is told to stop ... */
    gint64 leave_after; /* ... after this step; 0: nobody is */
    gboolean all_leave;
    /* out */
    LoomRunEnd ends[RANKS_MOST];
    char *errors[RANKS_MOST]; /* NULL: none */
    gint64 steps[RANKS_MOST];
} RankThreads;

/* Runs them to their ends. */
void rank_threads_run(RankThreads *ranks);
void rank_threads_clear(RankThreads *ranks);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(RankThreads, rank_threads_clear)
