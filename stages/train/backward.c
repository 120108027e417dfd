/* backward - the loss's direction back through the network: the gradient of every weight. */
#include "outputs.h"

typedef struct {
    LoomInstance *model;
} Backward;

static const LoomParam backward_params[] = {
    LOOM_MODEL_ID(Backward, model, "the network whose forward made the tape"),
    {0},
};

static const LoomSlot backward_reads[] = {
    {"dlogits", LOOM_F32, "NCDHW", 0, "d loss / d logits"},
    OUTPUT_COARSER("dlogits", "the same at a coarser decoder level"),
    {"tape", LOOM_ANY, NULL, LOOM_SLOT_LOCAL, "from the network's forward"},
    {0},
};

static void zero_gradients(const LoomInstance *instance)
{
    const LoomModel *model = (const LoomModel *)instance->plugin;
    const LoomInstance *backend = model->backend(instance->self);
    guint n;
    LoomWeight *weights = model->weights(instance->self, &n);

    for (guint i = 0; i < n; i++)
        ((const LoomBackend *)backend->plugin)->array_zero(backend->self, weights[i].grad);
}

static gboolean backward_map(gpointer self, LoomPacket *packet, G_GNUC_UNUSED LoomContext *ctx,
                             GError **error)
{
    static const char *const in[] = OUTPUT_NAMES("dlogits"), *const logits[] =
                                                                 OUTPUT_NAMES("logits");
    const Backward *backward = self;
    const LoomModel *model = (const LoomModel *)backward->model->plugin;
    LoomTape *tape = loom_packet_take_opaque(packet, "tape");
    const LoomTensor *dlogits[LOOM_MODEL_MAX_OUTPUTS];
    guint n = 0;

    if (!tape)
        return loom_fail(
            error, LOOM_ERROR_SHAPE,
            "the packet has no tape: 'backward' must follow 'forward' in one line, "
            "as the last of its branches");
    while (n < LOOM_MODEL_MAX_OUTPUTS && (dlogits[n] = loom_packet_get(packet, in[n])))
        n++;
    zero_gradients(backward->model);
    if (!model->backward(backward->model->self, tape, dlogits, n, error))
        return FALSE;
    for (guint i = 0; i < LOOM_MODEL_MAX_OUTPUTS; i++) {
        loom_packet_drop(packet, in[i]);
        if (i > 0) /* the finest logits are for who reports */
            loom_packet_drop(packet, logits[i]);
    }
    return TRUE;
}

static const LoomStage backward = {
    .base =
        LOOM_STAGE(Backward, "backward", "Gradient of every weight", .params = backward_params),
    .reads = backward_reads,
    .map = backward_map,
};
LOOM_MODULE("stage_backward", "0.1", &backward.base);
