/* overlay_draw.h - a slice of a case as a picture: image, truth, prediction, errors. */
#pragma once

#include "overlay_plane.h"

typedef struct {
    const char *id;    /* of the case */
    const char *score; /* "Dice 0.91 0.88", for the heading */
    const OverlaySlice *slice;
    gint64 classes;
    const char *const *names; /* of the classes */
} OverlayCase;

/* Around all drawing: the last to leave gives back the fonts that libraries keep. */
void overlay_draw_enter(void);
void overlay_draw_leave(void);
/* As PNG, (transfer full); NULL with LOOM_ERROR_LIMIT or _IO. */
GBytes *overlay_draw(const OverlayCase *it, GError **error);
