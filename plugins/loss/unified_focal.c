/* unified_focal - focal Tversky and focal loss under one delta and one gamma:
 *   L = lambda mean of (1 - T)^q_k + (1 - lambda) mean of w_t (1 - p_t)^e_t (-log p_t)
 *   T = (TP + s) / (TP + d FN + (1 - d) FP + s), where 1 - T counts as 1e-7 at least for q < 1
 *
 *   class       w       asymmetric: e, q   symmetric: e, q    with paper_exponents: e, q
 *   suppressed  1 - d   gamma, 1           gamma, 1 - gamma   1 - gamma, gamma
 *   enhanced    d       0, 1 - gamma       gamma, 1 - gamma   1 - gamma, gamma
 *
 * All classes that are not in `suppressed` are enhanced; with two classes this is the paper's.
 * Where paper and code differ, the authors' code is the default: `paper_lambda` puts lambda on
 * the focal part, `sum_classes` sums (1 - T)^q over the classes.
 * A class that is absent from the patch: its overlap part is near 1 with a gradient near 0; the
 * focal part goes on pushing it down.
 * Source: Yeung et al. 2022, arXiv 2102.04525 v4; code of May 2022; the author's words on more
 * than two classes: suppress the background only. */
#include <loom/loom.h>

typedef struct {
    LoomLossKit kit;
    int form;
    double lambda, delta, gamma, smooth;
    LoomInts suppressed;
    gboolean paper_lambda, paper_exponents;
    gboolean is_suppressed[LOOM_IGNORED]; /* by class */
} UnifiedFocal;

enum { ASYMMETRIC, SYMMETRIC };
static const char *const form_choices[] = {"asymmetric", "symmetric", NULL};

static const LoomParam unified_focal_params[] = {
    LOOM_COMPOUND_ROWS(UnifiedFocal, "voxels", "true", "false"),
    LOOM_SUM_CLASSES_ROW(UnifiedFocal),
    LOOM_ENUM(UnifiedFocal, form, "asymmetric", form_choices,
              "suppress and enhance different classes, or treat all alike"),
    LOOM_FLOAT(UnifiedFocal, lambda, "0.5", 0, 1, NULL, "weight of the Tversky part"),
    LOOM_FLOAT(UnifiedFocal, delta, "0.6", 0, 1, NULL,
               "d, weight of FN and of enhanced voxels"),
    LOOM_FLOAT(UnifiedFocal, gamma, "0.5", 0, 1, NULL, "how strongly to focus; 0: not at all"),
    LOOM_FLOAT(UnifiedFocal, smooth, "1.0e-7", 1e-12, 1e6, NULL,
               "s, keeps an empty class finite"),
    LOOM_INTS(UnifiedFocal, suppressed, "[0]", 0, LOOM_IGNORED - 1, NULL, "the common classes"),
    LOOM_BOOL(UnifiedFocal, paper_lambda, "false", "lambda is the weight of the focal part"),
    LOOM_BOOL(UnifiedFocal, paper_exponents, "false", "symmetric: gamma and 1 - gamma swapped"),
    {0},
};

static gboolean unified_focal_open(gpointer self, G_GNUC_UNUSED LoomHost *host, GError **error)
{
    UnifiedFocal *unified = self;

    for (guint i = 0; i < unified->suppressed.n; i++)
        unified->is_suppressed[unified->suppressed.v[i]] = TRUE;
    if (unified->paper_exponents && unified->form == ASYMMETRIC)
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "'paper_exponents' is for 'form: symmetric': the paper and the code "
                         "agree on the asymmetric exponents");
    const double power = unified->paper_exponents ? unified->gamma : 1 - unified->gamma;
    if (power < 0.05)
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "'gamma: %g' leaves 1 - T with a power of %g, want at least 0.05",
                         unified->gamma, power);
    return TRUE;
}

static double unified_focal_voxel(gconstpointer self, gint64 k, double p, double log_p,
                                  double *slope)
{
    const UnifiedFocal *unified = self;
    const gboolean suppressed = unified->is_suppressed[k];
    const double weight = (suppressed ? 1 - unified->delta : unified->delta)
                          * (unified->paper_lambda ? unified->lambda : 1 - unified->lambda);
    const double focus = unified->form == ASYMMETRIC ? (suppressed ? unified->gamma : 0)
                         : unified->paper_exponents  ? 1 - unified->gamma
                                                     : unified->gamma;
    const double value = loom_focal(p, log_p, focus, slope);

    *slope *= weight;
    return weight * value;
}

static double unified_focal_region(gconstpointer self, gint64 k, LoomCounts n,
                                   LoomCounts *slope)
{
    const UnifiedFocal *unified = self;
    const double weight = unified->paper_lambda ? 1 - unified->lambda : unified->lambda;
    const double power = unified->form == ASYMMETRIC && unified->is_suppressed[k] ? 1
                         : unified->paper_exponents ? unified->gamma
                                                    : 1 - unified->gamma;
    const double error = loom_tversky(n, unified->delta, unified->smooth, slope);
    double d;
    const double value = loom_power(error, power, &d);

    loom_counts_scale(slope, weight * d);
    return weight * value;
}

LOOM_KIT_LOSS(UnifiedFocal, "unified_focal", "Focal Tversky and focal loss, unified",
              unified_focal_params, .base.open = unified_focal_open,
              .voxel = unified_focal_voxel, .region = unified_focal_region);
