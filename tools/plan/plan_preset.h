/* plan_preset.h - the recipes that a plan can follow. */
#pragma once

#include <glib.h>

typedef enum {
    PRESET_RULES, /* patch, network and batch by nnU-Net's rules */
    PRESET_FIXED, /* a patch and a depth that somebody published */
} PresetShape;

typedef struct {
    const char *name, *summary;
    PresetShape shape;

    /* network */
    gint64 base, widest; /* channels: of the first level, at most */
    guint max_levels;    /* of PRESET_FIXED: as many */
    gboolean supervised; /* trained at every decoder level */

    /* budget */
    double elements; /* see PlanBudget; with `elements_memory` bytes; 0: no limit */
    double elements_memory;
    double memory;  /* bytes of a step, where there are no elements; 0: no limit */
    double seconds; /* of a step; 0: no limit */
    double covered; /* share of the data set's voxels in a batch */
    gint64 most_batch;

    /* training */
    const char *mirror; /* axes that patches are mirrored along */
    const char *mirror_why;
    const char *augment;   /* keys of augment_nnunet besides its own; NULL: none */
    double foreground;     /* share of the patches of a batch that show a class */
    const char *optimiser; /* YAML: the stage and its keys but `from` and `model` */
    const char *optimiser_why;
    const char *loss; /* YAML */
    const char *loss_why;
    const char *loss_pooled; /* where a second network sees more of a case; NULL: the same */
    gint64 steps;            /* 0: as many as `minutes` allow */
    double minutes;          /* of training alone, estimated */
    gint64 least_steps, most_steps;
} PlanPreset;

extern const PlanPreset plan_presets[]; /* ends with a name of NULL */
/* NULL with LOOM_ERROR_CONFIG and a near name. */
const PlanPreset *plan_preset_named(const char *name, GError **error);
/* "nnunet, cpu-small or paper"; (transfer full). */
char *plan_preset_names(void);
