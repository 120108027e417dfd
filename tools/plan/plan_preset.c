/* plan_preset - three recipes.
 *
 * nnunet: the defaults of nnU-Net 2, on 8 GB.  Source: Isensee et al. 2021 and its code.
 * cpu-small: the same rules for a processor: half the channels, a limit in seconds a step, and
 *   AdamW, which needs fewer steps.
 * paper: what is known of the recipe behind the Mixed Focal loss: MIScnn's U-Net and its KiTS19
 *   example (Mueller, Kramer 2021), SGD as in the first author's notebook.  Source: Yeung et
 * al. 2021. */
#include "plan_preset.h"

#include "config/yaml.h"

#include <loom/plugin.h>

#define GIB (1024.0 * 1024 * 1024)

const PlanPreset plan_presets[] = {
    {
        .name = "nnunet",
        .summary = "nnU-Net's defaults: 250,000 steps of a network for 8 GiB",
        .base = 32,
        .widest = 320,
        .max_levels = 9,
        .supervised = TRUE,
        .elements = 560e6,
        .elements_memory = 8 * GIB,
        .covered = 0.05,
        .most_batch = 100000,
        .foreground = 0.33,
        .mirror = "DHW",
        .mirror_why = "leave one out where its two sides differ",
        .optimiser =
            "use: sgd_step, rate: 1.0e-2, decay: poly, momentum: 0.99, nesterov: true, "
            "weight_decay: 3.0e-5, clip: 12",
        .optimiser_why = "nnU-Net's; the rate falls as (1 - step / steps)^0.9",
        .loss = "{use: dice_cross_entropy, batch: false}",
        .loss_why = "nnU-Net's: Dice of each sample + cross entropy",
        .loss_pooled = "{use: dice_cross_entropy}",
        .steps = 250000,
    },
    {
        .name = "cpu-small",
        .summary = "a smaller network, a second a step, 20 minutes on this machine",
        .base = 16,
        .widest = 128,
        .max_levels = 5,
        .supervised = TRUE,
        .memory = 4 * GIB,
        .seconds = 1,
        .covered = 0.05,
        .most_batch = 9,
        .foreground = 0.33,
        .mirror = "W",
        .mirror_why = "left and right are alike; nnU-Net: DHW",
        .optimiser =
            "use: adam_step, rate: 2.0e-3, decay: poly, weight_decay: 1.0e-2, clip: 12",
        .optimiser_why = "AdamW needs fewer steps than SGD; the rate falls to 0",
        .loss = "{use: dice_cross_entropy}",
        .loss_why = "Dice over the batch + cross entropy",
        .minutes = 20,
        .least_steps = 500,
        .most_steps = 10000,
    },
    {
        .name = "paper",
        .summary = "the Mixed Focal paper's recipe, as far as it is known (MIScnn, KiTS19)",
        .shape = PRESET_FIXED,
        .base = 32,
        .widest = 512,
        .max_levels = 5,
        .covered = 1,
        .most_batch = 2,
        .augment =
            "rotation: [15], rotation_chance: 0.15, scale_low: 0.85, scale_high: 1.25, "
            "scale_chance: 0.15, brightness_low: 0.5, brightness_high: 2, noise_chance: 0, "
            "blur_chance: 0, contrast_chance: 0, low_resolution_chance: 0, "
            "gamma_chance: 0, gamma_inverted_chance: 0",
        .mirror = "DHW",
        .mirror_why = "leave one out where its two sides differ",
        .optimiser = "use: sgd_step, rate: 0.1, decay: poly, momentum: 0.9, nesterov: true, "
                     "weight_decay: 0, clip: 0",
        .optimiser_why = "the author's notebook; it cut the rate at plateaus, here it falls",
        .loss = "{use: mixed_focal}",
        .loss_why = "the paper's",
        .steps = 75000,
    },
    {.name = NULL},
};

static char **names(void)
{
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();

    for (const PlanPreset *preset = plan_presets; preset->name; preset++)
        g_strv_builder_add(builder, preset->name);
    return g_strv_builder_end(builder);
}

char *plan_preset_names(void)
{
    g_auto(GStrv) all = names();

    return g_strjoinv(", ", all);
}

const PlanPreset *plan_preset_named(const char *name, GError **error)
{
    for (const PlanPreset *preset = plan_presets; preset->name; preset++)
        if (g_str_equal(preset->name, name))
            return preset;
    g_auto(GStrv) all = names();
    g_autofree char *hint = loom_did_you_mean(name, (const char *const *)all);
    g_autofree char *listed = plan_preset_names();
    return loom_fail_null(error, LOOM_ERROR_CONFIG, "there is no preset '%s'%s (there are: %s)",
                          name, hint, listed);
}
