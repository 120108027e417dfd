/* unet3d_shape - an input must halve as often as the network does and leave something. */
#include "unet3d_shape.h"

/* Voxels along an axis, and samples; voxels of a batch, so that bytes stay below 2^63. */
#define UNET_MAX_EDGE (1 << 16)
#define UNET_MAX_VOXELS (G_GINT64_CONSTANT(1) << 36)

static gboolean check_axis(const UnetDesign *design, guint axis, gint64 size, GError **error)
{
    const gint64 stride = unet_design_stride(design, design->levels - 1, axis);
    const gint64 below = size / stride * stride;
    g_autofree char *nearest = NULL;

    if (size % stride == 0)
        return TRUE;
    nearest = below > 0 ? g_strdup_printf("%" G_GINT64_FORMAT ", ", below) : g_strdup("");
    return loom_fail(error, LOOM_ERROR_SHAPE,
                     "patch %c %" G_GINT64_FORMAT " is not divisible by %" G_GINT64_FORMAT
                     ", nearest: %s%" G_GINT64_FORMAT,
                     "DHW"[axis], size, stride, nearest, below + stride);
}

gboolean unet_shape_check(const UnetDesign *design, const gint64 ncdhw[5], GError **error)
{
    gint64 voxels = MAX(ncdhw[0], 1), deepest = 1;
    gboolean known = TRUE;

    if (ncdhw[1] != 0 && ncdhw[1] != design->in_channels)
        return loom_fail(error, LOOM_ERROR_SHAPE,
                         "the image has %" G_GINT64_FORMAT
                         " channels, the network's in_channels is %" G_GINT64_FORMAT,
                         ncdhw[1], design->in_channels);
    if (voxels > UNET_MAX_EDGE)
        return loom_fail(error, LOOM_ERROR_LIMIT,
                         "a batch of %" G_GINT64_FORMAT ", want at most %d", voxels,
                         UNET_MAX_EDGE);
    for (guint a = 0; a < 3; a++) {
        const gint64 size = ncdhw[2 + a];

        if (!check_axis(design, a, size, error))
            return FALSE;
        known = known && size > 0;
        if (size > UNET_MAX_EDGE || (voxels *= MAX(size, 1)) > UNET_MAX_VOXELS)
            return loom_fail(error, LOOM_ERROR_LIMIT,
                             "patch %c %" G_GINT64_FORMAT
                             " makes the network's input too large",
                             "DHW"[a], size);
        deepest *= size / unet_design_stride(design, design->levels - 1, a);
    }
    if (known && deepest < 2)
        return loom_fail(error, LOOM_ERROR_SHAPE,
                         "only one voxel is left of the patch at the deepest level, where "
                         "instance normalisation wants 2: enlarge it or drop a level");
    return TRUE;
}
