/* dice - soft Dice loss: 1 - mean of D over classes (and samples, unless pooled),
 *   D = (2 TP + s) / (P + G + s),  TP = sum(p t), P = sum(p), G = sum(t)
 *   dD/dp = (2 t - D) / (P + G + s)
 * Source: Isensee et al. 2021 (nnU-Net), MemoryEfficientSoftDiceLoss, without the sign. */
#include <loom/loom.h>

typedef struct {
    double smooth;
    gboolean background, batch;
} Dice;

static const LoomParam dice_params[] = {
    LOOM_FLOAT(Dice, smooth, "1.0e-5", 1e-9, 1e6, NULL, "s, keeps an empty class finite"),
    LOOM_BOOL(Dice, background, "false", "count class 0 as well"),
    LOOM_BOOL(Dice, batch, "true", "one D a class over the whole batch; else one a sample"),
    {0},
};

typedef struct {
    double overlap, size; /* TP; P + G */
} Region;

static Region measure(const float *p, const guint8 *t, gint64 k, gint64 voxels)
{
    Region region = {0, 0};

    for (gint64 v = 0; v < voxels; v++) {
        const double inside = t[v] == k ? 1 : 0;

        region.overlap += inside * (double)p[v];
        region.size += inside + (double)p[v];
    }
    return region;
}

static gboolean dice_eval(gpointer self, const LoomTensor *probs, const LoomTensor *target,
                          double *value, LoomTensor *grad, GError **error)
{
    const Dice *dice = self;
    const gint64 n = loom_tensor_size(probs, 'N'), c = loom_tensor_size(probs, 'C');
    const gint64 voxels = loom_tensor_count_from(probs, 'D');
    const gint64 first = dice->background ? 0 : 1;
    const gint64 pooled = dice->batch ? n : 1; /* samples that share one D */

    if (first >= c)
        return loom_fail(error, LOOM_ERROR_SHAPE, "dice needs a class besides the background");
    const double scale = -1.0 / (double)(n / pooled * (c - first)); /* d value / d D */

    *value = 1.0;
    for (gint64 begin = 0; begin < n; begin += pooled)
        for (gint64 k = first; k < c; k++) {
            double a = dice->smooth, b = dice->smooth; /* D = a / b */

            for (gint64 i = begin; i < begin + pooled; i++) {
                const Region region = measure(loom_tensor_f32(probs) + (i * c + k) * voxels,
                                              loom_tensor_u8(target) + i * voxels, k, voxels);
                a += 2 * region.overlap;
                b += region.size;
            }
            *value += scale * a / b;
            for (gint64 i = begin; grad && i < begin + pooled; i++) {
                const guint8 *t = loom_tensor_u8(target) + i * voxels;
                float *g = loom_tensor_f32_mut(grad) + (i * c + k) * voxels;
                const float outside = (float)(-scale * a / b / b);
                const float inside = (float)(scale * (2 - a / b) / b);

                for (gint64 v = 0; v < voxels; v++)
                    g[v] = t[v] == k ? inside : outside;
            }
        }
    return TRUE;
}

static const LoomLoss dice = {
    .base = LOOM_LOSS(Dice, "dice", "Soft Dice overlap loss", .params = dice_params),
    .input = LOOM_LOSS_ON_PROBS,
    .eval = dice_eval,
};
LOOM_MODULE("loss_dice", "0.1", &dice.base);
