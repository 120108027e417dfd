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

/* The text of metrics.csv up to its last whole line; NULL with the reason. */
static char *table_read(const char *folder, GError **error)
{
    g_autofree char *path = g_build_filename(folder, "metrics.csv", NULL);
    g_autoptr(GError) cause = NULL;
    char *text = NULL;

    if (!g_file_get_contents(path, &text, NULL, &cause))
        return loom_fail_null(error, LOOM_ERROR_IO, "%s", cause->message);
    char *end = strrchr(text, '\n');
    *(end ? end + 1 : text) = '\0';
    return text;
}

gboolean study_scores_there(const char *folder, gint64 step)
{
    g_autofree char *text = table_read(folder, NULL);
    const char *line = text, *end;
    gboolean there = FALSE;

    for (; line && (end = strchr(line, '\n')); line = end + 1)
        there = g_ascii_strtoll(line, NULL, 10) == step;
    return there;
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

static gboolean row_add(StudyScores *scores, guint loss, char **names, char **cells,
                        GError **error)
{
    if (g_strv_length(cells) != g_strv_length(names))
        return loom_fail(error, LOOM_ERROR_FORMAT, "a row has %u cells, its header %u",
                         g_strv_length(cells), g_strv_length(names));
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
    return TRUE;
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
    g_autofree char *text = table_read(folder, error);
    g_auto(GStrv) names = NULL;
    const char *end;

    if (!text)
        return FALSE;
    for (const char *line = text; (end = strchr(line, '\n')); line = end + 1) {
        g_auto(GStrv) cells = csv_line_split(line, (gsize)(end - line));

        if (!names)
            names = g_steal_pointer(&cells);
        else if (g_ascii_strtoll(line, NULL, 10) == step
                 && !row_add(scores, loss_index(scores, run), names, cells, error)) {
            g_prefix_error(error, "'%s': metrics.csv: ", folder);
            return FALSE;
        }
    }
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
