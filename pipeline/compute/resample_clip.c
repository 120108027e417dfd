/* resample_clip - splines swing beyond the samples that they go through; what was resampled is
 * taken back into the range that it came from.
 * Source: skimage.transform.resize(clip=True), as nnU-Net calls it: for a whole channel, or for
 * one slice after the other. */
#include <loom/resample.h>

#include <math.h>

typedef struct {
    float low, high;
} Range;

typedef struct {
    LoomResampleAxis *const *axes;
    guint slices; /* axis of the slices; 3: there are none */
    gint64 n;     /* ranges of a plane along D: slices that cross it, 1 or one each */
    const float *from;
    float *to;
    Range *ranges; /* (D in, n) */
} Clip;

static void range_add(Range *range, float x)
{
    range->low = x < range->low ? x : range->low;
    range->high = x > range->high ? x : range->high;
}

static void plane_look(gint64 d, G_GNUC_UNUSED guint worker, gpointer data)
{
    const Clip *clip = data;
    const gint64 height = clip->axes[1]->in, width = clip->axes[2]->in;
    const float *x = clip->from + d * height * width;
    Range *ranges = clip->ranges + d * clip->n;

    for (gint64 i = 0; i < clip->n; i++)
        ranges[i] = (Range){INFINITY, -INFINITY};
    for (gint64 h = 0; h < height; h++)
        for (gint64 w = 0; w < width; w++, x++)
            range_add(&ranges[clip->slices == 2 ? w : clip->slices == 1 ? h : 0], *x);
}

/* The first row of the ranges becomes that of all planes; slices along D keep theirs. */
static void planes_join(const Clip *clip)
{
    for (gint64 d = 1; clip->slices != 0 && d < clip->axes[0]->in; d++)
        for (gint64 i = 0; i < clip->n; i++) {
            range_add(&clip->ranges[i], clip->ranges[d * clip->n + i].low);
            range_add(&clip->ranges[i], clip->ranges[d * clip->n + i].high);
        }
}

static void row_clip(float *y, gint64 width, Range range)
{
    for (gint64 w = 0; w < width; w++) {
        const float x = y[w] < range.low ? range.low : y[w];

        y[w] = x > range.high ? range.high : x;
    }
}

static void plane_clip(gint64 d, G_GNUC_UNUSED guint worker, gpointer data)
{
    const Clip *clip = data;
    const gint64 height = clip->axes[1]->out, width = clip->axes[2]->out;
    const gint64 *slice = clip->slices < 3 ? clip->axes[clip->slices]->first : NULL;
    float *y = clip->to + d * height * width;

    for (gint64 h = 0; h < height; h++, y += width)
        if (clip->slices == 2)
            for (gint64 w = 0; w < width; w++)
                row_clip(y + w, 1, clip->ranges[slice[w]]);
        else
            row_clip(y, width, clip->ranges[!slice ? 0 : slice[clip->slices == 0 ? d : h]]);
}

gboolean loom_resample_clip(LoomResampleAxis *const axes[3], guint slices, const float *from,
                            float *to, LoomPool *pool, GError **error)
{
    const gint64 n = slices == 1 || slices == 2 ? axes[slices]->in : 1;
    g_autofree Range *ranges = g_try_new(Range, (gsize)(axes[0]->in * n));
    Clip clip = {axes, slices, n, from, to, ranges};

    g_assert(slices == 3 || (slices < 3 && axes[slices]->order == 0));
    if (!ranges)
        return loom_fail(error, LOOM_ERROR_LIMIT,
                         "no memory for the ranges of %" G_GINT64_FORMAT " slices",
                         axes[0]->in * n);
    loom_pool_run(pool, axes[0]->in, plane_look, &clip);
    planes_join(&clip);
    loom_pool_run(pool, axes[0]->out, plane_clip, &clip);
    return TRUE;
}
