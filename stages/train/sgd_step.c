/* sgd_step - stochastic gradient descent with momentum, Nesterov's by default:
 *   g = scale grad + weight_decay w,  v = momentum v + g,  w -= rate (g + momentum v)
 * Source: Sutskever et al. 2013 in torch.optim.SGD's form; defaults are nnU-Net's. */
#include "optimiser.h"
#include "rate_schedule.h"

typedef struct {
    LoomInstance *model;
    double rate, momentum, weight_decay, clip, power;
    gboolean nesterov;
    int decay;
    gint64 steps; /* of the run; 0: not known */
} SgdStep;

static const LoomParam sgd_step_params[] = {
    LOOM_MODEL_ID(SgdStep, model, "the network to move"),
    LOOM_FLOAT(SgdStep, rate, "1.0e-2", 0, 1e3, NULL, "learning rate at the start"),
    LOOM_ENUM(SgdStep, decay, "constant", rate_decays, "how the rate falls"),
    LOOM_FLOAT(SgdStep, power, "0.9", 0, 10, NULL, "of poly: rate (1 - step / steps)^power"),
    LOOM_FLOAT(SgdStep, momentum, "0.99", 0, 1, NULL, "share of the last direction kept"),
    LOOM_BOOL(SgdStep, nesterov, "true", "look ahead along the momentum"),
    LOOM_FLOAT(SgdStep, weight_decay, "3.0e-5", 0, 1, NULL, "pull of the weights to 0"),
    LOOM_FLOAT(SgdStep, clip, "12", 0, 1e9, NULL, "largest norm of the gradient; 0: any"),
    {0},
};

static const LoomSlot sgd_step_writes[] = {
    {"rate", LOOM_F64, "", 0, "learning rate of this step"},
    {"gradient_norm", LOOM_F64, "", 0, "of all weights together, before clipping"},
    {0},
};

static gboolean sgd_step_open(gpointer self, LoomHost *host, GError **error)
{
    SgdStep *sgd = self;

    sgd->steps = loom_host_steps(host);
    return rate_check(sgd->decay, sgd->steps, error) && optimiser_moments(sgd->model, 1, error);
}

static gboolean sgd_step_map(gpointer self, LoomPacket *packet, LoomContext *ctx,
                             GError **error)
{
    const SgdStep *sgd = self;
    const LoomModel *model = (const LoomModel *)sgd->model->plugin;
    const LoomInstance *backend = model->backend(sgd->model->self);
    LoomSgdUpdate update = {
        .rate = rate_at(sgd->decay, sgd->rate, sgd->power, loom_context_step(ctx), sgd->steps),
        .momentum = sgd->momentum,
        .nesterov = sgd->nesterov};
    guint n;
    LoomWeight *weights = model->weights(sgd->model->self, &n);
    double norm;

    if (!optimiser_clip(sgd->model, sgd->clip, packet, &norm, &update.scale, error))
        return FALSE;
    for (guint i = 0; i < n; i++) {
        update.decay = weights[i].decayed ? sgd->weight_decay : 0;
        ((const LoomBackend *)backend->plugin)
            ->sgd(backend->self, &update, weights[i].value, weights[i].grad,
                  weights[i].moment[0]);
    }
    loom_packet_set(packet, "rate", loom_tensor_new_scalar(update.rate));
    loom_packet_set(packet, "gradient_norm", loom_tensor_new_scalar(norm));
    return TRUE;
}

static gboolean sgd_step_plan(gpointer self, LoomPlan *plan, G_GNUC_UNUSED GError **error)
{
    const SgdStep *sgd = self;

    plan->bytes += optimiser_bytes(sgd->model, 1);
    return TRUE;
}

static gboolean sgd_step_need(gpointer self, G_GNUC_UNUSED LoomPacket *sketch, LoomNeed *need,
                              G_GNUC_UNUSED GError **error)
{
    need->kept = optimiser_bytes(((const SgdStep *)self)->model, 1);
    return TRUE;
}

static const LoomStage sgd_step = {
    .base = LOOM_STAGE(SgdStep, "sgd_step", "Momentum SGD over the model's weights",
                       .params = sgd_step_params, .open = sgd_step_open),
    .writes = sgd_step_writes,
    .flags = LOOM_STAGE_STEP,
    .map = sgd_step_map,
    .plan = sgd_step_plan,
    .need = sgd_step_need,
};
LOOM_MODULE("stage_sgd_step", "0.1", &sgd_step.base);
