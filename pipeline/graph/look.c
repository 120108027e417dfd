/* look - what `segloom check` wants to know of a run's data besides what a run asks itself. */
#include "state.h"

#include "config/scalar.h"
#include "data/dataset.h"
#include "data/survey.h"

#include <loom/store.h>

#include <string.h>

/* Do all loaders set to 0 what is not finite?  Then the survey reads as they do. */
static gboolean loaders_zero(const LoomRun *run)
{
    gboolean zero = TRUE, any = FALSE;

    for (guint g = 0; g < run->graphs->len; g++) {
        const LoomGraph *graph = run->graphs->pdata[g];

        for (guint i = 0; i < graph->hops->len; i++) {
            const LoomHop *hop = graph->hops->pdata[i];
            const LoomNode *nan = loom_node_get(hop->node, "nan");

            if (!g_str_equal(hop->stage->base.name, "nifti_load"))
                continue;
            any = TRUE;
            zero = zero && nan && g_strcmp0(nan->text, "zero") == 0;
        }
    }
    return any && zero;
}

/* A stage of that kind, in any graph. */
static const LoomHop *stage_find(const LoomRun *run, const char *kind)
{
    for (guint g = 0; g < run->graphs->len; g++) {
        const LoomGraph *graph = run->graphs->pdata[g];

        for (guint i = 0; i < graph->hops->len; i++) {
            const LoomHop *hop = graph->hops->pdata[i];

            if (g_str_equal(hop->stage->base.name, kind))
                return hop;
        }
    }
    return NULL;
}

/* What a resampling leaves of small things. */
static void resampled_look(const LoomRun *run)
{
    const LoomHop *hop = stage_find(run, "resample");
    const LoomNode *spacing = hop ? loom_node_get(hop->node, "spacing") : NULL;
    double mm[3];

    if (!spacing || spacing->type != LOOM_NODE_SEQUENCE || spacing->items->len != 3)
        return;
    for (guint i = 0; i < 3; i++)
        if (!loom_scalar_float(spacing->items->pdata[i], "spacing", &mm[i], NULL) || mm[i] <= 0)
            return;
    loom_survey_tiny(run->survey, mm);
}

/* A list file that was written elsewhere: said, because nothing is repaired in silence. */
static void list_look(LoomFindings *findings, const char *path)
{
    g_autofree char *text = NULL;
    gsize length;

    if (!path || !g_file_get_contents(path, &text, &length, NULL))
        return;
    const gboolean mark = g_str_has_prefix(text, "\xef\xbb\xbf"),
                   returns = strchr(text, '\r') != NULL;
    const gboolean trails = strstr(text, " \n") || strstr(text, "\t\n") || strstr(text, " \r");
    if (mark || returns || trails)
        loom_finding_add(findings, "N-LIST-TRIMMED", path, NULL, "accepted without its%s%s%s",
                         mark ? " byte order mark" : "",
                         returns ? mark ? ", carriage returns" : " carriage returns" : "",
                         trails ? mark || returns ? ", trailing blanks" : " trailing blanks"
                                : "");
}

void loom_run_look_at_data(LoomRun *run, const LoomNode *section)
{
    LoomFindings *findings = run->options.findings;
    LoomDataOptions options = {0};

    if (loaders_zero(run))
        run->dataset->policy.nan = LOOM_NAN_ZERO;
    run->survey = loom_survey_new(run->dataset, run->pool, TRUE);
    loom_survey_classes(run->survey);
    loom_survey_outliers(run->survey, stage_find(run, "orient") != NULL);
    resampled_look(run);
    if (loom_params_fill(loom_data_params, &options, section, NULL, "data", NULL, NULL)) {
        loom_survey_patients(run->survey, options.patient_key);
        list_look(findings, options.train);
        list_look(findings, options.validate);
        loom_params_clear(loom_data_params, &options);
    }
    loom_findings_move(findings, run->survey->findings, NULL);
}

/* ---- patches ------------------------------------------------------------------------ */

/* The first stage whose packets have sizes that do not depend on the case. */
static const LoomHop *patch_find(const LoomGraph *graph)
{
    static const char *const regrid[] = {"orient", "crop_nonzero", "resample", NULL};

    for (guint i = 0; i < graph->hops->len; i++) {
        const LoomHop *hop = graph->hops->pdata[i];

        if (g_strv_contains(regrid, hop->stage->base.name))
            return NULL; /* the sizes on disk are not those that arrive */
        if (hop->plan.d && hop->plan.h && hop->plan.w)
            return hop;
    }
    return NULL;
}

void loom_run_look_at_patches(LoomRun *run)
{
    const LoomHop *patch = patch_find(run->main);

    for (guint i = 0; patch && i < run->dataset->n_cases; i++) {
        const gint64 *size = run->survey->cases[i].geometry.size;
        const LoomCase *one = &run->dataset->cases[i];

        if (!size[0]
            || (size[0] >= patch->plan.w && size[1] >= patch->plan.h
                && size[2] >= patch->plan.d))
            continue;
        loom_finding_add(
            run->options.findings, "N-IMAGE-SMALL", one->images[0], one->id,
            "%" G_GINT64_FORMAT " x %" G_GINT64_FORMAT " x %" G_GINT64_FORMAT
            " voxels (D, H, W), the patch of stage '%s' has %" G_GINT64_FORMAT
            " x %" G_GINT64_FORMAT " x %" G_GINT64_FORMAT ": padded by its pad_value",
            size[2], size[1], size[0], patch->id, patch->plan.d, patch->plan.h, patch->plan.w);
    }
}

/* ---- disk --------------------------------------------------------------------------- */

/* A model's weights, and all that its checkpoint holds; stages that step have made moments. */
static void model_bytes(const LoomInstance *model, guint64 *weights, guint64 *all)
{
    guint n = 0;
    const LoomWeight *weight = ((const LoomModel *)model->plugin)->weights(model->self, &n);

    for (guint i = 0; i < n; i++) {
        const guint64 bytes = (guint64)weight[i].count * sizeof(float);

        *weights += bytes;
        *all += bytes * (1u + (weight[i].moment[0] != NULL) + (weight[i].moment[1] != NULL));
    }
}

void loom_run_disk(const LoomRun *run, guint64 *checkpoints, guint64 *predictions)
{
    *checkpoints = *predictions = 0;
    for (guint g = 0; g < run->graphs->len; g++) {
        const LoomGraph *graph = run->graphs->pdata[g];

        for (guint i = 0; i < graph->hops->len; i++) {
            const LoomHop *hop = graph->hops->pdata[i];
            const LoomNode *id = loom_node_get(hop->node, "model");
            const LoomInstance *model =
                id ? g_hash_table_lookup(run->by_model, id->text) : NULL;
            guint64 weights = 0, all = 0;

            if (g_str_equal(hop->stage->base.name, "checkpoint") && model) {
                model_bytes(model, &weights, &all);
                *checkpoints += 2 * all + weights; /* this one, the one before, the model */
            }
            if (!g_str_equal(hop->stage->base.name, "nifti_save") || !run->survey)
                continue;
            for (guint k = 0; k < run->dataset->n_cases; k++) {
                const gint64 *size = run->survey->cases[k].geometry.size;

                if (run->dataset->in_train[k] != 1) /* u8, before it is compressed */
                    *predictions += (guint64)(size[0] * size[1] * size[2]);
            }
        }
    }
}
