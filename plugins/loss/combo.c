/* combo - weighted cross entropy plus Dice:
 *   L = a mean of b_t (-log p_t) + (1 - a) (1 - mean of D)
 *   b_0 = 1 - b, b_k = b for k >= 1,  D = (TP + s) / (TP + FN / 2 + FP / 2 + s)
 * b above 1/2 punishes missed foreground, as the paper says; the code of arXiv 2102.04525 puts
 * b on the background instead, and takes two classes only.
 * A class that is absent from the patch: its Dice part is near 1 with a gradient near 0; cross
 * entropy goes on pushing it down.
 * Source: Taghanaki et al. 2019; defaults of arXiv 2102.04525, whose value is less by 1 - a. */
#include <loom/loom.h>

typedef struct {
    LoomLossKit kit;
    double alpha, beta, smooth;
} Combo;

static const LoomParam combo_params[] = {
    LOOM_COMPOUND_ROWS(Combo, "voxels", "true", "false"),
    LOOM_FLOAT(Combo, alpha, "0.5", 0, 1, NULL, "a, weight of cross entropy; Dice has 1 - a"),
    LOOM_FLOAT(Combo, beta, "0.5", 0, 1, NULL,
               "b, weight of foreground voxels; others have 1 - b"),
    LOOM_FLOAT(Combo, smooth, "1.0e-6", 1e-12, 1e6, NULL, "s, keeps an empty class finite"),
    {0},
};

static double combo_voxel(gconstpointer self, gint64 k, double p, double log_p, double *slope)
{
    const Combo *combo = self;
    const double weight = combo->alpha * (k ? combo->beta : 1 - combo->beta);

    *slope = -weight / p;
    return -weight * log_p;
}

static double combo_region(gconstpointer self, G_GNUC_UNUSED gint64 k, LoomCounts n,
                           LoomCounts *slope)
{
    const Combo *combo = self;
    const double value = loom_tversky(n, 0.5, combo->smooth, slope);

    loom_counts_scale(slope, 1 - combo->alpha);
    return (1 - combo->alpha) * value;
}

LOOM_KIT_LOSS(Combo, "combo", "Weighted cross entropy plus Dice", combo_params,
              .voxel = combo_voxel, .region = combo_region);
