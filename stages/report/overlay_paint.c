/* overlay_paint - voxels of a slice on a picture: see overlay_paint.h. */
#include "overlay_paint.h"

#include <stdlib.h>

/* ---- which voxels ------------------------------------------------------------------- */

static int outcome_of(guint8 truth, guint8 prediction)
{
    if (truth == prediction)
        return truth ? OUTCOME_RIGHT : -1;
    return !truth ? OUTCOME_EXTRA : !prediction ? OUTCOME_MISSED : OUTCOME_OTHER;
}

static gboolean holds(const OverlayPanel *panel, OverlayWhat what, int value, gint64 x,
                      gint64 y)
{
    const OverlayCase *it = panel->it;
    const OverlayRegion *region = &panel->region;

    if (x < region->x || y < region->y || x >= region->x + region->width
        || y >= region->y + region->height)
        return FALSE;
    const gint64 v = overlay_plane_at(&it->slice->plane, x, y);
    switch (what) {
    case OF_TRUTH:
        return it->slice->truth[v] == value;
    case OF_PREDICTION:
        return it->slice->prediction[v] == value;
    default:
        return outcome_of(it->slice->truth[v], it->slice->prediction[v]) == value;
    }
}

double overlay_pixel_x(const OverlayPanel *panel, gint64 x)
{
    return panel->x
           + (double)(x - panel->region.x) * panel->it->slice->plane.mm_right * panel->scale;
}

double overlay_pixel_y(const OverlayPanel *panel, gint64 y)
{
    return panel->y
           + (double)(y - panel->region.y) * panel->it->slice->plane.mm_down * panel->scale;
}

/* A rectangle for each run of such voxels in a row. */
static gboolean area_path(const OverlayPanel *panel, OverlayWhat what, int value)
{
    const OverlayRegion *region = &panel->region;
    gboolean any = FALSE;

    cairo_new_path(panel->cr);
    for (gint64 y = region->y; y < region->y + region->height; y++)
        for (gint64 x = region->x; x < region->x + region->width; x++) {
            const gint64 first = x;

            while (holds(panel, what, value, x, y))
                x++;
            if (x == first)
                continue;
            any = TRUE;
            cairo_rectangle(panel->cr, overlay_pixel_x(panel, first), overlay_pixel_y(panel, y),
                            overlay_pixel_x(panel, x) - overlay_pixel_x(panel, first),
                            overlay_pixel_y(panel, y + 1) - overlay_pixel_y(panel, y));
        }
    return any;
}

/* The edges between such voxels and others. */
static void outline_path(const OverlayPanel *panel, OverlayWhat what, int value)
{
    const OverlayRegion *region = &panel->region;
    cairo_t *cr = panel->cr;

    cairo_new_path(cr);
    for (gint64 y = region->y; y <= region->y + region->height; y++)
        for (gint64 x = region->x; x <= region->x + region->width; x++) {
            const gboolean here = holds(panel, what, value, x, y);

            if (here != holds(panel, what, value, x - 1, y)) {
                cairo_move_to(cr, overlay_pixel_x(panel, x), overlay_pixel_y(panel, y));
                cairo_line_to(cr, overlay_pixel_x(panel, x), overlay_pixel_y(panel, y + 1));
            }
            if (here != holds(panel, what, value, x, y - 1)) {
                cairo_move_to(cr, overlay_pixel_x(panel, x), overlay_pixel_y(panel, y));
                cairo_line_to(cr, overlay_pixel_x(panel, x + 1), overlay_pixel_y(panel, y));
            }
        }
}

/* ---- paint -------------------------------------------------------------------------- */

void overlay_colour_set(cairo_t *cr, const OverlayColour *colour, double alpha)
{
    cairo_set_source_rgba(cr, colour->red, colour->green, colour->blue, alpha);
}

void overlay_hatch(cairo_t *cr, OverlayHatch hatch, double x, double y, double width,
                   double height)
{
    const double step = 6;

    cairo_new_path(cr);
    for (double at = -height; hatch == HATCH_RISING && at < width; at += step) {
        cairo_move_to(cr, x + at, y + height);
        cairo_line_to(cr, x + at + height, y);
    }
    for (double at = -height; hatch == HATCH_FALLING && at < width; at += step) {
        cairo_move_to(cr, x + at, y);
        cairo_line_to(cr, x + at + height, y + height);
    }
    cairo_set_line_width(cr, 1.6);
    cairo_stroke(cr);
    for (double v = 2; hatch == HATCH_DOTS && v < height; v += 5)
        for (double u = 2; u < width; u += 5) {
            cairo_arc(cr, x + u, y + v, 1.3, 0, 2 * G_PI);
            cairo_fill(cr);
        }
}

void overlay_area(const OverlayPanel *panel, OverlayWhat what, int value,
                  const OverlayColour *colour, OverlayHatch hatch)
{
    cairo_t *cr = panel->cr;

    if (!area_path(panel, what, value))
        return;
    cairo_save(cr);
    cairo_set_antialias(cr, CAIRO_ANTIALIAS_NONE); /* no seams between the rows */
    overlay_colour_set(cr, colour, 0.38);
    cairo_fill_preserve(cr);
    cairo_clip(cr);
    cairo_set_antialias(cr, CAIRO_ANTIALIAS_DEFAULT);
    overlay_colour_set(cr, colour, 0.95);
    overlay_hatch(cr, hatch, panel->x, panel->y, PANEL, PANEL);
    cairo_restore(cr);
    outline_path(panel, what, value);
    cairo_set_line_width(cr, 1.4);
    cairo_set_line_cap(cr, CAIRO_LINE_CAP_SQUARE);
    overlay_colour_set(cr, colour, 1);
    cairo_stroke(cr);
}

static int floats_compare(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;

    return x < y ? -1 : x > y;
}

/* Intensities that become black and white: the slice's 1st and 99.5th percentile, as far as the
 * image reaches. */
static void contrast_find(const OverlayCase *it, float *black, float *white)
{
    const OverlayPlane *plane = &it->slice->plane;
    g_autofree float *values = g_new(float, (gsize)(plane->n_right * plane->n_down));
    gint64 n = 0;

    *black = *white = 0;
    for (gint64 v = 0; v < plane->n_right * plane->n_down; v++)
        if (isfinite(it->slice->image[v]))
            values[n++] = it->slice->image[v];
    if (!n)
        return;
    qsort(values, (gsize)n, sizeof *values, floats_compare);
    *black = values[n / 100];
    *white = values[MIN(n - 1, n - n / 200)];
}

/* The region in grey, a pixel a voxel. */
static cairo_surface_t *grey_make(const OverlayPanel *panel)
{
    const OverlayRegion *region = &panel->region;
    cairo_surface_t *surface =
        cairo_image_surface_create(CAIRO_FORMAT_RGB24, (int)region->width, (int)region->height);
    guint8 *rows = cairo_image_surface_get_data(surface);
    const int stride = cairo_image_surface_get_stride(surface);
    float black, white;

    if (!rows) /* an error, which the surface remembers */
        return surface;
    contrast_find(panel->it, &black, &white);
    cairo_surface_flush(surface);
    for (gint64 y = 0; y < region->height; y++)
        for (gint64 x = 0; x < region->width; x++) {
            const gint64 v =
                overlay_plane_at(&panel->it->slice->plane, region->x + x, region->y + y);
            const float share =
                white > black ? (panel->it->slice->image[v] - black) / (white - black) : 0;
            const guint32 level =
                share > 0 ? (guint32)(255 * MIN(share, 1.0f)) : 0; /* NaN: 0 */

            ((guint32 *)(void *)(rows + y * stride))[x] = level << 16 | level << 8 | level;
        }
    cairo_surface_mark_dirty(surface);
    return surface;
}

void overlay_grey(const OverlayPanel *panel)
{
    const OverlayPlane *plane = &panel->it->slice->plane;
    cairo_t *cr = panel->cr;
    cairo_surface_t *grey = grey_make(panel);

    cairo_save(cr);
    cairo_rectangle(cr, panel->x, panel->y,
                    (double)panel->region.width * plane->mm_right * panel->scale,
                    (double)panel->region.height * plane->mm_down * panel->scale);
    cairo_clip(cr);
    cairo_translate(cr, panel->x, panel->y);
    cairo_scale(cr, plane->mm_right * panel->scale, plane->mm_down * panel->scale);
    cairo_set_source_surface(cr, grey, 0, 0);
    cairo_pattern_set_filter(cairo_get_source(cr), CAIRO_FILTER_GOOD);
    cairo_pattern_set_extend(cairo_get_source(cr), CAIRO_EXTEND_PAD);
    cairo_paint(cr);
    cairo_restore(cr);
    cairo_surface_destroy(grey);
}
