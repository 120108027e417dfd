/* sliding_window - a case of any size through a network that takes windows of one size:
 *   mean[k,v] = sum_i w_i(v) logits_i[k,v] / sum_i w_i(v),   prediction[v] = argmax_k mean[k,v]
 * with windows i that overlap and weights w that fall off from the middle of a window.
 *
 * Windows go through the case from D = 0 on.  Planes that no later window reaches are decided
 * and forgotten, so that sums of logits exist for as many planes as a window is deep, never for
 * the whole case.  A case smaller than a window is padded with 0 and its result cropped back.
 * Source: Isensee et al. 2021 (nnU-Net), inference; windows.h. */
#include "patch.h"
#include "windows.h"

#include <loom/loom.h>

#include <math.h>
#include <string.h>

typedef struct {
    LoomInstance *model;
    LoomInts size;
    double overlap;
    gint64 batch;
    gboolean keep_probabilities;
} SlidingWindow;

static const LoomParam sliding_window_params[] = {
    LOOM_MODEL_ID(SlidingWindow, model, "the network"),
    LOOM_INTS(SlidingWindow, size, NULL, 1, 4096, "voxels", "of a window: D, H, W"),
    LOOM_FLOAT(SlidingWindow, overlap, "0.5", 0, 0.9, NULL,
               "least share of a window that the next one covers again"),
    LOOM_INT(SlidingWindow, batch, "1", 1, 256, NULL, "windows that go through at once"),
    LOOM_BOOL(SlidingWindow, keep_probabilities, "false", "write 'probabilities' as well"),
    {0},
};

static const LoomSlot sliding_window_reads[] = {
    {"image", LOOM_F32, "CDHW", 0, "a whole case"},
    {0},
};

static const LoomSlot sliding_window_writes[] = {
    {"prediction", LOOM_U8, "DHW", LOOM_SLOT_NATIVE,
     "the likeliest class; of equal ones the lowest"},
    {"probabilities", LOOM_F32, "CDHW", LOOM_SLOT_OPTIONAL | LOOM_SLOT_NATIVE,
     "softmax of the mean logits"},
    {0},
};

/* One case on its way.  Sizes and positions are those of the padded case; @pad of its first
 * voxels along an axis are padding. */
typedef struct {
    const SlidingWindow *stage;
    const LoomTensor *image;
    const gint64 *size; /* of a window */
    gint64 volume[3], padded[3], pad[3], classes;
    gint64 *starts[3];
    guint n[3];
    float *weights[3], *totals[3];
    LoomTensor *sums; /* (C, size[0], padded[1], padded[2]): plane d lies at d % size[0] */
    gint64 decided;   /* planes that are done */
    LoomTensor *prediction, *probabilities;
} Sweep;

static void sweep_clear(Sweep *sweep)
{
    for (guint i = 0; i < 3; i++) {
        g_free(sweep->starts[i]);
        g_free(sweep->weights[i]);
        g_free(sweep->totals[i]);
    }
    loom_tensor_unref(sweep->sums);
    loom_tensor_unref(sweep->prediction);
    loom_tensor_unref(sweep->probabilities);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Sweep, sweep_clear)

static const LoomModel *network(const SlidingWindow *stage)
{
    return (const LoomModel *)stage->model->plugin;
}

static gboolean window_fits(const SlidingWindow *stage, gint64 channels, gint64 *classes,
                            guint64 *bytes, GError **error)
{
    const gint64 *size = stage->size.v;
    const gint64 shape[5] = {stage->batch, channels, size[0], size[1], size[2]};

    if (!network(stage)->fits(stage->model->self, shape, FALSE, classes, bytes, error))
        return FALSE;
    return *classes <= 256
           || loom_fail(error, LOOM_ERROR_CONFIG,
                        "%" G_GINT64_FORMAT " classes, a prediction (u8) holds at most 256",
                        *classes);
}

static gboolean sweep_begin(Sweep *sweep, const SlidingWindow *stage, const LoomTensor *image,
                            GError **error)
{
    guint64 bytes = 0;

    sweep->stage = stage;
    sweep->image = image;
    sweep->size = stage->size.v;
    if (!window_fits(stage, loom_tensor_size(image, 'C'), &sweep->classes, &bytes, error))
        return FALSE;
    for (guint i = 0; i < 3; i++) {
        sweep->volume[i] = loom_tensor_shape(image)[1 + i];
        sweep->padded[i] = MAX(sweep->volume[i], sweep->size[i]);
        sweep->pad[i] = -patch_centre(sweep->volume[i], sweep->size[i]);
        sweep->starts[i] =
            windows_starts(sweep->padded[i], sweep->size[i], stage->overlap, &sweep->n[i]);
        sweep->weights[i] = windows_weights(sweep->size[i]);
        sweep->totals[i] = windows_totals(sweep->padded[i], sweep->size[i], sweep->starts[i],
                                          sweep->n[i], sweep->weights[i]);
    }
    const gint64 *volume = sweep->volume;
    const gint64 sums[4] = {sweep->classes, sweep->size[0], sweep->padded[1], sweep->padded[2]};
    const gint64 all[4] = {sweep->classes, volume[0], volume[1], volume[2]};
    sweep->sums = loom_tensor_new(LOOM_F32, "CDHW", sums, error);
    sweep->prediction = sweep->sums ? loom_tensor_new(LOOM_U8, "DHW", volume, error) : NULL;
    if (stage->keep_probabilities && sweep->prediction
        && !(sweep->probabilities = loom_tensor_new(LOOM_F32, "CDHW", all, error)))
        return FALSE;
    return sweep->prediction != NULL;
}

/* Softmax of the mean logits of one voxel.  @sums, @to: of class 0; strides between classes. */
static void voxel_probabilities(const float *sums, gint64 stride, double total, gint64 classes,
                                gint64 best, float *to, gint64 to_stride)
{
    double norm = 0;

    for (gint64 k = 0; k < classes; k++)
        norm += exp(((double)sums[k * stride] - (double)sums[best * stride]) / total);
    for (gint64 k = 0; k < classes; k++)
        to[k * to_stride] =
            (float)(exp(((double)sums[k * stride] - (double)sums[best * stride]) / total)
                    / norm);
}

/* One row of the case, (d, h) of the padded one.  FALSE: a logit is not finite. */
static gboolean decide_row(Sweep *sweep, gint64 d, gint64 h)
{
    const gint64 *volume = sweep->volume, *pad = sweep->pad, *padded = sweep->padded;
    const gint64 stride = sweep->size[0] * padded[1] * padded[2];
    const float *sums = loom_tensor_f32(sweep->sums)
                        + (d % sweep->size[0] * padded[1] + h) * padded[2] + pad[2];
    const gint64 at = ((d - pad[0]) * volume[1] + h - pad[1]) * volume[2];
    guint8 *prediction = loom_tensor_u8_mut(sweep->prediction) + at;

    for (gint64 w = 0; w < volume[2]; w++) {
        gint64 best = 0;
        float all = sums[w];

        for (gint64 k = 1; k < sweep->classes; k++) {
            all += sums[k * stride + w];
            if (sums[k * stride + w] > sums[best * stride + w])
                best = k;
        }
        if (!isfinite(all))
            return FALSE;
        prediction[w] = (guint8)best;
        if (sweep->probabilities) {
            const double total = (double)sweep->totals[0][d] * (double)sweep->totals[1][h]
                                 * (double)sweep->totals[2][pad[2] + w];

            voxel_probabilities(sums + w, stride, total, sweep->classes, best,
                                loom_tensor_f32_mut(sweep->probabilities) + at + w,
                                volume[0] * volume[1] * volume[2]);
        }
    }
    return TRUE;
}

/* Planes before @end get no more logits: they are decided, and their room is for later ones. */
static gboolean decide_until(Sweep *sweep, gint64 end, GError **error)
{
    const gint64 plane = sweep->padded[1] * sweep->padded[2];
    float *sums = loom_tensor_f32_mut(sweep->sums);

    for (gint64 d = sweep->decided; d < end; d++) {
        const gboolean inside = d >= sweep->pad[0] && d < sweep->pad[0] + sweep->volume[0];

        for (gint64 h = 0; inside && h < sweep->volume[1]; h++)
            if (!decide_row(sweep, d, sweep->pad[1] + h))
                return loom_fail(error, LOOM_ERROR_NUMERIC,
                                 "the logits of the model '%s' are not finite",
                                 sweep->stage->model->id);
        for (gint64 k = 0; k < sweep->classes; k++)
            memset(sums + (k * sweep->size[0] + d % sweep->size[0]) * plane, 0,
                   (gsize)plane * sizeof *sums);
    }
    sweep->decided = MAX(sweep->decided, end);
    return TRUE;
}

static void window_origin(const Sweep *sweep, gint64 i, gint64 origin[3])
{
    origin[0] = sweep->starts[0][i / (sweep->n[1] * sweep->n[2])];
    origin[1] = sweep->starts[1][i / sweep->n[2] % sweep->n[1]];
    origin[2] = sweep->starts[2][i % sweep->n[2]];
}

/* Window @i as sample @n of the network's input. */
static void window_fill(const Sweep *sweep, gint64 i, LoomTensor *input, gint64 n)
{
    const gint64 channels = loom_tensor_size(input, 'C');
    const gint64 count = loom_tensor_count_from(input, 'C');
    float *x = loom_tensor_f32_mut(input) + n * count;
    gint64 origin[3];

    window_origin(sweep, i, origin);
    for (guint k = 0; k < 3; k++)
        origin[k] -= sweep->pad[k];
    /* a window reaches outside only where it is the only one along that axis: what lies there
     * has been 0 from the beginning, and no other window writes to it */
    patch_cut(loom_tensor_f32(sweep->image), sizeof *x, channels, sweep->volume, origin,
              sweep->size, x);
}

/* Adds the weighted logits of window @i.  @logits: (C, size). */
static gboolean window_add(Sweep *sweep, gint64 i, const float *logits, GError **error)
{
    const gint64 *size = sweep->size, *padded = sweep->padded;
    const float *weights = sweep->weights[2];
    float *sums = loom_tensor_f32_mut(sweep->sums);
    gint64 origin[3];

    window_origin(sweep, i, origin);
    if (!decide_until(sweep, origin[0], error))
        return FALSE;
    for (gint64 k = 0; k < sweep->classes; k++)
        for (gint64 d = 0; d < size[0]; d++) {
            const gint64 plane = k * size[0] + (origin[0] + d) % size[0];

            for (gint64 h = 0; h < size[1]; h++, logits += size[2]) {
                const float weight = sweep->weights[0][d] * sweep->weights[1][h];
                float *to = sums + (plane * padded[1] + origin[1] + h) * padded[2] + origin[2];

                for (gint64 w = 0; w < size[2]; w++)
                    to[w] += weight * weights[w] * logits[w];
            }
        }
    return TRUE;
}

/* Windows @i and following, as many as @input holds; what is too many repeats the last one, so
 * that the network always sees one shape. */
static gboolean sweep_forward(Sweep *sweep, gint64 i, gint64 n_windows, LoomTensor *input,
                              GError **error)
{
    const SlidingWindow *stage = sweep->stage;
    const gint64 n = MIN(stage->batch, n_windows - i);
    g_autoptr(LoomTensor) logits = NULL;

    for (gint64 k = 0; k < stage->batch; k++)
        window_fill(sweep, MIN(i + k, n_windows - 1), input, k);
    if (!network(stage)->forward(stage->model->self, input, &logits, 1, NULL, error))
        return FALSE;
    g_assert(loom_tensor_size(logits, 'C') == sweep->classes
             && loom_tensor_count_from(logits, 'D') == loom_tensor_count_from(input, 'D'));
    for (gint64 k = 0; k < n; k++)
        if (!window_add(sweep, i + k,
                        loom_tensor_f32(logits) + k * loom_tensor_count_from(logits, 'C'),
                        error))
            return FALSE;
    return TRUE;
}

static LoomFlow sliding_window_process(gpointer self, LoomPacket *packet, LoomContext *ctx,
                                       GError **error)
{
    const SlidingWindow *stage = self;
    g_autoptr(LoomPacket) mine = packet;
    g_auto(Sweep) sweep = {0};
    const LoomTensor *image = loom_packet_need(packet, "image", error);

    if (!image || !sweep_begin(&sweep, stage, image, error))
        return LOOM_FLOW_FAIL;
    const gint64 n_windows = (gint64)sweep.n[0] * sweep.n[1] * sweep.n[2];
    const gint64 shape[5] = {stage->batch, loom_tensor_size(image, 'C'), sweep.size[0],
                             sweep.size[1], sweep.size[2]};
    g_autoptr(LoomTensor) input = loom_tensor_new(LOOM_F32, "NCDHW", shape, error);
    if (!input)
        return LOOM_FLOW_FAIL;
    for (gint64 i = 0; i < n_windows; i += stage->batch) {
        if (loom_context_stopping(ctx))
            return LOOM_FLOW_STOP;
        if (!sweep_forward(&sweep, i, n_windows, input, error))
            return LOOM_FLOW_FAIL;
        loom_context_part(ctx, MIN(i + stage->batch, n_windows), n_windows);
    }
    if (!decide_until(&sweep, sweep.padded[0], error))
        return LOOM_FLOW_FAIL;
    loom_packet_set(packet, "prediction", g_steal_pointer(&sweep.prediction));
    if (sweep.probabilities)
        loom_packet_set(packet, "probabilities", g_steal_pointer(&sweep.probabilities));
    return loom_context_push(ctx, g_steal_pointer(&mine), error);
}

static gboolean sliding_window_open(gpointer self, G_GNUC_UNUSED LoomHost *host, GError **error)
{
    const SlidingWindow *stage = self;

    return stage->size.n == 3
           || loom_fail(error, LOOM_ERROR_CONFIG, "size has %u numbers, want 3: D, H, W",
                        stage->size.n);
}

static void sliding_window_ratio(G_GNUC_UNUSED gpointer self, gint64 *in, gint64 *out)
{
    *in = *out = 1;
}

static gboolean sliding_window_plan(gpointer self, LoomPlan *plan, GError **error)
{
    const SlidingWindow *stage = self;
    const gint64 *size = stage->size.v;

    if (!window_fits(stage, plan->c, &plan->classes, &plan->bytes, error))
        return FALSE;
    /* sums of logits; unknown sizes count as one window */
    plan->bytes += sizeof(float) * (guint64)plan->classes * (guint64)size[0]
                   * (guint64)MAX(plan->h, size[1]) * (guint64)MAX(plan->w, size[2]);
    plan->probabilities = stage->keep_probabilities;
    return TRUE;
}

static const LoomStage sliding_window = {
    .base = LOOM_STAGE(SlidingWindow, "sliding_window",
                       "Predict a whole case from windows that overlap",
                       .params = sliding_window_params, .open = sliding_window_open),
    .reads = sliding_window_reads,
    .writes = sliding_window_writes,
    .process = sliding_window_process,
    .ratio = sliding_window_ratio,
    .plan = sliding_window_plan,
};
LOOM_MODULE("stage_sliding_window", "0.1", &sliding_window.base);
