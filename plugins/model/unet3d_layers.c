/* unet3d_layers - nnU-Net's plain U-Net, from top to bottom:
 *   down: two blocks a level, the first of each deeper level strided
 *   up:   transposed convolution (kernel = stride), two blocks over (up, skip), a 1x1x1 head
 * A block is convolution + bias, instance normalisation, leaky ReLU.
 * Source: Isensee et al. 2021 (nnU-Net), PlainConvUNet of dynamic-network-architectures. */
#include "unet3d_layers.h"

#include <string.h>

static const gint64 ones[3] = {1, 1, 1};

gint64 unet_design_stride(const UnetDesign *design, guint level, guint axis)
{
    gint64 product = 1;

    for (guint l = 1; l <= level; l++)
        product *= design->stride[l][axis];
    return product;
}

/* Appends a layer that reads @x and, unless that is UNET_NOTHING, @skip.  Returns its index. */
static int add(UnetLayers *layers, const UnetDesign *design, int x, int skip, guint level,
               gint64 c_out)
{
    UnetLayer *layer = &layers->v[layers->n];

    g_assert(layers->n < UNET_MAX_LAYERS);
    *layer = (UnetLayer){.x = {x, skip}, .level = level, .head = UNET_NO_HEAD, .c_out = c_out};
    layer->c_in[0] = x == UNET_IMAGE ? design->in_channels : layers->v[x].c_out;
    layer->c_in[1] = skip == UNET_NOTHING ? 0 : layers->v[skip].c_out;
    return (int)layers->n++;
}

static int add_block(UnetLayers *layers, const UnetDesign *design, const char *side,
                     guint index, int x, int skip, guint level, const gint64 stride[3])
{
    const int at = add(layers, design, x, skip, level, design->features[level]);
    UnetLayer *layer = &layers->v[at];

    g_snprintf(layer->name, sizeof layer->name, "%s.%u.%u", side, level, index);
    memcpy(layer->kernel, design->kernel[level], sizeof layer->kernel);
    memcpy(layer->stride, stride, sizeof layer->stride);
    layer->norm = layer->activation = TRUE;
    return at;
}

static int add_up(UnetLayers *layers, const UnetDesign *design, int x, guint level)
{
    const int at = add(layers, design, x, UNET_NOTHING, level, design->features[level]);
    UnetLayer *layer = &layers->v[at];

    g_snprintf(layer->name, sizeof layer->name, "up.%u", level);
    memcpy(layer->kernel, design->stride[level + 1], sizeof layer->kernel);
    memcpy(layer->stride, design->stride[level + 1], sizeof layer->stride);
    layer->transposed = TRUE;
    return at;
}

static void add_head(UnetLayers *layers, const UnetDesign *design, int x, guint level)
{
    UnetLayer *layer = &layers->v[add(layers, design, x, UNET_NOTHING, level, design->classes)];

    g_snprintf(layer->name, sizeof layer->name, "head.%u", level);
    memcpy(layer->kernel, ones, sizeof ones);
    memcpy(layer->stride, ones, sizeof ones);
    layer->head = level;
}

void unet_layers_make(const UnetDesign *design, UnetLayers *layers)
{
    const guint deepest = design->levels - 1;
    int skip[UNET_MAX_LEVELS]; /* the layer whose output leaves each level */
    int x = UNET_IMAGE;

    layers->n = 0;
    for (guint level = 0; level <= deepest; level++) {
        x = add_block(layers, design, "encoder", 0, x, UNET_NOTHING, level,
                      design->stride[level]);
        x = add_block(layers, design, "encoder", 1, x, UNET_NOTHING, level, ones);
        layers->v[x].leaves = TRUE;
        skip[level] = x;
    }
    for (guint level = deepest; level-- > 0;) {
        x = add_up(layers, design, x, level);
        x = add_block(layers, design, "decoder", 0, x, skip[level], level, ones);
        x = add_block(layers, design, "decoder", 1, x, UNET_NOTHING, level, ones);
        layers->v[x].leaves = TRUE;
        if (level < design->heads)
            add_head(layers, design, x, level);
    }
}
