/* classes.h - where the classes of a case are, and a voxel of one of them. */
#pragma once

#include <loom/loom.h>

/* With `counts`, (planes, width), a voxel is found by skipping planes: the same one as by a
 * walk through all of the label. */
typedef struct {
    const LoomTensor *label;
    const float *counts; /* NULL: nobody has counted */
    gint64 width;        /* classes counted */
    gint64 histogram[256];
} Classes;

/* @label: u8 (D,H,W); NULL: no class is there.  @counts: slot "label.counts", may be NULL; it
 * is not used unless it has as many voxels in each plane as the label. */
void classes_find(Classes *classes, const LoomTensor *label, const LoomTensor *counts);
/* classes_pick_foreground - a voxel of a class that is picked first, both uniformly
 * @voxel: its place in D, H, W; -1 where the counts are those of another label
 * Returns: FALSE: there is background only. */
gboolean classes_pick_foreground(const Classes *classes, LoomRng *rng, gint64 voxel[3]);
/* A voxel that is not ignored; FALSE: all are the same in that. */
gboolean classes_pick_counted(const Classes *classes, LoomRng *rng, gint64 voxel[3]);
