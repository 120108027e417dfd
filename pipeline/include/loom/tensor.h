/* loom/tensor.h - contiguous arrays with named axes.
 *
 * Row-major, W fastest (the file's first axis), rank <= 5.  Memory of loom_tensor_new is
 * 64-byte aligned; that of a tensor which came from another process is aligned for its dtype
 * and no more.  The axes are a string of letters out of N C D H W K, one a dimension: "NCDHW",
 * "DHW",
 * "" for a scalar. */
#pragma once

#include <loom/plugin.h>

G_BEGIN_DECLS

#define LOOM_MAX_RANK 5

/* loom_tensor_new - a zeroed tensor
 * @shape: one size a letter of @axes, each at least 1
 * Returns: (transfer full): NULL with LOOM_ERROR_LIMIT when the product overflows or memory is
 *   not to be had. */
LOOM_EXPORT LoomTensor *loom_tensor_new(LoomDtype dtype, const char *axes, const gint64 *shape,
                                        GError **error);
/* A tensor of sizes alone: it has no data, and takes no memory.  For LoomStage.need; nobody
 * reads or writes it.  Errors as loom_tensor_new. */
LOOM_EXPORT LoomTensor *loom_tensor_sketch(LoomDtype dtype, const char *axes,
                                           const gint64 *shape, GError **error);
/* A zeroed tensor of the same dtype, axes and sizes. */
LOOM_EXPORT LoomTensor *loom_tensor_new_like(const LoomTensor *like, GError **error);
/* An f64 scalar. */
LOOM_EXPORT LoomTensor *loom_tensor_new_scalar(double value);
LOOM_EXPORT LoomTensor *loom_tensor_copy(const LoomTensor *from, GError **error);
LOOM_EXPORT LoomTensor *loom_tensor_ref(LoomTensor *tensor);
LOOM_EXPORT void loom_tensor_unref(LoomTensor *tensor);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LoomTensor, loom_tensor_unref)

LOOM_EXPORT LoomDtype loom_tensor_dtype(const LoomTensor *tensor);
LOOM_EXPORT const char *loom_tensor_axes(const LoomTensor *tensor);
LOOM_EXPORT guint loom_tensor_rank(const LoomTensor *tensor);
LOOM_EXPORT const gint64 *loom_tensor_shape(const LoomTensor *tensor);
/* Size along @axis; 1 where the tensor has no such axis. */
LOOM_EXPORT gint64 loom_tensor_size(const LoomTensor *tensor, char axis);
/* Number of elements; from @axis on (product of the sizes of that axis and all faster ones). */
LOOM_EXPORT gint64 loom_tensor_count(const LoomTensor *tensor);
LOOM_EXPORT gint64 loom_tensor_count_from(const LoomTensor *tensor, char axis);
LOOM_EXPORT gsize loom_tensor_bytes(const LoomTensor *tensor);

/* Data to read.  Asserts the dtype. */
LOOM_EXPORT const float *loom_tensor_f32(const LoomTensor *tensor);
LOOM_EXPORT const guint8 *loom_tensor_u8(const LoomTensor *tensor);
LOOM_EXPORT double loom_tensor_scalar(const LoomTensor *tensor);
/* Data to write.  Asserts the dtype, and that nobody else holds the tensor. */
LOOM_EXPORT float *loom_tensor_f32_mut(LoomTensor *tensor);
LOOM_EXPORT guint8 *loom_tensor_u8_mut(LoomTensor *tensor);

/* "f32 (C,D,H,W) = (1,35,51,34)", for messages. */
LOOM_EXPORT char *loom_tensor_describe(const LoomTensor *tensor);
/* Fails with LOOM_ERROR_SHAPE, naming @what, unless dtype and axes are these. */
LOOM_EXPORT gboolean loom_tensor_check(const LoomTensor *tensor, LoomDtype dtype,
                                       const char *axes, const char *what, GError **error);
/* Fails with LOOM_ERROR_SHAPE unless D, H and W agree. */
LOOM_EXPORT gboolean loom_tensor_check_grid(const LoomTensor *a, const char *a_name,
                                            const LoomTensor *b, const char *b_name,
                                            GError **error);
/* Tensors alive in this process: 0 at the end of every test and every run. */
LOOM_EXPORT gint loom_tensor_alive(void);

G_END_DECLS
