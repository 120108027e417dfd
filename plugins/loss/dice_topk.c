/* dice_topk - cross entropy of the hardest voxels plus soft Dice without the background:
 *   L = a TopK + b (1 - mean of D),  D = (2 TP + s) / (P + G + s),  TopK as in topk.c
 * A class that is absent from the patch: its Dice part is near 1 with a gradient near 0; its
 * false positives are among the hardest voxels.
 * Source: Isensee et al. 2021 (nnU-Net), DC_and_topk_loss, whose value is less by b. */
#include <loom/loom.h>

typedef struct {
    LoomLossKit kit;
    double topk, dice, smooth;
} DiceTopk;

static const LoomParam dice_topk_params[] = {
    LOOM_REGION_ROWS(DiceTopk, "false", "true"),
    LOOM_TOP_ROW(DiceTopk, "k", "10"),
    LOOM_FLOAT(DiceTopk, topk, "1", 0, 1e6, NULL, "a, weight of TopK"),
    LOOM_FLOAT(DiceTopk, dice, "1", 0, 1e6, NULL, "b, weight of Dice"),
    LOOM_FLOAT(DiceTopk, smooth, "1.0e-5", 1e-9, 1e6, NULL, "s, keeps an empty class finite"),
    {0},
};

static double dice_topk_voxel(gconstpointer self, G_GNUC_UNUSED gint64 k, double p,
                              double log_p, double *slope)
{
    const DiceTopk *loss = self;

    *slope = -loss->topk / p;
    return -loss->topk * log_p;
}

static double dice_topk_region(gconstpointer self, G_GNUC_UNUSED gint64 k, LoomCounts n,
                               LoomCounts *slope)
{
    const DiceTopk *loss = self;
    const double value = loom_tversky(n, 0.5, loss->smooth / 2, slope);

    loom_counts_scale(slope, loss->dice);
    return loss->dice * value;
}

LOOM_KIT_LOSS(DiceTopk, "dice_topk", "Hardest voxels' cross entropy plus Dice, as in nnU-Net",
              dice_topk_params, .voxel = dice_topk_voxel, .region = dice_topk_region);
