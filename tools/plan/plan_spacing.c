/* plan_spacing - the median spacing; of an axis with much thicker voxels, and few of them, the
 * tenth percentile, never below the largest of the others:
 *   thick where spacing_a > 3 max(others) and 3 median_shape_a < min(others)
 * Source: Isensee et al. 2021, nnU-Net's determine_fullres_target_spacing. */
#include "plan_spacing.h"

#include <math.h>

#define THICK 3.0 /* times */
#define THICK_PERCENTILE 10.0

static int double_compare(gconstpointer a, gconstpointer b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

double plan_percentile(double *values, guint n, double p)
{
    const double rank = (double)(n - 1) * p / 100;
    const guint below = (guint)rank;

    g_assert(n > 0);
    qsort(values, n, sizeof *values, double_compare);
    if (below + 1 >= n)
        return values[n - 1];
    return values[below] + (rank - below) * (values[below + 1] - values[below]);
}

static double spacing_percentile(const PlanGrid *grids, guint n, guint axis, double p)
{
    g_autofree double *values = g_new(double, n);

    for (guint i = 0; i < n; i++)
        values[i] = grids[i].spacing[axis];
    return plan_percentile(values, n, p);
}

void plan_shape_resampled(const PlanGrid *grid, const double spacing[3], gint64 shape[3])
{
    for (guint a = 0; a < 3; a++) {
        const double size = rint(grid->spacing[a] / spacing[a] * (double)grid->shape[a]);

        shape[a] = MAX((gint64)size, 1);
    }
}

void plan_shape_median(const PlanGrid *grids, guint n, const double spacing[3],
                       double median[3])
{
    g_autofree double *values = g_new(double, n);

    for (guint a = 0; a < 3; a++) {
        for (guint i = 0; i < n; i++) {
            gint64 shape[3];

            plan_shape_resampled(&grids[i], spacing, shape);
            values[i] = (double)shape[a];
        }
        median[a] = plan_percentile(values, n, 50);
    }
}

void plan_spacing_target(const PlanGrid *grids, guint n, double spacing[3], int *thick)
{
    double shape[3], others = 0, fewest = INFINITY, finer;
    guint worst = 0;

    *thick = -1;
    for (guint a = 0; a < 3; a++) {
        spacing[a] = spacing_percentile(grids, n, a, 50);
        worst = spacing[a] > spacing[worst] ? a : worst;
    }
    plan_shape_median(grids, n, spacing, shape);
    for (guint a = 0; a < 3; a++)
        if (a != worst) {
            others = MAX(others, spacing[a]);
            fewest = MIN(fewest, shape[a]);
        }
    if (!(spacing[worst] > THICK * others && THICK * shape[worst] < fewest))
        return;
    finer = spacing_percentile(grids, n, worst, THICK_PERCENTILE);
    if (finer < others) /* nnU-Net's way to keep it the largest */
        finer = MAX(others, finer) + 1e-5;
    spacing[worst] = finer;
    *thick = (int)worst;
}

void plan_axis_order(const double spacing[3], guint order[3])
{
    guint worst = 0, n = 1;

    for (guint a = 1; a < 3; a++)
        worst = spacing[a] > spacing[worst] ? a : worst;
    order[0] = worst;
    for (guint a = 0; a < 3; a++)
        if (a != worst)
            order[n++] = a;
}
