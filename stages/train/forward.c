/* forward - an image through the network: logits, and a tape for the way back. */
#include "outputs.h"

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

static const LoomStage forward = {
    .base = LOOM_STAGE(Forward, "forward", "Network forward, for training",
                       .params = forward_params),
    .reads = forward_reads,
    .writes = forward_writes,
    .map = forward_map,
    .plan = forward_plan,
};
LOOM_MODULE("stage_forward", "0.1", &forward.base);
