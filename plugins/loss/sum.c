/* sum - a weighted sum of other losses: L = sum_i w_i L_i. */
#include <loom/loom.h>

typedef struct {
    LoomInstances of;
    LoomFloats weights;
} Sum;

static const LoomParam sum_params[] = {
    LOOM_USES(Sum, of, NULL, "loss", "the losses to add"),
    LOOM_FLOATS(Sum, weights, "[]", -1e6, 1e6, NULL, "one number a loss; empty: all 1"),
    {0},
};

static gboolean sum_open(gpointer self, G_GNUC_UNUSED LoomHost *host, GError **error)
{
    const Sum *sum = self;

    if (sum->of.n == 0)
        return loom_fail(error, LOOM_ERROR_CONFIG, "'of' is empty, want at least one loss");
    if (sum->weights.n && sum->weights.n != sum->of.n)
        return loom_fail(error, LOOM_ERROR_CONFIG, "'weights' has %u numbers for %u losses",
                         sum->weights.n, sum->of.n);
    return TRUE;
}

static void add(float *to, float weight, const float *part, gint64 count)
{
    for (gint64 i = 0; i < count; i++)
        to[i] += weight * part[i];
}

static gboolean sum_eval(gpointer self, const LoomTensor *logits, const LoomTensor *target,
                         double *value, LoomTensor *grad, GError **error)
{
    const Sum *sum = self;
    g_autoptr(LoomTensor) part = NULL;

    if (grad && !(part = loom_tensor_new_like(grad, error)))
        return FALSE;
    *value = 0;
    for (guint i = 0; i < sum->of.n; i++) {
        const double weight = sum->weights.n ? sum->weights.v[i] : 1;
        double one = 0;

        if (!loom_loss_eval(sum->of.v[i], logits, target, &one, part, error)) {
            g_prefix_error(error, "%s: ", sum->of.v[i]->id);
            return FALSE;
        }
        *value += weight * one;
        if (grad)
            add(loom_tensor_f32_mut(grad), (float)weight, loom_tensor_f32(part),
                loom_tensor_count(part));
    }
    return TRUE;
}

/* The gradient of one part, and what the largest takes. */
static guint64 sum_need(gconstpointer self, const gint64 ncdhw[5])
{
    const Sum *sum = self;
    guint64 most = 0;

    for (guint i = 0; i < sum->of.n; i++) {
        const LoomLoss *part = (const LoomLoss *)sum->of.v[i]->plugin;

        if (part->need)
            most = MAX(most, part->need(sum->of.v[i]->self, ncdhw));
    }
    return most
           + sizeof(float) * (guint64)(ncdhw[0] * ncdhw[1] * ncdhw[2] * ncdhw[3] * ncdhw[4]);
}

static const LoomLoss sum = {
    .base = LOOM_LOSS(Sum, "sum", "Weighted sum of other losses", .params = sum_params,
                      .open = sum_open),
    .input = LOOM_LOSS_ON_LOGITS,
    .eval = sum_eval,
    .need = sum_need,
};
LOOM_MODULE("loss_sum", "0.1", &sum.base);
