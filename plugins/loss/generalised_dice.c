/* generalised_dice - Dice whose classes weigh by the inverse square of their size G = TP + FN:
 *   L = mean over samples of 1 - 2 I / U,  w = 1 / (G + e)^2
 *   I = sum_k w TP + e,  U = sum_k w (2 TP + FP + FN) + e
 * A class that is absent from the sample (G < 1/2 voxel) is left out of both sums.  With
 * `absent: count` it has the weight 1 / e^2 and the loss is about nothing else, as in the
 * papers' own code; training can collapse on that.  A sample without any class has the loss 0.
 * Source: Sudre et al. 2017. */
#include <loom/loom.h>

typedef struct {
    LoomLossKit kit;
    double epsilon;
    int absent;
} Generalised;

enum { ABSENT_SKIP, ABSENT_COUNT };
static const char *const absent_choices[] = {"skip", "count", NULL};

static const LoomParam generalised_params[] = {
    LOOM_REGION_ROWS(Generalised, "true", "false"),
    LOOM_FLOAT(Generalised, epsilon, "1.0e-10", 1e-12, 1, NULL,
               "e, keeps the quotients finite"),
    LOOM_ENUM(Generalised, absent, "skip", absent_choices, "a class that a sample has not"),
    {0},
};

/* 1 - 2 I / U of one sample, as (sum w (FP + FN) - e) / U, and its slopes; G does not move. */
static double generalised_one(const Generalised *self, gint64 classes, const LoomCounts *n,
                              const double *share, LoomCounts *slope)
{
    double errors = 0, size = self->epsilon;

    for (gint64 k = 0; k < classes; k++) {
        const double g = n[k].tp + n[k].fn + self->epsilon;
        const gboolean counted = g >= 0.5 || self->absent == ABSENT_COUNT;

        slope[k].tp = counted ? share[k] / (g * g) : 0; /* w, until U is known */
        errors += slope[k].tp * (n[k].fp + n[k].fn);
        size += slope[k].tp * (2 * n[k].tp + n[k].fp + n[k].fn);
    }
    if (size <= self->epsilon)
        return 0; /* no class, hence no slope */
    const double loss = (errors - self->epsilon) / size;
    for (gint64 k = 0; k < classes; k++) {
        const double w = slope[k].tp / size;

        slope[k] =
            (LoomCounts){.tp = -2 * w * loss, .fp = w * (1 - loss), .fn = w * (1 - loss)};
    }
    return loss;
}

static double generalised_regions(gconstpointer self, const LoomRegions *all, LoomCounts *slope)
{
    double value = 0;

    for (gint64 i = 0; i < all->groups; i++) {
        const gint64 at = i * all->classes;

        value +=
            generalised_one(self, all->classes, all->counts + at, all->share + at, slope + at)
            / (double)all->groups;
        for (gint64 k = at; k < at + all->classes; k++)
            loom_counts_scale(&slope[k], 1 / (double)all->groups);
    }
    return value;
}

LOOM_KIT_LOSS(Generalised, "generalised_dice", "Dice with classes weighted by their size",
              generalised_params, .regions = generalised_regions);
