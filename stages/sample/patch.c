/* patch - a box of a volume, which may reach past its border. */
#include "patch.h"

#include <string.h>

gboolean patch_inside(const gint64 volume[3], const gint64 origin[3], const gint64 size[3])
{
    for (guint i = 0; i < 3; i++)
        if (origin[i] < 0 || origin[i] + size[i] > volume[i])
            return FALSE;
    return TRUE;
}

void patch_cut(gconstpointer from, gsize bytes, gint64 channels, const gint64 volume[3],
               const gint64 origin[3], const gint64 size[3], gpointer to)
{
    gint64 first[3], end[3]; /* inside the box and the volume, counted in the box */

    for (guint i = 0; i < 3; i++) {
        first[i] = MAX(0, -origin[i]);
        end[i] = MIN(size[i], volume[i] - origin[i]);
        if (first[i] >= end[i])
            return;
    }
    for (gint64 c = 0; c < channels; c++)
        for (gint64 d = first[0]; d < end[0]; d++)
            for (gint64 h = first[1]; h < end[1]; h++) {
                const gint64 source =
                    ((c * volume[0] + origin[0] + d) * volume[1] + origin[1] + h) * volume[2]
                    + origin[2] + first[2];
                const gint64 target = ((c * size[0] + d) * size[1] + h) * size[2] + first[2];

                memcpy((char *)to + (gsize)target * bytes,
                       (const char *)from + (gsize)source * bytes,
                       (gsize)(end[2] - first[2]) * bytes);
            }
}

gint64 patch_centre(gint64 volume, gint64 size)
{
    return volume < size ? -((size - volume) / 2) : 0;
}
