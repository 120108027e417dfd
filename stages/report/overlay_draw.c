/* overlay_draw - a slice of a case as a picture, drawn by cairo: the image, and over a part of
 * it the truth, the prediction, and where they differ.  Errors have a hatching of their own
 * besides a colour, so that they are told apart in grey as well. Colours: Okabe and Ito 2008.
 */
#include "overlay_draw.h"

#include <cairo.h>
#include <math.h>
#include <stdlib.h>

#define PANEL 320.0
#define GAP 6.0
#define EDGE 12.0
#define HEAD 44.0
#define FOOT 56.0

typedef enum { HATCH_NONE, HATCH_RISING, HATCH_FALLING, HATCH_DOTS } Hatch;

typedef struct {
    double red, green, blue;
} Colour;

static const Colour class_colours[] = {
    {0.90, 0.62, 0.00}, {0.34, 0.71, 0.91}, {0.80, 0.47, 0.65}, {0.94, 0.89, 0.26},
    {0.00, 0.62, 0.45}, {0.84, 0.37, 0.00}, {0.20, 0.53, 0.80},
};

typedef struct {
    Colour colour;
    Hatch hatch;
    const char *name;
} Outcome;

enum { RIGHT, EXTRA, MISSED, OTHER, N_OUTCOMES };

static const Outcome outcomes[N_OUTCOMES] = {
    [RIGHT] = {{0.00, 0.70, 0.52}, HATCH_NONE, "right"},
    [EXTRA] = {{0.95, 0.45, 0.05}, HATCH_RISING, "false positive"},
    [MISSED] = {{0.34, 0.71, 0.91}, HATCH_FALLING, "missed"},
    [OTHER] = {{0.94, 0.89, 0.26}, HATCH_DOTS, "wrong class"},
};

typedef struct {
    cairo_t *cr;
    const OverlayCase *it;
    OverlayRegion region; /* that the panel shows */
    double scale;         /* pixels a mm */
    double x, y;          /* of the region's corner, pixels */
} Panel;

/* ---- which voxels ------------------------------------------------------------------- */

typedef enum { OF_TRUTH, OF_PREDICTION, OF_OUTCOME } What;

static int outcome_of(guint8 truth, guint8 prediction)
{
    if (truth == prediction)
        return truth ? RIGHT : -1;
    return !truth ? EXTRA : !prediction ? MISSED : OTHER;
}

static gboolean holds(const Panel *panel, What what, int value, gint64 x, gint64 y)
{
    const OverlayCase *it = panel->it;
    const OverlayRegion *region = &panel->region;

    if (x < region->x || y < region->y || x >= region->x + region->width
        || y >= region->y + region->height)
        return FALSE;
    const gint64 v = overlay_plane_at(it->plane, x, y);
    switch (what) {
    case OF_TRUTH:
        return it->truth[v] == value;
    case OF_PREDICTION:
        return it->prediction[v] == value;
    default:
        return outcome_of(it->truth[v], it->prediction[v]) == value;
    }
}

static double pixel_x(const Panel *panel, gint64 x)
{
    return panel->x + (double)(x - panel->region.x) * panel->it->plane->mm_right * panel->scale;
}

static double pixel_y(const Panel *panel, gint64 y)
{
    return panel->y + (double)(y - panel->region.y) * panel->it->plane->mm_down * panel->scale;
}

/* A rectangle for each run of such voxels in a row. */
static gboolean area_path(const Panel *panel, What what, int value)
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
            cairo_rectangle(panel->cr, pixel_x(panel, first), pixel_y(panel, y),
                            pixel_x(panel, x) - pixel_x(panel, first),
                            pixel_y(panel, y + 1) - pixel_y(panel, y));
        }
    return any;
}

/* The edges between such voxels and others. */
static void outline_path(const Panel *panel, What what, int value)
{
    const OverlayRegion *region = &panel->region;
    cairo_t *cr = panel->cr;

    cairo_new_path(cr);
    for (gint64 y = region->y; y <= region->y + region->height; y++)
        for (gint64 x = region->x; x <= region->x + region->width; x++) {
            const gboolean here = holds(panel, what, value, x, y);

            if (here != holds(panel, what, value, x - 1, y)) {
                cairo_move_to(cr, pixel_x(panel, x), pixel_y(panel, y));
                cairo_line_to(cr, pixel_x(panel, x), pixel_y(panel, y + 1));
            }
            if (here != holds(panel, what, value, x, y - 1)) {
                cairo_move_to(cr, pixel_x(panel, x), pixel_y(panel, y));
                cairo_line_to(cr, pixel_x(panel, x + 1), pixel_y(panel, y));
            }
        }
}

/* ---- paint -------------------------------------------------------------------------- */

static void colour_set(cairo_t *cr, const Colour *colour, double alpha)
{
    cairo_set_source_rgba(cr, colour->red, colour->green, colour->blue, alpha);
}

/* Lines or dots over (x, y, width, height), which the caller has clipped. */
static void hatch_draw(cairo_t *cr, Hatch hatch, double x, double y, double width,
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

static void area_draw(const Panel *panel, What what, int value, const Colour *colour,
                      Hatch hatch)
{
    cairo_t *cr = panel->cr;

    if (!area_path(panel, what, value))
        return;
    cairo_save(cr);
    cairo_set_antialias(cr, CAIRO_ANTIALIAS_NONE); /* no seams between the rows */
    colour_set(cr, colour, 0.38);
    cairo_fill_preserve(cr);
    cairo_clip(cr);
    cairo_set_antialias(cr, CAIRO_ANTIALIAS_DEFAULT);
    colour_set(cr, colour, 0.95);
    hatch_draw(cr, hatch, panel->x, panel->y, PANEL, PANEL);
    cairo_restore(cr);
    outline_path(panel, what, value);
    cairo_set_line_width(cr, 1.4);
    cairo_set_line_cap(cr, CAIRO_LINE_CAP_SQUARE);
    colour_set(cr, colour, 1);
    cairo_stroke(cr);
}

static int floats_compare(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;

    return x < y ? -1 : x > y;
}

/* Intensities that become black and white: the slice's 1st and 99.5th percentile. */
static void contrast_find(const OverlayCase *it, float *black, float *white)
{
    const OverlayPlane *plane = it->plane;
    const gint64 n = plane->n_right * plane->n_down;
    g_autofree float *values = g_new(float, (gsize)n);

    for (gint64 y = 0; y < plane->n_down; y++)
        for (gint64 x = 0; x < plane->n_right; x++)
            values[y * plane->n_right + x] = it->image[overlay_plane_at(plane, x, y)];
    qsort(values, (gsize)n, sizeof *values, floats_compare);
    *black = values[n / 100];
    *white = values[MIN(n - 1, n - n / 200)];
}

/* The region in grey, a pixel a voxel. */
static cairo_surface_t *grey_make(const Panel *panel)
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
            const gint64 v = overlay_plane_at(panel->it->plane, region->x + x, region->y + y);
            const float share =
                white > black ? (panel->it->image[v] - black) / (white - black) : 0;
            const guint32 level =
                share > 0 ? (guint32)(255 * MIN(share, 1.0f)) : 0; /* NaN: 0 */

            ((guint32 *)(void *)(rows + y * stride))[x] = level << 16 | level << 8 | level;
        }
    cairo_surface_mark_dirty(surface);
    return surface;
}

static void grey_draw(const Panel *panel)
{
    const OverlayPlane *plane = panel->it->plane;
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

/* ---- words -------------------------------------------------------------------------- */

static void text_draw(cairo_t *cr, double x, double y, double along, const char *text)
{
    cairo_text_extents_t extents;

    cairo_text_extents(cr, text, &extents);
    cairo_move_to(cr, x - along * extents.x_advance, y);
    cairo_show_text(cr, text);
}

/* White with a dark seam: readable on any image. */
static void label_draw(cairo_t *cr, double x, double y, double along, const char *text)
{
    cairo_text_extents_t extents;

    cairo_text_extents(cr, text, &extents);
    cairo_move_to(cr, x - along * extents.x_advance, y);
    cairo_text_path(cr, text);
    cairo_set_source_rgba(cr, 0, 0, 0, 0.75);
    cairo_set_line_width(cr, 3);
    cairo_set_line_join(cr, CAIRO_LINE_JOIN_ROUND);
    cairo_stroke_preserve(cr);
    cairo_set_source_rgb(cr, 1, 1, 1);
    cairo_fill(cr);
}

static void letter_draw(cairo_t *cr, double x, double y, char letter)
{
    const char text[2] = {letter, 0};

    if (letter)
        label_draw(cr, x, y, 0.5, text);
}

/* 1, 2 or 5 times a power of ten, at most a third of the panel. */
static void bar_draw(const Panel *panel, double x, double y)
{
    const double most = PANEL / 3 / panel->scale, power = pow(10, floor(log10(most)));
    const double mm = most >= 5 * power ? 5 * power : most >= 2 * power ? 2 * power : power;
    g_autofree char *text = g_strdup_printf("%g mm", mm);

    cairo_rectangle(panel->cr, x + 10, y + PANEL - 12, mm * panel->scale, 3);
    cairo_set_source_rgba(panel->cr, 0, 0, 0, 0.75);
    cairo_set_line_width(panel->cr, 2);
    cairo_stroke_preserve(panel->cr);
    cairo_set_source_rgb(panel->cr, 1, 1, 1);
    cairo_fill(panel->cr);
    label_draw(panel->cr, x + 10, y + PANEL - 18, 0, text);
}

/* ---- panels ------------------------------------------------------------------------- */

/* Black, with the region in its middle, as large as fits. */
static void panel_begin(Panel *panel, double x, double y, const OverlayRegion *region)
{
    const OverlayPlane *plane = panel->it->plane;
    const double width = (double)region->width * plane->mm_right;
    const double height = (double)region->height * plane->mm_down;

    panel->region = *region;
    panel->scale = PANEL / MAX(width, height);
    panel->x = x + (PANEL - width * panel->scale) / 2;
    panel->y = y + (PANEL - height * panel->scale) / 2;
    cairo_save(panel->cr);
    cairo_rectangle(panel->cr, x, y, PANEL, PANEL);
    cairo_set_source_rgb(panel->cr, 0, 0, 0);
    cairo_fill_preserve(panel->cr);
    cairo_clip(panel->cr);
    grey_draw(panel);
}

static void panel_end(Panel *panel, double x, double y, const char *title)
{
    const OverlayPlane *plane = panel->it->plane;
    cairo_t *cr = panel->cr;

    cairo_set_font_size(cr, 13);
    label_draw(cr, x + 10, y + 20, 0, title);
    cairo_set_font_size(cr, 12);
    letter_draw(cr, x + 9, y + PANEL / 2 + 4, plane->left_end);
    letter_draw(cr, x + PANEL - 9, y + PANEL / 2 + 4, plane->right_end);
    letter_draw(cr, x + PANEL / 2, y + 16, plane->top_end);
    letter_draw(cr, x + PANEL / 2, y + PANEL - 7, plane->bottom_end);
    bar_draw(panel, x, y);
    cairo_restore(cr);
}

static void classes_draw(const Panel *panel, What what)
{
    for (gint64 k = 1; k < panel->it->classes; k++)
        area_draw(panel, what, (int)k,
                  &class_colours[(k - 1) % (gint64)G_N_ELEMENTS(class_colours)], HATCH_NONE);
}

static void panels_draw(Panel *panel, const OverlayRegion *part)
{
    const OverlayPlane *plane = panel->it->plane;
    const OverlayRegion whole = {0, 0, plane->n_right, plane->n_down};
    const double x[] = {EDGE, EDGE + PANEL + GAP}, y[] = {HEAD, HEAD + PANEL + GAP};

    panel_begin(panel, x[0], y[0], &whole);
    if (part->width < whole.width || part->height < whole.height) { /* where the others are */
        cairo_rectangle(panel->cr, pixel_x(panel, part->x), pixel_y(panel, part->y),
                        pixel_x(panel, part->width) - pixel_x(panel, 0),
                        pixel_y(panel, part->height) - pixel_y(panel, 0));
        cairo_set_source_rgba(panel->cr, 1, 1, 1, 0.9);
        cairo_set_line_width(panel->cr, 1.2);
        cairo_stroke(panel->cr);
    }
    panel_end(panel, x[0], y[0], "image");
    panel_begin(panel, x[1], y[0], part);
    classes_draw(panel, OF_TRUTH);
    panel_end(panel, x[1], y[0], "truth");
    panel_begin(panel, x[0], y[1], part);
    classes_draw(panel, OF_PREDICTION);
    panel_end(panel, x[0], y[1], "prediction");
    panel_begin(panel, x[1], y[1], part);
    for (int i = 0; i < N_OUTCOMES; i++)
        area_draw(panel, OF_OUTCOME, i, &outcomes[i].colour, outcomes[i].hatch);
    panel_end(panel, x[1], y[1], "errors");
}

/* ---- heading and legend ------------------------------------------------------------- */

/* Returns where the next one begins. */
static double swatch_draw(cairo_t *cr, double x, double y, const Colour *colour, Hatch hatch,
                          const char *name)
{
    cairo_text_extents_t extents;

    cairo_save(cr);
    cairo_rectangle(cr, x, y - 10, 18, 12);
    colour_set(cr, colour, 0.38);
    cairo_fill_preserve(cr);
    cairo_clip_preserve(cr);
    colour_set(cr, colour, 0.95);
    cairo_set_line_width(cr, 2);
    cairo_stroke(cr);
    hatch_draw(cr, hatch, x, y - 10, 18, 12);
    cairo_restore(cr);
    cairo_set_source_rgb(cr, 0.88, 0.9, 0.92);
    text_draw(cr, x + 24, y, 0, name);
    cairo_text_extents(cr, name, &extents);
    return x + 24 + extents.x_advance + 16;
}

static void heading_draw(const Panel *panel, double width)
{
    const OverlayPlane *plane = panel->it->plane;
    g_autofree char *place =
        g_strdup_printf("%s%sslice %" G_GINT64_FORMAT " of %" G_GINT64_FORMAT, plane->name,
                        *plane->name ? " " : "", plane->index + 1, plane->n);

    cairo_set_source_rgb(panel->cr, 1, 1, 1);
    cairo_set_font_size(panel->cr, 15);
    text_draw(panel->cr, EDGE, 20, 0, panel->it->id);
    cairo_set_source_rgb(panel->cr, 0.75, 0.78, 0.82);
    cairo_set_font_size(panel->cr, 12);
    text_draw(panel->cr, EDGE, 37, 0, panel->it->score);
    text_draw(panel->cr, width - EDGE, 37, 1, place);
}

static void legend_draw(const Panel *panel, double y)
{
    const OverlayCase *it = panel->it;
    double x = EDGE;

    cairo_set_font_size(panel->cr, 12);
    for (gint64 k = 1; k < it->classes && x < 2 * PANEL; k++) {
        g_autofree char *number = g_strdup_printf("class %" G_GINT64_FORMAT, k);

        x = swatch_draw(panel->cr, x, y,
                        &class_colours[(k - 1) % (gint64)G_N_ELEMENTS(class_colours)],
                        HATCH_NONE, it->names ? it->names[k] : number);
    }
    x = EDGE;
    for (int i = 0; i < (it->classes > 2 ? N_OUTCOMES : OTHER); i++)
        x = swatch_draw(panel->cr, x, y + 22, &outcomes[i].colour, outcomes[i].hatch,
                        outcomes[i].name);
}

static cairo_status_t bytes_append(void *closure, const unsigned char *bytes, unsigned int n)
{
    g_byte_array_append(closure, bytes, n);
    return CAIRO_STATUS_SUCCESS;
}

GBytes *overlay_draw(const OverlayCase *it, GError **error)
{
    const double width = 2 * EDGE + 2 * PANEL + GAP, height = HEAD + 2 * PANEL + GAP + FOOT;
    cairo_surface_t *surface =
        cairo_image_surface_create(CAIRO_FORMAT_RGB24, (int)width, (int)height);
    Panel panel = {.cr = cairo_create(surface), .it = it};
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    OverlayRegion part;

    cairo_set_source_rgb(panel.cr, 0.09, 0.1, 0.12);
    cairo_paint(panel.cr);
    cairo_select_font_face(panel.cr, "sans-serif", CAIRO_FONT_SLANT_NORMAL,
                           CAIRO_FONT_WEIGHT_NORMAL);
    overlay_plane_region(it->plane, it->truth, it->prediction, &part);
    panels_draw(&panel, &part);
    heading_draw(&panel, width);
    legend_draw(&panel, height - FOOT + 22);
    cairo_status_t status = cairo_status(panel.cr);
    cairo_destroy(panel.cr);
    if (status == CAIRO_STATUS_SUCCESS)
        status = cairo_surface_write_to_png_stream(surface, bytes_append, bytes);
    cairo_surface_destroy(surface);
    if (status != CAIRO_STATUS_SUCCESS)
        return loom_fail_null(
            error, status == CAIRO_STATUS_NO_MEMORY ? LOOM_ERROR_LIMIT : LOOM_ERROR_IO,
            "the overlay of '%s' cannot be drawn: %s", it->id, cairo_status_to_string(status));
    return g_byte_array_free_to_bytes(g_steal_pointer(&bytes));
}
