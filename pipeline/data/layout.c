/* layout - dataset.json: channels, labels, how files end, which files there are.
 *
 *   version 2: channel_names {"0": "CT"},  labels {"background": 0, "tumour": 1}, file_ending
 *   version 1: modality      {"0": "CT"},  labels {"0": "background", "1": "tumour"}
 *   MSD:       as version 1, and training [{"image": "./imagesTr/a.nii.gz", "label": ...}]
 * In version 2 a list of values makes a label a region, and the highest may be "ignore".
 * Source: nnU-Net, documentation/dataset_format.md; Antonelli et al. 2022. */
#include "layout.h"

#include "json.h"

#include <string.h>

#define LAYOUT_CHANNELS 64 /* more is a mistake, not a scanner */
#define LAYOUT_LABELS 255  /* label maps are u8, and one value is LOOM_IGNORED */

void loom_layout_clear(LoomLayout *layout)
{
    g_free(layout->name);
    g_free(layout->ending);
    g_strfreev(layout->channel_names);
    g_strfreev(layout->label_names);
    loom_label_regions_free(layout->regions, layout->n_regions);
    for (guint i = 0; i < layout->n_listed; i++)
        loom_case_clear(&layout->listed[i]);
    g_free(layout->listed);
    *layout = (LoomLayout){0};
}

void loom_case_clear(LoomCase *one)
{
    g_free(one->id);
    g_strfreev(one->images);
    g_free(one->label);
    g_free(one->patient);
    *one = (LoomCase){0};
}

void loom_label_regions_free(LoomLabelRegion *regions, guint n)
{
    for (guint i = 0; i < n; i++)
        g_free(regions[i].name);
    g_free(regions);
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
        const char *name = loom_json_text(json_object_get_member(channels, number));

        if (number_of(number) < 0 || !name)
            return loom_fail(error, LOOM_ERROR_FORMAT,
                             "'%s' in '%s' is no channel, want \"0\": \"CT\"", number, key);
        if (!names_put(layout->channel_names, n, number_of(number), name, "channel", error))
            return FALSE;
    }
    return TRUE;
}

/* A whole number from 0 to @most; -1: it is none. */
static gint64 value_of(JsonNode *node, gint64 most)
{
    if (!node || !JSON_NODE_HOLDS_VALUE(node) || json_node_get_value_type(node) != G_TYPE_INT64)
        return -1;
    const gint64 value = json_node_get_int(node);
    return value <= most ? MAX(value, -1) : -1;
}

/* One of "tumour": 1 and "1": "tumour". */
static gboolean label_read(JsonObject *labels, const char *key, guint n, LoomLayout *layout,
                           GError **error)
{
    JsonNode *node = json_object_get_member(labels, key);
    const char *name = loom_json_text(node);

    if (name && number_of(key) >= 0)
        return names_put(layout->label_names, n, number_of(key), name, "label", error);
    if (!JSON_NODE_HOLDS_VALUE(node) || json_node_get_value_type(node) != G_TYPE_INT64)
        return loom_fail(error, LOOM_ERROR_FORMAT,
                         "label '%s' has no whole number, want \"%s\": 1", key, key);
    return names_put(layout->label_names, n, json_node_get_int(node), key, "label", error);
}

/* "ignore": 3, the highest value.  Nothing to do where there is none. */
static gboolean ignored_read(JsonObject *labels, guint n_classes, LoomLayout *layout,
                             GError **error)
{
    if (!json_object_has_member(labels, "ignore"))
        return TRUE;
    layout->ignored = (gint)value_of(json_object_get_member(labels, "ignore"), 255);
    return layout->ignored == (gint)n_classes
           || loom_fail(error, LOOM_ERROR_FORMAT,
                        "label 'ignore' must have the highest value, want \"ignore\": %u",
                        n_classes);
}

static gboolean classes_read(JsonObject *labels, LoomLayout *layout, GError **error)
{
    g_autoptr(GList) members = json_object_get_members(labels);
    const gboolean ignores = json_object_has_member(labels, "ignore");
    const guint n = json_object_get_size(labels) - (ignores ? 1 : 0);

    if (n < 2 || n > LAYOUT_LABELS)
        return loom_fail(error, LOOM_ERROR_FORMAT, "%u labels, want 2 to %d", n, LAYOUT_LABELS);
    layout->label_names = g_new0(char *, n + 1);
    for (const GList *at = members; at; at = at->next)
        if (!g_str_equal(at->data, "ignore") && !label_read(labels, at->data, n, layout, error))
            return FALSE;
    return ignored_read(labels, n, layout, error);
}

/* ---- regions ------------------------------------------------------------------------ */

/* The values of a label, one or a list of them, into @region. */
static gboolean region_read(LoomLabelRegion *region, const char *name, JsonNode *node,
                            GError **error)
{
    JsonArray *list = JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
    const guint n = list ? json_array_get_length(list) : 1;

    region->name = g_strdup(name);
    for (guint i = 0; i < n; i++) {
        const gint64 value =
            value_of(list ? json_array_get_element(list, i) : node, LAYOUT_LABELS - 1);

        if (value < 1)
            return loom_fail(error, LOOM_ERROR_FORMAT,
                             "region '%s' holds what is no label, want whole numbers from 1 to "
                             "%d",
                             name, LAYOUT_LABELS - 1);
        region->holds[value] = 1;
    }
    return n || loom_fail(error, LOOM_ERROR_FORMAT, "region '%s' is empty", name);
}

/* regions_class_order: the label that is written for each region. */
static gboolean order_read(JsonObject *root, LoomLayout *layout, GError **error)
{
    JsonNode *node = json_object_get_member(root, "regions_class_order");
    JsonArray *order = node && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;

    if (!order || json_array_get_length(order) != layout->n_regions)
        return loom_fail(error, LOOM_ERROR_FORMAT,
                         "labels are regions (lists of values), so want "
                         "'regions_class_order' with %u label%s, one to write for each",
                         layout->n_regions, layout->n_regions == 1 ? "" : "s");
    for (guint r = 0; r < layout->n_regions; r++) {
        const gint64 value = value_of(json_array_get_element(order, r), LAYOUT_LABELS - 1);

        if (value < 1 || !layout->regions[r].holds[value])
            return loom_fail(
                error, LOOM_ERROR_FORMAT,
                "'regions_class_order': what is written for region '%s' is none of "
                "its labels",
                layout->regions[r].name);
        layout->regions[r].written = (guint8)value;
    }
    return TRUE;
}

/* Each value is a class, named after the region that is it alone, else by its number. */
static gboolean values_name(LoomLayout *layout, JsonObject *labels, GError **error)
{
    guint8 held[256] = {1};
    guint n = 1;

    for (guint r = 0; r < layout->n_regions; r++)
        for (guint k = 0; k < 256; k++)
            held[k] |= layout->regions[r].holds[k];
    while (n < 256 && held[n])
        n++;
    for (guint k = n; k < 256; k++)
        if (held[k])
            return loom_fail(error, LOOM_ERROR_FORMAT,
                             "the regions hold label %u but not %u, want 1, 2, ... without a "
                             "gap",
                             k, n);
    layout->label_names = g_new0(char *, n + 1);
    layout->label_names[0] = g_strdup("background");
    for (guint k = 1; k < n; k++) {
        for (guint r = 0; r < layout->n_regions; r++)
            if (layout->regions[r].holds[k] && !layout->label_names[k]
                && !memchr(layout->regions[r].holds, 1, k)
                && !memchr(layout->regions[r].holds + k + 1, 1, 255 - k))
                layout->label_names[k] = g_strdup(layout->regions[r].name);
        if (!layout->label_names[k])
            layout->label_names[k] = g_strdup_printf("%u", k);
    }
    return ignored_read(labels, n, layout, error);
}

static gboolean regions_read(JsonObject *root, JsonObject *labels, LoomLayout *layout,
                             GError **error)
{
    g_autoptr(GList) members = json_object_get_members(labels);

    layout->regions = g_new0(LoomLabelRegion, json_object_get_size(labels));
    for (const GList *at = members; at; at = at->next) {
        JsonNode *node = json_object_get_member(labels, at->data);

        if (value_of(node, 255) == 0 || g_str_equal(at->data, "ignore"))
            continue; /* the background */
        if (!region_read(&layout->regions[layout->n_regions++], at->data, node, error))
            return FALSE;
    }
    return order_read(root, layout, error) && values_name(layout, labels, error);
}

static void value_declare(LoomLayout *layout, gint64 value)
{
    if (value >= 0)
        layout->declared[value] = TRUE;
}

/* All values, in any of the spellings; what is none is passed over. */
static void values_declare(JsonObject *root, LoomLayout *layout)
{
    JsonNode *node = json_object_get_member(root, "labels");
    JsonObject *labels =
        node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
    g_autoptr(GList) members = labels ? json_object_get_members(labels) : NULL;

    for (const GList *at = members; at; at = at->next) {
        JsonNode *one = json_object_get_member(labels, at->data);
        JsonArray *list = JSON_NODE_HOLDS_ARRAY(one) ? json_node_get_array(one) : NULL;

        value_declare(layout, value_of(one, 255));
        if (loom_json_text(one) && number_of(at->data) <= 255) /* "1": "tumour" */
            value_declare(layout, number_of(at->data));
        for (guint i = 0; list && i < json_array_get_length(list); i++)
            value_declare(layout, value_of(json_array_get_element(list, i), 255));
    }
}

static gboolean labels_read(JsonObject *root, LoomLayout *layout, GError **error)
{
    JsonObject *labels = object_need(root, "labels", error);
    g_autoptr(GList) members = labels ? json_object_get_members(labels) : NULL;

    if (!labels)
        return FALSE;
    for (const GList *at = members; at; at = at->next)
        if (JSON_NODE_HOLDS_ARRAY(json_object_get_member(labels, at->data)))
            return regions_read(root, labels, layout, error);
    return classes_read(labels, layout, error);
}

/* ---- files -------------------------------------------------------------------------- */

/* {"image": "./imagesTr/a.nii.gz", "label": "./labelsTr/a.nii.gz"} */
static gboolean training_read(JsonNode *node, LoomLayout *layout, GError **error)
{
    JsonArray *list = JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
    const guint n = list ? json_array_get_length(list) : 0;

    layout->listed = g_new0(LoomCase, MAX(n, 1));
    for (guint i = 0; i < n; i++) {
        JsonNode *entry = json_array_get_element(list, i);
        JsonObject *files = JSON_NODE_HOLDS_OBJECT(entry) ? json_node_get_object(entry) : NULL;
        const char *image =
            files ? loom_json_text(json_object_get_member(files, "image")) : NULL;
        const char *label =
            files ? loom_json_text(json_object_get_member(files, "label")) : NULL;
        LoomCase *one = &layout->listed[layout->n_listed++];

        if (!image || !label)
            return loom_fail(error, LOOM_ERROR_FORMAT,
                             "entry %u of 'training' is no {\"image\": FILE, \"label\": FILE}",
                             i);
        one->images = g_strdupv((char *[]){(char *)(guintptr)image, NULL});
        one->label = g_strdup(label);
    }
    return n || loom_fail(error, LOOM_ERROR_FORMAT, "'training' lists no case");
}

/* "dataset": {"case": {"images": ["a.nii.gz", ...], "label": "b.nii.gz"}} */
static gboolean dataset_read(JsonObject *root, LoomLayout *layout, GError **error)
{
    JsonObject *cases = object_need(root, "dataset", error);
    g_autoptr(GList) members = cases ? json_object_get_members(cases) : NULL;
    const guint n_channels = g_strv_length(layout->channel_names);

    if (!cases)
        return FALSE;
    layout->by_channel = TRUE;
    layout->listed = g_new0(LoomCase, MAX(json_object_get_size(cases), 1));
    for (const GList *at = members; at; at = at->next) {
        JsonNode *entry = json_object_get_member(cases, at->data);
        JsonObject *files = JSON_NODE_HOLDS_OBJECT(entry) ? json_node_get_object(entry) : NULL;
        JsonNode *images = files ? json_object_get_member(files, "images") : NULL;
        JsonArray *list =
            images && JSON_NODE_HOLDS_ARRAY(images) ? json_node_get_array(images) : NULL;
        const char *label =
            files ? loom_json_text(json_object_get_member(files, "label")) : NULL;
        LoomCase *one = &layout->listed[layout->n_listed++];

        one->id = g_strdup(at->data);
        one->label = g_strdup(label);
        one->images = g_new0(char *, n_channels + 1);
        const guint n = list ? json_array_get_length(list) : 0;
        for (guint c = 0; c < MIN(n_channels, n); c++)
            if (!(one->images[c] = g_strdup(loom_json_text(json_array_get_element(list, c)))))
                break;
        if (!label || n != n_channels || g_strv_length(one->images) != n_channels)
            return loom_fail(error, LOOM_ERROR_FORMAT,
                             "case '%s' in 'dataset' is no {\"images\": [%u file%s], "
                             "\"label\": FILE}",
                             one->id, n_channels, n_channels == 1 ? "" : "s");
    }
    return layout->n_listed || loom_fail(error, LOOM_ERROR_FORMAT, "'dataset' lists no case");
}

static gboolean ending_read(JsonObject *root, LoomLayout *layout, GError **error)
{
    static const char *const known[] = {".nii.gz", ".nii", ".hdr", ".hdr.gz", NULL};
    JsonNode *node = json_object_get_member(root, "file_ending");
    const char *ending = node ? loom_json_text(node) : ".nii.gz"; /* version 1 knew no other */

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

    if (training
        && (!JSON_NODE_HOLDS_VALUE(training)
            || json_node_get_value_type(training) != G_TYPE_INT64))
        return loom_fail(error, LOOM_ERROR_FORMAT, "'numTraining' is no whole number");
    layout->n_training = training ? json_node_get_int(training) : -1;
    layout->name = g_strdup(loom_json_text(json_object_get_member(root, "name")));
    layout->ignored = -1;
    values_declare(root, layout);
    if (!channels_read(root, layout, error)
        || (!layout->labels_passed && !labels_read(root, layout, error))
        || !ending_read(root, layout, error))
        return FALSE;
    if (json_object_has_member(root, "dataset"))
        return dataset_read(root, layout, error);
    return !json_object_has_member(root, "training")
           || training_read(json_object_get_member(root, "training"), layout, error);
}

gboolean loom_layout_read(const char *path, LoomLayout *layout, GError **error)
{
    g_autoptr(JsonParser) parser = loom_json_read(path, error);
    JsonNode *root = parser ? json_parser_get_root(parser) : NULL;

    if (!parser)
        return FALSE;
    if (!JSON_NODE_HOLDS_OBJECT(root))
        return loom_fail(error, LOOM_ERROR_FORMAT, "'%s': is no JSON object", path);
    if (layout_from(json_node_get_object(root), layout, error))
        return TRUE;
    g_prefix_error(error, "'%s': ", path);
    return FALSE;
}
