/* loss_differences - the gradient of a loss against central differences of its value:
 *   dL/dz_i = (L(z + h e_i) - L(z - h e_i)) / 2h + O(h^2) */
#include "check.h"

#include <loom/tensor.h>

#include <math.h>

#define STEP 1e-2f
#define STEP_NEAR_KINK 1e-3f
#define KINKS 8 /* one coordinate in so many may have one */

char *loom_check_place(const LoomTensor *logits, gint64 i)
{
    const gint64 *shape = loom_tensor_shape(logits);
    gint64 at[5];

    for (int axis = 4; axis >= 0; axis--) {
        at[axis] = i % shape[axis];
        i /= shape[axis];
    }
    return g_strdup_printf("sample %d, class %d, voxel (d,h,w) = (%d,%d,%d)", (int)at[0],
                           (int)at[1], (int)at[2], (int)at[3], (int)at[4]);
}

gboolean loom_loss_all_finite(double value, const LoomTensor *gradient, GError **error)
{
    if (!isfinite(value))
        return loom_fail(error, LOOM_ERROR_NUMERIC, "the value is %g, want a finite number",
                         value);
    for (gint64 i = 0; gradient && i < loom_tensor_count(gradient); i++)
        if (!isfinite(loom_tensor_f32(gradient)[i])) {
            g_autofree char *place = loom_check_place(gradient, i);

            return loom_fail(error, LOOM_ERROR_NUMERIC,
                             "%s: the gradient is %g, want a finite number", place,
                             (double)loom_tensor_f32(gradient)[i]);
        }
    return TRUE;
}

gboolean loom_loss_eval_finite(const LoomInstance *loss, const LoomTensor *logits,
                               const LoomTensor *target, double *value, LoomTensor *dlogits,
                               GError **error)
{
    g_autoptr(GError) cause = NULL;

    *value = NAN;
    const gboolean done = loom_loss_eval(loss, logits, target, value, dlogits, &cause);
    if (!loom_instance_honest(loss, !done, "eval", &cause) || !done) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return FALSE;
    }
    return loom_loss_all_finite(*value, dlogits, error);
}

typedef struct {
    const LoomInstance *loss;
    LoomTensor *logits;
    const LoomTensor *target;
    double middle; /* the value where nothing is moved */
} Place;

typedef struct {
    double central, lowest, highest; /* of the differences to both sides */
} Slope;

static gboolean slope_at(const Place *place, gint64 i, float step, Slope *slope, GError **error)
{
    float *z = loom_tensor_f32_mut(place->logits);
    const float before = z[i], above = before + step, below = before - step;
    double up = NAN, down = NAN;

    z[i] = above;
    gboolean good =
        loom_loss_eval_finite(place->loss, place->logits, place->target, &up, NULL, error);
    z[i] = below;
    good =
        good
        && loom_loss_eval_finite(place->loss, place->logits, place->target, &down, NULL, error);
    z[i] = before;
    const double right = (up - place->middle) / ((double)above - (double)before);
    const double left = (place->middle - down) / ((double)before - (double)below);
    *slope = (Slope){(up - down) / ((double)above - (double)below), fmin(left, right),
                     fmax(left, right)};
    return good;
}

gboolean loom_loss_differences(const LoomInstance *loss, LoomTensor *logits,
                               const LoomTensor *target, LoomDifferences *sum, GError **error)
{
    const gint64 count = loom_tensor_count(logits);
    g_autoptr(LoomTensor) dlogits = loom_tensor_new_like(logits, error);
    Place place = {loss, logits, target, 0};
    gint64 wrong = 0, kinks = 0, at = 0;
    double largest = 0, worst = 0, wanted = 0;

    if (!dlogits || !loom_loss_eval_finite(loss, logits, target, &place.middle, dlogits, error))
        return FALSE;
    const float *g = loom_tensor_f32(dlogits);
    for (gint64 i = 0; i < count; i++)
        largest = fmax(largest, fabs((double)g[i]));
    const double tolerance = 1e-3 * largest + 1e-5;
    for (gint64 i = 0; i < count; i++) {
        const double found = (double)g[i];
        Slope slope, closer;

        if (!slope_at(&place, i, STEP, &slope, error))
            return FALSE;
        const double off = fabs(found - slope.central);
        if (off <= tolerance) {
            sum->worst = fmax(sum->worst, largest > 0 ? off / largest : 0);
            continue;
        }
        if (!slope_at(&place, i, STEP_NEAR_KINK, &closer, error))
            return FALSE;
        if (fabs(found - closer.central) <= 3 * tolerance)
            continue; /* the kink lies between the steps */
        const gboolean between =
            found >= slope.lowest - tolerance && found <= slope.highest + tolerance;
        kinks += between ? 1 : 0;
        wrong += between ? 0 : 1;
        if (!between && off > worst) {
            worst = off;
            wanted = slope.central;
            at = i;
        }
    }
    sum->tried += count;
    sum->kinks += kinks;
    if (wrong) {
        g_autofree char *where = loom_check_place(logits, at);

        return loom_fail(error, LOOM_ERROR_NUMERIC,
                         "%s: the gradient is %.6g, want %.6g by differences of the value; "
                         "%d of %d are wrong, this one most",
                         where, (double)g[at], wanted, (int)wrong, (int)count);
    }
    if (kinks > count / KINKS + 1)
        return loom_fail(error, LOOM_ERROR_NUMERIC,
                         "%d of %d gradients differ from central differences and lie between "
                         "those of both sides: too many for kinks",
                         (int)kinks, (int)count);
    return TRUE;
}
