/* safetensors_parse - the header of a safetensors file.
 *
 * Its JSON has a fixed shape: an object of objects with three keys each.  This reads that and
 * nothing else, without recursion, so no nesting, number or repeated key can surprise. */
#include "safetensors.h"

#include <string.h>

typedef struct {
    const char *begin, *at, *end;
    LoomStore *store;
    GArray *entries;   /* LoomSafetensorsEntry */
    GHashTable *names; /* char * of store->tensors: names so far */
    gboolean metadata; /* "__metadata__" has been there */
} Scan;

static gboolean scan_fail(const Scan *scan, GError **error, const char *wanted)
{
    return loom_fail(error, LOOM_ERROR_FORMAT,
                     "byte %" G_GSIZE_FORMAT " of the header: want %s",
                     (gsize)(scan->at - scan->begin), wanted);
}

static void skip_space(Scan *scan)
{
    while (scan->at < scan->end && strchr(" \t\r\n", *scan->at) && *scan->at)
        scan->at++;
}

/* Is @c next?  Then it is taken. */
static gboolean take(Scan *scan, char c)
{
    skip_space(scan);
    if (scan->at == scan->end || *scan->at != c)
        return FALSE;
    scan->at++;
    return TRUE;
}

/* Four hexadecimal digits; -1: they are none. */
static gint32 take_hex(Scan *scan)
{
    gint32 value = 0;

    for (guint i = 0; i < 4; i++, scan->at++) {
        if (scan->at == scan->end || !g_ascii_isxdigit(*scan->at))
            return -1;
        value = value * 16 + g_ascii_xdigit_value(*scan->at);
    }
    return value;
}

/* Behind a backslash. */
static gboolean take_escape(Scan *scan, GString *text, GError **error)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char c = scan->at < scan->end ? *scan->at++ : '\0';
    const char *known = c ? strchr(from, c) : NULL;
    gint32 code;

    if (known) {
        g_string_append_c(text, to[known - from]);
        return TRUE;
    }
    if (c != 'u' || (code = take_hex(scan)) < 0)
        return scan_fail(scan, error, "an escape sequence of JSON");
    if (code >= 0xd800 && code < 0xdc00) { /* the first half of a pair */
        if (scan->end - scan->at < 2 || scan->at[0] != '\\' || scan->at[1] != 'u')
            return scan_fail(scan, error, "the second half of a surrogate pair");
        scan->at += 2;
        const gint32 low = take_hex(scan);
        if (low < 0xdc00 || low > 0xdfff)
            return scan_fail(scan, error, "the second half of a surrogate pair");
        code = 0x10000 + (code - 0xd800) * 0x400 + (low - 0xdc00);
    } else if (code == 0 || (code >= 0xdc00 && code < 0xe000)) {
        return scan_fail(scan, error, "a character that is not NUL and no half of a pair");
    }
    g_string_append_unichar(text, (gunichar)code);
    return TRUE;
}

/* Returns: (transfer full): NULL with the error. */
static char *scan_string(Scan *scan, GError **error)
{
    g_autoptr(GString) text = g_string_new(NULL);

    if (!take(scan, '"')) {
        scan_fail(scan, error, "a string");
        return NULL;
    }
    while (scan->at < scan->end && *scan->at != '"') {
        const char c = *scan->at++;

        if ((guchar)c < 0x20) {
            scan_fail(scan, error, "no control characters in a string");
            return NULL;
        }
        if (c != '\\')
            g_string_append_c(text, c);
        else if (!take_escape(scan, text, error))
            return NULL;
    }
    if (!take(scan, '"')) {
        scan_fail(scan, error, "the end of a string");
        return NULL;
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

static gboolean scan_number(Scan *scan, guint64 *value, GError **error)
{
    skip_space(scan);
    const char *first = scan->at;

    *value = 0;
    while (scan->at < scan->end && g_ascii_isdigit(*scan->at)) {
        if (!g_uint64_checked_mul(value, *value, 10)
            || !g_uint64_checked_add(value, *value, (guint64)(*scan->at - '0')))
            return scan_fail(scan, error, "a number below 2^64");
        scan->at++;
    }
    if (scan->at == first || (*first == '0' && scan->at - first > 1))
        return scan_fail(scan, error, "a whole number");
    return TRUE;
}

/* [1, 2, 3]: at most @room. */
static gboolean scan_numbers(Scan *scan, guint64 *values, guint room, guint *n, GError **error)
{
    *n = 0;
    if (!take(scan, '['))
        return scan_fail(scan, error, "'['");
    if (take(scan, ']'))
        return TRUE;
    do {
        if (*n == room)
            return loom_fail(error, LOOM_ERROR_FORMAT, "more than %u numbers", room);
        if (!scan_number(scan, &values[*n], error))
            return FALSE;
        *n += 1;
    } while (take(scan, ','));
    return take(scan, ']') || scan_fail(scan, error, "',' or ']'");
}

/* A key of a tensor's object and its value.  @seen: one bit a key. */
static gboolean scan_property(Scan *scan, LoomSafetensorsEntry *entry, guint *seen,
                              GError **error)
{
    static const char *const known[] = {"dtype", "shape", "data_offsets", NULL};
    g_autofree char *key = scan_string(scan, error), *dtype = NULL;
    guint64 numbers[G_N_ELEMENTS(entry->tensor->shape)] = {0};
    guint which = 0, n;

    if (!key)
        return FALSE;
    while (known[which] && !g_str_equal(known[which], key))
        which++;
    if (!known[which])
        return loom_fail(error, LOOM_ERROR_FORMAT, "unknown key '%s'", key);
    if (*seen & (1u << which))
        return loom_fail(error, LOOM_ERROR_FORMAT, "'%s' stands there twice", key);
    *seen |= 1u << which;
    if (!take(scan, ':'))
        return scan_fail(scan, error, "':'");
    if (which == 0) {
        if (!(dtype = scan_string(scan, error)))
            return FALSE;
        return g_str_equal(dtype, "F32")
               || loom_fail(error, LOOM_ERROR_FORMAT, "dtype is '%s', want 'F32'", dtype);
    }
    if (!scan_numbers(scan, numbers, which == 1 ? G_N_ELEMENTS(numbers) : 2, &n, error)) {
        g_prefix_error(error, "%s: ", key);
        return FALSE;
    }
    if (which == 2) {
        entry->begin = numbers[0];
        entry->end = n == 2 ? numbers[1] : 0;
        return n == 2 || loom_fail(error, LOOM_ERROR_FORMAT, "%u data_offsets, want 2", n);
    }
    entry->tensor->rank = n;
    for (guint i = 0; i < n; i++)
        entry->tensor->shape[i] = (gint64)MIN(numbers[i], (guint64)G_MAXINT64);
    return TRUE;
}

/* Do shape and offsets say the same? */
static gboolean entry_check(LoomSafetensorsEntry *entry, GError **error)
{
    guint64 count = 1, bytes;

    for (guint i = 0; i < entry->tensor->rank; i++) {
        if (entry->tensor->shape[i] == 0)
            return loom_fail(error, LOOM_ERROR_FORMAT, "size 0, want at least 1");
        if (!g_uint64_checked_mul(&count, count, (guint64)entry->tensor->shape[i]))
            return loom_fail(error, LOOM_ERROR_FORMAT, "the product of its sizes overflows");
    }
    if (!g_uint64_checked_mul(&bytes, count, sizeof(float)) || bytes > SAFETENSORS_MAX_DATA)
        return loom_fail(error, LOOM_ERROR_FORMAT, "more than 64 GiB, or sizes that overflow");
    if (entry->end < entry->begin || entry->end - entry->begin != bytes)
        return loom_fail(error, LOOM_ERROR_FORMAT,
                         "offsets %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT
                         " for a shape of %" G_GUINT64_FORMAT " bytes",
                         entry->begin, entry->end, bytes);
    entry->tensor->count = (gint64)count;
    return TRUE;
}

static gboolean scan_tensor(Scan *scan, LoomSafetensorsEntry *entry, GError **error)
{
    guint seen = 0;

    if (!take(scan, '{'))
        return scan_fail(scan, error, "'{'");
    do {
        if (!scan_property(scan, entry, &seen, error))
            return FALSE;
    } while (take(scan, ','));
    if (!take(scan, '}'))
        return scan_fail(scan, error, "',' or '}'");
    if (seen != 7)
        return loom_fail(error, LOOM_ERROR_FORMAT, "'%s' is missing",
                         !(seen & 1)   ? "dtype"
                         : !(seen & 2) ? "shape"
                                       : "data_offsets");
    return entry_check(entry, error);
}

static gboolean scan_metadata(Scan *scan, GError **error)
{
    if (scan->metadata)
        return loom_fail(error, LOOM_ERROR_FORMAT, "stands there twice");
    scan->metadata = TRUE;
    if (!take(scan, '{'))
        return scan_fail(scan, error, "'{'");
    if (take(scan, '}'))
        return TRUE;
    do {
        g_autofree char *key = scan_string(scan, error), *value = NULL;

        if (!key)
            return FALSE;
        if (!take(scan, ':'))
            return scan_fail(scan, error, "':'");
        if (!(value = scan_string(scan, error)))
            return FALSE;
        if (g_hash_table_contains(scan->store->metadata, key))
            return loom_fail(error, LOOM_ERROR_FORMAT, "'%s' stands there twice", key);
        g_hash_table_insert(scan->store->metadata, g_steal_pointer(&key),
                            g_steal_pointer(&value));
    } while (take(scan, ','));
    return take(scan, '}') || scan_fail(scan, error, "',' or '}'");
}

/* A name and what stands behind it. */
static gboolean scan_member(Scan *scan, GError **error)
{
    g_autofree char *name = scan_string(scan, error);
    LoomSafetensorsEntry entry = {0};
    gboolean good;

    if (!name)
        return FALSE;
    if (!take(scan, ':'))
        return scan_fail(scan, error, "':'");
    if (g_str_equal(name, "__metadata__")) {
        good = scan_metadata(scan, error);
    } else if (g_hash_table_contains(scan->names, name)) {
        good = loom_fail(error, LOOM_ERROR_FORMAT, "stands there twice");
    } else {
        entry.tensor = g_new0(LoomStoredTensor, 1);
        entry.tensor->name = g_strdup(name);
        g_ptr_array_add(scan->store->tensors, entry.tensor);
        g_hash_table_add(scan->names, entry.tensor->name);
        good = scan_tensor(scan, &entry, error);
        g_array_append_val(scan->entries, entry);
    }
    if (!good)
        g_prefix_error(error, "'%s': ", name);
    return good;
}

static gboolean scan_header(Scan *scan, GError **error)
{
    if (scan->at == scan->end || *scan->at++ != '{')
        return loom_fail(error, LOOM_ERROR_FORMAT, "the header does not begin with '{'");
    if (!take(scan, '}')) {
        do {
            if (!scan_member(scan, error))
                return FALSE;
        } while (take(scan, ','));
        if (!take(scan, '}'))
            return scan_fail(scan, error, "',' or '}'");
    }
    skip_space(scan);
    return scan->at == scan->end || scan_fail(scan, error, "nothing behind the last '}'");
}

static gint compare_offsets(gconstpointer a, gconstpointer b)
{
    const LoomSafetensorsEntry *x = a, *y = b;

    return x->begin < y->begin ? -1 : x->begin > y->begin;
}

static gboolean check_contiguous(GArray *entries, GError **error)
{
    guint64 end = 0;

    g_array_sort(entries, compare_offsets);
    for (guint i = 0; i < entries->len; i++) {
        const LoomSafetensorsEntry *entry = &g_array_index(entries, LoomSafetensorsEntry, i);

        if (entry->begin != end)
            return loom_fail(error, LOOM_ERROR_FORMAT,
                             "'%s': begins at %" G_GUINT64_FORMAT ", %s the tensor before it, "
                             "which ends at %" G_GUINT64_FORMAT,
                             entry->tensor->name, entry->begin,
                             entry->begin < end ? "inside" : "with a hole behind", end);
        end = entry->end;
    }
    return TRUE;
}

GArray *loom_safetensors_parse(LoomStore *store, const char *header, gsize length,
                               GError **error)
{
    g_autoptr(GArray) entries = g_array_new(FALSE, FALSE, sizeof(LoomSafetensorsEntry));
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);
    Scan scan = {header, header, header + length, store, entries, names, FALSE};

    if (!g_utf8_validate_len(header, length, NULL))
        return loom_fail_null(error, LOOM_ERROR_FORMAT, "the header is not UTF-8");
    if (!scan_header(&scan, error) || !check_contiguous(entries, error))
        return NULL;
    return g_steal_pointer(&entries);
}
