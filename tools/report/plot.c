/* plot - curves over steps as inline SVG: see plot.h. */
#include "plot.h"

#include "html.h"

#include <math.h>

#define WIDTH 480.0
#define HEIGHT 270.0
#define LEFT 52.0
#define RIGHT 14.0
#define TOP 12.0
#define BOTTOM 42.0
#define LOG_FACTOR 30
#define TICKS_X 6 /* at most, and one more; counted, for beyond 2^53 adding 1 adds nothing */
#define TICKS_Y 5

typedef struct {
    double x_low, x_high, y_low, y_high; /* y: of logarithms where they are drawn */
    gboolean log;
} Frame;

gboolean plot_log_wanted(const double *y, guint n)
{
    double low = INFINITY, high = 0;

    for (guint i = 0; i < n; i++)
        if (isfinite(y[i])) {
            low = MIN(low, y[i]);
            high = MAX(high, y[i]);
        }
    return low > 0 && high > LOG_FACTOR * low && isfinite(low);
}

double plot_step(double range, guint most)
{
    const double power = pow(10, floor(log10(range / most)));

    for (double factor = 1; factor < 10; factor = factor == 2 ? 5 : 2 * factor)
        if (range / (factor * power) <= most * (1 + 1e-9))
            return factor * power;
    return 10 * power;
}

guint plot_thin(const double *x, const double *y, guint n, guint most, double *to_x,
                double *to_y)
{
    guint out = 0;

    for (guint part = 0; part < MIN(most, n); part++) {
        const guint first = (guint)((guint64)part * n / MIN(most, n));
        const guint end = (guint)((guint64)(part + 1) * n / MIN(most, n));
        guint least = first, greatest = first;

        for (guint i = first; i < end; i++) {
            least = y[i] < y[least] || isnan(y[least]) ? i : least;
            greatest = y[i] > y[greatest] || isnan(y[greatest]) ? i : greatest;
        }
        for (guint k = 0; k < (least == greatest ? 1 : 2); k++) {
            const guint i = k == 0 ? MIN(least, greatest) : MAX(least, greatest);

            to_x[out] = x[i];
            to_y[out++] = y[i];
        }
    }
    return out;
}

/* ---- the frame ---------------------------------------------------------------------- */

static double across(const Frame *frame, double x)
{
    const double range = frame->x_high - frame->x_low;

    return LEFT + (WIDTH - LEFT - RIGHT) * (range > 0 ? (x - frame->x_low) / range : 0.5);
}

static double up(const Frame *frame, double y)
{
    const double value = frame->log ? log10(y) : y;
    const double share = (value - frame->y_low) / (frame->y_high - frame->y_low);

    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * CLAMP(share, -0.02, 1.02);
}

static void frame_find(Frame *frame, const Plot *plot)
{
    double low = INFINITY, high = -INFINITY;

    *frame = (Frame){plot->x_low, plot->x_high, 0, 1, plot->log};
    for (guint s = 0; s < plot->n; s++)
        for (guint i = 0; i < plot->series[s].n; i++) {
            const double y = plot->series[s].y[i];

            frame->x_low = MIN(frame->x_low, plot->series[s].x[i]);
            frame->x_high = MAX(frame->x_high, plot->series[s].x[i]);
            low = isfinite(y) ? MIN(low, y) : low;
            high = isfinite(y) ? MAX(high, y) : high;
        }
    frame->log = plot->log && low > 0 && isfinite(low);
    if (plot->low < plot->high) {
        low = plot->low;
        high = plot->high;
    } else if (frame->log) {
        low = log10(low);
        high = log10(high);
    }
    if (!isfinite(low) || !isfinite(high))
        low = 0, high = 1;
    const double room = high > low ? 0.04 * (high - low) : MAX(fabs(high), 1e-3) * 0.1;
    frame->y_low = plot->low < plot->high                      ? low
                   : !frame->log && low >= 0 && low < room * 8 ? 0
                                                               : low - room;
    frame->y_high = plot->low < plot->high ? high : high + room;
}

static void tick_y(GString *page, double at, const char *text)
{
    g_string_append_printf(page,
                           "<path class=\"grid\" d=\"M%.1f %.1fH%.1f\"/>"
                           "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
                           LEFT, at, WIDTH - RIGHT, LEFT - 7, at + 4, text);
}

static void axis_y(GString *page, const Frame *frame)
{
    const double step = plot_step(frame->y_high - frame->y_low, TICKS_Y);
    char text[32];

    if (frame->log) { /* 1, 2 and 5 of each decade, or only decades where there are many */
        const double decades = frame->y_high - frame->y_low;

        for (double power = floor(frame->y_low); power <= frame->y_high; power++)
            for (guint factor = 1; factor < 10; factor = factor == 2 ? 5 : 2 * factor) {
                const double value = factor * pow(10, power);

                if (log10(value) < frame->y_low || log10(value) > frame->y_high
                    || (factor > 1 && decades > 2.5) || (decades > 6 && (int)power % 2))
                    continue;
                g_snprintf(text, sizeof text, "%.3g", value);
                tick_y(page, up(frame, value), text);
            }
        return;
    }
    const double first = ceil(frame->y_low / step - 1e-9);
    for (guint k = 0; k <= TICKS_Y; k++) {
        const double y = (first + k) * step;

        if (!(y <= frame->y_high + step * 1e-9))
            break;
        g_snprintf(text, sizeof text, "%.6g", first + k == 0 ? 0.0 : y);
        tick_y(page, up(frame, y), text);
    }
}

static void axis_x(GString *page, const Frame *frame, const char *name)
{
    const double range = frame->x_high - frame->x_low;
    const double step = range > 0 ? MAX(plot_step(range, TICKS_X), 1) : 1;
    const double first = ceil(frame->x_low / step - 1e-9);

    g_string_append_printf(page, "<path class=\"axis\" d=\"M%.1f %.1fH%.1f\"/>", LEFT,
                           HEIGHT - BOTTOM, WIDTH - RIGHT);
    for (guint k = 0; k <= TICKS_X; k++) {
        const double x = (first + k) * step;

        if (!(x <= frame->x_high + step * 1e-9))
            break;
        g_string_append_printf(
            page, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%.12g</text>\n",
            across(frame, x), HEIGHT - BOTTOM + 18, first + k == 0 ? 0.0 : x);
    }
    g_string_append_printf(page,
                           "<text class=\"name\" x=\"%.1f\" y=\"%.1f\" "
                           "text-anchor=\"middle\">",
                           (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6);
    html_text(page, name);
    g_string_append(page, "</text>\n");
}

/* ---- curves ------------------------------------------------------------------------- */

void plot_mark(GString *page, double x, double y, guint colour, double size)
{
    const double r = size, s = 0.85 * size;

    switch (colour % 4) {
    case 1:
        g_string_append_printf(page,
                               "<circle class=\"f%u\" cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\"/>",
                               colour % 8, x, y, s);
        break;
    case 2:
        g_string_append_printf(
            page, "<rect class=\"f%u\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>",
            colour % 8, x - s, y - s, 2 * s, 2 * s);
        break;
    case 3:
        g_string_append_printf(page, "<path class=\"f%u\" d=\"M%.1f %.1fl%.1f %.1fh%.1fz\"/>",
                               colour % 8, x, y - 1.2 * r, 1.1 * r, 2 * r, -2.2 * r);
        break;
    default:
        g_string_append_printf(
            page, "<path class=\"f%u\" d=\"M%.1f %.1fl%.1f %.1fl%.1f %.1fl%.1f %.1fz\"/>",
            colour % 8, x, y - 1.2 * r, 1.2 * r, 1.2 * r, -1.2 * r, 1.2 * r, -1.2 * r,
            -1.2 * r);
    }
}

static void curve(GString *page, const Frame *frame, const PlotSeries *series)
{
    static const char *const styles[] = {"line", "thin", "dashed", "line"};
    gboolean down = FALSE;

    g_string_append_printf(page, "<path class=\"%s s%u\" d=\"", styles[series->style],
                           series->colour % 8);
    for (guint i = 0; i < series->n; i++) {
        const double y = series->y[i];
        const gboolean drawn = isfinite(y) && (!frame->log || y > 0);

        if (drawn)
            g_string_append_printf(page, "%c%.1f %.1f", down ? 'L' : 'M',
                                   across(frame, series->x[i]), up(frame, y));
        down = drawn;
    }
    g_string_append(page, "\"/>\n");
    for (guint i = 0; series->style == PLOT_MARKED && i < series->n; i++)
        if (isfinite(series->y[i]) && (!frame->log || series->y[i] > 0))
            plot_mark(page, across(frame, series->x[i]), up(frame, series->y[i]),
                      series->colour, 4.2);
}

static void legend(GString *page, const Plot *plot)
{
    static const char *const styles[] = {"line", "thin", "dashed", "line"};

    g_string_append(page, "<ul class=\"legend\">");
    for (guint s = 0; s < plot->n; s++) {
        const PlotSeries *series = &plot->series[s];

        if (!series->name)
            continue;
        g_string_append_printf(
            page,
            "<li><svg class=\"key\" viewBox=\"0 0 28 12\" aria-hidden=\"true\">"
            "<path class=\"%s s%u\" d=\"M1 6H27\"/>",
            styles[series->style], series->colour % 8);
        if (series->style == PLOT_MARKED)
            plot_mark(page, 14, 6, series->colour, 4.2);
        g_string_append(page, "</svg> ");
        html_text(page, series->name);
        g_string_append(page, "</li>");
    }
    g_string_append(page, "</ul>");
}

void plot_append(GString *page, const Plot *plot)
{
    guint named = 0;
    Frame frame;

    frame_find(&frame, plot);
    for (guint s = 0; s < plot->n; s++)
        named += plot->series[s].name != NULL;
    g_string_append(page, "<figure class=\"plot\"><figcaption>");
    html_text(page, plot->title);
    g_string_append(page, frame.log ? " <small>(logarithmic)</small>" : "");
    g_string_append(page, "</figcaption>\n");
    g_string_append_printf(page, "<svg viewBox=\"0 0 %g %g\" role=\"img\" aria-label=\"", WIDTH,
                           HEIGHT);
    html_text(page, plot->title);
    g_string_append(page, " over steps\">\n");
    axis_y(page, &frame);
    axis_x(page, &frame, plot->x_name);
    for (guint s = 0; s < plot->n; s++)
        if (plot->series[s].n)
            curve(page, &frame, &plot->series[s]);
    g_string_append(page, "</svg>\n");
    if (named > 0)
        legend(page, plot);
    g_string_append(page, "</figure>\n");
}
