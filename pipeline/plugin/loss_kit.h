/* loss_kit.h - what the files loss*.c share: softmax in blocks, and losses made of formulas. */
#pragma once

#include "instance.h"

#include <loom/loss_kit.h>
#include <loom/tensor.h>

#define LOSS_BLOCK 512   /* voxels at a time: what is kept of them stays in the first cache */
#define LOSS_CHUNK 16384 /* voxels a thread takes: fixed, so sums know of no threads */

/* Softmax of @n <= LOSS_BLOCK voxels of one sample; planes are @stride apart; p may be z. */
void loom_softmax_block(const float *z, float *p, gint64 classes, gint64 stride, gint64 n);
/* Softmax over C of f32 (N,C,D,H,W), on the threads of @pool. */
void loom_softmax_on(LoomPool *pool, const LoomTensor *logits, LoomTensor *probs);
/* @grad: dL/dp becomes dL/dz. */
void loom_softmax_jacobian(LoomPool *pool, const LoomTensor *probs, LoomTensor *grad);

/* loom_loss_eval for a loss of `voxel`, `region` or `regions`; logits and target are checked.
 */
gboolean loom_kit_eval(const LoomInstance *loss, const LoomTensor *logits,
                       const LoomTensor *target, double *value, LoomTensor *dlogits,
                       GError **error);

/* loom_top_mean - mean of the highest @percent of @losses (at least one of them)
 * @losses: -INFINITY counts nowhere; the other @counted do
 * @pull: n factors of the gradient, multiplied by each voxel's part in the mean, without its
 *   1 / K; NULL: none.  Losses that tie for the last places share them equally.
 * @k: number of losses in the mean */
double loom_top_mean(const double *losses, float *pull, gint64 n, gint64 counted,
                     double percent, gint64 *k);
