/* plan - from a fingerprint to the numbers of a config.
 * Source: Isensee et al. 2021, nnU-Net's ExperimentPlanner. */
#include "plan.h"

#include <loom/loom.h>

#include <math.h>
#include <string.h>

#define MASK_BELOW 0.75     /* z-scores skip the outside where the box keeps less than this */
#define FLAT_FROM 3.0       /* longest edge of the patch by its thickness */
#define SD_FLOOR 1e-8       /* nnU-Net's: a constant channel becomes zeros */
#define VALIDATIONS 10      /* of a run */
#define VALIDATION_LEAST 50 /* steps between two */
#define FIRST_EDGE 256.0    /* see PlanBudget */
#define PAPER_DIVISOR 16    /* four levels below the first */

const char *const plan_schemes[] = {"ct", "zscore", "rescale", "none", NULL};

/* ---- channels ----------------------------------------------------------------------- */

/* By the channel's name, in any letters, as nnU-Net does. */
static PlanScheme scheme_of(const char *name)
{
    if (g_ascii_strcasecmp(name, "CT") == 0)
        return SCHEME_CT;
    if (g_ascii_strcasecmp(name, "noNorm") == 0)
        return SCHEME_NONE;
    if (g_ascii_strcasecmp(name, "rescale_to_0_1") == 0
        || g_ascii_strcasecmp(name, "rgb_to_0_1") == 0)
        return SCHEME_RESCALE;
    return SCHEME_ZSCORE;
}

static void channels_fill(Plan *plan)
{
    const Fingerprint *print = plan->fingerprint;

    plan->channels = g_new0(PlanChannel, print->n_channels);
    for (guint c = 0; c < print->n_channels; c++) {
        const Histogram *values = &print->foreground[c];

        plan->channels[c] = (PlanChannel){.scheme = scheme_of(plan->dataset->channel_names[c]),
                                          .low = histogram_percentile(values, 0.5),
                                          .high = histogram_percentile(values, 99.5),
                                          .mean = values->mean,
                                          .sd = MAX(histogram_sd(values), SD_FLOOR)};
    }
    plan->masked = print->kept < MASK_BELOW;
    plan->clipped = plan->wishes.preset->shape == PRESET_FIXED && print->n_channels == 1
                    && plan->channels[0].scheme == SCHEME_CT;
    if (plan->clipped) /* then each case by its own mean and deviation */
        plan->channels[0].scheme = SCHEME_ZSCORE;
}

/* ---- patch, network, batch ---------------------------------------------------------- */

static void budget_fill(Plan *plan)
{
    const PlanWishes *wishes = &plan->wishes;
    const PlanPreset *preset = wishes->preset;
    const double memory = (double)wishes->memory;

    plan->network = (PlanNetwork){.base = preset->base,
                                  .widest = preset->widest,
                                  .classes = plan->outputs,
                                  .supervised = FALSE}; /* nnU-Net plans without those heads */
    plan->budget = (PlanBudget){
        .elements = preset->elements,
        .reference_batch = 2,
        .bytes = memory > 0 && preset->elements <= 0 ? memory : preset->memory,
        .covered = preset->covered,
        .least_batch = 2,
        .most_batch = preset->most_batch,
        .max_levels = preset->max_levels,
        .edge = FIRST_EDGE,
        .seconds = wishes->seconds > 0 ? wishes->seconds : preset->seconds,
        .speed = plan_speed_of(wishes->lanes, wishes->threads),
    };
    if (memory > 0 && preset->elements > 0)
        plan->budget.elements *= memory / preset->elements_memory;
}

guint plan_place(const PlanVariant *variant, guint axis)
{
    for (guint p = 0; p < 2; p++)
        if (variant->order[p] == axis)
            return p;
    return 2;
}

static void scene_fill(const Plan *plan, PlanVariant *variant)
{
    PlanScene *scene = &variant->scene;

    plan_shape_median(plan->fingerprint->grids, plan->fingerprint->n_cases, variant->spacing,
                      variant->median);
    plan_axis_order(variant->spacing, variant->order);
    *scene = (PlanScene){.dims = 3,
                         .voxels = plan->fingerprint->n_cases,
                         .in_channels = plan->fingerprint->n_channels};
    for (guint p = 0; p < 3; p++) {
        scene->spacing[p] = variant->spacing[variant->order[p]];
        scene->median[p] = variant->median[variant->order[p]];
        scene->voxels *= scene->median[p];
    }
}

/* Back from the order of the network's plan to D, H, W. */
static void variant_turn(PlanVariant *variant)
{
    for (guint p = 0; p < 3; p++) {
        variant->spacing[variant->order[p]] = variant->scene.spacing[p];
        variant->median[variant->order[p]] = variant->scene.median[p];
        variant->patch[variant->order[p]] = variant->fit.topology.patch[p];
    }
}

/* Every axis halved at every level, which leaves two voxels or more at the deepest one. */
static void published_topology(PlanTopology *topology, const gint64 patch[3], guint levels)
{
    if (patch[0] * patch[1] * patch[2] >> 3 * (levels - 1) < 2)
        levels--; /* a patch of 16^3: instance normalisation needs them */
    topology->levels = levels;
    for (guint p = 0; p < 3; p++) {
        topology->patch[p] = patch[p];
        topology->pools[p] = levels - 1;
        topology->divisor[p] = G_GINT64_CONSTANT(1) << (levels - 1);
        for (guint l = 0; l < levels; l++) {
            topology->stride[l][p] = l ? 2 : 1;
            topology->kernel[l][p] = 3;
        }
    }
}

/* What was published, at most the median case, padded to what can be halved four times. */
static gboolean fit_published(Plan *plan, PlanVariant *variant, gint64 patch[3])
{
    static const double kits[3] = {80, 160, 160}, cube[3] = {96, 96, 96};
    const double *wanted = plan->clipped ? kits : cube;
    PlanFit *fit = &variant->fit;

    for (guint p = 0; p < 3; p++) {
        const double size = MIN(wanted[variant->order[p]], variant->scene.median[p]);

        if (!plan->wishes.patch[0])
            patch[p] = (gint64)ceil(size);
        patch[p] = (patch[p] + PAPER_DIVISOR - 1) / PAPER_DIVISOR * PAPER_DIVISOR;
    }
    if (!plan_fit(&variant->scene, &plan->budget, &plan->network, patch, fit))
        return FALSE;
    published_topology(&fit->topology, patch, plan->budget.max_levels);
    plan_fit_cost(&variant->scene, &plan->budget, &plan->network, fit);
    return TRUE;
}

static gboolean fine_fit(Plan *plan, GError **error)
{
    PlanVariant *fine = &plan->fine;
    const PlanTopology *topology = &fine->fit.topology;
    gint64 patch[3];

    for (guint p = 0; p < 3; p++)
        patch[p] = plan->wishes.patch[fine->order[p]];
    if (!(plan->wishes.preset->shape == PRESET_FIXED
              ? fit_published(plan, fine, patch)
              : plan_fit(&fine->scene, &plan->budget, &plan->network, patch[0] ? patch : NULL,
                         &fine->fit)))
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "no patch is small enough for the budget: raise --memory or "
                         "--seconds-per-step");
    variant_turn(fine);
    if (topology->levels < 2)
        return loom_fail(
            error, LOOM_ERROR_SHAPE,
            "the cases are too small for a U-Net: %g x %g x %g voxels of %g x %g x "
            "%g mm in the median, want two axes of 8 or one of 12 that can be "
            "halved; a finer --spacing gives more voxels",
            fine->median[0], fine->median[1], fine->median[2], fine->spacing[0],
            fine->spacing[1], fine->spacing[2]);
    return TRUE;
}

static void coarse_fit(Plan *plan)
{
    PlanVariant *coarse = &plan->coarse;

    if (plan->wishes.preset->shape == PRESET_FIXED || plan->wishes.patch[0])
        return;
    *coarse = plan->fine;
    plan->has_coarse = plan_fit_coarse(&plan->fine.scene, &plan->budget, &plan->network,
                                       &plan->fine.fit, &coarse->scene, &coarse->fit);
    if (plan->has_coarse)
        variant_turn(coarse);
    plan->fine.batch_dice = plan->has_coarse;
}

static void spacing_fill(Plan *plan)
{
    static const double kits[3] = {3.22, 1.62, 1.62}; /* MIScnn's example; slices along D */
    const Fingerprint *print = plan->fingerprint;
    double *spacing = plan->fine.spacing;

    plan_spacing_target(print->grids, print->n_cases, spacing, &plan->thick);
    memcpy(plan->native, spacing, sizeof plan->native);
    if (plan->thick >= 0) {
        double *values = g_new(double, print->n_cases);

        for (guint i = 0; i < print->n_cases; i++)
            values[i] = print->grids[i].spacing[plan->thick];
        plan->native[plan->thick] = plan_percentile(values, print->n_cases, 50);
        g_free(values);
    }
    if (plan->wishes.spacing[0] > 0)
        memcpy(spacing, plan->wishes.spacing, sizeof kits);
    else if (plan->clipped)
        memcpy(spacing, kits, sizeof kits);
}

/* ---- training ----------------------------------------------------------------------- */

gint64 plan_forced(gint64 batch, double share)
{
    return batch - (gint64)rint((double)batch * (1 - share));
}

const char *plan_loss(const Plan *plan, const PlanVariant *variant, const char **why)
{
    const PlanPreset *preset = plan->wishes.preset;

    if (plan->wishes.loss) {
        *why = "asked for";
        return plan->wishes.loss;
    }
    if (variant->batch_dice && preset->loss_pooled) {
        *why = "Dice over the batch, since another network sees whole cases + cross entropy";
        return preset->loss_pooled;
    }
    *why = preset->loss_why;
    return preset->loss;
}

/* Validations are evenly spread, the last one after the last step. */
static void steps_fill(Plan *plan)
{
    const PlanPreset *preset = plan->wishes.preset;
    gint64 parts;

    plan->steps = plan->wishes.steps ? plan->wishes.steps : preset->steps;
    if (!plan->steps) {
        const double fit = preset->minutes * 60 / plan->fine.fit.seconds;

        plan->steps = (gint64)rint(fit / 100) * 100;
        plan->steps = CLAMP(plan->steps, preset->least_steps, preset->most_steps);
    }
    parts = CLAMP(plan->steps / VALIDATION_LEAST, 1, VALIDATIONS);
    while (plan->steps % parts)
        parts--;
    plan->every = plan->steps / parts;
}

/* ---- all of it ---------------------------------------------------------------------- */

static gboolean classes_check(const Plan *plan, GError **error)
{
    const LoomDataset *dataset = plan->dataset;

    if (dataset->n_labels < 2)
        return loom_fail(error, LOOM_ERROR_FORMAT,
                         "the data set '%s' names no label besides the background: nothing to "
                         "learn",
                         dataset->name);
    for (guint k = 1; k < dataset->n_labels; k++)
        if (!plan->fingerprint->cases_with[k])
            return loom_fail(error, LOOM_ERROR_FORMAT,
                             "no case of '%s' has a voxel of label %u ('%s')", dataset->name, k,
                             dataset->label_names[k]);
    return TRUE;
}

/* One region alone is a class besides the background. */
static void outputs_fill(Plan *plan)
{
    const LoomDataset *dataset = plan->dataset;

    plan->regions = dataset->n_regions > 1;
    plan->outputs = plan->regions ? dataset->n_regions : dataset->n_labels;
    g_free(loom_dataset_split(dataset, LOOM_SPLIT_VALIDATE, &plan->validating));
}

Plan *plan_make(const LoomDataset *dataset, const Fingerprint *fingerprint,
                const PlanWishes *wishes, GError **error)
{
    g_autoptr(Plan) plan = g_new0(Plan, 1);

    plan->dataset = dataset;
    plan->fingerprint = fingerprint;
    plan->wishes = *wishes;
    if (!classes_check(plan, error))
        return NULL;
    outputs_fill(plan);
    channels_fill(plan);
    budget_fill(plan);
    spacing_fill(plan);
    scene_fill(plan, &plan->fine);
    if (!fine_fit(plan, error))
        return NULL;
    coarse_fit(plan);
    steps_fill(plan);
    return g_steal_pointer(&plan);
}

void plan_free(Plan *plan)
{
    if (!plan)
        return;
    g_free(plan->channels);
    g_free(plan);
}
