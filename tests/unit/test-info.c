/* segloom info: lines on stdout for what can be read, lines on stderr for what cannot, exit
 * code. */
#include "loom_test.h"
#include "nifti_bytes.h"

#include <json-glib/json-glib.h>

#include <sys/wait.h>

static char *folder, *good, *bad; /* good: 3 x 2 x 1 of int16, 2 x - 10; bad: cut */

static double value_index(gint64 v)
{
    return (double)v;
}

static void files_make(void)
{
    NiftiFields fields = nifti_fields(3, 2, 1);

    fields.datatype = 4;
    fields.bitpix = 16;
    fields.slope = 2;
    fields.intercept = -10;
    folder = g_dir_make_tmp("loom-info-XXXXXX", NULL);
    g_autoptr(GByteArray) bytes = nifti_file(&fields, value_index);
    good = nifti_write(folder, "good one.nii", bytes);
    g_byte_array_set_size(bytes, bytes->len - 1);
    bad = nifti_write(folder, "bad.nii", bytes);
}

/* Runs `segloom info` with these arguments; returns the exit code. */
static int info(const char *first, const char *second, const char *third, char **out,
                char **err)
{
    g_autofree char *build = g_path_get_dirname(g_getenv("LOOM_TEST_BINARY"));
    g_autofree char *binary = g_build_filename(build, "segloom", NULL);
    const char *const arguments[] = {binary, "info", first, second, third, NULL};
    g_auto(GStrv) argv = g_strdupv((char **)(guintptr)arguments);
    g_autoptr(GError) error = NULL;
    int status;

    g_spawn_sync(NULL, argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, out, err, &status, &error);
    g_assert_no_error(error);
    g_assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static gboolean binary_there(void)
{
    if (g_getenv("LOOM_TEST_BINARY"))
        return TRUE;
    g_test_skip("LOOM_TEST_BINARY is not set: ctest sets it");
    return FALSE;
}

static void test_json(void)
{
    static const char *const keys[] = {"file", "shape", "spacing_mm", "dtype",
                                       "axes", "slope", "intercept",  "nonfinite",
                                       "min",  "max",   "mean",       "sha256"};
    g_autofree char *out = NULL, *err = NULL;
    g_autoptr(JsonParser) parser = json_parser_new();
    g_autoptr(GError) error = NULL;

    if (!binary_there())
        return;
    g_assert_cmpint(info("--json", good, bad, &out, &err), ==, 2);
    g_assert_cmpint(out[strlen(out) - 1], ==, '\n');
    g_assert_true(strchr(out, '\n') == out + strlen(out) - 1); /* one line */
    g_assert_true(strchr(err, '\n') == err + strlen(err) - 1);
    g_assert_nonnull(strstr(err, bad));
    json_parser_load_from_data(parser, out, -1, &error);
    g_assert_no_error(error);
    JsonObject *found = json_node_get_object(json_parser_get_root(parser));
    g_assert_cmpuint(json_object_get_size(found), ==, G_N_ELEMENTS(keys));
    for (guint i = 0; i < G_N_ELEMENTS(keys); i++)
        g_assert_true(json_object_has_member(found, keys[i]));
    g_assert_cmpstr(json_object_get_string_member(found, "file"), ==, good);
    g_assert_cmpstr(json_object_get_string_member(found, "dtype"), ==, "int16");
    g_assert_cmpstr(json_object_get_string_member(found, "axes"), ==, "RAS");
    g_assert_cmpint(json_array_get_int_element(json_object_get_array_member(found, "shape"), 1),
                    ==, 2);
    loom_assert_near(json_object_get_double_member(found, "slope"), 2, 0);
    loom_assert_near(json_object_get_double_member(found, "min"), -10, 0);
    loom_assert_near(json_object_get_double_member(found, "max"), 0, 0);
    loom_assert_near(json_object_get_double_member(found, "mean"), -5, 0);
    /* hashlib.sha256(struct.pack('<6f', -10, -8, -6, -4, -2, 0)) of Python */
    g_assert_cmpstr(json_object_get_string_member(found, "sha256"), ==,
                    "d9eb71304ebb96e12dd6b7f643978dbe4b225120f3055423b6bde941b8a28679");
}

static void test_text(void)
{
    g_autofree char *out = NULL, *err = NULL;

    if (!binary_there())
        return;
    g_assert_cmpint(info(good, NULL, NULL, &out, &err), ==, 0);
    g_assert_cmpstr(err, ==, "");
    g_assert_nonnull(strstr(out, "shape      3 x 2 x 1\n"));
    g_assert_nonnull(strstr(out, "scaled by 2 x + -10\n"));
    g_assert_nonnull(strstr(out, "-8                1 voxels   16.6667 %\n"));
}

static void test_usage(void)
{
    g_autofree char *out = NULL, *err = NULL;

    if (!binary_there())
        return;
    g_assert_cmpint(info(NULL, NULL, NULL, &out, &err), ==, 2);
    g_assert_nonnull(strstr(err, "wants FILE..."));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    files_make();
    g_test_add_func("/info/json", test_json);
    g_test_add_func("/info/text", test_text);
    g_test_add_func("/info/usage", test_usage);
    const int result = loom_test_run();
    nifti_remove(folder);
    g_free(folder);
    g_free(good);
    g_free(bad);
    return result;
}
