/* predict_config: what model.json says, and the config that comes of it; models of other times.
 */
#include "predict_config.h"

#include "loom_test.h"

#include <glib/gstdio.h>
#include <string.h>

#define STAGES                                                                                 \
    "\"scale\": {\"use\": \"normalise\", \"schemes\": [\"zscore\"]%s}, "                       \
    "\"grid\": {\"use\": \"resample\", \"from\": \"scale\", \"spacing\": [1, 1, 1]%s}, "       \
    "\"windows\": {\"use\": \"sliding_window\", \"from\": \"grid\", \"model\": \"seg\"}"

/* A model.json with members @more; its normalise and resample have @fill and @clip, too. */
static gboolean model_read(PredictModel *model, const char *more, const char *fill,
                           const char *clip, GError **error)
{
    g_autofree char *folder = loom_test_folder();
    g_autofree char *path = g_build_filename(folder, "model.json", NULL);
    g_autofree char *stages = g_strdup_printf(STAGES, fill, clip);
    g_autofree char *text =
        g_strdup_printf("{\"segloom\": 1, \"weights\": \"seg.safetensors\", %s"
                        "\"recipe\": {\"models\": {\"seg\": {\"use\": \"unet3d\", "
                        "\"in_channels\": 2}}, \"stages\": {%s}}}",
                        more, stages);

    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    const gboolean read = predict_model_read(model, path, error);
    loom_test_folder_remove(folder);
    return read;
}

/* The text of @key in stage @stage of the config; NULL: it has none. */
static char *config_key(const PredictModel *model, const char *stage, const char *key)
{
    const PredictHow how = {.backend = PREDICT_BACKEND, .folder = "/out"};
    g_autoptr(GError) error = NULL;
    g_autoptr(LoomNode) config = predict_config(model, &how, &error);

    g_assert_no_error(error);
    const LoomNode *graph = loom_node_get(loom_node_get(config, "graphs"), "predict");
    const LoomNode *value = loom_node_get(loom_node_get(graph, stage), key);
    return value ? loom_yaml_json(value) : NULL;
}

static void key_is(const PredictModel *model, const char *stage, const char *key,
                   const char *expected)
{
    g_autofree char *found = config_key(model, stage, key);

    g_assert_cmpstr(found, ==, expected);
}

/* A model is predicted with what it was trained with: before these keys were there, neither
 * was what they do. */
static void test_earlier(void)
{
    g_auto(PredictModel) old = {0}, now = {0};

    g_assert_true(model_read(&old, "", "", "", NULL));
    key_is(&old, "scale", "fill", "false");
    key_is(&old, "grid", "clip", "false");
    key_is(&old, "save", "values", NULL);
    g_assert_true(model_read(&now, "", ", \"fill\": true", ", \"clip\": true", NULL));
    key_is(&now, "scale", "fill", "true");
    key_is(&now, "grid", "clip", "true");
}

static void test_values(void)
{
    g_auto(PredictModel) own = {0}, same = {0}, odd = {0};
    g_autoptr(GError) error = NULL;

    g_assert_true(model_read(
        &own, "\"labels\": [\"none\", \"rim\"], \"label_values\": [0, 4], ", "", "", NULL));
    key_is(&own, "save", "values", "[0,4]");
    g_assert_cmpstr(own.labels[1], ==, "rim");
    g_assert_true(model_read(
        &same, "\"labels\": [\"none\", \"rim\"], \"label_values\": [0, 1], ", "", "", NULL));
    key_is(&same, "save", "values", NULL);
    loom_assert_failed(
        model_read(&odd, "\"labels\": [\"none\", \"rim\"], \"label_values\": [0, 256], ", "",
                   "", &error),
        error, LOOM_ERROR, LOOM_ERROR_FORMAT,
        "label_values holds what is no number from 0 to 255");
}

static void test_volumes(void)
{
    static const char *const wrong[] = {
        "{\"count\": 4, \"of_channels\": [0]}",       /* of two channels */
        "{\"count\": 4, \"of_channels\": [0, 4]}",    /* counted from 0 */
        "{\"count\": 1, \"of_channels\": [0, 0]}",    /* fewer than channels */
        "{\"count\": 9e99, \"of_channels\": [0, 1]}", /* no count */
        "{\"count\": 4}",
        "{\"count\": [], \"of_channels\": {}}",
    };
    g_auto(PredictModel) model = {0};

    g_assert_true(model_read(&model, "\"volumes\": {\"count\": 4, \"of_channels\": [2, 0]}, ",
                             "", "", NULL));
    g_assert_cmpuint(model.n_volumes, ==, 4);
    g_assert_cmpuint(model.volume_of[0], ==, 2);
    for (guint i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_auto(PredictModel) odd = {0};
        g_autoptr(GError) error = NULL;
        g_autofree char *more = g_strdup_printf("\"volumes\": %s, ", wrong[i]);

        loom_assert_failed(model_read(&odd, more, "", "", &error), error, LOOM_ERROR,
                           LOOM_ERROR_FORMAT,
                           "volumes does not say where each of 2 channels lies");
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/predict-config/earlier", test_earlier);
    g_test_add_func("/predict-config/values", test_values);
    g_test_add_func("/predict-config/volumes", test_volumes);
    return loom_test_run();
}
