/* segloom run --folds as a person types it: every fold once, interrupted folds go on, and the
 * summary is what the folds' metrics.csv say. */
#include "loom_test.h"
#include "typed.h"

#include <loom/morphology.h>

#include <glib/gstdio.h>
#include <json-glib/json-glib.h>
#include <math.h>
#include <string.h>

#define FOLDS 3

static char *set_with(const char *from, const char *to)
{
    char *folder = loom_test_folder();
    g_auto(Typed) made = {0};

    typed_config(folder, "c.yaml", from, to);
    made = typed_run(folder, "phantom s --kind spheres --cases 6 --size 12,12,12", NULL);
    g_assert_cmpint(made.code, ==, 0);
    return folder;
}

static char *file_text(const char *folder, const char *name)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    char *text = NULL;

    if (!g_file_get_contents(path, &text, NULL, NULL))
        g_error("'%s' is not there", name);
    return text;
}

/* Mean Dice of the rows of @step; of which cases: appended to @cases. */
static double fold_dice(const char *folder, guint fold, const char *step, GHashTable *cases)
{
    g_autofree char *name = g_strdup_printf("runs/c/fold_%u/metrics.csv", fold);
    g_autofree char *text = file_text(folder, name);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    double sum = 0;
    guint n = 0;

    for (char **line = lines + 1; **line; line++) {
        g_auto(GStrv) cells = g_strsplit(*line, ",", -1);

        if (!g_str_equal(cells[0], step))
            continue;
        g_assert_true(g_hash_table_add(cases, g_strdup(cells[1]))); /* in no other fold */
        if (*cells[4]) {
            sum += g_ascii_strtod(cells[4], NULL);
            n++;
        }
    }
    return sum / n;
}

static double number_at(JsonNode *root, const char *path)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonNode) found = json_path_query(path, root, &error);

    g_assert_no_error(error);
    g_assert_cmpuint(json_array_get_length(json_node_get_array(found)), ==, 1);
    return json_array_get_double_element(json_node_get_array(found), 0);
}

static void test_all(void)
{
    g_autofree char *folder = set_with("folds: 5", "folds: 3");
    g_autoptr(GHashTable) cases = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_auto(Typed) ran = typed_run(folder, "run c.yaml --folds all", NULL);
    double dice[FOLDS], mean = 0, squares = 0;

    g_assert_cmpint(ran.code, ==, 0);
    typed_assert_in(ran.out, "fold 0  fold 1  fold 2    mean      sd\n");
    typed_assert_in(ran.out, "3 of 3 folds, in ");
    for (guint k = 0; k < FOLDS; k++) {
        dice[k] = fold_dice(folder, k, "8", cases);
        mean += dice[k] / FOLDS;
    }
    g_assert_cmpuint(g_hash_table_size(cases), ==, 6); /* every case validated once */
    for (guint k = 0; k < FOLDS; k++)
        squares += (dice[k] - mean) * (dice[k] - mean);

    g_autofree char *text = file_text(folder, "runs/c/summary.json");
    g_autoptr(JsonNode) root = json_from_string(text, NULL);
    /* metrics.csv has 9 digits */
    loom_assert_near(number_at(root, "$.folds[1].scores.sphere.dice"), dice[1], 1e-8);
    loom_assert_near(number_at(root, "$.mean.sphere.dice"), mean, 1e-8);
    loom_assert_near(number_at(root, "$.sd.sphere.dice"), sqrt(squares / (FOLDS - 1)), 1e-8);
    g_autofree char *csv = file_text(folder, "runs/c/summary.csv");
    g_assert_true(g_str_has_prefix(csv, "fold,class,dice,"));
    typed_assert_in(csv, "\nsd,sphere,");
    loom_test_folder_remove(folder);
}

/* What is done stays; what was stopped goes on, and ends with the same bytes. */
static void test_resume(void)
{
    g_autofree char *folder = set_with("folds: 5", "folds: 3");
    g_auto(Typed) some = typed_run(folder, "run c.yaml --folds 0,2", NULL);
    g_auto(Typed) whole = typed_run(folder, "run c.yaml -o alone --set data.fold=1", NULL);
    g_auto(Typed) again = typed_run(folder, "run c.yaml --folds all", NULL);
    g_autofree char *steps = file_text(folder, "runs/c/fold_2/steps.csv");

    g_assert_cmpint(some.code, ==, 0);
    typed_assert_in(some.out, "2 of 3 folds, in ");
    g_assert_cmpint(whole.code, ==, 0);
    g_assert_cmpint(again.code, ==, 2);
    typed_assert_in(again.err, "fold_0' holds a run already: go on by --resume");
    /* as if killed after its checkpoint of step 4 */
    g_auto(Typed) half = typed_run(
        folder, "run c.yaml -o runs/c/fold_1 --set data.fold=1 --set run.steps=4", NULL);
    g_assert_cmpint(half.code, ==, 0);
    g_autofree char *manifest =
        g_build_filename(folder, "runs", "c", "fold_1", "manifest.json", NULL);
    g_autofree char *config =
        g_build_filename(folder, "runs", "c", "fold_1", "config.yaml", NULL);
    g_autofree char *effective = file_text(folder, "alone/config.yaml");
    g_assert_cmpint(g_unlink(manifest), ==, 0);
    g_assert_true(g_file_set_contents(config, effective, -1, NULL));

    g_auto(Typed) on = typed_run(folder, "run c.yaml --folds all --resume", NULL);
    g_assert_cmpint(on.code, ==, 0);
    typed_assert_in(on.err, "fold 0: done before\n");
    typed_assert_in(on.err, "fold 2: done before\n");
    typed_assert_in(on.out, "3 of 3 folds, in ");
    g_autofree char *after = file_text(folder, "runs/c/fold_2/steps.csv");
    g_assert_cmpstr(steps, ==, after);
    loom_test_folder_remove(folder);
}

static void test_refused(void)
{
    static const struct {
        const char *line, *text;
    } wrong[] = {
        {"run c.yaml --folds 3", "--folds: '3', want all, or numbers from 0 to 2"},
        {"run c.yaml --folds 1,0,1", "--folds: '1,0,1' names 1 twice"},
        {"run c.yaml --folds some", "--folds: 'some', want all"},
        {"run c.yaml --folds all --set data.folds=1", "data: folds is 1, want 2 to 1000"},
        {"run c.yaml --folds all --resume", "holds no fold"},
        {"run c.yaml --folds all --set run.stebs=3", "--set:"},
        {"run c.yaml --folds all --rank 0 --size 2 --meet tcp://127.0.0.1:9",
         "--folds runs in one process, this is one of 2"},
    };
    g_autofree char *folder = set_with("folds: 5", "folds: 3");
    g_autofree char *runs = g_build_filename(folder, "runs", NULL);

    for (guint i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_auto(Typed) said = typed_run(folder, wrong[i].line, NULL);

        g_assert_cmpint(said.code, ==, 2);
        typed_assert_in(said.err, wrong[i].text);
    }
    g_assert_false(g_file_test(runs, G_FILE_TEST_EXISTS)); /* nothing was begun */
    g_auto(Typed) one = typed_run(folder, "run c.yaml --folds 0", NULL);
    g_assert_cmpint(one.code, ==, 0);
    g_auto(Typed) other =
        typed_run(folder, "run c.yaml --folds all --resume --set run.steps=9", NULL);
    g_assert_cmpint(other.code, ==, 2);
    typed_assert_in(other.err, "fold_0' holds a run of another config");
    loom_test_folder_remove(folder);
}

/* keep: best in a whole run: model.json names a step that was validated, with its Dice. */
static void test_best(void)
{
    g_autofree char *folder =
        set_with("model: seg, every: 2}", "model: seg, every: 2, keep: best}");
    g_auto(Typed) ran = typed_run(folder, "run c.yaml --set graphs.train.check.every=1", NULL);
    g_autofree char *text = file_text(folder, "runs/c/model/model.json");
    g_autofree char *log = file_text(folder, "runs/c/log.jsonl");
    g_autoptr(JsonNode) root = json_from_string(text, NULL);
    g_auto(GStrv) lines = g_strsplit(log, "\n", -1);
    double best = -1, step = -1;

    g_assert_cmpint(ran.code, ==, 0);
    for (char **line = lines; **line; line++) {
        g_autoptr(JsonNode) record = json_from_string(*line, NULL);

        if (!strstr(*line, "\"kind\":\"metrics\"") || number_at(record, "$.dice") <= best)
            continue;
        best = number_at(record, "$.dice");
        step = number_at(record, "$.step");
    }
    loom_assert_near(number_at(root, "$.step"), step, 0);
    loom_assert_near(number_at(root, "$.score.value"), best, 1e-12);
    loom_assert_near(number_at(root, "$.metrics.dice"), best, 1e-12);
    loom_test_folder_remove(folder);
}

/* postprocess predicts each fold's cases, writes what helps into every model, and finds the
 * same again without predicting anew; what is predicted then has one component. */
static void test_postprocess(void)
{
    g_autofree char *folder = set_with("folds: 5", "folds: 2");
    g_auto(Typed) ran = typed_run(folder, "run c.yaml --folds all --set run.steps=30", NULL);
    g_auto(Typed) first = typed_run(folder, "postprocess runs/c", NULL);
    g_autofree char *model = file_text(folder, "runs/c/fold_1/model/model.json");
    g_auto(Typed) again = typed_run(folder, "postprocess runs/c", NULL);
    g_autofree char *same = file_text(folder, "runs/c/fold_1/model/model.json");
    g_auto(Typed) predicted =
        typed_run(folder, "predict runs/c s/imagesTr/spheres_001_0000.nii.gz -o out", NULL);

    g_assert_cmpint(ran.code, ==, 0);
    g_assert_cmpint(first.code, ==, 0);
    typed_assert_in(first.err, "spheres_006: ");
    typed_assert_in(first.out, "largest component of the foreground ");
    typed_assert_in(first.out, "6 cases, 2 models: postprocessed so from now on\n");
    typed_assert_in(model, "\"keep_largest_foreground\" : true");
    g_assert_cmpstr(again.out, ==, first.out);
    g_assert_null(strstr(again.err, "spheres_006: "));
    g_assert_cmpstr(same, ==, model);
    g_assert_cmpint(predicted.code, ==, 0);

    g_autofree char *path = g_build_filename(folder, "out", "spheres_001.nii.gz", NULL);
    g_autoptr(LoomTensor) mask = loom_volume_read_labels(path, 0, NULL, NULL);
    g_autofree gint32 *component = g_new(gint32, 12 * 12 * 12);
    gint64 parts;
    g_assert_true(loom_components(loom_tensor_u8(mask), loom_tensor_shape(mask), 26, component,
                                  &parts, NULL, NULL));
    g_assert_cmpint(parts, ==, 1);
    g_auto(Typed) nothing = typed_run(folder, "postprocess s", NULL);
    g_assert_cmpint(nothing.code, ==, 2);
    typed_assert_in(nothing.err, "'s' holds no model");
    loom_test_folder_remove(folder);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/folds/all", test_all);
    g_test_add_func("/folds/resume", test_resume);
    g_test_add_func("/folds/refused", test_refused);
    g_test_add_func("/folds/best", test_best);
    g_test_add_func("/folds/postprocess", test_postprocess);
    return loom_test_run();
}
