/* metrics - any metric plugins over the cases of a graph; at the end of the data one record and
 * the rows of metrics.csv.
 *
 * A record "metrics" has for each reading r of a plugin:
 *   r         mean of the classes' means, background left out
 *   r/NAME    mean over the cases of class NAME, as the data set calls it, else its number
 * and "cases".  Where the data set has regions they are measured instead of the classes, each
 * as one class.  Voxels that the truth ignores count nowhere.  Undefined values (NaN) are left
 * out of every mean; a mean over nothing is null. A run that was stopped before the end of the
 * data records nothing: half a mean misleads.  Of several ranks each measures its share of the
 * cases; at the end all hold the values of all cases and add them in the order of the data set,
 * so the result has the bits of one rank's. */
#include "csv.h"
#include "truth.h"

#include <math.h>
#include <string.h>

#define CASES_TYPE "a(xsad)"

typedef struct {
    LoomInstances metrics;
    gboolean csv, regions;
    const LoomDataset *dataset; /* NULL: none */
    gint64 classes;             /* of the label maps; 0: not known */
    gint64 rows_each;           /* of a case, 0 being the background: classes, or regions + 1 */
    guint n_readings;           /* of all plugins */
    const char **readings;      /* n_readings names */
    GVariantBuilder *measured;  /* a(xsad): number, id, values of the cases of this rank */
    double *sums;               /* (rows_each, n_readings), with those of class 0 unused */
    gint64 *counts;             /* the same */
    gint64 cases;
    GString *rows; /* of this run of the graph */
    Csv table;
} Metrics;

static const LoomParam metrics_params[] = {
    LOOM_USES(Metrics, metrics, "[{use: overlap}]", "metric", "what to measure"),
    LOOM_BOOL(Metrics, csv, "true", "write metrics.csv, a row for each case and class"),
    LOOM_BOOL(Metrics, regions, "true", "measure the data set's regions, where it has some"),
    {0},
};

static const LoomSlot metrics_slots[] = {
    {"prediction", LOOM_U8, "DHW", LOOM_SLOT_NATIVE, "predicted class of each voxel"},
    {"truth", LOOM_U8, "DHW", LOOM_SLOT_NATIVE | LOOM_SLOT_OPTIONAL,
     "true class of each voxel of the file, 255: counts nowhere; without it 'label'"},
    {"label", LOOM_U8, "DHW", LOOM_SLOT_OPTIONAL, "true class, on the grid of the image"},
    {"probabilities", LOOM_F32, "CDHW", LOOM_SLOT_NATIVE | LOOM_SLOT_OPTIONAL,
     "for metrics that need them"},
    {0},
};

static const LoomMetric *metric_at(const Metrics *metrics, guint i)
{
    return (const LoomMetric *)metrics->metrics.v[i]->plugin;
}

static gboolean readings_gather(Metrics *metrics, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();

    for (guint i = 0; i < metrics->metrics.n; i++)
        for (const LoomReading *reading = metric_at(metrics, i)->readings; reading->name;
             reading++) {
            if (g_ptr_array_find_with_equal_func(names, reading->name, g_str_equal, NULL))
                return loom_fail(error, LOOM_ERROR_CONFIG,
                                 "two metrics have a reading '%s', want each only once",
                                 reading->name);
            g_ptr_array_add(names, (gpointer)(guintptr)reading->name);
        }
    if (!names->len)
        return loom_fail(error, LOOM_ERROR_CONFIG, "metrics is empty, want at least one");
    metrics->n_readings = names->len;
    metrics->readings = (gpointer)g_ptr_array_free(g_steal_pointer(&names), FALSE);
    return TRUE;
}

static gboolean metrics_open(gpointer self, LoomHost *host, GError **error)
{
    Metrics *metrics = self;
    g_autoptr(GString) header = g_string_new("step,case,class,label");

    metrics->dataset = loom_host_dataset(host);
    metrics->classes = metrics->dataset ? metrics->dataset->n_labels : 0;
    metrics->rows = g_string_new(NULL);
    if (!readings_gather(metrics, error))
        return FALSE;
    for (guint i = 0; i < metrics->n_readings; i++)
        csv_text(header, metrics->readings[i]);
    g_string_append_c(header, '\n');
    csv_open(&metrics->table, metrics->csv ? loom_host_folder(host) : NULL, "metrics.csv",
             header->str, loom_host_resuming(host));
    return TRUE;
}

static void metrics_close(gpointer self)
{
    Metrics *metrics = self;

    g_clear_pointer(&metrics->measured, g_variant_builder_unref);
    g_free(metrics->readings);
    g_free(metrics->sums);
    g_free(metrics->counts);
    if (metrics->rows)
        g_string_free(metrics->rows, TRUE);
    csv_close(&metrics->table);
}

/* Are regions measured, not classes? */
static gboolean by_region(const Metrics *metrics)
{
    return metrics->regions && metrics->dataset && metrics->dataset->n_regions;
}

static gboolean regions_check(const Metrics *metrics, GError **error)
{
    for (guint i = 0; by_region(metrics) && i < metrics->metrics.n; i++)
        if (metric_at(metrics, i)->flags & LOOM_METRIC_PROBABILITIES)
            return loom_fail(
                error, LOOM_ERROR_CONFIG,
                "metric '%s' needs probabilities of classes, not of the data set's "
                "regions: want regions: false, or another metric",
                metric_at(metrics, i)->base.name);
    return TRUE;
}

/* Every region writes a label of its own, so predictions with as many classes as regions are
 * the channels themselves. */
static gboolean written_check(const Metrics *metrics, gint64 classes, GError **error)
{
    const LoomDataset *dataset = metrics->dataset;
    g_autoptr(GString) written = g_string_new(NULL);

    if (!dataset || !dataset->n_regions || classes != dataset->n_regions)
        return TRUE;
    for (guint r = 0; r < dataset->n_regions; r++)
        g_string_append_printf(written, "%s%u", r ? ", " : "", dataset->regions[r].written);
    return loom_fail(
        error, LOOM_ERROR_CONFIG,
        "the network has a channel a region, so its predictions are no labels: want "
        "regions: [%s] in the sliding_window before it",
        written->str);
}

static gboolean probabilities_check(const Metrics *metrics, gboolean given, GError **error)
{
    for (guint i = 0; !given && i < metrics->metrics.n; i++)
        if (metric_at(metrics, i)->flags & LOOM_METRIC_PROBABILITIES)
            return loom_fail(error, LOOM_ERROR_CONFIG,
                             "metric '%s' needs 'probabilities', want keep_probabilities: true "
                             "in the sliding_window before it",
                             metric_at(metrics, i)->base.name);
    return TRUE;
}

/* The model's classes, where there is a model; else those of the data set. */
static gboolean metrics_plan(gpointer self, LoomPlan *plan, GError **error)
{
    Metrics *metrics = self;

    if (plan->classes && !plan->regions && !by_region(metrics))
        metrics->classes = plan->classes;
    return regions_check(metrics, error) && written_check(metrics, plan->classes, error)
           && probabilities_check(metrics, plan->probabilities, error);
}

static gboolean metrics_start(gpointer self, G_GNUC_UNUSED LoomContext *ctx, GError **error)
{
    Metrics *metrics = self;

    metrics->rows_each =
        by_region(metrics) ? metrics->dataset->n_regions + 1 : metrics->classes;
    const gsize n = (gsize)metrics->rows_each * metrics->n_readings;
    if (metrics->classes < 2)
        return loom_fail(
            error, LOOM_ERROR_CONFIG,
            "the number of classes is not known: want a model before it, or a data "
            "set with labels");
    g_free(metrics->sums);
    g_free(metrics->counts);
    metrics->sums = g_new0(double, n);
    metrics->counts = g_new0(gint64, n);
    metrics->cases = 0;
    g_clear_pointer(&metrics->measured, g_variant_builder_unref);
    metrics->measured = g_variant_builder_new(G_VARIANT_TYPE(CASES_TYPE));
    g_string_truncate(metrics->rows, 0);
    return TRUE;
}

/* "Anterior", or "1" where the data set has no name for row @k; (transfer full). */
static char *class_name(const Metrics *metrics, gint64 k)
{
    const LoomDataset *dataset = metrics->dataset;

    if (by_region(metrics))
        return g_strdup(dataset->regions[k - 1].name);
    return dataset && k < dataset->n_labels ? g_strdup(dataset->label_names[k])
                                            : g_strdup_printf("%" G_GINT64_FORMAT, k);
}

/* @ignored: a value that is let pass. */
static gboolean classes_check(const LoomTensor *tensor, const char *slot, gint64 classes,
                              gint ignored, GError **error)
{
    const guint8 *x = loom_tensor_u8(tensor);
    guint8 most = 0;

    for (gint64 v = 0; v < loom_tensor_count(tensor); v++)
        if (x[v] != ignored)
            most = MAX(most, x[v]);
    return most < classes
           || loom_fail(error, LOOM_ERROR_SHAPE,
                        "'%s' has class %u, want classes below %" G_GINT64_FORMAT, slot, most,
                        classes);
}

/* Fills rows 1, 2, ... of @values, (rows_each, n_readings), from every plugin. */
static gboolean case_measure(const Metrics *metrics, const LoomMetricInput *input,
                             double *values, GError **error)
{
    const guint n_regions = by_region(metrics) ? metrics->dataset->n_regions : 0;
    const LoomLabelRegion *regions = n_regions ? metrics->dataset->regions : NULL;
    g_autofree double *part = g_new(double, (gsize)metrics->rows_each * metrics->n_readings);
    guint first = 0;

    for (guint i = 0; i < metrics->metrics.n; i++) {
        const LoomMetric *metric = metric_at(metrics, i);
        guint n = 0;

        while (metric->readings[n].name)
            n++;
        if (!loom_metric_measure(metrics->metrics.v[i], input, regions, n_regions, part,
                                 error)) {
            g_prefix_error(error, "metric '%s': ", metric->base.name);
            return FALSE;
        }
        for (gint64 k = 1; k < metrics->rows_each; k++)
            memcpy(values + k * metrics->n_readings + first, part + (k - 1) * n,
                   n * sizeof *part);
        first += n;
    }
    return TRUE;
}

static void case_count(Metrics *metrics, const char *id, gint64 step, const double *values)
{
    for (gint64 k = 1; k < metrics->rows_each; k++) {
        g_autofree char *name = class_name(metrics, k);

        g_string_append_printf(metrics->rows, "%" G_GINT64_FORMAT, step);
        csv_text(metrics->rows, id);
        g_string_append_printf(metrics->rows, ",%" G_GINT64_FORMAT, k);
        csv_text(metrics->rows, name);
        for (guint r = 0; r < metrics->n_readings; r++) {
            const gsize at = (gsize)k * metrics->n_readings + r;

            csv_number(metrics->rows, values[at]);
            if (!isnan(values[at])) {
                metrics->sums[at] += values[at];
                metrics->counts[at]++;
            }
        }
        g_string_append_c(metrics->rows, '\n');
    }
    metrics->cases++;
}

/* Numbers of class 0 are none: they are not measured. */
static void case_keep(Metrics *metrics, const LoomPacket *packet, double *values)
{
    memset(values, 0, metrics->n_readings * sizeof *values);
    g_variant_builder_add(
        metrics->measured, "(xs@ad)", loom_packet_index(packet), loom_packet_id(packet),
        g_variant_new_fixed_array(G_VARIANT_TYPE_DOUBLE, values,
                                  (gsize)metrics->rows_each * metrics->n_readings,
                                  sizeof *values));
}

static gboolean metrics_map(gpointer self, LoomPacket *packet, G_GNUC_UNUSED LoomContext *ctx,
                            GError **error)
{
    Metrics *metrics = self;
    const LoomGeometry *geometry = loom_packet_native(packet);
    const char *slot;
    const LoomTensor *truth = truth_of(packet, &slot, error);
    const LoomMetricInput input = {
        .prediction = loom_packet_get(packet, "prediction"),
        .truth = truth,
        .classes = metrics->classes,
        /* the file's k, j, i are D, H, W */
        .spacing_mm = {geometry ? geometry->spacing_mm[2] : 0,
                       geometry ? geometry->spacing_mm[1] : 0,
                       geometry ? geometry->spacing_mm[0] : 0},
        .probabilities = loom_packet_get(packet, "probabilities"),
    };
    g_autofree double *values = g_new(double, (gsize)metrics->rows_each * metrics->n_readings);

    if (!truth)
        return FALSE;
    if (!geometry)
        return loom_fail(error, LOOM_ERROR_SHAPE, "no voxel sizes, want a case from a file");
    if (!probabilities_check(metrics, input.probabilities != NULL, error)
        || !classes_check(input.prediction, "prediction", metrics->classes, -1, error)
        || !classes_check(truth, slot, metrics->classes,
                          metrics->dataset && metrics->dataset->ignores ? LOOM_IGNORED : -1,
                          error)
        || !case_measure(metrics, &input, values, error))
        return FALSE;
    case_keep(metrics, packet, values);
    return TRUE;
}

/* ---- all cases together ------------------------------------------------------------- */

typedef struct {
    gint64 number;
    char *id;
    double *values; /* (rows_each, n_readings) */
} Case;

static void case_free(gpointer data)
{
    Case *one = data;

    g_free(one->id);
    g_free(one->values);
    g_free(one);
}

static gint cases_compare(gconstpointer a, gconstpointer b)
{
    const Case *x = *(const Case *const *)a, *y = *(const Case *const *)b;

    return x->number < y->number ? -1 : x->number > y->number;
}

static gboolean cases_unpack(const Metrics *metrics, GBytes *bytes, GPtrArray *cases,
                             GError **error)
{
    g_autoptr(GVariant) packed =
        g_variant_ref_sink(g_variant_new_from_bytes(G_VARIANT_TYPE(CASES_TYPE), bytes, FALSE));
    GVariantIter iter;
    Case one;
    GVariant *values;

    g_variant_iter_init(&iter, packed);
    while (g_variant_iter_next(&iter, "(xs@ad)", &one.number, &one.id, &values)) {
        gsize n;
        const double *given = g_variant_get_fixed_array(values, &n, sizeof *given);

        one.values = g_memdup2(given, n * sizeof *given);
        g_variant_unref(values);
        g_ptr_array_add(cases, g_memdup2(&one, sizeof one));
        if (n != (gsize)metrics->rows_each * metrics->n_readings)
            return loom_fail(error, LOOM_ERROR_FORMAT,
                             "another rank measured %zu values of '%s', this one %zu", n,
                             one.id, (gsize)metrics->rows_each * metrics->n_readings);
    }
    return TRUE;
}

/* Rows and sums of the cases of all ranks, in the order of the data set. */
static LoomFlow cases_count(Metrics *metrics, LoomContext *ctx, GError **error)
{
    g_autoptr(GVariant) packed = g_variant_ref_sink(g_variant_builder_end(metrics->measured));
    g_autoptr(GBytes) mine = g_variant_get_data_as_bytes(packed);
    g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    g_autoptr(GPtrArray) cases = g_ptr_array_new_with_free_func(case_free);
    LoomFlow flow = loom_context_gather(ctx, mine, all, error);

    for (guint r = 0; flow == LOOM_FLOW_OK && r < all->len; r++)
        if (!cases_unpack(metrics, all->pdata[r], cases, error))
            flow = LOOM_FLOW_FAIL;
    g_ptr_array_sort(cases, cases_compare);
    for (guint i = 0; i < cases->len; i++) {
        const Case *one = cases->pdata[i];

        case_count(metrics, one->id, loom_context_step(ctx), one->values);
    }
    return flow;
}

/* Mean of a class over its cases; class 0: mean of the other classes' means. */
static double mean_of(const Metrics *metrics, gint64 k, guint reading)
{
    const gsize at = (gsize)k * metrics->n_readings + reading;
    double sum = 0;
    gint64 n = 0;

    if (k > 0)
        return metrics->counts[at] ? metrics->sums[at] / (double)metrics->counts[at] : NAN;
    for (gint64 other = 1; other < metrics->rows_each; other++) {
        const double mean = mean_of(metrics, other, reading);

        if (!isnan(mean)) {
            sum += mean;
            n++;
        }
    }
    return n ? sum / (double)n : NAN;
}

static LoomFlow metrics_flush(gpointer self, LoomContext *ctx, GError **error)
{
    Metrics *metrics = self;
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GArray) fields = g_array_new(FALSE, FALSE, sizeof(LoomField));
    const LoomFlow counted = cases_count(metrics, ctx, error);
    LoomField field = {.name = "cases", .value = (double)metrics->cases};

    if (counted != LOOM_FLOW_OK)
        return counted;
    if (metrics->cases == 0) {
        loom_fail(error, LOOM_ERROR_NUMERIC, "no case arrived, so there is no mean");
        return LOOM_FLOW_FAIL;
    }
    g_array_append_val(fields, field);
    for (guint r = 0; r < metrics->n_readings; r++)
        for (gint64 k = 0; k < metrics->rows_each; k++) {
            g_autofree char *name = k ? class_name(metrics, k) : NULL;
            char *full = k ? g_strdup_printf("%s/%s", metrics->readings[r], name)
                           : g_strdup(metrics->readings[r]);

            g_ptr_array_add(names, full);
            field = (LoomField){.name = full, .value = mean_of(metrics, k, r)};
            g_array_append_val(fields, field);
        }
    if (!csv_append(&metrics->table, ctx, loom_context_step(ctx), metrics->rows->str, error))
        return LOOM_FLOW_FAIL;
    loom_context_record(ctx, "metrics", &g_array_index(fields, LoomField, 0), fields->len);
    return LOOM_FLOW_OK;
}

/* The plugin that takes most, and masks of both where regions or ignored voxels count. */
static gboolean metrics_need(gpointer self, LoomPacket *sketch, LoomNeed *need,
                             G_GNUC_UNUSED GError **error)
{
    const Metrics *metrics = self;
    const LoomDataset *dataset = metrics->dataset;
    const guint64 masks = dataset && (by_region(metrics) || dataset->ignores) ? 4 : 0;
    guint64 bytes = 0;

    for (guint i = 0; i < metrics->metrics.n; i++)
        bytes = MAX(bytes, metric_at(metrics, i)->voxel_bytes);
    need->work =
        (bytes + masks) * (guint64)loom_tensor_count(loom_packet_get(sketch, "prediction"));
    return TRUE;
}

static const LoomStage metrics = {
    .base = LOOM_STAGE(Metrics, "metrics", "Measure predictions against labels",
                       .params = metrics_params, .open = metrics_open, .close = metrics_close),
    .reads = metrics_slots,
    .map = metrics_map,
    .start = metrics_start,
    .flush = metrics_flush,
    .plan = metrics_plan,
    .need = metrics_need,
};
LOOM_MODULE("stage_metrics", "0.1", &metrics.base);
