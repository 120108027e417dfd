/* study_plan.h - a config with a section `study:` as a list of ordinary configs. */
#pragma once

#include "config/yaml.h"

typedef struct {
    char *name;       /* "dice-fold0-seed1": of its folder */
    const char *loss; /* borrowed from the plan */
    gint64 fold, seed;
    LoomNode *config; /* without `study:` */
} StudyRun;

/* Losses in the order of the config; the first is what the others are compared with.  Runs: for
 * each seed and fold all losses, so that a study that was stopped has compared something. */
typedef struct {
    char **losses;   /* names; end with NULL */
    GPtrArray *runs; /* StudyRun * */
} StudyPlan;

/* Reads `study: {losses: {NAME: {use: ...}, ...}, folds: [0], seeds: [1], stage: ID}`.  Without
 * folds or seeds: those of the config itself.  `stage`: which stage of the trained graph has
 * the loss, needed only where several have one.  NULL with LOOM_ERROR_CONFIG "file:line:column:
 * ...".
 */
StudyPlan *study_plan_new(const LoomNode *config, GError **error);
void study_plan_free(StudyPlan *plan);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(StudyPlan, study_plan_free)
