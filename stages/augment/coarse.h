/* coarse.h - an image as if it had been taken with larger voxels. */
#pragma once

#include <loom/loom.h>

/* coarse_volume - one channel, in place: to the sizes @few by nearest neighbour, back linearly
 * @x: (size[0], size[1], size[2]); @few: at least 1 and at most size, of each axis
 * Errors: LOOM_ERROR_LIMIT.
 * The same as torch.nn.functional.interpolate, 'nearest-exact' and then 'trilinear'. */
gboolean coarse_volume(float *x, const gint64 size[3], const gint64 few[3], GError **error);

/* Each channel of an f32 (C,D,H,W) with @channel_chance; zoom ~ U(low, high) for each channel,
 * the same along all axes but @slices (-1: none), which stays. */
gboolean coarse_apply(LoomTensor *image, double low, double high, double channel_chance,
                      int slices, LoomRng *rng, GError **error);
