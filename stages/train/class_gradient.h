/* class_gradient.h - how hard the voxels of each class pull. */
#pragma once

#include <loom/loom.h>

/* class_gradient - norm of the loss's gradient over the voxels of each true class
 * @dlogits: f32 (N,C,D,H,W); @label: u8 (N,D,H,W); labels of @classes and above count nowhere
 * Returns: (transfer full): f32 (K), K = @classes: sqrt(sum over voxels v of class k and
 * channels c of dlogits[c,v]^2). */
LoomTensor *class_gradient(const LoomTensor *dlogits, const LoomTensor *label, gint64 classes,
                           GError **error);
