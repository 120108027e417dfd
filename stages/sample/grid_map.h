/* grid_map.h - where the voxels of one grid lie on another that has the same axes, in any order
 * and direction, with any spacing and origin. */
#pragma once

#include <loom/loom.h>

/* Axes are D, H, W.  Voxel n of the native grid lies, along axis a of the working one, at
 *   scale[a] * n[from[a]] + offset[a] */
typedef struct {
    guint from[3];
    double scale[3], offset[3];
    gint64 working[3], native[3]; /* sizes */
} GridMap;

/* Fails with LOOM_ERROR_SHAPE unless every axis of one grid runs along one of the other, to a
 * hundredth of a voxel at the far end. */
gboolean grid_map_find(GridMap *map, const LoomGeometry *working, const LoomGeometry *native,
                       GError **error);
/* Are they the same voxels in the same order? */
gboolean grid_map_same(const GridMap *map);

/* Along one working axis, for each native voxel: it is between working voxels @low and @high
 * (equal where it lies on one), @share of the way.  @low -1: outside of the working grid. */
typedef struct {
    gint64 n;
    gint64 *low, *high;
    double *share;
} GridSteps;

void grid_steps_make(GridSteps *steps, const GridMap *map, guint axis);
void grid_steps_clear(GridSteps *steps);
