/* plot.h - curves over steps as inline SVG, whose words stay words and whose colours are those
 * of the page. */
#pragma once

#include <glib.h>

typedef enum {
    PLOT_LINE,
    PLOT_THIN,   /* behind the others */
    PLOT_DASHED, /* an estimate */
    PLOT_MARKED, /* a mark of its own at each point */
} PlotStyle;

typedef struct {
    const char *name;    /* NULL: not in the legend */
    const double *x, *y; /* NaN in y interrupts the line */
    guint n;
    guint colour; /* 0 ink, 1 .. of classes */
    PlotStyle style;
} PlotSeries;

typedef struct {
    const char *title, *x_name;
    double x_low, x_high; /* reach at least from here to there */
    double low, high;     /* of y; both 0: as the values are */
    gboolean log;         /* y is drawn by its logarithm, where all values are above 0 */
    const PlotSeries *series;
    guint n;
} Plot;

/* A <figure>. */
void plot_append(GString *page, const Plot *plot);
/* Values above 0 that span more than a factor of 30 are better read by their logarithm. */
gboolean plot_log_wanted(const double *y, guint n);
/* 1, 2 or 5 times a power of ten, so that at most @most steps lie in @range; range above 0. */
double plot_step(double range, guint most);
/* At most 2 @most points that show the same extremes: of each part its least and its greatest
 * value, in their order.  Returns how many; @to_x and @to_y have room for 2 @most. */
guint plot_thin(const double *x, const double *y, guint n, guint most, double *to_x,
                double *to_y);
/* A mark of series number @colour, for scatter plots and legends. */
void plot_mark(GString *page, double x, double y, guint colour, double size);
