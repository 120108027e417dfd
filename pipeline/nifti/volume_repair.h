/* volume_repair.h - a file written anew, so that nothing about it is odd any more. */
#pragma once

#include <loom/data.h>

/* Reads @from by @policy and writes @to: the same numbers in the same type (labels as uint8),
 * sform, qform and pixdim that all say what was believed, in mm, no extensions, nothing behind
 * the voxels.  @grid: the place to give it instead of its own, of the same sizes; NULL: its
 * own. What the policy does not read is not repaired. */
gboolean loom_volume_repair(const char *from, const char *to, const LoomVolumePolicy *policy,
                            gboolean labels, const LoomGeometry *grid, GError **error);
