/* Losses against numbers computed elsewhere: scalar loops in 50 digits, autograd in float64,
 * the closed forms and finite differences in 50 digits agreed on them to 2e-16, and the
 * authors' own code to the printed digits (collection of test vectors V1, V2, E1 to E3 for the
 * losses around arXiv 2102.04525).  Logits are ln p.
 *
 * Tolerances: logits between 1 and 4 are rounded by 1.2e-7 at most, so a probability, after a
 * softmax good to 1e-7, is right to a relative 4e-7.  Values are sums of probabilities'
 * functions with a logarithmic derivative of about 1: 1e-6.  Gradients are below 0.45, with one
 * of about 1 as well: 4e-7, and mostly far less. */
#include "loom_test.h"
#include "loss_vectors.h"

#include <math.h>
#include <string.h>

#define VALUE_TOLERANCE 1e-6
#define GRADIENT_TOLERANCE 4e-7

/* Logits of @probs, which are given voxel by voxel as in the collection. */
static LoomTensor *logits_of(const double *probs, gint64 samples, gint64 classes, gint64 voxels)
{
    const gint64 shape[5] = {samples, classes, 1, 1, voxels};
    LoomTensor *logits = loom_tensor_new(LOOM_F32, "NCDHW", shape, NULL);

    for (gint64 n = 0; n < samples; n++)
        for (gint64 k = 0; k < classes; k++)
            for (gint64 v = 0; v < voxels; v++)
                loom_tensor_f32_mut(logits)[(n * classes + k) * voxels + v] =
                    (float)log(probs[(n * voxels + v) * classes + k]);
    return logits;
}

static double eval(const char *name, const char *yaml, const LoomTensor *logits,
                   const LoomTensor *target, LoomTensor *dlogits)
{
    g_autoptr(LoomInstance) loss = loom_test_instance(LOOM_KIND_LOSS, yaml, NULL, NULL);
    GError *error = NULL;
    double value = NAN;

    loom_loss_eval(loss, logits, target, &value, dlogits, &error);
    g_assert_no_error(error);
    g_test_message("%s: %.10f", name, value);
    return value;
}

static void check(const Vector *vector, const LoomTensor *logits, const LoomTensor *target,
                  const double *gradient)
{
    g_autoptr(LoomTensor) dlogits = loom_tensor_new_like(logits, NULL);
    const gint64 c = loom_tensor_size(logits, 'C'), voxels = loom_tensor_size(logits, 'W');

    loom_assert_near(eval(vector->name, vector->yaml, logits, target, dlogits),
                     vector->value + vector->offset, VALUE_TOLERANCE);
    for (gint64 i = 0; i < loom_tensor_count(logits); i++) {
        const gint64 n = i / (c * voxels), v = i / c % voxels, k = i % c;

        loom_assert_near((double)loom_tensor_f32(dlogits)[(n * c + k) * voxels + v],
                         gradient[i], GRADIENT_TOLERANCE);
    }
}

/* ---- V1: one sample, two classes, four voxels --------------------------------------- */

static const double v1_probs[] = {0.9, 0.1, 0.6, 0.4, 0.3, 0.7, 0.1, 0.9};
static const guint8 v1_labels[] = {0, 0, 1, 1};

static void test_v1(void)
{
    g_autoptr(LoomTensor) logits = logits_of(v1_probs, 1, 2, 4);
    g_autoptr(LoomTensor) target = loom_test_u8("NDHW", SHAPE(1, 1, 1, 4), v1_labels, 4);

    for (guint i = 0; i < G_N_ELEMENTS(v1); i++) {
        double gradient[8];

        for (guint v = 0; v < 4; v++) {
            gradient[2 * v] = -v1[i].gradient[v];
            gradient[2 * v + 1] = v1[i].gradient[v];
        }
        check(&v1[i], logits, target, gradient);
    }
}

/* ---- V2: two samples, three classes, three voxels; class 2 is absent from the second  */

static const double v2_probs[] = {0.7, 0.2,  0.1,  0.2, 0.5, 0.3, 0.1,  0.3,  0.6,
                                  0.8, 0.15, 0.05, 0.6, 0.3, 0.1, 0.25, 0.35, 0.4};
static const guint8 v2_labels[] = {0, 1, 2, 0, 0, 1};

static void test_v2(void)
{
    g_autoptr(LoomTensor) logits = logits_of(v2_probs, 2, 3, 3);
    g_autoptr(LoomTensor) target = loom_test_u8("NDHW", SHAPE(2, 1, 1, 3), v2_labels, 6);

    for (guint i = 0; i < G_N_ELEMENTS(v2); i++)
        check(&v2[i], logits, target, v2[i].gradient);
}

/* ---- edges -------------------------------------------------------------------------- */

/* Logits of -16.1 are rounded by 9.5e-7, and so are their probabilities of 1e-7, relatively;
 * the forms without a clip differ by up to 2e-7 from those with.  DSC++ clips labels as well:
 * 1e-7 of p in TP and of the absent classes' own, over sums of p^2 down to 0.004, is 2e-6. */
static void check_edge(guint i, guint which, const LoomTensor *logits, const LoomTensor *target)
{
    const double want = edges[i].value[which] + edges[i].offset;
    const char *yaml = which == 2 && edges[i].yaml_e3 ? edges[i].yaml_e3 : edges[i].yaml;
    g_autoptr(LoomTensor) dlogits = loom_tensor_new_like(logits, NULL);

    if (isnan(want))
        return;
    loom_assert_near(eval(edges[i].name, yaml, logits, target, dlogits), want,
                     2e-6 * fabs(want)
                         + (g_str_equal(edges[i].name, "DSC++") && which == 2 ? 3e-6 : 2e-7));
    for (gint64 v = 0; v < loom_tensor_count(dlogits); v++)
        g_assert_true(isfinite(loom_tensor_f32(dlogits)[v]));
}

static void test_edges(void)
{
    const double least = 1e-7, most = 1 - 1e-7;
    const double right[] = {most, least, most, least, least, most, least, most};
    const double wrong[] = {least, most, least, most, most, least, most, least};
    const double empty[] = {0.9, 0.06, 0.04, 0.8, 0.15, 0.05};
    g_autoptr(LoomTensor) target = loom_test_u8("NDHW", SHAPE(1, 1, 1, 4), v1_labels, 4);
    g_autoptr(LoomTensor) background = loom_test_u8("NDHW", SHAPE(1, 1, 1, 2), U8(0, 0));
    g_autoptr(LoomTensor) e1 = logits_of(right, 1, 2, 4);
    g_autoptr(LoomTensor) e2 = logits_of(wrong, 1, 2, 4);
    g_autoptr(LoomTensor) e3 = logits_of(empty, 1, 3, 2);

    for (guint i = 0; i < G_N_ELEMENTS(edges); i++) {
        check_edge(i, 0, e1, target);
        check_edge(i, 1, e2, target);
        check_edge(i, 2, e3, background);
    }
}

/* Without any clip: probabilities of e^-400, whose logarithm is still exact. */
static void test_certain(void)
{
    g_autoptr(LoomTensor) target = loom_test_u8("NDHW", SHAPE(1, 1, 1, 4), v1_labels, 4);
    g_autoptr(LoomTensor) right = loom_test_f32(
        "NCDHW", SHAPE(1, 2, 1, 1, 4), F32(200, 200, -200, -200, -200, -200, 200, 200));
    g_autoptr(LoomTensor) wrong = loom_test_f32(
        "NCDHW", SHAPE(1, 2, 1, 1, 4), F32(-200, -200, 200, 200, 200, 200, -200, -200));
    g_autoptr(LoomTensor) dlogits = loom_tensor_new_like(wrong, NULL);
    const char *dice = "{use: dice, background: true, batch: false, smooth: 2.0e-6}";

    loom_assert_near(eval("Dice E1", dice, right, target, NULL), 0, 1e-30);
    loom_assert_near(eval("Dice E2", dice, wrong, target, NULL), 0.9999995, 1e-12);
    loom_assert_near(eval("CE", "{use: cross_entropy}", wrong, target, dlogits), 400, 1e-9);
    for (gint64 v = 0; v < 8; v++) /* all the probability is to move, a quarter a voxel */
        loom_assert_near(fabs((double)loom_tensor_f32(dlogits)[v]), 0.25, 1e-7);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/loss/vectors/two-classes", test_v1);
    g_test_add_func("/loss/vectors/three-classes", test_v2);
    g_test_add_func("/loss/vectors/edges", test_edges);
    g_test_add_func("/loss/vectors/certain", test_certain);
    return loom_test_run();
}
