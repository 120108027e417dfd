/* dice - soft Dice loss: 1 - mean of D over classes (and samples, unless pooled),
 *   D = (2 TP + s) / (P + G + s) = (2 TP + s) / (2 TP + FP + FN + s)
 * A class that is absent from the patch: D = s / (P + s), about 0 unless p is 0 everywhere; the
 * loss is near 1 for it and its gradient near 0.
 * Source: Isensee et al. 2021 (nnU-Net), MemoryEfficientSoftDiceLoss, without the sign. */
#include <loom/loom.h>

typedef struct {
    LoomLossKit kit;
    double smooth;
} Dice;

static const LoomParam dice_params[] = {
    LOOM_REGION_ROWS(Dice, "false", "true"),
    LOOM_FLOAT(Dice, smooth, "1.0e-5", 1e-9, 1e6, NULL, "s, keeps an empty class finite"),
    {0},
};

static double dice_region(gconstpointer self, G_GNUC_UNUSED gint64 k, LoomCounts n,
                          LoomCounts *slope)
{
    const Dice *dice = self;

    return loom_tversky(n, 0.5, dice->smooth / 2, slope);
}

LOOM_KIT_LOSS(Dice, "dice", "Soft Dice overlap loss", dice_params, .region = dice_region);
