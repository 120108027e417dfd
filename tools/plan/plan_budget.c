/* plan_budget - nnU-Net's way to a patch and a batch:
 *   patch_i = round(1/s_i (E^n / prod_j 1/s_j)^(1/n)), E = 256, at most the median shape; while
 *   the network for it makes too many numbers, the axis with the largest patch / median shrinks
 *   batch = round(budget / elements reference), at most a share of the data set, at least 2
 * Besides, where there is a limit in seconds, patches shrink and batches end at it too.
 * Source: Isensee et al. 2021, nnU-Net's get_plans_for_configuration. */
#include "plan_budget.h"

#include <math.h>
#include <string.h>

#define COARSE_SHARE 0.25  /* of the median case that a patch shall show */
#define COARSE_GROWTH 1.03 /* of the spacing, a time */
#define COARSE_WORTH 2.0   /* times fewer voxels, or it is not worth a network */
#define COARSE_ALIKE 2.0   /* spacings within this ratio grow together */

static void first_patch(const PlanScene *scene, const PlanBudget *budget, PlanFit *fit)
{
    const double dims = scene->dims;
    double density = 1;

    for (guint a = 0; a < scene->dims; a++)
        density /= scene->spacing[a];
    for (guint a = 0; a < scene->dims; a++) {
        fit->wanted[a] =
            rint(pow(pow(budget->edge, dims) / density, 1 / dims) / scene->spacing[a]);
        fit->clipped[a] = MIN(fit->wanted[a], scene->median[a]);
    }
}

static void fit_network(const PlanScene *scene, const PlanBudget *budget,
                        const PlanNetwork *network, const double *patch, PlanFit *fit)
{
    plan_topology_make(scene->dims, scene->spacing, patch, budget->max_levels, &fit->topology);
    fit->elements = plan_elements(&fit->topology, network);
}

static double seconds_of(const PlanScene *scene, const PlanBudget *budget,
                         const PlanNetwork *network, const PlanFit *fit, gint64 batch)
{
    return plan_seconds(&budget->speed, &fit->topology, network, scene->in_channels, batch);
}

static double bytes_of(const PlanScene *scene, const PlanNetwork *network, const PlanFit *fit,
                       gint64 batch)
{
    return plan_bytes(&fit->topology, network, scene->in_channels, batch);
}

/* nnU-Net compares what two patches need with its budget for two; its residual planner one. */
static gboolean too_large(const PlanScene *scene, const PlanBudget *budget,
                          const PlanNetwork *network, const PlanFit *fit, PlanLimit *by)
{
    const double pairs = network->residual ? 1 : 2 / (double)budget->reference_batch;
    const gint64 least = budget->least_batch;

    *by = PLAN_BY_MEMORY;
    if (budget->elements > 0 && (double)fit->elements * pairs > budget->elements)
        return TRUE;
    if (budget->bytes > 0 && bytes_of(scene, network, fit, least) > budget->bytes)
        return TRUE;
    *by = PLAN_BY_TIME;
    return budget->seconds > 0
           && seconds_of(scene, budget, network, fit, least) > budget->seconds;
}

/* The axis of which the patch shows most. */
static guint axis_to_shrink(const PlanScene *scene, const PlanFit *fit)
{
    guint most = 0;

    for (guint a = 1; a < scene->dims; a++)
        if ((double)fit->topology.patch[a] / scene->median[a]
            >= (double)fit->topology.patch[most] / scene->median[most])
            most = a;
    return most;
}

/* By what the axis can be divided once it is smaller: a patch of 256 that halves six times
 * becomes 224, which halves five times, not 192. */
static gboolean shrink(const PlanScene *scene, const PlanBudget *budget,
                       const PlanNetwork *network, PlanFit *fit)
{
    const guint axis = axis_to_shrink(scene, fit);
    PlanTopology smaller;
    double patch[3];

    for (guint a = 0; a < scene->dims; a++)
        patch[a] = (double)fit->topology.patch[a];
    patch[axis] -= (double)fit->topology.divisor[axis];
    if (patch[axis] < 1)
        return FALSE;
    plan_topology_make(scene->dims, scene->spacing, patch, budget->max_levels, &smaller);
    patch[axis] = (double)(fit->topology.patch[axis] - smaller.divisor[axis]);
    fit_network(scene, budget, network, patch, fit);
    fit->shrunk++;
    return fit->topology.levels > 1;
}

/* A step's cost grows with its batch by the same amount each time.  Returns: the largest batch
 * within @limit, at most @most; 0 where even one patch is too much. */
static gint64 batch_within(double one, double two, double limit, gint64 most)
{
    const double more = (limit - one) / (two - one);

    return more < 0 ? 0 : MIN(most, 1 + (gint64)MIN(more, (double)most));
}

static gint64 batch_by_memory(const PlanScene *scene, const PlanBudget *budget,
                              const PlanNetwork *network, const PlanFit *fit)
{
    gint64 batch = budget->most_batch;

    if (budget->elements > 0)
        batch = (gint64)rint(budget->elements / (double)fit->elements
                             * (double)budget->reference_batch);
    if (budget->bytes > 0)
        batch = MIN(batch, batch_within(bytes_of(scene, network, fit, 1),
                                        bytes_of(scene, network, fit, 2), budget->bytes,
                                        budget->most_batch));
    return batch;
}

static void batch_lower(PlanFit *fit, gint64 batch, PlanLimit by)
{
    if (batch >= fit->batch)
        return;
    fit->batch = batch;
    fit->batch_by = by;
}

static void fit_batch(const PlanScene *scene, const PlanBudget *budget,
                      const PlanNetwork *network, PlanFit *fit)
{
    double patch = 1;

    for (guint a = 0; a < scene->dims; a++)
        patch *= (double)fit->topology.patch[a];
    fit->by_memory = batch_by_memory(scene, budget, network, fit);
    fit->by_data = (gint64)rint(budget->covered * scene->voxels / patch);
    fit->batch = budget->most_batch;
    fit->batch_by = PLAN_BY_MOST;
    batch_lower(fit, fit->by_memory, PLAN_BY_MEMORY);
    batch_lower(fit, fit->by_data, PLAN_BY_DATA);
    if (budget->seconds > 0) {
        fit->by_time = batch_within(seconds_of(scene, budget, network, fit, 1),
                                    seconds_of(scene, budget, network, fit, 2), budget->seconds,
                                    budget->most_batch);
        batch_lower(fit, fit->by_time, PLAN_BY_TIME);
    }
    if (fit->batch < budget->least_batch) {
        fit->batch = budget->least_batch;
        fit->batch_by = PLAN_BY_LEAST;
    }
    fit->seconds = seconds_of(scene, budget, network, fit, fit->batch);
    fit->bytes = bytes_of(scene, network, fit, fit->batch);
}

void plan_fit_cost(const PlanScene *scene, const PlanBudget *budget, const PlanNetwork *network,
                   PlanFit *fit)
{
    fit->elements = plan_elements(&fit->topology, network);
    fit_batch(scene, budget, network, fit);
}

gboolean plan_fit(const PlanScene *scene, const PlanBudget *budget, const PlanNetwork *network,
                  const gint64 *patch, PlanFit *fit)
{
    *fit = (PlanFit){.shrunk = 0};
    first_patch(scene, budget, fit);
    for (guint a = 0; patch && a < scene->dims; a++)
        fit->clipped[a] = (double)patch[a];
    fit_network(scene, budget, network, fit->clipped, fit);
    for (PlanLimit by; !patch && too_large(scene, budget, network, fit, &by);) {
        fit->shrunk_by = by;
        if (!shrink(scene, budget, network, fit))
            return FALSE;
    }
    fit_batch(scene, budget, network, fit);
    return TRUE;
}

/* ---- a coarser network -------------------------------------------------------------- */

static double median_voxels(const PlanScene *scene)
{
    double voxels = 1;

    for (guint a = 0; a < scene->dims; a++)
        voxels *= scene->median[a];
    return voxels;
}

static double patch_voxels(const PlanFit *fit)
{
    double voxels = 1;

    for (guint a = 0; a < fit->topology.dims; a++)
        voxels *= (double)fit->topology.patch[a];
    return voxels;
}

static void coarsen(PlanScene *scene)
{
    double coarsest = 0;
    gboolean uneven = FALSE;

    for (guint a = 0; a < scene->dims; a++)
        coarsest = MAX(coarsest, scene->spacing[a]);
    for (guint a = 0; a < scene->dims; a++)
        uneven = uneven || coarsest / scene->spacing[a] > COARSE_ALIKE;
    for (guint a = 0; a < scene->dims; a++)
        if (!uneven || coarsest / scene->spacing[a] > COARSE_ALIKE)
            scene->spacing[a] *= COARSE_GROWTH;
}

gboolean plan_fit_coarse(const PlanScene *scene, const PlanBudget *budget,
                         const PlanNetwork *network, const PlanFit *fine,
                         PlanScene *coarse_scene, PlanFit *coarse)
{
    double shown = patch_voxels(fine), whole = median_voxels(scene);

    *coarse_scene = *scene;
    *coarse = *fine;
    if (shown / whole >= COARSE_SHARE)
        return FALSE;
    while (shown / whole < COARSE_SHARE) {
        coarsen(coarse_scene);
        whole = median_voxels(scene);
        for (guint a = 0; a < scene->dims; a++) {
            const double scale = scene->spacing[a] / coarse_scene->spacing[a];

            whole *= scale;
            coarse_scene->median[a] = MAX(rint(scale * scene->median[a]), 1);
        }
        coarse_scene->voxels = scene->voxels * whole / median_voxels(scene);
        if (!plan_fit(coarse_scene, budget, network, NULL, coarse))
            return FALSE;
        shown = patch_voxels(coarse);
    }
    return median_voxels(scene) / whole >= COARSE_WORTH;
}
