/* unet3d_layers.h - the network as a list of layers, in the order of the forward pass. */
#pragma once

#include <loom/loom.h>

/* A head for every level but the deepest; two blocks down, two up, a way up and a head each. */
#define UNET_MAX_LEVELS (LOOM_MODEL_MAX_OUTPUTS + 1)
#define UNET_MAX_LAYERS (6 * UNET_MAX_LEVELS)
#define UNET_NO_HEAD G_MAXUINT

/* What the parameters ask for; level 0 is the finest. */
typedef struct {
    gint64 in_channels, classes;
    guint levels, heads;
    gint64 features[UNET_MAX_LEVELS];
    gint64 kernel[UNET_MAX_LEVELS][3];
    gint64 stride[UNET_MAX_LEVELS][3]; /* from the level above; of level 0: 1, 1, 1 */
    gboolean checkpointing;            /* between the passes: only what leaves a level */
} UnetDesign;

/* Where an input of a layer comes from. */
enum { UNET_NOTHING = -2, UNET_IMAGE = -1 }; /* else: index of the layer that makes it */

typedef struct {
    char name[24]; /* "encoder.0.1"; its weights are "encoder.0.1.kernel", ... */
    int x[2];
    guint level; /* of the output */
    guint head;  /* which logits the output is; UNET_NO_HEAD: none */
    gint64 c_in[2], c_out;
    gint64 kernel[3], stride[3];
    gboolean transposed, norm, activation;
    gboolean leaves; /* other levels or a head read the output */
} UnetLayer;

typedef struct {
    UnetLayer v[UNET_MAX_LAYERS];
    guint n;
} UnetLayers;

/* Strides of a level's voxels against the image's, along one axis. */
gint64 unet_design_stride(const UnetDesign *design, guint level, guint axis);
void unet_layers_make(const UnetDesign *design, UnetLayers *layers);
