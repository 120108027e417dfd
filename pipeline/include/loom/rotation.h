/* loom/rotation.h - how far a patch is turned when it is augmented, and how much must be loaded
 * so that its corners are not empty then.  Sizes are D, H, W in voxels. */
#pragma once

#include <loom/plugin.h>

G_BEGIN_DECLS

/* The axis across slices, 0, 1, 2 for D, H, W: the shortest, where another one is more than 3
 * times as long; -1: there is none.  A patch of slices is turned and scaled within them alone.
 * Source: nnU-Net v2, which has the coarsest axis first ("dummy 2-D augmentation"). */
LOOM_EXPORT int loom_patch_slices(const gint64 size[3]);

/* Largest angle, in degrees, about each axis, or about @slices alone: 30; within slices 180; in
 * a single slice that is more than 1.5 times as long as wide, 15.  Source: nnU-Net v2. */
LOOM_EXPORT double loom_patch_rotation(const gint64 size[3], int slices);

/* loom_patch_to_load - the size to cut out of a case for a patch of @size, turned and scaled
 * The patch as a vector is turned about each axis by the largest angle (by 90 degrees at most);
 * for each axis the largest component, divided by 0.85 and truncated; unchanged across slices.
 * @load: overwritten, never below @size: (128,128,128) becomes (205,205,205).
 * Source: nnU-Net v2 and batchgenerators, get_patch_size. */
LOOM_EXPORT void loom_patch_to_load(const gint64 size[3], gint64 load[3]);

G_END_DECLS
