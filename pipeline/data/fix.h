/* fix.h - a data set written anew where its files can be put right without guessing. */
#pragma once

#include "survey.h"

/* What became of one file. */
typedef struct {
    char *file; /* below the folder: "labelsTr/a.nii.gz" */
    char *id;   /* of the case */
    char *done; /* "slope set to 1, ..."; NULL: nothing could be done */
    char *left; /* what is still wrong; NULL: nothing */
} LoomFixed;
void loom_fixed_free(LoomFixed *fixed);

/* Makes @folder, which must not exist, with dataset.json, the corrected files, and links to
 * those that need nothing or cannot be put right.  @findings: of the survey. Returns: LoomFixed
 * *, of the files about which there is something to say; (transfer full). */
GPtrArray *loom_fix(const LoomSurvey *survey, const LoomFindings *findings, const char *folder,
                    GError **error);
