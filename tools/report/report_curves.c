/* report_curves - loss, Dice, learning rate and gradient norm over the steps. */
#include "plot.h"
#include "report.h"

#include <math.h>
#include <string.h>

#define POINTS 350 /* parts of a curve: more than the picture has room for are not drawn */

typedef struct {
    double *x, *y; /* owned */
    guint n;
    gboolean any; /* a value is finite */
} Values;

static void values_clear(gpointer data)
{
    Values *values = data;

    g_free(values->x);
    g_free(values->y);
}

static void value_add(Values *values, double x, double y)
{
    values->x[values->n] = x;
    values->y[values->n++] = y;
    values->any = values->any || isfinite(y);
}

/* A column of steps.csv. */
static Values column_values(const RunRecord *record, const char *name)
{
    const CsvTable *table = record->steps_table;
    const gint step = csv_table_column(table, "step"), column = csv_table_column(table, name);
    Values values = {0};

    if (step < 0 || column < 0)
        return values;
    values.x = g_new(double, table->rows->len + 1);
    values.y = g_new(double, table->rows->len + 1);
    for (guint row = 0; row < table->rows->len; row++) {
        const double x = csv_table_number(table, row, step);

        if (isfinite(x))
            value_add(&values, x, csv_table_number(table, row, column));
    }
    return values;
}

/* A member of the records of one kind. */
static Values record_values(const RunRecord *record, const char *kind, const char *name)
{
    Values values = {g_new(double, record->records->len + 1),
                     g_new(double, record->records->len + 1), 0, FALSE};

    for (guint i = 0; i < record->records->len; i++) {
        JsonObject *line = record->records->pdata[i];
        const double x = json_value(line, "step");

        if (g_strcmp0(json_text(line, "kind"), kind) == 0 && isfinite(x))
            value_add(&values, x, json_value(line, name));
    }
    return values;
}

static void thin(Values *values)
{
    double *x, *y;

    if (values->n <= 2 * POINTS)
        return;
    x = g_new(double, 2 * POINTS);
    y = g_new(double, 2 * POINTS);
    values->n = plot_thin(values->x, values->y, values->n, POINTS, x, y);
    g_free(values->x);
    g_free(values->y);
    values->x = x;
    values->y = y;
}

typedef struct {
    GArray *values; /* Values */
    GArray *series; /* PlotSeries: arrays of `values` */
    GPtrArray *names;
} Curves;

static Curves curves_new(void)
{
    Curves curves = {g_array_new(FALSE, FALSE, sizeof(Values)),
                     g_array_new(FALSE, FALSE, sizeof(PlotSeries)),
                     g_ptr_array_new_with_free_func(g_free)};

    g_array_set_clear_func(curves.values, values_clear);
    return curves;
}

static void curves_clear(Curves *curves)
{
    g_array_unref(curves->values);
    g_array_unref(curves->series);
    g_ptr_array_unref(curves->names);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Curves, curves_clear)

/* @values: (transfer full); without a value they are left out.  @name: (transfer full). */
static void curves_add(Curves *curves, Values values, char *name, guint colour, PlotStyle style)
{
    g_ptr_array_add(curves->names, name);
    thin(&values);
    g_array_append_val(curves->values, values);
    if (!values.any)
        return;
    const PlotSeries series = {.name = name,
                               .x = values.x,
                               .y = values.y,
                               .n = values.n,
                               .colour = colour,
                               .style = style};
    g_array_append_val(curves->series, series);
}

static gboolean curves_draw(GString *page, const RunRecord *record, const Curves *curves,
                            const char *title, gboolean share, gboolean log)
{
    const Plot plot = {.title = title,
                       .x_name = "step",
                       .x_high = (double)record->step,
                       .high = share ? 1 : 0,
                       .log = log,
                       .series = (const PlotSeries *)(const void *)curves->series->data,
                       .n = curves->series->len};

    if (plot.n)
        plot_append(page, &plot);
    return plot.n > 0;
}

static gboolean loss_draw(GString *page, const RunRecord *record)
{
    g_auto(Curves) curves = curves_new();
    Values each = column_values(record, "loss");
    const gboolean log = plot_log_wanted(each.y, each.n);

    curves_add(&curves, each, g_strdup("each step"), 0, PLOT_THIN);
    curves_add(&curves, record_values(record, "step", "loss"),
               g_strdup("mean since the last record"), 0, PLOT_LINE);
    return curves_draw(page, record, &curves, "Loss", FALSE, log);
}

static gboolean dice_draw(GString *page, const RunRecord *record, char **classes)
{
    g_auto(Curves) curves = curves_new();

    for (guint k = 0; classes[k]; k++) {
        g_autofree char *name = g_strconcat("dice/", classes[k], NULL);

        curves_add(&curves, record_values(record, "step", name),
                   g_strdup_printf("%s, training patches", classes[k]), k + 1, PLOT_DASHED);
        curves_add(&curves, record_values(record, "metrics", name),
                   g_strdup_printf("%s, validation", classes[k]), k + 1, PLOT_MARKED);
    }
    return curves_draw(page, record, &curves, "Dice", TRUE, FALSE);
}

static gboolean column_draw(GString *page, const RunRecord *record, const char *column,
                            const char *title)
{
    g_auto(Curves) curves = curves_new();
    Values values = column_values(record, column);
    const gboolean log =
        g_str_equal(column, "gradient_norm") && plot_log_wanted(values.y, values.n);

    curves_add(&curves, values, NULL, 0, PLOT_LINE);
    return curves_draw(page, record, &curves, title, FALSE, log);
}

/* How much each class pulls, and how often it is seen. */
static gboolean share_draw(GString *page, const RunRecord *record, char **classes,
                           const char *what, const char *title)
{
    g_auto(Curves) curves = curves_new();

    for (guint k = 0; classes[k]; k++) {
        g_autofree char *name = g_strconcat(what, "/", classes[k], NULL);

        curves_add(&curves, record_values(record, "step", name), g_strdup(classes[k]), k + 1,
                   PLOT_LINE);
    }
    return curves_draw(page, record, &curves, title, TRUE, FALSE);
}

void report_curves(GString *page, const RunRecord *record)
{
    g_auto(GStrv) classes = report_classes(record);
    gboolean any;

    report_section(page, "curves", "Curves");
    g_string_append(page, "<div class=\"plots\">\n");
    any = loss_draw(page, record);
    any |= dice_draw(page, record, classes);
    any |= share_draw(page, record, classes, "gradient", "Share of the gradient");
    any |= share_draw(page, record, classes, "recall", "Recall in training patches");
    any |= column_draw(page, record, "rate", "Learning rate");
    any |= column_draw(page, record, "gradient_norm", "Norm of the gradient, before clipping");
    g_string_append(page, "</div>\n");
    if (any)
        g_string_append(
            page, "<p class=\"note\">Dice of training patches is an estimate: it is of the "
                  "patches that were drawn, which favour the foreground; that of the "
                  "validation is the mean over whole cases.</p>\n");
    else
        report_absent(page, "No step has been recorded yet.");
    g_string_append(page, "</section>\n");
}
