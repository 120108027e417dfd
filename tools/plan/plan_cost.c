/* plan_cost - a step's time and memory from three counts of the network:
 *   seconds = flops / F + voxels / V + weights / W
 *   bytes   = 3.8 elements + 390 voxels + 28 weights
 * F, V and W were fitted (non-negative least squares of relative errors) to eight networks of
 * the backend cpu, features 8 to 320, 36 thousand to 590 thousand voxels a patch, by
 *   segloom bench train_step --threads 2
 * on two cores with AVX-512 (Zen 4): within 6 % for six of them, 19 % for two with two or three
 * levels of at most 16 channels.  The bytes: within 10 %, and for one network 17 % too few.
 * Elements are those of plan_elements. */
#include "plan_cost.h"

#include <math.h>

/* A processor's share, with vectors of 16 floats. */
#define FLOPS_16 0.73e12
#define VOXELS_16 2.6e6
#define WEIGHTS_16 87e6

/* Of a step with one patch, the forward pass without memory for a backward one: 0.18 s of 0.68
 * s (64^3, batch 2, features 32 to 320; bench inference and train_step). */
#define FORWARD_SHARE 0.27

#define BYTES_ELEMENT 3.8 /* an activation; gradients share their memory */
#define BYTES_VOXEL 390.0 /* logits, labels, probabilities, gradients of the finest level */
#define BYTES_WEIGHT 28.0 /* value, gradient, two moments, transformed kernels */

PlanSpeed plan_speed_of(guint lanes, guint threads)
{
    const double processors = threads, share = (double)lanes / 16;

    return (PlanSpeed){.flops = FLOPS_16 * share * processors,
                       .voxels = VOXELS_16 * processors, /* memory, not vectors */
                       .weights = WEIGHTS_16 * processors};
}

guint plan_speed_lanes(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f"))
        return 16;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return 8;
#endif
    return 4;
}

typedef struct {
    double voxels, kernel, stride; /* of a level; products over its axes */
} Level;

static Level level_of(const PlanTopology *topology, guint level, double voxels)
{
    Level found = {voxels, 1, 1};

    for (guint a = 0; a < topology->dims; a++) {
        found.kernel *= (double)topology->kernel[level][a];
        found.stride *= (double)topology->stride[level][a];
    }
    found.voxels /= found.stride;
    return found;
}

static double patch_voxels(const PlanTopology *topology)
{
    double voxels = 1;

    for (guint a = 0; a < topology->dims; a++)
        voxels *= (double)topology->patch[a];
    return voxels;
}

/* Weights of the convolutions whose output has the voxels of level @l; the plain network. */
static double level_weights(const PlanTopology *topology, const PlanNetwork *network, guint l,
                            const Level *at, gint64 in_channels)
{
    const double c = (double)plan_features(network, l);
    const double above = l ? (double)plan_features(network, l - 1) : (double)in_channels;
    double weights = at->kernel * (above * c + c * c); /* down */

    if (l + 1 < topology->levels) /* up: the skip doubles the channels; the head */
        weights += at->kernel * 3 * c * c
                   + c * (l == 0 || network->supervised ? (double)network->classes : 0);
    return weights;
}

double plan_flops(const PlanTopology *topology, const PlanNetwork *network, gint64 in_channels)
{
    double flops = 0, voxels = patch_voxels(topology);

    for (guint l = 0; l < topology->levels; l++) {
        const Level at = level_of(topology, l, voxels);
        const double weights = level_weights(topology, network, l, &at, in_channels);

        flops += 3 * 2 * weights * at.voxels;
        if (l > 0) /* transposed convolution: each output reads one input voxel */
            flops += 3 * 2 * (double)plan_features(network, l)
                     * (double)plan_features(network, l - 1) * voxels;
        voxels = at.voxels;
    }
    return flops;
}

double plan_weights(const PlanTopology *topology, const PlanNetwork *network,
                    gint64 in_channels)
{
    double weights = 0;

    for (guint l = 0; l < topology->levels; l++) {
        const Level at = level_of(topology, l, 1);

        weights += level_weights(topology, network, l, &at, in_channels);
        if (l > 0)
            weights += at.stride * (double)plan_features(network, l)
                       * (double)plan_features(network, l - 1);
    }
    return weights;
}

double plan_seconds(const PlanSpeed *speed, const PlanTopology *topology,
                    const PlanNetwork *network, gint64 in_channels, gint64 batch)
{
    const double patches = (double)batch;

    return patches * plan_flops(topology, network, in_channels) / speed->flops
           + patches * patch_voxels(topology) / speed->voxels
           + plan_weights(topology, network, in_channels) / speed->weights;
}

gint64 plan_windows(guint dims, const gint64 *patch, const double *shape)
{
    gint64 windows = 1;

    for (guint a = 0; a < dims; a++) {
        const double way = shape[a] - (double)patch[a], step = (double)patch[a] / 2;

        windows *= way > 0 ? (gint64)ceil(way / step) + 1 : 1;
    }
    return windows;
}

double plan_predict_seconds(const PlanSpeed *speed, const PlanTopology *topology,
                            const PlanNetwork *network, gint64 in_channels, gint64 windows)
{
    const double each = plan_flops(topology, network, in_channels) / speed->flops
                        + patch_voxels(topology) / speed->voxels;

    return FORWARD_SHARE * each * (double)windows;
}

double plan_bytes(const PlanTopology *topology, const PlanNetwork *network, gint64 in_channels,
                  gint64 batch)
{
    const double elements = (double)plan_elements(topology, network);

    return (double)batch * (BYTES_ELEMENT * elements + BYTES_VOXEL * patch_voxels(topology))
           + BYTES_WEIGHT * plan_weights(topology, network, in_channels);
}
