/* predict_models - see predict_models.h. */
#include "predict_models.h"

#include <string.h>

#define MOST_FOLDS 1000 /* as `folds:` */

/* The models that @path means, appended to @found (char *: of model.json). */
static gboolean models_collect(const char *path, GPtrArray *found, GError **error)
{
    g_autofree char *json = predict_model_json(path);
    const guint before = found->len;

    if (json) {
        g_ptr_array_add(found, g_steal_pointer(&json));
        return TRUE;
    }
    for (guint fold = 0; fold < MOST_FOLDS; fold++) {
        g_autofree char *name = g_strdup_printf("fold_%u", fold);
        g_autofree char *below = g_build_filename(path, name, NULL);
        char *inner = predict_model_json(below);

        if (inner)
            g_ptr_array_add(found, inner);
    }
    return found->len > before
           || loom_fail(
               error, LOOM_ERROR_IO,
               "'%s' holds no model: want a run's folder, its model/ or model.json, or "
               "a folder of fold_0, fold_1, ...",
               path);
}

/* ---- may two be averaged? ------------------------------------------------------------ */

/* "none, organ"; "?" where the model does not say; (transfer full). */
static char *names_text(char *const *names)
{
    return names ? g_strjoinv(", ", (char **)(guintptr)names) : g_strdup("?");
}

static gboolean names_equal(char *const *a, char *const *b)
{
    return !a || !b || g_strv_equal((const char *const *)a, (const char *const *)b);
}

static gboolean fail_names(const PredictModel *a, char *const *a_names, const PredictModel *b,
                           char *const *b_names, const char *what, GError **error)
{
    g_autofree char *its = names_text(a_names), *others = names_text(b_names);

    return loom_fail(error, LOOM_ERROR_CONFIG,
                     "'%s' %s %s, '%s' %s: of these there is no mean, want models of the same "
                     "data set",
                     a->path, what, its, b->path, others);
}

static gboolean values_equal(const PredictModel *a, const PredictModel *b)
{
    return !a->values || !b->values
           || (a->n_labels == b->n_labels && !memcmp(a->values, b->values, a->n_labels));
}

/* "[2,1,3]": the labels that are written for regions; "": classes are told apart; NULL: nothing
 * that has probabilities predicts.  (transfer full) */
static char *regions_text(const PredictModel *model)
{
    const LoomNode *window = predict_model_stage(model, "sliding_window");
    const LoomNode *regions = loom_node_get(window, "regions");

    if (!window)
        return NULL;
    return regions && regions->type == LOOM_NODE_SEQUENCE && regions->items->len
               ? loom_yaml_json(regions)
               : g_strdup("");
}

/* Of two recipes: the same things, told apart in the same way. */
static gboolean recipes_check(const PredictModel *a, const PredictModel *b, GError **error)
{
    g_autofree char *a_regions = regions_text(a), *b_regions = regions_text(b);

    if (!a_regions || !b_regions)
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "'%s' and '%s' have not the same network and stages, and '%s' has no "
                         "stage 'sliding_window', whose probabilities could be averaged: want "
                         "models of one config",
                         a->path, b->path, a_regions ? b->path : a->path);
    return g_str_equal(a_regions, b_regions)
           || loom_fail(error, LOOM_ERROR_CONFIG,
                        "'%s' predicts %s%s, '%s' %s%s: of these there is no mean, want models "
                        "with the same `regions` in sliding_window",
                        a->path, *a_regions ? "regions " : "classes", a_regions, b->path,
                        *b_regions ? "regions " : "classes", b_regions);
}

static gboolean mates_check(const PredictModel *a, const PredictModel *b, GError **error)
{
    if (a->n_channels != b->n_channels)
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "'%s' takes %u channels, '%s' %u: of these there is no mean, want "
                         "models of the same images",
                         a->path, a->n_channels, b->path, b->n_channels);
    if (!names_equal(a->channels, b->channels))
        return fail_names(a, a->channels, b, b->channels, "takes the channels", error);
    return (names_equal(a->labels, b->labels) && values_equal(a, b))
           || fail_names(a, a->labels, b, b->labels, "tells apart the labels", error);
}

/* ---- joining ------------------------------------------------------------------------ */

/* Takes the weights of another model of a recipe that is there, or appends its own. */
static gboolean model_join(PredictModel *model, const char *path, GError **error)
{
    g_autofree PredictModel *other = g_new0(PredictModel, 1);
    PredictModel *last = model;

    if (!predict_model_read(other, path, error) || !mates_check(model, other, error)) {
        predict_model_clear(other);
        return FALSE;
    }
    g_autofree char *its = predict_model_text(other, FALSE);
    for (PredictModel *recipe = model; recipe; last = recipe, recipe = recipe->next) {
        g_autofree char *text = predict_model_text(recipe, FALSE);

        if (!g_str_equal(text, its))
            continue;
        g_ptr_array_extend_and_steal(recipe->weights, g_steal_pointer(&other->weights));
        predict_model_clear(other);
        return TRUE;
    }
    if (!recipes_check(model, other, error)) {
        predict_model_clear(other);
        return FALSE;
    }
    last->next = g_steal_pointer(&other);
    return TRUE;
}

gboolean predict_models_read(PredictModel *model, char *const *paths, GError **error)
{
    g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(g_free);

    for (; *paths; paths++)
        if (!models_collect(*paths, found, error))
            return FALSE;
    if (!predict_model_read(model, found->pdata[0], error))
        return FALSE;
    for (guint i = 1; i < found->len; i++)
        if (!model_join(model, found->pdata[i], error))
            return FALSE;
    return TRUE;
}
