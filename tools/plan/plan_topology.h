/* plan_topology.h - which network fits a patch: how often each axis is halved, how wide its
 * kernels are, and how many numbers its convolutions make.
 *
 * Axes are in the order of the network's plan, thickest voxels first; 2 or 3 of them. */
#pragma once

#include <glib.h>

#define PLAN_MAX_LEVELS 16 /* a patch of 2^17 voxels along an axis has no more */

typedef struct {
    guint dims, levels;
    gint64 patch[3];                   /* a multiple of `divisor` */
    gint64 divisor[3];                 /* 2^pools */
    guint pools[3];                    /* how often an axis is halved */
    gint64 stride[PLAN_MAX_LEVELS][3]; /* from the level above; of the first: 1 */
    gint64 kernel[PLAN_MAX_LEVELS][3]; /* 1 or 3 */
} PlanTopology;

/* plan_topology_make - nnU-Net's rule, from spacing and patch
 * @spacing: mm, @dims numbers above 0; @patch: voxels, padded up in @topology; a half where it
 *   is the median of an even number of cases
 * @max_levels: 2 to PLAN_MAX_LEVELS; stops there although the patch could be halved again */
void plan_topology_make(guint dims, const double *spacing, const double *patch,
                        guint max_levels, PlanTopology *topology);

/* What stands at the levels. */
typedef struct {
    gint64 base, widest; /* channels of level l: min(widest, base 2^l) */
    gint64 classes;      /* background included */
    gboolean residual;   /* nnU-Net's ResEnc: blocks 1,3,4,6,6,..., one convolution back up */
    gboolean supervised; /* count a head at every decoder level */
} PlanNetwork;

gint64 plan_features(const PlanNetwork *network, guint level);
/* plan_elements - outputs of all convolutions for one patch: nnU-Net's measure of memory */
gint64 plan_elements(const PlanTopology *topology, const PlanNetwork *network);
