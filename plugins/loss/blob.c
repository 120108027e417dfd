/* blob - Dice of each lesion by itself, so that a small one counts as much as a large one:
 *   L = mean over the components n of the truth of 1 - D_n,
 *   D_n = (2 TP_n + s) / (P_n + |n| + s),  TP_n = sum of p in n,
 *   P_n = sum of p in n and in the voxels of no component: other components are masked out
 *   dD_n/dp = (2 [v in n] - D_n) / (P_n + |n| + s)
 * The mean is taken over the components of a class in a sample, then over the samples and
 * foreground classes that have any.  A term to add to a loss of the whole, as in
 * {use: sum, of: [{use: dice}, {use: blob}], weights: [2, 1]}.
 *
 * A class without a component in a sample is not in the mean and has no gradient there: what is
 * falsely predicted in it is up to the loss of the whole.  With no component at all L is 0.
 * Ignored voxels are in no sum.
 * Source: Kofler et al. 2022, blob loss (arXiv 2205.08209); class by class, one against the
 * rest. */
#include <loom/loom.h>
#include <loom/morphology.h>

typedef struct {
    double smooth;
    int neighbours;
    LoomPool *pool;
} Blob;

static const char *const neighbour_choices[] = {"26", "6", NULL};

static const LoomParam blob_params[] = {
    LOOM_FLOAT(Blob, smooth, "1.0e-5", 1e-9, 1e6, NULL, "s"),
    LOOM_ENUM(Blob, neighbours, "26", neighbour_choices, "voxels that touch each other"),
    {0},
};

/* The components of one class in one sample: number 0 is the voxels of none. */
typedef struct {
    gint32 *component; /* of each voxel */
    gint64 n;
    double *overlap, *size; /* TP_n; P_n + |n| + s */
} Blobs;

static void blobs_clear(Blobs *blobs)
{
    g_free(blobs->component);
    g_free(blobs->overlap);
    g_free(blobs->size);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Blobs, blobs_clear)

static gboolean blobs_find(const Blob *self, const guint8 *t, const gint64 shape[3], gint64 k,
                           Blobs *blobs, GError **error)
{
    const gsize voxels = (gsize)(shape[0] * shape[1] * shape[2]);
    g_autofree guint8 *mask = g_try_new(guint8, voxels);

    blobs->component = g_try_new(gint32, voxels);
    if (!mask || !blobs->component)
        return loom_fail(error, LOOM_ERROR_LIMIT, "no memory for the components of a patch");
    for (gsize v = 0; v < voxels; v++)
        mask[v] = t[v] == k;
    if (!loom_components(mask, shape, self->neighbours == 0 ? 26 : 6, blobs->component,
                         &blobs->n, self->pool, error))
        return FALSE;
    blobs->overlap = g_try_new0(double, (gsize)blobs->n + 1);
    blobs->size = g_try_new0(double, (gsize)blobs->n + 1);
    return (blobs->overlap && blobs->size)
           || loom_fail(error, LOOM_ERROR_LIMIT, "no memory for the components of a patch");
}

static void blobs_sum(const Blob *self, const guint8 *t, const float *p, gint64 voxels,
                      Blobs *blobs)
{
    for (gint64 v = 0; v < voxels; v++) {
        const gint32 at = blobs->component[v];

        if (t[v] == LOOM_IGNORED)
            continue;
        blobs->overlap[at] += (double)p[v];
        blobs->size[at] += at ? 1 : 0;
    }
    for (gint64 i = 1; i <= blobs->n; i++) /* overlap[0]: p in no component */
        blobs->size[i] += blobs->overlap[i] + blobs->overlap[0] + self->smooth;
}

static double dice_of(const Blob *self, const Blobs *blobs, gint64 i)
{
    return (2 * blobs->overlap[i] + self->smooth) / blobs->size[i];
}

/* Mean loss of the components; @g: its derivative. */
static double blobs_loss(const Blob *self, const guint8 *t, const Blobs *blobs, gint64 voxels,
                         float *g)
{
    g_autofree double *slope = g_new0(double, (gsize)blobs->n + 1);
    double sum = 0;

    for (gint64 i = 1; i <= blobs->n; i++) {
        const double dice = dice_of(self, blobs, i), share = 1.0 / (double)blobs->n;

        sum += share * (1 - dice);
        slope[i] = share * (dice - 2) / blobs->size[i];
        slope[0] += share * dice / blobs->size[i]; /* every component sees these */
    }
    for (gint64 v = 0; g && v < voxels; v++)
        g[v] = t[v] == LOOM_IGNORED ? 0 : (float)slope[blobs->component[v]];
    return sum;
}

static gboolean blob_eval(gpointer self, const LoomTensor *probs, const LoomTensor *target,
                          double *value, LoomTensor *grad, GError **error)
{
    const gint64 n = loom_tensor_size(probs, 'N'), c = loom_tensor_size(probs, 'C');
    const gint64 voxels = loom_tensor_count_from(probs, 'D');
    gint64 having = 0;

    if (c < 2)
        return loom_fail(error, LOOM_ERROR_SHAPE, "blob needs a class besides class 0");
    *value = 0;
    for (gint64 i = 0; i < n * c; i++) {
        const guint8 *t = loom_tensor_u8(target) + i / c * voxels;
        g_auto(Blobs) blobs = {0};

        if (i % c == 0)
            continue;
        if (!blobs_find(self, t, loom_tensor_shape(probs) + 2, i % c, &blobs, error))
            return FALSE;
        if (blobs.n == 0)
            continue;
        blobs_sum(self, t, loom_tensor_f32(probs) + i * voxels, voxels, &blobs);
        *value += blobs_loss(self, t, &blobs, voxels,
                             grad ? loom_tensor_f32_mut(grad) + i * voxels : NULL);
        having++;
    }
    if (having == 0)
        return TRUE;
    *value /= (double)having;
    for (gint64 i = 0; grad && i < loom_tensor_count(grad); i++)
        loom_tensor_f32_mut(grad)[i] /= (float)having;
    return TRUE;
}

static gboolean blob_open(gpointer self, LoomHost *host, G_GNUC_UNUSED GError **error)
{
    ((Blob *)self)->pool = loom_host_pool(host);
    return TRUE;
}

/* Of one sample and class: a mask and its components. */
static guint64 blob_need(G_GNUC_UNUSED gconstpointer self, const gint64 ncdhw[5])
{
    return (guint64)(ncdhw[2] * ncdhw[3] * ncdhw[4]) * (sizeof(gint32) + 1);
}

static const LoomLoss blob = {
    .base = LOOM_LOSS(Blob, "blob", "Dice of each lesion by itself; to be added to another",
                      .params = blob_params, .open = blob_open),
    .input = LOOM_LOSS_ON_PROBS,
    .eval = blob_eval,
    .need = blob_need,
};
LOOM_MODULE("loss_blob", "0.1", &blob.base);
