/* segloom plugin: what `new` writes and refuses to write, and what `test` finds. */
#include "loom_test.h"
#include "phantom_set.h"
#include "typed.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/wait.h>

/* segloom plugin @line in @folder; NULL: here.  A crash of the plugin stays a signal. */
static Typed type(const char *folder, const char *line)
{
    g_autofree char *whole = g_strconcat("plugin ", line, NULL);
    g_auto(GStrv) env =
        g_environ_setenv(g_get_environ(), "ASAN_OPTIONS", "handle_segv=0", TRUE);

    return typed_run(folder, whole, env);
}

/* @name: of a module with a fault, "loss_far". */
static Typed tested(const char *name, const char *options)
{
    g_autofree char *file = g_strdup_printf("faulty/%s.so", name);
    g_autofree char *path = typed_beside(file);
    g_autofree char *line = g_strdup_printf("test %s %s", path, options);

    return type(NULL, line);
}

/* ---- test --------------------------------------------------------------------------- */

static void test_good(void)
{
    static const char *const checks[] = {"loads",          "descriptor",      "opens",
                                         "gradient",       "corners",         "absent class",
                                         "finite",         "repeatable",      "order of voxels",
                                         "ignored voxels", "right is better", "speed"};
    g_auto(Typed) said = tested("loss_right", "");

    g_assert_cmpint(said.code, ==, 0);
    for (guint i = 0; i < G_N_ELEMENTS(checks); i++) {
        g_autofree char *line = g_strdup_printf("  ok      %s ", checks[i]);

        typed_assert_in(said.out, line);
    }
    typed_assert_in(said.out, "12 checks, all passed\n");
    g_assert_null(strstr(said.out, "FAILED"));
    g_assert_cmpstr(said.err, ==, "");
}

/* Exactly @failed checks fail, the one called @check with @part in its line. */
static void assert_found(const char *name, guint failed, const char *check, const char *part)
{
    g_auto(Typed) said = tested(name, "");
    g_autofree char *begin = g_strdup_printf("\n  FAILED  %s ", check);
    g_autofree char *end = g_strdup_printf("\n%u of 12 checks failed\n", failed);

    g_assert_cmpint(said.code, ==, 1);
    typed_assert_in(said.out, end);
    const char *line = strstr(said.out, begin);
    if (!line)
        g_error("no '%s' in:\n%s", begin, said.out);
    g_autofree char *text = g_strndup(line + 1, strcspn(line + 1, "\n"));
    typed_assert_in(text, part);
}

static void test_wrong_gradient(void)
{
    assert_found("loss_far", 3, "gradient",
                 "sample 1, class 1, voxel (d,h,w) = (1,2,1): the "
                 "gradient is ");
    assert_found("loss_far", 3, "gradient", "2 of 48 are wrong");
}

static void test_crash(void)
{
    assert_found("loss_crash", 3, "absent class", "crashed: signal 11 (Segmentation fault)");
}

static void test_infinite(void)
{
    assert_found("loss_infinite", 1, "finite",
                 "p = 0 and 1, wrong everywhere, all classes: the "
                 "value is inf, want a finite number");
}

static void test_ignored(void)
{
    assert_found("loss_counts", 1, "ignored voxels", "of the same volume without them");
}

static void test_memory(void)
{
    assert_found("loss_memory", 1, "repeatable", "where the gradient is wanted");
}

static void test_liar(void)
{
    assert_found("loss_liar", 9, "gradient", "failed in eval without saying why");
}

/* The file has a name of its own. */
static void test_name(void)
{
    g_autofree char *folder = loom_test_folder();
    g_autofree char *from = typed_beside("faulty/loss_right.so");
    g_autofree char *to = g_build_filename(folder, "loss_wrong.so", NULL);
    g_autofree char *bytes = NULL;
    gsize length;

    g_assert_true(g_file_get_contents(from, &bytes, &length, NULL));
    g_assert_true(g_file_set_contents(to, bytes, (gssize)length, NULL));
    g_auto(Typed) said = type(folder, "test loss_wrong.so");
    g_assert_cmpint(said.code, ==, 1);
    typed_assert_in(said.out, "FAILED  descriptor        the file is 'loss_wrong.so', want "
                              "'loss_right.so'");
    loom_test_folder_remove(folder);
}

static void assert_narrow(const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    for (char **line = lines; *line; line++)
        if (g_utf8_strlen(*line, -1) > 80)
            g_error("wider than 80 columns: %s", *line);
}

static void test_usage(void)
{
    g_auto(Typed) help_new = type(NULL, "new --help");
    g_auto(Typed) help_test = type(NULL, "test --help");

    g_auto(Typed) nothing = type(NULL, "");
    g_auto(Typed) unknown = type(NULL, "tset x");
    g_auto(Typed) absent = type(NULL, "test /nowhere.so");
    g_auto(Typed) text = type(NULL, "test CMakeLists.txt");
    g_auto(Typed) wrong = tested("loss_right", "--with 'gama: 2'");

    assert_narrow(help_new.out);
    assert_narrow(help_test.out);
    typed_assert_in(help_new.out, "Example:\n  segloom plugin new");
    typed_assert_in(help_test.out, "Example:\n  segloom plugin test");
    g_assert_cmpint(nothing.code, ==, 2);
    g_assert_cmpint(unknown.code, ==, 2);
    typed_assert_in(unknown.err, "did you mean 'test'?");
    g_assert_cmpint(absent.code, ==, 2);
    typed_assert_in(absent.err, "'/nowhere.so' is no file");
    g_assert_cmpint(text.code, ==, 1);
    typed_assert_in(text.out, "FAILED  loads ");
    g_assert_cmpint(wrong.code, ==, 1);
    typed_assert_in(wrong.out, "FAILED  opens             --with:1:");
    typed_assert_in(wrong.out, "has no key 'gama'");
}

/* Metrics and stages of the build keep what they promise. */
static void test_other_kinds(void)
{
    static const char *const modules[] = {"metric_overlap", "stage_noise", "stage_flip",
                                          "model_unet3d", NULL};

    for (guint i = 0; modules[i]; i++) {
        g_autofree char *file = g_strdup_printf("modules/%s.so", modules[i]);
        g_autofree char *path = typed_beside(file);
        g_autofree char *line = g_strdup_printf("test %s", path);
        g_auto(Typed) said = type(NULL, line);

        g_assert_cmpint(said.code, ==, 0);
        typed_assert_in(said.out, "ok      descriptor ");
    }
}

static void test_other_faults(void)
{
    g_auto(Typed) metric = tested("metric_infinite", "");
    g_auto(Typed) stage = tested("stage_counts", "");

    g_assert_cmpint(metric.code, ==, 1);
    typed_assert_in(metric.out,
                    "FAILED  nothing there     class 1, 'ratio': infinite, want a number "
                    "or NaN");
    g_assert_cmpint(stage.code, ==, 1);
    typed_assert_in(stage.out,
                    "FAILED  pure              slot 'image' is another one when the same "
                    "packet comes again");
}

/* ---- new ---------------------------------------------------------------------------- */

static void test_new(void)
{
    static const char *const files[] = {"mine.c", "CMakeLists.txt", "Makefile", "README.md"};
    g_autofree char *folder = loom_test_folder();
    g_auto(Typed) said = type(folder, "new loss mine");

    g_assert_cmpint(said.code, ==, 0);
    for (guint i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *path = g_build_filename(folder, "mine", files[i], NULL);
        g_autofree char *text = NULL;

        g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
        typed_assert_in(text, "mine");
        g_assert_null(strstr(text, "newname"));
        g_assert_null(strstr(text, "newkind"));
    }
    loom_test_folder_remove(folder);
}

static void assert_refused(const char *folder, const char *line, const char *part)
{
    g_auto(Typed) said = type(folder, line);

    g_assert_cmpint(said.code, ==, 2);
    typed_assert_in(said.err, part);
    g_assert_cmpstr(said.out, ==, "");
}

static void test_new_refused(void)
{
    g_autofree char *folder = loom_test_folder();
    g_autofree char *made = g_build_filename(folder, "a", NULL);
    g_autofree char *mine = g_build_filename(folder, "a", "Makefile", NULL);
    g_autofree char *other = g_build_filename(folder, "a", "x.c", NULL);
    g_autofree char *text = NULL;

    assert_refused(folder, "new loss", "wants KIND NAME");
    assert_refused(folder, "new los x", "did you mean 'loss'?");
    assert_refused(folder, "new model x", "there are: loss, metric, stage");
    assert_refused(folder, "new loss x --form vowel", "did you mean 'voxel'?");
    assert_refused(folder, "new metric x --form voxel", "--form is for a loss");
    assert_refused(folder, "new loss dice", "there is a loss 'dice' already, of loss_dice.so");
    assert_refused(folder, "new loss Mine", "[a-z][a-z0-9_]*");
    assert_refused(folder, "new loss ../x", "[a-z][a-z0-9_]*");
    g_assert_cmpint(g_mkdir(made, 0777), ==, 0);
    g_assert_true(g_file_set_contents(mine, "mine\n", -1, NULL));
    assert_refused(folder, "new loss x a", "'a/Makefile' is there already");
    g_assert_false(g_file_test(other, G_FILE_TEST_EXISTS)); /* nothing at all was written */
    g_assert_true(g_file_get_contents(mine, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, "mine\n");
    loom_test_folder_remove(folder);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/plugin/test/good", test_good);
    g_test_add_func("/plugin/test/wrong-gradient", test_wrong_gradient);
    g_test_add_func("/plugin/test/crash", test_crash);
    g_test_add_func("/plugin/test/infinite", test_infinite);
    g_test_add_func("/plugin/test/ignored", test_ignored);
    g_test_add_func("/plugin/test/memory", test_memory);
    g_test_add_func("/plugin/test/liar", test_liar);
    g_test_add_func("/plugin/test/name", test_name);
    g_test_add_func("/plugin/test/usage", test_usage);
    g_test_add_func("/plugin/test/other-kinds", test_other_kinds);
    g_test_add_func("/plugin/test/other-faults", test_other_faults);
    g_test_add_func("/plugin/new", test_new);
    g_test_add_func("/plugin/new/refused", test_new_refused);
    return loom_test_run();
}
