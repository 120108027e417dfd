/* gaussian - separable Gaussian smoothing:
 *   y_i = sum over |t| <= r of k_t x_(i+t),  k_t ~ exp(-t^2 / (2 sigma^2))
 * where r = [4 sigma + 1/2], and x is continued by reflection: c b a | a b c | c b a.
 * Source: nnU-Net v2's Gaussian blur; border and radius as SciPy's gaussian_filter. */
#include "gaussian.h"

#include <math.h>
#include <string.h>

#define GAUSSIAN_CUT 4.0 /* sigmas */
#define GAUSSIAN_RADIUS_MAX 64

static gint64 radius_of(double sigma)
{
    return MIN((gint64)(GAUSSIAN_CUT * sigma + 0.5), GAUSSIAN_RADIUS_MAX);
}

/* @kernel: k_0 .. k_r; the other side is the same. */
static void kernel_fill(double sigma, gint64 radius, float kernel[GAUSSIAN_RADIUS_MAX + 1])
{
    double sum = 1;

    for (gint64 t = 1; t <= radius; t++)
        sum += 2 * exp(-0.5 * (double)(t * t) / (sigma * sigma));
    for (gint64 t = 0; t <= radius; t++)
        kernel[t] = (float)(exp(-0.5 * (double)(t * t) / (sigma * sigma)) / sum);
}

static gint64 reflected(gint64 i, gint64 n)
{
    const gint64 at = ((i % (2 * n)) + 2 * n) % (2 * n);

    return at < n ? at : 2 * n - 1 - at;
}

static void row_scale(float *restrict y, const float *restrict x, float factor, gint64 n)
{
    for (gint64 i = 0; i < n; i++)
        y[i] = factor * x[i];
}

static void row_add(float *restrict y, const float *a, const float *b, float factor, gint64 n)
{
    for (gint64 i = 0; i < n; i++)
        y[i] += factor * (a[i] + b[i]);
}

/* Along an axis of @n rows of @width neighbours, @stride apart. */
static void blur_rows(float *x, gint64 n, gint64 stride, gint64 width, const float *kernel,
                      gint64 radius, float *scratch)
{
    for (gint64 i = 0; i < n; i++)
        memcpy(scratch + i * width, x + i * stride, (gsize)width * sizeof *x);
    for (gint64 i = 0; i < n; i++) {
        row_scale(x + i * stride, scratch + i * width, kernel[0], width);
        for (gint64 t = 1; t <= radius; t++)
            row_add(x + i * stride, scratch + reflected(i - t, n) * width,
                    scratch + reflected(i + t, n) * width, kernel[t], width);
    }
}

/* Along one row. */
static void blur_row(float *x, gint64 n, const float *kernel, gint64 radius, float *scratch)
{
    for (gint64 i = -radius; i < n + radius; i++)
        scratch[i + radius] = x[i >= 0 && i < n ? i : reflected(i, n)];
    row_scale(x, scratch + radius, kernel[0], n);
    for (gint64 t = 1; t <= radius; t++)
        row_add(x, scratch + radius - t, scratch + radius + t, kernel[t], n);
}

gint64 gaussian_scratch(const gint64 size[3], double most)
{
    return MAX(MAX(size[0], size[1]) * size[2], size[2] + 2 * radius_of(most));
}

void gaussian_blur(float *x, const gint64 size[3], const double sigma[3], float *scratch)
{
    const gint64 plane = size[1] * size[2];
    float kernel[GAUSSIAN_RADIUS_MAX + 1] = {0};

    for (int axis = 0; axis < 3; axis++) {
        const gint64 radius = radius_of(sigma[axis]);

        if (radius == 0)
            continue;
        kernel_fill(sigma[axis], radius, kernel);
        for (gint64 h = 0; axis == 0 && h < size[1]; h++)
            blur_rows(x + h * size[2], size[0], plane, size[2], kernel, radius, scratch);
        for (gint64 d = 0; axis == 1 && d < size[0]; d++)
            blur_rows(x + d * plane, size[1], size[2], size[2], kernel, radius, scratch);
        for (gint64 i = 0; axis == 2 && i < size[0] * size[1]; i++)
            blur_row(x + i * size[2], size[2], kernel, radius, scratch);
    }
}

gboolean gaussian_apply(LoomTensor *image, double low, double high, double channel_chance,
                        LoomRng *rng, GError **error)
{
    const gint64 *size = loom_tensor_shape(image) + 1;
    const gint64 channels = loom_tensor_size(image, 'C');
    const gint64 voxels = loom_tensor_count_from(image, 'D');
    g_autoptr(LoomTensor) scratch =
        loom_tensor_new(LOOM_F32, "W", (const gint64[]){gaussian_scratch(size, high)}, error);

    if (!scratch)
        return FALSE;
    for (gint64 c = 0; c < channels; c++) {
        double sigma[3];

        if (loom_rng_uniform(rng, 0, 1) >= channel_chance)
            continue;
        for (int axis = 0; axis < 3; axis++)
            sigma[axis] = loom_rng_uniform(rng, low, high);
        gaussian_blur(loom_tensor_f32_mut(image) + c * voxels, size, sigma,
                      loom_tensor_f32_mut(scratch));
    }
    return TRUE;
}
