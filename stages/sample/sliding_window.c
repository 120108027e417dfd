/* sliding_window - a case of any size through a network that takes windows of one size:
 *   mean[k,v] = sum_i w_i(v) logits_i[k,v] / sum_i w_i(v),   prediction[v] = argmax_k mean[k,v]
 * with windows i that overlap and weights w that fall off from the middle of a window.
 *
 * The logits of a window are themselves the mean over mirrored copies of it (`mirror`) and over
 * the weights of several models (`weights: [...]` of the model), taken in place.  Where stages
 * have moved the image to another grid than its file's, the prediction is made on that of the
 * file, plane by plane, see sweep_planes.c.  A case smaller than a window is padded with 0 and
 * its result cropped back.
 * Source: Isensee et al. 2021 (nnU-Net), inference; windows.h. */
#define G_LOG_DOMAIN "loom-sliding-window"
#include "mirror.h"
#include "sweep_way.h"

#include <math.h>
#include <string.h>

#define MIB 1048576.0

typedef struct {
    LoomInstance *model;
    LoomInts size, regions;
    double overlap;
    gint64 batch;
    char *mirror;
    gboolean keep_probabilities, skip_empty, announce;
    guint64 memory;

    guint sets;     /* of weights: more than one are a mean */
    guint mirrored; /* bits of the axes D, H, W that are mirrored */
    gint64 planned; /* the largest batch that the network has allocated for */
} SlidingWindow;

static const LoomParam sliding_window_params[] = {
    LOOM_MODEL_ID(SlidingWindow, model, "the network"),
    LOOM_INTS(SlidingWindow, size, NULL, 1, 4096, "voxels", "of a window: D, H, W"),
    LOOM_FLOAT(SlidingWindow, overlap, "0.5", 0, 0.9, NULL,
               "least share of a window that the next one covers again"),
    LOOM_INT(SlidingWindow, batch, "1", 1, 256, NULL, "windows that go through at once"),
    LOOM_STRING(
        SlidingWindow, mirror, "",
        "axes along which each window is mirrored as well, letters of D, H, W: the mean "
        "of 2^n passes, at 2^n times the time"),
    LOOM_BOOL(SlidingWindow, skip_empty, "false",
              "windows in which every channel is constant are background, and not computed"),
    LOOM_INTS(SlidingWindow, regions, "[]", 1, 255, NULL,
              "the network tells regions apart, one a channel, not classes: the label of each, "
              "later ones over earlier ones"),
    LOOM_BOOL(SlidingWindow, keep_probabilities, "false", "write 'probabilities' as well"),
    LOOM_BYTES(SlidingWindow, memory, "0", 0, 1e15,
               "the process stays below it: fewer windows at once, then the case in tiles; 0: "
               "as it comes"),
    LOOM_BOOL(SlidingWindow, announce, "false",
              "a record 'sweep' for each case: passes, memory, seconds"),
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
     "softmax of the mean logits; of regions the logistic function"},
    {0},
};

static const LoomModel *network(const SlidingWindow *stage)
{
    return (const LoomModel *)stage->model->plugin;
}

/* ---- what it takes ------------------------------------------------------------------ */

static gboolean window_fits(const SlidingWindow *stage, gint64 batch, gint64 channels,
                            gint64 *classes, guint64 *bytes, GError **error)
{
    const gint64 *size = stage->size.v;
    const gint64 shape[5] = {batch, channels, size[0], size[1], size[2]};

    if (!network(stage)->fits(stage->model->self, shape, FALSE, classes, bytes, error))
        return FALSE;
    if (stage->regions.n && stage->regions.n != *classes)
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "regions has %u labels, the model '%s' %" G_GINT64_FORMAT
                         " channels: want one label a channel",
                         stage->regions.n, stage->model->id, *classes);
    return *classes <= 256
           || loom_fail(error, LOOM_ERROR_CONFIG,
                        "%" G_GINT64_FORMAT " classes, a prediction (u8) holds at most 256",
                        *classes);
}

static SweepNetwork network_of(const SlidingWindow *stage)
{
    const gboolean mean = stage->mirrored || stage->sets > 1;

    return (SweepNetwork){stage->model, stage->size.v, stage->batch, mean ? 2 : 1};
}

/* @peak: what the process will hold. */
static gboolean memory_plan(const SlidingWindow *stage, Sweep *sweep, guint64 room,
                            gint64 *batch, guint64 *peak, GError **error)
{
    const guint64 used = loom_memory_used(), limit = stage->memory;
    const guint threads = loom_pool_threads(sweep->pool);
    const SweepNetwork net = network_of(stage);
    guint64 there = 0;
    SweepWay way;

    if (stage->planned
        && !sweep_arena_bytes(&net, stage->planned, loom_tensor_size(sweep->image, 'C'), &there,
                              error))
        return FALSE;
    if (limit)
        room = MIN(room, limit + there - MIN(used, limit + there));
    if (!sweep_way_find(&net, sweep, room, threads, &way, error))
        return FALSE;
    *batch = way.batch;
    *peak = used + way.arena - MIN(there, way.arena) + way.rest;
    return !limit || *peak <= limit
           || loom_fail(error, LOOM_ERROR_LIMIT,
                        "memory is %.1f MiB, but one window at a time in the smallest tiles "
                        "takes %.1f MiB, of which %.1f MiB are in use before",
                        (double)limit / MIB, (double)*peak / MIB, (double)used / MIB);
}

/* ---- passes through the network ----------------------------------------------------- */

/* One case, and the windows of it that wait for the network. */
typedef struct {
    const SlidingWindow *stage;
    LoomContext *ctx;
    Sweep *sweep;
    LoomTensor *input;
    gint64 batch, filled;
    GArray *waiting;        /* gint64: window, or -1 - window of an empty one */
    gint64 n_windows, done; /* in all tiles */
    gint64 batches;
    guint64 peak;
    gint64 began; /* g_get_monotonic_time */
} Case;

static gint64 passes_of(const Case *one)
{
    return (gint64)loom_context_weight_sets(one->ctx, one->stage->model)
           << (guint)__builtin_popcount(one->stage->mirrored);
}

/* @mean: takes over the first logits, later ones are added to it where they belong. */
static gboolean pass_add(const Case *one, guint mirrored, LoomTensor **mean, GError **error)
{
    const SlidingWindow *stage = one->stage;
    g_autoptr(LoomTensor) logits = NULL;

    if (!network(stage)->forward(stage->model->self, one->input, &logits, 1, NULL, error))
        return FALSE;
    g_assert(loom_tensor_size(logits, 'C') == one->sweep->rules->channels
             && loom_tensor_count_from(logits, 'D') == loom_tensor_count_from(one->input, 'D'));
    if (!*mean)
        *mean = g_steal_pointer(&logits);
    else
        mirror_add(*mean, logits, mirrored, one->sweep->pool);
    return TRUE;
}

/* All mirrored copies with the weights in use: by a Gray code each differs from the one before
 * along one axis, so the windows are turned in place, and lie as before in the end. */
static gboolean mirrored_passes(const Case *one, LoomTensor **mean, GError **error)
{
    const guint axes = one->stage->mirrored;
    guint turned = 0;

    for (guint pass = 0; pass < 8; pass++) {
        const guint code = pass ^ (pass >> 1);

        if (code & ~axes)
            continue;
        mirror_turn(one->input, turned ^ code, one->sweep->pool);
        turned = code;
        if (!pass_add(one, turned, mean, error))
            return FALSE;
    }
    mirror_turn(one->input, turned, one->sweep->pool);
    return TRUE;
}

/* The mean logits of the windows in the input; (transfer full). */
static LoomTensor *windows_mean(const Case *one, GError **error)
{
    const guint n_sets = loom_context_weight_sets(one->ctx, one->stage->model);
    const gint64 passes = passes_of(one);
    g_autoptr(LoomTensor) mean = NULL;

    for (guint set = 0; set < n_sets; set++) {
        if (n_sets > 1)
            loom_context_weights_use(one->ctx, one->stage->model, set);
        if (!mirrored_passes(one, &mean, error))
            return NULL;
    }
    if (passes > 1)
        mirror_scale(mean, 1.0f / (float)passes, one->sweep->pool);
    return g_steal_pointer(&mean);
}

/* After the second batch it is known how long the rest will take: the first one allocates, and
 * may measure which algorithms are fast. */
static void sweep_announce(const Case *one)
{
    const double seconds = (double)(g_get_monotonic_time() - one->began) * 1e-6;
    const Sweep *sweep = one->sweep;
    const LoomField fields[] = {
        {.name = "windows", .value = (double)sweep_windows(sweep)},
        {.name = "passes", .value = (double)passes_of(one)},
        {.name = "batch", .value = (double)one->batch},
        {.name = "asked", .value = (double)one->stage->batch},
        {.name = "tiles", .value = sweep->tiles[0] * sweep->tiles[1]},
        {.name = "peak", .value = (double)one->peak},
        {.name = "seconds", .value = seconds * (double)one->n_windows / (double)one->batch},
    };

    loom_context_record(one->ctx, "sweep", fields, G_N_ELEMENTS(fields));
}

static void batch_done(Case *one)
{
    const gboolean all = one->done + one->waiting->len >= one->n_windows;

    one->batches++;
    if (one->batches == 2 || (one->batches == 1 && all))
        sweep_announce(one);
    if (one->batches == 1)
        one->began = g_get_monotonic_time();
}

/* Sends what waits through the network, if there is any, and adds it in the order of the
 * windows.  Of a short batch the last window is repeated, so that the network always sees one
 * shape. */
static gboolean windows_flush(Case *one, GError **error)
{
    const gint64 count = loom_tensor_count_from(one->input, 'C');
    float *x = loom_tensor_f32_mut(one->input);
    g_autoptr(LoomTensor) mean = NULL;
    gint64 slot = 0;

    for (gint64 k = one->filled; one->filled && k < one->batch; k++)
        memcpy(x + k * count, x + (one->filled - 1) * count, (gsize)count * sizeof *x);
    if (one->filled && !(mean = windows_mean(one, error)))
        return FALSE;
    for (guint i = 0; i < one->waiting->len; i++) {
        const gint64 window = g_array_index(one->waiting, gint64, i);
        const float *logits =
            window < 0 ? NULL
                       : loom_tensor_f32(mean) + slot++ * loom_tensor_count_from(mean, 'C');

        if (!sweep_add(one->sweep, window < 0 ? -1 - window : window, logits, error))
            return FALSE;
    }
    if (one->filled && one->stage->announce)
        batch_done(one);
    one->done += one->waiting->len;
    loom_context_part(one->ctx, one->done, one->n_windows);
    one->filled = 0;
    g_array_set_size(one->waiting, 0);
    return TRUE;
}

/* Is every channel of window @n of the input one and the same number throughout? */
static gboolean window_empty(const LoomTensor *input, gint64 n)
{
    const gint64 voxels = loom_tensor_count_from(input, 'D');
    const gint64 channels = loom_tensor_size(input, 'C');

    for (gint64 c = 0; c < channels; c++) {
        const float *x = loom_tensor_f32(input) + (n * channels + c) * voxels;

        if (!isfinite(x[0]) /* what is wrong must reach the network, and be found */
            || memcmp(x, x + 1, (gsize)(voxels - 1) * sizeof *x) != 0) /* each as the next */
            return FALSE;
    }
    return TRUE;
}

static LoomFlow tile_sweep(Case *one, GError **error)
{
    for (gint64 window = 0; window < sweep_windows(one->sweep); window++) {
        if (!sweep_touches(one->sweep, window))
            continue;
        if (one->filled == 0 && loom_context_stopping(one->ctx))
            return LOOM_FLOW_STOP;
        sweep_fill(one->sweep, window, one->input, one->filled);
        const gboolean empty = one->stage->skip_empty && window_empty(one->input, one->filled);
        const gint64 entry = empty ? -1 - window : window;
        g_array_append_val(one->waiting, entry);
        one->filled += empty ? 0 : 1;
        if ((one->filled == one->batch || (empty && !one->filled))
            && !windows_flush(one, error))
            return LOOM_FLOW_FAIL;
    }
    if (!windows_flush(one, error) || !sweep_tile_end(one->sweep, error))
        return LOOM_FLOW_FAIL;
    return LOOM_FLOW_OK;
}

/* ---- a case ------------------------------------------------------------------------- */

/* Windows of all tiles together. */
static gint64 windows_count(Sweep *sweep)
{
    gint64 n = 0;

    if (sweep->tiles[0] * sweep->tiles[1] == 1)
        return sweep_windows(sweep);
    for (guint tile = 0; sweep_tile_begin(sweep, tile); tile++)
        for (gint64 window = 0; window < sweep_windows(sweep); window++)
            n += sweep_touches(sweep, window);
    return n;
}

static LoomFlow case_sweep(Case *one, GError **error)
{
    SlidingWindow *planned = (SlidingWindow *)(guintptr)one->stage;
    const gint64 *size = one->stage->size.v;
    LoomFlow flow = LOOM_FLOW_OK;

    if (!memory_plan(one->stage, one->sweep, loom_context_room(one->ctx), &one->batch,
                     &one->peak, error)
        || !sweep_allocate(one->sweep, error))
        return LOOM_FLOW_FAIL;
    const gint64 shape[5] = {one->batch, loom_tensor_size(one->sweep->image, 'C'), size[0],
                             size[1], size[2]};
    if (!(one->input = loom_tensor_new(LOOM_F32, "NCDHW", shape, error)))
        return LOOM_FLOW_FAIL;
    one->n_windows = windows_count(one->sweep);
    one->began = g_get_monotonic_time();
    for (guint tile = 0; flow == LOOM_FLOW_OK && sweep_tile_begin(one->sweep, tile); tile++)
        flow = tile_sweep(one, error);
    planned->planned = MAX(planned->planned, one->batch);
    return flow;
}

static SweepRules rules_of(const SlidingWindow *stage)
{
    return (SweepRules){.model = stage->model->id,
                        .size = {stage->size.v[0], stage->size.v[1], stage->size.v[2]},
                        .overlap = stage->overlap,
                        .regions = stage->regions.n ? stage->regions.v : NULL,
                        .keep_probabilities = stage->keep_probabilities};
}

static LoomFlow sliding_window_process(gpointer self, LoomPacket *packet, LoomContext *ctx,
                                       GError **error)
{
    const SlidingWindow *stage = self;
    g_autoptr(LoomPacket) mine = packet;
    g_autoptr(GArray) waiting = g_array_new(FALSE, FALSE, sizeof(gint64));
    g_auto(Sweep) sweep = {0};
    const LoomTensor *image = loom_packet_need(packet, "image", error);
    SweepRules rules = rules_of(stage);
    guint64 bytes;

    if (!image
        || !window_fits(stage, stage->batch, loom_tensor_size(image, 'C'), &rules.channels,
                        &bytes, error)
        || !sweep_begin(&sweep, &rules, image, loom_packet_geometry(packet),
                        loom_packet_native(packet), loom_context_pool(ctx), error))
        return LOOM_FLOW_FAIL;
    Case one = {.stage = stage, .ctx = ctx, .sweep = &sweep, .waiting = waiting};
    const LoomFlow flow = case_sweep(&one, error);
    loom_tensor_unref(one.input);
    if (flow != LOOM_FLOW_OK)
        return flow;
    loom_packet_set(packet, "prediction", g_steal_pointer(&sweep.prediction));
    if (sweep.probabilities)
        loom_packet_set(packet, "probabilities", g_steal_pointer(&sweep.probabilities));
    return loom_context_push(ctx, g_steal_pointer(&mine), error);
}

/* ---- the stage ---------------------------------------------------------------------- */

static gboolean sliding_window_open(gpointer self, LoomHost *host, GError **error)
{
    SlidingWindow *stage = self;

    stage->sets = loom_host_weight_sets(host, stage->model);
    if (stage->size.n != 3)
        return loom_fail(error, LOOM_ERROR_CONFIG, "size has %u numbers, want 3: D, H, W",
                         stage->size.n);
    return mirror_axes(stage->mirror, "mirror", &stage->mirrored, error);
}

static void sliding_window_ratio(G_GNUC_UNUSED gpointer self, gint64 *in, gint64 *out)
{
    *in = *out = 1;
}

static gboolean sliding_window_plan(gpointer self, LoomPlan *plan, GError **error)
{
    const SlidingWindow *stage = self;
    const gint64 *size = stage->size.v;

    if (!window_fits(stage, stage->batch, plan->c, &plan->classes, &plan->bytes, error))
        return FALSE;
    /* sums of logits; unknown sizes count as one window */
    plan->bytes += sizeof(float) * (guint64)plan->classes * (guint64)size[0]
                   * (guint64)MAX(plan->h, size[1]) * (guint64)MAX(plan->w, size[2]);
    plan->probabilities = stage->keep_probabilities && !stage->regions.n;
    for (guint i = 0; i < stage->regions.n; i++) /* from here on labels count, not regions */
        plan->classes =
            i ? MAX(plan->classes, stage->regions.v[i] + 1) : stage->regions.v[0] + 1;
    return TRUE;
}

static gboolean sliding_window_need(gpointer self, LoomPacket *sketch, LoomNeed *need,
                                    GError **error)
{
    const SlidingWindow *stage = self;
    const LoomTensor *image = loom_packet_get(sketch, "image");
    SweepRules rules = rules_of(stage);
    g_auto(Sweep) sweep = {0};
    const SweepNetwork net = network_of(stage);
    LoomTensor *prediction, *probabilities;
    guint64 bytes;
    SweepWay way;

    if (!window_fits(stage, stage->batch, loom_tensor_size(image, 'C'), &rules.channels, &bytes,
                     error)
        || !sweep_begin(&sweep, &rules, image, loom_packet_geometry(sketch),
                        loom_packet_native(sketch), NULL, error)
        || !sweep_way_find(&net, &sweep, need->room, need->threads, &way, error)
        || !(prediction = loom_tensor_sketch(LOOM_U8, "DHW", sweep.out, error)))
        return FALSE;
    need->kept = way.arena;
    need->work = way.rest;
    loom_packet_set(sketch, "prediction", prediction);
    if (!stage->keep_probabilities)
        return TRUE;
    const gint64 all[4] = {rules.channels, sweep.out[0], sweep.out[1], sweep.out[2]};
    if (!(probabilities = loom_tensor_sketch(LOOM_F32, "CDHW", all, error)))
        return FALSE;
    loom_packet_set(sketch, "probabilities", probabilities);
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
    .need = sliding_window_need,
};
LOOM_MODULE("stage_sliding_window", "0.1", &sliding_window.base);
