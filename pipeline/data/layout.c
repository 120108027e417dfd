/* layout - dataset.json of nnU-Net: channels, labels, how files end.
 *
 *   version 2: channel_names {"0": "CT"},  labels {"background": 0, "tumour": 1}, file_ending
 *   version 1: modality      {"0": "CT"},  labels {"0": "background", "1": "tumour"}
 * Source: nnU-Net, documentation/dataset_format.md. */
#include "layout.h"

#include "text.h"

#include <json-glib/json-glib.h>

#include <string.h>

#define LAYOUT_DEPTH 32    /* dataset.json needs 4; json-glib recurses */
#define LAYOUT_CHANNELS 64 /* more is a mistake, not a scanner */
#define LAYOUT_LABELS 256  /* label maps are u8 */

void loom_layout_clear(LoomLayout *layout)
{
    g_free(layout->name);
    g_free(layout->ending);
    g_strfreev(layout->channel_names);
    g_strfreev(layout->label_names);
    *layout = (LoomLayout){0};
}

/* How deep brackets nest, outside strings. */
static guint json_depth(const char *text)
{
    guint depth = 0, deepest = 0;
    gboolean quoted = FALSE;

    for (; *text; text++) {
        if (quoted && *text == '\\' && text[1])
            text++;
        else if (*text == '"')
            quoted = !quoted;
        else if (!quoted && strchr("[{", *text))
            deepest = MAX(deepest, ++depth);
        else if (!quoted && strchr("]}", *text) && depth)
            depth--;
    }
    return deepest;
}

/* A number "0", "12" without sign or leading zero; -1: it is none. */
static gint64 number_of(const char *text)
{
    guint64 number;

    if ((text[0] == '0' && text[1])
        || !g_ascii_string_to_unsigned(text, 10, 0, G_MAXINT32, &number, NULL))
        return -1;
    return (gint64)number;
}

/* The member as an object; NULL with an error. */
static JsonObject *object_need(JsonObject *root, const char *key, GError **error)
{
    JsonNode *node = json_object_get_member(root, key);

    if (node && JSON_NODE_HOLDS_OBJECT(node))
        return json_node_get_object(node);
    return loom_fail_null(error, LOOM_ERROR_FORMAT,
                          node ? "'%s' is no object" : "'%s' is missing", key);
}

/* The member as text; NULL: it is none. */
static const char *text_of(JsonNode *node)
{
    if (!node || !JSON_NODE_HOLDS_VALUE(node)
        || json_node_get_value_type(node) != G_TYPE_STRING)
        return NULL;
    return json_node_get_string(node);
}

/* Puts @name at @index, the place nobody took yet. */
static gboolean names_put(char **names, guint n, gint64 index, const char *name,
                          const char *what, GError **error)
{
    if (index < 0 || index >= (gint64)n)
        return loom_fail(error, LOOM_ERROR_FORMAT,
                         "%s '%s' is number %" G_GINT64_FORMAT ", want 0 to %u without a gap",
                         what, name, index, n - 1);
    if (names[index])
        return loom_fail(error, LOOM_ERROR_FORMAT,
                         "%s '%s' and '%s' have both the number %" G_GINT64_FORMAT, what,
                         names[index], name, index);
    names[index] = g_strdup(name);
    return TRUE;
}

/* {"0": "CT", "1": "PET"} */
static gboolean channels_read(JsonObject *root, LoomLayout *layout, GError **error)
{
    const char *key =
        json_object_has_member(root, "channel_names") ? "channel_names" : "modality";
    JsonObject *channels =
        object_need(root, json_object_has_member(root, key) ? key : "channel_names", error);
    g_autoptr(GList) members = channels ? json_object_get_members(channels) : NULL;
    const guint n = channels ? json_object_get_size(channels) : 0;

    if (!channels)
        return FALSE;
    if (n < 1 || n > LAYOUT_CHANNELS)
        return loom_fail(error, LOOM_ERROR_FORMAT, "%u channels in '%s', want 1 to %d", n, key,
                         LAYOUT_CHANNELS);
    layout->channel_names = g_new0(char *, n + 1);
    for (const GList *at = members; at; at = at->next) {
        const char *number = at->data;
        const char *name = text_of(json_object_get_member(channels, number));

        if (number_of(number) < 0 || !name)
            return loom_fail(error, LOOM_ERROR_FORMAT,
                             "'%s' in '%s' is no channel, want \"0\": \"CT\"", number, key);
        if (!names_put(layout->channel_names, n, number_of(number), name, "channel", error))
            return FALSE;
    }
    return TRUE;
}

/* One of "tumour": 1 and "1": "tumour". */
static gboolean label_read(JsonObject *labels, const char *key, guint n, LoomLayout *layout,
                           GError **error)
{
    JsonNode *node = json_object_get_member(labels, key);
    const char *name = text_of(node);

    if (name && number_of(key) >= 0)
        return names_put(layout->label_names, n, number_of(key), name, "label", error);
    if (JSON_NODE_HOLDS_ARRAY(node))
        return loom_fail(error, LOOM_ERROR_FORMAT,
                         "label '%s' is a region (a list of values): give each voxel one label",
                         key);
    if (g_str_equal(key, "ignore"))
        return loom_fail(error, LOOM_ERROR_FORMAT, "a label 'ignore' is not supported");
    if (!JSON_NODE_HOLDS_VALUE(node) || json_node_get_value_type(node) != G_TYPE_INT64)
        return loom_fail(error, LOOM_ERROR_FORMAT,
                         "label '%s' has no whole number, want \"%s\": 1", key, key);
    return names_put(layout->label_names, n, json_node_get_int(node), key, "label", error);
}

static gboolean labels_read(JsonObject *root, LoomLayout *layout, GError **error)
{
    JsonObject *labels = object_need(root, "labels", error);
    g_autoptr(GList) members = labels ? json_object_get_members(labels) : NULL;
    const guint n = labels ? json_object_get_size(labels) : 0;

    if (!labels)
        return FALSE;
    if (n < 2 || n > LAYOUT_LABELS)
        return loom_fail(error, LOOM_ERROR_FORMAT, "%u labels, want 2 to %d", n, LAYOUT_LABELS);
    layout->label_names = g_new0(char *, n + 1);
    for (const GList *at = members; at; at = at->next)
        if (!label_read(labels, at->data, n, layout, error))
            return FALSE;
    return TRUE;
}

static gboolean ending_read(JsonObject *root, LoomLayout *layout, GError **error)
{
    static const char *const known[] = {".nii.gz", ".nii", ".hdr", ".hdr.gz", NULL};
    JsonNode *node = json_object_get_member(root, "file_ending");
    const char *ending = node ? text_of(node) : ".nii.gz"; /* version 1 knew no other */

    if (!ending || !g_strv_contains(known, ending))
        return loom_fail(error, LOOM_ERROR_FORMAT,
                         "'file_ending' is '%s', want '.nii.gz', '.nii', '.hdr' or '.hdr.gz'",
                         ending ? ending : "not text");
    layout->ending = g_strdup(ending);
    return TRUE;
}

static gboolean layout_from(JsonObject *root, LoomLayout *layout, GError **error)
{
    JsonNode *training = json_object_get_member(root, "numTraining");

    if (json_object_has_member(root, "dataset"))
        return loom_fail(
            error, LOOM_ERROR_FORMAT,
            "'dataset' lists files one by one, want them in imagesTr and labelsTr");
    if (training
        && (!JSON_NODE_HOLDS_VALUE(training)
            || json_node_get_value_type(training) != G_TYPE_INT64))
        return loom_fail(error, LOOM_ERROR_FORMAT, "'numTraining' is no whole number");
    layout->n_training = training ? json_node_get_int(training) : -1;
    layout->name = g_strdup(text_of(json_object_get_member(root, "name")));
    return channels_read(root, layout, error) && labels_read(root, layout, error)
           && ending_read(root, layout, error);
}

gboolean loom_layout_read(const char *path, LoomLayout *layout, GError **error)
{
    g_autofree char *text = loom_text_read(path, error);
    g_autoptr(JsonParser) parser = json_parser_new_immutable();
    g_autoptr(GError) cause = NULL;

    if (!text)
        return FALSE;
    if (json_depth(text) > LAYOUT_DEPTH)
        return loom_fail(error, LOOM_ERROR_LIMIT, "'%s': brackets nest more than %d deep", path,
                         LAYOUT_DEPTH);
    if (!json_parser_load_from_data(parser, text, -1, &cause))
        return loom_fail(error, LOOM_ERROR_FORMAT, "'%s': %s", path, cause->message);
    JsonNode *root = json_parser_get_root(parser);
    if (!root || !JSON_NODE_HOLDS_OBJECT(root))
        return loom_fail(error, LOOM_ERROR_FORMAT, "'%s': is no JSON object", path);
    if (layout_from(json_node_get_object(root), layout, error))
        return TRUE;
    g_prefix_error(error, "'%s': ", path);
    return FALSE;
}
