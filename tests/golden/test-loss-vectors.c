/* Losses against numbers computed elsewhere: scalar loops in 50 digits, autograd in float64 and
 * the authors' own code agreed on them (collection of test vectors V1, V2, E1 to E3 for the
 * losses around arXiv 2102.04525).  Logits are ln p.
 *
 * Tolerances: float32 probabilities are right to 1e-7; values are sums of some ten terms of at
 * most 1, gradients lie below 0.3. */
#include "loom_test.h"

#include <math.h>
#include <string.h>

#define VALUE_TOLERANCE 2e-6
#define GRADIENT_TOLERANCE 2e-7

typedef struct {
    const char *name, *yaml;
    double offset; /* what the published form leaves out: -mean D instead of 1 - mean D */
    double value, gradient[18];
} Vector;

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

static void check(const Vector *vector, const LoomTensor *logits, const LoomTensor *target,
                  const double *gradient)
{
    g_autoptr(LoomInstance) loss = loom_test_instance(LOOM_KIND_LOSS, vector->yaml, NULL, NULL);
    g_autoptr(LoomTensor) dlogits = loom_tensor_new_like(logits, NULL);
    const gint64 c = loom_tensor_size(logits, 'C'), voxels = loom_tensor_size(logits, 'W');
    GError *error = NULL;
    double value = NAN;

    loom_loss_eval(loss, logits, target, &value, dlogits, &error);
    g_assert_no_error(error);
    g_test_message("%s: %.10f", vector->name, value);
    loom_assert_near(value, vector->value + vector->offset, VALUE_TOLERANCE);
    for (gint64 i = 0; gradient && i < loom_tensor_count(logits); i++) {
        const gint64 n = i / (c * voxels), v = i / c % voxels, k = i % c;

        loom_assert_near((double)loom_tensor_f32(dlogits)[(n * c + k) * voxels + v],
                         gradient[i], GRADIENT_TOLERANCE);
    }
}

/* The papers' Dice, (TP + s) / (G / 2 + P / 2 + s) with s = 1e-6, counts the background. */
#define DICE_PAPER "{use: dice, background: true, batch: false, smooth: 2.0e-6}"
#define DICE_NN "{use: dice, smooth: 1.0e-5, batch: "
#define CE_DICE "{use: sum, of: [{use: cross_entropy}, {use: dice, smooth: 1.0e-5, batch: "

/* ---- V1: one sample, two classes, four voxels --------------------------------------- */

static const double v1_probs[] = {0.9, 0.1, 0.6, 0.4, 0.3, 0.7, 0.1, 0.9};
static const guint8 v1_labels[] = {0, 0, 1, 1};

/* Gradients with respect to the foreground's logit; that of the background is the opposite. */
static const Vector v1[] = {
    {"CE", "{use: cross_entropy}", 0, 0.26955539976, {0.025, 0.1, -0.075, -0.025}},
    {"WCE-wsum",
     "{use: cross_entropy, weights: [0.2, 0.8]}",
     0,
     0.24643279778,
     {0.01, 0.04, -0.12, -0.04}},
    {"Dice",
     DICE_PAPER,
     0,
     0.22514060023,
     {0.02276750135, 0.06071333692, -0.05194144364, -0.0222606187}},
    {"Dice-nn",
     DICE_NN "false}",
     1,
     -0.78048834027,
     {0.0171326291, 0.04568701093, -0.06246263998, -0.02676970285}},
    {"Dice-nn-batch",
     DICE_NN "true}",
     1,
     -0.78048834027,
     {0.0171326291, 0.04568701093, -0.06246263998, -0.02676970285}},
    {"DiceCE",
     CE_DICE "false}]}",
     1,
     -0.51093294052,
     {0.0421326291, 0.1456870109, -0.13746264, -0.05176970285}},
};

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

static const Vector v2[] = {
    {"CE",
     "{use: cross_entropy}",
     0,
     0.55740650797,
     {-0.05, 0.03333333333, 0.01666666667, 0.03333333333, -0.08333333333, 0.05, 0.01666666667,
      0.05, -0.06666666667, -0.03333333333, 0.025, 0.008333333333, -0.06666666667, 0.05,
      0.01666666667, 0.04166666667, -0.1083333333, 0.06666666667}},
    {"WCE-wsum",
     "{use: cross_entropy, weights: [0.1, 0.3, 0.6]}",
     0,
     0.62563371845,
     {-0.02, 0.01333333333, 0.006666666667, 0.04, -0.1, 0.06, 0.04, 0.12, -0.16, -0.01333333333,
      0.01, 0.003333333333, -0.02666666667, 0.02, 0.006666666667, 0.05, -0.13, 0.08}},
    {"Dice",
     DICE_PAPER,
     0,
     0.50733036341,
     {-0.03208330417, 0.020833315, 0.01124998917, 0.01883331233, -0.04458328583, 0.0257499735,
      0.010999988, 0.027999974, -0.038999962, -0.01332834705, 0.01134652847, 0.001981818586,
      -0.01999252058, 0.01769492679, 0.00229759379, 0.0196206872, -0.03700284859,
      0.01738216139}},
    {"Dice-nn",
     DICE_NN "false}",
     1,
     -0.37222874135,
     {-0.01399999125, 0.0085000025, 0.00549998875, 0.0142498825, -0.05812466875, 0.04387478625,
      0.0086249325, 0.0446247975, -0.05324973, -0.006481832624, 0.006886533955,
      -0.0004047013309, -0.009722748936, 0.01134238068, -0.00161963174, 0.01957849886,
      -0.0509074027, 0.03132890384}},
    {"Dice-nn-batch",
     DICE_NN "true}",
     1,
     -0.45898009338,
     {-0.01470005971, 0.007572843416, 0.007127216293, 0.01489295509, -0.06491406219,
      0.0500211071, 0.01622705553, 0.0663404573, -0.08256751282, -0.01075460621, 0.006813156691,
      0.003941449523, -0.01613190932, 0.009593336052, 0.006538573269, 0.008648403913,
      -0.05939474947, 0.05074634555}},
    {"DiceCE",
     CE_DICE "false}]}",
     1,
     0.18517776662,
     {-0.06399999125, 0.04183333583, 0.02216665542, 0.04758321583, -0.1414580021, 0.09387478625,
      0.02529159917, 0.0946247975, -0.1199163967, -0.03981516596, 0.03188653395, 0.007928632002,
      -0.0763894156, 0.06134238068, 0.01504703493, 0.06124516553, -0.159240736, 0.09799557051}},
    {"DiceCE-batch",
     CE_DICE "true}]}",
     1,
     0.098426414597,
     {-0.06470005971, 0.04090617675, 0.02379388296, 0.04822628842, -0.1482473955, 0.1000211071,
      0.03289372219, 0.1163404573, -0.1492341795, -0.04408793955, 0.03181315669, 0.01227478286,
      -0.08279857599, 0.05959333605, 0.02320523994, 0.05031507058, -0.1677280828,
      0.1174130122}},
};

static void test_v2(void)
{
    g_autoptr(LoomTensor) logits = logits_of(v2_probs, 2, 3, 3);
    g_autoptr(LoomTensor) target = loom_test_u8("NDHW", SHAPE(2, 1, 1, 3), v2_labels, 6);

    for (guint i = 0; i < G_N_ELEMENTS(v2); i++)
        check(&v2[i], logits, target, v2[i].gradient);
}

/* ---- edges -------------------------------------------------------------------------- */

/* E1: the right class has all the probability; E2: the wrong one has. */
static void test_certain(void)
{
    static const Vector right = {"Dice E1", DICE_PAPER, 0, 0, {0}};
    static const Vector wrong = {"Dice E2", DICE_PAPER, 0, 0.9999995, {0}};
    g_autoptr(LoomTensor) target = loom_test_u8("NDHW", SHAPE(1, 1, 1, 4), v1_labels, 4);
    g_autoptr(LoomTensor) e1 = loom_test_f32("NCDHW", SHAPE(1, 2, 1, 1, 4),
                                             F32(200, 200, -200, -200, -200, -200, 200, 200));
    g_autoptr(LoomTensor) e2 = loom_test_f32("NCDHW", SHAPE(1, 2, 1, 1, 4),
                                             F32(-200, -200, 200, 200, 200, 200, -200, -200));

    check(&right, e1, target, NULL);
    check(&wrong, e2, target, NULL);
}

/* E3: no foreground at all. */
static void test_background_only(void)
{
    static const double probs[] = {0.9, 0.06, 0.04, 0.8, 0.15, 0.05};
    static const Vector vectors[] = {
        {"CE", "{use: cross_entropy}", 0, 0.16425203349, {0}},
        {"Dice", DICE_PAPER, 0, 0.69368309727, {0}},
        {"DiceCE", CE_DICE "false}]}", 1, 0.16417267571, {0}},
    };
    g_autoptr(LoomTensor) logits = logits_of(probs, 1, 3, 2);
    g_autoptr(LoomTensor) target = loom_test_u8("NDHW", SHAPE(1, 1, 1, 2), U8(0, 0));

    for (guint i = 0; i < G_N_ELEMENTS(vectors); i++)
        check(&vectors[i], logits, target, NULL);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/loss/vectors/two-classes", test_v1);
    g_test_add_func("/loss/vectors/three-classes", test_v2);
    g_test_add_func("/loss/vectors/certain", test_certain);
    g_test_add_func("/loss/vectors/background-only", test_background_only);
    return loom_test_run();
}
