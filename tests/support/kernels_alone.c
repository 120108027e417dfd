/* kernels_alone - the portable kernels of the backend `cpu` without the rest of segloom, built
 * for any processor: Winograd's convolutions, and their weight gradient, against plain loops.
 * tests/unit/test-cpu-aarch64 builds and runs it.  Exit code 0: equal. */
#include "../../plugins/backend/cpu_kernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 2, D = 3, H = 5, W = 7, VOXELS = D * H * W, C = 19, K = 21, PLANES = 2 };

static float *room(size_t floats)
{
    float *memory = aligned_alloc(64, (floats * sizeof *memory + 63) / 64 * 64);

    if (!memory)
        exit(2);
    return memset(memory, 0, (floats * sizeof *memory + 63) / 64 * 64);
}

/* The same numbers on every machine, in [-1, 1). */
static float next(void)
{
    static unsigned state = 1;

    state = state * 1664525u + 1013904223u;
    return (float)(state >> 8) / 8388608.0f - 1.0f;
}

/* Channel @c, voxel @v of sample @n in planes of 16. */
static size_t place(int n, int c, int v)
{
    return (size_t)(((n * PLANES + c / CPU_BLOCK) * VOXELS + v) * CPU_BLOCK + c % CPU_BLOCK);
}

static float *map_new(int channels, CpuPlane planes[PLANES], int random)
{
    float *data = room((size_t)N * PLANES * VOXELS * CPU_BLOCK);

    for (int n = 0; n < N; n++)
        for (int c = 0; random && c < channels; c++)
            for (int v = 0; v < VOXELS; v++)
                data[place(n, c, v)] = next();
    for (int p = 0; p < PLANES; p++)
        planes[p] = (CpuPlane){.data = data + p * VOXELS * CPU_BLOCK,
                               .step = PLANES * VOXELS * CPU_BLOCK,
                               .first = p * CPU_BLOCK,
                               .lanes = p ? channels - CPU_BLOCK : CPU_BLOCK};
    return data;
}

/* The voxel that tap @t sees from voxel @v; -1 outside. */
static int seen(int v, int t, int flat)
{
    const int d = v / W / H + (flat ? 0 : t / 9 - 1);
    const int h = v / W % H + t / 3 % 3 - 1, w = v % W + t % 3 - 1;

    return d < 0 || d >= D || h < 0 || h >= H || w < 0 || w >= W ? -1 : (d * H + h) * W + w;
}

/* Relative to the largest number, after @found and @want were compared. */
static void compare(const char *what, int m, int flat, double difference, double largest)
{
    const double limit = m == 4 ? 1e-4 : 1e-5; /* as tests/contract/test-backends.c */

    printf("F(%d) %s%s: %.2g\n", m, flat ? "flat " : "", what, difference / largest);
    if (!(difference < limit * largest))
        exit(1);
}

static void check_forward(const float *x, const float *weights, const float *y, int m, int flat)
{
    const int taps = flat ? 9 : 27;
    double difference = 0.0, largest = 0.0;

    for (int n = 0; n < N; n++)
        for (int k = 0; k < K; k++)
            for (int v = 0; v < VOXELS; v++) {
                double sum = 0.0;

                for (int c = 0; c < C; c++)
                    for (int t = 0; t < taps; t++)
                        if (seen(v, t, flat) >= 0)
                            sum += (double)weights[(k * C + c) * taps + t]
                                   * (double)x[place(n, c, seen(v, t, flat))];
                difference = fmax(difference, fabs(sum - (double)y[place(n, k, v)]));
                largest = fmax(largest, fabs(sum));
            }
    compare("forward", m, flat, difference, largest);
}

static void check_gradient(const float *x, const float *dz, const float *dw, int m, int flat)
{
    const int taps = flat ? 9 : 27;
    double difference = 0.0, largest = 0.0;

    for (int i = 0; i < K * C * taps; i++) {
        const int k = i / taps / C, c = i / taps % C, t = i % taps;
        double sum = 0.0;

        for (int n = 0; n < N; n++)
            for (int v = 0; v < VOXELS; v++)
                if (seen(v, t, flat) >= 0)
                    sum +=
                        (double)dz[place(n, k, v)] * (double)x[place(n, c, seen(v, t, flat))];
        difference = fmax(difference, fabs(sum - (double)dw[i]));
        largest = fmax(largest, fabs(sum));
    }
    compare("gradient", m, flat, difference, largest);
}

static void check(int m, int flat)
{
    const CpuKernels *kernels = &cpu_kernels_portable;
    const int taps = flat ? 9 : 27, points = (m + 2) * (m + 2) * (flat ? 1 : m + 2);
    CpuTiles tiles = {.n = N, .size = {D, H, W}, .m = m, .flat = flat};
    CpuPlane in[PLANES], out[PLANES], back[PLANES];
    float *x = map_new(C, in, 1), *y = map_new(K, out, 0), *dz = map_new(K, back, 1);
    float *weights = room((size_t)(K * C * taps)), *dw = room((size_t)(K * C * taps));
    CpuWeights w = {weights, taps, C * taps, taps};
    CpuPanels p = {.tiles = &tiles,
                   .in = in,
                   .out = out,
                   .n_in = PLANES,
                   .n_out = PLANES,
                   .depth = 1,
                   .parts = 2,
                   .weights = &w};

    for (int i = 0; i < K * C * taps; i++)
        weights[i] = next();
    tiles.block = N;
    for (int a = 0; a < 3; a++) {
        const int64_t edge = a == 0 && flat ? 1 : m;

        tiles.tiles[a] = (tiles.size[a] + edge - 1) / edge;
        tiles.block *= tiles.tiles[a];
    }
    p.v = room((size_t)(points * (PLANES * tiles.block + 1) * CPU_BLOCK));
    p.w = room((size_t)(points * (PLANES * tiles.block + 1) * CPU_BLOCK));
    for (int64_t i = 0; i < PLANES * N; i++)
        kernels->panels_input(&p, i);
    float *scratch = room((size_t)kernels->panels_scratch(&p));
    for (int64_t i = 0; i < PLANES * CPU_BLOCK / kernels->panel * p.parts; i++)
        kernels->panels_part(&p, i, scratch);
    check_forward(x, weights, y, m, flat);

    p.out = back;
    for (int64_t i = 0; i < PLANES * N; i++)
        kernels->panels_output(&p, i);
    float *sums = room((size_t)kernels->panels_gradient_scratch(&p));
    for (int64_t i = 0; i < kernels->panels_gradient_items(&p); i++)
        kernels->panels_gradient(&p, i, dw, sums);
    check_gradient(x, dz, dw, m, flat);
    float *const all[] = {x, y, dz, weights, dw, p.v, p.w, scratch, sums};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

int main(void)
{
    for (int flat = 0; flat < 2; flat++) {
        check(2, flat);
        check(4, flat);
    }
    return 0;
}
