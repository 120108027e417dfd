/* evaluation - what metrics say about pairs of label maps, as a table, CSV or JSON. */
#include "evaluation.h"

#include "csv_table.h"

#include <json-glib/json-glib.h>
#include <math.h>
#include <string.h>

typedef struct {
    char *id;
    double *values; /* (classes - 1, columns) */
} Row;

struct _Evaluation {
    LoomInstance *const *metrics;
    const LoomDataset *scheme;
    char **class_names; /* of the rows: the background, then classes or regions */
    guint n_classes;
    GPtrArray *columns; /* const LoomReading *, of one metric after the other */
    GPtrArray *rows;    /* Row * */
};

static void row_free(gpointer data)
{
    Row *row = data;

    g_free(row->id);
    g_free(row->values);
    g_free(row);
}

static const LoomReading *readings_of(const LoomInstance *metric)
{
    return ((const LoomMetric *)metric->plugin)->readings;
}

/* The background, and what is measured; (transfer full). */
static char **names_of(const LoomDataset *scheme)
{
    char **names;

    if (!scheme->n_regions)
        return g_strdupv(scheme->label_names);
    names = g_new0(char *, scheme->n_regions + 2);
    names[0] = g_strdup(scheme->label_names[0]);
    for (guint r = 0; r < scheme->n_regions; r++)
        names[r + 1] = g_strdup(scheme->regions[r].name);
    return names;
}

Evaluation *evaluation_new(LoomInstance *const *metrics, const LoomDataset *scheme)
{
    Evaluation *evaluation = g_new0(Evaluation, 1);

    evaluation->metrics = metrics;
    evaluation->scheme = scheme;
    evaluation->class_names = names_of(scheme);
    evaluation->n_classes = g_strv_length(evaluation->class_names);
    evaluation->columns = g_ptr_array_new();
    evaluation->rows = g_ptr_array_new_with_free_func(row_free);
    for (; *metrics; metrics++)
        for (const LoomReading *reading = readings_of(*metrics); reading->name; reading++)
            g_ptr_array_add(evaluation->columns, (gpointer)(guintptr)reading);
    return evaluation;
}

void evaluation_free(Evaluation *evaluation)
{
    if (!evaluation)
        return;
    g_strfreev(evaluation->class_names);
    g_ptr_array_unref(evaluation->columns);
    g_ptr_array_unref(evaluation->rows);
    g_free(evaluation);
}

guint evaluation_cases(const Evaluation *evaluation)
{
    return evaluation->rows->len;
}

gboolean evaluation_add(Evaluation *evaluation, const char *id, const LoomTensor *truth,
                        const LoomTensor *prediction, const double spacing_mm[3],
                        GError **error)
{
    const LoomMetricInput input = {prediction,
                                   truth,
                                   evaluation->scheme->n_labels,
                                   {spacing_mm[0], spacing_mm[1], spacing_mm[2]},
                                   NULL};
    const guint classes = evaluation->n_classes - 1, columns = evaluation->columns->len;
    g_autofree double *values = g_new(double, (gsize)classes *columns);
    guint first = 0;

    for (LoomInstance *const *metric = evaluation->metrics; *metric; metric++) {
        guint n = 0;

        while (readings_of(*metric)[n].name)
            n++;
        g_autofree double *part = g_new0(double, (gsize)classes *n);
        if (!loom_metric_measure(*metric, &input, evaluation->scheme->regions,
                                 evaluation->scheme->n_regions, part, error)) {
            g_prefix_error(error, "metric '%s': ", (*metric)->plugin->name);
            return FALSE;
        }
        for (guint k = 0; k < classes; k++)
            memcpy(values + k * columns + first, part + k * n, n * sizeof *part);
        first += n;
    }
    Row *row = g_new0(Row, 1);
    row->id = g_strdup(id);
    row->values = g_steal_pointer(&values);
    g_ptr_array_add(evaluation->rows, row);
    return TRUE;
}

/* Mean of class @k over the cases in which it is defined. */
static double mean_of_class(const Evaluation *evaluation, guint k, guint column)
{
    double sum = 0;
    guint n = 0;

    for (guint i = 0; i < evaluation->rows->len; i++) {
        const Row *row = evaluation->rows->pdata[i];
        const double value = row->values[(k - 1) * evaluation->columns->len + column];

        if (isnan(value))
            continue;
        sum += value;
        n++;
    }
    return n ? sum / n : NAN;
}

/* The same; of k = 0 the mean of the classes' means. */
static double mean_of(const Evaluation *evaluation, guint k, guint column)
{
    double sum = 0;
    guint n = 0;

    if (k > 0)
        return mean_of_class(evaluation, k, column);
    for (guint c = 1; c < evaluation->n_classes; c++) {
        const double value = mean_of_class(evaluation, c, column);

        if (isnan(value))
            continue;
        sum += value;
        n++;
    }
    return n ? sum / n : NAN;
}

static const LoomReading *column_at(const Evaluation *evaluation, guint column)
{
    return evaluation->columns->pdata[column];
}

/* ---- a table ------------------------------------------------------------------------ */

#define TABLE_WIDTH 80 /* of a terminal */

typedef struct {
    guint id, name; /* columns of the two first */
} Widths;

static Widths widths_of(const Evaluation *evaluation)
{
    Widths widths = {4, 5};

    for (guint i = 0; i < evaluation->rows->len; i++)
        widths.id =
            MAX(widths.id, (guint)g_utf8_strlen(((Row *)evaluation->rows->pdata[i])->id, -1));
    for (guint k = 1; k < evaluation->n_classes; k++)
        widths.name = MAX(widths.name, (guint)g_utf8_strlen(evaluation->class_names[k], -1));
    return widths;
}

/* printf pads bytes, not letters. */
static void padded_append(GString *text, const char *word, guint width)
{
    const glong length = g_utf8_strlen(word, -1);

    g_string_append_printf(text, "%s%*s", word, (int)MAX((glong)width - length, 0), "");
}

static guint column_width(const LoomReading *reading)
{
    return MAX(9, (guint)strlen(reading->name) + 1);
}

static void number_append(GString *text, guint width, double value)
{
    if (isnan(value))
        g_string_append_printf(text, "%*s", (int)width, "-");
    else
        g_string_append_printf(text, "%*.4f", (int)width, value);
}

/* As many columns as fit beside each other on a terminal, at least one: first <= c < end. */
typedef struct {
    guint first, end;
} Band;

static Band band_from(const Evaluation *evaluation, Widths widths, guint first)
{
    guint width = widths.id + 1 + widths.name, end = first;

    while (end < evaluation->columns->len) {
        width += column_width(column_at(evaluation, end));
        if (width > TABLE_WIDTH && end > first)
            break;
        end++;
    }
    return (Band){first, end};
}

static void head_append(const Evaluation *evaluation, Widths widths, Band band, GString *text)
{
    padded_append(text, "case", widths.id + 1);
    padded_append(text, "class", widths.name);
    for (guint c = band.first; c < band.end; c++)
        g_string_append_printf(text, "%*s", (int)column_width(column_at(evaluation, c)),
                               column_at(evaluation, c)->name);
    g_string_append_c(text, '\n');
}

static void means_append(const Evaluation *evaluation, Widths widths, Band band, GString *text)
{
    for (guint i = 1; i <= evaluation->n_classes; i++) {
        const guint k = i % evaluation->n_classes; /* 1, 2, ... and then all */

        if (k == 0 && evaluation->n_classes == 2)
            continue; /* of one class the mean is that class */
        padded_append(text, "mean", widths.id + 1);
        padded_append(text, k ? evaluation->class_names[k] : "all", widths.name);
        for (guint c = band.first; c < band.end; c++)
            number_append(text, column_width(column_at(evaluation, c)),
                          mean_of(evaluation, k, c));
        g_string_append_c(text, '\n');
    }
}

static void band_append(const Evaluation *evaluation, Widths widths, Band band, GString *text)
{
    head_append(evaluation, widths, band, text);
    for (guint i = 0; i < evaluation->rows->len; i++)
        for (guint k = 1; k < evaluation->n_classes; k++) {
            const Row *row = evaluation->rows->pdata[i];

            padded_append(text, row->id, widths.id + 1);
            padded_append(text, evaluation->class_names[k], widths.name);
            for (guint c = band.first; c < band.end; c++)
                number_append(text, column_width(column_at(evaluation, c)),
                              row->values[(k - 1) * evaluation->columns->len + c]);
            g_string_append_c(text, '\n');
        }
    means_append(evaluation, widths, band, text);
}

char *evaluation_table(const Evaluation *evaluation)
{
    const Widths widths = widths_of(evaluation);
    GString *text = g_string_new(NULL);

    for (guint first = 0; first < evaluation->columns->len;) {
        const Band band = band_from(evaluation, widths, first);

        if (first)
            g_string_append_c(text, '\n');
        band_append(evaluation, widths, band, text);
        first = band.end;
    }
    return g_string_free(text, FALSE);
}

/* ---- for machines ------------------------------------------------------------------- */

/* What the files hold for class @k; regions overlap, so they are counted. */
static guint number_of(const LoomDataset *scheme, guint k)
{
    return scheme->n_regions || !scheme->value_of ? k : scheme->value_of[k];
}

char *evaluation_csv(const Evaluation *evaluation)
{
    GString *text = g_string_new("case,label,class");

    for (guint c = 0; c < evaluation->columns->len; c++)
        g_string_append_printf(text, ",%s", column_at(evaluation, c)->name);
    g_string_append_c(text, '\n');
    for (guint i = 0; i < evaluation->rows->len; i++)
        for (guint k = 1; k < evaluation->n_classes; k++) {
            const Row *row = evaluation->rows->pdata[i];

            csv_text_append(text, row->id);
            g_string_append_printf(text, ",%u,", number_of(evaluation->scheme, k));
            csv_text_append(text, evaluation->class_names[k]);
            for (guint c = 0; c < evaluation->columns->len; c++) {
                const double value = row->values[(k - 1) * evaluation->columns->len + c];

                g_string_append_c(text, ',');
                if (!isnan(value))
                    g_string_append_printf(text, "%.9g", value);
            }
            g_string_append_c(text, '\n');
        }
    return g_string_free(text, FALSE);
}

static void member_add(JsonBuilder *builder, const char *name, double value)
{
    json_builder_set_member_name(builder, name);
    if (isfinite(value))
        json_builder_add_double_value(builder, value);
    else
        json_builder_add_null_value(builder);
}

/* Of class @k of a row; of the means where @row is NULL. */
static void readings_add(JsonBuilder *builder, const Evaluation *evaluation, const Row *row,
                         guint k)
{
    json_builder_begin_object(builder);
    for (guint c = 0; c < evaluation->columns->len; c++)
        member_add(builder, column_at(evaluation, c)->name,
                   row ? row->values[(k - 1) * evaluation->columns->len + c]
                       : mean_of(evaluation, k, c));
    json_builder_end_object(builder);
}

static void classes_add(JsonBuilder *builder, const Evaluation *evaluation, const Row *row)
{
    json_builder_begin_object(builder);
    for (guint k = 1; k < evaluation->n_classes; k++) {
        json_builder_set_member_name(builder, evaluation->class_names[k]);
        readings_add(builder, evaluation, row, k);
    }
    json_builder_end_object(builder);
}

char *evaluation_json(const Evaluation *evaluation)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();

    json_builder_begin_object(builder);
    json_builder_set_member_name(builder, "cases");
    json_builder_begin_object(builder);
    for (guint i = 0; i < evaluation->rows->len; i++) {
        const Row *row = evaluation->rows->pdata[i];

        json_builder_set_member_name(builder, row->id);
        classes_add(builder, evaluation, row);
    }
    json_builder_end_object(builder);
    json_builder_set_member_name(builder, "mean");
    classes_add(builder, evaluation, NULL);
    json_builder_set_member_name(builder, "mean_of_classes");
    readings_add(builder, evaluation, NULL, 0);
    json_builder_end_object(builder);
    g_autoptr(JsonNode) root = json_builder_get_root(builder);
    g_autofree char *text = json_to_string(root, TRUE);
    return g_strconcat(text, "\n", NULL);
}
