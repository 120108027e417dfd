/* evaluation_pairs - which prediction belongs to which truth: by the names of files, or by the
 * cases of a data set. */
#include "evaluation_pairs.h"

#include "image_files.h"
#include "terminal.h"

#define NAMED_AT_MOST 5

static void pair_free(gpointer data)
{
    EvaluationPair *pair = data;

    g_free(pair->id);
    g_free(pair->truth);
    g_free(pair->prediction);
    g_free(pair);
}

static GHashTable *by_stem(const GPtrArray *paths)
{
    GHashTable *table = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (guint i = 0; i < paths->len; i++)
        g_hash_table_insert(table, image_file_stem(paths->pdata[i]), paths->pdata[i]);
    return table;
}

/* Says which files of @paths have no partner; returns how many. */
static guint lonely_print(const GPtrArray *paths, GHashTable *partners, const char *lacks)
{
    guint n = 0;

    for (guint i = 0; i < paths->len; i++) {
        g_autofree char *stem = image_file_stem(paths->pdata[i]);

        if (g_hash_table_contains(partners, stem))
            continue;
        if (n++ < NAMED_AT_MOST)
            terminal_print("segloom: '%s' has no %s", (char *)paths->pdata[i], lacks);
    }
    if (n > NAMED_AT_MOST)
        terminal_print("segloom: ... and %u more (--common leaves them out)",
                       n - NAMED_AT_MOST);
    return n;
}

/* @id NULL: by the name of the truth. */
static void pair_add(GPtrArray *pairs, const char *id, const char *truth,
                     const char *prediction)
{
    EvaluationPair *pair = g_new0(EvaluationPair, 1);

    pair->id = id ? g_strdup(id) : image_file_stem(truth);
    pair->truth = g_strdup(truth);
    pair->prediction = g_strdup(prediction);
    g_ptr_array_add(pairs, pair);
}

static GPtrArray *pairs_of_files(char *const *arguments, gboolean common, guint *lonely,
                                 GError **error)
{
    g_autoptr(GPtrArray) truths = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) predictions = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) pairs = g_ptr_array_new_with_free_func(pair_free);

    if (!image_files_collect(arguments[0], truths, error)
        || !image_files_collect(arguments[1], predictions, error))
        return NULL;
    if (!g_file_test(arguments[0], G_FILE_TEST_IS_DIR)
        && !g_file_test(arguments[1], G_FILE_TEST_IS_DIR)) { /* two files may have any names */
        pair_add(pairs, NULL, truths->pdata[0], predictions->pdata[0]);
        return g_steal_pointer(&pairs);
    }
    g_autoptr(GHashTable) known = by_stem(truths);
    g_autoptr(GHashTable) made = by_stem(predictions);
    const gboolean one = !g_file_test(arguments[0], G_FILE_TEST_IS_DIR);
    if (!common)
        *lonely = lonely_print(truths, made, "prediction")
                  + (one ? 0 : lonely_print(predictions, known, "truth"));
    for (guint i = 0; i < truths->len; i++) {
        g_autofree char *stem = image_file_stem(truths->pdata[i]);
        const char *prediction = g_hash_table_lookup(made, stem);

        if (prediction)
            pair_add(pairs, NULL, truths->pdata[i], prediction);
    }
    return g_steal_pointer(&pairs);
}

/* The cases of a data set, and the predictions that are called after them. */
static GPtrArray *pairs_of_cases(const LoomDataset *dataset, const char *folder,
                                 gboolean common, guint *lonely, GError **error)
{
    g_autoptr(GPtrArray) predictions = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) pairs = g_ptr_array_new_with_free_func(pair_free);
    g_autoptr(GHashTable) cases = g_hash_table_new(g_str_hash, g_str_equal);

    if (!image_files_collect(folder, predictions, error))
        return NULL;
    g_autoptr(GHashTable) made = by_stem(predictions);
    for (guint i = 0; i < dataset->n_cases; i++) {
        const LoomCase *one = &dataset->cases[i];
        const char *prediction = g_hash_table_lookup(made, one->id);

        g_hash_table_add(cases, one->id);
        if (prediction && one->label)
            pair_add(pairs, one->id, one->label, prediction);
        else if (!common && (*lonely)++ < NAMED_AT_MOST)
            terminal_print("segloom: case '%s' has no %s", one->id,
                           one->label ? "prediction" : "label map");
    }
    if (*lonely > NAMED_AT_MOST)
        terminal_print("segloom: ... and %u more (--common leaves them out)",
                       *lonely - NAMED_AT_MOST);
    if (!common)
        *lonely += lonely_print(predictions, cases, "case of that name");
    return g_steal_pointer(&pairs);
}

GPtrArray *evaluation_pairs(char *const *arguments, const LoomDataset *dataset, gboolean common,
                            guint *lonely, GError **error)
{
    g_autoptr(GPtrArray) pairs =
        dataset ? pairs_of_cases(dataset, arguments[1], common, lonely, error)
                : pairs_of_files(arguments, common, lonely, error);

    if (pairs && !pairs->len)
        return loom_fail_null(error, LOOM_ERROR_IO, "'%s' and '%s' have no file in common",
                              arguments[0], arguments[1]);
    return g_steal_pointer(&pairs);
}
