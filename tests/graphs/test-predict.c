/* segloom predict as a person types it: several models, a ceiling of memory, images whose
 * stages move them, a command that was stopped and goes on. */
#include "loom_test.h"
#include "typed.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

static Typed type(const char *folder, const char *line)
{
    return typed_run(folder, line, NULL);
}

/* stdout; the command must succeed. */
static char *done(const char *folder, const char *line)
{
    g_auto(Typed) said = type(folder, line);

    g_assert_cmpint(said.code, ==, 0);
    return g_steal_pointer(&said.out);
}

/* A data set s, a config c.yaml, and two models of other seeds: runs/a, runs/b. */
static char *two_models(void)
{
    static const char *const lines[] = {
        "phantom s --kind spheres --cases 5 --size 16,16,20",
        "run c.yaml -o runs/a",
        "run c.yaml -o runs/b --set seed=2",
    };
    char *folder = loom_test_folder();

    typed_config(folder, "c.yaml", NULL, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(lines); i++)
        g_free(done(folder, lines[i]));
    return folder;
}

static LoomTensor *mask_read(const char *folder, const char *name)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    g_autoptr(GError) error = NULL;
    LoomTensor *mask = loom_volume_read_labels(path, 0, NULL, &error);

    g_assert_no_error(error);
    return mask;
}

static gint64 differences(const char *folder, const char *a, const char *b)
{
    g_autoptr(LoomTensor) x = mask_read(folder, a), y = mask_read(folder, b);
    gint64 n = 0;

    g_assert_true(loom_tensor_check_grid(x, a, y, b, NULL));
    for (gint64 v = 0; v < loom_tensor_count(x); v++)
        n += loom_tensor_u8(x)[v] != loom_tensor_u8(y)[v];
    return n;
}

/* Where two masks say the same, so does the mean of two classes; elsewhere it says now this,
 * now that. */
static void lies_between(const char *folder, const char *a, const char *b, const char *mean)
{
    g_autoptr(LoomTensor) x = mask_read(folder, a), y = mask_read(folder, b);
    g_autoptr(LoomTensor) both = mask_read(folder, mean);
    gint64 like_a = 0, like_b = 0;

    g_assert_true(loom_tensor_check_grid(x, a, both, mean, NULL));
    for (gint64 v = 0; v < loom_tensor_count(x); v++) {
        const guint8 p = loom_tensor_u8(x)[v], q = loom_tensor_u8(y)[v];

        if (p == q)
            g_assert_cmpuint(loom_tensor_u8(both)[v], ==, p);
        else if (loom_tensor_u8(both)[v] == p)
            like_a++;
        else
            like_b++;
    }
    g_assert_cmpint(like_a, >, 0);
    g_assert_cmpint(like_b, >, 0);
}

/* @from in a file becomes @to. */
static void text_change(const char *folder, const char *name, const char *from, const char *to)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    g_autofree char *text = NULL;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_autoptr(GString) changed = g_string_new(text);
    g_assert_cmpuint(g_string_replace(changed, from, to, 0), ==, 1);
    g_assert_true(g_file_set_contents(path, changed->str, -1, NULL));
}

/* ---- going on ----------------------------------------------------------------------- */

static gint64 changed_at(const char *folder, const char *name)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    GStatBuf status;

    g_assert_cmpint(g_stat(path, &status), ==, 0);
    return (gint64)status.st_mtim.tv_sec * G_USEC_PER_SEC
           + (gint64)status.st_mtim.tv_nsec / 1000;
}

/* What is there and made of the same is left alone; a missing mask, another image, another
 * model are not. */
static void test_restart(void)
{
    g_autofree char *folder = two_models();
    g_autofree char *first = done(folder, "predict runs/a s/imagesTr -o out");
    g_autofree char *one = g_build_filename(folder, "out", "spheres_002.nii.gz", NULL);
    g_autofree char *image =
        g_build_filename(folder, "s", "imagesTr", "spheres_003_0000.nii.gz", NULL);
    g_autofree char *other =
        g_build_filename(folder, "s", "imagesTr", "spheres_004_0000.nii.gz", NULL);
    const gint64 before[2] = {changed_at(folder, "out/spheres_001.nii.gz"),
                              changed_at(folder, "out/spheres_003.nii.gz")};
    g_autofree char *bytes = NULL;
    gsize length;

    g_assert_cmpint(g_unlink(one), ==, 0);
    g_assert_true(g_file_get_contents(other, &bytes, &length, NULL));
    g_assert_true(g_file_set_contents(image, bytes, (gssize)length, NULL));
    g_auto(Typed) again = type(folder, "predict runs/a s/imagesTr -o out");
    g_assert_cmpint(again.code, ==, 0);
    g_assert_cmpstr(again.out, ==, first); /* all masks are named, whenever they were made */
    typed_assert_in(again.err, "3 of 5 masks were there already (--overwrite");
    typed_assert_in(again.err, "spheres_002: ");
    typed_assert_in(again.err, "spheres_003: ");
    g_assert_cmpint(changed_at(folder, "out/spheres_001.nii.gz"), ==, before[0]);
    g_assert_cmpint(changed_at(folder, "out/spheres_003.nii.gz"), >, before[1]);
    g_assert_cmpint(differences(folder, "out/spheres_003.nii.gz", "out/spheres_004.nii.gz"), ==,
                    0);

    g_auto(Typed) model = type(folder, "predict runs/b s/imagesTr -o out");
    g_assert_null(strstr(model.err, "were there already"));
    g_auto(Typed) overwrite = type(folder, "predict runs/b s/imagesTr -o out --overwrite");
    g_assert_null(strstr(overwrite.err, "were there already"));
    g_assert_cmpint(changed_at(folder, "out/spheres_001.nii.gz"), >, before[0]);
    loom_test_folder_remove(folder);
}

/* ---- several models ----------------------------------------------------------------- */

static void test_ensemble(void)
{
    g_autofree char *folder = two_models();
    g_autofree char *from = g_build_filename(folder, "runs", "a", NULL);
    g_autofree char *to = g_build_filename(folder, "runs", "cv", "fold_0", NULL);
    g_autofree char *from_b = g_build_filename(folder, "runs", "b", NULL);
    g_autofree char *to_b = g_build_filename(folder, "runs", "cv", "fold_3", NULL);
    g_autofree char *above = g_path_get_dirname(to);

    g_free(done(folder, "predict -m runs/a -m runs/b s/imagesTr -o two"));
    g_free(done(folder, "predict -m runs/a -m runs/a s/imagesTr -o twice"));
    g_free(done(folder, "predict runs/a s/imagesTr -o a"));
    g_free(done(folder, "predict runs/b s/imagesTr -o b"));
    g_assert_cmpint(g_mkdir(above, 0777), ==, 0);
    g_assert_cmpint(g_rename(from, to), ==, 0);
    g_assert_cmpint(g_rename(from_b, to_b), ==, 0);
    g_auto(Typed) folds = type(folder, "predict runs/cv s/imagesTr -o folds");
    g_assert_cmpint(folds.code, ==, 0);
    typed_assert_in(folds.err, "the mean of 2 models");

    /* of a model with itself the mean is the model; two differ, and the mean lies between:
     * where they agree it agrees with both (two classes: a mean of two differences) */
    g_assert_cmpint(differences(folder, "twice/spheres_001.nii.gz", "a/spheres_001.nii.gz"), ==,
                    0);
    g_assert_cmpint(differences(folder, "folds/spheres_001.nii.gz", "two/spheres_001.nii.gz"),
                    ==, 0);
    lies_between(folder, "a/spheres_001.nii.gz", "b/spheres_001.nii.gz",
                 "two/spheres_001.nii.gz");
    loom_test_folder_remove(folder);
}

/* Another network on other voxels: the mean is taken on the grid of the file, each recipe
 * counting the same however many models it has. */
static void test_recipes(void)
{
    g_autofree char *folder = two_models();

    typed_config(folder, "coarse.yaml", "    scale:   {use: zscore, from: load}\n    predict",
                 "    coarse:  {use: resample, from: load, spacing: [5, 4.5, 5]}\n"
                 "    scale:   {use: zscore, from: coarse}\n    predict");
    g_free(done(folder, "run coarse.yaml -o runs/coarse --set models.seg.features=[4,6] "
                        "--set graphs.validate.load.truth=true"));
    g_free(done(folder, "predict runs/a s/imagesTr -o a"));
    g_free(done(folder, "predict runs/coarse s/imagesTr -o coarse"));
    g_auto(Typed) mean = type(folder, "predict -m runs/a -m runs/coarse s/imagesTr -o mean");
    g_assert_cmpint(mean.code, ==, 0);
    typed_assert_in(mean.err,
                    "the mean of 2 models of 2 recipes, each recipe counting the same");
    lies_between(folder, "a/spheres_001.nii.gz", "coarse/spheres_001.nii.gz",
                 "mean/spheres_001.nii.gz");
    g_free(done(folder, "predict -m runs/a -m runs/a -m runs/coarse s/imagesTr -o twice"));
    g_assert_cmpint(differences(folder, "twice/spheres_001.nii.gz", "mean/spheres_001.nii.gz"),
                    ==, 0);

    /* nothing of it is left behind; what is done is not done again */
    g_autofree char *below = g_build_filename(folder, "mean", NULL);
    g_autoptr(GDir) dir = g_dir_open(below, 0, NULL);
    for (const char *name; (name = g_dir_read_name(dir));)
        g_assert_true(g_str_has_suffix(name, ".nii.gz") || g_str_has_suffix(name, ".json"));
    g_auto(Typed) again = type(folder, "predict -m runs/a -m runs/coarse s/imagesTr -o mean");
    typed_assert_in(again.err, "5 of 5 masks were there already");
    g_auto(Typed) small =
        type(folder, "predict -m runs/a -m runs/coarse s/imagesTr -o small --memory 1MiB");
    g_assert_cmpint(small.code, ==, 1);
    loom_test_folder_remove(folder);
}

/* @name: another run, whose model.json says @to instead of @from. */
static void mate_refused(const char *folder, const char *from, const char *to, const char *text)
{
    g_free(done(folder, "run c.yaml -o runs/other --force"));
    text_change(folder, "runs/other/model/model.json", from, to);
    g_auto(Typed) said = type(folder, "predict -m runs/a -m runs/other s/imagesTr -o out");
    g_assert_cmpint(said.code, ==, 2);
    typed_assert_in(said.err, text);
}

static void test_ensemble_refused(void)
{
    g_autofree char *folder = two_models();

    mate_refused(folder, "\"sphere\"", "\"cube\"",
                 "model.json' tells apart the labels background, sphere, ");
    mate_refused(
        folder, "\"intensity\"", "\"PET\"",
        "model.json' PET: of these there is no mean, want models of the same data set");
    mate_refused(folder, "\"in_channels\" : 1", "\"in_channels\" : 2", "takes 1 channels, '");
    mate_refused(folder, "false,\n        \"regions\" : []",
                 "false,\n        \"regions\" : [1, 1]",
                 "of these there is no mean, want models with the same `regions`");
    mate_refused(folder, "\"sliding_window\"", "\"my_window\"",
                 "has no stage 'sliding_window', whose probabilities could be averaged");
    g_auto(Typed) none = type(folder, "predict runs s/imagesTr -o out");
    g_assert_cmpint(none.code, ==, 2);
    typed_assert_in(none.err, "or a folder of fold_0, fold_1, ...");
    loom_test_folder_remove(folder);
}

/* ---- memory, mirrored windows ------------------------------------------------------- */

static void test_memory(void)
{
    g_autofree char *folder = two_models();
    g_auto(Typed) small = type(folder, "predict runs/a s/imagesTr -o out --memory 1MiB");
    g_auto(Typed) large =
        type(folder, "predict runs/a s/imagesTr -o out --memory 2GiB --mirror DHW");
    g_auto(Typed) plain = type(folder, "predict runs/a s/imagesTr -o plain");

    g_assert_cmpint(small.code, ==, 1);
    typed_assert_in(small.err, "segloom: case 'spheres_001': memory is 1.0 MiB, at least ");
    typed_assert_in(small.err, "MiB are needed, ");
    typed_assert_in(small.err, " by stage 'predict' (sliding_window): ");
    typed_assert_in(small.err, "5 of 5 cases failed: spheres_001, spheres_002, ");
    g_assert_cmpint(large.code, ==, 0);
    typed_assert_in(large.err, "memory at most ");
    typed_assert_in(large.err, " expected");
    g_assert_cmpint(plain.code, ==, 0);
    loom_test_folder_remove(folder);
}

/* MiB behind @what in @text. */
static double mib_after(const char *text, const char *what)
{
    const char *at = strstr(text, what);
    char *end;

    g_assert_nonnull(at);
    const double mib = g_ascii_strtod(at + strlen(what), &end);
    g_assert_true(g_str_has_prefix(end, " MiB"));
    return mib;
}

/* Enlarged to 64 times as many voxels, 8 MiB: what it needs at least, found by asking for too
 * little, does, gives the same bits, and is not more than that. */
static void test_ceiling(void)
{
    g_autofree char *folder = two_models();
    g_autofree char *recipe = g_build_filename(folder, "runs/a/model/model.json", NULL);
    g_autofree char *json = NULL, *mine = NULL, *other = NULL;
    gsize mine_length, other_length;

    g_assert_true(g_file_get_contents(recipe, &json, NULL, NULL));
    g_autoptr(GString) enlarging = g_string_new(json);
    g_assert_cmpuint(g_string_replace(enlarging, "\"stages\" : {",
                                      "\"stages\" : {\"fine\": {\"use\": \"resample\", "
                                      "\"spacing\": [0.25, 0.25, 0.25]},",
                                      1),
                     ==, 1);
    g_assert_true(g_file_set_contents(recipe, enlarging->str, -1, NULL));
    const char *image = "s/imagesTr/spheres_001_0000.nii.gz";
    g_autofree char *little = g_strdup_printf("predict runs/a %s -o out --memory 1MiB", image);
    g_autofree char *none = g_strdup_printf("predict runs/a %s -o plain", image);
    g_auto(Typed) refused = type(folder, little);
    const double least = mib_after(refused.err, " at least ");
    g_autofree char *enough =
        g_strdup_printf("predict runs/a %s -o out --memory %.0fMiB", image, ceil(least) + 1);
    g_auto(Typed) kept = type(folder, enough), plain = type(folder, none);
    g_autofree char *mine_path = g_build_filename(folder, "out/spheres_001.nii.gz", NULL);
    g_autofree char *other_path = g_build_filename(folder, "plain/spheres_001.nii.gz", NULL);

    g_assert_cmpint(kept.code, ==, 0);
    g_assert_cmpint(plain.code, ==, 0);
    g_assert_cmpfloat(mib_after(kept.err, "memory at most "), >, 0);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* these take far more */
    g_assert_cmpfloat(mib_after(kept.err, "memory at most "), <=, ceil(least) + 1);
#endif
    g_assert_true(g_file_get_contents(mine_path, &mine, &mine_length, NULL));
    g_assert_true(g_file_get_contents(other_path, &other, &other_length, NULL));
    g_assert_cmpuint(mine_length, ==, other_length);
    g_assert_cmpint(memcmp(mine, other, mine_length), ==, 0);
    loom_test_folder_remove(folder);
}

/* ---- on the grid of the file -------------------------------------------------------- */

/* Stages turn the image and halve its voxels' number; the mask has the file's grid all the
 * same, and the metrics of the run were measured there. */
static void test_native(void)
{
    g_autofree char *folder = loom_test_folder();
    g_autofree char *path = g_build_filename(folder, "n.yaml", NULL);
    g_autofree char *text = NULL;
    g_autoptr(GError) error = NULL;

    typed_config(folder, "c.yaml", NULL, NULL);
    g_free(done(folder, "phantom s --kind spheres --cases 5 --size 16,16,20"));
    g_autofree char *plain = g_build_filename(folder, "c.yaml", NULL);
    g_assert_true(g_file_get_contents(plain, &text, NULL, NULL));
    g_autoptr(GString) config = g_string_new(text);
    g_assert_cmpuint(
        g_string_replace(config, "split: validate}", "split: validate, truth: true}", 0), ==,
        1);
    g_assert_cmpuint(
        g_string_replace(config, "    scale:   {use: zscore, from: load}",
                         "    turn:    {use: orient, from: load, axes: PSR}\n"
                         "    fine:    {use: resample, from: turn, spacing: [3.1, 2.7, 3.6]}\n"
                         "    scale:   {use: zscore, from: fine}",
                         0),
        ==, 2);
    g_assert_true(g_file_set_contents(path, config->str, -1, NULL));
    g_free(done(folder, "run n.yaml -o runs/n"));
    g_free(done(folder, "predict runs/n s/imagesTr -o out"));
    g_auto(Typed) scored = type(folder, "evaluate s/labelsTr out --metric overlap --csv");
    g_assert_cmpint(scored.code, ==, 0); /* it refuses grids that differ */

    g_autofree char *metrics = g_build_filename(folder, "runs", "n", "metrics.csv", NULL);
    g_autofree char *rows = NULL;
    g_assert_true(g_file_get_contents(metrics, &rows, NULL, NULL));
    g_auto(GStrv) lines = g_strsplit(scored.out, "\n", -1);
    guint found = 0;
    for (char **line = lines + 1; **line; line++) { /* "case,1,sphere,dice,..." */
        g_auto(GStrv) cells = g_strsplit(*line, ",", 4);
        g_autofree char *row = g_strdup_printf("\n8,%s,1,sphere,%s", cells[0], cells[3]);

        found += strstr(rows, row) ? 1 : 0;
    }
    g_assert_cmpuint(found, ==, 1); /* the one case of fold 0, with the same numbers */
    loom_test_folder_remove(folder);
}

/* ---- which machine code --------------------------------------------------------------- */

static void made_by(const char *folder, const char *options, const char *backend)
{
    g_autofree char *line =
        g_strdup_printf("predict runs/a s/imagesTr -o out --overwrite %s", options);
    g_autofree char *note = g_build_filename(folder, "out", "spheres_001.predict.json", NULL);
    g_autofree char *wanted = g_strdup_printf("\"backend\" : \"%s\"", backend);
    g_autofree char *text = NULL;

    g_free(done(folder, line));
    g_assert_true(g_file_get_contents(note, &text, NULL, NULL));
    typed_assert_in(text, wanted);
}

/* The model was trained on openblas: that is no reason to predict on it. */
static void test_backend(void)
{
    g_autofree char *folder = two_models();
    g_autofree char *help = done(folder, "predict --help");

    made_by(folder, "", "cpu");
    made_by(folder, "--backend openblas", "openblas");
    made_by(folder, "--backend reference", "reference");
    typed_assert_in(help, "--backend=NAME ");
    typed_assert_in(help, "cpu by default");
    g_auto(Typed) wrong = type(folder, "predict runs/a s/imagesTr -o out --backend cpo");
    g_assert_cmpint(wrong.code, ==, 2);
    typed_assert_in(wrong.err, "did you mean 'cpu'?");
    loom_test_folder_remove(folder);
}

/* ---- the data set's own values ------------------------------------------------------- */

/* The spheres s once more, as t, where they are 7 and not 1. */
static void sevens_make(const char *folder)
{
    g_autofree char *labels = g_build_filename(folder, "t", "labelsTr", NULL);
    g_autoptr(GDir) dir = NULL;
    const char *name;

    g_free(done(folder, "phantom t --kind spheres --cases 5 --size 16,16,20"));
    text_change(folder, "t/dataset.json", "\"sphere\" : 1", "\"sphere\" : 7");
    dir = g_dir_open(labels, 0, NULL);
    while ((name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(labels, name, NULL);
        LoomGeometry geometry;
        g_autoptr(LoomTensor) label = loom_volume_read_labels(path, 0, &geometry, NULL);

        guint8 *x = loom_tensor_u8_mut(label);
        for (gint64 v = 0; v < loom_tensor_count(label); v++)
            x[v] = x[v] == 1 ? 7 : x[v];
        g_assert_true(loom_volume_write(path, label, &geometry, NULL));
    }
}

/* In every voxel: @b is @value where @a is 1, and as @a elsewhere; there is some. */
static void renamed(const char *folder, const char *a, const char *b, guint8 value)
{
    g_autoptr(LoomTensor) x = mask_read(folder, a), y = mask_read(folder, b);
    gint64 n = 0;

    for (gint64 v = 0; v < loom_tensor_count(x); v++) {
        const gboolean one = loom_tensor_u8(x)[v] == 1;

        g_assert_cmpuint(loom_tensor_u8(y)[v], ==, one ? value : loom_tensor_u8(x)[v]);
        n += one;
    }
    g_assert_cmpint(n, >, 0);
}

/* 0 and @value, and some of it. */
static void only_values(const char *folder, const char *name, guint8 value)
{
    g_autoptr(LoomTensor) x = mask_read(folder, name);
    gint64 n = 0;

    for (gint64 v = 0; v < loom_tensor_count(x); v++) {
        g_assert_true(loom_tensor_u8(x)[v] == 0 || loom_tensor_u8(x)[v] == value);
        n += loom_tensor_u8(x)[v] == value;
    }
    g_assert_cmpint(n, >, 0);
}

/* The same images; 7 in the files of one, 1 in those of the other: the networks are the same
 * bits, the masks differ by their 7, and every number about them is equal. */
static void test_values(void)
{
    g_autofree char *folder = two_models();

    sevens_make(folder);
    typed_config(folder, "t.yaml", "dataset: s",
                 "dataset: t, label_map: {7: 1}, "
                 "label_names: [background, sphere]");
    g_free(done(folder, "run t.yaml -o runs/t --set 'graphs.validate.save={use: nifti_save, "
                        "from: predict}'"));
    only_values(folder, "runs/t/predictions/spheres_001.nii.gz", 7);
    g_free(done(folder, "predict runs/a s/imagesTr -o out"));
    g_auto(Typed) predicted = type(folder, "predict runs/t t/imagesTr -o out7");
    g_assert_cmpint(predicted.code, ==, 0);
    typed_assert_in(predicted.err, "masks hold the data set's own values: 7 for 'sphere'");
    renamed(folder, "out/spheres_001.nii.gz", "out7/spheres_001.nii.gz", 7);
    renamed(folder, "s/labelsTr/spheres_001.nii.gz", "t/labelsTr/spheres_001.nii.gz", 7);
    g_autofree char *note = g_build_filename(folder, "out7", "spheres_001.predict.json", NULL);
    g_autofree char *said = NULL;
    g_assert_true(g_file_get_contents(note, &said, NULL, NULL));
    typed_assert_in(said, "\"sphere\" : 7");

    g_autofree char *scores = done(folder, "evaluate s/labelsTr out --metric overlap --csv");
    g_autofree char *sevens =
        done(folder, "evaluate t/labelsTr out7 --config runs/t --metric overlap --csv");
    g_autoptr(GString) expected = g_string_new(scores);
    g_assert_cmpuint(g_string_replace(expected, ",1,sphere,", ",7,sphere,", 0), ==, 5);
    g_assert_cmpstr(sevens, ==, expected->str);
    g_auto(Typed) lost = type(folder, "evaluate t/labelsTr out7 --metric overlap");
    typed_assert_in(lost.err, "label 'sphere' is number 7, want 0 to 1");

    g_autofree char *tried = done(folder, "postprocess runs/a --dry-run");
    g_autofree char *tried7 = done(folder, "postprocess runs/t --dry-run");
    g_assert_cmpstr(tried7, ==, tried);
    renamed(folder, "runs/a/validation/spheres_001.nii.gz",
            "runs/t/validation/spheres_001.nii.gz", 7);

    text_change(folder, "runs/t/model/model.json", "\"label_values\"",
                "\"unknown\""); /* of a time that knew nothing of it */
    g_free(done(folder, "predict runs/t t/imagesTr -o out1"));
    g_assert_cmpint(differences(folder, "out1/spheres_001.nii.gz", "out/spheres_001.nii.gz"),
                    ==, 0);
    loom_test_folder_remove(folder);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/predict/restart", test_restart);
    g_test_add_func("/predict/ensemble", test_ensemble);
    g_test_add_func("/predict/recipes", test_recipes);
    g_test_add_func("/predict/ensemble/refused", test_ensemble_refused);
    g_test_add_func("/predict/memory", test_memory);
    g_test_add_func("/predict/backend", test_backend);
    g_test_add_func("/predict/values", test_values);
    g_test_add_func("/predict/ceiling", test_ceiling);
    g_test_add_func("/predict/native", test_native);
    return loom_test_run();
}
