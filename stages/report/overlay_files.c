/* overlay_files - the pictures of a validation and overlays.json: see overlay_cases.h. */
#include "overlay_cases.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <json-glib/json-glib.h>
#include <string.h>

/* "CASE.png", of letters that every system takes; two cases never share one. */
static char *file_name(const char *id, GHashTable *taken)
{
    g_autofree char *plain = g_strndup(id, 100);

    g_strcanon(plain, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-", '_');
    if (*plain == '.' || !*plain)
        *plain = '_';
    char *name = g_strconcat(plain, ".png", NULL);
    for (guint i = 2; g_hash_table_contains(taken, name); i++) {
        g_free(name);
        name = g_strdup_printf("%s-%u.png", plain, i);
    }
    g_hash_table_add(taken, g_strdup(name));
    return name;
}

/* Pictures of the validation before, as its overlays.json names them. */
static void old_remove(const char *folder, const char *path, GHashTable *kept)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    JsonObject *root;

    if (!json_parser_load_from_file(parser, path, NULL) || !json_parser_get_root(parser)
        || !JSON_NODE_HOLDS_OBJECT(json_parser_get_root(parser)))
        return;
    root = json_node_get_object(json_parser_get_root(parser));
    JsonNode *cases = json_object_get_member(root, "cases");
    for (guint i = 0; cases && JSON_NODE_HOLDS_ARRAY(cases)
                      && i < json_array_get_length(json_node_get_array(cases));
         i++) {
        JsonNode *one = json_array_get_element(json_node_get_array(cases), i);
        const char *file = JSON_NODE_HOLDS_OBJECT(one)
                               ? json_object_get_string_member_with_default(
                                   json_node_get_object(one), "file", NULL)
                               : NULL;

        if (file && !strchr(file, '/') && g_str_has_suffix(file, ".png")
            && !g_hash_table_contains(kept, file)) {
            g_autofree char *old = g_build_filename(folder, file, NULL);
            g_unlink(old);
        }
    }
}

static void shown_add(JsonBuilder *builder, const OverlayShown *shown, guint classes)
{
    gint64 voxels = 0;

    json_builder_begin_object(builder);
    json_builder_set_member_name(builder, "case");
    json_builder_add_string_value(builder, shown->id);
    json_builder_set_member_name(builder, "dice");
    json_builder_add_double_value(builder, shown->dice);
    json_builder_set_member_name(builder, "counts");
    json_builder_begin_array(builder);
    for (guint k = 0; k < G_N_ELEMENTS(shown->counts); k++) {
        voxels += shown->counts[k];
        if (k < classes)
            json_builder_add_int_value(builder, shown->counts[k]);
    }
    json_builder_end_array(builder);
    json_builder_set_member_name(builder, "voxels");
    json_builder_add_int_value(builder, voxels);
    if (shown->png) {
        json_builder_set_member_name(builder, "file");
        json_builder_add_string_value(builder, shown->file);
        json_builder_set_member_name(builder, "plane");
        json_builder_add_string_value(builder, shown->plane);
        json_builder_set_member_name(builder, "slice");
        json_builder_add_int_value(builder, shown->slice);
    }
    json_builder_end_object(builder);
}

static char *index_text(const OverlayCases *cases, gint64 step, const char *const *names)
{
    const guint classes = g_strv_length((char **)(guintptr)names);
    g_autoptr(JsonBuilder) builder = json_builder_new();

    json_builder_begin_object(builder);
    json_builder_set_member_name(builder, "step");
    json_builder_add_int_value(builder, step);
    json_builder_set_member_name(builder, "most");
    json_builder_add_string_value(builder, cases->slices);
    json_builder_set_member_name(builder, "classes");
    json_builder_begin_array(builder);
    for (guint k = 0; k < classes; k++)
        json_builder_add_string_value(builder, names[k]);
    json_builder_end_array(builder);
    json_builder_set_member_name(builder, "cases");
    json_builder_begin_array(builder);
    for (guint i = 0; i < cases->all->len; i++)
        shown_add(builder, cases->all->pdata[i], classes);
    json_builder_end_array(builder);
    json_builder_end_object(builder);
    g_autoptr(JsonNode) root = json_builder_get_root(builder);
    g_autofree char *text = json_to_string(root, TRUE);
    return g_strconcat(text, "\n", NULL);
}

/* The pictures first, so that the list never names one that is not there. */
gboolean overlay_cases_write(const OverlayCases *cases, const char *folder, gint64 step,
                             const char *const *names, GError **error)
{
    g_autofree char *path = g_build_filename(folder, "overlays.json", NULL);
    g_autoptr(GHashTable) taken = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    if (g_mkdir_with_parents(folder, 0777) != 0)
        return loom_fail(error, LOOM_ERROR_IO, "'%s' cannot be made: %s", folder,
                         g_strerror(errno));
    for (guint i = 0; i < cases->all->len; i++) {
        OverlayShown *shown = cases->all->pdata[i];
        gsize length;

        if (!shown->png)
            continue;
        shown->file = file_name(shown->id, taken);
        g_autofree char *file = g_build_filename(folder, shown->file, NULL);
        const char *png = g_bytes_get_data(shown->png, &length);
        if (!loom_file_replace(file, png, length, error))
            return FALSE;
    }
    g_autofree char *text = index_text(cases, step, names);
    old_remove(folder, path, taken);
    return loom_file_replace(path, text, strlen(text), error);
}
