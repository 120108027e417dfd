/* normalise - intensities of each channel onto one scale:
 *   ct       y = (clamp(x, low, high) - mean) / sd   with numbers of the whole data set
 *   zscore   y = (x - mean(x)) / sd(x)               of this case
 *   rescale  y = (x - min(x)) / (max(x) - min(x))    of this case
 *   none     y = x
 * With `mask` the statistics of zscore are of the voxels in which any channel is not 0, or
 * which such voxels enclose; the others become 0: for heads cut out of their background.
 * Source: Isensee et al. 2021 (nnU-Net), intensity normalisation. */
#include <loom/loom.h>
#include <loom/morphology.h>

#include <math.h>

#define NORMALISE_SD_FLOOR 1e-8 /* nnU-Net's: a constant image becomes zeros */

typedef struct {
    LoomInts schemes;
    LoomFloats clip, mean, std;
    gboolean mask, fill;
} Normalise;

enum { SCHEME_CT, SCHEME_ZSCORE, SCHEME_RESCALE, SCHEME_NONE };
static const char *const normalise_schemes[] = {"ct", "zscore", "rescale", "none", NULL};

static const LoomParam normalise_params[] = {
    LOOM_CHOICES(Normalise, schemes, NULL, normalise_schemes,
                 "one a channel, or one for all of them"),
    LOOM_FLOATS(Normalise, clip, "[]", -1e9, 1e9, NULL,
                "ct: [[low, high], ...], a pair for each scheme: percentiles 0.5 and 99.5 of "
                "the foreground"),
    LOOM_FLOATS(Normalise, mean, "[]", -1e9, 1e9, NULL,
                "ct: of the foreground, one for each scheme"),
    LOOM_FLOATS(Normalise, std, "[]", 0, 1e9, NULL,
                "ct: of the foreground, one for each scheme"),
    LOOM_BOOL(Normalise, mask, "false",
              "zscore: of the voxels where any channel is not 0; the others become 0 (put it "
              "before resample, whose splines leave no 0)"),
    LOOM_BOOL(Normalise, fill, "true",
              "mask: what it encloses belongs to it, ventricles of 0 say"),
    {0},
};

static const LoomSlot normalise_image[] = {
    {"image", LOOM_F32, "CDHW", 0, "intensities in, on one scale out"},
    {0},
};

static gboolean count_check(const char *key, guint found, guint each,
                            const Normalise *normalise, GError **error)
{
    return found == each * normalise->schemes.n
           || loom_fail(error, LOOM_ERROR_CONFIG,
                        "%s has %u numbers, want %u: %s for each of the %u schemes, also those "
                        "that do not use it",
                        key, found, each * normalise->schemes.n, each == 2 ? "a pair" : "one",
                        normalise->schemes.n);
}

static gboolean normalise_open(gpointer self, G_GNUC_UNUSED LoomHost *host, GError **error)
{
    const Normalise *normalise = self;
    const double *clip = normalise->clip.v;
    gboolean ct = FALSE;

    if (!normalise->schemes.n)
        return loom_fail(error, LOOM_ERROR_CONFIG, "schemes is empty, want one a channel");
    for (guint i = 0; i < normalise->schemes.n; i++)
        ct = ct || normalise->schemes.v[i] == SCHEME_CT;
    if (!ct)
        return TRUE;
    if (!count_check("clip", normalise->clip.n, 2, normalise, error)
        || !count_check("mean", normalise->mean.n, 1, normalise, error)
        || !count_check("std", normalise->std.n, 1, normalise, error))
        return FALSE;
    for (guint i = 0; i < normalise->schemes.n; i++)
        if (normalise->schemes.v[i] == SCHEME_CT && clip[2 * i] >= clip[2 * i + 1])
            return loom_fail(error, LOOM_ERROR_CONFIG, "clip: low (%g) must be below high (%g)",
                             clip[2 * i], clip[2 * i + 1]);
    return TRUE;
}

/* ---- one channel -------------------------------------------------------------------- */

static void channel_ct(const Normalise *normalise, guint i, float *x, gint64 count)
{
    const double low = normalise->clip.v[2 * i], high = normalise->clip.v[2 * i + 1];
    const double mean = normalise->mean.v[i];
    const double gain = 1.0 / MAX(normalise->std.v[i], NORMALISE_SD_FLOOR);

    for (gint64 v = 0; v < count; v++)
        x[v] = (float)((CLAMP((double)x[v], low, high) - mean) * gain);
}

/* @inside: NULL: everywhere.  Two passes: the sum of squares minus the squared sum loses all
 * digits of a small deviation. */
static void channel_zscore(float *x, const guint8 *inside, gint64 count)
{
    double sum = 0, squares = 0;
    gint64 n = 0;

    for (gint64 v = 0; v < count; v++)
        if (!inside || inside[v]) {
            sum += (double)x[v];
            n++;
        }
    const double mean = n ? sum / (double)n : 0;
    for (gint64 v = 0; v < count; v++)
        if (!inside || inside[v])
            squares += ((double)x[v] - mean) * ((double)x[v] - mean);
    const double sd = n ? sqrt(squares / (double)n) : 0;
    const double gain = 1.0 / MAX(sd, NORMALISE_SD_FLOOR);
    for (gint64 v = 0; v < count; v++)
        x[v] = !inside || inside[v] ? (float)(((double)x[v] - mean) * gain) : 0;
}

static void channel_rescale(float *x, gint64 count)
{
    float low = x[0], high = x[0];

    for (gint64 v = 1; v < count; v++) {
        low = MIN(low, x[v]);
        high = MAX(high, x[v]);
    }
    const double range = (double)high - (double)low;
    for (gint64 v = 0; v < count; v++)
        x[v] = range > 0 ? (float)(((double)x[v] - (double)low) / range) : 0;
}

static gboolean channel_finite(const float *x, gint64 count)
{
    double sum = 0; /* of zeros, unless one is NaN or infinite */

    for (gint64 v = 0; v < count; v++)
        sum += (double)(x[v] - x[v]);
    return sum == 0;
}

/* 1 where any channel is not 0, and inside of that; (transfer full), NULL: no memory. */
static guint8 *mask_of(const Normalise *normalise, const LoomTensor *image, GError **error)
{
    const gint64 voxels = loom_tensor_count_from(image, 'D');
    g_autofree guint8 *inside = g_try_new0(guint8, (gsize)voxels);

    for (gint64 c = 0; inside && c < loom_tensor_size(image, 'C'); c++) {
        const float *x = loom_tensor_f32(image) + c * voxels;

        for (gint64 v = 0; v < voxels; v++)
            inside[v] |= x[v] != 0;
    }
    if (!inside)
        return loom_fail_null(error, LOOM_ERROR_LIMIT,
                              "no memory for the mask of %" G_GINT64_FORMAT " voxels", voxels);
    if (normalise->fill && !loom_holes_fill(inside, loom_tensor_shape(image) + 1, error))
        return NULL;
    return g_steal_pointer(&inside);
}

/* ---- a case ------------------------------------------------------------------------- */

typedef struct {
    const Normalise *normalise;
    float *image;
    const guint8 *inside;
    gint64 voxels;
    gboolean *finite; /* a channel */
} Job;

static void channel_run(gint64 c, G_GNUC_UNUSED guint worker, gpointer data)
{
    const Job *job = data;
    const LoomInts *schemes = &job->normalise->schemes;
    const guint i = schemes->n == 1 ? 0 : (guint)c;
    float *x = job->image + c * job->voxels;

    job->finite[c] = channel_finite(x, job->voxels);
    if (!job->finite[c])
        return;
    if (schemes->v[i] == SCHEME_CT)
        channel_ct(job->normalise, i, x, job->voxels);
    else if (schemes->v[i] == SCHEME_ZSCORE)
        channel_zscore(x, job->inside, job->voxels);
    else if (schemes->v[i] == SCHEME_RESCALE)
        channel_rescale(x, job->voxels);
}

static gboolean normalise_map(gpointer self, LoomPacket *packet, LoomContext *ctx,
                              GError **error)
{
    const Normalise *normalise = self;
    LoomTensor *image = loom_packet_edit(packet, "image", error);
    g_autofree guint8 *inside = NULL;
    g_autofree gboolean *finite = NULL;

    if (!image)
        return FALSE;
    const gint64 channels = loom_tensor_size(image, 'C');
    if (normalise->schemes.n != 1 && normalise->schemes.n != channels)
        return loom_fail(error, LOOM_ERROR_SHAPE,
                         "%u schemes for %" G_GINT64_FORMAT
                         " channels, want one a channel or one for all",
                         normalise->schemes.n, channels);
    if (normalise->mask && !(inside = mask_of(normalise, image, error)))
        return FALSE;
    finite = g_new0(gboolean, (gsize)channels);
    Job job = {normalise, loom_tensor_f32_mut(image), inside,
               loom_tensor_count_from(image, 'D'), finite};
    loom_pool_run(loom_context_pool(ctx), channels, channel_run, &job);
    for (gint64 c = 0; c < channels; c++)
        if (!finite[c])
            return loom_fail(error, LOOM_ERROR_NUMERIC,
                             "channel %" G_GINT64_FORMAT " of 'image' has voxels that are not "
                             "finite (nifti_load: nan: zero replaces them)",
                             c);
    return TRUE;
}

static gboolean normalise_plan(gpointer self, LoomPlan *plan, GError **error)
{
    const guint n = ((const Normalise *)self)->schemes.n;

    return n == 1 || !plan->c || plan->c == n
           || loom_fail(error, LOOM_ERROR_CONFIG,
                        "%u schemes for %" G_GINT64_FORMAT
                        " channels, want one a channel or one for all",
                        n, plan->c);
}

/* A byte a voxel for the mask, and five while its holes are filled. */
static gboolean normalise_need(gpointer self, LoomPacket *sketch, LoomNeed *need,
                               G_GNUC_UNUSED GError **error)
{
    const Normalise *normalise = self;

    if (normalise->mask)
        need->work = (guint64)loom_tensor_count_from(loom_packet_get(sketch, "image"), 'D')
                     * (normalise->fill ? 6 : 1);
    return TRUE;
}

static const LoomStage normalise = {
    .base = LOOM_STAGE(Normalise, "normalise", "Intensities of each channel onto one scale",
                       .params = normalise_params, .open = normalise_open),
    .reads = normalise_image,
    .writes = normalise_image,
    .flags = LOOM_STAGE_PURE | LOOM_STAGE_STEADY,
    .map = normalise_map,
    .plan = normalise_plan,
    .need = normalise_need,
};
LOOM_MODULE("stage_normalise", "0.1", &normalise.base);
