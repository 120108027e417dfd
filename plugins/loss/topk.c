/* topk - cross entropy of the hardest voxels only: the mean of the K highest -log p_t of the
 * whole batch, K = floor(voxels k / 100), at least 1.  Ties for the last places share them.
 * A class that is absent from the patch has no voxels of its own; its false positives are among
 * the hardest.
 * Source: Isensee et al. 2021 (nnU-Net), TopKLoss. */
#include <loom/loom.h>

typedef struct {
    LoomLossKit kit;
} Topk;

static const LoomParam topk_params[] = {
    LOOM_KIT_WEIGHTS_ROW(Topk),
    LOOM_TOP_ROW(Topk, "k", "10"),
    {0},
};

static double topk_voxel(G_GNUC_UNUSED gconstpointer self, G_GNUC_UNUSED gint64 k, double p,
                         double log_p, double *slope)
{
    return loom_focal(p, log_p, 0, slope);
}

LOOM_KIT_LOSS(Topk, "topk", "Cross entropy of the hardest voxels", topk_params,
              .voxel = topk_voxel);
