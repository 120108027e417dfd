/* unet3d_plan - the calls of the backend for inputs of one shape, and how long each activation
 * and gradient is needed.
 *
 * A step has three moments: it reads what backward needs of y and x; it begins to write; it is
 * done.  An activation of inference is needed until its last reader is done, one of training
 * until backward has read it: gradients move into activations, those of the same step too.
 * With checkpointing only what leaves a level is kept between the passes; the rest is made once
 * more from there when backward asks for it.  Source: Chen et al. 2016 (recomputation). */
#include "unet3d_plan.h"

#include "unet3d_place.h"

#include <string.h>

static const LoomBackend *backend_of(const LoomInstance *backend)
{
    return (const LoomBackend *)backend->plugin;
}

/* A plan while it is made: where the output of each layer and its gradient are to be found. */
typedef struct {
    UnetPlan *plan;
    const UnetDesign *design;
    const UnetLayers *layers;
    guint y[UNET_MAX_LAYERS], dy[UNET_MAX_LAYERS];
} Draft;

enum { READING, WRITING, DONE, MOMENTS };

/* ---- places --------------------------------------------------------------------------- */

/* A moment of the step that is added next. */
static guint moment(const Draft *draft, guint which)
{
    return draft->plan->n_steps * MOMENTS + which;
}

static guint place_new(Draft *draft, const gint64 shape[5], guint first)
{
    UnetPlan *plan = draft->plan;
    UnetPlace *place = &plan->places[plan->n_places];

    g_assert(plan->n_places < UNET_MAX_PLACES);
    *place = (UnetPlace){.first = first, .last = first};
    memcpy(place->shape, shape, sizeof place->shape);
    return plan->n_places++;
}

static void place_use(Draft *draft, guint place, guint last)
{
    if (place != UNET_NO_PLACE)
        draft->plan->places[place].last = MAX(draft->plan->places[place].last, last);
}

/* For the output of layer @i, or its gradient. */
static guint place_of_layer(Draft *draft, guint i, guint first)
{
    const LoomBlockSpec *spec = &draft->plan->layers[i].spec;
    const gint64 shape[5] = {spec->n, spec->c_out, spec->out[0], spec->out[1], spec->out[2]};

    return place_new(draft, shape, first);
}

/* Where input @k of layer @i lies. */
static guint place_of_input(const Draft *draft, guint i, guint k)
{
    const int x = draft->layers->v[i].x[k];

    return x == UNET_NOTHING ? UNET_NO_PLACE
           : x == UNET_IMAGE ? draft->plan->image
                             : draft->y[x];
}

/* ---- steps ---------------------------------------------------------------------------- */

static UnetPlanStep *step_add(Draft *draft, guint i, gboolean backward)
{
    UnetPlanStep *step = &draft->plan->steps[draft->plan->n_steps];

    g_assert(draft->plan->n_steps < UNET_MAX_STEPS);
    *step = (UnetPlanStep){.backward = backward,
                           .layer = i,
                           .x = {place_of_input(draft, i, 0), place_of_input(draft, i, 1)},
                           .y = draft->y[i],
                           .dy = draft->dy[i],
                           .dx = {UNET_NO_PLACE, UNET_NO_PLACE}};
    return step;
}

static void add_forward(Draft *draft, guint i)
{
    UnetPlanStep *step = step_add(draft, i, FALSE);

    step->y = draft->y[i] = place_of_layer(draft, i, moment(draft, READING));
    for (guint k = 0; k < 2; k++)
        place_use(draft, step->x[k], moment(draft, DONE));
    place_use(draft, step->y, moment(draft, DONE));
    draft->plan->n_steps++;
}

/* Makes the output of layer @i, and what that takes, where it is not there any more. */
static void add_missing(Draft *draft, int i)
{
    if (i < 0 || draft->y[i] != UNET_NO_PLACE)
        return;
    for (guint k = 0; k < 2; k++)
        add_missing(draft, draft->layers->v[i].x[k]);
    add_forward(draft, (guint)i);
}

static void add_backward(Draft *draft, guint i)
{
    const UnetLayer *layer = &draft->layers->v[i];
    const gboolean plain = !layer->norm && !layer->activation; /* y is not read */
    UnetPlanStep *step;

    for (guint k = 0; k < 2; k++)
        add_missing(draft, layer->x[k]);
    if (layer->head != UNET_NO_HEAD) /* what the loss says is imported */
        draft->dy[i] = place_of_layer(draft, i, moment(draft, READING));
    g_assert(draft->dy[i] != UNET_NO_PLACE); /* somebody reads every layer that is no head */
    step = step_add(draft, i, TRUE);
    for (guint k = 0; k < 2; k++) {
        const int x = layer->x[k];

        place_use(draft, step->x[k], moment(draft, layer->transposed ? DONE : READING));
        if (x < 0)
            continue; /* the image needs no gradient */
        step->dx_adds[k] = draft->dy[x] != UNET_NO_PLACE;
        if (!step->dx_adds[k])
            draft->dy[x] = place_of_layer(draft, (guint)x, moment(draft, WRITING));
        step->dx[k] = draft->dy[x];
        place_use(draft, step->dx[k], moment(draft, DONE));
    }
    if (!plain)
        place_use(draft, step->y, moment(draft, READING));
    place_use(draft, step->dy, moment(draft, DONE));
    draft->plan->n_steps++;
}

/* What is not kept between the passes: all that does not leave its level, but for what backward
 * would ask for first. */
static void forget(Draft *draft)
{
    guint last = draft->layers->n - 1;

    while (draft->layers->v[last].head != UNET_NO_HEAD)
        last--;
    for (guint i = 0; i < last; i++) {
        const UnetLayer *layer = &draft->layers->v[i];

        if (!layer->leaves && layer->head == UNET_NO_HEAD
            && draft->layers->v[last].x[0] != (int)i)
            draft->y[i] = UNET_NO_PLACE;
    }
}

static void add_steps(Draft *draft)
{
    UnetPlan *plan = draft->plan;
    const gint64 image[5] = {plan->key.n, draft->design->in_channels, plan->key.size[0],
                             plan->key.size[1], plan->key.size[2]};

    plan->image = place_new(draft, image, 0);
    for (guint i = 0; i < plan->n_layers; i++)
        if (plan->layers[i].used)
            add_forward(draft, i);
    plan->n_forward = plan->n_steps;
    if (!plan->key.training)
        return;
    if (draft->design->checkpointing)
        forget(draft);
    for (guint i = plan->n_layers; i-- > 0;)
        if (plan->layers[i].used)
            add_backward(draft, i);
}

/* ---- the plan ------------------------------------------------------------------------- */

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

UnetPlan *unet_plan_layout(const UnetDesign *design, const UnetLayers *layers,
                           const UnetPlanKey *key, const LoomInstance *backend)
{
    UnetPlan *plan = g_new0(UnetPlan, 1);
    Draft draft = {.plan = plan, .design = design, .layers = layers};

    plan->key = *key;
    plan->n_layers = layers->n;
    for (guint i = 0; i < layers->n; i++) {
        const UnetLayer *layer = &layers->v[i];

        plan->layers[i].used = layer->head == UNET_NO_HEAD || layer->head < key->n_logits;
        plan->layers[i].spec = spec_of(design, layer, key);
        draft.y[i] = draft.dy[i] = UNET_NO_PLACE;
    }
    add_steps(&draft);
    for (guint i = 0; i < plan->n_places; i++)
        plan->places[i].bytes =
            backend_of(backend)->map_bytes(backend->self, plan->places[i].shape);
    plan->arena_bytes = unet_places_lay(plan->places, plan->n_places);
    return plan;
}

guint64 unet_plan_bytes(const UnetPlan *plan, const LoomInstance *backend)
{
    const LoomBackend *device = backend_of(backend);
    guint64 bytes = 0, workspace = 0;

    for (guint i = 0; i < plan->n_places && !device->arena_new; i++)
        bytes += plan->places[i].bytes;
    for (guint i = 0; i < plan->n_layers; i++) {
        const LoomBlockSpec *spec = &plan->layers[i].spec;

        if (!plan->layers[i].used)
            continue;
        bytes += device->block_bytes(backend->self, spec);
        if (device->block_workspace)
            workspace = MAX(workspace, device->block_workspace(backend->self, spec));
    }
    return bytes + workspace + (device->arena_new ? plan->arena_bytes : 0);
}

gboolean unet_plan_allocate(UnetPlan *plan, const LoomInstance *backend, GError **error)
{
    const LoomBackend *device = backend_of(backend);

    if (device->arena_new
        && !(plan->arena = device->arena_new(backend->self, plan->arena_bytes, error)))
        return FALSE;
    for (guint i = 0; i < plan->n_places; i++) {
        UnetPlace *place = &plan->places[i];

        place->map = plan->arena ? device->arena_map(backend->self, plan->arena, place->offset,
                                                     place->shape, error)
                                 : device->map_new(backend->self, place->shape, error);
        if (!place->map)
            return FALSE;
    }
    for (guint i = 0; i < plan->n_layers; i++) {
        UnetPlanLayer *layer = &plan->layers[i];

        if (layer->used
            && !(layer->block = device->block_new(backend->self, &layer->spec, error)))
            return FALSE;
    }
    return TRUE;
}

void unet_plan_free(UnetPlan *plan, const LoomInstance *backend)
{
    const LoomBackend *device = backend_of(backend);

    for (guint i = 0; i < plan->n_layers; i++)
        if (plan->layers[i].block)
            device->block_free(backend->self, plan->layers[i].block);
    for (guint i = 0; i < plan->n_places; i++)
        if (plan->places[i].map)
            device->map_free(backend->self, plan->places[i].map);
    if (plan->arena)
        device->arena_free(backend->self, plan->arena);
    g_free(plan);
}
