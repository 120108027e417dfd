/* loom/loss_kit.h - a loss as a formula and its derivative, and nothing else.
 *
 *   voxel loss    L = sum_v w_t f(p_t) / Z           t: the voxel's class, p_t its probability
 *   region loss   L = mean over classes (and samples) of g(TP, FP, FN), soft counts
 *
 * A plugin struct begins with `LoomLossKit kit;`, its rows with one of the LOOM_..._ROWS below:
 * class weights, background and pooling are then keys of it.  LOOM_KIT_LOSS writes the
 * descriptor.  A loss with both callbacks is the sum of both.  Ignored voxels are in no sum. */
#pragma once

#include <loom/plugin.h>

#include <math.h>

G_BEGIN_DECLS

enum { LOOM_DIVIDE_BY_VOXELS, LOOM_DIVIDE_BY_WEIGHTS };

/* The first member of the struct of every kit loss.  What has no row is 0: the plain case. */
typedef struct {
    LoomFloats weights;   /* of the classes; none: all 1 */
    int divide_by;        /* voxel: Z = number of voxels, or the sum of their weights */
    double top;           /* voxel: only so many percent, those of the highest loss; 0: all */
    gboolean background;  /* region: class 0 counts as well */
    gboolean batch;       /* region: one region a class over the batch; else one a sample */
    gboolean sum_classes; /* region: sum over the classes instead of the mean */
    double power;         /* region: FP and FN are sums of errors to this power; 0: 1 */
} LoomLossKit;

/* ---- rows --------------------------------------------------------------------------- */

#define LOOM_KIT_FLOAT_ROW(T, key, member, def, min, max, unit, help)                          \
    {                                                                                          \
        key, LOOM_PARAM_FLOAT, LOOM_MEMBER(T, kit.member, double), def, min, max, NULL, unit,  \
            help                                                                               \
    }
#define LOOM_KIT_BOOL_ROW(T, member, def, help)                                                \
    {                                                                                          \
#member, LOOM_PARAM_BOOL, LOOM_MEMBER(T, kit.member, gboolean), def, 0, 1, NULL, NULL, \
            help                                                                               \
    }
#define LOOM_KIT_WEIGHTS_ROW(T)                                                                \
    {                                                                                          \
        "weights", LOOM_PARAM_FLOATS, LOOM_MEMBER(T, kit.weights, LoomFloats), "[]", 0, 1e6,   \
            NULL, NULL, "one number a class: of its voxels, and of its region; empty: all 1"   \
    }
#define LOOM_KIT_DIVIDE_ROW(T, def)                                                            \
    {                                                                                          \
        "divide_by", LOOM_PARAM_ENUM, LOOM_MEMBER(T, kit.divide_by, int), def, 0, 0,           \
            (const char *const[]){"voxels", "weights", NULL}, NULL,                            \
            "the mean over voxels: by their number, or by the sum of their weights"            \
    }

/* For voxel losses; region losses; both.  Defaults of the keys, in YAML spelling. */
#define LOOM_VOXEL_ROWS(T, divide_by) LOOM_KIT_WEIGHTS_ROW(T), LOOM_KIT_DIVIDE_ROW(T, divide_by)
#define LOOM_REGION_ROWS(T, def_background, def_batch)                                         \
    LOOM_KIT_WEIGHTS_ROW(T),                                                                   \
        LOOM_KIT_BOOL_ROW(T, background, def_background, "the region of class 0 counts too"),  \
        LOOM_KIT_BOOL_ROW(T, batch, def_batch,                                                 \
                          "one region a class over the whole batch; else one a sample")
#define LOOM_COMPOUND_ROWS(T, divide_by, def_background, def_batch)                            \
    LOOM_REGION_ROWS(T, def_background, def_batch), LOOM_KIT_DIVIDE_ROW(T, divide_by)

/* Written by the losses that need them, under a key of their own. */
#define LOOM_TOP_ROW(T, key, def)                                                              \
    LOOM_KIT_FLOAT_ROW(T, key, top, def, 1e-3, 100, "percent",                                 \
                       "share of the voxels that counts: those of the highest loss")
#define LOOM_POWER_ROW(T, key, def)                                                            \
    LOOM_KIT_FLOAT_ROW(T, key, power, def, 1, 10, NULL,                                        \
                       "each error is raised to this before it is summed")
#define LOOM_SUM_CLASSES_ROW(T)                                                                \
    LOOM_KIT_BOOL_ROW(T, sum_classes, "false", "sum over the classes, not their mean")

/* The descriptor and the module: LOOM_KIT_LOSS(Mine, "mine", "My loss", mine_params,
 * .region = mine_region); further members of the plugin as .base.open = mine_open. */
#define LOOM_KIT_LOSS(T, Name, Summary, Params, ...)                                           \
    static const LoomLoss kit_loss = {.base = LOOM_LOSS(T, Name, Summary, .params = Params),   \
                                      __VA_ARGS__};                                            \
    LOOM_MODULE("loss_" Name, "0.1", &kit_loss.base)

/* ---- formulas that several losses are made of --------------------------------------- */

/* loom_tversky - 1 - T with T = (TP + s) / (TP + d FN + (1 - d) FP + s), d the weight of a
 * missed voxel; d = 1/2 is Dice, with twice this s in the form (2 TP + s) / (P + G + s).
 * Computed as (d FN + (1 - d) FP) / S: never below 0, nothing cancels. s > 0. */
static inline double loom_tversky(LoomCounts n, double delta, double smooth, LoomCounts *slope)
{
    const double error = delta * n.fn + (1 - delta) * n.fp, size = n.tp + error + smooth;
    const double loss = error / size;

    *slope = (LoomCounts){.tp = -loss / size,
                          .fp = (1 - delta) * (1 - loss) / size,
                          .fn = delta * (1 - loss) / size};
    return loss;
}

/* x^q for x >= 0, and its derivative.  Unless q is 1, x counts as 1e-7 at least: the derivative
 * of a power below 1 stays finite at 0. */
static inline double loom_power(double x, double q, double *slope)
{
    const double floored = x < 1e-7 ? 1e-7 : x, value = pow(floored, q);

    *slope = q == 1 ? 1 : q * value / floored;
    return q == 1 ? x : value;
}

static inline void loom_counts_scale(LoomCounts *slope, double factor)
{
    *slope = (LoomCounts){slope->tp * factor, slope->fp * factor, slope->fn * factor};
}

/* loom_focal - (1 - p)^gamma (-log p), and its derivative by p; gamma = 0 is cross entropy. */
static inline double loom_focal(double p, double log_p, double gamma, double *slope)
{
    const double miss = 1 - p;
    /* miss^(gamma - 1), without a call of pow in the common cases */
    const double part = gamma == 0     ? 1 / miss
                        : gamma == 0.5 ? 1 / sqrt(miss)
                        : gamma == 2   ? miss
                                       : pow(miss, gamma - 1);

    *slope = part * (gamma * log_p - miss / p);
    return -part * miss * log_p;
}

G_END_DECLS
