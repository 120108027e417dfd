/* unet3d_plan.h - all memory and all prepared operations for inputs of one shape. */
#pragma once

#include "unet3d_layers.h"

typedef struct {
    gint64 n, size[3]; /* samples; D, H, W */
    guint n_logits;    /* heads that take part: the finest ones */
    gboolean training;
} UnetPlanKey;

/* A map of the plan; several activations and gradients live in it, one after the other. */
typedef struct {
    gint64 shape[5];
    LoomMap *map;
    gboolean taken; /* while the layout is made */
} UnetPlace;

/* One layer in this plan; numbers are indices of places. */
typedef struct {
    gboolean used; /* FALSE: a head that nobody asked for */
    LoomBlockSpec spec;
    LoomBlock *block;
    guint x[2], y;       /* x: UNET_NO_PLACE where the layer has no such input */
    guint dy, dx[2];     /* training only; dx: UNET_NO_PLACE is not wanted */
    gboolean dx_adds[2]; /* the input's gradient has a first part already */
} UnetPlanStep;

#define UNET_NO_PLACE G_MAXUINT
#define UNET_MAX_PLACES (2 * UNET_MAX_LAYERS + 1)

typedef struct {
    UnetPlanKey key;
    UnetPlace places[UNET_MAX_PLACES];
    guint n_places, image;
    UnetPlanStep steps[UNET_MAX_LAYERS]; /* one a layer */
    guint n_steps;
} UnetPlan;

/* Decides who lives where; allocates nothing on the backend. */
UnetPlan *unet_plan_layout(const UnetDesign *design, const UnetLayers *layers,
                           const UnetPlanKey *key);
/* What unet_plan_allocate will ask of the backend. */
guint64 unet_plan_bytes(const UnetPlan *plan, const LoomInstance *backend);
gboolean unet_plan_allocate(UnetPlan *plan, const LoomInstance *backend, GError **error);
void unet_plan_free(UnetPlan *plan, const LoomInstance *backend);
