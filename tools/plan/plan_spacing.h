/* plan_spacing.h - the voxel size that all cases are brought to, and how large they are then.
 */
#pragma once

#include <glib.h>

/* A case as it is: voxels and mm, D, H, W. */
typedef struct {
    gint64 shape[3];
    double spacing[3];
} PlanGrid;

/* plan_percentile - linear between the neighbours in rank, (n - 1) p / 100 from the lowest
 * @values: n at least 1; sorted by the call
 * Source: numpy.percentile's default. */
double plan_percentile(double *values, guint n, double p);
/* Spacing for all of @n cases, D, H, W in mm.  @thick: the axis whose spacing is not its median
 * because it is much thicker than the others; -1: none. */
void plan_spacing_target(const PlanGrid *grids, guint n, double spacing[3], int *thick);
/* round(from / to * shape): voxels of a case once resampled. */
void plan_shape_resampled(const PlanGrid *grid, const double spacing[3], gint64 shape[3]);
/* Median of that over the cases: with halves where their number is even. */
void plan_shape_median(const PlanGrid *grids, guint n, const double spacing[3],
                       double median[3]);
/* Order in which the network sees the axes: that of the largest spacing first, the others as
 * they stand.  order[0] is one of 0 (D), 1 (H), 2 (W). */
void plan_axis_order(const double spacing[3], guint order[3]);
