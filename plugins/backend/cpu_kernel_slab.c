/* cpu_kernel_slab - the input of one box of the grid, copied: a border of zeros, the pending
 * norm applied, and voxels sorted by phase, their place in the stride along H and W. A slab is
 * (D, phase H, phase W, H, W, 16); along D the stride is stepped over. */
#include "cpu_voxel.h"

int64_t slab_offset(const CpuSweep *s, const int64_t tap[3])
{
    const int64_t d = tap[0] - s->low[0], h = tap[1] - s->low[1], w = tap[2] - s->low[2];
    const int64_t phase = h % s->in_step[1] * s->in_step[2] + w % s->in_step[2];

    return ((d * s->in_step[1] * s->in_step[2] + phase) * s->slab_h + h / s->in_step[1])
               * s->slab_w * CPU_BLOCK
           + w / s->in_step[2] * CPU_BLOCK;
}

/* One row, whose first voxel is number @row: voxels @w, @w + step, .. of it, zeros outside. */
INLINE void slab_row(const CpuSweep *s, const CpuPlane *plane, int64_t sample, int64_t row,
                     int64_t w, float *to)
{
    const int64_t step = s->in_step[2], in = s->in[2];
    int64_t first = w < 0 ? (step - 1 - w) / step : 0,
            end = in > w ? (in - w + step - 1) / step : 0;

    end = at_most(end, s->slab_w);
    first = at_most(first, end);
    memset(to, 0, (size_t)(first * CPU_BLOCK) * sizeof *to);
    memset(to + end * CPU_BLOCK, 0, (size_t)((s->slab_w - end) * CPU_BLOCK) * sizeof *to);
    for (int64_t part = 0; part < CPU_BLOCK; part += LANES) {
        const int64_t at = sample * plane->scale_step + part;
        const Voxels from = voxels_of(plane, sample, part);

        if (plane->scale) {
            const Vec scale = load(plane->scale + at), shift = load(plane->shift + at);

            for (int64_t i = first; i < end; i++)
                store(to + i * CPU_BLOCK + part, normed(voxel_load(&from, row + w + i * step),
                                                        scale, shift, plane->slope));
        } else {
            for (int64_t i = first; i < end; i++)
                store(to + i * CPU_BLOCK + part, voxel_load(&from, row + w + i * step));
        }
    }
}

void slab_fill(const CpuSweep *s, const CpuPlane *plane, int64_t sample,
               const int64_t origin[3], float *slab)
{
    const int64_t d0 = origin[0] * s->in_step[0] + s->low[0];
    const int64_t h0 = origin[1] * s->in_step[1] + s->low[1];
    const int64_t w0 = origin[2] * s->in_step[2] + s->low[2];

    for (int64_t d = d0; d < d0 + s->slab_d; d++)
        for (int64_t ph = 0; ph < s->in_step[1]; ph++)
            for (int64_t pw = 0; pw < s->in_step[2]; pw++)
                for (int64_t i = 0; i < s->slab_h; i++) {
                    const int64_t h = h0 + ph + i * s->in_step[1];

                    if (d < 0 || d >= s->in[0] || h < 0 || h >= s->in[1])
                        memset(slab, 0, (size_t)(s->slab_w * CPU_BLOCK) * sizeof *slab);
                    else
                        slab_row(s, plane, sample, (d * s->in[1] + h) * s->in[2], w0 + pw,
                                 slab);
                    slab += s->slab_w * CPU_BLOCK;
                }
}
