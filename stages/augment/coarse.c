/* coarse - low resolution: n voxels become m = round(zoom n), and n again:
 *   s_j = x at [(j + 1/2) n / m],   y_i = s linear at max(0, (i + 1/2) m / n - 1/2)
 * Source: nnU-Net v2's SimulateLowResolution. */
#include "coarse.h"

#include <math.h>

/* Where the voxels of one axis lie between those of the coarse one. */
typedef struct {
    gint64 *low, *high;
    float *part; /* weight of high */
} Between;

static void between_clear(Between *between)
{
    g_free(between->low);
    g_free(between->high);
    g_free(between->part);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Between, between_clear)

static Between between_of(gint64 n, gint64 few)
{
    const Between between = {g_new(gint64, n), g_new(gint64, n), g_new(float, n)};

    for (gint64 i = 0; i < n; i++) {
        const double at = MAX(0, ((double)i + 0.5) * (double)few / (double)n - 0.5);

        between.low[i] = (gint64)at;
        between.high[i] = MIN(between.low[i] + 1, few - 1);
        between.part[i] = (float)(at - (double)between.low[i]);
    }
    return between;
}

static gint64 nearest(gint64 i, gint64 n, gint64 few)
{
    return MIN((gint64)(((double)i + 0.5) * (double)n / (double)few), n - 1);
}

static void sample_nearest(const float *x, const gint64 size[3], const gint64 few[3], float *s)
{
    for (gint64 d = 0; d < few[0]; d++)
        for (gint64 h = 0; h < few[1]; h++) {
            const float *row =
                x
                + (nearest(d, size[0], few[0]) * size[1] + nearest(h, size[1], few[1]))
                      * size[2];

            for (gint64 w = 0; w < few[2]; w++)
                *s++ = row[nearest(w, size[2], few[2])];
        }
}

/* y = a + part (b - a) */
static void mix(float *restrict y, const float *a, const float *b, float part, gint64 n)
{
    for (gint64 i = 0; i < n; i++)
        y[i] = a[i] + part * (b[i] - a[i]);
}

/* @plane: few[1] few[2] floats, then a row of few[2]. */
static void sample_linear(const float *s, const gint64 size[3], const gint64 few[3],
                          float *plane, float *y)
{
    g_auto(Between) d_at = between_of(size[0], few[0]);
    g_auto(Between) h_at = between_of(size[1], few[1]);
    g_auto(Between) w_at = between_of(size[2], few[2]);
    const gint64 area = few[1] * few[2];
    float *row = plane + area;

    for (gint64 d = 0; d < size[0]; d++) {
        mix(plane, s + d_at.low[d] * area, s + d_at.high[d] * area, d_at.part[d], area);
        for (gint64 h = 0; h < size[1]; h++) {
            mix(row, plane + h_at.low[h] * few[2], plane + h_at.high[h] * few[2], h_at.part[h],
                few[2]);
            for (gint64 w = 0; w < size[2]; w++, y++) {
                const float a = row[w_at.low[w]], b = row[w_at.high[w]];

                *y = a + w_at.part[w] * (b - a);
            }
        }
    }
}

gboolean coarse_volume(float *x, const gint64 size[3], const gint64 few[3], GError **error)
{
    const gint64 shape[] = {few[0] + 2, few[1], few[2]}; /* a plane and a row more */
    g_autoptr(LoomTensor) coarse = loom_tensor_new(LOOM_F32, "DHW", shape, error);

    if (!coarse)
        return FALSE;
    float *s = loom_tensor_f32_mut(coarse);
    sample_nearest(x, size, few, s);
    sample_linear(s, size, few, s + few[0] * few[1] * few[2], x);
    return TRUE;
}

gboolean coarse_apply(LoomTensor *image, double low, double high, double channel_chance,
                      int slices, LoomRng *rng, GError **error)
{
    const gint64 *size = loom_tensor_shape(image) + 1;
    const gint64 channels = loom_tensor_size(image, 'C');
    const gint64 voxels = loom_tensor_count_from(image, 'D');

    for (gint64 c = 0; c < channels; c++) {
        gint64 few[3];

        if (loom_rng_uniform(rng, 0, 1) >= channel_chance)
            continue;
        const double zoom = loom_rng_uniform(rng, low, high);
        for (int i = 0; i < 3; i++)
            few[i] = i == slices ? size[i] : MAX(1, (gint64)nearbyint(zoom * (double)size[i]));
        if (!coarse_volume(loom_tensor_f32_mut(image) + c * voxels, size, few, error))
            return FALSE;
    }
    return TRUE;
}
