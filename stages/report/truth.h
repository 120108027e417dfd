/* truth.h - the true classes that a prediction is held against. */
#pragma once

#include <loom/loom.h>

/* "truth", the label as it is in the file; "label" itself where the image never left its grid.
 * @slot: (out): which of them.  LOOM_ERROR_SHAPE: neither lies on the grid of the file. */
const LoomTensor *truth_of(const LoomPacket *packet, const char **slot, GError **error);
