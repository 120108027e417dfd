/* forward - an image through the network: logits, and a tape for the way back. */
#include "outputs.h"

#include <string.h>

typedef struct {
    LoomInstance *model;
} Forward;

static const LoomParam forward_params[] = {
    LOOM_MODEL_ID(Forward, model, "the network to train"),
    {0},
};

static const LoomSlot forward_reads[] = {
    {"image", LOOM_F32, "NCDHW", 0, "batch of images"},
    {0},
};

static const LoomSlot forward_writes[] = {
    {"logits", LOOM_F32, "NCDHW", 0, "one channel a class, on the image's grid"},
    OUTPUT_COARSER("logits", "the same at a coarser decoder level"),
    {"tape", LOOM_ANY, NULL, LOOM_SLOT_LOCAL, "what backward needs"},
    {0},
};

static void tape_free(gpointer owner, gpointer data)
{
    const LoomInstance *model = owner;

    ((const LoomModel *)model->plugin)->tape_free(model->self, data);
}

static gboolean forward_map(gpointer self, LoomPacket *packet, G_GNUC_UNUSED LoomContext *ctx,
                            GError **error)
{
    static const char *const slots[] = OUTPUT_NAMES("logits");
    const Forward *forward = self;
    const LoomModel *model = (const LoomModel *)forward->model->plugin;
    const guint n = model->outputs(forward->model->self);
    const LoomTensor *image = loom_packet_need(packet, "image", error);
    LoomTensor *logits[LOOM_MODEL_MAX_OUTPUTS] = {NULL};
    LoomTape *tape = NULL;

    if (!image || !model->forward(forward->model->self, image, logits, n, &tape, error))
        return FALSE;
    for (guint i = 0; i < n; i++)
        loom_packet_set(packet, slots[i], logits[i]);
    loom_packet_set_opaque(packet, "tape", tape, forward->model, tape_free);
    return TRUE;
}

static gboolean forward_plan(gpointer self, LoomPlan *plan, GError **error)
{
    const Forward *forward = self;
    const LoomModel *model = (const LoomModel *)forward->model->plugin;
    const gint64 image[5] = {plan->n, plan->c, plan->d, plan->h, plan->w};

    return model->fits(forward->model->self, image, TRUE, &plan->classes, &plan->bytes, error);
}

/* Coarser logits are half as many voxels each, at most. */
static gboolean forward_need(gpointer self, LoomPacket *sketch, LoomNeed *need, GError **error)
{
    static const char *const slots[] = OUTPUT_NAMES("logits");
    const Forward *forward = self;
    const LoomModel *model = (const LoomModel *)forward->model->plugin;
    static const gint64 unknown[5] = {0};
    gint64 shape[5], classes;
    guint64 weights;

    if (!model->fits(forward->model->self, unknown, FALSE, &classes, &weights, error))
        return FALSE;
    memcpy(shape, loom_tensor_shape(loom_packet_get(sketch, "image")), sizeof shape);
    if (!model->fits(forward->model->self, shape, TRUE, &classes, &need->kept, error))
        return FALSE;
    shape[1] = classes;
    need->kept -= MIN(weights, need->kept);
    for (guint i = 0; i < model->outputs(forward->model->self); i++) {
        LoomTensor *logits = loom_tensor_sketch(LOOM_F32, "NCDHW", shape, error);

        if (!logits)
            return FALSE;
        need->work += loom_tensor_bytes(logits);
        loom_packet_set(sketch, slots[i], logits);
        shape[4] = MAX(shape[4] / 2, 1);
    }
    return TRUE;
}

static const LoomStage forward = {
    .base = LOOM_STAGE(Forward, "forward", "Network forward, for training",
                       .params = forward_params),
    .reads = forward_reads,
    .writes = forward_writes,
    .map = forward_map,
    .plan = forward_plan,
    .need = forward_need,
};
LOOM_MODULE("stage_forward", "0.1", &forward.base);
