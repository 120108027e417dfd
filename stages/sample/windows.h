/* windows.h - where windows lie along an axis, and how much each of their voxels counts. */
#pragma once

#include <glib.h>

/* windows_starts - windows of @size that cover @volume evenly
 * @volume: at least @size
 * @overlap: 0 .. 0.9, the least share of a window that its neighbour covers too
 * Returns: (transfer full): @n positions, from 0 to volume - size: 110, 64, 0.5 -> 0, 23, 46
 * Source: nnU-Net v2, compute_steps_for_sliding_window. */
gint64 *windows_starts(gint64 volume, gint64 size, double overlap, guint *n);
/* exp(-(i - size/2)^2 / (2 s^2)), s = size/8; (transfer full): @size numbers, all above 3e-4.
 * Source: nnU-Net v2, compute_gaussian. */
float *windows_weights(gint64 size);
/* What the weights of all windows add up to; (transfer full): @volume numbers. */
float *windows_totals(gint64 volume, gint64 size, const gint64 *starts, guint n,
                      const float *weights);
