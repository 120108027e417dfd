/* split - which case trains and which validates: by seeded folds, by lists of ids, or as the
 * data set says.
 *
 * Folds: the patients, in the order of their first case, are shuffled with the seed; place p of
 * the shuffled row is in fold p mod folds.  So each case validates in exactly one fold, and
 * folds differ by one patient at most.  Where no patients are named each case is its own. */
#define G_LOG_DOMAIN "loom-data"
#include "split.h"

#include "layout.h"
#include "text.h"

#include "config/yaml.h"

#include <string.h>

#define SPLIT_FOLDS 5 /* where nobody says how many */

/* ---- folds -------------------------------------------------------------------------- */

/* Numbers the patients; (transfer full): that of each case. */
static gint64 *patients_number(const LoomDataset *dataset, gint64 *n)
{
    g_autoptr(GHashTable) known = g_hash_table_new(g_str_hash, g_str_equal);
    gint64 *numbers = g_new(gint64, dataset->n_cases);

    *n = 0;
    for (guint i = 0; i < dataset->n_cases; i++) {
        char *patient = dataset->cases[i].patient;
        gpointer number;

        if (patient && g_hash_table_lookup_extended(known, patient, NULL, &number)) {
            numbers[i] = GPOINTER_TO_INT(number);
            continue;
        }
        if (patient)
            g_hash_table_insert(known, patient, GINT_TO_POINTER((gint)*n));
        numbers[i] = (*n)++;
    }
    return numbers;
}

static gboolean split_by_folds(LoomDataset *dataset, const LoomDataOptions *options,
                               gint64 folds, GError **error)
{
    LoomRng rng = loom_rng((guint64)options->split_seed, "folds", 0);
    gint64 n;
    g_autofree gint64 *patients = patients_number(dataset, &n);
    g_autofree gint64 *order = g_new(gint64, (gsize)n), *fold_of = g_new(gint64, (gsize)n);

    if (options->fold >= folds)
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "fold (%" G_GINT64_FORMAT ") must be below folds (%" G_GINT64_FORMAT
                         ")",
                         options->fold, folds);
    if (folds > n)
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "%" G_GINT64_FORMAT " folds of %" G_GINT64_FORMAT
                         " %s: want at most one fold each (folds: 1 trains on all)",
                         folds, n, n == dataset->n_cases ? "cases" : "patients");
    for (gint64 i = 0; i < n; i++)
        order[i] = i;
    loom_rng_shuffle(&rng, order, n);
    for (gint64 p = 0; p < n; p++)
        fold_of[order[p]] = p % folds;
    for (guint i = 0; i < dataset->n_cases; i++)
        dataset->in_train[i] = folds == 1 || fold_of[patients[i]] != options->fold
                                   ? LOOM_SIDE_TRAINS
                                   : LOOM_SIDE_VALIDATES;
    dataset->split = folds == 1
                         ? g_strdup("every case trains")
                         : g_strdup_printf("fold %" G_GINT64_FORMAT " of %" G_GINT64_FORMAT
                                           ", split_seed %" G_GINT64_FORMAT,
                                           options->fold, folds, options->split_seed);
    return TRUE;
}

/* ---- as the table says -------------------------------------------------------------- */

static gboolean split_by_parts(LoomDataset *dataset, const LoomSaid *said,
                               const LoomDataOptions *options, GError **error)
{
    if (options->fold)
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "fold is %" G_GINT64_FORMAT
                         ", but the column 'split' has no folds (folds: 5 makes them)",
                         options->fold);
    for (guint i = 0; i < dataset->n_cases; i++)
        dataset->in_train[i] = said[i].part == LOOM_PART_TRAIN      ? LOOM_SIDE_TRAINS
                               : said[i].part == LOOM_PART_VALIDATE ? LOOM_SIDE_VALIDATES
                                                                    : LOOM_SIDE_NEITHER;
    dataset->split = g_strdup("by the column 'split'");
    return TRUE;
}

static gboolean split_by_column(LoomDataset *dataset, const LoomSaid *said,
                                const LoomDataOptions *options, GError **error)
{
    gint64 highest = 0;
    guint n = 0;

    for (guint i = 0; i < dataset->n_cases; i++) {
        const gboolean validates = said[i].fold == options->fold;

        dataset->in_train[i] = validates ? LOOM_SIDE_VALIDATES : LOOM_SIDE_TRAINS;
        highest = MAX(highest, said[i].fold);
        n += validates ? 1 : 0;
    }
    dataset->split =
        g_strdup_printf("fold %" G_GINT64_FORMAT " by the column 'fold'", options->fold);
    return n
           || loom_fail(error, LOOM_ERROR_CONFIG,
                        "no case is in fold %" G_GINT64_FORMAT
                        " by the column 'fold', whose highest is %" G_GINT64_FORMAT,
                        options->fold, highest);
}

/* ---- lists -------------------------------------------------------------------------- */

gint64 loom_case_find(const LoomDataset *dataset, const char *id)
{
    for (guint i = 0; i < dataset->n_cases; i++)
        if (g_str_equal(dataset->cases[i].id, id))
            return i;
    return -1;
}

gboolean loom_case_unknown(const LoomDataset *dataset, const char *place, const char *id,
                           GError **error)
{
    g_autofree const char **known = g_new0(const char *, dataset->n_cases + 1);
    g_autofree char *hint = NULL;

    for (guint i = 0; i < dataset->n_cases; i++)
        known[i] = dataset->cases[i].id;
    hint = loom_did_you_mean(id, known);
    return loom_fail(error, LOOM_ERROR_CONFIG, "%s: there is no case '%s'%s", place, id, hint);
}

/* Reads the ids of @path into @lines: for each case the line it stands in, 0: it does not. */
static gboolean list_read(const LoomDataset *dataset, const char *path, guint *lines,
                          GError **error)
{
    g_autofree char *text = loom_text_read(path, error);
    g_auto(GStrv) ids = text ? g_strsplit(text, "\n", -1) : NULL;
    gboolean empty = TRUE;

    if (!text)
        return FALSE;
    for (guint line = 1; ids[line - 1]; line++) {
        const char *id = g_strstrip(ids[line - 1]); /* \r of Windows included */
        g_autofree char *place = g_strdup_printf("%s:%u", path, line);
        gint64 at;

        if (!*id || *id == '#')
            continue;
        if ((at = loom_case_find(dataset, id)) < 0)
            return loom_case_unknown(dataset, place, id, error);
        if (lines[at])
            return loom_fail(error, LOOM_ERROR_CONFIG, "%s: case '%s' is in line %u already",
                             place, id, lines[at]);
        lines[at] = line;
        empty = FALSE;
    }
    return !empty || loom_fail(error, LOOM_ERROR_CONFIG, "'%s': names no case", path);
}

static gboolean split_by_lists(LoomDataset *dataset, const LoomDataOptions *options,
                               GError **error)
{
    g_autofree guint *train = g_new0(guint, dataset->n_cases);
    g_autofree guint *validate = g_new0(guint, dataset->n_cases);

    if (options->train && !list_read(dataset, options->train, train, error))
        return FALSE;
    if (options->validate && !list_read(dataset, options->validate, validate, error))
        return FALSE;
    for (guint i = 0; i < dataset->n_cases; i++) {
        if (train[i] && validate[i])
            return loom_fail(error, LOOM_ERROR_CONFIG,
                             "%s:%u: case '%s' trains as well (%s:%u)", options->validate,
                             validate[i], dataset->cases[i].id, options->train, train[i]);
        if (train[i] || (!options->train && !validate[i]))
            dataset->in_train[i] = LOOM_SIDE_TRAINS;
        else
            dataset->in_train[i] =
                validate[i] || !options->validate ? LOOM_SIDE_VALIDATES : LOOM_SIDE_NEITHER;
    }
    dataset->split = g_strdup("by lists of cases");
    return TRUE;
}

/* ---- all of them -------------------------------------------------------------------- */

/* Takes the cases out that are in neither list. */
static void split_compact(LoomDataset *dataset)
{
    guint kept = 0;

    for (guint i = 0; i < dataset->n_cases; i++) {
        if (dataset->in_train[i] == LOOM_SIDE_NEITHER) {
            loom_case_clear(&dataset->cases[i]);
            continue;
        }
        dataset->cases[kept] = dataset->cases[i];
        dataset->in_train[kept++] = dataset->in_train[i];
    }
    dataset->n_cases = kept;
}

/* A patient that both trains and validates makes the scores too good. */
static gboolean patients_check(const LoomDataset *dataset, GError **error)
{
    g_autoptr(GHashTable) first = g_hash_table_new(g_str_hash, g_str_equal);

    for (guint i = 0; i < dataset->n_cases; i++) {
        char *patient = dataset->cases[i].patient;
        gpointer at;

        if (!patient)
            continue;
        if (!g_hash_table_lookup_extended(first, patient, NULL, &at)) {
            g_hash_table_insert(first, patient, GUINT_TO_POINTER(i));
            continue;
        }
        const guint other = GPOINTER_TO_UINT(at);
        const gboolean trains = dataset->in_train[i] == LOOM_SIDE_TRAINS;
        if (dataset->in_train[i] != dataset->in_train[other])
            return loom_fail_as(error, "E-SPLIT-PATIENT", LOOM_ERROR_CONFIG,
                                "patient '%s' is on both sides of the split: case '%s' trains, "
                                "case '%s' validates",
                                patient, dataset->cases[trains ? i : other].id,
                                dataset->cases[trains ? other : i].id);
    }
    return TRUE;
}

static gboolean sides_choose(LoomDataset *dataset, const LoomSaid *said,
                             const LoomDataOptions *options, GError **error)
{
    g_autofree char *final = g_build_filename(dataset->folder, "splits_final.json", NULL);

    if (options->train || options->validate)
        return split_by_lists(dataset, options, error);
    if (options->folds)
        return split_by_folds(dataset, options, options->folds, error);
    if (said[0].part != LOOM_PART_UNSAID)
        return split_by_parts(dataset, said, options, error);
    if (said[0].fold >= 0)
        return split_by_column(dataset, said, options, error);
    if (g_file_test(final, G_FILE_TEST_EXISTS))
        return loom_split_read_final(dataset, final, options->fold, error);
    return split_by_folds(dataset, options, SPLIT_FOLDS, error);
}

gboolean loom_split_make(LoomDataset *dataset, const LoomSaid *said,
                         const LoomDataOptions *options, GError **error)
{
    if (!sides_choose(dataset, said, options, error))
        return FALSE;
    split_compact(dataset);
    return patients_check(dataset, error);
}

guint *loom_dataset_split(const LoomDataset *dataset, LoomSplit split, guint *n)
{
    g_autofree guint *cases = g_new(guint, MAX(dataset->n_cases, 1));

    *n = 0;
    for (guint i = 0; i < dataset->n_cases; i++) {
        const guint8 in = dataset->in_train[i];

        if (split == LOOM_SPLIT_ALL || in == LOOM_SIDE_BOTH
            || in == (split == LOOM_SPLIT_TRAIN ? LOOM_SIDE_TRAINS : LOOM_SIDE_VALIDATES))
            cases[(*n)++] = i;
    }
    return g_steal_pointer(&cases);
}
