/* overlay_cases.h - the cases of one validation: which went worst and best, and their pictures.
 */
#pragma once

#include "overlay_plane.h"

typedef struct {
    gint64 number;
    char *id;
    double dice;
    gint64 counts[256]; /* true voxels of each class */
    char *score;        /* "Dice 0.91 0.88", for the picture */
    OverlaySlice *cut;  /* to draw; NULL: drawn, or among neither the worst nor the best */
    char *plane;        /* "axial" */
    gint64 slice;       /* from 1 */
    GBytes *png;        /* NULL: not drawn */
    char *file;
} OverlayShown;

typedef struct {
    guint most;         /* pictures to keep */
    const char *slices; /* what the slice shown has most of */
    GPtrArray *all;     /* OverlayShown *, owned, in any order */
    GPtrArray *drawn;   /* OverlayShown *, from worst to best */
} OverlayCases;

void overlay_cases_init(OverlayCases *cases, guint most);
void overlay_cases_clear(OverlayCases *cases);
void overlay_cases_reset(OverlayCases *cases);
/* Takes a case (transfer full) into the worst and the best.  TRUE: it is among them and wants
 * a slice; that of the one it drove out is dropped. */
gboolean overlay_cases_add(OverlayCases *cases, OverlayShown *shown);
/* All of one rank as bytes; (transfer full). */
GBytes *overlay_cases_pack(const OverlayCases *cases);
/* Instead of its own, those of all ranks: @all holds the bytes of each.  In the order of their
 * numbers, the worst and best of all with pictures. */
gboolean overlay_cases_unite(OverlayCases *cases, const GPtrArray *all, GError **error);
/* The pictures, then overlays.json that names them, then pictures of the validation before go.
 * @names: of the classes, @classes of them. */
gboolean overlay_cases_write(const OverlayCases *cases, const char *folder, gint64 step,
                             const char *const *names, GError **error);
