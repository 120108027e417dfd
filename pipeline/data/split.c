/* split - which case trains and which validates: by seeded folds, or by lists of ids.
 *
 * Folds: the sorted ids are shuffled with the seed; place p of the shuffled row is in fold
 * p mod folds.  So each case validates in exactly one fold, and folds differ by one case at
 * most. */
#include "split.h"

#include "config/yaml.h"
#include "text.h"

#include <string.h>

enum { SPLIT_VALIDATES, SPLIT_TRAINS, SPLIT_BOTH, SPLIT_NEITHER };

/* ---- folds -------------------------------------------------------------------------- */

static gboolean split_by_folds(LoomDataset *dataset, const LoomDataOptions *options,
                               GError **error)
{
    const gint64 n = dataset->n_cases, folds = options->folds;
    LoomRng rng = loom_rng((guint64)options->split_seed, "folds", 0);
    g_autofree gint64 *order = g_new(gint64, dataset->n_cases);

    if (options->fold >= folds)
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "fold (%" G_GINT64_FORMAT ") must be below folds (%" G_GINT64_FORMAT
                         ")",
                         options->fold, folds);
    if (folds > n)
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "%" G_GINT64_FORMAT " folds of %" G_GINT64_FORMAT
                         " cases: want at most one fold a case (folds: 1 trains on all)",
                         folds, n);
    for (gint64 i = 0; i < n; i++)
        order[i] = i;
    loom_rng_shuffle(&rng, order, n);
    for (gint64 p = 0; p < n; p++)
        dataset->in_train[order[p]] =
            folds == 1 || p % folds != options->fold ? SPLIT_TRAINS : SPLIT_VALIDATES;
    return TRUE;
}

/* ---- lists -------------------------------------------------------------------------- */

static gint64 case_find(const LoomDataset *dataset, const char *id)
{
    for (guint i = 0; i < dataset->n_cases; i++)
        if (g_str_equal(dataset->cases[i].id, id))
            return i;
    return -1;
}

static gboolean fail_unknown(const LoomDataset *dataset, const char *path, guint line,
                             const char *id, GError **error)
{
    g_autofree const char **known = g_new0(const char *, dataset->n_cases + 1);
    g_autofree char *hint = NULL;

    for (guint i = 0; i < dataset->n_cases; i++)
        known[i] = dataset->cases[i].id;
    hint = loom_did_you_mean(id, known);
    return loom_fail(error, LOOM_ERROR_CONFIG, "%s:%u: there is no case '%s'%s", path, line, id,
                     hint);
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
        gint64 at;

        if (!*id || *id == '#')
            continue;
        if ((at = case_find(dataset, id)) < 0)
            return fail_unknown(dataset, path, line, id, error);
        if (lines[at])
            return loom_fail(error, LOOM_ERROR_CONFIG, "%s:%u: case '%s' is in line %u already",
                             path, line, id, lines[at]);
        lines[at] = line;
        empty = FALSE;
    }
    return !empty || loom_fail(error, LOOM_ERROR_CONFIG, "'%s': names no case", path);
}

/* Takes the cases out that are in neither list. */
static void split_compact(LoomDataset *dataset)
{
    guint kept = 0;

    for (guint i = 0; i < dataset->n_cases; i++) {
        if (dataset->in_train[i] == SPLIT_NEITHER) {
            loom_case_clear(&dataset->cases[i]);
            continue;
        }
        dataset->cases[kept] = dataset->cases[i];
        dataset->in_train[kept++] = dataset->in_train[i];
    }
    dataset->n_cases = kept;
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
            dataset->in_train[i] = SPLIT_TRAINS;
        else
            dataset->in_train[i] =
                validate[i] || !options->validate ? SPLIT_VALIDATES : SPLIT_NEITHER;
    }
    split_compact(dataset);
    return TRUE;
}

gboolean loom_split_make(LoomDataset *dataset, const LoomDataOptions *options, GError **error)
{
    if (options->train || options->validate)
        return split_by_lists(dataset, options, error);
    return split_by_folds(dataset, options, error);
}

guint *loom_dataset_split(const LoomDataset *dataset, LoomSplit split, guint *n)
{
    g_autofree guint *cases = g_new(guint, MAX(dataset->n_cases, 1));

    *n = 0;
    for (guint i = 0; i < dataset->n_cases; i++) {
        const guint8 in = dataset->in_train[i];

        if (split == LOOM_SPLIT_ALL || in == SPLIT_BOTH
            || in == (split == LOOM_SPLIT_TRAIN ? SPLIT_TRAINS : SPLIT_VALIDATES))
            cases[(*n)++] = i;
    }
    return g_steal_pointer(&cases);
}
