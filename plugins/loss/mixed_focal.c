/* mixed_focal - focal Dice plus focal loss, the first version of Unified Focal:
 *   L = mean of (1 - T)^q + mean of w_t (1 - p_t)^gamma (-log p_t)
 *   T = (TP + s) / (TP + d FN + (1 - d) FP + s), where 1 - T counts as 1e-7 at least
 * With `balance: x` the first part is multiplied by x and the second by 1 - x.
 * A class that is absent from the patch: its overlap part is near 1 with a gradient near 0; the
 * focal part goes on pushing it down.
 * Source: Yeung et al. 2021, arXiv 2102.04525 v1 (also called Hybrid Focal), authors' code. */
#include <loom/loom.h>

typedef struct {
    LoomLossKit kit;
    LoomFloats balance;
    double delta, gamma_dice, gamma_focal, smooth;
} MixedFocal;

static const LoomParam mixed_focal_params[] = {
    LOOM_COMPOUND_ROWS(MixedFocal, "voxels", "true", "false"),
    LOOM_FLOATS(MixedFocal, balance, "[]", 0, 1, NULL, "x, one number; empty: the plain sum"),
    LOOM_FLOAT(MixedFocal, delta, "0.7", 0, 1, NULL, "d, weight of FN; FP has 1 - d"),
    LOOM_FLOAT(MixedFocal, gamma_dice, "0.75", 0.05, 10, NULL,
               "q, the power of the overlap part"),
    LOOM_FLOAT(MixedFocal, gamma_focal, "2", 0, 10, NULL,
               "gamma, how little easy voxels count"),
    LOOM_FLOAT(MixedFocal, smooth, "1.0e-6", 1e-12, 1e6, NULL,
               "s, keeps an empty class finite"),
    {0},
};

static gboolean mixed_focal_open(gpointer self, G_GNUC_UNUSED LoomHost *host, GError **error)
{
    const MixedFocal *mixed = self;

    return mixed->balance.n <= 1
           || loom_fail(error, LOOM_ERROR_CONFIG, "'balance' has %u numbers, want one or none",
                        mixed->balance.n);
}

static double mixed_focal_voxel(gconstpointer self, G_GNUC_UNUSED gint64 k, double p,
                                double log_p, double *slope)
{
    const MixedFocal *mixed = self;
    const double share = mixed->balance.n ? 1 - mixed->balance.v[0] : 1;
    const double value = loom_focal(p, log_p, mixed->gamma_focal, slope);

    *slope *= share;
    return share * value;
}

static double mixed_focal_region(gconstpointer self, G_GNUC_UNUSED gint64 k, LoomCounts n,
                                 LoomCounts *slope)
{
    const MixedFocal *mixed = self;
    const double share = mixed->balance.n ? mixed->balance.v[0] : 1;
    const double error = loom_tversky(n, mixed->delta, mixed->smooth, slope);
    double d;
    const double value = loom_power(error, mixed->gamma_dice, &d);

    loom_counts_scale(slope, share * d);
    return share * value;
}

LOOM_KIT_LOSS(MixedFocal, "mixed_focal", "Focal Dice plus focal loss (v1 of Unified Focal)",
              mixed_focal_params, .base.open = mixed_focal_open, .voxel = mixed_focal_voxel,
              .region = mixed_focal_region);
