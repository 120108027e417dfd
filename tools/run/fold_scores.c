/* fold_scores - means of folds, and over folds: mean m = sum x / n, sd = sqrt(sum (x - m)^2 /
 * (n - 1)). */
#include "fold_scores.h"

#include "csv_table.h"
#include "json_members.h"

#include <loom/plugin.h>

#include <math.h>
#include <string.h>

#define FIRST_COLUMNS 4 /* step, case, class, label */

typedef struct {
    double sum;
    guint n;
} Sum;

typedef struct {
    guint fold;
    gint64 step;
    GHashTable *cases; /* names, as a set */
    GArray *sums;      /* Sum: (classes, readings) */
} Fold;

struct _FoldScores {
    GPtrArray *classes, *readings; /* char *: the same in every fold */
    GPtrArray *folds;              /* Fold * */
};

static void fold_free(gpointer data)
{
    Fold *fold = data;

    g_hash_table_unref(fold->cases);
    g_array_unref(fold->sums);
    g_free(fold);
}

FoldScores *fold_scores_new(void)
{
    FoldScores *scores = g_new0(FoldScores, 1);

    scores->classes = g_ptr_array_new_with_free_func(g_free);
    scores->readings = g_ptr_array_new_with_free_func(g_free);
    scores->folds = g_ptr_array_new_with_free_func(fold_free);
    return scores;
}

void fold_scores_free(FoldScores *scores)
{
    if (!scores)
        return;
    g_ptr_array_unref(scores->classes);
    g_ptr_array_unref(scores->readings);
    g_ptr_array_unref(scores->folds);
    g_free(scores);
}

guint fold_scores_folds(const FoldScores *scores)
{
    return scores->folds->len;
}

/* ---- metrics.csv -------------------------------------------------------------------- */

/* The step that model/model.json is of; -1: it does not say. */
static gint64 model_step(const char *folder)
{
    g_autofree char *path = g_build_filename(folder, "model", "model.json", NULL);
    g_autoptr(JsonObject) model = json_object_read(path);
    const double step = json_value(model, "step");

    return step >= 0 && step < 1e15 ? (gint64)step : -1;
}

/* @wish where there are rows of it, else the last one; -1: there are no rows. */
static gint64 step_choose(const CsvTable *table, gint64 wish)
{
    gint64 last = -1;

    for (guint row = 0; row < table->rows->len; row++) {
        last = g_ascii_strtoll(((char **)table->rows->pdata[row])[0], NULL, 10);
        if (last == wish)
            return wish;
    }
    return last;
}

static guint index_of(GPtrArray *names, const char *name)
{
    guint at;

    if (g_ptr_array_find_with_equal_func(names, name, g_str_equal, &at))
        return at;
    g_ptr_array_add(names, g_strdup(name));
    return names->len - 1;
}

static gboolean header_read(FoldScores *scores, char **names, GError **error)
{
    const gboolean first = !scores->readings->len;
    const guint n = g_strv_length(names);

    for (guint i = FIRST_COLUMNS; first && i < n; i++)
        g_ptr_array_add(scores->readings, g_strdup(names[i]));
    gboolean same = n == FIRST_COLUMNS + scores->readings->len && n > FIRST_COLUMNS;
    for (guint i = FIRST_COLUMNS; same && i < n; i++)
        same = g_str_equal(names[i], scores->readings->pdata[i - FIRST_COLUMNS]);
    return same
           || loom_fail(error, LOOM_ERROR_FORMAT,
                        "other readings than the first fold's: it was another config");
}

static void row_add(FoldScores *scores, Fold *fold, char **cells)
{
    const guint readings = scores->readings->len;
    const guint class_ = index_of(scores->classes, cells[3]);

    if (fold->sums->len < (class_ + 1) * readings)
        g_array_set_size(fold->sums, (class_ + 1) * readings);
    g_hash_table_add(fold->cases, g_strdup(cells[1]));
    for (guint i = 0; i < readings; i++) {
        Sum *sum = &g_array_index(fold->sums, Sum, class_ * readings + i);
        const char *cell = cells[FIRST_COLUMNS + i];

        if (!*cell) /* undefined */
            continue;
        sum->sum += g_ascii_strtod(cell, NULL);
        sum->n++;
    }
}

static gboolean rows_add(FoldScores *scores, Fold *fold, const CsvTable *table, gint64 wish,
                         GError **error)
{
    fold->step = step_choose(table, wish);
    if (fold->step < 0)
        return loom_fail(error, LOOM_ERROR_FORMAT,
                         "no case has been validated: the config needs a graph with the stage "
                         "'metrics', and run_graph to run it");
    if (!header_read(scores, table->names, error))
        return FALSE;
    for (guint row = 0; row < table->rows->len; row++) {
        char **cells = table->rows->pdata[row];

        if (g_ascii_strtoll(cells[0], NULL, 10) == fold->step)
            row_add(scores, fold, cells);
    }
    return TRUE;
}

gboolean fold_scores_add(FoldScores *scores, guint number, const char *folder, GError **error)
{
    g_autofree char *path = g_build_filename(folder, "metrics.csv", NULL);
    g_autoptr(CsvTable) table = csv_table_read(path, error);
    Fold *fold;

    if (!table)
        return FALSE;
    fold = g_new0(Fold, 1);
    fold->fold = number;
    fold->cases = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    fold->sums = g_array_new(FALSE, TRUE, sizeof(Sum));
    if (rows_add(scores, fold, table, model_step(folder), error)) {
        g_ptr_array_add(scores->folds, fold);
        return TRUE;
    }
    fold_free(fold);
    g_prefix_error(error, "'%s': ", path);
    return FALSE;
}

/* ---- means -------------------------------------------------------------------------- */

/* Mean of a fold over its cases; NaN: undefined in all of them. */
static double fold_class_mean(const FoldScores *scores, const Fold *fold, guint class_,
                              guint reading)
{
    const guint at = class_ * scores->readings->len + reading;
    const Sum *sum = at < fold->sums->len ? &g_array_index(fold->sums, Sum, at) : NULL;

    return sum && sum->n ? sum->sum / sum->n : NAN;
}

/* Class number classes->len: the mean of the classes. */
static double fold_mean(const FoldScores *scores, const Fold *fold, guint class_, guint reading)
{
    double sum = 0;
    guint n = 0;

    if (class_ < scores->classes->len)
        return fold_class_mean(scores, fold, class_, reading);
    for (guint k = 0; k < scores->classes->len; k++) {
        const double mean = fold_class_mean(scores, fold, k, reading);

        sum += isnan(mean) ? 0 : mean;
        n += isnan(mean) ? 0 : 1;
    }
    return n ? sum / n : NAN;
}

typedef struct {
    double mean, sd; /* NaN: undefined in all folds; in all but one */
} Spread;

static Spread spread_of(const FoldScores *scores, guint class_, guint reading)
{
    double sum = 0, squares = 0;
    guint n = 0;

    for (guint i = 0; i < scores->folds->len; i++) {
        const double mean = fold_mean(scores, scores->folds->pdata[i], class_, reading);

        sum += isnan(mean) ? 0 : mean;
        n += isnan(mean) ? 0 : 1;
    }
    const double middle = n ? sum / n : NAN;
    for (guint i = 0; i < scores->folds->len; i++) {
        const double off = fold_mean(scores, scores->folds->pdata[i], class_, reading) - middle;

        squares += isnan(off) ? 0 : off * off;
    }
    return (Spread){middle, n > 1 ? sqrt(squares / (n - 1)) : NAN};
}

/* Rows of tables: the classes, and their mean where there are several. */
static guint rows_of(const FoldScores *scores)
{
    return scores->classes->len + (scores->classes->len > 1 ? 1 : 0);
}

static const char *row_name(const FoldScores *scores, guint class_)
{
    return class_ < scores->classes->len ? scores->classes->pdata[class_] : "mean";
}

/* ---- for people --------------------------------------------------------------------- */

static void number_append(GString *text, int width, double value)
{
    g_autofree char *number = isnan(value) ? g_strdup("-") : g_strdup_printf("%.4f", value);

    g_string_append_printf(text, "%*s", width, number);
}

static int name_width(const FoldScores *scores)
{
    glong width = 5;

    for (guint k = 0; k < rows_of(scores); k++)
        width = MAX(width, g_utf8_strlen(row_name(scores, k), -1));
    for (guint r = 0; r < scores->readings->len; r++)
        width = MAX(width, g_utf8_strlen(scores->readings->pdata[r], -1));
    return (int)MIN(width, 24);
}

static void name_append(GString *text, const char *name, int width)
{
    g_string_append(text, name);
    for (glong i = g_utf8_strlen(name, -1); i < width; i++)
        g_string_append_c(text, ' ');
}

/* The first reading, fold by fold; of more folds than fit into 80 columns only the means. */
static void first_append(const FoldScores *scores, GString *text, int width)
{
    const gboolean each = width + 8 * ((int)scores->folds->len + 2) <= 80;

    name_append(text, scores->readings->pdata[0], width);
    for (guint i = 0; each && i < scores->folds->len; i++)
        g_string_append_printf(text, "  fold %u", ((Fold *)scores->folds->pdata[i])->fold);
    g_string_append(text, "    mean      sd\n");
    for (guint k = 0; k < rows_of(scores); k++) {
        const Spread spread = spread_of(scores, k, 0);

        name_append(text, row_name(scores, k), width);
        for (guint i = 0; each && i < scores->folds->len; i++)
            number_append(text, 8, fold_mean(scores, scores->folds->pdata[i], k, 0));
        number_append(text, 8, spread.mean);
        number_append(text, 8, spread.sd);
        g_string_append_c(text, '\n');
    }
}

char *fold_scores_table(const FoldScores *scores)
{
    const int width = name_width(scores);
    GString *text = g_string_new(NULL);

    first_append(scores, text, width);
    for (guint r = 1; r < scores->readings->len; r++) {
        const Spread spread = spread_of(scores, rows_of(scores) - 1, r);

        if (r == 1)
            g_string_append(text, "\nover all classes\n");
        name_append(text, scores->readings->pdata[r], width);
        number_append(text, 12, spread.mean);
        number_append(text, 12, spread.sd);
        g_string_append_c(text, '\n');
    }
    return g_string_free(text, FALSE);
}

/* ---- for machines ------------------------------------------------------------------- */

typedef double (*CellFunc)(const FoldScores *scores, gconstpointer of, guint class_,
                           guint reading);

static double cell_fold(const FoldScores *scores, gconstpointer of, guint class_, guint reading)
{
    return fold_mean(scores, of, class_, reading);
}

static double cell_mean(const FoldScores *scores, G_GNUC_UNUSED gconstpointer of, guint class_,
                        guint reading)
{
    return spread_of(scores, class_, reading).mean;
}

static double cell_sd(const FoldScores *scores, G_GNUC_UNUSED gconstpointer of, guint class_,
                      guint reading)
{
    return spread_of(scores, class_, reading).sd;
}

static void rows_append(const FoldScores *scores, GString *text, const char *name,
                        CellFunc cell, gconstpointer of)
{
    for (guint k = 0; k < rows_of(scores); k++) {
        g_string_append_printf(text, "%s,", name);
        csv_text_append(text, row_name(scores, k));
        for (guint r = 0; r < scores->readings->len; r++) {
            const double value = cell(scores, of, k, r);

            g_string_append_c(text, ',');
            if (!isnan(value))
                g_string_append_printf(text, "%.9g", value);
        }
        g_string_append_c(text, '\n');
    }
}

char *fold_scores_csv(const FoldScores *scores)
{
    GString *text = g_string_new("fold,class");

    for (guint r = 0; r < scores->readings->len; r++) {
        g_string_append_c(text, ',');
        csv_text_append(text, scores->readings->pdata[r]);
    }
    g_string_append_c(text, '\n');
    for (guint i = 0; i < scores->folds->len; i++) {
        const Fold *fold = scores->folds->pdata[i];
        g_autofree char *name = g_strdup_printf("%u", fold->fold);

        rows_append(scores, text, name, cell_fold, fold);
    }
    rows_append(scores, text, "mean", cell_mean, NULL);
    rows_append(scores, text, "sd", cell_sd, NULL);
    return g_string_free(text, FALSE);
}

static void table_add(const FoldScores *scores, JsonBuilder *builder, const char *member,
                      CellFunc cell, gconstpointer of)
{
    json_builder_set_member_name(builder, member);
    json_builder_begin_object(builder);
    for (guint k = 0; k < rows_of(scores); k++) {
        json_builder_set_member_name(builder, row_name(scores, k));
        json_builder_begin_object(builder);
        for (guint r = 0; r < scores->readings->len; r++) {
            const double value = cell(scores, of, k, r);

            json_builder_set_member_name(builder, scores->readings->pdata[r]);
            if (isnan(value))
                json_builder_add_null_value(builder);
            else
                json_builder_add_double_value(builder, value);
        }
        json_builder_end_object(builder);
    }
    json_builder_end_object(builder);
}

static void fold_add(const FoldScores *scores, JsonBuilder *builder, const Fold *fold)
{
    json_builder_begin_object(builder);
    json_builder_set_member_name(builder, "fold");
    json_builder_add_int_value(builder, fold->fold);
    json_builder_set_member_name(builder, "step");
    json_builder_add_int_value(builder, fold->step);
    json_builder_set_member_name(builder, "cases");
    json_builder_add_int_value(builder, g_hash_table_size(fold->cases));
    table_add(scores, builder, "scores", cell_fold, fold);
    json_builder_end_object(builder);
}

char *fold_scores_json(const FoldScores *scores)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();

    json_builder_begin_object(builder);
    json_builder_set_member_name(builder, "folds");
    json_builder_begin_array(builder);
    for (guint i = 0; i < scores->folds->len; i++)
        fold_add(scores, builder, scores->folds->pdata[i]);
    json_builder_end_array(builder);
    table_add(scores, builder, "mean", cell_mean, NULL);
    table_add(scores, builder, "sd", cell_sd, NULL);
    json_builder_end_object(builder);
    g_autoptr(JsonNode) root = json_builder_get_root(builder);
    g_autofree char *text = json_to_string(root, TRUE);
    return g_strconcat(text, "\n", NULL);
}
