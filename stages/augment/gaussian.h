/* gaussian.h - separable Gaussian smoothing of a volume. */
#pragma once

#include <loom/loom.h>

/* gaussian_blur - one channel, in place
 * @x: (size[0], size[1], size[2]); @sigma: of each axis, voxels; 0: not along that axis
 * @scratch: gaussian_scratch(size, most) floats, no sigma above @most
 * The same as scipy.ndimage.gaussian_filter: cut off at 4 sigma, mirrored at the border. */
void gaussian_blur(float *x, const gint64 size[3], const double sigma[3], float *scratch);
gint64 gaussian_scratch(const gint64 size[3], double most);

/* Each channel of an f32 (C,D,H,W) with @channel_chance; sigma ~ U(low, high) for each axis of
 * each channel.  Errors: LOOM_ERROR_LIMIT. */
gboolean gaussian_apply(LoomTensor *image, double low, double high, double channel_chance,
                        LoomRng *rng, GError **error);
