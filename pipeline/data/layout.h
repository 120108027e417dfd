/* layout.h - what dataset.json says. */
#pragma once

#include <loom/plugin.h>

typedef struct {
    char *name;           /* NULL: it has none */
    char *ending;         /* ".nii.gz" */
    char **channel_names; /* end with NULL */
    char **label_names;   /* class 0, 1, ...: end with NULL */
    gint64 n_training;    /* -1: not said */
} LoomLayout;

void loom_layout_clear(LoomLayout *layout);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(LoomLayout, loom_layout_clear)

/* Reads nnU-Net's dataset.json, version 2 or 1.  Labels must be 0, 1, 2, ... without a gap.
 * Source: nnU-Net, documentation/dataset_format.md. */
gboolean loom_layout_read(const char *path, LoomLayout *layout, GError **error);
