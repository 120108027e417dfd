/* layout_pattern - files whose names a pattern describes, as in BIDS:
 *
 *   images: "sub-{case}/anat/sub-{case}_{channel}.nii.gz"   channels: [T1w, FLAIR]
 *   labels: "derivatives/sub-{case}_seg.nii.gz"
 *
 * {case} is any text without '/', the same wherever it stands; {channel} each of the channels
 * in turn.  A pattern without {channel} and several channels: one file holds all of them. */
#include "found.h"

#include <string.h>

#define PATTERN_PARTS 32 /* folders on the way to a file */

/* @pattern with each {channel} (and {case}, unless @id is NULL) replaced; (transfer full). */
static char *pattern_fill(const char *pattern, const char *id, const char *channel)
{
    g_autoptr(GString) text = g_string_new(pattern);

    g_string_replace(text, "{channel}", channel ? channel : "", 0);
    if (id)
        g_string_replace(text, "{case}", id, 0);
    return g_strdup(text->str);
}

static gboolean braces_check(const char *pattern, const char *key, GError **error)
{
    g_autofree char *rest = pattern_fill(pattern, "", "");

    if (g_path_is_absolute(pattern) || g_str_has_suffix(pattern, "/"))
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "%s: '%s': want the path of a file that starts from 'dataset'", key,
                         pattern);
    if (!strstr(pattern, "{case}") || strpbrk(rest, "{}"))
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "%s: '%s': want {case}, and no braces but {case} and {channel}", key,
                         pattern);
    return TRUE;
}

/* One part of a path, "sub-{case}_T1w.nii.gz", as a regular expression that captures the case.
 */
static GRegex *part_regex(const char *part, GError **error)
{
    g_auto(GStrv) texts = g_strsplit(part, "{case}", -1);
    g_autoptr(GString) regex = g_string_new("^");

    for (guint i = 0; texts[i]; i++) {
        g_autofree char *literal = g_regex_escape_string(texts[i], -1);

        if (i)
            g_string_append(regex, i == 1 ? "(?P<case>.+)" : "(?P=case)");
        g_string_append(regex, literal);
    }
    g_string_append_c(regex, '$');
    return g_regex_new(regex->str, G_REGEX_DOLLAR_ENDONLY, 0, error);
}

static gboolean parts_walk(const char *folder, char *const *parts, GHashTable *ids,
                           GError **error);

/* The case of each name in @folder that fits the part; it is looked for further down. */
static gboolean part_search(const char *folder, char *const *parts, GHashTable *ids,
                            GError **error)
{
    g_autoptr(GRegex) regex = part_regex(parts[0], error);
    g_auto(GStrv) names = regex ? loom_folder_names(folder, error) : NULL;

    if (!names)
        return FALSE;
    for (char **name = names; *name; name++) {
        g_autoptr(GMatchInfo) match = NULL;
        g_autofree char *below = g_build_filename(folder, *name, NULL);
        g_autoptr(GPtrArray) filled = g_ptr_array_new_with_free_func(g_free);

        if (!g_regex_match(regex, *name, 0, &match)
            || (parts[1] && !g_file_test(below, G_FILE_TEST_IS_DIR)))
            continue;
        g_autofree char *id = g_match_info_fetch_named(match, "case");
        if (!parts[1]) {
            g_hash_table_add(ids, g_steal_pointer(&id));
            continue;
        }
        for (guint i = 1; parts[i]; i++)
            g_ptr_array_add(filled, pattern_fill(parts[i], id, NULL));
        g_ptr_array_add(filled, NULL);
        g_autofree char *rest = g_strjoinv("/", (char **)filled->pdata);
        g_autofree char *file = g_build_filename(below, rest, NULL);
        if (g_file_test(file, G_FILE_TEST_EXISTS))
            g_hash_table_add(ids, g_steal_pointer(&id));
    }
    return TRUE;
}

/* Adds to @ids every case for which the path exists; folders before {case} may be missing. */
static gboolean parts_walk(const char *folder, char *const *parts, GHashTable *ids,
                           GError **error)
{
    g_autofree char *below = NULL;

    if (!g_file_test(folder, G_FILE_TEST_IS_DIR))
        return TRUE;
    if (strstr(parts[0], "{case}"))
        return part_search(folder, parts, ids, error);
    below = g_build_filename(folder, parts[0], NULL);
    return parts_walk(below, parts + 1, ids, error);
}

static gboolean cases_search(const char *folder, const char *pattern, const char *channel,
                             GHashTable *ids, GError **error)
{
    g_autofree char *path = pattern_fill(pattern, NULL, channel);
    g_auto(GStrv) parts = g_strsplit(path, "/", -1);

    return g_strv_length(parts) <= PATTERN_PARTS
               ? parts_walk(folder, parts, ids, error)
               : loom_fail(error, LOOM_ERROR_CONFIG, "images: more than %d folders",
                           PATTERN_PARTS);
}

static void case_fill(LoomFound *found, const char *id, const LoomDataOptions *options)
{
    const guint n = found->whole ? 1 : g_strv_length(found->channel_names);
    LoomCase *one = &loom_found_add(found, id, n)->files;

    for (guint c = 0; c < n; c++) {
        g_autofree char *path = pattern_fill(options->images, id, found->channel_names[c]);

        one->images[c] = g_build_filename(found->folder, path, NULL);
    }
    if (options->labels) {
        g_autofree char *path = pattern_fill(options->labels, id, NULL);

        one->label = g_build_filename(found->folder, path, NULL);
    }
}

static gboolean options_check(const LoomDataOptions *options, gboolean by_channel,
                              GError **error)
{
    if (!options->images)
        return loom_fail(
            error, LOOM_ERROR_CONFIG,
            "layout 'pattern' wants images: \"sub-{case}/sub-{case}_{channel}.nii.gz\"");
    if (by_channel && !options->channels)
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "images has {channel}, so want channels: [NAME, ...]");
    if (options->labels && strstr(options->labels, "{channel}"))
        return loom_fail(error, LOOM_ERROR_CONFIG, "labels: '%s': a label map has no {channel}",
                         options->labels);
    return braces_check(options->images, "images", error)
           && (!options->labels || braces_check(options->labels, "labels", error));
}

static gboolean pattern_read(LoomFound *found, const LoomDataOptions *options, GError **error)
{
    const gboolean by_channel = options->images && strstr(options->images, "{channel}");
    g_autoptr(GHashTable) ids = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    GHashTableIter iter;
    gpointer id;

    if (!options_check(options, by_channel, error))
        return FALSE;
    found->channel_names = options->channels ? g_strdupv(options->channels)
                                             : g_strdupv((char *[]){(char[]){"image"}, NULL});
    found->whole = !by_channel && g_strv_length(found->channel_names) > 1;
    found->unlabelled = !options->labels;
    found->pattern =
        g_strdup_printf("%s%s%s in '%s'", options->images, options->labels ? ", " : "",
                        options->labels ? options->labels : "", found->folder);
    for (guint c = 0; found->channel_names[c] && (by_channel || c < 1); c++)
        if (!cases_search(found->folder, options->images, found->channel_names[c], ids, error))
            return FALSE;
    g_hash_table_iter_init(&iter, ids);
    while (g_hash_table_iter_next(&iter, &id, NULL))
        case_fill(found, id, options);
    return TRUE;
}

const LoomLayoutKind loom_layout_pattern = {"pattern", "the pattern in 'images'", NULL,
                                            pattern_read};
