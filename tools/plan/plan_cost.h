/* plan_cost.h - how long a training step will take and how much memory, before there is one. */
#pragma once

#include "plan_topology.h"

/* What a machine does in a second. */
typedef struct {
    double flops;   /* of 3-D convolutions, counted as if computed directly */
    double voxels;  /* of patches: loss, gradients of the finest level, import, export */
    double weights; /* gradients, optimiser */
} PlanSpeed;

/* What @threads processors do whose vectors hold @lanes floats. */
PlanSpeed plan_speed_of(guint lanes, guint threads);
/* Floats in the widest vectors that the backend `cpu` uses on this machine: 16, 8 or 4. */
guint plan_speed_lanes(void);

/* plan_flops - operations of the convolutions of a step with one patch: forward, and twice that
 * for both gradients */
double plan_flops(const PlanTopology *topology, const PlanNetwork *network, gint64 in_channels);
/* Numbers that are learnt, without biases and norms. */
double plan_weights(const PlanTopology *topology, const PlanNetwork *network,
                    gint64 in_channels);
/* plan_seconds - of a training step with @batch patches */
double plan_seconds(const PlanSpeed *speed, const PlanTopology *topology,
                    const PlanNetwork *network, gint64 in_channels, gint64 batch);
/* plan_bytes - of memory that such a step holds */
double plan_bytes(const PlanTopology *topology, const PlanNetwork *network, gint64 in_channels,
                  gint64 batch);
/* plan_windows - windows that overlap by half, of this patch, for a case of these sizes */
gint64 plan_windows(guint dims, const gint64 *patch, const double *shape);
/* plan_predict_seconds - of as many windows */
double plan_predict_seconds(const PlanSpeed *speed, const PlanTopology *topology,
                            const PlanNetwork *network, gint64 in_channels, gint64 windows);
