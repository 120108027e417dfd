/* overlay_draw - a slice of a case as a picture, drawn by cairo: the image, and over a part of
 * it the truth, the prediction, and where they differ.  Errors have a hatching of their own
 * besides a colour, so that they are told apart in grey as well.  Colours: Okabe and Ito 2008.
 */
#include "overlay_draw.h"

#include "overlay_paint.h"

#include <fontconfig/fontconfig.h>
#include <math.h>
#include <pthread.h>

#define GAP 6.0 /* pixels, and so below */
#define EDGE 12.0
#define HEAD 44.0
#define FOOT 56.0

static const OverlayColour class_colours[] = {
    {0.90, 0.62, 0.00}, {0.34, 0.71, 0.91}, {0.80, 0.47, 0.65}, {0.94, 0.89, 0.26},
    {0.00, 0.62, 0.45}, {0.84, 0.37, 0.00}, {0.20, 0.53, 0.80},
};

static const struct {
    OverlayColour colour;
    OverlayHatch hatch;
    const char *name;
} outcomes[N_OUTCOMES] = {
    [OUTCOME_RIGHT] = {{0.00, 0.70, 0.52}, HATCH_NONE, "right"},
    [OUTCOME_EXTRA] = {{0.95, 0.45, 0.05}, HATCH_RISING, "false positive"},
    [OUTCOME_MISSED] = {{0.34, 0.71, 0.91}, HATCH_FALLING, "missed"},
    [OUTCOME_OTHER] = {{0.94, 0.89, 0.26}, HATCH_DOTS, "wrong class"},
};

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
static void bar_draw(const OverlayPanel *panel, double x, double y)
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
static void panel_begin(OverlayPanel *panel, double x, double y, const OverlayRegion *region)
{
    const OverlayPlane *plane = &panel->it->slice->plane;
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
    overlay_grey(panel);
}

static void panel_end(OverlayPanel *panel, double x, double y, const char *title)
{
    const OverlayPlane *plane = &panel->it->slice->plane;
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

static void classes_draw(const OverlayPanel *panel, OverlayWhat what)
{
    for (gint64 k = 1; k < panel->it->classes; k++)
        overlay_area(panel, what, (int)k,
                     &class_colours[(k - 1) % (gint64)G_N_ELEMENTS(class_colours)], HATCH_NONE);
}

static void panels_draw(OverlayPanel *panel, const OverlayRegion *part)
{
    const OverlayPlane *plane = &panel->it->slice->plane;
    const OverlayRegion whole = {0, 0, plane->n_right, plane->n_down};
    const double x[] = {EDGE, EDGE + PANEL + GAP}, y[] = {HEAD, HEAD + PANEL + GAP};

    panel_begin(panel, x[0], y[0], &whole);
    if (part->width < whole.width || part->height < whole.height) { /* where the others are */
        cairo_rectangle(panel->cr, overlay_pixel_x(panel, part->x),
                        overlay_pixel_y(panel, part->y),
                        overlay_pixel_x(panel, part->width) - overlay_pixel_x(panel, 0),
                        overlay_pixel_y(panel, part->height) - overlay_pixel_y(panel, 0));
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
        overlay_area(panel, OF_OUTCOME, i, &outcomes[i].colour, outcomes[i].hatch);
    panel_end(panel, x[1], y[1], "errors");
}

/* ---- heading and legend ------------------------------------------------------------- */

/* Returns where the next one begins. */
static double swatch_draw(cairo_t *cr, double x, double y, const OverlayColour *colour,
                          OverlayHatch hatch, const char *name)
{
    cairo_text_extents_t extents;

    cairo_save(cr);
    cairo_rectangle(cr, x, y - 10, 18, 12);
    overlay_colour_set(cr, colour, 0.38);
    cairo_fill_preserve(cr);
    cairo_clip_preserve(cr);
    overlay_colour_set(cr, colour, 0.95);
    cairo_set_line_width(cr, 2);
    cairo_stroke(cr);
    overlay_hatch(cr, hatch, x, y - 10, 18, 12);
    cairo_restore(cr);
    cairo_set_source_rgb(cr, 0.88, 0.9, 0.92);
    text_draw(cr, x + 24, y, 0, name);
    cairo_text_extents(cr, name, &extents);
    return x + 24 + extents.x_advance + 16;
}

static void heading_draw(const OverlayPanel *panel, double width)
{
    const OverlayPlane *plane = &panel->it->slice->plane;
    g_autofree char *place = g_strdup_printf(
        "%s%sslice %" G_GINT64_FORMAT " of %" G_GINT64_FORMAT, plane->name,
        *plane->name ? " " : "", panel->it->slice->number + 1, panel->it->slice->n);

    cairo_set_source_rgb(panel->cr, 1, 1, 1);
    cairo_set_font_size(panel->cr, 15);
    text_draw(panel->cr, EDGE, 20, 0, panel->it->id);
    cairo_set_source_rgb(panel->cr, 0.75, 0.78, 0.82);
    cairo_set_font_size(panel->cr, 12);
    text_draw(panel->cr, EDGE, 37, 0, panel->it->score);
    text_draw(panel->cr, width - EDGE, 37, 1, place);
}

static void legend_draw(const OverlayPanel *panel, double y)
{
    const OverlayCase *it = panel->it;
    double x = EDGE;

    cairo_set_font_size(panel->cr, 12);
    for (gint64 k = 1; k < it->classes && x < 2 * PANEL; k++) {
        x = swatch_draw(panel->cr, x, y,
                        &class_colours[(k - 1) % (gint64)G_N_ELEMENTS(class_colours)],
                        HATCH_NONE, it->names[k]);
    }
    x = EDGE;
    for (int i = 0; i < (it->classes > 2 ? N_OUTCOMES : OUTCOME_OTHER); i++)
        x = swatch_draw(panel->cr, x, y + 22, &outcomes[i].colour, outcomes[i].hatch,
                        outcomes[i].name);
}

/* ---- fonts -------------------------------------------------------------------------- */

/* Cairo and fontconfig keep their fonts in variables of the process, and may be asked to give
 * them back only while nobody draws: so it is counted who may, over all runs of the process. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards the next */
static guint drawing;

void overlay_draw_enter(void)
{
    pthread_mutex_lock(&lock);
    drawing++;
    pthread_mutex_unlock(&lock);
}

void overlay_draw_leave(void)
{
    pthread_mutex_lock(&lock);
    if (--drawing == 0) {
        cairo_debug_reset_static_data();
        FcFini();
    }
    pthread_mutex_unlock(&lock);
}

/* ---- the picture -------------------------------------------------------------------- */

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
    OverlayPanel panel = {.cr = cairo_create(surface), .it = it};
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    OverlayRegion part;

    cairo_set_source_rgb(panel.cr, 0.09, 0.1, 0.12);
    cairo_paint(panel.cr);
    cairo_select_font_face(panel.cr, "sans-serif", CAIRO_FONT_SLANT_NORMAL,
                           CAIRO_FONT_WEIGHT_NORMAL);
    overlay_plane_region(&it->slice->plane, it->slice->truth, it->slice->prediction, &part);
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
