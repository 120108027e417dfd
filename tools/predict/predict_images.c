/* predict_images - the images that a person named: see predict_images.h. */
#include "predict_images.h"

#include <loom/plugin.h>

#include "data/found.h"

/* Chosen by name, except one of one: what it is called says little then. */
static gboolean channels_choose(LoomFound *found, const PredictModel *model, const char *path,
                                GError **error)
{
    const guint n = g_strv_length(found->channel_names);
    guint *volumes = NULL;

    if (model->n_channels == 1 && n == 1)
        return TRUE;
    if (model->channels && !loom_found_choose(found, model->channels, &volumes, error)) {
        g_prefix_error(error, "'%s': ", path);
        return FALSE;
    }
    g_free(volumes);
    return model->channels || model->n_channels == n
           || loom_fail(error, LOOM_ERROR_CONFIG,
                        "'%s' has %u channels, the model takes %u and does not name them", path,
                        n, model->n_channels);
}

/* @cases: what is found of the folder is added.  FALSE without @error: it is laid out
 * otherwise. */
static gboolean folders_add(const char *path, const PredictModel *model, GPtrArray *cases,
                            GError **error)
{
    g_auto(LoomFound) found = {0};

    if (!loom_folders_images(path, &found, error)
        || !channels_choose(&found, model, path, error))
        return FALSE;
    for (guint i = 0; i < found.cases->len; i++) {
        const LoomCase *files = &g_array_index(found.cases, LoomFoundCase, i).files;

        for (guint c = 0; c < model->n_channels; c++)
            if (!*files->images[c])
                return loom_fail(error, LOOM_ERROR_CONFIG, "'%s': case '%s' has no '%s' image",
                                 path, files->id, found.channel_names[c]);
        ImageCase *one = g_new0(ImageCase, 1);
        one->id = g_strdup(files->id);
        one->channels = g_strdupv(files->images);
        g_ptr_array_add(cases, one);
    }
    return TRUE;
}

/* Every recipe must know which of the volumes are its channels. */
static const PredictModel *model_lost(const ImageCase *one, const PredictModel *model)
{
    while (model && (one->volumes == model->n_channels || one->volumes == model->n_volumes))
        model = model->next;
    return model;
}

/* A file that cannot be read is found when it is its turn: it costs no other case. */
static gboolean volumes_check(const GPtrArray *cases, const PredictModel *model, GError **error)
{
    for (guint i = 0; i < cases->len; i++) {
        const ImageCase *one = cases->pdata[i];
        const PredictModel *lost = one->volumes > 1 ? model_lost(one, model) : NULL;
        g_autofree char *names =
            lost && lost->channels ? g_strjoinv(", ", lost->channels) : NULL;

        if (lost)
            return loom_fail(error, LOOM_ERROR_CONFIG,
                             "'%s' has %u volumes along its fourth axis, the model takes %u "
                             "channel%s%s%s%s: want one volume each, in this order",
                             one->channels[0], one->volumes, lost->n_channels,
                             lost->n_channels == 1 ? "" : "s", names ? " (" : "",
                             names ? names : "", names ? ")" : "");
    }
    return TRUE;
}

static gboolean ids_check(const GPtrArray *cases, GError **error)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);

    for (guint i = 0; i < cases->len; i++) {
        ImageCase *one = cases->pdata[i];
        const ImageCase *other = g_hash_table_lookup(seen, one->id);

        if (other)
            return loom_fail(error, LOOM_ERROR_CONFIG,
                             "'%s' and '%s' would be the same mask, '%s'", other->channels[0],
                             one->channels[0], one->id);
        g_hash_table_insert(seen, one->id, one);
    }
    return TRUE;
}

GPtrArray *predict_images(char *const *arguments, const PredictModel *model, GError **error)
{
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) cases =
        g_ptr_array_new_with_free_func((GDestroyNotify)image_case_free);
    GError *cause = NULL;

    for (; *arguments; arguments++) {
        if (folders_add(*arguments, model, cases, &cause))
            continue;
        if (cause) {
            g_propagate_error(error, cause);
            return NULL;
        }
        if (!image_files_collect(*arguments, paths, error))
            return NULL;
    }
    g_autoptr(GPtrArray) loose = image_cases_group(paths, model->n_channels, error);
    if (!loose)
        return NULL;
    g_ptr_array_extend_and_steal(cases, g_steal_pointer(&loose));
    return volumes_check(cases, model, error) && ids_check(cases, error)
               ? g_steal_pointer(&cases)
               : NULL;
}
