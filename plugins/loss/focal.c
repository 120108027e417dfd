/* focal - cross entropy that easy voxels hardly add to:
 *   L = sum_v w_t (1 - p_t)^gamma (-log p_t) / voxels
 * `weights` are the alpha of the paper, one a class.
 * A class that is absent from the patch has no voxels of its own: it is pushed down elsewhere.
 * Source: Lin et al. 2017 (RetinaNet), with softmax. */
#include <loom/loom.h>

typedef struct {
    LoomLossKit kit;
    double gamma;
} Focal;

static const LoomParam focal_params[] = {
    LOOM_VOXEL_ROWS(Focal, "voxels"),
    LOOM_FLOAT(Focal, gamma, "2", 0, 10, NULL,
               "how little easy voxels count; 0: cross entropy"),
    {0},
};

static double focal_voxel(gconstpointer self, G_GNUC_UNUSED gint64 k, double p, double log_p,
                          double *slope)
{
    const Focal *focal = self;

    return loom_focal(p, log_p, focal->gamma, slope);
}

LOOM_KIT_LOSS(Focal, "focal", "Focal loss", focal_params, .voxel = focal_voxel);
