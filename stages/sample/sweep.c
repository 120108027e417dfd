/* sweep - sums of logits:
 *   mean[k,v] = sum_i w_i(v) logits_i[k,v] / sum_i w_i(v)
 * over windows i in the order of D, H, W.  Planes that no later window reaches are decided and
 * their room is used again, so sums exist for as many planes as a window is deep, never for the
 * whole case; where even those are too many, the case is swept in tiles along H and W, and the
 * windows on a seam are computed for both.  Every voxel's sum has the same terms in the same
 * order whatever the tiles. */
#include "sweep.h"

#include "patch.h"
#include "windows.h"

#include <string.h>

/* What a window without anything in it adds: as sure a background as networks are. */
#define SWEEP_EMPTY 10.0f
#define SWEEP_TILE_LEAST 16 /* voxels */

void sweep_clear(Sweep *sweep)
{
    for (guint i = 0; i < 3; i++) {
        g_free(sweep->starts[i]);
        g_free(sweep->weights[i]);
        g_free(sweep->totals[i]);
        grid_steps_clear(&sweep->steps[i]);
    }
    g_free(sweep->rows);
    loom_tensor_unref(sweep->sums);
    loom_tensor_unref(sweep->prediction);
    loom_tensor_unref(sweep->probabilities);
}

/* ---- before the first window -------------------------------------------------------- */

static gboolean grids_compare(Sweep *sweep, const LoomGeometry *geometry,
                              const LoomGeometry *native, GError **error)
{
    memcpy(sweep->out, sweep->volume, sizeof sweep->out);
    if (!geometry || !native || geometry == native)
        return TRUE;
    if (!grid_map_find(&sweep->map, geometry, native, error))
        return FALSE;
    for (guint a = 0; a < 3; a++)
        if (sweep->map.working[a] != sweep->volume[a])
            return loom_fail(error, LOOM_ERROR_SHAPE,
                             "the image does not have the size of its own grid: the stage that "
                             "moved it is at fault");
    sweep->moved = !grid_map_same(&sweep->map);
    memcpy(sweep->out, sweep->map.native, sizeof sweep->out);
    for (guint a = 0; sweep->moved && a < 3; a++)
        grid_steps_make(&sweep->steps[a], &sweep->map, a);
    return TRUE;
}

gboolean sweep_begin(Sweep *sweep, const SweepRules *rules, const LoomTensor *image,
                     const LoomGeometry *geometry, const LoomGeometry *native, LoomPool *pool,
                     GError **error)
{
    sweep->rules = rules;
    sweep->image = image;
    sweep->pool = pool;
    sweep->tiles[0] = sweep->tiles[1] = 1;
    for (guint i = 0; i < 3; i++) {
        sweep->volume[i] = loom_tensor_shape(image)[1 + i];
        sweep->padded[i] = MAX(sweep->volume[i], rules->size[i]);
        sweep->pad[i] = -patch_centre(sweep->volume[i], rules->size[i]);
        sweep->starts[i] =
            windows_starts(sweep->padded[i], rules->size[i], rules->overlap, &sweep->n[i]);
        sweep->weights[i] = windows_weights(rules->size[i]);
        sweep->totals[i] = windows_totals(sweep->padded[i], rules->size[i], sweep->starts[i],
                                          sweep->n[i], sweep->weights[i]);
    }
    if (!grids_compare(sweep, geometry, native, error))
        return FALSE;
    /* between two grids a plane is needed until the one behind it is complete */
    sweep->depth = rules->size[0] + (sweep->moved ? 1 : 0);
    return TRUE;
}

gint64 sweep_windows(const Sweep *sweep)
{
    return (gint64)sweep->n[0] * sweep->n[1] * sweep->n[2];
}

/* Voxels along H (0) or W (1) of the largest of so many tiles, with the row between tiles. */
static gint64 tile_edge(const Sweep *sweep, guint axis, guint tiles)
{
    const gint64 all = sweep->padded[1 + axis];

    return tiles == 1 ? all : (all + tiles - 1) / tiles + (sweep->moved ? 1 : 0);
}

/* Of one worker, where the prediction lies on another grid. */
static gint64 row_floats(const Sweep *sweep)
{
    return sweep->moved ? sweep->rules->channels * sweep->steps[2].n + sweep->volume[2] : 0;
}

guint64 sweep_bytes(const Sweep *sweep, const guint tiles[2], guint threads)
{
    const guint64 out = (guint64)(sweep->out[0] * sweep->out[1] * sweep->out[2]);
    const guint64 sums =
        (guint64)(sweep->rules->channels * sweep->depth)
        * (guint64)(tile_edge(sweep, 0, tiles[0]) * tile_edge(sweep, 1, tiles[1]));

    return (sums + threads * (guint64)row_floats(sweep)) * sizeof(float) + out
           + (sweep->rules->keep_probabilities
                  ? out * (guint64)sweep->rules->channels * sizeof(float)
                  : 0);
}

gboolean sweep_tiles_more(const Sweep *sweep, guint tiles[2])
{
    const guint axis = tile_edge(sweep, 0, tiles[0]) >= tile_edge(sweep, 1, tiles[1]) ? 0 : 1;

    if (tile_edge(sweep, axis, tiles[axis] + 1) < SWEEP_TILE_LEAST)
        return FALSE;
    tiles[axis]++; /* no more than it must be: the windows on a seam go twice */
    return TRUE;
}

gboolean sweep_allocate(Sweep *sweep, GError **error)
{
    const SweepRules *rules = sweep->rules;
    const gint64 sums[4] = {rules->channels, sweep->depth, tile_edge(sweep, 0, sweep->tiles[0]),
                            tile_edge(sweep, 1, sweep->tiles[1])};
    const gint64 all[4] = {rules->channels, sweep->out[0], sweep->out[1], sweep->out[2]};

    if (!(sweep->sums = loom_tensor_new(LOOM_F32, "CDHW", sums, error))
        || !(sweep->prediction = loom_tensor_new(LOOM_U8, "DHW", sweep->out, error))
        || (rules->keep_probabilities
            && !(sweep->probabilities = loom_tensor_new(LOOM_F32, "CDHW", all, error))))
        return FALSE;
    if (sweep->moved && sweep->probabilities && !rules->regions) { /* outside: background */
        float *background = loom_tensor_f32_mut(sweep->probabilities);

        for (gint64 v = 0; v < all[1] * all[2] * all[3]; v++)
            background[v] = 1;
    }
    if (sweep->moved) {
        sweep->row_floats = row_floats(sweep);
        sweep->rows = g_new(float, (gsize)sweep->row_floats *loom_pool_threads(sweep->pool));
    }
    return TRUE;
}

/* ---- windows ------------------------------------------------------------------------ */

gboolean sweep_tile_begin(Sweep *sweep, guint tile)
{
    const guint at[2] = {tile / sweep->tiles[1], tile % sweep->tiles[1]};
    SweepTile *now = &sweep->tile;

    if (tile >= sweep->tiles[0] * sweep->tiles[1])
        return FALSE;
    for (guint a = 0; a < 2; a++) {
        const gint64 all = sweep->padded[1 + a];
        const gint64 edge = (all + sweep->tiles[a] - 1) / sweep->tiles[a];

        now->first[a] = MIN(edge * at[a], all);
        now->end[a] = MIN(now->first[a] + edge, all);
        now->stored_end[a] = MIN(now->end[a] + (sweep->moved ? 1 : 0), all);
    }
    memset(loom_tensor_f32_mut(sweep->sums), 0, loom_tensor_bytes(sweep->sums));
    sweep->decided = 0;
    return TRUE;
}

static void window_origin(const Sweep *sweep, gint64 window, gint64 origin[3])
{
    origin[0] = sweep->starts[0][window / (sweep->n[1] * sweep->n[2])];
    origin[1] = sweep->starts[1][window / sweep->n[2] % sweep->n[1]];
    origin[2] = sweep->starts[2][window % sweep->n[2]];
}

gboolean sweep_touches(const Sweep *sweep, gint64 window)
{
    gint64 origin[3];

    window_origin(sweep, window, origin);
    for (guint a = 0; a < 2; a++)
        if (origin[1 + a] >= sweep->tile.stored_end[a]
            || origin[1 + a] + sweep->rules->size[1 + a] <= sweep->tile.first[a])
            return FALSE;
    return TRUE;
}

void sweep_fill(const Sweep *sweep, gint64 window, LoomTensor *input, gint64 n)
{
    float *x = loom_tensor_f32_mut(input) + n * loom_tensor_count_from(input, 'C');
    gint64 origin[3];

    window_origin(sweep, window, origin);
    for (guint k = 0; k < 3; k++)
        origin[k] -= sweep->pad[k];
    /* a window reaches outside only where it is the only one along that axis: what lies there
     * has been 0 from the beginning, and no other window writes to it */
    patch_cut(loom_tensor_f32(sweep->image), sizeof *x, loom_tensor_size(input, 'C'),
              sweep->volume, origin, sweep->rules->size, x);
}

/* Planes before @end get no more logits: they are decided, and their room is for later ones. */
static gboolean decide_until(Sweep *sweep, gint64 end, GError **error)
{
    const gint64 plane = loom_tensor_count_from(sweep->sums, 'H');
    float *sums = loom_tensor_f32_mut(sweep->sums);

    for (gint64 d = sweep->decided; d < end; d++) {
        const gint64 done = sweep->moved ? d - 1 : d;

        if (d >= sweep->pad[0] && d < sweep->pad[0] + sweep->volume[0])
            sweep_plane_decide(sweep, d);
        for (gint64 k = 0; done >= 0 && k < sweep->rules->channels; k++)
            memset(sums + (k * sweep->depth + done % sweep->depth) * plane, 0,
                   (gsize)plane * sizeof *sums);
    }
    sweep->decided = MAX(sweep->decided, end);
    return !g_atomic_int_get(&sweep->infinite)
           || loom_fail(error, LOOM_ERROR_NUMERIC,
                        "the logits of the model '%s' are not finite", sweep->rules->model);
}

typedef struct {
    Sweep *sweep;
    gint64 origin[3];
    const float *logits; /* NULL: nothing there */
} Addition;

/* Plane @i of (channels, size[0]). */
static void plane_add(gint64 i, G_GNUC_UNUSED guint worker, gpointer data)
{
    const Addition *add = data;
    Sweep *sweep = add->sweep;
    const SweepRules *rules = sweep->rules;
    const SweepTile *tile = &sweep->tile;
    const gint64 *size = rules->size, *origin = add->origin;
    const gint64 k = i / size[0], d = i % size[0];
    const gint64 height = loom_tensor_size(sweep->sums, 'H'),
                 width = loom_tensor_size(sweep->sums, 'W');
    const gint64 h0 = MAX(0, tile->first[0] - origin[1]),
                 h1 = MIN(size[1], tile->stored_end[0] - origin[1]);
    const gint64 w0 = MAX(0, tile->first[1] - origin[2]),
                 w1 = MIN(size[2], tile->stored_end[1] - origin[2]);
    const float empty = rules->regions || k > 0 ? -SWEEP_EMPTY : SWEEP_EMPTY;
    const float *weights = sweep->weights[2];
    float *plane = loom_tensor_f32_mut(sweep->sums)
                   + (k * sweep->depth + (origin[0] + d) % sweep->depth) * height * width;

    for (gint64 h = h0; h < h1; h++) {
        const float weight = sweep->weights[0][d] * sweep->weights[1][h];
        const float *logits = add->logits ? add->logits + (i * size[1] + h) * size[2] : NULL;
        float *to =
            plane + (origin[1] + h - tile->first[0]) * width + origin[2] - tile->first[1];

        if (logits)
            for (gint64 w = w0; w < w1; w++)
                to[w] += weight * weights[w] * logits[w];
        else
            for (gint64 w = w0; w < w1; w++)
                to[w] += weight * weights[w] * empty;
    }
}

gboolean sweep_add(Sweep *sweep, gint64 window, const float *logits, GError **error)
{
    Addition add = {.sweep = sweep, .logits = logits};

    window_origin(sweep, window, add.origin);
    if (!decide_until(sweep, add.origin[0], error))
        return FALSE;
    loom_pool_run(sweep->pool, sweep->rules->channels * sweep->rules->size[0], plane_add, &add);
    return TRUE;
}

gboolean sweep_tile_end(Sweep *sweep, GError **error)
{
    return decide_until(sweep, sweep->padded[0], error);
}
