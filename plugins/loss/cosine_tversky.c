/* cosine_tversky - Tversky index through half a cosine:
 *   L = mean of ((1 + cos(pi T)) / 2)^gamma = mean of sin(pi (1 - T) / 2)^(2 gamma)
 *   T = (TP + s) / (TP + d FN + (1 - d) FP + s)
 * The slope vanishes at T = 0 as well as at T = 1: without any overlap it is hard to start.
 * A class that is absent from the patch: T is about 0 unless p is 0 everywhere; the loss is
 * near 1 for it and its gradient near 0.
 * Source: the figure of arXiv 2102.04525 v1; its code has the sign wrong (2 at full overlap).
 */
#include <loom/loom.h>

typedef struct {
    LoomLossKit kit;
    double delta, gamma, smooth;
} CosineTversky;

static const LoomParam cosine_tversky_params[] = {
    LOOM_REGION_ROWS(CosineTversky, "true", "false"),
    LOOM_FLOAT(CosineTversky, delta, "0.7", 0, 1, NULL, "d, weight of FN; FP has 1 - d"),
    LOOM_FLOAT(CosineTversky, gamma, "1", 0.5, 10, NULL, "the power"),
    LOOM_FLOAT(CosineTversky, smooth, "1.0e-6", 1e-12, 1e6, NULL,
               "s, keeps an empty class finite"),
    {0},
};

static double cosine_tversky_region(gconstpointer self, G_GNUC_UNUSED gint64 k, LoomCounts n,
                                    LoomCounts *slope)
{
    const CosineTversky *cosine = self;
    const double angle = G_PI / 2 * loom_tversky(n, cosine->delta, cosine->smooth, slope);
    const double rise = pow(sin(angle), 2 * cosine->gamma - 1); /* power of 0 at least */

    loom_counts_scale(slope, G_PI * cosine->gamma * rise * cos(angle));
    return rise * sin(angle);
}

LOOM_KIT_LOSS(CosineTversky, "cosine_tversky", "Tversky index through half a cosine",
              cosine_tversky_params, .region = cosine_tversky_region);
