/* overlay_image.h - the image of one slice of the file, from the grid that stages moved it to.
 */
#pragma once

#include "overlay_plane.h"

/* Writes slice plane->index of the @native grid to @out, (n_down, n_right), rows from top to
 * bottom: @image, (D,H,W) on the @working grid, between voxels linearly; NaN where it does not
 * reach.  Fails with LOOM_ERROR_SHAPE where the grids are turned against each other. */
gboolean overlay_image_cut(const OverlayPlane *plane, const float *image,
                           const LoomGeometry *working, const LoomGeometry *native, float *out,
                           GError **error);
