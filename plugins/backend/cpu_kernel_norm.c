/* cpu_kernel_norm - sums over a plane's voxels, and the way back through norm and activation:
 *   u = scale z + shift,  g = dy leaky'(u),  h = (z - mean) rstd
 *   dz = factor (g - mean(g) - h mean(g h))
 * Short sums in float, of values near 0, are added up in double.
 * Source: Ulyanov et al. 2016; Chan, Golub, LeVeque 1983 (the shifted sum of squares). */
#include "cpu_voxel.h"

#define sums CPU_NAME(cpu_sums)
#define norm_sums CPU_NAME(cpu_norm_sums)
#define norm_back CPU_NAME(cpu_norm_back)
#define leak_back CPU_NAME(cpu_leak_back)
#define first_voxel CPU_NAME(cpu_first_voxel)
void sums(const CpuPlane *plane, int64_t sample, int64_t first, int64_t voxels,
          const float *pivot, double *sum, double *square);
void norm_sums(const CpuNorm *norm, int64_t first, int64_t voxels, double *sum, double *dot);
void norm_back(const CpuNorm *norm, int64_t first, int64_t voxels);
void leak_back(const CpuNorm *norm, int64_t first, int64_t voxels);
void first_voxel(const CpuPlane *plane, int64_t sample, float *to);

#define SHORT 32 /* voxels of a sum in float */

static void flush(double *to, Vec from)
{
    float lanes[LANES] __attribute__((aligned(64)));

    store(lanes, from);
    for (int64_t l = 0; l < LANES; l++)
        to[l] += (double)lanes[l];
}

void first_voxel(const CpuPlane *plane, int64_t sample, float *to)
{
    for (int64_t part = 0; part < CPU_BLOCK; part += LANES) {
        const Voxels v = voxels_of(plane, sample, part);

        store(to + part, voxel_load(&v, 0));
    }
}

void sums(const CpuPlane *plane, int64_t sample, int64_t first, int64_t voxels,
          const float *pivot, double *sum, double *square)
{
    const int64_t end = first + voxels;

    for (int64_t part = 0; part < CPU_BLOCK; part += LANES) {
        const Voxels v = voxels_of(plane, sample, part);
        const Vec middle = load(pivot + part);

        for (int64_t i = first; i < end; i += SHORT) {
            Vec s = all(0.0f), q = all(0.0f);

            for (int64_t j = i; j < at_most(i + SHORT, end); j++) {
                const Vec x = voxel_load(&v, j) - middle;

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

void norm_sums(const CpuNorm *norm, int64_t first, int64_t voxels, double *sum, double *dot)
{
    const int64_t end = first + voxels;

    for (int64_t part = 0; part < CPU_BLOCK; part += LANES) {
        const Voxels z = voxels_of(&norm->z, norm->sample, part);
        const Voxels dy = voxels_of(&norm->dy, norm->sample, part);
        const Vec scale = load(norm->scale + part), shift = load(norm->shift + part);
        const Vec mean = load(norm->mean + part), rstd = load(norm->rstd + part);

        for (int64_t i = first; i < end; i += SHORT) {
            Vec s = all(0.0f), q = all(0.0f);

            for (int64_t j = i; j < at_most(i + SHORT, end); j++) {
                const Vec x = voxel_load(&z, j);
                const Vec g = unleaked(x, voxel_load(&dy, j), scale, shift, norm->slope);

                s += g;
                q += g * ((x - mean) * rstd);
            }
            flush(sum + part, s);
            flush(dot + part, q);
        }
    }
}

void norm_back(const CpuNorm *norm, int64_t first, int64_t voxels)
{
    for (int64_t part = 0; part < CPU_BLOCK; part += LANES) {
        const Voxels z = voxels_of(&norm->z, norm->sample, part);
        const Voxels dy = voxels_of(&norm->dy, norm->sample, part);
        const Vec scale = load(norm->scale + part), shift = load(norm->shift + part);
        const Vec mean = load(norm->mean + part), rstd = load(norm->rstd + part);
        const Vec factor = load(norm->factor + part), sum = load(norm->sum + part);
        const Vec dot = load(norm->dot + part);

        for (int64_t i = first; i < first + voxels; i++) {
            const Vec x = voxel_load(&z, i);
            const Vec g = unleaked(x, voxel_load(&dy, i), scale, shift, norm->slope);

            voxel_store(&dy, i, factor * (g - sum - (x - mean) * rstd * dot));
        }
    }
}

void leak_back(const CpuNorm *norm, int64_t first, int64_t voxels)
{
    for (int64_t part = 0; part < CPU_BLOCK; part += LANES) {
        const Voxels z = voxels_of(&norm->z, norm->sample, part);
        const Voxels dy = voxels_of(&norm->dy, norm->sample, part);
        const Vec scale = load(norm->scale + part), shift = load(norm->shift + part);

        for (int64_t i = first; i < first + voxels; i++)
            voxel_store(
                &dy, i,
                unleaked(voxel_load(&z, i), voxel_load(&dy, i), scale, shift, norm->slope));
    }
}
