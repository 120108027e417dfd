/* overlay_plane.h - which slice of a case a person should see, and which way it is turned. */
#pragma once

#include <loom/loom.h>

/* A slice as it lies on a screen.  Axes are those of the tensors: 0 D, 1 H, 2 W. */
typedef struct {
    guint normal, right, down; /* the axis through the slice, and those along the screen's */
    gboolean turn_right, turn_down; /* the index falls along that direction of the screen */
    gint64 index, n;                /* of the slice along the normal, and how many there are */
    gint64 n_right, n_down;         /* voxels */
    double mm_right, mm_down;       /* of a voxel */
    char left_end, right_end, top_end, bottom_end; /* R L A P S I; 0: not known */
    const char *name;                              /* "axial"; "" : not known */
} OverlayPlane;

/* A slice by itself, as it lies on the screen: rows from top to bottom. */
typedef struct {
    OverlayPlane plane; /* of one slice, nothing turned */
    gint64 number, n;   /* of the slice in its case, from 0, and how many there are */
    float *image;
    guint8 *truth, *prediction;
} OverlaySlice;

/* A part of a slice, in voxels of the screen. */
typedef struct {
    gint64 x, y, width, height;
} OverlayRegion;

/* The plane across the axis with the largest voxel edge, since in it the picture is finest; of
 * equal ones axial.  Turned as radiologists do: the patient's right is on the left, front and
 * head are on top.  The index is 0. */
void overlay_plane_find(OverlayPlane *plane, const LoomGeometry *geometry);
/* Offset in a (D,H,W) tensor of the voxel at column @x and row @y of the screen. */
gint64 overlay_plane_at(const OverlayPlane *plane, gint64 x, gint64 y);
/* Sets the index: the slice with most foreground, every class counted as the share of its own
 * voxels so that a small one is seen too, in the truth (none anywhere: in the prediction); or
 * with most voxels that are wrong. */
void overlay_plane_choose(OverlayPlane *plane, const guint8 *truth, const guint8 *prediction,
                          gboolean errors);
/* A square, as far as the slice reaches, around all foreground of both; the whole slice where
 * that would show little more. */
void overlay_plane_region(const OverlayPlane *plane, const guint8 *truth,
                          const guint8 *prediction, OverlayRegion *region);
/* A copy of slice plane->index of a case, its image still to fill in; (transfer full). */
OverlaySlice *overlay_slice_cut(const OverlayPlane *plane, const guint8 *truth,
                                const guint8 *prediction);
void overlay_slice_free(OverlaySlice *slice);
