/* outside.h - voxels around the head: exactly 0 after a masked normalisation, and to stay so.
 */
#pragma once

#include <loom/loom.h>

extern const char *const outside_masks[];

/* Row of a stage with a member LoomInts mask. */
#define OUTSIDE_ROW(T)                                                                         \
    LOOM_CHOICES(T, mask, "[none]", outside_masks,                                             \
                 "nonzero: voxels that arrive 0 leave 0, after a masked normalisation; one a " \
                 "channel, or one for all")

/* Before an image changes: @before (transfer full): what outside_restore needs, NULL where no
 * channel has a mask.  Errors: LOOM_ERROR_SHAPE, a list that does not fit the channels; _LIMIT.
 */
gboolean outside_keep(const LoomInts *mask, const LoomTensor *image, LoomTensor **before,
                      GError **error);
/* After it: in the channels with a mask what was 0 is 0 again. */
void outside_restore(const LoomInts *mask, const LoomTensor *before, LoomTensor *image);
