/* spatial - rotation and scaling by one matrix about the middle of the patch:
 *   y(p) = x(c + R0 R1 R2 S (p - c')),  R0 about D, R1 about H, R2 about W,  S = s I
 * angles ~ U(-rotation, rotation), one an axis;  s ~ U(scale_low, scale_high), one for all.
 * Within slices: R of that one axis alone, and s along the other two.
 * Source: nnU-Net v2's SpatialTransform (no elastic deformation, which it has off); labels by
 * the linear weight of each class. */
#include "spatial.h"

#include "resample.h"

#include <math.h>
#include <string.h>

enum { SLICES_AUTO, SLICES_NONE, SLICES_D, SLICES_H, SLICES_W };
const char *const spatial_slices[] = {"auto", "none", "D", "H", "W", NULL};

gboolean spatial_check(const Spatial *spatial, GError **error)
{
    if (spatial->size.n != 3)
        return loom_fail(error, LOOM_ERROR_CONFIG, "size has %u numbers, want 3: D, H, W",
                         spatial->size.n);
    if (spatial->rotation.n > 1)
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "rotation has %u numbers, want one angle for all axes, or none",
                         spatial->rotation.n);
    return spatial->scale_low <= spatial->scale_high
           || loom_fail(error, LOOM_ERROR_CONFIG,
                        "scale_low (%g) must not be above scale_high (%g)", spatial->scale_low,
                        spatial->scale_high);
}

int spatial_slices_of(const Spatial *spatial)
{
    if (spatial->slices == SLICES_AUTO)
        return loom_patch_slices(spatial->size.v);
    return spatial->slices == SLICES_NONE ? -1 : spatial->slices - SLICES_D;
}

static gboolean size_check(const Spatial *spatial, const gint64 arrived[3], GError **error)
{
    const gint64 *size = spatial->size.v;
    gint64 load[3];

    if (arrived[0] >= size[0] && arrived[1] >= size[1] && arrived[2] >= size[2])
        return TRUE;
    loom_patch_to_load(size, load);
    return loom_fail(error, LOOM_ERROR_SHAPE,
                     "patches of %" G_GINT64_FORMAT " x %" G_GINT64_FORMAT
                     " x %" G_GINT64_FORMAT " arrive, want at least size, [%" G_GINT64_FORMAT
                     ", %" G_GINT64_FORMAT ", %" G_GINT64_FORMAT
                     "]; a crop of that size with margin: nnunet makes %" G_GINT64_FORMAT
                     " x %" G_GINT64_FORMAT " x %" G_GINT64_FORMAT,
                     arrived[0], arrived[1], arrived[2], size[0], size[1], size[2], load[0],
                     load[1], load[2]);
}

gboolean spatial_plan(const Spatial *spatial, LoomPlan *plan, GError **error)
{
    const gint64 arrive[3] = {plan->d, plan->h, plan->w};

    if (arrive[0] && arrive[1] && arrive[2] && !size_check(spatial, arrive, error))
        return FALSE;
    plan->d = spatial->size.v[0];
    plan->h = spatial->size.v[1];
    plan->w = spatial->size.v[2];
    return TRUE;
}

/* ---- the matrix --------------------------------------------------------------------- */

/* m = m R, R about @axis. */
static void matrix_rotate(double m[3][3], int axis, double angle)
{
    const int a = (axis + 1) % 3, b = (axis + 2) % 3;
    const double c = cos(angle), s = sin(angle);

    for (int i = 0; i < 3; i++) {
        const double x = m[i][a], y = m[i][b];

        m[i][a] = c * x + s * y;
        m[i][b] = c * y - s * x;
    }
}

/* Returns: FALSE: the dice say that nothing happens. */
static gboolean matrix_draw(const Spatial *spatial, LoomRng *rng, double m[3][3])
{
    const int slices = spatial_slices_of(spatial);
    const double most = spatial->rotation.n ? spatial->rotation.v[0]
                                            : loom_patch_rotation(spatial->size.v, slices);
    const gboolean turned = loom_rng_uniform(rng, 0, 1) < spatial->rotation_chance;
    const gboolean scaled = loom_rng_uniform(rng, 0, 1) < spatial->scale_chance;

    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 3; k++)
            m[i][k] = i == k;
    for (int axis = 0; turned && axis < 3; axis++)
        if (slices < 0 || slices == axis)
            matrix_rotate(m, axis, loom_rng_uniform(rng, -most, most) * G_PI / 180);
    if (scaled) {
        const double scale = loom_rng_uniform(rng, spatial->scale_low, spatial->scale_high);

        for (int i = 0; i < 3; i++)
            for (int k = 0; k < 3; k++)
                m[i][k] *= k == slices ? 1 : scale;
    }
    return turned || scaled;
}

/* ---- image and label ---------------------------------------------------------------- */

/* The box of the middle: element to[] / 2 of the result is element from[] / 2. */
static void middle_cut(const Resample *cut, const guint8 *x, gsize bytes, guint8 *y)
{
    const gint64 *from = cut->from, *to = cut->to;

    for (gint64 d = 0; d < to[0]; d++)
        for (gint64 h = 0; h < to[1]; h++, y += (gsize)to[2] * bytes) {
            const gint64 source_d = from[0] / 2 - to[0] / 2 + d;
            const gint64 source_h = from[1] / 2 - to[1] / 2 + h;
            const gint64 at =
                (source_d * from[1] + source_h) * from[2] + from[2] / 2 - to[2] / 2;

            memcpy(y, x + (gsize)at * bytes, (gsize)to[2] * bytes);
        }
}

static void channel_apply(const Resample *resample, gboolean moved, const LoomTensor *from,
                          gint64 c, LoomTensor *to)
{
    const gint64 source = c * loom_tensor_count_from(from, 'D');
    const gint64 target = c * loom_tensor_count_from(to, 'D');

    if (loom_tensor_dtype(from) == LOOM_F32) {
        const float *x = loom_tensor_f32(from) + source;
        float *y = loom_tensor_f32_mut(to) + target;

        if (moved)
            resample_linear(resample, x, y);
        else
            middle_cut(resample, (const guint8 *)x, sizeof *x, (guint8 *)y);
    } else if (moved) {
        resample_labels(resample, loom_tensor_u8(from), loom_tensor_u8_mut(to));
    } else {
        middle_cut(resample, loom_tensor_u8(from), 1, loom_tensor_u8_mut(to));
    }
}

static gboolean slot_apply(const Resample *resample, gboolean moved, LoomPacket *packet,
                           const char *slot, GError **error)
{
    const LoomTensor *from = loom_packet_get(packet, slot);
    const gint64 channels = loom_tensor_size(from, 'C');
    const gint64 shape[4] = {channels, resample->to[0], resample->to[1], resample->to[2]};
    const gboolean image = loom_tensor_dtype(from) == LOOM_F32;
    LoomTensor *to = loom_tensor_new(loom_tensor_dtype(from), image ? "CDHW" : "DHW",
                                     image ? shape : shape + 1, error);

    if (!to)
        return FALSE;
    for (gint64 c = 0; c < channels; c++)
        channel_apply(resample, moved, from, c, to);
    loom_packet_set(packet, slot, to);
    return TRUE;
}

gboolean spatial_apply(const Spatial *spatial, LoomPacket *packet, LoomRng *rng, GError **error)
{
    const LoomTensor *image = loom_packet_get(packet, "image");
    Resample resample;
    gboolean same = TRUE;

    for (int i = 0; i < 3; i++) {
        const gint64 from = loom_tensor_shape(image)[1 + i], to = spatial->size.v[i];

        resample.from[i] = from;
        resample.to[i] = to;
        /* about the middle of the box that middle_cut cuts: no voxel moves without reason */
        resample.centre_to[i] = (double)(to - 1) / 2;
        resample.centre_from[i] = (double)(from / 2 - to / 2) + resample.centre_to[i];
        same = same && from == to;
    }
    if (!size_check(spatial, resample.from, error))
        return FALSE;
    const gboolean moved = matrix_draw(spatial, rng, resample.matrix);
    if (same && !moved)
        return TRUE;
    loom_packet_set_geometry(packet, NULL); /* its grid is not the case's any more */
    if (!slot_apply(&resample, moved, packet, "image", error))
        return FALSE;
    return !loom_packet_get(packet, "label")
           || slot_apply(&resample, moved, packet, "label", error);
}
