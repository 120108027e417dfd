/* survey.h - everything that is wrong with the files of a data set, found in one pass. */
#pragma once

#include "core/findings.h"
#include "dataset.h"
#include "nifti/volume_scan.h"

typedef struct {
    LoomGeometry geometry; /* of the first channel; sizes 0: it could not be read */
    LoomImageScan *images; /* one a channel, without bits; only where voxels were looked at */
    LoomLabelScan *label;  /* NULL: no label map, or none that could be read */
} LoomCaseSurvey;

typedef struct {
    const LoomDataset *dataset;
    gboolean voxels; /* those of images were read too */
    LoomFindings *findings;
    LoomCaseSurvey *cases; /* one a case */
} LoomSurvey;

/* Reads every header and every label map, and with @voxels every image, by the data set's
 * policy; the cases in parallel, the findings in their order. */
LoomSurvey *loom_survey_new(const LoomDataset *dataset, LoomPool *pool, gboolean voxels);
void loom_survey_free(LoomSurvey *survey);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LoomSurvey, loom_survey_free)

/* Classes that no training case has, or only those that validate. */
void loom_survey_classes(const LoomSurvey *survey);
/* One case beside the others: axes, voxel edges, sizes, intensities, the same voxels twice.
 * @oriented: a stage brings the axes into one frame. */
void loom_survey_outliers(const LoomSurvey *survey, gboolean oriented);
/* Classes of which next to nothing is left on voxels of @mm (D, H, W). */
void loom_survey_tiny(const LoomSurvey *survey, const double mm[3]);
/* Patients that train and validate.  @key: of LoomDataOptions; NULL: by the names that BIDS and
 * others give to visits. */
void loom_survey_patients(const LoomSurvey *survey, const char *key);

/* Cases of a split that have a voxel of label @k, and how many such voxels. */
guint loom_survey_class(const LoomSurvey *survey, LoomSplit split, guint k, gint64 *voxels);
