/* fingerprint - every case of a data set, several at a time, as many as memory allows.
 *
 * The result depends on the cases and their order alone: each is measured by itself, and they
 * are put together at the end. */
#define G_LOG_DOMAIN "loom-plan"
#include "fingerprint.h"

#include <glib/gstdio.h>
#include <math.h>

#define VOXEL_BYTES 10 /* of fingerprint_case_measure, and of the reader while it works */
#define SCRATCH_BYTES (16 << 20) /* of the histograms of a case */

typedef struct {
    const LoomDataset *dataset;
    const FingerprintOptions *options;
    const char *cache; /* folder; NULL: none */
    Fingerprint *result;
    FingerprintScratch **scratch; /* a worker: NULL until it has work */
    GError **errors;              /* a case */
    gint done, cached, unwritten; /* atomic */
} Work;

static void case_do(gint64 i, guint worker, gpointer data)
{
    Work *work = data;
    const LoomCase *one = &work->dataset->cases[i];
    const char *cache = work->cache;
    FingerprintCase *measured = &work->result->cases[i];
    g_autoptr(GError) error = NULL;

    if (cache && fingerprint_cache_read(cache, work->dataset, one, measured)) {
        g_atomic_int_inc(&work->cached);
    } else {
        if (!work->scratch[worker])
            work->scratch[worker] = fingerprint_scratch_new();
        if (!fingerprint_case_measure(work->dataset, one, work->scratch[worker], measured,
                                      &work->errors[i]))
            g_prefix_error(&work->errors[i], "case '%s': ", one->id);
        else if (cache && !fingerprint_cache_write(cache, work->dataset, one, measured, &error)
                 && g_atomic_int_add(&work->unwritten, 1) == 0)
            g_warning("what was measured cannot be kept for the next time: %s", error->message);
    }
    const guint done = (guint)g_atomic_int_add(&work->done, 1) + 1;
    if (work->options->progress)
        work->options->progress(done, work->dataset->n_cases, work->options->data);
}

/* Threads that memory allows while each reads the largest case. */
static gboolean threads_find(const LoomDataset *dataset, const FingerprintOptions *options,
                             guint *threads, GError **error)
{
    double largest = 0;
    guint worst = 0;

    for (guint i = 0; i < dataset->n_cases; i++) {
        PlanGrid grid;

        if (!fingerprint_case_grid(dataset, &dataset->cases[i], &grid, error)) {
            g_prefix_error(error, "case '%s': ", dataset->cases[i].id);
            return FALSE;
        }
        const double voxels =
            (double)grid.shape[0] * (double)grid.shape[1] * (double)grid.shape[2];
        worst = voxels > largest ? i : worst;
        largest = MAX(largest, voxels);
    }
    const double bytes =
        largest * (VOXEL_BYTES + 4.0 * MAX(dataset->n_channels, dataset->n_volumes))
        + SCRATCH_BYTES;
    if (bytes > (double)options->memory)
        return loom_fail(error, LOOM_ERROR_LIMIT,
                         "case '%s': to look at it takes %.1f GiB of memory, %.1f GiB are free",
                         dataset->cases[worst].id, bytes / (1 << 30),
                         (double)options->memory / (1 << 30));
    *threads = (guint)CLAMP((double)options->memory / bytes, 1, options->threads);
    return TRUE;
}

/* The first error of all, and how many more there are. */
static gboolean errors_report(GError **errors, guint n, GError **error)
{
    const GError *first = NULL;
    guint more = 0;

    for (guint i = 0; i < n; i++) {
        more += first && errors[i] ? 1 : 0;
        first = first ? first : errors[i];
    }
    if (!first)
        return TRUE;
    if (!more)
        return loom_fail(error, (LoomErrorCode)first->code, "%s", first->message);
    return loom_fail(error, (LoomErrorCode)first->code, "%s (and problems in %u more case%s)",
                     first->message, more, more == 1 ? "" : "s");
}

static void together(Fingerprint *all)
{
    g_autofree const Histogram **parts = g_new(const Histogram *, all->n_cases);
    g_autofree double *kept = g_new(double, all->n_cases);

    for (guint i = 0; i < all->n_cases; i++) {
        const FingerprintCase *one = &all->cases[i];

        kept[i] = 1;
        for (guint a = 0; a < 3; a++) {
            kept[i] *= (double)one->cropped[a] / (double)one->whole.shape[a];
            all->grids[i].shape[a] = one->cropped[a];
            all->grids[i].spacing[a] = one->whole.spacing[a];
        }
        for (guint k = 0; k < FINGERPRINT_LABELS; k++) {
            all->labels[k] += one->labels[k];
            all->cases_with[k] += one->labels[k] > 0 ? 1 : 0;
        }
    }
    all->kept = plan_percentile(kept, all->n_cases, 50);
    for (guint c = 0; c < all->n_channels; c++) {
        for (guint i = 0; i < all->n_cases; i++)
            parts[i] = &all->cases[i].foreground[c];
        histogram_merge(parts, all->n_cases, &all->foreground[c]);
    }
}

static gboolean cases_measure(Work *work, guint threads, GError **error)
{
    g_autoptr(LoomPool) pool = loom_pool_new(threads);
    const guint n = work->dataset->n_cases;
    gboolean good;

    work->scratch = g_new0(FingerprintScratch *, loom_pool_threads(pool));
    work->errors = g_new0(GError *, n);
    loom_pool_run(pool, n, case_do, work);
    good = errors_report(work->errors, n, error);
    for (guint i = 0; i < n; i++)
        g_clear_error(&work->errors[i]);
    for (guint w = 0; w < loom_pool_threads(pool); w++)
        if (work->scratch[w])
            fingerprint_scratch_free(work->scratch[w]);
    g_free(work->errors);
    g_free(work->scratch);
    return good;
}

Fingerprint *fingerprint_make(const LoomDataset *dataset, const FingerprintOptions *options,
                              GError **error)
{
    g_autoptr(Fingerprint) all = g_new0(Fingerprint, 1);
    Work work = {
        .dataset = dataset, .options = options, .cache = options->cache, .result = all};
    guint threads = 1;

    if (!dataset->n_cases)
        return loom_fail_null(error, LOOM_ERROR_FORMAT, "the data set '%s' has no case",
                              dataset->name);
    all->n_cases = dataset->n_cases;
    all->n_channels = dataset->n_channels;
    all->cases = g_new0(FingerprintCase, all->n_cases);
    all->grids = g_new0(PlanGrid, all->n_cases);
    all->foreground = g_new0(Histogram, all->n_channels);
    if (!threads_find(dataset, options, &threads, error))
        return NULL;
    if (options->cache && g_mkdir_with_parents(options->cache, 0777) != 0) {
        g_warning("cannot make the folder '%s': nothing is kept for the next time",
                  options->cache);
        work.cache = NULL;
    }
    if (!cases_measure(&work, threads, error))
        return NULL;
    all->cached = (guint)work.cached;
    together(all);
    return g_steal_pointer(&all);
}

void fingerprint_free(Fingerprint *fingerprint)
{
    if (!fingerprint)
        return;
    for (guint i = 0; i < fingerprint->n_cases; i++)
        fingerprint_case_clear(&fingerprint->cases[i]);
    for (guint c = 0; c < fingerprint->n_channels; c++)
        histogram_clear(&fingerprint->foreground[c]);
    g_free(fingerprint->cases);
    g_free(fingerprint->grids);
    g_free(fingerprint->foreground);
    g_free(fingerprint);
}
