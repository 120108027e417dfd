/* loom/host.h - maps and arrays in plain host memory, for any backend that computes there.
 *
 * A backend that is content with contiguous (N,C,D,H,W) activations writes LOOM_HOST_MEMORY
 * into its descriptor and brings only its blocks.  One with its own layout or its own memory
 * (channel blocks, a GPU) defines LOOM_HOST_OWN before it includes this, declares struct
 * _LoomMap and struct _LoomArray itself, and has the functions that need neither. */
#pragma once

#include <loom/plugin.h>

G_BEGIN_DECLS

#ifndef LOOM_HOST_OWN
/* Both: 64-byte aligned, row-major. */
struct _LoomMap {
    float *data;
    gint64 ncdhw[5];
    gboolean shared; /* the memory belongs to an arena */
};

struct _LoomArray {
    float *data;
    gint64 count;
};
#endif

/* loom_host_floats - zeroed memory of @count floats, 64-byte aligned, for free()
 * Returns: (transfer full): NULL with LOOM_ERROR_LIMIT, @what in the message, when there is not
 *   so much memory. */
LOOM_EXPORT float *loom_host_floats(gint64 count, const char *what, GError **error);

/* loom_host_block_check - can the numbers of this block be counted at all?
 * Everything that it may hold or index, with a factor of 16 to spare, fits into 63 bits; fails
 * with LOOM_ERROR_LIMIT and the sizes. */
LOOM_EXPORT gboolean loom_host_block_check(const LoomBlockSpec *spec, GError **error);

/* The members of LoomBackend of the same names.  @self is not looked at: it may be NULL. */
LOOM_EXPORT LoomMap *loom_host_map_new(gpointer self, const gint64 ncdhw[5], GError **error);
LOOM_EXPORT void loom_host_map_free(gpointer self, LoomMap *map);
LOOM_EXPORT guint64 loom_host_map_bytes(gpointer self, const gint64 ncdhw[5]);
/* The tensor: f32 (N,C,D,H,W) with the sizes of the map. */
LOOM_EXPORT void loom_host_map_import(gpointer self, const LoomTensor *from, LoomMap *to);
LOOM_EXPORT void loom_host_map_export(gpointer self, const LoomMap *from, LoomTensor *to);

LOOM_EXPORT LoomArena *loom_host_arena_new(gpointer self, guint64 bytes, GError **error);
LOOM_EXPORT void loom_host_arena_free(gpointer self, LoomArena *arena);
LOOM_EXPORT LoomMap *loom_host_arena_map(gpointer self, LoomArena *arena, guint64 offset,
                                         const gint64 ncdhw[5], GError **error);

LOOM_EXPORT LoomArray *loom_host_array_new(gpointer self, gint64 count, GError **error);
LOOM_EXPORT void loom_host_array_free(gpointer self, LoomArray *array);
LOOM_EXPORT void loom_host_array_write(gpointer self, LoomArray *array, const float *from);
LOOM_EXPORT void loom_host_array_read(gpointer self, const LoomArray *array, float *to);
LOOM_EXPORT void loom_host_array_zero(gpointer self, LoomArray *array);
LOOM_EXPORT double loom_host_array_norm2(gpointer self, const LoomArray *array);

/* loom_host_sgd - stochastic gradient descent with momentum v:
 *   g = scale grad + decay w;  v = momentum v + g;  w -= rate (nesterov ? g + momentum v : v)
 * Source: torch.optim.SGD, dampening 0. */
LOOM_EXPORT void loom_host_sgd(gpointer self, const LoomSgdUpdate *update, LoomArray *value,
                               const LoomArray *grad, LoomArray *velocity);
/* loom_host_adam - AdamW, with g = scale grad:
 *   w *= 1 - rate decay;  m = beta1 m + (1 - beta1) g;  s = beta2 s + (1 - beta2) g^2
 *   w -= rate (m / (1 - beta1^step)) / (sqrt(s / (1 - beta2^step)) + epsilon)
 * Source: Loshchilov, Hutter 2019; torch.optim.AdamW. */
LOOM_EXPORT void loom_host_adam(gpointer self, const LoomAdamUpdate *update, LoomArray *value,
                                const LoomArray *grad, LoomArray *mean, LoomArray *square);

#define LOOM_HOST_MEMORY                                                                       \
    .map_new = loom_host_map_new, .map_free = loom_host_map_free,                              \
    .map_bytes = loom_host_map_bytes, .map_import = loom_host_map_import,                      \
    .map_export = loom_host_map_export, .array_new = loom_host_array_new,                      \
    .array_free = loom_host_array_free, .array_write = loom_host_array_write,                  \
    .array_read = loom_host_array_read, .array_zero = loom_host_array_zero,                    \
    .array_norm2 = loom_host_array_norm2, .sgd = loom_host_sgd, .adam = loom_host_adam,        \
    .arena_new = loom_host_arena_new, .arena_free = loom_host_arena_free,                      \
    .arena_map = loom_host_arena_map

G_END_DECLS
