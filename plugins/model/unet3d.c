/* unet3d - nnU-Net's plain 3-D U-Net: blocks of convolution, instance normalisation and leaky
 * ReLU, strided down, transposed convolutions up, skips between, a head at every decoder level.
 * Source: Ronneberger 2015, Cicek 2016; Isensee et al. 2021 (nnU-Net) for every detail. */
#include "unet3d_layers.h"
#include "unet3d_plan.h"
#include "unet3d_shape.h"
#include "unet3d_weights.h"

#include <string.h>

#define UNET_MAX_PLANS 4 /* training, validation, a smaller last batch */

typedef struct {
    gint64 in_channels, classes;
    LoomInts features, strides, kernels;
    gboolean deep_supervision;
    int checkpointing; /* index in checkpointings */

    const LoomInstance *backend;
    UnetDesign design;
    UnetLayers layers;
    UnetWeights weights;
    UnetPlan *plans[UNET_MAX_PLANS]; /* most recently used first, then NULL */
    guint64 generation;              /* forward passes so far */
    LoomGradientFunc watch;          /* NULL: nobody waits for gradients */
    gpointer watcher;
} Unet3d;

static const char *const checkpointings[] = {"none", "levels", NULL};

static const LoomParam unet3d_params[] = {
    LOOM_INT(Unet3d, in_channels, "1", 1, 256, NULL, "channels of the image: one a modality"),
    LOOM_INT(Unet3d, classes, NULL, 2, 255, NULL,
             "channels of the logits, background included"),
    LOOM_INTS(Unet3d, features, "[32, 64, 128, 256, 320]", 1, 4096, "channels",
              "one number a level, the finest first"),
    LOOM_INTS(Unet3d, strides, "[]", 1, 2, "voxels",
              "for each level below the first a number, or D, H, W; empty: 2 everywhere"),
    LOOM_INTS(Unet3d, kernels, "[]", 1, 3, "voxels",
              "for each level a number, or D, H, W, each 1 or 3; empty: 3 everywhere"),
    LOOM_BOOL(Unet3d, deep_supervision, "true", "train on logits at every decoder level"),
    LOOM_ENUM(Unet3d, checkpointing, "none", checkpointings,
              "levels: keep what leaves a level, compute the rest twice: less memory"),
    {0},
};

/* forward's receipt: which pass it was, and the plan that still holds its activations. */
struct _LoomTape {
    guint64 generation;
    UnetPlan *plan;
};

static const LoomBackend *unet3d_device(const Unet3d *unet)
{
    return (const LoomBackend *)unet->backend->plugin;
}

/* ---- open --------------------------------------------------------------------------- */

/* Spreads a number or a triple a level over rows[0 .. levels-1]; an empty list: @fallback. */
static gboolean spread(const LoomInts *list, guint levels, gint64 fallback, const char *name,
                       const char *which, gint64 (*rows)[3], GError **error)
{
    if (list->n != 0 && list->n != levels && list->n != 3 * levels)
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "'%s' has %u numbers, want none, %u (one for each level%s) or %u "
                         "(D, H, W for each)",
                         name, list->n, levels, which, 3 * levels);
    for (guint l = 0; l < levels; l++)
        for (guint a = 0; a < 3; a++)
            rows[l][a] = list->n == 0        ? fallback
                         : list->n == levels ? list->v[l]
                                             : list->v[3 * l + a];
    return TRUE;
}

static gboolean unet3d_design(Unet3d *unet, GError **error)
{
    UnetDesign *design = &unet->design;

    if (unet->features.n < 2 || unet->features.n > UNET_MAX_LEVELS)
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "'features' has %u levels, want 2 to %d: one number each",
                         unet->features.n, UNET_MAX_LEVELS);
    *design = (UnetDesign){.in_channels = unet->in_channels,
                           .classes = unet->classes,
                           .levels = unet->features.n,
                           .heads = unet->deep_supervision ? unet->features.n - 1 : 1,
                           .stride = {{1, 1, 1}},
                           .checkpointing = unet->checkpointing != 0};
    memcpy(design->features, unet->features.v, unet->features.n * sizeof *unet->features.v);
    if (!spread(&unet->strides, design->levels - 1, 2, "strides", " below the first",
                design->stride + 1, error)
        || !spread(&unet->kernels, design->levels, 3, "kernels", "", design->kernel, error))
        return FALSE;
    for (guint i = 0; i < unet->kernels.n; i++)
        if (unet->kernels.v[i] == 2)
            return loom_fail(error, LOOM_ERROR_CONFIG, "kernel size 2 found, want 1 or 3");
    return TRUE;
}

static gboolean unet3d_open(gpointer self, LoomHost *host, GError **error)
{
    Unet3d *unet = self;

    unet->backend = loom_host_backend(host);
    if (!unet3d_design(unet, error))
        return FALSE;
    unet_layers_make(&unet->design, &unet->layers);
    return unet_weights_make(&unet->weights, &unet->layers, unet->backend, loom_host_seed(host),
                             loom_host_id(host), error);
}

static void unet3d_close(gpointer self)
{
    Unet3d *unet = self;

    for (guint i = 0; i < UNET_MAX_PLANS && unet->plans[i]; i++)
        unet_plan_free(unet->plans[i], unet->backend);
    memset(unet->plans, 0, sizeof unet->plans);
    unet_weights_clear(&unet->weights, unet->backend);
}

/* ---- shapes ------------------------------------------------------------------------- */

static UnetPlanKey key_of(const gint64 ncdhw[5], guint n_logits, gboolean training)
{
    return (UnetPlanKey){.n = ncdhw[0],
                         .size = {ncdhw[2], ncdhw[3], ncdhw[4]},
                         .n_logits = n_logits,
                         .training = training};
}

static gboolean unet3d_fits(gpointer self, const gint64 ncdhw[5], gboolean training,
                            gint64 *classes, guint64 *bytes, GError **error)
{
    const Unet3d *unet = self;
    const UnetPlanKey key = key_of(ncdhw, training ? unet->design.heads : 1, training);

    if (!unet_shape_check(&unet->design, ncdhw, error))
        return FALSE;
    *classes = unet->classes;
    *bytes = unet_weights_bytes(&unet->weights, training);
    if (key.n && key.size[0] && key.size[1] && key.size[2]) {
        UnetPlan *plan = unet_plan_layout(&unet->design, &unet->layers, &key, unet->backend);

        *bytes += unet_plan_bytes(plan, unet->backend);
        unet_plan_free(plan, unet->backend);
    }
    return TRUE;
}

/* ---- there and back ----------------------------------------------------------------- */

static gboolean same_key(const UnetPlanKey *a, const UnetPlanKey *b)
{
    return a->n == b->n && a->size[0] == b->size[0] && a->size[1] == b->size[1]
           && a->size[2] == b->size[2] && a->n_logits == b->n_logits
           && a->training == b->training;
}

/* The plan for @key, made if there is none, in front of the others.  NULL with an error. */
static UnetPlan *unet3d_plan(Unet3d *unet, const UnetPlanKey *key, GError **error)
{
    UnetPlan *plan;
    guint i = 0;

    while (i < UNET_MAX_PLANS && unet->plans[i] && !same_key(&unet->plans[i]->key, key))
        i++;
    if (i < UNET_MAX_PLANS && unet->plans[i]) {
        plan = unet->plans[i];
    } else {
        if (i == UNET_MAX_PLANS) /* first give back, then ask */
            unet_plan_free(g_steal_pointer(&unet->plans[--i]), unet->backend);
        plan = unet_plan_layout(&unet->design, &unet->layers, key, unet->backend);
        if (!unet_plan_allocate(plan, unet->backend, error)) {
            unet_plan_free(plan, unet->backend);
            return NULL;
        }
    }
    memmove(unet->plans + 1, unet->plans, i * sizeof *unet->plans);
    return unet->plans[0] = plan;
}

static LoomMap *map_of(const UnetPlan *plan, guint place)
{
    return place == UNET_NO_PLACE ? NULL : plan->places[place].map;
}

static gboolean new_logits(const UnetPlan *plan, const UnetLayers *layers, LoomTensor **logits,
                           GError **error)
{
    for (guint i = 0; i < layers->n; i++) {
        const LoomBlockSpec *spec = &plan->layers[i].spec;
        const guint head = layers->v[i].head;
        const gint64 shape[5] = {spec->n, spec->c_out, spec->out[0], spec->out[1],
                                 spec->out[2]};

        if (head == UNET_NO_HEAD || !plan->layers[i].used)
            continue;
        if (!(logits[head] = loom_tensor_new(LOOM_F32, "NCDHW", shape, error)))
            return FALSE;
    }
    return TRUE;
}

static void step_forward(const Unet3d *unet, const UnetPlan *plan, const UnetPlanStep *step)
{
    const LoomMap *const x[2] = {map_of(plan, step->x[0]), map_of(plan, step->x[1])};

    unet3d_device(unet)->forward(unet->backend->self, plan->layers[step->layer].block, x,
                                 &unet->weights.value[step->layer], map_of(plan, step->y));
}

static void run_forward(const Unet3d *unet, const UnetPlan *plan, const LoomTensor *image,
                        LoomTensor **logits)
{
    const LoomBackend *device = unet3d_device(unet);
    gpointer backend = unet->backend->self;

    device->map_import(backend, image, map_of(plan, plan->image));
    for (guint i = 0; i < plan->n_forward; i++) {
        const UnetPlanStep *step = &plan->steps[i];
        const guint head = unet->layers.v[step->layer].head;

        step_forward(unet, plan, step);
        if (head != UNET_NO_HEAD)
            device->map_export(backend, map_of(plan, step->y), logits[head]);
    }
}

static gboolean unet3d_forward(gpointer self, const LoomTensor *image, LoomTensor **logits,
                               guint n_logits, LoomTape **tape, GError **error)
{
    Unet3d *unet = self;
    UnetPlanKey key;
    UnetPlan *plan;

    g_assert(n_logits >= 1 && n_logits <= unet->design.heads);
    memset(logits, 0, n_logits * sizeof *logits);
    if (!loom_tensor_check(image, LOOM_F32, "NCDHW", "image", error)
        || !unet_shape_check(&unet->design, loom_tensor_shape(image), error))
        return FALSE;
    unet->generation++; /* whatever comes, older tapes are void */
    key = key_of(loom_tensor_shape(image), n_logits, tape != NULL);
    if (key.training
        && !unet_weights_train(&unet->weights, &unet->layers, unet->backend, error))
        return FALSE;
    if (!(plan = unet3d_plan(unet, &key, error)))
        return FALSE;
    if (!new_logits(plan, &unet->layers, logits, error)) {
        for (guint i = 0; i < n_logits; i++)
            g_clear_pointer(&logits[i], loom_tensor_unref);
        return FALSE;
    }
    run_forward(unet, plan, image, logits);
    if (tape) {
        *tape = g_new(LoomTape, 1);
        **tape = (LoomTape){unet->generation, plan};
    }
    return TRUE;
}

static void unet3d_tape_free(G_GNUC_UNUSED gpointer self, LoomTape *tape)
{
    g_free(tape);
}

/* The gradients of layer @layer are complete; @end: behind its last weight.  Returns: where its
 * first one lies. */
static guint layer_done(const Unet3d *unet, guint layer, guint end)
{
    const guint n = unet->layers.v[layer].norm ? 4 : 2; /* kernel, bias, scale, shift */

    for (guint i = end; unet->watch && i > end - n; i--)
        unet->watch(i - 1, unet->watcher);
    return end - n;
}

static void step_backward(const Unet3d *unet, const UnetPlan *plan, const UnetPlanStep *step,
                          const LoomTensor *const *dlogits)
{
    const LoomBackend *device = unet3d_device(unet);
    const guint i = step->layer, head = unet->layers.v[i].head;
    const LoomMap *const x[2] = {map_of(plan, step->x[0]), map_of(plan, step->x[1])};
    const LoomBlockGradient dx[2] = {{map_of(plan, step->dx[0]), step->dx_adds[0]},
                                     {map_of(plan, step->dx[1]), step->dx_adds[1]}};

    if (head != UNET_NO_HEAD)
        device->map_import(unet->backend->self, dlogits[head], map_of(plan, step->dy));
    device->backward(unet->backend->self, plan->layers[i].block, x, &unet->weights.value[i],
                     map_of(plan, step->y), map_of(plan, step->dy), dx, &unet->weights.grad[i]);
}

static void run_backward(const Unet3d *unet, const UnetPlan *plan,
                         const LoomTensor *const *dlogits)
{
    guint layer = plan->n_layers, end = unet->weights.n;

    for (guint i = plan->n_forward; i < plan->n_steps; i++) {
        const UnetPlanStep *step = &plan->steps[i];

        if (!step->backward) {
            step_forward(unet, plan, step);
            continue;
        }
        step_backward(unet, plan, step, dlogits);
        while (layer > step->layer) /* heads that nobody asked for too */
            end = layer_done(unet, --layer, end);
    }
}

static gboolean check_dlogits(const Unet3d *unet, const UnetPlan *plan,
                              const LoomTensor *const *dlogits, guint n_logits, GError **error)
{
    if (n_logits != plan->key.n_logits)
        return loom_fail(error, LOOM_ERROR_SHAPE, "%u gradients for %u logits", n_logits,
                         plan->key.n_logits);
    for (guint i = 0; i < plan->n_forward; i++) {
        const UnetPlace *place = &plan->places[plan->steps[i].y];
        const guint head = unet->layers.v[plan->steps[i].layer].head;

        if (head == UNET_NO_HEAD)
            continue;
        if (!loom_tensor_check(dlogits[head], LOOM_F32, "NCDHW", "dlogits", error))
            return FALSE;
        if (memcmp(loom_tensor_shape(dlogits[head]), place->shape, sizeof place->shape) != 0) {
            g_autofree char *found = loom_tensor_describe(dlogits[head]);

            return loom_fail(error, LOOM_ERROR_SHAPE,
                             "'dlogits' %u is %s, its logits have another shape", head, found);
        }
    }
    return TRUE;
}

static gboolean unet3d_backward(gpointer self, LoomTape *tape, const LoomTensor *const *dlogits,
                                guint n_logits, GError **error)
{
    const Unet3d *unet = self;
    const LoomTape receipt = *tape;

    unet3d_tape_free(self, tape); /* consumed, whatever comes */
    if (receipt.generation != unet->generation)
        return loom_fail(error, LOOM_ERROR_PLUGIN,
                         "the activations of this tape are gone: another forward pass ran "
                         "between forward and backward");
    if (!check_dlogits(unet, receipt.plan, dlogits, n_logits, error))
        return FALSE;
    run_backward(unet, receipt.plan, dlogits);
    return TRUE;
}

/* ---- what others ask ---------------------------------------------------------------- */

static guint unet3d_outputs(gpointer self)
{
    const Unet3d *unet = self;

    return unet->design.heads;
}

static LoomWeight *unet3d_weights(gpointer self, guint *n)
{
    const Unet3d *unet = self;

    *n = unet->weights.n;
    return unet->weights.v;
}

static const LoomInstance *unet3d_backend(gpointer self)
{
    const Unet3d *unet = self;

    return unet->backend;
}

static void unet3d_watch(gpointer self, LoomGradientFunc func, gpointer data)
{
    Unet3d *unet = self;

    unet->watch = func;
    unet->watcher = data;
}

static const LoomModel unet3d = {
    .base = LOOM_MODEL(Unet3d, "unet3d", "nnU-Net's plain 3-D U-Net", .params = unet3d_params,
                       .open = unet3d_open, .close = unet3d_close),
    .outputs = unet3d_outputs,
    .forward = unet3d_forward,
    .backward = unet3d_backward,
    .tape_free = unet3d_tape_free,
    .weights = unet3d_weights,
    .backend = unet3d_backend,
    .fits = unet3d_fits,
    .watch = unet3d_watch,
};
LOOM_MODULE("model_unet3d", "0.1", &unet3d.base);
