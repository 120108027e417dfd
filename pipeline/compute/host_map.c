/* host_map - activations in plain host memory, contiguous (N,C,D,H,W). */
#include <loom/host.h>
#include <loom/tensor.h>

#include <stdlib.h>
#include <string.h>

#define HOST_ALIGNMENT 64 /* a cache line, and the widest vector of AVX-512 */

float *loom_host_floats(gint64 count, const char *what, GError **error)
{
    gsize bytes = 0;
    float *floats = NULL;

    g_assert(count >= 0);
    if (g_size_checked_mul(&bytes, (gsize)count, sizeof *floats) && bytes < G_MAXSSIZE / 2) {
        bytes = (bytes / HOST_ALIGNMENT + 1) * HOST_ALIGNMENT;
        floats = aligned_alloc(HOST_ALIGNMENT, bytes);
    }
    if (!floats)
        return loom_fail_null(error, LOOM_ERROR_LIMIT,
                              "no memory for %s of %" G_GINT64_FORMAT " values", what, count);
    return memset(floats, 0, bytes);
}

/* Product of the sizes; -1 where it overflows. */
static gint64 map_count(const gint64 ncdhw[5])
{
    gint64 count = 1;

    for (guint i = 0; i < 5; i++) {
        g_assert(ncdhw[i] > 0);
        if (__builtin_mul_overflow(count, ncdhw[i], &count))
            return -1;
    }
    return count;
}

LoomMap *loom_host_map_new(G_GNUC_UNUSED gpointer self, const gint64 ncdhw[5], GError **error)
{
    const gint64 count = map_count(ncdhw);
    float *floats = NULL;
    LoomMap *map;

    if (count < 0)
        return loom_fail_null(error, LOOM_ERROR_LIMIT,
                              "the product of the sizes of an activation overflows");
    if (!(floats = loom_host_floats(count, "an activation", error)))
        return NULL;
    map = g_new0(LoomMap, 1);
    map->data = floats;
    memcpy(map->ncdhw, ncdhw, sizeof map->ncdhw);
    return map;
}

void loom_host_map_free(G_GNUC_UNUSED gpointer self, LoomMap *map)
{
    if (!map)
        return;
    if (!map->shared)
        free(map->data);
    g_free(map);
}

guint64 loom_host_map_bytes(G_GNUC_UNUSED gpointer self, const gint64 ncdhw[5])
{
    const gint64 count = map_count(ncdhw);

    return count < 0 || count > G_MAXINT64 / 4 ? G_MAXUINT64 : (guint64)count * sizeof(float);
}

/* ---- maps that share memory ----------------------------------------------------------- */

struct _LoomArena {
    float *data;
    guint64 bytes;
};

LoomArena *loom_host_arena_new(G_GNUC_UNUSED gpointer self, guint64 bytes, GError **error)
{
    float *floats;
    LoomArena *arena;

    if (bytes > G_MAXINT64)
        return loom_fail_null(error, LOOM_ERROR_LIMIT, "the bytes of all activations overflow");
    if (!(floats =
              loom_host_floats((gint64)(bytes / sizeof *floats) + 1, "all activations", error)))
        return NULL;
    arena = g_new(LoomArena, 1);
    *arena = (LoomArena){floats, bytes};
    return arena;
}

void loom_host_arena_free(G_GNUC_UNUSED gpointer self, LoomArena *arena)
{
    if (!arena)
        return;
    free(arena->data);
    g_free(arena);
}

LoomMap *loom_host_arena_map(gpointer self, LoomArena *arena, guint64 offset,
                             const gint64 ncdhw[5], G_GNUC_UNUSED GError **error)
{
    const guint64 bytes = loom_host_map_bytes(self, ncdhw);
    LoomMap *map = g_new0(LoomMap, 1);

    g_assert(offset % HOST_ALIGNMENT == 0);
    g_assert(bytes <= arena->bytes && offset <= arena->bytes - bytes);
    map->data = arena->data + offset / sizeof *arena->data;
    map->shared = TRUE;
    memcpy(map->ncdhw, ncdhw, sizeof map->ncdhw);
    return map;
}

/* Our callers' mistake, not the user's: sizes were checked when the model opened. */
static void map_check(const LoomMap *map, const LoomTensor *tensor)
{
    g_assert(loom_tensor_dtype(tensor) == LOOM_F32 && loom_tensor_rank(tensor) == 5);
    g_assert(memcmp(loom_tensor_shape(tensor), map->ncdhw, sizeof map->ncdhw) == 0);
}

void loom_host_map_import(G_GNUC_UNUSED gpointer self, const LoomTensor *from, LoomMap *to)
{
    map_check(to, from);
    memcpy(to->data, loom_tensor_f32(from), loom_tensor_bytes(from));
}

void loom_host_map_export(G_GNUC_UNUSED gpointer self, const LoomMap *from, LoomTensor *to)
{
    map_check(from, to);
    memcpy(loom_tensor_f32_mut(to), from->data, loom_tensor_bytes(to));
}

gboolean loom_host_block_check(const LoomBlockSpec *spec, GError **error)
{
    const gint64 channels = MAX(spec->c_in[0] + spec->c_in[1], spec->c_out);
    const gint64 factors[] = {spec->n,
                              channels,
                              MAX(spec->in[0], spec->out[0]),
                              MAX(spec->in[1], spec->out[1]),
                              MAX(spec->in[2], spec->out[2]),
                              spec->kernel[0] * spec->kernel[1] * spec->kernel[2]};
    gint64 count = 16;
    gboolean fits = TRUE;

    for (guint i = 0; i < G_N_ELEMENTS(factors) && fits; i++)
        fits = !__builtin_mul_overflow(count, factors[i], &count);
    if (fits)
        return TRUE;
    return loom_fail(error, LOOM_ERROR_LIMIT,
                     "%" G_GINT64_FORMAT " samples of %" G_GINT64_FORMAT " x %" G_GINT64_FORMAT
                     " x %" G_GINT64_FORMAT " voxels and %" G_GINT64_FORMAT
                     " channels cannot be counted",
                     spec->n, spec->in[0], spec->in[1], spec->in[2], channels);
}
