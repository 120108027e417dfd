/* loss_check - what every loss promises: a gradient that belongs to its value, finite numbers
 * wherever probabilities and labels may lead, and a value that depends on nothing else. */
#include "check.h"
#include "loss_case.h"

#include <loom/tensor.h>

#include <math.h>
#include <string.h>

/* ---- gradient ----------------------------------------------------------------------- */

static void differences_say(const LoomDifferences *sum, GString *found)
{
    g_string_append_printf(found, "%d differences, largest error %.1e of the largest gradient",
                           (int)sum->tried, sum->worst);
    if (sum->kinks)
        g_string_append_printf(found, ", %d at a kink", (int)sum->kinks);
}

static gboolean random_case(const LoomInstance *loss, LoomCaseShape shape, gint64 without,
                            LoomDifferences *sum, GError **error)
{
    g_autoptr(LoomTensor) logits = loom_case_logits(shape, (guint64)shape[1], 2);
    g_autoptr(LoomTensor) target = loom_case_labels(shape, (guint64)shape[1], without);

    if (loom_loss_differences(loss, logits, target, sum, error))
        return TRUE;
    g_prefix_error(error, "%d classes: ", (int)shape[1]);
    return FALSE;
}

static gboolean check_gradient(const LoomInstance *loss, GString *found, GError **error)
{
    static LoomCaseShape shapes[] = {
        {2, 2, 2, 3, 2}, {2, 3, 2, 3, 2}, {2, 4, 2, 3, 2}, {2, 5, 2, 3, 2}, {1, 3, 3, 5, 7}};
    LoomDifferences sum = {0};

    for (guint i = 0; i < G_N_ELEMENTS(shapes); i++)
        if (!random_case(loss, shapes[i], -1, &sum, error))
            return FALSE;
    g_string_append(found, "2 to 5 classes: ");
    differences_say(&sum, found);
    return TRUE;
}

/* Probabilities within 1e-1, and within 1e-4, of 0 and 1, some of them right and some wrong. */
static gboolean check_corners(const LoomInstance *loss, GString *found, GError **error)
{
    static LoomCaseShape shape = {1, 3, 2, 2, 3};
    static const float heights[] = {3, 10};
    LoomDifferences sum = {0};

    for (guint i = 0; i < G_N_ELEMENTS(heights); i++) {
        g_autoptr(LoomTensor) logits = loom_case_logits(shape, 3, 0.1);
        g_autoptr(LoomTensor) believed = loom_case_labels(shape, 4, -1);
        g_autoptr(LoomTensor) target = loom_case_labels(shape, 5, -1);

        loom_case_believe(logits, believed, 0, heights[i]);
        if (!loom_loss_differences(loss, logits, target, &sum, error)) {
            g_prefix_error(error, "probabilities within %s of 0 and 1: ", i ? "1e-4" : "0.1");
            return FALSE;
        }
    }
    g_string_append(found, "near one-hot: ");
    differences_say(&sum, found);
    return TRUE;
}

/* A patch without the tumour is the usual case, not the odd one. */
static gboolean check_absent(const LoomInstance *loss, GString *found, GError **error)
{
    static LoomCaseShape two = {1, 2, 2, 3, 3}, three = {2, 3, 2, 2, 3};
    LoomDifferences sum = {0};

    for (gint64 k = 0; k < 5; k++) {
        const gint64 without = k < 2 ? k : k - 2;

        if (!random_case(loss, k < 2 ? two : three, without, &sum, error)) {
            g_prefix_error(error, "no voxel of class %d: ", (int)without);
            return FALSE;
        }
    }
    g_string_append(found, "each class in turn: ");
    differences_say(&sum, found);
    return TRUE;
}

/* ---- values ------------------------------------------------------------------------- */

/* Probabilities that are exactly 0 and 1, where the loss takes any: the softmax alone stops at
 * 1e-38. */
static gboolean hard_case(const LoomInstance *loss, const LoomTensor *target, gint64 shift,
                          GError **error)
{
    static LoomCaseShape shape = {1, 3, 2, 3, 2};
    const LoomLoss *plugin = (const LoomLoss *)loss->plugin;
    g_autoptr(LoomTensor) p = loom_tensor_new(LOOM_F32, "NCDHW", shape, NULL);
    g_autoptr(LoomTensor) grad = loom_tensor_new_like(p, NULL);
    g_autoptr(GError) cause = NULL;
    double value = NAN;

    if (!plugin->eval || plugin->input != LOOM_LOSS_ON_PROBS)
        return TRUE;
    loom_case_believe(p, target, shift, 1);
    const gboolean done = plugin->eval(loss->self, p, target, &value, grad, &cause);
    if (!loom_instance_honest(loss, !done, "eval", &cause) || !done) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return FALSE;
    }
    return loom_loss_all_finite(value, grad, error);
}

/* Logits so far apart that probabilities are 0 and 1: right everywhere, and wrong everywhere in
 * each way; of a mixture, of background alone, of the last class alone. */
static gboolean check_finite(const LoomInstance *loss, GString *found, GError **error)
{
    static LoomCaseShape shape = {1, 3, 2, 3, 2};
    static const char *const classes[] = {"all classes", "background alone", "class 2 alone"};
    double lowest = INFINITY, highest = -INFINITY;

    for (gint64 i = 0; i < 9; i++) {
        g_autoptr(LoomTensor) target = loom_case_labels(shape, 6, -1);
        g_autoptr(LoomTensor) logits = loom_case_logits(shape, 7, 1);
        g_autoptr(LoomTensor) dlogits = loom_tensor_new_like(logits, NULL);
        double value;

        if (i / 3)
            memset(loom_tensor_u8_mut(target), i / 3 == 1 ? 0 : 2, loom_tensor_bytes(target));
        loom_case_believe(logits, target, i % 3, 1e4f);
        if (!loom_loss_eval_finite(loss, logits, target, &value, dlogits, error)
            || !hard_case(loss, target, i % 3, error)) {
            g_prefix_error(error, "p = 0 and 1, %s, %s: ",
                           i % 3 ? "wrong everywhere" : "right everywhere", classes[i / 3]);
            return FALSE;
        }
        lowest = fmin(lowest, value);
        highest = fmax(highest, value);
    }
    g_string_append_printf(found, "p = 0 and 1, right and wrong: values from %.4g to %.4g",
                           lowest, highest);
    return TRUE;
}

static gboolean bytes_equal(const LoomTensor *a, const LoomTensor *b)
{
    const void *x =
        loom_tensor_dtype(a) == LOOM_U8 ? (const void *)loom_tensor_u8(a) : loom_tensor_f32(a);
    const void *y =
        loom_tensor_dtype(b) == LOOM_U8 ? (const void *)loom_tensor_u8(b) : loom_tensor_f32(b);

    return memcmp(x, y, loom_tensor_bytes(a)) == 0;
}

static gboolean same_value(double found, double wanted, const char *when, GError **error)
{
    return found == wanted
           || loom_fail(error, LOOM_ERROR_PLUGIN, "the value is %.17g %s, and %.17g without",
                        found, when, wanted);
}

/* The same call gives the same bits, whether a gradient is asked for, and whatever else was
 * evaluated in between; and what the loss was given to read is not changed. */
static gboolean check_repeat(const LoomInstance *loss, GString *found, GError **error)
{
    static LoomCaseShape shape = {2, 4, 3, 17, 11}, other = {1, 2, 5, 3, 2};
    g_autoptr(LoomTensor) logits = loom_case_logits(shape, 8, 3),
                          small = loom_case_logits(other, 9, 3);
    g_autoptr(LoomTensor) target = loom_case_labels(shape, 8, -1),
                          little = loom_case_labels(other, 9, -1);
    g_autoptr(LoomTensor) logits_before = loom_tensor_copy(logits, NULL);
    g_autoptr(LoomTensor) target_before = loom_tensor_copy(target, NULL);
    g_autoptr(LoomTensor) first = loom_tensor_new_like(logits, NULL);
    g_autoptr(LoomTensor) second = loom_tensor_new_like(logits, NULL);
    double value, alone, between, again;

    if (!loom_loss_eval_finite(loss, logits, target, &value, first, error)
        || !loom_loss_eval_finite(loss, logits, target, &alone, NULL, error)
        || !loom_loss_eval_finite(loss, small, little, &between, NULL, error)
        || !loom_loss_eval_finite(loss, logits, target, &again, second, error)
        || !same_value(value, alone, "where the gradient is wanted", error)
        || !same_value(again, value, "after another batch was evaluated", error))
        return FALSE;
    if (!bytes_equal(first, second))
        return loom_fail(error, LOOM_ERROR_PLUGIN,
                         "the same logits give another gradient the second time");
    if (!bytes_equal(logits, logits_before) || !bytes_equal(target, target_before))
        return loom_fail(error, LOOM_ERROR_PLUGIN, "it wrote into what it was given to read");
    g_string_append(found, "same bits with and without gradient, and after other work");
    return TRUE;
}

/* The voxel that comes to @v: mirrored along all axes, or shuffled. */
static void rearrange(const LoomTensor *logits, const LoomTensor *target, const gint64 *from,
                      LoomTensor *logits_to, LoomTensor *target_to)
{
    const gint64 voxels = loom_tensor_count_from(logits, 'D');

    for (gint64 i = 0; i < loom_tensor_count(logits); i++)
        loom_tensor_f32_mut(logits_to)[i] =
            loom_tensor_f32(logits)[i - i % voxels + from[i % voxels]];
    for (gint64 v = 0; v < loom_tensor_count(target); v++)
        loom_tensor_u8_mut(target_to)[v] =
            loom_tensor_u8(target)[v - v % voxels + from[v % voxels]];
}

/* A loss that looks at voxels one by one, or at sums, does not care about their order.  One
 * that looks at neighbours or distances does, but still not about left and right.
 * @found: NULL, or gains the numbers. */
static gboolean order_matters(const LoomInstance *loss, gboolean *matters, GString *found,
                              GError **error)
{
    static LoomCaseShape shape = {2, 3, 3, 5, 4};
    const gint64 voxels = 60;
    g_autoptr(LoomTensor) logits = loom_case_logits(shape, 10, 2),
                          to = loom_tensor_new_like(logits, NULL);
    g_autoptr(LoomTensor) target = loom_case_labels(shape, 10, -1),
                          labels_to = loom_tensor_new_like(target, NULL);
    g_autofree gint64 *from = g_new(gint64, (gsize)voxels);
    LoomRng rng = loom_rng(11, "check order", 0);
    double value, shuffled, mirrored;

    for (gint64 v = 0; v < voxels; v++)
        from[v] = voxels - 1 - v;
    rearrange(logits, target, from, to, labels_to);
    if (!loom_loss_eval_finite(loss, logits, target, &value, NULL, error)
        || !loom_loss_eval_finite(loss, to, labels_to, &mirrored, NULL, error))
        return FALSE;
    loom_rng_shuffle(&rng, from, voxels);
    rearrange(logits, target, from, to, labels_to);
    if (!loom_loss_eval_finite(loss, to, labels_to, &shuffled, NULL, error))
        return FALSE;
    /* sums in another order, of 60 numbers that carry float32's rounding */
    const double tolerance = 1e-5 * fmax(fabs(value), 1e-3);
    if (fabs(mirrored - value) > tolerance)
        return loom_fail(error, LOOM_ERROR_PLUGIN,
                         "the value is %.9g, and %.9g of the mirrored volume", value, mirrored);
    *matters = fabs(shuffled - value) > tolerance;
    if (found)
        g_string_append_printf(found, "%sshuffling moves the value by %.1e, mirroring by %.1e",
                               *matters ? "a loss of neighbourhoods: " : "",
                               fabs(shuffled - value), fabs(mirrored - value));
    return TRUE;
}

static gboolean check_order(const LoomInstance *loss, GString *found, GError **error)
{
    gboolean matters;

    return order_matters(loss, &matters, found, error);
}

/* ---- ignored voxels ----------------------------------------------------------------- */

/* The last voxel of every row is ignored. */
static void ignore_last(LoomTensor *target)
{
    const gint64 w = loom_tensor_size(target, 'W');

    for (gint64 v = w - 1; v < loom_tensor_count(target); v += w)
        loom_tensor_u8_mut(target)[v] = LOOM_IGNORED;
}

/* (..., W) without its last voxel of every row; (transfer full). */
static LoomTensor *without_last(const LoomTensor *whole)
{
    const guint rank = loom_tensor_rank(whole);
    const gint64 w = loom_tensor_size(whole, 'W');
    gint64 shape[LOOM_MAX_RANK];

    memcpy(shape, loom_tensor_shape(whole), rank * sizeof *shape);
    shape[rank - 1] = w - 1;
    LoomTensor *part =
        loom_tensor_new(loom_tensor_dtype(whole), loom_tensor_axes(whole), shape, NULL);
    g_assert_nonnull(part);
    for (gint64 i = 0; i < loom_tensor_count(part); i++) {
        const gint64 from = i / (w - 1) * w + i % (w - 1);

        if (loom_tensor_dtype(whole) == LOOM_U8)
            loom_tensor_u8_mut(part)[i] = loom_tensor_u8(whole)[from];
        else
            loom_tensor_f32_mut(part)[i] = loom_tensor_f32(whole)[from];
    }
    return part;
}

/* Other logits where the label is ignored, and no such voxels at all: the value of a loss that
 * counts voxels is the same.  One of neighbourhoods sees another border, and is not asked. */
static gboolean ignored_value(const LoomInstance *loss, const LoomTensor *logits,
                              const LoomTensor *target, GError **error)
{
    g_autoptr(LoomTensor) moved = loom_tensor_copy(logits, NULL);
    g_autoptr(LoomTensor) part = without_last(logits), labels = without_last(target);
    const gint64 w = loom_tensor_size(logits, 'W');
    gboolean neighbours = FALSE;
    double value, other, cut;

    for (gint64 i = w - 1; i < loom_tensor_count(moved); i += w)
        loom_tensor_f32_mut(moved)[i] = i % 2 ? 5 : -5;
    if (!loom_loss_eval_finite(loss, logits, target, &value, NULL, error)
        || !loom_loss_eval_finite(loss, moved, target, &other, NULL, error)
        || !loom_loss_eval_finite(loss, part, labels, &cut, NULL, error)
        || !order_matters(loss, &neighbours, NULL, error))
        return FALSE;
    const double tolerance = 1e-6 * fmax(fabs(value), 1e-3);
    if (fabs(other - value) > tolerance)
        return loom_fail(error, LOOM_ERROR_PLUGIN,
                         "the value is %.9g, and %.9g with other logits where the label is "
                         "ignored",
                         value, other);
    if (!neighbours && fabs(cut - value) > tolerance)
        return loom_fail(error, LOOM_ERROR_PLUGIN,
                         "the value is %.9g with ignored voxels, and %.9g of the same volume "
                         "without them",
                         value, cut);
    return TRUE;
}

/* LOOM_IGNORED in the label counts nowhere, and a batch may have nothing else. */
static gboolean check_ignored(const LoomInstance *loss, GString *found, GError **error)
{
    static LoomCaseShape shape = {2, 3, 2, 3, 4};
    g_autoptr(LoomTensor) logits = loom_case_logits(shape, 15, 2);
    g_autoptr(LoomTensor) target = loom_case_labels(shape, 15, -1);
    g_autoptr(LoomTensor) dlogits = loom_tensor_new_like(logits, NULL);
    LoomDifferences sum = {0};
    double value;

    ignore_last(target);
    if (!loom_loss_differences(loss, logits, target, &sum, error)
        || !ignored_value(loss, logits, target, error))
        return FALSE;
    memset(loom_tensor_u8_mut(target), LOOM_IGNORED, loom_tensor_bytes(target));
    if (!loom_loss_eval_finite(loss, logits, target, &value, dlogits, error)) {
        g_prefix_error(error, "every voxel ignored: ");
        return FALSE;
    }
    for (gint64 i = 0; i < loom_tensor_count(dlogits); i++)
        if (loom_tensor_f32(dlogits)[i] != 0)
            return loom_fail(error, LOOM_ERROR_PLUGIN,
                             "every voxel ignored: the gradient is %g, want 0",
                             (double)loom_tensor_f32(dlogits)[i]);
    g_string_append(found, "they count nowhere: ");
    differences_say(&sum, found);
    return TRUE;
}

static gboolean check_better(const LoomInstance *loss, GString *found, GError **error)
{
    static LoomCaseShape shape = {1, 2, 2, 2, 4};
    g_autoptr(LoomTensor) target = loom_case_labels(shape, 12, -1);
    g_autoptr(LoomTensor) right = loom_case_logits(shape, 12, 0.1);
    g_autoptr(LoomTensor) wrong = loom_tensor_copy(right, NULL);
    double low, high;

    loom_case_believe(right, target, 0, 6);
    loom_case_believe(wrong, target, 1, 6);
    if (!loom_loss_eval_finite(loss, right, target, &low, NULL, error)
        || !loom_loss_eval_finite(loss, wrong, target, &high, NULL, error))
        return FALSE;
    if (low >= high)
        return loom_fail(error, LOOM_ERROR_PLUGIN,
                         "the value is %.6g for a right answer and %.6g for a wrong one: want "
                         "the right one lower",
                         low, high);
    g_string_append_printf(found, "%.4g where right, %.4g where wrong", low, high);
    return TRUE;
}

const LoomCheck *loom_loss_checks(void)
{
    static const LoomCheck checks[] = {
        {"gradient", check_gradient, FALSE},
        {"corners", check_corners, FALSE},
        {"absent class", check_absent, FALSE},
        {"finite", check_finite, FALSE},
        {"repeatable", check_repeat, FALSE},
        {"order of voxels", check_order, FALSE},
        {"ignored voxels", check_ignored, FALSE},
        {"right is better", check_better, FALSE},
        {0},
    };

    return checks;
}

/* ---- speed -------------------------------------------------------------------------- */

gboolean loom_loss_times(const LoomInstance *const losses[2], double milliseconds[2],
                         GError **error)
{
    static LoomCaseShape shape = {2, 3, 40, 56, 40};
    g_autoptr(LoomTensor) logits = loom_case_logits(shape, 13, 3);
    g_autoptr(LoomTensor) target = loom_case_labels(shape, 13, -1);
    g_autoptr(LoomTensor) dlogits = loom_tensor_new_like(logits, error);

    if (!dlogits)
        return FALSE;
    milliseconds[0] = milliseconds[1] = INFINITY;
    for (int i = 0; i < 14; i++) {
        const gint64 began = g_get_monotonic_time();
        double *shortest = &milliseconds[i % 2], value;

        if (!loom_loss_eval(losses[i % 2], logits, target, &value, dlogits, error))
            return FALSE;
        *shortest = fmin(*shortest, (double)(g_get_monotonic_time() - began) / 1e3);
    }
    return TRUE;
}
