/* skeleton.h - the soft skeleton of a volume of probabilities, and its way back. */
#pragma once

#include <loom/plugin.h>

typedef struct _Skeleton Skeleton;

/* Room for volumes of that shape (D,H,W); NULL with LOOM_ERROR_LIMIT. */
Skeleton *skeleton_new(const gint64 shape[3], gint64 iterations, GError **error);
void skeleton_free(Skeleton *skeleton);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Skeleton, skeleton_free)
/* The soft skeleton of @image; borrowed, valid until the next call. */
const float *skeleton_forward(Skeleton *skeleton, const float *image);
/* @dimage += d loss / d image, for @dskeleton = d loss / d of the latest skeleton. */
void skeleton_backward(Skeleton *skeleton, const float *dskeleton, float *dimage);
