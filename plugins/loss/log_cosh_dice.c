/* log_cosh_dice - the Dice loss made smooth near 0:
 *   L = log cosh(mean of 1 - D),  D = (TP + s) / (TP + FN / 2 + FP / 2 + s)
 * A class that is absent from the patch: D is about 0 unless p is 0 everywhere; 1 - D is near 1
 * for it and its gradient near 0.
 * Source: Jadon 2020; mean over classes and samples as in the Dice of arXiv 2102.04525. */
#include <loom/loom.h>

typedef struct {
    LoomLossKit kit;
    double smooth;
} LogCosh;

static const LoomParam log_cosh_params[] = {
    LOOM_REGION_ROWS(LogCosh, "true", "false"),
    LOOM_FLOAT(LogCosh, smooth, "1.0e-6", 1e-12, 1e6, NULL, "s, keeps an empty class finite"),
    {0},
};

static double log_cosh_regions(gconstpointer self, const LoomRegions *all, LoomCounts *slope)
{
    const LogCosh *log_cosh = self;
    const gint64 n = all->groups * all->classes;
    double loss = 0;

    for (gint64 i = 0; i < n; i++)
        loss += all->share[i] * loom_tversky(all->counts[i], 0.5, log_cosh->smooth, &slope[i]);
    for (gint64 i = 0; i < n; i++)
        loom_counts_scale(&slope[i], all->share[i] * tanh(loss));
    return log(cosh(loss));
}

LOOM_KIT_LOSS(LogCosh, "log_cosh_dice", "Log-cosh of the Dice loss", log_cosh_params,
              .regions = log_cosh_regions);
