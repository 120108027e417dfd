/* toy_model.h - a network whose logits can be worked out by hand:
 *   logits[k,d,h,w] = slope[k] x[0,d,h,w] + tilt[k] (d + 2 h + 3 w),  d, h, w inside the window
 */
#pragma once

#include <loom/loom.h>

typedef struct {
    LoomFloats slope, tilt; /* one number a class */
    gint64 moments;         /* arrays that an optimiser would have made */
    gint64 resumes;         /* with --resume: at this step; -1: says nothing */
    const LoomInstance *backend;
    LoomWeight weights[2]; /* "kernel" (1,2,1,1,3), "bias" (classes) */
    gint64 calls;          /* of forward */
    gint64 shape[5];       /* of the first image */
} ToyModel;
