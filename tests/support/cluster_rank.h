/* cluster_rank.h - a rank that trains nothing: it enters, begins, counts steps, and says so. In
 * a thread of this process, or as a process of its own. */
#pragma once

#include "cluster/cluster.h"
#include "cluster/member.h"
#include "core/lock.h"

#include <stdio.h>

#define RANK_PATIENCE_S 90 /* against hangs; on a busy machine nothing comes near it */

typedef struct {
    guint rank, size;
    const char *meet, *folder, *config; /* folder NULL: none */
    const LoomInstance *transport;
    double beat, suspect, wait, stall; /* seconds; 0: 0.05, 1, 60, 60 */
    gint64 steps;                      /* then it is done; 0: never */
    guint refuse;                      /* says "not ready" to so many views */
    FILE *log;                         /* a line a view and one at the end; NULL: none */
} TestRankSetup;

/* What it does in a generation. */
typedef enum {
    RANK_STEPS,
    RANK_WAITS, /* for others */
    RANK_STUCK, /* for ever */
} TestRankMode;

typedef struct {
    TestRankSetup setup;
    LoomClusterOptions options;
    LoomCluster *cluster;
    pthread_t thread;
    gboolean threaded;

    LoomLock lock; /* guards all below */
    LoomSignal changed;
    gboolean killed;
    TestRankMode mode;
    gint64 step, steps;
    LoomView *view; /* begun last; NULL: none */
    gboolean over;  /* the rank has come to its end */
    LoomFlow flow;  /* OK: done; STOP: `ending`; FAIL: `error` */
    int ending;
    GError *error;
} TestRank;

/* @error NULL: it must succeed. */
TestRank *test_rank_new(const TestRankSetup *setup, GError **error);
/* Runs to its end, in this thread. */
void test_rank_run(TestRank *rank);
/* The same in a thread of its own. */
TestRank *test_rank_start(const TestRankSetup *setup);
/* Waits for a view of @size ranks after @generation; its generation. */
guint64 test_rank_wait_view(TestRank *rank, guint size, guint64 generation);
/* The step it is at; waits until it is beyond @step. */
gint64 test_rank_wait_step(TestRank *rank, gint64 step);
void test_rank_do(TestRank *rank, TestRankMode mode);
/* From now on @steps are to be done. */
void test_rank_finish_at(TestRank *rank, gint64 steps);
/* Waits until the rank has come to its end by itself. */
void test_rank_wait_end(TestRank *rank);
/* Gone in the middle, without a word; frees it. */
void test_rank_kill(TestRank *rank);
void test_rank_free(TestRank *rank);
