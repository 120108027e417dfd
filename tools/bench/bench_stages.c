/* bench_stages - see bench_stages.h. */
#include "bench_stages.h"

#include <loom/loom.h>

#include <math.h>
#include <time.h>

static BenchMeasured measured;
static gint64 then; /* when what is being timed began, microseconds of one clock */

BenchMeasured *bench_measured_begin(void)
{
    g_clear_pointer(&measured.seconds, g_array_unref);
    measured = (BenchMeasured){.seconds = g_array_new(FALSE, FALSE, sizeof(double))};
    then = 0;
    return &measured;
}

static double seconds_between(gint64 from, gint64 to)
{
    return (double)(to - from) / G_USEC_PER_SEC;
}

/* ---- bench_batch -------------------------------------------------------------------- */

typedef struct {
    gint64 batch, channels, classes, packets;
    LoomInts patch;
    LoomTensor *image, *label;
} Batch;

static const LoomParam batch_params[] = {
    LOOM_INT(Batch, batch, NULL, 1, 1024, NULL, "samples"),
    LOOM_INT(Batch, channels, NULL, 1, 256, NULL, "channels of the image"),
    LOOM_INT(Batch, classes, NULL, 2, 255, NULL, "classes of the label"),
    LOOM_INTS(Batch, patch, NULL, 1, 4096, "voxels", "D, H, W"),
    LOOM_INT(Batch, packets, NULL, 1, 1e9, NULL, "then the data ends"),
    {0},
};

static const LoomSlot batch_writes[] = {
    {"image", LOOM_F32, "NCDHW", 0, "normal noise, always the same"},
    {"label", LOOM_U8, "NDHW", 0, "any class as likely as the others"},
    {0},
};

static gboolean batch_start(gpointer self, G_GNUC_UNUSED LoomContext *ctx, GError **error)
{
    Batch *batch = self;
    const gint64 *size = batch->patch.v;
    const gint64 image[5] = {batch->batch, batch->channels, size[0], size[1], size[2]};
    const gint64 label[4] = {batch->batch, size[0], size[1], size[2]};
    LoomRng rng = loom_rng(1, "bench", 0);

    if (!(batch->image = loom_tensor_new(LOOM_F32, "NCDHW", image, error))
        || !(batch->label = loom_tensor_new(LOOM_U8, "NDHW", label, error)))
        return FALSE;
    for (gint64 i = 0; i < loom_tensor_count(batch->image); i++)
        loom_tensor_f32_mut(batch->image)[i] = (float)loom_rng_normal(&rng);
    for (gint64 i = 0; i < loom_tensor_count(batch->label); i++)
        loom_tensor_u8_mut(batch->label)[i] = (guint8)loom_rng_below(&rng, batch->classes);
    return TRUE;
}

static void batch_close(gpointer self)
{
    Batch *batch = self;

    g_clear_pointer(&batch->image, loom_tensor_unref);
    g_clear_pointer(&batch->label, loom_tensor_unref);
}

static LoomFlow batch_produce(gpointer self, LoomPacket **packet, LoomContext *ctx,
                              G_GNUC_UNUSED GError **error)
{
    const Batch *batch = self;

    if (loom_context_index(ctx) == batch->packets)
        return LOOM_FLOW_STOP;
    *packet = loom_packet_new();
    loom_packet_set(*packet, "image", loom_tensor_ref(batch->image));
    loom_packet_set(*packet, "label", loom_tensor_ref(batch->label));
    then = g_get_monotonic_time();
    return LOOM_FLOW_OK;
}

static gboolean batch_plan(gpointer self, LoomPlan *plan, GError **error)
{
    const Batch *batch = self;

    if (batch->patch.n != 3)
        return loom_fail(error, LOOM_ERROR_CONFIG, "patch: %u numbers, want D, H, W",
                         batch->patch.n);
    plan->n = batch->batch;
    plan->c = batch->channels;
    plan->d = batch->patch.v[0];
    plan->h = batch->patch.v[1];
    plan->w = batch->patch.v[2];
    return TRUE;
}

static const LoomStage batch = {
    .base = LOOM_STAGE(Batch, "bench_batch", "The same batch of noise again and again",
                       .params = batch_params, .close = batch_close),
    .writes = batch_writes,
    .start = batch_start,
    .produce = batch_produce,
    .plan = batch_plan,
};

/* ---- bench_logits, bench_clock ------------------------------------------------------ */

typedef struct {
    LoomInstance *model;
} Network;

static const LoomParam network_params[] = {
    LOOM_MODEL_ID(Network, model, "the network that is timed"),
    {0},
};

static const LoomSlot logits_reads[] = {
    {"image", LOOM_F32, "NCDHW", 0, "windows"},
    {0},
};

static const LoomSlot logits_writes[] = {
    {"logits", LOOM_F32, "NCDHW", 0, "one channel a class"},
    {0},
};

static gboolean logits_map(gpointer self, LoomPacket *packet, G_GNUC_UNUSED LoomContext *ctx,
                           GError **error)
{
    const LoomInstance *instance = ((const Network *)self)->model;
    const LoomModel *model = (const LoomModel *)instance->plugin;
    LoomTensor *logits = NULL;

    if (!model->forward(instance->self, loom_packet_get(packet, "image"), &logits, 1, NULL,
                        error))
        return FALSE;
    loom_packet_set(packet, "logits", logits);
    return TRUE;
}

static gboolean logits_plan(gpointer self, LoomPlan *plan, GError **error)
{
    const LoomInstance *instance = ((const Network *)self)->model;
    const LoomModel *model = (const LoomModel *)instance->plugin;
    const gint64 image[5] = {plan->n, plan->c, plan->d, plan->h, plan->w};

    return model->fits(instance->self, image, FALSE, &plan->classes, &plan->bytes, error);
}

static const LoomStage logits = {
    .base = LOOM_STAGE(Network, "bench_logits", "Network forward, nothing kept",
                       .params = network_params),
    .reads = logits_reads,
    .writes = logits_writes,
    .map = logits_map,
    .plan = logits_plan,
};

static gboolean clock_start(gpointer self, G_GNUC_UNUSED LoomContext *ctx,
                            G_GNUC_UNUSED GError **error)
{
    const LoomInstance *instance = ((const Network *)self)->model;
    guint n;
    const LoomWeight *weights =
        ((const LoomModel *)instance->plugin)->weights(instance->self, &n);

    measured.parameters = 0;
    for (guint i = 0; i < n; i++)
        measured.parameters += weights[i].count;
    return TRUE;
}

static gboolean clock_map(G_GNUC_UNUSED gpointer self, G_GNUC_UNUSED LoomPacket *packet,
                          G_GNUC_UNUSED LoomContext *ctx, G_GNUC_UNUSED GError **error)
{
    const double seconds = seconds_between(then, g_get_monotonic_time());

    g_array_append_val(measured.seconds, seconds);
    return TRUE;
}

static const LoomStage stop_watch = {
    .base = LOOM_STAGE(Network, "bench_clock", "Time since the source gave the packet",
                       .params = network_params),
    .start = clock_start,
    .map = clock_map,
};

/* ---- bench_patch, bench_watch ------------------------------------------------------- */

typedef struct {
    gint64 channels, classes, packets;
    LoomInts patch;
    LoomTensor *image, *label;
} Patch;

static const LoomParam patch_params[] = {
    LOOM_INT(Patch, channels, NULL, 1, 256, NULL, "channels of the image"),
    LOOM_INT(Patch, classes, NULL, 1, 255, NULL, "classes of the label"),
    LOOM_INTS(Patch, patch, NULL, 1, 4096, "voxels", "D, H, W"),
    LOOM_INT(Patch, packets, NULL, 1, 1e9, NULL, "then the data ends"),
    {0},
};

static const LoomSlot patch_writes[] = {
    {"image", LOOM_F32, "CDHW", 0, "normal noise, always the same"},
    {"label", LOOM_U8, "DHW", 0, "an ellipsoid in the middle, in shells of each class"},
    {0},
};

/* Of this thread, microseconds: what other processes do does not count. */
static gint64 processor_time(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (gint64)now.tv_sec * G_USEC_PER_SEC + now.tv_nsec / 1000;
}

/* The outermost shell reaches 0.3 of each edge from the middle: borders as of an organ. */
static guint8 shell_of(const Patch *patch, gint64 v)
{
    const gint64 *size = patch->patch.v;
    const gint64 at[3] = {v / (size[1] * size[2]), v / size[2] % size[1], v % size[2]};
    double squared = 0;

    for (int i = 0; i < 3; i++) {
        const double off = ((double)at[i] + 0.5) / (double)size[i] - 0.5;

        squared += off * off;
    }
    const double depth = 1 - squared / (0.3 * 0.3);
    return depth > 0 ? (guint8)ceil(depth * (double)(patch->classes - 1)) : 0;
}

static gboolean patch_start(gpointer self, G_GNUC_UNUSED LoomContext *ctx, GError **error)
{
    Patch *patch = self;
    const gint64 *size = patch->patch.v;
    const gint64 shape[4] = {patch->channels, size[0], size[1], size[2]};
    LoomRng rng = loom_rng(1, "bench", 0);

    if (!(patch->image = loom_tensor_new(LOOM_F32, "CDHW", shape, error))
        || !(patch->label = loom_tensor_new(LOOM_U8, "DHW", size, error)))
        return FALSE;
    for (gint64 i = 0; i < loom_tensor_count(patch->image); i++)
        loom_tensor_f32_mut(patch->image)[i] = (float)loom_rng_normal(&rng);
    for (gint64 v = 0; v < loom_tensor_count(patch->label); v++)
        loom_tensor_u8_mut(patch->label)[v] = shell_of(patch, v);
    return TRUE;
}

static void patch_close(gpointer self)
{
    Patch *patch = self;

    g_clear_pointer(&patch->image, loom_tensor_unref);
    g_clear_pointer(&patch->label, loom_tensor_unref);
}

static LoomFlow patch_produce(gpointer self, LoomPacket **packet, LoomContext *ctx,
                              G_GNUC_UNUSED GError **error)
{
    const Patch *patch = self;

    if (loom_context_index(ctx) == patch->packets)
        return LOOM_FLOW_STOP;
    *packet = loom_packet_new();
    loom_packet_set(*packet, "image", loom_tensor_ref(patch->image));
    loom_packet_set(*packet, "label", loom_tensor_ref(patch->label));
    then = processor_time();
    return LOOM_FLOW_OK;
}

static gboolean patch_plan(gpointer self, LoomPlan *plan, GError **error)
{
    const Patch *patch = self;

    if (patch->patch.n != 3)
        return loom_fail(error, LOOM_ERROR_CONFIG, "patch: %u numbers, want D, H, W",
                         patch->patch.n);
    plan->c = patch->channels;
    plan->d = patch->patch.v[0];
    plan->h = patch->patch.v[1];
    plan->w = patch->patch.v[2];
    return TRUE;
}

static const LoomStage patch_source = {
    .base = LOOM_STAGE(Patch, "bench_patch", "The same patch of noise again and again",
                       .params = patch_params, .close = patch_close),
    .writes = patch_writes,
    .start = patch_start,
    .produce = patch_produce,
    .plan = patch_plan,
};

static gboolean watch_map(G_GNUC_UNUSED gpointer self, G_GNUC_UNUSED LoomPacket *packet,
                          G_GNUC_UNUSED LoomContext *ctx, G_GNUC_UNUSED GError **error)
{
    const double seconds = seconds_between(then, processor_time());

    g_array_append_val(measured.seconds, seconds);
    return TRUE;
}

static const LoomStage watch = {
    .base = LOOM_STAGE(char, "bench_watch",
                       "Processor time since bench_patch, in the same lane, gave the packet"),
    .map = watch_map,
};

/* ---- bench_gate --------------------------------------------------------------------- */

typedef struct {
    gint64 steps;
    gint64 seen;     /* steps of the run when it was last looked */
    gint64 finished; /* when the last step was complete; 0: none yet */
} Gate;

static const LoomParam gate_params[] = {
    LOOM_INT(Gate, steps, NULL, 1, 1e9, "steps", "to time, besides a first one"),
    {0},
};

/* Pushing calls the stages below in this thread: until it returns they are busy, from then to
 * the next packet they wait.  The first step is left out: it finds empty queues and makes the
 * memory. */
static LoomFlow gate_process(gpointer self, LoomPacket *packet, LoomContext *ctx,
                             GError **error)
{
    Gate *gate = self;
    const gint64 arrived = g_get_monotonic_time();

    if (gate->finished)
        measured.idle += seconds_between(then, arrived);
    const LoomFlow flow = loom_context_push(ctx, packet, error);
    then = g_get_monotonic_time();
    if (gate->finished)
        measured.busy += seconds_between(arrived, then);
    const gint64 step = loom_context_step(ctx);
    if (step > gate->seen) {
        const double seconds =
            seconds_between(gate->finished, then) / (double)(step - gate->seen);

        if (gate->finished)
            g_array_append_val(measured.seconds, seconds);
        gate->finished = then;
        gate->seen = step;
    }
    return flow == LOOM_FLOW_OK && (gint64)measured.seconds->len >= gate->steps ? LOOM_FLOW_STOP
                                                                                : flow;
}

static void gate_ratio(G_GNUC_UNUSED gpointer self, gint64 *in, gint64 *out)
{
    *in = *out = 1;
}

static const LoomStage gate = {
    .base = LOOM_STAGE(Gate, "bench_gate", "How long the stages below work and wait",
                       .params = gate_params),
    .process = gate_process,
    .ratio = gate_ratio,
};

const LoomModule bench_stages = {
    LOOM_ABI_MAJOR, LOOM_ABI_MINOR, "bench", "0.1",
    (const LoomPlugin *const[]){&batch.base, &logits.base, &stop_watch.base, &patch_source.base,
                                &watch.base, &gate.base, NULL}};
