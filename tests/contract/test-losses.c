/* Every loss of the registry keeps the promises of its kind.  A loss with required parameters
 * needs a row in `configured`; options worth a check of their own have one as well. */
#include "loom_test.h"

#include <math.h>
#include <string.h>

static const char *const configured[] = {
    "{use: sum, of: [{use: dice}, {use: cross_entropy}], weights: [0.5, 2]}",
    "{use: dice, background: true, batch: false, smooth: 1}",
    "{use: dice, batch: false}",
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

static double eval(const LoomInstance *loss, const LoomTensor *logits, const LoomTensor *target,
                   LoomTensor *dlogits)
{
    GError *error = NULL;
    double value = NAN;

    loom_loss_eval(loss, logits, target, &value, dlogits, &error);
    g_assert_no_error(error);
    return value;
}

/* ---- gradient ----------------------------------------------------------------------- */

/* Central differences with h = 1e-2.  The value is computed from float32 probabilities, so a
 * difference has an error of about 1e-7 / 2h = 5e-6 a sample of the mean, and one of h^2 / 6 of
 * the third derivative, at most 2e-5 of a gradient's size: together below 1e-3 of the largest
 * gradient, plus 1e-5 where all are small. */
static void check_gradient(const LoomInstance *loss, LoomTensor *logits,
                           const LoomTensor *target)
{
    const gint64 c = loom_tensor_size(logits, 'C'),
                 voxels = loom_tensor_count_from(logits, 'D');
    const float h = 1e-2f;
    g_autoptr(LoomTensor) dlogits = loom_tensor_new_like(logits, NULL);
    float *z = loom_tensor_f32_mut(logits);
    const float *g = loom_tensor_f32(dlogits);
    double largest = 0;

    loom_tensor_f32_mut(dlogits)[0] = NAN; /* must be overwritten */
    eval(loss, logits, target, dlogits);
    for (gint64 i = 0; i < loom_tensor_count(logits); i++)
        largest = fmax(largest, fabs((double)g[i]));
    g_assert_true(isfinite(largest));
    for (gint64 i = 0; i < loom_tensor_count(logits); i++) {
        const float before = z[i], above = before + h, below = before - h;
        double up, down;

        z[i] = above;
        up = eval(loss, logits, target, NULL);
        z[i] = below;
        down = eval(loss, logits, target, NULL);
        z[i] = before;
        loom_assert_near((double)g[i], (up - down) / ((double)above - (double)below),
                         1e-3 * largest + 1e-5);
    }
    /* Adding a number to all logits of a voxel changes nothing: the gradients sum to 0, but for
     * float32's rounding of gradients around 0.1 before the softmax takes them apart. */
    for (gint64 v = 0; v < loom_tensor_count(logits) / c; v++) {
        double sum = 0;

        for (gint64 k = 0; k < c; k++)
            sum += (double)g[(v / voxels * c + k) * voxels + v % voxels];
        loom_assert_near(sum, 0, 1e-6 * largest * (double)c + 2e-8);
    }
}

static void test_gradient(gconstpointer yaml)
{
    g_autoptr(LoomInstance) loss = opened(yaml);

    for (gint64 c = 2; c <= 5; c++) {
        g_autoptr(LoomTensor) logits =
            loom_test_random("NCDHW", SHAPE(2, c, 2, 3, 2), (guint64)c, -2, 2);
        g_autoptr(LoomTensor) target =
            loom_test_random_labels("NDHW", SHAPE(2, 2, 3, 2), (guint64)c, c);

        check_gradient(loss, logits, target);
    }
}

/* Probabilities within 1e-4 of 0 and 1, some of them right and some wrong. */
static void test_corners(gconstpointer yaml)
{
    g_autoptr(LoomInstance) loss = opened(yaml);
    g_autoptr(LoomTensor) logits =
        loom_test_random("NCDHW", SHAPE(1, 3, 2, 2, 3), 3, -0.1, 0.1);
    g_autoptr(LoomTensor) believed = loom_test_random_labels("NDHW", SHAPE(1, 2, 2, 3), 4, 3);
    g_autoptr(LoomTensor) target = loom_test_random_labels("NDHW", SHAPE(1, 2, 2, 3), 5, 3);

    for (gint64 v = 0; v < 12; v++)
        loom_tensor_f32_mut(logits)[loom_tensor_u8(believed)[v] * 12 + v] += 10;
    check_gradient(loss, logits, target);
}

/* ---- values ------------------------------------------------------------------------- */

static gboolean all_finite(const LoomTensor *tensor)
{
    for (gint64 i = 0; i < loom_tensor_count(tensor); i++)
        if (!isfinite(loom_tensor_f32(tensor)[i]))
            return FALSE;
    return TRUE;
}

/* Logits so far apart that probabilities are 0 and 1; labels with and without foreground. */
static void test_extremes(gconstpointer yaml)
{
    static const guint8 labels[][4] = {{0, 1, 2, 1}, {0, 0, 0, 0}, {2, 2, 2, 2}};
    g_autoptr(LoomInstance) loss = opened(yaml);

    for (guint l = 0; l < G_N_ELEMENTS(labels); l++)
        for (gint64 shift = 0; shift < 3; shift++) {
            g_autoptr(LoomTensor) target =
                loom_test_u8("NDHW", SHAPE(1, 1, 2, 2), labels[l], 4);
            g_autoptr(LoomTensor) logits =
                loom_test_random("NCDHW", SHAPE(1, 3, 1, 2, 2), 1, -1, 1);
            g_autoptr(LoomTensor) dlogits = loom_tensor_new_like(logits, NULL);

            for (gint64 v = 0; v < 4; v++)
                loom_tensor_f32_mut(logits)[(labels[l][v] + shift) % 3 * 4 + v] = 1e4f;
            g_assert_true(isfinite(eval(loss, logits, target, dlogits)));
            g_assert_true(all_finite(dlogits));
        }
}

/* The value does not depend on whether a gradient is asked for, nor do the inputs change. */
static void test_value_alone(gconstpointer yaml)
{
    g_autoptr(LoomInstance) loss = opened(yaml);
    g_autoptr(LoomTensor) logits = loom_test_random("NCDHW", SHAPE(2, 4, 3, 17, 11), 1, -3, 3);
    g_autoptr(LoomTensor) target = loom_test_random_labels("NDHW", SHAPE(2, 3, 17, 11), 2, 4);
    g_autoptr(LoomTensor) logits_before = loom_tensor_copy(logits, NULL);
    g_autoptr(LoomTensor) target_before = loom_tensor_copy(target, NULL);
    g_autoptr(LoomTensor) first = loom_tensor_new_like(logits, NULL);
    g_autoptr(LoomTensor) second = loom_tensor_new_like(logits, NULL);
    const double value = eval(loss, logits, target, first);

    g_assert_true(value == eval(loss, logits, target, NULL));
    g_assert_true(value == eval(loss, logits, target, second));
    g_assert_true(loom_test_equal(first, second));
    g_assert_true(loom_test_equal(logits, logits_before));
    g_assert_true(loom_test_equal(target, target_before));
}

/* Right is better than wrong. */
static void test_order(gconstpointer yaml)
{
    g_autoptr(LoomInstance) loss = opened(yaml);
    g_autoptr(LoomTensor) target = loom_test_u8("NDHW", SHAPE(1, 1, 1, 4), U8(0, 1, 0, 1));
    g_autoptr(LoomTensor) right =
        loom_test_f32("NCDHW", SHAPE(1, 2, 1, 1, 4), F32(3, -3, 3, -3, -3, 3, -3, 3));
    g_autoptr(LoomTensor) wrong =
        loom_test_f32("NCDHW", SHAPE(1, 2, 1, 1, 4), F32(-3, 3, -3, 3, 3, -3, 3, -3));

    g_assert_cmpfloat(eval(loss, right, target, NULL), <, eval(loss, wrong, target, NULL));
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
    static const struct {
        const char *name;
        void (*run)(gconstpointer yaml);
    } tests[] = {
        {"gradient", test_gradient}, {"corners", test_corners},
        {"extremes", test_extremes}, {"value-alone", test_value_alone},
        {"order", test_order},       {"refusals", test_refusals},
    };

    for (guint i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_autofree char *path = g_strdup_printf("/loss/%s/%u/%s", name, number, tests[i].name);

        g_test_add_data_func_full(path, g_strdup(yaml), tests[i].run, g_free);
    }
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
