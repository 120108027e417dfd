/* loss_case.h - logits and labels to try a loss with: small, seeded. */
#pragma once

#include <loom/tensor.h>

typedef const gint64 LoomCaseShape[5]; /* N, C, D, H, W */

/* Uniform in -range .. range; (transfer full), never NULL. */
LoomTensor *loom_case_logits(LoomCaseShape shape, guint64 seed, double range);
/* Labels out of 0 .. classes-1 but @without (-1: all); (transfer full), never NULL. */
LoomTensor *loom_case_labels(LoomCaseShape shape, guint64 seed, gint64 without);
/* Raises one logit a voxel by @height: that of its label, @shift classes further on. */
void loom_case_believe(LoomTensor *logits, const LoomTensor *labels, gint64 shift,
                       float height);
