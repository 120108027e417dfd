/* intensity - noise, brightness, contrast and gamma, as nnU-Net v2 has them (batchgenerators).
 * Sums over voxels are double, in 8 interleaved parts: fast, and always in the same order. */
#include "intensity.h"

#include <math.h>

#define LANES 8
#define FLOOR 1e-7f /* nnU-Net's, of a range or a deviation that is divided by */

double intensity_factor(double low, double high, LoomRng *rng)
{
    if (low >= 1 || high <= 1)
        return loom_rng_uniform(rng, low, high);
    return loom_rng_uniform(rng, 0, 1) < 0.5 ? loom_rng_uniform(rng, low, 1)
                                             : loom_rng_uniform(rng, 1, high);
}

/* ---- statistics of a channel -------------------------------------------------------- */

static double mean_of(const float *x, gint64 n)
{
    double sum[LANES] = {0}, rest = 0;
    gint64 i = 0;

    for (; i + LANES <= n; i += LANES)
        for (int k = 0; k < LANES; k++)
            sum[k] += (double)x[i + k];
    for (; i < n; i++)
        rest += (double)x[i];
    for (int k = 0; k < LANES; k++)
        rest += sum[k];
    return rest / (double)n;
}

static double deviation_of(const float *x, gint64 n, double mean)
{
    double sum[LANES] = {0}, rest = 0;
    gint64 i = 0;

    for (; i + LANES <= n; i += LANES)
        for (int k = 0; k < LANES; k++)
            sum[k] += ((double)x[i + k] - mean) * ((double)x[i + k] - mean);
    for (; i < n; i++)
        rest += ((double)x[i] - mean) * ((double)x[i] - mean);
    for (int k = 0; k < LANES; k++)
        rest += sum[k];
    return sqrt(rest / (double)n);
}

static void range_of(const float *x, gint64 n, float *low, float *high)
{
    float least[LANES], most[LANES];
    gint64 i = 0;

    for (int k = 0; k < LANES; k++)
        least[k] = most[k] = x[0];
    for (; i + LANES <= n; i += LANES)
        for (int k = 0; k < LANES; k++) {
            least[k] = x[i + k] < least[k] ? x[i + k] : least[k];
            most[k] = x[i + k] > most[k] ? x[i + k] : most[k];
        }
    *low = *high = x[0];
    for (; i < n; i++) {
        *low = MIN(*low, x[i]);
        *high = MAX(*high, x[i]);
    }
    for (int k = 0; k < LANES; k++) {
        *low = MIN(*low, least[k]);
        *high = MAX(*high, most[k]);
    }
}

/* ---- the four ----------------------------------------------------------------------- */

void intensity_noise(LoomTensor *image, double max, LoomRng *rng)
{
    float *x = loom_tensor_f32_mut(image);
    const gint64 count = loom_tensor_count(image);
    const float deviation = (float)loom_rng_uniform(rng, 0, max);

    for (gint64 i = 0; i < count; i += 2) { /* Box and Muller 1958: one random word, two e */
        const guint64 word = loom_rng_u64(rng);
        const float u = (float)((double)(word >> 32) + 0.5) * 0x1p-32f; /* in (0, 1] */
        const float angle = (float)(word & 0xffffffff) * (float)(2 * G_PI * 0x1p-32);
        const float radius = deviation * sqrtf(-2 * logf(u));

        x[i] += radius * cosf(angle);
        if (i + 1 < count)
            x[i + 1] += radius * sinf(angle);
    }
}

void intensity_scale(LoomTensor *image, double low, double high, gboolean per_channel,
                     LoomRng *rng)
{
    const gint64 channels = loom_tensor_size(image, 'C');
    const gint64 voxels = loom_tensor_count_from(image, 'D');
    float factor = 1;

    for (gint64 c = 0; c < channels; c++) {
        float *x = loom_tensor_f32_mut(image) + c * voxels;

        if (c == 0 || per_channel)
            factor = (float)intensity_factor(low, high, rng);
        for (gint64 v = 0; v < voxels; v++)
            x[v] *= factor;
    }
}

static void contrast_channel(float *x, gint64 n, float factor)
{
    const float mean = (float)mean_of(x, n);
    float low, high;

    range_of(x, n, &low, &high);
    for (gint64 v = 0; v < n; v++) {
        const float y = mean + factor * (x[v] - mean), above = y > low ? y : low;

        x[v] = above < high ? above : high;
    }
}

void intensity_contrast(LoomTensor *image, double low, double high, LoomRng *rng)
{
    const gint64 channels = loom_tensor_size(image, 'C');
    const gint64 voxels = loom_tensor_count_from(image, 'D');

    for (gint64 c = 0; c < channels; c++)
        contrast_channel(loom_tensor_f32_mut(image) + c * voxels, voxels,
                         (float)intensity_factor(low, high, rng));
}

/* @sign: -1 of the inverted image. */
static void gamma_channel(float *x, gint64 n, float power, float sign)
{
    float low, high;

    for (gint64 v = 0; v < n; v++)
        x[v] *= sign;
    range_of(x, n, &low, &high);
    const double mean = mean_of(x, n), deviation = deviation_of(x, n, mean);
    const float range = high - low, gain = 1 / MAX(range, FLOOR);
    for (gint64 v = 0; v < n; v++)
        x[v] = powf((x[v] - low) * gain, power) * range + low;
    const double now = mean_of(x, n);
    const float restored = (float)(deviation / MAX(deviation_of(x, n, now), (double)FLOOR));
    for (gint64 v = 0; v < n; v++)
        x[v] = sign * ((x[v] - (float)now) * restored + (float)mean);
}

void intensity_gamma(LoomTensor *image, double low, double high, gboolean inverted,
                     LoomRng *rng)
{
    const gint64 channels = loom_tensor_size(image, 'C');
    const gint64 voxels = loom_tensor_count_from(image, 'D');

    for (gint64 c = 0; c < channels; c++)
        gamma_channel(loom_tensor_f32_mut(image) + c * voxels, voxels,
                      (float)intensity_factor(low, high, rng), inverted ? -1 : 1);
}
