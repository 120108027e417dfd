/* focal_dice - an overlap loss with a power, in two forms:
 *   of: error    mean of (1 - T)^q   the part of Mixed Focal; 1 - T counts as 1e-7 at least
 *   of: overlap  mean of 1 - T^q     Wang and Chung, whose beta is 1 / q, with d = 0.5
 *   T = (TP + s) / (TP + d FN + (1 - d) FP + s)
 * A class that is absent from the patch: T is about 0 unless p is 0 everywhere; the loss is
 * near 1 for it and its gradient near 0 (in proportion to T^q for `overlap`).
 * Source: arXiv 2102.04525 v1 and its code; Wang, Chung 2018, as in PyMIC. */
#include <loom/loom.h>

typedef struct {
    LoomLossKit kit;
    double delta, gamma, smooth;
    int of;
} FocalDice;

enum { OF_ERROR, OF_OVERLAP };
static const char *const of_choices[] = {"error", "overlap", NULL};

static const LoomParam focal_dice_params[] = {
    LOOM_REGION_ROWS(FocalDice, "true", "false"),
    LOOM_FLOAT(FocalDice, delta, "0.7", 0, 1, NULL, "d, weight of FN; FP has 1 - d"),
    LOOM_FLOAT(FocalDice, gamma, "0.75", 0.05, 10, NULL, "q, the power"),
    LOOM_FLOAT(FocalDice, smooth, "1.0e-6", 1e-12, 1e6, NULL, "s, keeps an empty class finite"),
    LOOM_ENUM(FocalDice, of, "error", of_choices, "what is raised to the power"),
    {0},
};

static double focal_dice_region(gconstpointer self, G_GNUC_UNUSED gint64 k, LoomCounts n,
                                LoomCounts *slope)
{
    const FocalDice *focal = self;
    const double error = loom_tversky(n, focal->delta, focal->smooth, slope);
    const double x = focal->of == OF_ERROR ? error : 1 - error;
    double d;
    const double power = loom_power(x, focal->gamma, &d);

    loom_counts_scale(slope, d); /* the signs of 1 - T and of 1 - T^q cancel */
    return focal->of == OF_ERROR ? power : 1 - power;
}

LOOM_KIT_LOSS(FocalDice, "focal_dice", "Overlap loss with a power", focal_dice_params,
              .region = focal_dice_region);
