/* loom/morphology.h - shapes in label volumes: exact distances, connected components, borders.
 *
 * A mask is u8 (D,H,W), W fastest: 0 is outside, anything else is set.  @spacing: size of a
 * voxel along D, H, W, in whatever unit the distances shall have.  @pool: threads to share the
 * work with; NULL: the caller's alone.  Results never depend on it. */
#pragma once

#include <loom/context.h>

G_BEGIN_DECLS

/* loom_distance_squared - squared Euclidean distance of every voxel to the nearest set one
 * @squared: (D,H,W), overwritten; 0 on the mask, INFINITY everywhere where nothing is set.
 * @nearest: (D,H,W), overwritten: index of that set voxel, -1 where nothing is set; NULL: not
 *   wanted.  Of several equally near ones one is taken, always the same.
 * Exact but for rounding in double.  Source: Felzenszwalb and Huttenlocher 2012, Distance
 * transforms of sampled functions (lower envelopes of parabolas, axis by axis). */
LOOM_EXPORT void loom_distance_squared(const guint8 *mask, const gint64 shape[3],
                                       const double spacing[3], double *squared,
                                       gint64 *nearest, LoomPool *pool);

/* loom_distance_signed - distance to the other side of a mask's border, negative inside
 * @distance: (D,H,W), overwritten: outside the distance to the nearest set voxel, inside minus
 *   the distance to the nearest unset one.  All 0 where the mask is empty or full: no border.
 * Errors: LOOM_ERROR_LIMIT, no memory for a second volume. */
LOOM_EXPORT gboolean loom_distance_signed(const guint8 *mask, const gint64 shape[3],
                                          const double spacing[3], double *distance,
                                          LoomPool *pool, GError **error);

/* loom_components - number the connected parts of a mask
 * @neighbours: 6 (faces) or 26 (faces, edges, corners)
 * @component: (D,H,W), overwritten: 0 outside, else 1, 2, ... in the order in which the first
 *   voxel of each part stands in memory.
 * @n: how many there are.
 * Errors: LOOM_ERROR_LIMIT, more than 2^31 - 2 voxels.
 * Source: Rosenfeld and Pfaltz 1966, with union-find. */
LOOM_EXPORT gboolean loom_components(const guint8 *mask, const gint64 shape[3], int neighbours,
                                     gint32 *component, gint64 *n, LoomPool *pool,
                                     GError **error);

/* loom_parts_clean - set labels to 0 by the size of the connected part they belong to
 * @label: (D,H,W), edited
 * @of: by value: which labels form the mask whose parts are taken; of value 0: FALSE
 * @largest: only the largest part stays, of equal ones the first in memory
 * @least: parts of fewer voxels go
 * Returns: voxels that became 0; -1 with LOOM_ERROR_LIMIT as loom_components, or for no memory:
 * five bytes a voxel are needed. */
LOOM_EXPORT gint64 loom_parts_clean(guint8 *label, const gint64 shape[3],
                                    const gboolean of[256], gboolean largest, gint64 least,
                                    int neighbours, LoomPool *pool, GError **error);

/* loom_holes_fill - sets what the mask encloses: unset voxels from which no way over faces
 * leads to the end of the volume
 * @mask: (D,H,W), edited: they become 1.
 * Errors: LOOM_ERROR_LIMIT, no memory: 16 bytes for each run of unset voxels in a row. */
LOOM_EXPORT gboolean loom_holes_fill(guint8 *mask, const gint64 shape[3], GError **error);

/* loom_border - the set voxels with an unset one, or the end of the volume, across a face
 * @border: (D,H,W), overwritten with 0 and 1.
 * The mask without its erosion by the 6-neighbourhood, as MedPy and MONAI take it.
 * Returns: how many they are. */
LOOM_EXPORT gint64 loom_border(const guint8 *mask, const gint64 shape[3], guint8 *border);

G_END_DECLS
