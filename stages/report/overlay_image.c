/* overlay_image - the image as a slice of the file shows it: see overlay_image.h.  Voxel to
 * voxel through both affines, as sliding_window takes the prediction to the file: x(n) = sum
 * over the 8 corners c of prod_a (c_a ? share_a : 1 - share_a) image(c)  */
#include "overlay_image.h"

#include "../sample/grid_map.h"

#include <math.h>

typedef struct {
    GridMap map;
    GridSteps steps[3]; /* of each working axis */
    const float *image;
} Source;

/* At voxel @n, D, H, W, of the native grid. */
static float source_at(const Source *source, const gint64 n[3])
{
    const gint64 *size = source->map.working;
    double sum = 0;

    for (guint corner = 0; corner < 8; corner++) {
        gint64 at[3];
        double weight = 1;

        for (guint a = 0; a < 3; a++) {
            const GridSteps *steps = &source->steps[a];
            const gint64 along = n[source->map.from[a]];
            const gboolean far = (corner >> a & 1u) != 0;

            if (steps->low[along] < 0)
                return NAN;
            at[a] = far ? steps->high[along] : steps->low[along];
            weight *= far ? steps->share[along] : 1 - steps->share[along];
        }
        if (weight > 0) /* a corner that counts nothing may hold no number */
            sum += weight * (double)source->image[(at[0] * size[1] + at[1]) * size[2] + at[2]];
    }
    return (float)sum;
}

gboolean overlay_image_cut(const OverlayPlane *plane, const float *image,
                           const LoomGeometry *working, const LoomGeometry *native, float *out,
                           GError **error)
{
    Source source = {.image = image};
    gint64 n[3];

    if (!grid_map_find(&source.map, working, native, error))
        return FALSE;
    for (guint a = 0; a < 3; a++)
        grid_steps_make(&source.steps[a], &source.map, a);
    n[plane->normal] = plane->index;
    for (gint64 y = 0; y < plane->n_down; y++)
        for (gint64 x = 0; x < plane->n_right; x++) {
            n[plane->right] = plane->turn_right ? plane->n_right - 1 - x : x;
            n[plane->down] = plane->turn_down ? plane->n_down - 1 - y : y;
            out[y * plane->n_right + x] = source_at(&source, n);
        }
    for (guint a = 0; a < 3; a++)
        grid_steps_clear(&source.steps[a]);
    return TRUE;
}
