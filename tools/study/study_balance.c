/* study_balance - a picture of the balance between precision P and recall R: for each class one
 * field, four in a row, one mark a loss, and curves of equal Dice D, P = D R / (2 R - D). Drawn
 * by cairo. */
#include "study_balance.h"

#include <loom/store.h>

#include <cairo-svg.h>
#include <fontconfig/fontconfig.h>
#include <math.h>

#define FIELD 320.0 /* points: edge of a field */
#define LEFT 56.0   /* of a field, for its axis */
#define TOP 40.0
#define BOTTOM 52.0
#define COLUMNS 4u
#define LEGEND 190.0
#define LINE 20.0
#define PNG_SCALE 2.0
#define PNG_EDGE 12000.0 /* pixels at most: cairo takes 32767, and a viewer less */

/* Told apart with every kind of colour vision.  Source: Okabe and Ito 2008. */
static const double colours[][3] = {
    {0.00, 0.00, 0.00}, {0.90, 0.62, 0.00}, {0.34, 0.71, 0.91}, {0.00, 0.62, 0.45},
    {0.83, 0.77, 0.00}, {0.00, 0.45, 0.70}, {0.84, 0.37, 0.00}, {0.80, 0.47, 0.65},
};

typedef struct {
    cairo_t *cr;
    const StudyScores *scores;
    guint precision, recall; /* readings */
    double low;              /* where both axes begin; they end at 1 */
} Picture;

/* ---- marks -------------------------------------------------------------------------- */

static void polygon(cairo_t *cr, double x, double y, double r, guint corners, double turn)
{
    for (guint i = 0; i < corners; i++) {
        const double angle = turn + 2 * G_PI * i / corners;

        cairo_line_to(cr, x + r * sin(angle), y - r * cos(angle));
    }
    cairo_close_path(cr);
}

/* Of loss number @loss: its colour, and a shape of its own until both repeat. */
static void mark_draw(cairo_t *cr, double x, double y, guint loss)
{
    const double *colour = colours[loss % G_N_ELEMENTS(colours)];

    cairo_new_path(cr);
    switch (loss % 5) {
    case 0:
        cairo_arc(cr, x, y, 5, 0, 2 * G_PI);
        break;
    case 1:
        polygon(cr, x, y, 6.5, 4, G_PI / 4);
        break;
    case 2:
        polygon(cr, x, y, 6.5, 3, 0);
        break;
    case 3:
        polygon(cr, x, y, 6.5, 4, 0);
        break;
    default:
        polygon(cr, x, y, 6.5, 3, G_PI);
        break;
    }
    cairo_set_source_rgb(cr, colour[0], colour[1], colour[2]);
    cairo_fill_preserve(cr);
    cairo_set_source_rgb(cr, 1, 1, 1);
    cairo_set_line_width(cr, 0.8);
    cairo_stroke(cr);
}

static void text_draw(cairo_t *cr, double x, double y, double along, const char *text)
{
    cairo_text_extents_t extents;

    cairo_text_extents(cr, text, &extents);
    cairo_move_to(cr, x - along * extents.x_advance, y);
    cairo_show_text(cr, text);
}

/* ---- a field ------------------------------------------------------------------------ */

static guint columns_of(const StudyScores *scores)
{
    return CLAMP(scores->n_classes, 1, COLUMNS);
}

/* Points from the field's lower left corner. */
static double across(const Picture *picture, double value)
{
    return FIELD * (value - picture->low) / (1 - picture->low);
}

static void curve_draw(const Picture *picture, double dice)
{
    cairo_t *cr = picture->cr;
    char number[16];

    g_snprintf(number, sizeof number, "%.1f", dice);
    cairo_new_path(cr);
    for (int i = 0; i <= 200; i++) { /* from P = 1 to R = 1 */
        const double least = dice / (2 - dice);
        const double r = least + (1 - least) * i / 200, p = dice * r / (2 * r - dice);

        cairo_line_to(cr, across(picture, r), -across(picture, p));
    }
    cairo_set_source_rgb(cr, 0.8, 0.8, 0.8);
    cairo_set_line_width(cr, 0.8);
    cairo_stroke(cr);
    const double end = dice / (2 - dice);
    if (end < picture->low)
        return;
    cairo_set_source_rgb(cr, 0.55, 0.55, 0.55);
    cairo_set_font_size(cr, 9);
    text_draw(cr, FIELD - 3, -across(picture, end) + 11, 1, number);
}

static void axes_draw(const Picture *picture, const char *title)
{
    cairo_t *cr = picture->cr;
    char number[16];

    cairo_set_source_rgb(cr, 0.2, 0.2, 0.2);
    cairo_set_line_width(cr, 1);
    cairo_rectangle(cr, 0, -FIELD, FIELD, FIELD);
    cairo_stroke(cr);
    cairo_set_font_size(cr, 11);
    for (int i = (int)lround(picture->low * 10); i <= 10; i += picture->low < 0.45 ? 2 : 1) {
        const double at = across(picture, i / 10.0);

        g_snprintf(number, sizeof number, "%.1f", i / 10.0);
        text_draw(cr, at, 16, 0.5, number);
        text_draw(cr, -6, -at + 4, 1, number);
    }
    cairo_set_font_size(cr, 13);
    text_draw(cr, FIELD / 2, 36, 0.5, "recall");
    cairo_save(cr);
    cairo_translate(cr, -36, -FIELD / 2);
    cairo_rotate(cr, -G_PI / 2);
    text_draw(cr, 0, 0, 0.5, "precision");
    cairo_restore(cr);
    text_draw(cr, FIELD / 2, -FIELD - 12, 0.5, title);
}

static void interval_draw(const Picture *picture, double x, double y, guint loss,
                          const StudyCell *recall, const StudyCell *precision)
{
    const double *colour = colours[loss % G_N_ELEMENTS(colours)];

    cairo_new_path(picture->cr);
    if (!isnan(recall->interval.low)) {
        cairo_move_to(picture->cr, across(picture, recall->interval.low), y);
        cairo_line_to(picture->cr, across(picture, recall->interval.high), y);
    }
    if (!isnan(precision->interval.low)) {
        cairo_move_to(picture->cr, x, -across(picture, precision->interval.low));
        cairo_line_to(picture->cr, x, -across(picture, precision->interval.high));
    }
    cairo_set_source_rgba(picture->cr, colour[0], colour[1], colour[2], 0.35);
    cairo_set_line_width(picture->cr, 1.2);
    cairo_stroke(picture->cr);
}

/* The marks, or the intervals, of all losses. */
static void losses_draw(const Picture *picture, guint class_, gboolean marks)
{
    for (guint loss = 0; loss < picture->scores->n_losses; loss++) {
        const StudyCell *recall =
            study_scores_cell(picture->scores, loss, class_, picture->recall);
        const StudyCell *precision =
            study_scores_cell(picture->scores, loss, class_, picture->precision);
        const double x = across(picture, recall->mean), y = -across(picture, precision->mean);

        if (isnan(x) || isnan(y))
            continue;
        if (marks)
            mark_draw(picture->cr, x, y, loss);
        else
            interval_draw(picture, x, y, loss, recall, precision);
    }
}

static void field_draw(const Picture *picture, guint class_)
{
    const guint columns = columns_of(picture->scores);
    cairo_t *cr = picture->cr;

    cairo_save(cr);
    cairo_translate(cr, LEFT + class_ % columns * (LEFT + FIELD),
                    TOP + FIELD + class_ / columns * (TOP + FIELD + BOTTOM));
    cairo_save(cr);
    cairo_rectangle(cr, 0, -FIELD, FIELD, FIELD);
    cairo_clip(cr);
    for (int tenth = 1; tenth <= 9; tenth++)
        curve_draw(picture, tenth / 10.0);
    losses_draw(picture, class_, FALSE);
    cairo_restore(cr);
    axes_draw(picture, picture->scores->classes->pdata[class_]);
    losses_draw(picture, class_, TRUE); /* on the edge a mark is whole */
    cairo_restore(cr);
}

static void legend_draw(const Picture *picture)
{
    const StudyScores *scores = picture->scores;
    const double x = columns_of(scores) * (LEFT + FIELD) + 24;
    double y = TOP + 8;

    for (guint loss = 0; loss < scores->n_losses; loss++, y += LINE) {
        mark_draw(picture->cr, x, y, loss);
        cairo_set_source_rgb(picture->cr, 0.1, 0.1, 0.1);
        cairo_set_font_size(picture->cr, 12);
        text_draw(picture->cr, x + 14, y + 4, 0, scores->losses[loss]);
    }
    cairo_set_source_rgb(picture->cr, 0.4, 0.4, 0.4);
    cairo_set_font_size(picture->cr, 10);
    text_draw(picture->cr, x - 6, y + 6, 0, "grey: equal Dice");
    text_draw(picture->cr, x - 6, y + 20, 0, "lines: 95 % intervals");
}

/* ---- files -------------------------------------------------------------------------- */

/* A tenth below the least mean, 0 at least. */
static double axis_begin(const StudyScores *scores, guint precision, guint recall)
{
    double least = 0.9;

    for (guint loss = 0; loss < scores->n_losses; loss++)
        for (guint k = 0; k < scores->n_classes; k++) {
            const double p = study_scores_cell(scores, loss, k, precision)->mean;
            const double r = study_scores_cell(scores, loss, k, recall)->mean;

            least = isnan(p) ? least : MIN(least, p);
            least = isnan(r) ? least : MIN(least, r);
        }
    return MAX(0, floor(10 * least - 0.5) / 10);
}

static cairo_status_t bytes_append(void *closure, const unsigned char *bytes, unsigned int n)
{
    g_byte_array_append(closure, bytes, n);
    return CAIRO_STATUS_SUCCESS;
}

static void picture_draw(const Picture *picture)
{
    cairo_set_source_rgb(picture->cr, 1, 1, 1);
    cairo_paint(picture->cr);
    cairo_select_font_face(picture->cr, "sans-serif", CAIRO_FONT_SLANT_NORMAL,
                           CAIRO_FONT_WEIGHT_NORMAL);
    for (guint k = 0; k < picture->scores->n_classes; k++)
        field_draw(picture, k);
    legend_draw(picture);
}

static gboolean picture_write(Picture *picture, const char *folder, gboolean png,
                              GError **error)
{
    const guint columns = columns_of(picture->scores);
    const guint rows = (picture->scores->n_classes + columns - 1) / columns;
    const double width = columns * (LEFT + FIELD) + LEGEND;
    const double height =
        MAX(rows * (TOP + FIELD + BOTTOM), TOP + LINE * (picture->scores->n_losses + 2));
    const double scale = MIN(PNG_SCALE, PNG_EDGE / MAX(width, height));
    g_autofree char *path = g_build_filename(folder, png ? "balance.png" : "balance.svg", NULL);
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    cairo_surface_t *surface =
        png ? cairo_image_surface_create(CAIRO_FORMAT_RGB24, (int)ceil(scale * width),
                                         (int)ceil(scale * height))
            : cairo_svg_surface_create_for_stream(bytes_append, bytes, width, height);

    picture->cr = cairo_create(surface);
    if (png)
        cairo_scale(picture->cr, scale, scale);
    picture_draw(picture);
    cairo_status_t status = cairo_status(picture->cr);
    cairo_destroy(picture->cr);
    if (status == CAIRO_STATUS_SUCCESS && png)
        status = cairo_surface_write_to_png_stream(surface, bytes_append, bytes);
    cairo_surface_finish(surface); /* an SVG is written here */
    if (status == CAIRO_STATUS_SUCCESS)
        status = cairo_surface_status(surface);
    cairo_surface_destroy(surface);
    if (status != CAIRO_STATUS_SUCCESS)
        return loom_fail(error, LOOM_ERROR_IO, "'%s' cannot be drawn: %s", path,
                         cairo_status_to_string(status));
    return loom_file_replace(path, (const char *)bytes->data, bytes->len, error);
}

gboolean study_balance_write(const StudyScores *scores, const char *folder, gboolean *drawn,
                             GError **error)
{
    const gint precision = study_scores_reading(scores, "precision");
    const gint recall = study_scores_reading(scores, "recall");

    *drawn = precision >= 0 && recall >= 0;
    if (!*drawn)
        return TRUE;
    Picture picture = {NULL, scores, (guint)precision, (guint)recall,
                       axis_begin(scores, (guint)precision, (guint)recall)};
    const gboolean written = picture_write(&picture, folder, FALSE, error)
                             && picture_write(&picture, folder, TRUE, error);
    cairo_debug_reset_static_data(); /* fonts that both libraries keep: nothing draws again */
    FcFini();
    return written;
}
