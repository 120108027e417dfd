/* cross_validation.h - every fold of a config, one run after the other. */
#pragma once

#include "config/yaml.h"
#include "plugin/registry.h"

/* Runs one fold in @folder and returns the exit code of a run; 0: it came to its end. */
typedef int (*CrossValidationRun)(LoomNode *config, const char *folder, gboolean resume,
                                  gpointer data);

typedef struct {
    LoomNode *config; /* borrowed */
    const LoomRegistry *registry;
    const char *folds;  /* "all", or "0,2,3" */
    const char *folder; /* absolute; a fold runs in FOLDER/fold_K */
    gboolean resume, force;
    CrossValidationRun run;
    gpointer data;
} CrossValidation;

/* What is done is passed over and an interrupted fold goes on, with resume; a fold that fails
 * does not keep the others from running.  In the end summary.json, summary.csv, and a table on
 * stdout.  Returns the exit code of the command. */
int cross_validation(const CrossValidation *all);
