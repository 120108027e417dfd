/* tensor.h - tensors over memory of somebody else: what arrived is used where it lies. */
#pragma once

#include <loom/tensor.h>

/* loom_tensor_new_over - a tensor over foreign memory, to be read only
 * @data: aligned for @dtype, at least; unchanged until @release (@owner) is called, in the
 *   thread that gives the last reference up.  On failure @owner stays the caller's.
 * It counts as shared: loom_packet_edit copies it before anybody writes.
 * Returns: (transfer full): NULL with LOOM_ERROR_SHAPE or _LIMIT, as loom_tensor_new. */
LoomTensor *loom_tensor_new_over(LoomDtype dtype, const char *axes, const gint64 *shape,
                                 const void *data, GDestroyNotify release, gpointer owner,
                                 GError **error);
/* The elements, whatever their dtype; `mut` asserts that nobody else holds the tensor. */
const void *loom_tensor_memory(const LoomTensor *tensor);
void *loom_tensor_memory_mut(LoomTensor *tensor);
/* Bytes of one element. */
gsize loom_dtype_bytes(LoomDtype dtype);
/* Bytes of a tensor of this rank and these sizes, checked as loom_tensor_new checks them. */
gboolean loom_tensor_measure(LoomDtype dtype, const char *axes, const gint64 *shape,
                             gsize *bytes, GError **error);
