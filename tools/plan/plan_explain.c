/* plan_explain - what each value of a plan is, which rule gave it, and from which numbers. */
#include "plan.h"

#include "data/dataset.h"

#include <loom/rotation.h>

#include <math.h>
#include <string.h>

#define NAME_WIDTH 13
#define LINE_WIDTH 80

/* "name  words, wrapped", all lines but the first indented. */
static void item_add(GString *text, const char *name, const char *format, ...)
    G_GNUC_PRINTF(3, 4);
static void item_add(GString *text, const char *name, const char *format, ...)
{
    va_list args;
    guint column = NAME_WIDTH;

    va_start(args, format);
    g_autofree char *all = g_strdup_vprintf(format, args);
    va_end(args);
    g_auto(GStrv) words = g_strsplit(all, " ", -1);
    g_string_append_printf(text, "%-*s", NAME_WIDTH, name);
    for (char **word = words; *word; word++) {
        const guint width = (guint)g_utf8_strlen(*word, -1);

        if (column > NAME_WIDTH && column + 1 + width >= LINE_WIDTH) {
            g_string_append_printf(text, "\n%*s", NAME_WIDTH, "");
            column = NAME_WIDTH;
        }
        g_string_append_printf(text, "%s%s", column > NAME_WIDTH ? " " : "", *word);
        column += width + (column > NAME_WIDTH);
    }
    g_string_append_c(text, '\n');
}

static char *triple(const double v[3])
{
    return g_strdup_printf("%.4gx%.4gx%.4g", v[0], v[1], v[2]);
}

static char *whole(const gint64 v[3])
{
    return g_strdup_printf("%dx%dx%d", (int)v[0], (int)v[1], (int)v[2]);
}

static char *pair_of_bytes(double bytes)
{
    return g_strdup_printf("%.2f GiB", bytes / (1024.0 * 1024 * 1024));
}

/* ---- the data set ------------------------------------------------------------------- */

static void cases_add(GString *text, const Plan *plan)
{
    const Fingerprint *print = plan->fingerprint;

    item_add(text, "cases", "%u, %u channel%s; %u read now, %u known from before",
             print->n_cases, print->n_channels, print->n_channels == 1 ? "" : "s",
             print->n_cases - print->cached, print->cached);
    for (guint k = 1; k < plan->dataset->n_labels; k++) {
        double all = 0;

        for (guint i = 0; i < FINGERPRINT_LABELS; i++)
            all += (double)print->labels[i];
        item_add(text, k == 1 ? "classes" : "", "%s: %.4g %% of the voxels, in %u of %u cases",
                 plan->dataset->label_names[k], 100 * (double)print->labels[k] / all,
                 print->cases_with[k], print->n_cases);
    }
    g_autofree char *values = loom_dataset_values_text(plan->dataset);
    if (values)
        item_add(text, "masks", "hold %s", values);
    item_add(text, "box", "the box around what is not 0 keeps %.0f %% of a case (median)",
             100 * print->kept);
}

static void channel_add(GString *text, const Plan *plan, guint c)
{
    const PlanChannel *channel = &plan->channels[c];
    const Histogram *values = &plan->fingerprint->foreground[c];
    static const char *const why[] = {
        [SCHEME_CT] = "named CT, so one scale for all cases: clipped to the 0.5 and 99.5 "
                      "percentiles, less the mean, by the deviation",
        [SCHEME_ZSCORE] = "no CT, so each image by its own mean and deviation",
        [SCHEME_RESCALE] = "by its name: each image to 0..1 by its least and most",
        [SCHEME_NONE] = "by its name: left as it is",
    };

    item_add(text, c ? "" : "intensities",
             "%s: %s. Foreground of all cases: mean %.5g, deviation %.5g, median %.5g, 0.5 %% "
             "%.5g, 99.5 %% %.5g, least %.5g, most %.5g, over %" G_GINT64_FORMAT " voxels%s",
             plan->dataset->channel_names[c], why[channel->scheme], channel->mean, channel->sd,
             histogram_percentile(values, 50), channel->low, channel->high, values->least,
             values->most, values->n, values->exact ? "" : " (percentiles to 1 part in 4096)");
}

static void channels_add(GString *text, const Plan *plan)
{
    for (guint c = 0; c < plan->fingerprint->n_channels; c++)
        channel_add(text, plan, c);
    item_add(text, "mask",
             plan->masked
                 ? "z-scores over what is not 0, or enclosed: the box keeps less than 75 %%"
                 : "none: the box keeps 75 %% of a case or more");
}

/* ---- a network ---------------------------------------------------------------------- */

static void spacing_add(GString *text, const Plan *plan)
{
    g_autofree char *native = triple(plan->native), *spacing = triple(plan->fine.spacing);
    g_autofree char *median = triple(plan->fine.median);

    if (plan->wishes.spacing[0] > 0)
        item_add(text, "spacing", "%s mm: asked for; the median is %s", spacing, native);
    else if (plan->clipped)
        item_add(text, "spacing", "%s mm: the published recipe for CT; the median is %s",
                 spacing, native);
    else if (plan->thick < 0)
        item_add(text, "spacing",
                 "%s mm: the median of each axis; none is over 3 times as thick as the others "
                 "and has less than a third of their voxels",
                 spacing);
    else
        item_add(text, "spacing",
                 "%s mm: the median is %s, axis %c is over 3 times as thick as the others and "
                 "has less than a third of their voxels: its 10th percentile, not below the "
                 "others",
                 spacing, native, "DHW"[plan->thick]);
    item_add(text, "shape", "%s voxels: the median case at that spacing", median);
}

static void patch_add(GString *text, const Plan *plan, const PlanVariant *variant)
{
    const PlanFit *fit = &variant->fit;
    double wanted[3], clipped[3];

    for (guint p = 0; p < 3; p++) {
        wanted[variant->order[p]] = fit->wanted[p];
        clipped[variant->order[p]] = fit->clipped[p];
    }
    g_autofree char *patch = whole(variant->patch), *first = triple(wanted);
    g_autofree char *start = triple(clipped);
    if (plan->wishes.patch[0])
        item_add(text, "patch", "%s: asked for, padded to what can be halved", patch);
    else if (plan->wishes.preset->shape == PRESET_FIXED)
        item_add(text, "patch", "%s: %s, at most the median case, padded to 16", patch,
                 plan->clipped ? "80x160x160, the published one for CT"
                               : "96x96x96, for none was published");
    else if (fit->shrunk)
        item_add(text, "patch",
                 "%s: from 256^3 voxels of this shape, %s, at most the median case, %s, shrunk "
                 "%u times until it fitted: the limit was %s",
                 patch, first, start, fit->shrunk,
                 fit->shrunk_by == PLAN_BY_TIME ? "time" : "memory");
    else
        item_add(text, "patch",
                 "%s: from 256^3 voxels of this shape, %s, at most the median case, %s, padded "
                 "to what can be halved; no limit was active",
                 patch, first, start);
}

static void network_add(GString *text, const Plan *plan, const PlanVariant *variant)
{
    const PlanTopology *topology = &variant->fit.topology;
    g_autoptr(GString) features = g_string_new(NULL), pools = g_string_new(NULL);

    for (guint l = 0; l < topology->levels; l++)
        g_string_append_printf(features, "%s%d", l ? "-" : "",
                               (int)plan_features(&plan->network, l));
    for (guint a = 0; a < 3; a++)
        g_string_append_printf(pools, "%s%u", a ? ", " : "",
                               topology->pools[plan_place(variant, a)]);
    item_add(text, "network",
             "%u levels, %s channels; D, H, W are halved %s times: an axis is while it has 8 "
             "voxels and they are less than twice as long as the shortest",
             topology->levels, features->str, pools->str);
}

static void limits_add(GString *text, const Plan *plan, const PlanVariant *variant)
{
    const PlanFit *fit = &variant->fit;
    const PlanBudget *budget = &plan->budget;
    g_autofree char *bytes = pair_of_bytes(fit->bytes), *most = pair_of_bytes(budget->bytes);

    if (budget->elements > 0)
        item_add(text, "memory",
                 "%" G_GINT64_FORMAT " outputs of convolutions for a patch, %.4g allowed "
                 "(nnU-Net's measure); a step will hold about %s",
                 fit->elements, budget->elements, bytes);
    else if (budget->bytes > 0)
        item_add(text, "memory", "a step will hold about %s, %s allowed", bytes, most);
    else
        item_add(text, "memory", "a step will hold about %s; no limit", bytes);
    if (budget->seconds > 0)
        item_add(text, "time",
                 "a step will take about %.2f s on %u processors with vectors of %u floats, "
                 "%.4g s allowed",
                 fit->seconds, plan->wishes.threads, plan->wishes.lanes, budget->seconds);
    else
        item_add(text, "time",
                 "a step will take about %.2f s on %u processors with vectors of %u floats; no "
                 "limit",
                 fit->seconds, plan->wishes.threads, plan->wishes.lanes);
}

static void batch_add(GString *text, const Plan *plan, const PlanVariant *variant)
{
    static const char *const names[] = {[PLAN_BY_MEMORY] = "memory",
                                        [PLAN_BY_TIME] = "time",
                                        [PLAN_BY_DATA] = "the data",
                                        [PLAN_BY_LEAST] = "the least batch",
                                        [PLAN_BY_MOST] = "the preset's largest"};
    const PlanFit *fit = &variant->fit;
    g_autoptr(GString) each = g_string_new(NULL);
    const gint64 forced = plan_forced(fit->batch, plan->wishes.preset->foreground);

    if (plan->budget.elements > 0 || plan->budget.bytes > 0)
        g_string_append_printf(each, "memory allows %d, ", (int)fit->by_memory);
    if (plan->budget.seconds > 0)
        g_string_append_printf(each, "time %d, ", (int)fit->by_time);
    g_string_append_printf(each, "%.3g %% of the data set's voxels are %d",
                           100 * plan->budget.covered, (int)fit->by_data);
    item_add(text, "batch", "%d: %s; the limit is %s", (int)fit->batch, each->str,
             names[fit->batch_by]);
    item_add(text, "foreground",
             "%d of %d patches show a class: those from round(%.4g batch) on", (int)forced,
             (int)fit->batch, 1 - plan->wishes.preset->foreground);
}

static void predict_add(GString *text, const Plan *plan, const PlanVariant *variant)
{
    const PlanTopology *topology = &variant->fit.topology;
    const gint64 windows = plan_windows(3, topology->patch, variant->scene.median);
    const double seconds = plan_predict_seconds(&plan->budget.speed, topology, &plan->network,
                                                variant->scene.in_channels, windows);

    item_add(text, "prediction",
             "windows: %d for the median case, about %.2g s; mirrored along D, H and W (key "
             "mirror) about %.2g s",
             (int)windows, seconds, 8 * seconds);
}

static void variant_add(GString *text, const Plan *plan, const PlanVariant *variant)
{
    patch_add(text, plan, variant);
    network_add(text, plan, variant);
    limits_add(text, plan, variant);
    batch_add(text, plan, variant);
    predict_add(text, plan, variant);
}

static void coarse_add(GString *text, const Plan *plan)
{
    g_autofree char *spacing = triple(plan->coarse.spacing);
    g_autofree char *median = triple(plan->coarse.median);

    if (!plan->has_coarse) {
        item_add(text, "low-res",
                 "not wanted: a patch shows a quarter of the median case, or a "
                 "coarser one would not be half as large");
        return;
    }
    g_string_append(text, "\nat low resolution: a patch shows less than a quarter of a case\n");
    item_add(text, "spacing", "%s mm: grown by 3 %% at a time until a patch shows a quarter",
             spacing);
    item_add(text, "shape", "%s voxels", median);
    variant_add(text, plan, &plan->coarse);
}

static void augment_add(GString *text, const Plan *plan)
{
    const gint64 *patch = plan->fine.patch;
    const int slices = loom_patch_slices(patch);
    gint64 load[3];

    loom_patch_to_load(patch, load);
    g_autofree char *loaded = whole(load);
    g_autofree char *turned =
        slices < 0 ? g_strdup("about all axes")
                   : g_strdup_printf("within slices: it is over 3 times as long as along %c",
                                     "DHW"[slices]);
    item_add(text, "augmentation",
             "nnU-Net's, of the %s voxels around a patch that turning may reach; turned %s; "
             "mirrored along %s: %s",
             loaded, turned, plan->wishes.preset->mirror, plan->wishes.preset->mirror_why);
}

/* ---- training ----------------------------------------------------------------------- */

static void training_add(GString *text, const Plan *plan)
{
    const PlanPreset *preset = plan->wishes.preset;
    const double minutes = (double)plan->steps * plan->fine.fit.seconds / 60;
    const char *why, *loss = plan_loss(plan, &plan->fine, &why);

    augment_add(text, plan);
    item_add(text, "loss", "%s: %s", loss, why);
    item_add(text, "optimiser", "%s: %s", preset->optimiser, preset->optimiser_why);
    if (plan->wishes.steps)
        item_add(text, "steps", "%d: asked for; about %.0f minutes", (int)plan->steps, minutes);
    else if (preset->steps)
        item_add(text, "steps", "%d: the preset's; about %.4g hours here", (int)plan->steps,
                 minutes / 60);
    else
        item_add(text, "steps", "%d: as many as %g minutes allow, %d to %d", (int)plan->steps,
                 preset->minutes, (int)preset->least_steps, (int)preset->most_steps);
    if (plan->validating)
        item_add(text, "split", "%s: %u of %u cases validate",
                 plan->dataset->split ? plan->dataset->split : "by lists", plan->validating,
                 plan->fingerprint->n_cases);
    else
        item_add(text, "split", "none: every case trains");
}

char *plan_explain(const Plan *plan)
{
    g_autoptr(GString) text = g_string_new(NULL);

    item_add(text, "data set", "%s", plan->dataset->name);
    item_add(text, "preset", "%s: %s", plan->wishes.preset->name, plan->wishes.preset->summary);
    item_add(text, "axes", "D, H, W: to the head, to the front, to the right");
    cases_add(text, plan);
    channels_add(text, plan);
    g_string_append_c(text, '\n');
    spacing_add(text, plan);
    variant_add(text, plan, &plan->fine);
    g_string_append_c(text, '\n');
    training_add(text, plan);
    coarse_add(text, plan);
    return g_string_free(g_steal_pointer(&text), FALSE);
}
