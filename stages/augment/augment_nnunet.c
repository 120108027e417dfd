/* augment_nnunet - the whole augmentation of nnU-Net v2, with its defaults and in its order:
 * rotate and scale, cut to the final patch, noise, blur, brightness, contrast, low resolution,
 * gamma of the inverted image, gamma, what was outside back to 0, mirror.
 * Each part is what the stage of that name does, with the keys that this one has; a chance of 0
 * switches it off.  Source: nnUNetTrainer.get_training_transforms, batchgeneratorsv2. */
#include "coarse.h"
#include "gaussian.h"
#include "intensity.h"
#include "mirror.h"
#include "outside.h"
#include "spatial.h"

typedef struct {
    Spatial spatial; /* first: SPATIAL_ROWS */
    double noise_chance, noise_max;
    double blur_chance, blur_low, blur_high;
    double brightness_chance, brightness_low, brightness_high;
    double contrast_chance, contrast_low, contrast_high;
    double low_resolution_chance, low_resolution_low, low_resolution_high;
    double gamma_inverted_chance, gamma_chance, gamma_low, gamma_high;
    double mirror_chance;
    char *mirror_axes;
    LoomInts mask;
} AugmentNnunet;

#define ROW(member, def, min, max, unit, help)                                                 \
    LOOM_FLOAT(AugmentNnunet, member, def, min, max, unit, help)
static const LoomParam augment_nnunet_params[] = {
    SPATIAL_ROWS,
    ROW(noise_chance, "0.1", 0, 1, NULL, "of Gaussian noise"),
    ROW(noise_max, "0.1", 0, 1e6, NULL, "largest standard deviation, in units of the image"),
    ROW(blur_chance, "0.2", 0, 1, NULL, "of blur; then each channel with 0.5"),
    ROW(blur_low, "0.5", 0, 10, "voxels", "smallest sigma"),
    ROW(blur_high, "1", 0, 10, "voxels", "largest sigma"),
    ROW(brightness_chance, "0.15", 0, 1, NULL, "of a factor for each channel"),
    ROW(brightness_low, "0.75", 0, 1e6, NULL, "smallest factor"),
    ROW(brightness_high, "1.25", 0, 1e6, NULL, "largest factor"),
    ROW(contrast_chance, "0.15", 0, 1, NULL, "of a factor about each channel's mean"),
    ROW(contrast_low, "0.75", 0, 1e6, NULL, "smallest factor"),
    ROW(contrast_high, "1.25", 0, 1e6, NULL, "largest factor"),
    ROW(low_resolution_chance, "0.25", 0, 1, NULL,
        "of larger voxels; then each channel with 0.5"),
    ROW(low_resolution_low, "0.5", 0.01, 1, NULL, "smallest zoom"),
    ROW(low_resolution_high, "1", 0.01, 1, NULL, "largest zoom"),
    ROW(gamma_inverted_chance, "0.1", 0, 1, NULL, "of a power of the inverted image"),
    ROW(gamma_chance, "0.3", 0, 1, NULL, "of a power"),
    ROW(gamma_low, "0.7", 0.01, 100, NULL, "smallest power, of both"),
    ROW(gamma_high, "1.5", 0.01, 100, NULL, "largest power, of both"),
    LOOM_STRING(AugmentNnunet, mirror_axes, "DHW", "axes that may be mirrored: of D, H, W"),
    ROW(mirror_chance, "0.5", 0, 1, NULL, "of being mirrored, for each axis"),
    OUTSIDE_ROW(AugmentNnunet),
    {0},
};

#define CHANNEL_CHANCE 0.5 /* nnU-Net's, of blur and low resolution */

static const LoomSlot augment_nnunet_slots[] = {
    {"image", LOOM_F32, "CDHW", 0, "patch, normalised; 0 where nothing was loaded"},
    {"label", LOOM_U8, "DHW", LOOM_SLOT_OPTIONAL, "class of each voxel; 0 likewise"},
    {0},
};

static gboolean augment_nnunet_open(gpointer self, G_GNUC_UNUSED LoomHost *host, GError **error)
{
    const AugmentNnunet *it = self;
    const struct {
        const char *name;
        double low, high;
    } ranges[] = {
        {"blur", it->blur_low, it->blur_high},
        {"brightness", it->brightness_low, it->brightness_high},
        {"contrast", it->contrast_low, it->contrast_high},
        {"low_resolution", it->low_resolution_low, it->low_resolution_high},
        {"gamma", it->gamma_low, it->gamma_high},
    };

    for (guint i = 0; i < G_N_ELEMENTS(ranges); i++)
        if (ranges[i].low > ranges[i].high)
            return loom_fail(error, LOOM_ERROR_CONFIG,
                             "%s_low (%g) must not be above %s_high (%g)", ranges[i].name,
                             ranges[i].low, ranges[i].name, ranges[i].high);
    return spatial_check(&it->spatial, error)
           && mirror_check("mirror_axes", it->mirror_axes, error);
}

static gboolean augment_nnunet_plan(gpointer self, LoomPlan *plan, GError **error)
{
    return spatial_plan(self, plan, error);
}

static gboolean happens(LoomRng *rng, double chance)
{
    return loom_rng_uniform(rng, 0, 1) < chance;
}

/* In the order of nnU-Net, which is not that of the dice alone: noise is blurred, not added to
 * a blurred image. */
static gboolean intensities_apply(const AugmentNnunet *it, LoomTensor *image, LoomRng *rng,
                                  GError **error)
{
    if (happens(rng, it->noise_chance))
        intensity_noise(image, it->noise_max, rng);
    if (happens(rng, it->blur_chance)
        && !gaussian_apply(image, it->blur_low, it->blur_high, CHANNEL_CHANCE, rng, error))
        return FALSE;
    if (happens(rng, it->brightness_chance))
        intensity_scale(image, it->brightness_low, it->brightness_high, TRUE, rng);
    if (happens(rng, it->contrast_chance))
        intensity_contrast(image, it->contrast_low, it->contrast_high, rng);
    if (happens(rng, it->low_resolution_chance)
        && !coarse_apply(image, it->low_resolution_low, it->low_resolution_high, CHANNEL_CHANCE,
                         spatial_slices_of(&it->spatial), rng, error))
        return FALSE;
    if (happens(rng, it->gamma_inverted_chance))
        intensity_gamma(image, it->gamma_low, it->gamma_high, TRUE, rng);
    if (happens(rng, it->gamma_chance))
        intensity_gamma(image, it->gamma_low, it->gamma_high, FALSE, rng);
    return TRUE;
}

static gboolean augment_nnunet_map(gpointer self, LoomPacket *packet, LoomContext *ctx,
                                   GError **error)
{
    const AugmentNnunet *it = self;
    LoomRng rng = loom_context_rng(ctx);
    g_autoptr(LoomTensor) before = NULL;

    if (!spatial_apply(&it->spatial, packet, &rng, error))
        return FALSE;
    LoomTensor *image = loom_packet_edit(packet, "image", error);
    if (!image || !outside_keep(&it->mask, image, &before, error)
        || !intensities_apply(it, image, &rng, error))
        return FALSE;
    /* before mirroring, which moves voxels and changes none */
    outside_restore(&it->mask, before, image);
    return mirror_apply(packet, it->mirror_axes, it->mirror_chance, &rng, error);
}

static const LoomStage augment_nnunet = {
    .base = LOOM_STAGE(AugmentNnunet, "augment_nnunet",
                       "All of nnU-Net's augmentation, in its order",
                       .params = augment_nnunet_params, .open = augment_nnunet_open),
    .reads = augment_nnunet_slots,
    .writes = augment_nnunet_slots,
    .flags = LOOM_STAGE_PURE,
    .map = augment_nnunet_map,
    .plan = augment_nnunet_plan,
};
LOOM_MODULE("stage_augment_nnunet", "0.1", &augment_nnunet.base);
