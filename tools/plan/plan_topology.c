/* plan_topology - halve what is fine and large enough, until nothing is:
 *   an axis can be halved while it has 2 E voxels (E = 4), or 3 E where it is the only one, and
 *   while its voxels are less than twice as long as the shortest of those that can;
 *   its kernel is 3 from the level on at which its voxels are less than twice the shortest.
 * Source: Isensee et al. 2021, nnU-Net's get_pool_and_conv_props. */
#include "plan_topology.h"

#include <math.h>
#include <string.h>

#define LEAST_EDGE 4 /* E: voxels of the deepest feature map along a halved axis */
#define ALIKE 2.0    /* voxel lengths whose ratio is below this count as equal */

typedef struct {
    guint dims;
    double spacing[3];
    double size[3];
    gboolean wide[3]; /* kernel 3 */
} Level;

static double shortest(const Level *level, const gboolean *among)
{
    double least = INFINITY;

    for (guint a = 0; a < level->dims; a++)
        if (!among || among[a])
            least = MIN(least, level->spacing[a]);
    return least;
}

/* Which axes the next level halves.  Returns: whether there is a next level. */
static gboolean choose(const Level *level, gboolean halved[3])
{
    guint n = 0, last = 0;
    double least;

    for (guint a = 0; a < level->dims; a++)
        halved[a] = level->size[a] >= 2 * LEAST_EDGE;
    least = shortest(level, halved);
    for (guint a = 0; a < level->dims; a++) {
        halved[a] = halved[a] && level->spacing[a] / least < ALIKE;
        n += halved[a] ? 1 : 0;
        last = halved[a] ? a : last;
    }
    return n > 1 || (n == 1 && level->size[last] >= 3 * LEAST_EDGE);
}

static void descend(Level *level, const gboolean halved[3], PlanTopology *topology)
{
    const guint l = topology->levels;

    for (guint a = 0; a < level->dims; a++) {
        topology->kernel[l - 1][a] = level->wide[a] ? 3 : 1;
        topology->stride[l][a] = halved[a] ? 2 : 1;
        if (!halved[a])
            continue;
        topology->pools[a]++;
        level->spacing[a] *= 2;
        level->size[a] = ceil(level->size[a] / 2);
    }
    topology->levels++;
}

void plan_topology_make(guint dims, const double *spacing, const double *patch,
                        guint max_levels, PlanTopology *topology)
{
    Level level = {.dims = dims};
    gboolean halved[3];

    g_assert(dims >= 2 && dims <= 3 && max_levels >= 1 && max_levels <= PLAN_MAX_LEVELS);
    memcpy(level.spacing, spacing, dims * sizeof *spacing);
    memcpy(level.size, patch, dims * sizeof *patch);
    *topology = (PlanTopology){.dims = dims, .levels = 1, .stride = {{1, 1, 1}}};
    while (topology->levels < max_levels && choose(&level, halved)) {
        const double least = shortest(&level, NULL);

        for (guint a = 0; a < dims; a++)
            level.wide[a] = level.wide[a] || level.spacing[a] / least < ALIKE;
        descend(&level, halved, topology);
    }
    for (guint a = 0; a < dims; a++) {
        const gint64 divisor = G_GINT64_CONSTANT(1) << topology->pools[a];

        topology->kernel[topology->levels - 1][a] = 3; /* the deepest is always wide */
        topology->divisor[a] = divisor;
        topology->patch[a] = (gint64)ceil(patch[a] / (double)divisor) * divisor;
    }
}

gint64 plan_features(const PlanNetwork *network, guint level)
{
    return MIN(network->widest, network->base << MIN(level, 20));
}

/* Blocks of two convolutions in a residual encoder. */
static gint64 residual_blocks(guint level)
{
    static const gint64 blocks[] = {1, 3, 4, 6};

    return blocks[MIN(level, G_N_ELEMENTS(blocks) - 1)];
}

/* Outputs of the encoder's convolutions at a level, in units of its voxels. */
static gint64 encoder_channels(const PlanTopology *topology, const PlanNetwork *network,
                               guint level)
{
    const gint64 features = plan_features(network, level);
    gboolean changed;

    if (!network->residual)
        return 2 * features;
    if (level == 0)
        return features + 2 * residual_blocks(0) * features; /* the stem goes before */
    changed = features != plan_features(network, level - 1);
    for (guint a = 0; a < topology->dims; a++)
        changed = changed || topology->stride[level][a] > 1;
    return (2 * residual_blocks(level) + changed) * features; /* + the skip's convolution */
}

gint64 plan_elements(const PlanTopology *topology, const PlanNetwork *network)
{
    gint64 elements = 0, size[3];

    memcpy(size, topology->patch, sizeof size);
    for (guint l = 0; l < topology->levels; l++) {
        gint64 voxels = 1, channels = encoder_channels(topology, network, l);

        for (guint a = 0; a < topology->dims; a++)
            voxels *= size[a] /= topology->stride[l][a];
        if (l + 1 < topology->levels) /* back up: transposed convolution, convolutions, head */
            channels += (network->residual ? 2 : 3) * plan_features(network, l)
                        + (l == 0 || network->supervised ? network->classes : 0);
        elements += channels * voxels;
    }
    return elements;
}
