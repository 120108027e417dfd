/* report_balance - precision over recall of every case, a field for each class, with curves of
 * equal Dice D, P = D R / (2 R - D). */
#include "html.h"
#include "plot.h"
#include "report.h"
#include "statistics.h"

#include <math.h>

#define FIELD 236.0
#define FIELD_LEFT 46.0
#define FIELD_TOP 10.0

typedef struct {
    double low; /* where both axes begin; they end at 1 */
} Field;

static double field_x(const Field *field, double recall)
{
    return FIELD_LEFT + FIELD * (recall - field->low) / (1 - field->low);
}

static double field_y(const Field *field, double precision)
{
    return FIELD_TOP + FIELD * (1 - (precision - field->low) / (1 - field->low));
}

/* P = D R / (2 R - D), from P = 1 to R = 1. */
static void equal_dice(GString *page, const Field *field, double dice)
{
    const double least = dice / (2 - dice);

    if (least <= field->low)
        return;
    g_string_append(page, "<path class=\"grid\" d=\"M");
    for (guint i = 0; i <= 40; i++) {
        const double r = least + (1 - least) * i / 40;

        g_string_append_printf(page, "%s%.1f %.1f", i ? "L" : "", field_x(field, r),
                               field_y(field, dice * r / (2 * r - dice)));
    }
    g_string_append_printf(page,
                           "\"/><text class=\"faint\" x=\"%.1f\" y=\"%.1f\" "
                           "text-anchor=\"end\">%.1f</text>\n",
                           FIELD_LEFT + FIELD - 3, field_y(field, least) + 12, dice);
}

static void field_frame(GString *page, const Field *field)
{
    const double step = plot_step(1 - field->low, 5);

    g_string_append_printf(page,
                           "<rect class=\"axis\" x=\"%g\" y=\"%g\" width=\"%g\" "
                           "height=\"%g\"/>\n",
                           FIELD_LEFT, FIELD_TOP, FIELD, FIELD);
    for (double i = fmax(ceil(field->low / step - 1e-9), 0); i * step <= 1 + 1e-9; i++) {
        g_string_append_printf(page,
                               "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%g</text>"
                               "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%g</text>\n",
                               field_x(field, i * step), FIELD_TOP + FIELD + 17, i * step,
                               FIELD_LEFT - 6, field_y(field, i * step) + 4, i * step);
    }
    g_string_append_printf(
        page,
        "<text class=\"name\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">recall</text>"
        "<text class=\"name\" transform=\"translate(12 %.1f) rotate(-90)\" "
        "text-anchor=\"middle\">precision</text>\n",
        FIELD_LEFT + FIELD / 2, FIELD_TOP + FIELD + 36, FIELD_TOP + FIELD / 2);
}

static double lowest(const double *a, const double *b, guint n)
{
    double low = 0.9;

    for (guint i = 0; i < n; i++) {
        low = isfinite(a[i]) ? MIN(low, a[i]) : low;
        low = isfinite(b[i]) ? MIN(low, b[i]) : low;
    }
    return CLAMP(floor(10 * low - 0.2) / 10, 0, 0.9);
}

/* Every case, and the mean of each value over the cases that have it. */
static void marks(GString *page, const Field *field, const double *precision,
                  const double *recall, guint n, guint colour)
{
    const StatisticsSummary p = statistics_summary(precision, n);
    const StatisticsSummary r = statistics_summary(recall, n);

    for (guint i = 0; i < n; i++)
        if (isfinite(precision[i]) && isfinite(recall[i]))
            g_string_append_printf(page,
                                   "<circle class=\"case f%u\" cx=\"%.1f\" cy=\"%.1f\" "
                                   "r=\"3.5\"/>",
                                   colour % 8, field_x(field, recall[i]),
                                   field_y(field, precision[i]));
    g_string_append(page, "<g class=\"mean\">");
    plot_mark(page, field_x(field, r.mean), field_y(field, p.mean), 0, 7);
    g_string_append(page, "</g>");
}

static guint both_defined(const double *a, const double *b, guint n)
{
    guint both = 0;

    for (guint i = 0; i < n; i++)
        both += isfinite(a[i]) && isfinite(b[i]);
    return both;
}

static void balance_words(GString *page, double precision, double recall)
{
    const char *words = fabs(precision - recall) < 0.02 ? "balanced"
                        : precision > recall            ? "too little is predicted"
                                                        : "too much is predicted";

    g_string_append_printf(page, "mean precision %.3f, recall %.3f: %s", precision, recall,
                           words);
}

static void balance_field(GString *page, const RunRecord *record, const char *class_, guint k)
{
    guint n, n_recall;
    g_autofree double *precision = report_scores_of(record, "precision", class_, &n);
    g_autofree double *recall = report_scores_of(record, "recall", class_, &n_recall);
    const guint both = both_defined(precision, recall, n); /* columns of the same rows */
    const Field field = {lowest(precision, recall, n)};

    g_string_append(page, "<figure class=\"plot field\"><figcaption>");
    html_text(page, class_);
    g_string_append(page, "</figcaption>");
    if (both) {
        g_string_append(page, "<svg viewBox=\"0 0 296 290\" role=\"img\" "
                              "aria-label=\"Precision over recall of ");
        html_text(page, class_);
        g_string_append(page, "\">\n");
        for (guint tenth = 1; tenth <= 9; tenth++)
            equal_dice(page, &field, tenth / 10.0);
        field_frame(page, &field);
        marks(page, &field, precision, recall, n, k + 1);
        g_string_append(page, "</svg>\n");
    }
    g_string_append(page, "<p class=\"note\">");
    if (both)
        balance_words(page, statistics_mean(precision, n, NULL),
                      statistics_mean(recall, n, NULL));
    else
        g_string_append(page, "No case has both values.");
    if (both && both < n)
        g_string_append_printf(page, "; %u of %u cases have no precision or no recall",
                               n - both, n);
    g_string_append(page, "</p></figure>\n");
}

void report_balance(GString *page, const RunRecord *record)
{
    g_auto(GStrv) classes = report_classes(record);
    const gboolean there = csv_table_column(record->metrics_table, "precision") >= 0
                           && csv_table_column(record->metrics_table, "recall") >= 0;

    report_section(page, "balance", "Balance of precision and recall");
    if (!record->metrics_table) {
        report_absent(page, "No validation has come to its end yet.");
    } else if (!there || !classes[0]) {
        report_absent(page, "Precision and recall of cases were not measured: the metric "
                            "'overlap' gives them.");
    } else {
        g_string_append(page,
                        "<p>A dot is a case, the large mark their mean; on a curve Dice is "
                        "equal. Left of the diagonal voxels are missed, right of it there "
                        "are too many.</p>\n<div class=\"fields\">\n");
        for (guint k = 0; classes[k]; k++)
            balance_field(page, record, classes[k], k);
        g_string_append(page, "</div>\n");
    }
    g_string_append(page, "</section>\n");
}
