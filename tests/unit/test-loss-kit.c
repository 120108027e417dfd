/* Losses made of formulas: what the host does around the formula, what the registry refuses,
 * and what each loss says about a class that is absent. */
#include "loom_test.h"

#include "graph/state.h"
#include "plugin/loss_kit.h"

#include <math.h>
#include <string.h>

static LoomInstance *opened(const char *yaml)
{
    return loom_test_instance(LOOM_KIND_LOSS, yaml, NULL, NULL);
}

static double eval_yaml(const char *yaml, const LoomTensor *logits, const LoomTensor *target)
{
    g_autoptr(LoomInstance) loss = opened(yaml);

    return loom_test_eval(loss, logits, target, NULL);
}

/* ---- threads ------------------------------------------------------------------------ */

/* With a pool of its own, because loom_test_instance has one for all. */
static double eval_on(guint threads, const char *yaml, const LoomTensor *logits,
                      const LoomTensor *target, LoomTensor *dlogits)
{
    g_autoptr(LoomPool) pool = loom_pool_new(threads);
    g_autoptr(LoomNode) node = loom_yaml_parse(yaml, strlen(yaml), "test", "/", NULL);
    g_autoptr(LoomInstance) loss = loom_instance_new(
        LOOM_KIND_LOSS, NULL, node, NULL, &(LoomScope){.registry = loom_test_registry()}, NULL);
    LoomRun run = {.pool = pool};
    LoomHost host = {&run, "test", NULL};

    g_assert_true(loom_instance_open(loss, &host, NULL));
    return loom_test_eval(loss, logits, target, dlogits);
}

/* 2 samples of 35,000 voxels: three chunks each, the last one short.  Same bits. */
static void test_threads(void)
{
    static const char *const yaml[] = {"{use: unified_focal}", "{use: dice_topk}",
                                       "{use: dscplusplus, gamma: 1.5}"};
    g_autoptr(LoomTensor) z = loom_test_random("NCDHW", SHAPE(2, 3, 10, 50, 70), 1, -5, 5);
    g_autoptr(LoomTensor) t = loom_test_random_labels("NDHW", SHAPE(2, 10, 50, 70), 2, 3);
    g_autoptr(LoomTensor) alone = loom_tensor_new_like(z, NULL);
    g_autoptr(LoomTensor) shared = loom_tensor_new_like(z, NULL);

    for (guint i = 0; i < G_N_ELEMENTS(yaml); i++) {
        const double value = eval_on(1, yaml[i], z, t, alone);

        g_assert_true(value == eval_on(4, yaml[i], z, t, shared));
        g_assert_true(loom_test_equal(alone, shared));
    }
}

/* ---- weights, pooling --------------------------------------------------------------- */

static LoomTensor *some_logits(void)
{
    return loom_test_random("NCDHW", SHAPE(2, 3, 1, 2, 4), 5, -2, 2);
}

static LoomTensor *some_labels(void)
{
    return loom_test_u8("NDHW", SHAPE(2, 1, 2, 4),
                        U8(0, 1, 2, 0, 1, 2, 0, 0, 1, 0, 0, 2, 2, 1, 0, 1));
}

/* The mean over classes with weights is the mean of what each class alone gives. */
static void test_class_weights(void)
{
    g_autoptr(LoomTensor) z = some_logits(), t = some_labels();
    const double one = eval_yaml("{use: tversky, weights: [0, 1, 0]}", z, t);
    const double two = eval_yaml("{use: tversky, weights: [0, 0, 7]}", z, t);

    g_assert_cmpfloat(fabs(one - two), >, 1e-3);
    loom_assert_near(eval_yaml("{use: tversky, weights: [0, 1, 3]}", z, t), (one + 3 * two) / 4,
                     1e-12);
    loom_assert_near(eval_yaml("{use: tversky, background: false}", z, t), (one + two) / 2,
                     1e-12);
    /* a voxel loss by the number of voxels: linear in the weights */
    const double w0 = eval_yaml("{use: focal, weights: [1, 0, 0]}", z, t);
    const double w1 = eval_yaml("{use: focal, weights: [0, 1, 0]}", z, t);
    const double w2 = eval_yaml("{use: focal, weights: [0, 0, 1]}", z, t);
    loom_assert_near(eval_yaml("{use: focal, weights: [2, 3, 4]}", z, t),
                     2 * w0 + 3 * w1 + 4 * w2, 1e-12);
}

/* One sample or two that are equal: pooled or not, all the same. */
static void test_pooling(void)
{
    g_autoptr(LoomTensor) z = loom_test_random("NCDHW", SHAPE(1, 3, 1, 2, 4), 5, -2, 2);
    g_autoptr(LoomTensor) t =
        loom_test_u8("NDHW", SHAPE(1, 1, 2, 4), U8(0, 1, 2, 0, 1, 2, 0, 0));
    g_autoptr(LoomTensor) zz =
        loom_tensor_new(LOOM_F32, "NCDHW", (const gint64[]){2, 3, 1, 2, 4}, NULL);
    g_autoptr(LoomTensor) tt =
        loom_tensor_new(LOOM_U8, "NDHW", (const gint64[]){2, 1, 2, 4}, NULL);
    g_autoptr(LoomTensor) other = some_labels();

    for (gint64 i = 0; i < 2; i++) {
        memcpy(loom_tensor_f32_mut(zz) + i * 24, loom_tensor_f32(z), 24 * sizeof(float));
        memcpy(loom_tensor_u8_mut(tt) + i * 8, loom_tensor_u8(t), 8);
    }
    const double value = eval_yaml("{use: tversky, smooth: 1.0e-12}", z, t);
    loom_assert_near(eval_yaml("{use: tversky, smooth: 1.0e-12}", zz, tt), value, 1e-12);
    loom_assert_near(eval_yaml("{use: tversky, batch: true, smooth: 1.0e-12}", zz, tt), value,
                     1e-12);
    g_assert_cmpfloat(fabs(eval_yaml("{use: tversky, batch: true}", zz, other)
                           - eval_yaml("{use: tversky}", zz, other)),
                      >, 1e-3);
}

/* ---- a class that is absent from the patch ------------------------------------------ */

/* Four voxels of background; the only other class has p = 1/4 in each. */
static double eval_absent(const char *yaml, LoomTensor *dlogits)
{
    const float z = -1.0986123f; /* ln 1/3 */
    g_autoptr(LoomTensor) logits =
        loom_test_f32("NCDHW", SHAPE(1, 2, 1, 1, 4), F32(0, 0, 0, 0, z, z, z, z));
    g_autoptr(LoomTensor) target = loom_test_u8("NDHW", SHAPE(1, 1, 1, 4), U8(0, 0, 0, 0));
    g_autoptr(LoomInstance) loss = opened(yaml);

    return loom_test_eval(loss, logits, target, dlogits);
}

/* An overlap loss of it is s away from its greatest value, with no slope to speak of: T or D is
 * below s / 0.125 = 8e-5, and so is the slope by p; T^q of q = 0.75 is below 1e-3. */
static void test_absent_regions(void)
{
    static const struct {
        const char *yaml;
        double greatest;
    } losses[] = {
        {"{use: dice}", 1},
        {"{use: tversky, background: false}", 1},
        {"{use: focal_tversky, background: false}", 1},
        {"{use: focal_tversky, background: false, of: mean}", 1},
        {"{use: focal_dice, background: false}", 1},
        {"{use: focal_dice, background: false, of: overlap}", 1},
        {"{use: cosine_tversky, background: false}", 1},
        {"{use: dscplusplus, background: false}", 1},
        {"{use: log_cosh_dice, background: false}", 0.43378083048},
        {"{use: unified_focal, background: false, lambda: 1}", 1},
    };
    g_autoptr(LoomTensor) dlogits =
        loom_tensor_new(LOOM_F32, "NCDHW", (const gint64[]){1, 2, 1, 1, 4}, NULL);

    for (guint i = 0; i < G_N_ELEMENTS(losses); i++) {
        g_test_message("%s", losses[i].yaml);
        loom_assert_near(eval_absent(losses[i].yaml, dlogits), losses[i].greatest, 1e-3);
        for (gint64 v = 0; v < 8; v++)
            loom_assert_near((double)loom_tensor_f32(dlogits)[v], 0, 1e-3);
    }
}

/* A voxel loss, alone or as a part, goes on pushing it down: by (1 - p_t)^2 of p / 4 = 1/16 at
 * least, that is more than 1e-3, in all voxels together. */
static void test_absent_voxels(void)
{
    static const char *const losses[] = {
        "{use: cross_entropy}", "{use: focal}",       "{use: topk}",
        "{use: dice_topk}",     "{use: dice_focal}",  "{use: dice_cross_entropy}",
        "{use: combo}",         "{use: mixed_focal}", "{use: unified_focal}",
    };
    g_autoptr(LoomTensor) dlogits =
        loom_tensor_new(LOOM_F32, "NCDHW", (const gint64[]){1, 2, 1, 1, 4}, NULL);

    for (guint i = 0; i < G_N_ELEMENTS(losses); i++) {
        double sum = 0;

        eval_absent(losses[i], dlogits);
        for (gint64 v = 4; v < 8; v++)
            sum += (double)loom_tensor_f32(dlogits)[v];
        g_test_message("%s: %g", losses[i], sum);
        g_assert_cmpfloat(sum, >, 1e-3);
    }
}

/* Labels 0, 0, 0, 1 and p = (0.7, 0.2, 0.1) in each voxel: I = 2.1 / 9 + 0.2, U = 5.8 / 9 + 1.8
 * without class 2; with it at a weight of 1e20 nothing else is left, and it has no overlap. */
static void test_absent_generalised(void)
{
    const float a = -0.35667494f, b = -1.6094379f, c = -2.3025851f;
    g_autoptr(LoomTensor) z =
        loom_test_f32("NCDHW", SHAPE(1, 3, 1, 1, 4), F32(a, a, a, a, b, b, b, b, c, c, c, c));
    g_autoptr(LoomTensor) t = loom_test_u8("NDHW", SHAPE(1, 1, 1, 4), U8(0, 0, 0, 1));

    loom_assert_near(eval_yaml("{use: generalised_dice}", z, t), 0.645454545, 1e-6);
    loom_assert_near(eval_yaml("{use: generalised_dice, absent: count}", z, t), 1, 1e-9);
}

/* ---- the highest losses ------------------------------------------------------------- */

/* Random numbers, many of them equal; the same by sorting. */
static gint compare_falling(gconstpointer a, gconstpointer b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return x < y ? 1 : x > y ? -1 : 0;
}

static void test_top(void)
{
    LoomRng rng = loom_rng(1, "top", 0);

    for (gint64 n = 1; n < 200; n += 7) {
        double losses[200], sorted[200], want = 0, total = 0;
        float pull[200];
        const gint64 wanted = MAX(1, n * 30 / 100);
        gint64 k;

        for (gint64 i = 0; i < n; i++) {
            losses[i] = (double)loom_rng_below(&rng, 20) / 4 - 1; /* -1 .. 3.75 */
            pull[i] = 1;
        }
        memcpy(sorted, losses, sizeof sorted);
        qsort(sorted, (size_t)n, sizeof *sorted, compare_falling);
        for (gint64 i = 0; i < wanted; i++)
            want += sorted[i] / (double)wanted;
        loom_assert_near(loom_top_mean(losses, pull, n, n, 30, &k), want, 1e-12);
        g_assert_cmpint(k, ==, wanted);
        for (gint64 i = 0; i < n; i++) {
            total += (double)pull[i];
            g_assert_true(losses[i] >= sorted[wanted - 1] ? pull[i] > 0 : pull[i] == 0);
        }
        loom_assert_near(total, (double)wanted, 1e-4); /* n roundings of float32 */
    }
}

static void test_top_corners(void)
{
    const double ignored[] = {-INFINITY, 2, -INFINITY, 1}, broken[] = {1, -NAN, 2};
    gint64 k;

    loom_assert_near(loom_top_mean(ignored, NULL, 4, 2, 50, &k), 2, 0);
    g_assert_cmpint(k, ==, 1);
    loom_assert_near(loom_top_mean(ignored, NULL, 4, 2, 100, &k), 1.5, 0);
    g_assert_true(isnan(loom_top_mean(broken, NULL, 3, 3, 10, &k))); /* must be seen */
    loom_assert_near(loom_top_mean((const double[]){-INFINITY}, NULL, 1, 0, 10, &k), 0, 0);
    g_assert_cmpint(k, ==, 0);
}

/* ---- unified focal ------------------------------------------------------------------ */

/* Which classes are suppressed is by number: to swap two classes everywhere changes nothing. */
static void test_suppressed(void)
{
    g_autoptr(LoomTensor) z = some_logits(), t = some_labels();
    g_autoptr(LoomTensor) z_swapped = loom_tensor_copy(z, NULL);
    g_autoptr(LoomTensor) t_swapped = loom_tensor_copy(t, NULL);
    float *swapped = loom_tensor_f32_mut(z_swapped);

    for (gint64 i = 0; i < 2; i++) {
        memcpy(swapped + i * 24, loom_tensor_f32(z) + i * 24 + 8, 8 * sizeof *swapped);
        memcpy(swapped + i * 24 + 8, loom_tensor_f32(z) + i * 24, 8 * sizeof *swapped);
    }
    for (gint64 v = 0; v < 16; v++)
        loom_tensor_u8_mut(t_swapped)[v] =
            (guint8)(loom_tensor_u8(t)[v] < 2 ? 1 - loom_tensor_u8(t)[v] : 2);
    const double value = eval_yaml("{use: unified_focal, delta: 0.8}", z, t);
    /* softmax adds in another order: 1e-7 of each probability */
    loom_assert_near(
        eval_yaml("{use: unified_focal, delta: 0.8, suppressed: [1]}", z_swapped, t_swapped),
        value, 1e-6);
    g_assert_cmpfloat(
        fabs(eval_yaml("{use: unified_focal, delta: 0.8, suppressed: [1]}", z, t) - value), >,
        1e-3);
}

/* ---- refusals ----------------------------------------------------------------------- */

static void refused(const char *yaml, const char *text)
{
    g_autoptr(GError) error = NULL;

    loom_assert_failed(loom_test_instance(LOOM_KIND_LOSS, yaml, NULL, &error), error,
                       LOOM_ERROR, LOOM_ERROR_CONFIG, text);
}

static void test_refused_parameters(void)
{
    g_autoptr(LoomTensor) z = some_logits(), t = some_labels();
    g_autoptr(LoomInstance) none = opened("{use: dice, weights: [5, 0, 0]}");
    g_autoptr(GError) error = NULL;
    double value;

    refused("{use: unified_focal, paper_exponents: true}", "is for 'form: symmetric'");
    refused("{use: unified_focal, form: symmetric, gamma: 0, paper_exponents: true}",
            "'gamma: 0' leaves 1 - T with a power of 0, want at least 0.05");
    refused("{use: unified_focal, gamma: 1}", "'gamma: 1' leaves 1 - T with a power of 0");
    refused("{use: mixed_focal, balance: [0.5, 0.5]}", "'balance' has 2 numbers");
    loom_assert_failed(loom_loss_eval(none, z, t, &value, NULL, &error), error, LOOM_ERROR,
                       LOOM_ERROR_NUMERIC,
                       "there is no class besides the background whose weight is above 0");
}

typedef struct {
    LoomLossKit kit;
} Formula;

static const LoomParam formula_params[] = {LOOM_VOXEL_ROWS(Formula, "voxels"), {0}};
static const LoomParam other_params[] = {
    {"weights", LOOM_PARAM_FLOATS, 8, "[]", 0, 1, NULL, NULL, "not where the kit has them"},
    {0},
};

static double formula_voxel(G_GNUC_UNUSED gconstpointer self, G_GNUC_UNUSED gint64 k, double p,
                            G_GNUC_UNUSED double log_p, double *slope)
{
    *slope = -1;
    return 1 - p;
}

static double formula_region(G_GNUC_UNUSED gconstpointer self, G_GNUC_UNUSED gint64 k,
                             LoomCounts n, LoomCounts *slope)
{
    return loom_tversky(n, 0.5, 1, slope);
}

static double formula_regions(G_GNUC_UNUSED gconstpointer self, const LoomRegions *all,
                              G_GNUC_UNUSED LoomCounts *slope)
{
    return (double)all->groups;
}

static gboolean formula_eval(G_GNUC_UNUSED gpointer self, G_GNUC_UNUSED const LoomTensor *p,
                             G_GNUC_UNUSED const LoomTensor *target,
                             G_GNUC_UNUSED double *value, G_GNUC_UNUSED LoomTensor *grad,
                             G_GNUC_UNUSED GError **error)
{
    return TRUE;
}

#define FORMULA(rows) LOOM_LOSS(Formula, "formula", "For this test", .params = rows)

static void test_refused_descriptors(void)
{
    const LoomLoss losses[] = {
        {.base = FORMULA(formula_params)},
        {.base = FORMULA(formula_params), .eval = formula_eval, .voxel = formula_voxel},
        {.base = FORMULA(formula_params), .region = formula_region, .regions = formula_regions},
        {.base = FORMULA(NULL), .voxel = formula_voxel},
        {.base = FORMULA(other_params), .region = formula_region},
    };
    const LoomLoss good = {
        .base = FORMULA(formula_params), .voxel = formula_voxel, .region = formula_region};

    for (guint i = 0; i <= G_N_ELEMENTS(losses); i++) {
        g_autoptr(LoomRegistry) registry = loom_registry_new();
        g_autoptr(GError) error = NULL;
        const gboolean last = i == G_N_ELEMENTS(losses);
        const LoomPlugin *const plugins[] = {last ? &good.base : &losses[i].base, NULL};
        const LoomModule module = {LOOM_ABI_MAJOR, LOOM_ABI_MINOR, "formula", "0", plugins};

        if (last) {
            g_assert_true(loom_registry_add(registry, &module, "formula.so", &error));
            continue;
        }
        loom_assert_failed(loom_registry_add(registry, &module, "formula.so", &error), error,
                           LOOM_ERROR, LOOM_ERROR_PLUGIN,
                           i < 3 ? "a loss has either eval, or voxel"
                                 : "begins its struct with 'LoomLossKit kit'");
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/loss/kit/threads", test_threads);
    g_test_add_func("/loss/kit/class-weights", test_class_weights);
    g_test_add_func("/loss/kit/pooling", test_pooling);
    g_test_add_func("/loss/absent/regions", test_absent_regions);
    g_test_add_func("/loss/absent/voxels", test_absent_voxels);
    g_test_add_func("/loss/absent/generalised", test_absent_generalised);
    g_test_add_func("/loss/top/sorted", test_top);
    g_test_add_func("/loss/top/corners", test_top_corners);
    g_test_add_func("/loss/unified-focal/suppressed", test_suppressed);
    g_test_add_func("/loss/kit/refused-parameters", test_refused_parameters);
    g_test_add_func("/loss/kit/refused-descriptors", test_refused_descriptors);
    return loom_test_run();
}
