/* plan_budget.h - the largest patch and batch that a budget allows. */
#pragma once

#include "plan_cost.h"

/* What limits patch and batch. */
typedef struct {
    double elements;        /* what one patch of two may have, see plan_elements; 0: any */
    gint64 reference_batch; /* 2; of two dimensions 12 */
    double bytes;           /* of a step, see plan_bytes; 0: no limit */
    double covered;         /* a batch shows at most this share of the data set's voxels */
    gint64 least_batch, most_batch;
    guint max_levels;
    double edge;    /* edge of a cube whose volume, in voxels, the first patch has */
    double seconds; /* of a step of `least_batch` patches; 0: no limit */
    PlanSpeed speed;
} PlanBudget;

/* The data set, resampled; axes in the network's order. */
typedef struct {
    guint dims;
    double spacing[3], median[3]; /* mm; voxels */
    double voxels;                /* of all cases together */
    gint64 in_channels;
} PlanScene;

typedef enum {
    PLAN_BY_MEMORY, /* the budget's elements, or bytes */
    PLAN_BY_TIME,   /* its seconds */
    PLAN_BY_DATA,   /* its share of the data set */
    PLAN_BY_LEAST,  /* its least batch */
    PLAN_BY_MOST,   /* its largest batch */
} PlanLimit;

typedef struct {
    PlanTopology topology;
    double wanted[3];  /* patch of the budget's edge with voxels of this shape, not clipped */
    double clipped[3]; /* to the median shape */
    guint shrunk;      /* times that the budget made the patch smaller */
    PlanLimit shrunk_by;
    gint64 elements, batch;
    gint64 by_memory, by_data, by_time; /* the batch that each limit allows */
    PlanLimit batch_by;
    double seconds, bytes; /* of a step, estimated */
} PlanFit;

/* plan_fit - patch, network and batch for a data set and a budget
 * @patch: what the user asked for, in the network's order; NULL: by the rules.  It is padded,
 *   and not shrunk.
 * Returns: FALSE: even the smallest patch that can be halved is above the budget. */
gboolean plan_fit(const PlanScene *scene, const PlanBudget *budget, const PlanNetwork *network,
                  const gint64 *patch, PlanFit *fit);
/* Elements, batch and cost of a network that is there already. */
void plan_fit_cost(const PlanScene *scene, const PlanBudget *budget, const PlanNetwork *network,
                   PlanFit *fit);
/* plan_fit_coarse - is a second network wanted that sees more of a case at a coarser spacing?
 * Where the patch of @fine shows less than a quarter of the median case, the spacing grows by
 * 3 % at a time, that of the finer axes first, until a patch shows a quarter.
 * Returns: FALSE: not wanted, or not coarse enough to be worth it. */
gboolean plan_fit_coarse(const PlanScene *scene, const PlanBudget *budget,
                         const PlanNetwork *network, const PlanFit *fine,
                         PlanScene *coarse_scene, PlanFit *coarse);
