/* focal_tversky - Tversky loss raised to a power q, so that hard regions weigh more:
 *   L = mean of (1 - T)^q,  T = (TP + s) / (TP + d FN + (1 - d) FP + s)
 * where 1 - T counts as 1e-7 at least.  The original's gamma is 1 / q.  `of: mean` takes the
 * power of the mean of 1 - T instead.
 * A class that is absent from the patch: T = s / ((1 - d) P + s), about 0 unless p is 0
 * everywhere; the loss is near 1 for it and its gradient near 0.
 * Source: Abraham, Khan 2019; defaults of arXiv 2102.04525; `of: mean`: SegLoss of Ma et al. */
#include <loom/loom.h>

typedef struct {
    LoomLossKit kit;
    double delta, gamma, smooth;
    int of;
} FocalTversky;

enum { OF_REGIONS, OF_MEAN };
static const char *const of_choices[] = {"regions", "mean", NULL};

static const LoomParam focal_tversky_params[] = {
    LOOM_REGION_ROWS(FocalTversky, "true", "false"),
    LOOM_FLOAT(FocalTversky, delta, "0.7", 0, 1, NULL, "d, weight of FN; FP has 1 - d"),
    LOOM_FLOAT(FocalTversky, gamma, "0.75", 0.05, 10, NULL, "q, the power"),
    LOOM_FLOAT(FocalTversky, smooth, "1.0e-6", 1e-12, 1e6, NULL,
               "s, keeps an empty class finite"),
    LOOM_ENUM(FocalTversky, of, "regions", of_choices, "what is raised to the power"),
    {0},
};

static double focal_tversky_regions(gconstpointer self, const LoomRegions *all,
                                    LoomCounts *slope)
{
    const FocalTversky *focal = self;
    const gint64 n = all->groups * all->classes;
    double value = 0, d = 1;

    for (gint64 i = 0; i < n; i++) {
        const double loss =
            loom_tversky(all->counts[i], focal->delta, focal->smooth, &slope[i]);

        value +=
            all->share[i] * (focal->of == OF_MEAN ? loss : loom_power(loss, focal->gamma, &d));
        loom_counts_scale(&slope[i], all->share[i] * d);
    }
    if (focal->of == OF_MEAN)
        value = loom_power(value, focal->gamma, &d);
    for (gint64 i = 0; focal->of == OF_MEAN && i < n; i++)
        loom_counts_scale(&slope[i], d);
    return value;
}

LOOM_KIT_LOSS(FocalTversky, "focal_tversky", "Tversky loss to a power", focal_tversky_params,
              .regions = focal_tversky_regions);
