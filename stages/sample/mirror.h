/* mirror.h - windows (N,C,D,H,W) turned along axes, in place, and added where they belong. */
#pragma once

#include <loom/loom.h>

/* A set of axes: bit 0 is D, bit 1 H, bit 2 W.  @text: letters of D, H, W; NULL: none.  @key:
 * for the message. */
gboolean mirror_axes(const char *text, const char *key, guint *axes, GError **error);
void mirror_turn(LoomTensor *x, guint axes, LoomPool *pool);
/* @to += @x turned along @axes; same shape. */
void mirror_add(LoomTensor *to, const LoomTensor *x, guint axes, LoomPool *pool);
void mirror_scale(LoomTensor *x, float factor, LoomPool *pool);
