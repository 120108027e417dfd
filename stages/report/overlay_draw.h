/* overlay_draw.h - a slice of a case as a picture: image, truth, prediction, errors. */
#pragma once

#include "overlay_plane.h"

typedef struct {
    const char *id;     /* of the case */
    const char *score;  /* "dice 0.91 0.88", for the heading */
    const float *image; /* (D,H,W) */
    const guint8 *truth, *prediction;
    const OverlayPlane *plane;
    gint64 classes;
    const char *const *names; /* of the classes, ends with NULL; NULL: not known */
} OverlayCase;

/* Around all drawing: the last to leave gives back the fonts that libraries keep. */
void overlay_draw_enter(void);
void overlay_draw_leave(void);
/* As PNG, (transfer full); NULL with LOOM_ERROR_LIMIT or _IO. */
GBytes *overlay_draw(const OverlayCase *it, GError **error);
