/* segloom check: all problems at once, in a table and as JSON; nothing touched; --fix copies.
 */
#include "loom_test.h"
#include "nifti_bytes.h"
#include "typed.h"

#include <glib/gstdio.h>
#include <json-glib/json-glib.h>

#include <math.h>
#include <string.h>

static char *folder; /* of the test at hand */

static double image_value(gint64 v)
{
    return (double)(v % 50);
}

static double label_value(gint64 v)
{
    return v % 7 == 3;
}

static double label_almost(gint64 v)
{
    return v % 7 == 3 ? 0.9998 : 0;
}

static double image_nan(gint64 v)
{
    return v == 11 ? (double)NAN : image_value(v);
}

static void file_put(const char *name, const NiftiFields *fields, double (*value)(gint64),
                     const char *after)
{
    g_autoptr(GByteArray) bytes = nifti_file(fields, value);

    g_byte_array_append(bytes, (const guint8 *)after, (guint)strlen(after));
    g_free(nifti_write(folder, name, bytes));
}

#define CONFIG                                                                                 \
    "segloom: 1\n"                                                                             \
    "data: {dataset: s, folds: 1}\n"                                                           \
    "graphs:\n"                                                                                \
    "  train:\n"                                                                               \
    "    load: {use: nifti_load}\n"                                                            \
    "    flip: {use: flip, from: load}\n"                                                      \
    "run: {graph: train}\n"

static char *path_of(const char *name)
{
    return g_build_filename(folder, name, NULL);
}

static void text_put(const char *name, const char *text)
{
    g_autofree char *path = path_of(name);

    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

/* Four cases in 's'; what is odd about each is in `fix` below. */
static void set_make(void)
{
    NiftiFields plain = nifti_fields(6, 5, 4), odd = plain;
    static const char *const folders[] = {"s", "s/imagesTr", "s/labelsTr"};

    folder = loom_test_folder();
    for (guint i = 0; i < G_N_ELEMENTS(folders); i++) {
        g_autofree char *path = path_of(folders[i]);
        g_assert_cmpint(g_mkdir(path, 0700), ==, 0);
    }
    text_put("c.yaml", CONFIG);
    text_put("s/dataset.json", "{\"channel_names\": {\"0\": \"CT\"}, \"labels\": "
                               "{\"background\": 0, \"ball\": 1}, \"file_ending\": "
                               "\".nii\"}");
    file_put("s/imagesTr/a_0000.nii", &plain, image_value, "rubbish");
    odd.slope = 0;
    odd.intercept = 9;
    odd.qform_code = 1;
    odd.qoffset[0] = 2;
    odd.datatype = 4;
    odd.bitpix = 16;
    odd.big_endian = TRUE;
    file_put("s/imagesTr/b_0000.nii", &odd, image_value, "");
    odd = plain;
    odd.datatype = 16;
    odd.bitpix = 32;
    file_put("s/imagesTr/c_0000.nii", &odd, image_nan, "");
    file_put("s/imagesTr/d_0000.nii", &plain, label_value, "");
    file_put("s/labelsTr/a.nii", &odd, label_almost, "");
    odd = plain;
    odd.srow[1][3] = 1e-4;
    file_put("s/labelsTr/b.nii", &odd, label_value, "");
    file_put("s/labelsTr/c.nii", &plain, label_value, "");
    file_put("s/labelsTr/d.nii", &plain, image_value, ""); /* values beyond the labels */
}

static int names_compare(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Names, sizes and contents of all files below, as one hash. */
static void hash_below(GChecksum *hash, const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    const char *name;

    while ((name = g_dir_read_name(dir)))
        g_ptr_array_add(names, g_strdup(name));
    g_ptr_array_sort(names, names_compare);
    for (guint i = 0; i < names->len; i++) {
        g_autofree char *below = g_build_filename(path, names->pdata[i], NULL);
        g_autofree char *text = NULL;
        gsize length = 0;

        g_checksum_update(hash, names->pdata[i], -1);
        if (g_file_test(below, G_FILE_TEST_IS_DIR)) {
            hash_below(hash, below);
            continue;
        }
        g_assert_true(g_file_get_contents(below, &text, &length, NULL));
        g_checksum_update(hash, (const guchar *)text, (gssize)length);
    }
}

static char *hash_of(const char *name)
{
    g_autoptr(GChecksum) hash = g_checksum_new(G_CHECKSUM_SHA256);
    g_autofree char *path = path_of(name);

    hash_below(hash, path);
    return g_strdup(g_checksum_get_string(hash));
}

static JsonObject *json_of(JsonParser *parser, const char *line)
{
    g_auto(Typed) typed = typed_run(folder, line, NULL);
    g_autoptr(GError) error = NULL;

    json_parser_load_from_data(parser, typed.out, -1, &error);
    g_assert_no_error(error);
    return json_node_get_object(json_parser_get_root(parser));
}

/* ---- everything in one pass ---------------------------------------------------------- */

static void test_all_at_once(void)
{
    static const char *const found[] = {"E-KEY-UNKNOWN       c.yaml:2:30\n",
                                        "data has no key 'fodl', did you mean 'fold'?\n",
                                        "E-NAME-UNKNOWN      c.yaml:6:17\n",
                                        "    flip: {use: flipp, from: load}\n"
                                        "                    ^\n",
                                        "E-VALUE-RANGE       c.yaml:7:47\n",
                                        "E-NAME-UNKNOWN      c.yaml:8:14\n",
                                        "did you mean 'train'?",
                                        "4 errors\n"};

    set_make();
    text_put("c.yaml", "segloom: 1\n"
                       "data: {dataset: s, folds: 1, fodl: 0}\n"
                       "graphs:\n"
                       "  train:\n"
                       "    load: {use: nifti_load}\n"
                       "    flip: {use: flipp, from: load}\n"
                       "    crop: {use: crop, from: load, foreground: 3, size: [4, 4, 4]}\n"
                       "run: {graph: tran}\n");
    g_auto(Typed) typed = typed_run(folder, "check c.yaml", NULL);
    g_assert_cmpint(typed.code, ==, 2);
    for (guint i = 0; i < G_N_ELEMENTS(found); i++)
        typed_assert_in(typed.out, found[i]);
    loom_test_folder_remove(folder);
    g_free(folder);
}

/* Wide words apart, no line is wider than 80 columns; the input is as it was. */
static void test_table(void)
{
    set_make();
    g_autofree char *before = hash_of(".");
    g_auto(Typed) typed = typed_run(folder, "check c.yaml", NULL);
    g_autofree char *after = hash_of(".");
    g_auto(GStrv) lines = g_strsplit(typed.out, "\n", -1);

    g_assert_cmpstr(before, ==, after);
    g_assert_cmpint(typed.code, ==, 2);
    for (char **line = lines; *line; line++)
        g_assert_cmpint(g_utf8_strlen(*line, -1), <=, 80);
    typed_assert_in(typed.out, "4 cases, 4 train, 0 validate\n");
    typed_assert_in(typed.out, "error    E-NII-FORMS         case b\n");
    typed_assert_in(typed.out, "error    E-NII-NAN           case c\n");
    typed_assert_in(typed.out, "error    E-LABEL-UNKNOWN     case d\n");
    typed_assert_in(typed.out, "warning  W-NII-LONG          case a\n");
    typed_assert_in(typed.out, "note     N-LABEL-ROUNDED     case a\n");
    loom_test_folder_remove(folder);
    g_free(folder);
}

static void test_json(void)
{
    g_autoptr(JsonParser) parser = json_parser_new();

    set_make();
    JsonObject *root = json_of(parser, "check c.yaml --json");
    g_assert_cmpstr(json_object_get_string_member(root, "config"), ==, "c.yaml");
    g_assert_cmpint(json_object_get_int_member(root, "errors"), ==, 3);
    JsonArray *problems = json_object_get_array_member(root, "problems");
    JsonObject *first = json_array_get_object_element(problems, 0);
    g_assert_cmpstr(json_object_get_string_member(first, "severity"), ==, "error");
    g_assert_cmpstr(json_object_get_string_member(first, "case"), ==, "b");
    JsonArray *classes = json_object_get_array_member(root, "classes");
    g_assert_cmpuint(json_array_get_length(classes), ==, 2);
    JsonObject *ball = json_array_get_object_element(classes, 1);
    JsonObject *train = json_object_get_object_member(ball, "train");
    /* 120 voxels, of which 3, 10, ... 115 are 17; case d has 3 of value 1 (v = 1, 51, 101) */
    g_assert_cmpint(json_object_get_int_member(train, "cases"), ==, 4);
    g_assert_cmpint(json_object_get_int_member(train, "voxels"), ==, 3 * 17 + 3);
    loom_test_folder_remove(folder);
    g_free(folder);
}

static void test_strict(void)
{
    set_make();
    g_autofree char *image = path_of("s/imagesTr/d_0000.nii");
    g_autofree char *label = path_of("s/labelsTr/d.nii");
    g_unlink(image);
    g_unlink(label);
    g_auto(Typed) loose = typed_run(
        folder, "check c.yaml --set data.prefer=sform --set data.nan_policy=mask", NULL);
    g_auto(Typed) strict = typed_run(
        folder, "check c.yaml --strict --set data.prefer=sform --set data.nan_policy=mask",
        NULL);
    g_assert_cmpint(loose.code, ==, 0);
    g_assert_cmpint(strict.code, ==, 2);
    loom_test_folder_remove(folder);
    g_free(folder);
}

/* ---- a corrected copy ---------------------------------------------------------------- */

static const char *done_of(JsonObject *root, const char *file, const char *member)
{
    JsonArray *fixed = json_object_get_array_member(root, "fixed");

    for (guint i = 0; i < json_array_get_length(fixed); i++) {
        JsonObject *one = json_array_get_object_element(fixed, i);

        if (g_str_equal(json_object_get_string_member(one, "file"), file))
            return json_object_get_null_member(one, member)
                       ? "nothing"
                       : json_object_get_string_member(one, member);
    }
    return "not listed";
}

static void test_fix(void)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    g_autoptr(GError) error = NULL;
    const LoomVolumePolicy strict = {.shear = 0.01, .strict = TRUE};
    LoomVolumeHeader header;
    LoomGeometry image, label;

    set_make();
    g_autofree char *before = hash_of("s");
    JsonObject *root = json_of(parser, "check c.yaml --set data.prefer=sform --set "
                                       "data.nan_policy=zero --fix t --json");
    g_autofree char *after = hash_of("s");
    g_assert_cmpstr(before, ==, after);
    g_assert_cmpstr(done_of(root, "imagesTr/a_0000.nii", "done"), ==,
                    "bytes after the voxels left out");
    g_assert_cmpstr(done_of(root, "imagesTr/b_0000.nii", "done"), ==,
                    "slope set to 1, sform and qform made one");
    g_assert_cmpstr(done_of(root, "imagesTr/c_0000.nii", "done"), ==,
                    "NaN and infinite voxels set to 0");
    g_assert_cmpstr(done_of(root, "labelsTr/a.nii", "done"), ==, "labels rounded to uint8");
    g_assert_cmpstr(done_of(root, "labelsTr/b.nii", "done"), ==, "grid set to the image's");
    g_assert_cmpstr(done_of(root, "labelsTr/c.nii", "done"), ==, "not listed");
    g_assert_cmpstr(done_of(root, "labelsTr/d.nii", "done"), ==, "nothing");
    g_assert_cmpstr(done_of(root, "labelsTr/d.nii", "left"), ==, "E-LABEL-UNKNOWN");

    /* b: read strictly, still int16, its numbers and the grid of its sform as they were */
    g_autofree char *b = path_of("t/imagesTr/b_0000.nii");
    g_autofree char *b_label = path_of("t/labelsTr/b.nii");
    g_assert_true(loom_volume_header_by(b, &strict, &header, &error));
    g_assert_cmpstr(header.dtype, ==, "int16");
    g_autoptr(LoomTensor) volume = loom_volume_read_by(b, &strict, &image, &error);
    g_assert_no_error(error);
    for (gint64 v = 0; v < 120; v++)
        g_assert_cmpfloat((double)loom_tensor_f32(volume)[v], ==, image_value(v));
    g_assert_cmpfloat(image.affine[0][3], ==, 0);
    g_assert_cmpfloat(image.qoffset[0], ==, 0);
    g_autoptr(LoomTensor) map = loom_volume_labels_by(b_label, &strict, &label, &error);
    g_assert_no_error(error);
    g_assert_cmpfloat(loom_geometry_apart(&image, &label), ==, 0);

    /* all that could be fixed is: only the labels of d are left to complain of */
    g_autoptr(JsonParser) again = json_parser_new();
    JsonObject *rest = json_of(again, "check c.yaml --set data.dataset=t --json");
    g_assert_cmpint(json_object_get_int_member(rest, "errors"), ==, 1);
    g_assert_cmpint(json_object_get_int_member(rest, "notes"), ==, 0);

    g_auto(Typed) taken = typed_run(folder, "check c.yaml --fix t", NULL);
    g_assert_cmpint(taken.code, ==, 2);
    typed_assert_in(taken.out, "'t' exists already, want the name of a new folder");
    loom_test_folder_remove(folder);
    g_free(folder);
}

/* A pattern that climbs out of the data set would climb out of the copy, here back to the
 * input. */
static void test_fix_outside(void)
{
    set_make();
    g_autofree char *before = hash_of("s/imagesTr");
    g_auto(Typed) said =
        typed_run(folder,
                  "check c.yaml --fix s/copy --set 'data={dataset: s/labelsTr, folds: 1, "
                  "label_names: [background, ball], images: \"../imagesTr/{case}_0000.nii\", "
                  "labels: \"{case}.nii\"}'",
                  NULL);
    g_assert_cmpint(said.code, ==, 2);
    typed_assert_in(said.out, "does not lie below");
    g_autofree char *after = hash_of("s/imagesTr");
    g_assert_cmpstr(before, ==, after);
    loom_test_folder_remove(folder);
    g_free(folder);
}

/* ---- how long ------------------------------------------------------------------------ */

static void test_time(void)
{
    g_autoptr(JsonParser) parser = json_parser_new();

    folder = loom_test_folder();
    g_auto(Typed) made =
        typed_run(folder, "phantom s --kind spheres --cases 5 --size 16,16,16", NULL);
    g_assert_cmpint(made.code, ==, 0);
    typed_config(folder, "c.yaml", NULL, NULL);
    JsonObject *root = json_of(parser, "check c.yaml --time --json");
    JsonObject *time = json_object_get_object_member(root, "time");
    g_assert_cmpfloat(json_object_get_double_member(time, "step_seconds"), >, 0);
    g_assert_cmpfloat(json_object_get_double_member(time, "load_seconds"), >, 0);
    JsonObject *disk = json_object_get_object_member(root, "disk");
    g_assert_cmpint(json_object_get_int_member(disk, "checkpoint_bytes"), >, 0);
    g_autofree char *runs = path_of("runs");
    g_assert_false(g_file_test(runs, G_FILE_TEST_EXISTS)); /* it left nothing */
    loom_test_folder_remove(folder);
    g_free(folder);
}

/* The section 'study:' is no unknown key, and a loss that is not the first is looked at, too.
 */
static void test_study(void)
{
    g_autofree char *place = loom_test_folder();

    typed_config(place, "c.yaml", "run: {graph: train, steps: 8}",
                 "run: {graph: train, steps: 8}\n"
                 "study: {losses: {dice: {use: dice}, focal: {use: focal}}}");
    g_auto(Typed) made =
        typed_run(place, "phantom s --kind spheres --cases 5 --size 16,16,20", NULL);
    g_auto(Typed) sound = typed_run(place, "check c.yaml", NULL);
    g_auto(Typed) second = typed_run(
        place, "check c.yaml --set 'study.losses.focal={use: focal, gamma: -3}'", NULL);
    g_auto(Typed) none = typed_run(place, "check c.yaml --set study.losses=dice", NULL);

    g_assert_cmpint(sound.code, ==, 0);
    typed_assert_in(sound.out, "no problem found");
    g_assert_cmpint(second.code, ==, 2);
    typed_assert_in(second.out, "loss 'focal': gamma: -3 is out of range");
    typed_assert_in(second.out, "1 error");
    g_assert_cmpint(none.code, ==, 2);
    typed_assert_in(none.out, "study needs 'losses:'");
    loom_test_folder_remove(place);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/check/all-at-once", test_all_at_once);
    g_test_add_func("/check/table", test_table);
    g_test_add_func("/check/json", test_json);
    g_test_add_func("/check/strict", test_strict);
    g_test_add_func("/check/fix", test_fix);
    g_test_add_func("/check/fix/outside", test_fix_outside);
    g_test_add_func("/check/study", test_study);
    g_test_add_func("/check/time", test_time);
    return loom_test_run();
}
