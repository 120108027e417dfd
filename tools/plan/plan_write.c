/* plan_write - a plan as a config that a person can read and change: a comment on each key. */
#include "plan.h"
#include "plan_lines.h"

#include "data/dataset.h"

#include <string.h>

#define MOST_WORKERS 4 /* threads that prepare patches beside those that train */
#define PICTURES 8     /* of a validation */

/* ---- head --------------------------------------------------------------------------- */

static void head_add(GString *text, const Plan *plan, const PlanVariant *variant,
                     const char *path)
{
    g_autofree char *name = line_plain(plan->dataset->name);
    const char *config = path ? path : "CONFIG";

    g_string_append_printf(text,
                           "# %s, planned by 'segloom plan --preset %s' for %u cases%s.\n"
                           "#   segloom check %s    every problem, threads, memory\n"
                           "#   segloom run   %s    train; Ctrl-C saves, --resume goes on\n"
                           "# Sizes are D, H, W (to the head, to the front, to the right) in "
                           "voxels, spacings in mm.\n",
                           name, plan->wishes.preset->name, plan->fingerprint->n_cases,
                           variant == &plan->coarse ? ", at low resolution" : "", config,
                           config);
    line_add(text, 0, NULL, "segloom: 1");
    line_add(text, 0, "another seed, other weights and patches", "seed: 1");
}

/* What the rows of `data:` say about a key. */
static const char *data_help(const char *key)
{
    for (const LoomParam *row = loom_data_params; row->name; row++)
        if (g_str_equal(row->name, key))
            return row->help;
    return NULL;
}

/* `data:` as the data set was opened with it. */
static void data_add(GString *text, const Plan *plan)
{
    const LoomNode *data = plan->wishes.data;

    line_add(text, 0, NULL, "\ndata:");
    for (guint i = 0; i < data->items->len; i++) {
        const LoomNode *key = data->keys->pdata[i], *value = data->items->pdata[i];
        g_autoptr(LoomNode) one = loom_node_new(LOOM_NODE_MAPPING, "plan", "/", 1, 1);

        loom_node_put(one, loom_node_copy(key), loom_node_copy(value));
        g_autofree char *yaml = g_strchomp(loom_yaml_write(one));
        g_auto(GStrv) lines = g_strsplit(yaml, "\n", -1);
        for (char **line = lines; *line; line++)
            line_add(text, 2, line == lines ? data_help(key->text) : NULL, "%s", *line);
    }
    g_string_append_c(text, '\n');
    line_add(text, 0, "the fast one; the same bits anywhere; threads 0: all processors",
             "backend: {use: cpu, plan: fixed, threads: 0}");
}

/* ---- network ------------------------------------------------------------------------ */

/* Rows of three for levels @from .. levels - 1. */
static char *rows(const PlanVariant *variant, const gint64 (*v)[3], guint from)
{
    GString *text = g_string_new("[");

    for (guint l = from; l < variant->fit.topology.levels; l++) {
        g_string_append(text, l > from ? ", [" : "[");
        for (guint a = 0; a < 3; a++)
            g_string_append_printf(text, "%s%d", a ? ", " : "",
                                   (int)v[l][plan_place(variant, a)]);
        g_string_append_c(text, ']');
    }
    g_string_append_c(text, ']');
    return g_string_free(text, FALSE);
}

/* What the channels of the logits are; (transfer full). */
static char *outputs_names(const Plan *plan)
{
    g_autoptr(GString) names = g_string_new("regions, each by itself: ");

    if (!plan->regions)
        return g_strjoinv(", ", plan->dataset->label_names);
    for (guint r = 0; r < plan->outputs; r++)
        g_string_append_printf(names, "%s%s", r ? ", " : "", plan->dataset->regions[r].name);
    return g_string_free(g_steal_pointer(&names), FALSE);
}

static void model_add(GString *text, const Plan *plan, const PlanVariant *variant)
{
    const PlanTopology *topology = &variant->fit.topology;
    g_autofree char *channels = g_strjoinv(", ", plan->dataset->channel_names);
    g_autofree char *labels = outputs_names(plan);
    g_autofree char *channels_plain = line_plain(channels), *labels_plain = line_plain(labels);
    g_autofree char *strides = rows(variant, topology->stride, 1);
    g_autofree char *kernels = rows(variant, topology->kernel, 0);
    g_autoptr(GString) features = g_string_new(NULL);
    g_autofree char *why = g_strdup_printf("channels of each level: doubled, at most %d",
                                           (int)plan->network.widest);

    for (guint l = 0; l < topology->levels; l++)
        g_string_append_printf(features, "%s%d", l ? ", " : "",
                               (int)plan_features(&plan->network, l));
    line_add(text, 0, NULL, "\nmodels:");
    line_add(text, 2, NULL, "seg:");
    line_add(text, 4, "nnU-Net's plain U-Net", "use: unet3d");
    line_add(text, 4, channels_plain, "in_channels: %u", plan->fingerprint->n_channels);
    line_add(text, 4, labels_plain, "classes: %u", plan->outputs);
    line_add(text, 4, why, "features: [%s]", features->str);
    line_add(text, 4, "how each level below the first halves D, H, W", "strides: %s", strides);
    line_add(text, 4,
             strstr(kernels, "1") ? "1 across thick voxels, until the others are as thick"
                                  : "3 everywhere: no axis has thick voxels",
             "kernels: %s", kernels);
    line_add(text, 4,
             plan->wishes.preset->supervised ? "a loss at every decoder level"
                                             : "a loss at the finest level alone",
             "deep_supervision: %s", plan->wishes.preset->supervised ? "true" : "false");
}

static guint workers(const Plan *plan)
{
    return CLAMP(plan->wishes.threads, 1, MOST_WORKERS);
}

/* ---- graphs ------------------------------------------------------------------------- */

/* [ct, zscore], and for CT the numbers of the data set; those of others are there to count. */
static void normalise_add(GString *text, const Plan *plan, const char *from)
{
    const guint n = plan->fingerprint->n_channels;
    g_autoptr(GString) schemes = g_string_new(NULL), clip = g_string_new(NULL);
    g_autofree double *mean = g_new(double, n), *sd = g_new(double, n);
    gboolean ct = FALSE;

    for (guint c = 0; c < n; c++) {
        const PlanChannel *channel = &plan->channels[c];
        const double range[2] = {channel->low, channel->high};
        g_autofree char *pair = line_numbers(range, 2);

        g_string_append_printf(schemes, "%s%s", c ? ", " : "", plan_schemes[channel->scheme]);
        g_string_append_printf(clip, "%s%s", c ? ", " : "", pair);
        mean[c] = channel->mean;
        sd[c] = channel->sd;
        ct = ct || channel->scheme == SCHEME_CT;
    }
    line_add(text, 4, NULL, "scale:");
    line_add(text, 6, NULL, "use: normalise");
    line_add(text, 6, NULL, "from: %s", from);
    line_add(text, 6, "one a channel: ct by the data set's numbers, zscore by the image's",
             "schemes: [%s]", schemes->str);
    if (ct) {
        g_autofree char *means = line_numbers(mean, n), *sds = line_numbers(sd, n);

        line_add(text, 6, "0.5 and 99.5 percentiles of the foreground", "clip: [%s]",
                 clip->str);
        line_add(text, 6, "of the foreground of all cases", "mean: %s", means);
        line_add(text, 6, "the same", "std: %s", sds);
    }
    if (plan->masked)
        line_add(text, 6, "statistics over what is not 0, or enclosed: the rest was cut away",
                 "mask: true");
}

static const char *spacing_why(const Plan *plan, const PlanVariant *variant)
{
    if (variant == &plan->coarse)
        return "mm: coarser than the median, so that a patch shows a quarter of a case";
    if (plan->wishes.spacing[0] > 0)
        return "mm: asked for";
    if (plan->clipped)
        return "mm: the published ones";
    return plan->thick < 0
               ? "mm: the median of each axis"
               : "mm: the median of each axis, of the thick one the 10th percentile";
}

/* What is done to a case before patches are cut, and before one is predicted.  Normalised
 * before it is resampled, as nnU-Net does: splines leave no 0 for `mask` to see.  Returns: the
 * id of the last stage. */
static const char *prepare_add(GString *text, const Plan *plan, const PlanVariant *variant,
                               const char *queue)
{
    g_autofree char *spacing = line_numbers(variant->spacing, 3);

    line_add(text, 4, "W to the right, H to the front, D to the head",
             "orient: {use: orient, from: load, axes: RAS%s}", queue);
    line_add(text, 4, "the box around what is not 0", "box: {use: crop_nonzero, from: orient}");
    if (!plan->clipped)
        normalise_add(text, plan, "box");
    line_add(text, 4, spacing_why(plan, variant),
             "grid: {use: resample, from: %s, spacing: %s}", plan->clipped ? "box" : "scale",
             spacing);
    if (!plan->clipped)
        return "grid";
    line_add(text, 4, "the published window; its scale does not matter here",
             "clip: {use: window, from: grid, low: -79, high: 304}");
    normalise_add(text, plan, "clip");
    return "scale";
}

/* "a: 1, b: 2" of a preset, a line each; @why stands at the first. */
static void keys_add(GString *text, const char *keys, const char *why)
{
    g_auto(GStrv) each = g_strsplit(keys, ", ", -1);

    for (char **key = each; *key; key++)
        line_add(text, 6, key == each ? why : NULL, "%s", *key);
}

static void augment_add(GString *text, const Plan *plan, const char *size)
{
    const char *changes = plan->wishes.preset->augment;

    line_add(text, 4, "nnU-Net's, each by chance; 0 switches one off", "augment:");
    line_add(text, 6, NULL, "use: augment_nnunet");
    line_add(text, 6, NULL, "from: patch");
    line_add(text, 6, "what is left of the patch and its margin", "size: %s", size);
    line_add(text, 6, plan->wishes.preset->mirror_why, "mirror_axes: %s",
             plan->wishes.preset->mirror);
    if (plan->masked)
        line_add(text, 6, "what is 0 stays 0", "mask: nonzero");
    if (changes)
        keys_add(text, changes, "the published recipe's, to the end");
}

/* Returns: the id of the last stage. */
static const char *patches_add(GString *text, const Plan *plan, const PlanVariant *variant,
                               const char *from)
{
    const gint64 batch = variant->fit.batch;
    const gint64 forced = plan_forced(batch, plan->wishes.preset->foreground);
    g_autofree char *size = line_sizes(variant->patch);
    g_autoptr(GString) share = g_string_new(NULL);
    g_autofree char *why =
        g_strdup_printf("%d of %d patches show a class", (int)forced, (int)batch);

    line_number(share, (double)forced / (double)batch);
    line_add(text, 4, NULL, "patch:");
    line_add(text, 6, NULL, "use: crop");
    line_add(text, 6, NULL, "from: %s", from);
    line_add(text, 6, NULL, "queue: 4");
    line_add(text, 6, "threads that cut and augment", "workers: %u", workers(plan));
    line_add(text, 6, "what the network sees at once", "size: %s", size);
    line_add(text, 6, why, "foreground: %s", share->str);
    line_add(text, 6, "voxels around it, to turn the patch in", "margin: nnunet");
    augment_add(text, plan, size);
    return "augment";
}

static void train_add(GString *text, const Plan *plan, const PlanVariant *variant)
{
    const PlanPreset *preset = plan->wishes.preset;
    const char *why, *loss = plan_loss(plan, variant, &why);

    line_add(text, 0, NULL, "\ngraphs:");
    line_add(text, 2, NULL,
             "train: # a queue begins a new thread, or as many as it has workers");
    line_add(text, 4, "cases in a new order in each epoch",
             "load: {use: nifti_load, split: train, shuffle: true}");
    g_autofree char *lane = g_strdup_printf(", queue: 2, workers: %u", workers(plan));
    const char *last = prepare_add(text, plan, variant, lane);
    line_add(text, 4, "prepared cases, beside this file; several configs may share it",
             "keep: {use: cache, from: %s, queue: 2, folder: cache}", last);
    last = patches_add(text, plan, variant, "keep");
    line_add(text, 4, "patches of a step", "batch: {use: batch, from: %s, queue: %d, size: %d}",
             last, (int)(2 * variant->fit.batch), (int)variant->fit.batch);
    line_add(text, 4, NULL, "forward: {use: forward, from: batch, model: seg}");
    line_add(text, 4, NULL, "loss:");
    line_add(text, 6, NULL, "use: loss");
    line_add(text, 6, NULL, "from: forward");
    if (preset->supervised)
        line_add(text, 6, "weights 1, 1/2, ...; the coarsest head's 0", "coarsest: false");
    if (plan->regions)
        line_add(text, 6, "they may overlap: yes or no for each", "regions: true");
    line_add(text, 6, why, "loss: %s", loss);
    line_add(text, 4, NULL, "back: {use: backward, from: loss, model: seg}");
    line_add(text, 4, "mean over the ranks of a run; of one: nothing to do",
             "sync: {use: allreduce, from: back, model: seg}");
    line_add(text, 4, NULL, "step:");
    keys_add(text, preset->optimiser, preset->optimiser_why);
    line_add(text, 6, NULL, "from: sync");
    line_add(text, 6, NULL, "model: seg");
    line_add(text, 4, NULL, "log: {use: log, from: step, every: %d}",
             (int)CLAMP(plan->every / 20, 1, 50));
    if (plan->validating)
        line_add(text, 4, "whole cases that were not trained on",
                 "check: {use: run_graph, from: step, graph: validate, every: %d}",
                 (int)plan->every);
    line_add(text, 4,
             plan->validating ? "what --resume goes on from; predict takes the weights that "
                                "scored best in validation"
                              : "what --resume goes on from",
             "save: {use: checkpoint, from: %s, model: seg, every: %d%s}",
             plan->validating ? "check" : "step", (int)CLAMP(plan->every / 4, 1, 500),
             plan->validating ? ", keep: best" : "");
}

static void validate_add(GString *text, const Plan *plan, const PlanVariant *variant)
{
    g_autofree char *size = line_sizes(variant->patch);

    line_add(text, 0, NULL, "\n  validate: # what predict does as well");
    line_add(text, 4, "the label as it is in the file is the truth",
             "load: {use: nifti_load, split: %s, truth: true}",
             plan->validating ? "validate" : "train");
    const char *last = prepare_add(text, plan, variant, "");
    line_add(text, 4, NULL, "predict:");
    line_add(text, 6, NULL, "use: sliding_window");
    line_add(text, 6, NULL, "from: %s", last);
    line_add(text, 6, NULL, "model: seg");
    line_add(text, 6, "as trained", "size: %s", size);
    line_add(text, 6, "windows overlap by half; their middle counts most", "overlap: 0.5");
    if (plan->regions) {
        g_autoptr(GString) labels = g_string_new(NULL);

        for (guint r = 0; r < plan->outputs; r++)
            g_string_append_printf(labels, "%s%d", r ? ", " : "",
                                   plan->dataset->regions[r].written);
        line_add(text, 6, "label of each region, later ones over earlier", "regions: [%s]",
                 labels->str);
    }
    line_add(text, 4, "Dice and others, for each case and class",
             "score: {use: metrics, from: predict, metrics: [{use: overlap}]}");
    line_add(text, 4, "pictures for 'segloom report': the worst and the best cases",
             "draw: {use: overlay, from: score, cases: %d}", PICTURES);
}

char *plan_write(const Plan *plan, const PlanVariant *variant, const char *path)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_autofree char *why = NULL;

    if (plan->wishes.steps)
        why = g_strdup("asked for");
    else if (plan->wishes.preset->minutes > 0)
        why = g_strdup_printf("about %.0f minutes at an estimated %.2f s a step",
                              (double)plan->steps * variant->fit.seconds / 60,
                              variant->fit.seconds);
    else
        why = g_strdup("the preset's");
    head_add(text, plan, variant, path);
    data_add(text, plan);
    model_add(text, plan, variant);
    train_add(text, plan, variant);
    validate_add(text, plan, variant);
    line_add(text, 0, NULL, "\nrun:");
    line_add(text, 2, NULL, "graph: train");
    line_add(text, 2, why, "steps: %d", (int)plan->steps);
    return g_string_free(g_steal_pointer(&text), FALSE);
}
