/* metrics and log: means, records, tables, and what a resumed run does to the tables. */
#include "loom_test.h"

#include "graph/state.h"

#include <glib/gstdio.h>
#include <json-glib/json-glib.h>
#include <math.h>
#include <string.h>

typedef struct {
    char *folder, *table;
} Place;

static void place_open(Place *place, gconstpointer table)
{
    place->folder = loom_test_folder();
    place->table = g_build_filename(place->folder, table, NULL);
}

static void place_close(Place *place, G_GNUC_UNUSED gconstpointer table)
{
    loom_test_folder_remove(place->folder);
    g_free(place->folder);
    g_free(place->table);
}

/* Three classes: background, Tumour, "a, b". */
static LoomDataset *dataset_new(void)
{
    LoomDataset *dataset = g_new0(LoomDataset, 1);

    dataset->name = g_strdup("test");
    dataset->label_names = g_strsplit("background|Tumour|a, b", "|", -1);
    dataset->n_labels = 3;
    return dataset;
}

/* @resumed: steps that a run before this one did; 0: it is the first. */
static LoomTestStage *stage_new(const Place *place, const char *yaml, gint64 resumed)
{
    g_autofree char *sections = g_strdup_printf(
        "backend: {use: reference}\nmodels: {m: {use: toy, resumes: %d}}", (int)resumed);
    const LoomTestSetup setup = {.folder = place->folder,
                                 .sections = resumed ? sections : NULL,
                                 .resume = resumed > 0,
                                 .dataset = dataset_new()};

    return loom_test_stage(yaml, &setup, NULL);
}

/* The last record of a kind; (transfer full). */
static JsonObject *latest(LoomTestStage *stage, const char *kind)
{
    g_autofree char *text = loom_journal_latest(loom_test_stage_run(stage)->journal, kind);
    g_autoptr(JsonNode) node = text ? json_from_string(text, NULL) : NULL;

    return node ? json_node_dup_object(node) : NULL;
}

static void near(JsonObject *record, const char *name, double expected)
{
    g_assert_true(json_object_has_member(record, name));
    loom_assert_near(json_object_get_double_member(record, name), expected, 1e-12);
}

static void assert_table(const Place *place, const char *expected)
{
    g_autofree char *text = NULL;

    g_assert_true(g_file_get_contents(place->table, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, expected);
}

static LoomTensor *row_of(const char *digits, const char *axes)
{
    const gint64 n = (gint64)strlen(digits), shape[] = {1, 1, 1, n};
    LoomTensor *tensor =
        loom_tensor_new(LOOM_U8, axes, strlen(axes) == 4 ? shape : shape + 1, NULL);

    for (gint64 i = 0; i < n; i++)
        loom_tensor_u8_mut(tensor)[i] = (guint8)(digits[i] - '0');
    return tensor;
}

/* ---- metrics ------------------------------------------------------------------------ */

static LoomPacket *scored(const char *id, const char *prediction, const char *truth)
{
    LoomPacket *packet = loom_packet_new();
    LoomGeometry geometry;

    loom_geometry_plain(&geometry, (const gint64[]){(gint64)strlen(truth), 1, 1},
                        (const double[]){1, 2, 3});
    loom_packet_set_id(packet, id);
    loom_packet_set_geometry(packet, &geometry);
    loom_packet_set(packet, "prediction", row_of(prediction, "DHW"));
    loom_packet_set(packet, "label", row_of(truth, "DHW"));
    return packet;
}

#define METRICS_HEADER                                                                         \
    "step,case,class,label,dice,iou,precision,recall,specificity,volume_error\n"
#define METRICS_ROWS(step)                                                                     \
    step ",one,1,Tumour,0.5,0.333333333,0.5,0.5,0.5,0\n" step ",one,2,\"a, b\",,,,,1,\n" step  \
         ",\"t\"\"wo\",1,Tumour,1,1,1,1,1,0\n" step ",\"t\"\"wo\",2,\"a, b\",0,0,,0,1,-1\n"

/* Class 1: Dice 0.5 and 1, mean 0.75.  Class 2: absent from the first, missed in the second:
 * mean 0.  All: 0.375. */
static void cases_push(LoomTestStage *stage, gint64 step)
{
    loom_test_stage_run(stage)->step = step;
    loom_test_start(stage, NULL);
    loom_test_push(stage, scored("one", "1100", "1010"), 0, NULL);
    loom_test_push(stage, scored("t\"wo", "1100", "1120"), 1, NULL);
    loom_test_flush(stage, NULL);
}

static void test_metrics(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(LoomTestStage) stage = stage_new(place, "{use: metrics}", 0);
    g_autofree char *twice =
        g_strconcat(METRICS_HEADER METRICS_ROWS("20"), METRICS_ROWS("40"), NULL);

    g_assert_false(g_file_test(place->table, G_FILE_TEST_EXISTS)); /* no row yet */
    cases_push(stage, 20);
    JsonObject *record = latest(stage, "metrics");
    near(record, "step", 20);
    near(record, "cases", 2);
    near(record, "dice/Tumour", 0.75);
    near(record, "dice/a, b", 0);
    near(record, "dice", 0.375);
    near(record, "recall/Tumour", 0.75);
    near(record, "volume_error/a, b", -1);
    near(record, "specificity", (0.75 + 1) / 2);
    g_assert_true(json_object_get_null_member(record, "precision/a, b")); /* never predicted */
    near(record, "precision", 0.75);
    json_object_unref(record);

    cases_push(stage, 40); /* begins anew: the same means again */
    record = latest(stage, "metrics");
    near(record, "cases", 2);
    near(record, "dice", 0.375);
    json_object_unref(record);
    assert_table(place, twice);
}

/* A run that was killed after step 40 goes on from step 30: its validation of step 40 comes
 * again, and the row that was cut short is none. */
static void test_metrics_resumed(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    const char *before = METRICS_HEADER METRICS_ROWS("20") METRICS_ROWS("40") "60,one,1,Tum";
    g_autoptr(LoomTestStage) stage = NULL;

    g_assert_true(g_file_set_contents(place->table, before, -1, NULL));
    stage = stage_new(place, "{use: metrics}", 30);
    assert_table(place, before);
    cases_push(stage, 40);
    assert_table(place, METRICS_HEADER METRICS_ROWS("20") METRICS_ROWS("40"));
    cases_push(stage, 60);
    assert_table(place,
                 METRICS_HEADER METRICS_ROWS("20") METRICS_ROWS("40") METRICS_ROWS("60"));
}

/* The table of a run with other metrics is not continued. */
static void test_metrics_columns(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(LoomTestStage) stage = NULL;
    g_autoptr(GError) error = NULL;

    g_assert_true(g_file_set_contents(place->table, "step,case,hd95\n", -1, NULL));
    stage = stage_new(place, "{use: metrics}", 30);
    loom_test_start(stage, NULL);
    loom_test_push(stage, scored("one", "1100", "1010"), 0, NULL);
    loom_assert_failed(loom_test_flush(stage, &error), error, LOOM_ERROR, LOOM_ERROR_CONFIG,
                       "metrics.csv' has other columns");
    assert_table(place, "step,case,hd95\n");

    g_autoptr(LoomTestStage) silent = stage_new(place, "{use: metrics, csv: false}", 0);
    cases_push(silent, 40);
    assert_table(place, "step,case,hd95\n");
}

static void test_metrics_stopped(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(LoomTestStage) stage = stage_new(place, "{use: metrics}", 0);

    loom_test_start(stage, NULL);
    loom_test_push(stage, scored("one", "1100", "1010"), 0, NULL);
    loom_test_finish(stage, NULL); /* without the end of the data */
    g_assert_null(latest(stage, "metrics"));
    g_assert_false(g_file_test(place->table, G_FILE_TEST_EXISTS)); /* no row yet */
}

/* On a grid of twice the voxels "label" is no truth for the prediction; "truth" is, and the
 * voxel sizes are those of the file. */
static void test_metrics_moved(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(LoomTestStage) stage = stage_new(place, "{use: metrics}", 0);
    LoomPacket *lost = scored("one", "1100", "1010"), *kept = scored("one", "1100", "1010");
    g_autoptr(GError) error = NULL;
    LoomGeometry grid;

    loom_geometry_plain(&grid, (const gint64[]){8, 1, 1}, (const double[]){0.5, 2, 3});
    loom_packet_regrid(lost, &grid);
    loom_packet_regrid(kept, &grid);
    loom_packet_set(lost, "label", row_of("11001100", "DHW"));
    loom_packet_set(kept, "label", row_of("11001100", "DHW"));
    loom_packet_set(kept, "truth", row_of("1010", "DHW"));
    loom_test_start(stage, NULL);
    loom_assert_failed(loom_test_push(stage, lost, 0, &error), error, LOOM_ERROR,
                       LOOM_ERROR_SHAPE, "want truth: true in nifti_load");
    loom_test_push(stage, kept, 0, NULL);
    loom_test_flush(stage, NULL);
    JsonObject *record = latest(stage, "metrics");
    near(record, "dice/Tumour", 0.5);
    json_object_unref(record);
}

static void test_metrics_errors(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(LoomTestStage) stage = stage_new(place, "{use: metrics}", 0);
    g_autoptr(GError) error = NULL;

    loom_test_start(stage, NULL);
    loom_assert_failed(loom_test_flush(stage, &error), error, LOOM_ERROR, LOOM_ERROR_NUMERIC,
                       "no case arrived");
    g_clear_error(&error);
    loom_assert_failed(loom_test_push(stage, scored("x", "1100", "3010"), 0, &error), error,
                       LOOM_ERROR, LOOM_ERROR_SHAPE,
                       "'label' has class 3, want classes below 3");
    g_clear_error(&error);
    loom_assert_failed(
        loom_test_stage("{use: metrics, metrics: [{use: overlap}, {use: overlap}]}", NULL,
                        &error),
        error, LOOM_ERROR, LOOM_ERROR_CONFIG, "two metrics have a reading 'dice'");
    g_clear_error(&error);
    loom_assert_failed(loom_test_stage("{use: metrics, metrics: []}", NULL, &error), error,
                       LOOM_ERROR, LOOM_ERROR_CONFIG, "metrics is empty");
    g_clear_error(&error);
    g_autoptr(LoomTestStage) unknown = loom_test_stage("{use: metrics}", NULL, NULL);
    loom_assert_failed(loom_test_start(unknown, &error), error, LOOM_ERROR, LOOM_ERROR_CONFIG,
                       "the number of classes is not known");
}

/* ---- log ---------------------------------------------------------------------------- */

/* Logits whose argmax are the digits. */
static LoomPacket *trained(const char *prediction, const char *truth, double loss)
{
    const gint64 n = (gint64)strlen(truth), shape[] = {1, 3, 1, 1, n};
    LoomPacket *packet = loom_packet_new();
    LoomTensor *logits = loom_tensor_new(LOOM_F32, "NCDHW", shape, NULL);

    for (gint64 i = 0; i < n; i++)
        loom_tensor_f32_mut(logits)[(prediction[i] - '0') * n + i] = 1;
    loom_packet_set(packet, "logits", logits);
    loom_packet_set(packet, "label", row_of(truth, "NDHW"));
    loom_packet_set(packet, "loss", loom_tensor_new_scalar(loss));
    loom_packet_set(packet, "rate", loom_tensor_new_scalar(loss / 100));
    return packet;
}

static void step_done(LoomTestStage *stage, gint64 step, LoomPacket *packet)
{
    loom_test_stage_run(stage)->step = step;
    g_assert_cmpint(loom_test_push(stage, packet, step - 1, NULL), ==, LOOM_FLOW_OK);
}

#define STEPS_HEADER "step,loss,rate,gradient_norm,dice/Tumour,\"dice/a, b\"\n"

/* Class 1 over both packets: predicted 2 + 2, true 2 + 2, both 1 + 2: 6 / 8.  Class 2: 0 and 1,
 * none in common. */
static void test_log(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(LoomTestStage) stage = stage_new(place, "{use: log, every: 2}", 0);
    JsonObject *record;

    step_done(stage, 1, trained("1100", "1010", 0.5));
    g_assert_null(latest(stage, "step"));
    step_done(stage, 2, trained("1100", "1120", 0.25));
    record = latest(stage, "step");
    near(record, "step", 2);
    near(record, "loss", 0.375);
    near(record, "rate", 0.0025);
    near(record, "dice/Tumour", 0.75);
    near(record, "dice/a, b", 0);
    near(record, "dice", 0.375);
    g_assert_false(json_object_has_member(record, "gradient_norm")); /* no such slot */
    g_assert_cmpfloat(json_object_get_double_member(record, "samples_per_second"), >, 0);
    g_assert_false(json_object_has_member(record, "seconds_left")); /* the end is not known */
    g_assert_true(json_object_has_member(record, "queues"));
    json_object_unref(record);

    step_done(stage, 3, trained("0000", "0000", 1));
    record = latest(stage, "step");
    near(record, "step", 2);
    json_object_unref(record);
    loom_test_finish(stage, NULL); /* what is left */
    record = latest(stage, "step");
    near(record, "step", 3);
    near(record, "loss", 1);
    g_assert_false(json_object_has_member(record, "dice")); /* no class anywhere */
    json_object_unref(record);
    assert_table(place, STEPS_HEADER "1,0.5,0.005,,0.5,\n2,0.25,0.0025,,1,0\n3,1,0.01,,,\n");
}

/* Rows that will be made again go, also one that was cut short; those before stay. */
static void test_log_resumed(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(LoomTestStage) stage = stage_new(place, "{use: log}", 0);

    step_done(stage, 1, trained("1100", "1010", 0.5));
    step_done(stage, 2, trained("1100", "1120", 0.25));
    step_done(stage, 3, trained("1100", "1120", 9));
    FILE *file = g_fopen(place->table, "ab");
    g_assert_nonnull(file);
    fputs("4,0.1", file);
    fclose(file);

    g_autoptr(LoomTestStage) again = stage_new(place, "{use: log}", 2);
    step_done(again, 3, trained("1100", "1120", 0.125));
    assert_table(place,
                 STEPS_HEADER "1,0.5,0.005,,0.5,\n2,0.25,0.0025,,1,0\n3,0.125,0.00125,,1,0\n");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_setenv("LOOM_MODULE_PATH", TOY_MODULES, TRUE);
    g_test_add("/stages/metrics/values", Place, "metrics.csv", place_open, test_metrics,
               place_close);
    g_test_add("/stages/metrics/resumed", Place, "metrics.csv", place_open,
               test_metrics_resumed, place_close);
    g_test_add("/stages/metrics/columns", Place, "metrics.csv", place_open,
               test_metrics_columns, place_close);
    g_test_add("/stages/metrics/stopped", Place, "metrics.csv", place_open,
               test_metrics_stopped, place_close);
    g_test_add("/stages/metrics/moved", Place, "metrics.csv", place_open, test_metrics_moved,
               place_close);
    g_test_add("/stages/metrics/errors", Place, "metrics.csv", place_open, test_metrics_errors,
               place_close);
    g_test_add("/stages/log/values", Place, "steps.csv", place_open, test_log, place_close);
    g_test_add("/stages/log/resumed", Place, "steps.csv", place_open, test_log_resumed,
               place_close);
    return loom_test_run();
}
