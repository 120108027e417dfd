/* mirror.h - image and label mirrored along axes: what flip and augment_nnunet do alike. */
#pragma once

#include <loom/loom.h>

/* @axes: letters of D, H, W, each at most once, at least one; @key: what the user calls it. */
gboolean mirror_check(const char *key, const char *axes, GError **error);
/* Slots "image" and, where there is one, "label", along each of @axes with @chance. */
gboolean mirror_apply(LoomPacket *packet, const char *axes, double chance, LoomRng *rng,
                      GError **error);
