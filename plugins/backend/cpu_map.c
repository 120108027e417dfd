/* cpu_map - activations as planes of 16 channels, (N, C/16, D, H, W, 16), or of as many as
 * there are, (N, D, H, W, C). */
#include "cpu.h"

#include <loom/tensor.h>

#include <stdlib.h>
#include <string.h>

#define NARROW 8 /* channels at most of a map that has no lanes without one */

gint64 map_planes(gint64 channels)
{
    return (channels + CPU_BLOCK - 1) / CPU_BLOCK;
}

/* Of a voxel in one plane. */
static gint64 map_width(gint64 channels)
{
    return channels <= NARROW ? channels : CPU_BLOCK;
}

static gint64 number_bytes(const Cpu *cpu, gint64 channels)
{
    return channels > NARROW && cpu->precision == CPU_BF16 ? 2 : 4;
}

/* Floats that the planes take, in whole cache lines; -1 where that overflows. */
static gint64 map_floats(const Cpu *cpu, const gint64 ncdhw[5])
{
    gint64 count = map_width(ncdhw[1]);

    for (guint i = 0; i < 5; i++) {
        g_assert(ncdhw[i] > 0);
        if (__builtin_mul_overflow(count, i == 1 ? map_planes(ncdhw[i]) : ncdhw[i], &count))
            return -1;
    }
    if (number_bytes(cpu, ncdhw[1]) == 2)
        count = count / 2 + count % 2;
    return count > G_MAXINT64 - CPU_BLOCK ? -1
                                          : (count + CPU_BLOCK - 1) / CPU_BLOCK * CPU_BLOCK;
}

/* Floats of scale and shift. */
static gint64 norm_floats(const gint64 ncdhw[5])
{
    return 2 * ncdhw[0] * map_planes(ncdhw[1]) * CPU_BLOCK;
}

/* Without its memory. */
static LoomMap *map_blank(const Cpu *cpu, const gint64 ncdhw[5])
{
    LoomMap *map = g_new0(LoomMap, 1);

    memcpy(map->ncdhw, ncdhw, sizeof map->ncdhw);
    map->planes = map_planes(ncdhw[1]);
    map->voxels = ncdhw[2] * ncdhw[3] * ncdhw[4];
    map->width = map_width(ncdhw[1]);
    map->bytes = number_bytes(cpu, ncdhw[1]);
    return map;
}

LoomMap *map_new(gpointer self, const gint64 ncdhw[5], GError **error)
{
    const gint64 floats = map_floats(self, ncdhw);
    LoomMap *map;

    if (floats < 0)
        return loom_fail_null(error, LOOM_ERROR_LIMIT,
                              "the product of the sizes of an activation overflows");
    map = map_blank(self, ncdhw);
    if ((map->data = (guint8 *)memory_new(floats, "an activation", error))
        && (map->scale = memory_new(norm_floats(ncdhw), "a normalisation", error))) {
        map->shift = map->scale + norm_floats(ncdhw) / 2;
        return map;
    }
    map_free(self, map);
    return NULL;
}

void map_free(G_GNUC_UNUSED gpointer self, LoomMap *map)
{
    if (!map)
        return;
    if (!map->shared) {
        free(map->data);
        free(map->scale);
    }
    g_free(map);
}

guint64 map_bytes(gpointer self, const gint64 ncdhw[5])
{
    const gint64 floats = map_floats(self, ncdhw);

    if (floats < 0 || floats > G_MAXINT64 / 16)
        return G_MAXUINT64;
    return sizeof(LoomMap) + memory_bytes(floats) + memory_bytes(norm_floats(ncdhw));
}

/* ---- maps that share memory ----------------------------------------------------------- */

struct _LoomArena {
    guint8 *data;
    guint64 bytes;
};

LoomArena *arena_new(G_GNUC_UNUSED gpointer self, guint64 bytes, GError **error)
{
    guint8 *data;
    LoomArena *arena;

    if (bytes > G_MAXINT64 / 2)
        return loom_fail_null(error, LOOM_ERROR_LIMIT, "the bytes of all activations overflow");
    if (!(data =
              (guint8 *)memory_take((gint64)(bytes / sizeof(float)), "all activations", error)))
        return NULL;
    arena = g_new(LoomArena, 1);
    *arena = (LoomArena){data, bytes};
    return arena;
}

void arena_free(G_GNUC_UNUSED gpointer self, LoomArena *arena)
{
    if (!arena)
        return;
    free(arena->data);
    g_free(arena);
}

LoomMap *arena_map(gpointer self, LoomArena *arena, guint64 offset, const gint64 ncdhw[5],
                   G_GNUC_UNUSED GError **error)
{
    const guint64 bytes = map_bytes(self, ncdhw);
    LoomMap *map = map_blank(self, ncdhw);

    g_assert(offset % 64 == 0 && bytes <= arena->bytes && offset <= arena->bytes - bytes);
    map->shared = TRUE;
    map->data = arena->data + offset;
    map->scale = (float *)(gpointer)map->data + map_floats(self, ncdhw); /* whole cache lines */
    map->shift = map->scale + norm_floats(ncdhw) / 2;
    return map;
}

CpuPlane map_plane(const LoomMap *map, gint64 plane)
{
    const gint64 numbers = map->voxels * map->width;

    return (CpuPlane){
        .data = map->data + plane * numbers * map->bytes,
        .step = map->planes * numbers,
        .scale = map->pending ? map->scale + plane * CPU_BLOCK : NULL,
        .shift = map->pending ? map->shift + plane * CPU_BLOCK : NULL,
        .scale_step = map->planes * CPU_BLOCK,
        .slope = map->slope,
        .first = plane * CPU_BLOCK,
        .lanes = MIN(CPU_BLOCK, map->ncdhw[1] - plane * CPU_BLOCK),
        .narrow = map->width < CPU_BLOCK,
    };
}

void map_to_planes(const LoomMap *map, gint64 first, gboolean add, CpuPlane *planes)
{
    for (gint64 i = 0; i < map->planes; i++) {
        planes[i] = map_plane(map, i);
        planes[i].first += first;
        planes[i].add = add;
    }
}

/* ---- plain tensors -------------------------------------------------------------------- */

typedef struct {
    const Cpu *cpu;
    const LoomMap *map;
    float *plain;
    gint64 chunks;
} Move;

/* Portion @i of the work: a sample, one of its planes, some of its voxels. */
typedef struct {
    gint64 sample, first, voxels;
    CpuPlane of;
    float *plain;
} Portion;

static Portion portion_of(const Move *move, gint64 i)
{
    const LoomMap *map = move->map;
    const gint64 plane = i / move->chunks % map->planes;
    Portion p = {.sample = i / move->chunks / map->planes,
                 .first = i % move->chunks * CPU_CHUNK,
                 .of = map_plane(map, plane)};

    p.voxels = MIN(CPU_CHUNK, map->voxels - p.first);
    p.plain = move->plain + (p.sample * map->ncdhw[1] + plane * CPU_BLOCK) * map->voxels;
    return p;
}

static void import_portion(gint64 i, G_GNUC_UNUSED guint worker, gpointer data)
{
    const Move *move = data;
    const Portion p = portion_of(move, i);

    move->cpu->kernels->to_plane(p.plain, move->map->voxels, &p.of, p.sample, p.first,
                                 p.voxels);
}

static void export_portion(gint64 i, G_GNUC_UNUSED guint worker, gpointer data)
{
    const Move *move = data;
    const Portion p = portion_of(move, i);

    move->cpu->kernels->from_plane(&p.of, p.sample, p.first, p.voxels, p.plain,
                                   move->map->voxels);
}

static void map_move(const Cpu *cpu, const LoomMap *map, float *plain, LoomParallelFunc func)
{
    Move move = {cpu, map, plain, (map->voxels + CPU_CHUNK - 1) / CPU_CHUNK};

    loom_pool_run(cpu->pool, map->ncdhw[0] * map->planes * move.chunks, func, &move);
}

/* Our callers' mistake, not the user's: sizes were checked when the model opened. */
static void map_check(const LoomMap *map, const LoomTensor *tensor)
{
    g_assert(loom_tensor_dtype(tensor) == LOOM_F32 && loom_tensor_rank(tensor) == 5);
    g_assert(memcmp(loom_tensor_shape(tensor), map->ncdhw, sizeof map->ncdhw) == 0);
}

void map_import(gpointer self, const LoomTensor *from, LoomMap *to)
{
    map_check(to, from);
    to->pending = FALSE;
    /* only read: the plane's kernels know one type of pointer */
    map_move(self, to, (float *)(guintptr)loom_tensor_f32(from), import_portion);
}

void map_export(gpointer self, const LoomMap *from, LoomTensor *to)
{
    map_check(from, to);
    map_move(self, from, loom_tensor_f32_mut(to), export_portion);
}
