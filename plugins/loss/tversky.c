/* tversky - overlap loss that can weigh missed voxels above false ones:
 *   L = mean of 1 - T,  T = (TP + s) / (TP + d FN + (1 - d) FP + s)
 * A class that is absent from the patch: T = s / ((1 - d) P + s), about 0 unless p is 0
 * everywhere; the loss is near 1 for it and its gradient near 0.
 * Source: Salehi et al. 2017; d = 0.7 on FN and every class counted, as in arXiv 2102.04525. */
#include <loom/loom.h>

typedef struct {
    LoomLossKit kit;
    double delta, smooth;
} Tversky;

static const LoomParam tversky_params[] = {
    LOOM_REGION_ROWS(Tversky, "true", "false"),
    LOOM_FLOAT(Tversky, delta, "0.7", 0, 1, NULL, "d, weight of FN; FP has 1 - d"),
    LOOM_FLOAT(Tversky, smooth, "1.0e-6", 1e-12, 1e6, NULL, "s, keeps an empty class finite"),
    {0},
};

static double tversky_region(gconstpointer self, G_GNUC_UNUSED gint64 k, LoomCounts n,
                             LoomCounts *slope)
{
    const Tversky *tversky = self;

    return loom_tversky(n, tversky->delta, tversky->smooth, slope);
}

LOOM_KIT_LOSS(Tversky, "tversky", "Tversky overlap loss", tversky_params,
              .region = tversky_region);
