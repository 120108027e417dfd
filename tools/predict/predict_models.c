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

/* Takes the weights of another model of the same recipe. */
static gboolean model_join(PredictModel *model, const char *path, const char *text,
                           GError **error)
{
    g_auto(PredictModel) other = {0};

    if (!predict_model_read(&other, path, error))
        return FALSE;
    g_autofree char *its = predict_model_text(&other, FALSE);
    if (!g_str_equal(text, its))
        return loom_fail(
            error, LOOM_ERROR_CONFIG,
            "'%s' and '%s' have not the same network and stages: their logits have "
            "no mean",
            model->path, path);
    g_ptr_array_extend_and_steal(model->weights, g_steal_pointer(&other.weights));
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
    g_autofree char *text = predict_model_text(model, FALSE);
    for (guint i = 1; i < found->len; i++)
        if (!model_join(model, found->pdata[i], text, error))
            return FALSE;
    return TRUE;
}
