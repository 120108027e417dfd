/* survey_classes - which class is in how many cases and voxels of each split, and what follows.
 */
#include "survey.h"

guint loom_survey_class(const LoomSurvey *survey, LoomSplit split, guint k, gint64 *voxels)
{
    guint n = 0, cases = 0;
    g_autofree guint *of = loom_dataset_split(survey->dataset, split, &n);

    *voxels = 0;
    for (guint i = 0; i < n; i++) {
        const LoomLabelScan *label = survey->cases[of[i]].label;

        if (!label || !label->of[k].n)
            continue;
        cases++;
        *voxels += label->of[k].n;
    }
    return cases;
}

/* Cases of the split whose label map could be read. */
static guint labelled(const LoomSurvey *survey, LoomSplit split)
{
    guint n = 0, found = 0;
    g_autofree guint *of = loom_dataset_split(survey->dataset, split, &n);

    for (guint i = 0; i < n; i++)
        found += survey->cases[of[i]].label != NULL;
    return found;
}

void loom_survey_classes(const LoomSurvey *survey)
{
    const LoomDataset *dataset = survey->dataset;
    const guint train = labelled(survey, LOOM_SPLIT_TRAIN);

    for (guint k = 0; k < dataset->n_labels && train; k++) {
        gint64 voxels;

        if (loom_survey_class(survey, LOOM_SPLIT_TRAIN, k, &voxels))
            continue;
        const guint validate = loom_survey_class(survey, LOOM_SPLIT_VALIDATE, k, &voxels);
        loom_finding_add(survey->findings, "E-CLASS-ABSENT", NULL, NULL,
                         "none of the %u training cases has a voxel of label %u ('%s'): it "
                         "cannot be learnt",
                         train, k, dataset->label_names[k]);
        if (validate)
            loom_finding_add(survey->findings, "W-CLASS-VALIDATES", NULL, NULL,
                             "label %u ('%s') is in %u case%s that validate%s, and in none "
                             "that trains",
                             k, dataset->label_names[k], validate, validate == 1 ? "" : "s",
                             validate == 1 ? "s" : "");
    }
}
