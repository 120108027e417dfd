/* sweep.h - one case on its way through a network's windows: sums of logits for a slab of
 * planes, decided and forgotten as the windows pass. */
#pragma once

#include "grid_map.h"

#include <loom/loom.h>

/* What stays the same for every case. */
typedef struct {
    const char *model; /* its id, for messages */
    gint64 size[3];    /* of a window */
    double overlap;
    gint64 channels; /* of the logits */
    const gint64
        *regions; /* label of each channel, in the order they are painted; NULL: classes */
    gboolean keep_probabilities;
} SweepRules;

/* Part of the case, along H and W of the padded one, that has sums at a time. */
typedef struct {
    gint64 first[2], end[2]; /* decided here */
    gint64 stored_end[2];    /* a row more where the next native voxel is between two */
} SweepTile;

/* Sizes and positions are those of the padded case; @pad of its first voxels along an axis are
 * padding. */
typedef struct {
    const SweepRules *rules;
    const LoomTensor *image;
    LoomPool *pool;
    gint64 volume[3], padded[3], pad[3];
    gint64 *starts[3];
    guint n[3];
    float *weights[3], *totals[3];
    GridMap map;
    gboolean moved;     /* the prediction lies on another grid than the image */
    GridSteps steps[3]; /* where it does */
    gint64 out[3];      /* sizes of the prediction */
    gint64 depth;       /* planes that have sums */
    guint tiles[2];     /* along H and W */
    SweepTile tile;     /* the one in work */
    LoomTensor *sums;   /* (channels, depth, tile): plane d lies at d % depth */
    gint64 decided;     /* planes that are done */
    float *rows;        /* of each worker: values of one row, then a scratch row */
    gint64 row_floats;  /* of one worker */
    gint infinite;      /* atomic: a logit was not finite */
    LoomTensor *prediction, *probabilities;
} Sweep;

/* @native: the grid of the prediction; NULL, or that of the image itself: no difference. */
gboolean sweep_begin(Sweep *sweep, const SweepRules *rules, const LoomTensor *image,
                     const LoomGeometry *geometry, const LoomGeometry *native, LoomPool *pool,
                     GError **error);
void sweep_clear(Sweep *sweep);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Sweep, sweep_clear)

gint64 sweep_windows(const Sweep *sweep);
/* Bytes of the sums with the case cut into so many tiles, of what comes out, and of rows for
 * each thread. */
guint64 sweep_bytes(const Sweep *sweep, const guint tiles[2], guint threads);
/* FALSE: smaller tiles make no sense. */
gboolean sweep_tiles_more(const Sweep *sweep, guint tiles[2]);
/* Allocates for sweep->tiles; then for each of them sweep_tile_begin, sweep_add of its windows
 * in their order, sweep_tile_end. */
gboolean sweep_allocate(Sweep *sweep, GError **error);
gboolean sweep_tile_begin(Sweep *sweep, guint tile);
gboolean sweep_touches(const Sweep *sweep, gint64 window);
void sweep_fill(const Sweep *sweep, gint64 window, LoomTensor *input, gint64 n);
/* @logits: (channels, size); NULL: nothing is there, which counts as background. */
gboolean sweep_add(Sweep *sweep, gint64 window, const float *logits, GError **error);
gboolean sweep_tile_end(Sweep *sweep, GError **error);

/* sweep_planes.c: decides what plane @d of the padded case, now complete, decides; the planes
 * before it are complete. */
void sweep_plane_decide(Sweep *sweep, gint64 d);
