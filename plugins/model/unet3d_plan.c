/* unet3d_plan - lays out activations and gradients by lifetime, once for each shape of input.
 *
 * A place is free again when the last reader of what lives in it is done.  Inference: after the
 * last layer that reads an activation.  Training: the backward pass walks the list from its
 * end; a layer that is done needs neither its output nor that output's gradient any more, so
 * the gradients of earlier layers move into the activations of later ones. */
#include "unet3d_plan.h"

#include <string.h>

static const LoomBackend *backend_of(const LoomInstance *backend)
{
    return (const LoomBackend *)backend->plugin;
}

/* A free place of that shape, or a new one. */
static guint take(UnetPlan *plan, const gint64 shape[5])
{
    guint i = 0;

    while (i < plan->n_places
           && (plan->places[i].taken
               || memcmp(plan->places[i].shape, shape, sizeof plan->places[i].shape) != 0))
        i++;
    if (i == plan->n_places) {
        g_assert(i < UNET_MAX_PLACES);
        plan->n_places++;
        memcpy(plan->places[i].shape, shape, sizeof plan->places[i].shape);
    }
    plan->places[i].taken = TRUE;
    return i;
}

static void release(UnetPlan *plan, guint place)
{
    g_assert(plan->places[place].taken);
    plan->places[place].taken = FALSE;
}

static void shape_of(const UnetPlanStep *step, gint64 shape[5])
{
    const LoomBlockSpec *spec = &step->spec;
    const gint64 y[5] = {spec->n, spec->c_out, spec->out[0], spec->out[1], spec->out[2]};

    memcpy(shape, y, sizeof y);
}

static LoomBlockSpec spec_of(const UnetDesign *design, const UnetLayer *layer,
                             const UnetPlanKey *key)
{
    LoomBlockSpec spec = {.n = key->n,
                          .c_in = {layer->c_in[0], layer->c_in[1]},
                          .c_out = layer->c_out,
                          .transposed = layer->transposed,
                          .norm = layer->norm,
                          .activation = layer->activation,
                          .training = key->training};

    for (guint a = 0; a < 3; a++) {
        spec.kernel[a] = layer->kernel[a];
        spec.stride[a] = layer->stride[a];
        spec.out[a] = key->size[a] / unet_design_stride(design, layer->level, a);
        spec.in[a] =
            layer->transposed ? spec.out[a] / layer->stride[a] : spec.out[a] * layer->stride[a];
    }
    return spec;
}

/* Index of the last used layer that reads what layer @made makes (UNET_IMAGE: the image). */
static int last_reader(const UnetPlan *plan, const UnetLayers *layers, int made)
{
    int last = made;

    for (guint i = 0; i < layers->n; i++)
        if (plan->steps[i].used && (layers->v[i].x[0] == made || layers->v[i].x[1] == made))
            last = (int)i;
    return last;
}

static void layout_forward(UnetPlan *plan, const UnetDesign *design, const UnetLayers *layers)
{
    const UnetPlanKey *key = &plan->key;
    const gint64 image[5] = {key->n, design->in_channels, key->size[0], key->size[1],
                             key->size[2]};
    gint64 shape[5];

    plan->image = take(plan, image);
    for (guint i = 0; i < layers->n; i++) {
        UnetPlanStep *step = &plan->steps[i];

        if (!step->used)
            continue;
        shape_of(step, shape);
        step->y = take(plan, shape);
        for (guint k = 0; k < 2; k++) {
            const int x = layers->v[i].x[k];

            step->x[k] = x == UNET_NOTHING ? UNET_NO_PLACE
                         : x == UNET_IMAGE ? plan->image
                                           : plan->steps[x].y;
            if (x != UNET_NOTHING && !key->training && last_reader(plan, layers, x) == (int)i)
                release(plan, step->x[k]);
        }
        if (!key->training && layers->v[i].head != UNET_NO_HEAD)
            release(plan, step->y); /* exported at once */
    }
}

static void layout_backward(UnetPlan *plan, const UnetLayers *layers)
{
    gboolean begun[UNET_MAX_LAYERS] = {FALSE}; /* the gradient of this layer's output */
    gint64 shape[5];

    for (guint i = layers->n; i-- > 0;) {
        UnetPlanStep *step = &plan->steps[i];

        if (!step->used)
            continue;
        if (layers->v[i].head != UNET_NO_HEAD) {
            shape_of(step, shape);
            step->dy = take(plan, shape);
        } else {
            g_assert(begun[i]); /* somebody reads every layer that is no head */
        }
        for (guint k = 0; k < 2; k++) {
            const int x = layers->v[i].x[k];

            step->dx[k] = UNET_NO_PLACE;
            if (x < 0)
                continue; /* the image needs no gradient */
            step->dx_adds[k] = begun[x];
            if (!begun[x]) {
                shape_of(&plan->steps[x], shape);
                plan->steps[x].dy = take(plan, shape);
                begun[x] = TRUE;
            }
            step->dx[k] = plan->steps[x].dy;
        }
        release(plan, step->dy);
        release(plan, step->y);
    }
}

UnetPlan *unet_plan_layout(const UnetDesign *design, const UnetLayers *layers,
                           const UnetPlanKey *key)
{
    UnetPlan *plan = g_new0(UnetPlan, 1);

    plan->key = *key;
    plan->n_steps = layers->n;
    for (guint i = 0; i < layers->n; i++) {
        const UnetLayer *layer = &layers->v[i];

        plan->steps[i].used = layer->head == UNET_NO_HEAD || layer->head < key->n_logits;
        plan->steps[i].spec = spec_of(design, layer, key);
    }
    layout_forward(plan, design, layers);
    if (key->training)
        layout_backward(plan, layers);
    return plan;
}

guint64 unet_plan_bytes(const UnetPlan *plan, const LoomInstance *backend)
{
    const LoomBackend *device = backend_of(backend);
    guint64 bytes = 0, workspace = 0;

    for (guint i = 0; i < plan->n_places; i++)
        bytes += device->map_bytes(backend->self, plan->places[i].shape);
    for (guint i = 0; i < plan->n_steps; i++) {
        const LoomBlockSpec *spec = &plan->steps[i].spec;

        if (!plan->steps[i].used)
            continue;
        bytes += device->block_bytes(backend->self, spec);
        if (device->block_workspace)
            workspace = MAX(workspace, device->block_workspace(backend->self, spec));
    }
    return bytes + workspace;
}

gboolean unet_plan_allocate(UnetPlan *plan, const LoomInstance *backend, GError **error)
{
    const LoomBackend *device = backend_of(backend);

    for (guint i = 0; i < plan->n_places; i++) {
        UnetPlace *place = &plan->places[i];

        if (!(place->map = device->map_new(backend->self, place->shape, error)))
            return FALSE;
    }
    for (guint i = 0; i < plan->n_steps; i++) {
        UnetPlanStep *step = &plan->steps[i];

        if (step->used && !(step->block = device->block_new(backend->self, &step->spec, error)))
            return FALSE;
    }
    return TRUE;
}

void unet_plan_free(UnetPlan *plan, const LoomInstance *backend)
{
    const LoomBackend *device = backend_of(backend);

    for (guint i = 0; i < plan->n_steps; i++)
        if (plan->steps[i].block)
            device->block_free(backend->self, plan->steps[i].block);
    for (guint i = 0; i < plan->n_places; i++)
        if (plan->places[i].map)
            device->map_free(backend->self, plan->places[i].map);
    g_free(plan);
}
