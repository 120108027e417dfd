/* overlay_paint.h - voxels of a slice on a picture: the image in grey, areas in colours. */
#pragma once

#include "overlay_draw.h"

#include <cairo.h>

#define PANEL 320.0 /* pixels: edge of the square that shows a region */

typedef struct {
    double red, green, blue;
} OverlayColour;

/* A pattern of its own, so that areas are told apart in grey as well. */
typedef enum { HATCH_NONE, HATCH_RISING, HATCH_FALLING, HATCH_DOTS } OverlayHatch;

typedef struct {
    cairo_t *cr;
    const OverlayCase *it;
    OverlayRegion region; /* that the panel shows */
    double scale;         /* pixels a mm */
    double x, y;          /* of the region's corner, pixels */
} OverlayPanel;

/* What prediction and truth say of a voxel together; -1: background, and rightly. */
enum { OUTCOME_RIGHT, OUTCOME_EXTRA, OUTCOME_MISSED, OUTCOME_OTHER, N_OUTCOMES };

/* Which voxels: of a class of the truth or of the prediction, or of an outcome. */
typedef enum { OF_TRUTH, OF_PREDICTION, OF_OUTCOME } OverlayWhat;

void overlay_colour_set(cairo_t *cr, const OverlayColour *colour, double alpha);
/* Lines or dots over (x, y, width, height), which the caller has clipped. */
void overlay_hatch(cairo_t *cr, OverlayHatch hatch, double x, double y, double width,
                   double height);
/* Fills the voxels that have @value, and draws their outline. */
void overlay_area(const OverlayPanel *panel, OverlayWhat what, int value,
                  const OverlayColour *colour, OverlayHatch hatch);
/* The image, from black at the slice's 1st to white at its 99.5th percentile. */
void overlay_grey(const OverlayPanel *panel);
/* Where column @x or row @y of the slice begins, pixels. */
double overlay_pixel_x(const OverlayPanel *panel, gint64 x);
double overlay_pixel_y(const OverlayPanel *panel, gint64 y);
