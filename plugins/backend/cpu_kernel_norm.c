/* cpu_kernel_norm - sums over a plane's voxels, and the way back through norm and activation:
 *   u = scale z + shift,  g = dy leaky'(u),  h = (z - mean) rstd
 *   dz = factor (g - mean(g) - h mean(g h))
 * Short sums in float, of values near 0, are added up in double.
 * Source: Ulyanov et al. 2016; Chan, Golub, LeVeque 1983 (the shifted sum of squares). */
#include "cpu_vector.h"

#define sums CPU_NAME(cpu_sums)
#define norm_sums CPU_NAME(cpu_norm_sums)
#define norm_back CPU_NAME(cpu_norm_back)
#define leak_back CPU_NAME(cpu_leak_back)
void sums(const float *v, const float *pivot, int64_t voxels, double *sum, double *square);
void norm_sums(const CpuNorm *norm, const float *z, const float *dy, int64_t voxels,
               double *sum, double *dot);
void norm_back(const CpuNorm *norm, const float *z, float *dy, int64_t voxels);
void leak_back(const CpuNorm *norm, const float *z, float *dy, int64_t voxels);

#define SHORT 32 /* voxels of a sum in float */

static void flush(double *to, Vec from)
{
    float lanes[LANES] __attribute__((aligned(64)));

    store(lanes, from);
    for (int64_t l = 0; l < LANES; l++)
        to[l] += (double)lanes[l];
}

void sums(const float *v, const float *pivot, int64_t voxels, double *sum, double *square)
{
    for (int64_t part = 0; part < CPU_BLOCK; part += LANES) {
        const Vec middle = load(pivot + part);

        for (int64_t i = 0; i < voxels; i += SHORT) {
            Vec s = all(0.0f), q = all(0.0f);

            for (int64_t j = i; j < at_most(i + SHORT, voxels); j++) {
                const Vec x = load(v + j * CPU_BLOCK + part) - middle;

                s += x;
                q += x * x;
            }
            flush(sum + part, s);
            flush(square + part, q);
        }
    }
}

/* dy times the derivative of the activation behind u = scale z + shift. */
INLINE Vec unleaked(Vec z, Vec dy, Vec scale, Vec shift, float slope)
{
    return where_positive(z * scale + shift, dy, dy * slope);
}

void norm_sums(const CpuNorm *norm, const float *z, const float *dy, int64_t voxels,
               double *sum, double *dot)
{
    for (int64_t part = 0; part < CPU_BLOCK; part += LANES) {
        const Vec scale = load(norm->scale + part), shift = load(norm->shift + part);
        const Vec mean = load(norm->mean + part), rstd = load(norm->rstd + part);

        for (int64_t i = 0; i < voxels; i += SHORT) {
            Vec s = all(0.0f), q = all(0.0f);

            for (int64_t j = i; j < at_most(i + SHORT, voxels); j++) {
                const Vec x = load(z + j * CPU_BLOCK + part);
                const Vec g =
                    unleaked(x, load(dy + j * CPU_BLOCK + part), scale, shift, norm->slope);

                s += g;
                q += g * ((x - mean) * rstd);
            }
            flush(sum + part, s);
            flush(dot + part, q);
        }
    }
}

void norm_back(const CpuNorm *norm, const float *z, float *dy, int64_t voxels)
{
    for (int64_t part = 0; part < CPU_BLOCK; part += LANES) {
        const Vec scale = load(norm->scale + part), shift = load(norm->shift + part);
        const Vec mean = load(norm->mean + part), rstd = load(norm->rstd + part);
        const Vec factor = load(norm->factor + part), sum = load(norm->sum + part);
        const Vec dot = load(norm->dot + part);

        for (int64_t i = part; i < voxels * CPU_BLOCK; i += CPU_BLOCK) {
            const Vec x = load(z + i);
            const Vec g = unleaked(x, load(dy + i), scale, shift, norm->slope);

            store(dy + i, factor * (g - sum - (x - mean) * rstd * dot));
        }
    }
}

void leak_back(const CpuNorm *norm, const float *z, float *dy, int64_t voxels)
{
    for (int64_t part = 0; part < CPU_BLOCK; part += LANES) {
        const Vec scale = load(norm->scale + part), shift = load(norm->shift + part);

        for (int64_t i = part; i < voxels * CPU_BLOCK; i += CPU_BLOCK)
            store(dy + i, unleaked(load(z + i), load(dy + i), scale, shift, norm->slope));
    }
}
