/* Weights on disk: what is written reads back, what is broken is refused by a named reason. */
#include "loom_test.h"

#include <loom/store.h>

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A folder for one test, removed with all in it. */
typedef struct {
    char *folder, *path;
} Place;

static void place_open(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    place->folder = loom_test_folder();
    place->path = g_build_filename(place->folder, "w.safetensors", NULL);
}

static void place_close(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    loom_test_folder_remove(place->folder);
    g_free(place->folder);
    g_free(place->path);
}

/* g_assert_cmpmem does not compile with -Wconversion. */
static void assert_same(gconstpointer a, gsize a_length, gconstpointer b, gsize b_length)
{
    g_assert_cmpuint(a_length, ==, b_length);
    g_assert_true(memcmp(a, b, a_length) == 0);
}

/* Three tensors; @first tells stores apart. */
static LoomStore *example(float first)
{
    static const float rest[] = {0.0f, -0.0f, 1e-45f, 3.4028235e38f, -1.5f};
    LoomStore *store = loom_store_new();
    float *data = g_new(float, 6);

    data[0] = first;
    memcpy(data + 1, rest, sizeof rest);
    loom_store_add(store, "value/encoder.0.kernel", 5, (const gint64[]){1, 2, 3, 1, 1}, data);
    loom_store_add(store, "scale \"\\\n\302\265", 1, (const gint64[]){1},
                   g_memdup2(&first, sizeof first));
    loom_store_add(store, "scalar", 0, NULL, g_memdup2(&first, sizeof first));
    g_hash_table_insert(store->metadata, g_strdup("step"), g_strdup("300"));
    g_hash_table_insert(store->metadata, g_strdup("model"), g_strdup("s\"e\\g\t"));
    return store;
}

static void write_example(const char *path)
{
    g_autoptr(LoomStore) store = example(1.0f);
    g_autoptr(GError) error = NULL;

    loom_store_write(store, path, NULL, &error);
    g_assert_no_error(error);
}

static void test_round_trip(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(LoomStore) store = example(2.5f), back = NULL;
    g_autoptr(GError) error = NULL;

    g_assert_true(loom_store_write(store, place->path, NULL, &error));
    back = loom_store_read(place->path, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(back->tensors->len, ==, 3);
    for (guint i = 0; i < 3; i++) {
        const LoomStoredTensor *a = g_ptr_array_index(store->tensors, i);
        const LoomStoredTensor *b = loom_store_find(back, a->name);

        g_assert_nonnull(b);
        g_assert_cmpuint(b->rank, ==, a->rank);
        g_assert_cmpint(b->count, ==, a->count);
        assert_same(b->shape, sizeof b->shape, a->shape, sizeof a->shape);
        assert_same(b->data, (gsize)b->count * 4, a->data, (gsize)a->count * 4);
    }
    g_assert_cmpstr(g_hash_table_lookup(back->metadata, "step"), ==, "300");
    g_assert_cmpstr(g_hash_table_lookup(back->metadata, "model"), ==, "s\"e\\g\t");
    g_assert_nonnull(g_hash_table_lookup(back->metadata, "sha256"));
    g_assert_null(loom_store_find(back, "value"));
    g_assert_cmpuint(loom_test_folder_count(place->folder), ==, 1);

    /* what was read can be written again, to the same bytes */
    g_autofree char *once = NULL, *again = NULL;
    gsize once_length, again_length;
    g_assert_true(g_file_get_contents(place->path, &once, &once_length, NULL));
    g_assert_true(loom_store_write(back, place->path, NULL, NULL));
    g_assert_true(g_file_get_contents(place->path, &again, &again_length, NULL));
    assert_same(once, once_length, again, again_length);
}

/* The layout, byte by byte, as the format's page describes it: not through our own reader. */
static void test_layout(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(LoomStore) store = loom_store_new();
    g_autofree char *bytes = NULL;
    const float values[] = {1.0f, -2.0f};
    const guint8 expected[] = {0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0}; /* IEEE 754, little endian */
    guint64 header = 0;
    gsize length;

    loom_store_add(store, "w", 2, (const gint64[]){2, 1}, g_memdup2(values, sizeof values));
    g_assert_true(loom_store_write(store, place->path, NULL, NULL));
    g_assert_true(g_file_get_contents(place->path, &bytes, &length, NULL));
    for (guint i = 0; i < 8; i++)
        header |= (guint64)(guint8)bytes[i] << (8 * i);
    g_assert_cmpuint(length, ==, 8 + header + sizeof values);
    g_assert_cmpuint(header % 8, ==, 0);
    g_assert_cmpint(bytes[8], ==, '{');
    g_assert_nonnull(
        g_strstr_len(bytes + 8, (gssize)header,
                     ",\"w\":{\"dtype\":\"F32\",\"shape\":[2,1],\"data_offsets\":[0,8]}}"));
    assert_same(bytes + 8 + header, 8, expected, 8);

    g_autofree char *sha = g_compute_checksum_for_data(G_CHECKSUM_SHA256, expected, 8);
    g_autofree char *promise = g_strdup_printf("\"sha256\":\"%s\"", sha);
    g_assert_nonnull(g_strstr_len(bytes + 8, (gssize)header, promise));
}

/* ---- attacks ------------------------------------------------------------------------ */

typedef struct {
    const char *name, *header; /* NULL header: see below */
    gsize data;                /* zero bytes behind it */
    const char *reason;        /* part of the message */
} Attack;

#define W(rest) "{\"w\":{" rest "}}"
#define SHAPED(shape, offsets)                                                                 \
    W("\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":" offsets)
#define NAMED(name, offsets)                                                                   \
    "\"" name "\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":" offsets "}"

static const Attack attacks[] = {
    {"nothing", "", 0, "does not begin with '{'"},
    {"array", "[]", 0, "does not begin with '{'"},
    {"space first", " {}", 0, "does not begin with '{'"},
    {"byte order mark", "\xef\xbb\xbf{}", 0, "does not begin with '{'"},
    {"open object", "{", 0, "want a string"},
    {"open name", "{\"w", 0, "want the end of a string"},
    {"name alone", "{\"w\"}", 0, "want ':'"},
    {"comma at the end", "{" NAMED("w", "[0,4]") ",}", 4, "want a string"},
    {"no comma", "{" NAMED("w", "[0,4]") NAMED("v", "[4,8]") "}", 8, "want ',' or '}'"},
    {"text behind", "{} x", 0, "want nothing behind"},
    {"second object", "{}{}", 0, "want nothing behind"},
    {"number for a name", "{1:2}", 0, "want a string"},
    {"number for a tensor", "{\"w\":1}", 0, "'w': byte 5 of the header: want '{'"},
    {"not UTF-8", "{\"\xff\":1}", 0, "not UTF-8"},
    {"control character", "{\"a\nb\":1}", 0, "control characters"},
    {"bad escape", "{\"\\x\":1}", 0, "escape sequence"},
    {"bad hex", "{\"\\u00g0\":1}", 0, "escape sequence"},
    {"NUL in a name", "{\"w\\u0000\":1}", 0, "not NUL"},
    {"half a pair", "{\"\\ud800\":1}", 0, "surrogate"},
    {"second half first", "{\"\\udc00\":1}", 0, "half of a pair"},
    {"pair of two firsts", "{\"\\ud800\\ud800\":1}", 0, "surrogate"},
    {"empty tensor object", W(""), 0, "want a string"},
    {"no dtype", W("\"shape\":[1],\"data_offsets\":[0,4]"), 4, "'dtype' is missing"},
    {"no shape", W("\"dtype\":\"F32\",\"data_offsets\":[0,4]"), 4, "'shape' is missing"},
    {"no offsets", W("\"dtype\":\"F32\",\"shape\":[1]"), 4, "'data_offsets' is missing"},
    {"F16", W("\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[0,4]"), 4,
     "'w': dtype is 'F16', want 'F32'"},
    {"dtype a number", W("\"dtype\":32"), 0, "want a string"},
    {"unknown key", W("\"type\":\"F32\""), 0, "unknown key 'type'"},
    {"key twice", W("\"dtype\":\"F32\",\"dtype\":\"F32\""), 0, "'dtype' stands there twice"},
    {"name twice", "{" NAMED("w", "[0,4]") "," NAMED("w", "[4,8]") "}", 8,
     "'w': stands there twice"},
    {"name twice, spelt otherwise", "{" NAMED("w", "[0,4]") "," NAMED("\\u0077", "[4,8]") "}",
     8, "'w': stands there twice"},
    {"negative size", SHAPED("[-1]", "[0,4]"), 4, "want a whole number"},
    {"fraction", SHAPED("[1.0]", "[0,4]"), 4, "want ',' or ']'"},
    {"exponent", SHAPED("[1e0]", "[0,4]"), 4, "want ',' or ']'"},
    {"leading zero", SHAPED("[01]", "[0,4]"), 4, "want a whole number"},
    {"size 0", SHAPED("[0]", "[0,0]"), 0, "size 0"},
    {"2^64", SHAPED("[18446744073709551616]", "[0,4]"), 4, "below 2^64"},
    {"2^64 - 1", SHAPED("[18446744073709551615]", "[0,4]"), 4, "overflow"},
    {"product overflows", SHAPED("[4294967296,4294967296]", "[0,4]"), 4, "overflows"},
    {"product wraps to 4 bytes", SHAPED("[4611686018427387905]", "[0,4]"), 4, "overflow"},
    {"100 TiB", SHAPED("[27487790694400]", "[0,109951162777600]"), 4, "more than 64 GiB"},
    {"six axes", SHAPED("[1,1,1,1,1,1]", "[0,4]"), 4, "shape: more than 5 numbers"},
    {"shape nested", SHAPED("[[1]]", "[0,4]"), 4, "want a whole number"},
    {"shape not closed", SHAPED("[1", "[0,4]"), 4, "want a whole number"},
    {"no offset", SHAPED("[1]", "[]"), 4, "0 data_offsets, want 2"},
    {"one offset", SHAPED("[1]", "[0]"), 4, "1 data_offsets, want 2"},
    {"three offsets", SHAPED("[1]", "[0,4,8]"), 4, "more than 2 numbers"},
    {"offsets reversed", SHAPED("[1]", "[4,0]"), 4, "offsets 4 to 0"},
    {"offsets too near", SHAPED("[2]", "[0,4]"), 4, "for a shape of 8 bytes"},
    {"offsets too far", SHAPED("[1]", "[0,8]"), 8, "for a shape of 4 bytes"},
    {"hole in front", SHAPED("[1]", "[4,8]"), 8, "with a hole behind"},
    {"hole between", "{" NAMED("w", "[0,4]") "," NAMED("v", "[8,12]") "}", 12,
     "with a hole behind"},
    {"overlap", "{" NAMED("w", "[0,4]") "," NAMED("v", "[2,6]") "}", 6, "inside the tensor"},
    {"same place", "{" NAMED("w", "[0,4]") "," NAMED("v", "[0,4]") "}", 4, "inside the tensor"},
    {"data too short", "{" NAMED("w", "[0,4]") "}", 3, "4 bytes of tensors in the header, 3"},
    {"data too long", "{" NAMED("w", "[0,4]") "}", 5, "4 bytes of tensors in the header, 5"},
    {"data without tensors", "{}", 1, "0 bytes of tensors in the header, 1"},
    {"metadata a string", "{\"__metadata__\":\"x\"}", 0, "'__metadata__': byte"},
    {"metadata with a number", "{\"__metadata__\":{\"step\":1}}", 0, "want a string"},
    {"metadata key twice", "{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}", 0,
     "'a' stands there twice"},
    {"metadata twice", "{\"__metadata__\":{},\"__metadata__\":{}}", 0,
     "'__metadata__': stands there twice"},
    {"one hash only", "{\"__metadata__\":{\"sha256\":\"0\"}}", 0, "no 'sha256_header'"},
    {"hash of nothing", "{\"__metadata__\":{\"sha256\":\"0\",\"sha256_header\":\"0\"}}", 0,
     "damaged"},
};

/* Writes length, header, zeros; reads; expects the reason. */
static void refused(const char *path, const char *name, guint64 length, const char *header,
                    gsize data, const char *reason)
{
    g_autoptr(GString) file = g_string_new(NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(LoomStore) store = NULL;

    g_string_append_len(file, (const char *)&length, sizeof length);
    g_string_append(file, header);
    for (gsize i = 0; i < data; i++)
        g_string_append_c(file, '\0');
    g_assert_true(g_file_set_contents(path, file->str, (gssize)file->len, NULL));
    store = loom_store_read(path, &error);
    if (store || !error)
        g_error("attack '%s' was accepted", name);
    if (!strstr(error->message, reason) || !g_str_has_prefix(error->message + 1, path))
        g_error("attack '%s': want '%s' in \"%s\"", name, reason, error->message);
    g_assert_true(error->domain == LOOM_ERROR);
}

static void test_attacks(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    for (guint i = 0; i < G_N_ELEMENTS(attacks); i++)
        refused(place->path, attacks[i].name, strlen(attacks[i].header), attacks[i].header,
                attacks[i].data, attacks[i].reason);
    g_assert_cmpuint(G_N_ELEMENTS(attacks), >=, 40);

    refused(place->path, "header past the end", 3, "{}", 0, "a header of 3 bytes in a file of");
    refused(place->path, "header of 2^64 - 1", G_MAXUINT64, "{}", 0, "want at most 8388608");
    refused(place->path, "header of 8 MiB + 1", (8u << 20) + 1, "{}", 0,
            "want at most 8388608");
    refused(place->path, "header length cuts", 1, "{}", 0, "want a string");
}

/* The deepest nesting that fits: a reader with recursion would lose its stack. */
static void test_nesting(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    const gsize length = 8u << 20;
    g_autofree char *header = g_malloc(length + 1);

    memset(header, '[', length);
    memcpy(header, "{\"w\":", 5);
    header[length] = '\0';
    refused(place->path, "8 MiB of '['", length, header, 0, "want '{'");
}

static void test_no_file(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    static const struct {
        const char *bytes;
        gsize length;
    } shorts[] = {{"", 0}, {"\1\0\0\0\0\0\0", 7}};
    g_autoptr(GError) error = NULL;

    g_assert_null(loom_store_read(place->path, &error));
    g_assert_error(error, LOOM_ERROR, LOOM_ERROR_IO);
    g_assert_nonnull(strstr(error->message, "No such file"));
    for (guint i = 0; i < G_N_ELEMENTS(shorts); i++) {
        g_clear_error(&error);
        g_assert_true(
            g_file_set_contents(place->path, shorts[i].bytes, (gssize)shorts[i].length, NULL));
        g_assert_null(loom_store_read(place->path, &error));
        g_assert_nonnull(strstr(error->message, "too short for a header"));
    }
    g_clear_error(&error);
    g_assert_null(loom_store_read(place->folder, &error));
    g_assert_nonnull(strstr(error->message, "not a regular file"));
    g_clear_error(&error);
    g_unlink(place->path);
    g_assert_cmpint(mkfifo(place->path, 0600), ==, 0);
    g_assert_null(loom_store_read(place->path, &error)); /* and does not wait for a writer */
    g_assert_nonnull(strstr(error->message, "not a regular file"));
}

/* Every single bit of a file of ours, turned over: refused, or the same JSON spelt otherwise
 * ("\u000A" for "\u000a"). */
static void test_each_bit(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    g_autofree char *bytes = NULL;
    gsize length;
    guint accepted = 0;

    write_example(place->path);
    g_assert_true(g_file_get_contents(place->path, &bytes, &length, NULL));
    for (gsize i = 0; i < length * 8; i++) {
        g_autoptr(LoomStore) store = NULL;
        FILE *file = g_fopen(place->path, "wb"); /* plain: g_file_set_contents syncs */

        bytes[i / 8] = (char)(bytes[i / 8] ^ (1 << (i % 8)));
        g_assert_nonnull(file);
        g_assert_cmpuint(fwrite(bytes, 1, length, file), ==, length);
        fclose(file);
        store = loom_store_read(place->path, NULL);
        bytes[i / 8] = (char)(bytes[i / 8] ^ (1 << (i % 8)));
        if (!store)
            continue;
        g_autofree char *again = NULL;
        gsize again_length;
        g_assert_true(loom_store_write(store, place->path, NULL, NULL));
        g_assert_true(g_file_get_contents(place->path, &again, &again_length, NULL));
        assert_same(bytes, length, again, again_length);
        accepted++;
    }
    g_assert_cmpuint(accepted, ==, 1); /* the a of the line end in a name */
}

/* Every shorter file. */
static void test_each_length(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    struct stat status;

    write_example(place->path);
    g_assert_cmpint(stat(place->path, &status), ==, 0);
    for (off_t length = status.st_size - 1; length >= 0; length--) {
        g_autoptr(GError) error = NULL;

        g_assert_cmpint(truncate(place->path, length), ==, 0);
        g_assert_null(loom_store_read(place->path, &error));
        g_assert_error(error, LOOM_ERROR, LOOM_ERROR_FORMAT);
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*test)(Place *, gconstpointer);
    } tests[] = {
        {"round-trip", test_round_trip},   {"layout", test_layout},
        {"attacks", test_attacks},         {"nesting", test_nesting},
        {"no-file", test_no_file},         {"each-bit", test_each_bit},
        {"each-length", test_each_length},
    };

    g_test_init(&argc, &argv, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_autofree char *path = g_strdup_printf("/store/%s", tests[i].name);

        g_test_add(path, Place, NULL, place_open, tests[i].test, place_close);
    }
    return loom_test_run();
}
