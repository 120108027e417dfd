/* layout.h - what dataset.json says. */
#pragma once

#include <loom/data.h>

typedef struct {
    gboolean labels_passed; /* set before reading: labels are named elsewhere */

    char *name;             /* NULL: it has none */
    char *ending;           /* ".nii.gz" */
    char **channel_names;   /* end with NULL */
    char **label_names;     /* class 0, 1, ...: end with NULL; NULL: passed over */
    gboolean declared[256]; /* values that it names, whoever names the labels */
    gint64 n_training;      /* -1: not said */
    gint ignored;           /* value of the voxels that count nowhere; -1: none */
    LoomLabelRegion *regions;
    guint n_regions;
    LoomCase *listed; /* files one by one, paths as they stand in the file */
    guint n_listed;
    gboolean by_channel; /* the list names a file a channel (nnU-Net), not one a case (MSD) */
} LoomLayout;

void loom_layout_clear(LoomLayout *layout);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(LoomLayout, loom_layout_clear)

/* Reads dataset.json of nnU-Net, version 2 or 1, or of the Medical Segmentation Decathlon.
 * Labels must be 0, 1, 2, ... without a gap.
 * Source: nnU-Net, documentation/dataset_format.md, region_based_training.md, ignore_label.md;
 * Antonelli et al. 2022, The Medical Segmentation Decathlon. */
gboolean loom_layout_read(const char *path, LoomLayout *layout, GError **error);
void loom_case_clear(LoomCase *one);
void loom_label_regions_free(LoomLabelRegion *regions, guint n);
