/* hausdorff - squared errors by their distance to the borders of truth and prediction:
 *   L = mean over voxels, samples, foreground classes of (p - y)^2 (d_y^alpha + d_p^alpha),
 *   dL/dp = 2 (p - y) (d_y^alpha + d_p^alpha) / count
 * d_y, d_p: exact Euclidean distance to the other side of the border of the truth y, and of the
 * prediction p > 1/2.  d_p moves in jumps, where its derivative is not defined; elsewhere it is
 * 0, so the gradient is exact.  A term to add to a region loss.
 *
 * A class that is absent from a patch, or fills it, has no border: that distance is 0.  So an
 * absent class costs what was predicted above 1/2, and nothing where that is nothing.
 * Ignored voxels are outside of both and not in the mean.
 * Source: Karimi and Salcudean 2019, Reducing the Hausdorff distance (arXiv 1904.10030).
 */
#include <loom/loom.h>
#include <loom/morphology.h>

#include <math.h>

typedef struct {
    double alpha;
    LoomFloats spacing;
    LoomPool *pool;
} Hausdorff;

static const LoomParam hausdorff_params[] = {
    LOOM_FLOAT(Hausdorff, alpha, "2", 0.1, 8, NULL, "how much more a distant error counts"),
    LOOM_FLOATS(Hausdorff, spacing, "[1, 1, 1]", 1e-6, 1e6, NULL,
                "size of a voxel along D, H, W"),
    {0},
};

/* Room for one class of one sample, and what it is about. */
typedef struct {
    const Hausdorff *loss;
    const gint64 *shape;
    gint64 voxels;
    guint8 *mask;
    double *of_truth, *of_prediction;
} Field;

static void field_clear(Field *field)
{
    g_free(field->mask);
    g_free(field->of_truth);
    g_free(field->of_prediction);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Field, field_clear)

static gboolean field_fill(const Field *field, const float *p, const guint8 *t, gint64 k,
                           GError **error)
{
    const double *spacing = field->loss->spacing.v;

    for (gint64 v = 0; v < field->voxels; v++)
        field->mask[v] = t[v] == k;
    if (!loom_distance_signed(field->mask, field->shape, spacing, field->of_truth,
                              field->loss->pool, error))
        return FALSE;
    for (gint64 v = 0; v < field->voxels; v++)
        field->mask[v] = t[v] != LOOM_IGNORED && p[v] > 0.5f;
    return loom_distance_signed(field->mask, field->shape, spacing, field->of_prediction,
                                field->loss->pool, error);
}

static double class_sum(const Field *field, const float *p, const guint8 *t, gint64 k, float *g,
                        double share)
{
    const double alpha = field->loss->alpha;
    double sum = 0;

    for (gint64 v = 0; v < field->voxels; v++) {
        const double a = fabs(field->of_truth[v]), b = fabs(field->of_prediction[v]);
        const double weight = alpha == 2 ? a * a + b * b : pow(a, alpha) + pow(b, alpha);
        const double off = (double)p[v] - (t[v] == k ? 1 : 0);

        if (t[v] == LOOM_IGNORED)
            continue;
        sum += off * off * weight;
        if (g)
            g[v] = (float)(2 * share * off * weight);
    }
    return sum;
}

static gboolean hausdorff_eval(gpointer self, const LoomTensor *probs, const LoomTensor *target,
                               double *value, LoomTensor *grad, GError **error)
{
    const gint64 n = loom_tensor_size(probs, 'N'), c = loom_tensor_size(probs, 'C');
    const gint64 voxels = loom_tensor_count_from(probs, 'D');
    g_auto(Field) field = {.loss = self,
                           .shape = loom_tensor_shape(probs) + 2,
                           .voxels = voxels,
                           .mask = g_try_new(guint8, (gsize)voxels),
                           .of_truth = g_try_new(double, (gsize)voxels),
                           .of_prediction = g_try_new(double, (gsize)voxels)};

    if (c < 2)
        return loom_fail(error, LOOM_ERROR_SHAPE, "hausdorff needs a class besides class 0");
    if (!field.mask || !field.of_truth || !field.of_prediction)
        return loom_fail(error, LOOM_ERROR_LIMIT, "no memory for the distances of a patch");
    const double share = 1.0 / ((double)MAX(loom_target_counted(target), 1) * (double)(c - 1));
    *value = 0;
    for (gint64 i = 0; i < n; i++)
        for (gint64 k = 1; k < c; k++) {
            const gint64 at = (i * c + k) * voxels;
            const float *p = loom_tensor_f32(probs) + at;
            const guint8 *t = loom_tensor_u8(target) + i * voxels;
            float *g = grad ? loom_tensor_f32_mut(grad) + at : NULL;

            if (!field_fill(&field, p, t, k, error))
                return FALSE;
            *value += share * class_sum(&field, p, t, k, g, share);
        }
    return TRUE;
}

static gboolean hausdorff_open(gpointer self, LoomHost *host, GError **error)
{
    Hausdorff *hausdorff = self;

    hausdorff->pool = loom_host_pool(host);
    return hausdorff->spacing.n == 3
           || loom_fail(error, LOOM_ERROR_CONFIG, "'spacing' has %u numbers, want 3: D, H, W",
                        hausdorff->spacing.n);
}

/* Of one sample and class: two fields, and what a signed distance takes. */
static guint64 hausdorff_need(G_GNUC_UNUSED gconstpointer self, const gint64 ncdhw[5])
{
    return (guint64)(ncdhw[2] * ncdhw[3] * ncdhw[4]) * (3 * sizeof(double) + 2);
}

static const LoomLoss hausdorff = {
    .base = LOOM_LOSS(Hausdorff, "hausdorff",
                      "Hausdorff loss by distance transforms; to be added to another",
                      .params = hausdorff_params, .open = hausdorff_open),
    .input = LOOM_LOSS_ON_PROBS,
    .eval = hausdorff_eval,
    .need = hausdorff_need,
};
LOOM_MODULE("loss_hausdorff", "0.1", &hausdorff.base);
