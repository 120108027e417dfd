/* progress.h - the records of a run as lines for people. */
#pragma once

#include "graph/moves.h"

#include <loom/context.h>

typedef struct _Progress Progress;

Progress *progress_new(void);
void progress_free(Progress *progress);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Progress, progress_free)
/* Steps of the run; 0: not known. */
void progress_set_steps(Progress *progress, gint64 steps);
/* For LoomRunOptions: "step" records redraw the live line (without a terminal: a line every ten
 * seconds), every other kind is a line that stays. */
void progress_record(const char *kind, gint64 step, const LoomField *fields, guint n_fields,
                     gpointer progress);
/* For LoomRunOptions: the live line shows that it goes on, also while a validation runs. */
void progress_move(const LoomMove *move, gpointer progress);
/* "step 100/300  validating 12/40, the next 31 %": (transfer full). */
char *progress_move_text(gint64 step, gint64 steps, const LoomMove *move);
/* "step 12/300  loss 0.413  dice 0.710 0.640  2.1 samples/s  1:02 left": what fits into @width
 * columns, of many classes the first; (transfer full). */
char *progress_step_text(gint64 step, gint64 steps, const LoomField *fields, guint n_fields,
                         guint width);
/* "metrics after step 100:  cases 40  dice 0.871 (Anterior 0.880, Posterior 0.862)  iou 0.772":
 * what fits into @width columns; (transfer full). */
char *progress_text(const char *kind, gint64 step, const LoomField *fields, guint n_fields,
                    guint width);
