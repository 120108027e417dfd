/* safetensors_write - a store as a safetensors file. */
#include "safetensors.h"

#include "file_replace.h"

#include <stdlib.h>
#include <string.h>

static void append_string(GString *text, const char *string)
{
    g_assert(g_utf8_validate(string, -1, NULL));
    g_string_append_c(text, '"');
    for (const char *c = string; *c; c++) {
        if (*c == '"' || *c == '\\')
            g_string_append_printf(text, "\\%c", *c);
        else if ((guchar)*c < 0x20)
            g_string_append_printf(text, "\\u%04x", (guint)*c);
        else
            g_string_append_c(text, *c);
    }
    g_string_append_c(text, '"');
}

static int compare_strings(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void append_metadata(GString *text, const LoomStore *store)
{
    guint n;
    g_autofree gpointer *keys = g_hash_table_get_keys_as_array(store->metadata, &n);

    qsort(keys, n, sizeof *keys, compare_strings);
    for (guint i = 0; i < n; i++) {
        const char *key = keys[i];

        if (g_str_equal(key, SAFETENSORS_SHA) || g_str_equal(key, SAFETENSORS_SHA_HEADER))
            continue;
        g_string_append_c(text, ',');
        append_string(text, key);
        g_string_append_c(text, ':');
        append_string(text, g_hash_table_lookup(store->metadata, key));
    }
}

void loom_safetensors_texts(const LoomStore *store, GString *metadata, GString *tensors)
{
    gint64 offset = 0;

    append_metadata(metadata, store);
    for (guint i = 0; i < store->tensors->len; i++) {
        const LoomStoredTensor *tensor = g_ptr_array_index(store->tensors, i);
        const gint64 end = offset + tensor->count * (gint64)sizeof(float);

        g_string_append_c(tensors, ',');
        append_string(tensors, tensor->name);
        g_string_append(tensors, ":{\"dtype\":\"F32\",\"shape\":[");
        for (guint k = 0; k < tensor->rank; k++)
            g_string_append_printf(tensors, "%s%" G_GINT64_FORMAT, k ? "," : "",
                                   tensor->shape[k]);
        g_string_append_printf(
            tensors, "],\"data_offsets\":[%" G_GINT64_FORMAT ",%" G_GINT64_FORMAT "]}", offset,
            end);
        offset = end;
    }
}

char *loom_safetensors_sha(const GString *metadata, const GString *tensors)
{
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);

    g_checksum_update(sum, (const guchar *)metadata->str, (gssize)metadata->len);
    g_checksum_update(sum, (const guchar *)"\n", 1); /* in no JSON text of ours */
    g_checksum_update(sum, (const guchar *)tensors->str, (gssize)tensors->len);
    return g_strdup(g_checksum_get_string(sum));
}

static char *data_sha(const LoomStore *store)
{
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);

    for (guint i = 0; i < store->tensors->len; i++) {
        const LoomStoredTensor *tensor = g_ptr_array_index(store->tensors, i);

        g_checksum_update(sum, (const guchar *)tensor->data,
                          (gssize)tensor->count * (gssize)sizeof(float));
    }
    return g_strdup(g_checksum_get_string(sum));
}

static GString *header_text(const LoomStore *store)
{
    g_autoptr(GString) metadata = g_string_new(NULL), tensors = g_string_new(NULL);
    g_autofree char *data = data_sha(store), *rest = NULL;
    GString *header = g_string_new(NULL);

    loom_safetensors_texts(store, metadata, tensors);
    rest = loom_safetensors_sha(metadata, tensors);
    g_string_append_printf(header, "{\"__metadata__\":{\"%s\":\"%s\",\"%s\":\"%s\"%s}%s}",
                           SAFETENSORS_SHA, data, SAFETENSORS_SHA_HEADER, rest, metadata->str,
                           tensors->str);
    while (header->len % 8) /* so that a reader may map the floats where they lie */
        g_string_append_c(header, ' ');
    return header;
}

gboolean loom_store_write(const LoomStore *store, const char *path, const char *previous,
                          GError **error)
{
    g_autoptr(GString) header = header_text(store);
    g_autoptr(LoomReplacement) replacement = NULL;
    const guint64 length = header->len; /* little endian, see safetensors.h */

    if (length > SAFETENSORS_MAX_HEADER)
        return loom_fail(error, LOOM_ERROR_LIMIT,
                         "'%s': a header of %" G_GUINT64_FORMAT " bytes, want at most %u", path,
                         length, SAFETENSORS_MAX_HEADER);
    replacement = loom_replacement_begin(path, error);
    if (!replacement || !loom_replacement_write(replacement, &length, sizeof length, error)
        || !loom_replacement_write(replacement, header->str, header->len, error))
        return FALSE;
    for (guint i = 0; i < store->tensors->len; i++) {
        const LoomStoredTensor *tensor = g_ptr_array_index(store->tensors, i);

        if (!loom_replacement_write(replacement, tensor->data,
                                    (gsize)tensor->count * sizeof(float), error))
            return FALSE;
    }
    return loom_replacement_commit(replacement, previous, error);
}
