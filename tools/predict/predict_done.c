/* predict_done - a small file beside each mask, so that the same command goes on where it was
 * stopped, and predicts anew what another model or another image has made old. */
#include "predict_done.h"

#include <loom/plugin.h>
#include <loom/store.h>

#include <glib/gstdio.h>
#include <json-glib/json-glib.h>
#include <stdio.h>
#include <string.h>

#define HEADER_MOST (8u << 20) /* as loom_store_read */

static void text_add(GChecksum *sum, const char *text)
{
    g_checksum_update(sum, (const guchar *)text, (gssize)strlen(text) + 1);
}

/* The header of a safetensors file: it holds the hash of its tensors, so the 100 MB behind it
 * need not be read. */
static gboolean weights_add(GChecksum *sum, const char *path, GError **error)
{
    FILE *file = fopen(path, "rbe");
    guint64 length = 0;
    g_autofree guchar *header = NULL;
    gboolean read = file && fread(&length, sizeof length, 1, file) == 1;

    length = GUINT64_FROM_LE(length);
    if (read && length <= HEADER_MOST) {
        header = g_malloc((gsize)length + 1);
        read = fread(header, 1, (gsize)length, file) == length;
    }
    if (file)
        fclose(file);
    if (!read || !header)
        return loom_fail(error, LOOM_ERROR_IO, "'%s' cannot be read as weights", path);
    g_checksum_update(sum, header, (gssize)length);
    return TRUE;
}

static gboolean image_add(GChecksum *sum, const char *path, GError **error)
{
    g_autofree char *name = g_path_get_basename(path);
    GStatBuf status;

    if (g_stat(path, &status) != 0)
        return loom_fail(error, LOOM_ERROR_IO, "'%s' is not there", path);
    g_autofree char *line = g_strdup_printf(
        "%s\t%" G_GINT64_FORMAT "\t%" G_GINT64_FORMAT ".%09ld", name, (gint64)status.st_size,
        (gint64)status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
    text_add(sum, line);
    return TRUE;
}

char *predict_done_key(const PredictModel *model, const PredictHow *how, const ImageCase *one,
                       GError **error)
{
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    for (const PredictModel *recipe = model; recipe; recipe = recipe->next) {
        g_autofree char *text = predict_model_text(recipe, how->raw || model->next);

        text_add(sum, text);
        text_add(sum, how->mirror ? how->mirror : "as the model says");
        for (guint i = 0; i < recipe->weights->len; i++)
            if (!weights_add(sum, recipe->weights->pdata[i], error))
                return NULL;
    }
    for (char **image = one->channels; *image; image++)
        if (!image_add(sum, *image, error))
            return NULL;
    return g_strdup(g_checksum_get_string(sum));
}

char *predict_mask_path(const char *folder, const char *id)
{
    g_autofree char *name = g_strconcat(id, ".nii.gz", NULL);

    return g_build_filename(folder, name, NULL);
}

static char *note_path(const char *folder, const char *id)
{
    g_autofree char *name = g_strconcat(id, ".predict.json", NULL);

    return g_build_filename(folder, name, NULL);
}

gboolean predict_done_there(const char *folder, const char *id, const char *key)
{
    g_autofree char *mask = predict_mask_path(folder, id);
    g_autofree char *note = note_path(folder, id);
    g_autoptr(JsonParser) parser = json_parser_new();

    if (!g_file_test(mask, G_FILE_TEST_IS_REGULAR)
        || !json_parser_load_from_file(parser, note, NULL))
        return FALSE;
    JsonNode *root = json_parser_get_root(parser);
    JsonNode *said =
        root && JSON_NODE_HOLDS_OBJECT(root)
            ? json_object_get_member(json_node_get_object(root), "sha256_of_inputs")
            : NULL;
    return said && JSON_NODE_HOLDS_VALUE(said)
           && g_strcmp0(json_node_get_string(said), key) == 0;
}

/* {"background": 0, "enhancing": 4} */
static void labels_add(JsonBuilder *builder, const PredictModel *model)
{
    json_builder_set_member_name(builder, "labels");
    json_builder_begin_object(builder);
    for (guint k = 0; k < model->n_labels; k++) {
        json_builder_set_member_name(builder, model->labels[k]);
        json_builder_add_int_value(builder, model->values[k]);
    }
    json_builder_end_object(builder);
}

gboolean predict_done_write(const PredictModel *model, const PredictHow *how, const char *id,
                            const char *key, double seconds, guint64 peak, GError **error)
{
    g_autofree char *note = note_path(how->folder, id);
    g_autoptr(JsonBuilder) builder = json_builder_new();

    json_builder_begin_object(builder);
    json_builder_set_member_name(builder, "segloom");
    json_builder_add_string_value(builder, LOOM_VERSION);
    json_builder_set_member_name(builder, "sha256_of_inputs");
    json_builder_add_string_value(builder, key);
    if (model->n_labels)
        labels_add(builder, model);
    json_builder_set_member_name(builder, "backend");
    json_builder_add_string_value(builder, how->backend);
    json_builder_set_member_name(builder, "seconds");
    json_builder_add_double_value(builder, seconds);
    json_builder_set_member_name(builder, "peak_bytes");
    json_builder_add_int_value(builder, (gint64)peak);
    json_builder_end_object(builder);
    g_autoptr(JsonNode) root = json_builder_get_root(builder);
    g_autofree char *text = json_to_string(root, TRUE);
    g_autofree char *lines = g_strconcat(text, "\n", NULL);
    return loom_file_replace(note, lines, strlen(lines), error);
}
