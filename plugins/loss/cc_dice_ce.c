/* cc_dice_ce - Dice and cross entropy in the surroundings of each lesion by itself:
 *   L = mean over the components n of the truth of  a (1 - D_n) + b CE_n,
 *   D_n = (2 sum of p y + s) / (sum of p + sum of y + s),
 *   CE_n = mean of -log p where y = 1, -log(1 - p) where y = 0,
 * both over R_n, the voxels that lie nearer to component n than to any other (exact Euclidean
 * distance; a voxel that is equally near to two counts half in each, so that a mirrored patch
 * has the same loss).  The R_n part the whole patch, so nothing is left out.  One class against
 * the rest, for each foreground class; the mean is taken over the components of a class in a
 * sample, then over all samples and foreground classes.
 *
 * A class without a component in a sample has one region, the whole patch, with y = 0: what is
 * predicted there costs.  Ignored voxels are in no sum.
 * Gradient, with r_j = p_j / sum of p_i, i != k:
 *   dp_k/dz_j = p_k ([j = k] - p_j)         -d log p_k/dz_j = p_j - [j = k]
 *   -d log(1 - p_k)/dz_j = p_k where j = k, else -p_k r_j
 * Source: CC-DiceCE (arXiv 2511.17146, 2025), regions as CC-Metrics; several classes as arXiv
 * 2604.24276. */
#include <loom/loom.h>
#include <loom/morphology.h>

#include <math.h>

typedef struct {
    double dice, cross_entropy, smooth;
    int neighbours;
    LoomFloats spacing;
    LoomPool *pool;
} CcDiceCe;

static const char *const neighbour_choices[] = {"26", "6", NULL};

static const LoomParam cc_dice_ce_params[] = {
    LOOM_FLOAT(CcDiceCe, dice, "1", 0, 1e6, NULL, "a, weight of Dice"),
    LOOM_FLOAT(CcDiceCe, cross_entropy, "1", 0, 1e6, NULL, "b, weight of cross entropy"),
    LOOM_FLOAT(CcDiceCe, smooth, "1.0e-5", 1e-9, 1e6, NULL, "s, keeps an empty class finite"),
    LOOM_ENUM(CcDiceCe, neighbours, "26", neighbour_choices, "voxels that touch each other"),
    LOOM_FLOATS(CcDiceCe, spacing, "[1, 1, 1]", 1e-6, 1e6, NULL,
                "size of a voxel along D, H, W"),
    {0},
};

typedef struct {
    double tp, p, y, entropy, voxels; /* sums */
} Region;

/* One class of one sample. */
typedef struct {
    const CcDiceCe *loss;
    const float *logits; /* of class 0 of the sample */
    const guint8 *target;
    const gint64 *shape;
    gint64 voxels, classes, k;
    gint32 *region[2]; /* of each voxel: 1 .. n; two different ones where both are as near */
    Region *sums;      /* from number 1 on */
    gint64 n;
} Part;

static void part_clear(Part *part)
{
    g_free(part->region[0]);
    g_free(part->region[1]);
    g_free(part->sums);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Part, part_clear)

static void reverse(guint8 *mask, gint64 n)
{
    for (gint64 v = 0; v < n / 2; v++) {
        const guint8 swap = mask[v];

        mask[v] = mask[n - 1 - v];
        mask[n - 1 - v] = swap;
    }
}

/* Nearest components, looked for from both ends of the patch: where several are equally near
 * the first and the last of them are found. */
static gboolean nearest_find(Part *part, guint8 *mask, const gint32 *component, GError **error)
{
    const gint64 n = part->voxels;
    g_autofree double *squared = g_try_new(double, (gsize)n);
    g_autofree gint64 *nearest = g_try_new(gint64, (gsize)n);

    if (!squared || !nearest)
        return loom_fail(error, LOOM_ERROR_LIMIT, "no memory for the regions of a patch");
    for (guint way = 0; way < 2; way++) {
        loom_distance_squared(mask, part->shape, part->loss->spacing.v, squared, nearest,
                              part->loss->pool);
        for (gint64 v = 0; v < n; v++) {
            const gint64 at = nearest[way ? n - 1 - v : v];

            part->region[way][v] = at < 0 ? 1 : component[way ? n - 1 - at : at];
        }
        reverse(mask, n);
    }
    return TRUE;
}

static gboolean regions_find(Part *part, GError **error)
{
    const gsize voxels = (gsize)part->voxels;
    g_autofree guint8 *mask = g_try_new(guint8, voxels);
    g_autofree gint32 *component = g_try_new(gint32, voxels);

    part->region[0] = g_try_new(gint32, voxels);
    part->region[1] = g_try_new(gint32, voxels);
    if (!mask || !component || !part->region[0] || !part->region[1])
        return loom_fail(error, LOOM_ERROR_LIMIT, "no memory for the regions of a patch");
    for (gsize v = 0; v < voxels; v++)
        mask[v] = part->target[v] == part->k;
    if (!loom_components(mask, part->shape, part->loss->neighbours == 0 ? 26 : 6, component,
                         &part->n, part->loss->pool, error)
        || !nearest_find(part, mask, component, error))
        return FALSE;
    part->n = MAX(part->n, 1);
    part->sums = g_try_new0(Region, (gsize)part->n + 1);
    return part->sums != NULL
           || loom_fail(error, LOOM_ERROR_LIMIT, "no memory for the regions of a patch");
}

/* How many regions voxel @v counts in. */
static guint ways(const Part *part, gint64 v)
{
    return part->region[0][v] == part->region[1][v] ? 1 : 2;
}

/* log sum of exp over the classes of a voxel but @without; -1: over all. */
static double log_sum(const Part *part, gint64 v, gint64 without)
{
    const float *z = part->logits + v;
    double highest = -INFINITY, sum = 0;

    for (gint64 j = 0; j < part->classes; j++)
        if (j != without)
            highest = fmax(highest, (double)z[j * part->voxels]);
    for (gint64 j = 0; j < part->classes; j++)
        if (j != without)
            sum += exp((double)z[j * part->voxels] - highest);
    return highest + log(sum);
}

static double logit(const Part *part, gint64 v, gint64 j)
{
    return (double)part->logits[j * part->voxels + v];
}

static void regions_sum(Part *part)
{
    for (gint64 v = 0; v < part->voxels; v++) {
        const gboolean y = part->target[v] == part->k;
        const double weight = 1.0 / ways(part, v);

        if (part->target[v] == LOOM_IGNORED)
            continue;
        const double all = log_sum(part, v, -1), p = exp(logit(part, v, part->k) - all);
        const double entropy = all - (y ? logit(part, v, part->k) : log_sum(part, v, part->k));
        for (guint way = 0; way < ways(part, v); way++) {
            Region *sums = &part->sums[part->region[way][v]];

            sums->tp += y ? weight * p : 0;
            sums->p += weight * p;
            sums->y += y ? weight : 0;
            sums->entropy += weight * entropy;
            sums->voxels += weight;
        }
    }
}

static double dice_of(const Part *part, const Region *sums)
{
    return (2 * sums->tp + part->loss->smooth) / (sums->p + sums->y + part->loss->smooth);
}

static double regions_loss(const Part *part)
{
    double sum = 0;

    for (gint64 i = 1; i <= part->n; i++) {
        const Region *sums = &part->sums[i];

        sum += part->loss->dice * (1 - dice_of(part, sums))
               + part->loss->cross_entropy * sums->entropy / MAX(sums->voxels, 0.5);
    }
    return sum / (double)part->n;
}

/* @g: of class 0; += @share d loss / d logits of one voxel. */
static void voxel_gradient(const Part *part, gint64 v, double share, float *g)
{
    const gboolean y = part->target[v] == part->k;
    const double all = log_sum(part, v, -1), others = log_sum(part, v, part->k);
    const double p = exp(logit(part, v, part->k) - all);
    double by_dice = 0, by_entropy = 0;

    for (guint way = 0; way < ways(part, v); way++) {
        const Region *sums = &part->sums[part->region[way][v]];
        const double part_of = share / ways(part, v);

        by_dice -= part->loss->dice * part_of * ((y ? 2 : 0) - dice_of(part, sums))
                   / (sums->p + sums->y + part->loss->smooth);
        by_entropy += part->loss->cross_entropy * part_of / sums->voxels;
    }
    for (gint64 j = 0; j < part->classes; j++) {
        const double self = j == part->k ? 1 : 0, p_j = exp(logit(part, v, j) - all);
        const double entropy = y           ? p_j - self
                               : self != 0 ? p
                                           : -p * exp(logit(part, v, j) - others);

        g[j * part->voxels + v] += (float)(by_dice * p * (self - p_j) + by_entropy * entropy);
    }
}

static gboolean cc_dice_ce_eval(gpointer self, const LoomTensor *logits,
                                const LoomTensor *target, double *value, LoomTensor *grad,
                                GError **error)
{
    const gint64 n = loom_tensor_size(logits, 'N'), c = loom_tensor_size(logits, 'C');
    const gint64 voxels = loom_tensor_count_from(logits, 'D');
    const double share = 1.0 / ((double)n * (double)MAX(c - 1, 1));

    if (c < 2)
        return loom_fail(error, LOOM_ERROR_SHAPE, "cc_dice_ce needs a class besides class 0");
    *value = 0;
    for (gint64 i = 0; i < n; i++)
        for (gint64 k = 1; k < c; k++) {
            g_auto(Part) part = {.loss = self,
                                 .logits = loom_tensor_f32(logits) + i * c * voxels,
                                 .target = loom_tensor_u8(target) + i * voxels,
                                 .shape = loom_tensor_shape(logits) + 2,
                                 .voxels = voxels,
                                 .classes = c,
                                 .k = k};

            if (!regions_find(&part, error))
                return FALSE;
            regions_sum(&part);
            *value += share * regions_loss(&part);
            for (gint64 v = 0; grad && v < voxels; v++)
                if (part.target[v] != LOOM_IGNORED)
                    voxel_gradient(&part, v, share / (double)part.n,
                                   loom_tensor_f32_mut(grad) + i * c * voxels);
        }
    return TRUE;
}

static gboolean cc_dice_ce_open(gpointer self, LoomHost *host, GError **error)
{
    CcDiceCe *loss = self;

    loss->pool = loom_host_pool(host);
    return loss->spacing.n == 3
           || loom_fail(error, LOOM_ERROR_CONFIG, "'spacing' has %u numbers, want 3: D, H, W",
                        loss->spacing.n);
}

/* Of one sample and class: components, and the nearest of each voxel. */
static guint64 cc_dice_ce_need(G_GNUC_UNUSED gconstpointer self, const gint64 ncdhw[5])
{
    return (guint64)(ncdhw[2] * ncdhw[3] * ncdhw[4])
           * (2 * sizeof(double) + 3 * sizeof(gint32) + 1);
}

static const LoomLoss cc_dice_ce = {
    .base = LOOM_LOSS(CcDiceCe, "cc_dice_ce",
                      "Dice and cross entropy in the surroundings of each lesion",
                      .params = cc_dice_ce_params, .open = cc_dice_ce_open),
    .input = LOOM_LOSS_ON_LOGITS,
    .eval = cc_dice_ce_eval,
    .need = cc_dice_ce_need,
};
LOOM_MODULE("loss_cc_dice_ce", "0.1", &cc_dice_ce.base);
