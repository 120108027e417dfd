/* plan.h - everything that a config needs to know, and why. */
#pragma once

#include "fingerprint.h"
#include "plan_budget.h"
#include "plan_preset.h"

#include "config/yaml.h"

#include <loom/data.h>

/* What a person asked for instead of what the rules say. */
typedef struct {
    const PlanPreset *preset;
    guint64 memory;       /* bytes; 0: the preset's */
    double seconds;       /* of a step; 0: the preset's */
    gint64 steps;         /* 0: the preset's */
    gint64 folds;         /* 0: 5, or as many as there are cases */
    guint threads, lanes; /* of the machine the plan is for: see plan_speed_of */
    double spacing[3];    /* mm; D, H, W; spacing[0] 0: by the rules */
    gint64 patch[3];      /* voxels; D, H, W; patch[0] 0: by the rules */
    const char *loss;     /* YAML; NULL: the preset's */
    LoomNode *data; /* the config's `data:`, with which the data set was opened; borrowed */
} PlanWishes;

typedef enum { SCHEME_CT, SCHEME_ZSCORE, SCHEME_RESCALE, SCHEME_NONE } PlanScheme;
extern const char *const plan_schemes[]; /* YAML spellings, by PlanScheme */

/* How a channel becomes what the network sees. */
typedef struct {
    PlanScheme scheme;
    double low, high, mean, sd; /* of the foreground of all cases: 0.5 and 99.5 percentiles */
} PlanChannel;

/* One network.  Arrays of three are D, H, W; the scene's and the fit's have `order`. */
typedef struct {
    double spacing[3], median[3]; /* mm; voxels of the median case */
    guint order[3];               /* axis of D, H, W (0, 1, 2) at each place of the fit */
    PlanScene scene;
    PlanFit fit;
    gint64 patch[3];
    gboolean batch_dice; /* Dice over the batch: another network sees the whole */
} PlanVariant;

typedef struct {
    const LoomDataset *dataset;
    const Fingerprint *fingerprint;
    PlanWishes wishes;
    PlanNetwork network;
    PlanBudget budget;
    double native[3]; /* median spacing */
    int thick;        /* the axis that is finer than its median; -1: none */
    PlanVariant fine, coarse;
    gboolean has_coarse;
    PlanChannel *channels; /* one a channel of the data set */
    gboolean masked;       /* z-scores over what is not 0 */
    gboolean clipped;      /* to the published window, of CT alone */
    guint outputs;         /* channels of the logits: classes, or regions that may overlap */
    gboolean regions;      /* which of them */
    guint validating;      /* cases */
    gint64 steps, every;
} Plan;

/* plan_make - by the rules of the preset
 * @dataset, @fingerprint: must outlive the plan.
 * Returns: (transfer full): NULL with LOOM_ERROR_CONFIG, _FORMAT or _SHAPE. */
Plan *plan_make(const LoomDataset *dataset, const Fingerprint *fingerprint,
                const PlanWishes *wishes, GError **error);
void plan_free(Plan *plan);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Plan, plan_free)

/* Patches of a batch of @batch that are forced to show a class: the last ones, from
 * round((1 - share) batch) on, as nnU-Net. */
gint64 plan_forced(gint64 batch, double share);
/* Axis of D, H, W that stands at place @place of the fit; the fit's number at axis @axis. */
guint plan_place(const PlanVariant *variant, guint axis);

/* The loss as YAML, and why it is this one; (transfer none). */
const char *plan_loss(const Plan *plan, const PlanVariant *variant, const char **why);

/* The config as text, a comment on each key; (transfer full).
 * @path: where it will lie; NULL: not known. */
char *plan_write(const Plan *plan, const PlanVariant *variant, const char *path);
/* For each value the rule and the numbers that went in, at most 80 columns; (transfer full). */
char *plan_explain(const Plan *plan);
