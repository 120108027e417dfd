/* cpu_kernel_flat - what is not a convolution: plain tensors to planes and back, and the
 * updates of the optimisers, which the compiler makes vectors of. */
#include "cpu_voxel.h"

#include <math.h>

#define to_plane CPU_NAME(cpu_to_plane)
#define from_plane CPU_NAME(cpu_from_plane)
#define sgd CPU_NAME(cpu_sgd)
#define adam CPU_NAME(cpu_adam)
void to_plane(const float *from, int64_t step, const CpuPlane *plane, int64_t sample,
              int64_t first, int64_t voxels);
void from_plane(const CpuPlane *plane, int64_t sample, int64_t first, int64_t voxels, float *to,
                int64_t step);
void sgd(const double *update, int64_t count, float *w, const float *dw, float *v);
void adam(const double *update, int64_t count, float *w, const float *dw, float *m, float *s);

void to_plane(const float *from, int64_t step, const CpuPlane *plane, int64_t sample,
              int64_t first, int64_t voxels)
{
    for (int64_t part = 0; part < CPU_BLOCK; part += LANES) {
        const Voxels to = voxels_of(plane, sample, part);

        for (int64_t i = first; i < first + voxels; i++) {
            float lanes[LANES] __attribute__((aligned(64))) = {0};

            for (int64_t l = 0; l < LANES && part + l < plane->lanes; l++)
                lanes[l] = from[(part + l) * step + i];
            voxel_store(&to, i, load(lanes));
        }
    }
}

/* As its readers see it. */
void from_plane(const CpuPlane *plane, int64_t sample, int64_t first, int64_t voxels, float *to,
                int64_t step)
{
    const Voxels from = voxels_of(plane, sample, 0);

    for (int64_t l = 0; l < plane->lanes; l++) {
        const int64_t at = sample * plane->scale_step + l;
        const float scale = plane->scale ? plane->scale[at] : 1.0f;
        const float shift = plane->scale ? plane->shift[at] : 0.0f;
        const float slope = plane->scale ? plane->slope : 1.0f;

        for (int64_t i = first; i < first + voxels; i++) {
            const float u = voxel_lane(&from, i, l) * scale + shift;

            to[l * step + i] = u > 0.0f ? u : u * slope;
        }
    }
}

/* update: rate, momentum, decay, scale, nesterov; see loom_host_sgd. */
void sgd(const double *update, int64_t count, float *restrict w, const float *restrict dw,
         float *restrict v)
{
    const float rate = (float)update[0], momentum = (float)update[1], decay = (float)update[2];
    const float scale = (float)update[3];
    const float now = update[4] > 0 ? 1.0f : 0.0f, then = update[4] > 0 ? momentum : 1.0f;

    for (int64_t i = 0; i < count; i++) {
        const float g = scale * dw[i] + decay * w[i];

        v[i] = momentum * v[i] + g;
        w[i] -= rate * (now * g + then * v[i]);
    }
}

/* update: keep, beta1, 1 - beta1, beta2, 1 - beta2, rate, root, epsilon, scale; see
 * loom_host_adam, where rate and root have the corrections for the first steps. */
void adam(const double *update, int64_t count, float *restrict w, const float *restrict dw,
          float *restrict m, float *restrict s)
{
    const float keep = (float)update[0], beta1 = (float)update[1], rest1 = (float)update[2];
    const float beta2 = (float)update[3], rest2 = (float)update[4], rate = (float)update[5];
    const float root = (float)update[6], epsilon = (float)update[7], scale = (float)update[8];

    for (int64_t i = 0; i < count; i++) {
        const float g = scale * dw[i];

        m[i] = beta1 * m[i] + rest1 * g;
        s[i] = beta2 * s[i] + rest2 * g * g;
        w[i] = keep * w[i] - rate * m[i] / (root * sqrtf(s[i]) + epsilon);
    }
}
