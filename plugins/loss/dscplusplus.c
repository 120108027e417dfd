/* dscplusplus - Dice whose errors count by a power of their size, for better calibrated p:
 *   L = mean of 1 - Q,  Q = (2 TP + s) / (2 TP + sum (y (1 - p))^g + sum ((1 - y) p)^g + s)
 * A class that is absent from the patch: Q = s / (sum p^g + s), about 0 unless p is 0
 * everywhere; the loss is near 1 for it and its gradient near 0.
 * Source: Yeung et al. 2022 (DSC++), authors' code; its clip of y and p is not needed here. */
#include <loom/loom.h>

typedef struct {
    LoomLossKit kit;
    double smooth;
} DscPlusPlus;

static const LoomParam dscplusplus_params[] = {
    LOOM_REGION_ROWS(DscPlusPlus, "true", "false"),
    LOOM_POWER_ROW(DscPlusPlus, "gamma", "2"),
    LOOM_FLOAT(DscPlusPlus, smooth, "1.0e-7", 1e-12, 1e6, NULL,
               "s, keeps an empty class finite"),
    {0},
};

static double dscplusplus_region(gconstpointer self, G_GNUC_UNUSED gint64 k, LoomCounts n,
                                 LoomCounts *slope)
{
    const DscPlusPlus *dsc = self;

    return loom_tversky(n, 0.5, dsc->smooth / 2, slope);
}

LOOM_KIT_LOSS(DscPlusPlus, "dscplusplus", "Dice with errors to a power (DSC++)",
              dscplusplus_params, .region = dscplusplus_region);
