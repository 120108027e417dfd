/* class_log.h - how each class fares in training: is it there, does it pull? */
#pragma once

#include <loom/loom.h>

typedef struct {
    const LoomDataset *dataset; /* for names; NULL: numbers */
    gint64 classes;
    gint64 watch;      /* patches without gradient of a class before a warning */
    gint64 patches;    /* since the last reset */
    gint64 *held;      /* of those, that hold the class */
    double *squares;   /* sum of the squared norms of the class's gradient; the same */
    gint64 *drought;   /* patches since the class had a gradient */
    gboolean measured; /* a gradient was among what was taken; the same */
} ClassLog;

void class_log_open(ClassLog *log, const LoomDataset *dataset, gint64 classes, gint64 watch);
void class_log_close(ClassLog *log);
/* A batch: @label u8 (N,D,H,W); @gradient f32 (K), the norm over the voxels of each class;
 * NULL: not known.  Warns of a class that had none for `watch` patches, once each time. */
void class_log_take(ClassLog *log, const LoomTensor *label, const LoomTensor *gradient);
/* Share of the patches that hold class @k; NaN: no patch. */
double class_log_patches(const ClassLog *log, gint64 k);
/* Share of class @k in the squared norm of the gradient; NaN: not known, or there is none. */
double class_log_gradient(const ClassLog *log, gint64 k);
/* Forgets all but the droughts. */
void class_log_reset(ClassLog *log);
