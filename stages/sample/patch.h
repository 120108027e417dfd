/* patch.h - a box of a volume, which may reach past its border. */
#pragma once

#include <glib.h>

/* patch_cut - copy the part of a box that lies inside the volume
 * @from: (channels, volume[0], volume[1], volume[2]), elements of @bytes each
 * @origin: first voxel of the box, D, H, W; may be negative
 * @to: (channels, size[0], size[1], size[2]); what lies outside the volume is left alone
 * Returns: FALSE when some of the box lies outside. */
gboolean patch_inside(const gint64 volume[3], const gint64 origin[3], const gint64 size[3]);
void patch_cut(gconstpointer from, gsize bytes, gint64 channels, const gint64 volume[3],
               const gint64 origin[3], const gint64 size[3], gpointer to);
/* Where a box of @size begins so that a shorter volume lies in its middle, the rest at the end:
 * 0 or below. */
gint64 patch_centre(gint64 volume, gint64 size);
