/* loom/cache.h: what was put comes back, bit for bit; what is damaged does not; the folder
 * stays within its limit; several may fill it at once. */
#include "logged.h"
#include "loom_test.h"

#include "core/packet.h"

#include <loom/cache.h>

#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <utime.h>

#define MIB 1048576

static const char key[] = "00ff";

/* An image of 2 x 3 x 4 x 5, a label, counts of it, a truth on another grid. */
static LoomPacket *packet_make(guint64 seed)
{
    static const double mm[3] = {0.5, 1, 2};
    LoomPacket *packet = loom_packet_new();
    LoomGeometry native, moved;

    loom_geometry_plain(&native, (const gint64[]){7, 6, 5}, mm);
    loom_geometry_plain(&moved, (const gint64[]){5, 4, 3}, mm);
    moved.affine[2][3] = 12.5;
    loom_packet_set(packet, "image", loom_test_random("CDHW", SHAPE(2, 3, 4, 5), seed, -1, 1));
    loom_packet_set(packet, "label", loom_test_random_labels("DHW", SHAPE(3, 4, 5), seed, 3));
    loom_packet_set(packet, "label.counts", loom_test_random("DK", SHAPE(3, 3), seed, 0, 9));
    loom_packet_set(packet, "truth", loom_test_random_labels("DHW", SHAPE(5, 6, 7), seed, 3));
    loom_packet_set_id(packet, "case_7");
    loom_packet_set_geometry(packet, &native);
    loom_packet_regrid(packet, &moved);
    return packet;
}

static void assert_same(const LoomPacket *a, const LoomPacket *b)
{
    static const char *const slots[] = {"image", "label", "label.counts", "truth"};

    for (guint i = 0; i < G_N_ELEMENTS(slots); i++)
        g_assert_true(
            loom_test_equal(loom_packet_get(a, slots[i]), loom_packet_get(b, slots[i])));
    g_assert_cmpstr(loom_packet_id(a), ==, loom_packet_id(b));
    g_assert_true(memcmp(loom_packet_geometry(a)->affine, loom_packet_geometry(b)->affine,
                         sizeof loom_packet_geometry(a)->affine)
                  == 0);
    g_assert_cmpint(loom_packet_native(a)->size[0], ==, loom_packet_native(b)->size[0]);
}

static void put(LoomCache *cache, const char *under, const LoomPacket *packet)
{
    g_autoptr(GError) error = NULL;

    g_assert_true(loom_cache_put(cache, under, packet, &error));
    g_assert_no_error(error);
}

static void test_round(void)
{
    g_autofree char *folder = loom_test_folder();
    g_autofree char *deep = g_build_filename(folder, "a", "b", NULL);
    g_autoptr(LoomCache) cache = loom_cache_new(deep, MIB);
    g_autoptr(LoomPacket) packet = packet_make(3), other = packet_make(4);

    g_assert_null(loom_cache_get(cache, key));
    g_assert_false(g_file_test(deep, G_FILE_TEST_EXISTS));
    put(cache, key, packet);
    for (guint i = 0; i < 2; i++) {
        g_autoptr(LoomPacket) found = loom_cache_get(cache, key);

        g_assert_nonnull(found);
        assert_same(found, packet);
        /* in the file, so nobody writes there: an edit is a copy */
        const LoomTensor *before = loom_packet_get(found, "image");
        g_assert_true(loom_packet_edit(found, "image", NULL) != before);
        put(cache, "0a", other);
    }
    put(cache, key, other); /* replaced while it may be mapped */
    g_autoptr(LoomPacket) found = loom_cache_get(cache, key);
    assert_same(found, other);
    g_assert_cmpuint(loom_test_folder_count(deep), ==, 2);
    loom_test_folder_remove(folder);
}

/* Not g_file_set_contents: thousands of files, none worth a sync. */
static void bytes_write(const char *path, const char *bytes, gsize length)
{
    g_unlink(path); /* some file systems sync what is written over */
    FILE *file = fopen(path, "w");

    g_assert_nonnull(file);
    g_assert_cmpuint(fwrite(bytes, 1, length, file), ==, length);
    g_assert_cmpint(fclose(file), ==, 0);
}

/* Each byte wrong, each length: never a packet, never a crash; then it is made anew. */
static void test_damage(void)
{
    g_autofree char *folder = loom_test_folder();
    g_autofree char *path = g_build_filename(folder, "00ff.case", NULL), *bytes = NULL;
    g_autoptr(LoomPacket) packet = packet_make(3);
    gsize length;

    {
        g_autoptr(LoomCache) cache = loom_cache_new(folder, MIB);
        put(cache, key, packet);
    }
    g_assert_true(g_file_get_contents(path, &bytes, &length, NULL));
    for (gsize at = 0; at < 2 * length; at++) {
        g_autoptr(LoomCache) cache = loom_cache_new(folder, MIB);
        const gboolean cut = at >= length;

        if (!cut)
            bytes[at] = (char)(bytes[at] ^ 0x40);
        bytes_write(path, bytes, cut ? at - length : length);
        if (!cut)
            bytes[at] = (char)(bytes[at] ^ 0x40);
        g_autoptr(LoomPacket) found = loom_cache_get(cache, key);
        if (found) /* zeros between two tensors, which nobody reads */
            assert_same(found, packet);
        g_assert_true(!found || !cut);
    }
    g_assert_true(logged_has("is not used and made anew: its tensors are damaged"));
    g_assert_true(logged_has("its header is damaged"));
    g_assert_true(logged_has("it is no file of version 1 of this cache"));
    g_assert_true(logged_has("it ends after "));
    logged_clear();
    g_autoptr(LoomCache) cache = loom_cache_new(folder, MIB);
    put(cache, key, packet);
    g_autoptr(LoomPacket) again = loom_cache_get(cache, key);
    assert_same(again, packet);
    loom_test_folder_remove(folder);
}

static guint64 bytes_of(const char *path)
{
    GStatBuf status;

    g_assert_cmpint(g_stat(path, &status), ==, 0);
    return (guint64)status.st_size;
}

static void use_at(const char *path, gint64 seconds)
{
    const struct utimbuf times = {seconds, seconds};

    g_assert_cmpint(utime(path, &times), ==, 0);
}

/* Two fit, byte by byte.  Of this run's own none goes for a third, which is warned of once; in
 * a later run the one goes that was not used for longest. */
static void test_limit(void)
{
    g_autofree char *folder = loom_test_folder();
    g_autofree char *first = g_build_filename(folder, "01.case", NULL);
    g_autofree char *second = g_build_filename(folder, "02.case", NULL);
    g_autofree char *third = g_build_filename(folder, "03.case", NULL);
    g_autoptr(LoomPacket) packet = packet_make(3);
    guint64 limit = MIB;

    for (guint run = 0; run < 3; run++) {
        g_autoptr(LoomCache) cache = loom_cache_new(folder, limit);

        put(cache, "01", packet);
        limit = 2 * bytes_of(first);
        if (run == 0)
            continue;
        put(cache, "02", packet);
        put(cache, "02", packet); /* its own place counts as free */
        g_assert_false(logged_has("is full"));
        put(cache, "03", packet);
        g_assert_false(g_file_test(third, G_FILE_TEST_EXISTS));
        g_assert_true(logged_has("is full (limit: "));
        logged_clear();
        put(cache, "04", packet);
        g_assert_false(logged_has("is full"));
    }
    use_at(first, 2000);
    use_at(second, 1000);
    g_autoptr(LoomCache) later = loom_cache_new(folder, limit);
    put(later, "03", packet);
    g_assert_true(g_file_test(first, G_FILE_TEST_EXISTS));
    g_assert_false(g_file_test(second, G_FILE_TEST_EXISTS));
    g_assert_true(g_file_test(third, G_FILE_TEST_EXISTS));
    logged_clear();
    loom_test_folder_remove(folder);
}

static void test_errors(void)
{
    g_autoptr(LoomCache) cache = loom_cache_new("/dev/null/cache", MIB);
    g_autoptr(LoomPacket) packet = packet_make(3);
    g_autoptr(GError) error = NULL;

    g_assert_null(loom_cache_get(cache, key));
    loom_assert_failed(loom_cache_put(cache, key, packet, &error), error, LOOM_ERROR,
                       LOOM_ERROR_IO, "'/dev/null/cache': cannot make the folder of the cache");
}

/* ---- several at once ---------------------------------------------------------------- */

static gpointer filler(gpointer folder)
{
    g_autoptr(LoomCache) cache = loom_cache_new(folder, MIB);
    g_autoptr(LoomPacket) packet = packet_make(3);

    for (guint i = 0; i < 6; i++) {
        g_autoptr(LoomPacket) found = NULL;

        put(cache, key, packet);
        found = loom_cache_get(cache, key); /* whole, whoever wrote it last */
        assert_same(found, packet);
    }
    return NULL;
}

static void test_several(void)
{
    g_autofree char *folder = loom_test_folder();
    GThread *threads[4];

    for (guint i = 0; i < 4; i++)
        threads[i] = g_thread_new("filler", filler, folder);
    for (guint i = 0; i < 4; i++)
        g_thread_join(threads[i]);
    g_assert_cmpuint(loom_test_folder_count(folder), ==, 1);
    loom_test_folder_remove(folder);
}

/* ---- slots that say something about another ----------------------------------------- */

static void test_described(void)
{
    static const char *const name = "label.counts";

    for (guint i = 0; i < 4; i++) {
        g_autoptr(LoomPacket) packet = packet_make(3);
        g_autoptr(LoomPacket) fork = loom_packet_fork(packet);

        if (i == 0)
            loom_packet_edit(packet, "label", NULL);
        else if (i == 1)
            loom_packet_drop(packet, "label");
        else if (i == 2)
            loom_packet_set(packet, "label", loom_test_u8("DHW", SHAPE(1, 1, 1), U8(0)));
        else
            loom_packet_edit(packet, "image", NULL);
        g_assert_true((loom_packet_get(packet, name) != NULL) == (i == 3));
        g_assert_nonnull(loom_packet_get(fork, name));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_log_set_always_fatal(G_LOG_LEVEL_CRITICAL | G_LOG_FATAL_MASK);
    logged_begin();
    g_test_add_func("/cache/round", test_round);
    g_test_add_func("/cache/damage", test_damage);
    g_test_add_func("/cache/limit", test_limit);
    g_test_add_func("/cache/errors", test_errors);
    g_test_add_func("/cache/several", test_several);
    g_test_add_func("/packet/described", test_described);
    return loom_test_run();
}
