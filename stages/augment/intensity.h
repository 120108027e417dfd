/* intensity.h - random changes of single voxels, each channel by itself.  @image: f32
 * (C,D,H,W), changed in place; formulas and sources stand in intensity.c. */
#pragma once

#include <loom/loom.h>

/* y = x + s e,  s ~ U(0, max) one for all channels,  e ~ N(0, 1). */
void intensity_noise(LoomTensor *image, double max, LoomRng *rng);
/* y = f x. */
void intensity_scale(LoomTensor *image, double low, double high, gboolean per_channel,
                     LoomRng *rng);
/* y = mean + f (x - mean), clipped to the range of x. */
void intensity_contrast(LoomTensor *image, double low, double high, LoomRng *rng);
/* y = ((x - min) / (max - min))^f (max - min) + min, then mean and deviation of x restored.
 * @inverted: of -x, and negated again. */
void intensity_gamma(LoomTensor *image, double low, double high, gboolean inverted,
                     LoomRng *rng);

/* f: below 1 as often as above, uniform on each side; uniform where 1 is not between. */
double intensity_factor(double low, double high, LoomRng *rng);
