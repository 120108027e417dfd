/* study_scores.h - what the runs of a study scored, and what can be said about it. */
#pragma once

#include "statistics.h"
#include "study_plan.h"

typedef struct {
    double mean;                 /* over the cases in which it is defined; NaN: none */
    StatisticsInterval interval; /* of the mean */
    guint n;                     /* cases in which it is defined */
    double difference;           /* mean over the pairs: this loss minus the first one */
    StatisticsWilcoxon test;     /* against the first loss; of that itself p is NaN */
    double holm;                 /* p over all losses and classes of this reading */
} StudyCell;

/* Values of a case are means over the seeds: cases are independent, seeds are not. */
typedef struct {
    char **losses; /* borrowed from the plan */
    guint n_losses, n_classes, n_readings;
    GPtrArray *classes, *readings,
        *cases;       /* char *: names of class 1, 2, ...; as metrics.csv */
    GHashTable *sums; /* see study_scores.c */
    StudyCell *cells; /* after study_scores_finish */
} StudyScores;

StudyScores *study_scores_new(const StudyPlan *plan);
void study_scores_free(StudyScores *scores);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(StudyScores, study_scores_free)
/* Does @folder hold the scores of step @step? */
gboolean study_scores_there(const char *folder, gint64 step);
/* Takes the rows of step @step from metrics.csv in @folder. */
gboolean study_scores_add(StudyScores *scores, const StudyRun *run, const char *folder,
                          gint64 step, GError **error);
/* Means, intervals and tests.  @seed: of the bootstrap. */
void study_scores_finish(StudyScores *scores, guint64 seed);
const StudyCell *study_scores_cell(const StudyScores *scores, guint loss, guint class_,
                                   guint reading);
/* Index of a reading; -1: the runs have none of that name. */
gint study_scores_reading(const StudyScores *scores, const char *name);
