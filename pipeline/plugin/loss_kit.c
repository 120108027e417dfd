/* loss_kit - losses made of formulas (loom/loss_kit.h): all but the formula.
 *
 * First pass, over blocks of voxels: p = softmax(z) into the gradient's memory; of each voxel
 * f(p_t) and its pull w p_t f'(p_t); of each class TP, FP, FN.  Then the regions' formula gives
 * one slope a class and count.  Second pass, in place, with g_k = dL/dp_k of the regions and
 * m = sum_{j != t} p_j, which is 1 - p_t without its cancellation:
 *   dL/dz_k = p_k (g_k - sum_j p_j g_j) + pull / Z (k = t ? m : -p_k)
 * Ignored voxels have p = 0 in all classes after the softmax: every term of theirs is 0.
 * Sums are in double, by chunks of fixed size that are added in their order. */
#include "loss_kit.h"

#include <float.h>
#include <string.h>

#define KIT_LEAST_P 1e-300               /* p and its reciprocal stay finite */
#define KIT_MOST_P (1 - DBL_EPSILON / 2) /* the last number below 1 */

/* What one chunk adds. */
typedef struct {
    double loss, weight; /* sums of w f and of w */
    gint64 voxels;       /* not ignored */
} Part;

typedef struct {
    const LoomLoss *plugin;
    gconstpointer self;
    const LoomLossKit *kit;
    gint64 samples, classes, voxels, chunks; /* chunks a sample */
    const float *z;
    const guint8 *t;
    float *p;                     /* then dL/dz */
    float *pull;                  /* (N,D,H,W): w p_t f'(p_t); NULL: not wanted */
    double *losses;               /* (N,D,H,W): w f; NULL: not wanted */
    Part *parts;                  /* (chunks of all samples) */
    LoomCounts *counts;           /* (chunks of all samples, classes) */
    double weights[LOOM_IGNORED]; /* of the classes */
    double pull_scale;            /* 1 / Z */
    LoomCounts *slopes;           /* (samples, classes); NULL: no regions */
} Kit;

/* One block of voxels: where it lies, and its classes as wide as a float. */
typedef struct {
    gint64 n, at, stride; /* voxels; of the block in class 0; from class to class */
    gint64 v;             /* of the block in (N,D,H,W) */
    gint32 t[LOSS_BLOCK];
    float miss[LOSS_BLOCK]; /* sum of p over the classes that are not t */
} Block;

/* ---- first pass --------------------------------------------------------------------- */

static void block_open(const Kit *kit, gint64 sample, gint64 first, gint64 end, Block *block)
{
    block->n = MIN(end - first, LOSS_BLOCK);
    block->stride = kit->voxels;
    block->at = sample * kit->classes * kit->voxels + first;
    block->v = sample * kit->voxels + first;
    for (gint64 v = 0; v < block->n; v++)
        block->t[v] = kit->t[block->v + v];
}

static void block_missed(const Kit *kit, Block *block)
{
    const gint64 n = block->n;

    memset(block->miss, 0, sizeof block->miss);
    for (gint64 k = 0; k < kit->classes; k++) {
        const float *p = kit->p + block->at + k * block->stride;

        for (gint64 v = 0; v < n; v++)
            block->miss[v] += block->t[v] == k ? 0.0f : p[v];
    }
}

static void block_softmax(const Kit *kit, Block *block)
{
    const gint64 n = block->n;
    gint32 ignored = 0;

    loom_softmax_block(kit->z + block->at, kit->p + block->at, kit->classes, block->stride, n);
    for (gint64 v = 0; v < n; v++)
        ignored |= block->t[v] == LOOM_IGNORED;
    for (gint64 k = 0; ignored && k < kit->classes; k++) {
        float *p = kit->p + block->at + k * block->stride;

        for (gint64 v = 0; v < n; v++)
            p[v] = block->t[v] == LOOM_IGNORED ? 0.0f : p[v];
    }
    block_missed(kit, block);
}

/* log p_t where p_t is too small for a float. */
static double log_softmax(const Kit *kit, const float *z, gint64 stride, gint64 t)
{
    double highest = (double)z[0], sum = 0;

    for (gint64 k = 1; k < kit->classes; k++)
        highest = MAX(highest, (double)z[k * stride]);
    for (gint64 k = 0; k < kit->classes; k++)
        sum += exp((double)z[k * stride] - highest);
    return (double)z[t * stride] - highest - log(sum);
}

static void block_voxels(const Kit *kit, const Block *block, Part *part)
{
    for (gint64 v = 0; v < block->n; v++) {
        const gint64 t = block->t[v];

        if (t == LOOM_IGNORED) {
            if (kit->losses)
                kit->losses[block->v + v] = -INFINITY;
            if (kit->pull)
                kit->pull[block->v + v] = 0;
            continue;
        }
        const gint64 at = block->at + v;
        const float rough = kit->p[at + t * block->stride];
        const double w = kit->weights[t];
        double p = rough < 0.5f ? (double)rough : 1 - (double)block->miss[v], log_p, slope = 0;

        if (p < 1e-30) {
            log_p = log_softmax(kit, kit->z + at, block->stride, t);
            p = MAX(exp(log_p), KIT_LEAST_P);
        } else {
            p = p > KIT_MOST_P ? KIT_MOST_P : p;
            log_p = log(p);
        }
        const double loss = w * kit->plugin->voxel(kit->self, t, p, log_p, &slope);

        part->loss += loss;
        part->weight += w;
        part->voxels++;
        if (kit->losses)
            kit->losses[block->v + v] = loss;
        if (kit->pull)
            kit->pull[block->v + v] = (float)(w * p * slope);
    }
}

#define KIT_LANES 4 /* sums side by side, which the compiler may keep in one register */

static float raised(float x, double power)
{
    return power == 2 ? x * x : powf(x, (float)power);
}

/* TP, FP, FN of one class in one block. */
static void block_counts(const Kit *kit, const Block *block, gint32 k, LoomCounts *counts)
{
    const float *p = kit->p + block->at + k * block->stride;
    const double power = kit->kit->power;
    double tp[KIT_LANES] = {0}, fp[KIT_LANES] = {0}, fn[KIT_LANES] = {0};
    float wrong[LOSS_BLOCK] = {0}, missed[LOSS_BLOCK] = {0}, right[LOSS_BLOCK] = {0};

    for (gint64 v = 0; v < block->n; v++) {
        right[v] = block->t[v] == k ? p[v] : 0.0f;
        wrong[v] = block->t[v] == k ? 0.0f : p[v];
        missed[v] = block->t[v] == k ? block->miss[v] : 0.0f;
    }
    for (gint64 v = 0; power > 0 && power != 1 && v < block->n; v++) {
        wrong[v] = raised(wrong[v], power);
        missed[v] = raised(missed[v], power);
    }
    for (gint64 v = 0; v < LOSS_BLOCK; v += KIT_LANES)
        for (gint64 i = 0; i < KIT_LANES; i++) {
            tp[i] += (double)right[v + i];
            fp[i] += (double)wrong[v + i];
            fn[i] += (double)missed[v + i];
        }
    for (gint64 i = 0; i < KIT_LANES; i++) {
        counts->tp += tp[i];
        counts->fp += fp[i];
        counts->fn += fn[i];
    }
}

static gboolean has_regions(const LoomLoss *plugin)
{
    return plugin->region || plugin->regions;
}

static void first_pass(gint64 i, G_GNUC_UNUSED guint worker, gpointer data)
{
    const Kit *kit = data;
    const gint64 sample = i / kit->chunks, first = i % kit->chunks * LOSS_CHUNK;
    const gint64 end = MIN(first + LOSS_CHUNK, kit->voxels);
    Block block;

    for (gint64 v = first; v < end; v += LOSS_BLOCK) {
        block_open(kit, sample, v, end, &block);
        block_softmax(kit, &block);
        if (kit->plugin->voxel)
            block_voxels(kit, &block, &kit->parts[i]);
        for (gint32 k = 0; has_regions(kit->plugin) && k < kit->classes; k++)
            block_counts(kit, &block, k, &kit->counts[i * kit->classes + k]);
    }
}

/* ---- between ------------------------------------------------------------------------ */

static gboolean weights_read(Kit *kit, GError **error)
{
    const LoomFloats *given = &kit->kit->weights;

    if (given->n && given->n != kit->classes)
        return loom_fail(error, LOOM_ERROR_SHAPE,
                         "'weights' has %u numbers, the logits have %" G_GINT64_FORMAT
                         " classes",
                         given->n, kit->classes);
    for (gint64 k = 0; k < kit->classes; k++)
        kit->weights[k] = given->n ? given->v[k] : 1;
    return TRUE;
}

/* Adds the voxel part to @value; nothing where every voxel is ignored. */
static gboolean voxels_close(Kit *kit, double *value, GError **error)
{
    Part all = {0};

    for (gint64 i = 0; i < kit->samples * kit->chunks; i++) {
        all.loss += kit->parts[i].loss;
        all.weight += kit->parts[i].weight;
        all.voxels += kit->parts[i].voxels;
    }
    if (all.voxels && all.weight <= 0)
        return loom_fail(error, LOOM_ERROR_NUMERIC,
                         "the weight of every class that occurs in the label is 0: "
                         "there is nothing to take the mean of");
    if (kit->losses) {
        gint64 k;

        *value += loom_top_mean(kit->losses, kit->pull, kit->samples * kit->voxels, all.voxels,
                                kit->kit->top, &k);
        kit->pull_scale = k ? 1 / (double)k : 0;
        return TRUE;
    }
    kit->pull_scale = !all.voxels                                     ? 0
                      : kit->kit->divide_by == LOOM_DIVIDE_BY_WEIGHTS ? 1 / all.weight
                                                                      : 1 / (double)all.voxels;
    *value += all.loss * kit->pull_scale;
    return TRUE;
}

/* The counts of @group, a sample or the whole batch: chunk by chunk, in order. */
static LoomCounts region_count(const Kit *kit, gint64 group, gint64 groups, gint64 k)
{
    const gint64 chunks = kit->samples / groups * kit->chunks;
    LoomCounts sum = {0, 0, 0};

    for (gint64 i = group * chunks; i < (group + 1) * chunks; i++) {
        const LoomCounts *one = &kit->counts[i * kit->classes + k];

        sum = (LoomCounts){sum.tp + one->tp, sum.fp + one->fp, sum.fn + one->fn};
    }
    return sum;
}

/* The mean of the classes' own losses. */
static double region_mean(const Kit *kit, gint64 first, const LoomRegions *all,
                          LoomCounts *slopes)
{
    double value = 0;

    for (gint64 i = 0; i < all->groups * all->classes; i++) {
        const gint64 k = first + i % all->classes;

        value += all->share[i] * kit->plugin->region(kit->self, k, all->counts[i], &slopes[i]);
        loom_counts_scale(&slopes[i], all->share[i]);
    }
    return value;
}

/* Adds the region part to @value, and lays its slopes out by sample and class. */
static gboolean regions_close(Kit *kit, double *value, GError **error)
{
    const gint64 first = kit->kit->background ? 0 : 1, classes = kit->classes - first;
    const gint64 groups = kit->kit->batch ? 1 : kit->samples;
    g_autofree LoomCounts *counts = g_new0(LoomCounts, (gsize)(groups * classes));
    g_autofree LoomCounts *slopes = g_new0(LoomCounts, (gsize)(groups * classes));
    g_autofree double *share = g_new0(double, (gsize)(groups * classes));
    double weight = 0;

    for (gint64 k = first; k < kit->classes; k++)
        weight += kit->weights[k];
    if (weight <= 0)
        return loom_fail(error, LOOM_ERROR_NUMERIC,
                         "there is no class besides the background whose weight is above 0");
    for (gint64 i = 0; i < groups * classes; i++) {
        counts[i] = region_count(kit, i / classes, groups, first + i % classes);
        share[i] = kit->weights[first + i % classes] / (double)groups
                   / (kit->kit->sum_classes ? 1 : weight);
    }
    const LoomRegions all = {groups, classes, counts, share};
    *value += kit->plugin->regions ? kit->plugin->regions(kit->self, &all, slopes)
                                   : region_mean(kit, first, &all, slopes);
    kit->slopes = g_new0(LoomCounts, (gsize)(kit->samples * kit->classes));
    for (gint64 i = 0; i < kit->samples * classes; i++)
        kit->slopes[i / classes * kit->classes + first + i % classes] =
            slopes[(kit->kit->batch ? 0 : i / classes * classes) + i % classes];
    return TRUE;
}

/* ---- second pass -------------------------------------------------------------------- */

/* dL/dp of the regions for one class: inside it FN falls as TP grows. */
static void block_slope(const Kit *kit, const Block *block, LoomCounts slope, gint32 k,
                        float *g)
{
    const float *p = kit->p + block->at + k * block->stride;
    const float right = (float)slope.tp, wrong = (float)slope.fp, missed = (float)slope.fn;
    const float inside = (float)(slope.tp - slope.fn);
    const double power = kit->kit->power;

    if (power == 0 || power == 1)
        for (gint64 v = 0; v < block->n; v++)
            g[v] = block->t[v] == k ? inside : wrong;
    else
        for (gint64 v = 0; v < block->n; v++) {
            const float error = block->t[v] == k ? block->miss[v] : p[v];
            const float d = (float)power * (power == 2 ? error : powf(error, (float)power - 1));

            g[v] = block->t[v] == k ? right - missed * d : wrong * d;
        }
}

static void block_gradient(const Kit *kit, Block *block, const LoomCounts *slopes)
{
    float g[LOSS_BLOCK] = {0}, sum[LOSS_BLOCK] = {0}, pull[LOSS_BLOCK] = {0};
    const gint64 n = block->n;

    block_missed(kit, block);
    for (gint64 v = 0; kit->pull && v < n; v++)
        pull[v] = kit->pull[block->v + v] * (float)kit->pull_scale;
    for (gint32 k = 0; slopes && k < kit->classes; k++) {
        const float *p = kit->p + block->at + k * block->stride;

        block_slope(kit, block, slopes[k], k, g);
        for (gint64 v = 0; v < n; v++)
            sum[v] += p[v] * g[v];
    }
    for (gint32 k = 0; k < kit->classes; k++) {
        float *p = kit->p + block->at + k * block->stride;

        if (slopes)
            block_slope(kit, block, slopes[k], k, g);
        for (gint64 v = 0; v < n; v++)
            p[v] =
                p[v] * (g[v] - sum[v]) + pull[v] * (block->t[v] == k ? block->miss[v] : -p[v]);
    }
}

static void second_pass(gint64 i, G_GNUC_UNUSED guint worker, gpointer data)
{
    const Kit *kit = data;
    const gint64 sample = i / kit->chunks, first = i % kit->chunks * LOSS_CHUNK;
    const gint64 end = MIN(first + LOSS_CHUNK, kit->voxels);
    Block block;

    for (gint64 v = first; v < end; v += LOSS_BLOCK) {
        block_open(kit, sample, v, end, &block);
        block_gradient(kit, &block, kit->slopes ? kit->slopes + sample * kit->classes : NULL);
    }
}

/* ---- all of it ---------------------------------------------------------------------- */

static void kit_clear(Kit *kit)
{
    g_free(kit->pull);
    g_free(kit->losses);
    g_free(kit->parts);
    g_free(kit->counts);
    g_free(kit->slopes);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Kit, kit_clear)

static gboolean kit_run(Kit *kit, LoomPool *pool, double *value, gboolean gradient,
                        GError **error)
{
    const gint64 jobs = kit->samples * kit->chunks;

    *value = 0;
    if (!weights_read(kit, error))
        return FALSE;
    kit->parts = g_new0(Part, (gsize)jobs);
    kit->counts = g_new0(LoomCounts, (gsize)(jobs * kit->classes));
    loom_pool_run(pool, jobs, first_pass, kit);
    if (kit->plugin->voxel && !voxels_close(kit, value, error))
        return FALSE;
    if (has_regions(kit->plugin) && !regions_close(kit, value, error))
        return FALSE;
    if (gradient)
        loom_pool_run(pool, jobs, second_pass, kit);
    return TRUE;
}

gboolean loom_kit_eval(const LoomInstance *loss, const LoomTensor *logits,
                       const LoomTensor *target, double *value, LoomTensor *dlogits,
                       GError **error)
{
    const LoomLoss *plugin = (const LoomLoss *)loss->plugin;
    const gint64 voxels = loom_tensor_count_from(logits, 'D');
    g_autoptr(LoomTensor) probs = dlogits ? NULL : loom_tensor_new_like(logits, error);
    g_auto(Kit) kit = {.plugin = plugin,
                       .self = loss->self,
                       .kit = loss->self,
                       .samples = loom_tensor_size(logits, 'N'),
                       .classes = loom_tensor_size(logits, 'C'),
                       .voxels = voxels,
                       .chunks = (voxels + LOSS_CHUNK - 1) / LOSS_CHUNK,
                       .z = loom_tensor_f32(logits),
                       .t = loom_tensor_u8(target)};

    if (!dlogits && !probs)
        return FALSE;
    kit.p = loom_tensor_f32_mut(dlogits ? dlogits : probs);
    if (plugin->voxel && dlogits)
        kit.pull = g_new(float, (gsize)loom_tensor_count(target));
    if (plugin->voxel && kit.kit->top > 0)
        kit.losses = g_new(double, (gsize)loom_tensor_count(target));
    return kit_run(&kit, loom_instance_pool(loss), value, dlogits != NULL, error);
}
