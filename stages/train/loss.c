/* loss - how wrong the logits are, and in which direction: any loss plugin at every resolution,
 *   L = sum_k w_k L(logits_k, label[::s, ::s, ::s]) / sum_k w_k,  w_k = 1, 1/2, 1/4, ...
 * where s is the ratio of the grids; w of the coarsest is 0 where it shall not count, as in
 * nnU-Net: 8/15, 4/15, 2/15, 1/15, 0.
 *
 * On regions a channel z of the logits is a region r, and any loss plugin sees it as two
 * classes with the logits (0, z), since softmax(0, z) = sigmoid(z):
 *
 *   L = 1/R sum_r L((0, z_r), label in r)
 *
 * Source: Isensee et al. 2021 (nnU-Net), deep supervision; its region_based_training.md. */
#include "class_gradient.h"
#include "outputs.h"

#include <math.h>
#include <string.h>

typedef struct {
    LoomInstance *loss;
    gint64 ignore;
    gboolean coarsest, regions;
    const LoomDataset *dataset; /* the run's; NULL: none */
} Loss;

static const LoomParam loss_params[] = {
    LOOM_USE(Loss, loss, NULL, "loss", "the loss to train with"),
    LOOM_INT(Loss, ignore, "-1", -1, 255, NULL,
             "label of the voxels that count nowhere; -1: the data set's, if it has one"),
    LOOM_BOOL(Loss, coarsest, "true",
              "of several resolutions the coarsest counts as well; nnU-Net: false"),
    LOOM_BOOL(Loss, regions, "false",
              "a channel of the logits is a region of the data set, not a class"),
    {0},
};

static const LoomSlot loss_reads[] = {
    {"logits", LOOM_F32, "NCDHW", 0, "one channel a class, or a region"},
    {"label", LOOM_U8, "NDHW", 0, "the true class of every voxel"},
    OUTPUT_COARSER("logits", "the same at a coarser decoder level"),
    {0},
};

static const LoomSlot loss_writes[] = {
    {"loss", LOOM_F64, "", 0, "the weighted mean over the resolutions"},
    {"class_gradient", LOOM_F32, "K", 0, "its norm over the voxels of each class"},
    {"dlogits", LOOM_F32, "NCDHW", 0, "d loss / d logits"},
    OUTPUT_COARSER("dlogits", "d loss / d logits of that level"),
    {0},
};

static gboolean loss_open(gpointer self, LoomHost *host, GError **error)
{
    Loss *loss = self;

    loss->dataset = loom_host_dataset(host);
    return !loss->regions || (loss->dataset && loss->dataset->n_regions)
           || loom_fail(error, LOOM_ERROR_CONFIG,
                        "regions: the data set has none, want data: {regions: {NAME: [1, 2], "
                        "...}}");
}

static gboolean plan_regions(const Loss *loss, LoomPlan *plan, GError **error)
{
    const LoomDataset *dataset = loss->dataset;
    g_autoptr(GString) names = g_string_new(NULL);

    plan->regions = TRUE;
    if (!plan->classes || plan->classes == dataset->n_regions)
        return TRUE;
    for (guint r = 0; r < dataset->n_regions; r++)
        g_string_append_printf(names, "%s%s", r ? ", " : "", dataset->regions[r].name);
    return loom_fail(error, LOOM_ERROR_SHAPE,
                     "the network has %" G_GINT64_FORMAT
                     " classes, the data set has %u regions (%s): want one each",
                     plan->classes, dataset->n_regions, names->str);
}

/* The network has a class for every label but the ignored one, and no other. */
static gboolean loss_plan(gpointer self, LoomPlan *plan, GError **error)
{
    const Loss *loss = self;
    const LoomDataset *dataset = loss->dataset;
    const gint64 labels = dataset ? dataset->n_labels : 0;
    const gboolean among = loss->ignore >= 0 && loss->ignore < labels;
    g_autofree char *names = NULL;

    if (loss->regions)
        return plan_regions(loss, plan, error);
    if (!labels || !plan->classes)
        return TRUE;
    if (among && loss->ignore != labels - 1)
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "'ignore' is %" G_GINT64_FORMAT
                         " (%s), a class between others: want the "
                         "last label of the data set, or one that it has not",
                         loss->ignore, dataset->label_names[loss->ignore]);
    if (plan->classes == labels - among)
        return TRUE;
    names = g_strjoinv(", ", dataset->label_names);
    return loom_fail(
        error, LOOM_ERROR_SHAPE,
        "the network has %" G_GINT64_FORMAT " classes, the data set has %u labels (%s)%s",
        plan->classes, dataset->n_labels, names, among ? ", the last of them ignored" : "");
}

/* Losses know the ignored label as LOOM_IGNORED, as the loader does.  Without an ignored label
 * such a voxel is a mistake in the data.
 * @marked: (transfer full): u8 (N,D,H,W), @label in the losses' terms; NULL: it is already */
static gboolean ignore_label(const Loss *loss, const LoomTensor *label, LoomTensor **marked,
                             GError **error)
{
    const gint64 n = loom_tensor_count(label);
    const guint8 *from = loom_tensor_u8(label);

    const gboolean known = loss->dataset && loss->dataset->ignores;

    if (loss->ignore == LOOM_IGNORED || (known && loss->ignore < 0))
        return TRUE;
    if (!known && memchr(from, LOOM_IGNORED, (gsize)n))
        return loom_fail(error, LOOM_ERROR_SHAPE,
                         "'label' has a voxel of class %d, which is none: set 'ignore: %d' to "
                         "leave such voxels out",
                         LOOM_IGNORED, LOOM_IGNORED);
    if (loss->ignore < 0)
        return TRUE;
    if (!(*marked = loom_tensor_copy(label, error)))
        return FALSE;
    guint8 *to = loom_tensor_u8_mut(*marked);
    for (gint64 v = 0; v < n; v++)
        to[v] = from[v] == loss->ignore ? LOOM_IGNORED : from[v];
    return TRUE;
}

/* Every s-th voxel of @label, s = label's size / logits' size along each axis.
 * Returns: (transfer full): u8 (N,D,H,W) on the logits' grid. */
static LoomTensor *stride_label(const LoomTensor *label, const LoomTensor *logits,
                                GError **error)
{
    const gint64 *from = loom_tensor_shape(label), *to = loom_tensor_shape(logits) + 2;
    const gint64 shape[4] = {from[0], to[0], to[1], to[2]};
    const gint64 s[3] = {from[1] / to[0], from[2] / to[1], from[3] / to[2]};
    const guint8 *t = loom_tensor_u8(label);
    LoomTensor *strided;
    guint8 *y;

    if (s[0] * to[0] != from[1] || s[1] * to[1] != from[2] || s[2] * to[2] != from[3])
        return loom_fail_null(error, LOOM_ERROR_SHAPE,
                              "the grid of coarser logits is no whole fraction of the label's");
    if (!(strided = loom_tensor_new(LOOM_U8, "NDHW", shape, error)))
        return NULL;
    y = loom_tensor_u8_mut(strided);
    for (gint64 n = 0; n < shape[0]; n++)
        for (gint64 d = 0; d < to[0]; d++)
            for (gint64 h = 0; h < to[1]; h++) {
                const guint8 *row =
                    t + ((n * from[1] + d * s[0]) * from[2] + h * s[1]) * from[3];

                for (gint64 w = 0; w < to[2]; w++)
                    *y++ = row[w * s[2]];
            }
    return strided;
}

/* Of the k-th of @n resolutions, before they are made to sum to 1. */
static double weight_of(const Loss *loss, guint k, guint n)
{
    return k > 0 && k == n - 1 && !loss->coarsest ? 0 : ldexp(1, -(int)k);
}

/* ---- one resolution ----------------------------------------------------------------- */

/* Adds weight * loss to @value, weight * d loss / d logits is in @dlogits. */
static gboolean eval_classes(const Loss *loss, const LoomTensor *logits,
                             const LoomTensor *label, double weight, double *value,
                             LoomTensor *dlogits, GError **error)
{
    double one = 0;
    float *g;

    if (!loom_loss_eval(loss->loss, logits, label, &one, dlogits, error))
        return FALSE;
    *value += weight * one;
    g = loom_tensor_f32_mut(dlogits);
    for (gint64 i = 0, n = loom_tensor_count(dlogits); i < n; i++)
        g[i] *= (float)weight;
    return TRUE;
}

/* Copies channel @from of one (N,C,D,H,W) to channel @to of another, times @factor. */
static void channel_copy(const LoomTensor *source, gint64 from, LoomTensor *target, gint64 to,
                         float factor)
{
    const gint64 voxels = loom_tensor_count_from(source, 'D');
    const gint64 n_from = loom_tensor_size(source, 'C'), n_to = loom_tensor_size(target, 'C');

    for (gint64 n = 0; n < loom_tensor_size(source, 'N'); n++) {
        const float *x = loom_tensor_f32(source) + (n * n_from + from) * voxels;
        float *y = loom_tensor_f32_mut(target) + (n * n_to + to) * voxels;

        for (gint64 v = 0; v < voxels; v++)
            y[v] = factor * x[v];
    }
}

/* The same for a channel a region: the mean over the regions. */
static gboolean eval_regions(const Loss *loss, const LoomTensor *logits,
                             const LoomTensor *label, double weight, double *value,
                             LoomTensor *dlogits, GError **error)
{
    const LoomDataset *dataset = loss->dataset;
    const gint64 *shape = loom_tensor_shape(logits);
    const gint64 two[5] = {shape[0], 2, shape[2], shape[3], shape[4]};
    g_autoptr(LoomTensor) pair = loom_tensor_new(LOOM_F32, "NCDHW", two, error); /* zeroed */
    g_autoptr(LoomTensor) dpair = pair ? loom_tensor_new_like(pair, error) : NULL;

    if (!dpair)
        return FALSE;
    if (shape[1] != dataset->n_regions)
        return loom_fail(error, LOOM_ERROR_SHAPE,
                         "'logits' has %" G_GINT64_FORMAT
                         " channels, the data set has %u regions",
                         shape[1], dataset->n_regions);
    for (guint r = 0; r < dataset->n_regions; r++) {
        g_autoptr(LoomTensor) inside = loom_region_mask(&dataset->regions[r], label, error);
        double one = 0;

        channel_copy(logits, r, pair, 1, 1);
        if (!inside || !loom_loss_eval(loss->loss, pair, inside, &one, dpair, error))
            return FALSE;
        *value += weight * one / dataset->n_regions;
        channel_copy(dpair, 1, dlogits, r, (float)(weight / dataset->n_regions));
    }
    return TRUE;
}

/* Adds weight * loss to @value.  Returns: (transfer full): weight * d loss / d logits. */
static LoomTensor *eval_level(const Loss *loss, const LoomTensor *logits,
                              const LoomTensor *label, double weight, double *value,
                              GError **error)
{
    g_autoptr(LoomTensor) strided = NULL, dlogits = loom_tensor_new_like(logits, error);

    if (!dlogits || weight <= 0)
        return g_steal_pointer(&dlogits); /* it arrives zeroed */
    if (loom_tensor_count_from(logits, 'D') != loom_tensor_count_from(label, 'D')) {
        if (!(strided = stride_label(label, logits, error)))
            return NULL;
        label = strided;
    }
    if (!(loss->regions ? eval_regions : eval_classes)(loss, logits, label, weight, value,
                                                       dlogits, error))
        return NULL;
    return g_steal_pointer(&dlogits);
}

static gboolean loss_map(gpointer self, LoomPacket *packet, G_GNUC_UNUSED LoomContext *ctx,
                         GError **error)
{
    static const char *const in[] = OUTPUT_NAMES("logits"), *const out[] =
                                                                OUTPUT_NAMES("dlogits");
    const Loss *loss = self;
    const LoomTensor *label = loom_packet_need(packet, "label", error);
    g_autoptr(LoomTensor) marked = NULL;
    double value = 0, total = 0;
    guint n = 0;

    if (!label || !loom_packet_need(packet, in[0], error)
        || !loom_tensor_check(label, LOOM_U8, "NDHW", "label", error)
        || !ignore_label(loss, label, &marked, error))
        return FALSE;
    label = marked ? marked : label;
    while (n < LOOM_MODEL_MAX_OUTPUTS && loom_packet_get(packet, in[n]))
        n++;
    for (guint k = 0; k < n; k++)
        total += weight_of(loss, k, n);
    for (guint k = 0; k < n; k++) {
        LoomTensor *dlogits = eval_level(loss, loom_packet_get(packet, in[k]), label,
                                         weight_of(loss, k, n) / total, &value, error);
        if (!dlogits)
            return FALSE;
        loom_packet_set(packet, out[k], dlogits);
    }
    LoomTensor *norms =
        class_gradient(loom_packet_get(packet, out[0]), label,
                       loss->regions ? loss->dataset->n_labels
                                     : loom_tensor_size(loom_packet_get(packet, out[0]), 'C'),
                       error);
    if (!norms)
        return FALSE;
    loom_packet_set(packet, "class_gradient", norms); /* of the finest level */
    if (!isfinite(value))
        return loom_fail(error, LOOM_ERROR_NUMERIC,
                         "the loss of '%s' is %g: is the rate too high?",
                         loom_packet_id(packet), isnan(value) ? fabs(value) : value);
    loom_packet_set(packet, "loss", loom_tensor_new_scalar(value));
    return TRUE;
}

/* Gradients as large as the logits stay in the packet.  Besides them, for the finest level: the
 * probabilities, numbers for each voxel of the target (loom_kit_eval), the label marked or
 * strided; with regions two channels and their gradient, and a mask. */
static gboolean loss_need(gpointer self, LoomPacket *sketch, LoomNeed *need, GError **error)
{
    static const char *const in[] = OUTPUT_NAMES("logits"), *const out[] =
                                                                OUTPUT_NAMES("dlogits");
    const Loss *loss = self;
    const LoomLoss *plugin = (const LoomLoss *)loss->loss->plugin;
    const LoomTensor *logits = loom_packet_get(sketch, in[0]);

    if (!logits)
        return TRUE;
    const guint64 voxels =
        (guint64)(loom_tensor_size(logits, 'N') * loom_tensor_count_from(logits, 'D'));
    need->work =
        loom_tensor_bytes(logits) + voxels * (sizeof(float) + sizeof(double) + 2)
        + (loss->regions ? voxels * (4 * sizeof(float) + 1) : 0)
        + (plugin->need ? plugin->need(loss->loss->self, loom_tensor_shape(logits)) : 0);
    for (guint k = 0; k < LOOM_MODEL_MAX_OUTPUTS && (logits = loom_packet_get(sketch, in[k]));
         k++) {
        LoomTensor *gradient =
            loom_tensor_sketch(LOOM_F32, "NCDHW", loom_tensor_shape(logits), error);

        if (!gradient)
            return FALSE;
        need->work += loom_tensor_bytes(gradient);
        loom_packet_set(sketch, out[k], gradient);
    }
    return TRUE;
}

static const LoomStage loss = {
    .base = LOOM_STAGE(Loss, "loss", "Loss and its gradient", .params = loss_params,
                       .open = loss_open),
    .reads = loss_reads,
    .writes = loss_writes,
    .map = loss_map,
    .plan = loss_plan,
    .need = loss_need,
};
LOOM_MODULE("stage_loss", "0.1", &loss.base);
