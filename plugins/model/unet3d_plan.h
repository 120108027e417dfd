/* unet3d_plan.h - all memory and all prepared operations for inputs of one shape. */
#pragma once

#include "unet3d_layers.h"

typedef struct {
    gint64 n, size[3]; /* samples; D, H, W */
    guint n_logits;    /* heads that take part: the finest ones */
    gboolean training;
} UnetPlanKey;

/* An activation or a gradient: how long it is needed, in moments of the plan, and where it lies
 * in the arena meanwhile. */
typedef struct {
    gint64 shape[5];
    guint first, last; /* both included */
    guint64 bytes, offset;
    LoomMap *map;
} UnetPlace;

/* One layer in this plan. */
typedef struct {
    gboolean used; /* FALSE: a head that nobody asked for */
    LoomBlockSpec spec;
    LoomBlock *block;
} UnetPlanLayer;

/* One call of the backend; numbers are indices of places, UNET_NO_PLACE where there is none. */
typedef struct {
    gboolean backward;
    guint layer;
    guint x[2], y;
    guint dy, dx[2];     /* of backward; dx: UNET_NO_PLACE is not wanted */
    gboolean dx_adds[2]; /* the input's gradient has a first part already */
} UnetPlanStep;

#define UNET_NO_PLACE G_MAXUINT
#define UNET_MAX_STEPS (3 * UNET_MAX_LAYERS) /* forward, once more, backward */
#define UNET_MAX_PLACES (3 * UNET_MAX_LAYERS + 1)

typedef struct {
    UnetPlanKey key;
    UnetPlanLayer layers[UNET_MAX_LAYERS];
    guint n_layers;
    UnetPlanStep steps[UNET_MAX_STEPS];
    guint n_steps, n_forward; /* of all; of the forward pass, which come first */
    UnetPlace places[UNET_MAX_PLACES];
    guint n_places, image;
    guint64 arena_bytes; /* that all places share */
    LoomArena *arena;
} UnetPlan;

/* Decides what is done in which order and who lives where; allocates nothing on the backend. */
UnetPlan *unet_plan_layout(const UnetDesign *design, const UnetLayers *layers,
                           const UnetPlanKey *key, const LoomInstance *backend);
/* What unet_plan_allocate will ask of the backend. */
guint64 unet_plan_bytes(const UnetPlan *plan, const LoomInstance *backend);
gboolean unet_plan_allocate(UnetPlan *plan, const LoomInstance *backend, GError **error);
void unet_plan_free(UnetPlan *plan, const LoomInstance *backend);
