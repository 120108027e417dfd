/* check.h - what a plugin promises, one check a promise: `segloom plugin test` and the contract
 * tests call the same functions. */
#pragma once

#include "instance.h"

typedef struct {
    const char *name;
    /* @found: gains what was measured, one line for people.  FALSE: the promise is broken, and
     * @error says where, what was found and what was wanted. */
    gboolean (*run)(const LoomInstance *instance, GString *found, GError **error);
    gboolean tables; /* looks at the descriptor alone: the instance need not be opened */
} LoomCheck;

/* They end with {0}; (transfer none).  The instance is opened, of that kind. */
const LoomCheck *loom_loss_checks(void);
const LoomCheck *loom_metric_checks(void);
const LoomCheck *loom_stage_checks(void);

/* Milliseconds of a value with its gradient on 2 samples of 3 classes and 40x56x40 voxels, of
 * two losses in turn: the shortest of several. */
gboolean loom_loss_times(const LoomInstance *const losses[2], double milliseconds[2],
                         GError **error);

/* ---- gradients ---------------------------------------------------------------------- */

typedef struct {
    gint64 tried, kinks;
    double worst; /* largest |found - wanted| as a share of the largest gradient */
} LoomDifferences;

/* loom_loss_differences - the gradient of a loss against central differences of its value
 * @logits: f32 (N,C,D,H,W), moved and put back; @target: u8 (N,D,H,W)
 * @sum: gains the numbers of this call
 * FALSE with the worst voxel in @error, or when the loss fails.
 *
 * h = 1e-2.  The value is computed from float32 probabilities, so a difference has an error of
 * about 1e-7 / 2h = 5e-6 a sample of the mean, and one of h^2 / 6 of the third derivative, at
 * most 2e-5 of a gradient's size: together below 1e-3 of the largest gradient, plus 1e-5 where
 * all are small.  Where it differs, the value may have a kink nearby (a maximum): then h = 1e-3
 * decides, whose difference has 10 times the error of rounding and is granted 3 times the
 * tolerance.  Where that differs as well, as at a jump (a threshold), the gradient has to lie
 * between the differences of both sides; that is granted to one coordinate in 8. */
gboolean loom_loss_differences(const LoomInstance *loss, LoomTensor *logits,
                               const LoomTensor *target, LoomDifferences *sum, GError **error);
/* loom_loss_eval, but a value or a gradient that is not finite is an error with its voxel, and
 * so is a loss that fails without an error.  @dlogits may be NULL. */
gboolean loom_loss_eval_finite(const LoomInstance *loss, const LoomTensor *logits,
                               const LoomTensor *target, double *value, LoomTensor *dlogits,
                               GError **error);
/* FALSE, with the voxel, where one of them is not finite; @gradient (N,C,D,H,W) may be NULL. */
gboolean loom_loss_all_finite(double value, const LoomTensor *gradient, GError **error);
/* "sample 0, class 1, voxel (d,h,w) = (0,2,1)" of element @i of (N,C,D,H,W); (transfer full).
 */
char *loom_check_place(const LoomTensor *logits, gint64 i);
