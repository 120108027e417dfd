/* dice_cross_entropy - cross entropy over all voxels plus soft Dice without the background:
 *   L = a CE + b (1 - mean of D),  D = (2 TP + s) / (P + G + s)
 * `weights` weigh the voxels in CE and the classes in the mean of D.
 * A class that is absent from the patch: its Dice part is near 1 with a gradient near 0; cross
 * entropy goes on pushing it down.
 * Source: Isensee et al. 2021 (nnU-Net), DC_and_CE_loss, whose value is less by b. */
#include <loom/loom.h>

typedef struct {
    LoomLossKit kit;
    double cross_entropy, dice, smooth;
} DiceCrossEntropy;

static const LoomParam dice_cross_entropy_params[] = {
    LOOM_COMPOUND_ROWS(DiceCrossEntropy, "weights", "false", "true"),
    LOOM_FLOAT(DiceCrossEntropy, cross_entropy, "1", 0, 1e6, NULL,
               "a, weight of cross entropy"),
    LOOM_FLOAT(DiceCrossEntropy, dice, "1", 0, 1e6, NULL, "b, weight of Dice"),
    LOOM_FLOAT(DiceCrossEntropy, smooth, "1.0e-5", 1e-9, 1e6, NULL,
               "s, keeps an empty class finite"),
    {0},
};

static double dice_cross_entropy_voxel(gconstpointer self, G_GNUC_UNUSED gint64 k, double p,
                                       double log_p, double *slope)
{
    const DiceCrossEntropy *loss = self;

    *slope = -loss->cross_entropy / p;
    return -loss->cross_entropy * log_p;
}

static double dice_cross_entropy_region(gconstpointer self, G_GNUC_UNUSED gint64 k,
                                        LoomCounts n, LoomCounts *slope)
{
    const DiceCrossEntropy *loss = self;
    const double value = loom_tversky(n, 0.5, loss->smooth / 2, slope);

    loom_counts_scale(slope, loss->dice);
    return loss->dice * value;
}

LOOM_KIT_LOSS(DiceCrossEntropy, "dice_cross_entropy", "Cross entropy plus Dice, as in nnU-Net",
              dice_cross_entropy_params, .voxel = dice_cross_entropy_voxel,
              .region = dice_cross_entropy_region);
