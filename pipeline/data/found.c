/* found - the cases of a layout, whole: no file is missing, doubled, or in two cases. */
#define G_LOG_DOMAIN "loom-data"
#include "found.h"

#include "layout.h"

#include "config/yaml.h"

#include <string.h>

#define FOUND_NAMED 40 /* cases that a message names for one channel */

/* ---- memory ------------------------------------------------------------------------- */

static void case_clear(gpointer data)
{
    loom_case_clear(&((LoomFoundCase *)data)->files);
}

void loom_found_clear(LoomFound *found)
{
    g_free(found->folder);
    g_free(found->name);
    g_strfreev(found->channel_names);
    g_strfreev(found->label_names);
    loom_label_regions_free(found->regions, found->n_regions);
    if (found->cases)
        g_array_unref(found->cases);
    g_free(found->pattern);
    g_strfreev(found->unpaired);
    *found = (LoomFound){0};
}

LoomFoundCase *loom_found_add(LoomFound *found, const char *id, guint n_images)
{
    const LoomFoundCase one = {
        .files = {.id = g_strdup(id), .images = g_new0(char *, n_images + 1)}, .fold = -1};

    if (!found->cases) {
        found->cases = g_array_new(FALSE, FALSE, sizeof one);
        g_array_set_clear_func(found->cases, case_clear);
    }
    g_array_append_val(found->cases, one);
    return &g_array_index(found->cases, LoomFoundCase, found->cases->len - 1);
}

/* ---- names of files ----------------------------------------------------------------- */

gsize loom_nifti_ending(const char *name)
{
    static const char *const endings[] = {".nii.gz", ".nii"};

    for (guint i = 0; i < G_N_ELEMENTS(endings); i++)
        if (g_str_has_suffix(name, endings[i]))
            return strlen(endings[i]);
    return 0;
}

static int name_compare(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

char **loom_folder_names(const char *folder, GError **error)
{
    g_autoptr(GError) cause = NULL;
    g_autoptr(GDir) dir = g_dir_open(folder, 0, &cause);
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    const char *name;

    if (!dir && !g_file_test(folder, G_FILE_TEST_EXISTS))
        return loom_fail_null(error, LOOM_ERROR_IO, "there is no folder '%s'", folder);
    if (!dir && !g_file_test(folder, G_FILE_TEST_IS_DIR))
        return loom_fail_null(error, LOOM_ERROR_IO, "'%s' is no folder", folder);
    if (!dir)
        return loom_fail_null(error, LOOM_ERROR_IO, "%s", cause->message);
    while ((name = g_dir_read_name(dir)))
        if (*name != '.')
            g_ptr_array_add(names, g_strdup(name));
    g_ptr_array_sort(names, name_compare);
    g_ptr_array_add(names, NULL);
    return (char **)g_ptr_array_free(g_steal_pointer(&names), FALSE);
}

/* ---- channels ----------------------------------------------------------------------- */

static gint channel_find(const LoomFound *found, const char *name)
{
    for (gint c = 0; found->channel_names[c]; c++)
        if (g_str_equal(found->channel_names[c], name))
            return c;
    return -1;
}

/* Of each wanted channel: which of the found ones it is; (transfer full). */
static guint *channels_find(const LoomFound *found, char *const *names, GError **error)
{
    const guint n =
        names ? g_strv_length((char **)(guintptr)names) : g_strv_length(found->channel_names);
    g_autofree guint *places = g_new(guint, n);

    for (guint c = 0; c < n; c++) {
        const gint at = names ? channel_find(found, names[c]) : (gint)c;

        if (at < 0) {
            g_autofree char *all = g_strjoinv(", ", found->channel_names);
            g_autofree char *hint =
                loom_did_you_mean(names[c], (const char *const *)found->channel_names);
            return loom_fail_null(error, LOOM_ERROR_CONFIG,
                                  "channels: there is no channel '%s'%s (there are: %s)",
                                  names[c], hint, all);
        }
        places[c] = (guint)at;
        for (guint earlier = 0; earlier < c; earlier++)
            if (places[earlier] == places[c])
                return loom_fail_null(error, LOOM_ERROR_CONFIG, "channels: '%s' comes twice",
                                      found->channel_names[places[c]]);
    }
    return g_steal_pointer(&places);
}

/* The chosen ones of @strings, which end with NULL, in their order. */
static void strings_choose(char ***strings, const guint *places, guint n)
{
    char **chosen = g_new0(char *, n + 1);

    for (guint c = 0; c < n; c++)
        chosen[c] = g_strdup((*strings)[places[c]]);
    g_strfreev(*strings);
    *strings = chosen;
}

gboolean loom_found_choose(LoomFound *found, char *const *names, guint **volume_of,
                           GError **error)
{
    g_autofree guint *places = channels_find(found, names, error);

    if (!places)
        return FALSE;
    const guint n =
        names ? g_strv_length((char **)(guintptr)names) : g_strv_length(found->channel_names);
    for (guint i = 0; names && !found->whole && found->cases && i < found->cases->len; i++)
        strings_choose(&g_array_index(found->cases, LoomFoundCase, i).files.images, places, n);
    if (names)
        strings_choose(&found->channel_names, places, n);
    if (found->whole)
        *volume_of = g_steal_pointer(&places);
    return TRUE;
}

/* ---- all files there ---------------------------------------------------------------- */

static int case_compare(gconstpointer a, gconstpointer b)
{
    return strcmp(((const LoomFoundCase *)a)->files.id, ((const LoomFoundCase *)b)->files.id);
}

/* Adds "PET: case_1, case_2" to @table where some case has no file in that column.
 * Returns: how many cases lack it. */
static guint column_check(const LoomFound *found, const char *name, gint channel,
                          GString *table)
{
    g_autoptr(GString) ids = g_string_new(NULL);
    guint n = 0;

    for (guint i = 0; i < found->cases->len; i++) {
        const LoomCase *one = &g_array_index(found->cases, LoomFoundCase, i).files;
        const char *path = channel < 0 ? one->label : one->images[channel];

        if (path && *path && g_file_test(path, G_FILE_TEST_EXISTS))
            continue;
        if (n++ < FOUND_NAMED)
            g_string_append_printf(ids, "%s%s", n > 1 ? ", " : "", one->id);
    }
    if (!n)
        return 0;
    if (n > FOUND_NAMED)
        g_string_append_printf(ids, " and %u more", n - FOUND_NAMED);
    g_string_append_printf(table, "%s%s of ", table->len ? "; " : "", name);
    if (n == found->cases->len && n > 1)
        g_string_append_printf(table, "all %u cases", n);
    else
        g_string_append(table, ids->str);
    return n;
}

/* A case x channel table in one line, by channels. */
static gboolean missing_check(const LoomFound *found, GError **error)
{
    g_autoptr(GString) table = g_string_new(NULL);
    guint n = 0;

    for (gint c = 0; found->whole ? c < 1 : found->channel_names[c] != NULL; c++)
        n += column_check(found, found->whole ? "image" : found->channel_names[c], c, table);
    if (!found->unlabelled)
        n += column_check(found, "label", -1, table);
    return !n
           || loom_fail_as(error, "E-DATA-MISSING", LOOM_ERROR_IO,
                           "%u file%s missing: %s (looked for %s)", n, n == 1 ? " is" : "s are",
                           table->str, found->pattern);
}

/* "a.nii" beside "a.nii.gz": which is meant?  And no file may serve two cases. */
static gboolean path_check(GHashTable *seen, const char *path, const LoomCase *one,
                           GError **error)
{
    const gboolean packed = g_str_has_suffix(path, ".nii.gz");
    g_autofree char *twin = packed                           ? g_strndup(path, strlen(path) - 3)
                            : g_str_has_suffix(path, ".nii") ? g_strconcat(path, ".gz", NULL)
                                                             : NULL;
    const char *other = g_hash_table_lookup(seen, path);

    if (twin && g_file_test(twin, G_FILE_TEST_EXISTS))
        return loom_fail_as(error, "E-DATA-TWO-FILES", LOOM_ERROR_FORMAT,
                            "case '%s' has '%s' and '%s': want only one of them", one->id,
                            packed ? twin : path, packed ? path : twin);
    if (other)
        return loom_fail_as(error, "E-DATA-TWICE", LOOM_ERROR_FORMAT,
                            "'%s' belongs to case '%s' and to case '%s', or to one twice", path,
                            other, one->id);
    g_hash_table_insert(seen, (gpointer)(guintptr)path, one->id);
    return TRUE;
}

static gboolean paths_check(const LoomFound *found, GError **error)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);

    for (guint i = 0; i < found->cases->len; i++) {
        const LoomCase *one = &g_array_index(found->cases, LoomFoundCase, i).files;

        for (char **path = one->images; *path; path++)
            if (!path_check(seen, *path, one, error))
                return FALSE;
        if (one->label && !path_check(seen, one->label, one, error))
            return FALSE;
    }
    return TRUE;
}

/* A label without an image is worth a word; with a promise of more cases it is the reason. */
static gboolean number_check(const LoomFound *found, GError **error)
{
    const gint64 wanted = found->n_promised, n = found->cases->len;
    const gboolean named = wanted > n && found->unpaired && *found->unpaired;

    if (wanted >= 0 && wanted != n)
        return loom_fail_as(
            error, "E-DATA-NUMBER", LOOM_ERROR_FORMAT,
            "dataset.json says numTraining %" G_GINT64_FORMAT
            ", but there are %" G_GINT64_FORMAT " cases, %" G_GINT64_FORMAT " too %s%s%s%s",
            wanted, n, ABS(wanted - n), wanted > n ? "few" : "many", named ? ": '" : "",
            named ? *found->unpaired : "", named ? "' has no image" : "");
    for (char **label = found->unpaired; label && *label; label++)
        g_warning("'%s' has no image", *label);
    return TRUE;
}

/* An id stands in tables, in JSON and in messages between ranks: none of them holds other
 * bytes. */
static gboolean id_is_text(const char *id, GError **error)
{
    if (g_utf8_validate(id, -1, NULL))
        return TRUE;
    g_autofree char *shown = g_utf8_make_valid(id, -1);
    return loom_fail_as(error, "E-DATA-NAME", LOOM_ERROR_FORMAT,
                        "the name of case '%s' is not UTF-8: want its files renamed", shown);
}

/* Ids become names of files. */
static gboolean ids_check(const LoomFound *found, GError **error)
{
    const char *last = "";

    for (guint i = 0; i < found->cases->len; i++) {
        const char *id = g_array_index(found->cases, LoomFoundCase, i).files.id;

        if (!*id || strchr(id, '/'))
            return loom_fail(error, LOOM_ERROR_FORMAT, "'%s' is no name of a case", id);
        if (g_str_equal(id, last))
            return loom_fail_as(error, "E-DATA-TWICE", LOOM_ERROR_FORMAT,
                                "case '%s' is there twice", id);
        if (!id_is_text(id, error))
            return FALSE;
        last = id;
    }
    return TRUE;
}

gboolean loom_found_check(LoomFound *found, GError **error)
{
    if (!found->cases || !found->cases->len)
        return loom_fail(error, LOOM_ERROR_FORMAT, "there is no case (looked for %s)",
                         found->pattern);
    g_array_sort(found->cases, case_compare);
    if (!ids_check(found, error))
        return FALSE;
    if (!missing_check(found, error) || !paths_check(found, error))
        return FALSE;
    return number_check(found, error);
}
