/* checkpoint_best.h - which weights scored best in validation so far. */
#pragma once

#include <loom/loom.h>
#include <loom/store.h>

typedef struct {
    const char *reading; /* of the record "metrics": the higher the better */
    double smooth;       /* share of the moving mean that stays; 0: the score itself counts */
    double moving;       /* NaN: no score yet */
    double score;        /* the best, of step `step`; NaN: none */
    gint64 step, seen;   /* seen: step of the newest record that was looked at; -1: none */
} CheckpointBest;

void checkpoint_best_init(CheckpointBest *best, const char *reading, double smooth);
/* Has the weights of this step, which were validated just now, the best score so far?  @found:
 * the answer.  Fails with LOOM_ERROR_CONFIG where the record has no such reading. */
gboolean checkpoint_best_look(CheckpointBest *best, const LoomContext *ctx, gboolean *found,
                              GError **error);
/* In the metadata of a checkpoint, so that a run that resumes knows what it has to beat. */
void checkpoint_best_store(const CheckpointBest *best, LoomStore *store);
void checkpoint_best_restore(CheckpointBest *best, const LoomStore *store);
