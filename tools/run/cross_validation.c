/* cross_validation - see cross_validation.h. */
#include "cross_validation.h"

#include "command.h"
#include "fold_scores.h"
#include "json_members.h"
#include "run_folder.h"
#include "terminal.h"

#include "config/scalar.h"
#include "graph/run.h"

#include <loom/store.h>

#include <string.h>

#define FOLDS_DEFAULT 5 /* of `data:` */
#define FOLDS_MOST 1000

/* ---- which folds -------------------------------------------------------------------- */

static gboolean folds_count(const LoomNode *config, gint64 *n, GError **error)
{
    const LoomNode *data = loom_node_get(config, "data");
    const LoomNode *folds = loom_node_get(data, "folds");

    *n = FOLDS_DEFAULT;
    if (!data)
        return loom_node_fail(config, error, "--folds: the config has no 'data:' to split");
    if (loom_node_get(data, "train") || loom_node_get(data, "validate"))
        return loom_node_fail(data, error,
                              "--folds: data: has lists of cases, which are one split; want "
                              "folds: N");
    if (folds && !loom_scalar_int(folds, "data: folds", n, error))
        return FALSE;
    return (*n >= 2 && *n <= FOLDS_MOST)
           || loom_node_fail(folds ? folds : data, error,
                             "--folds: data: folds is %" G_GINT64_FORMAT ", want 2 to %d", *n,
                             FOLDS_MOST);
}

/* @folds: guint. */
static gboolean folds_choose(const char *text, gint64 n, GArray *folds, GError **error)
{
    g_auto(GStrv) words = g_strsplit(text, ",", -1);

    if (g_str_equal(text, "all")) {
        for (guint k = 0; k < n; k++)
            g_array_append_val(folds, k);
        return TRUE;
    }
    for (char **word = words; *word; word++) {
        guint64 fold;

        if (!g_ascii_string_to_unsigned(*word, 10, 0, (guint64)n - 1, &fold, NULL))
            return loom_fail(error, LOOM_ERROR_CONFIG,
                             "--folds: '%s', want all, or numbers from 0 to %d such as 0,2",
                             text, (int)n - 1);
        const guint number = (guint)fold;
        for (guint i = 0; i < folds->len; i++)
            if (g_array_index(folds, guint, i) == number)
                return loom_fail(error, LOOM_ERROR_CONFIG, "--folds: '%s' names %u twice", text,
                                 number);
        g_array_append_val(folds, number);
    }
    return folds->len > 0
           || loom_fail(error, LOOM_ERROR_CONFIG, "--folds is empty, want all, or 0,2");
}

/* ---- what is there already ---------------------------------------------------------- */

static char *fold_folder(const CrossValidation *all, guint fold)
{
    g_autofree char *name = g_strdup_printf("fold_%u", fold);

    return g_build_filename(all->folder, name, NULL);
}

/* Did the latest start of the run come to its end?  manifest.json says so. */
static gboolean fold_done(const char *folder)
{
    g_autofree char *path = g_build_filename(folder, "manifest.json", NULL);
    g_autoptr(JsonObject) manifest = json_object_read(path);
    JsonObject *end = json_child(json_last_item(json_list(manifest, "starts")), "end");

    return g_strcmp0(json_text(end, "outcome"), "done") == 0;
}

/* A fold that is there must be of the same config: @text as of the first one, but for its
 * number. */
static gboolean fold_config_check(const CrossValidation *all, const char *text, guint fold,
                                  GError **error)
{
    g_autofree char *folder = fold_folder(all, fold);
    g_autofree char *path = g_build_filename(folder, "config.yaml", NULL);
    g_autofree char *number = g_strdup_printf("data.fold=%u", fold);
    g_autofree char *before = NULL;
    g_autoptr(LoomNode) node = loom_yaml_parse(text, strlen(text), "config.yaml", "/", error);

    if (!node || !loom_yaml_set(node, number, "/", error))
        return FALSE;
    g_autofree char *now = loom_yaml_write(node);
    if (!g_file_get_contents(path, &before, NULL, NULL) || g_str_equal(before, now))
        return TRUE;
    return loom_fail(error, LOOM_ERROR_CONFIG,
                     "'%s' holds a run of another config: start anew by --force, or name "
                     "another folder with -o",
                     folder);
}

/* Before the first step: is the config sound, and do the folders fit it? */
static gboolean folds_check(const CrossValidation *all, const GArray *folds, GError **error)
{
    const LoomRunOptions look = {.folder = NULL};
    g_autoptr(LoomRun) run = loom_run_open(all->config, all->registry, &look, error);
    g_autofree char *text = run ? loom_run_config(run) : NULL;
    gboolean used = FALSE;

    for (guint i = 0; text && i < folds->len; i++) {
        g_autofree char *folder = fold_folder(all, g_array_index(folds, guint, i));

        if (!run_folder_used(folder))
            continue;
        used = TRUE;
        if (!all->resume && !all->force)
            return loom_fail(error, LOOM_ERROR_CONFIG,
                             "'%s' holds a run already: go on by --resume, start anew by "
                             "--force, or name another folder with -o",
                             folder);
        if (!all->force && !fold_config_check(all, text, g_array_index(folds, guint, i), error))
            return FALSE;
    }
    if (all->resume && text && !used)
        return loom_fail(error, LOOM_ERROR_CONFIG, "--resume: '%s' holds no fold", all->folder);
    return text != NULL;
}

/* ---- the end ------------------------------------------------------------------------ */

static gboolean text_write(const CrossValidation *all, const char *name, const char *text,
                           GError **error)
{
    g_autofree char *path = g_build_filename(all->folder, name, NULL);

    return loom_file_replace(path, text, strlen(text), error);
}

/* Of all folds that are done, also those of an earlier call. */
static int folds_report(const CrossValidation *all, gint64 n)
{
    g_autoptr(FoldScores) scores = fold_scores_new();
    g_autoptr(GError) error = NULL;

    for (guint fold = 0; fold < n; fold++) {
        g_autofree char *folder = fold_folder(all, fold);

        if (fold_done(folder) && !fold_scores_add(scores, fold, folder, &error))
            return command_fail(COMMAND_FAILED, error);
    }
    if (!fold_scores_folds(scores))
        return COMMAND_FAILED;
    g_autofree char *table = fold_scores_table(scores);
    g_autofree char *csv = fold_scores_csv(scores);
    g_autofree char *json = fold_scores_json(scores);
    if (!text_write(all, "summary.csv", csv, &error)
        || !text_write(all, "summary.json", json, &error))
        return command_fail(COMMAND_FAILED, error);
    g_print("%s%u of %d folds, in %s: summary.csv, summary.json\n", table,
            fold_scores_folds(scores), (int)n, all->folder);
    terminal_print("would it help to remove small components?\n  segloom postprocess %s",
                   all->folder);
    return COMMAND_DONE;
}

/* ---- one after the other ------------------------------------------------------------ */

static int fold_run(const CrossValidation *all, guint fold)
{
    g_autofree char *folder = fold_folder(all, fold);
    g_autofree char *number = g_strdup_printf("data.fold=%u", fold);
    g_autoptr(LoomNode) config = loom_node_copy(all->config);
    g_autoptr(GError) error = NULL;

    if (!loom_yaml_set(config, number, "/", &error))
        return command_fail(COMMAND_WRONG, error);
    return all->run(config, folder, all->resume && run_folder_used(folder), all->data);
}

static int folds_run(const CrossValidation *all, const GArray *folds, gint64 n)
{
    guint failed = 0;

    for (guint i = 0; i < folds->len; i++) {
        const guint fold = g_array_index(folds, guint, i);
        g_autofree char *folder = fold_folder(all, fold);

        if (all->resume && fold_done(folder)) {
            terminal_print("fold %u: done before", fold);
            continue;
        }
        terminal_print("fold %u, %u of %u", fold, i + 1, folds->len);
        const int code = fold_run(all, fold);
        if (code == COMMAND_SUSPENDED || code == COMMAND_INTERRUPTED)
            return code;
        failed += code != COMMAND_DONE ? 1 : 0;
    }
    const int code = folds_report(all, n);
    return failed ? COMMAND_FAILED : code;
}

int cross_validation(const CrossValidation *all)
{
    g_autoptr(GArray) folds = g_array_new(FALSE, FALSE, sizeof(guint));
    g_autoptr(GError) error = NULL;
    gint64 n;

    if (!folds_count(all->config, &n, &error) || !folds_choose(all->folds, n, folds, &error)
        || !folds_check(all, folds, &error))
        return command_fail(COMMAND_WRONG, error);
    return folds_run(all, folds, n);
}
