/* cross_entropy - weighted mean over voxels of -log p_t, t the voxel's class:
 *   L = sum_v w_t (-log p_t) / sum_v w_t
 * A class that is absent from the patch has no voxels of its own: it is pushed down elsewhere.
 * Source: torch.nn.functional.cross_entropy, with its `weight`. */
#include <loom/loom.h>

typedef struct {
    LoomLossKit kit;
} CrossEntropy;

static const LoomParam cross_entropy_params[] = {
    LOOM_VOXEL_ROWS(CrossEntropy, "weights"),
    {0},
};

static double cross_entropy_voxel(G_GNUC_UNUSED gconstpointer self, G_GNUC_UNUSED gint64 k,
                                  double p, double log_p, double *slope)
{
    *slope = -1 / p;
    return -log_p;
}

LOOM_KIT_LOSS(CrossEntropy, "cross_entropy", "Cross entropy, with class weights",
              cross_entropy_params, .voxel = cross_entropy_voxel);
