/* unet3d_shape.h - may an input go through the network? */
#pragma once

#include "unet3d_layers.h"

/* @ncdhw: sizes of the input, 0 where one is not known.  Refused with LOOM_ERROR_SHAPE: another
 * number of channels; sizes that do not divide by the strides, with the nearest that do; a
 * deepest level of one voxel.  With LOOM_ERROR_LIMIT: absurd sizes. */
gboolean unet_shape_check(const UnetDesign *design, const gint64 ncdhw[5], GError **error);
