/* optimiser.h - what every optimiser does around its update. */
#pragma once

#include <loom/loom.h>

/* Allocates moment[0 .. n-1] of every weight, zeroed; the model frees them.  A second optimiser
 * on the same model is refused. */
gboolean optimiser_moments(const LoomInstance *model, guint n, GError **error);
guint64 optimiser_bytes(const LoomInstance *model, guint n);
/* @norm: of all gradients together.  @scale: what they are to be multiplied by so that it is at
 * most @clip (0: no limit).  Fails with LOOM_ERROR_NUMERIC, naming the packet, when the norm is
 * not finite. */
gboolean optimiser_clip(const LoomInstance *model, double clip, const LoomPacket *packet,
                        double *norm, double *scale, GError **error);
