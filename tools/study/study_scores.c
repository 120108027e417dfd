/* study_scores - what the runs of a study scored: the rows of the last step in each
 * metrics.csv, by loss, class, reading and case; means with intervals, and each loss against
 * the first one. */
#include "study_scores.h"

#include "csv_table.h"

#include <loom/plugin.h>

#include <math.h>
#include <string.h>

#define FIRST_COLUMNS 4 /* step, case, class, label */

typedef struct {
    double sum;
    guint n;
} Sum;

StudyScores *study_scores_new(const StudyPlan *plan)
{
    StudyScores *scores = g_new0(StudyScores, 1);

    scores->losses = plan->losses;
    scores->n_losses = g_strv_length(plan->losses);
    scores->classes = g_ptr_array_new_with_free_func(g_free);
    scores->readings = g_ptr_array_new_with_free_func(g_free);
    scores->cases = g_ptr_array_new_with_free_func(g_free);
    scores->sums = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    return scores;
}

void study_scores_free(StudyScores *scores)
{
    if (!scores)
        return;
    g_ptr_array_unref(scores->classes);
    g_ptr_array_unref(scores->readings);
    g_ptr_array_unref(scores->cases);
    g_hash_table_unref(scores->sums);
    g_free(scores->cells);
    g_free(scores);
}

/* ---- metrics.csv -------------------------------------------------------------------- */

static CsvTable *table_read(const char *folder, GError **error)
{
    g_autofree char *path = g_build_filename(folder, "metrics.csv", NULL);

    return csv_table_read(path, error);
}

/* The step of a row. */
static gint64 step_of(const CsvTable *table, guint row)
{
    return g_ascii_strtoll(((char **)table->rows->pdata[row])[0], NULL, 10);
}

gboolean study_scores_there(const char *folder, gint64 step)
{
    g_autoptr(CsvTable) table = table_read(folder, NULL);

    return table && table->rows->len && step_of(table, table->rows->len - 1) == step;
}

/* ---- values ------------------------------------------------------------------------- */

/* Index of @name among @names, added where it is missing. */
static guint index_of(GPtrArray *names, const char *name)
{
    guint at;

    if (g_ptr_array_find_with_equal_func(names, name, g_str_equal, &at))
        return at;
    g_ptr_array_add(names, g_strdup(name));
    return names->len - 1;
}

static Sum *sum_of(const StudyScores *scores, guint loss, guint class_, guint reading,
                   guint one, gboolean make)
{
    g_autofree char *key = g_strdup_printf("%u %u %u %u", loss, class_, reading, one);
    Sum *sum = g_hash_table_lookup(scores->sums, key);

    if (!sum && make) {
        sum = g_new0(Sum, 1);
        g_hash_table_insert(scores->sums, g_steal_pointer(&key), sum);
    }
    return sum;
}

static void row_add(StudyScores *scores, guint loss, char **names, char **cells)
{
    const guint one = index_of(scores->cases, cells[1]);
    const guint class_ = index_of(scores->classes, cells[3]);

    for (guint i = FIRST_COLUMNS; names[i]; i++) {
        if (!*cells[i]) /* undefined */
            continue;
        Sum *sum =
            sum_of(scores, loss, class_, index_of(scores->readings, names[i]), one, TRUE);
        sum->sum += g_ascii_strtod(cells[i], NULL);
        sum->n++;
    }
}

static guint loss_index(const StudyScores *scores, const StudyRun *run)
{
    guint i = 0;

    while (!g_str_equal(scores->losses[i], run->loss))
        i++;
    return i;
}

gboolean study_scores_add(StudyScores *scores, const StudyRun *run, const char *folder,
                          gint64 step, GError **error)
{
    g_autoptr(CsvTable) table = table_read(folder, error);

    if (!table)
        return FALSE;
    if (table->cut)
        return loom_fail(error, LOOM_ERROR_FORMAT,
                         "'%s': metrics.csv: %u rows have more or fewer cells than its header",
                         folder, table->cut);
    if (g_strv_length(table->names) < FIRST_COLUMNS)
        return loom_fail(error, LOOM_ERROR_FORMAT,
                         "'%s': metrics.csv: want the columns step, case, class, label and "
                         "those of the metrics",
                         folder);
    for (guint row = 0; row < table->rows->len; row++)
        if (step_of(table, row) == step)
            row_add(scores, loss_index(scores, run), table->names, table->rows->pdata[row]);
    return TRUE;
}

/* ---- what can be said --------------------------------------------------------------- */

static gsize cell_at(const StudyScores *scores, guint loss, guint class_, guint reading)
{
    return ((gsize)loss * scores->n_classes + class_) * scores->n_readings + reading;
}

const StudyCell *study_scores_cell(const StudyScores *scores, guint loss, guint class_,
                                   guint reading)
{
    return &scores->cells[cell_at(scores, loss, class_, reading)];
}

gint study_scores_reading(const StudyScores *scores, const char *name)
{
    guint at;

    return g_ptr_array_find_with_equal_func(scores->readings, name, g_str_equal, &at) ? (gint)at
                                                                                      : -1;
}

/* Of every case, NaN where it is undefined or missing; (transfer full). */
static double *values_of(const StudyScores *scores, guint loss, guint class_, guint reading)
{
    double *values = g_new(double, MAX(scores->cases->len, 1));

    for (guint i = 0; i < scores->cases->len; i++) {
        const Sum *sum = sum_of(scores, loss, class_, reading, i, FALSE);

        values[i] = sum ? sum->sum / sum->n : NAN;
    }
    return values;
}

static void cell_fill(StudyScores *scores, guint loss, guint class_, guint reading,
                      guint64 seed)
{
    const guint n = scores->cases->len;
    StudyCell *cell = &scores->cells[cell_at(scores, loss, class_, reading)];
    g_autofree double *values = values_of(scores, loss, class_, reading);
    g_autofree double *first = values_of(scores, 0, class_, reading);
    g_autofree double *apart = g_new(double, MAX(n, 1));

    cell->mean = statistics_mean(values, n, &cell->n);
    cell->interval = statistics_bootstrap(values, n, seed);
    for (guint i = 0; i < n; i++)
        apart[i] = values[i] - first[i];
    cell->difference = statistics_mean(apart, n, NULL);
    cell->test = statistics_wilcoxon(values, first, n);
    if (loss == 0)
        cell->test.p = NAN;
}

/* All comparisons of one reading are one family: every other loss, in every class. */
static void reading_correct(StudyScores *scores, guint reading)
{
    const guint n = scores->n_losses * scores->n_classes;
    g_autofree double *p = g_new(double, MAX(n, 1));

    for (guint i = 0; i < n; i++)
        p[i] = scores->cells[(gsize)i * scores->n_readings + reading].test.p;
    statistics_holm(p, n);
    for (guint i = 0; i < n; i++)
        scores->cells[(gsize)i * scores->n_readings + reading].holm = p[i];
}

void study_scores_finish(StudyScores *scores, guint64 seed)
{
    scores->n_classes = scores->classes->len;
    scores->n_readings = scores->readings->len;
    scores->cells = g_new0(StudyCell, cell_at(scores, scores->n_losses, 0, 0) + 1);
    for (guint loss = 0; loss < scores->n_losses; loss++)
        for (guint k = 0; k < scores->n_classes; k++)
            for (guint r = 0; r < scores->n_readings; r++)
                cell_fill(scores, loss, k, r, seed);
    for (guint r = 0; r < scores->n_readings; r++)
        reading_correct(scores, r);
}
