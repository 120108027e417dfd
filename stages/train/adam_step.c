/* adam_step - AdamW, with g = scale grad, t = 1, 2, ...:
 *   m = beta1 m + (1 - beta1) g,  s = beta2 s + (1 - beta2) g^2,  w *= 1 - rate weight_decay
 *   w -= rate (m / (1 - beta1^t)) / (sqrt(s / (1 - beta2^t)) + epsilon)
 * Source: Loshchilov, Hutter 2019; torch.optim.AdamW. */
#include "optimiser.h"
#include "rate_schedule.h"

typedef struct {
    LoomInstance *model;
    double rate, beta1, beta2, epsilon, weight_decay, clip, power;
    int decay;
    gint64 steps; /* of the run; 0: not known */
} AdamStep;

static const LoomParam adam_step_params[] = {
    LOOM_MODEL_ID(AdamStep, model, "the network to move"),
    LOOM_FLOAT(AdamStep, rate, "1.0e-3", 0, 1e3, NULL, "learning rate at the start"),
    LOOM_ENUM(AdamStep, decay, "constant", rate_decays, "how the rate falls"),
    LOOM_FLOAT(AdamStep, power, "0.9", 0, 10, NULL, "of poly: rate (1 - step / steps)^power"),
    LOOM_FLOAT(AdamStep, beta1, "0.9", 0, 0.999999, NULL, "memory of the mean"),
    LOOM_FLOAT(AdamStep, beta2, "0.999", 0, 0.999999, NULL, "memory of the square"),
    LOOM_FLOAT(AdamStep, epsilon, "1.0e-8", 1e-12, 1, NULL, "keeps small squares finite"),
    LOOM_FLOAT(AdamStep, weight_decay, "3.0e-5", 0, 1, NULL, "pull of the weights to 0"),
    LOOM_FLOAT(AdamStep, clip, "12", 0, 1e9, NULL, "largest norm of the gradient; 0: any"),
    {0},
};

static const LoomSlot adam_step_writes[] = {
    {"rate", LOOM_F64, "", 0, "learning rate of this step"},
    {"gradient_norm", LOOM_F64, "", 0, "of all weights together, before clipping"},
    {0},
};

static gboolean adam_step_open(gpointer self, LoomHost *host, GError **error)
{
    AdamStep *adam = self;

    adam->steps = loom_host_steps(host);
    return rate_check(adam->decay, adam->steps, error)
           && optimiser_moments(adam->model, 2, error);
}

static gboolean adam_step_map(gpointer self, LoomPacket *packet, LoomContext *ctx,
                              GError **error)
{
    const AdamStep *adam = self;
    const LoomModel *model = (const LoomModel *)adam->model->plugin;
    const LoomInstance *backend = model->backend(adam->model->self);
    LoomAdamUpdate update = {.rate = rate_at(adam->decay, adam->rate, adam->power,
                                             loom_context_step(ctx), adam->steps),
                             .beta1 = adam->beta1,
                             .beta2 = adam->beta2,
                             .epsilon = adam->epsilon,
                             .step = loom_context_step(ctx) + 1};
    guint n;
    LoomWeight *weights = model->weights(adam->model->self, &n);
    double norm;

    if (!optimiser_clip(adam->model, adam->clip, packet, &norm, &update.scale, error))
        return FALSE;
    for (guint i = 0; i < n; i++) {
        update.decay = weights[i].decayed ? adam->weight_decay : 0;
        ((const LoomBackend *)backend->plugin)
            ->adam(backend->self, &update, weights[i].value, weights[i].grad,
                   weights[i].moment[0], weights[i].moment[1]);
    }
    loom_packet_set(packet, "rate", loom_tensor_new_scalar(update.rate));
    loom_packet_set(packet, "gradient_norm", loom_tensor_new_scalar(norm));
    return TRUE;
}

static gboolean adam_step_plan(gpointer self, LoomPlan *plan, G_GNUC_UNUSED GError **error)
{
    const AdamStep *adam = self;

    plan->bytes += optimiser_bytes(adam->model, 2);
    return TRUE;
}

static gboolean adam_step_need(gpointer self, G_GNUC_UNUSED LoomPacket *sketch, LoomNeed *need,
                               G_GNUC_UNUSED GError **error)
{
    need->kept = optimiser_bytes(((const AdamStep *)self)->model, 2);
    return TRUE;
}

static const LoomStage adam_step = {
    .base = LOOM_STAGE(AdamStep, "adam_step", "AdamW over the model's weights",
                       .params = adam_step_params, .open = adam_step_open),
    .writes = adam_step_writes,
    .flags = LOOM_STAGE_STEP,
    .map = adam_step_map,
    .plan = adam_step_plan,
    .need = adam_step_need,
};
LOOM_MODULE("stage_adam_step", "0.1", &adam_step.base);
