/* The losses for small lesions on cases worked out by hand: values, gradients by p, and what
 * each does where the class is absent. */
#include "loom_test.h"

#include <math.h>
#include <string.h>

#define LONGEST 16

/* Two classes in one row of voxels: @p of class 1, at least 1e-30; label '1', '0', or '-' for
 * ignored.  @slope: d value / d logit of class 1; NULL: not wanted. */
static double eval(const char *yaml, const float *p, const char *labels, double *slope)
{
    const gint64 n = (gint64)strlen(labels);
    const gint64 shape[] = {1, 2, 1, 1, n}, grid[] = {1, 1, 1, n};
    g_autoptr(LoomInstance) loss = loom_test_instance(LOOM_KIND_LOSS, yaml, NULL, NULL);
    g_autoptr(LoomTensor) logits = loom_tensor_new(LOOM_F32, "NCDHW", shape, NULL);
    g_autoptr(LoomTensor) target = loom_tensor_new(LOOM_U8, "NDHW", grid, NULL);
    g_autoptr(LoomTensor) dlogits = loom_tensor_new_like(logits, NULL);
    GError *error = NULL;
    double value = NAN;

    g_assert_cmpint(n, <=, LONGEST);
    for (gint64 v = 0; v < n; v++) {
        loom_tensor_f32_mut(logits)[n + v] = logf(p[v] / (1 - p[v]));
        loom_tensor_u8_mut(target)[v] = labels[v] == '-' ? LOOM_IGNORED : labels[v] == '1';
    }
    loom_loss_eval(loss, logits, target, &value, dlogits, &error);
    g_assert_no_error(error);
    for (gint64 v = 0; slope && v < n; v++)
        slope[v] = (double)loom_tensor_f32(dlogits)[n + v];
    return value;
}

/* d value / d p of voxel @v, from that by the logit. */
static double by_p(const double *slope, const float *p, guint v)
{
    return slope[v] / ((double)p[v] * (1 - (double)p[v]));
}

/* ---- boundary ----------------------------------------------------------------------- */

/* G = voxels 2, 3, 4 of 7: phi = 2, 1, 0, -1, 0, 1, 2; 7 voxels. */
static void test_boundary(void)
{
    static const double phi[] = {2, 1, 0, -1, 0, 1, 2};
    static const float p[] = {0.1f, 0.2f, 0.3f, 0.9f, 0.5f, 0.6f, 0.25f};
    double slope[LONGEST];

    loom_assert_near(eval("{use: boundary}", p, "0011100", slope),
                     (0.2 + 0.2 - 0.9 + 0.6 + 0.5) / 7, 1e-7);
    for (guint v = 0; v < 7; v++)
        loom_assert_near(by_p(slope, p, v), phi[v] / 7, 1e-6);
    /* voxels of 3 mm: 6, 3, 1 - 3, 1 - 6, 1 - 3, 3, 6 */
    loom_assert_near(eval("{use: boundary, spacing: [1, 1, 3]}", p, "0011100", NULL),
                     (0.6 + 0.6 - 0.6 - 4.5 - 1.0 + 1.8 + 1.5) / 7, 1e-6);
    /* the last two are outside of G and count nowhere, nor as voxels */
    loom_assert_near(eval("{use: boundary}", p, "00111--", slope), (0.2 + 0.2 - 0.9) / 5, 1e-6);
    g_assert_cmpfloat(slope[5], ==, 0);
    g_assert_cmpfloat(slope[6], ==, 0);
}

static void nothing(const char *yaml, const float *p, const char *labels)
{
    double slope[LONGEST];

    g_assert_cmpfloat(eval(yaml, p, labels, slope), ==, 0);
    for (gsize v = 0; v < strlen(labels); v++)
        g_assert_cmpfloat(slope[v], ==, 0);
}

static void test_boundary_absent(void)
{
    static const float p[] = {0.9f, 0.1f, 0.7f};

    nothing("{use: boundary}", p, "000");
    nothing("{use: boundary}", p, "111");
    nothing("{use: boundary}", p, "---");
}

/* ---- hausdorff ---------------------------------------------------------------------- */

/* G = {1}: d_y = 1, 1, 1, 2.  p > 1/2 = {0, 1}: d_p = 2, 1, 1, 2.
 * Squares of the errors: 0.36, 0.16, 0.04, 0.01; weights 5, 2, 2, 8. */
static void test_hausdorff(void)
{
    static const float p[] = {0.6f, 0.6f, 0.2f, 0.1f};
    static const double off[] = {0.6, -0.4, 0.2, 0.1}, weight[] = {5, 2, 2, 8};
    double slope[LONGEST];

    loom_assert_near(eval("{use: hausdorff}", p, "0100", slope),
                     (0.36 * 5 + 0.16 * 2 + 0.04 * 2 + 0.01 * 8) / 4, 1e-6);
    for (guint v = 0; v < 4; v++)
        loom_assert_near(by_p(slope, p, v), 2 * off[v] * weight[v] / 4, 1e-5);
    /* alpha 1, voxels of half the size: weights (1 + 2, 1 + 1, 1 + 1, 2 + 2) / 2 */
    loom_assert_near(eval("{use: hausdorff, alpha: 1, spacing: [1, 1, 0.5]}", p, "0100", NULL),
                     (0.36 * 3 + 0.16 * 2 + 0.04 * 2 + 0.01 * 4) / 2 / 4, 1e-6);
}

/* Nothing there: what was predicted costs by its own border; nothing above 1/2: nothing. */
static void test_hausdorff_absent(void)
{
    static const float some[] = {0.6f, 0.1f, 0.2f}, few[] = {0.4f, 0.1f, 0.2f};

    loom_assert_near(eval("{use: hausdorff}", some, "000", NULL),
                     (0.36 * 1 + 0.01 * 1 + 0.04 * 4) / 3, 1e-6);
    nothing("{use: hausdorff}", few, "000");
    nothing("{use: hausdorff}", few, "---");
}

/* ---- blob --------------------------------------------------------------------------- */

/* Parts A = {0, 1}, B = {4}; others sum to 0.3 in p.  s = 1:
 *   D_A = (2 * 1.5 + 1) / (1.8 + 2 + 1) = 4 / 4.8, D_B = (2 * 0.4 + 1) / (0.7 + 1 + 1) = 1.8
 * / 2.7 dL/dp: in A -(2 - D_A) / 4.8 / 2, in B -(2 - D_B) / 2.7 / 2, outside the sum of D /
 * size / 2. */
static void test_blob(void)
{
    static const float p[] = {0.8f, 0.7f, 0.2f, 0.1f, 0.4f};
    const double a = 4 / 4.8, b = 1.8 / 2.7;
    double slope[LONGEST];

    loom_assert_near(eval("{use: blob, smooth: 1}", p, "11001", slope), 1 - (a + b) / 2, 1e-6);
    loom_assert_near(by_p(slope, p, 0), -(2 - a) / 4.8 / 2, 1e-6);
    loom_assert_near(by_p(slope, p, 1), -(2 - a) / 4.8 / 2, 1e-6);
    loom_assert_near(by_p(slope, p, 2), (a / 4.8 + b / 2.7) / 2, 1e-6);
    loom_assert_near(by_p(slope, p, 4), -(2 - b) / 2.7 / 2, 1e-6);
    /* the same without voxel 2 */
    loom_assert_near(eval("{use: blob, smooth: 1}", p, "11-01", slope),
                     1 - (4 / 4.6 + 1.8 / 2.5) / 2, 1e-6);
    g_assert_cmpfloat(slope[2], ==, 0);
}

/* Classes and samples without a part are in no mean: here class 1 of the first sample alone. */
static void test_blob_absent(void)
{
    static const float p[] = {0.9f, 0.1f, 0.7f};
    g_autoptr(LoomInstance) loss =
        loom_test_instance(LOOM_KIND_LOSS, "{use: blob, smooth: 1}", NULL, NULL);
    g_autoptr(LoomTensor) logits = loom_tensor_new(
        LOOM_F32, "NCDHW", (const gint64[]){2, 3, 1, 1, 3}, NULL); /* p = 1/3 everywhere */
    g_autoptr(LoomTensor) target =
        loom_test_u8("NDHW", SHAPE(2, 1, 1, 3), U8(1, 1, 0, 0, 0, 0));
    double value = NAN;

    nothing("{use: blob}", p, "000");
    nothing("{use: blob}", p, "---");
    g_assert_true(loom_loss_eval(loss, logits, target, &value, NULL, NULL));
    loom_assert_near(value, 1 - (4.0 / 3 + 1) / (1 + 2 + 1), 1e-6);
}

/* ---- cc_dice_ce --------------------------------------------------------------------- */

/* Parts {0} and {4} of 5: regions {0, 1} and {3, 4}, voxel 2 half in each.  s = 1. */
static void test_cc_dice_ce(void)
{
    static const float p[] = {0.8f, 0.3f, 0.4f, 0.2f, 0.6f};
    const double first = (2 * 0.8 + 1) / (0.8 + 0.3 + 0.2 + 1 + 1);
    const double second = (2 * 0.6 + 1) / (0.6 + 0.2 + 0.2 + 1 + 1);
    const double ce_first = -(log(0.8) + log(0.7) + 0.5 * log(0.6)) / 2.5;
    const double ce_second = -(log(0.6) + log(0.8) + 0.5 * log(0.6)) / 2.5;
    double slope[LONGEST];

    loom_assert_near(eval("{use: cc_dice_ce, smooth: 1}", p, "10001", slope),
                     (1 - first + ce_first + 1 - second + ce_second) / 2, 1e-6);
    /* by p of voxel 0: of Dice -(2 - D) / 3.3, of -log p -1 / 0.8 / 2.5; half of each */
    loom_assert_near(by_p(slope, p, 0), -((2 - first) / 3.3 + 1 / 0.8 / 2.5) / 2, 1e-5);
    /* of voxel 2, half in each: D / size, and 1 / (1 - p) / 2.5 */
    loom_assert_near(by_p(slope, p, 2), 0.5 * (first / 3.3 + second / 3.0 + 2 / 0.6 / 2.5) / 2,
                     1e-5);
    loom_assert_near(eval("{use: cc_dice_ce, dice: 0, cross_entropy: 2}", p, "10001", NULL),
                     ce_first + ce_second, 1e-6);
    /* ignored: voxels 1 to 3 */
    loom_assert_near(eval("{use: cc_dice_ce, dice: 0}", p, "1---1", slope),
                     -(log(0.8) + log(0.6)) / 2, 1e-6);
    for (guint v = 1; v < 4; v++)
        g_assert_cmpfloat(slope[v], ==, 0);
}

/* No part: one region, the whole patch, with an empty truth. */
static void test_cc_dice_ce_absent(void)
{
    static const float p[] = {0.5f, 0.2f, 0.3f};

    loom_assert_near(eval("{use: cc_dice_ce, smooth: 1}", p, "000", NULL),
                     1 - 1 / 2.0 - (log(0.5) + log(0.8) + log(0.7)) / 3, 1e-6);
    nothing("{use: cc_dice_ce, smooth: 1}", p, "---");
}

/* ---- cldice ------------------------------------------------------------------------- */

/* No erosion after the first.  Truth 0 1 0: E_1 = 0, O_0 = 0, skeleton 0 1 0.  p = 0.2, 0.8,
 * 0.4: E_1 = 0.2, 0.2, 0.4; O_0 = 0.2, 0.4, 0.4; skeleton 0, 0.4, 0.  T_p = 1.4 / 1.4, T_s
 * = 1.8 / 2.  dT_s/dp = 0, 1/2, 0; T_p's gradient is 0: both its sums are alike. */
static void test_cldice(void)
{
    static const float p[] = {0.2f, 0.8f, 0.4f};
    double slope[LONGEST];

    loom_assert_near(eval("{use: cldice, iterations: 0}", p, "010", slope), 1 - 2 * 0.9 / 1.9,
                     1e-6);
    loom_assert_near(by_p(slope, p, 1), -2 / (1.9 * 1.9) * 0.5, 1e-6);
    loom_assert_near(slope[0], 0, 1e-7);
    loom_assert_near(slope[2], 0, 1e-7);
}

/* Absent: T_s = 1, T_p = 1 / (0.4 + 1), and its gradient goes to the peak and, against it, to
 * the highest voxel of the opening. */
static void test_cldice_absent(void)
{
    static const float p[] = {0.2f, 0.8f, 0.4f};
    const double tp = 1 / 1.4, slope_tp = 2 / ((1 + tp) * (1 + tp)) * tp / 1.4;
    double slope[LONGEST];

    loom_assert_near(eval("{use: cldice, iterations: 0}", p, "000", slope),
                     1 - 2 * tp / (1 + tp), 1e-6);
    loom_assert_near(by_p(slope, p, 0), 0, 1e-6);
    loom_assert_near(by_p(slope, p, 1), slope_tp, 1e-6);
    loom_assert_near(by_p(slope, p, 2), -slope_tp, 1e-6);
    nothing("{use: cldice}", p, "---");
}

/* ---- refusals ----------------------------------------------------------------------- */

static void test_refused(void)
{
    static const char *const names[] = {"boundary", "hausdorff", "cc_dice_ce"};
    static const char *const all[] = {"boundary", "hausdorff", "cc_dice_ce", "blob", "cldice"};
    g_autoptr(LoomTensor) logits = loom_test_f32("NCDHW", SHAPE(1, 1, 1, 1, 2), F32(0, 0));
    g_autoptr(LoomTensor) target = loom_test_u8("NDHW", SHAPE(1, 1, 1, 2), U8(0, 0));

    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *yaml = g_strdup_printf("{use: %s, spacing: [1, 2]}", names[i]);
        g_autoptr(GError) error = NULL;

        loom_assert_failed(loom_test_instance(LOOM_KIND_LOSS, yaml, NULL, &error), error,
                           LOOM_ERROR, LOOM_ERROR_CONFIG, "'spacing' has 2 numbers, want 3");
    }
    for (guint i = 0; i < G_N_ELEMENTS(all); i++) {
        g_autofree char *yaml = g_strdup_printf("{use: %s}", all[i]);
        g_autoptr(LoomInstance) loss = loom_test_instance(LOOM_KIND_LOSS, yaml, NULL, NULL);
        g_autoptr(GError) error = NULL;
        double value;

        loom_assert_failed(loom_loss_eval(loss, logits, target, &value, NULL, &error), error,
                           LOOM_ERROR, LOOM_ERROR_SHAPE, "needs a class besides class 0");
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/loss/boundary/values", test_boundary);
    g_test_add_func("/loss/boundary/absent", test_boundary_absent);
    g_test_add_func("/loss/hausdorff/values", test_hausdorff);
    g_test_add_func("/loss/hausdorff/absent", test_hausdorff_absent);
    g_test_add_func("/loss/blob/values", test_blob);
    g_test_add_func("/loss/blob/absent", test_blob_absent);
    g_test_add_func("/loss/cc_dice_ce/values", test_cc_dice_ce);
    g_test_add_func("/loss/cc_dice_ce/absent", test_cc_dice_ce_absent);
    g_test_add_func("/loss/cldice/values", test_cldice);
    g_test_add_func("/loss/cldice/absent", test_cldice_absent);
    g_test_add_func("/loss/lesion/refused", test_refused);
    return loom_test_run();
}
