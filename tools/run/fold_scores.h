/* fold_scores.h - what the folds of a cross-validation scored, each on cases it never saw. */
#pragma once

#include <glib.h>

typedef struct _FoldScores FoldScores;

FoldScores *fold_scores_new(void);
void fold_scores_free(FoldScores *scores);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FoldScores, fold_scores_free)
/* Takes a fold's metrics.csv from @folder: the rows of the step that its model.json is of, else
 * those of the last step that was validated. */
gboolean fold_scores_add(FoldScores *scores, guint fold, const char *folder, GError **error);
guint fold_scores_folds(const FoldScores *scores);
/* All (transfer full).  Of each class the mean of a fold is over its cases; mean and standard
 * deviation (of a sample) are over the folds.  What is undefined is "-", empty, null. */
char *fold_scores_table(const FoldScores *scores);
char *fold_scores_csv(const FoldScores *scores);
char *fold_scores_json(const FoldScores *scores);
