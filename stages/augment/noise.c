/* noise - additive Gaussian noise, by chance:
 *   y = x + s e,  e ~ N(0, 1) for each voxel, s ~ U(0, max) once a packet, the same for all
 *   channels
 * Source: nnU-Net v2's defaults: chance 0.1, max 0.1 (on z-scored images; batchgenerators calls
 * it a variance and uses it as a deviation, and so do we). */
#include "intensity.h"
#include "outside.h"

typedef struct {
    double chance, max;
    LoomInts mask;
} Noise;

static const LoomParam noise_params[] = {
    LOOM_FLOAT(Noise, chance, "0.1", 0, 1, NULL, "of any noise at all"),
    LOOM_FLOAT(Noise, max, "0.1", 0, 1e6, NULL,
               "largest standard deviation, in units of the image"),
    OUTSIDE_ROW(Noise),
    {0},
};

static const LoomSlot noise_image[] = {
    {"image", LOOM_F32, "CDHW", 0, "image"},
    {0},
};

static gboolean noise_map(gpointer self, LoomPacket *packet, LoomContext *ctx, GError **error)
{
    const Noise *noise = self;
    LoomRng rng = loom_context_rng(ctx);
    g_autoptr(LoomTensor) before = NULL;

    if (loom_rng_uniform(&rng, 0, 1) >= noise->chance)
        return TRUE;
    LoomTensor *image = loom_packet_edit(packet, "image", error);
    if (!image || !outside_keep(&noise->mask, image, &before, error))
        return FALSE;
    intensity_noise(image, noise->max, &rng);
    outside_restore(&noise->mask, before, image);
    return TRUE;
}

static const LoomStage noise = {
    .base = LOOM_STAGE(Noise, "noise", "Additive Gaussian noise, by chance",
                       .params = noise_params),
    .reads = noise_image,
    .writes = noise_image,
    .flags = LOOM_STAGE_PURE,
    .map = noise_map,
};
LOOM_MODULE("stage_noise", "0.1", &noise.base);
