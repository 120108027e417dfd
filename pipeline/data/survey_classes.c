/* survey_classes - which class is in how many cases and voxels of each split, and what follows.
 */
#include "survey.h"

#define CLASS_LEAST 4.0 /* voxels on the new grid: fewer may vanish between its points */

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

void loom_survey_tiny(const LoomSurvey *survey, const double mm[3])
{
    const LoomDataset *dataset = survey->dataset;

    for (guint i = 0; i < dataset->n_cases; i++) {
        const LoomCaseSurvey *of = &survey->cases[i];
        const double *edge = of->geometry.spacing_mm;
        const double share = edge[0] * edge[1] * edge[2] / (mm[0] * mm[1] * mm[2]);

        for (guint k = 1; of->label && k < dataset->n_labels; k++) {
            const gint64 n = of->label->of[k].n;

            if (n && (double)n * share < CLASS_LEAST)
                loom_finding_add(survey->findings, "W-CLASS-TINY", dataset->cases[i].label,
                                 dataset->cases[i].id,
                                 "label %u ('%s') has %" G_GINT64_FORMAT
                                 " voxels, after resampling to %g x %g x %g mm about %.2g",
                                 k, dataset->label_names[k], n, mm[0], mm[1], mm[2],
                                 (double)n * share);
        }
    }
}
