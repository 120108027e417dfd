/* check_print.h - what `segloom check` found, for people and as JSON. */
#pragma once

#include "data/fix.h"
#include "graph/run.h"

#include <json-glib/json-glib.h>

/* What one step and one case took, in seconds; 0: not measured. */
typedef struct {
    double step, load;
} CheckTime;

/* Errors, warnings, notes, each with its place and, of a config, the line it is about.  Those
 * of one kind in many cases are one entry.  @folder: of the data set, left out of paths; NULL:
 * none.
 * @width: columns. */
void check_findings_print(const LoomFindings *findings, const char *folder, guint width);
/* Which class is in how many cases and voxels of each split. */
void check_classes_print(const LoomSurvey *survey);
/* What became of each file of a copy, and how many are only links. */
void check_fixed_print(const GPtrArray *fixed, const char *folder, guint width);
/* Runs a few steps of @config without leaving anything, and reads one case.  What fails is a
 * finding, and its time stays 0. */
void check_time(const LoomNode *config, const LoomRegistry *registry, const LoomRun *run,
                LoomFindings *findings, CheckTime *time);
/* @fixed: LoomFixed *, NULL: nothing was written.  @run: NULL where the config could not be
 * read. */
char *check_json(const char *config, const LoomRun *run, const LoomFindings *findings,
                 const CheckTime *time, const GPtrArray *fixed);
