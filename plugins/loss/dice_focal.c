/* dice_focal - focal loss over all voxels plus soft Dice without the background:
 *   L = a mean of w_t (1 - p_t)^gamma (-log p_t) + b (1 - mean of D)
 *   D = (2 TP + s) / (P + G + s)
 * A class that is absent from the patch: its Dice part is near 1 with a gradient near 0; the
 * focal part goes on pushing it down.
 * Source: Zhu et al. 2019 (AnatomyNet), with nnU-Net's Dice. */
#include <loom/loom.h>

typedef struct {
    LoomLossKit kit;
    double focal, gamma, dice, smooth;
} DiceFocal;

static const LoomParam dice_focal_params[] = {
    LOOM_COMPOUND_ROWS(DiceFocal, "voxels", "false", "true"),
    LOOM_FLOAT(DiceFocal, focal, "1", 0, 1e6, NULL, "a, weight of the focal part"),
    LOOM_FLOAT(DiceFocal, gamma, "2", 0, 10, NULL, "how little easy voxels count"),
    LOOM_FLOAT(DiceFocal, dice, "1", 0, 1e6, NULL, "b, weight of Dice"),
    LOOM_FLOAT(DiceFocal, smooth, "1.0e-5", 1e-9, 1e6, NULL, "s, keeps an empty class finite"),
    {0},
};

static double dice_focal_voxel(gconstpointer self, G_GNUC_UNUSED gint64 k, double p,
                               double log_p, double *slope)
{
    const DiceFocal *loss = self;
    const double value = loom_focal(p, log_p, loss->gamma, slope);

    *slope *= loss->focal;
    return loss->focal * value;
}

static double dice_focal_region(gconstpointer self, G_GNUC_UNUSED gint64 k, LoomCounts n,
                                LoomCounts *slope)
{
    const DiceFocal *loss = self;
    const double value = loom_tversky(n, 0.5, loss->smooth / 2, slope);

    loom_counts_scale(slope, loss->dice);
    return loss->dice * value;
}

LOOM_KIT_LOSS(DiceFocal, "dice_focal", "Focal loss plus Dice", dice_focal_params,
              .voxel = dice_focal_voxel, .region = dice_focal_region);
