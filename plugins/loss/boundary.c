/* boundary - the probability of a class, weighted by how far on the wrong side of its border:
 *   L = mean over voxels, samples and foreground classes of phi p,   dL/dp = phi / count
 *   phi = d(v, G) outside of the truth G,  1 - d(v, not G) inside: <= 0
 * with d the exact Euclidean distance.  A term to add to a region loss, in a sum with weights
 * [1, 0.01].
 *
 * A class that is absent from a patch, or fills it, has no border there: phi is 0, no gradient.
 * Ignored voxels are outside of G and not in the mean.
 * Source: Kervadec et al. 2019, Boundary loss for highly unbalanced segmentation; phi as in the
 * authors' code (one_hot2dist), where the innermost voxels next to the border have 0. */
#include <loom/loom.h>
#include <loom/morphology.h>

typedef struct {
    LoomFloats spacing;
    LoomPool *pool;
} Boundary;

static const LoomParam boundary_params[] = {
    LOOM_FLOATS(Boundary, spacing, "[1, 1, 1]", 1e-6, 1e6, NULL,
                "size of a voxel along D, H, W; 1 is also what inner distances are shifted by"),
    {0},
};

/* Sum of phi p over one class of one sample; @g: += share phi. */
static double class_sum(const double *signed_distance, const guint8 *t, const float *p,
                        float *g, gint64 voxels, double share)
{
    double sum = 0;

    for (gint64 v = 0; v < voxels; v++) {
        const double d = signed_distance[v], phi = d < 0 ? d + 1 : d;

        if (t[v] == LOOM_IGNORED)
            continue;
        sum += phi * (double)p[v];
        if (g)
            g[v] = (float)(share * phi);
    }
    return sum;
}

static gboolean boundary_eval(gpointer self, const LoomTensor *probs, const LoomTensor *target,
                              double *value, LoomTensor *grad, GError **error)
{
    const Boundary *boundary = self;
    const gint64 n = loom_tensor_size(probs, 'N'), c = loom_tensor_size(probs, 'C');
    const gint64 *shape = loom_tensor_shape(probs) + 2;
    const gint64 voxels = loom_tensor_count_from(probs, 'D');
    g_autofree guint8 *mask = g_try_new(guint8, (gsize)voxels);
    g_autofree double *distance = g_try_new(double, (gsize)voxels);

    if (c < 2)
        return loom_fail(error, LOOM_ERROR_SHAPE, "boundary needs a class besides class 0");
    if (!mask || !distance)
        return loom_fail(error, LOOM_ERROR_LIMIT, "no memory for the distances of a patch");
    const double share = 1.0 / ((double)MAX(loom_target_counted(target), 1) * (double)(c - 1));
    *value = 0;
    for (gint64 i = 0; i < n; i++)
        for (gint64 k = 1; k < c; k++) {
            const guint8 *t = loom_tensor_u8(target) + i * voxels;
            const gint64 at = (i * c + k) * voxels;

            for (gint64 v = 0; v < voxels; v++)
                mask[v] = t[v] == k;
            if (!loom_distance_signed(mask, shape, boundary->spacing.v, distance,
                                      boundary->pool, error))
                return FALSE;
            *value += share
                      * class_sum(distance, t, loom_tensor_f32(probs) + at,
                                  grad ? loom_tensor_f32_mut(grad) + at : NULL, voxels, share);
        }
    return TRUE;
}

static gboolean boundary_open(gpointer self, LoomHost *host, GError **error)
{
    Boundary *boundary = self;

    boundary->pool = loom_host_pool(host);
    return boundary->spacing.n == 3
           || loom_fail(error, LOOM_ERROR_CONFIG, "'spacing' has %u numbers, want 3: D, H, W",
                        boundary->spacing.n);
}

/* Of one sample and class: a mask and its distances, each twice. */
static guint64 boundary_need(G_GNUC_UNUSED gconstpointer self, const gint64 ncdhw[5])
{
    return (guint64)(ncdhw[2] * ncdhw[3] * ncdhw[4]) * (2 * sizeof(double) + 2);
}

static const LoomLoss boundary = {
    .base = LOOM_LOSS(Boundary, "boundary",
                      "Boundary loss: probability by signed distance; to be added to another",
                      .params = boundary_params, .open = boundary_open),
    .input = LOOM_LOSS_ON_PROBS,
    .eval = boundary_eval,
    .need = boundary_need,
};
LOOM_MODULE("loss_boundary", "0.1", &boundary.base);
