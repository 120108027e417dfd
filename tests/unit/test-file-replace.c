/* A file that is replaced is the old one or the new one: full disk, dead writers, kill. */
#include "loom_test.h"

#include <loom/store.h>

#include "store/file_replace.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* A folder for one test, removed with all in it. */
typedef struct {
    char *folder, *path, *previous;
} Place;

static void place_open(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    place->folder = loom_test_folder();
    place->path = g_build_filename(place->folder, "w.safetensors", NULL);
    place->previous = g_build_filename(place->folder, "w.previous.safetensors", NULL);
}

static void place_close(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    loom_test_folder_remove(place->folder);
    g_free(place->folder);
    g_free(place->path);
    g_free(place->previous);
}

/* One number, and enough behind it that a write takes a moment. */
static LoomStore *example(float first)
{
    const gint64 count = 20000;
    LoomStore *store = loom_store_new();
    float *data = g_new0(float, (gsize)count);

    data[0] = first;
    loom_store_add(store, "first", 1, &count, data);
    return store;
}

static float first_of(const char *path)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(LoomStore) store = loom_store_read(path, &error);

    g_assert_no_error(error);
    return loom_store_find(store, "first")->data[0];
}

static void write_example(float first, const char *path, const char *previous)
{
    g_autoptr(LoomStore) store = example(first);
    g_autoptr(GError) error = NULL;

    loom_store_write(store, path, previous, &error);
    g_assert_no_error(error);
}

static void test_previous(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    write_example(1.0f, place->path, place->previous);
    g_assert_false(g_file_test(place->previous, G_FILE_TEST_EXISTS)); /* nothing before it */
    write_example(2.0f, place->path, place->previous);
    write_example(3.0f, place->path, place->previous);
    g_assert_cmpfloat(first_of(place->path), ==, 3.0f);
    g_assert_cmpfloat(first_of(place->previous), ==, 2.0f);
    g_assert_cmpuint(loom_test_folder_count(place->folder), ==, 2);

    /* killed between keeping the old file and renaming the new: both names are one file */
    g_assert_cmpint(g_unlink(place->previous), ==, 0);
    g_assert_cmpint(link(place->path, place->previous), ==, 0);
    write_example(4.0f, place->path, place->previous);
    g_assert_cmpfloat(first_of(place->path), ==, 4.0f);
    g_assert_cmpfloat(first_of(place->previous), ==, 3.0f);
    g_assert_cmpuint(loom_test_folder_count(place->folder), ==, 2);
}

static void test_stale(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    g_autofree char *stale =
        g_build_filename(place->folder, ".w.safetensors.0123abcd.tmp", NULL);
    g_autofree char *other = g_build_filename(place->folder, ".w.safetensors.notes.tmp", NULL);
    g_autoptr(LoomReplacement) writer = NULL;
    g_autoptr(GError) error = NULL;

    g_assert_true(g_file_set_contents(stale, "x", 1, NULL));
    g_assert_true(g_file_set_contents(other, "x", 1, NULL));
    writer = loom_replacement_begin(place->path, &error); /* alive while the next one writes */
    g_assert_no_error(error);
    g_assert_true(loom_replacement_write(writer, "half", 4, &error));
    g_assert_false(g_file_test(stale, G_FILE_TEST_EXISTS));
    g_assert_true(g_file_test(other, G_FILE_TEST_EXISTS)); /* not a name of ours */

    write_example(1.0f, place->path, NULL);
    g_assert_true(loom_replacement_commit(writer, NULL, &error));
    g_assert_no_error(error);
    g_autofree char *text = NULL;
    g_assert_true(g_file_get_contents(place->path, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, "half"); /* last renamed wins, whole */
}

static void test_given_up(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    write_example(1.0f, place->path, NULL);
    {
        g_autoptr(LoomReplacement) writer = loom_replacement_begin(place->path, NULL);

        g_assert_true(loom_replacement_write(writer, "half", 4, NULL));
    }
    g_assert_cmpfloat(first_of(place->path), ==, 1.0f);
    g_assert_cmpuint(loom_test_folder_count(place->folder), ==, 1);
}

/* A disk that is full, played by a limit on the size of files: SIGXFSZ ignored, write fails. */
static void test_no_room(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    int status;
    pid_t child;

    write_example(1.0f, place->path, place->previous);
    write_example(2.0f, place->path, place->previous);
    child = fork();
    g_assert_cmpint(child, >=, 0);
    if (child == 0) {
        const struct rlimit limit = {50000, 50000}; /* header, and part of the data */
        g_autoptr(LoomStore) store = example(9.0f);
        g_autoptr(GError) error = NULL;

        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &limit);
        if (loom_store_write(store, place->path, place->previous, &error))
            _exit(1);
        if (!g_error_matches(error, LOOM_ERROR, LOOM_ERROR_IO)
            || !strstr(error->message, place->path)
            || !strstr(error->message, "cannot write: File too large"))
            _exit(2);
        _exit(0);
    }
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, 0);
    g_assert_cmpfloat(first_of(place->path), ==, 2.0f);
    g_assert_cmpfloat(first_of(place->previous), ==, 1.0f);
    g_assert_cmpuint(loom_test_folder_count(place->folder), ==, 2);
}

/* Killed at moments that differ from turn to turn: one of the two files always loads. */
static void test_kills(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    write_example(1.0f, place->path, place->previous);
    for (guint turn = 0; turn < 40; turn++) {
        const pid_t child = fork();

        g_assert_cmpint(child, >=, 0);
        while (child == 0) {
            g_autoptr(LoomStore) store = example(2.0f);

            if (!loom_store_write(store, place->path, place->previous, NULL))
                _exit(1);
        }
        g_usleep(200 + turn * 173);
        g_assert_cmpint(kill(child, SIGKILL), ==, 0);
        g_assert_cmpint(waitpid(child, NULL, 0), ==, child);
        g_assert_cmpfloat(first_of(place->path), >=, 1.0f);
    }
    write_example(3.0f, place->path, place->previous); /* sweeps up what the dead left */
    g_assert_cmpuint(loom_test_folder_count(place->folder), ==, 2);
}

static void test_no_folder(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    g_autofree char *path = g_build_filename(place->folder, "none", "w.safetensors", NULL);
    g_autoptr(GError) error = NULL;

    g_assert_false(loom_file_replace(path, "x", 1, &error));
    g_assert_error(error, LOOM_ERROR, LOOM_ERROR_IO);
    g_assert_nonnull(strstr(error->message, path));
    g_assert_nonnull(strstr(error->message, "No such file or directory"));

    /* a folder of that name is not replaced */
    g_clear_error(&error);
    g_assert_cmpint(g_mkdir(place->path, 0700), ==, 0);
    g_assert_false(loom_file_replace(place->path, "x", 1, &error));
    g_assert_nonnull(strstr(error->message, "cannot rename"));
    g_assert_cmpuint(loom_test_folder_count(place->folder), ==, 1);
}

static void test_replace(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    g_autofree char *text = NULL;

    g_assert_true(loom_file_replace(place->path, "first", 5, NULL));
    g_assert_true(loom_file_replace(place->path, "", 0, NULL));
    g_assert_true(loom_file_replace(place->path, "a\0b", 3, NULL));
    gsize length;
    g_assert_true(g_file_get_contents(place->path, &text, &length, NULL));
    g_assert_cmpuint(length, ==, 3);
    g_assert_true(memcmp(text, "a\0b", 3) == 0);
    g_assert_cmpuint(loom_test_folder_count(place->folder), ==, 1);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*test)(Place *, gconstpointer);
    } tests[] = {
        {"previous", test_previous}, {"stale", test_stale}, {"given-up", test_given_up},
        {"no-room", test_no_room},   {"kills", test_kills}, {"no-folder", test_no_folder},
        {"replace", test_replace},
    };

    g_test_init(&argc, &argv, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_autofree char *path = g_strdup_printf("/file-replace/%s", tests[i].name);

        g_test_add(path, Place, NULL, place_open, tests[i].test, place_close);
    }
    return loom_test_run();
}
