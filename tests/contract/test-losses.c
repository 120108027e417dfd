/* Every loss of the registry keeps the promises of its kind: those that `segloom plugin test`
 * looks at, and the refusals that the engine makes for it.  A loss with required parameters
 * needs a row in `configured`; options worth a check of their own have one as well. */
#include "loom_test.h"

#include "plugin/check.h"

#include <math.h>
#include <string.h>

static const char *const configured[] = {
    "{use: sum, of: [{use: dice}, {use: cross_entropy}], weights: [0.5, 2]}",
    "{use: dice, background: true, batch: false, smooth: 1}",
    "{use: dice, batch: false}",
    "{use: cc_dice_ce, neighbours: 6, spacing: [3, 1, 0.5]}",
    "{use: hausdorff, alpha: 1, spacing: [3, 1, 0.5]}",
    "{use: cldice, iterations: 0}",
    "{use: sum, of: [{use: dice}, {use: boundary}, {use: blob}], weights: [1, 0.01, 0.5]}",
    "{use: sum, of: [{use: unified_focal}, {use: topk}]}",
    "{use: cross_entropy, divide_by: voxels}",
    "{use: focal, gamma: 0.5, divide_by: weights}",
    "{use: focal, gamma: 1.5}",
    "{use: topk, k: 40}",
    "{use: dice_topk, k: 50, batch: false}",
    "{use: tversky, background: false, batch: true}",
    "{use: generalised_dice, absent: count}",
    "{use: generalised_dice, background: false, batch: true}",
    "{use: focal_tversky, of: mean, gamma: 0.5, smooth: 1}",
    "{use: focal_dice, of: overlap, gamma: 0.5, smooth: 1}",
    "{use: cosine_tversky, gamma: 2, background: false}",
    "{use: dscplusplus, gamma: 1.5}",
    "{use: mixed_focal, balance: 0.3, batch: true}",
    "{use: unified_focal, form: symmetric, gamma: 0.2, lambda: 0.3}",
    "{use: unified_focal, suppressed: [0, 1], delta: 0.8, sum_classes: true}",
    ("{use: unified_focal, form: symmetric, gamma: 0.2, lambda: 0.3, paper_lambda: true, "
     "paper_exponents: true}"),
};

/* Without a row: its defaults. */
static gboolean has_row(const char *name)
{
    g_autofree char *with = g_strdup_printf("{use: %s,", name);

    for (guint i = 0; i < G_N_ELEMENTS(configured); i++)
        if (g_str_has_prefix(configured[i], with))
            return TRUE;
    return FALSE;
}

static LoomInstance *opened(const char *yaml)
{
    return loom_test_instance(LOOM_KIND_LOSS, yaml, NULL, NULL);
}

/* ---- what pipeline/plugin/loss_check.c asks ------------------------------------------ */

typedef struct {
    char *yaml;
    const LoomCheck *check;
} Case;

static void case_free(gpointer data)
{
    Case *it = data;

    g_free(it->yaml);
    g_free(it);
}

static void test_check(gconstpointer data)
{
    const Case *it = data;
    g_autoptr(LoomInstance) loss = opened(it->yaml);
    g_autoptr(GString) found = g_string_new(NULL);
    GError *error = NULL;

    it->check->run(loss, found, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(found->len, >, 0);
    g_test_message("%s", found->str);
}

/* Adding a number to all logits of a voxel changes nothing: the gradients sum to 0, but for
 * float32's rounding of gradients around 0.1 before the softmax takes them apart. */
static void test_shift(gconstpointer yaml)
{
    g_autoptr(LoomInstance) loss = opened(yaml);

    for (gint64 c = 2; c <= 5; c++) {
        g_autoptr(LoomTensor) logits =
            loom_test_random("NCDHW", SHAPE(2, c, 2, 3, 2), (guint64)c, -2, 2);
        g_autoptr(LoomTensor) target =
            loom_test_random_labels("NDHW", SHAPE(2, 2, 3, 2), (guint64)c, c);
        g_autoptr(LoomTensor) dlogits = loom_tensor_new_like(logits, NULL);
        const float *g = loom_tensor_f32(dlogits);
        const gint64 voxels = 12;
        double largest = 0;

        loom_tensor_f32_mut(dlogits)[0] = NAN; /* must be overwritten */
        loom_test_eval(loss, logits, target, dlogits);
        for (gint64 i = 0; i < loom_tensor_count(logits); i++)
            largest = fmax(largest, fabs((double)g[i]));
        g_assert_true(isfinite(largest));
        for (gint64 v = 0; v < loom_tensor_count(target); v++) {
            double sum = 0;

            for (gint64 k = 0; k < c; k++)
                sum += (double)g[(v / voxels * c + k) * voxels + v % voxels];
            loom_assert_near(sum, 0, 1e-6 * largest * (double)c + 2e-8);
        }
    }
}

/* ---- refusals ----------------------------------------------------------------------- */

static void check_refused(const LoomInstance *loss, const LoomTensor *logits,
                          const LoomTensor *target, const char *text)
{
    g_autoptr(GError) error = NULL;
    double value;

    loom_assert_failed(loom_loss_eval(loss, logits, target, &value, NULL, &error), error,
                       LOOM_ERROR, LOOM_ERROR_SHAPE, text);
}

static void test_refusals(gconstpointer yaml)
{
    g_autoptr(LoomInstance) loss = opened(yaml);
    g_autoptr(LoomTensor) logits = loom_test_random("NCDHW", SHAPE(1, 2, 1, 2, 2), 1, -1, 1);
    g_autoptr(LoomTensor) flat = loom_test_random("CDHW", SHAPE(2, 1, 2, 2), 1, -1, 1);
    g_autoptr(LoomTensor) label = loom_test_u8("NDHW", SHAPE(1, 1, 2, 2), U8(0, 1, 0, 1));
    g_autoptr(LoomTensor) above = loom_test_u8("NDHW", SHAPE(1, 1, 2, 2), U8(0, 1, 2, 1));
    g_autoptr(LoomTensor) small = loom_test_u8("NDHW", SHAPE(1, 1, 2, 1), U8(0, 1));
    g_autoptr(LoomTensor) twice =
        loom_test_u8("NDHW", SHAPE(2, 1, 2, 2), U8(0, 1, 0, 1, 0, 1, 0, 1));

    check_refused(loss, logits, above,
                  "'label' has a voxel of class 2, the logits have 2 classes (0 to 1)");
    check_refused(loss, logits, small, "D, H, W must agree");
    check_refused(loss, logits, twice, "'logits' has 1 samples, 'label' has 2");
    check_refused(loss, flat, label, "'logits' is f32 (C,D,H,W)");
    check_refused(loss, logits, logits, "'label' is f32 (N,C,D,H,W)");
}

/* ---- softmax ------------------------------------------------------------------------ */

/* Against the definition in double; 1,234 voxels are two blocks and a rest. */
static void test_softmax(void)
{
    g_autoptr(LoomTensor) z = loom_test_random("NCDHW", SHAPE(2, 7, 1, 2, 617), 1, -30, 30);
    g_autoptr(LoomTensor) p = loom_tensor_new_like(z, NULL);
    const gint64 voxels = 1234;

    loom_softmax(z, p);
    for (gint64 n = 0; n < 2; n++)
        for (gint64 v = 0; v < voxels; v++) {
            const float *x = loom_tensor_f32(z) + n * 7 * voxels + v;
            const float *y = loom_tensor_f32(p) + n * 7 * voxels + v;
            double sum = 0;

            for (gint64 k = 0; k < 7; k++)
                sum += exp((double)x[k * voxels]);
            for (gint64 k = 0; k < 7; k++) {
                const double want = exp((double)x[k * voxels]) / sum;

                /* differences of logits up to 60 carry 2e-6 into the exponent */
                loom_assert_near((double)y[k * voxels], want, 4e-6 * want);
            }
        }
    loom_softmax(z, z); /* in place */
    g_assert_true(loom_test_equal(z, p));
}

static void test_weights(void)
{
    g_autoptr(LoomTensor) z = loom_test_random("NCDHW", SHAPE(1, 3, 1, 2, 2), 1, -1, 1);
    g_autoptr(LoomTensor) t = loom_test_u8("NDHW", SHAPE(1, 1, 2, 2), U8(0, 1, 0, 1));
    g_autoptr(LoomInstance) two = opened("{use: cross_entropy, weights: [1, 2]}");
    g_autoptr(LoomInstance) none = opened("{use: cross_entropy, weights: [0, 0, 1]}");
    g_autoptr(LoomInstance) within =
        opened("{use: sum, of: [{use: cross_entropy, weights: [1]}]}");
    g_autoptr(GError) error = NULL, empty = NULL, uneven = NULL;
    double value;

    check_refused(two, z, t, "'weights' has 2 numbers, the logits have 3 classes");
    check_refused(within, z, t, "cross_entropy: 'weights' has 1 numbers");
    loom_assert_failed(loom_loss_eval(none, z, t, &value, NULL, &error), error, LOOM_ERROR,
                       LOOM_ERROR_NUMERIC, "the weight of every class that occurs");
    loom_assert_failed(loom_test_instance(LOOM_KIND_LOSS, "{use: sum, of: []}", NULL, &empty),
                       empty, LOOM_ERROR, LOOM_ERROR_CONFIG, "'of' is empty");
    loom_assert_failed(loom_test_instance(LOOM_KIND_LOSS,
                                          "{use: sum, of: [{use: dice}], weights: [1, 2]}",
                                          NULL, &uneven),
                       uneven, LOOM_ERROR, LOOM_ERROR_CONFIG, "'weights' has 2 numbers for 1");
}

static void add_tests(const char *yaml, const char *name, guint number)
{
    g_autofree char *shift = g_strdup_printf("/loss/%s/%u/shift", name, number);
    g_autofree char *refusals = g_strdup_printf("/loss/%s/%u/refusals", name, number);

    for (const LoomCheck *check = loom_loss_checks(); check->name; check++) {
        g_autofree char *path = g_strdup_printf("/loss/%s/%u/%s", name, number, check->name);
        Case *it = g_new0(Case, 1);

        it->yaml = g_strdup(yaml);
        it->check = check;
        g_strdelimit(path, " ", '-');
        g_test_add_data_func_full(path, it, test_check, case_free);
    }
    g_test_add_data_func_full(shift, g_strdup(yaml), test_shift, g_free);
    g_test_add_data_func_full(refusals, g_strdup(yaml), test_refusals, g_free);
}

int main(int argc, char **argv)
{
    g_autofree const LoomPlugin **losses = NULL;

    g_test_init(&argc, &argv, NULL);
    losses = loom_registry_list(loom_test_registry(), LOOM_KIND_LOSS);
    for (guint i = 0; losses[i]; i++) {
        gboolean required = FALSE;

        for (const LoomParam *row = losses[i]->params; row && row->name; row++)
            required = required || !row->def;
        if (required && !has_row(losses[i]->name))
            g_error("loss '%s' has required parameters: give it a row here", losses[i]->name);
        if (!required) {
            g_autofree char *yaml = g_strdup_printf("{use: %s}", losses[i]->name);

            add_tests(yaml, losses[i]->name, 0);
        }
    }
    for (guint i = 0; i < G_N_ELEMENTS(configured); i++)
        add_tests(configured[i], "configured", i);
    g_test_add_func("/loss/softmax", test_softmax);
    g_test_add_func("/loss/weights", test_weights);
    return loom_test_run();
}
