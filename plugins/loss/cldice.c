/* cldice - Dice of centre lines, for what must stay connected:
 *   L = 1 - mean over foreground classes of 2 T_p T_s / (T_p + T_s),
 *   T_p = (sum skel(p) y + s) / (sum skel(p) + s),
 *   T_s = (sum skel(y) p + s) / (sum skel(y) + s)
 * with soft skeletons (skeleton.c) and sums over the batch.  A term to add to a region loss;
 * the paper's compound is sum, of: [{use: dice}, {use: cldice}], weights: [0.5, 0.5].
 *
 * A class that is absent from the batch has T_s = 1 and T_p = s / (sum skel(p) + s): what is
 * predicted of it costs.  Ignored voxels have p = y = 0, in skeletons too, and no gradient.
 * The gradient is exact; at a kink, where two voxels are equally low or high, it is one of the
 * two one-sided ones.
 * Source: Shit et al. 2021, clDice (CVPR). */
#include "skeleton.h"

#include <loom/loom.h>

typedef struct {
    gint64 iterations;
    double smooth;
} ClDice;

static const LoomParam cldice_params[] = {
    LOOM_INT(ClDice, iterations, "3", 0, 100, NULL,
             "erosions; at least the largest radius of a structure, in voxels"),
    LOOM_FLOAT(ClDice, smooth, "1", 1e-9, 1e6, NULL, "s"),
    {0},
};

/* One class; numerators and denominators of T_p and T_s begin with s. */
typedef struct {
    const ClDice *loss;
    const LoomTensor *probs, *target;
    gint64 k, samples, classes, voxels;
    Skeleton *skeleton;
    float *masked, *of_truth, *dskeleton; /* one sample */
    double precision[2], sensitivity[2];
} Centre;

/* p of a sample, 0 where ignored; and the mask of the truth. */
static const float *sample_p(const Centre *it, gint64 i)
{
    const float *p = loom_tensor_f32(it->probs) + (i * it->classes + it->k) * it->voxels;
    const guint8 *t = loom_tensor_u8(it->target) + i * it->voxels;

    for (gint64 v = 0; v < it->voxels; v++)
        it->masked[v] = t[v] == LOOM_IGNORED ? 0 : p[v];
    return it->masked;
}

/* The skeleton of the truth of a sample, into of_truth. */
static void truth_skeleton(const Centre *it, gint64 i)
{
    const guint8 *t = loom_tensor_u8(it->target) + i * it->voxels;
    const float *skeleton;

    for (gint64 v = 0; v < it->voxels; v++)
        it->of_truth[v] = t[v] == it->k ? 1 : 0;
    skeleton = skeleton_forward(it->skeleton, it->of_truth);
    for (gint64 v = 0; v < it->voxels; v++)
        it->of_truth[v] = skeleton[v];
}

static void class_sum(Centre *it)
{
    it->precision[0] = it->precision[1] = it->loss->smooth;
    it->sensitivity[0] = it->sensitivity[1] = it->loss->smooth;
    for (gint64 i = 0; i < it->samples; i++) {
        const guint8 *t = loom_tensor_u8(it->target) + i * it->voxels;
        const float *p, *skeleton;

        truth_skeleton(it, i);
        p = sample_p(it, i);
        skeleton = skeleton_forward(it->skeleton, p);
        for (gint64 v = 0; v < it->voxels; v++) {
            it->precision[0] += t[v] == it->k ? (double)skeleton[v] : 0;
            it->precision[1] += (double)skeleton[v];
            it->sensitivity[0] += (double)it->of_truth[v] * (double)p[v];
            it->sensitivity[1] += (double)it->of_truth[v];
        }
    }
}

/* d / d T_p of 2 T_p T_s / (T_p + T_s) = 2 T_s^2 / (T_p + T_s)^2, and the other way round. */
static void class_gradient(const Centre *it, double share, LoomTensor *grad)
{
    const double tp = it->precision[0] / it->precision[1];
    const double ts = it->sensitivity[0] / it->sensitivity[1];
    const double by_tp = share * 2 * ts * ts / ((tp + ts) * (tp + ts)) / it->precision[1];
    const double by_ts = share * 2 * tp * tp / ((tp + ts) * (tp + ts)) / it->sensitivity[1];

    for (gint64 i = 0; i < it->samples; i++) {
        const guint8 *t = loom_tensor_u8(it->target) + i * it->voxels;
        float *g = loom_tensor_f32_mut(grad) + (i * it->classes + it->k) * it->voxels;

        truth_skeleton(it, i);
        for (gint64 v = 0; v < it->voxels; v++)
            it->dskeleton[v] = (float)(by_tp * ((t[v] == it->k ? 1 : 0) - tp));
        skeleton_forward(it->skeleton, sample_p(it, i));
        skeleton_backward(it->skeleton, it->dskeleton, g);
        for (gint64 v = 0; v < it->voxels; v++)
            g[v] = t[v] == LOOM_IGNORED ? 0 : g[v] + (float)(by_ts * (double)it->of_truth[v]);
    }
}

static gboolean cldice_eval(gpointer self, const LoomTensor *probs, const LoomTensor *target,
                            double *value, LoomTensor *grad, GError **error)
{
    const gint64 c = loom_tensor_size(probs, 'C'), voxels = loom_tensor_count_from(probs, 'D');
    g_autoptr(Skeleton) skeleton = NULL;
    g_autofree float *rooms = g_try_new(float, 3 * (gsize)voxels);

    if (c < 2)
        return loom_fail(error, LOOM_ERROR_SHAPE, "cldice needs a class besides class 0");
    if (!rooms)
        return loom_fail(error, LOOM_ERROR_LIMIT, "no memory for the skeleton of a patch");
    if (!(skeleton = skeleton_new(loom_tensor_shape(probs) + 2,
                                  ((const ClDice *)self)->iterations, error)))
        return FALSE;
    *value = 1;
    for (gint64 k = 1; k < c; k++) {
        Centre it = {.loss = self,
                     .probs = probs,
                     .target = target,
                     .k = k,
                     .samples = loom_tensor_size(probs, 'N'),
                     .classes = c,
                     .voxels = voxels,
                     .skeleton = skeleton,
                     .masked = rooms,
                     .of_truth = rooms + voxels,
                     .dskeleton = rooms + 2 * voxels};

        class_sum(&it);
        const double tp = it.precision[0] / it.precision[1];
        const double ts = it.sensitivity[0] / it.sensitivity[1];
        *value -= 2 * tp * ts / (tp + ts) / (double)(c - 1);
        if (grad)
            class_gradient(&it, -1.0 / (double)(c - 1), grad);
    }
    return TRUE;
}

/* Three rooms here, and those of skeleton_new: each erosion and skeleton is kept. */
static guint64 cldice_need(gconstpointer self, const gint64 ncdhw[5])
{
    const guint64 volumes = 2 * (guint64)((const ClDice *)self)->iterations + 11;

    return (guint64)(ncdhw[2] * ncdhw[3] * ncdhw[4]) * volumes * sizeof(float);
}

static const LoomLoss cldice = {
    .base = LOOM_LOSS(ClDice, "cldice", "Dice of soft centre lines; to be added to another",
                      .params = cldice_params),
    .input = LOOM_LOSS_ON_PROBS,
    .eval = cldice_eval,
    .need = cldice_need,
};
LOOM_MODULE("loss_cldice", "0.1", &cldice.base);
